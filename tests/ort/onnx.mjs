// SPDX-License-Identifier: MIT
// Just enough of the protobuf wire format to read from an ONNX model the scales
// of its outputs. Field numbers: onnx.proto (ModelProto.graph = 7; GraphProto
// node = 1, initializer = 5; NodeProto input = 1, output = 2, op_type = 4;
// TensorProto float_data = 4, name = 8, raw_data = 9).

function* fields(bytes) {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      if (at >= bytes.length) throw new Error("truncated ONNX model");
      const byte = bytes[at++];
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const key = varint();
    const kind = key & 7;
    if (kind === 0) {
      varint();
      continue;
    }
    const size = kind === 1 ? 8 : kind === 5 ? 4 : kind === 2 ? varint() : -1;
    if (size < 0 || at + size > bytes.length) throw new Error("malformed ONNX model");
    yield [Math.floor(key / 8), bytes.subarray(at, at + size)];
    at += size;
  }
}

const all = (bytes, number) => [...fields(bytes)].filter(([n]) => n === number).map(([, value]) => value);
const text = (bytes) => bytes?.toString("utf8");

/** Map from each DequantizeLinear output to its scalar scale. */
export function outputScales(model) {
  const [graph] = all(model, 7);
  if (!graph) throw new Error("not an ONNX model");
  const scalars = new Map();
  for (const tensor of all(graph, 5)) {
    const [name] = all(tensor, 8);
    const [data] = [...all(tensor, 9), ...all(tensor, 4)];
    if (data?.length === 4) scalars.set(text(name), data.readFloatLE(0));
  }
  const scales = new Map();
  for (const node of all(graph, 1)) {
    if (text(all(node, 4)[0]) !== "DequantizeLinear") continue;
    const scale = scalars.get(text(all(node, 1)[1]));
    if (scale !== undefined) scales.set(text(all(node, 2)[0]), scale);
  }
  return scales;
}
