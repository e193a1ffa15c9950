// SPDX-License-Identifier: MIT
/*
 * QuantizeLinear and DequantizeLinear, and how all operators read and set the
 * parameters that say which codes stand for which real numbers.
 */
#include <math.h>

#include "lower.h"

#define T(name) ONNX__TENSOR_PROTO__DATA_TYPE__##name

static bool check_attrs(struct npucc_lowering *l, const struct npucc_node *node, int64_t *axis)
{
	static const char *const known[] = { "axis", "saturate", "block_size", NULL };
	int64_t block = 0;

	*axis = 1;
	if (!npucc_attrs_known(node, known, l->error) ||
	    !npucc_attr_int(node, "axis", axis, l->error) ||
	    !npucc_attr_int(node, "block_size", &block, l->error))
		return false;
	if (block)
		return npucc_fail_node(l->error, node, "blocked quantization is not supported");
	return true;
}

/*
 * Inputs @index and @index + 1: a constant scale of positive numbers and, if there is one, a
 * constant zero point.
 */
static bool read_parameters(struct npucc_lowering *l, const struct npucc_node *node,
			    unsigned int index, const struct npucc_const **scale,
			    const struct npucc_const **zero)
{
	const struct npucc_value *s = index < node->num_inputs ? node->inputs[index] : NULL;
	const struct npucc_value *z = index + 1 < node->num_inputs ? node->inputs[index + 1] : NULL;
	size_t i;

	*scale = s ? s->constant : NULL;
	*zero = z ? z->constant : NULL;
	if (!*scale || !(*scale)->f32 || (z && !*zero))
		return npucc_fail_node(l->error, node, "scale must be a float constant and the zero point a constant");
	if (!(*scale)->count ||
	    (*zero && (*zero)->count != 1 && (*zero)->count != (*scale)->count))
		return npucc_fail_node(l->error, node, "%zu scales and %zu zero points",
				       (*scale)->count, *zero ? (*zero)->count : 0);
	for (i = 0; i < (*scale)->count; i++)
		if (!isnormal((*scale)->f32[i]) || (*scale)->f32[i] < 0)
			return npucc_fail_node(l->error, node, "scale is %g, must be a positive normal number",
					       (double)(*scale)->f32[i]);
	return true;
}

bool npucc_read_quantization(struct npucc_lowering *l, const struct npucc_node *node,
			     unsigned int index, int default_type, struct npucc_quantization *q)
{
	const struct npucc_const *s, *z;

	if (!read_parameters(l, node, index, &s, &z))
		return false;
	if (s->count != 1)
		return npucc_fail_node(l->error, node, "activations quantized per channel are not supported, only per tensor");
	if (z && !z->i8 && !z->u8)
		return npucc_fail_node(l->error, node, "quantization to %s is not supported, only int8 and uint8",
				       npucc_type_name(z->type));
	q->scale = s->f32[0];
	q->is_unsigned = z ? z->u8 != NULL : default_type == T(UINT8);
	if (q->is_unsigned)
		q->zero_point = (z ? z->u8[0] : 0) - NPUCC_UINT8_SHIFT;
	else
		q->zero_point = z ? z->i8[0] : 0;
	return true;
}

struct npucc_quantization npucc_quantization_of(const struct npucc_tensor *t)
{
	return (struct npucc_quantization){ t->scale, t->zero_point, t->is_unsigned };
}

static bool is_quantized_with(const struct npucc_tensor *t, const struct npucc_quantization *q)
{
	return t->scale == q->scale && t->zero_point == q->zero_point &&
	       t->is_unsigned == q->is_unsigned;
}

static void set_quantization(struct npucc_tensor *t, const struct npucc_quantization *q)
{
	t->scale = q->scale;
	t->zero_point = q->zero_point;
	t->is_unsigned = q->is_unsigned;
	t->quantized = true;
}

struct npucc_operand *npucc_operand_codes(struct npucc_lowering *l, const struct npucc_node *node,
					  unsigned int index)
{
	const struct npucc_value *v = node->inputs[index];
	struct npucc_quantization q;

	if (!v->operand || v->operand->kind != OPERAND_CODES) {
		npucc_fail_node(l->error, node, "input '%s' must be codes that a QuantizeLinear or another QLinear operator computes",
				v->name);
		return NULL;
	}
	if (!npucc_read_quantization(l, node, index + 1, T(UINT8), &q))
		return NULL;
	if (!is_quantized_with(v->operand->tensor, &q)) {
		npucc_fail_node(l->error, node, "scale and zero point differ from those that '%s' was quantized with",
				v->name);
		return NULL;
	}
	return v->operand;
}

static struct npucc_tensor *finish(struct npucc_lowering *l, const struct npucc_node *node,
				   struct npucc_layer *layer, const struct npucc_quantization *q)
{
	set_quantization(layer->out, q);
	return npucc_finish_layer(l, node, layer) ? layer->out : NULL;
}

/*
 * The maximum @o has the quantization of its input; another layer changes that, and clamps. What
 * stands for a clamped maximum is that layer's output, not the pool's.
 */
static struct npucc_tensor *finish_max_pool(struct npucc_lowering *l, const struct npucc_node *node,
					    struct npucc_operand *o,
					    const struct npucc_quantization *q)
{
	struct npucc_layer *pool = o->layer;
	const struct npucc_quantization same = npucc_quantization_of(pool->in[0]);
	struct npucc_layer *layer = npucc_requantize(l, node, pool->out);

	if (!layer)
		return NULL;
	if (pool->real_min > -INFINITY || pool->real_max < INFINITY)
		o->tensor = layer->out;
	layer->real_min = pool->real_min;
	layer->real_max = pool->real_max;
	pool->real_min = -INFINITY;
	pool->real_max = INFINITY;
	return finish(l, node, pool, &same) ? finish(l, node, layer, q) : NULL;
}

/* The codes of input 0, PENDING or REAL, under @q. */
static struct npucc_tensor *quantize(struct npucc_lowering *l, const struct npucc_node *node,
				     const struct npucc_quantization *q)
{
	struct npucc_operand *o = node->inputs[0]->operand;
	struct npucc_layer *layer = o->layer;

	if (o->tensor->quantized && is_quantized_with(o->tensor, q))
		return o->tensor;
	if (o->kind == OPERAND_REAL) {
		layer = npucc_requantize(l, node, o->tensor);
		return layer ? finish(l, node, layer, q) : NULL;
	}
	/* several QuantizeLinear may read one float result, but only if they agree */
	if (o->tensor->quantized) {
		npucc_operand_pending(l, node, 0);
		return NULL;
	}
	if (layer->op == FLUIDNPU_LAYER_MAXPOOL && !is_quantized_with(layer->in[0], q))
		return finish_max_pool(l, node, o, q);
	return finish(l, node, layer, q);
}

bool npucc_complete(struct npucc_lowering *l, const struct npucc_node *node,
		    const struct npucc_quantization *q)
{
	struct npucc_operand *o = node->outputs[0]->operand;

	o->kind = OPERAND_CODES;
	return finish(l, node, o->layer, q) != NULL;
}

bool npucc_complete_qlinear(struct npucc_lowering *l, const struct npucc_node *node,
			    unsigned int index)
{
	struct npucc_quantization q;

	return npucc_read_quantization(l, node, index, T(UINT8), &q) && npucc_complete(l, node, &q);
}

static struct npucc_tensor *quantize_input(struct npucc_lowering *l, const struct npucc_node *node,
					   const struct npucc_quantization *q)
{
	const struct npucc_graph *g = l->graph;
	struct npucc_tensor *t = l->net->input;

	if (t) {
		if (is_quantized_with(t, q))
			return t;
		npucc_fail_node(l->error, node, "the network's input is quantized twice with different parameters");
		return NULL;
	}
	t = npucc_alloc(l->arena, 1, sizeof(*t));
	t->name = g->input->name;
	t->c = (unsigned int)g->input_shape[0];
	t->h = g->input_rank == 3 ? (unsigned int)g->input_shape[1] : 1;
	t->w = g->input_rank == 3 ? (unsigned int)g->input_shape[2] : 1;
	if (npucc_tensor_bytes(t) > FLUIDNPU_MAX_TENSOR_BYTES) {
		npucc_fail_node(l->error, node, "an input of %ux%ux%u (HxWxC) is larger than %u bytes",
				t->h, t->w, t->c, FLUIDNPU_MAX_TENSOR_BYTES);
		return NULL;
	}
	set_quantization(t, q);
	l->net->input = t;
	return t;
}

/* Element @i of @z, or what it is when there is none. */
static int zero_point_at(const struct npucc_const *z, size_t i)
{
	if (!z)
		return 0;
	i = z->count == 1 ? 0 : i;
	return z->i8 ? z->i8[i] : z->u8[i];
}

/* The @count numbers at @real as codes; the parameters change every @inner numbers. */
static void quantize_numbers(int8_t *codes, const float *real, size_t count, size_t inner,
			     const struct npucc_const *s, const struct npucc_const *z)
{
	const int lo = z && z->i8 ? INT8_MIN : 0, hi = lo + UINT8_MAX;
	size_t i;

	for (i = 0; i < count; i++) {
		size_t k = i / inner % s->count;
		float v = rintf(real[i] / s->f32[k]) + (float)zero_point_at(z, k);

		codes[i] = (int8_t)(v > (float)lo ? v < (float)hi ? (int)v : hi : lo);
	}
}

/* Weights that an exporter left in float in front of their QuantizeLinear. */
static bool quantize_const(struct npucc_lowering *l, const struct npucc_node *node, int64_t axis)
{
	const struct npucc_const *c = node->inputs[0]->constant, *s, *z;
	size_t inner = 1;
	struct npucc_const *out;
	unsigned int k;
	int8_t *codes;

	if (!c->f32)
		return npucc_fail_node(l->error, node, "quantizes the constant '%s', which is %s; only float is supported",
				       node->inputs[0]->name, npucc_type_name(c->type));
	if (!read_parameters(l, node, 1, &s, &z))
		return false;
	if (z && !z->i8 && !z->u8)
		return npucc_fail_node(l->error, node, "quantizes a constant to %s, supported are int8 and uint8; store it quantized",
				       npucc_type_name(z->type));
	if (axis < 0)
		axis += c->rank;
	if (s->count != 1 && (axis < 0 || axis >= c->rank || s->count != (size_t)c->dims[axis]))
		return npucc_fail_node(l->error, node, "%zu scales along axis %lld do not match the shape of '%s'",
				       s->count, (long long)axis, node->inputs[0]->name);
	for (k = (unsigned int)axis + 1; s->count != 1 && k < c->rank; k++)
		inner *= (size_t)c->dims[k];
	codes = npucc_alloc_codes(l, node, c->count);
	if (!codes)
		return false;
	quantize_numbers(codes, c->f32, c->count, inner, s, z);
	out = npucc_fold(l, node, z && z->i8 ? T(INT8) : T(UINT8), c->rank, c->dims);
	if (z && z->i8)
		out->i8 = codes;
	else
		out->u8 = (const uint8_t *)codes;
	return true;
}

bool npucc_lower_quantize(struct npucc_lowering *l, const struct npucc_node *node)
{
	struct npucc_quantization q;
	struct npucc_operand *o;
	struct npucc_tensor *t;
	int64_t axis;

	if (!npucc_inputs(l, node, 2, 3) || !check_attrs(l, node, &axis))
		return false;
	if (node->inputs[0]->constant)
		return quantize_const(l, node, axis);
	/* without a zero point ONNX means uint8 */
	if (!npucc_read_quantization(l, node, 1, T(UINT8), &q))
		return false;
	o = node->inputs[0]->operand;
	if (!o || o->kind == OPERAND_REAL_CONST)
		return npucc_fail_node(l->error, node, "quantizes a constant again; store it as it is meant");
	if (o->kind == OPERAND_CODES)
		return npucc_fail_node(l->error, node, "its input is quantized already");
	t = o->kind == OPERAND_FLOAT_INPUT ? quantize_input(l, node, &q) : quantize(l, node, &q);
	if (!t)
		return false;
	npucc_set_operand(l, node, OPERAND_CODES)->tensor = t;
	node->outputs[0]->operand->flat = o->flat;
	return true;
}

bool npucc_read_const(struct npucc_lowering *l, const struct npucc_node *node, unsigned int index,
		      int64_t axis, struct npucc_operand *o)
{
	const struct npucc_const *codes = node->inputs[index]->constant, *scale, *zero;

	if (!codes)
		return npucc_fail_node(l->error, node, "'%s' must be a constant",
				       node->inputs[index]->name);
	if (!read_parameters(l, node, index + 1, &scale, &zero))
		return false;
	if (zero && zero->type != codes->type)
		return npucc_fail_node(l->error, node, "zero point does not match the type of '%s'",
				       node->inputs[index]->name);
	*o = (struct npucc_operand){
		.kind = OPERAND_REAL_CONST,
		.codes = codes,
		.scale = scale,
		.zero_point = zero,
		.axis = axis < 0 ? axis + codes->rank : axis,
	};
	return true;
}

bool npucc_lower_dequantize(struct npucc_lowering *l, const struct npucc_node *node)
{
	const struct npucc_operand *in;
	struct npucc_quantization q;
	struct npucc_operand *o;
	int64_t axis;

	if (!npucc_inputs(l, node, 2, 3) || !check_attrs(l, node, &axis))
		return false;
	if (node->inputs[0]->constant)
		return npucc_read_const(l, node, 0, axis, npucc_set_operand(l, node, OPERAND_REAL_CONST));
	in = node->inputs[0]->operand;
	if (!in || in->kind != OPERAND_CODES)
		return npucc_fail_node(l->error, node, "its input '%s' is neither the output of a QuantizeLinear nor of a QLinear operator",
				       node->inputs[0]->name);
	if (!npucc_read_quantization(l, node, 1, in->tensor->is_unsigned ? T(UINT8) : T(INT8), &q))
		return false;
	if (!is_quantized_with(in->tensor, &q))
		return npucc_fail_node(l->error, node, "scale and zero point differ from those that '%s' was quantized with",
				       node->inputs[0]->name);
	o = npucc_set_operand(l, node, OPERAND_REAL);
	o->tensor = in->tensor;
	o->flat = in->flat;
	return true;
}
