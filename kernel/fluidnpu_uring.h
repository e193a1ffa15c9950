/* SPDX-License-Identifier: GPL-2.0 */
/*
 * FluidNPU accel driver: io_uring commands.
 */
#ifndef _FLUIDNPU_URING_H
#define _FLUIDNPU_URING_H

#include <linux/list.h>
#include <linux/types.h>

struct fluidnpu_event_wait;
struct fluidnpu_job;
struct io_uring_cmd;

/**
 * struct fluidnpu_uring - a job's command
 * @cmd: command that completes when the job has ended; NULL if there is none (any more)
 * @node: in fluidnpu_ctx.uring_jobs, while there is one
 *
 * @cmd and @node are protected by fluidnpu_file.uring_lock.
 */
struct fluidnpu_uring {
	struct io_uring_cmd *cmd;
	struct list_head node;
};

int fluidnpu_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags);
void fluidnpu_uring_wait_done(struct fluidnpu_event_wait *wait);
struct io_uring_cmd *fluidnpu_uring_detach(struct fluidnpu_job *job);
void fluidnpu_uring_end_job(struct io_uring_cmd *cmd, int result, u64 end_time);

#endif
