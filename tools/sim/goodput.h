/* SPDX-License-Identifier: MIT */
/* Goodput at a satisfaction: the highest load at which a share of the requests is on time. */
#ifndef SIM_GOODPUT_H
#define SIM_GOODPUT_H

#include "sweep.h"

/**
 * goodput_search() - bisect the load of many configurations at once
 * @runs: [num][seeds]: a configuration's runs differ in their seeds only; their load is set
 * @share: of the requests on time, over all seeds
 * @results: out, likewise: at the highest load that was found to satisfy (its load is in them)
 *
 * Loads from 0.05 to 16, to within half a per cent. Loads are found as if more load never made more
 * requests be on time. Returns what sweep_run() does.
 */
int goodput_search(const struct sweep *sweep, struct sim_options *runs, size_t num,
		   uint32_t seeds, double share, struct sim_result *results,
		   struct fnpu_error *error);

#endif /* SIM_GOODPUT_H */
