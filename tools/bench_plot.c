// SPDX-License-Identifier: MIT
/* The figures: data and a script each, which gnuplot turns into SVG. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench_output.h"
#include "common/cli.h"

#define PATH_BYTES	4096
#define LEAST_PERCENT	0.001	/* on a logarithmic axis that shows none at all, too */

/** struct plot - a figure while it is written: a gnuplot script with its data */
struct plot {
	FILE *script;
	char svg[PATH_BYTES];
	char path[PATH_BYTES];
	uint32_t num_series;
};

/** struct plots - all figures so far; @failed: after a message */
struct plots {
	const struct bench *b;
	const char *dir;
	struct figure *figures;
	uint32_t num;
	bool failed;
};

/* ---- one figure ---- */

__attribute__((format(printf, 4, 5)))
static bool begin(struct plots *p, struct plot *plot, const char *section, const char *title, ...)
{
	struct figure *f = &p->figures[p->num];
	va_list args;

	if (p->failed || p->num == MAX_FIGURES)
		return false;
	*plot = (struct plot){ 0 };
	*f = (struct figure){ .section = section };
	va_start(args, title);
	vsnprintf(f->title, sizeof(f->title), title, args);
	va_end(args);
	snprintf(plot->path, sizeof(plot->path), "%s/figure%u.gp", p->dir, p->num);
	snprintf(plot->svg, sizeof(plot->svg), "%s/figure%u.svg", p->dir, p->num);
	plot->script = fopen(plot->path, "we");
	if (!plot->script) {
		cli_error("cannot write %s: %s", plot->path, strerror(errno));
		p->failed = true;
		return false;
	}
	fprintf(plot->script,
		"set terminal svg size 620,400 font 'sans-serif,11' background '#ffffff'\n"
		"set output '%s'\nset title '%s' noenhanced\nset grid\n"
		"set key outside right top noenhanced\nset style data linespoints\n",
		plot->svg, f->title);
	return true;
}

static void begin_series(struct plot *plot)
{
	fprintf(plot->script, "$d%u << EOD\n", plot->num_series++);
}

static void end_series(struct plot *plot)
{
	fprintf(plot->script, "EOD\n");
}

static char *read_file(const char *path)
{
	FILE *file = fopen(path, "re");
	char *text = NULL;
	size_t room = 0;

	if (!file)
		return NULL;
	if (getdelim(&text, &room, '\0', file) <= 0) {
		free(text);
		text = NULL;
	}
	fclose(file);
	return text;
}

static bool run_gnuplot(const char *script)
{
	const pid_t pid = fork();
	int status = -1;

	if (!pid) {
		execlp("gnuplot", "gnuplot", script, (char *)NULL);
		_exit(127);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
	       !WEXITSTATUS(status);
}

/* @plot_command: "plot ..." that draws $d0, $d1, ... */
static void end(struct plots *p, struct plot *plot, const char *plot_command)
{
	struct figure *f = &p->figures[p->num];
	bool ok = fprintf(plot->script, "%s\n", plot_command) > 0;

	if (fclose(plot->script))
		ok = false;
	ok = ok && run_gnuplot(plot->path);
	f->svg = ok ? read_file(plot->svg) : NULL;
	if (!f->svg) {
		cli_error("gnuplot does not draw %s (make bench installs it)", plot->path);
		p->failed = true;
		return;
	}
	p->num++;
}

/** struct command - a plot command while it grows */
struct command {
	char text[8192];
	size_t len;
};

__attribute__((format(printf, 2, 3)))
static void append(struct command *c, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	c->len += (size_t)vsnprintf(c->text + c->len, sizeof(c->text) - c->len, format, args);
	va_end(args);
	if (c->len >= sizeof(c->text))
		c->len = sizeof(c->text) - 1;
}

static void append_series(struct command *c, uint32_t series, const char *name, bool bold)
{
	append(c, "%s$d%u using 1:2 title '%s' lw %d", series ? ", " : "plot ", series, name,
	       bold ? 3 : 1);
}

/* ---- figures: latency and violations against load ---- */

enum measure { LATENCY, VIOLATIONS };

static double measured(const struct bench *b, const struct cell *cell, enum measure m,
		       enum bench_aim aim)
{
	const double v = m == LATENCY ? CELL_MEAN(b, cell, aim, mean_us) / 1000 :
			 100 * CELL_MEAN(b, cell, aim, violations);

	return v > LEAST_PERCENT || m == LATENCY ? v : LEAST_PERCENT;
}

static void load_series(struct plots *p, struct plot *plot, struct command *command, uint32_t point,
			enum bench_npu npu, uint32_t contender, enum measure m, enum bench_aim aim,
			const char *name)
{
	append_series(command, plot->num_series, name, p->b->plan.contenders[contender]->ours);
	begin_series(plot);
	for (uint32_t l = 0; l < p->b->plan.num_loads; l++)
		fprintf(plot->script, "%g %g\n", p->b->plan.loads[l],
			measured(p->b, cell_at(p->b, point + l, npu, contender), m, aim));
	end_series(plot);
}

static void oracle_series(struct plots *p, struct plot *plot, struct command *command,
			  uint32_t point, enum measure m)
{
	append(command, ", $d%u using 1:2 title 'oracle bound' with lines dt 2 lc 'black'",
	       plot->num_series);
	begin_series(plot);
	for (uint32_t l = 0; l < p->b->plan.num_loads; l++) {
		double v = 0;

		for (uint32_t s = 0; s < p->b->plan.seeds; s++)
			v += (m == LATENCY ? p->b->oracle[point + l][s].mean_us / 1000 :
			      100 * p->b->oracle[point + l][s].violations) / p->b->plan.seeds;
		fprintf(plot->script, "%g %g\n", p->b->plan.loads[l],
			v > LEAST_PERCENT ? v : LEAST_PERCENT);
	}
	end_series(plot);
}

static void plot_loads(struct plots *p, uint32_t c, uint32_t w, enum measure m)
{
	const struct bench_plan *plan = &p->b->plan;
	const uint32_t point = point_index(plan, c, w, 0);
	const int lazy = contender_find(plan, "lazy");
	struct command command = { .len = 0 };
	struct plot plot;

	if (!begin(p, &plot, m == LATENCY ? "latency" : "violations", "%s, %s: %s",
		   plan->cases[c].label, w ? "bursty" : "Poisson",
		   m == LATENCY ? "mean latency (ms), tuned for it" :
				  "SLO violations (%), tuned for them"))
		return;
	fprintf(plot.script, "set logscale y\nset xlabel 'load'\n");
	for (uint32_t i = 0; i < plan->num_contenders; i++)
		load_series(p, &plot, &command, point, BENCH_FLUID, i, m,
			    m == LATENCY ? BENCH_LATENCY : BENCH_SLO, plan->contenders[i]->name);
	if (lazy >= 0)
		load_series(p, &plot, &command, point, BENCH_CONVENTIONAL, (uint32_t)lazy, m,
			    m == LATENCY ? BENCH_LATENCY : BENCH_SLO, "lazy, conventional");
	oracle_series(p, &plot, &command, point, m);
	end(p, &plot, command.text);
}

/* ---- figures: sensitivity ---- */

static bool row_is(const struct study_row *row, enum study_kind kind, uint32_t c,
		   const char *series)
{
	return row->kind == kind && row->c == c && (!series || !strcmp(row->series, series));
}

/* Draws each series of rows of this kind and case; rows of one series are not always neighbours. */
static void plot_sensitivity(struct plots *p, enum study_kind kind, uint32_t c, enum measure m)
{
	const struct study *s = &p->b->study;
	struct command command = { .len = 0 };
	const char *drawn[16];
	uint32_t num_drawn = 0;
	struct plot plot;

	if (!begin(p, &plot, "sensitivity", "%s: %s against %s", p->b->plan.cases[c].label,
		   m == LATENCY ? "mean latency (ms)" : "SLO violations (%)", study_name(kind)))
		return;
	fprintf(plot.script, "set logscale y\nset xlabel '%s' noenhanced\n", study_name(kind));
	for (size_t i = 0; i < s->num; i++) {
		bool known = !row_is(&s->rows[i], kind, c, NULL);

		for (uint32_t k = 0; k < num_drawn && !known; k++)
			known = !strcmp(drawn[k], s->rows[i].series);
		if (known || num_drawn == 16)
			continue;
		drawn[num_drawn++] = s->rows[i].series;
		append_series(&command, plot.num_series, s->rows[i].series,
			      !strncmp(s->rows[i].series, "fluid+", 6));
		begin_series(&plot);
		for (size_t j = 0; j < s->num; j++) {
			const struct study_row *row = &s->rows[j];

			if (!row_is(row, kind, c, s->rows[i].series))
				continue;
			fprintf(plot.script, "%g %g\n", row->x, m == LATENCY ?
				ROW_MEAN(p->b, row, mean_us) / 1000 :
				fmax(LEAST_PERCENT, 100 * ROW_MEAN(p->b, row, violations)));
		}
		end_series(&plot);
	}
	end(p, &plot, command.text);
}

/* ---- figures: ablation, goodput, utilisation ---- */

static void plot_ablation(struct plots *p, enum measure m)
{
	struct ablation a[NPU_KINDS];
	struct plot plot;

	bench_ablation(p->b, a);
	if (!begin(p, &plot, "ablation", "fluid+: %s, times better than lazy on the conventional NPU",
		   m == LATENCY ? "mean latency" : "SLO violations"))
		return;
	fprintf(plot.script, "set style data histograms\nset style fill solid 0.7\n"
		"set yrange [0:*]\n");
	begin_series(&plot);
	for (int k = 0; k < NPU_KINDS; k++)
		fprintf(plot.script, "\"%s\" %g %g\n", a[k].label,
			m == LATENCY ? a[k].latency[BENCH_SLO] : a[k].violations[BENCH_SLO],
			m == LATENCY ? a[k].latency[BENCH_LATENCY] : a[k].violations[BENCH_LATENCY]);
	end_series(&plot);
	end(p, &plot, "plot $d0 using 2:xtic(1) title 'slo', '' using 3 title 'latency'");
}

static void plot_goodput(struct plots *p, uint32_t w)
{
	const struct study *s = &p->b->study;
	struct command command = { .len = 0 };
	const char *drawn[16];
	uint32_t num_drawn = 0;
	struct plot plot;

	if (!begin(p, &plot, "goodput", "load at which 99 %% are on time, fluid NPU, %s",
		   w ? "bursty" : "Poisson"))
		return;
	fprintf(plot.script, "set style data histograms\nset style fill solid 0.7\n"
		"set yrange [0:*]\nset xtics rotate by -30 noenhanced\n");
	for (size_t i = 0; i < s->num; i++) {
		bool known = s->rows[i].kind != STUDY_GOODPUT;

		for (uint32_t k = 0; k < num_drawn && !known; k++)
			known = !strcmp(drawn[k], s->rows[i].series);
		if (known || num_drawn == 16)
			continue;
		drawn[num_drawn++] = s->rows[i].series;
		append(&command, "%s$d%u using 2:xtic(1) title '%s'",
		       plot.num_series ? ", " : "plot ", plot.num_series, s->rows[i].series);
		begin_series(&plot);
		for (size_t j = 0; j < s->num; j++)
			if (s->rows[j].kind == STUDY_GOODPUT && s->rows[j].workload == w &&
			    !strcmp(s->rows[j].series, s->rows[i].series))
				fprintf(plot.script, "\"%s\" %g\n",
					p->b->plan.cases[s->rows[j].c].label,
					ROW_MEAN(p->b, &s->rows[j], load));
		end_series(&plot);
	}
	end(p, &plot, command.text);
}

static void plot_utilisation(struct plots *p, uint32_t c)
{
	const struct bench_case *bc = &p->b->plan.cases[c];
	struct command command = { .len = 0 };
	struct plot plot;

	if (!begin(p, &plot, "utilisation", "%s: PE utilisation (%%) at full depth against batch",
		   bc->network))
		return;
	fprintf(plot.script, "set xlabel 'batch'\nset yrange [0:100]\n");
	for (int k = 0; k < NPU_KINDS; k++) {
		struct npu_network n;
		struct fnpu_error error;

		if (npu_open(&n, bc->network, NULL, (enum npu_kind)k, &error)) {
			cli_error("%s", error.text);
			p->failed = true;
			break;
		}
		append_series(&command, plot.num_series, npu_kind_name((enum npu_kind)k),
			      k == NPU_FLUID);
		begin_series(&plot);
		for (uint32_t b = 1; b <= n.max_batch; b++)
			fprintf(plot.script, "%u %g\n", b, 100.0 *
				(double)n.useful_macs[b - 1][n.num_groups] /
				((double)n.cycles[b - 1][n.num_groups] * (double)n.macs_per_cycle));
		end_series(&plot);
		npu_close(&n);
	}
	end(p, &plot, command.text);
}

/* ---- all of them ---- */

static bool has_rows(const struct bench *b, enum study_kind kind, uint32_t c)
{
	for (size_t i = 0; i < b->study.num; i++)
		if (row_is(&b->study.rows[i], kind, c, NULL))
			return true;
	return false;
}

static void plot_all(struct plots *p)
{
	const struct bench_plan *plan = &p->b->plan;

	for (int m = LATENCY; m <= VIOLATIONS; m++)
		for (uint32_t c = 0; c < plan->num_cases; c++)
			for (uint32_t w = 0; w < BENCH_WORKLOADS; w++)
				plot_loads(p, c, w, (enum measure)m);
	for (uint32_t w = 0; w < BENCH_WORKLOADS; w++)
		plot_goodput(p, w);
	if (contender_find(plan, "fluid+") >= 0 && contender_find(plan, "lazy") >= 0)
		for (int m = LATENCY; m <= VIOLATIONS; m++)
			plot_ablation(p, (enum measure)m);
	for (uint32_t c = 0; c < plan->num_cases; c++)
		if (!c || strcmp(plan->cases[c].network, plan->cases[c - 1].network))
			plot_utilisation(p, c);
	for (int k = STUDY_SLO; k < STUDY_KINDS; k++)
		for (uint32_t c = 0; c < plan->num_cases; c++)
			for (int m = LATENCY; has_rows(p->b, (enum study_kind)k, c) &&
			     m <= VIOLATIONS; m++)
				plot_sensitivity(p, (enum study_kind)k, c, (enum measure)m);
}

int bench_plot(const struct bench *b, const char *dir, struct figure figures[MAX_FIGURES])
{
	struct plots p = { .b = b, .dir = dir, .figures = figures };

	plot_all(&p);
	return p.failed ? -1 : (int)p.num;
}
