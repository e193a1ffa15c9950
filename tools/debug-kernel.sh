#!/bin/bash
# SPDX-License-Identifier: MIT
#
# debug-kernel.sh - builds a kernel that finds the driver's bugs.
#
# usage: tools/debug-kernel.sh [--source]      only fetch the source and print where it is
#
# Debian's linux-source-6.12 with KASAN, lockdep, kmemleak and more, see
# tools/kernel/debug.config.  drivers/accel/fluidnpu is in its Kconfig, so that what the
# driver selects is built, but not our sources: those are compiled against the finished
# tree in seconds (tools/kernel/build-in-tree).  Leaves $FNPU_CACHE/debug-kernel/KEY/env and
# prints its name; to source, like the one of tools/fetch-kernel.sh:
#
#	KVER      6.12.X-fluidnpu-debug
#	KIMAGE    the kernel image
#	KMODDIR   .../lib/modules/KVER
#	KHEADERS  the tree, for make -C "$KHEADERS" M=... modules
#
# KEY says which source and which options.  The first time takes 10 minutes on two cores.

set -euo pipefail
# shellcheck source=tools/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=tools/linux-source.sh
. "$(dirname "${BASH_SOURCE[0]}")/linux-source.sh"

DEBUG_CACHE=$FNPU_CACHE/debug-kernel
OPTIONS=$FNPU_TOP/tools/kernel/debug.config
HINT="See the log.  To start over, remove $DEBUG_CACHE and run this again."

build() {
	local dir=$1 tree=$1/linux kver

	if [[ ! -f $dir/configured ]]; then
		copy_linux_source "$FNPU_KERNEL_SERIES" "$tree"
		hook_driver "$tree"
		configure_kernel "$tree" "$OPTIONS"
		touch "$dir/configured"
	fi
	make -C "$tree" -j"$(nproc)" bzImage modules
	kver=$(make -s -C "$tree" kernelrelease)
	rm -rf "${dir:?}/lib"
	make -C "$tree" INSTALL_MOD_PATH="$dir" modules_install
	rm -f "$dir/lib/modules/$kver"/{build,source}
	cp "$tree/arch/x86/boot/bzImage" "$dir/vmlinuz-$kver"
	cat >"$dir/env.new" <<-END
		KVER=$kver
		KIMAGE=$dir/vmlinuz-$kver
		KMODDIR=$dir/lib/modules/$kver
		KHEADERS=$tree
	END
	mv "$dir/env.new" "$dir/env"
}

# Trees of 2 GB that nobody used for a week; each use touches the env.
forget_old() {
	local env

	find "$DEBUG_CACHE" -mindepth 2 -maxdepth 2 -name env -mtime +7 |
		while read -r env; do
			rm -rf "${env%/env}"
		done
}

[[ $# == 0 || $* == --source ]] || die "usage: tools/debug-kernel.sh [--source]"
cd "$FNPU_TOP"
mkdir -p "$DEBUG_CACHE"
lock "$DEBUG_CACHE/lock" >&2
need_linux_source "$FNPU_KERNEL_SERIES" "$FNPU_KERNEL_SERIES" kernel_sources >&2
if [[ ${1-} == --source ]]; then
	echo "$LINUX_SOURCE_CACHE/$FNPU_KERNEL_SERIES"
	exit 0
fi
version=$(basename "$(readlink "$LINUX_SOURCE_CACHE/$FNPU_KERNEL_SERIES")")
dir=$DEBUG_CACHE/$version-$(driver_kernel_key "$OPTIONS")
if [[ ! -f $dir/env ]]; then
	step KERNEL "building the debug kernel, once (out/log/debug-kernel.log)" >&2
	start_log debug-kernel
	mkdir -p "$dir"
	logged debug-kernel "$HINT" build "$dir"
fi
touch "$dir/env"
forget_old
echo "$dir/env"
