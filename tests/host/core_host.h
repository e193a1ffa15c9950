/* SPDX-License-Identifier: MIT */
/*
 * A testbench for the NPU core: the smallest host there can be. Bus memory in
 * which every access is bounds-checked, a driver's view of rings, page
 * tables and programs, a clock that only the test moves, and plain oracles for the
 * arithmetic that share no code with the core.
 */
#ifndef CORE_HOST_H
#define CORE_HOST_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fnpu_core.h"
#include "fnpu_internal.h"

/* --- random numbers: the same on every host ------------------------------------- */

struct tb_rng {
	uint64_t state;
};

uint32_t tb_random(struct tb_rng *rng);
/** tb_range() - uniform in @lo..@hi, both included */
int tb_range(struct tb_rng *rng, int lo, int hi);
/** tb_codes() - int8 codes; @extreme: -128 and 127 only */
void tb_codes(struct tb_rng *rng, int8_t *to, size_t n, bool extreme);

/* --- the host -------------------------------------------------------------------- */

#define TB_BUS_BASE 0x00100000ull /* there is nothing below */
#define TB_BUS_BYTES (8u << 20)
#define TB_IOVA_OFFSET 0x100000000ull /* tb_map() maps bus address + this */
#define TB_MAX_CQES 4096
#define TB_AS 3 /* address space that tests use */

/** enum tb_worker - where the computing happens */
enum tb_worker {
	TB_INLINE, /* in work_start(): the host is never late */
	TB_DEFERRED, /* in work_wait(): the host is always late */
	TB_THREAD, /* on a thread */
	TB_HELD, /* in tb_finish_work(): the device is not to wait for it */
};

struct tb {
	struct fnpu_dev *dev;
	struct fnpu_config config;
	uint64_t now; /* device time, moved by the test */

	uint8_t *memory; /* bus addresses from TB_BUS_BASE */
	uint64_t next; /* next free bus address */
	uint64_t roots[FLUIDNPU_MAX_AS];

	unsigned int interrupts[FLUIDNPU_NUM_VECTORS];
	uint64_t interrupt_time; /* of the last one, as a register read tells */
	unsigned int bus_errors; /* accesses outside of the memory */

	struct {
		uint64_t base;
		uint32_t entries, tail;
	} rings[FLUIDNPU_MAX_QUEUES];
	uint64_t cq_base;
	uint32_t cq_entries, cq_head, cq_phase;
	struct fluidnpu_hw_cqe cqes[TB_MAX_CQES]; /* what tb_drain() has found */
	unsigned int num_cqes;

	enum tb_worker worker;
	unsigned int works_started, works_done;
	pthread_t thread;
	pthread_mutex_t lock; /* protects works_* and stop */
	pthread_cond_t changed;
	bool stop;
};

/** tb_new() - a device after power-on; @config NULL: the default one */
struct tb *tb_new(const struct fnpu_config *config, enum tb_worker worker);
void tb_free(struct tb *tb);

/** tb_alloc() - zeroed bus memory; returns its bus address */
uint64_t tb_alloc(struct tb *tb, size_t bytes, size_t align);
/** tb_ptr() - the memory at bus address @addr, of which @bytes are used */
void *tb_ptr(struct tb *tb, uint64_t addr, size_t bytes);

uint32_t tb_read(struct tb *tb, uint32_t reg);
uint64_t tb_read64(struct tb *tb, uint32_t reg);
uint64_t tb_counter(struct tb *tb, enum fluidnpu_counter index);
uint64_t tb_queue_counter(struct tb *tb, unsigned int q, enum fluidnpu_counter index);
void tb_write(struct tb *tb, uint32_t reg, uint32_t value);
uint32_t tb_queue_status(struct tb *tb, unsigned int q);

/** tb_as_enable() - gives address space @as an empty table and enables it */
void tb_as_enable(struct tb *tb, unsigned int as);
void tb_as_command(struct tb *tb, unsigned int as, uint32_t command);
/** tb_pte() - the leaf entry of @iova; makes the tables above it */
uint64_t *tb_pte(struct tb *tb, unsigned int as, uint64_t iova);
/** tb_map() - maps bus memory at TB_IOVA_OFFSET + bus address; returns the iova of @addr */
uint64_t tb_map(struct tb *tb, unsigned int as, uint64_t addr, size_t bytes, bool write);

/** tb_cq_enable() - completion ring of @entries, device enabled */
void tb_cq_enable(struct tb *tb, uint32_t entries);
void tb_queue_enable(struct tb *tb, unsigned int q, uint32_t entries, uint32_t priority);
/** tb_push() - writes an entry without telling the device */
void tb_push(struct tb *tb, unsigned int q, const struct fluidnpu_hw_sqe *sqe);
void tb_doorbell(struct tb *tb, unsigned int q);
/** tb_submit() - tb_push() and tb_doorbell() */
void tb_submit(struct tb *tb, unsigned int q, const struct fluidnpu_hw_sqe *sqe);

/** tb_finish_work() - TB_HELD: computes what was started and tells the device */
void tb_finish_work(struct tb *tb);

void tb_queue_control(struct tb *tb, unsigned int q, uint32_t value);
struct fluidnpu_hw_sqe tb_nop(uint64_t cookie);
/** tb_yield() - the entry @cookie, which ends the job @target */
struct fluidnpu_hw_sqe tb_yield(uint64_t cookie, uint64_t target);

/** tb_ready() - tb_new(), address space TB_AS, 256 completions, enabled; no queue yet */
struct tb *tb_ready(const struct fnpu_config *config, enum tb_worker worker);

/** tb_step() - moves the clock to the next deadline; false: there is none */
bool tb_step(struct tb *tb);
/** tb_run() - steps until nothing is due any more and drains all along */
void tb_run(struct tb *tb);
/** tb_drain() - takes completions off the ring (at most @max); returns how many */
unsigned int tb_drain(struct tb *tb, unsigned int max);
/** tb_job_cqe() - the JOB completion of @cookie among those drained, NULL: none */
const struct fluidnpu_hw_cqe *tb_job_cqe(const struct tb *tb, uint64_t cookie);
/** tb_exit_cqe() - the EXIT completion of a job's sample */
const struct fluidnpu_hw_cqe *tb_exit_cqe(const struct tb *tb, uint64_t cookie,
					  unsigned int sample);
/** tb_status() - status of the job @cookie; -1: it has not ended */
int tb_status(const struct tb *tb, uint64_t cookie);

/* --- programs -------------------------------------------------------------------- */

#define TB_MAX_LAYERS 16

/** struct tb_program - a program while a test makes it; sizes are fixed, offsets are filled in */
struct tb_program {
	struct fluidnpu_hw_program header;
	struct fluidnpu_hw_layer layers[TB_MAX_LAYERS];
	struct fluidnpu_hw_policy policies[TB_MAX_LAYERS][FLUIDNPU_MAX_BATCH];
	int8_t *weights[TB_MAX_LAYERS]; /* CONV */
	int32_t *bias[TB_MAX_LAYERS];
	float *scale[TB_MAX_LAYERS];
	uint64_t addr; /* bus address once loaded */
	uint64_t iova;
	struct fluidnpu_hw_program loaded; /* the header then: where things are */
	struct tb_rng rng;
};

void tb_program_init(struct tb_program *p, uint64_t seed);
void tb_program_free(struct tb_program *p);

/** tb_conv() - appends a convolution with random weights; returns it for changes */
struct fluidnpu_hw_layer *tb_conv(struct tb_program *p, uint32_t in_off, uint32_t out_off,
				  unsigned int h, unsigned int w, unsigned int c,
				  unsigned int out_c, unsigned int kernel, unsigned int stride,
				  unsigned int pad);
/** tb_exit() - appends an exit head over @classes logits */
struct fluidnpu_hw_layer *tb_exit(struct tb_program *p, uint32_t in_off, unsigned int classes,
				  unsigned int index, float threshold);
/** tb_pool() - appends a pool of @kernel x @kernel, stride @kernel */
struct fluidnpu_hw_layer *tb_pool(struct tb_program *p, unsigned int op, uint32_t in_off,
				  uint32_t out_off, unsigned int h, unsigned int w, unsigned int c,
				  unsigned int kernel);
struct fluidnpu_hw_layer *tb_add(struct tb_program *p, uint32_t in_off, uint32_t in2_off,
				 uint32_t out_off, unsigned int h, unsigned int w, unsigned int c);

/** tb_net_two() - 6x6x3 -> conv to 5 logits -> exit, not fused: two layers, two groups */
void tb_net_two(struct tb_program *p, uint64_t seed);
/** tb_net_two_exits() - 11 layers in 7 groups, exits at layers 5 and 10, all operations */
void tb_net_two_exits(struct tb_program *p, uint64_t seed, float threshold);
/** tb_groups() - first layers of the program's groups; returns their number */
unsigned int tb_groups(const struct tb_program *p, unsigned int starts[TB_MAX_LAYERS]);

/** tb_group_cost() - of the group that starts at @layer, with @b samples, as the cost model says */
struct fnpu_cost tb_group_cost(const struct tb *tb, const struct tb_program *p, unsigned int layer,
			       unsigned int b);
/** tb_span() - cycles of all groups from layer @from to @to, exclusive, with @b samples */
uint64_t tb_span(const struct tb *tb, const struct tb_program *p, unsigned int from,
		 unsigned int to, unsigned int b);

/** tb_program_load() - into bus memory, mapped read-only in @as */
void tb_program_load(struct tb *tb, struct tb_program *p, unsigned int as);
/** tb_program_update() - copies header, layers and policies to where they were loaded */
void tb_program_update(struct tb *tb, struct tb_program *p);

/** struct tb_job - a job with its memory; everything reachable by the test */
struct tb_job {
	struct fluidnpu_hw_sqe sqe;
	struct fluidnpu_hw_sample *samples; /* in bus memory */
	int8_t *inputs[FLUIDNPU_MAX_BATCH];
	int8_t *states[FLUIDNPU_MAX_BATCH];
	int8_t *logits[FLUIDNPU_MAX_BATCH];
};

/** tb_job_make() - @n samples with random inputs and their own state and logits */
void tb_job_make(struct tb *tb, struct tb_job *job, const struct tb_program *p, unsigned int as,
		 unsigned int n, uint64_t cookie);

/* --- oracles --------------------------------------------------------------------- */

/** ref_requantize() - in binary64 from a binary32 value, ties to even by lrint() */
int8_t ref_requantize(float v, int zero_point, int lo, int hi);
void ref_conv(const struct fluidnpu_hw_layer *l, const int8_t *in, const int8_t *weights,
	      const int32_t *bias, const float *scale, int8_t *out);
void ref_add(const struct fluidnpu_hw_layer *l, const int8_t *a, const int8_t *b, int8_t *out);
void ref_avgpool(const struct fluidnpu_hw_layer *l, const int8_t *in, int8_t *out);
void ref_maxpool(const struct fluidnpu_hw_layer *l, const int8_t *in, int8_t *out);

struct ref_head {
	unsigned int class_index;
	double confidence, entropy, margin;
};

void ref_exit_head(const struct fluidnpu_hw_layer *l, const int8_t *logits, struct ref_head *r);

/**
 * ref_run() - layers @from..@to-1 of a program on one sample
 * @heads: per exit index, those passed
 */
void ref_run(const struct tb_program *p, unsigned int from, unsigned int to, const int8_t *input,
	     int8_t *state, int8_t *logits, struct ref_head heads[FLUIDNPU_MAX_EXITS]);

#endif /* CORE_HOST_H */
