// SPDX-License-Identifier: MIT
/*
 * The choice that loses the fewest deadlines: look ahead.
 *
 * Candidates are what runs, and of each part the largest batch that its most urgent sample can
 * bear (at worst, if all go through the whole network, and somewhat less carefully), and the
 * same without its first 1, 2, ... samples. Those are given up, which may be worth it: the
 * others have more time, so their batch is larger, and costs less for each.
 *
 * A candidate loses those that it gives up; of its own members, as many as are to be expected to be
 * late (for each exit, the share that leaves there, if one that stays until then would be late);
 * and others that come too late because of it. They are planned behind it in the order of
 * their deadlines, and when one would be late, the one that has most work before it is taken out
 * of the plan (Moore 1968, with Hodgson's rule). Work is what can be expected by the exits as
 * learnt, in a batch of two. The candidate that loses least wins; among equals, the one that
 * serves most samples per cycle. What runs is stopped only if that saves more than one.
 *
 * Those that are still to come are not in the plan. Where batches are worth little that does not
 * matter: no order of work makes room for them. A network whose large batches take much less
 * time per sample can keep up with a burst by them, at the price of some that are late: there the
 * largest batch is a candidate as well, whatever its members can bear, and each cycle
 * until all is done has a price. It is the share of samples that have been lost lately, times
 * what batches gain: who loses nothing pays nothing, and losses make batches grow.
 */
#include "fluid_plus.h"

#define MOST_GIVEN_UP	6u
#define TYPICAL_BATCH	2u
#define CAREFUL		1.0f	/* of the way from what is likely to the worst, what must be in time */
#define DARING		0.4f
#define SWITCH_LOSS	1.0f	/* samples that stopping a batch must save */
#define WORTHWHILE	1.5f	/* samples per cycle in a batch against one alone */
#define PRICE		4.0f	/* of the time that one sample takes in the largest batch */

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

/* Samples that are lost for each cycle until all is done, by those of @p's model still to come. */
static float price_of_time(const struct fnpu_sched *s, const struct scene *scene,
			   const struct part *p)
{
	const struct forecast *f = part_forecast(s, p);

	if (f->batch_gain < WORTHWHILE)
		return 0;
	return PRICE * scene->lost_share * (f->batch_gain - 1) / f->batch_work;
}

/* Samples lost by @choice if it takes @cycles; anything above @limit is as good as that. */
static float samples_lost(const struct fnpu_sched *s, const struct scene *scene,
			  const struct outline *outlines, const struct choice *choice, float cycles,
			  float limit)
{
	struct rollout r = { .cycles = cycles, .lost = (float)choice->skip };
	uint32_t i;

	r.next[choice->part] = choice->skip + choice->count;
	while (r.lost <= limit && (i = most_urgent(scene, &r)) < scene->num)
		plan_one(scene, outlines, &r, i);
	return r.lost + r.cycles * price_of_time(s, scene, &scene->parts[choice->part]);
}

/* The largest batch behind the first @skip of @p that there is. */
static uint32_t at_most(const struct fnpu_sched *s, const struct part *p, uint32_t skip)
{
	const uint32_t max_batch = part_costs(s, p)->max_batch;

	return p->count - skip < max_batch ? p->count - skip : max_batch;
}

/* The largest of these that the most urgent can bear. */
static uint32_t bearable(const struct fnpu_sched *s, const struct scene *scene,
			 const struct part *p, uint32_t skip, float care)
{
	const struct costs *c = part_costs(s, p);
	uint32_t count = at_most(s, p, skip);

	for (; count > 1; count--) {
		const float likely = part_staying(s, p, count, c->num_exits - 1);
		const float worst = (float)costs_rest(c, count, p->layer);

		if (likely + care * (worst - likely) + part_entry(s, scene, p, count) <=
		    p->time_left[skip])
			break;
	}
	return count;
}

/* Of the members of @choice, how many are to be expected to be late? The first have least time. */
static float late_members(const struct fnpu_sched *s, const struct scene *scene,
			  const struct choice *choice)
{
	const struct part *p = &scene->parts[choice->part];
	const float *leave = part_forecast(s, p)->leave[p->stage];
	const float entry = part_entry(s, scene, p, choice->count);
	const uint32_t num_exits = part_costs(s, p)->num_exits;
	float late = 0, left = 0;
	uint32_t i = 0;

	for (uint32_t e = p->stage; e < num_exits; e++) {
		const float time = entry + part_staying(s, p, choice->count, e);

		while (i < choice->count && p->time_left[choice->skip + i] < time)
			i++;
		late += (float)i * (leave[e] - left);
		left = leave[e];
	}
	return late;
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
	float lost = handicap + late_members(s, scene, &choice);

	lost += samples_lost(s, scene, outlines, &choice, cycles, contest->lost - lost);

	if (contest->best.count && (lost > contest->lost ||
				    (lost >= contest->lost && rate <= contest->rate)))
		return;
	*contest = (struct contest){ .best = choice, .lost = lost, .rate = rate };
}

/* Whether @count of @p at once are served much faster than one by one. */
static bool worthwhile(const struct fnpu_sched *s, const struct part *p, uint32_t count)
{
	const uint32_t last = part_costs(s, p)->num_exits - 1;

	return part_cycles(s, p, count, last) * WORTHWHILE <=
	       part_cycles(s, p, 1, last) * (float)count;
}

/* Batches of @p behind its first @skip. */
static void try_batches(const struct fnpu_sched *s, const struct scene *scene,
			const struct outline *outlines, struct choice choice,
			struct contest *contest)
{
	const struct part *p = &scene->parts[choice.part];
	const float handicap = scene->running ? SWITCH_LOSS : 0;
	const uint32_t careful = bearable(s, scene, p, choice.skip, CAREFUL);
	const uint32_t daring = bearable(s, scene, p, choice.skip, DARING);
	const uint32_t most = at_most(s, p, choice.skip);

	choice.count = careful;
	try_choice(s, scene, outlines, choice, handicap, contest);
	choice.count = daring;
	if (daring > careful)
		try_choice(s, scene, outlines, choice, handicap, contest);
	choice.count = most;
	if (most > daring && worthwhile(s, p, most))
		try_choice(s, scene, outlines, choice, handicap, contest);
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
			try_choice(s, scene, outlines, choice, 0, &contest);
			continue;
		}
		for (; choice.skip <= MOST_GIVEN_UP && choice.skip < p->count; choice.skip++) {
			if (contest.lost < (float)choice.skip)
				break;	/* it can only be worse */
			try_batches(s, scene, outlines, choice, &contest);
		}
	}
	return contest.best;
}
