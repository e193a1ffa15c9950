#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The programs of userspace/examples do what their heads say: on the emulator, on the driver, with a
# camera (vivid), and without the library. (The first of them is in the README: readme, vm_inference.)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

images=/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz
name=fmnist-resnet3
model=out/models/$name.fnpu
out=out/tests/examples
rm -rf "$out"
mkdir -p "$out"
/usr/bin/python3 - "$images" "$out" <<'EOF'
import gzip, sys
pixels = gzip.open(sys.argv[1]).read()[16:]
open(sys.argv[2] + "/bytes", "wb").write(pixels[:784 * 1000])
# as the network takes them: scale 1/255 and zero point -128 (tools/models/README.md)
open(sys.argv[2] + "/codes", "wb").write(bytes((b - 128) & 255 for b in pixels[:784 * 4]))
EOF

check "streams on the emulator" bash -c "out/examples/streams $model emu <$out/bytes >$out/emu.txt"
served() {	# 50 frames of each of 8 streams, all in time
	[[ $(awk 'NR > 1 && $2 == 50 && $3 + $4 + $5 == 0' "$1" | wc -l) == 8 ]]
}
check "all frames of all streams are in time" served "$out/emu.txt"
refuses "streams without images" 1 'no image of 784 bytes' out/examples/streams "$model" emu
refuses "streams without a model" 2 'usage' out/examples/streams
refuses "streams with something else" 1 'README.md' out/examples/streams README.md emu
refuses "bare with something else" 1 'no .fnpu file' out/examples/bare README.md
refuses "bare without a device" 1 '/dev/fluidnpu' out/examples/bare "$model"
refuses "a camera without a device" 1 'no NPU at /dev/fluidnpu' out/examples/camera "$model"

# The same by the library, for comparison with the program that does without
check "the first four images by the library" bash -c "head -c 3136 $out/bytes |
	out/examples/first $model emu | sort >$out/first.txt"

tools/guest-image "$out/guest.cpio" >&2
mkdir -p "$out/root/in"
mv "$out/bytes" "$out/codes" "$out/root/in"
(cd "$out/root" && find . -mindepth 1 | cpio --quiet -o -H newc) >>"$out/guest.cpio"
# shellcheck disable=SC2016  # for the shell of the guest
check "all of them in the VM" tools/vm-run --initrd "$out/guest.cpio" --icount 1 \
	--device fluidnpu,bus=slot0 --deadline 300 --log out/tests/examples.log --out "$out/vm" --cmd '
		set -e
		model=/models/'$name'.fnpu
		/examples/streams $model </in/bytes >/out/streams.txt
		/examples/bare $model </in/codes >/out/bare.txt
		/examples/bare $model </dev/null 2>/out/bare-empty.txt || true
		if modprobe vivid n_devs=1 node_types=0x1 num_inputs=1 input_types=3 2>/dev/null; then
			udevadm settle
			/examples/camera $model /dev/video0 20 >/out/camera.txt
			ip link set lo up
			fluidnpud --model $model --metrics 9000 &
			while [ ! -S /run/fluidnpud.sock ]; do :; done
			/examples/camera $model /dev/video0 20 daemon >/out/camera-daemon.txt
			wget -q -O /out/metrics.txt http://127.0.0.1:9000/metrics
			kill $!
			wait $!
			rmmod vivid	# nobody holds its buffers
		fi
		/examples/camera $model /dev/null 2>/out/camera-null.txt || true'
check "streams: the driver's results and times are the emulator's" \
	diff "$out/emu.txt" "$out/vm/streams.txt"
as_the_library() {	# the classes and exits, in words and in numbers
	diff <(sed -E 's/image ([0-9]+): (.*) \((.*) %\), left at exit (.)/\1 \3 \4/' "$out/first.txt") \
		<(sed -nE 's/sample ([0-9]+): class [0-9]+ \((.*) %\), left at exit (.)/\1 \2 \3/p' \
			"$out/vm/bare.txt" | sort)
}
check "bare: the same confidences and exits as by the library" as_the_library
check "bare: its job is done" grep -q '^job 42: done, [0-9]* cycles$' "$out/vm/bare.txt"
check "bare: too few inputs are named" grep -q 'no 4 inputs of 784 bytes' "$out/vm/bare-empty.txt"
if [[ -e $out/vm/camera.txt ]]; then
	check "camera: a result for each of 20 frames" test \
		"$(grep -cE '^frame [0-9]+: .* left at exit' "$out/vm/camera.txt")" = 20
	check "camera, by fluidnpud: a result for each of 20 frames" test \
		"$(grep -cE '^frame [0-9]+: .* left at exit' "$out/vm/camera-daemon.txt")" = 20
	check "camera, by fluidnpud: the NPU read all of them in the camera's memory" \
		grep -q 'input_total{.*read="in_place"} 20$' "$out/vm/metrics.txt"
else
	skip "camera: a result for each of 20 frames" "the kernel has no vivid"
	skip "camera, by fluidnpud: a result for each of 20 frames" "the kernel has no vivid"
	skip "camera, by fluidnpud: the NPU read all of them in the camera's memory" "the kernel has no vivid"
fi
check "camera: what is no camera is named" grep -q 'VIDIOC_S_FMT' "$out/vm/camera-null.txt"
done_testing
