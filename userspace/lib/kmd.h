/* SPDX-License-Identifier: MIT */
/* What the files of the `kmd` back end share. */
#ifndef FNPU_KMD_H
#define FNPU_KMD_H

#include <liburing.h>
#include <pthread.h>

#include "backend.h"

/**
 * struct kmd_device - an open device file
 * @lock: of what follows
 * @handle_users: buffers of each GEM handle, @num_handles of them: the kernel has one handle for a
 *	dma-buf, however often it is imported
 */
struct kmd_device {
	int fd;
	pthread_mutex_t lock;
	uint32_t *handle_users;
	uint32_t num_handles;
};

/* Of struct fnpu_backend_ops, for buffers. */
int kmd_bo_create(struct fnpu_bo *bo, struct fnpu_error *error);
int kmd_bo_import(struct fnpu_bo *bo, int fd, struct fnpu_error *error);
int kmd_bo_export(const struct fnpu_bo *bo);
void kmd_bo_destroy(struct fnpu_bo *bo);

/** enum kmd_poll - is the device's poll armed in a context's io_uring? */
enum kmd_poll {
	KMD_POLL_OFF,	/* gave up: the device cannot, or is gone */
	KMD_POLL_DISARMED,
	KMD_POLL_ARMED,
};

/**
 * struct kmd_ctx - back-end side of a context
 * @fd: of the device
 * @uring: jobs go through @ring; otherwise through the SUBMIT ioctl
 * @poll: of @fd in @ring
 * @refused, @refused_job, @refused_error: a completion whose job got no event so far
 * @error: why @ring is of no use any more, or 0
 */
struct kmd_ctx {
	int fd;
	bool uring;
	struct io_uring ring;
	enum kmd_poll poll;
	bool refused;
	uint64_t refused_job;
	int refused_error;
	int error;
};

/** kmd_uring_open() - set kctx->ring up for @max_jobs; 0 or the kernel's errno */
int kmd_uring_open(struct kmd_ctx *kctx, uint32_t max_jobs);

/** kmd_uring_close() - jobs in flight are cancelled */
void kmd_uring_close(struct kmd_ctx *kctx);

/* Of struct fnpu_backend_ops, for a context with an io_uring. */
int kmd_uring_submit(struct fnpu_context *ctx, const struct drm_fluidnpu_job *jobs,
		     uint32_t count, struct fnpu_error *error);
int kmd_uring_kick(struct fnpu_context *ctx);
int kmd_uring_next_event(struct fnpu_context *ctx, struct drm_fluidnpu_event *event);
int kmd_uring_wait(struct fnpu_context *ctx, int64_t timeout_ns);

#endif /* FNPU_KMD_H */
