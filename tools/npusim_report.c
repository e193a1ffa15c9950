// SPDX-License-Identifier: MIT
/* What npusim tells: for people, as JSON, as CSV, as a timeline. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/cli.h"
#include "npusim.h"
#include "sim/timeline.h"

#define LABEL_BYTES	512

/* ---- estimates over seeds ---- */

static struct estimate estimate_field(const struct npusim_point *p, size_t offset)
{
	double values[1000];

	for (uint32_t s = 0; s < p->seeds; s++)
		values[s] = result_get(&p->results[s], offset);
	return estimate_of(values, p->seeds);
}

#define ESTIMATE(p, field) estimate_field(p, offsetof(struct sim_result, field))

/* "12.3" or "12.3 +- 0.4" */
static const char *show(struct estimate e, double scale, int digits, uint32_t seeds, char *text)
{
	int len = snprintf(text, LABEL_BYTES, "%.*f", digits, e.mean * scale);

	if (seeds > 1)
		snprintf(text + len, LABEL_BYTES - (size_t)len, " +- %.*f", digits, e.half * scale);
	return text;
}

/* ---- one point ---- */

static void print_line(const struct npusim_point *p, const char *name, struct estimate e,
		       double scale, int digits, const char *unit)
{
	char text[LABEL_BYTES];

	printf("%-26s %18s %s\n", name, show(e, scale, digits, p->seeds, text), unit);
}

static void print_head(const struct npusim_point *p)
{
	const struct sim_options *o = &p->options;

	printf("policy %s, %s NPU%s%s, %s, SLO %g, seed %" PRIu64, o->policy,
	       npu_kind_name(o->npu), o->device[0] ? ", " : "", o->device, p->workload, o->slo,
	       o->seed);
	if (p->seeds > 1)
		printf(" to %" PRIu64, o->seed + p->seeds - 1);
	printf("\n");
	for (uint32_t i = 0; i < o->num_models; i++)
		printf("network %s, exits %s\n", o->models[i].path, o->models[i].exits);
	printf("\n");
}

static void print_exits(const struct npusim_point *p)
{
	for (uint32_t e = 0; e < FLUIDNPU_MAX_EXITS; e++) {
		const struct estimate share = ESTIMATE(p, exits[e]);
		char name[32];

		snprintf(name, sizeof(name), "left at exit %u", e);
		if (share.mean > 0)
			print_line(p, name, share, 100, 2, "%");
	}
}

static void print_point(const struct npusim_point *p)
{
	print_head(p);
	print_line(p, "requests", ESTIMATE(p, requests), 1, 0, "");
	print_line(p, "load", ESTIMATE(p, load), 1, 3, "of the conventional NPU, serial");
	print_line(p, "rate", ESTIMATE(p, rate_hz), 1, 1, "requests/s");
	print_line(p, "latency mean", ESTIMATE(p, mean_us), 1, 1, "us");
	print_line(p, "latency p50", ESTIMATE(p, p50_us), 1, 1, "us");
	print_line(p, "latency p95", ESTIMATE(p, p95_us), 1, 1, "us");
	print_line(p, "latency p99", ESTIMATE(p, p99_us), 1, 1, "us");
	print_line(p, "latency max", ESTIMATE(p, max_us), 1, 1, "us");
	print_line(p, "mean of those on time", ESTIMATE(p, on_time_mean_us), 1, 1, "us");
	print_line(p, "SLO violations", ESTIMATE(p, violations), 100, 3, "%");
	print_line(p, "  late", ESTIMATE(p, late), 1, 0, "requests");
	print_line(p, "  dropped", ESTIMATE(p, dropped), 1, 0, "requests");
	print_line(p, "  rejected", ESTIMATE(p, rejected), 1, 0, "requests");
	print_line(p, "throughput", ESTIMATE(p, throughput_hz), 1, 1, "requests/s");
	print_line(p, "goodput", ESTIMATE(p, goodput_hz), 1, 1, "requests/s on time");
	if (!strcmp(p->options.policy, SIM_ORACLE))
		return;
	print_line(p, "NPU busy", ESTIMATE(p, busy), 100, 2, "%");
	print_line(p, "PE utilisation, busy", ESTIMATE(p, utilisation), 100, 2, "%");
	print_line(p, "moving activations", ESTIMATE(p, switching), 100, 2, "% of busy");
	print_line(p, "batch, mean", ESTIMATE(p, mean_batch), 1, 2, "samples");
	print_line(p, "NPU time per request", ESTIMATE(p, cycles_per_request), 1e-3, 1, "kcycles");
	print_line(p, "DRAM per request", ESTIMATE(p, dram_bytes_per_request), 1.0 / 1024, 1, "KiB");
	print_line(p, "preemptions", ESTIMATE(p, preemptions), 1, 3, "per request");
	print_line(p, "merges", ESTIMATE(p, merges), 1, 3, "per request");
	if (p->results[0].accuracy >= 0)
		print_line(p, "accuracy", ESTIMATE(p, accuracy), 100, 2, "%");
	print_line(p, "left before their exit", ESTIMATE(p, early), 100, 2, "%");
	print_exits(p);
	print_line(p, "decisions", ESTIMATE(p, decisions), 1, 0, "");
	print_line(p, "simulated", ESTIMATE(p, time_s), 1, 2, "s");
	print_line(p, "simulation speed", ESTIMATE(p, requests_per_s), 1, 0, "requests/s, host");
}

/* ---- several ---- */

static void print_table(const struct npusim_point *points, size_t num)
{
	printf("%-24s %-12s %-10s %6s %5s %5s  %12s %12s %9s %9s %6s\n", "policy", "NPU", "workload",
	       "load", "SLO", "batch", "mean us", "p99 us", "late %", "drop %", "busy %");
	for (size_t i = 0; i < num; i++) {
		const struct npusim_point *p = &points[i];
		const double lost = ESTIMATE(p, dropped).mean + ESTIMATE(p, rejected).mean;

		printf("%-24.40s %-12s %-10.10s %6.3f %5.3g %5u  %12.1f %12.1f %9.3f %9.3f %6.1f\n",
		       p->options.policy, npu_kind_name(p->options.npu), p->workload,
		       p->results[0].load, p->options.slo, p->options.max_batch,
		       ESTIMATE(p, mean_us).mean, ESTIMATE(p, p99_us).mean,
		       100 * ESTIMATE(p, late).mean / ESTIMATE(p, requests).mean,
		       100 * lost / ESTIMATE(p, requests).mean, 100 * ESTIMATE(p, busy).mean);
	}
}

void npusim_print(const struct npusim_point *points, size_t num)
{
	if (num == 1)
		print_point(points);
	else
		print_table(points, num);
}

/* ---- JSON ---- */

static void add_options(cJSON *object, const struct npusim_point *p)
{
	const struct sim_options *o = &p->options;
	cJSON *models = cJSON_AddArrayToObject(object, "networks");

	for (uint32_t i = 0; i < o->num_models; i++) {
		cJSON *m = cJSON_CreateObject();

		cJSON_AddStringToObject(m, "file", o->models[i].path);
		cJSON_AddStringToObject(m, "exits", o->models[i].exits);
		cJSON_AddNumberToObject(m, "share", o->models[i].share);
		cJSON_AddItemToArray(models, m);
	}
	cJSON_AddStringToObject(object, "policy", o->policy);
	cJSON_AddStringToObject(object, "npu", npu_kind_name(o->npu));
	cJSON_AddStringToObject(object, "device", o->device);
	cJSON_AddStringToObject(object, "workload", p->workload);
	cJSON_AddNumberToObject(object, "slo", o->slo);
	cJSON_AddNumberToObject(object, "exit_error", o->exit_error);
	cJSON_AddNumberToObject(object, "correlation", o->correlation);
	cJSON_AddNumberToObject(object, "max_batch", o->max_batch);
	cJSON_AddNumberToObject(object, "queue", o->queue);
	cJSON_AddNumberToObject(object, "seed", (double)o->seed);
	cJSON_AddNumberToObject(object, "warmup", (double)o->warmup);
}

/* Figures that do not depend on the host, so that two runs give the same file. */
static cJSON *point_json(const struct npusim_point *p)
{
	cJSON *object = cJSON_CreateObject(), *runs, *ci;
	const struct result_field *f;

	add_options(object, p);
	ci = cJSON_AddObjectToObject(object, "mean_and_95_percent_half_width");
	for (f = result_fields; f->name; f++) {
		const struct estimate e = estimate_field(p, f->offset);

		if (!f->host)
			cJSON_AddItemToObject(ci, f->name, cJSON_CreateDoubleArray(
				(const double[]){ e.mean, e.half }, 2));
	}
	runs = cJSON_AddArrayToObject(object, "runs");
	for (uint32_t s = 0; s < p->seeds; s++) {
		cJSON *run = cJSON_CreateObject();

		result_add_json(run, &p->results[s], FLUIDNPU_MAX_EXITS);
		for (f = result_fields; f->name; f++)
			if (f->host)
				cJSON_DeleteItemFromObjectCaseSensitive(run, f->name);
		cJSON_AddItemToArray(runs, run);
	}
	return object;
}

int npusim_json(const struct npusim_point *points, size_t num, const char *path)
{
	cJSON *array = cJSON_CreateArray();
	FILE *file = fopen(path, "we");
	char *text;
	bool ok;

	for (size_t i = 0; i < num; i++)
		cJSON_AddItemToArray(array, point_json(&points[i]));
	text = cJSON_Print(array);
	ok = text && file && fprintf(file, "%s\n", text) > 0;
	if (file && fclose(file))
		ok = false;
	cJSON_free(text);
	cJSON_Delete(array);
	return ok ? 0 : cli_error("cannot write %s: %s", path, strerror(errno));
}

/* ---- requests and timeline of one simulation ---- */

/** struct files - @csv: NULL: no CSV; @timeline: likewise */
struct files {
	FILE *csv;
	struct timeline *timeline;
	double us;
};

static void on_request(void *user, const struct request *r, enum outcome outcome,
		       uint64_t started, uint64_t now, uint32_t preempted, uint8_t exit)
{
	struct files *f = user;
	const bool served = outcome <= OUTCOME_LATE;

	if (f->timeline)
		timeline_request(f->timeline, r, outcome, started, now, preempted, exit);
	if (!f->csv)
		return;
	fprintf(f->csv, "%" PRIu64 ",%u,%u,%" PRIu64 ",%.3f,%.3f,%u,", r->number, r->model,
		r->stream, r->arrival, (double)r->arrival * f->us, (double)r->deadline * f->us,
		r->exit);
	if (served)
		fprintf(f->csv, "%.3f,%.3f,%.3f,%u,%u,%s\n", (double)started * f->us,
			(double)now * f->us, (double)(now - r->arrival) * f->us, exit, preempted,
			outcome_name(outcome));
	else
		fprintf(f->csv, ",%.3f,,,%u,%s\n", (double)now * f->us, preempted,
			outcome_name(outcome));
}

static void on_segment(void *user, const struct npu_network *network,
		       const struct engine_batch *batch, const uint64_t *ids, uint64_t begin,
		       uint64_t run, uint64_t end, uint32_t end_group)
{
	struct files *f = user;

	if (f->timeline)
		timeline_segment(f->timeline, network, batch, ids, begin, run, end, end_group);
}

static int open_files(struct files *f, const char *requests, const char *timeline,
		      struct timeline *t, uint32_t clock_hz)
{
	struct fnpu_error error;

	f->us = 1e6 / clock_hz;
	if (requests) {
		f->csv = fopen(requests, "we");
		if (!f->csv)
			return cli_error("cannot write %s: %s", requests, strerror(errno));
		fprintf(f->csv, "request,model,stream,arrival_cycles,arrival_us,deadline_us,exit,"
			"started_us,ended_us,latency_us,left_at,preempted,outcome\n");
	}
	if (timeline) {
		if (timeline_open(t, timeline, clock_hz, &error))
			return cli_error("%s", error.text);
		f->timeline = t;
	}
	return 0;
}

static int close_files(struct files *f, const char *requests)
{
	struct fnpu_error error;
	int ret = 0;

	if (f->csv && (ferror(f->csv) | fclose(f->csv)))
		ret = cli_error("cannot write %s", requests);
	if (f->timeline && timeline_close(f->timeline, &error))
		ret = cli_error("%s", error.text);
	return ret;
}

int npusim_observed(const struct sim_options *o, const char *requests, const char *timeline,
		    struct sim_result *result)
{
	struct sim_cache *cache = sim_cache_new();
	struct files files = { 0 };
	struct timeline t;
	const struct sim_observer observer = {
		.user = &files, .request = on_request, .segment = on_segment,
	};
	struct sim_setup setup;
	struct fnpu_error error;
	int ret;

	if (!cache)
		return cli_error("out of memory");
	ret = sim_prepare(cache, o, &setup, &error);
	if (ret)
		cli_error("%s", error.text);
	else
		ret = open_files(&files, requests, timeline, &t, setup.clock_hz);
	if (!ret && sim_run(cache, o, &observer, result, &error))
		ret = cli_error("%s", error.text);
	if (close_files(&files, requests))
		ret = -1;
	sim_cache_free(cache);
	return ret;
}
