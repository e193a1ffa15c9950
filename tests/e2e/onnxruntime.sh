#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Every network of tools/models gives the same numbers on the NPU as on ONNX Runtime, all
# 10,000 test images and every exit, and is as accurate as MODEL.expected.json says: with all
# exits, and with each of its sets of thresholds.
# (That the VM's NPU and the emulator agree to the byte is vm_inference.sh's.)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/ort/install.sh
. tests/ort/install.sh

readonly LEAST_ACCURACY=92	# per cent, at the last exit
data=/usr/share/datasets/fashion-mnist
images=$data/t10k-images-idx3-ubyte.gz labels=$data/t10k-labels-idx1-ubyte.gz
out=out/tests/logits

# leaves MODEL SET: with these thresholds the expected samples leave at each exit
leaves() {
	local dir=$out/$1/$2 options=()
	[[ $2 == default ]] || options=(--accuracy-budget "$2")
	mkdir -p "$dir"
	out/bin/npucc "tools/models/$1.onnx" "${options[@]}" -o "$dir/model.fnpu" &&
		out/bin/npurun --backend emu --model "$dir/model.fnpu" --labels "$labels" \
			--json "$dir/report.json" --quiet "$images" &&
		node tests/ort/expected.mjs exits "$dir/report.json" \
			"tools/models/$1.expected.json" "$2"
}

check "onnxruntime-node is installed" install_ort
for model in tools/models/*.onnx; do
	name=$(basename "$model" .onnx)
	expected=tools/models/$name.expected.json
	rm -rf "${out:?}/$name"
	mkdir -p "$out/$name"
	check "$name: ONNX Runtime runs" node tests/ort/ort_logits.mjs "$model" "$images" \
		"$out/$name/ort"
	check "$name: the emulator runs" out/bin/npurun --backend emu \
		--model "out/models/$name.fnpu" --all-exits --logits "$out/$name/emu" "$images"
	check "$name: all logits are equal" node tests/ort/compare.mjs "$out/$name/ort" \
		"$out/$name/emu" --scale-from "$model" --min-argmax 100 --max-different 0 --max-steps 0
	tail -n 12 "$tap_dir/out" | tap_show
	check "$name: each exit is as accurate as expected, the last at least $LEAST_ACCURACY %" \
		node tests/ort/expected.mjs logits "$out/$name/emu" "$labels" "$expected" \
		--least "$LEAST_ACCURACY"
	node tests/ort/expected.mjs sets "$expected" >"$out/$name/sets"
	while read -r set; do
		check "$name: accuracy budget $set: samples leave where expected" leaves "$name" "$set"
	done <"$out/$name/sets"
done
done_testing
