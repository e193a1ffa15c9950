/* SPDX-License-Identifier: MIT */
/*
 * What the files of fluid+ share:
 *
 *	policy_fluid_plus.c	the rule; when to look, what is there to choose from, doing it
 *	fluid_plus_latency.c	the choice that lowers the mean latency
 *	fluid_plus_slo.c	the choice that loses the fewest deadlines
 *	forecast.c		what batches can be expected to take, by the exits as learnt
 */
#ifndef FNPU_FLUID_PLUS_H
#define FNPU_FLUID_PLUS_H

#include "forecast.h"
#include "policy.h"

#define FLUID_PLUS_PARTS	8u	/* groups that are looked at; others wait until some are empty */
#define FLUID_PLUS_WINDOW	16u	/* samples of a part that are looked at one by one */
#define FLUID_PLUS_FOREVER	1e15f	/* cycles */

enum fluid_plus_param {
	FLUID_PLUS_OBJECTIVE,
	FLUID_PLUS_BACKLOG,
	FLUID_PLUS_HOLD,
	FLUID_PLUS_MARGIN,
	FLUID_PLUS_DEPTH,
	FLUID_PLUS_AGE,
	FLUID_PLUS_PARAMS,
};

/**
 * struct fluid_plus - state
 * @forecasts: per model; @exits: that came since it was made, per model
 * @mean_load: samples in the system as arrivals find it, on average
 * @lost_share: of the samples lately, how many were late or hopeless (for slo)
 * @started: when the batch that runs did
 * @look: exit at whose boundary the batch that runs is looked at next
 * @late: what runs cannot be in time: it goes for anything that can
 * @aged: what ran last was chosen for its age
 */
struct fluid_plus {
	struct forecast *forecasts;
	uint32_t *exits;
	float mean_load;
	float lost_share;
	uint64_t started;
	uint32_t look;
	bool late;
	bool aged;
};

/**
 * struct part - samples at one layer that could be the next to run, or that run
 * @group: FORMER_NONE: those of the running batch, which is at @layer now or just about to be
 * @stage: exit that is next
 * @num: samples, of which @count are in @ids, the most urgent first; none for latency
 * @time_left: until their deadlines, in cycles; FLUID_PLUS_FOREVER: none
 */
struct part {
	uint32_t group;
	uint32_t model;
	uint32_t layer;
	uint32_t stage;
	uint32_t num;
	uint32_t count;
	uint32_t ids[FLUID_PLUS_WINDOW];
	float time_left[FLUID_PLUS_WINDOW];
};

/**
 * struct scene - all that there is to choose from
 * @running: the batch that runs is parts[0]
 * @leave: cycles that it takes to put the running batch aside and bring it back
 * @in_system: samples, waiting and running
 * @lost_share: of the samples lately, how many were late or hopeless
 */
struct scene {
	struct part parts[FLUID_PLUS_PARTS];
	uint32_t num;
	bool running;
	float leave;
	float in_system;
	float lost_share;
};

/** struct choice - @count samples of parts[@part], behind the first @skip; count 0: nothing */
struct choice {
	uint32_t part;
	uint32_t skip;
	uint32_t count;
};

static inline const struct costs *part_costs(const struct fnpu_sched *s, const struct part *p)
{
	return &s->models[p->model].costs;
}

static inline const struct forecast *part_forecast(const struct fnpu_sched *s, const struct part *p)
{
	const struct fluid_plus *f = s->state;

	return &f->forecasts[p->model];
}

/** part_cycles() - expected for @count samples of @p, from where they are to exit @exit */
static inline float part_cycles(const struct fnpu_sched *s, const struct part *p, uint32_t count,
				uint32_t exit)
{
	const struct costs *c = part_costs(s, p);
	const uint32_t start = p->stage ? costs_exit_boundary(c, p->stage - 1) : 0;

	return part_forecast(s, p)->cycles[p->stage][count - 1][exit] -
	       (float)costs_span(c, count, start, p->layer);
}

/** part_staying() - likewise, as one of them has to expect it that does not leave before */
static inline float part_staying(const struct fnpu_sched *s, const struct part *p, uint32_t count,
				 uint32_t exit)
{
	const struct costs *c = part_costs(s, p);
	const uint32_t start = p->stage ? costs_exit_boundary(c, p->stage - 1) : 0;

	return part_forecast(s, p)->staying[p->stage][count - 1][exit] -
	       (float)costs_span(c, count, start, p->layer);
}

/** part_entry() - cycles before @count samples of @p run: reading what they had on chip */
static inline float part_entry(const struct fnpu_sched *s, const struct scene *scene,
			       const struct part *p, uint32_t count)
{
	if (p->group == FORMER_NONE)
		return 0;
	return scene->leave + (p->layer ? (float)costs_switch(part_costs(s, p), count, p->layer) : 0);
}

struct choice fluid_plus_latency(const struct fnpu_sched *s, const struct scene *scene);
struct choice fluid_plus_slo(const struct fnpu_sched *s, const struct scene *scene);

#endif /* FNPU_FLUID_PLUS_H */
