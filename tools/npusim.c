// SPDX-License-Identifier: MIT
/*
 * npusim: the discrete-event simulator's command line (tools/sim does the work).
 *
 * The options span a grid of points; each is simulated with each seed, on all cores. A single
 * point is told in full, a grid as a table.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cli.h"
#include "npusim.h"
#include "sim/goodput.h"

#define EXIT_INTERRUPTED	130	/* what a shell gives for SIGINT */

/** struct grid - @runs: [num points][seeds] */
struct grid {
	struct npusim_point *points;
	size_t num, room;
	struct sim_options *runs;
	struct sim_result *results;
};

/* ---- the grid ---- */

static void add_point(struct grid *g, const struct npusim_options *o, struct sim_options p,
		      uint32_t workload)
{
	p.workload = o->workloads[workload];
	g->points[g->num++] = (struct npusim_point){
		.options = p, .workload = o->workload_names[workload], .seeds = o->seeds,
	};
}

static void span_loads(struct grid *g, const struct npusim_options *o, struct sim_options p,
		       uint32_t workload)
{
	for (uint32_t s = 0; s < o->slos.num; s++) {
		for (uint32_t b = 0; b < o->max_batches.num; b++) {
			for (uint32_t l = 0; l < o->loads.num; l++) {
				p.slo = o->slos.v[s];
				p.max_batch = (uint32_t)o->max_batches.v[b];
				p.load = o->loads.v[l];
				add_point(g, o, p, workload);
			}
		}
	}
}

static int make_grid(struct grid *g, const struct npusim_options *o)
{
	struct sim_options p = o->base;

	g->room = (size_t)o->num_policies * o->num_workloads * o->num_npus * o->slos.num *
		  o->max_batches.num * o->loads.num;
	g->points = calloc(g->room, sizeof(*g->points));
	g->runs = calloc(g->room * o->seeds, sizeof(*g->runs));
	g->results = calloc(g->room * o->seeds, sizeof(*g->results));
	if (!g->points || !g->runs || !g->results)
		return cli_error("no memory for %zu simulations", g->room * o->seeds);
	for (uint32_t n = 0; n < o->num_npus; n++) {
		for (uint32_t w = 0; w < o->num_workloads; w++) {
			for (uint32_t i = 0; i < o->num_policies; i++) {
				p.npu = o->npus[n];
				strcpy(p.policy, o->policies[i]);
				span_loads(g, o, p, w);
			}
		}
	}
	for (size_t i = 0; i < g->num; i++) {
		g->points[i].results = &g->results[i * o->seeds];
		for (uint32_t s = 0; s < o->seeds; s++) {
			g->runs[i * o->seeds + s] = g->points[i].options;
			g->runs[i * o->seeds + s].seed += s;
		}
	}
	return 0;
}

static void free_grid(struct grid *g)
{
	free(g->points);
	free(g->runs);
	free(g->results);
}

/* ---- running it ---- */

/* What is wrong with a point is better said before the first of them has run for minutes. */
static int check_grid(const struct grid *g)
{
	struct sim_cache *cache = sim_cache_new();
	struct fnpu_error error;
	int ret = cache ? 0 : cli_error("out of memory");

	for (size_t i = 0; !ret && i < g->num; i++)
		if (sim_check(cache, &g->points[i].options, &error))
			ret = cli_error("%s", error.text);
	sim_cache_free(cache);
	return ret;
}

static int run_grid(struct grid *g, const struct npusim_options *o, struct journal *journal)
{
	const size_t num = g->num * o->seeds;
	const struct sweep sweep = {
		.journal = journal,
		.workers = o->jobs,
		.progress = !strcmp(o->progress, "always") ||
			    (!strcmp(o->progress, "auto") && num > 1 && !o->quiet),
		.what = "simulations",
	};
	struct fnpu_error error = { "" };
	int ret;

	if (o->goodput > 0)
		ret = goodput_search(&sweep, g->runs, g->num, o->seeds, o->goodput, g->results,
				     &error);
	else
		ret = sweep_run(&sweep, g->runs, num, g->results, &error);
	if (ret == -EINTR) {
		cli_error("interrupted%s", journal ? ": the same command goes on from here" : "");
		exit(EXIT_INTERRUPTED);
	}
	if (ret)
		return cli_error("%s", error.text);
	for (size_t i = 0; o->goodput > 0 && i < g->num; i++)
		g->points[i].options.load = g->points[i].results[0].load;
	return 0;
}

static int run(struct grid *g, const struct npusim_options *o)
{
	struct journal journal = { 0 };
	struct fnpu_error error;
	int ret;

	if (o->requests || o->timeline)
		return npusim_observed(&g->points[0].options, o->requests, o->timeline,
				       &g->results[0]);
	if (o->journal && journal_open(&journal, o->journal, &error))
		return cli_error("%s", error.text);
	ret = run_grid(g, o, o->journal ? &journal : NULL);
	journal_close(&journal);
	return ret;
}

int main(int argc, char **argv)
{
	struct npusim_options o;
	struct grid g = { 0 };
	int ret;

	cli_name = "npusim";
	npusim_parse(&o, argc, argv);
	ret = make_grid(&g, &o);
	if (!ret)
		ret = check_grid(&g);
	if (!ret)
		ret = run(&g, &o);
	if (!ret && !o.quiet)
		npusim_print(g.points, g.num);
	if (!ret && o.json)
		ret = npusim_json(g.points, g.num, o.json);
	if (!ret)
		ret = cli_finish_stdout();
	free_grid(&g);
	return ret ? EXIT_FAILURE : EXIT_SUCCESS;
}
