// SPDX-License-Identifier: GPL-2.0
/*
 * FluidNPU accel driver: the fences of jobs.
 *
 * There is one for each job, whichever way it takes to the ring; it is what user space and
 * other drivers get to see. A fence is allocated when its job is prepared, because nothing may
 * be allocated later, and initialised when the job is committed, so that the numbers of a
 * context's fences are in the order of its jobs.
 *
 * Other drivers and user space may keep a fence for as long as they like. It
 * therefore pins the device and the module (whose code &fluidnpu_fence_ops is).
 */
#include <linux/slab.h>

#include "fluidnpu_ctx.h"
#include "fluidnpu_device.h"
#include "fluidnpu_fence.h"

static struct fluidnpu_fence *to_fluidnpu_fence(struct dma_fence *base)
{
	return container_of(base, struct fluidnpu_fence, base);
}

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
	struct fluidnpu_device *fdev = to_fluidnpu_fence(base)->queue->fdev;

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
 * fluidnpu_fence_init - make the next fence of a context
 * @fence: not initialised yet
 * @ctx: whose job is being committed, with its lock
 */
void fluidnpu_fence_init(struct fluidnpu_fence *fence, struct fluidnpu_ctx *ctx)
{
	lockdep_assert_held(&ctx->lock);

	fluidnpu_device_get_user(ctx->queue->fdev);
	fence->queue = ctx->queue;
	spin_lock_init(&fence->lock);
	dma_fence_init(&fence->base, &fluidnpu_fence_ops, &fence->lock, ctx->fence_context,
		       ++ctx->seqno);
}

/**
 * fluidnpu_fence_is_ordered - would a job run after this fence anyway?
 * @fence: any fence
 * @ctx: whose next job would have to wait for it
 *
 * Jobs of a context keep their order, and a queue runs its jobs one after another, but for
 * those that are injected: they join what runs.
 *
 * Return: whether a job of @ctx that is not injected need not wait for @fence.
 */
bool fluidnpu_fence_is_ordered(struct dma_fence *fence, struct fluidnpu_ctx *ctx)
{
	struct fluidnpu_fence *ours;

	if (fence->ops != &fluidnpu_fence_ops)
		return false;
	ours = to_fluidnpu_fence(fence);
	return fence->context == ctx->fence_context ||
	       (ours->queue == ctx->queue && READ_ONCE(ours->ordered));
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
