# SPDX-License-Identifier: MIT
"""Post-training static quantization of a trained network to an ONNX QDQ model.

    /usr/bin/python3 quantize.py [--network NAME] [--weights DIR/weights.pt] [--out MODEL.onnx]

Activations: int8 per tensor, asymmetric; a tensor behind a ReLU has zero point
-128, so that the ReLU is the lower clamp. Weights: int8 per output channel,
symmetric, -127..127. Bias: int32 with scale s_x*s_w. Ranges minimise the mean
squared error on the held-out images. The model has no thresholds yet: they, and what
quantization costs, come from thresholds.py, which is to run next.
"""

import argparse
import os

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.nn import functional

import dataset
from network import CLASSES, INPUT, NETWORKS, stage_macs

F32 = np.float32
OPSET = 13
INPUT_SCALE = F32(1) / F32(255)


def float_run(ops, images):
    """The folded network in floating point: yields name -> tensor for each batch."""
    for i in range(0, len(images), 500):
        values = {"input": torch.from_numpy(dataset.to_float(images[i:i + 500]))}
        for op in ops:
            x = values[op.inputs[0]]
            if op.kind == "conv":
                y = functional.conv2d(x, torch.from_numpy(op.weight), torch.from_numpy(op.bias),
                                      op.stride, op.weight.shape[2] // 2, groups=op.groups)
            elif op.kind == "add":
                y = x + values[op.inputs[1]]
            elif op.kind == "pool":
                y = x.mean((2, 3), keepdim=True)
            else:
                y = functional.linear(x.flatten(1), torch.from_numpy(op.weight),
                                      torch.from_numpy(op.bias))
            values[op.name] = torch.relu(y) if op.relu else y
        yield values


def best_range(samples, non_negative):
    """(scale, zero point) with the least squared error among shrunken ranges."""
    low = 0.0 if non_negative else min(0.0, float(samples.min()))
    high = max(1e-6, float(samples.max()))
    best = None
    for keep in np.linspace(0.4, 1.0, 61):
        scale = F32((high - low) * keep / 255)
        zero = -128 if non_negative else int(np.clip(np.rint(-128 - low * keep / scale), -128, 127))
        codes = np.clip(np.rint(samples / scale) + zero, -128, 127)
        error = np.square((codes - zero) * scale - samples, dtype=np.float64).mean()
        if best is None or error < best[0]:
            best = error, scale, zero
    return best[1:]


def calibrate(ops, images):
    """name -> (scale, zero point) of every activation tensor."""
    rng = np.random.default_rng(0)
    samples = {}
    for values in float_run(ops, images):
        for name, value in values.items():
            flat = value.numpy().ravel()
            picked = flat if flat.size <= 20000 else rng.choice(flat, 20000, replace=False)
            samples.setdefault(name, []).append(picked)
            samples[name].append(np.array([flat.min(), flat.max()], F32))
    ranges = {"input": (INPUT_SCALE, -128)}
    behind_relu = {op.name for op in ops if op.relu}
    for op in ops:
        positive = op.relu or (op.kind == "pool" and op.inputs[0] in behind_relu)
        ranges[op.name] = best_range(np.concatenate(samples[op.name]), positive)
    return ranges


class Writer:
    """Collects nodes and initializers of the QDQ graph."""

    def __init__(self, ranges):
        self.nodes, self.initializers, self.ranges = [], [], ranges

    def constant(self, name, array):
        self.initializers.append(numpy_helper.from_array(np.array(array, order="C"), name))
        return name

    def node(self, kind, name, inputs, output, **attributes):
        self.nodes.append(helper.make_node(kind, inputs, [output], name=name, **attributes))
        return output

    def activation(self, name, source, output=None):
        """QuantizeLinear and DequantizeLinear behind `source`, with the range of `name`."""
        scale, zero = self.ranges[name]
        parameters = [self.constant(name + ".scale", F32(scale)),
                      self.constant(name + ".zero_point", np.int8(zero))]
        codes = self.node("QuantizeLinear", name + ".quantize", [source] + parameters,
                          name + ".int8")
        return self.node("DequantizeLinear", name + ".dequantize", [codes] + parameters,
                         output or name + ".dq")

    def parameters(self, op):
        """The DequantizeLinear outputs of an operator's weight and bias."""
        flat = op.weight.reshape(len(op.weight), -1)
        scale = (np.abs(flat).max(1) / 127).astype(F32)
        scale = np.where(scale > 0, scale, F32(1e-8)).astype(F32)
        shape = (-1,) + (1,) * (op.weight.ndim - 1)
        weight = np.clip(np.rint(op.weight / scale.reshape(shape)), -127, 127).astype(np.int8)
        bias_scale = F32(self.ranges[op.inputs[0]][0]) * scale
        bias = np.rint(op.bias / bias_scale.astype(np.float64)).astype(np.int32)
        outputs = []
        for part, codes, step in (("weight", weight, scale), ("bias", bias, bias_scale)):
            name = f"{op.name}.{part}"
            inputs = [self.constant(name + ".codes", codes), self.constant(name + ".scale", step),
                      self.constant(name + ".zero_point", np.zeros(len(step), codes.dtype))]
            outputs.append(self.node("DequantizeLinear", name + ".dequantize", inputs,
                                     name + ".dq", axis=0))
        return outputs


def build(title, ops, ranges):
    """The QDQ ModelProto."""
    writer = Writer(ranges)
    values = {"input": writer.activation("input", "input")}
    for op in ops:
        inputs = [values[i] for i in op.inputs]
        raw, output = op.name + ".out", None
        if op.kind == "conv":
            kernel = op.weight.shape[2]
            writer.node("Conv", op.name, inputs + writer.parameters(op), raw,
                        kernel_shape=[kernel] * 2, strides=[op.stride] * 2,
                        pads=[kernel // 2] * 4, dilations=[1, 1], group=op.groups)
        elif op.kind == "add":
            writer.node("Add", op.name, inputs, raw)
        elif op.kind == "pool":
            writer.node("GlobalAveragePool", op.name, inputs, raw)
        else:
            flat = op.inputs[0].replace(".pool", ".flatten")
            writer.ranges[flat] = ranges[op.inputs[0]]
            writer.node("Flatten", flat, inputs, flat + ".out", axis=1)
            writer.node("Gemm", op.name + ".gemm",
                        [writer.activation(flat, flat + ".out")] + writer.parameters(op), raw,
                        transB=1)
            output = op.name
        if op.relu:
            raw = writer.node("Relu", op.name + ".relu", [raw], op.name + ".relu")
        values[op.name] = writer.activation(op.name, raw, output)
    graph = helper.make_graph(
        writer.nodes, title,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", *INPUT])],
        [helper.make_tensor_value_info(f"exit{e}", TensorProto.FLOAT, ["N", CLASSES])
         for e in range(1 + ops[-1].stage)], writer.initializers)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)],
                              producer_name="fluidnpu/tools/train", ir_version=onnx.IR_VERSION)
    helper.set_model_props(proto, {
        "fluidnpu.labels": ",".join(dataset.LABELS),
        "fluidnpu.input.byte_scale": "0.00392156862745098",
        "fluidnpu.input.byte_offset": "0",
        "fluidnpu.exit.criterion": "confidence"})
    onnx.checker.check_model(proto, full_check=True)
    return proto


def float_accuracy(ops, images, labels):
    """Share of the images that each exit gets right before quantization."""
    hits = [[v[op.name].argmax(1).numpy() for op in ops if op.kind == "gemm"]
            for v in float_run(ops, images)]
    return [(np.concatenate(column) == labels).mean() for column in zip(*hits)]


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=NETWORKS, default="fmnist-resnet3")
    parser.add_argument("--weights", help="default: out/train/NETWORK/weights.pt")
    parser.add_argument("--out", help="default: tools/models/NETWORK.onnx")
    args = parser.parse_args()
    weights = args.weights or os.path.join(here, "../../out/train", args.network, "weights.pt")
    out = args.out or os.path.join(here, "../models", args.network + ".onnx")
    torch.set_num_threads(2)
    torch.set_grad_enabled(False)

    network = NETWORKS[args.network]()
    network.load_state_dict(torch.load(weights))
    network.eval()
    ops = network.folded()
    onnx.save(build(args.network, ops, calibrate(ops, dataset.load("held-out")[0])), out)
    with open(os.path.splitext(out)[0] + ".labels.txt", "w", encoding="ascii") as file:
        file.write("\n".join(dataset.LABELS) + "\n")

    print(f"{out}: {os.path.getsize(out)} bytes, "
          f"{sum(op.weight.size + op.bias.size for op in ops if op.weight is not None)} parameters")
    macs = stage_macs(ops)
    print("MACs per stage:", " + ".join(f"{m:,d}" for m in macs), f"= {sum(macs):,d}")
    test = float_accuracy(ops, *dataset.load("test"))
    print("Test, floating point:", " / ".join(f"{100 * share:.2f}" for share in test), "%")


if __name__ == "__main__":
    main()
