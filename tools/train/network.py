# SPDX-License-Identifier: MIT
"""The networks, once: as PyTorch modules for training and, with BatchNorm
folded into the convolutions, as a flat list of operators for the exporter.

Each is a stem, a row of stages, and an exit head behind every stage: where the
stage has few channels a convolution of the head's own, then GlobalAveragePool,
Flatten and Gemm. fmnist-resnet3 is made of ResNet's basic blocks; fmnist-dsconv4 goes on
behind the first two of them with depthwise-separable convolutions. Layer by layer:
tools/models/README.md.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

INPUT = (1, 28, 28)
CLASSES = 10


@dataclass
class Op:
    """One operator of the folded network; `stage` is the exit it lies before."""
    kind: str                        # conv, add, pool, gemm
    name: str
    inputs: list
    stage: int
    relu: bool = False
    stride: int = 1
    groups: int = 1
    weight: np.ndarray = None        # conv [M,C/groups,k,k], gemm [M,K]
    bias: np.ndarray = None
    shape: tuple = field(default=None)   # of the output, without the batch
    macs: int = 0


class ConvBN(nn.Module):
    def __init__(self, cin, cout, kernel, stride=1, groups=1, relu=True):
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(cout)
        self.relu = relu

    def forward(self, x):
        x = self.bn(self.conv(x))
        return torch.relu_(x) if self.relu else x

    def folded(self, name, source, shape, stage):
        gain = self.bn.weight / torch.sqrt(self.bn.running_var + self.bn.eps)
        weight = (self.conv.weight * gain[:, None, None, None]).detach().numpy()
        bias = (self.bn.bias - self.bn.running_mean * gain).detach().numpy()
        stride = self.conv.stride[0]
        side = -(-shape[1] // stride)
        out = (weight.shape[0], side, side)
        return [Op("conv", name, [source], stage, self.relu, stride, self.conv.groups, weight, bias,
                   out, macs=int(weight.size) * side * side)]


def folded_add(name, a, b, stage):
    """The Add and ReLU that end a residual block; a: an Op, b: a name."""
    return Op("add", name, [a.name, b], stage, True, shape=a.shape)


class Basic(nn.Module):
    """The basic block of ResNet; a 1x1 projection where the shape changes."""

    def __init__(self, cin, cout, stride=1):
        super().__init__()
        self.conv1 = ConvBN(cin, cout, 3, stride)
        self.conv2 = ConvBN(cout, cout, 3, relu=False)
        self.project = ConvBN(cin, cout, 1, stride, relu=False) \
            if stride != 1 or cin != cout else None

    def forward(self, x):
        side = x if self.project is None else self.project(x)
        return torch.relu_(self.conv2(self.conv1(x)) + side)

    def folded(self, name, source, shape, stage):
        ops = self.conv1.folded(f"{name}.conv1", source, shape, stage)
        ops += self.conv2.folded(f"{name}.conv2", ops[0].name, ops[0].shape, stage)
        last, side = ops[-1], source
        if self.project is not None:
            ops += self.project.folded(f"{name}.project", source, shape, stage)
            side = ops[-1].name
        return ops + [folded_add(f"{name}.add", last, side, stage)]


class Separable(nn.Module):
    """A depthwise 3x3 and a pointwise convolution; residual where the shape stays."""

    def __init__(self, cin, cout, stride=1):
        super().__init__()
        self.residual = stride == 1 and cin == cout
        self.depthwise = ConvBN(cin, cin, 3, stride, groups=cin)
        self.pointwise = ConvBN(cin, cout, 1, relu=not self.residual)

    def forward(self, x):
        y = self.pointwise(self.depthwise(x))
        return torch.relu_(y + x) if self.residual else y

    def folded(self, name, source, shape, stage):
        ops = self.depthwise.folded(f"{name}.depthwise", source, shape, stage)
        ops += self.pointwise.folded(f"{name}.pointwise", ops[0].name, ops[0].shape, stage)
        return ops + ([folded_add(f"{name}.add", ops[-1], source, stage)] if self.residual else [])


class Head(nn.Module):
    def __init__(self, channels, conv=None):
        super().__init__()
        self.conv = conv
        self.gemm = nn.Linear(channels, CLASSES)

    def forward(self, x):
        if self.conv is not None:
            x = self.conv(x)
        return self.gemm(x.mean((2, 3)))

    def folded(self, exit_, source, shape):
        name, ops = f"head{exit_}", []
        if self.conv is not None:
            ops += self.conv.folded(f"{name}.conv", source, shape, exit_)
            source, shape = ops[-1].name, ops[-1].shape
        ops.append(Op("pool", f"{name}.pool", [source], exit_, shape=(shape[0], 1, 1)))
        weight = self.gemm.weight.detach().numpy()
        ops.append(Op("gemm", f"exit{exit_}", [ops[-1].name], exit_, weight=weight,
                      bias=self.gemm.bias.detach().numpy(), shape=(CLASSES,),
                      macs=int(weight.size)))
        return ops


class Network(nn.Module):
    def __init__(self, stem, stages, heads):
        super().__init__()
        self.stem = stem
        self.stages = nn.ModuleList(nn.Sequential(*blocks) for blocks in stages)
        self.heads = nn.ModuleList(heads)

    @property
    def exits(self):
        return len(self.heads)

    def forward(self, x):
        x, logits = self.stem(x), []
        for stage, head in zip(self.stages, self.heads):
            x = stage(x)
            logits.append(head(x))
        return logits

    def folded(self):
        """The operators in execution order; names are unique, the input is 'input'."""
        ops = self.stem.folded("stem", "input", INPUT, 0)
        trunk = ops[-1]
        for exit_, (stage, head) in enumerate(zip(self.stages, self.heads)):
            for index, block in enumerate(stage):
                ops += block.folded(f"stage{exit_ + 1}.block{index}", trunk.name, trunk.shape,
                                    exit_)
                trunk = ops[-1]
            ops += head.folded(exit_, trunk.name, trunk.shape)
        return ops


def resnet3():
    return Network(ConvBN(1, 16, 3),
                   [[Basic(16, 16, 2)],
                    [Basic(16, 32, 2)],
                    [Basic(32, 64), Basic(64, 64, 2)]],
                   [Head(32, ConvBN(16, 32, 3, 2)), Head(32), Head(64)])


def dsconv4():
    return Network(ConvBN(1, 16, 3),
                   [[Basic(16, 16, 2)],
                    [Basic(16, 32, 2)],
                    [Separable(32, 96), Separable(96, 96)],
                    [Separable(96, 160), Separable(160, 160)]],
                   [Head(32, ConvBN(16, 32, 3, 2)), Head(32), Head(96), Head(160)])


NETWORKS = {"fmnist-resnet3": resnet3, "fmnist-dsconv4": dsconv4}


def stage_macs(ops):
    """Multiply-accumulates from the previous exit (or the input) to each exit."""
    return [sum(op.macs for op in ops if op.stage == e) for e in range(1 + ops[-1].stage)]
