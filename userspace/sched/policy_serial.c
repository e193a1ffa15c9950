// SPDX-License-Identifier: MIT
/*
 * serial: first come, first served, one sample per batch. The baseline that batches
 * nothing.
 */
#include "policy.h"

static bool serial_decide(struct fnpu_sched *sched, uint64_t now, struct fnpu_sched_start *start)
{
	uint32_t group = former_oldest(&sched->former);

	(void)now;
	if (group == FORMER_NONE)
		return false;
	fnpu_sched_start_group(sched, group, 1, start);
	return true;
}

const struct fnpu_policy fnpu_policy_serial = {
	.name = "serial",
	.decide = serial_decide,
};
