/* SPDX-License-Identifier: GPL-2.0 */
/*
 * FluidNPU accel driver: address spaces.
 */
#ifndef _FLUIDNPU_MMU_H
#define _FLUIDNPU_MMU_H

#include <linux/kref.h>
#include <linux/mutex.h>

#include <drm/drm_mm.h>

struct fluidnpu_device;
struct fluidnpu_file;
struct fluidnpu_pt;
struct sg_table;

/**
 * struct fluidnpu_vm - address space of a file
 * @ref: of the file, its contexts and its mappings
 * @fdev: the device; not pinned, the holders of @ref do that
 * @ffile: the client; holds a reference, charged for the tables
 * @as_id: its number in the device
 * @lock: protects @mm, @root and the tables below it
 * @mm: iovas
 * @root: top table; NULL after unplug
 */
struct fluidnpu_vm {
	struct kref ref;
	struct fluidnpu_device *fdev;
	struct fluidnpu_file *ffile;
	u32 as_id;
	struct mutex lock; /* see above */
	struct drm_mm mm;
	struct fluidnpu_pt *root;
};

struct fluidnpu_vm *fluidnpu_vm_create(struct fluidnpu_file *ffile);
void fluidnpu_vm_put(struct fluidnpu_vm *vm);

static inline struct fluidnpu_vm *fluidnpu_vm_get(struct fluidnpu_vm *vm)
{
	kref_get(&vm->ref);
	return vm;
}

int fluidnpu_vm_map(struct fluidnpu_vm *vm, struct drm_mm_node *node,
		    struct sg_table *sgt, u64 size, bool readonly);
void fluidnpu_vm_unmap(struct fluidnpu_vm *vm, struct drm_mm_node *node);

u64 fluidnpu_vm_entry(struct fluidnpu_vm *vm, u64 iova);
u32 fluidnpu_vm_num_tables(struct fluidnpu_vm *vm);
const char *fluidnpu_vm_explain(struct fluidnpu_vm *vm, u64 iova, bool write);

dma_addr_t fluidnpu_vm_root(struct fluidnpu_vm *vm);
void fluidnpu_mmu_start(struct fluidnpu_device *fdev);
void fluidnpu_mmu_unplug(struct fluidnpu_device *fdev);

#endif
