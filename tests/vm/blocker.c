// SPDX-License-Identifier: MIT
#include <unistd.h>

#include "blocker.h"
#include "param.h"
#include "tap.h"

#define LAYERS		1000	/* of 5 ms for each sample: 80 s in all */
#define SAMPLES		16
#define USER_DATA	0xb10c

/* Longer than it can take. */
#define LONG_TIMEOUT_MS	"600000"

/* Samples of a batch pass through each layer alone, so that it takes as long as it can. */
static void stretch(const struct net *net)
{
	const struct fluidnpu_hw_program *header = net->program.map;
	struct fluidnpu_hw_policy *policy = (void *)((char *)net->program.map +
						     header->control_off);

	for (uint32_t i = 0; i < LAYERS * header->max_batch; i++)
		policy[i] = (struct fluidnpu_hw_policy){ .n = 1, .b_r = 1, .b_p = 1, .k = 1 };
}

static int start(struct blocker *b)
{
	const struct drm_fluidnpu_sync sync = {
		.handle = b->syncobj, .flags = DRM_FLUIDNPU_SYNC_SIGNAL,
	};
	uint32_t handles[3];
	struct job job;

	job_init(&job, &b->net, SAMPLES, USER_DATA);
	handles[0] = job.handles[0];
	handles[1] = job.handles[1];
	handles[2] = b->shared.handle;
	job.args.bos.count = 3;
	job.args.bos.array = (uintptr_t)handles;
	return submit(&b->ctx, &job.args, 1, &sync, 1);
}

bool blocker_up(struct blocker *b, uint32_t priority)
{
	int ret = param_set(JOB_TIMEOUT_PARAM, LONG_TIMEOUT_MS);

	*b = (struct blocker){ .fd = npu_open() };
	if (!ret)
		ret = ctx_create(b->fd, priority, 64, &b->ctx);
	if (!ret)
		ret = net_create(b->fd, LAYERS, &b->net);
	if (!ret)
		ret = bo_create(b->fd, 4096, &b->shared);
	/* Before the job: its fence would not be for others otherwise. */
	if (!ret)
		ret = prime_export(b->fd, b->shared.handle, &b->dmabuf);
	if (!ret)
		ret = syncobj_create(b->fd, &b->syncobj);
	if (!ret) {
		stretch(&b->net);
		ret = start(b);
	}
	if (ret)
		tap_fail(__FILE__, __LINE__, "no blocker: %s", strerror(-ret));
	return !ret;
}

uint32_t blocker_syncobj(const struct blocker *b, int fd)
{
	struct drm_syncobj_handle args = { .handle = b->syncobj };
	int ret = npu_ioctl(b->fd, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &args);

	if (!ret) {
		ret = npu_ioctl(fd, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &args);
		close(args.fd);
	}
	if (ret)
		tap_fail(__FILE__, __LINE__, "cannot share the syncobj: %s", strerror(-ret));
	return ret ? 0 : args.handle;
}

void blocker_release(struct blocker *b)
{
	struct drm_fluidnpu_yield yield = { .ctx_id = b->ctx.id, .user_data = USER_DATA };
	struct drm_fluidnpu_event event;

	EXPECT_OK(npu_ioctl(b->fd, DRM_IOCTL_FLUIDNPU_YIELD, &yield));
	REQUIRE(ctx_job_event(&b->ctx, &event), "no event");
	EXPECT_EQ(event.error, 0);
	EXPECT_OK(syncobj_wait(b->fd, b->syncobj, 0, npu_in_seconds(60)));
}

void blocker_down(struct blocker *b)
{
	struct drm_fluidnpu_yield yield = { .ctx_id = b->ctx.id, .user_data = USER_DATA };

	/* It does not outlive the file for long. */
	npu_ioctl(b->fd, DRM_IOCTL_FLUIDNPU_YIELD, &yield);
	ctx_destroy(&b->ctx);
	close(b->dmabuf);
	bo_destroy(&b->shared);
	net_destroy(&b->net);
	close(b->fd);
}
