// SPDX-License-Identifier: MIT
/*
 * The numbers of a layer once the quantization of its output is known:
 * requantization scales and clamps.
 *
 * The device multiplies by one binary32 per output channel. For equal bits with
 * ONNX Runtime these must be computed as its kernels do, in binary32 and in this
 * order (tools/models/ARITHMETIC.md):
 *
 *	Conv, Gemm	(s_x * s_w) / s_y	QLinearConv, QGemm
 *	Add		s_a / s_y, s_b / s_y	QLinearAdd, zero points in one constant
 *	global average	s_x / (s_y * window)	QLinearGlobalAveragePool
 *	other averages	s_x and s_y		QLinearAveragePool
 *	Concat		a table of all codes	QLinearConcat, also of one input
 */
#include <math.h>

#include "lower.h"

/* @real as a code of @t. Rounding is monotonic, so clamping codes clamps the numbers. */
static int quantize(const struct npucc_tensor *t, float real)
{
	float code = rintf(real / t->scale) + (float)t->zero_point;

	if (!(code > INT8_MIN))
		return INT8_MIN;
	return code < INT8_MAX ? (int)code : INT8_MAX;
}

static bool check_scale(struct npucc_lowering *l, const struct npucc_node *node, float scale)
{
	if (isnormal(scale))
		return true;
	return npucc_fail_node(l->error, node, "requantization scale is %g: the scales before and behind it differ too much",
			       (double)scale);
}

static bool conv_scales(struct npucc_lowering *l, const struct npucc_node *node,
			struct npucc_layer *layer)
{
	unsigned int i;

	layer->scale = npucc_alloc(l->arena, layer->out->c, sizeof(*layer->scale));
	for (i = 0; i < layer->out->c; i++) {
		float product = layer->in[0]->scale * layer->weight_scale[i];

		layer->scale[i] = product / layer->out->scale;
		if (!check_scale(l, node, layer->scale[i]))
			return false;
	}
	return true;
}

/* uint8 codes are added and averaged as such: rounding to even depends on it. */
static float model_zero_point(const struct npucc_tensor *t, bool is_unsigned)
{
	return (float)(t->zero_point + (is_unsigned ? NPUCC_UINT8_SHIFT : 0));
}

static bool add_scales(struct npucc_lowering *l, const struct npucc_node *node,
		       struct npucc_layer *layer)
{
	const struct npucc_tensor *a = layer->in[0], *b = layer->in[1], *out = layer->out;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		layer->scale_in[i] = layer->in[i]->scale / out->scale;
		if (!check_scale(l, node, layer->scale_in[i]))
			return false;
	}
	layer->add_fixed = model_zero_point(out, out->is_unsigned) -
			   fmaf(model_zero_point(a, out->is_unsigned), layer->scale_in[0],
				layer->scale_in[1] * model_zero_point(b, out->is_unsigned));
	return true;
}

/* A window as large as the input is a global average, whatever the operator is called. */
static bool is_global(const struct npucc_layer *layer)
{
	const struct npucc_window *w = &layer->window;

	return w->kernel_h == layer->in[0]->h && w->kernel_w == layer->in[0]->w &&
	       !w->pad_t && !w->pad_b && !w->pad_l && !w->pad_r;
}

static bool average_scales(struct npucc_lowering *l, const struct npucc_node *node,
			   struct npucc_layer *layer)
{
	float window = (float)(layer->window.kernel_h * layer->window.kernel_w);

	if (is_global(layer)) {
		layer->scale_in[0] = layer->in[0]->scale / (layer->out->scale * window);
		return check_scale(l, node, layer->scale_in[0]);
	}
	layer->scale_in[0] = layer->in[0]->scale;
	layer->scale_in[1] = layer->out->scale;
	return true;
}

/* Dequantize, clamp, quantize, for every code. */
static void fill_table(struct npucc_lowering *l, struct npucc_layer *layer)
{
	const struct npucc_tensor *in = layer->in[0], *out = layer->out;
	int code;

	layer->table = npucc_alloc(l->arena, FLUIDNPU_TABLE_BYTES, 1);
	for (code = INT8_MIN; code <= INT8_MAX; code++) {
		float real = (float)(code - in->zero_point) * in->scale;

		real = fminf(fmaxf(real, layer->real_min), layer->real_max);
		layer->table[code - INT8_MIN] = (int8_t)quantize(out, real);
	}
}

bool npucc_finish_layer(struct npucc_lowering *l, const struct npucc_node *node,
			struct npucc_layer *layer)
{
	const struct npucc_tensor *out = layer->out;

	layer->clamp_min = quantize(out, layer->real_min);
	layer->clamp_max = quantize(out, layer->real_max);
	switch (layer->op) {
	case FLUIDNPU_LAYER_CONV:
		return conv_scales(l, node, layer);
	case FLUIDNPU_LAYER_ADD:
		return add_scales(l, node, layer);
	case FLUIDNPU_LAYER_AVGPOOL:
		return average_scales(l, node, layer);
	case FLUIDNPU_LAYER_CONCAT:
		for (; layer; layer = layer->sibling)
			fill_table(l, layer);
		return true;
	case FLUIDNPU_LAYER_MAXPOOL:
	case FLUIDNPU_LAYER_EXIT:
		break;
	}
	return true;
}
