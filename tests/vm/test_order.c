// SPDX-License-Identifier: MIT
/*
 * The two ways of a job: right into the ring, or through the scheduler, because it has to wait for
 * a fence, for a place in the ring or for an older job of its context. Whatever way it takes, jobs
 * of a context run in order, and nobody waits for others'.
 */
#include <unistd.h>

#include "npu.h"
#include "pair.h"
#include "rig.h"
#include "tap.h"

#define LOW		DRM_FLUIDNPU_PRIORITY_LOW
#define NORMAL		DRM_FLUIDNPU_PRIORITY_NORMAL
#define HIGH		DRM_FLUIDNPU_PRIORITY_HIGH
#define REALTIME	DRM_FLUIDNPU_PRIORITY_REALTIME

#define FLOOD		300	/* jobs at once */
#define PER_SUBMIT	60
#define SLOTS		64	/* jobs that a queue of the device takes */

/* ---- order within a context ---- */

static void direct_jobs_stay_behind_scheduled_ones(void)
{
	struct pair pair;

	REQUIRE(pair_up(&pair, LOW), "");
	EXPECT_OK(pair_send(&pair.rig.ctx, &pair.rig.net, 1, pair.awaited, 0));
	for (unsigned int i = 2; i <= 9; i++)
		EXPECT_OK(pair_send(&pair.rig.ctx, &pair.rig.net, i, 0, 0));
	EXPECT_OK(send_nop(&pair.rig.ctx, 10));
	pass_by(pair.rig.fd, NORMAL);
	EXPECT_EQ(ctx_pending(&pair.rig.ctx), 0);
	blocker_release(&pair.blocker);
	expect_jobs(&pair.rig.ctx, 1, 10);
	EXPECT_EQ(ctx_pending(&pair.rig.ctx), 0);
	/* The way is free again. */
	EXPECT_OK(pair_send(&pair.rig.ctx, &pair.rig.net, 11, 0, 0));
	expect_jobs(&pair.rig.ctx, 11, 11);
	pair_down(&pair);
}

static void scheduled_jobs_stay_behind_direct_ones(void)
{
	struct pair pair;

	REQUIRE(pair_up(&pair, REALTIME), "");
	/* The device has these, and something better to do. */
	for (unsigned int i = 1; i <= 4; i++)
		EXPECT_OK(pair_send(&pair.rig.ctx, &pair.rig.net, i, 0, 0));
	EXPECT_OK(pair_send(&pair.rig.ctx, &pair.rig.net, 5, pair.awaited, 0));
	for (unsigned int i = 6; i <= 9; i++)
		EXPECT_OK(pair_send(&pair.rig.ctx, &pair.rig.net, i, 0, 0));
	EXPECT_EQ(ctx_pending(&pair.rig.ctx), 0);
	blocker_release(&pair.blocker);
	expect_jobs(&pair.rig.ctx, 1, 9);
	EXPECT_EQ(ctx_pending(&pair.rig.ctx), 0);
	pair_down(&pair);
}

/* Each odd one waits for a job of another queue, which may have ended when it is looked at. */
static void both_ways_in_turn_keep_the_order(void)
{
	uint32_t syncobj, await;
	struct ctx other;
	struct rig rig;

	REQUIRE(rig_up(&rig, 1), "");
	REQUIRE(!ctx_create(rig.fd, HIGH, 512, &other), "ctx_create");
	for (unsigned int i = 0; i < 100; i++) {
		REQUIRE(!syncobj_create(rig.fd, &syncobj), "syncobj");
		EXPECT_OK(pair_send(&other, &rig.net, i, 0, syncobj));
		await = i % 2 ? syncobj : 0;
		EXPECT_OK(pair_send(&rig.ctx, &rig.net, i, await, 0));
		syncobj_destroy(rig.fd, syncobj);
	}
	expect_jobs(&other, 0, 99);
	expect_jobs(&rig.ctx, 0, 99);
	EXPECT_EQ(ctx_pending(&rig.ctx), 0);
	ctx_destroy(&other);
	rig_down(&rig);
}

/* ---- more jobs than slots ---- */

/* Every tenth one is real. */
static void fill_flood(struct drm_fluidnpu_job *jobs, const struct job *real, uint64_t first)
{
	for (unsigned int i = 0; i < PER_SUBMIT; i++) {
		jobs[i] = (struct drm_fluidnpu_job){ .flags = DRM_FLUIDNPU_JOB_NOP };
		if (i % 10 == 9)
			jobs[i] = real->args;
		jobs[i].user_data = first + i;
	}
}

/* Into each context; none can run before all of them are there. */
static void flood(const struct net *net, struct ctx *const *ctxs, unsigned int num_ctxs)
{
	struct drm_fluidnpu_job jobs[PER_SUBMIT];
	struct blocker blocker;
	struct job real;

	REQUIRE(blocker_up(&blocker, REALTIME), "");
	job_init(&real, net, 1, 0);
	for (unsigned int i = 0; i < FLOOD; i += PER_SUBMIT) {
		fill_flood(jobs, &real, i);
		for (unsigned int k = 0; k < num_ctxs; k++)
			EXPECT_OK(submit(ctxs[k], jobs, PER_SUBMIT, NULL, 0));
	}
	for (unsigned int k = 0; k < num_ctxs; k++)
		EXPECT_EQ(ctx_pending(ctxs[k]), 0);
	blocker_release(&blocker);
	for (unsigned int k = 0; k < num_ctxs; k++) {
		expect_jobs(ctxs[k], 0, FLOOD - 1);
		EXPECT_EQ(ctx_pending(ctxs[k]), 0);
	}
	blocker_down(&blocker);
}

static void expect_ended(const struct rig *rig, uint64_t jobs)
{
	struct drm_fluidnpu_perf perf = { 0 };

	EXPECT_OK(npu_ioctl(rig->fd, DRM_IOCTL_FLUIDNPU_PERF, &perf));
	EXPECT_EQ(perf.jobs, jobs);
	EXPECT_EQ(perf.jobs_ended, jobs);
	EXPECT_EQ(perf.job_errors, 0);
}

static void a_flood_of_one_context_ends_in_order(void)
{
	struct rig rig;

	REQUIRE(rig_up(&rig, 0), "");
	flood(&rig.net, (struct ctx *const[]){ &rig.ctx }, 1);
	expect_ended(&rig, FLOOD);
	rig_down(&rig);
}

static void floods_of_two_contexts_end_in_order(uint32_t priority)
{
	struct ctx second;
	struct rig rig;

	REQUIRE(rig_up(&rig, 0), "");
	REQUIRE(!ctx_create(rig.fd, priority, 1024, &second), "ctx_create");
	flood(&rig.net, (struct ctx *const[]){ &rig.ctx, &second }, 2);
	expect_ended(&rig, 2 * FLOOD);
	ctx_destroy(&second);
	rig_down(&rig);
}

static void floods_into_one_queue_end_in_order(void)
{
	floods_of_two_contexts_end_in_order(NORMAL);
}

static void floods_into_two_queues_end_in_order(void)
{
	floods_of_two_contexts_end_in_order(HIGH);
}

static void a_flood_leaves_room_for_other_contexts(void)
{
	struct drm_fluidnpu_job jobs[PER_SUBMIT];
	struct pair pair;
	struct job real;

	/* None of its jobs can run; what waits in front of the ring is none of the device's. */
	REQUIRE(pair_up(&pair, LOW), "");
	job_init(&real, &pair.rig.net, 1, 0);
	EXPECT_OK(pair_send(&pair.rig.ctx, &pair.rig.net, 0, pair.awaited, 0));
	for (unsigned int i = 0; i < FLOOD; i += PER_SUBMIT) {
		fill_flood(jobs, &real, 1 + i);
		EXPECT_OK(submit(&pair.rig.ctx, jobs, PER_SUBMIT, NULL, 0));
	}
	pass_by(pair.rig.fd, NORMAL);
	EXPECT_EQ(ctx_pending(&pair.rig.ctx), 0);
	blocker_release(&pair.blocker);
	expect_jobs(&pair.rig.ctx, 0, FLOOD);
	pair_down(&pair);
}

/* ---- a fence that does not come ---- */

static void a_waiting_job_holds_up_nobody_else(void)
{
	static const uint32_t priorities[] = { NORMAL, HIGH, REALTIME };
	struct rig other;
	struct pair pair;
	struct ctx ctx;

	REQUIRE(pair_up(&pair, LOW) && rig_up(&other, 0), "");
	EXPECT_OK(pair_send(&pair.rig.ctx, &pair.rig.net, 1, pair.awaited, 0));
	for (unsigned int i = 0; i < sizeof(priorities) / sizeof(priorities[0]); i++) {
		REQUIRE(!ctx_create(pair.rig.fd, priorities[i], 32, &ctx), "ctx_create");
		EXPECT_OK(pair_send(&ctx, &pair.rig.net, 1, 0, 0));
		expect_jobs(&ctx, 1, 1);
		ctx_destroy(&ctx);
	}
	EXPECT_OK(pair_send(&other.ctx, &other.net, 1, 0, 0));
	expect_jobs(&other.ctx, 1, 1);
	EXPECT_EQ(ctx_pending(&pair.rig.ctx), 0);
	blocker_release(&pair.blocker);
	expect_jobs(&pair.rig.ctx, 1, 1);
	rig_down(&other);
	pair_down(&pair);
}

static void two_contexts_wait_for_one_fence(void)
{
	struct pair pair;
	struct ctx high;

	REQUIRE(pair_up(&pair, LOW), "");
	REQUIRE(!ctx_create(pair.rig.fd, HIGH, 64, &high), "ctx_create");
	for (unsigned int i = 0; i < 10; i++) {
		EXPECT_OK(pair_send(&pair.rig.ctx, &pair.rig.net, i, pair.awaited, 0));
		EXPECT_OK(pair_send(&high, &pair.rig.net, i, pair.awaited, 0));
	}
	pass_by(pair.rig.fd, NORMAL);
	EXPECT_EQ(ctx_pending(&pair.rig.ctx) + ctx_pending(&high), 0);
	blocker_release(&pair.blocker);
	expect_jobs(&pair.rig.ctx, 0, 9);
	expect_jobs(&high, 0, 9);
	ctx_destroy(&high);
	pair_down(&pair);
}

/* To and fro between contexts of all priorities; the first is not the blocker's. */
static unsigned int link_of(unsigned int i)
{
	return (i * 3 + 1) % 4;
}

static void a_chain_through_all_queues_runs_link_by_link(void)
{
	struct drm_fluidnpu_event event;
	uint32_t await, signal;
	struct ctx ctxs[4];
	struct pair pair;
	uint64_t last = 0;

	REQUIRE(pair_up(&pair, LOW), "");
	await = pair.awaited;
	for (uint32_t i = 0; i < 4; i++)
		REQUIRE(!ctx_create(pair.rig.fd, i, 128, &ctxs[i]), "ctx_create");
	for (unsigned int i = 0; i < 40; i++) {
		REQUIRE(!syncobj_create(pair.rig.fd, &signal), "syncobj");
		EXPECT_OK(pair_send(&ctxs[link_of(i)], &pair.rig.net, i, await, signal));
		syncobj_destroy(pair.rig.fd, await);
		await = signal;
	}
	for (uint32_t i = 0; i < 4; i++)
		EXPECT_EQ(ctx_pending(&ctxs[i]), 0);
	blocker_release(&pair.blocker);
	for (unsigned int i = 0; i < 40; i++) {
		REQUIRE(ctx_job_event(&ctxs[link_of(i)], &event), "no event");
		EXPECT_EQ(event.user_data, i);
		EXPECT(event.time > last, "link %u: at %llu, the one before at %llu", i,
		       (unsigned long long)event.time, (unsigned long long)last);
		last = event.time;
	}
	for (uint32_t i = 0; i < 4; i++)
		ctx_destroy(&ctxs[i]);
	pair_down(&pair);
}

/* ---- YIELD ---- */

static int yield(const struct ctx *ctx, uint64_t user_data)
{
	struct drm_fluidnpu_yield args = { .ctx_id = ctx->id, .user_data = user_data };

	return npu_ioctl(ctx->fd, DRM_IOCTL_FLUIDNPU_YIELD, &args);
}

/* Jobs in the queues of the device of which debugfs says @what. */
static unsigned int count_in_queues(const char *what)
{
	unsigned int count = 0;
	char line[256];
	FILE *file;

	file = popen("cat /sys/kernel/debug/accel/*/queues", "r");
	while (file && fgets(line, sizeof(line), file))
		count += strstr(line, "user_data=") && strstr(line, what);
	if (file)
		pclose(file);
	return count;
}

/* The job hands its only sample back where it would have begun, without the device. */
static void expect_untouched(struct ctx *ctx, const struct drm_fluidnpu_event *first)
{
	struct drm_fluidnpu_event event;

	EXPECT_EQ(first->type, DRM_FLUIDNPU_EVENT_YIELD);
	EXPECT_EQ(first->layer, 0);
	REQUIRE(ctx_event(ctx, &event), "no event");
	EXPECT_EQ(event.type, DRM_FLUIDNPU_EVENT_JOB);
	EXPECT_EQ(event.user_data, first->user_data - 1);
	EXPECT_EQ(event.error, 0);
	EXPECT_EQ(event.time, 0);
}

#define MANY	200	/* jobs: slots for 64, as many that wait for one, the scheduler has the rest */

/* Those that yield end at once when it is their turn to begin, the others in order. */
static void expect_all_but(struct ctx *ctx, unsigned int yielded, unsigned int also_yielded)
{
	unsigned int yields = 0, next = 0;
	struct drm_fluidnpu_event event;

	for (;;) {
		if (next == yielded || next == also_yielded)
			next++;
		if (next == MANY && yields == 2)
			break;
		REQUIRE(ctx_event(ctx, &event), "no event");
		if (event.type == DRM_FLUIDNPU_EVENT_JOB) {
			REQUIRE(event.user_data == 10 * next && !event.error, "job %llu: %d, not %u",
				(unsigned long long)event.user_data, event.error, 10 * next);
			next++;
		} else if (event.user_data == 10 * yielded + 1 ||
			   event.user_data == 10 * also_yielded + 1) {
			expect_untouched(ctx, &event);
			yields++;
		} else {
			EXPECT_EQ(event.type, DRM_FLUIDNPU_EVENT_EXIT);
		}
	}
	EXPECT_EQ(ctx_pending(ctx), 0);
}

static void jobs_that_wait_for_a_slot_can_yield(void)
{
	const unsigned int first = SLOTS, last = MANY - 1;
	unsigned int slots, waiting;
	struct pair pair;

	REQUIRE(pair_up(&pair, REALTIME), "");
	for (unsigned int i = 0; i < MANY; i++)
		EXPECT_OK(pair_send(&pair.rig.ctx, &pair.rig.net, 10 * i, 0, 0));
	/* The scheduler has a thread of its own. */
	do {
		slots = count_in_queues(" slot=") - 1;	/* but for the blocker */
		waiting = count_in_queues(" waits");
	} while (!waiting);
	EXPECT_EQ(slots, SLOTS);
	EXPECT(slots + waiting < MANY, "%u + %u: the scheduler keeps none", slots, waiting);
	EXPECT_OK(yield(&pair.rig.ctx, 10 * first));
	EXPECT_OK(yield(&pair.rig.ctx, 10 * last));
	EXPECT_EQ(ctx_pending(&pair.rig.ctx), 0);
	blocker_release(&pair.blocker);
	expect_all_but(&pair.rig.ctx, first, last);
	pair_down(&pair);
}

/* In its turn: what it waits for may be what makes its samples whole. */
static void a_job_that_waits_for_a_fence_can_yield(void)
{
	struct drm_fluidnpu_event event;
	struct pair pair;

	REQUIRE(pair_up(&pair, LOW), "");
	EXPECT_OK(pair_send(&pair.rig.ctx, &pair.rig.net, 100, pair.awaited, 0));
	EXPECT_OK(pair_send(&pair.rig.ctx, &pair.rig.net, 200, 0, 0));
	EXPECT_OK(pair_send(&pair.rig.ctx, &pair.rig.net, 300, 0, 0));
	EXPECT_OK(yield(&pair.rig.ctx, 100));
	EXPECT_OK(yield(&pair.rig.ctx, 200));
	pass_by(pair.rig.fd, NORMAL);
	EXPECT_EQ(ctx_pending(&pair.rig.ctx), 0);
	blocker_release(&pair.blocker);
	for (unsigned int i = 100; i <= 200; i += 100) {
		REQUIRE(ctx_event(&pair.rig.ctx, &event), "no event");
		EXPECT_EQ(event.user_data, i + 1);
		expect_untouched(&pair.rig.ctx, &event);
	}
	expect_jobs(&pair.rig.ctx, 300, 300);
	EXPECT_ERRNO(yield(&pair.rig.ctx, 100), ENOENT);
	pair_down(&pair);
}

/* ---- fences ---- */

#define FENCES 48

/* Jobs of both ways, real ones and NOPs, and injected ones, which can end early. */
static void send_with_fences(const struct rig *rig, uint32_t await, int *fences)
{
	struct drm_fluidnpu_submit args = { .ctx_id = rig->ctx.id };
	struct drm_fluidnpu_sync syncs[2] = { { .flags = DRM_FLUIDNPU_SYNC_SIGNAL } };
	unsigned long request;
	struct job job;

	for (unsigned int i = 0; i < FENCES; i++) {
		REQUIRE(!syncobj_create(rig->fd, &syncs[0].handle), "syncobj");
		syncs[1] = (struct drm_fluidnpu_sync){ .handle = await };
		job_init(&job, &rig->net, 1, i);
		if (i % 3 == 1)
			job.args = (struct drm_fluidnpu_job){ .flags = DRM_FLUIDNPU_JOB_NOP,
							      .user_data = i };
		args.jobs = (struct drm_fluidnpu_array){ sizeof(job.args), 1, (uintptr_t)&job.args };
		args.syncs = (struct drm_fluidnpu_array){ sizeof(syncs[0]), i == FENCES / 2 ? 2 : 1,
							  (uintptr_t)syncs };
		request = i % 3 ? DRM_IOCTL_FLUIDNPU_SUBMIT : DRM_IOCTL_FLUIDNPU_INJECT;
		EXPECT_OK(npu_ioctl(rig->fd, request, &args));
		fences[i] = export_fence(rig->fd, syncs[0].handle);
		syncobj_destroy(rig->fd, syncs[0].handle);
	}
}

static void fences_of_a_context_are_signalled_in_order(void)
{
	int fences[FENCES];
	struct pair pair;

	REQUIRE(pair_up(&pair, LOW), "");
	send_with_fences(&pair.rig, pair.awaited, fences);
	REQUIRE(!tap_failures, "");
	wait_for_fence(fences[FENCES / 2 - 1]);
	for (unsigned int i = 0; i < FENCES; i++)
		EXPECT(fence_status(fences[i]) == (i < FENCES / 2), "fence %u: %d", i,
		       fence_status(fences[i]));
	blocker_release(&pair.blocker);
	for (unsigned int i = FENCES / 2; i < FENCES; i += 7) {
		wait_for_fence(fences[i]);
		for (unsigned int k = 0; k < i; k++)
			EXPECT(fence_status(fences[k]) == 1, "fence %u: %d, but that of %u is signalled",
			       k, fence_status(fences[k]), i);
	}
	wait_for_fence(fences[FENCES - 1]);
	for (unsigned int i = 0; i < FENCES; i++) {
		EXPECT_EQ(fence_status(fences[i]), 1);
		close(fences[i]);
	}
	pair_down(&pair);
}

/* It has handed back its sample before the device has done with the one in front of it. */
static void the_fence_of_a_job_that_ends_early_waits_for_older_ones(void)
{
	struct blocker high, older;
	struct drm_fluidnpu_event event;
	uint32_t syncobj;
	int fence;

	REQUIRE(blocker_up(&high, HIGH) && blocker_up(&older, NORMAL), "");
	REQUIRE(!syncobj_create(older.fd, &syncobj), "syncobj");
	EXPECT_OK(pair_send(&older.ctx, &older.net, 7, blocker_syncobj(&high, older.fd), syncobj));
	fence = export_fence(older.fd, syncobj);
	EXPECT_OK(yield(&older.ctx, 7));
	blocker_release(&high);
	REQUIRE(ctx_event(&older.ctx, &event), "no event");
	EXPECT_EQ(event.user_data, 8);
	expect_untouched(&older.ctx, &event);
	pass_by(high.fd, REALTIME);
	EXPECT_EQ(fence_status(fence), 0);
	EXPECT_EQ(ctx_pending(&older.ctx), 0);
	blocker_release(&older);
	wait_for_fence(fence);
	EXPECT_EQ(fence_status(fence), 1);
	close(fence);
	blocker_down(&older);
	blocker_down(&high);
}

static const struct tap_test tests[] = {
	{ "jobs stay behind those of their context that wait",
	  direct_jobs_stay_behind_scheduled_ones },
	{ "jobs that wait stay behind those of their context in the ring",
	  scheduled_jobs_stay_behind_direct_ones },
	{ "jobs of both ways in turn keep their order", both_ways_in_turn_keep_the_order },
	{ "300 jobs at once end in order", a_flood_of_one_context_ends_in_order },
	{ "300 jobs at once of each of two contexts of a queue end in order",
	  floods_into_one_queue_end_in_order },
	{ "300 jobs at once of each of two contexts of two queues end in order",
	  floods_into_two_queues_end_in_order },
	{ "300 jobs that wait leave room for other contexts", a_flood_leaves_room_for_other_contexts },
	{ "a job that waits holds up nobody else", a_waiting_job_holds_up_nobody_else },
	{ "two contexts can wait for one fence", two_contexts_wait_for_one_fence },
	{ "a chain of jobs through all queues runs link by link",
	  a_chain_through_all_queues_runs_link_by_link },
	{ "jobs that wait for a slot can yield", jobs_that_wait_for_a_slot_can_yield },
	{ "a job that waits for a fence can yield", a_job_that_waits_for_a_fence_can_yield },
	{ "fences of a context are signalled in order", fences_of_a_context_are_signalled_in_order },
	{ "the fence of a job that ends early waits for older ones",
	  the_fence_of_a_job_that_ends_early_waits_for_older_ones },
};

TAP_MAIN(tests)
