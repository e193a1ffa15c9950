// SPDX-License-Identifier: MIT
/*
 * ONNX models from ONNX models: mutation on the protobuf's tree.
 *
 * Bytes that are changed at random hardly ever stay protobuf, and names that are changed
 * hardly ever meet another. So a model is unpacked, all fields that are set anywhere in it
 * are listed by means of protobuf-c's descriptors, a few of them are changed as
 * what they are, and the model is packed again:
 *
 *	numbers		near the limits, one more or less, or what another field has
 *	strings		that of another field: edges move, operators change
 *	bytes		weights and zero points: libFuzzer's own mutation
 *	lists		an element goes, doubles, moves
 *	messages	the other parent's, in a crossover
 */
#include <string.h>

#include "fuzz.h"
#include "graph.h"

#define MAX_FIELDS	8192
#define MAX_BYTES	65536	/* of one bytes field */

/** struct place - a field that is set */
struct place {
	ProtobufCMessage *message;
	const ProtobufCFieldDescriptor *field;
};

/** struct tree - a model that is being mutated */
struct tree {
	struct npucc_arena *arena;
	Onnx__ModelProto *model;
	unsigned int num;
	struct place places[MAX_FIELDS];
};

/* --- fields by descriptor ---------------------------------------------------------- */

static size_t element_size(const ProtobufCFieldDescriptor *f)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_FLOAT:
	case PROTOBUF_C_TYPE_ENUM:
		return 4;
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	default:
		return 8;
	}
}

static void *member(const struct place *p)
{
	return (char *)p->message + p->field->offset;
}

static size_t *list_count(const struct place *p)
{
	return (void *)((char *)p->message + p->field->quantifier_offset);
}

static bool is_list(const struct place *p)
{
	return p->field->label == PROTOBUF_C_LABEL_REPEATED;
}

static bool is_set(const struct place *p)
{
	const ProtobufCFieldDescriptor *f = p->field;

	if (is_list(p))
		return *list_count(p) > 0;
	if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
		return *(uint32_t *)((char *)p->message + f->quantifier_offset) == f->id;
	if (f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_MESSAGE)
		return *(void **)member(p) && *(const void **)member(p) != f->default_value;
	return f->label == PROTOBUF_C_LABEL_REQUIRED ||
	       *(protobuf_c_boolean *)((char *)p->message + f->quantifier_offset);
}

/* The value itself; of a list, one of its elements. */
static void *element(const struct place *p, struct tb_rng *rng)
{
	if (!is_list(p))
		return member(p);
	return *(char **)member(p) + tb_random(rng) % *list_count(p) * element_size(p->field);
}

static void list_fields(struct tree *t, ProtobufCMessage *m)
{
	for (unsigned int i = 0; i < m->descriptor->n_fields; i++) {
		struct place p = { m, &m->descriptor->fields[i] };
		size_t n;

		if (!is_set(&p) || t->num == MAX_FIELDS)
			continue;
		t->places[t->num++] = p;
		if (p.field->type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		n = is_list(&p) ? *list_count(&p) : 1;
		for (size_t k = 0; k < n; k++)
			list_fields(t, is_list(&p) ? (*(ProtobufCMessage ***)member(&p))[k] :
						     *(ProtobufCMessage **)member(&p));
	}
}

static bool grow_tree(struct tree *t, struct npucc_arena *arena, const uint8_t *data, size_t size)
{
	struct npucc_error error = { "" };

	t->arena = arena;
	t->num = 0;
	/* it is our copy, and nothing else refers to it */
	t->model = (Onnx__ModelProto *)npucc_onnx_parse(arena, data, size, &error);
	if (t->model)
		list_fields(t, &t->model->base);
	return t->num > 0;
}

/* Another field of the same type; NULL when a few tries find none. */
static const struct place *similar(const struct tree *t, const ProtobufCFieldDescriptor *f,
				   struct tb_rng *rng)
{
	for (int i = 0; i < 64; i++) {
		const struct place *p = &t->places[tb_random(rng) % t->num];

		if (p->field->type == f->type && p->field->descriptor == f->descriptor &&
		    is_set(p))
			return p;
	}
	return NULL;
}

/* --- mutations --------------------------------------------------------------------- */

static void mutate_number(const struct tree *t, const struct place *p, struct tb_rng *rng)
{
	const size_t size = element_size(p->field);
	void *value = element(p, rng);
	const struct place *other = similar(t, p->field, rng);
	uint64_t number = 0;

	if (tb_random(rng) % 3 == 0 && other) {
		memmove(value, element(other, rng), size);
		return;
	}
	memcpy(&number, value, size);
	if (p->field->type == PROTOBUF_C_TYPE_FLOAT && tb_random(rng) % 4) {
		static const float floats[] = { 0, -1, 1, 1e-30f, 1e30f, 0.0078125f, 255.5f };
		float f = floats[tb_random(rng) % 7];

		memcpy(value, &f, sizeof(f));
		return;
	}
	switch (tb_random(rng) % 3) {
	case 0:
		number += (uint64_t)tb_range(rng, -1, 1);
		break;
	case 1:
		number = (uint64_t)tb_range(rng, 0, 20);
		break;
	default:
		number = fuzz_number(rng);
		break;
	}
	memcpy(value, &number, size);
}

static void mutate_string(const struct tree *t, const struct place *p, struct tb_rng *rng)
{
	static const char *const words[] = {
		"", "Conv", "Add", "Relu", "Clip", "MaxPool", "AveragePool", "GlobalAveragePool",
		"Gemm", "MatMul", "Flatten", "Reshape", "Concat", "QuantizeLinear",
		"DequantizeLinear", "QLinearConv", "QLinearMatMul", "QLinearAdd", "QLinearConcat",
		"QLinearAveragePool", "QLinearGlobalAveragePool", "Constant", "Identity",
		"Dropout", "axis", "transB", "group", "dilations", "ceil_mode", "auto_pad",
		"count_include_pad", "fluidnpu.exit.thresholds", "fluidnpu.exit.criterion",
		"fluidnpu.labels", "fluidnpu.input.byte_scale", "entropy", "margin", "0.5,,1e9",
		"1,2,3,4,5,6,7,8,9", "nan", "-1", "com.microsoft",
	};
	const struct place *other = similar(t, p->field, rng);
	const char **value = element(p, rng);

	if (tb_random(rng) % 4 && other)
		*value = *(const char **)element(other, rng);
	else
		*value = words[tb_random(rng) % (sizeof(words) / sizeof(words[0]))];
}

static void mutate_bytes(const struct tree *t, const struct place *p, struct tb_rng *rng)
{
	ProtobufCBinaryData *value = element(p, rng);
	uint8_t *copy;

	if (value->len > MAX_BYTES)
		return;
	copy = npucc_alloc(t->arena, MAX_BYTES, 1);
	if (value->len)
		memcpy(copy, value->data, value->len);
	value->data = copy;
	/* mostly the same number of elements: another one is refused at once */
	if (tb_random(rng) % 4)
		LLVMFuzzerMutate(copy, value->len, value->len);
	else
		value->len = LLVMFuzzerMutate(copy, value->len, MAX_BYTES);
}

/* An element goes, doubles or changes places. */
static void mutate_list(const struct tree *t, const struct place *p, struct tb_rng *rng)
{
	const size_t size = element_size(p->field), n = *list_count(p);
	char *old = *(char **)member(p), *from, *to, *list;

	if (!n)
		return;
	from = old + tb_random(rng) % n * size;
	to = old + tb_random(rng) % n * size;
	switch (tb_random(rng) % 3) {
	case 0:
		memmove(from, from + size, (size_t)(old + n * size - from) - size);
		--*list_count(p);
		break;
	case 1:
		list = npucc_alloc(t->arena, n + 1, size);
		memcpy(list, old, n * size);
		memcpy(list + n * size, from, size);
		*(char **)member(p) = list;
		++*list_count(p);
		break;
	default:
		list = npucc_alloc(t->arena, 1, size);
		memcpy(list, from, size);
		memmove(from, to, size);
		memcpy(to, list, size);
		break;
	}
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

/* A copy of the other message, which may hold this one: a tree has an end. */
static void mutate_message(const struct tree *t, const struct place *p, struct tb_rng *rng)
{
	ProtobufCAllocator allocator = { alloc_in_arena, free_in_arena, t->arena };
	const struct place *other = similar(t, p->field, rng);
	ProtobufCMessage *from;
	uint8_t *packed;
	size_t bytes;

	if (!other)
		return;
	from = *(ProtobufCMessage **)element(other, rng);
	bytes = protobuf_c_message_get_packed_size(from);
	if (bytes > MAX_BYTES)
		return;
	packed = npucc_alloc(t->arena, bytes, 1);
	protobuf_c_message_pack(from, packed);
	*(ProtobufCMessage **)element(p, rng) =
		protobuf_c_message_unpack(from->descriptor, &allocator, bytes, packed);
}

static void mutate(const struct tree *t, struct tb_rng *rng)
{
	const struct place *p = &t->places[tb_random(rng) % t->num];

	if (is_list(p) && tb_random(rng) % 3 == 0) {
		mutate_list(t, p, rng);
		return;
	}
	if (!is_set(p))
		return;
	switch (p->field->type) {
	case PROTOBUF_C_TYPE_STRING:
		mutate_string(t, p, rng);
		break;
	case PROTOBUF_C_TYPE_BYTES:
		mutate_bytes(t, p, rng);
		break;
	case PROTOBUF_C_TYPE_MESSAGE:
		mutate_message(t, p, rng);
		break;
	default:
		mutate_number(t, p, rng);
		break;
	}
}

/* Returns 0 when it does not fit. */
static size_t pack(const struct tree *t, uint8_t *data, size_t max_size)
{
	if (onnx__model_proto__get_packed_size(t->model) > max_size)
		return 0;
	return onnx__model_proto__pack(t->model, data);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	static struct tree tree;
	struct npucc_arena arena = { NULL };
	struct tb_rng rng = { seed };
	size_t made = 0;

	if (tb_random(&rng) % 16 && grow_tree(&tree, &arena, data, size)) {
		for (int n = tb_range(&rng, 1, 3); n; n--)
			mutate(&tree, &rng);
		made = pack(&tree, data, max_size);
	}
	npucc_arena_free(&arena);
	return made ? made : LLVMFuzzerMutate(data, size, max_size);
}

/* A list of the first parent gets an element of the second's. */
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size,
				 uint8_t *out, size_t max_size, unsigned int seed)
{
	static struct tree first, second;
	struct npucc_arena arena = { NULL };
	struct tb_rng rng = { seed };
	size_t made = 0;

	if (grow_tree(&first, &arena, a, a_size) && grow_tree(&second, &arena, b, b_size)) {
		const struct place *to = &first.places[tb_random(&rng) % first.num];
		const struct place *from = similar(&second, to->field, &rng);

		if (is_list(to))
			mutate_list(&first, to, &rng);
		if (from && is_set(to))
			memcpy(element(to, &rng), element(from, &rng), element_size(to->field));
		made = pack(&first, out, max_size);
	}
	npucc_arena_free(&arena);
	return made;
}
