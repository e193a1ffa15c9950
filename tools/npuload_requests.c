// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "npuload.h"

#define MAX_COLUMNS	32u
#define MAX_REQUESTS	(1u << 24)

enum column { NUMBER, ARRIVAL, DEADLINE, EXIT, NUM_COLUMNS };

static const char *const column_names[NUM_COLUMNS] = {
	[NUMBER] = "request", [ARRIVAL] = "arrival_cycles", [DEADLINE] = "deadline_us", [EXIT] = "exit",
};

static const char *const outcome_names[LOAD_OUTCOMES] = {
	[LOAD_ON_TIME] = "on time", [LOAD_LATE] = "late",
	[LOAD_DROPPED] = "dropped", [LOAD_REJECTED] = "rejected",
};

/* ---- reading ---- */

/** struct trace - a file being read; @where: columns of the fields that are wanted */
struct trace {
	const char *path;
	FILE *file;
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

static int add_line(struct trace *t, struct fnpu_error *error)
{
	double values[NUM_COLUMNS];
	char *fields[MAX_COLUMNS];
	const uint32_t num = split(t->line, fields);

	for (uint32_t c = 0; c < NUM_COLUMNS; c++)
		if (t->where[c] >= num || !parse_number(fields[t->where[c]], &values[c]))
			return fnpu_fail(error, -EINVAL, "%s:%u: %s is no number", t->path,
					 t->line_number, column_names[c]);
	if (t->num == t->room_for) {
		const uint32_t more = t->room_for ? 2 * t->room_for : 1024;
		struct load_request *requests = NULL;

		if (more <= MAX_REQUESTS)
			requests = realloc(t->requests, more * sizeof(*requests));
		if (!requests)
			return fnpu_fail(error, -ENOMEM, "%s: too many requests", t->path);
		t->requests = requests;
		t->room_for = more;
	}
	t->requests[t->num] = (struct load_request){
		.number = (uint64_t)values[NUMBER],
		.arrival = (uint64_t)values[ARRIVAL],
		.deadline_us = values[DEADLINE],
		.exit = values[EXIT] < UINT32_MAX ? (uint32_t)values[EXIT] : UINT32_MAX,
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

int load_read_trace(const char *path, struct load_request **requests, uint32_t *num,
		    struct fnpu_error *error)
{
	struct trace t = { .path = path, .file = fopen(path, "re") };
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

int load_write_requests(const char *path, const struct load_request *requests, uint32_t num,
			double cycles_per_us, struct fnpu_error *error)
{
	FILE *file = fopen(path, "we");
	bool failed;

	if (!file)
		return fnpu_fail(error, -errno, "cannot write %s: %s", path, strerror(errno));
	fprintf(file, "request,arrival_cycles,arrival_us,deadline_us,exit,started_us,ended_us,"
		"latency_us,left_at,preempted,outcome\n");
	for (uint32_t i = 0; i < num; i++) {
		const struct load_request *r = &requests[i];

		fprintf(file, "%" PRIu64 ",%" PRIu64 ",%.3f,%.3f,%u,", r->number, r->arrival,
			(double)r->arrival / cycles_per_us, r->deadline_us, r->exit);
		if (r->outcome <= LOAD_LATE)
			fprintf(file, "%.3f,%.3f,%.3f,%u,%u,%s\n",
				(double)r->start / cycles_per_us, (double)r->end / cycles_per_us,
				(double)(r->end - r->arrival) / cycles_per_us, r->left_at,
				r->preempted, outcome_names[r->outcome]);
		else
			fprintf(file, ",%.3f,,,%u,%s\n", (double)r->end / cycles_per_us,
				r->preempted, outcome_names[r->outcome]);
	}
	failed = ferror(file);
	if (fclose(file) || failed)
		return fnpu_fail(error, -EIO, "cannot write all of %s", path);
	return 0;
}

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

void load_print_summary(const struct load_request *requests, uint32_t num, double cycles_per_us)
{
	double *latencies = calloc(num, sizeof(*latencies)), sum = 0;
	uint32_t outcomes[LOAD_OUTCOMES] = { 0 }, served = 0;

	for (uint32_t i = 0; i < num; i++) {
		const struct load_request *r = &requests[i];

		outcomes[r->outcome]++;
		if (!latencies || r->outcome > LOAD_LATE)
			continue;
		latencies[served] = (double)(r->end - r->arrival) / cycles_per_us;
		sum += latencies[served++];
	}
	printf("requests               %12u\n", num);
	for (int o = 0; o < LOAD_OUTCOMES; o++)
		printf("%-23s%12u   %6.2f %%\n", outcome_names[o], outcomes[o],
		       100.0 * outcomes[o] / num);
	if (served) {
		qsort(latencies, served, sizeof(*latencies), by_value);
		printf("latency, mean          %12.3f us of device time\n", sum / served);
		printf("latency, p99           %12.3f us\n",
		       latencies[(uint32_t)ceil(0.99 * served) - 1]);
	}
	free(latencies);
}
