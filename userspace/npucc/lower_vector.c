// SPDX-License-Identifier: MIT
/*
 * Add, the activations that fold into a clamp, and what only renames its input.
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

static bool is_constant(const struct npucc_value *v)
{
	return v->constant || (v->operand && v->operand->kind == OPERAND_REAL_CONST);
}

static bool is_pending(const struct npucc_value *v)
{
	return v->operand && v->operand->kind == OPERAND_PENDING;
}

bool npucc_lower_add(struct npucc_lowering *l, const struct npucc_node *node)
{
	static const char *const known[] = { NULL };
	const struct npucc_operand *a, *b;
	struct npucc_layer *layer;
	unsigned int i;

	if (!npucc_inputs(l, node, 2, 2) || !npucc_attrs_known(node, known, l->error))
		return false;
	for (i = 0; i < 2; i++)
		if (is_pending(node->inputs[i]) && is_constant(node->inputs[!i]))
			return add_bias(l, node, i);
	a = npucc_operand_real(l, node, 0);
	b = a ? npucc_operand_real(l, node, 1) : NULL;
	if (!b)
		return false;
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

/*
 * Narrow the clamp of the layer that computes input 0. Directly behind a
 * DequantizeLinear there is no such layer: a 1x1 max pooling takes its place.
 */
static bool clamp(struct npucc_lowering *l, const struct npucc_node *node, float lo, float hi)
{
	struct npucc_operand *o, *out;
	struct npucc_layer *layer;
	bool flat;

	if (is_pending(node->inputs[0])) {
		o = npucc_operand_pending(l, node, 0);
		if (!o)
			return false;
		layer = o->layer;
		out = npucc_set_operand(l, node, OPERAND_PENDING);
		*out = *o;
	} else {
		o = npucc_operand_real(l, node, 0);
		if (!o)
			return false;
		flat = o->flat;
		layer = npucc_new_layer(l, node, FLUIDNPU_LAYER_MAXPOOL, o->tensor, o->tensor->h,
					o->tensor->w, o->tensor->c);
		if (!layer)
			return false;
		node->outputs[0]->operand->flat = flat;
	}
	layer->real_min = fminf(fmaxf(layer->real_min, lo), hi);
	layer->real_max = fminf(fmaxf(layer->real_max, lo), hi);
	return true;
}

bool npucc_lower_relu(struct npucc_lowering *l, const struct npucc_node *node)
{
	static const char *const known[] = { NULL };

	return npucc_inputs(l, node, 1, 1) && npucc_attrs_known(node, known, l->error) &&
	       clamp(l, node, 0.0f, INFINITY);
}

/* Optional scalar input @index, since opset 11 in the place of an attribute. */
static bool clip_bound(struct npucc_lowering *l, const struct npucc_node *node,
		       unsigned int index, float *bound)
{
	const struct npucc_value *v = index < node->num_inputs ? node->inputs[index] : NULL;

	if (!v)
		return true;
	if (!v->constant || !v->constant->f32 || v->constant->count != 1)
		return npucc_fail_node(l->error, node, "bound '%s' must be a constant float", v->name);
	*bound = v->constant->f32[0];
	return true;
}

bool npucc_lower_clip(struct npucc_lowering *l, const struct npucc_node *node)
{
	static const char *const known[] = { "min", "max", NULL };
	float lo = -INFINITY, hi = INFINITY;

	if (!npucc_inputs(l, node, 1, 3) || !npucc_attrs_known(node, known, l->error) ||
	    !npucc_attr_float(node, "min", &lo, l->error) ||
	    !npucc_attr_float(node, "max", &hi, l->error) ||
	    !clip_bound(l, node, 1, &lo) || !clip_bound(l, node, 2, &hi))
		return false;
	if (!(lo <= hi))
		return npucc_fail_node(l->error, node, "bounds %g and %g are not in order",
				       (double)lo, (double)hi);
	return clamp(l, node, lo, hi);
}

/* The output is the input under another name or shape. */
static bool rename_operand(struct npucc_lowering *l, const struct npucc_node *node, bool flatten)
{
	const struct npucc_value *v = node->inputs[0];
	struct npucc_operand *out;

	if (!v->operand || v->operand->kind == OPERAND_REAL_CONST)
		return npucc_fail_node(l->error, node, "changes the constant '%s', which is not supported",
				       v->name);
	if (v->operand->kind == OPERAND_FLOAT_INPUT)
		return npucc_fail_node(l->error, node, "reads the float input of the network; put QuantizeLinear and DequantizeLinear between");
	if (is_pending(v) && !npucc_operand_pending(l, node, 0))
		return false;
	out = npucc_set_operand(l, node, v->operand->kind);
	*out = *v->operand;
	out->flat |= flatten;
	return true;
}

bool npucc_lower_identity(struct npucc_lowering *l, const struct npucc_node *node)
{
	return npucc_inputs(l, node, 1, 1) && rename_operand(l, node, false);
}

bool npucc_lower_flatten(struct npucc_lowering *l, const struct npucc_node *node)
{
	static const char *const known[] = { "axis", NULL };
	const struct npucc_operand *o;
	int64_t axis = 1;

	if (!npucc_inputs(l, node, 1, 1) || !npucc_attrs_known(node, known, l->error) ||
	    !npucc_attr_int(node, "axis", &axis, l->error))
		return false;
	o = node->inputs[0]->operand;
	if (axis != 1 && (!o || axis != (o->flat ? -1 : -3)))
		return npucc_fail_node(l->error, node, "axis %lld is not supported, only 1: one row per sample",
				       (long long)axis);
	return rename_operand(l, node, true);
}

bool npucc_lower_reshape(struct npucc_lowering *l, const struct npucc_node *node)
{
	static const char *const known[] = { "allowzero", NULL };
	const struct npucc_const *shape;
	const struct npucc_operand *o;
	int64_t allow_zero = 0;
	uint64_t elements;

	if (!npucc_inputs(l, node, 2, 2) || !npucc_attrs_known(node, known, l->error) ||
	    !npucc_attr_int(node, "allowzero", &allow_zero, l->error))
		return false;
	shape = node->inputs[1]->constant;
	o = node->inputs[0]->operand;
	if (!shape || !shape->i64 || shape->rank != 1)
		return npucc_fail_node(l->error, node, "its shape must be a constant");
	elements = o && o->tensor ? npucc_tensor_bytes(o->tensor) : 0;
	if (shape->count != 2 || shape->i64[0] < -1 || shape->i64[0] > 1 ||
	    (!shape->i64[0] && allow_zero) || (shape->i64[0] == -1 && shape->i64[1] == -1) ||
	    (shape->i64[1] != -1 && (shape->i64[1] < 1 || (uint64_t)shape->i64[1] != elements)))
		return npucc_fail_node(l->error, node, "only the reshape to [N, %llu], one row per sample, is supported",
				       (unsigned long long)elements);
	return rename_operand(l, node, true);
}
