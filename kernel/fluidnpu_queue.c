// SPDX-License-Identifier: GPL-2.0
/*
 * FluidNPU accel driver: submission and completion rings.
 *
 * A job that the device has is in a slot of its queue's ring until its last
 * completion arrives. Completions name their job by a cookie that holds queue,
 * slot and a number that is never used again, so that a completion of a job
 * that is no longer there, or one that the device made up, finds nothing.
 *
 * Jobs end under hw_lock, but their fences are signalled after it has been
 * dropped: what others hang on a fence is not known here.
 */
#include <linux/bitfield.h>
#include <linux/dma-mapping.h>

#include <drm/drm_print.h>

#include "fluidnpu_ctx.h"
#include "fluidnpu_device.h"
#include "fluidnpu_event.h"
#include "fluidnpu_fence.h"
#include "fluidnpu_job.h"
#include "fluidnpu_mmu.h"
#include "fluidnpu_trace.h"

#define FLUIDNPU_RING_MASK	(FLUIDNPU_RING_ENTRIES - 1)
#define FLUIDNPU_CQ_MASK	(FLUIDNPU_CQ_ENTRIES - 1)

/* Layout of a cookie. */
#define FLUIDNPU_COOKIE_SLOT	GENMASK_ULL(7, 0)
#define FLUIDNPU_COOKIE_QUEUE	GENMASK_ULL(15, 8)
#define FLUIDNPU_COOKIE_SERIAL	GENMASK_ULL(63, 16)

/*
 * Device resets that a job survives while it is the oldest of its queue and no
 * other is known to be at fault: it might be what breaks the device.
 */
#define FLUIDNPU_MAX_REPLAYS	2

static_assert(FLUIDNPU_RING_JOBS < FLUIDNPU_RING_ENTRIES);
static_assert(FLUIDNPU_MAX_BATCH <= 32);
static_assert(FLUIDNPU_MAX_EXITS <= 8);

static u32 fluidnpu_qreg(struct fluidnpu_queue *queue, u32 reg)
{
	return FLUIDNPU_REG_QUEUE(queue->index) + reg;
}

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
 * fluidnpu_queue_init - allocate a queue's rings
 * @queue: @queue->fdev and @queue->index are set
 *
 * Return: 0 or -ENOMEM.
 */
int fluidnpu_queue_init(struct fluidnpu_queue *queue)
{
	struct fluidnpu_device *fdev = queue->fdev;
	struct device *dev = fdev->drm.dev;

	queue->fence_context = dma_fence_context_alloc(1);

	queue->ring = dmam_alloc_coherent(dev, FLUIDNPU_RING_ENTRIES * sizeof(*queue->ring),
					  &queue->ring_dma, GFP_KERNEL);
	if (!queue->ring)
		return -ENOMEM;

	queue->tables = dmam_alloc_coherent(dev, FLUIDNPU_RING_ENTRIES * fdev->geometry.max_batch *
					    sizeof(*queue->tables), &queue->tables_dma, GFP_KERNEL);
	return queue->tables ? 0 : -ENOMEM;
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

	fluidnpu_write(fdev, FLUIDNPU_REG_CQ_BASE_LO, lower_32_bits(cq->dma));
	fluidnpu_write(fdev, FLUIDNPU_REG_CQ_BASE_HI, upper_32_bits(cq->dma));
	fluidnpu_write(fdev, FLUIDNPU_REG_CQ_ENTRIES, FLUIDNPU_CQ_ENTRIES);
}

/**
 * fluidnpu_queue_start - show the device an empty submission ring
 * @queue: disabled in the device
 */
void fluidnpu_queue_start(struct fluidnpu_queue *queue)
{
	struct fluidnpu_device *fdev = queue->fdev;

	queue->head = 0;
	queue->tail = 0;

	fluidnpu_write(fdev, fluidnpu_qreg(queue, FLUIDNPU_QREG_BASE_LO),
		       lower_32_bits(queue->ring_dma));
	fluidnpu_write(fdev, fluidnpu_qreg(queue, FLUIDNPU_QREG_BASE_HI),
		       upper_32_bits(queue->ring_dma));
	fluidnpu_write(fdev, fluidnpu_qreg(queue, FLUIDNPU_QREG_ENTRIES), FLUIDNPU_RING_ENTRIES);
	fluidnpu_write(fdev, fluidnpu_qreg(queue, FLUIDNPU_QREG_PRIORITY), queue->index);
	fluidnpu_write(fdev, fluidnpu_qreg(queue, FLUIDNPU_QREG_CTRL), FLUIDNPU_QCTRL_ENABLE);
}

/**
 * fluidnpu_queue_status - read the status register
 * @queue: queue
 *
 * Return: FLUIDNPU_QSTATUS_*; all ones if the device does not answer.
 */
u32 fluidnpu_queue_status(struct fluidnpu_queue *queue)
{
	return fluidnpu_read(queue->fdev, fluidnpu_qreg(queue, FLUIDNPU_QREG_STATUS));
}

/**
 * fluidnpu_queue_stop - make the device drop everything of a queue
 * @queue: queue
 *
 * Return: whether it did.
 */
bool fluidnpu_queue_stop(struct fluidnpu_queue *queue)
{
	fluidnpu_write(queue->fdev, fluidnpu_qreg(queue, FLUIDNPU_QREG_CTRL),
		       FLUIDNPU_QCTRL_DISABLE);
	return !(fluidnpu_queue_status(queue) &
		 (FLUIDNPU_QSTATUS_ENABLED | FLUIDNPU_QSTATUS_RUNNING));
}

static void fluidnpu_fill_samples(struct fluidnpu_hw_sample *table, struct fluidnpu_job *job)
{
	u32 i;

	for (i = 0; i < job->num_samples; i++) {
		const struct drm_fluidnpu_sample *sample = &job->samples[i];

		table[i] = (struct fluidnpu_hw_sample) {
			.input_iova = sample->input_iova,
			.state_iova = sample->state_iova,
			.logits_iova = sample->logits_iova,
			.start_layer = sample->start_layer,
			.exit_index = sample->exit_index,
		};
	}
}

/**
 * fluidnpu_queue_push - give a job to the device
 * @queue: queue, enabled; if the device is off it gets the job when it starts again
 * @job: not in a slot; its fence is initialised here if this is its first run
 *
 * Return: 0, or -EIO when the ring is full, which the scheduler's credits rule out.
 */
int fluidnpu_queue_push(struct fluidnpu_queue *queue, struct fluidnpu_job *job)
{
	struct fluidnpu_device *fdev = queue->fdev;
	u32 slot = queue->tail & FLUIDNPU_RING_MASK;
	u32 table = slot * fdev->geometry.max_batch;

	lockdep_assert_held(&fdev->hw_lock);

	if (drm_WARN_ON_ONCE(&fdev->drm, queue->tail - queue->head >= FLUIDNPU_RING_JOBS))
		return -EIO;

	if (!job->fence->base.ops)
		fluidnpu_fence_init(job->fence, queue);

	job->slot = slot;
	job->cookie = FIELD_PREP(FLUIDNPU_COOKIE_SERIAL, ++queue->serial) |
		      FIELD_PREP(FLUIDNPU_COOKIE_QUEUE, queue->index) |
		      FIELD_PREP(FLUIDNPU_COOKIE_SLOT, slot);
	queue->slots[slot] = job;
	queue->tail++;

	fluidnpu_fill_samples(&queue->tables[table], job);
	queue->ring[slot] = (struct fluidnpu_hw_sqe) {
		.opcode = job->opcode,
		.flags = job->flags & DRM_FLUIDNPU_JOB_NO_EXIT ? FLUIDNPU_SQE_NO_EXIT : 0,
		.as_id = job->ctx->vm->as_id,
		.num_samples = job->num_samples,
		.cookie = job->cookie,
		.program_iova = job->program_iova,
		.program_bytes = job->program_bytes,
		.samples_addr = job->num_samples ?
			queue->tables_dma + table * sizeof(*queue->tables) : 0,
	};

	trace_fluidnpu_job_run(job);

	/* writel() orders the entry before the doorbell. */
	if (!fdev->off)
		fluidnpu_write(fdev, FLUIDNPU_REG_DOORBELL(queue->index),
			       queue->tail & FLUIDNPU_RING_MASK);
	return 0;
}

/**
 * fluidnpu_job_end - note how a job ended and tell user space
 * @job: in no slot any more, or never been in one
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
	if (error && job->fence->base.ops)
		dma_fence_set_error(&job->fence->base, error);

	/* The last reservation goes with the event, whose waiters look at both. */
	fluidnpu_event_unreserve(&ctx->events, job->events_left - 1);
	job->events_left = 0;
	fluidnpu_event_post(&ctx->events, &event);
}

/* Take a job out of its slot and put it on the list of those to signal. */
static void fluidnpu_queue_retire(struct fluidnpu_queue *queue, struct fluidnpu_job *job,
				  struct list_head *done)
{
	queue->slots[job->slot] = NULL;
	job->slot = FLUIDNPU_NO_SLOT;
	while (queue->head != queue->tail && !queue->slots[queue->head & FLUIDNPU_RING_MASK])
		queue->head++;
	list_add_tail(&job->done_node, done);
}

/**
 * fluidnpu_signal_done - signal the fences of jobs that have ended
 * @done: list of jobs, empty afterwards; they may be freed
 *
 * Without hw_lock.
 */
void fluidnpu_signal_done(struct list_head *done)
{
	struct fluidnpu_job *job, *next;

	list_for_each_entry_safe(job, next, done, done_node) {
		struct dma_fence *fence = dma_fence_get(&job->fence->base);

		list_del(&job->done_node);
		dma_fence_signal(fence);
		dma_fence_put(fence);
	}
}

static struct fluidnpu_job *fluidnpu_job_of_cookie(struct fluidnpu_device *fdev, u64 cookie)
{
	u32 index = FIELD_GET(FLUIDNPU_COOKIE_QUEUE, cookie);
	u32 slot = FIELD_GET(FLUIDNPU_COOKIE_SLOT, cookie);
	struct fluidnpu_job *job;

	if (index >= fdev->num_queues || slot >= FLUIDNPU_RING_ENTRIES)
		return NULL;
	job = fdev->queues[index].slots[slot];
	return job && job->cookie == cookie ? job : NULL;
}

static void fluidnpu_handle_sample(struct fluidnpu_device *fdev, struct fluidnpu_job *job,
				   const struct fluidnpu_hw_cqe *cqe)
{
	struct drm_fluidnpu_event event;

	if (cqe->sample >= job->num_samples || cqe->exit_index >= FLUIDNPU_MAX_EXITS)
		return;
	/* After a replay the device tells some things again. The last entry is JOB's. */
	if (job->exited & BIT(cqe->sample) || job->events_left <= 1)
		return;
	if (cqe->type == FLUIDNPU_CQE_EXIT) {
		job->exited |= BIT(cqe->sample);
		fluidnpu_perf_sample(job, cqe);
	} else {
		if (job->reported[cqe->sample] & BIT(cqe->exit_index))
			return;
		job->reported[cqe->sample] |= BIT(cqe->exit_index);
	}

	trace_fluidnpu_job_sample(job, cqe);

	event = (struct drm_fluidnpu_event) {
		.user_data = job->samples[cqe->sample].user_data,
		.time = cqe->time,
		.queued = cqe->queued,
		.started = cqe->started,
		.type = cqe->type,
		.exit_index = cqe->exit_index,
		.class_index = cqe->class_index,
		.live_batch = cqe->live_batch,
		.layer = cqe->layer,
		.confidence = cqe->confidence,
		.entropy = cqe->entropy,
		.margin = cqe->margin,
	};
	job->events_left--;
	fluidnpu_event_post(&job->ctx->events, &event);
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

/* Returns whether the queue of the job halted. */
static bool fluidnpu_handle_job(struct fluidnpu_device *fdev, struct fluidnpu_job *job,
				const struct fluidnpu_hw_cqe *cqe, struct list_head *done)
{
	struct fluidnpu_queue *queue = job->ctx->queue;

	if (cqe->status != FLUIDNPU_OK)
		fluidnpu_report_failure(fdev, job, cqe);

	fluidnpu_queue_retire(queue, job, done);
	fluidnpu_job_end(job, cqe->status == FLUIDNPU_OK ? 0 : -EIO, cqe);
	return cqe->status != FLUIDNPU_OK && cqe->status != FLUIDNPU_ERR_ABORTED;
}

/**
 * fluidnpu_cq_drain - handle all completions that have arrived
 * @fdev: the device
 * @done: jobs that have ended are added, see fluidnpu_signal_done()
 *
 * The device stops when the ring is full, and is told of the room only in
 * fluidnpu_cq_ack(): this is a bounded loop whatever the device does.
 *
 * Return: bit mask of the queues that halted.
 */
u32 fluidnpu_cq_drain(struct fluidnpu_device *fdev, struct list_head *done)
{
	struct fluidnpu_cq *cq = &fdev->cq;
	u32 halted = 0;

	lockdep_assert_held(&fdev->hw_lock);

	for (;;) {
		struct fluidnpu_hw_cqe *entry = &cq->ring[cq->head & FLUIDNPU_CQ_MASK];
		u32 phase = !(cq->head & FLUIDNPU_CQ_ENTRIES);
		struct fluidnpu_hw_cqe cqe;
		struct fluidnpu_job *job;

		if (READ_ONCE(entry->phase) != phase)
			break;
		/* The rest of the entry is valid when the phase is. */
		dma_rmb();
		cqe = *entry;
		cq->head++;

		job = fluidnpu_job_of_cookie(fdev, cqe.cookie);
		if (!job) {
			dev_warn_ratelimited(fdev->drm.dev, "completion of an unknown job, %#llx\n",
					     cqe.cookie);
			continue;
		}

		switch (cqe.type) {
		case FLUIDNPU_CQE_EXIT:
		case FLUIDNPU_CQE_HEAD:
			fluidnpu_handle_sample(fdev, job, &cqe);
			break;
		case FLUIDNPU_CQE_JOB:
			if (fluidnpu_handle_job(fdev, job, &cqe, done))
				halted |= BIT(FIELD_GET(FLUIDNPU_COOKIE_QUEUE, cqe.cookie));
			break;
		default:
			/* Not even YIELD: nobody here has asked for it. */
			dev_warn_ratelimited(fdev->drm.dev, "completion of unknown type %u\n",
					     cqe.type);
		}
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
			fluidnpu_write(fdev, fluidnpu_qreg(&fdev->queues[i], FLUIDNPU_QREG_CTRL),
				       FLUIDNPU_QCTRL_RESUME);
	}
}

/* The jobs in flight, oldest first; the slots are empty afterwards. */
static u32 fluidnpu_queue_take_all(struct fluidnpu_queue *queue,
				   struct fluidnpu_job *jobs[FLUIDNPU_RING_ENTRIES])
{
	u32 i, n = 0;

	for (i = queue->head; i != queue->tail; i++) {
		struct fluidnpu_job **slot = &queue->slots[i & FLUIDNPU_RING_MASK];

		if (!*slot)
			continue;
		jobs[n++] = *slot;
		(*slot)->slot = FLUIDNPU_NO_SLOT;
		*slot = NULL;
	}
	queue->head = queue->tail;
	return n;
}

/**
 * fluidnpu_queue_restart - run the jobs in flight again, in order
 * @queue: stopped, or the device has been reset
 * @guilty: ends with -ETIME instead, if it is one of them; or NULL
 * @head_started: the oldest one had started
 * @done: jobs that have ended are added
 *
 * A job that had started and does not begin at layer 0 cannot be run again:
 * the state that it began with has been overwritten. It ends with -EIO, as do the
 * jobs of a context that is banned.
 */
void fluidnpu_queue_restart(struct fluidnpu_queue *queue, struct fluidnpu_job *guilty,
			    bool head_started, struct list_head *done)
{
	struct fluidnpu_job *jobs[FLUIDNPU_RING_ENTRIES];
	struct fluidnpu_device *fdev = queue->fdev;
	struct fluidnpu_hw_cqe cqe = { .time = fluidnpu_read64(fdev, FLUIDNPU_REG_TIME_LO) };
	u32 i, n;

	lockdep_assert_held(&fdev->hw_lock);

	n = fluidnpu_queue_take_all(queue, jobs);
	trace_fluidnpu_queue_restart(queue, n, guilty);
	fluidnpu_queue_start(queue);

	for (i = 0; i < n; i++) {
		struct fluidnpu_job *job = jobs[i];
		int error = 0;

		if (job == guilty) {
			fluidnpu_ctx_blame(job->ctx);
			error = -ETIME;
		} else if (READ_ONCE(job->ctx->banned)) {
			error = -EIO;
		} else if (!i && head_started && job->num_samples &&
			   job->samples[0].start_layer) {
			error = -EIO;
		} else if (!i && !guilty && job->replays++ >= FLUIDNPU_MAX_REPLAYS) {
			error = -EIO;
		}

		if (error || fluidnpu_queue_push(queue, job)) {
			fluidnpu_job_end(job, error ?: -EIO, &cqe);
			list_add_tail(&job->done_node, done);
		}
	}
}

/**
 * fluidnpu_queue_fail_all - end all jobs in flight
 * @queue: the device will not touch it any more
 * @error: for all of them
 * @done: the jobs are added
 */
void fluidnpu_queue_fail_all(struct fluidnpu_queue *queue, int error, struct list_head *done)
{
	struct fluidnpu_job *jobs[FLUIDNPU_RING_ENTRIES];
	u32 i, n;

	lockdep_assert_held(&queue->fdev->hw_lock);

	n = fluidnpu_queue_take_all(queue, jobs);
	for (i = 0; i < n; i++) {
		fluidnpu_job_end(jobs[i], error, NULL);
		list_add_tail(&jobs[i]->done_node, done);
	}
}
