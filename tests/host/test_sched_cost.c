// SPDX-License-Identifier: MIT
/*
 * What decisions cost, in ways that do not depend on the host: steps through what waits, which is
 * all that can grow with it, and memory taken. `make bench-sched` measures time and instructions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "allocations.h"
#include "sched_rig.h"

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))
#define MORE		6000u	/* arrivals behind those that fill the queue: more than can be served */
#define ARRIVAL_CYCLES	15u
#define MOST_GROWTH	2.0	/* of the steps, from 100 to 10,000 waiting */

static const struct rig_model net = {
	.layers = 12, .max_batch = 16, .num_exits = 4, .exits = { 2, 5, 8, 11 }, .first = 10,
	.more = 6, .shares = { 0.35, 0.25, 0.2, 0.2 },
};

static struct rig_arrival arrivals[10000 + MORE];	/* no more than RIG_MAX_SAMPLES */

/* @waiting samples at once, and then more than leave; deadlines from soon to the far end. */
static uint32_t fill(uint32_t waiting)
{
	uint32_t random = 1;

	for (uint32_t i = 0; i < waiting + MORE; i++) {
		const uint32_t at = i < waiting ? 0 : (i - waiting) * ARRIVAL_CYCLES;

		random = random * 1664525u + 1013904223u;
		arrivals[i] = (struct rig_arrival){
			.at = at,
			.deadline = at + 60 + (random >> 8) % (waiting * 100),
			.exit = (random >> 28) % 4,
		};
	}
	return waiting + MORE;
}

/** struct cost - of a run: steps per decision and sample in it, allocations */
struct cost {
	double steps;
	uint64_t allocations;
};

static struct cost measure(const char *policy, uint32_t waiting)
{
	const uint32_t num = fill(waiting);
	struct rig *r = rig_open(policy, &net, 1, waiting);
	const uint64_t before = allocations();
	struct cost cost;

	rig_run(r, arrivals, num);
	cost.allocations = allocations() - before;
	cost.steps = (double)r->decision_steps /
		     (double)(r->decisions + r->decision_samples);
	rig_close(r);
	return cost;
}

static void steps_grow_no_more_than_the_depth_of_a_tree(void **state)
{
	const struct fnpu_sched_policy_info *info;

	(void)state;
	for (uint32_t i = 0; (info = fnpu_sched_policy_info(i)); i++) {
		const double few = measure(info->name, 100).steps;
		const double many = measure(info->name, 10000).steps;

		print_message("%-10s %5.2f steps per decision and sample with 100 waiting, %5.2f with 10000\n",
			      info->name, few, many);
		if (!(many <= MOST_GROWTH * few))
			fail_msg("%s: steps grow %.1f times", info->name, many / few);
	}
}

static void no_memory_is_taken_after_the_start(void **state)
{
	const struct fnpu_sched_policy_info *info;

	(void)state;
	if (!allocations_counted())
		skip();
	for (uint32_t i = 0; (info = fnpu_sched_policy_info(i)); i++)
		if (measure(info->name, 500).allocations)
			fail_msg("%s takes memory while it decides", info->name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steps_grow_no_more_than_the_depth_of_a_tree),
		cmocka_unit_test(no_memory_is_taken_after_the_start),
	};

	return cmocka_run_group_tests_name("sched_cost", tests, NULL, NULL);
}
