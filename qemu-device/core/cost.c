// SPDX-License-Identifier: MIT
/*
 * The time model (see fnpu_cost.h for the formulas).
 *
 * Shapes come from descriptors that a guest may have made up, so products
 * saturate instead of wrapping, and a group costs at most MAX_CYCLES: far
 * beyond any job timeout, far below where device time would overflow.
 */
#include "fnpu_cost.h"

#define MAX_CYCLES (1ull << 48)

static uint64_t add(uint64_t a, uint64_t b)
{
	uint64_t r;

	return __builtin_add_overflow(a, b, &r) ? UINT64_MAX : r;
}

static uint64_t ceil_div(uint64_t a, uint64_t b)
{
	return a / b + (a % b != 0);
}

static uint64_t max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t tensor_bytes(unsigned int h, unsigned int w, unsigned int c)
{
	return (uint64_t)h * w * c;
}

unsigned int fnpu_group_size(const struct fluidnpu_hw_layer *layers, unsigned int left)
{
	unsigned int n = 1;

	while (n < left && (layers[n].flags & FLUIDNPU_LAYER_FUSED))
		n++;
	return n;
}

bool fnpu_policy_valid(const struct fluidnpu_hw_geometry *g,
		       const struct fluidnpu_hw_policy *p, unsigned int b)
{
	if (!p->n || p->n > b || !p->b_r || !p->b_p)
		return false;
	if (!p->k || (p->k & (p->k - 1)) || p->k > g->max_stack)
		return false;
	if ((unsigned int)p->b_r * p->b_p < p->n)
		return false;
	return p->b_p <= fnpu_mul(g->acc_tiles, (uint64_t)p->k * p->k);
}

/* The matrix engine: fold counts of the weight-stationary GEMM R x P x C. */
static void add_gemm(const struct fluidnpu_hw_geometry *g, const struct fluidnpu_hw_layer *l,
		     const struct fluidnpu_hw_policy *p, struct fnpu_cost *c)
{
	uint64_t b_p = p->b_p < p->n ? p->b_p : p->n;
	uint64_t b_r = ceil_div(p->n, b_p);
	uint64_t rows = (uint64_t)l->out_h * l->out_w;
	uint64_t depth = (uint64_t)l->kernel_h * l->kernel_w * (l->in_c / l->groups);
	uint64_t weights = fnpu_mul(depth, l->out_c);
	uint64_t tile_rows = g->tile_rows / p->k;
	uint64_t tile_cols = g->tile_cols / p->k;
	uint64_t n_r = ceil_div(fnpu_mul(b_r, rows), tile_rows);
	uint64_t n_p = ceil_div(depth, (uint64_t)g->tile_depth * p->k);
	uint64_t n_c;

	if (l->groups == l->out_c)	/* depthwise: a PE per channel */
		n_c = ceil_div(l->out_c, tile_cols);
	else
		n_c = fnpu_mul(l->groups, ceil_div(l->out_c / l->groups, tile_cols));

	c->compute_cycles = add(c->compute_cycles,
				fnpu_mul(fnpu_mul(fnpu_mul(n_r, n_c), fnpu_mul(n_p, b_p)), tile_rows));
	c->useful_macs = add(c->useful_macs, fnpu_mul(fnpu_mul(p->n, rows), weights));
	c->weight_bytes = add(c->weight_bytes,
			      fnpu_mul(weights <= g->weight_sram_bytes ? 1 : n_r, weights));
	c->weight_used_bytes = add(c->weight_used_bytes, fnpu_mul(p->n, weights));
}

static void add_vector(const struct fluidnpu_hw_geometry *g, const struct fluidnpu_hw_layer *l,
		       unsigned int n, struct fnpu_cost *c)
{
	uint64_t elements = tensor_bytes(l->out_h, l->out_w, l->out_c);

	if (l->op == FLUIDNPU_LAYER_AVGPOOL || l->op == FLUIDNPU_LAYER_MAXPOOL)
		elements = fnpu_mul(elements, (uint64_t)l->kernel_h * l->kernel_w);
	else if (l->op == FLUIDNPU_LAYER_EXIT)
		elements = l->in_c;
	else if (l->op == FLUIDNPU_LAYER_CONCAT)
		elements = tensor_bytes(l->in_h, l->in_w, l->in_c);
	c->vector_cycles = add(c->vector_cycles, ceil_div(fnpu_mul(elements, n), g->vector_lanes));
}

/*
 * Activations move to or from DRAM when the n samples' live state does not fit
 * the activation SRAM. The network's input always comes from DRAM and
 * logits always go there; what one fused layer hands to the next never does.
 */
static void add_activations(const struct fluidnpu_hw_geometry *g,
			    const struct fluidnpu_hw_layer *layers, unsigned int count,
			    unsigned int n, struct fnpu_cost *c)
{
	for (unsigned int i = 0; i < count; i++) {
		const struct fluidnpu_hw_layer *l = &layers[i];
		bool spills = fnpu_mul(n, l->live_bytes) > g->act_sram_bytes;
		bool chained = i && l->in_off == layers[i - 1].out_off;
		bool chained2 = i && l->in2_off == layers[i - 1].out_off;
		uint64_t in = fnpu_mul(n, tensor_bytes(l->in_h, l->in_w, l->in_c));

		if (l->in_off == FLUIDNPU_TENSOR_INPUT || (spills && !chained))
			c->act_read_bytes = add(c->act_read_bytes, in);
		if (l->op == FLUIDNPU_LAYER_ADD && spills && !chained2)
			c->act_read_bytes = add(c->act_read_bytes, in);
		if (l->op == FLUIDNPU_LAYER_EXIT)
			c->act_write_bytes = add(c->act_write_bytes, fnpu_mul(n, l->in_c));
		else if (l->op == FLUIDNPU_LAYER_CONCAT && spills)
			c->act_write_bytes = add(c->act_write_bytes, in);
		else if (spills && i == count - 1)
			c->act_write_bytes = add(c->act_write_bytes,
						 fnpu_mul(n, tensor_bytes(l->out_h, l->out_w, l->out_c)));
	}
}

void fnpu_cost_pass(const struct fluidnpu_hw_geometry *g,
		    const struct fluidnpu_hw_layer *layers, unsigned int count,
		    const struct fluidnpu_hw_policy *p, struct fnpu_cost *sum)
{
	struct fnpu_cost c = { 0 };
	uint64_t bytes, busy;

	for (unsigned int i = 0; i < count; i++) {
		if (layers[i].op == FLUIDNPU_LAYER_CONV)
			add_gemm(g, &layers[i], p, &c);
		else
			add_vector(g, &layers[i], p->n, &c);
	}
	add_activations(g, layers, count, p->n, &c);

	bytes = add(c.weight_bytes, add(c.act_read_bytes, c.act_write_bytes));
	c.dram_cycles = ceil_div(fnpu_mul(bytes, 1024), g->dram_bytes_per_kcycle);
	busy = max(c.compute_cycles, c.vector_cycles);
	c.cycles = add(max(busy, c.dram_cycles), g->layer_overhead_cycles);
	if (c.cycles > MAX_CYCLES)
		c.cycles = MAX_CYCLES;
	if (c.dram_cycles > busy)
		c.stall_cycles = c.dram_cycles - busy;
	if (c.stall_cycles > c.cycles)
		c.stall_cycles = c.cycles;

	sum->cycles = add(sum->cycles, c.cycles);
	sum->compute_cycles = add(sum->compute_cycles, c.compute_cycles);
	sum->vector_cycles = add(sum->vector_cycles, c.vector_cycles);
	sum->dram_cycles = add(sum->dram_cycles, c.dram_cycles);
	sum->stall_cycles = add(sum->stall_cycles, c.stall_cycles);
	sum->useful_macs = add(sum->useful_macs, c.useful_macs);
	sum->weight_bytes = add(sum->weight_bytes, c.weight_bytes);
	sum->weight_used_bytes = add(sum->weight_used_bytes, c.weight_used_bytes);
	sum->act_read_bytes = add(sum->act_read_bytes, c.act_read_bytes);
	sum->act_write_bytes = add(sum->act_write_bytes, c.act_write_bytes);
}

unsigned int fnpu_split_batch(const struct fluidnpu_hw_geometry *g,
			      const struct fluidnpu_hw_policy *row, unsigned int b,
			      struct fluidnpu_hw_policy *passes)
{
	unsigned int num = 0;

	while (b) {
		passes[num] = row[b - 1];
		if (!fnpu_policy_valid(g, &passes[num], b))
			return 0;
		b -= passes[num++].n;
	}
	return num;
}

bool fnpu_cost_batch(const struct fluidnpu_hw_geometry *g,
		     const struct fluidnpu_hw_layer *layers, unsigned int count,
		     const struct fluidnpu_hw_policy *row, unsigned int b,
		     struct fnpu_cost *sum)
{
	struct fluidnpu_hw_policy passes[FLUIDNPU_MAX_BATCH];
	unsigned int num = fnpu_split_batch(g, row, b, passes);

	for (unsigned int i = 0; i < num; i++)
		fnpu_cost_pass(g, layers, count, &passes[i], sum);
	return num;
}

uint32_t fnpu_sram_share(const struct fluidnpu_hw_geometry *g, uint32_t live_bytes,
			 const struct fluidnpu_hw_policy *passes, unsigned int member)
{
	unsigned int pass = 0;

	for (unsigned int end = passes[0].n; end <= member; end += passes[pass].n)
		pass++;
	return (uint64_t)live_bytes * passes[pass].n <= g->act_sram_bytes ? live_bytes : 0;
}

uint64_t fnpu_dram_cycles(const struct fluidnpu_hw_geometry *g, uint64_t bytes)
{
	return (bytes * 1024 + g->dram_bytes_per_kcycle - 1) / g->dram_bytes_per_kcycle;
}
