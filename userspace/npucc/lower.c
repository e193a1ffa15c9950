// SPDX-License-Identifier: MIT
/*
 * The walk over the graph, and what all operators share (see lower.h).
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "lower.h"

/* Everything that npucc compiles. */
static const struct {
	const char *op;
	npucc_lower_fn *lower;
} operators[] = {
	{ "Add", npucc_lower_add },
	{ "AveragePool", npucc_lower_average_pool },
	{ "Cast", npucc_lower_cast },
	{ "Clip", npucc_lower_clip },
	{ "Concat", npucc_lower_concat },
	{ "Conv", npucc_lower_conv },
	{ "DequantizeLinear", npucc_lower_dequantize },
	{ "Flatten", npucc_lower_flatten },
	{ "Gather", npucc_lower_gather },
	{ "Gemm", npucc_lower_gemm },
	{ "GlobalAveragePool", npucc_lower_global_average_pool },
	{ "GlobalMaxPool", npucc_lower_global_max_pool },
	{ "Identity", npucc_lower_identity },
	{ "MatMul", npucc_lower_matmul },
	{ "MaxPool", npucc_lower_max_pool },
	{ "QGemm", npucc_lower_qgemm },
	{ "QLinearAdd", npucc_lower_qlinear_add },
	{ "QLinearAveragePool", npucc_lower_qlinear_average_pool },
	{ "QLinearConcat", npucc_lower_qlinear_concat },
	{ "QLinearConv", npucc_lower_qlinear_conv },
	{ "QLinearGlobalAveragePool", npucc_lower_qlinear_global_average_pool },
	{ "QLinearMatMul", npucc_lower_qlinear_matmul },
	{ "QuantizeLinear", npucc_lower_quantize },
	{ "ReduceMean", npucc_lower_reduce_mean },
	{ "Relu", npucc_lower_relu },
	{ "Reshape", npucc_lower_reshape },
	{ "Shape", npucc_lower_shape },
	{ "Squeeze", npucc_lower_squeeze },
	{ "Unsqueeze", npucc_lower_unsqueeze },
};

#define NUM_OPERATORS (sizeof(operators) / sizeof(operators[0]))

bool npucc_inputs(struct npucc_lowering *l, const struct npucc_node *node,
		  unsigned int min, unsigned int max)
{
	unsigned int i;

	if (node->num_inputs < min)
		return npucc_fail_node(l->error, node, "has %u inputs, must have at least %u",
				       node->num_inputs, min);
	if (node->num_inputs > max)
		return npucc_fail_node(l->error, node, "has %u inputs, can have at most %u",
				       node->num_inputs, max);
	for (i = 0; i < min; i++)
		if (!node->inputs[i])
			return npucc_fail_node(l->error, node, "input %u is missing", i);
	if (!node->num_outputs || !node->outputs[0]->name[0])
		return npucc_fail_node(l->error, node, "has no output");
	for (i = 1; i < node->num_outputs; i++)
		if (node->outputs[i]->name[0])
			return npucc_fail_node(l->error, node, "output %u ('%s') is not supported, only the first is",
					       i, node->outputs[i]->name);
	return true;
}

struct npucc_operand *npucc_operand_real(struct npucc_lowering *l, const struct npucc_node *node,
					 unsigned int index)
{
	const struct npucc_value *v = node->inputs[index];
	const char *reason;

	if (v->operand && v->operand->kind == OPERAND_REAL)
		return v->operand;
	if (npucc_is_constant(v) || !v->operand)
		reason = "is a constant; an activation is supported here";
	else if (v->operand->kind == OPERAND_CODES)
		reason = "holds quantized codes; put a DequantizeLinear before it";
	else if (v->operand->kind == OPERAND_FLOAT_INPUT)
		reason = "is the float input of the network; put QuantizeLinear and DequantizeLinear behind that";
	else
		reason = "is a float result that is not quantized; put QuantizeLinear and DequantizeLinear between";
	npucc_fail_node(l->error, node, "input '%s' %s", v->name, reason);
	return NULL;
}

bool npucc_is_codes(const struct npucc_node *node, unsigned int index)
{
	const struct npucc_value *v = node->inputs[index];

	return v->operand && v->operand->kind == OPERAND_CODES;
}

bool npucc_is_constant(const struct npucc_value *v)
{
	return v->constant || (v->operand && v->operand->kind == OPERAND_REAL_CONST);
}

struct npucc_operand *npucc_operand_pending(struct npucc_lowering *l,
					    const struct npucc_node *node, unsigned int index)
{
	const struct npucc_value *v = node->inputs[index];

	if (!v->operand || v->operand->kind != OPERAND_PENDING)
		return NULL;
	if (v->num_uses > 1) {
		npucc_fail_node(l->error, node, "float result '%s' is read %u times; quantize it first",
				v->name, v->num_uses);
		return NULL;
	}
	return v->operand;
}

struct npucc_operand *npucc_set_operand(struct npucc_lowering *l, const struct npucc_node *node,
					enum npucc_operand_kind kind)
{
	struct npucc_operand *o = npucc_alloc(l->arena, 1, sizeof(*o));

	o->kind = kind;
	node->outputs[0]->operand = o;
	return o;
}

struct npucc_const *npucc_fold(struct npucc_lowering *l, const struct npucc_node *node, int type,
			       unsigned int rank, const int64_t *dims)
{
	struct npucc_const *c = npucc_alloc(l->arena, 1, sizeof(*c));
	unsigned int i;

	c->type = type;
	c->rank = rank;
	c->count = 1;
	for (i = 0; i < rank; i++) {
		c->dims[i] = dims[i];
		c->count *= (size_t)dims[i];
	}
	node->outputs[0]->constant = c;
	return c;
}

int8_t *npucc_alloc_codes(struct npucc_lowering *l, const struct npucc_node *node, size_t count)
{
	if (count > NPUCC_MAX_MODEL_BYTES - l->code_bytes) {
		npucc_fail_node(l->error, node, "the weights of all nodes up to this one have more than %llu bytes",
				NPUCC_MAX_MODEL_BYTES);
		return NULL;
	}
	l->code_bytes += count;
	return npucc_alloc(l->arena, count, 1);
}

bool npucc_read_axes(struct npucc_lowering *l, const struct npucc_node *node, int64_t axes[2])
{
	const struct npucc_value *v = node->num_inputs > 1 ? node->inputs[1] : NULL;
	bool found;

	if (!npucc_attr_ints(node, "axes", axes, 2, &found, l->error))
		return false;
	if (!v)
		return true;
	if (!v->constant || !v->constant->i64)
		return npucc_fail_node(l->error, node, "axes '%s' must be an int64 constant", v->name);
	if (v->constant->count != 2)
		return npucc_fail_node(l->error, node, "has %zu axes; only 2 and 3 together are supported",
				       v->constant->count);
	memcpy(axes, v->constant->i64, 2 * sizeof(*axes));
	return true;
}

static bool too_many_layers(struct npucc_lowering *l)
{
	return npucc_fail(l->error, "more than %d layers: the device runs no larger program",
			  FLUIDNPU_MAX_LAYERS);
}

static struct npucc_layer *add_layer(struct npucc_lowering *l)
{
	struct npucc_network *net = l->net;
	struct npucc_layer *layer;

	if (net->num_layers == FLUIDNPU_MAX_LAYERS) {
		too_many_layers(l);
		return NULL;
	}
	layer = npucc_alloc(l->arena, 1, sizeof(*layer));
	net->layers[net->num_layers++] = layer;
	return layer;
}

struct npucc_layer *npucc_new_layer(struct npucc_lowering *l, const struct npucc_node *node,
				    enum fluidnpu_layer_op op, struct npucc_tensor *in,
				    unsigned int h, unsigned int w, unsigned int c)
{
	struct npucc_operand *o;
	struct npucc_layer *layer;

	if (h > UINT16_MAX || w > UINT16_MAX || c > UINT16_MAX ||
	    (uint64_t)h * w * c > FLUIDNPU_MAX_TENSOR_BYTES) {
		npucc_fail_node(l->error, node, "output of %u x %u with %u channels, the device handles up to %d each and %u bytes in all",
				h, w, c, UINT16_MAX, FLUIDNPU_MAX_TENSOR_BYTES);
		return NULL;
	}
	layer = add_layer(l);
	if (!layer)
		return NULL;
	layer->op = op;
	layer->name = node->name;
	layer->num_inputs = 1;
	layer->in[0] = in;
	layer->window = (struct npucc_window){ 1, 1, 1, 1, 0, 0, 0, 0, 1, 1 };
	layer->groups = 1;
	layer->real_min = -INFINITY;
	layer->real_max = INFINITY;
	layer->out = npucc_alloc(l->arena, 1, sizeof(*layer->out));
	layer->out->name = node->outputs[0]->name;
	layer->out->h = h;
	layer->out->w = w;
	layer->out->c = c;
	layer->out->producer = layer;

	o = npucc_set_operand(l, node, OPERAND_PENDING);
	o->layer = layer;
	o->tensor = layer->out;
	return layer;
}

struct npucc_layer *npucc_add_writer(struct npucc_lowering *l, struct npucc_layer *last,
				     struct npucc_tensor *in)
{
	struct npucc_layer *layer = add_layer(l);

	if (!layer)
		return NULL;
	*layer = *last;
	layer->in[0] = in;
	layer->out_channel = last->out_channel + last->in[0]->c;
	last->sibling = layer;
	return layer;
}

static bool unknown_operator(struct npucc_lowering *l, const struct npucc_node *node)
{
	const char *list = operators[0].op;
	size_t i;

	if (!strcmp(node->op, "Softmax"))
		return npucc_fail_node(l->error, node, "the exit head computes the softmax itself; make the logits the output");
	for (i = 1; i < NUM_OPERATORS; i++)
		list = npucc_printf(l->arena, "%s, %s", list, operators[i].op);
	return npucc_fail_node(l->error, node, "this operator is not supported; supported are %s",
			       list);
}

static bool lower_node(struct npucc_lowering *l, const struct npucc_node *node)
{
	size_t i;

	for (i = 0; i < NUM_OPERATORS; i++)
		if (!strcmp(node->op, operators[i].op))
			return operators[i].lower(l, node);
	return unknown_operator(l, node);
}

/*
 * Each of these makes a layer. Counted beforehand, because each also makes a copy of its weights,
 * for nothing when there are too many.
 */
static bool check_num_matrices(struct npucc_lowering *l)
{
	static const char *const matrices[] = {
		"Conv", "Gemm", "MatMul", "QGemm", "QLinearConv", "QLinearMatMul",
	};
	unsigned int count = 0, i, k;

	for (i = 0; i < l->graph->num_nodes; i++)
		for (k = 0; k < sizeof(matrices) / sizeof(matrices[0]); k++)
			count += !strcmp(l->graph->nodes[i]->op, matrices[k]);
	return count <= FLUIDNPU_MAX_LAYERS || too_many_layers(l);
}

static bool lower_exit(struct npucc_lowering *l, const struct npucc_value *v)
{
	struct npucc_network *net = l->net;
	struct npucc_exit *e = &net->exits[net->num_exits];
	const struct npucc_operand *o = v->operand;
	struct npucc_layer *layer;

	if (!o || (o->kind != OPERAND_REAL && o->kind != OPERAND_CODES))
		return npucc_fail_node(l->error, v->producer, "produces the output '%s', which must be quantized logits or a DequantizeLinear of them",
				       v->name);
	if (!o->flat || o->tensor->h != 1 || o->tensor->w != 1)
		return npucc_fail_node(l->error, v->producer, "output '%s' is %u channels of %u x %u, must be logits of shape [N, classes]",
				       v->name, o->tensor->c, o->tensor->h, o->tensor->w);
	if (o->tensor->c > FLUIDNPU_MAX_CLASSES)
		return npucc_fail_node(l->error, v->producer, "output '%s' has %u classes, the exit head handles up to %d",
				       v->name, o->tensor->c, FLUIDNPU_MAX_CLASSES);
	layer = add_layer(l);
	if (!layer)
		return false;
	layer->op = FLUIDNPU_LAYER_EXIT;
	layer->name = v->name;
	layer->num_inputs = 1;
	layer->in[0] = o->tensor;
	layer->scale_in[0] = o->tensor->scale;
	e->name = v->name;
	e->logits = o->tensor;
	e->layer = layer;
	net->num_exits++;
	return true;
}

static bool lower_exits(struct npucc_lowering *l)
{
	unsigned int i;

	if (l->graph->num_outputs > FLUIDNPU_MAX_EXITS)
		return npucc_fail(l->error, "%u outputs, the device has up to %d exits",
				  l->graph->num_outputs, FLUIDNPU_MAX_EXITS);
	for (i = 0; i < l->graph->num_outputs; i++)
		if (!lower_exit(l, l->graph->outputs[i]))
			return false;
	npucc_order_exits(l->arena, l->net);
	return true;
}

struct npucc_network *npucc_lower(struct npucc_arena *arena, struct npucc_graph *graph,
				  struct npucc_error *error)
{
	struct npucc_lowering l = { .arena = arena, .error = error, .graph = graph };
	struct npucc_operand *input = npucc_alloc(arena, 1, sizeof(*input));
	unsigned int i;

	l.net = npucc_alloc(arena, 1, sizeof(*l.net));
	l.net->layers = npucc_alloc(arena, FLUIDNPU_MAX_LAYERS, sizeof(*l.net->layers));
	l.net->input_name = graph->input->name;
	input->kind = OPERAND_FLOAT_INPUT;
	input->flat = graph->input_rank == 1;
	graph->input->operand = input;
	if (!check_num_matrices(&l))
		return NULL;
	for (i = 0; i < graph->num_nodes; i++)
		if (!lower_node(&l, graph->nodes[i]))
			return NULL;
	if (!lower_exits(&l))
		return NULL;
	return l.net;
}
