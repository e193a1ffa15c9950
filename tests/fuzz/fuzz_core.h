/* SPDX-License-Identifier: MIT */
/*
 * The command processor under fire: what the parts of fuzz_core share.
 *
 *	fuzz_core.c		an input is a program: what its operations do, how they mutate
 *	fuzz_core_host.c	the host: memory, workers, a driver's view of the device
 *	fuzz_core_oracle.c	what must hold of completions and of a device at rest
 */
#ifndef FUZZ_CORE_H
#define FUZZ_CORE_H

#include "core_host.h"
#include "fuzz.h"

#define NUM_QUEUES	4u
#define NUM_PROGRAMS	4u
#define NUM_BUFFERS	16u	/* of samples: input, state, logits */
#define NUM_TABLES	8u	/* sample tables, used in turn */
#define RING_ENTRIES	16u
#define CQ_ENTRIES	64u
#define MEMORY_BYTES	(1u << 19)

/* --- fuzz_core_oracle.c ---------------------------------------------------------- */

#define MAX_ENTRIES	512
#define MAX_VERSIONS	4

/**
 * struct ring_entry - an entry that the device has read from a ring
 *
 * Memory changes under the device, which reads an entry again while it waits: what it has
 * read of the entry are its versions.
 *
 * @gone: samples that have left or were handed back, by bit
 * @ended: it has its JOB completion
 */
struct ring_entry {
	uint8_t queue;
	uint8_t num_versions;
	bool ended;
	uint32_t gone;
	struct fluidnpu_hw_sqe versions[MAX_VERSIONS];
};

/**
 * struct oracle - what the device has told the driver, and what it may still tell
 * @blind: a damaged snapshot was loaded: the device may know of jobs that nobody gave it
 * @honest: the driver has told of the completion ring's head what is true
 * @half: the body of a completion was written, its phase was not
 * @last_slot: of each queue: the ring entry that was read last, -1: none
 */
struct oracle {
	const struct fnpu_dev *dev;
	bool blind;
	uint64_t base;
	uint32_t entries, tail, phase;
	bool honest;
	bool half;
	struct fluidnpu_hw_cqe cqe;
	uint64_t time;
	int last_slot[FLUIDNPU_MAX_QUEUES];
	unsigned int num;
	struct ring_entry list[MAX_ENTRIES];
};

void oracle_reset(struct oracle *o, const struct fnpu_dev *dev);
/** oracle_cq() - the completion ring was set up, @entries 0: it is off */
void oracle_cq(struct oracle *o, uint64_t base, uint32_t entries);
/** oracle_forget() - the queue was enabled or disabled: nothing of its jobs will be heard */
void oracle_forget(struct oracle *o, unsigned int queue);
/** oracle_read() - the device, not its worker, has read memory */
void oracle_read(struct oracle *o, uint64_t addr, const void *data, size_t bytes);
/** oracle_write() - the device, not its worker, writes memory: these are completions */
void oracle_write(struct oracle *o, uint64_t addr, const void *data, size_t bytes);
/** oracle_check() - after every call of the device */
void oracle_check(struct oracle *o, uint64_t now);
/** oracle_check_rest() - the device has nothing more to do */
void oracle_check_rest(const struct oracle *o);

/* --- fuzz_core_host.c ------------------------------------------------------------ */

enum worker {
	WORKER_INLINE,		/* computes in work_start() */
	WORKER_LATE,		/* ... in work_wait() */
	WORKER_HELD,		/* ... when told; the device is not to wait for it */
	NUM_WORKERS,
};

/** struct range - memory that is worth changing */
struct range {
	uint64_t addr;
	uint32_t bytes;
};

/** struct poke - a change of memory; @delay: before so many reads of the device */
struct poke {
	uint64_t addr;
	uint64_t value;
	uint8_t bytes;
	uint32_t delay;
};

#define MAX_POKES	16
#define MAX_RANGES	64

/**
 * struct bench - device, host and driver
 * @spare: of the same configuration; a snapshot is loaded into it
 */
struct bench {
	struct fnpu_dev *dev, *spare;
	struct fnpu_config config;
	struct oracle oracle;
	enum worker worker;
	bool work_pending;
	bool working;
	uint64_t now;
	uint64_t cost;		/* bytes moved for the device: how expensive the input is */
	struct poke pokes[MAX_POKES];
	unsigned int num_pokes;
	uint64_t next_cookie;
	unsigned int next_table;
	uint32_t ring_tail[NUM_QUEUES];
	uint32_t cq_head, cq_phase;
	uint8_t memory[MEMORY_BYTES];
};

/** struct image - guest memory before a run, made once by the tests' builders */
struct image {
	uint8_t *memory;	/* bus addresses from TB_BUS_BASE */
	uint32_t bytes;
	uint64_t root[2];	/* of address spaces TB_AS and TB_AS + 1: the same tables */
	uint64_t cq;
	uint64_t rings[NUM_QUEUES];
	uint64_t tables[NUM_TABLES];
	struct fluidnpu_hw_sample buffers[NUM_BUFFERS];
	struct tb_program programs[NUM_PROGRAMS];
	struct range ranges[MAX_RANGES];
	unsigned int num_ranges;
};

extern struct image image;

void image_make(void);

#define NUM_CONFIGS	128

/** bench_start() - a new device; equal @config_index, equal @config */
void bench_start(struct bench *b, unsigned int config_index, const struct fnpu_config *config,
		 enum worker worker);
void bench_stop(struct bench *b);
/** bench_set_up() - rings, address spaces, completion ring, as a driver does after a reset */
void bench_set_up(struct bench *b);
void bench_write(struct bench *b, uint32_t reg, uint32_t value);
void bench_advance(struct bench *b, uint64_t now);
/** bench_step() - to the next deadline; false: there is none */
bool bench_step(struct bench *b);
void bench_finish_work(struct bench *b);
/** bench_drain() - the driver takes completions, at most @max; returns how many */
unsigned int bench_drain(struct bench *b, unsigned int max);
void bench_poke(struct bench *b, const struct poke *poke);
/** bench_snapshot() - saves, damages @flip bytes if not 0, loads into a new device */
void bench_snapshot(struct bench *b, uint32_t at, uint8_t flip);

#endif /* FUZZ_CORE_H */
