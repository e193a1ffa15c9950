#!/usr/bin/env node
// SPDX-License-Identifier: MIT
// Compares with what tools/train/thresholds.py wrote about a network, MODEL.expected.json:
//
//   node expected.mjs logits DIR LABELS.idx.gz EXPECTED.json [--least PERCENT]
//   node expected.mjs exits REPORT.json EXPECTED.json SET
//   node expected.mjs sets EXPECTED.json
//
// logits: the samples whose top logit in DIR/exitN.npy is the label's, for each exit, are
//         exactly as many as expected, and at the last exit at least so many per cent.
// exits:  in a report of npurun (--json) exactly as many samples as expected left at each
//         exit, and as many of them were right; SET: default or a budget. At a budget no more
//         of the last exit's accuracy is lost than its percentage points.
// sets:   prints the names of the sets of thresholds: default and the budgets
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { readNpy } from "./npy.mjs";

const USAGE = `usage: expected.mjs logits DIR LABELS.idx.gz EXPECTED.json [--least PERCENT]
       expected.mjs exits REPORT.json EXPECTED.json SET
       expected.mjs sets EXPECTED.json`;

const readJson = (path) => JSON.parse(readFileSync(path, "utf8"));

function readLabels(path) {
  const file = gunzipSync(readFileSync(path));
  if (file.readUInt32BE(0) !== 0x801 || file.length !== 8 + file.readUInt32BE(4))
    throw new Error(`${path}: not an idx file of labels`);
  return file.subarray(8);
}

/** Samples of a [N, classes] array whose largest value is at the label. */
function countCorrect({ data, shape: [count, classes] }, labels) {
  let correct = 0;
  for (let n = 0; n < count; n++) {
    const row = data.subarray(n * classes, (n + 1) * classes);
    correct += row.indexOf(Math.max(...row)) === labels[n];
  }
  return correct;
}

/** Prints both lists; are they equal? */
function same(what, got, want) {
  const equal = String(got) === String(want);
  console.log(`${what}: ${got.join(" ")}${equal ? "" : `, expected ${want.join(" ")}`}`);
  return equal;
}

function checkLogits([dir, labelFile, expectedFile], least) {
  const labels = readLabels(labelFile);
  const expected = readJson(expectedFile);
  if (labels.length !== expected.images)
    throw new Error(`${labelFile}: ${labels.length} labels, expected ${expected.images}`);
  const correct = expected.correct.map((_, exit) =>
    countCorrect(readNpy(join(dir, `exit${exit}.npy`)), labels));
  const share = (100 * correct.at(-1)) / labels.length;
  console.log(`last exit: ${share.toFixed(2)} %, at least ${least} %`);
  return same("correct", correct, expected.correct) && share >= least;
}

/** Do early exits lose at most so many percentage points, against all samples at the last exit? */
function withinBudget({ images, correct }, exits, budget) {
  const lost = correct.at(-1) - exits.reduce((sum, e) => sum + e.correct, 0);
  console.log(`lost: ${((100 * lost) / images).toFixed(2)} points, at most ${budget}`);
  return 100 * lost <= budget * images;
}

function checkExits([reportFile, expectedFile, set]) {
  const { exits } = readJson(reportFile).device;
  const expected = readJson(expectedFile);
  const { left, correct } = expected.early_exit[set];
  return [
    same("left", exits.map((e) => e.samples), left),
    same("correct", exits.map((e) => e.correct), correct),
    set === "default" || withinBudget(expected, exits, Number(set)),
  ].every(Boolean);
}

function printSets([expectedFile]) {
  for (const name of Object.keys(readJson(expectedFile).early_exit)) console.log(name);
  return true;
}

const COMMANDS = { logits: [checkLogits, 3], exits: [checkExits, 3], sets: [printSets, 1] };

try {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { least: { type: "string", default: "0" } },
  });
  const [run, operands] = COMMANDS[positionals[0]] ?? [];
  const least = Number(values.least);
  if (!run || positionals.length !== 1 + operands || Number.isNaN(least)) throw new Error(USAGE);
  process.exit(run(positionals.slice(1), least) ? 0 : 1);
} catch (error) {
  console.error(`expected: ${error.message}`);
  process.exit(2);
}
