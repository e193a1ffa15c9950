/* SPDX-License-Identifier: MIT */
/* The outputs of the evaluation. */
#ifndef BENCH_OUTPUT_H
#define BENCH_OUTPUT_H

#include "bench.h"

/** bench_json() - write @dir/report.json; 0, or -1 after a message */
int bench_json(const struct bench *b, const char *dir);

/** struct figure - @svg: contents of the drawing; free() it */
struct figure {
	const char *section;
	char title[120];
	char *svg;
};

#define MAX_FIGURES	128u

/** bench_plot() - draw all figures; returns their number, or -1 after a message */
int bench_plot(const struct bench *b, const char *dir, struct figure figures[MAX_FIGURES]);

/** bench_html() - write @dir/report.html, which needs no other file; 0, or -1 after a message */
int bench_html(const struct bench *b, const char *dir, const struct figure *figures,
	       uint32_t num_figures);

#endif /* BENCH_OUTPUT_H */
