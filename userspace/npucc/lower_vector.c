// SPDX-License-Identifier: MIT
/*
 * Add, and the activations that fold into a clamp.
 */
#include <math.h>
#include <string.h>

#include "lower.h"

/* MatMul + Add of a constant vector is a fully connected layer written in two nodes. */
static bool add_bias(struct npucc_lowering *l, const struct npucc_node *node, unsigned int matrix)
{
	struct npucc_operand *o = npucc_operand_pending(l, node, matrix), *out;
	const struct npucc_node *producer = node->inputs[matrix]->producer;

	if (!o)
		return false;
	if (strcmp(producer->op, "MatMul"))
		return npucc_fail_node(l->error, node, "adds a constant to the result of a %s; only behind a MatMul is that supported",
				       producer->op);
	out = npucc_set_operand(l, node, OPERAND_PENDING);
	*out = *o;
	return npucc_attach_bias(l, node, o->layer, node->inputs[!matrix]);
}

static bool is_pending(const struct npucc_value *v)
{
	return v->operand && v->operand->kind == OPERAND_PENDING;
}

static bool add_operands(struct npucc_lowering *l, const struct npucc_node *node,
			 const struct npucc_operand *a, const struct npucc_operand *b)
{
	struct npucc_layer *layer;

	if (a->flat != b->flat || a->tensor->h != b->tensor->h || a->tensor->w != b->tensor->w ||
	    a->tensor->c != b->tensor->c)
		return npucc_fail_node(l->error, node, "adds %ux%ux%u and %ux%ux%u (HxWxC); broadcasting is not supported",
				       a->tensor->h, a->tensor->w, a->tensor->c,
				       b->tensor->h, b->tensor->w, b->tensor->c);
	layer = npucc_new_layer(l, node, FLUIDNPU_LAYER_ADD, a->tensor, a->tensor->h, a->tensor->w,
				a->tensor->c);
	if (!layer)
		return false;
	layer->num_inputs = 2;
	layer->in[1] = b->tensor;
	node->outputs[0]->operand->flat = a->flat;
	return true;
}

bool npucc_lower_add(struct npucc_lowering *l, const struct npucc_node *node)
{
	static const char *const known[] = { NULL };
	const struct npucc_operand *a, *b;
	unsigned int i;

	if (!npucc_inputs(l, node, 2, 2) || !npucc_attrs_known(node, known, l->error))
		return false;
	if (npucc_is_codes(node, 0))
		return npucc_fail_node(l->error, node, "adds codes, which ONNX lets overflow; use QLinearAdd, or Add behind DequantizeLinears");
	for (i = 0; i < 2; i++)
		if (is_pending(node->inputs[i]) && npucc_is_constant(node->inputs[!i]))
			return add_bias(l, node, i);
	a = npucc_operand_real(l, node, 0);
	b = a ? npucc_operand_real(l, node, 1) : NULL;
	return b && add_operands(l, node, a, b);
}

bool npucc_lower_qlinear_add(struct npucc_lowering *l, const struct npucc_node *node)
{
	static const char *const known[] = { NULL };
	const struct npucc_operand *a, *b;

	if (!npucc_inputs(l, node, 7, 8) || !npucc_attrs_known(node, known, l->error))
		return false;
	a = npucc_operand_codes(l, node, 0);
	b = a ? npucc_operand_codes(l, node, 3) : NULL;
	return b && add_operands(l, node, a, b) && npucc_complete_qlinear(l, node, 6);
}

/*
 * Narrow the clamp of the layers that compute input 0. Directly behind a
 * DequantizeLinear there is none: one that changes the quantization takes its place.
 */
static bool clamp(struct npucc_lowering *l, const struct npucc_node *node, float lo, float hi)
{
	struct npucc_operand *o;
	struct npucc_layer *layer;

	if (is_pending(node->inputs[0])) {
		o = npucc_operand_pending(l, node, 0);
		if (!o)
			return false;
		*npucc_set_operand(l, node, OPERAND_PENDING) = *o;
	} else {
		o = npucc_operand_real(l, node, 0);
		if (!o || !npucc_requantize(l, node, o->tensor))
			return false;
		node->outputs[0]->operand->flat = o->flat;
	}
	for (layer = node->outputs[0]->operand->layer; layer; layer = layer->sibling) {
		layer->real_min = fminf(fmaxf(layer->real_min, lo), hi);
		layer->real_max = fminf(fmaxf(layer->real_max, lo), hi);
	}
	return true;
}

/*
 * On codes Relu and Clip compare codes, whatever these stand for. A pooling of single
 * pixels does that.
 */
static bool clamp_codes(struct npucc_lowering *l, const struct npucc_node *node, int lo, int hi)
{
	const struct npucc_operand *x = node->inputs[0]->operand;
	struct npucc_quantization q = npucc_quantization_of(x->tensor);
	struct npucc_layer *layer = npucc_new_layer(l, node, FLUIDNPU_LAYER_MAXPOOL, x->tensor,
						    x->tensor->h, x->tensor->w, x->tensor->c);

	if (!layer)
		return false;
	node->outputs[0]->operand->flat = x->flat;
	if (!npucc_complete(l, node, &q))
		return false;
	layer->clamp_min = lo;
	layer->clamp_max = hi;
	return true;
}

bool npucc_lower_relu(struct npucc_lowering *l, const struct npucc_node *node)
{
	static const char *const known[] = { NULL };

	if (!npucc_inputs(l, node, 1, 1) || !npucc_attrs_known(node, known, l->error))
		return false;
	if (!npucc_is_codes(node, 0))
		return clamp(l, node, 0.0f, INFINITY);
	if (node->inputs[0]->operand->tensor->is_unsigned)
		return npucc_fail_node(l->error, node, "of uint8 codes is not defined by ONNX; put it between DequantizeLinear and QuantizeLinear");
	return clamp_codes(l, node, 0, INT8_MAX);
}

static bool order_of_bounds(struct npucc_lowering *l, const struct npucc_node *node,
			    double lo, double hi)
{
	if (lo <= hi)
		return true;
	return npucc_fail_node(l->error, node, "bounds %g and %g are not in order", lo, hi);
}

/*
 * Optional scalar input @index, since opset 11 in the place of an attribute: NULL when there is
 * none, a constant without data when it is not one number that is known.
 */
static const struct npucc_const *clip_bound(const struct npucc_node *node, unsigned int index)
{
	const struct npucc_value *v = index < node->num_inputs ? node->inputs[index] : NULL;
	static const struct npucc_const computed;

	if (!v)
		return NULL;
	return v->constant && v->constant->count == 1 ? v->constant : &computed;
}

static bool clip_reals(struct npucc_lowering *l, const struct npucc_node *node)
{
	float bounds[2] = { -INFINITY, INFINITY };
	unsigned int i;

	if (!npucc_attr_float(node, "min", &bounds[0], l->error) ||
	    !npucc_attr_float(node, "max", &bounds[1], l->error))
		return false;
	for (i = 0; i < 2; i++) {
		const struct npucc_const *c = clip_bound(node, 1 + i);

		if (c && !c->f32)
			return npucc_fail_node(l->error, node, "bound '%s' must be a constant float",
					       node->inputs[1 + i]->name);
		if (c)
			bounds[i] = c->f32[0];
	}
	return order_of_bounds(l, node, (double)bounds[0], (double)bounds[1]) &&
	       clamp(l, node, bounds[0], bounds[1]);
}

static bool clip_codes(struct npucc_lowering *l, const struct npucc_node *node)
{
	const bool is_unsigned = node->inputs[0]->operand->tensor->is_unsigned;
	int bounds[2] = { INT8_MIN, INT8_MAX };
	unsigned int i;

	for (i = 0; i < 2; i++) {
		const struct npucc_const *c = clip_bound(node, 1 + i);

		if (c && (is_unsigned ? !c->u8 : !c->i8))
			return npucc_fail_node(l->error, node, "bound '%s' must be a constant of the type of the codes",
					       node->inputs[1 + i]->name);
		if (c)
			bounds[i] = is_unsigned ? c->u8[0] - NPUCC_UINT8_SHIFT : c->i8[0];
	}
	return order_of_bounds(l, node, bounds[0], bounds[1]) &&
	       clamp_codes(l, node, bounds[0], bounds[1]);
}

bool npucc_lower_clip(struct npucc_lowering *l, const struct npucc_node *node)
{
	static const char *const known[] = { "min", "max", NULL };

	if (!npucc_inputs(l, node, 1, 3) || !npucc_attrs_known(node, known, l->error))
		return false;
	return npucc_is_codes(node, 0) ? clip_codes(l, node) : clip_reals(l, node);
}
