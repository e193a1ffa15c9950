// SPDX-License-Identifier: MIT
#define _GNU_SOURCE	/* asprintf(), mkostemp(), secure_getenv() */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "error.h"
#include "trace.h"

#define BUFFER_BYTES	((size_t)256 << 10)
#define EVENT_BYTES	((size_t)4096)	/* more than any part of an event */
#define TRACKS		2	/* of a session */
#define MAX_INODE	100000000

enum track { TRACK_DECISIONS, TRACK_BATCHES };

/**
 * struct fnpu_trace - a file that is being written
 * @lock: of all of it: sessions of several threads may share one
 * @text: @used bytes that have not been written yet. Not a FILE: a child that exits would write its
 *	copy of the buffer, too
 * @pid: of the process that records; its children do not
 * @tracks: numbers of tracks that are in use
 * @error: negative errno of the first write that failed
 */
struct fnpu_trace {
	int fd;
	char *path;
	pthread_mutex_t lock;
	char text[BUFFER_BYTES];
	size_t used;
	pid_t pid;
	uint32_t tracks;
	int error;
};

/* ---- the file ---- */

static void flush(struct fnpu_trace *t)
{
	size_t done = 0;

	while (done < t->used && !t->error) {
		const ssize_t n = write(t->fd, t->text + done, t->used - done);

		if (n >= 0)
			done += (size_t)n;
		else if (errno != EINTR)
			t->error = -errno;
	}
	t->used = 0;
}

__attribute__((format(printf, 2, 3)))
static void put(struct fnpu_trace *t, const char *format, ...)
{
	va_list args;
	size_t bytes;

	if (t->used > BUFFER_BYTES - EVENT_BYTES)
		flush(t);
	va_start(args, format);
	bytes = (size_t)vsnprintf(t->text + t->used, EVENT_BYTES, format, args);
	va_end(args);
	t->used += bytes < EVENT_BYTES ? bytes : EVENT_BYTES - 1;
}

/* Any text as a JSON string. */
static void put_string(struct fnpu_trace *t, const char *text)
{
	cJSON *json = cJSON_CreateString(text);
	char *quoted = cJSON_PrintUnformatted(json);

	put(t, "%s", quoted && strlen(quoted) < EVENT_BYTES ? quoted : "\"\"");
	cJSON_free(quoted);
	cJSON_Delete(json);
}

/* A number with @digits decimals, with a point whatever the locale says. */
static void put_number(struct fnpu_trace *t, const char *key, double value, unsigned int digits)
{
	uint64_t scale = 1, whole;

	for (unsigned int i = 0; i < digits; i++)
		scale *= 10;
	whole = (uint64_t)((value < 0 ? -value : value) * (double)scale + 0.5);
	put(t, "\"%s\":%s%" PRIu64 ".%0*" PRIu64, key, value < 0 && whole ? "-" : "", whole / scale,
	    (int)digits, whole % scale);
}

/* Takes @fd and @path. The first event has no comma before it. */
static int begin(int fd, char *path, struct fnpu_trace **out, struct fnpu_error *error)
{
	struct fnpu_trace *t = calloc(1, sizeof(*t));
	char name[FNPU_ERROR_BYTES];

	if (!t) {
		free(path);
		close(fd);
		return fnpu_fail(error, -ENOMEM, "out of memory");
	}
	t->fd = fd;
	t->path = path;
	t->pid = getpid();
	pthread_mutex_init(&t->lock, NULL);
	snprintf(name, sizeof(name), "libfluidnpu: %s", program_invocation_short_name);
	put(t, "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n"
	    "{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":%d,\"args\":{\"name\":", t->pid);
	put_string(t, name);
	put(t, "}}");
	*out = t;
	return 0;
}

int fnpu_trace_open(const char *path, struct fnpu_trace **trace, struct fnpu_error *error)
{
	char *copy = strdup(path);
	const int fd = copy ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : -1;

	fnpu_error_clear(error);
	if (fd < 0) {
		const int ret = copy ? -errno : -ENOMEM;

		free(copy);
		return fnpu_fail(error, ret, "cannot record into %s: %s", path, strerror(-ret));
	}
	return begin(fd, copy, trace, error);
}

int fnpu_trace_of_environment(struct fnpu_trace **trace, struct fnpu_error *error)
{
	const char *prefix = secure_getenv("FLUIDNPU_TRACE");
	struct stat st;
	char *path;
	int fd, ret;

	*trace = NULL;
	if (!prefix || !*prefix)
		return 0;
	if (asprintf(&path, "%s.%d.XXXXXX", prefix, getpid()) < 0)
		return fnpu_fail(error, -ENOMEM, "out of memory");
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0) {
		ret = -errno;
		fnpu_fail(error, ret, "cannot record into %s, as $FLUIDNPU_TRACE wants: %s", path,
			  strerror(-ret));
		free(path);
		return ret;
	}
	ret = begin(fd, path, trace, error);
	/* what is recorded into several files becomes one: each has numbers of its own */
	if (!ret && !fstat(fd, &st))
		(*trace)->tracks = (uint32_t)(st.st_ino % MAX_INODE) * TRACKS;
	return ret;
}

int fnpu_trace_close(struct fnpu_trace *t, struct fnpu_error *error)
{
	int ret = 0;

	fnpu_error_clear(error);
	if (!t)
		return 0;
	if (t->pid == getpid()) {
		put(t, "\n]}\n");
		flush(t);
		ret = t->error;
	}
	if (close(t->fd) && !ret)
		ret = -errno;
	if (ret)
		fnpu_fail(error, ret, "the recording in %s is not complete: %s", t->path,
			  strerror(-ret));
	pthread_mutex_destroy(&t->lock);
	free(t->path);
	free(t);
	return ret;
}

/* ---- events ---- */

static bool is_recorded(const struct fnpu_session *s)
{
	return s->trace && s->trace->pid == getpid();
}

static double us_of(const struct fnpu_session *s, uint64_t time)
{
	return (double)time * 1e6 / fnpu_device_info(s->device)->clock_hz;
}

/* Up to the args of an event, which the caller writes and closes with end_event(). */
static void begin_event(const struct fnpu_session *s, const char *phase, const char *name,
			enum track track, uint64_t time)
{
	struct fnpu_trace *t = s->trace;

	pthread_mutex_lock(&t->lock);
	put(t, ",\n{\"ph\":\"%s\",\"name\":\"%s\",\"pid\":%d,\"tid\":%u,", phase, name, t->pid,
	    s->trace_tid + track);
	put_number(t, "ts", us_of(s, time), 3);
}

static void end_event(const struct fnpu_session *s)
{
	put(s->trace, "}}");
	pthread_mutex_unlock(&s->trace->lock);
}

static void put_us(const struct fnpu_session *s, const char *key, double us)
{
	put(s->trace, ",");
	put_number(s->trace, key, us, 3);
}

static void begin_instant(const struct fnpu_session *s, const char *name, uint64_t time)
{
	begin_event(s, "i", name, TRACK_DECISIONS, time);
	put(s->trace, ",\"s\":\"t\",\"args\":{");
}

/* Samples have tracks of their own: nestable async events of one id. */
static void begin_sample(const struct fnpu_session *s, const char *phase, const char *name,
			 uint32_t slot, uint64_t time)
{
	begin_event(s, phase, name, TRACK_DECISIONS, time);
	put(s->trace, ",\"cat\":\"sample\",\"id\":\"%u.%u.%u\",\"args\":{", s->trace_tid, slot,
		s->slots[slot].generation);
}

static void sample_event(const struct fnpu_session *s, const char *phase, const char *name,
			 uint32_t slot, uint64_t time)
{
	begin_sample(s, phase, name, slot, time);
	end_event(s);
}

/* ---- what sessions tell ---- */

static void name_track(const struct fnpu_session *s, enum track track, const char *what)
{
	char name[FNPU_ERROR_BYTES];

	snprintf(name, sizeof(name), "%s, %s: %s", fnpu_sched_info(s->sched)->name, s->info->name,
		 what);
	begin_event(s, "M", "thread_name", track, 0);
	put(s->trace, ",\"args\":{\"name\":");
	put_string(s->trace, name);	/* a model's name may be anything */
	end_event(s);
}

void fnpu_trace_attach(struct fnpu_trace *trace, struct fnpu_session *s)
{
	pthread_mutex_lock(&trace->lock);
	trace->tracks += TRACKS;
	s->trace_tid = trace->tracks;
	pthread_mutex_unlock(&trace->lock);
	s->trace = trace;
	name_track(s, TRACK_DECISIONS, "decisions");
	name_track(s, TRACK_BATCHES, "batches");
	/* by which times of the host, as the kernel's tracepoints have them, can be compared */
	begin_event(s, "M", "fluidnpu_clock", TRACK_DECISIONS, s->heard_time);
	put(trace, ",\"args\":{\"host_ns\":%" PRId64 ",", s->heard);
	put_number(trace, "device_us", us_of(s, s->heard_time), 3);
	end_event(s);
}

void fnpu_trace_arrival(struct fnpu_session *s, uint32_t slot)
{
	const struct slot *sample = &s->slots[slot];

	s->after = "an arrival";
	if (!is_recorded(s))
		return;
	begin_sample(s, "b", "sample", slot, s->device_time);
	put(s->trace, "\"user_data\":%" PRIu64, sample->result.user_data);
	if (sample->deadline != FNPU_SCHED_NEVER)
		put_us(s, "deadline_us", us_of(s, sample->deadline));
	end_event(s);
	sample_event(s, "b", "waiting", slot, s->device_time);
}

/* Of the samples in @d, the least time that is left. */
static void write_slack(const struct fnpu_session *s, const struct fnpu_sched_decision *d)
{
	uint64_t deadline = FNPU_SCHED_NEVER;

	for (uint32_t i = 0; i < d->count; i++)
		if (s->slots[d->samples[i]].deadline < deadline)
			deadline = s->slots[d->samples[i]].deadline;
	if (deadline != FNPU_SCHED_NEVER)
		put_us(s, "least_slack_us", us_of(s, deadline) - us_of(s, s->device_time));
}

static void write_decision(struct fnpu_session *s, const struct fnpu_sched_decision *d)
{
	static const char *const verbs[] = {
		[FNPU_SCHED_START] = "START", [FNPU_SCHED_INJECT] = "INJECT",
		[FNPU_SCHED_YIELD] = "YIELD", [FNPU_SCHED_DROP] = "DROP",
	};
	struct fnpu_trace *t = s->trace;
	char name[64];

	if (d->kind == FNPU_SCHED_YIELD)
		snprintf(name, sizeof(name), "YIELD");
	else
		snprintf(name, sizeof(name), "%s %u at layer %u", verbs[d->kind], d->count,
			 s->group_layers[d->layer]);
	begin_instant(s, name, s->device_time);
	put(t, "\"why\":\"%s\",\"after\":\"%s\",\"waiting\":%u,\"running\":%u", d->why, s->after,
		s->waiting, s->running);
	if (d->kind == FNPU_SCHED_START && d->stop_layer < s->num_groups)
		put(t, ",\"stop_layer\":%u", s->group_layers[d->stop_layer]);
	write_slack(s, d);
	end_event(s);
}

void fnpu_trace_decision(struct fnpu_session *s, const struct fnpu_sched_decision *d)
{
	if (!is_recorded(s))
		return;
	write_decision(s, d);
	if (d->kind == FNPU_SCHED_YIELD || d->kind == FNPU_SCHED_DROP)
		return;
	for (uint32_t i = 0; i < d->count; i++) {
		sample_event(s, "e", "waiting", d->samples[i], s->device_time);
		sample_event(s, "b", "running", d->samples[i], s->device_time);
	}
}

void fnpu_trace_back(struct fnpu_session *s, uint32_t slot, uint32_t layer)
{
	s->after = "samples handed back";
	if (!is_recorded(s))
		return;
	begin_sample(s, "e", "running", slot, s->device_time);
	put(s->trace, "\"stopped_before_layer\":%u", layer);
	end_event(s);
	sample_event(s, "b", "waiting", slot, s->device_time);
}

void fnpu_trace_result(struct fnpu_session *s, uint32_t slot)
{
	const struct slot *sample = &s->slots[slot];
	const struct fnpu_result *r = &sample->result;
	const uint64_t time = r->status ? s->device_time : r->head.time;
	const char *last = sample->state == SLOT_RUNNING ? "running" : "waiting";
	struct fnpu_trace *t = s->trace;

	if (!r->status)
		s->after = "an exit";
	if (!is_recorded(s))
		return;
	sample_event(s, "e", last, slot, time);
	begin_sample(s, "e", "sample", slot, time);
	if (r->status) {
		put(t, "\"error\":\"%s\"", r->reason);
	} else {
		put(t, "\"exit\":%u,\"class\":%u,\"batch\":%u,", r->exit_index,
		    r->head.class_index, r->batch);
		put_number(t, "confidence", (double)r->head.confidence, 4);
	}
	put(t, ",\"preempted\":%u", r->preempted);
	if (sample->deadline != FNPU_SCHED_NEVER)
		put_us(s, "slack_us", us_of(s, sample->deadline) - us_of(s, time));
	end_event(s);
}

void fnpu_trace_job(struct fnpu_session *s, uint32_t number, const struct drm_fluidnpu_event *e)
{
	const struct job *job = &s->jobs[number];
	char name[64];

	s->after = "the end of a batch";
	if (!is_recorded(s) || !e->time || e->time < e->started)
		return;
	snprintf(name, sizeof(name), "%u samples from layer %u", job->count,
		 job->samples[0].start_layer);
	begin_event(s, "X", name, TRACK_BATCHES, e->started);
	put_us(s, "dur", us_of(s, e->time - e->started));
	put(s->trace, ",\"args\":{\"error\":%d", e->error);
	put_us(s, "queued_us", us_of(s, e->queued));
	end_event(s);
}
