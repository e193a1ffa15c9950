/* SPDX-License-Identifier: MIT */
/*
 * What the files of the core share. One file per part of the NPU:
 *
 *	dev.c		registers, reset, configuration
 *	mmu.c		page-table walk and access to a job's memory
 *	queue.c		submission rings, completion ring, interrupts
 *	engine.c	the Fluid Batching Engine: which group runs next, exits
 *	exec.h		what the engine hands to the execution of layers, and
 *	layer.c		one layer: validation and functional execution
 *	gemm.c, gemm_avx2.c	int8 matrix kernels
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

struct fnpu_tlb_entry {
	uint64_t tag;		/* as << 32 | page number, + 1; 0: empty */
	uint64_t page;		/* bus address */
	bool write;
};

struct fnpu_as {
	bool enabled;
	uint64_t root;
};

/** struct fnpu_sample - a sample of a job in flight */
struct fnpu_sample {
	struct fluidnpu_hw_sample hw;
	bool live;
};

/**
 * struct fnpu_job - the job that a queue has started or will resume
 * @next_layer: where it goes on
 * @resident_bytes: per sample, of state in the activation SRAM after the last group
 * @evicted: its state was written back for a job of higher priority
 */
struct fnpu_job {
	struct fluidnpu_hw_sqe sqe;
	struct fluidnpu_hw_program program;
	struct fnpu_sample samples[FLUIDNPU_MAX_BATCH];
	unsigned int num_live;
	uint32_t next_layer;
	uint32_t resident_bytes;
	bool evicted;
	bool started;
	uint64_t queued_time;
	uint64_t started_time;
};

struct fnpu_queue {
	uint32_t base_lo, base_hi, entries_reg;
	uint32_t priority;
	bool enabled;
	bool halted;
	uint64_t base;
	uint32_t entries;
	uint32_t head;		/* next to fetch */
	uint32_t tail;
	uint64_t queued_time[FLUIDNPU_MAX_RING_ENTRIES];	/* when the doorbell came */
	bool has_job;
	bool aborted;		/* @job's completion waits for room */
	struct fnpu_job job;
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
 * @running: queue whose group runs, -1: idle
 * @group_end: when that group ends
 * @group_cost: what it costs
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
	uint64_t group_end;
	struct fnpu_cost group_cost;
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
	const struct fnpu_gemm_kernels *gemm;
};

/* dev.c */
void fnpu_dev_fatal(struct fnpu_dev *dev);

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
void fnpu_interrupt(struct fnpu_dev *dev, unsigned int vector);
bool fnpu_queue_enable(struct fnpu_dev *dev, unsigned int index);
void fnpu_queue_doorbell(struct fnpu_dev *dev, unsigned int index, uint32_t tail);
bool fnpu_queue_peek(struct fnpu_dev *dev, unsigned int index, struct fluidnpu_hw_sqe *sqe);
bool fnpu_cq_enable(struct fnpu_dev *dev, uint32_t entries);
unsigned int fnpu_cq_room(const struct fnpu_cq *cq);
void fnpu_cq_post(struct fnpu_dev *dev, struct fluidnpu_hw_cqe *cqe);
void fnpu_cq_interrupt(struct fnpu_dev *dev);
void fnpu_cq_advance(struct fnpu_dev *dev);

/* engine.c */
void fnpu_engine_quiesce(struct fnpu_dev *dev);
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
