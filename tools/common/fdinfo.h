/* SPDX-License-Identifier: MIT */
/*
 * Who uses the NPU: the DRM usage statistics (Documentation/gpu/drm-usage-stats.rst)
 * that the driver shows in /proc/PID/fdinfo. Without privileges that is
 * what the caller's own processes do.
 */
#ifndef FNPU_FDINFO_H
#define FNPU_FDINFO_H

#include <stdint.h>

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
 * npu_clients() - all that can be seen
 * @clients: out; free() it
 * Returns how many, or a negative errno.
 */
int npu_clients(struct npu_client **clients);

#endif /* FNPU_FDINFO_H */
