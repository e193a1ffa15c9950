// SPDX-License-Identifier: MIT
/* npustat: what the NPU is, what it has done so far, what it does now, and for whom. */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cli.h"
#include "npustat.h"

/** enum form - of what is shown */
enum form { FORM_TEXT, FORM_JSON, FORM_PROMETHEUS, FORM_WATCH };

/**
 * struct options - the command line
 * @path: NULL: none was given
 */
struct options {
	enum form form;
	const char *backend;
	const char *path;
	double interval_s;
	uint64_t count;
};

static const char usage[] =
"Usage: npustat [options]\n"
"Show a FluidNPU: what it is, how busy it has been so far, who uses it.\n"
"\n"
"  --device WHAT    kmd: device file (default " FNPU_DEVICE_PATH "); emu: properties of the NPU\n"
"                   that are not the default, as max_stack=1\n"
"  --backend NAME   kmd: the kernel driver (default); emu: the emulated NPU, unused\n"
"  --json           as JSON\n"
"  --prometheus     as metrics for Prometheus (text format 0.0.4), of all NPUs without --device;\n"
"                   write them to a file of node_exporter's textfile collector\n"
"  --watch          what it does now, on the whole terminal; the last line there has the keys\n"
"  --interval SECS  between readings, 0.1 to 3600 (default 1)\n"
"  --count N        end after so many of them\n"
"  --help, --version\n"
"\n"
"Other users' processes and the queues are shown to root only.\n"
"Exit status: 0, 1 there is no NPU or no permission, 2 wrong usage.\n";

/* ---- what is shown once ---- */

static int open_and_read(const struct options *o, const char *path, struct npustat_npu *npu,
			 struct npustat_reading *reading)
{
	struct fnpu_error error;

	if (npustat_open(npu, o->backend, path, &error))
		return cli_error("%s", error.text);
	if (npustat_read(npu, reading, &error)) {
		npustat_close(npu);
		return cli_error("%s", error.text);
	}
	return 0;
}

static int show_one(const struct options *o, const struct npustat_list *list)
{
	struct npustat_reading reading;
	struct npustat_npu npu;
	int ret;

	ret = open_and_read(o, o->path ? o->path : npustat_default_path(o->backend, list), &npu,
			    &reading);
	if (ret)
		return ret;
	if (o->form == FORM_JSON)
		ret = npustat_json(&reading, list);
	else
		npustat_text(&reading, list);
	npustat_reading_free(&reading);
	npustat_close(&npu);
	return ret;
}

/* All that there are, unless one was asked for. */
static int show_metrics(const struct options *o, const struct npustat_list *list)
{
	static struct npustat_reading readings[NPUSTAT_MAX_NPUS];
	static struct npustat_npu npus[NPUSTAT_MAX_NPUS];
	const bool all = !o->path && !strcmp(o->backend, "kmd") && list->count;
	const size_t wanted = all ? list->count : 1;
	size_t count = 0;
	int ret = 0;

	while (!ret && count < wanted) {
		ret = open_and_read(o, all ? list->paths[count] : o->path, &npus[count],
				    &readings[count]);
		count += !ret;
	}
	if (!ret)
		npustat_prometheus(readings, count);
	while (count--) {
		npustat_reading_free(&readings[count]);
		npustat_close(&npus[count]);
	}
	return ret;
}

static int show(const struct options *o)
{
	struct npustat_list list;
	int ret;

	npustat_list_read(&list);
	if (o->form == FORM_PROMETHEUS)
		ret = show_metrics(o, &list);
	else
		ret = show_one(o, &list);
	return ret ? ret : cli_finish_stdout();
}

static int watch(const struct options *o)
{
	const struct npustat_watch watched = {
		.backend = o->backend,
		.path = o->path,
		.interval_s = o->interval_s,
		.count = o->count,
	};

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return cli_error("--watch needs a terminal for its input and output; --json and --prometheus are for files and pipes");
	return npustat_watch(&watched);
}

/* ---- options ---- */

enum {
	OPT_DEVICE = 256, OPT_BACKEND, OPT_JSON, OPT_PROMETHEUS, OPT_WATCH, OPT_INTERVAL, OPT_COUNT,
	OPT_HELP, OPT_VERSION,
};

static const struct option long_options[] = {
	{ "device", required_argument, NULL, OPT_DEVICE },
	{ "backend", required_argument, NULL, OPT_BACKEND },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "prometheus", no_argument, NULL, OPT_PROMETHEUS },
	{ "watch", no_argument, NULL, OPT_WATCH },
	{ "interval", required_argument, NULL, OPT_INTERVAL },
	{ "count", required_argument, NULL, OPT_COUNT },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

static double parse_interval(const char *text)
{
	char *end;
	const double seconds = strtod(text, &end);

	if (!isdigit((unsigned char)*text) || *end || !(seconds >= NPUSTAT_MIN_INTERVAL_S) ||
	    seconds > NPUSTAT_MAX_INTERVAL_S)
		cli_usage_error("--interval takes seconds from %g to %g, not \"%s\"",
				NPUSTAT_MIN_INTERVAL_S, NPUSTAT_MAX_INTERVAL_S, text);
	return seconds;
}

static void set_form(struct options *o, enum form form)
{
	if (o->form != FORM_TEXT && o->form != form)
		cli_usage_error("--json, --prometheus and --watch exclude each other");
	o->form = form;
}

static void __attribute__((noreturn)) end_with_stdout(void)
{
	exit(cli_finish_stdout() ? EXIT_FAILURE : EXIT_SUCCESS);
}

static void parse_option(struct options *o, int option)
{
	switch (option) {
	case OPT_DEVICE:
		o->path = optarg;
		break;
	case OPT_BACKEND:
		o->backend = optarg;
		break;
	case OPT_JSON:
		set_form(o, FORM_JSON);
		break;
	case OPT_PROMETHEUS:
		set_form(o, FORM_PROMETHEUS);
		break;
	case OPT_WATCH:
		set_form(o, FORM_WATCH);
		break;
	case OPT_INTERVAL:
		o->interval_s = parse_interval(optarg);
		break;
	case OPT_COUNT:
		o->count = cli_number("count", optarg, 1, UINT32_MAX);
		break;
	case OPT_HELP:
		fputs(usage, stdout);
		end_with_stdout();
	case OPT_VERSION:
		printf("npustat %s\n", fnpu_version());
		end_with_stdout();
	default:	/* getopt_long() has named it */
		fprintf(stderr, "Try \"npustat --help\".\n");
		exit(EXIT_USAGE);
	}
}

int main(int argc, char **argv)
{
	struct options o = { .backend = "kmd" };
	int option;

	cli_name = "npustat";
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		parse_option(&o, option);
	if (optind < argc)
		cli_usage_error("there is nothing to do with \"%s\"", argv[optind]);
	if (strcmp(o.backend, "kmd") && strcmp(o.backend, "emu"))
		cli_usage_error("--backend does not know \"%s\"", o.backend);
	if (o.form != FORM_WATCH && (o.interval_s > 0 || o.count))
		cli_usage_error("--interval and --count are for --watch");
	if (!(o.interval_s > 0))
		o.interval_s = 1;
	return (o.form == FORM_WATCH ? watch(&o) : show(&o)) ? EXIT_FAILURE : EXIT_SUCCESS;
}
