// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cli.h"
#include "error.h"
#include "model.h"
#include "server.h"

#define RESULTS_AT_ONCE	64
#define QUEUE_BATCHES	2u
#define NO_TICKET	UINT32_MAX
#define DEPTH		2u	/* jobs in flight; fnpu_session_open() has the same default */

/* ---- models and sessions ---- */

static uint32_t queue_bound(const struct fnpud_server *server, const struct fnpu_model_info *info)
{
	uint32_t batch = fnpu_device_info(server->device)->geometry.max_batch;

	if (info->max_batch < batch)
		batch = info->max_batch;
	if (server->options->batch && server->options->batch < batch)
		batch = server->options->batch;
	return QUEUE_BATCHES * batch;
}

static int open_session(struct fnpud_engine *e, struct fnpu_error *error)
{
	const struct fnpud_options *o = e->server->options;
	const uint32_t bound = queue_bound(e->server, e->model->info);
	const struct fnpu_session_options options = {
		.policy = o->policy,
		.submission = o->submission,
		.max_batch = o->batch,
		.queue_bound = bound,
		.depth = DEPTH,
		.flags = e->flags,
	};
	int ret = fnpu_session_open(e->server->device, e->model->model, &options, &e->session, error);
	int fd;

	if (ret)
		return ret;
	fd = fnpu_session_fd(e->session);
	ret = fd < 0 ? fd : fnpud_server_watch(e->server, fd, EPOLLIN, &e->source);
	if (ret)
		return fnpu_fail(error, ret, "a session cannot be waited for: %s", strerror(-ret));
	/* as many as the session can hold: waiting, running, and results not fetched */
	e->num_tickets = bound + 2 * DEPTH * fnpu_session_max_batch(e->session);
	e->tickets = calloc(e->num_tickets, sizeof(*e->tickets));
	if (!e->tickets)
		return fnpu_fail(error, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < e->num_tickets; i++)
		e->tickets[i].next_free = i + 1 < e->num_tickets ? i + 1 : NO_TICKET;
	return 0;
}

static void engine_close(struct fnpud_engine *e)
{
	if (!e)
		return;
	fnpu_session_close(e->session);
	for (uint32_t i = 0; e->tickets && i < e->num_tickets; i++)
		fnpud_memory_put(e->tickets[i].memory);
	free(e->tickets);
	free(e);
}

/* Those that have work are looked at in every round, fnpud_serve_run(), the others then. */
static void engine_ready(struct fnpud_source *source, uint32_t events)
{
	(void)events;
	fnpud_container(source, struct fnpud_engine, source)->woken = true;
}

static int engine_open(struct fnpud_model *model, struct fnpud_server *server, uint32_t flags,
		       struct fnpu_error *error)
{
	struct fnpud_engine *e = calloc(1, sizeof(*e));
	int ret;

	if (!e)
		return fnpu_fail(error, -ENOMEM, "out of memory");
	e->source.ready = engine_ready;
	e->server = server;
	e->model = model;
	e->number = (uint32_t)(model - server->models) * FNPUD_ENGINES + flags;
	e->flags = flags;
	fnpud_turns_init(&e->turns);
	ret = open_session(e, error);
	if (ret) {
		engine_close(e);
		return ret;
	}
	model->engines[flags] = e;
	return 0;
}

static int model_open(struct fnpud_server *server, const char *path)
{
	struct fnpud_model *m = &server->models[server->num_models];
	struct fnpu_error error;

	if (fnpu_model_load(path, &m->model, &error))
		return cli_error("%s", error.text);
	server->num_models++;
	m->info = fnpu_model_info(m->model);
	m->metrics.name = m->info->name;
	m->metrics.num_exits = m->info->num_exits;
	if (fnpu_model_check(m->model, server->device, &error))
		return cli_error("%s", error.text);
	if (error.text[0])
		cli_error("warning: %s", error.text);
	if (engine_open(m, server, 0, &error))
		return cli_error("%s", error.text);
	return 0;
}

int fnpud_serve_open(struct fnpud_server *server)
{
	for (uint32_t i = 0; i < server->options->num_models; i++)
		if (model_open(server, server->options->models[i]))
			return -1;
	return 0;
}

void fnpud_serve_close(struct fnpud_server *server)
{
	for (uint32_t i = 0; i < server->num_models; i++) {
		for (uint32_t j = 0; j < FNPUD_ENGINES; j++)
			engine_close(server->models[i].engines[j]);
		fnpu_model_free(server->models[i].model);
	}
}

static int no_such_model(const struct fnpud_server *server, const struct fnpud_open *open,
			 struct fnpu_error *error)
{
	char names[FNPU_ERROR_BYTES / 2] = "";
	size_t used = 0;

	for (uint32_t i = 0; i < server->num_models && used < sizeof(names); i++)
		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", i ? ", " : "",
					 server->models[i].info->name);
	return fnpu_fail(error, -ENOENT,
			 "fluidnpud does not serve the model with checksum %08x, only: %s; start it with --model and the very same file",
			 open->crc32, names);
}

int fnpud_engine_find(struct fnpud_server *server, const struct fnpud_open *open,
		      struct fnpud_engine **engine, struct fnpu_error *error)
{
	for (uint32_t i = 0; i < server->num_models; i++) {
		struct fnpud_model *m = &server->models[i];
		const struct fnpu_file_header *h = fnpu_file_head(m->model->file);
		int ret = 0;

		if (h->crc32 != open->crc32 || h->file_bytes != open->file_bytes)
			continue;
		if (!m->engines[open->flags])
			ret = engine_open(m, server, open->flags, error);
		*engine = m->engines[open->flags];
		return ret;
	}
	return no_such_model(server, open, error);
}

/* ---- results ---- */

static uint32_t take_ticket(struct fnpud_engine *e, struct fnpud_task *task)
{
	const uint32_t ticket = e->free_ticket;

	e->free_ticket = e->tickets[ticket].next_free;
	e->tickets[ticket].task = task;
	e->tickets[ticket].memory = task->memory;
	task->memory = NULL;
	return ticket;
}

static struct fnpud_task *return_ticket(struct fnpud_engine *e, uint32_t ticket)
{
	struct fnpud_task *task = e->tickets[ticket].task;

	fnpud_memory_put(e->tickets[ticket].memory);
	e->tickets[ticket].memory = NULL;
	e->tickets[ticket].task = NULL;
	e->tickets[ticket].next_free = e->free_ticket;
	e->free_ticket = ticket;
	return task;
}

static void count_failure(struct fnpud_engine *e, const struct fnpud_conn *conn, int status)
{
	e->model->metrics.failures[fnpud_metrics_failure(status)]++;
	if (conn)
		fnpud_metrics_user(&e->server->metrics, conn->client->uid)->failure++;
}

static void drop_memory(struct fnpud_task *task)
{
	fnpud_memory_put(task->memory);
	task->memory = NULL;
}

static void fail_task(struct fnpud_engine *e, struct fnpud_task *task, int status)
{
	drop_memory(task);
	*task->record = (struct fnpud_result){
		.user_data = task->sample.user_data,
		.status = status,
	};
	count_failure(e, task->conn, status);
	fnpud_conn_answer(task);
}

void fnpud_engine_cancel(struct fnpud_engine *e, struct fnpud_task *task)
{
	if (task->state == FNPUD_TASK_QUEUED) {
		fnpud_remove(&e->turns, &task->item);
		fail_task(e, task, -ECANCELED);
	} else if (task->state == FNPUD_TASK_RUNNING) {
		fnpu_session_cancel(e->session, task->ticket);
	}
}

void fnpud_engine_forget(struct fnpud_engine *e, struct fnpud_task *task)
{
	if (task->state == FNPUD_TASK_QUEUED) {
		fnpud_remove(&e->turns, &task->item);
		drop_memory(task);
	} else {
		e->tickets[task->ticket].task = NULL;
	}
	count_failure(e, task->conn, -ECANCELED);
}

static void fill_head(struct fnpud_head *to, const struct fnpu_head *from)
{
	*to = (struct fnpud_head){
		.class_index = from->class_index,
		.live_batch = from->live_batch,
		.confidence = from->confidence,
		.entropy = from->entropy,
		.margin = from->margin,
		.time = from->time,
	};
}

static void fill_record(const struct fnpud_engine *e, const struct fnpud_task *task,
			const struct fnpu_result *r)
{
	struct fnpud_head *heads = (struct fnpud_head *)(task->record + 1);
	struct fnpud_result *to = task->record;

	*to = (struct fnpud_result){
		.user_data = task->sample.user_data,
		.status = r->status,
		.exit_index = r->exit_index,
		.arrived = e->server->virtual_time ? task->arrived : r->arrived,
		.queued = r->queued,
		.started = r->started,
		.batch = r->batch,
		.preempted = r->preempted,
	};
	fill_head(&to->head, &r->head);
	if (e->flags & FNPU_SESSION_NO_EXIT) {
		for (uint32_t i = 0; r->heads && i < e->model->info->num_exits; i++)
			fill_head(&heads[i], &r->heads[i]);
		heads += e->model->info->num_exits;
	}
	if (r->logits)
		memcpy(heads, r->logits, e->model->info->logits_bytes);
}

/* Since when it was here, but for its time on the NPU, is what it waited. */
static void count_times(struct fnpud_engine *e, const struct fnpud_task *task,
			const struct fnpu_result *r)
{
	const double clock_hz = fnpu_device_info(e->server->device)->clock_hz;
	const double compute = (double)(r->head.time - r->started) / clock_hz;
	double wait = (double)(e->server->now_ns - task->arrived_ns) / 1e9 - compute;

	if (e->server->virtual_time)
		wait = (double)(r->head.time - task->arrived) / clock_hz - compute;
	fnpud_histogram_add(&e->model->metrics.queue, wait > 0 ? wait : 0);
	fnpud_histogram_add(&e->model->metrics.compute, compute);
}

/* The daemon ends: whoever starts it again opens what there is then. */
static void engine_lost(struct fnpud_engine *e, int error, const char *reason)
{
	if (!e->server->lost)
		cli_error("the NPU is lost (%s): %s", strerror(-error), reason);
	e->server->lost = error;
}

static void take_result(struct fnpud_engine *e, const struct fnpu_result *r)
{
	struct fnpud_task *task = return_ticket(e, (uint32_t)r->user_data);
	struct fnpud_model_metrics *m = &e->model->metrics;

	m->preemptions += r->preempted;
	if (r->status == -ENODEV)
		engine_lost(e, r->status, fnpu_session_error(e->session));
	if (!task)
		return;	/* its client has gone, and it is counted as that */
	fill_record(e, task, r);
	if (r->status) {
		count_failure(e, task->conn, r->status);
	} else {
		m->success++;
		m->exits[r->exit_index]++;
		fnpud_metrics_user(&e->server->metrics, task->conn->client->uid)->success++;
		count_times(e, task, r);
	}
	fnpud_conn_answer(task);
}

/* ---- samples to the NPU ---- */

/* What is left of its deadline, which began when it came here; at least 1, for 0 is none. */
static uint64_t slo_left(const struct fnpud_task *task, int64_t now_ns)
{
	const uint64_t slo = task->sample.slo_ns ? task->sample.slo_ns : task->conn->slo_ns;
	const uint64_t waited = now_ns > task->arrived_ns ? (uint64_t)(now_ns - task->arrived_ns) : 0;

	if (!slo)
		return 0;
	return slo > waited ? slo - waited : 1;
}

/* The NPU reads the input itself, or the daemon does now. */
static int submit_input(struct fnpud_engine *e, const struct fnpud_memory *m, uint64_t offset,
			struct fnpu_request *request)
{
	int ret;

	request->input_bytes = fnpud_input_bytes(request->format, e->model->info->input_bytes);
	if (m->bo && request->format == FNPU_INPUT_I8_NHWC) {
		ret = fnpud_memory_ready(m);
		if (ret)
			return ret;
		request->bo = m->bo;
		request->bo_offset = offset;
		ret = fnpu_session_submit(e->session, request);
		e->model->metrics.read_in_place += !ret;
		return ret;
	}
	if (!m->map)
		return -EACCES;	/* only the NPU sees it, and it does not take this format */
	ret = fnpud_memory_begin(m);
	if (ret)
		return ret;
	request->input = m->map + offset;
	ret = fnpu_session_submit(e->session, request);
	fnpud_memory_end(m);
	e->model->metrics.copied += !ret;
	return ret;
}

static int submit(struct fnpud_engine *e, struct fnpud_task *task)
{
	const struct fnpud_sample *s = &task->sample;
	struct fnpu_request request = {
		.user_data = e->free_ticket,
		.format = s->format,
		.exit_index = s->exit_index,
		.slo_ns = slo_left(task, e->server->now_ns),
		.priority = s->priority,
		.flags = s->flags,
	};

	if (e->free_ticket == NO_TICKET)
		return -EAGAIN;
	if (task->memory)
		return submit_input(e, task->memory, s->offset, &request);
	return fnpu_session_submit(e->session, &request);
}

static void admit(struct fnpud_engine *e)
{
	struct fnpud_item *item;

	while ((item = fnpud_next(&e->turns))) {
		struct fnpud_task *task = fnpud_container(item, struct fnpud_task, item);
		int ret = submit(e, task);

		if (ret == -EAGAIN)
			return;
		fnpud_take(&e->turns, item);
		if (ret) {
			fail_task(e, task, ret);
			continue;
		}
		task->state = FNPUD_TASK_RUNNING;
		task->ticket = take_ticket(e, task);
	}
}

static void engine_run(struct fnpud_engine *e)
{
	struct fnpu_result results[RESULTS_AT_ONCE];
	int n, ret;

	admit(e);
	do {
		n = fnpu_session_poll(e->session, results, RESULTS_AT_ONCE);
		for (int i = 0; i < n; i++)
			take_result(e, &results[i]);
	} while (n == RESULTS_AT_ONCE);
	admit(e);
	ret = fnpu_session_flush(e->session);
	if (n < 0 || ret < 0)
		engine_lost(e, n < 0 ? n : ret, fnpu_session_error(e->session));
}

static bool has_work(const struct fnpud_engine *e)
{
	return e->turns.count || fnpu_session_pending(e->session);
}

/* A session without a sample that has something to say: an NPU that goes leaves no other trace. */
static void check_device(struct fnpud_engine *e)
{
	struct fnpu_counters counters;
	int ret = fnpu_device_counters(e->server->device, &counters);

	if (ret)
		engine_lost(e, ret, "it had nothing to do");
}

static void engine_look(struct fnpud_engine *e)
{
	const bool works = has_work(e);

	if (works || e->woken)
		engine_run(e);
	if (e->woken && !works)
		check_device(e);
	e->woken = false;
}

void fnpud_serve_run(struct fnpud_server *server)
{
	for (uint32_t i = 0; i < server->num_models; i++)
		for (uint32_t j = 0; j < FNPUD_ENGINES; j++)
			if (server->models[i].engines[j])
				engine_look(server->models[i].engines[j]);
}

/* ---- counting ---- */

static void add_stats(struct fnpud_model_metrics *m, const struct fnpud_engine *e)
{
	struct fnpu_session_stats stats;

	fnpu_session_stats(e->session, &stats);
	m->stats.jobs += stats.jobs;
	m->stats.job_samples += stats.job_samples;
	for (uint32_t i = 0; i < FLUIDNPU_MAX_BATCH; i++)
		m->stats.batches[i] += stats.batches[i];
	m->pending += e->turns.count + fnpu_session_pending(e->session);
}

void fnpud_serve_count(struct fnpud_server *server)
{
	struct fnpu_counters counters;

	for (uint32_t i = 0; i < server->num_models; i++) {
		struct fnpud_model *m = &server->models[i];

		m->metrics.stats = (struct fnpu_session_stats){ 0 };
		m->metrics.pending = 0;
		for (uint32_t j = 0; j < FNPUD_ENGINES; j++)
			if (m->engines[j])
				add_stats(&m->metrics, m->engines[j]);
	}
	if (!fnpu_device_counters(server->device, &counters))
		server->metrics.merges = counters.values[FLUIDNPU_CNT_MERGES];
	server->metrics.clients = server->num_clients;
	server->metrics.connections = server->num_conns;
}
