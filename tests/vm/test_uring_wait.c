// SPDX-License-Identifier: MIT
/* WAIT and YIELD as io_uring commands: when they complete, and what they refuse. */
#include <stdint.h>
#include <unistd.h>

#include "tap.h"
#include "uring.h"

static void a_wait_completes_with_its_last_event(void)
{
	struct uring_rig rig;
	struct job job;
	uint64_t producer = 0;

	REQUIRE(uring_up(&rig, 1, IORING_SETUP_CQE32), "");
	for (uint32_t count = 1; count <= 5; count++) {
		uint32_t from = ctx_ring(&rig.ctx)->producer;

		uring_queue_wait(&rig, from, count, 0);
		io_uring_submit(&rig.ring);
		EXPECT_EQ(io_uring_cq_ready(&rig.ring), 0);
		job_init(&job, &rig.net, 4, 0);
		EXPECT_OK(submit_one(&rig.ctx, &job));
		EXPECT_OK(uring_cqe(&rig, NULL, &producer));
		EXPECT(producer >= from + count && producer <= from + 5, "%llu after %u",
		       (unsigned long long)producer, from);
		EXPECT(ctx_ring(&rig.ctx)->producer >= from + count, "%u",
		       ctx_ring(&rig.ctx)->producer);
		EXPECT_OK(bo_wait(&rig.net.data, npu_in_seconds(60)));
	}
	uring_down(&rig);
}

static void a_wait_for_what_is_there_completes_at_once(void)
{
	struct uring_rig rig;
	struct job job;
	uint64_t producer = 0;

	REQUIRE(uring_up(&rig, 0, IORING_SETUP_CQE32), "");
	job_init(&job, &rig.net, 4, 0);
	EXPECT_OK(submit_one(&rig.ctx, &job));
	EXPECT_OK(bo_wait(&rig.net.data, npu_in_seconds(60)));
	for (uint32_t count = 1; count <= 5; count++) {
		uring_queue_wait(&rig, 5 - count, count, 0);
		EXPECT_EQ(io_uring_submit(&rig.ring), 1);
		EXPECT_EQ(io_uring_cq_ready(&rig.ring), 1);
		EXPECT_OK(uring_cqe(&rig, NULL, &producer));
		EXPECT_EQ(producer, 5);
	}
	uring_down(&rig);
}

static void waits_for_less_complete_first(void)
{
	struct uring_rig rig;
	struct job job;
	uint32_t seen = 0;

	REQUIRE(uring_up(&rig, 1, 0), "");
	for (uint32_t count = 12; count; count--)
		uring_queue_wait(&rig, 0, count, count);
	io_uring_submit(&rig.ring);
	job_init(&job, &rig.net, 1, 0);
	/* Two events each, and never more jobs than what the next two WAITs are about. */
	for (uint32_t i = 1; i <= 6; i++) {
		EXPECT_OK(submit_one(&rig.ctx, &job));
		for (unsigned int k = 0; k < 2; k++) {
			uint64_t which = 0;

			EXPECT_OK(uring_cqe(&rig, &which, NULL));
			EXPECT(which == 2 * i || which == 2 * i - 1, "%llu after job %u",
			       (unsigned long long)which, i);
			seen |= 1u << which;
		}
	}
	EXPECT_EQ(seen, 0x1ffe);
	uring_down(&rig);
}

static void a_wait_counts_across_the_end_of_the_numbers(void)
{
	struct uring_rig rig;
	struct job job;

	REQUIRE(uring_up(&rig, 0, 0), "");
	/* 2^32 - 1 is one event before 0: it has come, the second and third have not. */
	uring_queue_wait(&rig, UINT32_MAX, 1, 1);
	io_uring_submit(&rig.ring);
	EXPECT_OK(uring_cqe(&rig, NULL, NULL));
	uring_queue_wait(&rig, UINT32_MAX, 3, 1);
	io_uring_submit(&rig.ring);
	EXPECT_EQ(io_uring_cq_ready(&rig.ring), 0);
	job_init(&job, &rig.net, 1, 0);
	EXPECT_OK(submit_one(&rig.ctx, &job));
	EXPECT_OK(uring_cqe(&rig, NULL, NULL));
	uring_down(&rig);
}

static void a_scribbled_index_does_not_matter(void)
{
	struct uring_rig rig;
	struct job job;

	REQUIRE(uring_up(&rig, 0, 0), "");
	uring_queue_wait(&rig, 0, 2, 1);
	io_uring_submit(&rig.ring);
	memset(ctx_ring(&rig.ctx), 0x80, sizeof(struct drm_fluidnpu_event_ring));
	EXPECT_EQ(io_uring_cq_ready(&rig.ring), 0);
	ctx_ring(&rig.ctx)->consumer = 0;
	job_init(&job, &rig.net, 1, 0);
	EXPECT_OK(submit_one(&rig.ctx, &job));
	EXPECT_OK(uring_cqe(&rig, NULL, NULL));
	uring_down(&rig);
}

static void a_wait_is_about_its_own_context(void)
{
	struct uring_rig rig;
	struct ctx other;
	struct job job;

	REQUIRE(uring_up(&rig, 0, 0), "");
	REQUIRE(!ctx_create(rig.fd, DRM_FLUIDNPU_PRIORITY_NORMAL, 64, &other), "ctx_create");
	uring_queue_wait(&rig, 0, 1, 1);
	io_uring_submit(&rig.ring);
	job_init(&job, &rig.net, 4, 0);
	EXPECT_OK(submit_one(&other, &job));
	EXPECT_OK(bo_wait(&rig.net.data, npu_in_seconds(60)));
	EXPECT_EQ(io_uring_cq_ready(&rig.ring), 0);
	EXPECT_OK(submit_one(&rig.ctx, &job));
	EXPECT_OK(uring_cqe(&rig, NULL, NULL));
	ctx_destroy(&other);
	uring_down(&rig);
}

static void waits_end_with_their_context(void)
{
	struct uring_rig rig;
	struct job job;

	for (unsigned int i = 0; i < num_uring_ways; i++) {
		REQUIRE(uring_up_way(&rig, 10, &uring_ways[i]), "%s", uring_ways[i].name);
		job_init(&job, &rig.net, 1, 0);
		EXPECT_OK(submit_one(&rig.ctx, &job));
		for (unsigned int k = 0; k < 4; k++)
			uring_queue_wait(&rig, 0, 1 + k, k);
		io_uring_submit(&rig.ring);
		ctx_destroy(&rig.ctx);
		for (unsigned int k = 0; k < 4; k++) {
			int ret = uring_cqe(&rig, NULL, NULL);

			EXPECT(ret == -ENOENT, "%s: %d", uring_ways[i].name, ret);
		}
		EXPECT_OK(bo_wait(&rig.net.data, npu_in_seconds(60)));
		uring_down(&rig);
	}
}

static void waits_of_a_context_are_limited(void)
{
	const unsigned int limit = 256;
	struct uring_rig rig, other;

	REQUIRE(uring_up(&rig, 0, 0) && uring_up(&other, 0, 0), "");
	for (unsigned int i = 0; i < limit; i++) {
		uring_queue_wait(&rig, 0, 1, 5);
		io_uring_submit(&rig.ring);
	}
	uring_queue_wait(&rig, 0, 1, 6);
	io_uring_submit(&rig.ring);
	EXPECT_ERRNO(uring_cqe(&rig, NULL, NULL), ENOBUFS);
	/* One that has not to wait is none of them. */
	uring_queue_wait(&rig, -1u, 1, 7);
	io_uring_submit(&rig.ring);
	EXPECT_OK(uring_cqe(&rig, NULL, NULL));
	/* Others have their own. */
	uring_queue_wait(&other, 0, 1, 5);
	io_uring_submit(&other.ring);
	EXPECT_EQ(io_uring_cq_ready(&other.ring), 0);

	uring_send_cancel(&rig, 5, 99);
	for (unsigned int i = 0; i <= limit; i++) {
		uint64_t which = 0;
		int ret = uring_cqe(&rig, &which, NULL);

		EXPECT_EQ(ret, which == 99 ? (int)limit : -ECANCELED);
	}
	uring_down(&rig);
	uring_down(&other);
}

static int run_wait(struct uring_rig *rig, uint32_t ctx_id, uint32_t count)
{
	struct drm_fluidnpu_uring_wait args = { .ctx_id = ctx_id, .count = count };

	return uring_run(rig, FLUIDNPU_URING_WAIT, &args, sizeof(args));
}

static int run_yield(struct uring_rig *rig, uint32_t op, uint32_t ctx_id, uint32_t flags,
		     uint64_t user_data)
{
	struct drm_fluidnpu_yield args = {
		.ctx_id = ctx_id, .flags = flags, .user_data = user_data,
	};

	return uring_run(rig, op, &args, sizeof(args));
}

/* Nothing has happened, and all goes on. */
static void expect_untouched(struct uring_rig *rig)
{
	struct drm_fluidnpu_event event;
	struct job job;

	EXPECT_EQ(ctx_ring(&rig->ctx)->producer, 0);
	EXPECT_EQ(io_uring_cq_ready(&rig->ring), 0);
	job_init(&job, &rig->net, 1, 7);
	EXPECT_OK(uring_run_job(rig, &job));
	REQUIRE(ctx_job_event(&rig->ctx, &event), "no event");
	EXPECT_EQ(event.error, 0);
	EXPECT_EQ(event.user_data, 7);
}

static void wait_ctx_id_must_exist(void)
{
	struct uring_rig rig, other;

	REQUIRE(uring_up(&rig, 0, 0) && uring_up(&other, 0, 0), "");
	EXPECT_ERRNO(run_wait(&rig, 0, 1), ENOENT);
	EXPECT_ERRNO(run_wait(&rig, rig.ctx.id + 1, 1), ENOENT);
	EXPECT_ERRNO(run_wait(&rig, UINT32_MAX, 1), ENOENT);
	expect_untouched(&rig);
	/* Another client's context has the same number as one's own, or none. */
	ctx_destroy(&other.ctx);
	EXPECT_ERRNO(run_wait(&other, rig.ctx.id, 1), ENOENT);
	uring_down(&rig);
	uring_down(&other);
}

static void wait_count_must_fit_the_ring(void)
{
	struct uring_rig rig;

	REQUIRE(uring_up(&rig, 0, 0), "");
	EXPECT_ERRNO(run_wait(&rig, rig.ctx.id, 0), EINVAL);
	EXPECT_ERRNO(run_wait(&rig, rig.ctx.id, 1025), EINVAL);
	EXPECT_ERRNO(run_wait(&rig, rig.ctx.id, UINT32_MAX), EINVAL);
	expect_untouched(&rig);
	uring_down(&rig);
}

static void yield_flags_must_be_zero(void)
{
	struct uring_rig rig;

	REQUIRE(uring_up(&rig, 0, 0), "");
	EXPECT_ERRNO(run_yield(&rig, FLUIDNPU_URING_YIELD, rig.ctx.id, 1, 7), EINVAL);
	EXPECT_ERRNO(run_yield(&rig, FLUIDNPU_URING_CANCEL, rig.ctx.id, 1u << 31, 7), EINVAL);
	expect_untouched(&rig);
	uring_down(&rig);
}

static void yield_ctx_id_must_exist(void)
{
	struct uring_rig rig;

	REQUIRE(uring_up(&rig, 0, 0), "");
	EXPECT_ERRNO(run_yield(&rig, FLUIDNPU_URING_YIELD, rig.ctx.id + 1, 0, 7), ENOENT);
	EXPECT_ERRNO(run_yield(&rig, FLUIDNPU_URING_YIELD, 0, 0, 7), ENOENT);
	EXPECT_ERRNO(run_yield(&rig, FLUIDNPU_URING_CANCEL, rig.ctx.id + 1, 0, 7), ENOENT);
	EXPECT_ERRNO(run_yield(&rig, FLUIDNPU_URING_CANCEL, 0, 0, 7), ENOENT);
	expect_untouched(&rig);
	uring_down(&rig);
}

static void yield_user_data_must_be_a_jobs(void)
{
	struct uring_rig rig;

	REQUIRE(uring_up(&rig, 0, 0), "");
	EXPECT_ERRNO(run_yield(&rig, FLUIDNPU_URING_YIELD, rig.ctx.id, 0, 7), ENOENT);
	EXPECT_ERRNO(run_yield(&rig, FLUIDNPU_URING_CANCEL, rig.ctx.id, 0, 7), ENOENT);
	expect_untouched(&rig);
	/* It has ended. */
	EXPECT_ERRNO(run_yield(&rig, FLUIDNPU_URING_YIELD, rig.ctx.id, 0, 7), ENOENT);
	EXPECT_ERRNO(run_yield(&rig, FLUIDNPU_URING_CANCEL, rig.ctx.id, 0, 7), ENOENT);
	uring_down(&rig);
}

static void yield_hands_samples_back(void)
{
	struct uring_rig rig;
	struct job job;

	for (unsigned int i = 0; i < num_uring_ways; i++) {
		struct drm_fluidnpu_event event;
		struct drm_fluidnpu_yield args = { .user_data = 7 };
		int results[2] = { 1, 1 };

		REQUIRE(uring_up_way(&rig, 200, &uring_ways[i]), "%s", uring_ways[i].name);
		job_init(&job, &rig.net, 1, 7);
		EXPECT_OK(submit_one(&rig.ctx, &job));
		uring_queue_wait(&rig, 0, 2, 0);
		args.ctx_id = rig.ctx.id;
		uring_queue(&rig, FLUIDNPU_URING_YIELD, &args, sizeof(args), 1);
		io_uring_submit(&rig.ring);
		for (unsigned int k = 0; k < 2; k++) {
			uint64_t which = 0;
			int ret = uring_cqe(&rig, &which, NULL);

			results[which & 1] = ret;
		}
		EXPECT_EQ(results[0], 0);
		EXPECT_EQ(results[1], 0);
		REQUIRE(ctx_event(&rig.ctx, &event), "no event");
		EXPECT_EQ(event.type, DRM_FLUIDNPU_EVENT_YIELD);
		REQUIRE(ctx_event(&rig.ctx, &event), "no event");
		EXPECT_EQ(event.type, DRM_FLUIDNPU_EVENT_JOB);
		EXPECT_EQ(event.error, 0);
		uring_down(&rig);
	}
}

static const struct tap_test tests[] = {
	{ "a WAIT completes with its last event", a_wait_completes_with_its_last_event },
	{ "a WAIT for what is there completes at once",
	  a_wait_for_what_is_there_completes_at_once },
	{ "WAITs for less complete first", waits_for_less_complete_first },
	{ "a WAIT counts across the end of the numbers",
	  a_wait_counts_across_the_end_of_the_numbers },
	{ "a scribbled index does not matter to a WAIT", a_scribbled_index_does_not_matter },
	{ "a WAIT is about its own context", a_wait_is_about_its_own_context },
	{ "WAITs end with their context", waits_end_with_their_context },
	{ "WAITs of a context are limited", waits_of_a_context_are_limited },
	{ "uring_wait.ctx_id must exist", wait_ctx_id_must_exist },
	{ "uring_wait.count must fit the ring", wait_count_must_fit_the_ring },
	{ "yield.flags must be 0 in YIELD and CANCEL", yield_flags_must_be_zero },
	{ "yield.ctx_id must exist in YIELD and CANCEL", yield_ctx_id_must_exist },
	{ "yield.user_data must be a job's in YIELD and CANCEL", yield_user_data_must_be_a_jobs },
	{ "YIELD hands samples back", yield_hands_samples_back },
};

TAP_MAIN(tests)
