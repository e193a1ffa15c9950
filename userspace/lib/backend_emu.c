// SPDX-License-Identifier: MIT
/*
 * The `emu` back end: the NPU's model in this process, with a driver around it.
 *
 * The model (qemu-device/core) is the one that the QEMU device is made of. Here
 * it is driven through the same registers, rings and page tables as the kernel
 * driver uses, so results and the device times of a job are the kernel driver's.
 *
 * Device time is virtual: it stands still until somebody waits, and then
 * jumps to the next event (fnpu_dev_deadline()). Computing happens inline, in the thread that
 * waits. So a single-threaded program always sees the same times, on any host.
 *
 * One hardware queue serves all contexts, in submission order, as all have the same
 * priority. One lock guards everything of an open device.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "backend.h"
#include "context.h"
#include "emu_bus.h"
#include "error.h"
#include "fnpu_core.h"
#include "geometry.h"

#define QUEUE		0u
#define QUEUE_ENTRIES	1024u
#define CQ_ENTRIES	1024u
#define AS_ID		0u
#define VA_START	((uint64_t)FLUIDNPU_PAGE_BYTES)	/* address 0 always faults */
#define VA_END		(1ull << FLUIDNPU_VA_BITS)

#define PAGE_ROUND(bytes) \
	(((bytes) + FLUIDNPU_PAGE_BYTES - 1) & ~(size_t)(FLUIDNPU_PAGE_BYTES - 1))

/**
 * struct emu_ctx - back-end side of a context
 * @reserved: events that jobs in flight may still post
 * @in_flight: jobs
 * @closed: the context is going: no more events
 */
struct emu_ctx {
	struct fnpu_context *ctx;
	uint32_t reserved;
	uint32_t in_flight;
	bool closed;
};

/**
 * struct emu_job - one per entry of the submission ring; sqe.cookie is its index
 * @owner: NULL: a YIELD, or nobody any more
 */
struct emu_job {
	struct emu_ctx *owner;
	bool yield;
	uint64_t user_data;
	uint32_t reserved;
	uint64_t samples[FLUIDNPU_MAX_BATCH];
};

/** struct emu_vma - a mapped range of iovas; the list is sorted */
struct emu_vma {
	struct emu_vma *next;
	uint64_t iova;
	uint64_t addr;
	size_t bytes;
};

struct emu {
	pthread_mutex_t lock;
	struct fnpu_dev *dev;
	uint64_t now;
	struct emu_bus bus;
	uint64_t root;
	struct emu_vma *vmas;
	uint32_t last_handle;

	struct fluidnpu_hw_sqe *sq;
	struct fluidnpu_hw_sample *tables;	/* FLUIDNPU_MAX_BATCH per ring entry */
	uint64_t tables_addr;
	uint32_t tail;
	uint32_t in_flight;
	struct emu_job jobs[QUEUE_ENTRIES];

	struct fluidnpu_hw_cqe *cq;
	uint32_t cq_head;
	uint32_t cq_phase;
};

/* ---- the host that the model asks for ---- */

static bool host_dma_read(void *host, uint64_t addr, void *buf, size_t bytes)
{
	struct emu *emu = host;
	const void *from = emu_bus_at(&emu->bus, addr, bytes);

	if (!from)
		return false;
	memcpy(buf, from, bytes);
	return true;
}

static bool host_dma_write(void *host, uint64_t addr, const void *buf, size_t bytes)
{
	struct emu *emu = host;
	void *to = emu_bus_at(&emu->bus, addr, bytes);

	if (!to)
		return false;
	memcpy(to, buf, bytes);
	return true;
}

/* The completion ring is looked at after every step anyway. */
static void host_interrupt(void *host, unsigned int vector)
{
	(void)host;
	(void)vector;
}

static void host_work_start(void *host)
{
	struct emu *emu = host;

	fnpu_dev_work(emu->dev);
}

static bool host_work_wait(void *host)
{
	(void)host;
	return false;
}

static const struct fnpu_host_ops host_ops = {
	.dma_read = host_dma_read,
	.dma_write = host_dma_write,
	.interrupt = host_interrupt,
	.work_start = host_work_start,
	.work_wait = host_work_wait,
};

static uint32_t reg_read(struct emu *emu, uint32_t reg)
{
	return fnpu_dev_read(emu->dev, reg, emu->now);
}

static void reg_write(struct emu *emu, uint32_t reg, uint32_t value)
{
	fnpu_dev_write(emu->dev, reg, value, emu->now);
}

/* ---- what the kernel driver does: bring-up, completions, events ---- */

static void enable_device(struct emu *emu, uint64_t sq_addr, uint64_t cq_addr)
{
	const uint32_t q = FLUIDNPU_REG_QUEUE(QUEUE);

	reg_write(emu, FLUIDNPU_REG_CTRL, FLUIDNPU_CTRL_RESET);
	reg_write(emu, FLUIDNPU_REG_CQ_BASE_LO, (uint32_t)cq_addr);
	reg_write(emu, FLUIDNPU_REG_CQ_BASE_HI, cq_addr >> 32);
	reg_write(emu, FLUIDNPU_REG_CQ_ENTRIES, CQ_ENTRIES);
	reg_write(emu, FLUIDNPU_REG_AS_SELECT, AS_ID);
	reg_write(emu, FLUIDNPU_REG_AS_ROOT_LO, (uint32_t)emu->root);
	reg_write(emu, FLUIDNPU_REG_AS_ROOT_HI, emu->root >> 32);
	reg_write(emu, FLUIDNPU_REG_AS_CMD, FLUIDNPU_AS_CMD_ENABLE);
	reg_write(emu, q + FLUIDNPU_QREG_BASE_LO, (uint32_t)sq_addr);
	reg_write(emu, q + FLUIDNPU_QREG_BASE_HI, sq_addr >> 32);
	reg_write(emu, q + FLUIDNPU_QREG_ENTRIES, QUEUE_ENTRIES);
	reg_write(emu, q + FLUIDNPU_QREG_PRIORITY, DRM_FLUIDNPU_PRIORITY_NORMAL);
	reg_write(emu, q + FLUIDNPU_QREG_CTRL, FLUIDNPU_QCTRL_ENABLE);
	reg_write(emu, FLUIDNPU_REG_CTRL, FLUIDNPU_CTRL_ENABLE);
}

static void post_event(struct emu_ctx *ectx, const struct drm_fluidnpu_event *event)
{
	struct fnpu_context *ctx = ectx->ctx;
	uint32_t producer = ctx->ring->producer;	/* only written here */

	ectx->reserved--;
	if (ectx->closed)
		return;
	ctx->events[producer & (ctx->entries - 1)] = *event;
	__atomic_store_n(&ctx->ring->producer, producer + 1, __ATOMIC_RELEASE);
}

static void handle_sample(struct emu_job *job, const struct fluidnpu_hw_cqe *cqe)
{
	if (!job->owner || cqe->sample >= FLUIDNPU_MAX_BATCH || job->reserved <= 1)
		return;		/* the last reserved event is the JOB event's */
	job->reserved--;
	post_event(job->owner, &(struct drm_fluidnpu_event){
		.user_data = job->samples[cqe->sample],
		.time = cqe->time,
		.queued = cqe->queued,
		.started = cqe->started,
		.type = cqe->type,
		.exit_index = cqe->exit_index,
		.class_index = cqe->class_index,
		.live_batch = cqe->live_batch,
		.layer = cqe->layer,
		.confidence = cqe->confidence,
		.entropy = cqe->entropy,
		.margin = cqe->margin,
	});
}

static void handle_job(struct emu *emu, struct emu_job *job, const struct fluidnpu_hw_cqe *cqe)
{
	struct emu_ctx *owner = job->owner;

	if (job->yield)
		emu->in_flight--;
	job->yield = false;
	if (!owner)
		return;
	owner->reserved -= job->reserved - 1;
	post_event(owner, &(struct drm_fluidnpu_event){
		.user_data = job->user_data,
		.time = cqe->time,
		.queued = cqe->queued,
		.started = cqe->started,
		.error = cqe->status ? -EIO : 0,
		.type = DRM_FLUIDNPU_EVENT_JOB,
		.live_batch = cqe->live_batch,
		.layer = cqe->layer,
	});
	owner->in_flight--;
	job->owner = NULL;
	emu->in_flight--;
	if (cqe->status)
		reg_write(emu, FLUIDNPU_REG_QUEUE(QUEUE) + FLUIDNPU_QREG_CTRL,
			  FLUIDNPU_QCTRL_RESUME);
}

static void drain_cq(struct emu *emu)
{
	bool any = false;

	while (emu->cq[emu->cq_head].phase == emu->cq_phase) {
		const struct fluidnpu_hw_cqe cqe = emu->cq[emu->cq_head];

		any = true;
		emu->cq_head = (emu->cq_head + 1) % CQ_ENTRIES;
		if (!emu->cq_head)
			emu->cq_phase ^= 1;
		if (cqe.cookie >= QUEUE_ENTRIES)
			continue;
		if (cqe.type == FLUIDNPU_CQE_JOB)
			handle_job(emu, &emu->jobs[cqe.cookie], &cqe);
		else if (cqe.type == FLUIDNPU_CQE_EXIT || cqe.type == FLUIDNPU_CQE_HEAD ||
			 cqe.type == FLUIDNPU_CQE_YIELD)
			handle_sample(&emu->jobs[cqe.cookie], &cqe);
	}
	if (any)
		reg_write(emu, FLUIDNPU_REG_DOORBELL_CQ, emu->cq_head);
}

/* Moves device time to the next event. False: there is none. */
static bool step(struct emu *emu)
{
	uint64_t deadline = fnpu_dev_deadline(emu->dev);

	if (deadline == FNPU_NEVER)
		return false;
	if (deadline > emu->now)
		emu->now = deadline;
	fnpu_dev_advance(emu->dev, emu->now);
	drain_cq(emu);
	return true;
}

/* ---- device ---- */

static uint64_t counter(struct emu *emu, uint32_t reg)
{
	uint64_t low = reg_read(emu, reg);	/* latches the upper half */

	return low | (uint64_t)reg_read(emu, reg + 4) << 32;
}

static int emu_counters(struct fnpu_device *device, struct fnpu_counters *counters)
{
	struct emu *emu = device->priv;

	pthread_mutex_lock(&emu->lock);
	counters->time = counter(emu, FLUIDNPU_REG_TIME_LO);
	for (unsigned int i = 0; i < FLUIDNPU_CNT_NUM; i++)
		counters->values[i] = counter(emu, FLUIDNPU_REG_COUNTERS + 8 * i);
	pthread_mutex_unlock(&emu->lock);
	return 0;
}

static void read_info(struct emu *emu, struct fnpu_device_info *info)
{
	for (uint32_t offset = 0; offset < sizeof(info->geometry); offset += sizeof(uint32_t)) {
		uint32_t word = reg_read(emu, FLUIDNPU_REG_GEOMETRY + offset);

		memcpy((char *)&info->geometry + offset, &word, sizeof(word));
	}
	info->hw_version = reg_read(emu, FLUIDNPU_REG_VERSION);
	info->features = reg_read(emu, FLUIDNPU_REG_FEATURES);
	info->clock_hz = reg_read(emu, FLUIDNPU_REG_CLOCK_HZ);
	snprintf(info->driver, sizeof(info->driver), "libfluidnpu emu %s", fnpu_version());
}

static int emu_open(struct fnpu_device *device, const char *path, struct fnpu_error *error)
{
	struct fnpu_config config;
	struct fnpu_error reason;
	uint64_t sq_addr, cq_addr;
	struct emu *emu;

	fnpu_config_default(&config);
	if (fnpu_config_set(&config, path, &reason))
		return fnpu_fail(error, -EINVAL, "the emulated NPU cannot be: %s", reason.text);
	emu = calloc(1, sizeof(*emu));
	if (!emu)
		return fnpu_fail(error, -ENOMEM, "out of memory");
	pthread_mutex_init(&emu->lock, NULL);
	emu->cq_phase = 1;
	emu->sq = emu_bus_alloc(&emu->bus, PAGE_ROUND(QUEUE_ENTRIES * sizeof(*emu->sq)), &sq_addr);
	emu->cq = emu_bus_alloc(&emu->bus, PAGE_ROUND(CQ_ENTRIES * sizeof(*emu->cq)), &cq_addr);
	emu->tables = emu_bus_alloc(&emu->bus, PAGE_ROUND(QUEUE_ENTRIES * FLUIDNPU_MAX_BATCH *
							  sizeof(*emu->tables)),
				    &emu->tables_addr);
	if (emu->sq && emu->cq && emu->tables &&
	    emu_bus_alloc(&emu->bus, FLUIDNPU_PAGE_BYTES, &emu->root))
		emu->dev = fnpu_dev_new(&config, &host_ops, emu);
	if (!emu->dev) {
		emu_bus_free_all(&emu->bus);
		pthread_mutex_destroy(&emu->lock);
		free(emu);
		return fnpu_fail(error, -ENOMEM, "out of memory");
	}
	enable_device(emu, sq_addr, cq_addr);
	read_info(emu, &device->info);
	device->priv = emu;
	return 0;
}

static void emu_close(struct fnpu_device *device)
{
	struct emu *emu = device->priv;
	struct emu_vma *vma;

	fnpu_dev_free(emu->dev);
	while ((vma = emu->vmas)) {
		emu->vmas = vma->next;
		free(vma);
	}
	emu_bus_free_all(&emu->bus);
	pthread_mutex_destroy(&emu->lock);
	free(emu);
}

/* ---- buffers ---- */

/* First hole of @bytes in the iova space, or NULL: the link to insert at. */
static struct emu_vma **find_hole(struct emu *emu, size_t bytes, uint64_t *iova)
{
	struct emu_vma **link = &emu->vmas;

	*iova = VA_START;
	for (; *link; link = &(*link)->next) {
		if ((*link)->iova - *iova >= bytes)
			return link;
		*iova = (*link)->iova + (*link)->bytes;
	}
	return VA_END - *iova >= bytes ? link : NULL;
}

static void flush_tlb(struct emu *emu)
{
	reg_write(emu, FLUIDNPU_REG_AS_SELECT, AS_ID);
	reg_write(emu, FLUIDNPU_REG_AS_CMD, FLUIDNPU_AS_CMD_FLUSH);
}

static int map_locked(struct emu *emu, struct fnpu_bo *bo, struct emu_vma *vma, int flags, int fd,
		      struct fnpu_error *error)
{
	struct emu_vma **link = find_hole(emu, bo->bytes, &vma->iova);

	if (!link)
		return fnpu_fail(error, -ENOSPC, "no room for %zu bytes in the NPU's address space",
				 bo->bytes);
	bo->map = mmap(NULL, bo->bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (bo->map == MAP_FAILED)
		return fnpu_fail(error, -errno, "cannot map %zu bytes for a buffer: %s", bo->bytes,
				 strerror(errno));
	if (emu_bus_add(&emu->bus, bo->map, bo->bytes, &vma->addr)) {
		munmap(bo->map, bo->bytes);
		return fnpu_fail(error, -ENOMEM, "out of memory");
	}
	if (emu_pt_map(&emu->bus, emu->root, vma->iova, vma->addr,
		       bo->bytes >> FLUIDNPU_PAGE_SHIFT)) {
		emu_pt_unmap(&emu->bus, emu->root, vma->iova, bo->bytes >> FLUIDNPU_PAGE_SHIFT);
		emu_bus_free(&emu->bus, vma->addr);
		return fnpu_fail(error, -ENOMEM, "no memory for page tables");
	}
	vma->bytes = bo->bytes;
	vma->next = *link;
	*link = vma;
	bo->iova = vma->iova;
	bo->handle = ++emu->last_handle;
	return 0;
}

/* Memory as mmap(2) has it for @flags and @fd, which the NPU gets to see. */
static int map_bo(struct fnpu_bo *bo, int flags, int fd, struct fnpu_error *error)
{
	struct emu *emu = bo->device->priv;
	struct emu_vma *vma = calloc(1, sizeof(*vma));
	int ret;

	if (!vma)
		return fnpu_fail(error, -ENOMEM, "out of memory");
	pthread_mutex_lock(&emu->lock);
	ret = map_locked(emu, bo, vma, flags, fd, error);
	pthread_mutex_unlock(&emu->lock);
	if (ret)
		free(vma);
	return ret;
}

static int emu_bo_create(struct fnpu_bo *bo, struct fnpu_error *error)
{
	return map_bo(bo, MAP_PRIVATE | MAP_ANONYMOUS, -1, error);
}

static int emu_bo_import(struct fnpu_bo *bo, int fd, struct fnpu_error *error)
{
	struct stat st;

	if (fstat(fd, &st))
		return fnpu_fail(error, -errno, "cannot import file descriptor %d: %s", fd,
				 strerror(errno));
	if (st.st_size <= 0)
		return fnpu_fail(error, -EINVAL, "file descriptor %d has no bytes to import", fd);
	bo->bytes = PAGE_ROUND((size_t)st.st_size);
	return map_bo(bo, MAP_SHARED, fd, error);
}

static void emu_bo_destroy(struct fnpu_bo *bo)
{
	struct emu *emu = bo->device->priv;
	struct emu_vma **link, *vma;

	pthread_mutex_lock(&emu->lock);
	/* Jobs keep their buffers alive: let those in flight end first. */
	while (emu->in_flight && step(emu))
		;
	for (link = &emu->vmas; *link && (*link)->iova != bo->iova; link = &(*link)->next)
		;
	vma = *link;
	if (vma) {
		*link = vma->next;
		emu_pt_unmap(&emu->bus, emu->root, vma->iova, vma->bytes >> FLUIDNPU_PAGE_SHIFT);
		flush_tlb(emu);
		emu_bus_free(&emu->bus, vma->addr);
		free(vma);
	}
	pthread_mutex_unlock(&emu->lock);
}

/* ---- contexts ---- */

static int emu_ctx_create(struct fnpu_context *ctx, const char *submission,
			  struct fnpu_error *error)
{
	struct emu_ctx *ectx = calloc(1, sizeof(*ectx));

	(void)submission;
	if (!ectx)
		return fnpu_fail(error, -ENOMEM, "out of memory");
	ectx->ctx = ctx;
	ctx->ring->entries = ctx->entries;
	ctx->priv = ectx;
	return 0;
}

static void emu_ctx_destroy(struct fnpu_context *ctx)
{
	struct emu *emu = ctx->device->priv;
	struct emu_ctx *ectx = ctx->priv;

	pthread_mutex_lock(&emu->lock);
	ectx->closed = true;
	while (ectx->in_flight && step(emu))
		;
	for (unsigned int i = 0; i < QUEUE_ENTRIES; i++)
		if (emu->jobs[i].owner == ectx)
			emu->jobs[i].owner = NULL;	/* the device died on them */
	pthread_mutex_unlock(&emu->lock);
	free(ectx);
}

static const char *emu_submission(const struct fnpu_context *ctx)
{
	(void)ctx;
	return "emu";
}

/* Events that a job can cause: the program is user memory, so its exits cannot be trusted. */
static uint32_t job_events(const struct drm_fluidnpu_job *job)
{
	uint32_t per_sample = job->flags & DRM_FLUIDNPU_JOB_NO_EXIT ? FLUIDNPU_MAX_EXITS : 1;

	return job->samples.count * per_sample + 1;
}

static int check_job(const struct fnpu_context *ctx, const struct drm_fluidnpu_job *job)
{
	if (!job->samples.count ||
	    job->samples.count > ctx->device->info.geometry.max_batch ||
	    job->samples.stride < sizeof(struct drm_fluidnpu_sample) ||
	    (job->flags & ~DRM_FLUIDNPU_JOB_NO_EXIT) || job->pad)
		return -EINVAL;
	return 0;
}

/* The entry at the tail is there. */
static void ring_doorbell(struct emu *emu)
{
	emu->in_flight++;
	emu->tail = (emu->tail + 1) % QUEUE_ENTRIES;
	reg_write(emu, FLUIDNPU_REG_DOORBELL(QUEUE), emu->tail);
	drain_cq(emu);		/* a job may fail at once */
}

static void fill_entry(struct emu *emu, struct emu_ctx *ectx, const struct drm_fluidnpu_job *job,
		       uint8_t opcode)
{
	const uint8_t *from = (const uint8_t *)(uintptr_t)job->samples.array;
	const uint64_t table = (uint64_t)emu->tail * FLUIDNPU_MAX_BATCH;
	struct emu_job *record = &emu->jobs[emu->tail];

	record->owner = ectx;
	record->user_data = job->user_data;
	record->reserved = job_events(job);
	for (uint32_t i = 0; i < job->samples.count; i++) {
		const struct drm_fluidnpu_sample *s =
			(const void *)(from + (size_t)i * job->samples.stride);

		record->samples[i] = s->user_data;
		emu->tables[table + i] = (struct fluidnpu_hw_sample){
			.input_iova = s->input_iova,
			.state_iova = s->state_iova,
			.logits_iova = s->logits_iova,
			.start_layer = s->start_layer,
			.exit_index = s->exit_index,
		};
	}
	emu->sq[emu->tail] = (struct fluidnpu_hw_sqe){
		.opcode = opcode,
		.flags = job->flags & DRM_FLUIDNPU_JOB_NO_EXIT ? FLUIDNPU_SQE_NO_EXIT : 0,
		.as_id = AS_ID,
		.num_samples = job->samples.count,
		.cookie = emu->tail,
		.program_iova = job->program_iova,
		.program_bytes = job->program_bytes,
		.stop_layer = job->stop_layer,
		.samples_addr = emu->tables_addr + table * sizeof(*emu->tables),
	};
	ectx->reserved += record->reserved;
	ectx->in_flight++;
	ring_doorbell(emu);
}

/* Room in the submission ring, if need be by letting time pass. */
static bool make_room(struct emu *emu)
{
	while (emu->in_flight == QUEUE_ENTRIES - 1 && step(emu))
		;
	return emu->in_flight < QUEUE_ENTRIES - 1;
}

static int take_jobs(struct fnpu_context *ctx, const struct drm_fluidnpu_job *jobs,
		     uint32_t count, uint8_t opcode, struct fnpu_error *error)
{
	struct emu *emu = ctx->device->priv;
	struct emu_ctx *ectx = ctx->priv;
	uint64_t events = 0;
	int ret = 0;

	for (uint32_t i = 0; i < count; i++) {
		if (check_job(ctx, &jobs[i]))
			return fnpu_fail(error, -EINVAL, "a job is not valid");
		events += job_events(&jobs[i]);
	}
	pthread_mutex_lock(&emu->lock);
	if (events > ctx->entries - (ctx->ring->producer - ctx->consumer) - ectx->reserved)
		ret = fnpu_fail(error, -ENOBUFS, "the event ring is full");
	for (uint32_t i = 0; !ret && i < count; i++) {
		if (make_room(emu))
			fill_entry(emu, ectx, &jobs[i], opcode);
		else
			ret = fnpu_fail(error, -EIO, "the emulated NPU has stopped");
	}
	pthread_mutex_unlock(&emu->lock);
	return ret;
}

static int emu_submit(struct fnpu_context *ctx, const struct drm_fluidnpu_job *jobs,
		      uint32_t count, struct fnpu_error *error)
{
	return take_jobs(ctx, jobs, count, FLUIDNPU_OP_RUN, error);
}

static int emu_inject(struct fnpu_context *ctx, const struct drm_fluidnpu_job *job,
		      struct fnpu_error *error)
{
	return take_jobs(ctx, job, 1, FLUIDNPU_OP_INJECT, error);
}

static bool is_job(const struct emu *emu, const struct emu_ctx *ectx, unsigned int i,
		   uint64_t user_data)
{
	return emu->jobs[i].owner == ectx && emu->jobs[i].user_data == user_data;
}

static int emu_yield(struct fnpu_context *ctx, uint64_t user_data)
{
	struct emu *emu = ctx->device->priv;
	struct emu_ctx *ectx = ctx->priv;
	unsigned int job = 0;
	int ret = 0;

	pthread_mutex_lock(&emu->lock);
	if (!make_room(emu))
		ret = -EIO;
	while (!ret && job < QUEUE_ENTRIES && !is_job(emu, ectx, job, user_data))
		job++;
	if (!ret && job < QUEUE_ENTRIES) {
		emu->jobs[emu->tail] = (struct emu_job){ .yield = true };
		emu->sq[emu->tail] = (struct fluidnpu_hw_sqe){
			.opcode = FLUIDNPU_OP_YIELD,
			.cookie = emu->tail,
			.target = job,
		};
		ring_doorbell(emu);
	}
	pthread_mutex_unlock(&emu->lock);
	return ret;
}

/* Nothing happens until @until, or it has come. */
static bool pass_time(struct emu *emu, uint64_t until)
{
	if (fnpu_dev_deadline(emu->dev) < until)
		return false;
	if (until > emu->now)
		emu->now = until;
	return true;
}

static int emu_wait(struct fnpu_context *ctx, int64_t timeout_ns, uint64_t until)
{
	struct emu *emu = ctx->device->priv;
	struct emu_ctx *ectx = ctx->priv;
	int ret = 0;

	(void)timeout_ns;	/* virtual time does not make anybody wait */
	pthread_mutex_lock(&emu->lock);
	while (ctx->ring->producer == ctx->consumer && (ectx->in_flight || until != FNPU_NEVER)) {
		if (until != FNPU_NEVER && pass_time(emu, until))
			break;
		if (!step(emu)) {
			ret = -EIO;	/* FLUIDNPU_STATUS_FATAL: the rings are lost */
			break;
		}
	}
	pthread_mutex_unlock(&emu->lock);
	return ret;
}

static int emu_fd(const struct fnpu_context *ctx)
{
	(void)ctx;
	return -1;
}

static uint64_t emu_now(const struct fnpu_context *ctx)
{
	struct emu *emu = ctx->device->priv;
	uint64_t now;

	pthread_mutex_lock(&emu->lock);
	now = emu->now;
	pthread_mutex_unlock(&emu->lock);
	return now;
}

const struct fnpu_backend_ops fnpu_backend_emu = {
	.name = "emu",
	.default_path = "",
	.job_failed = "its job failed on the NPU: it is not a program that this NPU can run",
	.open = emu_open,
	.close = emu_close,
	.counters = emu_counters,
	.bo_create = emu_bo_create,
	.bo_import = emu_bo_import,
	.bo_destroy = emu_bo_destroy,
	.ctx_create = emu_ctx_create,
	.ctx_destroy = emu_ctx_destroy,
	.submission = emu_submission,
	.submit = emu_submit,
	.inject = emu_inject,
	.yield = emu_yield,
	.next_event = fnpu_ring_pop,
	.wait = emu_wait,
	.fd = emu_fd,
	.now = emu_now,
};
