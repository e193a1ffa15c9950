#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Eight clients at work (tests/vm/storm.c) while others are killed, jobs hang, interrupts get
# lost and the device is pulled out: every job ends exactly once, with success or a true error,
# clients that have done nothing lose nothing, and afterwards the module unloads.
# Some strings are for the shell of the guest.
# shellcheck disable=SC2016
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

KILLS=${KILLS:-1000} HANGS=${HANGS:-200} INTERRUPTS=${INTERRUPTS:-200} REMOVALS=${REMOVALS:-50}
# SURVIVAL_KERNEL=debug: under the debug kernel
kernel=${SURVIVAL_KERNEL:-}
image=out/${kernel:-guest}.cpio
out=out/tests/survival${kernel:+-$kernel}
jobs=$((INTERRUPTS + 50)) # per client: enough for all interrupts that are to be lost

rm -rf "$out"
mkdir -p "$out"
tools/guest-image "$image" ${kernel:+"--$kernel"} >&2

# What is left of the time that tests/run gives a suite, for the VM that comes next.
time_left() {
	local left=$((${SUITE_DEADLINE:-1500} - SECONDS - 30))

	echo $((left > 1 ? left : 1))
}

# storm NAME DEVICE-PROPERTIES COMMAND [VM-RUN-OPTION...]
storm() {
	local name=$1 device=$2 command=$3
	shift 3
	# The module goes last: what a client has leaked keeps it.
	tools/vm-run ${kernel:+--kernel "$kernel" --mem 2G} --initrd "$image" --deadline "$(time_left)" \
		--device "fluidnpu,bus=slot0,id=npu$device" --log "$out/$name.log" "$@" \
		--cmd "$command"' && rmmod fluidnpu && echo "storm: the module is unloaded"' \
		>"$out/$name.out" 2>&1
}

said() {
	grep -a "^storm: $1" "$2" || {
		tail -n 20 "$2"
		return 1
	}
}

result() {
	sed -n "s/^storm: $1: /# $1: /p" "$out/$1.out" | tr -d '\r'
}

check "$KILLS clients are killed at random points, the others lose nothing" \
	storm kills "" "/tests/storm kills $KILLS"
result kills

check "$HANGS jobs hang, the others lose nothing" \
	storm hangs ,fault-hang-layer=4 "/tests/storm hangs $HANGS"
result hangs

# --- interrupts: the device loses those that are to come --------------------------------------

socket=$tap_dir/qmp
lost() {
	storm jobs ",fault-lose-interrupts=$INTERRUPTS" \
		"/tests/storm jobs $jobs"' && echo "storm: ready" && sleep 1000000' --qmp "$socket" &
	vm=$!
	# It sleeps for ever once its jobs are done, so that QEMU can still be asked.
	until grep -aq '^storm: ready' "$out/jobs.out" 2>/dev/null; do
		kill -0 "$vm" 2>/dev/null || return 1
		sleep 0.2
	done
	left=$(tests/qmp.py "$socket" qom-get path=/machine/peripheral/npu property=fault-lose-interrupts)
	tests/qmp.py "$socket" quit
	wait "$vm" || :
	echo "interrupts that are still to be lost: $left"
	[[ $left == 0 ]] && said "jobs: .* 0 violations" "$out/jobs.out"
}
check "$INTERRUPTS interrupts are lost, no client loses anything" lost
result jobs

# --- removals: the host pulls the device out under load and plugs in another ------------------

# The guest would wait for a device until its deadline.
give_up() {
	cat "$tap_dir/pull"
	tests/qmp.py "$socket" quit
	return 1
}

removals() {
	local vm line k said=$out/removals.out

	rm -f "$socket"
	storm removals "" "/tests/storm removals $REMOVALS" --qmp "$socket" &
	vm=$!
	until [[ -e $said ]]; do sleep 0.1; done
	while read -r line; do
		line=${line%$'\r'}
		case $line in
		'storm: removal '*)
			# The guest may have switched the slot off because of another error.
			tests/qmp.py "$socket" qom-set path=/machine/peripheral/npu \
				property=surprise-removal value=true >"$tap_dir/pull" 2>&1 ||
				grep -q "not found" "$tap_dir/pull" || give_up || return 1
			;;
		'storm: removed '*)
			k=${line##* }
			# Its id is free again when the slot has been switched off.
			tests/qmp.py "$socket" device_add driver=fluidnpu id=npu bus=slot0 ||
				give_up || return 1
			;;
		esac
	done < <(tail -n +1 -s 0.05 -f --pid="$vm" "$said")
	wait "$vm" && [[ ${k:-0} == "$REMOVALS" ]]
}
check "$REMOVALS devices are pulled out under load, every job ends once" removals
result removals
done_testing
