#!/bin/bash
# SPDX-License-Identifier: MIT
#
# npustat on the host, where there is an emulated NPU or none: its forms, what it refuses, and on
# terminals of many kinds its screen.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

npustat=out/bin/npustat
w=$tap_dir/work
mkdir "$w"

emu() {
	"$npustat" --backend emu "$@"
}

# has TEXT FILE
has() {
	grep -Eq -- "$1" "$2" || { cat "$2"; return 1; }
}

text_has_each_fact() {
	local fact
	emu >"$w/text"
	for fact in 'driver +libfluidnpu' 'clock +800 MHz' 'busy +0.00 %' 'PE utilisation' 'jobs +0' \
		'failed jobs +0' 'samples +0' 'preemptions +0' 'merged batches +0' 'DRAM read +0 B' \
		'MMU faults +0' 'late events +0'; do
		has "$fact" "$w/text" || return 1
	done
}

json_is_sound() {
	emu --json >"$w/json"
	/usr/bin/python3 - "$w/json" <<-'END'
		import json, sys
		status = json.load(open(sys.argv[1]))
		wanted = {"backend", "device_file", "driver", "hw_version", "functional", "clock_hz",
		          "geometry", "device_cycles", "busy", "pe_utilisation", "counters", "exits",
		          "live_batch_cycles", "clients"}
		assert wanted <= status.keys(), wanted - status.keys()
		assert len(status["counters"]) == 20, status["counters"]
	END
}

metrics_are_sound() {
	emu --device max_stack=1 --prometheus >"$w/metrics"
	tests/prometheus.py "$w/metrics" 'fluidnpu_info{device="emu",driver="libfluidnpu emu 1.0.0"}' \
		fluidnpu_clock_hertz fluidnpu_dram_bandwidth_bytes_per_second
	has '^fluidnpu_exited_samples_total\{device="emu",exit="7"\} 0$' "$w/metrics"
	has '^fluidnpu_live_batch_seconds_total\{device="emu",live_batch="16"\} 0.0' "$w/metrics"
}

# rejected TEXT: the reader of the format finds what is wrong
rejected() {
	printf '%b' "$1" >"$w/wrong"
	! tests/prometheus.py "$w/wrong"
}

check "text has each fact" text_has_each_fact
check "JSON has what it always had" json_is_sound
check "metrics keep the rules of the exposition format" metrics_are_sound
check "their reader rejects a sample without TYPE" rejected 'a 1\n'
check "their reader rejects a counter without _total" rejected '# HELP a b\n# TYPE a counter\na 1\n'
check "their reader rejects a number that is none" rejected '# HELP a b\n# TYPE a gauge\na 1,5\n'
check "their reader rejects a bare quote" rejected '# HELP a b\n# TYPE a gauge\na{b="""} 1\n'

refuses "a pipe cannot be watched" 1 "needs a terminal.*--json" "$npustat" --watch
refuses "no NPU: metrics" 1 "no NPU at /dev/fluidnpu" "$npustat" --prometheus
refuses "no NPU: JSON" 1 "no NPU at /dev/fluidnpu" "$npustat" --json
refuses "two forms at once" 2 "exclude each other" "$npustat" --json --prometheus
refuses "an interval without --watch" 2 "are for --watch" "$npustat" --interval 1
for interval in 0 0.01 3601 -1 1s nan ''; do
	refuses "an interval of '$interval'" 2 "seconds from 0.1 to 3600" "$npustat" --watch \
		--interval "$interval"
done
refuses "a count of 0" 2 "--count takes a number from 1" "$npustat" --watch --count 0

failed=0
done_testing || failed=1
/usr/bin/python3 -B tests/e2e/npustat.py || failed=1
((failed == 0))
