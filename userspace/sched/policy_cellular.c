// SPDX-License-Identifier: MIT
/*
 * cellular: cellular batching (Gao, Yu, Wu and Li, "Low latency RNN inference with cellular
 * batching", EuroSys 2018; the system is BatchMaker), with the stage between two exits as the cell.
 *
 * A batch runs one cell; then everybody is put back, and the next cell's batch is formed anew of
 * all that are there (algorithm 1 of the paper): prefer a cell for which a full batch is
 * ready, then one that nothing runs of, then any. The NPU runs one batch at a time, so nothing runs
 * of any cell when it is free. Among equals the deeper cell goes first, as in the
 * paper (decoders before encoders), then the network with the older sample.
 */
#include "policy.h"

/* Is @a to be preferred to @b? */
static bool better(const struct fnpu_sched *s, uint32_t a, uint32_t b)
{
	const struct former_group *ga = &s->former.groups[a], *gb = &s->former.groups[b];
	const bool full_a = ga->count >= sched_model_of(s, a)->costs.max_batch;
	const bool full_b = gb->count >= sched_model_of(s, b)->costs.max_batch;
	const uint32_t cell_a = sched_model_of(s, a)->costs.next_exit[sched_layer_of(s, a)];
	const uint32_t cell_b = sched_model_of(s, b)->costs.next_exit[sched_layer_of(s, b)];

	if (full_a != full_b)
		return full_a;
	if (cell_a != cell_b)
		return cell_a > cell_b;
	return s->former.nodes[ga->first].key < s->former.nodes[gb->first].key;
}

static bool cellular_decide(struct fnpu_sched *s, uint64_t now, struct fnpu_sched_decision *d)
{
	uint32_t best = s->former.active;
	const struct costs *c;

	if (s->batches_in_flight || best == FORMER_NONE)
		return false;
	for (uint32_t g = s->former.groups[best].next; g != FORMER_NONE;
	     g = s->former.groups[g].next)
		if (better(s, g, best))
			best = g;
	c = &sched_model_of(s, best)->costs;
	return sched_start(s, now, best, FNPU_SCHED_MAX_BATCH,
			   costs_exit_boundary(c, c->next_exit[sched_layer_of(s, best)]), d);
}

const struct fnpu_policy fnpu_policy_cellular = {
	.info = {
		.name = "cellular",
		.rule = "BatchMaker: one stage at a time; a full batch first, then the deepest stage",
		.work_conserving = true,
		.preempts = true,
	},
	.sets = 1,
	.decide = cellular_decide,
};
