/* SPDX-License-Identifier: MIT */
/*
 * Where samples leave a network, as learnt. A sample that left at exit e had the choice at the
 * exits 0..e, so counts per exit give the share that leaves at e of those that get there.
 * Counts begin with what is known beforehand, worth a number of samples, and are halved at a limit,
 * so that what was is forgotten.
 */
#ifndef FNPU_SCHED_LEARN_H
#define FNPU_SCHED_LEARN_H

#include "fnpu_sched.h"

/**
 * struct learn - of a network
 * @count: samples that left at each exit; @total of them
 * @share: of those that get to an exit, what share leaves there
 */
struct learn {
	uint32_t num_exits;
	float count[FNPU_SCHED_MAX_EXITS];
	float share[FNPU_SCHED_MAX_EXITS];
	float total;
};

/** learn_init() - @shares: NULL: nothing is known */
void learn_init(struct learn *l, uint32_t num_exits, const double *shares);

/** learn_exit() - a sample left at @exit by its own choice */
void learn_exit(struct learn *l, uint32_t exit);

#endif /* FNPU_SCHED_LEARN_H */
