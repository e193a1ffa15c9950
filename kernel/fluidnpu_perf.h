/* SPDX-License-Identifier: GPL-2.0 */
/*
 * FluidNPU accel driver: counters of the device, statistics of its clients.
 */
#ifndef _FLUIDNPU_PERF_H
#define _FLUIDNPU_PERF_H

#include <linux/atomic.h>
#include <linux/spinlock.h>

#include <fluidnpu_drm.h>

struct drm_device;
struct drm_file;
struct fluidnpu_device;
struct fluidnpu_job;

/* Of the driver's queues, see FLUIDNPU_NUM_PRIORITIES. */
#define FLUIDNPU_PERF_QUEUES	4

/* In place of a queue: all of them together. */
#define FLUIDNPU_PERF_ALL	(-1)

/**
 * struct fluidnpu_perf - what the counters of the device were before it forgot them
 * @lock: protects the rest, and the counters from a reset while they are read; taken
 *	in interrupts
 * @stopped: the registers are not to be read: the device is being reset, or sleeps
 * @base: to be added to the registers, of the device and of each queue; @base[0].time is the
 *	device time of the last fluidnpu_perf_save()
 */
struct fluidnpu_perf {
	spinlock_t lock; /* see above */
	bool stopped;
	struct drm_fluidnpu_counters base[1 + FLUIDNPU_PERF_QUEUES];
};

/**
 * struct fluidnpu_stats - what a client or a context has used, see struct drm_fluidnpu_perf
 * @jobs: accepted
 * @jobs_ended: of these
 * @job_errors: of these
 * @injects: jobs accepted by INJECT
 * @samples: in jobs accepted
 * @yields: samples handed back
 * @busy_cycles: from start to end of each job
 * @wait_cycles: from arrival at the device to start of each job
 * @exits: samples that left, per exit
 */
struct fluidnpu_stats {
	atomic64_t jobs;
	atomic64_t jobs_ended;
	atomic64_t job_errors;
	atomic64_t injects;
	atomic64_t samples;
	atomic64_t yields;
	atomic64_t busy_cycles;
	atomic64_t wait_cycles;
	atomic64_t exits[FLUIDNPU_MAX_EXITS];
};

/* Preemptions of a job that are told apart, see struct fluidnpu_busy. */
#define FLUIDNPU_BUSY_PAST	32

/**
 * struct fluidnpu_busy - what the jobs of a queue have had of the NPU
 * @start: of the first of the last jobs that overlap in time
 * @end: of the last of them
 * @cycles: what they have had together
 * @total: what all jobs have had
 * @past: what @total was at which device time, a ring
 * @next: entry of @past to write, counts on without wrapping
 *
 * Jobs overlap if they have shared a batch, and only then: their common time counts
 * once. While a queue above is busy they stand still. What a preempted job is told of
 * is only its start and its end, so that is taken from what the queues above had in
 * between; if there was too much of it for @past, a job seems busier than it was.
 *
 * Protected by fluidnpu_device.hw_lock.
 */
struct fluidnpu_busy {
	u64 start;
	u64 end;
	u64 cycles;
	u64 total;
	struct {
		u64 time;
		u64 total;
	} past[FLUIDNPU_BUSY_PAST];
	u32 next;
};

void fluidnpu_perf_init(struct fluidnpu_device *fdev);
void fluidnpu_perf_save(struct fluidnpu_device *fdev);
void fluidnpu_perf_start(struct fluidnpu_device *fdev);

int fluidnpu_perf_time(struct fluidnpu_device *fdev, u64 *time);
int fluidnpu_perf_counter(struct fluidnpu_device *fdev, int queue, u32 index, u64 *value);
int fluidnpu_perf_read(struct fluidnpu_device *fdev, int queue,
		       struct drm_fluidnpu_counters *counters);

void fluidnpu_perf_job_accepted(struct fluidnpu_job *job, bool inject);
void fluidnpu_perf_sample(struct fluidnpu_job *job, const struct fluidnpu_hw_cqe *cqe);
void fluidnpu_perf_job_end(struct fluidnpu_job *job, int error, const struct fluidnpu_hw_cqe *cqe);

int fluidnpu_ioctl_perf(struct drm_device *drm, void *data, struct drm_file *file);

#endif
