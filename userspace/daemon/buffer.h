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
 * struct fnpud_memory - a mapped buffer
 * @map: NULL: none; @bytes: of it
 * @dmabuf_fd: whose reads must be announced, or -1
 */
struct fnpud_memory {
	const unsigned char *map;
	size_t bytes;
	int dmabuf_fd;
};

/**
 * fnpud_close() - close a descriptor that a client has sent
 * It may be anything, as a file whose file system is a program of the client's: then closing waits for
 * that, and is done by a thread that nobody waits for.
 */
void fnpud_close(int fd);

/**
 * fnpud_memory_map() - map @bytes of @fd to read
 * @fd: the caller's in any case
 * Returns 0, -EINVAL when it is no such file or too small, or another negative errno.
 */
int fnpud_memory_map(struct fnpud_memory *m, int fd, uint64_t bytes, struct fnpu_error *error);

/** fnpud_memory_unmap() - undo it; nothing when nothing is mapped */
void fnpud_memory_unmap(struct fnpud_memory *m);

/** fnpud_memory_begin() - reads follow; 0, -EBUSY while a device writes it, or a negative errno */
int fnpud_memory_begin(const struct fnpud_memory *m);

/** fnpud_memory_end() - they are done */
void fnpud_memory_end(const struct fnpud_memory *m);

#endif /* FNPUD_BUFFER_H */
