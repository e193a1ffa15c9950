// SPDX-License-Identifier: MIT
/*
 * The Fluid Batching Engine: the control unit that decides, at every layer
 * boundary, which live batch runs next.
 *
 * Time advances in groups of layers (group.c). One group runs at a time; between two of them
 * is a boundary, and the engine stands at one also while it is idle. Everything that changes
 * who is in which batch happens there, so that a group runs to its end with the samples that it
 * started with; only an abort, a reset or a disabled queue cuts it short.
 *
 * A queue is in one of these states (fnpu_queue_state()); d is the number of preempted
 * batches beneath the running one, the depth of the paper's stack of (B_old, l_old). "At rest"
 * is WAITING when there are entries on the ring, otherwise EMPTY.
 *
 *	OFF		not enabled
 *	EMPTY		nothing in flight, nothing on the ring
 *	WAITING		nothing in flight, entries on the ring
 *	ACTIVE(d)	1 + d batches are in flight
 *	HALTED		a job failed; what else is in flight, if anything, stays as it is
 *	ENDING		jobs were aborted; their completions wait for room
 *
 *	event				from		to
 *	ENABLE				any		EMPTY
 *	DISABLE				any		OFF, nothing is reported
 *	doorbell			EMPTY		WAITING
 *	NOP or YIELD taken		WAITING		at rest
 *	RUN or INJECT taken		WAITING		ACTIVE(0)
 *	INJECT taken			ACTIVE(d)	ACTIVE(d + 1); as it was if it fits the batch
 *	YIELD taken			ACTIVE(d)	ACTIVE(less) or at rest
 *	group ends			ACTIVE(d)	as it was
 *	  and all leave at its exit	ACTIVE(d)	ACTIVE(d - 1) or at rest
 *	  or are to stop there
 *	  and meets the one below	ACTIVE(d)	ACTIVE(d - 1); as it was if that gets full
 *	entry or group fails		WAITING, ACTIVE	HALTED
 *	RESUME				HALTED		ACTIVE(d) or at rest
 *	ABORT				WAITING, ACTIVE, HALTED with something to end	ENDING
 *	completions posted		ENDING		HALTED if it was, else at rest
 *	another queue is served		ACTIVE(d)	as it was; what it has on chip leaves
 *
 * At a boundary, in this order (fnpu_engine_schedule()): YIELDs at the head of any active queue
 * are taken; the most urgent queue that has something to do is served, that is, an entry is taken
 * that can be taken now, or else a group starts. The first repeats until a group runs. So an
 * entry waits one group at most once it is at the head: INJECT when its queue is served, YIELD
 * whichever is.
 *
 * No completion is ever dropped: an entry is taken only when the ring has room for
 * fnpu_entry_completions(), a group starts only when it has for fnpu_batch_completions(), and
 * aborted jobs are reported only into room that no running group may need. Each is at most
 * 3 * FLUIDNPU_MAX_BATCH, which any completion ring holds (fnpu_cq_enable()).
 */
#include "fnpu_internal.h"

/* Waits until the worker has nothing of this device in its hands. Returns true if it was late. */
bool fnpu_engine_quiesce(struct fnpu_dev *dev)
{
	bool late;

	if (!dev->worker_busy)
		return false;
	late = dev->ops->work_wait(dev->host);
	dev->worker_busy = false;
	dev->late = false;
	return late;
}

/* Stops the group that runs, of which nobody wants the results: the worker does not finish it. */
void fnpu_engine_stop(struct fnpu_dev *dev)
{
	__atomic_store_n(&dev->s.work.cancel, true, __ATOMIC_RELAXED);
	fnpu_engine_quiesce(dev);
	dev->s.running = -1;
	dev->s.group_end = FNPU_NEVER;
}

/* Stops it if it is one of the queue. The NPU was busy with it all the same. */
static void stop_queue(struct fnpu_dev *dev, unsigned int queue)
{
	if (dev->s.running != (int)queue)
		return;
	fnpu_group_cut(dev);
	fnpu_engine_stop(dev);
}

/* Has the running group's time come without its results, and must the host not wait? */
bool fnpu_engine_held_up(struct fnpu_dev *dev)
{
	if (!dev->worker_busy || dev->s.group_end > dev->s.time || !dev->ops->work_ready)
		return false;
	if (dev->ops->work_ready(dev->host))
		return false;
	if (!dev->late)
		dev->s.counters[FLUIDNPU_CNT_LATE_EVENTS]++;
	dev->late = true;
	return true;
}

/* Reports aborted jobs as far as there is room that the running group will not need. */
static void end_aborted(struct fnpu_dev *dev)
{
	struct fnpu_state *s = &dev->s;
	unsigned int kept = 0;

	if (s->running >= 0)
		kept = fnpu_batch_completions(&s->queues[s->running]);
	for (unsigned int i = 0; i < dev->config.geometry.num_queues; i++) {
		struct fnpu_queue *q = &s->queues[i];

		for (unsigned int j = 0; j < FNPU_MAX_JOBS && q->ending; j++) {
			if (!q->jobs[j].used)
				continue;
			if (fnpu_cq_room(&s->cq) <= kept)
				return;
			fnpu_job_end(dev, i, &q->jobs[j],
				     &(struct fnpu_fault){ .status = FLUIDNPU_ERR_ABORTED });
		}
		q->ending = false;
	}
}

static void take_yields(struct fnpu_dev *dev)
{
	for (unsigned int i = 0; i < dev->config.geometry.num_queues; i++)
		while (fnpu_queue_state(&dev->s.queues[i]) == FNPU_QUEUE_ACTIVE &&
		       fnpu_cq_room(&dev->s.cq) >= fnpu_entry_completions(dev) &&
		       fnpu_entry_take(dev, i, false))
			;
}

/*
 * The queue to serve at this boundary: highest priority; of equal ones an active one, as
 * only a higher priority preempts, then the lowest index; -1: none has work.
 */
static int pick_queue(const struct fnpu_dev *dev)
{
	enum fnpu_queue_state best_state = FNPU_QUEUE_OFF;
	uint32_t best_priority = 0;
	int best = -1;

	for (unsigned int i = 0; i < dev->config.geometry.num_queues; i++) {
		const struct fnpu_queue *q = &dev->s.queues[i];
		enum fnpu_queue_state state = fnpu_queue_state(q);

		if (state != FNPU_QUEUE_WAITING && state != FNPU_QUEUE_ACTIVE)
			continue;
		if (best >= 0 && (q->priority < best_priority ||
				  (q->priority == best_priority && state <= best_state)))
			continue;
		best = i;
		best_state = state;
		best_priority = q->priority;
	}
	return best;
}

/* The queue has its turn. Returns false when it has to wait for room in the completion ring. */
static bool serve(struct fnpu_dev *dev, unsigned int queue)
{
	struct fnpu_queue *q = &dev->s.queues[queue];
	const unsigned int room = fnpu_cq_room(&dev->s.cq);

	if (room >= fnpu_entry_completions(dev) && fnpu_entry_take(dev, queue, true))
		return true;
	if (dev->s.fatal || !q->num_batches ||
	    room < fnpu_batch_completions(q))
		return false;
	fnpu_group_start(dev, queue);
	return true;
}

/* Does all that can be done at this boundary, up to the start of a group. */
void fnpu_engine_schedule(struct fnpu_dev *dev)
{
	int queue;

	end_aborted(dev);
	while (dev->s.enabled && !dev->s.fatal && dev->s.running < 0) {
		take_yields(dev);
		queue = pick_queue(dev);
		if (queue < 0 || !serve(dev, queue))
			break;
	}
	fnpu_cq_interrupt(dev);
}

/* Does what is due at dev->s.time. */
void fnpu_engine_advance(struct fnpu_dev *dev)
{
	if (dev->s.running >= 0 && dev->s.group_end <= dev->s.time) {
		if (fnpu_engine_quiesce(dev))
			dev->s.counters[FLUIDNPU_CNT_LATE_EVENTS]++;
		fnpu_group_finish(dev);
	}
	fnpu_engine_schedule(dev);
}

/*
 * Ends what the queue has in flight, or, if that is nothing, what it would run next. The
 * completions are fnpu_engine_schedule()'s to post, which knows whether there is room.
 */
void fnpu_engine_abort(struct fnpu_dev *dev, unsigned int queue)
{
	struct fnpu_queue *q = &dev->s.queues[queue];

	if (!q->enabled || q->ending || (!q->num_batches && q->head == q->tail))
		return;
	stop_queue(dev, queue);
	fnpu_entry_abort(dev, queue);
}

/* Forgets what the queue has in flight without a completion. */
void fnpu_engine_drop(struct fnpu_dev *dev, unsigned int queue)
{
	struct fnpu_queue *q = &dev->s.queues[queue];

	stop_queue(dev, queue);
	q->num_batches = 0;
	for (unsigned int i = 0; i < FNPU_MAX_JOBS; i++)
		q->jobs[i].used = false;
	q->ending = false;
}
