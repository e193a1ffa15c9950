// SPDX-License-Identifier: MIT
/* The figures and targets that must hold, computed from what was measured. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"

#define MIN_LOAD	0.5	/* of the comparison with lazy */
#define MAX_LOAD	1.0
#define HIGH_LOAD	0.8
#define NOTABLE		0.01	/* share of violations from which half of it is asked for */
#define LOSSLESS	0.001	/* share of requests not served up to which a mean is comparable */
#define EARLY		0.001	/* likewise, made to leave early */
#define SATURATED	0.97	/* share of its time that an NPU is busy when it cannot keep up */

/* ---- helpers ---- */

/** struct geomean - a geometric mean while it grows */
struct geomean {
	double log_sum;
	uint32_t num;
};

static void geomean_add(struct geomean *g, double v)
{
	g->log_sum += log(v);
	g->num++;
}

static double geomean_value(const struct geomean *g)
{
	return g->num ? exp(g->log_sum / g->num) : NAN;
}

static double load_of(const struct bench *b, uint32_t point)
{
	return b->plan.loads[point % b->plan.num_loads];
}

static double lost_share(const struct bench *b, const struct cell *cell, enum bench_aim aim)
{
	return (CELL_MEAN(b, cell, aim, dropped) + CELL_MEAN(b, cell, aim, rejected)) /
	       CELL_MEAN(b, cell, aim, requests);
}

double violation_ratio(double requests, double worse, double better)
{
	const double floor = 0.5 / requests;

	return (worse > floor ? worse : floor) / (better > floor ? better : floor);
}

int best_baseline(const struct bench *b, uint32_t point, enum bench_npu npu, enum bench_aim aim)
{
	double best = INFINITY;
	int index = -1;

	for (uint32_t i = 0; i < b->plan.num_contenders; i++) {
		const struct cell *cell = cell_at(b, point, npu, i);
		double v;

		if (b->plan.contenders[i]->ours || CELL_MEAN(b, cell, aim, early) > EARLY)
			continue;
		if (aim == BENCH_LATENCY && lost_share(b, cell, aim) > LOSSLESS)
			continue;
		v = aim == BENCH_SLO ? CELL_MEAN(b, cell, aim, violations) :
				       CELL_MEAN(b, cell, aim, mean_us);
		if (v < best) {
			best = v;
			index = (int)i;
		}
	}
	return index;
}

/* ---- against lazy on the conventional NPU ---- */

/** struct versus_lazy - per objective of fluid+; @stable: latency where lazy can keep up */
struct versus_lazy {
	struct geomean latency[BENCH_AIMS], violations[BENCH_AIMS], stable[BENCH_AIMS];
	uint32_t both_zero[BENCH_AIMS], ours_zero[BENCH_AIMS];
};

static void compare_with_lazy(const struct bench *b, uint32_t point, struct versus_lazy *v)
{
	const uint32_t lazy = (uint32_t)contender_find(&b->plan, "lazy");
	const uint32_t ours = (uint32_t)contender_find(&b->plan, "fluid+");
	const struct cell *theirs = cell_at(b, point, BENCH_CONVENTIONAL, lazy);
	const struct cell *cell = cell_at(b, point, BENCH_FLUID, ours);
	const double late = CELL_MEAN(b, theirs, BENCH_SLO, violations);
	const double requests = CELL_MEAN(b, theirs, BENCH_SLO, requests) * b->plan.seeds;

	for (uint32_t aim = 0; aim < BENCH_AIMS; aim++) {
		const double ours_late = CELL_MEAN(b, cell, aim, violations);

		const double latency = CELL_MEAN(b, theirs, BENCH_LATENCY, mean_us) /
				       CELL_MEAN(b, cell, aim, mean_us);

		geomean_add(&v->latency[aim], latency);
		if (CELL_MEAN(b, theirs, BENCH_LATENCY, busy) < SATURATED)
			geomean_add(&v->stable[aim], latency);
		v->both_zero[aim] += late <= 0 && ours_late <= 0;
		v->ours_zero[aim] += late > 0 && ours_late <= 0;
		if (late > 0 || ours_late > 0)
			geomean_add(&v->violations[aim], violation_ratio(requests, late, ours_late));
	}
}

static bool is_compared(const struct bench *b, uint32_t point)
{
	return load_of(b, point) >= MIN_LOAD - 1e-9 && load_of(b, point) <= MAX_LOAD + 1e-9;
}

struct case_gain bench_case_gain(const struct bench *b, uint32_t c)
{
	const uint32_t points = BENCH_WORKLOADS * b->plan.num_loads;
	struct versus_lazy v = { 0 };
	struct case_gain gain;

	for (uint32_t i = c * points; i < (c + 1) * points; i++)
		if (is_compared(b, i))
			compare_with_lazy(b, i, &v);
	for (uint32_t aim = 0; aim < BENCH_AIMS; aim++) {
		gain.latency[aim] = geomean_value(&v.latency[aim]);
		gain.violations[aim] = geomean_value(&v.violations[aim]);
	}
	return gain;
}

static void claim_versus_lazy(const struct bench *b, struct claim *c)
{
	static const char *const objectives[] = { "slo", "latency" };
	struct versus_lazy v = { 0 };

	for (uint32_t i = 0; i < bench_num_points(&b->plan); i++)
		if (is_compared(b, i))
			compare_with_lazy(b, i, &v);
	c[0] = (struct claim){
		.name = "latency_vs_lazy_conventional",
		.text = "fluid+ (latency) on the fluid NPU: mean latency against tuned lazy on the conventional NPU, geometric mean over networks, loads 0.5 to 1.0, Poisson and bursty",
		.unit = "x better", .value = geomean_value(&v.latency[BENCH_LATENCY]),
		.target = 1.97, .aim = 2.5, .at_least = true, .measured = true,
	};
	c[1] = (struct claim){
		.name = "violations_vs_lazy_conventional",
		.text = "fluid+ (slo) on the fluid NPU: SLO violations against tuned lazy on the conventional NPU, likewise",
		.unit = "x fewer", .value = geomean_value(&v.violations[BENCH_SLO]),
		.target = 6.7, .aim = 12, .at_least = true, .measured = true,
	};
	for (int i = 0; i < 2; i++) {
		const uint32_t aim = i ? BENCH_SLO : BENCH_LATENCY, other = 1 - aim;

		snprintf(c[i].detail, sizeof(c[i].detail),
			 "%u points; at the %u of them where lazy's NPU is not saturated, latency is %.2fx better. With objective %s: latency %.2fx, violations %.2fx; with %s: latency %.2fx, violations %.2fx. Violations: %u points where both are 0 left out, %u where only fluid+ has none count as half a request",
			 v.latency[aim].num, v.stable[aim].num, geomean_value(&v.stable[aim]),
			 objectives[aim], geomean_value(&v.latency[aim]),
			 geomean_value(&v.violations[aim]), objectives[other],
			 geomean_value(&v.latency[other]), geomean_value(&v.violations[other]),
			 v.both_zero[aim], v.ours_zero[aim]);
	}
}

/* ---- against the best tuned baseline on the same NPU ---- */

/**
 * struct versus_best - over points; @worst: ratio ours / theirs, and where
 * @beyond: points at which even the oracle's bound is above the limit: nothing can hold there
 */
struct versus_best {
	struct geomean ratio, high_ratio;
	double worst;
	uint32_t worst_point, worst_rival;
	uint32_t num, held, beyond;
};

static void versus_add(const struct bench *b, struct versus_best *v, uint32_t point, int rival,
		       double ratio, double limit)
{
	geomean_add(&v->ratio, ratio);
	if (load_of(b, point) >= HIGH_LOAD - 1e-9)
		geomean_add(&v->high_ratio, ratio);
	v->num++;
	v->held += ratio <= limit;
	if (ratio <= v->worst)
		return;
	v->worst = ratio;
	v->worst_point = point;
	v->worst_rival = (uint32_t)rival;
}

static void say_where(const struct bench *b, const struct versus_best *v, char *text, size_t room)
{
	const struct bench_plan *p = &b->plan;
	const uint32_t c = v->worst_point / p->num_loads / BENCH_WORKLOADS;

	if (!v->num) {
		snprintf(text, room, "no such point");
		return;
	}
	snprintf(text, room, "holds at %u of %u points; geometric mean %.3f; worst %.3f: %s, %s, load %g, against %s",
		 v->held, v->num, geomean_value(&v->ratio), v->worst, p->cases[c].label,
		 v->worst_point / p->num_loads % BENCH_WORKLOADS ? "bursty" : "Poisson",
		 load_of(b, v->worst_point), p->contenders[v->worst_rival]->name);
}

static double oracle_violations(const struct bench *b, uint32_t point)
{
	double sum = 0;

	for (uint32_t s = 0; s < b->plan.seeds; s++)
		sum += b->oracle[point][s].violations;
	return sum / b->plan.seeds;
}

static void compare_slo(const struct bench *b, uint32_t point, struct versus_best *violations,
			struct versus_best *on_time)
{
	const uint32_t ours = (uint32_t)contender_find(&b->plan, "fluid+");
	const struct cell *cell = cell_at(b, point, BENCH_FLUID, ours), *rival;
	const int best = best_baseline(b, point, BENCH_FLUID, BENCH_SLO);
	double late;

	if (best < 0)
		return;
	rival = cell_at(b, point, BENCH_FLUID, (uint32_t)best);
	late = CELL_MEAN(b, rival, BENCH_SLO, violations);
	if (late <= NOTABLE)
		return;
	versus_add(b, violations, point, best,
		   CELL_MEAN(b, cell, BENCH_SLO, violations) / late, 0.5);
	violations->beyond += oracle_violations(b, point) > 0.5 * late;
	versus_add(b, on_time, point, best,
		   CELL_MEAN(b, cell, BENCH_SLO, on_time_mean_us) /
		   CELL_MEAN(b, rival, BENCH_SLO, on_time_mean_us), 1);
}

static void compare_latency(const struct bench *b, uint32_t point, struct versus_best *v)
{
	const uint32_t ours = (uint32_t)contender_find(&b->plan, "fluid+");
	const struct cell *cell = cell_at(b, point, BENCH_FLUID, ours);
	const int best = best_baseline(b, point, BENCH_FLUID, BENCH_LATENCY);

	if (best < 0)
		return;
	versus_add(b, v, point, best, CELL_MEAN(b, cell, BENCH_LATENCY, mean_us) /
		   CELL_MEAN(b, cell_at(b, point, BENCH_FLUID, (uint32_t)best), BENCH_LATENCY,
			     mean_us), 1.02);
}

static uint32_t claim_versus_best(const struct bench *b, struct claim *c)
{
	struct versus_best late = { 0 }, on_time = { 0 }, mean = { 0 };

	for (uint32_t i = 0; i < bench_num_points(&b->plan); i++) {
		compare_slo(b, i, &late, &on_time);
		compare_latency(b, i, &mean);
	}
	c[0] = (struct claim){
		.name = "slo_violations_vs_best_baseline",
		.text = "fluid+ (slo) against the best tuned baseline on the fluid NPU, wherever that has more than 1 % violations: worst ratio of violations",
		.unit = "of theirs", .value = late.worst, .target = 0.5, .measured = late.num,
	};
	c[1] = (struct claim){
		.name = "slo_on_time_latency_vs_best_baseline",
		.text = "at the same points: mean latency of what is served on time, averaged over the points",
		.unit = "of theirs", .value = geomean_value(&on_time.ratio), .target = 1,
		.measured = on_time.num,
	};
	c[2] = (struct claim){
		.name = "latency_worst_vs_best_baseline",
		.text = "fluid+ (latency) against the best tuned baseline on the fluid NPU, all points: worst ratio of mean latencies",
		.unit = "of theirs", .value = mean.worst, .target = 1.02, .measured = mean.num,
	};
	c[3] = (struct claim){
		.name = "latency_high_load_vs_best_baseline",
		.text = "likewise, geometric mean at loads of 0.8 and more",
		.unit = "of theirs", .value = geomean_value(&mean.high_ratio), .target = 0.85,
		.measured = mean.high_ratio.num,
	};
	say_where(b, &late, c[0].detail, sizeof(c[0].detail));
	snprintf(c[0].detail + strlen(c[0].detail), sizeof(c[0].detail) - strlen(c[0].detail),
		 "; at %u of them even the oracle's bound is above half of that baseline",
		 late.beyond);
	say_where(b, &on_time, c[1].detail, sizeof(c[1].detail));
	say_where(b, &mean, c[2].detail, sizeof(c[2].detail));
	snprintf(c[3].detail, sizeof(c[3].detail), "%u points; at all loads %.3f",
		 mean.high_ratio.num, geomean_value(&mean.ratio));
	return 4;
}

/* ---- goodput, cost ---- */

static void claim_goodput(const struct bench *b, struct claim *claim)
{
	double worst = INFINITY, oracle = 0;
	struct geomean all = { 0 };
	const struct study_row *worst_row = NULL;

	for (size_t i = 0; i < b->study.num; i++) {
		const struct study_row *row = &b->study.rows[i];
		const double load = ROW_MEAN(b, row, load);

		if (row->kind != STUDY_GOODPUT)
			continue;
		if (!strcmp(row->series, SIM_ORACLE))
			oracle = load;	/* the first of each point */
		if (strcmp(row->series, "fluid+"))
			continue;
		geomean_add(&all, load / oracle);
		if (load / oracle < worst) {
			worst = load / oracle;
			worst_row = row;
		}
	}
	*claim = (struct claim){
		.name = "goodput_vs_oracle",
		.text = "fluid+ (slo) on the fluid NPU: load at which 99 % are on time, worst ratio to the oracle's bound over networks and workloads",
		.unit = "of the bound", .value = worst, .target = 0.9, .at_least = true,
		.measured = worst_row,
	};
	if (worst_row)
		snprintf(claim->detail, sizeof(claim->detail),
			 "worst: %s, %s; geometric mean %.3f of %u",
			 b->plan.cases[worst_row->c].label,
			 worst_row->workload == BENCH_POISSON ? "Poisson" : "bursty",
			 geomean_value(&all), all.num);
}

static uint32_t claim_cost(const struct bench *b, struct claim *c)
{
	const struct bench_cost *cost = &b->cost;
	double slowest = 0, growth = 0;
	const char *slow = "", *grows = "";

	for (uint32_t i = 0; i < cost->num_policies; i++) {
		const double *ns = cost->decision_ns[i];

		if (ns[1] > slowest) {
			slowest = ns[1];
			slow = cost->policies[i];
		}
		if (ns[2] / ns[0] > growth) {
			growth = ns[2] / ns[0];
			grows = cost->policies[i];
		}
	}
	c[0] = (struct claim){
		.name = "decision_at_1000_waiting", .text = "time per decision with 1,000 waiting samples, the slowest policy",
		.unit = "ns", .value = slowest, .target = 1000, .measured = cost->num_policies,
	};
	c[1] = (struct claim){
		.name = "decision_growth", .text = "time per decision with 10,000 waiting samples against 100, the policy that grows most",
		.unit = "x", .value = growth, .target = 2, .measured = cost->num_policies,
	};
	c[2] = (struct claim){
		.name = "simulated_requests", .text = "simulated ResNet-50 requests per second and core, fluid+ at load 0.8",
		.unit = "per second", .value = cost->requests_per_s, .target = 200000,
		.at_least = true, .measured = cost->requests_per_s > 0,
	};
	snprintf(c[0].detail, sizeof(c[0].detail), "%s", slow);
	snprintf(c[1].detail, sizeof(c[1].detail), "%s", grows);
	return 3;
}

uint32_t bench_claims(const struct bench *b, struct claim claims[MAX_CLAIMS])
{
	uint32_t num = 0;

	if (contender_find(&b->plan, "fluid+") >= 0) {
		if (contender_find(&b->plan, "lazy") >= 0) {
			claim_versus_lazy(b, claims);
			num = 2;
		}
		num += claim_versus_best(b, claims + num);
		claim_goodput(b, &claims[num++]);
	}
	return num + claim_cost(b, claims + num);
}
