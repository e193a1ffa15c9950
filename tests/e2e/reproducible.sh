#!/bin/bash
# SPDX-License-Identifier: MIT
#
# `make run` twice: it works, and under -icount the two reports are the same but for the
# section on the host.
# Some strings are for the shell of the guest, or for node.
# shellcheck disable=SC2016
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

without_host() {
	node -e '
		const report = JSON.parse(require("fs").readFileSync(process.argv[1]));
		if (!report.host || !report.device) throw "no host or device section";
		delete report.host;
		console.log(JSON.stringify(report, null, 1));' "$1"
}

accuracy_at_least() {
	node -e '
		const report = JSON.parse(require("fs").readFileSync(process.argv[1]));
		const device = report.device;
		console.log(JSON.stringify(device, null, 1));
		if (device.samples !== 10000) throw `${device.samples} samples`;
		if (!(device.accuracy >= 0.91)) throw `accuracy ${device.accuracy}`;' "$1"
}

identical() {
	diff <(without_host out/tests/run1/report.json) <(without_host out/tests/run2/report.json)
}

check "first run" tools/run out/tests/run1
check "second run" tools/run out/tests/run2
check "10,000 samples, accuracy of at least 91 %" accuracy_at_least out/tests/run1/report.json
check "reports are identical but for the host section" identical
done_testing
