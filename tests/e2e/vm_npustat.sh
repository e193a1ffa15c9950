#!/bin/bash
# SPDX-License-Identifier: MIT
#
# npustat in the VM, while clients of two users are at work: on the screen of a terminal, which is a
# serial line here, and as text, JSON and metrics. The NPU hangs, goes and comes back
# under it.
# Some strings are for the shell of the guest.
# shellcheck disable=SC2016
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

out=out/tests/npustat
rm -rf "$out"
mkdir -p "$out"
tools/guest-image out/guest.cpio >&2

guest='
	stty -F /dev/ttyS3 -echo
	images=/data/t10k-images-idx3-ubyte.gz

	# watch COLUMNS LINES TYPE COMMAND...: on the terminal, when the other side is ready.
	# The end of a session hangs the line up: it is opened again.
	watch() {
		local columns=$1 lines=$2 type=$3 status
		shift 3
		exec 3<>/dev/ttyS3
		stty -F /dev/ttyS3 sane -echo columns "$columns" rows "$lines"
		stty -F /dev/ttyS3 -a >/tmp/before
		echo ready >&3
		read -r line <&3
		TERM=$type setsid -c "$@" <&3 >&3 2>&3
		status=$?
		exec 3<>/dev/ttyS3
		stty -F /dev/ttyS3 -a | cmp - /tmp/before || echo "the terminal is not as it was"
		echo "status $status" >&3
	}
	own="npustat --watch --interval 0.5"
	as_user() { watch 80 24 xterm su "$1" -c "$own"; }
	# images without an end
	forever() { while zcat "$images" | tail -c +17; do :; done 2>/dev/null; }

	chmod 666 /dev/ttyS3
	echo 1000 >/sys/module/fluidnpu/parameters/job_timeout_ms
	mkfifo /tmp/mine /tmp/his
	forever >/tmp/mine &
	/examples/first /models/fmnist-resnet3.fnpu kmd </tmp/mine >/dev/null 2>&1 &
	forever >/tmp/his &
	su user -c "/examples/first /models/fmnist-dsconv4.fnpu kmd" </tmp/his >/dev/null 2>&1 &
	(while npurun --quiet --model /models/fmnist-resnet3.fnpu --batch 4 $images; do :; done) &

	watch 80 24 xterm-256color $own
	watch 200 60 vt100 $own
	as_user user
	as_user nobody
	for form in "" --json --prometheus; do
		npustat $form >/out/root$form
		su user -c "npustat $form" >/out/user$form
	done
	watch 80 24 xterm $own
	watch 80 24 xterm $own
	watch 80 24 xterm $own
	npustat >/out/two
	npustat --prometheus >/out/two--prometheus
	kill $(jobs -p) || :
'

terminal=$tap_dir/terminal qmp=$tap_dir/qmp
tools/vm-run --initrd out/guest.cpio --device fluidnpu,bus=slot0,id=npu --deadline 300 \
	--qmp "$qmp" --log "$out/guest.log" --out "$out" \
	--qemu-arg -chardev --qemu-arg "socket,id=terminal,path=$terminal,server=on,wait=on" \
	--qemu-arg -device --qemu-arg isa-serial,index=3,irq=7,chardev=terminal \
	--cmd "$guest" >"$out/guest.out" 2>&1 &
vm=$!
failed=0
timeout --kill-after=5 290 /usr/bin/python3 -B tests/e2e/vm_npustat.py "$terminal" "$qmp" || failed=1

text_shows() {
	local text
	for text in 'clock +800 MHz, active' 'busy +[0-9.]+ %' 'jobs by queue, now' 'left at exit' \
		'^ +[0-9]+ +first '; do
		grep -Eq "$text" "$out/root" || { cat "$out/root"; return 1; }
	done
	[[ $(grep -c ' first ' "$out/root") == 2 ]]
}

user_text_shows() {
	cat "$out/user"
	[[ $(grep -c ' first ' "$out/user") == 1 ]] &&
		grep -q "^Processes of other users, and the queues, are shown to root only" "$out/user"
}

json_tells() {
	/usr/bin/python3 - "$out" <<-'END'
		import json, sys
		root, user = (json.load(open(f"{sys.argv[1]}/{who}--json")) for who in ("root", "user"))
		assert root["device_files"] == ["/dev/fluidnpu0"], root["device_files"]
		assert not root["clients_partial"] and user["clients_partial"]
		assert len(root["queue_jobs"]) == 4 and "queue_jobs" not in user
		names = [client["process"] for client in root["clients"]]
		assert names.count("first") == 2 and len(user["clients"]) == 1, (names, user["clients"])
		assert user["clients"][0]["busy_ns"] > 0, user["clients"]
		assert root["counters"]["samples"] > 0 and root["power"] == "active"
	END
}

check "the VM has nothing to complain of" wait "$vm"
check "text shows clients of both users to root" text_shows
check "text shows a user his own, and says so" user_text_shows
check "JSON tells who may see what" json_tells
for who in root user; do
	check "metrics keep the rules of the exposition format ($who)" tests/prometheus.py \
		"$out/$who--prometheus" \
		'fluidnpu_busy_seconds_total{device="/dev/fluidnpu0"}' fluidnpu_stall_seconds_total \
		fluidnpu_jobs_total fluidnpu_samples_total fluidnpu_dram_read_bytes_total \
		fluidnpu_dram_written_bytes_total fluidnpu_interrupts_total \
		fluidnpu_pe_utilisation_ratio 'fluidnpu_exited_samples_total{exit="0"}' \
		'fluidnpu_live_batch_seconds_total{live_batch="4"}' \
		'fluidnpu_power_state{state="active"}' \
		'fluidnpu_client_busy_seconds_total{process="first"}' \
		'fluidnpu_client_memory_bytes{process="first"}'
done
check "metrics of two NPUs" tests/prometheus.py "$out/two--prometheus" \
	'fluidnpu_clock_hertz{device="/dev/fluidnpu0"}' 'fluidnpu_clock_hertz{device="/dev/fluidnpu1"}'
check "text names both NPUs" grep -F "/dev/fluidnpu0 /dev/fluidnpu1 (--device)" "$out/two"
check "the terminal is as it was" test -z "$(grep -a "not as it was" "$out/guest.out")"
done_testing || failed=1
((failed == 0))
