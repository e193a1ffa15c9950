// SPDX-License-Identifier: MIT
/*
 * Conv, Gemm and MatMul and their QLinear forms: everything that becomes a CONV layer.
 *
 * Weights change from ONNX's [out][in / groups][h][w] to the device's [out][h][w][in /
 * groups], because its activations are stored channels last. A fully connected layer is a
 * convolution whose kernel is as large as its input: 1x1 behind a global
 * pooling, the whole image behind a Flatten.
 *
 * The two forms differ in where activation, weights and bias come from and in when the
 * output's quantization is known; struct matrix is what they have in common.
 */
#include <math.h>
#include <string.h>

#include "lower.h"

#define BIAS_SCALE_TOLERANCE	1e-3

/**
 * struct matrix - the operands of a Conv, Gemm or MatMul
 * @x: activation
 * @w: weights, a REAL_CONST of int8 or uint8 codes
 * @w_name: of the weights, for messages
 * @bias: NULL: none
 */
struct matrix {
	const struct npucc_operand *x;
	struct npucc_operand w;
	const char *w_name;
	const struct npucc_value *bias;
};

/* Inputs x, weights, bias (where there may be one) between DequantizeLinears. */
static bool read_real(struct npucc_lowering *l, const struct npucc_node *node, struct matrix *m)
{
	const struct npucc_operand *w = node->inputs[1]->operand;

	m->w_name = node->inputs[1]->name;
	m->x = npucc_operand_real(l, node, 0);
	if (!m->x)
		return false;
	if (!w || w->kind != OPERAND_REAL_CONST || (!w->codes->i8 && !w->codes->u8))
		return npucc_fail_node(l->error, node, "weights '%s' must be a DequantizeLinear of a constant int8 or uint8 tensor",
				       m->w_name);
	m->w = *w;
	m->bias = node->num_inputs > 2 ? node->inputs[2] : NULL;
	return true;
}

/*
 * Inputs x, weights, both with scale and zero point, and the bias at @bias. Scales of
 * weights are per tensor or per output channel, on axis @axis.
 */
static bool read_codes(struct npucc_lowering *l, const struct npucc_node *node,
		       unsigned int bias, int64_t axis, struct matrix *m)
{
	m->w_name = node->inputs[3]->name;
	m->x = npucc_operand_codes(l, node, 0);
	if (!m->x || !npucc_read_const(l, node, 3, axis, &m->w))
		return false;
	if (!m->w.codes->i8 && !m->w.codes->u8)
		return npucc_fail_node(l->error, node, "weights '%s' are %s, must be int8 or uint8",
				       m->w_name, npucc_type_name(m->w.codes->type));
	m->bias = bias < node->num_inputs ? node->inputs[bias] : NULL;
	return true;
}

/* Are the weights of rank @rank, with @out_axis for the output channels? */
static bool check_weights(struct npucc_lowering *l, const struct npucc_node *node,
			  const struct matrix *m, unsigned int rank, unsigned int out_axis)
{
	const struct npucc_operand *w = &m->w;
	const struct npucc_const *c = w->codes;
	unsigned int i;

	if (c->rank != rank)
		return npucc_fail_node(l->error, node, "weights '%s' have rank %u, supported is %u",
				       m->w_name, c->rank, rank);
	for (i = 0; i < rank; i++)
		if (c->dims[i] < 1 || c->dims[i] > UINT16_MAX)
			return npucc_fail_node(l->error, node, "weights '%s': dimension %u is %lld, supported is 1 to %d",
					       m->w_name, i, (long long)c->dims[i], UINT16_MAX);
	if (w->scale->count != 1 &&
	    (w->axis != out_axis || w->scale->count != (size_t)c->dims[out_axis]))
		return npucc_fail_node(l->error, node, "weights must be quantized per tensor or per output channel (axis %u, %lld scales), not with %zu scales along axis %lld",
				       out_axis, (long long)c->dims[out_axis], w->scale->count,
				       (long long)w->axis);
	return true;
}

static int8_t code_at(const struct npucc_const *c, size_t index)
{
	return c->i8 ? c->i8[index] : (int8_t)(c->u8[index] - NPUCC_UINT8_SHIFT);
}

/* Zero points on the device's scale; none when all are 0. */
static void set_weight_zero_points(struct npucc_lowering *l, struct npucc_layer *layer,
				   const struct npucc_operand *w)
{
	const struct npucc_const *z = w->zero_point;
	int8_t *zp = npucc_alloc(l->arena, layer->out->c, 1);
	bool symmetric = true;
	unsigned int i;

	for (i = 0; i < layer->out->c; i++) {
		if (z)
			zp[i] = code_at(z, z->count == 1 ? 0 : i);
		else
			zp[i] = w->codes->u8 ? -NPUCC_UINT8_SHIFT : 0;
		symmetric &= !zp[i];
	}
	layer->weight_zp = symmetric ? NULL : zp;
}

static void set_weight_scales(struct npucc_lowering *l, struct npucc_layer *layer,
			      const struct npucc_operand *w)
{
	const struct npucc_const *s = w->scale;
	unsigned int i;

	layer->weight_scale = npucc_alloc(l->arena, layer->out->c, sizeof(float));
	for (i = 0; i < layer->out->c; i++)
		layer->weight_scale[i] = s->f32[s->count == 1 ? 0 : i];
	set_weight_zero_points(l, layer, w);
}

static void set_macs(struct npucc_layer *layer)
{
	layer->macs = npucc_tensor_bytes(layer->out) * layer->window.kernel_h *
		      layer->window.kernel_w * (layer->in[0]->c / layer->groups);
}

/* One element per output channel, along the last dimension, or one for all. */
static bool is_row(const struct npucc_layer *layer, const struct npucc_const *c)
{
	return (c->count == layer->out->c || c->count == 1) && c->rank <= 2 &&
	       (c->rank < 2 || c->dims[0] == 1);
}

/* int32 codes of a bias whose DequantizeLinear uses the scale of the accumulator. */
static bool bias_from_codes(struct npucc_lowering *l, const struct npucc_node *node,
			    struct npucc_layer *layer, const struct npucc_operand *o)
{
	const struct npucc_const *z = o->zero_point;
	unsigned int i;

	if (!o->codes->i32 || !is_row(layer, o->codes) || !is_row(layer, o->scale))
		return npucc_fail_node(l->error, node, "bias must be %u int32 values in its last dimension, with one scale or one scale each",
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
		layer->bias[i] = o->codes->i32[o->codes->count == 1 ? 0 : i];
	}
	return true;
}

/*
 * Not behind a DequantizeLinear: int32 codes of a QLinear operator, or a bias left in float, as
 * some exporters do: quantized here to the scale of the accumulator.
 */
static bool bias_from_const(struct npucc_lowering *l, const struct npucc_node *node,
			    struct npucc_layer *layer, const struct npucc_const *c)
{
	unsigned int i;

	if ((!c->f32 && !c->i32) || !is_row(layer, c))
		return npucc_fail_node(l->error, node, "bias must be %u float or int32 values, one per output channel, in its last dimension",
				       layer->out->c);
	for (i = 0; i < layer->out->c; i++) {
		double scale = (double)layer->in[0]->scale * (double)layer->weight_scale[i];
		size_t at = c->count == 1 ? 0 : i;
		double code = c->i32 ? c->i32[at] : rint((double)c->f32[at] / scale);

		if (!(code >= INT32_MIN && code <= INT32_MAX))
			return npucc_fail_node(l->error, node, "bias of channel %u is %g, out of range for int32 at scale %g",
					       i, (double)c->f32[at], scale);
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
		return bias_from_const(l, node, layer, value->constant);
	if (value->operand && value->operand->kind == OPERAND_REAL_CONST)
		return bias_from_codes(l, node, layer, value->operand);
	return npucc_fail_node(l->error, node, "bias '%s' is not a constant", value->name);
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

static bool conv_weights(struct npucc_lowering *l, const struct npucc_node *node,
			 struct npucc_layer *layer, const struct npucc_const *c)
{
	size_t out_c = (size_t)c->dims[0], in_c = (size_t)c->dims[1];
	size_t size = (size_t)c->dims[2] * (size_t)c->dims[3], m, p, i;

	layer->weights = npucc_alloc_codes(l, node, c->count);
	if (!layer->weights)
		return false;
	for (m = 0; m < out_c; m++)
		for (i = 0; i < in_c; i++)
			for (p = 0; p < size; p++)
				layer->weights[(m * size + p) * in_c + i] =
					code_at(c, (m * in_c + i) * size + p);
	return true;
}

static bool lower_conv(struct npucc_lowering *l, const struct npucc_node *node,
		       const struct matrix *m)
{
	struct npucc_window window = { 0 };
	const struct npucc_const *codes = m->w.codes;
	unsigned int out_h, out_w;
	struct npucc_layer *layer;
	int64_t groups;

	if (m->x->flat)
		return npucc_fail_node(l->error, node, "its input has rank 2; only 2-D convolutions of [N, C, H, W] are supported");
	if (!check_weights(l, node, m, 4, 0) ||
	    !conv_attrs(l, node, m->x->tensor, codes, &groups))
		return false;
	window.kernel_h = (unsigned int)codes->dims[2];
	window.kernel_w = (unsigned int)codes->dims[3];
	if (!npucc_read_window(l, node, m->x->tensor, &window, &out_h, &out_w))
		return false;
	layer = npucc_new_layer(l, node, FLUIDNPU_LAYER_CONV, m->x->tensor, out_h, out_w,
				(unsigned int)codes->dims[0]);
	if (!layer)
		return false;
	layer->window = window;
	layer->groups = (unsigned int)groups;
	if (!conv_weights(l, node, layer, codes))
		return false;
	set_weight_scales(l, layer, &m->w);
	set_macs(layer);
	return npucc_attach_bias(l, node, layer, m->bias);
}

bool npucc_lower_conv(struct npucc_lowering *l, const struct npucc_node *node)
{
	struct matrix m;

	return npucc_inputs(l, node, 2, 3) && read_real(l, node, &m) && lower_conv(l, node, &m);
}

bool npucc_lower_qlinear_conv(struct npucc_lowering *l, const struct npucc_node *node)
{
	struct matrix m;

	return npucc_inputs(l, node, 8, 9) && read_codes(l, node, 8, 0, &m) &&
	       lower_conv(l, node, &m) && npucc_complete_qlinear(l, node, 6);
}

/* The matrix @c, [out][in] or (@transposed false) [in][out], as a kernel as large as @in. */
static bool matrix_weights(struct npucc_lowering *l, const struct npucc_node *node,
			   struct npucc_layer *layer, const struct npucc_const *c, bool transposed)
{
	const struct npucc_tensor *in = layer->in[0];
	size_t depth = npucc_tensor_bytes(in), size = (size_t)in->h * in->w;
	size_t out_c = layer->out->c, m, i, p;

	layer->weights = npucc_alloc_codes(l, node, c->count);
	if (!layer->weights)
		return false;
	for (m = 0; m < out_c; m++)
		for (i = 0; i < in->c; i++)
			for (p = 0; p < size; p++) {
				size_t k = i * size + p;	/* ONNX flattens channels first */

				layer->weights[m * depth + p * in->c + i] =
					code_at(c, transposed ? m * depth + k : k * out_c + m);
			}
	return true;
}

/* y = x W^T (@transposed) or x W, plus bias. */
static bool lower_matrix(struct npucc_lowering *l, const struct npucc_node *node, bool transposed,
			 const struct matrix *m)
{
	const unsigned int out_axis = transposed ? 0 : 1;
	const struct npucc_const *codes = m->w.codes;
	struct npucc_tensor *x = m->x->tensor;
	struct npucc_layer *layer;

	if (!check_weights(l, node, m, 2, out_axis))
		return false;
	if (!m->x->flat)
		return npucc_fail_node(l->error, node, "its input has rank 4; put a Flatten before it");
	if ((uint64_t)codes->dims[!out_axis] != npucc_tensor_bytes(x))
		return npucc_fail_node(l->error, node, "weights are for %lld inputs, its input has %llu",
				       (long long)codes->dims[!out_axis],
				       (unsigned long long)npucc_tensor_bytes(x));
	if (x->h > UINT8_MAX || x->w > UINT8_MAX)
		return npucc_fail_node(l->error, node, "a fully connected layer over %u x %u is not supported, only up to %d x %d",
				       x->h, x->w, UINT8_MAX, UINT8_MAX);
	layer = npucc_new_layer(l, node, FLUIDNPU_LAYER_CONV, x, 1, 1,
				(unsigned int)codes->dims[out_axis]);
	if (!layer)
		return false;
	node->outputs[0]->operand->flat = true;
	layer->window.kernel_h = x->h;
	layer->window.kernel_w = x->w;
	if (!matrix_weights(l, node, layer, codes, transposed))
		return false;
	set_weight_scales(l, layer, &m->w);
	set_macs(layer);
	return npucc_attach_bias(l, node, layer, m->bias);
}

/* Gemm's attributes; QGemm has no beta. */
static bool gemm_attrs(struct npucc_lowering *l, const struct npucc_node *node,
		       const char *const *known, bool *transposed)
{
	float alpha = 1.0f, beta = 1.0f;
	int64_t trans_a = 0, trans_b = 0;

	if (!npucc_attrs_known(node, known, l->error) ||
	    !npucc_attr_float(node, "alpha", &alpha, l->error) ||
	    !npucc_attr_float(node, "beta", &beta, l->error) ||
	    !npucc_attr_int(node, "transA", &trans_a, l->error) ||
	    !npucc_attr_int(node, "transB", &trans_b, l->error))
		return false;
	if (alpha != 1.0f || beta != 1.0f || trans_a)
		return npucc_fail_node(l->error, node, "alpha %g, beta %g, transA %lld: only 1, 1, 0 are supported",
				       (double)alpha, (double)beta, (long long)trans_a);
	*transposed = trans_b != 0;
	return true;
}

bool npucc_lower_gemm(struct npucc_lowering *l, const struct npucc_node *node)
{
	static const char *const known[] = { "alpha", "beta", "transA", "transB", NULL };
	bool transposed;
	struct matrix m;

	return npucc_inputs(l, node, 2, 3) && gemm_attrs(l, node, known, &transposed) &&
	       read_real(l, node, &m) && lower_matrix(l, node, transposed, &m);
}

bool npucc_lower_qgemm(struct npucc_lowering *l, const struct npucc_node *node)
{
	static const char *const known[] = { "alpha", "transA", "transB", NULL };
	bool transposed;
	struct matrix m;

	if (!npucc_inputs(l, node, 6, 9) || !gemm_attrs(l, node, known, &transposed))
		return false;
	if (node->num_inputs < 8 || !node->inputs[7])
		return npucc_fail_node(l->error, node, "without an output scale its result is float; quantize it");
	return read_codes(l, node, 6, transposed ? 0 : 1, &m) &&
	       lower_matrix(l, node, transposed, &m) && npucc_complete_qlinear(l, node, 7);
}

bool npucc_lower_matmul(struct npucc_lowering *l, const struct npucc_node *node)
{
	static const char *const known[] = { NULL };
	struct matrix m;

	return npucc_inputs(l, node, 2, 2) && npucc_attrs_known(node, known, l->error) &&
	       read_real(l, node, &m) && lower_matrix(l, node, false, &m);
}

bool npucc_lower_qlinear_matmul(struct npucc_lowering *l, const struct npucc_node *node)
{
	static const char *const known[] = { NULL };
	struct matrix m;

	return npucc_inputs(l, node, 8, 8) && npucc_attrs_known(node, known, l->error) &&
	       read_codes(l, node, 8, 1, &m) && lower_matrix(l, node, false, &m) &&
	       npucc_complete_qlinear(l, node, 6);
}
