// SPDX-License-Identifier: MIT
/* INJECT, YIELD and NOP: jobs that join others, are handed back, or only mark a place. */
#include <unistd.h>

#include "param.h"
#include "rig.h"
#include "tap.h"

#define LAYERS 40	/* slow ones: a job takes 0.2 s of device time */

/* A job over samples @first.. of the net, which no other job of the test has. */
static void job_over(struct job *job, const struct net *net, unsigned int first,
		     unsigned int count, uint64_t user_data)
{
	job_init(job, net, first + count, user_data);
	memmove(job->samples, &job->samples[first], count * sizeof(job->samples[0]));
	for (unsigned int i = 0; i < count; i++)
		job->samples[i].user_data = user_data + i + 1;
	job->args.samples.count = count;
}

static int inject(const struct ctx *ctx, const struct job *job,
		  const struct drm_fluidnpu_sync *syncs, uint32_t num_syncs)
{
	struct drm_fluidnpu_submit args = {
		.ctx_id = ctx->id,
		.jobs = { sizeof(job->args), 1, (uintptr_t)&job->args },
		.syncs = { sizeof(*syncs), num_syncs, (uintptr_t)syncs },
	};

	return npu_ioctl(ctx->fd, DRM_IOCTL_FLUIDNPU_INJECT, &args);
}

static int yield(const struct ctx *ctx, uint64_t user_data)
{
	struct drm_fluidnpu_yield args = { .ctx_id = ctx->id, .user_data = user_data };

	return npu_ioctl(ctx->fd, DRM_IOCTL_FLUIDNPU_YIELD, &args);
}

static uint64_t counter(int fd, enum fluidnpu_counter which)
{
	struct drm_fluidnpu_counters counters = { 0 };

	if (npu_counters(fd, &counters))
		tap_fail(__FILE__, __LINE__, "no counters");
	return counters.values[which];
}

/* Until the device has run @layers more than @before. */
static void wait_for_layers(int fd, uint64_t before, uint64_t layers)
{
	while (counter(fd, FLUIDNPU_CNT_LAYERS) < before + layers)
		;
}

/* Submits the job and returns when it is in the middle of the network. */
static bool start(struct rig *rig, const struct job *job)
{
	uint64_t before = counter(rig->fd, FLUIDNPU_CNT_LAYERS);
	int ret = submit_one(&rig->ctx, job);

	if (ret)
		tap_fail(__FILE__, __LINE__, "SUBMIT: %s", strerror(-ret));
	else
		wait_for_layers(rig->fd, before, 3);
	return !ret;
}

/* The next event is of this type and of this user_data. */
static bool next_is(struct ctx *ctx, struct drm_fluidnpu_event *event, uint8_t type,
		    uint64_t user_data)
{
	if (!ctx_event(ctx, event)) {
		tap_fail(__FILE__, __LINE__, "no event");
		return false;
	}
	EXPECT_EQ(event->type, type);
	EXPECT_EQ(event->user_data, user_data);
	EXPECT_EQ(event->error, 0);
	return event->type == type && event->user_data == user_data;
}

/* Runs the job, over the first samples of the net, and keeps what comes out in @logits. */
static void run_for_logits(struct rig *rig, const struct job *job, int8_t (*logits)[NET_LOGITS])
{
	EXPECT_OK(rig_run(rig, job));
	for (unsigned int i = 0; i < job->args.samples.count; i++) {
		memcpy(logits[i], net_logits(&rig->net, i), NET_LOGITS);
		memset(net_logits(&rig->net, i), 0, NET_LOGITS);
	}
}

static void an_injected_job_joins_the_batch(void)
{
	int8_t alone[4][NET_LOGITS];
	struct drm_fluidnpu_event event;
	struct job whole, first, second;
	uint64_t injects, merges;
	unsigned int exits = 0;
	struct rig rig;

	REQUIRE(rig_up(&rig, LAYERS), "");
	net_set_input(&rig.net, 3, 6, 1);	/* goes to the last exit */
	job_over(&whole, &rig.net, 0, 4, 100);
	run_for_logits(&rig, &whole, alone);

	injects = counter(rig.fd, FLUIDNPU_CNT_INJECTS);
	merges = counter(rig.fd, FLUIDNPU_CNT_MERGES);
	job_over(&first, &rig.net, 0, 2, 200);
	job_over(&second, &rig.net, 2, 2, 300);
	REQUIRE(start(&rig, &first), "");
	EXPECT_OK(inject(&rig.ctx, &second, NULL, 0));
	for (unsigned int jobs = 0; jobs < 2;) {
		REQUIRE(ctx_event(&rig.ctx, &event), "no event");
		EXPECT_EQ(event.error, 0);
		jobs += event.type == DRM_FLUIDNPU_EVENT_JOB;
		if (event.type == DRM_FLUIDNPU_EVENT_EXIT && event.exit_index == 0) {
			EXPECT_EQ(event.live_batch, 4);
			exits++;
		}
	}
	EXPECT_EQ(exits, 3);
	EXPECT_EQ(counter(rig.fd, FLUIDNPU_CNT_INJECTS), injects + 1);
	EXPECT_EQ(counter(rig.fd, FLUIDNPU_CNT_MERGES), merges + 1);
	for (unsigned int i = 0; i < 4; i++)
		EXPECT(!memcmp(alone[i], net_logits(&rig.net, i), NET_LOGITS), "sample %u", i);
	rig_down(&rig);
}

static void inject_into_an_idle_queue_runs(void)
{
	struct drm_fluidnpu_event event;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 0), "");
	job_over(&job, &rig.net, 0, 2, 100);
	EXPECT_OK(inject(&rig.ctx, &job, NULL, 0));
	EXPECT(next_is(&rig.ctx, &event, DRM_FLUIDNPU_EVENT_EXIT, 101), "");
	EXPECT(next_is(&rig.ctx, &event, DRM_FLUIDNPU_EVENT_EXIT, 102), "");
	EXPECT_EQ(event.class_index, 1);
	EXPECT(next_is(&rig.ctx, &event, DRM_FLUIDNPU_EVENT_JOB, 100), "");
	rig_down(&rig);
}

static void inject_of_another_program_waits(void)
{
	struct drm_fluidnpu_event event;
	struct job first, second;
	struct net other;
	uint64_t injects, end;
	struct rig rig;

	REQUIRE(rig_up(&rig, LAYERS), "");
	REQUIRE(!net_create(rig.fd, 0, &other), "net_create");
	injects = counter(rig.fd, FLUIDNPU_CNT_INJECTS);
	job_over(&first, &rig.net, 0, 1, 100);
	job_over(&second, &other, 0, 1, 200);
	REQUIRE(start(&rig, &first), "");
	EXPECT_OK(inject(&rig.ctx, &second, NULL, 0));
	REQUIRE(next_is(&rig.ctx, &event, DRM_FLUIDNPU_EVENT_EXIT, 101), "");
	REQUIRE(next_is(&rig.ctx, &event, DRM_FLUIDNPU_EVENT_JOB, 100), "");
	end = event.time;
	REQUIRE(next_is(&rig.ctx, &event, DRM_FLUIDNPU_EVENT_EXIT, 201), "");
	EXPECT(event.started >= end, "started at %llu, before %llu",
	       (unsigned long long)event.started, (unsigned long long)end);
	REQUIRE(next_is(&rig.ctx, &event, DRM_FLUIDNPU_EVENT_JOB, 200), "");
	EXPECT_EQ(counter(rig.fd, FLUIDNPU_CNT_INJECTS), injects);
	net_destroy(&other);
	rig_down(&rig);
}

static void an_injected_job_waits_for_its_syncobj(void)
{
	struct drm_fluidnpu_sync sync = { .flags = DRM_FLUIDNPU_SYNC_SIGNAL };
	struct drm_fluidnpu_event event;
	struct job first, second;
	struct rig rig;
	uint64_t end;

	REQUIRE(rig_up(&rig, LAYERS), "");
	REQUIRE(!syncobj_create(rig.fd, &sync.handle), "syncobj");
	job_over(&first, &rig.net, 0, 1, 100);
	job_over(&second, &rig.net, 1, 1, 200);
	EXPECT_OK(submit(&rig.ctx, &first.args, 1, &sync, 1));
	sync.flags = DRM_FLUIDNPU_SYNC_WAIT;
	EXPECT_OK(inject(&rig.ctx, &second, &sync, 1));
	REQUIRE(next_is(&rig.ctx, &event, DRM_FLUIDNPU_EVENT_EXIT, 101), "");
	REQUIRE(next_is(&rig.ctx, &event, DRM_FLUIDNPU_EVENT_JOB, 100), "");
	end = event.time;
	REQUIRE(next_is(&rig.ctx, &event, DRM_FLUIDNPU_EVENT_EXIT, 201), "");
	EXPECT(event.queued >= end, "queued at %llu, before %llu",
	       (unsigned long long)event.queued, (unsigned long long)end);
	REQUIRE(next_is(&rig.ctx, &event, DRM_FLUIDNPU_EVENT_JOB, 200), "");
	syncobj_destroy(rig.fd, sync.handle);
	rig_down(&rig);
}

static void many_injected_jobs_end_once_each(void)
{
	unsigned int ended[150] = { 0 };
	struct drm_fluidnpu_event event;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 2), "");
	job_over(&job, &rig.net, 0, 1, 0);
	for (unsigned int i = 0; i < 150; i++) {
		job.args.user_data = i;
		REQUIRE(!inject(&rig.ctx, &job, NULL, 0), "job %u", i);
	}
	for (unsigned int i = 0; i < 150; i++) {
		REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
		REQUIRE(event.user_data < 150 && !event.error, "%llu: %d",
			(unsigned long long)event.user_data, event.error);
		ended[event.user_data]++;
	}
	for (unsigned int i = 0; i < 150; i++)
		EXPECT(ended[i] == 1, "job %u ended %u times", i, ended[i]);
	EXPECT_EQ(ctx_pending(&rig.ctx), 0);
	rig_down(&rig);
}

static void a_yielded_job_goes_on_where_it_was(void)
{
	int8_t alone[2][NET_LOGITS];
	struct drm_fluidnpu_event event;
	uint64_t yields;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, LAYERS), "");
	net_set_input(&rig.net, 1, 6, 1);
	job_over(&job, &rig.net, 0, 2, 100);
	run_for_logits(&rig, &job, alone);

	yields = counter(rig.fd, FLUIDNPU_CNT_YIELDS);
	REQUIRE(start(&rig, &job), "");
	EXPECT_OK(yield(&rig.ctx, 100));
	for (unsigned int i = 0; i < 2; i++) {
		REQUIRE(next_is(&rig.ctx, &event, DRM_FLUIDNPU_EVENT_YIELD, 101 + i), "");
		EXPECT(event.layer > 0 && event.layer <= LAYERS, "layer %u", event.layer);
		EXPECT(event.time > 0, "0");
		job.samples[i].start_layer = event.layer;
	}
	REQUIRE(next_is(&rig.ctx, &event, DRM_FLUIDNPU_EVENT_JOB, 100), "");
	EXPECT_EQ(ctx_pending(&rig.ctx), 0);
	EXPECT_EQ(counter(rig.fd, FLUIDNPU_CNT_YIELDS), yields + 2);

	EXPECT_OK(submit_one(&rig.ctx, &job));
	REQUIRE(next_is(&rig.ctx, &event, DRM_FLUIDNPU_EVENT_EXIT, 101), "");
	EXPECT_EQ(event.class_index, 0);
	REQUIRE(next_is(&rig.ctx, &event, DRM_FLUIDNPU_EVENT_EXIT, 102), "");
	EXPECT_EQ(event.class_index, 2);
	REQUIRE(next_is(&rig.ctx, &event, DRM_FLUIDNPU_EVENT_JOB, 100), "");
	for (unsigned int i = 0; i < 2; i++)
		EXPECT(!memcmp(alone[i], net_logits(&rig.net, i), NET_LOGITS), "sample %u", i);
	rig_down(&rig);
}

/* Who stops goes on from there as after a YIELD. */
static void a_job_stops_at_its_layer(void)
{
	int8_t alone[2][NET_LOGITS];
	struct drm_fluidnpu_event event;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, LAYERS), "");
	net_set_input(&rig.net, 1, 6, 1);
	job_over(&job, &rig.net, 0, 2, 100);
	run_for_logits(&rig, &job, alone);
	for (unsigned int stop = 1; stop < LAYERS; stop += 13) {
		job.args.stop_layer = stop;
		EXPECT_OK(submit_one(&rig.ctx, &job));
		for (unsigned int i = 0; i < 2; i++) {
			REQUIRE(next_is(&rig.ctx, &event, DRM_FLUIDNPU_EVENT_YIELD, 101 + i), "");
			EXPECT_EQ(event.layer, stop);
			job.samples[i].start_layer = event.layer;
		}
		REQUIRE(next_is(&rig.ctx, &event, DRM_FLUIDNPU_EVENT_JOB, 100), "");
		EXPECT_EQ(event.live_batch, 2);
		EXPECT_EQ(ctx_pending(&rig.ctx), 0);
	}
	job.args.stop_layer = UINT32_MAX;
	EXPECT_OK(submit_one(&rig.ctx, &job));
	REQUIRE(next_is(&rig.ctx, &event, DRM_FLUIDNPU_EVENT_EXIT, 101), "");
	REQUIRE(next_is(&rig.ctx, &event, DRM_FLUIDNPU_EVENT_EXIT, 102), "");
	REQUIRE(next_is(&rig.ctx, &event, DRM_FLUIDNPU_EVENT_JOB, 100), "");
	for (unsigned int i = 0; i < 2; i++)
		EXPECT(!memcmp(alone[i], net_logits(&rig.net, i), NET_LOGITS), "sample %u", i);
	rig_down(&rig);
}

static void an_injected_job_stops_and_the_batch_goes_on(void)
{
	struct drm_fluidnpu_event event;
	struct job first, second;
	struct rig rig;

	REQUIRE(rig_up(&rig, LAYERS), "");
	job_over(&first, &rig.net, 0, 2, 200);
	job_over(&second, &rig.net, 2, 1, 300);
	second.args.stop_layer = LAYERS - 2;
	REQUIRE(start(&rig, &first), "");
	EXPECT_OK(inject(&rig.ctx, &second, NULL, 0));
	REQUIRE(next_is(&rig.ctx, &event, DRM_FLUIDNPU_EVENT_YIELD, 301), "");
	EXPECT_EQ(event.layer, LAYERS - 2);
	REQUIRE(next_is(&rig.ctx, &event, DRM_FLUIDNPU_EVENT_JOB, 300), "");
	REQUIRE(next_is(&rig.ctx, &event, DRM_FLUIDNPU_EVENT_EXIT, 201), "");
	EXPECT_EQ(event.live_batch, 2);
	REQUIRE(next_is(&rig.ctx, &event, DRM_FLUIDNPU_EVENT_EXIT, 202), "");
	REQUIRE(next_is(&rig.ctx, &event, DRM_FLUIDNPU_EVENT_JOB, 200), "");
	rig_down(&rig);
}

static void a_job_yields_once(void)
{
	struct drm_fluidnpu_event event;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, LAYERS), "");
	job_over(&job, &rig.net, 0, 1, 100);
	REQUIRE(start(&rig, &job), "");
	EXPECT_OK(yield(&rig.ctx, 100));
	if (yield(&rig.ctx, 100) == -ENOENT)	/* only if it is over */
		EXPECT_EQ(ctx_pending(&rig.ctx), 2);
	REQUIRE(next_is(&rig.ctx, &event, DRM_FLUIDNPU_EVENT_YIELD, 101), "");
	REQUIRE(next_is(&rig.ctx, &event, DRM_FLUIDNPU_EVENT_JOB, 100), "");
	EXPECT_OK(rig_run(&rig, &job));
	EXPECT_EQ(ctx_pending(&rig.ctx), 0);
	rig_down(&rig);
}

static void yield_of_an_ended_job_is_enoent(void)
{
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 0), "");
	job_over(&job, &rig.net, 0, 1, 100);
	EXPECT_ERRNO(yield(&rig.ctx, 100), ENOENT);
	EXPECT_OK(rig_run(&rig, &job));
	EXPECT_ERRNO(yield(&rig.ctx, 100), ENOENT);
	EXPECT_EQ(ctx_pending(&rig.ctx), 0);
	rig_down(&rig);
}

/* Two jobs have the user_data; all wait for the first one. */
static void yield_takes_the_oldest_job(void)
{
	static const uint64_t user_data[] = { 300, 100, 200, 100, 99 };
	struct drm_fluidnpu_sync sync = { .flags = DRM_FLUIDNPU_SYNC_SIGNAL };
	unsigned int yields = 0, exits = 0;
	struct drm_fluidnpu_event event;
	struct ctx high;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, LAYERS), "");
	REQUIRE(!ctx_create(rig.fd, DRM_FLUIDNPU_PRIORITY_HIGH, 64, &high), "ctx_create");
	REQUIRE(!syncobj_create(rig.fd, &sync.handle), "syncobj");
	job_over(&job, &rig.net, 0, 1, 100);
	EXPECT_OK(submit(&rig.ctx, &job.args, 1, &sync, 1));
	sync.flags = DRM_FLUIDNPU_SYNC_WAIT;
	for (unsigned int i = 0; i < 5; i++) {
		job_over(&job, &rig.net, 1, 1, user_data[i]);
		job.samples[0].user_data = i;
		job.samples[0].start_layer = LAYERS;
		EXPECT_OK(submit(&high, &job.args, 1, &sync, !i));
	}
	EXPECT_OK(yield(&high, 100));
	for (unsigned int jobs = 0; jobs < 5;) {
		REQUIRE(ctx_event(&high, &event), "no event");
		EXPECT_EQ(event.error, 0);
		jobs += event.type == DRM_FLUIDNPU_EVENT_JOB;
		if (event.type == DRM_FLUIDNPU_EVENT_YIELD) {
			EXPECT_EQ(event.user_data, 1);
			yields++;
		}
		if (event.type == DRM_FLUIDNPU_EVENT_EXIT)
			exits |= 1u << event.user_data;
	}
	EXPECT_EQ(yields, 1);
	EXPECT_EQ(exits, 1u << 0 | 1u << 2 | 1u << 3 | 1u << 4);
	syncobj_destroy(rig.fd, sync.handle);
	ctx_destroy(&high);
	rig_down(&rig);
}

static void a_waiting_job_is_handed_back_unseen(void)
{
	struct drm_fluidnpu_sync sync = { .flags = DRM_FLUIDNPU_SYNC_SIGNAL };
	struct drm_fluidnpu_event event;
	struct job first, second;
	struct ctx high;
	struct rig rig;
	uint64_t jobs;

	REQUIRE(rig_up(&rig, LAYERS), "");
	REQUIRE(!ctx_create(rig.fd, DRM_FLUIDNPU_PRIORITY_HIGH, 64, &high), "ctx_create");
	REQUIRE(!syncobj_create(rig.fd, &sync.handle), "syncobj");
	jobs = counter(rig.fd, FLUIDNPU_CNT_JOBS);
	job_over(&first, &rig.net, 0, 1, 100);
	job_over(&second, &rig.net, 1, 2, 200);
	second.samples[0].start_layer = 5;
	second.samples[1].start_layer = 5;
	EXPECT_OK(submit(&rig.ctx, &first.args, 1, &sync, 1));
	sync.flags = DRM_FLUIDNPU_SYNC_WAIT;
	EXPECT_OK(submit(&high, &second.args, 1, &sync, 1));
	EXPECT_OK(yield(&high, 200));
	EXPECT_OK(yield(&high, 200));
	for (unsigned int i = 0; i < 2; i++) {
		REQUIRE(next_is(&high, &event, DRM_FLUIDNPU_EVENT_YIELD, 201 + i), "");
		EXPECT_EQ(event.layer, 5);
		EXPECT_EQ(event.time, 0);
	}
	REQUIRE(next_is(&high, &event, DRM_FLUIDNPU_EVENT_JOB, 200), "");
	EXPECT_EQ(ctx_pending(&high), 0);
	EXPECT_EQ(ctx_pending(&rig.ctx), 2);
	EXPECT_EQ(counter(rig.fd, FLUIDNPU_CNT_JOBS), jobs + 1);
	EXPECT_OK(bo_wait(&rig.net.data, npu_in_seconds(60)));
	syncobj_destroy(rig.fd, sync.handle);
	ctx_destroy(&high);
	rig_down(&rig);
}

/* An injected job that yields is over before the older one that it joined. */
static void events_come_at_once_and_fences_in_order(void)
{
	struct drm_fluidnpu_sync sync = { .flags = DRM_FLUIDNPU_SYNC_SIGNAL };
	struct drm_fluidnpu_event event;
	struct job first, second;
	uint64_t injects;
	struct rig rig;

	REQUIRE(rig_up(&rig, 4 * LAYERS), "");
	REQUIRE(!syncobj_create(rig.fd, &sync.handle), "syncobj");
	injects = counter(rig.fd, FLUIDNPU_CNT_INJECTS);
	job_over(&first, &rig.net, 0, 1, 100);
	job_over(&second, &rig.net, 1, 1, 200);
	REQUIRE(start(&rig, &first), "");
	EXPECT_OK(inject(&rig.ctx, &second, &sync, 1));
	while (counter(rig.fd, FLUIDNPU_CNT_INJECTS) == injects)
		;
	EXPECT_OK(yield(&rig.ctx, 200));
	REQUIRE(next_is(&rig.ctx, &event, DRM_FLUIDNPU_EVENT_YIELD, 201), "");
	REQUIRE(next_is(&rig.ctx, &event, DRM_FLUIDNPU_EVENT_JOB, 200), "");
	EXPECT_ERRNO(yield(&rig.ctx, 200), ENOENT);
	EXPECT_ERRNO(syncobj_wait(rig.fd, sync.handle, 0, 0), ETIME);
	EXPECT_ERRNO(bo_wait(&rig.net.data, 0), ETIMEDOUT);
	EXPECT_EQ(ctx_pending(&rig.ctx), 0);
	REQUIRE(next_is(&rig.ctx, &event, DRM_FLUIDNPU_EVENT_EXIT, 101), "");
	EXPECT_EQ(event.live_batch, 1);
	REQUIRE(next_is(&rig.ctx, &event, DRM_FLUIDNPU_EVENT_JOB, 100), "");
	EXPECT_OK(syncobj_wait(rig.fd, sync.handle, 0, npu_in_seconds(60)));
	syncobj_destroy(rig.fd, sync.handle);
	rig_down(&rig);
}

/* Fences that wait for an older one are signalled all at once: there may not be too many. */
#define MAX_ENDED 256

static void few_injected_jobs_end_before_an_older_one(void)
{
	unsigned int ended = 0, before = 0;
	struct drm_fluidnpu_event event;
	struct job first, second;
	bool first_runs = true;
	struct rig rig;

	REQUIRE(rig_up(&rig, 20 * LAYERS), "");
	job_over(&first, &rig.net, 0, 1, 100);
	job_over(&second, &rig.net, 1, 1, 200);
	REQUIRE(start(&rig, &first), "");
	for (unsigned int i = 0; i < MAX_ENDED + 100; i++) {
		REQUIRE(!inject(&rig.ctx, &second, NULL, 0), "job %u", i);
		REQUIRE(!yield(&rig.ctx, 200), "job %u has ended", i);
		do {
			REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
			EXPECT_EQ(event.error, 0);
			if (event.user_data == 100)
				first_runs = false;
		} while (event.user_data == 100);
		ended++;
		before += first_runs;
	}
	printf("# %u of %u ended before the job that they were injected into\n", before, ended);
	EXPECT(before <= MAX_ENDED, "too many");
	if (first_runs)
		REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
	EXPECT_EQ(ctx_pending(&rig.ctx), 0);
	rig_down(&rig);
}

static void a_reset_hands_back_what_was_to_yield(void)
{
	struct drm_fluidnpu_event event;
	struct job first, second;
	unsigned int yields = 0;
	struct rig rig;

	REQUIRE(rig_up(&rig, 10 * LAYERS), "");
	REQUIRE(!param_set(JOB_TIMEOUT_PARAM, "1000"), "cannot set the timeout");
	job_over(&first, &rig.net, 0, 1, 100);
	job_over(&second, &rig.net, 1, 1, 200);
	second.samples[0].start_layer = 7;
	REQUIRE(start(&rig, &first), "");
	EXPECT_OK(submit_one(&rig.ctx, &second));
	/* Almost certainly the device has it before it can be told that. */
	wait_for_layers(rig.fd, counter(rig.fd, FLUIDNPU_CNT_LAYERS), 5);
	EXPECT_OK(yield(&rig.ctx, 200));
	for (unsigned int jobs = 0; jobs < 2;) {
		REQUIRE(ctx_event(&rig.ctx, &event), "no event");
		jobs += event.type == DRM_FLUIDNPU_EVENT_JOB;
		if (event.user_data == 100) {
			EXPECT_EQ(event.error, -ETIME);
			continue;
		}
		EXPECT_EQ(event.error, 0);
		if (event.type == DRM_FLUIDNPU_EVENT_YIELD)
			EXPECT(event.layer >= 7, "layer %u", event.layer);
		yields += event.type == DRM_FLUIDNPU_EVENT_YIELD;
	}
	EXPECT_EQ(yields, 1);
	rig_down(&rig);
}

/* Its state has been written to: neither the old one nor a new one is whole. */
static void a_reset_loses_jobs_that_began_in_the_middle(void)
{
	struct drm_fluidnpu_event event;
	struct job first, second;
	uint64_t injects, before;
	struct rig rig;

	REQUIRE(rig_up(&rig, 10 * LAYERS), "");
	REQUIRE(!param_set(JOB_TIMEOUT_PARAM, "500"), "cannot set the timeout");
	injects = counter(rig.fd, FLUIDNPU_CNT_INJECTS);
	before = counter(rig.fd, FLUIDNPU_CNT_LAYERS);
	job_over(&first, &rig.net, 0, 1, 100);
	job_over(&second, &rig.net, 1, 1, 200);
	second.samples[0].start_layer = 2;
	EXPECT_OK(submit_one(&rig.ctx, &first));
	wait_for_layers(rig.fd, before, 3);
	EXPECT_OK(inject(&rig.ctx, &second, NULL, 0));
	REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
	EXPECT_EQ(event.user_data, 100);
	EXPECT_EQ(event.error, -ETIME);
	EXPECT_EQ(counter(rig.fd, FLUIDNPU_CNT_INJECTS), injects + 1);
	REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
	EXPECT_EQ(event.user_data, 200);
	EXPECT_EQ(event.error, -EIO);
	EXPECT_EQ(ctx_pending(&rig.ctx), 0);
	rig_down(&rig);
}

static void a_nop_ends_in_its_turn(void)
{
	struct drm_fluidnpu_sync sync = { .flags = DRM_FLUIDNPU_SYNC_SIGNAL };
	struct drm_fluidnpu_job args[3] = {
		[1] = { .flags = DRM_FLUIDNPU_JOB_NOP, .user_data = 200 },
	};
	struct drm_fluidnpu_event event;
	struct job first, last;
	struct rig rig;
	uint64_t end;

	REQUIRE(rig_up(&rig, 4), "");
	REQUIRE(!syncobj_create(rig.fd, &sync.handle), "syncobj");
	job_over(&first, &rig.net, 0, 1, 100);
	job_over(&last, &rig.net, 1, 1, 300);
	args[0] = first.args;
	args[2] = last.args;
	EXPECT_OK(submit(&rig.ctx, args, 3, NULL, 0));
	REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
	EXPECT_EQ(event.user_data, 100);
	end = event.time;
	REQUIRE(next_is(&rig.ctx, &event, DRM_FLUIDNPU_EVENT_JOB, 200), "");
	EXPECT(event.time >= end, "at %llu, before %llu", (unsigned long long)event.time,
	       (unsigned long long)end);
	REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
	EXPECT_EQ(event.user_data, 300);

	EXPECT_OK(submit(&rig.ctx, &args[1], 1, &sync, 1));
	EXPECT_OK(syncobj_wait(rig.fd, sync.handle, 0, npu_in_seconds(60)));
	EXPECT_EQ(ctx_pending(&rig.ctx), 1);
	syncobj_destroy(rig.fd, sync.handle);
	rig_down(&rig);
}

/* The other client has a context of the same id, and a job of the same user_data in it. */
static void nobody_yields_a_job_of_another_client(void)
{
	struct drm_fluidnpu_event event;
	struct rig rig, other;
	struct job job;

	REQUIRE(rig_up(&rig, LAYERS) && rig_up(&other, 0), "");
	REQUIRE(rig.ctx.id == other.ctx.id, "%u, %u", rig.ctx.id, other.ctx.id);
	job_over(&job, &rig.net, 0, 1, 100);
	REQUIRE(start(&rig, &job), "");
	EXPECT_ERRNO(yield(&other.ctx, 100), ENOENT);
	REQUIRE(next_is(&rig.ctx, &event, DRM_FLUIDNPU_EVENT_EXIT, 101), "");
	REQUIRE(next_is(&rig.ctx, &event, DRM_FLUIDNPU_EVENT_JOB, 100), "");
	EXPECT_EQ(ctx_pending(&other.ctx), 0);
	rig_down(&other);
	rig_down(&rig);
}

/* One wrong field, while a job that a right one would end is at work. */
static void yield_with(void (*spoil)(struct drm_fluidnpu_yield *args), int error)
{
	struct drm_fluidnpu_yield args = { .user_data = 100 };
	struct drm_fluidnpu_event event;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, LAYERS), "");
	args.ctx_id = rig.ctx.id;
	spoil(&args);
	job_over(&job, &rig.net, 0, 1, 100);
	REQUIRE(start(&rig, &job), "");
	EXPECT_EQ(npu_ioctl(rig.fd, DRM_IOCTL_FLUIDNPU_YIELD, &args), -error);
	REQUIRE(next_is(&rig.ctx, &event, DRM_FLUIDNPU_EVENT_EXIT, 101), "");
	REQUIRE(next_is(&rig.ctx, &event, DRM_FLUIDNPU_EVENT_JOB, 100), "");
	rig_down(&rig);
}

static void spoil_ctx_id(struct drm_fluidnpu_yield *args)
{
	args->ctx_id = 999;
}

static void spoil_flags(struct drm_fluidnpu_yield *args)
{
	args->flags = 1;
}

static void spoil_user_data(struct drm_fluidnpu_yield *args)
{
	args->user_data |= 1ull << 63;
}

static void yield_wants_a_context(void)
{
	yield_with(spoil_ctx_id, ENOENT);
}

static void yield_knows_no_flags(void)
{
	yield_with(spoil_flags, EINVAL);
}

static void yield_wants_a_job(void)
{
	yield_with(spoil_user_data, ENOENT);
}

static void closing_the_file_in_mid_yield_is_harmless(void)
{
	struct drm_fluidnpu_event event;
	struct rig rig, other;
	struct job job;

	for (unsigned int round = 0; round < 20; round++) {
		REQUIRE(rig_up(&rig, LAYERS), "");
		for (unsigned int i = 0; i < 4; i++) {
			job_over(&job, &rig.net, i, 1, i);
			REQUIRE(!inject(&rig.ctx, &job, NULL, 0), "inject");
			REQUIRE(!yield(&rig.ctx, i), "yield");
		}
		rig_down(&rig);
	}
	REQUIRE(rig_up(&other, 0), "");
	job_over(&job, &other.net, 0, 1, 100);
	EXPECT_OK(submit_one(&other.ctx, &job));
	REQUIRE(next_is(&other.ctx, &event, DRM_FLUIDNPU_EVENT_EXIT, 101), "");
	REQUIRE(next_is(&other.ctx, &event, DRM_FLUIDNPU_EVENT_JOB, 100), "");
	rig_down(&other);
}

static const struct tap_test tests[] = {
	{ "an injected job joins the batch that runs", an_injected_job_joins_the_batch },
	{ "INJECT into an idle queue runs", inject_into_an_idle_queue_runs },
	{ "INJECT of another program waits for the end of the batch", inject_of_another_program_waits },
	{ "an injected job waits for its syncobj", an_injected_job_waits_for_its_syncobj },
	{ "many injected jobs end once each", many_injected_jobs_end_once_each },
	{ "a job that yielded goes on where it was", a_yielded_job_goes_on_where_it_was },
	{ "a job stops at its layer", a_job_stops_at_its_layer },
	{ "an injected job stops, and the batch goes on",
	  an_injected_job_stops_and_the_batch_goes_on },
	{ "a job yields once", a_job_yields_once },
	{ "YIELD of a job that has ended gives ENOENT", yield_of_an_ended_job_is_enoent },
	{ "YIELD takes the oldest job of a user_data", yield_takes_the_oldest_job },
	{ "a job that waits is handed back without the device", a_waiting_job_is_handed_back_unseen },
	{ "events come at once, fences in order", events_come_at_once_and_fences_in_order },
	{ "few injected jobs end before an older one", few_injected_jobs_end_before_an_older_one },
	{ "a reset hands back what was to yield", a_reset_hands_back_what_was_to_yield },
	{ "a reset loses jobs that began in the middle", a_reset_loses_jobs_that_began_in_the_middle },
	{ "a NOP ends in its turn", a_nop_ends_in_its_turn },
	{ "nobody yields a job of another client", nobody_yields_a_job_of_another_client },
	{ "YIELD refuses a bad ctx_id", yield_wants_a_context },
	{ "YIELD refuses unknown flags", yield_knows_no_flags },
	{ "YIELD refuses an unknown user_data", yield_wants_a_job },
	{ "closing the file in mid-YIELD is harmless", closing_the_file_in_mid_yield_is_harmless },
};

TAP_MAIN(tests)
