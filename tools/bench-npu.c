// SPDX-License-Identifier: MIT
/*
 * bench-npu: what fluid batching and stackable PEs gain, network by network.
 *
 * tools/bench-npu has compiled each network three times: for a conventional NPU, for one with
 * fluid batching, and for one whose PEs stack as well. Each program runs on the emulated NPU that
 * it was compiled for, which only models time (functional=off): one batch, all samples to
 * the last exit. Times, multiplications and DRAM traffic are what the device reports, and the
 * time must be what the program's cost table promises.
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cli.h"
#include "fluidnpu.h"
#include "geometry.h"

#define NUM_BATCHES	(sizeof(batches) / sizeof(batches[0]))
#define NUM_NPUS	(sizeof(npus) / sizeof(npus[0]))

static const uint32_t batches[] = { 1, 2, 4, 8, 16 };

/* Kinds of NPU; the first is what the others are compared with. @file: NETWORK.@file.fnpu. */
static const struct npu {
	const char *file;
	const char *title;
} npus[] = {
	{ "conventional", "conventional" },
	{ "fluid", "fluid" },
	{ "stacking", "fluid + stacking" },
};

/** struct measurement - one batch from its start until its last sample left */
struct measurement {
	uint64_t cycles;
	uint64_t useful_macs;
	uint64_t offered_macs;
	uint64_t dram_bytes;
	double ms;
};

static const char usage[] =
"Usage: bench-npu [--json FILE] DIR NETWORK...\n"
"Measure networks on a conventional NPU, with fluid batching, and with stacking too:\n"
"DIR/NETWORK.conventional.fnpu, DIR/NETWORK.fluid.fnpu, DIR/NETWORK.stacking.fnpu.\n"
"(tools/bench-npu, or make bench-npu, compiles and measures what there is.)\n"
"\n"
"  --json FILE         write the figures as JSON, too\n"
"  --help, --version\n"
"\n"
"Exit status: 0, 1 something failed, 2 wrong usage.\n";

/* ---- measuring ---- */

/* The emulated NPU that @info was compiled for. */
static int open_npu(const struct fnpu_model_info *info, struct fnpu_device **device)
{
	struct fluidnpu_hw_geometry geometry = info->geometry;
	const struct fnpu_geometry_field *f;
	struct fnpu_error error;
	char text[1024];
	int len;

	len = snprintf(text, sizeof(text), "functional=off,clock_hz=%u", info->clock_hz);
	for (f = fnpu_geometry_fields; f->name && len < (int)sizeof(text); f++)
		len += snprintf(text + len, sizeof(text) - (size_t)len, ",%s=%u", f->name,
				*fnpu_geometry_value(&geometry, f));
	return fnpu_device_open("emu", text, device, &error) ? cli_error("%s", error.text) : 0;
}

/* One batch of @batch samples, each to the last exit. */
static int run_batch(struct fnpu_session *session, uint32_t num_exits, uint32_t batch,
		     uint64_t *cycles)
{
	const struct fnpu_request request = { .exit_index = num_exits - 1 };
	struct fnpu_result results[FLUIDNPU_MAX_BATCH];
	uint32_t left = batch;
	int n;

	for (uint32_t i = 0; i < batch; i++)
		if (fnpu_session_submit(session, &request))
			return cli_error("%s", fnpu_session_error(session));
	while (left) {
		n = fnpu_session_wait(session, results, FLUIDNPU_MAX_BATCH, -1);
		if (n <= 0)
			return cli_error("%s", fnpu_session_error(session));
		for (int i = 0; i < n; i++) {
			if (results[i].status)
				return cli_error("a sample failed: %s", results[i].reason);
			if (results[i].batch != batch)
				return cli_error("%u samples ran as a batch of %u", batch,
						 results[i].batch);
			*cycles = results[i].head.time - results[i].started;
		}
		left -= (uint32_t)n;
	}
	return 0;
}

/* What the cost table says of the same batch. */
static uint64_t promised_cycles(const struct fnpu_model *model, uint32_t batch)
{
	uint64_t cycles = 0;

	for (uint32_t layer = 0; layer < fnpu_model_info(model)->num_layers; layer++)
		cycles += fnpu_model_cost(model, layer, batch);
	return cycles;
}

static int measure_on(struct fnpu_device *device, const struct fnpu_model *model, uint32_t batch,
		      struct measurement *m)
{
	const struct fnpu_model_info *info = fnpu_model_info(model);
	const struct fnpu_session_options options = { .max_batch = batch };
	struct fnpu_session *session;
	struct fnpu_counters counters;
	struct fnpu_error error;
	int ret;

	if (fnpu_session_open(device, model, &options, &session, &error))
		return cli_error("%s", error.text);
	ret = run_batch(session, info->num_exits, batch, &m->cycles);
	fnpu_session_close(session);
	if (ret)
		return ret;
	ret = fnpu_device_counters(device, &counters);
	if (ret)
		return cli_error("cannot read the NPU's counters: %s", strerror(-ret));
	m->useful_macs = counters.values[FLUIDNPU_CNT_USEFUL_MACS];
	m->offered_macs = counters.values[FLUIDNPU_CNT_OFFERED_MACS];
	m->dram_bytes = counters.values[FLUIDNPU_CNT_DRAM_READ_BYTES] +
			counters.values[FLUIDNPU_CNT_DRAM_WRITE_BYTES];
	m->ms = 1e3 * (double)m->cycles / info->clock_hz;
	if (m->cycles != promised_cycles(model, batch))
		return cli_error("%s: a batch of %u took %" PRIu64 " cycles, its cost table says %" PRIu64,
				 info->name, batch, m->cycles, promised_cycles(model, batch));
	return 0;
}

static int measure(const char *dir, const char *network, const struct npu *npu, uint32_t batch,
		   struct measurement *m)
{
	struct fnpu_device *device = NULL;
	struct fnpu_model *model;
	struct fnpu_error error;
	char path[4096];
	int ret;

	if (snprintf(path, sizeof(path), "%s/%s.%s.fnpu", dir, network, npu->file) >=
	    (int)sizeof(path))
		return cli_error("the path %.100s... is too long", dir);
	if (fnpu_model_load(path, &model, &error))
		return cli_error("%s", error.text);
	ret = open_npu(fnpu_model_info(model), &device);
	if (!ret)
		ret = measure_on(device, model, batch, m);
	fnpu_device_close(device);
	fnpu_model_free(model);
	return ret;
}

/* ---- telling ---- */

static double utilisation(const struct measurement *m)
{
	return (double)m->useful_macs / (double)m->offered_macs;
}

static void print_line(const char *network, uint32_t batch, const struct npu *npu,
		       const struct measurement *m, const struct measurement *base)
{
	printf("%-16.16s %5u  %-16s %9.3f %10.3f %11.1f %% %9.2f %7.2fx\n", network, batch,
	       npu->title, m->ms, m->ms / batch, 100 * utilisation(m),
	       (double)m->dram_bytes / batch / (1 << 20),
	       (double)base->cycles / (double)m->cycles);
}

static void add_json(cJSON *array, const char *network, uint32_t batch, const struct npu *npu,
		     const struct measurement *m, const struct measurement *base)
{
	cJSON *item = cJSON_CreateObject();

	cJSON_AddStringToObject(item, "network", network);
	cJSON_AddNumberToObject(item, "batch", batch);
	cJSON_AddStringToObject(item, "npu", npu->title);
	cJSON_AddNumberToObject(item, "cycles", (double)m->cycles);
	cJSON_AddNumberToObject(item, "ms", m->ms);
	cJSON_AddNumberToObject(item, "ms_per_sample", m->ms / batch);
	cJSON_AddNumberToObject(item, "utilisation", utilisation(m));
	cJSON_AddNumberToObject(item, "dram_bytes", (double)m->dram_bytes);
	cJSON_AddNumberToObject(item, "speedup", (double)base->cycles / (double)m->cycles);
	cJSON_AddItemToArray(array, item);
}

static int bench_network(const char *dir, const char *network, cJSON *array)
{
	struct measurement m[NUM_NPUS];

	for (size_t b = 0; b < NUM_BATCHES; b++) {
		for (size_t i = 0; i < NUM_NPUS; i++) {
			if (measure(dir, network, &npus[i], batches[b], &m[i]))
				return -1;
			print_line(network, batches[b], &npus[i], &m[i], &m[0]);
			add_json(array, network, batches[b], &npus[i], &m[i], &m[0]);
		}
		printf("\n");
	}
	return 0;
}

static int bench(const char *dir, char **networks, cJSON *array)
{
	printf("%-16s %5s  %-16s %9s %10s %13s %9s %8s\n", "network", "batch", "NPU", "ms", "ms/sample",
	       "utilisation", "MiB/sample", "speed");
	for (; *networks; networks++)
		if (bench_network(dir, *networks, array))
			return -1;
	return cli_finish_stdout();
}

static int write_json(const char *path, const cJSON *array)
{
	char *text = cJSON_Print(array);
	FILE *file = text ? fopen(path, "we") : NULL;
	bool ok = file && fprintf(file, "%s\n", text) > 0;

	if (file && fclose(file))
		ok = false;
	cJSON_free(text);
	return ok ? 0 : cli_error("cannot write %s: %s", path, strerror(errno));
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", required_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	const char *json = NULL;
	cJSON *array;
	int c, ret;

	cli_name = "bench-npu";
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'j':
			json = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return cli_finish_stdout() ? EXIT_FAILURE : EXIT_SUCCESS;
		case 'V':
			printf("bench-npu %s\n", fnpu_version());
			return cli_finish_stdout() ? EXIT_FAILURE : EXIT_SUCCESS;
		default:	/* getopt_long() has named it */
			fprintf(stderr, "Try \"bench-npu --help\".\n");
			return EXIT_USAGE;
		}
	}
	if (argc - optind < 2)
		cli_usage_error("give the folder of the programs and at least one network");
	array = cJSON_CreateArray();
	ret = bench(argv[optind], argv + optind + 1, array);
	if (!ret && json)
		ret = write_json(json, array);
	cJSON_Delete(array);
	return ret ? EXIT_FAILURE : EXIT_SUCCESS;
}
