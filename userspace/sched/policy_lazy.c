// SPDX-License-Identifier: MIT
/*
 * lazy: LazyBatching (Choi, Kim and Rhu, HPCA 2021). Batches form while they run: a stack of
 * {layer, samples}, whose top runs a layer at a time. Arrivals are pushed, which preempts, as
 * long as everybody's slack allows; the top that reaches the layer of the entry below merges with
 * it.
 *
 * Slack of a sample: deadline - now - the sum of the times that all samples of the stack, and those
 * that are to be pushed, take alone from the first to the last layer: pessimistic, as in the paper
 * (batching and exits are gains that are not counted on). While it is not negative for any of them,
 * arrivals are admitted, in their order. If a sample would be late even alone, there is nothing
 * to protect: everything is admitted. The stack of a network, which becomes one batch in the end,
 * holds no more than the maximum batch. It shrinks at exits, and is not filled up because of
 * one: arrivals and the end of all work are what makes the policy look.
 *
 * Here the stack is the former's groups behind layer 0: what was admitted and stopped waits at its
 * layer, and of a network the lowest layer is the top, since what is pushed starts at layer 0 and
 * merges with whatever it catches up with. A layer at a time means that the batch may be stopped
 * at any layer: the policy stops it when it wants to push, and where it is to merge.
 *
 * Where the device can, the first push onto a running batch is its INJECT, which keeps on the
 * chip what is to be merged; others stop the batch and push by starting the new samples.
 */
#include "policy.h"

/**
 * struct lazy - @look: something arrived, or all work ended
 * @model: that ran last: the top of the stack is its
 */
struct lazy {
	bool look;
	uint32_t model;
};

/** struct slack - of a set of samples: earliest deadline, work, is one late even alone? */
struct slack {
	uint64_t deadline;
	uint64_t work;
	bool late;
};

static void add(const struct fnpu_sched *s, uint64_t now, uint32_t id, struct slack *slack)
{
	const struct sched_sample *sample = &s->samples[id];
	const uint64_t alone = costs_rest(&s->models[sample->model].costs, 1, 0);

	slack->work += alone;
	if (sample->deadline < slack->deadline)
		slack->deadline = sample->deadline;
	if (sample->deadline < now + alone)
		slack->late = true;
}

/* The whole stack; returns how many of it are of @model. */
static uint32_t add_stack(struct fnpu_sched *s, uint64_t now, uint32_t model, struct slack *slack)
{
	const struct sched_batch *b = sched_running(s);
	uint32_t count = 0;

	for (uint32_t i = 0; b && i < b->count; i++)
		add(s, now, b->samples[i], slack);
	if (b && b->model == model)
		count = b->count;
	for (uint32_t g = s->former.active; g != FORMER_NONE; g = s->former.groups[g].next) {
		if (!sched_layer_of(s, g))
			continue;
		for (uint32_t id = s->former.groups[g].first; id != FORMER_NONE;
		     id = former_next(&s->former, id))
			add(s, now, id, slack);
		if (s->group_model[g] == model)
			count += s->former.groups[g].count;
	}
	return count;
}

/* The network whose oldest new sample is the oldest of all; its layer 0's group, or FORMER_NONE. */
static uint32_t oldest_new(const struct fnpu_sched *s)
{
	uint32_t oldest = FORMER_NONE;
	uint64_t key = UINT64_MAX;

	for (uint32_t g = s->former.active; g != FORMER_NONE; g = s->former.groups[g].next) {
		const struct former_node *first = &s->former.nodes[s->former.groups[g].first];

		if (sched_layer_of(s, g) || first->key >= key)
			continue;
		key = first->key;
		oldest = g;
	}
	return oldest;
}

/* How many of @group, new samples, the slack of all admits. */
static uint32_t admitted(struct fnpu_sched *s, uint64_t now, uint32_t group)
{
	const uint32_t model = s->group_model[group];
	struct slack slack = { .deadline = UINT64_MAX };
	const uint32_t stack = add_stack(s, now, model, &slack);
	const uint32_t room = s->models[model].costs.max_batch - stack;
	uint32_t id = s->former.groups[group].first, count = 0;

	while (count < room && id != FORMER_NONE) {
		add(s, now, id, &slack);
		if (!slack.late && now + slack.work > slack.deadline)
			break;
		count++;
		id = former_next(&s->former, id);
	}
	return count;
}

/* The lowest layer of @model from @layer on where samples wait, or FNPU_SCHED_NO_STOP. */
static uint32_t lowest_layer(const struct fnpu_sched *s, uint32_t model, uint32_t layer)
{
	uint32_t lowest = FNPU_SCHED_NO_STOP;

	for (uint32_t g = s->former.active; g != FORMER_NONE; g = s->former.groups[g].next) {
		const uint32_t at = sched_layer_of(s, g);

		if (s->group_model[g] == model && at >= layer && at < lowest)
			lowest = at;
	}
	return lowest;
}

static bool start(struct fnpu_sched *s, uint64_t now, uint32_t group, uint32_t count,
		  struct fnpu_sched_decision *d)
{
	struct lazy *lazy = s->state;

	lazy->model = s->group_model[group];
	return sched_start(s, now, group, count,
			   lowest_layer(s, lazy->model, sched_layer_of(s, group) + 1), d);
}

/* Push onto the batch that runs. */
static bool push(struct fnpu_sched *s, uint64_t now, struct sched_batch *b,
		 struct fnpu_sched_decision *d)
{
	static const char pushed[] = "everybody's slack allows the new ones to go first";
	struct lazy *lazy = s->state;
	const uint32_t group = oldest_new(s);
	uint32_t count;

	if (!lazy->look || b->yielding || !b->count || group == FORMER_NONE)
		return false;
	lazy->look = false;
	count = admitted(s, now, group);
	if (!count)
		return false;
	if (s->stack_depth && s->group_model[group] == b->model && !b->apart)
		return sched_inject(s, now, 0, group, count, d) && sched_because(d, pushed);
	lazy->look = true;	/* for when it has stopped */
	return sched_hand_back(s, 0, d) && sched_because(d, pushed);
}

/* Go on with the top of the stack. */
static bool resume(struct fnpu_sched *s, uint64_t now, struct fnpu_sched_decision *d)
{
	struct lazy *lazy = s->state;
	uint32_t layer = lowest_layer(s, lazy->model, 1);

	for (uint32_t g = s->former.active; layer == FNPU_SCHED_NO_STOP && g != FORMER_NONE;
	     g = s->former.groups[g].next) {
		lazy->model = s->group_model[g];
		layer = lowest_layer(s, lazy->model, 1);
	}
	if (layer == FNPU_SCHED_NO_STOP)
		return false;
	return start(s, now, s->models[lazy->model].group + layer, FNPU_SCHED_MAX_BATCH, d);
}

static bool lazy_decide(struct fnpu_sched *s, uint64_t now, struct fnpu_sched_decision *d)
{
	struct lazy *lazy = s->state;
	const bool look = lazy->look;
	uint32_t group, count;

	if (s->batches_in_flight)
		return push(s, now, &s->batches[0], d);
	group = oldest_new(s);
	lazy->look = false;
	if (look && group != FORMER_NONE) {
		count = admitted(s, now, group);
		if (count)
			return start(s, now, group, count, d);
	}
	if (resume(s, now, d))
		return true;
	/* Nothing is in the stack: what waits longest needs nobody's leave. */
	count = group == FORMER_NONE ? 0 : admitted(s, now, group);
	return group != FORMER_NONE && start(s, now, group, count ? count : 1, d);
}

static void lazy_arrival(struct fnpu_sched *s, uint64_t now, uint32_t id)
{
	(void)now;
	(void)id;
	((struct lazy *)s->state)->look = true;
}

const struct fnpu_policy fnpu_policy_lazy = {
	.info = {
		.name = "lazy",
		.rule = "LazyBatching: arrivals preempt and catch up while everybody's slack allows",
		.work_conserving = true,
		.preempts = true,
	},
	.sets = 1,
	.state_bytes = sizeof(struct lazy),
	.arrival = lazy_arrival,
	.decide = lazy_decide,
};
