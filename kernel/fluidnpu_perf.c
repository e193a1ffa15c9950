// SPDX-License-Identifier: GPL-2.0
/*
 * FluidNPU accel driver: counters of the device, statistics of its clients.
 *
 * The device forgets its counters when it is reset or sleeps. What they were is
 * added to a base before, so that what users read only grows. From then on until
 * the device has started again the base is all there is: reading never wakes
 * a device, and never sees the same events in the base and in the registers.
 *
 * Statistics of a client are counted here, from what the device tells of its jobs.
 */
#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_print.h>

#include "fluidnpu_ctx.h"
#include "fluidnpu_device.h"
#include "fluidnpu_job.h"
#include "fluidnpu_perf.h"

static_assert(FLUIDNPU_PERF_QUEUES == FLUIDNPU_NUM_PRIORITIES);

static u64 fluidnpu_perf_register(struct fluidnpu_device *fdev, int queue, u32 index)
{
	u32 reg = queue < 0 ? FLUIDNPU_REG_COUNTERS : FLUIDNPU_REG_QUEUE_COUNTERS(queue);

	lockdep_assert_held(&fdev->perf.lock);
	return fluidnpu_read64(fdev, reg + index * sizeof(u64));
}

/* A device that has been pulled out reads as all ones. */
static bool fluidnpu_perf_answers(struct fluidnpu_device *fdev)
{
	return fluidnpu_read(fdev, FLUIDNPU_REG_MAGIC) == FLUIDNPU_MAGIC;
}

/**
 * fluidnpu_perf_init - before anything else of this file
 * @fdev: the device, not started
 */
void fluidnpu_perf_init(struct fluidnpu_device *fdev)
{
	spin_lock_init(&fdev->perf.lock);
	fdev->perf.stopped = true;
}

/**
 * fluidnpu_perf_save - the device is about to forget its counters
 * @fdev: the device, awake; registers are not read again before fluidnpu_perf_start()
 *
 * Comes before each reset and each sleep, does nothing when it has come before.
 */
void fluidnpu_perf_save(struct fluidnpu_device *fdev)
{
	struct fluidnpu_perf *perf = &fdev->perf;
	unsigned long flags;
	int queue;
	u32 i;

	spin_lock_irqsave(&perf->lock, flags);
	if (!perf->stopped && fluidnpu_perf_answers(fdev)) {
		for (queue = FLUIDNPU_PERF_ALL; queue < (int)fdev->num_queues; queue++) {
			for (i = 0; i < FLUIDNPU_CNT_NUM; i++)
				perf->base[1 + queue].values[i] +=
					fluidnpu_perf_register(fdev, queue, i);
		}
		perf->base[0].time = fluidnpu_read64(fdev, FLUIDNPU_REG_TIME_LO);
	}
	perf->stopped = true;
	spin_unlock_irqrestore(&perf->lock, flags);
}

/**
 * fluidnpu_perf_start - the device counts again, from zero
 * @fdev: the device, awake and ready
 */
void fluidnpu_perf_start(struct fluidnpu_device *fdev)
{
	unsigned long flags;

	spin_lock_irqsave(&fdev->perf.lock, flags);
	fdev->perf.stopped = false;
	spin_unlock_irqrestore(&fdev->perf.lock, flags);
}

/* Counters @first to @first + @count - 1 of a queue or of all, at one time. */
static int fluidnpu_perf_read_some(struct fluidnpu_device *fdev, int queue, u32 first, u32 count,
				   u64 *values, u64 *time)
{
	struct fluidnpu_perf *perf = &fdev->perf;
	unsigned long flags;
	int idx, ret = 0;
	u32 i;

	if (!drm_dev_enter(&fdev->drm, &idx))
		return -ENODEV;

	spin_lock_irqsave(&perf->lock, flags);
	*time = perf->stopped ? perf->base[0].time : fluidnpu_read64(fdev, FLUIDNPU_REG_TIME_LO);
	for (i = 0; i < count; i++) {
		values[i] = perf->base[1 + queue].values[first + i];
		if (!perf->stopped)
			values[i] += fluidnpu_perf_register(fdev, queue, first + i);
	}
	if (!perf->stopped && !fluidnpu_perf_answers(fdev))
		ret = -ENODEV;
	spin_unlock_irqrestore(&perf->lock, flags);

	drm_dev_exit(idx);
	return ret;
}

/**
 * fluidnpu_perf_time - device time, without waking the device
 * @fdev: the device
 * @time: cycles; of a device that sleeps: when it began to
 *
 * Return: 0 or -ENODEV.
 */
int fluidnpu_perf_time(struct fluidnpu_device *fdev, u64 *time)
{
	return fluidnpu_perf_read_some(fdev, FLUIDNPU_PERF_ALL, 0, 0, NULL, time);
}

/**
 * fluidnpu_perf_counter - read one counter, without waking the device
 * @fdev: the device
 * @queue: index or FLUIDNPU_PERF_ALL
 * @index: enum fluidnpu_counter
 * @value: result
 *
 * Return: 0 or -ENODEV.
 */
int fluidnpu_perf_counter(struct fluidnpu_device *fdev, int queue, u32 index, u64 *value)
{
	u64 time;

	return fluidnpu_perf_read_some(fdev, queue, index, 1, value, &time);
}

/**
 * fluidnpu_perf_read - read all counters at once, without waking the device
 * @fdev: the device
 * @queue: index or FLUIDNPU_PERF_ALL
 * @counters: result
 *
 * Return: 0 or -ENODEV.
 */
int fluidnpu_perf_read(struct fluidnpu_device *fdev, int queue,
		       struct drm_fluidnpu_counters *counters)
{
	return fluidnpu_perf_read_some(fdev, queue, 0, FLUIDNPU_CNT_NUM, counters->values,
				       &counters->time);
}

/* Statistics are those of a context, and of its client. */
static void fluidnpu_stats_accept(struct fluidnpu_stats *stats, const struct fluidnpu_job *job,
				  bool inject)
{
	atomic64_inc(&stats->jobs);
	atomic64_add(job->num_samples, &stats->samples);
	if (inject)
		atomic64_inc(&stats->injects);
}

/**
 * fluidnpu_perf_job_accepted - a job is being committed
 * @job: nobody else knows it yet
 * @inject: by INJECT
 */
void fluidnpu_perf_job_accepted(struct fluidnpu_job *job, bool inject)
{
	fluidnpu_stats_accept(&job->ctx->stats, job, inject);
	fluidnpu_stats_accept(&job->ctx->ffile->stats, job, inject);
}

static void fluidnpu_stats_sample(struct fluidnpu_stats *stats, const struct fluidnpu_hw_cqe *cqe)
{
	if (cqe->type == FLUIDNPU_CQE_YIELD)
		atomic64_inc(&stats->yields);
	else
		atomic64_inc(&stats->exits[cqe->exit_index]);
}

/**
 * fluidnpu_perf_sample - a sample has left or was handed back
 * @job: that it belongs to
 * @cqe: of type EXIT or YIELD, told for the first time
 */
void fluidnpu_perf_sample(struct fluidnpu_job *job, const struct fluidnpu_hw_cqe *cqe)
{
	fluidnpu_stats_sample(&job->ctx->stats, cqe);
	fluidnpu_stats_sample(&job->ctx->ffile->stats, cqe);
}

/* What the jobs of a queue have had since @time. */
static u64 fluidnpu_busy_since(const struct fluidnpu_busy *busy, u64 time)
{
	u32 i, entry = 0;

	for (i = 1; i <= FLUIDNPU_BUSY_PAST; i++) {
		entry = (busy->next - i) % FLUIDNPU_BUSY_PAST;
		if (busy->past[entry].time <= time)
			break;
	}
	return busy->total - busy->past[entry].total;
}

/* The NPU cycles that a job adds to those of its queue, and of its client. */
static u64 fluidnpu_busy_account(struct fluidnpu_queue *queue, const struct fluidnpu_hw_cqe *cqe)
{
	struct fluidnpu_busy *busy = &queue->busy;
	struct fluidnpu_device *fdev = queue->fdev;
	u64 cycles, added;
	u32 i;

	if (cqe->started >= busy->end) {
		busy->start = cqe->started;
		busy->end = cqe->time;
		busy->cycles = 0;
	}
	busy->start = min(busy->start, cqe->started);
	busy->end = max(busy->end, cqe->time);

	cycles = busy->end - busy->start;
	for (i = queue->index + 1; i < fdev->num_queues; i++)
		cycles -= min(cycles, fluidnpu_busy_since(&fdev->queues[i].busy, busy->start));
	added = cycles > busy->cycles ? cycles - busy->cycles : 0;

	busy->cycles += added;
	busy->total += added;
	i = busy->next++ % FLUIDNPU_BUSY_PAST;
	busy->past[i].time = cqe->time;
	busy->past[i].total = busy->total;
	return added;
}

static void fluidnpu_stats_end(struct fluidnpu_stats *stats, int error,
			       const struct fluidnpu_hw_cqe *cqe)
{
	atomic64_inc(&stats->jobs_ended);
	if (error)
		atomic64_inc(&stats->job_errors);
	/* All zero if the driver made the completion up. */
	if (!cqe || !cqe->started)
		return;
	if (cqe->time > cqe->started)
		atomic64_add(cqe->time - cqe->started, &stats->busy_cycles);
	if (cqe->started > cqe->queued)
		atomic64_add(cqe->started - cqe->queued, &stats->wait_cycles);
}

/**
 * fluidnpu_perf_job_end - a job has ended
 * @job: job
 * @error: 0 or a negative errno
 * @cqe: the device's completion or NULL
 */
void fluidnpu_perf_job_end(struct fluidnpu_job *job, int error, const struct fluidnpu_hw_cqe *cqe)
{
	struct fluidnpu_ctx *ctx = job->ctx;

	fluidnpu_stats_end(&ctx->stats, error, cqe);
	fluidnpu_stats_end(&ctx->ffile->stats, error, cqe);
	if (cqe && cqe->started && cqe->time > cqe->started)
		atomic64_add(fluidnpu_busy_account(ctx->queue, cqe), &ctx->ffile->npu_cycles);
}

static void fluidnpu_perf_fill(struct drm_fluidnpu_perf *args, struct fluidnpu_stats *stats)
{
	u32 i;

	for (i = 0; i < FLUIDNPU_MAX_EXITS; i++)
		args->exits[i] = atomic64_read(&stats->exits[i]);
	args->yields = atomic64_read(&stats->yields);
	args->busy_cycles = atomic64_read(&stats->busy_cycles);
	args->wait_cycles = atomic64_read(&stats->wait_cycles);
	args->job_errors = atomic64_read(&stats->job_errors);
	args->jobs_ended = atomic64_read(&stats->jobs_ended);
	/*
	 * No more can have ended than were accepted: a job is counted before it is sent
	 * on its way, and the locks on that order it before its end.
	 */
	smp_rmb();
	args->injects = atomic64_read(&stats->injects);
	args->samples = atomic64_read(&stats->samples);
	args->jobs = atomic64_read(&stats->jobs);
}

/**
 * fluidnpu_ioctl_perf - PERF
 * @drm: device
 * @data: struct drm_fluidnpu_perf
 * @file: client
 *
 * Return: 0 or a negative errno.
 */
int fluidnpu_ioctl_perf(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct fluidnpu_device *fdev = to_fluidnpu_device(drm);
	struct fluidnpu_file *ffile = file->driver_priv;
	struct drm_fluidnpu_perf *args = data;
	struct fluidnpu_ctx *ctx;
	int ret;

	if (args->flags) {
		drm_dbg(drm, "perf: flags %#x is not 0\n", args->flags);
		return -EINVAL;
	}

	if (args->ctx_id) {
		ctx = fluidnpu_ctx_lookup(ffile, args->ctx_id);
		if (!ctx) {
			drm_dbg(drm, "perf: no context %u\n", args->ctx_id);
			return -ENOENT;
		}
		fluidnpu_perf_fill(args, &ctx->stats);
		fluidnpu_ctx_put(ctx);
	} else {
		fluidnpu_perf_fill(args, &ffile->stats);
	}
	args->memory_bytes = atomic64_read(&ffile->memory_bytes);

	ret = fluidnpu_perf_time(fdev, &args->time);
	if (ret)
		drm_dbg(drm, "perf: the device is gone\n");
	return ret;
}
