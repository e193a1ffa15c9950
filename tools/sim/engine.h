/* SPDX-License-Identifier: MIT */
/*
 * The NPU's engine in simulated time: what the device's Fluid Batching Engine does with one
 * queue (qemu-device/core/engine.c, batch.c, group.c), without the work itself.
 *
 * The running batch is on top of a stack; INJECT pushes it and runs new samples from layer 0
 * until they reach it and merge; YIELD takes all of them off at the next layer boundary. What is
 * on chip is written back when something else runs, and read again when it goes on.
 *
 * The device starts a group at a time; here a segment of groups is one event, as nothing that
 * anybody could see happens within: it ends where a sample leaves, where two batches meet, or
 * where software stops the batch. A request in the middle of a segment cuts it at the next
 * boundary, as it does on the device.
 *
 * Programs: one network runs at a time; samples of another can start when the stack is empty.
 */
#ifndef SIM_ENGINE_H
#define SIM_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "npu.h"

#define ENGINE_NEVER		UINT64_MAX
#define ENGINE_MAX_STACK	(FLUIDNPU_MAX_STACK_DEPTH + 1)
#define ENGINE_MAX_SAMPLES	(ENGINE_MAX_STACK * NPU_MAX_BATCH)

/**
 * struct engine_member - a sample in a batch
 * @id: the caller's
 * @exit: where it leaves
 * @start: group that it came at
 * @evicted: its activations are in DRAM
 * @resident: of them, bytes that were on chip behind its last group
 */
struct engine_member {
	uint32_t id;
	uint32_t start;
	uint32_t resident;
	uint8_t exit;
	bool evicted;
};

/** struct engine_batch - samples at the same group; @on_chip: it ran, and nothing else since */
struct engine_batch {
	uint32_t group;
	uint32_t num;
	bool on_chip;
	struct engine_member members[NPU_MAX_BATCH];
};

/**
 * struct engine_ops - who is told what happens, at the time that it does
 * @left: sample @id left at @exit, whose head is the end of @group
 * @handed_back: sample @id stopped before @group
 * @segment: optional: the top batch had the NPU from @begin to @end; the first groups
 *	started at @run
 */
struct engine_ops {
	void (*left)(void *user, uint64_t now, uint32_t id, uint8_t exit);
	void (*handed_back)(void *user, uint64_t now, uint32_t id, uint32_t group);
	void (*segment)(void *user, const struct engine_batch *batch, uint64_t begin, uint64_t run,
			uint64_t end, uint32_t end_group);
};

/** struct engine_counters - cycles, bytes and events since the start */
struct engine_counters {
	uint64_t busy_cycles;
	uint64_t switch_cycles;
	uint64_t useful_macs;
	uint64_t dram_bytes;
	uint64_t preemptions;
	uint64_t merges;
	uint64_t injects;
	uint64_t yields;
	uint64_t segments;
	uint64_t batch_cycles[NPU_MAX_BATCH];
};

/**
 * struct engine - state
 * @network: of what is on the stack
 * @stop: software stops the batch before this group, if it gets there; UINT32_MAX: nowhere
 * @stack: the last of @num is on top
 * @running: a segment has the NPU: from @begin, groups from @run on, until @end before @end_group
 * @yield, @inject: to be done at the next boundary
 */
struct engine {
	const struct engine_ops *ops;
	void *user;
	const struct npu_network *network;
	uint32_t stop;
	uint32_t stack_depth;
	uint32_t num;
	struct engine_batch stack[ENGINE_MAX_STACK];
	bool running;
	uint64_t begin, run, end;
	uint32_t end_group;
	uint64_t write_back_end;
	bool yield;
	struct engine_batch inject;
	struct engine_counters counters;
};

void engine_init(struct engine *e, const struct engine_ops *ops, void *user);

/** engine_idle() - is nothing in flight? */
bool engine_idle(const struct engine *e);

/**
 * engine_start() - RUN: samples @members, all to start at @group, when the engine is idle
 * @stop: hand back who gets there, before this group; UINT32_MAX: nobody
 */
void engine_start(struct engine *e, const struct npu_network *network, uint32_t group,
		  const struct engine_member *members, uint32_t num, uint32_t stop);

/** engine_yield() - hand back all samples at the next boundary, which may be now */
void engine_yield(struct engine *e, uint64_t now);

/** engine_inject() - new samples join at the next boundary; false: no room */
bool engine_inject(struct engine *e, uint64_t now, const struct engine_member *members,
		   uint32_t num);

/** engine_next() - when something happens next, or ENGINE_NEVER */
uint64_t engine_next(const struct engine *e);

/** engine_advance() - do what is due at @now, which is engine_next() */
void engine_advance(struct engine *e, uint64_t now);

/** engine_run() - after all decisions of @now: let the NPU go on */
void engine_run(struct engine *e, uint64_t now);

#endif /* SIM_ENGINE_H */
