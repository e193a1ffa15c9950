/* SPDX-License-Identifier: GPL-2.0 */
/*
 * FluidNPU accel driver: the device, its registers and its queues.
 */
#ifndef _FLUIDNPU_DEVICE_H
#define _FLUIDNPU_DEVICE_H

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/idr.h>
#include <linux/io.h>
#include <linux/llist.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/sizes.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include <drm/drm_device.h>
#include <drm/gpu_scheduler.h>

#include <fluidnpu_drm.h>

#include "fluidnpu_perf.h"

/* Contexts have four priorities; each has a hardware queue if there are four. */
#define FLUIDNPU_NUM_PRIORITIES		4

/* Jobs that a queue of the device holds at a time, and entries of its ring: YIELDs need some. */
#define FLUIDNPU_RING_JOBS		64
#define FLUIDNPU_RING_ENTRIES		256

#define FLUIDNPU_CQ_ENTRIES		1024

/* How much later than its cause an interrupt comes at most, while there are many jobs. */
#define FLUIDNPU_COALESCE_NS		100000

/* Why the registers of a device must be left alone. */
#define FLUIDNPU_OFF_ASLEEP		BIT(0)	/* suspended, on its own or with the system */
#define FLUIDNPU_OFF_RESET		BIT(1)	/* somebody else is resetting it */
#define FLUIDNPU_OFF_WEDGED		BIT(2)	/* it does not come back after a reset */
#define FLUIDNPU_OFF_LOST		BIT(3)	/* it does not answer any more */
#define FLUIDNPU_OFF_REMOVED		BIT(4)	/* the driver has let go of it */

/* Low addresses stay unmapped, so that 0 and small offsets from it fault. */
#define FLUIDNPU_VA_START		((u64)SZ_1M)
#define FLUIDNPU_VA_END			BIT_ULL(FLUIDNPU_VA_BITS)

struct fluidnpu_coredump;
struct fluidnpu_job;
struct fluidnpu_vm;

/**
 * struct fluidnpu_queue - a hardware queue and its scheduler
 * @fdev: the device
 * @index: of the queue in the device
 * @sched: has the jobs that cannot come here at once, see fluidnpu_sched.c
 * @ring: submission ring
 * @ring_dma: its bus address
 * @tables: sample tables, max_batch entries for each slot
 * @tables_dma: their bus address
 * @first: serial number of the ring's entry 0
 * @head: serial number of the oldest entry that the device may not have taken
 * @tail: serial number of the next entry to write
 * @free_slots: bit mask
 * @slots: the jobs that the device has, NULL where free
 * @waiting: jobs that there was no room for
 * @jobs: all of these and those that have ended before an older one, whose fences wait
 *	for that one; in the order in which they came
 * @num_ended: of @jobs, have ended
 * @busy: what its jobs have had of the NPU
 * @watched: the oldest job has been seen with nothing that keeps it from ending, and no
 *	job of this queue or one above has ended since
 * @watched_from: device time when that was
 * @watched_from_jiffies: likewise
 *
 * Everything below @sched is protected by fluidnpu_device.hw_lock.
 */
struct fluidnpu_queue {
	struct fluidnpu_device *fdev;
	u32 index;
	struct drm_gpu_scheduler sched;
	struct fluidnpu_hw_sqe *ring;
	dma_addr_t ring_dma;
	struct fluidnpu_hw_sample *tables;
	dma_addr_t tables_dma;
	u64 first;
	u64 head;
	u64 tail;
	u64 free_slots;
	struct fluidnpu_job *slots[FLUIDNPU_RING_JOBS];
	struct list_head waiting;
	struct list_head jobs;
	u32 num_ended;
	struct fluidnpu_busy busy;
	bool watched;
	u64 watched_from;
	unsigned long watched_from_jiffies;
};

/**
 * struct fluidnpu_cq - the completion ring
 * @ring: entries that the device writes
 * @dma: bus address of @ring
 * @head: next entry to read, counts on without wrapping
 * @acked: what the device knows of @head
 * @polled: fluidnpu_device.poll_work is on its way
 * @coalescing: completions share interrupts
 * @timer_cycles: how long they wait for others then, at most
 * @streak: completions that came no further apart than that, since @coalescing changed
 * @last_time: device time of the last one
 * @load: jobs that have been committed and not ended
 * @unseen: jobs that have ended and whose io_uring commands their clients have not got;
 *	needs no lock
 *
 * Protected by fluidnpu_device.hw_lock.
 */
struct fluidnpu_cq {
	struct fluidnpu_hw_cqe *ring;
	dma_addr_t dma;
	u32 head;
	u32 acked;
	bool polled;
	bool coalescing;
	u32 timer_cycles;
	u32 streak;
	u64 last_time;
	u32 load;
	atomic_t unseen;
};

/**
 * struct fluidnpu_device - one NPU
 * @drm: base
 * @index: among the NPUs of this driver, for udev
 * @regs: BAR 0; only between drm_dev_enter() and drm_dev_exit()
 * @hw_version: FLUIDNPU_REG_VERSION
 * @features: FLUIDNPU_FEATURE_*
 * @clock_hz: device clock
 * @geometry: as read at probe
 * @num_queues: queues in use
 * @queues: hardware queues, priority grows with the index
 * @cq: completion ring
 * @hw_lock: protects rings, completion ring and the queue registers; taken in
 *	interrupts
 * @done: jobs that have ended and whose fences are to be signalled, see fluidnpu_hw_unlock();
 *	protected by @hw_lock, like the next one
 * @signalling: somebody does
 * @off: FLUIDNPU_OFF_*, 0: the registers can be used; written with @as_lock and @hw_lock,
 *	so that each of them keeps it as it is
 * @reg64_lock: between the two halves of a 64-bit register
 * @perf: counters from before the last reset or sleep
 * @as_lock: protects the AS_* registers and @vms
 * @as_ida: address spaces in use
 * @vms: address spaces that the device must know after a reset
 * @memory_bytes: of all buffers that were created here and are not freed
 * @bo_lock: protects @bos
 * @bos: buffers that are mapped for DMA, to unmap them when the device goes
 * @tdr_wq: ordered; timeouts and resets
 * @reset_work: reset after STATUS.FATAL
 * @poll_work: looks for completions whose interrupt was lost, whether the device is
 *	still there, and for jobs that hang
 * @uevent_work: tells user space of resets
 * @num_fatal: of those in a row, for @reset_work
 * @last_fatal: jiffies of the last one
 * @coredump: snapshot for user space
 * @pm_users: of fluidnpu_pm_get()
 * @suspended: the system sleeps or is about to, the schedulers are stopped
 * @free_jobs: jobs whose resources wait for @free_work
 * @free_work: frees what a job holds, see fluidnpu_job_put()
 * @users: fences and contexts that outlive remove(), plus one for the driver
 * @put_work: drops the device reference that @users holds
 */
struct fluidnpu_device {
	struct drm_device drm;
	int index;
	void __iomem *regs;
	u32 hw_version;
	u32 features;
	u32 clock_hz;
	struct fluidnpu_hw_geometry geometry;
	u32 num_queues;
	struct fluidnpu_queue queues[FLUIDNPU_NUM_PRIORITIES];
	struct fluidnpu_cq cq;
	spinlock_t hw_lock; /* see above */
	struct list_head done;
	bool signalling;
	u32 off;
	spinlock_t reg64_lock; /* see above */
	struct fluidnpu_perf perf;
	struct mutex as_lock; /* see above */
	struct ida as_ida;
	struct fluidnpu_vm *vms[FLUIDNPU_MAX_AS];
	atomic64_t memory_bytes;
	struct mutex bo_lock; /* see above */
	struct list_head bos;
	struct workqueue_struct *tdr_wq;
	struct work_struct reset_work;
	struct delayed_work poll_work;
	struct work_struct uevent_work;
	u32 num_fatal;
	unsigned long last_fatal;
	struct fluidnpu_coredump *coredump;
	atomic_t pm_users;
	bool suspended;
	struct llist_head free_jobs;
	struct work_struct free_work;
	refcount_t users;
	struct work_struct put_work;
};

#define to_fluidnpu_device(ptr) container_of(ptr, struct fluidnpu_device, drm)

/* Work that must be able to outlive a device; flushed at module exit. */
extern struct workqueue_struct *fluidnpu_wq;

static inline u32 fluidnpu_read(struct fluidnpu_device *fdev, u32 reg)
{
	return readl(fdev->regs + reg);
}

static inline void fluidnpu_write(struct fluidnpu_device *fdev, u32 reg, u32 value)
{
	writel(value, fdev->regs + reg);
}

u64 fluidnpu_read64(struct fluidnpu_device *fdev, u32 reg_lo);

struct fluidnpu_device *fluidnpu_device_create(struct device *parent);
void fluidnpu_device_remove(struct fluidnpu_device *fdev);

void fluidnpu_device_get_user(struct fluidnpu_device *fdev);
void fluidnpu_device_put_user(struct fluidnpu_device *fdev);

/* fluidnpu_reset.c */
void fluidnpu_reset_init(struct fluidnpu_device *fdev);
void fluidnpu_reset_fini(struct fluidnpu_device *fdev);
int fluidnpu_device_error(struct fluidnpu_device *fdev);
bool fluidnpu_device_is_ready(struct fluidnpu_device *fdev);
void fluidnpu_device_halt(struct fluidnpu_device *fdev);
void fluidnpu_device_let_go(struct fluidnpu_device *fdev);
bool fluidnpu_device_sleep(struct fluidnpu_device *fdev);
void fluidnpu_device_wake(struct fluidnpu_device *fdev);
void fluidnpu_device_drain(struct fluidnpu_device *fdev, u32 bound_ms);
void fluidnpu_device_check(struct fluidnpu_device *fdev);
void fluidnpu_device_reset(struct fluidnpu_device *fdev, const char *reason,
			   struct fluidnpu_job *guilty);
void fluidnpu_device_report_reset(struct fluidnpu_device *fdev);
void fluidnpu_device_reset_prepare(struct fluidnpu_device *fdev);
void fluidnpu_device_reset_done(struct fluidnpu_device *fdev);

#endif
