/* SPDX-License-Identifier: GPL-2.0 */
/*
 * FluidNPU accel driver: the fences of jobs.
 */
#ifndef _FLUIDNPU_FENCE_H
#define _FLUIDNPU_FENCE_H

#include <linux/dma-fence.h>

struct fluidnpu_ctx;
struct fluidnpu_queue;

/**
 * struct fluidnpu_fence - signals when a job has ended
 * @base: the fence; not initialised before the job is committed
 * @lock: of @base; in here because a fence outlives job, queue and device
 * @queue: where the job runs; its device is pinned from fluidnpu_fence_init() on
 * @end_time: device time of the job's end, 0 when it never ran to one
 * @ordered: jobs that enter the queue from now on run after this one; set with hw_lock
 */
struct fluidnpu_fence {
	struct dma_fence base;
	spinlock_t lock; /* of base */
	struct fluidnpu_queue *queue;
	u64 end_time;
	bool ordered;
};

struct fluidnpu_fence *fluidnpu_fence_alloc(void);
void fluidnpu_fence_init(struct fluidnpu_fence *fence, struct fluidnpu_ctx *ctx);
bool fluidnpu_fence_is_ordered(struct dma_fence *fence, struct fluidnpu_ctx *ctx);
void fluidnpu_fence_put(struct fluidnpu_fence *fence);

#endif
