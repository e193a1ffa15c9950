// SPDX-License-Identifier: MIT
/*
 * fluid: the paper's scheduler (Kouris, Venieris, Laskaridis and Lane, "Fluid Batching: Exit-Aware
 * Preemptive Serving of Early-Exit Neural Networks on Edge NPUs", 2022): when samples exit, fill
 * the holes that they leave.
 *
 * An arrival into an idle engine starts min(queue, max batch). When samples exit, the scheduler may
 * preempt the B_act live ones, which are at layer l_old, and inject B_incr <= min(queue, max
 * batch - B_act) new ones, which run from layer 0 and merge there. It does for the largest
 * B_incr for which
 *
 *	every saved sample j keeps, with all samples going to the last layer,
 *		now + T(0..l_old, B_incr) + T(l_old..end, B_act + B_incr) <= deadline_j
 *	and the expected gain is positive: the sum over old and new samples of the times until
 *		they leave (exit shares as learnt) is less than if the new ones waited for the old.
 *
 * A single level: nothing is injected until those injected before have merged.
 */
#include "outlook.h"
#include "policy.h"

/** struct fluid - @exited: samples left since the last decision */
struct fluid {
	bool exited;
};

/* Sum of times that injecting @incr samples saves, less what it costs. */
static double gain(const struct fnpu_sched *s, const struct sched_batch *b, uint32_t layer,
		   uint32_t incr)
{
	const struct sched_model *m = &s->models[b->model];
	const struct costs *c = &m->costs;
	const double switches = 2 * (double)costs_switch(c, b->count, layer);
	const struct outlook old = outlook_of(c, &m->learn, b->count, layer, c->num_layers);
	const struct outlook new = outlook_of(c, &m->learn, incr, 0, c->num_layers);
	const struct outlook ahead = outlook_of(c, &m->learn, incr, 0, layer);
	const double merged = b->count + ahead.live;
	const struct outlook both = outlook_of(c, &m->learn, merged, layer, c->num_layers);
	const double wait = old.flow + incr * old.cycles + new.flow;
	const double inject = ahead.flow + merged * (ahead.cycles + switches) + both.flow;

	return wait - inject;
}

static bool deadlines_hold(const struct fnpu_sched *s, uint64_t now, const struct sched_batch *b,
			   uint32_t layer, uint32_t incr)
{
	const struct costs *c = sched_costs(s, b);
	const uint64_t end = now + costs_span(c, incr, 0, layer) +
			     2 * costs_switch(c, b->count, layer) +
			     costs_rest(c, b->count + incr, layer);

	for (uint32_t i = 0; i < b->count; i++)
		if (end > s->samples[b->samples[i]].deadline)
			return false;
	return true;
}

static bool inject(struct fnpu_sched *s, uint64_t now, const struct sched_batch *b,
		   struct fnpu_sched_decision *d)
{
	const uint32_t group = s->models[b->model].group;
	const uint32_t layer = sched_front(s, b).layer;
	uint32_t incr = s->former.groups[group].count;

	if (incr > sched_costs(s, b)->max_batch - b->count)
		incr = sched_costs(s, b)->max_batch - b->count;
	for (; incr; incr--)
		if (deadlines_hold(s, now, b, layer, incr) && gain(s, b, layer, incr) > 0)
			return sched_inject(s, now, 0, group, incr, d) &&
			       sched_because(d, "those in flight stay in time, and a gain is to be expected");
	return false;
}

static bool fluid_decide(struct fnpu_sched *s, uint64_t now, struct fnpu_sched_decision *d)
{
	struct fluid *fluid = s->state;
	struct sched_batch *b = sched_running(s);
	const bool exited = fluid->exited;
	uint32_t group;

	fluid->exited = false;
	if (b)
		return exited && b->count && !b->apart && inject(s, now, b, d);
	group = former_oldest(&s->former);
	return group != FORMER_NONE &&
	       sched_start(s, now, group, FNPU_SCHED_MAX_BATCH, FNPU_SCHED_NO_STOP, d) &&
	       sched_because(d, "nothing runs: all that wait");
}

static void fluid_exit(struct fnpu_sched *s, uint64_t now, uint32_t id, uint32_t exit)
{
	(void)now;
	(void)id;
	(void)exit;
	((struct fluid *)s->state)->exited = true;
}

const struct fnpu_policy fnpu_policy_fluid = {
	.info = {
		.name = "fluid",
		.rule = "the paper: at exits, preempt and inject new samples where all deadlines hold",
		.work_conserving = true,
		.preempts = true,
		.injects = true,
	},
	.sets = 1,
	.state_bytes = sizeof(struct fluid),
	.exit = fluid_exit,
	.decide = fluid_decide,
};
