#!/bin/bash
# SPDX-License-Identifier: MIT
#
# fetch-kernel.sh - makes a Debian 6.12 kernel available in the cache.
#
# usage: tools/fetch-kernel.sh
#
# Leaves $FNPU_CACHE/kernel/current/env, shell assignments to source:
#
#	KVER      6.12.X+deb12-amd64, what uname -r says in the guest
#	KIMAGE    the kernel image
#	KMODDIR   .../lib/modules/KVER
#	KHEADERS  for make -C "$KHEADERS" M=... modules
#
# The image is only downloaded and unpacked: installing it would rewrite the
# user's initramfs and boot entries.  The headers are unpacked too, and their
# absolute paths are turned to where they are.  Debian 12 has the kernel in its
# security suite or else in the backports, Debian 13 in main.  What is in the
# cache stays as it is (the same kernel every day); to get a newer one remove
# $FNPU_CACHE/kernel.

set -euo pipefail
# shellcheck source=tools/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

KERNEL_CACHE=$FNPU_CACHE/kernel

# newest_kver: the newest KVER of the series whose packages are all there.
newest_kver() {
	local names kver

	names=$(papt kernel apt-cache pkgnames linux-)
	while read -r kver; do
		if grep -qx "linux-headers-$kver" <<<"$names"; then
			printf '%s\n' "$kver"
			return
		fi
	done < <(sed -n "s/^linux-image-\\(${FNPU_KERNEL_SERIES//./\\.}\\.[0-9]*\\(+deb[0-9]*\\)\\{0,1\\}-amd64\\)\$/\\1/p" \
		<<<"$names" | sort -rV)
	echo "no linux-image-$FNPU_KERNEL_SERIES.*-amd64 with headers in the suites above" >&2
	return 1
}

# depends PACKAGE PREFIX: the dependency of PACKAGE that starts with PREFIX.
depends() {
	papt kernel apt-cache show --no-all-versions "$1" |
		sed -n 's/^Depends: //p' | sed 's|[,|]|\n|g' |
		sed 's/^ *//; s/ .*//' | grep -- "^$2" | head -n 1
}

# Makes the unpacked headers refer to themselves instead of to /usr and /lib.
relocate_headers() {
	local root=$1 final=$2 headers=$3

	sed -i "s|/usr/src/|$final/usr/src/|g" "$headers/Makefile"
	if grep -rn "[ =]/usr/src/linux\|[ =]/usr/lib/linux" "$headers" --include='Makefile*'; then
		echo "an absolute path is left in the headers"
		return 1
	fi
	rm -f "$root"/lib/modules/*/{build,source}
}

# fetch TMP: downloads and unpacks into TMP; writes the env for the final place.
fetch() {
	local tmp=$1 sources kver headers compiler moddir final packages

	mapfile -t sources < <(kernel_sources)
	private_apt kernel "${sources[@]}"
	kver=$(newest_kver)
	final=$KERNEL_CACHE/$kver
	headers=linux-headers-$kver
	packages=("linux-image-$kver" "$headers" "$(depends "$headers" linux-headers-)"
		"$(depends "$headers" linux-kbuild-)")
	compiler=$(depends "$headers" gcc-)
	if ! command -v "x86_64-linux-gnu-$compiler" >/dev/null; then
		echo "the kernel's headers want $compiler: apt-get install $compiler"
		return 1
	fi

	mkdir "$tmp/debs"
	(cd "$tmp/debs" && papt kernel apt-get download "${packages[@]}")
	for deb in "$tmp"/debs/*.deb; do
		dpkg -x "$deb" "$tmp"
	done
	rm -r "$tmp/debs" "$FNPU_CACHE/apt/kernel"

	# Newer packages put all of /lib into /usr/lib; one layout for us.
	[[ -d $tmp/lib ]] || ln -s usr/lib "$tmp/lib"
	relocate_headers "$tmp" "$final" "$tmp/usr/src/$headers"
	moddir=lib/modules/$kver
	depmod -b "$tmp" "$kver"
	[[ -s $tmp/boot/vmlinuz-$kver && -s $tmp/$moddir/modules.dep ]]
	cat >"$tmp/env" <<-END
		KVER=$kver
		KIMAGE=$final/boot/vmlinuz-$kver
		KMODDIR=$final/$moddir
		KHEADERS=$final/usr/src/$headers
	END
}

[[ $# == 0 ]] || die "usage: tools/fetch-kernel.sh"
[[ -f $KERNEL_CACHE/current/env ]] && exit 0

start_log kernel
lock "$KERNEL_CACHE/lock"
if [[ ! -f $KERNEL_CACHE/current/env ]]; then
	step KERNEL "downloading and unpacking Debian's $FNPU_KERNEL_SERIES (120 MB)"
	rm -rf "$KERNEL_CACHE"/tmp.*
	tmp=$(mktemp -d "$KERNEL_CACHE/tmp.XXXXXX")
	chmod 755 "$tmp"
	logged kernel "Is Debian's mirror reachable ('apt-get update')?" fetch "$tmp"
	kver=$(sed -n 's/^KVER=//p' "$tmp/env")
	rm -rf "${KERNEL_CACHE:?}/$kver"
	mv -T "$tmp" "$KERNEL_CACHE/$kver"
	ln -sfn "$kver" "$KERNEL_CACHE/current"
fi
