#!/usr/bin/env node
// SPDX-License-Identifier: MIT
// Runs a QDQ model on ONNX Runtime's CPU kernels and writes its outputs:
//
//   node ort_logits.mjs MODEL.onnx IMAGES(.idx.gz | .npy float32) OUTDIR
//                       [--batch N] [--limit N] [--plain] [--dump OPTIMIZED.onnx]
//
// One float32 .npy per graph output, named after it; integer outputs are converted.
// --limit: only the first N images. How the session is set up,
// and what --plain changes: session.mjs. --dump writes the optimised graph, to
// see which kernels run.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { readImages, writeNpy } from "./npy.mjs";
import { createSession } from "./session.mjs";

const USAGE = "usage: ort_logits.mjs MODEL.onnx IMAGES(.idx.gz | .npy) OUTDIR [--batch N] [--limit N] [--plain] [--dump FILE]";

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      batch: { type: "string", default: "100" },
      limit: { type: "string", default: "Infinity" },
      plain: { type: "boolean", default: false },
      dump: { type: "string" },
    },
  });
  const batch = Number(values.batch);
  if (positionals.length !== 3 || !Number.isInteger(batch) || batch < 1 || !(Number(values.limit) >= 1)) throw new Error(USAGE);
  const [model, images, outdir] = positionals;
  const session = await createSession(model, values);
  const { data, shape } = readImages(images);
  const size = data.length / shape[0];
  const count = Math.min(shape[0], Number(values.limit));
  const results = {};
  for (let first = 0; first < count; first += batch) {
    const n = Math.min(batch, count - first);
    const outputs = await session.run(data.subarray(first * size, (first + n) * size), [n, ...shape.slice(1)]);
    for (const name of session.outputNames) {
      const { data: part, dims } = outputs[name];
      const width = part.length / n;
      results[name] ??= { data: new Float32Array(count * width), shape: [count, ...dims.slice(1)] };
      results[name].data.set(part, first * width);
    }
  }
  mkdirSync(outdir, { recursive: true });
  for (const name of session.outputNames) {
    writeNpy(join(outdir, `${name}.npy`), results[name].data, results[name].shape);
    console.log(`${name}: ${results[name].shape.join("x")}`);
  }
}

main().catch((error) => {
  console.error(`ort_logits: ${error.message}`);
  process.exit(1);
});
