// SPDX-License-Identifier: MIT
/*
 * fluidnpud: several processes share one NPU, one scheduler and its batches. server.h has the
 * picture; here are the start, the loop and the end.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "common/cli.h"
#include "common/progress.h"
#include "error.h"
#include "server.h"

#define EVENTS_AT_ONCE	64
#define CHECK_MS	250	/* between looks at those who are late */
#define NS_PER_S	INT64_C(1000000000)

/** struct signals - that end the daemon */
struct signals {
	struct fnpud_source source;
	struct fnpud_server *server;
	int fd;
};

void fnpud_server_tick(struct fnpud_server *server)
{
	struct fnpu_counters counters;

	if (!server->virtual_time) {
		server->now_ns = host_ns();
		return;
	}
	if (fnpu_device_counters(server->device, &counters))
		return;
	server->now_cycles = counters.time;
	server->now_ns = (int64_t)((double)counters.time * (double)NS_PER_S /
				   fnpu_device_info(server->device)->clock_hz);
}

int fnpud_server_watch(struct fnpud_server *server, int fd, uint32_t events,
		       struct fnpud_source *source)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	return epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

/* ---- start ---- */

/* Each client costs descriptors; what the administrator allows at most is what there is. */
static void raise_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int open_device(struct fnpud_server *server)
{
	const struct fnpud_options *o = server->options;
	struct fnpu_error error;

	if (fnpu_device_open(o->backend, o->device, &server->device, &error))
		return cli_error("%s", error.text);
	server->virtual_time = !strcmp(o->backend, "emu");
	fnpud_server_tick(server);
	return 0;
}

static void signals_ready(struct fnpud_source *source, uint32_t events)
{
	struct signals *signals = fnpud_container(source, struct signals, source);
	struct fnpud_server *server = signals->server;
	struct signalfd_siginfo info;

	(void)events;
	if (read(signals->fd, &info, sizeof(info)) != sizeof(info) || server->draining)
		return;
	sd_notify(0, "STOPPING=1");
	server->draining = true;
	server->drain_end = host_ns() + server->options->drain_seconds * NS_PER_S;
	fnpud_listen_stop(&server->listener);
	fnpud_conn_drain(server);
}

static int open_signals(struct signals *signals, struct fnpud_server *server)
{
	sigset_t set;
	int ret;

	signals->source.ready = signals_ready;
	signals->server = server;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGHUP, SIG_IGN);	/* there is no configuration to read again */
	signals->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	ret = signals->fd < 0 ? -errno :
		fnpud_server_watch(server, signals->fd, EPOLLIN, &signals->source);
	return ret ? cli_error("cannot wait for signals: %s", strerror(-ret)) : 0;
}

static int server_open(struct fnpud_server *server, struct signals *signals)
{
	server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (server->epoll_fd < 0)
		return cli_error("no epoll: %s", strerror(errno));
	raise_limits();
	if (open_signals(signals, server) || open_device(server) || fnpud_serve_open(server) ||
	    fnpud_http_open(server) || fnpud_listen(server))
		return -1;
	sd_notifyf(0, "READY=1\nSTATUS=Serving %u models", server->num_models);
	return 0;
}

static void server_close(struct fnpud_server *server, struct signals *signals)
{
	struct fnpud_conn *conn;

	fnpud_listen_stop(&server->listener);
	while ((conn = TAILQ_FIRST(&server->conns)))
		fnpud_conn_close(conn);
	fnpud_conn_reap(server);
	fnpud_http_close(&server->http);
	fnpud_serve_close(server);
	fnpu_device_close(server->device);
	if (signals->fd >= 0)
		close(signals->fd);
	if (server->epoll_fd >= 0)
		close(server->epoll_fd);
}

/* ---- the loop ---- */

static int next_timeout(struct fnpud_server *server, bool check)
{
	const int http = fnpud_http_timeout(&server->http);
	const int mine = check || server->listener.paused ? CHECK_MS : -1;

	return http < 0 || (mine >= 0 && mine < http) ? mine : http;
}

static int wait_and_dispatch(struct fnpud_server *server, int timeout)
{
	struct epoll_event events[EVENTS_AT_ONCE];
	int n = epoll_wait(server->epoll_fd, events, EVENTS_AT_ONCE, timeout);

	if (n < 0 && errno != EINTR)
		return cli_error("epoll: %s", strerror(errno));
	fnpud_server_tick(server);
	for (int i = 0; i < n; i++) {
		struct fnpud_source *source = events[i].data.ptr;

		source->ready(source, events[i].events);
	}
	if (n <= 0) {
		fnpud_http_run(&server->http);
		fnpud_listen_resume(&server->listener);
	}
	return 0;
}

/* Until it has drained, or the NPU is lost. */
static int serve(struct fnpud_server *server)
{
	bool check = false;

	while (!server->lost) {
		if (wait_and_dispatch(server, next_timeout(server, check)))
			return -1;
		fnpud_serve_run(server);
		fnpud_conn_flush(server);
		check = fnpud_conn_check(server);
		fnpud_conn_reap(server);
		if (server->draining && !server->num_conns)
			return 0;
		if (server->draining && host_ns() > server->drain_end) {
			cli_error("warning: %u connections did not get all of their results in %u s",
				  server->num_conns, server->options->drain_seconds);
			return 0;
		}
	}
	return -1;
}

int main(int argc, char **argv)
{
	static struct fnpud_server server;
	struct signals signals = { .fd = -1 };
	struct fnpud_options options;
	int ret;

	cli_name = "fluidnpud";
	fnpud_parse_options(&options, argc, argv);
	server.options = &options;
	server.epoll_fd = -1;
	server.listener.fd = -1;
	TAILQ_INIT(&server.clients);
	TAILQ_INIT(&server.conns);
	TAILQ_INIT(&server.dirty);
	TAILQ_INIT(&server.dead);
	ret = server_open(&server, &signals);
	if (!ret)
		ret = serve(&server);
	server_close(&server, &signals);
	return ret ? EXIT_FAILURE : EXIT_SUCCESS;
}
