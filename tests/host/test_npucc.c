// SPDX-License-Identifier: MIT
/*
 * npucc: what it makes of small models. Layer numbers are exact, the memory plan is
 * replayed layer by layer, the control block is compared with a brute-force search.
 * Whether the layers compute the right thing is tested with the device core.
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
#include "onnx_model.h"
#include "program.h"

#define REAL_MODEL	"tools/models/fmnist-resnet3.onnx"

struct fixture {
	struct npucc_arena arena;
	struct npucc_error error;
	struct npucc_options options;
	struct om m;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fnpu_config_default(&f->options.config);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	npucc_arena_free(&f->arena);
	free(f);
	return 0;
}

static struct npucc_program *try_compile(struct fixture *f)
{
	size_t bytes;
	void *data = om_pack(&f->m, &bytes);

	f->error.text[0] = '\0';
	return npucc_compile(&f->arena, data, bytes, &f->options, &f->error);
}

static struct npucc_program *compile(struct fixture *f)
{
	struct npucc_program *p = try_compile(f);

	if (!p)
		fail_msg("does not compile: %s", f->error.text);
	return p;
}

static void expect_error(struct fixture *f, const char *message)
{
	if (try_compile(f))
		fail_msg("compiles, wanted the error '%s'", message);
	if (!strstr(f->error.text, message))
		fail_msg("error is '%s', wanted '%s'", f->error.text, message);
}

static int find_layer(const struct npucc_program *p, const char *name)
{
	unsigned int i;

	for (i = 0; i < p->net->num_layers; i++)
		if (!strcmp(p->net->layers[i]->name, name))
			return (int)i;
	fail_msg("no layer '%s'", name);
	return -1;
}

static const struct fluidnpu_hw_layer *layer(const struct npucc_program *p, const char *name)
{
	return &p->layers[find_layer(p, name)];
}

static float bits_to_float(uint32_t bits)
{
	float f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

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

/* Three stages with a residual block each, three exits: the shape of a real one in small. */
static void build_three_exits(struct fixture *f)
{
	struct om *m = &f->m;

	om_init(m, &f->arena, 3, 16, 16);
	om_quantize(m, "in", "x", 0.02f, -3);
	om_conv(m, "stem", "in", 8, 3, 3, 1, 1, -128);
	om_conv(m, "a1", "stem", 8, 8, 3, 1, 1, -128);
	om_conv(m, "a2", "a1", 8, 8, 3, 1, 1, 5);
	om_node(m, "Add", "stem,a2", "sum1.f");
	om_quantize(m, "sum1", "sum1.f", 0.15f, -7);
	om_head(m, "exit0", "sum1", 8, 10);
	om_conv(m, "b1", "sum1", 16, 8, 3, 2, 1, -128);
	om_conv(m, "b2", "b1", 16, 16, 3, 1, 1, 4);
	om_conv(m, "bp", "sum1", 16, 8, 1, 2, 0, 6);
	om_node(m, "Add", "b2,bp", "sum2.f");
	om_quantize(m, "sum2", "sum2.f", 0.2f, 9);
	om_head(m, "exit1", "sum2", 16, 10);
	om_conv(m, "c1", "sum2", 32, 16, 3, 1, 1, -128);
	om_head(m, "exit2", "c1", 32, 10);
	om_meta(m, "fluidnpu.exit.thresholds", "0.8,0.6");
}

/*
 * Replays the program: each layer may only read what an earlier one wrote and nothing
 * has overwritten since, and its output must not touch its inputs or what is still needed.
 */
static void check_liveness(const struct npucc_program *p)
{
	const struct npucc_network *net = p->net;
	uint16_t *owner = calloc(net->state_bytes, sizeof(*owner));	/* layer + 1 that wrote it */
	unsigned int i, k, n;
	uint64_t b;

	for (i = 0; i < net->num_layers; i++) {
		const struct npucc_layer *l = net->layers[i];
		const struct fluidnpu_hw_layer *d = &p->layers[i];
		uint64_t live = 0;

		for (k = 0; k < l->num_inputs; k++) {
			uint32_t off = k ? d->in2_off : d->in_off;

			if (!l->in[k]->producer) {
				assert_int_equal(off, FLUIDNPU_TENSOR_INPUT);
				continue;
			}
			assert_int_equal(off % 64, 0);
			for (b = 0; b < npucc_tensor_bytes(l->in[k]); b++)
				assert_int_equal(owner[off + b], l->in[k]->producer->position + 1);
		}
		for (n = 0; n < net->num_layers; n++) {
			const struct npucc_tensor *t = net->layers[n]->out;

			if (t && t->first <= i && i <= t->last)
				live += (npucc_tensor_bytes(t) + 63) / 64 * 64;
		}
		assert_int_equal(d->live_bytes, live);
		assert_true(live <= net->state_bytes);
		if (!l->out)
			continue;
		assert_true(d->out_off + npucc_tensor_bytes(l->out) <= net->state_bytes);
		for (k = 0; k < l->num_inputs; k++)
			assert_true(!l->in[k]->producer || d->out_off >= l->in[k]->offset +
				    npucc_tensor_bytes(l->in[k]) ||
				    l->in[k]->offset >= d->out_off + npucc_tensor_bytes(l->out));
		for (b = 0; b < npucc_tensor_bytes(l->out); b++)
			owner[d->out_off + b] = (uint16_t)(i + 1);
	}
	free(owner);
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
	struct fixture *f = *state;
	struct npucc_program *p;
	unsigned int i;

	build_three_exits(f);
	p = compile(f);
	assert_int_equal(p->net->num_layers, sizeof(want) / sizeof(want[0]));
	for (i = 0; i < p->net->num_layers; i++) {
		assert_string_equal(p->net->layers[i]->name, want[i].name);
		assert_int_equal(p->layers[i].op, want[i].op);
		assert_int_equal(p->layers[i].flags, want[i].fused ? FLUIDNPU_LAYER_FUSED : 0);
	}
	assert_int_equal(layer(p, "exit1")->exit_index, 1);
	assert_int_equal(layer(p, "exit1")->logits_off, 10);
	assert_float_equal(bits_to_float(layer(p, "exit0")->threshold), 0.8f, 0);
	assert_float_equal(bits_to_float(layer(p, "exit2")->threshold), 0.0f, 0);
	assert_float_equal(bits_to_float(layer(p, "exit2")->scale_in), 0.2f, 0);
	assert_int_equal(layer(p, "exit2")->zp_in, 3);
}

/* The nodes of a file need not be sorted for that. */
static void order_of_the_file_does_not_matter(void **state)
{
	struct fixture *f = *state;
	struct npucc_program *a, *b;
	unsigned int i, n;

	build_three_exits(f);
	a = compile(f);
	n = (unsigned int)f->m.graph.n_node;
	for (i = 0; i < n / 2; i++) {
		Onnx__NodeProto *swap = f->m.nodes[i];

		f->m.nodes[i] = f->m.nodes[n - 1 - i];
		f->m.nodes[n - 1 - i] = swap;
	}
	b = compile(f);
	assert_int_equal(a->net->num_layers, b->net->num_layers);
	for (i = 0; i < a->net->num_layers; i++)
		assert_string_equal(a->net->layers[i]->name, b->net->layers[i]->name);
}

static void memory_plan_keeps_what_is_needed(void **state)
{
	struct fixture *f = *state;
	struct npucc_program *p;
	uint64_t sum = 0;
	unsigned int i;

	build_three_exits(f);
	p = compile(f);
	check_liveness(p);
	for (i = 0; i < p->net->num_layers; i++)
		if (p->net->layers[i]->out)
			sum += npucc_tensor_bytes(p->net->layers[i]->out);
	/* three tensors of 16x16x8 are alive at once, and no more */
	assert_int_equal(p->net->state_bytes, 3 * 16 * 16 * 8);
	assert_true(p->net->state_bytes < sum);
}

static void dead_branches_are_dropped(void **state)
{
	struct fixture *f = *state;

	build_three_exits(f);
	om_conv(&f->m, "dead", "c1", 4, 32, 1, 1, 0, 0);
	assert_int_equal(compile(f)->net->num_layers, 18);
}

static void program_header_describes_the_image(void **state)
{
	struct fixture *f = *state;
	const struct fluidnpu_hw_program *h;
	struct npucc_program *p;
	unsigned int i;

	build_three_exits(f);
	p = compile(f);
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
	struct fixture *f = *state;
	struct npucc_program *p;
	volatile float product;		/* volatile: no excess precision, no reordering */
	unsigned int c;

	build_three_exits(f);
	p = compile(f);
	for (c = 0; c < 8; c++) {
		volatile float weight_scale = 0.01f * (float)(1 + c);

		product = 0.02f * weight_scale;
		assert_true(scale_at(p, layer(p, "stem.f.node"), c) == product / 0.1f);
	}
	/* operands keep the order of the model */
	assert_true(bits_to_float(layer(p, "sum1.f.node")->scale_in) == 0.1f / 0.15f);
	assert_int_equal(layer(p, "sum1.f.node")->zp_in, -128);
	assert_int_equal(layer(p, "sum1.f.node")->zp_in2, 5);
	product = 0.05f * 256.0f;
	assert_true(bits_to_float(layer(p, "exit0.gap.f.node")->scale_in) == 0.15f / product);
	assert_int_equal(layer(p, "exit0.gap.f.node")->kernel_h, 16);
}

static void weights_become_channels_last(void **state)
{
	struct fixture *f = *state;
	const struct fluidnpu_hw_layer *l;
	struct npucc_program *p;
	const int8_t *w = NULL;
	unsigned int m, c, y, x, i;

	build_three_exits(f);
	p = compile(f);
	for (i = 0; i < f->m.graph.n_initializer; i++)
		if (!strcmp(f->m.tensors[i]->name, "b1.w.codes"))
			w = (const int8_t *)f->m.tensors[i]->raw_data.data;
	l = layer(p, "b1.f.node");
	for (m = 0; m < 16; m++)
		for (c = 0; c < 8; c++)
			for (y = 0; y < 3; y++)
				for (x = 0; x < 3; x++)
					assert_int_equal(weight_at(p, l, ((m * 3 + y) * 3 + x) * 8 + c),
							 w[((m * 8 + c) * 3 + y) * 3 + x]);
}

/* in -> Conv -> [activation nodes by @add] -> Q -> head */
static struct npucc_program *compile_activation(struct fixture *f,
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
	return compile(f);
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
	struct fixture *f = *state;
	const struct fluidnpu_hw_layer *l;

	l = layer(compile_activation(f, add_relu), "conv.f.node");
	assert_int_equal(l->clamp_min, -100);
	assert_int_equal(l->clamp_max, 127);
	l = layer(compile_activation(f, add_relu6), "conv.f.node");
	assert_int_equal(l->clamp_min, -100);
	assert_int_equal(l->clamp_max, 20);	/* 6 / 0.05 - 100 */
	l = layer(compile_activation(f, add_upper_clip), "conv.f.node");
	assert_int_equal(l->clamp_min, -128);
	assert_int_equal(l->clamp_max, 20);
}

static void uint8_is_shifted_to_int8(void **state)
{
	struct fixture *f = *state;
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
	p = compile(f);
	l = layer(p, "conv.f.node");
	assert_int_equal(l->zp_in, 7 - 128);
	assert_int_equal(l->zp_out, 200 - 128);
	assert_int_equal(weight_at(p, l, 0), 0);
	assert_int_equal(weight_at(p, l, 1), 127);
	assert_non_null(strstr(p->meta, "\"zero_point\":-121"));
}

/* Gemm behind a Flatten of 2x3 pixels with 4 channels: ONNX counts channels first. */
static void flattened_gemm_is_a_large_kernel(void **state)
{
	struct fixture *f = *state;
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
	p = compile(f);
	assert_int_equal(p->net->num_layers, 2);
	l = layer(p, "mul.node");
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

static const struct fluidnpu_hw_layer *window_case(struct fixture *f, const char *op, int in,
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
	return layer(compile(f), "win.f.node");
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
	struct fixture *f = *state;
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
	assert_true(bits_to_float(l->scale_in) == 0.1f / (0.1f * 4.0f));
}

static void relu_behind_dequantize_is_a_layer(void **state)
{
	struct fixture *f = *state;
	struct om *m = &f->m;
	const struct fluidnpu_hw_layer *l;

	om_init(m, &f->arena, 4, 6, 6);
	om_quantize(m, "in", "x", 0.1f, 11);
	om_node(m, "Relu", "in", "act.f");
	om_quantize(m, "act", "act.f", 0.1f, 11);
	om_head(m, "out", "act", 4, 2);
	l = layer(compile(f), "act.f.node");
	assert_int_equal(l->op, FLUIDNPU_LAYER_MAXPOOL);
	assert_int_equal(l->kernel_h, 1);
	assert_int_equal(l->clamp_min, 11);
	assert_int_equal(l->clamp_max, 127);
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
	struct fixture *f = *state;
	unsigned int i, v, b, count;

	for (v = 0; v < sizeof(geometries) / sizeof(geometries[0]); v++) {
		const struct fluidnpu_hw_geometry *g = &f->options.config.geometry;
		struct npucc_program *p;

		fnpu_config_default(&f->options.config);
		assert_true(npucc_geometry_set(&f->options.config, geometries[v], &f->error));
		build_three_exits(f);
		p = compile(f);
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
	struct fixture *f = *state;
	struct npucc_program *p;
	unsigned int i, b, n;

	build_three_exits(f);
	p = compile(f);
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
	struct fixture *f = *state;
	struct npucc_program *p;
	unsigned int i;

	build_three_exits(f);
	om_meta(&f->m, "fluidnpu.labels", "a,b c,d,e,f,g,h,i,j,k");
	om_meta(&f->m, "fluidnpu.input.byte_scale", "0.5");
	om_meta(&f->m, "fluidnpu.input.byte_offset", "-1");
	om_meta(&f->m, "fluidnpu.exit.criterion", "margin");
	f->options.name = "renamed";
	p = compile(f);
	for (i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		if (!strstr(p->meta, want[i]))
			fail_msg("no '%s' in %s", want[i], p->meta);
	/* all that a sample has run when it leaves: 1x1 head included */
	assert_int_equal(p->net->exits[0].total_macs,
			 256 * 8 * 27 + 2 * 256 * 8 * 72 + 80);
}

static void thresholds_of_the_command_line_win(void **state)
{
	struct fixture *f = *state;
	struct npucc_program *p;

	build_three_exits(f);
	f->options.num_thresholds = 2;
	f->options.thresholds[0] = 0.25f;
	f->options.thresholds[1] = 0.5f;
	p = compile(f);
	assert_true(bits_to_float(layer(p, "exit1")->threshold) == 0.5f);
	f->options.num_thresholds = 1;
	expect_error(f, "1 thresholds for 3 exits");
}

/* A model that is fine: in -> conv -> head "out". */
static void build_good(struct fixture *f)
{
	om_init(&f->m, &f->arena, 4, 6, 6);
	om_quantize(&f->m, "in", "x", 0.1f, 0);
	om_conv(&f->m, "conv", "in", 4, 4, 3, 1, 1, 0);
	om_head(&f->m, "out", "conv", 4, 2);
}

static Onnx__NodeProto *node_of(struct fixture *f, const char *output)
{
	unsigned int i;

	for (i = 0; i < f->m.graph.n_node; i++)
		if (!strcmp(f->m.nodes[i]->output[0], output))
			return f->m.nodes[i];
	fail_msg("no node computes '%s'", output);
	return NULL;
}

static Onnx__TensorProto *tensor_of(struct fixture *f, const char *name)
{
	unsigned int i;

	for (i = 0; i < f->m.graph.n_initializer; i++)
		if (!strcmp(f->m.tensors[i]->name, name))
			return f->m.tensors[i];
	fail_msg("no initializer '%s'", name);
	return NULL;
}

static void errors_name_node_and_reason(void **state)
{
	struct fixture *f = *state;
	struct om *m = &f->m;
	Onnx__NodeProto *n;

	build_good(f);
	node_of(f, "conv.f")->op_type = (char *)"ConvTranspose";
	expect_error(f, "node 'conv.f.node' (ConvTranspose): this operator is not supported; supported are Add");

	build_good(f);
	om_attr_int(m, node_of(f, "conv.f"), "blur", 1);
	expect_error(f, "node 'conv.f.node' (Conv): attribute 'blur' is not supported");

	build_good(f);
	om_attr_int(m, node_of(f, "conv.f"), "group", 3);
	expect_error(f, "group 3 does not divide 4 input and 4 output channels");

	build_good(f);
	om_attr_float(m, node_of(f, "out.f"), "alpha", 2.0f);
	expect_error(f, "alpha 2, beta 1, transA 0: only 1, 1, 0 are supported");

	build_good(f);
	om_attr_float(m, node_of(f, "conv.f"), "group", 1.0f);
	expect_error(f, "attribute 'group' has the wrong type");

	build_good(f);
	node_of(f, "conv.f")->input[0] = (char *)"x";
	expect_error(f, "input 'x' is the float input of the network; put QuantizeLinear");

	build_good(f);
	node_of(f, "conv.f")->input[0] = (char *)"in.q";
	expect_error(f, "input 'in.q' holds quantized codes");

	build_good(f);
	node_of(f, "out.gap.f")->input[0] = (char *)"conv.f";
	expect_error(f, "input 'conv.f' is a float result that is not quantized");

	build_good(f);
	om_node(m, "Softmax", "out", "prob");
	expect_error(f, "node 'prob.node' (Softmax): the exit head computes the softmax itself");

	build_good(f);
	n = node_of(f, "conv.f");
	n->domain = (char *)"com.example";
	expect_error(f, "operators of domain 'com.example' are not supported");
}

static void errors_in_quantization(void **state)
{
	struct fixture *f = *state;
	struct om *m = &f->m;

	build_good(f);
	om_scalar_f32(m, "other", 0.3f);
	node_of(f, "in")->input[1] = (char *)"other";
	expect_error(f, "scale and zero point differ from those that 'in.q' was quantized with");

	build_good(f);
	memset(tensor_of(f, "conv.scale")->raw_data.data, 0, 4);
	expect_error(f, "scale is 0, must be a positive normal number");

	build_good(f);
	om_const(m, "z16", ONNX__TENSOR_PROTO__DATA_TYPE__INT16, (const int64_t[]){ -1 }, "\0\0\0\0");
	node_of(f, "in.q")->input[2] = (char *)"z16";
	expect_error(f, "quantization to int16 is not supported, only int8 and uint8");

	build_good(f);
	om_const(m, "perchannel", ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, (const int64_t[]){ 4, -1 },
		 (const float[]){ 1, 1, 1, 1 });
	node_of(f, "in.q")->input[1] = (char *)"perchannel";
	expect_error(f, "activations quantized per channel are not supported");

	build_good(f);
	om_quantize(m, "again", "conv", 0.7f, 1);
	expect_error(f, "requantization without an operator between is not supported");

	build_good(f);
	node_of(f, "conv.w")->attribute[0]->i = 1;
	expect_error(f, "weights must be quantized per tensor or per output channel");

	build_good(f);
	om_const(m, "wz", ONNX__TENSOR_PROTO__DATA_TYPE__INT8, (const int64_t[]){ 4, -1 }, "\0\0\1\0");
	node_of(f, "conv.w")->input = (char *[]){ (char *)"conv.w.codes", (char *)"conv.w.scale",
						  (char *)"wz" };
	node_of(f, "conv.w")->n_input = 3;
	expect_error(f, "only symmetric weights");

	build_good(f);
	om_node(m, "Relu", "conv.f", "twice");
	expect_error(f, "float result 'conv.f' is read 2 times; quantize it first");

	build_good(f);
	om_const(m, "bias", ONNX__TENSOR_PROTO__DATA_TYPE__INT32, (const int64_t[]){ 4, -1 }, NULL);
	om_scalar_f32(m, "bias.scale", 1.0f);
	om_node(m, "DequantizeLinear", "bias,bias.scale", "bias.f");
	node_of(f, "conv.f")->input = (char *[]){ (char *)"in", (char *)"conv.w", (char *)"bias.f" };
	node_of(f, "conv.f")->n_input = 3;
	expect_error(f, "bias scale of channel 0 is 1, must be input scale times weight scale, 0.001");
}

static void errors_in_shapes(void **state)
{
	struct fixture *f = *state;
	struct om *m = &f->m;

	build_good(f);
	om_attr_ints(m, node_of(f, "conv.f"), "dilations", 2, (const int64_t[]){ 5, 5 });
	expect_error(f, "a window of 11 does not fit an input of 8 with padding");

	build_good(f);
	om_attr_ints(m, node_of(f, "conv.f"), "kernel_shape", 1, (const int64_t[]){ 3 });
	expect_error(f, "attribute 'kernel_shape' has 1 values instead of 2: only 2-D operators");

	build_good(f);
	node_of(f, "conv.f")->attribute[0]->ints[0] = -2;
	expect_error(f, "kernel, stride, dilation or padding out of range");

	build_good(f);
	node_of(f, "conv.f")->attribute[1]->ints[0] = INT64_MAX;
	expect_error(f, "kernel, stride, dilation or padding out of range");

	build_good(f);
	node_of(f, "out.f")->input[0] = (char *)"conv";
	expect_error(f, "node 'out.f.node' (Gemm): its input has rank 4; put a Flatten before it");

	build_good(f);
	om_output(m, "conv");
	expect_error(f, "output 'conv' is 4 channels of 6 x 6, must be logits of shape [N, classes]");

	build_good(f);
	om_output(m, "out.f");
	expect_error(f, "must be a DequantizeLinear of int8 logits");

	build_good(f);
	m->outputs[0]->name = (char *)"nothing";
	expect_error(f, "graph output 'nothing' is not computed by any node");

	build_good(f);
	om_node(m, "Add", "conv,in", "sum.f");
	node_of(f, "conv.w")->input[0] = (char *)"out.w.codes";
	expect_error(f, "weights 'conv.w' have rank 2, supported is 4");

	build_good(f);
	m->inputs[0]->type->tensor_type->shape->dim[2]->dim_value = 70000;
	expect_error(f, "input 'x': dimension 2 must be a number from 1 to 65535");

	build_good(f);
	m->inputs[0]->type->tensor_type->shape->dim[0] =
		m->inputs[0]->type->tensor_type->shape->dim[1];
	expect_error(f, "fixed batch of 4; export it with a symbolic batch or 1");
}

static void errors_in_the_graph(void **state)
{
	struct fixture *f = *state;
	struct om *m = &f->m;

	build_three_exits(f);
	m->outputs[0]->name = (char *)"exit1";
	m->outputs[1]->name = (char *)"exit0";
	expect_error(f, "exit 'exit1' lies deeper than exit 'exit0' but comes before it");

	build_three_exits(f);
	m->outputs[1]->name = (char *)"exit2";
	m->outputs[2]->name = (char *)"exit1";
	expect_error(f, "exit 'exit2' lies deeper than exit 'exit1' but comes before it");

	build_three_exits(f);
	m->model.n_metadata_props = 0;
	expect_error(f, "0 thresholds for 3 exits");

	build_good(f);
	om_meta(m, "fluidnpu.exit.criterion", "mood");
	expect_error(f, "fluidnpu.exit.criterion is 'mood'");

	build_good(f);
	om_meta(m, "fluidnpu.labels", "one,two,three");
	expect_error(f, "fluidnpu.labels has 3 names, exit 'out' has 2 classes");

	build_good(f);
	node_of(f, "in.q")->input[0] = (char *)"conv";
	expect_error(f, "the graph has a cycle");

	build_good(f);
	node_of(f, "conv.f")->input[1] = (char *)"lost";
	expect_error(f, "its input 'lost' is neither produced by a node nor an initializer");

	build_good(f);
	node_of(f, "conv.f")->output[0] = (char *)"in";
	expect_error(f, "its output 'in' is defined twice");

	build_good(f);
	m->opset.version = 9;
	expect_error(f, "opset 9 is not supported, 10 or later is");

	build_good(f);
	m->model.graph = NULL;
	expect_error(f, "it has no graph");
}

static void errors_in_tensors(void **state)
{
	struct fixture *f = *state;
	Onnx__TensorProto *t;

	build_good(f);
	tensor_of(f, "conv.w.codes")->raw_data.len = 143;
	expect_error(f, "tensor 'conv.w.codes': 143 bytes of data, its shape and type int8 need 144");

	build_good(f);
	tensor_of(f, "conv.w.codes")->dims[1] = -4;
	expect_error(f, "tensor 'conv.w.codes': dimension 1 is -4");

	build_good(f);
	t = tensor_of(f, "conv.w.codes");
	t->dims[0] = t->dims[1] = t->dims[2] = 1ll << 40;
	expect_error(f, "tensor 'conv.w.codes': more than 1073741824 elements");

	build_good(f);
	t = tensor_of(f, "conv.w.codes");
	t->has_raw_data = 0;
	expect_error(f, "its int8 data do not have the 144 elements of its shape");

	build_good(f);
	t = tensor_of(f, "conv.w.codes");
	t->has_data_location = 1;
	t->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
	expect_error(f, "data in an external file is not supported");

	build_good(f);
	tensor_of(f, "conv.w.codes")->data_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16;
	expect_error(f, "must be a DequantizeLinear of a constant int8 or uint8 tensor");
}

static void typed_fields_equal_raw_data(void **state)
{
	struct fixture *f = *state;
	struct npucc_program *raw, *typed;
	Onnx__TensorProto *t;
	unsigned int i;

	build_good(f);
	raw = compile(f);
	t = tensor_of(f, "conv.w.codes");
	t->has_raw_data = 0;
	t->n_int32_data = t->raw_data.len;
	t->int32_data = npucc_alloc(&f->arena, t->n_int32_data, sizeof(*t->int32_data));
	for (i = 0; i < t->n_int32_data; i++)
		t->int32_data[i] = (int8_t)t->raw_data.data[i];
	typed = compile(f);
	assert_int_equal(raw->image_bytes, typed->image_bytes);
	assert_memory_equal(raw->image, typed->image, raw->image_bytes);
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
	struct fixture *f = *state;
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
	build_three_exits(f);
	assert_int_equal(compile(f)->max_batch, 3);
	assert_int_equal(f->options.config.clock_hz, 1000000000);
}

/* Compiles a copy in its own block, so that ASan sees every read beyond it. */
static void compile_bytes(struct fixture *f, const uint8_t *data, size_t bytes)
{
	struct npucc_arena arena = { NULL };
	struct npucc_error error = { "" };
	uint8_t *copy = malloc(bytes + !bytes);

	memcpy(copy, data, bytes);
	if (!npucc_compile(&arena, copy, bytes, &f->options, &error))
		assert_int_not_equal(error.text[0], '\0');
	free(copy);
	npucc_arena_free(&arena);
}

static void truncated_models_are_errors(void **state)
{
	struct fixture *f = *state;
	size_t bytes, cut;
	uint8_t *data;

	build_good(f);
	data = om_pack(&f->m, &bytes);
	for (cut = 0; cut < bytes; cut++)
		compile_bytes(f, data, cut);
}

static void mutated_models_do_not_crash(void **state)
{
	struct fixture *f = *state;
	unsigned int seed = 7, round, i;
	size_t bytes;
	uint8_t *data, *copy;

	build_three_exits(f);
	data = om_pack(&f->m, &bytes);
	copy = npucc_alloc(&f->arena, bytes, 1);
	for (round = 0; round < 4000; round++) {
		memcpy(copy, data, bytes);
		for (i = 0; i <= round % 4; i++) {
			seed = seed * 1103515245 + 12345;
			copy[(seed >> 8) % bytes] ^= (uint8_t)(1u << (seed >> 4) % 8);
		}
		compile_bytes(f, copy, bytes);
	}
}

/* Graphs in attributes in nodes in graphs ... must not exhaust the stack. */
static void deep_nesting_is_an_error(void **state)
{
	enum { LEVELS = 20000, KEY_GRAPH = 7 << 3 | 2, KEY_NODE = 1 << 3 | 2, KEY_ATTRIBUTE = 5 << 3 | 2,
	       KEY_SUBGRAPH = 6 << 3 | 2 };
	static const uint8_t keys[] = { KEY_NODE, KEY_ATTRIBUTE, KEY_SUBGRAPH };
	struct fixture *f = *state;
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

static void real_model_compiles(void **state)
{
	struct fixture *f = *state;
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
	check_liveness(p);
	assert_int_equal(p->net->num_exits, 3);
	assert_int_equal(p->net->layers[p->net->num_layers - 1]->op, FLUIDNPU_LAYER_EXIT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

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
		TEST(errors_name_node_and_reason),
		TEST(errors_in_quantization),
		TEST(errors_in_shapes),
		TEST(errors_in_the_graph),
		TEST(errors_in_tensors),
		TEST(typed_fields_equal_raw_data),
		TEST(geometry_is_checked),
		TEST(truncated_models_are_errors),
		TEST(mutated_models_do_not_crash),
		TEST(deep_nesting_is_an_error),
		TEST(real_model_compiles),
	};

	return cmocka_run_group_tests_name("npucc", tests, NULL, NULL);
}
