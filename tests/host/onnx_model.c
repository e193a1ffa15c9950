// SPDX-License-Identifier: MIT
/* Small ONNX models for tests (see onnx_model.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "onnx_model.h"

#define T(name)	ONNX__TENSOR_PROTO__DATA_TYPE__##name

static char *copy(struct om *m, const char *text)
{
	return npucc_printf(m->arena, "%s", text);
}

static char *join(struct om *m, const char *name, const char *suffix)
{
	return npucc_printf(m->arena, "%s%s", name, suffix);
}

static Onnx__TensorShapeProto__Dimension *dimension(struct om *m, int64_t value)
{
	Onnx__TensorShapeProto__Dimension *d = npucc_alloc(m->arena, 1, sizeof(*d));

	onnx__tensor_shape_proto__dimension__init(d);
	if (value < 0) {
		d->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
		d->dim_param = copy(m, "N");
	} else {
		d->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
		d->dim_value = value;
	}
	return d;
}

static Onnx__ValueInfoProto *value_info(struct om *m, const char *name, unsigned int rank,
					const int64_t *dims)
{
	Onnx__ValueInfoProto *v = npucc_alloc(m->arena, 1, sizeof(*v));
	unsigned int i;

	onnx__value_info_proto__init(v);
	v->name = copy(m, name);
	v->type = npucc_alloc(m->arena, 1, sizeof(*v->type));
	onnx__type_proto__init(v->type);
	v->type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
	v->type->tensor_type = npucc_alloc(m->arena, 1, sizeof(*v->type->tensor_type));
	onnx__type_proto__tensor__init(v->type->tensor_type);
	v->type->tensor_type->has_elem_type = 1;
	v->type->tensor_type->elem_type = T(FLOAT);
	v->type->tensor_type->shape = npucc_alloc(m->arena, 1, sizeof(Onnx__TensorShapeProto));
	onnx__tensor_shape_proto__init(v->type->tensor_type->shape);
	v->type->tensor_type->shape->dim = npucc_alloc(m->arena, rank + 1, sizeof(void *));
	v->type->tensor_type->shape->n_dim = rank;
	for (i = 0; i < rank; i++)
		v->type->tensor_type->shape->dim[i] = dimension(m, dims[i]);
	return v;
}

void om_init(struct om *m, struct npucc_arena *arena, int c, int h, int w)
{
	const int64_t dims[4] = { -1, c, h, w };

	memset(m, 0, sizeof(*m));
	m->arena = arena;
	m->seed = 1;
	onnx__model_proto__init(&m->model);
	onnx__graph_proto__init(&m->graph);
	onnx__operator_set_id_proto__init(&m->opset);
	m->opset.has_version = 1;
	m->opset.version = 13;
	m->opsets[0] = &m->opset;
	m->model.opset_import = m->opsets;
	m->model.n_opset_import = 1;
	m->model.graph = &m->graph;
	m->model.metadata_props = m->props;
	m->graph.name = copy(m, "test");
	m->graph.node = m->nodes;
	m->graph.initializer = m->tensors;
	m->graph.input = m->inputs;
	m->graph.output = m->outputs;
	m->inputs[m->graph.n_input++] = value_info(m, "x", h ? 4 : 2, dims);
}

void *om_pack(struct om *m, size_t *bytes)
{
	uint8_t *data;

	*bytes = onnx__model_proto__get_packed_size(&m->model);
	data = npucc_alloc(m->arena, *bytes + 1, 1);
	onnx__model_proto__pack(&m->model, data);
	return data;
}

Onnx__NodeProto *om_node(struct om *m, const char *op, const char *inputs, const char *output)
{
	Onnx__NodeProto *n = npucc_alloc(m->arena, 1, sizeof(*n));

	if (m->graph.n_node == OM_MAX)
		abort();
	onnx__node_proto__init(n);
	n->op_type = copy(m, op);
	n->name = join(m, output, ".node");
	n->input = npucc_alloc(m->arena, strlen(inputs) + 1, sizeof(*n->input));
	while (*inputs) {
		size_t len = strcspn(inputs, ",");

		n->input[n->n_input++] = npucc_printf(m->arena, "%.*s", (int)len, inputs);
		inputs += len + (inputs[len] == ',');
	}
	n->output = npucc_alloc(m->arena, 1, sizeof(*n->output));
	n->output[n->n_output++] = copy(m, output);
	n->attribute = npucc_alloc(m->arena, 16, sizeof(*n->attribute));
	m->nodes[m->graph.n_node++] = n;
	return n;
}

static Onnx__AttributeProto *attribute(struct om *m, Onnx__NodeProto *node, const char *name,
				       Onnx__AttributeProto__AttributeType type)
{
	Onnx__AttributeProto *a = npucc_alloc(m->arena, 1, sizeof(*a));

	if (node->n_attribute == 16)
		abort();
	onnx__attribute_proto__init(a);
	a->name = copy(m, name);
	a->has_type = 1;
	a->type = type;
	node->attribute[node->n_attribute++] = a;
	return a;
}

void om_attr_int(struct om *m, Onnx__NodeProto *node, const char *name, int64_t value)
{
	Onnx__AttributeProto *a = attribute(m, node, name,
					    ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);

	a->has_i = 1;
	a->i = value;
}

void om_attr_float(struct om *m, Onnx__NodeProto *node, const char *name, float value)
{
	Onnx__AttributeProto *a = attribute(m, node, name,
					    ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);

	a->has_f = 1;
	a->f = value;
}

void om_attr_string(struct om *m, Onnx__NodeProto *node, const char *name, const char *value)
{
	Onnx__AttributeProto *a = attribute(m, node, name,
					    ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING);

	a->has_s = 1;
	a->s.len = strlen(value);
	a->s.data = (uint8_t *)copy(m, value);
}

void om_attr_ints(struct om *m, Onnx__NodeProto *node, const char *name, unsigned int count,
		  const int64_t *values)
{
	Onnx__AttributeProto *a = attribute(m, node, name,
					    ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);

	a->n_ints = count;
	a->ints = npucc_alloc(m->arena, count, sizeof(*values));
	memcpy(a->ints, values, count * sizeof(*values));
}

void om_meta(struct om *m, const char *key, const char *value)
{
	Onnx__StringStringEntryProto *p = npucc_alloc(m->arena, 1, sizeof(*p));

	onnx__string_string_entry_proto__init(p);
	p->key = copy(m, key);
	p->value = copy(m, value);
	m->props[m->model.n_metadata_props++] = p;
}

void om_output(struct om *m, const char *name)
{
	const int64_t dims[2] = { -1, 1 };

	m->outputs[m->graph.n_output++] = value_info(m, name, 2, dims);
}

static size_t type_bytes(int type)
{
	return type == T(INT8) || type == T(UINT8) ? 1 : type == T(INT64) ? 8 : 4;
}

Onnx__TensorProto *om_const(struct om *m, const char *name, int type, const int64_t *dims,
			    const void *data)
{
	Onnx__TensorProto *t = npucc_alloc(m->arena, 1, sizeof(*t));
	size_t count = 1, i;

	if (m->graph.n_initializer == OM_MAX)
		abort();
	onnx__tensor_proto__init(t);
	t->name = copy(m, name);
	t->has_data_type = 1;
	t->data_type = type;
	t->dims = npucc_alloc(m->arena, 8, sizeof(*t->dims));
	for (; dims[t->n_dims] >= 0; t->n_dims++) {
		t->dims[t->n_dims] = dims[t->n_dims];
		count *= (size_t)dims[t->n_dims];
	}
	t->has_raw_data = 1;
	t->raw_data.len = count * type_bytes(type);
	t->raw_data.data = npucc_alloc(m->arena, t->raw_data.len, 1);
	if (data) {
		memcpy(t->raw_data.data, data, t->raw_data.len);
	} else {
		for (i = 0; i < t->raw_data.len; i++) {
			m->seed = m->seed * 1103515245 + 12345;
			t->raw_data.data[i] = (uint8_t)(m->seed >> 16);
		}
	}
	m->tensors[m->graph.n_initializer++] = t;
	return t;
}

void om_scalar_f32(struct om *m, const char *name, float value)
{
	om_const(m, name, T(FLOAT), (const int64_t[]){ -1 }, &value);
}

void om_vector_i64(struct om *m, const char *name, unsigned int count, const int64_t *values)
{
	om_const(m, name, T(INT64), (const int64_t[]){ count, -1 }, values);
}

static void quantize(struct om *m, const char *out, const char *in, float scale, int zero_point,
		     int type)
{
	const int8_t zero = (int8_t)zero_point;	/* the same byte for uint8 */

	om_scalar_f32(m, join(m, out, ".scale"), scale);
	om_const(m, join(m, out, ".zero"), type, (const int64_t[]){ -1 }, &zero);
	om_node(m, "QuantizeLinear", npucc_printf(m->arena, "%s,%s.scale,%s.zero", in, out, out),
		join(m, out, ".q"));
	om_node(m, "DequantizeLinear",
		npucc_printf(m->arena, "%s.q,%s.scale,%s.zero", out, out, out), out);
}

void om_quantize(struct om *m, const char *out, const char *in, float scale, int zero_point)
{
	quantize(m, out, in, scale, zero_point, T(INT8));
}

void om_quantize_u8(struct om *m, const char *out, const char *in, float scale, int zero_point)
{
	quantize(m, out, in, scale, zero_point, T(UINT8));
}

void om_weights(struct om *m, const char *name, const int64_t *dims, int axis, float scale)
{
	int64_t channels = dims[axis], i;
	float *scales = npucc_alloc(m->arena, (size_t)channels, sizeof(*scales));
	Onnx__NodeProto *n;

	for (i = 0; i < channels; i++)
		scales[i] = scale * (float)(1 + i);
	om_const(m, join(m, name, ".codes"), T(INT8), dims, NULL);
	om_const(m, join(m, name, ".scale"), T(FLOAT), (const int64_t[]){ channels, -1 }, scales);
	n = om_node(m, "DequantizeLinear",
		    npucc_printf(m->arena, "%s.codes,%s.scale", name, name), name);
	om_attr_int(m, n, "axis", axis);
}

Onnx__NodeProto *om_conv(struct om *m, const char *out, const char *in, int out_c, int in_c,
			 int kernel, int stride, int pad, int zp)
{
	Onnx__NodeProto *n;

	om_weights(m, join(m, out, ".w"), (const int64_t[]){ out_c, in_c, kernel, kernel, -1 }, 0,
		   0.01f);
	n = om_node(m, "Conv", npucc_printf(m->arena, "%s,%s.w", in, out), join(m, out, ".f"));
	om_attr_ints(m, n, "strides", 2, (const int64_t[]){ stride, stride });
	om_attr_ints(m, n, "pads", 4, (const int64_t[]){ pad, pad, pad, pad });
	om_quantize(m, out, join(m, out, ".f"), 0.1f, zp);
	return n;
}

void om_head(struct om *m, const char *out, const char *in, int channels, int classes)
{
	Onnx__NodeProto *n;

	om_node(m, "GlobalAveragePool", in, join(m, out, ".gap.f"));
	om_quantize(m, join(m, out, ".gap"), join(m, out, ".gap.f"), 0.05f, -128);
	om_node(m, "Flatten", join(m, out, ".gap"), join(m, out, ".flat"));
	om_weights(m, join(m, out, ".w"), (const int64_t[]){ classes, channels, -1 }, 0, 0.02f);
	n = om_node(m, "Gemm", npucc_printf(m->arena, "%s.flat,%s.w", out, out), join(m, out, ".f"));
	om_attr_int(m, n, "transB", 1);
	om_quantize(m, out, join(m, out, ".f"), 0.2f, 3);
	om_output(m, out);
}
