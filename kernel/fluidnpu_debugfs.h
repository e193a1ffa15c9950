/* SPDX-License-Identifier: GPL-2.0 */
/*
 * FluidNPU accel driver: files in debugfs.
 */
#ifndef _FLUIDNPU_DEBUGFS_H
#define _FLUIDNPU_DEBUGFS_H

struct fluidnpu_device;

void fluidnpu_debugfs_init(struct fluidnpu_device *fdev);

#endif
