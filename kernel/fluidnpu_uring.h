/* SPDX-License-Identifier: GPL-2.0 */
/*
 * FluidNPU accel driver: io_uring commands.
 */
#ifndef _FLUIDNPU_URING_H
#define _FLUIDNPU_URING_H

struct io_uring_cmd;

int fluidnpu_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags);

#endif
