// SPDX-License-Identifier: MIT
/* What npuload tells people. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "npuload.h"

/* ---- a line per run ---- */

void load_print_head(const struct load *l)
{
	const struct load_options *o = l->options;

	printf("model %s, %s, policy %s, backend %s\n\n", l->info->name,
	       load_scenario_names[o->scenario], o->policy, l->npu->backend);
	printf("%12s %7s %12s %12s %12s %9s %9s %7s  %s\n", "requests/s", "load", "mean us",
	       "p99 us", "max us", "in time %", "served/s", "busy %", "verdict");
}

/* "-" where there is nothing to tell. */
static const char *show(double v, double scale, int digits, char text[32])
{
	if (isnan(v))
		return "-";
	snprintf(text, 32, "%.*f", digits, v * scale);
	return text;
}

void load_print_row(const struct load_run *run)
{
	const struct load_figures *f = &run->figures;
	char t[8][32];

	printf("%12s %7s %12s %12s %12s %9s %9s %7s  %s%s%s\n", show(f->rate_hz, 1, 1, t[0]),
	       show(f->load, 1, 3, t[1]), show(f->mean_us, 1, 1, t[2]),
	       show(f->p99_us, 1, 1, t[3]), show(f->max_us, 1, 1, t[4]),
	       show(f->slo_satisfaction, 100, 3, t[5]), show(f->throughput_hz, 1, 0, t[6]),
	       show(f->busy, 100, 1, t[7]), run->verdict.valid ? "valid" : "INVALID",
	       run->verdict.valid ? "" : ": ", run->verdict.reason);
	fflush(stdout);
}

void load_print_best(const struct load *l, const struct load_run *runs, uint32_t best)
{
	const struct load_options *o = l->options;

	if (load_interrupted)
		printf("\ninterrupted; so far ");
	else
		printf("\n");
	if (best == UINT32_MAX)
		printf("no rate from %g to %g requests/s has its p%g within %g ms\n", o->search.from,
		       o->search.to, o->bound_percent, o->bound_ms);
	else
		printf("highest rate with p%g within %g ms: %.1f requests/s (steps of %g)\n",
		       o->bound_percent, o->bound_ms, runs[best].figures.rate_hz, o->search.step);
}

/* ---- one run ---- */

static void print_line(const struct load_field *field, double v)
{
	printf("%-23s%12.*f%s%s%s%s\n", field->label, field->digits, v * field->scale,
	       field->unit[0] ? " " : "", field->unit, field->note[0] ? " " : "", field->note);
}

static void print_share(const struct load_run *run, const struct load_field *field, double v)
{
	const double of = run->figures.requests;

	printf("%-23s%12.0f   %6.2f %%\n", field->label, v, of > 0 ? 100 * v / of : 0);
}

static bool is_count(const struct load_field *field)
{
	return field->offset >= offsetof(struct load_figures, completed) &&
	       field->offset <= offsetof(struct load_figures, failed);
}

static void print_exits(const struct load *l, const struct load_figures *f)
{
	for (uint32_t e = 0; e < l->info->num_exits; e++)
		printf("left at exit %-10u%12.2f %%\n", e, 100 * f->exits[e]);
}

void load_print_run(const struct load *l, const struct load_run *run)
{
	const struct load_options *o = l->options;
	const struct load_field *field;

	printf("model %s, %s, policy %s, backend %s, submission %s\n", l->info->name,
	       load_scenario_names[o->scenario], o->policy, l->npu->backend, run->submission);
	if (o->scenario == LOAD_MULTI_STREAM)
		printf("queries of %u samples: a latency is that of a query\n", o->streams);
	printf("\n");
	for (field = load_fields; field->name; field++) {
		const double v = load_field_value(&run->figures, field);

		if (isnan(v))
			continue;
		if (is_count(field))
			print_share(run, field, v);
		else
			print_line(field, v);
	}
	print_exits(l, &run->figures);
	printf("\n%s%s%s\n", run->verdict.valid ? "valid" : "INVALID",
	       run->verdict.valid ? "" : ": ", run->verdict.reason);
}
