// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "cli.h"
#include "figures.h"
#include "npurun_report.h"

#define US_PER_S	1e6

/* ---- figures ---- */

static double ratio(double a, double b)
{
	return b > 0 ? a / b : 0;
}

static uint64_t delta(const struct report *r, unsigned int counter)
{
	return r->after.values[counter] - r->before.values[counter];
}

static double microseconds(const struct report *r, double cycles)
{
	return cycles * US_PER_S / r->device->clock_hz;
}

/* Nearest rank: the smallest value that @percent % of all do not exceed. */
static uint64_t percentile(const struct report *r, unsigned int percent)
{
	uint64_t rank = (r->samples * percent + 99) / 100;

	return r->samples ? r->latency[rank ? rank - 1 : 0] : 0;
}

static double mean_latency(const struct report *r)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < r->samples; i++)
		sum += r->latency[i];
	return ratio((double)sum, (double)r->samples);
}

static double throughput(const struct report *r)
{
	return ratio((double)r->samples * r->device->clock_hz,
		     (double)(r->last_exit - r->first_queued));
}

static double utilisation(const struct report *r)
{
	return ratio((double)delta(r, FLUIDNPU_CNT_USEFUL_MACS),
		     (double)delta(r, FLUIDNPU_CNT_OFFERED_MACS));
}

static double mean_batch(const struct report *r)
{
	return ratio((double)r->stats.job_samples, (double)r->stats.jobs);
}

/* Samples that the DRAM traffic is shared by: those that failed moved data, too. */
static double per_sample(const struct report *r, unsigned int counter)
{
	return ratio((double)delta(r, counter), (double)(r->samples + r->errors));
}

static int compare(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

void report_finish(struct report *r)
{
	qsort(r->latency, r->samples, sizeof(*r->latency), compare);
}

/* ---- text ---- */

static void print_accuracy(const struct report *r, uint64_t correct, uint64_t samples)
{
	if (r->has_labels && samples)
		printf("  %7.2f %%", 100 * ratio((double)correct, (double)samples));
	else
		printf("  %9s", "-");
}

static void print_exits(const struct report *r)
{
	printf("\n%-22s %9s  %9s  %9s\n", "exit", "samples", "share", "accuracy");
	for (uint32_t e = 0; e < r->model->num_exits; e++) {
		const struct exit_tally *t = &r->exits[e];

		printf("%-2u %-19.19s %9" PRIu64 "  %7.2f %%", e, r->model->exits[e].name,
		       t->samples, 100 * ratio((double)t->samples, (double)r->samples));
		print_accuracy(r, t->correct, t->samples);
		putchar('\n');
	}
	printf("%-22s %9" PRIu64 "  %7.2f %%", r->all_exits ? "all, at the last" : "all", r->samples,
	       r->samples ? 100.0 : 0.0);
	print_accuracy(r, r->correct, r->samples);
	printf("\n\n");
}

static void print_bytes(const char *name, double bytes)
{
	char text[FIGURE_BYTES];
	const char *unit = strchr(figure_bytes(bytes, text), ' ');

	printf("%-22s %9.*s%s\n", name, (int)(unit - text), text, unit);
}

void report_print(const struct report *r)
{
	double dram = (double)delta(r, FLUIDNPU_CNT_DRAM_READ_BYTES) +
		      (double)delta(r, FLUIDNPU_CNT_DRAM_WRITE_BYTES);

	printf("model %s on %s, backend %s, submission %s, policy %s\n", r->model->name,
	       r->device->driver, r->device->backend, r->submission, r->policy);
	print_exits(r);
	printf("%-22s %9" PRIu64 "\n", "samples", r->samples);
	printf("%-22s %9" PRIu64 "\n", "errors", r->errors);
	printf("%-22s %9.2f us\n", "latency mean", microseconds(r, mean_latency(r)));
	printf("%-22s %9.2f us\n", "latency p50", microseconds(r, (double)percentile(r, 50)));
	printf("%-22s %9.2f us\n", "latency p99", microseconds(r, (double)percentile(r, 99)));
	printf("%-22s %9.0f samples/s of device time\n", "throughput", throughput(r));
	printf("%-22s %9.2f %%\n", "PE utilisation", 100 * utilisation(r));
	printf("%-22s %9" PRIu64 "\n", "batches", r->stats.jobs);
	printf("%-22s %9.2f samples\n", "batch, mean", mean_batch(r));
	print_bytes("DRAM read per sample", per_sample(r, FLUIDNPU_CNT_DRAM_READ_BYTES));
	print_bytes("DRAM written per sample", per_sample(r, FLUIDNPU_CNT_DRAM_WRITE_BYTES));
	print_bytes("DRAM in all", dram);
	printf("%-22s %9.2f s\n", "wall-clock time", r->wall_seconds);
}

/* ---- JSON ---- */

static void add_accuracy(cJSON *object, const struct report *r, uint64_t correct, uint64_t samples)
{
	if (!r->has_labels)
		return;
	cJSON_AddNumberToObject(object, "correct", (double)correct);
	cJSON_AddNumberToObject(object, "accuracy", ratio((double)correct, (double)samples));
}

static void add_exits(cJSON *device, const struct report *r)
{
	cJSON *exits = cJSON_AddArrayToObject(device, "exits");

	for (uint32_t e = 0; e < r->model->num_exits; e++) {
		const struct exit_tally *t = &r->exits[e];
		cJSON *exit = cJSON_CreateObject();

		cJSON_AddStringToObject(exit, "name", r->model->exits[e].name);
		cJSON_AddNumberToObject(exit, "samples", (double)t->samples);
		cJSON_AddNumberToObject(exit, "share",
					ratio((double)t->samples, (double)r->samples));
		add_accuracy(exit, r, t->correct, t->samples);
		cJSON_AddItemToArray(exits, exit);
	}
}

static void add_times(cJSON *device, const struct report *r)
{
	cJSON *latency = cJSON_AddObjectToObject(device, "latency_us");
	const uint64_t max = r->samples ? r->latency[r->samples - 1] : 0;

	cJSON_AddNumberToObject(latency, "mean", microseconds(r, mean_latency(r)));
	cJSON_AddNumberToObject(latency, "p50", microseconds(r, (double)percentile(r, 50)));
	cJSON_AddNumberToObject(latency, "p99", microseconds(r, (double)percentile(r, 99)));
	cJSON_AddNumberToObject(latency, "max", microseconds(r, (double)max));
	cJSON_AddNumberToObject(device, "device_cycles",
				(double)(r->last_exit - r->first_queued));
	cJSON_AddNumberToObject(device, "throughput_samples_per_s", throughput(r));
	cJSON_AddNumberToObject(device, "pe_utilisation", utilisation(r));
}

static void add_batches(cJSON *device, const struct report *r)
{
	cJSON *histogram;

	cJSON_AddNumberToObject(device, "batches", (double)r->stats.jobs);
	cJSON_AddNumberToObject(device, "mean_batch", mean_batch(r));
	histogram = cJSON_AddArrayToObject(device, "batch_histogram");
	for (unsigned int i = 0; i < FLUIDNPU_MAX_BATCH; i++)
		cJSON_AddItemToArray(histogram, cJSON_CreateNumber((double)r->stats.batches[i]));
}

static void add_counters(cJSON *device, const struct report *r)
{
	cJSON *counters = cJSON_AddObjectToObject(device, "counters");

	figures_add_counters(counters, &r->after, &r->before);
	figures_add_series(counters, "live_batch_cycles", &r->after, &r->before,
			   FLUIDNPU_CNT_BATCH, FLUIDNPU_MAX_BATCH);
}

static void add_device(cJSON *root, const struct report *r)
{
	cJSON *device = cJSON_AddObjectToObject(root, "device");
	const struct fluidnpu_hw_geometry *g = &r->device->geometry;
	cJSON *npu;

	cJSON_AddStringToObject(device, "model", r->model->name);
	cJSON_AddStringToObject(device, "policy", r->policy);
	cJSON_AddBoolToObject(device, "all_exits", r->all_exits);
	cJSON_AddNumberToObject(device, "samples", (double)r->samples);
	cJSON_AddNumberToObject(device, "errors", (double)r->errors);
	add_accuracy(device, r, r->correct, r->samples);
	add_exits(device, r);
	add_times(device, r);
	add_batches(device, r);
	cJSON_AddNumberToObject(device, "dram_read_bytes_per_sample",
				per_sample(r, FLUIDNPU_CNT_DRAM_READ_BYTES));
	cJSON_AddNumberToObject(device, "dram_write_bytes_per_sample",
				per_sample(r, FLUIDNPU_CNT_DRAM_WRITE_BYTES));
	add_counters(device, r);
	npu = cJSON_AddObjectToObject(device, "npu");
	cJSON_AddNumberToObject(npu, "clock_hz", r->device->clock_hz);
	cJSON_AddNumberToObject(npu, "tile_rows", g->tile_rows);
	cJSON_AddNumberToObject(npu, "tile_depth", g->tile_depth);
	cJSON_AddNumberToObject(npu, "tile_cols", g->tile_cols);
	cJSON_AddNumberToObject(npu, "max_stack", g->max_stack);
	cJSON_AddNumberToObject(npu, "max_batch", g->max_batch);
}

static void add_host(cJSON *root, const struct report *r)
{
	cJSON *host = cJSON_AddObjectToObject(root, "host");
	time_t now = time(NULL);
	char date[32] = "";
	struct utsname u;
	struct tm tm;

	if (gmtime_r(&now, &tm))
		strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &tm);
	cJSON_AddStringToObject(host, "date", date);
	cJSON_AddStringToObject(host, "backend", r->device->backend);
	cJSON_AddStringToObject(host, "device_file", r->device->path);
	cJSON_AddStringToObject(host, "submission", r->submission);
	cJSON_AddStringToObject(host, "driver", r->device->driver);
	cJSON_AddStringToObject(host, "library", fnpu_version());
	cJSON_AddStringToObject(host, "model_file", r->model_path);
	cJSON_AddStringToObject(host, "model_producer", r->model->producer);
	cJSON_AddNumberToObject(host, "wall_seconds", r->wall_seconds);
	cJSON_AddNumberToObject(host, "interrupts", (double)delta(r, FLUIDNPU_CNT_INTERRUPTS));
	cJSON_AddNumberToObject(host, "late_events", (double)delta(r, FLUIDNPU_CNT_LATE_EVENTS));
	if (!uname(&u)) {
		cJSON_AddStringToObject(host, "host", u.nodename);
		cJSON_AddStringToObject(host, "kernel", u.release);
		cJSON_AddStringToObject(host, "machine", u.machine);
	}
}

static int write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");
	int failed;

	if (!file)
		return cli_error("cannot write %s: %s", path, strerror(errno));
	failed = fprintf(file, "%s\n", text) < 0;
	if (fclose(file) || failed)
		return cli_error("cannot write %s: %s", path, strerror(errno));
	return 0;
}

int report_json(const struct report *r, const char *path)
{
	cJSON *root = cJSON_CreateObject();
	char *text;
	int ret;

	add_device(root, r);
	add_host(root, r);
	text = cJSON_Print(root);
	cJSON_Delete(root);
	if (!text)
		return cli_error("out of memory");
	ret = write_text(path, text);
	free(text);
	return ret;
}
