#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The same bytes whichever way a sample takes: io_uring or ioctl into the VM's
# device, or the emulator on the host. Every exit; all 10,000 test images on the first
# network, some on the other, whose layers are all that differs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

images=/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz
first=fmnist-resnet3
declare -A count=([$first]=10000 [fmnist-dsconv4]=2000)
out=out/tests/inference

rm -rf "$out"
mkdir -p "$out"
tools/guest-image out/guest.cpio >&2
for model in "${!count[@]}"; do
	check "$model: the emulator runs" out/bin/npurun --backend emu --all-exits \
		--model "out/models/$model.fnpu" --limit "${count[$model]}" \
		--logits "$out/$model-emu" "$images"
done

in_guest() {
	local commands='set -e' model way
	for model in "${!count[@]}"; do
		for way in uring ioctl; do
			commands+="
		npurun --model /models/$model.fnpu --submit $way --all-exits \\
			--limit ${count[$model]} --logits /out/$model-$way /data/${images##*/}"
		done
	done
	tools/vm-run --initrd out/guest.cpio --device fluidnpu,bus=slot0 --deadline 900 \
		--log out/tests/vm_inference.log --out "$out" --cmd "$commands
		zcat /data/${images##*/} | tail -c +17 | head -c \$((784 * 100)) |
			/examples/first /models/$first.fnpu kmd | sort >/out/first.txt
		npustat
		npustat --json >/out/npustat.json"
}

check "both networks in the VM, by io_uring and by ioctl" in_guest
# same MODEL WAY
same() {
	local file
	for file in "$out/$1-emu"/*.npy; do
		cmp "$file" "$out/$1-$2/${file##*/}" || return 1
	done
	[[ -s $out/$1-emu/exit0.npy ]]
}
for model in "${!count[@]}"; do
	for way in uring ioctl; do
		check "$model: $way in the VM gives the emulator's bytes, ${count[$model]} images" \
			same "$model" "$way"
	done
done
first_in_both() (
	set +o pipefail	# head leaves zcat before its end
	zcat "$images" | tail -c +17 | head -c $((784 * 100)) |
		out/examples/first out/models/$first.fnpu emu | sort | diff - "$out/first.txt" &&
		[[ $(wc -l <"$out/first.txt") == 100 ]]
)
check "the README's application prints the same in the VM and on the emulator" first_in_both
done_testing
