// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "fnpu_sched.h"

/* Where a policy has a window, its variants are tried beside the batch caps. */
static const struct contender all[] = {
	{ .name = "serial", .variants = { "serial" } },
	{ .name = "static", .variants = { "static:delay=0.1", "static:delay=0.25", "static:delay=0.5",
	  "static:delay=1" }, .caps = true },
	{ .name = "adaptive", .variants = { "adaptive" }, .caps = true },
	{ .name = "lazy", .variants = { "lazy" }, .caps = true },
	{ .name = "cellular", .variants = { "cellular" }, .caps = true },
	{ .name = "clockwork", .variants = { "clockwork" }, .caps = true },
	{ .name = "symphony", .variants = { "symphony" }, .caps = true },
	{ .name = "edge", .variants = { "edge" }, .caps = true },
	{ .name = "drex", .variants = { "drex:age=0.5", "drex:age=1", "drex:age=2" },
	  .caps = true },
	{ .name = "fluid", .variants = { "fluid" }, .caps = true, .paper = true },
	{ .name = "fluid+", .variants = { "fluid+:objective=slo", "fluid+:objective=latency" },
	  .ours = true },
};

static const struct bench_case cases[] = {
	{ "resnet50 easy", "out/networks/resnet50.fnpu", "easy", 1 },
	{ "resnet50 mid", "out/networks/resnet50.fnpu", "mid", 1 },
	{ "resnet50 hard", "out/networks/resnet50.fnpu", "hard", 1 },
	{ "mobilenetv2 easy", "out/networks/mobilenetv2.fnpu", "easy", 1 },
	{ "mobilenetv2 mid", "out/networks/mobilenetv2.fnpu", "mid", 1 },
	{ "mobilenetv2 hard", "out/networks/mobilenetv2.fnpu", "hard", 1 },
	{ "fmnist-resnet3", "out/models/fmnist-resnet3.fnpu", "out/models/fmnist-resnet3.exits",
	  15 },
	{ "fmnist-dsconv4", "out/models/fmnist-dsconv4.fnpu", "out/models/fmnist-dsconv4.exits",
	  15 },
};

static const uint32_t quick_cases[] = { 1, 4, 6 };
static const double loads[] = { 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2 };
static const double quick_loads[] = { 0.5, 0.75, 1.0 };
static const uint32_t caps[] = { 1, 2, 4, 8, 16 };

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

static bool core_has(const char *policy)
{
	const struct fnpu_sched_policy_info *info;

	for (uint32_t i = 0; (info = fnpu_sched_policy_info(i)); i++)
		if (!strcmp(info->name, policy))
			return true;
	return false;
}

static void set_cases(struct bench_plan *p)
{
	p->num_cases = p->quick ? COUNT(quick_cases) : COUNT(cases);
	for (uint32_t i = 0; i < p->num_cases; i++)
		p->cases[i] = cases[p->quick ? quick_cases[i] : i];
}

void bench_plan_set(struct bench_plan *p, bool quick)
{
	*p = (struct bench_plan){ .quick = quick };
	set_cases(p);
	p->num_loads = quick ? COUNT(quick_loads) : COUNT(loads);
	memcpy(p->loads, quick ? quick_loads : loads, p->num_loads * sizeof(p->loads[0]));
	p->num_caps = COUNT(caps);
	memcpy(p->caps, caps, sizeof(caps));
	for (size_t i = 0; i < COUNT(all); i++)
		if (core_has(all[i].name))
			p->contenders[p->num_contenders++] = &all[i];
	p->seeds = quick ? 3 : 5;
	p->requests = quick ? 4000 : 30000;
	p->tuning_requests = quick ? 2000 : 10000;
}

struct sim_options bench_point(const struct bench_plan *p, uint32_t c, enum bench_workload workload,
			       double load)
{
	struct sim_options o;
	struct fnpu_error error;

	sim_options_default(&o);
	o.num_models = 1;
	o.models[0].share = 1;
	snprintf(o.models[0].path, sizeof(o.models[0].path), "%s", p->cases[c].network);
	snprintf(o.models[0].exits, sizeof(o.models[0].exits), "%s", p->cases[c].exits);
	workload_parse(workload == BENCH_POISSON ? "poisson" : "bursty", &o.workload, &error);
	o.load = load;
	o.requests = p->requests * (workload == BENCH_BURSTY ? p->cases[c].bursty : 1);
	o.warmup = o.requests / 20;
	return o;
}

int contender_find(const struct bench_plan *p, const char *name)
{
	for (uint32_t i = 0; i < p->num_contenders; i++)
		if (!strcmp(p->contenders[i]->name, name))
			return (int)i;
	return -1;
}
