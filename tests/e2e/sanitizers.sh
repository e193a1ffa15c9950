#!/bin/bash
# SPDX-License-Identifier: MIT
#
# All unit tests once more, built with AddressSanitizer, its leak detection and
# UndefinedBehaviorSanitizer; those of threads with ThreadSanitizer.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

readonly DEADLINE=900	# seconds, of one test that hangs
out=out/sanitized
logs=$out/log
mkdir -p "$logs"
export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1
export UBSAN_OPTIONS=print_stacktrace=1

# A make that runs this has a job server that it does not share. Instrumented code is harder to
# see through for the compiler, which then warns of variables that are set.
check "the unit tests build with sanitizers" env -u MAKEFLAGS make --no-print-directory \
	-j"$(nproc)" OUT="$out" CFLAGS='-O1 -g -Wno-maybe-uninitialized' \
	SANITIZE='-fsanitize=address,undefined -fno-sanitize-recover=all' host-tests

run_test() {	# run_test PROGRAM: its output and status go to $logs
	local status=0
	timeout -k 10 "$DEADLINE" "$1" >"$logs/${1##*/}.log" 2>&1 </dev/null || status=$?
	echo "$status" >"$logs/${1##*/}.status"
}

# as many at a time as there are processors
rm -f "$logs"/*.status
programs=()
for source in tests/host/test_*.c; do
	name=${source##*/}
	programs+=("$out/tests/host/${name%.c}")
done
for program in "${programs[@]}"; do
	while (($(jobs -rp | wc -l) >= $(nproc))); do
		wait -n
	done
	run_test "$program" &
done
wait

for program in "${programs[@]}"; do
	name=${program##*/}
	check "${name#test_}" test "$(cat "$logs/$name.status")" = 0
	[[ $(cat "$logs/$name.status") == 0 ]] || tail -n 60 "$logs/$name.log" | tap_show
done

check "the tests of threads build with ThreadSanitizer" env -u MAKEFLAGS make \
	--no-print-directory -j"$(nproc)" OUT=out/tsan CFLAGS='-O1 -g' SANITIZE=-fsanitize=thread \
	out/tsan/tests/host/test_lib_threads
logs=out/tsan
run_test out/tsan/tests/host/test_lib_threads
check "threads race for nothing" test "$(cat "$logs/test_lib_threads.status")" = 0
[[ $(cat "$logs/test_lib_threads.status") == 0 ]] || tail -n 60 "$logs/test_lib_threads.log" | tap_show
done_testing
