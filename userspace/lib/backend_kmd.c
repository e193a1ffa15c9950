// SPDX-License-Identifier: MIT
/*
 * The `kmd` back end: the kernel driver behind /dev/fluidnpu. Everything but
 * submission is an ioctl; jobs go through io_uring (kmd_uring.c) or, where that is not
 * allowed, through the SUBMIT ioctl. Results are the same either way. Buffers: kmd_bo.c.
 */
#define _GNU_SOURCE	/* ppoll() */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xf86drm.h>

#include "context.h"
#include "error.h"
#include "kmd.h"

#define NS_PER_S	1000000000

#define EMU_HINT "or use the emulated one (--backend emu)"

static int device_fd(const struct fnpu_device *device)
{
	return ((const struct kmd_device *)device->priv)->fd;
}

/* ---- device ---- */

static int open_failed(const char *path, int err, struct fnpu_error *error)
{
	switch (err) {
	case ENOENT:
	case ENXIO:
	case ENODEV:
		return fnpu_fail(error, -ENOENT,
				 "there is no NPU at %s: load the driver (modprobe fluidnpu), start the virtual machine that has one (make vm), "
				 EMU_HINT, path);
	case EACCES:
	case EPERM:
		return fnpu_fail(error, -EACCES,
				 "no permission to open %s: join its group (sudo usermod -aG render $USER, then log in again) or run as root",
				 path);
	default:
		return fnpu_fail(error, -err, "cannot open %s: %s", path, strerror(err));
	}
}

static int check_driver(int fd, const char *path, struct fnpu_device_info *info,
			struct fnpu_error *error)
{
	drmVersionPtr v = drmGetVersion(fd);
	int ret = 0;

	if (!v)
		return fnpu_fail(error, -ENODEV, "%s is not a FluidNPU: it is no DRM or accel device",
				 path);
	if (!v->name || strcmp(v->name, FLUIDNPU_DRIVER_NAME))
		ret = fnpu_fail(error, -ENODEV, "%s is not a FluidNPU: its driver is \"%s\"", path,
				v->name ? v->name : "");
	else if (v->version_major != FLUIDNPU_ABI_MAJOR)
		ret = fnpu_fail(error, -EPROTONOSUPPORT,
				"the driver of %s has interface version %d, this library needs %d: install both from the same release",
				path, v->version_major, FLUIDNPU_ABI_MAJOR);
	else
		snprintf(info->driver, sizeof(info->driver), "%s %d.%d.%d", v->name,
			 v->version_major, v->version_minor, v->version_patchlevel);
	drmFreeVersion(v);
	return ret;
}

static int query(int fd, uint32_t type, void *data, uint32_t bytes)
{
	struct drm_fluidnpu_dev_query q = {
		.type = type,
		.size = bytes,
		.pointer = (uintptr_t)data,
	};

	memset(data, 0, bytes);		/* an older kernel may know less */
	return drmIoctl(fd, DRM_IOCTL_FLUIDNPU_DEV_QUERY, &q) ? -errno : 0;
}

static int read_info(int fd, struct fnpu_device_info *info, struct fnpu_error *error)
{
	struct drm_fluidnpu_info hw;
	int ret = query(fd, DRM_FLUIDNPU_QUERY_INFO, &hw, sizeof(hw));

	if (ret)
		return fnpu_fail(error, ret, "%s does not answer: %s", info->path, strerror(-ret));
	if (!hw.clock_hz || !hw.geometry.max_batch ||
	    hw.geometry.max_batch > FLUIDNPU_MAX_BATCH)
		return fnpu_fail(error, -ENODEV, "%s reports an NPU that cannot be", info->path);
	info->hw_version = hw.hw_version;
	info->features = hw.features;
	info->clock_hz = hw.clock_hz;
	info->geometry = hw.geometry;
	return 0;
}

static int kmd_open(struct fnpu_device *device, const char *path, struct fnpu_error *error)
{
	struct kmd_device *kmd = calloc(1, sizeof(*kmd));
	int ret;

	if (!kmd)
		return fnpu_fail(error, -ENOMEM, "out of memory");
	kmd->fd = open(path, O_RDWR | O_CLOEXEC);
	if (kmd->fd < 0) {
		ret = open_failed(path, errno, error);
		goto err_free;
	}
	ret = check_driver(kmd->fd, path, &device->info, error);
	if (!ret)
		ret = read_info(kmd->fd, &device->info, error);
	if (ret)
		goto err_close;
	pthread_mutex_init(&kmd->lock, NULL);
	device->priv = kmd;
	return 0;

err_close:
	close(kmd->fd);
err_free:
	free(kmd);
	return ret;
}

static void kmd_close(struct fnpu_device *device)
{
	struct kmd_device *kmd = device->priv;

	close(kmd->fd);
	pthread_mutex_destroy(&kmd->lock);
	free(kmd->handle_users);
	free(kmd);
}

static int kmd_counters(struct fnpu_device *device, struct fnpu_counters *counters)
{
	struct drm_fluidnpu_counters hw;
	int ret = query(device_fd(device), DRM_FLUIDNPU_QUERY_COUNTERS, &hw, sizeof(hw));

	if (ret)
		return ret;
	counters->time = hw.time;
	memcpy(counters->values, hw.values, sizeof(counters->values));
	return 0;
}

/* ---- contexts ---- */

static int open_submission(struct kmd_ctx *kctx, const char *submission, uint32_t max_jobs,
			   struct fnpu_error *error)
{
	int ret;

	if (submission && !strcmp(submission, "ioctl"))
		return 0;
	ret = kmd_uring_open(kctx, max_jobs);
	if (!ret || !submission)
		return 0;	/* nobody insists on io_uring: ioctls do the same */
	if (ret == -EPERM || ret == -ENOSYS)
		return fnpu_fail(error, ret,
				 "this kernel or container does not allow io_uring (see sysctl kernel.io_uring_disabled): submit by ioctl instead");
	return fnpu_fail(error, ret, "cannot set up io_uring: %s", strerror(-ret));
}

static int kmd_ctx_create(struct fnpu_context *ctx, const char *submission,
			  struct fnpu_error *error)
{
	struct drm_fluidnpu_ctx_create args = {
		.priority = DRM_FLUIDNPU_PRIORITY_NORMAL,
		.event_handle = ctx->ring_bo->handle,
		.event_entries = ctx->entries,
	};
	struct kmd_ctx *kctx = calloc(1, sizeof(*kctx));
	int ret;

	if (!kctx)
		return fnpu_fail(error, -ENOMEM, "out of memory");
	kctx->fd = device_fd(ctx->device);
	ret = open_submission(kctx, submission, ctx->max_jobs, error);
	if (ret)
		goto err_free;
	if (drmIoctl(kctx->fd, DRM_IOCTL_FLUIDNPU_CTX_CREATE, &args)) {
		ret = -errno;
		fnpu_fail(error, ret, "cannot create a context on the NPU: %s", strerror(-ret));
		goto err_uring;
	}
	ctx->id = args.ctx_id;
	ctx->priv = kctx;
	return 0;

err_uring:
	if (kctx->uring)
		kmd_uring_close(kctx);
err_free:
	free(kctx);
	return ret;
}

static void kmd_ctx_destroy(struct fnpu_context *ctx)
{
	struct drm_fluidnpu_ctx_destroy args = { .ctx_id = ctx->id };
	struct kmd_ctx *kctx = ctx->priv;

	if (kctx->uring)
		kmd_uring_close(kctx);
	drmIoctl(kctx->fd, DRM_IOCTL_FLUIDNPU_CTX_DESTROY, &args);
	free(kctx);
}

static const char *kmd_submission(const struct fnpu_context *ctx)
{
	return ((const struct kmd_ctx *)ctx->priv)->uring ? "uring" : "ioctl";
}

static int kmd_submit(struct fnpu_context *ctx, const struct drm_fluidnpu_job *jobs,
		      uint32_t count, struct fnpu_error *error)
{
	struct kmd_ctx *kctx = ctx->priv;
	struct drm_fluidnpu_submit args = {
		.ctx_id = ctx->id,
		.jobs = { .stride = sizeof(*jobs), .count = count, .array = (uintptr_t)jobs },
	};
	int ret;

	if (kctx->uring)
		return kmd_uring_submit(ctx, jobs, count, error);
	if (!drmIoctl(kctx->fd, DRM_IOCTL_FLUIDNPU_SUBMIT, &args))
		return 0;
	ret = -errno;
	return fnpu_fail(error, ret, "the driver refused a job: %s", strerror(-ret));
}

static int kmd_kick(struct fnpu_context *ctx)
{
	const struct kmd_ctx *kctx = ctx->priv;

	return kctx->uring ? kmd_uring_kick(ctx) : 0;
}

static int kmd_inject(struct fnpu_context *ctx, const struct drm_fluidnpu_job *job,
		      struct fnpu_error *error)
{
	const struct kmd_ctx *kctx = ctx->priv;
	struct drm_fluidnpu_submit args = {
		.ctx_id = ctx->id,
		.jobs = { .stride = sizeof(*job), .count = 1, .array = (uintptr_t)job },
	};
	int ret = kmd_kick(ctx);

	if (ret)
		return fnpu_fail(error, ret, "the driver took no jobs: %s", strerror(-ret));
	if (!drmIoctl(kctx->fd, DRM_IOCTL_FLUIDNPU_INJECT, &args))
		return 0;
	ret = -errno;
	return fnpu_fail(error, ret, "the driver refused to inject a job: %s", strerror(-ret));
}

static int kmd_yield(struct fnpu_context *ctx, uint64_t user_data)
{
	const struct kmd_ctx *kctx = ctx->priv;
	struct drm_fluidnpu_yield args = { .ctx_id = ctx->id, .user_data = user_data };
	const int ret = kmd_kick(ctx);

	if (ret)
		return ret;
	return drmIoctl(kctx->fd, DRM_IOCTL_FLUIDNPU_YIELD, &args) && errno != ENOENT ? -errno : 0;
}

static int kmd_next_event(struct fnpu_context *ctx, struct drm_fluidnpu_event *event)
{
	const struct kmd_ctx *kctx = ctx->priv;

	return kctx->uring ? kmd_uring_next_event(ctx, event) : fnpu_ring_pop(ctx, event);
}

static int kmd_wait(struct fnpu_context *ctx, int64_t timeout_ns, uint64_t until)
{
	const struct kmd_ctx *kctx = ctx->priv;
	struct pollfd pfd = { .fd = kctx->fd, .events = POLLIN };
	const struct timespec ts = {
		.tv_sec = timeout_ns / NS_PER_S,
		.tv_nsec = timeout_ns % NS_PER_S,
	};
	int ret;

	(void)until;	/* time passes by itself */

	if (kctx->uring)
		return kmd_uring_wait(ctx, timeout_ns);
	ret = ppoll(&pfd, 1, timeout_ns < 0 ? NULL : &ts, NULL);
	if (ret < 0)
		return -errno;
	if (!ret)
		return -ETIMEDOUT;
	return pfd.revents & POLLIN ? 0 : -ENODEV;
}

static int kmd_fd(const struct fnpu_context *ctx)
{
	const struct kmd_ctx *kctx = ctx->priv;

	return kctx->uring ? kctx->ring.ring_fd : kctx->fd;
}

const struct fnpu_backend_ops fnpu_backend_kmd = {
	.name = "kmd",
	.default_path = FNPU_DEVICE_PATH,
	.job_failed = "its job failed on the NPU (the kernel log says why: dmesg)",
	.open = kmd_open,
	.close = kmd_close,
	.counters = kmd_counters,
	.bo_create = kmd_bo_create,
	.bo_import = kmd_bo_import,
	.bo_export = kmd_bo_export,
	.bo_destroy = kmd_bo_destroy,
	.ctx_create = kmd_ctx_create,
	.ctx_destroy = kmd_ctx_destroy,
	.submission = kmd_submission,
	.submit = kmd_submit,
	.inject = kmd_inject,
	.yield = kmd_yield,
	.kick = kmd_kick,
	.next_event = kmd_next_event,
	.wait = kmd_wait,
	.fd = kmd_fd,
};
