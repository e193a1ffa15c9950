// SPDX-License-Identifier: MIT
/* Operations of fuzz_uapi: io_uring, every kind of ring, and every way out. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

static const uint32_t set_ups[] = {
	0,
	IORING_SETUP_SQE128,
	IORING_SETUP_CQE32,
	IORING_SETUP_SQE128 | IORING_SETUP_CQE32,
	IORING_SETUP_SQPOLL | IORING_SETUP_SQE128,
	IORING_SETUP_SQPOLL,
	IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SQE128,
	IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_SQE128,
	IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SQE128,
	IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SQE128 |
		IORING_SETUP_CQE32,
	IORING_SETUP_IOPOLL | IORING_SETUP_SQE128,
};

/* A ring that no other thread uses right now, locked; or NULL. */
static struct fuzz_ring *take_ring(struct fuzz *f, bool used)
{
	unsigned int start = rng_below(&f->rng, MAX_RINGS);

	for (unsigned int i = 0; i < MAX_RINGS; i++) {
		struct fuzz_ring *ring = &f->world->rings[(start + i) % MAX_RINGS];

		if (pthread_mutex_trylock(&ring->lock))
			continue;
		if (ring->used == used)
			return ring;
		pthread_mutex_unlock(&ring->lock);
	}
	return NULL;
}

void op_ring_create(struct fuzz *f)
{
	struct io_uring_params params = {
		.flags = set_ups[rng_below(&f->rng, sizeof(set_ups) / sizeof(set_ups[0]))],
		.sq_thread_idle = 1 + rng_below(&f->rng, 50),
	};
	struct fuzz_ring *ring = take_ring(f, false);
	int ret;

	if (!ring)
		return;
	if (rng_chance(&f->rng, 20)) {
		params.flags |= IORING_SETUP_CQSIZE;
		params.cq_entries = 16; /* they overflow */
	}
	ret = io_uring_queue_init_params(16, &ring->ring, &params);
	errno = -ret;
	fuzz_note(ret ? -1 : 0);
	ring->flags = params.flags;
	ring->used = !ret;
	pthread_mutex_unlock(&ring->lock);
}

void op_ring_exit(struct fuzz *f)
{
	struct fuzz_ring *ring = take_ring(f, true);

	if (!ring)
		return;
	io_uring_queue_exit(&ring->ring);
	ring->used = false;
	pthread_mutex_unlock(&ring->lock);
}

/*
 * The kernel waits for the commands in flight that use the files, and a WAIT may wait for ever:
 * until a signal comes.
 */
static int unregister_files(struct fuzz_ring *ring)
{
	const struct itimerspec soon = { .it_value.tv_sec = 1, .it_interval.tv_sec = 1 };
	struct sigevent to_me = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM };
	timer_t timer;
	int ret;

	to_me._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &to_me, &timer))
		return -1;
	timer_settime(timer, 0, &soon, NULL);
	ret = io_uring_unregister_files(&ring->ring);
	timer_delete(timer);
	errno = -ret;
	return ret < 0 ? -1 : 0;
}

void op_ring_register(struct fuzz *f)
{
	struct fuzz_ring *ring = take_ring(f, true);
	int fds[4];

	if (!ring)
		return;
	for (unsigned int i = 0; i < 4; i++)
		fds[i] = world_fd(f, world_client(f));
	switch (rng_below(&f->rng, 3)) {
	case 0:
		fuzz_note(io_uring_register_files(&ring->ring, fds, 4) < 0 ? -1 : 0);
		break;
	case 1:
		fuzz_note(unregister_files(ring));
		break;
	default:
		fuzz_note(io_uring_register_files_update(&ring->ring, rng_below(&f->rng, 4), fds,
							 1) < 0 ? -1 : 0);
	}
	pthread_mutex_unlock(&ring->lock);
}

static void fill_command(struct fuzz *f, struct fuzz_ring *ring, struct io_uring_sqe *sqe,
			 unsigned int index)
{
	static const uint32_t ops[] = {
		FLUIDNPU_URING_SUBMIT, FLUIDNPU_URING_SUBMIT_PTR, FLUIDNPU_URING_INJECT,
		FLUIDNPU_URING_INJECT_PTR, FLUIDNPU_URING_YIELD, FLUIDNPU_URING_WAIT,
		FLUIDNPU_URING_CANCEL,
	};
	struct fuzz_ctx *slot = world_ctx(f), ctx = { .client = -1 };
	struct drm_fluidnpu_uring_submit *args = &f->args->uring[index % 16];
	struct drm_fluidnpu_uring_ptr ptr = { (uintptr_t)args, sizeof(*args), 0 };
	struct drm_fluidnpu_uring_wait wait = { .count = 1 + rng_below(&f->rng, 4) };
	struct drm_fluidnpu_yield yield = { .user_data = rng_below(&f->rng, 16) };
	const bool inline_args = ring->flags & IORING_SETUP_SQE128;

	if (slot)
		ctx = *slot;
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = world_fd(f, ctx.client);
	sqe->cmd_op = ops[rng_below(&f->rng, 7)];
	if (sqe->cmd_op == FLUIDNPU_URING_YIELD || sqe->cmd_op == FLUIDNPU_URING_CANCEL) {
		yield.ctx_id = ctx.id;
		memcpy(sqe->cmd, &yield, sizeof(yield));
	} else if (sqe->cmd_op == FLUIDNPU_URING_WAIT) {
		wait.ctx_id = ctx.id;
		wait.user_data_lo = rng_below(&f->rng, 16);
		if (ctx.ring && rng_chance(&f->rng, 70))
			wait.producer = rng_below(&f->rng, 64);
		memcpy(sqe->cmd, &wait, sizeof(wait));
	} else if (fuzz_jobs(f, &ctx, 1)) {
		*args = (struct drm_fluidnpu_uring_submit){
			.ctx_id = ctx.id, .job = f->args->jobs[0],
		};
		if (rng_chance(&f->rng, 3))
			fuzz_mutate(f, args, sizeof(*args));
		if (sqe->cmd_op == FLUIDNPU_URING_SUBMIT || sqe->cmd_op == FLUIDNPU_URING_INJECT) {
			/* 16 bytes of it, if the ring has no room for more */
			memcpy(sqe->cmd, args, inline_args ? sizeof(*args) : 16);
		} else {
			memcpy(sqe->cmd, &ptr, sizeof(ptr));
		}
	}
	if (rng_chance(&f->rng, 4))
		fuzz_mutate(f, sqe->cmd, inline_args ? 80 : 16);
	if (rng_chance(&f->rng, 2))
		sqe->cmd_op = rng_next(&f->rng);
	if (rng_chance(&f->rng, 2))
		sqe->uring_cmd_flags = rng_odd_value(&f->rng);
}

static void fill_other(struct fuzz *f, struct io_uring_sqe *sqe)
{
	int fd = world_fd(f, world_client(f));

	switch (rng_below(&f->rng, 6)) {
	case 0:
		io_uring_prep_nop(sqe);
		break;
	case 1:
		io_uring_prep_poll_add(sqe, fd, POLLIN);
		break;
	case 2:
		io_uring_prep_poll_multishot(sqe, fd, POLLIN);
		break;
	case 3:
		io_uring_prep_cancel64(sqe, rng_below(&f->rng, 16),
				       rng_below(&f->rng, 2) ? IORING_ASYNC_CANCEL_ALL : 0);
		break;
	case 4:
		io_uring_prep_cancel_fd(sqe, fd, IORING_ASYNC_CANCEL_ALL);
		break;
	default:
		io_uring_prep_read(sqe, fd, f->args->garbage, 64, 0);
	}
}

static void drain(struct fuzz_ring *ring)
{
	struct io_uring_cqe *cqe;
	unsigned int head, count = 0;

	io_uring_for_each_cqe(&ring->ring, head, cqe) {
		int error = cqe->res < 0 ? -cqe->res : 0;

		__atomic_add_fetch(&fuzz_stats->errors[error < MAX_ERRNO ? error : MAX_ERRNO - 1],
				   1, __ATOMIC_RELAXED);
		count++;
	}
	io_uring_cq_advance(&ring->ring, count);
	__atomic_add_fetch(&fuzz_stats->cqes, count, __ATOMIC_RELAXED);
}

void op_ring_submit(struct fuzz *f)
{
	struct fuzz_ring *ring = take_ring(f, true);
	unsigned int count = 1 + rng_below(&f->rng, 6);

	if (!ring)
		return;
	for (unsigned int i = 0; i < count; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->ring);

		if (!sqe)
			break;
		memset(sqe, 0, ring->flags & IORING_SETUP_SQE128 ? 128 : 64);
		if (rng_chance(&f->rng, 85))
			fill_command(f, ring, sqe, i);
		else
			fill_other(f, sqe);
		sqe->user_data = rng_below(&f->rng, 16);
		if (rng_chance(&f->rng, 10))
			sqe->flags |= 1u << rng_below(&f->rng, 7);
		if (rng_chance(&f->rng, 5)) {
			sqe->flags |= IOSQE_FIXED_FILE;
			sqe->fd = rng_below(&f->rng, 5);
		}
	}
	errno = 0;
	fuzz_note(io_uring_submit(&ring->ring) < 0 ? -1 : 0);
	if (rng_chance(&f->rng, 30))
		drain(ring);
	pthread_mutex_unlock(&ring->lock);
}

void op_ring_reap(struct fuzz *f)
{
	struct fuzz_ring *ring = take_ring(f, true);
	struct __kernel_timespec timeout = { .tv_nsec = 1 + rng_below(&f->rng, 2000000) };
	struct io_uring_cqe *cqe;

	if (!ring)
		return;
	io_uring_wait_cqes(&ring->ring, &cqe, 1 + rng_below(&f->rng, 4), &timeout, NULL);
	drain(ring);
	pthread_mutex_unlock(&ring->lock);
}
