# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# install.sh - sourced: install_ort puts onnxruntime-node in tests/ort/node_modules, once. What npm
# says goes to out/log/npm.log.

install_ort() (
	mkdir -p out/log
	# two suites at a time would install over each other
	exec {lock}>out/log/npm.lock
	flock "$lock"
	# npm writes this file last
	[[ -e tests/ort/node_modules/.package-lock.json ]] && return
	npm --prefix tests/ort ci --ignore-scripts --no-audit --no-fund >out/log/npm.log 2>&1 || {
		echo "npm could not install onnxruntime-node: out/log/npm.log says why" >&2
		return 1
	}
)
