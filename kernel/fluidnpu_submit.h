/* SPDX-License-Identifier: GPL-2.0 */
/*
 * FluidNPU accel driver: jobs between user space and the ring.
 */
#ifndef _FLUIDNPU_SUBMIT_H
#define _FLUIDNPU_SUBMIT_H

#include <linux/overflow.h>
#include <linux/uaccess.h>

#include <drm/drm_device.h>
#include <drm/drm_exec.h>
#include <drm/drm_file.h>

#include <fluidnpu_drm.h>

struct dma_fence;
struct dma_fence_chain;
struct drm_syncobj;
struct fluidnpu_ctx;
struct fluidnpu_job;

/**
 * struct fluidnpu_signal - a syncobj that the last job signals
 * @syncobj: syncobj
 * @chain: for a timeline point, otherwise NULL
 * @point: of the timeline
 */
struct fluidnpu_signal {
	struct drm_syncobj *syncobj;
	struct dma_fence_chain *chain;
	u64 point;
};

/**
 * struct fluidnpu_submit - jobs on their way to the ring
 * @file: client
 * @ctx: context
 * @inject: the jobs may join the batch that runs
 * @locked: the context's lock is held
 * @committed: the jobs are on their way
 * @obj: the only buffer, if there is only one; its reservation lock is held
 * @exec: reservation locks of several
 * @num_execs: how many @exec is made for, 0: it is not in use
 * @num_signals: entries of @signals
 * @signals: what the last job signals
 * @num_jobs: entries of @jobs
 * @jobs: prepared jobs; &@only if there can be only one
 * @only: place for it
 */
struct fluidnpu_submit {
	struct drm_file *file;
	struct fluidnpu_ctx *ctx;
	bool inject;
	bool locked;
	bool committed;
	struct drm_gem_object *obj;
	struct drm_exec exec;
	u32 num_execs;
	u32 num_signals;
	struct fluidnpu_signal *signals;
	u32 num_jobs;
	struct fluidnpu_job **jobs;
	struct fluidnpu_job *only;
};

static inline struct drm_device *fluidnpu_submit_drm(struct fluidnpu_submit *submit)
{
	return submit->file->minor->dev;
}

/* Copy element @i; what a later user space has added to it must be zero. */
static inline int fluidnpu_copy_element(void *dst, size_t size,
					const struct drm_fluidnpu_array *array, u32 i)
{
	u64 addr;

	if (check_add_overflow(array->array, (u64)array->stride * i, &addr))
		return -EFAULT;
	return copy_struct_from_user(dst, size, u64_to_user_ptr(addr), array->stride);
}

/* fluidnpu_submit.c */
int fluidnpu_ioctl_submit(struct drm_device *drm, void *data, struct drm_file *file);
int fluidnpu_ioctl_inject(struct drm_device *drm, void *data, struct drm_file *file);

int fluidnpu_submit_prepare_one(struct fluidnpu_submit *submit, struct drm_file *file, u32 ctx_id,
				const struct drm_fluidnpu_job *args, bool inject);
int fluidnpu_submit_lock(struct fluidnpu_submit *submit, bool interruptible);
void fluidnpu_submit_commit(struct fluidnpu_submit *submit);
void fluidnpu_submit_fini(struct fluidnpu_submit *submit);
int fluidnpu_submit_depend(struct fluidnpu_submit *submit, struct dma_fence *fence);

/* fluidnpu_sync.c */
int fluidnpu_submit_add_syncs(struct fluidnpu_submit *submit,
			      const struct drm_fluidnpu_array *array);
void fluidnpu_submit_signal(struct fluidnpu_submit *submit, struct dma_fence *fence);
void fluidnpu_submit_put_syncs(struct fluidnpu_submit *submit);

#endif
