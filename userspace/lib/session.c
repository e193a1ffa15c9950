// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "error.h"
#include "session_sched.h"
#include "trace.h"

#define DEFAULT_DEPTH		2u
#define MAX_DEPTH		64u
#define DEFAULT_QUEUE_BATCHES	4u
#define MAX_QUEUE_BOUND		(1u << 20)
#define MAX_COMMITTED_BYTES	((size_t)64 << 20)	/* longer queues get their memory as they fill */
#define BUFFER_ALIGN		((size_t)64)
#define CLOCK_TIMEOUT_NS	INT64_C(10000000000)

#define ALIGN_UP(bytes)		(((size_t)(bytes) + BUFFER_ALIGN - 1) & ~(BUFFER_ALIGN - 1))

/* ---- open ---- */

static int check_options(const struct fnpu_session_options *o, struct fnpu_error *error)
{
	if (o->submission && strcmp(o->submission, "uring") && strcmp(o->submission, "ioctl"))
		return fnpu_fail(error, -EINVAL,
				 "there is no submission by \"%s\": use uring or ioctl", o->submission);
	if (o->depth > MAX_DEPTH)
		return fnpu_fail(error, -EINVAL, "%u jobs in flight are too many: at most %u",
				 o->depth, MAX_DEPTH);
	if (o->queue_bound > MAX_QUEUE_BOUND)
		return fnpu_fail(error, -EINVAL, "a queue of %u samples is too long: at most %u",
				 o->queue_bound, MAX_QUEUE_BOUND);
	if (o->flags & ~(FNPU_SESSION_LOGITS | FNPU_SESSION_NO_EXIT))
		return fnpu_fail(error, -EINVAL, "unknown session flags %#x", o->flags);
	return 0;
}

static uint32_t min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static int open_tables(struct fnpu_session *s, struct fnpu_error *error)
{
	s->slots = calloc(s->num_slots, sizeof(*s->slots));
	s->jobs = calloc(s->num_jobs, sizeof(*s->jobs));
	s->batches = calloc(s->depth, sizeof(*s->batches));
	s->batch_jobs = calloc(s->depth, sizeof(*s->batch_jobs));
	if (s->flags & FNPU_SESSION_NO_EXIT)
		s->heads = calloc((size_t)s->num_slots * s->info->num_exits, sizeof(*s->heads));
	if (!s->slots || !s->jobs || !s->batches || !s->batch_jobs ||
	    ((s->flags & FNPU_SESSION_NO_EXIT) && !s->heads) ||
	    index_init(&s->free_slots, s->num_slots) || index_init(&s->done, s->num_slots) ||
	    index_init(&s->taken, s->num_slots))
		return fnpu_fail(error, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < s->num_slots; i++)
		index_push(&s->free_slots, i);
	return 0;
}

static int open_buffer(struct fnpu_session *s, enum session_buffer which, size_t count,
		       size_t stride, struct fnpu_error *error)
{
	int ret;

	if (!stride)
		return 0;
	if (count > SIZE_MAX / stride)
		return fnpu_fail(error, -ENOMEM, "out of memory");
	ret = fnpu_bo_alloc(s->device, count * stride, &s->bos[which], error);
	if (!ret)
		s->bo_handles[s->num_bos++] = s->bos[which]->handle;
	return ret;
}

/* No sample shall wait for a page of its own session; they are all zero yet. */
static void commit(const struct fnpu_bo *bo)
{
	volatile char *at = bo ? fnpu_bo_map(bo) : NULL;

	for (size_t i = 0; at && i < fnpu_bo_bytes(bo) && i < MAX_COMMITTED_BYTES;
	     i += FLUIDNPU_PAGE_BYTES)
		at[i] = 0;
}

static int open_buffers(struct fnpu_session *s, struct fnpu_error *error)
{
	const bool logits = s->flags & FNPU_SESSION_LOGITS;
	const size_t counts[NUM_BUFFERS] = {
		[BUFFER_PROGRAM] = 1,
		[BUFFER_INPUTS] = s->num_slots,
		[BUFFER_STATES] = s->preempts ? s->num_slots : (size_t)s->depth * s->max_batch,
		[BUFFER_LOGITS] = s->num_slots,
	};
	const size_t strides[NUM_BUFFERS] = {
		[BUFFER_PROGRAM] = s->info->program_bytes,
		[BUFFER_INPUTS] = ALIGN_UP(s->info->input_bytes),
		[BUFFER_STATES] = ALIGN_UP(s->info->state_bytes),
		[BUFFER_LOGITS] = logits ? ALIGN_UP(s->info->logits_bytes) : 0,
	};

	for (int i = 0; i < NUM_BUFFERS; i++) {
		int ret = open_buffer(s, i, counts[i], strides[i], error);

		if (ret)
			return ret;
	}
	commit(s->bos[BUFFER_INPUTS]);
	commit(s->bos[BUFFER_LOGITS]);
	s->input_stride = strides[BUFFER_INPUTS];
	s->state_stride = strides[BUFFER_STATES];
	s->logits_stride = strides[BUFFER_LOGITS];
	memcpy(fnpu_bo_map(s->bos[BUFFER_PROGRAM]), fnpu_file_program(s->model->file),
	       s->info->program_bytes);
	return 0;
}

/* In cycles, at least one; 0 stays 0: none. */
static uint64_t cycles_of(const struct fnpu_session *s, uint64_t ns)
{
	const double cycles = (double)ns * fnpu_device_info(s->device)->clock_hz / 1e9;

	if (cycles >= (double)(UINT64_MAX / 2))
		return 0;
	return ns && cycles < 1 ? 1 : (uint64_t)cycles;
}

/*
 * Where device time is only told by events, the first guess needs one, of a job that does nothing.
 * The counters of a device that sleeps do not tell.
 */
static int open_clock(struct fnpu_session *s, struct fnpu_error *error)
{
	const struct fnpu_backend_ops *ops = s->device->ops;
	const struct drm_fluidnpu_job nop = { .flags = DRM_FLUIDNPU_JOB_NOP };
	struct drm_fluidnpu_event event;
	int ret;

	if (ops->now)
		return 0;
	ret = ops->submit(s->ctx, &nop, 1, error);
	if (ret)
		return ret;
	while (!ret && !(ret = ops->next_event(s->ctx, &event))) {
		ret = ops->wait(s->ctx, CLOCK_TIMEOUT_NS, FNPU_SCHED_NEVER);
		if (ret == -EINTR)	/* a signal is no answer */
			ret = 0;
	}
	if (ret == 1)
		ret = event.error;
	if (ret)
		return fnpu_fail(error, ret, "the device does not answer: %s", strerror(-ret));
	fnpu_session_hear(s, event.time);
	return 0;
}

static int open_context(struct fnpu_session *s, const char *submission, struct fnpu_error *error)
{
	/* The driver reserves for the worst case that it knows of, not for this program. */
	uint32_t per_sample = s->flags & FNPU_SESSION_NO_EXIT ? FLUIDNPU_MAX_EXITS : 1;

	return fnpu_context_create(s->device, submission, s->num_jobs,
				   s->max_batch * per_sample + 1, &s->ctx, error);
}

static const struct fnpu_session_ops local_ops = {
	.close = fnpu_local_close,
	.submit = fnpu_local_submit,
	.flush = fnpu_local_flush,
	.poll = fnpu_local_poll,
	.wait = fnpu_local_wait,
	.wait_until = fnpu_local_wait_until,
	.drain = fnpu_local_drain,
	.cancel = fnpu_local_cancel,
	.time = fnpu_local_time,
	.pending = fnpu_local_pending,
	.fd = fnpu_local_fd,
	.stats = fnpu_local_stats,
	.submission = fnpu_local_submission,
};

static int open_trace(struct fnpu_session *s, struct fnpu_trace *trace, struct fnpu_error *error)
{
	int ret = 0;

	s->after = "opening";
	if (!trace)
		ret = fnpu_trace_of_environment(&s->own_trace, error);
	if (s->own_trace)
		trace = s->own_trace;
	if (trace)
		fnpu_trace_attach(trace, s);
	return ret;
}

int fnpu_local_open(struct fnpu_device *device, const struct fnpu_model *model,
		    const struct fnpu_session_options *o,
		    struct fnpu_session **out, struct fnpu_error *error)
{
	const uint32_t device_batch = fnpu_device_info(device)->geometry.max_batch;
	struct fnpu_session *s;
	uint32_t bound;
	int ret;

	ret = fnpu_model_check(model, device, error);
	if (!ret)
		ret = check_options(o, error);
	if (ret)
		return ret;
	fnpu_error_clear(error);
	s = calloc(1, sizeof(*s));
	if (!s)
		return fnpu_fail(error, -ENOMEM, "out of memory");
	s->ops = &local_ops;
	s->device = device;
	s->model = model;
	s->info = fnpu_model_info(model);
	s->flags = o->flags;
	s->epoll_fd = -1;
	s->ready_fd = -1;
	s->timer_fd = -1;
	s->slo_cycles = cycles_of(s, o->slo_ns);
	s->max_batch = min_u32(s->info->max_batch, device_batch);
	if (o->max_batch)
		s->max_batch = min_u32(s->max_batch, o->max_batch);
	s->depth = o->depth ? o->depth : DEFAULT_DEPTH;
	bound = o->queue_bound ? o->queue_bound : DEFAULT_QUEUE_BATCHES * s->max_batch;
	/* waiting, running, and as many again whose results have not been fetched */
	s->num_slots = bound + 2 * s->depth * s->max_batch;
	fnpu_byte_map_init(&s->byte_map, s->info->byte_scale, s->info->byte_offset,
			   s->info->input_scale, s->info->input_zero_point);

	ret = fnpu_session_open_sched(s, o, bound, error);
	/* where batches are stopped, any of its samples may have been injected alone */
	s->num_jobs = s->preempts ? s->max_batch + 1 : s->depth;
	if (!ret)
		ret = open_tables(s, error);
	if (!ret)
		ret = open_buffers(s, error);
	if (!ret)
		ret = open_context(s, o->submission, error);
	if (!ret)
		ret = open_clock(s, error);
	if (!ret)
		ret = open_trace(s, o->trace, error);
	if (ret) {
		fnpu_local_close(s);
		return ret;
	}
	*out = s;
	return 0;
}

void fnpu_local_close(struct fnpu_session *s)
{
	if (s->trace)
		fnpu_session_see_ends(s);
	if (s->epoll_fd >= 0)
		close(s->epoll_fd);
	if (s->ready_fd >= 0)
		close(s->ready_fd);
	if (s->timer_fd >= 0)
		close(s->timer_fd);
	fnpu_context_destroy(s->ctx);
	for (int i = 0; i < NUM_BUFFERS; i++)
		fnpu_bo_free(s->bos[i]);
	free(s->taken.items);
	free(s->done.items);
	free(s->free_slots.items);
	free(s->heads);
	free(s->batch_jobs);
	free(s->batches);
	free(s->jobs);
	free(s->slots);
	free(s->layer_groups);
	free(s->group_layers);
	fnpu_sched_free(s->sched);
	fnpu_trace_close(s->own_trace, NULL);
	free(s);
}

/* ---- submit ---- */

/* An NPU that only models time is told where samples leave, and needs no inputs. */
static bool is_traced(const struct fnpu_session *s)
{
	return !(fnpu_device_info(s->device)->features & FLUIDNPU_FEATURE_FUNCTIONAL);
}

static int check_bo(struct fnpu_session *s, const struct fnpu_request *r)
{
	if (r->bo->device != s->device)
		return fnpu_fail(&s->error, -EINVAL,
				 "the input's buffer is one of another device than the session's");
	if (r->input || r->format != FNPU_INPUT_I8_NHWC)
		return fnpu_fail(&s->error, -EINVAL,
				 "the NPU reads an input in a buffer as it is: it has to be int8 (FNPU_INPUT_I8_NHWC), and there can be no other input");
	if (r->input_bytes != s->info->input_bytes || r->bo_offset > r->bo->bytes ||
	    r->bo->bytes - r->bo_offset < r->input_bytes)
		return fnpu_fail(&s->error, -EINVAL,
				 "an input of %zu bytes at %" PRIu64 " of a buffer of %zu: model %s takes %u",
				 r->input_bytes, r->bo_offset, r->bo->bytes, s->info->name,
				 s->info->input_bytes);
	return 0;
}

int fnpu_session_check_request(struct fnpu_session *s, const struct fnpu_request *r)
{
	size_t want = s->info->input_bytes;

	if (is_traced(s) && r->exit_index >= s->info->num_exits)
		return fnpu_fail(&s->error, -EINVAL, "exit %u does not exist, model %s has %u",
				 r->exit_index, s->info->name, s->info->num_exits);
	if (r->priority > FNPU_MAX_PRIORITY ||
	    r->flags & ~(FNPU_REQUEST_BEST_EFFORT | FNPU_REQUEST_REJECT_LATE))
		return fnpu_fail(&s->error, -EINVAL, "priority %u or flags %#x do not exist",
				 r->priority, r->flags);
	if (r->bo)
		return check_bo(s, r);
	if (!r->input)
		return is_traced(s) ? 0 : fnpu_fail(&s->error, -EINVAL, "there is no input");
	switch (r->format) {
	case FNPU_INPUT_F32_NCHW:
		want *= sizeof(float);
		break;
	case FNPU_INPUT_U8_NHWC:
	case FNPU_INPUT_I8_NHWC:
		break;
	default:
		return fnpu_fail(&s->error, -EINVAL, "unknown input format %d", (int)r->format);
	}
	if (r->input_bytes != want)
		return fnpu_fail(&s->error, -EINVAL,
				 "the input has %zu bytes, model %s takes %zu (%u x %u x %u)",
				 r->input_bytes, s->info->name, want, s->info->channels,
				 s->info->height, s->info->width);
	return 0;
}

void fnpu_session_store_input(const struct fnpu_session *s, const struct fnpu_request *r, int8_t *to)
{
	const struct fnpu_model_info *info = s->info;

	switch (r->format) {
	case FNPU_INPUT_F32_NCHW:
		fnpu_quantize_nchw(r->input, info->channels, (size_t)info->height * info->width,
				   info->input_scale, info->input_zero_point, to);
		break;
	case FNPU_INPUT_U8_NHWC:
		fnpu_quantize_bytes(&s->byte_map, r->input, info->input_bytes, to);
		break;
	case FNPU_INPUT_I8_NHWC:
		memcpy(to, r->input, info->input_bytes);
		break;
	}
}

static int tell_sched(struct fnpu_session *s, uint32_t index, const struct fnpu_request *r)
{
	const uint64_t slo = r->slo_ns ? cycles_of(s, r->slo_ns) : s->slo_cycles;
	const uint64_t now = fnpu_session_now(s);

	s->slots[index].deadline = slo ? now + slo : FNPU_SCHED_NEVER;
	return fnpu_sched_arrival(s->sched, now, index, &(struct fnpu_sched_request){
		.deadline = s->slots[index].deadline,
		.priority = r->priority,
		.flags = (r->flags & FNPU_REQUEST_BEST_EFFORT ? FNPU_SCHED_BEST_EFFORT : 0) |
			 (r->flags & FNPU_REQUEST_REJECT_LATE ? FNPU_SCHED_REJECT_LATE : 0),
	});
}

int fnpu_local_submit(struct fnpu_session *s, const struct fnpu_request *request)
{
	struct slot *slot;
	uint32_t index;
	int ret;

	if (s->broken)
		return s->broken;
	ret = fnpu_session_check_request(s, request);
	if (ret)
		return ret;
	if (!s->free_slots.count ||
	    tell_sched(s, s->free_slots.items[s->free_slots.head], request)) {
		s->stats.rejected++;
		return fnpu_fail(&s->error, -EAGAIN, "the queue is full: fetch results first");
	}
	index = index_pop(&s->free_slots);
	slot = &s->slots[index];
	slot->state = SLOT_WAITING;
	slot->generation++;
	slot->exit_index = is_traced(s) ? request->exit_index : 0;
	slot->result = (struct fnpu_result){ .user_data = request->user_data };
	if (s->device->ops->now)
		slot->result.arrived = s->device->ops->now(s->ctx);
	slot->bo = request->bo;
	if (request->bo)
		slot->input_iova = fnpu_bo_iova(request->bo) + request->bo_offset;
	else
		slot->input_iova = fnpu_bo_iova(s->bos[BUFFER_INPUTS]) + index * s->input_stride;
	if (request->input)
		fnpu_session_store_input(s, request, (int8_t *)fnpu_bo_map(s->bos[BUFFER_INPUTS]) +
					 index * s->input_stride);
	s->waiting++;
	s->unseen = true;
	fnpu_trace_arrival(s, index);
	s->stats.submitted++;
	fnpu_session_update_fd(s);
	return 0;
}

/* ---- cancel ---- */

int fnpu_local_cancel(struct fnpu_session *s, uint64_t user_data)
{
	int cancelled = 0, running = 0;

	for (uint32_t i = 0; i < s->num_slots; i++) {
		const struct slot *slot = &s->slots[i];

		if (slot->result.user_data != user_data ||
		    (slot->state != SLOT_WAITING && slot->state != SLOT_RUNNING))
			continue;
		if (fnpu_session_cancel_slot(s, i))
			cancelled++;
		else
			running++;
	}
	if (!cancelled)
		return running ? -EINPROGRESS : -ENOENT;
	fnpu_session_update_fd(s);
	return cancelled;
}

/* ---- small queries ---- */

uint32_t fnpu_local_pending(const struct fnpu_session *s)
{
	return s->waiting + s->running + s->done.count;
}

void fnpu_local_stats(const struct fnpu_session *s, struct fnpu_session_stats *stats)
{
	*stats = s->stats;
}

const char *fnpu_local_submission(const struct fnpu_session *s)
{
	return s->device->ops->submission(s->ctx);
}

/* ---- file descriptor ---- */

/*
 * The back end's descriptor tells of events, ready_fd of what only this session
 * knows: samples to be started, results left over, and, without a descriptor of the back
 * end (emu), that device time should move on. timer_fd tells that the policy's time has come.
 */
static void arm_timer(struct fnpu_session *s)
{
	const uint64_t next = fnpu_sched_timer(s->sched);
	struct itimerspec spec = { 0 };		/* off */
	int64_t ns;

	if (next != FNPU_SCHED_NEVER) {
		ns = fnpu_session_host_until(s, next) + 1;
		spec.it_value.tv_sec = ns / 1000000000;
		spec.it_value.tv_nsec = ns % 1000000000;
	}
	timerfd_settime(s->timer_fd, 0, &spec, NULL);
}

void fnpu_session_update_fd(struct fnpu_session *s)
{
	bool self_driven = s->device->ops->fd(s->ctx) < 0;
	bool ready = s->unseen || s->done.count || (self_driven && fnpu_local_pending(s));
	uint64_t value = 1;

	if (s->timer_fd >= 0)
		arm_timer(s);
	if (s->ready_fd < 0 || ready == s->ready_set)
		return;
	if (ready ? write(s->ready_fd, &value, sizeof(value)) == sizeof(value) :
		    read(s->ready_fd, &value, sizeof(value)) == sizeof(value))
		s->ready_set = ready;
}

static int add_to_epoll(int epoll_fd, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int open_fds(struct fnpu_session *s)
{
	int backend_fd = s->device->ops->fd(s->ctx);
	int ret;

	s->ready_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	ret = s->ready_fd < 0 || s->epoll_fd < 0 ? -errno : add_to_epoll(s->epoll_fd, s->ready_fd);
	if (ret || backend_fd < 0)
		return ret;
	s->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	ret = s->timer_fd < 0 ? -errno : add_to_epoll(s->epoll_fd, s->timer_fd);
	return ret ? ret : add_to_epoll(s->epoll_fd, backend_fd);
}

int fnpu_local_fd(struct fnpu_session *s)
{
	int ret;

	if (s->epoll_fd >= 0)
		return s->epoll_fd;
	ret = open_fds(s);
	if (ret) {
		if (s->ready_fd >= 0)
			close(s->ready_fd);
		if (s->epoll_fd >= 0)
			close(s->epoll_fd);
		if (s->timer_fd >= 0)
			close(s->timer_fd);
		s->ready_fd = -1;
		s->epoll_fd = -1;
		s->timer_fd = -1;
		return fnpu_fail(&s->error, ret, "no file descriptor: %s", strerror(-ret));
	}
	fnpu_session_update_fd(s);
	return s->epoll_fd;
}
