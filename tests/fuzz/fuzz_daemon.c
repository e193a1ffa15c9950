// SPDX-License-Identifier: MIT
/*
 * What clients say to fluidnpud under fire: the check of messages, what is done for them, quotas
 * and turns. Sockets, shared memory and the NPU are stubs here; the session of the NPU only tells
 * how large its batches are.
 *
 * An input is a row of steps, each a struct step and what it has of bytes. A step is a message on
 * one of some connections of two clients, or the end of one, or the NPU takes a sample. After
 * each everything must add up.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "fuzz.h"
#include "lib_model.h"
#include "request.h"
#include "server.h"

#define CLIENTS		2
#define CONNS		6
#define NO_MODEL	1u	/* crc32 of a model that is not served */

enum action {
	ACTION_MESSAGE,
	ACTION_CLOSE,
	ACTION_SERVE,
	NUM_ACTIONS,
};

/** struct step - @bytes of a message follow */
struct step {
	uint8_t action;
	uint8_t conn;
	uint8_t fds;
	uint8_t reserved;
	uint32_t bytes;
};

static struct fnpud_options options = {
	.quota = { .connections = CONNS, .samples = 64, .buffers = 4, .bytes = 1 << 16 },
};
static struct fnpud_server server = { .options = &options };
static struct fnpud_engine engine;
static struct fnpud_client *clients[CLIENTS];
static struct fnpud_conn conns[CONNS];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const struct lib_model tiny = LIB_MODEL_DEFAULT;
	const char *path = lib_temp_path("daemon.fnpu");
	struct fnpud_model *m = &server.models[0];

	(void)argc;
	(void)argv;
	lib_model_write(&tiny, path);
	if (fnpu_model_load(path, &m->model, NULL) ||
	    fnpu_device_open("emu", NULL, &server.device, NULL) ||
	    fnpu_session_open(server.device, m->model, NULL, &engine.session, NULL))
		abort();
	m->info = fnpu_model_info(m->model);
	engine.model = m;
	return 0;
}

/* ---- the daemon around it ---- */

static void free_task(struct fnpud_task *task)
{
	fnpud_memory_put(task->memory);
	task->memory = NULL;
	task->state = FNPUD_TASK_FREE;
	TAILQ_INSERT_HEAD(&task->conn->free_tasks, task, link);
	task->conn->outstanding--;
}

void fnpud_conn_reply(struct fnpud_conn *conn, const void *message, size_t bytes)
{
	const struct fnpud_header *h = message;

	fuzz_check(bytes <= sizeof(conn->reply) && h->bytes == bytes && h->type >= FNPUD_DEVICE);
	fuzz_check(!conn->reply_bytes);
	memcpy(conn->reply, message, bytes);
	conn->reply_bytes = (uint32_t)bytes;
}

void fnpud_conn_refuse(struct fnpud_conn *conn, uint32_t request, int error, const char *text)
{
	struct fnpud_error m = { .header = { FNPUD_ERROR, sizeof(m) }, .request = request };

	fuzz_check(error < 0 && text[0]);
	fnpud_conn_reply(conn, &m, sizeof(m));
}

void fnpud_conn_doom(struct fnpud_conn *conn, uint32_t request, int error, const char *text)
{
	fnpud_conn_refuse(conn, request, error, text);
	conn->doomed = true;
}

int fnpud_engine_find(struct fnpud_server *s, const struct fnpud_open *open,
		      struct fnpud_engine **out, struct fnpu_error *error)
{
	(void)s;
	fuzz_check(open->flags < FNPUD_ENGINES);
	if (open->crc32 == NO_MODEL) {
		strcpy(error->text, "no such model");
		return -ENOENT;
	}
	*out = &engine;
	return 0;
}

/* One that waits is gone at once; one that the NPU has is not stopped. */
void fnpud_engine_cancel(struct fnpud_engine *e, struct fnpud_task *task)
{
	fuzz_check(e == &engine);
	if (task->state != FNPUD_TASK_QUEUED)
		return;
	fnpud_remove(&e->turns, &task->item);
	free_task(task);
}

int fnpud_memory_new(struct fnpu_device *device, int fd, uint64_t bytes, struct fnpud_memory **out,
		     struct fnpu_error *error)
{
	struct fnpud_memory *m = calloc(1, sizeof(*m));

	(void)error;
	fuzz_check(device == server.device && !*out && fd == 0 && bytes <= options.quota.bytes);
	if (!m)
		abort();
	m->users = 1;
	m->map = malloc(bytes);
	m->bytes = bytes;
	*out = m;
	return 0;
}

struct fnpud_memory *fnpud_memory_get(struct fnpud_memory *m)
{
	if (m)
		m->users++;
	return m;
}

void fnpud_memory_put(struct fnpud_memory *m)
{
	if (!m)
		return;
	fuzz_check(m->users);
	if (--m->users)
		return;
	free((void *)m->map);
	free(m);
}

/* ---- steps ---- */

static void open_conn(struct fnpud_conn *conn, struct fnpud_client *client)
{
	*conn = (struct fnpud_conn){
		.server = &server,
		.client = client,
		.peer.computes = true,
		.reserved.connections = 1,
	};
	client->used.connections++;
	TAILQ_INIT(&conn->free_tasks);
	TAILQ_INIT(&conn->answered);
}

static void close_conn(struct fnpud_conn *conn)
{
	for (uint32_t i = 0; i < conn->num_tasks; i++) {
		if (conn->tasks[i].state != FNPUD_TASK_QUEUED)
			continue;
		fnpud_remove(&engine.turns, &conn->tasks[i].item);
		fnpud_memory_put(conn->tasks[i].memory);
	}
	/* whoever forgets a user, or has one too many, is found out by the sanitizer */
	for (uint32_t i = 0; i < FNPUD_MAX_BUFFERS; i++)
		fnpud_memory_put(conn->buffers[i]);
	fnpud_release(&conn->client->used, &conn->reserved);
	free(conn->tasks);
	free(conn->records);
}

static volatile uint8_t sink;

/* Whose turn it is: its input is read, its result sent. */
static void serve(void)
{
	struct fnpud_item *item = fnpud_next(&engine.turns);
	struct fnpud_task *task;
	const struct fnpud_sample *s;
	uint64_t bytes;

	if (!item)
		return;
	task = fnpud_container(item, struct fnpud_task, item);
	s = &task->sample;
	bytes = fnpud_input_bytes(s->format, task->conn->peer.input_bytes);
	for (uint64_t i = 0; i < bytes; i++)
		sink = task->memory->map[s->offset + i];
	memset(task->record, 1, task->conn->record_bytes);
	fnpud_take(&engine.turns, item);
	free_task(task);
}

/* Every sample that a connection has is in one place. */
static void check_all(void)
{
	uint32_t queued = 0;

	for (int i = 0; i < CONNS; i++) {
		const struct fnpud_conn *conn = &conns[i];
		uint32_t mine = 0;

		for (uint32_t t = 0; t < conn->num_tasks; t++)
			mine += conn->tasks[t].state == FNPUD_TASK_QUEUED;
		fuzz_check(mine == conn->outstanding && mine <= conn->num_tasks);
		queued += mine;
	}
	fuzz_check(queued == engine.turns.count);
	for (int i = 0; i < CLIENTS; i++) {
		const struct fnpud_quota *used = &clients[i]->used;

		fuzz_check(used->samples <= options.quota.samples &&
			   used->buffers <= options.quota.buffers &&
			   used->bytes <= options.quota.bytes && used->connections == CONNS / CLIENTS);
	}
}

static void do_step(const struct step *step, const void *data)
{
	static uint64_t message[FNPUD_MESSAGE_BYTES / sizeof(uint64_t)];
	const int fds[4] = { 0 };
	struct fnpud_conn *conn = &conns[step->conn % CONNS];

	switch (step->action % NUM_ACTIONS) {
	case ACTION_MESSAGE:
		memcpy(message, data, step->bytes);
		fnpud_request(conn, message, step->bytes, fds, step->fds % 4);
		conn->reply_bytes = 0;
		if (!conn->doomed)
			break;
		/* fall through */
	case ACTION_CLOSE:
		close_conn(conn);
		open_conn(conn, conn->client);
		break;
	case ACTION_SERVE:
		serve();
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct step step;

	fnpud_turns_init(&engine.turns);
	for (int i = 0; i < CLIENTS; i++) {
		clients[i] = calloc(1, sizeof(*clients[i]) + sizeof(clients[i]->flows[0]));
		if (!clients[i])
			abort();
		fnpud_flow_init(&clients[i]->flows[0], 1 + (uint32_t)i);
	}
	for (int i = 0; i < CONNS; i++)
		open_conn(&conns[i], clients[i % CLIENTS]);
	while (size >= sizeof(step)) {
		memcpy(&step, data, sizeof(step));
		data += sizeof(step);
		size -= sizeof(step);
		if (step.bytes > size)
			step.bytes = (uint32_t)size;
		if (step.bytes > FNPUD_MESSAGE_BYTES)
			break;
		do_step(&step, data);
		check_all();
		data += step.bytes;
		size -= step.bytes;
	}
	for (int i = 0; i < CONNS; i++)
		close_conn(&conns[i]);
	fuzz_check(!engine.turns.count);
	for (int i = 0; i < CLIENTS; i++) {
		fuzz_check(!clients[i]->used.samples && !clients[i]->used.buffers &&
			   !clients[i]->used.bytes);
		free(clients[i]);
	}
	return 0;
}

/* ---- the mutator ---- */

#define MAX_SAMPLES	4
#define MESSAGE_WORDS	32	/* room for as many of them */

/* A message of a client that means it; @to is aligned and all zero. Its bytes. */
static size_t good_message(void *to, struct tb_rng *rng)
{
	struct fnpud_header *h = to;
	struct fnpud_submit *submit = to;

	h->type = (uint32_t)tb_range(rng, FNPUD_HELLO, FNPUD_NUM_REQUESTS - 1);
	switch (h->type) {
	case FNPUD_HELLO:
		((struct fnpud_hello *)to)->magic = FNPUD_MAGIC;
		((struct fnpud_hello *)to)->version = FNPUD_VERSION;
		return sizeof(struct fnpud_hello);
	case FNPUD_OPEN:
		((struct fnpud_open *)to)->flags = (uint32_t)tb_range(rng, 0, FNPUD_ENGINES - 1);
		((struct fnpud_open *)to)->queue_bound = (uint32_t)tb_range(rng, 0, 20);
		return sizeof(struct fnpud_open);
	case FNPUD_BUFFER:
		((struct fnpud_buffer *)to)->bytes = (uint64_t)tb_range(rng, 1, 1024);
		((struct fnpud_buffer *)to)->buffer = (uint32_t)tb_range(rng, 0, 1);
		return sizeof(struct fnpud_buffer);
	case FNPUD_SUBMIT:
		submit->count = (uint32_t)tb_range(rng, 1, MAX_SAMPLES);
		for (uint32_t i = 0; i < submit->count; i++) {
			submit->samples[i].offset = (uint64_t)tb_range(rng, 0, 4) * FNPUD_INPUT_ALIGN;
			submit->samples[i].buffer = (uint32_t)tb_range(rng, 0, 1);
		}
		return sizeof(*submit) + submit->count * sizeof(submit->samples[0]);
	case FNPUD_RELEASE:
		((struct fnpud_release *)to)->buffer = (uint32_t)tb_range(rng, 0, 1);
		return sizeof(struct fnpud_release);
	case FNPUD_CANCEL:
		((struct fnpud_cancel *)to)->user_data = (uint64_t)tb_range(rng, 0, 1);
		return sizeof(struct fnpud_cancel);
	default:
		return sizeof(*h);
	}
}

static size_t append_step(uint8_t *data, size_t size, size_t max_size, struct tb_rng *rng)
{
	struct step step = {
		.action = (uint8_t)(tb_random(rng) % 8 ? ACTION_MESSAGE : tb_random(rng)),
		.conn = (uint8_t)tb_random(rng),
	};
	uint64_t message[MESSAGE_WORDS] = { 0 };
	struct fnpud_header *h = (struct fnpud_header *)message;

	if (step.action == ACTION_MESSAGE) {
		step.bytes = (uint32_t)good_message(message, rng);
		step.fds = h->type == FNPUD_BUFFER;
		h->bytes = step.bytes;
	}
	if (step.bytes && !(tb_random(rng) % 4)) {
		const uint64_t number = fuzz_number(rng);
		const size_t at = (size_t)tb_range(rng, 0, (int)step.bytes - 8);

		memcpy((uint8_t *)message + at, &number, sizeof(number));
	}
	if (size + sizeof(step) + step.bytes > max_size)
		return 0;
	memcpy(data + size, &step, sizeof(step));
	memcpy(data + size + sizeof(step), message, step.bytes);
	return size + sizeof(step) + step.bytes;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	struct tb_rng rng = { seed };
	size_t made = 0;

	if (tb_random(&rng) % 2)
		made = append_step(data, size, max_size, &rng);
	return made ? made : LLVMFuzzerMutate(data, size, max_size);
}
