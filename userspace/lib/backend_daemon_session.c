// SPDX-License-Identifier: MIT
/*
 * A session in fluidnpud, seen from its client.
 *
 * Inputs are written once, as the NPU takes them, into slots of shared memory from which it or the daemon
 * reads them, or they are in a buffer of the user's; what goes through the socket is where they lie. A
 * slot is taken from submit until the call after the one that returned its result:
 *
 *	FREE ──submit──► WAITING ──SUBMIT sent──► RUNNING ──RESULTS──► DONE ──poll──► TAKEN ──► FREE
 *
 * When the daemon is gone, all samples that wait or run get a result that says so.
 */
#define _GNU_SOURCE	/* ppoll() */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "backend_daemon.h"
#include "error.h"
#include "session.h"

#define NS_PER_S	INT64_C(1000000000)

#define SLOTS_BUFFER	0u	/* the session's own buffer */

/**
 * struct daemon_buffer - what the daemon knows by a number
 * @memory: NULL: nothing
 * @samples: in it, without a result
 * @used: when it was last used, counted in uses
 */
struct daemon_buffer {
	struct daemon_memory *memory;
	uint32_t samples;
	uint64_t used;
};

/** struct daemon_slot - @sample: what is sent for it; @result: what came */
struct daemon_slot {
	enum slot_state state;
	uint32_t generation;
	uint64_t user_data;
	struct fnpud_sample sample;
	struct fnpu_result result;
};

/**
 * struct daemon_session - a session
 * @session: what all sessions have alike
 * @conn: to the daemon
 * @inputs: @num_slots slots of @input_stride bytes, NULL for an NPU that takes none
 * @buffers: that the daemon has been told of; @uses: of them so far; @seen_freed: daemon_freed() when
 *	they were last gone through
 * @record_bytes: of a result
 * @slo_ns: of samples that have none, as far as this side knows
 * @heads, @logits: of the slots, @logits_stride bytes for each; where results carry them
 * @waiting, @running: numbers of slots in these states; @unsent: those that wait
 * @blocked: the daemon does not read at the moment
 * @stopping: it has said that it takes no more
 * @owed: answers to STATS that were not there in time
 * @before: what the daemon's session had done when this one was opened
 * @epoll_fd, @ready_fd: made by fnpu_session_fd(), or -1; @ready_set: @ready_fd is readable;
 *	@awaits_room: @epoll_fd waits for the daemon to read
 * @message: a message that is received or sent
 */
struct daemon_session {
	struct fnpu_session session;
	int conn;
	int8_t *inputs;
	size_t input_stride;
	size_t inputs_bytes;
	struct daemon_buffer buffers[FNPUD_MAX_BUFFERS];
	uint64_t uses;
	uint32_t seen_freed;
	uint32_t record_bytes;
	uint64_t slo_ns;
	struct daemon_slot *slots;
	uint32_t num_slots;
	struct fnpu_head *heads;
	int8_t *logits;
	size_t logits_stride;
	struct index_queue free_slots;
	struct index_queue unsent;
	struct index_queue done;
	struct index_queue taken;
	uint32_t running;
	bool blocked;
	bool stopping;
	uint32_t owed;
	struct fnpud_stated before;
	int epoll_fd;
	int ready_fd;
	bool ready_set;
	bool awaits_room;
	uint64_t message[FNPUD_MESSAGE_BYTES / sizeof(uint64_t)];
};

static const char gone_reason[] = "fluidnpud is gone: open the device and the session again";
static const char stopped_reason[] = "fluidnpud stopped before it took it: open the device and the session again";
static const char written_reason[] = "its dma-buf was still being written: submit it when poll(2) says that it is ready";

static struct daemon_session *daemon_of(const struct fnpu_session *s)
{
	return (struct daemon_session *)s;	/* which is its first member */
}

/* ---- results ---- */

static const char *reason_of(const struct daemon_session *d, int status)
{
	return status == -EBUSY ? written_reason : fnpu_session_reason(&d->session, status);
}

static void finish(struct daemon_session *d, uint32_t index, int status, const char *reason)
{
	struct daemon_slot *slot = &d->slots[index];

	slot->state = SLOT_DONE;
	d->buffers[slot->sample.buffer].samples--;
	slot->result.user_data = slot->user_data;
	slot->result.status = status;
	slot->result.reason = reason;
	index_push(&d->done, index);
	fnpu_session_count(&d->session, &slot->result);
}

static void fail_unsent(struct daemon_session *d, const char *reason)
{
	while (d->unsent.count) {
		uint32_t index = index_pop(&d->unsent);

		d->slots[index].result = (struct fnpu_result){ 0 };
		finish(d, index, -ENODEV, reason);
	}
}

/* Nothing comes any more. @error is what calls return from now on. */
static void lose(struct daemon_session *d, int error)
{
	struct fnpu_session *s = &d->session;

	for (uint32_t i = 0; i < d->num_slots; i++) {
		if (d->slots[i].state != SLOT_RUNNING)
			continue;
		d->slots[i].result = (struct fnpu_result){ 0 };
		finish(d, i, -ENODEV, gone_reason);
	}
	d->running = 0;
	fail_unsent(d, gone_reason);
	if (!s->broken)
		fnpu_fail(&s->error, error, "%s",
			  error == -EPROTO ? "fluidnpud talks nonsense: install library and daemon of one release" :
			  gone_reason);
	s->broken = s->broken ? s->broken : error;
}

static void take_head(struct fnpu_head *to, const struct fnpud_head *from)
{
	*to = (struct fnpu_head){
		.class_index = from->class_index,
		.live_batch = from->live_batch,
		.confidence = from->confidence,
		.entropy = from->entropy,
		.margin = from->margin,
		.time = from->time,
	};
}

static void take_success(struct daemon_session *d, uint32_t index, const struct fnpud_result *r)
{
	const struct fnpu_model_info *info = d->session.info;
	const struct fnpud_head *from = (const struct fnpud_head *)(r + 1);
	struct fnpu_result *to = &d->slots[index].result;

	take_head(&to->head, &r->head);
	fnpu_session_hear(&d->session, to->head.time);
	to->exit_index = r->exit_index;
	to->arrived = r->arrived;
	to->queued = r->queued;
	to->started = r->started;
	to->batch = r->batch;
	if (d->heads) {
		struct fnpu_head *heads = &d->heads[(size_t)index * info->num_exits];

		for (uint32_t i = 0; i < info->num_exits; i++)
			take_head(&heads[i], &from[i]);
		to->heads = heads;
		from += info->num_exits;
	}
	if (d->logits) {
		memcpy(d->logits + index * d->logits_stride, from, info->logits_bytes);
		to->logits = d->logits + index * d->logits_stride;
	}
}

/* The deadline counts from the arrival at the daemon, as the device's clock has it. */
static bool is_late(const struct daemon_session *d, const struct daemon_slot *slot)
{
	const uint64_t slo = slot->sample.slo_ns ? slot->sample.slo_ns : d->slo_ns;
	const double clock_hz = fnpu_device_info(d->session.device)->clock_hz;
	const struct fnpu_result *r = &slot->result;

	return slo && r->head.time > r->arrived &&
	       (double)(r->head.time - r->arrived) * 1e9 / clock_hz > (double)slo;
}

/* False: it is no result of a sample that runs. */
static bool take_record(struct daemon_session *d, const struct fnpud_result *r)
{
	const uint32_t index = (uint32_t)r->user_data;
	struct daemon_slot *slot;

	if (index >= d->num_slots || r->status > 0 || r->exit_index >= d->session.info->num_exits)
		return false;
	slot = &d->slots[index];
	if (slot->state != SLOT_RUNNING || slot->generation != r->user_data >> 32)
		return false;
	slot->result = (struct fnpu_result){ .preempted = r->preempted };
	if (!r->status)
		take_success(d, index, r);
	d->session.stats.preemptions += r->preempted;
	d->session.stats.late += is_late(d, slot);
	d->running--;
	finish(d, index, r->status, reason_of(d, r->status));
	return true;
}

static bool take_results_message(struct daemon_session *d, size_t bytes)
{
	const struct fnpud_results *m = (const struct fnpud_results *)d->message;
	const unsigned char *record = (const unsigned char *)(m + 1);

	if (bytes < sizeof(*m) || (uint64_t)m->count * d->record_bytes != bytes - sizeof(*m))
		return false;
	for (uint32_t i = 0; i < m->count; i++, record += d->record_bytes)
		if (!take_record(d, (const struct fnpud_result *)record))
			return false;
	return true;
}

/* What comes without a question. False: it makes no sense. */
static bool take_message(struct daemon_session *d, size_t bytes)
{
	const struct fnpud_error *m = (const struct fnpud_error *)d->message;

	if (m->header.type == FNPUD_RESULTS)
		return take_results_message(d, bytes);
	if (m->header.type == FNPUD_STATED && d->owed) {
		d->owed--;	/* nobody waits for it any more */
		return true;
	}
	if (m->header.type != FNPUD_ERROR || bytes != sizeof(*m))
		return false;
	d->stopping = true;
	fnpu_fail(&d->session.error, -ENODEV, "%.*s", (int)sizeof(m->text) - 1, m->text);
	d->session.broken = -ENODEV;
	fail_unsent(d, stopped_reason);
	return true;
}

/* All that is there. */
static void pull(struct daemon_session *d)
{
	int n;

	while ((n = daemon_receive(d->conn, (struct fnpud_header *)d->message)) > 0) {
		if (!take_message(d, (size_t)n)) {
			n = -EPROTO;
			break;
		}
	}
	if (n != -EAGAIN)
		lose(d, n == -EPROTO ? n : -ENODEV);
}

/* ---- file descriptor ---- */

/* Readable when the daemon has sent something, and for what only this side knows. */
static void update_fd(struct daemon_session *d)
{
	const bool ready = d->done.count || (d->unsent.count && !d->blocked);
	const bool room = d->unsent.count && d->blocked;
	struct epoll_event event = { .events = EPOLLIN | (room ? EPOLLOUT : 0) };
	uint64_t value = 1;

	if (d->epoll_fd < 0)
		return;
	if (room != d->awaits_room && !epoll_ctl(d->epoll_fd, EPOLL_CTL_MOD, d->conn, &event))
		d->awaits_room = room;
	if (ready == d->ready_set)
		return;
	if (ready ? write(d->ready_fd, &value, sizeof(value)) == sizeof(value) :
		    read(d->ready_fd, &value, sizeof(value)) == sizeof(value))
		d->ready_set = ready;
}

static int open_fds(struct daemon_session *d)
{
	struct epoll_event event = { .events = EPOLLIN };

	d->ready_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	d->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (d->ready_fd < 0 || d->epoll_fd < 0 ||
	    epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, d->ready_fd, &event) ||
	    epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, d->conn, &event))
		return -errno;
	return 0;
}

static void close_fds(struct daemon_session *d)
{
	if (d->ready_fd >= 0)
		close(d->ready_fd);
	if (d->epoll_fd >= 0)
		close(d->epoll_fd);
	d->ready_fd = -1;
	d->epoll_fd = -1;
}

static int daemon_fd(struct fnpu_session *s)
{
	struct daemon_session *d = daemon_of(s);
	int ret;

	if (d->epoll_fd >= 0)
		return d->epoll_fd;
	ret = open_fds(d);
	if (ret) {
		close_fds(d);
		return fnpu_fail(&s->error, ret, "no file descriptor: %s", strerror(-ret));
	}
	update_fd(d);
	return d->epoll_fd;
}

/* ---- samples ---- */

/* As many as fit into a message, which stay unsent. */
static uint32_t fill_message(struct daemon_session *d)
{
	const uint32_t room = (FNPUD_MESSAGE_BYTES - sizeof(struct fnpud_submit)) /
			      sizeof(struct fnpud_sample);
	const uint32_t count = d->unsent.count < room ? d->unsent.count : room;
	struct fnpud_submit *m = (struct fnpud_submit *)d->message;

	*m = (struct fnpud_submit){
		.header = {
			.type = FNPUD_SUBMIT,
			.bytes = (uint32_t)(sizeof(*m) + count * sizeof(m->samples[0])),
		},
		.count = count,
	};
	for (uint32_t i = 0; i < count; i++)
		m->samples[i] = d->slots[index_peek(&d->unsent, i)].sample;
	return count;
}

/* Whoever hangs up is found out about by pull(), after what it has still sent. */
static void push(struct daemon_session *d)
{
	d->blocked = false;
	while (d->unsent.count && !d->blocked) {
		uint32_t count = fill_message(d);
		const struct fnpud_header *m = (const struct fnpud_header *)d->message;

		if (daemon_send(d->conn, m, m->bytes, -1)) {
			d->blocked = true;
			return;
		}
		d->running += count;
		while (count--)
			d->slots[index_pop(&d->unsent)].state = SLOT_RUNNING;
	}
}

/* ---- questions ---- */

/*
 * Ask for @type of @bytes, which d->message then holds; results may come in between. Only when
 * nothing is asked can an ERROR mean that the daemon stops.
 */
static int ask(struct daemon_session *d, const void *request, size_t request_bytes, int fd,
	       uint32_t type, size_t bytes, struct fnpu_error *error)
{
	const struct fnpud_header *m = (const struct fnpud_header *)d->message;
	int ret = daemon_send(d->conn, request, request_bytes, fd);

	while (!ret || ret == -EPIPE) {
		ret = daemon_await(d->conn);
		if (!ret)
			ret = daemon_receive(d->conn, (struct fnpud_header *)d->message);
		if (ret == -ETIMEDOUT)
			d->owed++;
		if (ret <= 0 || (m->type != FNPUD_RESULTS && (m->type != FNPUD_STATED || !d->owed)))
			return daemon_answer(m, ret, type, bytes, error);
		ret = take_message(d, (size_t)ret) ? 0 : -EPROTO;
	}
	return daemon_answer(m, ret, type, bytes, error);
}

/* ---- buffers of the user's ---- */

static int send_buffer(struct daemon_session *d, uint32_t number, int fd, size_t bytes,
		       struct fnpu_error *error)
{
	const struct fnpud_buffer m = {
		.header = { .type = FNPUD_BUFFER, .bytes = sizeof(m) },
		.bytes = bytes,
		.buffer = number,
	};

	return ask(d, &m, sizeof(m), fd, FNPUD_BUFFERED, sizeof(struct fnpud_header), error);
}

/* False: the daemon does not listen now. */
static bool release_buffer(struct daemon_session *d, uint32_t number)
{
	const struct fnpud_release m = {
		.header = { .type = FNPUD_RELEASE, .bytes = sizeof(m) },
		.buffer = number,
	};

	if (daemon_send(d->conn, &m, sizeof(m), -1))
		return false;
	daemon_memory_put(d->buffers[number].memory);
	d->buffers[number].memory = NULL;
	return true;
}

/* Those that have been freed and have no samples are the daemon's no longer, as far as it listens. */
static void release_freed(struct daemon_session *d)
{
	const uint32_t freed = daemon_freed(d->session.device);
	bool all = true;

	if (freed == d->seen_freed)
		return;
	for (uint32_t i = 0; i < FNPUD_MAX_BUFFERS; i++) {
		const struct daemon_buffer *b = &d->buffers[i];

		if (b->memory && atomic_load(&b->memory->freed) &&
		    (b->samples || !release_buffer(d, i)))
			all = false;
	}
	if (all)
		d->seen_freed = freed;
}

/* A number for another buffer: a free one, or that of the one that has not been used for longest. */
static uint32_t spare_number(const struct daemon_session *d)
{
	uint32_t spare = SLOTS_BUFFER;

	for (uint32_t i = SLOTS_BUFFER + 1; i < FNPUD_MAX_BUFFERS; i++) {
		const struct daemon_buffer *b = &d->buffers[i];

		if (!b->memory)
			return i;
		if (!b->samples && (spare == SLOTS_BUFFER || b->used < d->buffers[spare].used))
			spare = i;
	}
	return spare;
}

/* @bo as number @number. What fails without the daemon's refusal is the end of the session. */
static int tell_buffer(struct daemon_session *d, uint32_t number, const struct fnpu_bo *bo)
{
	const struct daemon_memory *memory = bo->priv;
	struct fnpud_header *m = (struct fnpud_header *)d->message;
	int ret;

	m->type = FNPUD_NONE;
	ret = send_buffer(d, number, memory->fd, bo->bytes, &d->session.error);
	if (ret && m->type != FNPUD_ERROR) {
		lose(d, ret == -EPROTO ? ret : -ENODEV);
		return d->session.broken;
	}
	if (ret == -ESHUTDOWN) {	/* not about the buffer: it stops */
		take_message(d, sizeof(struct fnpud_error));
		return d->session.broken;
	}
	return ret;
}

/* Those without samples, which it may be told of again. */
static void release_idle(struct daemon_session *d)
{
	for (uint32_t i = SLOTS_BUFFER + 1; i < FNPUD_MAX_BUFFERS; i++)
		if (d->buffers[i].memory && !d->buffers[i].samples)
			release_buffer(d, i);
}

/* The number by which the daemon knows @bo, or a negative errno. */
static int find_buffer(struct daemon_session *d, const struct fnpu_bo *bo)
{
	struct daemon_memory *memory = bo->priv;
	struct pollfd p = { .fd = d->conn, .events = POLLOUT };
	uint32_t number;
	int ret;

	for (number = SLOTS_BUFFER + 1; number < FNPUD_MAX_BUFFERS; number++)
		if (d->buffers[number].memory == memory)
			return (int)number;
	number = spare_number(d);
	if (number == SLOTS_BUFFER)
		return fnpu_fail(&d->session.error, -EAGAIN,
				 "%u buffers have samples without a result: fetch results first",
				 FNPUD_MAX_BUFFERS - 1);
	if (poll(&p, 1, 0) == 0)
		return fnpu_fail(&d->session.error, -EAGAIN,
				 "fluidnpud has not read yet what it was sent: fetch results first");
	daemon_memory_put(d->buffers[number].memory);	/* which the daemon lets go of now */
	d->buffers[number].memory = NULL;
	ret = tell_buffer(d, number, bo);
	if (ret == -EDQUOT) {
		release_idle(d);
		ret = tell_buffer(d, number, bo);
	}
	if (ret)
		return ret;
	atomic_fetch_add(&memory->users, 1);
	d->buffers[number].memory = memory;
	return (int)number;
}

/* ---- samples ---- */

static int place_input(struct daemon_session *d, uint32_t index, const struct fnpu_request *r)
{
	struct fnpud_sample *sample = &d->slots[index].sample;
	int number = SLOTS_BUFFER;

	sample->format = FNPU_INPUT_I8_NHWC;
	sample->offset = FNPUD_NO_INPUT;
	if (r->bo) {
		number = find_buffer(d, r->bo);
		if (number < 0)
			return number;
		sample->offset = r->bo_offset;
	} else if (d->inputs) {
		sample->offset = index * d->input_stride;
		fnpu_session_store_input(&d->session, r, d->inputs + sample->offset);
	}
	sample->buffer = (uint32_t)number;
	d->buffers[number].samples++;
	d->buffers[number].used = ++d->uses;
	return 0;
}

static int daemon_submit(struct fnpu_session *s, const struct fnpu_request *r)
{
	struct daemon_session *d = daemon_of(s);
	struct daemon_slot *slot;
	uint32_t index;
	int ret = s->broken;

	if (!ret)
		ret = fnpu_session_check_request(s, r);
	if (!ret && r->bo && r->bo_offset % FNPUD_INPUT_ALIGN)
		ret = fnpu_fail(&s->error, -EINVAL,
				"fluidnpud takes inputs at multiples of %u bytes, not at %" PRIu64,
				FNPUD_INPUT_ALIGN, r->bo_offset);
	if (ret)
		return ret;
	if (!d->free_slots.count) {
		s->stats.rejected++;
		return fnpu_fail(&s->error, -EAGAIN, "the queue is full: fetch results first");
	}
	index = index_peek(&d->free_slots, 0);
	slot = &d->slots[index];
	ret = place_input(d, index, r);
	if (ret) {
		update_fd(d);	/* results may have come with the answer */
		return ret;
	}
	index_pop(&d->free_slots);
	slot->state = SLOT_WAITING;
	slot->generation++;
	slot->user_data = r->user_data;
	slot->sample = (struct fnpud_sample){
		.user_data = (uint64_t)slot->generation << 32 | index,
		.offset = slot->sample.offset,
		.buffer = slot->sample.buffer,
		.slo_ns = r->slo_ns,
		.format = slot->sample.format,
		.exit_index = r->exit_index,
		.priority = r->priority,
		.flags = r->flags,
	};
	index_push(&d->unsent, index);
	s->stats.submitted++;
	update_fd(d);
	return 0;
}

/* ---- waiting ---- */

static bool is_moving(const struct daemon_session *d)
{
	return d->unsent.count || d->running;
}

static void advance(struct daemon_session *d)
{
	if (!d->session.broken) {
		release_freed(d);
		push(d);
	}
	if (!d->session.broken || d->running)
		pull(d);
}

static void release_taken(struct daemon_session *d)
{
	while (d->taken.count) {
		uint32_t index = index_pop(&d->taken);

		d->slots[index].state = SLOT_FREE;
		index_push(&d->free_slots, index);
	}
}

static int take_results(struct daemon_session *d, struct fnpu_result *results, uint32_t max)
{
	uint32_t count;

	for (count = 0; count < max && d->done.count; count++) {
		uint32_t index = index_pop(&d->done);

		results[count] = d->slots[index].result;
		d->slots[index].state = SLOT_TAKEN;
		index_push(&d->taken, index);
	}
	return (int)count;
}

/* Until there may be something to do, at most until @deadline (host time, ns; negative: never). */
static int wait_until(const struct daemon_session *d, int64_t deadline)
{
	struct pollfd p = { .fd = d->conn, .events = POLLIN | (d->blocked ? POLLOUT : 0) };
	struct timespec ts = { 0 };
	int n;

	if (deadline >= 0) {
		int64_t left = deadline - fnpu_session_host_ns();

		if (left < 0)
			left = 0;
		ts.tv_sec = left / NS_PER_S;
		ts.tv_nsec = left % NS_PER_S;
	}
	n = ppoll(&p, 1, deadline < 0 ? NULL : &ts, NULL);
	if (n < 0)
		return -errno;
	return n ? 0 : -ETIMEDOUT;
}

static int daemon_flush(struct fnpu_session *s)
{
	advance(daemon_of(s));
	update_fd(daemon_of(s));
	return is_moving(daemon_of(s)) ? 0 : s->broken;
}

static int daemon_poll(struct fnpu_session *s, struct fnpu_result *results, uint32_t max)
{
	struct daemon_session *d = daemon_of(s);
	int count;

	release_taken(d);
	advance(d);
	count = take_results(d, results, max);
	update_fd(d);
	return count || is_moving(d) ? count : s->broken;
}

static int daemon_wait(struct fnpu_session *s, struct fnpu_result *results, uint32_t max,
		       int64_t timeout_ns)
{
	const int64_t deadline = fnpu_session_deadline(timeout_ns);
	struct daemon_session *d = daemon_of(s);
	int ret = 0;

	release_taken(d);
	advance(d);
	while (!ret && !d->done.count && is_moving(d)) {
		ret = wait_until(d, deadline);
		advance(d);
	}
	if (d->done.count)
		ret = take_results(d, results, max);
	update_fd(d);
	return ret ? ret : s->broken;
}

static int daemon_wait_until(struct fnpu_session *s, struct fnpu_result *results, uint32_t max,
			     uint64_t time)
{
	struct daemon_session *d = daemon_of(s);
	int ret = 0;

	release_taken(d);
	advance(d);
	while (!ret && !d->done.count && (!s->broken || is_moving(d))) {
		const int64_t left = fnpu_session_host_until(s, time);

		ret = left ? wait_until(d, fnpu_session_deadline(left)) : -ETIMEDOUT;
		advance(d);
	}
	if (d->done.count)
		ret = take_results(d, results, max);
	update_fd(d);
	return ret ? ret : s->broken;
}

static int daemon_drain(struct fnpu_session *s, int64_t timeout_ns)
{
	const int64_t deadline = fnpu_session_deadline(timeout_ns);
	struct daemon_session *d = daemon_of(s);
	int ret = 0;

	release_taken(d);
	advance(d);
	while (!ret && is_moving(d)) {
		ret = wait_until(d, deadline);
		advance(d);
	}
	update_fd(d);
	return ret ? ret : s->broken;
}

/* What has been sent is the daemon's, who is told as far as he listens. How many there are. */
static int cancel_sent(struct daemon_session *d, uint64_t user_data)
{
	int sent = 0;

	for (uint32_t i = 0; i < d->num_slots; i++) {
		const struct fnpud_cancel m = {
			.header = { .type = FNPUD_CANCEL, .bytes = sizeof(m) },
			.user_data = d->slots[i].sample.user_data,
		};

		if (d->slots[i].state != SLOT_RUNNING || d->slots[i].user_data != user_data)
			continue;
		sent++;
		daemon_send(d->conn, &m, sizeof(m), -1);
	}
	return sent;
}

static int daemon_cancel(struct fnpu_session *s, uint64_t user_data)
{
	struct daemon_session *d = daemon_of(s);
	const int sent = cancel_sent(d, user_data);
	int cancelled = 0;

	for (uint32_t left = d->unsent.count; left; left--) {
		const uint32_t index = index_pop(&d->unsent);

		if (d->slots[index].user_data != user_data) {
			index_push(&d->unsent, index);
			continue;
		}
		d->slots[index].result = (struct fnpu_result){ 0 };
		finish(d, index, -ECANCELED, reason_of(d, -ECANCELED));
		cancelled++;
	}
	update_fd(d);
	if (cancelled)
		return cancelled;
	return sent ? -EINPROGRESS : -ENOENT;
}

/* ---- small queries ---- */

static uint32_t daemon_pending(const struct fnpu_session *s)
{
	const struct daemon_session *d = daemon_of(s);

	return d->unsent.count + d->running + d->done.count;
}

/* Of jobs, only the daemon knows: its own, shared by all clients. */
static int ask_stats(struct daemon_session *d, struct fnpud_stated *stated)
{
	const struct fnpud_header m = { .type = FNPUD_STATS, .bytes = sizeof(m) };
	int ret = d->session.broken;

	if (!ret)
		ret = ask(d, &m, sizeof(m), -1, FNPUD_STATED, sizeof(*stated), NULL);
	if (!ret)
		memcpy(stated, d->message, sizeof(*stated));
	return ret;
}

static void daemon_stats(const struct fnpu_session *s, struct fnpu_session_stats *stats)
{
	struct daemon_session *d = daemon_of(s);
	struct fnpud_stated now;

	if (!ask_stats(d, &now)) {
		d->session.stats.jobs = now.jobs - d->before.jobs;
		d->session.stats.job_samples = now.job_samples - d->before.job_samples;
		for (int i = 0; i < FLUIDNPU_MAX_BATCH; i++)
			d->session.stats.batches[i] = now.batches[i] - d->before.batches[i];
	}
	*stats = s->stats;
	update_fd(d);	/* results may have come with the answer */
}

static const char *daemon_submission(const struct fnpu_session *s)
{
	return s->device->ops->name;
}

/* ---- open and close ---- */

static void free_session(struct daemon_session *d)
{
	close_fds(d);
	if (d->conn >= 0)
		close(d->conn);
	if (d->inputs)
		munmap(d->inputs, d->inputs_bytes);
	for (uint32_t i = 0; i < FNPUD_MAX_BUFFERS; i++)
		daemon_memory_put(d->buffers[i].memory);
	free(d->taken.items);
	free(d->done.items);
	free(d->unsent.items);
	free(d->free_slots.items);
	free(d->logits);
	free(d->heads);
	free(d->slots);
	free(d);
}

static void daemon_session_close(struct fnpu_session *s)
{
	free_session(daemon_of(s));
}

static const struct fnpu_session_ops daemon_ops = {
	.close = daemon_session_close,
	.submit = daemon_submit,
	.flush = daemon_flush,
	.poll = daemon_poll,
	.wait = daemon_wait,
	.wait_until = daemon_wait_until,
	.drain = daemon_drain,
	.cancel = daemon_cancel,
	.time = fnpu_local_time,
	.pending = daemon_pending,
	.fd = daemon_fd,
	.stats = daemon_stats,
	.submission = daemon_submission,
};

static int make_slots(struct daemon_session *d, struct fnpu_error *error)
{
	const struct fnpu_session *s = &d->session;
	const uint32_t num = d->num_slots;

	d->slots = calloc(num, sizeof(*d->slots));
	if (s->flags & FNPU_SESSION_NO_EXIT)
		d->heads = calloc((size_t)num * s->info->num_exits, sizeof(*d->heads));
	if (s->flags & FNPU_SESSION_LOGITS) {
		d->logits_stride = s->info->logits_bytes;
		d->logits = calloc(num, d->logits_stride);
	}
	if (!d->slots || (s->flags & FNPU_SESSION_NO_EXIT && !d->heads) ||
	    (s->flags & FNPU_SESSION_LOGITS && !d->logits) || index_init(&d->free_slots, num) ||
	    index_init(&d->unsent, num) || index_init(&d->done, num) || index_init(&d->taken, num))
		return fnpu_fail(error, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < num; i++)
		index_push(&d->free_slots, i);
	return 0;
}

static int ask_session(struct daemon_session *d, const struct fnpu_session_options *o,
		       struct fnpu_error *error)
{
	const struct fnpu_file_header *file = fnpu_file_head(d->session.model->file);
	const struct fnpu_model_info *info = d->session.info;
	const struct fnpud_open m = {
		.header = { .type = FNPUD_OPEN, .bytes = sizeof(m) },
		.crc32 = file->crc32,
		.file_bytes = file->file_bytes,
		.flags = o->flags,
		.slo_ns = o->slo_ns,
		.queue_bound = o->queue_bound,
	};
	const struct fnpud_opened *opened = (const struct fnpud_opened *)d->message;
	int ret;

	if (o->flags & ~(FNPU_SESSION_LOGITS | FNPU_SESSION_NO_EXIT) ||
	    o->queue_bound > FNPUD_MAX_QUEUE)
		return fnpu_fail(error, -EINVAL, "session flags %#x, or a queue of %u samples, cannot be",
				 o->flags, o->queue_bound);
	ret = ask(d, &m, sizeof(m), -1, FNPUD_OPENED, sizeof(*opened), error);
	if (ret)
		return ret;
	if (!opened->queue_bound || opened->queue_bound > FNPUD_MAX_QUEUE ||
	    opened->record_bytes != fnpud_record_bytes(o->flags, info->num_exits, info->logits_bytes))
		return fnpu_fail(error, -EPROTO, "fluidnpud grants a session that cannot be");
	d->num_slots = opened->queue_bound;
	d->record_bytes = opened->record_bytes;
	d->session.max_batch = opened->max_batch;
	return 0;
}

static int make_inputs(struct daemon_session *d, struct fnpu_error *error)
{
	int fd, ret = 0;

	d->input_stride = (d->session.info->input_bytes + FNPUD_INPUT_ALIGN - 1) &
			  ~(size_t)(FNPUD_INPUT_ALIGN - 1);
	/* whole pages, which alone can be the NPU's */
	d->inputs_bytes = (d->num_slots * d->input_stride + FLUIDNPU_PAGE_BYTES - 1) &
			  ~(size_t)(FLUIDNPU_PAGE_BYTES - 1);
	fd = daemon_shared(d->inputs_bytes);
	if (fd < 0)
		return fnpu_fail(error, fd, "no memory for inputs: %s", strerror(-fd));
	d->inputs = mmap(NULL, d->inputs_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (d->inputs == MAP_FAILED) {
		d->inputs = NULL;
		ret = fnpu_fail(error, -errno, "no memory for inputs: %s", strerror(errno));
	} else {
		ret = send_buffer(d, SLOTS_BUFFER, fd, d->inputs_bytes, error);
	}
	close(fd);
	return ret;
}

static int open_remote(struct daemon_session *d, const struct fnpu_session_options *o,
		       struct fnpu_error *error)
{
	const struct fnpu_device_info *info = fnpu_device_info(d->session.device);
	struct fnpud_device now;
	int ret;

	d->conn = daemon_connect(info->path, &now, error);
	ret = d->conn < 0 ? d->conn : ask_session(d, o, error);
	if (!ret)
		ret = make_slots(d, error);
	if (!ret && info->features & FLUIDNPU_FEATURE_FUNCTIONAL)
		ret = make_inputs(d, error);
	if (!ret && ask_stats(d, &d->before))
		ret = fnpu_fail(error, -ENODEV, "fluidnpud does not answer: see its log");
	return ret;
}

int daemon_session_open(struct fnpu_device *device, const struct fnpu_model *model,
			const struct fnpu_session_options *o,
			struct fnpu_session **out, struct fnpu_error *error)
{
	int ret = fnpu_model_check(model, device, error);
	struct fnpu_counters counters;
	struct daemon_session *d;

	if (ret)
		return ret;
	fnpu_error_clear(error);
	d = calloc(1, sizeof(*d));
	if (!d)
		return fnpu_fail(error, -ENOMEM, "out of memory");
	d->session.ops = &daemon_ops;
	d->session.device = device;
	d->session.model = model;
	d->session.info = fnpu_model_info(model);
	d->session.flags = o->flags;
	fnpu_byte_map_init(&d->session.byte_map, d->session.info->byte_scale,
			   d->session.info->byte_offset, d->session.info->input_scale,
			   d->session.info->input_zero_point);
	d->seen_freed = daemon_freed(device);
	d->slo_ns = o->slo_ns;
	d->conn = -1;
	d->epoll_fd = -1;
	d->ready_fd = -1;
	ret = open_remote(d, o, error);
	if (ret) {
		free_session(d);
		return ret;
	}
	/* a first guess; results tell better */
	if (!fnpu_device_counters(device, &counters))
		fnpu_session_hear(&d->session, counters.time);
	*out = &d->session;
	return 0;
}
