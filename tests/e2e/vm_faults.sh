#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A device that breaks while the driver uses it: each fault is set through QMP in one VM, in
# which npurun is at work. The driver recovers or reports an error, and later jobs run.
# Some strings are for the shell of the guest.
# shellcheck disable=SC2016
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

out=out/tests/faults
socket=$tap_dir/qmp
said=$out/guest.out
healthy=4294967295	# fault-hang-layer: none

rm -rf "$out"
mkdir -p "$out"
: >"$said"
tools/guest-image out/guest.cpio >&2

# The guest says what it is ready for and reads a line before it goes on.
guest='
	stty -F /dev/ttyS3 raw -echo
	exec 3</dev/ttyS3
	say() { echo "guest: $*"; }
	ready() { say "ready for $1"; read -r line <&3; }
	run() {
		npurun --model /models/fmnist-resnet3.fnpu --progress never --limit 500 \
			--json /tmp/report.json "$@" /data/t10k-images-idx3-ubyte.gz \
			>/tmp/run.out 2>&1 || { status=$?; cat /tmp/run.out; return $status; }
	}
	once() { run; say "$1: status $?"; }
	until_it_fails() { while run; do :; done; say "$1: failed"; }
	nanoseconds() { sed -n "s/.*\"p50\":[^0-9]*\([0-9]*\).*/\1/p" /tmp/report.json | head -n 1; }

	echo 1000 >/sys/module/fluidnpu/parameters/job_timeout_ms
	once healthy
	say "healthy: $(nanoseconds) ns"

	say "ready for hang"
	until_it_fails hang
	ready cure
	once "after hang"

	ready interrupts
	echo 60000 >/sys/module/fluidnpu/parameters/job_timeout_ms
	before=$(cut -d. -f1 /proc/uptime)
	once interrupts
	say "interrupts: $(($(cut -d. -f1 /proc/uptime) - before)) s"
	echo 1000 >/sys/module/fluidnpu/parameters/job_timeout_ms
	once "after interrupts"

	say "ready for descriptor"
	until_it_fails descriptor
	once "after descriptor"

	ready ring
	once ring

	say "ready for dma"
	until_it_fails dma
	ready cured
	once "after dma"

	ready dead
	/tests/dead <&3
	say "dead: status $?"
	once "after dead"

	ready dram
	once dram
	say "dram: $(nanoseconds) ns"

	say "ready for removal"
	until_it_fails removal
	say "ready for unplug"
	udevadm wait --removed --timeout=60 /dev/fluidnpu && say unplugged
	udevadm wait --timeout=60 /dev/fluidnpu && say plugged
	once "after removal"
'

# wait_for TEXT: until the guest has said it, or has ended without
wait_for() {
	grep -qm1 "$1" < <(tail -n +1 -s 0.1 -f --pid="$vm" "$said")
}

# said TEXT: now or later
said() {
	wait_for "guest: $1" || {
		tail -n 20 "$said"
		return 1
	}
}

set_property() {
	tests/qmp.py "$socket" qom-set path=/machine/peripheral/npu "property=$1" "value=$2"
}

property_is() {
	local value
	value=$(tests/qmp.py "$socket" qom-get path=/machine/peripheral/npu "property=$1")
	echo "$1 is $value"
	[[ $value == "$2" ]]
}

# inject PHASE PROPERTY VALUE: when the guest is there; it does not wait for it
inject() {
	said "ready for $1" && set_property "$2" "$3"
}

# prepare PHASE PROPERTY VALUE: when the guest is there; it waits for it
prepare() {
	inject "$@" && echo >&9
}

# refused PROPERTY VALUE TEXT: setting it is an error that says TEXT
refused() {
	! set_property "$1" "$2" 2>"$tap_dir/refused" && grep -F "$3" "$tap_dir/refused"
}

latency() {
	sed -n "s/^guest: $1: \([0-9]*\) ns\r*$/\1/p" "$said"
}

slower() {
	said "dram: [0-9]* ns" || return 1
	echo "median latency $(latency healthy) ns, with slow DRAM $(latency dram) ns"
	(($(latency dram) > 2 * $(latency healthy)))
}

# The jobs' timeout is 60 s in that phase.
soon() {
	local seconds
	said "interrupts: [0-9]* s" || return 1
	seconds=$(sed -n "s/^guest: interrupts: \([0-9]*\) s\r*$/\1/p" "$said")
	echo "all jobs took $seconds s"
	((seconds < 60))
}

unplug() {
	said "ready for unplug" && tests/qmp.py "$socket" unplug npu
}

mkfifo "$tap_dir/go"
exec 9<>"$tap_dir/go"
tools/vm-run --initrd out/guest.cpio --device fluidnpu,bus=slot0,id=npu --deadline 600 \
	--qmp "$socket" --log "$out/guest.log" \
	--qemu-arg -chardev --qemu-arg "file,id=go,path=/dev/null,input-path=$tap_dir/go" \
	--qemu-arg -device --qemu-arg isa-serial,index=3,irq=7,chardev=go \
	--cmd "$guest" >"$said" 2>&1 &
vm=$!

check "jobs run on a healthy device" said "healthy: status 0"

check "the device is told to hang at layer 4 while jobs run" inject hang fault-hang-layer 4
check "the job that hangs ends with an error" said "hang: failed"
check "the device is cured" prepare cure fault-hang-layer "$healthy"
check "later jobs run" said "after hang: status 0"

check "the device is told to lose two interrupts" prepare interrupts fault-lose-interrupts 2
check "jobs whose interrupt is lost complete all the same" said "interrupts: status 0"
check "soon, not when they time out" soon
check "the interrupts have been lost" property_is fault-lose-interrupts 0
check "later jobs run" said "after interrupts: status 0"

check "a descriptor is corrupted while jobs run" inject descriptor fault-corrupt-descriptors 1
check "its job ends with an error" said "descriptor: failed"
check "later jobs run" said "after descriptor: status 0"

check "the ring becomes unreachable once" prepare ring fault-dma-errors 1
check "the driver resets the device and jobs complete" said "ring: status 0"
check "the error has struck" property_is fault-dma-errors 0

check "DMA fails many times while jobs run" inject dma fault-dma-errors 1000
check "a job ends with an error" said "dma: failed"
check "the device is cured" prepare cured fault-dma-errors 0
check "later jobs run" said "after dma: status 0"

check "all DMA fails from now on" prepare dead fault-dma-errors 4294967295
check "the driver gives the device up" said "ready for revival"
check "the device is cured" prepare revival fault-dma-errors 0
check "a uevent has told, and a reset by hand has revived it" said "dead: status 0"
check "later jobs run" said "after dead: status 0"

check "DRAM becomes a hundred times slower" prepare dram fault-dram-percent 10000
check "jobs run all the same" said "dram: status 0"
check "but take longer" slower
check "the DRAM is well again" set_property fault-dram-percent 100
check "an impossible value is refused" refused fault-dram-percent 99 "dram_percent must be"

check "the device is pulled out while jobs run" inject removal surprise-removal true
check "the client gets an error" said "removal: failed"
check "what was pulled out does not come back" refused surprise-removal false "stays out"
check "it is unplugged" unplug
check "the driver lets it go" said unplugged
check "another one is plugged in" tests/qmp.py "$socket" device_add driver=fluidnpu id=npu bus=slot0
check "the driver finds it" said plugged
check "jobs run on it" said "after removal: status 0"
refuses "an impossible fault is refused at the start, too" 122 "dram_percent must be" \
	tools/vm-run --initrd out/guest.cpio --device fluidnpu,bus=slot0,fault-dram-percent=5 \
	--log "$out/refused.log" --cmd true
check "the VM powers off, and its kernel has nothing to complain of" wait "$vm"

# A device that is unrealized, but not yet gone, has faults like one that is not yet realized.
rm -f "$socket"
tests/bare-qemu "$socket" ,fault-lose-interrupts=3 &
vm=$!
check "a device without a guest is told to fail" set_property fault-dma-errors 7
check "it is unrealized" set_property realized false
check "it still says what it was told" property_is fault-dma-errors 7
check "at the start, too" property_is fault-lose-interrupts 3
check "it can be told otherwise" set_property fault-dma-errors 8
check "and says so" property_is fault-dma-errors 8
check "QEMU ends in good order" eval 'tests/qmp.py "$socket" quit && wait "$vm"'
done_testing
