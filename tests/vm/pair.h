/* SPDX-License-Identifier: MIT */
/* pair.h - a client whose jobs wait, and one that they wait for. */
#ifndef FNPU_TESTS_PAIR_H
#define FNPU_TESTS_PAIR_H

#include "blocker.h"
#include "rig.h"

struct pair {
	struct blocker blocker;
	struct rig rig;
	uint32_t awaited;	/* syncobj of the blocker */
};

/* With a blocker of @priority; false: the test has failed. */
bool pair_up(struct pair *pair, uint32_t priority);
void pair_down(struct pair *pair);

/* A job of one sample that waits for one syncobj and signals another; 0: none. */
int pair_send(const struct ctx *ctx, const struct net *net, uint64_t user_data, uint32_t await,
	      uint32_t signal);
int send_nop(const struct ctx *ctx, uint64_t user_data);

/* The jobs from @first to @last end now, in order, once and well. */
void expect_jobs(struct ctx *ctx, uint64_t first, uint64_t last);

/* Whatever has reached the queue of this priority before has been served when this returns. */
void pass_by(int fd, uint32_t priority);

/* The fence of a syncobj as a sync_file. */
int export_fence(int fd, uint32_t syncobj);
/* 0: not signalled, 1: without an error, or what that is. */
int fence_status(int sync_file);
void wait_for_fence(int sync_file);

#endif
