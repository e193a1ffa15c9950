#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The manual pages: sound, complete, and of these very programs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

sound() {
	local said
	said=$(mandoc -T lint -W warning "$1" 2>&1 | grep -v 'cannot parse date') || true
	[[ -z $said ]] || { echo "$said"; return 1; }
}

# every option of --help stands in the page, which is for this version
tells_all() {
	local options option text
	text=$(mandoc -T ascii "$2" | col -b)
	options=$("$1" --help | grep -oE '(^|[ ,])--[a-z][a-z-]*' | tr -d ' ,' | sort -u)
	[[ -n $options ]]
	for option in $options; do
		grep -qF -- "$option" <<<"$text" || { echo "$option is missing"; return 1; }
	done
	grep -qF "$("$1" --version | grep -oE '[0-9]+\.[0-9]+\.[0-9]+' | head -n 1)" "$2"
}

for program in out/bin/*; do
	name=${program##*/}
	for page in out/man/"$name".[18]; do
		[[ -e $page ]] || continue
		check "$name: the page is sound" sound "$page"
		check "$name: it tells of all options" tells_all "$program" "$page"
	done
done

page=userspace/lib/libfluidnpu.7
check "libfluidnpu: the page is sound" sound "$page"
# functions that the library exports and the page does not know, or the other way round
functions() {
	diff <(nm -D --defined-only out/lib/libfluidnpu.so.1 | grep -oE 'fnpu_[a-z_]+' | sort -u) \
		<(grep -oE '^\.Fn fnpu_[a-z_]+' "$page" | cut -c5- | sort -u)
}
check "libfluidnpu: it names all functions, and no others" functions
for name in npucc npurun npusim npuload npustat nputrace fluidnpud; do
	check "$name has a page" test -e "$(compgen -G "out/man/$name.[18]")"
done
done_testing
