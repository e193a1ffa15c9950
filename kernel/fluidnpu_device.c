// SPDX-License-Identifier: GPL-2.0
/*
 * FluidNPU accel driver: the PCI device, its interrupts, and removal.
 */
#include <linux/dma-mapping.h>
#include <linux/interrupt.h>
#include <linux/module.h>
#include <linux/pci.h>

#include <drm/drm_drv.h>
#include <drm/drm_managed.h>
#include <drm/drm_print.h>

#include "fluidnpu_coredump.h"
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
	INIT_LIST_HEAD(&fdev->done);
	INIT_LIST_HEAD(&fdev->bos);
	fluidnpu_reset_init(fdev);
	INIT_WORK(&fdev->free_work, fluidnpu_job_release_work);
	INIT_WORK(&fdev->put_work, fluidnpu_put_work);
	init_llist_head(&fdev->free_jobs);
	refcount_set(&fdev->users, 1);

	ret = drmm_mutex_init(&fdev->drm, &fdev->as_lock);
	if (ret)
		return ret;
	ret = drmm_mutex_init(&fdev->drm, &fdev->bo_lock);
	if (ret)
		return ret;

	ret = fluidnpu_coredump_init(fdev);
	if (ret)
		return ret;

	/* Whoever reclaims memory may wait for fences, and they for this. */
	fdev->tdr_wq = alloc_ordered_workqueue("fluidnpu-tdr", WQ_MEM_RECLAIM);
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
	drm_dev_unplug(&fdev->drm);
	fluidnpu_reset_fini(fdev);
	/* Until here the address spaces touched the hardware. */
	fluidnpu_device_let_go(fdev);

	fluidnpu_file_wake_all(fdev);
	fluidnpu_gem_unplug(fdev);
	fluidnpu_mmu_unplug(fdev);
}
