// SPDX-License-Identifier: MIT
/*
 * What is measured beside the comparison: goodput and its bound, the ablation of the paper's
 * three ideas, and sensitivity to what the comparison holds fixed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "error.h"

#define SATISFACTION		0.99
#define SENSITIVITY_LOAD	0.8
#define GOODPUT_TUNED_LOAD	0.8
#define COUNT(array)		(sizeof(array) / sizeof((array)[0]))

static const char *const names[STUDY_KINDS] = {
	[STUDY_GOODPUT] = "goodput",
	[STUDY_ABLATION] = "ablation",
	[STUDY_SLO] = "slo",
	[STUDY_MAX_BATCH] = "max_batch",
	[STUDY_BANDWIDTH] = "bandwidth_gb_per_s",
	[STUDY_TILE_ROWS] = "tile_rows",
	[STUDY_EXIT_ERROR] = "exit_profile_error",
};

const char *study_name(enum study_kind kind)
{
	return names[kind];
}

double row_mean(const struct bench *b, const struct study_row *row, size_t offset)
{
	double sum = 0;

	for (uint32_t s = 0; s < b->plan.seeds; s++)
		sum += result_get(&row->results[s], offset);
	return sum / b->plan.seeds;
}

static int add_row(struct study *study, const struct study_row *row)
{
	if (study->num == study->room) {
		const size_t room = 2 * study->room + 256;
		struct study_row *more = realloc(study->rows, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		study->rows = more;
		study->room = room;
	}
	study->rows[study->num++] = *row;
	return 0;
}

/* ---- goodput ---- */

/* The load of the plan that is nearest to @load. */
static uint32_t nearest_load(const struct bench_plan *p, double load)
{
	uint32_t best = 0;

	for (uint32_t l = 1; l < p->num_loads; l++)
		if ((p->loads[l] - load) * (p->loads[l] - load) <
		    (p->loads[best] - load) * (p->loads[best] - load))
			best = l;
	return best;
}

static int plan_goodput(struct bench *b)
{
	const struct bench_plan *p = &b->plan;
	const uint32_t l = nearest_load(p, GOODPUT_TUNED_LOAD);
	int ret = 0;

	for (uint32_t c = 0; c < p->num_cases; c++) {
		for (uint32_t w = 0; w < BENCH_WORKLOADS; w++) {
			struct study_row row = {
				.kind = STUDY_GOODPUT, .c = c, .workload = (enum bench_workload)w,
				.series = SIM_ORACLE,
				.options = bench_point(p, c, (enum bench_workload)w, p->loads[l]),
			};

			strcpy(row.options.policy, SIM_ORACLE);
			ret |= add_row(&b->study, &row);
			for (uint32_t i = 0; i < p->num_contenders; i++) {
				row.series = p->contenders[i]->name;
				row.options = cell_at(b, point_index(p, c, w, l), BENCH_FLUID,
						      i)->chosen[BENCH_SLO];
				ret |= add_row(&b->study, &row);
			}
		}
	}
	return ret;
}

static int run_goodput(struct bench *b, size_t num, struct fnpu_error *error)
{
	const uint32_t seeds = b->plan.seeds;
	struct sim_options *runs = calloc(num ? num * seeds : 1, sizeof(*runs));
	struct sim_result *results = calloc(num ? num * seeds : 1, sizeof(*results));
	int ret = runs && results ? 0 : fnpu_fail(error, -ENOMEM, "out of memory");

	for (size_t i = 0; !ret && i < num * seeds; i++) {
		runs[i] = b->study.rows[i / seeds].options;
		runs[i].seed = i % seeds + 1;
	}
	b->sweep.what = "simulations for goodput";
	if (!ret)
		ret = goodput_search(&b->sweep, runs, num, seeds, SATISFACTION, results, error);
	for (size_t i = 0; !ret && i < num * seeds; i++)
		b->study.rows[i / seeds].results[i % seeds] = results[i];
	free(runs);
	free(results);
	return ret;
}

/* ---- ablation ---- */

static int plan_ablation(struct bench *b)
{
	static const enum npu_kind kinds[] = {
		NPU_CONVENTIONAL, NPU_BATCHING, NPU_STACKING, NPU_FLUID,
	};
	const struct bench_plan *p = &b->plan;
	const int ours = contender_find(p, "fluid+");
	int ret = 0;

	for (uint32_t i = 0; ours >= 0 && i < bench_num_points(p); i++) {
		const struct cell *cell = cell_at(b, i, BENCH_FLUID, (uint32_t)ours);
		const double load = p->loads[i % p->num_loads];

		for (uint32_t k = 0; load >= 0.5 && load <= 1 && k < COUNT(kinds); k++) {
			for (uint32_t aim = 0; aim < BENCH_AIMS; aim++) {
				struct study_row row = {
					.kind = STUDY_ABLATION,
					.c = i / p->num_loads / BENCH_WORKLOADS,
					.workload = (enum bench_workload)
						(i / p->num_loads % BENCH_WORKLOADS),
					.series = npu_kind_name(kinds[k]),
					.aim = (enum bench_aim)aim,
					.x = load,
					.options = cell->chosen[aim],
				};

				row.options.npu = kinds[k];
				ret |= add_row(&b->study, &row);
			}
		}
	}
	return ret;
}

/* ---- sensitivity ---- */

static const struct sensitivity {
	enum study_kind kind;
	double values[6];
} sensitivities[] = {
	{ STUDY_SLO, { 1.5, 2, 3, 5, 10 } },
	{ STUDY_MAX_BATCH, { 1, 2, 4, 8, 16 } },
	{ STUDY_BANDWIDTH, { 3.2, 6.4, 12.8, 25.6, 51.2 } },
	{ STUDY_TILE_ROWS, { 32, 64, 128, 256 } },
	{ STUDY_EXIT_ERROR, { 0, 0.25, 0.5, 0.75, 1 } },
};

static void set_value(struct sim_options *o, enum study_kind kind, double x)
{
	const double bytes_per_kcycle = x * 1e9 * 1024 / 800e6;

	switch (kind) {
	case STUDY_SLO:
		o->slo = x;
		break;
	case STUDY_MAX_BATCH:
		o->max_batch = (uint32_t)x;
		break;
	case STUDY_BANDWIDTH:
		snprintf(o->device, sizeof(o->device), "dram_bytes_per_kcycle=%.0f",
			 bytes_per_kcycle);
		break;
	case STUDY_TILE_ROWS:
		snprintf(o->device, sizeof(o->device), "tile_rows=%.0f", x);
		break;
	case STUDY_EXIT_ERROR:
		o->exit_error = x;
		break;
	default:
		break;
	}
}

/* Series of the figures. A baseline's best cap is picked afterwards, which favours it. */
static const struct series {
	const char *name;
	const char *policy;
	enum npu_kind npu;
	enum bench_aim aim;
	bool caps;
} series[] = {
	{ "lazy, conventional NPU", "lazy", NPU_CONVENTIONAL, BENCH_SLO, true },
	{ "lazy", "lazy", NPU_FLUID, BENCH_SLO, true },
	{ "adaptive", "adaptive", NPU_FLUID, BENCH_SLO, true },
	{ "fluid", "fluid", NPU_FLUID, BENCH_SLO, true },
	{ "fluid+ slo", "fluid+:objective=slo", NPU_FLUID, BENCH_SLO, false },
	{ "fluid+ latency", "fluid+:objective=latency", NPU_FLUID, BENCH_LATENCY, false },
};

static int plan_series(struct bench *b, const struct study_row *base, const struct series *s)
{
	const struct bench_plan *p = &b->plan;
	const bool caps = s->caps && base->kind != STUDY_MAX_BATCH;
	char name[32];
	int ret = 0;

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(s->policy, ":"), s->policy);
	if (contender_find(p, name) < 0)
		return 0;
	for (uint32_t i = 0; i < (caps ? p->num_caps : 1); i++) {
		struct study_row row = *base;

		row.series = s->name;
		row.aim = s->aim;
		row.options.npu = s->npu;
		strcpy(row.options.policy, s->policy);
		if (caps)
			row.options.max_batch = p->caps[i];
		ret |= add_row(&b->study, &row);
	}
	return ret;
}

/* The middle case of each network, Poisson. */
static bool is_typical(const struct bench_case *c)
{
	return !strcmp(c->exits, "mid") || strstr(c->label, "resnet3");
}

static int plan_sensitivity(struct bench *b)
{
	const struct bench_plan *p = &b->plan;
	int ret = 0;

	for (uint32_t c = 0; c < p->num_cases; c++) {
		if (!is_typical(&p->cases[c]))
			continue;
		for (size_t i = 0; i < COUNT(sensitivities); i++) {
			for (uint32_t v = 0; v < COUNT(sensitivities[i].values); v++) {
				struct study_row row = {
					.kind = sensitivities[i].kind, .c = c,
					.workload = BENCH_POISSON, .x = sensitivities[i].values[v],
					.options = bench_point(p, c, BENCH_POISSON,
							       SENSITIVITY_LOAD),
				};

				if (v && !row.x)
					break;	/* there are fewer values */
				set_value(&row.options, row.kind, row.x);
				for (size_t s = 0; s < COUNT(series); s++)
					ret |= plan_series(b, &row, &series[s]);
			}
		}
	}
	return ret;
}

/* Of rows that differ in their cap only, the best one for their aim stays. */
static bool same_but_cap(const struct study_row *a, const struct study_row *b)
{
	return a->kind == b->kind && a->c == b->c && a->workload == b->workload &&
	       a->x == b->x && a->aim == b->aim && a->series == b->series;
}

static void keep_best_caps(struct bench *b, size_t first)
{
	struct study *s = &b->study;
	size_t kept = first;

	for (size_t i = first; i < s->num; i++) {
		struct study_row *last = kept > first ? &s->rows[kept - 1] : NULL;

		if (!last || !same_but_cap(last, &s->rows[i]))
			s->rows[kept++] = s->rows[i];
		else if (ROW_MEAN(b, &s->rows[i], violations) < ROW_MEAN(b, last, violations))
			*last = s->rows[i];
	}
	s->num = kept;
}

/* ---- all of it ---- */

static int run_rows(struct bench *b, size_t first, struct fnpu_error *error)
{
	const uint32_t seeds = b->plan.seeds;
	const size_t num = (b->study.num - first) * seeds;
	struct sim_options *runs = calloc(num ? num : 1, sizeof(*runs));
	struct sim_result *results = calloc(num ? num : 1, sizeof(*results));
	int ret = runs && results ? 0 : fnpu_fail(error, -ENOMEM, "out of memory");

	for (size_t i = 0; !ret && i < num; i++) {
		runs[i] = b->study.rows[first + i / seeds].options;
		runs[i].seed = i % seeds + 1;
	}
	b->sweep.what = "simulations for ablation and sensitivity";
	if (!ret)
		ret = sweep_run(&b->sweep, runs, num, results, error);
	for (size_t i = 0; !ret && i < num; i++)
		b->study.rows[first + i / seeds].results[i % seeds] = results[i];
	free(runs);
	free(results);
	return ret;
}

int bench_study(struct bench *b, struct fnpu_error *error)
{
	size_t goodput_rows;
	int ret = plan_goodput(b);

	goodput_rows = b->study.num;
	if (ret || plan_ablation(b) || plan_sensitivity(b))
		return fnpu_fail(error, -ENOMEM, "out of memory");
	ret = run_goodput(b, goodput_rows, error);
	if (!ret)
		ret = run_rows(b, goodput_rows, error);
	if (!ret)
		keep_best_caps(b, goodput_rows);
	return ret;
}
