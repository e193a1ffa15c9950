/* SPDX-License-Identifier: GPL-2.0 */
/*
 * FluidNPU accel driver: the DRM driver.
 */
#ifndef _FLUIDNPU_DRV_H
#define _FLUIDNPU_DRV_H

#include <drm/drm_drv.h>

extern const struct drm_driver fluidnpu_drm_driver;

#endif
