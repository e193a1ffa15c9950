// SPDX-License-Identifier: GPL-2.0
/*
 * FluidNPU accel driver: stopping the device, starting it again, giving it up.
 *
 * Every way to stop is a reset, which makes the device forget everything. Every way to
 * start shows it its rings and address spaces again, and the jobs that it had. In between
 * fluidnpu_device.off says why its registers must be left alone; jobs may come all the
 * same and wait in the rings.
 *
 * A device that does not come back after a reset is dead: jobs end with -EIO until
 * somebody resets it by other means (a function-level or bus reset in sysfs) or binds the
 * driver again. One whose registers read all ones has been pulled out: jobs end with
 * -ENODEV. Nothing interrupts any more then: it is noticed when completions are polled for.
 *
 * User space is told by uevents of the accel device, as DRM does for others:
 * WEDGED=none after a reset because of a hang or an error, WEDGED=rebind,bus-reset when
 * the device is dead.
 */
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/kobject.h>
#include <linux/pci.h>

#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_print.h>

#include "fluidnpu_coredump.h"
#include "fluidnpu_device.h"
#include "fluidnpu_job.h"
#include "fluidnpu_mmu.h"
#include "fluidnpu_trace.h"

/*
 * Fatal errors in a row, less than a second apart and without a job that succeeds, before
 * the jobs in flight are lost, and before the device is given up.
 */
#define FLUIDNPU_MAX_FATAL_JOBS		10
#define FLUIDNPU_MAX_FATAL		100

/* Pause after the nth of them: n ms, at most so many. */
#define FLUIDNPU_MAX_FATAL_PAUSE_MS	10

/**
 * fluidnpu_device_is_ready - does the device say that it can be started?
 * @fdev: the device, after a reset
 *
 * Return: whether it does.
 */
bool fluidnpu_device_is_ready(struct fluidnpu_device *fdev)
{
	return fluidnpu_read(fdev, FLUIDNPU_REG_MAGIC) == FLUIDNPU_MAGIC &&
	       (fluidnpu_read(fdev, FLUIDNPU_REG_STATUS) &
		(FLUIDNPU_STATUS_READY | FLUIDNPU_STATUS_FATAL)) == FLUIDNPU_STATUS_READY;
}

/**
 * fluidnpu_device_halt - reset the device
 * @fdev: the device
 *
 * When it returns the device does no DMA and knows no memory of ours.
 */
void fluidnpu_device_halt(struct fluidnpu_device *fdev)
{
	fluidnpu_write(fdev, FLUIDNPU_REG_CTRL, FLUIDNPU_CTRL_RESET);
	/* Done when the write is; but the bus may post it, so wait until it is there. */
	fluidnpu_read(fdev, FLUIDNPU_REG_STATUS);
}

/**
 * fluidnpu_device_error - can the device run jobs, now or later?
 * @fdev: the device
 *
 * Return: 0, -EIO when it is dead, -ENODEV when it is gone.
 */
int fluidnpu_device_error(struct fluidnpu_device *fdev)
{
	u32 off = READ_ONCE(fdev->off);

	if (off & (FLUIDNPU_OFF_LOST | FLUIDNPU_OFF_REMOVED))
		return -ENODEV;
	return off & FLUIDNPU_OFF_WEDGED ? -EIO : 0;
}

static void fluidnpu_device_set_off(struct fluidnpu_device *fdev, u32 clear, u32 set)
{
	lockdep_assert_held(&fdev->as_lock);
	lockdep_assert_held(&fdev->hw_lock);

	WRITE_ONCE(fdev->off, (fdev->off & ~clear) | set);
}

/* Stop everything; what has completed so far is noted. With as_lock and hw_lock. */
static void fluidnpu_device_quiesce(struct fluidnpu_device *fdev)
{
	u32 i;

	fluidnpu_perf_save(fdev);
	/* Only of a queue that it has stopped the device says for certain what it has taken. */
	for (i = 0; i < fdev->num_queues; i++)
		fluidnpu_queue_stop(&fdev->queues[i]);
	fluidnpu_device_halt(fdev);
	fluidnpu_cq_drain(fdev);
}

/* End all jobs in flight, and refuse those that come. With as_lock and hw_lock. */
static void fluidnpu_device_give_up(struct fluidnpu_device *fdev, u32 why)
{
	u32 i;

	fluidnpu_device_set_off(fdev, 0, why);
	for (i = 0; i < fdev->num_queues; i++) {
		fluidnpu_queue_fail_all(&fdev->queues[i], fluidnpu_device_error(fdev));
		/* Those that wait for a slot, too. */
		fluidnpu_queue_advance(&fdev->queues[i]);
	}
}

/* Give the device up if it is not. With as_lock and hw_lock. */
static bool fluidnpu_device_is_there(struct fluidnpu_device *fdev)
{
	/*
	 * All ones is what a bus without a device answers. One that cannot even be woken
	 * may say something else; its configuration space tells.
	 */
	u32 magic = fluidnpu_read(fdev, FLUIDNPU_REG_MAGIC);

	if (magic == FLUIDNPU_MAGIC ||
	    (magic != ~0u && pci_device_is_present(to_pci_dev(fdev->drm.dev))))
		return true;
	drm_err(&fdev->drm, "device does not answer any more\n");
	fluidnpu_device_give_up(fdev, FLUIDNPU_OFF_LOST);
	return false;
}

/*
 * Start again after fluidnpu_device_quiesce(), unless there is another reason not to.
 * With as_lock and hw_lock. See fluidnpu_queue_restart().
 */
static void fluidnpu_device_restart(struct fluidnpu_device *fdev, struct fluidnpu_job *guilty,
				    bool suspect)
{
	u32 i;

	if (fdev->off)
		return;
	if (!fluidnpu_device_is_there(fdev))
		return;
	if (!fluidnpu_device_is_ready(fdev)) {
		drm_err(&fdev->drm, "device does not come back after a reset\n");
		fluidnpu_device_give_up(fdev, FLUIDNPU_OFF_WEDGED);
		return;
	}

	fluidnpu_perf_start(fdev);
	fluidnpu_cq_start(fdev);
	fluidnpu_mmu_start(fdev);
	fluidnpu_write(fdev, FLUIDNPU_REG_CTRL, FLUIDNPU_CTRL_ENABLE);
	for (i = 0; i < fdev->num_queues; i++)
		fluidnpu_queue_restart(&fdev->queues[i], guilty, suspect);
}

static void fluidnpu_device_uevent(struct fluidnpu_device *fdev, char *wedged)
{
	char *envp[2] = { wedged };

	kobject_uevent_env(&fdev->drm.accel->kdev->kobj, KOBJ_CHANGE, envp);
}

static void fluidnpu_uevent_work(struct work_struct *work)
{
	struct fluidnpu_device *fdev = container_of(work, struct fluidnpu_device, uevent_work);
	int idx;

	if (!drm_dev_enter(&fdev->drm, &idx))
		return;
	switch (fluidnpu_device_error(fdev)) {
	case 0:
		fluidnpu_device_uevent(fdev, "WEDGED=none");
		break;
	case -EIO:
		fluidnpu_device_uevent(fdev, "WEDGED=rebind,bus-reset");
		break;
	}
	drm_dev_exit(idx);
}

/**
 * fluidnpu_device_report_reset - tell user space how a reset ended
 * @fdev: the device, or one of its queues, has been reset because something went wrong
 *
 * In any context. Sending an event allocates memory, for which somebody may wait for fences
 * and so for the next reset. Several that come at once are one event.
 */
void fluidnpu_device_report_reset(struct fluidnpu_device *fdev)
{
	queue_work(fluidnpu_wq, &fdev->uevent_work);
}

/* Stop the device if it runs, and note why. */
static void fluidnpu_device_turn_off(struct fluidnpu_device *fdev, u32 why)
{
	unsigned long flags;

	mutex_lock(&fdev->as_lock);
	spin_lock_irqsave(&fdev->hw_lock, flags);
	if (!fdev->off)
		fluidnpu_device_quiesce(fdev);
	fluidnpu_device_set_off(fdev, 0, why);
	fluidnpu_hw_unlock(fdev, flags);
	mutex_unlock(&fdev->as_lock);
}

/* What kept the device off is over. */
static void fluidnpu_device_turn_on(struct fluidnpu_device *fdev, u32 why)
{
	unsigned long flags;
	bool dead;

	mutex_lock(&fdev->as_lock);
	spin_lock_irqsave(&fdev->hw_lock, flags);
	fluidnpu_device_set_off(fdev, why, 0);
	fluidnpu_device_restart(fdev, NULL, false);
	dead = fdev->off & FLUIDNPU_OFF_WEDGED;
	fluidnpu_hw_unlock(fdev, flags);
	mutex_unlock(&fdev->as_lock);

	if (dead)
		fluidnpu_device_report_reset(fdev);
}

/* With @lose, the jobs in flight end with -EIO. */
static void __fluidnpu_device_reset(struct fluidnpu_device *fdev, const char *reason,
				    struct fluidnpu_job *guilty, bool lose)
{
	u32 i;
	unsigned long flags;
	bool was_on;

	mutex_lock(&fdev->as_lock);
	spin_lock_irqsave(&fdev->hw_lock, flags);
	was_on = !fdev->off;
	if (was_on) {
		fluidnpu_coredump_take(fdev, reason, guilty);
		fluidnpu_device_quiesce(fdev);
		for (i = 0; i < fdev->num_queues && lose; i++)
			fluidnpu_queue_fail_all(&fdev->queues[i], -EIO);
		fluidnpu_device_restart(fdev, guilty, !guilty);
		trace_fluidnpu_device_reset(fdev, fdev->off);
	}
	fluidnpu_hw_unlock(fdev, flags);
	mutex_unlock(&fdev->as_lock);

	if (was_on)
		fluidnpu_device_report_reset(fdev);
}

/**
 * fluidnpu_device_reset - reset the device and run the jobs in flight again
 * @fdev: the device, between drm_dev_enter() and drm_dev_exit()
 * @reason: for the dump; a string that stays
 * @guilty: ends with -ETIME unless it has ended; or NULL
 *
 * Does nothing to a device that is off. When the device does not come back all jobs,
 * now and later, end with an error.
 */
void fluidnpu_device_reset(struct fluidnpu_device *fdev, const char *reason,
			   struct fluidnpu_job *guilty)
{
	__fluidnpu_device_reset(fdev, reason, guilty, false);
}

/* The device is beyond help. */
static void fluidnpu_device_kill(struct fluidnpu_device *fdev)
{
	unsigned long flags;

	mutex_lock(&fdev->as_lock);
	spin_lock_irqsave(&fdev->hw_lock, flags);
	if (!fdev->off)
		fluidnpu_device_quiesce(fdev);
	fluidnpu_device_give_up(fdev, FLUIDNPU_OFF_WEDGED);
	fluidnpu_hw_unlock(fdev, flags);
	mutex_unlock(&fdev->as_lock);
	fluidnpu_device_report_reset(fdev);
}

/**
 * fluidnpu_device_let_go - stop the device for good
 * @fdev: unplugged; jobs in flight end with -ENODEV
 */
void fluidnpu_device_let_go(struct fluidnpu_device *fdev)
{
	unsigned long flags;

	mutex_lock(&fdev->as_lock);
	spin_lock_irqsave(&fdev->hw_lock, flags);
	fluidnpu_device_halt(fdev);
	fluidnpu_device_give_up(fdev, FLUIDNPU_OFF_REMOVED);
	fluidnpu_hw_unlock(fdev, flags);
	mutex_unlock(&fdev->as_lock);
}

/*
 * Could the device be reset without losing a job? If so it is left paused: it takes no
 * entries until it is reset. With as_lock and hw_lock.
 */
static bool fluidnpu_device_pause(struct fluidnpu_device *fdev)
{
	bool can = true;
	u32 i, halted;

	fluidnpu_write(fdev, FLUIDNPU_REG_CTRL, 0);
	halted = fluidnpu_cq_drain(fdev);
	for (i = 0; i < fdev->num_queues; i++)
		can &= fluidnpu_queue_can_restart(&fdev->queues[i]);
	if (!can) {
		fluidnpu_cq_ack(fdev, halted);
		fluidnpu_write(fdev, FLUIDNPU_REG_CTRL, FLUIDNPU_CTRL_ENABLE);
	}
	return can;
}

/**
 * fluidnpu_device_sleep - the power of the device is about to go
 * @fdev: the device
 *
 * What is in flight runs again after fluidnpu_device_wake().
 *
 * Return: whether the device is asleep; not if a job would be lost by that.
 */
bool fluidnpu_device_sleep(struct fluidnpu_device *fdev)
{
	unsigned long flags;
	bool can;

	mutex_lock(&fdev->as_lock);
	spin_lock_irqsave(&fdev->hw_lock, flags);
	can = fdev->off || fluidnpu_device_pause(fdev);
	if (can) {
		if (!fdev->off)
			fluidnpu_device_quiesce(fdev);
		fluidnpu_device_set_off(fdev, 0, FLUIDNPU_OFF_ASLEEP);
		trace_fluidnpu_pm(fdev, false);
	}
	fluidnpu_hw_unlock(fdev, flags);
	mutex_unlock(&fdev->as_lock);

	return can;
}

/**
 * fluidnpu_device_wake - the device has power again
 * @fdev: the device
 */
void fluidnpu_device_wake(struct fluidnpu_device *fdev)
{
	trace_fluidnpu_pm(fdev, true);
	fluidnpu_device_turn_on(fdev, FLUIDNPU_OFF_ASLEEP);
}

/**
 * fluidnpu_device_reset_prepare - somebody else is about to reset the device
 * @fdev: the device
 *
 * Jobs that come until fluidnpu_device_reset_done() go into the rings and are run then.
 */
void fluidnpu_device_reset_prepare(struct fluidnpu_device *fdev)
{
	fluidnpu_device_turn_off(fdev, FLUIDNPU_OFF_RESET);
}

/**
 * fluidnpu_device_reset_done - somebody else has reset the device
 * @fdev: the device
 *
 * It gets another chance if it was dead.
 */
void fluidnpu_device_reset_done(struct fluidnpu_device *fdev)
{
	fluidnpu_device_turn_on(fdev, FLUIDNPU_OFF_RESET | FLUIDNPU_OFF_WEDGED |
				FLUIDNPU_OFF_LOST);
	trace_fluidnpu_device_reset(fdev, READ_ONCE(fdev->off));
}

/**
 * fluidnpu_device_drain - give the jobs in flight some time to end
 * @fdev: the device; it gets no more jobs
 * @bound_ms: for how long
 */
void fluidnpu_device_drain(struct fluidnpu_device *fdev, u32 bound_ms)
{
	unsigned long end = jiffies + msecs_to_jiffies(bound_ms);
	bool idle, late;

	do {
		unsigned long flags;

		late = time_after(jiffies, end);
		spin_lock_irqsave(&fdev->hw_lock, flags);
		fluidnpu_cq_ack(fdev, fluidnpu_cq_drain(fdev));
		idle = fluidnpu_cq_is_idle(fdev);
		fluidnpu_hw_unlock(fdev, flags);
		if (!idle)
			fsleep(USEC_PER_MSEC);
	} while (!idle && !late);
}

/* Has the device ended a job well since it was last reset? */
static bool fluidnpu_device_makes_progress(struct fluidnpu_device *fdev)
{
	u32 reg = FLUIDNPU_REG_COUNTERS;

	return fluidnpu_read64(fdev, reg + FLUIDNPU_CNT_JOBS * sizeof(u64)) >
	       fluidnpu_read64(fdev, reg + FLUIDNPU_CNT_JOB_ERRORS * sizeof(u64));
}

/* The device has reported a fatal error. */
static void fluidnpu_reset_work(struct work_struct *work)
{
	struct fluidnpu_device *fdev = container_of(work, struct fluidnpu_device, reset_work);
	unsigned long flags;
	u32 status = 0;
	int idx;

	if (!drm_dev_enter(&fdev->drm, &idx))
		return;

	spin_lock_irqsave(&fdev->hw_lock, flags);
	if (!fdev->off) {
		status = fluidnpu_read(fdev, FLUIDNPU_REG_STATUS);
		if (fluidnpu_device_makes_progress(fdev) ||
		    time_after(jiffies, fdev->last_fatal + HZ))
			fdev->num_fatal = 0;
	}
	spin_unlock_irqrestore(&fdev->hw_lock, flags);

	/* Another reset has taken care of it already if this is not set. */
	if (!(status & FLUIDNPU_STATUS_FATAL))
		goto out;

	trace_fluidnpu_device_fatal(fdev, status);
	fdev->last_fatal = jiffies;
	if (++fdev->num_fatal > FLUIDNPU_MAX_FATAL) {
		drm_err(&fdev->drm, "%u fatal errors in a row: giving the device up\n",
			fdev->num_fatal);
		fluidnpu_device_kill(fdev);
		goto out;
	}
	dev_warn_ratelimited(fdev->drm.dev,
			     "device reports a fatal error, status %#x: resetting it\n", status);
	if (fdev->num_fatal > 1)
		msleep(min(fdev->num_fatal, FLUIDNPU_MAX_FATAL_PAUSE_MS));
	__fluidnpu_device_reset(fdev, "fatal error", NULL,
				!(fdev->num_fatal % FLUIDNPU_MAX_FATAL_JOBS));
out:
	drm_dev_exit(idx);
}

/**
 * fluidnpu_device_check - is a device that has not been heard of still there?
 * @fdev: the device, between drm_dev_enter() and drm_dev_exit()
 *
 * In process context. If it is not, all jobs end with -ENODEV.
 */
void fluidnpu_device_check(struct fluidnpu_device *fdev)
{
	unsigned long flags;

	mutex_lock(&fdev->as_lock);
	spin_lock_irqsave(&fdev->hw_lock, flags);
	if (!fdev->off)
		fluidnpu_device_is_there(fdev);
	fluidnpu_hw_unlock(fdev, flags);
	mutex_unlock(&fdev->as_lock);
}

/**
 * fluidnpu_reset_init - prepare for trouble
 * @fdev: the device
 */
void fluidnpu_reset_init(struct fluidnpu_device *fdev)
{
	INIT_WORK(&fdev->reset_work, fluidnpu_reset_work);
	INIT_DELAYED_WORK(&fdev->poll_work, fluidnpu_cq_poll_work);
	INIT_WORK(&fdev->uevent_work, fluidnpu_uevent_work);
}

/**
 * fluidnpu_reset_fini - no more resets
 * @fdev: unplugged
 */
void fluidnpu_reset_fini(struct fluidnpu_device *fdev)
{
	cancel_work_sync(&fdev->reset_work);
	cancel_delayed_work_sync(&fdev->poll_work);
	/* Neither of the two comes any more, so neither does this. */
	cancel_work_sync(&fdev->uevent_work);
}
