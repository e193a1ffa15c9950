/* SPDX-License-Identifier: MIT */
/*
 * What a policy is, and what it sees of the scheduler. A policy is one file that
 * starts with its rule and source; policies[] in sched.c lists them all.
 */
#ifndef FNPU_POLICY_H
#define FNPU_POLICY_H

#include "former.h"
#include "fnpu_sched.h"

/**
 * struct fnpu_policy - a scheduling policy
 * @name: by which it is chosen
 * @decide: start something (fnpu_sched_start_group()) and return true, or return false.
 *	Called only while a batch may be started.
 */
struct fnpu_policy {
	const char *name;
	bool (*decide)(struct fnpu_sched *sched, uint64_t now, struct fnpu_sched_start *start);
};

enum sample_state {
	SAMPLE_IDLE,
	SAMPLE_WAITING,
	SAMPLE_RUNNING,
};

struct sched_sample {
	enum sample_state state;
	uint32_t batch;		/* RUNNING */
};

/** struct sched_batch - @count samples when it started; 0: not in flight */
struct sched_batch {
	uint32_t count;
	uint32_t samples[FNPU_SCHED_MAX_BATCH];
};

/**
 * struct fnpu_sched - a scheduler
 * @group_base: per model, number of its layer 0's group; one more entry at the end
 */
struct fnpu_sched {
	const struct fnpu_policy *policy;
	struct fnpu_sched_model *models;
	uint32_t *group_base;
	uint32_t num_models;
	uint32_t max_samples;
	uint32_t queue_bound;
	uint32_t max_batches;
	uint32_t batches_in_flight;
	struct former former;
	struct sched_sample *samples;
	struct sched_batch *batches;
};

/**
 * fnpu_sched_start_group() - start the oldest samples of @group
 * @limit: at most so many; the model's max_batch is respected anyway
 */
void fnpu_sched_start_group(struct fnpu_sched *sched, uint32_t group, uint32_t limit,
			    struct fnpu_sched_start *start);

extern const struct fnpu_policy fnpu_policy_adaptive;
extern const struct fnpu_policy fnpu_policy_serial;

#endif /* FNPU_POLICY_H */
