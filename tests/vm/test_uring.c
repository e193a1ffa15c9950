// SPDX-License-Identifier: MIT
/* Jobs as io_uring commands, with every kind of ring, and what ends them early. */
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "param.h"
#include "tap.h"
#include "uring.h"

/* Jobs of both kinds and WAITs for their events, many at a time. */
static void exercise(const struct uring_way *way)
{
	struct drm_fluidnpu_event event;
	struct uring_rig rig;
	struct job job;
	uint32_t events = 0;

	REQUIRE(uring_up_way(&rig, 0, way), "%s", way->name);
	job_init(&job, &rig.net, 4, 100);
	EXPECT_OK(uring_run_job(&rig, &job));
	EXPECT_EQ(ctx_pending(&rig.ctx), events += 5);
	REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
	EXPECT_EQ(event.user_data, 100);

	for (unsigned int round = 0; round < 10; round++) {
		uint32_t seen = 0;

		for (unsigned int i = 0; i < 32; i += 4) {
			uring_queue_wait(&rig, events, 5, i);
			uring_queue_job(&rig, &job, i + 1);
			uring_queue_inject(&rig, &job, i + 2);
			uring_queue_wait(&rig, events + 5, 5, i + 3);
			events += 10;
		}
		EXPECT_EQ(io_uring_submit(&rig.ring), 32);
		for (unsigned int i = 0; i < 32; i++) {
			uint64_t which = 0;

			EXPECT_OK(uring_cqe(&rig, &which, NULL));
			REQUIRE(which < 32, "%llu", (unsigned long long)which);
			seen |= 1u << which;
		}
		EXPECT_EQ(seen, UINT32_MAX);
		EXPECT_EQ(ctx_ring(&rig.ctx)->producer, events);
		for (unsigned int i = 0; i < 16; i++) {
			REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
			EXPECT_EQ(event.error, 0);
		}
	}
	EXPECT_EQ(ctx_pending(&rig.ctx), 0);
	uring_down(&rig);
}

static void all_ways(void)
{
	for (unsigned int i = 0; i < num_uring_ways; i++) {
		int before = tap_failures;

		exercise(&uring_ways[i]);
		printf("# %s: %s\n", uring_ways[i].name, tap_failures == before ? "ok" : "failed");
	}
}

static void cqe32_tells_the_end_time(void)
{
	struct drm_fluidnpu_event event;
	uint64_t end = 0;
	struct uring_rig rig;
	struct job job;

	REQUIRE(uring_up(&rig, 1, IORING_SETUP_SQE128 | IORING_SETUP_CQE32), "");
	job_init(&job, &rig.net, 1, 0);
	uring_queue_job(&rig, &job, 1);
	io_uring_submit(&rig.ring);
	EXPECT_OK(uring_cqe(&rig, NULL, &end));
	REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
	EXPECT_EQ(end, event.time);
	uring_down(&rig);
}

static void a_deep_queue_completes(void)
{
	struct uring_rig rig;
	struct job job;

	REQUIRE(uring_up(&rig, 0, IORING_SETUP_SQE128), "");
	job_init(&job, &rig.net, 8, 0);
	for (unsigned int i = 0; i < 64; i++)
		uring_queue_job(&rig, &job, i);
	EXPECT_EQ(io_uring_submit(&rig.ring), 64);
	for (unsigned int i = 0; i < 64; i++)
		EXPECT_OK(uring_cqe(&rig, NULL, NULL));
	EXPECT_EQ(ctx_pending(&rig.ctx), 64 * 9);
	uring_down(&rig);
}

static void poll_through_the_ring_tells_of_events(void)
{
	struct io_uring_sqe *sqe;
	uint64_t first = 0;
	struct uring_rig rig;
	struct job job;
	int ret;

	REQUIRE(uring_up(&rig, 1, IORING_SETUP_SQE128), "");
	sqe = uring_sqe(&rig);
	io_uring_prep_poll_add(sqe, rig.fd, POLLIN);
	sqe->user_data = 77;
	io_uring_submit(&rig.ring);
	job_init(&job, &rig.net, 1, 0);
	EXPECT_OK(submit_one(&rig.ctx, &job));
	ret = uring_cqe(&rig, &first, NULL);
	EXPECT(ret > 0 && ret & POLLIN, "%d", ret);
	EXPECT_EQ(first, 77);
	uring_down(&rig);
}

static void a_full_event_ring_completes_with_enobufs(void)
{
	struct uring_rig rig;
	struct job job;
	int ret = 0;

	REQUIRE(uring_up(&rig, 0, IORING_SETUP_SQE128), "");
	job_init(&job, &rig.net, 15, 0);
	for (unsigned int i = 0; i < 64; i++)
		EXPECT_OK(uring_run_job(&rig, &job));
	ret = uring_run_job(&rig, &job);
	EXPECT_EQ(ret, -ENOBUFS);
	uring_down(&rig);
}

static void a_fault_completes_with_eio(void)
{
	struct uring_rig rig;
	struct job job;

	REQUIRE(uring_up(&rig, 0, IORING_SETUP_SQE128), "");
	job_init(&job, &rig.net, 1, 0);
	job.samples[0].input_iova = 4096;
	EXPECT_ERRNO(uring_run_job(&rig, &job), EIO);
	job_init(&job, &rig.net, 1, 0);
	EXPECT_OK(uring_run_job(&rig, &job));
	uring_down(&rig);
}

static void a_timeout_completes_with_etime(void)
{
	struct uring_rig rig;
	struct job job;

	REQUIRE(uring_up(&rig, 400, IORING_SETUP_SQE128), "");
	REQUIRE(!param_set(JOB_TIMEOUT_PARAM, "100"), "cannot set the timeout");
	job_init(&job, &rig.net, 1, 0);
	EXPECT_ERRNO(uring_run_job(&rig, &job), ETIME);
	uring_down(&rig);
}

static void async_cancel_leaves_an_issued_command_alone(void)
{
	struct io_uring_sqe *sqe;
	uint64_t which = 0;
	struct uring_rig rig;
	struct job job;

	REQUIRE(uring_up(&rig, 20, IORING_SETUP_SQE128), "");
	job_init(&job, &rig.net, 1, 0);
	uring_queue_job(&rig, &job, 1);
	io_uring_submit(&rig.ring);
	sqe = uring_sqe(&rig);
	io_uring_prep_cancel64(sqe, 1, 0);
	sqe->user_data = 2;
	io_uring_submit(&rig.ring);
	EXPECT(uring_cqe(&rig, &which, NULL) < 0, "cancelled it");
	EXPECT_EQ(which, 2);
	EXPECT_OK(uring_cqe(&rig, &which, NULL));
	EXPECT_EQ(which, 1);
	uring_down(&rig);
}

static const struct tap_test tests[] = {
	{ "jobs and waits complete with every kind of ring", all_ways },
	{ "CQE32 tells the job's end", cqe32_tells_the_end_time },
	{ "64 commands at a time complete", a_deep_queue_completes },
	{ "IORING_OP_POLL_ADD tells of events", poll_through_the_ring_tells_of_events },
	{ "a full event ring completes with ENOBUFS", a_full_event_ring_completes_with_enobufs },
	{ "a fault completes with EIO", a_fault_completes_with_eio },
	{ "a timed-out job completes with ETIME", a_timeout_completes_with_etime },
	{ "ASYNC_CANCEL leaves an issued command alone",
	  async_cancel_leaves_an_issued_command_alone },
};

TAP_MAIN(tests)
