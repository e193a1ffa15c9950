/* SPDX-License-Identifier: MIT */
/*
 * Small ONNX models for tests, built in memory and packed to protobuf.
 *
 * Names are the API: om_quantize(m, "y", "x", ...) puts QuantizeLinear and
 * DequantizeLinear between the values x and y. Everything lives in m->arena; weights are
 * a fixed pseudo-random sequence, so that equal calls give equal models.
 */
#ifndef ONNX_MODEL_H
#define ONNX_MODEL_H

#include "onnx/onnx.pb-c.h"
#include "util.h"

#define OM_MAX	256

struct om {
	struct npucc_arena *arena;
	Onnx__ModelProto model;
	Onnx__GraphProto graph;
	Onnx__OperatorSetIdProto opset;
	Onnx__OperatorSetIdProto *opsets[1];
	Onnx__NodeProto *nodes[OM_MAX];
	Onnx__TensorProto *tensors[OM_MAX];
	Onnx__ValueInfoProto *inputs[4];
	Onnx__ValueInfoProto *outputs[16];
	Onnx__StringStringEntryProto *props[8];
	unsigned int seed;
};

/** om_init() - an empty model with a float input "x" of [N, c, h, w], or [N, c] when h is 0 */
void om_init(struct om *m, struct npucc_arena *arena, int c, int h, int w);

/** om_pack() - the model as protobuf, in the arena */
void *om_pack(struct om *m, size_t *bytes);

Onnx__NodeProto *om_node(struct om *m, const char *op, const char *inputs, const char *output);
void om_attr_int(struct om *m, Onnx__NodeProto *node, const char *name, int64_t value);
void om_attr_float(struct om *m, Onnx__NodeProto *node, const char *name, float value);
void om_attr_string(struct om *m, Onnx__NodeProto *node, const char *name, const char *value);
void om_attr_ints(struct om *m, Onnx__NodeProto *node, const char *name, unsigned int count,
		  const int64_t *values);
void om_meta(struct om *m, const char *key, const char *value);
void om_output(struct om *m, const char *name);

/* Initializers; data is copied, NULL: pseudo-random. Shapes end with -1. */
Onnx__TensorProto *om_const(struct om *m, const char *name, int type, const int64_t *dims,
			    const void *data);
void om_scalar_f32(struct om *m, const char *name, float value);
void om_vector_i64(struct om *m, const char *name, unsigned int count, const int64_t *values);

/** om_quantize() - Q and DQ between @in and @out; the codes are called "@out.q" */
void om_quantize(struct om *m, const char *out, const char *in, float scale, int zero_point);
/** om_quantize_u8() - with uint8 codes */
void om_quantize_u8(struct om *m, const char *out, const char *in, float scale, int zero_point);

/**
 * om_weights() - int8 weights of @dims behind a DequantizeLinear called @name, one
 * scale per output channel @axis: @scale * (1 + channel)
 */
void om_weights(struct om *m, const char *name, const int64_t *dims, int axis, float scale);

/**
 * om_conv() - Conv of float result "@out.f", quantized to "@out" with scale 0.1, zero point @zp
 * @in_c: input channels per group
 */
Onnx__NodeProto *om_conv(struct om *m, const char *out, const char *in, int out_c, int in_c,
			 int kernel, int stride, int pad, int zp);

/** om_head() - GlobalAveragePool, Flatten, Gemm to @classes; the logits are the output @out */
void om_head(struct om *m, const char *out, const char *in, int channels, int classes);

#endif /* ONNX_MODEL_H */
