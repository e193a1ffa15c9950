// SPDX-License-Identifier: MIT
/*
 * The roofline as an SVG: operational intensity (MACs per DRAM byte) against
 * performance (MACs per cycle), both logarithmic, under the roof of the NPU: what DRAM
 * can feed on the left, what the PE array can multiply on the right.
 *
 * Every group of layers that multiplies is two points, batch 1 (hollow) and the
 * largest batch (filled), joined by a line; their areas are shares of the network's
 * cycles, so that what is worth improving is what one sees. Nothing can be above
 * the roof, so the legend goes there.
 *
 * Colours are chosen for light and dark viewers alike, where those tell which they are;
 * the background is painted, so that text is readable also where they do not.
 */
#include <inttypes.h>
#include <math.h>

#include "report.h"

#define WIDTH		960
#define HEIGHT		620
#define LEFT		84	/* the plot's frame */
#define RIGHT		(WIDTH - 28)
#define TOP		64
#define BOTTOM		(HEIGHT - 66)
#define LEGEND_LINE	19
#define MIN_RADIUS	2.5
#define MAX_RADIUS	13.0	/* of a group that takes all cycles */
#define LEGEND_DECADES	1.7	/* left of the ridge, room for the legend */
#define MARGIN_DECADES	0.2	/* around the points */

enum kind { KIND_CONV, KIND_DEPTHWISE, KIND_DENSE, NUM_KINDS };

static const struct {
	const char *class;
	const char *name;
} kinds[NUM_KINDS] = {
	[KIND_CONV] = { "conv", "convolution" },
	[KIND_DEPTHWISE] = { "dw", "depthwise convolution" },
	[KIND_DENSE] = { "fc", "fully connected" },
};

/** struct axis - maps log10 of a value from @lo..@hi to pixels @from..@to */
struct axis {
	double lo, hi;
	double from, to;
};

struct plot {
	const struct npucc_report *report;
	FILE *out;
	struct axis x, y;
	double peak;		/* MACs per cycle */
	double bandwidth;	/* bytes per cycle */
	bool has_kind[NUM_KINDS];
	unsigned int left_out;	/* groups without multiplications */
};

static const char style[] =
"<style>\n"
"text { font-family: 'DejaVu Sans', Verdana, Helvetica, sans-serif; font-size: 13px; fill: #222 }\n"
".title { font-size: 18px; font-weight: bold }\n"
".small { font-size: 12px; fill: #555 }\n"
".paper { fill: #fff }\n"
".box { fill: #fff; stroke: #bbb }\n"
".frame { fill: none; stroke: #444 }\n"
".grid { stroke: #e4e4e4 }\n"
".minor { stroke: #f2f2f2 }\n"
".roof { fill: none; stroke: #222; stroke-width: 2 }\n"
".pair { stroke: #999; stroke-opacity: .55 }\n"
".conv { stroke: #1b6ca8; fill: #1b6ca8 }\n"
".dw { stroke: #d1570c; fill: #d1570c }\n"
".fc { stroke: #1a8f5f; fill: #1a8f5f }\n"
".one { fill-opacity: 0; stroke-width: 1.6 }\n"
".full { fill-opacity: .6; stroke-width: 1 }\n"
"@media (prefers-color-scheme: dark) {\n"
"text { fill: #ddd } .small { fill: #aaa } .paper { fill: #16181c }\n"
".box { fill: #16181c; stroke: #555 } .frame { stroke: #999 } .roof { stroke: #ddd }\n"
".grid { stroke: #34373d } .minor { stroke: #23262b } .pair { stroke: #888 }\n"
".conv { stroke: #62b0ea; fill: #62b0ea } .dw { stroke: #ff9a52; fill: #ff9a52 }\n"
".fc { stroke: #4fd39b; fill: #4fd39b }\n"
"}\n"
"</style>\n";

static double place(const struct axis *a, double value)
{
	return a->from + (log10(value) - a->lo) / (a->hi - a->lo) * (a->to - a->from);
}

/* Names come from the model: markup is escaped, what is no printable ASCII replaced. */
static void print_escaped(const char *text, FILE *out)
{
	for (; *text; text++) {
		switch (*text) {
		case '&':
			fputs("&amp;", out);
			break;
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		default:
			fputc(*text >= ' ' && *text <= '~' ? *text : '?', out);
		}
	}
}

static enum kind kind_of(const struct npucc_layer *l)
{
	if (l->groups > 1 && l->groups == l->out->c)
		return KIND_DEPTHWISE;
	return l->in[0]->h == 1 && l->in[0]->w == 1 ? KIND_DENSE : KIND_CONV;
}

static const struct npucc_layer *layer_of(const struct plot *plot, const struct npucc_group *g)
{
	return plot->report->program->net->layers[g->first];
}

static double intensity(const struct fnpu_cost *c)
{
	return (double)c->useful_macs / (double)npucc_dram_bytes(c);
}

static double performance(const struct fnpu_cost *c)
{
	return (double)c->useful_macs / (double)c->cycles;
}

/* Batches that have points: 1 and, where there is more than that, the largest. */
static unsigned int batch_of(const struct plot *plot, unsigned int i)
{
	return i ? plot->report->program->max_batch : 1;
}

static unsigned int num_batches(const struct plot *plot)
{
	return plot->report->program->max_batch > 1 ? 2 : 1;
}

/* Around all points, the ridge and the legend. */
static void fit_axes(struct plot *plot)
{
	const struct npucc_report *r = plot->report;
	double ridge = plot->peak / plot->bandwidth;
	double x_lo = ridge / pow(10, LEGEND_DECADES), x_hi = ridge * 4, y_lo = plot->peak / 10;

	for (unsigned int i = 0; i < r->num_groups; i++) {
		if (!r->groups[i].cost[0].useful_macs) {
			plot->left_out++;
			continue;
		}
		plot->has_kind[kind_of(layer_of(plot, &r->groups[i]))] = true;
		for (unsigned int k = 0; k < num_batches(plot); k++) {
			const struct fnpu_cost *c = &r->groups[i].cost[batch_of(plot, k) - 1];

			x_lo = fmin(x_lo, intensity(c));
			x_hi = fmax(x_hi, intensity(c));
			y_lo = fmin(y_lo, performance(c));
		}
	}
	plot->x = (struct axis){ log10(x_lo) - MARGIN_DECADES, log10(x_hi) + MARGIN_DECADES,
				 LEFT, RIGHT };
	plot->y = (struct axis){ log10(y_lo) - MARGIN_DECADES, log10(plot->peak * 2), BOTTOM, TOP };
}

static void print_tick(const struct plot *plot, bool vertical, double value, bool major)
{
	const char *class = major ? "grid" : "minor";
	FILE *out = plot->out;
	double at;

	if (vertical) {
		at = place(&plot->x, value);
		fprintf(out, "<line class=\"%s\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/>\n",
			class, at, TOP, at, BOTTOM);
		if (major)
			fprintf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%g</text>\n",
				at, BOTTOM + 19, value);
	} else {
		at = place(&plot->y, value);
		fprintf(out, "<line class=\"%s\" x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/>\n",
			class, LEFT, at, RIGHT, at);
		if (major)
			fprintf(out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n",
				LEFT - 8, at + 4.5, value);
	}
}

static void print_grid(const struct plot *plot, const struct axis *a, bool vertical)
{
	for (double decade = floor(a->lo); decade <= a->hi; decade++) {
		for (unsigned int digit = 1; digit <= 9; digit++) {
			double at = decade + log10(digit);

			if (at >= a->lo && at <= a->hi)
				print_tick(plot, vertical, digit * pow(10, decade), digit == 1);
		}
	}
}

static void print_axes(const struct plot *plot)
{
	const int middle_x = (LEFT + RIGHT) / 2, middle_y = (TOP + BOTTOM) / 2;
	FILE *out = plot->out;

	print_grid(plot, &plot->x, true);
	print_grid(plot, &plot->y, false);
	fprintf(out, "<rect class=\"frame\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>\n", LEFT, TOP,
		RIGHT - LEFT, BOTTOM - TOP);
	fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">Operational intensity (MACs per DRAM byte)</text>\n",
		middle_x, BOTTOM + 46);
	fprintf(out, "<text x=\"26\" y=\"%d\" text-anchor=\"middle\" transform=\"rotate(-90 26 %d)\">Performance (MACs per cycle)</text>\n",
		middle_y, middle_y);
}

static void print_title(const struct plot *plot)
{
	const struct npucc_program *p = plot->report->program;
	const struct fluidnpu_hw_geometry *g = &p->config.geometry;
	FILE *out = plot->out;

	fprintf(out, "<text class=\"title\" x=\"%d\" y=\"28\">", LEFT);
	print_escaped(p->name, out);
	fputs(": roofline</text>\n", out);
	fprintf(out, "<text class=\"small\" x=\"%d\" y=\"49\">NPU of %u x %u x %u (T_R x T_P x T_C), k up to %u, at %u MHz; %u layers in %u groups",
		LEFT, g->tile_rows, g->tile_depth, g->tile_cols, g->max_stack,
		p->config.clock_hz / 1000000, p->net->num_layers, plot->report->num_groups);
	if (plot->left_out)
		fprintf(out, ", %u without MACs not shown", plot->left_out);
	fputs("</text>\n", out);
}

static void print_roof(const struct plot *plot)
{
	const struct npucc_program *p = plot->report->program;
	double ridge = plot->peak / plot->bandwidth, ridge_x = place(&plot->x, ridge);
	double peak_y = place(&plot->y, plot->peak);
	double low = fmax(pow(10, plot->x.lo), pow(10, plot->y.lo) / plot->bandwidth);
	double low_x = place(&plot->x, low), low_y = place(&plot->y, low * plot->bandwidth);
	double angle = atan2(low_y - peak_y, ridge_x - low_x) * 180 / M_PI;
	/* the label of the slope stands in the middle of its upper half, above the line */
	double label_x = ridge_x - (ridge_x - low_x) / 4;
	double label_y = peak_y + (low_y - peak_y) / 4;
	FILE *out = plot->out;

	fprintf(out, "<path class=\"roof\" d=\"M%.1f %.1fL%.1f %.1fH%d\"/>\n", low_x, low_y, ridge_x,
		peak_y, RIGHT);
	fprintf(out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">PE array: %g MACs per cycle</text>\n",
		RIGHT - 8, peak_y - 9, plot->peak);
	fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" transform=\"rotate(%.1f %.1f %.1f) translate(0 -9)\">DRAM: %.3g GB/s</text>\n",
		label_x, label_y, -angle, label_x, label_y,
		plot->bandwidth * p->config.clock_hz / 1e9);
}

/* A marker of the area of a circle with @radius: circle, diamond or square. */
static void print_marker(const struct plot *plot, enum kind kind, bool full, double x, double y,
			 double radius)
{
	FILE *out = plot->out;
	double half = radius * (kind == KIND_DEPTHWISE ? sqrt(M_PI / 2) : sqrt(M_PI) / 2);

	fprintf(out, "<path class=\"%s %s\" d=\"", kinds[kind].class, full ? "full" : "one");
	if (kind == KIND_CONV)
		fprintf(out, "M%.1f %.1fa%.1f %.1f 0 1 0 %.1f 0a%.1f %.1f 0 1 0 %.1f 0z", x - radius,
			y, radius, radius, 2 * radius, radius, radius, -2 * radius);
	else if (kind == KIND_DEPTHWISE)
		fprintf(out, "M%.1f %.1fl%.1f %.1fl%.1f %.1fl%.1f %.1fz", x - half, y, half, -half,
			half, half, -half, half);
	else
		fprintf(out, "M%.1f %.1fh%.1fv%.1fh%.1fz", x - half, y - half, 2 * half, 2 * half,
			-2 * half);
	fputs("\">", out);
}

/* The part of all cycles for a batch of @b that @group takes. */
static double share(const struct plot *plot, const struct npucc_group *group, unsigned int b)
{
	const struct npucc_report *r = plot->report;
	uint64_t total = r->exit_cycles[r->program->net->num_exits - 1][b - 1];

	return (double)group->cost[b - 1].cycles / (double)total;
}

static void print_point(const struct plot *plot, const struct npucc_group *group, unsigned int b)
{
	const struct npucc_layer *l = layer_of(plot, group);
	const struct fnpu_cost *c = &group->cost[b - 1];
	double part = share(plot, group, b);

	print_marker(plot, kind_of(l), b > 1, place(&plot->x, intensity(c)),
		     place(&plot->y, performance(c)), MIN_RADIUS + (MAX_RADIUS - MIN_RADIUS) * sqrt(part));
	fprintf(plot->out, "<title>%u ", group->first);
	print_escaped(l->name, plot->out);
	fprintf(plot->out, ", batch %u: %" PRIu64 " cycles (%.1f %%), %.4g MACs per byte, %.4g MACs per cycle, %s-bound</title></path>\n",
		b, c->cycles, 100 * part, intensity(c), performance(c), npucc_bound(c));
}

static void print_pair(const struct plot *plot, const struct npucc_group *group)
{
	const struct fnpu_cost *one = &group->cost[0];
	const struct fnpu_cost *full = &group->cost[batch_of(plot, 1) - 1];

	fprintf(plot->out, "<line class=\"pair\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n",
		place(&plot->x, intensity(one)), place(&plot->y, performance(one)),
		place(&plot->x, intensity(full)), place(&plot->y, performance(full)));
}

static void print_points(const struct plot *plot)
{
	const struct npucc_report *r = plot->report;
	unsigned int i, k;

	for (i = 0; i < r->num_groups; i++)
		if (r->groups[i].cost[0].useful_macs)
			print_pair(plot, &r->groups[i]);
	for (k = num_batches(plot); k--;)
		for (i = 0; i < r->num_groups; i++)
			if (r->groups[i].cost[0].useful_macs)
				print_point(plot, &r->groups[i], batch_of(plot, k));
}

static void print_legend(const struct plot *plot)
{
	unsigned int lines = 1 + num_batches(plot), k;
	FILE *out = plot->out;
	int x = LEFT + 26, y = TOP + 31;

	for (k = 0; k < NUM_KINDS; k++)
		lines += plot->has_kind[k];
	fprintf(out, "<rect class=\"box\" x=\"%d\" y=\"%d\" width=\"236\" height=\"%u\" rx=\"4\"/>\n",
		LEFT + 10, TOP + 12, lines * LEGEND_LINE + 12);
	for (k = 0; k < NUM_KINDS; k++) {
		if (!plot->has_kind[k])
			continue;
		print_marker(plot, k, true, x, y - 4.5, 5);
		fprintf(out, "</path>\n<text x=\"%d\" y=\"%d\">%s</text>\n", x + 16, y, kinds[k].name);
		y += LEGEND_LINE;
	}
	for (k = 0; k < num_batches(plot); k++) {
		print_marker(plot, KIND_CONV, k, x, y - 4.5, 5);
		fprintf(out, "</path>\n<text x=\"%d\" y=\"%d\">batch of %u (%s)</text>\n", x + 16, y,
			batch_of(plot, k), k ? "filled" : "hollow");
		y += LEGEND_LINE;
	}
	fprintf(out, "<text class=\"small\" x=\"%d\" y=\"%d\">area: share of the network's cycles</text>\n",
		LEFT + 20, y);
}

bool npucc_report_roofline(const struct npucc_report *r, FILE *out)
{
	struct plot plot = {
		.report = r,
		.out = out,
		.peak = npucc_peak_macs(r),
		.bandwidth = r->program->config.geometry.dram_bytes_per_kcycle / 1024.0,
	};

	fit_axes(&plot);
	fprintf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n",
		WIDTH, HEIGHT, WIDTH, HEIGHT);
	fputs(style, out);
	fprintf(out, "<rect class=\"paper\" width=\"%d\" height=\"%d\"/>\n", WIDTH, HEIGHT);
	print_title(&plot);
	print_axes(&plot);
	print_roof(&plot);
	print_points(&plot);
	print_legend(&plot);
	fputs("</svg>\n", out);
	return true;
}
