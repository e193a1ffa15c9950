// SPDX-License-Identifier: MIT
/* What a policy decides with: starting, stopping and following batches, dropping samples. */
#include "policy.h"

struct sched_front sched_front(const struct fnpu_sched *s, const struct sched_batch *b)
{
	struct sched_front front = { .layer = UINT32_MAX };

	for (uint32_t i = 0; i < b->count; i++) {
		const uint32_t layer = s->samples[b->samples[i]].layer;

		if (layer > front.layer)
			continue;
		if (layer < front.layer)
			front.count = 0;
		front.layer = layer;
		front.count++;
	}
	return front;
}

uint32_t sched_position(const struct fnpu_sched *s, const struct sched_batch *b, uint64_t now)
{
	const struct sched_front front = sched_front(s, b);

	if (now <= b->since)
		return front.layer;
	return costs_boundary(sched_costs(s, b), front.count, front.layer, now - b->since);
}

static uint32_t free_batch(const struct fnpu_sched *s)
{
	uint32_t batch = 0;

	while (s->batches[batch].started)
		batch++;
	return batch;
}

/* @count samples, from @first on in their group, go to @batch. */
static void take(struct fnpu_sched *s, uint32_t first, uint32_t count, uint32_t batch,
		 struct fnpu_sched_decision *d)
{
	struct sched_batch *b = &s->batches[batch];

	d->batch = batch;
	d->count = count;
	for (uint32_t i = 0; i < count; i++) {
		const uint32_t id = first;

		first = former_next(&s->former, id);
		if (first != FORMER_NONE)	/* with 10,000 waiting, half the time of a START */
			__builtin_prefetch(&s->samples[first], 1);
		sched_unwait(s, id);
		s->samples[id].state = SAMPLE_RUNNING;
		s->samples[id].batch = batch;
		d->samples[i] = id;
		b->samples[b->count++] = id;
	}
}

bool sched_start(struct fnpu_sched *s, uint64_t now, uint32_t group, uint32_t max,
		 uint32_t stop_layer, struct fnpu_sched_decision *d)
{
	const struct former_group *g = &s->former.groups[group];
	const uint32_t max_batch = sched_model_of(s, group)->costs.max_batch;
	uint32_t count = g->count;

	if (count > max)
		count = max;
	if (count > max_batch)
		count = max_batch;
	return sched_start_from(s, now, g->first, count, stop_layer, d);
}

bool sched_start_from(struct fnpu_sched *s, uint64_t now, uint32_t first, uint32_t count,
		      uint32_t stop_layer, struct fnpu_sched_decision *d)
{
	const uint32_t group = s->former.nodes[first].group;
	const struct sched_model *m = sched_model_of(s, group);
	const uint32_t batch = free_batch(s), layer = sched_layer_of(s, group);

	s->batches[batch] = (struct sched_batch){
		.started = count,
		.model = (uint32_t)(m - s->models),
		.stop_layer = stop_layer,
		.exit_limit = FNPU_SCHED_NO_LIMIT,
		.since = (now < s->write_back_end ? s->write_back_end : now) +
			 (layer ? costs_switch(&m->costs, count, layer) : 0),
	};
	s->batches_in_flight++;
	*d = (struct fnpu_sched_decision){
		.kind = FNPU_SCHED_START,
		.model = (uint32_t)(m - s->models),
		.layer = layer,
		.stop_layer = stop_layer,
		.exit_limit = FNPU_SCHED_NO_LIMIT,
	};
	take(s, first, count, batch, d);
	return true;
}

bool sched_inject(struct fnpu_sched *s, uint64_t now, uint32_t batch, uint32_t group,
		  uint32_t count, struct fnpu_sched_decision *d)
{
	struct sched_batch *b = &s->batches[batch];
	const struct costs *c = sched_costs(s, b);
	uint32_t layer = sched_position(s, b, now);

	/*
	 * Those in flight stop at their next boundary. Where that is not known from an event just
	 * now, it is an estimate, and they are rather held to be farther ahead.
	 */
	if (now != b->since && layer + 1 < c->num_layers)
		layer++;
	for (uint32_t i = 0; i < b->count; i++)
		if (s->samples[b->samples[i]].layer < layer)
			s->samples[b->samples[i]].layer = layer;
	b->since = now;
	b->apart = true;
	*d = (struct fnpu_sched_decision){
		.kind = FNPU_SCHED_INJECT,
		.model = b->model,
		.stop_layer = b->stop_layer,
		.exit_limit = b->exit_limit,
	};
	take(s, s->former.groups[group].first, count, batch, d);
	return true;
}

bool sched_hand_back(struct fnpu_sched *s, uint32_t batch, struct fnpu_sched_decision *d)
{
	s->batches[batch].yielding = true;
	*d = (struct fnpu_sched_decision){
		.kind = FNPU_SCHED_YIELD,
		.batch = batch,
		.model = s->batches[batch].model,
		.stop_layer = s->batches[batch].stop_layer,
		.exit_limit = s->batches[batch].exit_limit,
	};
	return true;
}

bool sched_drop(struct fnpu_sched *s, uint32_t id, enum fnpu_sched_reason reason,
		struct fnpu_sched_decision *d)
{
	sched_unwait(s, id);
	s->samples[id].state = SAMPLE_IDLE;
	*d = (struct fnpu_sched_decision){
		.kind = FNPU_SCHED_DROP,
		.reason = reason,
		.model = s->samples[id].model,
		.layer = s->samples[id].layer,
		.stop_layer = FNPU_SCHED_NO_STOP,
		.exit_limit = FNPU_SCHED_NO_LIMIT,
		.count = 1,
		.samples = { id },
	};
	return true;
}

void sched_move(struct fnpu_sched *s, uint32_t id, uint32_t group)
{
	const struct former_node n = s->former.nodes[id];

	former_remove(&s->former, id);
	former_add(&s->former, group, id, n.key, n.number);
}
