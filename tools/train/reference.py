# SPDX-License-Identifier: MIT
"""Executes one of our QDQ models in integer and binary32 arithmetic.

This is the documentation of the device's arithmetic in executable form (in
words: tools/models/ARITHMETIC.md) and equals ONNX Runtime's CPU kernels bit
for bit. It knows the patterns that quantize.py writes: what is written
between DequantizeLinear and QuantizeLinear is one integer operator.

    /usr/bin/python3 reference.py MODEL.onnx IMAGES.idx.gz OUTDIR [--limit N] [--tensors]

writes the logits of each exit as OUTDIR/<exit>.npy (float32 [N,classes]). With
--tensors it writes the codes of every activation instead, and a copy of the
model that has them as outputs, OUTDIR/tensors.onnx, for ONNX Runtime.
"""

import argparse
import os

import numpy as np
import onnx
import torch
from onnx import numpy_helper

F32 = np.float32


class Quantized:
    """int8 codes with their scale and zero point."""

    def __init__(self, codes, scale, zero_point):
        self.codes, self.scale, self.zero_point = codes, scale, zero_point

    def dequantize(self):
        return (self.codes.astype(np.int32) - self.zero_point).astype(F32) * self.scale


def saturate(value):
    return np.clip(value, -128, 127).astype(np.int8)


def requantize(acc, scale, zero_point):
    """acc int32, scale binary32: convert, multiply and round to the nearest even."""
    return saturate(np.rint(acc.astype(F32) * scale).astype(np.int64) + zero_point)


def fma(a, b, c):
    """binary32 fused multiply-add: a*b is exact in binary64 (a has at most 9
    bits here), and the sum is rounded once more only where their exponents are
    far apart."""
    return (a.astype(np.float64) * np.float64(b) + np.float64(c)).astype(F32)


def accumulate(x, weight, stride=1, pad=0, groups=1):
    """Exact integer convolution of x [N,C,H,W] with weight [M,C/groups,k,k], int32.

    binary32 is exact below 2^24; the weight's two nibbles stay below that.
    """
    source = torch.from_numpy(x.astype(F32))
    total = 0
    for part, factor in ((weight >> 4, 16), (weight & 15, 1)):
        if 255 * 15 * weight[0].size >= 1 << 24:
            raise ValueError("convolution too large for this reference")
        half = torch.nn.functional.conv2d(source, torch.from_numpy(part.astype(F32)),
                                          stride=stride, padding=pad, groups=groups)
        total = total + half.numpy().astype(np.int32) * factor
    return total


def multiply_accumulate(x, weight, bias, out_scale, zero_point, stride=1, pad=0,
                        groups=1):
    """Conv, and Gemm as a 1x1 one. weight and bias are Quantized, scales per channel."""
    acc = accumulate(x.codes.astype(np.int32) - x.zero_point, weight.codes.astype(np.int32),
                     stride, pad, groups)
    acc = acc + bias.codes[None, :, None, None]
    scale = (x.scale * weight.scale) / out_scale            # binary32, in this order
    scale = np.broadcast_to(scale, weight.codes.shape[:1])[None, :, None, None]
    return requantize(acc, scale, zero_point)


def add(a, b, out_scale, zero_point):
    """All in binary32; the zero points are folded into one constant first."""
    ratio_a, ratio_b = a.scale / out_scale, b.scale / out_scale
    fixed = F32(zero_point) - fma(F32(a.zero_point), ratio_a, ratio_b * F32(b.zero_point))
    total = fma(a.codes, ratio_a, fma(b.codes, ratio_b, fixed))
    return saturate(np.rint(total).astype(np.int64))


def global_average(x, out_scale, zero_point):
    size = x.codes.shape[2] * x.codes.shape[3]
    acc = x.codes.astype(np.int32).sum((2, 3), keepdims=True) - x.zero_point * size
    return requantize(acc, x.scale / (out_scale * F32(size)), zero_point)


def quantize(x, scale, zero_point):
    return saturate(np.rint(x / scale).astype(np.int64) + zero_point)


class Model:
    def __init__(self, path):
        self.proto = onnx.load(path)
        graph = self.proto.graph
        self.constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        self.producer = {o: n for n in graph.node for o in n.output}
        self.outputs = [o.name for o in graph.output]
        self.metadata = {p.key: p.value for p in self.proto.metadata_props}

    def parameter(self, name):
        """A weight or bias: the initializer behind a DequantizeLinear."""
        node = self.producer[name]
        codes, scale, zero = (self.constants[i] for i in node.input)
        if np.any(zero):
            raise ValueError(f"{node.name}: weights must be symmetric")
        return Quantized(codes, scale, 0)

    def operator(self, name, scale, zero_point, tensors):
        """The codes of the QuantizeLinear whose input is `name`."""
        node = self.producer[name]
        if node.op_type == "Relu":
            if zero_point != -128:
                raise ValueError(f"{node.name}: ReLU folds only into zero point -128")
            return self.operator(node.input[0], scale, zero_point, tensors)
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        activations = [tensors[i] for i in node.input if i in tensors]
        if node.op_type == "Conv":
            weight, bias = (self.parameter(i) for i in node.input[1:])
            return multiply_accumulate(activations[0], weight, bias, scale, zero_point,
                                       attributes["strides"][0], attributes["pads"][0],
                                       attributes["group"])
        if node.op_type == "Gemm":
            weight, bias = (self.parameter(i) for i in node.input[1:])
            x = activations[0]
            x = Quantized(x.codes[:, :, None, None], x.scale, x.zero_point)
            weight = Quantized(weight.codes[:, :, None, None], weight.scale, 0)
            return multiply_accumulate(x, weight, bias, scale, zero_point)[:, :, 0, 0]
        if node.op_type == "Add":
            return add(*activations, scale, zero_point)
        if node.op_type == "GlobalAveragePool":
            return global_average(activations[0], scale, zero_point)
        if node.op_type == "Flatten":
            return activations[0].codes.reshape(len(activations[0].codes), -1)
        raise ValueError(f"{node.name}: operator {node.op_type} is not known here")

    def run(self, images, keep=None):
        """uint8 images -> float32 logits of each exit; `keep` collects the codes by
        the name of their QuantizeLinear output."""
        tensors, logits = {}, {}
        for node in self.proto.graph.node:
            if node.op_type == "QuantizeLinear":
                scale, zero = (self.constants[i] for i in node.input[1:])
                if node.input[0] == self.proto.graph.input[0].name:
                    codes = quantize(images.astype(F32) / F32(255), scale, int(zero))
                else:
                    codes = self.operator(node.input[0], scale, int(zero), tensors)
                tensors[node.output[0]] = Quantized(codes, scale, int(zero))
                if keep is not None:
                    keep.setdefault(node.output[0], []).append(codes)
            elif node.op_type == "DequantizeLinear" and node.input[0] in tensors:
                tensors[node.output[0]] = tensors[node.input[0]]
                if node.output[0] in self.outputs:
                    logits[node.output[0]] = tensors[node.output[0]].dequantize()
        return [logits[name] for name in self.outputs]

    def run_all(self, images, batch=500, keep=None):
        parts = [self.run(images[i:i + batch], keep) for i in range(0, len(images), batch)]
        return [np.concatenate(column) for column in zip(*parts)]


def write_tensors(model, images, outdir):
    keep = {}
    model.run_all(images, keep=keep)
    del model.proto.graph.output[:]
    for name, parts in keep.items():
        codes = np.concatenate(parts)
        np.save(os.path.join(outdir, name + ".npy"), codes.astype(F32))
        model.proto.graph.output.append(onnx.helper.make_tensor_value_info(
            name, onnx.TensorProto.INT8, ["N", *codes.shape[1:]]))
    onnx.save(model.proto, os.path.join(outdir, "tensors.onnx"))


def main():
    import dataset
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("images", help="idx(.gz) file")
    parser.add_argument("outdir")
    parser.add_argument("--limit", type=int, help="only the first so many images")
    parser.add_argument("--tensors", action="store_true", help="codes of every activation")
    args = parser.parse_args()
    torch.set_num_threads(2)
    os.makedirs(args.outdir, exist_ok=True)
    model, images = Model(args.model), dataset.read_idx(args.images)[:args.limit, None]
    if args.tensors:
        write_tensors(model, images, args.outdir)
        return
    for name, logits in zip(model.outputs, model.run_all(images)):
        np.save(os.path.join(args.outdir, name + ".npy"), logits)


if __name__ == "__main__":
    main()
