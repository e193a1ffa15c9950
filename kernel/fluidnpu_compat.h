/* SPDX-License-Identifier: GPL-2.0 */
/*
 * FluidNPU accel driver: older kernels.
 *
 * The driver is written for the newest kernel. What older ones have under another name or
 * with other arguments is translated here, by what kernel/probes.mk finds in the headers. A
 * tree of the newest kernel gets the driver without this file.
 */
#ifndef _FLUIDNPU_COMPAT_H
#define _FLUIDNPU_COMPAT_H

#include <linux/module.h>

#include <drm/gpu_scheduler.h>

#if !FLUIDNPU_HAVE_NS_STRING
#undef MODULE_IMPORT_NS
#define MODULE_IMPORT_NS(ns) MODULE_INFO(import_ns, ns)
#endif

#if !FLUIDNPU_HAVE_SCHED_INIT_ARGS
struct drm_sched_init_args {
	const struct drm_sched_backend_ops *ops;
	struct workqueue_struct *timeout_wq;
	u32 num_rqs;
	u32 credit_limit;
	long timeout;
	const char *name;
	struct device *dev;
};

static inline int fluidnpu_compat_sched_init(struct drm_gpu_scheduler *sched,
					     const struct drm_sched_init_args *args)
{
	return drm_sched_init(sched, args->ops, NULL, args->num_rqs, args->credit_limit, 0,
			      args->timeout, args->timeout_wq, NULL, args->name, args->dev);
}

#define drm_sched_init fluidnpu_compat_sched_init
#endif

#if !FLUIDNPU_HAVE_SCHED_CLIENT_ID
static inline int fluidnpu_compat_sched_job_init(struct drm_sched_job *job,
						 struct drm_sched_entity *entity, u32 credits,
						 void *owner, u64 drm_client_id)
{
	return drm_sched_job_init(job, entity, credits, owner);
}

#define drm_sched_job_init fluidnpu_compat_sched_job_init
#endif

#endif
