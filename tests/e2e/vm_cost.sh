#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What a job costs the CPU, against its targets (tools/bench-driver.c): counted in instructions,
# system calls and interrupts of a guest whose clock counts instructions, so that nothing else on
# the machine matters. `make bench-driver` does the same.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

check "the cost of jobs can be measured" \
	bash -c 'tools/bench-driver; (($? == 0 || $? == 3))'
cp "$tap_dir/out" "$tap_dir/table"
while read -r line; do
	target=$(sed -E 's/ +[0-9.]+ +[0-9.]+ +(met|MISSED)\r?$//' <<<"$line")
	check "$target" test "${line##* }" = met
	echo "# $line"
done < <(tr -d '\r' <"$tap_dir/table" | grep -aE ' (met|MISSED)$')
done_testing
