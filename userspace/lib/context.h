/* SPDX-License-Identifier: MIT */
/* Contexts: a queue of jobs and the event ring that tells how they went. */
#ifndef FNPU_CONTEXT_H
#define FNPU_CONTEXT_H

#include "backend.h"

/**
 * fnpu_context_create() - a context with room for the events of @max_jobs jobs
 * @submission: "uring", "ioctl" or NULL
 * @max_jobs: in flight at most
 * @events_per_job: that a job can cause, its JOB event counted
 */
int fnpu_context_create(struct fnpu_device *device, const char *submission,
			uint32_t max_jobs, uint32_t events_per_job,
			struct fnpu_context **ctx, struct fnpu_error *error);

/** fnpu_context_destroy() - NULL is fine */
void fnpu_context_destroy(struct fnpu_context *ctx);

/**
 * fnpu_ring_pop() - take the oldest event out of the ring
 * Returns 1, 0 when there is none, or -EPROTO when the producer's count makes no sense.
 */
int fnpu_ring_pop(struct fnpu_context *ctx, struct drm_fluidnpu_event *event);

#endif /* FNPU_CONTEXT_H */
