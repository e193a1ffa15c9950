// SPDX-License-Identifier: MIT
/* Arena and error text (see util.h). */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "util.h"

struct npucc_chunk {
	struct npucc_chunk *next;
	_Alignas(max_align_t) unsigned char data[];
};

static void out_of_memory(void)
{
	fputs("npucc: out of memory\n", stderr);
	exit(1);
}

void *npucc_alloc(struct npucc_arena *arena, size_t count, size_t size)
{
	struct npucc_chunk *chunk;
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes) ||
	    __builtin_add_overflow(bytes, sizeof(*chunk) + 1, &bytes))
		out_of_memory();
	chunk = calloc(1, bytes);
	if (!chunk)
		out_of_memory();
	chunk->next = arena->chunks;
	arena->chunks = chunk;
	return chunk->data;
}

char *npucc_printf(struct npucc_arena *arena, const char *fmt, ...)
{
	va_list args;
	char *text;
	int len;

	va_start(args, fmt);
	len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (len < 0)
		out_of_memory();
	text = npucc_alloc(arena, (size_t)len + 1, 1);
	va_start(args, fmt);
	vsnprintf(text, (size_t)len + 1, fmt, args);
	va_end(args);
	return text;
}

void npucc_arena_free(struct npucc_arena *arena)
{
	struct npucc_chunk *chunk, *next;

	for (chunk = arena->chunks; chunk; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
	arena->chunks = NULL;
}

bool npucc_fail(struct npucc_error *error, const char *fmt, ...)
{
	va_list args;
	char *c;

	if (error->text[0])
		return false;
	va_start(args, fmt);
	vsnprintf(error->text, sizeof(error->text), fmt, args);
	va_end(args);
	for (c = error->text; *c; c++)
		*c = npucc_printable(*c);
	return false;
}
