// SPDX-License-Identifier: MIT
/*
 * What a decision costs on this host, and how fast the simulator is.
 *
 * Overload keeps a queue full: four times the load that could be served, and a bound on how
 * many requests wait. Deadlines are about as far away as the queue is long, so that policies
 * have to tell those that can make it from those that cannot. Times are those inside
 * fnpu_sched_decide(), per call, also where it decides nothing; the fastest of some runs, as
 * others use the host, too.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "error.h"
#include "fnpu_sched.h"

#define RUNS		5
#define OVERLOAD	4.0

const uint32_t bench_cost_sizes[COST_SIZES] = { 100, 1000, 10000 };

/* The case of the plan that the costs are measured with. */
static uint32_t typical_case(const struct bench_plan *p)
{
	for (uint32_t c = 0; c < p->num_cases; c++)
		if (strstr(p->cases[c].network, "resnet50") && !strcmp(p->cases[c].exits, "mid"))
			return c;
	return 0;
}

static int fastest(struct sim_cache *cache, const struct sim_options *o, struct sim_result *best,
		   struct fnpu_error *error)
{
	struct sim_result r;

	for (int i = 0; i < RUNS; i++) {
		const int ret = sim_run(cache, o, NULL, &r, error);

		if (ret)
			return ret;
		if (!i || r.decision_ns < best->decision_ns)
			best->decision_ns = r.decision_ns;
		if (!i || r.requests_per_s > best->requests_per_s)
			best->requests_per_s = r.requests_per_s;
	}
	return 0;
}

static int measure_policy(struct bench *b, struct sim_cache *cache, const char *policy,
			  double *decision_ns, struct fnpu_error *error)
{
	struct sim_options o = bench_point(&b->plan, typical_case(&b->plan), BENCH_POISSON, OVERLOAD);
	struct sim_result r = { 0 };

	snprintf(o.policy, sizeof(o.policy), "%s", policy);
	for (uint32_t i = 0; i < COST_SIZES; i++) {
		const uint32_t waiting = bench_cost_sizes[i];
		int ret;

		o.queue = waiting;
		o.slo = waiting;
		o.warmup = 2 * waiting;
		o.requests = 3 * waiting + (b->plan.quick ? 2000 : 20000);
		ret = fastest(cache, &o, &r, error);
		if (ret)
			return ret;
		decision_ns[i] = r.decision_ns;
	}
	return 0;
}

static int measure_speed(struct bench *b, struct sim_cache *cache, struct fnpu_error *error)
{
	struct sim_options o = bench_point(&b->plan, typical_case(&b->plan), BENCH_POISSON, 0.8);
	const int ours = contender_find(&b->plan, "fluid+");
	struct sim_result r = { 0 };
	int ret;

	snprintf(o.policy, sizeof(o.policy), "%s",
		 b->plan.contenders[ours < 0 ? 0 : ours]->variants[0]);
	o.requests = b->plan.quick ? 50000 : 400000;
	ret = fastest(cache, &o, &r, error);
	b->cost.requests_per_s = r.requests_per_s;
	return ret;
}

int bench_measure_cost(struct bench *b, struct fnpu_error *error)
{
	const struct fnpu_sched_policy_info *info;
	struct sim_cache *cache = sim_cache_new();
	int ret = cache ? 0 : fnpu_fail(error, -ENOMEM, "out of memory");

	for (uint32_t i = 0; !ret && i < COST_POLICIES && (info = fnpu_sched_policy_info(i)); i++) {
		b->cost.policies[i] = info->name;
		ret = measure_policy(b, cache, info->name, b->cost.decision_ns[i], error);
		b->cost.num_policies = i + 1;
	}
	if (!ret)
		ret = measure_speed(b, cache, error);
	sim_cache_free(cache);
	return ret;
}
