// SPDX-License-Identifier: MIT
/* CANCEL: which commands it reaches, and that each still completes exactly once. */
#include <pthread.h>
#include <stdint.h>
#include <unistd.h>

#include "tap.h"
#include "uring.h"

#define OWN 63 /* user_data of the CANCEL itself */

/* Reaps @count completions; results by user_data, 1 where there was none. */
static void collect(struct uring_rig *rig, unsigned int count, int results[64])
{
	for (unsigned int i = 0; i < 64; i++)
		results[i] = 1;
	for (unsigned int i = 0; i < count; i++) {
		uint64_t which = 0;
		int ret = uring_cqe(rig, &which, NULL);

		REQUIRE(which < 64, "%llu", (unsigned long long)which);
		EXPECT_EQ(results[which], 1);
		results[which] = ret;
	}
}

/* The event of a job with this user_data comes, without error. */
static void expect_job_event(struct uring_rig *rig, uint64_t user_data)
{
	struct drm_fluidnpu_event event;

	REQUIRE(ctx_job_event(&rig->ctx, &event), "no event");
	EXPECT_EQ(event.user_data, user_data);
	EXPECT_EQ(event.error, 0);
}

static void a_cancelled_commands_job_runs_on(void)
{
	struct uring_rig rig;
	struct job job;
	int results[64];

	for (unsigned int i = 0; i < num_uring_ways; i++) {
		const struct uring_way *way = &uring_ways[i];

		REQUIRE(uring_up_way(&rig, 100, way), "%s", way->name);
		/* Not by an io-wq worker, which could be overtaken by the CANCEL. */
		rig.sqe_flags &= ~IOSQE_ASYNC;
		job_init(&job, &rig.net, 1, 7);
		uring_queue_job(&rig, &job, 3);
		rig.sqe_flags = way->sqe_flags;
		io_uring_submit(&rig.ring);
		uring_send_cancel(&rig, 7, OWN);
		collect(&rig, 2, results);
		EXPECT(results[3] == -ECANCELED && results[OWN] == 1, "%s: %d, CANCEL %d",
		       way->name, results[3], results[OWN]);
		expect_job_event(&rig, 7);
		uring_down(&rig);
	}
}

static void all_commands_of_that_user_data_are_cancelled(void)
{
	struct uring_rig rig;
	struct job job;
	int results[64];

	/* Half a second each: the first one must not end before CANCEL comes. */
	REQUIRE(uring_up(&rig, 100, 0), "");
	for (unsigned int i = 0; i < 12; i++) {
		job_init(&job, &rig.net, 1, 1000 + i % 3);
		if (i & 1)
			uring_queue_inject(&rig, &job, i);
		else
			uring_queue_job(&rig, &job, i);
		/* The job is copied with its samples. */
		io_uring_submit(&rig.ring);
	}
	uring_send_cancel(&rig, 1001, OWN);
	collect(&rig, 13, results);
	EXPECT_EQ(results[OWN], 4);
	for (unsigned int i = 0; i < 12; i++) {
		int wanted = i % 3 == 1 ? -ECANCELED : 0;

		EXPECT_EQ(results[i], wanted);
		expect_job_event(&rig, 1000 + i % 3);
	}
	uring_down(&rig);
}

static void waits_are_cancelled_by_their_user_data(void)
{
	struct uring_rig rig;
	int results[64];

	REQUIRE(uring_up(&rig, 0, 0), "");
	for (unsigned int i = 0; i < 8; i++)
		uring_queue_wait(&rig, 0, 1, i);
	io_uring_submit(&rig.ring);
	uring_send_cancel(&rig, 5, OWN);
	collect(&rig, 2, results);
	EXPECT_EQ(results[5], -ECANCELED);
	EXPECT_EQ(results[OWN], 1);
	/* It is gone. */
	uring_send_cancel(&rig, 5, OWN);
	EXPECT_ERRNO(uring_cqe(&rig, NULL, NULL), ENOENT);
	uring_down(&rig);
}

static void the_upper_half_of_a_waits_user_data_is_zero(void)
{
	struct uring_rig rig;
	int results[64];

	REQUIRE(uring_up(&rig, 0, 0), "");
	uring_queue_wait(&rig, 0, 1, 5);
	io_uring_submit(&rig.ring);
	uring_send_cancel(&rig, 1ull << 32 | 5, OWN);
	EXPECT_ERRNO(uring_cqe(&rig, NULL, NULL), ENOENT);
	uring_send_cancel(&rig, 5, OWN);
	collect(&rig, 2, results);
	EXPECT_EQ(results[5], -ECANCELED);
	uring_down(&rig);
}

static void jobs_and_waits_are_counted_together(void)
{
	struct uring_rig rig;
	struct job job;
	int results[64];

	REQUIRE(uring_up(&rig, 20, IORING_SETUP_SQE128), "");
	job_init(&job, &rig.net, 1, 9);
	uring_queue_job(&rig, &job, 0);
	uring_queue_job(&rig, &job, 1);
	uring_queue_wait(&rig, 0, 4, 9);
	/* Of the ioctl: there is no command to cancel. */
	EXPECT_OK(submit_one(&rig.ctx, &job));
	io_uring_submit(&rig.ring);
	uring_send_cancel(&rig, 9, OWN);
	collect(&rig, 4, results);
	EXPECT_EQ(results[0], -ECANCELED);
	EXPECT_EQ(results[1], -ECANCELED);
	EXPECT_EQ(results[9], -ECANCELED);
	EXPECT_EQ(results[OWN], 3);
	for (unsigned int i = 0; i < 3; i++)
		expect_job_event(&rig, 9);
	uring_down(&rig);
}

static void another_context_is_not_reached(void)
{
	struct uring_rig rig, stranger;
	struct ctx first, second;
	struct job job;
	int results[64];

	REQUIRE(uring_up(&rig, 20, 0) && uring_up(&stranger, 0, 0), "");
	REQUIRE(!ctx_create(rig.fd, DRM_FLUIDNPU_PRIORITY_NORMAL, 64, &second), "ctx_create");
	first = rig.ctx;
	job_init(&job, &rig.net, 1, 9);
	uring_queue_job(&rig, &job, 0);
	uring_queue_wait(&rig, 0, 2, 9);
	io_uring_submit(&rig.ring);
	rig.ctx = second;
	uring_send_cancel(&rig, 9, OWN);
	EXPECT_ERRNO(uring_cqe(&rig, NULL, NULL), ENOENT);
	rig.ctx = first;
	/* Its own context has the same id. */
	uring_send_cancel(&stranger, 9, OWN);
	EXPECT_ERRNO(uring_cqe(&stranger, NULL, NULL), ENOENT);
	collect(&rig, 2, results);
	EXPECT_EQ(results[0], 0);
	EXPECT_EQ(results[9], 0);
	ctx_destroy(&second);
	uring_down(&rig);
	uring_down(&stranger);
}

static void another_ring_can_cancel(void)
{
	for (unsigned int i = 0; i < num_uring_ways; i++) {
		const struct uring_way *way = &uring_ways[i];
		struct uring_rig rig, other = { 0 };
		struct job job;
		int results[64], ret;

		if (way->sqe_flags & IOSQE_ASYNC || way->ring_flags & IORING_SETUP_SQPOLL)
			continue; /* nobody knows when they are in flight */
		REQUIRE(uring_up_way(&rig, 40, way), "%s", way->name);
		other.fd = rig.fd;
		other.ctx = rig.ctx;
		REQUIRE(!io_uring_queue_init(URING_ENTRIES, &other.ring, 0), "%s", way->name);
		job_init(&job, &rig.net, 1, 9);
		uring_queue_job(&rig, &job, 0);
		uring_queue_wait(&rig, 0, 1, 9);
		io_uring_submit(&rig.ring);
		uring_send_cancel(&other, 9, OWN);
		ret = uring_cqe(&other, NULL, NULL);
		EXPECT(ret == 2, "%s: %d", way->name, ret);
		collect(&rig, 2, results);
		EXPECT_EQ(results[0], -ECANCELED);
		EXPECT_EQ(results[9], -ECANCELED);
		io_uring_queue_exit(&other.ring);
		uring_down(&rig);
	}
}

/* Cancels one user_data all the time, on a ring of its own, and counts what it reached. */
struct canceller {
	struct uring_rig *rig;
	volatile bool stop;
	unsigned int cancelled;
};

static void *cancel_forever(void *arg)
{
	struct canceller *canceller = arg;
	struct uring_rig own = { .fd = canceller->rig->fd, .ctx = canceller->rig->ctx };

	if (io_uring_queue_init(URING_ENTRIES, &own.ring, 0))
		return NULL;
	while (!canceller->stop) {
		int ret;

		uring_send_cancel(&own, 9, OWN);
		ret = uring_cqe(&own, NULL, NULL);
		EXPECT(ret > 0 || ret == -ENOENT, "%d", ret);
		if (ret > 0)
			canceller->cancelled += ret;
	}
	io_uring_queue_exit(&own.ring);
	return NULL;
}

static void race_with_cancel(const struct uring_way *way)
{
	struct canceller canceller = { 0 };
	unsigned int cancelled = 0;
	struct uring_rig rig;
	pthread_t thread;
	struct job job = { .args = { .flags = DRM_FLUIDNPU_JOB_NOP, .user_data = 9 } };

	REQUIRE(uring_up_way(&rig, 0, way), "%s", way->name);
	canceller.rig = &rig;
	REQUIRE(!pthread_create(&thread, NULL, cancel_forever, &canceller), "thread");
	for (unsigned int round = 0; round < 30; round++) {
		uint32_t events = ctx_ring(&rig.ctx)->producer;
		int results[64];

		for (unsigned int i = 0; i < 16; i++)
			uring_queue_job(&rig, &job, 16 + i);
		uring_queue_wait(&rig, events, 1, 9);
		uring_queue_wait(&rig, events, 16, 10);
		io_uring_submit(&rig.ring);
		collect(&rig, 18, results);
		for (unsigned int i = 0; i < 32; i++) {
			if (i < 16 && i != 9 && i != 10)
				continue;
			EXPECT(!results[i] || (results[i] == -ECANCELED && i != 10), "%u: %d", i,
			       results[i]);
			cancelled += results[i] == -ECANCELED;
		}
		/* All jobs have run, cancelled or not. */
		EXPECT_EQ(ctx_ring(&rig.ctx)->producer, events + 16);
		ctx_ring(&rig.ctx)->consumer = events + 16;
	}
	canceller.stop = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(canceller.cancelled, cancelled);
	printf("# %s: %u of 510 were cancelled\n", way->name, cancelled);
	uring_down(&rig);
}

static void each_command_completes_once_in_a_race_with_cancel(void)
{
	for (unsigned int i = 0; i < num_uring_ways; i++)
		race_with_cancel(&uring_ways[i]);
}

static void thousands_can_be_cancelled_at_once(void)
{
	const unsigned int count = 4000;
	struct job job = { .args = { .flags = DRM_FLUIDNPU_JOB_NOP, .user_data = 9 } }, slow;
	unsigned int cancelled = 0;
	struct uring_rig rig;
	int result = 0;

	REQUIRE(uring_up(&rig, 100, 0), "");
	ctx_destroy(&rig.ctx);
	REQUIRE(!ctx_create(rig.fd, DRM_FLUIDNPU_PRIORITY_NORMAL, 8192, &rig.ctx), "ctx_create");
	/* It keeps the others waiting. */
	job_init(&slow, &rig.net, 1, 1);
	for (unsigned int i = 0; i < 4; i++)
		EXPECT_OK(submit_one(&rig.ctx, &slow));
	for (unsigned int i = 0; i < count; i++) {
		uring_queue_job(&rig, &job, 1);
		if (i % 32 == 31)
			io_uring_submit(&rig.ring);
	}
	uring_send_cancel(&rig, 9, OWN);
	for (unsigned int i = 0; i <= count; i++) {
		uint64_t which = 0;
		int ret = uring_cqe(&rig, &which, NULL);

		if (which == OWN)
			result = ret;
		else
			cancelled += ret == -ECANCELED;
	}
	EXPECT_EQ(result, cancelled);
	EXPECT(cancelled > 64, "%u", cancelled);
	EXPECT_OK(submit_one(&rig.ctx, &slow));
	EXPECT_OK(bo_wait(&rig.net.data, npu_in_seconds(60)));
	EXPECT_EQ(ctx_ring(&rig.ctx)->producer, count + 10);
	uring_down(&rig);
}

static const struct tap_test tests[] = {
	{ "a cancelled command's job runs on", a_cancelled_commands_job_runs_on },
	{ "all commands of that user_data are cancelled",
	  all_commands_of_that_user_data_are_cancelled },
	{ "WAITs are cancelled by their user_data", waits_are_cancelled_by_their_user_data },
	{ "the upper half of a WAIT's user_data is zero",
	  the_upper_half_of_a_waits_user_data_is_zero },
	{ "jobs and WAITs are counted together", jobs_and_waits_are_counted_together },
	{ "another context is not reached", another_context_is_not_reached },
	{ "another ring can cancel", another_ring_can_cancel },
	{ "each command completes once in a race with CANCEL",
	  each_command_completes_once_in_a_race_with_cancel },
	{ "thousands can be cancelled at once", thousands_can_be_cancelled_at_once },
};

TAP_MAIN(tests)
