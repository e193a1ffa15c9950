// SPDX-License-Identifier: MIT
/*
 * fluid+: this project's own. Samples are regrouped freely where the network has exits, by what can
 * be expected of them.
 *
 * Whenever the NPU is free, and whenever a batch comes to an exit while others wait, everybody at
 * the same layer is a part: the new ones, those that were stopped behind each exit, those that
 * run. An objective chooses a part and a number of its most urgent samples; if that is
 * not what runs, the batch is stopped, and a new one starts.
 *
 *	latency		fluid_plus_latency.c: batch sizes by the backlog, order by Gittins' index,
 *			deep samples held back for larger batches while the backlog is worth it
 *	slo		fluid_plus_slo.c: look ahead, and lose as few deadlines as possible
 *
 * Hopeless samples (slo): who has less time than it takes to go on alone for `depth` of the way
 * from the next exit to the end cannot be expected to be in time. Those are a set apart: never
 * batched with others, they run one at a time when nothing else waits, and stop at the
 * next layer when something comes. Half the violations of a policy that is indifferent to this come
 * from hopeless samples that drag others along. When the queue is nearly full they are dropped.
 *
 * Ageing: one that has been in the system for `age` (in times that a sample takes alone) goes
 * before all others, alone, every second time at most. So of n samples that are so old the
 * last one starts after at most 2 * n batches, whatever else comes.
 *
 * A batch that nobody leaves passes an exit without a sign of it. There, the policy looks when
 * the last layer of the stage is half done, by the costs: a YIELD then stops it at the exit.
 */
#include <errno.h>
#include <stdlib.h>

#include "fluid_plus.h"

#define FORECAST_EXITS	64u	/* exits after which a forecast is made anew */
#define LOAD_ARRIVALS	64.0f	/* over which the mean load is taken, about */
#define LOST_SAMPLES	64.0f	/* likewise the share of those that are lost */
#define FULL_PARTS	8u	/* the queue is nearly full when all but one part of so many is */

static const char *const objectives[] = { "slo", "latency" };

enum objective { OBJECTIVE_SLO, OBJECTIVE_LATENCY };

/* For people: why it starts what it has chosen, and why it stops what runs. */
static const struct { const char *start, *stop; } reasons[] = {
	[OBJECTIVE_SLO] = { "this loses the fewest deadlines", "others save more than one deadline" },
	[OBJECTIVE_LATENCY] = { "these have the highest index",
				"the index of others is higher by the margin" },
};

static const struct fnpu_sched_param params[FLUID_PLUS_PARAMS] = {
	[FLUID_PLUS_OBJECTIVE] = {
		"objective", "what to minimise: missed deadlines or the mean latency", 0,
		OBJECTIVE_LATENCY, OBJECTIVE_SLO, objectives },
	[FLUID_PLUS_BACKLOG] = {
		"backlog", "latency: how much those count that are still to come", 0, 1000, 5, NULL },
	[FLUID_PLUS_HOLD] = {
		"hold", "latency: how readily deep samples wait for larger batches", 0, 100, 1.3, NULL },
	[FLUID_PLUS_MARGIN] = {
		"margin", "latency: by how much an index must be higher to stop a batch", 0, 100, 0.3,
		NULL },
	[FLUID_PLUS_DEPTH] = {
		"depth", "slo: share of the way behind the next exit that must be in time", 0, 1, 0.5,
		NULL },
	[FLUID_PLUS_AGE] = {
		"age", "time in the system after which a sample goes first, in times of one alone", 1,
		1e9, 5000, NULL },
};

static enum objective objective_of(const struct fnpu_sched *s)
{
	return (enum objective)s->params[FLUID_PLUS_OBJECTIVE];
}

/* ---- keeping track ---- */

static int fluid_plus_init(struct fnpu_sched *s)
{
	struct fluid_plus *f = s->state;

	f->forecasts = calloc(s->num_models, sizeof(*f->forecasts));
	f->exits = calloc(s->num_models, sizeof(*f->exits));
	if (!f->forecasts || !f->exits)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->num_models; i++)
		forecast_make(&f->forecasts[i], &s->models[i].costs, &s->models[i].learn);
	return 0;
}

static void fluid_plus_destroy(struct fnpu_sched *s)
{
	struct fluid_plus *f = s->state;

	free(f->exits);
	free(f->forecasts);
}

static uint32_t in_system(const struct fnpu_sched *s)
{
	return s->former.count + (s->batches_in_flight ? s->batches[0].count : 0);
}

static void fluid_plus_arrival(struct fnpu_sched *s, uint64_t now, uint32_t id)
{
	struct fluid_plus *f = s->state;

	(void)now;
	(void)id;
	f->mean_load += ((float)in_system(s) - f->mean_load) / LOAD_ARRIVALS;
}

/* A sample is known to be late, or is in time. */
static void count_lost(struct fluid_plus *f, bool late)
{
	f->lost_share += ((late ? 1.0f : 0.0f) - f->lost_share) / LOST_SAMPLES;
}

static void fluid_plus_exit(struct fnpu_sched *s, uint64_t now, uint32_t id, uint32_t exit)
{
	const uint32_t model = s->samples[id].model;
	struct fluid_plus *f = s->state;

	count_lost(f, s->samples[id].deadline < now);
	f->look = exit + 1;
	if (++f->exits[model] % FORECAST_EXITS == 0)
		forecast_make(&f->forecasts[model], &s->models[model].costs,
			      &s->models[model].learn);
}

/* ---- what there is to choose from ---- */

static float time_left(const struct fnpu_sched *s, uint64_t now, uint32_t id)
{
	const uint64_t deadline = s->samples[id].deadline;

	return deadline == FNPU_SCHED_NEVER ? FLUID_PLUS_FOREVER :
					      (float)((int64_t)deadline - (int64_t)now);
}

/* Those of @group that cannot be expected to be in time go to the other set. */
static void part_with_hopeless(struct fnpu_sched *s, uint64_t now, uint32_t group)
{
	const struct costs *c = &sched_model_of(s, group)->costs;
	const uint32_t layer = sched_layer_of(s, group);
	const uint64_t least = costs_to_exit(c, 1, layer), most = costs_rest(c, 1, layer);
	const uint64_t need = least + (uint64_t)(s->params[FLUID_PLUS_DEPTH] * (double)(most - least));

	for (;;) {
		const uint32_t first = s->former.groups[group].first;

		if (first == FORMER_NONE || s->samples[first].deadline >= now + need)
			return;
		sched_move(s, first, group + s->groups);
		count_lost(s->state, true);
	}
}

static void add_waiting(struct fnpu_sched *s, uint64_t now, uint32_t group, struct scene *scene)
{
	const struct former_group *g = &s->former.groups[group];
	struct part *p = &scene->parts[scene->num];

	const bool slo = objective_of(s) == OBJECTIVE_SLO;

	if (slo)
		part_with_hopeless(s, now, group);
	if (!g->count)
		return;
	p->group = group;
	p->model = s->group_model[group];
	p->layer = sched_layer_of(s, group);
	p->stage = s->models[p->model].costs.next_exit[p->layer];
	p->num = g->count;
	p->count = 0;
	for (uint32_t id = g->first; slo && id != FORMER_NONE && p->count < FLUID_PLUS_WINDOW;
	     id = former_next(&s->former, id)) {
		p->time_left[p->count] = time_left(s, now, id);
		p->ids[p->count++] = id;
	}
	scene->num++;
}

static void add_running(const struct fnpu_sched *s, uint64_t now, const struct sched_batch *b,
			uint32_t layer, struct scene *scene)
{
	struct part *p = &scene->parts[scene->num++];

	p->group = FORMER_NONE;
	p->model = b->model;
	p->layer = layer;
	p->stage = s->models[b->model].costs.next_exit[layer];
	p->num = b->count;
	p->count = b->count;
	for (uint32_t i = 0; i < b->count; i++) {
		const float left = time_left(s, now, b->samples[i]);
		uint32_t j = i;

		for (; j && p->time_left[j - 1] > left; j--)
			p->time_left[j] = p->time_left[j - 1];
		p->time_left[j] = left;
	}
	scene->running = true;
	scene->leave = 2 * (float)costs_switch(sched_costs(s, b), b->count, layer);
}

static void add_all_waiting(struct fnpu_sched *s, uint64_t now, struct scene *scene)
{
	const struct fluid_plus *f = s->state;
	uint32_t next;

	for (uint32_t g = s->former.active; g != FORMER_NONE && scene->num < FLUID_PLUS_PARTS;
	     g = next) {
		next = s->former.groups[g].next;
		if (g < s->groups)
			add_waiting(s, now, g, scene);
	}
	scene->in_system = (float)in_system(s);
	scene->lost_share = f->lost_share;
}

/* ---- the batch that runs ---- */

/* When batch @b is half through the last layer before exit @exit. */
static uint64_t look_time(const struct fnpu_sched *s, const struct sched_batch *b, uint32_t exit)
{
	const struct costs *c = sched_costs(s, b);
	const struct sched_front front = sched_front(s, b);

	return b->since +
	       (costs_span(c, front.count, front.layer, c->exit_layers[exit]) +
		costs_span(c, front.count, front.layer, costs_exit_boundary(c, exit))) / 2;
}

/*
 * The boundary at which batch @b could stop if that is to be looked at now, or 0. Sets the timer
 * for the next one.
 */
static uint32_t look_at(struct fnpu_sched *s, uint64_t now, const struct sched_batch *b)
{
	struct fluid_plus *f = s->state;
	const struct costs *c = sched_costs(s, b);
	uint32_t boundary = 0;

	if (f->started != now && b->since == now)
		boundary = sched_front(s, b).layer;
	for (; f->look + 1 < c->num_exits; f->look++) {
		const uint64_t at = look_time(s, b, f->look);

		if (at > now) {
			s->timer = at;
			break;
		}
		boundary = costs_exit_boundary(c, f->look);
	}
	return boundary < c->num_layers ? boundary : 0;
}

static struct choice choose(const struct fnpu_sched *s, const struct scene *scene)
{
	return objective_of(s) == OBJECTIVE_SLO ? fluid_plus_slo(s, scene) :
						  fluid_plus_latency(s, scene);
}

static bool decide_running(struct fnpu_sched *s, uint64_t now, const struct sched_batch *b,
			   struct fnpu_sched_decision *d)
{
	const struct fluid_plus *f = s->state;
	struct scene scene = { 0 };
	struct choice choice;
	uint32_t boundary;

	if (b->yielding || !b->count || !s->former.count)
		return false;
	if (f->late) {
		add_all_waiting(s, now, &scene);
		return scene.num && sched_hand_back(s, 0, d) &&
		       sched_because(d, "what runs is hopeless, and others can be in time");
	}
	boundary = look_at(s, now, b);
	if (!boundary || f->aged)
		return false;
	add_running(s, now, b, boundary, &scene);
	add_all_waiting(s, now, &scene);
	choice = choose(s, &scene);
	return choice.count && choice.part && sched_hand_back(s, 0, d) &&
	       sched_because(d, reasons[objective_of(s)].stop);
}

/* ---- starting ---- */

static bool start(struct fnpu_sched *s, uint64_t now, uint32_t first, uint32_t count,
		  struct fnpu_sched_decision *d)
{
	struct fluid_plus *f = s->state;

	f->started = now;
	sched_start_from(s, now, first, count, FNPU_SCHED_NO_STOP, d);
	f->look = s->models[d->model].costs.next_exit[d->layer];
	return true;
}

/* Whoever has been here for too long, if that was not done just before; or FORMER_NONE. */
static uint32_t find_aged(const struct fnpu_sched *s, uint64_t now)
{
	uint32_t oldest = FORMER_NONE;

	for (uint32_t g = s->former.active; g != FORMER_NONE; g = s->former.groups[g].next) {
		const struct costs *c = &sched_model_of(s, g)->costs;
		const uint32_t first = s->former.groups[g].first;
		const struct sched_sample *sample = &s->samples[first];
		const double age = (double)(now - sample->arrival);

		if (age > s->params[FLUID_PLUS_AGE] * (double)costs_rest(c, 1, 0) &&
		    (oldest == FORMER_NONE || sample->number < s->samples[oldest].number))
			oldest = first;
	}
	return oldest;
}

/* The most urgent of the hopeless, or FORMER_NONE. */
static uint32_t find_late(const struct fnpu_sched *s)
{
	uint32_t best = FORMER_NONE;

	for (uint32_t g = s->former.active; g != FORMER_NONE; g = s->former.groups[g].next) {
		const uint32_t first = s->former.groups[g].first;

		if (g >= s->groups && (best == FORMER_NONE || s->former.nodes[first].key <
							      s->former.nodes[best].key))
			best = first;
	}
	return best;
}

static bool decide_idle(struct fnpu_sched *s, uint64_t now, struct fnpu_sched_decision *d)
{
	struct fluid_plus *f = s->state;
	const uint32_t aged = f->aged ? FORMER_NONE : find_aged(s, now);
	struct scene scene = { 0 };
	struct choice choice;
	uint32_t late;

	f->late = false;
	f->aged = aged != FORMER_NONE;
	if (f->aged)
		return start(s, now, aged, 1, d) &&
		       sched_because(d, "it has been here for too long");
	add_all_waiting(s, now, &scene);
	choice = choose(s, &scene);
	if (choice.count) {
		uint32_t first = s->former.groups[scene.parts[choice.part].group].first;

		if (choice.skip)
			first = scene.parts[choice.part].ids[choice.skip];
		return start(s, now, first, choice.count, d) &&
		       sched_because(d, reasons[objective_of(s)].start);
	}
	late = find_late(s);
	f->late = true;
	return late != FORMER_NONE && start(s, now, late, 1, d) &&
	       sched_because(d, "it is hopeless, and nothing else waits");
}

static bool fluid_plus_decide(struct fnpu_sched *s, uint64_t now, struct fnpu_sched_decision *d)
{
	const struct sched_batch *b = sched_running(s);

	if (s->former.count >= s->queue_bound - s->queue_bound / FULL_PARTS) {
		const uint32_t late = find_late(s);

		if (late != FORMER_NONE)
			return sched_drop(s, late, FNPU_SCHED_HOPELESS, d) &&
			       sched_because(d, "the queue is nearly full, and it is hopeless");
	}
	return b ? decide_running(s, now, b, d) : decide_idle(s, now, d);
}

const struct fnpu_policy fnpu_policy_fluid_plus = {
	.info = {
		.name = "fluid+",
		.rule = "ours: regroup at exits by index or by look-ahead; the hopeless go last",
		.work_conserving = true,
		.preempts = true,
		.drops = true,
		.num_params = FLUID_PLUS_PARAMS,
		.params = params,
	},
	.order = ORDER_DEADLINE,
	.sets = 2,
	.state_bytes = sizeof(struct fluid_plus),
	.init = fluid_plus_init,
	.destroy = fluid_plus_destroy,
	.arrival = fluid_plus_arrival,
	.exit = fluid_plus_exit,
	.decide = fluid_plus_decide,
};
