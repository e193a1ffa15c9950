// SPDX-License-Identifier: MIT
/* Event rings: who is told of events, and what a user can do to a ring that is its own. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "npu.h"
#include "tap.h"

struct rig {
	int fd;
	struct ctx ctx;
	struct net net;
};

static bool rig_up(struct rig *rig, uint32_t slow_layers)
{
	int ret;

	memset(rig, 0, sizeof(*rig));
	rig->fd = npu_open();
	ret = ctx_create(rig->fd, DRM_FLUIDNPU_PRIORITY_NORMAL, 256, &rig->ctx);
	if (!ret)
		ret = net_create(rig->fd, slow_layers, &rig->net);
	if (ret)
		tap_fail(__FILE__, __LINE__, "set-up failed: %s", strerror(-ret));
	return !ret;
}

static void rig_down(struct rig *rig)
{
	ctx_destroy(&rig->ctx);
	net_destroy(&rig->net);
	close(rig->fd);
}

static int set_eventfd(const struct ctx *ctx, int eventfd)
{
	struct drm_fluidnpu_events args = { .ctx_id = ctx->id, .eventfd = eventfd };

	return npu_ioctl(ctx->fd, DRM_IOCTL_FLUIDNPU_EVENTS, &args);
}

/* Adds up what an eventfd counts, until it is @wanted or more. */
static uint64_t wait_count(int eventfd, uint64_t wanted)
{
	uint64_t sum = 0, count;

	while (sum < wanted) {
		struct pollfd pfd = { .fd = eventfd, .events = POLLIN };

		if (poll(&pfd, 1, -1) != 1 || read(eventfd, &count, sizeof(count)) < 0)
			return sum;
		sum += count;
	}
	return sum;
}

/* What it counts now; 0: nothing. */
static uint64_t take_count(int eventfd)
{
	uint64_t count;

	return read(eventfd, &count, sizeof(count)) < 0 ? 0 : count;
}

/* A job of @samples samples, to its end; all its events are taken. */
static void run_job(struct rig *rig, unsigned int samples)
{
	struct drm_fluidnpu_event event;
	struct job job;

	job_init(&job, &rig->net, samples, 0);
	EXPECT_OK(submit_one(&rig->ctx, &job));
	/* Its fence comes after all that is said of its events. */
	EXPECT_OK(bo_wait(&rig->net.data, npu_in_seconds(60)));
	REQUIRE(ctx_job_event(&rig->ctx, &event), "no event");
	EXPECT_EQ(event.error, 0);
}

static void an_eventfd_counts_each_event(void)
{
	struct rig rig;
	struct job job;
	int counter = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	REQUIRE(rig_up(&rig, 0), "");
	EXPECT_OK(set_eventfd(&rig.ctx, counter));
	EXPECT_EQ(take_count(counter), 0);
	job_init(&job, &rig.net, 4, 0);
	EXPECT_OK(submit_one(&rig.ctx, &job));
	EXPECT_EQ(wait_count(counter, 5), 5);
	EXPECT_EQ(ctx_pending(&rig.ctx), 5);
	run_job(&rig, 2);
	EXPECT_EQ(take_count(counter), 3);
	rig_down(&rig);
	close(counter);
}

static void a_second_eventfd_takes_the_place_of_the_first(void)
{
	int first = eventfd(0, EFD_NONBLOCK), second = eventfd(0, EFD_NONBLOCK);
	struct rig rig;

	REQUIRE(rig_up(&rig, 0), "");
	EXPECT_OK(set_eventfd(&rig.ctx, first));
	run_job(&rig, 1);
	EXPECT_OK(set_eventfd(&rig.ctx, second));
	run_job(&rig, 3);
	EXPECT_EQ(take_count(first), 2);
	EXPECT_EQ(take_count(second), 4);
	rig_down(&rig);
	close(first);
	close(second);
}

static void minus_one_takes_the_eventfd_away(void)
{
	int counter = eventfd(0, EFD_NONBLOCK);
	struct rig rig;

	REQUIRE(rig_up(&rig, 0), "");
	EXPECT_OK(set_eventfd(&rig.ctx, -1));
	EXPECT_OK(set_eventfd(&rig.ctx, counter));
	EXPECT_OK(set_eventfd(&rig.ctx, -1));
	run_job(&rig, 1);
	EXPECT_EQ(take_count(counter), 0);
	rig_down(&rig);
	close(counter);
}

static void contexts_can_share_an_eventfd(void)
{
	int counter = eventfd(0, EFD_NONBLOCK);
	struct rig rig, other;

	REQUIRE(rig_up(&rig, 0) && rig_up(&other, 0), "");
	EXPECT_OK(set_eventfd(&rig.ctx, counter));
	EXPECT_OK(set_eventfd(&other.ctx, counter));
	run_job(&rig, 1);
	run_job(&other, 2);
	EXPECT_EQ(take_count(counter), 5);
	/* One that goes does not take it along. */
	rig_down(&rig);
	run_job(&other, 1);
	EXPECT_EQ(take_count(counter), 2);
	rig_down(&other);
	close(counter);
}

static void an_eventfd_outlives_its_descriptor(void)
{
	int counter = eventfd(0, EFD_NONBLOCK), kept = dup(counter);
	struct rig rig;

	REQUIRE(rig_up(&rig, 0), "");
	EXPECT_OK(set_eventfd(&rig.ctx, counter));
	close(counter);
	run_job(&rig, 1);
	EXPECT_EQ(take_count(kept), 2);
	/* The context is the last one to hold it. */
	close(kept);
	run_job(&rig, 1);
	rig_down(&rig);
}

static void a_full_eventfd_costs_no_event(void)
{
	uint64_t almost = UINT64_MAX - 1;
	int counter = eventfd(0, EFD_NONBLOCK);
	struct rig rig;

	REQUIRE(rig_up(&rig, 0), "");
	EXPECT_OK(set_eventfd(&rig.ctx, counter));
	EXPECT_EQ(write(counter, &almost, sizeof(almost)), (ssize_t)sizeof(almost));
	run_job(&rig, 4);
	EXPECT_EQ(take_count(counter), -1); /* UINT64_MAX: eventfd's own sign of an overflow */
	run_job(&rig, 1);
	EXPECT_EQ(take_count(counter), 2);
	rig_down(&rig);
	close(counter);
}

static void a_destroyed_context_does_not_count(void)
{
	struct drm_fluidnpu_ctx_destroy destroy = { 0 };
	int counter = eventfd(0, EFD_NONBLOCK);
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 4), "");
	EXPECT_OK(set_eventfd(&rig.ctx, counter));
	job_init(&job, &rig.net, 1, 0);
	EXPECT_OK(submit_one(&rig.ctx, &job));
	destroy.ctx_id = rig.ctx.id;
	EXPECT_OK(npu_ioctl(rig.fd, DRM_IOCTL_FLUIDNPU_CTX_DESTROY, &destroy));
	EXPECT_ERRNO(set_eventfd(&rig.ctx, counter), ENOENT);
	EXPECT_OK(bo_wait(&rig.net.data, npu_in_seconds(60)));
	EXPECT_EQ(take_count(counter), 0);
	rig_down(&rig);
	close(counter);
}

static void *swap_forever(void *arg)
{
	const struct ctx *ctx = arg;

	for (unsigned int i = 0; i < 1000; i++) {
		int counter = eventfd(0, EFD_NONBLOCK);

		EXPECT_OK(set_eventfd(ctx, counter));
		close(counter);
		if (i & 1)
			EXPECT_OK(set_eventfd(ctx, -1));
	}
	return NULL;
}

static void eventfds_can_change_while_events_come(void)
{
	pthread_t thread;
	struct rig rig;

	REQUIRE(rig_up(&rig, 0), "");
	REQUIRE(!pthread_create(&thread, NULL, swap_forever, &rig.ctx), "thread");
	for (unsigned int i = 0; i < 200; i++)
		run_job(&rig, 4);
	pthread_join(thread, NULL);
	rig_down(&rig);
}

/* A request that has to fail, after which the eventfd of before still counts. */
static void refuse(uint32_t flags, uint32_t pad, uint32_t other_ctx, int eventfd_or_0, int error)
{
	int counter = eventfd(0, EFD_NONBLOCK), second = eventfd(0, EFD_NONBLOCK);
	struct drm_fluidnpu_events args;
	struct rig rig;

	REQUIRE(rig_up(&rig, 0), "");
	EXPECT_OK(set_eventfd(&rig.ctx, counter));
	args = (struct drm_fluidnpu_events){
		.ctx_id = rig.ctx.id + other_ctx, .flags = flags, .pad = pad,
		.eventfd = eventfd_or_0 ? eventfd_or_0 : second,
	};
	EXPECT_ERRNO(npu_ioctl(rig.fd, DRM_IOCTL_FLUIDNPU_EVENTS, &args), error);
	run_job(&rig, 1);
	EXPECT_EQ(take_count(counter), 2);
	EXPECT_EQ(take_count(second), 0);
	rig_down(&rig);
	close(counter);
	close(second);
}

static void events_flags_must_be_zero(void)
{
	refuse(1, 0, 0, 0, EINVAL);
	refuse(1u << 31, 0, 0, 0, EINVAL);
}

static void events_pad_must_be_zero(void)
{
	refuse(0, 1, 0, 0, EINVAL);
}

static void events_ctx_id_must_exist(void)
{
	refuse(0, 0, 1, 0, ENOENT);
	refuse(0, 0, -1u, 0, ENOENT); /* 0 */
}

static void events_eventfd_must_be_one(void)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	refuse(0, 0, 0, null, EBADF);
	refuse(0, 0, 0, -2, EBADF);
	refuse(0, 0, 0, 1000000, EBADF);
	close(null);
}

static void another_clients_context_is_out_of_reach(void)
{
	int counter = eventfd(0, EFD_NONBLOCK), fd = npu_open();
	struct ctx stranger;
	struct rig rig;

	REQUIRE(rig_up(&rig, 0), "");
	stranger = rig.ctx;
	stranger.fd = fd;
	EXPECT_ERRNO(set_eventfd(&stranger, counter), ENOENT);
	run_job(&rig, 1);
	EXPECT_EQ(take_count(counter), 0);
	rig_down(&rig);
	close(fd);
	close(counter);
}

static const uint32_t nonsense[] = { 0, 1, 2, 31, 255, 256, 257, 1u << 16, 1u << 31, -1u };

#define RING_WORDS (sizeof(struct drm_fluidnpu_event_ring) / sizeof(uint32_t))

static void any_word_of_a_ring_can_hold_nonsense(void)
{
	struct drm_fluidnpu_event_ring *ring;
	struct rig rig, other;
	struct job job;
	uint32_t events = 0;

	REQUIRE(rig_up(&rig, 0) && rig_up(&other, 0), "");
	ring = ctx_ring(&rig.ctx);
	job_init(&job, &rig.net, 1, 0);
	for (unsigned int word = 0; word < RING_WORDS; word++) {
		for (unsigned int i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
			int ret;

			((volatile uint32_t *)ring)[word] = nonsense[i];
			ret = submit_one(&rig.ctx, &job);
			EXPECT(!ret || ret == -ENOBUFS, "word %u = %#x: %d", word, nonsense[i],
			       ret);
			EXPECT_OK(bo_wait(&rig.net.data, npu_in_seconds(60)));
			if (!ret)
				events += 2;
			/* The kernel knows better. */
			ring->consumer = events;
			EXPECT_OK(submit_one(&rig.ctx, &job));
			EXPECT_OK(bo_wait(&rig.net.data, npu_in_seconds(60)));
			events += 2;
			EXPECT_EQ(ring->producer, events);
			ring->consumer = events;
		}
	}
	run_job(&other, 4);
	EXPECT_EQ(ctx_pending(&other.ctx), 0);
	rig_down(&rig);
	rig_down(&other);
}

static volatile bool stop_scribbling;

static void *scribble_forever(void *arg)
{
	volatile uint32_t *words = arg;
	uint32_t value = 1;

	while (!stop_scribbling) {
		for (unsigned int i = 0; i < RING_WORDS; i++)
			words[i] = value = value * 1664525 + 1013904223;
	}
	return NULL;
}

static void a_ring_can_be_scribbled_over_all_the_time(void)
{
	struct rig rig, other;
	pthread_t thread;
	struct job job;

	REQUIRE(rig_up(&rig, 0) && rig_up(&other, 0), "");
	stop_scribbling = false;
	REQUIRE(!pthread_create(&thread, NULL, scribble_forever, rig.ctx.ring.map), "thread");
	job_init(&job, &rig.net, 4, 0);
	for (unsigned int i = 0; i < 100; i++) {
		int ret = submit_one(&rig.ctx, &job);

		EXPECT(!ret || ret == -ENOBUFS, "%d", ret);
		run_job(&other, 4);
	}
	EXPECT_EQ(ctx_ring(&other.ctx)->producer, 500);
	EXPECT_OK(bo_wait(&rig.net.data, npu_in_seconds(60)));
	stop_scribbling = true;
	pthread_join(thread, NULL);
	/* poll() may say anything of such a ring, but it returns. */
	EXPECT(poll(&(struct pollfd){ .fd = rig.fd, .events = POLLIN }, 1, 0) >= 0, "poll");
	rig_down(&rig);
	rig_down(&other);
}

static void a_job_can_write_over_its_own_ring(void)
{
	struct rig rig, other;
	struct job job;

	REQUIRE(rig_up(&rig, 0) && rig_up(&other, 0), "");
	for (unsigned int i = 0; i < 8; i++) {
		job_init(&job, &rig.net, 1, 0);
		job.samples[0].logits_iova = rig.ctx.ring.iova + i * 8;
		job.handles[1] = rig.ctx.ring.handle;
		EXPECT_OK(submit_one(&rig.ctx, &job));
		EXPECT_OK(bo_wait(&rig.ctx.ring, npu_in_seconds(60)));
		ctx_ring(&rig.ctx)->consumer = 2 * (i + 1);
		EXPECT_EQ(ctx_ring(&rig.ctx)->producer, 2 * (i + 1));
	}
	run_job(&other, 4);
	EXPECT_EQ(ctx_ring(&other.ctx)->producer, 5);
	rig_down(&rig);
	rig_down(&other);
}

static void two_contexts_can_share_a_ring_buffer(void)
{
	struct drm_fluidnpu_ctx_create create = { .priority = DRM_FLUIDNPU_PRIORITY_NORMAL };
	struct rig rig, other;
	struct ctx twin;
	struct job job;

	REQUIRE(rig_up(&rig, 0) && rig_up(&other, 0), "");
	twin = rig.ctx;
	create.event_handle = rig.ctx.ring.handle;
	create.event_entries = 32;
	REQUIRE(!npu_ioctl(rig.fd, DRM_IOCTL_FLUIDNPU_CTX_CREATE, &create), "ctx_create");
	twin.id = create.ctx_id;
	job_init(&job, &rig.net, 4, 0);
	for (unsigned int i = 0; i < 4; i++) {
		EXPECT_OK(submit_one(&rig.ctx, &job));
		EXPECT_OK(submit_one(&twin, &job));
	}
	EXPECT_OK(bo_wait(&rig.net.data, npu_in_seconds(60)));
	EXPECT_EQ(ctx_ring(&rig.ctx)->producer, 20);
	run_job(&other, 4);
	rig_down(&rig);
	rig_down(&other);
}

static const struct tap_test tests[] = {
	{ "an eventfd counts each event", an_eventfd_counts_each_event },
	{ "a second eventfd takes the place of the first",
	  a_second_eventfd_takes_the_place_of_the_first },
	{ "-1 takes the eventfd away", minus_one_takes_the_eventfd_away },
	{ "contexts can share an eventfd", contexts_can_share_an_eventfd },
	{ "an eventfd outlives its descriptor", an_eventfd_outlives_its_descriptor },
	{ "a full eventfd costs no event", a_full_eventfd_costs_no_event },
	{ "a destroyed context does not count", a_destroyed_context_does_not_count },
	{ "eventfds can change while events come", eventfds_can_change_while_events_come },
	{ "events.flags must be 0", events_flags_must_be_zero },
	{ "events.pad must be 0", events_pad_must_be_zero },
	{ "events.ctx_id must exist", events_ctx_id_must_exist },
	{ "events.eventfd must be an eventfd", events_eventfd_must_be_one },
	{ "another client's context is out of reach", another_clients_context_is_out_of_reach },
	{ "any word of a ring can hold nonsense", any_word_of_a_ring_can_hold_nonsense },
	{ "a ring can be scribbled over all the time", a_ring_can_be_scribbled_over_all_the_time },
	{ "a job can write over its own ring", a_job_can_write_over_its_own_ring },
	{ "two contexts can share a ring's buffer", two_contexts_can_share_a_ring_buffer },
};

TAP_MAIN(tests)
