#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The VM runner tells what happened: the guest's own status, a hang, a panic, a missing image.
# Some strings are for the shell of the guest, or for node.
# shellcheck disable=SC2016
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

tools/guest-image out/guest.cpio >&2

# ends STATUS TEXT OPTION...: the run ends with STATUS and says TEXT
ends() {
	local want=$1 text=$2 status=0
	shift 2
	tools/vm-run --initrd out/guest.cpio --log out/tests/vm_runner.log "$@" \
		>"$tap_dir/vm" 2>&1 || status=$?
	cat "$tap_dir/vm"
	[[ $status == "$want" ]] && grep -Eq -- "$text" "$tap_dir/vm"
}

check "a command's output arrives" ends 0 '^hello from 6\.' --cmd 'echo hello from $(uname -r)'
check "a command's status arrives" ends 7 '' --cmd 'exit 7'
check "a hang ends at the deadline and shows the guest's last output" \
	ends 124 'last 30 lines' --deadline 25 --cmd 'echo "hanging now" >/dev/console; sleep 1000'
check "a panic is recognised" ends 120 'panic' --cmd 'echo c >/proc/sysrq-trigger; sleep 60'
check "a guest without the NPU says so" ends 1 'npurun: .*/dev/fluidnpu' \
	--cmd 'npurun --model /models/fmnist-resnet3.fnpu --limit 1 /data/t10k-images-idx3-ubyte.gz'
# Without QEMU or a kernel: a tree and a cache that have neither.
mkdir "$tap_dir/tree"
cp -r tools "$tap_dir/tree/"
refuses "missing QEMU says what to run" 125 'tools/build-qemu.sh' \
	"$tap_dir/tree/tools/vm-run" --initrd out/guest.cpio --cmd true
refuses "a missing kernel says what to run" 125 'tools/fetch-kernel.sh' \
	env XDG_CACHE_HOME="$tap_dir" tools/vm-run --initrd out/guest.cpio --cmd true
if grep -qwE 'vmx|svm' /proc/cpuinfo; then
	skip "KVM where there is none" "there is KVM"
else
	refuses "KVM where there is none" 125 'KVM cannot run a guest here' \
		tools/vm-run --initrd out/guest.cpio --cmd true --accel kvm
fi
check "a missing image is named" ends 125 'nowhere' --initrd /nowhere.cpio --cmd true
done_testing
