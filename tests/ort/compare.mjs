#!/usr/bin/env node
// SPDX-License-Identifier: MIT
// Compares two folders of logits (float32 .npy, one per exit) or other tensors:
//
//   node compare.mjs DIR_A DIR_B [--scale-from MODEL.onnx] [--min-argmax 99.99]
//                    [--max-different 0.01] [--max-steps 1]
//
// Prints per exit: samples with the same top class, logits that differ (both in
// per cent), and the largest difference in quantization steps. The step of an
// exit is the scale of the QuantizeLinear before it, read from MODEL.onnx, or
// else the smallest distance between two logits of DIR_A. Exit 1 beyond a limit.
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { readNpy } from "./npy.mjs";
import { outputScales } from "./onnx.mjs";

function smallestGap(data) {
  const sorted = Float32Array.from(new Set(data)).sort();
  let gap = Infinity;
  for (let i = 1; i < sorted.length; i++) gap = Math.min(gap, sorted[i] - sorted[i - 1]);
  return gap;
}

function argmax(data, first, width) {
  let best = first;
  for (let i = first + 1; i < first + width; i++) if (data[i] > data[best]) best = i;
  return best - first;
}

function compare(a, b, step) {
  const count = a.shape[0];
  const width = a.data.length / count;
  let sameTop = 0;
  let different = 0;
  let steps = 0;
  for (let n = 0; n < count; n++)
    sameTop += argmax(a.data, n * width, width) === argmax(b.data, n * width, width);
  a.data.forEach((value, i) => {
    if (value === b.data[i]) return;
    different += 1;
    const distance = Math.abs(value - b.data[i]) / step;
    steps = Math.max(steps, Number.isFinite(distance) ? Math.round(distance) : Infinity);
  });
  return { argmax: (100 * sameTop) / count, different: (100 * different) / a.data.length, steps };
}

function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      "scale-from": { type: "string" },
      "min-argmax": { type: "string", default: "99.99" },
      "max-different": { type: "string", default: "0.01" },
      "max-steps": { type: "string", default: "1" },
    },
  });
  const limits = ["min-argmax", "max-different", "max-steps"].map((name) => Number(values[name]));
  if (positionals.length !== 2 || limits.some(Number.isNaN))
    throw new Error("usage: compare.mjs DIR_A DIR_B [--scale-from MODEL.onnx] " +
                    "[--min-argmax PERCENT] [--max-different PERCENT] [--max-steps N]");
  const scales = values["scale-from"] ? outputScales(readFileSync(values["scale-from"])) : undefined;
  const [dirA, dirB] = positionals;
  const files = readdirSync(dirA).filter((name) => name.endsWith(".npy")).sort();
  if (files.length === 0) throw new Error(`${dirA}: no .npy files`);
  let failed = 0;
  for (const file of files) {
    const name = file.slice(0, -".npy".length);
    const a = readNpy(join(dirA, file));
    const b = readNpy(join(dirB, file));
    if (String(a.shape) !== String(b.shape) || a.data.length === 0)
      throw new Error(`${file}: shapes ${a.shape.join("x")} and ${b.shape.join("x")}`);
    const step = scales ? scales.get(name) : smallestGap(a.data);
    if (!step) throw new Error(`${values["scale-from"]}: no quantized output named ${name}`);
    const result = compare(a, b, step);
    const good = result.argmax >= limits[0] && result.different <= limits[1] && result.steps <= limits[2];
    failed += !good;
    console.log(`${name}: top class equal ${result.argmax.toFixed(4)} %, logits different ` +
                `${result.different.toFixed(4)} %, by at most ${result.steps} steps: ${good ? "ok" : "FAILED"}`);
  }
  console.log(`${files.length - failed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}

try {
  main();
} catch (error) {
  console.error(`compare: ${error.message}`);
  process.exit(2);
}
