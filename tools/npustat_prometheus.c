// SPDX-License-Identifier: MIT
/*
 * npustat: readings in Prometheus' text exposition format 0.0.4, in base units. All samples of
 * a metric stand together behind its HELP and TYPE, those of each NPU told apart by the
 * label "device".
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "npustat.h"

#define PREFIX	"fluidnpu_"

/** struct readings - those of all NPUs that are asked for */
struct readings {
	const struct npustat_reading *items;
	size_t count;
};

static void print_head(const char *metric, const char *type, const char *help)
{
	printf("# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", metric, help, metric, type);
}

static void print_escaped(const char *value)
{
	for (; *value; value++) {
		if (*value == '\n') {
			fputs("\\n", stdout);
			continue;
		}
		if (*value == '\\' || *value == '"')
			putchar('\\');
		putchar(*value);
	}
}

static void print_label(const char *name, const char *value)
{
	printf("%s=\"", name);
	print_escaped(value);
	putchar('"');
}

/* The name and the label that each sample has; print_end() ends what this begins. */
static void print_start(const char *metric, const struct npustat_reading *r)
{
	printf(PREFIX "%s{", metric);
	print_label("device", strcmp(r->info->backend, "kmd") ? r->info->backend : r->info->path);
}

static void __attribute__((format(printf, 1, 2))) print_end(const char *format, ...)
{
	va_list args;

	fputs("} ", stdout);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

static double seconds(const struct npustat_reading *r, uint64_t cycles)
{
	return (double)cycles / r->info->clock_hz;
}

static void print_info(struct readings all)
{
	print_head("info", "gauge", "What the NPU is; always 1.");
	for (size_t i = 0; i < all.count; i++) {
		print_start("info", &all.items[i]);
		putchar(',');
		print_label("driver", all.items[i].info->driver);
		printf(",hw_version=\"%u.%u\"", all.items[i].info->hw_version >> 16,
		       all.items[i].info->hw_version & 0xffff);
		print_end("1");
	}
}

/** struct gauge - a figure of a reading */
struct gauge {
	const char *metric;
	const char *type;
	const char *help;
	double (*value)(const struct npustat_reading *r);
};

static double clock_of(const struct npustat_reading *r)
{
	return r->info->clock_hz;
}

static double bandwidth_of(const struct npustat_reading *r)
{
	return npustat_dram_bandwidth(r->info);
}

static double time_of(const struct npustat_reading *r)
{
	return seconds(r, r->counters.time);
}

static const struct gauge gauges[] = {
	{ "clock_hertz", "gauge", "Cycles of device time per second.", clock_of },
	{ "dram_bandwidth_bytes_per_second", "gauge", "What the DRAM gives at most.", bandwidth_of },
	{ "device_time_seconds_total", "counter",
	  "Device time; it stands still while the NPU sleeps.", time_of },
	{ "pe_utilisation_ratio", "gauge", "Useful over offered multiplications, so far.",
	  npustat_utilisation },
};

static void print_gauges(struct readings all)
{
	for (size_t g = 0; g < sizeof(gauges) / sizeof(gauges[0]); g++) {
		print_head(gauges[g].metric, gauges[g].type, gauges[g].help);
		for (size_t i = 0; i < all.count; i++) {
			print_start(gauges[g].metric, &all.items[i]);
			print_end("%.15g", gauges[g].value(&all.items[i]));
		}
	}
}

static void print_facts(struct readings all)
{
	for (const struct npustat_fact *f = npustat_facts; f->metric; f++) {
		print_head(f->metric, "counter", f->help);
		for (size_t i = 0; i < all.count; i++) {
			const struct npustat_reading *r = &all.items[i];
			const uint64_t value = r->counters.values[f->counter];

			print_start(f->metric, r);
			if (f->unit == NPUSTAT_CYCLES)
				print_end("%.9f", seconds(r, value));
			else
				print_end("%" PRIu64, value);
		}
	}
}

static void print_exits(struct readings all)
{
	static const char metric[] = "exited_samples_total";

	print_head(metric, "counter", "Samples that left, by exit.");
	for (size_t i = 0; i < all.count; i++) {
		for (unsigned int e = 0; e < FLUIDNPU_MAX_EXITS; e++) {
			print_start(metric, &all.items[i]);
			printf(",exit=\"%u\"", e);
			print_end("%" PRIu64, all.items[i].counters.values[FLUIDNPU_CNT_EXITS + e]);
		}
	}
}

static void print_batches(struct readings all)
{
	static const char metric[] = "live_batch_seconds_total";

	print_head(metric, "counter", "Busy time, by samples in the batch that ran.");
	for (size_t i = 0; i < all.count; i++) {
		const struct npustat_reading *r = &all.items[i];

		for (unsigned int b = 0; b < r->info->geometry.max_batch; b++) {
			print_start(metric, r);
			printf(",live_batch=\"%u\"", b + 1);
			print_end("%.9f", seconds(r, r->counters.values[FLUIDNPU_CNT_BATCH + b]));
		}
	}
}

static void print_power(struct readings all)
{
	print_head("power_state", "gauge", "1 for the state of power management that it is in.");
	for (size_t i = 0; i < all.count; i++) {
		if (!all.items[i].power[0])
			continue;
		print_start("power_state", &all.items[i]);
		putchar(',');
		print_label("state", all.items[i].power);
		print_end("1");
	}
}

static void print_queues(struct readings all)
{
	print_head("queue_jobs", "gauge", "Jobs that the NPU has, by queue; root only.");
	for (size_t i = 0; i < all.count; i++) {
		for (size_t q = 0; q < all.items[i].num_queues; q++) {
			print_start("queue_jobs", &all.items[i]);
			printf(",queue=\"%zu\"", q);
			print_end("%" PRIu32, all.items[i].queue_jobs[q]);
		}
	}
}

static void print_client_start(const char *metric, const struct npustat_reading *r,
			       const struct npu_client *client)
{
	print_start(metric, r);
	printf(",client=\"%" PRIu64 "\",pid=\"%u\",", client->client_id, client->pid);
	print_label("process", client->name);
}

static void print_clients(struct readings all)
{
	print_head("client_busy_seconds_total", "counter", "Time of the NPU that a client has had.");
	for (size_t i = 0; i < all.count; i++) {
		for (size_t c = 0; c < all.items[i].clients.count; c++) {
			const struct npu_client *client = &all.items[i].clients.items[c];

			print_client_start("client_busy_seconds_total", &all.items[i], client);
			print_end("%.9f", (double)client->busy_ns / 1e9);
		}
	}
	print_head("client_memory_bytes", "gauge", "Buffers of a client.");
	for (size_t i = 0; i < all.count; i++) {
		for (size_t c = 0; c < all.items[i].clients.count; c++) {
			const struct npu_client *client = &all.items[i].clients.items[c];

			print_client_start("client_memory_bytes", &all.items[i], client);
			print_end("%" PRIu64, client->memory_bytes);
		}
	}
}

void npustat_prometheus(const struct npustat_reading *readings, size_t count)
{
	const struct readings all = { readings, count };

	print_info(all);
	print_gauges(all);
	print_facts(all);
	print_exits(all);
	print_batches(all);
	print_power(all);
	print_queues(all);
	print_clients(all);
}
