// SPDX-License-Identifier: MIT
/* The three ideas apart: the scheduler alone, with fluid batching, with stacking, with both. */
#include <math.h>
#include <string.h>

#include "bench.h"

static const char *const labels[NPU_KINDS] = {
	[NPU_CONVENTIONAL] = "scheduler only",
	[NPU_BATCHING] = "+ fluid batching",
	[NPU_STACKING] = "+ stacking",
	[NPU_FLUID] = "all",
};

/* The cell of lazy on the conventional NPU at the point of @row. */
static const struct cell *lazy_at(const struct bench *b, const struct study_row *row)
{
	const struct bench_plan *p = &b->plan;
	uint32_t l = 0;

	while (p->loads[l] < row->x - 1e-9)
		l++;
	return cell_at(b, point_index(p, row->c, row->workload, l), BENCH_CONVENTIONAL,
		       (uint32_t)contender_find(p, "lazy"));
}

static void compare(const struct bench *b, enum npu_kind kind, enum bench_aim aim,
		    struct ablation *a)
{
	double latency = 0, violations = 0;
	uint32_t num = 0, num_violations = 0;

	for (size_t i = 0; i < b->study.num; i++) {
		const struct study_row *row = &b->study.rows[i];
		const struct cell *lazy;
		double ours, theirs;

		if (row->kind != STUDY_ABLATION || row->options.npu != kind || row->aim != aim)
			continue;
		lazy = lazy_at(b, row);
		latency += log(CELL_MEAN(b, lazy, BENCH_LATENCY, mean_us) /
			       ROW_MEAN(b, row, mean_us));
		num++;
		ours = ROW_MEAN(b, row, violations);
		theirs = CELL_MEAN(b, lazy, BENCH_SLO, violations);
		if (ours <= 0 && theirs <= 0)
			continue;
		violations += log(violation_ratio(ROW_MEAN(b, row, requests) *
					      b->plan.seeds, theirs, ours));
		num_violations++;
	}
	a->latency[aim] = num ? exp(latency / num) : NAN;
	a->violations[aim] = num_violations ? exp(violations / num_violations) : NAN;
}

void bench_ablation(const struct bench *b, struct ablation a[NPU_KINDS])
{
	for (int k = 0; k < NPU_KINDS; k++) {
		a[k] = (struct ablation){ .label = labels[k] };
		for (int aim = 0; aim < BENCH_AIMS; aim++)
			compare(b, (enum npu_kind)k, (enum bench_aim)aim, &a[k]);
	}
}
