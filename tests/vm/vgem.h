/* SPDX-License-Identifier: MIT */
/* vgem.h - another driver with a buffer: the kernel's virtual GEM. */
#ifndef FNPU_TESTS_VGEM_H
#define FNPU_TESTS_VGEM_H

#include <stdbool.h>
#include <stdint.h>

#define VGEM_BYTES (1u << 20)

struct vgem {
	int fd;
	uint32_t handle;	/* of a buffer of VGEM_BYTES */
	int8_t *map;
	uint32_t fence;
};

/* Loads it; false: there is none here. */
bool vgem_open(struct vgem *vgem);
void vgem_close(struct vgem *vgem);

/* The buffer as a dma-buf. */
int vgem_export(const struct vgem *vgem);

/*
 * Whoever uses the buffer has to wait until it is released, or for 10 seconds: the other driver
 * gives up then. 0 or -errno.
 */
int vgem_block(struct vgem *vgem);
int vgem_release(struct vgem *vgem);

/* What jobs held of a module's buffers goes soon after their last event: asks again and again. */
void unload_module(const char *module);

#endif
