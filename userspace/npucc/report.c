// SPDX-License-Identifier: MIT
/*
 * The figures of a report, and the table of them for people: one line per layer.
 * Policies and cost are those of a group and stand at its first layer; layers
 * that are fused with it follow with a plus sign.
 *
 * Policies are printed for all live batches, as runs of batches that are laid out
 * alike: npucc_control() makes B_R of a pass from its samples and B_P, so what a
 * run has in common is k, B_P, and the size of the first pass where a batch is split.
 */
#include <inttypes.h>
#include <string.h>

#include "report.h"

#define NAME_WIDTH	22
#define EXIT_NAME_WIDTH	20
#define POLICY_COLUMN	124
#define LINE_WIDTH	160

static uint64_t cycles_until(const struct npucc_report *r, const struct npucc_exit *e,
			     unsigned int b)
{
	uint64_t cycles = 0;

	for (unsigned int i = 0; i < r->num_groups; i++)
		if (r->groups[i].first <= e->layer->position)
			cycles += r->groups[i].cost[b - 1].cycles;
	return cycles;
}

struct npucc_report *npucc_report(struct npucc_arena *arena, const struct npucc_program *p)
{
	struct npucc_report *r = npucc_alloc(arena, 1, sizeof(*r));
	const struct npucc_network *net = p->net;
	unsigned int i, b, e;

	r->program = p;
	r->groups = npucc_alloc(arena, net->num_layers, sizeof(*r->groups));
	for (i = 0; i < net->num_layers; i += r->groups[r->num_groups++].count) {
		struct npucc_group *group = &r->groups[r->num_groups];

		group->first = i;
		group->count = fnpu_group_size(&p->layers[i], net->num_layers - i);
		group->row = &p->control[(size_t)i * p->max_batch];
		for (b = 1; b <= p->max_batch; b++)
			fnpu_cost_batch(&p->config.geometry, &p->layers[i], group->count,
					group->row, b, &group->cost[b - 1]);
	}
	for (e = 0; e < net->num_exits; e++)
		for (b = 1; b <= p->max_batch; b++)
			r->exit_cycles[e][b - 1] = cycles_until(r, &net->exits[e], b);
	return r;
}

double npucc_peak_macs(const struct npucc_report *r)
{
	const struct fluidnpu_hw_geometry *g = &r->program->config.geometry;

	return (double)g->tile_depth * g->tile_cols;
}

double npucc_utilisation(const struct npucc_report *r, uint64_t macs, uint64_t cycles)
{
	return cycles ? (double)macs / ((double)cycles * npucc_peak_macs(r)) : 0.0;
}

uint64_t npucc_dram_bytes(const struct fnpu_cost *c)
{
	return c->weight_bytes + c->act_read_bytes + c->act_write_bytes;
}

const char *npucc_bound(const struct fnpu_cost *c)
{
	if (c->dram_cycles > c->compute_cycles && c->dram_cycles > c->vector_cycles)
		return "memory";
	return c->compute_cycles >= c->vector_cycles ? "compute" : "vector";
}

/* "451.6k": four digits are enough to compare, and columns stay narrow. */
static void format_count(uint64_t count, char *text, size_t size)
{
	static const char units[] = { ' ', 'k', 'M', 'G', 'T' };
	double value = (double)count;
	unsigned int unit = 0;

	for (; value >= 999.95 && unit + 1 < sizeof(units); unit++)
		value /= 1000;
	snprintf(text, size, "%.*f%c", unit ? value < 9.9995 ? 3 : value < 99.995 ? 2 : 1 : 0,
		 value, units[unit]);
}

/* At most @max bytes of @text; returns how many. */
static size_t print_text(const char *text, size_t max, FILE *out)
{
	size_t i;

	for (i = 0; i < max && text[i]; i++)
		fputc(npucc_printable(text[i]), out);
	return i;
}

/* A long name keeps its end: that is where it differs from others. */
static void print_name(const struct npucc_layer *l, FILE *out)
{
	size_t len = strlen(l->name), width = NAME_WIDTH - (l->fused ? 2 : 0);

	fputs(l->fused ? "+ " : "", out);
	width -= print_text(len > width ? l->name + len - width : l->name, width, out);
	fprintf(out, "%*s", (int)width, "");
}

/* "3x3/2 dw": window, stride, and how channels are grouped. */
static void format_window(const struct npucc_layer *l, char *text, size_t size)
{
	const struct npucc_window *w = &l->window;
	char groups[16] = "";

	if (l->op != FLUIDNPU_LAYER_CONV && l->op != FLUIDNPU_LAYER_AVGPOOL &&
	    l->op != FLUIDNPU_LAYER_MAXPOOL) {
		snprintf(text, size, "-");
		return;
	}
	if (l->op == FLUIDNPU_LAYER_CONV && l->groups > 1) {
		if (l->groups == l->out->c)
			snprintf(groups, sizeof(groups), " dw");
		else
			snprintf(groups, sizeof(groups), " g%u", l->groups);
	}
	snprintf(text, size, "%ux%u/%u%s", w->kernel_h, w->kernel_w, w->stride_h, groups);
}

static void format_shape(const struct npucc_tensor *t, char *text, size_t size)
{
	if (t)
		snprintf(text, size, "%ux%ux%u", t->h, t->w, t->c);
	else
		snprintf(text, size, "-");
}

/* Is batch @b laid out like batch @first, where a run began? */
static bool in_run(const struct fluidnpu_hw_policy *row, unsigned int first, unsigned int b)
{
	const struct fluidnpu_hw_policy *p = &row[first - 1], *q = &row[b - 1];

	return p->k == q->k && p->b_p == q->b_p && (p->n == first ? q->n == b : q->n == p->n);
}

/* "5-16:4+k2p3": batches 5 to 16 run 4 samples first, with k = 2 and B_P = 3. */
static void format_run(const struct fluidnpu_hw_policy *row, unsigned int first,
		       unsigned int last, char *text, size_t size)
{
	const struct fluidnpu_hw_policy *p = &row[first - 1];
	char to[16] = "", split[16] = "", share[16] = "";

	if (last > first)
		snprintf(to, sizeof(to), "-%u", last);
	if (p->n < first)
		snprintf(split, sizeof(split), "%u+", p->n);
	if (p->b_p > 1)
		snprintf(share, sizeof(share), "p%u", p->b_p);
	snprintf(text, size, "%u%s:%sk%u%s", first, to, split, p->k, share);
}

static void print_policies(const struct npucc_report *r, const struct npucc_group *group,
			   FILE *out)
{
	unsigned int first, last, column = POLICY_COLUMN;
	char text[72];

	for (first = 1; first <= r->program->max_batch; first = last + 1) {
		for (last = first; last < r->program->max_batch; last++)
			if (!in_run(group->row, first, last + 1))
				break;
		format_run(group->row, first, last, text, sizeof(text));
		if (column + 1 + strlen(text) > LINE_WIDTH) {
			fprintf(out, "\n%*s", POLICY_COLUMN, "");
			column = POLICY_COLUMN;
		}
		column += (unsigned int)fprintf(out, " %s", text);
	}
}

static void print_cost(const struct npucc_report *r, const struct fnpu_cost *c, FILE *out)
{
	fprintf(out, " %8" PRIu64 " %5.1f%% %-7s", c->cycles,
		100.0 * npucc_utilisation(r, c->useful_macs, c->cycles), npucc_bound(c));
}

static void print_layer(const struct npucc_layer *l, FILE *out)
{
	char in[24], shape[24], window[40], macs[16];

	format_shape(l->in[0], in, sizeof(in));
	format_window(l, window, sizeof(window));
	format_shape(l->out, shape, sizeof(shape));
	format_count(l->macs, macs, sizeof(macs));
	fprintf(out, "%4u ", l->position);
	print_name(l, out);
	fprintf(out, " %-7s %-11s %-9s %-11s %6s", npucc_op_name(l->op), in, window, shape,
		l->macs ? macs : "-");
}

static void print_group(const struct npucc_report *r, const struct npucc_group *group, FILE *out)
{
	struct npucc_layer *const *layers = &r->program->net->layers[group->first];

	print_layer(layers[0], out);
	print_cost(r, &group->cost[0], out);
	print_cost(r, &group->cost[r->program->max_batch - 1], out);
	print_policies(r, group, out);
	fputc('\n', out);
	for (unsigned int i = 1; i < group->count; i++) {
		print_layer(layers[i], out);
		fputc('\n', out);
	}
}

static void print_layers(const struct npucc_report *r, FILE *out)
{
	const unsigned int max = r->program->max_batch;
	unsigned int i;

	fprintf(out, "%*s batch of 1%*s batch of %u\n", 76, "", 13, "", max);
	fprintf(out, "%4s %-*s %-7s %-11s %-9s %-11s %5s ", "#", NAME_WIDTH, "layer", "op", "in",
		"window", "out", "MACs");
	for (i = 0; i < 2; i++)
		fprintf(out, " %8s %6s %-7s", "cycles", "util.", "bound");
	fputs(" policies\n", out);
	for (i = 0; i < r->num_groups; i++)
		print_group(r, &r->groups[i], out);
}

static void print_exits(const struct npucc_report *r, FILE *out)
{
	const struct npucc_program *p = r->program;
	const unsigned int max = p->max_batch;
	char macs[16];

	fprintf(out, "\n%*s batch of 1%*s batch of %u, per sample\n", 59, "", 17, "", max);
	fprintf(out, "exit layer %-*s %10s %10s ", EXIT_NAME_WIDTH, "name", "threshold", "MACs");
	for (unsigned int i = 0; i < 2; i++)
		fprintf(out, " %10s %9s %6s", "cycles", "us", "util.");
	fputc('\n', out);
	for (unsigned int e = 0; e < p->net->num_exits; e++) {
		const struct npucc_exit *exit = &p->net->exits[e];
		const unsigned int batches[2] = { 1, max };
		size_t len;

		format_count(exit->total_macs, macs, sizeof(macs));
		fprintf(out, "%4u %5u ", e, exit->layer->position);
		len = print_text(exit->name, EXIT_NAME_WIDTH, out);
		fprintf(out, "%*s %10g %11s", (int)(EXIT_NAME_WIDTH - len), "",
			(double)exit->threshold, macs);
		for (unsigned int i = 0; i < 2; i++) {
			uint64_t cycles = r->exit_cycles[e][batches[i] - 1];
			double each = (double)cycles / batches[i];

			fprintf(out, " %10.0f %9.1f %5.1f%%", each, 1e6 * each / p->config.clock_hz,
				100.0 * npucc_utilisation(r, batches[i] * exit->total_macs, cycles));
		}
		fputc('\n', out);
	}
}

bool npucc_report_text(const struct npucc_report *r, FILE *out)
{
	const struct npucc_program *p = r->program;
	const struct fluidnpu_hw_geometry *g = &p->config.geometry;

	print_text(p->name, strlen(p->name), out);
	fprintf(out, ": %u layers, %u exits, program %zu bytes, state %u bytes per sample\n",
		p->net->num_layers, p->net->num_exits, p->image_bytes, p->net->state_bytes);
	fprintf(out, "NPU: %u x %u x %u (T_R x T_P x T_C), k up to %u, %u MHz, %.1f GB/s\n",
		g->tile_rows, g->tile_depth, g->tile_cols, g->max_stack,
		p->config.clock_hz / 1000000,
		(double)g->dram_bytes_per_kcycle / 1024 * p->config.clock_hz / 1e9);
	fputs("Policies: BATCHES:kK, stacking factor K for these live batches; pP: P groups share a weight tile (B_P, else 1);\n"
	      "N+: N samples run first, then the rest as a batch of its own. B_R is a pass's samples / B_P, rounded up.\n\n",
	      out);
	print_layers(r, out);
	print_exits(r, out);
	return true;
}
