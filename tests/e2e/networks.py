# SPDX-License-Identifier: MIT
"""What networks.sh asks of the files that the tools have written; exit status 1: it is not so.

    classes DIR              the logits of DIR/exitN.npy have many different top classes
    times BENCH.json         batch 1 takes what hardware.md says
    gain BENCH.json NET X    batch 1: utilisation at least X times the conventional one
    order BENCH.json         stacking <= fluid <= conventional, at every batch
    subadditive MODEL.json   npucc's report: batching never costs more than its parts
    trace DIR TRACE.txt      writes where samples left, from logits that are NaN behind it
    spread RUN.json          samples left at each exit
    same-device A B          npurun's reports are the same, but for the host's part
"""

import glob
import json
import sys

import numpy as np

# network, NPU: milliseconds and utilisation of hardware.md, and exactly (also in
# tests/host/test_core_time.c)
REFERENCE = {
    ("resnet50", "conventional"): (7.9, 0.63, 6239168),
    ("resnet50", "fluid + stacking"): (6.0, 0.83, 4792892),
    ("mobilenetv2", "conventional"): (1.02, 0.36, 819415),
    ("mobilenetv2", "fluid + stacking"): (0.64, 0.58, 514068),
}
TIME_TOLERANCE, UTILISATION_TOLERANCE = 0.015, 0.02
LEAST_CLASSES = 10           # at the worst exit, for fifty images or more


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def exits(directory):
    return [np.load(path) for path in sorted(glob.glob(directory + "/exit*.npy"))]


def classes(directory):
    for number, logits in enumerate(exits(directory)):
        tops = len(set(logits.argmax(1)))
        print(f"exit {number}: {tops} top classes of {len(logits)} images")
        assert tops >= min(LEAST_CLASSES, len(logits) // 5)


def times(path):
    rows = {(r["network"], r["npu"]): r for r in load(path) if r["batch"] == 1}
    for key, (ms, utilisation, cycles) in REFERENCE.items():
        row = rows[key]
        print(*key, f"{row['ms']:.3f} ms, {row['utilisation']:.3f}; expected {ms} {utilisation}")
        assert row["cycles"] == cycles
        assert abs(row["ms"] / ms - 1) < TIME_TOLERANCE
        assert abs(row["utilisation"] / utilisation - 1) < UTILISATION_TOLERANCE


def gain(path, network, least):
    used = {r["npu"]: r["utilisation"] for r in load(path)
            if r["network"] == network and r["batch"] == 1}
    ratio = used["fluid + stacking"] / used["conventional"]
    print(f"{network}: {ratio:.3f} times, at least {least}")
    assert ratio >= float(least)


def order(path):
    cycles = {}
    for row in load(path):
        cycles.setdefault((row["network"], row["batch"]), {})[row["npu"]] = row["cycles"]
    assert len(cycles) >= 4 * 5
    for key, npus in cycles.items():
        print(*key, npus)
        assert npus["fluid + stacking"] <= npus["fluid"] <= npus["conventional"]


def subadditive(path):
    groups = load(path)["groups"]
    assert groups
    for group in groups:
        cost = [0] + [batch["cycles"] for batch in group["batches"]]
        assert len(cost) == 17
        for b in range(2, len(cost)):
            for i in range(1, b):
                if cost[b] > cost[i] + cost[b - i]:
                    sys.exit(f"layer {group['layer']}: T({b}) = {cost[b]} > T({i}) + T({b - i})")


def trace(directory, path):
    passed = np.stack([~np.isnan(logits[:, 0]) for logits in exits(directory)])
    with open(path, "w", encoding="ascii") as file:
        file.write("\n".join(map(str, passed.sum(0) - 1)) + "\n")


def spread(path):
    samples = [exit["samples"] for exit in load(path)["device"]["exits"]]
    print(samples)
    assert len(samples) == 4 and min(samples) > 0


def same_device(a, b):
    a, b = load(a)["device"], load(b)["device"]
    for key in sorted({*a, *b}):
        if a.get(key) != b.get(key):
            sys.exit(f"{key}: {a.get(key)} and {b.get(key)}")


CHECKS = {f.__name__.replace("_", "-"): f
          for f in (classes, times, gain, order, subadditive, trace, spread, same_device)}

if __name__ == "__main__":
    CHECKS[sys.argv[1]](*sys.argv[2:])
