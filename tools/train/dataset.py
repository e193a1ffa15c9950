# SPDX-License-Identifier: MIT
"""Fashion-MNIST from Debian's package dataset-fashion-mnist.

The 60,000 training images are split once and for all: the first 55,000 train
the weights, the last 5,000 (HELD_OUT) choose quantization ranges and exit
thresholds. The 10,000 test images only measure.
"""

import gzip
import os
import struct

import numpy as np

FOLDER = os.environ.get("FASHION_MNIST", "/usr/share/datasets/fashion-mnist")
HELD_OUT = 5000
LABELS = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
          "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


def read_idx(path):
    """An idx(.gz) file of unsigned bytes as a numpy array."""
    with (gzip.open if path.endswith(".gz") else open)(path, "rb") as file:
        data = file.read()
    zero, kind, dims = struct.unpack(">HBB", data[:4])
    if zero != 0 or kind != 8:
        raise ValueError(f"{path}: not an idx file of unsigned bytes")
    shape = struct.unpack(f">{dims}I", data[4:4 + 4 * dims])
    return np.frombuffer(data, np.uint8, offset=4 + 4 * dims).reshape(shape)


def load(part):
    """(images uint8 [n,1,28,28], labels int64 [n]) of 'train', 'held-out' or 'test'."""
    stem = "t10k" if part == "test" else "train"
    images = read_idx(f"{FOLDER}/{stem}-images-idx3-ubyte.gz")[:, None]
    labels = read_idx(f"{FOLDER}/{stem}-labels-idx1-ubyte.gz").astype(np.int64)
    if part == "train":
        return images[:-HELD_OUT], labels[:-HELD_OUT]
    if part == "held-out":
        return images[-HELD_OUT:], labels[-HELD_OUT:]
    return images, labels


def to_float(images):
    """What the model's input wants: pixel / 255, in binary32."""
    return images.astype(np.float32) / np.float32(255)
