// SPDX-License-Identifier: MIT
/*
 * The .fnpu loader under fire: container, program tables, metadata, and what a session
 * makes of a program that the loader has let through.
 *
 * An input is a file, byte for byte. The mutator takes it apart into sections,
 * mutates one of them as what it is (JSON, a table of words, bytes), puts the file
 * together again and nearly always repairs size and checksum, which would
 * otherwise hide everything behind them.
 */
#define _GNU_SOURCE	/* memfd_create() */
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include <cjson/cJSON.h>

#include "fluidnpu.h"
#include "fnpu_file_io.h"
#include "fuzz.h"
#include "samples.h"

#define MAX_SECTION_BYTES	(1u << 16)

static struct fnpu_device *device;
static int file_fd;
static char file_path[64];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	if (fnpu_device_open("emu", NULL, &device, NULL))
		abort();
	file_fd = memfd_create("fuzz.fnpu", MFD_CLOEXEC);
	if (file_fd < 0)
		abort();
	snprintf(file_path, sizeof(file_path), "/proc/self/fd/%d", file_fd);
	return 0;
}

/* --- the test -------------------------------------------------------------------- */

static volatile size_t sink;

/* Reads all that the library hands out: whatever lies outside is the sanitizer's to find. */
static void read_info(const struct fnpu_model *model)
{
	const struct fnpu_model_info *info = fnpu_model_info(model);

	sink += strlen(info->name) + strlen(info->producer);
	for (uint32_t i = 0; i < info->num_exits; i++) {
		sink += strlen(info->exits[i].name) + strlen(info->exits[i].criterion);
		fuzz_check(info->exits[i].layer < info->num_layers);
		fuzz_check((uint64_t)info->exits[i].logits_off + info->exits[i].classes <=
			   info->logits_bytes);
	}
	for (uint32_t i = 0; i < info->num_labels; i++)
		sink += strlen(info->labels[i]);
	fuzz_check((uint64_t)info->channels * info->height * info->width == info->input_bytes);
	for (uint32_t l = 0; l <= info->num_layers; l++)
		for (uint32_t b = 0; b <= info->max_batch + 1; b++)
			sink += fnpu_model_cost(model, l, b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fnpu_error error = { "" };
	struct fnpu_model *model;

	if (ftruncate(file_fd, 0) || pwrite(file_fd, data, size, 0) != (ssize_t)size)
		abort();
	if (fnpu_model_load(file_path, &model, &error)) {
		fuzz_check(error.text[0]);
		return 0;
	}
	read_info(model);
	if (!fnpu_model_check(model, device, &error) && samples_affordable(model))
		sink += samples_run(model) != NULL;
	fnpu_model_free(model);
	return 0;
}

/* --- the mutator ----------------------------------------------------------------- */

/** struct parts - a file taken apart; @bytes of what is not there are 0 */
struct parts {
	uint8_t data[FNPU_SECTION_COST + 1][MAX_SECTION_BYTES];
	size_t bytes[FNPU_SECTION_COST + 1];
};

/* Takes what can be taken, from sections that lie inside the file. */
static void take_apart(const uint8_t *data, size_t size, struct parts *parts)
{
	struct fnpu_file_section s;
	size_t at = sizeof(struct fnpu_file_header);

	memset(parts->bytes, 0, sizeof(parts->bytes));
	for (int i = 0; i < 3 && at + sizeof(s) <= size; i++, at += sizeof(s)) {
		memcpy(&s, data + at, sizeof(s));
		if (s.type < FNPU_SECTION_META || s.type > FNPU_SECTION_COST || s.offset > size ||
		    s.bytes > size - s.offset || s.bytes > MAX_SECTION_BYTES)
			continue;
		memcpy(parts->data[s.type], data + s.offset, s.bytes);
		parts->bytes[s.type] = s.bytes;
	}
}

/* Returns the size of the file, or 0 when it does not fit. */
static size_t put_together(const struct parts *parts, uint8_t *data, size_t max_size)
{
	struct fnpu_file_part list[FNPU_SECTION_COST];
	unsigned int num = 0;
	size_t bytes;
	void *file;

	for (uint32_t t = FNPU_SECTION_META; t <= FNPU_SECTION_COST; t++)
		if (parts->bytes[t])
			list[num++] = (struct fnpu_file_part){ t, parts->data[t], parts->bytes[t] };
	if (fnpu_file_build(list, num, &file, &bytes, NULL, 0))
		return 0;
	if (bytes <= max_size)
		memcpy(data, file, bytes);
	free(file);
	return bytes <= max_size ? bytes : 0;
}

static void repair(uint8_t *data, size_t size)
{
	struct fnpu_file_header h;

	if (size < sizeof(h))
		return;
	memcpy(&h, data, sizeof(h));
	h.file_bytes = size;
	h.crc32 = (uint32_t)crc32_z(0, data + sizeof(h), size - sizeof(h));
	memcpy(data, &h, sizeof(h));
}

/* The object or array number @index of the tree below @item, counted down as they are met. */
static cJSON *nth_container(cJSON *item, unsigned int *index)
{
	cJSON *child, *found;

	if (!cJSON_IsObject(item) && !cJSON_IsArray(item))
		return NULL;
	if (!(*index)--)
		return item;
	cJSON_ArrayForEach(child, item) {
		found = nth_container(child, index);
		if (found)
			return found;
	}
	return NULL;
}

static cJSON *random_json(struct tb_rng *rng)
{
	static const double extremes[] = { 0, -0.5, 1e-310, 3.5e38, 1e308, 4294967296.0, 1e16 };

	switch (tb_random(rng) % 6) {
	case 0:
		return cJSON_CreateNumber((double)fuzz_number(rng));
	case 1:
		return cJSON_CreateNumber(tb_range(rng, -300, 300));
	case 2:
		return cJSON_CreateNumber(extremes[tb_random(rng) % 7]);
	case 3:
		return cJSON_CreateString("margin");
	case 4:
		return cJSON_CreateArray();
	default:
		return cJSON_CreateNull();
	}
}

static void replace(cJSON *parent, cJSON *child, cJSON *by)
{
	if (child->string)
		cJSON_ReplaceItemInObjectCaseSensitive(parent, child->string, by);
	else
		cJSON_ReplaceItemViaPointer(parent, child, by);
}

/* Changes, removes or doubles one item; the text stays JSON. */
static void mutate_tree(cJSON *root, struct tb_rng *rng)
{
	unsigned int index = tb_random(rng) % 16;
	cJSON *parent = nth_container(root, &index), *child;

	if (!parent)
		parent = root;
	if (!parent->child) {
		cJSON_AddItemToArray(parent, random_json(rng));
		return;
	}
	child = cJSON_GetArrayItem(parent, tb_range(rng, 0, cJSON_GetArraySize(parent) - 1));
	switch (tb_random(rng) % 4) {
	case 0:
		if (cJSON_IsNumber(child))
			cJSON_SetNumberValue(child, child->valuedouble + tb_range(rng, -1, 1));
		break;
	case 1:
		replace(parent, child, random_json(rng));
		break;
	case 2:
		if (cJSON_IsArray(parent))
			cJSON_AddItemToArray(parent, cJSON_Duplicate(child, true));
		break;
	default:
		cJSON_Delete(cJSON_DetachItemViaPointer(parent, child));
		break;
	}
}

static size_t mutate_meta(uint8_t *text, size_t bytes, struct tb_rng *rng)
{
	cJSON *root = cJSON_ParseWithLength((const char *)text, bytes);
	char *out = NULL;

	if (cJSON_IsObject(root)) {
		mutate_tree(root, rng);
		out = cJSON_PrintUnformatted(root);
	}
	cJSON_Delete(root);
	if (!out || strlen(out) > MAX_SECTION_BYTES) {
		free(out);
		return LLVMFuzzerMutate(text, bytes, MAX_SECTION_BYTES);
	}
	bytes = strlen(out);
	memcpy(text, out, bytes);
	free(out);
	return bytes;
}

/* One aligned word of a table becomes a number, or what another word is. */
static void mutate_word(uint8_t *data, size_t bytes, struct tb_rng *rng)
{
	const unsigned int words = (unsigned int)(bytes / sizeof(uint32_t));
	uint32_t value = (uint32_t)fuzz_number(rng);
	size_t at;

	if (!words)
		return;
	/* mostly in the header and the first layers */
	at = tb_random(rng) % (tb_random(rng) % 4 && words > 128 ? 128 : words) * sizeof(value);
	if (tb_random(rng) % 4 == 0)
		memcpy(&value, data + tb_random(rng) % words * sizeof(value), sizeof(value));
	memcpy(data + at, &value, sizeof(value));
}

static size_t mutate_part(struct parts *parts, uint8_t *data, size_t max_size, struct tb_rng *rng)
{
	const unsigned int type = tb_random(rng) % FNPU_SECTION_COST + FNPU_SECTION_META;
	uint8_t *part = parts->data[type];
	size_t *bytes = &parts->bytes[type];

	if (type == FNPU_SECTION_META && tb_random(rng) % 4)
		*bytes = mutate_meta(part, *bytes, rng);
	else if (type == FNPU_SECTION_PROGRAM && tb_random(rng) % 2)
		mutate_word(part, *bytes, rng);
	else
		*bytes = LLVMFuzzerMutate(part, *bytes, MAX_SECTION_BYTES);
	return put_together(parts, data, max_size);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	static struct parts parts;
	struct tb_rng rng = { seed };
	size_t made = 0;

	if (tb_random(&rng) % 8) {
		take_apart(data, size, &parts);
		made = mutate_part(&parts, data, max_size, &rng);
	}
	if (!made)
		made = LLVMFuzzerMutate(data, size, max_size);
	if (tb_random(&rng) % 16)
		repair(data, made);
	return made;
}
