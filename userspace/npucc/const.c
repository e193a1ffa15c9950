// SPDX-License-Identifier: MIT
/*
 * TensorProto to struct npucc_const. ONNX stores a tensor either as raw
 * little-endian bytes or, widened, in one repeated field per type; both end
 * up as one plain array here, and never with fewer elements than the shape says.
 */
#include <inttypes.h>
#include <string.h>

#include "graph.h"

#define T(name) ONNX__TENSOR_PROTO__DATA_TYPE__##name

const char *npucc_type_name(int type)
{
	static const char *const names[] = {
		[T(UNDEFINED)] = "undefined", [T(FLOAT)] = "float", [T(UINT8)] = "uint8",
		[T(INT8)] = "int8", [T(UINT16)] = "uint16", [T(INT16)] = "int16",
		[T(INT32)] = "int32", [T(INT64)] = "int64", [T(STRING)] = "string",
		[T(BOOL)] = "bool", [T(FLOAT16)] = "float16", [T(DOUBLE)] = "double",
		[T(UINT32)] = "uint32", [T(UINT64)] = "uint64", [T(COMPLEX64)] = "complex64",
		[T(COMPLEX128)] = "complex128", [T(BFLOAT16)] = "bfloat16",
	};

	if (type < 0 || (size_t)type >= sizeof(names) / sizeof(names[0]) || !names[type])
		return "a type unknown to npucc";
	return names[type];
}

static size_t element_bytes(int type)
{
	switch (type) {
	case T(INT8):
	case T(UINT8):
		return 1;
	case T(FLOAT):
	case T(INT32):
		return 4;
	case T(INT64):
		return 8;
	default:
		return 0;
	}
}

static bool import_shape(struct npucc_const *c, const Onnx__TensorProto *t, const char *what,
			 struct npucc_error *error)
{
	size_t i;

	if (t->n_dims > NPUCC_MAX_RANK)
		return npucc_fail(error, "tensor '%s': rank %zu, supported are ranks up to %d",
				  what, t->n_dims, NPUCC_MAX_RANK);
	c->rank = (unsigned int)t->n_dims;
	c->count = 1;
	for (i = 0; i < t->n_dims; i++) {
		c->dims[i] = t->dims[i];
		if (t->dims[i] < 0)
			return npucc_fail(error, "tensor '%s': dimension %zu is %" PRId64, what, i,
					  t->dims[i]);
		if (__builtin_mul_overflow(c->count, (uint64_t)t->dims[i], &c->count) ||
		    c->count > NPUCC_MAX_MODEL_BYTES)
			return npucc_fail(error, "tensor '%s': more than %llu elements", what,
					  NPUCC_MAX_MODEL_BYTES);
	}
	return true;
}

/* The data in its typed field, narrowed to what it is; NULL when it is not there. */
static void *from_fields(struct npucc_arena *arena, const Onnx__TensorProto *t, int type,
			 size_t count)
{
	uint8_t *out;
	size_t i;

	switch (type) {
	case T(FLOAT):
		if (t->n_float_data != count)
			return NULL;
		out = npucc_alloc(arena, count, sizeof(float));
		if (count)
			memcpy(out, t->float_data, count * sizeof(float));
		return out;
	case T(INT64):
		if (t->n_int64_data != count)
			return NULL;
		out = npucc_alloc(arena, count, sizeof(int64_t));
		if (count)
			memcpy(out, t->int64_data, count * sizeof(int64_t));
		return out;
	default:
		if (t->n_int32_data != count)
			return NULL;
		out = npucc_alloc(arena, count, element_bytes(type));
		for (i = 0; i < count; i++)
			memcpy(out + i * element_bytes(type), &t->int32_data[i], element_bytes(type));
		return out;
	}
}

static void *import_data(struct npucc_arena *arena, const struct npucc_const *c,
			 const Onnx__TensorProto *t, const char *what, struct npucc_error *error)
{
	size_t bytes = c->count * element_bytes(c->type);
	void *data;

	if (t->has_raw_data) {
		if (t->raw_data.len != bytes) {
			npucc_fail(error, "tensor '%s': %zu bytes of data, its shape and type %s need %zu",
				   what, t->raw_data.len, npucc_type_name(c->type), bytes);
			return NULL;
		}
		data = npucc_alloc(arena, bytes, 1);	/* raw_data may be misaligned */
		if (bytes)
			memcpy(data, t->raw_data.data, bytes);
		return data;
	}
	data = from_fields(arena, t, c->type, c->count);
	if (!data)
		npucc_fail(error, "tensor '%s': its %s data do not have the %zu elements of its shape",
			   what, npucc_type_name(c->type), c->count);
	return data;
}

struct npucc_const *npucc_const_import(struct npucc_arena *arena, const Onnx__TensorProto *t,
				       const char *what, struct npucc_error *error)
{
	struct npucc_const *c = npucc_alloc(arena, 1, sizeof(*c));
	void *data;

	c->type = t->has_data_type ? t->data_type : T(UNDEFINED);
	if (t->n_external_data || (t->has_data_location &&
	    t->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL)) {
		npucc_fail(error, "tensor '%s': data in an external file is not supported; save the model with its data inside",
			   what);
		return NULL;
	}
	if (t->segment) {
		npucc_fail(error, "tensor '%s': segmented tensors are not supported", what);
		return NULL;
	}
	if (!import_shape(c, t, what, error))
		return NULL;
	if (!element_bytes(c->type))
		return c;
	data = import_data(arena, c, t, what, error);
	if (!data)
		return NULL;
	c->f32 = c->type == T(FLOAT) ? data : NULL;
	c->i8 = c->type == T(INT8) ? data : NULL;
	c->u8 = c->type == T(UINT8) ? data : NULL;
	c->i32 = c->type == T(INT32) ? data : NULL;
	c->i64 = c->type == T(INT64) ? data : NULL;
	return c;
}
