// SPDX-License-Identifier: MIT
// An ONNX Runtime CPU session in which a QDQ int8 model runs entirely on the
// integer kernels (QLinearConv, QLinearAdd, QGemm ...), and exactly:
//
// - graph optimisation stays at its default, all: it fuses the QDQ patterns;
// - session.qdqisint8allowed: on x86 ONNX Runtime otherwise turns int8 tensors
//   into uint8 ones, but not those with several readers (every residual block has
//   one), so that a part of the model would run in floating point;
// - that also avoids the u8*s8 kernel, which on x86 without VNNI adds pairs of
//   products with 16-bit saturation.
//
// { plain: true } leaves ONNX Runtime's defaults, to show the difference.

/** onnxruntime-node, which tests/ort/install.sh installs */
export async function runtime() {
  try {
    return (await import("onnxruntime-node")).default;
  } catch (error) {
    throw new Error(`onnxruntime-node is missing, run npm ci --ignore-scripts in tests/ort: ${error.message}`);
  }
}

export async function createSession(path, { plain = false, dump } = {}) {
  const ort = await runtime();
  const session = await ort.InferenceSession.create(path, {
    executionProviders: ["cpu"],
    graphOptimizationLevel: "all",
    logSeverityLevel: 3,
    ...(dump && { optimizedModelFilePath: dump }),
    ...(!plain && { extra: { session: { qdqisint8allowed: "1" } } }),
  });
  if (session.inputNames.length !== 1)
    throw new Error(`${path}: has ${session.inputNames.length} inputs, not one`);
  const [input] = session.inputNames;
  /** Runs float32 data of a shape; { name: { data, dims } } of the outputs. */
  const run = (data, shape) => session.run({ [input]: new ort.Tensor("float32", data, shape) });
  return { run, outputNames: session.outputNames };
}
