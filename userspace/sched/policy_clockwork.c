// SPDX-License-Identifier: MIT
/*
 * clockwork: Gujarati et al., "Serving DNNs like Clockwork: performance predictability from the
 * bottom up", OSDI 2020. Execution times are known, so plan with them, and spend none on
 * what is late anyway.
 *
 * Samples wait by deadline. One that cannot make it, even started now and alone, is dropped. For
 * each network and each batch size B that its queue can fill there is a strategy, which has to
 * start at (deadline of the queue's head) - L(B); the first that is still possible runs. So a
 * network gets the largest batch that its most urgent sample can bear, and among networks the most
 * urgent goes first. L(B) is the time through the whole network: the policy knows no exits.
 */
#include "policy.h"

/* The largest batch of @group that its first sample can bear; 0: not even alone. */
static uint32_t bearable(const struct fnpu_sched *s, uint64_t now, uint32_t group)
{
	const struct costs *c = &sched_model_of(s, group)->costs;
	const uint64_t deadline = s->samples[s->former.groups[group].first].deadline;
	uint32_t batch = s->former.groups[group].count;

	if (batch > c->max_batch)
		batch = c->max_batch;
	while (batch && deadline < now + costs_rest(c, batch, 0))
		batch--;
	return batch;
}

static bool clockwork_decide(struct fnpu_sched *s, uint64_t now, struct fnpu_sched_decision *d)
{
	uint32_t best = FORMER_NONE, best_batch = 0;
	uint64_t earliest = UINT64_MAX;

	if (s->batches_in_flight == s->max_batches)
		return false;
	for (uint32_t g = s->former.active; g != FORMER_NONE; g = s->former.groups[g].next) {
		const uint32_t first = s->former.groups[g].first;
		const uint32_t batch = bearable(s, now, g);
		uint64_t start;

		if (!batch)
			return sched_drop(s, first, FNPU_SCHED_HOPELESS, d);
		start = s->samples[first].deadline -
			costs_rest(&sched_model_of(s, g)->costs, batch, 0);
		if (start >= earliest)
			continue;
		earliest = start;
		best = g;
		best_batch = batch;
	}
	if (best == FORMER_NONE)
		return false;
	return sched_start(s, now, best, best_batch, FNPU_SCHED_NO_STOP, d);
}

const struct fnpu_policy fnpu_policy_clockwork = {
	.info = {
		.name = "clockwork",
		.rule = "Clockwork: drop what cannot make its deadline, then the largest batch that can",
		.work_conserving = true,
		.drops = true,
	},
	.order = ORDER_DEADLINE,
	.sets = 1,
	.decide = clockwork_decide,
};
