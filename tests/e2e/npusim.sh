#!/bin/bash
# SPDX-License-Identifier: MIT
#
# npusim, the program: what it refuses, that it repeats itself, that a sweep goes on after an
# interruption, that overload ends, and that nothing beats the oracle. Speed is told, not judged.
# shellcheck disable=SC2016
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

npusim=$PWD/out/bin/npusim
resnet=$PWD/out/networks/resnet50.fnpu mobilenet=$PWD/out/networks/mobilenetv2.fnpu
small=$PWD/out/models/fmnist-resnet3.fnpu
w=$tap_dir/work
mkdir "$w"

sim=("$npusim" --model "$resnet" --count 2000 --quiet)
mapfile -t policies < <("$npusim" --list-policies | sed -nE 's/^([a-z+]+): .*/\1/p' | grep -v oracle)

json() {	# json FILE EXPRESSION: a Python expression over the list of points p
	/usr/bin/python3 - "$1" "$2" <<'PY'
import json, sys
p = json.load(open(sys.argv[1]))
def mean(point, field): return point["mean_and_95_percent_half_width"][field][0]
if not eval("(" + sys.argv[2] + ")"):
    for point in p:
        print(point["policy"], point["npu"], point["mean_and_95_percent_half_width"])
    sys.exit(1)
PY
}

# --- what is right works, so that the refusals below mean something
check "a simulation" "${sim[@]}" --load 0.5 --json "$w/one.json"
check "it served all requests" json "$w/one.json" 'mean(p[0], "requests") == 2000 and
	mean(p[0], "completed") + mean(p[0], "dropped") + mean(p[0], "rejected") == 2000'
check "there are policies" test ${#policies[@]} -ge 2
check "all policies, both NPUs" "${sim[@]}" "${policies[@]/#/--policy=}" --npu conventional,fluid \
	--workload poisson --workload bursty --load 0.6:1.0:0.2 --jobs 2 --json "$w/all.json"

# --- what makes no sense is refused, with a reason
refuses "no network" 2 "--model" "$npusim"
refuses "a network that is not there" 1 "nowhere.fnpu" "$npusim" --model "$w/nowhere.fnpu"
refuses "a file that is no network" 1 "Makefile" "$npusim" --model Makefile
refuses "no such policy" 1 "nonsense" "${sim[@]}" --policy nonsense
refuses "no such parameter" 1 "speed" "${sim[@]}" --policy adaptive:speed=9
refuses "a negative load" 2 "load.*-1" "${sim[@]}" --load -1
refuses "no load" 2 "load.*\"0\"" "${sim[@]}" --load 0
refuses "a load without end" 2 "load.*inf" "${sim[@]}" --load inf
refuses "a load that is no number" 2 "load.*nan" "${sim[@]}" --load nan
refuses "a load beyond all bounds" 2 "load.*1e300" "${sim[@]}" --load 1e300
refuses "a range of loads without a step" 2 "load" "${sim[@]}" --load 0.1:0.5
refuses "a range with too many loads" 2 "more than" "${sim[@]}" --load 0.1:1:0.0001
refuses "a negative rate" 2 "rate.*-5" "${sim[@]}" --rate -5
refuses "load and rate" 2 "same thing" "${sim[@]}" --load 0.5 --rate 100
refuses "an SLO of nothing" 2 "slo" "${sim[@]}" --slo 0
refuses "requests without end" 2 "count" "${sim[@]}" --count 99999999999999
refuses "no request" 2 "count" "${sim[@]}" --count 0
refuses "no such workload" 2 "poison" "${sim[@]}" --workload poison
refuses "a burst of nothing" 2 "burst" "${sim[@]}" --workload bursty:burst=0
refuses "no such exits" 1 "hardest" "${sim[@]}" --exits hardest
refuses "exits of another network" 1 "4 exits.*3" "$npusim" --model "$small" --exits mid
refuses "exits that do not add up" 1 "add up" "${sim[@]}" --exits 0.5,0.5,0.5,0.5
refuses "no such NPU" 2 "gpu" "${sim[@]}" --npu gpu
refuses "no such property of an NPU" 2 "speed" "${sim[@]}" --device speed=9
refuses "a batch beyond the NPU's" 2 "max-batch" "${sim[@]}" --max-batch 99
refuses "no such option" 2 "frobnicate" "${sim[@]}" --frobnicate
refuses "a word too many" 2 "stray" "${sim[@]}" stray
refuses "a timeline of a sweep" 2 "single" "${sim[@]}" --load 0.5,0.6 --timeline "$w/t.json"
refuses "JSON where nothing can be written" 1 "nowhere" "${sim[@]}" --json "$w/nowhere/x.json"
refuses "a journal where nothing can be written" 1 "nowhere" "${sim[@]}" --journal "$w/nowhere/j"

: >"$w/empty.txt"
printf '100\n-1\n' >"$w/backwards.txt"
printf '100\nsoon\n' >"$w/word.txt"
printf '0\n0\n' >"$w/zero.txt"
refuses "an empty file of intervals" 1 "empty.txt is empty" "${sim[@]}" --workload "$w/empty.txt"
refuses "time that runs backwards" 1 "backwards.txt:2: .*backwards" "${sim[@]}" \
	--workload "$w/backwards.txt"
refuses "a word for an interval" 1 "word.txt:2: 'soon'" "${sim[@]}" --workload "$w/word.txt"
refuses "all requests at once" 1 "zero.txt.*at once" "${sim[@]}" --workload "$w/zero.txt"
refuses "intervals that are not there" 1 "nowhere.txt" "${sim[@]}" --workload "$w/nowhere.txt"

# --- intervals from a file: one sample at a time takes what the cost table says
for ((i = 0; i < 50; i++)); do printf '100000 3\n'; done >"$w/slow.txt"
check "a recorded workload" "$npusim" --model "$resnet" --workload "$w/slow.txt" --count 50 --warmup 0 \
	--quiet --policy serial --npu conventional --requests "$w/slow.csv" --json "$w/slow.json"
check "a sample alone takes the sum of its layers" json "$w/slow.json" \
	'7000 < mean(p[0], "max_us") < 9000 and mean(p[0], "max_us") - mean(p[0], "mean_us") < 1'
check "a line per request" test "$(wc -l <"$w/slow.csv")" = 51

# --- the same again
for i in 1 2; do
	"${sim[@]}" --policy "${policies[-1]}" --workload bursty --load 0.9 --requests "$w/r$i.csv" \
		--timeline "$w/t$i.json" --json "$w/s$i.json"
done
check "two runs give the same requests" cmp "$w/r1.csv" "$w/r2.csv"
check "and the same timeline" cmp "$w/t1.json" "$w/t2.json"
check "and the same figures" cmp "$w/s1.json" "$w/s2.json"
check "the timeline is JSON with slices" /usr/bin/python3 -c '
import json, sys
events = json.load(open(sys.argv[1]))["traceEvents"]
slices = [e for e in events if e["ph"] == "X" and e["pid"] == 1]
assert len(slices) > 500
# one NPU: its slices do not overlap
slices.sort(key=lambda e: e["ts"])
assert all(a["ts"] + a["dur"] <= b["ts"] + 1e-3 for a, b in zip(slices, slices[1:]))
' "$w/t1.json"
"${sim[@]}" --seed 2 --policy "${policies[-1]}" --workload bursty --load 0.9 --requests "$w/r3.csv"
check "another seed gives other requests" bash -c '! cmp -s "$1" "$2"' _ "$w/r1.csv" "$w/r3.csv"
check "one process or two, the same figures" bash -c '
	for jobs in 1 2; do "$@" --jobs $jobs --json "'"$w"'/j$jobs.json"; done
	cmp "'"$w"'/j1.json" "'"$w"'/j2.json"' _ "${sim[@]}" --load 0.3:1.2:0.1 --seeds 2

# --- interrupted, and gone on
sweep=("$npusim" --model "$resnet" --quiet --count 300000 --load 0.3:1.2:0.05 --jobs 2)
"${sweep[@]}" --json "$w/whole.json"
# in the background a shell lets its children ignore SIGINT
interrupted() {
	/usr/bin/python3 - "$@" <<'PY'
import os, signal, subprocess, sys, time
journal = sys.argv[1]
p = subprocess.Popen(sys.argv[2:], preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
while p.poll() is None and (not os.path.exists(journal) or open(journal).read().count("\n") < 4):
    time.sleep(0.005)
p.send_signal(signal.SIGINT)
sys.exit(0 if p.wait() == 130 else 1)
PY
}
check "a sweep can be interrupted" interrupted "$w/journal" "${sweep[@]}" --journal "$w/journal"
before=$(wc -l <"$w/journal")
check "not all was done" test "$before" -lt 20
printf '{"key":"cut off' >>"$w/journal"
check "it goes on" "${sweep[@]}" --journal "$w/journal" --json "$w/resumed.json"
check "with the same figures" cmp "$w/whole.json" "$w/resumed.json"
check "without doing again what was done" test "$(wc -l <"$w/journal")" = 20

# --- overload ends, in bounded memory
for policy in "${policies[@]}"; do
	check "$policy under overload, 64 MiB" bash -c 'ulimit -v 65536; exec "$@"' _ "$npusim" \
		--model "$small" --exits 0.5,0.3,0.2 --quiet --policy "$policy" --load 20 \
		--count 300000 --queue 1000 --json "$w/overload.json"
	check "$policy: every request has an outcome" json "$w/overload.json" \
		'mean(p[0], "completed") + mean(p[0], "dropped") + mean(p[0], "rejected") == 300000'
done

# --- the oracle
"${sim[@]}" --count 5000 "${policies[@]/#/--policy=}" --policy oracle --npu conventional,fluid \
	--workload poisson --workload bursty --load 0.5,0.8,1.2 --json "$w/bounds.json"
check "no policy has fewer violations than the oracle" json "$w/bounds.json" '
	all(mean(a, "violations") <= mean(b, "violations") or mean(b, "early") > 0
	    for a in p if a["policy"] == "oracle" for b in p
	    if (a["npu"], a["workload"], mean(a, "load")) == (b["npu"], b["workload"], mean(b, "load")))'
check "no policy that serves all has a lower mean" json "$w/bounds.json" '
	all(mean(a, "mean_us") <= mean(b, "mean_us") or mean(b, "completed") < 5000 or mean(b, "early") > 0
	    for a in p if a["policy"] == "oracle" for b in p
	    if (a["npu"], a["workload"], mean(a, "load")) == (b["npu"], b["workload"], mean(b, "load")))'
check "goodput: the oracle's load is the highest" bash -c '
	"$@" --goodput 0.99 --policy oracle --policy "'"${policies[-1]}"'" --json "'"$w"'/goodput.json"' \
	_ "${sim[@]}"
check "and 99 % are on time there" json "$w/goodput.json" \
	'mean(p[0], "load") >= mean(p[1], "load") > 0.1 and
	 all(mean(x, "violations") < 0.01 + 1e-9 for x in p)'

# --- serial service is an M/G/1 queue: Pollaczek and Khinchine know its mean
check "serial service waits as long as theory says" bash -c '
	"$@" --policy serial --npu conventional --load 0.7 --exits 0,0,0,1 --count 400000 --seeds 4 \
		--slo 1000 --json "'"$w"'/mg1.json"' _ "$npusim" --model "$resnet" --quiet
check "(mean of M/D/1 at 0.7: 1 + 0.7 / 0.6 services)" json "$w/mg1.json" '
	abs(mean(p[0], "mean_us") / (mean(p[0], "cycles_per_request") / 800) / (1 + 0.7 / 0.6) - 1) < 0.02'

# --- two networks share the NPU
check "two networks" "$npusim" --model "$resnet" --model "$mobilenet" --share 1 --share 5 --exits mid \
	--exits easy --load 0.6 --count 3000 --quiet --policy "${policies[-1]}" --requests "$w/two.csv"
check "both are served" bash -c '
	test "$(cut -d, -f2 "$1" | sort | uniq -c | awk "\$2 == 0 || \$2 == 1 {n += \$1 > 300} END {print n}")" = 2' \
	_ "$w/two.csv"

# --- measured exits
check "exits of the test images" out/bin/exit-profile -o "$w/resnet3.exits" "$small" \
	/usr/share/datasets/fashion-mnist/t10k-{images-idx3,labels-idx1}-ubyte.gz
check "are those that the NPU is held to" /usr/bin/python3 -c '
import json, sys
want = json.load(open("tools/models/fmnist-resnet3.expected.json"))
rows = [list(map(int, l.split())) for l in open(sys.argv[1]) if l[0] != "#"]
assert [sum(r[0] == e for r in rows) for e in range(3)] == want["early_exit"]["default"]["left"]
assert [sum(r[0] == e and r[1 + e] for r in rows) for e in range(3)] == want["early_exit"]["default"]["correct"]
assert [sum(r[1 + e] for r in rows) for e in range(3)] == want["correct"]
' "$w/resnet3.exits"
check "a network with measured exits" "$npusim" --model "$small" --exits "$w/resnet3.exits" \
	--count 20000 --quiet --policy adaptive --json "$w/measured.json"
check "has the accuracy that was measured" json "$w/measured.json" \
	'abs(mean(p[0], "accuracy") - 0.9183) < 0.01'
refuses "exit-profile without images" 2 "images" out/bin/exit-profile -o "$w/x" "$small"
refuses "labels of other images" 1 "do not belong together" out/bin/exit-profile -o "$w/x" "$small" \
	/usr/share/datasets/fashion-mnist/{t10k-images-idx3,train-labels-idx1}-ubyte.gz

"$npusim" --model "$resnet" --count 100000 --policy "${policies[-1]}" | sed -n 's/^simulation speed/# speed/p'
done_testing
