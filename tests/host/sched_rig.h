/* SPDX-License-Identifier: MIT */
/*
 * A toy NPU for tests of the scheduling core: it runs what the core decides a layer at a time,
 * checks everything that must hold at each step, and writes down what happened.
 *
 * It is not the simulator's engine: it is as simple as can be, costs come from a formula that
 * one can do in one's head, and preemption is free. A layer takes first + more * (b - 1) cycles for
 * b samples. The record is a line per event, samples being letters in their order:
 *
 *	0 start ab at 0		20 a exits at 0		20 inject c		35 yield
 *	40 b back at 3		41 drop d late
 */
#ifndef SCHED_RIG_H
#define SCHED_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "fnpu_sched.h"

#define RIG_MAX_SAMPLES	16384u
#define RIG_MAX_MODELS	4u

/** struct rig_model - a network; @exits: the layers that end with an exit */
struct rig_model {
	uint32_t layers;
	uint32_t max_batch;
	uint32_t num_exits;
	uint32_t exits[FNPU_SCHED_MAX_EXITS];
	uint64_t first;
	uint64_t more;
	double shares[FNPU_SCHED_MAX_EXITS];	/* all 0: not known */
};

/** struct rig_arrival - a sample that comes at @at and wants to leave at @exit; 0: no deadline */
struct rig_arrival {
	uint64_t at;
	uint64_t deadline;
	uint32_t exit;
	uint32_t model;
	uint32_t priority;
	uint32_t flags;
	uint64_t cancel;	/* when it is cancelled; 0: never */
};

enum rig_outcome {
	RIG_NOT_YET,
	RIG_LEFT,
	RIG_DROPPED,
	RIG_REFUSED,
	RIG_CANCELLED,
};

/**
 * struct rig_sample - what became of one
 * @exit: where it left
 * @stops: how often it was handed back
 * @ahead: samples that it found in the system
 * @started: when it first ran
 */
struct rig_sample {
	struct rig_arrival request;
	enum rig_outcome outcome;
	bool running;
	uint32_t layer;
	uint32_t exit;
	uint32_t stops;
	uint32_t ahead;
	uint64_t started;
	uint64_t end;
};

struct rig_part {
	uint32_t layer;
	uint32_t count;
	uint32_t samples[FNPU_SCHED_MAX_BATCH];
};

/**
 * struct rig - the toy
 * @waiting: samples that do, by its own count
 * @decision_steps: through the waiting samples, in all decisions
 * @decision_samples: in all decisions
 * @cancels: some samples will be cancelled
 * @stack: the last of @parts runs
 */
struct rig {
	struct fnpu_sched *sched;
	const struct rig_model *models;
	uint32_t num_models;
	struct rig_sample samples[RIG_MAX_SAMPLES];
	uint32_t num_samples;
	uint32_t arrived;
	uint32_t waiting;
	bool cancels;
	uint32_t batch, model, stop_layer, exit_limit;
	struct rig_part stack[3];
	uint32_t parts;
	bool running, yield;
	uint64_t end;
	struct rig_part inject;
	uint64_t decisions;
	uint64_t decision_steps;
	uint64_t decision_samples;
	char *log;		/* NULL: none is kept */
	uint32_t log_bytes, log_used;
};

/**
 * rig_open() - a scheduler of @policy on an NPU with @models; a queue of @bound
 * Fails the test when that is not possible.
 */
struct rig *rig_open(const char *policy, const struct rig_model *models, uint32_t num_models,
		     uint32_t bound);
void rig_close(struct rig *r);

/** rig_run() - serve @num arrivals, ascending in time, to the end; checks every step */
void rig_run(struct rig *r, const struct rig_arrival *arrivals, uint32_t num);

/** rig_expect() - the record of a run with @policy must be @lines, "" being the last */
void rig_expect(const char *policy, const struct rig_model *models, uint32_t num_models,
		const struct rig_arrival *arrivals, uint32_t num, const char *lines);

/** rig_span() - cycles of layers @from..@to - 1 of @m for @batch samples */
uint64_t rig_span(const struct rig_model *m, uint32_t batch, uint32_t from, uint32_t to);

#endif /* SCHED_RIG_H */
