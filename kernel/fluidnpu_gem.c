// SPDX-License-Identifier: GPL-2.0
/*
 * FluidNPU accel driver: buffer objects.
 *
 * Buffers are shmem pages, or those of an imported dma-buf, mapped cached: the
 * device is coherent. A buffer is mapped into a file's address space as long
 * as the file has a handle of it or a job that names it is in flight, whichever
 * is longer; closing a handle under a running job is harmless.
 *
 * What a client got as a dma-buf that it may not write to, be it of another
 * driver or of another client of this one, is read-only for its jobs, and if it is of
 * this driver also for its CPU.
 */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include <drm/drm_drv.h>
#include <drm/drm_print.h>
#include <drm/drm_utils.h>

#include "fluidnpu_compat.h"
#include "fluidnpu_ctx.h"
#include "fluidnpu_device.h"
#include "fluidnpu_gem.h"
#include "fluidnpu_limit.h"
#include "fluidnpu_mmu.h"
#include "fluidnpu_validate.h"

/* Called with the lock of the buffer object held, drops it. */
static void fluidnpu_mapping_release(struct kref *ref)
{
	struct fluidnpu_mapping *mapping = container_of(ref, struct fluidnpu_mapping, ref);
	struct fluidnpu_bo *bo = mapping->bo;

	list_del(&mapping->link);
	mutex_unlock(&bo->lock);

	fluidnpu_vm_unmap(mapping->vm, &mapping->node);
	fluidnpu_limit_uncharge(mapping->vm->ffile, FLUIDNPU_MAPPING_BYTES);
	fluidnpu_vm_put(mapping->vm);
	kfree(mapping);
	drm_gem_object_put(&bo->base.base);
}

/**
 * fluidnpu_mapping_put - drop a reference; the last one unmaps
 * @mapping: may be freed, and its buffer object with it
 */
void fluidnpu_mapping_put(struct fluidnpu_mapping *mapping)
{
	kref_put_mutex(&mapping->ref, fluidnpu_mapping_release, &mapping->bo->lock);
}

static struct fluidnpu_mapping *fluidnpu_mapping_find(struct fluidnpu_bo *bo,
						      struct fluidnpu_vm *vm)
{
	struct fluidnpu_mapping *mapping;

	lockdep_assert_held(&bo->lock);

	list_for_each_entry(mapping, &bo->mappings, link) {
		if (mapping->vm == vm) {
			kref_get(&mapping->ref);
			return mapping;
		}
	}
	return NULL;
}

/*
 * Whether a client gets the object by a dma-buf that it may not write to. While a handle is
 * being made: the object's dma_buf stays as it is as long as there is one.
 */
static bool fluidnpu_bo_is_lent_readonly(struct drm_gem_object *obj, struct fluidnpu_file *ffile)
{
	struct dma_buf *dma_buf = READ_ONCE(obj->dma_buf);

	return to_fluidnpu_bo(obj)->owner != ffile && dma_buf &&
	       !(dma_buf->file->f_mode & FMODE_WRITE);
}

/* From here until it is freed fluidnpu_gem_unplug() finds it. */
static void fluidnpu_bo_remember(struct fluidnpu_device *fdev, struct fluidnpu_bo *bo)
{
	mutex_lock(&fdev->bo_lock);
	if (list_empty(&bo->node))
		list_add(&bo->node, &fdev->bos);
	mutex_unlock(&fdev->bo_lock);
}

static struct fluidnpu_mapping *fluidnpu_mapping_create(struct fluidnpu_bo *bo,
							struct fluidnpu_vm *vm)
{
	struct fluidnpu_device *fdev = vm->fdev;
	struct fluidnpu_mapping *mapping;
	struct sg_table *sgt;
	int idx, ret;

	lockdep_assert_held(&bo->lock);

	ret = fluidnpu_limit_charge(vm->ffile, FLUIDNPU_MAPPING_BYTES);
	if (ret)
		return ERR_PTR(ret);

	mapping = kzalloc(sizeof(*mapping), GFP_KERNEL_ACCOUNT);
	if (!mapping) {
		ret = -ENOMEM;
		goto err_uncharge;
	}
	mapping->lent = fluidnpu_bo_is_lent_readonly(&bo->base.base, vm->ffile);
	mapping->readonly = bo->readonly || mapping->lent;

	/* Unplug must find every buffer that is mapped for the device. */
	if (!drm_dev_enter(&fdev->drm, &idx)) {
		ret = -ENODEV;
		goto err_free;
	}

	sgt = drm_gem_shmem_get_pages_sgt(&bo->base);
	if (IS_ERR(sgt)) {
		ret = PTR_ERR(sgt);
		goto err_dev_exit;
	}

	fluidnpu_bo_remember(fdev, bo);

	ret = fluidnpu_vm_map(vm, &mapping->node, sgt, bo->base.base.size,
			      mapping->readonly);
	if (ret)
		goto err_dev_exit;
	drm_dev_exit(idx);

	kref_init(&mapping->ref);
	drm_gem_object_get(&bo->base.base);
	mapping->bo = bo;
	mapping->vm = fluidnpu_vm_get(vm);
	list_add(&mapping->link, &bo->mappings);
	return mapping;

err_dev_exit:
	drm_dev_exit(idx);
err_free:
	kfree(mapping);
err_uncharge:
	fluidnpu_limit_uncharge(vm->ffile, FLUIDNPU_MAPPING_BYTES);
	return ERR_PTR(ret);
}

/**
 * fluidnpu_mapping_lookup - the mapping of a handle
 * @file: whose handle it is
 * @handle: GEM handle
 *
 * Return: the mapping, to be released with fluidnpu_mapping_put(), or NULL.
 */
struct fluidnpu_mapping *fluidnpu_mapping_lookup(struct drm_file *file, u32 handle)
{
	struct fluidnpu_file *ffile = file->driver_priv;
	struct fluidnpu_mapping *mapping;
	struct drm_gem_object *obj;
	struct fluidnpu_bo *bo;

	obj = drm_gem_object_lookup(file, handle);
	if (!obj)
		return NULL;

	bo = to_fluidnpu_bo(obj);
	mutex_lock(&bo->lock);
	/* NULL only if another thread closes the handle right now. */
	mapping = fluidnpu_mapping_find(bo, READ_ONCE(ffile->vm));
	mutex_unlock(&bo->lock);

	drm_gem_object_put(obj);
	return mapping;
}

/* A handle is made: each handle holds a reference of the mapping. */
static int fluidnpu_gem_open(struct drm_gem_object *obj, struct drm_file *file)
{
	struct fluidnpu_bo *bo = to_fluidnpu_bo(obj);
	struct fluidnpu_mapping *mapping;
	struct fluidnpu_vm *vm;

	vm = fluidnpu_file_vm(file->driver_priv);
	if (IS_ERR(vm))
		return PTR_ERR(vm);

	mutex_lock(&bo->lock);
	mapping = fluidnpu_mapping_find(bo, vm);
	if (!mapping)
		mapping = fluidnpu_mapping_create(bo, vm);
	mutex_unlock(&bo->lock);

	return PTR_ERR_OR_ZERO(mapping);
}

static void fluidnpu_gem_close(struct drm_gem_object *obj, struct drm_file *file)
{
	struct fluidnpu_file *ffile = file->driver_priv;
	struct fluidnpu_bo *bo = to_fluidnpu_bo(obj);
	struct fluidnpu_mapping *mapping;

	mutex_lock(&bo->lock);
	mapping = fluidnpu_mapping_find(bo, READ_ONCE(ffile->vm));
	mutex_unlock(&bo->lock);

	if (drm_WARN_ON(obj->dev, !mapping))
		return;
	fluidnpu_mapping_put(mapping);	/* of the lookup */
	fluidnpu_mapping_put(mapping);	/* of the handle */
}

/*
 * Undo what drm_gem_shmem_get_pages_sgt() did for the device; the pages stay. With
 * the reservation lock, or without a reference left.
 */
static void fluidnpu_bo_unmap_dma(struct fluidnpu_bo *bo)
{
	struct drm_gem_shmem_object *shmem = &bo->base;

	if (!shmem->sgt)
		return;
	dma_unmap_sgtable(shmem->base.dev->dev, shmem->sgt, DMA_BIDIRECTIONAL, 0);
	sg_free_table(shmem->sgt);
	kfree(shmem->sgt);
	shmem->sgt = NULL;
}

static void fluidnpu_gem_free(struct drm_gem_object *obj)
{
	struct fluidnpu_device *fdev = to_fluidnpu_device(obj->dev);
	struct fluidnpu_bo *bo = to_fluidnpu_bo(obj);
	struct fluidnpu_file *owner = bo->owner;
	struct dma_buf *dma_buf = NULL;
	u64 size = obj->size;

	mutex_lock(&fdev->bo_lock);
	/* Here, so that it cannot come after fluidnpu_gem_unplug(). */
	if (!list_empty(&bo->node) && !obj->import_attach)
		fluidnpu_bo_unmap_dma(bo);
	list_del_init(&bo->node);
	mutex_unlock(&fdev->bo_lock);

	drm_WARN_ON(obj->dev, !list_empty(&bo->mappings));
	mutex_destroy(&bo->lock);
	if (bo->detached) {
		/* Nothing is left for the core to detach; the reservation lock is still used. */
		dma_buf = bo->detached->dmabuf;
		obj->import_attach = NULL;
		kfree(bo->detached);
	}
	drm_gem_shmem_free(&bo->base);
	if (dma_buf)
		dma_buf_put(dma_buf);

	if (owner) {
		atomic64_sub(size, &owner->memory_bytes);
		atomic64_sub(size, &fdev->memory_bytes);
		fluidnpu_limit_uncharge(owner, size);
		fluidnpu_file_put(owner);
	}
}

/* Not if another thread has closed the handle meanwhile, and nobody knows any more. */
static bool fluidnpu_client_may_write(struct fluidnpu_bo *bo, struct fluidnpu_file *ffile)
{
	struct fluidnpu_mapping *mapping;
	bool may = false;

	mutex_lock(&bo->lock);
	list_for_each_entry(mapping, &bo->mappings, link) {
		if (mapping->vm == READ_ONCE(ffile->vm))
			may = !mapping->lent;
	}
	mutex_unlock(&bo->lock);
	return may;
}

/*
 * mmap() itself only asks the file that it is called with: that may be the device
 * file, or one of another driver that has imported the buffer and passes this on.
 */
static bool fluidnpu_vma_may_write(struct drm_gem_object *obj, struct vm_area_struct *vma)
{
	struct file *filp = vma->vm_file;	/* the device's or the dma-buf's */
	struct drm_file *file = filp->private_data;

	if (filp->f_op == obj->dev->driver->fops)
		return fluidnpu_client_may_write(to_fluidnpu_bo(obj), file->driver_priv);
	return filp->f_mode & FMODE_WRITE;
}

static int fluidnpu_gem_mmap(struct drm_gem_object *obj, struct vm_area_struct *vma)
{
	if (!fluidnpu_vma_may_write(obj, vma)) {
		if (vma->vm_flags & VM_WRITE) {
			drm_dbg(obj->dev, "mmap: the buffer may only be read\n");
			return -EACCES;
		}
		vm_flags_clear(vma, VM_MAYWRITE);
	}
	return drm_gem_shmem_object_mmap(obj, vma);
}

static enum drm_gem_object_status fluidnpu_gem_status(struct drm_gem_object *obj)
{
	struct fluidnpu_bo *bo = to_fluidnpu_bo(obj);

	return bo->base.sgt ? DRM_GEM_OBJECT_RESIDENT : 0;
}

static const struct drm_gem_object_funcs fluidnpu_gem_funcs = {
	.free = fluidnpu_gem_free,
	.open = fluidnpu_gem_open,
	.close = fluidnpu_gem_close,
	.print_info = drm_gem_shmem_object_print_info,
	.pin = drm_gem_shmem_object_pin,
	.unpin = drm_gem_shmem_object_unpin,
	.get_sg_table = drm_gem_shmem_object_get_sg_table,
	.vmap = drm_gem_shmem_object_vmap,
	.vunmap = drm_gem_shmem_object_vunmap,
	.mmap = fluidnpu_gem_mmap,
	.status = fluidnpu_gem_status,
	.vm_ops = &drm_gem_shmem_vm_ops,
};

/**
 * fluidnpu_gem_create_object - &drm_driver.gem_create_object
 * @drm: device
 * @size: unused
 *
 * Return: a buffer object for the shmem helpers to initialise, or an ERR_PTR.
 */
struct drm_gem_object *fluidnpu_gem_create_object(struct drm_device *drm, size_t size)
{
	struct fluidnpu_bo *bo;

	bo = kzalloc(sizeof(*bo), GFP_KERNEL_ACCOUNT);
	if (!bo)
		return ERR_PTR(-ENOMEM);

	/* When the helpers fail later they kfree() it: nothing may point to it yet. */
	bo->base.base.funcs = &fluidnpu_gem_funcs;
	/* The device writes behind the back of the MMU's dirty bits. */
	bo->base.pages_mark_dirty_on_put = true;
	mutex_init(&bo->lock);
	INIT_LIST_HEAD(&bo->mappings);
	INIT_LIST_HEAD(&bo->node);

	return &bo->base.base;
}

/**
 * fluidnpu_gem_import - &drm_driver.gem_prime_import
 * @drm: device
 * @dma_buf: of another driver or of this one
 *
 * Return: its buffer object or an ERR_PTR.
 */
struct drm_gem_object *fluidnpu_gem_import(struct drm_device *drm, struct dma_buf *dma_buf)
{
	struct drm_gem_object *obj;
	int idx;

	/* The exporter maps it for the device. */
	if (!drm_dev_enter(drm, &idx))
		return ERR_PTR(-ENODEV);
	obj = drm_gem_prime_import(drm, dma_buf);
	if (!IS_ERR(obj) && obj->import_attach)
		fluidnpu_bo_remember(to_fluidnpu_device(drm), to_fluidnpu_bo(obj));
	drm_dev_exit(idx);
	return obj;
}

/* Takes a buffer off the list; the lock is not held while reservations are. */
static struct fluidnpu_bo *fluidnpu_gem_take_one(struct fluidnpu_device *fdev)
{
	struct fluidnpu_bo *bo, *next, *found = NULL;

	mutex_lock(&fdev->bo_lock);
	list_for_each_entry_safe(bo, next, &fdev->bos, node) {
		list_del_init(&bo->node);
		if (kref_get_unless_zero(&bo->base.base.refcount)) {
			found = bo;
			break;
		}
		/* It is being freed and waits for bo_lock: nobody else looks at it. */
		if (!bo->base.base.import_attach)
			fluidnpu_bo_unmap_dma(bo);
	}
	mutex_unlock(&fdev->bo_lock);
	return found;
}

/*
 * Unmap an import, and detach it from an exporter that would keep the mapping until then
 * (udmabuf does). The core takes attachments for something that lasts as long as the object
 * and looks through them for the dma-buf: it finds another one there, without a mapping.
 */
static void fluidnpu_bo_detach(struct fluidnpu_bo *bo)
{
	struct drm_gem_object *obj = &bo->base.base;
	struct dma_buf_attachment *attach = obj->import_attach;
	struct dma_buf_attachment *detached;

	dma_buf_unmap_attachment_unlocked(attach, bo->base.sgt, DMA_BIDIRECTIONAL);
	bo->base.sgt = NULL;

	detached = kzalloc(sizeof(*detached), GFP_KERNEL);
	if (!detached)
		return;
	detached->dmabuf = attach->dmabuf;
	detached->dev = attach->dev;

	/* The lock of those who look. */
	mutex_lock(&obj->dev->object_name_lock);
	obj->import_attach = detached;
	mutex_unlock(&obj->dev->object_name_lock);
	bo->detached = detached;
	dma_buf_detach(attach->dmabuf, attach);
}

/**
 * fluidnpu_gem_unplug - unmap all pages while the DMA API still works
 * @fdev: is unplugged and stopped
 *
 * The pages themselves live on: user space may have them mapped.
 */
void fluidnpu_gem_unplug(struct fluidnpu_device *fdev)
{
	struct fluidnpu_bo *bo;

	while ((bo = fluidnpu_gem_take_one(fdev))) {
		struct drm_gem_shmem_object *shmem = &bo->base;

		if (shmem->base.import_attach) {
			fluidnpu_bo_detach(bo);
		} else {
			dma_resv_lock(shmem->base.resv, NULL);
			if (shmem->sgt) {
				fluidnpu_bo_unmap_dma(bo);
				drm_gem_shmem_put_pages_locked(shmem);
			}
			dma_resv_unlock(shmem->base.resv);
		}
		drm_gem_object_put(&shmem->base);
	}
}

static void fluidnpu_bo_describe(struct drm_gem_object *obj, struct fluidnpu_mapping *mapping,
				 struct drm_fluidnpu_bo_info *info)
{
	info->flags = mapping->readonly ? DRM_FLUIDNPU_BO_READONLY : 0;
	info->size = obj->size;
	info->iova = mapping->node.start;
	info->mmap_offset = obj->import_attach ? 0 : drm_vma_node_offset_addr(&obj->vma_node);
}

static struct drm_gem_object *fluidnpu_bo_create(struct fluidnpu_file *ffile, u64 size, u32 flags)
{
	struct fluidnpu_device *fdev = ffile->fdev;
	struct drm_gem_shmem_object *shmem;
	struct fluidnpu_bo *bo;
	int ret;

	size = PAGE_ALIGN(size);
	ret = fluidnpu_limit_charge(ffile, size);
	if (ret)
		return ERR_PTR(ret);

	/* It asks for pages such that the OOM killer is left alone. */
	shmem = drm_gem_shmem_create(&fdev->drm, size);
	if (IS_ERR(shmem)) {
		fluidnpu_limit_uncharge(ffile, size);
		return ERR_CAST(shmem);
	}

	bo = to_fluidnpu_bo(&shmem->base);
	bo->owner = fluidnpu_file_get(ffile);
	bo->readonly = flags & DRM_FLUIDNPU_BO_READONLY;
	atomic64_add(size, &ffile->memory_bytes);
	atomic64_add(size, &fdev->memory_bytes);
	return &shmem->base;
}

/**
 * fluidnpu_ioctl_bo_create - BO_CREATE
 * @drm: device
 * @data: struct drm_fluidnpu_bo_create
 * @file: client
 *
 * Return: 0 or a negative errno.
 */
int fluidnpu_ioctl_bo_create(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_fluidnpu_bo_create *args = data;
	struct drm_fluidnpu_bo_info info;
	struct fluidnpu_mapping *mapping;
	struct drm_gem_object *obj;
	u32 handle;
	int ret;

	ret = fluidnpu_check_bo_create(drm, args);
	if (ret)
		return ret;

	obj = fluidnpu_bo_create(file->driver_priv, args->size, args->flags);
	if (IS_ERR(obj))
		return PTR_ERR(obj);

	/* From here on another thread may use and even close the handle. */
	ret = drm_gem_handle_create(file, obj, &handle);
	if (ret)
		goto out_put;

	mapping = fluidnpu_mapping_lookup(file, handle);
	if (!mapping) {
		drm_dbg(drm, "bo_create: handle %u was closed meanwhile\n", handle);
		ret = -ENOENT;
		goto out_put;
	}
	fluidnpu_bo_describe(obj, mapping, &info);
	fluidnpu_mapping_put(mapping);

	args->size = info.size;
	args->handle = handle;
	args->iova = info.iova;
	args->mmap_offset = info.mmap_offset;

out_put:
	drm_gem_object_put(obj);
	return ret;
}

/**
 * fluidnpu_ioctl_bo_info - BO_INFO
 * @drm: device
 * @data: struct drm_fluidnpu_bo_info
 * @file: client
 *
 * Return: 0 or a negative errno.
 */
int fluidnpu_ioctl_bo_info(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_fluidnpu_bo_info *args = data;
	struct fluidnpu_mapping *mapping;

	if (args->flags) {
		drm_dbg(drm, "bo_info: flags %#x is not 0\n", args->flags);
		return -EINVAL;
	}

	mapping = fluidnpu_mapping_lookup(file, args->handle);
	if (!mapping) {
		drm_dbg(drm, "bo_info: no handle %u\n", args->handle);
		return -ENOENT;
	}
	fluidnpu_bo_describe(&mapping->bo->base.base, mapping, args);
	fluidnpu_mapping_put(mapping);
	return 0;
}

/**
 * fluidnpu_ioctl_bo_wait - BO_WAIT
 * @drm: device
 * @data: struct drm_fluidnpu_bo_wait
 * @file: client
 *
 * Return: 0 or a negative errno.
 */
int fluidnpu_ioctl_bo_wait(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_fluidnpu_bo_wait *args = data;
	unsigned long timeout = drm_timeout_abs_to_jiffies(args->timeout_ns);
	struct drm_gem_object *obj;
	long ret;

	if (args->pad) {
		drm_dbg(drm, "bo_wait: pad %#x is not 0\n", args->pad);
		return -EINVAL;
	}

	obj = drm_gem_object_lookup(file, args->handle);
	if (!obj) {
		drm_dbg(drm, "bo_wait: no handle %u\n", args->handle);
		return -ENOENT;
	}
	ret = dma_resv_wait_timeout(obj->resv, DMA_RESV_USAGE_BOOKKEEP, true, timeout);
	drm_gem_object_put(obj);

	if (ret < 0)
		return ret;
	return ret ? 0 : -ETIMEDOUT;
}
