#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Whatever a policy does to samples (stop them, put them back, inject them, regroup them), their results
# are those of serial service, bit for bit: every logit until the exit where they leave, and the exit
# itself. On the emulator, and on the driver in the VM.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

images=/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz
network=fmnist-resnet3
count=1500
out=out/tests/policies
# edge makes samples leave early: its results are others, and sessions do not have it
policies=(adaptive 'static:size=5,delay=1' lazy cellular clockwork symphony drex fluid fluid+
	fluid+:objective=latency)
in_vm=(serial lazy cellular drex fluid fluid+)
rm -rf "$out"
mkdir -p "$out"

known=$(out/bin/npusim --list-policies | grep -oE '^[a-z][a-z+]*' | grep -vE '^(edge|oracle|serial)$' | sort -u)
ours=$(printf '%s\n' "${policies[@]%%:*}" | sort -u)
check "all policies are tried" test "$known" = "$ours"

run() {	# run POLICY: on the emulator, into a directory of that name
	out/bin/npurun --backend emu --model "out/models/$network.fnpu" --policy "$1" --limit "$count" \
		--logits "$out/$1" --json "$out/$1.json" --quiet "$images"
}
same() {	# same DIRECTORY: as serial's on the emulator
	local file
	for file in "$out"/serial/*.npy; do
		cmp "$file" "$1/${file##*/}" || return 1
	done
	[[ -s $out/serial/exit2.npy ]]
}
preempts() {	# preempts POLICY: samples were stopped, or others injected
	node -e '
		const device = JSON.parse(require("fs").readFileSync(process.argv[1])).device;
		console.log(JSON.stringify(device, null, 1));
		const count = device.counters;
		process.exit(count.yields + count.injects > 0 ? 0 : 1);' "$out/$1.json"
}

check "serial on the emulator" run serial
for policy in "${policies[@]}"; do
	check "$policy on the emulator" run "$policy"
	check "$policy: the bytes of serial's" same "$out/$policy"
done
for policy in lazy cellular drex; do
	check "$policy has stopped or injected some" preempts "$policy"
done

tools/guest-image out/guest.cpio >&2
commands='set -e'
for policy in "${in_vm[@]}"; do
	commands+="
	npurun --model /models/$network.fnpu --policy $policy --limit $count --logits /out/vm-$policy \
		--quiet /data/${images##*/}"
done
check "the driver in the VM" tools/vm-run --initrd out/guest.cpio --device fluidnpu,bus=slot0 \
	--deadline 600 --log out/tests/vm_policies.log --out "$out" --cmd "$commands"
for policy in "${in_vm[@]}"; do
	check "$policy in the VM: the bytes of the emulator's serial" same "$out/vm-$policy"
done
done_testing
