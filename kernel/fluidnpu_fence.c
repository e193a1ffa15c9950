// SPDX-License-Identifier: GPL-2.0
/*
 * FluidNPU accel driver: hardware fences.
 *
 * A fence is allocated when its job is submitted, because nothing may be
 * allocated later, and initialised when the job enters the ring, so that the
 * sequence numbers of a queue are in ring order.
 *
 * Other drivers and user space may keep a fence for as long as they like. It
 * therefore pins the device (whose scheduler's name the core still prints)
 * and the module (whose code &fluidnpu_fence_ops is).
 */
#include <linux/slab.h>

#include <drm/gpu_scheduler.h>

#include "fluidnpu_device.h"
#include "fluidnpu_fence.h"

static const char *fluidnpu_fence_get_driver_name(struct dma_fence *base)
{
	return FLUIDNPU_DRIVER_NAME;
}

static const char *fluidnpu_fence_get_timeline_name(struct dma_fence *base)
{
	return "npu";
}

static void fluidnpu_fence_release(struct dma_fence *base)
{
	struct fluidnpu_fence *fence = container_of(base, struct fluidnpu_fence, base);
	struct fluidnpu_device *fdev = fence->fdev;

	dma_fence_free(base);
	fluidnpu_device_put_user(fdev);
}

static const struct dma_fence_ops fluidnpu_fence_ops = {
	.get_driver_name = fluidnpu_fence_get_driver_name,
	.get_timeline_name = fluidnpu_fence_get_timeline_name,
	.release = fluidnpu_fence_release,
};

/**
 * fluidnpu_fence_alloc - allocate a fence for a job
 *
 * Return: the fence, to be released with fluidnpu_fence_put(), or NULL.
 */
struct fluidnpu_fence *fluidnpu_fence_alloc(void)
{
	return kzalloc(sizeof(struct fluidnpu_fence), GFP_KERNEL_ACCOUNT);
}

/**
 * fluidnpu_fence_init - make the next fence of a queue
 * @fence: not initialised yet
 * @queue: whose job enters the ring; hw_lock is held
 */
void fluidnpu_fence_init(struct fluidnpu_fence *fence, struct fluidnpu_queue *queue)
{
	lockdep_assert_held(&queue->fdev->hw_lock);

	fluidnpu_device_get_user(queue->fdev);
	fence->fdev = queue->fdev;
	spin_lock_init(&fence->lock);
	dma_fence_init(&fence->base, &fluidnpu_fence_ops, &fence->lock,
		       queue->fence_context, ++queue->seqno);
}

/**
 * fluidnpu_fence_pin_finished - make a finished fence pin device and module
 * @fence: hardware fence of a job that never reached the hardware
 * @queue: where it was headed
 * @s_fence: the job's scheduler fences, signalled
 *
 * The core's fences refer to their scheduler for as long as they live, but hold
 * only the hardware fence, if there is one. So they get one here.
 */
void fluidnpu_fence_pin_finished(struct fluidnpu_fence *fence, struct fluidnpu_queue *queue,
				 struct drm_sched_fence *s_fence)
{
	unsigned long flags;

	spin_lock_irqsave(&queue->fdev->hw_lock, flags);
	fluidnpu_fence_init(fence, queue);
	spin_unlock_irqrestore(&queue->fdev->hw_lock, flags);

	dma_fence_signal(&fence->base);
	/* Pairs with the acquire in fluidnpu_fence_end_time() and in the core. */
	smp_store_release(&s_fence->parent, dma_fence_get(&fence->base));
}

/**
 * fluidnpu_fence_put - drop the job's reference
 * @fence: initialised or not, or NULL
 */
void fluidnpu_fence_put(struct fluidnpu_fence *fence)
{
	if (fence && fence->base.ops)
		dma_fence_put(&fence->base);
	else
		kfree(fence);
}

/**
 * fluidnpu_fence_end_time - when did the device end this job
 * @finished: signalled finished fence of a job of this driver
 *
 * Return: device time, or 0 when the job did not get to an end on the device.
 */
u64 fluidnpu_fence_end_time(struct dma_fence *finished)
{
	struct drm_sched_fence *s_fence = to_drm_sched_fence(finished);
	/* Pairs with the release in drm_sched_fence_set_parent(). */
	struct dma_fence *parent = smp_load_acquire(&s_fence->parent);

	if (!parent || parent->ops != &fluidnpu_fence_ops)
		return 0;
	return container_of(parent, struct fluidnpu_fence, base)->end_time;
}
