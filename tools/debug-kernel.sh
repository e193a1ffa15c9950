#!/bin/bash
# SPDX-License-Identifier: MIT
#
# debug-kernel.sh - builds a kernel that finds the driver's bugs.
#
# usage: tools/debug-kernel.sh
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
KCONFIG=$FNPU_TOP/kernel/Kconfig
HINT="See the log.  To start over, remove $DEBUG_CACHE and run this again."

# Every option asked for must be there in the end: Kconfig drops silently what misses a
# dependency.
check_options() {
	local line bad=0

	while read -r line; do
		case $line in
		CONFIG_*=n) ! grep -q "^${line%=n}=" "$1/.config" || { echo "not off: $line"; bad=1; } ;;
		CONFIG_*) grep -qxF "$line" "$1/.config" || { echo "not taken: $line"; bad=1; } ;;
		esac
	done <"$OPTIONS"
	return $bad
}

configure() {
	local tree=$1 accel=$1/drivers/accel

	copy_linux_source "$FNPU_KERNEL_SERIES" "$tree"
	mkdir "$accel/fluidnpu"
	cp "$KCONFIG" "$accel/fluidnpu/Kconfig"
	echo '# The objects are built elsewhere, with M=.' >"$accel/fluidnpu/Makefile"
	tools/kernel/hook-accel "$tree"
	make -C "$tree" KCONFIG_ALLCONFIG="$OPTIONS" allnoconfig
	check_options "$tree"
}

build() {
	local dir=$1 tree=$1/linux kver

	[[ -f $dir/configured ]] || configure "$tree"
	touch "$dir/configured"
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

[[ $# == 0 ]] || die "usage: tools/debug-kernel.sh"
cd "$FNPU_TOP"
mkdir -p "$DEBUG_CACHE"
lock "$DEBUG_CACHE/lock" >&2
need_linux_source "$FNPU_KERNEL_SERIES" "$FNPU_KERNEL_SERIES" kernel_sources >&2
version=$(basename "$(readlink "$LINUX_SOURCE_CACHE/$FNPU_KERNEL_SERIES")")
dir=$DEBUG_CACHE/$version-$(cat "$OPTIONS" "$KCONFIG" tools/kernel/hook-accel | sha256sum | cut -c1-12)
if [[ ! -f $dir/env ]]; then
	step KERNEL "building the debug kernel, once (out/log/debug-kernel.log)" >&2
	start_log debug-kernel
	mkdir -p "$dir"
	logged debug-kernel "$HINT" build "$dir"
fi
touch "$dir/env"
forget_old
echo "$dir/env"
