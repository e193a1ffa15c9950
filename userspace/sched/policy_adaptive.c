// SPDX-License-Identifier: MIT
/*
 * adaptive: when the NPU can take a batch, give it min(queue, max batch) at once; never
 * wait for more. Groups are served in the order of their oldest sample. The batch
 * size adapts to the load by itself: what arrives while a batch runs makes the next.
 */
#include "policy.h"

static bool adaptive_decide(struct fnpu_sched *sched, uint64_t now,
			    struct fnpu_sched_start *start)
{
	uint32_t group = former_oldest(&sched->former);

	(void)now;
	if (group == FORMER_NONE)
		return false;
	fnpu_sched_start_group(sched, group, FNPU_SCHED_MAX_BATCH, start);
	return true;
}

const struct fnpu_policy fnpu_policy_adaptive = {
	.name = "adaptive",
	.decide = adaptive_decide,
};
