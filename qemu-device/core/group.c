// SPDX-License-Identifier: MIT
/*
 * A group of layers (a matrix layer and the vector layers fused with it) for the running
 * batch of a queue: fetched, priced, started, finished.
 *
 * When it starts, its descriptors and its control-block row are copied from guest memory and
 * checked; the time model says under the layouts of that row when it ends; and a
 * copy of all that it needs goes to the worker. When its time has come, the results take
 * effect: the batch moves on, and samples leave (batch.c).
 *
 * The activation SRAM is the running batch's. What another batch left there is written to
 * DRAM before a group starts, and what this one's samples have in DRAM is read: those that
 * were preempted, and those that software brought in the middle of the network. Both take DRAM
 * time before the group. Samples that yield are written back, too, and the next group waits
 * for that. All of this time is the group's: it is busy, and stalled.
 *
 * What a sample has on chip behind a group is taken to be live_bytes of the group's first
 * layer, the group's inputs included. That errs on the dear side: a compiler knows what of it
 * is still needed, but a descriptor does not say. Like the price of a group it is found pass
 * by pass (fnpu_cost_pass()): what was priced as resident has to be moved.
 */
#include <string.h>

#include "fnpu_internal.h"

/* Descriptors of the group: its first starts at a boundary, a head is its last. */
static bool extends_group(const struct fnpu_work *w, const struct fluidnpu_hw_layer *layer)
{
	if (!w->num_layers)
		return !(layer->flags & FLUIDNPU_LAYER_FUSED);
	return w->layers[w->num_layers - 1].op != FLUIDNPU_LAYER_EXIT &&
	       layer->op != FLUIDNPU_LAYER_CONV;
}

/* Exit indices grow with depth: no sample passes a head twice, or an earlier one later. */
static bool in_exit_order(const struct fnpu_batch *b, const struct fluidnpu_hw_layer *layer)
{
	if (layer->op != FLUIDNPU_LAYER_EXIT)
		return true;
	for (unsigned int i = 0; i < b->num; i++)
		if (layer->exit_index < b->members[i].exits_passed)
			return false;
	return true;
}

/* Copies the group at the batch's next layer out of the program and checks it. */
static bool load_group(struct fnpu_dev *dev, const struct fnpu_queue *q,
		       const struct fnpu_batch *b, struct fnpu_fault *fault)
{
	const struct fluidnpu_hw_program *p = &q->program;
	struct fnpu_work *w = &dev->s.work;
	uint32_t l = b->next_layer;

	for (w->num_layers = 0; l < p->num_layers && w->num_layers < FLUIDNPU_MAX_GROUP; l++) {
		struct fluidnpu_hw_layer *layer = &w->layers[w->num_layers];

		if (!fnpu_vm_read(dev, q->as_id, q->program_iova + p->layers_off +
				  (uint64_t)l * sizeof(*layer), layer, sizeof(*layer), fault))
			return false;
		fnpu_fault_corrupt(dev, layer);
		if (w->num_layers && !(layer->flags & FLUIDNPU_LAYER_FUSED))
			break;
		if (!extends_group(w, layer) || !in_exit_order(b, layer) ||
		    !fnpu_layer_valid(p, layer)) {
			*fault = (struct fnpu_fault){ .status = FLUIDNPU_ERR_LAYER };
			return false;
		}
		w->num_layers++;
	}
	/* the network ends with an exit */
	if (!fnpu_group_affordable(w->layers, w->num_layers) ||
	    (l == p->num_layers && w->layers[w->num_layers - 1].op != FLUIDNPU_LAYER_EXIT)) {
		*fault = (struct fnpu_fault){ .status = FLUIDNPU_ERR_LAYER };
		return false;
	}
	return true;
}

/* Prices the group for the batch, under the layouts of the control block. */
static bool price_group(struct fnpu_dev *dev, const struct fnpu_queue *q,
			const struct fnpu_batch *b, struct fnpu_fault *fault)
{
	const struct fluidnpu_hw_program *p = &q->program;
	struct fluidnpu_hw_policy row[FLUIDNPU_MAX_BATCH];
	struct fnpu_work *w = &dev->s.work;
	uint64_t iova = q->program_iova + p->control_off +
			(uint64_t)b->next_layer * p->max_batch * sizeof(row[0]);

	if (!fnpu_vm_read(dev, q->as_id, iova, row, p->max_batch * sizeof(row[0]), fault))
		return false;
	memset(&dev->s.group_cost, 0, sizeof(dev->s.group_cost));
	w->num_passes = fnpu_split_batch(&dev->pricing, row, b->num, w->passes);
	if (!w->num_passes) {
		*fault = (struct fnpu_fault){ .status = FLUIDNPU_ERR_POLICY };
		return false;
	}
	for (unsigned int i = 0; i < w->num_passes; i++)
		fnpu_cost_pass(&dev->pricing, w->layers, w->num_layers, &w->passes[i],
			       &dev->s.group_cost);
	return true;
}

/* Of the running group. */
static uint32_t sram_share(const struct fnpu_dev *dev, unsigned int member)
{
	const struct fnpu_work *w = &dev->s.work;

	return fnpu_sram_share(&dev->config.geometry, w->layers[0].live_bytes, w->passes, member);
}

/* Writes back what @b has on chip; returns the cycles that takes. */
static uint64_t put_aside(struct fnpu_dev *dev, unsigned int queue, struct fnpu_batch *b)
{
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < b->num; i++) {
		if (!b->members[i].evicted)
			bytes += b->members[i].sram_bytes;
		b->members[i].evicted = true;
	}
	b->on_chip = false;
	fnpu_count(dev, queue, FLUIDNPU_CNT_PREEMPTIONS, 1);
	fnpu_count(dev, queue, FLUIDNPU_CNT_DRAM_WRITE_BYTES, bytes);
	return fnpu_dram_cycles(&dev->pricing, bytes);
}

/* Reads what the samples of @b have in DRAM; returns the cycles that takes. */
static uint64_t bring_back(struct fnpu_dev *dev, unsigned int queue, struct fnpu_batch *b)
{
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < b->num; i++) {
		struct fnpu_member *m = &b->members[i];

		if (!m->evicted)
			continue;
		/* one that has not run yet brings what its first group needs */
		bytes += m->hw.start_layer == b->next_layer ? sram_share(dev, i) : m->sram_bytes;
		m->evicted = false;
	}
	b->on_chip = true;
	fnpu_count(dev, queue, FLUIDNPU_CNT_DRAM_READ_BYTES, bytes);
	return fnpu_dram_cycles(&dev->pricing, bytes);
}

/* Makes the running batch of @queue the one on chip; returns the cycles that takes. */
static uint64_t switch_state(struct fnpu_dev *dev, unsigned int queue)
{
	struct fnpu_batch *running = fnpu_batch_running(&dev->s.queues[queue]);
	uint64_t cycles = 0;

	for (unsigned int i = 0; i < dev->config.geometry.num_queues; i++) {
		struct fnpu_queue *q = &dev->s.queues[i];

		for (unsigned int j = 0; j < q->num_batches; j++)
			if (q->batches[j].on_chip && &q->batches[j] != running)
				cycles += put_aside(dev, i, &q->batches[j]);
	}
	return cycles + bring_back(dev, queue, running);
}

/* A sample leaves in the middle of the network: what it has on chip goes to DRAM. */
void fnpu_group_write_back(struct fnpu_dev *dev, unsigned int queue, const struct fnpu_member *m)
{
	struct fnpu_state *s = &dev->s;

	if (m->evicted)
		return;
	if (s->write_back_end < s->time)
		s->write_back_end = s->time;
	s->write_back_end += fnpu_dram_cycles(&dev->pricing, m->sram_bytes);
	fnpu_count(dev, queue, FLUIDNPU_CNT_DRAM_WRITE_BYTES, m->sram_bytes);
}

static void fill_work(struct fnpu_dev *dev, const struct fnpu_queue *q, const struct fnpu_batch *b)
{
	struct fnpu_work *w = &dev->s.work;

	w->as_id = q->as_id;
	w->program_iova = q->program_iova;
	w->num_samples = b->num;
	for (unsigned int i = 0; i < b->num; i++)
		w->samples[i] = b->members[i].hw;
	memset(w->heads, 0, sizeof(w->heads));
	w->fault = (struct fnpu_fault){ 0 };
	w->cancel = false;
}

static void start_jobs(const struct fnpu_dev *dev, struct fnpu_queue *q)
{
	const struct fnpu_batch *b = fnpu_batch_running(q);

	for (unsigned int i = 0; i < b->num; i++) {
		struct fnpu_job *job = &q->jobs[b->members[i].job];

		if (job->started_time == FNPU_NEVER)
			job->started_time = dev->s.time;
	}
}

/**
 * fnpu_group_start() - start the next group of the queue's running batch
 *
 * If that is not possible the batch fails. The completion ring has room for
 * fnpu_batch_completions().
 */
void fnpu_group_start(struct fnpu_dev *dev, unsigned int queue)
{
	struct fnpu_queue *q = &dev->s.queues[queue];
	const struct fnpu_batch *b = fnpu_batch_running(q);
	struct fnpu_state *s = &dev->s;
	struct fnpu_fault fault = { 0 };

	if (!load_group(dev, q, b, &fault) || !price_group(dev, q, b, &fault)) {
		fnpu_batch_fail(dev, queue, &fault);
		return;
	}
	start_jobs(dev, q);
	s->group_begin = s->time;
	s->switch_end = s->time < s->write_back_end ? s->write_back_end : s->time;
	s->switch_end += switch_state(dev, queue);
	s->group_end = s->switch_end + s->group_cost.cycles;
	if (fnpu_fault_hangs(dev, b->next_layer, s->work.num_layers))
		s->group_end = FNPU_NEVER;
	s->running = queue;
	fill_work(dev, q, b);
	if (dev->config.functional) {
		dev->worker_busy = true;
		dev->ops->work_start(dev->host);
	}
}

/* The running group has had the NPU from its begin to now; all of that counts, useful or not. */
static void count_time(struct fnpu_dev *dev, unsigned int queue)
{
	const struct fluidnpu_hw_geometry *g = &dev->config.geometry;
	const struct fnpu_state *s = &dev->s;
	const unsigned int batch = fnpu_batch_running(&dev->s.queues[queue])->num;
	const uint64_t macs_per_cycle = (uint64_t)g->tile_depth * g->tile_cols;
	const uint64_t cycles = s->time - s->group_begin;
	const uint64_t switched = s->switch_end < s->time ? s->switch_end : s->time;

	fnpu_count(dev, queue, FLUIDNPU_CNT_BUSY_CYCLES, cycles);
	fnpu_count(dev, queue, FLUIDNPU_CNT_STALL_CYCLES, switched - s->group_begin);
	fnpu_count(dev, queue, FLUIDNPU_CNT_OFFERED_MACS, fnpu_mul(cycles, macs_per_cycle));
	fnpu_count(dev, queue, FLUIDNPU_CNT_BATCH + batch - 1, cycles);
}

/* What the group has done for the network. */
static void count_results(struct fnpu_dev *dev, unsigned int queue)
{
	const struct fnpu_cost *c = &dev->s.group_cost;

	fnpu_count(dev, queue, FLUIDNPU_CNT_USEFUL_MACS, c->useful_macs);
	fnpu_count(dev, queue, FLUIDNPU_CNT_DRAM_READ_BYTES, c->weight_bytes);
	fnpu_count(dev, queue, FLUIDNPU_CNT_DRAM_READ_BYTES, c->act_read_bytes);
	fnpu_count(dev, queue, FLUIDNPU_CNT_DRAM_WRITE_BYTES, c->act_write_bytes);
	fnpu_count(dev, queue, FLUIDNPU_CNT_WEIGHT_BYTES, c->weight_bytes);
	fnpu_count(dev, queue, FLUIDNPU_CNT_WEIGHT_USED_BYTES, c->weight_used_bytes);
	fnpu_count(dev, queue, FLUIDNPU_CNT_LAYERS, dev->s.work.num_layers);
}

/* The running group ends before its time, and nobody wants its results. */
void fnpu_group_cut(struct fnpu_dev *dev)
{
	count_time(dev, dev->s.running);
}

/* The running group's time has come, and the worker has finished: its results take effect. */
void fnpu_group_finish(struct fnpu_dev *dev)
{
	const unsigned int queue = dev->s.running;
	struct fnpu_batch *b = fnpu_batch_running(&dev->s.queues[queue]);
	const struct fnpu_work *w = &dev->s.work;
	const struct fluidnpu_hw_layer *tail = &w->layers[w->num_layers - 1];

	count_time(dev, queue);
	fnpu_count(dev, queue, FLUIDNPU_CNT_STALL_CYCLES, dev->s.group_cost.stall_cycles);
	dev->s.running = -1;
	dev->s.group_end = FNPU_NEVER;
	if (w->fault.status) {
		fnpu_batch_fail(dev, queue, &w->fault);
		return;
	}
	count_results(dev, queue);
	for (unsigned int i = 0; i < b->num; i++)
		b->members[i].sram_bytes = sram_share(dev, i);
	fnpu_batch_advance(dev, queue, b->next_layer + w->num_layers,
			   tail->op == FLUIDNPU_LAYER_EXIT ? tail : NULL, w->heads);
}
