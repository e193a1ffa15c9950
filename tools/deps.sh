#!/bin/bash
# SPDX-License-Identifier: MIT
#
# deps.sh - installs the Debian packages that a group of targets needs.
#
# usage: tools/deps.sh GROUP...        GROUP: build run plot test lint train bench
#
# Names are the same in Debian 12 and 13.  Does nothing, quickly, when all is
# there.  Otherwise installs as root or through sudo; where neither is
# possible it prints the command for whoever can, and fails.

set -euo pipefail
# shellcheck source=tools/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# What runs the guest and makes its root file system.
RUN=(busybox-static kmod udev cpio zstd seabios qemu-system-data ncurses-base)

BUILD=(
	# the project's C code
	gcc libc6-dev make pkg-config libdrm-dev liburing-dev libcjson-dev
	libprotobuf-c-dev protobuf-c-compiler libonnx-dev zlib1g-dev libpng-dev
	libncurses-dev libcmocka-dev dataset-fashion-mnist help2man
	# the daemon
	libsystemd-dev libmicrohttpd-dev
	# the kernel module, and the debug kernel
	flex bison bc libelf-dev libssl-dev pahole xz-utils
	# QEMU
	ninja-build libglib2.0-dev libattr1-dev dpkg-dev python3 python3-venv
	"${RUN[@]}"
)

# clang with its sanitizers and libFuzzer; a symbolizer, so that findings have line numbers.
FUZZ=(clang libclang-rt-dev llvm)
LINT=(clang clang-format cppcheck sparse shellcheck git)
NETWORKS=(python3-onnx python3-numpy)
CONFORMANCE=(libonnx-testdata "${NETWORKS[@]}")	# networks of the ONNX project's own cases
TRAIN=(python3-torch "${NETWORKS[@]}")

wanted=()
for group in "$@"; do
	case $group in
	build) wanted+=("${BUILD[@]}") ;;
	run) wanted+=("${RUN[@]}") ;;
	plot) wanted+=(gnuplot-nox) ;;
	test)
		# pyte is a terminal that tests look at
		wanted+=("${BUILD[@]}" "${NETWORKS[@]}" "${FUZZ[@]}" "${CONFORMANCE[@]}" spin g++
			gnuplot-nox mandoc bsdextrautils python3-pyte)
		# Any node will do, from wherever it came.
		command -v node >/dev/null || wanted+=(nodejs)
		command -v npm >/dev/null || wanted+=(npm)
		;;
	lint) wanted+=("${LINT[@]}") ;;
	train) wanted+=("${TRAIN[@]}") ;;
	bench) wanted+=("${NETWORKS[@]}" gnuplot-nox) ;;
	*) die "unknown group '$group' (have: build run plot test lint train bench)" ;;
	esac
done
((${#wanted[@]})) || die "usage: tools/deps.sh GROUP..."

# dpkg-query fails when it does not know one of them; what it knows counts.
missing=$(comm -23 <(printf '%s\n' "${wanted[@]}" | sort -u) \
	<(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${wanted[@]}" \
		2>/dev/null | sed -n 's/ installed$//p' | sort -u))
[[ -z $missing ]] && exit 0
mapfile -t missing <<<"$missing"

install=(apt-get install -y --no-install-recommends "${missing[@]}")
if ((EUID == 0)); then
	as_root=(env)
elif sudo -n true 2>/dev/null || [[ -t 0 ]]; then
	# Where a password is needed, ask for it here: later output is in the log.
	sudo -v
	as_root=(sudo -n env)
else
	echo "These packages are missing; install them as root, then run this again:" >&2
	echo "  apt-get update && ${install[*]}" >&2
	exit 1
fi
as_root+=(DEBIAN_FRONTEND=noninteractive)

start_log deps
step APT "update"
logged deps "Does 'apt-get update' work?  Check the network and /etc/apt/sources.list*." \
	"${as_root[@]}" apt-get update
for package in "${missing[@]}"; do
	apt-cache show --no-all-versions "$package" >/dev/null 2>&1 ||
		die "apt has no package '$package'; Debian 12 and 13 have it in main"
done
step APT "installing ${missing[*]}"
logged deps "Could not install: ${missing[*]}" "${as_root[@]}" "${install[@]}"
