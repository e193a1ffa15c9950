/* SPDX-License-Identifier: GPL-2.0 */
/*
 * FluidNPU accel driver: how much memory clients may take.
 */
#ifndef _FLUIDNPU_LIMIT_H
#define _FLUIDNPU_LIMIT_H

#include <linux/types.h>

struct fluidnpu_file;

int fluidnpu_limit_charge(struct fluidnpu_file *ffile, u64 bytes);
void fluidnpu_limit_uncharge(struct fluidnpu_file *ffile, u64 bytes);

u64 fluidnpu_limit_client(void);

#endif
