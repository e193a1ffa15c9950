// SPDX-License-Identifier: MIT
/*
 * The matrix engine follows the layout, and the layout does not show in the results: every
 * <B_R, B_P, k> that an NPU allows gives the numbers of one sample alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "conv_bench.h"

/* T_R, T_P, T_C, A, largest k */
struct engine {
	const char *name;
	unsigned int tile_rows, tile_depth, tile_cols, acc_tiles, max_stack;
};

static const struct engine engines[] = {
	{ "the default one", 128, 16, 64, 1, 8 },
	{ "conventional", 128, 16, 64, 1, 1 },
	{ "conventional with accumulators to spare", 32, 16, 16, 5, 1 },
	{ "small", 16, 4, 16, 1, 4 },
	{ "small, odd tiles", 6, 3, 10, 3, 2 },
	{ "tiny", 8, 1, 8, 1, 8 },
	{ "odd and conventional", 7, 5, 11, 2, 1 },
	{ "one PE", 1, 1, 1, 16, 1 },
};

static struct tb *bench_of(const struct engine *e)
{
	struct fnpu_config config;

	fnpu_config_default(&config);
	config.geometry.tile_rows = e->tile_rows;
	config.geometry.tile_depth = e->tile_depth;
	config.geometry.tile_cols = e->tile_cols;
	config.geometry.acc_tiles = e->acc_tiles;
	config.geometry.max_stack = e->max_stack;
	return conv_bench_tb(&config);
}

/* The kernels take turns. */
static const struct fnpu_kernels *next_kernels(void)
{
	static const struct fnpu_kernels *const *next;

	if (!next || !*next)
		next = fnpu_kernels_all();
	return *next++;
}

static void check(struct conv_bench *b, const struct engine *e,
		  const struct fluidnpu_hw_policy *passes, unsigned int num_passes)
{
	const struct fnpu_kernels *kernels = next_kernels();
	const char *wrong;

	assert_int_equal(conv_bench_run(b, kernels, passes, num_passes), FLUIDNPU_OK);
	wrong = conv_bench_check(b);
	if (wrong)
		fail_msg("engine %s, %s: %s", e->name, kernels->name, wrong);
}

/*
 * Checks every pass of @n samples that the NPU allows, each with the least B_R that it takes
 * and with one to spare (which changes nothing); returns their number.
 */
static unsigned int check_layouts_of(struct conv_bench *b, const struct engine *e, unsigned int n)
{
	const struct fluidnpu_hw_geometry *g = &b->tb->config.geometry;
	unsigned int count = 0;

	for (unsigned int k = 1; k <= e->max_stack; k *= 2) {
		for (unsigned int b_p = 1; b_p <= FLUIDNPU_MAX_BATCH + 1; b_p++) {
			const unsigned int least = (n + b_p - 1) / b_p;

			for (unsigned int b_r = least; b_r <= least + 1; b_r++) {
				const struct fluidnpu_hw_policy p = { n, b_r, b_p, k };

				if (!fnpu_policy_valid(g, &p, n))
					continue;
				check(b, e, &p, 1);
				count++;
			}
		}
	}
	return count;
}

static void test_every_layout_gives_the_numbers_of_one_sample(void **state)
{
	struct tb_rng rng = { 1 };

	(void)state;
	for (unsigned int i = 0; i < sizeof(engines) / sizeof(engines[0]); i++) {
		struct tb *tb = bench_of(&engines[i]);
		unsigned int count = 0;

		for (unsigned int n = 1; n <= FLUIDNPU_MAX_BATCH; n++) {
			const struct fluidnpu_hw_layer l = conv_random(&rng, (n + i) % CONV_KINDS, true);
			struct conv_bench b;

			conv_bench_init(&b, tb, &l, &rng, n % 4 == 3, false);
			count += check_layouts_of(&b, &engines[i], n);
			conv_bench_free(&b);
		}
		print_message("engine %s: %u layouts\n", engines[i].name, count);
		tb_free(tb);
	}
}

/* Any pass that the NPU allows. */
static struct fluidnpu_hw_policy random_pass(struct tb_rng *rng,
					     const struct fluidnpu_hw_geometry *g, unsigned int left)
{
	struct fluidnpu_hw_policy p;

	do {
		p.n = tb_range(rng, 1, left);
		p.b_r = tb_range(rng, 1, 16);
		p.b_p = tb_range(rng, 1, 16);
		p.k = 1 << tb_range(rng, 0, 3);
	} while (!fnpu_policy_valid(g, &p, left));
	return p;
}

static void test_split_batches_give_the_numbers_of_one_sample(void **state)
{
	struct tb_rng rng = { 2 };

	(void)state;
	for (unsigned int i = 0; i < sizeof(engines) / sizeof(engines[0]); i++) {
		struct tb *tb = bench_of(&engines[i]);

		for (unsigned int round = 0; round < 20; round++) {
			const struct fluidnpu_hw_layer l = conv_random(&rng, round % CONV_KINDS, false);
			struct conv_bench b;

			conv_bench_init(&b, tb, &l, &rng, round % 3 == 2, false);
			for (unsigned int batch = 2; batch <= FLUIDNPU_MAX_BATCH; batch += 7) {
				struct fluidnpu_hw_policy passes[FLUIDNPU_MAX_BATCH];
				unsigned int num = 0;

				for (unsigned int left = batch; left; left -= passes[num++].n)
					passes[num] = random_pass(&rng, &tb->config.geometry, left);
				check(&b, &engines[i], passes, num);
			}
			conv_bench_free(&b);
		}
		tb_free(tb);
	}
}

/* Rows of several samples in a tile, tiles of several rows of a sample, and many of both. */
static void test_large_layers_fill_many_tiles(void **state)
{
	struct tb_rng rng = { 3 };

	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		struct tb *tb = bench_of(&engines[i]);
		struct fluidnpu_hw_layer l = {
			.op = FLUIDNPU_LAYER_CONV,
			.in_h = 17, .in_w = 13, .in_c = 67, .out_h = 17, .out_w = 13, .out_c = 90,
			.kernel_h = 3, .kernel_w = 3, .stride_h = 1, .stride_w = 1,
			.pad_t = 1, .pad_l = 1, .pad_b = 1, .pad_r = 1,
			.dilation_h = 1, .dilation_w = 1, .groups = 1,
			.zp_in = -100, .zp_out = 5, .clamp_min = -128, .clamp_max = 127,
		};
		struct conv_bench b;

		conv_bench_init(&b, tb, &l, &rng, false, false);
		for (unsigned int round = 0; round < 6; round++) {
			struct fluidnpu_hw_policy p = random_pass(&rng, &tb->config.geometry, 16);

			check(&b, &engines[i], &p, 1);
		}
		conv_bench_free(&b);
		tb_free(tb);
	}
}

static void test_a_cancelled_group_computes_nothing(void **state)
{
	const struct fluidnpu_hw_policy p = { 4, 4, 1, 1 };
	struct tb_rng rng = { 4 };
	struct tb *tb = bench_of(&engines[0]);
	const struct fluidnpu_hw_layer l = conv_random(&rng, CONV_PLAIN, true);
	struct conv_bench b;

	(void)state;
	conv_bench_init(&b, tb, &l, &rng, false, false);
	assert_int_equal(conv_bench_run(&b, fnpu_kernels_all()[0], &p, 1), FLUIDNPU_OK);
	memset(b.state[0], 1, 64);
	b.work.cancel = true;
	fnpu_work_run(tb->dev, &b.work);
	assert_int_equal(b.work.fault.status, FLUIDNPU_OK);
	assert_int_equal(b.state[0][0], 1);
	conv_bench_free(&b);
	tb_free(tb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_layout_gives_the_numbers_of_one_sample),
		cmocka_unit_test(test_split_batches_give_the_numbers_of_one_sample),
		cmocka_unit_test(test_large_layers_fill_many_tiles),
		cmocka_unit_test(test_a_cancelled_group_computes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
