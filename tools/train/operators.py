# SPDX-License-Identifier: MIT
"""Writes networks of one operator with random parameters, their inputs and what the exact
arithmetic (tools/models/ARITHMETIC.md) yields, which is written down here for every
operator and both forms, QDQ and QOperator:

    /usr/bin/python3 operators.py DIR [--seed S] [--rounds N]

DIR/<operator>-NNN.onnx, .input.npy (float32) and .expect.npy (float32). tests/ort/operators.mjs
compares ONNX Runtime with them, tests/conformance/run.py the NPU.
"""

import argparse
import os

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

import qdq
from qdq import F32, Quant

# --- the arithmetic ------------------------------------------------------------------


def saturate(value, quant):
    return np.clip(value, *quant.limits()).astype(quant.dtype)


def requantize(acc, scale, out):
    """acc int32, scale binary32: convert, multiply and round to the nearest even."""
    product = acc.astype(np.int32).astype(F32) * scale
    return saturate(np.rint(product).astype(np.int64) + out.zero, out)


def fma(a, b, c):
    """binary32 fused multiply-add: the product is exact in binary64, the sum is rounded
    once more only where exponents are far apart."""
    return (np.float64(a) * np.float64(b) + np.float64(c)).astype(F32)


def windows(x, kernel, stride, dilation, pads, fill):
    """[N, C, outH, outW, kH, kW] of x [N, C, H, W]."""
    top, left, bottom, right = pads
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill)
    span = [(k - 1) * d + 1 for k, d in zip(kernel, dilation)]
    view = sliding_window_view(x, span, (2, 3))
    return view[:, :, ::stride[0], ::stride[1], ::dilation[0], ::dilation[1]]


def conv(x, quant, weight, zero, scale, bias, out, groups=1, **window):
    x = windows(x.astype(np.int64) - quant.zero, weight.shape[2:], fill=0, **window)
    n, channels, height, width = x.shape[:4]
    x = x.reshape(n, groups, channels // groups, height, width, *weight.shape[2:])
    w = weight.astype(np.int64) - zero.reshape(-1, 1, 1, 1)
    w = w.reshape(groups, -1, *weight.shape[1:])
    acc = np.einsum("ngchwij,gmcij->ngmhw", x, w).reshape(n, -1, height, width)
    m = (F32(quant.scale) * scale) / F32(out.scale)         # binary32, in this order
    return requantize(acc + bias[:, None, None], m[:, None, None], out)


def add(a, quant_a, b, quant_b, out):
    ratio_a, ratio_b = (F32(q.scale) / F32(out.scale) for q in (quant_a, quant_b))
    fixed = F32(out.zero) - fma(quant_a.zero, ratio_a, ratio_b * F32(quant_b.zero))
    return saturate(np.rint(fma(a, ratio_a, fma(b, ratio_b, fixed))).astype(np.int64), out)


def global_average(x, quant, out):
    size = x.shape[2] * x.shape[3]
    acc = x.astype(np.int32).sum((2, 3), keepdims=True) - quant.zero * size
    return requantize(acc, F32(quant.scale) / (F32(out.scale) * F32(size)), out)


def average(x, quant, out, kernel, count_pad, **window):
    """Each step of the sum in binary32, row by row; the zero point before rounding."""
    if kernel == x.shape[2:] and not any(window["pads"]):
        return global_average(x, quant, out)
    one = dict(dilation=(1, 1), **window)
    real = windows(quant.dequantize(x), kernel, fill=0, **one)
    inside = windows(np.ones_like(x, F32), kernel, fill=0, **one).sum((4, 5))
    total = np.zeros(real.shape[:4], F32)
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            total = total + real[..., i, j]
    total = total / (F32(kernel[0] * kernel[1]) if count_pad else inside)
    return saturate(np.rint(total / F32(out.scale) + F32(out.zero)).astype(np.int64), out)


def maximum(x, kernel, **window):
    low = np.iinfo(x.dtype).min
    return windows(x, kernel, dilation=(1, 1), fill=low, **window).max((4, 5))


def change(x, quant, out, low=-np.inf, high=np.inf):
    """Another quantization of the same numbers: DequantizeLinear, clamp, QuantizeLinear."""
    real = np.clip(quant.dequantize(x), F32(low), F32(high))
    return saturate(np.rint(real / F32(out.scale)).astype(np.int64) + out.zero, out)


# --- random networks --------------------------------------------------------------------


def random_scale(rng):
    return F32(np.exp(rng.uniform(-6, -1)))


def random_quant(rng, dtype, scale=None):
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    zero = int(rng.choice([low, rng.integers(low, high + 1)]))
    return Quant(F32(scale if scale is not None else random_scale(rng)), zero, dtype)


def random_codes(rng, shape, dtype):
    """Every third time extreme codes only, where what saturates or is not exact shows."""
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    if rng.integers(3) == 0:
        return rng.choice([low, high], shape).astype(dtype)
    return rng.integers(low, high + 1, shape).astype(dtype)


def random_window(rng, dilate):
    """Kernel, stride, dilation and pads, and the least input that they fit."""
    kernel = tuple(int(v) for v in rng.integers(1, 5, 2))
    dilation = tuple(int(v) for v in rng.integers(1, 3, 2)) if dilate else (1, 1)
    pads = [int(rng.integers(0, k)) for k in kernel * 2]
    stride = tuple(int(v) for v in rng.integers(1, 4, 2))
    return kernel, dict(stride=stride, dilation=dilation, pads=pads)


class Random:
    """One network of one operator: its random parameters, the model and what comes out."""

    def __init__(self, rng, path):
        self.rng, self.path, self.model = rng, path, qdq.Model()
        self.dtype = np.uint8 if rng.integers(2) else np.int8
        self.qoperator = bool(rng.integers(2))

    def activations(self, shape, quants, codes=None):
        """Values of the operator's inputs: codes in QOperator form, real numbers otherwise."""
        self.codes = codes or [random_codes(self.rng, shape, self.dtype) for _ in quants]
        self.x = self.model.pack(self.codes, quants)
        values = self.model.inputs(shape[1:], quants)
        if not self.qoperator:
            return values
        return [self.model.quantize(v, q) for v, q in zip(values, quants)]

    def triple(self, codes, quant):
        return [codes] + self.model.parameters(quant)

    def save(self, value, quant, expect):
        """value: the operator's result, codes or a real number that is not yet quantized"""
        if self.qoperator:
            value = self.model.dequantize(value, quant)
        else:
            value = self.model.requantize(value, quant)
        self.model.finish(value, quant, expect.shape[1:])
        expect = quant.dequantize(expect).reshape(len(expect), -1)
        self.model.save(self.path, self.x, expect)


def random_weights(net, shape, symmetric):
    """Codes, zero points and scales per output channel; and a bias."""
    rng, dtype = net.rng, net.dtype
    codes = random_codes(rng, shape, dtype)
    middle = 0 if dtype == np.int8 else 128
    if symmetric:
        codes = np.maximum(codes, middle - 127)
    zero = middle if symmetric else int(rng.integers(middle - 40, middle + 40))
    zero = np.full(shape[0], zero, dtype)       # ONNX Runtime wants them equal
    scale = np.array([random_scale(rng) for _ in range(shape[0])], F32)
    bias = rng.integers(-20000, 20000, shape[0]).astype(np.int32)
    return codes, zero, scale, bias


def product_quant(net, quant, scale, depth):
    spread = np.sqrt(depth) * 5000 * quant.scale * scale.mean()
    return random_quant(net.rng, net.dtype, spread / 127 * net.rng.uniform(0.5, 3))


def write_conv(net):
    rng = net.rng
    groups = int(rng.choice([1, 1, 2, 4]))
    depthwise = rng.integers(4) == 0
    if depthwise:
        groups = int(rng.integers(2, 20))
    in_c = groups * (1 if depthwise else int(rng.integers(1, 20)))
    out_c = groups * int(rng.integers(1, 3) if depthwise else rng.integers(1, 6))
    kernel, window = random_window(rng, dilate=True)
    height, width = (int(v) for v in rng.integers(8, 11, 2))
    quant = random_quant(rng, net.dtype)
    weight = random_weights(net, (out_c, in_c // groups, *kernel), rng.integers(2))
    codes, zero, scale, bias = weight
    out = product_quant(net, quant, scale, codes[0].size)
    x, = net.activations((2, in_c, height, width), [quant])
    attributes = dict(group=groups, kernel_shape=kernel, strides=window["stride"],
                      dilations=window["dilation"], pads=window["pads"])
    model = net.model
    if net.qoperator:
        parts = [model.constant(v) for v in (codes, scale, zero)]
        y = model.node("QLinearConv", net.triple(x, quant) + parts + model.parameters(out) +
                       [model.constant(bias)], **attributes)
    else:
        y = model.node("Conv", [x, model.weight(codes, scale, zero),
                                model.weight(bias, F32(quant.scale) * scale)], **attributes)
    net.save(y, out, conv(net.codes[0], quant, codes, zero, scale, bias, out, groups, **window))


def write_gemm(net):
    rng, model = net.rng, net.model
    inputs, outputs = int(rng.integers(1, 80)), int(rng.integers(1, 40))
    quant = random_quant(rng, net.dtype)
    codes, zero, scale, bias = random_weights(net, (outputs, inputs, 1, 1), rng.integers(2))
    out = product_quant(net, quant, scale, inputs)
    x, = net.activations((4, inputs, 1, 1), [quant])
    x = model.node("Flatten", [x])
    matrix = codes[:, :, 0, 0]
    matmul = bool(rng.integers(2))
    if matmul and net.qoperator:
        bias = np.zeros_like(bias)
        parts = [model.constant(v) for v in (matrix.T, scale, zero)]
        y = model.node("QLinearMatMul", net.triple(x, quant) + parts + model.parameters(out))
    elif net.qoperator:
        parts = [model.constant(v) for v in (matrix, scale, zero, bias)]
        y = model.node("QGemm", net.triple(x, quant) + parts + model.parameters(out), transB=1)
    elif matmul:
        bias = np.zeros_like(bias)
        y = model.node("MatMul", [x, model.weight(matrix.T, scale, zero, axis=1)])
    else:
        y = model.node("Gemm", [x, model.weight(matrix, scale, zero),
                                model.weight(bias, F32(quant.scale) * scale)], transB=1)
    window = dict(stride=(1, 1), dilation=(1, 1), pads=(0, 0, 0, 0))
    expect = conv(net.codes[0], quant, codes, zero, scale, bias, out, **window)
    net.save(y, out, expect[:, :, 0, 0])


def write_add(net):
    """All 65,536 pairs of codes."""
    rng, model = net.rng, net.model
    quants = [random_quant(rng, net.dtype) for _ in "ab"]
    out = random_quant(rng, net.dtype, sum(q.scale for q in quants) * rng.uniform(0.4, 1.2))
    every = np.arange(256) + np.iinfo(net.dtype).min
    codes = [np.tile(every[:, None, None, None], (1, 256, 1, 1)).astype(net.dtype)]
    codes.append(codes[0].transpose(1, 0, 2, 3))
    a, b = net.activations((256, 256, 1, 1), quants, codes)
    if net.qoperator:
        y = model.node("QLinearAdd", net.triple(a, quants[0]) + net.triple(b, quants[1]) +
                       model.parameters(out))
    else:
        y = model.node("Add", [a, b])
    net.save(y, out, add(codes[0], quants[0], codes[1], quants[1], out))


def pool_input(net):
    shape = 3, *(int(v) for v in net.rng.integers([1, 4, 4], [9, 9, 9]))
    quant = random_quant(net.rng, net.dtype)
    x, = net.activations(shape, [quant])
    return x, quant


def write_globalaverage(net):
    x, quant = pool_input(net)
    out = random_quant(net.rng, net.dtype, quant.scale * net.rng.uniform(0.05, 1.2))
    if net.qoperator:
        y = net.model.node("QLinearGlobalAveragePool", net.triple(x, quant) +
                           net.model.parameters(out), channels_last=0)
    else:
        y = net.model.node("GlobalAveragePool", [x])
    net.save(y, out, global_average(net.codes[0], quant, out))


def pool_window(net, size):
    """Kernel, window and the attributes that say so. With ceil_mode there is a last window
    that reaches beyond the padding. (One that would begin there is left out, but
    ONNX Runtime's shape inference counts it: that case is not written.)"""
    kernel, window = random_window(net.rng, dilate=False)
    del window["dilation"]
    attributes = dict(kernel_shape=kernel, strides=window["stride"], pads=window["pads"])
    pads = list(window["pads"])
    for axis in range(2):
        pads[axis + 2] += -(size[axis] + sum(pads[axis::2]) - kernel[axis]) % window["stride"][axis]
    if net.rng.integers(2) and all(pads[axis + 2] < kernel[axis] for axis in range(2)):
        attributes["ceil_mode"], window["pads"] = 1, pads
    return kernel, window, attributes


def write_average(net):
    x, quant = pool_input(net)
    out = random_quant(net.rng, net.dtype, quant.scale * net.rng.uniform(0.05, 1.2))
    kernel, window, attributes = pool_window(net, net.codes[0].shape[2:])
    count_pad = attributes["count_include_pad"] = int(net.rng.integers(2))
    if net.qoperator:
        y = net.model.node("QLinearAveragePool", net.triple(x, quant) +
                           net.model.parameters(out), channels_last=0, **attributes)
    else:
        y = net.model.node("AveragePool", [x], **attributes)
    net.save(y, out, average(net.codes[0], quant, out, kernel, count_pad, **window))


def write_max(net):
    x, quant = pool_input(net)
    kernel, window, attributes = pool_window(net, net.codes[0].shape[2:])
    y = net.model.node("MaxPool", [x], **attributes)
    expect, out = maximum(net.codes[0], kernel, **window), quant
    if not net.qoperator and net.rng.integers(2):
        out = random_quant(net.rng, net.dtype, quant.scale * net.rng.uniform(0.5, 2))
        expect = change(expect, quant, out)
    net.save(y, out, expect)


def write_concat(net):
    rng, model = net.rng, net.model
    quants = [random_quant(rng, net.dtype) for _ in range(rng.integers(2, 5))]
    out = random_quant(rng, net.dtype, max(q.scale for q in quants) * rng.uniform(0.7, 1.5))
    if rng.integers(3) == 0:
        quants[0] = out
    values = net.activations((2, int(rng.integers(1, 9)), 3, 4), quants)
    if net.qoperator:
        inputs = model.parameters(out)
        for value, quant in zip(values, quants):
            inputs += net.triple(value, quant)
        y = model.node("QLinearConcat", inputs, axis=1)
    else:
        y = model.node("Concat", values, axis=1)
    parts = [change(c, q, out) for c, q in zip(net.codes, quants)]
    net.save(y, out, np.concatenate(parts, axis=1))


def write_clamp(net):
    """Relu or Clip between two quantizations. (With nothing between them ONNX Runtime
    merges the two, which is not what the model says.)"""
    net.qoperator = False
    rng, model = net.rng, net.model
    quant = random_quant(rng, net.dtype)
    out = random_quant(rng, net.dtype, quant.scale * rng.uniform(0.3, 3))
    every = (np.arange(256) + np.iinfo(net.dtype).min).astype(net.dtype)
    y, = net.activations((1, 256, 1, 1), [quant], [every.reshape(1, 256, 1, 1)])
    if rng.integers(2):
        y, limits = model.node("Relu", [y]), dict(low=0)
    else:
        limits = dict(low=rng.choice([0, -1e9]), high=quant.scale * 90)
        y = model.node("Clip", [y] + [model.constant(F32(v)) for v in limits.values()])
    net.save(y, out, change(net.codes[0], quant, out, **limits))


WRITERS = {"add": write_add, "average": write_average, "clamp": write_clamp,
           "concat": write_concat, "conv": write_conv, "gemm": write_gemm,
           "globalaverage": write_globalaverage, "max": write_max}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("outdir")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=12, help="networks of each operator")
    args = parser.parse_args()
    os.makedirs(args.outdir, exist_ok=True)
    for kind, write in WRITERS.items():
        rng = np.random.default_rng([args.seed, *kind.encode()])
        for index in range(args.rounds):
            write(Random(rng, os.path.join(args.outdir, f"{kind}-{index:03d}")))


if __name__ == "__main__":
    main()
