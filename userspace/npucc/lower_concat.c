// SPDX-License-Identifier: MIT
/*
 * Concatenation along the channels, and changes of quantization.
 *
 * The device copies one input of a concatenation at a time, each through a table of
 * 256 codes that also changes its quantization to that of the output. So a Concat
 * becomes one layer per input, all of them writers of one tensor; and what
 * changes the quantization and nothing else is a concatenation of one input.
 */
#include "lower.h"

struct npucc_layer *npucc_requantize(struct npucc_lowering *l, const struct npucc_node *node,
				     struct npucc_tensor *in)
{
	return npucc_new_layer(l, node, FLUIDNPU_LAYER_CONCAT, in, in->h, in->w, in->c);
}

static bool check_axis(struct npucc_lowering *l, const struct npucc_node *node, bool flat)
{
	static const char *const known[] = { "axis", NULL };
	int64_t axis = INT64_MIN;

	if (!npucc_attrs_known(node, known, l->error) ||
	    !npucc_attr_int(node, "axis", &axis, l->error))
		return false;
	if (axis == INT64_MIN)
		return npucc_fail_node(l->error, node, "attribute 'axis' is missing");
	if (axis != 1 && axis != (flat ? -1 : -3))
		return npucc_fail_node(l->error, node, "axis %lld is not supported, only 1: the channels",
				       (long long)axis);
	return true;
}

static bool check_shapes(struct npucc_lowering *l, const struct npucc_node *node,
			 const struct npucc_operand *a, const struct npucc_operand *b)
{
	/* flattened, the channels of equal H and W lie one behind the other, too */
	if (a->flat == b->flat && a->tensor->h == b->tensor->h && a->tensor->w == b->tensor->w)
		return true;
	return npucc_fail_node(l->error, node, "concatenates %ux%u%s and %ux%u%s (HxW); only the channels may differ",
			       a->tensor->h, a->tensor->w, a->flat ? " flattened" : "",
			       b->tensor->h, b->tensor->w, b->flat ? " flattened" : "");
}

/* @x: the @num inputs */
static bool lower_concat(struct npucc_lowering *l, const struct npucc_node *node,
			 struct npucc_operand *const *x, unsigned int num)
{
	struct npucc_layer *layer;
	uint64_t channels = 0;
	unsigned int i;

	if (!check_axis(l, node, x[0]->flat))
		return false;
	for (i = 0; i < num; i++) {
		if (!check_shapes(l, node, x[0], x[i]))
			return false;
		channels += x[i]->tensor->c;
	}
	if (channels > UINT16_MAX)
		return npucc_fail_node(l->error, node, "%llu channels, the device handles up to %d",
				       (unsigned long long)channels, UINT16_MAX);
	layer = npucc_new_layer(l, node, FLUIDNPU_LAYER_CONCAT, x[0]->tensor, x[0]->tensor->h,
				x[0]->tensor->w, (unsigned int)channels);
	if (!layer)
		return false;
	node->outputs[0]->operand->flat = x[0]->flat;
	for (i = 1; i < num; i++) {
		layer = npucc_add_writer(l, layer, x[i]->tensor);
		if (!layer)
			return false;
		layer->name = npucc_printf(l->arena, "%s[%u]", node->name, i);
	}
	return true;
}

/* On codes nothing is requantized: that is only a concatenation if all mean the same. */
static bool concat_codes(struct npucc_lowering *l, const struct npucc_node *node,
			 struct npucc_operand *const *x)
{
	struct npucc_quantization q = npucc_quantization_of(x[0]->tensor), other;
	unsigned int i;

	for (i = 1; i < node->num_inputs; i++) {
		other = npucc_quantization_of(x[i]->tensor);
		if (other.scale != q.scale || other.zero_point != q.zero_point ||
		    other.is_unsigned != q.is_unsigned)
			return npucc_fail_node(l->error, node, "concatenates codes of different scales or zero points; use QLinearConcat");
	}
	return lower_concat(l, node, x, node->num_inputs) && npucc_complete(l, node, &q);
}

bool npucc_lower_concat(struct npucc_lowering *l, const struct npucc_node *node)
{
	struct npucc_operand **x = npucc_alloc(l->arena, node->num_inputs, sizeof(*x));
	bool codes;
	unsigned int i;

	if (!npucc_inputs(l, node, 1, node->num_inputs))
		return false;
	if (node->inputs[0]->constant)
		return npucc_fold_concat(l, node);
	codes = npucc_is_codes(node, 0);
	for (i = 0; i < node->num_inputs; i++) {
		if (!node->inputs[i])
			return npucc_fail_node(l->error, node, "input %u is missing", i);
		if (codes && !npucc_is_codes(node, i))
			return npucc_fail_node(l->error, node, "input '%s' holds numbers, but input '%s' codes; quantize all of them or none",
					       node->inputs[i]->name, node->inputs[0]->name);
		x[i] = codes ? node->inputs[i]->operand : npucc_operand_real(l, node, i);
		if (!x[i])
			return false;
	}
	if (codes)
		return concat_codes(l, node, x);
	return lower_concat(l, node, x, node->num_inputs);
}

/* Inputs: scale and zero point of the output, then input, scale, zero point of each input. */
bool npucc_lower_qlinear_concat(struct npucc_lowering *l, const struct npucc_node *node)
{
	enum { FIRST = 2, STEP = 3 };
	unsigned int num = node->num_inputs / STEP, i;
	struct npucc_operand **x = npucc_alloc(l->arena, num, sizeof(*x));

	if (node->num_inputs < FIRST + STEP || (node->num_inputs - FIRST) % STEP)
		return npucc_fail_node(l->error, node, "has %u inputs, must have %d and %d for each input",
				       node->num_inputs, FIRST, STEP);
	if (!npucc_inputs(l, node, node->num_inputs, node->num_inputs))
		return false;
	for (i = 0; i < num; i++) {
		x[i] = npucc_operand_codes(l, node, FIRST + STEP * i);
		if (!x[i])
			return false;
	}
	return lower_concat(l, node, x, num) && npucc_complete_qlinear(l, node, 0);
}
