// SPDX-License-Identifier: MIT
/*
 * The control block: for every group of layers and every live batch b, the
 * layout <B_R, B_P, k> that takes the fewest cycles on this NPU.
 *
 * A live batch may be worth splitting (what does not fit the activation SRAM in one
 * pass may fit in two), so the search is a shortest path over batch sizes:
 *
 *	T(b) = min over n <= b of cost(n) + T(b - n)
 *	cost(n) = min over k and b_p of fnpu_cost_pass(n, ceil(n / b_p), b_p, k)
 *
 * cost(n) is searched exhaustively: a larger B_R than ceil(n / b_p) would not be used, and
 * neither would a B_P above n. T is subadditive by construction: any split of b is one of the
 * paths that the minimum was taken over.
 *
 * For comparisons there is the one layout of a conventional NPU: <b, 1, 1>.
 */
#include <inttypes.h>
#include <string.h>

#include "fnpu_cost.h"
#include "program.h"

/* Best layout of one pass with @n samples; ties go to the smaller k, then the smaller b_p. */
static uint64_t best_pass(const struct fluidnpu_hw_geometry *g,
			  const struct fluidnpu_hw_layer *layers, unsigned int count,
			  unsigned int n, struct fluidnpu_hw_policy *best)
{
	uint64_t best_cycles = UINT64_MAX;
	unsigned int k, b_p;

	for (k = 1; k <= g->max_stack; k *= 2) {
		for (b_p = 1; b_p <= n; b_p++) {
			struct fluidnpu_hw_policy p = {
				.n = (uint8_t)n,
				.b_r = (uint8_t)((n + b_p - 1) / b_p),
				.b_p = (uint8_t)b_p,
				.k = (uint8_t)k,
			};
			struct fnpu_cost cost = { 0 };

			if (!fnpu_policy_valid(g, &p, n))
				continue;
			fnpu_cost_pass(g, layers, count, &p, &cost);
			if (cost.cycles < best_cycles) {
				best_cycles = cost.cycles;
				*best = p;
			}
		}
	}
	return best_cycles;
}

void npucc_control_row(const struct fluidnpu_hw_geometry *g,
		       const struct fluidnpu_hw_layer *layers, unsigned int count,
		       unsigned int max_batch, struct fluidnpu_hw_policy *row, uint64_t *cycles)
{
	struct fluidnpu_hw_policy pass[FLUIDNPU_MAX_BATCH];
	uint64_t pass_cycles[FLUIDNPU_MAX_BATCH];
	unsigned int b, n;

	for (b = 1; b <= max_batch; b++) {
		pass_cycles[b - 1] = best_pass(g, layers, count, b, &pass[b - 1]);
		row[b - 1] = pass[b - 1];
		cycles[b - 1] = pass_cycles[b - 1];
		for (n = b - 1; n; n--) {
			uint64_t split = pass_cycles[n - 1] + cycles[b - n - 1];

			if (split < cycles[b - 1]) {
				cycles[b - 1] = split;
				row[b - 1] = pass[n - 1];
			}
		}
	}
}

/* All samples in one pass along the rows. */
static void conventional_row(const struct fluidnpu_hw_geometry *g,
			     const struct fluidnpu_hw_layer *layers, unsigned int count,
			     unsigned int max_batch, struct fluidnpu_hw_policy *row,
			     uint64_t *cycles)
{
	unsigned int b;

	for (b = 1; b <= max_batch; b++) {
		struct fnpu_cost cost = { 0 };

		row[b - 1] = (struct fluidnpu_hw_policy){ (uint8_t)b, (uint8_t)b, 1, 1 };
		fnpu_cost_pass(g, layers, count, &row[b - 1], &cost);
		cycles[b - 1] = cost.cycles;
	}
}

bool npucc_control(struct npucc_arena *arena, struct npucc_program *program,
		   struct npucc_error *error)
{
	const struct fluidnpu_hw_geometry *g = &program->config.geometry;
	unsigned int num = program->net->num_layers, max = program->max_batch, i, b, count;
	uint64_t cycles[FLUIDNPU_MAX_BATCH];

	program->cost = npucc_alloc(arena, (size_t)num * max, sizeof(*program->cost));
	for (i = 0; i < num; i += count) {
		count = fnpu_group_size(&program->layers[i], num - i);
		(program->conventional ? conventional_row : npucc_control_row)(
			g, &program->layers[i], count, max, &program->control[(size_t)i * max],
			cycles);
		for (b = 0; b < max; b++) {
			if (cycles[b] > UINT32_MAX)
				return npucc_fail(error, "layer %u ('%s') takes %" PRIu64 " cycles for a batch of %u, at most %u are possible",
						  i, program->net->layers[i]->name, cycles[b],
						  b + 1, UINT32_MAX);
			program->cost[(size_t)i * max + b] = (uint32_t)cycles[b];
		}
	}
	return true;
}
