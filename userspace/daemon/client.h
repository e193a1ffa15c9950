/* SPDX-License-Identifier: MIT */
/*
 * Clients and their connections. A client is a process: its connections share its quota and its
 * turns, so nobody gets more by opening more of them.
 */
#ifndef FNPUD_CLIENT_H
#define FNPUD_CLIENT_H

#include "buffer.h"
#include "serve.h"
#include "who.h"

#define FNPUD_REPLY_BYTES	1024u	/* room for every answer but RESULTS */

/**
 * struct fnpud_client - a process
 * @used: of its quota
 * @flows: its turns, by the number of the engine
 */
struct fnpud_client {
	TAILQ_ENTRY(fnpud_client) link;
	pid_t pid;
	uid_t uid;
	struct fnpud_quota used;
	struct fnpud_flow flows[];
};

TAILQ_HEAD(fnpud_clients, fnpud_client);

/**
 * struct fnpud_conn - a connection
 * @link: of the server's conns or dead ones; @dirty_link: of its dirty ones, if @is_dirty
 * @fd: -1 once it is closed
 * @peer: what its messages are checked against
 * @engine: of its session, or NULL; @flow: its client's there
 * @buffers: by their numbers; NULL: none
 * @slo_ns: deadline of samples that have none, after their arrival
 * @reserved: of the client's quota
 * @tasks, @records: of the session, @num_tasks of them, with @record_bytes each
 * @free_tasks, @answered: tasks in these states; @outstanding: all but the free ones
 * @reply: an answer of @reply_bytes that could not be sent yet: nothing is read meanwhile
 * @doomed: it is closed as soon as @reply has been sent or not
 * @events: that epoll waits for
 * @since_ns: host time at which it was accepted
 */
struct fnpud_conn {
	struct fnpud_source source;
	TAILQ_ENTRY(fnpud_conn) link;
	TAILQ_ENTRY(fnpud_conn) dirty_link;
	bool is_dirty;
	struct fnpud_server *server;
	struct fnpud_client *client;
	int fd;
	struct fnpud_peer peer;
	struct fnpud_engine *engine;
	struct fnpud_flow *flow;
	struct fnpud_memory *buffers[FNPUD_MAX_BUFFERS];
	uint64_t slo_ns;
	struct fnpud_quota reserved;
	struct fnpud_task *tasks;
	unsigned char *records;
	uint32_t num_tasks;
	uint32_t record_bytes;
	struct fnpud_tasks free_tasks;
	struct fnpud_tasks answered;
	uint32_t outstanding;
	uint64_t reply[FNPUD_REPLY_BYTES / sizeof(uint64_t)];
	uint32_t reply_bytes;
	bool doomed;
	uint32_t events;
	int64_t since_ns;
};

TAILQ_HEAD(fnpud_conns, fnpud_conn);

/** fnpud_conn_accept() - @fd, which it takes, becomes a connection, or is told why not */
void fnpud_conn_accept(struct fnpud_server *server, int fd);

/** fnpud_conn_close() - and forget all that was its; the memory goes with fnpud_conn_reap() */
void fnpud_conn_close(struct fnpud_conn *conn);

/** fnpud_conn_reap() - free the closed ones, when no event can mean them any more */
void fnpud_conn_reap(struct fnpud_server *server);

/** fnpud_conn_reply() - answer with @message, which begins with its header; @bytes of it */
void fnpud_conn_reply(struct fnpud_conn *conn, const void *message, size_t bytes);

/** fnpud_conn_refuse() - answer to @request that it got nothing, and why */
void fnpud_conn_refuse(struct fnpud_conn *conn, uint32_t request, int error, const char *text);

/** fnpud_conn_doom() - as fnpud_conn_refuse(), and that was the last word */
void fnpud_conn_doom(struct fnpud_conn *conn, uint32_t request, int error, const char *text);

/** fnpud_conn_answer() - the result of @task is in its record */
void fnpud_conn_answer(struct fnpud_task *task);

/** fnpud_conn_flush() - send what dirty connections have to say */
void fnpud_conn_flush(struct fnpud_server *server);

/** fnpud_conn_drain() - tell all that nothing more is taken, and stop reading */
void fnpud_conn_drain(struct fnpud_server *server);

/**
 * fnpud_conn_check() - close those that have not said HELLO in time, and, when the daemon drains,
 * those that have nothing more to get
 * Returns whether it wants to be called again in a while.
 */
bool fnpud_conn_check(struct fnpud_server *server);

#endif /* FNPUD_CLIENT_H */
