// SPDX-License-Identifier: MIT
/*
 * symphony: Chen et al., "Symphony: optimized DNN model serving using deferred batch scheduling",
 * 2023. The opposite of eager: batches grow while they may.
 *
 * Samples wait by deadline; what cannot make it, even started now and alone, is dropped. A queue of
 * B samples may wait for one more until (deadline of its head) - L(B + 1): then the B, which
 * can grow no more without breaking that deadline, starts. A full batch starts at once. B
 * is no larger than its head can bear. Among networks that may start, the head with the
 * earliest deadline goes first. L(B) is the time through the whole network.
 */
#include "policy.h"

/** struct candidate - what @group could start: @batch samples, from @start on */
struct candidate {
	uint32_t batch;
	uint64_t start;
};

static struct candidate candidate_of(const struct fnpu_sched *s, uint64_t now, uint32_t group)
{
	const struct costs *c = &sched_model_of(s, group)->costs;
	const struct former_group *g = &s->former.groups[group];
	const uint64_t deadline = s->samples[g->first].deadline;
	struct candidate best = { .batch = g->count < c->max_batch ? g->count : c->max_batch };

	while (best.batch && deadline < now + costs_rest(c, best.batch, 0))
		best.batch--;
	/* What the head cannot bear, or what is full, does not get better by waiting. */
	if (best.batch == g->count && best.batch < c->max_batch)
		best.start = deadline - costs_rest(c, best.batch + 1, 0);
	if (best.start > deadline)
		best.start = 0;
	return best;
}

static bool symphony_decide(struct fnpu_sched *s, uint64_t now, struct fnpu_sched_decision *d)
{
	uint32_t best = FORMER_NONE, best_batch = 0;
	uint64_t earliest = UINT64_MAX;

	if (s->batches_in_flight == s->max_batches)
		return false;
	for (uint32_t g = s->former.active; g != FORMER_NONE; g = s->former.groups[g].next) {
		const uint32_t first = s->former.groups[g].first;
		const struct candidate c = candidate_of(s, now, g);

		if (!c.batch)
			return sched_drop(s, first, FNPU_SCHED_HOPELESS, d);
		if (c.start > now && s->samples[first].deadline != FNPU_SCHED_NEVER) {
			if (c.start < s->timer)
				s->timer = c.start;
		} else if (best == FORMER_NONE || s->samples[first].deadline < earliest) {
			earliest = s->samples[first].deadline;
			best = g;
			best_batch = c.batch;
		}
	}
	if (best == FORMER_NONE)
		return false;
	return sched_start(s, now, best, best_batch, FNPU_SCHED_NO_STOP, d);
}

const struct fnpu_policy fnpu_policy_symphony = {
	.info = {
		.name = "symphony",
		.rule = "Symphony: wait for more until the most urgent deadline would break, then start",
		.drops = true,
	},
	.order = ORDER_DEADLINE,
	.sets = 1,
	.decide = symphony_decide,
};
