#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Every fuzzer for a minute: first what is kept of inputs, those that once failed
# included, then new ones. `make fuzz` does the same for as long as one likes.
#
# FNPU_FUZZ_SECONDS and FNPU_FUZZ_SEED: how long, and which inputs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

seconds=${FNPU_FUZZ_SECONDS:-60} seed=${FNPU_FUZZ_SEED:-1}
readonly LEAST_EXECUTIONS=1000	# a fuzzer that tries nothing finds nothing
logs=out/fuzz/log
mkdir -p "$logs"

# A make that runs this has a job server that it does not share.
check "the fuzzers build" env -u MAKEFLAGS make --no-print-directory -j"$(nproc)" fuzz-build

fuzz() {	# fuzz NAME: its output and status go to $logs
	local status=0
	tests/fuzz/run "$1" "$seconds" -seed="$seed" >"$logs/$1.log" 2>&1 || status=$?
	echo "$status" >"$logs/$1.status"
}

executions() {	# executions NAME: how many inputs it tried
	sed -n 's/^stat::number_of_executed_units: *//p' "$logs/$1.log"
}

enough() {
	local count
	count=$(executions "$1")
	echo "$1 tried ${count:-no} inputs, at least $LEAST_EXECUTIONS are wanted"
	((${count:-0} >= LEAST_EXECUTIONS))
}

# How many inputs it tried, and the final line of libFuzzer.
show() {
	printf '# %s, seed %s: %s executions, %s\n' "$1" "$seed" "$(executions "$1")" \
		"$(sed -nE 's/^#[0-9]+\s+DONE\s+(cov: [0-9]+ ft: [0-9]+ corp: [0-9]+).*/\1/p' \
			"$logs/$1.log")"
}

# two at a time: one processor each
names=(core file onnx daemon)
rm -f "$logs"/*.status
for name in "${names[@]}"; do
	while (($(jobs -rp | wc -l) >= 2)); do
		wait -n
	done
	fuzz "$name" &
done
wait

for name in "${names[@]}"; do
	check "$name: nothing found" test "$(cat "$logs/$name.status")" = 0
	check "$name: at least $LEAST_EXECUTIONS inputs were tried" enough "$name"
	show "$name"
	if [[ $(cat "$logs/$name.status") != 0 ]]; then
		grep -vE '^#[0-9]+' "$logs/$name.log" | tail -n 60 | tap_show
		tap_show <<<"the input is in out/fuzz/findings"
	fi
done
done_testing
