// SPDX-License-Identifier: GPL-2.0
/*
 * FluidNPU accel driver: drm_sched back end and timeouts.
 *
 * One scheduler per hardware queue. Its credits keep the ring from filling up.
 * Priorities are the hardware's business: a context belongs to one queue, and
 * the device serves the highest one that has work, so low ones can starve.
 *
 * A timeout is time of the device in which a job could have been served and did not end:
 * since it is the oldest of its queue and no job of a queue above is left. That it
 * is the device's time keeps a busy host of an emulated device from making jobs guilty; for
 * a device whose clock stands still there is a limit in wall-clock time, too.
 * The core's timer only says when to look, several times per timeout.
 *
 * When time is up, the job's queue is stopped, which drops what the device holds of it
 * without racing with the job's completion as aborting it would, and started again with
 * the other jobs. If the queue does not stop, the whole device is reset.
 */
#include <linux/jiffies.h>
#include <linux/math64.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>

#include <drm/drm_drv.h>
#include <drm/drm_managed.h>
#include <drm/drm_print.h>

#include "fluidnpu_compat.h"
#include "fluidnpu_coredump.h"
#include "fluidnpu_ctx.h"
#include "fluidnpu_device.h"
#include "fluidnpu_fence.h"
#include "fluidnpu_job.h"

static unsigned int fluidnpu_job_timeout_ms = 10000;
module_param_named(job_timeout_ms, fluidnpu_job_timeout_ms, uint, 0644);
MODULE_PARM_DESC(job_timeout_ms,
		 "time that the device may serve a job, milliseconds; 0: forever (default 10000)");

/* Looks at the oldest job per timeout, and wall-clock time that counts as one. */
#define FLUIDNPU_LOOKS_PER_TIMEOUT	4
#define FLUIDNPU_WALL_CLOCK_TIMEOUTS	8

static const char * const fluidnpu_sched_names[FLUIDNPU_NUM_PRIORITIES] = {
	"fluidnpu-q0", "fluidnpu-q1", "fluidnpu-q2", "fluidnpu-q3",
};

static struct fluidnpu_queue *to_fluidnpu_queue(struct drm_gpu_scheduler *sched)
{
	return container_of(sched, struct fluidnpu_queue, sched);
}

static long fluidnpu_sched_timeout(void)
{
	unsigned int ms = READ_ONCE(fluidnpu_job_timeout_ms);

	return ms ? DIV_ROUND_UP(msecs_to_jiffies(ms), FLUIDNPU_LOOKS_PER_TIMEOUT) :
		    MAX_SCHEDULE_TIMEOUT;
}

/**
 * fluidnpu_sched_update_timeout - let a changed module parameter take effect
 * @sched: scheduler that is about to get a job
 */
void fluidnpu_sched_update_timeout(struct drm_gpu_scheduler *sched)
{
	WRITE_ONCE(sched->timeout, fluidnpu_sched_timeout());
}

static struct dma_fence *fluidnpu_sched_run_job(struct drm_sched_job *sched_job)
{
	static const struct fluidnpu_hw_cqe never = { 0 };
	struct fluidnpu_job *job = to_fluidnpu_job(sched_job);
	struct fluidnpu_queue *queue = job->ctx->queue;
	struct fluidnpu_device *fdev = queue->fdev;
	struct dma_fence *fence;
	int idx, error = -ENODEV;
	unsigned long flags;
	LIST_HEAD(done);
	bool here;

	here = drm_dev_enter(&fdev->drm, &idx);
	spin_lock_irqsave(&fdev->hw_lock, flags);
	if (here)
		error = fluidnpu_device_error(fdev);
	if (!error && READ_ONCE(job->ctx->banned))
		error = -EIO;

	if (!error && job->yield) {
		fluidnpu_job_hand_back(job, &never);
		fluidnpu_queue_pass(queue, job, 0, &done);
	} else {
		if (!error)
			error = fluidnpu_queue_push(queue, job);
		if (error)
			fluidnpu_queue_pass(queue, job, error, &done);
	}
	fence = dma_fence_get(&job->fence->base);

	spin_unlock_irqrestore(&fdev->hw_lock, flags);
	if (here)
		drm_dev_exit(idx);
	fluidnpu_signal_done(&done);
	return fence;
}

/* What to do about a job whose time is up. */
enum fluidnpu_verdict {
	FLUIDNPU_VERDICT_WAIT,		/* it has ended, or others keep it from running */
	FLUIDNPU_VERDICT_STOP,		/* the device runs it, or nothing at all */
	FLUIDNPU_VERDICT_RESET,		/* the device does not know the queue any more */
};

/* The oldest job of @queue could have ended: has it had its time? */
static bool fluidnpu_sched_time_is_up(struct fluidnpu_queue *queue)
{
	u64 now = fluidnpu_read64(queue->fdev, FLUIDNPU_REG_TIME_LO);
	unsigned int ms = READ_ONCE(fluidnpu_job_timeout_ms);

	if (!ms)
		return false;
	if (!queue->watched) {
		queue->watched = true;
		queue->watched_from = now;
		queue->watched_from_jiffies = jiffies;
		return false;
	}
	return now - queue->watched_from >= mul_u64_u32_div(ms, queue->fdev->clock_hz, 1000) ||
	       time_after_eq(jiffies, queue->watched_from_jiffies +
			     FLUIDNPU_WALL_CLOCK_TIMEOUTS * msecs_to_jiffies(ms));
}

/* @job is the oldest of @queue, as far as the scheduler knows. */
static enum fluidnpu_verdict fluidnpu_sched_judge(struct fluidnpu_queue *queue,
						  struct fluidnpu_job *job)
{
	struct fluidnpu_device *fdev = queue->fdev;
	u32 status, i;

	/* Whoever lets the device start again runs the job again. */
	if (fdev->off || job->slot == FLUIDNPU_NO_SLOT)
		return FLUIDNPU_VERDICT_WAIT;
	status = fluidnpu_queue_status(queue);
	/* All ones: the device does not answer. */
	if (status == ~0u || !(status & FLUIDNPU_QSTATUS_ENABLED))
		return FLUIDNPU_VERDICT_RESET;

	/*
	 * A job that has started stands still while a queue above is served. One
	 * that has not waits for any other, if only for the end of a layer. Those
	 * have timeouts of their own.
	 */
	for (i = status & FLUIDNPU_QSTATUS_RUNNING ? queue->index + 1 : 0;
	     i < fdev->num_queues; i++) {
		if (i != queue->index &&
		    fluidnpu_queue_status(&fdev->queues[i]) & FLUIDNPU_QSTATUS_RUNNING)
			return FLUIDNPU_VERDICT_WAIT;
	}
	return fluidnpu_sched_time_is_up(queue) ? FLUIDNPU_VERDICT_STOP : FLUIDNPU_VERDICT_WAIT;
}

static void fluidnpu_sched_recover(struct fluidnpu_queue *queue, struct fluidnpu_job *job)
{
	struct fluidnpu_device *fdev = queue->fdev;
	struct fluidnpu_job *guilty = NULL;
	enum fluidnpu_verdict verdict;
	unsigned long flags;
	LIST_HEAD(done);
	u32 halted;

	spin_lock_irqsave(&fdev->hw_lock, flags);

	/* Perhaps just an interrupt was lost, with which the queue would have gone on. */
	halted = fluidnpu_cq_drain(fdev, &done);
	fluidnpu_cq_ack(fdev, halted);

	verdict = halted & BIT(queue->index) ? FLUIDNPU_VERDICT_WAIT :
					       fluidnpu_sched_judge(queue, job);
	if (verdict == FLUIDNPU_VERDICT_STOP) {
		fluidnpu_coredump_take(fdev, "job timed out", job);
		if (fluidnpu_queue_stop(queue)) {
			halted = fluidnpu_cq_drain(fdev, &done);
			fluidnpu_cq_ack(fdev, halted & ~BIT(queue->index));
			fluidnpu_queue_restart(queue, job, false, &done);
		} else {
			verdict = FLUIDNPU_VERDICT_RESET;
			guilty = job;
		}
	}

	spin_unlock_irqrestore(&fdev->hw_lock, flags);
	fluidnpu_signal_done(&done);

	if (verdict == FLUIDNPU_VERDICT_STOP) {
		fluidnpu_device_report_reset(fdev);
	} else if (verdict == FLUIDNPU_VERDICT_RESET) {
		drm_warn(&fdev->drm, "queue %u is out of control: resetting the device\n",
			 queue->index);
		fluidnpu_device_reset(fdev, "queue out of control", guilty);
	}
}

static enum drm_gpu_sched_stat fluidnpu_sched_timedout_job(struct drm_sched_job *sched_job)
{
	enum drm_gpu_sched_stat stat = DRM_GPU_SCHED_STAT_ENODEV;
	struct fluidnpu_job *job = to_fluidnpu_job(sched_job);
	struct drm_gpu_scheduler *sched = sched_job->sched;
	struct fluidnpu_queue *queue = to_fluidnpu_queue(sched);
	int idx;

	if (drm_dev_enter(&queue->fdev->drm, &idx)) {
		stat = DRM_GPU_SCHED_STAT_RESET;
		fluidnpu_sched_recover(queue, job);
		drm_dev_exit(idx);
	}

	/*
	 * The core has taken the job off its list. Put it back, whatever has
	 * become of it, and kick the works: if its fence has been signalled in
	 * the meantime nobody else would free it. It may be gone after this.
	 */
	spin_lock(&sched->job_list_lock);
	list_add(&sched_job->list, &sched->pending_list);
	spin_unlock(&sched->job_list_lock);
	/* While the system sleeps they stay stopped; it kicks them when it wakes. */
	if (!READ_ONCE(queue->fdev->suspended))
		drm_sched_wqueue_start(sched);

	return stat;
}

static void fluidnpu_sched_free_job(struct drm_sched_job *sched_job)
{
	struct fluidnpu_job *job = to_fluidnpu_job(sched_job);
	struct fluidnpu_device *fdev = job->ctx->ffile->fdev;

	if (!job->fence->base.ops)
		fluidnpu_fence_pin_finished(job->fence, job->ctx->queue, sched_job->s_fence);
	fluidnpu_uring_forget_job(job);
	drm_sched_job_cleanup(sched_job);
	atomic_dec(&fdev->cq.load);
	if (llist_add(&job->free_node, &fdev->free_jobs))
		queue_work(fluidnpu_wq, &fdev->free_work);
}

/**
 * fluidnpu_sched_free_work - free what finished jobs hold
 * @work: &fluidnpu_device.free_work
 *
 * The last job may take the device with it.
 */
void fluidnpu_sched_free_work(struct work_struct *work)
{
	struct fluidnpu_device *fdev = container_of(work, struct fluidnpu_device, free_work);
	struct llist_node *list = llist_reverse_order(llist_del_all(&fdev->free_jobs));
	struct fluidnpu_job *job, *next;

	llist_for_each_entry_safe(job, next, list, free_node)
		fluidnpu_job_release(job);
}

static const struct drm_sched_backend_ops fluidnpu_sched_ops = {
	.run_job = fluidnpu_sched_run_job,
	.timedout_job = fluidnpu_sched_timedout_job,
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
		.timeout = fluidnpu_sched_timeout(),
		.timeout_wq = queue->fdev->tdr_wq,
		.name = fluidnpu_sched_names[queue->index],
		.dev = drm->dev,
	};
	int ret = drm_sched_init(&queue->sched, &args);

	if (ret)
		return ret;
	return drmm_add_action_or_reset(drm, fluidnpu_sched_fini, &queue->sched);
}
