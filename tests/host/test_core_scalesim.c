// SPDX-License-Identifier: MIT
/*
 * An outside check of the time model: the fold counts of SCALE-Sim's weight-stationary
 * dataflow (SCALE-Sim v2, Samajdar et al., ISPASS 2020), fold by fold.
 *
 * SCALE-Sim is a systolic array of H x W multipliers. A fold holds H x W weights: they are
 * shifted in row by row, then M rows of activations stream past, skewed by one
 * cycle per row and per column, so that the last sum leaves at the far corner. Our PE array
 * has an adder tree in place of the H rows and loads the next weights while it computes;
 * what both have in common is the M cycles in which the rows stream, once per fold. With
 * H = k * T_P, W = T_C / k and M rows of one row tile:
 *
 *	(cycles + 1) - folds * (2H + W - 2) = folds * M
 *
 * and summed over the row tiles this is our compute time before row padding.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core_host.h"
#include "networks.h"

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Cycles of one fold: weights row by row, then until the last row has crossed the array. */
static uint64_t fold_cycles(uint64_t h, uint64_t w, uint64_t m)
{
	uint64_t load = h, enter = m, cross_rows = h - 1, cross_columns = w - 1;

	return load + enter + cross_rows + cross_columns;
}

/* What our model says of a GEMM rows x depth x channels alone. */
static uint64_t compute_cycles(unsigned int rows, unsigned int depth, unsigned int channels,
			       unsigned int k)
{
	const struct fluidnpu_hw_layer gemm = {
		.op = FLUIDNPU_LAYER_CONV,
		.in_h = rows,
		.in_w = 1,
		.in_c = depth,
		.out_h = rows,
		.out_w = 1,
		.out_c = channels,
		.kernel_h = 1,
		.kernel_w = 1,
		.groups = 1,
	};
	struct fnpu_config config;
	struct fnpu_cost c = { 0 };

	fnpu_config_default(&config);
	fnpu_cost_pass(&config.geometry, &gemm, 1, &(struct fluidnpu_hw_policy){ 1, 1, 1, k }, &c);
	return c.compute_cycles;
}

/*
 * One row tile with @m rows through SCALE-Sim: its folds in its order. Each is compared with our
 * cost of the same piece. Returns the cycles that SCALE-Sim reports for all of them.
 */
static uint64_t run_row_tile(unsigned int m, uint64_t depth, uint64_t channels, unsigned int h,
			     unsigned int w, unsigned int k, uint64_t padded, uint64_t *folds)
{
	uint64_t demand = 0;

	*folds = 0;
	for (uint64_t c = 0; c < channels; c += w) {
		for (uint64_t p = 0; p < depth; p += h) {
			uint64_t cycles = fold_cycles(h, w, m);

			assert_int_equal(cycles - (2 * h + w - 2), m);
			assert_int_equal(compute_cycles(m, least(depth - p, h),
							least(channels - c, w), k), padded);
			demand += cycles;
			++*folds;
		}
	}
	return demand - 1; /* it counts from the first cycle to the last */
}

static void check_layer(const struct fluidnpu_hw_layer *l, unsigned int k)
{
	struct fnpu_config config;
	struct fnpu_cost cost = { 0 };
	uint64_t rows = (uint64_t)l->out_h * l->out_w, streamed = 0, padding = 0;
	uint64_t depth = (uint64_t)l->kernel_h * l->kernel_w * l->in_c;
	unsigned int tile, h, w;

	fnpu_config_default(&config);
	fnpu_cost_pass(&config.geometry, l, 1, &(struct fluidnpu_hw_policy){ 1, 1, 1, k }, &cost);
	tile = config.geometry.tile_rows / k;
	h = config.geometry.tile_depth * k;
	w = config.geometry.tile_cols / k;
	for (uint64_t r = 0; r < rows; r += tile) {
		uint64_t m = least(rows - r, tile), folds;
		uint64_t cycles = run_row_tile(m, depth, l->out_c, h, w, k, tile, &folds);

		assert_int_equal(cycles + 1 - folds * (2 * h + w - 2), folds * m);
		streamed += folds * m;
		padding += folds * (tile - m);
	}
	assert_int_equal(cost.compute_cycles, streamed + padding);
	if (rows % tile == 0)
		assert_int_equal(padding, 0);
}

static void test_resnet50_all_layers_all_k(void **state)
{
	unsigned int checked = 0;
	struct network n;

	(void)state;
	network_resnet50(&n, true);
	for (unsigned int i = 0; i < n.num_layers; i++) {
		if (n.layers[i].op != FLUIDNPU_LAYER_CONV)
			continue;
		for (unsigned int k = 1; k <= 8; k *= 2)
			check_layer(&n.layers[i], k);
		checked++;
	}
	assert_int_equal(checked, 53 + 4); /* convolutions, projections too, and heads */
}

static void test_random_shapes(void **state)
{
	struct tb_rng rng = { 12 };

	(void)state;
	for (int i = 0; i < 400; i++) {
		unsigned int kernel = 1 + 2 * (i % 2);

		check_layer(&(struct fluidnpu_hw_layer){
			.op = FLUIDNPU_LAYER_CONV,
			.in_c = tb_range(&rng, 1, 600),
			.out_h = tb_range(&rng, 1, 40),
			.out_w = tb_range(&rng, 1, 40),
			.out_c = tb_range(&rng, 2, 600),
			.kernel_h = kernel,
			.kernel_w = kernel,
			.groups = 1,
		}, 1u << tb_range(&rng, 0, 3));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_resnet50_all_layers_all_k),
		cmocka_unit_test(test_random_shapes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
