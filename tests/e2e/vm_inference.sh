#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The same bytes whichever way a sample takes: io_uring or ioctl into the VM's
# device, or the emulator on the host. All 10,000 test images, every exit.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

images=/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz
model=fmnist-resnet3
out=out/tests/inference

rm -rf "$out"
mkdir -p "$out"
tools/guest-image out/guest.cpio >&2
check "the emulator runs" out/bin/npurun --backend emu --model out/models/$model.fnpu \
	--all-exits --logits "$out/emu" "$images"

in_guest() {
	tools/vm-run --initrd out/guest.cpio --device fluidnpu,bus=slot0 --deadline 900 \
		--log out/tests/vm_inference.log --out "$out" --cmd "
		set -e
		for way in uring ioctl; do
			npurun --model /models/$model.fnpu --submit \$way --all-exits \
				--logits /out/\$way /data/${images##*/}
		done
		zcat /data/${images##*/} | tail -c +17 | head -c \$((784 * 100)) |
			/examples/first /models/$model.fnpu kmd | sort >/out/first.txt
		npustat
		npustat --json >/out/npustat.json"
}

check "10,000 images in the VM, by io_uring and by ioctl" in_guest
same() {
	local file
	for file in "$out/emu"/*.npy; do
		cmp "$file" "$1/${file##*/}" || return 1
	done
	[[ -s $out/emu/exit0.npy ]]
}
check "io_uring in the VM gives the emulator's bytes" same "$out/uring"
check "ioctl in the VM gives the emulator's bytes" same "$out/ioctl"
first_in_both() (
	set +o pipefail	# head leaves zcat before its end
	zcat "$images" | tail -c +17 | head -c $((784 * 100)) |
		out/examples/first out/models/$model.fnpu emu | sort | diff - "$out/first.txt" &&
		[[ $(wc -l <"$out/first.txt") == 100 ]]
)
check "the README's application prints the same in the VM and on the emulator" first_in_both
done_testing
