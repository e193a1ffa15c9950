// SPDX-License-Identifier: MIT
/* report.json: the claims first, then everything that they were computed from. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench_output.h"
#include "common/cli.h"

#define PATH_BYTES	4096

/* Figures of a cell that are worth keeping; all with their confidence interval. */
static const char *const kept[] = {
	"mean_us", "p50_us", "p95_us", "p99_us", "on_time_mean_us", "violations", "dropped",
	"rejected", "goodput_hz", "busy", "utilisation", "switching", "mean_batch",
	"cycles_per_request", "dram_bytes_per_request", "preemptions", "accuracy", "early",
	NULL,
};

static void add_number(cJSON *object, const char *name, double v)
{
	if (isfinite(v))
		cJSON_AddNumberToObject(object, name, v);
	else
		cJSON_AddNullToObject(object, name);
}

/* [mean, half width of the 95 % interval] over seeds. */
static void add_estimate(cJSON *object, const struct result_field *f,
			 const struct sim_result *results, uint32_t seeds)
{
	double values[BENCH_MAX_SEEDS];
	struct estimate e;

	for (uint32_t s = 0; s < seeds; s++)
		values[s] = result_get(&results[s], f->offset);
	e = estimate_of(values, seeds);
	cJSON_AddItemToObject(object, f->name,
			      cJSON_CreateDoubleArray((const double[]){ e.mean, e.half }, 2));
}

static void add_results(cJSON *object, const struct sim_result *results, uint32_t seeds)
{
	for (const struct result_field *f = result_fields; f->name; f++)
		for (const char *const *name = kept; *name; name++)
			if (!strcmp(f->name, *name))
				add_estimate(object, f, results, seeds);
}

/* ---- sections ---- */

static void add_plan(cJSON *report, const struct bench *b)
{
	const struct bench_plan *p = &b->plan;
	cJSON *plan = cJSON_AddObjectToObject(report, "plan");

	cJSON_AddStringToObject(plan, "size", p->quick ? "quick" : "full");
	cJSON_AddNumberToObject(plan, "seeds", p->seeds);
	cJSON_AddNumberToObject(plan, "requests_per_seed", (double)p->requests);
	cJSON_AddNumberToObject(plan, "tuning_requests", (double)p->tuning_requests);
	cJSON_AddStringToObject(plan, "load", "of the serial policy's throughput on the conventional NPU with the same exits");
	cJSON_AddStringToObject(plan, "slo", "3 times a sample alone on the conventional NPU, full depth");
	cJSON_AddStringToObject(plan, "bursty", "two-state Markov-modulated: 2.5 times the mean rate for 0.2 s on average, 0.4 times for 0.5 s");
	cJSON_AddStringToObject(plan, "tuning", "each baseline at each point on each NPU with the batch cap and parameters that were best there with another seed: once for violations, once for mean latency");
	cJSON_AddNumberToObject(plan, "seconds", b->seconds);
}

static void add_claims(cJSON *report, const struct bench *b)
{
	struct claim claims[MAX_CLAIMS];
	const uint32_t num = bench_claims(b, claims);
	cJSON *array = cJSON_AddArrayToObject(report, "claims");

	for (uint32_t i = 0; i < num; i++) {
		cJSON *c = cJSON_CreateObject();

		cJSON_AddStringToObject(c, "name", claims[i].name);
		cJSON_AddStringToObject(c, "text", claims[i].text);
		add_number(c, "value", claims[i].measured ? claims[i].value : NAN);
		cJSON_AddStringToObject(c, "unit", claims[i].unit);
		cJSON_AddNumberToObject(c, claims[i].at_least ? "at_least" : "at_most",
					claims[i].target);
		if (claims[i].aim > 0)
			cJSON_AddNumberToObject(c, "aim", claims[i].aim);
		cJSON_AddStringToObject(c, "result", !claims[i].measured ? "not measured" :
					claim_holds(&claims[i]) ? "pass" : "fail");
		cJSON_AddStringToObject(c, "detail", claims[i].detail);
		cJSON_AddItemToArray(array, c);
	}
}

static cJSON *cell_json(const struct bench *b, const struct cell *cell, enum bench_aim aim)
{
	cJSON *object = cJSON_CreateObject();

	cJSON_AddStringToObject(object, "policy", cell->chosen[aim].policy);
	cJSON_AddNumberToObject(object, "max_batch", cell->chosen[aim].max_batch);
	add_results(object, cell->results[aim], b->plan.seeds);
	return object;
}

static void add_contenders(cJSON *point, const struct bench *b, uint32_t index)
{
	static const char *const npus[BENCH_NPUS] = { "conventional", "fluid" };
	const struct bench_plan *p = &b->plan;
	cJSON *array = cJSON_AddArrayToObject(point, "contenders");

	for (uint32_t n = 0; n < BENCH_NPUS; n++) {
		for (uint32_t i = 0; i < p->num_contenders; i++) {
			const struct cell *cell = cell_at(b, index, n, i);
			cJSON *c = cJSON_CreateObject();

			cJSON_AddStringToObject(c, "name", p->contenders[i]->name);
			cJSON_AddStringToObject(c, "npu", npus[n]);
			cJSON_AddItemToObject(c, "for_slo", cell_json(b, cell, BENCH_SLO));
			cJSON_AddItemToObject(c, "for_latency", cell_json(b, cell, BENCH_LATENCY));
			cJSON_AddItemToArray(array, c);
		}
	}
}

static void add_best(cJSON *point, const struct bench *b, uint32_t index)
{
	const int slo = best_baseline(b, index, BENCH_FLUID, BENCH_SLO);
	const int latency = best_baseline(b, index, BENCH_FLUID, BENCH_LATENCY);

	if (slo >= 0)
		cJSON_AddStringToObject(point, "best_baseline_for_slo",
					b->plan.contenders[slo]->name);
	if (latency >= 0)
		cJSON_AddStringToObject(point, "best_baseline_for_latency",
					b->plan.contenders[latency]->name);
}

static void add_points(cJSON *report, const struct bench *b)
{
	const struct bench_plan *p = &b->plan;
	cJSON *array = cJSON_AddArrayToObject(report, "points");

	for (uint32_t i = 0; i < bench_num_points(p); i++) {
		const struct bench_case *c = &p->cases[i / p->num_loads / BENCH_WORKLOADS];
		cJSON *point = cJSON_CreateObject(), *oracle;

		cJSON_AddStringToObject(point, "case", c->label);
		cJSON_AddStringToObject(point, "network", c->network);
		cJSON_AddStringToObject(point, "exits", c->exits);
		cJSON_AddStringToObject(point, "workload",
					i / p->num_loads % BENCH_WORKLOADS ? "bursty" : "poisson");
		cJSON_AddNumberToObject(point, "load", p->loads[i % p->num_loads]);
		oracle = cJSON_AddObjectToObject(point, "oracle_on_fluid");
		for (const struct result_field *f = result_fields; f->name; f++)
			if (!strcmp(f->name, "violations") || !strcmp(f->name, "mean_us"))
				add_estimate(oracle, f, b->oracle[i], p->seeds);
		add_best(point, b, i);
		add_contenders(point, b, i);
		cJSON_AddItemToArray(array, point);
	}
}

static void add_studies(cJSON *report, const struct bench *b)
{
	cJSON *arrays[STUDY_KINDS];

	for (int k = 0; k < STUDY_KINDS; k++)
		arrays[k] = cJSON_AddArrayToObject(report, study_name((enum study_kind)k));
	for (size_t i = 0; i < b->study.num; i++) {
		const struct study_row *row = &b->study.rows[i];
		cJSON *object = cJSON_CreateObject();

		cJSON_AddStringToObject(object, "case", b->plan.cases[row->c].label);
		cJSON_AddStringToObject(object, "workload",
					row->workload == BENCH_BURSTY ? "bursty" : "poisson");
		cJSON_AddStringToObject(object, "series", row->series);
		cJSON_AddStringToObject(object, "policy", row->options.policy);
		cJSON_AddNumberToObject(object, "max_batch", row->options.max_batch);
		cJSON_AddNumberToObject(object, row->kind == STUDY_GOODPUT ? "load_at_99_percent" : "x",
					row->kind == STUDY_GOODPUT ? row->results[0].load : row->x);
		add_results(object, row->results, b->plan.seeds);
		cJSON_AddItemToArray(arrays[row->kind], object);
	}
}

/* Objects with a number per objective. */
static void add_gains(cJSON *object, const double latency[BENCH_AIMS],
		      const double violations[BENCH_AIMS])
{
	add_number(object, "latency_with_slo", latency[BENCH_SLO]);
	add_number(object, "violations_with_slo", violations[BENCH_SLO]);
	add_number(object, "latency_with_latency", latency[BENCH_LATENCY]);
	add_number(object, "violations_with_latency", violations[BENCH_LATENCY]);
}

/* Times better than tuned lazy on the conventional NPU. */
static void add_summaries(cJSON *report, const struct bench *b)
{
	cJSON *cases = cJSON_AddObjectToObject(report, "gain_by_case"), *kinds;
	struct ablation a[NPU_KINDS];

	for (uint32_t c = 0; c < b->plan.num_cases; c++) {
		const struct case_gain g = bench_case_gain(b, c);

		add_gains(cJSON_AddObjectToObject(cases, b->plan.cases[c].label), g.latency,
			  g.violations);
	}
	kinds = cJSON_AddObjectToObject(report, "gain_by_idea");
	bench_ablation(b, a);
	for (int k = 0; k < NPU_KINDS; k++)
		add_gains(cJSON_AddObjectToObject(kinds, a[k].label), a[k].latency, a[k].violations);
}

static void add_cost(cJSON *report, const struct bench *b)
{
	cJSON *cost = cJSON_AddObjectToObject(report, "cost_on_this_host"), *ns;

	cJSON_AddNumberToObject(cost, "simulated_requests_per_s", b->cost.requests_per_s);
	ns = cJSON_AddObjectToObject(cost, "ns_per_decision_at_100_1000_10000_waiting");
	for (uint32_t i = 0; i < b->cost.num_policies; i++)
		cJSON_AddItemToObject(ns, b->cost.policies[i],
				      cJSON_CreateDoubleArray(b->cost.decision_ns[i], COST_SIZES));
}

int bench_json(const struct bench *b, const char *dir)
{
	cJSON *report = cJSON_CreateObject();
	char path[PATH_BYTES], *text;
	FILE *file;
	bool ok;

	add_plan(report, b);
	add_claims(report, b);
	add_cost(report, b);
	if (contender_find(&b->plan, "fluid+") >= 0 && contender_find(&b->plan, "lazy") >= 0)
		add_summaries(report, b);
	add_points(report, b);
	add_studies(report, b);
	text = cJSON_Print(report);
	snprintf(path, sizeof(path), "%s/report.json", dir);
	file = text ? fopen(path, "we") : NULL;
	ok = file && fprintf(file, "%s\n", text) > 0;
	if (file && fclose(file))
		ok = false;
	cJSON_free(text);
	cJSON_Delete(report);
	return ok ? 0 : cli_error("cannot write %s: %s", path, strerror(errno));
}
