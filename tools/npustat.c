// SPDX-License-Identifier: MIT
/* npustat: what the NPU is, what it has done so far, and for whom. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cli.h"
#include "common/fdinfo.h"
#include "common/figures.h"
#include "fluidnpu.h"
#include "geometry.h"

/**
 * struct status - one reading
 * @num_clients: of @clients; npustat itself is not among them
 */
struct status {
	const struct fnpu_device_info *info;
	struct fnpu_counters counters;
	struct npu_client *clients;
	int num_clients;
};

static const char usage[] =
"Usage: npustat [options]\n"
"Show a FluidNPU: what it is, how busy it has been so far, who uses it.\n"
"\n"
"  --device WHAT    kmd: device file (default " FNPU_DEVICE_PATH "); emu: properties of the NPU\n"
"                   that are not the default, as max_stack=1\n"
"  --backend NAME   kmd: the kernel driver (default); emu: the emulated NPU, unused\n"
"  --json           as JSON\n"
"  --help, --version\n"
"\n"
"Exit status: 0, 1 there is no NPU or no permission, 2 wrong usage.\n";

static double ratio(uint64_t a, uint64_t b)
{
	return b ? (double)a / (double)b : 0;
}

static double busy_share(const struct status *s)
{
	return ratio(s->counters.values[FLUIDNPU_CNT_BUSY_CYCLES], s->counters.time);
}

static double utilisation(const struct status *s)
{
	return ratio(s->counters.values[FLUIDNPU_CNT_USEFUL_MACS],
		     s->counters.values[FLUIDNPU_CNT_OFFERED_MACS]);
}

/* ---- text ---- */

#define LABEL_WIDTH	20
#define FIGURE_WIDTH	12
#define BAR_WIDTH	40

/* Cycles as a time, as "12.345 ms". */
static const char *time_text(const struct status *s, uint64_t cycles, char text[FIGURE_BYTES])
{
	const double seconds = (double)cycles / s->info->clock_hz;

	if (seconds >= 1)
		snprintf(text, FIGURE_BYTES, "%.3f s", seconds);
	else if (seconds >= 1e-3)
		snprintf(text, FIGURE_BYTES, "%.3f ms", seconds * 1e3);
	else
		snprintf(text, FIGURE_BYTES, "%.3f us", seconds * 1e6);
	return text;
}

static void print_npu(const struct status *s)
{
	const struct fluidnpu_hw_geometry *g = &s->info->geometry;
	char act[FIGURE_BYTES], weights[FIGURE_BYTES];

	printf("FluidNPU %s\n", s->info->path[0] ? s->info->path : "emulated in this process");
	printf("  %-*s %s, hardware interface %u.%u%s\n", LABEL_WIDTH, "driver", s->info->driver,
	       s->info->hw_version >> 16, s->info->hw_version & 0xffff,
	       s->info->features & FLUIDNPU_FEATURE_FUNCTIONAL ? "" : ", models time only");
	printf("  %-*s %g MHz\n", LABEL_WIDTH, "clock", s->info->clock_hz / 1e6);
	printf("  %-*s tile of %u x %u x %u, stacking up to %u, %u accumulator tile%s\n", LABEL_WIDTH,
	       "PE array", g->tile_rows, g->tile_depth, g->tile_cols, g->max_stack, g->acc_tiles,
	       g->acc_tiles == 1 ? "" : "s");
	printf("  %-*s SRAM %s for activations, %s for weights; DRAM %.1f GB/s\n", LABEL_WIDTH,
	       "memory", figure_bytes(g->act_sram_bytes, act),
	       figure_bytes(g->weight_sram_bytes, weights),
	       (double)g->dram_bytes_per_kcycle / 1024 * s->info->clock_hz / 1e9);
	printf("  %-*s batches of %u, %u queues, %u address spaces\n", LABEL_WIDTH, "limits",
	       g->max_batch, g->num_queues, g->num_as);
}

static void print_share(const char *label, double share, const char *note)
{
	printf("  %-*s %*.2f %%%s\n", LABEL_WIDTH, label, FIGURE_WIDTH - 2, 100 * share, note);
}

static void print_count(const struct status *s, const char *label, unsigned int counter)
{
	printf("  %-*s %*" PRIu64 "\n", LABEL_WIDTH, label, FIGURE_WIDTH,
	       s->counters.values[counter]);
}

static void print_bytes(const struct status *s, const char *label, unsigned int counter)
{
	char text[FIGURE_BYTES];

	printf("  %-*s %*s\n", LABEL_WIDTH, label, FIGURE_WIDTH,
	       figure_bytes((double)s->counters.values[counter], text));
}

static void print_activity(const struct status *s)
{
	const uint64_t *c = s->counters.values;
	char text[FIGURE_BYTES];

	printf("\nso far, %s of device time\n",
	       time_text(s, s->counters.time, text));
	print_share("busy", busy_share(s), "");
	printf("  %-*s %*s\n", LABEL_WIDTH, "  that is", FIGURE_WIDTH,
	       time_text(s, c[FLUIDNPU_CNT_BUSY_CYCLES], text));
	print_share("  waiting for DRAM",
		    ratio(c[FLUIDNPU_CNT_STALL_CYCLES], c[FLUIDNPU_CNT_BUSY_CYCLES]), " of that");
	print_share("PE utilisation", utilisation(s), " while busy");
	print_share("idle", ratio(c[FLUIDNPU_CNT_IDLE_CYCLES], s->counters.time), "");
	print_count(s, "jobs", FLUIDNPU_CNT_JOBS);
	print_count(s, "  failed", FLUIDNPU_CNT_JOB_ERRORS);
	print_count(s, "samples", FLUIDNPU_CNT_SAMPLES);
	print_count(s, "layers run", FLUIDNPU_CNT_LAYERS);
	print_count(s, "preemptions", FLUIDNPU_CNT_PREEMPTIONS);
	print_count(s, "injected jobs", FLUIDNPU_CNT_INJECTS);
	print_count(s, "merged batches", FLUIDNPU_CNT_MERGES);
	print_count(s, "yielded samples", FLUIDNPU_CNT_YIELDS);
	print_bytes(s, "DRAM read", FLUIDNPU_CNT_DRAM_READ_BYTES);
	print_bytes(s, "  weights", FLUIDNPU_CNT_WEIGHT_BYTES);
	printf("  %-*s %*.2f times\n", LABEL_WIDTH, "  each used", FIGURE_WIDTH - 6,
	       ratio(c[FLUIDNPU_CNT_WEIGHT_USED_BYTES], c[FLUIDNPU_CNT_WEIGHT_BYTES]));
	print_bytes(s, "DRAM written", FLUIDNPU_CNT_DRAM_WRITE_BYTES);
	print_count(s, "MMU faults", FLUIDNPU_CNT_MMU_FAULTS);
	print_count(s, "interrupts", FLUIDNPU_CNT_INTERRUPTS);
	print_count(s, "late events", FLUIDNPU_CNT_LATE_EVENTS);
}

static uint64_t sum(const uint64_t *values, unsigned int count)
{
	uint64_t total = 0;

	for (unsigned int i = 0; i < count; i++)
		total += values[i];
	return total;
}

static void print_bar(double share)
{
	static const char bar[BAR_WIDTH + 1] = "########################################";

	printf("  %5.1f %%  %.*s\n", 100 * share, (int)(share * BAR_WIDTH + 0.5), bar);
}

/* Only what there was: most sizes and heads are never used. */
static void print_histograms(const struct status *s)
{
	const uint64_t *batch = &s->counters.values[FLUIDNPU_CNT_BATCH];
	const uint64_t *exits = &s->counters.values[FLUIDNPU_CNT_EXITS];
	const uint64_t busy = sum(batch, FLUIDNPU_MAX_BATCH), left = sum(exits, FLUIDNPU_MAX_EXITS);
	char text[FIGURE_BYTES];

	if (busy)
		printf("\n%-*s   %*s    share\n", LABEL_WIDTH, "live batch", FIGURE_WIDTH, "busy");
	for (unsigned int b = 0; b < FLUIDNPU_MAX_BATCH; b++) {
		if (!batch[b])
			continue;
		printf("  %-*u %*s", LABEL_WIDTH, b + 1, FIGURE_WIDTH, time_text(s, batch[b], text));
		print_bar(ratio(batch[b], busy));
	}
	if (left)
		printf("\n%-*s   %*s    share\n", LABEL_WIDTH, "left at exit", FIGURE_WIDTH, "samples");
	for (unsigned int e = 0; e < FLUIDNPU_MAX_EXITS; e++) {
		if (!exits[e])
			continue;
		printf("  %-*u %*" PRIu64, LABEL_WIDTH, e, FIGURE_WIDTH, exits[e]);
		print_bar(ratio(exits[e], left));
	}
}

static void print_clients(const struct status *s)
{
	char text[FIGURE_BYTES];

	if (!s->info->path[0])
		return;
	if (!s->num_clients) {
		printf("\nno clients among the processes that you may see\n");
		return;
	}
	printf("\n%8s  %-20s %8s %14s %*s\n", "pid", "process", "client", "busy", FIGURE_WIDTH,
	       "memory");
	for (int i = 0; i < s->num_clients; i++) {
		const struct npu_client *c = &s->clients[i];

		printf("%8u  %-20s %8" PRIu64 " %11.3f ms %*s\n", c->pid, c->name, c->client_id,
		       (double)c->busy_ns / 1e6, FIGURE_WIDTH, figure_bytes((double)c->memory_bytes, text));
	}
}

static void print_text(const struct status *s)
{
	print_npu(s);
	print_activity(s);
	print_histograms(s);
	print_clients(s);
}

/* ---- JSON ---- */

static void add_clients(cJSON *root, const struct status *s)
{
	cJSON *array = cJSON_AddArrayToObject(root, "clients");

	for (int i = 0; i < s->num_clients; i++) {
		const struct npu_client *c = &s->clients[i];
		cJSON *client = cJSON_CreateObject();

		cJSON_AddNumberToObject(client, "pid", c->pid);
		cJSON_AddStringToObject(client, "process", c->name);
		cJSON_AddNumberToObject(client, "client_id", (double)c->client_id);
		cJSON_AddNumberToObject(client, "busy_ns", (double)c->busy_ns);
		cJSON_AddNumberToObject(client, "memory_bytes", (double)c->memory_bytes);
		cJSON_AddItemToArray(array, client);
	}
}

static int print_json(const struct status *s)
{
	struct fluidnpu_hw_geometry geometry = s->info->geometry;
	cJSON *root = cJSON_CreateObject();
	cJSON *object;
	char *text;

	cJSON_AddStringToObject(root, "backend", s->info->backend);
	cJSON_AddStringToObject(root, "device_file", s->info->path);
	cJSON_AddStringToObject(root, "driver", s->info->driver);
	cJSON_AddNumberToObject(root, "hw_version", s->info->hw_version);
	cJSON_AddBoolToObject(root, "functional",
			      s->info->features & FLUIDNPU_FEATURE_FUNCTIONAL);
	cJSON_AddNumberToObject(root, "clock_hz", s->info->clock_hz);
	object = cJSON_AddObjectToObject(root, "geometry");
	for (const struct fnpu_geometry_field *f = fnpu_geometry_fields; f->name; f++)
		cJSON_AddNumberToObject(object, f->name, *fnpu_geometry_value(&geometry, f));
	cJSON_AddNumberToObject(root, "device_cycles", (double)s->counters.time);
	cJSON_AddNumberToObject(root, "busy", busy_share(s));
	cJSON_AddNumberToObject(root, "pe_utilisation", utilisation(s));
	object = cJSON_AddObjectToObject(root, "counters");
	figures_add_counters(object, &s->counters, NULL);
	cJSON_AddNumberToObject(object, "idle_cycles",
				(double)s->counters.values[FLUIDNPU_CNT_IDLE_CYCLES]);
	cJSON_AddNumberToObject(object, "interrupts",
				(double)s->counters.values[FLUIDNPU_CNT_INTERRUPTS]);
	cJSON_AddNumberToObject(object, "late_events",
				(double)s->counters.values[FLUIDNPU_CNT_LATE_EVENTS]);
	figures_add_series(root, "exits", &s->counters, NULL, FLUIDNPU_CNT_EXITS,
			   FLUIDNPU_MAX_EXITS);
	figures_add_series(root, "live_batch_cycles", &s->counters, NULL, FLUIDNPU_CNT_BATCH,
			   s->info->geometry.max_batch);
	add_clients(root, s);

	text = cJSON_Print(root);
	cJSON_Delete(root);
	if (!text)
		return cli_error("out of memory");
	puts(text);
	free(text);
	return 0;
}

/* ---- main ---- */

/* npustat itself has the device open: not what people ask for. */
static void drop_self(struct status *s)
{
	int kept = 0;

	for (int i = 0; i < s->num_clients; i++)
		if (s->clients[i].pid != (uint32_t)getpid())
			s->clients[kept++] = s->clients[i];
	s->num_clients = kept;
}

static int show(struct fnpu_device *device, bool json)
{
	struct status s = { .info = fnpu_device_info(device) };
	int ret = fnpu_device_counters(device, &s.counters);

	if (ret)
		return cli_error("cannot read the NPU's counters: %s", strerror(-ret));
	if (s.info->path[0])	/* the emulated one is nobody else's */
		s.num_clients = npu_clients(&s.clients);
	if (s.num_clients < 0)
		return cli_error("cannot look for clients in /proc: %s", strerror(-s.num_clients));
	drop_self(&s);
	if (json)
		ret = print_json(&s);
	else
		print_text(&s);
	free(s.clients);
	return ret ? ret : cli_finish_stdout();
}

enum { OPT_DEVICE = 256, OPT_BACKEND, OPT_JSON, OPT_HELP, OPT_VERSION };

static const struct option long_options[] = {
	{ "device", required_argument, NULL, OPT_DEVICE },
	{ "backend", required_argument, NULL, OPT_BACKEND },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

int main(int argc, char **argv)
{
	const char *backend = "kmd", *path = NULL;
	struct fnpu_device *device;
	struct fnpu_error error;
	bool json = false;
	int option, ret;

	cli_name = "npustat";
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (option) {
		case OPT_DEVICE:
			path = optarg;
			break;
		case OPT_BACKEND:
			backend = optarg;
			break;
		case OPT_JSON:
			json = true;
			break;
		case OPT_HELP:
			fputs(usage, stdout);
			return cli_finish_stdout() ? EXIT_FAILURE : EXIT_SUCCESS;
		case OPT_VERSION:
			printf("npustat %s\n", fnpu_version());
			return cli_finish_stdout() ? EXIT_FAILURE : EXIT_SUCCESS;
		default:	/* getopt_long() has named it */
			fprintf(stderr, "Try \"npustat --help\".\n");
			return EXIT_USAGE;
		}
	}
	if (optind < argc)
		cli_usage_error("there is nothing to do with \"%s\"", argv[optind]);
	if (strcmp(backend, "kmd") && strcmp(backend, "emu"))
		cli_usage_error("--backend does not know \"%s\"", backend);
	if (fnpu_device_open(backend, path, &device, &error)) {
		cli_error("%s", error.text);
		return EXIT_FAILURE;
	}
	ret = show(device, json);
	fnpu_device_close(device);
	return ret ? EXIT_FAILURE : EXIT_SUCCESS;
}
