# SPDX-License-Identifier: MIT
"""Builds a quantized network with random weights, operator by operator.

A deep network with random weights is worthless for comparisons unless somebody looks after
its numbers: activations die out or saturate within a few layers, and all inputs end in
the same class. Trained networks have BatchNorm for that, and so has this one: each
operator is computed at once, in int8, on a few calibration images, and its weight scales
and biases are chosen so that every output channel has a given mean and spread over
them. What is written is the folded result, in the QDQ form that npucc and ONNX
Runtime take (cf. tools/train/quantize.py): int8 activations per tensor, symmetric int8
weights per output channel, int32 bias.

The same seed gives the same bytes everywhere, whatever BLAS and SIMD there is: weights
are raw bits of PCG64, all sums are sums of integers below 2^53, and what is
rounded is computed element by element in IEEE arithmetic.
"""

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

F32 = np.float32
OPSET = 13
IR_VERSION = 8
RELU6_SCALE = np.nextafter(F32(6) / F32(255), F32(0))    # 255 steps are not more than 6


class Tensor:
    """Codes [N,H,W,C] of the calibration images; `name` is that of the real numbers."""

    def __init__(self, codes, scale, zero, name):
        self.codes, self.scale, self.zero, self.name = codes, F32(scale), int(zero), name

    def real(self):
        return (self.codes.astype(np.float64) - self.zero) * np.float64(self.scale)


def saturate(codes):
    return np.clip(codes, -128, 127).astype(np.int8)


def windows(x, kernel, stride, pad, fill):
    """Yields for each tap of the kernel what it sees: [N, H_out, W_out, C]."""
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)), constant_values=fill)
    height, width = ((side - kernel) // stride + 1 for side in x.shape[1:3])
    for i in range(kernel):
        for j in range(kernel):
            yield x[:, i:i + stride * height:stride, j:j + stride * width:stride]


def moments(acc):
    """Mean and standard deviation of each channel of integers [..., C], exact to the last
    rounding."""
    acc = acc.reshape(-1, acc.shape[-1])
    mean = acc.sum(0) / len(acc)
    variance = np.square(acc - np.rint(mean).astype(np.int64)).sum(0) / len(acc)
    return mean, np.sqrt(variance)


def quantization(values):
    """(scale, zero point) that hold all of `values`; zero is a code."""
    low, high = min(0.0, values.min()), max(0.0, values.max())
    scale = F32((high - low) / 255)
    return scale, int(np.clip(np.rint(-128 - low / np.float64(scale)), -128, 127))


class Network:
    """The operators so far. Each method appends one and returns its output."""

    def __init__(self, name, seed, images, byte_scale, byte_offset):
        self.name, self.bits = name, np.random.PCG64(seed)
        self.nodes, self.initializers, self.exits = [], [], []
        self.macs, self.classes = 0, None
        self.byte_scale, self.byte_offset = byte_scale, byte_offset
        # a code is the byte - 128
        zero = -128 - round(byte_offset / byte_scale)
        codes = (images.astype(np.int16) - 128).astype(np.int8)
        self.input = self.quantized("input", "input", codes, byte_scale, zero)

    # --- ONNX ---------------------------------------------------------------

    def constant(self, name, value):
        self.initializers.append(numpy_helper.from_array(np.array(value, order="C"), name))
        return name

    def node(self, kind, name, inputs, **attributes):
        self.nodes.append(helper.make_node(kind, inputs, [name + ".out"], name=name,
                                           **attributes))
        return name + ".out"

    def quantized(self, name, source, codes, scale, zero, output=None):
        """QuantizeLinear and DequantizeLinear behind `source`."""
        parameters = [self.constant(name + ".scale", F32(scale)),
                      self.constant(name + ".zero_point", np.int8(zero))]
        quantize, result = name + ".quantize", output or name + ".dq"
        self.node("QuantizeLinear", quantize, [source] + parameters)
        self.nodes.append(helper.make_node("DequantizeLinear", [quantize + ".out"] + parameters,
                                           [result], name=name + ".dequantize"))
        return Tensor(codes, scale, zero, result)

    def parameter(self, name, codes, scale):
        """The DequantizeLinear of a weight [C_out, ...] or a bias [C_out]."""
        inputs = [self.constant(name + ".codes", codes), self.constant(name + ".scale", scale),
                  self.constant(name + ".zero_point", np.zeros(len(scale), codes.dtype))]
        return self.node("DequantizeLinear", name + ".dequantize", inputs, axis=0)

    # --- operators ----------------------------------------------------------

    def random_weights(self, *shape):
        """int8 from -127 to 127; one in 256 is twice as likely."""
        count = int(np.prod(shape))
        raw = self.bits.random_raw((count + 7) // 8).astype("<u8").view(np.uint8)[:count]
        return np.maximum(raw.astype(np.int16) - 128, -127).astype(np.int8).reshape(shape)

    def accumulate(self, x, weight, stride, pad):
        """The exact accumulators of a convolution, [N, H_out, W_out, C_out]."""
        out, depth, kernel, _ = weight.shape if weight.ndim == 4 else (*weight.shape, 1, 1)
        x = x.codes.astype(np.int16) - x.zero
        taps = windows(x, kernel, stride, pad, 0)
        weight = weight.astype(np.int64).reshape(out, depth, kernel * kernel).transpose(2, 1, 0)
        if depth != x.shape[3]:            # depthwise
            acc = sum(tap * w[0] for tap, w in zip(taps, weight))
        else:
            rows = np.concatenate([tap.astype(np.float64) for tap in taps], axis=3)
            acc = rows @ weight.reshape(-1, out).astype(np.float64)
        self.macs += acc[0].size * kernel * kernel * depth
        return acc.astype(np.int64)

    def multiply(self, name, x, weight, stride, pad, activation, mean, spread, pooled=False):
        """(parameters, codes, scale, zero point) of a Conv or Gemm whose output channels
        have this mean and spread before the activation; `pooled`: all channels together."""
        acc = self.accumulate(x, weight, stride, pad)
        have_mean, have_spread = moments(acc)
        if pooled:
            have_spread[:] = np.sqrt(np.square(have_spread).sum() / len(have_spread))
        step = spread / np.maximum(have_spread, 1)           # of an accumulator, real
        acc += np.rint(mean / step - have_mean).astype(np.int64)
        bias = np.rint(mean / step - have_mean).astype(np.int32)
        weight_scale = (step / np.float64(x.scale)).astype(F32)
        bias_scale = x.scale * weight_scale

        values = acc * step
        if activation:
            values = np.maximum(values, 0)
        scale, zero = quantization(values)
        if activation == "relu6":
            scale = min(scale, RELU6_SCALE)
        codes = saturate(np.rint(acc.astype(F32) * (bias_scale / scale)) + zero)
        parameters = [self.parameter(name + ".weight", weight, weight_scale),
                      self.parameter(name + ".bias", bias, bias_scale)]
        return parameters, codes, scale, zero

    def activate(self, name, raw, activation):
        if activation == "relu6":
            bounds = [self.constant(f"{name}.clip.{bound}", F32(value))
                      for bound, value in (("min", 0), ("max", 6))]
            return self.node("Clip", name + ".clip", [raw] + bounds)
        return self.node("Relu", name + ".relu", [raw]) if activation else raw

    def conv(self, name, x, channels, kernel, stride=1, pad=None, activation=None,
             depthwise=False):
        """Convolution with its BatchNorm folded in; pads to the same size unless told."""
        pad = kernel // 2 if pad is None else pad
        depth = 1 if depthwise else x.codes.shape[3]
        weight = self.random_weights(channels, depth, kernel, kernel)
        mean, spread = (1, 2) if activation == "relu6" else (0, 1)   # so that some exceed 6
        parameters, codes, scale, zero = self.multiply(name, x, weight, stride, pad, activation,
                                                       mean, spread)
        raw = self.node("Conv", name, [x.name] + parameters, kernel_shape=[kernel] * 2,
                        strides=[stride] * 2, pads=[pad] * 4, dilations=[1, 1],
                        group=channels if depthwise else 1)
        return self.quantized(name, self.activate(name, raw, activation), codes, scale, zero)

    def add(self, name, a, b, activation=None):
        values = a.real() + b.real()
        if activation:
            values = np.maximum(values, 0)
        raw = self.activate(name, self.node("Add", name, [a.name, b.name]), activation)
        return self.requantized(name, raw, values)

    def concat(self, name, *parts):
        values = np.concatenate([part.real() for part in parts], axis=3)
        raw = self.node("Concat", name, [part.name for part in parts], axis=1)
        return self.requantized(name, raw, values)

    def max_pool(self, name, x, kernel, stride, pad=0):
        codes = np.maximum.reduce(list(windows(x.codes, kernel, stride, pad, -128)))
        raw = self.node("MaxPool", name, [x.name], kernel_shape=[kernel] * 2,
                        strides=[stride] * 2, pads=[pad] * 4)
        return self.quantized(name, raw, codes, x.scale, x.zero)

    def global_average(self, name, x):
        size = x.codes.shape[1] * x.codes.shape[2]
        total = x.codes.astype(np.int64).sum((1, 2), keepdims=True) - x.zero * size
        raw = self.node("GlobalAveragePool", name, [x.name])
        return self.requantized(name, raw, total * (np.float64(x.scale) / size))

    def requantized(self, name, raw, values):
        scale, zero = quantization(values)
        codes = saturate(np.rint(values / np.float64(scale)) + zero)
        return self.quantized(name, raw, codes, scale, zero)

    # --- exits --------------------------------------------------------------

    def flatten(self, name, x, output=None):
        raw = self.node("Flatten", name, [x.name], axis=1)
        return self.quantized(name, raw, x.codes, x.scale, x.zero, output)

    def next_exit(self, classes):
        self.exits.append(f"exit{len(self.exits)}")
        self.classes = classes
        return self.exits[-1]

    def exit(self, x, classes, spread):
        """GlobalAveragePool, Flatten, Gemm: logits with this spread over inputs and classes."""
        name = self.next_exit(classes)
        pooled = self.global_average(name + ".pool", x)
        flat = self.flatten(name + ".flatten", pooled)
        weight = self.random_weights(classes, x.codes.shape[3])
        parameters, codes, scale, zero = self.multiply(name, flat, weight, 1, 0, None, 0, spread,
                                                       pooled=True)
        raw = self.node("Gemm", name + ".gemm", [flat.name] + parameters, transB=1)
        return self.quantized(name, raw, codes, scale, zero, output=name)

    def exit_of_averages(self, x, classes):
        """GlobalAveragePool, Flatten: the channels are the classes."""
        name = self.next_exit(classes)
        return self.flatten(name + ".flatten", self.global_average(name + ".pool", x), name)

    # --- the whole ----------------------------------------------------------

    def model(self, thresholds):
        """The checked ModelProto."""
        height, width, channels = self.input.codes.shape[1:]
        graph = helper.make_graph(
            self.nodes, self.name,
            [helper.make_tensor_value_info("input", TensorProto.FLOAT,
                                           ["N", channels, height, width])],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", self.classes])
             for name in self.exits], self.initializers)
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)],
                                  producer_name="fluidnpu/tools/networks", ir_version=IR_VERSION)
        helper.set_model_props(proto, {
            "fluidnpu.input.byte_scale": repr(float(self.byte_scale)),
            "fluidnpu.input.byte_offset": repr(float(self.byte_offset)),
            "fluidnpu.exit.criterion": "confidence",
            "fluidnpu.exit.thresholds": ",".join(f"{t:g}" for t in thresholds)})
        checker.check_model(proto)
        return proto
