// SPDX-License-Identifier: MIT
#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cli.h"
#include "server.h"

#define BACKLOG		8
#define CONNECTIONS	8u
#define TIMEOUT_S	5u
#define CONTENT_TYPE	"text/plain; version=0.0.4; charset=utf-8"

/* ---- answering ---- */

static struct MHD_Response *metrics_response(struct fnpud_server *server)
{
	const struct fnpud_model_metrics *models[FNPUD_MAX_MODELS];
	struct MHD_Response *response;
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	if (!out)
		return NULL;
	for (uint32_t i = 0; i < server->num_models; i++)
		models[i] = &server->models[i].metrics;
	fnpud_serve_count(server);
	fnpud_metrics_print(out, &server->metrics, models, server->num_models);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	response = MHD_create_response_from_buffer(bytes, text, MHD_RESPMEM_MUST_FREE);
	if (response)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, CONTENT_TYPE);
	return response;
}

static struct MHD_Response *text_response(const char *text)
{
	return MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_PERSISTENT);
}

static enum MHD_Result answer(void *cls, struct MHD_Connection *connection, const char *url,
			      const char *method, const char *version, const char *data,
			      size_t *data_bytes, void **state)
{
	unsigned int status = MHD_HTTP_OK;
	struct MHD_Response *response;
	enum MHD_Result ret;

	(void)version;
	(void)data;
	(void)data_bytes;
	(void)state;
	if (strcmp(method, MHD_HTTP_METHOD_GET)) {
		status = MHD_HTTP_METHOD_NOT_ALLOWED;
		response = text_response("only GET\n");
	} else if (strcmp(url, "/metrics")) {
		status = MHD_HTTP_NOT_FOUND;
		response = text_response("only /metrics\n");
	} else {
		response = metrics_response(cls);
	}
	if (!response)
		return MHD_NO;
	ret = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return ret;
}

/* ---- the socket ---- */

static int listen_on(const struct sockaddr *address, socklen_t bytes, const char *where)
{
	const int on = 1;
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return cli_error("no socket for metrics: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, address, bytes) || listen(fd, BACKLOG)) {
		cli_error("cannot serve metrics at %s: %s", where, strerror(errno));
		close(fd);
		return -1;
	}
	return fd;
}

static int listen_path(struct fnpud_http *http, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct stat st;
	int fd;

	if (strlen(path) >= sizeof(address.sun_path))
		return cli_error("the path %.100s... is too long for a socket", path);
	strcpy(address.sun_path, path);
	if (!lstat(path, &st) && S_ISSOCK(st.st_mode))
		unlink(path);	/* of a daemon that was killed */
	fd = listen_on((const struct sockaddr *)&address, sizeof(address), path);
	if (fd >= 0)
		http->path = path;
	return fd;
}

static int listen_port(const char *text)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr = { htonl(INADDR_LOOPBACK) },
		.sin_port = htons((uint16_t)cli_number("metrics", text, 1, UINT16_MAX)),
	};

	return listen_on((const struct sockaddr *)&address, sizeof(address), text);
}

/* ---- in the daemon's loop ---- */

static void http_ready(struct fnpud_source *source, uint32_t events)
{
	(void)events;
	fnpud_http_run(fnpud_container(source, struct fnpud_http, source));
}

int fnpud_http_open(struct fnpud_server *server)
{
	const char *where = server->options->metrics;
	struct fnpud_http *http = &server->http;
	int fd, ret;

	if (!where)
		return 0;
	http->server = server;
	http->source.ready = http_ready;
	fd = strchr(where, '/') ? listen_path(http, where) : listen_port(where);
	if (fd < 0)
		return -1;
	http->mhd = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, answer, server,
				     MHD_OPTION_LISTEN_SOCKET, fd,
				     MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS,
				     MHD_OPTION_CONNECTION_TIMEOUT, TIMEOUT_S, MHD_OPTION_END);
	if (!http->mhd) {
		close(fd);
		return cli_error("the server of metrics does not start");
	}
	ret = fnpud_server_watch(server,
				 MHD_get_daemon_info(http->mhd, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd,
				 EPOLLIN, &http->source);
	return ret ? cli_error("cannot wait for readers of metrics: %s", strerror(-ret)) : 0;
}

void fnpud_http_close(struct fnpud_http *http)
{
	if (http->mhd)
		MHD_stop_daemon(http->mhd);
	if (http->path)
		unlink(http->path);
}

int fnpud_http_timeout(const struct fnpud_http *http)
{
	MHD_UNSIGNED_LONG_LONG ms;

	if (!http->mhd || MHD_get_timeout(http->mhd, &ms) != MHD_YES)
		return -1;
	return ms < INT32_MAX ? (int)ms : INT32_MAX;
}

void fnpud_http_run(struct fnpud_http *http)
{
	if (http->mhd)
		MHD_run(http->mhd);
}
