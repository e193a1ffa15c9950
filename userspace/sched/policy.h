/* SPDX-License-Identifier: MIT */
/*
 * What a policy is, and what it sees of the scheduler. A policy is one file that starts with its
 * rule and source; policies[] in policies.c lists them all.
 */
#ifndef FNPU_POLICY_H
#define FNPU_POLICY_H

#include <stddef.h>

#include "costs.h"
#include "fnpu_sched.h"
#include "former.h"
#include "learn.h"

#define SCHED_MAX_PARAMS	16u

struct sched_sample;

/**
 * struct fnpu_policy - a scheduling policy
 * @order: of samples in their group
 * @sets: groups per (model, layer): 1, or 2 where the policy wants a second one
 * @state_bytes: of its own state, s->state, which begins as zeroes
 * @init: optional: when all of the scheduler is there. 0 or a negative errno
 * @destroy: optional: also after an @init that failed
 * @arrival, @exit, @handed_back: optional: sample @id was taken into account already
 * @decide: fill in a decision with the helpers below and return true, or return false. May set
 *	s->timer. A batch that all have left is in flight until its end, with a count of 0: it can
 *	neither be injected into nor handed back.
 */
struct fnpu_policy {
	struct fnpu_sched_policy_info info;
	enum former_order order;
	uint32_t sets;
	size_t state_bytes;
	int (*init)(struct fnpu_sched *s);
	void (*destroy)(struct fnpu_sched *s);
	void (*arrival)(struct fnpu_sched *s, uint64_t now, uint32_t id);
	void (*exit)(struct fnpu_sched *s, uint64_t now, uint32_t id, uint32_t exit);
	void (*handed_back)(struct fnpu_sched *s, uint64_t now, uint32_t id);
	bool (*decide)(struct fnpu_sched *s, uint64_t now, struct fnpu_sched_decision *d);
};

enum sample_state {
	SAMPLE_IDLE,
	SAMPLE_WAITING,
	SAMPLE_RUNNING,
};

/**
 * struct sched_sample - a sample
 * @class: 0 goes first
 * @layer: the boundary that it was last heard of at
 * @batch: RUNNING: its batch
 * @stops: how often it was handed back
 * @number: of its arrival: 1, 2, ...
 * @since: WAITING: it has waited at its layer
 * @deadline: FNPU_SCHED_NEVER for best effort, too
 * @reject_after: FNPU_SCHED_REJECT_LATE: its deadline, otherwise FNPU_SCHED_NEVER
 */
struct sched_sample {
	uint8_t state;
	uint8_t class;
	bool cancelled;
	uint32_t model;
	uint32_t layer;
	uint32_t batch;
	uint32_t stops;
	uint64_t number;
	uint64_t arrival;
	uint64_t since;
	uint64_t deadline;
	uint64_t reject_after;
};

/**
 * struct sched_batch - a batch; @started: samples that it began with, 0: not in flight
 * @samples: @count that run, whose layer is as of @since
 * @apart: samples were injected, and are not known to have met those that they follow
 */
struct sched_batch {
	uint32_t started;
	uint32_t model;
	uint32_t stop_layer;
	uint32_t exit_limit;
	bool yielding;
	bool stopped;
	bool apart;
	uint64_t since;
	uint32_t count;
	uint32_t samples[FNPU_SCHED_MAX_BATCH];
};

struct sched_model {
	struct costs costs;
	struct learn learn;
	uint32_t group;		/* of layer 0 */
};

/**
 * struct fnpu_sched - a scheduler; @initialized: the policy's init was called
 * @groups: in a set; (model, layer) is group models[model].group + layer + set * groups
 * @group_model: by group modulo @groups
 * @rejects: waiting samples that are to be dropped at some time, by that time
 * @timer: the policy's, of its last decide
 * @write_back_end: when what was stopped will be in memory; what starts waits for it
 */
struct fnpu_sched {
	const struct fnpu_policy *policy;
	double params[SCHED_MAX_PARAMS];
	void *state;
	bool initialized;
	struct sched_model *models;
	uint32_t num_models;
	uint32_t groups;
	uint32_t *group_model;
	uint32_t max_samples;
	uint32_t queue_bound;
	uint32_t max_batches;
	uint32_t stack_depth;
	uint32_t batches_in_flight;
	uint64_t arrivals;
	uint64_t timer;
	uint64_t write_back_end;
	struct former former;
	struct former rejects;
	struct sched_sample *samples;
	struct sched_batch *batches;
};

/* ---- looking ---- */

static inline const struct sched_model *sched_model_of(const struct fnpu_sched *s, uint32_t group)
{
	return &s->models[s->group_model[group % s->groups]];
}

static inline uint32_t sched_layer_of(const struct fnpu_sched *s, uint32_t group)
{
	return group % s->groups - sched_model_of(s, group)->group;
}

/** sched_running() - the batch in flight where there is at most one, or NULL */
static inline struct sched_batch *sched_running(struct fnpu_sched *s)
{
	return s->batches_in_flight ? &s->batches[0] : NULL;
}

static inline const struct costs *sched_costs(const struct fnpu_sched *s,
					      const struct sched_batch *b)
{
	return &s->models[b->model].costs;
}

/** struct sched_front - what has the device: @count samples of a batch, at @layer as of @since */
struct sched_front {
	uint32_t layer;
	uint32_t count;
};

struct sched_front sched_front(const struct fnpu_sched *s, const struct sched_batch *b);

/** sched_position() - the next boundary of what is in front of batch @b, by its costs */
uint32_t sched_position(const struct fnpu_sched *s, const struct sched_batch *b, uint64_t now);

/* ---- deciding ---- */

/** sched_unwait() - the waiting sample @id is to wait no more (sched.c) */
void sched_unwait(struct fnpu_sched *s, uint32_t id);

/**
 * sched_start() - START the first samples of @group, at most @max (and the model's max_batch)
 * @stop_layer: or FNPU_SCHED_NO_STOP
 * Always true.
 */
bool sched_start(struct fnpu_sched *s, uint64_t now, uint32_t group, uint32_t max,
		 uint32_t stop_layer, struct fnpu_sched_decision *d);

/**
 * sched_start_from() - START @count samples of a group, the waiting sample @first and those behind
 * it. There are as many, and no more than the model's max_batch. Always true.
 */
bool sched_start_from(struct fnpu_sched *s, uint64_t now, uint32_t first, uint32_t count,
		      uint32_t stop_layer, struct fnpu_sched_decision *d);

/** sched_inject() - INJECT the first @count samples of @group, layer 0's, into @batch. Always true */
bool sched_inject(struct fnpu_sched *s, uint64_t now, uint32_t batch, uint32_t group,
		  uint32_t count, struct fnpu_sched_decision *d);

/** sched_hand_back() - YIELD @batch. Always true. */
bool sched_hand_back(struct fnpu_sched *s, uint32_t batch, struct fnpu_sched_decision *d);

/** sched_because() - @why that was decided, if it was not simply the policy's rule. Always true. */
static inline bool sched_because(struct fnpu_sched_decision *d, const char *why)
{
	d->why = why;
	return true;
}

/** sched_drop() - DROP the waiting sample @id. Always true. */
bool sched_drop(struct fnpu_sched *s, uint32_t id, enum fnpu_sched_reason reason,
		struct fnpu_sched_decision *d);

/** sched_move() - the waiting sample @id goes to @group, of the same layer in another set */
void sched_move(struct fnpu_sched *s, uint32_t id, uint32_t group);

/* ---- the policies (policies.c) ---- */

/** policy_find() - the policy of "name:parameter=value,..." and its parameters; NULL: see *@err */
const struct fnpu_policy *policy_find(const char *text, double *params, int *err,
				      struct fnpu_error *error);

extern const struct fnpu_policy fnpu_policy_serial;
extern const struct fnpu_policy fnpu_policy_static;
extern const struct fnpu_policy fnpu_policy_adaptive;
extern const struct fnpu_policy fnpu_policy_lazy;
extern const struct fnpu_policy fnpu_policy_cellular;
extern const struct fnpu_policy fnpu_policy_clockwork;
extern const struct fnpu_policy fnpu_policy_symphony;
extern const struct fnpu_policy fnpu_policy_edge;
extern const struct fnpu_policy fnpu_policy_drex;
extern const struct fnpu_policy fnpu_policy_fluid;
extern const struct fnpu_policy fnpu_policy_fluid_plus;

#endif /* FNPU_POLICY_H */
