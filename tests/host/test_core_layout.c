// SPDX-License-Identifier: MIT
/*
 * The matrix engine follows the layout, and the layout does not show in the results: every
 * <B_R, B_P, k> that an NPU allows gives the numbers of one sample alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
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

/* --- groups that end early --------------------------------------------------------- */

static struct fnpu_work *to_cancel;
static unsigned int blocks;

/* While it is multiplied, somebody loses interest. */
static void cancelling_block(const int16_t *a, size_t stride, const int16_t *b, unsigned int pairs,
			     unsigned int rows, unsigned int cols,
			     int32_t *const acc[FNPU_BLOCK_ROWS])
{
	blocks++;
	__atomic_store_n(&to_cancel->cancel, true, __ATOMIC_RELAXED);
	fnpu_block_plain(a, stride, b, pairs, rows, cols, acc);
}

/* 16 outputs of 200 channels, 1,100 deep: 4 column tiles, which the host cuts thrice in depth */
static struct fluidnpu_hw_layer some_tiles(void)
{
	return (struct fluidnpu_hw_layer){
		.op = FLUIDNPU_LAYER_CONV,
		.in_h = 4, .in_w = 4, .in_c = 1100, .out_h = 4, .out_w = 4, .out_c = 200,
		.kernel_h = 1, .kernel_w = 1, .stride_h = 1, .stride_w = 1,
		.dilation_h = 1, .dilation_w = 1, .groups = 1,
		.clamp_min = -128, .clamp_max = 127,
	};
}

static void test_a_cancelled_group_ends_within_a_slice_of_a_tile(void **state)
{
	static const struct fluidnpu_hw_policy alone = { 1, 1, 1, 1 };
	/* 16 rows, 64 columns */
	const unsigned int blocks_of_slice = (16 + FNPU_BLOCK_ROWS - 1) / FNPU_BLOCK_ROWS * 4;
	struct fnpu_kernels kernels = fnpu_kernels_plain;
	const struct fluidnpu_hw_layer l = some_tiles();
	struct tb *tb = bench_of(&engines[0]);
	struct tb_rng rng = { 4 };
	struct conv_bench b;

	(void)state;
	conv_bench_init(&b, tb, &l, &rng, false, false);
	kernels.block = cancelling_block;
	to_cancel = &b.work;
	blocks = 0;
	assert_int_equal(conv_bench_run(&b, &kernels, &alone, 1), FLUIDNPU_OK);
	assert_in_range(blocks, 1, blocks_of_slice);
	b.work.num_samples = 0; /* nothing is to be written */
	assert_null(conv_bench_check(&b));
	conv_bench_free(&b);
	tb_free(tb);
}

/* --- vector layers ----------------------------------------------------------------- */

/** struct vector_bench - a layer of the vector unit for one sample, and what a naive one gives */
struct vector_bench {
	struct tb *tb;
	struct fnpu_work work;
	int8_t *out, *want;
	size_t out_bytes;
};

/* Each of some hundred thousand elements: several slices. */
static struct fluidnpu_hw_layer some_vector_layer(unsigned int op)
{
	struct fluidnpu_hw_layer l = {
		.op = op,
		.in_h = 61, .in_w = 67, .in_c = 50, .out_h = 61, .out_w = 67, .out_c = 50,
		.kernel_h = 1, .kernel_w = 1, .stride_h = 1, .stride_w = 1,
		.clamp_min = -128, .clamp_max = 127,
		.scale_in = fnpu_float_bits(0.3f),
	};

	switch (op) {
	case FLUIDNPU_LAYER_ADD:
		l.scale_in2 = fnpu_float_bits(0.4f);
		l.add_fixed = fnpu_float_bits(0.7f);
		break;
	case FLUIDNPU_LAYER_CONCAT:
		l.in_c = 41;
		l.out_channel = 7;
		break;
	default:
		l.kernel_h = l.kernel_w = 3;
		l.out_h -= 2;
		l.out_w -= 2;
	}
	return l;
}

static void naive_concat(const struct fluidnpu_hw_layer *l, const int8_t *table, const int8_t *in,
			 int8_t *out)
{
	for (unsigned int y = 0; y < l->in_h; y++)
		for (unsigned int x = 0; x < l->in_w; x++)
			for (unsigned int c = 0; c < l->in_c; c++)
				out[(y * l->in_w + x) * l->out_c + l->out_channel + c] =
					table[*in++ + 128];
}

static void naive_vector_layer(const struct fluidnpu_hw_layer *l, const int8_t *table,
			       const int8_t *in, const int8_t *in2, int8_t *out)
{
	switch (l->op) {
	case FLUIDNPU_LAYER_ADD:
		ref_add(l, in, in2, out);
		break;
	case FLUIDNPU_LAYER_AVGPOOL:
		ref_avgpool(l, in, out);
		break;
	case FLUIDNPU_LAYER_MAXPOOL:
		ref_maxpool(l, in, out);
		break;
	case FLUIDNPU_LAYER_CONCAT:
		naive_concat(l, table, in, out);
		break;
	}
}

static void vector_bench_init(struct vector_bench *b, unsigned int op)
{
	struct fluidnpu_hw_layer l = some_vector_layer(op);
	const size_t in_bytes = (size_t)l.in_h * l.in_w * l.in_c;
	struct tb *tb = bench_of(&engines[0]);
	struct tb_rng rng = { 6 };
	uint64_t in, state, program;
	int8_t *table, *in2;

	*b = (struct vector_bench){ .tb = tb, .out_bytes = (size_t)l.out_h * l.out_w * l.out_c };
	program = tb_alloc(tb, FLUIDNPU_TABLE_BYTES, FLUIDNPU_PAGE_BYTES);
	in = tb_alloc(tb, in_bytes, 1);
	state = tb_alloc(tb, in_bytes + b->out_bytes, 1);
	l.in_off = FLUIDNPU_TENSOR_INPUT;
	l.out_off = in_bytes;
	table = tb_ptr(tb, program, FLUIDNPU_TABLE_BYTES);
	in2 = tb_ptr(tb, state, in_bytes);
	b->out = tb_ptr(tb, state + in_bytes, b->out_bytes);
	tb_codes(&rng, table, FLUIDNPU_TABLE_BYTES, false);
	tb_codes(&rng, tb_ptr(tb, in, in_bytes), in_bytes, false);
	tb_codes(&rng, in2, in_bytes, false);
	b->want = calloc(b->out_bytes, 1);
	assert_non_null(b->want);
	naive_vector_layer(&l, table, tb_ptr(tb, in, in_bytes), in2, b->want);
	b->work = (struct fnpu_work){
		.as_id = TB_AS,
		.program_iova = program + TB_IOVA_OFFSET,
		.layers = { l },
		.num_layers = 1,
		.samples[0] = {
			.input_iova = in + TB_IOVA_OFFSET,
			.state_iova = state + TB_IOVA_OFFSET,
		},
		.num_samples = 1,
	};
}

static void vector_bench_free(struct vector_bench *b)
{
	free(b->want);
	tb_free(b->tb);
}

static const unsigned int vector_ops[] = {
	FLUIDNPU_LAYER_ADD, FLUIDNPU_LAYER_AVGPOOL, FLUIDNPU_LAYER_MAXPOOL, FLUIDNPU_LAYER_CONCAT,
};

static void test_slices_of_vector_layers_give_the_numbers_of_the_whole(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < sizeof(vector_ops) / sizeof(vector_ops[0]); i++) {
		struct vector_bench b;

		vector_bench_init(&b, vector_ops[i]);
		for (const struct fnpu_kernels *const *k = fnpu_kernels_all(); *k; k++) {
			b.tb->dev->kernels = *k;
			memset(b.out, 0, b.out_bytes);
			fnpu_work_run(b.tb->dev, &b.work);
			assert_int_equal(b.work.fault.status, FLUIDNPU_OK);
			assert_memory_equal(b.out, b.want, b.out_bytes);
		}
		vector_bench_free(&b);
	}
}

static unsigned int slices;

static void cancelling_add(const struct fluidnpu_hw_layer *l, const int8_t *a, const int8_t *b,
			   size_t n, int8_t *out)
{
	slices++;
	__atomic_store_n(&to_cancel->cancel, true, __ATOMIC_RELAXED);
	fnpu_vector_add(l, a, b, n, out);
}

static void cancelling_pool(const struct fluidnpu_hw_layer *l, const int8_t *in, size_t first,
			    size_t n, int8_t *out)
{
	slices++;
	__atomic_store_n(&to_cancel->cancel, true, __ATOMIC_RELAXED);
	fnpu_vector_maxpool(l, in, first, n, out);
}

static void test_a_cancelled_vector_layer_ends_within_a_slice(void **state)
{
	struct fnpu_kernels kernels = fnpu_kernels_plain;

	(void)state;
	kernels.add = cancelling_add;
	kernels.avgpool = kernels.maxpool = cancelling_pool;
	for (unsigned int i = 0; i < 3; i++) { /* no kernel does a CONCAT */
		struct vector_bench b;

		vector_bench_init(&b, vector_ops[i]);
		b.tb->dev->kernels = &kernels;
		to_cancel = &b.work;
		slices = 0;
		fnpu_work_run(b.tb->dev, &b.work);
		assert_int_equal(slices, 1);
		memset(b.want, 0, b.out_bytes);
		assert_memory_equal(b.out, b.want, b.out_bytes); /* nothing is written */
		vector_bench_free(&b);
	}
}

static const struct fnpu_host_ops *host_ops;

static bool cancelling_read(void *host, uint64_t addr, void *buf, size_t bytes)
{
	__atomic_store_n(&to_cancel->cancel, true, __ATOMIC_RELAXED);
	return host_ops->dma_read(host, addr, buf, bytes);
}

static void test_a_vector_layer_cancelled_while_it_reads_computes_nothing(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < sizeof(vector_ops) / sizeof(vector_ops[0]); i++) {
		struct fnpu_host_ops ops;
		struct vector_bench b;

		vector_bench_init(&b, vector_ops[i]);
		host_ops = b.tb->dev->ops;
		ops = *host_ops;
		ops.dma_read = cancelling_read;
		b.tb->dev->ops = &ops;
		to_cancel = &b.work;
		fnpu_work_run(b.tb->dev, &b.work);
		memset(b.want, 0, b.out_bytes);
		assert_memory_equal(b.out, b.want, b.out_bytes);
		b.tb->dev->ops = host_ops;
		vector_bench_free(&b);
	}
}

/* Whoever wants to see what a group wrote waits for all of it. */
static void test_the_work_of_a_group_is_bounded(void **state)
{
	const struct fluidnpu_hw_program roomy = {
		.total_bytes = UINT32_MAX,
		.state_bytes = UINT32_MAX,
		.input_bytes = UINT32_MAX,
	};
	struct fluidnpu_hw_layer layers[3] = { some_tiles() };

	(void)state;
	/* each slightly more than half of the bound */
	layers[1] = layers[2] = (struct fluidnpu_hw_layer){
		.op = FLUIDNPU_LAYER_MAXPOOL,
		.in_h = 319, .in_w = 319, .in_c = 1, .out_h = 65, .out_w = 65, .out_c = 1,
		.kernel_h = 255, .kernel_w = 255, .stride_h = 1, .stride_w = 1,
	};
	assert_true(65ull * 65 * 255 * 255 * 2 > FNPU_MAX_VECTOR_WORK);
	assert_true(fnpu_layer_valid(&roomy, &layers[1]));
	assert_true(fnpu_group_affordable(layers, 2));
	assert_false(fnpu_group_affordable(layers, 3));
	layers[2].op = FLUIDNPU_LAYER_ADD; /* 4,225 elements */
	assert_true(fnpu_group_affordable(layers, 3));
	layers[1].in_c = layers[1].out_c = 2;
	assert_false(fnpu_layer_valid(&roomy, &layers[1]));
}

/* --- memory ------------------------------------------------------------------------ */

/* Its shadow needs all of the address space. */
#ifdef __SANITIZE_ADDRESS__
static const bool address_sanitizer = true;
#else
static const bool address_sanitizer;
#endif

/* Leaves the process @more bytes of address space; returns the limit before. */
static struct rlimit limit_memory(size_t more)
{
	FILE *statm = fopen("/proc/self/statm", "r");
	struct rlimit before, limit;
	unsigned long pages;

	assert_non_null(statm);
	assert_int_equal(fscanf(statm, "%lu", &pages), 1);
	fclose(statm);
	assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
	limit = before;
	limit.rlim_cur = pages * (size_t)sysconf(_SC_PAGESIZE) + more;
	assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
	return before;
}

static void test_a_group_without_memory_fails_and_the_next_one_runs(void **state)
{
	static const struct engine wide = { "wide", 8192, 16, 8192, 1, 1 };
	static const struct fluidnpu_hw_policy alone = { 1, 1, 1, 1 };
	const struct fluidnpu_hw_layer l = some_tiles();
	struct tb_rng rng = { 5 };
	struct rlimit before;
	struct conv_bench b;
	struct tb *tb;
	int status;

	(void)state;
	if (address_sanitizer)
		skip();
	tb = bench_of(&wide); /* 256 MiB of accumulators */
	conv_bench_init(&b, tb, &l, &rng, false, false);
	before = limit_memory(64u << 20);
	status = conv_bench_run(&b, &fnpu_kernels_plain, &alone, 1);
	assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
	assert_int_equal(status, FLUIDNPU_ERR_MEMORY);
	assert_int_equal(conv_bench_run(&b, &fnpu_kernels_plain, &alone, 1), FLUIDNPU_OK);
	assert_null(conv_bench_check(&b));
	conv_bench_free(&b);
	tb_free(tb);
}

static void test_reset_gives_the_memory_back(void **state)
{
	static const struct fluidnpu_hw_policy alone = { 1, 1, 1, 1 };
	static const struct fnpu_scratch none;
	const struct fluidnpu_hw_layer l = some_tiles();
	struct tb *tb = bench_of(&engines[0]);
	struct tb_rng rng = { 7 };
	struct conv_bench b;

	(void)state;
	conv_bench_init(&b, tb, &l, &rng, false, false);
	assert_int_equal(conv_bench_run(&b, &fnpu_kernels_plain, &alone, 1), FLUIDNPU_OK);
	assert_non_null(tb->dev->scratch.packed.data);
	fnpu_dev_reset(tb->dev);
	assert_memory_equal(&tb->dev->scratch, &none, sizeof(none));
	conv_bench_free(&b);
	tb_free(tb);
}

/* A tile's rows are gathered in host memory, each as deep as the layer. */
static void test_depth_is_bounded(void **state)
{
	const struct fluidnpu_hw_program roomy = {
		.total_bytes = UINT32_MAX,
		.state_bytes = UINT32_MAX,
		.input_bytes = UINT32_MAX,
	};
	struct fluidnpu_hw_layer l = some_tiles();

	(void)state;
	l.in_h = l.in_w = l.kernel_h = l.kernel_w = 64;
	l.in_c = FNPU_MAX_DEPTH / 64 / 64;
	l.out_h = l.out_w = 1;
	assert_true(fnpu_layer_valid(&roomy, &l));
	l.in_c++;
	assert_false(fnpu_layer_valid(&roomy, &l));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_layout_gives_the_numbers_of_one_sample),
		cmocka_unit_test(test_split_batches_give_the_numbers_of_one_sample),
		cmocka_unit_test(test_large_layers_fill_many_tiles),
		cmocka_unit_test(test_a_cancelled_group_ends_within_a_slice_of_a_tile),
		cmocka_unit_test(test_slices_of_vector_layers_give_the_numbers_of_the_whole),
		cmocka_unit_test(test_a_cancelled_vector_layer_ends_within_a_slice),
		cmocka_unit_test(test_a_vector_layer_cancelled_while_it_reads_computes_nothing),
		cmocka_unit_test(test_the_work_of_a_group_is_bounded),
		cmocka_unit_test(test_a_group_without_memory_fails_and_the_next_one_runs),
		cmocka_unit_test(test_reset_gives_the_memory_back),
		cmocka_unit_test(test_depth_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
