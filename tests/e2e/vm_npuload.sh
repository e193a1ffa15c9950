#!/bin/bash
# SPDX-License-Identifier: MIT
#
# npuload through /dev/fluidnpu: cameras and Poisson arrivals of real images in the VM, and the same
# cameras once more on a conventional NPU in another one: same requests, other latencies.
#
# As for tools/live-check, the NPU is a slow one, whose layers take longer than the guest's work.
# Its clock counts instructions, so no deadline depends on this host.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

clock=8000000
out=out/tests/npuload
rm -rf "$out"
mkdir -p "$out/root/load"
tools/guest-image "$out/guest.cpio" >&2
check "the network for a conventional NPU" out/bin/npucc tools/models/fmnist-resnet3.onnx \
	--conventional -o "$out/root/load/conventional.fnpu"
(cd "$out/root" && find . -mindepth 1 | cpio --quiet -o -H newc) >>"$out/guest.cpio"

images=/data/t10k-images-idx3-ubyte.gz labels=/data/t10k-labels-idx1-ubyte.gz
load="npuload --images $images --labels $labels --exits 0.6873,0.2290,0.0837 --quiet"
cameras="--scenario cameras --cameras n=24,burst=3,busy=0.2 --load 0.9 --count 2000 --warmup 0"

# in_guest NAME DEVICE COMMAND
in_guest() {
	tools/vm-run --initrd "$out/guest.cpio" --icount 1 --deadline 600 \
		--device "fluidnpu,bus=slot0,clock-hz=$clock$2" --log "$out/$1.log" --out "$out" \
		--cmd "set -e; echo on >/sys/class/accel/accel0/device/power/control; $3"
}

fluid=/models/fmnist-resnet3.fnpu
check "cameras, Poisson arrivals and all at once, on the fluid NPU" in_guest fluid "" "
	$load --model $fluid $cameras --policy fluid+ --json /out/fluid.json --requests /out/fluid.csv
	$load --model $fluid --scenario server --load 0.6 --count 1000 --policy lazy \
		--json /out/server.json --requests /out/server.csv
	$load --model $fluid --scenario server --load 0.3 --count 500 --submit ioctl --json /out/ioctl.json
	$load --model $fluid --scenario offline --count 1000 --depth 2 --json /out/offline.json
	npurun --model $fluid --labels $labels --limit 2000 --quiet --json /out/npurun.json $images"
check "the same cameras on a conventional NPU" in_guest conventional ,max-stack=1 "
	$load --model /load/conventional.fnpu $cameras --policy lazy --json /out/conventional.json \
		--requests /out/conventional.csv"

# holds NAME EXPRESSION: of Python, over the report's device section d, its host section h and its
# run r; run(NAME) is that of another report
holds() {
	/usr/bin/python3 - "$out" "$@" <<'PY'
import json, sys
def load(name): return json.load(open("%s/%s.json" % (sys.argv[1], name)))
def run(name): return load(name)["device"]["runs"][0]
d, h, r = load(sys.argv[2])["device"], load(sys.argv[2])["host"], run(sys.argv[2])
if not eval("(" + sys.argv[3] + ")"):
    print(json.dumps(load(sys.argv[2]), indent=1))
    sys.exit(1)
PY
}

for name in fluid server ioctl offline conventional; do
	check "$name: no request failed, every one ended, and times are in order" holds "$name" '
		h["backend"] == "kmd" and r["failed"] == 0 and r["requests"] in (500, 1000, 2000) and
		r["completed"] + r["dropped"] + r["rejected"] == r["requests"] and
		0 < r["p50_us"] <= r["p99_us"] <= r["max_us"] and r["mean_us"] < r["seen_mean_us"] and
		0 < r["busy"] <= 1 and 0 < r["utilisation"] <= 1 and not r["interrupted"]'
done
check "io_uring and ioctl" holds ioctl \
	'h["submission"] == "ioctl" and load("fluid")["host"]["submission"] == "uring"'
check "requests are not sent before their time" /usr/bin/python3 -c '
import csv, sys
rows = list(csv.DictReader(open(sys.argv[1])))
assert len(rows) == 1050
assert all(float(q["submitted_after_us"]) >= 0 and float(q["started_us"]) > float(q["arrival_us"]) for q in rows)
' "$out/server.csv"
check "all cameras' frames have npurun's accuracy and exits" holds fluid '
	all(r["completed"] == n["samples"] == 2000 and r["accuracy"] == n["accuracy"] and
	    r["exits"] == [e["share"] for e in n["exits"]]
	    for n in [json.load(open(sys.argv[1] + "/npurun.json"))["device"]])'
check "load 0.9 is 25 frames per second of each camera" holds fluid 'abs(r["fps"] - 25.17) < 0.1'
check "both NPUs got the same frames" cmp <(cut -d, -f1-6 "$out/fluid.csv") \
	<(cut -d, -f1-6 "$out/conventional.csv")
check "which the fluid one serves faster" holds fluid 'r["mean_us"] < run("conventional")["mean_us"] and
	r["slo_satisfaction"] > run("conventional")["slo_satisfaction"]'
check "the emulator serves them" out/bin/npuload --backend emu --device "clock_hz=$clock" \
	--images "/usr/share/datasets/fashion-mnist/${images##*/}" --exits 0.6873,0.2290,0.0837 --quiet \
	--model out/models/fmnist-resnet3.fnpu --scenario cameras --cameras n=24,burst=3,busy=0.2 \
	--load 0.9 --count 2000 --warmup 0 --policy fluid+ --json "$out/emu.json" --requests "$out/emu.csv"
check "the same frames" cmp <(cut -d, -f1-6 "$out/fluid.csv") <(cut -d, -f1-6 "$out/emu.csv")
check "with the same latency but for the guest's work, which is less than a fifth" holds fluid \
	'1 <= r["mean_us"] / run("emu")["mean_us"] < 1.2'
out/bin/npuload --compare "$out/conventional.json" "$out/fluid.json" | sed 's/^/# /'
done_testing
