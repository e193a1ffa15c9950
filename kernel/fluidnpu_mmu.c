// SPDX-License-Identifier: GPL-2.0
/*
 * FluidNPU accel driver: address spaces.
 *
 * Each file that has a buffer owns an address space of the device: a
 * three-level page table in coherent memory and a drm_mm that hands out the
 * addresses. A buffer is followed by an unmapped guard page, so that running
 * over its end faults instead of reaching the next one. The right to write is the
 * mapping's: a buffer can be read-only here and writable in another address space.
 *
 * The device keeps translations until it is told to forget them. Absent entries
 * are not cached, so making them present needs nothing. Clearing them, be it in
 * fluidnpu_vm_unmap() or because fluidnpu_vm_map() could not finish, flushes before
 * the lock is dropped, and only then may pages be freed: a job can touch any
 * address of its space at any time, whether its owner was told of it or not.
 * Tables are freed with their address space.
 */
#include <linux/dma-mapping.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include <drm/drm_drv.h>
#include <drm/drm_print.h>

#include "fluidnpu_ctx.h"
#include "fluidnpu_device.h"
#include "fluidnpu_limit.h"
#include "fluidnpu_mmu.h"
#include "fluidnpu_trace.h"

/**
 * struct fluidnpu_pt - one page table
 * @entries: what the device reads
 * @dma: bus address of @entries
 * @children: the tables that the entries point to; NULL in a leaf table
 */
struct fluidnpu_pt {
	__le64 *entries;
	dma_addr_t dma;
	struct fluidnpu_pt **children;
};

/* Who asks for more than there is shall not have others killed for it. */
#define FLUIDNPU_GFP_PT	(GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

/* What a table is charged with. */
static u64 fluidnpu_pt_bytes(bool leaf)
{
	u64 children = leaf ? 0 : FLUIDNPU_PT_ENTRIES * sizeof(struct fluidnpu_pt *);

	return FLUIDNPU_PAGE_BYTES + children;
}

static struct fluidnpu_pt *fluidnpu_pt_alloc(struct fluidnpu_vm *vm, bool leaf)
{
	struct fluidnpu_pt *pt;

	if (fluidnpu_limit_charge(vm->ffile, fluidnpu_pt_bytes(leaf)))
		return NULL;

	pt = kzalloc(sizeof(*pt), FLUIDNPU_GFP_PT);
	if (!pt)
		goto err_uncharge;

	if (!leaf) {
		pt->children = kcalloc(FLUIDNPU_PT_ENTRIES, sizeof(*pt->children), FLUIDNPU_GFP_PT);
		if (!pt->children)
			goto err_free_pt;
	}

	pt->entries = dma_alloc_coherent(vm->fdev->drm.dev, FLUIDNPU_PAGE_BYTES, &pt->dma,
					 FLUIDNPU_GFP_PT);
	if (!pt->entries)
		goto err_free_children;

	return pt;

err_free_children:
	kfree(pt->children);
err_free_pt:
	kfree(pt);
err_uncharge:
	fluidnpu_limit_uncharge(vm->ffile, fluidnpu_pt_bytes(leaf));
	return NULL;
}

static void fluidnpu_pt_free(struct fluidnpu_vm *vm, struct fluidnpu_pt *pt)
{
	u32 i;

	if (!pt)
		return;
	/* Three levels: the depth of this recursion is bounded by the hardware. */
	for (i = 0; pt->children && i < FLUIDNPU_PT_ENTRIES; i++)
		fluidnpu_pt_free(vm, pt->children[i]);
	fluidnpu_limit_uncharge(vm->ffile, fluidnpu_pt_bytes(!pt->children));
	dma_free_coherent(vm->fdev->drm.dev, FLUIDNPU_PAGE_BYTES, pt->entries, pt->dma);
	kfree(pt->children);
	kfree(pt);
}

static u32 fluidnpu_pt_index(u64 iova, u32 level)
{
	u32 shift = FLUIDNPU_PAGE_SHIFT + FLUIDNPU_PT_BITS * (FLUIDNPU_PT_LEVELS - 1 - level);

	return (iova >> shift) & (FLUIDNPU_PT_ENTRIES - 1);
}

/* The leaf table of @iova; with @alloc, missing tables are made. */
static struct fluidnpu_pt *fluidnpu_vm_leaf(struct fluidnpu_vm *vm, u64 iova, bool alloc)
{
	struct fluidnpu_pt *pt = vm->root;
	u32 level;

	lockdep_assert_held(&vm->lock);

	for (level = 0; level < FLUIDNPU_PT_LEVELS - 1; level++) {
		u32 i = fluidnpu_pt_index(iova, level);

		if (!pt->children[i]) {
			struct fluidnpu_pt *child;

			if (!alloc)
				return NULL;
			child = fluidnpu_pt_alloc(vm, level == FLUIDNPU_PT_LEVELS - 2);
			if (!child)
				return NULL;
			/* Its contents come first for fluidnpu_vm_entry(), too. */
			smp_store_release(&pt->children[i], child);
			/* The device may walk there as soon as it sees the entry. */
			dma_wmb();
			WRITE_ONCE(pt->entries[i], cpu_to_le64(child->dma | FLUIDNPU_PTE_VALID));
		}
		pt = pt->children[i];
	}

	return pt;
}

static void fluidnpu_as_command(struct fluidnpu_vm *vm, u32 command)
{
	struct fluidnpu_device *fdev = vm->fdev;
	dma_addr_t root = vm->root ? vm->root->dma : 0;

	lockdep_assert_held(&fdev->as_lock);

	/* Then it knows nothing, and is told everything when it starts again. */
	if (fdev->off)
		return;

	trace_fluidnpu_as_command(vm, command);
	fluidnpu_write(fdev, FLUIDNPU_REG_AS_SELECT, vm->as_id);
	fluidnpu_write(fdev, FLUIDNPU_REG_AS_ROOT_LO, lower_32_bits(root));
	fluidnpu_write(fdev, FLUIDNPU_REG_AS_ROOT_HI, upper_32_bits(root));
	fluidnpu_write(fdev, FLUIDNPU_REG_AS_CMD, command);
	/* Done when the write is; but the bus may post it, so wait until it is there. */
	fluidnpu_read(fdev, FLUIDNPU_REG_STATUS);
}

static int fluidnpu_as_alloc(struct fluidnpu_device *fdev)
{
	u32 last = min_t(u32, fdev->geometry.num_as, FLUIDNPU_MAX_AS) - 1;
	int as_id;

	as_id = ida_alloc_max(&fdev->as_ida, last, GFP_KERNEL);
	if (as_id == -ENOSPC) {
		/* What closed files held is freed by a work. */
		flush_workqueue(fluidnpu_wq);
		as_id = ida_alloc_max(&fdev->as_ida, last, GFP_KERNEL);
	}
	if (as_id == -ENOSPC) {
		drm_dbg(&fdev->drm, "all %u address spaces of the device are in use\n", last + 1);
		as_id = -EBUSY;
	}
	return as_id;
}

/**
 * fluidnpu_vm_create - make an empty address space and show it to the device
 * @ffile: the client that it is for
 *
 * Return: the address space, to be released with fluidnpu_vm_put(); or an
 * ERR_PTR: -EBUSY when the device has no more, -ENODEV, -ENOMEM.
 */
struct fluidnpu_vm *fluidnpu_vm_create(struct fluidnpu_file *ffile)
{
	struct fluidnpu_device *fdev = ffile->fdev;
	struct fluidnpu_vm *vm;
	int as_id, idx, ret;

	vm = kzalloc(sizeof(*vm), GFP_KERNEL);
	if (!vm)
		return ERR_PTR(-ENOMEM);

	as_id = fluidnpu_as_alloc(fdev);
	if (as_id < 0) {
		ret = as_id;
		goto err_free_vm;
	}

	if (!drm_dev_enter(&fdev->drm, &idx)) {
		ret = -ENODEV;
		goto err_free_as;
	}

	vm->fdev = fdev;
	vm->ffile = ffile;
	vm->root = fluidnpu_pt_alloc(vm, false);
	if (!vm->root) {
		ret = -ENOMEM;
		goto err_dev_exit;
	}

	kref_init(&vm->ref);
	fluidnpu_file_get(ffile);
	vm->as_id = as_id;
	mutex_init(&vm->lock);
	drm_mm_init(&vm->mm, FLUIDNPU_VA_START, FLUIDNPU_VA_END - FLUIDNPU_VA_START);

	mutex_lock(&fdev->as_lock);
	fdev->vms[as_id] = vm;
	fluidnpu_as_command(vm, FLUIDNPU_AS_CMD_ENABLE);
	mutex_unlock(&fdev->as_lock);

	drm_dev_exit(idx);
	return vm;

err_dev_exit:
	drm_dev_exit(idx);
err_free_as:
	ida_free(&fdev->as_ida, as_id);
err_free_vm:
	kfree(vm);
	return ERR_PTR(ret);
}

static void fluidnpu_vm_release(struct kref *ref)
{
	struct fluidnpu_vm *vm = container_of(ref, struct fluidnpu_vm, ref);
	struct fluidnpu_device *fdev = vm->fdev;

	/* With the tables, so that they do not outlive fluidnpu_mmu_unplug(). */
	mutex_lock(&fdev->as_lock);
	fdev->vms[vm->as_id] = NULL;
	fluidnpu_as_command(vm, FLUIDNPU_AS_CMD_DISABLE);
	fluidnpu_pt_free(vm, vm->root);
	mutex_unlock(&fdev->as_lock);

	ida_free(&fdev->as_ida, vm->as_id);
	drm_mm_takedown(&vm->mm);
	mutex_destroy(&vm->lock);
	fluidnpu_file_put(vm->ffile);
	kfree(vm);
}

/**
 * fluidnpu_vm_put - drop a reference
 * @vm: address space or NULL
 */
void fluidnpu_vm_put(struct fluidnpu_vm *vm)
{
	if (vm)
		kref_put(&vm->ref, fluidnpu_vm_release);
}

/* Clear a range and make the device forget it. */
static void fluidnpu_vm_clear(struct fluidnpu_vm *vm, u64 iova, u64 size)
{
	struct fluidnpu_device *fdev = vm->fdev;
	u64 end = iova + size;

	for (; iova < end; iova += FLUIDNPU_PAGE_BYTES) {
		struct fluidnpu_pt *pt = fluidnpu_vm_leaf(vm, iova, false);

		if (pt)
			WRITE_ONCE(pt->entries[fluidnpu_pt_index(iova, FLUIDNPU_PT_LEVELS - 1)], 0);
		cond_resched();
	}

	/* The cleared entries must be visible before the flush. */
	dma_wmb();
	/*
	 * Not drm_dev_enter(): from unplug on until it is stopped the device runs
	 * and caches as ever.
	 */
	mutex_lock(&fdev->as_lock);
	fluidnpu_as_command(vm, FLUIDNPU_AS_CMD_FLUSH);
	mutex_unlock(&fdev->as_lock);
}

static int fluidnpu_vm_fill(struct fluidnpu_vm *vm, u64 iova, struct sg_table *sgt, u64 size,
			    bool readonly)
{
	u64 flags = FLUIDNPU_PTE_VALID | (readonly ? 0 : FLUIDNPU_PTE_WRITE);
	struct sg_dma_page_iter iter;
	u64 end = iova + size;

	/* The helpers iterate over CPU pages. */
	BUILD_BUG_ON(PAGE_SIZE != FLUIDNPU_PAGE_BYTES);

	for_each_sgtable_dma_page(sgt, &iter, 0) {
		dma_addr_t addr = sg_page_iter_dma_address(&iter);
		struct fluidnpu_pt *pt;

		if (iova == end)
			return 0;
		/* An exporter's pieces need not be pages; what shares theirs is not its. */
		if (!IS_ALIGNED(addr, FLUIDNPU_PAGE_BYTES))
			return -EINVAL;
		pt = fluidnpu_vm_leaf(vm, iova, true);
		if (!pt)
			return -ENOMEM;
		WRITE_ONCE(pt->entries[fluidnpu_pt_index(iova, FLUIDNPU_PT_LEVELS - 1)],
			   cpu_to_le64(addr | flags));
		iova += FLUIDNPU_PAGE_BYTES;
	}

	/* An exporter may have handed out less than it announced. */
	return iova == end ? 0 : -EINVAL;
}

/**
 * fluidnpu_vm_map - give pages an address
 * @vm: address space
 * @node: zeroed; @node->start is the iova on success
 * @sgt: the pages, mapped for the device
 * @size: bytes, a multiple of the page size
 * @readonly: the device may not write there
 *
 * Return: 0, or -ENOSPC, -ENOMEM, -EINVAL (@sgt is too short or not of pages), -ENODEV.
 */
int fluidnpu_vm_map(struct fluidnpu_vm *vm, struct drm_mm_node *node,
		    struct sg_table *sgt, u64 size, bool readonly)
{
	int ret;

	mutex_lock(&vm->lock);

	if (!vm->root) {
		ret = -ENODEV;
		goto out_unlock;
	}

	ret = drm_mm_insert_node(&vm->mm, node, size + FLUIDNPU_PAGE_BYTES);
	if (ret)
		goto out_unlock;

	ret = fluidnpu_vm_fill(vm, node->start, sgt, size, readonly);
	if (ret) {
		fluidnpu_vm_clear(vm, node->start, size);
		drm_mm_remove_node(node);
		goto out_unlock;
	}
	trace_fluidnpu_as_map(vm, node->start, size);

out_unlock:
	mutex_unlock(&vm->lock);
	if (ret)
		drm_dbg(&vm->fdev->drm, "as %u: a buffer of %llu bytes cannot be mapped: %d\n",
			vm->as_id, size, ret);
	return ret;
}

/**
 * fluidnpu_vm_unmap - undo fluidnpu_vm_map()
 * @vm: address space
 * @node: of fluidnpu_vm_map()
 *
 * When it returns the device does not and cannot access the pages through this
 * address any more.
 */
void fluidnpu_vm_unmap(struct fluidnpu_vm *vm, struct drm_mm_node *node)
{
	mutex_lock(&vm->lock);
	trace_fluidnpu_as_unmap(vm, node->start, node->size - FLUIDNPU_PAGE_BYTES);
	if (vm->root)
		fluidnpu_vm_clear(vm, node->start, node->size - FLUIDNPU_PAGE_BYTES);
	drm_mm_remove_node(node);
	mutex_unlock(&vm->lock);
}

static u32 fluidnpu_pt_count(const struct fluidnpu_pt *pt)
{
	u32 i, count = 1;

	for (i = 0; pt->children && i < FLUIDNPU_PT_ENTRIES; i++) {
		if (pt->children[i])
			count += fluidnpu_pt_count(pt->children[i]);
	}
	return count;
}

/**
 * fluidnpu_vm_num_tables - how many page tables are there
 * @vm: address space, with its lock held
 *
 * Return: pages of tables.
 */
u32 fluidnpu_vm_num_tables(struct fluidnpu_vm *vm)
{
	lockdep_assert_held(&vm->lock);

	return vm->root ? fluidnpu_pt_count(vm->root) : 0;
}

/**
 * fluidnpu_vm_entry - what the device finds for an address
 * @vm: address space; as for locks, see fluidnpu_vm_explain()
 * @iova: address, below FLUIDNPU_VA_END
 *
 * Return: the entry of the leaf table, 0 if there is none.
 */
u64 fluidnpu_vm_entry(struct fluidnpu_vm *vm, u64 iova)
{
	struct fluidnpu_pt *pt = READ_ONCE(vm->root);
	u32 level;

	for (level = 0; pt && level < FLUIDNPU_PT_LEVELS - 1; level++)
		pt = READ_ONCE(pt->children[fluidnpu_pt_index(iova, level)]);
	return pt ? le64_to_cpu(READ_ONCE(pt->entries[fluidnpu_pt_index(iova, level)])) : 0;
}

/**
 * fluidnpu_vm_explain - why an access faulted
 * @vm: address space
 * @iova: address of the access
 * @write: what it was
 *
 * Looks at the tables as they are now. For interrupt handlers between drm_dev_enter()
 * and drm_dev_exit(): tables only grow until the address space goes or the device does.
 *
 * Return: words for a message.
 */
const char *fluidnpu_vm_explain(struct fluidnpu_vm *vm, u64 iova, bool write)
{
	u64 entry;

	if (iova >= FLUIDNPU_VA_END)
		return "beyond the address space";
	entry = fluidnpu_vm_entry(vm, iova);
	if (entry & (write ? FLUIDNPU_PTE_WRITE : FLUIDNPU_PTE_VALID))
		return "mapped meanwhile";
	if (entry & FLUIDNPU_PTE_VALID)
		return "read-only";
	if (iova >= FLUIDNPU_PAGE_BYTES &&
	    fluidnpu_vm_entry(vm, iova - FLUIDNPU_PAGE_BYTES) & FLUIDNPU_PTE_VALID)
		return "in the guard page behind a buffer";
	return "not mapped";
}

/**
 * fluidnpu_vm_root - where the device finds the top table
 * @vm: address space of a device that is not unplugged
 *
 * Return: bus address.
 */
dma_addr_t fluidnpu_vm_root(struct fluidnpu_vm *vm)
{
	return vm->root->dma;
}

/**
 * fluidnpu_mmu_start - show the device all address spaces again
 * @fdev: has been reset; as_lock is held
 */
void fluidnpu_mmu_start(struct fluidnpu_device *fdev)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(fdev->vms); i++) {
		if (fdev->vms[i])
			fluidnpu_as_command(fdev->vms[i], FLUIDNPU_AS_CMD_ENABLE);
	}
}

/**
 * fluidnpu_mmu_unplug - free all page tables while the DMA API still works
 * @fdev: is unplugged and stopped
 *
 * The address spaces live on, empty, until their files are closed.
 */
void fluidnpu_mmu_unplug(struct fluidnpu_device *fdev)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(fdev->vms); i++) {
		struct fluidnpu_vm *vm;

		mutex_lock(&fdev->as_lock);
		vm = fdev->vms[i];
		if (vm && !kref_get_unless_zero(&vm->ref)) {
			/* Its release waits for as_lock. */
			fluidnpu_pt_free(vm, vm->root);
			vm->root = NULL;
			vm = NULL;
		}
		mutex_unlock(&fdev->as_lock);
		if (!vm)
			continue;

		mutex_lock(&vm->lock);
		fluidnpu_pt_free(vm, vm->root);
		vm->root = NULL;
		mutex_unlock(&vm->lock);
		fluidnpu_vm_put(vm);
	}
}
