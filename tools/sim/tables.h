/* SPDX-License-Identifier: MIT */
/* A network's numbers as the scheduling core takes them. */
#ifndef SIM_TABLES_H
#define SIM_TABLES_H

#include "fnpu_sched.h"
#include "setup.h"

/** struct tables - of one network; @model points into it */
struct tables {
	struct fnpu_sched_model model;
	uint64_t *cycles;
	uint64_t *switch_cycles;
	double shares[FNPU_SCHED_MAX_EXITS];
};

/**
 * tables_open() - of @m, for batches of at most @max_batch (0: the NPU's)
 * @exit_error: how wrong the exit shares are (exits_misjudged())
 * Returns 0 or -ENOMEM; tables_close() it in both cases.
 */
int tables_open(struct tables *t, const struct sim_model *m, uint32_t max_batch,
		double exit_error);
void tables_close(struct tables *t);

#endif /* SIM_TABLES_H */
