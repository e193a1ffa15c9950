// SPDX-License-Identifier: MIT
/*
 * The Fluid Batching Engine: the control unit that decides, at every layer
 * boundary, which live batch runs next and how it is laid out.
 *
 * Time advances in groups of layers (a matrix layer and what is fused with it).
 * When a group starts, its descriptors and its control-block row are copied from
 * guest memory, checked, priced by the time model, and handed to the worker; when its
 * modelled time has come, the worker is waited for and the results take effect:
 * samples whose confidence suffices leave and the live batch shrinks.
 *
 *	idle ──schedule()──► group runs ──group_end──► boundary ──schedule()──► ...
 *	                                                  │ job ended: CQE_JOB
 *	                                                  │ fault: CQE_JOB, queue halts
 *	                                                  └ other queue more urgent: preempt
 *
 * A queue has at most one job in flight (B_act = num_live, l = next_layer). When
 * a queue of higher priority has work at a boundary, the other's job simply stays in
 * its queue: its (B, l) is the preempted entry of the paper's stack. Its state
 * leaves the activation SRAM and comes back later, and both moves are charged.
 */
#include <string.h>

#include "fnpu_internal.h"

#define PROGRAM_ALIGN 64	/* bytes */

/* Waits until the worker has nothing of this device in its hands. */
void fnpu_engine_quiesce(struct fnpu_dev *dev)
{
	if (!dev->worker_busy)
		return;
	if (dev->ops->work_wait(dev->host))
		dev->s.counters[FLUIDNPU_CNT_LATE_EVENTS]++;
	dev->worker_busy = false;
	dev->late = false;
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

static void post_job(struct fnpu_dev *dev, unsigned int queue, const struct fnpu_fault *fault)
{
	const struct fnpu_job *job = &dev->s.queues[queue].job;
	struct fluidnpu_hw_cqe cqe = {
		.cookie = job->sqe.cookie,
		.time = dev->s.time,
		.queued = job->queued_time,
		.started = job->started_time,
		.type = FLUIDNPU_CQE_JOB,
		.status = fault->status,
		.queue = queue,
		.live_batch = job->num_live,
		.layer = job->next_layer,
	};

	if (fault->status == FLUIDNPU_ERR_MMU_FAULT || fault->status == FLUIDNPU_ERR_DMA) {
		cqe.fault_iova_lo = (uint32_t)fault->iova;
		cqe.fault_iova_hi = fault->iova >> 32;
		cqe.fault_write = fault->write;
	}
	if (fault->status == FLUIDNPU_ERR_MMU_FAULT)
		dev->s.counters[FLUIDNPU_CNT_MMU_FAULTS]++;
	fnpu_cq_post(dev, &cqe);
}

/* The queue's job ends here, with or without an error; errors halt the queue. */
static void end_job(struct fnpu_dev *dev, unsigned int queue, const struct fnpu_fault *fault)
{
	struct fnpu_queue *q = &dev->s.queues[queue];

	post_job(dev, queue, fault);
	dev->s.counters[FLUIDNPU_CNT_JOBS]++;
	if (fault->status) {
		dev->s.counters[FLUIDNPU_CNT_JOB_ERRORS]++;
		if (fault->status != FLUIDNPU_ERR_ABORTED)
			q->halted = true;
	}
	q->has_job = false;
}

/* Only an sqe's own fields; addresses are checked when they are used. */
static bool sqe_valid(const struct fluidnpu_hw_sqe *sqe, const struct fluidnpu_hw_geometry *g)
{
	if (sqe->reserved0 || sqe->target || sqe->reserved[0] || sqe->reserved[1] ||
	    (sqe->flags & ~FLUIDNPU_SQE_NO_EXIT))
		return false;
	if (sqe->opcode == FLUIDNPU_OP_NOP)
		return !sqe->num_samples;
	return sqe->num_samples && sqe->num_samples <= g->max_batch && sqe->as_id < g->num_as &&
	       !(sqe->program_iova % PROGRAM_ALIGN);
}

static bool sample_valid(const struct fluidnpu_hw_sample *s, uint32_t start_layer,
			 uint32_t num_layers)
{
	return s->start_layer == start_layer && start_layer < num_layers && !s->reserved[0] &&
	       !s->reserved[1] && !s->reserved[2] && !s->reserved[3];
}

static uint8_t check_program(const struct fluidnpu_hw_program *p,
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

/* Reads and checks what an sqe refers to, but for the layers. */
static bool load_job(struct fnpu_dev *dev, struct fnpu_job *job, struct fnpu_fault *fault)
{
	const struct fluidnpu_hw_sqe *sqe = &job->sqe;
	struct fluidnpu_hw_sample samples[FLUIDNPU_MAX_BATCH];

	if (!fnpu_dma_read(dev, sqe->samples_addr, samples,
				sqe->num_samples * sizeof(samples[0]))) {
		*fault = (struct fnpu_fault){ FLUIDNPU_ERR_DMA, false, sqe->samples_addr };
		return false;
	}
	if (!fnpu_vm_read(dev, sqe->as_id, sqe->program_iova, &job->program,
			  sizeof(job->program), fault))
		return false;
	fault->status = check_program(&job->program, &dev->config.geometry, sqe->program_bytes);
	if (fault->status)
		return false;

	fault->status = FLUIDNPU_ERR_SQE;
	if (sqe->num_samples > job->program.max_batch)
		return false;
	for (unsigned int i = 0; i < sqe->num_samples; i++) {
		if (!sample_valid(&samples[i], samples[0].start_layer, job->program.num_layers))
			return false;
		job->samples[i] = (struct fnpu_sample){ .hw = samples[i], .live = true };
	}
	job->num_live = sqe->num_samples;
	job->next_layer = samples[0].start_layer;
	fault->status = FLUIDNPU_OK;
	return true;
}

/* Takes the queue's next entry. Returns true when there is a job to run. */
static bool fetch_job(struct fnpu_dev *dev, unsigned int queue)
{
	struct fnpu_queue *q = &dev->s.queues[queue];
	struct fnpu_job *job = &q->job;
	struct fnpu_fault fault = { 0 };

	memset(job, 0, sizeof(*job));
	if (!fnpu_queue_peek(dev, queue, &job->sqe))
		return false;
	job->queued_time = q->queued_time[q->head];
	job->started_time = dev->s.time;
	q->head = (q->head + 1) % q->entries;
	q->has_job = true;

	if (job->sqe.opcode != FLUIDNPU_OP_RUN && job->sqe.opcode != FLUIDNPU_OP_NOP) {
		fault.status = FLUIDNPU_ERR_OPCODE;
	} else if (!sqe_valid(&job->sqe, &dev->config.geometry)) {
		fault.status = FLUIDNPU_ERR_SQE;
	} else if (job->sqe.opcode == FLUIDNPU_OP_RUN && load_job(dev, job, &fault)) {
		dev->s.counters[FLUIDNPU_CNT_SAMPLES] += job->num_live;
		return true;
	}
	end_job(dev, queue, &fault);
	return false;
}

/* Copies the group at job->next_layer out of the program and checks it. */
static bool load_group(struct fnpu_dev *dev, struct fnpu_job *job, struct fnpu_fault *fault)
{
	const struct fluidnpu_hw_program *p = &job->program;
	struct fnpu_work *w = &dev->s.work;
	unsigned int n = 0;

	for (uint32_t l = job->next_layer; l < p->num_layers && n < FLUIDNPU_MAX_GROUP; l++) {
		struct fluidnpu_hw_layer *layer = &w->layers[n];

		if (!fnpu_vm_read(dev, job->sqe.as_id, job->sqe.program_iova + p->layers_off +
				  (uint64_t)l * sizeof(*layer), layer, sizeof(*layer), fault))
			return false;
		fnpu_fault_corrupt(dev, layer);
		if (n && !(layer->flags & FLUIDNPU_LAYER_FUSED))
			break;
		/* a group starts at a boundary, and a head is the last of its group */
		if ((!n && (layer->flags & FLUIDNPU_LAYER_FUSED)) ||
		    (n && w->layers[n - 1].op == FLUIDNPU_LAYER_EXIT) ||
		    !fnpu_layer_valid(p, layer)) {
			*fault = (struct fnpu_fault){ .status = FLUIDNPU_ERR_LAYER };
			return false;
		}
		n++;
	}
	/* the network ends with an exit */
	if (job->next_layer + n == p->num_layers && w->layers[n - 1].op != FLUIDNPU_LAYER_EXIT) {
		*fault = (struct fnpu_fault){ .status = FLUIDNPU_ERR_LAYER };
		return false;
	}
	w->num_layers = n;
	return true;
}

/* Prices the group for the live batch, under the layouts of the control block. */
static bool price_group(struct fnpu_dev *dev, struct fnpu_job *job, struct fnpu_fault *fault)
{
	const struct fluidnpu_hw_program *p = &job->program;
	struct fluidnpu_hw_policy row[FLUIDNPU_MAX_BATCH];
	struct fnpu_work *w = &dev->s.work;
	uint64_t iova = job->sqe.program_iova + p->control_off +
			(uint64_t)job->next_layer * p->max_batch * sizeof(row[0]);

	if (!fnpu_vm_read(dev, job->sqe.as_id, iova, row, p->max_batch * sizeof(row[0]), fault))
		return false;
	memset(&dev->s.group_cost, 0, sizeof(dev->s.group_cost));
	w->num_passes = fnpu_split_batch(&dev->pricing, row, job->num_live, w->passes);
	if (!w->num_passes) {
		*fault = (struct fnpu_fault){ .status = FLUIDNPU_ERR_POLICY };
		return false;
	}
	for (unsigned int i = 0; i < w->num_passes; i++)
		fnpu_cost_pass(&dev->pricing, w->layers, w->num_layers, &w->passes[i],
			       &dev->s.group_cost);
	return true;
}

static uint64_t dram_cycles(const struct fnpu_dev *dev, uint64_t bytes)
{
	const uint64_t rate = dev->pricing.dram_bytes_per_kcycle;

	return (bytes * 1024 + rate - 1) / rate;
}

/*
 * Jobs in mid-run on other queues lose their place in the activation SRAM when
 * this queue starts a group; this one's comes back if it had lost it.
 * Returns the cycles that both take.
 */
static uint64_t switch_state(struct fnpu_dev *dev, unsigned int queue)
{
	struct fnpu_job *job = &dev->s.queues[queue].job;
	uint64_t cycles = 0;

	for (unsigned int i = 0; i < dev->config.geometry.num_queues; i++) {
		struct fnpu_queue *q = &dev->s.queues[i];
		uint64_t bytes;

		if (i == queue || !q->has_job || !q->job.started || q->job.evicted)
			continue;
		bytes = (uint64_t)q->job.resident_bytes * q->job.num_live;
		dev->s.counters[FLUIDNPU_CNT_DRAM_WRITE_BYTES] += bytes;
		dev->s.counters[FLUIDNPU_CNT_PREEMPTIONS]++;
		cycles += dram_cycles(dev, bytes);
		q->job.evicted = true;
	}
	if (job->evicted) {
		uint64_t bytes = (uint64_t)job->resident_bytes * job->num_live;

		dev->s.counters[FLUIDNPU_CNT_DRAM_READ_BYTES] += bytes;
		cycles += dram_cycles(dev, bytes);
		job->evicted = false;
	}
	return cycles;
}

static void fill_work(struct fnpu_dev *dev, const struct fnpu_job *job)
{
	struct fnpu_work *w = &dev->s.work;

	w->as_id = job->sqe.as_id;
	w->program_iova = job->sqe.program_iova;
	w->program = job->program;
	w->num_samples = 0;
	for (unsigned int i = 0; i < job->sqe.num_samples; i++)
		if (job->samples[i].live)
			w->samples[w->num_samples++] = job->samples[i].hw;
	memset(w->heads, 0, sizeof(w->heads));
	w->fault = (struct fnpu_fault){ 0 };
	w->cancel = false;
}

static bool start_group(struct fnpu_dev *dev, unsigned int queue)
{
	struct fnpu_job *job = &dev->s.queues[queue].job;
	struct fnpu_fault fault = { 0 };

	if (!load_group(dev, job, &fault) || !price_group(dev, job, &fault)) {
		end_job(dev, queue, &fault);
		return false;
	}
	dev->s.group_end = dev->s.time + switch_state(dev, queue) + dev->s.group_cost.cycles;
	if (fnpu_fault_hangs(dev, job->next_layer, dev->s.work.num_layers))
		dev->s.group_end = FNPU_NEVER;
	job->started = true;
	dev->s.running = queue;
	fill_work(dev, job);
	if (dev->config.functional) {
		dev->worker_busy = true;
		dev->ops->work_start(dev->host);
	}
	return true;
}

/*
 * The queue to serve at this boundary: highest priority; of equal ones the one in
 * mid-job, as only a higher priority preempts, then the lowest index; -1: none has work.
 */
static int pick_queue(const struct fnpu_dev *dev)
{
	int best = -1;

	for (unsigned int i = 0; i < dev->config.geometry.num_queues; i++) {
		const struct fnpu_queue *q = &dev->s.queues[i];
		const struct fnpu_queue *b = &dev->s.queues[best < 0 ? 0 : best];

		if (!q->enabled || q->halted || q->aborted || (!q->has_job && q->head == q->tail))
			continue;
		if (best < 0 || q->priority > b->priority ||
		    (q->priority == b->priority && q->has_job && !b->has_job))
			best = i;
	}
	return best;
}

/* Reports aborted jobs as far as there is room that no running group may need. */
static void end_aborted(struct fnpu_dev *dev)
{
	const unsigned int kept = dev->s.running < 0 ? 0 : dev->config.geometry.max_batch + 1;

	for (unsigned int i = 0; i < dev->config.geometry.num_queues; i++) {
		struct fnpu_queue *q = &dev->s.queues[i];

		if (!q->aborted || fnpu_cq_room(&dev->s.cq) <= kept)
			continue;
		q->aborted = false;
		end_job(dev, i, &(struct fnpu_fault){ .status = FLUIDNPU_ERR_ABORTED });
	}
}

/* Starts a group if the engine is idle and there is work and room for its completions. */
void fnpu_engine_schedule(struct fnpu_dev *dev)
{
	end_aborted(dev);
	while (dev->s.enabled && !dev->s.fatal && dev->s.running < 0 &&
	       fnpu_cq_room(&dev->s.cq) > dev->config.geometry.max_batch) {
		int queue = pick_queue(dev);

		if (queue < 0)
			break;
		if (dev->s.queues[queue].has_job || fetch_job(dev, queue))
			start_group(dev, queue);
	}
	fnpu_cq_interrupt(dev);
}

static void count_group(struct fnpu_dev *dev, const struct fnpu_job *job, uint64_t cycles)
{
	const struct fluidnpu_hw_geometry *g = &dev->config.geometry;
	const struct fnpu_cost *c = &dev->s.group_cost;
	uint64_t *cnt = dev->s.counters;

	cnt[FLUIDNPU_CNT_BUSY_CYCLES] += cycles;
	cnt[FLUIDNPU_CNT_STALL_CYCLES] += c->stall_cycles;
	cnt[FLUIDNPU_CNT_USEFUL_MACS] += c->useful_macs;
	cnt[FLUIDNPU_CNT_OFFERED_MACS] += cycles * g->tile_depth * g->tile_cols;
	cnt[FLUIDNPU_CNT_DRAM_READ_BYTES] += c->weight_bytes + c->act_read_bytes;
	cnt[FLUIDNPU_CNT_DRAM_WRITE_BYTES] += c->act_write_bytes;
	cnt[FLUIDNPU_CNT_WEIGHT_BYTES] += c->weight_bytes;
	cnt[FLUIDNPU_CNT_WEIGHT_USED_BYTES] += c->weight_used_bytes;
	cnt[FLUIDNPU_CNT_LAYERS] += dev->s.work.num_layers;
	cnt[FLUIDNPU_CNT_BATCH + job->num_live - 1] += cycles;
}

static bool leaves(const struct fluidnpu_hw_layer *head, const struct fnpu_head_result *r)
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

/* At an exit head: report every live sample that leaves, and shrink the batch. */
static void take_exits(struct fnpu_dev *dev, unsigned int queue,
		       const struct fluidnpu_hw_layer *head, bool last)
{
	struct fnpu_job *job = &dev->s.queues[queue].job;
	const bool stay = job->sqe.flags & FLUIDNPU_SQE_NO_EXIT;
	const unsigned int batch = job->num_live;
	unsigned int w = 0;

	for (unsigned int i = 0; i < job->sqe.num_samples; i++) {
		struct fnpu_sample *s = &job->samples[i];
		const struct fnpu_head_result *r = &dev->s.work.heads[w];
		bool out;

		if (!s->live)
			continue;
		w++;
		if (last)
			out = true;
		else if (stay)
			out = false;
		else if (dev->config.functional)
			out = leaves(head, r);
		else
			out = s->hw.exit_index <= head->exit_index;
		if (!out && !stay)
			continue;

		fnpu_cq_post(dev, &(struct fluidnpu_hw_cqe){
			.cookie = job->sqe.cookie,
			.time = dev->s.time,
			.queued = job->queued_time,
			.started = job->started_time,
			.type = out ? FLUIDNPU_CQE_EXIT : FLUIDNPU_CQE_HEAD,
			.queue = queue,
			.sample = i,
			.class_index = r->class_index,
			.exit_index = head->exit_index,
			.live_batch = batch,
			.confidence = fnpu_float_bits(r->confidence),
			.entropy = fnpu_float_bits(r->entropy),
			.margin = fnpu_float_bits(r->margin),
			.layer = job->next_layer + dev->s.work.num_layers - 1,
		});
		if (out) {
			dev->s.counters[FLUIDNPU_CNT_EXITS + head->exit_index]++;
			s->live = false;
			job->num_live--;
		}
	}
}

/* The running group's time has come: its results take effect. */
static void finish_group(struct fnpu_dev *dev)
{
	const unsigned int queue = dev->s.running;
	struct fnpu_queue *q = &dev->s.queues[queue];
	struct fnpu_job *job = &q->job;
	const struct fluidnpu_hw_layer *tail = &dev->s.work.layers[dev->s.work.num_layers - 1];
	uint64_t live_bytes = dev->s.work.layers[0].live_bytes;
	uint32_t end = job->next_layer + dev->s.work.num_layers;

	fnpu_engine_quiesce(dev);
	dev->s.running = -1;
	dev->s.group_end = FNPU_NEVER;
	if (dev->s.work.fault.status) {
		end_job(dev, queue, &dev->s.work.fault);
		return;
	}
	count_group(dev, job, dev->s.group_cost.cycles);
	job->resident_bytes = live_bytes * job->num_live <= dev->config.geometry.act_sram_bytes ?
			      live_bytes : 0;
	if (tail->op == FLUIDNPU_LAYER_EXIT)
		take_exits(dev, queue, tail, end == job->program.num_layers);
	job->next_layer = end;
	if (!job->num_live)
		end_job(dev, queue, &(struct fnpu_fault){ 0 });
}

/* Does what is due at dev->s.time. */
void fnpu_engine_advance(struct fnpu_dev *dev)
{
	if (dev->s.running >= 0 && dev->s.group_end <= dev->s.time)
		finish_group(dev);
	fnpu_engine_schedule(dev);
}

/*
 * Ends what the queue runs, or, if it runs nothing, what it would run next. The
 * completion is fnpu_engine_schedule()'s to post, which knows whether there is room.
 */
void fnpu_engine_abort(struct fnpu_dev *dev, unsigned int queue)
{
	struct fnpu_queue *q = &dev->s.queues[queue];

	if (!q->enabled || q->aborted || (!q->has_job && q->head == q->tail))
		return;
	if (!q->has_job) {
		memset(&q->job, 0, sizeof(q->job));
		if (!fnpu_queue_peek(dev, queue, &q->job.sqe))
			return;
		q->job.queued_time = q->queued_time[q->head];
		q->head = (q->head + 1) % q->entries;
	}
	fnpu_engine_drop(dev, queue);
	q->aborted = true;
}

/* Forgets the queue's job without a completion. */
void fnpu_engine_drop(struct fnpu_dev *dev, unsigned int queue)
{
	if (dev->s.running == (int)queue) {
		fnpu_engine_quiesce(dev);
		dev->s.running = -1;
		dev->s.group_end = FNPU_NEVER;
	}
	dev->s.queues[queue].has_job = false;
	dev->s.queues[queue].aborted = false;
}
