/* SPDX-License-Identifier: MIT */
/*
 * field_cases.h - the table of test_fields: each call of the driver, and each value of each
 * field that it must refuse.
 */
#ifndef FNPU_TESTS_FIELD_CASES_H
#define FNPU_TESTS_FIELD_CASES_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include "fluidnpu_drm.h"

/* An element as a later user space would pass it, longer than this kernel knows. */
#define LONGER(type)		\
	struct {                                                                                   \
		type known;                                                                        \
		uint64_t later;                                                                    \
	}

/* Arguments of all calls; jobs, samples, bos and syncs are what SUBMIT and its like point to. */
struct frame {
	struct drm_fluidnpu_dev_query dev_query;
	struct drm_fluidnpu_info info;
	struct drm_fluidnpu_bo_create bo_create;
	struct drm_fluidnpu_bo_info bo_info;
	struct drm_fluidnpu_bo_wait bo_wait;
	struct drm_fluidnpu_ctx_create ctx_create;
	struct drm_fluidnpu_ctx_destroy ctx_destroy;
	struct drm_fluidnpu_submit submit;
	LONGER(struct drm_fluidnpu_job) jobs[2];
	LONGER(struct drm_fluidnpu_sample) samples[2];
	LONGER(uint32_t) bos[2];
	LONGER(struct drm_fluidnpu_sync) syncs[2];
	LONGER(struct drm_fluidnpu_uring_submit) uring_submit;
	struct drm_fluidnpu_uring_ptr uring_ptr;
	struct drm_fluidnpu_yield yield;
	struct drm_fluidnpu_events events;
	struct drm_fluidnpu_perf perf;
	struct drm_fluidnpu_uring_wait uring_wait;
};

enum way { WAY_IOCTL, WAY_IOCTL_AS_USER, WAY_RING, WAY_RING128 };

struct call {
	const char *name;
	enum way way;
	unsigned long request;
	size_t offset, size; /* of the arguments in the frame */
};

enum call_index {
	DEV_QUERY,
	BO_CREATE,
	BO_INFO,
	BO_WAIT,
	CTX_CREATE,
	CTX_CREATE_AS_USER,
	CTX_DESTROY,
	SUBMIT,
	SUBMIT_NOP, /* its first job is one */
	INJECT,
	YIELD,
	EVENTS,
	PERF,
	URING_SUBMIT,
	URING_SUBMIT_PTR,
	URING_INJECT,
	URING_INJECT_PTR,
	URING_WAIT,
	URING_CANCEL,
};

#define CALL(name, way, request, member)                                                           \
	{                                                                                          \
		#name, way, request, offsetof(struct frame, member),                               \
			sizeof(((struct frame *)0)->member)                                        \
	}

static const struct call calls[] = {
	[DEV_QUERY] = CALL(DEV_QUERY, WAY_IOCTL, DRM_IOCTL_FLUIDNPU_DEV_QUERY, dev_query),
	[BO_CREATE] = CALL(BO_CREATE, WAY_IOCTL, DRM_IOCTL_FLUIDNPU_BO_CREATE, bo_create),
	[BO_INFO] = CALL(BO_INFO, WAY_IOCTL, DRM_IOCTL_FLUIDNPU_BO_INFO, bo_info),
	[BO_WAIT] = CALL(BO_WAIT, WAY_IOCTL, DRM_IOCTL_FLUIDNPU_BO_WAIT, bo_wait),
	[CTX_CREATE] = CALL(CTX_CREATE, WAY_IOCTL, DRM_IOCTL_FLUIDNPU_CTX_CREATE, ctx_create),
	[CTX_CREATE_AS_USER] = CALL(CTX_CREATE as a user, WAY_IOCTL_AS_USER,
				    DRM_IOCTL_FLUIDNPU_CTX_CREATE, ctx_create),
	[CTX_DESTROY] = CALL(CTX_DESTROY, WAY_IOCTL, DRM_IOCTL_FLUIDNPU_CTX_DESTROY, ctx_destroy),
	[SUBMIT] = CALL(SUBMIT, WAY_IOCTL, DRM_IOCTL_FLUIDNPU_SUBMIT, submit),
	[SUBMIT_NOP] = CALL(SUBMIT of a NOP, WAY_IOCTL, DRM_IOCTL_FLUIDNPU_SUBMIT, submit),
	[INJECT] = CALL(INJECT, WAY_IOCTL, DRM_IOCTL_FLUIDNPU_INJECT, submit),
	[YIELD] = CALL(YIELD, WAY_IOCTL, DRM_IOCTL_FLUIDNPU_YIELD, yield),
	[EVENTS] = CALL(EVENTS, WAY_IOCTL, DRM_IOCTL_FLUIDNPU_EVENTS, events),
	[PERF] = CALL(PERF, WAY_IOCTL, DRM_IOCTL_FLUIDNPU_PERF, perf),
	[URING_SUBMIT] = CALL(URING_SUBMIT, WAY_RING128, FLUIDNPU_URING_SUBMIT, uring_submit.known),
	[URING_SUBMIT_PTR] = CALL(URING_SUBMIT_PTR, WAY_RING, FLUIDNPU_URING_SUBMIT_PTR, uring_ptr),
	[URING_INJECT] = CALL(URING_INJECT, WAY_RING128, FLUIDNPU_URING_INJECT, uring_submit.known),
	[URING_INJECT_PTR] = CALL(URING_INJECT_PTR, WAY_RING, FLUIDNPU_URING_INJECT_PTR, uring_ptr),
	[URING_WAIT] = CALL(URING_WAIT, WAY_RING, FLUIDNPU_URING_WAIT, uring_wait),
	[URING_CANCEL] = CALL(URING_CANCEL, WAY_RING, FLUIDNPU_URING_CANCEL, yield),
};

/* Of the ring that the frame's CTX_CREATE makes. */
#define RING_ENTRIES 64

/* Values that are known only when the tests run. */
#define DYNAMIC 0xd1d1d1d100000000ull
enum dynamic {
	DYN_CLOSED_HANDLE,
	DYN_SMALL_BO,
	DYN_IMPORTED_BO,
	DYN_DESTROYED_CTX,
	DYN_DESTROYED_SYNCOBJ,
	DYN_EMPTY_SYNCOBJ,
	DYN_NOT_AN_EVENTFD,
	DYN_HALF_MAPPED, /* a pointer: the first element can be read, the second cannot */
	NUM_DYNAMIC,
};
#define CLOSED_HANDLE (DYNAMIC + DYN_CLOSED_HANDLE)
#define SMALL_BO (DYNAMIC + DYN_SMALL_BO)
#define IMPORTED_BO (DYNAMIC + DYN_IMPORTED_BO)
#define DESTROYED_CTX (DYNAMIC + DYN_DESTROYED_CTX)
#define DESTROYED_SYNCOBJ (DYNAMIC + DYN_DESTROYED_SYNCOBJ)
#define EMPTY_SYNCOBJ (DYNAMIC + DYN_EMPTY_SYNCOBJ)
#define NOT_AN_EVENTFD (DYNAMIC + DYN_NOT_AN_EVENTFD)
#define HALF_MAPPED (DYNAMIC + DYN_HALF_MAPPED)

#define UNMAPPED_POINTER 16
#define KERNEL_POINTER 0xffff888000000000ull
#define LAST_POINTER (UINT64_MAX - 7)

struct field_case {
	enum call_index call;
	const char *field, *what;
	size_t offset, size;
	uint64_t value;
	int error;
};

/* @member of struct drm_fluidnpu_@type, which is @at in the frame. */
#define FIELD(call, type, at, member, value, error)                                                \
	{                                                                                          \
		call, #type "." #member, #value, offsetof(struct frame, at.member),                \
			sizeof(((struct frame *)0)->at.member), value, error                       \
	}

/* The frame of an array @count elements of which must be readable. */
#define POINTER_CASES(call, type, at, member)                                                      \
	FIELD(call, type, at, member.array, 0, EFAULT),                                            \
	FIELD(call, type, at, member.array, UNMAPPED_POINTER, EFAULT),                             \
	FIELD(call, type, at, member.array, KERNEL_POINTER, EFAULT),                               \
	FIELD(call, type, at, member.array, LAST_POINTER, EFAULT),                                 \
	FIELD(call, type, at, member.array, HALF_MAPPED, EFAULT)

#define STRIDE_CASES(call, type, at, member, size)                                                 \
	FIELD(call, type, at, member.stride, 0, EINVAL),                                           \
	FIELD(call, type, at, member.stride, (size) - 1, EINVAL),                                  \
	FIELD(call, type, at, member.stride, 1025, E2BIG),                                         \
	FIELD(call, type, at, member.stride, 1u << 31, E2BIG),                                     \
	FIELD(call, type, at, member.stride, UINT32_MAX, E2BIG)

#define COUNT_CASES(call, type, at, member, max)                                                   \
	FIELD(call, type, at, member.count, (max) + 1, E2BIG),                                     \
	FIELD(call, type, at, member.count, 1u << 31, E2BIG),                                      \
	FIELD(call, type, at, member.count, UINT32_MAX, E2BIG)

#define JOB(call, member, value, error)                                                            \
	FIELD(call, job[0], jobs[0].known, member, value, error)

/* What a job holds and points to, through one of the ways in. */
#define JOB_CASES(call)                                                                            \
	JOB(call, program_iova, 0, EINVAL),                                                        \
	JOB(call, program_iova, 64, EINVAL),                                                       \
	JOB(call, program_iova, (1u << 20) + 32, EINVAL),                                          \
	JOB(call, program_iova, 1ull << FLUIDNPU_VA_BITS, EINVAL),                                 \
	JOB(call, program_iova, KERNEL_POINTER, EINVAL),                                           \
	JOB(call, program_iova, UINT64_MAX - 63, EINVAL),                                          \
	JOB(call, program_bytes, 0, EINVAL),                                                       \
	JOB(call, program_bytes, sizeof(struct fluidnpu_hw_program) - 1, EINVAL),                  \
	JOB(call, flags, 4, EINVAL),                                                               \
	JOB(call, flags, 1u << 31, EINVAL),                                                        \
	JOB(call, flags, UINT32_MAX, EINVAL),                                                      \
	JOB(call, flags, DRM_FLUIDNPU_JOB_NOP, EINVAL),                                            \
	JOB(call, flags, DRM_FLUIDNPU_JOB_NOP | DRM_FLUIDNPU_JOB_NO_EXIT, EINVAL),                 \
	JOB(call, pad, 1, EINVAL),                                                                 \
	JOB(call, pad, 1u << 31, EINVAL),                                                          \
	JOB(call, samples.count, 0, EINVAL),                                                       \
	COUNT_CASES(call, job, jobs[0].known, samples, FLUIDNPU_MAX_BATCH),                        \
	STRIDE_CASES(call, job, jobs[0].known, samples, sizeof(struct drm_fluidnpu_sample)),       \
	POINTER_CASES(call, job, jobs[0].known, samples),                                          \
	COUNT_CASES(call, job, jobs[0].known, bos, 64),                                            \
	STRIDE_CASES(call, job, jobs[0].known, bos, sizeof(uint32_t)),                             \
	POINTER_CASES(call, job, jobs[0].known, bos),                                              \
	FIELD(call, bo[1], bos[1], known, 0, ENOENT),                                              \
	FIELD(call, bo[1], bos[1], known, UINT32_MAX, ENOENT),                                     \
	FIELD(call, bo[1], bos[1], known, CLOSED_HANDLE, ENOENT),                                  \
	FIELD(call, bo[1], bos[1], later, 1, E2BIG),                                               \
	FIELD(call, sample[0], samples[0].known, start_layer, 1, EINVAL),                          \
	FIELD(call, sample[0], samples[0].known, start_layer, FLUIDNPU_MAX_LAYERS, EINVAL),        \
	FIELD(call, sample[1], samples[1].known, start_layer, 1, EINVAL),                          \
	FIELD(call, sample[1], samples[1].known, start_layer, UINT32_MAX, EINVAL),                 \
	FIELD(call, sample[0], samples[0].known, exit_index, FLUIDNPU_MAX_EXITS, EINVAL),          \
	FIELD(call, sample[1], samples[1].known, exit_index, UINT32_MAX, EINVAL),                  \
	FIELD(call, sample[1], samples[1], later, 1, E2BIG),                                       \
	FIELD(call, sample[1], samples[1], later, 1ull << 63, E2BIG)

#define SYNC(call, i, member, value, error)                                                        \
	FIELD(call, sync[i], syncs[i].known, member, value, error)

/* SUBMIT and INJECT by ioctl */
#define SUBMIT_CASES(call)                                                                         \
	FIELD(call, submit, submit, ctx_id, 0, ENOENT),                                            \
	FIELD(call, submit, submit, ctx_id, 12345, ENOENT),                                        \
	FIELD(call, submit, submit, ctx_id, UINT32_MAX, ENOENT),                                   \
	FIELD(call, submit, submit, ctx_id, DESTROYED_CTX, ENOENT),                                \
	FIELD(call, submit, submit, flags, 1, EINVAL),                                             \
	FIELD(call, submit, submit, flags, 1u << 31, EINVAL),                                      \
	FIELD(call, submit, submit, jobs.count, 0, EINVAL),                                        \
	COUNT_CASES(call, submit, submit, jobs, 64),                                               \
	STRIDE_CASES(call, submit, submit, jobs, sizeof(struct drm_fluidnpu_job)),                 \
	POINTER_CASES(call, submit, submit, jobs),                                                 \
	COUNT_CASES(call, submit, submit, syncs, 64),                                              \
	STRIDE_CASES(call, submit, submit, syncs, sizeof(struct drm_fluidnpu_sync)),               \
	POINTER_CASES(call, submit, submit, syncs),                                                \
	SYNC(call, 0, handle, 0, ENOENT),                                                          \
	SYNC(call, 0, handle, UINT32_MAX, ENOENT),                                                 \
	SYNC(call, 0, handle, DESTROYED_SYNCOBJ, ENOENT),                                          \
	SYNC(call, 0, handle, EMPTY_SYNCOBJ, EINVAL),                                              \
	SYNC(call, 0, point, 5, EINVAL),                                                           \
	SYNC(call, 0, flags, 2, EINVAL),                                                           \
	SYNC(call, 1, handle, 0, ENOENT),                                                          \
	SYNC(call, 1, handle, UINT32_MAX, ENOENT),                                                 \
	SYNC(call, 1, handle, DESTROYED_SYNCOBJ, ENOENT),                                          \
	SYNC(call, 1, flags, DRM_FLUIDNPU_SYNC_WAIT, EINVAL),                                      \
	SYNC(call, 1, flags, 1u << 31, EINVAL),                                                    \
	FIELD(call, sync[1], syncs[1], later, 1, E2BIG),                                           \
	FIELD(call, job[0], jobs[0], later, 1, E2BIG),                                             \
	/* of the second job, when the first one is prepared */                                    \
	FIELD(call, job[1], jobs[1], later, 1, E2BIG),                                             \
	FIELD(call, job[1], jobs[1].known, flags, 4, EINVAL),                                      \
	FIELD(call, job[1], jobs[1].known, samples.count, 0, EINVAL),                              \
	FIELD(call, job[1], jobs[1].known, bos.array, UNMAPPED_POINTER, EFAULT),                   \
	JOB_CASES(call)

#define URING(call, member, value, error)                                                          \
	FIELD(call, uring_submit, uring_submit.known, member, value, error)

#define URING_CASES(call)                                                                          \
	URING(call, ctx_id, 0, ENOENT),                                                            \
	URING(call, ctx_id, UINT32_MAX, ENOENT),                                                   \
	URING(call, ctx_id, DESTROYED_CTX, ENOENT),                                                \
	URING(call, flags, 1, EINVAL),                                                             \
	URING(call, flags, 1u << 31, EINVAL),                                                      \
	URING(call, reserved, 1, EINVAL),                                                          \
	URING(call, reserved, 1ull << 63, EINVAL),                                                 \
	JOB_CASES(call)

#define PTR(call, member, value, error)                                                            \
	FIELD(call, uring_ptr, uring_ptr, member, value, error)

#define URING_PTR_CASES(call)                                                                      \
	PTR(call, pointer, 0, EFAULT),                                                             \
	PTR(call, pointer, UNMAPPED_POINTER, EFAULT),                                              \
	PTR(call, pointer, KERNEL_POINTER, EFAULT),                                                \
	PTR(call, pointer, LAST_POINTER, EFAULT),                                                  \
	PTR(call, size, 0, EINVAL),                                                                \
	PTR(call, size, sizeof(struct drm_fluidnpu_uring_submit) - 1, EINVAL),                     \
	PTR(call, size, 1025, E2BIG),                                                              \
	PTR(call, size, UINT32_MAX, E2BIG),                                                        \
	PTR(call, pad, 1, EINVAL),                                                                 \
	PTR(call, pad, 1u << 31, EINVAL),                                                          \
	FIELD(call, uring_submit, uring_submit, later, 1, E2BIG),                                  \
	URING_CASES(call)

#define CTX_ID_CASES(call, type)                                                                   \
	FIELD(call, type, type, ctx_id, 12345, ENOENT),                                            \
	FIELD(call, type, type, ctx_id, UINT32_MAX, ENOENT),                                       \
	FIELD(call, type, type, ctx_id, DESTROYED_CTX, ENOENT)

#define FLAGS_CASES(call, type)                                                                    \
	FIELD(call, type, type, flags, 1, EINVAL),                                                 \
	FIELD(call, type, type, flags, 1u << 31, EINVAL)

/* YIELD, and CANCEL by ring; no job is in flight */
#define YIELD_CASES(call)                                                                          \
	CTX_ID_CASES(call, yield),                                                                 \
	FIELD(call, yield, yield, ctx_id, 0, ENOENT),                                              \
	FLAGS_CASES(call, yield),                                                                  \
	FIELD(call, yield, yield, user_data, 12345, ENOENT),                                       \
	FIELD(call, yield, yield, user_data, UINT64_MAX, ENOENT)

#define DEV_QUERY_FIELD(member, value, error)                                                      \
	FIELD(DEV_QUERY, dev_query, dev_query, member, value, error)
#define BO_CREATE_FIELD(member, value, error)                                                      \
	FIELD(BO_CREATE, bo_create, bo_create, member, value, error)
#define BO_INFO_FIELD(member, value, error)                                                        \
	FIELD(BO_INFO, bo_info, bo_info, member, value, error)
#define BO_WAIT_FIELD(member, value, error)                                                        \
	FIELD(BO_WAIT, bo_wait, bo_wait, member, value, error)
#define CTX_CREATE_FIELD(member, value, error)                                                     \
	FIELD(CTX_CREATE, ctx_create, ctx_create, member, value, error)
#define CTX_DESTROY_FIELD(member, value, error)                                                    \
	FIELD(CTX_DESTROY, ctx_destroy, ctx_destroy, member, value, error)

static const struct field_case field_cases[] = {
	DEV_QUERY_FIELD(type, DRM_FLUIDNPU_QUERY_QUEUE_COUNTERS + 1, EINVAL),
	DEV_QUERY_FIELD(type, 99, EINVAL),
	DEV_QUERY_FIELD(type, UINT32_MAX, EINVAL),
	DEV_QUERY_FIELD(size, 4097, E2BIG),
	DEV_QUERY_FIELD(size, UINT32_MAX, E2BIG),
	DEV_QUERY_FIELD(pointer, UNMAPPED_POINTER, EFAULT),
	DEV_QUERY_FIELD(pointer, KERNEL_POINTER, EFAULT),
	DEV_QUERY_FIELD(pointer, LAST_POINTER, EFAULT),

	BO_CREATE_FIELD(size, 0, EINVAL),
	BO_CREATE_FIELD(size, 1ull << FLUIDNPU_VA_BITS, EINVAL),
	BO_CREATE_FIELD(size, 1ull << 63, EINVAL),
	BO_CREATE_FIELD(size, UINT64_MAX, EINVAL),
	BO_CREATE_FIELD(size, UINT64_MAX - 4095, EINVAL),
	BO_CREATE_FIELD(size, 1ull << (FLUIDNPU_VA_BITS - 1), ENOMEM),
	BO_CREATE_FIELD(flags, 2, EINVAL),
	BO_CREATE_FIELD(flags, 1u << 31, EINVAL),
	BO_CREATE_FIELD(flags, UINT32_MAX, EINVAL),

	BO_INFO_FIELD(handle, 0, ENOENT),
	BO_INFO_FIELD(handle, UINT32_MAX, ENOENT),
	BO_INFO_FIELD(handle, CLOSED_HANDLE, ENOENT),
	BO_INFO_FIELD(flags, DRM_FLUIDNPU_BO_READONLY, EINVAL),
	BO_INFO_FIELD(flags, 1u << 31, EINVAL),

	BO_WAIT_FIELD(handle, 0, ENOENT),
	BO_WAIT_FIELD(handle, UINT32_MAX, ENOENT),
	BO_WAIT_FIELD(handle, CLOSED_HANDLE, ENOENT),
	BO_WAIT_FIELD(pad, 1, EINVAL),
	BO_WAIT_FIELD(pad, 1u << 31, EINVAL),

	CTX_CREATE_FIELD(priority, DRM_FLUIDNPU_PRIORITY_REALTIME + 1, EINVAL),
	CTX_CREATE_FIELD(priority, UINT32_MAX, EINVAL),
	FIELD(CTX_CREATE_AS_USER, ctx_create, ctx_create, priority,
	      DRM_FLUIDNPU_PRIORITY_HIGH, EACCES),
	FIELD(CTX_CREATE_AS_USER, ctx_create, ctx_create, priority,
	      DRM_FLUIDNPU_PRIORITY_REALTIME, EACCES),
	CTX_CREATE_FIELD(flags, 1, EINVAL),
	CTX_CREATE_FIELD(flags, 1u << 31, EINVAL),
	CTX_CREATE_FIELD(event_handle, 0, ENOENT),
	CTX_CREATE_FIELD(event_handle, UINT32_MAX, ENOENT),
	CTX_CREATE_FIELD(event_handle, CLOSED_HANDLE, ENOENT),
	CTX_CREATE_FIELD(event_handle, SMALL_BO, EINVAL),
	CTX_CREATE_FIELD(event_handle, IMPORTED_BO, EINVAL),
	CTX_CREATE_FIELD(event_entries, 0, EINVAL),
	CTX_CREATE_FIELD(event_entries, 1, EINVAL),
	CTX_CREATE_FIELD(event_entries, 16, EINVAL),
	CTX_CREATE_FIELD(event_entries, 33, EINVAL),
	CTX_CREATE_FIELD(event_entries, 48, EINVAL),
	CTX_CREATE_FIELD(event_entries, 2 * RING_ENTRIES, EINVAL), /* more than the BO holds */
	CTX_CREATE_FIELD(event_entries, 1u << 17, EINVAL),
	CTX_CREATE_FIELD(event_entries, 1u << 31, EINVAL),
	CTX_CREATE_FIELD(event_entries, UINT32_MAX, EINVAL),
	CTX_CREATE_FIELD(pad, 1, EINVAL),
	CTX_CREATE_FIELD(pad, 1u << 31, EINVAL),

	CTX_DESTROY_FIELD(ctx_id, 0, ENOENT),
	CTX_DESTROY_FIELD(ctx_id, 12345, ENOENT),
	CTX_DESTROY_FIELD(ctx_id, UINT32_MAX, ENOENT),
	CTX_DESTROY_FIELD(ctx_id, DESTROYED_CTX, ENOENT),
	CTX_DESTROY_FIELD(pad, 1, EINVAL),
	CTX_DESTROY_FIELD(pad, 1u << 31, EINVAL),

	SUBMIT_CASES(SUBMIT),
	JOB(SUBMIT_NOP, program_iova, 1u << 20, EINVAL),
	JOB(SUBMIT_NOP, program_iova, UINT64_MAX, EINVAL),
	JOB(SUBMIT_NOP, program_bytes, 64, EINVAL),
	JOB(SUBMIT_NOP, stop_layer, 1, EINVAL),
	JOB(SUBMIT_NOP, samples.count, 1, EINVAL),
	JOB(SUBMIT_NOP, samples.count, UINT32_MAX, EINVAL),
	JOB(SUBMIT_NOP, flags, DRM_FLUIDNPU_JOB_NOP | DRM_FLUIDNPU_JOB_NO_EXIT, EINVAL),
	JOB(SUBMIT_NOP, flags, DRM_FLUIDNPU_JOB_NOP | 4, EINVAL),
	COUNT_CASES(SUBMIT_NOP, job, jobs[0].known, bos, 64),
	POINTER_CASES(SUBMIT_NOP, job, jobs[0].known, bos),
	SUBMIT_CASES(INJECT),
	URING_CASES(URING_SUBMIT),
	URING_PTR_CASES(URING_SUBMIT_PTR),
	URING_CASES(URING_INJECT),
	URING_PTR_CASES(URING_INJECT_PTR),

	YIELD_CASES(YIELD),
	YIELD_CASES(URING_CANCEL),

	CTX_ID_CASES(EVENTS, events),
	FIELD(EVENTS, events, events, ctx_id, 0, ENOENT),
	FLAGS_CASES(EVENTS, events),
	FIELD(EVENTS, events, events, eventfd, -2, EBADF),
	FIELD(EVENTS, events, events, eventfd, 9999, EBADF),
	FIELD(EVENTS, events, events, eventfd, INT32_MAX, EBADF),
	FIELD(EVENTS, events, events, eventfd, INT32_MIN, EBADF),
	FIELD(EVENTS, events, events, eventfd, NOT_AN_EVENTFD, EBADF),
	FIELD(EVENTS, events, events, pad, 1, EINVAL),
	FIELD(EVENTS, events, events, pad, 1u << 31, EINVAL),

	CTX_ID_CASES(PERF, perf),
	FLAGS_CASES(PERF, perf),

	CTX_ID_CASES(URING_WAIT, uring_wait),
	FIELD(URING_WAIT, uring_wait, uring_wait, ctx_id, 0, ENOENT),
	FIELD(URING_WAIT, uring_wait, uring_wait, count, 0, EINVAL),
	FIELD(URING_WAIT, uring_wait, uring_wait, count, RING_ENTRIES + 1, EINVAL),
	FIELD(URING_WAIT, uring_wait, uring_wait, count, 1u << 31, EINVAL),
	FIELD(URING_WAIT, uring_wait, uring_wait, count, UINT32_MAX, EINVAL),
};

#define NUM_FIELD_CASES (sizeof(field_cases) / sizeof(field_cases[0]))

#endif
