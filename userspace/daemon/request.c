// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "model.h"
#include "request.h"
#include "server.h"

#define DEFAULT_QUEUE_BATCHES	8u

/* ---- HELLO, COUNTERS, STATS ---- */

static void hello(struct fnpud_conn *conn)
{
	const struct fnpu_device_info *info = fnpu_device_info(conn->server->device);
	struct fnpud_device m = {
		.header = { .type = FNPUD_DEVICE, .bytes = sizeof(m) },
		.hw_version = info->hw_version,
		.features = info->features,
		.clock_hz = info->clock_hz,
		.geometry = info->geometry,
	};

	memcpy(m.driver, info->driver, sizeof(m.driver));
	conn->peer.state = FNPUD_GREETED;
	fnpud_conn_reply(conn, &m, sizeof(m));
}

static void counters(struct fnpud_conn *conn)
{
	struct fnpud_counted m = { .header = { .type = FNPUD_COUNTED, .bytes = sizeof(m) } };
	struct fnpu_counters c;
	int ret = fnpu_device_counters(conn->server->device, &c);

	if (ret) {
		fnpud_conn_refuse(conn, FNPUD_COUNTERS, ret, "the NPU's counters cannot be read");
		return;
	}
	m.time = c.time;
	memcpy(m.values, c.values, sizeof(m.values));
	fnpud_conn_reply(conn, &m, sizeof(m));
}

static void stats(struct fnpud_conn *conn)
{
	struct fnpud_stated m = { .header = { .type = FNPUD_STATED, .bytes = sizeof(m) } };
	struct fnpu_session_stats s;

	fnpu_session_stats(conn->engine->session, &s);
	m.jobs = s.jobs;
	m.job_samples = s.job_samples;
	memcpy(m.batches, s.batches, sizeof(m.batches));
	fnpud_conn_reply(conn, &m, sizeof(m));
}

/* ---- OPEN ---- */

/* Who does not say how long gets some batches, or what his quota still has. */
static uint32_t grant_queue(const struct fnpud_conn *conn, const struct fnpud_engine *e,
			    uint32_t wanted)
{
	const struct fnpud_quota *limit = &conn->server->options->quota;
	const uint32_t left = limit->samples - conn->client->used.samples;

	if (wanted)
		return wanted;
	wanted = DEFAULT_QUEUE_BATCHES * fnpu_session_max_batch(e->session);
	if (wanted > left)
		wanted = left;
	return wanted ? wanted : 1;
}

static int reserve(struct fnpud_conn *conn, const struct fnpud_quota *more,
		   struct fnpu_error *error)
{
	int ret = fnpud_reserve(&conn->client->used, &conn->server->options->quota, more, error);

	if (ret)
		return ret;
	conn->reserved.samples += more->samples;
	conn->reserved.buffers += more->buffers;
	conn->reserved.bytes += more->bytes;
	return 0;
}

static void unreserve(struct fnpud_conn *conn, const struct fnpud_quota *less)
{
	fnpud_release(&conn->client->used, less);
	conn->reserved.samples -= less->samples;
	conn->reserved.buffers -= less->buffers;
	conn->reserved.bytes -= less->bytes;
}

static int make_tasks(struct fnpud_conn *conn, uint32_t num, struct fnpu_error *error)
{
	const struct fnpud_quota more = {
		.samples = num,
		.bytes = (uint64_t)num * (conn->record_bytes + sizeof(*conn->tasks)),
	};
	int ret = reserve(conn, &more, error);

	if (ret)
		return ret;
	conn->tasks = calloc(num, sizeof(*conn->tasks));
	conn->records = calloc(num, conn->record_bytes);
	if (!conn->tasks || !conn->records)
		return fnpu_fail(error, -ENOMEM, "fluidnpud is out of memory");
	conn->num_tasks = num;
	for (uint32_t i = 0; i < num; i++) {
		struct fnpud_task *task = &conn->tasks[i];

		task->conn = conn;
		task->record = (struct fnpud_result *)(conn->records + (size_t)i * conn->record_bytes);
		TAILQ_INSERT_TAIL(&conn->free_tasks, task, link);
	}
	return 0;
}

static int open_session(struct fnpud_conn *conn, const struct fnpud_open *m,
			struct fnpu_error *error)
{
	const struct fnpu_model_info *info;
	struct fnpud_engine *e;
	uint64_t record_bytes;
	int ret;

	ret = fnpud_engine_find(conn->server, m, &e, error);
	if (ret)
		return ret;
	info = e->model->info;
	record_bytes = fnpud_record_bytes(m->flags, info->num_exits, info->logits_bytes);
	if (record_bytes > FNPUD_MESSAGE_BYTES - sizeof(struct fnpud_results))
		return fnpu_fail(error, -EMSGSIZE,
				 "model %s has too many logits for fluidnpud: use the NPU without it",
				 info->name);
	conn->record_bytes = (uint32_t)record_bytes;
	ret = make_tasks(conn, grant_queue(conn, e, m->queue_bound), error);
	if (ret)
		return ret;
	conn->engine = e;
	conn->flow = &conn->client->flows[e->number];
	conn->slo_ns = m->slo_ns ? m->slo_ns : conn->server->options->slo_ns;
	conn->peer.input_bytes = info->input_bytes;
	conn->peer.num_exits = info->num_exits;
	conn->peer.state = FNPUD_IS_OPEN;
	return 0;
}

/* The connection of a session that is refused is of no use any more. */
static void open_request(struct fnpud_conn *conn, const struct fnpud_open *request)
{
	struct fnpud_opened m = { .header = { .type = FNPUD_OPENED, .bytes = sizeof(m) } };
	struct fnpu_error error;
	int ret = open_session(conn, request, &error);

	if (ret) {
		fnpud_conn_doom(conn, FNPUD_OPEN, ret, error.text);
		return;
	}
	m.queue_bound = conn->num_tasks;
	m.max_batch = fnpu_session_max_batch(conn->engine->session);
	m.record_bytes = conn->record_bytes;
	fnpud_conn_reply(conn, &m, sizeof(m));
}

/* ---- BUFFER, RELEASE ---- */

/* 0: @buffer is none any more, if it was one. Samples in it would be memory beyond the quota. */
static int release_buffer(struct fnpud_conn *conn, uint32_t buffer, struct fnpu_error *error)
{
	if (!conn->buffers[buffer])
		return 0;
	if (conn->buffers[buffer]->users > 1)
		return fnpu_fail(error, -EBUSY, "buffer %u has samples without a result", buffer);
	unreserve(conn, &(struct fnpud_quota){
		.buffers = 1, .bytes = conn->peer.buffer_bytes[buffer] });
	conn->peer.buffer_bytes[buffer] = 0;
	fnpud_memory_put(conn->buffers[buffer]);
	conn->buffers[buffer] = NULL;
	return 0;
}

static int take_buffer(struct fnpud_conn *conn, const struct fnpud_buffer *request, int fd,
		       struct fnpu_error *error)
{
	const struct fnpud_quota more = { .buffers = 1, .bytes = request->bytes };
	int ret = release_buffer(conn, request->buffer, error);

	if (!ret)
		ret = reserve(conn, &more, error);
	if (ret)
		return ret;
	ret = fnpud_memory_new(conn->server->device, fd, request->bytes,
			       &conn->buffers[request->buffer], error);
	if (ret)
		unreserve(conn, &more);
	else
		conn->peer.buffer_bytes[request->buffer] = request->bytes;
	return ret;
}

static void buffer_request(struct fnpud_conn *conn, const struct fnpud_buffer *request, int fd)
{
	const struct fnpud_header m = { .type = FNPUD_BUFFERED, .bytes = sizeof(m) };
	struct fnpu_error error;
	int ret = take_buffer(conn, request, fd, &error);

	if (ret)
		fnpud_conn_refuse(conn, FNPUD_BUFFER, ret, error.text);
	else
		fnpud_conn_reply(conn, &m, sizeof(m));
}

static void release_request(struct fnpud_conn *conn, const struct fnpud_release *request)
{
	struct fnpu_error error;
	int ret = release_buffer(conn, request->buffer, &error);

	if (ret)
		fnpud_conn_doom(conn, FNPUD_RELEASE, ret, error.text);
}

/* ---- SUBMIT ---- */

static void take_sample(struct fnpud_conn *conn, const struct fnpud_sample *sample)
{
	struct fnpud_task *task = TAILQ_FIRST(&conn->free_tasks);

	TAILQ_REMOVE(&conn->free_tasks, task, link);
	task->state = FNPUD_TASK_QUEUED;
	task->sample = *sample;
	task->memory = sample->offset == FNPUD_NO_INPUT ? NULL :
		fnpud_memory_get(conn->buffers[sample->buffer]);
	task->arrived_ns = conn->server->now_ns;
	task->arrived = conn->server->now_cycles;
	fnpud_push(&conn->engine->turns, conn->flow, &task->item, sample->priority, sample->flags);
	conn->outstanding++;
}

/* Those that fit are taken, the others not: who counts his samples never has such. */
static void submit(struct fnpud_conn *conn, const struct fnpud_submit *m)
{
	const uint32_t room = conn->num_tasks - conn->outstanding;
	const uint32_t taken = m->count < room ? m->count : room;
	struct fnpu_error error;

	for (uint32_t i = 0; i < taken; i++)
		take_sample(conn, &m->samples[i]);
	if (taken == m->count)
		return;
	conn->engine->model->metrics.failures[FNPUD_FAILED_QUOTA] += m->count - taken;
	fnpu_fail(&error, -EDQUOT, "%u samples are over the session's quota of %u: wait for results",
		  m->count - taken, conn->num_tasks);
	fnpud_conn_refuse(conn, FNPUD_SUBMIT, -EDQUOT, error.text);
}

/* ---- CANCEL ---- */

static void cancel(struct fnpud_conn *conn, const struct fnpud_cancel *m)
{
	for (uint32_t i = 0; i < conn->num_tasks; i++) {
		struct fnpud_task *task = &conn->tasks[i];

		if (task->sample.user_data == m->user_data)
			fnpud_engine_cancel(conn->engine, task);
	}
}

void fnpud_request(struct fnpud_conn *conn, const void *data, size_t bytes, const int *fds,
		   unsigned int num_fds)
{
	const struct fnpud_header *h = data;
	struct fnpu_error error;
	int ret = fnpud_check(&conn->peer, data, bytes, num_fds, &error);

	if (ret) {
		fnpud_conn_doom(conn, FNPUD_NONE, ret, error.text);
		return;
	}
	switch (h->type) {
	case FNPUD_HELLO:
		hello(conn);
		break;
	case FNPUD_OPEN:
		open_request(conn, data);
		break;
	case FNPUD_BUFFER:
		buffer_request(conn, data, fds[0]);
		break;
	case FNPUD_RELEASE:
		release_request(conn, data);
		break;
	case FNPUD_SUBMIT:
		submit(conn, data);
		break;
	case FNPUD_CANCEL:
		cancel(conn, data);
		break;
	case FNPUD_COUNTERS:
		counters(conn);
		break;
	case FNPUD_STATS:
		stats(conn);
		break;
	}
}
