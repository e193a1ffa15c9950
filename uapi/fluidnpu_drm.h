/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * FluidNPU: the interface of /dev/fluidnpu (a DRM accel node).
 *
 * A file has an address space of its own. Every buffer object (BO) that it
 * holds a handle of is mapped there at the iova that BO_CREATE or BO_INFO
 * reports; all addresses in jobs are such iovas. A context is a queue of jobs
 * that run in order at one priority. A job runs up to 16 samples (inputs)
 * through a program; each sample leaves at the first exit head whose
 * confidence suffices and is reported by an event in the context's event ring.
 *
 * A job can be submitted by ioctl (many jobs at a time, completion through
 * syncobjs, BO_WAIT and events) or as an io_uring command
 * (one job, the CQE comes when the job has ended).
 *
 * Rules: reserved and pad fields are zero; unknown flags are refused with
 * EINVAL; times are CLOCK_MONOTONIC nanoseconds unless they are device times
 * (cycles of drm_fluidnpu_info.clock_hz).
 *
 * Errors of calls: ENOENT no such handle, context or syncobj; EFAULT bad pointer;
 * EINVAL bad field (the kernel's debug log names it); E2BIG array or structure
 * larger than this kernel knows, or not zero where it knows nothing; EACCES no
 * right to that priority; EBUSY all address spaces of the device are in use;
 * ENOSPC no iova or context id left; ENOBUFS no room in the event ring; ENOMEM;
 * EINTR a signal came, call again; ETIMEDOUT BO_WAIT's time has passed; EIO the
 * context is banned, as it is after its third job that timed out, or the device
 * is dead; ENODEV device gone.
 *
 * Errors of jobs, in events, fences and CQEs: EIO the job failed (an access to an
 * address that is not mapped, a program that is not valid), its context was banned
 * or a reset of the device lost it; ETIME it ran for too long; ENODEV device
 * gone; ESRCH (fences only) the file was closed before the device got it.
 */
#ifndef _UAPI_FLUIDNPU_DRM_H
#define _UAPI_FLUIDNPU_DRM_H

#ifdef __KERNEL__
#include <uapi/drm/drm.h>
#else
#include <libdrm/drm.h>
#endif

#include "fluidnpu_hw.h"

#if defined(__cplusplus)
extern "C" {
#endif

#define FLUIDNPU_DRIVER_NAME		"fluidnpu"
#define FLUIDNPU_ABI_MAJOR		1
#define FLUIDNPU_ABI_MINOR		0

#define DRM_FLUIDNPU_DEV_QUERY		0x00
#define DRM_FLUIDNPU_BO_CREATE		0x01
#define DRM_FLUIDNPU_BO_INFO		0x02
#define DRM_FLUIDNPU_BO_WAIT		0x03
#define DRM_FLUIDNPU_CTX_CREATE		0x04
#define DRM_FLUIDNPU_CTX_DESTROY	0x05
#define DRM_FLUIDNPU_SUBMIT		0x06

/** enum drm_fluidnpu_query - what DEV_QUERY can tell */
enum drm_fluidnpu_query {
	DRM_FLUIDNPU_QUERY_INFO = 0,		/* struct drm_fluidnpu_info */
	DRM_FLUIDNPU_QUERY_COUNTERS = 1,	/* struct drm_fluidnpu_counters */
};

/**
 * struct drm_fluidnpu_dev_query - DEV_QUERY
 * @type: enum drm_fluidnpu_query
 * @size: in: bytes at @pointer; out: bytes of the structure in this kernel.
 *	The smaller of both is written; what this kernel does not know is zeroed.
 * @pointer: where to write; 0 only asks for @size
 */
struct drm_fluidnpu_dev_query {
	__u32 type;
	__u32 size;
	__u64 pointer;
};

/**
 * struct drm_fluidnpu_info - facts that do not change
 * @hw_version: FLUIDNPU_REG_VERSION
 * @features: FLUIDNPU_FEATURE_*
 * @clock_hz: of the device time in events
 * @max_jobs: per SUBMIT
 * @va_start, @va_bytes: range of iovas
 * @geometry: of the NPU
 */
struct drm_fluidnpu_info {
	__u32 hw_version;
	__u32 features;
	__u32 clock_hz;
	__u32 max_jobs;
	__u64 va_start;
	__u64 va_bytes;
	struct fluidnpu_hw_geometry geometry;
};

/**
 * struct drm_fluidnpu_counters - the device's counters
 * @time: device time of the reading, cycles
 * @values: indexed by enum fluidnpu_counter
 */
struct drm_fluidnpu_counters {
	__u64 time;
	__u64 values[FLUIDNPU_CNT_NUM];
};

/**
 * struct drm_fluidnpu_bo_create - BO_CREATE
 * @size: in: bytes, not 0; out: rounded up to pages. All of them are taken at
 *	once and stay in memory
 * @flags: 0
 * @handle: out: GEM handle; freed with DRM_IOCTL_GEM_CLOSE
 * @iova: out: where the NPU sees it
 * @mmap_offset: out: offset for mmap() of the device file, with MAP_SHARED
 */
struct drm_fluidnpu_bo_create {
	__u64 size;
	__u32 flags;
	__u32 handle;
	__u64 iova;
	__u64 mmap_offset;
};

/**
 * struct drm_fluidnpu_bo_info - BO_INFO, for imported buffers above all
 * @handle: in
 * @pad: 0
 * @size, @iova, @mmap_offset: out, as of BO_CREATE. @mmap_offset is 0 for an
 *	imported buffer: map the dma-buf itself
 */
struct drm_fluidnpu_bo_info {
	__u32 handle;
	__u32 pad;
	__u64 size;
	__u64 iova;
	__u64 mmap_offset;
};

/**
 * struct drm_fluidnpu_bo_wait - BO_WAIT: until no job uses the BO
 * @handle: GEM handle
 * @pad: 0
 * @timeout_ns: absolute CLOCK_MONOTONIC time; ETIMEDOUT when it passes, 0 polls
 */
struct drm_fluidnpu_bo_wait {
	__u32 handle;
	__u32 pad;
	__s64 timeout_ns;
};

/**
 * enum drm_fluidnpu_priority - of a context
 *
 * A higher one preempts at layer boundaries for as long as it has jobs: a lower one
 * can wait forever. On a device with fewer queues than priorities neighbours are one.
 */
enum drm_fluidnpu_priority {
	DRM_FLUIDNPU_PRIORITY_LOW = 0,
	DRM_FLUIDNPU_PRIORITY_NORMAL = 1,
	DRM_FLUIDNPU_PRIORITY_HIGH = 2,		/* CAP_SYS_NICE */
	DRM_FLUIDNPU_PRIORITY_REALTIME = 3,	/* CAP_SYS_NICE */
};

/**
 * struct drm_fluidnpu_ctx_create - CTX_CREATE
 * @priority: enum drm_fluidnpu_priority
 * @flags: 0
 * @event_handle: BO for the event ring, at least DRM_FLUIDNPU_EVENT_RING_BYTES(@event_entries);
 *	its contents are reset. An imported BO is refused.
 * @event_entries: power of two, 32..65536
 * @ctx_id: out
 * @pad: 0
 */
struct drm_fluidnpu_ctx_create {
	__u32 priority;
	__u32 flags;
	__u32 event_handle;
	__u32 event_entries;
	__u32 ctx_id;
	__u32 pad;
};

/** struct drm_fluidnpu_ctx_destroy - CTX_DESTROY: jobs in flight still run, without events */
struct drm_fluidnpu_ctx_destroy {
	__u32 ctx_id;
	__u32 pad;
};

/**
 * struct drm_fluidnpu_event_ring - start of an event ring; entries follow
 * @producer: events written so far (mod 2^32), by the kernel; read with acquire
 * @consumer: events taken so far, by the user; write with release
 * @entries: of the ring
 *
 * Entry i is at [i & (entries - 1)]. SUBMIT takes the room for all events of
 * a job in advance (ENOBUFS when there is not enough), so no event is ever lost.
 * poll() reports POLLIN while any ring of the file holds an event, POLLERR and
 * POLLHUP when the device is gone and no further event can come.
 */
struct drm_fluidnpu_event_ring {
	__u32 producer;
	__u32 consumer;
	__u32 entries;
	__u32 reserved[13];
};

#define DRM_FLUIDNPU_EVENT_EXIT		FLUIDNPU_CQE_EXIT	/* a sample left */
#define DRM_FLUIDNPU_EVENT_JOB		FLUIDNPU_CQE_JOB	/* a job ended: the last event of a job */
#define DRM_FLUIDNPU_EVENT_HEAD		FLUIDNPU_CQE_HEAD	/* DRM_FLUIDNPU_JOB_NO_EXIT: a head reported */

/**
 * struct drm_fluidnpu_event - entry of an event ring
 * @user_data: of the sample (EXIT, HEAD) or the job (JOB)
 * @time: device time of the event, 0 for a job that the device did not end
 * @queued: device time when the job reached the device, 0 if it did not say
 * @started: device time when the job's first layer started, likewise
 * @error: 0 or a negative errno (JOB)
 * @type: DRM_FLUIDNPU_EVENT_*
 * @exit_index: EXIT, HEAD
 * @class_index: EXIT, HEAD: top-1 class
 * @live_batch: samples that ran together when it happened
 * @layer: at which it happened
 * @confidence, @entropy, @margin: binary32 bits, see struct fluidnpu_hw_cqe
 * @reserved: 0
 */
struct drm_fluidnpu_event {
	__u64 user_data;
	__u64 time;
	__u64 queued;
	__u64 started;
	__s32 error;
	__u8  type;
	__u8  exit_index;
	__u16 class_index;
	__u16 live_batch;
	__u16 layer;
	__u32 confidence;
	__u32 entropy;
	__u32 margin;
	__u64 reserved;
};

#define DRM_FLUIDNPU_EVENT_RING_BYTES(entries) \
	(sizeof(struct drm_fluidnpu_event_ring) + \
	 (__u64)(entries) * sizeof(struct drm_fluidnpu_event))

/**
 * struct drm_fluidnpu_array - a user array whose element may grow in later kernels
 * @stride: bytes from one element to the next, at least the size known today
 * @count: elements
 * @array: pointer
 */
struct drm_fluidnpu_array {
	__u32 stride;
	__u32 count;
	__u64 array;
};

/**
 * struct drm_fluidnpu_sample - one sample of a job
 * @user_data: returned in its events
 * @input_iova, @state_iova, @logits_iova, @exit_index: as in struct fluidnpu_hw_sample
 * @start_layer: the same for all samples of a job
 */
struct drm_fluidnpu_sample {
	__u64 user_data;
	__u64 input_iova;
	__u64 state_iova;
	__u64 logits_iova;
	__u32 start_layer;
	__u32 exit_index;
};

#define DRM_FLUIDNPU_JOB_NO_EXIT	(1u << 0)	/* all samples run to the last exit */

/**
 * struct drm_fluidnpu_job - one job
 * @program_iova: struct fluidnpu_hw_program, 64-byte aligned
 * @program_bytes: that the device may read there
 * @flags: DRM_FLUIDNPU_JOB_*
 * @samples: of struct drm_fluidnpu_sample, 1..max_batch
 * @bos: of __u32: GEM handles of all BOs that the job uses (at most 64): they
 *	stay alive and busy until it has ended. Those that are shared through dma-buf
 *	are waited for and marked as written; otherwise only syncobjs synchronise
 * @user_data: returned in its JOB event
 */
struct drm_fluidnpu_job {
	__u64 program_iova;
	__u32 program_bytes;
	__u32 flags;
	struct drm_fluidnpu_array samples;
	struct drm_fluidnpu_array bos;
	__u64 user_data;
};

#define DRM_FLUIDNPU_SYNC_WAIT		0		/* the jobs wait for it */
#define DRM_FLUIDNPU_SYNC_SIGNAL	(1u << 0)	/* signalled by the last job */

/**
 * struct drm_fluidnpu_sync - a syncobj to wait for or to signal
 * @handle: syncobj; one to wait for must hold a fence, or have the point, already
 *	(EINVAL)
 * @flags: DRM_FLUIDNPU_SYNC_*
 * @point: 0: binary syncobj, otherwise a point of its timeline
 */
struct drm_fluidnpu_sync {
	__u32 handle;
	__u32 flags;
	__u64 point;
};

/**
 * struct drm_fluidnpu_submit - SUBMIT: all jobs or none
 * @ctx_id: context
 * @flags: 0
 * @jobs: of struct drm_fluidnpu_job, 1..max_jobs; they run in this order
 * @syncs: of struct drm_fluidnpu_sync, at most 64
 */
struct drm_fluidnpu_submit {
	__u32 ctx_id;
	__u32 flags;
	struct drm_fluidnpu_array jobs;
	struct drm_fluidnpu_array syncs;
};

/*
 * io_uring commands (IORING_OP_URING_CMD, sqe->cmd_op). The CQE comes when the
 * job has ended: res is 0 or a negative errno, with CQE32 big_cqe[0] is the
 * device time of its end, or 0. What SUBMIT would refuse completes at once with the
 * same errno, an unknown cmd_op with ENOTTY. When the ring or its task goes, commands
 * end with ECANCELED and their jobs run on; IORING_OP_ASYNC_CANCEL does not reach them.
 *
 * FLUIDNPU_URING_SUBMIT: struct drm_fluidnpu_uring_submit in the sqe's command
 * area; needs a ring with IORING_SETUP_SQE128.
 * FLUIDNPU_URING_SUBMIT_PTR: struct drm_fluidnpu_uring_ptr there, for any ring.
 */

/** struct drm_fluidnpu_uring_submit - one job for a context; @flags and @reserved are 0 */
struct drm_fluidnpu_uring_submit {
	__u32 ctx_id;
	__u32 flags;
	struct drm_fluidnpu_job job;
	__u64 reserved;
};

/** struct drm_fluidnpu_uring_ptr - @pointer to a drm_fluidnpu_uring_submit of @size bytes */
struct drm_fluidnpu_uring_ptr {
	__u64 pointer;
	__u32 size;
	__u32 pad;
};

#define FLUIDNPU_URING_SUBMIT		_IOW('F', 0x00, struct drm_fluidnpu_uring_submit)
#define FLUIDNPU_URING_SUBMIT_PTR	_IOW('F', 0x01, struct drm_fluidnpu_uring_ptr)

#define DRM_IOCTL_FLUIDNPU_DEV_QUERY \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_FLUIDNPU_DEV_QUERY, struct drm_fluidnpu_dev_query)
#define DRM_IOCTL_FLUIDNPU_BO_CREATE \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_FLUIDNPU_BO_CREATE, struct drm_fluidnpu_bo_create)
#define DRM_IOCTL_FLUIDNPU_BO_INFO \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_FLUIDNPU_BO_INFO, struct drm_fluidnpu_bo_info)
#define DRM_IOCTL_FLUIDNPU_BO_WAIT \
	DRM_IOW(DRM_COMMAND_BASE + DRM_FLUIDNPU_BO_WAIT, struct drm_fluidnpu_bo_wait)
#define DRM_IOCTL_FLUIDNPU_CTX_CREATE \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_FLUIDNPU_CTX_CREATE, struct drm_fluidnpu_ctx_create)
#define DRM_IOCTL_FLUIDNPU_CTX_DESTROY \
	DRM_IOW(DRM_COMMAND_BASE + DRM_FLUIDNPU_CTX_DESTROY, struct drm_fluidnpu_ctx_destroy)
#define DRM_IOCTL_FLUIDNPU_SUBMIT \
	DRM_IOW(DRM_COMMAND_BASE + DRM_FLUIDNPU_SUBMIT, struct drm_fluidnpu_submit)

/* The layout, to the byte: a change here is a change of the interface. */
#define FLUIDNPU_AT(type, member, offset) \
	_Static_assert(__builtin_offsetof(struct type, member) == (offset), #type "." #member)
#define FLUIDNPU_SIZE(type, bytes) \
	_Static_assert(sizeof(struct type) == (bytes), #type)

FLUIDNPU_AT(drm_fluidnpu_dev_query, type, 0);
FLUIDNPU_AT(drm_fluidnpu_dev_query, size, 4);
FLUIDNPU_AT(drm_fluidnpu_dev_query, pointer, 8);
FLUIDNPU_SIZE(drm_fluidnpu_dev_query, 16);

FLUIDNPU_AT(drm_fluidnpu_info, hw_version, 0);
FLUIDNPU_AT(drm_fluidnpu_info, features, 4);
FLUIDNPU_AT(drm_fluidnpu_info, clock_hz, 8);
FLUIDNPU_AT(drm_fluidnpu_info, max_jobs, 12);
FLUIDNPU_AT(drm_fluidnpu_info, va_start, 16);
FLUIDNPU_AT(drm_fluidnpu_info, va_bytes, 24);
FLUIDNPU_AT(drm_fluidnpu_info, geometry, 32);
FLUIDNPU_SIZE(drm_fluidnpu_info, 96);

FLUIDNPU_AT(drm_fluidnpu_counters, time, 0);
FLUIDNPU_AT(drm_fluidnpu_counters, values, 8);
FLUIDNPU_SIZE(drm_fluidnpu_counters, 360);

FLUIDNPU_AT(drm_fluidnpu_bo_create, size, 0);
FLUIDNPU_AT(drm_fluidnpu_bo_create, flags, 8);
FLUIDNPU_AT(drm_fluidnpu_bo_create, handle, 12);
FLUIDNPU_AT(drm_fluidnpu_bo_create, iova, 16);
FLUIDNPU_AT(drm_fluidnpu_bo_create, mmap_offset, 24);
FLUIDNPU_SIZE(drm_fluidnpu_bo_create, 32);

FLUIDNPU_AT(drm_fluidnpu_bo_info, handle, 0);
FLUIDNPU_AT(drm_fluidnpu_bo_info, pad, 4);
FLUIDNPU_AT(drm_fluidnpu_bo_info, size, 8);
FLUIDNPU_AT(drm_fluidnpu_bo_info, iova, 16);
FLUIDNPU_AT(drm_fluidnpu_bo_info, mmap_offset, 24);
FLUIDNPU_SIZE(drm_fluidnpu_bo_info, 32);

FLUIDNPU_AT(drm_fluidnpu_bo_wait, handle, 0);
FLUIDNPU_AT(drm_fluidnpu_bo_wait, pad, 4);
FLUIDNPU_AT(drm_fluidnpu_bo_wait, timeout_ns, 8);
FLUIDNPU_SIZE(drm_fluidnpu_bo_wait, 16);

FLUIDNPU_AT(drm_fluidnpu_ctx_create, priority, 0);
FLUIDNPU_AT(drm_fluidnpu_ctx_create, flags, 4);
FLUIDNPU_AT(drm_fluidnpu_ctx_create, event_handle, 8);
FLUIDNPU_AT(drm_fluidnpu_ctx_create, event_entries, 12);
FLUIDNPU_AT(drm_fluidnpu_ctx_create, ctx_id, 16);
FLUIDNPU_AT(drm_fluidnpu_ctx_create, pad, 20);
FLUIDNPU_SIZE(drm_fluidnpu_ctx_create, 24);

FLUIDNPU_AT(drm_fluidnpu_ctx_destroy, ctx_id, 0);
FLUIDNPU_AT(drm_fluidnpu_ctx_destroy, pad, 4);
FLUIDNPU_SIZE(drm_fluidnpu_ctx_destroy, 8);

FLUIDNPU_AT(drm_fluidnpu_event_ring, producer, 0);
FLUIDNPU_AT(drm_fluidnpu_event_ring, consumer, 4);
FLUIDNPU_AT(drm_fluidnpu_event_ring, entries, 8);
FLUIDNPU_AT(drm_fluidnpu_event_ring, reserved, 12);
FLUIDNPU_SIZE(drm_fluidnpu_event_ring, 64);

FLUIDNPU_AT(drm_fluidnpu_event, user_data, 0);
FLUIDNPU_AT(drm_fluidnpu_event, time, 8);
FLUIDNPU_AT(drm_fluidnpu_event, queued, 16);
FLUIDNPU_AT(drm_fluidnpu_event, started, 24);
FLUIDNPU_AT(drm_fluidnpu_event, error, 32);
FLUIDNPU_AT(drm_fluidnpu_event, type, 36);
FLUIDNPU_AT(drm_fluidnpu_event, exit_index, 37);
FLUIDNPU_AT(drm_fluidnpu_event, class_index, 38);
FLUIDNPU_AT(drm_fluidnpu_event, live_batch, 40);
FLUIDNPU_AT(drm_fluidnpu_event, layer, 42);
FLUIDNPU_AT(drm_fluidnpu_event, confidence, 44);
FLUIDNPU_AT(drm_fluidnpu_event, entropy, 48);
FLUIDNPU_AT(drm_fluidnpu_event, margin, 52);
FLUIDNPU_AT(drm_fluidnpu_event, reserved, 56);
FLUIDNPU_SIZE(drm_fluidnpu_event, 64);

FLUIDNPU_AT(drm_fluidnpu_array, stride, 0);
FLUIDNPU_AT(drm_fluidnpu_array, count, 4);
FLUIDNPU_AT(drm_fluidnpu_array, array, 8);
FLUIDNPU_SIZE(drm_fluidnpu_array, 16);

FLUIDNPU_AT(drm_fluidnpu_sample, user_data, 0);
FLUIDNPU_AT(drm_fluidnpu_sample, input_iova, 8);
FLUIDNPU_AT(drm_fluidnpu_sample, state_iova, 16);
FLUIDNPU_AT(drm_fluidnpu_sample, logits_iova, 24);
FLUIDNPU_AT(drm_fluidnpu_sample, start_layer, 32);
FLUIDNPU_AT(drm_fluidnpu_sample, exit_index, 36);
FLUIDNPU_SIZE(drm_fluidnpu_sample, 40);

FLUIDNPU_AT(drm_fluidnpu_job, program_iova, 0);
FLUIDNPU_AT(drm_fluidnpu_job, program_bytes, 8);
FLUIDNPU_AT(drm_fluidnpu_job, flags, 12);
FLUIDNPU_AT(drm_fluidnpu_job, samples, 16);
FLUIDNPU_AT(drm_fluidnpu_job, bos, 32);
FLUIDNPU_AT(drm_fluidnpu_job, user_data, 48);
FLUIDNPU_SIZE(drm_fluidnpu_job, 56);

FLUIDNPU_AT(drm_fluidnpu_sync, handle, 0);
FLUIDNPU_AT(drm_fluidnpu_sync, flags, 4);
FLUIDNPU_AT(drm_fluidnpu_sync, point, 8);
FLUIDNPU_SIZE(drm_fluidnpu_sync, 16);

FLUIDNPU_AT(drm_fluidnpu_submit, ctx_id, 0);
FLUIDNPU_AT(drm_fluidnpu_submit, flags, 4);
FLUIDNPU_AT(drm_fluidnpu_submit, jobs, 8);
FLUIDNPU_AT(drm_fluidnpu_submit, syncs, 24);
FLUIDNPU_SIZE(drm_fluidnpu_submit, 40);

FLUIDNPU_AT(drm_fluidnpu_uring_submit, ctx_id, 0);
FLUIDNPU_AT(drm_fluidnpu_uring_submit, flags, 4);
FLUIDNPU_AT(drm_fluidnpu_uring_submit, job, 8);
FLUIDNPU_AT(drm_fluidnpu_uring_submit, reserved, 64);
FLUIDNPU_SIZE(drm_fluidnpu_uring_submit, 72);

FLUIDNPU_AT(drm_fluidnpu_uring_ptr, pointer, 0);
FLUIDNPU_AT(drm_fluidnpu_uring_ptr, size, 8);
FLUIDNPU_AT(drm_fluidnpu_uring_ptr, pad, 12);
FLUIDNPU_SIZE(drm_fluidnpu_uring_ptr, 16);

#undef FLUIDNPU_AT
#undef FLUIDNPU_SIZE

#if defined(__cplusplus)
}
#endif

#endif /* _UAPI_FLUIDNPU_DRM_H */
