#!/bin/bash
# SPDX-License-Identifier: MIT
#
# build-qemu.sh - builds out/qemu/qemu-system-x86_64 with the NPU in it.
#
# usage: tools/build-qemu.sh [--print-bin]
#
# QEMU's source is Debian 13's package, on Debian 12 too (its own QEMU is too
# old and the backports serve no source at times).  Debian's patches let it
# configure without firmware blobs; the firmware comes from the packages
# seabios and qemu-system-data (vm-run passes -L).
#
# Two levels, because QEMU takes minutes and our device takes seconds:
#
#  $FNPU_CACHE/qemu/tree-KEY   QEMU, unpacked, configured and built.  KEY says
#                              which QEMU, which options, which machine; it
#                              says nothing about our sources.  All checkouts
#                              share it.
#  out/qemu/                   this checkout's binary.  Our sources are copied
#                              into the tree (only those that changed, so that
#                              ninja builds no more than that) and the result
#                              is copied out, all under the tree's lock.
#
# QEMU's tree gets hw/misc/fluidnpu/ from qemu-device/hw (as is),
# qemu-device/core (in core/) and uapi (in uapi/); see the meson.build in
# qemu-device/overlay.

set -euo pipefail
# shellcheck source=tools/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

OUT_DIR=$FNPU_TOP/out/qemu
BIN=$OUT_DIR/qemu-system-x86_64
OVERLAY=$FNPU_TOP/qemu-device/overlay
QEMU_CACHE=$FNPU_CACHE/qemu
SUITE=trixie

CONFIGURE_ARGS=(
	--target-list=x86_64-softmmu
	--without-default-features
	--without-default-devices
	--with-devices-x86_64=fluidnpu
	--enable-tcg
	--enable-kvm
	--enable-attr
	--enable-virtfs
	--enable-trace-backends=log
	--disable-install-blobs
	--disable-download
	--disable-debug-info
	--python=/usr/bin/python3
)

HINT="See the log.  To start over, remove $QEMU_CACHE and run this again."

# --- QEMU's source and meson, fetched once ---------------------------------

fetch_source() {
	local mirror version tmp

	tmp=$(mktemp -d "$QEMU_CACHE/source.XXXXXX")
	mirror=$(apt_base_mirror)
	private_apt qemu "deb-src $mirror $SUITE"
	(cd "$tmp" && papt qemu apt-get source --download-only qemu)
	version=$(sed -n 's/^Version: //p' "$tmp"/qemu_*.dsc | head -n 1)
	[[ -n $version ]]
	echo "$version" >"$tmp/version"
	rm -rf "$FNPU_CACHE/apt/qemu"
	mv -T "$tmp" "$QEMU_CACHE/source"
}

meson_is_new_enough() {
	local version

	version=$(dpkg-query -W -f '${Version}' meson 2>/dev/null) || return 1
	dpkg --compare-versions "${version:-0}" ge 1.5
}

# Debian 12's meson is too old for QEMU 10: unpack the backports' beside us.
fetch_meson() {
	local mirror tmp suite

	suite=$(os_codename)
	[[ $suite == bookworm ]] && suite=bookworm-backports
	tmp=$(mktemp -d "$QEMU_CACHE/meson.XXXXXX")
	mirror=$(apt_base_mirror)
	private_apt meson "deb $mirror $suite"
	(cd "$tmp" && papt meson apt-get download "meson/$suite")
	dpkg -x "$tmp"/meson_*.deb "$tmp/root"
	rm -rf "$FNPU_CACHE/apt/meson"
	mv -T "$tmp" "$QEMU_CACHE/meson"
}

# --- the tree ----------------------------------------------------------------

tree_key() {
	{
		cat "$QEMU_CACHE/source/version"
		printf '%s\n' "${CONFIGURE_ARGS[@]}"
		cat "$OVERLAY/Kconfig" "$OVERLAY/x86_64-softmmu.mak"
		os_codename
		gcc -dumpfullversion
	} | sha256sum | cut -c1-16
}

# Unpacks QEMU and hooks our directory into it.
unpack_tree() {
	local tree=$1 tmp=$1.tmp

	rm -rf "$tmp"
	dpkg-source --no-check -x "$QEMU_CACHE"/source/qemu_*.dsc "$tmp"
	mkdir -p "$tmp/hw/misc/fluidnpu"
	echo 'source fluidnpu/Kconfig' >>"$tmp/hw/misc/Kconfig"
	echo "subdir('fluidnpu')" >>"$tmp/hw/misc/meson.build"
	sed -i "s|^    'hw/misc',\$|&\n    'hw/misc/fluidnpu',|" "$tmp/meson.build"
	grep -q "'hw/misc/fluidnpu'" "$tmp/meson.build"
	cp "$OVERLAY/x86_64-softmmu.mak" \
		"$tmp/configs/devices/x86_64-softmmu/fluidnpu.mak"
	mv -T "$tmp" "$tree"
}

configure_tree() {
	mkdir -p "$1/build"
	cd "$1/build"
	../configure "${CONFIGURE_ARGS[@]}"
}

# --- our sources ---------------------------------------------------------------

# Prints "DESTINATION SOURCE" for each file of ours that QEMU's tree gets.
list_sources() {
	local file

	shopt -s nullglob
	for file in "$OVERLAY"/{Kconfig,meson.build}; do
		printf '%s %s\n' "${file##*/}" "$file"
	done
	for file in "$FNPU_TOP"/qemu-device/hw/{*.c,*.h,trace-events}; do
		[[ -f $file ]] && printf '%s %s\n' "${file##*/}" "$file"
	done
	for file in "$FNPU_TOP"/qemu-device/core/*.[ch]; do
		printf 'core/%s %s\n' "${file##*/}" "$file"
	done
	for file in "$FNPU_TOP"/uapi/*.h; do
		printf 'uapi/%s %s\n' "${file##*/}" "$file"
	done
}

# put FILE: writes stdin to FILE unless that is what it holds already.
put() {
	local tmp=$1.new

	cat >"$tmp"
	if cmp -s "$tmp" "$1"; then
		rm "$tmp"
	else
		mv "$tmp" "$1"
	fi
}

sync_sources() {
	local dir=$1/hw/misc/fluidnpu dst src have
	local -A want=([sources.txt]=1 [trace.h]=1 [trace-events]=1)

	mkdir -p "$dir/core" "$dir/uapi"
	while read -r dst src; do
		want[$dst]=1
		put "$dir/$dst" <"$src"
	done <<<"$SOURCES"
	awk '$1 ~ /\.c$/ { print $1 }' <<<"$SOURCES" | put "$dir/sources.txt"
	echo '#include "trace/trace-hw_misc_fluidnpu.h"' | put "$dir/trace.h"
	grep -q '^trace-events ' <<<"$SOURCES" ||
		echo '# no trace points' | put "$dir/trace-events"
	# What another checkout or an older state left behind.
	while read -r have; do
		[[ -v want[$have] ]] || rm "$dir/$have"
	done < <(cd "$dir" && find . -type f -printf '%P\n')
}

build_tree() {
	ninja -C "$1/build" qemu-system-x86_64
}

# --- main --------------------------------------------------------------------------

case ${1-} in
--print-bin)
	echo "$BIN"
	exit 0
	;;
'') ;;
*) die "usage: tools/build-qemu.sh [--print-bin]" ;;
esac

SOURCES=$(list_sources)
mapfile -t paths < <(awk '{ print $2 }' <<<"$SOURCES")
stamp=$(hash_files "${BASH_SOURCE[0]}" "$OVERLAY/x86_64-softmmu.mak" "${paths[@]}")
if [[ -x $BIN && $(cat "$OUT_DIR/.stamp" 2>/dev/null) == "$stamp" ]]; then
	exit 0
fi

mkdir -p "$QEMU_CACHE" "$OUT_DIR"
start_log qemu
lock "$QEMU_CACHE/lock"
if [[ ! -d $QEMU_CACHE/source ]]; then
	step FETCH "QEMU's source (Debian $SUITE, 40 MB)"
	logged qemu "Is Debian's mirror reachable?  $HINT" fetch_source
fi
if ! meson_is_new_enough; then
	if [[ ! -d $QEMU_CACHE/meson ]]; then
		step FETCH "meson"
		logged qemu "Is Debian's mirror reachable?  $HINT" fetch_meson
	fi
	export PYTHONPATH=$QEMU_CACHE/meson/root/usr/lib/python3/dist-packages
fi

tree=$QEMU_CACHE/tree-$(tree_key)
if [[ ! -d $tree ]]; then
	step QEMU "unpacking $(cat "$QEMU_CACHE/source/version")"
	logged qemu "$HINT" unpack_tree "$tree"
fi
sync_sources "$tree"
if [[ ! -f $tree/build/build.ninja ]]; then
	step QEMU "configuring"
	logged qemu "$HINT" configure_tree "$tree"
fi
if [[ -x $tree/build/qemu-system-x86_64 ]]; then
	step QEMU "building the device"
else
	step QEMU "building (3 minutes the first time)"
fi
logged qemu "See out/log/qemu.log; hw/misc/fluidnpu in it is qemu-device/{hw,core} and uapi here." \
	build_tree "$tree"
cp "$tree/build/qemu-system-x86_64" "$BIN.new"
mv "$BIN.new" "$BIN"
echo "$stamp" >"$OUT_DIR/.stamp"
