// SPDX-License-Identifier: GPL-2.0
/*
 * FluidNPU accel driver: the completion ring.
 *
 * All queues share one. The device writes entries and flips their phase on each pass over
 * the ring; the driver handles what has arrived, in an interrupt, before a reset, and ten times
 * a second while jobs are in flight: so a lost interrupt costs a tenth of a second, not
 * a job's timeout.
 *
 * Nothing that an entry says is trusted.
 */
#include <linux/dma-mapping.h>

#include <drm/drm_drv.h>
#include <drm/drm_print.h>

#include "fluidnpu_ctx.h"
#include "fluidnpu_device.h"
#include "fluidnpu_job.h"
#include "fluidnpu_mmu.h"
#include "fluidnpu_trace.h"

#define FLUIDNPU_CQ_MASK	(FLUIDNPU_CQ_ENTRIES - 1)

#define FLUIDNPU_CQ_POLL_MS	100

/*
 * With so many jobs that their clients do not know the end of, and so many completions that came
 * close upon each other, they share an interrupt, up to so many of them: clients that keep that
 * load up never wait for the timer. An interrupt that the timer causes for fewer than a quarter of
 * them ends it: they come too slowly, or somebody waits for them.
 */
#define FLUIDNPU_COALESCE_LOAD	32
#define FLUIDNPU_COALESCE_COUNT	32
#define FLUIDNPU_COALESCE_FEW	(FLUIDNPU_COALESCE_COUNT / 4)

/* What the timer waits for; the rest of FLUIDNPU_COALESCE_NS is for the way to the client. */
#define FLUIDNPU_COALESCE_TIMER_NS	(FLUIDNPU_COALESCE_NS / 10 * 9)

/**
 * fluidnpu_cq_init - allocate the completion ring
 * @fdev: the device
 *
 * Return: 0 or -ENOMEM.
 */
int fluidnpu_cq_init(struct fluidnpu_device *fdev)
{
	struct fluidnpu_cq *cq = &fdev->cq;

	cq->ring = dmam_alloc_coherent(fdev->drm.dev, FLUIDNPU_CQ_ENTRIES * sizeof(*cq->ring),
				       &cq->dma, GFP_KERNEL);
	return cq->ring ? 0 : -ENOMEM;
}

/**
 * fluidnpu_cq_start - show the device an empty completion ring
 * @fdev: has been reset
 */
void fluidnpu_cq_start(struct fluidnpu_device *fdev)
{
	struct fluidnpu_cq *cq = &fdev->cq;

	memset(cq->ring, 0, FLUIDNPU_CQ_ENTRIES * sizeof(*cq->ring));
	cq->head = 0;
	cq->acked = 0;
	cq->coalescing = false;
	cq->streak = 0;
	cq->timer_cycles = mul_u64_u32_div(FLUIDNPU_COALESCE_TIMER_NS, fdev->clock_hz,
					   NSEC_PER_SEC);

	fluidnpu_write(fdev, FLUIDNPU_REG_CQ_BASE_LO, lower_32_bits(cq->dma));
	fluidnpu_write(fdev, FLUIDNPU_REG_CQ_BASE_HI, upper_32_bits(cq->dma));
	fluidnpu_write(fdev, FLUIDNPU_REG_CQ_ENTRIES, FLUIDNPU_CQ_ENTRIES);
}

static void fluidnpu_report_failure(struct fluidnpu_device *fdev, struct fluidnpu_job *job,
				    const struct fluidnpu_hw_cqe *cqe)
{
	struct fluidnpu_file *ffile = job->ctx->ffile;
	u64 iova = (u64)cqe->fault_iova_hi << 32 | cqe->fault_iova_lo;

	if (cqe->status == FLUIDNPU_ERR_MMU_FAULT)
		dev_warn_ratelimited(fdev->drm.dev,
				     "%s[%d]: queue %u, layer %u: fault %s iova %#llx, %s\n",
				     ffile->comm, ffile->pid, job->ctx->queue->index, cqe->layer,
				     cqe->fault_write ? "writing" : "reading", iova,
				     fluidnpu_vm_explain(job->ctx->vm, iova, cqe->fault_write));
	else
		dev_warn_ratelimited(fdev->drm.dev,
				     "%s[%d]: queue %u, layer %u: job failed with status %u\n",
				     ffile->comm, ffile->pid, job->ctx->queue->index, cqe->layer,
				     cqe->status);
}

/* @job is NULL for the end of a YIELD. Returns the queue, as a mask, if it halted. */
static u32 fluidnpu_cq_handle(struct fluidnpu_queue *queue, struct fluidnpu_job *job,
			      struct fluidnpu_hw_cqe *cqe)
{
	if (cqe->type != FLUIDNPU_CQE_JOB) {
		if (!job || !fluidnpu_job_sample(job, cqe))
			dev_warn_ratelimited(queue->fdev->drm.dev,
					     "completion of unknown type %u\n", cqe->type);
		return 0;
	}

	if (job) {
		if (cqe->status != FLUIDNPU_OK)
			fluidnpu_report_failure(queue->fdev, job, cqe);
		fluidnpu_queue_retire(queue, job);
		fluidnpu_job_end(job, cqe->status == FLUIDNPU_OK ? 0 : -EIO, cqe);
	}
	return cqe->status != FLUIDNPU_OK && cqe->status != FLUIDNPU_ERR_ABORTED ?
	       BIT(queue->index) : 0;
}

static bool fluidnpu_cq_has_entry(const struct fluidnpu_cq *cq, u32 head)
{
	u32 phase = !(head & FLUIDNPU_CQ_ENTRIES);

	return READ_ONCE(cq->ring[head & FLUIDNPU_CQ_MASK].phase) == phase;
}

/**
 * fluidnpu_cq_drain - handle all completions that have arrived
 * @fdev: the device
 *
 * The device stops when the ring is full, and is told of the room only in
 * fluidnpu_cq_ack(): this is a bounded loop whatever the device does.
 *
 * Return: bit mask of the queues that halted.
 */
u32 fluidnpu_cq_drain(struct fluidnpu_device *fdev)
{
	struct fluidnpu_cq *cq = &fdev->cq;
	u32 i, halted = 0, seen = 0;

	lockdep_assert_held(&fdev->hw_lock);

	while (fluidnpu_cq_has_entry(cq, cq->head)) {
		struct fluidnpu_queue *queue;
		struct fluidnpu_hw_cqe cqe;
		struct fluidnpu_job *job;

		/* The rest of the entry is valid when the phase is. */
		dma_rmb();
		cqe = cq->ring[cq->head & FLUIDNPU_CQ_MASK];
		WRITE_ONCE(cq->head, cq->head + 1);
		cq->streak = cqe.time - cq->last_time <= cq->timer_cycles ? cq->streak + 1 : 1;
		cq->last_time = cqe.time;

		queue = fluidnpu_queue_find(fdev, cqe.cookie, &job);
		if (!queue) {
			dev_warn_ratelimited(fdev->drm.dev, "completion of an unknown job, %#llx\n",
					     cqe.cookie);
			continue;
		}
		halted |= fluidnpu_cq_handle(queue, job, &cqe);
		seen |= BIT(queue->index);
	}

	for (i = 0; i < fdev->num_queues; i++) {
		if (seen & BIT(i))
			fluidnpu_queue_advance(&fdev->queues[i]);
	}
	return halted;
}

/**
 * fluidnpu_cq_ack - let the device go on after fluidnpu_cq_drain()
 * @fdev: the device
 * @halted: queues to resume
 */
void fluidnpu_cq_ack(struct fluidnpu_device *fdev, u32 halted)
{
	struct fluidnpu_cq *cq = &fdev->cq;
	u32 i;

	if (fdev->off || cq->head == cq->acked)
		return;
	cq->acked = cq->head;
	fluidnpu_write(fdev, FLUIDNPU_REG_DOORBELL_CQ, cq->head & FLUIDNPU_CQ_MASK);
	for (i = 0; i < fdev->num_queues; i++) {
		if (halted & BIT(i))
			fluidnpu_queue_resume(&fdev->queues[i]);
	}
}

/* One interrupt for several completions, or one for each. */
static void fluidnpu_cq_coalesce(struct fluidnpu_device *fdev, bool coalesce)
{
	struct fluidnpu_cq *cq = &fdev->cq;

	if (coalesce == cq->coalescing || fdev->off)
		return;
	cq->coalescing = coalesce;
	cq->streak = 0;
	fluidnpu_write(fdev, FLUIDNPU_REG_CQ_COALESCE_COUNT, FLUIDNPU_COALESCE_COUNT);
	fluidnpu_write(fdev, FLUIDNPU_REG_CQ_COALESCE_CYCLES, coalesce ? cq->timer_cycles : 0);
}

/**
 * fluidnpu_irq_completion - the completion interrupt
 * @irq: number
 * @data: struct fluidnpu_device
 *
 * Return: IRQ_HANDLED, or IRQ_NONE when the device is gone.
 */
irqreturn_t fluidnpu_irq_completion(int irq, void *data)
{
	struct fluidnpu_device *fdev = data;
	unsigned long flags;
	u32 head, count;
	int idx;

	if (!drm_dev_enter(&fdev->drm, &idx))
		return IRQ_NONE;

	spin_lock_irqsave(&fdev->hw_lock, flags);
	head = fdev->cq.head;
	fluidnpu_cq_ack(fdev, fluidnpu_cq_drain(fdev));
	count = fdev->cq.head - head;
	if (count < FLUIDNPU_COALESCE_FEW)
		fluidnpu_cq_coalesce(fdev, false);
	trace_fluidnpu_irq(fdev, count);
	fluidnpu_hw_unlock(fdev, flags);

	drm_dev_exit(idx);
	return IRQ_HANDLED;
}

/**
 * fluidnpu_cq_expect - a job is about to enter a ring
 * @fdev: the device, between drm_dev_enter() and drm_dev_exit()
 *
 * Its completions are polled for, too, and may share an interrupt with others.
 */
void fluidnpu_cq_expect(struct fluidnpu_device *fdev)
{
	struct fluidnpu_cq *cq = &fdev->cq;

	lockdep_assert_held(&fdev->hw_lock);

	if (cq->streak >= FLUIDNPU_COALESCE_COUNT &&
	    cq->load + atomic_read(&cq->unseen) >= FLUIDNPU_COALESCE_LOAD)
		fluidnpu_cq_coalesce(fdev, true);
	if (cq->polled)
		return;
	cq->polled = true;
	queue_delayed_work(fdev->tdr_wq, &fdev->poll_work, msecs_to_jiffies(FLUIDNPU_CQ_POLL_MS));
}

/**
 * fluidnpu_cq_is_idle - does the device owe completions?
 * @fdev: the device
 *
 * Return: whether it does not.
 */
bool fluidnpu_cq_is_idle(struct fluidnpu_device *fdev)
{
	u32 i;

	for (i = 0; i < fdev->num_queues; i++) {
		if (!list_empty(&fdev->queues[i].jobs))
			return false;
	}
	return true;
}

/**
 * fluidnpu_cq_poll_work - look for completions whose interrupt was lost
 * @work: &fluidnpu_device.poll_work
 *
 * Only looks, without a lock, as long as jobs are in flight and nothing has come. Then it may
 * be the device that is gone, or a job that hangs.
 */
void fluidnpu_cq_poll_work(struct work_struct *work)
{
	struct fluidnpu_device *fdev = container_of(to_delayed_work(work), struct fluidnpu_device,
						    poll_work);
	unsigned long flags;
	int idx;

	if (!drm_dev_enter(&fdev->drm, &idx))
		return;

	if (fluidnpu_cq_has_entry(&fdev->cq, READ_ONCE(fdev->cq.head)) ||
	    fluidnpu_cq_is_idle(fdev)) {
		spin_lock_irqsave(&fdev->hw_lock, flags);
		fluidnpu_cq_ack(fdev, fluidnpu_cq_drain(fdev));
		fdev->cq.polled = !fluidnpu_cq_is_idle(fdev);
		fluidnpu_hw_unlock(fdev, flags);
	} else {
		fluidnpu_device_check(fdev);
	}
	fluidnpu_timeout_check(fdev);
	/* Else a job that comes now has armed it already. */
	if (READ_ONCE(fdev->cq.polled))
		queue_delayed_work(fdev->tdr_wq, &fdev->poll_work,
				   msecs_to_jiffies(FLUIDNPU_CQ_POLL_MS));

	drm_dev_exit(idx);
}
