// SPDX-License-Identifier: MIT
/*
 * Ring entries: what is checked when a job starts, and how it ends.
 *
 * A queue takes its entries in order, at layer boundaries:
 *
 *	RUN, NOP	when nothing of the queue is in flight
 *	INJECT		when the queue has its turn, if it fits what is in flight (inject_fits());
 *			until then it waits, and what is behind it
 *	YIELD		at the engine's next boundary, whichever queue has its turn: a job that was
 *			preempted by another queue does not have to run again to be handed back
 *
 * What an entry refers to is guest memory: it is copied, and the copy is checked and used.
 * All jobs in flight of a queue share one program and the copy of its header. An entry
 * that is not valid ends with an error and halts the queue; what is in flight beside it
 * stays as it is until the queue is resumed.
 */
#include <string.h>

#include "fnpu_internal.h"

#define PROGRAM_ALIGN 64	/* bytes */

/** fnpu_entry_completions() - how many fnpu_entry_take() can cause: those of a YIELD */
unsigned int fnpu_entry_completions(const struct fnpu_dev *dev)
{
	return dev->config.geometry.max_batch + 2;	/* samples, target, itself */
}

/* When the job started, as its completions say: one that ends before has not run at all. */
uint64_t fnpu_job_started(const struct fnpu_dev *dev, const struct fnpu_job *job)
{
	return job->started_time < dev->s.time ? job->started_time : dev->s.time;
}

/* Posts the completion of a job and frees its slot. Its samples are the caller's to forget. */
void fnpu_job_end(struct fnpu_dev *dev, unsigned int queue, struct fnpu_job *job,
		  const struct fnpu_fault *fault)
{
	struct fluidnpu_hw_cqe cqe = {
		.cookie = job->cookie,
		.time = dev->s.time,
		.queued = job->queued_time,
		.started = fnpu_job_started(dev, job),
		.type = FLUIDNPU_CQE_JOB,
		.status = fault->status,
		.queue = queue,
		.live_batch = job->live + job->handed_back,
		.layer = job->layer,
	};

	if (fault->status == FLUIDNPU_ERR_MMU_FAULT || fault->status == FLUIDNPU_ERR_DMA) {
		cqe.fault_iova_lo = (uint32_t)fault->iova;
		cqe.fault_iova_hi = fault->iova >> 32;
		cqe.fault_write = fault->write;
	}
	fnpu_cq_post(dev, &cqe);
	fnpu_count(dev, queue, FLUIDNPU_CNT_JOBS, 1);
	if (fault->status)
		fnpu_count(dev, queue, FLUIDNPU_CNT_JOB_ERRORS, 1);
	job->used = false;
}

/* Something went wrong with the queue's jobs: nothing more of it runs until RESUME. */
void fnpu_queue_fault(struct fnpu_dev *dev, unsigned int queue, const struct fnpu_fault *fault)
{
	if (fault->status == FLUIDNPU_ERR_MMU_FAULT)
		fnpu_count(dev, queue, FLUIDNPU_CNT_MMU_FAULTS, 1);
	dev->s.queues[queue].halted = true;
}

/* Takes the entry at the head, of which @sqe is a copy, off the ring. */
static struct fnpu_job pop(struct fnpu_dev *dev, unsigned int queue,
			   const struct fluidnpu_hw_sqe *sqe)
{
	return (struct fnpu_job){
		.used = true,
		.flags = sqe->flags,
		.stop_layer = sqe->stop_layer,
		.cookie = sqe->cookie,
		.queued_time = fnpu_queue_pop(&dev->s.queues[queue]),
		.started_time = FNPU_NEVER,
	};
}

/* Takes an entry off the ring and reports it: done, or not valid. */
static void pop_and_end(struct fnpu_dev *dev, unsigned int queue, const struct fluidnpu_hw_sqe *sqe,
			const struct fnpu_fault *fault)
{
	struct fnpu_job job = pop(dev, queue, sqe);

	fnpu_job_end(dev, queue, &job, fault);
	if (fault->status)
		fnpu_queue_fault(dev, queue, fault);
}

/* A slot for a job; there is always one, as each that is used has a sample on the stack. */
static unsigned int free_slot(const struct fnpu_queue *q)
{
	unsigned int i = 0;

	while (q->jobs[i].used)
		i++;
	return i;
}

/* Takes a valid RUN or INJECT off the ring, with its @samples on top of the stack. */
static void admit(struct fnpu_dev *dev, unsigned int queue, const struct fluidnpu_hw_sqe *sqe,
		  const struct fluidnpu_hw_sample *samples)
{
	struct fnpu_queue *q = &dev->s.queues[queue];
	const unsigned int slot = free_slot(q);
	struct fnpu_batch b = {
		.next_layer = samples[0].start_layer,
		.num = sqe->num_samples,
	};

	q->jobs[slot] = pop(dev, queue, sqe);
	q->jobs[slot].live = b.num;
	q->jobs[slot].layer = b.next_layer;
	for (unsigned int i = 0; i < b.num; i++)
		b.members[i] = (struct fnpu_member){
			.hw = samples[i],
			.job = slot,
			.index = i,
			.evicted = b.next_layer,	/* what it has is in memory */
		};
	fnpu_batch_push(dev, queue, &b);
	fnpu_count(dev, queue, FLUIDNPU_CNT_SAMPLES, b.num);
}

/* Only an entry's own fields; addresses are checked when they are used. */
static bool sqe_valid(const struct fluidnpu_hw_sqe *sqe, const struct fluidnpu_hw_geometry *g)
{
	if (sqe->reserved[0] || sqe->reserved[1])
		return false;
	switch (sqe->opcode) {
	case FLUIDNPU_OP_NOP:
		return !sqe->num_samples && !sqe->target && !sqe->stop_layer &&
		       !(sqe->flags & ~FLUIDNPU_SQE_NO_EXIT);
	case FLUIDNPU_OP_YIELD:
		return !sqe->flags && !sqe->as_id && !sqe->num_samples && !sqe->program_iova &&
		       !sqe->program_bytes && !sqe->samples_addr && !sqe->stop_layer;
	default:
		return sqe->num_samples && sqe->num_samples <= g->max_batch &&
		       sqe->as_id < g->num_as && !(sqe->program_iova % PROGRAM_ALIGN) &&
		       !sqe->target && !(sqe->flags & ~FLUIDNPU_SQE_NO_EXIT);
	}
}

/* Is the header one that this NPU runs? What it refers to is checked when it is used. */
uint8_t fnpu_program_check(const struct fluidnpu_hw_program *p,
			   const struct fluidnpu_hw_geometry *g, uint32_t program_bytes)
{
	uint64_t layers_end = p->layers_off +
			      (uint64_t)p->num_layers * sizeof(struct fluidnpu_hw_layer);
	uint64_t control_end = p->control_off + (uint64_t)p->num_layers * p->max_batch *
			       sizeof(struct fluidnpu_hw_policy);

	if (p->magic != FLUIDNPU_PROGRAM_MAGIC || p->version != FLUIDNPU_PROGRAM_VERSION)
		return FLUIDNPU_ERR_PROGRAM;
	if (p->total_bytes > program_bytes)
		return FLUIDNPU_ERR_PROGRAM;
	if (!p->num_layers || p->num_layers > FLUIDNPU_MAX_LAYERS || layers_end > p->total_bytes)
		return FLUIDNPU_ERR_PROGRAM;
	if (!p->max_batch || p->max_batch > g->max_batch || control_end > p->total_bytes)
		return FLUIDNPU_ERR_PROGRAM;
	if (!p->num_exits || p->num_exits > FLUIDNPU_MAX_EXITS)
		return FLUIDNPU_ERR_PROGRAM;
	for (unsigned int i = 0; i < sizeof(p->reserved) / sizeof(p->reserved[0]); i++)
		if (p->reserved[i])
			return FLUIDNPU_ERR_PROGRAM;
	return FLUIDNPU_OK;
}

static bool read_samples(struct fnpu_dev *dev, const struct fluidnpu_hw_sqe *sqe,
			 struct fluidnpu_hw_sample *samples, struct fnpu_fault *fault)
{
	if (fnpu_dma_read(dev, sqe->samples_addr, samples, sqe->num_samples * sizeof(*samples)))
		return true;
	*fault = (struct fnpu_fault){ FLUIDNPU_ERR_DMA, false, sqe->samples_addr };
	return false;
}

static bool samples_valid(const struct fluidnpu_hw_sqe *sqe,
			  const struct fluidnpu_hw_sample *samples,
			  const struct fluidnpu_hw_program *program)
{
	if (sqe->num_samples > program->max_batch)
		return false;
	for (unsigned int i = 0; i < sqe->num_samples; i++) {
		const struct fluidnpu_hw_sample *s = &samples[i];

		if (s->start_layer != samples[0].start_layer ||
		    s->start_layer >= program->num_layers || s->reserved[0] || s->reserved[1] ||
		    s->reserved[2] || s->reserved[3])
			return false;
	}
	return true;
}

/* The first job of an empty queue: its program becomes the queue's. */
static void take_run(struct fnpu_dev *dev, unsigned int queue, const struct fluidnpu_hw_sqe *sqe)
{
	struct fluidnpu_hw_sample samples[FLUIDNPU_MAX_BATCH];
	struct fnpu_queue *q = &dev->s.queues[queue];
	struct fnpu_fault fault = { 0 };

	if (!read_samples(dev, sqe, samples, &fault) ||
	    !fnpu_vm_read(dev, sqe->as_id, sqe->program_iova, &q->program, sizeof(q->program),
			  &fault)) {
		pop_and_end(dev, queue, sqe, &fault);
		return;
	}
	fault.status = fnpu_program_check(&q->program, &dev->config.geometry, sqe->program_bytes);
	if (!fault.status && !samples_valid(sqe, samples, &q->program))
		fault.status = FLUIDNPU_ERR_SQE;
	if (fault.status) {
		pop_and_end(dev, queue, sqe, &fault);
		return;
	}
	q->as_id = sqe->as_id;
	q->program_iova = sqe->program_iova;
	q->program_bytes = sqe->program_bytes;
	admit(dev, queue, sqe, samples);
}

/* Can the samples join what is in flight, and is there room for them? */
static bool inject_fits(const struct fnpu_dev *dev, struct fnpu_queue *q, unsigned int num_samples,
			uint32_t start_layer)
{
	const struct fnpu_batch *running = fnpu_batch_running(q);
	const unsigned int depth = dev->config.geometry.stack_depth;

	if (start_layer > running->next_layer)
		return false;
	if (depth && start_layer == running->next_layer &&
	    running->num + num_samples <= q->program.max_batch)
		return true;
	return q->num_batches - 1 < depth;
}

/* Returns true when the entry has left the ring. */
static bool take_inject(struct fnpu_dev *dev, unsigned int queue,
			const struct fluidnpu_hw_sqe *sqe)
{
	struct fluidnpu_hw_sample samples[FLUIDNPU_MAX_BATCH];
	struct fnpu_queue *q = &dev->s.queues[queue];
	struct fluidnpu_hw_program program;
	struct fnpu_fault fault = { 0 };

	if (sqe->as_id != q->as_id || sqe->program_iova != q->program_iova ||
	    sqe->program_bytes != q->program_bytes)
		return false;
	if (read_samples(dev, sqe, samples, &fault)) {
		if (!samples_valid(sqe, samples, &q->program))
			fault.status = FLUIDNPU_ERR_SQE;
		else if (!inject_fits(dev, q, sqe->num_samples, samples[0].start_layer))
			return false;
		else if (fnpu_vm_read(dev, sqe->as_id, sqe->program_iova, &program,
				      sizeof(program), &fault) &&
			 memcmp(&program, &q->program, sizeof(program)))
			fault.status = FLUIDNPU_ERR_PROGRAM;
	}
	if (fault.status) {
		pop_and_end(dev, queue, sqe, &fault);
		return true;
	}
	admit(dev, queue, sqe, samples);
	fnpu_count(dev, queue, FLUIDNPU_CNT_INJECTS, 1);
	return true;
}

/* Hands back every sample of the job that has not left, and ends it. */
static void yield_job(struct fnpu_dev *dev, unsigned int queue, unsigned int slot)
{
	struct fnpu_queue *q = &dev->s.queues[queue];

	for (unsigned int i = 0; i < q->num_batches; i++) {
		const struct fnpu_batch *b = &q->batches[i];

		for (unsigned int j = 0; j < b->num; j++)
			if (b->members[j].job == slot)
				fnpu_batch_hand_back(dev, queue, b, &b->members[j]);
	}
	fnpu_job_end(dev, queue, &q->jobs[slot], &(struct fnpu_fault){ 0 });
	fnpu_batch_forget(dev, queue, slot);
}

static void take_yield(struct fnpu_dev *dev, unsigned int queue, const struct fluidnpu_hw_sqe *sqe)
{
	const struct fnpu_queue *q = &dev->s.queues[queue];

	for (unsigned int i = 0; i < FNPU_MAX_JOBS; i++) {
		if (q->jobs[i].used && q->jobs[i].cookie == sqe->target) {
			yield_job(dev, queue, i);
			break;
		}
	}
	pop_and_end(dev, queue, sqe, &(struct fnpu_fault){ 0 });
}

/**
 * fnpu_entry_take() - take the entry at the head of a queue's ring, if it is its time
 * @served: the queue has its turn; otherwise only a YIELD is taken
 *
 * The queue is FNPU_QUEUE_WAITING or FNPU_QUEUE_ACTIVE and the completion ring has room for
 * fnpu_entry_completions(). Returns true when an entry has left the ring.
 */
bool fnpu_entry_take(struct fnpu_dev *dev, unsigned int queue, bool served)
{
	const struct fnpu_queue *q = &dev->s.queues[queue];
	const bool in_flight = q->num_batches;
	struct fluidnpu_hw_sqe sqe;

	if (q->head == q->tail || !fnpu_queue_peek(dev, queue, &sqe))
		return false;
	if (!served && sqe.opcode != FLUIDNPU_OP_YIELD)
		return false;
	if (in_flight && sqe.opcode != FLUIDNPU_OP_INJECT && sqe.opcode != FLUIDNPU_OP_YIELD)
		return false;

	if (sqe.opcode > FLUIDNPU_OP_YIELD) {
		pop_and_end(dev, queue, &sqe, &(struct fnpu_fault){ .status = FLUIDNPU_ERR_OPCODE });
		return true;
	}
	if (!sqe_valid(&sqe, &dev->config.geometry)) {
		pop_and_end(dev, queue, &sqe, &(struct fnpu_fault){ .status = FLUIDNPU_ERR_SQE });
		return true;
	}
	if (sqe.opcode == FLUIDNPU_OP_INJECT && in_flight)
		return take_inject(dev, queue, &sqe);
	if (sqe.opcode == FLUIDNPU_OP_NOP)
		pop_and_end(dev, queue, &sqe, &(struct fnpu_fault){ 0 });
	else if (sqe.opcode == FLUIDNPU_OP_YIELD)
		take_yield(dev, queue, &sqe);
	else
		take_run(dev, queue, &sqe);	/* an INJECT, too: there is nothing to join */
	return true;
}

/*
 * Ends all jobs in flight, or, if there are none, the entry that would be taken next: they
 * keep their slots until fnpu_engine_schedule() has room to report them.
 */
void fnpu_entry_abort(struct fnpu_dev *dev, unsigned int queue)
{
	struct fnpu_queue *q = &dev->s.queues[queue];
	struct fluidnpu_hw_sqe sqe;

	if (!q->num_batches) {
		if (!fnpu_queue_peek(dev, queue, &sqe))
			return;
		q->jobs[0] = pop(dev, queue, &sqe);
	}
	q->num_batches = 0;
	q->ending = true;
}
