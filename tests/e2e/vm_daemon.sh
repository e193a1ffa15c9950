#!/bin/bash
# SPDX-License-Identifier: MIT
#
# fluidnpud on the kernel driver: several npurun at once get the bytes that one gets without it, by
# io_uring and by ioctl; one that is killed disturbs nobody; SIGTERM ends the daemon. Then the NPU is
# removed under it: it ends and says why, and so does its client; with the NPU back, a new one serves.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

out=out/tests/daemon-vm
images=t10k-images-idx3-ubyte.gz
rm -rf "$out"
mkdir -p "$out"
tools/guest-image out/guest.cpio >&2

# What the guest runs. Its shell is busybox's.
read -r -d '' guest <<'END' || true
images=/data/t10k-images-idx3-ubyte.gz
run="npurun --model /models/fmnist-resnet3.fnpu --quiet"
by="$run --backend daemon --device /tmp/npu.sock"
serve() {
	fluidnpud --model /models/fmnist-resnet3.fnpu --socket /tmp/npu.sock --metrics 9000 \
		"$@" 2>>/out/daemon.log &
	daemon=$!
	while [ ! -S /tmp/npu.sock ]; do :; done
}
end() {
	wget -q -O "/out/$1.metrics" http://127.0.0.1:9000/metrics
	kill $daemon
	wait $daemon
	echo "$1 ended with status $?" >>/out/told
}

$run --limit 1000 --logits /out/alone $images
ip link set lo up
for how in uring ioctl; do
	echo "$how"
	serve --submit $how
	for i in 1 2 3 4; do
		$by --limit 1000 --logits /out/$how$i $images &
		clients="$clients $!"
	done
	# this one does not get far
	$by $images &
	victim=$!
	$by --limit 64 $images
	kill -9 $victim
	for client in $clients; do
		wait $client || echo "a client of $how failed" >>/out/told
	done
	clients=
	$by --limit 500 --all-exits --logits /out/$how-all $images
	end $how
done
serve
while $by $images 2>/out/lost; do :; done &
client=$!
while [ ! -s /out/lost ]; do
	sleep 1
	[ ! -d /sys/bus/pci/devices/0000:01:00.0 ] || echo 1 >/sys/bus/pci/devices/0000:01:00.0/remove
done
wait $client
wait $daemon
echo "without its NPU it ended with status $?" >>/out/told
rm -f /tmp/npu.sock
echo 1 >/sys/bus/pci/rescan
udevadm settle
serve
$by --limit 64 $images && echo "it serves again" >>/out/told
sleep 1
echo 1 >/sys/bus/pci/devices/0000:01:00.0/remove
wait $daemon
echo "idle, too, with status $?" >>/out/told
END

check "four clients, and one that is killed, by io_uring and by ioctl" \
	tools/vm-run --initrd out/guest.cpio --device fluidnpu,bus=slot0 --deadline 200 \
	--log out/tests/vm_daemon.log --out "$out" --cmd "$guest"

same() {	# same NAME
	local file
	for file in "$out/alone"/*.npy; do
		cmp "$file" "$out/$1/${file##*/}" || return 1
	done
	[[ -s $out/alone/exit2.npy ]]
}
for how in uring ioctl; do
	for i in 1 2 3 4; do
		check "$how: client $i has the bytes of one that is alone" same "$how$i"
	done
	check "$how: SIGTERM ended the daemon with status 0" \
		grep -qx "$how ended with status 0" "$out/told"
done
for how in uring ioctl; do
	check "$how: the NPU read all inputs where the clients had them (udmabuf)" \
		grep -qE 'input_total\{.*read="copied"\} 0$' "$out/$how.metrics"
	check "$how: and these are counted" grep -qE \
		'input_total\{.*read="in_place"\} (4[5-9][0-9][0-9]|[5-9][0-9]{3}|1[0-9]{4})$' "$out/$how.metrics"
done
check "the NPU is removed: the daemon ends and says why" \
	grep -q 'fluidnpud: the NPU is lost (No such device)' "$out/daemon.log"
check "its status tells of it" grep -qx 'without its NPU it ended with status 1' "$out/told"
check "its client says so, too" grep -qE 'the device is gone|fluidnpud is gone' "$out/lost"
check "a daemon that is idle then does so, too" grep -qx 'idle, too, with status 1' "$out/told"
check "with the NPU back, a new one serves" grep -qx 'it serves again' "$out/told"
check "no client failed" test "$(grep -c failed "$out/told")" = 0
out/bin/npurun --backend emu --model out/models/fmnist-resnet3.fnpu --limit 500 --all-exits \
	--logits "$out/emu-all" --quiet "/usr/share/datasets/fashion-mnist/$images"
all_exits() {
	for file in "$out/emu-all"/*.npy; do
		cmp "$file" "$out/$1/${file##*/}" || return 1
	done
}
for how in uring ioctl; do
	check "$how: to the last exit, the emulator's bytes" all_exits "$how-all"
done
done_testing
