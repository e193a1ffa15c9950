// SPDX-License-Identifier: MIT
/*
 * Jobs through io_uring. One ring per context carries three things:
 *
 *	FLUIDNPU_URING_SUBMIT	a job, whole, in a 128-byte sqe; completes when it has ended
 *	POLL_ADD, multishot	on the device: completes when events have come
 *	the wait		io_uring_enter() that submits the above in the same call
 *
 * So a loop that keeps the NPU busy costs one system call per wake-up, whatever the
 * number of jobs. The event ring stays the one source of results: a
 * completion only matters when it says that the driver refused the job, for then
 * there is no JOB event and one is made up here.
 *
 * A session may move between threads. When the thread that armed the poll ends, the
 * kernel ends the poll with ECANCELED: whoever waits or submits next arms it again.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "context.h"
#include "error.h"
#include "kmd.h"

#define POLL_TAG	UINT64_MAX	/* user_data of the poll; jobs have other numbers */

int kmd_uring_open(struct kmd_ctx *kctx, uint32_t max_jobs)
{
	struct io_uring_params params = { .flags = IORING_SETUP_SQE128 };
	int ret;

	/* Room for the jobs and the poll; the kernel rounds up. */
	ret = io_uring_queue_init_params(max_jobs + 1, &kctx->ring, &params);
	if (ret)
		return ret;
	kctx->uring = true;
	kctx->poll = KMD_POLL_DISARMED;
	return 0;
}

void kmd_uring_close(struct kmd_ctx *kctx)
{
	io_uring_queue_exit(&kctx->ring);
}

static void arm_poll(struct kmd_ctx *kctx)
{
	struct io_uring_sqe *sqe;

	if (kctx->poll != KMD_POLL_DISARMED)
		return;
	sqe = io_uring_get_sqe(&kctx->ring);
	if (!sqe)
		return;
	memset(sqe, 0, 2 * sizeof(*sqe));
	io_uring_prep_poll_multishot(sqe, kctx->fd, POLLIN);
	sqe->user_data = POLL_TAG;
	kctx->poll = KMD_POLL_ARMED;
}

int kmd_uring_submit(struct fnpu_context *ctx, const struct drm_fluidnpu_job *jobs,
		     uint32_t count, struct fnpu_error *error)
{
	struct kmd_ctx *kctx = ctx->priv;

	if (kctx->error)
		return fnpu_fail(error, kctx->error, "the session's io_uring is broken: %s",
				 strerror(-kctx->error));
	arm_poll(kctx);		/* whoever only watches the descriptor needs it, too */
	if (io_uring_sq_space_left(&kctx->ring) < count)
		return fnpu_fail(error, -EBUSY, "more jobs in flight than the session was made for");

	for (uint32_t i = 0; i < count; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&kctx->ring);
		struct drm_fluidnpu_uring_submit cmd = {
			.ctx_id = ctx->id,
			.job = jobs[i],
		};

		if (!sqe)
			return -EBUSY;		/* not so: there is room */
		memset(sqe, 0, 2 * sizeof(*sqe));	/* SQE128: two slots */
		sqe->opcode = IORING_OP_URING_CMD;
		sqe->fd = kctx->fd;
		sqe->cmd_op = FLUIDNPU_URING_SUBMIT;
		sqe->user_data = jobs[i].user_data;
		memcpy(sqe->cmd, &cmd, sizeof(cmd));
	}
	return 0;
}

/* What io_uring_enter() may refuse for now stays in the ring and goes with the next call. */
static int enter_result(struct kmd_ctx *kctx, int ret)
{
	if (ret >= 0 || ret == -EAGAIN || ret == -EBUSY || ret == -EINTR || ret == -ETIME)
		return 0;
	kctx->error = ret;
	return ret;
}

int kmd_uring_kick(struct fnpu_context *ctx)
{
	struct kmd_ctx *kctx = ctx->priv;

	if (kctx->error)
		return kctx->error;
	if (!io_uring_sq_ready(&kctx->ring))
		return 0;
	return enter_result(kctx, io_uring_submit(&kctx->ring));
}

static void poll_done(struct kmd_ctx *kctx, const struct io_uring_cqe *cqe)
{
	bool failed = cqe->res < 0 && cqe->res != -ECANCELED;

	if (failed || (cqe->res > 0 && (cqe->res & (POLLERR | POLLHUP))))
		kctx->poll = KMD_POLL_OFF;	/* the jobs' own completions have to do */
	else if (!(cqe->flags & IORING_CQE_F_MORE))
		kctx->poll = KMD_POLL_DISARMED;
}

/* Takes completions until one says that its job was refused or failed, which is kept. */
static void reap(struct kmd_ctx *kctx)
{
	struct io_uring_cqe *cqe;

	while (!io_uring_peek_cqe(&kctx->ring, &cqe)) {
		if (cqe->user_data == POLL_TAG) {
			poll_done(kctx, cqe);
		} else if (cqe->res < 0) {
			kctx->refused = true;
			kctx->refused_job = cqe->user_data;
			kctx->refused_error = cqe->res;
		}
		io_uring_cqe_seen(&kctx->ring, cqe);
		if (kctx->refused)
			return;
	}
}

int kmd_uring_next_event(struct fnpu_context *ctx, struct drm_fluidnpu_event *event)
{
	struct kmd_ctx *kctx = ctx->priv;
	int ret = fnpu_ring_pop(ctx, event);

	if (ret)
		return ret;
	if (!kctx->refused)
		reap(kctx);
	/*
	 * Once more, for two reasons. An event can have come in between, and its completion, which
	 * would have ended the wait to come, is gone. And a job that the device ran and that failed
	 * has its events in the ring before its completion: they come first, and its user then
	 * ignores what follows.
	 */
	ret = fnpu_ring_pop(ctx, event);
	if (ret || !kctx->refused)
		return ret;
	*event = (struct drm_fluidnpu_event){
		.user_data = kctx->refused_job,
		.type = DRM_FLUIDNPU_EVENT_JOB,
		.error = kctx->refused_error,
	};
	kctx->refused = false;
	return 1;
}

int kmd_uring_wait(struct fnpu_context *ctx, int64_t timeout_ns)
{
	struct kmd_ctx *kctx = ctx->priv;
	struct __kernel_timespec ts = {
		.tv_sec = timeout_ns / 1000000000,
		.tv_nsec = timeout_ns % 1000000000,
	};
	struct io_uring_cqe *cqe;
	int ret;

	if (kctx->error)
		return kctx->error;
	arm_poll(kctx);
	ret = io_uring_submit_and_wait_timeout(&kctx->ring, &cqe, 1,
					       timeout_ns < 0 ? NULL : &ts, NULL);
	if (ret == -ETIME)
		return -ETIMEDOUT;
	if (ret == -EINTR)
		return ret;
	return enter_result(kctx, ret);
}
