// SPDX-License-Identifier: MIT
/* Operations of fuzz_uapi: the driver's ioctls. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

/* One call in so many has fields changed. */
#define MUTATE_PERCENT 20

void fuzz_mutate(struct fuzz *f, void *bytes, size_t size)
{
	unsigned int times = 1 + rng_below(&f->rng, 3);

	while (times--) {
		size_t at = 4 * rng_below(&f->rng, size / 4);
		uint64_t value = rng_odd_value(&f->rng);

		memcpy((uint8_t *)bytes + at, &value, size - at < 8 || rng_chance(&f->rng, 50) ?
		       4 : 8);
	}
}

static bool mutate_sometimes(struct fuzz *f, void *bytes, size_t size)
{
	bool yes = rng_chance(&f->rng, MUTATE_PERCENT);

	if (yes)
		fuzz_mutate(f, bytes, size);
	return yes;
}

static void fill_net(void *arg)
{
	const struct net *net = arg;

	memcpy(net->program.map, fuzz_template.program.map, fuzz_template.program_bytes);
	for (unsigned int i = 0; i < NET_MAX_SAMPLES; i++)
		net_set_input(net, i, i % NET_INPUTS, 100);
}

static bool make_net(int fd, struct net *net)
{
	*net = fuzz_template;
	net->fd = fd;
	if (bo_create(fd, fuzz_template.program_bytes, &net->program))
		return false;
	if (bo_create(fd, fuzz_template.data.size, &net->data)) {
		bo_destroy(&net->program);
		return false;
	}
	fuzz_try(fill_net, net);
	return true;
}

void op_client_open(struct fuzz *f)
{
	struct fuzz_client *client = NULL;
	struct net net;
	int fd;

	for (unsigned int i = 0; i < MAX_CLIENTS && !client; i++) {
		if (f->world->clients[i].fd < 0)
			client = &f->world->clients[i];
	}
	if (!client)
		return;
	fd = open(npu_path(), O_RDWR | (rng_chance(&f->rng, 80) ? O_CLOEXEC : 0) |
		  (rng_chance(&f->rng, 20) ? O_NONBLOCK : 0));
	fuzz_note(fd);
	if (fd < 0) {
		usleep(1000); /* the device may be away */
		return;
	}
	if (!make_net(fd, &net)) {
		close(fd);
		return;
	}
	client->net = net;
	client->fd = fd;
}

static void close_client(struct fuzz *f, int client)
{
	struct net net = f->world->clients[client].net;
	int fd = __atomic_exchange_n(&f->world->clients[client].fd, -1, __ATOMIC_ACQ_REL);
	bool unmap_first = rng_chance(&f->rng, 50);

	if (fd < 0)
		return;
	world_forget_client(f->world, client);
	if (!unmap_first)
		fuzz_note(close(fd));
	munmap(net.program.map, net.program.size);
	munmap(net.data.map, net.data.size);
	if (unmap_first)
		fuzz_note(close(fd));
}

void op_client_close(struct fuzz *f)
{
	int client = world_client(f);

	if (client >= 0)
		close_client(f, client);
}

void op_query(struct fuzz *f)
{
	struct drm_fluidnpu_dev_query args = {
		.type = rng_below(&f->rng, 5),
		.size = rng_below(&f->rng, sizeof(f->args->garbage)),
		.pointer = rng_chance(&f->rng, 90) ? (uintptr_t)f->args->garbage : 0,
	};
	int client = world_client(f), ret;

	mutate_sometimes(f, &args, sizeof(args));
	ret = fuzz_ioctl(world_fd(f, client), DRM_IOCTL_FLUIDNPU_DEV_QUERY, &args);
	/* The device has gone; it may be back for a new client. */
	if (ret == -ENODEV && client >= 0)
		close_client(f, client);
}

static struct fuzz_bo *keep_bo(struct fuzz *f, const struct fuzz_bo *bo)
{
	for (unsigned int i = 0; i < MAX_BOS; i++) {
		struct fuzz_bo *slot = &f->world->bos[i];

		if (slot->used)
			continue;
		if (slot->map)
			munmap(slot->map, slot->map_bytes);
		*slot = *bo;
		slot->used = true;
		return slot;
	}
	return NULL;
}

static void close_handle(int fd, uint32_t handle)
{
	struct drm_gem_close args = { .handle = handle };

	fuzz_ioctl(fd, DRM_IOCTL_GEM_CLOSE, &args);
}

/* Either small, or more than a client may have: the pages in between take KASAN minutes. */
#define MAX_SIZE (1u << 26)
#define IMPOSSIBLE_SIZE (1ull << 32)

static uint64_t spare_memory(uint64_t size)
{
	return size < IMPOSSIBLE_SIZE ? size % MAX_SIZE : size;
}

static uint64_t some_size(struct fuzz *f)
{
	switch (rng_below(&f->rng, 20)) {
	case 0:
		return rng_below(&f->rng, 1u << 25);
	case 1:
		return rng_odd_value(&f->rng);
	default:
		return 1 + rng_below(&f->rng, 1u << 17);
	}
}

void op_bo_create(struct fuzz *f)
{
	struct drm_fluidnpu_bo_create args = {
		.size = some_size(f),
		.flags = rng_chance(&f->rng, 15) ? DRM_FLUIDNPU_BO_READONLY : 0,
	};
	int client = world_client(f), fd = world_fd(f, client);
	struct fuzz_bo bo = { .client = client };

	mutate_sometimes(f, &args, sizeof(args));
	args.size = spare_memory(args.size);
	if (fuzz_ioctl(fd, DRM_IOCTL_FLUIDNPU_BO_CREATE, &args))
		return;
	bo.handle = args.handle;
	bo.size = args.size;
	bo.iova = args.iova;
	bo.offset = args.mmap_offset;
	if (!keep_bo(f, &bo))
		close_handle(fd, args.handle);
}

void op_bo_info(struct fuzz *f)
{
	struct fuzz_bo *bo = world_bo(f, -1);
	struct drm_fluidnpu_bo_info args = { .handle = bo ? bo->handle : 0 };

	mutate_sometimes(f, &args, sizeof(args));
	fuzz_ioctl(world_fd(f, bo ? bo->client : -1), DRM_IOCTL_FLUIDNPU_BO_INFO, &args);
}

void op_bo_wait(struct fuzz *f)
{
	int client = world_client(f);
	struct fuzz_bo *bo = world_bo(f, client);
	struct drm_fluidnpu_bo_wait args = { .handle = bo ? bo->handle : 0 };

	if (client >= 0 && rng_chance(&f->rng, 60))
		args.handle = f->world->clients[client].net.data.handle;
	if (rng_chance(&f->rng, 50))
		args.timeout_ns = npu_now_ns() + rng_below(&f->rng, 4000000);
	mutate_sometimes(f, &args, sizeof(args));
	fuzz_ioctl(world_fd(f, client), DRM_IOCTL_FLUIDNPU_BO_WAIT, &args);
}

void op_bo_close(struct fuzz *f)
{
	struct fuzz_bo *bo = world_bo(f, -1);

	if (!bo)
		return;
	bo->used = false;
	close_handle(world_fd(f, bo->client), bo->handle);
}

void op_ctx_create(struct fuzz *f)
{
	int client = world_client(f);
	uint32_t entries = 32u << rng_below(&f->rng, 6);
	struct drm_fluidnpu_ctx_create args = {
		.priority = rng_chance(&f->rng, 70) ? 1 : rng_below(&f->rng, 4),
		.event_entries = entries,
	};
	struct fuzz_ctx *ctx = NULL;
	struct bo bo = { 0 };

	if (client < 0)
		return;
	for (unsigned int i = 0; i < MAX_CTXS; i++) {
		if (!f->world->ctxs[i].used)
			ctx = &f->world->ctxs[i];
	}
	if (!ctx || bo_create(world_fd(f, client), DRM_FLUIDNPU_EVENT_RING_BYTES(entries), &bo))
		return;
	args.event_handle = bo.handle;
	mutate_sometimes(f, &args, sizeof(args));
	if (fuzz_ioctl(bo.fd, DRM_IOCTL_FLUIDNPU_CTX_CREATE, &args) ||
	    args.event_handle != bo.handle) {
		bo_destroy(&bo);
		return;
	}
	/* The ring lives on in the context, with or without a handle. */
	if (rng_chance(&f->rng, 80))
		keep_bo(f, &(struct fuzz_bo){ .client = client, .handle = bo.handle,
					      .size = bo.size, .iova = bo.iova });
	*ctx = (struct fuzz_ctx){ .used = true, .client = client, .id = args.ctx_id,
				  .entries = args.event_entries, .ring = bo.map };
}

void op_ctx_destroy(struct fuzz *f)
{
	struct fuzz_ctx *ctx = world_ctx(f);
	struct drm_fluidnpu_ctx_destroy args = { .ctx_id = ctx ? ctx->id : 0 };

	if (ctx && !mutate_sometimes(f, &args, sizeof(args)))
		ctx->used = false;
	fuzz_ioctl(world_fd(f, ctx ? ctx->client : -1), DRM_IOCTL_FLUIDNPU_CTX_DESTROY, &args);
}

static void fuzz_job(struct fuzz *f, const struct fuzz_ctx *ctx, unsigned int index)
{
	const struct net *net = &f->world->clients[ctx->client].net;
	struct drm_fluidnpu_job *args = &f->args->jobs[index];
	struct drm_fluidnpu_sample *samples = f->args->samples[index];
	unsigned int num_samples = 1 + rng_below(&f->rng, rng_chance(&f->rng, 80) ? 4 : 16);
	uint32_t start = rng_chance(&f->rng, 75) ? net->slow_layers :
						   rng_below(&f->rng, net->slow_layers + 4);
	struct fuzz_bo *bo;
	struct job job;

	job_init(&job, net, num_samples, rng_below(&f->rng, 16));
	*args = job.args;
	memcpy(samples, job.samples, sizeof(job.samples));
	for (unsigned int i = 0; i < num_samples; i++)
		samples[i].start_layer = start;
	args->samples.array = (uintptr_t)samples;
	args->bos.array = (uintptr_t)f->args->bos[index];
	f->args->bos[index][0] = net->program.handle;
	f->args->bos[index][1] = net->data.handle;
	while (args->bos.count < 6 && rng_chance(&f->rng, 30)) {
		bo = world_bo(f, ctx->client);
		if (!bo)
			break;
		f->args->bos[index][args->bos.count++] = bo->handle;
		if (rng_chance(&f->rng, 30))
			samples[0].input_iova = bo->iova;
	}
	if (rng_chance(&f->rng, 15))
		args->flags = DRM_FLUIDNPU_JOB_NO_EXIT;
	if (rng_chance(&f->rng, 20))
		args->stop_layer = rng_below(&f->rng, 8);
	if (rng_chance(&f->rng, 8)) {
		args->flags = DRM_FLUIDNPU_JOB_NOP;
		args->stop_layer = 0;
		args->program_iova = 0;
		args->program_bytes = 0;
		args->samples.count = 0;
	}
	if (rng_chance(&f->rng, 4))
		fuzz_mutate(f, args, sizeof(*args));
	if (rng_chance(&f->rng, 4))
		fuzz_mutate(f, samples, num_samples * sizeof(*samples));
	if (rng_chance(&f->rng, 3))
		fuzz_mutate(f, f->args->bos[index], sizeof(f->args->bos[index]));
}

unsigned int fuzz_jobs(struct fuzz *f, const struct fuzz_ctx *ctx, unsigned int max)
{
	unsigned int count = 1 + (rng_chance(&f->rng, 25) ? rng_below(&f->rng, max) : 0);

	if (ctx->client < 0 || f->world->clients[ctx->client].fd < 0)
		return 0;
	for (unsigned int i = 0; i < count; i++)
		fuzz_job(f, ctx, i);
	return count;
}

static uint32_t fuzz_syncs(struct fuzz *f, int client)
{
	uint32_t count = 0;

	while (count < 8 && rng_chance(&f->rng, 30)) {
		struct fuzz_syncobj *sync = world_syncobj(f, client);

		f->args->syncs[count++] = (struct drm_fluidnpu_sync){
			.handle = sync ? sync->handle : 0,
			.flags = rng_chance(&f->rng, 60) ? DRM_FLUIDNPU_SYNC_SIGNAL : 0,
			.point = rng_chance(&f->rng, 40) ? rng_below(&f->rng, 8) : 0,
		};
	}
	if (count && rng_chance(&f->rng, 5))
		fuzz_mutate(f, f->args->syncs, sizeof(f->args->syncs));
	return count;
}

/* The arrays in memory that the device writes, and that faults with the driver's own handler. */
static void move_into_data(void *arg)
{
	struct fuzz *f = arg;
	int client = world_client(f);
	void *to;

	if (client < 0)
		return;
	to = f->world->clients[client].net.data.map;
	memcpy(to, f->args->jobs, sizeof(f->args->jobs));
	f->args->submit.jobs.array = (uintptr_t)to;
	if (rng_chance(&f->rng, 50))
		madvise(to, 4096, MADV_DONTNEED);
}

void op_submit(struct fuzz *f)
{
	struct fuzz_ctx *slot = world_ctx(f), ctx;
	struct drm_fluidnpu_submit *args = &f->args->submit;
	unsigned int count;

	if (!slot)
		return;
	ctx = *slot;
	count = fuzz_jobs(f, &ctx, MAX_JOBS);
	*args = (struct drm_fluidnpu_submit){
		.ctx_id = ctx.id,
		.jobs = { sizeof(f->args->jobs[0]), count, (uintptr_t)f->args->jobs },
		.syncs = { sizeof(f->args->syncs[0]), fuzz_syncs(f, ctx.client),
			   (uintptr_t)f->args->syncs },
	};
	if (rng_chance(&f->rng, 5))
		fuzz_mutate(f, args, sizeof(*args));
	if (rng_chance(&f->rng, 10))
		fuzz_try(move_into_data, f);
	if (!fuzz_ioctl(world_fd(f, ctx.client), rng_chance(&f->rng, 30) ?
			DRM_IOCTL_FLUIDNPU_INJECT : DRM_IOCTL_FLUIDNPU_SUBMIT, args))
		__atomic_add_fetch(&fuzz_stats->jobs_accepted, args->jobs.count, __ATOMIC_RELAXED);
}

void op_yield(struct fuzz *f)
{
	struct fuzz_ctx *ctx = world_ctx(f);
	struct drm_fluidnpu_yield args = {
		.ctx_id = ctx ? ctx->id : 0, .user_data = rng_below(&f->rng, 16),
	};

	mutate_sometimes(f, &args, sizeof(args));
	fuzz_ioctl(world_fd(f, ctx ? ctx->client : -1), DRM_IOCTL_FLUIDNPU_YIELD, &args);
}

void op_events(struct fuzz *f)
{
	struct fuzz_ctx *ctx = world_ctx(f);
	int *file = world_file(f);
	struct drm_fluidnpu_events args = {
		.ctx_id = ctx ? ctx->id : 0,
		.eventfd = file && rng_chance(&f->rng, 80) ? *file : -1,
	};

	mutate_sometimes(f, &args, sizeof(args));
	fuzz_ioctl(world_fd(f, ctx ? ctx->client : -1), DRM_IOCTL_FLUIDNPU_EVENTS, &args);
}

void op_perf(struct fuzz *f)
{
	struct fuzz_ctx *ctx = world_ctx(f);
	struct drm_fluidnpu_perf args = { .ctx_id = ctx && rng_chance(&f->rng, 50) ? ctx->id : 0 };

	mutate_sometimes(f, &args, sizeof(args));
	fuzz_ioctl(world_fd(f, ctx ? ctx->client : -1), DRM_IOCTL_FLUIDNPU_PERF, &args);
}

void op_garbage_ioctl(struct fuzz *f)
{
	uint32_t nr = rng_chance(&f->rng, 70) ? DRM_COMMAND_BASE + rng_below(&f->rng, 0x10) :
						rng_below(&f->rng, 0x100);
	uint32_t bytes = rng_below(&f->rng, rng_chance(&f->rng, 80) ? 256 : 4096);
	uint64_t *word = (uint64_t *)f->args->garbage;
	void *arg = f->args->garbage;

	for (unsigned int i = 0; i < 32; i++)
		word[i] = rng_chance(&f->rng, 50) ? 0 : rng_odd_value(&f->rng);
	if (rng_chance(&f->rng, 10))
		arg = (void *)(uintptr_t)rng_odd_value(&f->rng);
	fuzz_ioctl(world_fd(f, world_client(f)),
		   _IOC(rng_below(&f->rng, 4), DRM_IOCTL_BASE, nr, bytes), arg);
}
