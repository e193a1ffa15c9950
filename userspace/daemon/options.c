// SPDX-License-Identifier: MIT
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cli.h"
#include "options.h"
#include "protocol.h"

#define MIB	(1ull << 20)

static const char usage[] =
"Usage: fluidnpud --model MODEL.fnpu [--model ...] [options]\n"
"Serve compiled networks to several processes, which share one scheduler and batch together.\n"
"Programs open it as back end \"daemon\" of libfluidnpu: npurun --backend daemon ...\n"
"\n"
"  --model FILE        compiled network (made by npucc); clients use what is given here\n"
"  --backend NAME      kmd: the kernel driver (default); emu: the NPU emulated in-process\n"
"  --device WHAT       kmd: device file (default " FNPU_DEVICE_PATH "); emu: properties of the\n"
"                      NPU that are not the default, as functional=off,max_stack=1\n"
"  --submit HOW        uring or ioctl (default: io_uring where it is allowed)\n"
"  --policy P          scheduling policy, as NAME[:parameter=value,...] (default adaptive);\n"
"                      npusim --list-policies tells of all\n"
"  --batch N           at most N samples per batch\n"
"  --slo-us N          deadline of samples that have none of their own, from their arrival here\n"
"\n"
"  --socket PATH       where clients connect (default " FNPUD_SOCKET_PATH "); a socket passed\n"
"                      by systemd goes before\n"
"  --group NAME        that may connect; mode 0660 (default: the daemon's own group)\n"
"  --allow WHO         who may, of these: USER or @GROUP; may be repeated\n"
"  --weight WHO=N      share of the NPU of each of their processes (default 1); may be repeated,\n"
"                      the first that fits counts\n"
"  --max-clients N     processes at a time (default 64)\n"
"  --client-connections N   quota of a process: connections, one for a device and one for each\n"
"                      session (default 64)\n"
"  --client-samples N  samples without a result, in all of its sessions (default 1024)\n"
"  --client-buffers N  for inputs, one for each session and those of its own (default 256)\n"
	"  --client-memory-mib N    inputs and results (default 256)\n"
"\n"
"  --metrics WHERE     serve Prometheus metrics by HTTP, /metrics on this port of the loopback\n"
"                      interface, or on the Unix socket of this path\n"
"  --drain-timeout S   at the end (SIGTERM), seconds for what is under way (default 10)\n"
"  --help, --version\n"
"\n"
"Exit status: 0 ended by SIGTERM or SIGINT, 1 something failed, 2 wrong usage.\n";

enum {
	OPT_MODEL = 256, OPT_BACKEND, OPT_DEVICE, OPT_SUBMIT, OPT_POLICY, OPT_BATCH, OPT_SLO,
	OPT_SOCKET, OPT_GROUP, OPT_ALLOW, OPT_WEIGHT, OPT_MAX_CLIENTS, OPT_CONNECTIONS, OPT_SAMPLES,
	OPT_BUFFERS,
	OPT_MEMORY, OPT_METRICS, OPT_DRAIN, OPT_HELP, OPT_VERSION,
};

static const struct option long_options[] = {
	{ "model", required_argument, NULL, OPT_MODEL },
	{ "backend", required_argument, NULL, OPT_BACKEND },
	{ "device", required_argument, NULL, OPT_DEVICE },
	{ "submit", required_argument, NULL, OPT_SUBMIT },
	{ "policy", required_argument, NULL, OPT_POLICY },
	{ "batch", required_argument, NULL, OPT_BATCH },
	{ "slo-us", required_argument, NULL, OPT_SLO },
	{ "socket", required_argument, NULL, OPT_SOCKET },
	{ "group", required_argument, NULL, OPT_GROUP },
	{ "allow", required_argument, NULL, OPT_ALLOW },
	{ "weight", required_argument, NULL, OPT_WEIGHT },
	{ "max-clients", required_argument, NULL, OPT_MAX_CLIENTS },
	{ "client-connections", required_argument, NULL, OPT_CONNECTIONS },
	{ "client-samples", required_argument, NULL, OPT_SAMPLES },
	{ "client-buffers", required_argument, NULL, OPT_BUFFERS },
	{ "client-memory-mib", required_argument, NULL, OPT_MEMORY },
	{ "metrics", required_argument, NULL, OPT_METRICS },
	{ "drain-timeout", required_argument, NULL, OPT_DRAIN },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

static void add_model(struct fnpud_options *o, const char *path)
{
	if (o->num_models == FNPUD_MAX_MODELS)
		cli_usage_error("more than %u models", FNPUD_MAX_MODELS);
	o->models[o->num_models++] = path;
}

static void parse_who(const char *option, const char *text, struct fnpud_who *who)
{
	struct fnpu_error error;

	if (fnpud_who_parse(text, who, &error))
		cli_usage_error("--%s: %s", option, error.text);
}

static void add_allow(struct fnpud_options *o, const char *text)
{
	if (o->num_allow == FNPUD_MAX_WHO)
		cli_usage_error("--allow more than %u times", FNPUD_MAX_WHO);
	parse_who("allow", text, &o->allow[o->num_allow++]);
}

/* @text is the program's own argument and is cut in two. */
static void add_weight(struct fnpud_options *o, char *text)
{
	char *equals = strrchr(text, '=');
	struct fnpud_weight *w = &o->weights[o->num_weights];

	if (o->num_weights == FNPUD_MAX_WHO)
		cli_usage_error("--weight more than %u times", FNPUD_MAX_WHO);
	if (!equals)
		cli_usage_error("--weight takes USER=N or @GROUP=N, not \"%s\"", text);
	*equals = '\0';
	parse_who("weight", text, &w->who);
	w->weight = (uint32_t)cli_number("weight", equals + 1, 1, FNPUD_MAX_WEIGHT);
	o->num_weights++;
}

static void set_service_option(struct fnpud_options *o, int option)
{
	switch (option) {
	case OPT_SOCKET:
		o->socket = optarg;
		break;
	case OPT_GROUP:
		o->group = optarg;
		break;
	case OPT_ALLOW:
		add_allow(o, optarg);
		break;
	case OPT_WEIGHT:
		add_weight(o, optarg);
		break;
	case OPT_MAX_CLIENTS:
		o->max_clients = (uint32_t)cli_number("max-clients", optarg, 1, 4096);
		break;
	case OPT_CONNECTIONS:
		o->quota.connections = (uint32_t)cli_number("client-connections", optarg, 1, 4096);
		break;
	case OPT_SAMPLES:
		o->quota.samples = (uint32_t)cli_number("client-samples", optarg, 1,
							 FNPUD_MAX_QUEUE);
		break;
	case OPT_BUFFERS:
		o->quota.buffers = (uint32_t)cli_number("client-buffers", optarg, 1, 65536);
		break;
	case OPT_MEMORY:
		o->quota.bytes = cli_number("client-memory-mib", optarg, 1, 65536) * MIB;
		break;
	case OPT_METRICS:
		o->metrics = optarg;
		break;
	case OPT_DRAIN:
		o->drain_seconds = (uint32_t)cli_number("drain-timeout", optarg, 0, 3600);
		break;
	}
}

static void set_option(struct fnpud_options *o, int option)
{
	static const char *const backends[] = { "kmd", "emu", NULL };
	static const char *const submissions[] = { "uring", "ioctl", NULL };

	switch (option) {
	case OPT_MODEL:
		add_model(o, optarg);
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
	case OPT_SLO:
		o->slo_ns = cli_number("slo-us", optarg, 1, 1000000000) * 1000;
		break;
	case OPT_HELP:
		cli_print_and_exit(usage);
	case OPT_VERSION:
		printf("fluidnpud %s\n", fnpu_version());
		cli_print_and_exit("");
	case '?':	/* getopt_long() has named it */
		fprintf(stderr, "Try \"fluidnpud --help\".\n");
		exit(EXIT_USAGE);
	default:
		set_service_option(o, option);
	}
}

void fnpud_parse_options(struct fnpud_options *o, int argc, char **argv)
{
	int option;

	*o = (struct fnpud_options){
		.backend = "kmd",
		.socket = FNPUD_SOCKET_PATH,
		.max_clients = 64,
		.quota = { .connections = 64, .samples = 1024, .buffers = 256,
			   .bytes = 256 * MIB },
		.drain_seconds = 10,
	};
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		set_option(o, option);
	if (optind < argc)
		cli_usage_error("what is \"%s\"?", argv[optind]);
	if (!o->num_models)
		cli_usage_error("which networks? Give --model MODEL.fnpu (npucc makes one from ONNX)");
}

bool fnpud_is_allowed(const struct fnpud_options *o, const struct fnpud_identity *identity)
{
	for (uint32_t i = 0; i < o->num_allow; i++)
		if (fnpud_who_is(&o->allow[i], identity))
			return true;
	return !o->num_allow;
}

uint32_t fnpud_weight_of(const struct fnpud_options *o, const struct fnpud_identity *identity)
{
	for (uint32_t i = 0; i < o->num_weights; i++)
		if (fnpud_who_is(&o->weights[i].who, identity))
			return o->weights[i].weight;
	return 1;
}
