// SPDX-License-Identifier: MIT
/*
 * serial: one sample at a time, in the order of arrival. What a system without batching
 * does; every gain of the other policies is against it.
 */
#include "policy.h"

static bool serial_decide(struct fnpu_sched *s, uint64_t now, struct fnpu_sched_decision *d)
{
	const uint32_t group = former_oldest(&s->former);

	if (group == FORMER_NONE || s->batches_in_flight == s->max_batches)
		return false;
	return sched_start(s, now, group, 1, FNPU_SCHED_NO_STOP, d);
}

const struct fnpu_policy fnpu_policy_serial = {
	.info = {
		.name = "serial",
		.rule = "one sample at a time, in order of arrival",
		.work_conserving = true,
	},
	.sets = 1,
	.decide = serial_decide,
};
