/* SPDX-License-Identifier: GPL-2.0 */
/*
 * FluidNPU accel driver: files in sysfs.
 */
#ifndef _FLUIDNPU_SYSFS_H
#define _FLUIDNPU_SYSFS_H

struct fluidnpu_device;

int fluidnpu_sysfs_init(struct fluidnpu_device *fdev);

#endif
