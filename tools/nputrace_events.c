// SPDX-License-Identifier: MIT
/*
 * The driver's tracepoints (kernel/fluidnpu_trace.h) as Trace Events. Those that tell device times are
 * shown by these: jobs on the device's queues, samples that leave. The others, as the submission of a
 * job or an interrupt, by the host's clock, moved to the device's.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "nputrace.h"

#define LINE_BYTES	1024
#define MAX_PAIRS	24
#define RECENT_JOBS	4096u	/* whose number of samples is remembered: more than there are in flight */
#define FIRST_PID	0x40000000	/* of the NPUs: beyond those of processes */
#define TID_DRIVER	1

/**
 * struct line - a line of trace_pipe, taken apart
 * @name: of the tracepoint without "fluidnpu_"
 * @keys, @values: of its fields, @num; a field without a name has the key "what"
 */
struct line {
	char text[LINE_BYTES];
	double seconds;
	const char *name;
	uint32_t num;
	const char *keys[MAX_PAIRS];
	const char *values[MAX_PAIRS];
};

/** struct writer - @jobs: samples of the recent ones, by cookie */
struct writer {
	FILE *out;
	double us_per_cycle;
	struct clock_map map;
	struct { uint64_t cookie; uint32_t samples; } jobs[RECENT_JOBS];
	int64_t written;
	uint32_t npus;
};

/* ---- lines ---- */

static void split_fields(struct line *l, char *fields)
{
	char *save, *field;

	l->num = 0;
	for (field = strtok_r(fields, " \n", &save); field && l->num < MAX_PAIRS;
	     field = strtok_r(NULL, " \n", &save)) {
		char *value = strchr(field, '=');

		if (value)
			*value++ = 0;
		l->keys[l->num] = value ? field : "what";
		l->values[l->num++] = value ? value : field;
	}
}

/* As "  npurun-123     [001] d..1.    12.345678: fluidnpu_job_end: npu=0 ..." */
static bool split_line(struct line *l)
{
	char *name = strstr(l->text, ": fluidnpu_"), *fields, *time;

	if (!name)
		return false;
	*name = 0;
	time = strrchr(l->text, ' ');
	name += strlen(": fluidnpu_");
	fields = strchr(name, ':');
	if (!time || !fields)
		return false;
	*fields++ = 0;
	l->seconds = strtod(time, NULL);
	l->name = name;
	split_fields(l, fields);
	return true;
}

static const char *field(const struct line *l, const char *key)
{
	for (uint32_t i = 0; i < l->num; i++)
		if (!strcmp(l->keys[i], key))
			return l->values[i];
	return NULL;
}

static uint64_t number(const struct line *l, const char *key)
{
	const char *text = field(l, key);

	return text ? strtoull(text, NULL, 0) : 0;
}

/* ---- events ---- */

static int pid_of(const struct line *l)
{
	return FIRST_PID + (int)number(l, "npu");
}

static double host_us(const struct writer *w, const struct line *l)
{
	return (l->seconds * 1e9 - w->map.host_ns) / 1e3 + w->map.device_us;
}

static void begin(struct writer *w, const struct line *l, const char *phase, int tid, double ts,
		  const char *name)
{
	fprintf(w->out, ",\n{\"ph\":\"%s\",\"name\":\"%s\",\"pid\":%d,\"tid\":%d,\"ts\":%.3f", phase, name,
		pid_of(l), tid, ts);
	w->written++;
}

/* What is a number stays one; cookies and the like are text. */
static void finish(struct writer *w, const struct line *l)
{
	fputs(",\"args\":{", w->out);
	for (uint32_t i = 0; i < l->num; i++) {
		const bool digits = strspn(l->values[i], "0123456789") == strlen(l->values[i]) &&
				    (l->values[i][0] != '0' || !l->values[i][1]);

		fprintf(w->out, "%s\"%s\":%s%s%s", i ? "," : "", l->keys[i], digits ? "" : "\"",
			l->values[i], digits ? "" : "\"");
	}
	fputs("}}", w->out);
}

static void name_tracks(struct writer *w, const struct line *l)
{
	const uint32_t npu = (uint32_t)number(l, "npu") % 32;

	if (w->npus & 1u << npu)
		return;
	w->npus |= 1u << npu;
	fprintf(w->out, ",\n{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":%d,\"args\":{\"name\":\"NPU %u, by its driver\"}}"
		",\n{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":%d,\"tid\":%d,\"args\":{\"name\":\"driver (host's clock)\"}}",
		pid_of(l), npu, pid_of(l), TID_DRIVER);
}

static int queue_tid(const struct line *l)
{
	return TID_DRIVER + 1 + (int)number(l, "queue");
}

static void write_job(struct writer *w, const struct line *l)
{
	const uint64_t cookie = number(l, "cookie");
	const uint64_t started = number(l, "started"), time = number(l, "time");
	char name[64];

	if (!time || time < started)
		return;		/* the device did not end it */
	if (w->jobs[cookie % RECENT_JOBS].cookie == cookie)
		snprintf(name, sizeof(name), "client %" PRIu64 ": %u samples", number(l, "client"),
			 w->jobs[cookie % RECENT_JOBS].samples);
	else
		snprintf(name, sizeof(name), "client %" PRIu64, number(l, "client"));
	begin(w, l, "X", queue_tid(l), (double)started * w->us_per_cycle, name);
	fprintf(w->out, ",\"dur\":%.3f", (double)(time - started) * w->us_per_cycle);
	finish(w, l);
}

static void write_sample(struct writer *w, const struct line *l)
{
	const char *what = field(l, "what");
	char name[64];

	snprintf(name, sizeof(name), "%s %" PRIu64, what ? what : "sample",
		 number(l, what && !strcmp(what, "yield") ? "layer" : "exit"));
	begin(w, l, "i", queue_tid(l), (double)number(l, "time") * w->us_per_cycle, name);
	fputs(",\"s\":\"t\"", w->out);
	finish(w, l);
}

static void write_line(struct writer *w, const struct line *l)
{
	const uint64_t cookie = number(l, "cookie");

	name_tracks(w, l);
	if (!strcmp(l->name, "job_run")) {
		w->jobs[cookie % RECENT_JOBS].cookie = cookie;
		w->jobs[cookie % RECENT_JOBS].samples = (uint32_t)number(l, "samples");
	}
	if (!strcmp(l->name, "job_sample")) {
		write_sample(w, l);
		return;
	}
	if (!strcmp(l->name, "job_end"))
		write_job(w, l);
	begin(w, l, "i", TID_DRIVER, host_us(w, l), l->name);
	fputs(",\"s\":\"t\"", w->out);
	finish(w, l);
}

/*
 * An event that has a device time came a little later by the host's clock: the least of these delays
 * is the interrupt's at its best.
 */
static struct clock_map find_map(struct kernel_trace *k, double us_per_cycle)
{
	struct clock_map map = { 0 };
	double least = 0;
	bool any = false;
	struct line l;

	rewind(k->lines);
	while (fgets(l.text, sizeof(l.text), k->lines)) {
		double device, behind;

		if (!split_line(&l) || !number(&l, "time"))
			continue;
		device = (double)number(&l, "time") * us_per_cycle;
		behind = l.seconds * 1e6 - device;
		if (any && behind >= least)
			continue;
		any = true;
		least = behind;
		map = (struct clock_map){ .host_ns = l.seconds * 1e9, .device_us = device };
	}
	return map;
}

int64_t kernel_trace_write(struct kernel_trace *k, uint32_t clock_hz, const struct clock_map *map,
			   FILE *out)
{
	struct writer *w = calloc(1, sizeof(*w));
	struct line l;
	int64_t ret;

	if (!w)
		return -ENOMEM;
	w->out = out;
	w->us_per_cycle = 1e6 / clock_hz;
	w->map = map ? *map : find_map(k, w->us_per_cycle);
	rewind(k->lines);
	while (fgets(l.text, sizeof(l.text), k->lines))
		if (split_line(&l))
			write_line(w, &l);
	ret = ferror(out) || ferror(k->lines) ? -EIO : w->written;
	free(w);
	return ret;
}
