// SPDX-License-Identifier: GPL-2.0
/*
 * FluidNPU accel driver: submission.
 *
 * Three steps, for the ioctl and for io_uring alike. Preparing checks and
 * copies everything, looks everything up, allocates everything and reserves
 * the room for events. Locking takes the reservation locks of all buffers and that of
 * the context, collects the fences to wait for, and decides which way the jobs take: into
 * the ring or to the scheduler, see fluidnpu_sched.c. Committing sends them there
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
#include "fluidnpu_limit.h"
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
		struct drm_fluidnpu_sample *sample = &job->samples[i].args;

		ret = fluidnpu_copy_element(sample, sizeof(*sample), array, i);
		if (ret) {
			drm_dbg(drm, "job.samples[%u] cannot be copied: %d\n", i, ret);
			return ret;
		}
		ret = fluidnpu_check_sample(drm, sample, i, job->samples[0].args.start_layer);
		if (ret)
			return ret;
	}
	return 0;
}

/* Copied in few pieces, if nothing is between them. */
static int fluidnpu_copy_handles(u32 *handles, const struct drm_fluidnpu_array *array, u32 first,
				 u32 count)
{
	u32 i;
	int ret = 0;

	if (array->stride == sizeof(*handles)) {
		const u32 __user *from = u64_to_user_ptr(array->array);

		return copy_from_user(handles, from + first, count * sizeof(*handles)) ?
		       -EFAULT : 0;
	}
	for (i = 0; i < count && !ret; i++)
		ret = fluidnpu_copy_element(&handles[i], sizeof(*handles), array, first + i);
	return ret;
}

static int fluidnpu_lookup_bos(struct drm_file *file, struct fluidnpu_job *job,
			       const struct drm_fluidnpu_array *array)
{
	struct drm_device *drm = file->minor->dev;
	u32 handles[8];
	int ret;

	while (job->num_mappings < array->count) {
		u32 i = job->num_mappings;
		u32 handle = i % ARRAY_SIZE(handles);

		if (!handle) {
			ret = fluidnpu_copy_handles(handles, array, i,
						    min(array->count - i, ARRAY_SIZE(handles)));
			if (ret) {
				drm_dbg(drm, "job.bos from %u on cannot be copied: %d\n", i, ret);
				return ret;
			}
		}
		job->mappings[i] = fluidnpu_mapping_lookup(file, handles[handle]);
		if (!job->mappings[i]) {
			drm_dbg(drm, "job.bos[%u]: no handle %u\n", i, handles[handle]);
			return -ENOENT;
		}
		job->num_mappings++;
	}
	return 0;
}

/* Charged, with room behind the samples for the mappings. NULL: the client may not have more. */
static struct fluidnpu_job *fluidnpu_job_alloc(struct fluidnpu_ctx *ctx, u32 num_samples,
					       u32 num_bos)
{
	struct fluidnpu_job *job;
	size_t mappings, bytes, charge;

	mappings = struct_size(job, samples, num_samples);
	bytes = mappings + num_bos * sizeof(*job->mappings);
	/* What the scheduler wants, too, though few jobs come there. */
	charge = bytes + sizeof(struct fluidnpu_fence) + sizeof(struct drm_sched_job);
	if (fluidnpu_limit_charge(ctx->ffile, charge))
		return NULL;

	job = kzalloc(bytes, GFP_KERNEL_ACCOUNT);
	if (!job) {
		fluidnpu_limit_uncharge(ctx->ffile, charge);
		return NULL;
	}
	refcount_set(&job->ref, 1);
	job->bytes = charge;
	job->mappings = (void *)job + mappings;
	job->num_samples = num_samples;
	job->slot = FLUIDNPU_NO_SLOT;
	job->ctx = fluidnpu_ctx_get(ctx);
	return job;
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

	job = fluidnpu_job_alloc(submit->ctx, args->samples.count, args->bos.count);
	if (!job)
		return -ENOMEM;
	job->program_iova = args->program_iova;
	job->program_bytes = args->program_bytes;
	job->stop_layer = args->stop_layer;
	job->flags = args->flags;
	job->opcode = opcode;
	job->user_data = args->user_data;

	ret = fluidnpu_copy_samples(drm, job, &args->samples);
	if (ret)
		goto err_put;
	ret = fluidnpu_lookup_bos(submit->file, job, &args->bos);
	if (ret)
		goto err_put;

	job->fence = fluidnpu_fence_alloc();
	if (!job->fence) {
		ret = -ENOMEM;
		goto err_put;
	}

	ret = fluidnpu_pm_get(job->ctx->ffile->fdev);
	if (ret)
		goto err_put;
	job->awake = true;

	/* An event per sample that leaves, or per head that it passes, and one at the end. */
	events = job->num_samples;
	if (job->flags & DRM_FLUIDNPU_JOB_NO_EXIT)
		events *= FLUIDNPU_MAX_EXITS;
	events++;
	ret = fluidnpu_event_reserve(&job->ctx->events, events);
	if (ret) {
		drm_dbg(drm, "event ring has no room for %u events\n", events);
		goto err_put;
	}
	job->events_left = events;

	submit->jobs[submit->num_jobs++] = job;
	return 0;

err_put:
	fluidnpu_job_put(job);
	return ret;
}

static int fluidnpu_submit_init(struct fluidnpu_submit *submit, struct drm_file *file, u32 ctx_id,
				u32 max_jobs, bool inject)
{
	memset(submit, 0, sizeof(*submit));
	submit->file = file;
	submit->inject = inject;
	submit->jobs = &submit->only;
	submit->ctx = fluidnpu_ctx_lookup_alive(file, ctx_id);
	if (IS_ERR(submit->ctx))
		return PTR_ERR(submit->ctx);

	if (max_jobs > 1)
		submit->jobs = kcalloc(max_jobs, sizeof(*submit->jobs), GFP_KERNEL);
	if (submit->jobs)
		return 0;
	fluidnpu_ctx_put(submit->ctx);
	return -ENOMEM;
}

static void fluidnpu_submit_unlock_bos(struct fluidnpu_submit *submit)
{
	if (submit->obj)
		dma_resv_unlock(submit->obj->resv);
	if (submit->num_execs)
		drm_exec_fini(&submit->exec);
}

/**
 * fluidnpu_submit_fini - undo what has not been committed and free the rest
 * @submit: initialised; perhaps prepared, locked or committed
 */
void fluidnpu_submit_fini(struct fluidnpu_submit *submit)
{
	u32 i;

	if (submit->locked)
		mutex_unlock(&submit->ctx->lock);
	fluidnpu_submit_unlock_bos(submit);

	for (i = 0; i < submit->num_jobs; i++) {
		if (!submit->committed)
			fluidnpu_sched_unprepare(submit->jobs[i]);
		/* It has kept the buffers that were locked, even if it has ended by now. */
		fluidnpu_job_put(submit->jobs[i]);
	}
	fluidnpu_submit_put_syncs(submit);
	fluidnpu_ctx_put(submit->ctx);
	if (submit->jobs != &submit->only)
		kfree(submit->jobs);
}

/**
 * fluidnpu_submit_depend - let the jobs wait for a fence
 * @submit: prepared
 * @fence: any fence
 *
 * The jobs run in order: the first one waits for all of them.
 *
 * Return: 0 or -ENOMEM.
 */
int fluidnpu_submit_depend(struct fluidnpu_submit *submit, struct dma_fence *fence)
{
	struct fluidnpu_job *job = submit->jobs[0];
	int ret;

	if (dma_fence_is_signaled(fence))
		return 0;
	if (!submit->inject && fluidnpu_fence_is_ordered(fence, submit->ctx))
		return 0;
	ret = fluidnpu_sched_prepare(job, submit->file);
	if (ret)
		return ret;
	return fluidnpu_sched_depend(job, fence);
}

static bool fluidnpu_bo_is_shared(struct drm_gem_object *obj)
{
	return obj->import_attach || READ_ONCE(obj->dma_buf);
}

static struct drm_gem_object *fluidnpu_job_obj(struct fluidnpu_job *job, u32 i)
{
	return &job->mappings[i]->bo->base.base;
}

/* With room for a fence: all of a context take the same place. */
static int fluidnpu_submit_lock_one(struct fluidnpu_submit *submit, struct drm_gem_object *obj,
				    bool interruptible)
{
	int ret;

	if (interruptible)
		ret = dma_resv_lock_interruptible(obj->resv, NULL);
	else
		ret = dma_resv_lock(obj->resv, NULL);
	if (ret)
		return ret;
	submit->obj = obj;
	return dma_resv_reserve_fences(obj->resv, 1);
}

static int fluidnpu_submit_lock_all(struct fluidnpu_submit *submit)
{
	u32 i, k;
	int ret;

	drm_exec_until_all_locked(&submit->exec) {
		for (i = 0; i < submit->num_jobs; i++) {
			struct fluidnpu_job *job = submit->jobs[i];

			for (k = 0; k < job->num_mappings; k++) {
				ret = drm_exec_prepare_obj(&submit->exec, fluidnpu_job_obj(job, k),
							   1);
				drm_exec_retry_on_contention(&submit->exec);
				if (ret)
					return ret;
			}
		}
	}
	return 0;
}

static int fluidnpu_submit_lock_bos(struct fluidnpu_submit *submit, bool interruptible)
{
	u32 i, num_bos = 0;

	for (i = 0; i < submit->num_jobs; i++)
		num_bos += submit->jobs[i]->num_mappings;
	if (!num_bos)
		return 0;
	if (num_bos == 1 && submit->num_jobs == 1)
		return fluidnpu_submit_lock_one(submit, fluidnpu_job_obj(submit->jobs[0], 0),
						interruptible);

	drm_exec_init(&submit->exec, DRM_EXEC_IGNORE_DUPLICATES |
		      (interruptible ? DRM_EXEC_INTERRUPTIBLE_WAIT : 0), num_bos);
	submit->num_execs = num_bos;
	return fluidnpu_submit_lock_all(submit);
}

/*
 * An injected job does not wait for the buffers of its own context: those whose jobs it is to
 * join.
 */
static int fluidnpu_submit_add_implicit(struct fluidnpu_submit *submit, struct fluidnpu_job *job)
{
	struct dma_resv_iter cursor;
	struct dma_fence *fence;
	u32 i;
	int ret;

	for (i = 0; i < job->num_mappings; i++) {
		struct drm_gem_object *obj = fluidnpu_job_obj(job, i);

		if (!fluidnpu_bo_is_shared(obj))
			continue;
		dma_resv_for_each_fence(&cursor, obj->resv,
					dma_resv_usage_rw(!job->mappings[i]->readonly), fence) {
			if (fence->context == submit->ctx->fence_context)
				continue;
			ret = fluidnpu_submit_depend(submit, fence);
			if (ret)
				return ret;
		}
	}
	return 0;
}

/* Do the jobs have to go through the scheduler? With the context's lock. */
static bool fluidnpu_submit_is_scheduled(struct fluidnpu_submit *submit)
{
	struct fluidnpu_ctx *ctx = submit->ctx;

	return submit->jobs[0]->sched || atomic_read(&ctx->num_scheduled) ||
	       !fluidnpu_queue_has_room(ctx->queue, submit->num_jobs);
}

static int fluidnpu_submit_choose_way(struct fluidnpu_submit *submit)
{
	u32 i;
	int ret = 0;

	if (!fluidnpu_submit_is_scheduled(submit))
		return 0;
	for (i = 0; i < submit->num_jobs && !ret; i++)
		ret = fluidnpu_sched_prepare(submit->jobs[i], submit->file);
	return ret;
}

/**
 * fluidnpu_submit_lock - get ready for fluidnpu_submit_commit()
 * @submit: prepared
 * @interruptible: a signal may interrupt the wait for the locks
 *
 * Return: 0, -EINTR or -ENOMEM.
 */
int fluidnpu_submit_lock(struct fluidnpu_submit *submit, bool interruptible)
{
	u32 i;
	int ret;

	ret = fluidnpu_submit_lock_bos(submit, interruptible);
	for (i = 0; i < submit->num_jobs && !ret; i++)
		ret = fluidnpu_submit_add_implicit(submit, submit->jobs[i]);
	if (ret)
		return ret;

	mutex_lock(&submit->ctx->lock);
	submit->locked = true;
	return fluidnpu_submit_choose_way(submit);
}

static void fluidnpu_submit_attach_fence(struct fluidnpu_job *job)
{
	u32 i;

	for (i = 0; i < job->num_mappings; i++) {
		/* For others, too, that the buffer may be shared with before the job has ended. */
		dma_resv_add_fence(fluidnpu_job_obj(job, i)->resv, &job->fence->base,
				   job->mappings[i]->readonly ? DMA_RESV_USAGE_READ :
								DMA_RESV_USAGE_WRITE);
	}
}

/* As soon as the jobs are in the ring they can end, but not before hw_lock is dropped. */
static void fluidnpu_submit_to_ring(struct fluidnpu_submit *submit)
{
	struct fluidnpu_queue *queue = submit->ctx->queue;
	struct fluidnpu_device *fdev = queue->fdev;
	unsigned long flags;
	u32 i;
	int idx;
	bool here;

	here = drm_dev_enter(&fdev->drm, &idx);
	spin_lock_irqsave(&fdev->hw_lock, flags);
	for (i = 0; i < submit->num_jobs; i++) {
		struct fluidnpu_job *job = submit->jobs[i];

		fluidnpu_job_remember(job);
		if (here)
			fluidnpu_queue_add(queue, job);
		else
			fluidnpu_queue_pass(queue, job, -ENODEV);
	}
	if (here)
		fluidnpu_queue_advance(queue);
	fluidnpu_hw_unlock(fdev, flags);
	if (here)
		drm_dev_exit(idx);
}

static void fluidnpu_submit_to_scheduler(struct fluidnpu_submit *submit)
{
	struct fluidnpu_device *fdev = submit->ctx->queue->fdev;
	unsigned long flags;
	u32 i;

	spin_lock_irqsave(&fdev->hw_lock, flags);
	for (i = 0; i < submit->num_jobs; i++)
		fluidnpu_job_remember(submit->jobs[i]);
	spin_unlock_irqrestore(&fdev->hw_lock, flags);

	for (i = 0; i < submit->num_jobs; i++)
		fluidnpu_sched_push(submit->jobs[i]);
}

/**
 * fluidnpu_submit_commit - send the jobs on their way
 * @submit: locked; only to be finished afterwards
 */
void fluidnpu_submit_commit(struct fluidnpu_submit *submit)
{
	u32 i;

	for (i = 0; i < submit->num_jobs; i++) {
		struct fluidnpu_job *job = submit->jobs[i];

		refcount_inc(&job->ref);
		fluidnpu_fence_init(job->fence, submit->ctx);
		fluidnpu_submit_attach_fence(job);
		fluidnpu_perf_job_accepted(job, submit->inject);
		trace_fluidnpu_job_submit(job);
	}
	fluidnpu_submit_signal(submit, &submit->jobs[submit->num_jobs - 1]->fence->base);

	submit->committed = true;
	if (submit->jobs[0]->sched)
		fluidnpu_submit_to_scheduler(submit);
	else
		fluidnpu_submit_to_ring(submit);
}

/**
 * fluidnpu_submit_prepare_one - prepare a single job
 * @submit: to be initialised
 * @file: client
 * @ctx_id: context
 * @args: job; the arrays that it points to are user memory
 * @inject: as INJECT does, not SUBMIT
 *
 * Return: 0, and @submit is for fluidnpu_submit_lock() and fluidnpu_submit_fini(); or a
 * negative errno.
 */
int fluidnpu_submit_prepare_one(struct fluidnpu_submit *submit, struct drm_file *file, u32 ctx_id,
				const struct drm_fluidnpu_job *args, bool inject)
{
	int ret;

	ret = fluidnpu_submit_init(submit, file, ctx_id, 1, inject);
	if (ret)
		return ret;

	ret = fluidnpu_submit_add_job(submit, args);
	if (ret)
		fluidnpu_submit_fini(submit);
	return ret;
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
	struct fluidnpu_submit submit;
	int ret;

	ret = fluidnpu_check_submit(file->minor->dev, args);
	if (ret)
		return ret;
	ret = fluidnpu_submit_init(&submit, file, args->ctx_id, args->jobs.count, inject);
	if (ret)
		return ret;

	ret = fluidnpu_submit_prepare(&submit, args);
	if (!ret)
		ret = fluidnpu_submit_lock(&submit, true);
	if (!ret)
		fluidnpu_submit_commit(&submit);
	fluidnpu_submit_fini(&submit);
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
