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
 * (one job, the CQE comes when the job has ended). INJECT submits jobs that join the
 * batch that runs instead of waiting for its end; YIELD asks for a job's
 * samples back at the next layer boundary, to go on with them later.
 *
 * Rules: reserved and pad fields are zero; unknown flags are refused with
 * EINVAL; times are CLOCK_MONOTONIC nanoseconds unless they are device times
 * (cycles of drm_fluidnpu_info.clock_hz).
 *
 * What a client can name belongs to its own file: handles, context ids, iovas and a
 * job's user_data. Nothing of another client can be addressed.
 *
 * Errors of calls: ENOENT no such handle, context or syncobj; EFAULT bad pointer;
 * EINVAL bad field (the kernel's debug log names it); E2BIG array or structure
 * larger than this kernel knows, or not zero where it knows nothing; EACCES no
 * right to that priority; EBUSY all address spaces of the device are in use;
 * ENOSPC no iova or context id left; ENOBUFS no room in the event ring; ENOMEM, also for
 * a client or all of them that reach the limit of BO memory; EBADF not an eventfd;
 * EINTR a signal came, call again; ETIMEDOUT BO_WAIT's time has passed; EIO the
 * context is banned, as it is after its third job that timed out, the file gets no further
 * context after its third that was banned, or the device is dead; ENODEV device gone.
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
#define FLUIDNPU_ABI_MINOR		1

#define DRM_FLUIDNPU_DEV_QUERY		0x00
#define DRM_FLUIDNPU_BO_CREATE		0x01
#define DRM_FLUIDNPU_BO_INFO		0x02
#define DRM_FLUIDNPU_BO_WAIT		0x03
#define DRM_FLUIDNPU_CTX_CREATE		0x04
#define DRM_FLUIDNPU_CTX_DESTROY	0x05
#define DRM_FLUIDNPU_SUBMIT		0x06
#define DRM_FLUIDNPU_INJECT		0x07
#define DRM_FLUIDNPU_YIELD		0x08
#define DRM_FLUIDNPU_EVENTS		0x09
#define DRM_FLUIDNPU_PERF		0x0a

/** enum drm_fluidnpu_query - what DEV_QUERY can tell */
enum drm_fluidnpu_query {
	DRM_FLUIDNPU_QUERY_INFO = 0,		/* struct drm_fluidnpu_info */
	DRM_FLUIDNPU_QUERY_COUNTERS = 1,	/* struct drm_fluidnpu_counters */
	DRM_FLUIDNPU_QUERY_QUEUES = 2,		/* struct drm_fluidnpu_queue_info[num_queues] */
	DRM_FLUIDNPU_QUERY_QUEUE_COUNTERS = 3,	/* struct drm_fluidnpu_counters[num_queues] */
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
 * @va_start: first iova
 * @va_bytes: that can be mapped from there on
 * @geometry: of the NPU
 * @abi_version: of this interface, FLUIDNPU_ABI_MAJOR << 16 | FLUIDNPU_ABI_MINOR
 * @num_queues: that serve contexts, see DRM_FLUIDNPU_QUERY_QUEUES
 * @max_job_bos: BOs that a job can name
 * @max_syncs: per SUBMIT
 * @max_contexts: per file
 * @coalesce_ns: how much later than its cause an event can be seen at most, because
 *	many jobs share an interrupt; 0: at once
 * @memory_bytes: limit of what one client may take: BOs that it creates, and what the kernel keeps
 *	for it, page tables, contexts and jobs
 */
struct drm_fluidnpu_info {
	__u32 hw_version;
	__u32 features;
	__u32 clock_hz;
	__u32 max_jobs;
	__u64 va_start;
	__u64 va_bytes;
	struct fluidnpu_hw_geometry geometry;
	__u32 abi_version;
	__u32 num_queues;
	__u32 max_job_bos;
	__u32 max_syncs;
	__u32 max_contexts;
	__u32 coalesce_ns;
	__u64 memory_bytes;
};

/**
 * struct drm_fluidnpu_queue_info - a queue of the device
 * @priorities: bit mask of the enum drm_fluidnpu_priority that it serves
 * @max_jobs: that it takes at a time; the others wait in the kernel
 * @reserved: 0
 */
struct drm_fluidnpu_queue_info {
	__u32 priorities;
	__u32 max_jobs;
	__u32 reserved[2];
};

/**
 * struct drm_fluidnpu_counters - the counters of the device or of a queue
 * @time: device time of the reading, cycles; of a device that sleeps: when it began to
 * @values: indexed by enum fluidnpu_counter. They only grow: the driver adds up what
 *	they were before a reset or a sleep of the device
 */
struct drm_fluidnpu_counters {
	__u64 time;
	__u64 values[FLUIDNPU_CNT_NUM];
};

/* The NPU may only read it, in whichever client's jobs; CPUs and the kernel may write. */
#define DRM_FLUIDNPU_BO_READONLY	(1u << 0)

/**
 * struct drm_fluidnpu_bo_create - BO_CREATE
 * @size: in: bytes, not 0; out: rounded up to pages. All of them are taken at
 *	once, stay in memory and count against the client's limit until they are freed,
 *	even if others hold the BO longer than the client. So do page tables,
 *	and 4 KiB for each BO that the client has a handle of, imported ones too
 * @flags: DRM_FLUIDNPU_BO_*
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
 * @flags: in: 0; out: DRM_FLUIDNPU_BO_*. A buffer that was imported is READONLY if its
 *	dma-buf was exported without the right to write; mmap() of the device file does
 *	not write to it either
 * @size: out, as of BO_CREATE
 * @iova: out, as of BO_CREATE
 * @mmap_offset: out, as of BO_CREATE, but 0 for an imported buffer: map the dma-buf itself
 */
struct drm_fluidnpu_bo_info {
	__u32 handle;
	__u32 flags;
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
 * @DRM_FLUIDNPU_PRIORITY_LOW: lowest
 * @DRM_FLUIDNPU_PRIORITY_NORMAL: the highest that needs no right
 * @DRM_FLUIDNPU_PRIORITY_HIGH: needs CAP_SYS_NICE
 * @DRM_FLUIDNPU_PRIORITY_REALTIME: needs CAP_SYS_NICE
 *
 * A higher one preempts at layer boundaries for as long as it has jobs: a lower one
 * can wait forever. On a device with fewer queues than priorities neighbours are one.
 */
enum drm_fluidnpu_priority {
	DRM_FLUIDNPU_PRIORITY_LOW = 0,
	DRM_FLUIDNPU_PRIORITY_NORMAL = 1,
	DRM_FLUIDNPU_PRIORITY_HIGH = 2,
	DRM_FLUIDNPU_PRIORITY_REALTIME = 3,
};

/**
 * struct drm_fluidnpu_ctx_create - CTX_CREATE
 * @priority: enum drm_fluidnpu_priority
 * @flags: 0
 * @event_handle: BO for the event ring, at least DRM_FLUIDNPU_EVENT_RING_BYTES(@event_entries);
 *	its contents are reset. An imported BO is refused. A READONLY one will do: the
 *	kernel writes the events, not the NPU
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
 * @reserved: 0
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
#define DRM_FLUIDNPU_EVENT_YIELD	FLUIDNPU_CQE_YIELD	/* a sample was handed back */

/**
 * struct drm_fluidnpu_event - entry of an event ring
 * @user_data: of the sample (EXIT, HEAD, YIELD) or the job (JOB)
 * @time: device time of the event, 0 for a job that the device did not end
 * @queued: device time when the job reached the device, 0 if it did not say
 * @started: device time when the job's first layer started, likewise
 * @error: 0 or a negative errno (JOB)
 * @type: DRM_FLUIDNPU_EVENT_*
 * @exit_index: EXIT, HEAD
 * @class_index: EXIT, HEAD: top-1 class
 * @live_batch: samples that ran together when it happened
 * @layer: at which it happened; YIELD: start_layer for the sample to go on
 * @confidence: binary32 bits, see struct fluidnpu_hw_cqe
 * @entropy: likewise
 * @margin: likewise
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
 * @input_iova: as in struct fluidnpu_hw_sample
 * @state_iova: likewise
 * @logits_iova: likewise
 * @start_layer: the same for all samples of a job
 * @exit_index: as in struct fluidnpu_hw_sample
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
#define DRM_FLUIDNPU_JOB_NOP		(1u << 1)	/* no program, no samples: a mark in the order */

/**
 * struct drm_fluidnpu_job - one job
 * @program_iova: struct fluidnpu_hw_program, 64-byte aligned (NOP: 0)
 * @program_bytes: that the device may read there (NOP: 0)
 * @flags: DRM_FLUIDNPU_JOB_*; NOP stands alone and is not for INJECT
 * @samples: of struct drm_fluidnpu_sample, 1..max_batch (NOP: none)
 * @bos: of __u32: GEM handles of all BOs that the job uses (at most 64): they
 *	stay alive and busy until it has ended. Those that are shared through dma-buf
 *	are waited for and marked as written, READONLY ones as read; otherwise only
 *	syncobjs synchronise
 * @user_data: returned in its JOB event; YIELD finds the job by it
 * @stop_layer: a sample that gets there without having left is handed back, with an event YIELD,
 *	at the first boundary of layers there or behind it, as by a YIELD, and the others go on;
 *	0: none (NOP: 0). One behind the last layer takes no effect
 * @pad: 0
 */
struct drm_fluidnpu_job {
	__u64 program_iova;
	__u32 program_bytes;
	__u32 flags;
	struct drm_fluidnpu_array samples;
	struct drm_fluidnpu_array bos;
	__u64 user_data;
	__u32 stop_layer;
	__u32 pad;
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
 * struct drm_fluidnpu_submit - SUBMIT and INJECT: all jobs or none
 *
 * A job of INJECT joins the batch that the context's queue runs, at the next layer
 * boundary, if that is of the same program and file and has reached the
 * job's start_layer (see FLUIDNPU_OP_INJECT); otherwise it waits for its turn
 * and runs like one of SUBMIT. It does not overtake jobs that were submitted before it, but it
 * can end before them. Events tell of that at once; fences and the CQEs of SUBMIT and INJECT come
 * in the order of the context's jobs.
 *
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

/**
 * struct drm_fluidnpu_yield - YIELD: hand the samples of a job back
 * @ctx_id: context
 * @flags: 0
 * @user_data: of the job; if several in the context have it, the oldest
 *
 * Does not wait. At the next layer boundary the job ends, without error: an
 * event YIELD for each sample that has not left, then JOB. Its state_iova holds what the sample
 * needs to go on from the event's layer. A job that the device has not got yet
 * ends without it. A YIELD keeps its place behind the jobs of its queue, so it comes
 * too late to matter if others wait there. ENOENT: no such job, or it has ended.
 */
struct drm_fluidnpu_yield {
	__u32 ctx_id;
	__u32 flags;
	__u64 user_data;
};

/**
 * struct drm_fluidnpu_events - EVENTS: who else is told of a context's events
 * @ctx_id: context
 * @flags: 0
 * @eventfd: file descriptor of an eventfd that counts up with each event, in place of the
 *	one before; -1: none
 * @pad: 0
 */
struct drm_fluidnpu_events {
	__u32 ctx_id;
	__u32 flags;
	__s32 eventfd;
	__u32 pad;
};

/**
 * struct drm_fluidnpu_perf - PERF: what the client has used
 * @ctx_id: in: context; 0: the file, with its contexts of the past
 * @flags: 0
 * @time: out: device time of the reading
 * @jobs: accepted
 * @jobs_ended: of these, whatever their error
 * @job_errors: of these
 * @injects: jobs accepted by INJECT
 * @samples: in jobs accepted
 * @yields: samples handed back
 * @busy_cycles: device time from a job's start to its end, added up; jobs that share a
 *	batch count it each
 * @wait_cycles: from a job's arrival at the device to its start, added up
 * @memory_bytes: of the file's BOs, now
 * @exits: samples that left, per exit
 */
struct drm_fluidnpu_perf {
	__u32 ctx_id;
	__u32 flags;
	__u64 time;
	__u64 jobs;
	__u64 jobs_ended;
	__u64 job_errors;
	__u64 injects;
	__u64 samples;
	__u64 yields;
	__u64 busy_cycles;
	__u64 wait_cycles;
	__u64 memory_bytes;
	__u64 exits[FLUIDNPU_MAX_EXITS];
};

/*
 * io_uring commands (IORING_OP_URING_CMD, sqe->cmd_op). res of the CQE is 0 or a
 * negative errno. What the ioctl would refuse completes at once with the
 * same errno, an unknown cmd_op with ENOTTY. When the ring goes, or the process that
 * sent them calls exec, commands end with ECANCELED and their jobs run on; the end of a thread
 * or a process that shares the ring does not end them. IORING_OP_ASYNC_CANCEL does
 * not reach them, FLUIDNPU_URING_CANCEL does.
 *
 * SUBMIT, INJECT: struct drm_fluidnpu_uring_submit in the sqe's command area; needs a ring
 * with IORING_SETUP_SQE128. The CQE comes when the job has ended; with CQE32
 * big_cqe[0] is the device time of its end, or 0.
 * SUBMIT_PTR, INJECT_PTR: the same by struct drm_fluidnpu_uring_ptr, for any ring.
 * YIELD: struct drm_fluidnpu_yield, for any ring. Completes at once.
 * WAIT: struct drm_fluidnpu_uring_wait, for any ring. Completes when the events are there; with
 * CQE32 big_cqe[0] is the ring's producer then. ENODEV when the device is gone
 * and they cannot come any more, ENOENT when the context is destroyed first, ENOBUFS when 256
 * of them wait in the context already.
 * CANCEL: struct drm_fluidnpu_yield, for any ring: SUBMITs and INJECTs of the context in flight
 * whose job has this user_data, and WAITs that have it, end with ECANCELED; the jobs run
 * on. Completes at once with the number of them, or ENOENT.
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

/**
 * struct drm_fluidnpu_uring_wait - until events have come
 * @ctx_id: context
 * @count: how many, 1..entries of its ring
 * @producer: counted from here: struct drm_fluidnpu_event_ring.producer as last seen
 * @user_data_lo: for CANCEL, lower half of its user_data; the upper one is 0
 */
struct drm_fluidnpu_uring_wait {
	__u32 ctx_id;
	__u32 count;
	__u32 producer;
	__u32 user_data_lo;
};

#define FLUIDNPU_URING_SUBMIT		_IOW('F', 0x00, struct drm_fluidnpu_uring_submit)
#define FLUIDNPU_URING_SUBMIT_PTR	_IOW('F', 0x01, struct drm_fluidnpu_uring_ptr)
#define FLUIDNPU_URING_INJECT		_IOW('F', 0x02, struct drm_fluidnpu_uring_submit)
#define FLUIDNPU_URING_INJECT_PTR	_IOW('F', 0x03, struct drm_fluidnpu_uring_ptr)
#define FLUIDNPU_URING_YIELD		_IOW('F', 0x04, struct drm_fluidnpu_yield)
#define FLUIDNPU_URING_WAIT		_IOW('F', 0x05, struct drm_fluidnpu_uring_wait)
#define FLUIDNPU_URING_CANCEL		_IOW('F', 0x06, struct drm_fluidnpu_yield)

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
#define DRM_IOCTL_FLUIDNPU_INJECT \
	DRM_IOW(DRM_COMMAND_BASE + DRM_FLUIDNPU_INJECT, struct drm_fluidnpu_submit)
#define DRM_IOCTL_FLUIDNPU_YIELD \
	DRM_IOW(DRM_COMMAND_BASE + DRM_FLUIDNPU_YIELD, struct drm_fluidnpu_yield)
#define DRM_IOCTL_FLUIDNPU_EVENTS \
	DRM_IOW(DRM_COMMAND_BASE + DRM_FLUIDNPU_EVENTS, struct drm_fluidnpu_events)
#define DRM_IOCTL_FLUIDNPU_PERF \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_FLUIDNPU_PERF, struct drm_fluidnpu_perf)

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
FLUIDNPU_AT(drm_fluidnpu_info, abi_version, 96);
FLUIDNPU_AT(drm_fluidnpu_info, num_queues, 100);
FLUIDNPU_AT(drm_fluidnpu_info, max_job_bos, 104);
FLUIDNPU_AT(drm_fluidnpu_info, max_syncs, 108);
FLUIDNPU_AT(drm_fluidnpu_info, max_contexts, 112);
FLUIDNPU_AT(drm_fluidnpu_info, coalesce_ns, 116);
FLUIDNPU_AT(drm_fluidnpu_info, memory_bytes, 120);
FLUIDNPU_SIZE(drm_fluidnpu_info, 128);

FLUIDNPU_AT(drm_fluidnpu_queue_info, priorities, 0);
FLUIDNPU_AT(drm_fluidnpu_queue_info, max_jobs, 4);
FLUIDNPU_AT(drm_fluidnpu_queue_info, reserved, 8);
FLUIDNPU_SIZE(drm_fluidnpu_queue_info, 16);

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
FLUIDNPU_AT(drm_fluidnpu_bo_info, flags, 4);
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
FLUIDNPU_AT(drm_fluidnpu_job, stop_layer, 56);
FLUIDNPU_AT(drm_fluidnpu_job, pad, 60);
FLUIDNPU_SIZE(drm_fluidnpu_job, 64);

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
FLUIDNPU_AT(drm_fluidnpu_uring_submit, reserved, 72);
FLUIDNPU_SIZE(drm_fluidnpu_uring_submit, 80);

FLUIDNPU_AT(drm_fluidnpu_uring_ptr, pointer, 0);
FLUIDNPU_AT(drm_fluidnpu_uring_ptr, size, 8);
FLUIDNPU_AT(drm_fluidnpu_uring_ptr, pad, 12);
FLUIDNPU_SIZE(drm_fluidnpu_uring_ptr, 16);

FLUIDNPU_AT(drm_fluidnpu_uring_wait, ctx_id, 0);
FLUIDNPU_AT(drm_fluidnpu_uring_wait, count, 4);
FLUIDNPU_AT(drm_fluidnpu_uring_wait, producer, 8);
FLUIDNPU_AT(drm_fluidnpu_uring_wait, user_data_lo, 12);
FLUIDNPU_SIZE(drm_fluidnpu_uring_wait, 16);

FLUIDNPU_AT(drm_fluidnpu_yield, ctx_id, 0);
FLUIDNPU_AT(drm_fluidnpu_yield, flags, 4);
FLUIDNPU_AT(drm_fluidnpu_yield, user_data, 8);
FLUIDNPU_SIZE(drm_fluidnpu_yield, 16);

FLUIDNPU_AT(drm_fluidnpu_events, ctx_id, 0);
FLUIDNPU_AT(drm_fluidnpu_events, flags, 4);
FLUIDNPU_AT(drm_fluidnpu_events, eventfd, 8);
FLUIDNPU_AT(drm_fluidnpu_events, pad, 12);
FLUIDNPU_SIZE(drm_fluidnpu_events, 16);

FLUIDNPU_AT(drm_fluidnpu_perf, ctx_id, 0);
FLUIDNPU_AT(drm_fluidnpu_perf, flags, 4);
FLUIDNPU_AT(drm_fluidnpu_perf, time, 8);
FLUIDNPU_AT(drm_fluidnpu_perf, jobs, 16);
FLUIDNPU_AT(drm_fluidnpu_perf, jobs_ended, 24);
FLUIDNPU_AT(drm_fluidnpu_perf, job_errors, 32);
FLUIDNPU_AT(drm_fluidnpu_perf, injects, 40);
FLUIDNPU_AT(drm_fluidnpu_perf, samples, 48);
FLUIDNPU_AT(drm_fluidnpu_perf, yields, 56);
FLUIDNPU_AT(drm_fluidnpu_perf, busy_cycles, 64);
FLUIDNPU_AT(drm_fluidnpu_perf, wait_cycles, 72);
FLUIDNPU_AT(drm_fluidnpu_perf, memory_bytes, 80);
FLUIDNPU_AT(drm_fluidnpu_perf, exits, 88);
FLUIDNPU_SIZE(drm_fluidnpu_perf, 152);

#undef FLUIDNPU_AT
#undef FLUIDNPU_SIZE

#if defined(__cplusplus)
}
#endif

#endif /* _UAPI_FLUIDNPU_DRM_H */
