// SPDX-License-Identifier: MIT
/* The scheduler's life and its events. Decisions are made by policies, with batch.c. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "memory.h"
#include "policy.h"

#define MAX_LAYERS	65536u
#define MAX_MODELS	1024u
#define CLASS_BEST_EFFORT	(FNPU_SCHED_MAX_PRIORITY + 1)

/* ---- checking what it is made for ---- */

static int check_exits(const struct fnpu_sched_model *m, uint32_t index, struct fnpu_error *error)
{
	for (uint32_t e = 0; e < m->num_exits; e++) {
		if (m->exit_layers[e] >= m->num_layers ||
		    (e && m->exit_layers[e] <= m->exit_layers[e - 1]))
			return fnpu_fail(error, -EINVAL,
					 "model %u: the exits' layers do not ascend", index);
		if (m->exit_shares && !(m->exit_shares[e] >= 0 && isfinite(m->exit_shares[e])))
			return fnpu_fail(error, -EINVAL,
					 "model %u: the share of exit %u is no share", index, e);
	}
	if (m->exit_layers[m->num_exits - 1] != m->num_layers - 1)
		return fnpu_fail(error, -EINVAL,
				 "model %u: the last exit is not the last layer", index);
	return 0;
}

static int check_cycles(const struct fnpu_sched_model *m, uint32_t index, struct fnpu_error *error)
{
	for (uint32_t b = 0; b < m->max_batch; b++) {
		const uint64_t *row = &m->cycles[(size_t)b * (m->num_layers + 1)];

		for (uint32_t l = 0; l < m->num_layers; l++)
			if (row[l + 1] < row[l] || row[0])
				return fnpu_fail(error, -EINVAL,
						 "model %u: the costs of batch %u are no prefix sums",
						 index, b + 1);
	}
	return 0;
}

static int check_model(const struct fnpu_sched_model *m, uint32_t index, struct fnpu_error *error)
{
	int ret;

	if (!m->num_layers || m->num_layers > MAX_LAYERS)
		return fnpu_fail(error, -EINVAL, "model %u has %u layers: 1 to %u are possible",
				 index, m->num_layers, MAX_LAYERS);
	if (!m->max_batch || m->max_batch > FNPU_SCHED_MAX_BATCH)
		return fnpu_fail(error, -EINVAL, "model %u has a batch of %u: 1 to %u are possible",
				 index, m->max_batch, FNPU_SCHED_MAX_BATCH);
	if (!m->num_exits || m->num_exits > FNPU_SCHED_MAX_EXITS)
		return fnpu_fail(error, -EINVAL, "model %u has %u exits: 1 to %u are possible",
				 index, m->num_exits, FNPU_SCHED_MAX_EXITS);
	if (!m->cycles || !m->exit_layers)
		return fnpu_fail(error, -EINVAL, "model %u has no costs or no exits", index);
	ret = check_exits(m, index, error);
	return ret ? ret : check_cycles(m, index, error);
}

static int check_config(const struct fnpu_sched_config *c, struct fnpu_error *error)
{
	if (!c->models || !c->num_models || c->num_models > MAX_MODELS)
		return fnpu_fail(error, -EINVAL, "a scheduler is for 1 to %u models, not %u",
				 MAX_MODELS, c->num_models);
	if (!c->max_samples || c->max_samples == FORMER_NONE || !c->queue_bound || !c->max_batches)
		return fnpu_fail(error, -EINVAL,
				 "a scheduler is for at least one sample, waiting sample and batch");
	for (uint32_t i = 0; i < c->num_models; i++) {
		const int ret = check_model(&c->models[i], i, error);

		if (ret)
			return ret;
	}
	return 0;
}

/* ---- new and free ---- */

static int init_models(struct fnpu_sched *s, const struct fnpu_sched_config *c)
{
	for (uint32_t i = 0; i < c->num_models; i++) {
		struct sched_model *m = &s->models[i];
		const int ret = costs_init(&m->costs, &c->models[i]);

		if (ret)
			return ret;
		learn_init(&m->learn, c->models[i].num_exits, c->models[i].exit_shares);
		m->group = s->groups;
		s->groups += c->models[i].num_layers;
	}
	return 0;
}

static int init_memory(struct fnpu_sched *s, const struct fnpu_sched_config *c)
{
	uint32_t group = 0;
	int ret;

	s->state = calloc(1, s->policy->state_bytes + 1);
	s->models = calloc(c->num_models, sizeof(*s->models));
	s->samples = sched_calloc(c->max_samples, sizeof(*s->samples));
	s->batches = calloc(s->max_batches, sizeof(*s->batches));
	if (!s->state || !s->models || !s->samples || !s->batches)
		return -ENOMEM;
	ret = init_models(s, c);
	if (!ret)
		ret = former_init(&s->former, c->max_samples, s->groups * s->policy->sets);
	if (!ret)
		ret = former_init(&s->rejects, c->max_samples, 1);
	if (ret)
		return ret;
	s->group_model = calloc(s->groups, sizeof(*s->group_model));
	if (!s->group_model)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->num_models; i++)
		for (uint32_t l = 0; l < c->models[i].num_layers; l++)
			s->group_model[group++] = i;
	return 0;
}

int fnpu_sched_new(const struct fnpu_sched_config *config, struct fnpu_sched **sched,
		   struct fnpu_error *error)
{
	struct fnpu_sched *s = calloc(1, sizeof(*s));
	int ret;

	if (!s)
		return fnpu_fail(error, -ENOMEM, "no memory for a scheduler");
	s->policy = policy_find(config->policy, s->params, &ret, error);
	if (s->policy)
		ret = check_config(config, error);
	if (!ret && s->policy->info.injects && !config->stack_depth)
		ret = fnpu_fail(error, -ENOTSUP,
				"policy %s injects samples, and the device can put no batch aside for that",
				s->policy->info.name);
	if (!ret && s->policy->info.limits_exits && !config->can_limit_exits)
		ret = fnpu_fail(error, -ENOTSUP,
				"policy %s ends samples at exits of its choice, which is not possible here",
				s->policy->info.name);
	if (ret) {
		free(s);
		return ret;
	}
	s->num_models = config->num_models;
	s->max_samples = config->max_samples;
	s->queue_bound = config->queue_bound;
	s->max_batches = s->policy->info.preempts ? 1 : config->max_batches;
	s->stack_depth = config->stack_depth;
	s->timer = FNPU_SCHED_NEVER;
	ret = init_memory(s, config);
	s->initialized = !ret;
	if (!ret && s->policy->init)
		ret = s->policy->init(s);
	if (ret) {
		fnpu_sched_free(s);
		return fnpu_fail(error, ret, "no memory for a scheduler of %u samples",
				 config->max_samples);
	}
	*sched = s;
	return 0;
}

const struct fnpu_sched_policy_info *fnpu_sched_info(const struct fnpu_sched *s)
{
	return &s->policy->info;
}

void fnpu_sched_free(struct fnpu_sched *s)
{
	if (!s)
		return;
	if (s->initialized && s->policy->destroy)
		s->policy->destroy(s);
	former_destroy(&s->rejects);
	former_destroy(&s->former);
	for (uint32_t i = 0; s->models && i < s->num_models; i++)
		costs_destroy(&s->models[i].costs);
	free(s->group_model);
	free(s->batches);
	free(s->samples);
	free(s->models);
	free(s->state);
	free(s);
}

/* ---- samples ---- */

/*
 * The first moment from which a sample, even alone and at the next exit, cannot meet its deadline. For
 * one that was cancelled it is always.
 */
static uint64_t reject_time(const struct fnpu_sched *s, const struct sched_sample *sample)
{
	const struct costs *c = &s->models[sample->model].costs;
	const uint64_t least = costs_to_exit(c, 1, sample->layer);

	if (sample->cancelled || sample->reject_after < least)
		return 0;
	return sample->reject_after - least + 1;
}

static void wait_at(struct fnpu_sched *s, uint64_t now, uint32_t id, uint32_t layer)
{
	struct sched_sample *sample = &s->samples[id];
	const uint64_t place = s->policy->order == ORDER_DEADLINE ? sample->deadline : sample->number;

	sample->state = SAMPLE_WAITING;
	sample->layer = layer;
	sample->since = now;
	former_add(&s->former, s->models[sample->model].group + layer, id,
		   former_key(sample->class, place), sample->number);
	if (sample->cancelled || sample->reject_after != FNPU_SCHED_NEVER)
		former_add(&s->rejects, 0, id, reject_time(s, sample), sample->number);
}

/* @id does not wait any more. */
void sched_unwait(struct fnpu_sched *s, uint32_t id)
{
	const struct sched_sample *sample = &s->samples[id];

	former_remove(&s->former, id);
	if (sample->cancelled || sample->reject_after != FNPU_SCHED_NEVER)
		former_remove(&s->rejects, id);
}

int fnpu_sched_arrival(struct fnpu_sched *s, uint64_t now, uint32_t id,
		       const struct fnpu_sched_request *r)
{
	const bool best_effort = r->flags & FNPU_SCHED_BEST_EFFORT;
	struct sched_sample *sample;

	if (id >= s->max_samples || s->samples[id].state != SAMPLE_IDLE ||
	    r->model >= s->num_models || r->priority > FNPU_SCHED_MAX_PRIORITY ||
	    r->flags & ~(FNPU_SCHED_BEST_EFFORT | FNPU_SCHED_REJECT_LATE))
		return -EINVAL;
	if (s->former.count >= s->queue_bound)
		return -EAGAIN;
	sample = &s->samples[id];
	*sample = (struct sched_sample){
		.class = (uint8_t)(best_effort ? CLASS_BEST_EFFORT :
						 FNPU_SCHED_MAX_PRIORITY - r->priority),
		.model = r->model,
		.number = ++s->arrivals,
		.arrival = now,
		.deadline = best_effort ? FNPU_SCHED_NEVER : r->deadline,
		.reject_after = r->flags & FNPU_SCHED_REJECT_LATE ? r->deadline : FNPU_SCHED_NEVER,
	};
	wait_at(s, now, id, 0);
	if (s->policy->arrival)
		s->policy->arrival(s, now, id);
	return 0;
}

/* @id leaves its batch, whatever becomes of it. */
static void leave_batch(struct fnpu_sched *s, uint32_t id)
{
	struct sched_batch *b = &s->batches[s->samples[id].batch];
	uint32_t i = 0;

	while (b->samples[i] != id)
		i++;
	b->samples[i] = b->samples[--b->count];
}

static bool is_running(const struct fnpu_sched *s, uint32_t id)
{
	return id < s->max_samples && s->samples[id].state == SAMPLE_RUNNING;
}

int fnpu_sched_exit(struct fnpu_sched *s, uint64_t now, uint32_t id, uint32_t exit)
{
	const struct sched_sample *sample;
	struct sched_model *m;
	struct sched_batch *b;
	uint32_t boundary;

	if (!is_running(s, id) || exit >= s->models[s->samples[id].model].costs.num_exits)
		return -EINVAL;
	sample = &s->samples[id];
	b = &s->batches[sample->batch];
	m = &s->models[sample->model];
	boundary = costs_exit_boundary(&m->costs, exit);
	leave_batch(s, id);
	/* Those that ran with it are where it was; those put aside are behind that. */
	for (uint32_t i = 0; i < b->count; i++)
		if (s->samples[b->samples[i]].layer < boundary)
			s->samples[b->samples[i]].layer = boundary;
	b->since = now;
	if (b->apart && sched_front(s, b).count == b->count)
		b->apart = false;
	if (exit < b->exit_limit)
		learn_exit(&m->learn, exit);
	s->samples[id].state = SAMPLE_IDLE;
	if (s->policy->exit)
		s->policy->exit(s, now, id, exit);
	return 0;
}

/* Batch @b, all of which is still there, begins to be handed back at @layer. */
static void write_back(struct fnpu_sched *s, uint64_t now, struct sched_batch *b, uint32_t layer)
{
	if (b->stopped)
		return;
	b->stopped = true;
	if (s->write_back_end < now)
		s->write_back_end = now;
	s->write_back_end += costs_switch(&s->models[b->model].costs, b->count, layer);
}

int fnpu_sched_handed_back(struct fnpu_sched *s, uint64_t now, uint32_t id, uint32_t layer)
{
	if (!is_running(s, id) || layer >= s->models[s->samples[id].model].costs.num_layers)
		return -EINVAL;
	write_back(s, now, &s->batches[s->samples[id].batch], layer);
	leave_batch(s, id);
	s->samples[id].stops++;
	wait_at(s, now, id, layer);
	if (s->policy->handed_back)
		s->policy->handed_back(s, now, id);
	return 0;
}

int fnpu_sched_batch_end(struct fnpu_sched *s, uint64_t now, uint32_t batch)
{
	struct sched_batch *b;

	(void)now;
	if (batch >= s->max_batches || !s->batches[batch].started)
		return -EINVAL;
	b = &s->batches[batch];
	for (uint32_t i = 0; i < b->count; i++)
		s->samples[b->samples[i]].state = SAMPLE_IDLE;
	b->count = 0;
	b->started = 0;
	s->batches_in_flight--;
	return 0;
}

int fnpu_sched_cancel(struct fnpu_sched *s, uint64_t now, uint32_t id)
{
	(void)now;
	if (id >= s->max_samples || s->samples[id].state == SAMPLE_IDLE)
		return -EINVAL;
	if (s->samples[id].state == SAMPLE_RUNNING) {
		s->samples[id].cancelled = true;
		return -EINPROGRESS;
	}
	sched_unwait(s, id);
	s->samples[id].state = SAMPLE_IDLE;
	return 0;
}

/* ---- decisions ---- */

/* Samples whose time is over, the first of them. */
static bool drop_rejects(struct fnpu_sched *s, uint64_t now, struct fnpu_sched_decision *d)
{
	const uint32_t id = s->rejects.groups[0].first;

	if (id == FORMER_NONE || s->rejects.nodes[id].key > now)
		return false;
	return sched_drop(s, id, s->samples[id].cancelled ? FNPU_SCHED_CANCELLED : FNPU_SCHED_LATE,
			  d);
}

static const char *usual_reason(const struct fnpu_sched *s, const struct fnpu_sched_decision *d)
{
	static const char *const drops[FNPU_SCHED_REASONS] = {
		[FNPU_SCHED_LATE] = "nothing could meet its deadline any more",
		[FNPU_SCHED_HOPELESS] = "it is not expected to meet its deadline",
		[FNPU_SCHED_CANCELLED] = "it is not wanted any more",
	};

	return d->kind == FNPU_SCHED_DROP ? drops[d->reason] : s->policy->info.rule;
}

static bool decide(struct fnpu_sched *s, uint64_t now, struct fnpu_sched_decision *d)
{
	if (drop_rejects(s, now, d))
		return true;
	if (!s->former.count && !s->batches_in_flight)
		return false;
	return s->policy->decide(s, now, d);
}

bool fnpu_sched_decide(struct fnpu_sched *s, uint64_t now, struct fnpu_sched_decision *d)
{
	s->timer = FNPU_SCHED_NEVER;
	if (!decide(s, now, d))
		return false;
	if (!d->why)
		d->why = usual_reason(s, d);
	return true;
}

uint64_t fnpu_sched_timer(const struct fnpu_sched *s)
{
	return s->timer;
}

uint32_t fnpu_sched_waiting(const struct fnpu_sched *s)
{
	return s->former.count;
}

double fnpu_sched_exit_share(const struct fnpu_sched *s, uint32_t model, uint32_t exit)
{
	return (double)s->models[model].learn.share[exit];
}
