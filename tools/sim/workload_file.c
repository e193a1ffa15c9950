// SPDX-License-Identifier: MIT
/* Recorded intervals (see workload.h). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "params.h"
#include "workload.h"

#define MAX_INTERVALS		(1u << 24)
#define MAX_INTERVAL_US		3.6e9
#define LINE_BYTES		128
#define BLANKS			" \t\r\n,"

struct list {
	struct workload_interval *items;
	uint32_t count, room;
};

static int append(struct list *l, struct workload_interval item)
{
	if (l->count == l->room) {
		const uint32_t room = 2 * l->room + 1024;
		struct workload_interval *more = realloc(l->items, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		l->items = more;
		l->room = room;
	}
	l->items[l->count++] = item;
	return 0;
}

/* "INTERVAL [EXIT]" without its comment; 1: a blank line */
static int parse_line(char *line, const char *path, unsigned int number,
		      struct workload_interval *item, struct fnpu_error *error)
{
	char *save = NULL, *first, *second;
	double us, exit = WORKLOAD_NO_EXIT;

	line[strcspn(line, "#")] = '\0';
	first = strtok_r(line, BLANKS, &save);
	if (!first)
		return 1;
	second = strtok_r(NULL, BLANKS, &save);
	if (!parse_double(first, &us))
		return fnpu_fail(error, -EINVAL,
				 "%s:%u: '%s' is no interval: microseconds since the previous request",
				 path, number, first);
	if (us < 0)
		return fnpu_fail(error, -EINVAL,
				 "%s:%u: the interval %s is negative: time would run backwards",
				 path, number, first);
	if (us > MAX_INTERVAL_US)
		return fnpu_fail(error, -EINVAL, "%s:%u: the interval %s is longer than an hour",
				 path, number, first);
	if (second && (!parse_double(second, &exit) || exit < 0 || exit >= FLUIDNPU_MAX_EXITS ||
		       exit != (uint8_t)exit || strtok_r(NULL, BLANKS, &save)))
		return fnpu_fail(error, -EINVAL,
				 "%s:%u: a line is an interval and, at most, the exit of the request",
				 path, number);
	*item = (struct workload_interval){ us / 1e6, (uint8_t)exit };
	return 0;
}

static int read_lines(FILE *file, const char *path, struct list *l, struct fnpu_error *error)
{
	char line[LINE_BYTES];

	for (unsigned int number = 1; fgets(line, sizeof(line), file); number++) {
		struct workload_interval item = { 0 };
		int ret;

		if (strlen(line) == sizeof(line) - 1 && line[sizeof(line) - 2] != '\n')
			return fnpu_fail(error, -EINVAL, "%s:%u: the line is longer than %d bytes",
					 path, number, LINE_BYTES - 2);
		ret = parse_line(line, path, number, &item, error);
		if (ret < 0)
			return ret;
		if (ret)
			continue;
		if (l->count == MAX_INTERVALS)
			return fnpu_fail(error, -EFBIG, "%s has more than %u intervals", path,
					 MAX_INTERVALS);
		if (append(l, item))
			return fnpu_fail(error, -ENOMEM, "out of memory for %s", path);
	}
	if (ferror(file))
		return fnpu_fail(error, -EIO, "cannot read %s", path);
	return l->count ? 0 : fnpu_fail(error, -EINVAL, "%s is empty: it has no interval", path);
}

int workload_read_file(const char *path, struct workload_interval **intervals, uint32_t *count,
		       struct fnpu_error *error)
{
	struct list l = { 0 };
	FILE *file = fopen(path, "re");
	int ret;

	if (!file)
		return fnpu_fail(error, -errno, "cannot open the workload %s: %s", path,
				 strerror(errno));
	ret = read_lines(file, path, &l, error);
	fclose(file);
	if (ret) {
		free(l.items);
		return ret;
	}
	*intervals = l.items;
	*count = l.count;
	return 0;
}
