// SPDX-License-Identifier: GPL-2.0
/*
 * FluidNPU accel driver: submission.
 *
 * Three steps, for the ioctl and for io_uring alike. Preparing checks and
 * copies everything, looks everything up, allocates everything and reserves
 * the room for events. Locking takes the reservation locks of all buffers and
 * collects the fences to wait for. Committing hands the jobs to the scheduler
 * and cannot fail. Whatever goes wrong before leaves no trace.
 *
 * Synchronisation is explicit, through syncobjs: among buffers of its own a
 * client knows best. Buffers that are shared through dma-buf are synchronised
 * implicitly too, as if the job wrote them unless it may not.
 */
#include <linux/dma-resv.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <drm/drm_drv.h>
#include <drm/drm_exec.h>
#include <drm/drm_file.h>
#include <drm/drm_print.h>

#include "fluidnpu_compat.h"
#include "fluidnpu_ctx.h"
#include "fluidnpu_device.h"
#include "fluidnpu_fence.h"
#include "fluidnpu_gem.h"
#include "fluidnpu_job.h"
#include "fluidnpu_pm.h"
#include "fluidnpu_submit.h"
#include "fluidnpu_trace.h"
#include "fluidnpu_validate.h"

static int fluidnpu_copy_samples(struct drm_device *drm, struct fluidnpu_job *job,
				 const struct drm_fluidnpu_array *array)
{
	u32 i;
	int ret;

	for (i = 0; i < job->num_samples; i++) {
		struct drm_fluidnpu_sample *sample = &job->samples[i];

		ret = fluidnpu_copy_element(sample, sizeof(*sample), array, i);
		if (ret) {
			drm_dbg(drm, "job.samples[%u] cannot be copied: %d\n", i, ret);
			return ret;
		}
		ret = fluidnpu_check_sample(drm, sample, i, job->samples[0].start_layer);
		if (ret)
			return ret;
	}
	return 0;
}

static int fluidnpu_lookup_bos(struct drm_file *file, struct fluidnpu_job *job,
			       const struct drm_fluidnpu_array *array)
{
	struct drm_device *drm = file->minor->dev;
	int ret;

	if (!array->count)
		return 0;

	job->mappings = kcalloc(array->count, sizeof(*job->mappings), GFP_KERNEL_ACCOUNT);
	if (!job->mappings)
		return -ENOMEM;

	while (job->num_mappings < array->count) {
		u32 i = job->num_mappings;
		u32 handle;

		ret = fluidnpu_copy_element(&handle, sizeof(handle), array, i);
		if (ret) {
			drm_dbg(drm, "job.bos[%u] cannot be copied: %d\n", i, ret);
			return ret;
		}
		job->mappings[i] = fluidnpu_mapping_lookup(file, handle);
		if (!job->mappings[i]) {
			drm_dbg(drm, "job.bos[%u]: no handle %u\n", i, handle);
			return -ENOENT;
		}
		job->num_mappings++;
	}
	return 0;
}

static int fluidnpu_job_init_sched(struct fluidnpu_job *job, struct drm_file *file)
{
	return drm_sched_job_init(&job->base, &job->ctx->entity, 1, job->ctx, file->client_id);
}

static int fluidnpu_submit_opcode(struct fluidnpu_submit *submit,
				  const struct drm_fluidnpu_job *args)
{
	if (!(args->flags & DRM_FLUIDNPU_JOB_NOP))
		return submit->inject ? FLUIDNPU_OP_INJECT : FLUIDNPU_OP_RUN;
	if (!submit->inject)
		return FLUIDNPU_OP_NOP;
	drm_dbg(fluidnpu_submit_drm(submit), "job.flags %#x: INJECT takes no NOP\n", args->flags);
	return -EINVAL;
}

/* Prepare a job and append it to @submit. */
static int fluidnpu_submit_add_job(struct fluidnpu_submit *submit,
				   const struct drm_fluidnpu_job *args)
{
	struct drm_device *drm = fluidnpu_submit_drm(submit);
	struct fluidnpu_job *job;
	int ret, opcode;
	u32 events;

	ret = fluidnpu_check_job(drm, args, to_fluidnpu_device(drm)->geometry.max_batch);
	if (ret)
		return ret;
	opcode = fluidnpu_submit_opcode(submit, args);
	if (opcode < 0)
		return opcode;

	/* Only the event rings limit how many jobs a client can queue. */
	job = kzalloc(struct_size(job, samples, args->samples.count), GFP_KERNEL_ACCOUNT);
	if (!job)
		return -ENOMEM;
	job->num_samples = args->samples.count;
	job->ctx = fluidnpu_ctx_get(submit->ctx);
	job->slot = FLUIDNPU_NO_SLOT;
	RB_CLEAR_NODE(&job->ctx_node);
	job->program_iova = args->program_iova;
	job->program_bytes = args->program_bytes;
	job->flags = args->flags;
	job->opcode = opcode;
	job->user_data = args->user_data;

	ret = fluidnpu_copy_samples(drm, job, &args->samples);
	if (ret)
		goto err_release;
	ret = fluidnpu_lookup_bos(submit->file, job, &args->bos);
	if (ret)
		goto err_release;

	job->fence = fluidnpu_fence_alloc();
	if (!job->fence) {
		ret = -ENOMEM;
		goto err_release;
	}

	ret = fluidnpu_pm_get(job->ctx->ffile->fdev);
	if (ret)
		goto err_release;
	job->awake = true;

	/* An event per sample that leaves, or per head that it passes, and one at the end. */
	events = job->num_samples;
	if (job->flags & DRM_FLUIDNPU_JOB_NO_EXIT)
		events *= FLUIDNPU_MAX_EXITS;
	events++;
	ret = fluidnpu_event_reserve(&job->ctx->events, events);
	if (ret) {
		drm_dbg(drm, "event ring has no room for %u events\n", events);
		goto err_release;
	}
	job->events_left = events;

	ret = fluidnpu_job_init_sched(job, submit->file);
	if (ret)
		goto err_release;

	submit->jobs[submit->num_jobs++] = job;
	return 0;

err_release:
	fluidnpu_job_release(job);
	return ret;
}

/**
 * fluidnpu_job_release - free a job and drop what it holds
 * @job: never armed and drm_sched_job_cleanup() called if it was initialised,
 *	or freed by the scheduler
 */
void fluidnpu_job_release(struct fluidnpu_job *job)
{
	struct fluidnpu_ctx *ctx = job->ctx;
	unsigned long flags;

	/* Its entity was killed before it ran? */
	if (!RB_EMPTY_NODE(&job->ctx_node)) {
		spin_lock_irqsave(&ctx->ffile->fdev->hw_lock, flags);
		fluidnpu_job_forget(job);
		spin_unlock_irqrestore(&ctx->ffile->fdev->hw_lock, flags);
	}
	if (job->events_left)
		fluidnpu_event_unreserve(&ctx->events, job->events_left);
	while (job->num_mappings)
		fluidnpu_mapping_put(job->mappings[--job->num_mappings]);
	kfree(job->mappings);
	fluidnpu_fence_put(job->fence);
	if (job->awake)
		fluidnpu_pm_put(ctx->ffile->fdev);
	kfree(job);
	fluidnpu_ctx_put(ctx);
}

static struct fluidnpu_submit *fluidnpu_submit_create(struct drm_file *file, u32 ctx_id,
						      u32 max_jobs, bool inject)
{
	struct fluidnpu_submit *submit;
	struct fluidnpu_ctx *ctx;

	ctx = fluidnpu_ctx_lookup_alive(file, ctx_id);
	if (IS_ERR(ctx))
		return ERR_CAST(ctx);

	submit = kzalloc(struct_size(submit, jobs, max_jobs), GFP_KERNEL);
	if (!submit) {
		fluidnpu_ctx_put(ctx);
		return ERR_PTR(-ENOMEM);
	}
	submit->file = file;
	submit->ctx = ctx;
	submit->inject = inject;
	return submit;
}

/**
 * fluidnpu_submit_free - undo what has not been committed and free the rest
 * @submit: prepared, locked or committed
 */
void fluidnpu_submit_free(struct fluidnpu_submit *submit)
{
	u32 i;

	if (submit->locked)
		drm_exec_fini(&submit->exec);

	for (i = 0; i < submit->num_jobs; i++) {
		drm_sched_job_cleanup(&submit->jobs[i]->base);
		fluidnpu_job_release(submit->jobs[i]);
	}
	fluidnpu_submit_put_syncs(submit);
	fluidnpu_ctx_put(submit->ctx);
	kfree(submit);
}

static bool fluidnpu_bo_is_shared(struct drm_gem_object *obj)
{
	return obj->import_attach || READ_ONCE(obj->dma_buf);
}

static int fluidnpu_submit_lock_bos(struct fluidnpu_submit *submit)
{
	u32 i, k;
	int ret;

	drm_exec_until_all_locked(&submit->exec) {
		for (i = 0; i < submit->num_jobs; i++) {
			struct fluidnpu_job *job = submit->jobs[i];

			for (k = 0; k < job->num_mappings; k++) {
				struct drm_gem_object *obj = &job->mappings[k]->bo->base.base;

				/* Two: it can become shared while the jobs are committed. */
				ret = drm_exec_prepare_obj(&submit->exec, obj, 2);
				drm_exec_retry_on_contention(&submit->exec);
				if (ret)
					return ret;
			}
		}
	}
	return 0;
}

/* What @job must wait for is waited for by the first job. */
static int fluidnpu_submit_add_implicit(struct fluidnpu_submit *submit, struct fluidnpu_job *job)
{
	u32 i;
	int ret;

	for (i = 0; i < job->num_mappings; i++) {
		struct fluidnpu_mapping *mapping = job->mappings[i];
		struct drm_gem_object *obj = &mapping->bo->base.base;

		if (!fluidnpu_bo_is_shared(obj))
			continue;
		ret = drm_sched_job_add_implicit_dependencies(&submit->jobs[0]->base, obj,
							      !mapping->readonly);
		if (ret)
			return ret;
	}
	return 0;
}

/**
 * fluidnpu_submit_lock - lock the buffers and collect implicit dependencies
 * @submit: prepared
 * @interruptible: a signal may interrupt the wait for the locks
 *
 * Return: 0, -EINTR or -ENOMEM.
 */
int fluidnpu_submit_lock(struct fluidnpu_submit *submit, bool interruptible)
{
	u32 i, num_bos = 0;
	int ret;

	for (i = 0; i < submit->num_jobs; i++)
		num_bos += submit->jobs[i]->num_mappings;
	if (!num_bos)
		return 0;

	drm_exec_init(&submit->exec, DRM_EXEC_IGNORE_DUPLICATES |
		      (interruptible ? DRM_EXEC_INTERRUPTIBLE_WAIT : 0), num_bos);
	submit->locked = true;

	ret = fluidnpu_submit_lock_bos(submit);
	if (ret)
		return ret;

	/*
	 * The jobs run in order: what the first one waits for, all of them do. Injected ones
	 * share buffers with those of their client that they join; they never join others'.
	 */
	for (i = 0; i < submit->num_jobs; i++) {
		ret = fluidnpu_submit_add_implicit(submit, submit->jobs[i]);
		if (ret)
			return ret;
	}
	return 0;
}

static void fluidnpu_submit_attach_fence(struct fluidnpu_job *job)
{
	struct dma_fence *finished = &job->base.s_fence->finished;
	u32 i;

	for (i = 0; i < job->num_mappings; i++) {
		struct fluidnpu_mapping *mapping = job->mappings[i];
		struct drm_gem_object *obj = &mapping->bo->base.base;
		enum dma_resv_usage usage = DMA_RESV_USAGE_BOOKKEEP;

		if (fluidnpu_bo_is_shared(obj))
			usage = mapping->readonly ? DMA_RESV_USAGE_READ : DMA_RESV_USAGE_WRITE;
		dma_resv_add_fence(obj->resv, finished, usage);
	}
}

/* Before they are pushed: as soon as a job is, it can end. */
static void fluidnpu_submit_remember(struct fluidnpu_submit *submit)
{
	struct fluidnpu_device *fdev = submit->ctx->ffile->fdev;
	unsigned long flags;
	u32 i;

	spin_lock_irqsave(&fdev->hw_lock, flags);
	for (i = 0; i < submit->num_jobs; i++)
		fluidnpu_job_remember(submit->jobs[i]);
	spin_unlock_irqrestore(&fdev->hw_lock, flags);
}

/**
 * fluidnpu_submit_commit - hand the jobs to the scheduler
 * @submit: locked; only to be freed afterwards
 * @cb: to be added to the last job's finished fence, or NULL
 * @func: its function
 */
void fluidnpu_submit_commit(struct fluidnpu_submit *submit, struct dma_fence_cb *cb,
			    dma_fence_func_t func)
{
	struct fluidnpu_ctx *ctx = submit->ctx;
	struct dma_fence *last = NULL;
	u32 i;

	fluidnpu_sched_update_timeout(&ctx->queue->sched);

	mutex_lock(&ctx->lock);
	fluidnpu_submit_remember(submit);
	for (i = 0; i < submit->num_jobs; i++) {
		struct fluidnpu_job *job = submit->jobs[i];

		drm_sched_job_arm(&job->base);
		fluidnpu_submit_attach_fence(job);
		fluidnpu_perf_job_accepted(job, submit->inject);
		trace_fluidnpu_job_submit(job);

		if (i == submit->num_jobs - 1) {
			last = dma_fence_get(&job->base.s_fence->finished);
			/* Cannot fail: nobody can have signalled it yet. */
			if (cb)
				dma_fence_add_callback(last, cb, func);
			fluidnpu_submit_signal(submit, last);
		}

		atomic_inc(&ctx->queue->fdev->cq.load);
		/* The job may be freed at any time after this. */
		drm_sched_entity_push_job(&job->base);
	}
	mutex_unlock(&ctx->lock);

	submit->num_jobs = 0;
	dma_fence_put(last);
}

/**
 * fluidnpu_submit_prepare_one - prepare a single job
 * @file: client
 * @ctx_id: context
 * @args: job; the arrays that it points to are user memory
 * @inject: as INJECT does, not SUBMIT
 *
 * Return: what to pass to fluidnpu_submit_lock(), or an ERR_PTR.
 */
struct fluidnpu_submit *fluidnpu_submit_prepare_one(struct drm_file *file, u32 ctx_id,
						    const struct drm_fluidnpu_job *args,
						    bool inject)
{
	struct fluidnpu_submit *submit;
	int ret;

	submit = fluidnpu_submit_create(file, ctx_id, 1, inject);
	if (IS_ERR(submit))
		return submit;

	ret = fluidnpu_submit_add_job(submit, args);
	if (ret) {
		fluidnpu_submit_free(submit);
		return ERR_PTR(ret);
	}
	return submit;
}

/**
 * fluidnpu_submit_first_job - the job of fluidnpu_submit_prepare_one()
 * @submit: prepared; after fluidnpu_submit_commit() the job may be freed
 *
 * Return: the job.
 */
struct fluidnpu_job *fluidnpu_submit_first_job(struct fluidnpu_submit *submit)
{
	return submit->jobs[0];
}

static int fluidnpu_submit_prepare(struct fluidnpu_submit *submit,
				   const struct drm_fluidnpu_submit *args)
{
	u32 i;
	int ret;

	for (i = 0; i < args->jobs.count; i++) {
		struct drm_fluidnpu_job job;

		ret = fluidnpu_copy_element(&job, sizeof(job), &args->jobs, i);
		if (ret) {
			drm_dbg(fluidnpu_submit_drm(submit), "submit.jobs[%u] cannot be copied: %d\n",
				i, ret);
			return ret;
		}
		ret = fluidnpu_submit_add_job(submit, &job);
		if (ret)
			return ret;
	}
	return fluidnpu_submit_add_syncs(submit, &args->syncs);
}

static int fluidnpu_submit_jobs(struct drm_file *file, const struct drm_fluidnpu_submit *args,
				bool inject)
{
	struct fluidnpu_submit *submit;
	int ret;

	ret = fluidnpu_check_submit(file->minor->dev, args);
	if (ret)
		return ret;

	submit = fluidnpu_submit_create(file, args->ctx_id, args->jobs.count, inject);
	if (IS_ERR(submit))
		return PTR_ERR(submit);

	ret = fluidnpu_submit_prepare(submit, args);
	if (ret)
		goto out_free;
	ret = fluidnpu_submit_lock(submit, true);
	if (ret)
		goto out_free;
	fluidnpu_submit_commit(submit, NULL, NULL);

out_free:
	fluidnpu_submit_free(submit);
	return ret;
}

/**
 * fluidnpu_ioctl_submit - SUBMIT
 * @drm: device
 * @data: struct drm_fluidnpu_submit
 * @file: client
 *
 * Return: 0 or a negative errno.
 */
int fluidnpu_ioctl_submit(struct drm_device *drm, void *data, struct drm_file *file)
{
	return fluidnpu_submit_jobs(file, data, false);
}

/**
 * fluidnpu_ioctl_inject - INJECT
 * @drm: device
 * @data: struct drm_fluidnpu_submit
 * @file: client
 *
 * Return: 0 or a negative errno.
 */
int fluidnpu_ioctl_inject(struct drm_device *drm, void *data, struct drm_file *file)
{
	return fluidnpu_submit_jobs(file, data, true);
}
