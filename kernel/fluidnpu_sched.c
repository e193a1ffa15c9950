// SPDX-License-Identifier: GPL-2.0
/*
 * FluidNPU accel driver: drm_sched back end.
 *
 * A job that has nothing to wait for, whose context has no older one in the scheduler, goes
 * right into the ring of its queue if there is room: what submits it does so itself, and
 * neither a work nor a thread has to wake up. All others come here: those that wait for fences,
 * those behind them in their context, and those that find the ring full, among which the
 * scheduler chooses. What a context has here enters the ring before anything newer of it.
 *
 * There is one scheduler per hardware queue. Its credits keep those that it has chosen from
 * piling up in front of the ring. Priorities are the hardware's business: a context belongs to one
 * queue, and the device serves the highest one that has work, so low ones can starve.
 *
 * Entities are never killed: jobs of a client that has gone come to the ring like others, and end
 * there. A job that waits for a fence waits for it whatever becomes of its client.
 *
 * The scheduler's fences stay in here; everybody else gets those of fluidnpu_fence.c. Its
 * timers are not used, as they only know of its own jobs: see fluidnpu_timeout.c.
 */
#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_managed.h>

#include "fluidnpu_compat.h"
#include "fluidnpu_ctx.h"
#include "fluidnpu_device.h"
#include "fluidnpu_fence.h"
#include "fluidnpu_job.h"

/**
 * struct fluidnpu_sched_job - what the scheduler has of a job
 * @base: the scheduler's own
 * @job: the job; the scheduler has a reference to it once it is pushed
 */
struct fluidnpu_sched_job {
	struct drm_sched_job base;
	struct fluidnpu_job *job;
};

static struct fluidnpu_sched_job *to_fluidnpu_sched_job(struct drm_sched_job *base)
{
	return container_of(base, struct fluidnpu_sched_job, base);
}

static const char * const fluidnpu_sched_names[FLUIDNPU_NUM_PRIORITIES] = {
	"fluidnpu-q0", "fluidnpu-q1", "fluidnpu-q2", "fluidnpu-q3",
};

/**
 * fluidnpu_sched_prepare - let a job have fences to wait for, and a way through the scheduler
 * @job: not committed; calling this again does nothing
 * @file: client
 *
 * Return: 0 or a negative errno.
 */
int fluidnpu_sched_prepare(struct fluidnpu_job *job, struct drm_file *file)
{
	struct fluidnpu_sched_job *sched;
	int ret;

	if (job->sched)
		return 0;
	sched = kzalloc(sizeof(*sched), GFP_KERNEL_ACCOUNT);
	if (!sched)
		return -ENOMEM;
	ret = drm_sched_job_init(&sched->base, &job->ctx->entity, 1, job->ctx, file->client_id);
	if (ret) {
		kfree(sched);
		return ret;
	}
	sched->job = job;
	job->sched = sched;
	return 0;
}

/**
 * fluidnpu_sched_depend - let a job wait for a fence
 * @job: prepared
 * @fence: any fence
 *
 * Return: 0 or -ENOMEM.
 */
int fluidnpu_sched_depend(struct fluidnpu_job *job, struct dma_fence *fence)
{
	return drm_sched_job_add_dependency(&job->sched->base, dma_fence_get(fence));
}

/**
 * fluidnpu_sched_unprepare - undo fluidnpu_sched_prepare() of a job that is not committed
 * @job: perhaps prepared
 */
void fluidnpu_sched_unprepare(struct fluidnpu_job *job)
{
	if (!job->sched)
		return;
	drm_sched_job_cleanup(&job->sched->base);
	kfree(job->sched);
	job->sched = NULL;
}

/**
 * fluidnpu_sched_push - give a job to the scheduler
 * @job: prepared. With the context's lock.
 */
void fluidnpu_sched_push(struct fluidnpu_job *job)
{
	lockdep_assert_held(&job->ctx->lock);

	atomic_inc(&job->ctx->num_scheduled);
	drm_sched_job_arm(&job->sched->base);
	drm_sched_entity_push_job(&job->sched->base);
}

static struct dma_fence *fluidnpu_sched_run_job(struct drm_sched_job *sched_job)
{
	struct fluidnpu_job *job = to_fluidnpu_sched_job(sched_job)->job;
	struct fluidnpu_queue *queue = job->ctx->queue;
	struct fluidnpu_device *fdev = queue->fdev;
	struct dma_fence *fence;
	unsigned long flags;
	int idx;
	bool here;

	here = drm_dev_enter(&fdev->drm, &idx);
	spin_lock_irqsave(&fdev->hw_lock, flags);
	fence = dma_fence_get(&job->fence->base);
	if (here)
		fluidnpu_queue_add(queue, job);
	else
		fluidnpu_queue_pass(queue, job, -ENODEV);
	/* Before hw_lock is dropped: whoever sees it comes behind this job. */
	atomic_dec(&job->ctx->num_scheduled);
	if (here)
		fluidnpu_queue_advance(queue);
	fluidnpu_hw_unlock(fdev, flags);
	if (here)
		drm_dev_exit(idx);
	return fence;
}

static void fluidnpu_sched_free_job(struct drm_sched_job *sched_job)
{
	struct fluidnpu_sched_job *sched = to_fluidnpu_sched_job(sched_job);
	struct fluidnpu_job *job = sched->job;

	drm_sched_job_cleanup(sched_job);
	kfree(sched);
	fluidnpu_job_put_later(job);
}

static const struct drm_sched_backend_ops fluidnpu_sched_ops = {
	.run_job = fluidnpu_sched_run_job,
	.free_job = fluidnpu_sched_free_job,
};

/* The scheduler stays until the last file, context and fence have gone. */
static void fluidnpu_sched_fini(struct drm_device *drm, void *sched)
{
	drm_sched_fini(sched);
}

/**
 * fluidnpu_sched_init - start the scheduler of a queue
 * @queue: @queue->fdev and @queue->index are set
 *
 * Return: 0 or a negative errno.
 */
int fluidnpu_sched_init(struct fluidnpu_queue *queue)
{
	struct drm_device *drm = &queue->fdev->drm;
	const struct drm_sched_init_args args = {
		.ops = &fluidnpu_sched_ops,
		.num_rqs = DRM_SCHED_PRIORITY_COUNT,
		.credit_limit = FLUIDNPU_RING_JOBS,
		.timeout = MAX_SCHEDULE_TIMEOUT,
		.name = fluidnpu_sched_names[queue->index],
		.dev = drm->dev,
	};
	int ret = drm_sched_init(&queue->sched, &args);

	if (ret)
		return ret;
	return drmm_add_action_or_reset(drm, fluidnpu_sched_fini, &queue->sched);
}
