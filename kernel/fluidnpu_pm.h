/* SPDX-License-Identifier: GPL-2.0 */
/*
 * FluidNPU accel driver: power management.
 */
#ifndef _FLUIDNPU_PM_H
#define _FLUIDNPU_PM_H

#include <linux/pm.h>

struct fluidnpu_device;

extern const struct dev_pm_ops fluidnpu_pm_ops;

void fluidnpu_pm_enable(struct fluidnpu_device *fdev);
void fluidnpu_pm_disable(struct fluidnpu_device *fdev);

int fluidnpu_pm_get(struct fluidnpu_device *fdev);
void fluidnpu_pm_put(struct fluidnpu_device *fdev);

#endif
