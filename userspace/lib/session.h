/* SPDX-License-Identifier: MIT */
/*
 * What the files of a session share:
 *
 *	session_api.c	the public functions, for sessions of this process and of a daemon's
 *	session.c	open and close, buffers, submit, small queries
 *	session_sched.c	the scheduler's tables
 *	session_run.c	decisions to jobs, events to results
 *	session_wait.c	time, and waiting for it to bring something
 *
 * A sample lives in a slot from submit until the call after the one that returned
 * its result:
 *
 *	FREE ──submit──► WAITING ──START──► RUNNING ──EXIT event──► DONE ──poll──► TAKEN ──► FREE
 *	                    ▲                  │└─────job failed──────┘
 *	                    └───YIELD event────┘
 *
 * A slot has its place in the input and logits buffers for good. So it has for its state where the
 * policy stops batches; otherwise a job has state for max_batch samples. Numbers that go through the driver carry a generation in
 * their upper half, so that an event of a former life is recognized.
 */
#ifndef FNPU_SESSION_H
#define FNPU_SESSION_H

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "context.h"
#include "fluidnpu.h"
#include "model.h"
#include "quantize.h"
#include "fnpu_sched.h"

enum slot_state {
	SLOT_FREE,
	SLOT_WAITING,
	SLOT_RUNNING,
	SLOT_DONE,
	SLOT_TAKEN,
};

enum session_buffer {
	BUFFER_PROGRAM,
	BUFFER_INPUTS,
	BUFFER_STATES,
	BUFFER_LOGITS,
	NUM_BUFFERS,
};

/**
 * struct slot - a sample
 * @job: while it is RUNNING
 * @exit_index: as in its request
 * @deadline: device time, or FNPU_SCHED_NEVER
 * @bo: of its request: where its input is, at @input_iova
 */
struct slot {
	enum slot_state state;
	uint32_t generation;
	uint32_t job;
	uint32_t exit_index;
	uint64_t deadline;
	const struct fnpu_bo *bo;
	uint64_t input_iova;
	struct fnpu_result result;
};

/**
 * struct job - of the device
 * @batch: the scheduler's, of which it is a part: INJECTs are others
 * @bo_handles: buffers in use, if they are not just the session's
 */
struct job {
	bool busy;
	uint32_t batch;
	uint32_t generation;
	uint32_t count;
	uint32_t slots[FLUIDNPU_MAX_BATCH];
	struct drm_fluidnpu_sample samples[FLUIDNPU_MAX_BATCH];
	uint32_t bo_handles[NUM_BUFFERS + FLUIDNPU_MAX_BATCH];
};

/** struct index_queue - FIFO of slot numbers, room for all */
struct index_queue {
	uint32_t *items;
	uint32_t room;
	uint32_t head;
	uint32_t count;
};

/**
 * struct batch - the scheduler's, while it is in flight
 * @jobs: of it that the device has
 * @stop_layer: of all of them, as in struct drm_fluidnpu_job
 */
struct batch {
	uint32_t jobs;
	uint32_t stop_layer;
};

/** struct fnpu_session_ops - what the public functions of a session call, each by its name */
struct fnpu_session_ops {
	void (*close)(struct fnpu_session *s);
	int (*submit)(struct fnpu_session *s, const struct fnpu_request *request);
	int (*flush)(struct fnpu_session *s);
	int (*poll)(struct fnpu_session *s, struct fnpu_result *results, uint32_t max);
	int (*wait)(struct fnpu_session *s, struct fnpu_result *results, uint32_t max,
		    int64_t timeout_ns);
	int (*wait_until)(struct fnpu_session *s, struct fnpu_result *results, uint32_t max,
			  uint64_t time);
	int (*drain)(struct fnpu_session *s, int64_t timeout_ns);
	int (*cancel)(struct fnpu_session *s, uint64_t user_data);
	uint64_t (*time)(struct fnpu_session *s);
	uint32_t (*pending)(const struct fnpu_session *s);
	int (*fd)(struct fnpu_session *s);
	void (*stats)(const struct fnpu_session *s, struct fnpu_session_stats *stats);
	const char *(*submission)(const struct fnpu_session *s);
};

/**
 * struct fnpu_session - a session
 * @ops: NULL-free. A daemon's session has of what follows only @device, @model, @info, @flags,
 *	@max_batch, @broken, @stats and @error
 * @bos, @bo_handles, @num_bos: buffers in use; those of no bytes are left out of @bo_handles
 * @input_stride, @state_stride, @logits_stride: bytes from one sample to the next
 * @byte_map: what a byte of an image becomes
 * @heads: FNPU_SESSION_NO_EXIT: max_exits per slot
 * @free_slots, @done, @taken: slots in these states
 * @waiting, @running: numbers of slots in these states
 * @group_layers: first layer of each group of layers, which is a layer to the scheduler
 * @layer_groups: the other way round
 * @preempts: the policy stops batches
 * @slo_cycles: deadline of samples without one
 * @unseen: samples came since the scheduler was last asked
 * @num_jobs: of @jobs; @batches: @depth
 * @batch_jobs: @num_batch_jobs jobs decided and not yet submitted
 * @after: what happened last, for people; static text
 * @trace: the recording, or NULL; @trace_tid: its first track there; @own_trace: to be closed with it
 * @device_time: latest that is known of
 * @heard: host time at which @heard_time was
 * @broken: negative errno once the device is lost
 * @epoll_fd, @ready_fd, @timer_fd: made by fnpu_session_fd(), or -1; @ready_set: @ready_fd is
 *	readable
 */
struct fnpu_session {
	const struct fnpu_session_ops *ops;
	struct fnpu_device *device;
	const struct fnpu_model *model;
	const struct fnpu_model_info *info;
	struct fnpu_context *ctx;
	struct fnpu_sched *sched;
	uint32_t *group_layers;
	uint32_t *layer_groups;
	uint32_t num_groups;
	bool preempts;
	uint64_t slo_cycles;
	uint32_t flags;
	uint32_t max_batch;
	uint32_t depth;

	struct fnpu_bo *bos[NUM_BUFFERS];
	uint32_t bo_handles[NUM_BUFFERS];
	uint32_t num_bos;
	size_t input_stride;
	size_t state_stride;
	size_t logits_stride;
	struct fnpu_byte_map byte_map;

	struct slot *slots;
	uint32_t num_slots;
	struct fnpu_head *heads;
	struct index_queue free_slots;
	struct index_queue done;
	struct index_queue taken;
	uint32_t waiting;
	uint32_t running;
	bool unseen;

	struct job *jobs;
	uint32_t num_jobs;
	struct batch *batches;
	struct drm_fluidnpu_job *batch_jobs;
	uint32_t num_batch_jobs;

	const char *after;
	struct fnpu_trace *trace;
	uint32_t trace_tid;
	struct fnpu_trace *own_trace;

	uint64_t device_time;
	uint64_t heard_time;
	int64_t heard;
	int broken;
	int epoll_fd;
	int ready_fd;
	int timer_fd;
	bool ready_set;
	struct fnpu_session_stats stats;
	struct fnpu_error error;
};

static inline int index_init(struct index_queue *q, uint32_t room)
{
	q->items = calloc(room, sizeof(*q->items));
	q->room = room;
	return q->items ? 0 : -ENOMEM;
}

static inline uint32_t index_peek(const struct index_queue *q, uint32_t i)
{
	return q->items[(q->head + i) % q->room];
}

static inline void index_push(struct index_queue *q, uint32_t index)
{
	q->items[(q->head + q->count++) % q->room] = index;
}

static inline uint32_t index_pop(struct index_queue *q)
{
	uint32_t index = q->items[q->head];

	q->head = (q->head + 1) % q->room;
	q->count--;
	return index;
}

/** fnpu_session_host_ns() - host time that only goes forward (session_wait.c) */
int64_t fnpu_session_host_ns(void);

/** fnpu_session_deadline() - host time after @timeout_ns; negative for no limit */
int64_t fnpu_session_deadline(int64_t timeout_ns);

/** fnpu_session_now() - device time, or the best guess (session_wait.c) */
uint64_t fnpu_session_now(struct fnpu_session *s);

/** fnpu_session_hear() - an event told that it is @time (session_wait.c) */
void fnpu_session_hear(struct fnpu_session *s, uint64_t time);

/** fnpu_session_host_until() - ns of host time until device time @time, at least 0 */
int64_t fnpu_session_host_until(struct fnpu_session *s, uint64_t time);

/** fnpu_session_advance() - take events, and start and stop what is to be (session_run.c) */
void fnpu_session_advance(struct fnpu_session *s);

/** fnpu_session_break() - the device is lost: everything fails, nothing more gets in */
void fnpu_session_break(struct fnpu_session *s, int error);

/** fnpu_session_cancel_slot() - true: the sample has its result; false: it runs (session_run.c) */
bool fnpu_session_cancel_slot(struct fnpu_session *s, uint32_t index);

/** fnpu_session_count() - in its statistics, a sample that has got its result (session_run.c) */
void fnpu_session_count(struct fnpu_session *s, const struct fnpu_result *result);

/** fnpu_session_see_ends() - of the jobs whose samples have all left (session_wait.c) */
void fnpu_session_see_ends(struct fnpu_session *s);

/** fnpu_session_update_fd() - make ready_fd say whether polling makes sense */
void fnpu_session_update_fd(struct fnpu_session *s);

/** fnpu_session_reason() - a static sentence about the status of a result, NULL for 0 */
const char *fnpu_session_reason(const struct fnpu_session *s, int status);

/** fnpu_session_check_request() - 0, or -EINVAL with a sentence in s->error */
int fnpu_session_check_request(struct fnpu_session *s, const struct fnpu_request *r);

/** fnpu_session_store_input() - @r->input as the NPU takes it: input_bytes of the model, @to */
void fnpu_session_store_input(const struct fnpu_session *s, const struct fnpu_request *r, int8_t *to);

/* The public functions for a session of this process; @o is never NULL. */
int fnpu_local_open(struct fnpu_device *device, const struct fnpu_model *model,
		    const struct fnpu_session_options *o,
		    struct fnpu_session **out, struct fnpu_error *error);
void fnpu_local_close(struct fnpu_session *s);
int fnpu_local_submit(struct fnpu_session *s, const struct fnpu_request *request);
int fnpu_local_flush(struct fnpu_session *s);
int fnpu_local_poll(struct fnpu_session *s, struct fnpu_result *results, uint32_t max);
int fnpu_local_wait(struct fnpu_session *s, struct fnpu_result *results, uint32_t max,
		    int64_t timeout_ns);
int fnpu_local_wait_until(struct fnpu_session *s, struct fnpu_result *results, uint32_t max,
			  uint64_t time);
int fnpu_local_drain(struct fnpu_session *s, int64_t timeout_ns);
int fnpu_local_cancel(struct fnpu_session *s, uint64_t user_data);
uint64_t fnpu_local_time(struct fnpu_session *s);
uint32_t fnpu_local_pending(const struct fnpu_session *s);
int fnpu_local_fd(struct fnpu_session *s);
void fnpu_local_stats(const struct fnpu_session *s, struct fnpu_session_stats *stats);
const char *fnpu_local_submission(const struct fnpu_session *s);

#endif /* FNPU_SESSION_H */
