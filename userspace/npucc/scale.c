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
 *	averages	s_x / (s_y * window)	QLinearGlobalAveragePool
 */
#include <math.h>

#include "lower.h"

/* Real @bound as a code of @t; rounding is monotonic, so clamping codes clamps the numbers. */
static int clamp_code(const struct npucc_tensor *t, float bound)
{
	float code = rintf(bound / t->scale) + (float)t->zero_point;

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

bool npucc_finish_layer(struct npucc_lowering *l, const struct npucc_node *node,
			struct npucc_layer *layer)
{
	const struct npucc_tensor *out = layer->out;
	unsigned int i;
	float window;

	layer->clamp_min = clamp_code(out, layer->real_min);
	layer->clamp_max = clamp_code(out, layer->real_max);
	switch (layer->op) {
	case FLUIDNPU_LAYER_CONV:
		return conv_scales(l, node, layer);
	case FLUIDNPU_LAYER_ADD:
		for (i = 0; i < 2; i++) {
			layer->scale_in[i] = layer->in[i]->scale / out->scale;
			if (!check_scale(l, node, layer->scale_in[i]))
				return false;
		}
		layer->add_fixed = (float)out->zero_point -
				   fmaf((float)layer->in[0]->zero_point, layer->scale_in[0],
					layer->scale_in[1] * (float)layer->in[1]->zero_point);
		return true;
	case FLUIDNPU_LAYER_AVGPOOL:
		window = (float)(layer->window.kernel_h * layer->window.kernel_w);
		layer->scale_in[0] = layer->in[0]->scale / (out->scale * window);
		return check_scale(l, node, layer->scale_in[0]);
	case FLUIDNPU_LAYER_MAXPOOL:
		if (layer->in[0]->scale != out->scale || layer->in[0]->zero_point != out->zero_point)
			return npucc_fail_node(l->error, node, "'%s' does not change the scale; quantize its output like its input",
					       layer->name);
		return true;
	case FLUIDNPU_LAYER_CONCAT:
	case FLUIDNPU_LAYER_EXIT:
		break;
	}
	return true;
}
