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

/* What is read may have no end (a device, a pipe): @left bounds it. */
struct reader {
	FILE *file;
	size_t left;	/* bytes */
};

static int next_char(struct reader *reader)
{
	if (!reader->left)
		return EOF;
	reader->left--;
	return getc(reader->file);
}

/* The next word, cut to WORD_BYTES; its length, or 0 at the end. */
static size_t read_word(struct reader *reader, char word[WORD_BYTES + 1])
{
	size_t len = 0;
	int c;

	while ((c = next_char(reader)) != EOF && isspace(c))
		;
	for (; c != EOF && !isspace(c) && len < WORD_BYTES; c = next_char(reader))
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
	struct reader reader = { .file = file, .left = TRACE_MAX_BYTES };
	char word[WORD_BYTES + 1];
	size_t room = 0, len;

	while ((len = read_word(&reader, word))) {
		if (len == WORD_BYTES)
			return fnpu_fail(error, -EINVAL,
					 "%s: sample %llu has a word of %d bytes or more: that is no exit",
					 path, (unsigned long long)*count, WORD_BYTES);
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
	if (!reader.left)
		return fnpu_fail(error, -EFBIG, "%s: a trace is shorter than %d MiB, this goes on",
				 path, TRACE_MAX_BYTES >> 20);
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
