#!/usr/bin/env node
// SPDX-License-Identifier: MIT
// Checks ONNX Runtime, operator by operator, against the exact arithmetic that
// tools/train/operators.py computed into DIR:
//
//   node operators.mjs DIR [--plain] [--write]
//
// Exit 1 when any element of any model differs in any bit. With --write nothing is checked:
// models without DIR/<model>.expect.npy get one, with what ONNX Runtime computes. A model that
// it cannot run is left without.
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { readNpy, writeNpy } from "./npy.mjs";
import { createSession } from "./session.mjs";

async function writeExpected(base, options) {
  const input = readNpy(`${base}.input.npy`);
  try {
    const session = await createSession(`${base}.onnx`, options);
    const { y } = await session.run(input.data, input.shape);
    writeNpy(`${base}.expect.npy`, y.data, y.dims);
  } catch (error) {
    console.log(`${base}: not run: ${error.message.split("\n")[0].slice(0, 200)}`);
  }
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { plain: { type: "boolean", default: false }, write: { type: "boolean", default: false } },
  });
  if (positionals.length !== 1) throw new Error("usage: operators.mjs DIR [--plain] [--write]");
  const [dir] = positionals;
  const totals = new Map();
  for (const file of readdirSync(dir).filter((name) => name.endsWith(".onnx")).sort()) {
    const base = join(dir, file.slice(0, -".onnx".length));
    if (values.write) {
      if (!existsSync(`${base}.expect.npy`)) await writeExpected(base, values);
      continue;
    }
    const session = await createSession(join(dir, file), values);
    const input = readNpy(`${base}.input.npy`);
    const expect = readNpy(`${base}.expect.npy`).data;
    const { y } = await session.run(input.data, input.shape);
    if (y.data.length !== expect.length) throw new Error(`${file}: ${y.data.length} elements, not ${expect.length}`);
    const kind = file.split("-")[0];
    const total = totals.get(kind) ?? { models: 0, elements: 0, differ: 0 };
    total.models += 1;
    total.elements += expect.length;
    expect.forEach((value, i) => (total.differ += value !== y.data[i]));
    totals.set(kind, total);
  }
  if (values.write) return;
  if (totals.size === 0) throw new Error(`${dir}: no models, write them with tools/train/operators.py`);
  let failed = 0;
  for (const [kind, { models, elements, differ }] of totals) {
    console.log(`${kind}: ${models} models, ${elements} elements, ${differ} differ`);
    failed += differ > 0;
  }
  console.log(`${totals.size - failed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}

main().catch((error) => {
  console.error(`operators: ${error.message}`);
  process.exit(1);
});
