#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Bad input gets one clear message that says what is wrong, and a non-zero status.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

npurun=$PWD/out/bin/npurun npucc=$PWD/out/bin/npucc npustat=$PWD/out/bin/npustat
model=$PWD/out/models/fmnist-resnet3.fnpu onnx=$PWD/tools/models/fmnist-resnet3.onnx
images=/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz
train_labels=/usr/share/datasets/fashion-mnist/train-labels-idx1-ubyte.gz
w=$tap_dir/work
mkdir "$w"

emu=("$npurun" --backend emu --model "$model" --limit 16)

npy() {	# npy FILE SHAPE COUNT: float32 zeros
	/usr/bin/python3 - "$@" <<'EOF'
import struct, sys
path, shape, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
header = "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }" % shape
header += " " * (63 - (10 + len(header)) % 64) + "\n"
with open(path, "wb") as f:
    f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
    f.write(bytes(4 * count))
EOF
}

# --- what is right works, so that the refusals below mean something
npy "$w/good.npy" "(2, 1, 28, 28)" 1568
check "the emulator classifies" "$npurun" --backend emu --model "$model" --limit 16 "$images"
check "an .npy of the right shape" "$npurun" --backend emu --model "$model" "$w/good.npy"

# --- the device
refuses "no device" 1 "/dev/fluidnpu.*" "$npurun" --backend kmd --model "$model" "$images"
refuses "no device: npustat" 1 "/dev/fluidnpu" "$npustat"
: >"$w/node" && chmod 600 "$w/node" && chmod 755 "$tap_dir" "$w"
if ((EUID == 0)) && cp "$npurun" "$model" "$w/" && command -v setpriv >/dev/null; then
	refuses "no permission" 1 "[Pp]ermission" setpriv --reuid 65534 --clear-groups \
		"$w/npurun" --backend kmd --device "$w/node" --model "$w/${model##*/}" "$images"
else
	skip "no permission" "not root"
fi
refuses "a file that is no device" 1 "$w/node" "$npurun" --backend kmd --device "$w/node" \
	--model "$model" "$images"
refuses "an unknown back end" 2 "backend" "$npurun" --backend gpu --model "$model" "$images"

# --- the program
head -c 5000 "$model" >"$w/short.fnpu"
{ head -c 5000 "$model"; printf 'XXXX'; tail -c +5005 "$model"; } >"$w/corrupt.fnpu"
: >"$w/empty.fnpu"
refuses "truncated .fnpu" 1 "short.fnpu.*" "$npurun" --backend emu --model "$w/short.fnpu" "$images"
refuses "corrupted .fnpu" 1 "corrupt.fnpu.*checksum" "$npurun" --backend emu \
	--model "$w/corrupt.fnpu" "$images"
refuses "empty .fnpu" 1 "empty.fnpu" "$npurun" --backend emu --model "$w/empty.fnpu" "$images"
refuses "an ONNX file instead" 1 "onnx.*" "$npurun" --backend emu --model "$onnx" "$images"
refuses "missing .fnpu" 1 "nowhere.fnpu" "$npurun" --backend emu --model "$w/nowhere.fnpu" "$images"

# --- the compiler
sed 's/GlobalAveragePool/GlobalAveragePoo1/g' "$onnx" >"$w/operator.onnx"
head -c 20000 "$onnx" >"$w/short.onnx"
refuses "unsupported operator" 1 "GlobalAveragePoo1" "$npucc" "$w/operator.onnx" -o "$w/x.fnpu"
refuses "truncated ONNX" 1 "short.onnx" "$npucc" "$w/short.onnx" -o "$w/x.fnpu"
refuses "missing ONNX" 1 "nowhere.onnx" "$npucc" "$w/nowhere.onnx" -o "$w/x.fnpu"
refuses "unwritable output" 1 "nowhere" "$npucc" "$onnx" -o "$w/nowhere/x.fnpu"
check "nothing was written" test ! -e "$w/x.fnpu"
check "reports of all forms" "$npucc" "$onnx" --report --json "$w/r.json" --roofline "$w/r.svg"
refuses "unknown form of report" 2 "neither text nor json" "$npucc" "$onnx" --report=xml
refuses "report: unwritable JSON" 1 "nowhere/r.json" "$npucc" "$onnx" --json "$w/nowhere/r.json"
refuses "report: disk full, JSON" 1 "/dev/full.*[Nn]o space" "$npucc" "$onnx" --json /dev/full
refuses "report: disk full, roofline" 1 "/dev/full.*[Nn]o space" "$npucc" "$onnx" --roofline /dev/full
refuses "report: disk full, standard output" 1 "[Nn]o space" bash -c '"$@" >/dev/full' -- \
	"$npucc" "$onnx" --report
refuses "report over the program" 2 "y.fnpu would be overwritten" "$npucc" "$onnx" -o "$w/y.fnpu" \
	--json "$w/../work/y.fnpu"
refuses "both reports the same" 2 "r.json would be overwritten" "$npucc" "$onnx" --json "$w/r.json" \
	--roofline "$w/r.json"
cp "$onnx" "$w/model.onnx"
refuses "report over the model" 2 "model.onnx would be overwritten" "$npucc" "$w/model.onnx" \
	--roofline "$w/model.onnx"
check "the model is still there" cmp "$onnx" "$w/model.onnx"
refuses "accuracy budget of the user that is none" 2 "no number from 0 to 100" "$npucc" "$onnx" \
	-o "$w/y.fnpu" --accuracy-budget much
refuses "accuracy budget and thresholds" 2 "both" "$npucc" "$onnx" -o "$w/y.fnpu" \
	--accuracy-budget 1 --thresholds 0.5,0.5
check "nothing was written by them" test ! -e "$w/y.fnpu"

# --- the input
npy "$w/shape.npy" "(2, 3, 32, 32)" 6144
npy "$w/short.npy" "(9, 1, 28, 28)" 1568
head -c 100000 "$images" >"$w/short.gz"
printf 'hello, this is no image\n' >"$w/text.png"
refuses "wrong input shape" 1 "3.*32.*32.*1.*28.*28|1.*28.*28.*3.*32.*32" "${emu[@]}" "$w/shape.npy"
refuses "truncated .npy" 1 "short.npy" "${emu[@]}" "$w/short.npy"
refuses "truncated gzip" 1 "short.gz" "$npurun" --backend emu --model "$model" "$w/short.gz"
refuses "not a PNG" 1 "text.png" "${emu[@]}" "$w/text.png"
refuses "missing input" 1 "nowhere.gz" "${emu[@]}" "$w/nowhere.gz"
refuses "labels of another data set" 1 "60000|60,000" "$npurun" --backend emu --model "$model" \
	--labels "$train_labels" "$images"
refuses "a trace with a word without end" 1 "/dev/zero: sample 0 .* no exit" "${emu[@]}" \
	--device functional=off --trace /dev/zero
refuses "a trace without end" 1 "/dev/stdin: .* shorter than 64 MiB" bash -c 'yes 0 | "$@"' -- \
	"${emu[@]}" --device functional=off --trace /dev/stdin
refuses "no input" 2 "npurun" "${emu[@]}"
refuses "an unknown option" 2 "frobnicate" "${emu[@]}" --frobnicate "$images"

# --- the output
refuses "disk full" 1 "/dev/full.*[Nn]o space" "${emu[@]}" --json /dev/full "$images"
refuses "unwritable directory" 1 "/proc/nowhere" "${emu[@]}" --logits /proc/nowhere "$images"
done_testing
