// SPDX-License-Identifier: GPL-2.0
/*
 * FluidNPU accel driver: jobs that hang.
 *
 * A timeout is time of the device in which a job could have been served and did not end:
 * since it is the oldest of its queue and no job of a queue above is left. That it
 * is the device's time keeps a busy host of an emulated device from making jobs guilty; for
 * a device whose clock stands still there is a limit in wall-clock time, too.
 *
 * When time is up, the job's queue is stopped, which drops what the device holds of it
 * without racing with the job's completion as aborting it would, and started again with
 * the other jobs. If the queue does not stop, the whole device is reset.
 */
#include <linux/jiffies.h>
#include <linux/math64.h>
#include <linux/moduleparam.h>

#include <drm/drm_print.h>

#include "fluidnpu_coredump.h"
#include "fluidnpu_device.h"
#include "fluidnpu_job.h"

static unsigned int fluidnpu_job_timeout_ms = 10000;
module_param_named(job_timeout_ms, fluidnpu_job_timeout_ms, uint, 0644);
MODULE_PARM_DESC(job_timeout_ms,
		 "time that the device may serve a job, milliseconds; 0: forever (default 10000)");

/* Timeouts of wall-clock time that count as one of the device's time. */
#define FLUIDNPU_WALL_CLOCK_TIMEOUTS	8

/* What to do about the oldest job of a queue. */
enum fluidnpu_verdict {
	FLUIDNPU_VERDICT_WAIT,		/* it has time left, or others keep it from running */
	FLUIDNPU_VERDICT_STOP,		/* the device runs it, or nothing at all */
	FLUIDNPU_VERDICT_RESET,		/* the device does not know the queue any more */
};

/* The oldest job of @queue could have ended: has it had its time? */
static bool fluidnpu_timeout_is_up(struct fluidnpu_queue *queue)
{
	u64 now = fluidnpu_read64(queue->fdev, FLUIDNPU_REG_TIME_LO);
	unsigned int ms = READ_ONCE(fluidnpu_job_timeout_ms);

	if (!ms)
		return false;
	ms = min_t(unsigned int, ms, INT_MAX / FLUIDNPU_WALL_CLOCK_TIMEOUTS);
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

static enum fluidnpu_verdict fluidnpu_timeout_judge(struct fluidnpu_queue *queue)
{
	struct fluidnpu_device *fdev = queue->fdev;
	u32 status, i;

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
	return fluidnpu_timeout_is_up(queue) ? FLUIDNPU_VERDICT_STOP : FLUIDNPU_VERDICT_WAIT;
}

static struct fluidnpu_job *fluidnpu_timeout_oldest(struct fluidnpu_queue *queue)
{
	struct fluidnpu_job *job;

	list_for_each_entry(job, &queue->jobs, node) {
		if (job->slot != FLUIDNPU_NO_SLOT)
			return job;
	}
	return NULL;
}

static void fluidnpu_timeout_check_queue(struct fluidnpu_queue *queue)
{
	enum fluidnpu_verdict verdict = FLUIDNPU_VERDICT_WAIT;
	struct fluidnpu_device *fdev = queue->fdev;
	struct fluidnpu_job *job = NULL;
	unsigned long flags;
	u32 halted;

	spin_lock_irqsave(&fdev->hw_lock, flags);

	/* Perhaps just an interrupt was lost, with which the queue would have gone on. */
	halted = fluidnpu_cq_drain(fdev);
	fluidnpu_cq_ack(fdev, halted);

	/* Whoever lets a device that is off start again runs the job again. */
	if (!fdev->off && !(halted & BIT(queue->index)))
		job = fluidnpu_timeout_oldest(queue);
	if (job)
		verdict = fluidnpu_timeout_judge(queue);
	if (verdict == FLUIDNPU_VERDICT_STOP) {
		fluidnpu_coredump_take(fdev, "job timed out", job);
		if (fluidnpu_queue_stop(queue)) {
			halted = fluidnpu_cq_drain(fdev);
			fluidnpu_cq_ack(fdev, halted & ~BIT(queue->index));
			fluidnpu_queue_restart(queue, job, false);
		} else {
			verdict = FLUIDNPU_VERDICT_RESET;
			/* It may end before the reset. */
			refcount_inc(&job->ref);
		}
	} else {
		/* It is not the job's fault that the device has forgotten the queue. */
		job = NULL;
	}

	fluidnpu_hw_unlock(fdev, flags);

	if (verdict == FLUIDNPU_VERDICT_STOP) {
		fluidnpu_device_report_reset(fdev);
	} else if (verdict == FLUIDNPU_VERDICT_RESET) {
		drm_warn(&fdev->drm, "queue %u is out of control: resetting the device\n",
			 queue->index);
		fluidnpu_device_reset(fdev, "queue out of control", job);
		if (job)
			fluidnpu_job_put(job);
	}
}

/**
 * fluidnpu_timeout_check - end jobs that have had their time
 * @fdev: the device, between drm_dev_enter() and drm_dev_exit()
 *
 * Comes several times per timeout, in process context, as long as jobs are in flight.
 */
void fluidnpu_timeout_check(struct fluidnpu_device *fdev)
{
	u32 i;

	for (i = 0; i < fdev->num_queues; i++) {
		if (!list_empty(&fdev->queues[i].jobs))
			fluidnpu_timeout_check_queue(&fdev->queues[i]);
	}
}
