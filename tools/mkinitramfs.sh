#!/bin/bash
# SPDX-License-Identifier: MIT
#
# mkinitramfs.sh - builds the guest's root file system.
#
# usage: tools/mkinitramfs.sh OUT.cpio[.gz|.zst] [OPTION...]
#
#   --module FILE.ko      a module of ours; vm-init loads them in this order
#   --kmod NAME           a module of the kernel's to have (not loaded)
#   --kmod-if-any NAME    likewise, if the kernel has it
#   --bin SRC[:DST]       a program, with the libraries it needs (/usr/bin/)
#   --file SRC:DST        a file or folder, anywhere; the same for ELF files
#   --kmoddir DIR         .../lib/modules/KVER of another kernel
#                         (default: the one of tools/fetch-kernel.sh)
#
# The root is small and made for one purpose: busybox, kmod, a real udevd (so
# that our udev rule is what is tested), the modules with all they depend on,
# the programs and their libraries, and vm-init as /init.  The same input gives
# the same bytes, whoever runs it: with -icount even the time that the guest
# takes to unpack it is part of what must repeat.
#
# The ending of OUT chooses the compression.  A plain .cpio boots fastest:
# emulated, unpacking costs more than loading.

set -euo pipefail
# shellcheck source=tools/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
umask 022
PATH=$PATH:/usr/sbin:/sbin
export LC_ALL=C

# For the interactive guest, which mounts the work tree. Only Debian's kernel has them.
BASE_KMODS=(9pnet_virtio 9p)

usage() {
	die "$1
usage: tools/mkinitramfs.sh OUT.cpio[.gz|.zst] [--module FILE.ko] [--kmod NAME]
	[--kmod-if-any NAME]
	[--bin SRC[:DST]] [--file SRC:DST] [--kmoddir DIR] ..."
}

is_elf() {
	local magic

	IFS= read -r -N 4 magic <"$1" 2>/dev/null || return 1
	[[ $magic == $'\x7fELF' ]]
}

# add FILE DST: one file, parents made, mode kept to x or not; queues ELF files
# for their libraries.
declare -a elf_files=()
add() {
	local mode=644

	[[ -x $1 ]] && mode=755
	install -D -m "$mode" "$1" "$root$2"
	if is_elf "$1"; then
		elf_files+=("$1")
	fi
}

# What "bin" and the dynamic loader's /lib64 are in a merged-usr Debian.
make_skeleton() {
	local dir

	mkdir -p "$root"/usr/{bin,sbin,lib,lib64} "$root"/etc
	mkdir -p "$root"/{dev,proc,sys,run,root,out,work}
	mkdir -m 1777 "$root/tmp"
	for dir in bin sbin lib lib64; do
		ln -s "usr/$dir" "$root/$dir"
	done
	cat >"$root/etc/passwd" <<-END
		root:x:0:0:root:/root:/bin/sh
		user:x:1000:1000:a user in the render group:/tmp:/bin/sh
		nobody:x:65534:65534:nobody:/nonexistent:/bin/sh
	END
	cat >"$root/etc/group" <<-END
		root:x:0:
		tty:x:5:
		video:x:44:
		render:x:105:user
		user:x:1000:
		nogroup:x:65534:
	END
}

add_base() {
	local busybox applet udevd

	busybox=$(command -v busybox) || die "no busybox (tools/deps.sh run)"
	add "$busybox" /usr/bin/busybox
	for applet in $("$busybox" --list); do
		[[ $applet == busybox ]] || ln -s busybox "$root/usr/bin/$applet"
	done

	add "$(command -v kmod)" /usr/bin/kmod
	for applet in modprobe insmod rmmod lsmod modinfo depmod; do
		ln -sf kmod "$root/usr/bin/$applet"
	done

	udevd=/usr/lib/systemd/systemd-udevd
	[[ -e $udevd ]] || udevd=/lib/systemd/systemd-udevd
	add "$(command -v udevadm)" /usr/bin/udevadm
	if [[ $(readlink -f "$udevd") == $(readlink -f "$(command -v udevadm)") ]]; then
		mkdir -p "$root/usr/lib/systemd"
		ln -s ../../bin/udevadm "$root/usr/lib/systemd/systemd-udevd"
	else
		add "$udevd" /usr/lib/systemd/systemd-udevd
	fi
	mkdir -p "$root/usr/lib/udev/rules.d" "$root/etc/udev"

	add "$FNPU_TOP/tools/vm-init" /init
}

# add_libraries: what the dynamic loader would load for all queued ELF files.
add_libraries() {
	local libs lib dst

	libs=$(libraries_of "${elf_files[@]}") || die "a program lacks a library"
	while read -r lib; do
		dst=$lib
		case $lib in
		/lib/* | /lib64/* | /usr/lib/* | /usr/lib64/*) ;;
		*) dst=/usr/lib/x86_64-linux-gnu/${lib##*/} ;;
		esac
		[[ -e $root$dst ]] || install -D -m 755 "$lib" "$root$dst"
	done <<<"$libs"
}

libraries_of() {
	local text

	# ldd says "not a dynamic executable" and fails for static ones.
	text=$(ldd "$@" 2>/dev/null) || :
	if grep -q 'not found' <<<"$text"; then
		grep 'not found' <<<"$text" >&2
		return 1
	fi
	sed -n 's|.*=> \(/[^ ]*\) (0x.*|\1|p; s|^[[:space:]]*\(/[^ ]*\) (0x.*|\1|p' \
		<<<"$text" | sort -u
}

# --- modules -------------------------------------------------------------------

# Copies in-tree module FILE (relative to KMODDIR), decompressed.
add_kmod_file() {
	local src=$kmoddir/$1 dst=$root/lib/modules/$kver/$1

	dst=${dst%.xz} dst=${dst%.zst} dst=${dst%.gz}
	[[ -e $dst ]] && return
	mkdir -p "${dst%/*}"
	case $src in
	*.xz) xz -dc "$src" >"$dst" ;;
	*.zst) zstd -dcq "$src" >"$dst" ;;
	*.gz) gzip -dc "$src" >"$dst" ;;
	*) cp "$src" "$dst" ;;
	esac
}

# add_kmod NAME [OPTIONAL]: an in-tree module and all it depends on, by modules.dep.
add_kmod() {
	local name=${1//-/_} file dep

	file=${kmod_path[$name]-}
	if [[ -z $file ]]; then
		[[ -v kmod_builtin[$name] || -n ${2-} ]] && return
		die "kernel $kver has no module '$1'"
	fi
	add_kmod_file "$file"
	for dep in ${kmod_deps[$file]}; do
		add_kmod_file "$dep"
	done
}

# name_of_module PATH: a/b/gpu-sched.ko.xz -> gpu_sched
name_of_module() {
	local name=${1##*/}

	name=${name%%.ko*}
	REPLY=${name//-/_}
}

add_modules() {
	local file rest name dep soft
	local -A kmod_path=() kmod_deps=() kmod_builtin=() ours=()

	while IFS=: read -r file rest; do
		name_of_module "$file"
		kmod_path[$REPLY]=$file
		kmod_deps[$file]=$rest
	done <"$kmoddir/modules.dep"
	while read -r file; do
		name_of_module "$file"
		kmod_builtin[$REPLY]=1
	done <"$kmoddir/modules.builtin"

	mkdir -p "$root/lib/modules/$kver"
	for file in modules.order modules.builtin modules.builtin.modinfo; do
		[[ ! -f $kmoddir/$file ]] || cp "$kmoddir/$file" "$root/lib/modules/$kver/"
	done
	for name in "${kmods[@]}"; do
		add_kmod "$name"
	done
	for name in "${optional_kmods[@]}"; do
		add_kmod "$name" optional
	done
	: >"$root/etc/modules-load"
	for file in "${modules[@]}"; do
		[[ -f $file ]] || die "no module '$file'"
		name_of_module "$file"
		ours[$REPLY]=1
		echo "$REPLY" >>"$root/etc/modules-load"
	done
	for file in "${modules[@]}"; do
		install -D -m 644 "$file" "$root/lib/modules/$kver/updates/${file##*/}"
		soft=$(modinfo -F softdep "$file" | sed 's/\(pre\|post\)://g')
		for dep in $(modinfo -F depends "$file" | tr , ' ') $soft; do
			[[ -v ours[${dep//-/_}] ]] || add_kmod "$dep"
		done
	done
	depmod -b "$root" "$kver"
}

# --- main ----------------------------------------------------------------------

(($# >= 1)) || usage "no output file"
out=$1
shift
modules=() kmods=() optional_kmods=() bins=() files=() kmoddir=
while (($#)); do
	(($# >= 2)) || usage "$1 wants a value"
	case $1 in
	--module) modules+=("$2") ;;
	--kmod) kmods+=("$2") ;;
	--kmod-if-any) optional_kmods+=("$2") ;;
	--bin) bins+=("$2") ;;
	--file) files+=("$2") ;;
	--kmoddir) kmoddir=$2 ;;
	*) usage "unknown option '$1'" ;;
	esac
	shift 2
done
case $out in
*.cpio) compress=(cat) ;;
*.cpio.gz) compress=(gzip -n -9) ;;
*.cpio.zst) compress=(zstd -q -T1 -10) ;;
*) usage "'$out' is no .cpio, .cpio.gz or .cpio.zst" ;;
esac
if [[ -z $kmoddir ]]; then
	"$FNPU_TOP/tools/fetch-kernel.sh"
	kmods+=("${BASE_KMODS[@]}")
	kmoddir=$(sed -n 's/^KMODDIR=//p' "$FNPU_CACHE/kernel/current/env")
fi
kver=$(basename "$kmoddir")
[[ -f $kmoddir/modules.dep ]] || die "no $kmoddir/modules.dep"

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
# mktemp makes it private; it becomes the guest's /.
chmod 755 "$root"

make_skeleton
add_base
for entry in "${bins[@]}"; do
	src=${entry%%:*}
	dst=/usr/bin/${src##*/}
	[[ $entry == *:* ]] && dst=${entry#*:}
	[[ -f $src ]] || die "no program '$src'"
	add "$src" "$dst"
done
for entry in "${files[@]}"; do
	src=${entry%%:*} dst=${entry#*:}
	[[ $entry == *:/* ]] || usage "--file wants SRC:/DST, not '$entry'"
	if [[ -d $src ]]; then
		while read -r file; do
			add "$src/$file" "$dst/$file"
		done < <(cd "$src" && find . -type f -printf '%P\n' | sort)
	elif [[ -f $src ]]; then
		add "$src" "$dst"
	else
		die "no file '$src'"
	fi
done
add_libraries
add_modules

mkdir -p "$(dirname "$out")"
find "$root" -exec touch -h -d @0 {} +
(cd "$root" && find . -mindepth 1 | sort |
	cpio --quiet --reproducible -o -H newc -R 0:0) | "${compress[@]}" >"$out.new"
mv "$out.new" "$out"
