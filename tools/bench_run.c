// SPDX-License-Identifier: MIT
/* Tuning of the baselines, then the measurements. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "error.h"

static const enum npu_kind npus[BENCH_NPUS] = {
	[BENCH_CONVENTIONAL] = NPU_CONVENTIONAL,
	[BENCH_FLUID] = NPU_FLUID,
};

/** struct batch - simulations that are run together; @tags: whose they are */
struct batch {
	struct sim_options *options;
	struct sim_result *results;
	size_t num, room;
	bool failed;
};

static void add(struct batch *batch, const struct sim_options *o)
{
	if (batch->num == batch->room) {
		const size_t room = 2 * batch->room + 1024;
		struct sim_options *more = realloc(batch->options, room * sizeof(*more));

		if (!more) {
			batch->failed = true;
			return;
		}
		batch->options = more;
		batch->room = room;
	}
	batch->options[batch->num++] = *o;
}

static int run(struct bench *b, struct batch *batch, const char *what, struct fnpu_error *error)
{
	b->sweep.what = what;
	batch->results = calloc(batch->num ? batch->num : 1, sizeof(*batch->results));
	if (batch->failed || !batch->results)
		return fnpu_fail(error, -ENOMEM, "no memory for %zu simulations", batch->num);
	return sweep_run(&b->sweep, batch->options, batch->num, batch->results, error);
}

static void free_batch(struct batch *batch)
{
	free(batch->options);
	free(batch->results);
}

/* ---- every cell, in one order ---- */

/** struct visit - a cell and where it is */
struct visit {
	struct bench *b;
	struct batch *batch;
	size_t next;	/* result to look at */
	const struct contender *contender;
	struct cell *cell;
	struct sim_options point;
};

static void for_each_cell(struct visit *v, void (*function)(struct visit *v))
{
	const struct bench_plan *p = &v->b->plan;

	for (uint32_t c = 0; c < p->num_cases; c++)
		for (uint32_t w = 0; w < BENCH_WORKLOADS; w++)
			for (uint32_t l = 0; l < p->num_loads; l++)
				for (uint32_t n = 0; n < BENCH_NPUS; n++)
					for (uint32_t i = 0; i < p->num_contenders; i++) {
						v->contender = p->contenders[i];
						v->cell = cell_at(v->b, point_index(p, c, w, l), n, i);
						v->point = bench_point(p, c, (enum bench_workload)w,
								       p->loads[l]);
						v->point.npu = npus[n];
						function(v);
					}
}

/* ---- tuning ---- */

/* What can be chosen for the cell: the next of it, or false. */
static bool next_choice(const struct visit *v, uint32_t *variant, uint32_t *cap,
			struct sim_options *o)
{
	const struct bench_plan *p = &v->b->plan;
	const uint32_t num_caps = v->contender->caps ? p->num_caps : 1;

	if (!v->contender->variants[*variant])
		return false;
	*o = v->point;
	strcpy(o->policy, v->contender->variants[*variant]);
	o->max_batch = v->contender->caps ? p->caps[*cap] : 0;
	if (++*cap == num_caps) {
		*cap = 0;
		++*variant;
	}
	return true;
}

static void add_choices(struct visit *v)
{
	uint32_t variant = 0, cap = 0;
	struct sim_options o;

	if (v->contender->ours)
		return;
	while (next_choice(v, &variant, &cap, &o)) {
		o.seed = BENCH_TUNING_SEED;
		o.requests = o.requests * v->b->plan.tuning_requests / v->b->plan.requests;
		o.warmup = o.requests / 20;
		add(v->batch, &o);
	}
}

/* Fewer violations, then the lower mean; or the other way round. */
static bool better(const struct sim_result *a, const struct sim_result *b, enum bench_aim aim)
{
	const bool lossless = a->dropped + a->rejected <= b->dropped + b->rejected;

	if (aim == BENCH_SLO)
		return a->violations != b->violations ? a->violations < b->violations :
							a->mean_us < b->mean_us;
	/* the mean is of those served: dropping must not pay */
	if (a->completed != b->completed)
		return lossless;
	return a->mean_us < b->mean_us;
}

static void choose(struct visit *v)
{
	const struct sim_result *best[BENCH_AIMS] = { NULL };
	uint32_t variant = 0, cap = 0;
	struct sim_options o;

	for (uint32_t aim = 0; v->contender->ours && aim < BENCH_AIMS; aim++) {
		v->cell->chosen[aim] = v->point;
		strcpy(v->cell->chosen[aim].policy, v->contender->variants[aim]);
	}
	if (v->contender->ours)
		return;
	while (next_choice(v, &variant, &cap, &o)) {
		const struct sim_result *r = &v->batch->results[v->next++];

		for (uint32_t aim = 0; aim < BENCH_AIMS; aim++) {
			if (best[aim] && !better(r, best[aim], (enum bench_aim)aim))
				continue;
			best[aim] = r;
			v->cell->chosen[aim] = o;
		}
	}
}

int bench_tune(struct bench *b, struct fnpu_error *error)
{
	struct batch batch = { 0 };
	struct visit v = { .b = b, .batch = &batch };
	int ret;

	for_each_cell(&v, add_choices);
	ret = run(b, &batch, "simulations to tune", error);
	if (!ret)
		for_each_cell(&v, choose);
	free_batch(&batch);
	return ret;
}

/* ---- measuring ---- */

static void add_runs(struct visit *v)
{
	for (uint32_t aim = 0; aim < BENCH_AIMS; aim++) {
		struct sim_options o = v->cell->chosen[aim];

		for (uint32_t s = 0; s < v->b->plan.seeds; s++) {
			o.seed = s + 1;
			add(v->batch, &o);
		}
	}
}

static void take_runs(struct visit *v)
{
	for (uint32_t aim = 0; aim < BENCH_AIMS; aim++)
		for (uint32_t s = 0; s < v->b->plan.seeds; s++)
			v->cell->results[aim][s] = v->batch->results[v->next++];
}

/* The oracle at every point, on the fluid NPU. */
static void add_oracle(struct bench *b, struct batch *batch)
{
	const struct bench_plan *p = &b->plan;

	for (uint32_t c = 0; c < p->num_cases; c++) {
		for (uint32_t w = 0; w < BENCH_WORKLOADS; w++) {
			for (uint32_t l = 0; l < p->num_loads; l++) {
				struct sim_options o = bench_point(p, c, (enum bench_workload)w,
								   p->loads[l]);

				strcpy(o.policy, SIM_ORACLE);
				for (o.seed = 1; o.seed <= p->seeds; o.seed++)
					add(batch, &o);
			}
		}
	}
}

int bench_measure(struct bench *b, struct fnpu_error *error)
{
	const struct bench_plan *p = &b->plan;
	struct batch batch = { 0 };
	struct visit v = { .b = b, .batch = &batch };
	int ret;

	for_each_cell(&v, add_runs);
	add_oracle(b, &batch);
	ret = run(b, &batch, "simulations to measure", error);
	if (!ret) {
		for_each_cell(&v, take_runs);
		for (uint32_t i = 0; i < bench_num_points(p); i++)
			for (uint32_t s = 0; s < p->seeds; s++)
				b->oracle[i][s] = batch.results[v.next++];
	}
	free_batch(&batch);
	return ret;
}

struct estimate cell_estimate(const struct bench *b, const struct cell *cell, enum bench_aim aim,
			      size_t offset)
{
	double values[BENCH_MAX_SEEDS];

	for (uint32_t s = 0; s < b->plan.seeds; s++)
		values[s] = result_get(&cell->results[aim][s], offset);
	return estimate_of(values, b->plan.seeds);
}

double cell_mean(const struct bench *b, const struct cell *cell, enum bench_aim aim, size_t offset)
{
	return cell_estimate(b, cell, aim, offset).mean;
}
