#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Snapshots: a VM that is saved in the middle of a job and goes on in another QEMU process
# computes what it would have computed. With -icount even all its times are the same.
# And two that nobody has made in good faith, on a QEMU without a guest.
# Some strings are for the shell of the guest, or for node.
# shellcheck disable=SC2016
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

images=t10k-images-idx3-ubyte.gz
out=out/tests/snapshot
socket=$tap_dir/qmp
bare_pid=

rm -rf "$out"
mkdir -p "$out"
tools/guest-image out/guest.cpio >&2

# guest DIR SAMPLES OPTION...: the same VM each time; its results end up in DIR
guest() {
	local dir=$1 samples=$2
	shift 2
	tools/vm-run --initrd out/guest.cpio --device fluidnpu,bus=slot0 --deadline 600 \
		--log "$dir.log" --out "$dir" "$@" --cmd "
		echo guest: starts
		exec npurun --model /models/fmnist-resnet3.fnpu --limit $samples --progress never \
			--all-exits --logits /out --json /out/report.json /data/$images"
}

# wait_for TEXT FILE PID: until FILE has a line TEXT, or PID has ended without
wait_for() {
	grep -qm1 "$1" < <(tail -n +1 -s 0.1 -f --pid="$3" "$2")
}

# cut DIR SAMPLES OPTION...: runs the guest in two QEMU processes, one after the other
cut() {
	local dir=$1 samples=$2 pid status=0
	shift 2

	rm -f "$socket"
	guest "$dir" "$samples" --qmp "$socket" "$@" >"$dir.first" 2>&1 &
	pid=$!
	if ! { wait_for 'guest: starts' "$dir.first" "$pid" &&
		tests/qmp.py "$socket" stop-in-mid-job "$((samples / 3))" &&
		tests/qmp.py "$socket" save "$dir.vmstate"; }; then
		kill "$pid"
	fi
	# 121: ended without a status of its own
	wait "$pid" || status=$?
	cat "$dir.first"
	[[ $status == 121 ]] || return 1

	rm -f "$socket"
	guest "$dir" "$samples" --qmp "$socket" "$@" --qemu-arg -incoming --qemu-arg defer \
		>"$dir.second" 2>&1 &
	pid=$!
	tests/qmp.py "$socket" load "$dir.vmstate" || kill "$pid"
	status=0
	wait "$pid" || status=$?
	cat "$dir.second"
	rm -f "$dir.vmstate"
	return "$status"
}

same_logits() {
	local file n=0
	for file in "$1"/*.npy; do
		cmp "$file" "$2/${file##*/}" || return 1
		n=$((n + 1))
	done
	((n > 0))
}

# All but the section on the host, which is about this machine's speed.
device_section() {
	node -e '
		const report = JSON.parse(require("fs").readFileSync(process.argv[1]));
		if (!report.device) throw "no device section";
		console.log(JSON.stringify(report.device, null, 1));' "$1"
}

same_report() {
	diff <(device_section "$1/report.json") <(device_section "$2/report.json")
}

# bare NPU-OPTIONS [OPTION...]: a QEMU without a guest; the end of the last one first
bare() {
	end_bare
	rm -f "$socket"
	tests/bare-qemu "$socket" "$@" 2>>"$out/bare.log" &
	bare_pid=$!
}

end_bare() {
	if [[ -n $bare_pid ]]; then
		# one that was saved has ended; one that hangs hears of no other signal
		kill -KILL "$bare_pid" 2>/dev/null || true
		wait "$bare_pid" 2>/dev/null || true
	fi
	bare_pid=
}

qmp() {
	timeout 90 tests/qmp.py "$socket" "$@"
}

# Is there a device? Nothing answers with ones.
device_is() {
	local id

	id=$(qmp register 0)
	echo "register 0: $id"
	case $1 in
	there) [[ -n $id && $id != 0xffffffff ]] ;;
	gone) [[ $id == 0xffffffff ]] ;;
	esac
}

# Sets the time of the next interrupt in a snapshot: none is due, all ones, the first such there.
set_deadline() {
	/usr/bin/python3 - "$1" "$2" <<-'END'
		import struct, sys

		with open(sys.argv[1], "r+b") as file:
		    data = file.read()
		    file.seek(data.index(b"\xff" * 8, data.index(b"FNPS")))
		    file.write(struct.pack("<Q", int(sys.argv[2])))
	END
}

check "a guest runs through" guest "$out/whole" 2000 --icount 1
check "a guest is saved in the middle of a job and goes on in another QEMU" \
	cut "$out/cut" 2000 --icount 1
check "its logits are those of the guest that ran through" same_logits "$out/whole" "$out/cut"
check "its report is the same, to the cycle" same_report "$out/whole" "$out/cut"

# Without -icount the computing does not hold up the guest's time. More samples, as it is faster.
check "the emulator runs" out/bin/npurun --backend emu --model out/models/fmnist-resnet3.fnpu \
	--all-exits --logits "$out/emu" /usr/share/datasets/fashion-mnist/$images
check "a guest without -icount is saved and goes on" cut "$out/live" 10000
check "its logits are those of the emulator" same_logits "$out/emu" "$out/live"

bare ''
check "a device is there" device_is there
check "it is saved" qmp save "$out/there.vmstate"
bare ''
check "another one is there" device_is there
check "it is pulled out" qmp qom-set path=/machine/peripheral/npu property=surprise-removal value=true
check "it is gone" device_is gone
check "its slot is saved" qmp save "$out/gone.vmstate"
bare ,surprise-removal=on -incoming defer
check "a snapshot of a device is loaded where it has been pulled out since" \
	qmp load "$out/there.vmstate"
check "it is back" device_is there
bare '' -incoming defer
check "a snapshot of the slot without it is loaded" qmp load "$out/gone.vmstate"
check "it is gone again" device_is gone

# 2^61 cycles of 1 us are more nanoseconds than 64 bits hold; that many are a multiple of 2^64.
deadline=$((1 << 61))
bare ,clock-hz=1000000
check "a device with a slow clock is saved" qmp save "$out/slow.vmstate"
check "its snapshot is changed to a time that never comes" set_deadline "$out/slow.vmstate" $deadline
bare ,clock-hz=1000000 -incoming defer -trace fluidnpu_load -D "$out/slow.log"
check "it is loaded" qmp load "$out/slow.vmstate"
check "it has that time" grep -F "next event at cycle $deadline" "$out/slow.log"
check "QEMU still answers" qmp query-status
end_bare
done_testing
