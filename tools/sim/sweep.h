/* SPDX-License-Identifier: MIT */
/* Many simulations: on all cores, with progress, each only once, and resumable. */
#ifndef SIM_SWEEP_H
#define SIM_SWEEP_H

#include "journal.h"
#include "pool.h"

/**
 * struct sweep - how to run one
 * @journal: what is in it is not run again, what is run is added; NULL: none
 * @workers: processes
 * @progress: draw it on stderr; @what: plural noun of what is counted
 */
struct sweep {
	struct journal *journal;
	unsigned int workers;
	bool progress;
	const char *what;
};

/**
 * sweep_run() - simulate @num points
 * @results: out, per point
 * Returns 0, -EINTR when a signal ended it, or a point's error with a sentence in @error.
 */
int sweep_run(const struct sweep *sweep, const struct sim_options *points, size_t num,
	      struct sim_result *results, struct fnpu_error *error);

#endif /* SIM_SWEEP_H */
