/* SPDX-License-Identifier: MIT */
/*
 * Simulations on all cores: forked workers that take points from the parent one at a time. A
 * worker keeps its own cache of networks; the parent learns each result as it comes, in no
 * particular order. SIGINT or SIGTERM end it early: what is finished has been told.
 */
#ifndef SIM_POOL_H
#define SIM_POOL_H

#include <stddef.h>

#include "sim.h"

/**
 * struct pool - simulations to be done
 * @points, @num: one simulation each; @skip[i]: not this one (may be NULL)
 * @workers: processes, at least 1
 * @done: point @index has its @result
 */
struct pool {
	const struct sim_options *points;
	const bool *skip;
	size_t num;
	unsigned int workers;
	void (*done)(void *user, size_t index, const struct sim_result *result);
	void *user;
};

/**
 * pool_run() - all points
 * Returns 0; -EINTR when a signal ended it; a point's error, which names it in @error, and
 * then nothing further is started.
 */
int pool_run(const struct pool *pool, struct fnpu_error *error);

/** pool_workers() - as many as this process may use cores */
unsigned int pool_workers(void);

#endif /* SIM_POOL_H */
