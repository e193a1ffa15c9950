// SPDX-License-Identifier: MIT
/* Connections: who gets one, what is sent on it, and its end. */
#define _GNU_SOURCE	/* MSG_CMSG_CLOEXEC */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cli.h"
#include "common/progress.h"
#include "error.h"
#include "log.h"
#include "request.h"
#include "server.h"

#define MESSAGES_AT_ONCE	8	/* of a connection, before it is another one's turn */
#define MAX_FDS			4	/* that are taken from a message, to close them */
#define HELLO_NS		INT64_C(10000000000)

/* ---- clients ---- */

static struct fnpud_client *client_new(struct fnpud_server *server,
				       const struct fnpud_identity *identity)
{
	const uint32_t weight = fnpud_weight_of(server->options, identity);
	const size_t num_flows = (size_t)server->num_models * FNPUD_ENGINES;
	struct fnpud_client *client;

	client = calloc(1, sizeof(*client) + num_flows * sizeof(client->flows[0]));
	if (!client)
		return NULL;
	client->pid = identity->pid;
	client->uid = identity->uid;
	for (size_t i = 0; i < num_flows; i++)
		fnpud_flow_init(&client->flows[i], weight);
	TAILQ_INSERT_TAIL(&server->clients, client, link);
	server->num_clients++;
	return client;
}

static void client_put(struct fnpud_server *server, struct fnpud_client *client)
{
	if (client->used.connections)
		return;
	TAILQ_REMOVE(&server->clients, client, link);
	server->num_clients--;
	free(client);
}

/* The client that a process is, which may be new. */
static int client_get(struct fnpud_server *server, const struct fnpud_identity *identity,
		      struct fnpud_client **out, struct fnpu_error *error)
{
	const uint32_t max = server->options->max_clients;

	TAILQ_FOREACH(*out, &server->clients, link)
		if ((*out)->pid == identity->pid && (*out)->uid == identity->uid)
			return 0;
	if (server->num_clients >= max)
		return fnpu_fail(error, -EUSERS,
				 "fluidnpud has its %u clients: try again later, or see its --max-clients",
				 max);
	*out = client_new(server, identity);
	return *out ? 0 : fnpu_fail(error, -ENOMEM, "fluidnpud is out of memory");
}

static int admit_client(struct fnpud_server *server, const struct fnpud_identity *identity,
			struct fnpud_client **client, struct fnpu_error *error)
{
	const struct fnpud_quota one = { .connections = 1 };
	int ret;

	if (!fnpud_is_allowed(server->options, identity))
		return fnpu_fail(error, -EACCES,
				 "user %u may not use this NPU: fluidnpud --allow says who may",
				 identity->uid);
	ret = client_get(server, identity, client, error);
	if (ret)
		return ret;
	ret = fnpud_reserve(&(*client)->used, &server->options->quota, &one, error);
	if (ret)
		client_put(server, *client);
	return ret;
}

/* ---- accepting ---- */

static void fill_error(struct fnpud_error *m, uint32_t request, int error, const char *text)
{
	*m = (struct fnpud_error){
		.header = { .type = FNPUD_ERROR, .bytes = sizeof(*m) },
		.request = request,
		.error = error,
	};
	snprintf(m->text, sizeof(m->text), "%s", text);
}

static enum fnpud_refusal refusal_of(int error)
{
	switch (error) {
	case -EACCES:
		return FNPUD_REFUSED_PERMISSION;
	case -EUSERS:
		return FNPUD_REFUSED_LIMIT;
	case -EDQUOT:
		return FNPUD_REFUSED_QUOTA;
	case -EPROTO:
	case -EPROTONOSUPPORT:
		return FNPUD_REFUSED_PROTOCOL;
	default:
		return FNPUD_REFUSED_OTHER;
	}
}

/* Who cannot take it at once has a full socket before he has read anything: he is not told. */
static void turn_away(struct fnpud_server *server, int fd, const struct fnpud_identity *identity,
		      int error, const char *text)
{
	struct fnpud_error m;

	server->metrics.refusals[refusal_of(error)]++;
	fnpud_complain("process %d of user %u is turned away: %s", identity->pid, identity->uid, text);
	fill_error(&m, FNPUD_NONE, error, text);
	send(fd, &m, sizeof(m), MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
}

static void conn_ready(struct fnpud_source *source, uint32_t events);

static struct fnpud_conn *conn_new(struct fnpud_server *server, struct fnpud_client *client, int fd)
{
	struct fnpud_conn *conn = calloc(1, sizeof(*conn));
	const uint32_t features = fnpu_device_info(server->device)->features;

	if (!conn)
		return NULL;
	conn->source.ready = conn_ready;
	conn->server = server;
	conn->client = client;
	conn->fd = fd;
	conn->peer.computes = features & FLUIDNPU_FEATURE_FUNCTIONAL;
	conn->reserved.connections = 1;
	conn->events = EPOLLIN;
	conn->since_ns = host_ns();
	TAILQ_INIT(&conn->free_tasks);
	TAILQ_INIT(&conn->answered);
	if (fnpud_server_watch(server, fd, conn->events, &conn->source)) {
		free(conn);
		return NULL;
	}
	return conn;
}

void fnpud_conn_accept(struct fnpud_server *server, int fd)
{
	const struct fnpud_quota one = { .connections = 1 };
	struct fnpud_identity identity = { .pid = -1 };
	struct fnpu_error error = { "" };
	struct fnpud_client *client;
	struct fnpud_conn *conn;
	int ret;

	ret = fnpud_identify(fd, &identity);
	if (ret)
		fnpu_fail(&error, ret, "the kernel does not tell who it is: %s", strerror(-ret));
	else
		ret = admit_client(server, &identity, &client, &error);
	if (ret) {
		turn_away(server, fd, &identity, ret, error.text);
		return;
	}
	conn = conn_new(server, client, fd);
	if (!conn) {
		fnpud_release(&client->used, &one);
		client_put(server, client);
		turn_away(server, fd, &identity, -ENOMEM, "fluidnpud is out of memory");
		return;
	}
	TAILQ_INSERT_TAIL(&server->conns, conn, link);
	server->num_conns++;
}

/* ---- the end ---- */

static void forget_tasks(struct fnpud_conn *conn)
{
	for (uint32_t i = 0; i < conn->num_tasks; i++) {
		struct fnpud_task *task = &conn->tasks[i];

		if (task->state == FNPUD_TASK_QUEUED || task->state == FNPUD_TASK_RUNNING)
			fnpud_engine_forget(conn->engine, task);
	}
	free(conn->tasks);
	free(conn->records);
	conn->tasks = NULL;
	conn->records = NULL;
	conn->num_tasks = 0;
}

void fnpud_conn_close(struct fnpud_conn *conn)
{
	struct fnpud_server *server = conn->server;

	if (conn->fd < 0)
		return;
	forget_tasks(conn);
	for (uint32_t i = 0; i < FNPUD_MAX_BUFFERS; i++)
		fnpud_memory_put(conn->buffers[i]);
	close(conn->fd);	/* and epoll forgets it */
	conn->fd = -1;
	fnpud_release(&conn->client->used, &conn->reserved);
	client_put(server, conn->client);
	if (conn->is_dirty)
		TAILQ_REMOVE(&server->dirty, conn, dirty_link);
	TAILQ_REMOVE(&server->conns, conn, link);
	TAILQ_INSERT_TAIL(&server->dead, conn, link);
	server->num_conns--;
}

void fnpud_conn_reap(struct fnpud_server *server)
{
	struct fnpud_conn *conn = TAILQ_FIRST(&server->dead);

	if (!conn)
		return;
	for (; conn; conn = TAILQ_FIRST(&server->dead)) {
		TAILQ_REMOVE(&server->dead, conn, link);
		free(conn);
	}
	fnpud_listen_resume(&server->listener);
}

/* ---- sending ---- */

static void mark_dirty(struct fnpud_conn *conn)
{
	if (conn->is_dirty)
		return;
	conn->is_dirty = true;
	TAILQ_INSERT_TAIL(&conn->server->dirty, conn, dirty_link);
}

void fnpud_conn_reply(struct fnpud_conn *conn, const void *message, size_t bytes)
{
	memcpy(conn->reply, message, bytes);
	conn->reply_bytes = (uint32_t)bytes;
	mark_dirty(conn);
}

void fnpud_conn_refuse(struct fnpud_conn *conn, uint32_t request, int error, const char *text)
{
	struct fnpud_error m;

	conn->server->metrics.refusals[refusal_of(error)]++;
	fnpud_complain("process %d of user %u is refused: %s", conn->client->pid, conn->client->uid,
		       text);
	fill_error(&m, request, error, text);
	fnpud_conn_reply(conn, &m, sizeof(m));
}

void fnpud_conn_doom(struct fnpud_conn *conn, uint32_t request, int error, const char *text)
{
	fnpud_conn_refuse(conn, request, error, text);
	conn->doomed = true;
}

void fnpud_conn_answer(struct fnpud_task *task)
{
	task->state = FNPUD_TASK_ANSWERED;
	TAILQ_INSERT_TAIL(&task->conn->answered, task, link);
	mark_dirty(task->conn);
}

/* 1: sent; 0: the client has to read first; or a negative errno. */
static int send_message(struct fnpud_conn *conn, const void *message, size_t bytes)
{
	if (send(conn->fd, message, bytes, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 1;
	if (errno == EINTR)
		return send_message(conn, message, bytes);
	return errno == EAGAIN || errno == ENOBUFS ? 0 : -errno;
}

static void free_answered(struct fnpud_conn *conn, uint32_t count)
{
	while (count--) {
		struct fnpud_task *task = TAILQ_FIRST(&conn->answered);

		TAILQ_REMOVE(&conn->answered, task, link);
		task->state = FNPUD_TASK_FREE;
		TAILQ_INSERT_HEAD(&conn->free_tasks, task, link);
		conn->outstanding--;
	}
}

/* As many results as a message takes. They are free to be used again once it is on its way. */
static int send_results(struct fnpud_conn *conn)
{
	struct fnpud_results *m = (struct fnpud_results *)conn->server->message;
	unsigned char *to = (unsigned char *)(m + 1);
	const uint32_t room = (FNPUD_MESSAGE_BYTES - sizeof(*m)) / conn->record_bytes;
	const struct fnpud_task *task;
	uint32_t count = 0;
	int ret;

	for (task = TAILQ_FIRST(&conn->answered); task && count < room; task = TAILQ_NEXT(task, link))
		memcpy(to + (size_t)count++ * conn->record_bytes, task->record, conn->record_bytes);
	*m = (struct fnpud_results){
		.header = {
			.type = FNPUD_RESULTS,
			.bytes = (uint32_t)(sizeof(*m) + (size_t)count * conn->record_bytes),
		},
		.count = count,
	};
	ret = send_message(conn, m, m->header.bytes);
	if (ret == 1)
		free_answered(conn, count);
	return ret;
}

static int send_all(struct fnpud_conn *conn)
{
	int ret = 1;

	if (conn->reply_bytes) {
		ret = send_message(conn, conn->reply, conn->reply_bytes);
		if (ret == 1)
			conn->reply_bytes = 0;
	}
	while (ret == 1 && !TAILQ_EMPTY(&conn->answered))
		ret = send_results(conn);
	return ret;
}

/* Reading waits while an answer could not be sent. */
static void update_events(struct fnpud_conn *conn, bool blocked)
{
	struct epoll_event event = { .data.ptr = &conn->source };

	if (!conn->reply_bytes && !conn->server->draining)
		event.events |= EPOLLIN;
	if (blocked)
		event.events |= EPOLLOUT;
	if (event.events == conn->events)
		return;
	conn->events = event.events;
	epoll_ctl(conn->server->epoll_fd, EPOLL_CTL_MOD, conn->fd, &event);
}

void fnpud_conn_flush(struct fnpud_server *server)
{
	struct fnpud_conn *conn;

	while ((conn = TAILQ_FIRST(&server->dirty))) {
		int ret;

		TAILQ_REMOVE(&server->dirty, conn, dirty_link);
		conn->is_dirty = false;
		ret = send_all(conn);
		if (ret < 0 || conn->doomed)
			fnpud_conn_close(conn);
		else
			update_events(conn, !ret);
	}
}

/* ---- receiving ---- */

static unsigned int take_fds(struct msghdr *msg, int *fds)
{
	unsigned int num = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		num = (unsigned int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(c), num * sizeof(int));
	}
	return num;
}

static void close_fds(const int *fds, unsigned int num)
{
	for (unsigned int i = 0; i < num; i++)
		fnpud_close(fds[i]);
}

/* One message. False: there is none, or nothing more is to be read. */
static bool receive(struct fnpud_conn *conn)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(MAX_FDS * sizeof(int))];
	struct iovec iov = { .iov_base = conn->server->message, .iov_len = FNPUD_MESSAGE_BYTES };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	int fds[MAX_FDS];
	unsigned int num_fds;
	ssize_t n;

	n = recvmsg(conn->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	num_fds = n < 0 ? 0 : take_fds(&msg, fds);	/* an empty message can have some */
	if (n <= 0) {
		close_fds(fds, num_fds);
		fnpud_conn_close(conn);
		return false;
	}
	if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		fnpud_conn_doom(conn, FNPUD_NONE, -EPROTO,
				"a message is longer, or has more descriptors, than any may, or fluidnpud has no descriptor left");
	else
		fnpud_request(conn, conn->server->message, (size_t)n, fds, num_fds);
	close_fds(fds, num_fds);
	return !conn->reply_bytes;
}

static void conn_ready(struct fnpud_source *source, uint32_t events)
{
	struct fnpud_conn *conn = fnpud_container(source, struct fnpud_conn, source);

	if (conn->fd < 0)
		return;	/* closed since epoll saw it */
	if (events & EPOLLOUT)
		mark_dirty(conn);
	if (conn->events & events & EPOLLIN) {
		for (int i = 0; i < MESSAGES_AT_ONCE && receive(conn);)
			i++;
	} else if (events & (EPOLLHUP | EPOLLERR)) {
		fnpud_conn_close(conn);
	}
}

/* ---- time and the daemon's end ---- */

void fnpud_conn_drain(struct fnpud_server *server)
{
	struct fnpud_conn *conn;
	struct fnpud_error m;

	fill_error(&m, FNPUD_NONE, -ESHUTDOWN,
		   "fluidnpud stops: it finishes the samples that it has got, and takes no others");
	for (conn = TAILQ_FIRST(&server->conns); conn; conn = TAILQ_NEXT(conn, link)) {
		if (!conn->reply_bytes)
			fnpud_conn_reply(conn, &m, sizeof(m));
		mark_dirty(conn);
	}
}

bool fnpud_conn_check(struct fnpud_server *server)
{
	struct fnpud_conn *conn = TAILQ_FIRST(&server->conns);
	const int64_t now = host_ns();
	bool again = false;

	while (conn) {
		struct fnpud_conn *next = TAILQ_NEXT(conn, link);

		if (server->draining && !conn->outstanding && !conn->reply_bytes) {
			fnpud_conn_close(conn);
		} else if (conn->peer.state == FNPUD_NEW) {
			again = true;
			if (now - conn->since_ns > HELLO_NS)
				fnpud_conn_close(conn);
		}
		conn = next;
	}
	return again || server->draining;
}
