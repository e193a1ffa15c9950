// SPDX-License-Identifier: MIT
// The part of the .npy format that float32 arrays need, and idx(.gz) images.
import { readFileSync, writeFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

const MAGIC = "\x93NUMPY";

export function writeNpy(path, data, shape) {
  const dims = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (${dims}), }`;
  const padded = text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11) + "\n";
  const head = Buffer.alloc(10);
  head.write(MAGIC + "\x01\x00", "latin1");
  head.writeUInt16LE(padded.length, 8);
  const body = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  writeFileSync(path, Buffer.concat([head, Buffer.from(padded, "latin1"), body]));
}

/** { data: Float32Array, shape } of a C-ordered float32 .npy file. */
export function readNpy(path) {
  const file = readFileSync(path);
  if (file.subarray(0, 6).toString("latin1") !== MAGIC) throw new Error(`${path}: not a .npy file`);
  const wide = file[6] >= 2;
  const start = wide ? 12 : 10;
  const length = wide ? file.readUInt32LE(8) : file.readUInt16LE(8);
  const text = file.subarray(start, start + length).toString("latin1");
  const shape = /'shape': \(([^)]*)\)/.exec(text)?.[1].split(",").filter((s) => s.trim()).map(Number);
  if (!shape || !/'descr': '<f4'/.test(text) || !/'fortran_order': False/.test(text))
    throw new Error(`${path}: not a C-ordered float32 array: ${text.trim()}`);
  const count = shape.reduce((a, b) => a * b, 1);
  const body = file.subarray(start + length);
  if (body.length !== 4 * count) throw new Error(`${path}: ${body.length} bytes, shape needs ${4 * count}`);
  return { data: new Float32Array(new Uint8Array(body).buffer), shape };
}

/** Images as pixel/255 in float32, shape [N,1,H,W], from idx(.gz) or as they are from .npy. */
export function readImages(path) {
  if (path.endsWith(".npy")) return readNpy(path);
  const raw = readFileSync(path);
  const file = path.endsWith(".gz") ? gunzipSync(raw) : raw;
  if (file.length < 16 || file.readUInt32BE(0) !== 0x803)
    throw new Error(`${path}: neither .npy nor an idx file of unsigned byte images`);
  const shape = [file.readUInt32BE(4), 1, file.readUInt32BE(8), file.readUInt32BE(12)];
  const pixels = file.subarray(16);
  if (pixels.length !== shape.reduce((a, b) => a * b, 1)) throw new Error(`${path}: truncated`);
  return { data: Float32Array.from(pixels, (p) => p / 255), shape };
}
