# SPDX-License-Identifier: MIT
"""Compiles models, runs them on the emulated NPU and compares every logit, bit for bit:

    /usr/bin/python3 run.py OUT DIR [--exceptions FILE]

OUT/bin has npucc and npurun; DIR/NAME.onnx, .input.npy and .expect.npy are what operators.py and
cases.py write. Prints TAP: a test for each model.

FILE lists what cannot pass, a line each: `pattern | reason | message`. A model whose name
matches must not compile, and npucc must say the message. With `-` as message there is no model,
only DIR/NAME.none, for the harness cannot write one; with `?` there may be one or not. A name
that neither passes nor is listed fails, and so does one that is listed and compiles.
"""

import argparse
import fnmatch
import os
import subprocess
import sys
import tempfile

import numpy as np


class Failure(Exception):
    pass


def call(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stderr.strip()


def run_on_npu(programs, model, inputs, work):
    """The logits of the model's exit for each input."""
    compiled = os.path.join(work, "model.fnpu")
    status, error = call(os.path.join(programs, "npucc"), model, "-o", compiled)
    if status:
        return None, error
    status, error = call(os.path.join(programs, "npurun"), "--backend", "emu", "--quiet",
                         "--model", compiled, "--all-exits", "--logits", work, inputs)
    if status:
        raise Failure(f"npurun: {error}")
    return np.load(os.path.join(work, "exit0.npy")), ""


def check(programs, base, exception, work):
    """Raises Failure unless the model does what is expected of it."""
    if not os.path.exists(base + ".onnx"):
        if not exception:
            raise Failure("the harness makes no model of this case, and it is not listed")
        if exception[2] not in ("-", "?"):
            raise Failure("listed with a message of npucc, but there is no model to compile")
        return
    got, error = run_on_npu(programs, base + ".onnx", base + ".input.npy", work)
    if exception:
        if got is not None:
            raise Failure("is listed as one that cannot pass, but it compiles")
        if exception[2] != "?" and exception[2] not in error:
            raise Failure(f"npucc says '{error}', expected was '{exception[2]}'")
        return
    if got is None:
        raise Failure(error)
    if not os.path.exists(base + ".expect.npy"):
        raise Failure("compiles, but nobody knows what comes out: ONNX Runtime does not run it")
    want = np.load(base + ".expect.npy")
    if got.size != want.size:
        raise Failure(f"{got.size} logits, {want.size} expected")
    differ = np.flatnonzero(got.ravel() != want.ravel())
    if differ.size:
        first = differ[0]
        raise Failure(f"{differ.size} of {want.size} logits differ, the first at {first}: "
                      f"{got.ravel()[first]} instead of {want.ravel()[first]}")


def read_exceptions(path):
    with open(path, encoding="utf-8") as file:
        lines = [line.strip() for line in file]
    return [[part.strip() for part in line.split("|")] for line in lines
            if line and not line.startswith("#")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out")
    parser.add_argument("dir")
    parser.add_argument("--exceptions")
    args = parser.parse_args()
    exceptions = read_exceptions(args.exceptions) if args.exceptions else []
    names = sorted({name.rsplit(".", 1)[0] for name in os.listdir(args.dir)
                    if name.endswith((".onnx", ".none"))})
    failed = 0
    with tempfile.TemporaryDirectory() as work:
        for number, name in enumerate(names, 1):
            exception = next((e for e in exceptions if fnmatch.fnmatch(name, e[0])), None)
            try:
                check(os.path.join(args.out, "bin"), os.path.join(args.dir, name), exception, work)
                note = f" (not covered: {exception[1]})" if exception else ""
                print(f"ok {number} - {name}{note}")
            except (Failure, subprocess.TimeoutExpired) as failure:
                failed += 1
                print(f"not ok {number} - {name}\n# {failure}")
    print(f"1..{len(names)}")
    sys.exit(1 if failed or not names else 0)


if __name__ == "__main__":
    main()
