#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The simulator tells the truth: the same requests, served through libfluidnpu, driver and device in
# the VM, have the latencies that npusim says, each within 1 % (tools/live-check).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

check "both serve the same requests" tools/live-check
cp "$tap_dir/out" "$tap_dir/table"
while read -r policy workload share _ most _ seen; do
	check "$policy, $workload: every request is within 1 %" test "$share" = 100.00
	echo "# at most $most % off; a result is seen $seen us after it is there"
done < <(grep -E '^(lazy|fluid|fluid\+) .*%' "$tap_dir/table")
check "none is left out" test "$tap_count" = 7

refuses "a trace without requests" 1 "there is no request in it" \
	out/bin/npuload --model out/models/fmnist-resnet3.fnpu --trace /dev/null
printf 'request,arrival_cycles,deadline_us,exit\n1,soon,5,0\n' >"$tap_dir/bad.csv"
refuses "a time that is no number" 1 "bad.csv:2: arrival_cycles is no number" \
	out/bin/npuload --model out/models/fmnist-resnet3.fnpu --trace "$tap_dir/bad.csv"
printf 'request,arrival_cycles,deadline_us,exit\n1,5,5,0\n' >"$tap_dir/good.csv"
refuses "no device" 1 "/dev/fluidnpu" \
	out/bin/npuload --model out/models/fmnist-resnet3.fnpu --trace "$tap_dir/good.csv"
refuses "no trace" 2 "Give --trace" out/bin/npuload --model out/models/fmnist-resnet3.fnpu
refuses "shares that are none" 2 "numbers of 0..1" \
	out/bin/npuload --model m --trace t --exit-shares 0.5,half
done_testing
