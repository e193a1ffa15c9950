#!/usr/bin/env node
// SPDX-License-Identifier: MIT
// bench-core - what `make bench-core` does: the functional engine beside ONNX Runtime
//
//   bench-core.mjs BENCH_CORE MODEL.onnx MODEL.fnpu [--batch 8] [--rounds 7] [--least RATIO]
//
// The same network, one thread each, on this machine. The contestants take turns in every
// round, so that what else the machine does hits all alike; medians are compared. ONNX
// Runtime runs twice: with its defaults, and with int8 tensors left as they are
// (session.qdqisint8allowed), as this project's tests run it; its faster one counts.
// Seconds are of processor time, which other programs do not change as much as the wall's.
// Fails when the engine has less than RATIO of ONNX Runtime's speed.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { runtime } from "../tests/ort/session.mjs";

const USAGE = "usage: bench-core.mjs BENCH_CORE MODEL.onnx MODEL.fnpu [--batch N] [--rounds N] [--least RATIO]";

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

function fail(error) {
  console.error(`bench-core: ${error.message}`);
  process.exit(1);
}

/** The functional engine in a process of its own: { run, close } */
function startCore(program, model, batch) {
  const child = spawn(program, [model, String(batch)], { stdio: ["pipe", "pipe", "inherit"] });
  child.on("error", fail); // there is no such program
  child.stdin.on("error", () => {}); // it ended: run() notices
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async run() {
      child.stdin.write("\n");
      const { value, done } = await lines.next();
      if (done) throw new Error(`${program} ended`);
      const [wall, cpu] = value.split(" ").map(Number);
      return { wall, cpu };
    },
    close: () => child.stdin.end(),
  };
}

async function startOrt(ort, model, batch, extra) {
  const session = await ort.InferenceSession.create(model, {
    executionProviders: ["cpu"],
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
    ...(extra && { extra: { session: extra } }),
  });
  const shape = session.inputMetadata[0].shape.map((d, i) => (i ? d : batch));
  const data = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => ((i * 7919) % 256) / 128 - 1);
  const feeds = { [session.inputNames[0]]: new ort.Tensor("float32", data, shape) };
  return {
    async run() {
      const cpu = process.cpuUsage(), wall = process.hrtime.bigint();
      await session.run(feeds);
      const used = process.cpuUsage(cpu);
      return { wall: Number(process.hrtime.bigint() - wall) * 1e-9, cpu: (used.user + used.system) * 1e-6 };
    },
    close: () => session.release(),
  };
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      batch: { type: "string", default: "8" },
      rounds: { type: "string", default: "7" },
      least: { type: "string", default: "0" },
    },
  });
  const [batch, rounds, least] = [values.batch, values.rounds, values.least].map(Number);
  if (positionals.length !== 3 || !(batch >= 1 && rounds >= 1 && least >= 0)) throw new Error(USAGE);
  const [program, onnx, fnpu] = positionals;
  const ort = await runtime();
  const runners = [
    { name: "FluidNPU's core", ...startCore(program, fnpu, batch) },
    { name: "ONNX Runtime", ...(await startOrt(ort, onnx, batch)) },
    { name: "ONNX Runtime, int8", ...(await startOrt(ort, onnx, batch, { qdqisint8allowed: "1" })) },
  ];
  for (const r of runners) {
    await r.run(); // warm up
    r.times = [];
  }
  for (let i = 0; i < rounds; i++) for (const r of runners) r.times.push(await r.run());
  for (const r of runners) r.close();

  const [core, ...others] = runners.map((r) => median(r.times.map((t) => t.cpu)));
  console.log(`${onnx}, batch ${batch}, one thread, median of ${rounds} rounds\n`);
  console.log("                        processor     wall    samples/s   core's speed over this");
  runners.forEach((r, i) => {
    const cpu = median(r.times.map((t) => t.cpu)), wall = median(r.times.map((t) => t.wall));
    const ratio = i ? `${(cpu / core).toFixed(2)}` : "";
    console.log(`${r.name.padEnd(22)} ${cpu.toFixed(3).padStart(8)} s ${wall.toFixed(3).padStart(8)} s ${(batch / cpu).toFixed(1).padStart(8)} ${ratio.padStart(12)}`);
  });
  const ratio = Math.min(...others) / core;
  console.log(`\nratio: ${ratio.toFixed(2)} of the faster ONNX Runtime's speed`);
  if (!(ratio >= least)) throw new Error(`ratio ${ratio.toFixed(2)} is less than ${least}`);
}

main().catch(fail);
