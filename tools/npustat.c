// SPDX-License-Identifier: MIT
/* npustat: what the NPU is, what it has done since its last reset, and for whom. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "common/cli.h"
#include "common/fdinfo.h"
#include "fluidnpu.h"

/**
 * struct status - one reading
 * @num_clients: of @clients; the NPU's own process is not among them
 */
struct status {
	const struct fnpu_device_info *info;
	struct fnpu_counters counters;
	struct npu_client *clients;
	int num_clients;
};

static const char usage[] =
"Usage: npustat [options]\n"
"Show a FluidNPU: what it is, how busy it has been since its last reset, who uses it.\n"
"\n"
"  --device PATH    device file (default " FNPU_DEVICE_PATH ")\n"
"  --backend NAME   kmd: the kernel driver (default); emu: the emulated NPU, unused\n"
"  --json           as JSON\n"
"  --help, --version\n"
"\n"
"Exit status: 0, 1 there is no NPU or no permission, 2 wrong usage.\n";

static const struct {
	const char *name;
	const char *text;
	unsigned int counter;
} counter_names[] = {
	{ "busy_cycles", "busy cycles", FLUIDNPU_CNT_BUSY_CYCLES },
	{ "stall_cycles", "of these, waiting for DRAM", FLUIDNPU_CNT_STALL_CYCLES },
	{ "useful_macs", "useful MACs", FLUIDNPU_CNT_USEFUL_MACS },
	{ "offered_macs", "offered MACs", FLUIDNPU_CNT_OFFERED_MACS },
	{ "dram_read_bytes", "DRAM bytes read", FLUIDNPU_CNT_DRAM_READ_BYTES },
	{ "weight_bytes", "of these, weights", FLUIDNPU_CNT_WEIGHT_BYTES },
	{ "dram_write_bytes", "DRAM bytes written", FLUIDNPU_CNT_DRAM_WRITE_BYTES },
	{ "jobs", "jobs", FLUIDNPU_CNT_JOBS },
	{ "job_errors", "of these, failed", FLUIDNPU_CNT_JOB_ERRORS },
	{ "samples", "samples", FLUIDNPU_CNT_SAMPLES },
	{ "layers", "layers", FLUIDNPU_CNT_LAYERS },
	{ "preemptions", "preemptions", FLUIDNPU_CNT_PREEMPTIONS },
	{ "mmu_faults", "MMU faults", FLUIDNPU_CNT_MMU_FAULTS },
	{ "interrupts", "interrupts", FLUIDNPU_CNT_INTERRUPTS },
	{ "late_events", "late events", FLUIDNPU_CNT_LATE_EVENTS },
};

#define NUM_COUNTERS (sizeof(counter_names) / sizeof(counter_names[0]))

static const struct {
	const char *name;
	size_t offset;
} geometry_names[] = {
	{ "tile_rows", offsetof(struct fluidnpu_hw_geometry, tile_rows) },
	{ "tile_depth", offsetof(struct fluidnpu_hw_geometry, tile_depth) },
	{ "tile_cols", offsetof(struct fluidnpu_hw_geometry, tile_cols) },
	{ "acc_tiles", offsetof(struct fluidnpu_hw_geometry, acc_tiles) },
	{ "max_stack", offsetof(struct fluidnpu_hw_geometry, max_stack) },
	{ "max_batch", offsetof(struct fluidnpu_hw_geometry, max_batch) },
	{ "act_sram_bytes", offsetof(struct fluidnpu_hw_geometry, act_sram_bytes) },
	{ "weight_sram_bytes", offsetof(struct fluidnpu_hw_geometry, weight_sram_bytes) },
	{ "dram_bytes_per_kcycle", offsetof(struct fluidnpu_hw_geometry, dram_bytes_per_kcycle) },
	{ "vector_lanes", offsetof(struct fluidnpu_hw_geometry, vector_lanes) },
	{ "layer_overhead_cycles", offsetof(struct fluidnpu_hw_geometry, layer_overhead_cycles) },
	{ "num_queues", offsetof(struct fluidnpu_hw_geometry, num_queues) },
	{ "num_as", offsetof(struct fluidnpu_hw_geometry, num_as) },
};

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

static uint32_t geometry_value(const struct status *s, size_t i)
{
	uint32_t v;

	memcpy(&v, (const char *)&s->info->geometry + geometry_names[i].offset, sizeof(v));
	return v;
}

/* ---- text ---- */

static void print_npu(const struct status *s)
{
	const struct fluidnpu_hw_geometry *g = &s->info->geometry;

	printf("NPU          %s%s%s\n", s->info->backend, s->info->path[0] ? " " : "",
	       s->info->path);
	printf("driver       %s, hardware interface %u.%u%s\n", s->info->driver,
	       s->info->hw_version >> 16, s->info->hw_version & 0xffff,
	       s->info->features & FLUIDNPU_FEATURE_FUNCTIONAL ? "" : ", models time only");
	printf("clock        %.1f MHz\n", s->info->clock_hz / 1e6);
	printf("geometry     tile %u x %u x %u, stacking to %u, %u accumulator tiles, batch to %u\n",
	       g->tile_rows, g->tile_depth, g->tile_cols, g->max_stack, g->acc_tiles, g->max_batch);
	printf("memory       %u KiB activations, %u KiB weights, DRAM %.1f GB/s\n",
	       g->act_sram_bytes / 1024, g->weight_sram_bytes / 1024,
	       (double)g->dram_bytes_per_kcycle / 1024 * s->info->clock_hz / 1e9);
	printf("queues       %u, address spaces %u\n", g->num_queues, g->num_as);
	printf("\nsince reset  %.3f s of device time\n",
	       (double)s->counters.time / s->info->clock_hz);
	printf("busy         %6.2f %%\n", 100 * busy_share(s));
	printf("utilisation  %6.2f %% of the PEs while busy\n", 100 * utilisation(s));
}

static void print_histogram(const struct status *s)
{
	const uint64_t busy = s->counters.values[FLUIDNPU_CNT_BUSY_CYCLES];

	printf("\n%-28s %15s  %7s\n", "live batch", "busy cycles", "share");
	for (uint32_t b = 0; b < s->info->geometry.max_batch; b++) {
		uint64_t cycles = s->counters.values[FLUIDNPU_CNT_BATCH + b];

		printf("%-28u %15" PRIu64 "  %5.1f %%\n", b + 1, cycles, 100 * ratio(cycles, busy));
	}
	printf("\n%-28s %15s\n", "exit head", "samples");
	for (unsigned int e = 0; e < FLUIDNPU_MAX_EXITS; e++)
		if (s->counters.values[FLUIDNPU_CNT_EXITS + e] || !e)
			printf("%-28u %15" PRIu64 "\n", e, s->counters.values[FLUIDNPU_CNT_EXITS + e]);
}

static void print_text(const struct status *s)
{
	print_npu(s);
	printf("\n%-28s %15s\n", "counter", "value");
	for (size_t i = 0; i < NUM_COUNTERS; i++)
		printf("%-28s %15" PRIu64 "\n", counter_names[i].text,
		       s->counters.values[counter_names[i].counter]);
	print_histogram(s);
	if (!s->num_clients) {
		printf("\nNo clients among the processes that you may see.\n");
		return;
	}
	printf("\n%8s  %-20s %8s %14s %12s\n", "pid", "process", "client", "busy ms", "memory KiB");
	for (int i = 0; i < s->num_clients; i++) {
		const struct npu_client *c = &s->clients[i];

		printf("%8u  %-20s %8" PRIu64 " %14.3f %12" PRIu64 "\n", c->pid, c->name,
		       c->client_id, (double)c->busy_ns / 1e6, c->memory_bytes / 1024);
	}
}

/* ---- JSON ---- */

static void add_series(cJSON *object, const char *name, const uint64_t *values, uint32_t count)
{
	cJSON *array = cJSON_AddArrayToObject(object, name);

	for (uint32_t i = 0; i < count; i++)
		cJSON_AddItemToArray(array, cJSON_CreateNumber((double)values[i]));
}

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
	for (size_t i = 0; i < sizeof(geometry_names) / sizeof(geometry_names[0]); i++)
		cJSON_AddNumberToObject(object, geometry_names[i].name, geometry_value(s, i));
	cJSON_AddNumberToObject(root, "device_cycles", (double)s->counters.time);
	cJSON_AddNumberToObject(root, "busy", busy_share(s));
	cJSON_AddNumberToObject(root, "pe_utilisation", utilisation(s));
	object = cJSON_AddObjectToObject(root, "counters");
	for (size_t i = 0; i < NUM_COUNTERS; i++)
		cJSON_AddNumberToObject(object, counter_names[i].name,
					(double)s->counters.values[counter_names[i].counter]);
	add_series(root, "exits", &s->counters.values[FLUIDNPU_CNT_EXITS], FLUIDNPU_MAX_EXITS);
	add_series(root, "live_batch_cycles", &s->counters.values[FLUIDNPU_CNT_BATCH],
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
	if (path && !strcmp(backend, "emu"))
		cli_usage_error("--device makes no sense with --backend emu");
	if (fnpu_device_open(backend, path, &device, &error)) {
		cli_error("%s", error.text);
		return EXIT_FAILURE;
	}
	ret = show(device, json);
	fnpu_device_close(device);
	return ret ? EXIT_FAILURE : EXIT_SUCCESS;
}
