/* SPDX-License-Identifier: MIT */
/* The socket at which clients arrive: systemd's, or one of our own. */
#ifndef FNPUD_LISTEN_H
#define FNPUD_LISTEN_H

#include <stdbool.h>

#include "source.h"

struct fnpud_server;

/**
 * struct fnpud_listener - the socket
 * @fd: or -1
 * @path: to remove at the end, or NULL when it is systemd's
 * @paused: there were no descriptors left; fnpud_listen_resume() tries again
 */
struct fnpud_listener {
	struct fnpud_source source;
	struct fnpud_server *server;
	int fd;
	const char *path;
	bool paused;
};

/** fnpud_listen() - begin; 0, or -1 with a message */
int fnpud_listen(struct fnpud_server *server);

/** fnpud_listen_resume() - accept again after a pause */
void fnpud_listen_resume(struct fnpud_listener *listener);

/** fnpud_listen_stop() - nobody more gets in */
void fnpud_listen_stop(struct fnpud_listener *listener);

#endif /* FNPUD_LISTEN_H */
