#!/bin/bash
# SPDX-License-Identifier: MIT
#
# fluidnpud on the emulated NPU: npurun gets through it what it gets without it, several at once,
# by a socket of its own or of systemd's; metrics; who may not; the end. Then eight processes for ten
# simulated minutes.
#
# FNPU_SOAK_SECONDS and FNPU_SOAK_SEED: how long these are, in device time, and which misfortunes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

soak_seconds=${FNPU_SOAK_SECONDS:-600} soak_seed=${FNPU_SOAK_SEED:-1}
daemon=$PWD/out/bin/fluidnpud npurun=$PWD/out/bin/npurun
model=$PWD/out/models/fmnist-resnet3.fnpu other=$PWD/out/models/fmnist-dsconv4.fnpu
images=/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz
readonly SAMPLES=3000
w=$tap_dir/work
mkdir "$w"
chmod 755 "$tap_dir" "$w"
socket=$w/npu.sock metrics=$w/metrics.sock
pid=

# start OPTION...: the daemon, until it says that it is ready
start() {
	# shellcheck disable=SC2016	# they are python's
	coproc STARTED { /usr/bin/python3 - "$daemon" --backend emu --socket "$socket" "$@" <<'END'
import os, socket, sys
name = "\0fluidnpud-e2e-%d" % os.getpid()
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(name)
os.environ["NOTIFY_SOCKET"] = "@" + name[1:]
pid = os.spawnv(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
s.settimeout(60)
print(pid if b"READY=1" in s.recv(4096) else 0, flush=True)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
END
	}
	read -r pid <&"${STARTED[0]}"
}

# stop: its exit status
stop() {
	local status
	kill "$pid"
	read -r status <&"${STARTED[0]}"
	wait "$STARTED_PID" 2>/dev/null || true
	return "$status"
}

through() {	# through NAME OPTION...: logits of the images by the daemon, into $w/NAME
	local name=$1
	shift
	"$npurun" --backend daemon --device "$socket" --model "$model" --limit "$SAMPLES" \
		--logits "$w/$name" --quiet "$@" "$images"
}

same() {	# same NAME NAME: all their exits
	local file
	for file in "$w/$1"/*.npy; do
		cmp "$file" "$w/$2/${file##*/}" || return 1
	done
	[[ -s $w/$1/exit2.npy ]]
}

both_at_once() {
	local first
	through one &
	first=$!
	through two && wait "$first"
}

# metric LINE...: the metrics have these lines, and nothing that is neither a number nor a comment
metric() {
	/usr/bin/python3 - "$metrics" "$@" <<'END'
import re, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
text = b"".join(iter(lambda: s.recv(65536), b"")).decode()
head, body = text.split("\r\n\r\n", 1)
assert " 200 " in head and "version=0.0.4" in head, head
for line in body.splitlines():
    assert re.fullmatch(r'# (HELP|TYPE) \w+ .+|\w+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? [0-9.e+-]+', line), line
for wanted in sys.argv[2:]:
    assert wanted in body.splitlines(), wanted + " is not in:\n" + body
END
}

refused_http() {	# refused_http REQUEST STATUS
	/usr/bin/python3 - "$metrics" "$@" <<'END'
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(sys.argv[2].encode() + b" HTTP/1.0\r\n\r\n")
answer = s.recv(65536).decode()
assert sys.argv[3] in answer.splitlines()[0], answer
END
}

# --- what it serves is what the NPU says
check "the emulator runs" "$npurun" --backend emu --model "$model" --limit "$SAMPLES" \
	--logits "$w/emu" --quiet "$images"
check "the emulator runs, to the last exit" "$npurun" --backend emu --model "$model" \
	--limit "$SAMPLES" --all-exits --logits "$w/emu-all" --quiet "$images"
start --model "$model" --model "$other" --metrics "$metrics"
check "npurun by the daemon" through daemon
check "it gives the emulator's bytes, $SAMPLES images" same emu daemon
check "two of them at once" both_at_once
check "the first has the emulator's bytes" same emu one
check "the second, too" same emu two
check "npurun by the daemon, to the last exit" through all --all-exits
check "it gives the emulator's bytes at all exits" same emu-all all
check "another model of the same daemon" "$npurun" --backend daemon --device "$socket" \
	--model "$other" --limit 100 --quiet "$images"

# --- metrics
name=fmnist-resnet3
check "metrics count samples, exits and failures" metric \
	"fluidnpu_inference_request_success{model=\"$name\"} $((4 * SAMPLES))" \
	'fluidnpu_inference_request_success{model="fmnist-dsconv4"} 100' \
	"fluidnpu_inference_count{model=\"$name\"} $((4 * SAMPLES))" \
	"fluidnpu_inference_queue_duration_seconds_count{model=\"$name\"} $((4 * SAMPLES))" \
	"fluidnpu_inference_compute_duration_seconds_count{model=\"$name\"} $((4 * SAMPLES))" \
	"fluidnpu_inference_pending_request_count{model=\"$name\"} 0" \
	"fluidnpu_inference_input_total{model=\"$name\",read=\"in_place\"} $((4 * SAMPLES))" \
	"fluidnpu_inference_input_total{model=\"$name\",read=\"copied\"} 0" \
	"fluidnpu_inference_request_failure{model=\"$name\",reason=\"device\"} 0" \
	"fluidnpu_daemon_user_requests_total{uid=\"$EUID\",outcome=\"success\"} $((4 * SAMPLES + 100))"
check "another path is not found" refused_http "GET /" 404
check "nothing can be posted" refused_http "POST /metrics" 405

# --- who may not
refuses "a policy is the daemon's" 2 "give them to fluidnpud" "$npurun" --backend daemon \
	--device "$socket" --model "$model" --policy serial "$images"
refuses "a second daemon at the same socket" 1 "npu.sock is in use" "$daemon" --backend emu \
	--model "$model" --socket "$socket"
if ((EUID == 0)) && command -v setpriv >/dev/null; then
	cp "$npurun" "$model" "$w/"
	refuses "no permission for the socket" 1 "no permission to connect" setpriv --reuid 65534 \
		--regid 65534 --clear-groups "$w/npurun" --backend daemon --device "$socket" \
		--model "$w/${model##*/}" "$images"
else
	skip "no permission for the socket" "not root"
fi
check "SIGTERM ends it with status 0" stop
check "its sockets are gone" test ! -e "$socket" -a ! -e "$metrics"
refuses "no daemon" 1 "no fluidnpud at .*npu.sock" "$npurun" --backend daemon --device "$socket" \
	--model "$model" "$images"
start --model "$model" 2>/dev/null
refuses "a model that it does not serve" 1 "does not serve .* only: $name" "$npurun" \
	--backend daemon --device "$socket" --model "$other" --limit 1 "$images"
check "it ends" stop
start --model "$model" --allow 54321 2>/dev/null
refuses "a user who is not allowed" 1 "may not use this NPU: fluidnpud --allow" "$npurun" \
	--backend daemon --device "$socket" --model "$model" "$images"
check "it ends" stop

# --- wrong usage
refuses "no model" 2 "which networks" "$daemon"
refuses "a missing model" 1 "nowhere.fnpu" "$daemon" --backend emu --model "$w/nowhere.fnpu" \
	--socket "$socket"
refuses "an unknown user" 2 "no user \"nobody-of-this-name\"" "$daemon" --allow nobody-of-this-name
refuses "a weight that is none" 2 "weight" "$daemon" --weight root
refuses "a file in the socket's place" 1 "is no socket" "$daemon" --backend emu --model "$model" \
	--socket "$model"
refuses "no NPU" 1 "/dev/fluidnpu" "$daemon" --model "$model" --socket "$socket"
check "the model is still there" test -s "$model"

# --- systemd
activated() {
	local activator
	systemd-socket-activate --seqpacket -l "$socket" "$daemon" --backend emu --model "$model" \
		>"$w/activator" 2>&1 &
	activator=$!
	until grep -q Listening "$w/activator"; do
		kill -0 "$activator" || return 1
	done
	through activated || { kill -KILL "$activator"; return 1; }
	kill "$activator"
	wait "$activator"
}
if command -v systemd-socket-activate >/dev/null; then
	check "a socket of systemd's: the first client starts it" activated
	check "it gives the emulator's bytes" same emu activated
else
	skip "a socket of systemd's: the first client starts it" "no systemd-socket-activate"
	skip "it gives the emulator's bytes" "no systemd-socket-activate"
fi
units() {
	sed "s|@PREFIX@|$PWD/out|" userspace/daemon/fluidnpud.service.in >"$w/fluidnpud.service"
	cp userspace/daemon/fluidnpud.socket "$w/"
	SYSTEMD_UNIT_PATH="$w:" systemd-analyze verify "$w/fluidnpud.service" 2>&1 |
		grep fluidnpud && return 1
	return 0
}
if command -v systemd-analyze >/dev/null; then
	check "systemd takes the units" units
else
	skip "systemd takes the units" "no systemd-analyze"
fi

# --- many at once
soak() {	# soak NAME MODEL OPTION...
	local name=$1 status=0
	shift
	out/tests/daemon/soak "$daemon" "$@" --seed "$soak_seed" >"$w/soak" 2>"$w/soak.log" || status=$?
	check "$name" test "$status" = 0
	((status == 0)) || { tail -n 20 "$w/soak.log" | tap_show; grep ^not "$w/soak" | tap_show; }
	grep '^#' "$w/soak" || true
}
soak "eight processes, results bit for bit" "$model" --seconds 0.2
soak "eight processes for $soak_seconds simulated seconds" out/networks/resnet50.fnpu \
	--device functional=off --seconds "$soak_seconds"
done_testing
