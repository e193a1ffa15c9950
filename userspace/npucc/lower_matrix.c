// SPDX-License-Identifier: MIT
/*
 * Conv, Gemm and MatMul: everything that becomes a CONV layer.
 *
 * Weights change from ONNX's [out][in / groups][h][w] to the device's [out][h][w][in /
 * groups], because its activations are stored channels last. A fully connected layer is a
 * convolution whose kernel is as large as its input: 1x1 behind a global
 * pooling, the whole image behind a Flatten.
 */
#include <math.h>
#include <string.h>

#include "lower.h"

#define UINT8_WEIGHT_ZERO	128	/* uint8 weights are symmetric around this */
#define BIAS_SCALE_TOLERANCE	1e-3

/* Weights as they come out of a DequantizeLinear, and where their parts are. */
struct weights {
	const struct npucc_operand *operand;
	const struct npucc_const *codes;
	unsigned int out_axis;
};

static bool check_zero_points(struct npucc_lowering *l, const struct npucc_node *node,
			      const struct npucc_operand *o)
{
	const struct npucc_const *z = o->zero_point;
	size_t i;

	if (!z)
		return o->codes->i8 || npucc_fail_node(l->error, node, "uint8 weights need zero point 128: only symmetric weights are supported");
	for (i = 0; i < z->count; i++)
		if (z->i8 ? z->i8[i] : z->u8[i] != UINT8_WEIGHT_ZERO)
			return npucc_fail_node(l->error, node, "weights have a zero point: only symmetric weights (int8 with 0, uint8 with 128) are supported");
	return true;
}

/* Input 1 as int8 or uint8 weights of rank @rank whose axis @out_axis is the output. */
static bool read_weights(struct npucc_lowering *l, const struct npucc_node *node,
			 unsigned int rank, unsigned int out_axis, struct weights *w)
{
	const struct npucc_operand *o = node->inputs[1]->operand;
	const struct npucc_const *c;
	unsigned int i;

	if (!o || o->kind != OPERAND_REAL_CONST || (!o->codes->i8 && !o->codes->u8))
		return npucc_fail_node(l->error, node, "weights '%s' must be a DequantizeLinear of a constant int8 or uint8 tensor",
				       node->inputs[1]->name);
	c = o->codes;
	if (c->rank != rank)
		return npucc_fail_node(l->error, node, "weights '%s' have rank %u, supported is %u",
				       node->inputs[1]->name, c->rank, rank);
	for (i = 0; i < rank; i++)
		if (c->dims[i] < 1 || c->dims[i] > UINT16_MAX)
			return npucc_fail_node(l->error, node, "weights '%s': dimension %u is %lld, supported is 1 to %d",
					       node->inputs[1]->name, i, (long long)c->dims[i], UINT16_MAX);
	if (o->scale->count != 1 &&
	    (o->axis != out_axis || o->scale->count != (size_t)c->dims[out_axis]))
		return npucc_fail_node(l->error, node, "weights must be quantized per tensor or per output channel (axis %u, %lld scales), not with %zu scales along axis %lld",
				       out_axis, (long long)c->dims[out_axis], o->scale->count,
				       (long long)o->axis);
	w->operand = o;
	w->codes = c;
	w->out_axis = out_axis;
	return check_zero_points(l, node, o);
}

static int8_t weight_at(const struct npucc_const *c, size_t index)
{
	return c->i8 ? c->i8[index] : (int8_t)(c->u8[index] - UINT8_WEIGHT_ZERO);
}

static void set_weight_scales(struct npucc_lowering *l, struct npucc_layer *layer,
			      const struct weights *w)
{
	const struct npucc_const *s = w->operand->scale;
	unsigned int i;

	layer->weight_scale = npucc_alloc(l->arena, layer->out->c, sizeof(float));
	for (i = 0; i < layer->out->c; i++)
		layer->weight_scale[i] = s->f32[s->count == 1 ? 0 : i];
}

static void set_macs(struct npucc_layer *layer)
{
	layer->macs = npucc_tensor_bytes(layer->out) * layer->window.kernel_h *
		      layer->window.kernel_w * (layer->in[0]->c / layer->groups);
}

/* int32 codes of a bias whose DequantizeLinear uses the scale of the accumulator. */
static bool bias_from_codes(struct npucc_lowering *l, const struct npucc_node *node,
			    struct npucc_layer *layer, const struct npucc_operand *o)
{
	const struct npucc_const *z = o->zero_point;
	unsigned int i;

	if (!o->codes->i32 || o->codes->count != layer->out->c ||
	    (o->scale->count != 1 && o->scale->count != layer->out->c))
		return npucc_fail_node(l->error, node, "bias must be %u int32 values with one scale or one scale each",
				       layer->out->c);
	for (i = 0; z && i < z->count; i++)
		if (z->i32[i])
			return npucc_fail_node(l->error, node, "bias has a zero point: not supported");
	for (i = 0; i < layer->out->c; i++) {
		double want = (double)layer->in[0]->scale * (double)layer->weight_scale[i];
		double scale = (double)o->scale->f32[o->scale->count == 1 ? 0 : i];

		if (fabs(scale - want) > want * BIAS_SCALE_TOLERANCE)
			return npucc_fail_node(l->error, node, "bias scale of channel %u is %g, must be input scale times weight scale, %g",
					       i, scale, want);
		layer->bias[i] = o->codes->i32[i];
	}
	return true;
}

/* A bias left in float, as some exporters do: quantized here to the scale of the accumulator. */
static bool bias_from_floats(struct npucc_lowering *l, const struct npucc_node *node,
			     struct npucc_layer *layer, const struct npucc_const *c)
{
	unsigned int i;

	if (!c->f32 || c->count != layer->out->c)
		return npucc_fail_node(l->error, node, "bias must be %u float values", layer->out->c);
	for (i = 0; i < layer->out->c; i++) {
		double scale = (double)layer->in[0]->scale * (double)layer->weight_scale[i];
		double code = rint((double)c->f32[i] / scale);

		if (!(code >= INT32_MIN && code <= INT32_MAX))
			return npucc_fail_node(l->error, node, "bias of channel %u is %g, out of range for int32 at scale %g",
					       i, (double)c->f32[i], scale);
		layer->bias[i] = (int32_t)code;
	}
	return true;
}

bool npucc_attach_bias(struct npucc_lowering *l, const struct npucc_node *node,
		       struct npucc_layer *layer, const struct npucc_value *value)
{
	layer->bias = npucc_alloc(l->arena, layer->out->c, sizeof(*layer->bias));
	if (!value)
		return true;
	if (value->constant)
		return bias_from_floats(l, node, layer, value->constant);
	if (value->operand && value->operand->kind == OPERAND_REAL_CONST)
		return bias_from_codes(l, node, layer, value->operand);
	return npucc_fail_node(l->error, node, "bias '%s' is not a constant", value->name);
}

static const struct npucc_value *bias_input(const struct npucc_node *node)
{
	return node->num_inputs > 2 ? node->inputs[2] : NULL;
}

static bool conv_attrs(struct npucc_lowering *l, const struct npucc_node *node,
		       const struct npucc_tensor *in, const struct npucc_const *weights,
		       int64_t *groups)
{
	static const char *const known[] = {
		"auto_pad", "dilations", "group", "kernel_shape", "pads", "strides", NULL
	};

	*groups = 1;
	if (!npucc_attrs_known(node, known, l->error) ||
	    !npucc_attr_int(node, "group", groups, l->error))
		return false;
	if (*groups < 1 || in->c % *groups || weights->dims[0] % *groups)
		return npucc_fail_node(l->error, node, "group %lld does not divide %u input and %lld output channels",
				       (long long)*groups, in->c, (long long)weights->dims[0]);
	if (weights->dims[1] != in->c / *groups)
		return npucc_fail_node(l->error, node, "weights are for %lld input channels per group, the input has %u channels in %lld groups",
				       (long long)weights->dims[1], in->c, (long long)*groups);
	return true;
}

static void conv_weights(struct npucc_lowering *l, struct npucc_layer *layer,
			 const struct npucc_const *c)
{
	size_t out_c = (size_t)c->dims[0], in_c = (size_t)c->dims[1];
	size_t size = (size_t)c->dims[2] * (size_t)c->dims[3], m, p, i;

	layer->weights = npucc_alloc(l->arena, c->count, 1);
	for (m = 0; m < out_c; m++)
		for (i = 0; i < in_c; i++)
			for (p = 0; p < size; p++)
				layer->weights[(m * size + p) * in_c + i] =
					weight_at(c, (m * in_c + i) * size + p);
}

bool npucc_lower_conv(struct npucc_lowering *l, const struct npucc_node *node)
{
	struct npucc_window window = { 0 };
	struct npucc_operand *x;
	struct npucc_layer *layer;
	unsigned int out_h, out_w;
	struct weights w;
	int64_t groups;

	if (!npucc_inputs(l, node, 2, 3))
		return false;
	x = npucc_operand_real(l, node, 0);
	if (!x || !read_weights(l, node, 4, 0, &w))
		return false;
	if (x->flat)
		return npucc_fail_node(l->error, node, "its input has rank 2; only 2-D convolutions of [N, C, H, W] are supported");
	if (!conv_attrs(l, node, x->tensor, w.codes, &groups))
		return false;
	window.kernel_h = (unsigned int)w.codes->dims[2];
	window.kernel_w = (unsigned int)w.codes->dims[3];
	if (!npucc_read_window(l, node, x->tensor, &window, &out_h, &out_w))
		return false;
	layer = npucc_new_layer(l, node, FLUIDNPU_LAYER_CONV, x->tensor, out_h, out_w,
				(unsigned int)w.codes->dims[0]);
	if (!layer)
		return false;
	layer->window = window;
	layer->groups = (unsigned int)groups;
	conv_weights(l, layer, w.codes);
	set_weight_scales(l, layer, &w);
	set_macs(layer);
	return npucc_attach_bias(l, node, layer, bias_input(node));
}

/* The matrix @c, [out][in] or (@transposed false) [in][out], as a kernel as large as @in. */
static void matrix_weights(struct npucc_lowering *l, struct npucc_layer *layer,
			   const struct npucc_const *c, bool transposed)
{
	const struct npucc_tensor *in = layer->in[0];
	size_t depth = npucc_tensor_bytes(in), size = (size_t)in->h * in->w;
	size_t out_c = layer->out->c, m, i, p;

	layer->weights = npucc_alloc(l->arena, c->count, 1);
	for (m = 0; m < out_c; m++)
		for (i = 0; i < in->c; i++)
			for (p = 0; p < size; p++) {
				size_t k = i * size + p;	/* ONNX flattens channels first */

				layer->weights[m * depth + p * in->c + i] =
					weight_at(c, transposed ? m * depth + k : k * out_c + m);
			}
}

/* y = x W^T (@transposed) or x W, plus @bias. */
static bool lower_matrix(struct npucc_lowering *l, const struct npucc_node *node, bool transposed,
			 const struct npucc_value *bias)
{
	struct npucc_operand *x = npucc_operand_real(l, node, 0);
	struct npucc_layer *layer;
	struct weights w;

	if (!x || !read_weights(l, node, 2, transposed ? 0 : 1, &w))
		return false;
	if (!x->flat)
		return npucc_fail_node(l->error, node, "its input has rank 4; put a Flatten before it");
	if ((uint64_t)w.codes->dims[!w.out_axis] != npucc_tensor_bytes(x->tensor))
		return npucc_fail_node(l->error, node, "weights are for %lld inputs, its input has %llu",
				       (long long)w.codes->dims[!w.out_axis],
				       (unsigned long long)npucc_tensor_bytes(x->tensor));
	if (x->tensor->h > UINT8_MAX || x->tensor->w > UINT8_MAX)
		return npucc_fail_node(l->error, node, "a fully connected layer over %u x %u is not supported, only up to %d x %d",
				       x->tensor->h, x->tensor->w, UINT8_MAX, UINT8_MAX);
	layer = npucc_new_layer(l, node, FLUIDNPU_LAYER_CONV, x->tensor, 1, 1,
				(unsigned int)w.codes->dims[w.out_axis]);
	if (!layer)
		return false;
	node->outputs[0]->operand->flat = true;
	layer->window.kernel_h = x->tensor->h;
	layer->window.kernel_w = x->tensor->w;
	matrix_weights(l, layer, w.codes, transposed);
	set_weight_scales(l, layer, &w);
	set_macs(layer);
	return npucc_attach_bias(l, node, layer, bias);
}

bool npucc_lower_gemm(struct npucc_lowering *l, const struct npucc_node *node)
{
	static const char *const known[] = { "alpha", "beta", "transA", "transB", NULL };
	float alpha = 1.0f, beta = 1.0f;
	int64_t trans_a = 0, trans_b = 0;

	if (!npucc_inputs(l, node, 2, 3) || !npucc_attrs_known(node, known, l->error) ||
	    !npucc_attr_float(node, "alpha", &alpha, l->error) ||
	    !npucc_attr_float(node, "beta", &beta, l->error) ||
	    !npucc_attr_int(node, "transA", &trans_a, l->error) ||
	    !npucc_attr_int(node, "transB", &trans_b, l->error))
		return false;
	if (alpha != 1.0f || beta != 1.0f || trans_a)
		return npucc_fail_node(l->error, node, "alpha %g, beta %g, transA %lld: only 1, 1, 0 are supported",
				       (double)alpha, (double)beta, (long long)trans_a);
	return lower_matrix(l, node, trans_b != 0, bias_input(node));
}

bool npucc_lower_matmul(struct npucc_lowering *l, const struct npucc_node *node)
{
	static const char *const known[] = { NULL };

	return npucc_inputs(l, node, 2, 2) && npucc_attrs_known(node, known, l->error) &&
	       lower_matrix(l, node, false, NULL);
}
