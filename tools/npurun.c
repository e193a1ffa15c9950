// SPDX-License-Identifier: MIT
/*
 * npurun: classify images with a compiled network and tell how it went.
 *
 * Fills the session's queue, waits for results, tallies them, and refills, until
 * every sample has come back. The report is npurun_report.c's.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cli.h"
#include "common/input.h"
#include "common/npurun_report.h"
#include "common/npy_out.h"
#include "common/progress.h"
#include "common/trace.h"

#define RESULTS_AT_ONCE		64
#define FEW_SAMPLES		10	/* so many get a line each instead of a table */
#define STUCK_NS		INT64_C(120000000000)
#define MAX_REASONS		5	/* failed samples that are told one by one */

struct options {
	const char *model;
	const char *backend;
	const char *device;
	const char *submission;
	const char *policy;
	const char *logits_dir;
	const char *labels;
	const char *trace;
	const char *json;
	const char *progress;
	uint32_t batch;
	uint64_t limit;
	bool all_exits;
	bool quiet;
	char **inputs;
	int num_inputs;
};

/**
 * struct run - everything of one run
 * @inputs: open files, @num_open of them; their samples are numbered through
 * @total: samples to classify; @next: to submit next; @finished: come back
 * @trace: where each sample leaves, without inputs; otherwise NULL
 * @few: outcome of each sample, when they are few and images; otherwise NULL
 * @sample, @row: buffers of one sample and of one row of logits
 */
struct run {
	const struct options *options;
	struct fnpu_device *device;
	struct fnpu_model *model;
	const struct fnpu_model_info *info;
	struct fnpu_session *session;
	struct input *inputs;
	int num_open;
	uint8_t *labels;
	uint8_t *trace;
	uint64_t total;
	uint64_t next;
	uint64_t finished;
	struct npy_out logits[FLUIDNPU_MAX_EXITS];
	struct fnpu_result *few;
	void *sample;
	float *row;
	struct progress progress;
	struct report report;
};

static const char usage[] =
"Usage: npurun --model MODEL.fnpu [options] INPUT...\n"
"       npurun --model MODEL.fnpu [options] --trace FILE\n"
"Classify samples on a FluidNPU and report accuracy, exits, latency and use of the NPU.\n"
"\n"
"Inputs: IDX files of images (also .gz), float32 .npy of shape [N, C, H, W], PNG images.\n"
"\n"
"  --model FILE        compiled network (made by npucc)\n"
"  --backend NAME      kmd: the kernel driver (default); emu: the NPU emulated in-process;\n"
"                      daemon: fluidnpud, which other processes use as well\n"
"  --device WHAT       kmd: device file (default " FNPU_DEVICE_PATH "); emu: properties of the\n"
"                      NPU that are not the default, as functional=off,max_stack=1; daemon: its\n"
"                      socket (default /run/fluidnpud.sock)\n"
"  --submit HOW        uring or ioctl (default: io_uring where it is allowed)\n"
"  --policy P          scheduling policy: adaptive (default), serial, lazy, fluid, fluid+, ...,\n"
"                      as NAME[:parameter=value,...]; npusim --list-policies tells of all\n"
"  --batch N           at most N samples per batch\n"
"  --limit N           only the first N samples\n"
"  --all-exits         no early exit: every sample runs to the last exit head\n"
"  --trace FILE        model the time of samples that leave at these exits, one number per\n"
"                      sample, on an NPU that computes nothing (functional=off)\n"
"  --labels FILE       IDX file of labels (also .gz), for the accuracy\n"
"  --logits DIR        write the logits of exit N to DIR/exitN.npy, one row per sample;\n"
"                      NaN where a sample had left before\n"
"  --json FILE         write the report as JSON\n"
"  --progress WHEN     auto (default: when there are more than a few samples), always\n"
"                      or never; a line that is redrawn on a terminal, otherwise a\n"
"                      line per 10 %\n"
"  --quiet             print nothing but errors\n"
"  --help, --version\n"
"\n"
"Exit status: 0 all samples were classified, 1 something failed, 2 wrong usage.\n";

/* ---- options ---- */

enum {
	OPT_MODEL = 256, OPT_BACKEND, OPT_DEVICE, OPT_SUBMIT, OPT_POLICY, OPT_BATCH, OPT_LIMIT,
	OPT_ALL_EXITS, OPT_TRACE, OPT_LABELS, OPT_LOGITS, OPT_JSON, OPT_PROGRESS, OPT_QUIET, OPT_HELP,
	OPT_VERSION,
};

static const struct option long_options[] = {
	{ "model", required_argument, NULL, OPT_MODEL },
	{ "backend", required_argument, NULL, OPT_BACKEND },
	{ "device", required_argument, NULL, OPT_DEVICE },
	{ "submit", required_argument, NULL, OPT_SUBMIT },
	{ "policy", required_argument, NULL, OPT_POLICY },
	{ "batch", required_argument, NULL, OPT_BATCH },
	{ "limit", required_argument, NULL, OPT_LIMIT },
	{ "all-exits", no_argument, NULL, OPT_ALL_EXITS },
	{ "trace", required_argument, NULL, OPT_TRACE },
	{ "labels", required_argument, NULL, OPT_LABELS },
	{ "logits", required_argument, NULL, OPT_LOGITS },
	{ "json", required_argument, NULL, OPT_JSON },
	{ "progress", required_argument, NULL, OPT_PROGRESS },
	{ "quiet", no_argument, NULL, OPT_QUIET },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

static void set_option(struct options *o, int option)
{
	static const char *const backends[] = { "kmd", "emu", "daemon", NULL };
	static const char *const submissions[] = { "uring", "ioctl", NULL };
	static const char *const progress[] = { "auto", "always", "never", NULL };

	switch (option) {
	case OPT_MODEL:
		o->model = optarg;
		break;
	case OPT_BACKEND:
		o->backend = cli_one_of("backend", optarg, backends);
		break;
	case OPT_DEVICE:
		o->device = optarg;
		break;
	case OPT_SUBMIT:
		o->submission = cli_one_of("submit", optarg, submissions);
		break;
	case OPT_POLICY:
		o->policy = optarg;
		break;
	case OPT_BATCH:
		o->batch = (uint32_t)cli_number("batch", optarg, 1, FLUIDNPU_MAX_BATCH);
		break;
	case OPT_LIMIT:
		o->limit = cli_number("limit", optarg, 1, UINT32_MAX);
		break;
	case OPT_ALL_EXITS:
		o->all_exits = true;
		break;
	case OPT_TRACE:
		o->trace = optarg;
		break;
	case OPT_LABELS:
		o->labels = optarg;
		break;
	case OPT_LOGITS:
		o->logits_dir = optarg;
		break;
	case OPT_JSON:
		o->json = optarg;
		break;
	case OPT_PROGRESS:
		o->progress = cli_one_of("progress", optarg, progress);
		break;
	case OPT_QUIET:
		o->quiet = true;
		break;
	case OPT_HELP:
		cli_print_and_exit(usage);
		break;
	case OPT_VERSION:
		printf("npurun %s\n", fnpu_version());
		cli_print_and_exit("");
		break;
	default:	/* getopt_long() has named it */
		fprintf(stderr, "Try \"npurun --help\".\n");
		exit(EXIT_USAGE);
	}
}

static void parse_options(struct options *o, int argc, char **argv)
{
	int option;

	*o = (struct options){ .backend = "kmd", .progress = "auto" };
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		set_option(o, option);
	o->inputs = argv + optind;
	o->num_inputs = argc - optind;
	if (!o->model)
		cli_usage_error("which network? Give --model MODEL.fnpu (npucc makes one from ONNX)");
	if (!o->num_inputs && !o->trace)
		cli_usage_error("nothing to classify: give at least one input file");
	if (!strcmp(o->backend, "daemon") && (o->policy || o->batch || o->submission))
		cli_usage_error("--policy, --batch and --submit are the daemon's: give them to fluidnpud");
	if (o->trace && (o->num_inputs || o->labels || o->logits_dir))
		cli_usage_error("--trace computes nothing: it goes without inputs, --labels and --logits");
}

/* ---- setting up ---- */

static int open_inputs(struct run *run)
{
	const struct options *o = run->options;
	struct fnpu_error error;
	size_t sample_bytes = 0;

	run->inputs = calloc((size_t)o->num_inputs, sizeof(*run->inputs));
	if (!run->inputs)
		return cli_error("out of memory");
	for (int i = 0; i < o->num_inputs; i++) {
		struct input *in = &run->inputs[i];

		if (input_open(in, o->inputs[i], &error))
			return cli_error("%s", error.text);
		run->num_open++;
		if (input_check_shape(in, run->info, &error))
			return cli_error("%s", error.text);
		run->total += in->count;
		if (in->sample_bytes > sample_bytes)
			sample_bytes = in->sample_bytes;
	}
	run->sample = malloc(sample_bytes);
	return run->sample ? 0 : cli_error("out of memory");
}

static int open_labels(struct run *run)
{
	const struct options *o = run->options;
	struct fnpu_error error = { "" };
	uint64_t count = 0;

	if (!o->labels)
		return 0;
	if (labels_open(o->labels, &run->labels, &count, &error))
		return cli_error("%s", error.text);
	if (count != run->total)
		return cli_error("%s has %" PRIu64 " labels for %" PRIu64 " samples: they do not belong together",
				 o->labels, count, run->total);
	run->report.has_labels = true;
	return 0;
}

static int open_trace(struct run *run)
{
	const struct options *o = run->options;
	struct fnpu_error error;

	if (!o->trace)
		return 0;
	if (trace_open(o->trace, run->info->num_exits, &run->trace, &run->total, &error))
		return cli_error("%s", error.text);
	return 0;
}

static int open_logits(struct run *run)
{
	const char *dir = run->options->logits_dir;
	struct fnpu_error error;
	uint32_t widest = 0;
	char path[4096];

	if (!dir)
		return 0;
	if (mkdir(dir, 0777) && errno != EEXIST)
		return cli_error("cannot create the directory %s: %s", dir, strerror(errno));
	for (uint32_t e = 0; e < run->info->num_exits; e++) {
		uint32_t classes = run->info->exits[e].classes;

		if (snprintf(path, sizeof(path), "%s/exit%u.npy", dir, e) >= (int)sizeof(path))
			return cli_error("the path %.100s... is too long", dir);
		if (npy_out_open(&run->logits[e], path, run->total, classes, &error))
			return cli_error("%s", error.text);
		if (classes > widest)
			widest = classes;
	}
	run->row = calloc(widest, sizeof(*run->row));
	return run->row ? 0 : cli_error("out of memory");
}

/* Better now than after all the work; and the report of another run must not stay. */
static int check_json(const char *path)
{
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : -1;

	if (path && fd < 0)
		return cli_error("cannot write %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return 0;
}

static int open_device(struct run *run)
{
	const struct options *o = run->options;
	struct fnpu_error error;
	bool computes;

	if (fnpu_device_open(o->backend, o->device, &run->device, &error))
		return cli_error("%s", error.text);
	if (fnpu_model_check(run->model, run->device, &error))
		return cli_error("%s", error.text);
	if (error.text[0])
		cli_error("warning: %s", error.text);
	computes = fnpu_device_info(run->device)->features & FLUIDNPU_FEATURE_FUNCTIONAL;
	if (computes && o->trace)
		return cli_error("--trace needs an NPU that only models time; the emulated one does with --device functional=off");
	if (!computes && !o->trace)
		cli_error("warning: this NPU only models time (functional=off): classes mean nothing");
	return 0;
}

static int open_session(struct run *run)
{
	const struct options *o = run->options;
	struct fnpu_error error;
	struct fnpu_session_options options = {
		.policy = o->policy,
		.submission = o->submission,
		.max_batch = o->batch,
		.flags = (o->all_exits ? FNPU_SESSION_NO_EXIT : 0) |
			 (o->logits_dir ? FNPU_SESSION_LOGITS : 0),
	};

	if (fnpu_session_open(run->device, run->model, &options, &run->session, &error))
		return cli_error("%s", error.text);
	return 0;
}

static const char *policy_name(const struct options *o)
{
	if (!strcmp(o->backend, "daemon"))
		return "of the daemon";
	return o->policy ? o->policy : "adaptive";
}

static int setup(struct run *run)
{
	const struct options *o = run->options;
	struct fnpu_error error;
	bool images = true, few;

	for (int e = 0; e < FLUIDNPU_MAX_EXITS; e++)
		run->logits[e].fd = -1;
	if (fnpu_model_load(o->model, &run->model, &error))
		return cli_error("%s", error.text);
	run->info = fnpu_model_info(run->model);
	if (open_inputs(run) || open_labels(run) || open_trace(run))
		return -1;
	if (o->limit && o->limit < run->total)
		run->total = o->limit;
	if (open_device(run) || open_session(run) || check_json(o->json) || open_logits(run))
		return -1;

	for (int i = 0; i < o->num_inputs; i++)
		images = images && run->inputs[i].one_image;
	few = !run->trace && (run->total <= FEW_SAMPLES || images);
	if (few)
		run->few = calloc(run->total, sizeof(*run->few));
	run->report.latency = calloc(run->total, sizeof(*run->report.latency));
	if (!run->report.latency || (few && !run->few))
		return cli_error("no memory for %" PRIu64 " results", run->total);
	run->report.model = run->info;
	run->report.device = fnpu_device_info(run->device);
	run->report.all_exits = o->all_exits;
	run->report.model_path = o->model;
	run->report.policy = policy_name(o);
	run->report.submission = fnpu_session_submission(run->session);
	run->report.first_queued = UINT64_MAX;
	return 0;
}

static void teardown(struct run *run)
{
	struct fnpu_error error;

	fnpu_session_close(run->session);
	fnpu_device_close(run->device);
	for (int i = 0; i < run->num_open; i++)
		input_close(&run->inputs[i]);
	for (int e = 0; e < FLUIDNPU_MAX_EXITS; e++)
		npy_out_close(&run->logits[e], &error);
	free(run->report.latency);
	free(run->few);
	free(run->row);
	free(run->sample);
	free(run->labels);
	free(run->trace);
	free(run->inputs);
	fnpu_model_free(run->model);
}

/* ---- running ---- */

/* The file that sample @index is in; @index becomes its number there. */
static const struct input *input_of(const struct run *run, uint64_t *index)
{
	const struct input *in = run->inputs;

	for (; *index >= in->count; in++)
		*index -= in->count;
	return in;
}

/* What to submit for sample @index. */
static int make_request(struct run *run, uint64_t index, struct fnpu_request *request)
{
	struct fnpu_error error;
	const struct input *in;

	*request = (struct fnpu_request){ .user_data = index };
	if (run->trace) {
		request->exit_index = run->trace[index];
		return 0;
	}
	in = input_of(run, &index);
	if (input_read(in, index, run->sample, &error))
		return cli_error("%s", error.text);
	request->input = run->sample;
	request->input_bytes = in->sample_bytes;
	request->format = in->format;
	return 0;
}

/* Submits until the queue or the input is at its end. */
static int fill_queue(struct run *run)
{
	while (run->next < run->total) {
		struct fnpu_request request;
		int ret = make_request(run, run->next, &request);

		if (ret)
			return ret;
		ret = fnpu_session_submit(run->session, &request);
		if (ret == -EAGAIN)
			break;
		if (ret)
			return cli_error("%s", fnpu_session_error(run->session));
		run->next++;
	}
	return 0;
}

static void judge(struct run *run, struct exit_tally *tally, uint64_t sample, uint32_t class_index)
{
	tally->samples++;
	if (run->labels && run->labels[sample] == class_index)
		tally->correct++;
}

static void tally_success(struct run *run, const struct fnpu_result *result)
{
	struct report *r = &run->report;

	if (run->labels && run->labels[result->user_data] == result->head.class_index)
		r->correct++;
	if (result->heads)
		for (uint32_t e = 0; e <= result->exit_index; e++)
			judge(run, &r->exits[e], result->user_data, result->heads[e].class_index);
	else
		judge(run, &r->exits[result->exit_index], result->user_data,
		      result->head.class_index);
	r->latency[r->samples++] = result->head.time - result->queued;
	if (result->queued < r->first_queued)
		r->first_queued = result->queued;
	if (result->head.time > r->last_exit)
		r->last_exit = result->head.time;
}

static void tally_failure(struct run *run, const struct fnpu_result *result)
{
	uint64_t index = result->user_data;
	const char *path = run->trace ? run->options->trace : input_of(run, &index)->path;

	if (++run->report.errors > MAX_REASONS)
		return;
	cli_error("sample %" PRIu64 " of %s failed: %s", index, path, result->reason);
	if (run->report.errors == MAX_REASONS)
		cli_error("further failures are only counted");
}

static int write_logits(struct run *run, const struct fnpu_result *result)
{
	struct fnpu_error error;

	for (uint32_t e = 0; e < run->info->num_exits; e++) {
		const struct fnpu_exit_info *exit = &run->info->exits[e];
		bool passed = !result->status && e <= result->exit_index;

		for (uint32_t c = 0; c < exit->classes; c++)
			run->row[c] = !passed ? NAN :
				(float)(result->logits[exit->logits_off + c] - exit->zero_point) *
				exit->scale;
		if (npy_out_row(&run->logits[e], result->user_data, run->row, &error))
			return cli_error("%s", error.text);
	}
	return 0;
}

static int take_result(struct run *run, const struct fnpu_result *result)
{
	run->finished++;
	if (result->status)
		tally_failure(run, result);
	else
		tally_success(run, result);
	if (run->few)
		run->few[result->user_data] = *result;
	return run->options->logits_dir ? write_logits(run, result) : 0;
}

static int wait_failed(struct run *run, int ret)
{
	if (ret == -ETIMEDOUT)
		return cli_error("the NPU has not answered for %d seconds; the kernel log may say why (dmesg)",
				 (int)(STUCK_NS / 1000000000));
	return cli_error("%s", fnpu_session_error(run->session));
}

static int run_all(struct run *run)
{
	struct fnpu_result results[RESULTS_AT_ONCE];

	while (run->finished < run->total) {
		int n;

		if (fill_queue(run))
			return -1;
		n = fnpu_session_wait(run->session, results, RESULTS_AT_ONCE, STUCK_NS);
		if (n == -EINTR)
			continue;
		if (n <= 0)
			return wait_failed(run, n);
		for (int i = 0; i < n; i++)
			if (take_result(run, &results[i]))
				return -1;
		progress_update(&run->progress, run->finished);
	}
	return 0;
}

static int read_counters(struct run *run, struct fnpu_counters *counters)
{
	int ret = fnpu_device_counters(run->device, counters);

	return ret ? cli_error("cannot read the NPU's counters: %s", strerror(-ret)) : 0;
}

static int measure(struct run *run)
{
	const struct options *o = run->options;
	bool progress = !strcmp(o->progress, "always") ||
			(!strcmp(o->progress, "auto") && !run->few);
	struct report *r = &run->report;
	int64_t started = host_ns();
	int ret;

	if (read_counters(run, &r->before))
		return -1;
	progress_start(&run->progress, progress && !o->quiet, "samples", run->total);
	ret = run_all(run);
	progress_end(&run->progress);
	if (ret || read_counters(run, &r->after))
		return -1;
	r->wall_seconds = (double)(host_ns() - started) / 1e9;
	fnpu_session_stats(run->session, &r->stats);
	if (!r->samples)
		r->first_queued = 0;
	return 0;
}

/* ---- telling ---- */

static void print_few(const struct run *run)
{
	const double us = 1e6 / run->report.device->clock_hz;

	for (uint64_t i = 0; i < run->total; i++) {
		const struct fnpu_result *result = &run->few[i];
		uint32_t class_index = result->head.class_index;
		uint64_t index = i;
		const struct input *in = input_of(run, &index);

		printf("%s", in->path);
		if (!in->one_image)
			printf("[%" PRIu64 "]", index);
		if (result->status) {
			printf(": failed\n");
			continue;
		}
		if (class_index < run->info->num_labels)
			printf(": %s", run->info->labels[class_index]);
		else
			printf(": class %u", class_index);
		if (run->labels)
			printf(run->labels[i] == class_index ? " (right)" : " (wrong)");
		printf(", %.1f %%, exit %u (%s), %.2f us\n", 100 * (double)result->head.confidence,
		       result->exit_index, run->info->exits[result->exit_index].name,
		       (double)(result->head.time - result->queued) * us);
	}
}

static int close_logits(struct run *run)
{
	struct fnpu_error error;

	for (int e = 0; e < FLUIDNPU_MAX_EXITS; e++)
		if (npy_out_close(&run->logits[e], &error))
			return cli_error("%s", error.text);
	return 0;
}

static int tell(struct run *run)
{
	report_finish(&run->report);
	if (run->options->quiet)
		;
	else if (run->few)
		print_few(run);
	else
		report_print(&run->report);
	if (run->options->json && report_json(&run->report, run->options->json))
		return -1;
	return cli_finish_stdout();
}

int main(int argc, char **argv)
{
	struct options options;
	struct run run = { .options = &options };
	int ret;

	cli_name = "npurun";
	parse_options(&options, argc, argv);
	ret = setup(&run);
	if (!ret)
		ret = measure(&run);
	if (!ret)
		ret = close_logits(&run);
	if (!ret)
		ret = tell(&run);
	if (run.report.errors)
		ret = cli_error("%" PRIu64 " of %" PRIu64 " samples failed", run.report.errors, run.total);
	teardown(&run);
	return ret ? EXIT_FAILURE : EXIT_SUCCESS;
}
