// SPDX-License-Identifier: MIT
/*
 * Jobs that wait in the scheduler, for a fence that does not come: what becomes of them when their
 * client or their context goes, and whom they are charged to.
 */
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "npu.h"
#include "pair.h"
#include "param.h"
#include "pcidev.h"
#include "rig.h"
#include "tap.h"

#define LOW		DRM_FLUIDNPU_PRIORITY_LOW
#define NORMAL		DRM_FLUIDNPU_PRIORITY_NORMAL
#define REALTIME	DRM_FLUIDNPU_PRIORITY_REALTIME

/* ---- the client goes ---- */

#define WAITING 5

/* Of these the first waits for the blocker, and the others for the first. */
static void send_waiting(const struct pair *pair, int *fences)
{
	uint32_t syncobj;

	for (unsigned int i = 0; i < WAITING; i++) {
		REQUIRE(!syncobj_create(pair->rig.fd, &syncobj), "syncobj");
		EXPECT_OK(pair_send(&pair->rig.ctx, &pair->rig.net, 10 * i, i ? 0 : pair->awaited,
			       syncobj));
		fences[i] = export_fence(pair->rig.fd, syncobj);
		syncobj_destroy(pair->rig.fd, syncobj);
	}
}

static uint64_t sysfs_number(const char *file)
{
	char text[64] = "";

	EXPECT_OK(pci_read(file, text, sizeof(text)));
	return strtoull(text, NULL, 10);
}

static uint64_t memory_in_use(void)
{
	return sysfs_number("npu_memory_utilization");
}

/* The fences end at once, but nothing tells when what the jobs held is given back. */
static void expect_memory_in_use(uint64_t wanted)
{
	while (!tap_failures && memory_in_use() != wanted)
		poll(NULL, 0, 1);
}

static void expect_fences(int *fences, int status)
{
	for (unsigned int i = 0; i < WAITING; i++) {
		wait_for_fence(fences[i]);
		EXPECT(fence_status(fences[i]) == status, "fence %u: %d, not %d", i,
		       fence_status(fences[i]), status);
		close(fences[i]);
	}
}

/* Like a process that dies: nothing is destroyed before. */
static void close_file(struct rig *rig)
{
	munmap(rig->ctx.ring.map, rig->ctx.ring.size);
	munmap(rig->net.program.map, rig->net.program.size);
	munmap(rig->net.data.map, rig->net.data.size);
	close(rig->fd);
}

static bool waiting_up(struct pair *pair, int *fences, uint64_t *memory)
{
	if (!blocker_up(&pair->blocker, LOW))
		return false;
	*memory = memory_in_use();
	if (!rig_up(&pair->rig, 0))
		return false;
	pair->awaited = blocker_syncobj(&pair->blocker, pair->rig.fd);
	send_waiting(pair, fences);
	return !tap_failures;
}

/*
 * The file is closed. Those who wait for these fences must not overtake what the jobs waited for:
 * they are signalled after that, but the jobs do not run any more.
 */
static void expect_esrch(struct pair *pair, int *fences, uint64_t memory)
{
	const uint64_t jobs = sysfs_number("queue1/jobs");
	struct blocker *blocker = &pair->blocker;

	for (unsigned int i = 0; i < WAITING; i++)
		EXPECT_EQ(fence_status(fences[i]), 0);
	EXPECT_EQ(ctx_pending(&blocker->ctx), 0);
	blocker_release(blocker);
	expect_fences(fences, -ESRCH);
	expect_memory_in_use(memory);
	EXPECT_EQ(sysfs_number("queue1/jobs"), jobs);
}

static void closing_the_file_ends_what_waits_with_esrch(void)
{
	int fences[WAITING];
	struct pair pair;
	uint64_t memory;

	REQUIRE(waiting_up(&pair, fences, &memory), "");
	close_file(&pair.rig);
	expect_esrch(&pair, fences, memory);
	blocker_down(&pair.blocker);
}

static void jobs_of_a_destroyed_context_still_wait_and_end_with_the_file(void)
{
	int fences[WAITING];
	struct pair pair;
	uint64_t memory;

	REQUIRE(waiting_up(&pair, fences, &memory), "");
	ctx_destroy(&pair.rig.ctx);
	pass_by(pair.rig.fd, NORMAL);
	for (unsigned int i = 0; i < WAITING; i++)
		EXPECT_EQ(fence_status(fences[i]), 0);
	net_destroy(&pair.rig.net);
	close(pair.rig.fd);
	expect_esrch(&pair, fences, memory);
	blocker_down(&pair.blocker);
}

static void jobs_of_a_destroyed_context_run_when_their_fence_comes(void)
{
	int fences[WAITING];
	struct pair pair;
	uint64_t memory;

	REQUIRE(waiting_up(&pair, fences, &memory), "");
	ctx_destroy(&pair.rig.ctx);
	blocker_release(&pair.blocker);
	expect_fences(fences, 1);
	rig_down(&pair.rig);
	expect_memory_in_use(memory);
	blocker_down(&pair.blocker);
}

static void a_file_that_closes_leaves_others_in_the_scheduler(void)
{
	int fences[WAITING];
	struct pair pair;
	struct rig other;
	uint64_t memory;

	REQUIRE(waiting_up(&pair, fences, &memory) && rig_up(&other, 0), "");
	for (unsigned int i = 0; i < 10; i++)
		EXPECT_OK(pair_send(&other.ctx, &other.net, i,
			       i ? 0 : blocker_syncobj(&pair.blocker, other.fd), 0));
	close_file(&pair.rig);
	pass_by(other.fd, NORMAL);
	EXPECT_EQ(ctx_pending(&other.ctx), 0);
	blocker_release(&pair.blocker);
	expect_fences(fences, -ESRCH);
	expect_jobs(&other.ctx, 0, 9);
	rig_down(&other);
	blocker_down(&pair.blocker);
}

/* ---- what waits is charged ---- */

/* A context that only its job, which waits, keeps. */
static int wait_ctx(const struct pair *pair, const struct bo *ring)
{
	struct drm_fluidnpu_ctx_create create = {
		.priority = NORMAL, .event_handle = ring->handle, .event_entries = 32,
	};
	struct drm_fluidnpu_ctx_destroy destroy = { 0 };
	struct ctx ctx = { .fd = pair->rig.fd };
	int ret = npu_ioctl(ctx.fd, DRM_IOCTL_FLUIDNPU_CTX_CREATE, &create);

	if (ret)
		return ret;
	ctx.id = destroy.ctx_id = create.ctx_id;
	ret = pair_send(&ctx, &pair->rig.net, 1, pair->awaited, 0);
	EXPECT_OK(npu_ioctl(ctx.fd, DRM_IOCTL_FLUIDNPU_CTX_DESTROY, &destroy));
	return ret;
}

static void contexts_that_are_destroyed_with_jobs_in_flight_are_charged(void)
{
	unsigned int count = 0;
	struct pair pair;
	struct bo ring;
	int ret;

	REQUIRE(pair_up(&pair, LOW), "");
	REQUIRE(!bo_create(pair.rig.fd, DRM_FLUIDNPU_EVENT_RING_BYTES(32), &ring), "bo_create");
	EXPECT_OK(param_set(CLIENT_LIMIT_PARAM, "4"));
	do {
		ret = wait_ctx(&pair, &ring);
	} while (!ret && ++count < 1024);
	EXPECT_ERRNO(ret, ENOMEM);
	/* Of the 4 MiB buffers take 2.7, and a context and a job about 5 KiB. */
	EXPECT(count > 100 && count < 320, "%u contexts", count);
	printf("# %u contexts\n", count);
	blocker_release(&pair.blocker);
	/* Nothing tells when it is given back. */
	while ((ret = wait_ctx(&pair, &ring)) == -ENOMEM)
		poll(NULL, 0, 1);
	EXPECT_OK(ret);
	bo_destroy(&ring);
	pair_down(&pair);
}

static void jobs_that_wait_are_charged(void)
{
	struct drm_fluidnpu_job jobs[64] = { 0 };
	unsigned int count = 0;
	struct blocker blocker;
	struct ctx ctx;
	int fd, ret;

	REQUIRE(blocker_up(&blocker, REALTIME), "");
	fd = npu_open();
	REQUIRE(!ctx_create(fd, NORMAL, 16384, &ctx), "ctx_create");
	EXPECT_OK(param_set(CLIENT_LIMIT_PARAM, "3"));
	for (unsigned int i = 0; i < 64; i++)
		jobs[i].flags = DRM_FLUIDNPU_JOB_NOP;
	do {
		ret = submit(&ctx, jobs, 64, NULL, 0);
		count += ret ? 0 : 64;
	} while (!ret);
	EXPECT_ERRNO(ret, ENOMEM);
	/* The event ring takes 1 MiB. */
	EXPECT(count > 1000 && count < 16384, "%u jobs", count);
	printf("# %u jobs\n", count);
	blocker_release(&blocker);
	expect_jobs(&ctx, 0, 0);
	for (unsigned int i = 1; i < count; i++)
		expect_jobs(&ctx, 0, 0);
	while ((ret = submit(&ctx, jobs, 64, NULL, 0)) == -ENOMEM)
		poll(NULL, 0, 1);
	EXPECT_OK(ret);
	ctx_destroy(&ctx);
	close(fd);
	blocker_down(&blocker);
}

static const struct tap_test tests[] = {
	{ "closing the file ends what waits with ESRCH",
	  closing_the_file_ends_what_waits_with_esrch },
	{ "jobs of a destroyed context still wait, and end with the file",
	  jobs_of_a_destroyed_context_still_wait_and_end_with_the_file },
	{ "jobs of a destroyed context run when their fence comes",
	  jobs_of_a_destroyed_context_run_when_their_fence_comes },
	{ "a file that closes leaves others in the scheduler",
	  a_file_that_closes_leaves_others_in_the_scheduler },
	{ "contexts that are destroyed with jobs in flight are charged",
	  contexts_that_are_destroyed_with_jobs_in_flight_are_charged },
	{ "jobs that wait are charged", jobs_that_wait_are_charged },
};

int main(void)
{
	if (!pci_find()) {
		printf("Bail out! cannot find the device in sysfs\n");
		return 1;
	}
	return tap_run(tests, sizeof(tests) / sizeof(tests[0]));
}
