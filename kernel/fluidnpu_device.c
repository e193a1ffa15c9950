// SPDX-License-Identifier: GPL-2.0
/*
 * FluidNPU accel driver: the PCI device, its interrupts, reset and removal.
 */
#include <linux/dma-mapping.h>
#include <linux/interrupt.h>
#include <linux/module.h>
#include <linux/pci.h>

#include <drm/drm_drv.h>
#include <drm/drm_managed.h>
#include <drm/drm_print.h>

#include "fluidnpu_ctx.h"
#include "fluidnpu_device.h"
#include "fluidnpu_drv.h"
#include "fluidnpu_gem.h"
#include "fluidnpu_job.h"
#include "fluidnpu_mmu.h"
#include "fluidnpu_trace.h"

static DEFINE_IDA(fluidnpu_index_ida);

/**
 * fluidnpu_read64 - read a 64-bit register
 * @fdev: the device, between drm_dev_enter() and drm_dev_exit()
 * @reg_lo: its lower half, which latches the upper one
 *
 * Return: the value.
 */
u64 fluidnpu_read64(struct fluidnpu_device *fdev, u32 reg_lo)
{
	unsigned long flags;
	u32 lo, hi;

	spin_lock_irqsave(&fdev->reg64_lock, flags);
	lo = fluidnpu_read(fdev, reg_lo);
	hi = fluidnpu_read(fdev, reg_lo + 4);
	spin_unlock_irqrestore(&fdev->reg64_lock, flags);

	return (u64)hi << 32 | lo;
}

/**
 * fluidnpu_device_get_user - keep device and module for something that can
 *	outlive both the file that made it and the driver's binding
 * @fdev: the device, pinned by the caller
 */
void fluidnpu_device_get_user(struct fluidnpu_device *fdev)
{
	__module_get(THIS_MODULE);
	refcount_inc(&fdev->users);
}

/**
 * fluidnpu_device_put_user - undo fluidnpu_device_get_user()
 * @fdev: must not be used afterwards
 *
 * In any context. The device is released by a work, which module exit waits for.
 */
void fluidnpu_device_put_user(struct fluidnpu_device *fdev)
{
	if (refcount_dec_and_test(&fdev->users))
		queue_work(fluidnpu_wq, &fdev->put_work);
	module_put(THIS_MODULE);
}

static void fluidnpu_put_work(struct work_struct *work)
{
	struct fluidnpu_device *fdev = container_of(work, struct fluidnpu_device, put_work);

	drm_dev_put(&fdev->drm);
}

static irqreturn_t fluidnpu_irq_completion(int irq, void *data)
{
	struct fluidnpu_device *fdev = data;
	unsigned long flags;
	LIST_HEAD(done);
	u32 head;
	int idx;

	if (!drm_dev_enter(&fdev->drm, &idx))
		return IRQ_NONE;

	spin_lock_irqsave(&fdev->hw_lock, flags);
	head = fdev->cq.head;
	fluidnpu_cq_ack(fdev, fluidnpu_cq_drain(fdev, &done));
	trace_fluidnpu_irq(fdev, fdev->cq.head - head);
	spin_unlock_irqrestore(&fdev->hw_lock, flags);
	fluidnpu_signal_done(&done);

	drm_dev_exit(idx);
	return IRQ_HANDLED;
}

static irqreturn_t fluidnpu_irq_error(int irq, void *data)
{
	struct fluidnpu_device *fdev = data;
	int idx;

	if (!drm_dev_enter(&fdev->drm, &idx))
		return IRQ_NONE;
	queue_work(fdev->tdr_wq, &fdev->reset_work);
	drm_dev_exit(idx);
	return IRQ_HANDLED;
}

static bool fluidnpu_device_is_ready(struct fluidnpu_device *fdev)
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
static void fluidnpu_device_quiesce(struct fluidnpu_device *fdev, struct list_head *done)
{
	u32 i;

	for (i = 0; i < fdev->num_queues; i++)
		fluidnpu_queue_note_head(&fdev->queues[i]);
	fluidnpu_perf_save(fdev);
	fluidnpu_device_halt(fdev);
	fluidnpu_cq_drain(fdev, done);
}

/* End all jobs in flight, and refuse those that come. With as_lock and hw_lock. */
static void fluidnpu_device_give_up(struct fluidnpu_device *fdev, u32 why, struct list_head *done)
{
	u32 i;

	fluidnpu_device_set_off(fdev, 0, why);
	for (i = 0; i < fdev->num_queues; i++)
		fluidnpu_queue_fail_all(&fdev->queues[i], fluidnpu_device_error(fdev), done);
}

/*
 * Start again after fluidnpu_device_quiesce(), unless there is another reason not to.
 * With as_lock and hw_lock.
 */
static void fluidnpu_device_restart(struct fluidnpu_device *fdev, struct fluidnpu_job *guilty,
				    struct list_head *done)
{
	u32 i;

	if (fdev->off)
		return;
	if (fluidnpu_read(fdev, FLUIDNPU_REG_MAGIC) == ~0u) {
		drm_err(&fdev->drm, "device does not answer any more\n");
		fluidnpu_device_give_up(fdev, FLUIDNPU_OFF_LOST, done);
		return;
	}
	if (!fluidnpu_device_is_ready(fdev)) {
		drm_err(&fdev->drm, "device does not come back after a reset\n");
		fluidnpu_device_give_up(fdev, FLUIDNPU_OFF_WEDGED, done);
		return;
	}

	fluidnpu_perf_start(fdev);
	fluidnpu_cq_start(fdev);
	fluidnpu_mmu_start(fdev);
	fluidnpu_write(fdev, FLUIDNPU_REG_CTRL, FLUIDNPU_CTRL_ENABLE);
	for (i = 0; i < fdev->num_queues; i++)
		fluidnpu_queue_restart(&fdev->queues[i], guilty, done);
}

/* Stop the device if it runs, and note why. The caller holds as_lock. */
static void fluidnpu_device_turn_off(struct fluidnpu_device *fdev, u32 why)
{
	unsigned long flags;
	LIST_HEAD(done);

	spin_lock_irqsave(&fdev->hw_lock, flags);
	if (!fdev->off)
		fluidnpu_device_quiesce(fdev, &done);
	fluidnpu_device_set_off(fdev, 0, why);
	spin_unlock_irqrestore(&fdev->hw_lock, flags);
	fluidnpu_signal_done(&done);
}

/* What kept the device off is over. The caller holds as_lock. */
static void fluidnpu_device_turn_on(struct fluidnpu_device *fdev, u32 why)
{
	unsigned long flags;
	LIST_HEAD(done);

	spin_lock_irqsave(&fdev->hw_lock, flags);
	fluidnpu_device_set_off(fdev, why, 0);
	fluidnpu_device_restart(fdev, NULL, &done);
	spin_unlock_irqrestore(&fdev->hw_lock, flags);
	fluidnpu_signal_done(&done);
}

/**
 * fluidnpu_device_reset - reset the device and run the jobs in flight again
 * @fdev: the device, between drm_dev_enter() and drm_dev_exit()
 * @guilty: ends with -ETIME unless it has ended; or NULL
 *
 * Does nothing to a device that is off. When the device does not come back all jobs,
 * now and later, end with an error.
 */
void fluidnpu_device_reset(struct fluidnpu_device *fdev, struct fluidnpu_job *guilty)
{
	unsigned long flags;
	LIST_HEAD(done);

	mutex_lock(&fdev->as_lock);
	spin_lock_irqsave(&fdev->hw_lock, flags);
	if (!fdev->off) {
		fluidnpu_device_quiesce(fdev, &done);
		fluidnpu_device_restart(fdev, guilty, &done);
		trace_fluidnpu_device_reset(fdev, fdev->off);
	}
	spin_unlock_irqrestore(&fdev->hw_lock, flags);
	mutex_unlock(&fdev->as_lock);
	fluidnpu_signal_done(&done);
}

/**
 * fluidnpu_device_sleep - the power of the device is about to go
 * @fdev: the device
 *
 * What is in flight runs again after fluidnpu_device_wake().
 */
void fluidnpu_device_sleep(struct fluidnpu_device *fdev)
{
	mutex_lock(&fdev->as_lock);
	fluidnpu_device_turn_off(fdev, FLUIDNPU_OFF_ASLEEP);
	trace_fluidnpu_pm(fdev, false);
	mutex_unlock(&fdev->as_lock);
}

/**
 * fluidnpu_device_wake - the device has power again
 * @fdev: the device
 */
void fluidnpu_device_wake(struct fluidnpu_device *fdev)
{
	mutex_lock(&fdev->as_lock);
	trace_fluidnpu_pm(fdev, true);
	fluidnpu_device_turn_on(fdev, FLUIDNPU_OFF_ASLEEP);
	mutex_unlock(&fdev->as_lock);
}

/**
 * fluidnpu_device_reset_prepare - somebody else is about to reset the device
 * @fdev: the device
 *
 * Jobs that come until fluidnpu_device_reset_done() go into the rings and are run then.
 */
void fluidnpu_device_reset_prepare(struct fluidnpu_device *fdev)
{
	mutex_lock(&fdev->as_lock);
	fluidnpu_device_turn_off(fdev, FLUIDNPU_OFF_RESET);
	mutex_unlock(&fdev->as_lock);
}

/**
 * fluidnpu_device_reset_done - somebody else has reset the device
 * @fdev: the device
 *
 * It gets another chance if it was dead.
 */
void fluidnpu_device_reset_done(struct fluidnpu_device *fdev)
{
	mutex_lock(&fdev->as_lock);
	fluidnpu_device_turn_on(fdev, FLUIDNPU_OFF_RESET | FLUIDNPU_OFF_WEDGED |
				FLUIDNPU_OFF_LOST);
	trace_fluidnpu_device_reset(fdev, fdev->off);
	mutex_unlock(&fdev->as_lock);
}

static void fluidnpu_reset_work(struct work_struct *work)
{
	struct fluidnpu_device *fdev = container_of(work, struct fluidnpu_device, reset_work);
	int idx;
	u32 status;

	if (!drm_dev_enter(&fdev->drm, &idx))
		return;
	status = fluidnpu_read(fdev, FLUIDNPU_REG_STATUS);
	trace_fluidnpu_device_fatal(fdev, status);
	drm_warn(&fdev->drm, "device reports a fatal error, status %#x: resetting it\n", status);
	fluidnpu_device_reset(fdev, NULL);
	drm_dev_exit(idx);
}

static int fluidnpu_device_identify(struct fluidnpu_device *fdev)
{
	u32 *words = (u32 *)&fdev->geometry;
	u32 i, magic;

	magic = fluidnpu_read(fdev, FLUIDNPU_REG_MAGIC);
	if (magic != FLUIDNPU_MAGIC) {
		drm_err(&fdev->drm, "bad magic %#x\n", magic);
		return -ENODEV;
	}

	fdev->hw_version = fluidnpu_read(fdev, FLUIDNPU_REG_VERSION);
	if (fdev->hw_version >> 16 != FLUIDNPU_HW_VERSION_MAJOR) {
		drm_err(&fdev->drm, "device version %u.%u is not supported\n",
			fdev->hw_version >> 16, fdev->hw_version & 0xffff);
		return -ENODEV;
	}

	fdev->features = fluidnpu_read(fdev, FLUIDNPU_REG_FEATURES);
	fdev->clock_hz = fluidnpu_read(fdev, FLUIDNPU_REG_CLOCK_HZ);
	for (i = 0; i < sizeof(fdev->geometry) / sizeof(u32); i++)
		words[i] = fluidnpu_read(fdev, FLUIDNPU_REG_GEOMETRY + i * sizeof(u32));

	if (!fdev->clock_hz || !fdev->geometry.num_queues || !fdev->geometry.num_as ||
	    !fdev->geometry.max_batch || fdev->geometry.max_batch > FLUIDNPU_MAX_BATCH) {
		drm_err(&fdev->drm, "device reports an impossible geometry\n");
		return -ENODEV;
	}
	fdev->num_queues = min_t(u32, fdev->geometry.num_queues, FLUIDNPU_NUM_PRIORITIES);
	return 0;
}

static int fluidnpu_device_map(struct fluidnpu_device *fdev, struct pci_dev *pdev)
{
	int ret;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;

	fdev->regs = pcim_iomap_region(pdev, FLUIDNPU_BAR_REGS, FLUIDNPU_DRIVER_NAME);
	if (IS_ERR(fdev->regs))
		return PTR_ERR(fdev->regs);
	if (pci_resource_len(pdev, FLUIDNPU_BAR_REGS) < FLUIDNPU_BAR_REGS_BYTES) {
		drm_err(&fdev->drm, "register BAR is too small\n");
		return -ENODEV;
	}

	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(52));
	if (ret)
		return ret;
	dma_set_max_seg_size(&pdev->dev, UINT_MAX);
	return 0;
}

static int fluidnpu_device_request_irqs(struct fluidnpu_device *fdev, struct pci_dev *pdev)
{
	int ret;

	ret = pci_alloc_irq_vectors(pdev, FLUIDNPU_NUM_VECTORS, FLUIDNPU_NUM_VECTORS, PCI_IRQ_MSIX);
	if (ret < 0) {
		drm_err(&fdev->drm, "no MSI-X vectors: %d\n", ret);
		return ret;
	}

	ret = devm_request_irq(&pdev->dev, pci_irq_vector(pdev, FLUIDNPU_VECTOR_CQ),
			       fluidnpu_irq_completion, 0, "fluidnpu-completion", fdev);
	if (ret)
		return ret;
	return devm_request_irq(&pdev->dev, pci_irq_vector(pdev, FLUIDNPU_VECTOR_ERROR),
				fluidnpu_irq_error, 0, "fluidnpu-error", fdev);
}

static void fluidnpu_free_index(void *data)
{
	struct fluidnpu_device *fdev = data;

	ida_free(&fluidnpu_index_ida, fdev->index);
}

static void fluidnpu_destroy_tdr_wq(struct drm_device *drm, void *wq)
{
	destroy_workqueue(wq);
}

static int fluidnpu_device_init_sw(struct fluidnpu_device *fdev)
{
	int ret;

	spin_lock_init(&fdev->hw_lock);
	spin_lock_init(&fdev->reg64_lock);
	fluidnpu_perf_init(fdev);
	ida_init(&fdev->as_ida);
	INIT_LIST_HEAD(&fdev->bos);
	INIT_WORK(&fdev->reset_work, fluidnpu_reset_work);
	INIT_DELAYED_WORK(&fdev->poll_work, fluidnpu_cq_poll_work);
	INIT_WORK(&fdev->free_work, fluidnpu_sched_free_work);
	INIT_WORK(&fdev->put_work, fluidnpu_put_work);
	init_llist_head(&fdev->free_jobs);
	refcount_set(&fdev->users, 1);

	ret = drmm_mutex_init(&fdev->drm, &fdev->as_lock);
	if (ret)
		return ret;
	ret = drmm_mutex_init(&fdev->drm, &fdev->bo_lock);
	if (ret)
		return ret;

	fdev->tdr_wq = alloc_ordered_workqueue("fluidnpu-tdr", 0);
	if (!fdev->tdr_wq)
		return -ENOMEM;
	return drmm_add_action_or_reset(&fdev->drm, fluidnpu_destroy_tdr_wq, fdev->tdr_wq);
}

static void fluidnpu_device_start(struct fluidnpu_device *fdev)
{
	unsigned long flags;
	u32 i;

	fluidnpu_perf_start(fdev);
	spin_lock_irqsave(&fdev->hw_lock, flags);
	fluidnpu_cq_start(fdev);
	for (i = 0; i < fdev->num_queues; i++)
		fluidnpu_queue_start(&fdev->queues[i]);
	fluidnpu_write(fdev, FLUIDNPU_REG_CTRL, FLUIDNPU_CTRL_ENABLE);
	spin_unlock_irqrestore(&fdev->hw_lock, flags);
}

/**
 * fluidnpu_device_create - make a device ready to be registered
 * @parent: PCI device
 *
 * Return: the device, owned by @parent's devres; or an ERR_PTR.
 */
struct fluidnpu_device *fluidnpu_device_create(struct device *parent)
{
	struct pci_dev *pdev = to_pci_dev(parent);
	struct fluidnpu_device *fdev;
	int ret;
	u32 i;

	fdev = devm_drm_dev_alloc(parent, &fluidnpu_drm_driver, struct fluidnpu_device, drm);
	if (IS_ERR(fdev))
		return fdev;

	fdev->index = ida_alloc(&fluidnpu_index_ida, GFP_KERNEL);
	if (fdev->index < 0)
		return ERR_PTR(fdev->index);
	ret = devm_add_action_or_reset(parent, fluidnpu_free_index, fdev);
	if (ret)
		return ERR_PTR(ret);

	ret = fluidnpu_device_init_sw(fdev);
	if (ret)
		return ERR_PTR(ret);
	ret = fluidnpu_device_map(fdev, pdev);
	if (ret)
		return ERR_PTR(ret);
	ret = fluidnpu_device_identify(fdev);
	if (ret)
		return ERR_PTR(ret);

	fluidnpu_device_halt(fdev);
	if (!fluidnpu_device_is_ready(fdev)) {
		drm_err(&fdev->drm, "device is not ready after a reset\n");
		return ERR_PTR(-EIO);
	}
	/* Not before the reset: it may remember the memory of whoever had it last. */
	pci_set_master(pdev);

	ret = fluidnpu_cq_init(fdev);
	if (ret)
		return ERR_PTR(ret);
	for (i = 0; i < fdev->num_queues; i++) {
		struct fluidnpu_queue *queue = &fdev->queues[i];

		queue->fdev = fdev;
		queue->index = i;
		ret = fluidnpu_queue_init(queue);
		if (ret)
			return ERR_PTR(ret);
		ret = fluidnpu_sched_init(queue);
		if (ret)
			return ERR_PTR(ret);
	}

	ret = fluidnpu_device_request_irqs(fdev, pdev);
	if (ret)
		return ERR_PTR(ret);

	fluidnpu_device_start(fdev);
	return fdev;
}

/**
 * fluidnpu_device_remove - take the device away from its users
 * @fdev: registered; its hardware may be gone already
 *
 * Open files, mappings, rings and fences stay valid. Jobs in flight end with
 * -ENODEV here, those in the schedulers when it is their turn.
 */
void fluidnpu_device_remove(struct fluidnpu_device *fdev)
{
	unsigned long flags;
	LIST_HEAD(done);

	drm_dev_unplug(&fdev->drm);
	cancel_work_sync(&fdev->reset_work);
	cancel_delayed_work_sync(&fdev->poll_work);

	/* Nobody but the address spaces touches the hardware any more. */
	mutex_lock(&fdev->as_lock);
	fluidnpu_device_halt(fdev);
	spin_lock_irqsave(&fdev->hw_lock, flags);
	fluidnpu_device_give_up(fdev, FLUIDNPU_OFF_REMOVED, &done);
	spin_unlock_irqrestore(&fdev->hw_lock, flags);
	mutex_unlock(&fdev->as_lock);
	fluidnpu_signal_done(&done);

	fluidnpu_file_wake_all(fdev);
	fluidnpu_gem_unplug(fdev);
	fluidnpu_mmu_unplug(fdev);
}
