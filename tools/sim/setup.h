/* SPDX-License-Identifier: MIT */
/*
 * What is simulated: the options of a simulation, and from them the numbers that it runs on.
 *
 * Load 1 is the rate at which the serial policy has the conventional NPU always busy, with the
 * exit profile that is simulated and the mix of the networks. An SLO of 1 is the time that a
 * sample alone takes on the conventional NPU through the whole network. Both refer to the
 * conventional NPU of the same geometry, whatever NPU is simulated, so that equal loads are equal
 * requests at equal times with equal deadlines.
 */
#ifndef SIM_SETUP_H
#define SIM_SETUP_H

#include "exits.h"
#include "npu.h"
#include "workload.h"

#define SIM_MAX_MODELS	4u
#define SIM_TEXT_BYTES	256u

/**
 * struct sim_model_options - a network that is served
 * @path: of its .fnpu
 * @exits: exit profile, by name
 * @share: weight of its requests
 */
struct sim_model_options {
	char path[SIM_TEXT_BYTES];
	char exits[SIM_TEXT_BYTES];
	double share;
};

/**
 * struct sim_options - a simulation; no pointers, so that it can be kept and compared
 * @device: properties of the NPU that differ from what the programs are compiled for
 * @policy: "name" or "name:parameter=value,..."
 * @load: of the conventional NPU's serial capacity; 0: @rate_hz
 * @rate_hz: requests per second; 0, too: as the workload's file has them
 * @slo: deadline in times that a sample alone takes on the conventional NPU, full depth
 * @exit_error: how wrong the exit shares are that the scheduler is told (exits_misjudged())
 * @correlation: of the samples of a stream
 * @best_effort, @reject_late: share of such requests
 * @max_batch: of the policy; 0: the NPU's
 * @queue: requests that may wait
 * @requests: that are measured; @warmup: before them
 */
struct sim_options {
	struct sim_model_options models[SIM_MAX_MODELS];
	uint32_t num_models;
	char device[SIM_TEXT_BYTES];
	enum npu_kind npu;
	char policy[SIM_TEXT_BYTES];
	struct workload_options workload;
	double load;
	double rate_hz;
	double slo;
	double exit_error;
	double correlation;
	double best_effort, reject_late;
	uint32_t max_batch;
	uint32_t queue;
	uint64_t requests;
	uint64_t warmup;
	uint64_t seed;
};

/** sim_options_default() - a single Poisson point at load 0.8 without a model */
void sim_options_default(struct sim_options *o);

/** struct sim_model - a network as it is served; @slo_cycles: deadline behind the arrival */
struct sim_model {
	const struct npu_network *network;
	const struct exit_profile *profile;
	uint64_t slo_cycles;
	double share;		/* of the requests; all add up to 1 */
};

/**
 * struct sim_setup - what a simulation runs on; the tables are the cache's
 * @rate_hz: of all requests; 0: as the workload's file has them
 * @capacity_hz: of the serial policy on the conventional NPU
 */
struct sim_setup {
	struct sim_model models[SIM_MAX_MODELS];
	uint32_t num_models;
	uint32_t clock_hz;
	double rate_hz;
	double capacity_hz;
};

struct sim_cache;

/** sim_cache_new() - keeps networks and profiles for further simulations; NULL: no memory */
struct sim_cache *sim_cache_new(void);
void sim_cache_free(struct sim_cache *cache);

/**
 * sim_prepare() - from options to numbers
 * Returns 0 or a negative errno with a sentence in @error. @setup is valid as long as @cache.
 */
int sim_prepare(struct sim_cache *cache, const struct sim_options *o, struct sim_setup *setup,
		struct fnpu_error *error);

#endif /* SIM_SETUP_H */
