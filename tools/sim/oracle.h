/* SPDX-License-Identifier: MIT */
/*
 * The oracle: bounds that no schedule can beat, even one that knows all arrivals and exits in
 * advance. It is no schedule itself, and no choice for serving.
 *
 * Every run of a group with b samples takes T(group, b). Charge each of its samples T / b. Then,
 * in any schedule, sample j is charged at least
 *
 *	work_j = sum over its groups of min over b <= c of T(group, b) / b
 *
 * where c bounds how many samples can be in such a batch. Charged times are disjoint parts of the
 * NPU's time between a sample's arrival and its completion, so any schedule of the NPU
 * is one of a single machine that may interrupt jobs whenever it likes. For such a machine:
 *
 *	late requests	With deadlines in the order of arrivals a largest set of jobs that can all be
 *			on time is found exactly (Kise, Ibaraki and Mine, 1978): add them in that
 *			order, and whenever the newest is late, give up the job without which the
 *			rest ends earliest. Where deadlines are in another order, arrivals are
 *			first moved to earlier times until they agree: that only relaxes.
 *			A request that would be late alone on the NPU is late.
 *			Who is late need not run at all: without it batches are smaller, which
 *			takes no longer. So c counts only requests that could be on time and
 *			whose time windows at this stage have a moment in common.
 *			And large batches take long: a request on time spends no more than until
 *			its deadline in its groups. For any price per cycle of that, the least of
 *			charge and price together, less the price of all the time that it has, is
 *			no more than its charge (weak duality); the best of some prices counts.
 *	mean latency	shortest remaining work first minimises the sum of completion times (Schrage,
 *			1968); none is served faster than alone. Here c is the largest batch,
 *			and all requests have to be served.
 */
#ifndef SIM_ORACLE_H
#define SIM_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

#include "npu.h"

/** struct oracle_request - @deadline: absolute; times in cycles; in order of arrivals */
struct oracle_request {
	uint64_t arrival;
	uint64_t deadline;
	uint8_t exit;
};

/**
 * oracle_on_time() - a bound on how many of @num requests can be on time
 * @on_time: per request, out: is it in the set that was found?
 * @max_batch: of the NPU, as it is used
 * Returns 0 or -ENOMEM.
 */
int oracle_on_time(const struct npu_network *network, uint32_t max_batch,
		   const struct oracle_request *requests, uint32_t num, bool *on_time);

/**
 * oracle_mean() - a lower bound of the mean latency, cycles, if all are served
 * @mean: out
 * Returns 0 or -ENOMEM.
 */
int oracle_mean(const struct npu_network *network, uint32_t max_batch,
		const struct oracle_request *requests, uint32_t num, double *mean);

#endif /* SIM_ORACLE_H */
