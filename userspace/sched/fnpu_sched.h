/* SPDX-License-Identifier: MIT */
/*
 * The scheduling core: events go in, decisions come out.
 *
 * It has no clock, no threads and no I/O, and takes no memory after fnpu_sched_new(): time is an
 * argument. So the same object code serves the live library, the emulator and the simulator, and
 * a recorded sequence of events always gives the same decisions.
 *
 *	arrival(sample)     ──►┌───────────────┐
 *	exit(sample)        ──►│ batch former  │ waiting samples by (model, next layer)
 *	handed_back(sample) ──►│ policy        │ which group, when, how many, until where
 *	batch_end(batch)    ──►│               │
 *	cancel(sample)      ──►└──────┬────────┘
 *	                              └──► START, INJECT, YIELD, DROP; a timer
 *
 * Samples have numbers that the user picks (its own slots). A sample's life:
 *
 *	          arrival            START, INJECT           exit, batch_end
 *	idle ───────────────► waiting ───────────► running ───────────────────► idle
 *	  ▲  DROP, cancel       │  ▲   handed_back    │
 *	  └─────────────────────┘  └─────────────────┘
 *
 * After every event, or several of the same time, call fnpu_sched_decide() until it returns
 * false, and carry out each decision: it has taken effect in here. Then see fnpu_sched_timer().
 *
 * Layers: where batches can stop. The device stops between groups of layers (fnpu_cost.h), so
 * here layer l is the device's group l, and a network of G groups has the boundaries 0..G; layer
 * l lies between the boundaries l and l + 1. What layers cost is in cycles; so all times are.
 *
 * One scheduler is for one thread at a time.
 */
#ifndef FNPU_SCHED_H
#define FNPU_SCHED_H

#include <stdbool.h>
#include <stdint.h>

#define FNPU_SCHED_MAX_BATCH	16u
#define FNPU_SCHED_MAX_EXITS	8u
#define FNPU_SCHED_MAX_PRIORITY	7u
#define FNPU_SCHED_NEVER	UINT64_MAX	/* no deadline, no timer */
#define FNPU_SCHED_NO_STOP	UINT32_MAX
#define FNPU_SCHED_NO_LIMIT	UINT32_MAX	/* samples leave where they want to */

struct fnpu_sched;
struct fnpu_error;

/**
 * struct fnpu_sched_model - a network
 * @num_layers: samples wait at layers 0..num_layers - 1
 * @max_batch: samples that it can run together, 1..FNPU_SCHED_MAX_BATCH
 * @cycles: prefix sums of the cost table: cycles[(b - 1) * (num_layers + 1) + l] is what layers
 *	0..l - 1 take for b samples; entry 0 of each row is 0, rows do not fall
 * @switch_cycles: shaped as @cycles: what it takes to write back what b samples have on chip at
 *	boundary l, and the same again to read it; NULL: nothing
 * @num_exits: 1..FNPU_SCHED_MAX_EXITS
 * @exit_layers: the layers that end with an exit head, ascending; the last is num_layers - 1
 * @exit_shares: of the samples, that leave at each exit, as far as known beforehand; the
 *	scheduler learns. NULL: it knows nothing
 * Loading another network's weights costs nothing: every layer reads its own, every time.
 */
struct fnpu_sched_model {
	uint32_t num_layers;
	uint32_t max_batch;
	const uint64_t *cycles;
	const uint64_t *switch_cycles;
	uint32_t num_exits;
	const uint32_t *exit_layers;
	const double *exit_shares;
};

/**
 * struct fnpu_sched_config - what a scheduler is made for
 * @policy: "name" or "name:parameter=value,..."; NULL is "adaptive"
 * @models: array of @num_models, at least one; copied with all tables
 * @max_samples: sample numbers are below it
 * @queue_bound: an arrival is refused when so many samples wait
 * @max_batches: batches in flight at most; batch numbers are below it. The device runs one after
 *	the other. Policies that preempt always have a single one
 * @stack_depth: batches that the device can put aside for an INJECT; 0: no INJECT
 * @can_limit_exits: decisions may have an exit_limit. Otherwise a policy that wants to is refused
 */
struct fnpu_sched_config {
	const char *policy;
	const struct fnpu_sched_model *models;
	uint32_t num_models;
	uint32_t max_samples;
	uint32_t queue_bound;
	uint32_t max_batches;
	uint32_t stack_depth;
	bool can_limit_exits;
};

#define FNPU_SCHED_BEST_EFFORT	(1u << 0)	/* after all others; its deadline moves nothing */
#define FNPU_SCHED_REJECT_LATE	(1u << 1)	/* drop it once it cannot meet its deadline */

/**
 * struct fnpu_sched_request - a sample that arrives
 * @deadline: absolute, or FNPU_SCHED_NEVER
 * @model: that it runs, from layer 0
 * @priority: 0..FNPU_SCHED_MAX_PRIORITY; a higher one goes first
 * @flags: FNPU_SCHED_*
 */
struct fnpu_sched_request {
	uint64_t deadline;
	uint32_t model;
	uint32_t priority;
	uint32_t flags;
};

enum fnpu_sched_kind {
	FNPU_SCHED_START,
	FNPU_SCHED_INJECT,
	FNPU_SCHED_YIELD,
	FNPU_SCHED_DROP,
};

enum fnpu_sched_reason {
	FNPU_SCHED_LATE,	/* nothing could meet its deadline any more */
	FNPU_SCHED_HOPELESS,	/* the policy does not expect it to meet its deadline */
	FNPU_SCHED_CANCELLED,	/* cancelled while it ran, and handed back */
	FNPU_SCHED_REASONS,
};

/**
 * struct fnpu_sched_decision - what to do
 *
 * START: run @samples, which all wait at @layer of @model, as batch @batch. Samples that
 *	reach @stop_layer are handed back before it, then the batch ends.
 *	FNPU_SCHED_NO_STOP: it runs to its end.
 * INJECT: @samples, which wait at layer 0 of the model of batch @batch, run before it goes on, from
 *	its next boundary, until they meet and all go on as one. They belong to @batch from now on.
 * YIELD: hand all samples of @batch back at the next boundary.
 * DROP: @samples[0], which waited, goes for @reason. It is idle.
 *
 * @exit_limit: START: samples leave there at the latest, or FNPU_SCHED_NO_LIMIT
 * @why: static text for people: the rule that led to it
 */
struct fnpu_sched_decision {
	enum fnpu_sched_kind kind;
	enum fnpu_sched_reason reason;
	uint32_t batch;
	uint32_t model;
	uint32_t layer;
	uint32_t stop_layer;
	uint32_t exit_limit;
	uint32_t count;
	uint32_t samples[FNPU_SCHED_MAX_BATCH];
	const char *why;
};

/**
 * struct fnpu_sched_param - a policy's parameter, from @min to @max
 * @choices: NULL, or the names that stand for 0, 1, ...
 */
struct fnpu_sched_param {
	const char *name;
	const char *help;
	double min, max, initial;
	const char *const *choices;
};

/**
 * struct fnpu_sched_policy_info - about a policy
 * @rule: one sentence
 * @work_conserving: never lets the device idle while samples wait
 * @preempts: stops batches, or adds to them: one at a time is in flight
 * @injects: needs a stack_depth of at least 1
 * @drops: gives samples up that are not FNPU_SCHED_REJECT_LATE, too
 * @limits_exits: makes samples leave before they want to
 * @num_params: of @params
 */
struct fnpu_sched_policy_info {
	const char *name;
	const char *rule;
	bool work_conserving;
	bool preempts;
	bool injects;
	bool drops;
	bool limits_exits;
	uint32_t num_params;
	const struct fnpu_sched_param *params;
};

/** fnpu_sched_policy_info() - policy @index, 0 being the default, or NULL behind the last */
const struct fnpu_sched_policy_info *fnpu_sched_policy_info(uint32_t index);

/**
 * fnpu_sched_new() - a scheduler with nothing to do
 * @error: filled on failure; may be NULL
 * Errors: -ENOENT no such policy, -EINVAL a parameter or another number, -ENOTSUP this user
 * cannot do what the policy decides, -ENOMEM.
 */
int fnpu_sched_new(const struct fnpu_sched_config *config, struct fnpu_sched **sched,
		   struct fnpu_error *error);

/** fnpu_sched_info() - about the policy that @sched has */
const struct fnpu_sched_policy_info *fnpu_sched_info(const struct fnpu_sched *sched);

/** fnpu_sched_free() - NULL is fine */
void fnpu_sched_free(struct fnpu_sched *sched);

/**
 * fnpu_sched_arrival() - @sample waits to run from layer 0
 * Errors: -EAGAIN queue_bound samples wait already; -EINVAL no such sample or model, a
 * priority or flags out of range, or the sample is not idle.
 */
int fnpu_sched_arrival(struct fnpu_sched *sched, uint64_t now, uint32_t sample,
		       const struct fnpu_sched_request *request);

/** fnpu_sched_exit() - @sample left its batch at @exit. -EINVAL: it did not run, no such exit. */
int fnpu_sched_exit(struct fnpu_sched *sched, uint64_t now, uint32_t sample, uint32_t exit);

/**
 * fnpu_sched_handed_back() - @sample stopped before @layer, and waits there
 * It does not count against queue_bound: that keeps out, and does not throw out.
 * -EINVAL: it was not running, no such layer.
 */
int fnpu_sched_handed_back(struct fnpu_sched *sched, uint64_t now, uint32_t sample,
			   uint32_t layer);

/**
 * fnpu_sched_batch_end() - @batch is over; samples that had neither left nor been handed
 * back have failed: they are idle, too
 * -EINVAL: no such batch in flight.
 */
int fnpu_sched_batch_end(struct fnpu_sched *sched, uint64_t now, uint32_t batch);

/**
 * fnpu_sched_cancel() - @sample is not wanted any more
 * Returns 0: it waited and is idle now; -EINPROGRESS: it runs, and will leave with an exit, or,
 * handed back, be dropped as FNPU_SCHED_CANCELLED; -EINVAL: it is idle.
 */
int fnpu_sched_cancel(struct fnpu_sched *sched, uint64_t now, uint32_t sample);

/** fnpu_sched_decide() - the next decision, which has taken effect; false: none for now */
bool fnpu_sched_decide(struct fnpu_sched *sched, uint64_t now,
		       struct fnpu_sched_decision *decision);

/**
 * fnpu_sched_timer() - when to call fnpu_sched_decide() again if no event comes before
 * As of the decide that returned false. FNPU_SCHED_NEVER: only after an event.
 */
uint64_t fnpu_sched_timer(const struct fnpu_sched *sched);

/** fnpu_sched_waiting() - samples that wait, at any layer */
uint32_t fnpu_sched_waiting(const struct fnpu_sched *sched);

/** fnpu_sched_exit_share() - what share of @model's samples that reach @exit leave, as learnt */
double fnpu_sched_exit_share(const struct fnpu_sched *sched, uint32_t model, uint32_t exit);

#endif /* FNPU_SCHED_H */
