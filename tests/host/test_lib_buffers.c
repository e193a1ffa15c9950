// SPDX-License-Identifier: MIT
/* Inputs that the NPU reads where they are: buffers of the device, and memory of others. */
#define _GNU_SOURCE	/* memfd_create */
#include <errno.h>
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib_rig.h"

#define STRIDE	64	/* of samples in a buffer */

static struct fnpu_request request_in(const struct fnpu_bo *bo, uint64_t offset)
{
	return (struct fnpu_request){
		.user_data = offset,
		.input_bytes = LIB_MODEL_INPUTS,
		.format = FNPU_INPUT_I8_NHWC,
		.bo = bo,
		.bo_offset = offset,
	};
}

static int submit_in(struct fnpu_session *s, const struct fnpu_bo *bo, uint64_t offset)
{
	const struct fnpu_request request = request_in(bo, offset);

	return fnpu_session_submit(s, &request);
}

static struct fnpu_bo *new_bo(struct lib_rig *rig, size_t bytes)
{
	struct fnpu_bo *bo = NULL;

	assert_int_equal(fnpu_bo_alloc(rig->device, bytes, &bo, &rig->error), 0);
	return bo;
}

static void npu_reads_the_input_when_it_runs(void **state)
{
	struct lib_rig *rig = *state;
	struct fnpu_session *s = lib_rig_open(rig, NULL);
	struct fnpu_bo *bo = new_bo(rig, 4096);
	int8_t *bytes = fnpu_bo_map(bo);

	/* who copies at submit would see the sure one */
	memcpy(bytes + STRIDE, lib_rig_sure, LIB_MODEL_INPUTS);
	assert_int_equal(submit_in(s, bo, STRIDE), 0);
	memcpy(bytes + STRIDE, lib_rig_unsure, LIB_MODEL_INPUTS);
	assert_int_equal(lib_rig_collect(rig, s), 1);
	assert_int_equal(rig->results[0].user_data, STRIDE);
	assert_int_equal(rig->results[0].head.class_index, 3);
	fnpu_session_close(s);
	fnpu_bo_free(bo);
}

static void samples_of_many_buffers_share_a_batch(void **state)
{
	struct lib_rig *rig = *state;
	struct fnpu_session *s = lib_rig_open(rig, NULL);
	struct fnpu_bo *bos[LIB_MODEL_BATCH];

	for (int i = 0; i < LIB_MODEL_BATCH; i++) {
		bos[i] = new_bo(rig, 4096);
		memcpy(fnpu_bo_map(bos[i]), i % 3 ? lib_rig_sure : lib_rig_unsure,
		       LIB_MODEL_INPUTS);
		if (i % 5)
			assert_int_equal(submit_in(s, bos[i], 0), 0);
		else
			assert_int_equal(lib_rig_submit(s, 0, i % 3 ? lib_rig_sure :
							lib_rig_unsure), 0);
	}
	assert_int_equal(lib_rig_collect(rig, s), LIB_MODEL_BATCH);
	for (int i = 0; i < LIB_MODEL_BATCH; i++) {
		assert_int_equal(rig->results[i].status, 0);
		assert_int_equal(rig->results[i].batch, LIB_MODEL_BATCH);
	}
	for (int i = 0; i < LIB_MODEL_BATCH; i++)
		fnpu_bo_free(bos[i]);
	fnpu_session_close(s);
}

static bool is_emulated(void)
{
	return !strcmp(lib_rig_backend(), "emu");
}

static int make_memfd(size_t bytes)
{
	int fd = memfd_create("camera", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	return fd;
}

/* What the back end imports: for the driver the memory of @memfd as a dma-buf. Closes @memfd. */
static int make_importable(int memfd, size_t bytes)
{
	struct udmabuf_create create = { .memfd = (__u32)memfd, .size = bytes };
	int dev, fd;

	if (is_emulated())
		return memfd;
	dev = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	assert_true(dev >= 0);
	fd = ioctl(dev, UDMABUF_CREATE, &create);
	assert_true(fd >= 0);
	close(dev);
	close(memfd);
	return fd;
}

static void imported_memory_stays_after_its_descriptor_is_closed(void **state)
{
	struct lib_rig *rig = *state;
	struct fnpu_session *s = lib_rig_open(rig, NULL);
	struct fnpu_bo *bo;
	int fd = make_memfd(4096);

	assert_int_equal(pwrite(fd, lib_rig_unsure, LIB_MODEL_INPUTS, STRIDE), LIB_MODEL_INPUTS);
	fd = make_importable(fd, 4096);
	assert_int_equal(fnpu_bo_import(rig->device, fd, &bo, &rig->error), 0);
	close(fd);
	assert_int_equal(fnpu_bo_bytes(bo) % 4096, 0);
	assert_memory_equal((int8_t *)fnpu_bo_map(bo) + STRIDE, lib_rig_unsure, LIB_MODEL_INPUTS);
	assert_int_equal(submit_in(s, bo, STRIDE), 0);
	assert_int_equal(lib_rig_collect(rig, s), 1);
	assert_int_equal(rig->results[0].head.class_index, 3);
	fnpu_session_close(s);
	fnpu_bo_free(bo);
}

static void imports_go_and_come_without_end(void **state)
{
	struct lib_rig *rig = *state;
	int fd = make_importable(make_memfd(1 << 20), 1 << 20);
	struct fnpu_bo *bo;

	/* more than the NPU's address space and the process's descriptors could hold at once */
	for (int i = 0; i < 5000; i++) {
		assert_int_equal(fnpu_bo_import(rig->device, fd, &bo, &rig->error), 0);
		fnpu_bo_free(bo);
	}
	close(fd);
}

static void one_dmabuf_can_be_imported_twice(void **state)
{
	struct lib_rig *rig = *state;
	struct fnpu_session *s = lib_rig_open(rig, NULL);
	int fd = make_importable(make_memfd(4096), 4096);
	struct fnpu_bo *first, *second;

	/* the kernel has one handle for both */
	assert_int_equal(fnpu_bo_import(rig->device, fd, &first, &rig->error), 0);
	assert_int_equal(fnpu_bo_import(rig->device, fd, &second, &rig->error), 0);
	close(fd);
	memcpy(fnpu_bo_map(first), lib_rig_sure, LIB_MODEL_INPUTS);
	fnpu_bo_free(first);
	assert_int_equal(submit_in(s, second, 0), 0);
	assert_int_equal(lib_rig_collect(rig, s), 1);
	assert_int_equal(rig->results[0].status, 0);
	assert_int_equal(rig->results[0].head.class_index, 1);
	fnpu_bo_free(second);
	fnpu_session_close(s);
}

static void what_is_no_memory_is_not_imported(void **state)
{
	struct lib_rig *rig = *state;
	struct fnpu_bo *bo;
	int pipes[2];

	assert_int_equal(fnpu_bo_import(rig->device, -1, &bo, &rig->error), -EBADF);
	assert_true(rig->error.text[0]);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(fnpu_bo_import(rig->device, pipes[0], &bo, &rig->error), -EINVAL);
	assert_non_null(strstr(rig->error.text, is_emulated() ? "no bytes" : "it is none"));
	close(pipes[0]);
	close(pipes[1]);
}

static void what_is_exported_is_the_buffer(void **state)
{
	struct lib_rig *rig = *state;
	struct fnpu_bo *bo = new_bo(rig, 1), *again;
	int fd = fnpu_bo_export(bo);

	if (is_emulated()) {
		assert_int_equal(fd, -EOPNOTSUPP);
	} else {
		assert_true(fd >= 0);
		assert_int_equal(fnpu_bo_import(rig->device, fd, &again, &rig->error), 0);
		assert_int_equal(fnpu_bo_iova(again), fnpu_bo_iova(bo));
		fnpu_bo_free(again);
		close(fd);
	}
	memset(fnpu_bo_map(bo), 1, fnpu_bo_bytes(bo));
	fnpu_bo_free(bo);
}

static void refuse(struct fnpu_session *s, struct fnpu_request request, const char *text)
{
	assert_int_equal(fnpu_session_submit(s, &request), -EINVAL);
	if (!strstr(fnpu_session_error(s), text))
		fail_msg("\"%s\" does not say \"%s\"", fnpu_session_error(s), text);
}

static void inputs_outside_their_buffer_are_refused(void **state)
{
	struct lib_rig *rig = *state;
	struct fnpu_session *s = lib_rig_open(rig, NULL);
	struct fnpu_bo *bo = new_bo(rig, 4096);
	struct fnpu_request r;

	assert_int_equal(submit_in(s, bo, 4096 - LIB_MODEL_INPUTS), 0);
	refuse(s, request_in(bo, 4096 - LIB_MODEL_INPUTS + 1), "4093 of a buffer of 4096");
	refuse(s, request_in(bo, UINT64_MAX), "of a buffer of 4096");
	r = request_in(bo, 0);
	r.input_bytes++;
	refuse(s, r, "takes 4");
	r = request_in(bo, 0);
	r.format = FNPU_INPUT_U8_NHWC;
	refuse(s, r, "int8");
	r = request_in(bo, 0);
	r.input = lib_rig_sure;
	refuse(s, r, "no other input");
	assert_int_equal(lib_rig_collect(rig, s), 1);
	fnpu_session_close(s);
	fnpu_bo_free(bo);
}

static void buffer_of_another_device_is_refused(void **state)
{
	struct lib_rig *rig = *state;
	struct fnpu_session *s = lib_rig_open(rig, NULL);
	struct fnpu_device *other;
	struct fnpu_bo *bo;

	assert_int_equal(fnpu_device_open(lib_rig_backend(), NULL, &other, &rig->error), 0);
	assert_int_equal(fnpu_bo_alloc(other, 4096, &bo, &rig->error), 0);
	refuse(s, request_in(bo, 0), "another device");
	fnpu_bo_free(bo);
	fnpu_device_close(other);
	fnpu_session_close(s);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, lib_rig_setup, lib_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(npu_reads_the_input_when_it_runs),
		TEST(samples_of_many_buffers_share_a_batch),
		TEST(imported_memory_stays_after_its_descriptor_is_closed),
		TEST(imports_go_and_come_without_end),
		TEST(one_dmabuf_can_be_imported_twice),
		TEST(what_is_no_memory_is_not_imported),
		TEST(what_is_exported_is_the_buffer),
		TEST(inputs_outside_their_buffer_are_refused),
		TEST(buffer_of_another_device_is_refused),
	};

	return cmocka_run_group_tests_name("lib_buffers", tests, NULL, NULL);
}
