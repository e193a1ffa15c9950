// SPDX-License-Identifier: GPL-2.0
/*
 * FluidNPU accel driver: KUnit tests of the checks of what user space passes.
 *
 * For each structure there is one that is valid. A case sets one field of it to one
 * value: the last that is good, the first that is not.
 */
#include <kunit/test.h>
#include <linux/limits.h>
#include <linux/module.h>

#include "fluidnpu_compat.h"
#include "fluidnpu_device.h"
#include "fluidnpu_job.h"
#include "fluidnpu_validate.h"

#define MAX_BATCH	16

/**
 * struct field_case - a field, a value and what is said of it
 * @desc: the test's name
 * @offset: of the field in its structure
 * @bytes: of the field
 * @value: for the field
 * @want: 0 or an errno
 */
struct field_case {
	const char *desc;
	size_t offset;
	size_t bytes;
	u64 value;
	int want;
};

#define CASE(type, field, number, result) {	\
	.desc = #field " = " #number,		\
	.offset = offsetof(struct type, field),	\
	.bytes = sizeof_field(struct type, field),	\
	.value = (number),			\
	.want = (result),			\
}

/* The current case's field in the structure at @args */
static const struct field_case *set_field(struct kunit *test, void *args)
{
	const struct field_case *c = test->param_value;
	u32 value32 = c->value;

	if (c->bytes == sizeof(value32)) {
		memcpy(args + c->offset, &value32, sizeof(value32));
	} else {
		KUNIT_ASSERT_EQ(test, c->bytes, sizeof(c->value));
		memcpy(args + c->offset, &c->value, sizeof(c->value));
	}
	return c;
}

/* --- arrays ------------------------------------------------------------------ */

static const struct field_case array_cases[] = {
	CASE(drm_fluidnpu_array, count, 0, -EINVAL),
	CASE(drm_fluidnpu_array, count, 1, -EINVAL),
	CASE(drm_fluidnpu_array, count, 2, 0),
	CASE(drm_fluidnpu_array, count, 7, 0),
	CASE(drm_fluidnpu_array, count, 8, -E2BIG),
	CASE(drm_fluidnpu_array, count, U32_MAX, -E2BIG),
	CASE(drm_fluidnpu_array, stride, 0, -EINVAL),
	CASE(drm_fluidnpu_array, stride, 23, -EINVAL),
	CASE(drm_fluidnpu_array, stride, 24, 0),
	CASE(drm_fluidnpu_array, stride, 25, 0),
	CASE(drm_fluidnpu_array, stride, FLUIDNPU_MAX_STRIDE, 0),
	CASE(drm_fluidnpu_array, stride, FLUIDNPU_MAX_STRIDE + 1, -E2BIG),
	CASE(drm_fluidnpu_array, stride, U32_MAX, -E2BIG),
	CASE(drm_fluidnpu_array, array, 0, 0),
	CASE(drm_fluidnpu_array, array, U64_MAX, 0),
};

KUNIT_ARRAY_PARAM_DESC(array, array_cases, desc);

static void array_takes_what_fits(struct kunit *test)
{
	struct drm_fluidnpu_array args = { .stride = 24, .count = 2 };
	const struct field_case *c = set_field(test, &args);

	KUNIT_EXPECT_EQ(test, fluidnpu_check_array(NULL, "test", &args, 24, 2, 7), c->want);
}

static void empty_array_has_any_stride(struct kunit *test)
{
	static const u32 strides[] = { 0, 1, FLUIDNPU_MAX_STRIDE + 1, U32_MAX };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(strides); i++) {
		struct drm_fluidnpu_array args = { .stride = strides[i] };

		KUNIT_EXPECT_EQ(test, fluidnpu_check_array(NULL, "test", &args, 24, 0, 7), 0);
	}
}

/* --- BO_CREATE --------------------------------------------------------------- */

#define MAX_BO_BYTES	(FLUIDNPU_VA_END - FLUIDNPU_VA_START - PAGE_SIZE)

static const struct field_case bo_create_cases[] = {
	CASE(drm_fluidnpu_bo_create, size, 0, -EINVAL),
	CASE(drm_fluidnpu_bo_create, size, 1, 0),
	CASE(drm_fluidnpu_bo_create, size, MAX_BO_BYTES, 0),
	CASE(drm_fluidnpu_bo_create, size, MAX_BO_BYTES + 1, -EINVAL),
	CASE(drm_fluidnpu_bo_create, size, U64_MAX, -EINVAL),
	CASE(drm_fluidnpu_bo_create, flags, DRM_FLUIDNPU_BO_READONLY, 0),
	CASE(drm_fluidnpu_bo_create, flags, DRM_FLUIDNPU_BO_READONLY << 1, -EINVAL),
	CASE(drm_fluidnpu_bo_create, flags, BIT(31), -EINVAL),
	CASE(drm_fluidnpu_bo_create, handle, U32_MAX, 0),
	CASE(drm_fluidnpu_bo_create, iova, U64_MAX, 0),
	CASE(drm_fluidnpu_bo_create, mmap_offset, U64_MAX, 0),
};

KUNIT_ARRAY_PARAM_DESC(bo_create, bo_create_cases, desc);

static void bo_create_has_limits(struct kunit *test)
{
	struct drm_fluidnpu_bo_create args = { .size = PAGE_SIZE };
	const struct field_case *c = set_field(test, &args);

	KUNIT_EXPECT_EQ(test, fluidnpu_check_bo_create(NULL, &args), c->want);
}

/* --- CTX_CREATE -------------------------------------------------------------- */

static const struct field_case ctx_create_cases[] = {
	CASE(drm_fluidnpu_ctx_create, priority, DRM_FLUIDNPU_PRIORITY_LOW, 0),
	CASE(drm_fluidnpu_ctx_create, priority, DRM_FLUIDNPU_PRIORITY_REALTIME, 0),
	CASE(drm_fluidnpu_ctx_create, priority, DRM_FLUIDNPU_PRIORITY_REALTIME + 1, -EINVAL),
	CASE(drm_fluidnpu_ctx_create, priority, U32_MAX, -EINVAL),
	CASE(drm_fluidnpu_ctx_create, flags, 1, -EINVAL),
	CASE(drm_fluidnpu_ctx_create, flags, BIT(31), -EINVAL),
	CASE(drm_fluidnpu_ctx_create, event_handle, 0, 0),
	CASE(drm_fluidnpu_ctx_create, event_handle, U32_MAX, 0),
	CASE(drm_fluidnpu_ctx_create, event_entries, 0, -EINVAL),
	CASE(drm_fluidnpu_ctx_create, event_entries, FLUIDNPU_MIN_EVENT_ENTRIES / 2, -EINVAL),
	CASE(drm_fluidnpu_ctx_create, event_entries, FLUIDNPU_MIN_EVENT_ENTRIES, 0),
	CASE(drm_fluidnpu_ctx_create, event_entries, FLUIDNPU_MIN_EVENT_ENTRIES + 1, -EINVAL),
	CASE(drm_fluidnpu_ctx_create, event_entries, 96, -EINVAL),
	CASE(drm_fluidnpu_ctx_create, event_entries, FLUIDNPU_MAX_EVENT_ENTRIES, 0),
	CASE(drm_fluidnpu_ctx_create, event_entries, FLUIDNPU_MAX_EVENT_ENTRIES * 2, -EINVAL),
	CASE(drm_fluidnpu_ctx_create, event_entries, U32_MAX, -EINVAL),
	CASE(drm_fluidnpu_ctx_create, ctx_id, U32_MAX, 0),
	CASE(drm_fluidnpu_ctx_create, pad, 1, -EINVAL),
	CASE(drm_fluidnpu_ctx_create, pad, BIT(31), -EINVAL),
};

KUNIT_ARRAY_PARAM_DESC(ctx_create, ctx_create_cases, desc);

static void ctx_create_has_limits(struct kunit *test)
{
	struct drm_fluidnpu_ctx_create args = { .event_entries = 64 };
	const struct field_case *c = set_field(test, &args);

	KUNIT_EXPECT_EQ(test, fluidnpu_check_ctx_create(NULL, &args), c->want);
}

/* --- EVENTS ------------------------------------------------------------------ */

static const struct field_case events_cases[] = {
	CASE(drm_fluidnpu_events, ctx_id, 0, 0),
	CASE(drm_fluidnpu_events, ctx_id, U32_MAX, 0),
	CASE(drm_fluidnpu_events, flags, 1, -EINVAL),
	CASE(drm_fluidnpu_events, flags, BIT(31), -EINVAL),
	CASE(drm_fluidnpu_events, eventfd, -1, 0),
	CASE(drm_fluidnpu_events, eventfd, S32_MIN, 0),
	CASE(drm_fluidnpu_events, pad, 1, -EINVAL),
	CASE(drm_fluidnpu_events, pad, BIT(31), -EINVAL),
};

KUNIT_ARRAY_PARAM_DESC(events, events_cases, desc);

static void events_has_no_flags(struct kunit *test)
{
	struct drm_fluidnpu_events args = { .ctx_id = 1, .eventfd = 3 };
	const struct field_case *c = set_field(test, &args);

	KUNIT_EXPECT_EQ(test, fluidnpu_check_events(NULL, &args), c->want);
}

/* --- SUBMIT and INJECT ------------------------------------------------------- */

static const struct field_case submit_cases[] = {
	CASE(drm_fluidnpu_submit, ctx_id, 0, 0),
	CASE(drm_fluidnpu_submit, ctx_id, U32_MAX, 0),
	CASE(drm_fluidnpu_submit, flags, 1, -EINVAL),
	CASE(drm_fluidnpu_submit, flags, BIT(31), -EINVAL),
	CASE(drm_fluidnpu_submit, jobs.count, 0, -EINVAL),
	CASE(drm_fluidnpu_submit, jobs.count, FLUIDNPU_MAX_JOBS, 0),
	CASE(drm_fluidnpu_submit, jobs.count, FLUIDNPU_MAX_JOBS + 1, -E2BIG),
	CASE(drm_fluidnpu_submit, jobs.stride, sizeof(struct drm_fluidnpu_job) - 1, -EINVAL),
	CASE(drm_fluidnpu_submit, jobs.stride, FLUIDNPU_MAX_STRIDE, 0),
	CASE(drm_fluidnpu_submit, jobs.stride, FLUIDNPU_MAX_STRIDE + 1, -E2BIG),
	CASE(drm_fluidnpu_submit, syncs.count, 0, 0),
	CASE(drm_fluidnpu_submit, syncs.count, FLUIDNPU_MAX_SYNCS, 0),
	CASE(drm_fluidnpu_submit, syncs.count, FLUIDNPU_MAX_SYNCS + 1, -E2BIG),
	CASE(drm_fluidnpu_submit, syncs.stride, sizeof(struct drm_fluidnpu_sync) - 1, -EINVAL),
	CASE(drm_fluidnpu_submit, syncs.stride, FLUIDNPU_MAX_STRIDE, 0),
	CASE(drm_fluidnpu_submit, syncs.stride, FLUIDNPU_MAX_STRIDE + 1, -E2BIG),
};

KUNIT_ARRAY_PARAM_DESC(submit, submit_cases, desc);

static void submit_has_limits(struct kunit *test)
{
	struct drm_fluidnpu_submit args = {
		.jobs = { .stride = sizeof(struct drm_fluidnpu_job), .count = 1 },
		.syncs = { .stride = sizeof(struct drm_fluidnpu_sync), .count = 1 },
	};
	const struct field_case *c = set_field(test, &args);

	KUNIT_EXPECT_EQ(test, fluidnpu_check_submit(NULL, &args), c->want);
}

/* --- jobs -------------------------------------------------------------------- */

#define PROGRAM_BYTES	sizeof(struct fluidnpu_hw_program)
#define LAST_PROGRAM	(FLUIDNPU_VA_END - FLUIDNPU_PROGRAM_ALIGN)

static const struct field_case job_cases[] = {
	CASE(drm_fluidnpu_job, program_iova, 0, -EINVAL),
	CASE(drm_fluidnpu_job, program_iova, FLUIDNPU_VA_START - FLUIDNPU_PROGRAM_ALIGN, -EINVAL),
	CASE(drm_fluidnpu_job, program_iova, FLUIDNPU_VA_START, 0),
	CASE(drm_fluidnpu_job, program_iova, FLUIDNPU_VA_START + 1, -EINVAL),
	CASE(drm_fluidnpu_job, program_iova, FLUIDNPU_VA_START + 32, -EINVAL),
	CASE(drm_fluidnpu_job, program_iova, LAST_PROGRAM, 0),
	CASE(drm_fluidnpu_job, program_iova, FLUIDNPU_VA_END, -EINVAL),
	CASE(drm_fluidnpu_job, program_iova, U64_MAX - 63, -EINVAL),
	CASE(drm_fluidnpu_job, program_bytes, 0, -EINVAL),
	CASE(drm_fluidnpu_job, program_bytes, PROGRAM_BYTES - 1, -EINVAL),
	CASE(drm_fluidnpu_job, program_bytes, PROGRAM_BYTES, 0),
	CASE(drm_fluidnpu_job, program_bytes, U32_MAX, 0),
	CASE(drm_fluidnpu_job, flags, DRM_FLUIDNPU_JOB_NO_EXIT, 0),
	CASE(drm_fluidnpu_job, flags, DRM_FLUIDNPU_JOB_NOP, -EINVAL),
	CASE(drm_fluidnpu_job, flags, DRM_FLUIDNPU_JOB_NOP << 1, -EINVAL),
	CASE(drm_fluidnpu_job, flags, BIT(31), -EINVAL),
	CASE(drm_fluidnpu_job, samples.count, 0, -EINVAL),
	CASE(drm_fluidnpu_job, samples.count, MAX_BATCH, 0),
	CASE(drm_fluidnpu_job, samples.count, MAX_BATCH + 1, -E2BIG),
	CASE(drm_fluidnpu_job, samples.stride, sizeof(struct drm_fluidnpu_sample) - 1, -EINVAL),
	CASE(drm_fluidnpu_job, samples.stride, FLUIDNPU_MAX_STRIDE, 0),
	CASE(drm_fluidnpu_job, samples.stride, FLUIDNPU_MAX_STRIDE + 1, -E2BIG),
	CASE(drm_fluidnpu_job, bos.count, 0, 0),
	CASE(drm_fluidnpu_job, bos.count, FLUIDNPU_MAX_JOB_BOS, 0),
	CASE(drm_fluidnpu_job, bos.count, FLUIDNPU_MAX_JOB_BOS + 1, -E2BIG),
	CASE(drm_fluidnpu_job, bos.stride, sizeof(u32) - 1, -EINVAL),
	CASE(drm_fluidnpu_job, bos.stride, FLUIDNPU_MAX_STRIDE, 0),
	CASE(drm_fluidnpu_job, bos.stride, FLUIDNPU_MAX_STRIDE + 1, -E2BIG),
	CASE(drm_fluidnpu_job, user_data, U64_MAX, 0),
	CASE(drm_fluidnpu_job, stop_layer, U32_MAX, 0),
	CASE(drm_fluidnpu_job, pad, 1, -EINVAL),
};

KUNIT_ARRAY_PARAM_DESC(job, job_cases, desc);

static void job_has_limits(struct kunit *test)
{
	struct drm_fluidnpu_job args = {
		.program_iova = FLUIDNPU_VA_START,
		.program_bytes = PROGRAM_BYTES,
		.samples = { .stride = sizeof(struct drm_fluidnpu_sample), .count = 1 },
		.bos = { .stride = sizeof(u32), .count = 1 },
	};
	const struct field_case *c = set_field(test, &args);

	KUNIT_EXPECT_EQ(test, fluidnpu_check_job(NULL, &args, MAX_BATCH), c->want);
}

static const struct field_case nop_cases[] = {
	CASE(drm_fluidnpu_job, program_iova, 0, 0),
	CASE(drm_fluidnpu_job, program_iova, FLUIDNPU_VA_START, -EINVAL),
	CASE(drm_fluidnpu_job, program_bytes, 1, -EINVAL),
	CASE(drm_fluidnpu_job, program_bytes, PROGRAM_BYTES, -EINVAL),
	CASE(drm_fluidnpu_job, flags, DRM_FLUIDNPU_JOB_NOP | DRM_FLUIDNPU_JOB_NO_EXIT, -EINVAL),
	CASE(drm_fluidnpu_job, flags, 0, -EINVAL),
	CASE(drm_fluidnpu_job, samples.count, 1, -EINVAL),
	CASE(drm_fluidnpu_job, stop_layer, 1, -EINVAL),
	CASE(drm_fluidnpu_job, bos.count, FLUIDNPU_MAX_JOB_BOS, 0),
	CASE(drm_fluidnpu_job, bos.count, FLUIDNPU_MAX_JOB_BOS + 1, -E2BIG),
	CASE(drm_fluidnpu_job, user_data, U64_MAX, 0),
};

KUNIT_ARRAY_PARAM_DESC(nop, nop_cases, desc);

static void nop_stands_alone(struct kunit *test)
{
	struct drm_fluidnpu_job args = {
		.flags = DRM_FLUIDNPU_JOB_NOP,
		.bos = { .stride = sizeof(u32) },
	};
	const struct field_case *c = set_field(test, &args);

	KUNIT_EXPECT_EQ(test, fluidnpu_check_job(NULL, &args, MAX_BATCH), c->want);
}

/* --- YIELD and what surrounds an io_uring command's job ----------------------- */

static const struct field_case yield_cases[] = {
	CASE(drm_fluidnpu_yield, ctx_id, U32_MAX, 0),
	CASE(drm_fluidnpu_yield, flags, 1, -EINVAL),
	CASE(drm_fluidnpu_yield, flags, BIT(31), -EINVAL),
	CASE(drm_fluidnpu_yield, user_data, U64_MAX, 0),
};

KUNIT_ARRAY_PARAM_DESC(yield, yield_cases, desc);

static void yield_has_no_flags(struct kunit *test)
{
	struct drm_fluidnpu_yield args = { .ctx_id = 1 };
	const struct field_case *c = set_field(test, &args);

	KUNIT_EXPECT_EQ(test, fluidnpu_check_yield(NULL, &args), c->want);
}

static const struct field_case uring_submit_cases[] = {
	CASE(drm_fluidnpu_uring_submit, ctx_id, U32_MAX, 0),
	CASE(drm_fluidnpu_uring_submit, flags, 1, -EINVAL),
	CASE(drm_fluidnpu_uring_submit, flags, BIT(31), -EINVAL),
	CASE(drm_fluidnpu_uring_submit, reserved, 1, -EINVAL),
	CASE(drm_fluidnpu_uring_submit, reserved, BIT_ULL(63), -EINVAL),
};

KUNIT_ARRAY_PARAM_DESC(uring_submit, uring_submit_cases, desc);

static void uring_submit_has_no_flags(struct kunit *test)
{
	struct drm_fluidnpu_uring_submit args = { .ctx_id = 1 };
	const struct field_case *c = set_field(test, &args);

	KUNIT_EXPECT_EQ(test, fluidnpu_check_uring_submit(NULL, &args), c->want);
}

/* --- samples and syncs ------------------------------------------------------- */

static const struct field_case sample_cases[] = {
	CASE(drm_fluidnpu_sample, user_data, U64_MAX, 0),
	CASE(drm_fluidnpu_sample, start_layer, 4, -EINVAL),
	CASE(drm_fluidnpu_sample, start_layer, 5, 0),
	CASE(drm_fluidnpu_sample, start_layer, 6, -EINVAL),
	CASE(drm_fluidnpu_sample, start_layer, FLUIDNPU_MAX_LAYERS, -EINVAL),
	CASE(drm_fluidnpu_sample, exit_index, FLUIDNPU_MAX_EXITS - 1, 0),
	CASE(drm_fluidnpu_sample, exit_index, FLUIDNPU_MAX_EXITS, -EINVAL),
	CASE(drm_fluidnpu_sample, exit_index, U32_MAX, -EINVAL),
};

KUNIT_ARRAY_PARAM_DESC(sample, sample_cases, desc);

static void sample_has_limits(struct kunit *test)
{
	struct drm_fluidnpu_sample args = { .start_layer = 5 };
	const struct field_case *c = set_field(test, &args);

	KUNIT_EXPECT_EQ(test, fluidnpu_check_sample(NULL, &args, 1, 5), c->want);
}

static void first_sample_starts_within_the_layers(struct kunit *test)
{
	struct drm_fluidnpu_sample last = { .start_layer = FLUIDNPU_MAX_LAYERS - 1 };
	struct drm_fluidnpu_sample beyond = { .start_layer = FLUIDNPU_MAX_LAYERS };

	KUNIT_EXPECT_EQ(test, fluidnpu_check_sample(NULL, &last, 0, last.start_layer), 0);
	KUNIT_EXPECT_EQ(test, fluidnpu_check_sample(NULL, &beyond, 0, beyond.start_layer), -EINVAL);
}

static const struct field_case sync_cases[] = {
	CASE(drm_fluidnpu_sync, handle, U32_MAX, 0),
	CASE(drm_fluidnpu_sync, flags, DRM_FLUIDNPU_SYNC_WAIT, 0),
	CASE(drm_fluidnpu_sync, flags, DRM_FLUIDNPU_SYNC_SIGNAL, 0),
	CASE(drm_fluidnpu_sync, flags, DRM_FLUIDNPU_SYNC_SIGNAL << 1, -EINVAL),
	CASE(drm_fluidnpu_sync, flags, BIT(31), -EINVAL),
	CASE(drm_fluidnpu_sync, point, U64_MAX, 0),
};

KUNIT_ARRAY_PARAM_DESC(sync, sync_cases, desc);

static void sync_has_known_flags(struct kunit *test)
{
	struct drm_fluidnpu_sync args = { .handle = 1 };
	const struct field_case *c = set_field(test, &args);

	KUNIT_EXPECT_EQ(test, fluidnpu_check_sync(NULL, &args, 0), c->want);
}

static struct kunit_case fluidnpu_validate_cases[] = {
	KUNIT_CASE_PARAM(array_takes_what_fits, array_gen_params),
	KUNIT_CASE(empty_array_has_any_stride),
	KUNIT_CASE_PARAM(bo_create_has_limits, bo_create_gen_params),
	KUNIT_CASE_PARAM(ctx_create_has_limits, ctx_create_gen_params),
	KUNIT_CASE_PARAM(events_has_no_flags, events_gen_params),
	KUNIT_CASE_PARAM(submit_has_limits, submit_gen_params),
	KUNIT_CASE_PARAM(job_has_limits, job_gen_params),
	KUNIT_CASE_PARAM(nop_stands_alone, nop_gen_params),
	KUNIT_CASE_PARAM(yield_has_no_flags, yield_gen_params),
	KUNIT_CASE_PARAM(uring_submit_has_no_flags, uring_submit_gen_params),
	KUNIT_CASE_PARAM(sample_has_limits, sample_gen_params),
	KUNIT_CASE(first_sample_starts_within_the_layers),
	KUNIT_CASE_PARAM(sync_has_known_flags, sync_gen_params),
	{}
};

static struct kunit_suite fluidnpu_validate_suite = {
	.name = "fluidnpu_validate",
	.test_cases = fluidnpu_validate_cases,
};

kunit_test_suite(fluidnpu_validate_suite);

MODULE_DESCRIPTION("KUnit tests of the FluidNPU accel driver");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING");
