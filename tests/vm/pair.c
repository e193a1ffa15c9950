// SPDX-License-Identifier: MIT
#include <linux/sync_file.h>
#include <poll.h>
#include <sys/ioctl.h>

#include "pair.h"
#include "tap.h"

bool pair_up(struct pair *pair, uint32_t priority)
{
	if (!blocker_up(&pair->blocker, priority) || !rig_up(&pair->rig, 0))
		return false;
	pair->awaited = blocker_syncobj(&pair->blocker, pair->rig.fd);
	return pair->awaited;
}

void pair_down(struct pair *pair)
{
	rig_down(&pair->rig);
	blocker_down(&pair->blocker);
}

int pair_send(const struct ctx *ctx, const struct net *net, uint64_t user_data, uint32_t await,
		uint32_t signal)
{
	struct drm_fluidnpu_sync syncs[2];
	unsigned int num_syncs = 0;
	struct job job;

	if (await)
		syncs[num_syncs++] = (struct drm_fluidnpu_sync){ .handle = await };
	if (signal)
		syncs[num_syncs++] = (struct drm_fluidnpu_sync){
			.handle = signal, .flags = DRM_FLUIDNPU_SYNC_SIGNAL,
		};
	job_init(&job, net, 1, user_data);
	return submit(ctx, &job.args, 1, syncs, num_syncs);
}

int send_nop(const struct ctx *ctx, uint64_t user_data)
{
	const struct drm_fluidnpu_job job = {
		.flags = DRM_FLUIDNPU_JOB_NOP, .user_data = user_data,
	};

	return submit(ctx, &job, 1, NULL, 0);
}

void expect_jobs(struct ctx *ctx, uint64_t first, uint64_t last)
{
	struct drm_fluidnpu_event event;

	for (uint64_t i = first; i <= last; i++) {
		REQUIRE(ctx_job_event(ctx, &event), "no event of job %llu", (unsigned long long)i);
		REQUIRE(event.user_data == i && !event.error, "job %llu ended with %d instead of %llu",
			(unsigned long long)event.user_data, event.error, (unsigned long long)i);
	}
}

/* Memory of the client's. */
static uint64_t memory_of(int fd)
{
	struct drm_fluidnpu_perf perf = { 0 };

	EXPECT_OK(npu_ioctl(fd, DRM_IOCTL_FLUIDNPU_PERF, &perf));
	return perf.memory_bytes;
}

void pass_by(int fd, uint32_t priority)
{
	const uint64_t memory = memory_of(fd);
	struct ctx ctx;

	REQUIRE(!ctx_create(fd, priority, 32, &ctx), "ctx_create");
	EXPECT_OK(send_nop(&ctx, 1));
	expect_jobs(&ctx, 1, 1);
	ctx_destroy(&ctx);
	/* Nothing tells when the job, and the ring with it, is given back. */
	while (!tap_failures && memory_of(fd) > memory)
		poll(NULL, 0, 1);
}

int export_fence(int fd, uint32_t syncobj)
{
	struct drm_syncobj_handle args = {
		.handle = syncobj, .flags = DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE,
		.fd = -1,
	};

	EXPECT_OK(npu_ioctl(fd, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &args));
	return args.fd;
}

int fence_status(int sync_file)
{
	struct sync_file_info info = { 0 };

	if (ioctl(sync_file, SYNC_IOC_FILE_INFO, &info))
		return -errno;
	return info.status;
}

void wait_for_fence(int sync_file)
{
	struct pollfd pfd = { .fd = sync_file, .events = POLLIN };

	EXPECT(poll(&pfd, 1, -1) == 1 && pfd.revents & POLLIN, "%#x", pfd.revents);
}
