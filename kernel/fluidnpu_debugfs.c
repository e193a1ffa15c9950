// SPDX-License-Identifier: GPL-2.0
/*
 * FluidNPU accel driver: files in debugfs, in the accel device's directory.
 *
 *	queues		the rings and the jobs that the device has
 *	contexts	clients, their contexts, and the jobs of these that have not ended
 *	page_tables	address spaces and what is mapped there
 *	registers	of a device that is awake
 *
 * They go when the device is unregistered, and whoever reads them is waited for: the
 * registers are there all the time. Everything else is shown under the lock
 * that protects it.
 */
#include <linux/seq_file.h>

#include <drm/drm_debugfs.h>
#include <drm/drm_file.h>

#include "fluidnpu_ctx.h"
#include "fluidnpu_debugfs.h"
#include "fluidnpu_device.h"
#include "fluidnpu_job.h"
#include "fluidnpu_mmu.h"

/* Of each context: interrupts are off meanwhile. */
#define FLUIDNPU_SHOW_JOBS	64

static struct fluidnpu_device *fluidnpu_debugfs_device(struct seq_file *m)
{
	struct drm_debugfs_entry *entry = m->private;

	return to_fluidnpu_device(entry->dev);
}

static void fluidnpu_show_job(struct seq_file *m, const struct fluidnpu_job *job)
{
	static const char * const names[] = {
		[FLUIDNPU_OP_NOP] = "nop",
		[FLUIDNPU_OP_RUN] = "run",
		[FLUIDNPU_OP_INJECT] = "inject",
	};

	seq_printf(m, "  %s user_data=%#llx samples=%u left=%u%s", names[job->opcode],
		   job->user_data, job->num_samples, hweight32(job->left),
		   job->yield ? " yield" : "");
	if (job->slot != FLUIDNPU_NO_SLOT)
		seq_printf(m, " slot=%u cookie=%#llx age_ms=%u", job->slot, job->cookie,
			   jiffies_to_msecs(jiffies - job->pushed));
}

static void fluidnpu_show_queue(struct seq_file *m, struct fluidnpu_queue *queue)
{
	struct fluidnpu_device *fdev = queue->fdev;
	struct fluidnpu_job *job;

	lockdep_assert_held(&fdev->hw_lock);

	seq_printf(m, "queue %u: entries taken %llu, written %llu, free slots %u", queue->index,
		   queue->head, queue->tail, (u32)hweight64(queue->free_slots));
	if (fdev->off)
		seq_printf(m, ", off %#x\n", fdev->off);
	else
		seq_printf(m, ", status %#x\n", fluidnpu_queue_status(queue));

	list_for_each_entry(job, &queue->jobs, node) {
		fluidnpu_show_job(m, job);
		seq_printf(m, " client=%d (%s) ctx=%u%s\n", job->ctx->ffile->pid,
			   job->ctx->ffile->comm, job->ctx->id,
			   job->ended ? " ended" : job->slot == FLUIDNPU_NO_SLOT ? " waits" : "");
	}
}

static int fluidnpu_show_queues(struct seq_file *m, void *unused)
{
	struct fluidnpu_device *fdev = fluidnpu_debugfs_device(m);
	unsigned long flags;
	u32 i;

	for (i = 0; i < fdev->num_queues; i++) {
		spin_lock_irqsave(&fdev->hw_lock, flags);
		fluidnpu_show_queue(m, &fdev->queues[i]);
		spin_unlock_irqrestore(&fdev->hw_lock, flags);
	}
	return 0;
}

static void fluidnpu_show_ctx(struct seq_file *m, struct fluidnpu_ctx *ctx)
{
	struct fluidnpu_device *fdev = ctx->ffile->fdev;
	struct fluidnpu_job *job;
	unsigned long flags;
	struct rb_node *node;
	u32 shown = 0;

	spin_lock_irqsave(&fdev->hw_lock, flags);
	seq_printf(m, " ctx %u: queue %u, jobs %lld, ended %lld, timed out %u%s\n", ctx->id,
		   ctx->queue->index, atomic64_read(&ctx->stats.jobs),
		   atomic64_read(&ctx->stats.jobs_ended), ctx->guilty,
		   ctx->banned ? ", banned" : "");
	for (node = rb_first(&ctx->jobs); node; node = rb_next(node)) {
		if (shown++ == FLUIDNPU_SHOW_JOBS) {
			seq_puts(m, "  ...\n");
			break;
		}
		job = rb_entry(node, struct fluidnpu_job, ctx_node);
		fluidnpu_show_job(m, job);
		seq_puts(m, job->slot == FLUIDNPU_NO_SLOT ? " waits\n" : "\n");
	}
	spin_unlock_irqrestore(&fdev->hw_lock, flags);
}

static int fluidnpu_show_contexts(struct seq_file *m, void *unused)
{
	struct fluidnpu_device *fdev = fluidnpu_debugfs_device(m);
	struct fluidnpu_ctx *ctx;
	struct drm_file *file;
	unsigned long id;

	mutex_lock(&fdev->drm.filelist_mutex);
	list_for_each_entry(file, &fdev->drm.filelist, lhead) {
		struct fluidnpu_file *ffile = file->driver_priv;

		seq_printf(m, "client %d (%s): id %llu, memory %lld bytes%s\n", ffile->pid,
			   ffile->comm, file->client_id, atomic64_read(&ffile->memory_bytes),
			   READ_ONCE(ffile->banned) ? ", banned" : "");
		xa_lock(&ffile->contexts);
		xa_for_each(&ffile->contexts, id, ctx)
			fluidnpu_show_ctx(m, ctx);
		xa_unlock(&ffile->contexts);
	}
	mutex_unlock(&fdev->drm.filelist_mutex);
	return 0;
}

static void fluidnpu_show_vm(struct seq_file *m, struct fluidnpu_vm *vm)
{
	struct drm_mm_node *node;
	u64 bytes = 0;

	mutex_lock(&vm->lock);
	seq_printf(m, "as %u: client %d (%s), %u tables\n", vm->as_id, vm->ffile->pid,
		   vm->ffile->comm, fluidnpu_vm_num_tables(vm));
	drm_mm_for_each_node(node, &vm->mm) {
		/* The last page is the guard. */
		u64 size = node->size - FLUIDNPU_PAGE_BYTES;
		u64 entry = fluidnpu_vm_entry(vm, node->start);

		bytes += size;
		seq_printf(m, " %#llx-%#llx r%c first page %#llx\n", node->start,
			   node->start + size, entry & FLUIDNPU_PTE_WRITE ? 'w' : '-',
			   entry & FLUIDNPU_PTE_ADDR);
	}
	seq_printf(m, " total %llu bytes\n", bytes);
	mutex_unlock(&vm->lock);
}

static int fluidnpu_show_page_tables(struct seq_file *m, void *unused)
{
	struct fluidnpu_device *fdev = fluidnpu_debugfs_device(m);
	u32 i;

	for (i = 0; i < ARRAY_SIZE(fdev->vms); i++) {
		struct fluidnpu_vm *vm;

		mutex_lock(&fdev->as_lock);
		vm = fdev->vms[i];
		if (vm && !kref_get_unless_zero(&vm->ref))
			vm = NULL;
		mutex_unlock(&fdev->as_lock);
		if (!vm)
			continue;
		fluidnpu_show_vm(m, vm);
		fluidnpu_vm_put(vm);
	}
	return 0;
}

/**
 * struct fluidnpu_debug_reg - a register to show
 * @name: of it
 * @offset: in BAR 0, or in the block of a queue
 */
struct fluidnpu_debug_reg {
	const char *name;
	u32 offset;
};

/* Reading TIME_LO would take TIME_HI away from fluidnpu_read64(). */
static const struct fluidnpu_debug_reg fluidnpu_device_regs[] = {
	{ "version", FLUIDNPU_REG_VERSION },
	{ "ctrl", FLUIDNPU_REG_CTRL },
	{ "status", FLUIDNPU_REG_STATUS },
	{ "clock_hz", FLUIDNPU_REG_CLOCK_HZ },
	{ "features", FLUIDNPU_REG_FEATURES },
	{ "as_select", FLUIDNPU_REG_AS_SELECT },
	{ "as_root_lo", FLUIDNPU_REG_AS_ROOT_LO },
	{ "as_root_hi", FLUIDNPU_REG_AS_ROOT_HI },
	{ "cq_base_lo", FLUIDNPU_REG_CQ_BASE_LO },
	{ "cq_base_hi", FLUIDNPU_REG_CQ_BASE_HI },
	{ "cq_entries", FLUIDNPU_REG_CQ_ENTRIES },
	{ "cq_coalesce_count", FLUIDNPU_REG_CQ_COALESCE_COUNT },
	{ "cq_coalesce_cycles", FLUIDNPU_REG_CQ_COALESCE_CYCLES },
};

static const struct fluidnpu_debug_reg fluidnpu_queue_regs[] = {
	{ "base_lo", FLUIDNPU_QREG_BASE_LO },
	{ "base_hi", FLUIDNPU_QREG_BASE_HI },
	{ "entries", FLUIDNPU_QREG_ENTRIES },
	{ "priority", FLUIDNPU_QREG_PRIORITY },
	{ "status", FLUIDNPU_QREG_STATUS },
	{ "head", FLUIDNPU_QREG_HEAD },
};

static int fluidnpu_show_registers(struct seq_file *m, void *unused)
{
	struct fluidnpu_device *fdev = fluidnpu_debugfs_device(m);
	const struct fluidnpu_debug_reg *reg;
	unsigned long flags;
	u32 i, k;

	spin_lock_irqsave(&fdev->hw_lock, flags);
	if (fdev->off) {
		seq_printf(m, "off %#x\n", fdev->off);
		goto out_unlock;
	}
	for (k = 0; k < ARRAY_SIZE(fluidnpu_device_regs); k++) {
		reg = &fluidnpu_device_regs[k];
		seq_printf(m, "%s %#x\n", reg->name, fluidnpu_read(fdev, reg->offset));
	}
	for (i = 0; i < fdev->num_queues; i++) {
		for (k = 0; k < ARRAY_SIZE(fluidnpu_queue_regs); k++) {
			reg = &fluidnpu_queue_regs[k];
			seq_printf(m, "queue%u.%s %#x\n", i, reg->name,
				   fluidnpu_read(fdev, FLUIDNPU_REG_QUEUE(i) + reg->offset));
		}
	}
out_unlock:
	spin_unlock_irqrestore(&fdev->hw_lock, flags);
	return 0;
}

static const struct drm_debugfs_info fluidnpu_debugfs_files[] = {
	{ "queues", fluidnpu_show_queues, 0, NULL },
	{ "contexts", fluidnpu_show_contexts, 0, NULL },
	{ "page_tables", fluidnpu_show_page_tables, 0, NULL },
	{ "registers", fluidnpu_show_registers, 0, NULL },
};

/**
 * fluidnpu_debugfs_init - make the files
 * @fdev: about to be registered; they can be read from then on
 */
void fluidnpu_debugfs_init(struct fluidnpu_device *fdev)
{
	drm_debugfs_add_files(&fdev->drm, fluidnpu_debugfs_files,
			      ARRAY_SIZE(fluidnpu_debugfs_files));
}
