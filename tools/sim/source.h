/* SPDX-License-Identifier: MIT */
/*
 * The requests of a simulation: workload, mix of networks, exit profiles and deadlines
 * together. For one seed always the same ones, whatever policy serves them.
 */
#ifndef SIM_SOURCE_H
#define SIM_SOURCE_H

#include "setup.h"

/**
 * struct request - times in cycles
 * @number: 0, 1, ... in order of arrival
 * @exit: where it leaves; @right: bit e: exit e has its class right
 * @best_effort, @reject_late: what the client asks for
 */
struct request {
	uint64_t number;
	uint64_t arrival;
	uint64_t deadline;
	uint32_t model;
	uint32_t stream;
	uint8_t exit;
	uint8_t right;
	bool best_effort;
	bool reject_late;
};

struct source {
	const struct sim_setup *setup;
	const struct sim_options *options;
	struct workload workload;
	struct exit_source exits[SIM_MAX_MODELS];
	struct rng rng;
	uint64_t next;
	uint64_t total;
};

/** source_open() - of the options' warm-up and requests; source_close() it after success */
int source_open(struct source *s, const struct sim_setup *setup, const struct sim_options *o,
		struct fnpu_error *error);

/** source_next() - the next request; false behind the last */
bool source_next(struct source *s, struct request *r);

void source_close(struct source *s);

#endif /* SIM_SOURCE_H */
