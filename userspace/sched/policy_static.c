// SPDX-License-Identifier: MIT
/*
 * static: wait for a full batch, but not for long (the dynamic batcher of NVIDIA's Triton
 * Inference Server: preferred_batch_size, max_queue_delay_microseconds).
 *
 * When the NPU is free, a network whose queue holds `size` samples starts `size` of them. One
 * whose oldest sample has waited `delay` starts what it has, up to `size`. Otherwise all wait. The
 * delay is in times that a sample of the network takes alone. Among several networks that may
 * start, the one with the oldest sample does.
 */
#include "policy.h"

enum { SIZE, DELAY };

static const struct fnpu_sched_param params[] = {
	[SIZE] = { "size", "samples of a batch; 0: the maximum batch", 0, FNPU_SCHED_MAX_BATCH, 0,
		   NULL },
	[DELAY] = { "delay", "longest wait for a full batch, in times of one sample", 0, 1000, 0.5,
		    NULL },
};

static uint32_t batch_size(const struct fnpu_sched *s, const struct costs *c)
{
	const uint32_t size = (uint32_t)s->params[SIZE];

	return size && size < c->max_batch ? size : c->max_batch;
}

/* When the samples of @group need not wait for more: at once, or behind the delay. */
static uint64_t ready_time(const struct fnpu_sched *s, uint32_t group)
{
	const struct former_group *g = &s->former.groups[group];
	const struct costs *c = &sched_model_of(s, group)->costs;

	if (g->count >= batch_size(s, c))
		return 0;
	return s->samples[g->first].arrival +
	       (uint64_t)(s->params[DELAY] * (double)costs_rest(c, 1, 0));
}

static bool static_decide(struct fnpu_sched *s, uint64_t now, struct fnpu_sched_decision *d)
{
	uint64_t oldest = UINT64_MAX;
	uint32_t best = FORMER_NONE;

	if (s->batches_in_flight == s->max_batches)
		return false;
	for (uint32_t g = s->former.active; g != FORMER_NONE; g = s->former.groups[g].next) {
		const struct former_node *first = &s->former.nodes[s->former.groups[g].first];
		const uint64_t ready = ready_time(s, g);

		if (ready > now) {
			if (ready < s->timer)
				s->timer = ready;
		} else if (first->key < oldest) {
			oldest = first->key;
			best = g;
		}
	}
	if (best == FORMER_NONE)
		return false;
	return sched_start(s, now, best, batch_size(s, &sched_model_of(s, best)->costs),
			   FNPU_SCHED_NO_STOP, d);
}

const struct fnpu_policy fnpu_policy_static = {
	.info = {
		.name = "static",
		.rule = "wait for a full batch, at most for a given time",
		.num_params = sizeof(params) / sizeof(params[0]),
		.params = params,
	},
	.sets = 1,
	.decide = static_decide,
};
