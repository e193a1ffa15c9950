/* SPDX-License-Identifier: MIT */
/*
 * fuzz.h - the parts of fuzz_uapi: a random number generator, the pool of live objects of a
 * worker process, and the operations on them.
 *
 * A step is one operation, and all that it chooses comes from the step's own generator,
 * which is made of the worker's seed and the step's number: with one thread the seed and
 * the number of steps repeat everything that does not depend on the time. Threads share the
 * pool without locks: what one has chosen another may have closed, which is the point.
 */
#ifndef FNPU_TESTS_FUZZ_H
#define FNPU_TESTS_FUZZ_H

#include <liburing.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "npu.h"

#define MAX_CLIENTS 4
#define MAX_BOS 24
#define MAX_CTXS 8
#define MAX_SYNCOBJS 12
#define MAX_FILES 16
#define MAX_RINGS 3
#define MAX_THREADS 3
#define MAX_ERRNO 134

/* --- numbers ----------------------------------------------------------------------- */

struct rng {
	uint64_t state;
};

uint64_t rng_next(struct rng *rng);			/* splitmix64 */
uint32_t rng_below(struct rng *rng, uint32_t limit);	/* 0..limit - 1, 0 for limit 0 */
bool rng_chance(struct rng *rng, uint32_t percent);
uint64_t rng_odd_value(struct rng *rng);		/* one that likes to go wrong */

/* --- objects ----------------------------------------------------------------------- */

struct fuzz_client {
	int fd;			/* -1: free */
	struct net net;		/* program and data that jobs use */
};

struct fuzz_bo {
	bool used;
	int client;
	uint32_t handle;
	uint64_t size, iova, offset;
	void *map;
	size_t map_bytes;
};

struct fuzz_ctx {
	bool used;
	int client;
	uint32_t id, entries;
	struct drm_fluidnpu_event_ring *ring; /* may be NULL */
};

struct fuzz_syncobj {
	bool used;
	int client;
	uint32_t handle;
};

struct fuzz_ring {
	pthread_mutex_t lock;
	bool used;
	uint32_t flags;
	struct io_uring ring;
};

struct world {
	struct fuzz_client clients[MAX_CLIENTS];
	struct fuzz_bo bos[MAX_BOS];
	struct fuzz_ctx ctxs[MAX_CTXS];
	struct fuzz_syncobj syncobjs[MAX_SYNCOBJS];
	int files[MAX_FILES];	/* dma-bufs, eventfds, sync files, sockets; -1: free */
	struct fuzz_ring rings[MAX_RINGS];
};

/* --- what all processes share ------------------------------------------------------- */

/* Where a thread is, for the watchdog. */
struct progress {
	uint64_t step;
	uint32_t op;
	bool busy;
};

struct stats {
	uint64_t ops[64];		/* by index of fuzz_ops */
	uint64_t errors[MAX_ERRNO];	/* of calls, [0]: none */
	uint64_t jobs_accepted, cqes, checked_jobs, checked_errors[MAX_ERRNO], workers, killed;
};

extern struct stats *fuzz_stats;	/* shared memory */
extern struct net fuzz_template;	/* program bytes to copy from, sizes */
extern int fuzz_udmabuf;		/* /dev/udmabuf, or -1 */
extern bool fuzz_verbose;

/* Memory that the arguments of a call live in; overwritten by the next one. */
#define MAX_JOBS 8
struct args {
	struct drm_fluidnpu_submit submit;
	struct drm_fluidnpu_job jobs[MAX_JOBS];
	struct drm_fluidnpu_sample samples[MAX_JOBS][NET_MAX_SAMPLES];
	uint32_t bos[MAX_JOBS][8];
	struct drm_fluidnpu_sync syncs[8];
	struct drm_fluidnpu_uring_submit uring[16];
	uint8_t garbage[4096];
};

struct fuzz {
	struct world *world;
	struct rng rng;
	struct args *args;
	struct progress *progress;
};

/* --- one operation ------------------------------------------------------------------ */

struct fuzz_op {
	const char *name;
	uint32_t weight;
	void (*run)(struct fuzz *f);
};

extern const struct fuzz_op fuzz_ops[];
extern const unsigned int fuzz_num_ops;

void op_client_open(struct fuzz *f);
void op_client_close(struct fuzz *f);
void op_query(struct fuzz *f);
void op_bo_create(struct fuzz *f);
void op_bo_info(struct fuzz *f);
void op_bo_wait(struct fuzz *f);
void op_bo_close(struct fuzz *f);
void op_map(struct fuzz *f);
void op_unmap(struct fuzz *f);
void op_export(struct fuzz *f);
void op_import(struct fuzz *f);
void op_udmabuf(struct fuzz *f);
void op_dmabuf_use(struct fuzz *f);
void op_file_close(struct fuzz *f);
void op_ctx_create(struct fuzz *f);
void op_ctx_destroy(struct fuzz *f);
void op_submit(struct fuzz *f);
void op_yield(struct fuzz *f);
void op_events(struct fuzz *f);
void op_perf(struct fuzz *f);
void op_sync_create(struct fuzz *f);
void op_sync_destroy(struct fuzz *f);
void op_sync_use(struct fuzz *f);
void op_sync_share(struct fuzz *f);
void op_garbage_ioctl(struct fuzz *f);
void op_poll(struct fuzz *f);
void op_consume(struct fuzz *f);
void op_scribble(struct fuzz *f);
void op_fork(struct fuzz *f);
void op_send_file(struct fuzz *f);
void op_read_files(struct fuzz *f);
void op_signal(struct fuzz *f);
void op_ring_create(struct fuzz *f);
void op_ring_exit(struct fuzz *f);
void op_ring_submit(struct fuzz *f);
void op_ring_reap(struct fuzz *f);
void op_ring_register(struct fuzz *f);

/* Notes the result of a call: -1 and errno, or else a success. 0 or -errno. */
int fuzz_note(long ret);
int fuzz_ioctl(int fd, unsigned long request, void *arg);

/* Fills f->args with jobs for @ctx; mostly valid. Returns how many. */
unsigned int fuzz_jobs(struct fuzz *f, const struct fuzz_ctx *ctx, unsigned int max);
/* Changes some words of @size bytes. */
void fuzz_mutate(struct fuzz *f, void *bytes, size_t size);

void world_init(struct world *world);
void world_close_in_any_order(struct fuzz *f);
int world_client(struct fuzz *f);			/* index of a live one, or -1 */
int world_fd(struct fuzz *f, int client);		/* -1 for -1 */
struct fuzz_bo *world_bo(struct fuzz *f, int client);	/* any if client is -1; or NULL */
struct fuzz_ctx *world_ctx(struct fuzz *f);
struct fuzz_syncobj *world_syncobj(struct fuzz *f, int client);
int *world_file(struct fuzz *f);			/* a live one, or NULL */
bool world_keep_file(struct fuzz *f, int fd);		/* or closes it */
void world_forget_client(struct world *world, int client);

/* One that survives the memory going away under it. */
void fuzz_try(void (*run)(void *), void *arg);


#endif
