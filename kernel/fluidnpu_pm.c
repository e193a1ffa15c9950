// SPDX-License-Identifier: GPL-2.0
/*
 * FluidNPU accel driver: power management.
 *
 * A job keeps the device awake from its preparation until it is released, so
 * that nothing has to be woken where that is not possible (in the scheduler's
 * back end), and nothing sleeps while anything is in flight. Everybody else
 * looks at fluidnpu_device.off under one of its locks and leaves a device that
 * sleeps alone: waking it up shows it all address spaces again.
 *
 * When the system goes to sleep the schedulers stop. What is in flight has a moment to
 * end; what has not by then runs again when the system wakes. Jobs that wait just wait
 * longer.
 *
 * Sleep is a reset: the device forgets everything, and the PCI core may cut
 * its power.
 */
#include <linux/pm_runtime.h>

#include <drm/drm_drv.h>
#include <drm/drm_print.h>

#include "fluidnpu_device.h"
#include "fluidnpu_pm.h"

/* Idle time after which the device is put to sleep; power/autosuspend_delay_ms in sysfs. */
#define FLUIDNPU_AUTOSUSPEND_MS		500

/* How long the system's going to sleep waits for jobs. */
#define FLUIDNPU_DRAIN_MS		500

/**
 * fluidnpu_pm_get - wake the device and keep it awake
 * @fdev: the device
 *
 * In process context. Only the first user has a reference of the PM core's, and the last one
 * drops it.
 *
 * Return: 0, or -ENODEV when the device is unplugged or cannot be woken.
 */
int fluidnpu_pm_get(struct fluidnpu_device *fdev)
{
	int idx, ret;

	if (atomic_inc_not_zero(&fdev->pm_users))
		return 0;

	/* remove() waits for this, and needs nothing of what is waited for here. */
	if (!drm_dev_enter(&fdev->drm, &idx))
		return -ENODEV;
	ret = pm_runtime_resume_and_get(fdev->drm.dev);
	drm_dev_exit(idx);
	if (ret) {
		drm_dbg(&fdev->drm, "device cannot be woken: %d\n", ret);
		return -ENODEV;
	}
	/* Two at once: one reference is enough. */
	if (atomic_inc_return(&fdev->pm_users) > 1)
		pm_runtime_put_autosuspend(fdev->drm.dev);
	return 0;
}

/**
 * fluidnpu_pm_put - undo fluidnpu_pm_get()
 * @fdev: the device, unplugged or not
 *
 * In any context. When it was the last one the device goes to sleep after a while.
 */
void fluidnpu_pm_put(struct fluidnpu_device *fdev)
{
	if (!atomic_dec_and_test(&fdev->pm_users))
		return;
	pm_runtime_mark_last_busy(fdev->drm.dev);
	pm_runtime_put_autosuspend(fdev->drm.dev);
}

static void fluidnpu_pm_start_scheds(struct fluidnpu_device *fdev)
{
	u32 i;

	fdev->suspended = false;
	for (i = 0; i < fdev->num_queues; i++)
		drm_sched_wqueue_start(&fdev->queues[i].sched);
}

/**
 * fluidnpu_pm_enable - let the device sleep when it is idle
 * @fdev: runs; the PCI core's reference of probe() is dropped
 */
void fluidnpu_pm_enable(struct fluidnpu_device *fdev)
{
	struct device *dev = fdev->drm.dev;

	pm_runtime_set_autosuspend_delay(dev, FLUIDNPU_AUTOSUSPEND_MS);
	pm_runtime_use_autosuspend(dev);
	pm_runtime_allow(dev);
	pm_runtime_mark_last_busy(dev);
	pm_runtime_put_autosuspend(dev);
}

/**
 * fluidnpu_pm_disable - undo fluidnpu_pm_enable()
 * @fdev: about to be removed
 */
void fluidnpu_pm_disable(struct fluidnpu_device *fdev)
{
	struct device *dev = fdev->drm.dev;

	/* It was taken away while the system slept; jobs must come to their ends. */
	if (fdev->suspended)
		fluidnpu_pm_start_scheds(fdev);
	pm_runtime_get_noresume(dev);
	pm_runtime_forbid(dev);
	pm_runtime_dont_use_autosuspend(dev);
}

static int fluidnpu_pm_runtime_suspend(struct device *dev)
{
	return fluidnpu_device_sleep(dev_get_drvdata(dev)) ? 0 : -EBUSY;
}

/*
 * Never fails: the PM core would refuse to wake the device ever again, but a reset by
 * its user may still revive it. What is tried until then finds it dead.
 */
static int fluidnpu_pm_runtime_resume(struct device *dev)
{
	fluidnpu_device_wake(dev_get_drvdata(dev));
	return 0;
}

static int fluidnpu_pm_suspend(struct device *dev)
{
	struct fluidnpu_device *fdev = dev_get_drvdata(dev);
	u32 i;

	fdev->suspended = true;
	for (i = 0; i < fdev->num_queues; i++)
		drm_sched_wqueue_stop(&fdev->queues[i].sched);

	fluidnpu_device_drain(fdev, FLUIDNPU_DRAIN_MS);
	if (!fluidnpu_device_sleep(fdev)) {
		drm_info(&fdev->drm, "a job that could not be run again takes too long\n");
		fluidnpu_pm_start_scheds(fdev);
		return -EBUSY;
	}
	return 0;
}

static int fluidnpu_pm_resume(struct device *dev)
{
	struct fluidnpu_device *fdev = dev_get_drvdata(dev);

	fluidnpu_device_wake(fdev);
	fluidnpu_pm_start_scheds(fdev);
	return 0;
}

const struct dev_pm_ops fluidnpu_pm_ops = {
	SYSTEM_SLEEP_PM_OPS(fluidnpu_pm_suspend, fluidnpu_pm_resume)
	RUNTIME_PM_OPS(fluidnpu_pm_runtime_suspend, fluidnpu_pm_runtime_resume, NULL)
};
