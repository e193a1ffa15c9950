// SPDX-License-Identifier: MIT
/* The tools' input files: what is read, and what is refused with which message. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <png.h>
#include <zlib.h>

#include "../../tools/common/input.h"
#include "../../tools/common/npy_out.h"
#include "lib_model.h"

static struct fnpu_error error;

static const char *write_file(const char *name, const void *data, size_t bytes)
{
	const char *path = lib_temp_path(name);
	FILE *file = fopen(path, "wb");

	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, bytes, file), bytes);
	assert_int_equal(fclose(file), 0);
	return path;
}

static void expect_refused(const char *path, int ret, const char *hint)
{
	struct input in;

	assert_int_equal(input_open(&in, path, &error), ret);
	if (!strstr(error.text, hint) || !strstr(error.text, path))
		fail_msg("\"%s\" does not say \"%s\"", error.text, hint);
}

/* ---- IDX ---- */

static const uint8_t idx_images[] = {
	0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3,
	1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16,
};

static const uint8_t idx_labels[] = { 0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9 };

static const char *write_gz(const char *name, const void *data, unsigned int bytes)
{
	const char *path = lib_temp_path(name);
	gzFile gz = gzopen(path, "wb");

	assert_non_null(gz);
	assert_int_equal(gzwrite(gz, data, bytes), bytes);
	assert_int_equal(gzclose(gz), Z_OK);
	return path;
}

static void expect_idx_images(const char *path)
{
	uint8_t sample[6];
	struct input in;

	if (input_open(&in, path, &error))
		fail_msg("%s", error.text);
	assert_int_equal(in.count, 2);
	assert_int_equal(in.channels, 1);
	assert_int_equal(in.height, 2);
	assert_int_equal(in.width, 3);
	assert_int_equal(in.format, FNPU_INPUT_U8_NHWC);
	assert_int_equal(in.sample_bytes, 6);
	assert_int_equal(input_read(&in, 1, sample, &error), 0);
	assert_memory_equal(sample, idx_images + 22, 6);
	input_close(&in);
}

static void idx_images_are_read_plain_and_gzipped(void **state)
{
	(void)state;
	expect_idx_images(write_file("images", idx_images, sizeof(idx_images)));
	expect_idx_images(write_gz("images.gz", idx_images, sizeof(idx_images)));
}

static void idx_labels_are_read(void **state)
{
	uint8_t *labels;
	uint64_t count;

	(void)state;
	assert_int_equal(labels_open(write_gz("labels.gz", idx_labels, sizeof(idx_labels)),
				     &labels, &count, &error), 0);
	assert_int_equal(count, 3);
	assert_memory_equal(labels, idx_labels + 8, 3);
	free(labels);
}

static void labels_and_images_cannot_be_mixed_up(void **state)
{
	uint8_t *labels;
	uint64_t count;

	(void)state;
	expect_refused(write_file("l", idx_labels, sizeof(idx_labels)), -EINVAL, "perhaps the labels");
	assert_int_equal(labels_open(write_file("i", idx_images, sizeof(idx_images)), &labels,
				     &count, &error), -EINVAL);
	assert_non_null(strstr(error.text, "perhaps the images"));
}

static void truncated_idx_is_refused_at_every_length(void **state)
{
	(void)state;
	for (size_t n = 4; n < sizeof(idx_images); n++)
		expect_refused(write_file("short", idx_images, n), -EBADMSG, "truncated");
}

static void idx_with_more_than_its_header_says_is_refused(void **state)
{
	uint8_t data[sizeof(idx_images) + 1] = { 0 };

	(void)state;
	memcpy(data, idx_images, sizeof(idx_images));
	expect_refused(write_file("long", data, sizeof(data)), -EBADMSG, "more data");
}

static void empty_and_huge_idx_are_refused(void **state)
{
	uint8_t data[sizeof(idx_images)];

	(void)state;
	memcpy(data, idx_images, sizeof(data));
	data[7] = 0;
	expect_refused(write_file("none", data, sizeof(data)), -EINVAL, "empty");
	memset(data + 4, 0xff, 12);
	expect_refused(write_file("huge", data, sizeof(data)), -EFBIG, "4 GiB");
}

/* Reads the gzipped images into memory; returns the size. */
static size_t gz_bytes(uint8_t *data, size_t room)
{
	FILE *file = fopen(write_gz("whole.gz", idx_images, sizeof(idx_images)), "rb");
	size_t bytes;

	assert_non_null(file);
	bytes = fread(data, 1, room, file);
	fclose(file);
	return bytes;
}

static void truncated_gzip_is_refused_at_every_length(void **state)
{
	uint8_t data[256];
	size_t bytes = gz_bytes(data, sizeof(data));
	struct input in;

	(void)state;
	for (size_t n = 3; n < bytes; n++) {
		const char *path = write_file("short.gz", data, n);

		if (!input_open(&in, path, &error))
			fail_msg("%zu of %zu bytes were taken", n, bytes);
		assert_non_null(strstr(error.text, path));
	}
}

static void corrupted_gzip_is_refused(void **state)
{
	uint8_t data[256];
	size_t bytes = gz_bytes(data, sizeof(data));

	(void)state;
	data[bytes - 6] ^= 1;	/* of the checksum */
	expect_refused(write_file("bad.gz", data, bytes), -EBADMSG, "corrupted");
}

static void unknown_file_is_refused(void **state)
{
	(void)state;
	expect_refused(write_file("text", "hello, world", 12), -EINVAL, "neither IDX");
	expect_refused(write_file("empty", "", 0), -EINVAL, "neither IDX");
	expect_refused("/no/such/file", -ENOENT, "No such file");
	expect_refused("/tmp", -EINVAL, "regular file");
}

/* ---- .npy ---- */

static const char *write_npy(const char *name, int version, const char *dict, size_t data_bytes)
{
	uint8_t file[1024] = { 0x93, 'N', 'U', 'M', 'P', 'Y', (uint8_t)version, 0 };
	size_t prefix = version == 1 ? 10 : 12, length = strlen(dict);

	file[8] = (uint8_t)length;
	file[9] = (uint8_t)(length >> 8);
	memcpy(file + prefix, dict, length);
	for (size_t i = 0; i < data_bytes / 4; i++) {
		float v = (float)i;

		memcpy(file + prefix + length + 4 * i, &v, 4);
	}
	return write_file(name, file, prefix + length + data_bytes);
}

#define NPY_DICT "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1, 2, 3), }\n"
#define NPY_BYTES 48

static void npy_of_both_versions_is_read(void **state)
{
	static const char *const dicts[] = {
		NPY_DICT,
		"{\"shape\":(2,1,2,3),\"fortran_order\":False,\"descr\":\"<f4\"}",
		"  { 'shape' : ( 2 , 1 , 2 , 3 , ) , 'descr' : '<f4' , 'fortran_order' : False }   \n",
	};
	float sample[6];
	struct input in;

	(void)state;
	for (int i = 0; i < 6; i++) {
		if (input_open(&in, write_npy("a.npy", 1 + i % 2, dicts[i / 2], NPY_BYTES), &error))
			fail_msg("%s", error.text);
		assert_int_equal(in.count, 2);
		assert_int_equal(in.channels, 1);
		assert_int_equal(in.height, 2);
		assert_int_equal(in.width, 3);
		assert_int_equal(in.format, FNPU_INPUT_F32_NCHW);
		assert_int_equal(in.sample_bytes, 24);
		assert_int_equal(input_read(&in, 1, sample, &error), 0);
		assert_true(sample[0] == 6 && sample[5] == 11);
		input_close(&in);
	}
}

static void npy_that_cannot_be_used_is_refused_with_advice(void **state)
{
	static const struct {
		const char *dict;
		int ret;
		const char *hint;
	} bad[] = {
		{ "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 1, 2, 3), }", -EINVAL,
		  "astype('<f4')" },
		{ "{'descr': '>f4', 'fortran_order': False, 'shape': (2, 1, 2, 3), }", -EINVAL,
		  "'>f4'" },
		{ "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 1, 2, 3), }", -EINVAL,
		  "ascontiguousarray" },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2, 3), }", -EINVAL,
		  "3 dimensions" },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (12,), }", -EINVAL,
		  "1 dimensions" },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (), }", -EINVAL,
		  "0 dimensions" },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 1, 2, 3), }", -EINVAL,
		  "empty" },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 0, 2, 3), }", -EINVAL,
		  "dimension of 0" },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 1, 2, 3), }", -EBADMSG,
		  "truncated" },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 2, 3), }", -EBADMSG,
		  "too long" },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 1, 2, 3)}",
		  -EBADMSG, "header" },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999999999999, 1, 2, 3)}",
		  -EBADMSG, "truncated" },
		{ "{'descr': '<f4', 'fortran_order': False}", -EBADMSG, "header" },
		{ "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 1, 2, 3)}",
		  -EBADMSG, "header" },
		{ "{'descr': '<f4', 'fortran_order': 0, 'shape': (2, 1, 2, 3)}", -EBADMSG, "header" },
		{ "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 1, 2, 3)}",
		  -EBADMSG, "header" },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (2 1 2 3)}", -EBADMSG, "header" },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (-2, 1, 2, 3)}", -EBADMSG,
		  "header" },
		{ NPY_DICT "x", -EBADMSG, "header" },
		{ "", -EBADMSG, "header" },
		{ "{", -EBADMSG, "header" },
		{ "{'descr", -EBADMSG, "header" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		expect_refused(write_npy("bad.npy", 1, bad[i].dict, NPY_BYTES), bad[i].ret,
			       bad[i].hint);
	expect_refused(write_npy("v3.npy", 3, NPY_DICT, NPY_BYTES), -EINVAL, "version 3");
	expect_refused(write_npy("trunc.npy", 1, NPY_DICT, NPY_BYTES - 4), -EBADMSG, "truncated");
	expect_refused(write_file("head.npy", "\x93NUMPY\x01\x00\x50", 9), -EBADMSG, "truncated");
	expect_refused(write_file("head2.npy", "\x93NUMPY\x02\x00\xff\xff\xff\xff", 12), -EBADMSG,
		       "header");
}

/* ---- PNG ---- */

static const char *write_png(const char *name, png_uint_32 format, const void *pixels)
{
	const char *path = lib_temp_path(name);
	png_image image = { .version = PNG_IMAGE_VERSION, .width = 3, .height = 2,
			    .format = format };

	assert_true(png_image_write_to_file(&image, path, 0, pixels, 0, NULL));
	return path;
}

static const uint8_t pixels[3 * 2 * 4] = {
	0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 250, 251, 252, 253, 254, 255,
};

static void expect_png(png_uint_32 format, uint32_t channels)
{
	uint8_t sample[18];
	struct input in;

	if (input_open(&in, write_png("a.png", format, pixels), &error))
		fail_msg("%s", error.text);
	assert_int_equal(in.count, 1);
	assert_int_equal(in.channels, channels);
	assert_int_equal(in.height, 2);
	assert_int_equal(in.width, 3);
	assert_true(in.one_image);
	assert_int_equal(in.sample_bytes, 6 * channels);
	assert_int_equal(input_read(&in, 0, sample, &error), 0);
	assert_memory_equal(sample, pixels, 6 * channels);
	input_close(&in);
}

static void png_bytes_come_as_they_are(void **state)
{
	(void)state;
	expect_png(PNG_FORMAT_GRAY, 1);
	expect_png(PNG_FORMAT_RGB, 3);
}

static void png_with_alpha_or_16_bits_is_refused(void **state)
{
	static const uint16_t deep[6] = { 0, 1, 2, 3, 4, 65535 };

	(void)state;
	expect_refused(write_png("rgba.png", PNG_FORMAT_RGBA, pixels), -EINVAL, "transparent");
	expect_refused(write_png("deep.png", PNG_FORMAT_LINEAR_Y, deep), -EINVAL, "16 bits");
}

static void damaged_png_is_refused_at_every_length(void **state)
{
	FILE *file = fopen(write_png("whole.png", PNG_FORMAT_RGB, pixels), "rb");
	uint8_t data[1024];
	size_t bytes;

	(void)state;
	assert_non_null(file);
	bytes = fread(data, 1, sizeof(data), file);
	fclose(file);
	for (size_t n = 8; n < bytes; n++)
		expect_refused(write_file("short.png", data, n), -EBADMSG, "not a sound PNG");
}

/* ---- what nobody thought of ---- */

/* Opens @data with each byte changed in turn; whatever is taken must be readable to its end. */
static void damage(const char *name, uint8_t *data, size_t bytes)
{
	static const uint8_t masks[] = { 0x01, 0x80, 0xff };
	uint8_t *sample;
	struct input in;

	for (size_t i = 0; i < 3 * bytes; i++) {
		const uint8_t mask = masks[i % 3];

		data[i / 3] ^= mask;
		if (!input_open(&in, write_file(name, data, bytes), &error)) {
			sample = malloc(in.sample_bytes);
			assert_non_null(sample);
			assert_int_equal(input_read(&in, in.count - 1, sample, &error), 0);
			free(sample);
			input_close(&in);
		} else {
			assert_non_null(strstr(error.text, name));
		}
		data[i / 3] ^= mask;
	}
}

static void damage_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t data[1024];
	size_t bytes;

	assert_non_null(file);
	bytes = fread(data, 1, sizeof(data), file);
	fclose(file);
	damage("damaged", data, bytes);
}

/* Most of its use is in a build with SANITIZE=-fsanitize=address,undefined. */
static void any_damaged_byte_is_refused_or_harmless(void **state)
{
	(void)state;
	damage_file(write_file("idx", idx_images, sizeof(idx_images)));
	damage_file(write_gz("idx.gz", idx_images, sizeof(idx_images)));
	damage_file(write_npy("v1.npy", 1, NPY_DICT, NPY_BYTES));
	damage_file(write_npy("v2.npy", 2, NPY_DICT, NPY_BYTES));
	damage_file(write_png("gray.png", PNG_FORMAT_GRAY, pixels));
	damage_file(write_png("rgb.png", PNG_FORMAT_RGB, pixels));
}

/* ---- shape, output ---- */

static void wrong_shape_names_expected_and_got(void **state)
{
	const struct fnpu_model_info model = { .name = "m", .channels = 3, .height = 2, .width = 2 };
	struct input in;

	(void)state;
	assert_int_equal(input_open(&in, write_file("s", idx_images, sizeof(idx_images)), &error), 0);
	assert_int_equal(input_check_shape(&in, &model, &error), -EINVAL);
	assert_non_null(strstr(error.text, "1 x 2 x 3"));
	assert_non_null(strstr(error.text, "3 x 2 x 2"));
	input_close(&in);
}

static void written_npy_has_numpys_layout(void **state)
{
	const float rows[2][3] = { { 1, 2, 3 }, { 4, 5, 6 } };
	const char *path = lib_temp_path("out.npy");
	struct npy_out out = { .fd = -1 };
	uint8_t file[256];
	size_t bytes;
	FILE *f;

	(void)state;
	assert_int_equal(npy_out_open(&out, path, 2, 3, &error), 0);
	assert_int_equal(npy_out_row(&out, 1, rows[1], &error), 0);
	assert_int_equal(npy_out_row(&out, 0, rows[0], &error), 0);
	assert_int_equal(npy_out_close(&out, &error), 0);
	f = fopen(path, "rb");
	assert_non_null(f);
	bytes = fread(file, 1, sizeof(file), f);
	fclose(f);
	assert_int_equal(bytes, 128 + sizeof(rows));
	assert_memory_equal(file, "\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 66);
	assert_int_equal(file[127], '\n');
	assert_memory_equal(file + 128, rows, sizeof(rows));
}

static void full_disk_and_missing_directory_are_reported(void **state)
{
	struct npy_out out = { .fd = -1 };

	(void)state;
	assert_int_equal(npy_out_open(&out, "/no/dir/x.npy", 1, 1, &error), -ENOENT);
	assert_non_null(strstr(error.text, "/no/dir/x.npy"));
	npy_out_close(&out, &error);
	assert_int_equal(npy_out_open(&out, "/dev/full", 1, 1, &error), -ENOSPC);
	assert_non_null(strstr(error.text, "No space left"));
	npy_out_close(&out, &error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(idx_images_are_read_plain_and_gzipped),
		cmocka_unit_test(idx_labels_are_read),
		cmocka_unit_test(labels_and_images_cannot_be_mixed_up),
		cmocka_unit_test(truncated_idx_is_refused_at_every_length),
		cmocka_unit_test(idx_with_more_than_its_header_says_is_refused),
		cmocka_unit_test(empty_and_huge_idx_are_refused),
		cmocka_unit_test(truncated_gzip_is_refused_at_every_length),
		cmocka_unit_test(corrupted_gzip_is_refused),
		cmocka_unit_test(unknown_file_is_refused),
		cmocka_unit_test(npy_of_both_versions_is_read),
		cmocka_unit_test(npy_that_cannot_be_used_is_refused_with_advice),
		cmocka_unit_test(png_bytes_come_as_they_are),
		cmocka_unit_test(png_with_alpha_or_16_bits_is_refused),
		cmocka_unit_test(damaged_png_is_refused_at_every_length),
		cmocka_unit_test(any_damaged_byte_is_refused_or_harmless),
		cmocka_unit_test(wrong_shape_names_expected_and_got),
		cmocka_unit_test(written_npy_has_numpys_layout),
		cmocka_unit_test(full_disk_and_missing_directory_are_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
