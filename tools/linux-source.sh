# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# linux-source.sh - Debian's kernel sources, in the cache.
#
# Sourced after lib.sh.  need_linux_source NAME SERIES SOURCES leaves
#
#	$FNPU_CACHE/linux-source/VERSION/	the source, with Debian's patches
#	$FNPU_CACHE/linux-source/NAME		a link to it
#
# where VERSION is that of Debian's package.  Only what a build for x86 reads is unpacked.
# Nobody writes there: who builds takes a copy (copy_linux_source).  What is in the cache
# stays as it is; to get a newer one remove the link NAME.

LINUX_SOURCE_CACHE=$FNPU_CACHE/linux-source

# Large, and of no use to a build for x86 with our options. The other architectures' Kconfig
# files stay.
LINUX_SOURCE_LEAVE_OUT=('arch/[a-w]*.[chS]' 'arch/[a-w]*.dts*' 'arch/xtensa*.[chS]'
	'Documentation/devicetree' 'drivers/gpu/drm/amd/include' 'tools/testing/selftests')

# Prints "PACKAGE VERSION" of the newest source in the private apt set-up NAME that is of
# SERIES ("6.12"), or of any if SERIES is empty.
newest_linux_source() {
	local series=${2//./\\.} package

	package=$(papt "$1" apt-cache pkgnames linux-source- |
		grep -E "^linux-source-${series:-[0-9.]+}\$" | sort -V | tail -n 1)
	[[ -n $package ]] || {
		echo "no linux-source-${2:-*} in the suites of $FNPU_CACHE/apt/$1" >&2
		return 1
	}
	papt "$1" apt-cache show --no-all-versions "$package" |
		sed -n "s/^Version: /$package /p"
}

unpack_linux_source() {
	local name=$1 series=$2 package version tmp pattern leave_out=() sources

	mapfile -t sources < <("$3")
	private_apt "$name" "${sources[@]}"
	read -r package version < <(newest_linux_source "$name" "$series")
	[[ -n $version ]]
	if [[ ! -d $LINUX_SOURCE_CACHE/$version ]]; then
		tmp=$(mktemp -d "$LINUX_SOURCE_CACHE/tmp.XXXXXX")
		(cd "$tmp" && papt "$name" apt-get download "$package=$version")
		dpkg -x "$tmp"/*.deb "$tmp/deb"
		for pattern in "${LINUX_SOURCE_LEAVE_OUT[@]}"; do
			leave_out+=("--exclude=$package/$pattern")
		done
		mkdir "$tmp/source"
		tar -C "$tmp/source" --strip-components=1 "${leave_out[@]}" \
			-xJf "$tmp/deb/usr/src/$package.tar.xz"
		mv -T "$tmp/source" "$LINUX_SOURCE_CACHE/$version"
		rm -rf "$tmp"
	fi
	rm -rf "$FNPU_CACHE/apt/$name"
	ln -sfn "$version" "$LINUX_SOURCE_CACHE/$name"
}

# need_linux_source NAME SERIES SOURCES: makes $LINUX_SOURCE_CACHE/NAME be there. SOURCES is a
# function that prints the apt sources to search. The caller holds a lock.
need_linux_source() {
	[[ -e $LINUX_SOURCE_CACHE/$1/Makefile ]] && return
	step KERNEL "downloading and unpacking Debian's linux-source${2:+-$2} (150 MB)"
	mkdir -p "$LINUX_SOURCE_CACHE"
	start_log "linux-source"
	logged linux-source "Is Debian's mirror reachable ('apt-get update')?" unpack_linux_source "$@"
}

# copy_linux_source NAME DIR: hard links; no build writes through them.
copy_linux_source() {
	rm -rf "$2"
	cp -al "$(readlink -f "$LINUX_SOURCE_CACHE/$1")" "$2"
}

# hook_driver TREE: an empty drivers/accel/fluidnpu with our Kconfig.
hook_driver() {
	mkdir "$1/drivers/accel/fluidnpu"
	cp "$FNPU_TOP/kernel/Kconfig" "$1/drivers/accel/fluidnpu/Kconfig"
	echo '# The objects are built elsewhere, with M=.' >"$1/drivers/accel/fluidnpu/Makefile"
	"$FNPU_TOP/tools/kernel/hook-accel" "$1"
}

# configure_kernel TREE OPTIONS: nothing but OPTIONS, and all of them: Kconfig drops without a
# word what misses a dependency.
configure_kernel() {
	local line bad=0

	make -C "$1" KCONFIG_ALLCONFIG="$2" allnoconfig
	while read -r line; do
		case $line in
		CONFIG_*=n) grep -q "^${line%n}" "$1/.config" || continue ;;
		CONFIG_*) ! grep -qxF "$line" "$1/.config" || continue ;;
		*) continue ;;
		esac
		echo "not taken: $line"
		bad=1
	done <"$2"
	return $bad
}

# driver_kernel_key OPTIONS: names a tree with hook_driver and OPTIONS.
driver_kernel_key() {
	cat "$1" "$FNPU_TOP/kernel/Kconfig" "$FNPU_TOP/tools/kernel/hook-accel" | sha256sum |
		cut -c1-12
}
