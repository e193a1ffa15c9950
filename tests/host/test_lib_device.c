// SPDX-License-Identifier: MIT
/* Opening devices and models, buffers, and the emulator's memory system. */
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

#include <cmocka.h>

#include "backend.h"
#include "emu_bus.h"
#include "fluidnpu.h"
#include "lib_model.h"

static struct fnpu_error error;

static void expect_open(const char *backend, const char *path, int ret, const char *hint)
{
	struct fnpu_device *device = NULL;

	assert_int_equal(fnpu_device_open(backend, path, &device, &error), ret);
	assert_null(device);
	if (!strstr(error.text, hint))
		fail_msg("\"%s\" does not say \"%s\"", error.text, hint);
}

static void missing_device_says_how_to_get_one(void **state)
{
	(void)state;
	expect_open("kmd", "/no/such/device", -ENOENT, "make vm");
	expect_open("kmd", "/no/such/device", -ENOENT, "--backend emu");
}

static void file_that_is_no_npu_is_refused(void **state)
{
	(void)state;
	expect_open("kmd", "/dev/null", -ENODEV, "not a FluidNPU");
}

static void missing_permission_names_the_group(void **state)
{
	const char *path = lib_temp_path("closed");
	FILE *file = fopen(path, "w");

	(void)state;
	assert_non_null(file);
	fclose(file);
	chmod(path, 0);
	if (!geteuid() && seteuid(65534))
		skip();
	/* as nobody, the directory itself cannot be entered: just as good */
	expect_open("kmd", path, -EACCES, "render");
	if (!getuid())
		assert_int_equal(seteuid(0), 0);
}

static void unknown_backend_is_refused(void **state)
{
	(void)state;
	expect_open("gpu", NULL, -EINVAL, "kmd, emu or daemon");
	expect_open("emu", "/dev/fluidnpu", -EINVAL, "unknown property '/dev/fluidnpu'");
}

static void emu_describes_itself(void **state)
{
	const struct fnpu_device_info *info;
	struct fnpu_device *device;

	(void)state;
	assert_int_equal(fnpu_device_open("emu", NULL, &device, &error), 0);
	info = fnpu_device_info(device);
	assert_string_equal(info->backend, "emu");
	assert_string_equal(info->path, "");
	assert_int_equal(info->clock_hz, 800000000);
	assert_int_equal(info->geometry.tile_rows, 128);
	assert_int_equal(info->geometry.max_batch, 16);
	assert_int_equal(info->hw_version >> 16, FLUIDNPU_HW_VERSION_MAJOR);
	assert_true(info->features & FLUIDNPU_FEATURE_FUNCTIONAL);
	fnpu_device_close(device);
}

static void emu_is_the_npu_that_its_properties_describe(void **state)
{
	const char *const properties = "functional=off,max_stack=1,clock_hz=400000000,tile_rows=64";
	const struct fnpu_device_info *info;
	struct fnpu_device *device;

	(void)state;
	assert_int_equal(fnpu_device_open("emu", properties, &device, &error), 0);
	info = fnpu_device_info(device);
	assert_string_equal(info->path, properties);
	assert_int_equal(info->clock_hz, 400000000);
	assert_int_equal(info->geometry.max_stack, 1);
	assert_int_equal(info->geometry.tile_rows, 64);
	assert_int_equal(info->geometry.tile_cols, 64);
	assert_false(info->features & FLUIDNPU_FEATURE_FUNCTIONAL);
	fnpu_device_close(device);
}

static void bad_properties_of_emu_are_named(void **state)
{
	(void)state;
	expect_open("emu", "max_stak=1", -EINVAL, "unknown property 'max_stak'");
	expect_open("emu", "max_stack", -EINVAL, "max_stack=N");
	expect_open("emu", "max_stack=", -EINVAL, "max_stack=N");
	expect_open("emu", "max_stack=-1", -EINVAL, "max_stack=N");
	expect_open("emu", "max_stack=1x", -EINVAL, "no number");
	expect_open("emu", "max_stack=4294967296", -EINVAL, "no number");
	expect_open("emu", "max_stack=3", -EINVAL, "max_stack");
	expect_open("emu", "functional=no", -EINVAL, "on or off");
	expect_open("emu", "functional", -EINVAL, "on or off");
}

static void buffers_are_zeroed_apart_and_reusable(void **state)
{
	struct fnpu_device *device;
	struct fnpu_bo *a, *b, *c;
	uint64_t iova;
	char *map;

	(void)state;
	assert_int_equal(fnpu_device_open("emu", NULL, &device, &error), 0);
	assert_int_equal(fnpu_bo_alloc(device, 5000, &a, &error), 0);
	assert_int_equal(fnpu_bo_alloc(device, 1, &b, &error), 0);
	assert_int_equal(fnpu_bo_bytes(a), 8192);
	assert_int_equal(fnpu_bo_bytes(b), 4096);
	assert_true(fnpu_bo_iova(a) && !(fnpu_bo_iova(a) & 4095));
	assert_true(fnpu_bo_iova(b) >= fnpu_bo_iova(a) + 8192);
	map = fnpu_bo_map(a);
	for (int i = 0; i < 8192; i++)
		assert_int_equal(map[i], 0);
	memset(map, 1, 8192);
	iova = fnpu_bo_iova(a);
	fnpu_bo_free(a);
	assert_int_equal(fnpu_bo_alloc(device, 8192, &c, &error), 0);
	assert_int_equal(fnpu_bo_iova(c), iova);
	assert_int_equal(((char *)fnpu_bo_map(c))[0], 0);
	fnpu_bo_free(c);
	fnpu_bo_free(b);
	fnpu_bo_free(NULL);
	assert_int_equal(fnpu_bo_alloc(device, 0, &a, &error), -EINVAL);
	assert_int_equal(fnpu_bo_alloc(device, SIZE_MAX, &a, &error), -EINVAL);
	assert_int_equal(fnpu_bo_alloc(device, (size_t)1 << 40, &a, &error), -ENOSPC);
	fnpu_device_close(device);
}

static void bus_refuses_what_is_not_wholly_inside_a_region(void **state)
{
	struct emu_bus bus = { 0 };
	uint64_t a, b;

	(void)state;
	assert_non_null(emu_bus_alloc(&bus, 4096, &a));
	assert_non_null(emu_bus_alloc(&bus, 8192, &b));
	assert_non_null(emu_bus_at(&bus, a, 4096));
	assert_non_null(emu_bus_at(&bus, a + 4095, 1));
	assert_non_null(emu_bus_at(&bus, b + 4096, 4096));
	assert_null(emu_bus_at(&bus, a - 1, 1));
	assert_null(emu_bus_at(&bus, a + 4096, 1));
	assert_null(emu_bus_at(&bus, a + 1, 4096));
	assert_null(emu_bus_at(&bus, a, SIZE_MAX));
	assert_null(emu_bus_at(&bus, b + 8192, 1));
	assert_null(emu_bus_at(&bus, 0, 1));
	assert_null(emu_bus_at(&bus, UINT64_MAX, 1));
	emu_bus_free(&bus, a);
	assert_null(emu_bus_at(&bus, a, 1));
	assert_non_null(emu_bus_at(&bus, b, 8192));
	emu_bus_free_all(&bus);
}

static void page_tables_map_and_unmap_across_tables(void **state)
{
	const uint64_t iova = (1ull << 30) - 2 * 4096;	/* crosses tables of all levels */
	struct emu_bus bus = { 0 };
	uint64_t root, data, table;
	uint64_t *entries;

	(void)state;
	entries = emu_bus_alloc(&bus, 4096, &root);
	assert_non_null(emu_bus_alloc(&bus, 4 * 4096, &data));
	assert_int_equal(emu_pt_map(&bus, root, iova, data, 4), 0);
	assert_true(entries[0] & FLUIDNPU_PTE_VALID);
	assert_true(entries[1] & FLUIDNPU_PTE_VALID);
	table = entries[1] & FLUIDNPU_PTE_ADDR;
	entries = emu_bus_at(&bus, table, 4096);
	entries = emu_bus_at(&bus, entries[0] & FLUIDNPU_PTE_ADDR, 4096);
	assert_true(entries[1] == (data + 3 * 4096) + (FLUIDNPU_PTE_VALID | FLUIDNPU_PTE_WRITE));
	emu_pt_unmap(&bus, root, iova, 4);
	assert_true(entries[0] == 0 && entries[1] == 0);
	emu_bus_free_all(&bus);
}

/* ---- models ---- */

static int load(const struct lib_model *m, struct fnpu_model **model)
{
	const char *path = lib_temp_path("model.fnpu");

	lib_model_write(m, path);
	return fnpu_model_load(path, model, &error);
}

static void model_tells_what_the_file_says(void **state)
{
	struct lib_model m = LIB_MODEL_DEFAULT;
	const struct fnpu_model_info *info;
	struct fnpu_model *model;

	(void)state;
	assert_int_equal(load(&m, &model), 0);
	info = fnpu_model_info(model);
	assert_string_equal(info->name, "tiny");
	assert_int_equal(info->channels, 4);
	assert_int_equal(info->num_exits, 2);
	assert_string_equal(info->exits[1].name, "late");
	assert_int_equal(info->exits[1].logits_off, 4);
	assert_int_equal(info->exits[1].macs, 32);
	assert_true(info->exits[0].scale == 0.1f);
	assert_int_equal(info->num_labels, 4);
	assert_string_equal(info->labels[3], "d");
	assert_int_equal(fnpu_model_cost(model, 2, 5), 2005);
	assert_int_equal(fnpu_model_cost(model, 4, 1), 0);
	assert_int_equal(fnpu_model_cost(model, 0, 0), 0);
	assert_int_equal(fnpu_model_cost(model, 0, 17), 0);
	fnpu_model_free(model);
}

static void missing_model_file_is_named(void **state)
{
	struct fnpu_model *model = NULL;

	(void)state;
	assert_int_equal(fnpu_model_load("/no/model.fnpu", &model, &error), -ENOENT);
	assert_non_null(strstr(error.text, "/no/model.fnpu"));
	assert_null(model);
}

/* Replaces the first @from in the right metadata by @to. */
static void expect_bad_meta(const char *from, const char *to, const char *hint)
{
	char meta[sizeof(struct fluidnpu_hw_layer) * 16];
	struct lib_model m = LIB_MODEL_DEFAULT;
	struct fnpu_model *model = NULL;
	const char *at = strstr(lib_model_meta, from);

	assert_non_null(at);
	snprintf(meta, sizeof(meta), "%.*s%s%s", (int)(at - lib_model_meta), lib_model_meta, to,
		 at + strlen(from));
	m.meta = meta;
	assert_int_equal(load(&m, &model), -EBADMSG);
	assert_null(model);
	if (!strstr(error.text, hint))
		fail_msg("\"%s\" does not say \"%s\"", error.text, hint);
}

static void unsound_metadata_are_refused_by_field(void **state)
{
	(void)state;
	expect_bad_meta("{\"name\":\"tiny\"", "[", "not JSON");
	expect_bad_meta("\"name\":\"tiny\"", "\"nome\":\"tiny\"", "top level.name is missing");
	expect_bad_meta("\"tiny\"", "7", "top level.name is not a string");
	expect_bad_meta("[4,1,1]", "[4,1]", "input.shape");
	expect_bad_meta("[4,1,1]", "[4,-1,1]", "input.shape");
	expect_bad_meta("[4,1,1]", "[4,1,2]", "the program takes 4");
	expect_bad_meta("\"scale\":1", "\"scale\":0", "input.scale is not positive");
	expect_bad_meta("\"scale\":1", "\"scale\":1e300", "no binary32");
	expect_bad_meta("\"zero_point\":0", "\"zero_point\":200", "input.zero_point");
	expect_bad_meta("\"zero_point\":0", "\"zero_point\":0.5", "input.zero_point");
	expect_bad_meta("\"classes\":4", "\"classes\":9", "not inside a sample's logits");
	expect_bad_meta("\"logits_off\":4", "\"logits_off\":5", "not inside a sample's logits");
	expect_bad_meta("\"layer\":1", "\"layer\":4", "exits[].layer");
	expect_bad_meta("\"layer\":1", "\"layer\":0", "exit early is not what layer 0");
	expect_bad_meta("\"layer\":1", "\"layer\":3", "exit early is not what layer 3");
	expect_bad_meta("\"classes\":4", "\"classes\":3", "exit early is not what layer 1");
	expect_bad_meta("\"logits_off\":0", "\"logits_off\":4", "exit early is not what layer 1");
	expect_bad_meta("\"confidence\"", "\"luck\"", "unknown criterion");
	expect_bad_meta("\"labels\":[", "\"labels\":[1,", "labels[0]");
	expect_bad_meta("\"max_stack\":8,", "", "geometry.max_stack is missing");
	expect_bad_meta("\"clock_hz\":800000000", "\"clock_hz\":0", "clock_hz");
	expect_bad_meta("\"exits\":[", "\"exits\":[{},", "3 exits, the program has 2");
}

static void model_for_more_stacking_than_the_device_has_is_refused(void **state)
{
	struct lib_model m = LIB_MODEL_DEFAULT;
	struct fnpu_device *device;
	struct fnpu_model *model;

	(void)state;
	m.stack = 16;
	assert_int_equal(load(&m, &model), 0);
	assert_int_equal(fnpu_device_open("emu", NULL, &device, &error), 0);
	assert_int_equal(fnpu_model_check(model, device, &error), -EINVAL);
	assert_non_null(strstr(error.text, "stacks 16"));
	fnpu_model_free(model);
	fnpu_device_close(device);
}

static void model_for_another_geometry_is_a_warning(void **state)
{
	struct lib_model m = LIB_MODEL_DEFAULT;
	struct fnpu_device *device;
	struct fnpu_model *model;
	char meta[4096];
	const char *at = strstr(lib_model_meta, "\"tile_rows\":128");

	(void)state;
	snprintf(meta, sizeof(meta), "%.*s\"tile_rows\":64%s", (int)(at - lib_model_meta),
		 lib_model_meta, at + strlen("\"tile_rows\":128"));
	m.meta = meta;
	assert_int_equal(load(&m, &model), 0);
	assert_int_equal(fnpu_device_open("emu", NULL, &device, &error), 0);
	assert_int_equal(fnpu_model_check(model, device, &error), 0);
	assert_non_null(strstr(error.text, "another geometry"));
	fnpu_model_free(model);

	m.meta = NULL;
	assert_int_equal(load(&m, &model), 0);
	assert_int_equal(fnpu_model_check(model, device, &error), 0);
	assert_string_equal(error.text, "");
	fnpu_model_free(model);
	fnpu_device_close(device);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(missing_device_says_how_to_get_one),
		cmocka_unit_test(file_that_is_no_npu_is_refused),
		cmocka_unit_test(missing_permission_names_the_group),
		cmocka_unit_test(unknown_backend_is_refused),
		cmocka_unit_test(emu_describes_itself),
		cmocka_unit_test(emu_is_the_npu_that_its_properties_describe),
		cmocka_unit_test(bad_properties_of_emu_are_named),
		cmocka_unit_test(buffers_are_zeroed_apart_and_reusable),
		cmocka_unit_test(bus_refuses_what_is_not_wholly_inside_a_region),
		cmocka_unit_test(page_tables_map_and_unmap_across_tables),
		cmocka_unit_test(model_tells_what_the_file_says),
		cmocka_unit_test(missing_model_file_is_named),
		cmocka_unit_test(unsound_metadata_are_refused_by_field),
		cmocka_unit_test(model_for_more_stacking_than_the_device_has_is_refused),
		cmocka_unit_test(model_for_another_geometry_is_a_warning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
