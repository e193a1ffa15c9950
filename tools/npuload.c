// SPDX-License-Identifier: MIT
/*
 * npuload: send requests to the NPU when a trace says, and tell what became of each.
 *
 * The trace is what npusim --requests wrote, and so is the result: the same requests, served by
 * the device instead of the simulator. One thread does all: it submits when a request's time has come,
 * and waits for results until the next one's has.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "common/cli.h"
#include "fluidnpu.h"
#include "npuload.h"

#define RESULTS_AT_ONCE	64
#define DEFAULT_QUEUE	256u
#define NS_PER_S	1000000000.0

static const char usage[] =
"Usage: npuload --model MODEL.fnpu --trace FILE.csv [options]\n"
"Serve the requests of a trace on a FluidNPU, each at its time, and report latencies.\n"
"\n"
"The NPU must be one that only models time (functional=off): the trace says where samples leave.\n"
"\n"
"  --model FILE        compiled network (made by npucc)\n"
"  --trace FILE        CSV as npusim --requests writes it: the columns request,\n"
"                      arrival_cycles, deadline_us and exit are used\n"
"  --device FILE       device file (default " FNPU_DEVICE_PATH ")\n"
"  --submit HOW        uring or ioctl (default: io_uring where it is allowed)\n"
"  --policy P          scheduling policy, as NAME[:parameter=value,...] (default adaptive)\n"
"  --exit-shares X,... of all samples, that leave at each exit, as far as the policy is told\n"
"  --batch N           at most N samples per batch\n"
"  --queue N           at most N samples wait, others are rejected (default 256)\n"
"  --requests FILE     write a line of CSV per request, with the columns of the trace\n"
"  --quiet             print nothing but errors\n"
"  --help, --version\n"
"\n"
"Exit status: 0, 1 something failed, 2 wrong usage.\n";

struct options {
	const char *model;
	const char *trace;
	const char *device;
	const char *submission;
	const char *policy;
	const char *requests;
	double exit_shares[FLUIDNPU_MAX_EXITS];
	uint32_t num_shares;
	uint32_t batch;
	uint32_t queue;
	bool quiet;
};

/**
 * struct load - everything of one run
 * @cycles_per_us: of the trace, made for the NPU that the model is compiled for
 * @start_ns: host time at which the trace begins, CLOCK_MONOTONIC
 * @start_time: device time then
 * @seen_ns: of all results, from when the sample left until it was seen here
 */
struct load {
	const struct options *options;
	struct fnpu_device *device;
	struct fnpu_model *model;
	struct fnpu_session *session;
	double clock_hz;
	double cycles_per_us;
	struct load_request *requests;
	uint32_t num;
	uint32_t next;
	uint32_t ended;
	int64_t start_ns;
	uint64_t start_time;
	double seen_ns;
};

/* ---- options ---- */

enum {
	OPT_MODEL = 256, OPT_TRACE, OPT_DEVICE, OPT_SUBMIT, OPT_POLICY, OPT_SHARES, OPT_BATCH,
	OPT_QUEUE, OPT_REQUESTS, OPT_QUIET, OPT_HELP, OPT_VERSION,
};

static const struct option long_options[] = {
	{ "model", required_argument, NULL, OPT_MODEL },
	{ "trace", required_argument, NULL, OPT_TRACE },
	{ "device", required_argument, NULL, OPT_DEVICE },
	{ "submit", required_argument, NULL, OPT_SUBMIT },
	{ "policy", required_argument, NULL, OPT_POLICY },
	{ "exit-shares", required_argument, NULL, OPT_SHARES },
	{ "batch", required_argument, NULL, OPT_BATCH },
	{ "queue", required_argument, NULL, OPT_QUEUE },
	{ "requests", required_argument, NULL, OPT_REQUESTS },
	{ "quiet", no_argument, NULL, OPT_QUIET },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

static void set_shares(struct options *o, const char *text)
{
	char *end = NULL;

	for (;;) {
		const double share = strtod(text, &end);

		if (end == text || !(share >= 0 && share <= 1) || (*end && *end != ',') ||
		    o->num_shares == FLUIDNPU_MAX_EXITS)
			cli_usage_error("--exit-shares takes up to %u numbers of 0..1, as 0.5,0.3,0.2",
					FLUIDNPU_MAX_EXITS);
		o->exit_shares[o->num_shares++] = share;
		if (!*end)
			return;
		text = end + 1;
	}
}

static void set_option(struct options *o, int option)
{
	switch (option) {
	case OPT_MODEL:
		o->model = optarg;
		break;
	case OPT_TRACE:
		o->trace = optarg;
		break;
	case OPT_DEVICE:
		o->device = optarg;
		break;
	case OPT_SUBMIT:
		o->submission = optarg;
		break;
	case OPT_POLICY:
		o->policy = optarg;
		break;
	case OPT_SHARES:
		set_shares(o, optarg);
		break;
	case OPT_BATCH:
		o->batch = (uint32_t)cli_number("batch", optarg, 1, FLUIDNPU_MAX_BATCH);
		break;
	case OPT_QUEUE:
		o->queue = (uint32_t)cli_number("queue", optarg, 1, 1u << 20);
		break;
	case OPT_REQUESTS:
		o->requests = optarg;
		break;
	case OPT_QUIET:
		o->quiet = true;
		break;
	case OPT_HELP:
		fputs(usage, stdout);
		exit(cli_finish_stdout() ? EXIT_FAILURE : EXIT_SUCCESS);
	case OPT_VERSION:
		printf("npuload %s\n", fnpu_version());
		exit(cli_finish_stdout() ? EXIT_FAILURE : EXIT_SUCCESS);
	default:	/* getopt_long() has named it */
		fprintf(stderr, "Try \"npuload --help\".\n");
		exit(EXIT_USAGE);
	}
}

static void parse_options(struct options *o, int argc, char **argv)
{
	int option;

	*o = (struct options){ .queue = DEFAULT_QUEUE };
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		set_option(o, option);
	if (optind < argc)
		cli_usage_error("what is \"%s\"?", argv[optind]);
	if (!o->model)
		cli_usage_error("which network? Give --model MODEL.fnpu (npucc makes one from ONNX)");
	if (!o->trace)
		cli_usage_error("which requests? Give --trace FILE.csv (npusim --requests writes one)");
}

/* ---- time ---- */

static int64_t host_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * (int64_t)NS_PER_S + ts.tv_nsec;
}

/* Host time at which it is @cycles behind the start. */
static int64_t host_time(const struct load *l, uint64_t cycles)
{
	return l->start_ns + (int64_t)((double)cycles / l->clock_hz * NS_PER_S);
}

/* The session has just woken the device: its counters tell what time it is. */
static int read_clocks(struct load *l)
{
	struct fnpu_counters counters;
	const int64_t before = host_ns();
	int ret = fnpu_device_counters(l->device, &counters);

	if (ret)
		return cli_error("cannot read the device's clock: %s", strerror(-ret));
	l->start_ns = before + (host_ns() - before) / 2;
	l->start_time = counters.time;
	return 0;
}

/* ---- the run ---- */

static int submit(struct load *l)
{
	struct load_request *r = &l->requests[l->next];
	const double slo = (r->deadline_us * l->cycles_per_us - (double)r->arrival) / l->clock_hz;
	const struct fnpu_request request = {
		.user_data = l->next,
		.exit_index = r->exit,
		.slo_ns = slo > 0 ? (uint64_t)(slo * NS_PER_S) : 0,
	};
	int ret = fnpu_session_submit(l->session, &request);

	if (ret == -EAGAIN) {
		r->outcome = LOAD_REJECTED;
		r->end = r->arrival;
		l->ended++;
	} else if (ret) {
		return cli_error("request %" PRIu64 ": %s", r->number, fnpu_session_error(l->session));
	}
	l->next++;
	ret = fnpu_session_flush(l->session);
	return ret ? cli_error("%s", fnpu_session_error(l->session)) : 0;
}

static int take(struct load *l, const struct fnpu_result *result)
{
	struct load_request *r = &l->requests[result->user_data];
	const int64_t now = host_ns();

	r->preempted = result->preempted;
	l->ended++;
	if (result->status == -ETIMEDOUT) {
		r->outcome = LOAD_DROPPED;
		r->end = (uint64_t)((double)(now - l->start_ns) * l->clock_hz / NS_PER_S);
		return 0;
	}
	if (result->status)
		return cli_error("request %" PRIu64 ": %s", r->number, result->reason);
	r->start = result->started - l->start_time;
	r->end = result->head.time - l->start_time;
	r->left_at = result->exit_index;
	r->outcome = (double)r->end <= r->deadline_us * l->cycles_per_us ? LOAD_ON_TIME : LOAD_LATE;
	l->seen_ns += (double)(now - host_time(l, r->end));
	return 0;
}

/* Until @until (host time), or without end if that is negative. */
static int wait_for_results(struct load *l, int64_t until)
{
	struct fnpu_result results[RESULTS_AT_ONCE];
	const int64_t left = until < 0 ? -1 : until - host_ns();
	int ret;

	if (until >= 0 && left <= 0)
		return 0;
	if (!fnpu_session_pending(l->session)) {
		const struct timespec ts = {
			.tv_sec = left / (int64_t)NS_PER_S, .tv_nsec = left % (int64_t)NS_PER_S,
		};

		nanosleep(&ts, NULL);
		return 0;
	}
	ret = fnpu_session_wait(l->session, results, RESULTS_AT_ONCE, left);
	for (int i = 0; i < ret; i++)
		if (take(l, &results[i]))
			return -1;
	if (ret < 0 && ret != -ETIMEDOUT && ret != -EINTR)
		return cli_error("%s", fnpu_session_error(l->session));
	return 0;
}

static int serve(struct load *l)
{
	/* A request's time is its time, not up to 50 us later. */
	prctl(PR_SET_TIMERSLACK, 1);
	if (read_clocks(l))
		return -1;
	while (l->ended < l->num) {
		const bool more = l->next < l->num;
		const int64_t due = more ? host_time(l, l->requests[l->next].arrival) : -1;
		int ret;

		if (more && host_ns() >= due)
			ret = submit(l);
		else
			ret = wait_for_results(l, due);
		if (ret)
			return ret;
	}
	return 0;
}

/* ---- set up and report ---- */

static int check_device(const struct load *l)
{
	const struct fnpu_model_info *info = fnpu_model_info(l->model);

	if (fnpu_device_info(l->device)->features & FLUIDNPU_FEATURE_FUNCTIONAL)
		return cli_error("this NPU computes, and a trace has no inputs: use one with functional=off");
	if (l->options->num_shares && l->options->num_shares != info->num_exits)
		return cli_error("--exit-shares has %u numbers, and model %s %u exits",
				 l->options->num_shares, info->name, info->num_exits);
	for (uint32_t i = 0; i < l->num; i++)
		if (l->requests[i].exit >= info->num_exits)
			return cli_error("%s: request %" PRIu64 " leaves at exit %u, and model %s has %u",
					 l->options->trace, l->requests[i].number,
					 l->requests[i].exit, info->name, info->num_exits);
	return 0;
}

static int set_up(struct load *l)
{
	const struct options *o = l->options;
	const struct fnpu_session_options session = {
		.policy = o->policy,
		.submission = o->submission,
		.max_batch = o->batch,
		.queue_bound = o->queue,
		.depth = 1,
		.exit_shares = o->num_shares ? o->exit_shares : NULL,
	};
	struct fnpu_error error;

	if (load_read_trace(o->trace, &l->requests, &l->num, &error) ||
	    fnpu_model_load(o->model, &l->model, &error) ||
	    fnpu_device_open("kmd", o->device, &l->device, &error))
		return cli_error("%s", error.text);
	if (check_device(l))
		return -1;
	if (fnpu_session_open(l->device, l->model, &session, &l->session, &error))
		return cli_error("%s", error.text);
	l->clock_hz = fnpu_device_info(l->device)->clock_hz;
	l->cycles_per_us = fnpu_model_info(l->model)->clock_hz / 1e6;
	return 0;
}

static int report(const struct load *l)
{
	const struct options *o = l->options;
	struct fnpu_session_stats stats;
	struct fnpu_error error;

	if (o->requests && load_write_requests(o->requests, l->requests, l->num,
					       l->cycles_per_us, &error))
		return cli_error("%s", error.text);
	if (o->quiet)
		return 0;
	fnpu_session_stats(l->session, &stats);
	load_print_summary(l->requests, l->num, l->cycles_per_us);
	printf("jobs                   %12" PRIu64 "   of %.2f samples\n", stats.jobs,
	       stats.jobs ? (double)stats.job_samples / (double)stats.jobs : 0);
	printf("seen after             %12.3f us of host time (mean)\n",
	       stats.completed ? l->seen_ns / 1e3 / (double)stats.completed : 0);
	return cli_finish_stdout();
}

int main(int argc, char **argv)
{
	struct options options;
	struct load load = { .options = &options };
	int ret;

	cli_name = "npuload";
	parse_options(&options, argc, argv);
	ret = set_up(&load);
	if (!ret)
		ret = serve(&load);
	if (!ret)
		ret = report(&load);
	fnpu_session_close(load.session);
	fnpu_device_close(load.device);
	fnpu_model_free(load.model);
	free(load.requests);
	return ret ? EXIT_FAILURE : EXIT_SUCCESS;
}
