// SPDX-License-Identifier: MIT
/*
 * npuload's report as JSON. "device" is what was asked for and what the NPU did: under a virtual clock
 * the same for every run of the same command. "host" is the rest.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "common/cli.h"
#include "common/figures.h"
#include "npuload.h"

/* ---- what was asked for ---- */

static void add_cameras(cJSON *device, const struct load_options *o)
{
	cJSON *cameras = cJSON_AddObjectToObject(device, "cameras");

	cJSON_AddNumberToObject(cameras, "n", o->workload.streams);
	cJSON_AddNumberToObject(cameras, "jitter", o->workload.jitter);
	cJSON_AddNumberToObject(cameras, "burst", o->busy_factor);
	cJSON_AddNumberToObject(cameras, "busy_s", o->busy_s);
}

static void add_scenario(cJSON *device, const struct load_options *o)
{
	cJSON_AddStringToObject(device, "scenario", load_scenario_names[o->scenario]);
	if (o->scenario == LOAD_CAMERAS)
		add_cameras(device, o);
	if (o->scenario == LOAD_MULTI_STREAM)
		cJSON_AddNumberToObject(device, "streams", o->streams);
	if (o->scenario == LOAD_BURSTY) {
		cJSON_AddNumberToObject(device, "burst_factor", o->workload.factor);
		cJSON_AddNumberToObject(device, "burst_s", o->workload.burst_s);
	}
	cJSON_AddNumberToObject(device, "warmup", (double)o->warmup);
	cJSON_AddNumberToObject(device, "seed", (double)o->seed);
	if (o->slo_ms > 0)
		cJSON_AddNumberToObject(device, "slo_ms", o->slo_ms);
	if (o->slo_factor > 0)
		cJSON_AddNumberToObject(device, "slo_factor", o->slo_factor);
}

static void add_bound(cJSON *device, const struct load_options *o)
{
	cJSON *bound;

	if (!(o->bound_ms > 0))
		return;
	bound = cJSON_AddObjectToObject(device, "latency_bound");
	cJSON_AddNumberToObject(bound, "percent", o->bound_percent);
	cJSON_AddNumberToObject(bound, "ms", o->bound_ms);
}

static void add_search(cJSON *device, const struct load *l, const struct load_run *runs,
		       uint32_t best)
{
	const struct load_range *r = &l->options->search;
	cJSON *search;

	if (!(r->from > 0))
		return;
	search = cJSON_AddObjectToObject(device, "search");
	cJSON_AddNumberToObject(search, "low_hz", r->from);
	cJSON_AddNumberToObject(search, "high_hz", r->to);
	cJSON_AddNumberToObject(search, "step_hz", r->step);
	if (best == UINT32_MAX)
		cJSON_AddNullToObject(search, "best_hz");
	else
		cJSON_AddNumberToObject(search, "best_hz", runs[best].figures.rate_hz);
}

static void add_npu(cJSON *device, const struct load *l)
{
	const struct fluidnpu_hw_geometry *g = &l->npu->geometry;
	cJSON *npu = cJSON_AddObjectToObject(device, "npu");

	cJSON_AddBoolToObject(npu, "functional", l->computes);
	cJSON_AddNumberToObject(npu, "clock_hz", l->npu->clock_hz);
	cJSON_AddNumberToObject(npu, "tile_rows", g->tile_rows);
	cJSON_AddNumberToObject(npu, "tile_depth", g->tile_depth);
	cJSON_AddNumberToObject(npu, "tile_cols", g->tile_cols);
	cJSON_AddNumberToObject(npu, "max_stack", g->max_stack);
	cJSON_AddNumberToObject(npu, "max_batch", g->max_batch);
}

/* ---- what came of it ---- */

static void add_fields(cJSON *object, const struct load_run *run, bool host)
{
	for (const struct load_field *field = load_fields; field->name; field++) {
		const double v = load_field_value(&run->figures, field);

		if (field->host == host && !isnan(v))
			cJSON_AddNumberToObject(object, field->name, v);
	}
}

static cJSON *run_json(const struct load *l, const struct load_run *run)
{
	cJSON *object = cJSON_CreateObject(), *counters;

	add_fields(object, run, false);
	cJSON_AddItemToObject(object, "exits",
			      cJSON_CreateDoubleArray(run->figures.exits, (int)l->info->num_exits));
	cJSON_AddBoolToObject(object, "valid", run->verdict.valid);
	cJSON_AddStringToObject(object, "reason", run->verdict.reason);
	cJSON_AddBoolToObject(object, "interrupted", run->interrupted);
	counters = cJSON_AddObjectToObject(object, "counters");
	figures_add_counters(counters, &run->after, &run->before);
	figures_add_series(counters, "live_batch_cycles", &run->after, &run->before,
			   FLUIDNPU_CNT_BATCH, FLUIDNPU_MAX_BATCH);
	return object;
}

static void add_device(cJSON *root, const struct load *l, const struct load_run *runs, uint32_t num,
		       uint32_t best)
{
	const struct load_options *o = l->options;
	cJSON *device = cJSON_AddObjectToObject(root, "device"), *array;

	cJSON_AddStringToObject(device, "model", l->info->name);
	add_scenario(device, o);
	add_bound(device, o);
	cJSON_AddStringToObject(device, "policy", o->policy);
	cJSON_AddNumberToObject(device, "batch", o->batch);
	cJSON_AddNumberToObject(device, "queue", o->queue);
	cJSON_AddNumberToObject(device, "depth", o->depth);
	if (!o->trace && (!l->computes || o->exits))
		cJSON_AddNumberToObject(device, "capacity_hz", l->setup.capacity_hz);
	add_npu(device, l);
	array = cJSON_AddArrayToObject(device, "runs");
	for (uint32_t i = 0; i < num; i++)
		cJSON_AddItemToArray(array, run_json(l, &runs[i]));
	add_search(device, l, runs, best);
}

static void add_path(cJSON *host, const char *name, const char *path)
{
	if (path)
		cJSON_AddStringToObject(host, name, path);
}

static void add_host(cJSON *root, const struct load *l, const struct load_run *runs, uint32_t num)
{
	const struct load_options *o = l->options;
	cJSON *host = cJSON_AddObjectToObject(root, "host"), *array;
	const time_t now = time(NULL);
	char date[32] = "";
	struct utsname u;
	struct tm tm;

	if (gmtime_r(&now, &tm))
		strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &tm);
	cJSON_AddStringToObject(host, "date", date);
	cJSON_AddStringToObject(host, "backend", l->npu->backend);
	cJSON_AddStringToObject(host, "device_file", l->npu->path);
	cJSON_AddStringToObject(host, "submission", num ? runs[0].submission : "");
	cJSON_AddStringToObject(host, "driver", l->npu->driver);
	cJSON_AddStringToObject(host, "library", fnpu_version());
	add_path(host, "model_file", o->model);
	add_path(host, "images", o->images);
	add_path(host, "labels", o->labels);
	add_path(host, "exits", o->exits);
	add_path(host, "trace", o->trace);
	if (!uname(&u)) {
		cJSON_AddStringToObject(host, "host", u.nodename);
		cJSON_AddStringToObject(host, "kernel", u.release);
		cJSON_AddStringToObject(host, "machine", u.machine);
	}
	array = cJSON_AddArrayToObject(host, "runs");
	for (uint32_t i = 0; i < num; i++) {
		cJSON *run = cJSON_CreateObject();

		add_fields(run, &runs[i], true);
		cJSON_AddItemToArray(array, run);
	}
}

static int write_text(const char *path, const char *text)
{
	FILE *file = strcmp(path, "-") ? fopen(path, "we") : stdout;
	bool failed;

	if (!file)
		return cli_error("cannot write %s: %s", path, strerror(errno));
	failed = fprintf(file, "%s\n", text) < 0;
	if (file == stdout)
		return 0;	/* looked at when it is flushed, at the end */
	if (fclose(file) || failed)
		return cli_error("cannot write %s: %s", path, strerror(errno));
	return 0;
}

int load_json(const struct load *l, const struct load_run *runs, uint32_t num, uint32_t best)
{
	cJSON *root = cJSON_CreateObject();
	char *text;
	int ret;

	add_device(root, l, runs, num, best);
	add_host(root, l, runs, num);
	text = cJSON_Print(root);
	cJSON_Delete(root);
	if (!text)
		return cli_error("out of memory");
	ret = write_text(l->options->json, text);
	free(text);
	return ret;
}
