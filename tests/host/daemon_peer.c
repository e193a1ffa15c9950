// SPDX-License-Identifier: MIT
#define _GNU_SOURCE	/* memfd_create() */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon_peer.h"
#include "model.h"

#define STUCK_MS	60000	/* nothing takes that long but what hangs */
#define MAX_FDS		16

#define must(condition)                                                                  \
	do {                                                                             \
		if (!(condition)) {                                                      \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, \
				strerror(errno));                                        \
			abort();                                                         \
		}                                                                        \
	} while (0)

/* ---- the daemon ---- */

/* systemd's way: whoever starts listens on a socket of its own for READY=1. */
static int notify_socket(char name[64])
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int length;

	must(fd >= 0);
	length = snprintf(name, 64, "@fluidnpud-test-%d", getpid());
	memcpy(address.sun_path + 1, name + 1, (size_t)length - 1);
	must(!bind(fd, (const struct sockaddr *)&address,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)length)));
	return fd;
}

pid_t daemon_start(const char *const *argv)
{
	char name[64], text[256] = "";
	int fd = notify_socket(name);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	pid_t pid = fork();

	must(pid >= 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setenv("NOTIFY_SOCKET", name, 1);
		execv(argv[0], (char *const *)argv);
		fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	must(poll(&p, 1, STUCK_MS) == 1 && recv(fd, text, sizeof(text) - 1, 0) > 0);
	must(strstr(text, "READY=1"));
	close(fd);
	return pid;
}

int daemon_stop(pid_t pid)
{
	int status;

	must(!kill(pid, SIGTERM));
	must(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

long daemon_rss_kib(pid_t pid)
{
	char path[64], line[256];
	long kib = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "r");
	must(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "VmRSS: %ld kB", &kib) == 1)
			break;
	fclose(file);
	must(kib > 0);
	return kib;
}

/* ---- messages ---- */

int peer_connect(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	must(fd >= 0);
	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	if (!connect(fd, (const struct sockaddr *)&address, sizeof(address)))
		return fd;
	close(fd);
	return -errno;
}

int peer_send(int conn, const void *message, size_t bytes, const int *fds, unsigned int num_fds)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(MAX_FDS * sizeof(int))] = { 0 };
	struct iovec iov = { .iov_base = (void *)message, .iov_len = bytes };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (num_fds) {
		struct cmsghdr *c;

		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(num_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(num_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, num_fds * sizeof(int));
	}
	return sendmsg(conn, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

int peer_receive(int conn, void *message)
{
	struct pollfd p = { .fd = conn, .events = POLLIN };
	ssize_t n;

	do {
		n = poll(&p, 1, STUCK_MS);
		must(n);
		if (n > 0)
			n = recv(conn, message, FNPUD_MESSAGE_BYTES, 0);
	} while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	must(n >= 0);
	return (int)n;
}

bool peer_is_refused(int conn, int error, const char *hint)
{
	static uint64_t buffer[FNPUD_MESSAGE_BYTES / sizeof(uint64_t)];
	const struct fnpud_error *m = (const struct fnpud_error *)buffer;
	const int n = peer_receive(conn, buffer);

	if (n == sizeof(*m) && m->header.type == FNPUD_ERROR && m->error == error &&
	    strstr(m->text, hint))
		return true;
	if (n == sizeof(*m) && m->header.type == FNPUD_ERROR)
		fprintf(stderr, "refused with %d, \"%s\"\n", m->error, m->text);
	else
		fprintf(stderr, "a message of %d bytes, type %u\n", n, n ? m->header.type : 0);
	return false;
}

/* ---- a client that behaves ---- */

static void expect(int conn, uint32_t type)
{
	static uint64_t buffer[FNPUD_MESSAGE_BYTES / sizeof(uint64_t)];
	const struct fnpud_error *m = (const struct fnpud_error *)buffer;

	peer_receive(conn, buffer);
	if (m->header.type == FNPUD_ERROR)
		fprintf(stderr, "%s\n", m->text);
	must(m->header.type == type);
}

void peer_hello(int conn)
{
	const struct fnpud_hello m = {
		.header = { .type = FNPUD_HELLO, .bytes = sizeof(m) },
		.magic = FNPUD_MAGIC,
		.version = FNPUD_VERSION,
	};

	must(!peer_send(conn, &m, sizeof(m), NULL, 0));
	expect(conn, FNPUD_DEVICE);
}

void peer_open(int conn, const struct fnpu_model *model, uint32_t bound)
{
	const struct fnpu_file_header *h = fnpu_file_head(model->file);
	const struct fnpud_open m = {
		.header = { .type = FNPUD_OPEN, .bytes = sizeof(m) },
		.crc32 = h->crc32,
		.file_bytes = h->file_bytes,
		.queue_bound = bound,
	};

	must(!peer_send(conn, &m, sizeof(m), NULL, 0));
}

int peer_session(const char *path, const struct fnpu_model *model, uint32_t bound, int fd,
		 uint64_t bytes)
{
	const struct fnpud_buffer m = {
		.header = { .type = FNPUD_BUFFER, .bytes = sizeof(m) },
		.bytes = bytes,
	};
	int conn = peer_connect(path);

	must(conn >= 0);
	peer_hello(conn);
	peer_open(conn, model, bound);
	expect(conn, FNPUD_OPENED);
	must(!peer_send(conn, &m, sizeof(m), &fd, 1));
	expect(conn, FNPUD_BUFFERED);
	return conn;
}

int peer_memfd(uint64_t bytes, int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	must(fd >= 0 && !ftruncate(fd, (off_t)bytes) && !fcntl(fd, F_ADD_SEALS, seals));
	return fd;
}

int peer_submit(int conn, uint64_t first, uint32_t count, uint64_t offset)
{
	const size_t bytes = sizeof(struct fnpud_submit) + count * sizeof(struct fnpud_sample);
	struct fnpud_submit *m = calloc(1, bytes);
	int ret;

	must(m);
	m->header = (struct fnpud_header){ .type = FNPUD_SUBMIT, .bytes = (uint32_t)bytes };
	m->count = count;
	for (uint32_t i = 0; i < count; i++)
		m->samples[i] = (struct fnpud_sample){
			.user_data = first + i,
			.offset = offset,
			.format = FNPU_INPUT_U8_NHWC,
		};
	ret = peer_send(conn, m, bytes, NULL, 0);
	free(m);
	return ret;
}
