#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Operators, one at a time, give the same codes on the NPU as elsewhere: random networks, which
# three must agree on (the formulas of tools/train/operators.py, ONNX Runtime, the
# NPU), and the test cases of the ONNX project.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/ort/install.sh
. tests/ort/install.sh

data=/usr/share/libonnx-testdata/data/node
out=out/tests/conformance
python=(/usr/bin/python3 -B)	# Debian's, which has Debian's onnx

# run DIR [OPTION...]: tests of their own, with a plan of their own
run() {
	"${python[@]}" tests/conformance/run.py out "$@" || failed=1
}

failed=0
rm -rf "$out"
mkdir -p "$out"
check "onnxruntime-node is installed" install_ort
check "random operators are written" "${python[@]}" tools/train/operators.py "$out/random"
check "random operators: ONNX Runtime computes what the formulas say" \
	node tests/ort/operators.mjs "$out/random"
check "libonnx-testdata has ONNX's cases in $data" test -d "$data"
if [[ -d $data ]]; then
	check "networks are made of ONNX's cases" "${python[@]}" tests/conformance/cases.py "$data" \
		"$out/cases"
	check "ONNX's cases in float: ONNX Runtime runs their quantized form" \
		node tests/ort/operators.mjs --write "$out/cases"
fi
done_testing || failed=1
run "$out/random"
[[ ! -d $data ]] || run "$out/cases" --exceptions tests/conformance/exceptions.txt
exit "$failed"
