// SPDX-License-Identifier: GPL-2.0
/*
 * FluidNPU accel driver: submission rings.
 *
 * A job that the device has is in a slot of its queue until its last completion
 * arrives. Completions name their job by a cookie that holds queue, slot and the serial
 * number of the ring entry, which is never used again: a completion of a job that is
 * no longer there, or one that the device made up, finds nothing.
 *
 * A job that finds no free slot waits for one, behind those that do so already.
 *
 * Slots are not entries. Jobs that were injected end before others that are
 * older, and a YIELD takes an entry, too. An entry is free when the device has taken it,
 * which the driver learns from the completion of it or of a later one. A YIELD's cookie leads
 * to no job: the job that it is for ends first.
 *
 * Events tell of a job's end at once, but fences of a queue are signalled in the
 * order in which its jobs came, and after hw_lock has been dropped.
 */
#include <linux/bitfield.h>
#include <linux/bitops.h>
#include <linux/dma-mapping.h>

#include <drm/drm_print.h>

#include "fluidnpu_ctx.h"
#include "fluidnpu_device.h"
#include "fluidnpu_fence.h"
#include "fluidnpu_job.h"
#include "fluidnpu_mmu.h"
#include "fluidnpu_trace.h"
#include "fluidnpu_uring.h"

#define FLUIDNPU_RING_MASK	(FLUIDNPU_RING_ENTRIES - 1)
#define FLUIDNPU_ALL_SLOTS	GENMASK_ULL(FLUIDNPU_RING_JOBS - 1, 0)

/* Layout of a cookie. */
#define FLUIDNPU_COOKIE_SLOT	GENMASK_ULL(7, 0)
#define FLUIDNPU_COOKIE_QUEUE	GENMASK_ULL(15, 8)
#define FLUIDNPU_COOKIE_SERIAL	GENMASK_ULL(63, 16)

/* In place of a slot: the entry is a YIELD. */
#define FLUIDNPU_SLOT_YIELD	0xff

/*
 * Jobs that have ended behind an older one: injected ones can, as many as a client likes. More
 * than so many wait until their fences can be signalled, with interrupts off.
 */
#define FLUIDNPU_MAX_ENDED	256

/*
 * Device resets that a job survives while it is the oldest of its queue and no
 * other is known to be at fault: it might be what breaks the device.
 */
#define FLUIDNPU_MAX_REPLAYS	2

/*
 * Not taken yet are at most the jobs in flight, a YIELD for each, and a YIELD for each of
 * those that ended since the oldest of these YIELDs was written.
 */
static_assert(3 * FLUIDNPU_RING_JOBS < FLUIDNPU_RING_ENTRIES);
static_assert(FLUIDNPU_RING_ENTRIES <= FLUIDNPU_MAX_RING_ENTRIES);
static_assert(FLUIDNPU_RING_JOBS <= 64 && FLUIDNPU_RING_JOBS <= FLUIDNPU_SLOT_YIELD);

static u32 fluidnpu_qreg(struct fluidnpu_queue *queue, u32 reg)
{
	return FLUIDNPU_REG_QUEUE(queue->index) + reg;
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

	queue->free_slots = FLUIDNPU_ALL_SLOTS;
	INIT_LIST_HEAD(&queue->jobs);
	INIT_LIST_HEAD(&queue->waiting);

	queue->ring = dmam_alloc_coherent(dev, FLUIDNPU_RING_ENTRIES * sizeof(*queue->ring),
					  &queue->ring_dma, GFP_KERNEL);
	if (!queue->ring)
		return -ENOMEM;

	queue->tables = dmam_alloc_coherent(dev, FLUIDNPU_RING_JOBS * fdev->geometry.max_batch *
					    sizeof(*queue->tables), &queue->tables_dma, GFP_KERNEL);
	return queue->tables ? 0 : -ENOMEM;
}

/**
 * fluidnpu_queue_start - show the device an empty submission ring
 * @queue: disabled in the device
 */
void fluidnpu_queue_start(struct fluidnpu_queue *queue)
{
	struct fluidnpu_device *fdev = queue->fdev;

	queue->first = queue->tail;
	queue->head = queue->tail;

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
 * fluidnpu_queue_resume - let a queue that halted go on
 * @queue: queue
 */
void fluidnpu_queue_resume(struct fluidnpu_queue *queue)
{
	fluidnpu_write(queue->fdev, fluidnpu_qreg(queue, FLUIDNPU_QREG_CTRL),
		       FLUIDNPU_QCTRL_RESUME);
}

/*
 * Note which entries the device has taken; when it does not know, all of them. It takes no more:
 * the device is paused, or the queue is stopped. @status: of the queue, before that.
 */
static void fluidnpu_queue_note_head(struct fluidnpu_queue *queue, u32 status)
{
	u32 index = fluidnpu_read(queue->fdev, fluidnpu_qreg(queue, FLUIDNPU_QREG_HEAD));
	u32 more = (index - (u32)(queue->head - queue->first)) & FLUIDNPU_RING_MASK;

	lockdep_assert_held(&queue->fdev->hw_lock);

	if (status == ~0u || !(status & FLUIDNPU_QSTATUS_ENABLED) ||
	    index > FLUIDNPU_RING_MASK || more > queue->tail - queue->head)
		queue->head = queue->tail;
	else
		queue->head += more;
}

/**
 * fluidnpu_queue_stop - make the device drop everything of a queue
 * @queue: queue
 *
 * Return: whether it did.
 */
bool fluidnpu_queue_stop(struct fluidnpu_queue *queue)
{
	u32 status = fluidnpu_queue_status(queue);

	fluidnpu_write(queue->fdev, fluidnpu_qreg(queue, FLUIDNPU_QREG_CTRL),
		       FLUIDNPU_QCTRL_DISABLE);
	fluidnpu_queue_note_head(queue, status);
	return !(fluidnpu_queue_status(queue) &
		 (FLUIDNPU_QSTATUS_ENABLED | FLUIDNPU_QSTATUS_RUNNING));
}

/* A job that is in a slot; its cookie names its entry. */
static u64 fluidnpu_queue_serial(const struct fluidnpu_job *job)
{
	return FIELD_GET(FLUIDNPU_COOKIE_SERIAL, job->cookie);
}

static bool fluidnpu_job_has_left(const struct fluidnpu_job *job)
{
	return job->num_samples && hweight32(job->left) == job->num_samples;
}

/**
 * fluidnpu_queue_entry - what the device was told of a job
 * @queue: queue
 * @job: in a slot
 *
 * Return: its ring entry.
 */
const struct fluidnpu_hw_sqe *fluidnpu_queue_entry(const struct fluidnpu_queue *queue,
						   const struct fluidnpu_job *job)
{
	return &queue->ring[(fluidnpu_queue_serial(job) - queue->first) & FLUIDNPU_RING_MASK];
}

/* The device has taken @job: could it run again all the same? */
static bool fluidnpu_job_is_replayable(const struct fluidnpu_job *job)
{
	return !job->num_samples || !job->samples[0].args.start_layer;
}

/**
 * fluidnpu_queue_can_restart - could the device be reset without losing a job?
 * @queue: queue of a device that is paused
 *
 * Return: whether fluidnpu_queue_restart() would run all of them again.
 */
bool fluidnpu_queue_can_restart(struct fluidnpu_queue *queue)
{
	struct fluidnpu_job *job;

	fluidnpu_queue_note_head(queue, fluidnpu_queue_status(queue));
	list_for_each_entry(job, &queue->jobs, node) {
		if (job->slot != FLUIDNPU_NO_SLOT && !fluidnpu_job_has_left(job) &&
		    fluidnpu_queue_serial(job) < queue->head && !fluidnpu_job_is_replayable(job))
			return false;
	}
	return true;
}

static bool fluidnpu_ring_has_room(struct fluidnpu_queue *queue)
{
	return queue->tail - queue->head < FLUIDNPU_RING_MASK;
}

static u64 fluidnpu_queue_next_cookie(struct fluidnpu_queue *queue, u32 slot)
{
	return FIELD_PREP(FLUIDNPU_COOKIE_SERIAL, queue->tail) |
	       FIELD_PREP(FLUIDNPU_COOKIE_QUEUE, queue->index) |
	       FIELD_PREP(FLUIDNPU_COOKIE_SLOT, slot);
}

/* There is room. */
static void fluidnpu_queue_write(struct fluidnpu_queue *queue, const struct fluidnpu_hw_sqe *sqe)
{
	queue->ring[(queue->tail - queue->first) & FLUIDNPU_RING_MASK] = *sqe;
	queue->tail++;

	/* writel() orders the entry before the doorbell. */
	if (!queue->fdev->off)
		fluidnpu_write(queue->fdev, FLUIDNPU_REG_DOORBELL(queue->index),
			       (queue->tail - queue->first) & FLUIDNPU_RING_MASK);
}

/* Only samples that have not left: the others' buffers may be in use for something else. */
static void fluidnpu_fill_samples(struct fluidnpu_hw_sample *table, struct fluidnpu_job *job)
{
	u32 i;

	job->num_running = 0;
	for (i = 0; i < job->num_samples; i++) {
		const struct drm_fluidnpu_sample *sample = &job->samples[i].args;

		if (job->left & BIT(i))
			continue;
		job->samples[job->num_running].running = i;
		table[job->num_running++] = (struct fluidnpu_hw_sample) {
			.input_iova = sample->input_iova,
			.state_iova = sample->state_iova,
			.logits_iova = sample->logits_iova,
			.start_layer = sample->start_layer,
			.exit_index = sample->exit_index,
		};
	}
}

/* Give a job that is on @queue->jobs a slot and an entry; there is a free slot. */
static int fluidnpu_queue_run(struct fluidnpu_queue *queue, struct fluidnpu_job *job)
{
	u32 slot, table;

	if (drm_WARN_ON_ONCE(&queue->fdev->drm, !fluidnpu_ring_has_room(queue)))
		return -EIO;

	slot = __ffs64(queue->free_slots);
	table = slot * queue->fdev->geometry.max_batch;
	fluidnpu_fill_samples(&queue->tables[table], job);

	job->slot = slot;
	job->pushed = jiffies;
	job->cookie = fluidnpu_queue_next_cookie(queue, slot);
	queue->free_slots &= ~BIT_ULL(slot);
	queue->slots[slot] = job;
	job->fence->ordered = true;
	trace_fluidnpu_job_run(job);

	fluidnpu_cq_expect(queue->fdev);
	fluidnpu_queue_write(queue, &(struct fluidnpu_hw_sqe) {
		.opcode = job->opcode,
		.flags = job->flags & DRM_FLUIDNPU_JOB_NO_EXIT ? FLUIDNPU_SQE_NO_EXIT : 0,
		.as_id = job->ctx->vm->as_id,
		.num_samples = job->num_running,
		.cookie = job->cookie,
		.program_iova = job->program_iova,
		.program_bytes = job->program_bytes,
		.stop_layer = job->stop_layer,
		.samples_addr = job->num_running ?
			queue->tables_dma + table * sizeof(*queue->tables) : 0,
	});
	return 0;
}

/* Give a job to the device, or end it. Returns false if there is no room for that. */
static bool fluidnpu_queue_begin(struct fluidnpu_queue *queue, struct fluidnpu_job *job)
{
	static const struct fluidnpu_hw_cqe never = { 0 };
	int error = fluidnpu_device_error(queue->fdev);

	if (queue->num_ended >= FLUIDNPU_MAX_ENDED)
		return false;
	if (!error && READ_ONCE(job->ctx->banned))
		error = -EIO;
	if (!error && READ_ONCE(job->ctx->ffile->closed))
		error = -ESRCH;
	if (!error && !job->yield) {
		if (!queue->free_slots)
			return false;
		error = fluidnpu_queue_run(queue, job);
		if (!error)
			return true;
	}
	if (!error)
		fluidnpu_job_hand_back(job, &never);
	fluidnpu_job_end(job, error, NULL);
	return true;
}

/**
 * fluidnpu_queue_has_room - would a job get to the device at once?
 * @queue: queue
 * @jobs: how many
 *
 * Return: whether there are so many slots and nobody waits, which can change at any time.
 */
bool fluidnpu_queue_has_room(struct fluidnpu_queue *queue, u32 jobs)
{
	return hweight64(READ_ONCE(queue->free_slots)) >= jobs && list_empty(&queue->waiting) &&
	       READ_ONCE(queue->num_ended) < FLUIDNPU_MAX_ENDED;
}

/**
 * fluidnpu_queue_add - give a job to the device, or have it wait until there is room
 * @queue: queue; if the device is off it gets the job when it starts again
 * @job: new, its fence is initialised; fluidnpu_queue_advance() comes next
 *
 * Between drm_dev_enter() and drm_dev_exit().
 */
void fluidnpu_queue_add(struct fluidnpu_queue *queue, struct fluidnpu_job *job)
{
	lockdep_assert_held(&queue->fdev->hw_lock);

	list_add_tail(&job->node, &queue->jobs);
	if (!list_empty(&queue->waiting) || !fluidnpu_queue_begin(queue, job))
		list_add_tail(&job->wait_node, &queue->waiting);
}

/* The fences that can be signalled. */
static void fluidnpu_queue_collect(struct fluidnpu_queue *queue)
{
	struct fluidnpu_job *job, *next;

	list_for_each_entry_safe(job, next, &queue->jobs, node) {
		if (!job->ended)
			return;
		list_move_tail(&job->node, &queue->fdev->done);
		queue->num_ended--;
	}
}

/**
 * fluidnpu_queue_pass - end a job because the device is gone
 * @queue: queue
 * @job: new, its fence is initialised
 * @error: a negative errno
 *
 * The fence waits for those of older jobs like any other. Touches no register.
 */
void fluidnpu_queue_pass(struct fluidnpu_queue *queue, struct fluidnpu_job *job, int error)
{
	lockdep_assert_held(&queue->fdev->hw_lock);

	list_add_tail(&job->node, &queue->jobs);
	fluidnpu_job_end(job, error, NULL);
	fluidnpu_queue_collect(queue);
}

/**
 * fluidnpu_queue_push_yield - ask the device for the samples of a job
 * @queue: where it is
 * @job: in a slot; once at most
 */
void fluidnpu_queue_push_yield(struct fluidnpu_queue *queue, struct fluidnpu_job *job)
{
	lockdep_assert_held(&queue->fdev->hw_lock);

	if (drm_WARN_ON_ONCE(&queue->fdev->drm, !fluidnpu_ring_has_room(queue)))
		return;
	trace_fluidnpu_job_yield(job);
	fluidnpu_queue_write(queue, &(struct fluidnpu_hw_sqe) {
		.opcode = FLUIDNPU_OP_YIELD,
		.cookie = fluidnpu_queue_next_cookie(queue, FLUIDNPU_SLOT_YIELD),
		.target = job->cookie,
	});
}

/**
 * fluidnpu_queue_find - what does a completion belong to
 * @fdev: the device
 * @cookie: of the completion
 * @job: out: the job, or NULL for a YIELD
 *
 * Return: the queue, or NULL if the cookie is none of an entry in flight.
 */
struct fluidnpu_queue *fluidnpu_queue_find(struct fluidnpu_device *fdev, u64 cookie,
					   struct fluidnpu_job **job)
{
	u64 serial = FIELD_GET(FLUIDNPU_COOKIE_SERIAL, cookie);
	u32 index = FIELD_GET(FLUIDNPU_COOKIE_QUEUE, cookie);
	u32 slot = FIELD_GET(FLUIDNPU_COOKIE_SLOT, cookie);
	struct fluidnpu_queue *queue;

	*job = NULL;
	if (index >= fdev->num_queues)
		return NULL;
	queue = &fdev->queues[index];
	if (serial < queue->first || serial >= queue->tail)
		return NULL;
	if (slot != FLUIDNPU_SLOT_YIELD) {
		if (slot >= FLUIDNPU_RING_JOBS || !queue->slots[slot] ||
		    queue->slots[slot]->cookie != cookie)
			return NULL;
		*job = queue->slots[slot];
	}

	/* Entries are taken in order. */
	if (queue->head <= serial)
		queue->head = serial + 1;
	return queue;
}

/**
 * fluidnpu_queue_retire - the device has ended a job
 * @queue: where it is
 * @job: gives back its slot; fluidnpu_job_end() is the caller's
 */
void fluidnpu_queue_retire(struct fluidnpu_queue *queue, struct fluidnpu_job *job)
{
	struct fluidnpu_queue *other;

	queue->free_slots |= BIT_ULL(job->slot);
	queue->slots[job->slot] = NULL;
	job->slot = FLUIDNPU_NO_SLOT;

	/* Whoever waited for this job has had no chance so far: see fluidnpu_timeout.c. */
	for (other = queue->fdev->queues; other <= queue; other++)
		other->watched = false;
}

/**
 * fluidnpu_queue_advance - after jobs have been added or have ended
 * @queue: queue
 *
 * Jobs that have ended, and all before them, are left for fluidnpu_hw_unlock().
 */
void fluidnpu_queue_advance(struct fluidnpu_queue *queue)
{
	struct fluidnpu_job *job;

	for (;;) {
		fluidnpu_queue_collect(queue);
		job = list_first_entry_or_null(&queue->waiting, struct fluidnpu_job, wait_node);
		if (!job || !fluidnpu_queue_begin(queue, job))
			return;
		list_del(&job->wait_node);
	}
}

/* The jobs may be freed. Without hw_lock: what others hang on a fence is not known here. */
static void fluidnpu_signal_all(struct list_head *done)
{
	struct fluidnpu_job *job, *next;

	list_for_each_entry_safe(job, next, done, node) {
		struct fluidnpu_fence *fence = job->fence;
		struct io_uring_cmd *cmd = fluidnpu_uring_detach(job);
		bool scheduled = job->sched;
		int error = job->error;

		/* Its own reference goes with the job: the scheduler frees it once this signals. */
		if (scheduled)
			dma_fence_get(&fence->base);
		dma_fence_signal(&fence->base);
		if (cmd)
			fluidnpu_uring_end_job(cmd, error, fence->end_time);
		if (scheduled)
			dma_fence_put(&fence->base);
		else
			fluidnpu_job_put_later(job);
	}
}

/**
 * fluidnpu_hw_unlock - drop hw_lock, and signal the fences of jobs that have ended
 * @fdev: the device
 * @flags: of taking the lock
 *
 * One at a time does so, for all: fences of a context signal in their order. Whoever comes
 * meanwhile leaves its own to that one, which therefore must not be preempted.
 */
void fluidnpu_hw_unlock(struct fluidnpu_device *fdev, unsigned long flags)
	__releases(&fdev->hw_lock)
{
	LIST_HEAD(done);

	while (!fdev->signalling && !list_empty(&fdev->done)) {
		list_replace_init(&fdev->done, &done);
		fdev->signalling = true;
		spin_unlock(&fdev->hw_lock);
		fluidnpu_signal_all(&done);
		spin_lock(&fdev->hw_lock);
		fdev->signalling = false;
	}
	spin_unlock_irqrestore(&fdev->hw_lock, flags);
}

/* The device has forgotten @job. Does it end, how, or (false) does it run again? */
static bool fluidnpu_job_is_over(struct fluidnpu_job *job, bool taken, bool suspect, int *error)
{
	*error = 0;
	if (READ_ONCE(job->ctx->banned))
		*error = -EIO;
	else if (fluidnpu_job_has_left(job))
		return true;	/* only its last completion is missing */
	else if (suspect && job->replays++ >= FLUIDNPU_MAX_REPLAYS)
		*error = -EIO;
	else if (taken && !fluidnpu_job_is_replayable(job))
		*error = -EIO;
	return *error || job->yield;
}

/**
 * fluidnpu_queue_restart - run the jobs in flight again, in order
 * @queue: stopped, or the device has been reset, after fluidnpu_queue_note_head()
 * @guilty: ends with -ETIME instead, if it is one of them; or NULL
 * @suspect: something went wrong and nobody knows why: the oldest job may have done it
 *
 * A job that the device had taken and that does not begin at layer 0 cannot be run
 * again: the state that it began with may have been overwritten. It ends with -EIO, as do
 * the jobs of a context that is banned. Those that are to be handed back can
 * be at once, at the layer that they would start from.
 */
void fluidnpu_queue_restart(struct fluidnpu_queue *queue, struct fluidnpu_job *guilty,
			    bool suspect)
{
	struct fluidnpu_device *fdev = queue->fdev;
	struct fluidnpu_hw_cqe cqe = { .time = fluidnpu_read64(fdev, FLUIDNPU_REG_TIME_LO) };
	u64 taken = queue->head;
	struct fluidnpu_job *job;

	lockdep_assert_held(&fdev->hw_lock);

	if (~queue->free_slots)
		trace_fluidnpu_queue_restart(queue, hweight64(~queue->free_slots), guilty);
	fluidnpu_queue_start(queue);
	list_for_each_entry(job, &queue->jobs, node) {
		u64 serial = fluidnpu_queue_serial(job);
		int error = -ETIME;

		if (job->slot == FLUIDNPU_NO_SLOT)
			continue;	/* ended behind one that has not, or waits */
		fluidnpu_queue_retire(queue, job);

		if (job == guilty)
			fluidnpu_ctx_blame(job->ctx);
		else if (!fluidnpu_job_is_over(job, serial < taken, suspect, &error))
			error = fluidnpu_queue_run(queue, job);
		suspect = false;

		if (job->slot == FLUIDNPU_NO_SLOT) {
			if (!error)
				fluidnpu_job_hand_back(job, &cqe);
			fluidnpu_job_end(job, error, &cqe);
		}
	}
	fluidnpu_queue_advance(queue);
}

/**
 * fluidnpu_queue_fail_all - end all jobs that the device has
 * @queue: the device will not touch it any more
 * @error: for all of them
 */
void fluidnpu_queue_fail_all(struct fluidnpu_queue *queue, int error)
{
	struct fluidnpu_job *job;

	lockdep_assert_held(&queue->fdev->hw_lock);

	list_for_each_entry(job, &queue->jobs, node) {
		if (job->slot == FLUIDNPU_NO_SLOT)
			continue;
		fluidnpu_queue_retire(queue, job);
		fluidnpu_job_end(job, error, NULL);
	}
	fluidnpu_queue_collect(queue);
}
