// SPDX-License-Identifier: MIT
/*
 * ModelProto to struct npucc_graph: names become pointers, constants are
 * imported, nodes are put in topological order.
 */
#include <inttypes.h>
#include <string.h>

#include "graph.h"

#define MIN_OPSET	10	/* QuantizeLinear and DequantizeLinear exist since then */

/* Values by name: open addressing, at most half full. */
struct table {
	struct npucc_value **slots;
	size_t mask;
};

struct builder {
	struct npucc_arena *arena;
	struct npucc_error *error;
	struct npucc_graph *graph;
	const Onnx__GraphProto *proto;
	struct table table;
	struct npucc_node **unsorted;
	unsigned int num_unsorted;
};

static size_t hash(const char *s)
{
	size_t h = 14695981039346656037ull;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211ull;
	return h;
}

/* The value called @name, created when it is new. */
static struct npucc_value *value_get(struct builder *b, const char *name)
{
	size_t i = hash(name) & b->table.mask;
	struct npucc_value *v;

	while ((v = b->table.slots[i])) {
		if (!strcmp(v->name, name))
			return v;
		i = (i + 1) & b->table.mask;
	}
	v = npucc_alloc(b->arena, 1, sizeof(*v));
	v->name = name;
	b->table.slots[i] = v;
	return v;
}

static bool table_init(struct builder *b)
{
	const Onnx__GraphProto *g = b->proto;
	size_t names = g->n_initializer + g->n_input + g->n_output, size = 16, i;

	if (g->n_node > NPUCC_MAX_NODES)
		return npucc_fail(b->error, "%zu nodes, supported are up to %d", g->n_node,
				  NPUCC_MAX_NODES);
	for (i = 0; i < g->n_node; i++)
		names += g->node[i]->n_input + g->node[i]->n_output;
	while (size < 2 * names)
		size *= 2;
	b->table.slots = npucc_alloc(b->arena, size, sizeof(*b->table.slots));
	b->table.mask = size - 1;
	return true;
}

static bool check_model(const Onnx__ModelProto *model, struct npucc_error *error)
{
	size_t i;

	if (!model->graph)
		return npucc_fail(error, "not an ONNX model: it has no graph");
	for (i = 0; i < model->n_opset_import; i++) {
		const Onnx__OperatorSetIdProto *o = model->opset_import[i];

		if (o->domain && o->domain[0] && strcmp(o->domain, "ai.onnx"))
			continue;
		if (o->version < MIN_OPSET)
			return npucc_fail(error, "opset %" PRId64 " is not supported, %d or later is: export the model again",
					  o->version, MIN_OPSET);
		return true;
	}
	return npucc_fail(error, "the model does not say which opset of ai.onnx it uses");
}

static bool add_constant(struct builder *b, const char *name, const Onnx__TensorProto *tensor)
{
	struct npucc_value *v = value_get(b, name);

	if (v->constant || v->producer || v->is_input)
		return npucc_fail(b->error, "value '%s' is defined twice", name);
	v->constant = npucc_const_import(b->arena, tensor, name, b->error);
	return v->constant != NULL;
}

static bool add_initializers(struct builder *b)
{
	size_t i;

	if (b->proto->n_sparse_initializer)
		return npucc_fail(b->error, "sparse initializers are not supported");
	for (i = 0; i < b->proto->n_initializer; i++) {
		const Onnx__TensorProto *t = b->proto->initializer[i];

		if (!t->name || !t->name[0])
			return npucc_fail(b->error, "initializer %zu has no name", i);
		if (!add_constant(b, t->name, t))
			return false;
	}
	return true;
}

/* Attribute @a of a Constant node, a number or a list, as a tensor; false when it is neither. */
static bool tensor_of_numbers(const Onnx__AttributeProto *a, Onnx__TensorProto *t, int64_t *count)
{
	const bool list = a->name[strlen(a->name) - 1] == 's';

	if (!strcmp(a->name, "value_int") || !strcmp(a->name, "value_ints")) {
		t->data_type = ONNX__TENSOR_PROTO__DATA_TYPE__INT64;
		t->int64_data = list ? a->ints : (int64_t *)&a->i;
		t->n_int64_data = list ? a->n_ints : 1;
		*count = (int64_t)t->n_int64_data;
	} else if (!strcmp(a->name, "value_float") || !strcmp(a->name, "value_floats")) {
		t->data_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
		t->float_data = list ? a->floats : (float *)&a->f;
		t->n_float_data = list ? a->n_floats : 1;
		*count = (int64_t)t->n_float_data;
	} else {
		return false;
	}
	t->has_data_type = 1;
	t->dims = count;
	t->n_dims = list;
	return true;
}

/* A Constant node is an initializer written differently. */
static bool add_constant_node(struct builder *b, const struct npucc_node *node)
{
	const Onnx__NodeProto *p = node->proto;
	const Onnx__AttributeProto *a = p->n_attribute == 1 ? p->attribute[0] : NULL;
	Onnx__TensorProto numbers = ONNX__TENSOR_PROTO__INIT;
	int64_t count;

	if (p->n_output == 1 && a && a->name && !strcmp(a->name, "value") && a->t)
		return add_constant(b, p->output[0], a->t);
	if (p->n_output == 1 && a && a->name && a->name[0] && tensor_of_numbers(a, &numbers, &count))
		return add_constant(b, p->output[0], &numbers);
	return npucc_fail_node(b->error, node, "only tensors, numbers and lists of numbers are supported");
}

static void name_node(struct builder *b, struct npucc_node *node, size_t index)
{
	const Onnx__NodeProto *p = node->proto;

	node->op = p->op_type ? p->op_type : "";
	if (p->name && p->name[0])
		node->name = p->name;
	else if (p->n_output && p->output[0][0])
		node->name = p->output[0];
	else
		node->name = npucc_printf(b->arena, "#%zu", index);
}

static bool connect_node(struct builder *b, struct npucc_node *node)
{
	const Onnx__NodeProto *p = node->proto;
	unsigned int i;

	node->num_inputs = (unsigned int)p->n_input;
	node->inputs = npucc_alloc(b->arena, p->n_input, sizeof(*node->inputs));
	for (i = 0; i < p->n_input; i++) {
		if (!p->input[i][0])
			continue;
		node->inputs[i] = value_get(b, p->input[i]);
		node->inputs[i]->num_uses++;
	}
	node->num_outputs = (unsigned int)p->n_output;
	node->outputs = npucc_alloc(b->arena, p->n_output, sizeof(*node->outputs));
	for (i = 0; i < p->n_output; i++) {
		struct npucc_value *v = value_get(b, p->output[i]);

		if (p->output[i][0] && (v->producer || v->constant || v->is_input))
			return npucc_fail_node(b->error, node, "its output '%s' is defined twice", v->name);
		v->producer = node;
		node->outputs[i] = v;
	}
	return true;
}

/* What com.microsoft adds to ONNX's operators has other names, so a node's name is enough. */
static bool is_known_domain(const char *domain)
{
	return !domain || !domain[0] || !strcmp(domain, "ai.onnx") ||
	       !strcmp(domain, "com.microsoft");
}

static bool add_nodes(struct builder *b)
{
	size_t i;

	b->unsorted = npucc_alloc(b->arena, b->proto->n_node, sizeof(*b->unsorted));
	for (i = 0; i < b->proto->n_node; i++) {
		struct npucc_node *node = npucc_alloc(b->arena, 1, sizeof(*node));

		node->proto = b->proto->node[i];
		name_node(b, node, i);
		if (!is_known_domain(node->proto->domain))
			return npucc_fail_node(b->error, node, "operators of domain '%s' are not supported, only ONNX's own and ONNX Runtime's (com.microsoft)",
					       node->proto->domain);
		if (!strcmp(node->op, "Constant")) {
			if (!add_constant_node(b, node))
				return false;
			continue;
		}
		if (!connect_node(b, node))
			return false;
		b->unsorted[b->num_unsorted++] = node;
	}
	return true;
}

/* Every input must come from somewhere; who reads what is needed for sorting. */
static bool link_users(struct builder *b)
{
	unsigned int i, k;

	for (i = 0; i < b->num_unsorted; i++) {
		struct npucc_node *node = b->unsorted[i];

		for (k = 0; k < node->num_inputs; k++) {
			struct npucc_value *v = node->inputs[k];

			if (!v || v->constant || v->is_input)
				continue;
			if (!v->producer)
				return npucc_fail_node(b->error, node, "its input '%s' is neither produced by a node nor an initializer",
						       v->name);
			if (!v->users)
				v->users = npucc_alloc(b->arena, v->num_uses, sizeof(*v->users));
			v->users[v->num_users++] = node;
			node->waiting++;
		}
	}
	return true;
}

/* Kahn's algorithm; the result array is the queue. */
static bool sort_nodes(struct builder *b)
{
	struct npucc_graph *g = b->graph;
	unsigned int i, k, u, done;

	g->nodes = npucc_alloc(b->arena, b->num_unsorted, sizeof(*g->nodes));
	for (i = 0; i < b->num_unsorted; i++)
		if (!b->unsorted[i]->waiting)
			g->nodes[g->num_nodes++] = b->unsorted[i];
	for (done = 0; done < g->num_nodes; done++) {
		for (k = 0; k < g->nodes[done]->num_outputs; k++) {
			struct npucc_value *v = g->nodes[done]->outputs[k];

			for (u = 0; u < v->num_users; u++)
				if (!--v->users[u]->waiting)
					g->nodes[g->num_nodes++] = v->users[u];
		}
	}
	for (i = 0; i < b->num_unsorted; i++)
		if (b->unsorted[i]->waiting)
			return npucc_fail_node(b->error, b->unsorted[i], "the graph has a cycle through it or before it");
	return true;
}

static bool import_input_shape(struct builder *b, const Onnx__ValueInfoProto *info)
{
	const Onnx__TypeProto *type = info->type;
	const Onnx__TensorShapeProto *shape;
	size_t i;

	if (!type || type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE || !type->tensor_type ||
	    !type->tensor_type->shape)
		return npucc_fail(b->error, "input '%s' has no tensor shape", info->name);
	if (type->tensor_type->elem_type != ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT)
		return npucc_fail(b->error, "input '%s' is %s, supported is float with a QuantizeLinear behind it",
				  info->name, npucc_type_name(type->tensor_type->elem_type));
	shape = type->tensor_type->shape;
	if (shape->n_dim != 2 && shape->n_dim != 4)
		return npucc_fail(b->error, "input '%s' has rank %zu, supported are [N, C, H, W] and [N, features]",
				  info->name, shape->n_dim);
	for (i = 0; i < shape->n_dim; i++) {
		const Onnx__TensorShapeProto__Dimension *d = shape->dim[i];
		bool known = d->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;

		if (!i) {
			if (known && d->dim_value != 1)
				return npucc_fail(b->error, "input '%s' has a fixed batch of %" PRId64 "; export it with a symbolic batch or 1",
						  info->name, d->dim_value);
			continue;
		}
		if (!known || d->dim_value < 1 || d->dim_value > UINT16_MAX)
			return npucc_fail(b->error, "input '%s': dimension %zu must be a number from 1 to %d",
					  info->name, i, UINT16_MAX);
		b->graph->input_shape[i - 1] = d->dim_value;
	}
	b->graph->input_rank = (unsigned int)shape->n_dim - 1;
	return true;
}

/* Older models list initializers among the inputs: those are not inputs. */
static bool add_input(struct builder *b)
{
	size_t i;

	for (i = 0; i < b->proto->n_input; i++) {
		const Onnx__ValueInfoProto *info = b->proto->input[i];
		struct npucc_value *v;

		if (!info->name || !info->name[0])
			return npucc_fail(b->error, "graph input %zu has no name", i);
		v = value_get(b, info->name);
		if (v->constant)
			continue;
		if (b->graph->input)
			return npucc_fail(b->error, "two graph inputs, '%s' and '%s'; supported is one",
					  b->graph->input->name, v->name);
		if (!import_input_shape(b, info))
			return false;
		v->is_input = true;
		b->graph->input = v;
	}
	if (!b->graph->input)
		return npucc_fail(b->error, "the graph has no input");
	return true;
}

static bool add_outputs(struct builder *b)
{
	struct npucc_graph *g = b->graph;
	size_t i;

	if (!b->proto->n_output)
		return npucc_fail(b->error, "the graph has no output");
	g->outputs = npucc_alloc(b->arena, b->proto->n_output, sizeof(*g->outputs));
	for (i = 0; i < b->proto->n_output; i++) {
		const char *name = b->proto->output[i]->name;
		struct npucc_value *v;

		if (!name || !name[0])
			return npucc_fail(b->error, "graph output %zu has no name", i);
		v = value_get(b, name);
		if (!v->producer)
			return npucc_fail(b->error, "graph output '%s' is not computed by any node", name);
		v->num_uses++;
		g->outputs[g->num_outputs++] = v;
	}
	return true;
}

struct npucc_graph *npucc_graph_build(struct npucc_arena *arena, const Onnx__ModelProto *model,
				      struct npucc_error *error)
{
	struct npucc_graph *g = npucc_alloc(arena, 1, sizeof(*g));
	struct builder b = {
		.arena = arena, .error = error, .graph = g, .proto = model->graph,
	};

	g->proto = model;
	if (!check_model(model, error))
		return NULL;
	g->name = model->graph->name ? model->graph->name : "";
	if (!table_init(&b) || !add_initializers(&b) || !add_input(&b) || !add_nodes(&b) ||
	    !add_outputs(&b) || !link_users(&b) || !sort_nodes(&b))
		return NULL;
	return g;
}
