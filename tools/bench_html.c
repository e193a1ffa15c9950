// SPDX-License-Identifier: MIT
/* report.html: the claims, tables and figures in one file that needs no other. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench_output.h"
#include "common/cli.h"

#define PATH_BYTES	4096

static const char head[] =
"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
"<meta name=\"viewport\" content=\"width=device-width\">\n"
"<title>FluidNPU: evaluation</title>\n<style>\n"
"body { font: 15px/1.45 sans-serif; max-width: 1300px; margin: 2em auto; padding: 0 1em; }\n"
"table { border-collapse: collapse; margin: 1em 0; }\n"
"td, th { border: 1px solid #bbb; padding: .25em .6em; text-align: left; vertical-align: top; }\n"
"td.n { text-align: right; }\n"
".pass { background: #d9f2d9; } .fail { background: #f8d7d7; } .none { background: #eee; }\n"
".figures { display: flex; flex-wrap: wrap; gap: .5em; }\n"
".figures img { border: 1px solid #ddd; max-width: 100%; }\n"
"</style></head><body>\n<h1>FluidNPU: evaluation</h1>\n";

/* HTML's own characters. */
static void put_text(FILE *f, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '<':
			fputs("&lt;", f);
			break;
		case '>':
			fputs("&gt;", f);
			break;
		case '&':
			fputs("&amp;", f);
			break;
		case '"':
			fputs("&quot;", f);
			break;
		default:
			fputc(*text, f);
		}
	}
}

/* A data URI keeps the figures' ids apart, which gnuplot gives anew in each. */
static void put_svg(FILE *f, const struct figure *figure)
{
	fputs("<img alt=\"", f);
	put_text(f, figure->title);
	fputs("\" src=\"data:image/svg+xml,", f);
	for (const char *c = figure->svg; *c; c++) {
		if (strchr("#%<>\"&\n\r\t", *c))
			fprintf(f, "%%%02X", (unsigned char)*c);
		else
			fputc(*c, f);
	}
	fputs("\">\n", f);
}

/* ---- sections ---- */

static void put_setting(FILE *f, const struct bench *b)
{
	const struct bench_plan *p = &b->plan;

	fprintf(f, "<p>%s plan: %u cases, %u loads, %u policies, %u seeds of %llu requests per point; %.0f minutes on %u cores.</p>\n",
		p->quick ? "Quick" : "Full", p->num_cases, p->num_loads, p->num_contenders,
		p->seeds, (unsigned long long)p->requests, b->seconds / 60, b->sweep.workers);
	fputs("<p>Load 1 is the throughput of serial service on the conventional NPU with the same exits. The SLO is three times what a sample alone takes there through the whole network. Bursty arrivals: 2.5 times the mean rate for 0.2 s on average, then 0.4 times for 0.5 s. Every baseline runs on both NPUs, at each point with the batch cap and the parameters that were best there with another seed: once chosen for violations, once for mean latency. A dropped or rejected request is a violation. Policies that make samples leave before their own exit (edge) pay with accuracy and are shown, but are no baseline for the targets.</p>\n",
	      f);
}

static void put_claims(FILE *f, const struct bench *b)
{
	struct claim claims[MAX_CLAIMS];
	const uint32_t num = bench_claims(b, claims);

	fputs("<h2>What must hold, as measured</h2>\n<table><tr><th>figure</th><th>measured</th><th>target</th><th></th><th>how</th></tr>\n", f);
	for (uint32_t i = 0; i < num; i++) {
		const struct claim *c = &claims[i];
		const char *verdict = !c->measured ? "none" : claim_holds(c) ? "pass" : "fail";

		fputs("<tr><td>", f);
		put_text(f, c->text);
		fprintf(f, "</td><td class=n>%.4g %s</td><td>%s %g", c->value, c->unit,
			c->at_least ? "at least" : "at most", c->target);
		if (c->aim > 0)
			fprintf(f, " (aim %g)", c->aim);
		fprintf(f, "</td><td class=%s>%s</td><td>", verdict, verdict);
		put_text(f, c->detail);
		fputs("</td></tr>\n", f);
	}
	fputs("</table>\n", f);
}

static void put_cases(FILE *f, const struct bench *b)
{
	fputs("<h2>Against lazy on the conventional NPU, by case</h2>\n<table><tr><th>fluid+ on the fluid NPU, times better</th><th>latency (slo)</th><th>violations (slo)</th><th>latency (latency)</th><th>violations (latency)</th></tr>\n", f);
	for (uint32_t c = 0; c < b->plan.num_cases; c++) {
		const struct case_gain g = bench_case_gain(b, c);

		fprintf(f, "<tr><td>%s</td><td class=n>%.2fx</td><td class=n>%.2fx</td><td class=n>%.2fx</td><td class=n>%.2fx</td></tr>\n",
			b->plan.cases[c].label, g.latency[BENCH_SLO], g.violations[BENCH_SLO],
			g.latency[BENCH_LATENCY], g.violations[BENCH_LATENCY]);
	}
	fputs("</table>\n", f);
}

static void put_ablation(FILE *f, const struct bench *b)
{
	struct ablation a[NPU_KINDS];

	bench_ablation(b, a);
	fputs("<h2>Ablation</h2>\n<table><tr><th>fluid+ against lazy on the conventional NPU</th><th>latency (slo)</th><th>violations (slo)</th><th>latency (latency)</th><th>violations (latency)</th></tr>\n", f);
	for (int k = 0; k < NPU_KINDS; k++)
		fprintf(f, "<tr><td>%s</td><td class=n>%.2fx</td><td class=n>%.2fx</td><td class=n>%.2fx</td><td class=n>%.2fx</td></tr>\n",
			a[k].label, a[k].latency[BENCH_SLO], a[k].violations[BENCH_SLO],
			a[k].latency[BENCH_LATENCY], a[k].violations[BENCH_LATENCY]);
	fputs("</table>\n", f);
}

static void put_estimate(FILE *f, struct estimate e, double scale, int digits)
{
	fprintf(f, "<td class=n>%.*f &plusmn; %.*f</td>", digits, e.mean * scale, digits,
		e.half * scale);
}

#define ESTIMATE(b, cell, aim, field) \
	cell_estimate(b, cell, aim, offsetof(struct sim_result, field))

static void put_cell(FILE *f, const struct bench *b, const struct cell *cell)
{
	const struct estimate accuracy = ESTIMATE(b, cell, BENCH_SLO, accuracy);

	put_estimate(f, ESTIMATE(b, cell, BENCH_LATENCY, mean_us), 1e-3, 3);
	put_estimate(f, ESTIMATE(b, cell, BENCH_SLO, p99_us), 1e-3, 3);
	put_estimate(f, ESTIMATE(b, cell, BENCH_SLO, violations), 100, 2);
	fprintf(f, "<td class=n>%.3f</td>", 100 * (CELL_MEAN(b, cell, BENCH_SLO, dropped) +
						  CELL_MEAN(b, cell, BENCH_SLO, rejected)) /
						  CELL_MEAN(b, cell, BENCH_SLO, requests));
	put_estimate(f, ESTIMATE(b, cell, BENCH_SLO, on_time_mean_us), 1e-3, 3);
	put_estimate(f, ESTIMATE(b, cell, BENCH_SLO, utilisation), 100, 1);
	put_estimate(f, ESTIMATE(b, cell, BENCH_SLO, cycles_per_request), 1e-3, 1);
	if (accuracy.mean >= 0)
		put_estimate(f, accuracy, 100, 2);
	else
		fputs("<td></td>", f);
}

/* All contenders at one load, the middle of the plan's; report.json has the others. */
static void put_table(FILE *f, const struct bench *b, uint32_t c, uint32_t w)
{
	static const char *const npus[BENCH_NPUS] = { "conventional", "fluid" };
	const struct bench_plan *p = &b->plan;
	const uint32_t l = p->num_loads / 2;

	fprintf(f, "<h3>%s, %s, load %g</h3>\n<table><tr><th>policy</th><th>NPU</th><th>mean ms</th><th>p99 ms</th><th>violations %%</th><th>not served %%</th><th>mean of those on time</th><th>PE use %%</th><th>kcycles per request</th><th>accuracy %%</th></tr>\n",
		p->cases[c].label, w ? "bursty" : "Poisson", p->loads[l]);
	for (uint32_t n = 0; n < BENCH_NPUS; n++) {
		for (uint32_t i = 0; i < p->num_contenders; i++) {
			fprintf(f, "<tr><td>%s</td><td>%s</td>", p->contenders[i]->name, npus[n]);
			put_cell(f, b, cell_at(b, point_index(p, c, w, l), n, i));
			fputs("</tr>\n", f);
		}
	}
	fputs("</table>\n", f);
}

static void put_cost(FILE *f, const struct bench *b)
{
	fputs("<h2>What a decision costs on this host</h2>\n<table><tr><th>policy</th><th>100 waiting</th><th>1,000</th><th>10,000</th></tr>\n", f);
	for (uint32_t i = 0; i < b->cost.num_policies; i++)
		fprintf(f, "<tr><td>%s</td><td class=n>%.0f ns</td><td class=n>%.0f ns</td><td class=n>%.0f ns</td></tr>\n",
			b->cost.policies[i], b->cost.decision_ns[i][0], b->cost.decision_ns[i][1],
			b->cost.decision_ns[i][2]);
	fputs("</table>\n", f);
}

static void put_figures(FILE *f, const struct figure *figures, uint32_t num)
{
	const char *section = "";

	for (uint32_t i = 0; i < num; i++) {
		if (strcmp(section, figures[i].section)) {
			fprintf(f, "%s<h2>Figures: %s</h2>\n<div class=figures>\n",
				*section ? "</div>\n" : "", figures[i].section);
			section = figures[i].section;
		}
		put_svg(f, &figures[i]);
	}
	if (*section)
		fputs("</div>\n", f);
}

int bench_html(const struct bench *b, const char *dir, const struct figure *figures,
	       uint32_t num_figures)
{
	char path[PATH_BYTES];
	FILE *f;
	bool ok;

	snprintf(path, sizeof(path), "%s/report.html", dir);
	f = fopen(path, "we");
	if (!f)
		return cli_error("cannot write %s: %s", path, strerror(errno));
	fputs(head, f);
	put_setting(f, b);
	put_claims(f, b);
	if (contender_find(&b->plan, "fluid+") >= 0 && contender_find(&b->plan, "lazy") >= 0) {
		put_cases(f, b);
		put_ablation(f, b);
	}
	put_cost(f, b);
	put_figures(f, figures, num_figures);
	fputs("<h2>All policies</h2>\n", f);
	for (uint32_t c = 0; c < b->plan.num_cases; c++)
		for (uint32_t w = 0; w < BENCH_WORKLOADS; w++)
			put_table(f, b, c, w);
	fputs("</body></html>\n", f);
	ok = !ferror(f);
	if (fclose(f))
		ok = false;
	return ok ? 0 : cli_error("cannot write %s", path);
}
