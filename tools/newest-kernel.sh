#!/bin/bash
# SPDX-License-Identifier: MIT
#
# newest-kernel.sh - the newest kernel that Debian serves, to compile the driver against.
#
# usage: tools/newest-kernel.sh
#
# Its headers package wants host tools with a newer C library than ours, so its source it is,
# prepared for modules with tools/kernel/minimal.config.  The kernel itself is not built:
# there is no Module.symvers, modpost (with KBUILD_MODPOST_WARN=1) cannot say which symbols
# are missing.  Prints the tree.

set -euo pipefail
# shellcheck source=tools/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=tools/linux-source.sh
. "$(dirname "${BASH_SOURCE[0]}")/linux-source.sh"

NEWEST_CACHE=$FNPU_CACHE/newest-kernel
OPTIONS=$FNPU_TOP/tools/kernel/minimal.config

newest_sources() {
	local base

	base=$(apt_base_mirror)
	echo "deb $base sid"
	echo "deb $base trixie-backports"
}

prepare() {
	local tree=$1

	copy_linux_source newest "$tree"
	hook_driver "$tree"
	configure_kernel "$tree" "$OPTIONS"
	make -C "$tree" -j"$(nproc)" modules_prepare
}

[[ $# == 0 ]] || die "usage: tools/newest-kernel.sh"
cd "$FNPU_TOP"
mkdir -p "$NEWEST_CACHE"
lock "$NEWEST_CACHE/lock" >&2
need_linux_source newest '' newest_sources >&2
version=$(basename "$(readlink "$LINUX_SOURCE_CACHE/newest")")
tree=$NEWEST_CACHE/$version-$(driver_kernel_key "$OPTIONS")
if [[ ! -f $tree/prepared ]]; then
	step KERNEL "preparing Linux $version for the driver's build" >&2
	start_log newest-kernel
	rm -rf "${NEWEST_CACHE:?}"/[0-9]*
	logged newest-kernel "See the log.  To start over, remove $NEWEST_CACHE." prepare "$tree"
	touch "$tree/prepared"
fi
echo "$tree"
