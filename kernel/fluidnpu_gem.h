/* SPDX-License-Identifier: GPL-2.0 */
/*
 * FluidNPU accel driver: buffer objects.
 */
#ifndef _FLUIDNPU_GEM_H
#define _FLUIDNPU_GEM_H

#include <linux/kref.h>
#include <linux/mutex.h>

#include <drm/drm_gem_shmem_helper.h>
#include <drm/drm_mm.h>

struct fluidnpu_device;
struct dma_buf;
struct dma_buf_attachment;
struct fluidnpu_file;
struct fluidnpu_vm;

/* What the kernel keeps of a buffer and of one mapping, charged with each mapping. */
#define FLUIDNPU_MAPPING_BYTES	PAGE_SIZE

/**
 * struct fluidnpu_bo - buffer object
 * @base: pages and everything else
 * @owner: who created it and is charged for it; NULL if imported
 * @readonly: the device may not write to it, whoever maps it
 * @detached: of an import, after unplug: in place of the attachment, which is gone
 * @node: in fluidnpu_device.bos
 * @lock: protects @mappings
 * @mappings: one per address space that it is mapped in
 */
struct fluidnpu_bo {
	struct drm_gem_shmem_object base;
	struct fluidnpu_file *owner;
	bool readonly;
	struct dma_buf_attachment *detached;
	struct list_head node;
	struct mutex lock; /* see above */
	struct list_head mappings;
};

/**
 * struct fluidnpu_mapping - a buffer object in an address space
 * @ref: of handles and jobs; it is mapped as long as either exists
 * @bo: holds a reference
 * @vm: holds a reference
 * @readonly: the device may not write there
 * @lent: nor may the client: it has the buffer by a dma-buf that is not for writing
 * @link: in fluidnpu_bo.mappings
 * @node: iova
 */
struct fluidnpu_mapping {
	struct kref ref;
	struct fluidnpu_bo *bo;
	struct fluidnpu_vm *vm;
	bool readonly;
	bool lent;
	struct list_head link;
	struct drm_mm_node node;
};

static inline struct fluidnpu_bo *to_fluidnpu_bo(struct drm_gem_object *obj)
{
	return container_of(to_drm_gem_shmem_obj(obj), struct fluidnpu_bo, base);
}

struct drm_gem_object *fluidnpu_gem_create_object(struct drm_device *drm, size_t size);
struct drm_gem_object *fluidnpu_gem_import(struct drm_device *drm, struct dma_buf *dma_buf);
void fluidnpu_gem_unplug(struct fluidnpu_device *fdev);

struct fluidnpu_mapping *fluidnpu_mapping_lookup(struct drm_file *file, u32 handle);
void fluidnpu_mapping_put(struct fluidnpu_mapping *mapping);

int fluidnpu_ioctl_bo_create(struct drm_device *drm, void *data, struct drm_file *file);
int fluidnpu_ioctl_bo_info(struct drm_device *drm, void *data, struct drm_file *file);
int fluidnpu_ioctl_bo_wait(struct drm_device *drm, void *data, struct drm_file *file);

#endif
