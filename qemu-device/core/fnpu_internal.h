/* SPDX-License-Identifier: MIT */
/*
 * What the files of the core share. One file per part of the NPU:
 *
 *	dev.c		registers, reset, configuration
 *	mmu.c		page-table walk and access to a job's memory
 *	queue.c		submission rings, completion ring, interrupts
 *	engine.c	the Fluid Batching Engine: who runs next at a layer boundary
 *	batch.c		its live batches: the stack, merging, exits
 *	job.c		ring entries: what is checked when a job starts, how it ends
 *	group.c		a group of layers: fetched, priced, started, finished
 *	exec.h		what the engine hands to the execution of layers, and
 *	layer.c		one layer: validation and functional execution
 *	pe_array.c	the matrix engine: the loop nest, as a batch is laid out
 *	weights.c	weights on their way there
 *	kernels.h	inner loops per instruction set: gemm*.c, depthwise*.c, vector_*.c
 *	vector.c	add, pooling, concatenation, exit heads
 *	cost.c		the time model
 *	faults.c	faults on purpose
 *	state.c		snapshots
 *
 * Two threads touch a device: the host's (under its lock) and, between
 * work_start() and work_wait(), the worker. The worker uses struct fnpu_work, the
 * MMU and the scratch buffers; whoever else wants those calls
 * fnpu_engine_quiesce() first. So no lock is needed here.
 */
#ifndef FNPU_INTERNAL_H
#define FNPU_INTERNAL_H

#include "exec.h"
#include "fnpu_core.h"
#include "fnpu_cost.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the device's structures are little-endian and are used in place"
#endif

#define FNPU_TLB_ENTRIES	256
#define FNPU_MAX_EVENTS		4096	/* in one call of fnpu_dev_advance() */

struct fnpu_tlb_entry {
	uint64_t tag;		/* as << 32 | page number, + 1; 0: empty */
	uint64_t page;		/* bus address */
	bool write;
};

struct fnpu_as {
	bool enabled;
	uint64_t root;
};

#define FNPU_MAX_BATCHES	(FLUIDNPU_MAX_STACK_DEPTH + 1)	/* of a queue in flight */
#define FNPU_MAX_JOBS		(FNPU_MAX_BATCHES * FLUIDNPU_MAX_BATCH)	/* each has a sample there */

/**
 * struct fnpu_job - a job in flight, or aborted and not reported yet
 * @used: this slot of the queue's table holds one
 * @flags: FLUIDNPU_SQE_*
 * @live: samples that have not left
 * @layer: where those of its samples that ran last go on
 * @started_time: when the first group of one of them started; FNPU_NEVER: none has
 */
struct fnpu_job {
	bool used;
	uint8_t flags;
	uint8_t live;
	uint8_t handed_back;
	uint32_t layer;
	uint32_t stop_layer;
	uint64_t cookie;
	uint64_t queued_time;
	uint64_t started_time;
};

/**
 * struct fnpu_member - a sample in a batch
 * @job: slot of its job
 * @index: in the sample table of its job
 * @exits_passed: it is beyond all heads with a lower exit index
 * @evicted: its activations are in DRAM and come back when its batch goes on
 * @sram_bytes: of them, what was in the activation SRAM after its last group
 */
struct fnpu_member {
	struct fluidnpu_hw_sample hw;
	uint8_t job;
	uint8_t index;
	uint8_t exits_passed;
	bool evicted;
	uint32_t sram_bytes;
};

/**
 * struct fnpu_batch - samples at the same layer: the paper's (B, l)
 * @next_layer: l
 * @num: B, in @members; 1..max_batch of the program
 * @on_chip: it ran a group and nothing else has run since
 */
struct fnpu_batch {
	uint32_t next_layer;
	uint32_t num;
	bool on_chip;
	struct fnpu_member members[FLUIDNPU_MAX_BATCH];
};

/** enum fnpu_queue_state - see the table in engine.c */
enum fnpu_queue_state {
	FNPU_QUEUE_OFF,
	FNPU_QUEUE_ENDING,
	FNPU_QUEUE_HALTED,
	FNPU_QUEUE_EMPTY,
	FNPU_QUEUE_WAITING,
	FNPU_QUEUE_ACTIVE,
};

/**
 * struct fnpu_queue - a submission ring and what is in flight of it
 * @head: next entry to fetch
 * @queued_time: per entry: when the doorbell came
 * @ending: jobs were aborted whose completions wait for room
 * @as_id, @program_iova, @program_bytes: what all jobs in flight run
 * @program: its header, read and checked when the first of them started
 * @num_batches: 0: nothing is in flight
 * @batches: the stack: the last one is the running batch, those before are preempted
 */
struct fnpu_queue {
	uint32_t base_lo, base_hi, entries_reg;
	uint32_t priority;
	bool enabled;
	bool halted;
	bool ending;
	uint64_t base;
	uint32_t entries;
	uint32_t head;
	uint32_t tail;
	uint64_t queued_time[FLUIDNPU_MAX_RING_ENTRIES];

	uint16_t as_id;
	uint32_t program_bytes;
	uint64_t program_iova;
	struct fluidnpu_hw_program program;
	uint32_t num_batches;
	struct fnpu_batch batches[FNPU_MAX_BATCHES];
	struct fnpu_job jobs[FNPU_MAX_JOBS];

	uint64_t counters[FLUIDNPU_CNT_NUM];
};

struct fnpu_cq {
	uint32_t base_lo, base_hi;
	uint64_t base;
	uint32_t entries;	/* 0: not set up */
	uint32_t head;		/* the driver's */
	uint32_t tail;
	uint32_t phase;
	uint32_t coalesce_count;
	uint32_t coalesce_cycles;
	uint32_t pending;	/* posted since the last interrupt */
	uint64_t irq_deadline;
};

/**
 * struct fnpu_state - all that a guest can see or will see: what a snapshot holds
 *
 * Plain numbers without pointers, so that one copy saves it. The worker has @work in its
 * hands while it runs; everything else is the host thread's.
 *
 * @time: last device time seen, cycles
 * @latched_hi: upper half of the 64-bit register whose lower half was read last
 * @counters: of all queues together
 * @running: queue whose group runs, -1: idle
 * @group_begin: when that group got the NPU
 * @switch_end: until then the DRAM had activations of other samples or its own to move
 * @group_end: when it ends
 * @group_cost: what it costs from @switch_end on
 * @write_back_end: until then the DRAM is busy with activations of samples that yielded
 */
struct fnpu_state {
	uint64_t time;
	uint32_t latched_hi;
	bool enabled;
	bool fatal;
	uint32_t as_select, as_root_lo, as_root_hi;
	struct fnpu_as as[FLUIDNPU_MAX_AS];
	struct fnpu_queue queues[FLUIDNPU_MAX_QUEUES];
	struct fnpu_cq cq;
	uint64_t counters[FLUIDNPU_CNT_NUM];

	int running;
	uint64_t group_begin;
	uint64_t switch_end;
	uint64_t group_end;
	struct fnpu_cost group_cost;
	uint64_t write_back_end;
	struct fnpu_work work;
};

/**
 * struct fnpu_dev - the state, and what the host has for it
 * @pricing: what the time model computes with: the geometry, its DRAM as slow as @faults say
 * @worker_busy: between work_start() and work_wait()
 * @late: the running group's time has come, the worker has not finished
 * @tlb, @scratch: used by whoever may touch the MMU (see above)
 */
struct fnpu_dev {
	struct fnpu_state s;

	struct fnpu_config config;
	struct fnpu_faults faults;
	struct fluidnpu_hw_geometry pricing;
	const struct fnpu_host_ops *ops;
	void *host;
	bool worker_busy;
	bool late;
	struct fnpu_tlb_entry tlb[FNPU_TLB_ENTRIES];
	struct fnpu_scratch scratch;
	const struct fnpu_kernels *kernels;
};

/* dev.c */
void fnpu_dev_fatal(struct fnpu_dev *dev);
void fnpu_count(struct fnpu_dev *dev, unsigned int queue, unsigned int counter, uint64_t n);

/* mmu.c: bus memory, and through it a job's */
bool fnpu_dma_read(struct fnpu_dev *dev, uint64_t addr, void *buf, size_t bytes);
bool fnpu_dma_write(struct fnpu_dev *dev, uint64_t addr, const void *buf, size_t bytes);
void fnpu_tlb_flush(struct fnpu_dev *dev, unsigned int as);
bool fnpu_vm_read(struct fnpu_dev *dev, unsigned int as, uint64_t iova, void *buf, size_t bytes,
		  struct fnpu_fault *fault);
bool fnpu_vm_write(struct fnpu_dev *dev, unsigned int as, uint64_t iova, const void *buf,
		   size_t bytes, struct fnpu_fault *fault);

/* queue.c */
bool fnpu_ring_size_ok(uint32_t entries);
enum fnpu_queue_state fnpu_queue_state(const struct fnpu_queue *q);
bool fnpu_queue_enable(struct fnpu_dev *dev, unsigned int index);
void fnpu_queue_doorbell(struct fnpu_dev *dev, unsigned int index, uint32_t tail);
bool fnpu_queue_peek(struct fnpu_dev *dev, unsigned int index, struct fluidnpu_hw_sqe *sqe);
uint64_t fnpu_queue_pop(struct fnpu_queue *q);
bool fnpu_cq_enable(struct fnpu_dev *dev, uint32_t entries);
unsigned int fnpu_cq_room(const struct fnpu_cq *cq);
void fnpu_cq_post(struct fnpu_dev *dev, struct fluidnpu_hw_cqe *cqe);
void fnpu_cq_interrupt(struct fnpu_dev *dev);
void fnpu_cq_advance(struct fnpu_dev *dev);
void fnpu_interrupt(struct fnpu_dev *dev, unsigned int vector);

/* job.c */
uint8_t fnpu_program_check(const struct fluidnpu_hw_program *p,
			   const struct fluidnpu_hw_geometry *g, uint32_t program_bytes);
unsigned int fnpu_entry_completions(const struct fnpu_dev *dev);
bool fnpu_entry_take(struct fnpu_dev *dev, unsigned int queue, bool served);
void fnpu_entry_abort(struct fnpu_dev *dev, unsigned int queue);
uint64_t fnpu_job_started(const struct fnpu_dev *dev, const struct fnpu_job *job);
void fnpu_job_end(struct fnpu_dev *dev, unsigned int queue, struct fnpu_job *job,
		  const struct fnpu_fault *fault);
void fnpu_queue_fault(struct fnpu_dev *dev, unsigned int queue, const struct fnpu_fault *fault);

/* batch.c */
struct fnpu_batch *fnpu_batch_running(struct fnpu_queue *q);
unsigned int fnpu_batch_completions(const struct fnpu_queue *q);
void fnpu_batch_push(struct fnpu_dev *dev, unsigned int queue, const struct fnpu_batch *b);
void fnpu_batch_advance(struct fnpu_dev *dev, unsigned int queue, uint32_t next_layer,
			const struct fluidnpu_hw_layer *head, const struct fnpu_head_result *heads);
void fnpu_batch_hand_back(struct fnpu_dev *dev, unsigned int queue, const struct fnpu_batch *b,
			  const struct fnpu_member *m);
void fnpu_batch_forget(struct fnpu_dev *dev, unsigned int queue, unsigned int job);
void fnpu_batch_fail(struct fnpu_dev *dev, unsigned int queue, const struct fnpu_fault *fault);

/* group.c */
void fnpu_group_start(struct fnpu_dev *dev, unsigned int queue);
void fnpu_group_finish(struct fnpu_dev *dev);
void fnpu_group_cut(struct fnpu_dev *dev);
void fnpu_group_write_back(struct fnpu_dev *dev, unsigned int queue,
			   const struct fnpu_member *m);

/* engine.c */
bool fnpu_engine_quiesce(struct fnpu_dev *dev);
void fnpu_engine_stop(struct fnpu_dev *dev);
bool fnpu_engine_held_up(struct fnpu_dev *dev);
void fnpu_engine_schedule(struct fnpu_dev *dev);
void fnpu_engine_advance(struct fnpu_dev *dev);
void fnpu_engine_abort(struct fnpu_dev *dev, unsigned int queue);
void fnpu_engine_drop(struct fnpu_dev *dev, unsigned int queue);

/* faults.c */
bool fnpu_fault_strikes(uint32_t *count);
void fnpu_fault_corrupt(struct fnpu_dev *dev, struct fluidnpu_hw_layer *layer);
bool fnpu_fault_hangs(const struct fnpu_dev *dev, uint32_t first, uint32_t count);

#endif /* FNPU_INTERNAL_H */
