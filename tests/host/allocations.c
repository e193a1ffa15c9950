// SPDX-License-Identifier: MIT
#include <stddef.h>
#include <stdlib.h>

#include "allocations.h"

/* A sanitizer has a malloc() of its own. gcc says so by a macro, clang by a feature. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#elif defined(__has_feature)
#define IS_SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define IS_SANITIZED 0
#endif

#if !IS_SANITIZED

static uint64_t count;

/* glibc's own, behind what counts. */
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t num, size_t bytes);
void *__libc_realloc(void *old, size_t bytes);

void *malloc(size_t bytes)
{
	__atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
	return __libc_malloc(bytes);
}

void *calloc(size_t num, size_t bytes)
{
	__atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
	return __libc_calloc(num, bytes);
}

void *realloc(void *old, size_t bytes)
{
	__atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
	return __libc_realloc(old, bytes);
}

#else

static const uint64_t count;

#endif

uint64_t allocations(void)
{
	return __atomic_load_n(&count, __ATOMIC_RELAXED);
}

bool allocations_counted(void)
{
	const uint64_t before = allocations();
	void *(*volatile take)(size_t) = malloc;	/* the compiler knows what malloc() does */

	free(take(1));
	return allocations() > before;
}
