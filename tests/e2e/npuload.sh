#!/bin/bash
# SPDX-License-Identifier: MIT
#
# npuload on the emulated NPU: each scenario, the same requests and latencies as npusim's, figures that
# follow from the requests, the search for a rate, accuracy, files that go round, and what it refuses.
# shellcheck disable=SC2016
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

npuload=$PWD/out/bin/npuload npusim=$PWD/out/bin/npusim npurun=$PWD/out/bin/npurun
mobilenet=$PWD/out/networks/mobilenetv2.fnpu small=$PWD/out/models/fmnist-resnet3.fnpu
data=/usr/share/datasets/fashion-mnist
images=$data/t10k-images-idx3-ubyte.gz labels=$data/t10k-labels-idx1-ubyte.gz
small_exits=0.6873,0.2290,0.0837
w=$tap_dir/work
mkdir "$w"

# an NPU that only models time, and one that computes
timed=("$npuload" --backend emu --device functional=off --model "$mobilenet" --quiet)
real=("$npuload" --backend emu --model "$small" --images "$images" --labels "$labels" --quiet)

# holds FILE EXPRESSION: of Python, over the report's device section d, its host section h, and its
# only or last run r; load(FILE) is another report
holds() {
	/usr/bin/python3 - "$@" <<'PY'
import json, math, sys
def load(path): return json.load(open(path))
report = load(sys.argv[1])
d, h = report["device"], report["host"]
r = d["runs"][-1]
if not eval("(" + sys.argv[2] + ")"):
    print(json.dumps(report, indent=1))
    sys.exit(1)
PY
}

# --- the same requests as npusim's, and what becomes of them is the same
# agrees SIMULATED SERVED SHARE: all columns of a request, and its latency for a share of them; of
# the rest it is the same within a cycle
agrees() {
	/usr/bin/python3 - "$@" <<'PY'
import csv, sys
a, b = ({r["request"]: r for r in csv.DictReader(open(f))} for f in sys.argv[1:3])
assert a.keys() == b.keys() and len(a) > 100, (len(a), len(b))
for k in a:
    for c in "arrival_cycles", "arrival_us", "deadline_us", "exit", "stream":
        assert a[k][c] == b[k][c], (a[k], b[k])
same = [k for k in a if a[k]["outcome"] == b[k]["outcome"] and (a[k]["latency_us"] == b[k]["latency_us"] or
        abs(float(a[k]["latency_us"]) - float(b[k]["latency_us"])) <= 0.00125)]
print(len(same), "of", len(a))
assert len(same) >= float(sys.argv[3]) * len(a), [(a[k], b[k]) for k in a if k not in same][:3]
PY
}

both() {	# both POLICY SCENARIO WORKLOAD LOAD
	"$npusim" --quiet --model "$mobilenet" --policy "$1" --workload "$3" --load "$4" --count 1000 \
		--queue 256 --requests "$w/sim.csv" --json "$w/sim.json" &&
		"${timed[@]}" --policy "$1" --scenario "$2" --load "$4" --count 1000 \
			--requests "$w/load.csv" --json "$w/load.json" &&
		agrees "$w/sim.csv" "$w/load.csv" 1
}

for policy in serial adaptive static lazy cellular clockwork symphony fluid fluid+; do
	check "$policy: Poisson requests are npusim's, and their latencies, to the cycle" \
		both "$policy" server poisson 0.7
done
check "bursty requests, likewise" both lazy bursty bursty 0.6
check "cameras, likewise" both fluid+ cameras cameras 0.8
check "and so are the figures" holds "$w/load.json" '
	all(abs(r[a] - s[b]) <= 1e-3 * abs(s[b]) for s in [load("'"$w"'/sim.json")[0]["runs"][0]]
	    for a, b in [("mean_us", "mean_us"), ("p99_us", "p99_us"), ("busy", "busy"),
		("utilisation", "utilisation"), ("mean_batch", "mean_batch"), ("load", "load"),
		("preemptions", "preemptions"), ("merges", "merges"), ("throughput_hz", "throughput_hz"),
		("dram_bytes", "dram_bytes_per_request")])'

# --- figures follow from the requests
check "a run that rejects and is late" "${timed[@]}" --policy lazy --scenario bursty \
	--bursty factor=4,burst=0.05 --load 1 --queue 40 --count 3000 --reject-late 0.1 \
	--best-effort 0.1 --requests "$w/hard.csv" --json "$w/hard.json"
check "percentiles, means and counts are those of its requests" /usr/bin/python3 -c '
import csv, json, math, sys
report = json.load(open(sys.argv[2]))["device"]
r, warmup = report["runs"][0], report["warmup"]
rows = [q for q in csv.DictReader(open(sys.argv[1])) if int(q["request"]) >= warmup]
served = [q for q in rows if q["latency_us"]]
for name in "on time", "late", "dropped", "rejected":
    assert r[name.replace(" ", "_")] == sum(q["outcome"] == name for q in rows), name
assert len(rows) == r["requests"] == 3000 and 0 < r["rejected"] and 0 < r["late"] and 0 < r["dropped"]
latency = sorted(float(q["latency_us"]) for q in served)
for name, p in ("p50_us", 50), ("p90_us", 90), ("p95_us", 95), ("p99_us", 99), ("p999_us", 99.9), ("max_us", 100):
    assert abs(latency[math.ceil(p * len(latency) / 100 - 1e-9) - 1] - r[name]) < 2e-3, name
assert abs(sum(latency) / len(latency) - r["mean_us"]) < 1e-2
assert abs(r["slo_satisfaction"] - r["on_time"] / 3000) < 1e-9
assert all((float(q["ended_us"]) <= float(q["deadline_us"])) == (q["outcome"] == "on time") for q in served)
for e, share in enumerate(r["exits"]):
    assert abs(share - sum(q["left_at"] == str(e) for q in served) / len(served)) < 1e-9
' "$w/hard.csv" "$w/hard.json"

# --- scenarios
check "single-stream" "${timed[@]}" --scenario single-stream --count 500 --requests "$w/one.csv" \
	--json "$w/one.json"
check "one at a time keeps the NPU always busy, with batches of one" holds "$w/one.json" \
	'r["busy"] > 0.999 and r["mean_batch"] == 1 and abs(r["throughput_hz"] * r["mean_us"] / 1e6 - 1) < 1e-6'
check "each comes when the last has left" /usr/bin/python3 -c '
import csv, sys
rows = list(csv.DictReader(open(sys.argv[1])))
assert all(a["ended_us"] == b["arrival_us"] for a, b in zip(rows, rows[1:])) and len(rows) == 525
' "$w/one.csv"
check "single-stream, for half a second behind the warm-up" "${timed[@]}" --scenario single-stream \
	--duration 0.5 --warmup 1000 --json "$w/half.json"
check "is as long" holds "$w/half.json" '0.5 < r["time_s"] < 0.501 and r["requests"] > 1000'
check "multi-stream" "${timed[@]}" --scenario multi-stream --streams 6 --count 500 --warmup 0 \
	--requests "$w/multi.csv" --json "$w/multi.json"
check "the latency of a query is that of its slowest sample" /usr/bin/python3 -c '
import csv, json, sys
rows = list(csv.DictReader(open(sys.argv[1])))
assert len(rows) == 3000
queries = [rows[i:i + 6] for i in range(0, 3000, 6)]
assert all(len({q["arrival_cycles"] for q in query}) == 1 for query in queries)
slowest = [max(float(q["latency_us"]) for q in query) for query in queries]
r = json.load(open(sys.argv[2]))["device"]["runs"][0]
assert abs(sum(slowest) / 500 - r["mean_us"]) < 1e-2 and r["valid"]
' "$w/multi.csv" "$w/multi.json"
check "offline" "${timed[@]}" --scenario offline --count 500 --queue 64 --json "$w/offline.json"
check "all are served at once, though the queue is short, and faster than one by one" \
	holds "$w/offline.json" 'r["completed"] == 500 and r["rejected"] == 0 and r["busy"] > 0.999 and
		"slo_satisfaction" not in r and
		r["throughput_hz"] > 1.1 * load("'"$w"'/one.json")["device"]["runs"][0]["throughput_hz"]'
check "cameras by their frame rate" "${timed[@]}" --cameras n=24,fps=30,jitter=0.2 --duration 2 \
	--requests "$w/cameras.csv" --json "$w/cameras.json"
check "24 cameras, 30 frames per second, for two seconds" holds "$w/cameras.json" \
	'r["fps"] == 30 and r["rate_hz"] == 720 and abs(r["requests"] - 1440) <= 24'
check "cameras with a busy scene" "${timed[@]}" --cameras n=24,burst=4,busy=0.05 --load 0.5 \
	--count 20000 --requests "$w/busy.csv" --json "$w/busy.json"
check "send four times the mean in a fifth of the time, a quarter in the rest" /usr/bin/python3 -c '
import csv, json, sys
rate = json.load(open(sys.argv[2]))["device"]["runs"][0]["rate_hz"]
at = [float(q["arrival_us"]) / 1e6 for q in csv.DictReader(open(sys.argv[1]))]
assert at == sorted(at)
assert abs(len(at) / at[-1] / rate - 1) < 0.2, len(at) / at[-1] / rate
window = 0.01
counts = [0] * int(at[-1] / window)
for t in at[:-1]:
    if t < len(counts) * window: counts[int(t / window)] += 1
shares = [sum(low * rate * window <= c < high * rate * window for c in counts) / len(counts)
          for low, high in ((0, 0.6), (2.5, 5))]
print(shares)
assert shares[0] > 0.5 and 0.08 < shares[1] < 0.3, shares
' "$w/busy.csv" "$w/busy.json"

# --- files go round
check "a run that leaves its trace and its intervals" "${timed[@]}" --scenario server --rate 1200 \
	--policy lazy --count 800 --warmup 0 --save-trace "$w/trace.csv" --save-intervals "$w/intervals"
check "the trace again" "${timed[@]}" --trace "$w/trace.csv" --policy lazy --requests "$w/again.csv" \
	--exit-shares 0.35,0.25,0.2,0.2
check "gives the same" cmp <(cut -d, -f1,4-13 "$w/trace.csv") <(cut -d, -f1,4-13 "$w/again.csv")
check "the intervals again" "${timed[@]}" --intervals "$w/intervals" --policy lazy --count 800 \
	--warmup 0 --requests "$w/again.csv"
check "give the same" cmp <(cut -d, -f1,4-13 "$w/trace.csv") <(cut -d, -f1,4-13 "$w/again.csv")
check "npusim takes the intervals" "$npusim" --quiet --model "$mobilenet" --workload "$w/intervals" \
	--policy lazy --count 800 --warmup 0 --queue 256 --requests "$w/sim.csv"
# It writes them in the order in which they end; its start is the first of a request that was
# stopped, here it is the last.
outcomes() {
	cut -d, -f1,4-7,9-13 "$1" | sort
}
check "with the same outcome" cmp <(outcomes "$w/trace.csv") <(outcomes "$w/sim.csv")
check "npuload takes npusim's requests" "${timed[@]}" --trace "$w/sim.csv" --policy lazy \
	--exit-shares 0.35,0.25,0.2,0.2 --requests "$w/again.csv"
check "with the same outcome" cmp <(outcomes "$w/sim.csv") <(outcomes "$w/again.csv")

# --- real images
check "npurun's accuracy" "$npurun" --backend emu --model "$small" --labels "$labels" --quiet \
	--json "$w/run.json" "$images"
check "all images, offline" "${real[@]}" --scenario offline --count 10000 --json "$w/all.json"
same_as_npurun='r["completed"] == 10000 and r["failed"] == 0 and
	all(r["accuracy"] == n["accuracy"] and r["exits"] == [e["share"] for e in n["exits"]]
	    for n in [load("'"$w"'/run.json")["device"]])'
check "have npurun's accuracy and exits" holds "$w/all.json" "$same_as_npurun"
check "all images, cameras, a policy that stops batches" "${real[@]}" --scenario cameras --load 0.9 \
	--exits "$small_exits" --policy lazy --count 10000 --warmup 0 --json "$w/all.json"
check "have npurun's accuracy and exits, too" holds "$w/all.json" "$same_as_npurun"
check "measured exits" out/bin/exit-profile -o "$w/small.exits" "$small" "$images" "$labels"
check "give the accuracy without computing" "$npuload" --backend emu --device functional=off \
	--model "$small" --exits "$w/small.exits" --scenario server --load 0.5 --count 10000 --quiet \
	--json "$w/measured.json"
check "that is the images', nearly" holds "$w/measured.json" 'abs(r["accuracy"] - 0.9183) < 0.01'

# --- the same again
for i in 1 2; do
	"${real[@]}" --scenario server --rate 20000:60000:20000 --policy fluid+ --count 1000 \
		--json "$w/s$i.json" --csv "$w/s$i.csv"
done
check "two runs give the same report but for the host section" holds "$w/s1.json" \
	'd == load("'"$w"'/s2.json")["device"] and len(d["runs"]) == 3 and h["runs"][0]["wall_s"] > 0'
check "a line of CSV per rate, with the report's figures" /usr/bin/python3 -c '
import csv, json, sys
rows = list(csv.DictReader(open(sys.argv[1])))
runs = json.load(open(sys.argv[2]))["device"]["runs"]
assert [float(r["rate_hz"]) for r in rows] == [20000, 40000, 60000]
for row, run in zip(rows, runs):
    for k, v in run.items():
        if k in row and k != "reason":
            assert abs(float(row[k]) - float(v)) <= 1e-6 * abs(float(v)) + 1e-9, k
' "$w/s1.csv" "$w/s1.json"
"${real[@]}" --scenario server --rate 20000 --seed 2 --count 1000 --json "$w/s3.json"
check "another seed gives another" holds "$w/s3.json" \
	'r["mean_us"] != load("'"$w"'/s1.json")["device"]["runs"][0]["mean_us"]'
check "standard output has JSON, and nothing else" bash -c '"$@" | /usr/bin/python3 -c "
import json, sys
json.load(sys.stdin)[\"device\"][\"runs\"][0][\"mean_us\"]"' _ "$npuload" --backend emu \
	--device functional=off --model "$mobilenet" --scenario server --rate 500 --count 100 --json -

# --- bounds
search=("${timed[@]}" --scenario server --policy lazy --count 3000)
check "a search" "${search[@]}" --latency-bound p99=2 --search 500:3500:50 --json "$w/search.json"
check "its rate meets the bound, one step above does not" holds "$w/search.json" '
	(lambda best, by_rate: 500 < best < 3500 and by_rate[best]["valid"] and
	 by_rate[best]["p99_us"] <= 2000 and not by_rate[best + 50]["valid"])(
	 d["search"]["best_hz"], {x["rate_hz"]: x for x in d["runs"]})'
best=$(/usr/bin/python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["device"]["search"]["best_hz"])' \
	"$w/search.json")
check "that rate again is valid" "${search[@]}" --latency-bound p99=2 --rate "$best" --json "$w/best.json"
check "and the same" holds "$w/best.json" 'r["valid"] and
	r["mean_us"] in [x["mean_us"] for x in load("'"$w"'/search.json")["device"]["runs"]]'
check "a bound that no rate meets" "${search[@]}" --latency-bound p99=0.1 --search 500:3500 --json "$w/none.json"
check "is met by none" holds "$w/none.json" 'd["search"]["best_hz"] is None and len(d["runs"]) == 1'
check "a bound that every rate meets" "${search[@]}" --latency-bound p50=1000 --search 500:1500 --json "$w/every.json"
check "is met by the highest" holds "$w/every.json" 'd["search"]["best_hz"] == 1500'
check "a short run" "${timed[@]}" --scenario server --rate 500 --count 458 --json "$w/short.json"
check "does not say enough" holds "$w/short.json" 'not r["valid"] and "too few" in r["reason"]'
"${timed[@]}" --scenario server --rate 500 --count 459 --json "$w/short.json"
check "a query more does" holds "$w/short.json" 'r["valid"]'
check "a queue that grows" "${timed[@]}" --scenario server --load 4 --queue 100000 --count 2000 \
	--policy serial --latency-bound p50=300 --json "$w/grows.json"
check "is not stable" holds "$w/grows.json" 'not r["valid"] and "not stable" in r["reason"]'

# --- deadlines
check "a deadline in ms" "${timed[@]}" --scenario server --rate 500 --count 500 --slo 0.5 \
	--requests "$w/slo.csv"
check "is behind the arrival" /usr/bin/python3 -c '
import csv, sys
assert all(abs(float(q["deadline_us"]) - float(q["arrival_us"]) - 500) < 2e-3 for q in csv.DictReader(open(sys.argv[1])))
' "$w/slo.csv"
check "no deadline" "${timed[@]}" --scenario server --rate 500 --count 500 --slo none \
	--json "$w/slo.json" --requests "$w/slo.csv"
check "is none" holds "$w/slo.json" '"slo_satisfaction" not in r and r["late"] == 0'
check "a trace without deadlines" "${timed[@]}" --trace "$w/slo.csv" --json "$w/slo.json"
check "has none either" holds "$w/slo.json" '"slo_satisfaction" not in r and r["completed"] == 525'

# --- two reports side by side
check "two reports side by side" bash -c '"$@" >"'"$w"'/compare"' _ "$npuload" --compare "$w/one.json" \
	"$w/offline.json"
check "with the figures of both" /usr/bin/python3 -c '
import json, sys
a, b = (json.load(open(f))["device"]["runs"][0] for f in sys.argv[2:4])
line = next(l for l in open(sys.argv[1]) if l.startswith("latency, mean"))
assert "%.3f us" % a["mean_us"] in line and "%.3f us" % b["mean_us"] in line
assert "%.3gx" % (b["mean_us"] / a["mean_us"]) in line, line
assert "accuracy" not in open(sys.argv[1]).read()
' "$w/compare" "$w/one.json" "$w/offline.json"

# --- interrupted
# in the background a shell lets its children ignore SIGINT
interrupted() {
	/usr/bin/python3 - "$@" <<'PY'
import signal, subprocess, sys
p = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True,
                     preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
for line in p.stdout:
    if "valid" in line:
        break
p.send_signal(signal.SIGINT)
rest = p.stdout.read()
print(line, rest)
sys.exit(0 if p.wait() == 130 else 1)
PY
}
check "a run can be interrupted" interrupted "$npuload" --backend emu --device functional=off \
	--model "$mobilenet" --scenario server --rate 100:25000:100 --count 20000 --json "$w/interrupted.json"
check "what there was is reported" holds "$w/interrupted.json" '1 <= len(d["runs"]) < 249 and
	d["runs"][0]["requests"] == 20000 and
	(not r["interrupted"] or (r["reason"] == "interrupted" and r["requests"] < 20000))'

# --- what makes no sense is refused, with a reason
refuses "nothing" 2 "--model" "$npuload"
refuses "no scenario" 2 "Give --trace.*--scenario" "$npuload" --model "$small"
refuses "no such scenario" 2 "sever" "${timed[@]}" --scenario sever
refuses "no rate" 2 "which rate" "${timed[@]}" --scenario server
refuses "a negative rate" 2 "rate.*-5" "${timed[@]}" --scenario server --rate -5
refuses "a rate that is no number" 2 "rate.*nan" "${timed[@]}" --scenario server --rate nan
refuses "a range without a step" 2 "FROM:TO:STEP" "${timed[@]}" --scenario server --rate 1:2
refuses "a range that goes down" 2 "lower end" "${timed[@]}" --scenario server --rate 2:1:0.1
refuses "a range of too many" 2 "more than" "${timed[@]}" --scenario server --rate 1:1e6:1
refuses "rate and load" 2 "same thing" "${timed[@]}" --scenario server --rate 5 --load 0.5
refuses "fps and load" 2 "same thing" "${timed[@]}" --cameras fps=30 --load 0.5
refuses "a rate for what has none" 2 "no rate" "${timed[@]}" --scenario offline --rate 5
refuses "options of two scenarios" 2 "for the scenario cameras, not for server" \
	"${timed[@]}" --scenario server --rate 5 --cameras n=3
refuses "half a camera" 2 "whole" "${timed[@]}" --cameras n=2.5 --load 0.5
refuses "no such parameter of cameras" 2 "cameras has no parameter 'speed'" \
	"${timed[@]}" --cameras speed=3 --load 0.5
refuses "a bound without a search or a rate" 2 "search" "${timed[@]}" --scenario server \
	--latency-bound p99=5
refuses "a search without a bound" 2 "latency-bound" "${timed[@]}" --scenario server --search 1:2
refuses "a bound of nothing" 2 "latency-bound" "${timed[@]}" --scenario server --rate 5 \
	--latency-bound p99=0
refuses "a bound for all" 2 "latency-bound" "${timed[@]}" --scenario server --rate 5 \
	--latency-bound p100=5
refuses "a search upside down" 2 "lower end" "${timed[@]}" --scenario server --latency-bound p99=5 \
	--search 5:1
refuses "a search in too many steps" 2 "more than" "${timed[@]}" --scenario server \
	--latency-bound p99=5 --search 1:1e6:0.1
refuses "requests of several rates" 2 "one rate" "${timed[@]}" --scenario server --rate 5:9:1 \
	--requests "$w/x.csv"
refuses "intervals of what has none" 2 "do not come by themselves" "${timed[@]}" --scenario offline \
	--save-intervals "$w/x"
refuses "a query beyond the queue" 2 "larger --queue" "${timed[@]}" --streams 300
refuses "a negative deadline" 2 "slo" "${timed[@]}" --scenario server --rate 5 --slo -1
refuses "no request" 2 "count" "${timed[@]}" --scenario server --rate 5 --count 0
refuses "a duration of nothing" 2 "duration" "${timed[@]}" --scenario server --rate 1 --duration 0
refuses "a warm-up longer than the trace" 1 "none is left" "${timed[@]}" --trace "$w/trace.csv" \
	--warmup 800
refuses "a word too many" 2 "stray" "${timed[@]}" --scenario offline stray
refuses "no such option" 2 "frobnicate" "${timed[@]}" --frobnicate
refuses "no such back end" 2 "gpu" "$npuload" --backend gpu --model "$small" --scenario offline
refuses "no such policy" 1 "nonsense" "${timed[@]}" --scenario offline --policy nonsense
refuses "no device" 1 "/dev/fluidnpu" "$npuload" --model "$small" --scenario offline
refuses "an NPU that computes, without images" 1 "Give --images" "$npuload" --backend emu \
	--model "$small" --scenario offline
refuses "an NPU that computes, a trace without images" 1 "give --images" "$npuload" --backend emu \
	--model "$mobilenet" --trace "$w/trace.csv"
refuses "an NPU that computes nothing, with images" 1 "leave out --images" "$npuload" --backend emu \
	--device functional=off --model "$small" --images "$images" --scenario offline
refuses "a load where exits are not known" 1 "give --exits" "${real[@]}" --scenario server --load 0.5
refuses "images of another network" 1 "1 x 28 x 28|28" "$npuload" --backend emu --model "$mobilenet" \
	--images "$images" --scenario offline
refuses "labels without images" 2 "give both" "${timed[@]}" --scenario offline --labels "$labels"
refuses "labels of other images" 1 "do not belong together" "$npuload" --backend emu --model "$small" \
	--images "$images" --labels "$data/train-labels-idx1-ubyte.gz" --scenario offline
refuses "exits of another network" 1 "4 exits.*3" "$npuload" --backend emu --device functional=off \
	--model "$small" --scenario offline
refuses "shares of another network" 1 "exit-shares has 2.*4 exits" "${timed[@]}" --scenario offline \
	--exit-shares 0.5,0.5
refuses "exits of a trace" 2 "says itself" "${timed[@]}" --trace "$w/trace.csv" --exits easy
printf 'request,arrival_cycles,deadline_us,exit\n1,5,5,9\n' >"$w/deep.csv"
refuses "a trace of another network" 1 "leaves at exit 9" "${timed[@]}" --trace "$w/deep.csv"
refuses "a scenario of no intervals" 2 "Give --intervals" "${timed[@]}" --scenario intervals
refuses "intervals that are not there" 1 "nowhere" "${timed[@]}" --intervals nowhere
refuses "JSON where nothing can be written" 1 "nowhere" "${timed[@]}" --scenario offline \
	--json "$w/nowhere/x.json"
refuses "a full disk" 1 "/dev/full" "${timed[@]}" --scenario offline --count 10 --json /dev/full
refuses "one report" 2 "two files" "$npuload" --compare "$w/one.json"
refuses "a report that is none" 1 "no report" "$npuload" --compare "$w/one.json" "$w/sim.json"
refuses "a report of several rates" 1 "3 runs" "$npuload" --compare "$w/s1.json" "$w/one.json"
refuses "a report that is not there" 1 "nowhere" "$npuload" --compare "$w/nowhere" "$w/one.json"
done_testing
