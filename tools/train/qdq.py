# SPDX-License-Identifier: MIT
"""Builds small quantized ONNX networks around the operators under test.

A network has one float input `x` [N, C, H, W] and one float output `y` [N, classes], so that
it runs on ONNX Runtime and, compiled by npucc, on the NPU, whose exits are rows of
logits. What an operator yields becomes such a row by a fully connected layer with the
identity as its weights, which changes no code.
"""

import collections

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

F32 = np.float32
OPSETS = [helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)]


class Quant(collections.namedtuple("Quant", "scale zero dtype")):
    """Quantization of an activation: real = (code - zero) * scale."""

    def dequantize(self, codes):
        return (codes.astype(np.int32) - self.zero).astype(F32) * F32(self.scale)

    def limits(self):
        return np.iinfo(self.dtype).min, np.iinfo(self.dtype).max


class Model:
    def __init__(self, opsets=None):
        self.nodes, self.initializers, self.count, self.classes = [], [], 0, None
        self.opsets = opsets or OPSETS

    def name(self, kind):
        self.count += 1
        return f"{kind.lower()}{self.count}"

    def constant(self, value):
        name = self.name("const")
        self.initializers.append(numpy_helper.from_array(np.array(value, order="C"), name))
        return name

    def node(self, kind, inputs, outputs=1, **attributes):
        """Adds a node and returns the name of its (first) output."""
        names = [self.name(kind) for _ in range(outputs)]
        if kind.startswith("Q") and kind not in ("QLinearConv", "QLinearMatMul", "QuantizeLinear"):
            attributes["domain"] = "com.microsoft"
        self.nodes.append(helper.make_node(kind, inputs, names, name=names[0] + ".node",
                                           **attributes))
        return names[0]

    def parameters(self, quant):
        return [self.constant(F32(quant.scale)), self.constant(quant.dtype(quant.zero))]

    def quantize(self, real, quant):
        return self.node("QuantizeLinear", [real] + self.parameters(quant))

    def dequantize(self, codes, quant):
        return self.node("DequantizeLinear", [codes] + self.parameters(quant))

    def requantize(self, real, quant):
        return self.dequantize(self.quantize(real, quant), quant)

    def weight(self, codes, scale, zero=None, axis=0):
        """Weights or bias behind a DequantizeLinear; `scale` and `zero` of equal shape."""
        scale = np.asarray(scale, F32)
        zero = np.zeros(scale.shape, codes.dtype) if zero is None else zero
        inputs = [self.constant(v) for v in (codes, scale, zero)]
        return self.node("DequantizeLinear", inputs, **({"axis": axis} if scale.ndim else {}))

    def inputs(self, shape, quants):
        """Activations of one shape [C, H, W] out of the network's one input, as real values.
        Several share it: a 1x1 convolution picks the channels of each, code by code."""
        if len(quants) == 1:
            return [self.requantize("x", quants[0])]
        packed = self.packed(quants)
        channels = shape[0]
        x, parts = self.requantize("x", packed), []
        for index, quant in enumerate(quants):
            weight = np.zeros((channels, channels * len(quants), 1, 1), packed.dtype)
            for c in range(channels):
                weight[c, index * channels + c] = 1
            # the product of the scales is that of the output, so their quotient is 1
            scale = F32(quant.scale) / F32(packed.scale)
            bias = np.full(channels, packed.zero - quant.zero, np.int32)
            inputs = [x, self.weight(weight, scale), self.weight(bias, F32(quant.scale))]
            parts.append(self.requantize(self.node("Conv", inputs), quant))
        return parts

    @staticmethod
    def packed(quants):
        return Quant(2.0 ** -4, 0 if quants[0].dtype == np.int8 else 128, quants[0].dtype)

    def pack(self, codes, quants):
        """The network's input for the codes [N, C, H, W] of each activation of inputs()."""
        quant = self.packed(quants) if len(quants) > 1 else quants[0]
        return quant.dequantize(np.concatenate(codes, axis=1))

    def finish(self, real, quant, shape):
        """`real`, quantized as `quant`, of `shape` without the batch, becomes the output."""
        size = self.classes = int(np.prod(shape))
        real = self.node("Flatten", [real])
        if len(shape) == 3 and shape[1:] != (1, 1):
            eye = self.weight(np.eye(size, dtype=quant.dtype), F32(1))
            real = self.node("Gemm", [real, eye], transB=1)
            real = self.requantize(real, quant)
        self.nodes[-1].output[0] = "y"

    def save(self, path, x, expect=None):
        graph = helper.make_graph(
            self.nodes, "operator",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *x.shape[1:]])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", self.classes])],
            self.initializers)
        onnx.save(helper.make_model(graph, opset_imports=self.opsets, ir_version=8),
                  path + ".onnx")
        np.save(path + ".input.npy", np.ascontiguousarray(x, F32))
        if expect is not None:
            np.save(path + ".expect.npy", np.ascontiguousarray(expect, F32))
