// SPDX-License-Identifier: GPL-2.0
/*
 * FluidNPU accel driver: DEV_QUERY.
 */
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <drm/drm_print.h>

#include "fluidnpu_ctx.h"
#include "fluidnpu_device.h"
#include "fluidnpu_job.h"
#include "fluidnpu_limit.h"
#include "fluidnpu_perf.h"
#include "fluidnpu_query.h"

/* What DEV_QUERY may be asked to zero behind the structures known here. */
#define FLUIDNPU_MAX_QUERY_BYTES	PAGE_SIZE

static int fluidnpu_query_info(struct fluidnpu_device *fdev, void *reply)
{
	struct drm_fluidnpu_info *info = reply;

	*info = (struct drm_fluidnpu_info) {
		.hw_version = fdev->hw_version,
		.features = fdev->features,
		.clock_hz = fdev->clock_hz,
		.max_jobs = FLUIDNPU_MAX_JOBS,
		.va_start = FLUIDNPU_VA_START,
		.va_bytes = FLUIDNPU_VA_END - FLUIDNPU_VA_START,
		.geometry = fdev->geometry,
		.abi_version = FLUIDNPU_ABI_MAJOR << 16 | FLUIDNPU_ABI_MINOR,
		.num_queues = fdev->num_queues,
		.max_job_bos = FLUIDNPU_MAX_JOB_BOS,
		.max_syncs = FLUIDNPU_MAX_SYNCS,
		.max_contexts = FLUIDNPU_MAX_CONTEXTS,
		.coalesce_ns = FLUIDNPU_COALESCE_NS,
		.memory_bytes = fluidnpu_limit_client(),
	};
	return 0;
}

static int fluidnpu_query_counters(struct fluidnpu_device *fdev, void *reply)
{
	return fluidnpu_perf_read(fdev, FLUIDNPU_PERF_ALL, reply);
}

static int fluidnpu_query_queues(struct fluidnpu_device *fdev, void *reply)
{
	struct drm_fluidnpu_queue_info *queues = reply;
	u32 i;

	for (i = 0; i < FLUIDNPU_NUM_PRIORITIES; i++)
		queues[fluidnpu_queue_of_priority(fdev, i)->index].priorities |= BIT(i);
	for (i = 0; i < fdev->num_queues; i++)
		queues[i].max_jobs = FLUIDNPU_RING_JOBS;
	return 0;
}

static int fluidnpu_query_queue_counters(struct fluidnpu_device *fdev, void *reply)
{
	struct drm_fluidnpu_counters *counters = reply;
	u32 i;
	int ret;

	for (i = 0; i < fdev->num_queues; i++) {
		ret = fluidnpu_perf_read(fdev, i, &counters[i]);
		if (ret)
			return ret;
	}
	return 0;
}

/**
 * struct fluidnpu_query - something that can be asked for
 * @bytes: of the structure
 * @per_queue: there is one for each queue
 * @fill: write the reply, which is zeroed; returns 0 or a negative errno
 */
struct fluidnpu_query {
	u32 bytes;
	bool per_queue;
	int (*fill)(struct fluidnpu_device *fdev, void *reply);
};

static const struct fluidnpu_query fluidnpu_queries[] = {
	[DRM_FLUIDNPU_QUERY_INFO] = {
		sizeof(struct drm_fluidnpu_info), false, fluidnpu_query_info,
	},
	[DRM_FLUIDNPU_QUERY_COUNTERS] = {
		sizeof(struct drm_fluidnpu_counters), false, fluidnpu_query_counters,
	},
	[DRM_FLUIDNPU_QUERY_QUEUES] = {
		sizeof(struct drm_fluidnpu_queue_info), true, fluidnpu_query_queues,
	},
	[DRM_FLUIDNPU_QUERY_QUEUE_COUNTERS] = {
		sizeof(struct drm_fluidnpu_counters), true, fluidnpu_query_queue_counters,
	},
};

/**
 * fluidnpu_ioctl_dev_query - DEV_QUERY
 * @drm: device
 * @data: struct drm_fluidnpu_dev_query
 * @file: client
 *
 * Does not wake the device.
 *
 * Return: 0 or a negative errno.
 */
int fluidnpu_ioctl_dev_query(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct fluidnpu_device *fdev = to_fluidnpu_device(drm);
	struct drm_fluidnpu_dev_query *args = data;
	void __user *user = u64_to_user_ptr(args->pointer);
	const struct fluidnpu_query *query;
	u32 user_bytes = args->size;
	u32 bytes;
	void *reply;
	int ret;

	if (args->type >= ARRAY_SIZE(fluidnpu_queries)) {
		drm_dbg(drm, "dev_query: no type %u\n", args->type);
		return -EINVAL;
	}
	query = &fluidnpu_queries[array_index_nospec(args->type, ARRAY_SIZE(fluidnpu_queries))];
	bytes = query->bytes * (query->per_queue ? fdev->num_queues : 1);

	if (args->pointer && user_bytes > FLUIDNPU_MAX_QUERY_BYTES) {
		drm_dbg(drm, "dev_query: size %u is more than anything known\n", user_bytes);
		return -E2BIG;
	}
	args->size = bytes;
	if (!args->pointer)
		return 0;

	reply = kzalloc(bytes, GFP_KERNEL);
	if (!reply)
		return -ENOMEM;
	ret = query->fill(fdev, reply);
	if (ret) {
		drm_dbg(drm, "dev_query: type %u failed: %d\n", args->type, ret);
	} else if (copy_to_user(user, reply, min(user_bytes, bytes)) ||
		   (user_bytes > bytes && clear_user(user + bytes, user_bytes - bytes))) {
		drm_dbg(drm, "dev_query: pointer %#llx cannot be written\n", args->pointer);
		ret = -EFAULT;
	}
	kfree(reply);
	return ret;
}
