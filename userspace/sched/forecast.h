/* SPDX-License-Identifier: MIT */
/*
 * What a batch can be expected to take, for every stage where it may begin, every size, and every
 * exit up to which it may run: tables, so that a decision does no more than look up.
 */
#ifndef FNPU_SCHED_FORECAST_H
#define FNPU_SCHED_FORECAST_H

#include "costs.h"
#include "learn.h"

/**
 * struct forecast - of a network
 * @cycles: [s][b - 1][e]: for b samples, from the start of stage s to the end of stage e
 * @staying: likewise, if one of them is known not to leave before: what that one has to expect
 * @batch_work: cycles per sample through the whole network in the largest batch
 * @batch_gain: samples per cycle in the largest batch, against one alone
 * @leave: [s][e]: share of the samples that start stage s that leave by exit e
 */
struct forecast {
	float cycles[FNPU_SCHED_MAX_EXITS][FNPU_SCHED_MAX_BATCH][FNPU_SCHED_MAX_EXITS];
	float staying[FNPU_SCHED_MAX_EXITS][FNPU_SCHED_MAX_BATCH][FNPU_SCHED_MAX_EXITS];
	float leave[FNPU_SCHED_MAX_EXITS][FNPU_SCHED_MAX_EXITS];
	float batch_work;
	float batch_gain;
};

/** forecast_make() - by what is known now */
void forecast_make(struct forecast *f, const struct costs *c, const struct learn *l);

#endif /* FNPU_SCHED_FORECAST_H */
