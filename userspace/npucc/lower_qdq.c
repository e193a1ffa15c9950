// SPDX-License-Identifier: MIT
/*
 * QuantizeLinear and DequantizeLinear: where the graph says which codes stand
 * for which real numbers.
 */
#include <math.h>

#include "lower.h"

#define UINT8_SHIFT	128	/* a uint8 code minus this is the device's int8 code */

static const char *const known_attrs[] = { "axis", "saturate", "block_size", NULL };

static bool check_attrs(struct npucc_lowering *l, const struct npucc_node *node, int64_t *axis)
{
	int64_t block = 0;

	*axis = 1;
	if (!npucc_attrs_known(node, known_attrs, l->error) ||
	    !npucc_attr_int(node, "axis", axis, l->error) ||
	    !npucc_attr_int(node, "block_size", &block, l->error))
		return false;
	if (block)
		return npucc_fail_node(l->error, node, "blocked quantization is not supported");
	return true;
}

/* Input @index as a constant; NULL when absent. */
static const struct npucc_const *optional_const(const struct npucc_node *node, unsigned int index)
{
	if (index >= node->num_inputs || !node->inputs[index])
		return NULL;
	return node->inputs[index]->constant;
}

static bool zero_point_is_computed(const struct npucc_node *node)
{
	return node->num_inputs > 2 && node->inputs[2] && !node->inputs[2]->constant;
}

bool npucc_read_quantization(struct npucc_lowering *l, const struct npucc_node *node,
			     float *scale, int *zero_point)
{
	const struct npucc_const *s = node->inputs[1]->constant;
	const struct npucc_const *z = optional_const(node, 2);

	if (!s || !s->f32 || zero_point_is_computed(node))
		return npucc_fail_node(l->error, node, "scale must be a float constant and the zero point a constant");
	if (s->count != 1 || (z && z->count != 1))
		return npucc_fail_node(l->error, node, "activations quantized per channel are not supported, only per tensor");
	if (!isnormal(s->f32[0]) || s->f32[0] < 0)
		return npucc_fail_node(l->error, node, "scale is %g, must be a positive normal number",
				       (double)s->f32[0]);
	if (z && !z->i8 && !z->u8)
		return npucc_fail_node(l->error, node, "quantization to %s is not supported, only int8 and uint8",
				       npucc_type_name(z->type));
	*scale = s->f32[0];
	if (z && z->i8)
		*zero_point = z->i8[0];
	else
		*zero_point = (z ? z->u8[0] : 0) - UINT8_SHIFT;	/* uint8 is ONNX's default */
	return true;
}

static struct npucc_tensor *quantize_input(struct npucc_lowering *l, const struct npucc_node *node,
					   float scale, int zero_point)
{
	const struct npucc_graph *g = l->graph;
	struct npucc_tensor *t = l->net->input;

	if (t) {
		if (t->scale == scale && t->zero_point == zero_point)
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
	t->scale = scale;
	t->zero_point = zero_point;
	t->quantized = true;
	l->net->input = t;
	return t;
}

/* The codes of input 0 of @node under this quantization. */
static struct npucc_tensor *quantize(struct npucc_lowering *l, const struct npucc_node *node,
				     float scale, int zero_point)
{
	const struct npucc_operand *o = node->inputs[0]->operand;
	struct npucc_tensor *t;

	if (!o || o->kind == OPERAND_REAL_CONST) {
		npucc_fail_node(l->error, node, "quantizes a constant; store it quantized");
		return NULL;
	}
	if (o->kind == OPERAND_CODES) {
		npucc_fail_node(l->error, node, "its input is quantized already");
		return NULL;
	}
	if (o->kind == OPERAND_FLOAT_INPUT)
		return quantize_input(l, node, scale, zero_point);
	t = o->tensor;
	if (!t->quantized) {
		t->scale = scale;
		t->zero_point = zero_point;
		t->quantized = true;
		return npucc_finish_layer(l, node, o->layer) ? t : NULL;
	}
	if (t->scale == scale && t->zero_point == zero_point)
		return t;
	npucc_fail_node(l->error, node, "quantizes again with another scale or zero point; requantization without an operator between is not supported");
	return NULL;
}

bool npucc_lower_quantize(struct npucc_lowering *l, const struct npucc_node *node)
{
	struct npucc_operand *o;
	struct npucc_tensor *t;
	int zero_point;
	int64_t axis;
	float scale;

	if (!npucc_inputs(l, node, 2, 3) || !check_attrs(l, node, &axis) ||
	    !npucc_read_quantization(l, node, &scale, &zero_point))
		return false;
	t = quantize(l, node, scale, zero_point);
	if (!t)
		return false;
	o = npucc_set_operand(l, node, OPERAND_CODES);
	o->tensor = t;
	o->flat = node->inputs[0]->operand->flat;
	return true;
}

/* Weights and biases: kept as they are, the operator that reads them knows what they must be. */
static bool dequantize_const(struct npucc_lowering *l, const struct npucc_node *node, int64_t axis)
{
	const struct npucc_const *codes = node->inputs[0]->constant;
	const struct npucc_const *scale = node->inputs[1]->constant;
	const struct npucc_const *zero = optional_const(node, 2);
	struct npucc_operand *o;
	size_t i;

	if (!scale || !scale->f32 || zero_point_is_computed(node))
		return npucc_fail_node(l->error, node, "scale must be a float constant and the zero point a constant");
	if (!scale->count || (zero && (zero->count != scale->count || zero->type != codes->type)))
		return npucc_fail_node(l->error, node, "zero point does not match the scale or the type of '%s'",
				       node->inputs[0]->name);
	for (i = 0; i < scale->count; i++)
		if (!isnormal(scale->f32[i]) || scale->f32[i] < 0)
			return npucc_fail_node(l->error, node, "scale %zu is %g, must be a positive normal number",
					       i, (double)scale->f32[i]);
	if (axis < 0)
		axis += codes->rank;
	o = npucc_set_operand(l, node, OPERAND_REAL_CONST);
	o->codes = codes;
	o->scale = scale;
	o->zero_point = zero;
	o->axis = axis;
	return true;
}

bool npucc_lower_dequantize(struct npucc_lowering *l, const struct npucc_node *node)
{
	const struct npucc_operand *in;
	struct npucc_operand *o;
	int zero_point;
	int64_t axis;
	float scale;

	if (!npucc_inputs(l, node, 2, 3) || !check_attrs(l, node, &axis))
		return false;
	if (node->inputs[0]->constant)
		return dequantize_const(l, node, axis);
	in = node->inputs[0]->operand;
	if (!in || in->kind != OPERAND_CODES)
		return npucc_fail_node(l->error, node, "its input '%s' is not the output of a QuantizeLinear",
				       node->inputs[0]->name);
	if (!npucc_read_quantization(l, node, &scale, &zero_point))
		return false;
	if (in->tensor->scale != scale || in->tensor->zero_point != zero_point)
		return npucc_fail_node(l->error, node, "scale and zero point differ from those that '%s' was quantized with",
				       node->inputs[0]->name);
	o = npucc_set_operand(l, node, OPERAND_REAL);
	o->tensor = in->tensor;
	o->flat = in->flat;
	return true;
}
