// SPDX-License-Identifier: MIT
#include <errno.h>

#include "error.h"
#include "source.h"

#define RNG_MIX		3	/* stream of the generator */

int source_open(struct source *s, const struct sim_setup *setup, const struct sim_options *o,
		struct fnpu_error *error)
{
	s->setup = setup;
	s->options = o;
	s->next = 0;
	s->total = o->warmup + o->requests;
	rng_seed(&s->rng, o->seed, RNG_MIX);
	for (uint32_t i = 0; i < setup->num_models; i++)
		exit_source_open(&s->exits[i], setup->models[i].profile, o->correlation, o->seed + i);
	return workload_open(&s->workload, &o->workload, setup->rate_hz, o->seed, error);
}

static uint32_t draw_model(struct source *s)
{
	const struct sim_setup *setup = s->setup;
	uint32_t model = 0;
	double u;

	if (setup->num_models == 1)
		return 0;
	u = rng_uniform(&s->rng);
	while (model + 1 < setup->num_models && u >= setup->models[model].share)
		u -= setup->models[model++].share;
	return model;
}

bool source_next(struct source *s, struct request *r)
{
	const struct sim_model *m;
	struct measured_sample sample;
	struct arrival a;

	if (s->next == s->total)
		return false;
	a = workload_next(&s->workload);
	*r = (struct request){
		.number = s->next++,
		.arrival = (uint64_t)(a.seconds * s->setup->clock_hz),
		.model = draw_model(s),
		.stream = a.stream,
	};
	m = &s->setup->models[r->model];
	sample = exit_source_next(&s->exits[r->model], a.stream);
	r->exit = sample.exit;
	r->right = sample.right;
	if (a.exit != WORKLOAD_NO_EXIT) {
		const uint8_t last = (uint8_t)(m->profile->num_exits - 1);

		r->exit = a.exit < last ? a.exit : last;
		r->right = 0;
	}
	r->deadline = r->arrival + m->slo_cycles;
	if (s->options->best_effort > 0)
		r->best_effort = rng_uniform(&s->rng) < s->options->best_effort;
	if (s->options->reject_late > 0)
		r->reject_late = rng_uniform(&s->rng) < s->options->reject_late;
	return true;
}

void source_close(struct source *s)
{
	workload_close(&s->workload);
}
