/* SPDX-License-Identifier: MIT */
/*
 * What a back end does for the library. Two have an NPU: the kernel driver
 * (backend_kmd.c) and the NPU's model in-process (backend_emu.c). Both speak the
 * driver's structures (fluidnpu_drm.h): jobs go in as struct drm_fluidnpu_job,
 * what happens comes out of an event ring in a BO as struct
 * drm_fluidnpu_event. So everything above this table is the same code for both.
 * The third, backend_daemon.c, has whole sessions elsewhere, in fluidnpud.
 */
#ifndef FNPU_BACKEND_H
#define FNPU_BACKEND_H

#include <stdbool.h>

#include "fluidnpu.h"
#include "fluidnpu_drm.h"

struct fnpu_backend_ops;

/**
 * struct fnpu_device - an open NPU
 * @ops: of its back end
 * @info: what fnpu_device_info() shows; filled by ops->open
 * @path: behind info.path
 * @priv: the back end's
 */
struct fnpu_device {
	const struct fnpu_backend_ops *ops;
	struct fnpu_device_info info;
	char *path;
	void *priv;
};

/**
 * struct fnpu_bo - a buffer object
 * @bytes: in: wanted; out: whole pages
 * @handle, @iova, @map: filled by ops->bo_create
 * @priv: the back end's
 */
struct fnpu_bo {
	struct fnpu_device *device;
	size_t bytes;
	uint32_t handle;
	uint64_t iova;
	void *map;
	void *priv;
};

/**
 * struct fnpu_context - a queue of jobs with its event ring
 * @ring_bo: holds the ring
 * @ring, @events: in @ring_bo
 * @entries: of the ring, a power of two
 * @consumer: events taken so far (mod 2^32)
 * @max_jobs: most jobs that the user has in flight
 * @id: of the kernel's
 * @priv: the back end's
 */
struct fnpu_context {
	struct fnpu_device *device;
	struct fnpu_bo *ring_bo;
	struct drm_fluidnpu_event_ring *ring;
	struct drm_fluidnpu_event *events;
	uint32_t entries;
	uint32_t consumer;
	uint32_t max_jobs;
	uint32_t id;
	void *priv;
};

/**
 * struct fnpu_backend_ops - a back end
 * @name: by which it is chosen
 * @default_path: what is opened when nothing is named
 * @job_failed: what to tell of a sample whose job ended with -EIO
 * @open: fill device->info but backend and path, set device->priv
 * @close: undo it
 * @counters: read them. Any thread.
 * @bo_create: zeroed memory of bo->bytes, mapped for CPU and NPU. Any thread.
 * @bo_import: likewise of the dma-buf @fd, which stays the caller's; bo->map may stay NULL; sets
 *	bo->bytes; NULL: there is no such thing. Any thread.
 * @bo_export: a new file descriptor of a dma-buf, or a negative errno; NULL: there is no such
 *	thing. Any thread.
 * @bo_destroy: undo it. Any thread.
 * @ctx_create: a context on ctx->ring; @submission is "uring", "ioctl" or NULL
 *	for the back end's choice
 * @ctx_destroy: undo it; jobs in flight end unheard
 * @submission: how jobs get to the device
 * @submit: take @count jobs, which run in this order. 0: each of them
 *	will end with a JOB event, also when the driver refuses it later; otherwise none
 *	was taken. The sample and BO arrays must stay until that event.
 * @inject: take a job that is to join what runs (DRM_FLUIDNPU_INJECT), at once; otherwise as
 *	@submit
 * @yield: ask for the samples of a job back (DRM_FLUIDNPU_YIELD), at once; 0 also when it is over
 * @kick: hand over what @submit took; NULL when @submit does
 * @next_event: 1 and the oldest event, or 0, or a negative errno: the ring is broken
 * @wait: kick, and until there may be an event. 0, -ETIMEDOUT, -EINTR or a reason why none will
 *	come any more. @timeout_ns negative: no limit. Where it makes the events, device time does
 *	not go beyond @until, and 0 may mean that it has come there.
 * @fd: readable when there may be an event; -1: @wait makes them
 * @now: device time, where it can be told without a system call, or NULL
 * @session_open: fnpu_session_open() where sessions are not this process's, @options is never
 *	NULL; NULL where they are. With it nothing from @ctx_create on is called.
 */
struct fnpu_backend_ops {
	const char *name;
	const char *default_path;
	const char *job_failed;
	int (*open)(struct fnpu_device *device, const char *path, struct fnpu_error *error);
	void (*close)(struct fnpu_device *device);
	int (*counters)(struct fnpu_device *device, struct fnpu_counters *counters);
	int (*bo_create)(struct fnpu_bo *bo, struct fnpu_error *error);
	int (*bo_import)(struct fnpu_bo *bo, int fd, struct fnpu_error *error);
	int (*bo_export)(const struct fnpu_bo *bo);
	void (*bo_destroy)(struct fnpu_bo *bo);
	int (*ctx_create)(struct fnpu_context *ctx, const char *submission,
			  struct fnpu_error *error);
	void (*ctx_destroy)(struct fnpu_context *ctx);
	const char *(*submission)(const struct fnpu_context *ctx);
	int (*submit)(struct fnpu_context *ctx, const struct drm_fluidnpu_job *jobs,
		      uint32_t count, struct fnpu_error *error);
	int (*inject)(struct fnpu_context *ctx, const struct drm_fluidnpu_job *job,
		      struct fnpu_error *error);
	int (*yield)(struct fnpu_context *ctx, uint64_t user_data);
	int (*kick)(struct fnpu_context *ctx);
	int (*next_event)(struct fnpu_context *ctx, struct drm_fluidnpu_event *event);
	int (*wait)(struct fnpu_context *ctx, int64_t timeout_ns, uint64_t until);
	int (*fd)(const struct fnpu_context *ctx);
	uint64_t (*now)(const struct fnpu_context *ctx);
	int (*session_open)(struct fnpu_device *device, const struct fnpu_model *model,
			    const struct fnpu_session_options *options,
			    struct fnpu_session **session, struct fnpu_error *error);
};

extern const struct fnpu_backend_ops fnpu_backend_kmd;
extern const struct fnpu_backend_ops fnpu_backend_emu;
extern const struct fnpu_backend_ops fnpu_backend_daemon;

#endif /* FNPU_BACKEND_H */
