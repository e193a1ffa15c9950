/* SPDX-License-Identifier: MIT */
/*
 * fluidnpud for tests: starting and stopping it, and a client that says what it likes, message by
 * message. Functions whose failure is no behaviour to be tested abort.
 */
#ifndef DAEMON_PEER_H
#define DAEMON_PEER_H

#include <sys/types.h>

#include "fluidnpu.h"
#include "protocol.h"

/** daemon_start() - run @argv, NULL-terminated, until it says that it is ready. Its pid. */
pid_t daemon_start(const char *const *argv);

/** daemon_stop() - SIGTERM and wait; its exit status, or -1 when a signal killed it */
int daemon_stop(pid_t pid);

/** daemon_rss_kib() - resident memory of process @pid */
long daemon_rss_kib(pid_t pid);

/** peer_connect() - a connection to @path; -errno when there is none */
int peer_connect(const char *path);

/** peer_send() - @bytes of @message with @num_fds descriptors; 0 or -errno. Does not wait. */
int peer_send(int conn, const void *message, size_t bytes, const int *fds, unsigned int num_fds);

/** peer_receive() - into @message, of FNPUD_MESSAGE_BYTES; its bytes, 0: hung up */
int peer_receive(int conn, void *message);

/** peer_is_refused() - the next message is an ERROR @error whose text has @hint in it? */
bool peer_is_refused(int conn, int error, const char *hint);

/** peer_hello() - HELLO and its answer */
void peer_hello(int conn);

/** peer_open() - OPEN for @model, without its answer; @bound as in struct fnpud_open */
void peer_open(int conn, const struct fnpu_model *model, uint32_t bound);

/** peer_session() - all of a session on a new connection, with @fd as buffer of @bytes */
int peer_session(const char *path, const struct fnpu_model *model, uint32_t bound, int fd,
		 uint64_t bytes);

/** peer_memfd() - a memfd of @bytes with @seals */
int peer_memfd(uint64_t bytes, int seals);

/** peer_submit() - @count samples of U8 at @offset, user_data from @first on; 0 or -errno */
int peer_submit(int conn, uint64_t first, uint32_t count, uint64_t offset);

#endif /* DAEMON_PEER_H */
