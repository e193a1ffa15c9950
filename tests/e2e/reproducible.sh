#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Under -icount the reports of two runs are the same but for the section on the host: of the classification
# of all test images (tools/classify), and of the comparison that `make run` makes.
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

identical() {	# identical NAME: of a report in both directories
	diff <(without_host "out/tests/run1/$1.json") <(without_host "out/tests/run2/$1.json")
}

# All frames are there, those with fluid+ in time, more than with lazy, and nobody classified worse.
compares() {
	node -e '
		const fs = require("fs"), dir = process.argv[1], count = +process.argv[2];
		const [lazy, ours] = ["lazy", "fluid+"].map(
			name => JSON.parse(fs.readFileSync(`${dir}/${name}.json`)).device.runs[0]);
		console.log(JSON.stringify([lazy, ours], null, 1));
		for (const run of [lazy, ours])
			if (run.requests !== count || run.failed || run.accuracy < 0.9) throw "a run";
		if (ours.slo_satisfaction < 0.99 || lazy.slo_satisfaction > 0.7) throw "SLO";
		if (ours.mean_us > lazy.mean_us / 1.97) throw "mean";
		const page = fs.readFileSync(`${dir}/report.html`, "utf8");
		if (page.split("data:image/svg+xml;base64,").length !== 4) throw "figures";
		const events = JSON.parse(fs.readFileSync(`${dir}/timeline.json`)).traceEvents;
		if (!events.some(e => e.args?.why) || !events.some(e => e.name === "job_end")) throw "timeline";
		' "$1" "$2"
}

frames=2000
for run in 1 2; do
	check "classification, run $run" tools/classify out/tests/run$run
	check "comparison, run $run" env FNPU_RUN_COUNT=$frames tools/run out/tests/run$run
done
check "10,000 samples, accuracy of at least 91 %" accuracy_at_least out/tests/run1/report.json
check "cameras: fluid+ on the fluid NPU against lazy on the conventional one" \
	compares out/tests/run1 $frames
for report in report lazy fluid+; do
	check "$report.json: identical but for the host section" identical "$report"
done
done_testing
