/* SPDX-License-Identifier: MIT */
/* uring.h - a client with a context, a network and an io_uring of any kind. */
#ifndef FNPU_TESTS_URING_H
#define FNPU_TESTS_URING_H

#include <liburing.h>

#include "npu.h"

#define URING_ENTRIES 64

struct uring_rig {
	int fd;
	struct ctx ctx;
	struct net net;
	struct io_uring ring;
	unsigned int ring_flags;	/* IORING_SETUP_* */
	unsigned int sqe_flags;		/* IOSQE_*, for all commands */
	bool fixed_file;		/* fd is registered as the ring's file 0 */
	struct drm_fluidnpu_uring_submit args[URING_ENTRIES]; /* of by-pointer commands */
	unsigned int next_args;
};

/* The ways to use a ring that a command must work with, all of them. */
struct uring_way {
	const char *name;
	unsigned int ring_flags;
	unsigned int sqe_flags;
	bool fixed_file;
};

extern const struct uring_way uring_ways[];
extern const unsigned int num_uring_ways;

/* false: the test has failed. */
bool uring_up(struct uring_rig *rig, uint32_t slow_layers, unsigned int ring_flags);
bool uring_up_way(struct uring_rig *rig, uint32_t slow_layers, const struct uring_way *way);
void uring_down(struct uring_rig *rig);

/* A zeroed sqe of any kind. */
struct io_uring_sqe *uring_sqe(struct uring_rig *rig);

/* Queue a command; io_uring_submit() sends it. The tests never fill a ring. */
void uring_queue(struct uring_rig *rig, uint32_t op, const void *cmd, size_t size,
		 uint64_t user_data);
/* A SUBMIT, or an INJECT, inline or by pointer as the ring wants it. */
void uring_queue_job(struct uring_rig *rig, const struct job *job, uint64_t user_data);
void uring_queue_inject(struct uring_rig *rig, const struct job *job, uint64_t user_data);
/* A WAIT for @count events from the @from-th on, that CANCEL finds by @user_data, too. */
void uring_queue_wait(struct uring_rig *rig, uint32_t from, uint32_t count, uint64_t user_data);

/* Waits for a completion and returns its res; @extra gets big_cqe[0]. Each can be NULL. */
int uring_cqe(struct uring_rig *rig, uint64_t *user_data, uint64_t *extra);
/* Sends one command and waits for it; nothing else may be in flight. */
int uring_run(struct uring_rig *rig, uint32_t op, const void *cmd, size_t size);
int uring_run_job(struct uring_rig *rig, const struct job *job);
/* Sends a CANCEL whose own user_data is @own; its CQE may come after those it causes. */
void uring_send_cancel(struct uring_rig *rig, uint64_t user_data, uint64_t own);

#endif
