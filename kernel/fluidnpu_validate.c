// SPDX-License-Identifier: GPL-2.0
/*
 * FluidNPU accel driver: checks of what user space passes.
 *
 * What can be said of a structure by looking at it alone is said here, by
 * functions without side effects: KUnit tests them one field at a time. Handles and
 * pointers are checked where they are looked up and copied.
 *
 * Each returns 0, -EINVAL, or -E2BIG for what a later kernel might take, and names
 * the field in the debug log (drm.debug=0x2, or dynamic debug).
 */
#include <kunit/visibility.h>
#include <linux/align.h>
#include <linux/log2.h>

#include <drm/drm_print.h>

#include "fluidnpu_device.h"
#include "fluidnpu_job.h"
#include "fluidnpu_validate.h"

/**
 * fluidnpu_check_array - check the frame of a user array
 * @drm: for the debug log; may be NULL, here and below
 * @name: likewise
 * @array: frame
 * @size: bytes of an element that this kernel knows
 * @min_count: elements
 * @max_count: elements
 *
 * Return: 0, -EINVAL or -E2BIG.
 */
int fluidnpu_check_array(struct drm_device *drm, const char *name,
			 const struct drm_fluidnpu_array *array, size_t size,
			 u32 min_count, u32 max_count)
{
	if (array->count < min_count) {
		drm_dbg(drm, "%s.count %u is less than %u\n", name, array->count, min_count);
		return -EINVAL;
	}
	if (array->count > max_count) {
		drm_dbg(drm, "%s.count %u is more than %u\n", name, array->count, max_count);
		return -E2BIG;
	}
	if (array->count && array->stride < size) {
		drm_dbg(drm, "%s.stride %u is less than %zu\n", name, array->stride, size);
		return -EINVAL;
	}
	if (array->count && array->stride > FLUIDNPU_MAX_STRIDE) {
		drm_dbg(drm, "%s.stride %u is more than %u\n", name, array->stride,
			FLUIDNPU_MAX_STRIDE);
		return -E2BIG;
	}
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(fluidnpu_check_array);

/**
 * fluidnpu_check_bo_create - check a BO_CREATE
 * @drm: device or NULL
 * @args: from user space
 *
 * Return: 0 or -EINVAL.
 */
int fluidnpu_check_bo_create(struct drm_device *drm, const struct drm_fluidnpu_bo_create *args)
{
	if (args->flags & ~DRM_FLUIDNPU_BO_READONLY) {
		drm_dbg(drm, "bo_create: unknown flags %#x\n", args->flags);
		return -EINVAL;
	}
	if (!args->size || args->size > FLUIDNPU_VA_END - FLUIDNPU_VA_START - PAGE_SIZE) {
		drm_dbg(drm, "bo_create: size %llu is out of range\n", args->size);
		return -EINVAL;
	}
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(fluidnpu_check_bo_create);

/**
 * fluidnpu_check_ctx_create - check a CTX_CREATE
 * @drm: device or NULL
 * @args: from user space
 *
 * Whether the caller may have the priority is another question.
 *
 * Return: 0 or -EINVAL.
 */
int fluidnpu_check_ctx_create(struct drm_device *drm, const struct drm_fluidnpu_ctx_create *args)
{
	if (args->flags || args->pad) {
		drm_dbg(drm, "ctx_create: flags %#x or pad %#x is not 0\n", args->flags, args->pad);
		return -EINVAL;
	}
	if (args->priority >= FLUIDNPU_NUM_PRIORITIES) {
		drm_dbg(drm, "ctx_create: no priority %u\n", args->priority);
		return -EINVAL;
	}
	if (!is_power_of_2(args->event_entries) ||
	    args->event_entries < FLUIDNPU_MIN_EVENT_ENTRIES ||
	    args->event_entries > FLUIDNPU_MAX_EVENT_ENTRIES) {
		drm_dbg(drm, "ctx_create: event_entries %u is not a power of two in %u..%u\n",
			args->event_entries, FLUIDNPU_MIN_EVENT_ENTRIES,
			FLUIDNPU_MAX_EVENT_ENTRIES);
		return -EINVAL;
	}
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(fluidnpu_check_ctx_create);

/**
 * fluidnpu_check_events - check the arguments of EVENTS, but for what they name
 * @drm: device or NULL
 * @args: from user space
 *
 * Return: 0 or -EINVAL.
 */
int fluidnpu_check_events(struct drm_device *drm, const struct drm_fluidnpu_events *args)
{
	if (args->flags || args->pad) {
		drm_dbg(drm, "events.flags %#x or pad %#x is not 0\n", args->flags, args->pad);
		return -EINVAL;
	}
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(fluidnpu_check_events);

/**
 * fluidnpu_check_submit - check a SUBMIT or INJECT, not what it points to
 * @drm: device or NULL
 * @args: from user space
 *
 * Return: 0, -EINVAL or -E2BIG.
 */
int fluidnpu_check_submit(struct drm_device *drm, const struct drm_fluidnpu_submit *args)
{
	int ret;

	if (args->flags) {
		drm_dbg(drm, "submit.flags %#x is not known\n", args->flags);
		return -EINVAL;
	}
	ret = fluidnpu_check_array(drm, "submit.jobs", &args->jobs,
				   sizeof(struct drm_fluidnpu_job), 1, FLUIDNPU_MAX_JOBS);
	if (ret)
		return ret;
	return fluidnpu_check_array(drm, "submit.syncs", &args->syncs,
				    sizeof(struct drm_fluidnpu_sync), 0, FLUIDNPU_MAX_SYNCS);
}
EXPORT_SYMBOL_IF_KUNIT(fluidnpu_check_submit);

static int fluidnpu_check_program(struct drm_device *drm, const struct drm_fluidnpu_job *args)
{
	if (!IS_ALIGNED(args->program_iova, FLUIDNPU_PROGRAM_ALIGN) ||
	    args->program_iova < FLUIDNPU_VA_START || args->program_iova >= FLUIDNPU_VA_END) {
		drm_dbg(drm, "job.program_iova %#llx is out of range or not aligned to %u\n",
			args->program_iova, FLUIDNPU_PROGRAM_ALIGN);
		return -EINVAL;
	}
	if (args->program_bytes < sizeof(struct fluidnpu_hw_program)) {
		drm_dbg(drm, "job.program_bytes %u is less than a program header\n",
			args->program_bytes);
		return -EINVAL;
	}
	return 0;
}

static int fluidnpu_check_nop(struct drm_device *drm, const struct drm_fluidnpu_job *args)
{
	if (args->flags != DRM_FLUIDNPU_JOB_NOP || args->program_iova || args->program_bytes ||
	    args->samples.count || args->stop_layer) {
		drm_dbg(drm, "job.flags %#x: a NOP has no other flag, program, sample or stop\n",
			args->flags);
		return -EINVAL;
	}
	return 0;
}

/**
 * fluidnpu_check_job - check a job, not what it points to
 * @drm: device or NULL
 * @args: from user space
 * @max_batch: of the device
 *
 * Return: 0, -EINVAL or -E2BIG.
 */
int fluidnpu_check_job(struct drm_device *drm, const struct drm_fluidnpu_job *args, u32 max_batch)
{
	bool nop = args->flags & DRM_FLUIDNPU_JOB_NOP;
	int ret;

	if (args->flags & ~(DRM_FLUIDNPU_JOB_NO_EXIT | DRM_FLUIDNPU_JOB_NOP)) {
		drm_dbg(drm, "job.flags %#x is not known\n", args->flags);
		return -EINVAL;
	}
	if (args->pad) {
		drm_dbg(drm, "job.pad %#x is not 0\n", args->pad);
		return -EINVAL;
	}
	ret = nop ? fluidnpu_check_nop(drm, args) : fluidnpu_check_program(drm, args);
	if (ret)
		return ret;

	ret = fluidnpu_check_array(drm, "job.samples", &args->samples,
				   sizeof(struct drm_fluidnpu_sample), !nop, max_batch);
	if (ret)
		return ret;
	return fluidnpu_check_array(drm, "job.bos", &args->bos, sizeof(u32), 0,
				    FLUIDNPU_MAX_JOB_BOS);
}
EXPORT_SYMBOL_IF_KUNIT(fluidnpu_check_job);

/**
 * fluidnpu_check_sample - check a sample of a job
 * @drm: device or NULL
 * @sample: from user space
 * @index: of the sample in the job
 * @start_layer: of the first sample of the job
 *
 * Return: 0 or -EINVAL.
 */
int fluidnpu_check_sample(struct drm_device *drm, const struct drm_fluidnpu_sample *sample,
			  u32 index, u32 start_layer)
{
	if (sample->start_layer >= FLUIDNPU_MAX_LAYERS || sample->start_layer != start_layer) {
		drm_dbg(drm, "job.samples[%u].start_layer %u is too large or not the first one's\n",
			index, sample->start_layer);
		return -EINVAL;
	}
	if (sample->exit_index >= FLUIDNPU_MAX_EXITS) {
		drm_dbg(drm, "job.samples[%u].exit_index %u is too large\n", index,
			sample->exit_index);
		return -EINVAL;
	}
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(fluidnpu_check_sample);

/**
 * fluidnpu_check_yield - check a YIELD
 * @drm: device or NULL
 * @args: from user space
 *
 * Return: 0 or -EINVAL.
 */
int fluidnpu_check_yield(struct drm_device *drm, const struct drm_fluidnpu_yield *args)
{
	if (args->flags) {
		drm_dbg(drm, "yield.flags %#x is not known\n", args->flags);
		return -EINVAL;
	}
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(fluidnpu_check_yield);

/**
 * fluidnpu_check_sync - check a syncobj reference of a submission
 * @drm: device or NULL
 * @sync: from user space
 * @index: of @sync in the submission
 *
 * Return: 0 or -EINVAL.
 */
int fluidnpu_check_sync(struct drm_device *drm, const struct drm_fluidnpu_sync *sync, u32 index)
{
	if (sync->flags & ~DRM_FLUIDNPU_SYNC_SIGNAL) {
		drm_dbg(drm, "submit.syncs[%u].flags %#x is not known\n", index, sync->flags);
		return -EINVAL;
	}
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(fluidnpu_check_sync);

/**
 * fluidnpu_check_uring_submit - check what surrounds the job of an io_uring command
 * @drm: device or NULL
 * @args: from user space
 *
 * Return: 0 or -EINVAL.
 */
int fluidnpu_check_uring_submit(struct drm_device *drm,
				const struct drm_fluidnpu_uring_submit *args)
{
	if (args->flags || args->reserved) {
		drm_dbg(drm, "uring_submit.flags %#x or reserved %#llx is not 0\n", args->flags,
			args->reserved);
		return -EINVAL;
	}
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(fluidnpu_check_uring_submit);
