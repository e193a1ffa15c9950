// SPDX-License-Identifier: MIT
/*
 * The `daemon` back end: sessions whose scheduler is in fluidnpud, which several processes share.
 *
 * The device is a connection that tells what the NPU is and what it has counted. Each session has
 * a connection of its own (backend_daemon_session.c), so that sessions of several threads do not
 * wait for each other. Nothing here has an NPU: buffers are memory that the daemon is told of by
 * the sessions that use it, and there are no contexts.
 */
#define _GNU_SOURCE	/* memfd_create() */
#include <errno.h>
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "backend_daemon.h"
#include "error.h"

/**
 * struct daemon_device - @conn, which one thread at a time may use
 * @message: what was received
 * @freed: buffers, mod 2^32
 */
struct daemon_device {
	int conn;
	pthread_mutex_t lock;
	atomic_uint freed;
	uint64_t message[FNPUD_MESSAGE_BYTES / sizeof(uint64_t)];
};

/* ---- messages ---- */

int daemon_send(int conn, const void *message, size_t bytes, int fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { .iov_base = (void *)message, .iov_len = bytes };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (fd >= 0) {
		struct cmsghdr *c;

		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	do {
		n = sendmsg(conn, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int daemon_receive(int conn, struct fnpud_header *message)
{
	ssize_t n;

	/*
	 * A daemon that closes before it has read all resets the connection: that is said once, before
	 * what it has still sent.
	 */
	do {
		n = recv(conn, message, FNPUD_MESSAGE_BYTES, MSG_DONTWAIT);
	} while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n <= 0)
		return n ? -errno : 0;
	if ((size_t)n < sizeof(*message) || message->bytes != (size_t)n)
		return -EPROTO;
	return (int)n;
}

int daemon_await(int conn)
{
	struct pollfd p = { .fd = conn, .events = POLLIN };
	int n;

	do {
		n = poll(&p, 1, DAEMON_ANSWER_MS);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n ? 0 : -ETIMEDOUT;
}

int daemon_answer(const struct fnpud_header *message, int got, uint32_t type, size_t bytes,
		  struct fnpu_error *error)
{
	const struct fnpud_error *e = (const struct fnpud_error *)message;

	if (!got)
		return fnpu_fail(error, -ENODEV, "fluidnpud has hung up: see its log");
	if (got < 0)
		return fnpu_fail(error, got, "no answer of fluidnpud: %s", strerror(-got));
	if (message->type == FNPUD_ERROR && (size_t)got == sizeof(*e) && e->error < 0)
		return fnpu_fail(error, e->error, "%.*s", (int)sizeof(e->text) - 1, e->text);
	if (message->type != type || (size_t)got != bytes)
		return fnpu_fail(error, -EPROTO,
				 "fluidnpud answers what was not asked: install library and daemon of one release");
	return 0;
}

/* Ask, on a connection on which nothing else can come. */
static int ask(int conn, const void *message, size_t bytes, struct fnpud_header *answer,
	       uint32_t type, size_t answer_bytes, struct fnpu_error *error)
{
	int ret = daemon_send(conn, message, bytes, -1);

	/* who hangs up at once has said why */
	if (!ret || ret == -EPIPE)
		ret = daemon_await(conn);
	if (!ret)
		ret = daemon_receive(conn, answer);
	else
		ret = ret == -EAGAIN ? -ETIMEDOUT : ret;
	return daemon_answer(answer, ret, type, answer_bytes, error);
}

/* ---- connecting ---- */

static int connect_failed(const char *path, int err, struct fnpu_error *error)
{
	switch (err) {
	case ENOENT:
	case ECONNREFUSED:
		return fnpu_fail(error, -ENOENT,
				 "no fluidnpud at %s: start it (systemctl start fluidnpud.socket), or use --backend kmd",
				 path);
	case EACCES:
		return fnpu_fail(error, -EACCES,
				 "no permission to connect to %s: ask for membership in its group (ls -l %s)",
				 path, path);
	default:
		return fnpu_fail(error, -err, "cannot connect to %s: %s", path, strerror(err));
	}
}

static int open_socket(const char *path, struct fnpu_error *error)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int conn, ret;

	if (strlen(path) >= sizeof(address.sun_path))
		return fnpu_fail(error, -ENAMETOOLONG, "the path %.100s... is too long for a socket", path);
	strcpy(address.sun_path, path);
	conn = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (conn < 0)
		return fnpu_fail(error, -errno, "no socket: %s", strerror(errno));
	do {
		ret = connect(conn, (const struct sockaddr *)&address, sizeof(address)) ? errno : 0;
	} while (ret == EINTR);
	if (!ret)
		return conn;
	close(conn);
	return connect_failed(path, ret, error);
}

int daemon_connect(const char *path, struct fnpud_device *device, struct fnpu_error *error)
{
	const struct fnpud_hello hello = {
		.header = { .type = FNPUD_HELLO, .bytes = sizeof(hello) },
		.magic = FNPUD_MAGIC,
		.version = FNPUD_VERSION,
	};
	struct fnpud_header *answer = malloc(FNPUD_MESSAGE_BYTES);
	int conn, ret;

	if (!answer)
		return fnpu_fail(error, -ENOMEM, "out of memory");
	conn = open_socket(path, error);
	ret = conn;
	if (conn >= 0)
		ret = ask(conn, &hello, sizeof(hello), answer, FNPUD_DEVICE, sizeof(*device), error);
	if (!ret)
		memcpy(device, answer, sizeof(*device));
	free(answer);
	if (!ret)
		return conn;
	if (conn >= 0)
		close(conn);
	return ret;
}

/* ---- the device ---- */

static int daemon_open(struct fnpu_device *device, const char *path, struct fnpu_error *error)
{
	struct daemon_device *d = calloc(1, sizeof(*d));
	struct fnpud_device info;

	if (!d)
		return fnpu_fail(error, -ENOMEM, "out of memory");
	d->conn = daemon_connect(path, &info, error);
	if (d->conn < 0) {
		int ret = d->conn;

		free(d);
		return ret;
	}
	pthread_mutex_init(&d->lock, NULL);
	memcpy(device->info.driver, info.driver, sizeof(device->info.driver));
	device->info.driver[sizeof(device->info.driver) - 1] = '\0';
	device->info.hw_version = info.hw_version;
	device->info.features = info.features;
	device->info.clock_hz = info.clock_hz;
	device->info.geometry = info.geometry;
	device->priv = d;
	return 0;
}

static void daemon_close(struct fnpu_device *device)
{
	struct daemon_device *d = device->priv;

	close(d->conn);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

static int daemon_counters(struct fnpu_device *device, struct fnpu_counters *counters)
{
	const struct fnpud_header m = { .type = FNPUD_COUNTERS, .bytes = sizeof(m) };
	struct daemon_device *d = device->priv;
	const struct fnpud_counted *c = (const struct fnpud_counted *)d->message;
	int ret;

	pthread_mutex_lock(&d->lock);
	ret = ask(d->conn, &m, sizeof(m), (struct fnpud_header *)d->message, FNPUD_COUNTED,
		  sizeof(*c), NULL);
	if (!ret) {
		counters->time = c->time;
		memcpy(counters->values, c->values, sizeof(counters->values));
	} else {
		shutdown(d->conn, SHUT_RDWR);	/* a late answer would be taken for the next one's */
	}
	pthread_mutex_unlock(&d->lock);
	return ret;
}

/* ---- buffers ---- */

void daemon_memory_put(struct daemon_memory *memory)
{
	if (!memory || atomic_fetch_sub(&memory->users, 1) > 1)
		return;
	close(memory->fd);
	free(memory);
}

static int make_memfd(size_t bytes)
{
	int fd = memfd_create("fluidnpu inputs", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)bytes) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		ret = -errno;
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

/* This is not the daemon's work: the kernel has it wait for whoever writes to the memfd. */
static int make_dmabuf(int memfd, size_t bytes)
{
	const struct udmabuf_create create = {
		.memfd = (uint32_t)memfd, .flags = UDMABUF_FLAGS_CLOEXEC, .size = bytes,
	};
	int device = open("/dev/udmabuf", O_RDWR | O_CLOEXEC), fd;

	if (device < 0)
		return -1;
	fd = ioctl(device, UDMABUF_CREATE, &create);
	close(device);
	return fd;
}

int daemon_shared(size_t bytes)
{
	int memfd = make_memfd(bytes), dmabuf;

	if (memfd < 0)
		return memfd;
	dmabuf = make_dmabuf(memfd, bytes);
	if (dmabuf < 0)
		return memfd;
	close(memfd);
	return dmabuf;
}

uint32_t daemon_freed(const struct fnpu_device *device)
{
	return atomic_load(&((struct daemon_device *)device->priv)->freed);
}

/* @fd becomes the buffer's, or is closed. */
static int bo_open(struct fnpu_bo *bo, int fd, struct fnpu_error *error)
{
	struct daemon_memory *memory = fd < 0 ? NULL : malloc(sizeof(*memory));

	if (!memory) {
		int ret = fd < 0 ? fd : -ENOMEM;

		if (fd >= 0)
			close(fd);
		return fnpu_fail(error, ret, "no buffer of %zu bytes: %s", bo->bytes,
				 strerror(-ret));
	}
	atomic_init(&memory->users, 1);
	atomic_init(&memory->freed, false);
	memory->fd = fd;
	bo->priv = memory;
	bo->map = mmap(NULL, bo->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (bo->map == MAP_FAILED)
		bo->map = mmap(NULL, bo->bytes, PROT_READ, MAP_SHARED, fd, 0);
	if (bo->map == MAP_FAILED)
		bo->map = NULL;
	return 0;
}

static void daemon_bo_destroy(struct fnpu_bo *bo)
{
	struct daemon_device *d = bo->device->priv;
	struct daemon_memory *memory = bo->priv;

	if (bo->map)
		munmap(bo->map, bo->bytes);
	atomic_store(&memory->freed, true);
	atomic_fetch_add(&d->freed, 1);
	daemon_memory_put(memory);
}

static int daemon_bo_create(struct fnpu_bo *bo, struct fnpu_error *error)
{
	int ret = bo_open(bo, daemon_shared(bo->bytes), error);

	if (ret || bo->map)
		return ret;
	daemon_bo_destroy(bo);
	return fnpu_fail(error, -ENOMEM, "cannot map a buffer of %zu bytes", bo->bytes);
}

/* What it is, the daemon sees when a session first uses it. */
static int daemon_bo_import(struct fnpu_bo *bo, int fd, struct fnpu_error *error)
{
	struct stat st;
	int copy;

	if (fstat(fd, &st) || st.st_size <= 0)
		return fnpu_fail(error, -EINVAL,
				 "file descriptor %d is no buffer: neither a dma-buf nor a memfd", fd);
	bo->bytes = (size_t)st.st_size;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return bo_open(bo, copy < 0 ? -errno : copy, error);
}

static int daemon_bo_export(const struct fnpu_bo *bo)
{
	const struct daemon_memory *memory = bo->priv;
	int fd = fcntl(memory->fd, F_DUPFD_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

const struct fnpu_backend_ops fnpu_backend_daemon = {
	.name = "daemon",
	.default_path = FNPUD_SOCKET_PATH,
	.job_failed = "its job failed on the NPU: fluidnpud's log, or the kernel's (dmesg), may say why",
	.open = daemon_open,
	.close = daemon_close,
	.counters = daemon_counters,
	.bo_create = daemon_bo_create,
	.bo_import = daemon_bo_import,
	.bo_export = daemon_bo_export,
	.bo_destroy = daemon_bo_destroy,
	.session_open = daemon_session_open,
};
