/* SPDX-License-Identifier: GPL-2.0 */
/*
 * FluidNPU accel driver: DEV_QUERY.
 */
#ifndef _FLUIDNPU_QUERY_H
#define _FLUIDNPU_QUERY_H

struct drm_device;
struct drm_file;

int fluidnpu_ioctl_dev_query(struct drm_device *drm, void *data, struct drm_file *file);

#endif
