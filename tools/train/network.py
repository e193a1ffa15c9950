# SPDX-License-Identifier: MIT
"""The network, once: as PyTorch modules for training and, with BatchNorm
folded into the convolutions, as a flat list of operators for the exporter.

    stem    3x3, 16 channels, 28x28
    stage1  one residual block, 16 channels, 14x14    -> exit0 (one 3x3 conv, 32)
    stage2  one residual block, 32 channels, 7x7      -> exit1
    stage3  two residual blocks, 64 channels, 7x7 4x4 -> exit2

Exit head: GlobalAveragePool, Flatten, Gemm.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

NAME = "fmnist-resnet3"
INPUT = (1, 28, 28)
CLASSES = 10
EXITS = 3


@dataclass
class Op:
    """One operator of the folded network; `stage` is the exit it lies before."""
    kind: str                        # conv, add, pool, gemm
    name: str
    inputs: list
    stage: int
    relu: bool = False
    stride: int = 1
    weight: np.ndarray = None        # conv [M,C,k,k], gemm [M,K]
    bias: np.ndarray = None
    shape: tuple = field(default=None)   # of the output, without the batch
    macs: int = 0


class ConvBN(nn.Module):
    def __init__(self, cin, cout, kernel, stride=1, relu=True):
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(cout)
        self.relu = relu

    def forward(self, x):
        x = self.bn(self.conv(x))
        return torch.relu(x) if self.relu else x

    def folded(self, name, source, shape, stage):
        gain = self.bn.weight / torch.sqrt(self.bn.running_var + self.bn.eps)
        weight = (self.conv.weight * gain[:, None, None, None]).detach().numpy()
        bias = (self.bn.bias - self.bn.running_mean * gain).detach().numpy()
        stride = self.conv.stride[0]
        side = -(-shape[1] // stride)
        out = (weight.shape[0], side, side)
        return Op("conv", name, [source], stage, self.relu, stride, weight, bias, out,
                  macs=int(weight.size) * side * side)


class Block(nn.Module):
    """The basic block of ResNet; a 1x1 projection where the shape changes."""

    def __init__(self, cin, cout, stride):
        super().__init__()
        self.conv1 = ConvBN(cin, cout, 3, stride)
        self.conv2 = ConvBN(cout, cout, 3, relu=False)
        self.project = ConvBN(cin, cout, 1, stride, relu=False) \
            if stride != 1 or cin != cout else None

    def forward(self, x):
        side = x if self.project is None else self.project(x)
        return torch.relu(self.conv2(self.conv1(x)) + side)

    def folded(self, name, source, shape, stage):
        ops = [self.conv1.folded(f"{name}.conv1", source, shape, stage)]
        ops.append(self.conv2.folded(f"{name}.conv2", ops[0].name, ops[0].shape, stage))
        side = source
        if self.project is not None:
            ops.append(self.project.folded(f"{name}.project", source, shape, stage))
            side = ops[-1].name
        ops.append(Op("add", f"{name}.add", [ops[1].name, side], stage, True,
                      shape=ops[1].shape))
        return ops


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
            ops.append(self.conv.folded(f"{name}.conv", source, shape, exit_))
            source, shape = ops[0].name, ops[0].shape
        ops.append(Op("pool", f"{name}.pool", [source], exit_, shape=(shape[0], 1, 1)))
        weight = self.gemm.weight.detach().numpy()
        ops.append(Op("gemm", f"exit{exit_}", [ops[-1].name], exit_, weight=weight,
                      bias=self.gemm.bias.detach().numpy(), shape=(CLASSES,),
                      macs=int(weight.size)))
        return ops


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = ConvBN(1, 16, 3)
        self.stage1 = nn.Sequential(Block(16, 16, 2))
        self.stage2 = nn.Sequential(Block(16, 32, 2))
        self.stage3 = nn.Sequential(Block(32, 64, 1), Block(64, 64, 2))
        self.heads = nn.ModuleList([Head(32, ConvBN(16, 32, 3, 2)), Head(32), Head(64)])

    def stages(self):
        return self.stage1, self.stage2, self.stage3

    def forward(self, x):
        x, logits = self.stem(x), []
        for stage, head in zip(self.stages(), self.heads):
            x = stage(x)
            logits.append(head(x))
        return logits

    def folded(self):
        """The operators in execution order; names are unique, the input is 'input'."""
        ops = [self.stem.folded("stem", "input", INPUT, 0)]
        for exit_, (stage, head) in enumerate(zip(self.stages(), self.heads)):
            for index, block in enumerate(stage):
                ops += block.folded(f"stage{exit_ + 1}.block{index}", ops[-1].name,
                                    ops[-1].shape, exit_)
            trunk = ops[-1]
            ops += head.folded(exit_, trunk.name, trunk.shape)
            ops.append(trunk)           # the next stage goes on from the trunk
        ops.pop()
        return [op for i, op in enumerate(ops) if not any(op is o for o in ops[:i])]


def stage_macs(ops):
    """Multiply-accumulates from the previous exit (or the input) to each exit."""
    return [sum(op.macs for op in ops if op.stage == e) for e in range(EXITS)]
