// SPDX-License-Identifier: MIT
/*
 * What only renames or reshapes its input, and the arithmetic on shapes that exporters
 * write in front of a Reshape.
 *
 * An activation is either [N, C, H, W] or [N, C*H*W], and since a sample's data stay as
 * they are, a change between the two is no layer. Shapes are folded into int64
 * constants. In them the batch, which nobody knows, is 0: that is also what Reshape
 * takes for "as in the input".
 */
#include <string.h>

#include "lower.h"

#define SHAPE_BATCH	0

/* The output is the input under another name or shape. */
static bool rename_operand(struct npucc_lowering *l, const struct npucc_node *node, bool flat)
{
	const struct npucc_value *v = node->inputs[0];
	struct npucc_operand *out;

	if (!v->operand || v->operand->kind == OPERAND_REAL_CONST)
		return npucc_fail_node(l->error, node, "changes the constant '%s', which is not supported",
				       v->name);
	if (v->operand->kind == OPERAND_FLOAT_INPUT)
		return npucc_fail_node(l->error, node, "reads the float input of the network; put QuantizeLinear and DequantizeLinear between");
	if (v->operand->kind == OPERAND_PENDING && !npucc_operand_pending(l, node, 0))
		return false;
	out = npucc_set_operand(l, node, v->operand->kind);
	*out = *v->operand;
	out->flat = flat;
	return true;
}

static bool is_flat(const struct npucc_node *node)
{
	const struct npucc_operand *o = node->inputs[0]->operand;

	return o && o->flat;
}

bool npucc_lower_identity(struct npucc_lowering *l, const struct npucc_node *node)
{
	if (!npucc_inputs(l, node, 1, 1))
		return false;
	if (node->inputs[0]->operand && node->inputs[0]->operand->kind == OPERAND_REAL_CONST) {
		node->outputs[0]->operand = node->inputs[0]->operand;
		return true;
	}
	if (node->inputs[0]->constant) {
		node->outputs[0]->constant = node->inputs[0]->constant;
		return true;
	}
	return rename_operand(l, node, is_flat(node));
}

bool npucc_lower_flatten(struct npucc_lowering *l, const struct npucc_node *node)
{
	static const char *const known[] = { "axis", NULL };
	int64_t axis = 1;

	if (!npucc_inputs(l, node, 1, 1) || !npucc_attrs_known(node, known, l->error) ||
	    !npucc_attr_int(node, "axis", &axis, l->error))
		return false;
	if (axis != 1 && axis != (is_flat(node) ? -1 : -3))
		return npucc_fail_node(l->error, node, "axis %lld is not supported, only 1: one row per sample",
				       (long long)axis);
	return rename_operand(l, node, true);
}

/* Is dimension @want of a Reshape @have elements? At most one may be -1: all that remain. */
static bool dimension_is(int64_t want, uint64_t have, unsigned int *open)
{
	if (want == -1)
		return !(*open)++;
	return want > 0 && (uint64_t)want == have;
}

bool npucc_lower_reshape(struct npucc_lowering *l, const struct npucc_node *node)
{
	static const char *const known[] = { "allowzero", NULL };
	const struct npucc_tensor *t;
	const struct npucc_const *s;
	unsigned int open = 0;
	int64_t allow_zero = 0;
	bool ok;

	if (!npucc_inputs(l, node, 2, 2) || !npucc_attrs_known(node, known, l->error) ||
	    !npucc_attr_int(node, "allowzero", &allow_zero, l->error))
		return false;
	s = node->inputs[1]->constant;
	if (!s || !s->i64 || s->rank != 1)
		return npucc_fail_node(l->error, node, "its shape must be a constant");
	t = node->inputs[0]->operand ? node->inputs[0]->operand->tensor : NULL;
	if (!t)
		return rename_operand(l, node, false);	/* says why not */
	ok = s->count && ((s->i64[0] == SHAPE_BATCH && !allow_zero) ||
			  dimension_is(s->i64[0], 1, &open));
	if (ok && s->count == 2 && dimension_is(s->i64[1], npucc_tensor_bytes(t), &open))
		return rename_operand(l, node, true);
	if (ok && s->count == 4 && dimension_is(s->i64[1], t->c, &open) &&
	    dimension_is(s->i64[2], t->h, &open) && dimension_is(s->i64[3], t->w, &open))
		return rename_operand(l, node, false);
	return npucc_fail_node(l->error, node, "only reshapes to [N, %llu], one row per sample, and to [N, %u, %u, %u] are supported",
			       (unsigned long long)npucc_tensor_bytes(t), t->c, t->h, t->w);
}

/* A constant of the same elements and another shape. */
static bool fold_copy(struct npucc_lowering *l, const struct npucc_node *node,
		      const struct npucc_const *c, unsigned int rank)
{
	const int64_t dims[1] = { (int64_t)c->count };

	npucc_fold(l, node, c->type, rank, dims)->i64 = c->i64;
	return true;
}

/* Input @index as an int64 scalar or vector, or NULL with a message. */
static const struct npucc_const *shape_input(struct npucc_lowering *l,
					     const struct npucc_node *node, unsigned int index)
{
	const struct npucc_const *c = node->inputs[index]->constant;

	if (c && c->i64 && c->rank <= 1)
		return c;
	npucc_fail_node(l->error, node, "is supported in the computation of shapes only; '%s' is no int64 constant",
			node->inputs[index]->name);
	return NULL;
}

/* Squeeze of [N, C, 1, 1]: axes 2 and 3, or none given, which means all that are 1. */
bool npucc_lower_squeeze(struct npucc_lowering *l, const struct npucc_node *node)
{
	static const char *const known[] = { "axes", NULL };
	const struct npucc_const *c;
	int64_t axes[2] = { 2, 3 };
	const struct npucc_tensor *t;

	if (!npucc_inputs(l, node, 1, 2) || !npucc_attrs_known(node, known, l->error))
		return false;
	if (node->inputs[0]->constant) {
		c = shape_input(l, node, 0);
		if (c && c->count != 1)
			return npucc_fail_node(l->error, node, "of %zu elements is not supported", c->count);
		return c && fold_copy(l, node, c, 0);
	}
	if (!npucc_read_axes(l, node, axes))
		return false;
	t = node->inputs[0]->operand ? node->inputs[0]->operand->tensor : NULL;
	if ((axes[0] != 2 && axes[0] != -2) || (axes[1] != 3 && axes[1] != -1) ||
	    is_flat(node) || (t && (t->h != 1 || t->w != 1)))
		return npucc_fail_node(l->error, node, "only the axes 2 and 3 of [N, C, 1, 1] can be removed");
	return rename_operand(l, node, true);
}

static unsigned int operand_shape(const struct npucc_lowering *l, const struct npucc_operand *o,
				  int64_t *dims)
{
	unsigned int rank;

	dims[0] = SHAPE_BATCH;
	if (o->kind == OPERAND_FLOAT_INPUT) {
		rank = l->graph->input_rank + 1;
		memcpy(dims + 1, l->graph->input_shape, (rank - 1) * sizeof(*dims));
	} else if (o->flat) {
		rank = 2;
		dims[1] = (int64_t)npucc_tensor_bytes(o->tensor);
	} else {
		rank = 4;
		dims[1] = o->tensor->c;
		dims[2] = o->tensor->h;
		dims[3] = o->tensor->w;
	}
	return rank;
}

/* Negative positions count from the end, others are limited to it. */
static int64_t position(int64_t p, int64_t rank)
{
	p = p < 0 ? p + rank : p;
	return p < 0 ? 0 : p < rank ? p : rank;
}

bool npucc_lower_shape(struct npucc_lowering *l, const struct npucc_node *node)
{
	static const char *const known[] = { "end", "start", NULL };
	int64_t start = 0, end = NPUCC_MAX_RANK, count, *dims;
	const struct npucc_operand *o;
	unsigned int rank;

	if (!npucc_inputs(l, node, 1, 1) || !npucc_attrs_known(node, known, l->error) ||
	    !npucc_attr_int(node, "start", &start, l->error) ||
	    !npucc_attr_int(node, "end", &end, l->error))
		return false;
	o = node->inputs[0]->operand;
	if (!o || o->kind == OPERAND_REAL_CONST)
		return npucc_fail_node(l->error, node, "of the constant '%s' is not supported",
				       node->inputs[0]->name);
	dims = npucc_alloc(l->arena, NPUCC_MAX_RANK, sizeof(*dims));
	rank = operand_shape(l, o, dims);
	start = position(start, rank);
	count = position(end, rank) - start;
	count = count > 0 ? count : 0;
	npucc_fold(l, node, ONNX__TENSOR_PROTO__DATA_TYPE__INT64, 1, &count)->i64 = dims + start;
	return true;
}

/* Picks dimensions out of a shape. */
bool npucc_lower_gather(struct npucc_lowering *l, const struct npucc_node *node)
{
	static const char *const known[] = { "axis", NULL };
	const struct npucc_const *data, *indices;
	int64_t axis = 0, *out, at;
	size_t i;

	if (!npucc_inputs(l, node, 2, 2) || !npucc_attrs_known(node, known, l->error) ||
	    !npucc_attr_int(node, "axis", &axis, l->error))
		return false;
	data = shape_input(l, node, 0);
	indices = data ? shape_input(l, node, 1) : NULL;
	if (!indices)
		return false;
	if (axis && axis != -1)
		return npucc_fail_node(l->error, node, "axis %lld of a vector", (long long)axis);
	if (indices->count > NPUCC_MAX_RANK)
		return npucc_fail_node(l->error, node, "a shape of more than %d dimensions",
				       NPUCC_MAX_RANK);
	out = npucc_alloc(l->arena, indices->count, sizeof(*out));
	for (i = 0; i < indices->count; i++) {
		at = indices->i64[i] + (indices->i64[i] < 0 ? (int64_t)data->count : 0);
		if (at < 0 || (uint64_t)at >= data->count)
			return npucc_fail_node(l->error, node, "index %lld of %zu elements",
					       (long long)indices->i64[i], data->count);
		out[i] = data->i64[at];
	}
	npucc_fold(l, node, data->type, indices->rank, indices->dims)->i64 = out;
	return true;
}

bool npucc_lower_unsqueeze(struct npucc_lowering *l, const struct npucc_node *node)
{
	static const char *const known[] = { "axes", NULL };
	const struct npucc_const *c;

	if (!npucc_inputs(l, node, 1, 2) || !npucc_attrs_known(node, known, l->error))
		return false;
	c = shape_input(l, node, 0);
	if (c && c->rank)
		return npucc_fail_node(l->error, node, "of a vector is not supported, only of a scalar");
	return c && fold_copy(l, node, c, 1);
}

bool npucc_lower_cast(struct npucc_lowering *l, const struct npucc_node *node)
{
	static const char *const known[] = { "saturate", "to", NULL };
	const struct npucc_const *c;
	int64_t to = 0;

	if (!npucc_inputs(l, node, 1, 1) || !npucc_attrs_known(node, known, l->error) ||
	    !npucc_attr_int(node, "to", &to, l->error))
		return false;
	c = shape_input(l, node, 0);
	if (c && to != ONNX__TENSOR_PROTO__DATA_TYPE__INT64)
		return npucc_fail_node(l->error, node, "of shapes to %s is not supported, only to int64",
				       npucc_type_name(to > 0 && to <= INT32_MAX ? (int)to : 0));
	return c && fold_copy(l, node, c, c->rank);
}

bool npucc_fold_concat(struct npucc_lowering *l, const struct npucc_node *node)
{
	int64_t count = 0, *out;
	unsigned int i;

	for (i = 0; i < node->num_inputs; i++) {
		const struct npucc_const *c = node->inputs[i] ? shape_input(l, node, i) : NULL;

		if (!c)
			return npucc_fail_node(l->error, node, "input %u is missing", i);
		count += (int64_t)c->count;
		if (count > NPUCC_MAX_RANK)
			return npucc_fail_node(l->error, node, "a shape of more than %d dimensions",
					       NPUCC_MAX_RANK);
	}
	out = npucc_alloc(l->arena, (size_t)count, sizeof(*out));
	npucc_fold(l, node, ONNX__TENSOR_PROTO__DATA_TYPE__INT64, 1, &count)->i64 = out;
	for (i = 0; i < node->num_inputs; i++) {
		const struct npucc_const *c = node->inputs[i]->constant;

		if (c->count)
			memcpy(out, c->i64, c->count * sizeof(*out));
		out += c->count;
	}
	return true;
}
