// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tap.h"
#include "uring.h"

#define SQE128 IORING_SETUP_SQE128
#define DEFER (IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER)

const struct uring_way uring_ways[] = {
	{ "plain", 0, 0, false },
	{ "SQE128", SQE128, 0, false },
	{ "SQE128 and CQE32", SQE128 | IORING_SETUP_CQE32, 0, false },
	{ "CQE32", IORING_SETUP_CQE32, 0, false },
	{ "SQPOLL", IORING_SETUP_SQPOLL, 0, false },
	{ "SQPOLL and SQE128", IORING_SETUP_SQPOLL | SQE128, 0, false },
	{ "SQPOLL and a registered file", IORING_SETUP_SQPOLL, 0, true },
	{ "DEFER_TASKRUN", DEFER, 0, false },
	{ "DEFER_TASKRUN and SQE128", DEFER | SQE128, 0, false },
	{ "COOP_TASKRUN", IORING_SETUP_COOP_TASKRUN | SQE128, 0, false },
	{ "COOP_TASKRUN and TASKRUN_FLAG", IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
	  0, false },
	{ "IOSQE_ASYNC", 0, IOSQE_ASYNC, false },
	{ "IOSQE_ASYNC and SQE128", SQE128, IOSQE_ASYNC, false },
	{ "IOSQE_ASYNC and DEFER_TASKRUN", DEFER | SQE128, IOSQE_ASYNC, false },
	{ "a registered file", SQE128, 0, true },
};

const unsigned int num_uring_ways = sizeof(uring_ways) / sizeof(uring_ways[0]);

bool uring_up(struct uring_rig *rig, uint32_t slow_layers, unsigned int ring_flags)
{
	struct io_uring_params params = { .flags = ring_flags, .sq_thread_idle = 1000 };
	int ret;

	memset(rig, 0, sizeof(*rig));
	rig->ring_flags = ring_flags;
	rig->fd = npu_open();
	ret = ctx_create(rig->fd, DRM_FLUIDNPU_PRIORITY_NORMAL, 1024, &rig->ctx);
	if (!ret)
		ret = net_create(rig->fd, slow_layers, &rig->net);
	if (!ret)
		ret = io_uring_queue_init_params(URING_ENTRIES, &rig->ring, &params);
	if (ret)
		tap_fail(__FILE__, __LINE__, "set-up failed: %s", strerror(-ret));
	return !ret;
}

bool uring_up_way(struct uring_rig *rig, uint32_t slow_layers, const struct uring_way *way)
{
	if (!uring_up(rig, slow_layers, way->ring_flags))
		return false;
	rig->sqe_flags = way->sqe_flags;
	rig->fixed_file = way->fixed_file;
	if (way->fixed_file && io_uring_register_files(&rig->ring, &rig->fd, 1)) {
		tap_fail(__FILE__, __LINE__, "cannot register the file");
		return false;
	}
	return true;
}

void uring_down(struct uring_rig *rig)
{
	io_uring_queue_exit(&rig->ring);
	ctx_destroy(&rig->ctx);
	net_destroy(&rig->net);
	close(rig->fd);
}

struct io_uring_sqe *uring_sqe(struct uring_rig *rig)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&rig->ring);

	if (!sqe) {
		printf("Bail out! the submission ring is full\n");
		exit(1);
	}
	memset(sqe, 0, sizeof(*sqe));
	if (rig->ring_flags & IORING_SETUP_SQE128)
		memset(sqe + 1, 0, sizeof(*sqe));
	return sqe;
}

void uring_queue(struct uring_rig *rig, uint32_t op, const void *cmd, size_t size,
		 uint64_t user_data)
{
	struct io_uring_sqe *sqe = uring_sqe(rig);

	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = rig->fixed_file ? 0 : rig->fd;
	sqe->flags = rig->sqe_flags | (rig->fixed_file ? IOSQE_FIXED_FILE : 0);
	sqe->cmd_op = op;
	sqe->user_data = user_data;
	memcpy(sqe->cmd, cmd, size);
}

static void queue_job(struct uring_rig *rig, const struct job *job, uint64_t user_data,
		      uint32_t op_inline, uint32_t op_ptr)
{
	struct drm_fluidnpu_uring_submit *args = &rig->args[rig->next_args++ % URING_ENTRIES];
	struct drm_fluidnpu_uring_ptr ptr = { .pointer = (uintptr_t)args, .size = sizeof(*args) };

	*args = (struct drm_fluidnpu_uring_submit){ .ctx_id = rig->ctx.id, .job = job->args };
	if (rig->ring_flags & IORING_SETUP_SQE128)
		uring_queue(rig, op_inline, args, sizeof(*args), user_data);
	else
		uring_queue(rig, op_ptr, &ptr, sizeof(ptr), user_data);
}

void uring_queue_job(struct uring_rig *rig, const struct job *job, uint64_t user_data)
{
	queue_job(rig, job, user_data, FLUIDNPU_URING_SUBMIT, FLUIDNPU_URING_SUBMIT_PTR);
}

void uring_queue_inject(struct uring_rig *rig, const struct job *job, uint64_t user_data)
{
	queue_job(rig, job, user_data, FLUIDNPU_URING_INJECT, FLUIDNPU_URING_INJECT_PTR);
}

void uring_queue_wait(struct uring_rig *rig, uint32_t from, uint32_t count, uint64_t user_data)
{
	struct drm_fluidnpu_uring_wait args = {
		.ctx_id = rig->ctx.id, .count = count, .producer = from,
		.user_data_lo = (uint32_t)user_data,
	};

	uring_queue(rig, FLUIDNPU_URING_WAIT, &args, sizeof(args), user_data);
}

int uring_cqe(struct uring_rig *rig, uint64_t *user_data, uint64_t *extra)
{
	struct io_uring_cqe *cqe;
	int ret;

	do {
		ret = io_uring_wait_cqe(&rig->ring, &cqe);
	} while (ret == -EINTR);
	if (ret)
		return ret - 10000;
	ret = cqe->res;
	if (user_data)
		*user_data = cqe->user_data;
	if (extra)
		*extra = cqe->big_cqe[0];
	io_uring_cqe_seen(&rig->ring, cqe);
	return ret;
}

int uring_run(struct uring_rig *rig, uint32_t op, const void *cmd, size_t size)
{
	uring_queue(rig, op, cmd, size, 1);
	io_uring_submit(&rig->ring);
	return uring_cqe(rig, NULL, NULL);
}

int uring_run_job(struct uring_rig *rig, const struct job *job)
{
	uring_queue_job(rig, job, 1);
	io_uring_submit(&rig->ring);
	return uring_cqe(rig, NULL, NULL);
}

void uring_send_cancel(struct uring_rig *rig, uint64_t user_data, uint64_t own)
{
	struct drm_fluidnpu_yield args = { .ctx_id = rig->ctx.id, .user_data = user_data };

	uring_queue(rig, FLUIDNPU_URING_CANCEL, &args, sizeof(args), own);
	io_uring_submit(&rig->ring);
}
