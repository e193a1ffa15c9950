/* SPDX-License-Identifier: GPL-2.0 */
/*
 * FluidNPU accel driver: clients and their contexts.
 */
#ifndef _FLUIDNPU_CTX_H
#define _FLUIDNPU_CTX_H

#include <linux/atomic.h>
#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#include <drm/gpu_scheduler.h>

#include "fluidnpu_event.h"
#include "fluidnpu_perf.h"

struct drm_device;
struct drm_file;
struct drm_printer;
struct file;
struct fluidnpu_device;
struct fluidnpu_queue;
struct fluidnpu_vm;
struct poll_table_struct;

/* Jobs that time out until a context is banned, and banned contexts until a file is. */
#define FLUIDNPU_MAX_GUILTY	3

#define FLUIDNPU_MAX_CONTEXTS	256

/**
 * struct fluidnpu_file - what the driver knows of a client
 * @ref: of the open file, its contexts, which jobs can keep alive, its address
 *	space and the buffers that it created
 * @fdev: the device
 * @lock: protects the creation of @vm
 * @vm: address space; made with the first buffer, so that clients that only
 *	look do not use one up; NULL again when the file is closed
 * @contexts: struct fluidnpu_ctx by id
 * @waiters: in poll()
 * @uring_lock: protects the ties between jobs and io_uring commands; taken in interrupts
 * @memory_bytes: of the buffers that it created and that are not freed
 * @charged_bytes: of its limit, see fluidnpu_limit.c
 * @stats: what the client has used
 * @npu_cycles: what it has had of the NPU, see struct fluidnpu_busy
 * @guilty: contexts that were banned; protected by hw_lock
 * @banned: these were too many: no further ones; written once
 * @closed: its jobs that the device has not got end with -ESRCH; written once
 * @pid: of the process that opened the file, for messages
 * @comm: its name
 */
struct fluidnpu_file {
	struct kref ref;
	struct fluidnpu_device *fdev;
	struct mutex lock; /* see above */
	struct fluidnpu_vm *vm;
	struct xarray contexts;
	wait_queue_head_t waiters;
	spinlock_t uring_lock; /* see above */
	atomic64_t memory_bytes;
	atomic64_t charged_bytes;
	struct fluidnpu_stats stats;
	atomic64_t npu_cycles;
	u32 guilty;
	bool banned;
	bool closed;
	pid_t pid;
	char comm[TASK_COMM_LEN];
};

/**
 * struct fluidnpu_ctx - a queue of jobs at one priority
 * @ref: of the id and the jobs
 * @id: for user space, in traces; set before the context can be found
 * @ffile: client
 * @vm: address space of its jobs
 * @queue: hardware queue
 * @fence_context: of its jobs' fences
 * @seqno: of the last one; protected by @lock
 * @entity: its jobs in the scheduler
 * @num_scheduled: of them; grows with @lock
 * @events: event ring
 * @uring_jobs: struct fluidnpu_uring of jobs that an io_uring command waits for
 * @lock: jobs are committed in the order of their sequence numbers; one CANCEL at a time
 * @stats: what it has used
 * @jobs: that have not ended, by user_data; protected by hw_lock
 * @guilty: jobs that timed out; protected by hw_lock
 * @banned: it has been too often; written once
 */
struct fluidnpu_ctx {
	struct kref ref;
	u32 id;
	struct fluidnpu_file *ffile;
	struct fluidnpu_vm *vm;
	struct fluidnpu_queue *queue;
	u64 fence_context;
	u64 seqno;
	struct drm_sched_entity entity;
	atomic_t num_scheduled;
	struct fluidnpu_event_ring events;
	struct list_head uring_jobs;
	struct mutex lock; /* see above */
	struct fluidnpu_stats stats;
	struct rb_root jobs;
	u32 guilty;
	bool banned;
};

int fluidnpu_file_open(struct drm_device *drm, struct drm_file *file);
void fluidnpu_file_postclose(struct drm_device *drm, struct drm_file *file);
void fluidnpu_file_show_fdinfo(struct drm_printer *p, struct drm_file *file);
__poll_t fluidnpu_file_poll(struct file *filp, struct poll_table_struct *wait);
void fluidnpu_file_wake_all(struct fluidnpu_device *fdev);
struct fluidnpu_vm *fluidnpu_file_vm(struct fluidnpu_file *ffile);
void fluidnpu_file_put(struct fluidnpu_file *ffile);

static inline struct fluidnpu_file *fluidnpu_file_get(struct fluidnpu_file *ffile)
{
	kref_get(&ffile->ref);
	return ffile;
}

struct fluidnpu_queue *fluidnpu_queue_of_priority(struct fluidnpu_device *fdev, u32 priority);

struct fluidnpu_ctx *fluidnpu_ctx_lookup(struct fluidnpu_file *ffile, u32 id);
struct fluidnpu_ctx *fluidnpu_ctx_lookup_alive(struct drm_file *file, u32 id);
void fluidnpu_ctx_put(struct fluidnpu_ctx *ctx);
void fluidnpu_ctx_blame(struct fluidnpu_ctx *ctx);

static inline struct fluidnpu_ctx *fluidnpu_ctx_get(struct fluidnpu_ctx *ctx)
{
	kref_get(&ctx->ref);
	return ctx;
}

int fluidnpu_ioctl_ctx_create(struct drm_device *drm, void *data, struct drm_file *file);
int fluidnpu_ioctl_ctx_destroy(struct drm_device *drm, void *data, struct drm_file *file);

#endif
