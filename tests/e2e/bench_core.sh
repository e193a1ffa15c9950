#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The functional engine has at least half of ONNX Runtime's speed: ResNet-50, one thread, processor
# time, a ratio of two measurements that took turns. `make bench-core` does more rounds.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/ort/install.sh
. tests/ort/install.sh

readonly LEAST_RATIO=0.5
bench=(node tools/bench-core.mjs out/bin/bench-core out/networks/resnet50.onnx
	out/networks/resnet50.fnpu)

check "onnxruntime-node is installed" install_ort
check "ResNet-50: at least $LEAST_RATIO of ONNX Runtime's speed" "${bench[@]}" --batch 8 \
	--rounds 3 --least "$LEAST_RATIO"
sed -n 's/^ratio/# ratio/p' "$tap_dir/out"
refuses "a speed that nobody has" 1 "is less than 1000" "${bench[@]}" --batch 1 --rounds 1 \
	--least 1000
done_testing
