// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>

#include "error.h"
#include "oracle.h"
#include "oracle_run.h"

#define MAX_REQUESTS	(1u << 24)

/*
 * Bounds over warm-up and measured requests together could trade one for the other, so the
 * measured ones are bounded alone: without the others before them they can only do better.
 */
static int bounds(const struct source *source, const struct oracle_request *requests,
		  uint32_t num, struct sim_result *result)
{
	const struct sim_setup *setup = source->setup;
	const struct npu_network *network = setup->models[0].network;
	const double us = 1e6 / setup->clock_hz;
	const uint32_t max_batch = network->max_batch;
	bool *on_time = calloc(num, sizeof(*on_time));
	double mean, last;
	int ret = on_time ? oracle_on_time(network, max_batch, requests, num, on_time) : -ENOMEM;

	if (!ret)
		ret = oracle_mean(network, max_batch, requests, num, &mean);
	if (!ret) {
		last = (double)(requests[num - 1].arrival - requests[0].arrival) / setup->clock_hz;
		*result = (struct sim_result){
			.requests = num,
			.completed = num,
			.mean_us = mean * us,
			.rate_hz = setup->rate_hz,
			.load = setup->rate_hz / setup->capacity_hz,
			.time_s = last,
			.accuracy = -1,
		};
		for (uint32_t i = 0; i < num; i++)
			result->on_time += on_time[i];
		result->late = num - result->on_time;
		result->violations = result->late / num;
		result->throughput_hz = last > 0 ? num / last : 0;
		result->goodput_hz = last > 0 ? result->on_time / last : 0;
	}
	free(on_time);
	return ret;
}

int oracle_run(struct source *source, struct sim_result *result, struct fnpu_error *error)
{
	const uint64_t warmup = source->options->warmup, count = source->options->requests;
	struct oracle_request *requests;
	struct request r;
	uint32_t num = 0;
	int ret;

	if (source->setup->num_models > 1)
		return fnpu_fail(error, -EINVAL, "the oracle knows one network at a time");
	if (count > MAX_REQUESTS)
		return fnpu_fail(error, -EFBIG, "the oracle has to know all requests: at most %u",
				 MAX_REQUESTS);
	requests = calloc(count, sizeof(*requests));
	if (!requests)
		return fnpu_fail(error, -ENOMEM, "out of memory");
	while (source_next(source, &r))
		if (r.number >= warmup)
			requests[num++] = (struct oracle_request){
				.arrival = r.arrival, .deadline = r.deadline, .exit = r.exit,
			};
	ret = bounds(source, requests, num, result);
	free(requests);
	return ret ? fnpu_fail(error, ret, "out of memory") : 0;
}
