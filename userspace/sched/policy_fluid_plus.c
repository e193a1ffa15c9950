// SPDX-License-Identifier: MIT
#include "policy.h"

static const char *const objectives[] = { "slo", "latency" };

static const struct fnpu_sched_param params[] = {
	{ "objective", "what to minimise: violations of deadlines, or the mean latency", 0, 1, 0,
	  objectives },
};

static bool fluid_plus_decide(struct fnpu_sched *s, uint64_t now, struct fnpu_sched_decision *d)
{
	const uint32_t group = former_oldest(&s->former);

	if (group == FORMER_NONE || s->batches_in_flight)
		return false;
	return sched_start(s, now, group, FNPU_SCHED_MAX_BATCH, FNPU_SCHED_NO_STOP, d);
}

const struct fnpu_policy fnpu_policy_fluid_plus = {
	.info = {
		.name = "fluid+",
		.rule = "ours",
		.work_conserving = true,
		.preempts = true,
		.num_params = sizeof(params) / sizeof(params[0]),
		.params = params,
	},
	.sets = 1,
	.decide = fluid_plus_decide,
};
