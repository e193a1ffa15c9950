// SPDX-License-Identifier: MIT
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "goodput.h"

#define MIN_LOAD	0.05
#define MAX_LOAD	16.0
#define PRECISION	1.005

/** struct search - @low satisfies (or is MIN_LOAD), @high does not (or is MAX_LOAD) */
struct search {
	double low, high;
};

static bool satisfies(const struct sim_result *results, uint32_t seeds, double share)
{
	double on_time = 0, requests = 0;

	for (uint32_t s = 0; s < seeds; s++) {
		on_time += results[s].on_time;
		requests += results[s].requests;
	}
	return on_time >= share * requests;
}

/** struct state - of all searches; @first: the next step is the first, at the lowest load */
struct state {
	struct search *searches;
	struct sim_result *tried;
	bool first;
};

static int step(struct state *state, const struct sweep *sweep, struct sim_options *runs,
		size_t num, uint32_t seeds, double share, struct sim_result *results,
		struct fnpu_error *error)
{
	int ret;

	for (size_t i = 0; i < num * seeds; i++) {
		const struct search *s = &state->searches[i / seeds];

		runs[i].load = state->first ? MIN_LOAD : sqrt(s->low * s->high);
	}
	ret = sweep_run(sweep, runs, num * seeds, state->tried, error);
	for (size_t i = 0; !ret && i < num; i++) {
		const struct sim_result *tried = &state->tried[i * seeds];
		const bool ok = satisfies(tried, seeds, share);
		const double load = runs[i * seeds].load;

		if (ok || state->first)
			memcpy(&results[i * seeds], tried, seeds * sizeof(*results));
		if (ok)
			state->searches[i].low = load;
		else if (!state->first)
			state->searches[i].high = load;
	}
	state->first = false;
	return ret;
}

int goodput_search(const struct sweep *sweep, struct sim_options *runs, size_t num,
		   uint32_t seeds, double share, struct sim_result *results,
		   struct fnpu_error *error)
{
	struct state state = {
		.searches = calloc(num ? num : 1, sizeof(*state.searches)),
		.tried = calloc(num ? num * seeds : 1, sizeof(*state.tried)),
		.first = true,
	};
	int ret = state.searches && state.tried ? 0 : fnpu_fail(error, -ENOMEM, "out of memory");
	double span;

	for (size_t i = 0; !ret && i < num; i++)
		state.searches[i] = (struct search){ MIN_LOAD, MAX_LOAD };
	if (!ret)
		ret = step(&state, sweep, runs, num, seeds, share, results, error);
	/* all searches narrow down alike */
	for (span = MAX_LOAD / MIN_LOAD; !ret && span > PRECISION; span = sqrt(span))
		ret = step(&state, sweep, runs, num, seeds, share, results, error);
	free(state.searches);
	free(state.tried);
	return ret;
}
