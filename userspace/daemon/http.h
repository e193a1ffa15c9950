/* SPDX-License-Identifier: MIT */
/* GET /metrics, by libmicrohttpd inside the daemon's own wait. */
#ifndef FNPUD_HTTP_H
#define FNPUD_HTTP_H

#include "source.h"

struct MHD_Daemon;
struct fnpud_server;

/** struct fnpud_http - the server; @mhd: NULL: there are no metrics; @path: to remove, or NULL */
struct fnpud_http {
	struct fnpud_source source;
	struct fnpud_server *server;
	struct MHD_Daemon *mhd;
	const char *path;
};

/** fnpud_http_open() - serve what server->options->metrics says; 0, or -1 with a message */
int fnpud_http_open(struct fnpud_server *server);

/** fnpud_http_close() - undo it */
void fnpud_http_close(struct fnpud_http *http);

/** fnpud_http_timeout() - ms after which fnpud_http_run() is to be called; -1: not by itself */
int fnpud_http_timeout(const struct fnpud_http *http);

/** fnpud_http_run() - what there is to do */
void fnpud_http_run(struct fnpud_http *http);

#endif /* FNPUD_HTTP_H */
