// SPDX-License-Identifier: MIT
/*
 * npucc: compile a quantized ONNX model for the FluidNPU.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fluidnpu.h"
#include "report.h"

#define EXIT_USAGE	2

static const char usage[] =
"Usage: npucc MODEL.onnx -o MODEL.fnpu [options]\n"
"Compile a quantized ONNX model (QDQ or QOperator form), whose outputs are its\n"
"exits, to a program for the FluidNPU. Exits are numbered by depth.\n"
"\n"
"  -o, --output FILE        the program to write; may be left out with a report\n"
"  -n, --name NAME          name of the model (default: that of the ONNX graph)\n"
"  -t, --thresholds A,B,..  when samples leave, one number per exit but the last\n"
"                           (default: metadata fluidnpu.exit.thresholds)\n"
"  -a, --accuracy-budget P  thresholds that lose at most P percentage points\n"
"                           against the last exit alone (those that the model was\n"
"                           calibrated for: metadata fluidnpu.exit.budgets)\n"
"  -g, --geometry K=V,..    NPU to compile for: tile_rows, tile_depth, tile_cols,\n"
"                           acc_tiles, max_stack, max_batch, act_sram_bytes,\n"
"                           weight_sram_bytes, dram_bytes_per_kcycle,\n"
"                           vector_lanes, layer_overhead_cycles, clock_hz, ...\n"
"                           (default: the device's own defaults)\n"
"  -c, --conventional       lay out batches as a conventional NPU: all samples along\n"
"                           the rows, no PEs chained (for comparisons)\n"
"  -h, --help               print this and exit\n"
"  -V, --version            print the version and exit\n"
"\n"
"Reports: shapes, MACs, policies, cycles, utilisation and bound of every layer\n"
"  -r, --report[=FORM]      on standard output, as text (default) or json; FORM\n"
"                           follows without a space: --report=json, -rjson\n"
"      --json FILE          as JSON, for every batch size\n"
"      --roofline FILE.svg  as a picture: MACs per DRAM byte and per cycle\n"
"\n"
"Metadata of the model (metadata_props): fluidnpu.labels (names separated by\n"
"commas, or a JSON array of them), fluidnpu.input.byte_scale and .byte_offset\n"
"(how a byte of an image becomes the float input, default 1/255 and 0),\n"
"fluidnpu.exit.thresholds, fluidnpu.exit.budgets (a JSON object of thresholds,\n"
"such as {\"0\":[0.97,0.9],\"0.5\":[0.89,0.63]}), fluidnpu.exit.criterion\n"
"(confidence, entropy or margin).\n"
"\n"
"Exit status: 0, 1 the model cannot be compiled or written, 2 wrong usage.\n";

enum form { FORM_NONE, FORM_TEXT, FORM_JSON };

struct arguments {
	const char *model;
	const char *output;
	const char *json;
	const char *roofline;
	enum form report;
	double accuracy_budget;
	struct npucc_options options;
};

enum { OPT_JSON = 256, OPT_ROOFLINE };

static const char options_short[] = "o:n:t:a:g:cr::hV";
static const struct option options_long[] = {
	{ "output", required_argument, NULL, 'o' },
	{ "name", required_argument, NULL, 'n' },
	{ "thresholds", required_argument, NULL, 't' },
	{ "accuracy-budget", required_argument, NULL, 'a' },
	{ "geometry", required_argument, NULL, 'g' },
	{ "conventional", no_argument, NULL, 'c' },
	{ "report", optional_argument, NULL, 'r' },
	{ "json", required_argument, NULL, OPT_JSON },
	{ "roofline", required_argument, NULL, OPT_ROOFLINE },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

static bool parse_form(const char *text, enum form *form, struct npucc_error *error)
{
	if (!text || !strcmp(text, "text"))
		*form = FORM_TEXT;
	else if (!strcmp(text, "json"))
		*form = FORM_JSON;
	else
		return npucc_fail(error, "--report: '%.100s' is neither text nor json", text);
	return true;
}

/* The options but --help and --version. */
static bool parse_option(int option, struct arguments *a, struct npucc_error *error)
{
	struct npucc_options *o = &a->options;

	switch (option) {
	case 'o':
		a->output = optarg;
		return true;
	case 'n':
		o->name = optarg;
		return true;
	case 't':
		return npucc_parse_floats(optarg, o->thresholds, &o->num_thresholds, "--thresholds",
					  error);
	case 'a':
		o->accuracy_budget = &a->accuracy_budget;
		return npucc_parse_budget(optarg, &a->accuracy_budget) ||
		       npucc_fail(error, "--accuracy-budget: '%.100s' is no number from 0 to 100",
				  optarg);
	case 'g':
		return npucc_geometry_set(&o->config, optarg, error);
	case 'c':
		o->conventional = true;
		return true;
	case 'r':
		return parse_form(optarg, &a->report, error);
	case OPT_JSON:
		a->json = optarg;
		return true;
	case OPT_ROOFLINE:
		a->roofline = optarg;
		return true;
	default:
		return npucc_fail(error, "try 'npucc --help'");
	}
}

/* The last part of @path; @dir becomes the folder it is in. */
static const char *split_path(const char *path, struct stat *dir)
{
	const char *slash = strrchr(path, '/');
	char parent[PATH_MAX] = ".";

	if (slash)
		snprintf(parent, sizeof(parent), "%.*s", (int)(slash + 1 - path), path);
	if (stat(parent, dir))
		memset(dir, 0, sizeof(*dir));
	return slash ? slash + 1 : path;
}

/* Do both paths lead to one file, which need not be there yet? */
static bool same_file(const char *a, const char *b)
{
	struct stat x, y;

	if (stat(a, &x) || stat(b, &y))
		return !strcmp(split_path(a, &x), split_path(b, &y)) && x.st_ino &&
		       x.st_dev == y.st_dev && x.st_ino == y.st_ino;
	return S_ISREG(x.st_mode) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* What is given must fit together. */
static bool check_arguments(const struct arguments *a, struct npucc_error *error)
{
	const char *files[] = { a->model, a->output, a->json, a->roofline };
	unsigned int i, k;

	if (a->options.accuracy_budget && a->options.num_thresholds)
		return npucc_fail(error, "both --thresholds and --accuracy-budget given");
	if (!a->output && !a->report && !a->json && !a->roofline)
		return npucc_fail(error, "no output given: use -o FILE, or --report to look only");
	for (i = 1; i < sizeof(files) / sizeof(files[0]); i++)
		for (k = 0; k < i; k++)
			if (files[i] && files[k] && same_file(files[i], files[k]))
				return npucc_fail(error, "%s would be overwritten: it is named twice",
						  files[i]);
	return true;
}

/* Returns the exit status when there is nothing more to do, or -1. */
static int parse_arguments(int argc, char **argv, struct arguments *a, struct npucc_error *error)
{
	int c;

	while ((c = getopt_long(argc, argv, options_short, options_long, NULL)) != -1) {
		switch (c) {
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'V':
			printf("npucc %s\n", fnpu_version());
			return 0;
		default:
			if (!parse_option(c, a, error))
				return EXIT_USAGE;
		}
	}
	if (optind + 1 != argc) {
		npucc_fail(error, "%s; try 'npucc --help'",
			   optind < argc ? "more than one model" : "no model given");
		return EXIT_USAGE;
	}
	a->model = argv[optind];
	return check_arguments(a, error) ? -1 : EXIT_USAGE;
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

typedef bool writer(const struct npucc_report *report, FILE *out);

/* A report that could not be written whole does not stay. */
static bool write_report(const char *path, const struct npucc_report *report, writer *write,
			 struct npucc_error *error)
{
	FILE *file = fopen(path, "we");
	struct stat st;
	bool regular, ok;

	if (!file)
		return npucc_fail(error, "cannot write %s: %s", path, strerror(errno));
	regular = !fstat(fileno(file), &st) && S_ISREG(st.st_mode);
	if (!write(report, file))
		npucc_fail(error, "cannot write %s: out of memory", path);
	ok = !ferror(file);
	if (fclose(file) || !ok)
		npucc_fail(error, "cannot write %s: %s", path, strerror(errno));
	if (error->text[0] && regular)
		unlink(path);
	return !error->text[0];
}

static bool write_outputs(const struct arguments *a, struct npucc_arena *arena,
			  const struct npucc_program *program, struct npucc_error *error)
{
	const struct npucc_report *report = npucc_report(arena, program);
	writer *print = a->report == FORM_JSON ? npucc_report_json : npucc_report_text;

	if (a->output && !npucc_save(program, a->output, error))
		return false;
	if (a->json && !write_report(a->json, report, npucc_report_json, error))
		return false;
	if (a->roofline && !write_report(a->roofline, report, npucc_report_roofline, error))
		return false;
	return !a->report || print(report, stdout) || npucc_fail(error, "out of memory");
}

static bool run(const struct arguments *a)
{
	struct npucc_error error = { "" };
	struct npucc_arena arena = { NULL };
	struct npucc_program *program = NULL;
	size_t bytes;
	void *data = read_model(a->model, &bytes, &error);
	bool ok = false;

	if (data)
		program = npucc_compile(&arena, data, bytes, &a->options, &error);
	/* what writes names its file in its messages, the compiler does not know of files */
	if (!program)
		fprintf(stderr, "npucc: %s: %s\n", a->model, error.text);
	else
		ok = write_outputs(a, &arena, program, &error);
	if (program && !ok)
		fprintf(stderr, "npucc: %s\n", error.text);
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
