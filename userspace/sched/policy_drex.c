// SPDX-License-Identifier: MIT
/*
 * drex: DREX, dynamic rebatching for early-exit networks. When samples exit, the rest of the batch
 * is regrouped with others at the same depth, if that pays; no preemption otherwise.
 *
 * b samples reach an exit and b' leave. Regrouping saves, in the deep layers, about b' * t_d, t_d
 * being the time of what follows per sample, and costs c for each of the b: so the rest is put
 * into the exit's buffer only if b' > (c / t_d) * b, and runs on as it is otherwise. Here c
 * is the time in which a sample's activations leave the chip and come back.
 *
 * When the NPU is free, a buffer is flushed that holds a full batch, or whose oldest sample has
 * waited in it for `age` (in times of one sample alone), or would miss its deadline if it waited on;
 * the deepest first. Otherwise new samples run, min(queue, max batch) at once. If
 * there are none, the deepest buffer is flushed.
 */
#include "policy.h"

enum { AGE };

static const struct fnpu_sched_param params[] = {
	[AGE] = { "age", "longest wait in a buffer, in times of one sample", 0, 1000, 1, NULL },
};

/** struct drex - @left: samples that left the batch that runs since the last decision */
struct drex {
	uint32_t left;
};

static bool pays(const struct fnpu_sched *s, const struct sched_batch *b, uint32_t left)
{
	const struct costs *c = sched_costs(s, b);
	const uint32_t layer = s->samples[b->samples[0]].layer;
	const double together = left + b->count;
	const double per_sample = 2 * (double)costs_switch(c, 1, layer);
	const double deep = (double)costs_rest(c, b->count, layer) / b->count;

	return left * deep > per_sample * together;
}

static bool must_flush(const struct fnpu_sched *s, uint64_t now, uint32_t group)
{
	const struct former_group *g = &s->former.groups[group];
	const struct costs *c = &sched_model_of(s, group)->costs;
	const struct sched_sample *first = &s->samples[g->first];
	const uint32_t batch = g->count < c->max_batch ? g->count : c->max_batch;
	/* If another batch of new samples ran before: */
	const uint64_t later = now + costs_rest(c, batch, sched_layer_of(s, group)) +
			       costs_to_exit(c, c->max_batch, 0);

	return g->count >= c->max_batch || later > first->deadline ||
	       (double)(now - first->since) >= s->params[AGE] * (double)costs_rest(c, 1, 0);
}

/** struct choice - the best groups of each sort, or FORMER_NONE */
struct choice {
	uint32_t flush;
	uint32_t buffer;
	uint32_t new;
};

static bool deeper(const struct fnpu_sched *s, uint32_t a, uint32_t b)
{
	return b == FORMER_NONE || sched_layer_of(s, a) > sched_layer_of(s, b);
}

static struct choice look(const struct fnpu_sched *s, uint64_t now)
{
	struct choice c = { FORMER_NONE, FORMER_NONE, FORMER_NONE };
	uint64_t oldest = UINT64_MAX;

	for (uint32_t g = s->former.active; g != FORMER_NONE; g = s->former.groups[g].next) {
		const uint64_t key = s->former.nodes[s->former.groups[g].first].key;

		if (!sched_layer_of(s, g)) {
			if (key < oldest)
				c.new = g;
			if (key < oldest)
				oldest = key;
			continue;
		}
		if (deeper(s, g, c.buffer))
			c.buffer = g;
		if (deeper(s, g, c.flush) && must_flush(s, now, g))
			c.flush = g;
	}
	return c;
}

static bool drex_decide(struct fnpu_sched *s, uint64_t now, struct fnpu_sched_decision *d)
{
	struct drex *drex = s->state;
	const struct sched_batch *b = sched_running(s);
	const uint32_t left = drex->left;
	struct choice c;

	drex->left = 0;
	if (b)
		return left && b->count && !b->yielding && pays(s, b, left) &&
		       sched_hand_back(s, 0, d) &&
		       sched_because(d, "enough have left for regrouping to pay");
	c = look(s, now);
	if (c.flush == FORMER_NONE)
		c.flush = c.new != FORMER_NONE ? c.new : c.buffer;
	return c.flush != FORMER_NONE &&
	       sched_start(s, now, c.flush, FNPU_SCHED_MAX_BATCH, FNPU_SCHED_NO_STOP, d);
}

static void drex_exit(struct fnpu_sched *s, uint64_t now, uint32_t id, uint32_t exit)
{
	(void)now;
	(void)id;
	(void)exit;
	((struct drex *)s->state)->left++;
}

const struct fnpu_policy fnpu_policy_drex = {
	.info = {
		.name = "drex",
		.rule = "DREX: after exits the rest is buffered and regrouped, if that pays",
		.work_conserving = true,
		.preempts = true,
		.num_params = sizeof(params) / sizeof(params[0]),
		.params = params,
	},
	.sets = 1,
	.state_bytes = sizeof(struct drex),
	.exit = drex_exit,
	.decide = drex_decide,
};
