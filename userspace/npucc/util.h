/* SPDX-License-Identifier: MIT */
/*
 * Memory and errors of a compilation.
 *
 * A compilation allocates many small things that all die together, so they come
 * from one arena: no function here frees, and no error path can leak.
 *
 * The first error ends the compilation. A function that can fail returns false (or
 * NULL) after npucc_fail() has recorded one sentence for the user; callers
 * only pass the failure on.
 */
#ifndef NPUCC_UTIL_H
#define NPUCC_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct npucc_chunk;

struct npucc_arena {
	struct npucc_chunk *chunks;
};

/** npucc_alloc() - @count zeroed elements of @size bytes; never NULL: out of memory ends the process */
void *npucc_alloc(struct npucc_arena *arena, size_t count, size_t size);

/** npucc_printf() - a formatted string in the arena */
__attribute__((format(printf, 2, 3), nonnull(2)))
char *npucc_printf(struct npucc_arena *arena, const char *fmt, ...);

/** npucc_arena_free() - everything at once; the arena can be used again */
void npucc_arena_free(struct npucc_arena *arena);

/** npucc_printable() - what to print for a byte of a name: a model's are anything, also escapes */
static inline char npucc_printable(char c)
{
	return (unsigned char)c < ' ' || c == '\x7f' ? '?' : c;
}

struct npucc_error {
	char text[1024];	/* empty: no error */
};

/** npucc_fail() - record the message (the first one stays), all of it printable; returns false */
__attribute__((format(printf, 2, 3)))
bool npucc_fail(struct npucc_error *error, const char *fmt, ...);

#endif /* NPUCC_UTIL_H */
