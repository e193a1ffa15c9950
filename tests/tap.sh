# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# tap.sh - for tests written in shell: sourced, prints TAP on stdout.
#
#	check NAME COMMAND...              passes when COMMAND succeeds
#	refuses NAME STATUS TEXT COMMAND...  passes when COMMAND ends with STATUS, says
#	                                   TEXT (a regular expression) on stderr in at
#	                                   most three lines and nothing like a crash
#	skip NAME REASON
#	done_testing                       the plan; exit status

tap_count=0
tap_failed=0
tap_dir=$(mktemp -d)
trap 'rm -rf "$tap_dir"' EXIT

tap_result() {
	tap_count=$((tap_count + 1))
	if [[ $1 == 0 ]]; then
		printf 'ok %d - %s\n' "$tap_count" "$2"
	else
		printf 'not ok %d - %s\n' "$tap_count" "$2"
		tap_failed=$((tap_failed + 1))
	fi
}

tap_show() {
	sed 's/^/# /' "$@"
}

check() {
	local name=$1 status=0
	shift
	"$@" >"$tap_dir/out" 2>&1 || status=$?
	tap_result "$status" "$name"
	if ((status)); then
		printf '# status %d of: %s\n' "$status" "$*"
		tail -n 40 "$tap_dir/out" | tap_show
	fi
}

refuses() {
	local name=$1 want=$2 text=$3 status=0 good=0 lines
	shift 3
	timeout 60 "$@" >"$tap_dir/out" 2>"$tap_dir/err" </dev/null || status=$?
	lines=$(wc -l <"$tap_dir/err")
	[[ $status == "$want" ]] && grep -Eq -- "$text" "$tap_dir/err" && ((lines <= 3)) || good=1
	tap_result "$good" "$name"
	if ((good)); then
		printf '# status %d (want %d), %d lines (want at most 3), want text: %s\n' \
			"$status" "$want" "$lines" "$text"
		tap_show "$tap_dir/err"
	fi
}

skip() {
	tap_count=$((tap_count + 1))
	printf 'ok %d - %s # SKIP %s\n' "$tap_count" "$1" "$2"
}

done_testing() {
	printf '1..%d\n' "$tap_count"
	((tap_failed == 0))
}
