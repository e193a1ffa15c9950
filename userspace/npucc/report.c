// SPDX-License-Identifier: MIT
/*
 * npucc --report: one line per layer. Cost is that of a group and stands on its first
 * line; fused layers are marked with a plus sign.
 */
#include <inttypes.h>
#include <string.h>

#include "fnpu_cost.h"
#include "program.h"

#define NAME_WIDTH	28

static struct fnpu_cost group_cost(const struct npucc_program *p, unsigned int layer,
				   unsigned int b)
{
	unsigned int count = fnpu_group_size(&p->layers[layer], p->net->num_layers - layer);
	struct fnpu_cost cost = { 0 };

	fnpu_cost_batch(&p->config.geometry, &p->layers[layer], count,
			&p->control[(size_t)layer * p->max_batch], b, &cost);
	return cost;
}

/* Share of the multiplications that the PE array could have done. */
static double utilisation(const struct npucc_program *p, uint64_t macs, uint64_t cycles)
{
	const struct fluidnpu_hw_geometry *g = &p->config.geometry;

	return cycles ? (double)macs / ((double)cycles * g->tile_depth * g->tile_cols) : 0.0;
}

static const char *bound(const struct fnpu_cost *c)
{
	if (c->dram_cycles > c->compute_cycles && c->dram_cycles > c->vector_cycles)
		return "memory";
	return c->compute_cycles >= c->vector_cycles ? "compute" : "vector";
}

static void print_policy(const struct npucc_program *p, unsigned int layer, unsigned int b,
			 FILE *out)
{
	const struct fluidnpu_hw_policy *e = &p->control[(size_t)layer * p->max_batch + b - 1];
	char text[32];

	snprintf(text, sizeof(text), "%ux<%u,%u,%u>", e->n, e->b_r, e->b_p, e->k);
	fprintf(out, " %-12s", text);
}

/* A long name keeps its end: that is where it differs from others. */
static void print_name(const struct npucc_layer *l, FILE *out)
{
	size_t len = strlen(l->name), width = NAME_WIDTH - (l->fused ? 2 : 0);

	fprintf(out, "%s%-*s", l->fused ? "+ " : "", (int)width,
		len > width ? l->name + len - width : l->name);
}

static void print_layer(const struct npucc_program *p, unsigned int i, FILE *out)
{
	const struct npucc_layer *l = p->net->layers[i];
	struct fnpu_cost one, full;
	char in[24], shape[24] = "-";

	snprintf(in, sizeof(in), "%ux%ux%u", l->in[0]->h, l->in[0]->w, l->in[0]->c);
	if (l->out)
		snprintf(shape, sizeof(shape), "%ux%ux%u", l->out->h, l->out->w, l->out->c);
	fprintf(out, "%4u ", i);
	print_name(l, out);
	fprintf(out, " %-8s %-12s %-12s %12" PRIu64, npucc_op_name(l->op), in, shape, l->macs);
	if (!l->fused) {
		one = group_cost(p, i, 1);
		full = group_cost(p, i, p->max_batch);
		print_policy(p, i, 1, out);
		print_policy(p, i, p->max_batch, out);
		fprintf(out, " %9" PRIu64 " %9" PRIu64 " %5.1f%% %5.1f%% %s/%s",
			one.cycles, full.cycles,
			100.0 * utilisation(p, one.useful_macs, one.cycles),
			100.0 * utilisation(p, full.useful_macs, full.cycles),
			bound(&one), bound(&full));
	}
	fputc('\n', out);
}

static void print_exits(const struct npucc_program *p, FILE *out)
{
	const struct npucc_network *net = p->net;
	unsigned int e, i = 0;
	uint64_t one = 0, full = 0, macs;

	fprintf(out, "\nexit  layer  name                 threshold          MACs  cycles b=1  us b=1  util  cycles b=%-2u  per sample  util\n",
		p->max_batch);
	for (e = 0; e < net->num_exits; e++) {
		for (; i <= net->exits[e].layer->position; i++) {
			one += p->cost[(size_t)i * p->max_batch];
			full += p->cost[(size_t)i * p->max_batch + p->max_batch - 1];
		}
		macs = net->exits[e].total_macs;
		fprintf(out, "%4u  %5u  %-20.20s %9g  %12" PRIu64 "  %10" PRIu64 " %7.1f %4.1f%%  %11" PRIu64 "  %10.0f %4.1f%%\n",
			e, net->exits[e].layer->position, net->exits[e].name,
			(double)net->exits[e].threshold, macs, one,
			1e6 * (double)one / p->config.clock_hz,
			100.0 * utilisation(p, macs, one), full, (double)full / p->max_batch,
			100.0 * utilisation(p, macs * p->max_batch, full));
	}
}

void npucc_report(const struct npucc_program *p, FILE *out)
{
	const struct fluidnpu_hw_geometry *g = &p->config.geometry;
	unsigned int i;

	fprintf(out, "%s: %u layers, %u exits, program %zu bytes, state %u bytes per sample\n",
		p->name, p->net->num_layers, p->net->num_exits, p->image_bytes,
		p->net->state_bytes);
	fprintf(out, "NPU: %u x %u x %u, k up to %u, %u MHz; policies are n x <B_R, B_P, k>\n\n",
		g->tile_rows, g->tile_depth, g->tile_cols, g->max_stack,
		p->config.clock_hz / 1000000);
	fprintf(out, "%4s %-*s %-8s %-12s %-12s %12s %-12s b=%-10u %9s b=%-7u %6s b=%-4u bound\n",
		"#", NAME_WIDTH, "name", "op", "in", "out", "MACs", "policy b=1", p->max_batch,
		"cyc. b=1", p->max_batch, "util.", p->max_batch);
	for (i = 0; i < p->net->num_layers; i++)
		print_layer(p, i, out);
	print_exits(p, out);
}
