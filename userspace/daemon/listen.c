// SPDX-License-Identifier: MIT
#define _GNU_SOURCE	/* accept4() */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "common/cli.h"
#include "server.h"

#define BACKLOG			64
#define ACCEPTED_AT_ONCE	16
#define MODE			0660

/* ---- a socket of our own ---- */

/* Is somebody there? A socket that a daemon left when it was killed is removed. */
static int remove_stale(const struct sockaddr_un *address)
{
	struct stat st;
	int fd, ret;

	if (lstat(address->sun_path, &st))
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return cli_error("%s exists and is no socket: give another --socket",
				 address->sun_path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return cli_error("no socket: %s", strerror(errno));
	ret = connect(fd, (const struct sockaddr *)address, sizeof(*address)) ? errno : 0;
	close(fd);
	if (ret != ECONNREFUSED)
		return cli_error("%s is in use: is another fluidnpud running? Give another --socket",
				 address->sun_path);
	unlink(address->sun_path);
	return 0;
}

static int give_to_group(const char *path, const char *name)
{
	const struct group *group;

	if (!name)
		return 0;
	group = getgrnam(name);
	if (!group)
		return cli_error("there is no group \"%s\" for the socket: groupadd, or another --group",
				 name);
	if (lchown(path, (uid_t)-1, group->gr_gid))
		return cli_error("cannot give %s to group %s: %s", path, name, strerror(errno));
	return 0;
}

/* It has its mode from the first moment on. */
static int bind_socket(struct fnpud_listener *l, const struct sockaddr_un *address)
{
	const mode_t before = umask(0777 & ~MODE);
	const int failed = bind(l->fd, (const struct sockaddr *)address, sizeof(*address));
	const int error = errno;

	umask(before);
	return failed ? cli_error("cannot create the socket %s: %s", address->sun_path,
				  strerror(error)) : 0;
}

static int own_socket(struct fnpud_listener *l, const char *path, const char *group)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path))
		return cli_error("the path %.100s... is too long for a socket", path);
	strcpy(address.sun_path, path);
	if (remove_stale(&address))
		return -1;
	l->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0)
		return cli_error("no socket: %s", strerror(errno));
	if (bind_socket(l, &address))
		return -1;
	l->path = path;
	if (give_to_group(path, group))
		return -1;
	if (listen(l->fd, BACKLOG))
		return cli_error("cannot listen on %s: %s", path, strerror(errno));
	return 0;
}

/* ---- systemd's ---- */

/* 1: there is one, 0: there is none. */
static int passed_socket(struct fnpud_listener *l)
{
	const int num = sd_listen_fds(1);

	if (num < 0)
		return cli_error("the sockets that systemd passed cannot be used: %s",
				 strerror(-num));
	if (!num)
		return 0;
	if (num != 1 || sd_is_socket_unix(SD_LISTEN_FDS_START, SOCK_SEQPACKET, 1, NULL, 0) <= 0)
		return cli_error("systemd passed something else than one listening ListenSequentialPacket= socket");
	l->fd = SD_LISTEN_FDS_START;
	/* it may be one that waits, and this daemon never does */
	if (fcntl(l->fd, F_SETFL, O_NONBLOCK))
		return cli_error("the socket that systemd passed cannot be used: %s", strerror(errno));
	return 1;
}

/* ---- accepting ---- */

static void pause_listening(struct fnpud_listener *l)
{
	if (!l->paused)
		cli_error("no descriptor for another client: %s; raise LimitNOFILE=",
			  strerror(errno));
	l->paused = true;
	epoll_ctl(l->server->epoll_fd, EPOLL_CTL_DEL, l->fd, NULL);
}

static void listen_ready(struct fnpud_source *source, uint32_t events)
{
	struct fnpud_listener *l = fnpud_container(source, struct fnpud_listener, source);

	(void)events;
	for (int i = 0; i < ACCEPTED_AT_ONCE && l->fd >= 0; i++) {
		int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			fnpud_conn_accept(l->server, fd);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
			   errno == ENOBUFS) {
			pause_listening(l);
			return;
		} else if (errno == EAGAIN) {
			return;
		}
	}
}

void fnpud_listen_resume(struct fnpud_listener *l)
{
	if (l->paused && l->fd >= 0)
		l->paused = fnpud_server_watch(l->server, l->fd, EPOLLIN, &l->source) != 0;
}

int fnpud_listen(struct fnpud_server *server)
{
	struct fnpud_listener *l = &server->listener;
	int ret;

	l->server = server;
	l->source.ready = listen_ready;
	ret = passed_socket(l);
	if (!ret)
		ret = own_socket(l, server->options->socket, server->options->group);
	if (ret < 0)
		return ret;
	ret = fnpud_server_watch(server, l->fd, EPOLLIN, &l->source);
	return ret ? cli_error("cannot wait for clients: %s", strerror(-ret)) : 0;
}

void fnpud_listen_stop(struct fnpud_listener *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	if (l->path)
		unlink(l->path);
	l->path = NULL;
}
