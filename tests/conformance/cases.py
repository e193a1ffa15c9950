# SPDX-License-Identifier: MIT
"""Makes networks for the NPU of the ONNX project's own test cases (Debian's
libonnx-testdata):

    /usr/bin/python3 cases.py DATA DIR

For each case DATA/test_* of an operator that has to do with convolution, multiplication,
pooling, addition, concatenation, clamping or quantization it writes DIR/NAME.onnx, .input.npy
and, when the case's own output is exact, .expect.npy:

- a case on int8 or uint8 data is taken as it is. Its first input becomes the network's, all
  others are constants, and what it yields becomes logits.
- a case in float is quantized, with a seed, and keeps its shapes and attributes. What comes
  out then is ONNX Runtime's to say (tests/ort/operators.mjs --write).

DIR/NAME.none stands for a case of which this makes no network. See run.py for what is
expected of each.
"""

import argparse
import glob
import os
import re
import sys
import zlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../tools/train"))
import qdq
from qdq import F32, Quant

NAMES = re.compile(r"conv|pool|matmul|gemm|^test_add|concat|quantizelinear|^test_relu|^test_clip")
EIGHT_BITS = (np.int8, np.uint8)
TYPES = (TensorProto.FLOAT, TensorProto.INT8, TensorProto.UINT8, TensorProto.INT32,
         TensorProto.INT64)


class Unsupported(Exception):
    """This file has no way to make a network of the case."""


class Case:
    """A case's only node, its inputs and outputs; None where an optional one is left out."""

    def __init__(self, path):
        model = onnx.load(os.path.join(path, "model.onnx"))
        if len(model.graph.node) != 1:
            raise Unsupported("more than one node")
        self.node, self.opsets = model.graph.node[0], list(model.opset_import)
        self.attributes = {a.name: helper.get_attribute_value(a) for a in self.node.attribute}
        data = os.path.join(path, "test_data_set_0")
        given = iter([self.load(os.path.join(data, f"input_{i}.pb"))
                      for i in range(len(model.graph.input))])
        self.inputs = [next(given) if name else None for name in self.node.input]
        self.outputs = [self.load(f) for f in sorted(glob.glob(os.path.join(data, "output_*.pb")))]

    @staticmethod
    def load(path):
        tensor = TensorProto()
        with open(path, "rb") as file:
            tensor.ParseFromString(file.read())
        if tensor.data_type not in TYPES:
            raise Unsupported(TensorProto.DataType.Name(tensor.data_type))
        return numpy_helper.to_array(tensor)


def four_dimensions(shape):
    """Fewer dimensions are padded with ones: samples stay samples, channels channels."""
    return tuple(shape) + (1,) * (4 - len(shape))


def one_row(array):
    """The input of an operator that works element by element: one sample."""
    return array.reshape(1, -1, 1, 1)


def covering(rng, values, dtype=np.int8):
    """A quantization, not quite tight, of the range of `values`."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    scale = F32(max(high - low, 1e-3) / 255 * rng.uniform(0.9, 1.3))
    limits = np.iinfo(dtype)
    zero = int(np.clip(round(limits.min - low / scale), limits.min, limits.max))
    return Quant(scale, zero, dtype)


def to_codes(values, quant):
    codes = np.rint(values / F32(quant.scale)) + quant.zero
    return np.clip(codes, *quant.limits()).astype(quant.dtype)


class Builder:
    """The network of a case in the making."""

    def __init__(self, case, rng):
        self.case, self.rng, self.model = case, rng, qdq.Model(newer_opsets(case.opsets))
        self.expect = None

    def floats(self, arrays):
        """Quantizes float activations of equal shape [N, C, H, W]; returns real values."""
        self.quants = [covering(self.rng, a) for a in arrays]
        self.x = self.model.pack([to_codes(a, q) for a, q in zip(arrays, self.quants)],
                                 self.quants)
        return self.model.inputs(self.x.shape[1:] if len(arrays) == 1 else arrays[0].shape[1:],
                                 self.quants)

    def codes(self, array, quant):
        """`array` [N, C, H, W] holds an activation's codes; returns them as a value."""
        self.x = quant.dequantize(array)
        return self.model.quantize("x", quant)

    def weight(self, values, out_axis):
        """Symmetric int8 weights per output channel; their scales in self.scale."""
        other = tuple(a for a in range(values.ndim) if a != out_axis)
        self.scale = np.abs(values).max(other) / F32(127) + F32(1e-4)
        self.scale = (self.scale * self.rng.uniform(0.9, 1.2)).astype(F32)
        shape = [-1 if a == out_axis else 1 for a in range(values.ndim)]
        codes = to_codes(values / self.scale.reshape(shape), Quant(F32(1), 0, np.int8))
        return self.model.weight(codes, self.scale, axis=out_axis)

    def bias(self, values):
        values = values.astype(np.float64)
        scale = F32(self.quants[0].scale) * self.scale
        if values.shape not in (scale.shape, (1, *scale.shape)):
            return self.model.constant(values.astype(F32))
        codes = np.rint(values.reshape(-1) / scale).astype(np.int32)
        return self.model.weight(codes, scale)

    def operator(self, inputs, **changed):
        case = self.case
        attributes = dict(case.attributes, **changed)
        return self.model.node(case.node.op_type, inputs, len(case.outputs), **attributes)

    def finish_real(self, real, shape, quant=None):
        """The float result `real` of a sample's `shape` is quantized and becomes the output."""
        quant = quant or covering(self.rng, self.case.outputs[0])
        self.model.finish(self.model.requantize(real, quant), quant, shape)

    def finish_codes(self, codes, quant, expect):
        """The codes become the output, whose codes must be `expect` [N, ...]."""
        self.model.finish(self.model.dequantize(codes, quant), quant, expect.shape[1:])
        self.expect = quant.dequantize(expect).reshape(len(expect), -1)


def newer_opsets(opsets):
    """QuantizeLinear with an axis is newer than some cases."""
    for o in opsets:
        if o.domain in ("", "ai.onnx"):
            o.version = max(o.version, 13)
    return opsets + [helper.make_opsetid("com.microsoft", 1)]


def window(b):
    """Conv and pools, of any number of dimensions."""
    case = b.case
    if case.inputs[0].dtype in EIGHT_BITS:
        quant = Quant(F32(1), 0, case.inputs[0].dtype.type)
        y = b.operator([b.codes(case.inputs[0], quant)])
        return b.finish_codes(y, quant, case.outputs[0])
    inputs = b.floats(case.inputs[:1])
    if len(case.inputs) > 1:
        inputs.append(b.weight(case.inputs[1], 0))
    if len(case.inputs) > 2:
        inputs.append(b.bias(case.inputs[2]))
    # a maximum keeps the quantization, as ONNX Runtime's kernel does
    keep = b.quants[0] if "Max" in case.node.op_type else None
    return b.finish_real(b.operator(inputs), case.outputs[0].shape[1:], keep)


def matrix(b):
    """Gemm and MatMul; rows are samples."""
    case = b.case
    a, w = case.inputs[:2]
    if w.ndim == 2 and a.ndim == 2:
        a = b.model.node("Flatten", b.floats([a.reshape(four_dimensions(a.shape))]))
    else:
        a = b.floats([a])[0]
    out_axis = 0 if case.attributes.get("transB") else w.ndim - 1
    inputs = [a, b.weight(w, out_axis)]
    if len(case.inputs) > 2:
        inputs.append(b.bias(case.inputs[2]))
    b.finish_real(b.operator(inputs), case.outputs[0].shape[1:])


def qlinear_conv(b):
    case = b.case
    x, scale, zero = case.inputs[:3]
    y_scale, y_zero = case.inputs[6:8]
    constants = [b.model.constant(v) for v in case.inputs[1:]]
    y = b.operator([b.codes(x, Quant(F32(scale), int(zero), x.dtype.type))] + constants)
    b.finish_codes(y, Quant(F32(y_scale), int(y_zero), y_zero.dtype.type), case.outputs[0])


def qlinear_matmul(b):
    case = b.case
    a, scale, zero = case.inputs[:3]
    y_scale, y_zero = case.inputs[6:8]
    codes = b.codes(a.reshape(four_dimensions(a.shape)) if a.ndim == 2 else a,
                    Quant(scale.item(), zero.item(), a.dtype.type))
    if a.ndim == 2:
        codes = b.model.node("Flatten", [codes])
    y = b.operator([codes] + [b.model.constant(v) for v in case.inputs[1:]])
    b.finish_codes(y, Quant(y_scale.item(), y_zero.item(), y_zero.dtype.type), case.outputs[0])


def element_wise(b):
    """Add, Relu, Clip: the shape does not matter, but for broadcasting."""
    case = b.case
    activations = case.inputs if case.node.op_type == "Add" else case.inputs[:1]
    limits = [b.model.constant(v) if v is not None else ""
              for v in case.inputs[len(activations):]]
    if activations[0].dtype in EIGHT_BITS:
        quant = Quant(F32(1), 0, activations[0].dtype.type)
        codes = [b.codes(one_row(a), quant) for a in activations]
        return b.finish_codes(b.operator(codes + limits), quant, one_row(case.outputs[0]))
    if case.node.op_type == "Add" and activations[1].shape != activations[0].shape:
        values = b.floats([four_or_more(activations[0])])
        values.append(b.weight(activations[1].reshape(1, -1), 1))
        return b.finish_real(b.operator(values), (case.outputs[0].size,))
    values = b.floats([one_row(a) for a in activations])
    return b.finish_real(b.operator(values + limits), (case.outputs[0].size, 1, 1))


def four_or_more(array):
    return array if array.ndim >= 4 else array.reshape(four_dimensions(array.shape))


def concat(b):
    """Samples are what is concatenated at axis 0."""
    case = b.case
    rank = case.inputs[0].ndim
    axis = case.attributes["axis"]
    axis = axis - (4 - rank) if axis < 0 else axis
    values = b.floats([a.reshape(four_dimensions(a.shape)) for a in case.inputs])
    b.finish_real(b.operator(values, axis=axis), four_dimensions(case.outputs[0].shape)[1:])


def quantize(b):
    """The host quantizes the input; its codes pass through the NPU."""
    case = b.case
    x, scale, zero = case.inputs[:3]
    b.x = one_row(x) if scale.ndim == 0 else x
    y = b.operator(["x"] + [b.model.constant(v) for v in case.inputs[1:]])
    if scale.ndim:
        return b.model.finish(y, Quant(F32(1), 0, zero.dtype.type), x.shape[1:])
    quant = Quant(F32(scale), int(zero), zero.dtype.type)
    return b.finish_codes(y, quant, one_row(case.outputs[0]))


def dequantize(b):
    """The codes come from a QuantizeLinear; the host turns logits into numbers."""
    case = b.case
    codes, scale = case.inputs[:2]
    zero = case.inputs[2] if len(case.inputs) > 2 else np.zeros((), codes.dtype)
    quant = Quant(scale.reshape(-1)[0], int(zero.reshape(-1)[0]), codes.dtype.type)
    value = b.codes(one_row(codes) if scale.ndim == 0 else codes, quant)
    y = b.operator([value] + [b.model.constant(v) for v in case.inputs[1:]])
    b.model.finish(y, quant, (codes.size, 1, 1) if scale.ndim == 0 else codes.shape[1:])
    b.expect = case.outputs[0].reshape(1, -1)


BUILDERS = {
    "Add": element_wise, "AveragePool": window, "Clip": element_wise, "Concat": concat,
    "Conv": window, "DequantizeLinear": dequantize, "Gemm": matrix,
    "GlobalAveragePool": window, "GlobalMaxPool": window, "MatMul": matrix,
    "MaxPool": window, "QLinearConv": qlinear_conv, "QLinearMatMul": qlinear_matmul,
    "QuantizeLinear": quantize, "Relu": element_wise,
}


def write(path, name, outdir):
    base = os.path.join(outdir, name)
    try:
        case = Case(os.path.join(path, name))
        build = BUILDERS.get(case.node.op_type)
        if not build:
            raise Unsupported(f"operator {case.node.op_type}")
        builder = Builder(case, np.random.default_rng(zlib.crc32(name.encode())))
        build(builder)
    except Unsupported as reason:
        with open(base + ".none", "w", encoding="utf-8") as file:
            file.write(f"{reason}\n")
        return
    builder.model.save(base, builder.x, builder.expect)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("outdir")
    args = parser.parse_args()
    os.makedirs(args.outdir, exist_ok=True)
    for name in sorted(os.listdir(args.data)):
        if NAMES.search(name):
            write(args.data, name, args.outdir)


if __name__ == "__main__":
    main()
