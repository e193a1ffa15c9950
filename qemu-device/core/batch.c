// SPDX-License-Identifier: MIT
/*
 * Live batches: who is at which layer, and with whom.
 *
 * What a queue has in flight is a stack of batches, the paper's (B, l) each: the one on
 * top runs, those below were preempted by it, further into the network or at the same
 * layer. A batch knows its samples only, so that samples of several jobs can be in one, and
 * those of one job in two:
 *
 *	push	new samples, at an earlier layer, go on top
 *	merge	the top has reached the layer of the one below: they become one. Those
 *		that were preempted come first; what exceeds the program's largest batch waits
 *		below as a batch of its own
 *	exit	a sample leaves the top at an exit head; its job ends with its last sample
 *	stop	a sample leaves it where its job is to stop
 *	forget	a job's samples leave, wherever they are (YIELD, an error)
 *	pop	a batch without samples is none
 *
 * A top that is full goes on, and leaves behind what did not fit: from then on the batch
 * below is not further, and the two do not meet any more. It runs when the top has left. On a
 * deeper stack that full top can also reach, and pass, the layer of a batch two places down,
 * as only neighbours merge. Nothing is computed otherwise for that; a merge is missed.
 *
 * Each keeps this true: every batch on the stack has 1..program.max_batch samples, each
 * of a job that is in use, and a job's @live is the number of its samples there.
 */
#include <string.h>

#include "fnpu_internal.h"

/* The top of the stack; the queue has something in flight. */
struct fnpu_batch *fnpu_batch_running(struct fnpu_queue *q)
{
	return &q->batches[q->num_batches - 1];
}

/*
 * Completions that the end of the running batch's group can cause: one per sample and one per job,
 * and another one for who only passes the head there, and stops behind it.
 */
unsigned int fnpu_batch_completions(const struct fnpu_queue *q)
{
	const struct fnpu_batch *b = &q->batches[q->num_batches - 1];
	bool seen[FNPU_MAX_JOBS] = { false };
	unsigned int n = b->num;

	for (unsigned int i = 0; i < b->num; i++) {
		const struct fnpu_job *job = &q->jobs[b->members[i].job];

		n += !seen[b->members[i].job];
		n += job->stop_layer && (job->flags & FLUIDNPU_SQE_NO_EXIT);
		seen[b->members[i].job] = true;
	}
	return n;
}

/*
 * The top meets the batch below it. Returns true when they have become one; otherwise the
 * merged one is full and on top, and what did not fit is below it.
 */
static bool merge(struct fnpu_queue *q)
{
	struct fnpu_batch *top = fnpu_batch_running(q), *below = top - 1, rest;
	unsigned int moved = q->program.max_batch - below->num;

	if (moved > top->num)
		moved = top->num;
	memcpy(&below->members[below->num], top->members, moved * sizeof(top->members[0]));
	below->num += moved;
	if (moved)
		below->on_chip |= top->on_chip;
	if (moved == top->num) {
		q->num_batches--;
		return true;
	}
	rest = *top;
	rest.num -= moved;
	memmove(rest.members, &rest.members[moved], rest.num * sizeof(rest.members[0]));
	*top = *below;
	*below = rest;
	return false;
}

/* The top is new there, or it has moved: does it meet what it preempted? */
static void catch_up(struct fnpu_dev *dev, unsigned int queue)
{
	struct fnpu_queue *q = &dev->s.queues[queue];

	while (q->num_batches > 1) {
		const struct fnpu_batch *top = fnpu_batch_running(q), *below = top - 1;

		if (top->next_layer != below->next_layer)
			return;
		if (below->num < q->program.max_batch)
			fnpu_count(dev, queue, FLUIDNPU_CNT_MERGES, 1);
		if (!merge(q))
			return;
	}
}

/* Batches without samples leave the stack. */
static void pop_empty(struct fnpu_dev *dev, unsigned int queue)
{
	struct fnpu_queue *q = &dev->s.queues[queue];
	const bool new_top = !fnpu_batch_running(q)->num;
	unsigned int n = 0;

	for (unsigned int i = 0; i < q->num_batches; i++) {
		if (!q->batches[i].num)
			continue;
		if (n != i)
			q->batches[n] = q->batches[i];
		n++;
	}
	q->num_batches = n;
	if (new_top)
		catch_up(dev, queue);
}

/*
 * Puts @b on top of the stack. At the layer of the running batch it joins that at once, and
 * needs no place of its own if it fits.
 */
void fnpu_batch_push(struct fnpu_dev *dev, unsigned int queue, const struct fnpu_batch *b)
{
	struct fnpu_queue *q = &dev->s.queues[queue];
	struct fnpu_batch *running = q->num_batches ? fnpu_batch_running(q) : NULL;

	if (running && running->next_layer == b->next_layer &&
	    running->num + b->num <= q->program.max_batch) {
		memcpy(&running->members[running->num], b->members,
		       b->num * sizeof(b->members[0]));
		running->num += b->num;
		return;
	}
	q->batches[q->num_batches++] = *b;
	if (running && running->next_layer == b->next_layer)
		merge(q);
}

static void remove_job(struct fnpu_batch *b, unsigned int job)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < b->num; i++)
		if (b->members[i].job != job)
			b->members[n++] = b->members[i];
	b->num = n;
}

/* The samples of @job leave, wherever they are on the stack. */
void fnpu_batch_forget(struct fnpu_dev *dev, unsigned int queue, unsigned int job)
{
	struct fnpu_queue *q = &dev->s.queues[queue];

	for (unsigned int i = 0; i < q->num_batches; i++)
		remove_job(&q->batches[i], job);
	pop_empty(dev, queue);
}

/*
 * The running batch failed: every job that has a sample in it ends with @fault. Other jobs of
 * the stack stay, and go on when the driver has resumed the queue.
 */
void fnpu_batch_fail(struct fnpu_dev *dev, unsigned int queue, const struct fnpu_fault *fault)
{
	struct fnpu_queue *q = &dev->s.queues[queue];
	const struct fnpu_batch *b = fnpu_batch_running(q);
	bool failed[FNPU_MAX_JOBS] = { false };

	for (unsigned int i = 0; i < b->num; i++) {
		failed[b->members[i].job] = true;
		q->jobs[b->members[i].job].layer = b->next_layer;
	}
	for (unsigned int i = 0; i < FNPU_MAX_JOBS; i++) {
		if (!failed[i])
			continue;
		fnpu_job_end(dev, queue, &q->jobs[i], fault);
		for (unsigned int j = 0; j < q->num_batches; j++)
			remove_job(&q->batches[j], i);
	}
	pop_empty(dev, queue);
	fnpu_queue_fault(dev, queue, fault);
}

static bool confident(const struct fluidnpu_hw_layer *head, const struct fnpu_head_result *r)
{
	float threshold = fnpu_float(head->threshold);

	switch (head->exit_criterion) {
	case FLUIDNPU_EXIT_CONFIDENCE:
		return r->confidence >= threshold;
	case FLUIDNPU_EXIT_ENTROPY:
		return r->entropy <= threshold;
	default:
		return r->margin >= threshold;
	}
}

/* Does the sample leave at @head? Without results its sample table says where it does. */
static bool leaves(const struct fnpu_dev *dev, const struct fnpu_job *job,
		   const struct fnpu_member *m, const struct fluidnpu_hw_layer *head,
		   const struct fnpu_head_result *r)
{
	if (job->flags & FLUIDNPU_SQE_NO_EXIT)
		return false;
	if (dev->config.functional)
		return confident(head, r);
	return m->hw.exit_index <= head->exit_index;
}

static void post_exit(struct fnpu_dev *dev, unsigned int queue, const struct fnpu_member *m,
		      const struct fluidnpu_hw_layer *head, const struct fnpu_head_result *r,
		      bool out)
{
	struct fnpu_queue *q = &dev->s.queues[queue];
	const struct fnpu_batch *b = fnpu_batch_running(q);
	const struct fnpu_job *job = &q->jobs[m->job];

	fnpu_cq_post(dev, &(struct fluidnpu_hw_cqe){
		.cookie = job->cookie,
		.time = dev->s.time,
		.queued = job->queued_time,
		.started = fnpu_job_started(dev, job),
		.type = out ? FLUIDNPU_CQE_EXIT : FLUIDNPU_CQE_HEAD,
		.queue = queue,
		.sample = m->index,
		.class_index = r->class_index,
		.exit_index = head->exit_index,
		.live_batch = b->num,
		.confidence = fnpu_float_bits(r->confidence),
		.entropy = fnpu_float_bits(r->entropy),
		.margin = fnpu_float_bits(r->margin),
		.layer = b->next_layer - 1,
	});
}

/* The running batch goes on with its first @stay members; jobs of which that left none end. */
static void end_jobs(struct fnpu_dev *dev, unsigned int queue, const bool *left, unsigned int stay)
{
	struct fnpu_queue *q = &dev->s.queues[queue];

	fnpu_batch_running(q)->num = stay;
	for (unsigned int i = 0; i < FNPU_MAX_JOBS; i++)
		if (left[i] && !q->jobs[i].live)
			fnpu_job_end(dev, queue, &q->jobs[i], &(struct fnpu_fault){ 0 });
}

/*
 * The running batch has passed an exit head: who is sure leaves, at the last head everyone.
 * Jobs whose last sample that was end. @heads: what the head found, per member
 */
static void take_exits(struct fnpu_dev *dev, unsigned int queue,
		       const struct fluidnpu_hw_layer *head, const struct fnpu_head_result *heads)
{
	struct fnpu_queue *q = &dev->s.queues[queue];
	struct fnpu_batch *b = fnpu_batch_running(q);
	const bool last = b->next_layer == q->program.num_layers;
	bool left[FNPU_MAX_JOBS] = { false };
	unsigned int stay = 0;

	for (unsigned int i = 0; i < b->num; i++) {
		struct fnpu_member m = b->members[i];
		struct fnpu_job *job = &q->jobs[m.job];
		bool out = last || leaves(dev, job, &m, head, &heads[i]);

		if (out || (job->flags & FLUIDNPU_SQE_NO_EXIT))
			post_exit(dev, queue, &m, head, &heads[i], out);
		if (out) {
			fnpu_count(dev, queue, FLUIDNPU_CNT_EXITS + head->exit_index, 1);
			left[m.job] = true;
			job->live--;
		} else {
			m.exits_passed = head->exit_index + 1;
			b->members[stay++] = m;
		}
	}
	end_jobs(dev, queue, left, stay);
}

/* @m, a member of @b, is handed back: the caller takes it off @b. */
void fnpu_batch_hand_back(struct fnpu_dev *dev, unsigned int queue, const struct fnpu_batch *b,
			  const struct fnpu_member *m)
{
	struct fnpu_job *job = &dev->s.queues[queue].jobs[m->job];

	fnpu_cq_post(dev, &(struct fluidnpu_hw_cqe){
		.cookie = job->cookie,
		.time = dev->s.time,
		.queued = job->queued_time,
		.started = fnpu_job_started(dev, job),
		.type = FLUIDNPU_CQE_YIELD,
		.queue = queue,
		.sample = m->index,
		.layer = b->next_layer,
	});
	fnpu_group_write_back(dev, queue, m);
	fnpu_count(dev, queue, FLUIDNPU_CNT_YIELDS, 1);
	job->live--;
	job->handed_back++;
}

/* Who of the running batch stands where its job is to stop is handed back. */
static void take_stops(struct fnpu_dev *dev, unsigned int queue)
{
	struct fnpu_queue *q = &dev->s.queues[queue];
	struct fnpu_batch *b = fnpu_batch_running(q);
	bool left[FNPU_MAX_JOBS] = { false };
	unsigned int stay = 0;

	for (unsigned int i = 0; i < b->num; i++) {
		const struct fnpu_member m = b->members[i];
		const uint32_t stop = q->jobs[m.job].stop_layer;

		if (stop && b->next_layer >= stop) {
			fnpu_batch_hand_back(dev, queue, b, &m);
			left[m.job] = true;
		} else {
			b->members[stay++] = m;
		}
	}
	end_jobs(dev, queue, left, stay);
}

/*
 * The running batch has run a group and stands at @next_layer.
 * @head: the exit head that the group ended with, NULL: none
 * @heads: what it found, per member
 */
void fnpu_batch_advance(struct fnpu_dev *dev, unsigned int queue, uint32_t next_layer,
			const struct fluidnpu_hw_layer *head, const struct fnpu_head_result *heads)
{
	struct fnpu_queue *q = &dev->s.queues[queue];
	struct fnpu_batch *b = fnpu_batch_running(q);

	b->next_layer = next_layer;
	for (unsigned int i = 0; i < b->num; i++)
		q->jobs[b->members[i].job].layer = next_layer;
	if (head)
		take_exits(dev, queue, head, heads);
	take_stops(dev, queue);
	if (b->num)
		catch_up(dev, queue);
	else
		pop_empty(dev, queue);
}
