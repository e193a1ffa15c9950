// SPDX-License-Identifier: MIT
/*
 * npucc: what it refuses. Each unsupported or broken model ends in one message that
 * names node and reason; damaged files never crash it (run this under ASan).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "npucc_fixture.h"

static void kernel_2x2(struct om *m, Onnx__NodeProto *n)
{
	om_attr_ints(m, n, "kernel_shape", 2, (const int64_t[]){ 2, 2 });
}

static void errors_name_node_and_reason(void **state)
{
	struct fx *f = *state;
	struct om *m = &f->m;
	Onnx__NodeProto *n;

	fx_build_good(f);
	fx_node_of(f, "conv.f")->op_type = (char *)"ConvTranspose";
	fx_expect_error(f, "node 'conv.f.node' (ConvTranspose): this operator is not supported; supported are Add");

	fx_build_good(f);
	om_attr_int(m, fx_node_of(f, "conv.f"), "blur", 1);
	fx_expect_error(f, "node 'conv.f.node' (Conv): attribute 'blur' is not supported");

	fx_build_good(f);
	om_attr_int(m, fx_node_of(f, "conv.f"), "group", 3);
	fx_expect_error(f, "group 3 does not divide 4 input and 4 output channels");

	fx_build_good(f);
	om_attr_float(m, fx_node_of(f, "out.f"), "alpha", 2.0f);
	fx_expect_error(f, "alpha 2, beta 1, transA 0: only 1, 1, 0 are supported");

	fx_build_good(f);
	om_attr_float(m, fx_node_of(f, "conv.f"), "group", 1.0f);
	fx_expect_error(f, "attribute 'group' has the wrong type");

	fx_build_good(f);
	fx_node_of(f, "conv.f")->input[0] = (char *)"x";
	fx_expect_error(f, "input 'x' is the float input of the network; put QuantizeLinear");

	fx_build_good(f);
	fx_node_of(f, "conv.f")->input[0] = (char *)"in.q";
	fx_expect_error(f, "input 'in.q' holds quantized codes");

	fx_build_good(f);
	fx_node_of(f, "out.gap.f")->input[0] = (char *)"conv.f";
	fx_expect_error(f, "input 'conv.f' is a float result that is not quantized");

	fx_build_good(f);
	om_node(m, "Softmax", "out", "prob");
	fx_expect_error(f, "node 'prob.node' (Softmax): the exit head computes the softmax itself");

	fx_build_good(f);
	n = fx_node_of(f, "conv.f");
	n->domain = (char *)"com.example";
	fx_expect_error(f, "operators of domain 'com.example' are not supported, only ONNX's own and ONNX Runtime's");

	fx_build_good(f);
	n = fx_node_of(f, "conv.f");
	n->op_type = (char *)"\x1b[31mConv\x7f";
	n->name = (char *)"a\nb";
	fx_expect_error(f, "node 'a?b' (?[31mConv?): this operator is not supported");
}

static void errors_in_quantization(void **state)
{
	struct fx *f = *state;
	struct om *m = &f->m;

	fx_build_good(f);
	om_scalar_f32(m, "other", 0.3f);
	fx_node_of(f, "in")->input[1] = (char *)"other";
	fx_expect_error(f, "scale and zero point differ from those that 'in.q' was quantized with");

	fx_build_good(f);
	memset(fx_tensor_of(f, "conv.scale")->raw_data.data, 0, 4);
	fx_expect_error(f, "scale is 0, must be a positive normal number");

	fx_build_good(f);
	om_const(m, "z16", ONNX__TENSOR_PROTO__DATA_TYPE__INT16, (const int64_t[]){ -1 }, "\0\0\0\0");
	fx_node_of(f, "in.q")->input[2] = (char *)"z16";
	fx_expect_error(f, "quantization to int16 is not supported, only int8 and uint8");

	fx_build_good(f);
	om_const(m, "perchannel", ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, (const int64_t[]){ 4, -1 },
		 (const float[]){ 1, 1, 1, 1 });
	fx_node_of(f, "in.q")->input[1] = (char *)"perchannel";
	fx_expect_error(f, "activations quantized per channel are not supported");

	fx_build_good(f);
	om_quantize(m, "again", "conv.f", 0.7f, 1);
	fx_expect_error(f, "float result 'conv.f' is read 2 times; quantize it first");

	/* the second has the quantization of the pool, but not of what Relu leaves of it */
	fx_build_good(f);
	kernel_2x2(m, om_node(m, "MaxPool", "conv", "max.f"));
	om_node(m, "Relu", "max.f", "relu.f");
	om_quantize(m, "first", "relu.f", 0.2f, 5);
	om_quantize(m, "second", "relu.f", 0.1f, 0);
	fx_expect_error(f, "node 'second.q.node' (QuantizeLinear): float result 'relu.f' is read 2 times; quantize it first");

	fx_build_good(f);
	fx_node_of(f, "conv.w")->attribute[0]->i = 1;
	fx_expect_error(f, "weights must be quantized per tensor or per output channel");

	fx_build_good(f);
	om_const(m, "wz", ONNX__TENSOR_PROTO__DATA_TYPE__UINT8, (const int64_t[]){ 4, -1 }, "\0\0\1\0");
	fx_node_of(f, "conv.w")->input = (char *[]){ (char *)"conv.w.codes", (char *)"conv.w.scale",
						  (char *)"wz" };
	fx_node_of(f, "conv.w")->n_input = 3;
	fx_expect_error(f, "node 'conv.w.node' (DequantizeLinear): zero point does not match the type of 'conv.w.codes'");

	fx_build_good(f);
	om_node(m, "Relu", "conv.f", "twice");
	fx_expect_error(f, "float result 'conv.f' is read 2 times; quantize it first");

	fx_build_good(f);
	om_const(m, "bias", ONNX__TENSOR_PROTO__DATA_TYPE__INT32, (const int64_t[]){ 4, -1 }, NULL);
	om_scalar_f32(m, "bias.scale", 1.0f);
	om_node(m, "DequantizeLinear", "bias,bias.scale", "bias.f");
	fx_node_of(f, "conv.f")->input = (char *[]){ (char *)"in", (char *)"conv.w", (char *)"bias.f" };
	fx_node_of(f, "conv.f")->n_input = 3;
	fx_expect_error(f, "bias scale of channel 0 is 1, must be input scale times weight scale, 0.001");
}

/* A network around one operator, "op", of the real value "in" and the codes "in.q". */
static Onnx__NodeProto *build_around(struct fx *f, const char *op, const char *inputs)
{
	struct om *m = &f->m;

	om_init(m, &f->arena, 4, 6, 6);
	om_quantize(m, "in", "x", 0.1f, 0);
	om_quantize_u8(m, "in8", "in", 0.1f, 0);
	om_conv(m, "conv", "in", 4, 4, 3, 1, 1, 0);
	om_conv(m, "small", "in", 4, 4, 3, 2, 1, 0);
	om_output(m, "op");
	return om_node(m, op, inputs, "op");
}

static void errors_in_concat(void **state)
{
	struct fx *f = *state;

	build_around(f, "Concat", "");
	fx_expect_error(f, "node 'op.node' (Concat): has 0 inputs, must have at least 1");
	build_around(f, "Concat", "in,conv");
	fx_expect_error(f, "node 'op.node' (Concat): attribute 'axis' is missing");
	om_attr_int(&f->m, build_around(f, "Concat", "in,conv"), "axis", 2);
	fx_expect_error(f, "axis 2 is not supported, only 1: the channels");
	om_attr_int(&f->m, build_around(f, "Concat", "in,small"), "axis", 1);
	fx_expect_error(f, "concatenates 6x6 and 3x3 (HxW); only the channels may differ");
	om_attr_int(&f->m, build_around(f, "Concat", "in,conv.f"), "axis", 1);
	fx_expect_error(f, "input 'conv.f' is a float result that is not quantized");
	om_attr_int(&f->m, build_around(f, "Concat", "in,conv.w"), "axis", 1);
	fx_expect_error(f, "input 'conv.w' is a constant; an activation is supported here");
	om_attr_int(&f->m, build_around(f, "Concat", "in.q,conv"), "axis", 1);
	fx_expect_error(f, "input 'conv' holds numbers, but input 'in.q' codes; quantize all of them or none");
	om_attr_int(&f->m, build_around(f, "Concat", "in.q,in8.q"), "axis", 1);
	fx_expect_error(f, "concatenates codes of different scales or zero points; use QLinearConcat");
	om_attr_int(&f->m, build_around(f, "Concat", "in,,conv"), "axis", 1);
	fx_expect_error(f, "input 1 is missing");
	om_attr_int(&f->m, build_around(f, "QLinearConcat", "in.scale,in.zero,in.q,in.scale"), "axis", 1);
	fx_expect_error(f, "has 4 inputs, must have 2 and 3 for each input");
	om_attr_int(&f->m, build_around(f, "QLinearConcat",
					"in.scale,in.zero,in.q,in.scale,in.zero,conv.q,in.scale,in8.zero"),
		    "axis", 1);
	fx_expect_error(f, "node 'op.node' (QLinearConcat): scale and zero point differ from those that 'conv.q' was quantized with");
}

static void errors_in_pools(void **state)
{
	struct fx *f = *state;
	struct om *m = &f->m;
	Onnx__NodeProto *n;

	build_around(f, "AveragePool", "in");
	fx_expect_error(f, "node 'op.node' (AveragePool): attribute 'kernel_shape' is missing");
	n = build_around(f, "AveragePool", "in.q");
	kernel_2x2(m, n);
	fx_expect_error(f, "input 'in.q' holds quantized codes; put a DequantizeLinear before it");
	n = build_around(f, "MaxPool", "in");
	kernel_2x2(m, n);
	om_attr_ints(m, n, "dilations", 2, (const int64_t[]){ 2, 2 });
	fx_expect_error(f, "dilations are not supported for pooling");
	n = build_around(f, "MaxPool", "in");
	kernel_2x2(m, n);
	om_attr_ints(m, n, "pads", 4, (const int64_t[]){ 2, 0, 0, 0 });
	fx_expect_error(f, "padding must be smaller than the kernel");
	n = build_around(f, "QLinearAveragePool", "in.q,in.scale,in.zero,in.scale,in.zero");
	kernel_2x2(m, n);
	om_attr_int(m, n, "channels_last", 1);
	fx_expect_error(f, "channels_last is not supported, only [N, C, H, W]");
	n = build_around(f, "QLinearGlobalAveragePool", "in.q,in.scale,in.zero,in.scale,in.zero");
	om_attr_int(m, n, "channels_last", 1);
	fx_expect_error(f, "channels_last is not supported, only [N, C, H, W]");
	n = build_around(f, "ReduceMean", "in");
	om_attr_ints(m, n, "axes", 2, (const int64_t[]){ 1, 2 });
	fx_expect_error(f, "only the mean over axes 2 and 3, all pixels of a channel, is supported");
	build_around(f, "ReduceMean", "in");
	fx_expect_error(f, "only the mean over axes 2 and 3");
	om_attr_ints(m, build_around(f, "ReduceMean", "in,conv"), "axes", 2,
		     (const int64_t[]){ 2, 3 });
	fx_expect_error(f, "axes 'conv' must be an int64 constant");
	build_around(f, "ReduceMean", "in,axes");
	om_vector_i64(m, "axes", 1, (const int64_t[]){ 2 });
	fx_expect_error(f, "has 1 axes; only 2 and 3 together are supported");
}

static void errors_in_sums_and_clamps(void **state)
{
	struct fx *f = *state;
	struct om *m = &f->m;

	build_around(f, "Add", "in,small");
	fx_expect_error(f, "adds 6x6x4 and 3x3x4 (HxWxC); broadcasting is not supported");
	build_around(f, "Add", "in.q,conv.q");
	fx_expect_error(f, "adds codes, which ONNX lets overflow; use QLinearAdd");
	build_around(f, "QLinearAdd", "in,in.scale,in.zero,conv.q,conv.scale,conv.zero,in.scale,in.zero");
	fx_expect_error(f, "input 'in' must be codes that a QuantizeLinear or another QLinear operator computes");
	build_around(f, "Relu", "in8.q");
	fx_expect_error(f, "of uint8 codes is not defined by ONNX; put it between DequantizeLinear");
	build_around(f, "Clip", "in.q,low");
	om_scalar_f32(m, "low", 1.0f);
	fx_expect_error(f, "bound 'low' must be a constant of the type of the codes");
	build_around(f, "Clip", "in,,low");
	om_const(m, "low", ONNX__TENSOR_PROTO__DATA_TYPE__INT8, (const int64_t[]){ -1 }, "");
	fx_expect_error(f, "bound 'low' must be a constant float");
	build_around(f, "Clip", "in,high,low");
	om_scalar_f32(m, "low", 1.0f);
	om_scalar_f32(m, "high", 2.0f);
	fx_expect_error(f, "bounds 2 and 1 are not in order");
}

static void errors_in_products(void **state)
{
	struct fx *f = *state;
	struct om *m = &f->m;

	build_around(f, "QLinearConv", "in.q,in.scale,in.zero,conv.q,in.scale,in.zero,in.scale,in.zero");
	fx_expect_error(f, "node 'op.node' (QLinearConv): 'conv.q' must be a constant");
	build_around(f, "QLinearConv", "in.q,in.scale,in.zero,conv.w.codes,conv.w.scale,in8.zero,in.scale,in.zero");
	fx_expect_error(f, "zero point does not match the type of 'conv.w.codes'");
	build_around(f, "QLinearConv", "in.q,in.scale,in.zero,conv.w.codes,two,in.zero,in.scale,in.zero");
	om_const(m, "two", ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, (const int64_t[]){ 2, -1 },
		 (const float[]){ 1, 1 });
	fx_expect_error(f, "weights must be quantized per tensor or per output channel (axis 0, 4 scales), not with 2 scales along axis 0");
	build_around(f, "QLinearConv", "in.q,in.scale,in.zero,conv.w.codes,conv.w.scale,in.zero,in.scale,in.zero,bias");
	om_const(m, "bias", ONNX__TENSOR_PROTO__DATA_TYPE__INT32, (const int64_t[]){ 3, -1 }, NULL);
	fx_expect_error(f, "bias must be 4 float or int32 values, one per output channel");
	build_around(f, "QLinearMatMul", "in.q,in.scale,in.zero,conv.w.codes,in.scale,in.zero,in.scale,in.zero");
	fx_expect_error(f, "weights 'conv.w.codes' have rank 4, supported is 2");
	build_around(f, "QGemm", "in.q,in.scale,in.zero,conv.w.codes,in.scale,in.zero");
	fx_expect_error(f, "without an output scale its result is float; quantize it");
	om_attr_float(m, build_around(f, "QGemm", "in.q,in.scale,in.zero,conv.w.codes,in.scale,in.zero"),
		      "alpha", 0.5f);
	fx_expect_error(f, "alpha 0.5, beta 1, transA 0: only 1, 1, 0 are supported");
}

/* What is added to row i of the result is element i of a column: for each sample another. */
static void errors_in_columns(void **state)
{
	struct fx *f = *state;
	struct om *m = &f->m;
	unsigned int codes;

	for (codes = 0; codes < 2; codes++) {
		fx_build_good(f);
		om_const(m, "column", codes ? ONNX__TENSOR_PROTO__DATA_TYPE__INT32 :
					      ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT,
			 (const int64_t[]){ 2, 1, -1 }, (const float[]){ 0, 0 });
		/* the scales of input times weights */
		om_const(m, "scale", ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT,
			 (const int64_t[]){ 2, -1 }, (const float[]){ 0.001f, 0.002f });
		om_node(m, "DequantizeLinear", "column,scale", "real");
		fx_node_of(f, "out.f")->input = (char *[]){ (char *)"out.flat", (char *)"out.w",
							    (char *)(codes ? "real" : "column") };
		fx_node_of(f, "out.f")->n_input = 3;
		fx_expect_error(f, codes ? "bias must be 2 int32 values in its last dimension" :
				"bias must be 2 float or int32 values, one per output channel, in its last dimension");
	}
	om_init(m, &f->arena, 6, 0, 0);
	om_quantize(m, "in", "x", 0.1f, 0);
	om_weights(m, "w", (const int64_t[]){ 6, 2, -1 }, 1, 0.02f);
	om_node(m, "MatMul", "in,w", "product");
	om_const(m, "column", ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, (const int64_t[]){ 2, 1, -1 },
		 (const float[]){ 1, 2 });
	om_node(m, "Add", "product,column", "sum");
	om_quantize(m, "out", "sum", 0.1f, 0);
	om_output(m, "out");
	fx_expect_error(f, "node 'sum.node' (Add): bias must be 2 float or int32 values, one per output channel, in its last dimension");
}

/* Counted before the first of them is looked at, and so before its weights are copied. */
static void errors_in_the_number_of_layers(void **state)
{
	enum { COPIES = FLUIDNPU_MAX_LAYERS };
	struct fx *f = *state;
	struct om *m = &f->m;
	Onnx__NodeProto **nodes, *conv, *copies;
	unsigned int i;

	fx_build_good(f);
	conv = fx_node_of(f, "conv.f");
	om_attr_int(m, conv, "blur", 1);
	nodes = npucc_alloc(&f->arena, m->graph.n_node + COPIES, sizeof(*nodes));
	copies = npucc_alloc(&f->arena, COPIES, sizeof(*copies));
	memcpy(nodes, m->graph.node, m->graph.n_node * sizeof(*nodes));
	for (i = 0; i < COPIES; i++) {
		copies[i] = *conv;
		copies[i].output = npucc_alloc(&f->arena, 1, sizeof(*copies[i].output));
		copies[i].output[0] = npucc_printf(&f->arena, "copy%u", i);
		nodes[m->graph.n_node++] = &copies[i];
	}
	m->graph.node = nodes;
	fx_expect_error(f, "more than 1024 layers: the device runs no larger program");
}

static void errors_in_size(void **state)
{
	struct fx *f = *state;
	struct om *m = &f->m;

	om_init(m, &f->arena, 16384, 5, 5);
	om_quantize(m, "in", "x", 0.1f, 0);
	om_conv(m, "wide", "in", 1, 16384, 5, 1, 0, 0);
	om_head(m, "out", "wide", 1, 3);
	fx_expect_error(f, "node 'wide.f.node': larger than the device runs: up to 262144 products");

	/* two pools that the device would run, but not in one group */
	om_init(m, &f->arena, 1, 180, 180);
	om_quantize(m, "in", "x", 0.1f, 0);
	om_conv(m, "conv", "in", 9, 1, 1, 1, 0, 0);
	om_attr_ints(m, om_node(m, "MaxPool", "conv", "first.f"), "kernel_shape", 2,
		     (const int64_t[]){ 64, 64 });
	om_quantize(m, "first", "first.f", 0.1f, 0);
	om_attr_ints(m, om_node(m, "MaxPool", "first", "second.f"), "kernel_shape", 2,
		     (const int64_t[]){ 64, 64 });
	om_quantize(m, "second", "second.f", 0.1f, 0);
	om_head(m, "out", "second", 9, 3);
	fx_expect_error(f, "fused: more than the device runs at once: up to 8589934592 multiplications and 536870912 elements");
}

static void errors_in_reshapes(void **state)
{
	struct fx *f = *state;
	struct om *m = &f->m;

	build_around(f, "Reshape", "in,shape");
	om_vector_i64(m, "shape", 3, (const int64_t[]){ 0, 4, 36 });
	fx_expect_error(f, "only reshapes to [N, 144], one row per sample, and to [N, 4, 6, 6] are supported");
	build_around(f, "Reshape", "in,shape");
	om_vector_i64(m, "shape", 2, (const int64_t[]){ -1, -1 });
	fx_expect_error(f, "only reshapes to [N, 144]");
	build_around(f, "Reshape", "in,shape");
	om_vector_i64(m, "shape", 2, (const int64_t[]){ 2, -1 });
	fx_expect_error(f, "only reshapes to [N, 144]");
	build_around(f, "Squeeze", "in");
	fx_expect_error(f, "only the axes 2 and 3 of [N, C, 1, 1] can be removed");
	fx_build_good(f);
	fx_node_of(f, "out.flat")->op_type = (char *)"Squeeze";
	fx_node_of(f, "out.flat")->input = (char *[]){ (char *)"out.gap", (char *)"axes" };
	fx_node_of(f, "out.flat")->n_input = 2;
	om_const(m, "axes", ONNX__TENSOR_PROTO__DATA_TYPE__INT32, (const int64_t[]){ 2, -1 },
		 (const int32_t[]){ 1, 2 });
	fx_expect_error(f, "node 'out.flat.node' (Squeeze): axes 'axes' must be an int64 constant");
	fx_node_of(f, "out.flat")->input[1] = (char *)"in";
	fx_expect_error(f, "axes 'in' must be an int64 constant");
	build_around(f, "Gather", "in,shape");
	om_vector_i64(m, "shape", 1, (const int64_t[]){ 0 });
	fx_expect_error(f, "is supported in the computation of shapes only; 'in' is no int64 constant");
	build_around(f, "Gather", "shape,index");
	om_vector_i64(m, "shape", 1, (const int64_t[]){ 0 });
	om_vector_i64(m, "index", 1, (const int64_t[]){ INT64_MIN });
	fx_expect_error(f, "of 1 elements");
	build_around(f, "Gather", "shape,index");
	om_vector_i64(m, "shape", 1, (const int64_t[]){ 0 });
	om_vector_i64(m, "index", 9, (const int64_t[9]){ 0 });
	fx_expect_error(f, "node 'op.node' (Gather): a shape of more than 8 dimensions");
	om_attr_int(m, build_around(f, "Concat", "nine,nine"), "axis", 0);
	om_vector_i64(m, "nine", 5, (const int64_t[]){ 1, 2, 3, 4, 5 });
	fx_expect_error(f, "a shape of more than 8 dimensions");
	om_attr_int(m, build_around(f, "Cast", "shape"), "to", 1);
	om_vector_i64(m, "shape", 1, (const int64_t[]){ 0 });
	fx_expect_error(f, "of shapes to float is not supported, only to int64");
}

static void errors_in_shapes(void **state)
{
	struct fx *f = *state;
	struct om *m = &f->m;

	fx_build_good(f);
	om_attr_ints(m, fx_node_of(f, "conv.f"), "dilations", 2, (const int64_t[]){ 5, 5 });
	fx_expect_error(f, "a window of 11 does not fit an input of 8 with padding");

	fx_build_good(f);
	om_attr_ints(m, fx_node_of(f, "conv.f"), "kernel_shape", 1, (const int64_t[]){ 3 });
	fx_expect_error(f, "attribute 'kernel_shape' has 1 values instead of 2: only 2-D operators");

	fx_build_good(f);
	fx_node_of(f, "conv.f")->attribute[0]->ints[0] = -2;
	fx_expect_error(f, "kernel, stride, dilation or padding out of range");

	fx_build_good(f);
	fx_node_of(f, "conv.f")->attribute[1]->ints[0] = INT64_MAX;
	fx_expect_error(f, "kernel, stride, dilation or padding out of range");

	fx_build_good(f);
	fx_node_of(f, "out.f")->input[0] = (char *)"conv";
	fx_expect_error(f, "node 'out.f.node' (Gemm): its input has rank 4; put a Flatten before it");

	fx_build_good(f);
	om_output(m, "conv");
	fx_expect_error(f, "output 'conv' is 4 channels of 6 x 6, must be logits of shape [N, classes]");

	fx_build_good(f);
	om_output(m, "out.f");
	fx_expect_error(f, "must be quantized logits or a DequantizeLinear of them");

	fx_build_good(f);
	m->outputs[0]->name = (char *)"nothing";
	fx_expect_error(f, "graph output 'nothing' is not computed by any node");

	fx_build_good(f);
	om_node(m, "Add", "conv,in", "sum.f");
	fx_node_of(f, "conv.w")->input[0] = (char *)"out.w.codes";
	fx_expect_error(f, "weights 'conv.w' have rank 2, supported is 4");

	fx_build_good(f);
	m->inputs[0]->type->tensor_type->shape->dim[2]->dim_value = 70000;
	fx_expect_error(f, "input 'x': dimension 2 must be a number from 1 to 65535");

	fx_build_good(f);
	m->inputs[0]->type->tensor_type->shape->dim[0] =
		m->inputs[0]->type->tensor_type->shape->dim[1];
	fx_expect_error(f, "fixed batch of 4; export it with a symbolic batch or 1");
}

static void errors_in_the_graph(void **state)
{
	struct fx *f = *state;
	struct om *m = &f->m;

	fx_build_three_exits(f);
	m->model.n_metadata_props = 0;
	fx_expect_error(f, "0 thresholds for 3 exits");

	fx_build_good(f);
	om_meta(m, "fluidnpu.exit.criterion", "mood");
	fx_expect_error(f, "fluidnpu.exit.criterion is 'mood'");

	fx_build_good(f);
	om_meta(m, "fluidnpu.labels", "one,two,three");
	fx_expect_error(f, "fluidnpu.labels has 3 names, exit 'out' has 2 classes");

	fx_build_good(f);
	fx_node_of(f, "in.q")->input[0] = (char *)"conv";
	fx_expect_error(f, "the graph has a cycle");

	fx_build_good(f);
	fx_node_of(f, "conv.f")->input[1] = (char *)"lost";
	fx_expect_error(f, "its input 'lost' is neither produced by a node nor an initializer");

	fx_build_good(f);
	fx_node_of(f, "conv.f")->output[0] = (char *)"in";
	fx_expect_error(f, "its output 'in' is defined twice");

	fx_build_good(f);
	m->opset.version = 9;
	fx_expect_error(f, "opset 9 is not supported, 10 or later is");

	fx_build_good(f);
	m->model.graph = NULL;
	fx_expect_error(f, "it has no graph");
}

static void errors_in_tensors(void **state)
{
	struct fx *f = *state;
	Onnx__TensorProto *t;

	fx_build_good(f);
	fx_tensor_of(f, "conv.w.codes")->raw_data.len = 143;
	fx_expect_error(f, "tensor 'conv.w.codes': 143 bytes of data, its shape and type int8 need 144");

	fx_build_good(f);
	fx_tensor_of(f, "conv.w.codes")->dims[1] = -4;
	fx_expect_error(f, "tensor 'conv.w.codes': dimension 1 is -4");

	fx_build_good(f);
	t = fx_tensor_of(f, "conv.w.codes");
	t->dims[0] = t->dims[1] = t->dims[2] = 1ll << 40;
	fx_expect_error(f, "tensor 'conv.w.codes': more than 1073741824 elements");

	fx_build_good(f);
	t = fx_tensor_of(f, "conv.w.codes");
	t->has_raw_data = 0;
	fx_expect_error(f, "its int8 data do not have the 144 elements of its shape");

	fx_build_good(f);
	t = fx_tensor_of(f, "conv.w.codes");
	t->has_data_location = 1;
	t->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
	fx_expect_error(f, "data in an external file is not supported");

	fx_build_good(f);
	fx_tensor_of(f, "conv.w.codes")->data_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16;
	fx_expect_error(f, "must be a DequantizeLinear of a constant int8 or uint8 tensor");
}

static void geometry_is_checked(void **state)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{ "tile_rowz=4", "unknown property 'tile_rowz'" },
		{ "tile_rows", "'tile_rows' needs a number" },
		{ "tile_rows=-4", "'tile_rows' needs a number" },
		{ "tile_rows=4x", "value of 'tile_rows' is no number" },
		{ "tile_rows=99999999999", "value of 'tile_rows' is no number" },
		{ "max_stack=3", "max_stack must be a power of two" },
		{ "max_batch=17", "max_batch" },
	};
	struct fx *f = *state;
	unsigned int i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		f->error.text[0] = '\0';
		fnpu_config_default(&f->options.config);
		assert_false(npucc_geometry_set(&f->options.config, cases[i].text, &f->error));
		if (!strstr(f->error.text, cases[i].message))
			fail_msg("'%s': '%s'", cases[i].text, f->error.text);
	}
	fnpu_config_default(&f->options.config);
	assert_true(npucc_geometry_set(&f->options.config, "max_batch=3,clock_hz=1000000000", &f->error));
	fx_build_three_exits(f);
	assert_int_equal(fx_compile(f)->max_batch, 3);
	assert_int_equal(f->options.config.clock_hz, 1000000000);
}

static void truncated_models_are_errors(void **state)
{
	struct fx *f = *state;
	size_t bytes, cut;
	uint8_t *data;

	fx_build_good(f);
	data = om_pack(&f->m, &bytes);
	for (cut = 0; cut < bytes; cut++)
		fx_compile_bytes(f, data, cut);
}

static void mutated_models_do_not_crash(void **state)
{
	struct fx *f = *state;

	fx_build_three_exits(f);
	fx_compile_mutated(f, 4000);
}

/* Graphs in attributes in nodes in graphs ... must not exhaust the stack. */
static void deep_nesting_is_an_error(void **state)
{
	enum { LEVELS = 20000, KEY_GRAPH = 7 << 3 | 2, KEY_NODE = 1 << 3 | 2, KEY_ATTRIBUTE = 5 << 3 | 2,
	       KEY_SUBGRAPH = 6 << 3 | 2 };
	static const uint8_t keys[] = { KEY_NODE, KEY_ATTRIBUTE, KEY_SUBGRAPH };
	struct fx *f = *state;
	uint8_t *data = npucc_alloc(&f->arena, LEVELS + 1, 5), *at = data + (LEVELS + 1) * 5;
	struct npucc_error error = { "" };
	unsigned int i, len;

	/* from the inside out: each level is a key and a length of up to four bytes */
	for (i = 0; i < LEVELS; i++) {
		len = (unsigned int)(data + (LEVELS + 1) * 5 - at);
		at -= 4;
		at[0] = (uint8_t)(len | 0x80);
		at[1] = (uint8_t)(len >> 7 | 0x80);
		at[2] = (uint8_t)(len >> 14 | 0x80);
		at[3] = (uint8_t)(len >> 21);
		*--at = i == LEVELS - 1 ? KEY_GRAPH : keys[(LEVELS - 2 - i) % 3];
	}
	len = (unsigned int)(data + (LEVELS + 1) * 5 - at);
	assert_null(npucc_compile(&f->arena, at, len, &f->options, &error));
	assert_non_null(strstr(error.text, "nested deeper than"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(errors_name_node_and_reason),
		TEST(errors_in_quantization),
		TEST(errors_in_concat),
		TEST(errors_in_pools),
		TEST(errors_in_sums_and_clamps),
		TEST(errors_in_products),
		TEST(errors_in_columns),
		TEST(errors_in_the_number_of_layers),
		TEST(errors_in_size),
		TEST(errors_in_reshapes),
		TEST(errors_in_shapes),
		TEST(errors_in_the_graph),
		TEST(errors_in_tensors),
		TEST(geometry_is_checked),
		TEST(truncated_models_are_errors),
		TEST(mutated_models_do_not_crash),
		TEST(deep_nesting_is_an_error),
	};

	return cmocka_run_group_tests_name("npucc_errors", tests, NULL, NULL);
}
