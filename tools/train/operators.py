# SPDX-License-Identifier: MIT
"""Writes single-operator QDQ models with random parameters, their inputs and
what reference.py says they yield, for tests/ort/operators.mjs to check:

    /usr/bin/python3 operators.py DIR [--seed S]

DIR/<operator>-NNN.onnx, .input.npy (float32) and .expect.npy (float32). Add
sees all 65,536 pairs of codes for each set of scales and zero points.
"""

import argparse
import os

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import reference

F32 = np.float32
COUNTS = {"add": 60, "conv": 24, "gemm": 24, "pool": 24}


class Model:
    """A QDQ graph around one operator with the input `x`."""

    def __init__(self):
        self.nodes, self.initializers = [], []

    def constant(self, name, value):
        self.initializers.append(numpy_helper.from_array(np.array(value, order="C"), name))
        return name

    def node(self, kind, inputs, output, **attributes):
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def quantized(self, source, scale, zero, output=None):
        parameters = [self.constant(source + ".s", F32(scale)),
                      self.constant(source + ".z", np.int8(zero))]
        codes = self.node("QuantizeLinear", [source] + parameters, source + ".q")
        return self.node("DequantizeLinear", [codes] + parameters, output or source + ".d")

    def weight(self, name, codes, scale):
        zero = np.zeros(scale.shape, codes.dtype)
        return self.node("DequantizeLinear",
                         [self.constant(name, codes), self.constant(name + ".s", scale),
                          self.constant(name + ".z", zero)], name + ".d", axis=0)

    def save(self, path, x, expect):
        graph = helper.make_graph(
            self.nodes, "operator",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, expect.shape)],
            self.initializers)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)],
                                    ir_version=8), path + ".onnx")
        np.save(path + ".input.npy", x)
        np.save(path + ".expect.npy", expect)


def random_scale(rng):
    return F32(np.exp(rng.uniform(-6, -1)))


def random_zero(rng):
    return int(rng.choice([-128, rng.integers(-128, 128)]))


def write_add(rng, path):
    scales, zeros = [random_scale(rng) for _ in "ab"], [random_zero(rng) for _ in "ab"]
    out = F32((scales[0] + scales[1]) * rng.uniform(0.4, 1.2)), random_zero(rng)
    codes = np.stack([np.repeat(np.arange(-128, 128), 256), np.tile(np.arange(-128, 128), 256)])
    a, b = (reference.Quantized(codes[i].astype(np.int8)[None, None], scales[i], zeros[i])
            for i in range(2))
    model = Model()
    model.node("Split", ["x"], "a", axis=1)
    model.nodes[0].output.append("b")
    model.node("Add", [model.quantized("a", scales[0], zeros[0]),
                       model.quantized("b", scales[1], zeros[1])], "raw")
    model.quantized("raw", *out, output="y")
    y = reference.Quantized(reference.add(a, b, *out), *out)
    model.save(path, np.concatenate([a.dequantize(), b.dequantize()], 1), y.dequantize())


def write_multiply(rng, path, gemm):
    """Conv or Gemm; every third one has extreme codes only, where a kernel that
    saturates or is not exact gives itself away."""
    extreme = rng.integers(3) == 0
    channels, filters = int(rng.integers(1, 80)), int(rng.integers(1, 40))
    kernel = 1 if gemm else int(rng.choice([1, 3]))
    side, stride = (1, 1) if gemm else (int(rng.integers(4, 12)), int(rng.integers(1, 3)))
    pick = (lambda shape, low: rng.choice([low, 127], shape)) if extreme else \
        (lambda shape, low: rng.integers(low, 128, shape))
    x = reference.Quantized(pick((4, channels, side, side), -128).astype(np.int8),
                            random_scale(rng), random_zero(rng))
    weight = pick((filters, channels, kernel, kernel), -127).astype(np.int8)
    step = np.array([random_scale(rng) for _ in range(filters)], F32)
    weight = reference.Quantized(weight, step, 0)
    bias = reference.Quantized(rng.integers(-20000, 20000, filters).astype(np.int32),
                               x.scale * step, 0)
    spread = np.sqrt(channels) * kernel * 5000 * x.scale * step.mean()
    out = F32(spread / 127 * rng.uniform(0.5, 3)), random_zero(rng)
    codes = reference.multiply_accumulate(x, weight, bias, *out, stride, kernel // 2)
    model, values = Model(), x.dequantize()
    if gemm:
        codes, values = codes[:, :, 0, 0], values[:, :, 0, 0]
        weight.codes = weight.codes[:, :, 0, 0]
    inputs = [model.quantized("x", x.scale, x.zero_point),
              model.weight("weight", weight.codes, step),
              model.weight("bias", bias.codes, bias.scale)]
    if gemm:
        model.node("Gemm", inputs, "raw", transB=1)
    else:
        model.node("Conv", inputs, "raw", kernel_shape=[kernel] * 2, strides=[stride] * 2,
                   pads=[kernel // 2] * 4)
    model.quantized("raw", *out, output="y")
    model.save(path, values, reference.Quantized(codes, *out).dequantize())


def write_pool(rng, path):
    shape = 16, int(rng.integers(1, 80)), int(rng.integers(1, 15)), int(rng.integers(1, 15))
    x = reference.Quantized(rng.integers(-128, 128, shape).astype(np.int8),
                            random_scale(rng), random_zero(rng))
    out = F32(x.scale * rng.uniform(0.05, 1.2)), random_zero(rng)
    model = Model()
    model.node("GlobalAveragePool", [model.quantized("x", x.scale, x.zero_point)], "raw")
    model.quantized("raw", *out, output="y")
    y = reference.Quantized(reference.global_average(x, *out), *out)
    model.save(path, x.dequantize(), y.dequantize())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("outdir")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    os.makedirs(args.outdir, exist_ok=True)
    rng = np.random.default_rng(args.seed)
    for kind, count in COUNTS.items():
        for index in range(count):
            path = os.path.join(args.outdir, f"{kind}-{index:03d}")
            if kind == "add":
                write_add(rng, path)
            elif kind == "pool":
                write_pool(rng, path)
            else:
                write_multiply(rng, path, kind == "gemm")


if __name__ == "__main__":
    main()
