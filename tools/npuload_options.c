// SPDX-License-Identifier: MIT
/* The command line of npuload. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cli.h"
#include "npuload.h"
#include "sim/params.h"

#define DEFAULT_QUEUE	256u
#define MAX_QUEUE	(1u << 20)
#define DEFAULT_COUNT	2000u
#define DEFAULT_STREAMS	8u
#define DEFAULT_SLO	3.0	/* npusim's */
#define SEARCH_STEPS	64	/* of a search that gives no step */
#define MAX_SEARCH_POINTS	1000000u
#define MAX_RATE	1e9
#define TEXT_BYTES	512

const char *const load_scenario_names[LOAD_SCENARIOS] = {
	[LOAD_SINGLE_STREAM] = "single-stream",
	[LOAD_MULTI_STREAM] = "multi-stream",
	[LOAD_SERVER] = "server",
	[LOAD_OFFLINE] = "offline",
	[LOAD_BURSTY] = "bursty",
	[LOAD_CAMERAS] = "cameras",
	[LOAD_INTERVALS] = "intervals",
	[LOAD_TRACE] = "trace",
};

static const char usage[] =
"Usage: npuload --model MODEL.fnpu --scenario NAME [options]\n"
"       npuload --compare A.json B.json\n"
"Send requests to a FluidNPU as a scenario says, and report latencies, deadlines and use of the NPU.\n"
"\n"
"When requests come\n"
"  --scenario NAME     single-stream  the next when the last one's result is there\n"
"                      multi-stream   queries of several samples, likewise\n"
"                      server         Poisson arrivals\n"
"                      offline        all at once\n"
"                      bursty         bursts of Poisson arrivals, as npusim's\n"
"                      cameras        cameras with a frame per period\n"
"                      intervals      recorded intervals\n"
"                      trace          recorded requests\n"
"  --streams N         multi-stream: samples of a query (default 8)\n"
"  --bursty P          factor=2.5,burst=0.2: a burst has so many times the mean rate, and lasts\n"
"                      so many seconds on average\n"
"  --cameras P         n=16,fps=F,jitter=0.1,burst=1,busy=0.2: frames are early or late by up to\n"
"                      so many periods; with burst=B the scene is busy for 0.2 s on average, when\n"
"                      each camera sends B times its mean rate, and quiet for B * 0.2 s, when\n"
"                      it sends 1/B of it\n"
"  --intervals FILE    microseconds since the previous request and, perhaps, its exit, per line\n"
"  --trace FILE        CSV as npusim --requests writes it: the columns request,\n"
"                      arrival_cycles, deadline_us and exit are used\n"
"  --rate R            requests per second of device time, or FROM:TO:STEP\n"
"  --load L            the same, in terms of what serial service on the conventional NPU can do\n"
"  --count N           requests, or queries, that are measured (default 2000; all of a trace)\n"
"  --duration S        so many seconds of device time instead, or at most\n"
"  --warmup N          requests before them (default: a twentieth; trace, offline: 0)\n"
"  --seed N            of all random numbers (default 1)\n"
"\n"
"What they are\n"
"  --images FILE       samples for an NPU that computes: IDX (also .gz), .npy or PNG\n"
"  --labels FILE       IDX file of their labels (also .gz), for the accuracy\n"
"  --exits PROFILE     where samples leave an NPU that computes nothing (functional=off), as npusim\n"
"                      takes it: easy, mid (default), hard, shares as 0.5,0.3,0.2, or a file that\n"
"                      exit-profile wrote. The policy is told, and --load means them\n"
"  --exit-shares X,... of all samples, that leave at each exit, as far as the policy is told\n"
"  --correlation X     0..1: how much the samples of a stream are alike (default 0)\n"
"  --slo MS|xN|none    deadline behind the arrival, in ms, or in times that a sample alone takes on\n"
"                      the conventional NPU through the whole network (default x3; offline: none)\n"
"  --best-effort X, --reject-late X\n"
"                      share of the requests that may be served late without harm, and that\n"
"                      want to be told at once when their deadline cannot be met (default 0)\n"
"\n"
"Who serves them\n"
"  --model FILE        compiled network (made by npucc)\n"
"  --backend NAME      kmd: the kernel driver (default); emu: the NPU emulated in-process;\n"
"                      daemon: fluidnpud, which other processes use as well, and which has the\n"
"                      policy, batch and depth\n"
"  --device WHAT       kmd: device file (default " FNPU_DEVICE_PATH "); emu: properties of the\n"
"                      NPU that are not the default, as functional=off,max_stack=1; daemon: its\n"
"                      socket\n"
"  --submit HOW        uring or ioctl (default: io_uring where it is allowed)\n"
"  --policy P          scheduling policy, as NAME[:parameter=value,...] (default adaptive)\n"
"  --batch N           at most N samples per batch\n"
"  --queue N           at most N samples wait, others are rejected (default 256)\n"
"  --depth N           jobs in flight (default 1)\n"
"\n"
"What comes out\n"
"  --latency-bound P   pNN=MS, as p99=5: is it met? At --rate, or\n"
"  --search LOW:HIGH[:STEP]\n"
"                      find the highest rate of LOW, LOW + STEP, ... that meets it\n"
"  --json FILE         all figures as JSON; \"-\": to standard output, and nothing else there\n"
"  --csv FILE          figures as CSV, a line per rate\n"
"  --requests FILE     a line of CSV per request, with the columns of npusim's\n"
"  --save-trace FILE   the same, for --trace\n"
"  --save-intervals FILE\n"
"                      arrivals and exits, for --intervals and npusim --workload FILE\n"
"  --quiet             print nothing but errors\n"
"  --compare A B       two JSON reports side by side\n"
"  --help, --version\n"
"\n"
"Exit status: 0, 1 something failed, 2 wrong usage, 130 interrupted: what there was is reported.\n";

enum {
	OPT_SCENARIO = 256, OPT_STREAMS, OPT_BURSTY, OPT_CAMERAS, OPT_INTERVALS, OPT_TRACE, OPT_RATE,
	OPT_LOAD, OPT_COUNT, OPT_DURATION, OPT_WARMUP, OPT_SEED, OPT_IMAGES, OPT_LABELS, OPT_EXITS,
	OPT_SHARES, OPT_CORRELATION, OPT_SLO, OPT_BEST_EFFORT, OPT_REJECT_LATE, OPT_MODEL,
	OPT_BACKEND, OPT_DEVICE, OPT_SUBMIT, OPT_POLICY, OPT_BATCH, OPT_QUEUE, OPT_DEPTH, OPT_BOUND,
	OPT_SEARCH, OPT_JSON, OPT_CSV, OPT_REQUESTS, OPT_SAVE_TRACE, OPT_SAVE_INTERVALS, OPT_QUIET,
	OPT_COMPARE, OPT_HELP, OPT_VERSION,
};

static const struct option long_options[] = {
	{ "scenario", required_argument, NULL, OPT_SCENARIO },
	{ "streams", required_argument, NULL, OPT_STREAMS },
	{ "bursty", required_argument, NULL, OPT_BURSTY },
	{ "cameras", required_argument, NULL, OPT_CAMERAS },
	{ "intervals", required_argument, NULL, OPT_INTERVALS },
	{ "trace", required_argument, NULL, OPT_TRACE },
	{ "rate", required_argument, NULL, OPT_RATE },
	{ "load", required_argument, NULL, OPT_LOAD },
	{ "count", required_argument, NULL, OPT_COUNT },
	{ "duration", required_argument, NULL, OPT_DURATION },
	{ "warmup", required_argument, NULL, OPT_WARMUP },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "images", required_argument, NULL, OPT_IMAGES },
	{ "labels", required_argument, NULL, OPT_LABELS },
	{ "exits", required_argument, NULL, OPT_EXITS },
	{ "exit-shares", required_argument, NULL, OPT_SHARES },
	{ "correlation", required_argument, NULL, OPT_CORRELATION },
	{ "slo", required_argument, NULL, OPT_SLO },
	{ "best-effort", required_argument, NULL, OPT_BEST_EFFORT },
	{ "reject-late", required_argument, NULL, OPT_REJECT_LATE },
	{ "model", required_argument, NULL, OPT_MODEL },
	{ "backend", required_argument, NULL, OPT_BACKEND },
	{ "device", required_argument, NULL, OPT_DEVICE },
	{ "submit", required_argument, NULL, OPT_SUBMIT },
	{ "policy", required_argument, NULL, OPT_POLICY },
	{ "batch", required_argument, NULL, OPT_BATCH },
	{ "queue", required_argument, NULL, OPT_QUEUE },
	{ "depth", required_argument, NULL, OPT_DEPTH },
	{ "latency-bound", required_argument, NULL, OPT_BOUND },
	{ "search", required_argument, NULL, OPT_SEARCH },
	{ "json", required_argument, NULL, OPT_JSON },
	{ "csv", required_argument, NULL, OPT_CSV },
	{ "requests", required_argument, NULL, OPT_REQUESTS },
	{ "save-trace", required_argument, NULL, OPT_SAVE_TRACE },
	{ "save-intervals", required_argument, NULL, OPT_SAVE_INTERVALS },
	{ "quiet", no_argument, NULL, OPT_QUIET },
	{ "compare", required_argument, NULL, OPT_COMPARE },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

/** struct parsing - @scenario: LOAD_SCENARIOS: none yet; @slo, @warmup: were they given? */
struct parsing {
	struct load_options *o;
	enum load_scenario scenario;
	bool slo, warmup;
};

/* ---- values ---- */

static double number(const char *option, const char *text, double min, double max)
{
	double v;

	if (!parse_double(text, &v) || v < min || v > max)
		cli_usage_error("--%s takes a number from %g to %g, not \"%s\"", option, min, max,
				text);
	return v;
}

uint32_t load_range_points(const struct load_range *r)
{
	if (!(r->from > 0))
		return 0;
	return 1 + (r->step > 0 ? (uint32_t)((r->to - r->from) / r->step + 1e-9) : 0);
}

/* "X", "FROM:TO:STEP" or, for a @search, "LOW:HIGH[:STEP]" */
static struct load_range range(const char *option, char *text, double max, bool search)
{
	char *save = NULL, *words[4] = { NULL };
	const uint32_t max_points = search ? MAX_SEARCH_POINTS : LOAD_MAX_POINTS;
	struct load_range r = { 0 };
	uint32_t num = 0;

	for (char *w = strtok_r(text, ":", &save); w && num < 4; w = strtok_r(NULL, ":", &save))
		words[num++] = w;
	if (search ? num != 2 && num != 3 : num != 1 && num != 3)
		cli_usage_error("--%s takes %s", option,
				search ? "LOW:HIGH or LOW:HIGH:STEP" : "a number or FROM:TO:STEP");
	r.from = number(option, words[0], 1e-3, max);
	r.to = num > 1 ? number(option, words[1], 1e-3, max) : r.from;
	if (num == 3)
		r.step = number(option, words[2], 1e-6, max);
	else if (search)
		r.step = (r.to - r.from) / SEARCH_STEPS;
	if (r.to < r.from || (search && r.to <= r.from))
		cli_usage_error("--%s: %g is not above %g: the lower end comes first", option, r.to,
				r.from);
	if ((r.to - r.from) / max_points >= r.step && r.to > r.from)
		cli_usage_error("--%s: these are more than %u values", option, max_points);
	return r;
}

static void set_shares(struct load_options *o, const char *text)
{
	char *end = NULL;

	for (;;) {
		const double share = strtod(text, &end);

		if (end == text || !(share >= 0 && share <= 1) || (*end && *end != ',') ||
		    o->num_shares == FLUIDNPU_MAX_EXITS)
			cli_usage_error("--exit-shares takes up to %u numbers of 0..1, as 0.5,0.3,0.2",
					FLUIDNPU_MAX_EXITS);
		o->shares[o->num_shares++] = share;
		if (!*end)
			return;
		text = end + 1;
	}
}

static void set_slo(struct parsing *p, const char *text)
{
	p->slo = true;
	p->o->slo_factor = 0;
	p->o->slo_ms = 0;
	if (!strcmp(text, "none"))
		return;
	if (*text == 'x')
		p->o->slo_factor = number("slo", text + 1, 1e-3, 1e6);
	else
		p->o->slo_ms = number("slo", text, 1e-6, 1e9);
}

/* "p99=5", "p99.9=5" */
static void set_bound(struct load_options *o, char *text)
{
	char *equals = strchr(text, '=');

	if (*text != 'p' || !equals)
		cli_usage_error("--latency-bound takes pNN=MS, as p99=5, not \"%s\"", text);
	*equals = '\0';
	o->bound_percent = number("latency-bound", text + 1, 1, 99.99);
	o->bound_ms = number("latency-bound", equals + 1, 1e-6, 1e9);
}

/* ---- scenarios ---- */

static enum load_scenario scenario_by_name(const char *name)
{
	for (int s = 0; s < LOAD_SCENARIOS; s++)
		if (!strcmp(load_scenario_names[s], name))
			return (enum load_scenario)s;
	cli_usage_error("--scenario does not know \"%s\": it is single-stream, multi-stream, server, offline, bursty, cameras, intervals or trace",
			name);
}

/* Options that describe a scenario choose it, too. */
static void choose(struct parsing *p, enum load_scenario scenario, const char *option)
{
	if (p->scenario != LOAD_SCENARIOS && p->scenario != scenario)
		cli_usage_error("--%s is for the scenario %s, not for %s", option,
				load_scenario_names[scenario], load_scenario_names[p->scenario]);
	p->scenario = scenario;
}

static void set_workload(struct load_options *o, const char *text)
{
	struct fnpu_error error;

	if (workload_parse(text, &o->workload, &error))
		cli_usage_error("%s", error.text);
}

static void set_bursty(struct load_options *o, const char *params)
{
	char text[TEXT_BYTES];

	if (snprintf(text, sizeof(text), "bursty:%s", params) >= TEXT_BYTES)
		cli_usage_error("--bursty: too long");
	set_workload(o, text);
}

static void set_cameras(struct load_options *o, const char *text)
{
	double n = 16;
	const struct param params[] = {
		{ "n", &n, 1, WORKLOAD_MAX_STREAMS }, { "fps", &o->fps, 1e-3, 1e6 },
		{ "jitter", &o->workload.jitter, 0, 10 }, { "burst", &o->busy_factor, 1, 100 },
		{ "busy", &o->busy_s, 1e-6, 3600 }, { 0 },
	};
	struct fnpu_error error;

	set_workload(o, "cameras");
	if (params_parse("cameras", text, params, &error))
		cli_usage_error("--cameras: %s", error.text);
	if (n != (uint32_t)n)
		cli_usage_error("--cameras: their number is a whole one, not %g", n);
	o->workload.streams = (uint32_t)n;
}

/* A file by any name: workload_parse() takes only those that look like one. */
static void set_intervals(struct load_options *o, const char *path)
{
	char text[TEXT_BYTES];

	if (snprintf(text, sizeof(text), "%s%s", *path == '/' ? "" : "./", path) >= TEXT_BYTES)
		cli_usage_error("--intervals: the path is too long");
	set_workload(o, text);
}

/* ---- options ---- */

static void set_arrivals(struct parsing *p, int option)
{
	struct load_options *o = p->o;

	switch (option) {
	case OPT_SCENARIO:
		choose(p, scenario_by_name(optarg), "scenario");
		break;
	case OPT_STREAMS:
		choose(p, LOAD_MULTI_STREAM, "streams");
		o->streams = (uint32_t)cli_number("streams", optarg, 1, MAX_QUEUE);
		break;
	case OPT_BURSTY:
		choose(p, LOAD_BURSTY, "bursty");
		set_bursty(o, optarg);
		break;
	case OPT_CAMERAS:
		choose(p, LOAD_CAMERAS, "cameras");
		set_cameras(o, optarg);
		break;
	case OPT_INTERVALS:
		choose(p, LOAD_INTERVALS, "intervals");
		set_intervals(o, optarg);
		break;
	case OPT_TRACE:
		choose(p, LOAD_TRACE, "trace");
		o->trace = optarg;
		break;
	case OPT_RATE:
		o->rate = range("rate", optarg, MAX_RATE, false);
		break;
	case OPT_LOAD:
		o->load = range("load", optarg, 1000, false);
		break;
	case OPT_COUNT:
		o->count = cli_number("count", optarg, 1, LOAD_MAX_REQUESTS);
		break;
	case OPT_DURATION:
		o->duration_s = number("duration", optarg, 1e-6, 1e6);
		break;
	case OPT_WARMUP:
		o->warmup = cli_number("warmup", optarg, 0, LOAD_MAX_REQUESTS);
		p->warmup = true;
		break;
	case OPT_SEED:
		o->seed = cli_number("seed", optarg, 0, UINT32_MAX);
		break;
	}
}

static void set_requests(struct parsing *p, int option)
{
	struct load_options *o = p->o;

	switch (option) {
	case OPT_IMAGES:
		o->images = optarg;
		break;
	case OPT_LABELS:
		o->labels = optarg;
		break;
	case OPT_EXITS:
		if (strlen(optarg) >= SIM_TEXT_BYTES)
			cli_usage_error("--exits: too long");
		o->exits = optarg;
		break;
	case OPT_SHARES:
		set_shares(o, optarg);
		break;
	case OPT_CORRELATION:
		o->correlation = number("correlation", optarg, 0, 1);
		break;
	case OPT_SLO:
		set_slo(p, optarg);
		break;
	case OPT_BEST_EFFORT:
		o->best_effort = number("best-effort", optarg, 0, 1);
		break;
	case OPT_REJECT_LATE:
		o->reject_late = number("reject-late", optarg, 0, 1);
		break;
	}
}

static void set_server(struct parsing *p, int option)
{
	static const char *const backends[] = { "kmd", "emu", "daemon", NULL };
	static const char *const submissions[] = { "uring", "ioctl", NULL };
	struct load_options *o = p->o;

	switch (option) {
	case OPT_MODEL:
		if (strlen(optarg) >= SIM_TEXT_BYTES)
			cli_usage_error("the path %.100s... is too long", optarg);
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
	case OPT_QUEUE:
		o->queue = (uint32_t)cli_number("queue", optarg, 1, MAX_QUEUE);
		break;
	case OPT_DEPTH:
		o->depth = (uint32_t)cli_number("depth", optarg, 1, 64);
		break;
	}
}

static void set_output(struct parsing *p, int option)
{
	struct load_options *o = p->o;

	switch (option) {
	case OPT_BOUND:
		set_bound(o, optarg);
		break;
	case OPT_SEARCH:
		o->search = range("search", optarg, MAX_RATE, true);
		break;
	case OPT_JSON:
		o->json = optarg;
		break;
	case OPT_CSV:
		o->csv = optarg;
		break;
	case OPT_REQUESTS:
		o->requests = optarg;
		break;
	case OPT_SAVE_TRACE:
		o->save_trace = optarg;
		break;
	case OPT_SAVE_INTERVALS:
		o->save_intervals = optarg;
		break;
	case OPT_QUIET:
		o->quiet = true;
		break;
	case OPT_COMPARE:
		o->compare[0] = optarg;
		break;
	}
}

static void set_option(struct parsing *p, int option)
{
	if (option == OPT_HELP)
		cli_print_and_exit(usage);
	if (option == OPT_VERSION) {
		printf("npuload %s\n", fnpu_version());
		cli_print_and_exit("");
	}
	if (option == '?') {	/* getopt_long() has named it */
		fprintf(stderr, "Try \"npuload --help\".\n");
		exit(EXIT_USAGE);
	}
	set_arrivals(p, option);
	set_requests(p, option);
	set_server(p, option);
	set_output(p, option);
}

/* ---- what the options make together ---- */

/* What a daemon decides is not for its clients. */
static void check_daemon(struct load_options *o)
{
	const bool daemon = !strcmp(o->backend, "daemon");

	if (daemon && (o->policy || o->batch || o->submission || o->depth))
		cli_usage_error("--policy, --batch, --depth and --submit are the daemon's: give them to fluidnpud");
	if (!o->policy)
		o->policy = daemon ? "of the daemon" : "adaptive";
	if (!o->depth)
		o->depth = 1;
}

static void check_rate(const struct load_options *o)
{
	const char *name = load_scenario_names[o->scenario];
	const bool rate = o->rate.from > 0, load = o->load.from > 0, search = o->search.from > 0;

	if ((rate || load || search) && !load_has_rate(o->scenario))
		cli_usage_error("%s has no rate that could be chosen: leave out --rate, --load and --search",
				name);
	if (rate + load + search + (o->fps > 0) > 1)
		cli_usage_error("--rate, --load, --search and the cameras' fps say the same thing: give one of them");
	if (search && !o->bound_ms)
		cli_usage_error("--search for what? Give --latency-bound, as p99=5");
	if (o->bound_ms && load_has_rate(o->scenario) && o->scenario != LOAD_INTERVALS && !rate &&
	    !load && !search && !o->fps)
		cli_usage_error("--latency-bound at which rate? Give --search LOW:HIGH, or --rate");
	if (load_has_rate(o->scenario) && o->scenario != LOAD_INTERVALS && !rate && !load &&
	    !search && !o->fps)
		cli_usage_error("%s at which rate? Give --rate, --load%s", name,
				o->scenario == LOAD_CAMERAS ? ", or --cameras fps=N" : "");
	if (search && o->scenario == LOAD_INTERVALS)
		cli_usage_error("--search is for the scenarios server, bursty and cameras");
}

static void check_files(const struct load_options *o)
{
	const bool several = load_range_points(&o->rate) > 1 || load_range_points(&o->load) > 1 ||
			     o->search.from > 0;

	if (several && (o->requests || o->save_trace || o->save_intervals))
		cli_usage_error("--requests, --save-trace and --save-intervals are for a run at one rate");
	if (o->save_intervals && !load_is_open_loop(o->scenario))
		cli_usage_error("--save-intervals: in %s requests do not come by themselves",
				load_scenario_names[o->scenario]);
	if (o->labels && !o->images)
		cli_usage_error("--labels are for --images: give both");
	if (o->scenario == LOAD_INTERVALS && o->workload.kind != WORKLOAD_FILE)
		cli_usage_error("which intervals? Give --intervals FILE");
	if (o->scenario == LOAD_TRACE && !o->trace)
		cli_usage_error("which requests? Give --trace FILE.csv (npusim --requests writes one)");
	if (o->scenario == LOAD_TRACE && (o->count || o->duration_s || o->exits))
		cli_usage_error("a trace says itself how many requests it has and where they leave: leave out --count, --duration and --exits");
}

/* From queries to samples. */
static void set_queries(struct load_options *o)
{
	if (o->streams > o->queue)
		cli_usage_error("%u samples of a query do not fit into a queue of %u: give a larger --queue",
				o->streams, o->queue);
	o->count *= o->streams;
	o->warmup *= o->streams;
	if (o->count + o->warmup > LOAD_MAX_REQUESTS)
		cli_usage_error("these are more than %u samples: lower --count or --streams",
				LOAD_MAX_REQUESTS);
}

static void set_defaults(struct parsing *p)
{
	struct load_options *o = p->o;
	const bool at_once = o->scenario == LOAD_OFFLINE || o->scenario == LOAD_TRACE;

	if (o->json && !strcmp(o->json, "-"))
		o->quiet = true;
	if (!p->slo && !at_once)
		o->slo_factor = DEFAULT_SLO;
	if (!o->count && !o->duration_s)
		o->count = DEFAULT_COUNT;
	if (!p->warmup && !at_once)
		o->warmup = o->count / 20;
	if (o->scenario == LOAD_SERVER)
		set_workload(o, "poisson");
	if (o->scenario == LOAD_BURSTY && o->workload.kind != WORKLOAD_BURSTY)
		set_workload(o, "bursty");
	if (o->scenario == LOAD_CAMERAS && o->workload.kind != WORKLOAD_CAMERAS)
		set_workload(o, "cameras");
	if (o->scenario == LOAD_MULTI_STREAM)
		set_queries(o);
}

void load_parse(struct load_options *o, int argc, char **argv)
{
	struct parsing p = { .o = o, .scenario = LOAD_SCENARIOS };
	int option;

	*o = (struct load_options){
		.backend = "kmd", .queue = DEFAULT_QUEUE,
		.streams = DEFAULT_STREAMS, .seed = 1, .busy_factor = 1, .busy_s = 0.2,
	};
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		set_option(&p, option);
	if (o->compare[0] && optind == argc - 1) {
		o->compare[1] = argv[optind];
		return;
	}
	if (o->compare[0])
		cli_usage_error("--compare takes two files");
	if (optind < argc)
		cli_usage_error("what is \"%s\"?", argv[optind]);
	if (!o->model)
		cli_usage_error("which network? Give --model MODEL.fnpu (npucc makes one from ONNX)");
	if (p.scenario == LOAD_SCENARIOS)
		cli_usage_error("which requests? Give --trace FILE.csv (npusim --requests writes one), or --scenario NAME");
	o->scenario = p.scenario;
	check_daemon(o);
	check_rate(o);
	check_files(o);
	set_defaults(&p);
}
