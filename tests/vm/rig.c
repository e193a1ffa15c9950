// SPDX-License-Identifier: MIT
#include <unistd.h>

#include "rig.h"
#include "tap.h"

bool rig_up(struct rig *rig, uint32_t slow_layers)
{
	int ret;

	rig->fd = npu_open();
	ret = ctx_create(rig->fd, DRM_FLUIDNPU_PRIORITY_NORMAL, 1024, &rig->ctx);
	if (!ret)
		ret = net_create(rig->fd, slow_layers, &rig->net);
	if (ret)
		tap_fail(__FILE__, __LINE__, "set-up failed: %s", strerror(-ret));
	return !ret;
}

void rig_down(struct rig *rig)
{
	ctx_destroy(&rig->ctx);
	net_destroy(&rig->net);
	close(rig->fd);
}

int rig_run(struct rig *rig, const struct job *job)
{
	struct drm_fluidnpu_event event;
	int ret = submit_one(&rig->ctx, job);

	if (ret)
		return ret;
	if (!ctx_job_event(&rig->ctx, &event)) {
		tap_fail(__FILE__, __LINE__, "no event");
		return -ENODEV;
	}
	return event.error;
}
