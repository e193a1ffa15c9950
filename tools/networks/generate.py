#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Writes a large network with seeded random weights as a QDQ int8 ONNX model with exits,
or random images for one.

    generate.py NETWORK -o MODEL.onnx [--seed S]          NETWORK: resnet50 mobilenetv2 squeezenet
    generate.py --images COUNT -o IMAGES.npy [--seed S]   float32 [N,3,224,224]

Needs Debian's python3-numpy and python3-onnx. The same seed gives the same bytes.
"""

import argparse
import sys

import numpy as np

SIDE, CHANNELS = 224, 3
BYTE_SCALE, BYTE_OFFSET = 1 / 128, -1.0     # real numbers of an image's bytes: -1 to 127/128
CALIBRATION_IMAGES = 4


def random_images(count, seed):
    """uint8 [N,224,224,3]: coloured noise in squares of 4 to 32 pixels, and finer noise over it."""
    bits = np.random.PCG64(seed)

    def noise(side):
        raw = bits.random_raw((side * side * CHANNELS + 7) // 8).astype("<u8").view(np.uint8)
        return raw[:side * side * CHANNELS].reshape(side, side, CHANNELS).astype(np.int16)

    images = np.empty((count, SIDE, SIDE, CHANNELS), np.uint8)
    for i in range(count):
        square = 4 << i % 4
        coarse = noise(SIDE // square).repeat(square, 0).repeat(square, 1)
        images[i] = np.clip(coarse + noise(SIDE) // 4 - 32, 0, 255)
    return images


def write_model(name, seed, path):
    import onnx

    from quantized import Network
    from zoo import NETWORKS

    net = Network(name, seed, random_images(CALIBRATION_IMAGES, seed), BYTE_SCALE, BYTE_OFFSET)
    thresholds = NETWORKS[name](net)
    onnx.save(net.model(thresholds), path)
    print(f"{path}: {net.macs / 1e6:.0f} million multiplications, {len(net.exits)} exits")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", nargs="?", choices=("resnet50", "mobilenetv2", "squeezenet"))
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--images", type=int, metavar="COUNT")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if bool(args.network) == bool(args.images):
        sys.exit("generate.py: give either a network or --images COUNT")
    if args.images:
        images = random_images(args.images, args.seed).transpose(0, 3, 1, 2)
        np.save(args.output, images.astype(np.float32) * np.float32(BYTE_SCALE) +
                np.float32(BYTE_OFFSET))
    else:
        write_model(args.network, args.seed, args.output)


if __name__ == "__main__":
    main()
