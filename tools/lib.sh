# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# lib.sh - what the shell tools share: messages, logs, locks, the cache, apt.
#
# Sourced, never run.  Three ideas live here:
#
#  - A step prints one line and keeps its noise in out/log/NAME.log.  When it
#    fails, the end of that log is shown together with what to do about it.
#
#  - Whatever is expensive and does not depend on this checkout (QEMU, kernels)
#    lives in $FNPU_CACHE.  An entry is built in a temporary place and renamed,
#    under a lock, so that it is either absent or whole, and so that two
#    checkouts can share it.
#
#  - Packages that must not be installed (kernel images, other releases'
#    sources) are fetched with a private apt set-up: its own sources, lists and
#    cache.  The mirrors and keys are the ones that the system's apt uses, so
#    no mirror is named anywhere and the user's apt is never changed.

FNPU_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
FNPU_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/fluidnpu
FNPU_LOG_DIR=$FNPU_TOP/out/log

# The kernel of the guest, Debian's.
# shellcheck disable=SC2034 # used by those who source this
FNPU_KERNEL_SERIES=6.12

FNPU_KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# step TAG TEXT...: one line of progress, in the manner of kbuild.
step() {
	local tag=$1
	shift
	printf '  %-7s %s\n' "$tag" "$*"
}

# die TEXT...: an error of the tool itself.
die() {
	printf '%s: error: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# logged NAME HINT COMMAND...: runs COMMAND with all output appended to
# out/log/NAME.log.  On failure shows the end of the log and HINT, and exits.
logged() {
	local log=$FNPU_LOG_DIR/$1.log hint=$2 status=0
	shift 2
	mkdir -p "$FNPU_LOG_DIR"
	printf '\n$ %s\n' "$*" >>"$log"
	# A command of our own (a function) runs in a subshell with errexit on,
	# which a plain "if !" or "||" would switch off.
	set +e
	(set -e; "$@") >>"$log" 2>&1 </dev/null
	status=$?
	set -e
	((status == 0)) && return 0
	{
		printf '%s: failed (%d): %s\n' "${0##*/}" "$status" "$*"
		printf -- '--- last 30 lines of %s\n' "$log"
		tail -n 30 "$log"
		printf -- '---\n%s\n' "$hint"
	} >&2
	exit 1
}

# start_log NAME: empties the log that logged() appends to.
start_log() {
	mkdir -p "$FNPU_LOG_DIR"
	: >"$FNPU_LOG_DIR/$1.log"
}

# lock FILE: takes an exclusive lock for the rest of this process (not for its
# children: use_lock_fd closes it for those that outlive us).
lock() {
	mkdir -p "$(dirname "$1")"
	exec {FNPU_LOCK_FD}>"$1"
	if ! flock -n "$FNPU_LOCK_FD"; then
		step WAIT "for another run that holds $1"
		flock "$FNPU_LOCK_FD"
	fi
}

unlock() {
	exec {FNPU_LOCK_FD}>&-
}

# hash_files FILE...: one short hash over the contents and names.
hash_files() {
	sha256sum -- "$@" | sha256sum | cut -c1-16
}

# os_codename: bookworm, trixie, ...
os_codename() {
	# shellcheck source=/dev/null
	(. /etc/os-release && printf '%s\n' "${VERSION_CODENAME:-unknown}")
}

# apt_mirror SUITE: the base address from which the system's apt takes SUITE,
# or nothing.  Asked of apt itself, and before the first "apt-get update" too.
apt_mirror() {
	apt-get update --print-uris 2>/dev/null |
		sed -n "s|^'\\(.*\\)dists/$1/InRelease'.*|\\1|p" | head -n 1
}

# apt_base_mirror: the mirror of the running release's main archive, which
# carries the other releases and the backports too.
apt_base_mirror() {
	local suite uri

	for suite in "$(os_codename)" stable oldstable testing; do
		uri=$(apt_mirror "$suite")
		if [[ -n $uri ]]; then
			printf '%s\n' "$uri"
			return
		fi
	done
	die "apt names no mirror for Debian $(os_codename); check /etc/apt/sources.list*"
}

# kernel_sources: the apt sources that carry $FNPU_KERNEL_SERIES for the running release.
kernel_sources() {
	local suite base security

	suite=$(os_codename)
	base=$(apt_base_mirror)
	security=$(apt_mirror "$suite-security")
	if [[ $suite == bookworm ]]; then
		echo "deb $base bookworm-backports"
	else
		echo "deb $base $suite"
	fi
	[[ -z $security ]] || echo "deb $security $suite-security"
}

# private_apt NAME LINE...: makes the set-up NAME with these sources, each
# "TYPE MIRROR SUITE", and updates it.  Then papt NAME COMMAND... uses it.
private_apt() {
	local dir=$FNPU_CACHE/apt/$1 line type mirror suite
	shift
	mkdir -p "$dir"/{lists/partial,cache/archives/partial,empty.d}
	: >"$dir/sources.list"
	for line in "$@"; do
		read -r type mirror suite <<<"$line"
		printf '%s [signed-by=%s] %s %s main\n' "$type" "$FNPU_KEYRING" \
			"$mirror" "$suite" >>"$dir/sources.list"
	done
	papt "${dir##*/}" apt-get update --error-on=any
}

papt() {
	local dir=$FNPU_CACHE/apt/$1 tool=$2
	shift 2
	"$tool" -o Dir::Etc::sourcelist="$dir/sources.list" \
		-o Dir::Etc::sourceparts="$dir/empty.d" \
		-o Dir::Etc::preferences=/dev/null \
		-o Dir::Etc::preferencesparts="$dir/empty.d" \
		-o Dir::State::lists="$dir/lists" \
		-o Dir::State::status=/dev/null \
		-o Dir::Cache="$dir/cache" \
		-o Acquire::Languages=none \
		-o Acquire::Retries=3 \
		-o APT::Sandbox::User=root \
		-o APT::Get::List-Cleanup=true \
		"$@"
}
