# SPDX-License-Identifier: MIT
"""Trains one of the networks on Fashion-MNIST, on the CPU.

    OMP_WAIT_POLICY=passive nice /usr/bin/python3 train.py [--network NAME] [--epochs N]
                                            [--seed S] [--start WEIGHTS.pt] [--out DIR]

Writes DIR/checkpoint.pt after each epoch and goes on from it when started
again; the result after the last epoch is DIR/weights.pt. Same seed, thread
count and PyTorch: same weights. --start takes what has the same name and shape
from another network's weights. The test images are only looked at in the end, to
print what was reached.
"""

import argparse
import math
import os
import time

import numpy as np
import torch
from torch.nn import functional as F

import dataset
from network import NETWORKS

EXIT_WEIGHTS = {3: (0.2, 0.3, 1.0), 4: (0.2, 0.2, 0.3, 1.0)}    # of the exits' losses
DISTILL = 0.5                       # share of an early exit's loss taught by the last exit
TEMPERATURE = 2.0
SHIFT = 2                           # pixels


def augment(images, generator):
    """Mirrors each image with probability 1/2 and shifts it by up to SHIFT pixels."""
    n, _, height, width = images.shape
    padded = F.pad(images, [SHIFT] * 4)
    rows = torch.randint(0, 2 * SHIFT + 1, (n, 1), generator=generator) + torch.arange(height)
    cols = torch.randint(0, 2 * SHIFT + 1, (n, 1), generator=generator) + torch.arange(width)
    flip = torch.rand(n, 1, generator=generator) < 0.5
    cols = torch.where(flip, cols.flip(1), cols)
    index = torch.arange(n)[:, None, None]
    return padded[index, 0, rows[:, :, None], cols[:, None, :]][:, None]


def start_from(model, path):
    """Takes over from a trained network what this one has, too."""
    own = model.state_dict()
    shared = {name: value for name, value in torch.load(path).items()
              if name in own and own[name].shape == value.shape}
    model.load_state_dict(shared, strict=False)
    print(f"{len(shared)} of {len(own)} tensors from {path}")


def joint_loss(logits, labels):
    weights = EXIT_WEIGHTS[len(logits)]
    teacher = F.softmax(logits[-1].detach() / TEMPERATURE, 1)
    total = weights[-1] * F.cross_entropy(logits[-1], labels)
    for weight, early in zip(weights, logits[:-1]):
        student = F.log_softmax(early / TEMPERATURE, 1)
        soft = F.kl_div(student, teacher, reduction="batchmean") * TEMPERATURE ** 2
        total = total + weight * ((1 - DISTILL) * F.cross_entropy(early, labels) + DISTILL * soft)
    return total


def learning_rate(step, steps, peak):
    """Linear warm-up over 5 % of the steps, then a cosine down to zero."""
    warm = max(1, steps // 20)
    if step < warm:
        return peak * (step + 1) / warm
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))


@torch.no_grad()
def accuracy(model, images, labels):
    model.eval()
    hits = np.zeros(model.exits)
    for i in range(0, len(images), 500):
        for e, logits in enumerate(model(images[i:i + 500])):
            hits[e] += (logits.argmax(1) == labels[i:i + 500]).sum().item()
    return hits / len(images)


def percent(values):
    return " / ".join(f"{100 * v:.2f}" for v in values)


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=NETWORKS, default="fmnist-resnet3")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--peak", type=float, default=0.2, help="highest learning rate")
    parser.add_argument("--start", help="another network's weights.pt to begin with")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", help="default: out/train/NETWORK")
    args = parser.parse_args()
    out = args.out or os.path.join(here, "../../out/train", args.network)

    os.makedirs(out, exist_ok=True)
    torch.set_num_threads(args.threads)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(args.seed)
    generator = torch.Generator().manual_seed(args.seed)

    def tensors(part):
        images, labels = dataset.load(part)
        return torch.from_numpy(dataset.to_float(images)), torch.from_numpy(labels)

    images, labels = tensors("train")
    held_out = tensors("held-out")
    model = NETWORKS[args.network]()
    if args.start:
        start_from(model, args.start)
    model = model.to(memory_format=torch.channels_last)     # half as long on AVX2
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.SGD([{"params": decayed, "weight_decay": 5e-4},
                                 {"params": plain, "weight_decay": 0.0}],
                                lr=args.peak, momentum=0.9, nesterov=True)
    print(f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)

    run = (args.network, args.epochs, args.seed, args.batch, args.peak, args.start)
    checkpoint = os.path.join(out, "checkpoint.pt")
    first = 0
    if os.path.exists(checkpoint):
        saved = torch.load(checkpoint)
        if saved["run"] != run:
            raise SystemExit(f"{checkpoint} is from another run; remove it or use another --out")
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        generator.set_state(saved["generator"])
        first = saved["epoch"]
        print(f"going on after epoch {first}", flush=True)

    per_epoch = len(images) // args.batch
    for epoch in range(first, args.epochs):
        start, model_loss = time.time(), 0.0
        model.train()
        order = torch.randperm(len(images), generator=generator)
        for step in range(per_epoch):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(epoch * per_epoch + step, args.epochs * per_epoch,
                                            args.peak)
            pick = order[step * args.batch:(step + 1) * args.batch]
            loss = joint_loss(model(augment(images[pick], generator)), labels[pick])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            model_loss += loss.item()
        print(f"epoch {epoch + 1:2d}  loss {model_loss / per_epoch:.4f}  "
              f"held-out {percent(accuracy(model, *held_out))} %  "
              f"{time.time() - start:.0f} s", flush=True)
        torch.save({"run": run, "epoch": epoch + 1, "model": model.state_dict(),
                    "optimizer": optimizer.state_dict(), "generator": generator.get_state()},
                   checkpoint + ".new")
        os.replace(checkpoint + ".new", checkpoint)

    torch.save(model.state_dict(), os.path.join(out, "weights.pt"))
    print(f"test {percent(accuracy(model, *tensors('test')))} %")


if __name__ == "__main__":
    main()
