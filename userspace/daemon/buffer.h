/* SPDX-License-Identifier: MIT */
/*
 * A client's inputs in the daemon's memory. The client can still write them, which changes a class
 * and nothing else. It must not be able to take the pages away, for then the daemon would die
 * of SIGBUS: hence memfds that cannot shrink, and dma-bufs, which never do.
 */
#ifndef FNPUD_BUFFER_H
#define FNPUD_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

#include "fluidnpu.h"

/**
 * struct fnpud_memory - a buffer
 * @users: the connection, and samples that lie in it
 * @map: where the daemon sees it, NULL if its exporter does not let it; @bytes: of it; it is @bo's, if
 *	there is one
 * @bo: as the NPU sees it, or NULL if it cannot: then samples are copied
 * @dmabuf_fd: of a dma-buf, whose reads must be announced, or -1
 */
struct fnpud_memory {
	uint32_t users;
	const unsigned char *map;
	size_t bytes;
	struct fnpu_bo *bo;
	int dmabuf_fd;
};

/**
 * fnpud_close() - close a descriptor that a client has sent
 * It may be anything, as a file whose file system is a program of the client's: then closing waits for
 * that, and is done by a thread that nobody waits for.
 */
void fnpud_close(int fd);

/**
 * fnpud_memory_new() - @bytes of @fd to read, for @device and the daemon
 * @fd: the caller's in any case
 * @out: with one user
 *
 * The NPU reads a dma-buf where it is; the emulated one a memfd that cannot grow, too. All else is copied
 * from there.
 *
 * Returns 0, -EINVAL when it is no such file or too small, or another negative errno.
 */
int fnpud_memory_new(struct fnpu_device *device, int fd, uint64_t bytes, struct fnpud_memory **out,
		     struct fnpu_error *error);

/** fnpud_memory_get() - one more user of @m, or of nothing: NULL. @m */
struct fnpud_memory *fnpud_memory_get(struct fnpud_memory *m);

/** fnpud_memory_put() - one less; the last one frees it. NULL is fine */
void fnpud_memory_put(struct fnpud_memory *m);

/**
 * fnpud_memory_ready() - 0, or -EBUSY while another device than the NPU writes it
 * Whoever reads it then waits for that. To the kernel the NPU's own jobs, which only read it, are writers.
 */
int fnpud_memory_ready(const struct fnpud_memory *m);

/** fnpud_memory_begin() - the daemon's reads follow; 0, -EBUSY while any device uses it, or another errno */
int fnpud_memory_begin(const struct fnpud_memory *m);

/** fnpud_memory_end() - they are done */
void fnpud_memory_end(const struct fnpud_memory *m);

#endif /* FNPUD_BUFFER_H */
