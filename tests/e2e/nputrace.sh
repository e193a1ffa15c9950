#!/bin/bash
# SPDX-License-Identifier: MIT
#
# nputrace: a program's decisions, and what the NPU did by its driver, in one sound timeline.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

images=/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz
model=out/models/fmnist-resnet3.fnpu
nputrace=$PWD/out/bin/nputrace
out=out/tests/nputrace
rm -rf "$out"
mkdir -p "$out/tmp"

# facts FILE: counts of what is in it, as "samples=500 jobs=32 ..."
facts() {
	/usr/bin/python3 - "$1" <<'EOF'
import collections, json, sys
events = json.load(open(sys.argv[1]))["traceEvents"]
count = collections.Counter()
jobs = {True: [], False: []}    # by the driver, by the library
for e in events:
    if e["ph"] == "e" and e["name"] == "sample" and "exit" in e["args"]:
        count["samples"] += 1
    if e["ph"] == "i" and e["name"].startswith("START"):
        count["started"] += int(e["name"].split()[1])
        assert e["args"]["why"] and e["args"]["after"], e
    if e["ph"] == "i" and e["name"].startswith("exit") and "client" in e["args"]:
        count["exits"] += 1
    if e["name"] in ("job_submit", "job_run", "job_end"):
        count[e["name"]] += 1
    if e["ph"] == "X":
        # the first job of a session asks what time it is, and has no samples
        if "client" not in e["args"]:
            jobs[False].append((e["ts"], e["dur"]))
        elif " 0 samples" not in e["name"]:
            jobs[True].append((e["ts"], e["dur"]))
count["jobs"] = len(jobs[False])
count["same"] = sum(abs(a[0] - b[0]) < 0.002 and abs(a[1] - b[1]) < 0.002
                    for a, b in zip(sorted(jobs[True]), sorted(jobs[False])))
# a job is submitted before the device runs it, on one axis
submits = [e["ts"] for e in events if e["name"] == "job_submit"]
count["late"] = sum(s > j[0] for s, j in zip(submits[1:], sorted(jobs[True])))
print(" ".join(f"{k}={v}" for k, v in sorted(count.items())))
EOF
}

tells() {	# tells FILE WORD...: each stands in its facts
	local file=$1 all word
	all=" $(facts "$file") " || return 1
	shift
	echo "$all"
	for word in "$@"; do
		[[ $all == *" $word "* ]] || return 1
	done
}

# ---- on the host ----

check "a program on the emulator" env TMPDIR="$out/tmp" "$nputrace" --kernel never \
	--output "$out/emu.json" -- out/bin/npurun --backend emu --model "$model" \
	--policy fluid+ --limit 500 --quiet "$images"
check "all its samples and jobs are there" tells "$out/emu.json" samples=500 started=500 jobs=32
check "nothing is left behind" test -z "$(ls "$out/tmp")"

ends_with() {	# ends_with STATUS COMMAND...
	local want=$1 status=0
	shift
	"$@" || status=$?
	[[ $status == "$want" ]]
}
check "the status is the program's" ends_with 7 "$nputrace" --kernel never \
	--output "$out/x.json" sh -c 'exit 7'
check "a program without sessions has an empty timeline" tells "$out/x.json" jobs=0
# shellcheck disable=SC2016  # for the shell that is recorded
check "a program that is killed" ends_with 137 "$nputrace" --kernel never \
	--output "$out/killed.json" sh -c "
		out/bin/npurun --backend emu --model $model --policy lazy --quiet $images & sleep 1
		kill -KILL \$!; wait; kill -KILL \$\$"
check "what it had recorded is sound" tells "$out/killed.json"
check "who ignores the end of children" timeout 20 bash -c \
	"trap '' CHLD; exec $nputrace --kernel never --output $out/x.json true"
mkdir "$out/tmp/g[x]"
check "a directory with a strange name" env TMPDIR="$out/tmp/g[x]" "$nputrace" --kernel never \
	--output "$out/strange.json" out/bin/npurun --backend emu --model "$model" --limit 50 \
	--quiet "$images"
check "its samples are there" tells "$out/strange.json" samples=50
check "nothing is left behind there" test -z "$(ls "$out/tmp/g[x]")"
rmdir "$out/tmp/g[x]"
ended() {	# SIGTERM is for the program, and its recording is kept
	local pid status=0
	TMPDIR="$out/tmp" "$nputrace" --kernel never --output "$out/ended.json" sleep 60 &
	pid=$!
	while [[ -z $(pgrep -P "$pid" sleep) ]]; do
		kill -0 "$pid" || return 1
	done
	kill -TERM "$pid"
	wait "$pid" || status=$?
	((status == 143)) && tells "$out/ended.json" && [[ -z $(ls "$out/tmp") ]]
}
check "who is told to end" ended
lost() {	# what was recorded for nothing is named, and there
	local said
	said=$(TMPDIR="$out/tmp" "$nputrace" --kernel never --output /dev/full out/bin/npurun \
		--backend emu --model "$model" --limit 100 --quiet "$images" 2>&1) && return 1
	echo "$said"
	[[ $said =~ is\ left\ in\ ([^ ]+) ]] && ls "${BASH_REMATCH[1]}"/lib.* &&
		rm -r "${BASH_REMATCH[1]}"
}
check "a full disk leaves what the library recorded" lost
refuses "no program" 2 'which program' "$nputrace"
refuses "no such program" 127 'cannot run /nowhere/x: No such file' "$nputrace" \
	--kernel never --output "$out/x.json" /nowhere/x
refuses "no place for the timeline" 1 'cannot write /nowhere/t.json' "$nputrace" \
	--kernel never --output /nowhere/t.json true
refuses "a full disk" 1 'cannot write all of /dev/full' env TMPDIR="$out" "$nputrace" --kernel never \
	--output /dev/full out/bin/npurun --backend emu --model "$model" --limit 100 --quiet "$images"
refuses "no temporary directory" 1 'cannot make a directory in /nowhere.*TMPDIR' \
	env TMPDIR=/nowhere "$nputrace" --kernel never true
refuses "no driver, and it must be recorded" 1 'there is no NPU' "$nputrace" --kernel always \
	--device /dev/nothing true
refuses "an unknown choice" 2 'auto, always or never' "$nputrace" --kernel sometimes true

# ---- in the VM ----

tools/guest-image out/guest.cpio >&2
# shellcheck disable=SC2016  # for the shell of the guest
check "a program on the driver" tools/vm-run --initrd out/guest.cpio --icount 1 \
	--device fluidnpu,bus=slot0 --deadline 300 --log out/tests/nputrace.log --out "$out" --cmd '
		set -e
		nputrace --kernel always --output /out/kmd.json npurun --model /models/fmnist-resnet3.fnpu \
			--policy fluid+ --limit 2000 --quiet /data/t10k-images-idx3-ubyte.gz
		[ -z "$(ls /sys/kernel/tracing/instances)" ]
		nputrace --kernel always --buffer 4 --output /out/small.json npurun \
			--model /models/fmnist-resnet3.fnpu --quiet /data/t10k-images-idx3-ubyte.gz 2>/out/small.txt'
check "library and driver tell the same, on one axis" tells "$out/kmd.json" samples=2000 \
	started=2000 jobs=125 same=125 exits=2000 job_submit=126 job_run=126 job_end=126 late=0
check "a small buffer that lost events says so" grep -E \
	'[1-9][0-9]* events of the driver are lost' "$out/small.txt"
done_testing
