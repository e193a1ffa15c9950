// SPDX-License-Identifier: GPL-2.0
/*
 * FluidNPU accel driver: clients and their contexts.
 *
 * A context can outlive its file: its jobs hold it, and with it the address space, the event
 * ring, the scheduler entity and the device. When the file has been closed, what the device
 * has already ends by itself, and what has not got there ends when it would.
 */
#include <linux/capability.h>
#include <linux/file.h>
#include <linux/log2.h>
#include <linux/math64.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_gem.h>
#include <drm/drm_print.h>

#include "fluidnpu_ctx.h"
#include "fluidnpu_device.h"
#include "fluidnpu_gem.h"
#include "fluidnpu_limit.h"
#include "fluidnpu_mmu.h"
#include "fluidnpu_validate.h"

/* What the kernel keeps of a context, charged to its client. */
#define FLUIDNPU_CTX_BYTES	PAGE_SIZE

static_assert(sizeof(struct fluidnpu_ctx) <= FLUIDNPU_CTX_BYTES);

static void fluidnpu_file_release(struct kref *ref)
{
	struct fluidnpu_file *ffile = container_of(ref, struct fluidnpu_file, ref);

	/* Whoever was charged to it held a reference. */
	drm_WARN_ON(&ffile->fdev->drm, atomic64_read(&ffile->charged_bytes));
	xa_destroy(&ffile->contexts);
	mutex_destroy(&ffile->lock);
	kfree(ffile);
}

/**
 * fluidnpu_file_put - drop a reference
 * @ffile: may be freed
 */
void fluidnpu_file_put(struct fluidnpu_file *ffile)
{
	kref_put(&ffile->ref, fluidnpu_file_release);
}

static void fluidnpu_ctx_release(struct kref *ref)
{
	struct fluidnpu_ctx *ctx = container_of(ref, struct fluidnpu_ctx, ref);
	struct fluidnpu_device *fdev = ctx->ffile->fdev;

	drm_sched_entity_fini(&ctx->entity);
	fluidnpu_event_ring_fini(&ctx->events);
	fluidnpu_vm_put(ctx->vm);
	fluidnpu_limit_uncharge(ctx->ffile, FLUIDNPU_CTX_BYTES);
	fluidnpu_file_put(ctx->ffile);
	mutex_destroy(&ctx->lock);
	kfree(ctx);
	fluidnpu_device_put_user(fdev);
}

/**
 * fluidnpu_ctx_put - drop a reference
 * @ctx: may be freed; not from a scheduler callback or an interrupt
 */
void fluidnpu_ctx_put(struct fluidnpu_ctx *ctx)
{
	kref_put(&ctx->ref, fluidnpu_ctx_release);
}

/**
 * fluidnpu_ctx_lookup - find a context of a client
 * @ffile: client
 * @id: as CTX_CREATE returned it
 *
 * Return: the context, to be released with fluidnpu_ctx_put(), or NULL.
 */
struct fluidnpu_ctx *fluidnpu_ctx_lookup(struct fluidnpu_file *ffile, u32 id)
{
	struct fluidnpu_ctx *ctx;

	xa_lock(&ffile->contexts);
	ctx = xa_load(&ffile->contexts, id);
	if (ctx)
		kref_get(&ctx->ref);
	xa_unlock(&ffile->contexts);

	return ctx;
}

/**
 * fluidnpu_ctx_lookup_alive - find a context of a client that can have jobs
 * @file: client
 * @id: as CTX_CREATE returned it
 *
 * Return: the context, to be released with fluidnpu_ctx_put(); or an ERR_PTR: -ENOENT,
 * -EIO when it is banned or the device is dead, -ENODEV when that is gone.
 */
struct fluidnpu_ctx *fluidnpu_ctx_lookup_alive(struct drm_file *file, u32 id)
{
	struct fluidnpu_device *fdev = to_fluidnpu_device(file->minor->dev);
	struct fluidnpu_ctx *ctx;
	int ret;

	ctx = fluidnpu_ctx_lookup(file->driver_priv, id);
	if (!ctx) {
		drm_dbg(&fdev->drm, "no context %u\n", id);
		return ERR_PTR(-ENOENT);
	}
	ret = fluidnpu_device_error(fdev);
	if (!ret && READ_ONCE(ctx->banned))
		ret = -EIO;
	if (ret) {
		drm_dbg(&fdev->drm, "context %u is banned or the device is dead: %d\n", id, ret);
		fluidnpu_ctx_put(ctx);
		return ERR_PTR(ret);
	}
	return ctx;
}

/**
 * fluidnpu_ctx_blame - a job of the context has timed out
 * @ctx: context
 *
 * Comes before the job ends for its owner, who shall find the context banned if
 * it was the last straw.
 */
void fluidnpu_ctx_blame(struct fluidnpu_ctx *ctx)
{
	struct fluidnpu_file *ffile = ctx->ffile;
	struct drm_device *drm = &ffile->fdev->drm;

	lockdep_assert_held(&ffile->fdev->hw_lock);

	dev_warn_ratelimited(drm->dev, "%s[%d]: queue %u: job timed out\n", ffile->comm,
			     ffile->pid, ctx->queue->index);
	if (++ctx->guilty != FLUIDNPU_MAX_GUILTY)
		return;
	WRITE_ONCE(ctx->banned, true);
	drm_warn(drm, "%s[%d]: context is banned after %u such jobs\n", ffile->comm, ffile->pid,
		 ctx->guilty);

	if (++ffile->guilty != FLUIDNPU_MAX_GUILTY)
		return;
	WRITE_ONCE(ffile->banned, true);
	drm_warn(drm, "%s[%d]: gets no further context after %u that were banned\n", ffile->comm,
		 ffile->pid, ffile->guilty);
}

/**
 * fluidnpu_queue_of_priority - the hardware queue of contexts of a priority
 * @fdev: the device
 * @priority: enum drm_fluidnpu_priority
 *
 * Return: the queue. With fewer queues than priorities, neighbours share one.
 */
struct fluidnpu_queue *fluidnpu_queue_of_priority(struct fluidnpu_device *fdev, u32 priority)
{
	u32 index = DIV_ROUND_CLOSEST(priority * (fdev->num_queues - 1),
				      FLUIDNPU_NUM_PRIORITIES - 1);

	return &fdev->queues[index];
}

static struct fluidnpu_ctx *fluidnpu_ctx_create(struct fluidnpu_file *ffile, u32 priority,
						struct drm_gem_object *event_obj, u32 event_entries)
{
	struct fluidnpu_device *fdev = ffile->fdev;
	struct drm_gpu_scheduler *sched;
	struct fluidnpu_ctx *ctx;
	struct fluidnpu_vm *vm;
	int ret;

	vm = fluidnpu_file_vm(ffile);
	if (IS_ERR(vm))
		return ERR_CAST(vm);

	ret = fluidnpu_limit_charge(ffile, FLUIDNPU_CTX_BYTES);
	if (ret)
		return ERR_PTR(ret);
	ctx = kzalloc(sizeof(*ctx), GFP_KERNEL_ACCOUNT);
	if (!ctx) {
		ret = -ENOMEM;
		goto err_uncharge;
	}

	ret = fluidnpu_event_ring_init(&ctx->events, event_obj, event_entries, &ffile->waiters);
	if (ret)
		goto err_free;

	ctx->queue = fluidnpu_queue_of_priority(fdev, priority);
	sched = &ctx->queue->sched;
	ret = drm_sched_entity_init(&ctx->entity, DRM_SCHED_PRIORITY_NORMAL, &sched, 1, NULL);
	if (ret)
		goto err_fini_events;

	kref_init(&ctx->ref);
	mutex_init(&ctx->lock);
	INIT_LIST_HEAD(&ctx->uring_jobs);
	ctx->fence_context = dma_fence_context_alloc(1);
	ctx->ffile = fluidnpu_file_get(ffile);
	ctx->vm = fluidnpu_vm_get(vm);
	fluidnpu_device_get_user(fdev);
	return ctx;

err_fini_events:
	fluidnpu_event_ring_fini(&ctx->events);
err_free:
	kfree(ctx);
err_uncharge:
	fluidnpu_limit_uncharge(ffile, FLUIDNPU_CTX_BYTES);
	return ERR_PTR(ret);
}

/**
 * fluidnpu_ioctl_ctx_create - CTX_CREATE
 * @drm: device
 * @data: struct drm_fluidnpu_ctx_create
 * @file: client
 *
 * Return: 0 or a negative errno.
 */
int fluidnpu_ioctl_ctx_create(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_fluidnpu_ctx_create *args = data;
	struct fluidnpu_file *ffile = file->driver_priv;
	struct fluidnpu_mapping *mapping;
	struct drm_gem_object *obj;
	struct fluidnpu_ctx *ctx;
	int ret;

	ret = fluidnpu_check_ctx_create(drm, args);
	if (ret)
		return ret;
	if (READ_ONCE(ffile->banned)) {
		drm_dbg(drm, "ctx_create: too many contexts of the file were banned\n");
		return -EIO;
	}
	if (args->priority > DRM_FLUIDNPU_PRIORITY_NORMAL && !capable(CAP_SYS_NICE)) {
		drm_dbg(drm, "ctx_create: priority %u needs CAP_SYS_NICE\n", args->priority);
		return -EACCES;
	}

	mapping = fluidnpu_mapping_lookup(file, args->event_handle);
	if (!mapping) {
		drm_dbg(drm, "ctx_create: no handle %u for event_handle\n", args->event_handle);
		return -ENOENT;
	}
	obj = &mapping->bo->base.base;
	if (mapping->lent) {
		drm_dbg(drm, "ctx_create: event_handle is somebody else's, and only to be read\n");
		ret = -EACCES;
		goto out_put_mapping;
	}
	if (obj->import_attach || obj->size < DRM_FLUIDNPU_EVENT_RING_BYTES(args->event_entries)) {
		drm_dbg(drm, "ctx_create: event_handle is imported or too small\n");
		ret = -EINVAL;
		goto out_put_mapping;
	}

	ctx = fluidnpu_ctx_create(ffile, args->priority, obj, args->event_entries);
	if (IS_ERR(ctx)) {
		ret = PTR_ERR(ctx);
		goto out_put_mapping;
	}

	/* Once it has an id, another thread can use and destroy it. */
	xa_lock(&ffile->contexts);
	ret = __xa_alloc(&ffile->contexts, &args->ctx_id, ctx, XA_LIMIT(1, FLUIDNPU_MAX_CONTEXTS),
			 GFP_KERNEL);
	if (!ret)
		ctx->id = args->ctx_id;
	xa_unlock(&ffile->contexts);
	if (ret) {
		drm_dbg(drm, "ctx_create: no id left: %d\n", ret);
		ret = ret == -EBUSY ? -ENOSPC : ret;
		fluidnpu_ctx_put(ctx);
	}

out_put_mapping:
	fluidnpu_mapping_put(mapping);
	return ret;
}

/**
 * fluidnpu_ioctl_ctx_destroy - CTX_DESTROY
 * @drm: device
 * @data: struct drm_fluidnpu_ctx_destroy
 * @file: client
 *
 * Return: 0 or a negative errno.
 */
int fluidnpu_ioctl_ctx_destroy(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_fluidnpu_ctx_destroy *args = data;
	struct fluidnpu_file *ffile = file->driver_priv;
	struct fluidnpu_ctx *ctx;

	if (args->pad) {
		drm_dbg(drm, "ctx_destroy: pad %#x is not 0\n", args->pad);
		return -EINVAL;
	}

	ctx = xa_erase(&ffile->contexts, args->ctx_id);
	if (!ctx) {
		drm_dbg(drm, "ctx_destroy: no context %u\n", args->ctx_id);
		return -ENOENT;
	}
	fluidnpu_event_ring_close(&ctx->events);
	fluidnpu_ctx_put(ctx);
	/* Who waits in poll() for the end of its jobs, after unplug, waits no longer. */
	wake_up_poll(&ffile->waiters, EPOLLERR | EPOLLHUP);
	return 0;
}

/**
 * fluidnpu_file_vm - the client's address space, made if need be
 * @ffile: client, which holds the reference
 *
 * Return: the address space or an ERR_PTR, see fluidnpu_vm_create().
 */
struct fluidnpu_vm *fluidnpu_file_vm(struct fluidnpu_file *ffile)
{
	struct fluidnpu_vm *vm;

	mutex_lock(&ffile->lock);
	vm = ffile->vm;
	if (!vm) {
		vm = fluidnpu_vm_create(ffile);
		if (!IS_ERR(vm))
			WRITE_ONCE(ffile->vm, vm);
	}
	mutex_unlock(&ffile->lock);

	return vm;
}

/**
 * fluidnpu_file_open - &drm_driver.open
 * @drm: device
 * @file: new client
 *
 * Return: 0 or -ENOMEM.
 */
int fluidnpu_file_open(struct drm_device *drm, struct drm_file *file)
{
	struct fluidnpu_file *ffile;

	ffile = kzalloc(sizeof(*ffile), GFP_KERNEL);
	if (!ffile)
		return -ENOMEM;

	kref_init(&ffile->ref);
	ffile->fdev = to_fluidnpu_device(drm);
	mutex_init(&ffile->lock);
	xa_init_flags(&ffile->contexts, XA_FLAGS_ALLOC1);
	init_waitqueue_head(&ffile->waiters);
	spin_lock_init(&ffile->uring_lock);
	ffile->pid = task_tgid_nr(current);
	get_task_comm(ffile->comm, current);
	file->driver_priv = ffile;
	return 0;
}

/**
 * fluidnpu_file_postclose - &drm_driver.postclose
 * @drm: device
 * @file: client that is going
 *
 * Can run in a kworker, long after the process has died.
 */
void fluidnpu_file_postclose(struct drm_device *drm, struct drm_file *file)
{
	struct fluidnpu_file *ffile = file->driver_priv;
	struct fluidnpu_ctx *ctx;
	unsigned long id;

	WRITE_ONCE(ffile->closed, true);
	xa_for_each(&ffile->contexts, id, ctx) {
		xa_erase(&ffile->contexts, id);
		fluidnpu_event_ring_close(&ctx->events);
		fluidnpu_ctx_put(ctx);
	}
	/* It holds a reference of the file: who only holds a buffer shall not keep it. */
	fluidnpu_vm_put(ffile->vm);
	ffile->vm = NULL;
	fluidnpu_file_put(ffile);
}

/**
 * fluidnpu_file_show_fdinfo - &drm_driver.show_fdinfo
 * @p: printer
 * @file: client
 */
void fluidnpu_file_show_fdinfo(struct drm_printer *p, struct drm_file *file)
{
	struct fluidnpu_file *ffile = file->driver_priv;
	u64 cycles = atomic64_read(&ffile->npu_cycles);
	u32 hz = ffile->fdev->clock_hz;

	drm_printf(p, "drm-engine-npu:\t%llu ns\n", mul_u64_u32_div(cycles, NSEC_PER_SEC, hz));
	drm_puts(p, "drm-engine-capacity-npu:\t1\n");
	drm_printf(p, "drm-cycles-npu:\t%llu\n", cycles);
	drm_printf(p, "drm-maxfreq-npu:\t%u Hz\n", hz);
	drm_show_memory_stats(p, file);
}

/**
 * fluidnpu_file_poll - &file_operations.poll
 * @filp: device file
 * @wait: poll table
 *
 * Return: EPOLLIN while any event ring of the file holds an event, EPOLLHUP
 * and EPOLLERR when the device is gone and no ring will get another one.
 */
__poll_t fluidnpu_file_poll(struct file *filp, struct poll_table_struct *wait)
{
	struct drm_file *file = filp->private_data;
	struct fluidnpu_file *ffile = file->driver_priv;
	bool readable = false, expects = false;
	struct fluidnpu_ctx *ctx;
	unsigned long id;
	__poll_t mask = 0;

	poll_wait(filp, &ffile->waiters, wait);

	xa_lock(&ffile->contexts);
	xa_for_each(&ffile->contexts, id, ctx)
		fluidnpu_event_ring_poll(&ctx->events, &readable, &expects);
	xa_unlock(&ffile->contexts);

	if (readable)
		mask |= EPOLLIN | EPOLLRDNORM;
	if (!expects && drm_dev_is_unplugged(file->minor->dev))
		mask |= EPOLLERR | EPOLLHUP;
	return mask;
}

/**
 * fluidnpu_file_wake_all - tell everyone who waits for events that the device is gone
 * @fdev: unplugged
 */
void fluidnpu_file_wake_all(struct fluidnpu_device *fdev)
{
	struct drm_file *file;

	mutex_lock(&fdev->drm.filelist_mutex);
	list_for_each_entry(file, &fdev->drm.filelist, lhead) {
		struct fluidnpu_file *ffile = file->driver_priv;
		struct fluidnpu_ctx *ctx;
		unsigned long id;

		xa_lock(&ffile->contexts);
		xa_for_each(&ffile->contexts, id, ctx)
			fluidnpu_event_ring_unplug(&ctx->events);
		xa_unlock(&ffile->contexts);
		wake_up_poll(&ffile->waiters, EPOLLIN | EPOLLERR | EPOLLHUP);
	}
	mutex_unlock(&fdev->drm.filelist_mutex);
}
