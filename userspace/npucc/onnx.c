// SPDX-License-Identifier: MIT
/*
 * Bytes to an ONNX ModelProto.
 *
 * protobuf-c unpacks nested messages recursively and without a limit, so that a
 * small file of nothing but nesting would exhaust the stack. This walks
 * the wire format along the message descriptors first and refuses what is nested
 * deeper than any model is.
 */
#include <string.h>

#include "graph.h"

#define MAX_NESTING	32

enum { WIRE_VARINT = 0, WIRE_64BIT = 1, WIRE_BYTES = 2, WIRE_32BIT = 5 };

struct cursor {
	const uint8_t *at;
	const uint8_t *end;
};

static bool read_varint(struct cursor *c, uint64_t *value)
{
	unsigned int shift;

	*value = 0;
	for (shift = 0; shift < 64 && c->at < c->end; shift += 7) {
		uint8_t byte = *c->at++;

		*value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return true;
	}
	return false;
}

static bool skip(struct cursor *c, uint64_t bytes)
{
	if (bytes > (uint64_t)(c->end - c->at))
		return false;
	c->at += bytes;
	return true;
}

/* True when @data is well-formed and no message in it is nested deeper than @left levels. */
static bool nesting_ok(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t bytes,
		       unsigned int left)
{
	struct cursor c = { data, data + bytes };

	while (c.at < c.end) {
		const ProtobufCFieldDescriptor *field;
		uint64_t key, len;

		if (!read_varint(&c, &key))
			return false;
		switch (key & 7) {
		case WIRE_VARINT:
			if (!read_varint(&c, &len))
				return false;
			break;
		case WIRE_64BIT:
			if (!skip(&c, 8))
				return false;
			break;
		case WIRE_32BIT:
			if (!skip(&c, 4))
				return false;
			break;
		case WIRE_BYTES:
			if (!read_varint(&c, &len) || len > (uint64_t)(c.end - c.at))
				return false;
			field = key >> 3 <= UINT32_MAX ?
				protobuf_c_message_descriptor_get_field(type, (uint32_t)(key >> 3)) : NULL;
			if (field && field->type == PROTOBUF_C_TYPE_MESSAGE &&
			    (!left || !nesting_ok(field->descriptor, c.at, len, left - 1)))
				return false;
			c.at += len;
			break;
		default:
			return false;
		}
	}
	return true;
}

static void *alloc_in_arena(void *arena, size_t bytes)
{
	return npucc_alloc(arena, bytes, 1);
}

static void free_in_arena(void *arena, void *data)
{
	(void)arena;
	(void)data;
}

const Onnx__ModelProto *npucc_onnx_parse(struct npucc_arena *arena, const void *data, size_t bytes,
					 struct npucc_error *error)
{
	ProtobufCAllocator allocator = { alloc_in_arena, free_in_arena, arena };
	const Onnx__ModelProto *model;

	if (!bytes) {
		npucc_fail(error, "not an ONNX model: the file is empty");
		return NULL;
	}
	if (!nesting_ok(&onnx__model_proto__descriptor, data, bytes, MAX_NESTING)) {
		npucc_fail(error, "not an ONNX model: the protobuf is truncated or malformed, or nested deeper than %d levels",
			   MAX_NESTING);
		return NULL;
	}
	model = onnx__model_proto__unpack(&allocator, bytes, data);
	if (!model)
		npucc_fail(error, "not an ONNX model: the protobuf is malformed");
	return model;
}
