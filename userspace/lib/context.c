// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>

#include "context.h"
#include "error.h"

#define EVENT_ENTRIES_MIN	32u
#define EVENT_ENTRIES_MAX	65536u

static uint32_t ring_entries(uint64_t events)
{
	uint32_t entries = EVENT_ENTRIES_MIN;

	while (entries < events && entries < EVENT_ENTRIES_MAX)
		entries *= 2;
	return entries;
}

int fnpu_context_create(struct fnpu_device *device, const char *submission,
			uint32_t max_jobs, uint32_t events_per_job,
			struct fnpu_context **out, struct fnpu_error *error)
{
	struct fnpu_context *ctx;
	int ret;

	ctx = calloc(1, sizeof(*ctx));
	if (!ctx)
		return fnpu_fail(error, -ENOMEM, "out of memory");
	ctx->device = device;
	ctx->max_jobs = max_jobs;
	ctx->entries = ring_entries((uint64_t)max_jobs * events_per_job);

	ret = fnpu_bo_alloc(device, DRM_FLUIDNPU_EVENT_RING_BYTES(ctx->entries),
			    &ctx->ring_bo, error);
	if (ret)
		goto err_free;
	ctx->ring = fnpu_bo_map(ctx->ring_bo);
	ctx->events = (struct drm_fluidnpu_event *)(ctx->ring + 1);

	ret = device->ops->ctx_create(ctx, submission, error);
	if (ret)
		goto err_bo;
	*out = ctx;
	return 0;

err_bo:
	fnpu_bo_free(ctx->ring_bo);
err_free:
	free(ctx);
	return ret;
}

void fnpu_context_destroy(struct fnpu_context *ctx)
{
	if (!ctx)
		return;
	ctx->device->ops->ctx_destroy(ctx);
	fnpu_bo_free(ctx->ring_bo);
	free(ctx);
}

int fnpu_ring_pop(struct fnpu_context *ctx, struct drm_fluidnpu_event *event)
{
	uint32_t producer = __atomic_load_n(&ctx->ring->producer, __ATOMIC_ACQUIRE);

	if (producer == ctx->consumer)
		return 0;
	if (producer - ctx->consumer > ctx->entries)
		return -EPROTO;
	*event = ctx->events[ctx->consumer & (ctx->entries - 1)];
	ctx->consumer++;
	/* The entry may be overwritten from here on. */
	__atomic_store_n(&ctx->ring->consumer, ctx->consumer, __ATOMIC_RELEASE);
	return 1;
}
