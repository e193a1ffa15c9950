/* SPDX-License-Identifier: GPL-2.0 */
/*
 * FluidNPU accel driver: what was going on when something went wrong.
 */
#ifndef _FLUIDNPU_COREDUMP_H
#define _FLUIDNPU_COREDUMP_H

struct fluidnpu_device;
struct fluidnpu_job;

int fluidnpu_coredump_init(struct fluidnpu_device *fdev);
void fluidnpu_coredump_take(struct fluidnpu_device *fdev, const char *reason,
			    const struct fluidnpu_job *guilty);

#endif
