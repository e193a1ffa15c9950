// SPDX-License-Identifier: MIT
/*
 * bench: the evaluation, `make bench` and `make bench-quick`.
 *
 * Measures on all cores, keeps every finished simulation in DIR/journal.jsonl so that it can be
 * interrupted and go on, and writes DIR/report.json and DIR/report.html.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bench_output.h"
#include "common/cli.h"
#include "common/progress.h"

#define EXIT_INTERRUPTED	130
#define PATH_BYTES		240

static const char usage[] =
"Usage: bench [--quick] [--jobs N] DIR\n"
"Measure all scheduling policies on ResNet-50, MobileNetV2 and the trained networks, and write\n"
"DIR/report.json and DIR/report.html. Run it where out/ is (make bench does).\n"
"\n"
"  --quick             few points, seeds and requests: for every day, not for the record\n"
"  --jobs N            processes (default: one per core)\n"
"  --help, --version\n"
"\n"
"What was interrupted goes on where it was. Exit status: 0, 1 something failed, 2 wrong\n"
"usage, 130 interrupted.\n";

static int allocate(struct bench *b)
{
	const size_t points = bench_num_points(&b->plan);

	b->cells = calloc(points * BENCH_NPUS * b->plan.num_contenders, sizeof(*b->cells));
	b->oracle = calloc(points, sizeof(*b->oracle));
	return b->cells && b->oracle ? 0 : cli_error("out of memory");
}

/* One step with the journal as the steps before have left it. */
static int step(struct bench *b, const char *journal_path,
		int (*function)(struct bench *b, struct fnpu_error *error))
{
	struct fnpu_error error = { "" };
	struct journal journal;
	int ret;

	if (journal_open(&journal, journal_path, &error))
		return cli_error("%s", error.text);
	b->sweep.journal = &journal;
	ret = function(b, &error);
	journal_close(&journal);
	if (ret == -EINTR) {
		cli_error("interrupted: the same command goes on from here");
		exit(EXIT_INTERRUPTED);
	}
	return ret ? cli_error("%s", error.text) : 0;
}

static int measure(struct bench *b, const char *dir)
{
	char journal[PATH_BYTES + 32];
	const int64_t started = host_ns();
	int ret;

	snprintf(journal, sizeof(journal), "%s/journal.jsonl", dir);
	ret = step(b, journal, bench_measure_cost);
	if (!ret)
		ret = step(b, journal, bench_tune);
	if (!ret)
		ret = step(b, journal, bench_measure);
	if (!ret)
		ret = step(b, journal, bench_study);
	b->seconds = (double)(host_ns() - started) / 1e9;
	return ret;
}

static void print_claims(const struct bench *b)
{
	struct claim claims[MAX_CLAIMS];
	const uint32_t num = bench_claims(b, claims);

	for (uint32_t i = 0; i < num; i++) {
		const struct claim *c = &claims[i];

		printf("%-6s %-38s %10.4g %-14s %s %g\n       %s\n",
		       !c->measured ? "-" : claim_holds(c) ? "pass" : "FAIL", c->name, c->value,
		       c->unit, c->at_least ? "at least" : "at most", c->target, c->detail);
	}
}

static int write_reports(const struct bench *b, const char *dir)
{
	static struct figure figures[MAX_FIGURES];
	char plots[PATH_BYTES + 32];
	int num, ret;

	snprintf(plots, sizeof(plots), "%s/figures", dir);
	if (mkdir(plots, 0777) && errno != EEXIST)
		return cli_error("cannot create %s: %s", plots, strerror(errno));
	ret = bench_json(b, dir);
	num = ret ? -1 : bench_plot(b, plots, figures);
	if (num >= 0)
		ret = bench_html(b, dir, figures, (uint32_t)num);
	for (uint32_t i = 0; i < MAX_FIGURES; i++)
		free(figures[i].svg);
	if (ret || num < 0)
		return -1;
	print_claims(b);
	printf("\n%.0f s; %s/report.html, %s/report.json\n", b->seconds, dir, dir);
	return cli_finish_stdout();
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "quick", no_argument, NULL, 'q' },
		{ "jobs", required_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	static struct bench b = { .sweep = { .progress = true } };
	bool quick = false;
	int c, ret;

	cli_name = "bench";
	b.sweep.workers = pool_workers();
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'q':
			quick = true;
			break;
		case 'j':
			b.sweep.workers = (unsigned int)cli_number("jobs", optarg, 1, 64);
			break;
		case 'h':
			fputs(usage, stdout);
			return cli_finish_stdout() ? EXIT_FAILURE : EXIT_SUCCESS;
		case 'V':
			printf("bench %s\n", fnpu_version());
			return cli_finish_stdout() ? EXIT_FAILURE : EXIT_SUCCESS;
		default:	/* getopt_long() has named it */
			fprintf(stderr, "Try \"bench --help\".\n");
			return EXIT_USAGE;
		}
	}
	if (argc - optind != 1 || strlen(argv[optind]) >= PATH_BYTES)
		cli_usage_error("give the folder for the report");
	if (mkdir(argv[optind], 0777) && errno != EEXIST)
		return cli_error("cannot create %s: %s", argv[optind], strerror(errno)) ?
		       EXIT_FAILURE : EXIT_SUCCESS;
	bench_plan_set(&b.plan, quick);
	ret = allocate(&b);
	if (!ret)
		ret = measure(&b, argv[optind]);
	if (!ret)
		ret = write_reports(&b, argv[optind]);
	free(b.cells);
	free(b.oracle);
	free(b.study.rows);
	return ret ? EXIT_FAILURE : EXIT_SUCCESS;
}
