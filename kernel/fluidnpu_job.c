// SPDX-License-Identifier: GPL-2.0
/*
 * FluidNPU accel driver: what becomes of a job, and YIELD.
 *
 * A job's samples leave one by one, each with an event; then the job ends, with its
 * last event. After a reset of the device a job runs again, with the samples that
 * have not left: so everything is told once.
 *
 * YIELD asks for the samples back. If the device has the job, it is asked; if the job
 * still waits in the scheduler, it ends when its turn comes.
 */
#include <linux/rbtree.h>
#include <linux/slab.h>

#include <drm/drm_device.h>
#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_print.h>

#include "fluidnpu_ctx.h"
#include "fluidnpu_device.h"
#include "fluidnpu_fence.h"
#include "fluidnpu_gem.h"
#include "fluidnpu_job.h"
#include "fluidnpu_limit.h"
#include "fluidnpu_pm.h"
#include "fluidnpu_trace.h"
#include "fluidnpu_validate.h"

static_assert(FLUIDNPU_MAX_BATCH <= 32);
static_assert(FLUIDNPU_MAX_EXITS <= 8);

static void fluidnpu_job_post(struct fluidnpu_job *job, const struct fluidnpu_hw_cqe *cqe)
{
	struct drm_fluidnpu_event event = {
		.user_data = job->samples[cqe->sample].args.user_data,
		.time = cqe->time,
		.queued = cqe->queued,
		.started = cqe->started,
		.type = cqe->type,
		.layer = cqe->layer,
	};

	if (cqe->type != FLUIDNPU_CQE_HEAD)
		fluidnpu_perf_sample(job, cqe);
	trace_fluidnpu_job_sample(job, cqe);
	if (cqe->type != FLUIDNPU_CQE_YIELD) {
		event.exit_index = cqe->exit_index;
		event.class_index = cqe->class_index;
		event.live_batch = cqe->live_batch;
		event.confidence = cqe->confidence;
		event.entropy = cqe->entropy;
		event.margin = cqe->margin;
	}
	job->events_left--;
	fluidnpu_event_post(&job->ctx->events, &event, 1);
}

/**
 * fluidnpu_job_sample - handle a completion of a sample
 * @job: that the device runs
 * @cqe: any but JOB; @cqe->sample is made to count the samples of the job
 *
 * Return: whether it was of a known type.
 */
bool fluidnpu_job_sample(struct fluidnpu_job *job, struct fluidnpu_hw_cqe *cqe)
{
	if (cqe->type != FLUIDNPU_CQE_EXIT && cqe->type != FLUIDNPU_CQE_HEAD &&
	    cqe->type != FLUIDNPU_CQE_YIELD)
		return false;
	if (cqe->sample >= job->num_running || cqe->exit_index >= FLUIDNPU_MAX_EXITS)
		return true;
	cqe->sample = job->samples[cqe->sample].running;
	/* The last entry of the event ring is JOB's. */
	if (job->left & BIT(cqe->sample) || job->events_left <= 1)
		return true;

	if (cqe->type == FLUIDNPU_CQE_HEAD) {
		/* Not asked for, and no room is reserved for it. */
		if (!(job->flags & DRM_FLUIDNPU_JOB_NO_EXIT))
			return true;
		/* After a replay the device tells of some heads again. */
		if (job->samples[cqe->sample].reported & BIT(cqe->exit_index))
			return true;
		job->samples[cqe->sample].reported |= BIT(cqe->exit_index);
	} else {
		job->left |= BIT(cqe->sample);
	}
	fluidnpu_job_post(job, cqe);
	return true;
}

/**
 * fluidnpu_job_hand_back - all samples that have not left do, where they started
 * @job: that the device has not begun with, or begins with again; ends next
 * @cqe: the time of it
 */
void fluidnpu_job_hand_back(struct fluidnpu_job *job, const struct fluidnpu_hw_cqe *cqe)
{
	struct fluidnpu_hw_cqe yield = {
		.type = FLUIDNPU_CQE_YIELD,
		.time = cqe->time,
	};
	u32 i;

	for (i = 0; i < job->num_samples; i++) {
		if (job->left & BIT(i))
			continue;
		job->left |= BIT(i);
		yield.sample = i;
		yield.layer = job->samples[i].args.start_layer;
		fluidnpu_job_post(job, &yield);
	}
}

static bool fluidnpu_job_less(struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct fluidnpu_job, ctx_node)->user_data <
	       rb_entry(b, struct fluidnpu_job, ctx_node)->user_data;
}

/**
 * fluidnpu_job_remember - let YIELD find a job
 * @job: being committed, in the order of its context
 */
void fluidnpu_job_remember(struct fluidnpu_job *job)
{
	struct fluidnpu_device *fdev = job->ctx->ffile->fdev;

	lockdep_assert_held(&fdev->hw_lock);

	fdev->cq.load++;
	/* Equal ones stay in the order in which they came. */
	rb_add(&job->ctx_node, &job->ctx->jobs, fluidnpu_job_less);
}

/* YIELD shall not find @job any more. */
static void fluidnpu_job_forget(struct fluidnpu_job *job)
{
	job->ctx->ffile->fdev->cq.load--;
	rb_erase(&job->ctx_node, &job->ctx->jobs);
}

/**
 * fluidnpu_job_end - note how a job ended and tell user space
 * @job: in no slot any more, or never been in one, on fluidnpu_queue.jobs
 * @error: 0 or a negative errno
 * @cqe: the device's completion or NULL
 *
 * Does not signal the fence.
 */
void fluidnpu_job_end(struct fluidnpu_job *job, int error, const struct fluidnpu_hw_cqe *cqe)
{
	struct fluidnpu_ctx *ctx = job->ctx;
	struct drm_fluidnpu_event event = {
		.user_data = job->user_data,
		.error = error,
		.type = DRM_FLUIDNPU_EVENT_JOB,
	};

	lockdep_assert_held(&ctx->ffile->fdev->hw_lock);

	fluidnpu_job_forget(job);
	job->ended = true;
	ctx->queue->num_ended++;
	job->error = error;
	fluidnpu_perf_job_end(job, error, cqe);
	trace_fluidnpu_job_end(job, error, cqe);

	if (cqe) {
		event.time = cqe->time;
		event.queued = cqe->queued;
		event.started = cqe->started;
		event.live_batch = cqe->live_batch;
		event.layer = cqe->layer;
		job->fence->end_time = cqe->time;
	}
	if (error)
		dma_fence_set_error(&job->fence->base, error);

	fluidnpu_event_post(&ctx->events, &event, job->events_left);
	job->events_left = 0;
}

static int fluidnpu_job_cmp(const void *key, const struct rb_node *node)
{
	u64 user_data = rb_entry(node, struct fluidnpu_job, ctx_node)->user_data;

	return *(const u64 *)key < user_data ? -1 : *(const u64 *)key > user_data;
}

static int fluidnpu_ctx_yield(struct fluidnpu_ctx *ctx, u64 user_data)
{
	struct fluidnpu_job *job;
	struct rb_node *node;

	node = rb_find_first(&user_data, &ctx->jobs, fluidnpu_job_cmp);
	if (!node)
		return -ENOENT;

	job = rb_entry(node, struct fluidnpu_job, ctx_node);
	if (!job->yield && job->slot != FLUIDNPU_NO_SLOT)
		fluidnpu_queue_push_yield(ctx->queue, job);
	job->yield = true;
	return 0;
}

static void fluidnpu_job_release(struct fluidnpu_job *job)
{
	struct fluidnpu_ctx *ctx = job->ctx;

	if (job->events_left)
		fluidnpu_event_unreserve(&ctx->events, job->events_left);
	while (job->num_mappings)
		fluidnpu_mapping_put(job->mappings[--job->num_mappings]);
	fluidnpu_fence_put(job->fence);
	if (job->awake)
		fluidnpu_pm_put(ctx->ffile->fdev);
	fluidnpu_limit_uncharge(ctx->ffile, job->bytes);
	kfree(job);
	fluidnpu_ctx_put(ctx);
}

/**
 * fluidnpu_job_put - drop a reference
 * @job: may be freed, and its buffers with it: in process context, without locks
 */
void fluidnpu_job_put(struct fluidnpu_job *job)
{
	if (refcount_dec_and_test(&job->ref))
		fluidnpu_job_release(job);
}

/**
 * fluidnpu_job_put_later - drop a reference, in any context
 * @job: a work frees it if that was the last one
 */
void fluidnpu_job_put_later(struct fluidnpu_job *job)
{
	struct fluidnpu_device *fdev = job->ctx->ffile->fdev;

	if (!refcount_dec_and_test(&job->ref))
		return;
	if (llist_add(&job->free_node, &fdev->free_jobs))
		queue_work(fluidnpu_wq, &fdev->free_work);
}

/**
 * fluidnpu_job_release_work - release the jobs that have ended
 * @work: &fluidnpu_device.free_work
 *
 * The last job may take the device with it.
 */
void fluidnpu_job_release_work(struct work_struct *work)
{
	struct fluidnpu_device *fdev = container_of(work, struct fluidnpu_device, free_work);
	struct llist_node *list = llist_reverse_order(llist_del_all(&fdev->free_jobs));
	struct fluidnpu_job *job, *next;

	llist_for_each_entry_safe(job, next, list, free_node)
		fluidnpu_job_release(job);
}

/**
 * fluidnpu_yield - ask for the samples of a job back
 * @file: client
 * @args: from user space
 *
 * Return: 0, -EINVAL, -ENOENT, -EIO or -ENODEV.
 */
int fluidnpu_yield(struct drm_file *file, const struct drm_fluidnpu_yield *args)
{
	struct fluidnpu_device *fdev = to_fluidnpu_device(file->minor->dev);
	struct fluidnpu_ctx *ctx;
	unsigned long flags;
	int ret, idx;

	ret = fluidnpu_check_yield(&fdev->drm, args);
	if (ret)
		return ret;
	ctx = fluidnpu_ctx_lookup_alive(file, args->ctx_id);
	if (IS_ERR(ctx))
		return PTR_ERR(ctx);

	ret = -ENODEV;
	if (drm_dev_enter(&fdev->drm, &idx)) {
		spin_lock_irqsave(&fdev->hw_lock, flags);
		ret = fluidnpu_ctx_yield(ctx, args->user_data);
		spin_unlock_irqrestore(&fdev->hw_lock, flags);
		drm_dev_exit(idx);
	}
	if (ret == -ENOENT)
		drm_dbg(&fdev->drm, "yield: no job of user_data %#llx\n", args->user_data);
	fluidnpu_ctx_put(ctx);
	return ret;
}

/**
 * fluidnpu_ioctl_yield - YIELD
 * @drm: device
 * @data: struct drm_fluidnpu_yield
 * @file: client
 *
 * Return: 0 or a negative errno.
 */
int fluidnpu_ioctl_yield(struct drm_device *drm, void *data, struct drm_file *file)
{
	return fluidnpu_yield(file, data);
}
