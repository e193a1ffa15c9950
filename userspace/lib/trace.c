// SPDX-License-Identifier: MIT
#define _GNU_SOURCE	/* asprintf(), mkostemp(), secure_getenv() */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "error.h"
#include "trace.h"

#define BUFFER_BYTES	(256u << 10)
#define TRACKS		2	/* of a session */

enum track { TRACK_DECISIONS, TRACK_BATCHES };

/**
 * struct fnpu_trace - a file that is being written
 * @lock: of all of it: sessions of several threads may share one
 * @sessions: attached so far
 * @error: negative errno of the first write that failed
 */
struct fnpu_trace {
	FILE *file;
	char *path;
	pthread_mutex_t lock;
	uint32_t sessions;
	int error;
};

/* ---- the file ---- */

/* Takes @fd. The first event has no comma before it. */
static int begin(int fd, char *path, struct fnpu_trace **out, struct fnpu_error *error)
{
	struct fnpu_trace *t = calloc(1, sizeof(*t));

	if (t)
		t->file = fdopen(fd, "w");
	if (!t || !t->file) {
		free(t);
		free(path);
		close(fd);
		return fnpu_fail(error, -ENOMEM, "out of memory");
	}
	t->path = path;
	pthread_mutex_init(&t->lock, NULL);
	setvbuf(t->file, NULL, _IOFBF, BUFFER_BYTES);
	fprintf(t->file,
		"{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n"
		"{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":%d,\"args\":{\"name\":\"libfluidnpu: %s\"}}",
		getpid(), program_invocation_short_name);
	*out = t;
	return 0;
}

int fnpu_trace_open(const char *path, struct fnpu_trace **trace, struct fnpu_error *error)
{
	char *copy = strdup(path);
	FILE *file = copy ? fopen(path, "we") : NULL;
	int fd;

	fnpu_error_clear(error);
	if (!file) {
		const int ret = copy ? -errno : -ENOMEM;

		free(copy);
		return fnpu_fail(error, ret, "cannot record into %s: %s", path, strerror(-ret));
	}
	fd = dup(fileno(file));
	fclose(file);
	return begin(fd, copy, trace, error);
}

int fnpu_trace_of_environment(struct fnpu_trace **trace, struct fnpu_error *error)
{
	const char *prefix = secure_getenv("FLUIDNPU_TRACE");
	char *path;
	int fd;

	*trace = NULL;
	if (!prefix || !*prefix)
		return 0;
	if (asprintf(&path, "%s.%d.XXXXXX", prefix, getpid()) < 0)
		return fnpu_fail(error, -ENOMEM, "out of memory");
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0) {
		fnpu_fail(error, -errno, "cannot record into %s, as $FLUIDNPU_TRACE wants: %s", path,
			  strerror(errno));
		free(path);
		return -errno;
	}
	return begin(fd, path, trace, error);
}

int fnpu_trace_close(struct fnpu_trace *t, struct fnpu_error *error)
{
	int ret;

	fnpu_error_clear(error);
	if (!t)
		return 0;
	fprintf(t->file, "\n]}\n");
	if (ferror(t->file) && !t->error)
		t->error = -EIO;
	if (fclose(t->file) && !t->error)
		t->error = -errno;
	ret = t->error;
	if (ret)
		fnpu_fail(error, ret, "the recording in %s is not complete: %s", t->path,
			  strerror(-ret));
	pthread_mutex_destroy(&t->lock);
	free(t->path);
	free(t);
	return ret;
}

/* ---- events ---- */

static double us_of(const struct fnpu_session *s, uint64_t time)
{
	return (double)time * 1e6 / fnpu_device_info(s->device)->clock_hz;
}

/* Up to the args of an event, which the caller writes and closes with end_event(). */
static void begin_event(const struct fnpu_session *s, const char *phase, const char *name,
			enum track track, uint64_t time)
{
	FILE *file = s->trace->file;

	pthread_mutex_lock(&s->trace->lock);
	fprintf(file, ",\n{\"ph\":\"%s\",\"name\":\"%s\",\"pid\":%d,\"tid\":%u,\"ts\":%.3f", phase, name,
		getpid(), s->trace_tid + track, us_of(s, time));
}

static void end_event(const struct fnpu_session *s)
{
	struct fnpu_trace *t = s->trace;

	fputs("}}", t->file);
	if (ferror(t->file) && !t->error)
		t->error = -errno;
	pthread_mutex_unlock(&t->lock);
}

static void begin_instant(const struct fnpu_session *s, const char *name, uint64_t time)
{
	begin_event(s, "i", name, TRACK_DECISIONS, time);
	fputs(",\"s\":\"t\",\"args\":{", s->trace->file);
}

/* Samples have tracks of their own: nestable async events of one id. */
static void begin_sample(const struct fnpu_session *s, const char *phase, const char *name,
			 uint32_t slot, uint64_t time)
{
	begin_event(s, phase, name, TRACK_DECISIONS, time);
	fprintf(s->trace->file, ",\"cat\":\"sample\",\"id\":\"%u.%u.%u\",\"args\":{", s->trace_tid, slot,
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
	cJSON *text;
	char *quoted;

	snprintf(name, sizeof(name), "session %u: %s, %s: %s", s->trace_tid / TRACKS,
		 fnpu_sched_info(s->sched)->name, s->info->name, what);
	text = cJSON_CreateString(name);	/* a model's name may be anything */
	quoted = cJSON_PrintUnformatted(text);
	begin_event(s, "M", "thread_name", track, 0);
	fprintf(s->trace->file, ",\"args\":{\"name\":%s", quoted ? quoted : "\"\"");
	end_event(s);
	cJSON_free(quoted);
	cJSON_Delete(text);
}

void fnpu_trace_attach(struct fnpu_trace *trace, struct fnpu_session *s)
{
	pthread_mutex_lock(&trace->lock);
	s->trace_tid = ++trace->sessions * TRACKS;
	pthread_mutex_unlock(&trace->lock);
	s->trace = trace;
	name_track(s, TRACK_DECISIONS, "decisions");
	name_track(s, TRACK_BATCHES, "batches");
	/* by which times of the host, as the kernel's tracepoints have them, can be compared */
	begin_event(s, "M", "fluidnpu_clock", TRACK_DECISIONS, s->heard_time);
	fprintf(trace->file, ",\"args\":{\"host_ns\":%" PRId64 ",\"device_us\":%.3f", s->heard,
		us_of(s, s->heard_time));
	end_event(s);
}

void fnpu_trace_arrival(struct fnpu_session *s, uint32_t slot)
{
	const struct slot *sample = &s->slots[slot];

	s->after = "an arrival";
	if (!s->trace)
		return;
	begin_sample(s, "b", "sample", slot, s->device_time);
	fprintf(s->trace->file, "\"user_data\":%" PRIu64, sample->result.user_data);
	if (sample->deadline != FNPU_SCHED_NEVER)
		fprintf(s->trace->file, ",\"deadline_us\":%.3f", us_of(s, sample->deadline));
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
		fprintf(s->trace->file, ",\"least_slack_us\":%.3f",
			us_of(s, deadline) - us_of(s, s->device_time));
}

static void write_decision(struct fnpu_session *s, const struct fnpu_sched_decision *d)
{
	static const char *const verbs[] = {
		[FNPU_SCHED_START] = "START", [FNPU_SCHED_INJECT] = "INJECT",
		[FNPU_SCHED_YIELD] = "YIELD", [FNPU_SCHED_DROP] = "DROP",
	};
	FILE *file = s->trace->file;
	char name[64];

	if (d->kind == FNPU_SCHED_YIELD)
		snprintf(name, sizeof(name), "YIELD");
	else
		snprintf(name, sizeof(name), "%s %u at layer %u", verbs[d->kind], d->count,
			 s->group_layers[d->layer]);
	begin_instant(s, name, s->device_time);
	fprintf(file, "\"why\":\"%s\",\"after\":\"%s\",\"waiting\":%u,\"running\":%u", d->why, s->after,
		s->waiting, s->running);
	if (d->kind == FNPU_SCHED_START && d->stop_layer < s->num_groups)
		fprintf(file, ",\"stop_layer\":%u", s->group_layers[d->stop_layer]);
	write_slack(s, d);
	end_event(s);
}

void fnpu_trace_decision(struct fnpu_session *s, const struct fnpu_sched_decision *d)
{
	if (!s->trace)
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
	if (!s->trace)
		return;
	begin_sample(s, "e", "running", slot, s->device_time);
	fprintf(s->trace->file, "\"stopped_before_layer\":%u", layer);
	end_event(s);
	sample_event(s, "b", "waiting", slot, s->device_time);
}

void fnpu_trace_result(struct fnpu_session *s, uint32_t slot)
{
	const struct slot *sample = &s->slots[slot];
	const struct fnpu_result *r = &sample->result;
	const uint64_t time = r->status ? s->device_time : r->head.time;
	const char *last = sample->state == SLOT_RUNNING ? "running" : "waiting";
	FILE *file;

	if (!r->status)
		s->after = "an exit";
	if (!s->trace)
		return;
	file = s->trace->file;
	sample_event(s, "e", last, slot, time);
	begin_sample(s, "e", "sample", slot, time);
	if (r->status)
		fprintf(file, "\"error\":\"%s\"", r->reason);
	else
		fprintf(file, "\"exit\":%u,\"class\":%u,\"confidence\":%.4f,\"batch\":%u", r->exit_index,
			r->head.class_index, (double)r->head.confidence, r->batch);
	fprintf(file, ",\"preempted\":%u", r->preempted);
	if (sample->deadline != FNPU_SCHED_NEVER)
		fprintf(file, ",\"slack_us\":%.3f", us_of(s, sample->deadline) - us_of(s, time));
	end_event(s);
}

void fnpu_trace_job(struct fnpu_session *s, uint32_t number, const struct drm_fluidnpu_event *e)
{
	const struct job *job = &s->jobs[number];
	char name[64];

	s->after = "the end of a batch";
	if (!s->trace || !e->time || e->time < e->started)
		return;
	snprintf(name, sizeof(name), "%u samples from layer %u", job->count,
		 job->samples[0].start_layer);
	begin_event(s, "X", name, TRACK_BATCHES, e->started);
	fprintf(s->trace->file, ",\"dur\":%.3f,\"args\":{\"queued_us\":%.3f,\"error\":%d",
		us_of(s, e->time - e->started), us_of(s, e->queued), e->error);
	end_event(s);
}
