// SPDX-License-Identifier: MIT
/* What a session records: sound Trace Event JSON that tells of every sample, decision and job. */
#include <errno.h>
#include <glob.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "lib_rig.h"

#define SAMPLES 40

/* ---- reading ---- */

static cJSON *parse(const char *path)
{
	static char text[4 << 20];
	FILE *file = fopen(path, "r");
	size_t bytes;
	cJSON *json;

	assert_non_null(file);
	bytes = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[bytes] = 0;
	json = cJSON_Parse(text);
	if (!json)
		fail_msg("%s is no JSON, from \"%.60s\" on", path, cJSON_GetErrorPtr());
	return json;
}

static const char *string_of(const cJSON *event, const char *key)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(event, key));

	return text ? text : "";
}

static double number_of(const cJSON *event, const char *key)
{
	return cJSON_GetNumberValue(cJSON_GetObjectItem(event, key));
}

static bool is_event(const cJSON *event, const char *phase, const char *name)
{
	return !strcmp(string_of(event, "ph"), phase) &&
	       !strncmp(string_of(event, "name"), name, strlen(name));
}

static int count(const cJSON *json, const char *phase, const char *name)
{
	const cJSON *event;
	int n = 0;

	cJSON_ArrayForEach(event, cJSON_GetObjectItem(json, "traceEvents"))
		n += is_event(event, phase, name);
	return n;
}

/* The event that ends what @begin begins, or the test fails. */
static const cJSON *end_of(const cJSON *begin)
{
	const cJSON *event;

	for (event = begin->next; event; event = event->next)
		if (is_event(event, "e", string_of(begin, "name")) &&
		    !strcmp(string_of(event, "id"), string_of(begin, "id")))
			return event;
	fail_msg("%s %s does not end", string_of(begin, "name"), string_of(begin, "id"));
	return NULL;
}

/* ---- recording ---- */

static void serve(struct lib_rig *rig, const struct fnpu_session_options *options)
{
	struct fnpu_session *s = lib_rig_open(rig, options);

	for (uint64_t i = 0; i < SAMPLES; i++)
		assert_int_equal(lib_rig_submit(s, i, i % 3 ? lib_rig_sure : lib_rig_unsure), 0);
	assert_int_equal(fnpu_session_cancel(s, 7), 1);
	assert_int_equal(lib_rig_collect(rig, s), SAMPLES);
	fnpu_session_close(s);
}

static cJSON *record(struct lib_rig *rig, const char *policy)
{
	const char *path = lib_temp_path("run.json");
	struct fnpu_session_options options = {
		.policy = policy, .queue_bound = SAMPLES, .slo_ns = 1000000,
	};

	assert_int_equal(fnpu_trace_open(path, &options.trace, &rig->error), 0);
	serve(rig, &options);
	assert_int_equal(fnpu_trace_close(options.trace, &rig->error), 0);
	return parse(path);
}

/* ---- tests ---- */

static void every_sample_waits_runs_and_ends(void **state)
{
	static const char *const policies[] = { "adaptive", "cellular", "lazy", "fluid", "fluid+" };

	for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
		cJSON *json = record(*state, policies[i]);
		const cJSON *event;

		assert_int_equal(count(json, "b", "sample"), SAMPLES);
		assert_int_equal(count(json, "e", "sample"), SAMPLES);
		assert_int_equal(count(json, "b", "waiting"), count(json, "e", "waiting"));
		assert_int_equal(count(json, "b", "running"), count(json, "e", "running"));
		/* one was cancelled; whoever ran more often was handed back */
		assert_int_equal(count(json, "b", "waiting"), count(json, "b", "running") + 1);
		cJSON_ArrayForEach(event, cJSON_GetObjectItem(json, "traceEvents")) {
			if (is_event(event, "b", ""))
				assert_true(number_of(end_of(event), "ts") >=
					    number_of(event, "ts"));
			if (is_event(event, "b", "sample"))
				assert_true(number_of(cJSON_GetObjectItem(event, "args"),
						      "deadline_us") > number_of(event, "ts"));
		}
		cJSON_Delete(json);
	}
}

static void decisions_say_why(void **state)
{
	cJSON *json = record(*state, "cellular");
	const cJSON *event;
	int started = 0, in_jobs = 0;

	cJSON_ArrayForEach(event, cJSON_GetObjectItem(json, "traceEvents")) {
		const cJSON *args = cJSON_GetObjectItem(event, "args");

		if (is_event(event, "X", ""))
			in_jobs += atoi(string_of(event, "name"));
		if (!is_event(event, "i", ""))
			continue;
		assert_non_null(strstr(string_of(args, "why"), "one stage at a time"));
		assert_true(string_of(args, "after")[0]);
		if (is_event(event, "i", "START"))
			started += atoi(string_of(event, "name") + strlen("START "));
	}
	assert_int_equal(started, count(json, "b", "running"));
	assert_int_equal(in_jobs, started);
	cJSON_Delete(json);
}

static void jobs_follow_one_another(void **state)
{
	cJSON *json = record(*state, "serial");
	const cJSON *event;
	double end = 0;

	cJSON_ArrayForEach(event, cJSON_GetObjectItem(json, "traceEvents")) {
		if (!is_event(event, "X", ""))
			continue;
		assert_true(number_of(event, "ts") >= end - 0.0015)	/* rounding */;
		end = number_of(event, "ts") + number_of(event, "dur");
	}
	assert_int_equal(count(json, "X", "1 samples from layer 0"), SAMPLES - 1);
	cJSON_Delete(json);
}

static void sessions_share_a_recording(void **state)
{
	struct lib_rig *rig = *state;
	const char *path = lib_temp_path("both.json");
	struct fnpu_session_options options = { .queue_bound = SAMPLES };
	cJSON *json;

	assert_int_equal(fnpu_trace_open(path, &options.trace, &rig->error), 0);
	serve(rig, &options);
	serve(rig, &options);
	assert_int_equal(fnpu_trace_close(options.trace, &rig->error), 0);
	json = parse(path);
	assert_int_equal(count(json, "M", "thread_name"), 4);
	assert_int_equal(count(json, "e", "sample"), 2 * SAMPLES);
	cJSON_Delete(json);
}

static void environment_asks_for_a_recording(void **state)
{
	const char *prefix = lib_temp_path("asked");
	char pattern[512];
	glob_t found;
	cJSON *json;

	snprintf(pattern, sizeof(pattern), "%s.%d.*", prefix, getpid());
	setenv("FLUIDNPU_TRACE", prefix, 1);
	serve(*state, &(struct fnpu_session_options){ .queue_bound = SAMPLES });
	unsetenv("FLUIDNPU_TRACE");
	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	assert_int_equal(found.gl_pathc, 1);
	json = parse(found.gl_pathv[0]);
	assert_int_equal(count(json, "e", "sample"), SAMPLES);
	cJSON_Delete(json);
	globfree(&found);
}

static void children_do_not_record(void **state)
{
	struct lib_rig *rig = *state;
	const char *path = lib_temp_path("fork.json");
	struct fnpu_session_options options = { .queue_bound = SAMPLES };
	cJSON *json;
	pid_t pid;

	assert_int_equal(fnpu_trace_open(path, &options.trace, &rig->error), 0);
	serve(rig, &options);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		fnpu_trace_close(options.trace, NULL);	/* its copy, which ends nothing */
		_exit(0);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	serve(rig, &options);
	assert_int_equal(fnpu_trace_close(options.trace, &rig->error), 0);
	json = parse(path);
	assert_int_equal(count(json, "e", "sample"), 2 * SAMPLES);
	cJSON_Delete(json);
}

static void recordings_of_one_process_can_be_put_together(void **state)
{
	const char *prefix = lib_temp_path("several");
	double tids[2] = { 0 };
	char pattern[512];
	glob_t found;

	snprintf(pattern, sizeof(pattern), "%s.%d.*", prefix, getpid());
	setenv("FLUIDNPU_TRACE", prefix, 1);
	for (int i = 0; i < 2; i++)
		serve(*state, &(struct fnpu_session_options){ .queue_bound = SAMPLES });
	unsetenv("FLUIDNPU_TRACE");
	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	assert_int_equal(found.gl_pathc, 2);
	for (int i = 0; i < 2; i++) {
		cJSON *json = parse(found.gl_pathv[i]);
		const cJSON *event;

		cJSON_ArrayForEach(event, cJSON_GetObjectItem(json, "traceEvents"))
			if (is_event(event, "b", "sample"))
				tids[i] = number_of(event, "tid");
		cJSON_Delete(json);
	}
	assert_true(tids[0] > 0 && tids[1] > 0 && fabs(tids[0] - tids[1]) >= 2);
	globfree(&found);
}

static void place_where_nothing_can_be_written_is_named(void **state)
{
	struct lib_rig *rig = *state;
	struct fnpu_session *s;
	struct fnpu_trace *trace;

	assert_int_equal(fnpu_trace_open("/nowhere/run.json", &trace, &rig->error), -ENOENT);
	assert_non_null(strstr(rig->error.text, "/nowhere/run.json"));
	setenv("FLUIDNPU_TRACE", "/nowhere/run", 1);
	assert_int_equal(fnpu_session_open(rig->device, rig->model, NULL, &s, &rig->error),
			 -ENOENT);
	assert_non_null(strstr(rig->error.text, "FLUIDNPU_TRACE"));
	unsetenv("FLUIDNPU_TRACE");
}

static void full_disk_is_told_at_the_end(void **state)
{
	struct lib_rig *rig = *state;
	struct fnpu_session_options options = { .queue_bound = SAMPLES };

	assert_int_equal(fnpu_trace_open("/dev/full", &options.trace, &rig->error), 0);
	serve(rig, &options);	/* which does not suffer */
	assert_int_equal(fnpu_trace_close(options.trace, &rig->error), -ENOSPC);
	assert_non_null(strstr(rig->error.text, "/dev/full"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, lib_rig_setup, lib_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_sample_waits_runs_and_ends),
		TEST(decisions_say_why),
		TEST(jobs_follow_one_another),
		TEST(sessions_share_a_recording),
		TEST(environment_asks_for_a_recording),
		TEST(children_do_not_record),
		TEST(recordings_of_one_process_can_be_put_together),
		TEST(place_where_nothing_can_be_written_is_named),
		TEST(full_disk_is_told_at_the_end),
	};

	return cmocka_run_group_tests_name("lib_timeline", tests, NULL, NULL);
}
