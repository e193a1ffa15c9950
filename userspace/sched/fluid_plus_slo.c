// SPDX-License-Identifier: MIT
/*
 * The choice that loses the fewest deadlines: look ahead.
 *
 * Candidates are what runs, and of each part the largest batch that its most urgent sample
 * can bear even if all go through the whole network; and the same without its first 1, 2, ... samples.
 * Those are given up, which may be worth it: the others have more time, so their batch is
 * larger, and costs less for each.
 *
 * For each candidate, all other samples are planned behind it in the order of their deadlines; when one
 * would be late, the one that has most work before it is taken out of the plan (Moore 1968, with
 * Hodgson's rule). Work is what can be expected by the exits as learnt, in a batch of two. The
 * candidate for which the fewest samples are given up or taken out wins; among equals, the one
 * that serves most samples per cycle. What runs is stopped only if that saves more than one.
 */
#include "fluid_plus.h"

#define MOST_GIVEN_UP	6u
#define TYPICAL_BATCH	2u
#define SWITCH_LOSS	1.0f	/* samples that stopping a batch must save */

/** struct outline - of a part, for planning: per sample, expected work, and at worst what else */
struct outline {
	float work;
	float worst;
};

static void make_outlines(const struct fnpu_sched *s, const struct scene *scene,
			  struct outline *outlines)
{
	for (uint32_t i = 0; i < scene->num; i++) {
		const struct part *p = &scene->parts[i];
		const struct costs *c = part_costs(s, p);
		uint32_t batch = p->count < TYPICAL_BATCH ? p->count : TYPICAL_BATCH;

		if (batch > c->max_batch)
			batch = c->max_batch;
		outlines[i].work = part_cycles(s, p, batch, c->num_exits - 1) / (float)batch;
		outlines[i].worst = (float)costs_rest(c, 1, p->layer) - outlines[i].work;
	}
}

/** struct rollout - a plan in the making: how far it is in each part, how many of it are planned */
struct rollout {
	uint32_t next[FLUID_PLUS_PARTS];
	uint32_t planned[FLUID_PLUS_PARTS];
	float cycles;
	float lost;
};

static uint32_t most_urgent(const struct scene *scene, const struct rollout *r)
{
	uint32_t best = scene->num;
	float least = 0;

	for (uint32_t i = 0; i < scene->num; i++) {
		const struct part *p = &scene->parts[i];

		if (r->next[i] >= p->count || (best < scene->num && p->time_left[r->next[i]] >= least))
			continue;
		least = p->time_left[r->next[i]];
		best = i;
	}
	return best;
}

/* Plans the next sample of part @i, and takes others or itself out until it is in time. */
static void plan_one(const struct scene *scene, const struct outline *outlines, struct rollout *r,
		     uint32_t i)
{
	const float time_left = scene->parts[i].time_left[r->next[i]++];

	r->planned[i]++;
	r->cycles += outlines[i].work;
	while (r->cycles + outlines[i].worst > time_left) {
		uint32_t victim = i;

		for (uint32_t j = 0; j < scene->num; j++)
			if (r->planned[j] && outlines[j].work > outlines[victim].work)
				victim = j;
		r->planned[victim]--;
		r->cycles -= outlines[victim].work;
		r->lost++;
		if (victim == i)
			return;
	}
}

/* Samples lost by @choice if it takes @cycles; anything above @limit is as good as that. */
static float samples_lost(const struct scene *scene, const struct outline *outlines,
			  const struct choice *choice, float cycles, float limit)
{
	struct rollout r = { .cycles = cycles, .lost = (float)choice->skip };
	uint32_t i;

	r.next[choice->part] = choice->skip + choice->count;
	while (r.lost <= limit && (i = most_urgent(scene, &r)) < scene->num)
		plan_one(scene, outlines, &r, i);
	return r.lost;
}

/* The largest batch behind the first @skip of @p that the most urgent can bear. */
static uint32_t bearable(const struct fnpu_sched *s, const struct scene *scene,
			 const struct part *p, uint32_t skip)
{
	const struct costs *c = part_costs(s, p);
	uint32_t count = p->count - skip < c->max_batch ? p->count - skip : c->max_batch;

	while (count > 1 && (float)costs_rest(c, count, p->layer) +
			    part_entry(s, scene, p, count) > p->time_left[skip])
		count--;
	return count;
}

/** struct contest - the best choice so far */
struct contest {
	struct choice best;
	float lost;
	float rate;
};

static void try_choice(const struct fnpu_sched *s, const struct scene *scene,
		       const struct outline *outlines, struct choice choice, float handicap,
		       struct contest *contest)
{
	const struct part *p = &scene->parts[choice.part];
	const float cycles = part_cycles(s, p, choice.count, part_costs(s, p)->num_exits - 1) +
			     part_entry(s, scene, p, choice.count);
	const float rate = (float)choice.count / cycles;
	const float lost = handicap + samples_lost(scene, outlines, &choice, cycles,
						   contest->lost - handicap);

	if (contest->best.count && (lost > contest->lost ||
				    (lost >= contest->lost && rate <= contest->rate)))
		return;
	*contest = (struct contest){ .best = choice, .lost = lost, .rate = rate };
}

/* Of the batch that runs, who would be late if all went through the whole network. */
static float late_at_worst(const struct fnpu_sched *s, const struct part *p)
{
	const float worst = (float)costs_rest(part_costs(s, p), p->num, p->layer);
	float late = 0;

	for (uint32_t i = 0; i < p->count; i++)
		late += worst > p->time_left[i];
	return late;
}

struct choice fluid_plus_slo(const struct fnpu_sched *s, const struct scene *scene)
{
	struct contest contest = { .lost = FLUID_PLUS_FOREVER };
	struct outline outlines[FLUID_PLUS_PARTS];

	make_outlines(s, scene, outlines);
	for (uint32_t i = 0; i < scene->num; i++) {
		const struct part *p = &scene->parts[i];
		struct choice choice = { .part = i, .count = p->num };

		if (p->group == FORMER_NONE) {
			try_choice(s, scene, outlines, choice, late_at_worst(s, p), &contest);
			continue;
		}
		for (; choice.skip <= MOST_GIVEN_UP && choice.skip < p->count; choice.skip++) {
			if (contest.lost < (float)choice.skip)
				break;	/* it can only be worse */
			choice.count = bearable(s, scene, p, choice.skip);
			try_choice(s, scene, outlines, choice, scene->running ? SWITCH_LOSS : 0,
				   &contest);
		}
	}
	return contest.best;
}
