/* SPDX-License-Identifier: MIT */
/*
 * fluidnpud in one picture. One thread waits for all of it with epoll, and never for one of them:
 *
 *	listen.c ──► client.c, conn.c ──► request.c ──► serve.c ──► libfluidnpu
 *	sockets      processes and        what they     models, sessions,
 *	             connections          ask for       whose turn it is
 *
 *	protocol.c   what a message may be          buffer.c    inputs in shared memory
 *	admission.c  quotas, turns                  metrics.c   counts, http.c: for Prometheus
 *
 * A sample is a task of its connection from SUBMIT until its result has been sent:
 *
 *	FREE ──SUBMIT──► QUEUED ──its turn──► RUNNING ──result──► ANSWERED ──RESULTS──► FREE
 *
 * Each task has room for its result: a client that does not read costs that, and stops nobody.
 */
#ifndef FNPUD_SERVER_H
#define FNPUD_SERVER_H

#include <sys/epoll.h>

#include "client.h"
#include "http.h"
#include "listen.h"
#include "metrics.h"
#include "options.h"
#include "serve.h"

/**
 * struct fnpud_server - everything
 * @virtual_time: the device's time is not the host's (emu)
 * @now_ns: time by which deadlines count: the host's, or the device's where it is virtual
 * @now_cycles: device time, where it is virtual; otherwise 0
 * @clients, @conns: of these, @num_clients and @num_conns
 * @dirty: connections that have something to send; @dead: closed ones, to be freed
 * @draining: nothing more is taken; @drain_end: host time at which patience ends
 * @lost: negative errno once the NPU is gone
 * @message: a message that is received or sent
 */
struct fnpud_server {
	const struct fnpud_options *options;
	struct fnpu_device *device;
	int epoll_fd;
	bool virtual_time;
	int64_t now_ns;
	uint64_t now_cycles;

	struct fnpud_model models[FNPUD_MAX_MODELS];
	uint32_t num_models;
	struct fnpud_listener listener;
	struct fnpud_http http;

	struct fnpud_clients clients;
	struct fnpud_conns conns;
	struct fnpud_conns dirty;
	struct fnpud_conns dead;
	uint32_t num_clients;
	uint32_t num_conns;
	struct fnpud_metrics metrics;

	bool draining;
	int64_t drain_end;
	int lost;
	uint64_t message[FNPUD_MESSAGE_BYTES / sizeof(uint64_t)];
};

/** fnpud_server_tick() - what time is it? */
void fnpud_server_tick(struct fnpud_server *server);

/** fnpud_server_watch() - @source becomes part of the wait for @events on @fd; 0 or -errno */
int fnpud_server_watch(struct fnpud_server *server, int fd, uint32_t events,
		       struct fnpud_source *source);

#endif /* FNPUD_SERVER_H */
