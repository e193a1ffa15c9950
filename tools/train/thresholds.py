# SPDX-License-Identifier: MIT
"""Chooses the exit thresholds of a quantized model, one set per accuracy budget.

    /usr/bin/python3 thresholds.py MODEL.onnx [--default T0,T1,...]

A budget is how much accuracy, in percentage points, early exits may cost
against running every sample to the last exit. A set of thresholds is one that, on
the held-out images, stays within its budget with the least mean compute. Which
of many sets is cheapest is to some degree luck on 5,000 images, so a set must
keep a distance of one standard error of its measured cost: a sample counts where
one of the two ways is right and the other wrong, so with n such samples of N the
standard error is sqrt(n) / N.

The sets are stored in the model's metadata, fluidnpu.exit.budgets, and one as its default,
fluidnpu.exit.thresholds: that of DEFAULT_BUDGET or what --default says. What the model
then does with the test images goes to MODEL.expected.json, which tests compare with,
and to the standard output; the test images choose nothing.
"""

import argparse
import itertools
import json
import os

import numpy as np
import onnx
import torch
from onnx import helper

import dataset
import reference
from network import NETWORKS, stage_macs

BUDGETS = ("0", "0.5", "1")         # percentage points
DEFAULT_BUDGET = "0.5"
GRID = np.append(np.arange(30, 100) / 100, (0.995, 0.999, 1))
STANDARD_ERRORS = 1


def confidences(logits):
    """Softmax probability of the top class."""
    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    return 1 / np.exp(shifted).sum(1)


def early_exit(logits, labels, thresholds):
    """(samples that leave, those of them that are right) at each exit."""
    staying, left, right = np.ones(len(labels), bool), [], []
    for values, threshold in zip(logits, thresholds):
        leaves = staying & (confidences(values) >= threshold)
        left.append(int(leaves.sum()))
        right.append(int((values.argmax(1) == labels)[leaves].sum()))
        staying &= ~leaves
    return left, right


def candidates(logits, labels, macs):
    """All threshold vectors on GRID: yields (thresholds of all early exits but the last one,
    then for each threshold of that: accuracy lost, its standard error, mean compute)."""
    cost = np.cumsum(macs)
    right = [values.argmax(1) == labels for values in logits]
    # the highest threshold at which a sample still leaves, -1: none
    reached = [np.searchsorted(GRID, confidences(values), "right") - 1 for values in logits[:-1]]
    lost = [right[-1].astype(int) - r for r in right]
    last = len(reached) - 1

    def sums(exit_, chosen):
        """Of the samples that leave, what adds up: net losses, differences, compute saved."""
        return np.array([lost[exit_][chosen].sum(), np.abs(lost[exit_][chosen]).sum(),
                         chosen.sum() * (cost[-1] - cost[exit_])])

    def columns(staying):
        """The same at the last early exit, for every threshold there at once."""
        levels = reached[last][staying]
        for weight in (lost[last], np.abs(lost[last]), np.full(len(labels), cost[-1] - cost[last])):
            per_level = np.bincount(levels + 1, weight[staying], len(GRID) + 1)[1:]
            yield per_level[::-1].cumsum()[::-1]

    for early in itertools.product(range(len(GRID)), repeat=last):
        staying, total = np.ones(len(labels), bool), np.zeros(3)
        for exit_, threshold in enumerate(early):
            leaves = staying & (reached[exit_] >= threshold)
            total += sums(exit_, leaves)
            staying &= ~leaves
        net, differ, saved = (a + b for a, b in zip(total, columns(staying)))
        yield (GRID[list(early)], net / len(labels), np.sqrt(differ) / len(labels),
               cost[-1] - saved / len(labels))


def choose(logits, labels, macs):
    """budget -> thresholds of all exits"""
    best = {budget: (np.inf, None) for budget in BUDGETS}
    for early, lost, error, compute in candidates(logits, labels, macs):
        for budget, (least, _) in best.items():
            allowed = lost + STANDARD_ERRORS * error <= float(budget) / 100
            i = np.where(allowed, compute, np.inf).argmin()
            if allowed[i] and compute[i] < least:
                best[budget] = compute[i], (*early, GRID[i], 0.0)
    return {budget: [float(t) for t in thresholds] for budget, (_, thresholds) in best.items()}


def measure(logits, labels, sets):
    """What MODEL.expected.json holds: counts of samples."""
    result = {"images": len(labels),
              "correct": [int((values.argmax(1) == labels).sum()) for values in logits],
              "early_exit": {}}
    for name, thresholds in sets.items():
        left, right = early_exit(logits, labels, thresholds)
        result["early_exit"][name] = {"thresholds": thresholds, "left": left, "correct": right}
    return result


def table(title, result, macs):
    count, last = result["images"], result["correct"][-1]
    print(f"\n{title}, {count:,d} images; exits: "
          + " / ".join(f"{100 * c / count:.2f}" for c in result["correct"]) + " %")
    print("budget   thresholds              accuracy    lost  leaving at each exit %"
          "         mean MACs")
    for name, of in result["early_exit"].items():
        right, compute = sum(of["correct"]), np.dot(of["left"], np.cumsum(macs)) / count
        print(f"{name:7s}  {', '.join(f'{t:g}' for t in of['thresholds']):22s}  "
              f"{100 * right / count:6.2f} %  {100 * (last - right) / count:6.2f}  "
              f"{' / '.join(f'{100 * n / count:.2f}' for n in of['left']):29s}  "
              f"{compute:9,.0f} ({100 * compute / sum(macs):.1f} %)")


def store(proto, path, budgets, default):
    metadata = {p.key: p.value for p in proto.metadata_props}
    metadata["fluidnpu.exit.thresholds"] = ",".join(f"{t:g}" for t in default)
    metadata["fluidnpu.exit.budgets"] = json.dumps(budgets)
    del proto.metadata_props[:]
    helper.set_model_props(proto, metadata)
    onnx.save(proto, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="what quantize.py wrote, tools/models/NETWORK.onnx")
    parser.add_argument("--default", type=lambda text: [float(t) for t in text.split(",")],
                        help=f"the default thresholds, if not those of budget {DEFAULT_BUDGET}")
    args = parser.parse_args()
    torch.set_num_threads(2)
    torch.set_grad_enabled(False)

    model = reference.Model(args.model)
    macs = stage_macs(NETWORKS[model.proto.graph.name]().folded())

    def run(part):
        images, labels = dataset.load(part)
        return model.run_all(images), labels

    held_out = run("held-out")
    budgets = choose(*held_out, macs)
    default = args.default or budgets[DEFAULT_BUDGET]
    store(model.proto, args.model, budgets, default)

    sets = {"default": default, **budgets}
    table("Held-out", measure(*held_out, sets), macs)
    expected = measure(*run("test"), sets)
    table("Test", expected, macs)
    with open(os.path.splitext(args.model)[0] + ".expected.json", "w", encoding="ascii") as file:
        json.dump(expected, file, indent="\t")
        file.write("\n")


if __name__ == "__main__":
    main()
