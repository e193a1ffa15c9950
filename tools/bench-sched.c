// SPDX-License-Identifier: MIT
/*
 * bench-sched: a policy under four times the load that can be served, with a full queue of a given
 * length. Deadlines are as far away as the queue is long, so that a part of those who wait can
 * make it. tools/bench-sched runs it for time, and under callgrind for instructions.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cli.h"
#include "sim/sim.h"

#define OVERLOAD	4.0
#define MEASURED	4000u	/* requests behind those that fill the queue */
#define MAX_WAITING	1000000u

static const char usage[] =
"Usage: bench-sched MODEL.fnpu POLICY WAITING\n"
"Print how often the policy is asked for decisions with WAITING requests in the queue, and\n"
"the nanoseconds that each call takes (tools/bench-sched, or make bench-sched, does it for all).\n";

int main(int argc, char **argv)
{
	struct sim_cache *cache = sim_cache_new();
	struct fnpu_error error;
	struct sim_options o;
	struct sim_result r;
	uint32_t waiting;

	cli_name = "bench-sched";
	if (argc != 4) {
		fputs(usage, stderr);
		return EXIT_USAGE;
	}
	waiting = (uint32_t)cli_number("WAITING", argv[3], 1, MAX_WAITING);
	sim_options_default(&o);
	if (strlen(argv[1]) >= sizeof(o.models[0].path) || strlen(argv[2]) >= sizeof(o.policy))
		cli_usage_error("a path or policy of more than %zu characters", sizeof(o.policy) - 1);
	o.num_models = 1;
	o.models[0].share = 1;
	strcpy(o.models[0].path, argv[1]);
	strcpy(o.models[0].exits, "mid");
	strcpy(o.policy, argv[2]);
	o.load = OVERLOAD;
	o.queue = waiting;
	o.slo = waiting;
	o.warmup = 2 * waiting;
	o.requests = waiting + MEASURED;
	if (!cache || sim_run(cache, &o, NULL, &r, &error)) {
		cli_error("%s", cache ? error.text : "out of memory");
		sim_cache_free(cache);
		return EXIT_FAILURE;
	}
	printf("%.0f %.1f\n", r.calls, r.decision_ns);
	sim_cache_free(cache);
	return cli_finish_stdout() ? EXIT_FAILURE : EXIT_SUCCESS;
}
