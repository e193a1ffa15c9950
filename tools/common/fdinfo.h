/* SPDX-License-Identifier: MIT */
/*
 * Who uses the NPU: the DRM usage statistics (Documentation/gpu/drm-usage-stats.rst)
 * that the driver shows in /proc/PID/fdinfo. Without privileges that is
 * what the caller's own processes do.
 */
#ifndef FNPU_FDINFO_H
#define FNPU_FDINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * struct npu_client - an open device file
 * @busy_ns: of the NPU, for it
 * @memory_bytes: of its buffers
 */
struct npu_client {
	uint32_t pid;
	char name[32];
	uint64_t client_id;
	uint64_t busy_ns;
	uint64_t memory_bytes;
};

/**
 * struct npu_clients - those of one NPU
 * @partial: there are processes of other users, which may have clients that cannot be seen
 */
struct npu_clients {
	struct npu_client *items;
	size_t count;
	bool partial;
};

/**
 * npu_clients_read() - all that can be seen, but for the caller's own
 * @clients: out; npu_clients_free() them
 * @npu: the device file's number
 * Returns 0 or a negative errno, of opening /proc or -ENOMEM.
 */
int npu_clients_read(struct npu_clients *clients, dev_t npu);

/** npu_clients_free() - what npu_clients_read() has filled, or zeroes */
void npu_clients_free(struct npu_clients *clients);

#endif /* FNPU_FDINFO_H */
