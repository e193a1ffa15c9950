// SPDX-License-Identifier: MIT
/*
 * npucc: what it makes of small models. Layer numbers are exact, the memory plan is
 * replayed layer by layer, the control block is compared with a brute-force search.
 * Whether the layers compute the right thing is tested with the device core; what
 * cannot be compiled is in test_npucc_errors.c.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fnpu_cost.h"
#include "npucc_fixture.h"

#define REAL_MODEL	"tools/models/fmnist-resnet3.onnx"

static float scale_at(const struct npucc_program *p, const struct fluidnpu_hw_layer *l,
		      unsigned int channel)
{
	return ((const float *)(p->image + l->scale_off))[channel];
}

static int8_t weight_at(const struct npucc_program *p, const struct fluidnpu_hw_layer *l,
			unsigned int index)
{
	return ((const int8_t *)(p->image + l->weights_off))[index];
}

static void exit_heads_run_behind_their_stage(void **state)
{
	static const struct {
		const char *name;
		unsigned int op;
		bool fused;
	} want[] = {
		{ "stem.f.node", FLUIDNPU_LAYER_CONV, false },
		{ "a1.f.node", FLUIDNPU_LAYER_CONV, false },
		{ "a2.f.node", FLUIDNPU_LAYER_CONV, false },
		{ "sum1.f.node", FLUIDNPU_LAYER_ADD, true },
		{ "exit0.gap.f.node", FLUIDNPU_LAYER_AVGPOOL, false },	/* sum1 is needed later */
		{ "exit0.f.node", FLUIDNPU_LAYER_CONV, false },
		{ "exit0", FLUIDNPU_LAYER_EXIT, true },
		{ "b1.f.node", FLUIDNPU_LAYER_CONV, false },
		{ "b2.f.node", FLUIDNPU_LAYER_CONV, false },
		{ "bp.f.node", FLUIDNPU_LAYER_CONV, false },	/* the deeper branch came first */
		{ "sum2.f.node", FLUIDNPU_LAYER_ADD, true },
		{ "exit1.gap.f.node", FLUIDNPU_LAYER_AVGPOOL, false },
		{ "exit1.f.node", FLUIDNPU_LAYER_CONV, false },
		{ "exit1", FLUIDNPU_LAYER_EXIT, true },
		{ "c1.f.node", FLUIDNPU_LAYER_CONV, false },
		{ "exit2.gap.f.node", FLUIDNPU_LAYER_AVGPOOL, true },
		{ "exit2.f.node", FLUIDNPU_LAYER_CONV, false },
		{ "exit2", FLUIDNPU_LAYER_EXIT, true },
	};
	struct fx *f = *state;
	struct npucc_program *p;
	unsigned int i;

	fx_build_three_exits(f);
	p = fx_compile(f);
	assert_int_equal(p->net->num_layers, sizeof(want) / sizeof(want[0]));
	for (i = 0; i < p->net->num_layers; i++) {
		assert_string_equal(p->net->layers[i]->name, want[i].name);
		assert_int_equal(p->layers[i].op, want[i].op);
		assert_int_equal(p->layers[i].flags, want[i].fused ? FLUIDNPU_LAYER_FUSED : 0);
	}
	assert_int_equal(fx_layer(p, "exit1")->exit_index, 1);
	assert_int_equal(fx_layer(p, "exit1")->logits_off, 10);
	assert_float_equal(fx_float(fx_layer(p, "exit0")->threshold), 0.8f, 0);
	assert_float_equal(fx_float(fx_layer(p, "exit2")->threshold), 0.0f, 0);
	assert_float_equal(fx_float(fx_layer(p, "exit2")->scale_in), 0.2f, 0);
	assert_int_equal(fx_layer(p, "exit2")->zp_in, 3);
}

/* The nodes of a file need not be sorted for that. */
static void order_of_the_file_does_not_matter(void **state)
{
	struct fx *f = *state;
	struct npucc_program *a, *b;
	unsigned int i, n;

	fx_build_three_exits(f);
	a = fx_compile(f);
	n = (unsigned int)f->m.graph.n_node;
	for (i = 0; i < n / 2; i++) {
		Onnx__NodeProto *swap = f->m.nodes[i];

		f->m.nodes[i] = f->m.nodes[n - 1 - i];
		f->m.nodes[n - 1 - i] = swap;
	}
	b = fx_compile(f);
	assert_int_equal(a->net->num_layers, b->net->num_layers);
	for (i = 0; i < a->net->num_layers; i++)
		assert_string_equal(a->net->layers[i]->name, b->net->layers[i]->name);
}

static void memory_plan_keeps_what_is_needed(void **state)
{
	struct fx *f = *state;
	struct npucc_program *p;
	uint64_t sum = 0;
	unsigned int i;

	fx_build_three_exits(f);
	p = fx_compile(f);
	fx_check_liveness(p);
	for (i = 0; i < p->net->num_layers; i++)
		if (p->net->layers[i]->out)
			sum += npucc_tensor_bytes(p->net->layers[i]->out);
	/* at a2: its input, its output and the shortcut; the Add works in place */
	assert_int_equal(p->net->state_bytes, 3 * 16 * 16 * 8);
	assert_int_equal(fx_layer(p, "sum1.f.node")->out_off, fx_layer(p, "a2.f.node")->out_off);
	assert_true(p->net->state_bytes < sum);
}

static void dead_branches_are_dropped(void **state)
{
	struct fx *f = *state;

	fx_build_three_exits(f);
	om_conv(&f->m, "dead", "c1", 4, 32, 1, 1, 0, 0);
	assert_int_equal(fx_compile(f)->net->num_layers, 18);
}

static void program_header_describes_the_image(void **state)
{
	struct fx *f = *state;
	const struct fluidnpu_hw_program *h;
	struct npucc_program *p;
	unsigned int i;

	fx_build_three_exits(f);
	p = fx_compile(f);
	h = (const void *)p->image;
	assert_int_equal(h->magic, FLUIDNPU_PROGRAM_MAGIC);
	assert_int_equal(h->total_bytes, p->image_bytes);
	assert_int_equal(h->num_layers, 18);
	assert_int_equal(h->num_exits, 3);
	assert_int_equal(h->max_batch, 16);
	assert_int_equal(h->input_bytes, 3 * 16 * 16);
	assert_int_equal(h->logits_bytes, 30);
	assert_ptr_equal(p->layers, p->image + h->layers_off);
	for (i = 0; i < h->num_layers; i++) {
		const struct fluidnpu_hw_layer *l = &p->layers[i];
		uint64_t bytes = (uint64_t)l->out_c * l->kernel_h * l->kernel_w * l->in_c;

		if (l->op != FLUIDNPU_LAYER_CONV)
			continue;
		assert_true(l->weights_off >= h->control_off + h->num_layers * 16 * 4);
		assert_true(l->bias_off >= l->weights_off + bytes);
		assert_true(l->scale_off >= l->bias_off + 4 * l->out_c);
		assert_true(l->scale_off + 4 * l->out_c <= h->total_bytes);
	}
}

static void scales_are_computed_in_onnx_runtimes_order(void **state)
{
	struct fx *f = *state;
	struct npucc_program *p;
	volatile float product;		/* volatile: no excess precision, no reordering */
	unsigned int c;

	fx_build_three_exits(f);
	p = fx_compile(f);
	for (c = 0; c < 8; c++) {
		volatile float weight_scale = 0.01f * (float)(1 + c);

		product = 0.02f * weight_scale;
		assert_true(scale_at(p, fx_layer(p, "stem.f.node"), c) == product / 0.1f);
	}
	/* operands keep the order of the model */
	assert_true(fx_float(fx_layer(p, "sum1.f.node")->scale_in) == 0.1f / 0.15f);
	assert_int_equal(fx_layer(p, "sum1.f.node")->zp_in, -128);
	assert_int_equal(fx_layer(p, "sum1.f.node")->zp_in2, 5);
	product = 0.05f * 256.0f;
	assert_true(fx_float(fx_layer(p, "exit0.gap.f.node")->scale_in) == 0.15f / product);
	assert_int_equal(fx_layer(p, "exit0.gap.f.node")->kernel_h, 16);
}

static void weights_become_channels_last(void **state)
{
	struct fx *f = *state;
	const struct fluidnpu_hw_layer *l;
	struct npucc_program *p;
	const int8_t *w = NULL;
	unsigned int m, c, y, x, i;

	fx_build_three_exits(f);
	p = fx_compile(f);
	for (i = 0; i < f->m.graph.n_initializer; i++)
		if (!strcmp(f->m.tensors[i]->name, "b1.w.codes"))
			w = (const int8_t *)f->m.tensors[i]->raw_data.data;
	l = fx_layer(p, "b1.f.node");
	for (m = 0; m < 16; m++)
		for (c = 0; c < 8; c++)
			for (y = 0; y < 3; y++)
				for (x = 0; x < 3; x++)
					assert_int_equal(weight_at(p, l, ((m * 3 + y) * 3 + x) * 8 + c),
							 w[((m * 8 + c) * 3 + y) * 3 + x]);
}

/* in -> Conv -> [activation nodes by @add] -> Q -> head */
static struct npucc_program *compile_activation(struct fx *f,
						void (*add)(struct om *m, const char *in,
							    const char *out))
{
	struct om *m = &f->m;

	om_init(m, &f->arena, 4, 6, 6);
	om_quantize(m, "in", "x", 0.1f, 0);
	om_weights(m, "w", (const int64_t[]){ 4, 4, 1, 1, -1 }, 0, 0.01f);
	om_node(m, "Conv", "in,w", "conv.f");
	add(m, "conv.f", "act.f");
	om_quantize(m, "act", "act.f", 0.05f, -100);
	om_head(m, "out", "act", 4, 2);
	return fx_compile(f);
}

static void add_relu(struct om *m, const char *in, const char *out)
{
	om_node(m, "Relu", in, out);
}

static void add_relu6(struct om *m, const char *in, const char *out)
{
	om_scalar_f32(m, "zero", 0.0f);
	om_scalar_f32(m, "six", 6.0f);
	om_node(m, "Clip", npucc_printf(m->arena, "%s,zero,six", in), out);
}

static void add_upper_clip(struct om *m, const char *in, const char *out)
{
	om_scalar_f32(m, "six", 6.0f);
	om_node(m, "Clip", npucc_printf(m->arena, "%s,,six", in), out);
}

static void activations_become_clamps(void **state)
{
	struct fx *f = *state;
	const struct fluidnpu_hw_layer *l;

	l = fx_layer(compile_activation(f, add_relu), "conv.f.node");
	assert_int_equal(l->clamp_min, -100);
	assert_int_equal(l->clamp_max, 127);
	l = fx_layer(compile_activation(f, add_relu6), "conv.f.node");
	assert_int_equal(l->clamp_min, -100);
	assert_int_equal(l->clamp_max, 20);	/* 6 / 0.05 - 100 */
	l = fx_layer(compile_activation(f, add_upper_clip), "conv.f.node");
	assert_int_equal(l->clamp_min, -128);
	assert_int_equal(l->clamp_max, 20);
}

static void uint8_is_shifted_to_int8(void **state)
{
	struct fx *f = *state;
	struct om *m = &f->m;
	const uint8_t weights[2] = { 128, 255 }, zero = 128;
	const struct fluidnpu_hw_layer *l;
	struct npucc_program *p;

	om_init(m, &f->arena, 1, 4, 4);
	om_quantize_u8(m, "in", "x", 0.1f, 7);
	om_const(m, "w.codes", ONNX__TENSOR_PROTO__DATA_TYPE__UINT8,
		 (const int64_t[]){ 2, 1, 1, 1, -1 }, weights);
	om_scalar_f32(m, "w.scale", 0.5f);
	om_const(m, "w.zero", ONNX__TENSOR_PROTO__DATA_TYPE__UINT8, (const int64_t[]){ -1 }, &zero);
	om_node(m, "DequantizeLinear", "w.codes,w.scale,w.zero", "w");
	om_node(m, "Conv", "in,w", "conv.f");
	om_quantize_u8(m, "conv", "conv.f", 0.1f, 200);
	om_head(m, "out", "conv", 2, 2);
	p = fx_compile(f);
	l = fx_layer(p, "conv.f.node");
	assert_int_equal(l->zp_in, 7 - 128);
	assert_int_equal(l->zp_out, 200 - 128);
	assert_int_equal(weight_at(p, l, 0), 0);
	assert_int_equal(weight_at(p, l, 1), 127);
	assert_non_null(strstr(p->meta, "\"zero_point\":-121"));
}

/* Gemm behind a Flatten of 2x3 pixels with 4 channels: ONNX counts channels first. */
static void flattened_gemm_is_a_large_kernel(void **state)
{
	struct fx *f = *state;
	struct om *m = &f->m;
	int8_t codes[24 * 2];
	const float scales[2] = { 0.1f, 0.2f };
	const struct fluidnpu_hw_layer *l;
	struct npucc_program *p;
	unsigned int i, c, y, x, o;

	for (i = 0; i < 48; i++)
		codes[i] = (int8_t)i;
	om_init(m, &f->arena, 4, 2, 3);
	om_quantize(m, "in", "x", 0.1f, 0);
	om_vector_i64(m, "shape", 2, (const int64_t[]){ -1, 24 });
	om_node(m, "Reshape", "in,shape", "flat");
	om_const(m, "w.codes", ONNX__TENSOR_PROTO__DATA_TYPE__INT8, (const int64_t[]){ 24, 2, -1 },
		 codes);
	om_const(m, "w.scale", ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, (const int64_t[]){ 2, -1 },
		 scales);
	om_node(m, "DequantizeLinear", "w.codes,w.scale", "w");	/* axis 1 is the default */
	om_node(m, "MatMul", "flat,w", "mul");
	om_const(m, "b", ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, (const int64_t[]){ 2, -1 },
		 (const float[]){ 0.5f, -1.0f });
	om_node(m, "Add", "b,mul", "out.f");
	om_quantize(m, "out", "out.f", 0.1f, 0);
	om_output(m, "out");
	p = fx_compile(f);
	assert_int_equal(p->net->num_layers, 2);
	l = fx_layer(p, "mul.node");
	assert_int_equal(l->kernel_h, 2);
	assert_int_equal(l->kernel_w, 3);
	assert_int_equal(l->in_c, 4);
	assert_int_equal(l->out_c, 2);
	for (o = 0; o < 2; o++)
		for (c = 0; c < 4; c++)
			for (y = 0; y < 2; y++)
				for (x = 0; x < 3; x++)
					assert_int_equal(weight_at(p, l, ((o * 2 + y) * 3 + x) * 4 + c),
							 ((c * 2 + y) * 3 + x) * 2 + o);
	assert_int_equal(((const int32_t *)(p->image + l->bias_off))[0], 50);
	assert_int_equal(((const int32_t *)(p->image + l->bias_off))[1], -50);
}

static const struct fluidnpu_hw_layer *window_case(struct fx *f, const char *op, int in,
						   int kernel, int stride, const char *auto_pad,
						   int pad, int ceil_mode)
{
	struct om *m = &f->m;
	Onnx__NodeProto *n;

	om_init(m, &f->arena, 2, in, in);
	om_quantize(m, "in", "x", 0.1f, 4);
	if (!strcmp(op, "Conv")) {
		om_weights(m, "w", (const int64_t[]){ 2, 1, kernel, kernel, -1 }, 0, 0.01f);
		n = om_node(m, op, "in,w", "win.f");
		om_attr_int(m, n, "group", 2);
	} else {
		n = om_node(m, op, "in", "win.f");
		om_attr_ints(m, n, "kernel_shape", 2, (const int64_t[]){ kernel, kernel });
	}
	om_attr_ints(m, n, "strides", 2, (const int64_t[]){ stride, stride });
	if (auto_pad)
		om_attr_string(m, n, "auto_pad", auto_pad);
	else
		om_attr_ints(m, n, "pads", 4, (const int64_t[]){ pad, pad, pad, pad });
	if (ceil_mode)
		om_attr_int(m, n, "ceil_mode", 1);
	om_quantize(m, "win", "win.f", 0.1f, 4);
	om_head(m, "out", "win", 2, 2);
	return fx_layer(fx_compile(f), "win.f.node");
}

static void check_window(const struct fluidnpu_hw_layer *l, unsigned int out, unsigned int begin,
			 unsigned int end)
{
	assert_int_equal(l->out_h, out);
	assert_int_equal(l->out_w, out);
	assert_int_equal(l->pad_t, begin);
	assert_int_equal(l->pad_l, begin);
	assert_int_equal(l->pad_b, end);
	assert_int_equal(l->pad_r, end);
}

static void windows_follow_onnx(void **state)
{
	struct fx *f = *state;
	const struct fluidnpu_hw_layer *l;

	check_window(window_case(f, "Conv", 8, 3, 2, "SAME_UPPER", 0, 0), 4, 0, 1);
	check_window(window_case(f, "Conv", 8, 3, 2, "SAME_LOWER", 0, 0), 4, 1, 0);
	check_window(window_case(f, "Conv", 8, 3, 1, "VALID", 0, 0), 6, 0, 0);
	check_window(window_case(f, "Conv", 8, 3, 2, NULL, 1, 0), 4, 1, 1);
	check_window(window_case(f, "MaxPool", 8, 3, 2, NULL, 0, 0), 3, 0, 0);
	check_window(window_case(f, "MaxPool", 8, 3, 2, NULL, 0, 1), 4, 0, 1);
	/* a last window that would begin in the padding is left out */
	check_window(window_case(f, "MaxPool", 3, 2, 2, NULL, 1, 1), 2, 1, 1);
	check_window(window_case(f, "AveragePool", 8, 2, 2, NULL, 0, 0), 4, 0, 0);
	l = window_case(f, "Conv", 8, 3, 1, NULL, 1, 0);
	assert_int_equal(l->groups, 2);
	l = window_case(f, "AveragePool", 8, 2, 2, NULL, 0, 0);
	assert_true(fx_float(l->scale_in) == 0.1f);	/* not global: on real numbers */
	assert_true(fx_float(l->scale_in2) == 0.1f);
	l = window_case(f, "AveragePool", 4, 4, 1, NULL, 0, 0);
	assert_true(fx_float(l->scale_in) == 0.1f / (0.1f * 16.0f));
	assert_int_equal(l->scale_in2, 0);
}

static void relu_behind_dequantize_is_a_layer(void **state)
{
	struct fx *f = *state;
	struct om *m = &f->m;
	const struct fluidnpu_hw_layer *l;
	struct npucc_program *p;
	int code;

	om_init(m, &f->arena, 4, 6, 6);
	om_quantize(m, "in", "x", 0.1f, 11);
	om_node(m, "Relu", "in", "act.f");
	om_quantize(m, "act", "act.f", 0.1f, 11);
	om_head(m, "out", "act", 4, 2);
	p = fx_compile(f);
	l = fx_layer(p, "act.f.node");
	assert_int_equal(l->op, FLUIDNPU_LAYER_CONCAT);
	for (code = -128; code <= 127; code++)
		assert_int_equal(fx_table_at(p, l, code), code < 11 ? 11 : code);
}

/* Least cycles for @b samples over every split and every layout, however silly. */
static uint64_t brute_force(const struct fluidnpu_hw_geometry *g,
			    const struct fluidnpu_hw_layer *layers, unsigned int count,
			    unsigned int b)
{
	uint64_t best = UINT64_MAX;
	unsigned int n, b_r, b_p, k;

	if (!b)
		return 0;
	for (n = 1; n <= b; n++) {
		uint64_t rest = brute_force(g, layers, count, b - n);

		for (k = 1; k <= g->max_stack; k++) {
			for (b_r = 1; b_r <= b; b_r++) {
				for (b_p = 1; b_p <= b; b_p++) {
					struct fluidnpu_hw_policy p = {
						(uint8_t)n, (uint8_t)b_r, (uint8_t)b_p, (uint8_t)k
					};
					struct fnpu_cost c = { 0 };

					if (!fnpu_policy_valid(g, &p, b))
						continue;
					fnpu_cost_pass(g, layers, count, &p, &c);
					if (c.cycles + rest < best)
						best = c.cycles + rest;
				}
			}
		}
	}
	return best;
}

static void control_block_is_optimal(void **state)
{
	static const char *const geometries[] = {
		"", "max_stack=1", "acc_tiles=3,tile_rows=32", "tile_rows=8,tile_cols=16,tile_depth=4",
		"dram_bytes_per_kcycle=512,weight_sram_bytes=256", "layer_overhead_cycles=0,tile_rows=24",
		"act_sram_bytes=9000",
	};
	struct fx *f = *state;
	unsigned int i, v, b, count;

	for (v = 0; v < sizeof(geometries) / sizeof(geometries[0]); v++) {
		const struct fluidnpu_hw_geometry *g = &f->options.config.geometry;
		struct npucc_program *p;

		fnpu_config_default(&f->options.config);
		assert_true(npucc_geometry_set(&f->options.config, geometries[v], &f->error));
		fx_build_three_exits(f);
		p = fx_compile(f);
		for (i = 0; i < p->net->num_layers; i += count) {
			const struct fluidnpu_hw_policy *row = &p->control[i * 16];

			count = fnpu_group_size(&p->layers[i], p->net->num_layers - i);
			for (b = 1; b <= 16; b++) {
				struct fnpu_cost c = { 0 };

				assert_true(fnpu_cost_batch(g, &p->layers[i], count, row, b, &c));
				assert_int_equal(c.cycles, p->cost[i * 16 + b - 1]);
				if (b <= 5)
					assert_int_equal(c.cycles, brute_force(g, &p->layers[i],
									       count, b));
			}
		}
	}
}

static void batching_never_hurts(void **state)
{
	struct fx *f = *state;
	struct npucc_program *p;
	unsigned int i, b, n;

	fx_build_three_exits(f);
	p = fx_compile(f);
	for (i = 0; i < p->net->num_layers; i++) {
		const uint32_t *t = &p->cost[i * 16];

		assert_int_equal(t[0] == 0, (p->layers[i].flags & FLUIDNPU_LAYER_FUSED) != 0);
		for (b = 2; b <= 16; b++)
			for (n = 1; n < b; n++)
				assert_true(t[b - 1] <= t[n - 1] + t[b - n - 1]);
	}
}

static void meta_tells_what_applications_need(void **state)
{
	static const char *const want[] = {
		"\"name\":\"renamed\"", "\"input\":{\"name\":\"x\",\"shape\":[3,16,16]",
		"\"byte_scale\":0.5,\"byte_offset\":-1", "\"labels\":[\"a\",\"b c\",\"d\"",
		"{\"name\":\"exit1\",\"classes\":10,", "\"logits_off\":10,\"layer\":13,\"criterion\":\"margin\"",
		"\"tile_rows\":128", "\"clock_hz\":800000000", "\"macs\":",
	};
	struct fx *f = *state;
	struct npucc_program *p;
	unsigned int i;

	fx_build_three_exits(f);
	om_meta(&f->m, "fluidnpu.labels", "a,b c,d,e,f,g,h,i,j,k");
	om_meta(&f->m, "fluidnpu.input.byte_scale", "0.5");
	om_meta(&f->m, "fluidnpu.input.byte_offset", "-1");
	om_meta(&f->m, "fluidnpu.exit.criterion", "margin");
	f->options.name = "renamed";
	p = fx_compile(f);
	for (i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		if (!strstr(p->meta, want[i]))
			fail_msg("no '%s' in %s", want[i], p->meta);
	/* all that a sample has run when it leaves: 1x1 head included */
	assert_int_equal(p->net->exits[0].total_macs,
			 256 * 8 * 27 + 2 * 256 * 8 * 72 + 80);
}

static void thresholds_of_the_command_line_win(void **state)
{
	struct fx *f = *state;
	struct npucc_program *p;

	fx_build_three_exits(f);
	f->options.num_thresholds = 2;
	f->options.thresholds[0] = 0.25f;
	f->options.thresholds[1] = 0.5f;
	p = fx_compile(f);
	assert_true(fx_float(fx_layer(p, "exit1")->threshold) == 0.5f);
	f->options.num_thresholds = 1;
	fx_expect_error(f, "1 thresholds for 3 exits");
}

static void typed_fields_equal_raw_data(void **state)
{
	struct fx *f = *state;
	struct npucc_program *raw, *typed;
	Onnx__TensorProto *t;
	unsigned int i;

	fx_build_good(f);
	raw = fx_compile(f);
	t = fx_tensor_of(f, "conv.w.codes");
	t->has_raw_data = 0;
	t->n_int32_data = t->raw_data.len;
	t->int32_data = npucc_alloc(&f->arena, t->n_int32_data, sizeof(*t->int32_data));
	for (i = 0; i < t->n_int32_data; i++)
		t->int32_data[i] = (int8_t)t->raw_data.data[i];
	typed = fx_compile(f);
	assert_int_equal(raw->image_bytes, typed->image_bytes);
	assert_memory_equal(raw->image, typed->image, raw->image_bytes);
}

static void real_model_compiles(void **state)
{
	struct fx *f = *state;
	FILE *file = fopen(REAL_MODEL, "rb");
	struct npucc_program *p;
	uint8_t *data;
	size_t bytes;

	if (!file) {
		print_message("no %s below the working directory\n", REAL_MODEL);
		skip();
	}
	data = npucc_alloc(&f->arena, 1 << 20, 1);
	bytes = fread(data, 1, 1 << 20, file);
	fclose(file);
	p = npucc_compile(&f->arena, data, bytes, &f->options, &f->error);
	if (!p)
		fail_msg("%s", f->error.text);
	fx_check_liveness(p);
	assert_int_equal(p->net->num_exits, 3);
	assert_int_equal(p->net->layers[p->net->num_layers - 1]->op, FLUIDNPU_LAYER_EXIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(exit_heads_run_behind_their_stage),
		TEST(order_of_the_file_does_not_matter),
		TEST(memory_plan_keeps_what_is_needed),
		TEST(dead_branches_are_dropped),
		TEST(program_header_describes_the_image),
		TEST(scales_are_computed_in_onnx_runtimes_order),
		TEST(weights_become_channels_last),
		TEST(activations_become_clamps),
		TEST(uint8_is_shifted_to_int8),
		TEST(flattened_gemm_is_a_large_kernel),
		TEST(windows_follow_onnx),
		TEST(relu_behind_dequantize_is_a_layer),
		TEST(control_block_is_optimal),
		TEST(batching_never_hurts),
		TEST(meta_tells_what_applications_need),
		TEST(thresholds_of_the_command_line_win),
		TEST(typed_fields_equal_raw_data),
		TEST(real_model_compiles),
	};

	return cmocka_run_group_tests_name("npucc", tests, NULL, NULL);
}
