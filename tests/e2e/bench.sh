#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The evaluation in its quick form: it fits into its three minutes, both reports are whole, the HTML
# needs no other file, and what was measured is not measured again. What the figures are is
# for the report to say.
# shellcheck disable=SC2016
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

w=$tap_dir/bench

refuses "no folder" 2 "folder" out/bin/bench --quick
refuses "no such option" 2 "fast" out/bin/bench --fast "$w"
refuses "a folder that cannot be" 1 "cannot create" out/bin/bench --quick "$tap_dir/nowhere/bench"

# Others may use the cores, too: what counts is what it needs of them, three minutes of two.
cpu_seconds() {
	local TIMEFORMAT='%U'
	{ time "$@" >"$w.out" 2>&1; } 2>"$w.time"
}
start=$SECONDS
check "the quick evaluation" cpu_seconds out/bin/bench --quick "$w"
echo "# took $((SECONDS - start)) s, $(cat "$w.time") s of processor time"
check "needs less than two cores have in three minutes" test "$(cut -d. -f1 "$w.time")" -lt 360

report() {	# report EXPRESSION: over the report r
	/usr/bin/python3 - "$w/report.json" "$1" <<'PY'
import json, sys
r = json.load(open(sys.argv[1]))
sys.exit(0 if eval("(" + sys.argv[2] + ")") else 1)
PY
}

check "every claim has a verdict that its numbers give" report '
	len(r["claims"]) >= 10 and all(
		c["result"] == "not measured" or c["result"] == ("pass" if (
			c["value"] >= c["at_least"] if "at_least" in c else c["value"] <= c["at_most"])
			else "fail") for c in r["claims"])'
check "every point has all policies on both NPUs" report '
	len(r["points"]) == 18 and all(
		len({(c["name"], c["npu"]) for c in p["contenders"]}) == 22 for p in r["points"])'
check "no baseline beats the oracle" report '
	all(p["oracle_on_fluid"]["violations"][0] <= c[aim]["violations"][0] + 1e-12
	    for p in r["points"] for c in p["contenders"] for aim in ("for_slo", "for_latency")
	    if c["npu"] == "fluid" and c[aim]["early"][0] == 0)'
check "baselines are tuned: not all use the same cap" report '
	len({c["for_slo"]["max_batch"] for p in r["points"] for c in p["contenders"]}) > 2'
check "the HTML has its figures" bash -c \
	'test "$(grep -c "src=\"data:image/svg+xml," "$1")" -gt 20' _ "$w/report.html"
check "and needs no other file" bash -c \
	'! grep -Eq "(src|href)=\"?(http|/|figure)|@import|<link" "$1"' _ "$w/report.html"

before=$(wc -l <"$w/journal.jsonl")
start=$SECONDS
check "again" out/bin/bench --quick "$w"
echo "# took $((SECONDS - start)) s"
check "nothing was simulated twice" test "$(wc -l <"$w/journal.jsonl")" = "$before"
done_testing
