// SPDX-License-Identifier: MIT
/*
 * npuload: a load generator for the NPU, in the manner of perf_analyzer and of MLPerf's LoadGen.
 *
 * A run sends the requests of a scenario and tells what became of them; there is one, or one per
 * rate, or as many as the search for the highest rate within a latency bound takes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cli.h"
#include "npuload.h"

#define EXIT_INTERRUPTED	130	/* what a shell gives for SIGINT */

/** struct runs - @best: of a search, or UINT32_MAX */
struct runs {
	struct load_run *items;
	uint32_t num;
	uint32_t best;
};

/* ---- set up ---- */

static int open_device(struct load *l)
{
	const struct load_options *o = l->options;
	struct fnpu_error error;

	if (fnpu_device_open(o->backend, o->device, &l->device, &error))
		return cli_error("%s", error.text);
	if (fnpu_model_check(l->model, l->device, &error))
		return cli_error("%s", error.text);
	if (error.text[0])
		cli_error("warning: %s", error.text);
	l->npu = fnpu_device_info(l->device);
	l->computes = l->npu->features & FLUIDNPU_FEATURE_FUNCTIONAL;
	return 0;
}

/* Better now than after all the work; and the report of another run must not stay. */
static int check_output(const char *path)
{
	FILE *file;

	if (!path || !strcmp(path, "-"))
		return 0;
	file = fopen(path, "we");
	if (!file)
		return cli_error("cannot write %s: %s", path, strerror(errno));
	fclose(file);
	return 0;
}

static int check_outputs(const struct load_options *o)
{
	return check_output(o->json) || check_output(o->csv) || check_output(o->requests) ||
	       check_output(o->save_trace) || check_output(o->save_intervals) ? -1 : 0;
}

static int set_up(struct load *l)
{
	const struct load_options *o = l->options;
	struct fnpu_error error;

	if (fnpu_model_load(o->model, &l->model, &error))
		return cli_error("%s", error.text);
	l->info = fnpu_model_info(l->model);
	/* of a trace; others have the NPU's, which is not open yet */
	l->cycles_per_us = l->info->clock_hz / 1e6;
	if (load_source_open(l) || open_device(l))
		return -1;
	if (!o->trace)
		l->cycles_per_us = l->npu->clock_hz / 1e6;
	return load_source_check(l) ? -1 : check_outputs(o);
}

static void tear_down(struct load *l)
{
	load_source_close(l);
	fnpu_device_close(l->device);
	fnpu_model_free(l->model);
}

/* ---- runs ---- */

int load_at(struct load *l, const struct load_point *point, struct load_run *run)
{
	*run = (struct load_run){ 0 };
	if (load_source_fill(l, point) || load_serve(l, run))
		return -1;
	load_measure(l, run);
	return 0;
}

static struct load_point point_of(const struct load_options *o, uint32_t i)
{
	struct load_point p = { 0 };

	if (o->rate.from > 0)
		p.rate_hz = o->rate.from + i * o->rate.step;
	if (o->load.from > 0)
		p.load = o->load.from + i * o->load.step;
	if (o->fps > 0)
		p.rate_hz = o->fps * o->workload.streams;
	return p;
}

static uint32_t num_points(const struct load_options *o)
{
	const uint32_t rates = load_range_points(&o->rate), loads = load_range_points(&o->load);

	return rates ? rates : loads ? loads : 1;
}

static int run_points(struct load *l, struct runs *runs)
{
	const uint32_t num = num_points(l->options);

	while (runs->num < num && !load_interrupted) {
		const struct load_point point = point_of(l->options, runs->num);
		struct load_run *run = &runs->items[runs->num];

		if (load_at(l, &point, run))
			return -1;
		runs->num++;
		if (num > 1 && !l->options->quiet)
			load_print_row(run);
	}
	return 0;
}

static int run_all(struct load *l, struct runs *runs)
{
	const struct load_options *o = l->options;
	const bool search = o->search.from > 0;

	runs->best = UINT32_MAX;
	runs->items = calloc(LOAD_MAX_POINTS, sizeof(*runs->items));
	if (!runs->items)
		return cli_error("out of memory");
	if ((search || num_points(o) > 1) && !o->quiet)
		load_print_head(l);
	return search ? load_search(l, runs->items, &runs->num, &runs->best) : run_points(l, runs);
}

/* ---- telling ---- */

static int write_files(const struct load *l)
{
	const struct load_options *o = l->options;
	struct fnpu_error error;

	if ((o->requests && load_write_requests(o->requests, l->requests, l->num, l->cycles_per_us,
						&error)) ||
	    (o->save_trace && load_write_requests(o->save_trace, l->requests, l->num,
						  l->cycles_per_us, &error)) ||
	    (o->save_intervals && load_write_intervals(o->save_intervals, l->requests, l->num,
						       l->cycles_per_us, &error)))
		return cli_error("%s", error.text);
	return 0;
}

static int tell(const struct load *l, const struct runs *runs)
{
	const struct load_options *o = l->options;

	if (write_files(l))
		return -1;
	if (!o->quiet && o->search.from > 0)
		load_print_best(l, runs->items, runs->best);
	else if (!o->quiet && num_points(o) == 1 && runs->num)
		load_print_run(l, &runs->items[0]);
	if (o->csv && load_csv(l, runs->items, runs->num))
		return -1;
	if (o->json && load_json(l, runs->items, runs->num, runs->best))
		return -1;
	return cli_finish_stdout();
}

static int check_failures(const struct runs *runs)
{
	double failed = 0;

	for (uint32_t i = 0; i < runs->num; i++)
		failed += runs->items[i].figures.failed;
	return failed > 0 ? cli_error("%.0f requests failed", failed) : 0;
}

int main(int argc, char **argv)
{
	struct load_options options;
	struct load load = { .options = &options };
	struct runs runs = { 0 };
	int ret;

	cli_name = "npuload";
	load_parse(&options, argc, argv);
	if (options.compare[0])
		return load_compare(options.compare[0], options.compare[1]) ? EXIT_FAILURE :
									    EXIT_SUCCESS;
	load_catch_signals();
	ret = set_up(&load);
	if (!ret)
		ret = run_all(&load, &runs);
	if (!ret)
		ret = tell(&load, &runs);
	if (!ret)
		ret = check_failures(&runs);
	tear_down(&load);
	free(runs.items);
	if (load_interrupted)
		return EXIT_INTERRUPTED;
	return ret ? EXIT_FAILURE : EXIT_SUCCESS;
}
