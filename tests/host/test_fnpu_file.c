// SPDX-License-Identifier: MIT
/* The .fnpu container: what it keeps, and what it refuses with which message. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#include "fnpu_file_io.h"

#define NUM_LAYERS	2u
#define MAX_BATCH	4u

static char error[FNPU_FILE_ERROR_BYTES];

/* The smallest program that the container accepts; it checks tables, not layers. */
struct tiny_program {
	struct fluidnpu_hw_program header;
	struct fluidnpu_hw_layer layers[NUM_LAYERS];
	struct fluidnpu_hw_policy control[NUM_LAYERS * MAX_BATCH];
};

static const char meta[] = "{\"name\":\"tiny\"}";
static struct tiny_program program;
static uint32_t cost[NUM_LAYERS * MAX_BATCH];
static struct fnpu_file_part parts[3];

static int set_up(void **state)
{
	unsigned int i;

	(void)state;
	memset(&program, 0, sizeof(program));
	program.header.magic = FLUIDNPU_PROGRAM_MAGIC;
	program.header.version = FLUIDNPU_PROGRAM_VERSION;
	program.header.total_bytes = sizeof(program);
	program.header.num_layers = NUM_LAYERS;
	program.header.max_batch = MAX_BATCH;
	program.header.num_exits = 1;
	program.header.layers_off = offsetof(struct tiny_program, layers);
	program.header.control_off = offsetof(struct tiny_program, control);
	for (i = 0; i < NUM_LAYERS * MAX_BATCH; i++)
		cost[i] = 1000 + i;
	parts[0] = (struct fnpu_file_part){ FNPU_SECTION_META, meta, strlen(meta) };
	parts[1] = (struct fnpu_file_part){ FNPU_SECTION_PROGRAM, &program, sizeof(program) };
	parts[2] = (struct fnpu_file_part){ FNPU_SECTION_COST, cost, sizeof(cost) };
	error[0] = '\0';
	return 0;
}

static uint8_t *build(size_t *bytes)
{
	void *data;

	assert_int_equal(fnpu_file_build(parts, 3, &data, bytes, error, sizeof(error)), 0);
	return data;
}

static void fix_checksum(uint8_t *data, size_t bytes)
{
	const size_t h = sizeof(struct fnpu_file_header);
	uint32_t crc = (uint32_t)crc32_z(0, data + h, bytes - h);

	memcpy(data + offsetof(struct fnpu_file_header, crc32), &crc, sizeof(crc));
}

static void expect_refused(const void *data, size_t bytes, const char *message)
{
	struct fnpu_file *file = NULL;
	int ret = fnpu_file_parse(data, bytes, &file, error, sizeof(error));

	if (ret != -EINVAL || !strstr(error, message))
		fail_msg("got %d '%s', wanted '%s'", ret, error, message);
	assert_null(file);
}

/* Builds, lets @change edit the bytes, and expects a refusal with @message. */
static void refused_after(void (*change)(uint8_t *data), const char *message)
{
	size_t bytes;
	uint8_t *data = build(&bytes);

	change(data);
	fix_checksum(data, bytes);
	expect_refused(data, bytes, message);
	free(data);
}

static void keeps_what_was_put_in(void **state)
{
	struct fnpu_file *file;
	size_t bytes, len;
	uint8_t *data = build(&bytes);

	(void)state;
	assert_int_equal(fnpu_file_parse(data, bytes, &file, error, sizeof(error)), 0);
	memset(data, 0xff, bytes);	/* the file must not refer to the caller's memory */
	assert_memory_equal(fnpu_file_section(file, FNPU_SECTION_META, &len), meta, strlen(meta));
	assert_int_equal(len, strlen(meta));
	assert_memory_equal(fnpu_file_program(file), &program, sizeof(program));
	assert_int_equal((uintptr_t)fnpu_file_program(file) % FNPU_FILE_ALIGN_BYTES, 0);
	assert_memory_equal(fnpu_file_cost(file), cost, sizeof(cost));
	assert_ptr_equal(fnpu_file_layers(file), fnpu_file_program(file) + 1);
	assert_ptr_equal(fnpu_file_control(file), fnpu_file_layers(file) + NUM_LAYERS);
	assert_null(fnpu_file_section(file, 99, &len));
	fnpu_file_free(file);
	free(data);
}

static void refuses_every_truncation(void **state)
{
	size_t bytes, cut;
	uint8_t *data = build(&bytes);

	(void)state;
	for (cut = 0; cut < bytes; cut++) {
		uint8_t *copy = malloc(cut ? cut : 1);	/* its own block: ASan sees an overrun */
		struct fnpu_file *file;

		memcpy(copy, data, cut);
		assert_int_equal(fnpu_file_parse(copy, cut, &file, error, sizeof(error)), -EINVAL);
		assert_int_not_equal(error[0], '\0');
		free(copy);
	}
	free(data);
}

static void refuses_every_flipped_bit(void **state)
{
	size_t bytes, bit;
	uint8_t *data = build(&bytes);
	struct fnpu_file *file;

	(void)state;
	for (bit = 0; bit < bytes * 8; bit++) {
		data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(fnpu_file_parse(data, bytes, &file, error, sizeof(error)), -EINVAL);
		data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	free(data);
}

/* With a matching checksum, that is, hostile rather than damaged. */
static void survives_every_changed_byte(void **state)
{
	size_t bytes, i;
	uint8_t *data = build(&bytes);
	struct fnpu_file *file;

	(void)state;
	for (i = sizeof(struct fnpu_file_header); i < bytes; i++) {
		uint8_t old = data[i];

		data[i] ^= 0xff;
		fix_checksum(data, bytes);
		if (!fnpu_file_parse(data, bytes, &file, error, sizeof(error)))
			fnpu_file_free(file);
		data[i] = old;
	}
	free(data);
}

static struct fnpu_file_section *section(uint8_t *data, unsigned int i)
{
	return (struct fnpu_file_section *)(data + sizeof(struct fnpu_file_header)) + i;
}

static struct fluidnpu_hw_program *header(uint8_t *data)
{
	return (struct fluidnpu_hw_program *)(data + section(data, 1)->offset);
}

static void other_magic(uint8_t *data)		{ data[0] = 'X'; }
static void other_version(uint8_t *data)	{ ((struct fnpu_file_header *)data)->version = 2; }
static void many_sections(uint8_t *data)	{ ((struct fnpu_file_header *)data)->num_sections = 17; }
static void no_cost(uint8_t *data)		{ ((struct fnpu_file_header *)data)->num_sections = 2; }
static void unknown_type(uint8_t *data)		{ section(data, 0)->type = 7; }
static void two_of_a_type(uint8_t *data)	{ section(data, 2)->type = FNPU_SECTION_META; }
static void outside(uint8_t *data)		{ section(data, 2)->offset = 1ull << 40; }
static void wraps(uint8_t *data)		{ section(data, 2)->bytes = UINT64_MAX - 63; }
static void overlap(uint8_t *data)		{ section(data, 2)->offset = section(data, 1)->offset; }
static void in_the_table(uint8_t *data)		{ section(data, 0)->offset = 64; }
static void program_magic(uint8_t *data)	{ header(data)->magic = 0; }
static void program_size(uint8_t *data)		{ header(data)->total_bytes++; }
static void no_layers(uint8_t *data)		{ header(data)->num_layers = 0; }
static void batch_17(uint8_t *data)		{ header(data)->max_batch = 17; }
static void no_exits(uint8_t *data)		{ header(data)->num_exits = 0; }
static void layers_outside(uint8_t *data)	{ header(data)->layers_off = 0xffffffc0; }
static void control_outside(uint8_t *data)	{ header(data)->control_off = sizeof(program) - 4; }
static void more_batches(uint8_t *data)		{ header(data)->max_batch = MAX_BATCH - 1; }

static void names_what_is_wrong(void **state)
{
	(void)state;
	refused_after(other_magic, "not a .fnpu file");
	refused_after(other_version, ".fnpu version 2");
	refused_after(many_sections, "17 sections do not fit");
	refused_after(no_cost, "no COST section");
	refused_after(unknown_type, "unknown section type 7");
	refused_after(two_of_a_type, "two META sections");
	refused_after(outside, "COST section: 32 bytes at 1099511627776");
	refused_after(wraps, "are not inside the file");
	refused_after(overlap, "sections PROGRAM and COST overlap");
	refused_after(in_the_table, "META section");
	refused_after(program_magic, "PROGRAM section: magic 0");
	refused_after(program_size, "header says");
	refused_after(no_layers, "0 layers");
	refused_after(batch_17, "batch of 17");
	refused_after(no_exits, "0 exits");
	refused_after(layers_outside, "layer or control table");
	refused_after(control_outside, "layer or control table");
	refused_after(more_batches, "COST section: 32 bytes");
	expect_refused("", 0, "0 bytes are less than its header");
}

static void writes_whole_files_only(void **state)
{
	char dir[] = "/tmp/fnpu_file.XXXXXX", path[64], fifo[64], text[256];
	struct fnpu_file_part empty = { FNPU_SECTION_META, "", 0 };
	struct fnpu_file *file;
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/a.fnpu", dir);
	assert_int_equal(fnpu_file_write(path, parts, 3, error, sizeof(error)), 0);
	assert_int_equal(fnpu_file_open(path, &file, error, sizeof(error)), 0);
	assert_memory_equal(fnpu_file_cost(file), cost, sizeof(cost));
	fnpu_file_free(file);

	/* a failed write leaves the old file and nothing beside it */
	assert_int_equal(fnpu_file_write(path, &empty, 1, error, sizeof(error)), -EINVAL);
	assert_int_equal(fnpu_file_open(path, &file, error, sizeof(error)), 0);
	fnpu_file_free(file);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(unlink(path), 0);

	/* renaming over a device or a pipe would destroy it */
	snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(fnpu_file_write(fifo, parts, 3, error, sizeof(error)), -EINVAL);
	assert_non_null(strstr(error, "not a regular file"));
	assert_int_equal(stat(fifo, &st), 0);
	assert_true(S_ISFIFO(st.st_mode));
	assert_int_equal(unlink(fifo), 0);
	assert_int_equal(rmdir(dir), 0);

	snprintf(text, sizeof(text), "%s: ", path);
	assert_int_equal(fnpu_file_open(path, &file, error, sizeof(error)), -ENOENT);
	assert_non_null(strstr(error, text));
	assert_int_equal(fnpu_file_write(path, parts, 3, error, sizeof(error)), -ENOENT);
	assert_non_null(strstr(error, path));
	assert_int_equal(fnpu_file_open("/tmp", &file, error, sizeof(error)), -EINVAL);
	assert_non_null(strstr(error, "/tmp: not a regular file"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(keeps_what_was_put_in, set_up),
		cmocka_unit_test_setup(refuses_every_truncation, set_up),
		cmocka_unit_test_setup(refuses_every_flipped_bit, set_up),
		cmocka_unit_test_setup(survives_every_changed_byte, set_up),
		cmocka_unit_test_setup(names_what_is_wrong, set_up),
		cmocka_unit_test_setup(writes_whole_files_only, set_up),
	};

	return cmocka_run_group_tests_name("fnpu_file", tests, NULL, NULL);
}
