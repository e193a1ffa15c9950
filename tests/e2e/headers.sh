#!/bin/bash
# SPDX-License-Identifier: MIT
# The public headers compile alone, in C and C++, without a warning.
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
done_testing
