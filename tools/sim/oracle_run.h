/* SPDX-License-Identifier: MIT */
/* The oracle's bounds as the result of a simulation. */
#ifndef SIM_ORACLE_RUN_H
#define SIM_ORACLE_RUN_H

#include "result.h"
#include "source.h"

/**
 * oracle_run() - bounds for the requests of @source, for which it has to know them all
 * @result: violations, on_time and goodput_hz are no worse than any policy's; mean_us than any
 *	policy's that serves all requests. The rest is 0.
 * One network only. Returns 0 or a negative errno with a sentence in @error.
 */
int oracle_run(struct source *source, struct sim_result *result, struct fnpu_error *error);

#endif /* SIM_ORACLE_RUN_H */
