# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# install.sh - sourced: install_ort puts onnxruntime-node in tests/ort/node_modules, once.

install_ort() {
	[[ -d tests/ort/node_modules/onnxruntime-node ]] && return
	npm --prefix tests/ort ci --ignore-scripts --no-audit --no-fund
}
