// SPDX-License-Identifier: MIT
/*
 * adaptive: when the NPU can take a batch, give it min(queue, max batch) at once; never wait
 * for more. Groups are served in the order of their oldest sample. The batch size
 * adapts to the load by itself: what arrives while a batch runs makes the next.
 */
#include "policy.h"

static bool adaptive_decide(struct fnpu_sched *s, uint64_t now, struct fnpu_sched_decision *d)
{
	const uint32_t group = former_oldest(&s->former);

	if (group == FORMER_NONE || s->batches_in_flight == s->max_batches)
		return false;
	return sched_start(s, now, group, FNPU_SCHED_MAX_BATCH, FNPU_SCHED_NO_STOP, d);
}

const struct fnpu_policy fnpu_policy_adaptive = {
	.info = {
		.name = "adaptive",
		.rule = "when the NPU is free, all that waits, up to the maximum batch",
		.work_conserving = true,
	},
	.sets = 1,
	.decide = adaptive_decide,
};
