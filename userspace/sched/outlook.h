/* SPDX-License-Identifier: MIT */
/*
 * What to expect of a batch: how long it takes and when its samples leave, by the costs of its
 * network and the shares that leave at each exit. The number of live samples behind an exit is
 * taken as its mean; costs of such numbers lie on the line between those of the whole numbers
 * around them (0 samples cost nothing, which is right for a single one).
 */
#ifndef FNPU_SCHED_OUTLOOK_H
#define FNPU_SCHED_OUTLOOK_H

#include "costs.h"
#include "learn.h"

/**
 * struct outlook - of n samples
 * @cycles: until the end
 * @flow: sum over the samples that leave of the time until they do
 * @live: samples that are there at the end
 */
struct outlook {
	double cycles;
	double flow;
	double live;
};

/** outlook_cycles() - from boundary @from to @to for a mean of @live samples */
double outlook_cycles(const struct costs *c, double live, uint32_t from, uint32_t to);

/** outlook_of() - of @live samples from boundary @from to @to */
struct outlook outlook_of(const struct costs *c, const struct learn *l, double live, uint32_t from,
			  uint32_t to);

#endif /* FNPU_SCHED_OUTLOOK_H */
