/* SPDX-License-Identifier: MIT */
/* What the files of the `daemon` back end share: talking to fluidnpud (daemon/protocol.h). */
#ifndef FNPU_BACKEND_DAEMON_H
#define FNPU_BACKEND_DAEMON_H

#include <stdatomic.h>

#include "backend.h"
#include "protocol.h"

#define DAEMON_ANSWER_MS	10000	/* in which an answer comes, or none will */

/**
 * struct daemon_memory - what a struct fnpu_bo of this back end is, its priv
 * @users: the buffer, and sessions that have told the daemon of it
 * @freed: by its owner: sessions tell the daemon so
 * @fd: a memfd, or a dma-buf
 */
struct daemon_memory {
	atomic_uint users;
	atomic_bool freed;
	int fd;
};

/** daemon_memory_put() - one user less. NULL is fine. */
void daemon_memory_put(struct daemon_memory *memory);

/**
 * daemon_shared() - @bytes of memory for inputs, whole pages, that the daemon takes
 * A dma-buf, which the NPU can read, where this process may make one (/dev/udmabuf); otherwise a
 * memfd. A file descriptor or a negative errno.
 */
int daemon_shared(size_t bytes);

/** daemon_freed() - buffers of @device that have been freed so far, mod 2^32 */
uint32_t daemon_freed(const struct fnpu_device *device);

/** daemon_connect() - to the socket @path, and say HELLO. A file descriptor, or a negative errno. */
int daemon_connect(const char *path, struct fnpud_device *device, struct fnpu_error *error);

/** daemon_send() - @message, with the descriptor @fd unless it is -1. 0 or a negative errno. */
int daemon_send(int conn, const void *message, size_t bytes, int fd);

/**
 * daemon_receive() - the next message
 * @message: buffer of FNPUD_MESSAGE_BYTES
 * Returns its bytes, which are at least a header's and as many as that says; 0: the daemon has hung
 * up; -EAGAIN none is there; -EPROTO; or another negative errno.
 */
int daemon_receive(int conn, struct fnpud_header *message);

/** daemon_await() - until a message may be there. 0, -ETIMEDOUT, or a negative errno. */
int daemon_await(int conn);

/**
 * daemon_answer() - is @message, of @got bytes, the answer of @type and @bytes that was waited for?
 * Returns 0, or a negative errno with a sentence: the daemon's own, if it has refused.
 */
int daemon_answer(const struct fnpud_header *message, int got, uint32_t type, size_t bytes,
		  struct fnpu_error *error);

/** daemon_session_open() - of struct fnpu_backend_ops */
int daemon_session_open(struct fnpu_device *device, const struct fnpu_model *model,
			const struct fnpu_session_options *options,
			struct fnpu_session **session, struct fnpu_error *error);

#endif /* FNPU_BACKEND_DAEMON_H */
