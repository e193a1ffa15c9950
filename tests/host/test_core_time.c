// SPDX-License-Identifier: MIT
/*
 * The time model against the formulas of fnpu_cost.h: worked out by hand for layers of
 * known networks, recomputed in another form for random ones, and the reference points of
 * whole networks. (An outside check of the fold counts is test_core_scalesim.c.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "core_host.h"
#include "networks.h"

static struct fluidnpu_hw_geometry default_geometry(void)
{
	struct fnpu_config config;

	fnpu_config_default(&config);
	return config.geometry;
}

/* Square convolution whose live state is its input and its output. */
static struct fluidnpu_hw_layer conv(unsigned int in, unsigned int c, unsigned int out_c,
				     unsigned int kernel, unsigned int stride, unsigned int groups)
{
	unsigned int pad = kernel / 2, out = (in + 2 * pad - kernel) / stride + 1;

	return (struct fluidnpu_hw_layer){
		.op = FLUIDNPU_LAYER_CONV,
		.in_h = in,
		.in_w = in,
		.in_c = c,
		.out_h = out,
		.out_w = out,
		.out_c = out_c,
		.kernel_h = kernel,
		.kernel_w = kernel,
		.stride_h = stride,
		.stride_w = stride,
		.pad_t = pad,
		.pad_l = pad,
		.pad_b = pad,
		.pad_r = pad,
		.dilation_h = 1,
		.dilation_w = 1,
		.groups = groups,
		.live_bytes = in * in * c + out * out * out_c,
	};
}

static struct fnpu_cost cost(const struct fluidnpu_hw_layer *layers, unsigned int count,
			     unsigned int n, unsigned int b_r, unsigned int b_p, unsigned int k)
{
	struct fluidnpu_hw_geometry g = default_geometry();
	struct fnpu_cost c = { 0 };

	fnpu_cost_pass(&g, layers, count, &(struct fluidnpu_hw_policy){ n, b_r, b_p, k }, &c);
	return c;
}

/* --- by hand, default geometry: 128 x 16 x 64, 16 bytes and 64 elements per cycle ---- */

static void test_default_geometry_is_the_documented_one(void **state)
{
	struct fluidnpu_hw_geometry g = default_geometry();

	(void)state;
	assert_int_equal(g.tile_rows, 128);
	assert_int_equal(g.tile_depth, 16);
	assert_int_equal(g.tile_cols, 64);
	assert_int_equal(g.acc_tiles, 1);
	assert_int_equal(g.max_stack, 8);
	assert_int_equal(g.max_batch, 16);
	assert_int_equal(g.act_sram_bytes, 2 * 1024 * 1024);
	assert_int_equal(g.weight_sram_bytes, 256 * 1024);
	assert_int_equal(g.dram_bytes_per_kcycle, 16 * 1024);
	assert_int_equal(g.vector_lanes, 64);
	assert_int_equal(g.layer_overhead_cycles, 256);
}

static void test_resnet50_conv1(void **state)
{
	/* R = 112^2 = 98 tiles, P = 147 in 10, C = 64 in 1; the input comes from DRAM */
	struct fluidnpu_hw_layer l = conv(224, 3, 64, 7, 2, 1);
	struct fnpu_cost c;

	(void)state;
	l.in_off = FLUIDNPU_TENSOR_INPUT;
	c = cost(&l, 1, 1, 1, 1, 1);
	assert_int_equal(c.compute_cycles, 98 * 10 * 128);
	assert_int_equal(c.useful_macs, 118013952);
	assert_int_equal(c.weight_bytes, 9408);
	assert_int_equal(c.act_read_bytes, 150528);
	assert_int_equal(c.act_write_bytes, 0);
	assert_int_equal(c.dram_cycles, (9408 + 150528) / 16);
	assert_int_equal(c.cycles, 125440 + 256);
	assert_int_equal(c.stall_cycles, 0);
}

static void test_resnet50_conv2_3x3(void **state)
{
	struct fluidnpu_hw_layer l = conv(56, 64, 64, 3, 1, 1);
	struct fnpu_cost c = cost(&l, 1, 1, 1, 1, 1);

	(void)state;
	/* R = 3136 = 24.5 tiles */
	assert_int_equal(c.compute_cycles, 25 * 36 * 128);
	assert_int_equal(c.useful_macs, 115605504);
	assert_int_equal(c.dram_cycles, 36864 / 16);
	assert_int_equal(c.cycles, 115200 + 256);
}

static void test_live_state_beyond_the_sram_spills(void **state)
{
	/* 8 * 401,408 bytes live > 2 MiB: all inputs read, all outputs written */
	struct fluidnpu_hw_layer l = conv(56, 64, 64, 3, 1, 1);
	struct fnpu_cost c = cost(&l, 1, 8, 8, 1, 1);

	(void)state;
	assert_int_equal(c.compute_cycles, 196 * 36 * 128);
	assert_int_equal(c.act_read_bytes, 8 * 200704);
	assert_int_equal(c.act_write_bytes, 8 * 200704);
	assert_int_equal(c.weight_bytes, 36864);
	assert_int_equal(c.dram_cycles, (8 * 2 * 200704 + 36864) / 16);
	assert_int_equal(c.cycles, 903168 + 256);

	/* exactly 2 MiB still fits, a byte more does not */
	l.live_bytes = 2 * 1024 * 1024 / 8;
	assert_int_equal(cost(&l, 1, 8, 8, 1, 1).act_read_bytes, 0);
	l.live_bytes++;
	assert_int_equal(cost(&l, 1, 8, 8, 1, 1).act_read_bytes, 8 * 200704);
}

static void test_resnet50_conv5_1x1_is_reloaded_per_row_tile(void **state)
{
	/* R = 49, P = 2048, C = 512: 1 MiB of weights, more than the weight SRAM */
	struct fluidnpu_hw_layer l = conv(7, 2048, 512, 1, 1, 1);
	struct fnpu_cost c = cost(&l, 1, 1, 1, 1, 1);

	(void)state;
	assert_int_equal(c.compute_cycles, 1 * 128 * 8 * 128);
	assert_int_equal(c.weight_bytes, 1048576);
	assert_int_equal(c.cycles, 131072 + 256);

	c = cost(&l, 1, 1, 1, 1, 2); /* stacked: 64 x 32 x 32 */
	assert_int_equal(c.compute_cycles, 64 * 16 * 64);
	assert_int_equal(c.cycles, 65536 + 256);

	c = cost(&l, 1, 1, 1, 1, 8); /* 16 x 128 x 8: four row tiles, DRAM-bound */
	assert_int_equal(c.compute_cycles, 4 * 16 * 64 * 16);
	assert_int_equal(c.weight_bytes, 4 * 1048576);
	assert_int_equal(c.cycles, 262144 + 256);
	assert_int_equal(c.stall_cycles, 262144 - 65536);

	c = cost(&l, 1, 4, 4, 1, 1); /* R-batch: 196 rows in two tiles */
	assert_int_equal(c.compute_cycles, 2 * 128 * 8 * 128);
	assert_int_equal(c.weight_bytes, 2 * 1048576);

	c = cost(&l, 1, 4, 1, 4, 2); /* P-batch: weights once for four samples */
	assert_int_equal(c.compute_cycles, 4 * 64 * 16 * 64);
	assert_int_equal(c.weight_bytes, 1048576);
	assert_int_equal(c.cycles, 262144 + 256);
}

static void test_weights_that_just_fit_are_loaded_once(void **state)
{
	/* 784 rows in 7 tiles; 512 * 512 bytes are all of the weight SRAM */
	struct fluidnpu_hw_layer l = conv(28, 512, 512, 1, 1, 1);

	(void)state;
	assert_int_equal(cost(&l, 1, 1, 1, 1, 1).weight_bytes, 262144);
	l.out_c++;
	assert_int_equal(cost(&l, 1, 1, 1, 1, 1).weight_bytes, 7 * (262144 + 512));
}

static void test_resnet50_fully_connected(void **state)
{
	struct fluidnpu_hw_layer l = conv(1, 2048, 1000, 1, 1, 1);
	struct fnpu_cost c = cost(&l, 1, 1, 1, 1, 1);

	(void)state;
	assert_int_equal(c.compute_cycles, 128 * 16 * 128);
	assert_int_equal(c.dram_cycles, 2048000 / 16);
	assert_int_equal(c.cycles, 262144 + 256);
	c = cost(&l, 1, 1, 1, 1, 8);
	assert_int_equal(c.compute_cycles, 16 * 125 * 16);
	assert_int_equal(c.cycles, 128000 + 256);
	assert_int_equal(c.stall_cycles, 128000 - 32000);
}

static void test_depthwise_has_a_pe_per_channel(void **state)
{
	/* MobileNetV2's first: P = 9 fits one multiplier row, stacking adds nothing */
	struct fluidnpu_hw_layer l = conv(112, 32, 32, 3, 1, 32);

	(void)state;
	assert_int_equal(cost(&l, 1, 1, 1, 1, 1).compute_cycles, 98 * 128);
	assert_int_equal(cost(&l, 1, 1, 1, 1, 2).compute_cycles, 196 * 64);
	assert_int_equal(cost(&l, 1, 1, 1, 1, 1).useful_macs, 112 * 112 * 32 * 9);
	assert_int_equal(cost(&l, 1, 1, 1, 1, 1).weight_bytes, 288);
	l = conv(14, 576, 576, 3, 1, 576);
	assert_int_equal(cost(&l, 1, 1, 1, 1, 1).compute_cycles, 2 * 9 * 128);
}

static void test_groups_share_no_columns(void **state)
{
	/* ResNeXt: 32 groups of 4 channels; each group has its own column tile */
	struct fluidnpu_hw_layer l = conv(56, 128, 128, 3, 1, 32);

	(void)state;
	assert_int_equal(cost(&l, 1, 1, 1, 1, 1).compute_cycles, 25 * 3 * 32 * 128);
	assert_int_equal(cost(&l, 1, 1, 1, 1, 1).useful_macs, 56 * 56 * 128 * 36);
}

static struct fluidnpu_hw_layer add_56(uint32_t a, uint32_t b, uint32_t out)
{
	return (struct fluidnpu_hw_layer){
		.op = FLUIDNPU_LAYER_ADD,
		.in_off = a,
		.in2_off = b,
		.out_off = out,
		.in_h = 56,
		.in_w = 56,
		.in_c = 64,
		.out_h = 56,
		.out_w = 56,
		.out_c = 64,
		.live_bytes = 3 * 200704,
	};
}

static void test_vector_layers_cost_elements_per_lane(void **state)
{
	struct fluidnpu_hw_layer l = add_56(0, 200704, 0);
	struct fnpu_cost c = cost(&l, 1, 2, 2, 1, 1);

	(void)state;
	assert_int_equal(c.vector_cycles, 2 * 200704 / 64);
	assert_int_equal(c.cycles, 2 * 200704 / 64 + 256);
	assert_int_equal(c.useful_macs, 0);

	l = (struct fluidnpu_hw_layer){
		/* 3x3 windows: 9 elements for an output */
		.op = FLUIDNPU_LAYER_MAXPOOL,
		.in_h = 112,
		.in_w = 112,
		.in_c = 64,
		.out_h = 56,
		.out_w = 56,
		.out_c = 64,
		.kernel_h = 3,
		.kernel_w = 3,
	};
	assert_int_equal(cost(&l, 1, 1, 1, 1, 1).vector_cycles, 9 * 200704 / 64);

	l = (struct fluidnpu_hw_layer){
		/* logits are written to DRAM */
		.op = FLUIDNPU_LAYER_EXIT,
		.in_h = 1,
		.in_w = 1,
		.in_c = 1000,
		.out_h = 7,
		.out_w = 7,
		.out_c = 7,
	};
	c = cost(&l, 1, 3, 3, 1, 1);
	assert_int_equal(c.vector_cycles, (3000 + 63) / 64);
	assert_int_equal(c.act_write_bytes, 3000);
	assert_int_equal(c.act_read_bytes, 0);
	assert_int_equal(c.dram_cycles, (3000 + 15) / 16);
	assert_int_equal(c.stall_cycles, 188 - 47);
}

static void test_fused_layers_hide_under_the_matrix_engine(void **state)
{
	struct fluidnpu_hw_layer g[2] = { conv(56, 64, 64, 3, 1, 1), add_56(200704, 401408, 0) };
	struct fnpu_cost c;

	(void)state;
	g[0].out_off = 200704;
	g[1].flags = FLUIDNPU_LAYER_FUSED;
	c = cost(g, 2, 1, 1, 1, 1);
	assert_int_equal(c.compute_cycles, 115200);
	assert_int_equal(c.vector_cycles, 200704 / 64);
	assert_int_equal(c.cycles, 115200 + 256); /* one overhead, one maximum */

	/* spilling: what the convolution hands to the add never leaves the chip */
	c = cost(g, 2, 8, 8, 1, 1);
	assert_int_equal(c.act_read_bytes, 8 * (200704 + 200704));
	assert_int_equal(c.act_write_bytes, 8 * 200704);
}

static void test_group_ends_before_the_next_unfused_layer(void **state)
{
	struct fluidnpu_hw_layer l[4] = { { 0 } };

	(void)state;
	l[1].flags = FLUIDNPU_LAYER_FUSED;
	l[2].flags = FLUIDNPU_LAYER_FUSED | FLUIDNPU_LAYER_POOL_COUNT_PAD;
	assert_int_equal(fnpu_group_size(l, 4), 3);
	assert_int_equal(fnpu_group_size(l, 2), 2);
	assert_int_equal(fnpu_group_size(l + 3, 1), 1);
	assert_int_equal(fnpu_group_size(l + 2, 2), 1);
}

/* --- random shapes, recomputed --------------------------------------------------- */

/* The loop nest that the formula counts, one tile at a time. */
static uint64_t count_tiles(const struct fluidnpu_hw_geometry *g, uint64_t rows, uint64_t depth,
			    unsigned int channels, unsigned int groups, unsigned int b_p,
			    unsigned int k, uint64_t *row_tiles)
{
	uint64_t cycles = 0, tiles = 0;

	for (uint64_t r = 0; r < rows; r += g->tile_rows / k, tiles++)
		for (unsigned int i = 0; i < groups; i++)
			for (unsigned int c = 0; c < channels; c += g->tile_cols / k)
				for (uint64_t p = 0; p < depth; p += g->tile_depth * k)
					cycles += b_p * (g->tile_rows / k);
	*row_tiles = tiles;
	return cycles;
}

static void test_random_convolutions_match_the_loop_nest(void **state)
{
	struct fluidnpu_hw_geometry g = default_geometry();
	struct tb_rng rng = { 11 };

	(void)state;
	for (int i = 0; i < 3000; i++) {
		unsigned int groups = i % 3 ? 1 : tb_range(&rng, 2, 9);
		unsigned int in_group = tb_range(&rng, 1, 90), out_group = tb_range(&rng, 1, 300);
		unsigned int kernel = tb_range(&rng, 1, 3), k = 1u << tb_range(&rng, 0, 3);
		unsigned int n = tb_range(&rng, 1, 16), b_p = tb_range(&rng, 1, k * k < n ? k * k : n);
		unsigned int b_r = (n + b_p - 1) / b_p;
		struct fluidnpu_hw_layer l = conv(tb_range(&rng, 3, 40), groups * in_group,
						  groups * out_group, kernel, tb_range(&rng, 1, 2),
						  groups);
		uint64_t rows = (uint64_t)l.out_h * l.out_w, depth = kernel * kernel * in_group;
		uint64_t weights = depth * l.out_c, tiles, compute, bytes, dram;
		bool depthwise = groups == l.out_c;
		struct fnpu_cost c;

		l.live_bytes = tb_range(&rng, 1, 400000);
		if (i % 2)
			l.in_off = FLUIDNPU_TENSOR_INPUT;
		c = cost(&l, 1, n, b_r, b_p, k);
		compute = count_tiles(&g, b_r * rows, depth, depthwise ? l.out_c : out_group,
				      depthwise ? 1 : groups, b_p, k, &tiles);
		assert_int_equal(c.compute_cycles, compute);
		assert_int_equal(c.useful_macs, n * rows * depth * l.out_c);
		assert_int_equal(c.weight_bytes, weights * (weights > 262144 ? tiles : 1));
		bytes = c.weight_bytes;
		if (l.live_bytes * n > 2097152)
			bytes += n * (rows * l.out_c + l.in_h * l.in_w * l.in_c);
		else if (i % 2)
			bytes += n * l.in_h * l.in_w * l.in_c;
		dram = (bytes + 15) / 16;
		assert_int_equal(c.dram_cycles, dram);
		assert_int_equal(c.act_read_bytes + c.act_write_bytes, bytes - c.weight_bytes);
		assert_int_equal(c.cycles, (compute > dram ? compute : dram) + 256);
		assert_int_equal(c.stall_cycles, dram > compute ? dram - compute : 0);
	}
}

/* --- whole networks -------------------------------------------------------------- */

/* Cycles of one sample through the whole network, no layer with more than @max_stack PEs chained. */
static uint64_t network_cycles(const struct network *n, unsigned int max_stack, uint64_t *macs)
{
	unsigned int count, k;
	uint64_t cycles = 0;

	*macs = 0;
	for (unsigned int i = 0; i < n->num_layers; i += count) {
		uint64_t best = UINT64_MAX;
		struct fnpu_cost c;

		count = fnpu_group_size(&n->layers[i], n->num_layers - i);
		for (k = 1; k <= max_stack; k *= 2) {
			c = cost(&n->layers[i], count, 1, 1, 1, k);
			best = c.cycles < best ? c.cycles : best;
		}
		cycles += best;
		*macs += c.useful_macs;
	}
	return cycles;
}

static void check_time(const char *name, const struct network *n, unsigned int max_stack,
		       uint64_t cycles, double ms, double utilisation)
{
	uint64_t macs, have = network_cycles(n, max_stack, &macs);
	double have_ms = (double)have / 800000, used = (double)macs / 1024 / (double)have;

	print_message("%s, k up to %u: %.3f ms at %.3f, expected about %.2f ms at %.2f\n", name,
		      max_stack, have_ms, used, ms, utilisation);
	assert_int_equal(have, cycles);
	assert_true(have_ms > ms * 0.985 && have_ms < ms * 1.015);
	assert_true(used > utilisation * 0.98 && used < utilisation * 1.02);
}

/*
 * The reference points of hardware.md, batch 1, within 1.5 % of their times and 2 % of their
 * utilisations; our own figures are exact.
 *
 * They are of networks with all four exit heads. A head multiplies next to nothing, but its 1000
 * classes times 24 to 2048 inputs are a matrix that meets a single row of activations: with
 * k = 1 that is one row in a tile of 128, and with PEs chained the DRAM that
 * brings the weights takes the time. Without the early ones ResNet-50 would be 5 and 3 per
 * cent below the reference points, MobileNetV2 4 and 3.
 */
static void test_resnet50_takes_the_documented_time(void **state)
{
	struct network n;

	(void)state;
	network_resnet50(&n, true);
	check_time("ResNet-50", &n, 1, 6239168, 7.9, 0.63);
	check_time("ResNet-50", &n, 8, 4792892, 6.0, 0.83);
	network_resnet50(&n, false);
	check_time("ResNet-50, one exit", &n, 1, 5986304, 7.48, 0.67);
	check_time("ResNet-50, one exit", &n, 8, 4657215, 5.82, 0.86);
}

static void test_mobilenetv2_takes_the_documented_time(void **state)
{
	struct network n;

	(void)state;
	network_mobilenetv2(&n, true);
	check_time("MobileNetV2", &n, 1, 819415, 1.02, 0.36);
	check_time("MobileNetV2", &n, 8, 514068, 0.64, 0.58);
	network_mobilenetv2(&n, false);
	check_time("MobileNetV2, one exit", &n, 1, 783616, 0.98, 0.37);
	check_time("MobileNetV2, one exit", &n, 8, 494911, 0.62, 0.59);
}

/* --- policies -------------------------------------------------------------------- */

static bool valid(unsigned int n, unsigned int b_r, unsigned int b_p, unsigned int k,
		  unsigned int b)
{
	struct fluidnpu_hw_geometry g = default_geometry();

	return fnpu_policy_valid(&g, &(struct fluidnpu_hw_policy){ n, b_r, b_p, k }, b);
}

static void test_policy_validity(void **state)
{
	struct fluidnpu_hw_geometry g = default_geometry();

	(void)state;
	assert_true(valid(1, 1, 1, 1, 1));
	assert_true(valid(16, 1, 16, 4, 16));
	assert_true(valid(16, 1, 64, 8, 16)); /* A k^2 = 64 */
	assert_false(valid(16, 1, 65, 8, 16));
	assert_false(valid(2, 1, 2, 1, 2)); /* A k^2 = 1 */
	assert_true(valid(2, 1, 2, 2, 2));
	assert_false(valid(0, 1, 1, 1, 1));
	assert_false(valid(1, 0, 1, 1, 1));
	assert_false(valid(1, 1, 0, 1, 1));
	assert_false(valid(1, 1, 1, 0, 1));
	assert_false(valid(2, 2, 1, 1, 1)); /* n > b */
	assert_true(valid(2, 2, 1, 1, 3));
	assert_false(valid(5, 2, 2, 2, 5)); /* 2 * 2 < 5 */
	assert_false(valid(1, 1, 1, 3, 1));
	assert_false(valid(1, 1, 1, 16, 1)); /* more than this NPU stacks */
	assert_false(valid(1, 1, 1, 255, 1));
	g.max_stack = 1; /* a conventional NPU */
	assert_false(fnpu_policy_valid(&g, &(struct fluidnpu_hw_policy){ 1, 1, 1, 2 }, 1));
	g.acc_tiles = 3;
	assert_true(fnpu_policy_valid(&g, &(struct fluidnpu_hw_policy){ 3, 1, 3, 1 }, 3));
	assert_false(fnpu_policy_valid(&g, &(struct fluidnpu_hw_policy){ 4, 1, 4, 1 }, 4));
}

static void test_batch_is_split_as_its_row_says(void **state)
{
	struct fluidnpu_hw_geometry g = default_geometry();
	struct fluidnpu_hw_layer l = conv(7, 512, 512, 3, 1, 1);
	struct fluidnpu_hw_policy row[8] = {
		{ 1, 1, 1, 1 }, { 2, 2, 1, 1 }, { 1, 1, 1, 2 }, { 4, 1, 4, 2 },
		{ 5, 5, 1, 1 }, { 6, 6, 1, 1 }, { 4, 2, 2, 4 }, { 9, 9, 1, 1 },
	};
	struct fnpu_cost split = { 0 }, parts = { 0 };

	(void)state;
	/* 7 = 4 as <2,2,4>, then 3 = 1 as <1,1,2>, then 2 as <2,1,1> */
	assert_true(fnpu_cost_batch(&g, &l, 1, row, 7, &split));
	fnpu_cost_pass(&g, &l, 1, &row[6], &parts);
	fnpu_cost_pass(&g, &l, 1, &row[2], &parts);
	fnpu_cost_pass(&g, &l, 1, &row[1], &parts);
	assert_memory_equal(&split, &parts, sizeof(split));

	assert_false(fnpu_cost_batch(&g, &l, 1, row, 8, &split)); /* 9 of 8 */
	row[1].k = 3; /* found only when the split comes to it */
	assert_false(fnpu_cost_batch(&g, &l, 1, row, 7, &split));
	assert_true(fnpu_cost_batch(&g, &l, 1, row, 5, &split));
}

/* --- absurd input ---------------------------------------------------------------- */

static void test_absurd_shapes_saturate(void **state)
{
	struct fluidnpu_hw_geometry tiny = {
		.tile_rows = 1,
		.tile_depth = 1,
		.tile_cols = 1,
		.acc_tiles = 255,
		.max_stack = 1,
		.max_batch = 16,
		.dram_bytes_per_kcycle = 1,
		.vector_lanes = 1,
		.layer_overhead_cycles = UINT32_MAX,
		.num_queues = 1,
		.num_as = 1,
	};
	struct fluidnpu_hw_geometry g = default_geometry();
	struct fluidnpu_hw_policy row[16];
	struct fluidnpu_hw_layer group[8];

	(void)state;
	memset(group, 0xff, sizeof(group));
	for (unsigned int b = 1; b <= 16; b++) /* sixteen passes of one sample */
		row[b - 1] = (struct fluidnpu_hw_policy){ 1, 255, 255, 1 };
	for (unsigned int op = 0; op < 8; op++) {
		struct fnpu_cost c = { 0 };

		for (unsigned int i = 0; i < 8; i++) {
			group[i].op = op;
			group[i].groups = i % 2 ? 1 : 65535;
			group[i].in_off = i * 7; /* spills, not chained */
		}
		assert_true(fnpu_cost_batch(&tiny, group, 8, row, 16, &c));
		assert_true(c.cycles <= 16ull << 48);
		assert_true(c.cycles >= 16ull << 20);
		assert_true(c.stall_cycles <= c.cycles);
		if (op == FLUIDNPU_LAYER_CONV)
			assert_true(c.cycles == 16ull << 48);
		c = (struct fnpu_cost){ 0 };
		fnpu_cost_pass(&g, group, 8, &(struct fluidnpu_hw_policy){ 255, 255, 255, 1 }, &c);
		assert_true(c.cycles <= 1ull << 48);
	}
}

static void test_sums_saturate(void **state)
{
	struct fluidnpu_hw_layer l = conv(56, 64, 64, 3, 1, 1);
	struct fluidnpu_hw_geometry g = default_geometry();
	struct fnpu_cost c;

	(void)state;
	memset(&c, 0xff, sizeof(c));
	fnpu_cost_pass(&g, &l, 1, &(struct fluidnpu_hw_policy){ 1, 1, 1, 1 }, &c);
	assert_true(c.cycles == UINT64_MAX && c.useful_macs == UINT64_MAX);
	assert_true(c.weight_bytes == UINT64_MAX && c.stall_cycles == UINT64_MAX);
}

static void test_config_check_names_each_bad_geometry(void **state)
{
	static const struct {
		size_t offset;
		uint32_t value;
		const char *word;
	} bad[] = {
#define BAD(field, value) { offsetof(struct fluidnpu_hw_geometry, field), value, #field }
		BAD(max_stack, 0),
		BAD(max_stack, 3),
		BAD(max_stack, 256),
		BAD(tile_rows, 0),
		BAD(tile_rows, 100),
		BAD(tile_rows, 1u << 17),
		BAD(tile_cols, 0),
		BAD(tile_cols, 12),
		BAD(tile_depth, 0),
		BAD(tile_depth, UINT32_MAX),
		BAD(acc_tiles, 0),
		BAD(acc_tiles, UINT32_MAX),
		BAD(max_batch, 0),
		BAD(max_batch, 17),
		BAD(dram_bytes_per_kcycle, 0),
		BAD(vector_lanes, 0),
		BAD(num_queues, 0),
		BAD(num_queues, 9),
		BAD(num_as, 0),
		BAD(num_as, 65),
#undef BAD
	};
	struct fnpu_config config;

	(void)state;
	fnpu_config_default(&config);
	assert_null(fnpu_config_check(&config));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *message;

		fnpu_config_default(&config);
		memcpy((char *)&config.geometry + bad[i].offset, &bad[i].value, sizeof(uint32_t));
		message = fnpu_config_check(&config);
		assert_non_null(message);
		if (!strstr(message, bad[i].word))
			fail_msg("%s = %u: \"%s\"", bad[i].word, bad[i].value, message);
		assert_null(fnpu_dev_new(&config, NULL, NULL));
	}
	fnpu_config_default(&config);
	config.clock_hz = 0;
	assert_non_null(fnpu_config_check(&config));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default_geometry_is_the_documented_one),
		cmocka_unit_test(test_resnet50_conv1),
		cmocka_unit_test(test_resnet50_conv2_3x3),
		cmocka_unit_test(test_live_state_beyond_the_sram_spills),
		cmocka_unit_test(test_resnet50_conv5_1x1_is_reloaded_per_row_tile),
		cmocka_unit_test(test_weights_that_just_fit_are_loaded_once),
		cmocka_unit_test(test_resnet50_fully_connected),
		cmocka_unit_test(test_depthwise_has_a_pe_per_channel),
		cmocka_unit_test(test_groups_share_no_columns),
		cmocka_unit_test(test_vector_layers_cost_elements_per_lane),
		cmocka_unit_test(test_fused_layers_hide_under_the_matrix_engine),
		cmocka_unit_test(test_group_ends_before_the_next_unfused_layer),
		cmocka_unit_test(test_random_convolutions_match_the_loop_nest),
		cmocka_unit_test(test_resnet50_takes_the_documented_time),
		cmocka_unit_test(test_mobilenetv2_takes_the_documented_time),
		cmocka_unit_test(test_policy_validity),
		cmocka_unit_test(test_batch_is_split_as_its_row_says),
		cmocka_unit_test(test_absurd_shapes_saturate),
		cmocka_unit_test(test_sums_saturate),
		cmocka_unit_test(test_config_check_names_each_bad_geometry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
