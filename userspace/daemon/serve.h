/* SPDX-License-Identifier: MIT */
/*
 * The models that are served, and their sessions on the NPU.
 *
 * Clients of a model share a session, so that their samples run in one batch. (Those that want
 * logits or no early exit have one of their own each, for that is a property of jobs.) Its queue is short:
 * two full batches, one to start as soon as the NPU is free and one more from which a policy can choose.
 * All else waits here, where clients take turns: a newcomer waits for two batches at most, besides
 * those that run, however much another has queued.
 */
#ifndef FNPUD_SERVE_H
#define FNPUD_SERVE_H

#include <stdbool.h>

#include "admission.h"
#include "buffer.h"
#include "metrics.h"
#include "protocol.h"
#include "source.h"

struct fnpud_conn;
struct fnpud_server;

#define FNPUD_ENGINES	4u	/* of a model: one per combination of FNPU_SESSION_* */

enum fnpud_task_state {
	FNPUD_TASK_FREE,
	FNPUD_TASK_QUEUED,
	FNPUD_TASK_RUNNING,
	FNPUD_TASK_ANSWERED,
};

/**
 * struct fnpud_task - a sample here
 * @item: while it is QUEUED
 * @link: in its connection's free or answered ones
 * @ticket: while it is RUNNING, of its engine
 * @memory: where its input is, while it is QUEUED; NULL: it has none
 * @arrived_ns, @arrived: server->now_ns and now_cycles when it came
 * @record: where its result is put
 */
struct fnpud_task {
	struct fnpud_item item;
	TAILQ_ENTRY(fnpud_task) link;
	struct fnpud_conn *conn;
	enum fnpud_task_state state;
	uint32_t ticket;
	struct fnpud_memory *memory;
	struct fnpud_sample sample;
	int64_t arrived_ns;
	uint64_t arrived;
	struct fnpud_result *record;
};

TAILQ_HEAD(fnpud_tasks, fnpud_task);

/**
 * struct fnpud_ticket - a sample in a session
 * @task: NULL: nobody waits for it any more
 * @memory: where the NPU reads its input, or NULL
 */
struct fnpud_ticket {
	struct fnpud_task *task;
	struct fnpud_memory *memory;
	uint32_t next_free;
};

/**
 * struct fnpud_engine - a session on the NPU
 * @number: of the daemon's engines
 * @flags: FNPU_SESSION_*
 * @woken: @session has become readable
 * @turns: of the clients that have samples queued
 * @tickets: @num_tickets, of which @free_ticket is the first free one
 */
struct fnpud_engine {
	struct fnpud_source source;
	struct fnpud_server *server;
	struct fnpud_model *model;
	uint32_t number;
	uint32_t flags;
	struct fnpu_session *session;
	bool woken;
	struct fnpud_turns turns;
	struct fnpud_ticket *tickets;
	uint32_t num_tickets;
	uint32_t free_ticket;
};

/**
 * struct fnpud_model - a network that is served
 * @engines: by FNPU_SESSION_*; opened when the first client wants them
 */
struct fnpud_model {
	struct fnpu_model *model;
	const struct fnpu_model_info *info;
	struct fnpud_model_metrics metrics;
	struct fnpud_engine *engines[FNPUD_ENGINES];
};

/** fnpud_serve_open() - load the models and open a session each; 0, or -1 with a message */
int fnpud_serve_open(struct fnpud_server *server);

/** fnpud_serve_close() - undo it */
void fnpud_serve_close(struct fnpud_server *server);

/**
 * fnpud_engine_find() - the session for what a client asks for
 * Returns 0, -ENOENT no such model is served, or what fnpu_session_open() says.
 */
int fnpud_engine_find(struct fnpud_server *server, const struct fnpud_open *open,
		      struct fnpud_engine **engine, struct fnpu_error *error);

/** fnpud_engine_cancel() - the client does not want @task any more, if it has no result yet */
void fnpud_engine_cancel(struct fnpud_engine *engine, struct fnpud_task *task);

/** fnpud_engine_forget() - nobody waits for @task any more, which is QUEUED or RUNNING */
void fnpud_engine_forget(struct fnpud_engine *engine, struct fnpud_task *task);

/** fnpud_serve_run() - send what may be sent, and take what has come */
void fnpud_serve_run(struct fnpud_server *server);

/** fnpud_serve_count() - fill what metrics say of sessions */
void fnpud_serve_count(struct fnpud_server *server);

#endif /* FNPUD_SERVE_H */
