/* SPDX-License-Identifier: GPL-2.0 */
/*
 * FluidNPU accel driver: hardware fences.
 */
#ifndef _FLUIDNPU_FENCE_H
#define _FLUIDNPU_FENCE_H

#include <linux/dma-fence.h>

struct drm_sched_fence;
struct fluidnpu_device;
struct fluidnpu_queue;

/**
 * struct fluidnpu_fence - signals when the device has ended a job
 * @base: the fence; not initialised before the job is in the ring
 * @lock: of @base; in here because a fence outlives job, queue and device
 * @fdev: pinned from fluidnpu_fence_init() on
 * @end_time: device time of the job's end, 0 when it never ran to one
 */
struct fluidnpu_fence {
	struct dma_fence base;
	spinlock_t lock; /* of base */
	struct fluidnpu_device *fdev;
	u64 end_time;
};

struct fluidnpu_fence *fluidnpu_fence_alloc(void);
void fluidnpu_fence_init(struct fluidnpu_fence *fence, struct fluidnpu_queue *queue);
void fluidnpu_fence_pin_finished(struct fluidnpu_fence *fence, struct fluidnpu_queue *queue,
				 struct drm_sched_fence *s_fence);
void fluidnpu_fence_put(struct fluidnpu_fence *fence);
u64 fluidnpu_fence_end_time(struct dma_fence *finished);

#endif
