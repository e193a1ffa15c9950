// SPDX-License-Identifier: MIT
/* SUBMIT by ioctl: results, synchronisation, failures, timeouts. */
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "npu.h"
#include "param.h"
#include "rig.h"
#include "tap.h"

static void a_job_classifies_its_samples(void)
{
	struct drm_fluidnpu_event event;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 0), "");
	net_set_input(&rig.net, 2, 6, 100);
	job_init(&job, &rig.net, 3, 1000);
	EXPECT_OK(submit_one(&rig.ctx, &job));
	for (unsigned int i = 0; i < 3; i++) {
		REQUIRE(ctx_event(&rig.ctx, &event), "no event");
		EXPECT_EQ(event.type, DRM_FLUIDNPU_EVENT_EXIT);
		EXPECT_EQ(event.user_data, 1001 + i);
		EXPECT_EQ(event.exit_index, 0);
		EXPECT_EQ(event.class_index, i == 2 ? 2 : i);
		EXPECT_EQ(event.live_batch, 3);
		EXPECT(event.time >= event.started && event.started >= event.queued,
		       "%llu %llu %llu", (unsigned long long)event.time,
		       (unsigned long long)event.started, (unsigned long long)event.queued);
		EXPECT_EQ(net_logits(&rig.net, i)[event.class_index], 100);
	}
	REQUIRE(ctx_event(&rig.ctx, &event), "no event");
	EXPECT_EQ(event.type, DRM_FLUIDNPU_EVENT_JOB);
	EXPECT_EQ(event.user_data, 1000);
	EXPECT_EQ(event.error, 0);
	EXPECT_EQ(ctx_pending(&rig.ctx), 0);
	rig_down(&rig);
}

static void an_unsure_sample_takes_the_later_exit(void)
{
	struct drm_fluidnpu_event event;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 0), "");
	net_set_input(&rig.net, 0, 1, 1);
	job_init(&job, &rig.net, 2, 0);
	EXPECT_OK(submit_one(&rig.ctx, &job));
	REQUIRE(ctx_event(&rig.ctx, &event), "no event");
	EXPECT_EQ(event.user_data, 2);
	EXPECT_EQ(event.exit_index, 0);
	REQUIRE(ctx_event(&rig.ctx, &event), "no event");
	EXPECT_EQ(event.user_data, 1);
	EXPECT_EQ(event.exit_index, 1);
	EXPECT_EQ(event.class_index, 1);
	EXPECT_EQ(event.live_batch, 1);
	rig_down(&rig);
}

static void no_exit_reports_every_head(void)
{
	struct drm_fluidnpu_event event;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 0), "");
	job_init(&job, &rig.net, 1, 0);
	job.args.flags = DRM_FLUIDNPU_JOB_NO_EXIT;
	EXPECT_OK(submit_one(&rig.ctx, &job));
	REQUIRE(ctx_event(&rig.ctx, &event), "no event");
	EXPECT_EQ(event.type, DRM_FLUIDNPU_EVENT_HEAD);
	EXPECT_EQ(event.exit_index, 0);
	REQUIRE(ctx_event(&rig.ctx, &event), "no event");
	EXPECT_EQ(event.type, DRM_FLUIDNPU_EVENT_EXIT);
	EXPECT_EQ(event.exit_index, 1);
	REQUIRE(ctx_event(&rig.ctx, &event), "no event");
	EXPECT_EQ(event.type, DRM_FLUIDNPU_EVENT_JOB);
	rig_down(&rig);
}

static void a_job_can_start_in_the_middle(void)
{
	struct drm_fluidnpu_event event;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 0), "");
	job_init(&job, &rig.net, 1, 0);
	job.samples[0].start_layer = 2;
	EXPECT_OK(submit_one(&rig.ctx, &job));
	REQUIRE(ctx_event(&rig.ctx, &event), "no event");
	EXPECT_EQ(event.exit_index, 1);
	EXPECT_EQ(event.class_index, 0);
	rig_down(&rig);
}

static void jobs_of_a_submit_run_in_order(void)
{
	struct drm_fluidnpu_job args[20];
	struct drm_fluidnpu_event event;
	struct job jobs[20];
	struct rig rig;

	REQUIRE(rig_up(&rig, 0), "");
	for (unsigned int i = 0; i < 20; i++) {
		job_init(&jobs[i], &rig.net, 1, 100 * i);
		args[i] = jobs[i].args;
	}
	EXPECT_OK(submit(&rig.ctx, args, 20, NULL, 0));
	for (unsigned int i = 0; i < 20; i++) {
		REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
		EXPECT_EQ(event.user_data, 100 * i);
		EXPECT_EQ(event.error, 0);
	}
	rig_down(&rig);
}

static void many_jobs_wrap_every_ring(void)
{
	struct drm_fluidnpu_event event;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 0), "");
	for (unsigned int round = 0; round < 300; round++) {
		job_init(&job, &rig.net, 8, round);
		for (unsigned int i = 0; i < 8; i++)
			REQUIRE(!submit_one(&rig.ctx, &job), "round %u", round);
		for (unsigned int i = 0; i < 8; i++) {
			REQUIRE(ctx_job_event(&rig.ctx, &event), "no event in round %u", round);
			REQUIRE(event.user_data == round && !event.error, "round %u: %llu, %d",
				round, (unsigned long long)event.user_data, event.error);
		}
	}
	rig_down(&rig);
}

static void a_binary_syncobj_is_signalled(void)
{
	struct drm_fluidnpu_sync sync = { .flags = DRM_FLUIDNPU_SYNC_SIGNAL };
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 2), "");
	REQUIRE(!syncobj_create(rig.fd, &sync.handle), "syncobj");
	job_init(&job, &rig.net, 1, 0);
	EXPECT_OK(submit(&rig.ctx, &job.args, 1, &sync, 1));
	EXPECT_OK(syncobj_wait(rig.fd, sync.handle, 0, npu_in_seconds(60)));
	EXPECT_EQ(ctx_pending(&rig.ctx), 2);
	syncobj_destroy(rig.fd, sync.handle);
	rig_down(&rig);
}

static void timeline_points_are_signalled_in_turn(void)
{
	struct drm_fluidnpu_sync sync = { .flags = DRM_FLUIDNPU_SYNC_SIGNAL };
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 1), "");
	REQUIRE(!syncobj_create(rig.fd, &sync.handle), "syncobj");
	job_init(&job, &rig.net, 1, 0);
	for (sync.point = 5; sync.point <= 7; sync.point++)
		EXPECT_OK(submit(&rig.ctx, &job.args, 1, &sync, 1));
	EXPECT_OK(syncobj_wait(rig.fd, sync.handle, 5, npu_in_seconds(60)));
	EXPECT(ctx_pending(&rig.ctx) >= 2, "%u events", ctx_pending(&rig.ctx));
	EXPECT_OK(syncobj_wait(rig.fd, sync.handle, 7, npu_in_seconds(60)));
	EXPECT_EQ(ctx_pending(&rig.ctx), 6);
	syncobj_destroy(rig.fd, sync.handle);
	rig_down(&rig);
}

/* A job that waits for another client's slow job; both kinds of syncobj. */
static void wait_for_another_context(uint64_t point)
{
	struct drm_fluidnpu_sync sync = { .point = point };
	struct drm_fluidnpu_event slow, fast;
	struct ctx second;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 4), "");
	REQUIRE(!ctx_create(rig.fd, DRM_FLUIDNPU_PRIORITY_HIGH, 32, &second), "ctx_create");
	REQUIRE(!syncobj_create(rig.fd, &sync.handle), "syncobj");
	job_init(&job, &rig.net, 1, 0);
	sync.flags = DRM_FLUIDNPU_SYNC_SIGNAL;
	EXPECT_OK(submit(&rig.ctx, &job.args, 1, &sync, 1));
	sync.flags = DRM_FLUIDNPU_SYNC_WAIT;
	job.samples[0].start_layer = 4;	/* skips the slow layers */
	EXPECT_OK(submit(&second, &job.args, 1, &sync, 1));
	REQUIRE(ctx_job_event(&second, &fast), "no event");
	REQUIRE(ctx_pending(&rig.ctx) == 2, "it did not wait");
	REQUIRE(ctx_job_event(&rig.ctx, &slow), "no event");
	EXPECT(fast.queued >= slow.time, "queued at %llu, before %llu",
	       (unsigned long long)fast.queued, (unsigned long long)slow.time);
	syncobj_destroy(rig.fd, sync.handle);
	ctx_destroy(&second);
	rig_down(&rig);
}

static void a_job_waits_for_a_binary_syncobj(void)
{
	wait_for_another_context(0);
}

static void a_job_waits_for_a_timeline_point(void)
{
	wait_for_another_context(3);
}

static void bo_wait_waits_for_the_job(void)
{
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 40), "");
	job_init(&job, &rig.net, 1, 0);
	EXPECT_OK(submit_one(&rig.ctx, &job));
	EXPECT_ERRNO(bo_wait(&rig.net.data, 0), ETIMEDOUT);
	EXPECT_ERRNO(bo_wait(&rig.net.program, npu_now_ns() + 1000000), ETIMEDOUT);
	EXPECT_OK(bo_wait(&rig.ctx.ring, 0));
	EXPECT_OK(bo_wait(&rig.net.data, npu_in_seconds(60)));
	EXPECT_EQ(ctx_pending(&rig.ctx), 2);
	rig_down(&rig);
}

static void poll_tells_of_events(void)
{
	struct drm_fluidnpu_event event;
	struct pollfd pfd = { .events = POLLIN };
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 1), "");
	pfd.fd = rig.fd;
	EXPECT_EQ(poll(&pfd, 1, 0), 0);
	job_init(&job, &rig.net, 1, 0);
	EXPECT_OK(submit_one(&rig.ctx, &job));
	EXPECT_EQ(poll(&pfd, 1, 60000), 1);
	EXPECT_EQ(pfd.revents, POLLIN);
	REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
	EXPECT_EQ(poll(&pfd, 1, 0), 0);
	rig_down(&rig);
}

static void a_higher_priority_preempts(void)
{
	struct drm_fluidnpu_event low, high;
	struct ctx second;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 40), "");
	REQUIRE(!ctx_create(rig.fd, DRM_FLUIDNPU_PRIORITY_REALTIME, 32, &second), "ctx_create");
	job_init(&job, &rig.net, 1, 0);
	EXPECT_OK(submit_one(&rig.ctx, &job));
	job.samples[0].start_layer = 40;
	EXPECT_OK(submit_one(&second, &job));
	REQUIRE(ctx_job_event(&second, &high), "no event");
	REQUIRE(ctx_job_event(&rig.ctx, &low), "no event");
	EXPECT(high.time < low.time, "%llu, %llu", (unsigned long long)high.time,
	       (unsigned long long)low.time);
	EXPECT(high.time - high.queued < 4 * SLOW_LAYER_CYCLES, "%llu cycles",
	       (unsigned long long)(high.time - high.queued));
	EXPECT_EQ(low.error, 0);
	ctx_destroy(&second);
	rig_down(&rig);
}

static void an_mmu_fault_ends_only_that_job(void)
{
	struct drm_fluidnpu_event event;
	struct rig bad, good;
	struct job job;

	REQUIRE(rig_up(&bad, 0) && rig_up(&good, 0), "");
	job_init(&job, &bad.net, 2, 10);
	job.samples[1].input_iova = 0;
	EXPECT_OK(submit_one(&bad.ctx, &job));
	job_init(&job, &bad.net, 2, 20);
	EXPECT_OK(submit_one(&bad.ctx, &job));
	job_init(&job, &good.net, 2, 30);
	EXPECT_OK(submit_one(&good.ctx, &job));

	REQUIRE(ctx_job_event(&bad.ctx, &event), "no event");
	EXPECT_EQ(event.user_data, 10);
	EXPECT_EQ(event.error, -EIO);
	REQUIRE(ctx_job_event(&bad.ctx, &event), "no event");
	EXPECT_EQ(event.user_data, 20);
	EXPECT_EQ(event.error, 0);
	REQUIRE(ctx_job_event(&good.ctx, &event), "no event");
	EXPECT_EQ(event.error, 0);
	rig_down(&bad);
	rig_down(&good);
}

static void the_guard_page_faults(void)
{
	struct drm_fluidnpu_event event;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 0), "");
	job_init(&job, &rig.net, 1, 0);
	job.samples[0].logits_iova = rig.net.data.iova + rig.net.data.size;
	EXPECT_OK(submit_one(&rig.ctx, &job));
	REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
	EXPECT_EQ(event.error, -EIO);
	rig_down(&rig);
}

static void a_closed_bo_faults(void)
{
	struct drm_fluidnpu_event event;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 0), "");
	job_init(&job, &rig.net, 1, 0);
	EXPECT_OK(submit_one(&rig.ctx, &job));	/* the device has translations now */
	REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
	EXPECT_EQ(event.error, 0);
	EXPECT_OK(bo_close_handle(&rig.net.data));
	job.args.bos.count = 1;
	do {	/* the first job's reference goes soon after its last event */
		REQUIRE(!submit_one(&rig.ctx, &job), "submit failed");
		REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
	} while (!event.error);
	EXPECT_EQ(event.error, -EIO);
	rig_down(&rig);
}

static void a_bo_closed_under_its_job_stays(void)
{
	struct drm_fluidnpu_event event;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 10), "");
	job_init(&job, &rig.net, 1, 0);
	EXPECT_OK(submit_one(&rig.ctx, &job));
	EXPECT_OK(bo_close_handle(&rig.net.data));
	EXPECT_OK(bo_close_handle(&rig.net.program));
	REQUIRE(ctx_event(&rig.ctx, &event), "no event");
	EXPECT_EQ(event.type, DRM_FLUIDNPU_EVENT_EXIT);
	EXPECT_EQ(event.class_index, 0);
	REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
	EXPECT_EQ(event.error, 0);
	rig_down(&rig);
}

static void addresses_of_another_client_fault(void)
{
	struct drm_fluidnpu_event event;
	struct rig a, b;
	struct bo big;
	struct job job;

	REQUIRE(rig_up(&a, 0) && rig_up(&b, 0), "");
	REQUIRE(!bo_create(a.fd, 8 << 20, &big), "bo_create");
	job_init(&job, &b.net, 1, 0);
	job.samples[0].input_iova = big.iova + (4 << 20);
	EXPECT_OK(submit_one(&b.ctx, &job));
	REQUIRE(ctx_job_event(&b.ctx, &event), "no event");
	EXPECT_EQ(event.error, -EIO);
	bo_destroy(&big);
	rig_down(&a);
	rig_down(&b);
}

static void hostile_programs_fail_with_eio(void)
{
	struct fluidnpu_hw_program *header, good;
	struct drm_fluidnpu_event event;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 0), "");
	header = rig.net.program.map;
	good = *header;
	for (unsigned int word = 0; word < 11; word++) {
		uint32_t *field = (uint32_t *)header + word;

		*field = 0xffffffff;
		if (header->state_bytes == 0xffffffff || header->input_bytes == 0xffffffff ||
		    header->logits_bytes == 0xffffffff) {
			*header = good;	/* sizes of buffers that it does not touch */
			continue;
		}
		job_init(&job, &rig.net, 1, word);
		EXPECT_OK(submit_one(&rig.ctx, &job));
		REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
		EXPECT(event.error == -EIO, "word %u: %d", word, event.error);
		*header = good;
	}
	job_init(&job, &rig.net, 1, 0);
	EXPECT_OK(submit_one(&rig.ctx, &job));
	REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
	EXPECT_EQ(event.error, 0);
	rig_down(&rig);
}

static void a_full_event_ring_refuses_jobs(void)
{
	struct drm_fluidnpu_event event;
	struct ctx small;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 0), "");
	REQUIRE(!ctx_create(rig.fd, DRM_FLUIDNPU_PRIORITY_NORMAL, 32, &small), "ctx_create");
	job_init(&job, &rig.net, 15, 0);
	EXPECT_OK(submit_one(&small, &job));
	EXPECT_OK(submit_one(&small, &job));
	EXPECT_ERRNO(submit_one(&small, &job), ENOBUFS);
	EXPECT_OK(bo_wait(&rig.net.data, npu_in_seconds(60)));
	EXPECT_EQ(ctx_pending(&small), 32);
	EXPECT_ERRNO(submit_one(&small, &job), ENOBUFS);
	REQUIRE(ctx_job_event(&small, &event), "no event");
	EXPECT_OK(submit_one(&small, &job));
	REQUIRE(ctx_job_event(&small, &event), "no event");
	REQUIRE(ctx_job_event(&small, &event), "no event");
	EXPECT_EQ(event.error, 0);

	/* With all heads reported, 15 samples could need more than the ring has. */
	job.args.flags = DRM_FLUIDNPU_JOB_NO_EXIT;
	EXPECT_ERRNO(submit_one(&small, &job), ENOBUFS);
	ctx_destroy(&small);
	rig_down(&rig);
}

static void scribbling_over_the_event_ring_harms_nobody_else(void)
{
	struct rig rig, other;
	struct drm_fluidnpu_event event;
	struct job job;

	REQUIRE(rig_up(&rig, 0) && rig_up(&other, 0), "");
	job_init(&job, &rig.net, 8, 0);
	for (unsigned int i = 0; i < 50; i++) {
		submit_one(&rig.ctx, &job);
		memset(rig.ctx.ring.map, i * 37, rig.ctx.ring.size);
	}
	EXPECT_OK(bo_wait(&rig.net.data, npu_in_seconds(60)));
	/* The ring's buffer goes away under the context. */
	EXPECT_OK(bo_close_handle(&rig.ctx.ring));
	EXPECT_EQ(munmap(rig.ctx.ring.map, rig.ctx.ring.size), 0);
	rig.ctx.ring.map = NULL;
	submit_one(&rig.ctx, &job);
	EXPECT_OK(bo_wait(&rig.net.data, npu_in_seconds(60)));

	job_init(&job, &other.net, 1, 0);
	EXPECT_OK(submit_one(&other.ctx, &job));
	REQUIRE(ctx_job_event(&other.ctx, &event), "no event");
	EXPECT_EQ(event.error, 0);
	rig_down(&rig);
	rig_down(&other);
}

static void a_destroyed_context_lets_its_jobs_run(void)
{
	struct drm_fluidnpu_sync sync = { .flags = DRM_FLUIDNPU_SYNC_SIGNAL };
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 4), "");
	REQUIRE(!syncobj_create(rig.fd, &sync.handle), "syncobj");
	job_init(&job, &rig.net, 1, 0);
	memset(net_logits(&rig.net, 0), 0, NET_LOGITS);
	EXPECT_OK(submit(&rig.ctx, &job.args, 1, &sync, 1));
	ctx_destroy(&rig.ctx);
	EXPECT_OK(syncobj_wait(rig.fd, sync.handle, 0, npu_in_seconds(60)));
	EXPECT_EQ(net_logits(&rig.net, 0)[0], 100);
	syncobj_destroy(rig.fd, sync.handle);
	rig_down(&rig);
}

static void a_job_that_takes_too_long_times_out(void)
{
	struct drm_fluidnpu_event event;
	struct rig rig, other;
	struct job job;

	REQUIRE(rig_up(&rig, 400) && rig_up(&other, 0), "");
	REQUIRE(!param_set(JOB_TIMEOUT_PARAM, "200"), "cannot set the timeout");
	job_init(&job, &rig.net, 1, 1);
	EXPECT_OK(submit_one(&rig.ctx, &job));
	job.samples[0].start_layer = 400;
	job.args.user_data = 2;
	EXPECT_OK(submit_one(&rig.ctx, &job));
	job_init(&job, &other.net, 1, 3);
	EXPECT_OK(submit_one(&other.ctx, &job));

	REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
	EXPECT_EQ(event.user_data, 1);
	EXPECT_EQ(event.error, -ETIME);
	EXPECT(event.time > 0, "0");
	REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
	EXPECT_EQ(event.user_data, 2);
	EXPECT_EQ(event.error, 0);
	REQUIRE(ctx_job_event(&other.ctx, &event), "no event");
	EXPECT_EQ(event.error, 0);
	rig_down(&rig);
	rig_down(&other);
}

static void a_preempted_job_does_not_time_out(void)
{
	struct drm_fluidnpu_event event;
	struct ctx high;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 10), "");	/* 0.05 s of device time; 20 of them outlast the timeout */
	REQUIRE(!ctx_create(rig.fd, DRM_FLUIDNPU_PRIORITY_HIGH, 64, &high), "ctx_create");
	REQUIRE(!param_set(JOB_TIMEOUT_PARAM, "700"), "cannot set the timeout");
	job_init(&job, &rig.net, 1, 1);
	for (unsigned int i = 0; i < 20; i++)
		EXPECT_OK(submit_one(&high, &job));
	EXPECT_OK(submit_one(&rig.ctx, &job));
	for (unsigned int i = 0; i < 20; i++) {
		REQUIRE(ctx_job_event(&high, &event), "no event");
		EXPECT_EQ(event.error, 0);
	}
	REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
	EXPECT_EQ(event.error, 0);
	ctx_destroy(&high);
	rig_down(&rig);
}

static void a_context_is_banned_after_three_timeouts(void)
{
	struct drm_fluidnpu_event event;
	struct ctx second;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 400), "");
	REQUIRE(!ctx_create(rig.fd, DRM_FLUIDNPU_PRIORITY_NORMAL, 64, &second), "ctx_create");
	REQUIRE(!param_set(JOB_TIMEOUT_PARAM, "50"), "cannot set the timeout");
	job_init(&job, &rig.net, 1, 1);
	for (unsigned int i = 0; i < 3; i++) {
		EXPECT_OK(submit_one(&rig.ctx, &job));
		REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
		EXPECT_EQ(event.error, -ETIME);
	}
	EXPECT_OK(params_restore());
	EXPECT_OK(bo_wait(&rig.net.data, npu_in_seconds(60)));
	EXPECT_ERRNO(submit_one(&rig.ctx, &job), EIO);
	job.samples[0].start_layer = 400;
	EXPECT_OK(submit_one(&second, &job));
	REQUIRE(ctx_job_event(&second, &event), "no event");
	EXPECT_EQ(event.error, 0);
	ctx_destroy(&second);
	rig_down(&rig);
}

static void a_file_gets_no_context_after_three_bans(void)
{
	struct drm_fluidnpu_yield yield = { .user_data = 1 };
	struct drm_fluidnpu_event event;
	struct ctx banned[3], more;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 400), "");
	REQUIRE(!param_set(JOB_TIMEOUT_PARAM, "50"), "cannot set the timeout");
	job_init(&job, &rig.net, 1, 1);
	for (unsigned int i = 0; i < 3; i++) {
		REQUIRE(!ctx_create(rig.fd, DRM_FLUIDNPU_PRIORITY_NORMAL, 64, &banned[i]), "%u", i);
		for (unsigned int k = 0; k < 3; k++) {
			EXPECT_OK(submit_one(&banned[i], &job));
			REQUIRE(ctx_job_event(&banned[i], &event), "no event");
			EXPECT_EQ(event.error, -ETIME);
		}
		yield.ctx_id = banned[i].id;
		EXPECT_ERRNO(npu_ioctl(rig.fd, DRM_IOCTL_FLUIDNPU_YIELD, &yield), EIO);
	}
	EXPECT_OK(params_restore());
	EXPECT_ERRNO(ctx_create(rig.fd, DRM_FLUIDNPU_PRIORITY_NORMAL, 64, &more), EIO);
	/* What it has stays. */
	job.samples[0].start_layer = 400;
	EXPECT_OK(rig_run(&rig, &job));
	for (unsigned int i = 0; i < 3; i++)
		ctx_destroy(&banned[i]);
	rig_down(&rig);
}

static void an_innocent_job_outlives_those_before_it(void)
{
	struct drm_fluidnpu_event event;
	struct ctx second;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 400), "");
	REQUIRE(!ctx_create(rig.fd, DRM_FLUIDNPU_PRIORITY_NORMAL, 64, &second), "ctx_create");
	REQUIRE(!param_set(JOB_TIMEOUT_PARAM, "50"), "cannot set the timeout");
	job_init(&job, &rig.net, 1, 1);
	for (unsigned int i = 0; i < 5; i++)
		EXPECT_OK(submit_one(&rig.ctx, &job));
	job.samples[0].start_layer = 400;
	EXPECT_OK(submit_one(&second, &job));

	for (unsigned int i = 0; i < 5; i++) {
		REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
		EXPECT_EQ(event.error, i < 3 ? -ETIME : -EIO);
	}
	REQUIRE(ctx_job_event(&second, &event), "no event");
	EXPECT_EQ(event.error, 0);
	ctx_destroy(&second);
	rig_down(&rig);
}

static void an_imported_buffer_can_be_the_input(void)
{
	struct drm_fluidnpu_bo_info info = { 0 };
	struct drm_fluidnpu_event event;
	struct rig rig;
	struct bo camera;
	struct job job;
	int other = npu_open(), dmabuf;

	REQUIRE(rig_up(&rig, 0), "");
	REQUIRE(!bo_create(other, 65536, &camera), "bo_create");
	((int8_t *)camera.map)[3] = 100;
	REQUIRE(!prime_export(other, camera.handle, &dmabuf), "export");
	REQUIRE(!prime_import(rig.fd, dmabuf, &info.handle), "import");
	EXPECT_OK(npu_ioctl(rig.fd, DRM_IOCTL_FLUIDNPU_BO_INFO, &info));
	job_init(&job, &rig.net, 1, 0);
	job.samples[0].input_iova = info.iova;
	job.handles[0] = info.handle;
	EXPECT_OK(submit_one(&rig.ctx, &job));
	REQUIRE(ctx_event(&rig.ctx, &event), "no event");
	EXPECT_EQ(event.class_index, 3);
	close(dmabuf);
	bo_destroy(&camera);
	close(other);
	rig_down(&rig);
}

static void a_buffer_of_another_driver_can_be_the_input(void)
{
	struct drm_fluidnpu_bo_info info = { 0 };
	struct drm_fluidnpu_event event;
	struct rig rig;
	struct job job;
	void *camera;
	int dmabuf;

	REQUIRE(rig_up(&rig, 0), "");
	dmabuf = foreign_dmabuf(65536, &camera);
	REQUIRE(dmabuf >= 0, "no udmabuf");
	((int8_t *)camera)[3] = 100;
	REQUIRE(!prime_import(rig.fd, dmabuf, &info.handle), "import");
	EXPECT_OK(npu_ioctl(rig.fd, DRM_IOCTL_FLUIDNPU_BO_INFO, &info));
	EXPECT_EQ(info.size, 65536);
	EXPECT_EQ(info.mmap_offset, 0);
	job_init(&job, &rig.net, 1, 0);
	job.samples[0].input_iova = info.iova;
	job.handles[0] = info.handle;
	EXPECT_OK(submit_one(&rig.ctx, &job));
	REQUIRE(ctx_event(&rig.ctx, &event), "no event");
	EXPECT_EQ(event.class_index, 3);
	munmap(camera, 65536);
	close(dmabuf);
	rig_down(&rig);
}

static void fdinfo_counts_busy_cycles(void)
{
	struct drm_fluidnpu_event event;
	unsigned long long cycles = 0;
	char path[64], text[4096], *at;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 2), "");
	job_init(&job, &rig.net, 1, 0);
	EXPECT_OK(submit_one(&rig.ctx, &job));
	REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", rig.fd);
	REQUIRE(!read_file(path, text, sizeof(text)), "cannot read %s", path);
	at = strstr(text, "drm-cycles-npu:");
	if (at)
		sscanf(at, "drm-cycles-npu: %llu", &cycles);
	EXPECT(cycles >= 2 * SLOW_LAYER_CYCLES, "%llu in %s", cycles, text);
	rig_down(&rig);
}

static const struct tap_test tests[] = {
	{ "a job classifies its samples", a_job_classifies_its_samples },
	{ "an unsure sample takes the later exit", an_unsure_sample_takes_the_later_exit },
	{ "NO_EXIT reports every head", no_exit_reports_every_head },
	{ "a job can start in the middle", a_job_can_start_in_the_middle },
	{ "jobs of a SUBMIT run in order", jobs_of_a_submit_run_in_order },
	{ "many jobs wrap every ring", many_jobs_wrap_every_ring },
	{ "a binary syncobj is signalled", a_binary_syncobj_is_signalled },
	{ "timeline points are signalled in turn", timeline_points_are_signalled_in_turn },
	{ "a job waits for a binary syncobj", a_job_waits_for_a_binary_syncobj },
	{ "a job waits for a timeline point", a_job_waits_for_a_timeline_point },
	{ "BO_WAIT waits for the job", bo_wait_waits_for_the_job },
	{ "poll() tells of events", poll_tells_of_events },
	{ "a higher priority preempts", a_higher_priority_preempts },
	{ "an MMU fault ends only that job", an_mmu_fault_ends_only_that_job },
	{ "the guard page faults", the_guard_page_faults },
	{ "a closed BO faults", a_closed_bo_faults },
	{ "a BO closed under its job stays mapped", a_bo_closed_under_its_job_stays },
	{ "addresses of another client fault", addresses_of_another_client_fault },
	{ "hostile program headers fail with EIO", hostile_programs_fail_with_eio },
	{ "a full event ring refuses jobs with ENOBUFS", a_full_event_ring_refuses_jobs },
	{ "scribbling over the event ring harms nobody else",
	  scribbling_over_the_event_ring_harms_nobody_else },
	{ "a destroyed context lets its jobs run", a_destroyed_context_lets_its_jobs_run },
	{ "a job that takes too long ends with ETIME", a_job_that_takes_too_long_times_out },
	{ "a preempted job does not time out", a_preempted_job_does_not_time_out },
	{ "a context is banned after three timeouts", a_context_is_banned_after_three_timeouts },
	{ "a file gets no context after three were banned", a_file_gets_no_context_after_three_bans },
	{ "an innocent job outlives those that time out before it", an_innocent_job_outlives_those_before_it },
	{ "an imported buffer can be the input", an_imported_buffer_can_be_the_input },
	{ "a buffer of another driver can be the input",
	  a_buffer_of_another_driver_can_be_the_input },
	{ "fdinfo counts busy cycles", fdinfo_counts_busy_cycles },
};

TAP_MAIN(tests)
