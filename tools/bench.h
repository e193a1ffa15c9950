/* SPDX-License-Identifier: MIT */
/*
 * What the files of the evaluation share (`make bench`).
 *
 *	bench.c			the steps, one after the other
 *	bench_plan.c		what is measured: cases, loads, contenders
 *	bench_run.c		tuning of the baselines, then the measurements
 *	bench_study.c		goodput, ablation, sensitivity
 *	bench_cost.c		what a decision costs, and the simulator's speed
 *	bench_claims.c		the figures and targets that must hold, as measured
 *	bench_json.c		report.json
 *	bench_plot.c		figures: gnuplot draws them
 *	bench_html.c		report.html
 *
 * A case is a network with an exit profile. A cell is a policy on a kind of NPU at a point (case,
 * workload, load). Baselines are tuned per cell: every batch cap and parameter of the plan is
 * tried with a seed of its own, the best is measured; once for the fewest violations and once
 * for the lowest mean latency, which are not always the same.
 */
#ifndef BENCH_H
#define BENCH_H

#include "sim/goodput.h"

#define BENCH_MAX_CASES		8u
#define BENCH_MAX_LOADS		16u
#define BENCH_MAX_SEEDS		16u
#define BENCH_MAX_VARIANTS	24u
#define BENCH_TUNING_SEED	1000000u

enum bench_workload { BENCH_POISSON, BENCH_BURSTY, BENCH_WORKLOADS };

/** enum bench_aim - what a cell is tuned for, or what fluid+ is told to aim at */
enum bench_aim { BENCH_SLO, BENCH_LATENCY, BENCH_AIMS };

/** enum bench_npu - kinds of NPU on which all contenders run */
enum bench_npu { BENCH_CONVENTIONAL, BENCH_FLUID, BENCH_NPUS };

/**
 * struct bench_case - @label: of the network and its exits
 * @bursty: times the plan's requests with bursty arrivals: where a burst is a hundred times as long
 *	as others in requests, more of them are needed to see some bursts
 */
struct bench_case {
	const char *label;
	const char *network;
	const char *exits;
	uint32_t bursty;
};

/**
 * struct contender - a policy in the comparison
 * @policies: what it is called with, per variant (tuned over), per aim when @ours
 * @ours: fluid+, which is not tuned: its variants are its objectives
 * @caps: is the batch cap tuned, too?
 * @paper: the paper's own policy: a contender, but no state of the art before it
 */
struct contender {
	const char *name;
	const char *variants[BENCH_MAX_VARIANTS];
	bool ours;
	bool caps;
	bool paper;
};

/**
 * struct bench_plan - what is measured; quick and full differ in it only
 */
struct bench_plan {
	bool quick;
	struct bench_case cases[BENCH_MAX_CASES];
	uint32_t num_cases;
	double loads[BENCH_MAX_LOADS];
	uint32_t num_loads;
	uint32_t caps[BENCH_MAX_VARIANTS];
	uint32_t num_caps;
	const struct contender *contenders[BENCH_MAX_VARIANTS];
	uint32_t num_contenders;
	uint32_t seeds;
	uint64_t requests;
	uint64_t tuning_requests;
};

/**
 * struct cell - a contender on an NPU at a point
 * @chosen: per aim: as it was tuned for it
 * @results: per aim, [seeds]
 */
struct cell {
	struct sim_options chosen[BENCH_AIMS];
	struct sim_result results[BENCH_AIMS][BENCH_MAX_SEEDS];
};

/** enum study_kind - what a row of the studies belongs to */
enum study_kind {
	STUDY_GOODPUT,		/* the load at which 99 % are on time, of which @x is no part */
	STUDY_ABLATION,		/* @x: load; series: kind of NPU */
	STUDY_SLO,		/* sensitivity: @x is what its name says; the series is the policy */
	STUDY_MAX_BATCH,
	STUDY_BANDWIDTH,	/* GB/s */
	STUDY_TILE_ROWS,
	STUDY_EXIT_ERROR,
	STUDY_KINDS,
};

/**
 * struct study_row - a measurement beside the cells
 * @series: what it is compared as
 * @aim: that it was measured for
 * @results: [seeds]
 */
struct study_row {
	enum study_kind kind;
	uint32_t c;
	enum bench_workload workload;
	const char *series;
	enum bench_aim aim;
	double x;
	struct sim_options options;
	struct sim_result results[BENCH_MAX_SEEDS];
};

struct study {
	struct study_row *rows;
	size_t num, room;
};

/**
 * struct bench_cost - what the scheduler and the simulator cost on this host
 * @decision_ns: per waiting samples 100, 1,000, 10,000; per policy of the core
 * @requests_per_s: simulated, ResNet-50, fluid+, one core
 */
#define COST_SIZES	3u
#define COST_POLICIES	16u
struct bench_cost {
	const char *policies[COST_POLICIES];
	double decision_ns[COST_POLICIES][COST_SIZES];
	uint32_t num_policies;
	double requests_per_s;
};

extern const uint32_t bench_cost_sizes[COST_SIZES];

/** struct bench - everything measured; cells by cell_at(), oracle by point_at() */
struct bench {
	struct bench_plan plan;
	struct sweep sweep;
	struct cell *cells;
	struct sim_result (*oracle)[BENCH_MAX_SEEDS];
	struct study study;
	struct bench_cost cost;
	double seconds;
};

/** bench_plan_set() - the full or the quick plan, of the policies that the core has */
void bench_plan_set(struct bench_plan *plan, bool quick);

/** bench_point() - options of a point without a policy */
struct sim_options bench_point(const struct bench_plan *plan, uint32_t c,
			       enum bench_workload workload, double load);

/** bench_num_points() - cases, workloads and loads; point_index() of one of them */
static inline uint32_t bench_num_points(const struct bench_plan *p)
{
	return p->num_cases * BENCH_WORKLOADS * p->num_loads;
}

static inline uint32_t point_index(const struct bench_plan *p, uint32_t c, uint32_t workload,
				   uint32_t load)
{
	return (c * BENCH_WORKLOADS + workload) * p->num_loads + load;
}

/** cell_at() - of a contender on an NPU at a point */
static inline struct cell *cell_at(const struct bench *b, uint32_t point, uint32_t npu,
				   uint32_t contender)
{
	return &b->cells[(point * BENCH_NPUS + npu) * b->plan.num_contenders + contender];
}

/** contender_find() - index of a contender in the plan, or -1 */
int contender_find(const struct bench_plan *p, const char *name);

/** cell_mean() - mean over seeds of a field of struct sim_result, by its offset */
double cell_mean(const struct bench *b, const struct cell *cell, enum bench_aim aim,
		 size_t offset);
#define CELL_MEAN(b, cell, aim, field) \
	cell_mean(b, cell, aim, offsetof(struct sim_result, field))

/** cell_estimate() - likewise, with its confidence interval */
struct estimate cell_estimate(const struct bench *b, const struct cell *cell, enum bench_aim aim,
			      size_t offset);

/** bench_tune(), bench_measure() - the cells; 0 or a negative errno with a sentence in @error */
int bench_tune(struct bench *b, struct fnpu_error *error);
int bench_measure(struct bench *b, struct fnpu_error *error);

/** bench_study() - goodput, ablation, sensitivity; after the cells, whose tuning it uses */
int bench_study(struct bench *b, struct fnpu_error *error);

/** study_name() - "slo", ... as in the report */
const char *study_name(enum study_kind kind);

/** row_mean() - mean over seeds of a field of struct sim_result, by its offset */
double row_mean(const struct bench *b, const struct study_row *row, size_t offset);
#define ROW_MEAN(b, row, field)	row_mean(b, row, offsetof(struct sim_result, field))

/** bench_measure_cost() - 0 or a negative errno with a sentence in @error */
int bench_measure_cost(struct bench *b, struct fnpu_error *error);

/**
 * struct claim - something that must hold, as measured
 * @unit: of @value and @target; @at_least: otherwise at most
 * @aim: what it would be nice to reach; 0: nothing
 * @measured: false: this plan does not measure it
 * @detail: how it was found, with counts
 */
struct claim {
	const char *name;
	const char *text;
	const char *unit;
	double value, target, aim;
	bool at_least;
	bool measured;
	char detail[480];
};

#define MAX_CLAIMS	24u

/** bench_claims() - all of them; returns their number */
uint32_t bench_claims(const struct bench *b, struct claim claims[MAX_CLAIMS]);

/** claim_holds() - does it? */
static inline bool claim_holds(const struct claim *c)
{
	return c->measured && (c->at_least ? c->value >= c->target : c->value <= c->target);
}

/**
 * best_baseline() - index of the contender that is best at a point on an NPU, but fluid+
 * @aim: BENCH_SLO: fewest violations; BENCH_LATENCY: lowest mean of those that serve everybody
 * Policies that make samples leave before their exit do not count: they pay with accuracy.
 * Returns -1 when there is none.
 */
int best_baseline(const struct bench *b, uint32_t point, enum bench_npu npu, enum bench_aim aim);

/**
 * struct ablation - fluid+ on a kind of NPU, times better than tuned lazy on the conventional one
 * Geometric means over the points of the ablation; per objective. Without such points NAN.
 */
struct ablation {
	const char *label;
	double latency[BENCH_AIMS], violations[BENCH_AIMS];
};

/** bench_ablation() - per kind of NPU, in the order of enum npu_kind */
void bench_ablation(const struct bench *b, struct ablation a[NPU_KINDS]);

/**
 * struct case_gain - fluid+ on the fluid NPU in a case, times better than tuned lazy on the
 * conventional one; geometric means over workloads and loads 0.5 to 1.0; per objective
 */
struct case_gain {
	double latency[BENCH_AIMS], violations[BENCH_AIMS];
};

/** bench_case_gain() - of case @c; there are lazy and fluid+ */
struct case_gain bench_case_gain(const struct bench *b, uint32_t c);

/** violation_ratio() - of two shares of @requests; what is 0 counts as half a request */
double violation_ratio(double requests, double worse, double better);

#endif /* BENCH_H */
