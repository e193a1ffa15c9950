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

#include <linux/io_uring/cmd.h>
#include <linux/module.h>

#include <drm/drm_gem.h>
#include <drm/drm_gem_shmem_helper.h>
#include <drm/gpu_scheduler.h>

#if !FLUIDNPU_HAVE_NS_STRING
#undef MODULE_IMPORT_NS
#define MODULE_IMPORT_NS(ns) MODULE_INFO(import_ns, ns)
#endif

#if !FLUIDNPU_HAVE_URING_DONE32
static inline void fluidnpu_compat_uring_done32(struct io_uring_cmd *cmd, s32 ret, u64 res2,
						unsigned int issue_flags)
{
	io_uring_cmd_done(cmd, ret, res2, issue_flags);
}

#define io_uring_cmd_done32 fluidnpu_compat_uring_done32
#define io_uring_cmd_done(cmd, ret, issue_flags) \
	fluidnpu_compat_uring_done32(cmd, ret, 0, issue_flags)
#endif

/* There, the task work of a command gets the command itself, and flags that never differ. */
#if !FLUIDNPU_HAVE_URING_TW_REQ
#define io_tw_req io_uring_cmd *
#define io_uring_cmd_from_tw(tw_req) (tw_req)
typedef unsigned int io_tw_token_t;
#define IO_URING_CMD_TASK_WORK_ISSUE_FLAGS IO_URING_F_COMPLETE_DEFER
#endif

#if !FLUIDNPU_HAVE_GEM_VMAP_LOCKS
#define drm_gem_vmap drm_gem_vmap_unlocked
#define drm_gem_vunmap drm_gem_vunmap_unlocked
#endif

#if !FLUIDNPU_HAVE_SHMEM_PUT_LOCKED
#define drm_gem_shmem_put_pages_locked drm_gem_shmem_put_pages
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
