#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The large networks of tools/networks: the same numbers as on ONNX Runtime, bit by bit at all
# exits; the times of hardware.md; what fluid batching and stacking gain; and runs that only model
# time take the time of those that compute.
#
# FNPU_IMAGES=N compares N random images per network instead of 100.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/ort/install.sh
. tests/ort/install.sh

readonly NETWORKS=(resnet50 mobilenetv2 squeezenet)
readonly COMPILE_SECONDS=60	# it takes a tenth of one: a compiler that hangs, not a slow machine
readonly IMAGES_SEED=2	# not the calibration's

out=out/tests/networks
generate=(/usr/bin/python3 -B tools/networks/generate.py)
judge=(/usr/bin/python3 -B tests/e2e/networks.py)
emu=(out/bin/npurun --backend emu)

# subadditive MODEL.onnx NAME: batching never costs more than its parts
subadditive() {
	out/bin/npucc "$1" --json "$out/$2.json" && "${judge[@]}" subadditive "$out/$2.json"
}

differ() {
	! cmp -s "$1" "$2"
}

rm -rf "$out"
mkdir -p "$out"

# --- the generator and the compiler
"${generate[@]}" squeezenet -o "$out/again.onnx" >/dev/null
check "the same seed gives the same bytes" cmp "$out/again.onnx" out/networks/squeezenet.onnx
"${generate[@]}" squeezenet --seed 2 -o "$out/other.onnx" >/dev/null
check "another seed gives another network" differ "$out/other.onnx" out/networks/squeezenet.onnx
for name in "${NETWORKS[@]}"; do
	check "$name compiles" timeout "$COMPILE_SECONDS" out/bin/npucc \
		"out/networks/$name.onnx" -o "$out/$name.fnpu"
done

# --- numbers
check "onnxruntime-node is installed" install_ort
count=${FNPU_IMAGES:-100}
# the trace below wants enough for every exit
"${generate[@]}" --images $((count < 100 ? 100 : count)) --seed "$IMAGES_SEED" -o "$out/images.npy"
for name in "${NETWORKS[@]}"; do
	check "$name: ONNX Runtime runs" node tests/ort/ort_logits.mjs \
		"out/networks/$name.onnx" "$out/images.npy" "$out/$name.ort" --batch 10 \
		--limit "$count"
	check "$name: the emulator runs" "${emu[@]}" --model "$out/$name.fnpu" --all-exits \
		--limit "$count" --logits "$out/$name.emu" --quiet "$out/images.npy"
	check "$name: $count images, all logits of all exits are equal" node tests/ort/compare.mjs \
		"$out/$name.ort" "$out/$name.emu" --scale-from "out/networks/$name.onnx" \
		--min-argmax 100 --max-different 0
	tail -n 12 "$tap_dir/out" | tap_show
	check "$name: images are of many classes" "${judge[@]}" classes "$out/$name.ort"
	tail -n 12 "$tap_dir/out" | tap_show
done

# --- time
check "networks on three NPUs; the device's times are the cost tables'" \
	tools/bench-npu --json "$out/bench.json"
tap_show "$tap_dir/out"
check "ResNet-50 and MobileNetV2 take the times of hardware.md" "${judge[@]}" times \
	"$out/bench.json"
check "batch 1: ResNet-50 is used 1.25 times as much as conventionally" "${judge[@]}" gain \
	"$out/bench.json" resnet50 1.25
check "batch 1: MobileNetV2 is used 1.5 times as much as conventionally" "${judge[@]}" gain \
	"$out/bench.json" mobilenetv2 1.5
check "fluid batching and stacking never lose" "${judge[@]}" order "$out/bench.json"
for model in out/networks/*.onnx tools/models/*.onnx; do
	name=$(basename "$model" .onnx)
	check "$name: T(b) <= T(i) + T(b - i) for every layer" subadditive "$model" "$name"
done

# --- traces: where the images left, given to an NPU that computes nothing
check "SqueezeNet decides about exits" "${emu[@]}" --model "$out/squeezenet.fnpu" \
	--logits "$out/left" --json "$out/computed.json" --quiet "$out/images.npy"
check "its exits as a trace" "${judge[@]}" trace "$out/left" "$out/trace.txt"
check "samples leave at every exit" "${judge[@]}" spread "$out/computed.json"
check "the trace runs" "${emu[@]}" --device functional=off --model "$out/squeezenet.fnpu" \
	--trace "$out/trace.txt" --json "$out/traced.json" --quiet
check "same exits, same times, same counters" "${judge[@]}" same-device "$out/computed.json" \
	"$out/traced.json"

model=(--model "$out/squeezenet.fnpu")
echo "0 1 4" >"$out/deep.txt"
echo "0 one" >"$out/word.txt"
: >"$out/empty.txt"
refuses "a trace beyond the last exit" 1 "deep.txt: sample 2 .*'4'.*0 to 3" "${emu[@]}" \
	--device functional=off "${model[@]}" --trace "$out/deep.txt"
refuses "a trace with a word" 1 "word.txt: sample 1 .*'one'" "${emu[@]}" --device functional=off \
	"${model[@]}" --trace "$out/word.txt"
refuses "an empty trace" 1 "empty.txt is empty" "${emu[@]}" --device functional=off "${model[@]}" \
	--trace "$out/empty.txt"
refuses "a missing trace" 1 "nowhere.txt" "${emu[@]}" --device functional=off "${model[@]}" \
	--trace "$out/nowhere.txt"
refuses "a trace on an NPU that computes" 1 "functional=off" "${emu[@]}" "${model[@]}" \
	--trace "$out/trace.txt"
refuses "a trace and images" 2 "without inputs" "${emu[@]}" "${model[@]}" --trace "$out/trace.txt" \
	"$out/images.npy"
refuses "properties that no NPU has" 1 "unknown property 'speed'" "${emu[@]}" --device speed=9 \
	"${model[@]}" --trace "$out/trace.txt"
refuses "bench-npu without networks" 2 "at least one network" out/bin/bench-npu out/bench
refuses "bench-npu of what is not there" 1 "nothing.conventional.fnpu" out/bin/bench-npu "$out" \
	nothing
done_testing
