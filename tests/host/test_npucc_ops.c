// SPDX-License-Identifier: MIT
/*
 * npucc, operator by operator: what layers the operators of both forms become, what is
 * folded, and that the two forms of a network give the same program. That the layers compute
 * what ONNX Runtime does is tests/e2e/conformance.sh's.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lower.h"
#include "npucc_fixture.h"

#define T(name) ONNX__TENSOR_PROTO__DATA_TYPE__##name

/* A node with the attribute @attr, if there is one. */
static Onnx__NodeProto *node_int(struct om *m, const char *op, const char *inputs,
				 const char *output, const char *attr, int64_t value)
{
	Onnx__NodeProto *n = om_node(m, op, inputs, output);

	if (attr)
		om_attr_int(m, n, attr, value);
	return n;
}

static Onnx__NodeProto *average_pool(struct om *m, const char *op, const char *inputs,
				     const char *output)
{
	Onnx__NodeProto *n = om_node(m, op, inputs, output);

	om_attr_ints(m, n, "kernel_shape", 2, (const int64_t[]){ 2, 2 });
	om_attr_ints(m, n, "strides", 2, (const int64_t[]){ 2, 2 });
	return n;
}

static void assert_same_program(const struct npucc_program *a, const struct npucc_program *b)
{
	assert_int_equal(a->net->num_layers, b->net->num_layers);
	assert_int_equal(a->image_bytes, b->image_bytes);
	assert_memory_equal(a->image, b->image, a->image_bytes);
}

/* --- Concat and requantization ------------------------------------------------------- */

/* in -> a, b -> Concat "cat" (with @relu: Relu behind it) -> head; a also feeds a second head */
static struct npucc_program *compile_concat(struct fx *f, bool relu)
{
	struct om *m = &f->m;

	om_init(m, &f->arena, 4, 6, 6);
	om_quantize(m, "in", "x", 0.1f, 0);
	om_conv(m, "a", "in", 8, 4, 3, 1, 1, 0);
	om_conv(m, "b", "in", 4, 4, 1, 1, 0, 30);
	node_int(m, "Concat", "a,b,in", "cat.f", "axis", 1);
	if (relu)
		om_node(m, "Relu", "cat.f", "relu.f");
	om_quantize(m, "cat", relu ? "relu.f" : "cat.f", 0.2f, -20);
	om_head(m, "early", "a", 8, 2);
	om_head(m, "out", "cat", 16, 2);
	om_meta(m, "fluidnpu.exit.thresholds", "0.9");
	return fx_compile(f);
}

static int requantized(int code, int zero_in, float scale_in, int zero_out, float scale_out)
{
	float v = rintf((float)(code - zero_in) * scale_in / scale_out) + (float)zero_out;

	return (int)fminf(fmaxf(v, -128.0f), 127.0f);
}

static void concat_is_a_layer_per_input(void **state)
{
	static const unsigned int first_channel[] = { 0, 8, 12 };
	static const char *const names[] = { "cat.f.node", "cat.f.node[1]", "cat.f.node[2]" };
	static const int zero[] = { 0, 30, 0 };
	struct fx *f = *state;
	struct npucc_program *p = compile_concat(f, false);
	unsigned int i;
	int code;

	fx_check_liveness(p);
	for (i = 0; i < 3; i++) {
		const struct fluidnpu_hw_layer *l = fx_layer(p, names[i]);

		assert_int_equal(l->op, FLUIDNPU_LAYER_CONCAT);
		assert_int_equal(l->out_channel, first_channel[i]);
		assert_int_equal(l->out_c, 16);
		assert_int_equal(l->out_off, fx_layer(p, names[0])->out_off);
		for (code = -128; code <= 127; code++)
			assert_int_equal(fx_table_at(p, l, code),
					 requantized(code, zero[i], 0.1f, -20, 0.2f));
	}
	assert_int_equal(fx_layer(p, names[2])->in_off, FLUIDNPU_TENSOR_INPUT);
	/* b is read by the concatenation alone, a by an exit, too */
	assert_int_equal(fx_layer(p, names[1])->flags, FLUIDNPU_LAYER_FUSED);
	assert_int_equal(fx_find_layer(p, names[1]), fx_find_layer(p, "b.f.node") + 1);
	assert_int_equal(fx_layer(p, names[0])->flags, 0);
}

static void relu_behind_concat_clamps_its_tables(void **state)
{
	struct npucc_program *p = compile_concat(*state, true);

	assert_int_equal(fx_table_at(p, fx_layer(p, "cat.f.node"), -100), -20);
	assert_int_equal(fx_table_at(p, fx_layer(p, "cat.f.node[1]"), 29), -20);
	assert_int_equal(fx_table_at(p, fx_layer(p, "cat.f.node[1]"), 34), -18);
}

/* The sum must not lie over what earlier groups put into the concatenation. */
static void add_behind_concat_has_its_own_place(void **state)
{
	struct fx *f = *state;
	struct om *m = &f->m;
	struct npucc_program *p;

	om_init(m, &f->arena, 4, 6, 6);
	om_quantize(m, "in", "x", 0.1f, 0);
	/* deeper than the concatenation, so that it runs first */
	om_conv(m, "side1", "in", 8, 4, 1, 1, 0, 0);
	om_conv(m, "side2", "side1", 8, 8, 1, 1, 0, 0);
	om_conv(m, "side", "side2", 8, 8, 1, 1, 0, 0);
	om_conv(m, "a", "in", 4, 4, 1, 1, 0, 0);
	om_conv(m, "b", "in", 4, 4, 1, 1, 0, 0);
	node_int(m, "Concat", "a,b", "cat.f", "axis", 1);
	om_quantize(m, "cat", "cat.f", 0.2f, 0);
	om_node(m, "Add", "cat,side", "sum.f");
	om_quantize(m, "sum", "sum.f", 0.3f, 0);
	om_head(m, "out", "sum", 8, 2);
	p = fx_compile(f);
	fx_check_liveness(p);
	assert_int_equal(fx_find_layer(p, "sum.f.node"), fx_find_layer(p, "cat.f.node[1]") + 1);
	assert_int_equal(fx_layer(p, "sum.f.node")->flags, FLUIDNPU_LAYER_FUSED);
	assert_int_not_equal(fx_layer(p, "sum.f.node")->out_off,
			     fx_layer(p, "cat.f.node")->out_off);
}

static void another_quantization_is_a_table(void **state)
{
	struct fx *f = *state;
	struct om *m = &f->m;
	const struct fluidnpu_hw_layer *l;
	struct npucc_program *p;
	int code;

	fx_build_good(f);
	om_quantize(m, "again", "conv", 0.7f, 1);
	om_quantize(m, "same", "again", 0.7f, 1);
	fx_node_of(f, "out.gap.f")->input[0] = (char *)"same";
	p = fx_compile(f);
	l = fx_layer(p, "again.q.node");
	assert_int_equal(p->net->num_layers, 5);
	assert_int_equal(l->op, FLUIDNPU_LAYER_CONCAT);
	assert_int_equal(l->flags, FLUIDNPU_LAYER_FUSED);
	for (code = -128; code <= 127; code++)
		assert_int_equal(fx_table_at(p, l, code), requantized(code, 0, 0.1f, 1, 0.7f));
}

/* A maximum keeps its quantization; what the model wants is done by a table behind it. */
static void max_pool_may_change_the_quantization(void **state)
{
	struct fx *f = *state;
	struct om *m = &f->m;
	struct npucc_program *p;

	fx_build_good(f);
	average_pool(m, "MaxPool", "conv", "max.f");
	om_node(m, "Relu", "max.f", "relu.f");
	om_quantize(m, "max", "relu.f", 0.2f, 5);
	fx_node_of(f, "out.gap.f")->input[0] = (char *)"max";
	p = fx_compile(f);
	assert_int_equal(fx_layer(p, "max.f.node")->clamp_min, -128);
	assert_int_equal(fx_layer(p, "max.q.node")->op, FLUIDNPU_LAYER_CONCAT);
	assert_int_equal(fx_table_at(p, fx_layer(p, "max.q.node"), -30), 5);
	assert_int_equal(fx_table_at(p, fx_layer(p, "max.q.node"), 30), 20);

	/* another QuantizeLinear that agrees reads the same codes */
	om_quantize(m, "again", "relu.f", 0.2f, 5);
	assert_same_program(p, fx_compile(f));
}

/* What is not clamped keeps the codes of the pool for those who want them. */
static void a_maximum_may_have_two_quantizations(void **state)
{
	struct fx *f = *state;
	struct om *m = &f->m;
	struct npucc_program *p;

	fx_build_good(f);
	average_pool(m, "MaxPool", "conv", "max.f");
	om_quantize(m, "other", "max.f", 0.2f, 5);
	om_quantize(m, "same", "max.f", 0.1f, 0);
	om_head(m, "early", "other", 4, 2);
	om_meta(m, "fluidnpu.exit.thresholds", "0.5");
	fx_node_of(f, "out.gap.f")->input[0] = (char *)"same";
	p = fx_compile(f);
	fx_check_liveness(p);
	assert_int_equal(fx_layer(p, "out.gap.f.node")->in_off, fx_layer(p, "max.f.node")->out_off);
	assert_int_equal(fx_layer(p, "early.gap.f.node")->in_off,
			 fx_layer(p, "other.q.node")->out_off);
}

/* --- the QOperator form ---------------------------------------------------------------- */

/* The network of the next test in QDQ form. */
static void build_qdq(struct fx *f)
{
	struct om *m = &f->m;

	om_init(m, &f->arena, 4, 8, 8);
	om_quantize(m, "in", "x", 0.1f, 3);
	om_conv(m, "a", "in", 4, 4, 3, 1, 1, -128);
	om_node(m, "Add", "in,a", "sum.f");
	om_quantize(m, "sum", "sum.f", 0.15f, 7);
	average_pool(m, "AveragePool", "sum", "avg.f");
	om_quantize(m, "avg", "avg.f", 0.12f, 1);
	average_pool(m, "MaxPool", "sum", "max.f");
	om_quantize(m, "max", "max.f", 0.15f, 7);
	node_int(m, "Concat", "avg,max", "cat.f", "axis", 1);
	om_quantize(m, "cat", "cat.f", 0.2f, 0);
	om_head(m, "out", "cat", 8, 3);
}

/* The same network, with the constants that om_conv() and the others made. */
static void change_to_qoperators(struct fx *f)
{
	static const struct {
		const char *op, *inputs, *output;	/* the output is that of the QuantizeLinear */
	} qlinear[] = {
		{ "QLinearConv", "in.q,in.scale,in.zero,a.w.codes,a.w.scale,a.w.zero,a.scale,a.zero", "a.q" },
		{ "QLinearAdd", "in.q,in.scale,in.zero,a.q,a.scale,a.zero,sum.scale,sum.zero", "sum.q" },
		{ "QLinearAveragePool", "sum.q,sum.scale,sum.zero,avg.scale,avg.zero", "avg.q" },
		{ "MaxPool", "sum.q", "max.q" },
		{ "QLinearConcat", "cat.scale,cat.zero,avg.q,avg.scale,avg.zero,max.q,max.scale,max.zero",
		  "cat.q" },
		{ "QLinearGlobalAveragePool", "cat.q,cat.scale,cat.zero,out.gap.scale,out.gap.zero",
		  "out.gap.q" },
		{ "Flatten", "out.gap.q", "out.flat" },
		{ "QGemm", "out.flat,out.gap.scale,out.gap.zero,out.w.codes,out.w.scale,out.w.zero,,out.scale,out.zero",
		  "out.q" },
	};
	struct om *m = &f->m;
	Onnx__NodeProto *n, *input;
	unsigned int i;

	build_qdq(f);
	input = fx_node_of(f, "in.q");
	m->graph.n_node = 0;
	m->nodes[m->graph.n_node++] = input;
	om_const(m, "a.w.zero", T(INT8), (const int64_t[]){ 4, -1 }, "\0\0\0\0");
	om_const(m, "out.w.zero", T(INT8), (const int64_t[]){ 3, -1 }, "\0\0\0");
	for (i = 0; i < sizeof(qlinear) / sizeof(qlinear[0]); i++) {
		if (strstr(qlinear[i].op, "Pool") && !strstr(qlinear[i].op, "Global"))
			n = average_pool(m, qlinear[i].op, qlinear[i].inputs, qlinear[i].output);
		else
			n = om_node(m, qlinear[i].op, qlinear[i].inputs, qlinear[i].output);
		if (strcmp(qlinear[i].op, "QLinearConv") && qlinear[i].op[0] == 'Q')
			n->domain = (char *)"com.microsoft";
		if (!strcmp(n->op_type, "QLinearConv"))
			om_attr_ints(m, n, "pads", 4, (const int64_t[]){ 1, 1, 1, 1 });
		else if (!strcmp(n->op_type, "QLinearConcat"))
			om_attr_int(m, n, "axis", 1);
		else if (!strcmp(n->op_type, "QGemm"))
			om_attr_int(m, n, "transB", 1);
	}
	m->outputs[0]->name = (char *)"out.q";	/* codes may be logits, too */
}

static void both_forms_give_the_same_program(void **state)
{
	struct fx *f = *state;
	struct npucc_program *qdq;

	build_qdq(f);
	qdq = fx_compile(f);
	fx_check_liveness(qdq);
	change_to_qoperators(f);
	assert_same_program(qdq, fx_compile(f));
}

static void mutated_operators_do_not_crash(void **state)
{
	struct fx *f = *state;

	build_qdq(f);
	fx_compile_mutated(f, 2000);
	change_to_qoperators(f);
	fx_compile_mutated(f, 2000);
}

static void qlinear_matmul_is_matmul(void **state)
{
	struct fx *f = *state;
	struct om *m = &f->m;
	struct npucc_program *qdq;

	om_init(m, &f->arena, 6, 0, 0);
	om_quantize(m, "in", "x", 0.1f, 0);
	om_weights(m, "w", (const int64_t[]){ 6, 4, -1 }, 1, 0.02f);
	om_node(m, "MatMul", "in,w", "out.f");
	om_quantize(m, "out", "out.f", 0.1f, 9);
	om_output(m, "out");
	qdq = fx_compile(f);
	om_const(m, "w.zero", T(INT8), (const int64_t[]){ -1 }, "\0");
	om_node(m, "QLinearMatMul", "in.q,in.scale,in.zero,w.codes,w.scale,w.zero,out.scale,out.zero",
		"codes");
	m->outputs[0]->name = (char *)"codes";
	assert_same_program(qdq, fx_compile(f));
}

/* On codes Clip compares codes, whatever they stand for. */
static void clip_of_codes_is_a_clamp(void **state)
{
	struct fx *f = *state;
	struct om *m = &f->m;
	const uint8_t low = 10, high = 200;
	const struct fluidnpu_hw_layer *l;

	om_init(m, &f->arena, 6, 0, 0);
	om_quantize_u8(m, "in", "x", 0.1f, 77);
	om_const(m, "low", T(UINT8), (const int64_t[]){ -1 }, &low);
	om_const(m, "high", T(UINT8), (const int64_t[]){ -1 }, &high);
	om_node(m, "Clip", "in.q,low,high", "out");
	om_output(m, "out");
	l = fx_layer(fx_compile(f), "out.node");
	assert_int_equal(l->op, FLUIDNPU_LAYER_MAXPOOL);
	assert_int_equal(l->kernel_h, 1);
	assert_int_equal(l->clamp_min, 10 - 128);
	assert_int_equal(l->clamp_max, 200 - 128);
}

/* --- weights and uint8 -------------------------------------------------------------------- */

static const int8_t *weight_zero_points(const struct npucc_program *p,
					const struct fluidnpu_hw_layer *l)
{
	return l->weight_zp_off ? (const int8_t *)(p->image + l->weight_zp_off) : NULL;
}

static void asymmetric_weights_have_zero_points(void **state)
{
	static const uint8_t zero[4] = { 128, 0, 255, 130 };
	struct fx *f = *state;
	struct om *m = &f->m;
	struct npucc_program *p;
	const int8_t *zp;

	fx_build_good(f);
	assert_int_equal(fx_layer(fx_compile(f), "conv.f.node")->weight_zp_off, 0);

	fx_tensor_of(f, "conv.w.codes")->data_type = T(UINT8);	/* no zero point: 0 */
	p = fx_compile(f);
	zp = weight_zero_points(p, fx_layer(p, "conv.f.node"));
	assert_non_null(zp);
	assert_int_equal(zp[0], -128);
	assert_int_equal(zp[3], -128);

	om_const(m, "wz", T(UINT8), (const int64_t[]){ 4, -1 }, zero);
	fx_node_of(f, "conv.w")->input = (char *[]){ (char *)"conv.w.codes", (char *)"conv.w.scale",
						     (char *)"wz" };
	fx_node_of(f, "conv.w")->n_input = 3;
	p = fx_compile(f);
	zp = weight_zero_points(p, fx_layer(p, "conv.f.node"));
	assert_non_null(zp);
	assert_memory_equal(zp, ((const int8_t[]){ 0, -128, 127, 2 }), 4);
}

static void uint8_sums_are_rounded_as_such(void **state)
{
	struct fx *f = *state;
	struct om *m = &f->m;
	const struct fluidnpu_hw_layer *l;

	om_init(m, &f->arena, 4, 6, 6);
	om_quantize_u8(m, "in", "x", 0.1f, 100);
	om_node(m, "Add", "in,in", "sum.f");
	om_quantize_u8(m, "sum", "sum.f", 0.25f, 50);
	om_head(m, "out", "sum", 4, 2);
	l = fx_layer(fx_compile(f), "sum.f.node");
	assert_int_equal(l->flags, FLUIDNPU_LAYER_UNSIGNED);
	assert_int_equal(l->zp_out, 50 - 128);
	assert_true(fx_float(l->add_fixed) ==
		    50.0f - fmaf(100.0f, 0.1f / 0.25f, 0.1f / 0.25f * 100.0f));
}

static void float_weights_are_quantized(void **state)
{
	struct fx *f = *state;
	struct om *m = &f->m;
	const Onnx__TensorProto *codes;
	struct npucc_program *stored;
	float real[144];
	unsigned int i;

	fx_build_good(f);
	stored = fx_compile(f);
	codes = fx_tensor_of(f, "conv.w.codes");
	for (i = 0; i < 144; i++)
		real[i] = (float)(int8_t)codes->raw_data.data[i] * 0.01f * (float)(1 + i / 36);
	om_const(m, "conv.w.real", T(FLOAT), (const int64_t[]){ 4, 4, 3, 3, -1 }, real);
	om_const(m, "conv.w.zero", T(INT8), (const int64_t[]){ 4, -1 }, "\0\0\0\0");
	node_int(m, "QuantizeLinear", "conv.w.real,conv.w.scale,conv.w.zero", "conv.w.q", "axis", 0);
	fx_node_of(f, "conv.w")->input[0] = (char *)"conv.w.q";
	assert_same_program(stored, fx_compile(f));
}

/* Constant nodes hold a tensor, or numbers. */
static void constants_may_be_written_as_numbers(void **state)
{
	struct fx *f = *state;
	struct om *m = &f->m;
	struct npucc_program *stored;
	Onnx__NodeProto *n;

	fx_build_good(f);
	stored = fx_compile(f);
	fx_node_of(f, "out.flat")->op_type = (char *)"Reshape";
	fx_node_of(f, "out.flat")->input = (char *[]){ (char *)"out.gap", (char *)"target" };
	fx_node_of(f, "out.flat")->n_input = 2;
	n = om_node(m, "Constant", "", "target");
	om_attr_ints(m, n, "value_ints", 2, (const int64_t[]){ 0, -1 });
	fx_node_of(f, "in")->input[1] = fx_node_of(f, "in.q")->input[1] = (char *)"tenth";
	n = om_node(m, "Constant", "", "tenth");
	om_attr_float(m, n, "value_float", 0.1f);
	assert_same_program(stored, fx_compile(f));

	om_attr_string(m, om_node(m, "Constant", "", "text"), "value_string", "no");
	fx_expect_error(f, "node 'text.node' (Constant): only tensors, numbers and lists of numbers are supported");
}

/* --- shapes --------------------------------------------------------------------------------- */

/* What exporters write for x.view(x.size(0), -1). */
static void shape_arithmetic_is_folded(void **state)
{
	struct fx *f = *state;
	struct om *m = &f->m;
	struct npucc_program *flatten;
	const int64_t zero = 0;

	fx_build_good(f);
	flatten = fx_compile(f);
	fx_node_of(f, "out.flat")->output[0] = (char *)"unused";
	om_const(m, "zero", T(INT64), (const int64_t[]){ -1 }, &zero);
	om_vector_i64(m, "rest", 1, (const int64_t[]){ -1 });
	om_node(m, "Shape", "out.gap", "shape");
	om_node(m, "Gather", "shape,zero", "batch");
	om_node(m, "Unsqueeze", "batch", "batch.v");
	node_int(m, "Cast", "batch.v", "batch.64", "to", T(INT64));
	node_int(m, "Concat", "batch.64,rest", "target", "axis", 0);
	om_node(m, "Reshape", "out.gap,target", "out.flat");
	assert_same_program(flatten, fx_compile(f));

	fx_node_of(f, "out.flat")->op_type = (char *)"Squeeze";
	fx_node_of(f, "out.flat")->n_input = 1;
	assert_same_program(flatten, fx_compile(f));
}

static void mean_over_pixels_is_a_global_average(void **state)
{
	struct fx *f = *state;
	struct om *m = &f->m;
	struct npucc_program *pool;
	Onnx__NodeProto *n;

	fx_build_good(f);
	pool = fx_compile(f);
	n = fx_node_of(f, "out.gap.f");
	n->op_type = (char *)"ReduceMean";
	om_attr_ints(m, n, "axes", 2, (const int64_t[]){ -2, -1 });
	assert_same_program(pool, fx_compile(f));

	om_attr_int(m, n, "keepdims", 0);
	fx_node_of(f, "out.flat")->op_type = (char *)"Identity";
	assert_same_program(pool, fx_compile(f));
}

/* Lowers quantized weights and their Conv or MatMul; what others took before is @taken. */
static bool lower_weights(struct fx *f, const char *op, uint64_t taken)
{
	static const struct {
		const char *op;
		npucc_lower_fn *lower;
	} operators[] = {
		{ "QuantizeLinear", npucc_lower_quantize },
		{ "DequantizeLinear", npucc_lower_dequantize },
		{ "Conv", npucc_lower_conv },
		{ "MatMul", npucc_lower_matmul },
	};
	const bool conv = !strcmp(op, "Conv");
	struct npucc_layer *layers[FLUIDNPU_MAX_LAYERS];
	struct npucc_network net = { .layers = layers };
	struct npucc_lowering l = {
		.arena = &f->arena, .error = &f->error, .net = &net, .code_bytes = taken,
	};
	struct npucc_operand input = { .kind = OPERAND_FLOAT_INPUT, .flat = !conv };
	struct om *m = &f->m;
	unsigned int i, k;
	bool ok = true;

	om_init(m, &f->arena, 4, conv ? 1 : 0, 1);
	om_quantize(m, "in", "x", 0.1f, 0);
	om_const(m, "float", T(FLOAT), conv ? (const int64_t[]){ 2, 4, 1, 1, -1 } :
					      (const int64_t[]){ 4, 2, -1 }, NULL);
	om_quantize(m, "w", "float", 0.1f, 0);
	om_node(m, op, "in,w", "out");
	om_output(m, "out");
	f->error.text[0] = '\0';
	l.graph = npucc_graph_build(&f->arena, &m->model, &f->error);
	assert_non_null(l.graph);
	l.graph->input->operand = &input;
	for (i = 0; ok && i < l.graph->num_nodes; i++)
		for (k = 0; k < sizeof(operators) / sizeof(operators[0]); k++)
			if (!strcmp(l.graph->nodes[i]->op, operators[k].op))
				ok = operators[k].lower(&l, l.graph->nodes[i]);
	return ok;
}

/* Eight weights are quantized first, then put in order: twice eight codes. */
static void codes_made_from_constants_are_bounded(void **state)
{
	static const char *const ops[] = { "Conv", "MatMul" };
	struct fx *f = *state;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		assert_true(lower_weights(f, ops[i], NPUCC_MAX_MODEL_BYTES - 16));
		assert_false(lower_weights(f, ops[i], NPUCC_MAX_MODEL_BYTES - 15));
		assert_non_null(strstr(f->error.text, "node 'out.node'"));
		assert_non_null(strstr(f->error.text, "have more than 1073741824 bytes"));
		assert_false(lower_weights(f, ops[i], NPUCC_MAX_MODEL_BYTES - 7));
		assert_non_null(strstr(f->error.text, "node 'w.q.node' (QuantizeLinear): the weights of all nodes up to this one"));
	}
}

static void a_bias_is_a_row(void **state)
{
	static const int64_t shapes[][3] = { { 2, -1 }, { 1, 2, -1 } };
	struct npucc_program *p[2];
	struct fx *f = *state;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		fx_build_good(f);
		om_const(&f->m, "bias", T(FLOAT), shapes[i], (const float[]){ 0.1f, -0.3f });
		fx_node_of(f, "out.f")->input = (char *[]){ (char *)"out.flat", (char *)"out.w",
							    (char *)"bias" };
		fx_node_of(f, "out.f")->n_input = 3;
		p[i] = fx_compile(f);
	}
	assert_same_program(p[0], p[1]);
}

static void global_max_pool_covers_its_input(void **state)
{
	struct fx *f = *state;
	const struct fluidnpu_hw_layer *l;
	Onnx__TensorProto *zero;

	fx_build_good(f);
	fx_node_of(f, "out.gap.f")->op_type = (char *)"GlobalMaxPool";
	zero = fx_tensor_of(f, "out.gap.zero");
	zero->raw_data.data[0] = 0;
	memcpy(fx_tensor_of(f, "out.gap.scale")->raw_data.data,
	       fx_tensor_of(f, "conv.scale")->raw_data.data, 4);
	l = fx_layer(fx_compile(f), "out.gap.f.node");
	assert_int_equal(l->op, FLUIDNPU_LAYER_MAXPOOL);
	assert_int_equal(l->kernel_h, 6);
	assert_int_equal(l->out_h, 1);
}

/* --- exits ------------------------------------------------------------------------------------ */

/* Outputs are numbered by depth, whatever order the model lists them in. */
static void exits_may_be_listed_in_any_order(void **state)
{
	static const char *const orders[][3] = {
		{ "exit1", "exit0", "exit2" }, { "exit2", "exit1", "exit0" },
		{ "exit0", "exit2", "exit1" }, { "exit1", "exit2", "exit0" },
	};
	struct fx *f = *state;
	struct npucc_program *sorted, *p;
	unsigned int i, e;

	fx_build_three_exits(f);
	sorted = fx_compile(f);
	for (i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		for (e = 0; e < 3; e++)
			f->m.outputs[e]->name = (char *)orders[i][e];
		p = fx_compile(f);
		assert_same_program(sorted, p);
		assert_string_equal(p->net->exits[1].name, "exit1");
	}
}

/* Logits that the network itself goes on with. */
static void an_exit_may_be_read_on(void **state)
{
	struct fx *f = *state;
	struct om *m = &f->m;
	struct npucc_program *p;

	om_init(m, &f->arena, 6, 0, 0);
	om_quantize(m, "in", "x", 0.1f, 0);
	om_weights(m, "w1", (const int64_t[]){ 6, 4, -1 }, 1, 0.02f);
	om_node(m, "MatMul", "in,w1", "first.f");
	om_quantize(m, "first", "first.f", 0.1f, 0);
	om_weights(m, "w2", (const int64_t[]){ 4, 5, -1 }, 1, 0.02f);
	om_node(m, "MatMul", "first,w2", "second.f");
	om_quantize(m, "second", "second.f", 0.1f, 0);
	om_output(m, "second");
	om_output(m, "first");
	om_meta(m, "fluidnpu.exit.thresholds", "0.9");
	p = fx_compile(f);
	fx_check_liveness(p);
	assert_int_equal(fx_layer(p, "first")->exit_index, 0);
	assert_int_equal(fx_find_layer(p, "first"), 1);
	assert_int_equal(fx_layer(p, "first")->flags, 0);	/* somebody else reads its logits */
	assert_int_equal(fx_layer(p, "second")->logits_off, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(concat_is_a_layer_per_input),
		TEST(relu_behind_concat_clamps_its_tables),
		TEST(add_behind_concat_has_its_own_place),
		TEST(another_quantization_is_a_table),
		TEST(max_pool_may_change_the_quantization),
		TEST(a_maximum_may_have_two_quantizations),
		TEST(both_forms_give_the_same_program),
		TEST(mutated_operators_do_not_crash),
		TEST(qlinear_matmul_is_matmul),
		TEST(clip_of_codes_is_a_clamp),
		TEST(asymmetric_weights_have_zero_points),
		TEST(uint8_sums_are_rounded_as_such),
		TEST(float_weights_are_quantized),
		TEST(constants_may_be_written_as_numbers),
		TEST(shape_arithmetic_is_folded),
		TEST(mean_over_pixels_is_a_global_average),
		TEST(codes_made_from_constants_are_bounded),
		TEST(a_bias_is_a_row),
		TEST(global_max_pool_covers_its_input),
		TEST(exits_may_be_listed_in_any_order),
		TEST(an_exit_may_be_read_on),
	};

	return cmocka_run_group_tests_name("npucc_ops", tests, NULL, NULL);
}
