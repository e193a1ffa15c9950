# SPDX-License-Identifier: MIT
"""Post-training static quantization of the trained network to an ONNX QDQ model.

    /usr/bin/python3 quantize.py [--weights DIR/weights.pt] [--out MODEL.onnx]

Activations: int8 per tensor, asymmetric; a tensor behind a ReLU has zero point
-128, so that the ReLU is the lower clamp. Weights: int8 per output channel,
symmetric, -127..127. Bias: int32 with scale s_x*s_w. Ranges minimise the mean
squared error on the held-out images; the exits' thresholds are calibrated on
the same images with the quantized model. Test images are used to report only.
"""

import argparse
import itertools
import os

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.nn import functional

import dataset
import reference
from network import CLASSES, EXITS, INPUT, NAME, Network, stage_macs

F32 = np.float32
OPSET = 13
INPUT_SCALE = F32(1) / F32(255)
LOSS_ALLOWED = 0.005        # accuracy that early exits may cost on the held-out images


def float_run(ops, images):
    """The folded network in floating point: yields name -> tensor for each batch."""
    for i in range(0, len(images), 500):
        values = {"input": torch.from_numpy(dataset.to_float(images[i:i + 500]))}
        for op in ops:
            x = values[op.inputs[0]]
            if op.kind == "conv":
                y = functional.conv2d(x, torch.from_numpy(op.weight), torch.from_numpy(op.bias),
                                      op.stride, op.weight.shape[2] // 2)
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


def build(ops, ranges):
    """The QDQ ModelProto, without thresholds."""
    writer = Writer(ranges)
    values = {"input": writer.activation("input", "input")}
    for op in ops:
        inputs = [values[i] for i in op.inputs]
        raw, output = op.name + ".out", None
        if op.kind == "conv":
            kernel = op.weight.shape[2]
            writer.node("Conv", op.name, inputs + writer.parameters(op), raw,
                        kernel_shape=[kernel] * 2, strides=[op.stride] * 2,
                        pads=[kernel // 2] * 4, dilations=[1, 1], group=1)
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
        writer.nodes, NAME,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", *INPUT])],
        [helper.make_tensor_value_info(f"exit{e}", TensorProto.FLOAT, ["N", CLASSES])
         for e in range(EXITS)], writer.initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)],
                             producer_name="fluidnpu/tools/train", ir_version=onnx.IR_VERSION)


def confidences(logits):
    """Softmax probability of the top class."""
    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    return 1 / np.exp(shifted).sum(1)


def early_exit(logits, labels, thresholds):
    """(accuracy, share of samples per exit) under top-1 confidence thresholds."""
    left, hits, shares = np.ones(len(labels), bool), 0, []
    for values, threshold in zip(logits, thresholds):
        leaves = left & (confidences(values) >= threshold)
        hits += (values.argmax(1) == labels)[leaves].sum()
        shares.append(leaves.mean())
        left &= ~leaves
    return hits / len(labels), shares


def choose_thresholds(logits, labels, macs):
    """Least mean compute whose accuracy is within LOSS_ALLOWED of the last exit."""
    least = (logits[-1].argmax(1) == labels).mean() - LOSS_ALLOWED
    cost, best = np.cumsum(macs), None
    for early in itertools.product(np.arange(50, 100) / 100, repeat=EXITS - 1):
        accuracy, shares = early_exit(logits, labels, (*early, 0.0))
        compute = float(np.dot(shares, cost))
        if accuracy >= least and (best is None or compute < best[0]):
            best = compute, (*early, 0.0)
    return best[1]


def report(title, float_logits, logits, labels, thresholds, macs):
    print(f"\n{title}, {len(labels)} images")
    print("exit  MACs up to it  float %   int8 %  threshold  leaves here %")
    accuracy, shares = early_exit(logits, labels, thresholds)
    for e in range(EXITS):
        hits = [100 * (x[e].argmax(1) == labels).mean() for x in (float_logits, logits)]
        print(f"{e:4d}  {np.cumsum(macs)[e]:13,d}  {hits[0]:7.2f}  {hits[1]:7.2f}  "
              f"{thresholds[e]:9.2f}  {100 * shares[e]:13.2f}")
    mean = np.dot(shares, np.cumsum(macs))
    print(f"with thresholds: {100 * accuracy:.2f} %, mean {mean:,.0f} MACs "
          f"({100 * mean / sum(macs):.1f} % of full depth)")


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default=os.path.join(here, "../../out/train", NAME, "weights.pt"))
    parser.add_argument("--out", default=os.path.join(here, "../models", NAME + ".onnx"))
    args = parser.parse_args()
    torch.set_num_threads(2)
    torch.set_grad_enabled(False)

    network = Network()
    network.load_state_dict(torch.load(args.weights))
    network.eval()
    ops = network.folded()
    macs = stage_macs(ops)
    held_out, held_out_labels = dataset.load("held-out")
    proto = build(ops, calibrate(ops, held_out))
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, args.out)

    model = reference.Model(args.out)
    logits = model.run_all(held_out)
    thresholds = choose_thresholds(logits, held_out_labels, macs)
    helper.set_model_props(proto, {
        "fluidnpu.labels": ",".join(dataset.LABELS),
        "fluidnpu.input.byte_scale": "0.00392156862745098",
        "fluidnpu.input.byte_offset": "0",
        "fluidnpu.exit.criterion": "confidence",
        "fluidnpu.exit.thresholds": ",".join(f"{t:g}" for t in thresholds)})
    onnx.save(proto, args.out)
    with open(os.path.splitext(args.out)[0] + ".labels.txt", "w", encoding="ascii") as file:
        file.write("\n".join(dataset.LABELS) + "\n")

    def float_logits(images):
        runs = [[v[f"exit{e}"].numpy() for e in range(EXITS)] for v in float_run(ops, images)]
        return [np.concatenate(column) for column in zip(*runs)]

    print(f"{args.out}: {os.path.getsize(args.out)} bytes, "
          f"{sum(op.weight.size + op.bias.size for op in ops if op.weight is not None)} parameters")
    print("MACs per stage:", " + ".join(f"{m:,d}" for m in macs), f"= {sum(macs):,d}")
    report("Held-out", float_logits(held_out), logits, held_out_labels, thresholds, macs)
    test, test_labels = dataset.load("test")
    report("Test", float_logits(test), model.run_all(test), test_labels, thresholds, macs)


if __name__ == "__main__":
    main()
