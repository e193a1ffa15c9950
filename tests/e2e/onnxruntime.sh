#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The network gives the same numbers on the NPU as on ONNX Runtime: all 10,000 test
# images, every exit. Limits of the comparison: tests/ort/compare.mjs.
# (That the VM's NPU and the emulator agree to the byte is vm_inference.sh's.)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

images=/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz
out=out/tests/logits

install_ort() {
	[[ -d tests/ort/node_modules/onnxruntime-node ]] && return
	npm --prefix tests/ort ci --ignore-scripts --no-audit --no-fund
}

check "onnxruntime-node is installed" install_ort
for model in tools/models/*.onnx; do
	name=$(basename "$model" .onnx)
	rm -rf "${out:?}/$name"
	mkdir -p "$out/$name"
	check "$name: ONNX Runtime runs" node tests/ort/ort_logits.mjs "$model" "$images" \
		"$out/$name/ort"
	check "$name: the emulator runs" out/bin/npurun --backend emu \
		--model "out/models/$name.fnpu" --all-exits --logits "$out/$name/emu" "$images"
	check "$name: logits agree" node tests/ort/compare.mjs "$out/$name/ort" \
		"$out/$name/emu" --scale-from "$model"
	tail -n 12 "$tap_dir/out" | tap_show
done
done_testing
