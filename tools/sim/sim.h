/* SPDX-License-Identifier: MIT */
/*
 * The discrete-event simulator: requests (source.c) meet the scheduling core (userspace/sched),
 * whose decisions drive the NPU's engine (engine.c).
 *
 * At each moment in this order: what the engine has to tell; arrivals; then decisions, until there
 * is none, also when nothing but the scheduler's timer has come; then the NPU goes on. So a
 * decision takes no time: it takes effect at the layer boundary at which its reason came up.
 * Nothing happens between events, and memory is bounded by the queue, however many requests
 * there are.
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include <stdio.h>

#include "result.h"
#include "setup.h"
#include "source.h"
#include "tally.h"

struct engine_batch;

/**
 * struct sim_observer - who wants to see more than the result; all members may be NULL
 * @request: a request has ended; @started: when it first had the NPU (0: never), @preempted:
 *	how often it was stopped or pushed aside
 * @segment: see struct engine_ops; @ids: request numbers of the batch's samples
 */
struct sim_observer {
	void *user;
	void (*request)(void *user, const struct request *r, enum outcome outcome, uint64_t started,
			uint64_t now, uint32_t preempted, uint8_t exit);
	void (*segment)(void *user, const struct npu_network *network,
			const struct engine_batch *batch, const uint64_t *ids, uint64_t begin,
			uint64_t run, uint64_t end, uint32_t end_group);
};

/**
 * sim_run() - simulate
 * @observer: may be NULL
 * Returns 0 or a negative errno with a sentence in @error.
 */
int sim_run(struct sim_cache *cache, const struct sim_options *o,
	    const struct sim_observer *observer, struct sim_result *result,
	    struct fnpu_error *error);

/** sim_check() - would sim_run() refuse this? 0, or its error */
int sim_check(struct sim_cache *cache, const struct sim_options *o, struct fnpu_error *error);

/** SIM_ORACLE - the name under which sim_run() gives the oracle's bounds instead of a policy's */
#define SIM_ORACLE	"oracle"

#endif /* SIM_SIM_H */
