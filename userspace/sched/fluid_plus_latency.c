// SPDX-License-Identifier: MIT
/*
 * The choice that lowers the mean latency.
 *
 * How many: serving n samples in batches of b, of T(b) each, makes them wait T(b) / b * (n + b) / 2
 * on average. The b that makes this least is taken: small while little waits, and the most
 * efficient one under a backlog. As time that is saved is saved for those, too, that arrive before
 * the backlog is gone, n is what is in the system times 1 + `backlog` * the mean of that: with
 * a load of rho it is about n / (1 - rho).
 *
 * Which: the Gittins index (Gittins 1979), for a batch: the most samples per cycle that can be
 * expected to leave, over all exits at which one could stop. The batch that runs is given up
 * only for an index that is larger by `margin`, with the switch counted.
 *
 * Not yet: deep stages gain most from larger batches. k samples there wait for k more if
 * running them together saves all others (`hold` * n) more time than the k lose by waiting
 * until as many new samples have come so far as that takes.
 */
#include "fluid_plus.h"

static float backlog(const struct fnpu_sched *s, const struct scene *scene)
{
	const struct fluid_plus *f = s->state;

	return scene->in_system *
	       (1 + (float)s->params[FLUID_PLUS_BACKLOG] * f->mean_load);
}

static uint32_t best_size(const struct fnpu_sched *s, const struct scene *scene,
			  const struct part *p, float waiting)
{
	const struct costs *c = part_costs(s, p);
	const uint32_t most = p->num < c->max_batch ? p->num : c->max_batch;
	uint32_t best = 0;
	float least = 0;

	for (uint32_t b = 1; b <= most; b++) {
		const float cycles = part_cycles(s, p, b, c->num_exits - 1) +
				     part_entry(s, scene, p, b);
		const float wait = cycles / (float)b * (waiting + (float)b);

		if (best && wait >= least)
			continue;
		least = wait;
		best = b;
	}
	return best;
}

static float gittins(const struct fnpu_sched *s, const struct scene *scene, const struct part *p,
		     uint32_t count)
{
	const uint32_t num_exits = part_costs(s, p)->num_exits;
	const float *leave = part_forecast(s, p)->leave[p->stage];
	const float entry = part_entry(s, scene, p, count);
	float best = 0;

	for (uint32_t e = p->stage; e < num_exits; e++) {
		const float index = (float)count * leave[e] / (part_cycles(s, p, count, e) + entry);

		if (index > best)
			best = index;
	}
	return best;
}

/* Should @count samples of @p wait for as many more? */
static bool should_wait(const struct fnpu_sched *s, const struct scene *scene,
			const struct part *p, uint32_t count)
{
	const struct costs *c = part_costs(s, p);
	const struct forecast *f = part_forecast(s, p);
	const uint32_t last = c->num_exits - 1;
	float reach, saved, cycles;
	uint32_t new = 0;

	if (!p->stage || 2 * count > c->max_batch)
		return false;
	for (uint32_t i = 0; i < scene->num; i++)
		if (scene->parts[i].model == p->model && !scene->parts[i].layer)
			new = scene->parts[i].num;
	reach = 1 - f->leave[0][p->stage - 1];
	if ((float)new * reach < (float)count)
		return false;	/* there are not as many to come */
	saved = 2 * part_cycles(s, p, count, last) - part_cycles(s, p, 2 * count, last) -
		2 * (float)costs_switch(c, count, p->layer);
	cycles = (float)count / reach * f->cycles[0][c->max_batch - 1][last] / (float)c->max_batch;
	return (float)s->params[FLUID_PLUS_HOLD] * scene->in_system * saved > (float)count * cycles;
}

struct choice fluid_plus_latency(const struct fnpu_sched *s, const struct scene *scene)
{
	const float waiting = backlog(s, scene);
	struct choice best = { 0 };
	float highest = 0;

	for (uint32_t i = 0; i < scene->num; i++) {
		const struct part *p = &scene->parts[i];
		const bool runs = p->group == FORMER_NONE;
		const uint32_t count = runs ? p->num : best_size(s, scene, p, waiting);
		float index;

		if (should_wait(s, scene, p, count))
			continue;
		index = gittins(s, scene, p, count);
		if (runs)
			index *= 1 + (float)s->params[FLUID_PLUS_MARGIN];
		if (index <= highest)
			continue;
		highest = index;
		best = (struct choice){ .part = i, .count = count };
	}
	return best;
}
