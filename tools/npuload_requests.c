// SPDX-License-Identifier: MIT
/* Files of requests: npusim's CSV, read and written, and intervals. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "npuload.h"

#define MAX_COLUMNS	32u
#define PS_PER_US	1000000.0

enum column { NUMBER, ARRIVAL, DEADLINE, EXIT, NUM_COLUMNS };

static const char *const column_names[NUM_COLUMNS] = {
	[NUMBER] = "request", [ARRIVAL] = "arrival_cycles", [DEADLINE] = "deadline_us", [EXIT] = "exit",
};

static const char *const outcome_names[LOAD_OUTCOMES] = {
	[LOAD_ON_TIME] = "on time", [LOAD_LATE] = "late",
	[LOAD_DROPPED] = "dropped", [LOAD_REJECTED] = "rejected", [LOAD_FAILED] = "failed",
};

/* ---- reading ---- */

/**
 * struct trace - a file being read
 * @cycles_per_us: of its times
 * @where: columns of the fields that are wanted
 */
struct trace {
	const char *path;
	FILE *file;
	double cycles_per_us;
	char *line;
	size_t room;
	uint32_t line_number;
	uint32_t where[NUM_COLUMNS];
	struct load_request *requests;
	uint32_t num, room_for;
};

/* Fields of the line, in place. */
static uint32_t split(char *line, char *fields[MAX_COLUMNS])
{
	uint32_t num = 0;

	line[strcspn(line, "\r\n")] = '\0';
	for (char *field; num < MAX_COLUMNS && (field = strsep(&line, ","));)
		fields[num++] = field;
	return num;
}

static int find_columns(struct trace *t, struct fnpu_error *error)
{
	char *fields[MAX_COLUMNS];
	const uint32_t num = split(t->line, fields);

	for (uint32_t c = 0; c < NUM_COLUMNS; c++) {
		t->where[c] = 0;
		while (t->where[c] < num && strcmp(fields[t->where[c]], column_names[c]))
			t->where[c]++;
		if (t->where[c] == num)
			return fnpu_fail(error, -EINVAL,
					 "%s: the first line names no column %s: npusim --requests writes such files",
					 t->path, column_names[c]);
	}
	return 0;
}

static bool parse_number(const char *text, double *value)
{
	char *end = NULL;

	*value = strtod(text, &end);
	return end != text && !*end && *value >= 0 && *value < 0x1p53;
}

static int make_room(struct trace *t, struct fnpu_error *error)
{
	const uint32_t more = t->room_for ? 2 * t->room_for : 1024;
	struct load_request *requests = NULL;

	if (t->num < t->room_for)
		return 0;
	if (more <= LOAD_MAX_REQUESTS)
		requests = realloc(t->requests, more * sizeof(*requests));
	if (!requests)
		return fnpu_fail(error, -ENOMEM, "%s: too many requests", t->path);
	t->requests = requests;
	t->room_for = more;
	return 0;
}

/* A request without a deadline has an empty field. */
static int add_line(struct trace *t, struct fnpu_error *error)
{
	double values[NUM_COLUMNS] = { 0 };
	char *fields[MAX_COLUMNS];
	const uint32_t num = split(t->line, fields);
	bool has_deadline;

	for (uint32_t c = 0; c < NUM_COLUMNS; c++) {
		if (t->where[c] < num && c == DEADLINE && !*fields[t->where[c]])
			continue;
		if (t->where[c] >= num || !parse_number(fields[t->where[c]], &values[c]))
			return fnpu_fail(error, -EINVAL, "%s:%u: %s is no number", t->path,
					 t->line_number, column_names[c]);
	}
	if (make_room(t, error))
		return -ENOMEM;
	has_deadline = *fields[t->where[DEADLINE]];
	t->requests[t->num] = (struct load_request){
		.number = (uint64_t)values[NUMBER],
		.arrival = (uint64_t)values[ARRIVAL],
		.deadline = has_deadline ? (uint64_t)llround(values[DEADLINE] * t->cycles_per_us) :
					   LOAD_NO_DEADLINE,
		.exit = values[EXIT] < UINT32_MAX ? (uint32_t)values[EXIT] : UINT32_MAX,
		.outcome = LOAD_UNSERVED,
	};
	t->num++;
	return 0;
}

static int read_lines(struct trace *t, struct fnpu_error *error)
{
	int ret = 0;

	while (!ret && getline(&t->line, &t->room, t->file) >= 0) {
		t->line_number++;
		ret = t->line_number == 1 ? find_columns(t, error) : add_line(t, error);
	}
	if (!ret && ferror(t->file))
		ret = fnpu_fail(error, -EIO, "%s: %s", t->path, strerror(errno));
	if (!ret && !t->num)
		ret = fnpu_fail(error, -EINVAL, "%s: there is no request in it", t->path);
	return ret;
}

static int by_arrival(const void *a, const void *b)
{
	const struct load_request *x = a, *y = b;

	if (x->arrival != y->arrival)
		return x->arrival < y->arrival ? -1 : 1;
	return (x->number > y->number) - (x->number < y->number);
}

int load_read_trace(const char *path, double cycles_per_us, struct load_request **requests,
		    uint32_t *num, struct fnpu_error *error)
{
	struct trace t = {
		.path = path, .file = fopen(path, "re"), .cycles_per_us = cycles_per_us,
	};
	int ret;

	if (!t.file)
		return fnpu_fail(error, -errno, "cannot open %s: %s", path, strerror(errno));
	ret = read_lines(&t, error);
	fclose(t.file);
	free(t.line);
	if (ret) {
		free(t.requests);
		return ret;
	}
	qsort(t.requests, t.num, sizeof(t.requests[0]), by_arrival);
	*requests = t.requests;
	*num = t.num;
	return 0;
}

/* ---- writing ---- */

/** struct times - of requests in a file; @us: of a cycle */
struct times {
	FILE *file;
	double us;
};

static void put_us(const struct times *t, uint64_t cycles)
{
	fprintf(t->file, "%.3f,", (double)cycles * t->us);
}

static void put_request(const struct times *t, const struct load_request *r)
{
	const bool served = r->outcome <= LOAD_LATE;

	fprintf(t->file, "%" PRIu64 ",0,%u,%" PRIu64 ",", r->number, r->stream, r->arrival);
	put_us(t, r->arrival);
	if (r->deadline != LOAD_NO_DEADLINE)
		put_us(t, r->deadline);
	else
		fputc(',', t->file);
	fprintf(t->file, "%u,", r->exit);
	if (served) {
		put_us(t, r->start);
		put_us(t, r->end);
		put_us(t, r->end - r->arrival);
		fprintf(t->file, "%u,%u,%s,", r->left_at, r->preempted, outcome_names[r->outcome]);
		put_us(t, r->submitted > r->arrival ? r->submitted - r->arrival : 0);
		put_us(t, r->seen - r->arrival);
		fprintf(t->file, "%d\n", r->correct);
	} else {
		fputc(',', t->file);
		put_us(t, r->end);
		fprintf(t->file, ",,%u,%s,,,\n", r->preempted, outcome_names[r->outcome]);
	}
}

static int finish(FILE *file, const char *path, struct fnpu_error *error)
{
	const bool failed = ferror(file);

	if (fclose(file) || failed)
		return fnpu_fail(error, -EIO, "cannot write all of %s", path);
	return 0;
}

int load_write_requests(const char *path, const struct load_request *requests, uint32_t num,
			double cycles_per_us, struct fnpu_error *error)
{
	const struct times t = { .file = fopen(path, "we"), .us = 1 / cycles_per_us };

	if (!t.file)
		return fnpu_fail(error, -errno, "cannot write %s: %s", path, strerror(errno));
	fprintf(t.file, "request,model,stream,arrival_cycles,arrival_us,deadline_us,exit,"
		"started_us,ended_us,latency_us,left_at,preempted,outcome,"
		"submitted_after_us,seen_us,correct\n");
	for (uint32_t i = 0; i < num; i++)
		if (requests[i].outcome != LOAD_UNSERVED)
			put_request(&t, &requests[i]);
	return finish(t.file, path, error);
}

/*
 * Whole picoseconds, each the difference of two rounded times: errors do not add up. The times are
 * those of the middles of cycles, so that they become the same cycles again.
 */
int load_write_intervals(const char *path, const struct load_request *requests, uint32_t num,
			 double cycles_per_us, struct fnpu_error *error)
{
	FILE *file = fopen(path, "we");
	int64_t before = 0;

	if (!file)
		return fnpu_fail(error, -errno, "cannot write %s: %s", path, strerror(errno));
	fprintf(file, "# microseconds since the previous request, and its exit\n");
	for (uint32_t i = 0; i < num; i++) {
		const int64_t at = llround(((double)requests[i].arrival + 0.5) / cycles_per_us *
					   PS_PER_US);

		fprintf(file, "%" PRId64 ".%06" PRId64 " %u\n", (at - before) / (int64_t)PS_PER_US,
			(at - before) % (int64_t)PS_PER_US,
			requests[i].exit < FLUIDNPU_MAX_EXITS ? requests[i].exit : 0);
		before = at;
	}
	return finish(file, path, error);
}
