// SPDX-License-Identifier: MIT
/* The command line of npusim. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cli.h"
#include "fnpu_sched.h"
#include "geometry.h"
#include "npusim.h"
#include "sim/params.h"

#define DEFAULT_POLICY	"adaptive"
#define MAX_QUEUE	1000000u
#define MAX_REQUESTS	1000000000u

static const char usage[] =
"Usage: npusim --model MODEL.fnpu [options]\n"
"Simulate how a scheduling policy serves early-exit networks on an NPU: the scheduling core\n"
"of libfluidnpu on the device's own time model.\n"
"\n"
"What is served\n"
"  --model FILE        compiled network (made by npucc); several of them share the NPU\n"
"  --exits PROFILE     where samples leave: easy, mid (default), hard, shares as 0.5,0.3,0.2,\n"
"                      or a file that exit-profile wrote; repeat it for further networks\n"
"  --share X           weight of a network's requests (default 1); likewise\n"
"  --slo X[,X...]      deadline, in times that a sample alone takes on the conventional NPU\n"
"                      through the whole network (default 3)\n"
"  --best-effort X, --reject-late X\n"
"                      share of the requests that may be served late without harm, and that\n"
"                      want to be told at once when their deadline cannot be met (default 0)\n"
"\n"
"When it comes\n"
"  --workload W        poisson (default), bursty[:factor=2.5,burst=0.2], cameras[:n=16,jitter=0.1],\n"
"                      or a file of intervals in microseconds; repeat it for a sweep\n"
"  --load L            X[,X...] or FROM:TO:STEP, of the rate at which serial service keeps the\n"
"                      conventional NPU busy (default 0.8)\n"
"  --rate HZ           requests per second instead\n"
"  --count N           requests that are measured (default 20000)\n"
"  --warmup N          requests before them (default: a twentieth)\n"
"  --seed N            of all random numbers (default 1); --seeds N: that and the N - 1 next ones\n"
"  --correlation X     0..1: how much the samples of a stream are alike (default 0)\n"
"\n"
"Who serves it\n"
"  --policy P          NAME[:parameter=value,...]; repeat it for a sweep; oracle: bounds that no\n"
"                      policy can beat (default " DEFAULT_POLICY ")\n"
"  --list-policies     names, parameters and what they mean\n"
"  --npu KIND          conventional, batching, stacking, fluid (default: the last, which is\n"
"                      batching and stacking); a comma-separated list is a sweep\n"
"  --device WHAT       properties of the NPU that differ from those the network is compiled\n"
"                      for, as tile_rows=64,dram_bytes_per_kcycle=8192\n"
"  --max-batch N[,N...] at most N samples per batch\n"
"  --queue N           at most N requests wait, others are rejected (default 4096)\n"
"  --exit-error X      0..1: how wrong the exit profile is that the policy is told (default 0)\n"
"\n"
"What comes out\n"
"  --goodput X         the highest load at which a share X of the requests is on time\n"
"  --json FILE         the figures as JSON\n"
"  --requests FILE     a line of CSV per request\n"
"  --timeline FILE     Trace Event format: open it in Perfetto\n"
"  --journal FILE      keep finished points there; a sweep that was interrupted goes on\n"
"  --jobs N            processes (default: one per core)\n"
"  --progress WHEN     auto (default: for sweeps), always or never\n"
"  --quiet             print nothing but errors\n"
"  --help, --version\n"
"\n"
"Exit status: 0, 1 something failed, 2 wrong usage, 130 interrupted.\n";

enum {
	OPT_MODEL = 256, OPT_EXITS, OPT_SHARE, OPT_SLO, OPT_BEST_EFFORT, OPT_REJECT_LATE,
	OPT_WORKLOAD, OPT_LOAD, OPT_RATE, OPT_COUNT, OPT_WARMUP, OPT_SEED, OPT_SEEDS,
	OPT_CORRELATION, OPT_POLICY, OPT_LIST_POLICIES, OPT_NPU, OPT_DEVICE, OPT_MAX_BATCH,
	OPT_QUEUE, OPT_EXIT_ERROR, OPT_GOODPUT, OPT_JSON, OPT_REQUESTS, OPT_TIMELINE,
	OPT_JOURNAL, OPT_JOBS, OPT_PROGRESS, OPT_QUIET, OPT_HELP, OPT_VERSION,
};

static const struct option long_options[] = {
	{ "model", required_argument, NULL, OPT_MODEL },
	{ "exits", required_argument, NULL, OPT_EXITS },
	{ "share", required_argument, NULL, OPT_SHARE },
	{ "slo", required_argument, NULL, OPT_SLO },
	{ "best-effort", required_argument, NULL, OPT_BEST_EFFORT },
	{ "reject-late", required_argument, NULL, OPT_REJECT_LATE },
	{ "workload", required_argument, NULL, OPT_WORKLOAD },
	{ "load", required_argument, NULL, OPT_LOAD },
	{ "rate", required_argument, NULL, OPT_RATE },
	{ "count", required_argument, NULL, OPT_COUNT },
	{ "warmup", required_argument, NULL, OPT_WARMUP },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "seeds", required_argument, NULL, OPT_SEEDS },
	{ "correlation", required_argument, NULL, OPT_CORRELATION },
	{ "policy", required_argument, NULL, OPT_POLICY },
	{ "list-policies", no_argument, NULL, OPT_LIST_POLICIES },
	{ "npu", required_argument, NULL, OPT_NPU },
	{ "device", required_argument, NULL, OPT_DEVICE },
	{ "max-batch", required_argument, NULL, OPT_MAX_BATCH },
	{ "queue", required_argument, NULL, OPT_QUEUE },
	{ "exit-error", required_argument, NULL, OPT_EXIT_ERROR },
	{ "goodput", required_argument, NULL, OPT_GOODPUT },
	{ "json", required_argument, NULL, OPT_JSON },
	{ "requests", required_argument, NULL, OPT_REQUESTS },
	{ "timeline", required_argument, NULL, OPT_TIMELINE },
	{ "journal", required_argument, NULL, OPT_JOURNAL },
	{ "jobs", required_argument, NULL, OPT_JOBS },
	{ "progress", required_argument, NULL, OPT_PROGRESS },
	{ "quiet", no_argument, NULL, OPT_QUIET },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

/** struct parsing - @num_exits, @num_shares: how often they were given; @warmup: was it? */
struct parsing {
	struct npusim_options *o;
	uint32_t num_exits, num_shares;
	const char *exits[SIM_MAX_MODELS];
	double shares[SIM_MAX_MODELS];
	bool warmup, load;
};

static void list_param(const struct fnpu_sched_param *p)
{
	printf("    %s=", p->name);
	if (!p->choices)
		printf("%g..%g (%g)", p->min, p->max, p->initial);
	for (int i = 0; p->choices && i <= (int)p->max; i++)
		printf("%s%s%s", i ? "|" : "", p->choices[i], i == (int)p->initial ? "*" : "");
	printf("  %s\n", p->help);
}

static void list_policies(void)
{
	const struct fnpu_sched_policy_info *info;

	for (uint32_t i = 0; (info = fnpu_sched_policy_info(i)); i++) {
		printf("%s: %s%s%s%s%s\n", info->name, info->rule,
		       info->preempts ? " [preempts]" : "", info->injects ? " [injects]" : "",
		       info->drops ? " [drops]" : "",
		       info->limits_exits ? " [limits exits]" : "");
		for (uint32_t p = 0; p < info->num_params; p++)
			list_param(&info->params[p]);
	}
	cli_print_and_exit(SIM_ORACLE ": knows all in advance: bounds that no policy can beat\n");
}

/* ---- values ---- */

static double number(const char *option, const char *text, double min, double max)
{
	double v;

	if (!parse_double(text, &v) || v < min || v > max)
		cli_usage_error("--%s takes a number from %g to %g, not \"%s\"", option, min, max,
				text);
	return v;
}

static void add_value(struct values *values, const char *option, double v)
{
	if (values->num == MAX_VALUES)
		cli_usage_error("--%s has more than %u values", option, MAX_VALUES);
	values->v[values->num++] = v;
}

/* "0.5,0.6" or "0.5:1.0:0.1" */
static void parse_values(struct values *values, const char *option, char *text, double min,
			 double max)
{
	double from, to, step;
	char *colon = strchr(text, ':'), *save = NULL, *word;

	if (!values->num && !*text)
		cli_usage_error("--%s needs a number", option);
	if (!colon) {
		for (word = strtok_r(text, ",", &save); word; word = strtok_r(NULL, ",", &save))
			add_value(values, option, number(option, word, min, max));
		return;
	}
	from = number(option, strtok_r(text, ":", &save), min, max);
	word = strtok_r(NULL, ":", &save);
	to = number(option, word ? word : "", min, max);
	word = strtok_r(NULL, ":", &save);
	step = number(option, word ? word : "", 1e-9, max);
	for (uint32_t i = 0; from + i * step <= to + 1e-9 * step; i++)
		add_value(values, option, from + i * step);
}

/* ---- options with a list of words ---- */

static void add_model(struct npusim_options *o, const char *path)
{
	struct sim_model_options *m = &o->base.models[o->base.num_models];

	if (o->base.num_models == SIM_MAX_MODELS)
		cli_usage_error("at most %u networks share the NPU", SIM_MAX_MODELS);
	if (strlen(path) >= sizeof(m->path))
		cli_usage_error("the path %.100s... is too long", path);
	strcpy(m->path, path);
	m->share = 1;
	o->base.num_models++;
}

static void add_policy(struct npusim_options *o, const char *text)
{
	if (o->num_policies == MAX_VALUES)
		cli_usage_error("more than %u policies", MAX_VALUES);
	if (strlen(text) >= sizeof(o->base.policy))
		cli_usage_error("the policy %.100s... is too long", text);
	o->policies[o->num_policies++] = text;
}

static void add_workload(struct npusim_options *o, const char *text)
{
	struct fnpu_error error;

	if (o->num_workloads == MAX_VALUES)
		cli_usage_error("more than %u workloads", MAX_VALUES);
	if (workload_parse(text, &o->workloads[o->num_workloads], &error))
		cli_usage_error("--workload: %s", error.text);
	o->workload_names[o->num_workloads++] = text;
}

static void add_npus(struct npusim_options *o, char *text)
{
	char *save = NULL, *word;

	for (word = strtok_r(text, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		const int kind = npu_kind_parse(word);

		if (kind < 0)
			cli_usage_error("--npu does not know \"%s\": it is conventional, batching, stacking or fluid",
					word);
		if (o->num_npus == NPU_KINDS)
			cli_usage_error("--npu names a kind twice");
		o->npus[o->num_npus++] = (enum npu_kind)kind;
	}
}

static void set_device(struct npusim_options *o, const char *text)
{
	struct fnpu_config config;
	struct fnpu_error error;

	fnpu_config_default(&config);
	if (strlen(text) >= sizeof(o->base.device))
		cli_usage_error("--device: too long");
	if (fnpu_config_set(&config, text, &error))
		cli_usage_error("--device: %s", error.text);
	strcpy(o->base.device, text);
}

static const char *progress_when(const char *text)
{
	if (strcmp(text, "auto") && strcmp(text, "always") && strcmp(text, "never"))
		cli_usage_error("--progress does not know \"%s\"", text);
	return text;
}

/* ---- the options ---- */

static void set_served(struct parsing *p, int option)
{
	struct npusim_options *o = p->o;

	switch (option) {
	case OPT_MODEL:
		add_model(o, optarg);
		break;
	case OPT_EXITS:
		if (p->num_exits == SIM_MAX_MODELS || strlen(optarg) >= SIM_TEXT_BYTES)
			cli_usage_error("--exits: too many, or too long");
		p->exits[p->num_exits++] = optarg;
		break;
	case OPT_SHARE:
		if (p->num_shares == SIM_MAX_MODELS)
			cli_usage_error("--share: too many");
		p->shares[p->num_shares++] = number("share", optarg, 1e-6, 1e6);
		break;
	case OPT_SLO:
		parse_values(&o->slos, "slo", optarg, 1e-3, 1e6);
		break;
	case OPT_BEST_EFFORT:
		o->base.best_effort = number("best-effort", optarg, 0, 1);
		break;
	case OPT_REJECT_LATE:
		o->base.reject_late = number("reject-late", optarg, 0, 1);
		break;
	}
}

static void set_arrivals(struct parsing *p, int option)
{
	struct npusim_options *o = p->o;

	switch (option) {
	case OPT_WORKLOAD:
		add_workload(o, optarg);
		break;
	case OPT_LOAD:
		parse_values(&o->loads, "load", optarg, 1e-3, 1000);
		break;
	case OPT_RATE:
		o->base.rate_hz = number("rate", optarg, 1e-3, 1e9);
		break;
	case OPT_COUNT:
		o->base.requests = cli_number("count", optarg, 1, MAX_REQUESTS);
		break;
	case OPT_WARMUP:
		o->base.warmup = cli_number("warmup", optarg, 0, MAX_REQUESTS);
		p->warmup = true;
		break;
	case OPT_SEED:
		o->base.seed = cli_number("seed", optarg, 0, UINT32_MAX);
		break;
	case OPT_SEEDS:
		o->seeds = (uint32_t)cli_number("seeds", optarg, 1, 1000);
		break;
	case OPT_CORRELATION:
		o->base.correlation = number("correlation", optarg, 0, 1);
		break;
	}
}

static void set_server(struct parsing *p, int option)
{
	struct npusim_options *o = p->o;

	switch (option) {
	case OPT_POLICY:
		add_policy(o, optarg);
		break;
	case OPT_NPU:
		add_npus(o, optarg);
		break;
	case OPT_DEVICE:
		set_device(o, optarg);
		break;
	case OPT_MAX_BATCH:
		parse_values(&o->max_batches, "max-batch", optarg, 1, NPU_MAX_BATCH);
		break;
	case OPT_QUEUE:
		o->base.queue = (uint32_t)cli_number("queue", optarg, 1, MAX_QUEUE);
		break;
	case OPT_EXIT_ERROR:
		o->base.exit_error = number("exit-error", optarg, 0, 1);
		break;
	}
}

static void set_output(struct parsing *p, int option)
{
	struct npusim_options *o = p->o;

	switch (option) {
	case OPT_GOODPUT:
		o->goodput = number("goodput", optarg, 0.01, 0.9999);
		break;
	case OPT_JSON:
		o->json = optarg;
		break;
	case OPT_REQUESTS:
		o->requests = optarg;
		break;
	case OPT_TIMELINE:
		o->timeline = optarg;
		break;
	case OPT_JOURNAL:
		o->journal = optarg;
		break;
	case OPT_JOBS:
		o->jobs = (uint32_t)cli_number("jobs", optarg, 1, 64);
		break;
	case OPT_PROGRESS:
		o->progress = progress_when(optarg);
		break;
	case OPT_QUIET:
		o->quiet = true;
		break;
	}
}

static void set_option(struct parsing *p, int option)
{
	if (option == OPT_HELP)
		cli_print_and_exit(usage);
	if (option == OPT_LIST_POLICIES)
		list_policies();
	if (option == OPT_VERSION) {
		printf("npusim %s\n", fnpu_version());
		cli_print_and_exit("");
	}
	if (option == '?') {	/* getopt_long() has named it */
		fprintf(stderr, "Try \"npusim --help\".\n");
		exit(EXIT_USAGE);
	}
	set_served(p, option);
	set_arrivals(p, option);
	set_server(p, option);
	set_output(p, option);
}

/* ---- what the options make together ---- */

/* The first is for the first network, ...; the last one for all that are left. */
static void set_models(struct parsing *p)
{
	struct npusim_options *o = p->o;

	if (!o->base.num_models)
		cli_usage_error("which network? Give --model MODEL.fnpu (npucc makes one from ONNX)");
	if (p->num_exits > o->base.num_models || p->num_shares > o->base.num_models)
		cli_usage_error("--exits and --share are for one network each, there are only %u",
				o->base.num_models);
	for (uint32_t i = 0; i < o->base.num_models; i++) {
		const uint32_t last = p->num_exits ? p->num_exits - 1 : 0;

		strcpy(o->base.models[i].exits,
		       p->num_exits ? p->exits[i < last ? i : last] : "mid");
		if (i < p->num_shares)
			o->base.models[i].share = p->shares[i];
	}
}

static void set_defaults(struct parsing *p)
{
	struct npusim_options *o = p->o;
	const bool intervals = o->num_workloads == 1 && o->workloads[0].kind == WORKLOAD_FILE;

	if (!o->num_policies)
		o->policies[o->num_policies++] = DEFAULT_POLICY;
	if (!o->num_workloads)
		add_workload(o, "poisson");
	if (!o->num_npus)
		o->npus[o->num_npus++] = NPU_FLUID;
	if (!o->slos.num)
		add_value(&o->slos, "slo", o->base.slo);
	if (!o->max_batches.num)
		add_value(&o->max_batches, "max-batch", 0);
	if (!o->loads.num)
		add_value(&o->loads, "load", o->base.rate_hz > 0 || intervals ? 0 : o->base.load);
	else if (o->base.rate_hz > 0)
		cli_usage_error("--load and --rate say the same thing: give one of them");
	if (!p->warmup)
		o->base.warmup = o->base.requests / 20;
}

static void check_outputs(const struct npusim_options *o)
{
	const uint64_t points = (uint64_t)o->num_policies * o->num_workloads * o->num_npus *
				o->slos.num * o->max_batches.num * o->loads.num;

	if ((o->requests || o->timeline) && (points > 1 || o->seeds > 1 || o->goodput > 0))
		cli_usage_error("--requests and --timeline show a single simulation: give one value of each option");
	if (o->goodput > 0 && (o->loads.v[0] <= 0 || o->loads.num > 1))
		cli_usage_error("--goodput looks for the load itself: give no --rate, and one --load at most");
}

void npusim_parse(struct npusim_options *o, int argc, char **argv)
{
	struct parsing p = { .o = o };
	int option;

	*o = (struct npusim_options){ .seeds = 1, .jobs = pool_workers(), .progress = "auto" };
	sim_options_default(&o->base);
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		set_option(&p, option);
	if (optind < argc)
		cli_usage_error("what is \"%s\"? All that npusim takes are options", argv[optind]);
	set_models(&p);
	set_defaults(&p);
	check_outputs(o);
}
