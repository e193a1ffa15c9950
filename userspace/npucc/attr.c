// SPDX-License-Identifier: MIT
/* Attributes and metadata of the model (see graph.h). */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "graph.h"

#define A(name) ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__##name

bool npucc_fail_node(struct npucc_error *error, const struct npucc_node *node,
		     const char *fmt, ...)
{
	char text[sizeof(error->text)];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	return npucc_fail(error, "node '%.200s' (%.64s): %s", node->name, node->op, text);
}

const char *npucc_metadata(const struct npucc_graph *graph, const char *key)
{
	size_t i;

	for (i = 0; i < graph->proto->n_metadata_props; i++) {
		const Onnx__StringStringEntryProto *p = graph->proto->metadata_props[i];

		if (p->key && p->value && !strcmp(p->key, key))
			return p->value;
	}
	return NULL;
}

bool npucc_attrs_known(const struct npucc_node *node, const char *const *names,
		       struct npucc_error *error)
{
	size_t i, k;

	for (i = 0; i < node->proto->n_attribute; i++) {
		const char *name = node->proto->attribute[i]->name;

		for (k = 0; names[k]; k++)
			if (name && !strcmp(name, names[k]))
				break;
		if (!names[k])
			return npucc_fail_node(error, node, "attribute '%s' is not supported",
					       name ? name : "");
	}
	return true;
}

/* The attribute @name or NULL; @ok is cleared when it is there but not of @type. */
static const Onnx__AttributeProto *find(const struct npucc_node *node, const char *name,
					Onnx__AttributeProto__AttributeType type, bool *ok,
					struct npucc_error *error)
{
	size_t i;

	*ok = true;
	for (i = 0; i < node->proto->n_attribute; i++) {
		const Onnx__AttributeProto *a = node->proto->attribute[i];

		if (!a->name || strcmp(a->name, name))
			continue;
		if (a->has_type && a->type == type && !a->ref_attr_name)
			return a;
		*ok = npucc_fail_node(error, node, "attribute '%s' has the wrong type", name);
		return NULL;
	}
	return NULL;
}

bool npucc_attr_int(const struct npucc_node *node, const char *name, int64_t *value,
		    struct npucc_error *error)
{
	bool ok;
	const Onnx__AttributeProto *a = find(node, name, A(INT), &ok, error);

	if (a)
		*value = a->i;
	return ok;
}

bool npucc_attr_float(const struct npucc_node *node, const char *name, float *value,
		      struct npucc_error *error)
{
	bool ok;
	const Onnx__AttributeProto *a = find(node, name, A(FLOAT), &ok, error);

	if (a)
		*value = a->f;
	return ok;
}

bool npucc_attr_ints(const struct npucc_node *node, const char *name, int64_t *values,
		     unsigned int count, bool *found, struct npucc_error *error)
{
	bool ok;
	const Onnx__AttributeProto *a = find(node, name, A(INTS), &ok, error);

	*found = a != NULL;
	if (!a)
		return ok;
	if (a->n_ints != count)
		return npucc_fail_node(error, node, "attribute '%s' has %zu values instead of %u: only 2-D operators are supported",
				       name, a->n_ints, count);
	memcpy(values, a->ints, count * sizeof(*values));
	return true;
}

bool npucc_attr_string(const struct npucc_node *node, const char *name, char *value, size_t size,
		       struct npucc_error *error)
{
	bool ok;
	const Onnx__AttributeProto *a = find(node, name, A(STRING), &ok, error);

	if (!a)
		return ok;
	if (a->s.len >= size)
		return npucc_fail_node(error, node, "attribute '%s' is too long", name);
	if (a->s.len)
		memcpy(value, a->s.data, a->s.len);
	value[a->s.len] = '\0';
	return true;
}
