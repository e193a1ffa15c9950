// SPDX-License-Identifier: GPL-2.0
/*
 * FluidNPU accel driver: the syncobjs of a submission, what it waits for and what it
 * signals.
 */
#include <linux/dma-fence-chain.h>
#include <linux/slab.h>

#include <drm/drm_print.h>
#include <drm/drm_syncobj.h>

#include "fluidnpu_submit.h"
#include "fluidnpu_validate.h"

static int fluidnpu_submit_add_wait(struct fluidnpu_submit *submit,
				    const struct drm_fluidnpu_sync *sync)
{
	struct dma_fence *fence;
	int ret;

	/* Never waits for the fence to be there: this may run in an io_uring issue. */
	ret = drm_syncobj_find_fence(submit->file, sync->handle, sync->point, 0, &fence);
	if (ret) {
		drm_dbg(fluidnpu_submit_drm(submit), "syncobj %u has no fence at point %llu: %d\n",
			sync->handle, sync->point, ret);
		return ret;
	}
	ret = fluidnpu_submit_depend(submit, fence);
	dma_fence_put(fence);
	return ret;
}

static int fluidnpu_submit_add_signal(struct fluidnpu_submit *submit,
				      const struct drm_fluidnpu_sync *sync)
{
	struct fluidnpu_signal *signal = &submit->signals[submit->num_signals];

	signal->syncobj = drm_syncobj_find(submit->file, sync->handle);
	if (!signal->syncobj) {
		drm_dbg(fluidnpu_submit_drm(submit), "no syncobj %u\n", sync->handle);
		return -ENOENT;
	}
	submit->num_signals++;

	signal->point = sync->point;
	if (sync->point) {
		signal->chain = dma_fence_chain_alloc();
		if (!signal->chain)
			return -ENOMEM;
	}
	return 0;
}

/**
 * fluidnpu_submit_add_syncs - look up the syncobjs of a SUBMIT or INJECT
 * @submit: with its jobs
 * @array: of struct drm_fluidnpu_sync, its frame checked
 *
 * Return: 0 or a negative errno.
 */
int fluidnpu_submit_add_syncs(struct fluidnpu_submit *submit,
			      const struct drm_fluidnpu_array *array)
{
	struct drm_device *drm = fluidnpu_submit_drm(submit);
	u32 i;
	int ret;

	if (!array->count)
		return 0;

	submit->signals = kcalloc(array->count, sizeof(*submit->signals), GFP_KERNEL);
	if (!submit->signals)
		return -ENOMEM;

	for (i = 0; i < array->count; i++) {
		struct drm_fluidnpu_sync sync;

		ret = fluidnpu_copy_element(&sync, sizeof(sync), array, i);
		if (ret) {
			drm_dbg(drm, "submit.syncs[%u] cannot be copied: %d\n", i, ret);
			return ret;
		}
		ret = fluidnpu_check_sync(drm, &sync, i);
		if (ret)
			return ret;
		ret = sync.flags & DRM_FLUIDNPU_SYNC_SIGNAL ?
			fluidnpu_submit_add_signal(submit, &sync) :
			fluidnpu_submit_add_wait(submit, &sync);
		if (ret)
			return ret;
	}
	return 0;
}

/**
 * fluidnpu_submit_signal - let the syncobjs signal when the last job ends
 * @submit: being committed
 * @fence: of its last job
 */
void fluidnpu_submit_signal(struct fluidnpu_submit *submit, struct dma_fence *fence)
{
	u32 i;

	for (i = 0; i < submit->num_signals; i++) {
		struct fluidnpu_signal *signal = &submit->signals[i];

		if (signal->chain) {
			drm_syncobj_add_point(signal->syncobj, signal->chain, fence, signal->point);
			signal->chain = NULL;
		} else {
			drm_syncobj_replace_fence(signal->syncobj, fence);
		}
	}
}

/**
 * fluidnpu_submit_put_syncs - let go of the syncobjs
 * @submit: committed or not
 */
void fluidnpu_submit_put_syncs(struct fluidnpu_submit *submit)
{
	u32 i;

	for (i = 0; i < submit->num_signals; i++) {
		dma_fence_chain_free(submit->signals[i].chain);
		drm_syncobj_put(submit->signals[i].syncobj);
	}
	kfree(submit->signals);
}
