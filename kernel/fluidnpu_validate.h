/* SPDX-License-Identifier: GPL-2.0 */
/*
 * FluidNPU accel driver: checks of what user space passes.
 */
#ifndef _FLUIDNPU_VALIDATE_H
#define _FLUIDNPU_VALIDATE_H

#include <linux/types.h>

#include <fluidnpu_drm.h>

struct drm_device;

/* Elements of user arrays can grow that far in later kernels. */
#define FLUIDNPU_MAX_STRIDE		1024

#define FLUIDNPU_PROGRAM_ALIGN		64

#define FLUIDNPU_MIN_EVENT_ENTRIES	32
#define FLUIDNPU_MAX_EVENT_ENTRIES	65536

int fluidnpu_check_array(struct drm_device *drm, const char *name,
			 const struct drm_fluidnpu_array *array, size_t size,
			 u32 min_count, u32 max_count);
int fluidnpu_check_bo_create(struct drm_device *drm, const struct drm_fluidnpu_bo_create *args);
int fluidnpu_check_ctx_create(struct drm_device *drm, const struct drm_fluidnpu_ctx_create *args);
int fluidnpu_check_events(struct drm_device *drm, const struct drm_fluidnpu_events *args);
int fluidnpu_check_submit(struct drm_device *drm, const struct drm_fluidnpu_submit *args);
int fluidnpu_check_job(struct drm_device *drm, const struct drm_fluidnpu_job *args, u32 max_batch);
int fluidnpu_check_sample(struct drm_device *drm, const struct drm_fluidnpu_sample *sample,
			  u32 index, u32 start_layer);
int fluidnpu_check_yield(struct drm_device *drm, const struct drm_fluidnpu_yield *args);
int fluidnpu_check_uring_submit(struct drm_device *drm,
				const struct drm_fluidnpu_uring_submit *args);
int fluidnpu_check_sync(struct drm_device *drm, const struct drm_fluidnpu_sync *sync, u32 index);

#endif
