/* SPDX-License-Identifier: MIT */
#ifndef FNPU_SCHED_MEMORY_H
#define FNPU_SCHED_MEMORY_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SCHED_CACHE_LINE	((size_t)64)

/** sched_calloc() - calloc() at a cache line's boundary; NULL: no memory. free() it. */
static inline void *sched_calloc(size_t num, size_t bytes)
{
	void *memory;

	if (num > (SIZE_MAX - SCHED_CACHE_LINE) / bytes)
		return NULL;
	bytes = (num * bytes + SCHED_CACHE_LINE - 1) & ~(SCHED_CACHE_LINE - 1);
	memory = aligned_alloc(SCHED_CACHE_LINE, bytes);
	return memory ? memset(memory, 0, bytes) : NULL;
}

#endif /* FNPU_SCHED_MEMORY_H */
