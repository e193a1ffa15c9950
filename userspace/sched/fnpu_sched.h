/* SPDX-License-Identifier: MIT */
/*
 * The scheduling core: events go in, decisions come out.
 *
 * It has no clock, no threads and no I/O, and takes no memory after
 * fnpu_sched_new(): time is an argument. So the same object code serves the live
 * library, the emulator and a simulator, and a recorded sequence of events always gives
 * the same decisions.
 *
 *	arrival(sample)  ──►┌───────────────┐
 *	exit(sample)     ──►│ batch former  │ waiting samples by (model, next layer)
 *	batch_end(batch) ──►│ policy        │ when to start which group, and how many
 *	                    └──────┬────────┘
 *	                           └──► START(batch: model, layer, samples)
 *
 * Samples have numbers that the user picks (its own slots). A sample is
 * idle, waiting after arrival(), running after START, and idle again after exit() or
 * batch_end(). After every event, or several, call fnpu_sched_decide() until it
 * returns false.
 *
 * Times are in whatever unit the user likes, as long as it is always the same.
 * One scheduler is for one thread at a time.
 */
#ifndef FNPU_SCHED_H
#define FNPU_SCHED_H

#include <stdbool.h>
#include <stdint.h>

#define FNPU_SCHED_MAX_BATCH	16u

struct fnpu_sched;

/**
 * struct fnpu_sched_model - a network
 * @num_layers: samples wait at layer 0..num_layers - 1
 * @max_batch: samples that it can run together, 1..FNPU_SCHED_MAX_BATCH
 */
struct fnpu_sched_model {
	uint32_t num_layers;
	uint32_t max_batch;
};

/**
 * struct fnpu_sched_config - what a scheduler is made for
 * @policy: by name; NULL is "adaptive"
 * @models: array of @num_models, at least one; copied
 * @max_samples: sample numbers are below it
 * @queue_bound: samples that may wait
 * @max_batches: batches in flight at most; batch numbers are below it
 */
struct fnpu_sched_config {
	const char *policy;
	const struct fnpu_sched_model *models;
	uint32_t num_models;
	uint32_t max_samples;
	uint32_t queue_bound;
	uint32_t max_batches;
};

/**
 * struct fnpu_sched_start - the decision to start a batch
 * @batch: its number until batch_end()
 * @model, @layer: what all of its samples run, and from where
 * @count: of @samples
 */
struct fnpu_sched_start {
	uint32_t batch;
	uint32_t model;
	uint32_t layer;
	uint32_t count;
	uint32_t samples[FNPU_SCHED_MAX_BATCH];
};

/**
 * fnpu_sched_new() - a scheduler with nothing to do
 * Errors: -EINVAL a number out of range, -ENOENT no such policy, -ENOMEM.
 */
int fnpu_sched_new(const struct fnpu_sched_config *config, struct fnpu_sched **sched);

/** fnpu_sched_free() - NULL is fine */
void fnpu_sched_free(struct fnpu_sched *sched);

/** fnpu_sched_policy_name() - name of policy @index, or NULL behind the last */
const char *fnpu_sched_policy_name(uint32_t index);

/**
 * fnpu_sched_arrival() - @sample waits to run @model from layer 0
 * Errors: -EAGAIN queue_bound samples wait already; -EINVAL no such sample or model, or
 * the sample is not idle.
 */
int fnpu_sched_arrival(struct fnpu_sched *sched, uint64_t now, uint32_t sample, uint32_t model);

/** fnpu_sched_exit() - @sample left its batch. -EINVAL: it was not running. */
int fnpu_sched_exit(struct fnpu_sched *sched, uint64_t now, uint32_t sample);

/**
 * fnpu_sched_batch_end() - @batch is over; samples that had not left are idle, too
 * -EINVAL: no such batch in flight.
 */
int fnpu_sched_batch_end(struct fnpu_sched *sched, uint64_t now, uint32_t batch);

/** fnpu_sched_decide() - the next decision, which has taken effect; false: none for now */
bool fnpu_sched_decide(struct fnpu_sched *sched, uint64_t now, struct fnpu_sched_start *start);

/** fnpu_sched_waiting() - samples that wait */
uint32_t fnpu_sched_waiting(const struct fnpu_sched *sched);

#endif /* FNPU_SCHED_H */
