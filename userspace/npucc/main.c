// SPDX-License-Identifier: MIT
/*
 * npucc: compile a quantized ONNX model for the FluidNPU.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fluidnpu.h"
#include "program.h"

#define EXIT_USAGE	2

static const char usage[] =
"Usage: npucc MODEL.onnx -o MODEL.fnpu [options]\n"
"Compile a quantized (QDQ) ONNX model, whose outputs are its exits in order of\n"
"depth, to a program for the FluidNPU.\n"
"\n"
"  -o, --output FILE        the program to write; may be left out with --report\n"
"  -n, --name NAME          name of the model (default: that of the ONNX graph)\n"
"  -t, --thresholds A,B,..  when samples leave, one number per exit but the last\n"
"                           (default: metadata fluidnpu.exit.thresholds)\n"
"  -g, --geometry K=V,..    NPU to compile for: tile_rows, tile_depth, tile_cols,\n"
"                           acc_tiles, max_stack, max_batch, act_sram_bytes,\n"
"                           weight_sram_bytes, dram_bytes_per_kcycle,\n"
"                           vector_lanes, layer_overhead_cycles, clock_hz, ...\n"
"                           (default: the device's own defaults)\n"
"  -r, --report             print layers, policies, cycles and utilisation\n"
"  -h, --help               print this and exit\n"
"  -V, --version            print the version and exit\n"
"\n"
"Metadata of the model (metadata_props): fluidnpu.labels (names separated by\n"
"commas), fluidnpu.input.byte_scale and .byte_offset (how a byte of an image\n"
"becomes the float input, default 1/255 and 0), fluidnpu.exit.thresholds,\n"
"fluidnpu.exit.criterion (confidence, entropy or margin).\n"
"\n"
"Exit status: 0, 1 the model cannot be compiled or written, 2 wrong usage.\n";

struct arguments {
	const char *model;
	const char *output;
	bool report;
	struct npucc_options options;
};

/* Returns the exit status when there is nothing more to do, or -1. */
static int parse_arguments(int argc, char **argv, struct arguments *a, struct npucc_error *error)
{
	static const struct option long_options[] = {
		{ "output", required_argument, NULL, 'o' },
		{ "name", required_argument, NULL, 'n' },
		{ "thresholds", required_argument, NULL, 't' },
		{ "geometry", required_argument, NULL, 'g' },
		{ "report", no_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	struct npucc_options *o = &a->options;
	int c;

	while ((c = getopt_long(argc, argv, "o:n:t:g:rhV", long_options, NULL)) != -1) {
		switch (c) {
		case 'o':
			a->output = optarg;
			break;
		case 'n':
			o->name = optarg;
			break;
		case 't':
			if (!npucc_parse_floats(optarg, o->thresholds, &o->num_thresholds,
						"--thresholds", error))
				return EXIT_USAGE;
			break;
		case 'g':
			if (!npucc_geometry_set(&o->config, optarg, error))
				return EXIT_USAGE;
			break;
		case 'r':
			a->report = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'V':
			printf("npucc %s\n", fnpu_version());
			return 0;
		default:
			npucc_fail(error, "try 'npucc --help'");
			return EXIT_USAGE;
		}
	}
	if (optind + 1 != argc) {
		npucc_fail(error, "%s; try 'npucc --help'",
			   optind < argc ? "more than one model" : "no model given");
		return EXIT_USAGE;
	}
	a->model = argv[optind];
	if (!a->output && !a->report) {
		npucc_fail(error, "no output given: use -o FILE, or --report to look only");
		return EXIT_USAGE;
	}
	return -1;
}

static void *read_file(FILE *file, size_t *bytes, struct npucc_error *error)
{
	struct stat st;
	void *data;

	if (fstat(fileno(file), &st) || !S_ISREG(st.st_mode)) {
		npucc_fail(error, "not a regular file");
		return NULL;
	}
	if ((uint64_t)st.st_size > NPUCC_MAX_MODEL_BYTES) {
		npucc_fail(error, "%lld bytes, at most %llu are possible", (long long)st.st_size,
			   NPUCC_MAX_MODEL_BYTES);
		return NULL;
	}
	*bytes = (size_t)st.st_size;
	data = malloc(*bytes + 1);
	if (!data) {
		npucc_fail(error, "out of memory for %zu bytes", *bytes);
		return NULL;
	}
	if (fread(data, 1, *bytes, file) != *bytes) {
		npucc_fail(error, "cannot read all of it");
		free(data);
		return NULL;
	}
	return data;
}

static void *read_model(const char *path, size_t *bytes, struct npucc_error *error)
{
	FILE *file = fopen(path, "rb");
	void *data;

	if (!file) {
		npucc_fail(error, "%s", strerror(errno));
		return NULL;
	}
	data = read_file(file, bytes, error);
	fclose(file);
	return data;
}

static bool run(const struct arguments *a)
{
	struct npucc_error error = { "" };
	struct npucc_arena arena = { NULL };
	struct npucc_program *program = NULL;
	size_t bytes;
	void *data = read_model(a->model, &bytes, &error);
	bool ok;

	if (data)
		program = npucc_compile(&arena, data, bytes, &a->options, &error);
	ok = program != NULL;
	/* npucc_save() names its file in its messages, the compiler does not know of files */
	if (!ok)
		fprintf(stderr, "npucc: %s: %s\n", a->model, error.text);
	if (ok && a->output) {
		ok = npucc_save(program, a->output, &error);
		if (!ok)
			fprintf(stderr, "npucc: %s\n", error.text);
	}
	if (ok && a->report)
		npucc_report(program, stdout);
	npucc_arena_free(&arena);
	free(data);
	return ok;
}

int main(int argc, char **argv)
{
	struct arguments a = { 0 };
	struct npucc_error error = { "" };
	int status;

	fnpu_config_default(&a.options.config);
	status = parse_arguments(argc, argv, &a, &error);
	if (error.text[0])
		fprintf(stderr, "npucc: %s\n", error.text);
	if (status < 0)
		status = run(&a) ? 0 : 1;
	if (fflush(stdout) || ferror(stdout)) {
		perror("npucc: standard output");
		status = 1;
	}
	return status;
}
