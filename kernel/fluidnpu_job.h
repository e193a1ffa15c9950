/* SPDX-License-Identifier: GPL-2.0 */
/*
 * FluidNPU accel driver: a job, from submission to its end.
 */
#ifndef _FLUIDNPU_JOB_H
#define _FLUIDNPU_JOB_H

#include <linux/interrupt.h>
#include <linux/list.h>
#include <linux/llist.h>
#include <linux/rbtree.h>
#include <linux/refcount.h>

#include <fluidnpu_drm.h>

#include "fluidnpu_uring.h"

struct fluidnpu_ctx;
struct fluidnpu_device;
struct fluidnpu_fence;
struct fluidnpu_mapping;
struct fluidnpu_queue;
struct fluidnpu_sched_job;

#define FLUIDNPU_NO_SLOT	(~0u)

/**
 * struct fluidnpu_job_sample - a sample of a job
 * @args: what user space asked for
 * @reported: heads that have been told of, a bit mask
 * @running: of the sample that the device counts as this one, the index in the job
 */
struct fluidnpu_job_sample {
	struct drm_fluidnpu_sample args;
	u8 reported;
	u8 running;
};

/**
 * struct fluidnpu_job - a batch of samples and a program
 * @sched: what the scheduler has of it, or NULL if it does not get the job
 * @ctx: where it came from; pins address space, event ring and device
 * @fence: signals when it has ended
 * @uring: io_uring command that waits for it
 * @node: in fluidnpu_queue.jobs, then in fluidnpu_device.done
 * @wait_node: in fluidnpu_queue.waiting
 * @free_node: in fluidnpu_device.free_jobs, in the end
 * @ctx_node: in fluidnpu_ctx.jobs
 * @pushed: when it came to the device, jiffies
 * @cookie: tells the device's completions of this run of the job from others
 * @program_iova: struct fluidnpu_hw_program
 * @user_data: for its JOB event
 * @mappings: buffers that stay mapped and busy until it has ended
 * @ref: of the submitter until it has dropped its locks, and of whoever will end it
 * @bytes: charged to its client, see fluidnpu_limit.c
 * @slot: index into fluidnpu_queue.slots while the device has it
 * @error: how it ended, 0 or a negative errno
 * @program_bytes: its readable size
 * @stop_layer: samples that get there are handed back, or 0
 * @flags: DRM_FLUIDNPU_JOB_*
 * @events_left: entries of the event ring that are still reserved for it
 * @left: samples that have left or were handed back, a bit mask
 * @num_samples: entries of @samples
 * @num_running: samples that the device has
 * @num_mappings: entries of @mappings
 * @opcode: FLUIDNPU_OP_*
 * @replays: resets of the device that it may have caused
 * @ended: it has ended, but perhaps not those before it
 * @yield: its samples are wanted back
 * @awake: it keeps the device awake, see fluidnpu_pm_get()
 * @samples: one by one
 *
 * Until the job is committed it is the submitter's. Then the queue will end it, once it has come
 * there, or the scheduler, if that has got it: see fluidnpu_hw_unlock(). @node, @wait_node,
 * @slot, @ended, @pushed, @cookie, @error, @yield, @replays, @events_left, @left, @num_running and
 * what @samples are not user space's are protected by hw_lock then, and @ctx_node is always.
 *
 * Each job is allocated, and zeroed: one with a sample and two buffers fits into 256 bytes.
 */
struct fluidnpu_job {
	struct fluidnpu_sched_job *sched;
	struct fluidnpu_ctx *ctx;
	struct fluidnpu_fence *fence;
	struct fluidnpu_uring uring;
	struct list_head node;
	union {
		struct list_head wait_node;
		struct llist_node free_node;
	};
	struct rb_node ctx_node;
	unsigned long pushed;
	u64 cookie;
	u64 program_iova;
	u64 user_data;
	struct fluidnpu_mapping **mappings;
	refcount_t ref;
	u32 bytes;
	u32 slot;
	int error;
	u32 program_bytes;
	u32 stop_layer;
	u32 flags;
	u32 events_left;
	u32 left;
	u32 num_samples;
	u8 num_running;
	u8 num_mappings;
	u8 opcode;
	u8 replays;
	bool ended;
	bool yield;
	bool awake;
	struct fluidnpu_job_sample samples[] __counted_by(num_samples);
};

/* Jobs of one SUBMIT, and how many objects a job and a SUBMIT may name. */
#define FLUIDNPU_MAX_JOBS	64
#define FLUIDNPU_MAX_JOB_BOS	64
#define FLUIDNPU_MAX_SYNCS	64

struct drm_device;
struct drm_file;

/* fluidnpu_sched.c */
int fluidnpu_sched_init(struct fluidnpu_queue *queue);
int fluidnpu_sched_prepare(struct fluidnpu_job *job, struct drm_file *file);
int fluidnpu_sched_depend(struct fluidnpu_job *job, struct dma_fence *fence);
void fluidnpu_sched_unprepare(struct fluidnpu_job *job);
void fluidnpu_sched_push(struct fluidnpu_job *job);

/* fluidnpu_timeout.c */
void fluidnpu_timeout_check(struct fluidnpu_device *fdev);

/* fluidnpu_job.c */
int fluidnpu_ioctl_yield(struct drm_device *drm, void *data, struct drm_file *file);
int fluidnpu_yield(struct drm_file *file, const struct drm_fluidnpu_yield *args);
void fluidnpu_job_put(struct fluidnpu_job *job);
void fluidnpu_job_put_later(struct fluidnpu_job *job);
void fluidnpu_job_release_work(struct work_struct *work);

/* With hw_lock. */
void fluidnpu_job_remember(struct fluidnpu_job *job);
bool fluidnpu_job_sample(struct fluidnpu_job *job, struct fluidnpu_hw_cqe *cqe);
void fluidnpu_job_hand_back(struct fluidnpu_job *job, const struct fluidnpu_hw_cqe *cqe);
void fluidnpu_job_end(struct fluidnpu_job *job, int error, const struct fluidnpu_hw_cqe *cqe);

/* fluidnpu_queue.c; with hw_lock, where not said otherwise */
int fluidnpu_queue_init(struct fluidnpu_queue *queue);		/* without */
void fluidnpu_queue_start(struct fluidnpu_queue *queue);
u32 fluidnpu_queue_status(struct fluidnpu_queue *queue);
void fluidnpu_queue_resume(struct fluidnpu_queue *queue);
bool fluidnpu_queue_stop(struct fluidnpu_queue *queue);
bool fluidnpu_queue_can_restart(struct fluidnpu_queue *queue);
const struct fluidnpu_hw_sqe *fluidnpu_queue_entry(const struct fluidnpu_queue *queue,
						   const struct fluidnpu_job *job);
bool fluidnpu_queue_has_room(struct fluidnpu_queue *queue, u32 jobs);	/* without */
void fluidnpu_queue_add(struct fluidnpu_queue *queue, struct fluidnpu_job *job);
void fluidnpu_queue_pass(struct fluidnpu_queue *queue, struct fluidnpu_job *job, int error);
void fluidnpu_queue_push_yield(struct fluidnpu_queue *queue, struct fluidnpu_job *job);
struct fluidnpu_queue *fluidnpu_queue_find(struct fluidnpu_device *fdev, u64 cookie,
					   struct fluidnpu_job **job);
void fluidnpu_queue_retire(struct fluidnpu_queue *queue, struct fluidnpu_job *job);
void fluidnpu_queue_advance(struct fluidnpu_queue *queue);
void fluidnpu_queue_restart(struct fluidnpu_queue *queue, struct fluidnpu_job *guilty,
			    bool suspect);
void fluidnpu_queue_fail_all(struct fluidnpu_queue *queue, int error);
void fluidnpu_hw_unlock(struct fluidnpu_device *fdev, unsigned long flags)
	__releases(&fdev->hw_lock);

/* fluidnpu_cq.c, likewise */
int fluidnpu_cq_init(struct fluidnpu_device *fdev);		/* without */
void fluidnpu_cq_start(struct fluidnpu_device *fdev);
u32 fluidnpu_cq_drain(struct fluidnpu_device *fdev);
void fluidnpu_cq_ack(struct fluidnpu_device *fdev, u32 halted);
void fluidnpu_cq_expect(struct fluidnpu_device *fdev);
bool fluidnpu_cq_is_idle(struct fluidnpu_device *fdev);
void fluidnpu_cq_poll_work(struct work_struct *work);		/* without */
irqreturn_t fluidnpu_irq_completion(int irq, void *data);	/* without */

#endif
