// SPDX-License-Identifier: MIT
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "trace.h"

#define WORD_BYTES	16	/* longer than any exit index */

/* The next word of @file, cut to its room; its length, or 0 at the end. */
static size_t read_word(FILE *file, char *word)
{
	size_t len = 0;
	int c;

	while ((c = getc(file)) != EOF && isspace(c))
		;
	for (; c != EOF && !isspace(c); c = getc(file))
		if (len < WORD_BYTES - 1)
			word[len++] = (char)c;
	word[len] = '\0';
	return len;
}

static bool parse_exit(const char *word, uint32_t num_exits, uint8_t *exit)
{
	unsigned long value;
	char *end;

	if (!isdigit((unsigned char)*word))
		return false;
	value = strtoul(word, &end, 10);
	*exit = (uint8_t)value;
	return !*end && value < num_exits;
}

static int read_exits(FILE *file, const char *path, uint32_t num_exits, uint8_t **exits,
		      uint64_t *count, struct fnpu_error *error)
{
	char word[WORD_BYTES];
	size_t room = 0;

	while (read_word(file, word)) {
		if (*count == room) {
			uint8_t *more = realloc(*exits, room = 2 * room + 1024);

			if (!more)
				return fnpu_fail(error, -ENOMEM, "out of memory for %s", path);
			*exits = more;
		}
		if (!parse_exit(word, num_exits, &(*exits)[*count]))
			return fnpu_fail(error, -EINVAL,
					 "%s: sample %llu leaves at exit '%s', this network has exits 0 to %u",
					 path, (unsigned long long)*count, word, num_exits - 1);
		++*count;
	}
	if (ferror(file))
		return fnpu_fail(error, -EIO, "cannot read %s", path);
	return *count ? 0 : fnpu_fail(error, -EINVAL, "%s is empty: it names no exit", path);
}

int trace_open(const char *path, uint32_t num_exits, uint8_t **exits, uint64_t *count,
	       struct fnpu_error *error)
{
	FILE *file = fopen(path, "re");
	int ret;

	if (!file)
		return fnpu_fail(error, -errno, "cannot open %s: %s", path, strerror(errno));
	*exits = NULL;
	*count = 0;
	ret = read_exits(file, path, num_exits, exits, count, error);
	fclose(file);
	if (ret) {
		free(*exits);
		*exits = NULL;
	}
	return ret;
}
