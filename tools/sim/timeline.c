// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "engine.h"
#include "error.h"
#include "timeline.h"

#define PID_NPU		1
#define PID_REQUESTS	2
#define NAME_BYTES	160

static void write_event(struct timeline *t, cJSON *event)
{
	char *text = cJSON_PrintUnformatted(event);

	if (!text || fprintf(t->file, "%s\n%s", t->any ? "," : "", text) < 0)
		t->failed = true;
	t->any = true;
	cJSON_free(text);
	cJSON_Delete(event);
}

static cJSON *new_event(const char *phase, const char *name, int pid, double tid)
{
	cJSON *event = cJSON_CreateObject();

	cJSON_AddStringToObject(event, "ph", phase);
	cJSON_AddStringToObject(event, "name", name);
	cJSON_AddNumberToObject(event, "pid", pid);
	cJSON_AddNumberToObject(event, "tid", tid);
	return event;
}

static void write_name(struct timeline *t, const char *what, int pid, double tid, const char *name)
{
	cJSON *event = new_event("M", what, pid, tid);

	cJSON_AddStringToObject(cJSON_AddObjectToObject(event, "args"), "name", name);
	write_event(t, event);
}

/* A slice; what stays to be added to it is in the returned args. */
static cJSON *add_slice(const struct timeline *t, cJSON *event, uint64_t begin, uint64_t end)
{
	cJSON_AddNumberToObject(event, "ts", (double)begin * t->us_per_cycle);
	cJSON_AddNumberToObject(event, "dur", (double)(end - begin) * t->us_per_cycle);
	return cJSON_AddObjectToObject(event, "args");
}

static void write_slice(struct timeline *t, const char *name, int pid, double tid, uint64_t begin,
			uint64_t end)
{
	cJSON *event = new_event("X", name, pid, tid);

	add_slice(t, event, begin, end);
	write_event(t, event);
}

int timeline_open(struct timeline *t, const char *path, uint32_t clock_hz,
		  struct fnpu_error *error)
{
	*t = (struct timeline){
		.file = fopen(path, "we"), .path = path, .us_per_cycle = 1e6 / clock_hz,
	};
	if (!t->file)
		return fnpu_fail(error, -errno, "cannot write %s: %s", path, strerror(errno));
	fprintf(t->file, "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[");
	write_name(t, "process_name", PID_NPU, 0, "NPU");
	write_name(t, "thread_name", PID_NPU, 1, "engine");
	write_name(t, "process_name", PID_REQUESTS, 0, "requests");
	return 0;
}

void timeline_segment(struct timeline *t, const struct npu_network *network,
		      const struct engine_batch *batch, const uint64_t *ids, uint64_t begin,
		      uint64_t run, uint64_t end, uint32_t end_group)
{
	const int exit = network->groups[end_group - 1].exit;
	cJSON *event, *args, *samples;
	char name[NAME_BYTES];

	if (run > begin)
		write_slice(t, "move activations", PID_NPU, 1, begin, run);
	snprintf(name, sizeof(name), "%s groups %u-%u, %u samples", network->name, batch->group,
		 end_group - 1, batch->num);
	event = new_event("X", name, PID_NPU, 1);
	args = add_slice(t, event, run, end);
	cJSON_AddNumberToObject(args, "batch", batch->num);
	if (exit >= 0)
		cJSON_AddNumberToObject(args, "exit_head", exit);
	samples = cJSON_AddArrayToObject(args, "requests");
	for (uint32_t i = 0; i < batch->num; i++)
		cJSON_AddItemToArray(samples, cJSON_CreateNumber((double)ids[i]));
	write_event(t, event);

	snprintf(name, sizeof(name), "groups %u-%u", batch->group, end_group - 1);
	for (uint32_t i = 0; i < batch->num; i++)
		write_slice(t, name, PID_REQUESTS, (double)ids[i] + 1, begin, end);
}

void timeline_request(struct timeline *t, const struct request *r, enum outcome outcome,
		      uint64_t started, uint64_t now, uint32_t preempted, uint8_t exit)
{
	const double tid = (double)r->number + 1;
	char name[NAME_BYTES];
	cJSON *event, *args;

	snprintf(name, sizeof(name), "request %" PRIu64, r->number);
	write_name(t, "thread_name", PID_REQUESTS, tid, name);
	write_slice(t, "queued", PID_REQUESTS, tid, r->arrival, started ? started : now);
	if (outcome <= OUTCOME_LATE)
		snprintf(name, sizeof(name), "exit %u, %s", exit, outcome_name(outcome));
	else
		snprintf(name, sizeof(name), "%s", outcome_name(outcome));
	event = new_event("i", name, PID_REQUESTS, tid);
	cJSON_AddStringToObject(event, "s", "t");
	cJSON_AddNumberToObject(event, "ts", (double)now * t->us_per_cycle);
	args = cJSON_AddObjectToObject(event, "args");
	cJSON_AddNumberToObject(args, "latency_us", (double)(now - r->arrival) * t->us_per_cycle);
	cJSON_AddNumberToObject(args, "slack_us",
				((double)r->deadline - (double)now) * t->us_per_cycle);
	cJSON_AddNumberToObject(args, "preempted", preempted);
	write_event(t, event);
}

int timeline_close(struct timeline *t, struct fnpu_error *error)
{
	if (fprintf(t->file, "\n]}\n") < 0)
		t->failed = true;
	if (fclose(t->file))
		t->failed = true;
	t->file = NULL;
	return t->failed ? fnpu_fail(error, -EIO, "cannot write %s", t->path) : 0;
}
