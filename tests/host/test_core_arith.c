// SPDX-License-Identifier: MIT
/*
 * The arithmetic of the core against oracles written from the operators'
 * definitions (tools/models/ARITHMETIC.md): integers in int64, rounding by lrint(), fma
 * and softmax by libm.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "conv_bench.h"

static uint32_t bits(float f)
{
	return fnpu_float_bits(f);
}

/* --- requantize ------------------------------------------------------------------ */

static void test_requantize_rounds_ties_to_even(void **state)
{
	static const struct {
		float v;
		int q;
	} cases[] = {
		{ 0.5f, 0 },	   { 1.5f, 2 },	      { 2.5f, 2 },	   { 3.5f, 4 },
		{ -0.5f, 0 },	   { -1.5f, -2 },     { -2.5f, -2 },	   { 126.5f, 126 },
		{ 125.5f, 126 },   { -127.5f, -128 }, { 0.49999997f, 0 },  { 0.50000006f, 1 },
		{ 2.4999998f, 2 }, { 2.5000002f, 3 }, { -2.5000002f, -3 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(fnpu_requantize(cases[i].v, 0, -128, 127), cases[i].q);
}

static void test_requantize_adds_the_zero_point_after_rounding(void **state)
{
	(void)state;
	/* 0.5 rounds to 0, then +1; rounding 1.5 would give 2 */
	assert_int_equal(fnpu_requantize(0.5f, 1, -128, 127), 1);
	assert_int_equal(fnpu_requantize(-0.5f, 1, -128, 127), 1);
	assert_int_equal(fnpu_requantize(-200.0f, 127, -128, 127), -73);
	assert_int_equal(fnpu_requantize(200.0f, -128, -128, 127), 72);
	assert_int_equal(fnpu_requantize(255.0f, -128, -128, 127), 127);
	assert_int_equal(fnpu_requantize(-255.0f, 127, -128, 127), -128);
}

static void test_requantize_clamps_what_is_out_of_range(void **state)
{
	(void)state;
	assert_int_equal(fnpu_requantize(1e30f, 0, -128, 127), 127);
	assert_int_equal(fnpu_requantize(-1e30f, 0, -128, 127), -128);
	assert_int_equal(fnpu_requantize(INFINITY, 0, -128, 127), 127);
	assert_int_equal(fnpu_requantize(-INFINITY, 0, -128, 127), -128);
	assert_int_equal(fnpu_requantize(NAN, 0, -128, 127), -128);
	assert_int_equal(fnpu_requantize(-NAN, 5, -3, 6), -3);
	assert_int_equal(fnpu_requantize(100.0f, 0, -5, 6), 6);
	assert_int_equal(fnpu_requantize(-100.0f, 0, -5, 6), -5);
}

static void test_requantize_equals_lrint_everywhere(void **state)
{
	struct tb_rng rng = { 1 };

	(void)state;
	for (int i = -64 * 1200; i <= 64 * 1200; i++) { /* all ties and what lies between */
		float v = (float)i / 64.0f;

		assert_int_equal(fnpu_requantize(v, -7, -128, 127),
				 ref_requantize(v, -7, -128, 127));
	}
	for (int i = 0; i < 2000000; i++) { /* all exponents, NaN and inf too */
		float v = fnpu_float(tb_random(&rng));
		int zp = tb_range(&rng, -128, 127);

		assert_int_equal(fnpu_requantize(v, zp, -128, 127),
				 ref_requantize(v, zp, -128, 127));
	}
}

/* --- convolution ----------------------------------------------------------------- */

/* One sample on the default NPU, by all kernels. */
static void check_conv(struct tb *tb, struct tb_rng *rng, const struct fluidnpu_hw_layer *l,
		       bool extreme)
{
	static const struct fluidnpu_hw_policy alone = { 1, 1, 1, 1 };
	struct fluidnpu_hw_program roomy = {
		.total_bytes = UINT32_MAX,
		.state_bytes = UINT32_MAX,
		.input_bytes = UINT32_MAX,
	};
	struct conv_bench b;

	assert_true(fnpu_layer_valid(&roomy, l));
	conv_bench_init(&b, tb, l, rng, extreme, false);
	for (const struct fnpu_kernels *const *k = fnpu_kernels_all(); *k; k++) {
		const char *wrong;

		assert_int_equal(conv_bench_run(&b, *k, &alone, 1), FLUIDNPU_OK);
		wrong = conv_bench_check(&b);
		if (wrong)
			fail_msg("%s: %s", (*k)->name, wrong);
	}
	conv_bench_free(&b);
}

static void conv_of_kind(enum conv_kind kind, int rounds)
{
	struct tb *tb = conv_bench_tb(NULL);
	struct tb_rng rng = { 100 + kind };

	for (int i = 0; i < rounds; i++) {
		const struct fluidnpu_hw_layer l = conv_random(&rng, kind, false);

		check_conv(tb, &rng, &l, i % 3 == 2);
	}
	tb_free(tb);
}

static void test_conv_equals_naive(void **state)
{
	(void)state;
	conv_of_kind(CONV_PLAIN, 40);
}

static void test_grouped_conv_equals_naive(void **state)
{
	(void)state;
	conv_of_kind(CONV_GROUPED, 25);
	conv_of_kind(CONV_ONE_OUTPUT, 25);
}

static void test_depthwise_conv_equals_naive(void **state)
{
	(void)state;
	conv_of_kind(CONV_DEPTHWISE, 40);
}

static void test_fully_connected_equals_naive(void **state)
{
	(void)state;
	conv_of_kind(CONV_FULLY_CONNECTED, 40);
}

static void test_conv_accumulators_beyond_24_bits_round_once(void **state)
{
	/* 255 * -128 * 4096 = -133,693,440: the conversion to binary32 rounds */
	struct fluidnpu_hw_layer l = {
		.op = FLUIDNPU_LAYER_CONV,
		.in_h = 1,
		.in_w = 1,
		.in_c = 4097,
		.out_h = 1,
		.out_w = 1,
		.out_c = 9,
		.kernel_h = 1,
		.kernel_w = 1,
		.stride_h = 1,
		.stride_w = 1,
		.dilation_h = 1,
		.dilation_w = 1,
		.groups = 1,
		.zp_in = -128,
		.clamp_min = -128,
		.clamp_max = 127,
	};
	struct tb *tb = conv_bench_tb(NULL);
	struct tb_rng rng = { 4 };

	(void)state;
	for (int i = 0; i < 10; i++)
		check_conv(tb, &rng, &l, true);
	tb_free(tb);
}

/* --- vector unit ----------------------------------------------------------------- */

static void check_add_exhaustively(float ra, float rb, float fixed, int lo, int hi)
{
	static int8_t a[65536], b[65536], out[65536], want[65536];
	struct fluidnpu_hw_layer l = {
		.op = FLUIDNPU_LAYER_ADD,
		.in_h = 256,
		.in_w = 256,
		.in_c = 1,
		.out_h = 256,
		.out_w = 256,
		.out_c = 1,
		.zp_in = 99,
		.zp_in2 = 98,
		.zp_out = 97,
		.scale_in = bits(ra),
		.scale_in2 = bits(rb),
		.add_fixed = bits(fixed),
		.clamp_min = lo,
		.clamp_max = hi,
	};

	for (int i = 0; i < 65536; i++) {
		a[i] = (int8_t)(i >> 8);
		b[i] = (int8_t)i;
	}
	fnpu_vector_add(&l, a, b, 65536, out);
	ref_add(&l, a, b, want);
	for (int i = 0; i < 65536; i++)
		if (out[i] != want[i])
			fail_msg("%d * %a + %d * %a + %a: %d instead of %d", a[i], ra, b[i], rb,
				 fixed, out[i], want[i]);
}

static void test_add_equals_fmaf_for_all_pairs_of_codes(void **state)
{
	struct tb_rng rng = { 5 };

	(void)state;
	check_add_exhaustively(0.5f, 0.5f, 0.0f, -128, 127); /* ties everywhere */
	check_add_exhaustively(1.0f, 0.25f, -128.0f, -128, 127);
	check_add_exhaustively(0.1f, 0.3f, 0.7f, -128, 127);
	check_add_exhaustively(0.7071f, 1.3f, -13.5f, -100, 90);
	check_add_exhaustively(3.0f, 1e-6f, 12.5f, -128, 127);
	for (int i = 0; i < 12; i++) {
		float ra = (float)tb_range(&rng, 1, 3000) / 1000.0f;
		float rb = (float)tb_range(&rng, 1, 3000) / 1000.0f;
		float za = (float)tb_range(&rng, -128, 127), zb = (float)tb_range(&rng, -128, 127);
		float zy = (float)tb_range(&rng, -128, 127);

		check_add_exhaustively(ra, rb, zy - fmaf(za, ra, rb * zb), -128, 127);
	}
}

static void test_add_of_nonsense_constants_stays_within_the_clamp(void **state)
{
	static const float wild[] = { INFINITY, -INFINITY, NAN, 3e38f, 1e-45f, 0.0f, -5.0f };
	struct fluidnpu_hw_layer l = {
		.op = FLUIDNPU_LAYER_ADD,
		.out_h = 1,
		.out_w = 1,
		.out_c = 3,
		.clamp_min = -9,
		.clamp_max = 11,
	};
	const int8_t a[3] = { -128, 0, 127 }, b[3] = { 127, 0, -128 };

	(void)state;
	for (int i = 0; i < 7 * 7 * 7; i++) {
		int8_t out[3];

		l.scale_in = bits(wild[i % 7]);
		l.scale_in2 = bits(wild[i / 7 % 7]);
		l.add_fixed = bits(wild[i / 49]);
		fnpu_vector_add(&l, a, b, 3, out);
		for (int j = 0; j < 3; j++)
			assert_in_range(out[j] + 9, 0, 20);
	}
}

static struct fluidnpu_hw_layer random_pool(struct tb_rng *rng, unsigned int op)
{
	struct fluidnpu_hw_layer l = { .op = op };

	l.kernel_h = tb_range(rng, 1, 4);
	l.kernel_w = tb_range(rng, 1, 4);
	l.stride_h = tb_range(rng, 1, 3);
	l.stride_w = tb_range(rng, 1, 3);
	l.pad_t = tb_range(rng, 0, l.kernel_h - 1);
	l.pad_b = tb_range(rng, 0, l.kernel_h - 1);
	l.pad_l = tb_range(rng, 0, l.kernel_w - 1);
	l.pad_r = tb_range(rng, 0, l.kernel_w - 1);
	l.in_h = tb_range(rng, l.kernel_h, 11);
	l.in_w = tb_range(rng, l.kernel_w, 11);
	l.in_c = l.out_c = tb_range(rng, 1, 9);
	l.out_h = (l.in_h + l.pad_t + l.pad_b - l.kernel_h) / l.stride_h + 1;
	l.out_w = (l.in_w + l.pad_l + l.pad_r - l.kernel_w) / l.stride_w + 1;
	l.zp_in = tb_range(rng, -128, 127);
	l.zp_out = op == FLUIDNPU_LAYER_MAXPOOL ? l.zp_in : tb_range(rng, -128, 127);
	l.clamp_min = tb_range(rng, -128, -50);
	l.clamp_max = tb_range(rng, 50, 127);
	l.scale_in =
		bits((float)tb_range(rng, 500, 2000) / 1000.0f / (float)(l.kernel_h * l.kernel_w));
	return l;
}

static void check_pools(unsigned int op, unsigned int flags)
{
	struct tb_rng rng = { 6 + op + flags };
	struct fluidnpu_hw_program roomy = { .state_bytes = UINT32_MAX };

	for (int round = 0; round < 300; round++) {
		struct fluidnpu_hw_layer l = random_pool(&rng, op);
		size_t in_n = (size_t)l.in_h * l.in_w * l.in_c;
		size_t out_n = (size_t)l.out_h * l.out_w * l.out_c;
		int8_t *in = malloc(in_n), *out = malloc(out_n), *want = malloc(out_n);

		assert_true(in && out && want);
		l.flags = flags;
		assert_true(fnpu_layer_valid(&roomy, &l));
		tb_codes(&rng, in, in_n, round % 5 == 0);
		if (op == FLUIDNPU_LAYER_AVGPOOL) {
			fnpu_vector_avgpool(&l, in, 0, (size_t)l.out_h * l.out_w, out);
			ref_avgpool(&l, in, want);
		} else {
			fnpu_vector_maxpool(&l, in, 0, (size_t)l.out_h * l.out_w, out);
			ref_maxpool(&l, in, want);
		}
		assert_memory_equal(out, want, out_n);
		free(in);
		free(out);
		free(want);
	}
}

static void test_average_pool_divides_by_what_lies_in_the_input(void **state)
{
	(void)state;
	check_pools(FLUIDNPU_LAYER_AVGPOOL, 0);
}

static void test_average_pool_can_count_padding(void **state)
{
	(void)state;
	check_pools(FLUIDNPU_LAYER_AVGPOOL, FLUIDNPU_LAYER_POOL_COUNT_PAD);
}

static void test_max_pool_equals_naive(void **state)
{
	(void)state;
	check_pools(FLUIDNPU_LAYER_MAXPOOL, 0);
}

/* m = s_x / (s_y * size) as ARITHMETIC.md has it, over the largest window there is */
static void test_global_average_pool_of_the_largest_window(void **state)
{
	struct fluidnpu_hw_layer l = {
		.op = FLUIDNPU_LAYER_AVGPOOL,
		.in_h = 255,
		.in_w = 255,
		.in_c = 2,
		.out_h = 1,
		.out_w = 1,
		.out_c = 2,
		.kernel_h = 255,
		.kernel_w = 255,
		.stride_h = 1,
		.stride_w = 1,
		.zp_in = -128,
		.zp_out = -128,
		.clamp_min = -128,
		.clamp_max = 127,
		.scale_in = bits(0.013f / (0.017f * 65025.0f)),
	};
	static int8_t in[255 * 255 * 2];
	int8_t out[2];

	(void)state;
	for (size_t i = 0; i < sizeof(in); i += 2) {
		in[i] = 127;
		in[i + 1] = i % 3 ? 127 : -128;
	}
	fnpu_vector_avgpool(&l, in, 0, 1, out);
	assert_int_equal(out[0], (int)lrint(255 * 0.013 / 0.017 - 128));
	assert_int_equal(out[1], (int)lrint(255 * 2.0 / 3.0 * 0.013 / 0.017 - 128));
}

/* --- exit heads ------------------------------------------------------------------ */

static double head_error(unsigned int classes, float scale, const int8_t *logits)
{
	struct fluidnpu_hw_layer l = {
		.op = FLUIDNPU_LAYER_EXIT,
		.in_h = 1,
		.in_w = 1,
		.in_c = classes,
		.scale_in = bits(scale),
	};
	struct fnpu_head_result got;
	struct ref_head want;
	double error;

	fnpu_vector_exit_head(&l, logits, &got);
	ref_exit_head(&l, logits, &want);
	assert_int_equal(got.class_index, want.class_index);
	error = fmax(fabs((double)got.confidence - want.confidence),
		     fmax(fabs((double)got.margin - want.margin),
			  fabs((double)got.entropy - want.entropy)));
	assert_true(got.confidence > 0 && got.confidence <= 1);
	assert_true(got.margin >= 0 && got.margin <= got.confidence);
	return error;
}

static double worst_head_error(unsigned int max_classes, int rounds)
{
	struct tb_rng rng = { 7 };
	double worst = 0;

	for (int i = 0; i < rounds; i++) {
		int8_t logits[FLUIDNPU_MAX_CLASSES];
		unsigned int classes = tb_range(&rng, 1, (int)max_classes);
		float scale = expf((float)tb_range(&rng, -7000, 1500) / 1000.0f);
		double error;

		tb_codes(&rng, logits, classes, false);
		error = head_error(classes, scale, logits);
		worst = error > worst ? error : worst;
	}
	print_message("up to %u classes: largest error %.2e\n", max_classes, worst);
	return worst;
}

static void test_head_is_the_softmax_within_1e_6(void **state)
{
	(void)state;
	assert_true(worst_head_error(20, 20000) < 1e-6);
}

static void test_head_of_many_classes_is_the_softmax(void **state)
{
	(void)state;
	/* entropies up to ln 4096 = 8.3, where a binary32 has steps of 9.5e-7 */
	assert_true(worst_head_error(1000, 1000) < 1e-5);
	assert_true(worst_head_error(FLUIDNPU_MAX_CLASSES, 300) < 2e-5);
}

static void test_head_ties_go_to_the_lowest_class(void **state)
{
	struct fluidnpu_hw_layer l = { .in_c = 6, .scale_in = bits(0.1f) };
	const int8_t logits[6] = { -5, 70, 3, 70, 70, -128 };
	const int8_t equal[6] = { -128, -128, -128, -128, -128, -128 };
	struct fnpu_head_result r;

	(void)state;
	fnpu_vector_exit_head(&l, logits, &r);
	assert_int_equal(r.class_index, 1);
	assert_true(r.margin == 0.0f);
	fnpu_vector_exit_head(&l, equal, &r);
	assert_int_equal(r.class_index, 0);
	assert_true(fabsf(r.confidence - 1.0f / 6.0f) < 1e-7f);
	assert_true(fabs((double)r.entropy - log(6)) < 1e-6);
}

static void test_head_extremes_are_finite(void **state)
{
	static const float scales[] = { 1e-45f, 1e-38f, 1.0f, 87.0f, 1e30f, 3.4e38f };
	const int8_t logits[4] = { 127, -128, 126, 0 }, one[1] = { -128 };

	(void)state;
	for (size_t i = 0; i < sizeof(scales) / sizeof(scales[0]); i++) {
		assert_true(head_error(4, scales[i], logits) < 1e-6);
		assert_true(head_error(1, scales[i], one) < 1e-6);
	}
}

#define HEADS_HASH 0x92c94e7d45c8087eull

/* The bits of 2,000 results: any host, compiler and optimisation level gives these. */
static void test_head_bits_are_fixed(void **state)
{
	uint64_t hash = 0xcbf29ce484222325ull; /* FNV-1a, by words */
	struct tb_rng rng = { 8 };

	(void)state;
	for (unsigned int i = 0; i < 2000; i++) {
		struct fluidnpu_hw_layer l = {
			.in_c = tb_range(&rng, 1, 100),
			.scale_in = bits((float)tb_range(&rng, 1, 4000) / 8192.0f),
		};
		struct fnpu_head_result r;
		int8_t logits[100];

		tb_codes(&rng, logits, l.in_c, false);
		fnpu_vector_exit_head(&l, logits, &r);
		hash = (hash ^ r.class_index) * 0x100000001b3ull;
		hash = (hash ^ bits(r.confidence)) * 0x100000001b3ull;
		hash = (hash ^ bits(r.entropy)) * 0x100000001b3ull;
		hash = (hash ^ bits(r.margin)) * 0x100000001b3ull;
	}
	if (hash != HEADS_HASH)
		fail_msg("hash %#llx", (unsigned long long)hash);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requantize_rounds_ties_to_even),
		cmocka_unit_test(test_requantize_adds_the_zero_point_after_rounding),
		cmocka_unit_test(test_requantize_clamps_what_is_out_of_range),
		cmocka_unit_test(test_requantize_equals_lrint_everywhere),
		cmocka_unit_test(test_conv_equals_naive),
		cmocka_unit_test(test_grouped_conv_equals_naive),
		cmocka_unit_test(test_depthwise_conv_equals_naive),
		cmocka_unit_test(test_fully_connected_equals_naive),
		cmocka_unit_test(test_conv_accumulators_beyond_24_bits_round_once),
		cmocka_unit_test(test_add_equals_fmaf_for_all_pairs_of_codes),
		cmocka_unit_test(test_add_of_nonsense_constants_stays_within_the_clamp),
		cmocka_unit_test(test_average_pool_divides_by_what_lies_in_the_input),
		cmocka_unit_test(test_average_pool_can_count_padding),
		cmocka_unit_test(test_max_pool_equals_naive),
		cmocka_unit_test(test_global_average_pool_of_the_largest_window),
		cmocka_unit_test(test_head_is_the_softmax_within_1e_6),
		cmocka_unit_test(test_head_of_many_classes_is_the_softmax),
		cmocka_unit_test(test_head_ties_go_to_the_lowest_class),
		cmocka_unit_test(test_head_extremes_are_finite),
		cmocka_unit_test(test_head_bits_are_fixed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
