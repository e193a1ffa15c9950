#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The protocol between driver and NPU has no flaw that spin can find in its model, and spin finds
# each flaw that is put in. Searches are exhaustive; the model says what must hold.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

model=$PWD/tests/model/engine.pml
readonly MEMORY_MIB=2048 MAX_DEPTH=20000

# build NAME FLAGS...: a verifier of the model
build() {
	local name=$1
	shift
	mkdir "$tap_dir/$name" && cd "$tap_dir/$name" || return
	spin -a "$model" && gcc -O1 -w -DCOLLAPSE -DMEMLIM=$MEMORY_MIB "$@" -o pan pan.c
}

# search NAME JOBS CREDITS DEPTH FAULTS TIMEOUTS BUG PAN_FLAGS...: its words are in $report
search() {
	local name=$1
	local settings=(JOBS="$2" CREDITS="$3" DEPTH="$4" FAULTS="$5" TIMEOUTS="$6" BUG="$7")
	shift 7
	report=$(cd "$tap_dir/$name" &&
		env "${settings[@]}" ./pan -m$MAX_DEPTH -n "$@" 2>&1) || return
	# a search that had to leave something out proves nothing
	! grep -Eq 'too small|out of memory|aborted|truncated' <<<"$report"
}

# holds NAME WHAT SEARCH...: no error in any state
holds() {
	local what=$1 status=0
	shift
	search "$@" && grep -q 'errors: 0' <<<"$report" || status=1
	tap_result $status "$what"
	if ((status)); then
		tap_show <<<"$report"
	else
		grep -E 'states, stored|transitions' <<<"$report" | tap_show
	fi
}

# finds BUG NAME: the flaw shows
finds() {
	local status=0
	search safety 2 2 1 1 1 "$1" && ! grep -q 'errors: 0' <<<"$report" &&
		grep -Eq 'assertion violated|invalid end state' <<<"$report" || status=1
	tap_result $status "a flaw that is found: $2"
	((status == 0)) || tap_show <<<"$report"
}

check "the model builds" build safety -DSAFETY
check "the model builds for a search of cycles" build progress -DNP
holds "two jobs, one fault, one timeout" safety 2 2 1 1 1 0
holds "three jobs, of a queue two at a time" safety 3 2 1 0 0 0
holds "three jobs" safety 3 3 1 0 0 0
holds "three jobs, a stack of two" safety 3 3 2 0 0 0
holds "nothing goes in circles" progress 2 2 1 1 1 0 -l

while read -r bug number; do
	finds "$number" "$bug"
done < <(sed -nE 's/^#define BUG_([A-Z_]+) ([0-9]+).*/\1 \2/p' "$model")
done_testing
