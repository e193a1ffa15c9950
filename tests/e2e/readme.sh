#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The first application: the README shows the very file of userspace/examples, and
# it builds and runs against an installed library.
# shellcheck disable=SC2016
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

data=/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz
root=$tap_dir/root

readme_shows_it() {
	sed -n '/^```c$/,/^```$/p' README.md | sed '1d;$d' | diff - userspace/examples/first.c
}

install_and_build() {
	local pc=$root/usr/local/lib/pkgconfig flags
	make --no-print-directory install DESTDIR="$root" || return 1
	flags=$(PKG_CONFIG_PATH=$pc pkg-config --define-variable=prefix="$root/usr/local" \
		--cflags --libs libfluidnpu) || return 1
	# shellcheck disable=SC2086
	gcc -Wall -Wextra -Werror -o "$tap_dir/first" userspace/examples/first.c $flags
}

classify() {
	zcat "$data" | tail -c +17 | head -c $((784 * 20)) |
		LD_LIBRARY_PATH=$root/usr/local/lib "$tap_dir/first" \
			out/models/fmnist-resnet3.fnpu emu
}

twenty_lines() {
	[[ $(classify | grep -Ec '^image [0-9]+: .* \([0-9.]+ %\), left at exit [012]$') == 20 ]]
}

check "the README shows userspace/examples/first.c" readme_shows_it
check "it builds against the installed library" install_and_build
check "it classifies 20 images" twenty_lines
done_testing
