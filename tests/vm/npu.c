// SPDX-License-Identifier: MIT
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memfd_create */
#endif

#include <errno.h>
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "npu.h"

/* Shape of a slow layer: many groups that each leave the array almost empty. */
#define SLOW_GROUPS 32767
#define SLOW_OUT_C (2 * SLOW_GROUPS)

/* What a sample needs: input (of a slow layer at most), state, logits, page-aligned apart. */
#define INPUT_BYTES 32768
#define STATE_BYTES 65536
#define SAMPLE_BYTES (INPUT_BYTES + STATE_BYTES + 4096)

const char *npu_path(void)
{
	const char *path = getenv("FLUIDNPU_DEVICE");

	return path ? path : "/dev/fluidnpu";
}

int npu_open(void)
{
	int fd = open(npu_path(), O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		printf("Bail out! cannot open %s: %s\n", npu_path(), strerror(errno));
		exit(1);
	}
	return fd;
}

int npu_ioctl(int fd, unsigned long request, void *arg)
{
	int ret;

	do {
		ret = ioctl(fd, request, arg);
	} while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : 0;
}

static int query(int fd, uint32_t type, void *to, uint32_t size)
{
	struct drm_fluidnpu_dev_query args = {
		.type = type, .size = size, .pointer = (uintptr_t)to,
	};

	return npu_ioctl(fd, DRM_IOCTL_FLUIDNPU_DEV_QUERY, &args);
}

int npu_info(int fd, struct drm_fluidnpu_info *info)
{
	return query(fd, DRM_FLUIDNPU_QUERY_INFO, info, sizeof(*info));
}

int npu_counters(int fd, struct drm_fluidnpu_counters *counters)
{
	return query(fd, DRM_FLUIDNPU_QUERY_COUNTERS, counters, sizeof(*counters));
}

int bo_create_flags(int fd, uint64_t size, uint32_t flags, struct bo *bo)
{
	struct drm_fluidnpu_bo_create args = { .size = size, .flags = flags };
	int ret = npu_ioctl(fd, DRM_IOCTL_FLUIDNPU_BO_CREATE, &args);

	*bo = (struct bo){ .fd = fd };
	if (ret)
		return ret;
	bo->handle = args.handle;
	bo->size = args.size;
	bo->iova = args.iova;
	bo->map = mmap(NULL, args.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		       (off_t)args.mmap_offset);
	if (bo->map != MAP_FAILED)
		return 0;
	ret = -errno;
	bo->map = NULL;
	bo_destroy(bo);
	return ret;
}

int bo_create(int fd, uint64_t size, struct bo *bo)
{
	return bo_create_flags(fd, size, 0, bo);
}

int bo_close_handle(struct bo *bo)
{
	struct drm_gem_close args = { .handle = bo->handle };

	bo->handle = 0;
	return npu_ioctl(bo->fd, DRM_IOCTL_GEM_CLOSE, &args);
}

void bo_destroy(struct bo *bo)
{
	if (bo->map)
		munmap(bo->map, bo->size);
	if (bo->handle)
		bo_close_handle(bo);
	*bo = (struct bo){ 0 };
}

int bo_wait(const struct bo *bo, int64_t timeout_ns)
{
	struct drm_fluidnpu_bo_wait args = { .handle = bo->handle, .timeout_ns = timeout_ns };

	return npu_ioctl(bo->fd, DRM_IOCTL_FLUIDNPU_BO_WAIT, &args);
}

int prime_export(int fd, uint32_t handle, int *dmabuf)
{
	struct drm_prime_handle args = { .handle = handle, .flags = DRM_CLOEXEC | DRM_RDWR };
	int ret = npu_ioctl(fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &args);

	*dmabuf = args.fd;
	return ret;
}

int prime_import(int fd, int dmabuf, uint32_t *handle)
{
	struct drm_prime_handle args = { .fd = dmabuf };
	int ret = npu_ioctl(fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &args);

	*handle = args.handle;
	return ret;
}

int foreign_dmabuf(size_t size, void **map)
{
	struct udmabuf_create args = { .size = size };
	int device = open("/dev/udmabuf", O_RDWR | O_CLOEXEC), dmabuf = -1;
	int memory = memfd_create("foreign", MFD_ALLOW_SEALING);

	args.memfd = memory;
	if (!ftruncate(memory, size) && !fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK))
		dmabuf = ioctl(device, UDMABUF_CREATE, &args);
	*map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	close(memory);
	close(device);
	return *map == MAP_FAILED ? -1 : dmabuf;
}

int syncobj_create(int fd, uint32_t *handle)
{
	struct drm_syncobj_create args = { 0 };
	int ret = npu_ioctl(fd, DRM_IOCTL_SYNCOBJ_CREATE, &args);

	*handle = args.handle;
	return ret;
}

int syncobj_wait(int fd, uint32_t handle, uint64_t point, int64_t timeout_ns)
{
	struct drm_syncobj_wait binary = {
		.handles = (uintptr_t)&handle, .count_handles = 1, .timeout_nsec = timeout_ns,
	};
	struct drm_syncobj_timeline_wait timeline = {
		.handles = (uintptr_t)&handle, .count_handles = 1, .timeout_nsec = timeout_ns,
		.points = (uintptr_t)&point,
	};

	if (point)
		return npu_ioctl(fd, DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT, &timeline);
	return npu_ioctl(fd, DRM_IOCTL_SYNCOBJ_WAIT, &binary);
}

int syncobj_signal(int fd, uint32_t handle)
{
	struct drm_syncobj_array args = { .handles = (uintptr_t)&handle, .count_handles = 1 };

	return npu_ioctl(fd, DRM_IOCTL_SYNCOBJ_SIGNAL, &args);
}

void syncobj_destroy(int fd, uint32_t handle)
{
	struct drm_syncobj_destroy args = { .handle = handle };

	npu_ioctl(fd, DRM_IOCTL_SYNCOBJ_DESTROY, &args);
}

int64_t npu_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ll + now.tv_nsec;
}

int64_t npu_in_seconds(int seconds)
{
	return npu_now_ns() + seconds * 1000000000ll;
}

int ctx_create(int fd, uint32_t priority, uint32_t entries, struct ctx *ctx)
{
	struct drm_fluidnpu_ctx_create args = { .priority = priority, .event_entries = entries };
	int ret;

	*ctx = (struct ctx){ .fd = fd };
	ret = bo_create(fd, DRM_FLUIDNPU_EVENT_RING_BYTES(entries), &ctx->ring);
	if (ret)
		return ret;
	args.event_handle = ctx->ring.handle;
	ret = npu_ioctl(fd, DRM_IOCTL_FLUIDNPU_CTX_CREATE, &args);
	if (ret)
		bo_destroy(&ctx->ring);
	ctx->id = args.ctx_id;
	return ret;
}

void ctx_destroy(struct ctx *ctx)
{
	struct drm_fluidnpu_ctx_destroy args = { .ctx_id = ctx->id };

	npu_ioctl(ctx->fd, DRM_IOCTL_FLUIDNPU_CTX_DESTROY, &args);
	bo_destroy(&ctx->ring);
}

struct drm_fluidnpu_event_ring *ctx_ring(const struct ctx *ctx)
{
	return ctx->ring.map;
}

unsigned int ctx_pending(const struct ctx *ctx)
{
	const struct drm_fluidnpu_event_ring *ring = ctx->ring.map;

	return __atomic_load_n(&ring->producer, __ATOMIC_ACQUIRE) - ring->consumer;
}

bool ctx_event(struct ctx *ctx, struct drm_fluidnpu_event *event)
{
	struct drm_fluidnpu_event_ring *ring = ctx->ring.map;
	const struct drm_fluidnpu_event *events = (const void *)(ring + 1);

	while (!ctx_pending(ctx)) {
		struct pollfd pfd = { .fd = ctx->fd, .events = POLLIN };

		if (poll(&pfd, 1, -1) < 0 || !(pfd.revents & POLLIN))
			return false;
	}
	*event = events[ring->consumer & (ring->entries - 1)];
	__atomic_store_n(&ring->consumer, ring->consumer + 1, __ATOMIC_RELEASE);
	return true;
}

bool ctx_job_event(struct ctx *ctx, struct drm_fluidnpu_event *event)
{
	while (ctx_event(ctx, event)) {
		if (event->type == DRM_FLUIDNPU_EVENT_JOB)
			return true;
	}
	return false;
}

static uint32_t float_bits(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

/* Hands out parts of the program, each aligned to 64 bytes. */
static uint32_t take(uint32_t *end, size_t bytes)
{
	uint32_t start = (*end + 63) & ~63u;

	*end = start + (uint32_t)bytes;
	return start;
}

static void fill_conv(struct fluidnpu_hw_layer *layer, uint32_t in_c, uint32_t out_c,
		      uint32_t groups)
{
	*layer = (struct fluidnpu_hw_layer){
		.op = FLUIDNPU_LAYER_CONV,
		.in_off = FLUIDNPU_TENSOR_INPUT,
		.in_h = 1, .in_w = 1, .in_c = in_c,
		.out_h = 1, .out_w = 1, .out_c = out_c,
		.kernel_h = 1, .kernel_w = 1, .stride_h = 1, .stride_w = 1,
		.dilation_h = 1, .dilation_w = 1, .groups = groups,
		.clamp_min = -128, .clamp_max = 127,
	};
}

static void fill_exit(struct fluidnpu_hw_layer *layer, uint8_t index, float threshold)
{
	*layer = (struct fluidnpu_hw_layer){
		.op = FLUIDNPU_LAYER_EXIT,
		.flags = FLUIDNPU_LAYER_FUSED,
		.exit_index = index,
		.exit_criterion = FLUIDNPU_EXIT_CONFIDENCE,
		.in_h = 1, .in_w = 1, .in_c = NET_CLASSES,
		.kernel_h = 1, .kernel_w = 1, .stride_h = 1, .stride_w = 1,
		.clamp_min = -128, .clamp_max = 127,
		.scale_in = float_bits(0.1f),
		.threshold = float_bits(threshold),
		.logits_off = index * NET_CLASSES,
	};
}

static void fill_program(struct net *net, uint32_t max_batch)
{
	uint8_t *base = net->program.map;
	struct fluidnpu_hw_program *header = (void *)base;
	const uint32_t num_layers = net->slow_layers + 4;
	uint32_t end = sizeof(*header);
	uint32_t layers_off = take(&end, num_layers * sizeof(struct fluidnpu_hw_layer));
	uint32_t control_off = take(&end, (size_t)num_layers * max_batch *
				    sizeof(struct fluidnpu_hw_policy));
	uint32_t weights_off = take(&end, (size_t)NET_CLASSES * NET_INPUTS);
	/* bias stays zero; of the slow layers weights, too */
	uint32_t zeros_off = take(&end, SLOW_OUT_C * sizeof(int32_t));
	uint32_t scale_off = take(&end, SLOW_OUT_C * sizeof(float));
	struct fluidnpu_hw_layer *layer = (void *)(base + layers_off);
	struct fluidnpu_hw_policy *policy = (void *)(base + control_off);
	int8_t *weights = (int8_t *)base + weights_off;
	uint32_t *scale = (void *)(base + scale_off);

	for (uint32_t i = 0; i < net->slow_layers; i++, layer++) {
		fill_conv(layer, SLOW_GROUPS, SLOW_OUT_C, SLOW_GROUPS);
		layer->weights_off = zeros_off;
		layer->bias_off = zeros_off;
		layer->scale_off = scale_off;
	}
	for (unsigned int head = 0; head < 2; head++) {
		fill_conv(layer, NET_INPUTS, NET_CLASSES, 1);
		layer->weights_off = weights_off;
		layer->bias_off = zeros_off;
		layer->scale_off = scale_off;
		layer++;
		fill_exit(layer++, head, 0.5f);
	}
	for (uint32_t i = 0; i < num_layers * max_batch; i++) {
		uint8_t n = i % max_batch + 1;

		policy[i] = (struct fluidnpu_hw_policy){ .n = n, .b_r = n, .b_p = 1, .k = 1 };
	}
	for (unsigned int i = 0; i < NET_INPUTS; i++)
		weights[i % NET_CLASSES * NET_INPUTS + i] = 1;
	for (unsigned int i = 0; i < SLOW_OUT_C; i++)
		scale[i] = float_bits(1.0f);

	net->program_bytes = end;
	*header = (struct fluidnpu_hw_program){
		.magic = FLUIDNPU_PROGRAM_MAGIC,
		.version = FLUIDNPU_PROGRAM_VERSION,
		.total_bytes = end,
		.num_layers = num_layers,
		.layers_off = layers_off,
		.control_off = control_off,
		.max_batch = max_batch,
		.num_exits = 2,
		.input_bytes = INPUT_BYTES,
		.state_bytes = STATE_BYTES,
		.logits_bytes = NET_LOGITS,
	};
}

int net_create(int fd, uint32_t slow_layers, struct net *net)
{
	struct drm_fluidnpu_info info;
	int ret;

	*net = (struct net){ .fd = fd, .slow_layers = slow_layers };
	ret = npu_info(fd, &info);
	if (ret)
		return ret;
	ret = bo_create(fd, 1u << 20, &net->program);
	if (ret)
		return ret;
	ret = bo_create(fd, NET_MAX_SAMPLES * SAMPLE_BYTES, &net->data);
	if (ret) {
		bo_destroy(&net->program);
		return ret;
	}
	fill_program(net, info.geometry.max_batch);
	for (unsigned int i = 0; i < NET_MAX_SAMPLES; i++)
		net_set_input(net, i, i % NET_INPUTS, 100);
	return 0;
}

void net_destroy(struct net *net)
{
	bo_destroy(&net->program);
	bo_destroy(&net->data);
}

int8_t *net_input(const struct net *net, unsigned int sample)
{
	return (int8_t *)net->data.map + (size_t)sample * SAMPLE_BYTES;
}

int8_t *net_logits(const struct net *net, unsigned int sample)
{
	return net_input(net, sample) + INPUT_BYTES + STATE_BYTES;
}

void net_set_input(const struct net *net, unsigned int sample, unsigned int hot, int8_t value)
{
	memset(net_input(net, sample), 0, NET_INPUTS);
	net_input(net, sample)[hot] = value;
}

void job_init(struct job *job, const struct net *net, unsigned int num_samples, uint64_t user_data)
{
	*job = (struct job){
		.args = {
			.program_iova = net->program.iova,
			.program_bytes = net->program_bytes,
			.samples = { sizeof(job->samples[0]), num_samples, (uintptr_t)job->samples },
			.bos = { sizeof(job->handles[0]), 2, (uintptr_t)job->handles },
			.user_data = user_data,
		},
		.handles = { net->program.handle, net->data.handle },
	};
	for (unsigned int i = 0; i < num_samples; i++) {
		uint64_t iova = net->data.iova + (uint64_t)i * SAMPLE_BYTES;

		job->samples[i] = (struct drm_fluidnpu_sample){
			.user_data = user_data + i + 1,
			.input_iova = iova,
			.state_iova = iova + INPUT_BYTES,
			.logits_iova = iova + INPUT_BYTES + STATE_BYTES,
		};
	}
}

int submit(const struct ctx *ctx, const struct drm_fluidnpu_job *jobs, uint32_t num_jobs,
	   const struct drm_fluidnpu_sync *syncs, uint32_t num_syncs)
{
	struct drm_fluidnpu_submit args = {
		.ctx_id = ctx->id,
		.jobs = { sizeof(*jobs), num_jobs, (uintptr_t)jobs },
		.syncs = { sizeof(*syncs), num_syncs, (uintptr_t)syncs },
	};

	return npu_ioctl(ctx->fd, DRM_IOCTL_FLUIDNPU_SUBMIT, &args);
}

int submit_one(const struct ctx *ctx, const struct job *job)
{
	return submit(ctx, &job->args, 1, NULL, 0);
}

int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t ret;

	if (fd < 0)
		return -errno;
	ret = write(fd, text, strlen(text));
	ret = ret < 0 ? -errno : 0;
	close(fd);
	return (int)ret;
}

int read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t ret;

	if (fd < 0)
		return -errno;
	ret = read(fd, text, size - 1);
	text[ret < 0 ? 0 : ret] = '\0';
	ret = ret < 0 ? -errno : 0;
	close(fd);
	return (int)ret;
}
