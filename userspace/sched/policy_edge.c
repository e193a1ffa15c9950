// SPDX-License-Identifier: MIT
/*
 * edge: EdgeServing, deadline-aware serving of early-exit networks on one device: the exit
 * is the scheduler's choice, so it trades accuracy for time: both belong side by side.
 *
 * When the NPU is free, each network's candidate is its min(queue, max batch) oldest samples, to the
 * deepest exit at which the oldest still meets its deadline (the first exit if none). A candidate's
 * score is what it leaves behind: over all queues, without the candidate's samples, the number of
 * samples times the share of its SLO that the queue's oldest will have waited when the
 * candidate is done. The least runs. Samples still leave before that exit on their own.
 */
#include "policy.h"

/** struct pressure - of queues: samples / SLO, and samples * waited / SLO, summed up */
struct pressure {
	double rate;
	double waited;
};

static struct pressure pressure_of(const struct fnpu_sched *s, uint64_t now, uint32_t first,
				   uint32_t count)
{
	const struct sched_sample *sample = &s->samples[first];
	double slo;

	if (!count || sample->deadline == FNPU_SCHED_NEVER || sample->deadline <= sample->arrival)
		return (struct pressure){ 0 };
	slo = (double)(sample->deadline - sample->arrival);
	return (struct pressure){
		.rate = count / slo,
		.waited = count * (double)(now - sample->arrival) / slo,
	};
}

/** struct candidate - @count samples, that leave at @exit at the latest, in @cycles */
struct candidate {
	uint32_t count;
	uint32_t exit;
	uint64_t cycles;
};

static struct candidate candidate_of(const struct fnpu_sched *s, uint64_t now, uint32_t group)
{
	const struct former_group *g = &s->former.groups[group];
	const struct costs *c = &sched_model_of(s, group)->costs;
	const uint64_t deadline = s->samples[g->first].deadline;
	struct candidate best = {
		.count = g->count < c->max_batch ? g->count : c->max_batch,
		.exit = c->num_exits - 1,
	};

	for (;; best.exit--) {
		best.cycles = costs_span(c, best.count, 0, costs_exit_boundary(c, best.exit));
		if (!best.exit || now + best.cycles <= deadline)
			return best;
	}
}

static struct pressure pressure_of_all(const struct fnpu_sched *s, uint64_t now)
{
	struct pressure all = { 0 };

	for (uint32_t g = s->former.active; g != FORMER_NONE; g = s->former.groups[g].next) {
		const struct former_group *group = &s->former.groups[g];
		const struct pressure p = pressure_of(s, now, group->first, group->count);

		all.rate += p.rate;
		all.waited += p.waited;
	}
	return all;
}

/* What is left behind when candidate @c of @group is done. */
static double score(struct fnpu_sched *s, uint64_t now, const struct pressure *all, uint32_t group,
		    const struct candidate *c)
{
	const struct former_group *g = &s->former.groups[group];
	const struct pressure before = pressure_of(s, now, g->first, g->count);
	struct pressure after = { 0 };
	uint32_t rest = g->first;

	for (uint32_t i = 0; i < c->count; i++)
		rest = former_next(&s->former, rest);
	if (rest != FORMER_NONE)
		after = pressure_of(s, now, rest, g->count - c->count);
	return all->waited - before.waited + after.waited +
	       (all->rate - before.rate + after.rate) * (double)c->cycles;
}

static bool edge_decide(struct fnpu_sched *s, uint64_t now, struct fnpu_sched_decision *d)
{
	const struct pressure all = pressure_of_all(s, now);
	struct candidate best_candidate = { 0 };
	uint32_t best = FORMER_NONE;
	double least = 0;

	if (s->batches_in_flight == s->max_batches)
		return false;
	for (uint32_t g = s->former.active; g != FORMER_NONE; g = s->former.groups[g].next) {
		const struct candidate c = candidate_of(s, now, g);
		const double left = score(s, now, &all, g, &c);

		if (best != FORMER_NONE && left >= least)
			continue;
		best = g;
		best_candidate = c;
		least = left;
	}
	if (best == FORMER_NONE)
		return false;
	sched_start(s, now, best, best_candidate.count, FNPU_SCHED_NO_STOP, d);
	if (best_candidate.exit + 1 < sched_model_of(s, best)->costs.num_exits) {
		d->exit_limit = best_candidate.exit;
		s->batches[d->batch].exit_limit = best_candidate.exit;
	}
	return true;
}

const struct fnpu_policy fnpu_policy_edge = {
	.info = {
		.name = "edge",
		.rule = "EdgeServing: the deepest exit that meets the oldest sample's deadline",
		.work_conserving = true,
		.limits_exits = true,
	},
	.sets = 1,
	.decide = edge_decide,
};
