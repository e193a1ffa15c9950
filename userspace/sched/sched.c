// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy.h"

#define MAX_LAYERS	65536u
#define MAX_MODELS	1024u

static const struct fnpu_policy *const policies[] = {
	&fnpu_policy_adaptive,	/* the default */
	&fnpu_policy_serial,
};

#define NUM_POLICIES	(sizeof(policies) / sizeof(policies[0]))

const char *fnpu_sched_policy_name(uint32_t index)
{
	return index < NUM_POLICIES ? policies[index]->name : NULL;
}

static const struct fnpu_policy *find_policy(const char *name)
{
	if (!name)
		return policies[0];
	for (size_t i = 0; i < NUM_POLICIES; i++)
		if (!strcmp(policies[i]->name, name))
			return policies[i];
	return NULL;
}

static bool config_valid(const struct fnpu_sched_config *c)
{
	if (!c->models || !c->num_models || c->num_models > MAX_MODELS)
		return false;
	for (uint32_t i = 0; i < c->num_models; i++) {
		const struct fnpu_sched_model *m = &c->models[i];

		if (!m->num_layers || m->num_layers > MAX_LAYERS || !m->max_batch ||
		    m->max_batch > FNPU_SCHED_MAX_BATCH)
			return false;
	}
	return c->max_samples && c->max_samples < FORMER_NONE && c->queue_bound && c->max_batches;
}

static int allocate(struct fnpu_sched *s, const struct fnpu_sched_config *c)
{
	uint32_t groups = 0;

	s->models = calloc(c->num_models, sizeof(*s->models));
	s->group_base = calloc(c->num_models + 1, sizeof(*s->group_base));
	s->samples = calloc(c->max_samples, sizeof(*s->samples));
	s->batches = calloc(c->max_batches, sizeof(*s->batches));
	if (!s->models || !s->group_base || !s->samples || !s->batches)
		return -ENOMEM;
	memcpy(s->models, c->models, c->num_models * sizeof(*s->models));
	for (uint32_t i = 0; i < c->num_models; i++) {
		s->group_base[i] = groups;
		groups += c->models[i].num_layers;
	}
	s->group_base[c->num_models] = groups;
	return former_init(&s->former, c->max_samples, groups);
}

int fnpu_sched_new(const struct fnpu_sched_config *config, struct fnpu_sched **sched)
{
	const struct fnpu_policy *policy = find_policy(config->policy);
	struct fnpu_sched *s;

	if (!policy)
		return -ENOENT;
	if (!config_valid(config))
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->policy = policy;
	s->num_models = config->num_models;
	s->max_samples = config->max_samples;
	s->queue_bound = config->queue_bound;
	s->max_batches = config->max_batches;
	if (allocate(s, config)) {
		fnpu_sched_free(s);
		return -ENOMEM;
	}
	*sched = s;
	return 0;
}

void fnpu_sched_free(struct fnpu_sched *s)
{
	if (!s)
		return;
	former_destroy(&s->former);
	free(s->batches);
	free(s->samples);
	free(s->group_base);
	free(s->models);
	free(s);
}

int fnpu_sched_arrival(struct fnpu_sched *s, uint64_t now, uint32_t sample, uint32_t model)
{
	(void)now;
	if (sample >= s->max_samples || model >= s->num_models ||
	    s->samples[sample].state != SAMPLE_IDLE)
		return -EINVAL;
	if (s->former.count >= s->queue_bound)
		return -EAGAIN;
	s->samples[sample].state = SAMPLE_WAITING;
	former_add(&s->former, s->group_base[model], sample);
	return 0;
}

int fnpu_sched_exit(struct fnpu_sched *s, uint64_t now, uint32_t sample)
{
	(void)now;
	if (sample >= s->max_samples || s->samples[sample].state != SAMPLE_RUNNING)
		return -EINVAL;
	s->samples[sample].state = SAMPLE_IDLE;
	return 0;
}

int fnpu_sched_batch_end(struct fnpu_sched *s, uint64_t now, uint32_t batch)
{
	struct sched_batch *b;

	(void)now;
	if (batch >= s->max_batches || !s->batches[batch].count)
		return -EINVAL;
	b = &s->batches[batch];
	for (uint32_t i = 0; i < b->count; i++) {
		struct sched_sample *sample = &s->samples[b->samples[i]];

		/* One that left may be back by now, in another batch. */
		if (sample->state == SAMPLE_RUNNING && sample->batch == batch)
			sample->state = SAMPLE_IDLE;
	}
	b->count = 0;
	s->batches_in_flight--;
	return 0;
}

static uint32_t model_of_group(const struct fnpu_sched *s, uint32_t group)
{
	uint32_t model = 0;

	while (group >= s->group_base[model + 1])
		model++;
	return model;
}

static uint32_t free_batch(const struct fnpu_sched *s)
{
	uint32_t batch = 0;

	while (s->batches[batch].count)
		batch++;
	return batch;
}

void fnpu_sched_start_group(struct fnpu_sched *s, uint32_t group, uint32_t limit,
			    struct fnpu_sched_start *start)
{
	uint32_t model = model_of_group(s, group);
	struct sched_batch *b;

	if (limit > s->models[model].max_batch)
		limit = s->models[model].max_batch;
	start->batch = free_batch(s);
	start->model = model;
	start->layer = group - s->group_base[model];
	start->count = former_take(&s->former, group, limit, start->samples);

	b = &s->batches[start->batch];
	b->count = start->count;
	for (uint32_t i = 0; i < start->count; i++) {
		b->samples[i] = start->samples[i];
		s->samples[start->samples[i]].state = SAMPLE_RUNNING;
		s->samples[start->samples[i]].batch = start->batch;
	}
	s->batches_in_flight++;
}

bool fnpu_sched_decide(struct fnpu_sched *s, uint64_t now, struct fnpu_sched_start *start)
{
	if (s->batches_in_flight == s->max_batches)
		return false;
	return s->policy->decide(s, now, start);
}

uint32_t fnpu_sched_waiting(const struct fnpu_sched *s)
{
	return s->former.count;
}
