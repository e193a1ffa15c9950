/* SPDX-License-Identifier: MIT */
/*
 * What a simulation found: plain numbers, so that workers can send them through a pipe and
 * sweeps can keep them in a file. The table of fields is the only place that knows their names.
 */
#ifndef SIM_RESULT_H
#define SIM_RESULT_H

#include <cjson/cJSON.h>
#include <stddef.h>
#include <string.h>

#include "fluidnpu.h"

/**
 * struct sim_result - of the requests behind the warm-up
 * @requests: all of them; @completed: served to their exit; @on_time: of these, by the deadline
 * @late: completed behind the deadline
 * @dropped: given up by the policy; @rejected: not taken into the full queue
 * @violations: share of the requests that were late, dropped or rejected
 * @mean_us ... @max_us: latency of those completed, from arrival to exit
 * @on_time_mean_us: of those on time
 * @load, @rate_hz: offered; @throughput_hz: completed; @goodput_hz: on time
 * @busy: share of the time that the NPU had work
 * @utilisation: useful of the offered multiplications while busy
 * @switching: share of the busy time in which activations were moved for preemptions
 * @mean_batch: while busy
 * @cycles_per_request, @dram_bytes_per_request: of the NPU per completed request, which stand
 *	for energy
 * @preemptions, @merges, @yields: per completed request
 * @accuracy: of the completed; negative: not known for this network
 * @early: share of the completed that the policy made leave before their own exit
 * @exits: share of the completed per exit
 * @time_s: simulated
 * @decisions: of the policy; @calls: for one, also in vain; @decision_ns: host time of a call
 * @host_s: of the simulation; @requests_per_s: simulated
 *	per second of host time
 */
struct sim_result {
	double requests, completed, on_time, late, dropped, rejected;
	double violations;
	double mean_us, p50_us, p95_us, p99_us, max_us;
	double on_time_mean_us;
	double load, rate_hz, throughput_hz, goodput_hz;
	double busy, utilisation, switching, mean_batch;
	double cycles_per_request, dram_bytes_per_request;
	double preemptions, merges, yields;
	double accuracy, early;
	double exits[FLUIDNPU_MAX_EXITS];
	double time_s;
	double decisions, calls, decision_ns, host_s, requests_per_s;
};

/** struct result_field - a number of struct sim_result; @host: depends on the host */
struct result_field {
	const char *name;
	size_t offset;
	int host;
};

/** result_fields - all but exits; ends with a NULL name */
extern const struct result_field result_fields[];

/** result_get() - the field of @r at @offset; result_set() sets it */
static inline double result_get(const struct sim_result *r, size_t offset)
{
	double v;

	memcpy(&v, (const char *)r + offset, sizeof(v));
	return v;
}

static inline void result_set(struct sim_result *r, size_t offset, double v)
{
	memcpy((char *)r + offset, &v, sizeof(v));
}

/** result_add_json() - a member per field, and the array "exits" of @num_exits, to be printed */
void result_add_json(cJSON *object, const struct sim_result *r, unsigned int num_exits);

/** result_from_json() - what result_add_json() wrote; 0, or -1 when a field is missing */
int result_from_json(const cJSON *object, struct sim_result *r);

/** struct estimate - mean over seeds and the half width of its 95 % confidence interval */
struct estimate {
	double mean;
	double half;
};

/** estimate_of() - of @n independent values (Student's t); half is 0 for one value */
struct estimate estimate_of(const double *values, unsigned int n);

#endif /* SIM_RESULT_H */
