#!/bin/bash
# SPDX-License-Identifier: MIT
# The driver's tests, in the VM: each program of tests/vm prints TAP; and those of the library that run on
# any back end.
# Some strings are for the shell of the guest, or for node.
# shellcheck disable=SC2016
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

tools/guest-image out/guest.cpio >&2
exec tools/vm-run --initrd out/guest.cpio --device fluidnpu,bus=slot0 --deadline 900 \
	--log out/tests/vm_driver.log \
	--cmd '
		export FNPU_TEST_BACKEND=kmd CMOCKA_MESSAGE_OUTPUT=TAP
		status=0
		before=$(cat /sys/module/fluidnpu/parameters/*)
		for t in /tests/test_*; do
			"$t" || status=1
			[ "$(cat /sys/module/fluidnpu/parameters/*)" = "$before" ] ||
				{ echo "Bail out! $t changed module parameters"; exit 1; }
		done
		exit $status'
