// SPDX-License-Identifier: GPL-2.0
/*
 * FluidNPU accel driver: DRM driver, ioctl table, PCI binding.
 */
#include <linux/io_uring/cmd.h>
#include <linux/module.h>
#include <linux/pci.h>

#include <drm/drm_accel.h>
#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_gem_shmem_helper.h>
#include <drm/drm_ioctl.h>
#include <drm/drm_print.h>

#include "fluidnpu_compat.h"
#include "fluidnpu_ctx.h"
#include "fluidnpu_debugfs.h"
#include "fluidnpu_device.h"
#include "fluidnpu_drv.h"
#include "fluidnpu_event.h"
#include "fluidnpu_gem.h"
#include "fluidnpu_job.h"
#include "fluidnpu_pm.h"
#include "fluidnpu_query.h"
#include "fluidnpu_submit.h"
#include "fluidnpu_sysfs.h"
#include "fluidnpu_uring.h"

struct workqueue_struct *fluidnpu_wq;

static const struct drm_ioctl_desc fluidnpu_ioctls[] = {
	DRM_IOCTL_DEF_DRV(FLUIDNPU_DEV_QUERY, fluidnpu_ioctl_dev_query, 0),
	DRM_IOCTL_DEF_DRV(FLUIDNPU_BO_CREATE, fluidnpu_ioctl_bo_create, 0),
	DRM_IOCTL_DEF_DRV(FLUIDNPU_BO_INFO, fluidnpu_ioctl_bo_info, 0),
	DRM_IOCTL_DEF_DRV(FLUIDNPU_BO_WAIT, fluidnpu_ioctl_bo_wait, 0),
	DRM_IOCTL_DEF_DRV(FLUIDNPU_CTX_CREATE, fluidnpu_ioctl_ctx_create, 0),
	DRM_IOCTL_DEF_DRV(FLUIDNPU_CTX_DESTROY, fluidnpu_ioctl_ctx_destroy, 0),
	DRM_IOCTL_DEF_DRV(FLUIDNPU_SUBMIT, fluidnpu_ioctl_submit, 0),
	DRM_IOCTL_DEF_DRV(FLUIDNPU_INJECT, fluidnpu_ioctl_inject, 0),
	DRM_IOCTL_DEF_DRV(FLUIDNPU_YIELD, fluidnpu_ioctl_yield, 0),
	DRM_IOCTL_DEF_DRV(FLUIDNPU_EVENTS, fluidnpu_ioctl_events, 0),
	DRM_IOCTL_DEF_DRV(FLUIDNPU_PERF, fluidnpu_ioctl_perf, 0),
};

/*
 * Two of the core's ioctls take it for granted that a client has a master. One of an accel node
 * has none.
 */
static bool fluidnpu_ioctl_needs_master(unsigned int cmd)
{
	return DRM_IOCTL_NR(cmd) == DRM_IOCTL_NR(DRM_IOCTL_GET_UNIQUE) ||
	       DRM_IOCTL_NR(cmd) == DRM_IOCTL_NR(DRM_IOCTL_GET_MAGIC);
}

static long fluidnpu_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	return fluidnpu_ioctl_needs_master(cmd) ? -EACCES : drm_ioctl(filp, cmd, arg);
}

#ifdef CONFIG_COMPAT
static long fluidnpu_compat_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	return fluidnpu_ioctl_needs_master(cmd) ? -EACCES : drm_compat_ioctl(filp, cmd, arg);
}
#else
#define fluidnpu_compat_ioctl NULL
#endif

/* DRM_ACCEL_FOPS with the event rings' poll and without the core's events. */
static const struct file_operations fluidnpu_fops = {
	.owner = THIS_MODULE,
	.open = accel_open,
	.release = drm_release,
	.unlocked_ioctl = fluidnpu_ioctl,
	.compat_ioctl = fluidnpu_compat_ioctl,
	.poll = fluidnpu_file_poll,
	.llseek = noop_llseek,
	.mmap = drm_gem_mmap,
	.uring_cmd = fluidnpu_uring_cmd,
	.show_fdinfo = drm_show_fdinfo,
	.fop_flags = FOP_UNSIGNED_OFFSET,
};

const struct drm_driver fluidnpu_drm_driver = {
	.driver_features = DRIVER_GEM | DRIVER_COMPUTE_ACCEL | DRIVER_SYNCOBJ |
			   DRIVER_SYNCOBJ_TIMELINE,
	.open = fluidnpu_file_open,
	.postclose = fluidnpu_file_postclose,
	.show_fdinfo = fluidnpu_file_show_fdinfo,
	.gem_create_object = fluidnpu_gem_create_object,
	.gem_prime_import = fluidnpu_gem_import,
	.gem_prime_import_sg_table = drm_gem_shmem_prime_import_sg_table,
	.ioctls = fluidnpu_ioctls,
	.num_ioctls = ARRAY_SIZE(fluidnpu_ioctls),
	.fops = &fluidnpu_fops,
	.name = FLUIDNPU_DRIVER_NAME,
	.desc = "FluidNPU accelerator",
#if FLUIDNPU_HAVE_DRIVER_DATE
	.date = "0",
#endif
	.major = FLUIDNPU_ABI_MAJOR,
	.minor = FLUIDNPU_ABI_MINOR,
};

static int fluidnpu_pci_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct fluidnpu_device *fdev;
	int ret;

	fdev = fluidnpu_device_create(&pdev->dev);
	if (IS_ERR(fdev))
		return PTR_ERR(fdev);
	pci_set_drvdata(pdev, fdev);

	/*
	 * The udev rule reads npu_index when the node appears; pci_driver.dev_groups
	 * would come only after probe.
	 */
	ret = fluidnpu_sysfs_init(fdev);
	if (ret)
		goto err_reset;

	/* For fluidnpu_device.users; dropped when remove() and the last user have gone. */
	drm_dev_get(&fdev->drm);

	fluidnpu_debugfs_init(fdev);
	ret = drm_dev_register(&fdev->drm, 0);
	if (ret)
		goto err_put;

	drm_info(&fdev->drm, "version %u.%u, %u queues, %u address spaces, batches up to %u\n",
		 fdev->hw_version >> 16, fdev->hw_version & 0xffff, fdev->num_queues,
		 fdev->geometry.num_as, fdev->geometry.max_batch);
	fluidnpu_pm_enable(fdev);
	return 0;

err_put:
	drm_dev_put(&fdev->drm);
err_reset:
	/* It must not know the rings any more when they are freed. */
	fluidnpu_device_halt(fdev);
	return ret;
}

static void fluidnpu_pci_remove(struct pci_dev *pdev)
{
	struct fluidnpu_device *fdev = pci_get_drvdata(pdev);

	fluidnpu_pm_disable(fdev);
	fluidnpu_device_remove(fdev);
	if (refcount_dec_and_test(&fdev->users))
		drm_dev_put(&fdev->drm);
}

static void fluidnpu_pci_reset_prepare(struct pci_dev *pdev)
{
	fluidnpu_device_reset_prepare(pci_get_drvdata(pdev));
}

static void fluidnpu_pci_reset_done(struct pci_dev *pdev)
{
	fluidnpu_device_reset_done(pci_get_drvdata(pdev));
}

static const struct pci_error_handlers fluidnpu_pci_err_handler = {
	.reset_prepare = fluidnpu_pci_reset_prepare,
	.reset_done = fluidnpu_pci_reset_done,
};

static const struct pci_device_id fluidnpu_pci_ids[] = {
	{ PCI_DEVICE(FLUIDNPU_PCI_VENDOR_ID, FLUIDNPU_PCI_DEVICE_ID) },
	{ }
};
MODULE_DEVICE_TABLE(pci, fluidnpu_pci_ids);

static struct pci_driver fluidnpu_pci_driver = {
	.name = FLUIDNPU_DRIVER_NAME,
	.id_table = fluidnpu_pci_ids,
	.probe = fluidnpu_pci_probe,
	.remove = fluidnpu_pci_remove,
	.err_handler = &fluidnpu_pci_err_handler,
	.driver.pm = pm_ptr(&fluidnpu_pm_ops),
};

static int __init fluidnpu_init(void)
{
	int ret;

	fluidnpu_wq = alloc_workqueue("fluidnpu", WQ_UNBOUND, 0);
	if (!fluidnpu_wq)
		return -ENOMEM;

	ret = pci_register_driver(&fluidnpu_pci_driver);
	if (ret)
		destroy_workqueue(fluidnpu_wq);
	return ret;
}
module_init(fluidnpu_init);

static void __exit fluidnpu_exit(void)
{
	pci_unregister_driver(&fluidnpu_pci_driver);
	/* Waits for the last works of devices that have gone. */
	destroy_workqueue(fluidnpu_wq);
}
module_exit(fluidnpu_exit);

MODULE_DESCRIPTION("FluidNPU accelerator");
MODULE_AUTHOR("FluidNPU project");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("DMA_BUF");
