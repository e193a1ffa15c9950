#!/bin/bash
# SPDX-License-Identifier: MIT
# The public headers compile alone, in C and C++, without a warning, and syzkaller's descriptions
# say the same.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

for header in uapi/*.h userspace/include/*.h; do
	check "${header##*/} as C11" gcc -std=gnu11 -Wall -Wextra -Wpedantic -Werror -Iuapi \
		-Iuserspace/include -fsyntax-only -x c "$header"
	check "${header##*/} as C++17" g++ -std=gnu++17 -Wall -Wextra -Werror -Iuapi \
		-Iuserspace/include -fsyntax-only -x c++ "$header"
done

descriptions() {
	python3 -B tests/syzkaller/check.py "$1" uapi/fluidnpu_drm.h >"$tap_dir/check.c" &&
		gcc -std=gnu11 -Wall -Wextra -Werror -Iuapi -I/usr/include/libdrm -fsyntax-only \
			"$tap_dir/check.c"
}
check "tests/syzkaller describes the interface as the header does" \
	descriptions tests/syzkaller/fluidnpu.txt

# notices NAME SED: with this change it does not.
notices() {
	local status=0

	sed "$2" tests/syzkaller/fluidnpu.txt >"$tap_dir/changed"
	descriptions "$tap_dir/changed" >"$tap_dir/out" 2>&1 || status=$?
	tap_result "$((status == 0))" "$1 in a description is noticed"
}
notices "a field of another size" 's/^\tprogram_bytes.*/\tprogram_bytes\tint64/'
notices "a field that is missing" '/^\tlogits_iova/d'
notices "a command that is missing" '/FLUIDNPU_URING_WAIT/d'
notices "a flag that is missing" 's/, DRM_FLUIDNPU_JOB_NOP$//'
notices "a command with another structure" 's/\(URING_YIELD, \)drm_fluidnpu_yield/\1drm_fluidnpu_job/'
done_testing
