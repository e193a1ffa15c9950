// SPDX-License-Identifier: MIT
/* Jobs as io_uring commands, with every kind of ring, and what ends them early. */
#include <liburing.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "npu.h"
#include "tap.h"

struct rig {
	int fd;
	struct ctx ctx;
	struct net net;
	struct io_uring ring;
	unsigned int ring_flags;
	unsigned int sqe_flags;
	bool fixed_file;
	struct drm_fluidnpu_uring_submit args;	/* of by-pointer commands; live until issued */
};

static bool rig_up(struct rig *rig, uint32_t slow_layers, unsigned int ring_flags)
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
		ret = io_uring_queue_init_params(64, &rig->ring, &params);
	if (ret)
		tap_fail(__FILE__, __LINE__, "set-up failed: %s", strerror(-ret));
	return !ret;
}

static void rig_down(struct rig *rig)
{
	io_uring_queue_exit(&rig->ring);
	ctx_destroy(&rig->ctx);
	net_destroy(&rig->net);
	close(rig->fd);
}

/* A zeroed sqe, all of it; the tests never fill a ring. */
static struct io_uring_sqe *get_sqe(struct rig *rig)
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

static void prepare(struct rig *rig, uint32_t op, const void *cmd, size_t size, uint64_t user_data)
{
	struct io_uring_sqe *sqe = get_sqe(rig);

	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = rig->fixed_file ? 0 : rig->fd;
	sqe->flags = rig->sqe_flags | (rig->fixed_file ? IOSQE_FIXED_FILE : 0);
	sqe->cmd_op = op;
	sqe->user_data = user_data;
	memcpy(sqe->cmd, cmd, size);
}

/* Queues a command for @job in the ring's way; io_uring_submit() sends it. */
static void queue_job(struct rig *rig, const struct job *job, uint64_t user_data)
{
	struct drm_fluidnpu_uring_ptr ptr = {
		.pointer = (uintptr_t)&rig->args, .size = sizeof(rig->args),
	};

	rig->args = (struct drm_fluidnpu_uring_submit){ .ctx_id = rig->ctx.id, .job = job->args };
	if (rig->ring_flags & IORING_SETUP_SQE128)
		prepare(rig, FLUIDNPU_URING_SUBMIT, &rig->args, sizeof(rig->args), user_data);
	else
		prepare(rig, FLUIDNPU_URING_SUBMIT_PTR, &ptr, sizeof(ptr), user_data);
}

/* Waits for a completion; @extra, if not NULL, gets big_cqe[0]. */
static int wait_cqe(struct rig *rig, uint64_t *user_data, uint64_t *extra)
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

static int run_command(struct rig *rig, const struct job *job)
{
	queue_job(rig, job, 1);
	io_uring_submit(&rig->ring);
	return wait_cqe(rig, NULL, NULL);
}

/* A full life on a ring: one job, its events, then many at a time. */
static void exercise(unsigned int ring_flags, unsigned int sqe_flags, bool fixed_file)
{
	struct drm_fluidnpu_event event;
	struct rig rig;
	struct job job;
	uint64_t seen = 0;

	REQUIRE(rig_up(&rig, 0, ring_flags), "");
	rig.sqe_flags = sqe_flags;
	if (fixed_file) {
		EXPECT_OK(io_uring_register_files(&rig.ring, &rig.fd, 1));
		rig.fixed_file = true;
	}
	job_init(&job, &rig.net, 4, 100);
	EXPECT_OK(run_command(&rig, &job));
	EXPECT_EQ(ctx_pending(&rig.ctx), 5);
	REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
	EXPECT_EQ(event.user_data, 100);

	for (unsigned int round = 0; round < 20; round++) {
		for (unsigned int i = 0; i < 16; i++) {
			queue_job(&rig, &job, i);
			/* SQPOLL and by-pointer arguments: one at a time */
			if (ring_flags & IORING_SETUP_SQPOLL || sqe_flags & IOSQE_ASYNC) {
				io_uring_submit(&rig.ring);
				EXPECT_OK(wait_cqe(&rig, NULL, NULL));
			}
		}
		if (!(ring_flags & IORING_SETUP_SQPOLL || sqe_flags & IOSQE_ASYNC)) {
			EXPECT_EQ(io_uring_submit(&rig.ring), 16);
			for (unsigned int i = 0; i < 16; i++) {
				EXPECT_OK(wait_cqe(&rig, &seen, NULL));
				EXPECT(seen < 16, "%llu", (unsigned long long)seen);
			}
		}
		for (unsigned int i = 0; i < 16; i++)
			REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
	}
	EXPECT_EQ(ctx_pending(&rig.ctx), 0);
	rig_down(&rig);
}

static void plain_ring(void)
{
	exercise(0, 0, false);
}

static void sqe128_ring(void)
{
	exercise(IORING_SETUP_SQE128, 0, false);
}

static void sqpoll_ring(void)
{
	exercise(IORING_SETUP_SQPOLL, 0, false);
}

static void sqpoll_sqe128_ring(void)
{
	exercise(IORING_SETUP_SQPOLL | IORING_SETUP_SQE128, 0, false);
}

static void defer_taskrun_ring(void)
{
	exercise(IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_SQE128, 0,
		 false);
}

static void async_flag(void)
{
	exercise(0, IOSQE_ASYNC, false);
}

static void async_flag_sqe128(void)
{
	exercise(IORING_SETUP_SQE128 | IORING_SETUP_CQE32, IOSQE_ASYNC, false);
}

static void registered_file(void)
{
	exercise(IORING_SETUP_SQE128, 0, true);
}

static void cqe32_tells_the_end_time(void)
{
	struct drm_fluidnpu_event event;
	uint64_t end = 0;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 1, IORING_SETUP_SQE128 | IORING_SETUP_CQE32), "");
	job_init(&job, &rig.net, 1, 0);
	queue_job(&rig, &job, 1);
	io_uring_submit(&rig.ring);
	EXPECT_OK(wait_cqe(&rig, NULL, &end));
	REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
	EXPECT_EQ(end, event.time);
	rig_down(&rig);
}

static void a_deep_queue_completes(void)
{
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 0, IORING_SETUP_SQE128), "");
	job_init(&job, &rig.net, 8, 0);
	for (unsigned int i = 0; i < 64; i++)
		queue_job(&rig, &job, i);
	EXPECT_EQ(io_uring_submit(&rig.ring), 64);
	for (unsigned int i = 0; i < 64; i++)
		EXPECT_OK(wait_cqe(&rig, NULL, NULL));
	EXPECT_EQ(ctx_pending(&rig.ctx), 64 * 9);
	rig_down(&rig);
}

static void poll_through_the_ring_tells_of_events(void)
{
	struct io_uring_sqe *sqe;
	uint64_t first = 0;
	struct rig rig;
	struct job job;
	int ret;

	REQUIRE(rig_up(&rig, 1, IORING_SETUP_SQE128), "");
	sqe = get_sqe(&rig);
	io_uring_prep_poll_add(sqe, rig.fd, POLLIN);
	sqe->user_data = 77;
	io_uring_submit(&rig.ring);
	job_init(&job, &rig.net, 1, 0);
	EXPECT_OK(submit_one(&rig.ctx, &job));
	ret = wait_cqe(&rig, &first, NULL);
	EXPECT(ret > 0 && ret & POLLIN, "%d", ret);
	EXPECT_EQ(first, 77);
	rig_down(&rig);
}

static void a_full_event_ring_completes_with_enobufs(void)
{
	struct rig rig;
	struct job job;
	int ret = 0;

	REQUIRE(rig_up(&rig, 0, IORING_SETUP_SQE128), "");
	job_init(&job, &rig.net, 15, 0);
	for (unsigned int i = 0; i < 64; i++)
		EXPECT_OK(run_command(&rig, &job));
	ret = run_command(&rig, &job);
	EXPECT_EQ(ret, -ENOBUFS);
	rig_down(&rig);
}

static void a_fault_completes_with_eio(void)
{
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 0, IORING_SETUP_SQE128), "");
	job_init(&job, &rig.net, 1, 0);
	job.samples[0].input_iova = 4096;
	EXPECT_ERRNO(run_command(&rig, &job), EIO);
	job_init(&job, &rig.net, 1, 0);
	EXPECT_OK(run_command(&rig, &job));
	rig_down(&rig);
}

static void a_timeout_completes_with_etime(void)
{
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 400, IORING_SETUP_SQE128), "");
	REQUIRE(!write_file(JOB_TIMEOUT_PARAM, "100"), "cannot set the timeout");
	job_init(&job, &rig.net, 1, 0);
	EXPECT_ERRNO(run_command(&rig, &job), ETIME);
	EXPECT_OK(write_file(JOB_TIMEOUT_PARAM, "10000"));
	rig_down(&rig);
}

static void async_cancel_leaves_an_issued_command_alone(void)
{
	struct io_uring_sqe *sqe;
	uint64_t which = 0;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 20, IORING_SETUP_SQE128), "");
	job_init(&job, &rig.net, 1, 0);
	queue_job(&rig, &job, 1);
	io_uring_submit(&rig.ring);
	sqe = get_sqe(&rig);
	io_uring_prep_cancel64(sqe, 1, 0);
	sqe->user_data = 2;
	io_uring_submit(&rig.ring);
	EXPECT(wait_cqe(&rig, &which, NULL) < 0, "cancelled it");
	EXPECT_EQ(which, 2);
	EXPECT_OK(wait_cqe(&rig, &which, NULL));
	EXPECT_EQ(which, 1);
	rig_down(&rig);
}

static void a_ring_can_go_before_its_commands(void)
{
	struct drm_fluidnpu_event event;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 10, IORING_SETUP_SQE128), "");
	job_init(&job, &rig.net, 1, 0);
	for (unsigned int i = 0; i < 12; i++)
		queue_job(&rig, &job, i);
	io_uring_submit(&rig.ring);
	io_uring_queue_exit(&rig.ring);
	for (unsigned int i = 0; i < 12; i++) {
		REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
		EXPECT_EQ(event.error, 0);
	}
	ctx_destroy(&rig.ctx);
	net_destroy(&rig.net);
	close(rig.fd);
}

static void a_file_can_go_before_its_commands(void)
{
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 10, IORING_SETUP_SQE128), "");
	job_init(&job, &rig.net, 1, 0);
	for (unsigned int i = 0; i < 4; i++)
		queue_job(&rig, &job, i);
	io_uring_submit(&rig.ring);
	close(rig.fd);
	for (unsigned int i = 0; i < 4; i++)
		EXPECT_OK(wait_cqe(&rig, NULL, NULL));
	io_uring_queue_exit(&rig.ring);
}

static void a_registered_file_can_go_with_its_ring(void)
{
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 10, IORING_SETUP_SQE128), "");
	EXPECT_OK(io_uring_register_files(&rig.ring, &rig.fd, 1));
	rig.fixed_file = true;
	close(rig.fd);
	job_init(&job, &rig.net, 1, 0);
	for (unsigned int i = 0; i < 4; i++)
		queue_job(&rig, &job, i);
	io_uring_submit(&rig.ring);
	io_uring_queue_exit(&rig.ring);
}

/* The child: commands in flight, then says so and waits to be killed. */
static void doomed_child(int say, unsigned int ring_flags)
{
	struct rig rig;
	struct job job;

	if (!rig_up(&rig, 4, ring_flags))
		_exit(1);
	job_init(&job, &rig.net, 4, 0);
	for (unsigned int i = 0; i < 16; i++) {
		queue_job(&rig, &job, i);
		io_uring_submit(&rig.ring);
		if (!(ring_flags & IORING_SETUP_SQE128))
			break;
	}
	if (write(say, "x", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static void kill_with_commands_in_flight(unsigned int ring_flags, unsigned int times)
{
	struct drm_fluidnpu_event event;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 0, IORING_SETUP_SQE128), "");
	for (unsigned int i = 0; i < times; i++) {
		int status = 0, say[2];
		char byte;
		pid_t child;

		REQUIRE(!pipe(say), "pipe: %s", strerror(errno));
		child = fork();
		if (!child)
			doomed_child(say[1], ring_flags);
		EXPECT_EQ(read(say[0], &byte, 1), 1);
		kill(child, SIGKILL);
		EXPECT_EQ(waitpid(child, &status, 0), child);
		EXPECT(WIFSIGNALED(status), "status %#x", status);
		close(say[0]);
		close(say[1]);
	}
	job_init(&job, &rig.net, 1, 0);
	EXPECT_OK(run_command(&rig, &job));
	REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
	EXPECT_EQ(event.error, 0);
	rig_down(&rig);
}

static void a_process_can_be_killed(void)
{
	kill_with_commands_in_flight(IORING_SETUP_SQE128, 10);
}

static void a_process_with_sqpoll_can_be_killed(void)
{
	kill_with_commands_in_flight(IORING_SETUP_SQE128 | IORING_SETUP_SQPOLL, 4);
}

static void a_process_with_defer_taskrun_can_be_killed(void)
{
	kill_with_commands_in_flight(IORING_SETUP_SQE128 | IORING_SETUP_DEFER_TASKRUN |
				     IORING_SETUP_SINGLE_ISSUER, 4);
}

static const struct tap_test tests[] = {
	{ "a plain ring", plain_ring },
	{ "a ring with SQE128", sqe128_ring },
	{ "a ring with SQPOLL", sqpoll_ring },
	{ "a ring with SQPOLL and SQE128", sqpoll_sqe128_ring },
	{ "a ring with DEFER_TASKRUN and SINGLE_ISSUER", defer_taskrun_ring },
	{ "IOSQE_ASYNC", async_flag },
	{ "IOSQE_ASYNC with SQE128 and CQE32", async_flag_sqe128 },
	{ "a registered file", registered_file },
	{ "CQE32 tells the job's end", cqe32_tells_the_end_time },
	{ "64 commands at a time complete", a_deep_queue_completes },
	{ "IORING_OP_POLL_ADD tells of events", poll_through_the_ring_tells_of_events },
	{ "a full event ring completes with ENOBUFS", a_full_event_ring_completes_with_enobufs },
	{ "a fault completes with EIO", a_fault_completes_with_eio },
	{ "a timed-out job completes with ETIME", a_timeout_completes_with_etime },
	{ "ASYNC_CANCEL leaves an issued command alone",
	  async_cancel_leaves_an_issued_command_alone },
	{ "a ring can go before its commands", a_ring_can_go_before_its_commands },
	{ "a file can go before its commands", a_file_can_go_before_its_commands },
	{ "a registered file can go with its ring", a_registered_file_can_go_with_its_ring },
	{ "a process can be killed with commands in flight", a_process_can_be_killed },
	{ "a process with SQPOLL can be killed", a_process_with_sqpoll_can_be_killed },
	{ "a process with DEFER_TASKRUN can be killed",
	  a_process_with_defer_taskrun_can_be_killed },
};

TAP_MAIN(tests)
