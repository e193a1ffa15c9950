// SPDX-License-Identifier: MIT
/*
 * Every kernel that this processor runs equals the plain C one, bit for bit, on random
 * shapes and numbers, and writes not a byte where it must not.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "conv_bench.h"

static const struct fnpu_kernels *const plain = &fnpu_kernels_plain;

/* Runs @body for each table but plain C's, which is the last. */
#define FOR_KERNELS(k)							\
	for (const struct fnpu_kernels *const *k = fnpu_kernels_all(); *k != plain; k++)

/* Like malloc(), of just @bytes for ASan to watch; with FNPU_OVERRUN of @size behind it. */
static void *get(size_t n, size_t size, bool overrun)
{
	void *p = calloc(n + (overrun ? FNPU_OVERRUN : 0), size);

	assert_non_null(p);
	return p;
}

static float any_float(struct tb_rng *rng)
{
	return fnpu_float(tb_random(rng));
}

static void test_widen(void **state)
{
	struct tb_rng rng = { 1 };

	(void)state;
	for (int round = 0; round < 300; round++) {
		const size_t n = tb_range(&rng, 1, 200);
		const int zero = tb_range(&rng, -128, 127);
		int8_t *codes = get(n, 1, true);
		int16_t *want = get(n, 2, true), *to = get(n, 2, true);

		tb_codes(&rng, codes, n, round % 3 == 0);
		plain->widen(codes, n, zero, want);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(want[i], codes[i] - zero);
		FOR_KERNELS(k) {
			(*k)->widen(codes, n, zero, to);
			assert_memory_equal(to, want, n * sizeof(*to));
		}
		free(codes);
		free(want);
		free(to);
	}
}

/* Activations and weights of a block: a code less a zero point, at times the extremes. */
static void block_numbers(struct tb_rng *rng, int16_t *to, size_t n, bool extreme)
{
	for (size_t i = 0; i < n; i++)
		to[i] = extreme ? tb_range(rng, 0, 1) * 510 - 255 : tb_range(rng, -255, 255);
}

/* The sum of one row and column in int64, wrapped. */
static int32_t block_sum(const int16_t *a, const int16_t *b, unsigned int depth, unsigned int c,
			 int32_t start)
{
	int64_t sum = start;

	for (unsigned int d = 0; d < depth; d++)
		sum += a[d] * b[d / 2 * 2 * FNPU_PANEL_COLS + 2 * c + d % 2];
	return (int32_t)(uint32_t)sum;
}

static void check_block(struct tb_rng *rng, unsigned int depth, unsigned int rows,
			unsigned int cols, bool extreme)
{
	const size_t stride = depth + tb_range(rng, 0, 9);
	int16_t *a = get(rows * stride, sizeof(*a), false);
	int16_t *b = get((size_t)depth * FNPU_PANEL_COLS, sizeof(*b), false);
	int32_t start[FNPU_BLOCK_ROWS][FNPU_PANEL_COLS];

	block_numbers(rng, a, rows * stride, extreme);
	block_numbers(rng, b, (size_t)depth * FNPU_PANEL_COLS, extreme);
	for (unsigned int r = 0; r < FNPU_BLOCK_ROWS; r++)
		for (unsigned int c = 0; c < FNPU_PANEL_COLS; c++)
			start[r][c] = (int32_t)tb_random(rng);
	for (const struct fnpu_kernels *const *k = fnpu_kernels_all(); *k; k++) {
		int32_t got[FNPU_BLOCK_ROWS][FNPU_PANEL_COLS], *acc[FNPU_BLOCK_ROWS];

		memcpy(got, start, sizeof(got));
		for (unsigned int r = 0; r < FNPU_BLOCK_ROWS; r++)
			acc[r] = got[FNPU_BLOCK_ROWS - 1 - r]; /* in any order */
		(*k)->block(a, stride, b, depth / 2, rows, cols, acc);
		for (unsigned int r = 0; r < FNPU_BLOCK_ROWS; r++) {
			for (unsigned int c = 0; c < FNPU_PANEL_COLS; c++) {
				int32_t want = start[FNPU_BLOCK_ROWS - 1 - r][c];

				if (r < rows && c < cols)
					want = block_sum(a + r * stride, b, depth, c, want);
				if (acc[r][c] != want)
					fail_msg("%s: depth %u, %u rows, %u columns: (%u, %u) is "
						 "%d instead of %d", (*k)->name, depth, rows, cols,
						 r, c, acc[r][c], want);
			}
		}
	}
	free(a);
	free(b);
}

static void test_block(void **state)
{
	struct tb_rng rng = { 2 };

	(void)state;
	for (int round = 0; round < 600; round++)
		check_block(&rng, 2 * tb_range(&rng, 1, round % 20 ? 40 : 700),
			    tb_range(&rng, 1, FNPU_BLOCK_ROWS), 8 * tb_range(&rng, 1, 2),
			    round % 3 == 0);
}

static void check_depthwise(struct tb_rng *rng, unsigned int pairs, unsigned int n, bool extreme)
{
	const size_t stride = n + tb_range(rng, 0, 9);
	const int zero = tb_range(rng, -128, 127);
	int16_t *w = get(pairs * 2 * stride, sizeof(*w), true);
	int32_t *start = get(n, sizeof(*start), false), *want = get(n, sizeof(*want), false);
	int32_t *got = get(n, sizeof(*got), false);
	const int8_t **taps = get(2 * (size_t)pairs, sizeof(*taps), false);
	int8_t *codes = get(2 * (size_t)pairs * n, 1, true);

	block_numbers(rng, w, pairs * 2 * stride, extreme);
	tb_codes(rng, codes, 2 * (size_t)pairs * n, extreme);
	for (unsigned int t = 0; t < 2 * pairs; t++)
		taps[t] = codes + (size_t)tb_range(rng, 0, 2 * pairs - 1) * n;
	for (unsigned int c = 0; c < n; c++)
		start[c] = (int32_t)tb_random(rng);
	for (unsigned int c = 0; c < n; c++) {
		int64_t sum = start[c];

		for (unsigned int t = 0; t < 2 * pairs; t++)
			sum += (taps[t][c] - zero) * w[t / 2 * stride * 2 + 2 * c + t % 2];
		want[c] = (int32_t)(uint32_t)sum;
	}
	for (const struct fnpu_kernels *const *k = fnpu_kernels_all(); *k; k++) {
		memcpy(got, start, n * sizeof(*got));
		(*k)->depthwise(taps, pairs, zero, w, stride, n, got);
		assert_memory_equal(got, want, n * sizeof(*got));
	}
	free(w);
	free(start);
	free(want);
	free(got);
	free(taps);
	free(codes);
}

static void test_depthwise(void **state)
{
	struct tb_rng rng = { 3 };

	(void)state;
	for (int round = 0; round < 400; round++)
		check_depthwise(&rng, tb_range(&rng, 1, 13), tb_range(&rng, 1, 70), round % 3 == 0);
}

static void test_requantize(void **state)
{
	struct tb_rng rng = { 4 };

	(void)state;
	for (int round = 0; round < 40000; round++) {
		struct fluidnpu_hw_layer l = { 0 };
		int32_t acc[40];
		float scale[40];
		const unsigned int n = tb_range(&rng, 1, 40);

		l.zp_out = tb_range(&rng, -128, 127);
		l.clamp_min = tb_range(&rng, -128, 127);
		l.clamp_max = tb_range(&rng, l.clamp_min, 127);
		for (unsigned int i = 0; i < n; i++) {
			acc[i] = (int32_t)tb_random(&rng) >> tb_range(&rng, 0, 24);
			scale[i] = round % 4 == 0 ? any_float(&rng) :
						    (float)tb_range(&rng, 1, 64) / 1024.0f;
		}
		for (const struct fnpu_kernels *const *k = fnpu_kernels_all(); *k; k++) {
			int8_t out[40 + 16];

			memset(out, 0x55, sizeof(out));
			(*k)->requantize(&l, acc, scale, n, out);
			for (unsigned int i = 0; i < n; i++) {
				volatile float f = (float)acc[i];
				volatile float v = f * scale[i];

				assert_int_equal(out[i], ref_requantize(v, l.zp_out, l.clamp_min,
									l.clamp_max));
			}
			for (unsigned int i = n; i < sizeof(out); i++)
				assert_int_equal(out[i], 0x55); /* not a byte more */
		}
	}
}

/* --- the vector unit's layers ------------------------------------------------------ */

static float some_scale(struct tb_rng *rng, bool wild)
{
	return wild ? any_float(rng) : (float)tb_range(rng, 1, 3000) / 1000.0f;
}

static void test_add(void **state)
{
	struct tb_rng rng = { 5 };

	(void)state;
	for (int round = 0; round < 3000; round++) {
		const bool wild = round % 5 == 0;
		struct fluidnpu_hw_layer l = {
			.flags = round % 2 ? FLUIDNPU_LAYER_UNSIGNED : 0,
			.out_h = tb_range(&rng, 1, 5),
			.out_w = tb_range(&rng, 1, 5),
			.out_c = tb_range(&rng, 1, 20),
			.scale_in = fnpu_float_bits(some_scale(&rng, wild)),
			.scale_in2 = fnpu_float_bits(some_scale(&rng, wild)),
			.add_fixed = fnpu_float_bits(some_scale(&rng, wild) - 1.5f),
			.clamp_min = tb_range(&rng, -128, 0),
			.clamp_max = tb_range(&rng, 0, 127),
		};
		const size_t n = (size_t)l.out_h * l.out_w * l.out_c, cut = n / 3;
		int8_t *a = get(n, 1, true), *b = get(n, 1, true);
		int8_t *want = get(n, 1, false), *out = get(n, 1, false);

		tb_codes(&rng, a, n, round % 7 == 0);
		tb_codes(&rng, b, n, round % 7 == 0);
		plain->add(&l, a, b, n, want);
		FOR_KERNELS(k) {
			(*k)->add(&l, a, b, cut, out);
			(*k)->add(&l, a + cut, b + cut, n - cut, out + cut);
			assert_memory_equal(out, want, n);
		}
		free(a);
		free(b);
		free(want);
		free(out);
	}
}

/*
 * fmaf(@b, @scale, @fixed), less what libm says it is: nothing is left. Returns whether
 * binary64 and a second rounding to binary32 would have given another number.
 */
static bool check_fma(int8_t b, float scale, float fixed)
{
	const float want = fmaf(b, scale, fixed);
	const volatile double sum = (double)b * (double)scale + (double)fixed;
	const struct fluidnpu_hw_layer l = {
		.scale_in = fnpu_float_bits(-want),
		.scale_in2 = fnpu_float_bits(scale),
		.add_fixed = fnpu_float_bits(fixed),
		.clamp_min = -128,
		.clamp_max = 127,
	};
	const int8_t one[1 + FNPU_OVERRUN] = { 1 }, codes[1 + FNPU_OVERRUN] = { b };

	for (const struct fnpu_kernels *const *k = fnpu_kernels_all(); *k; k++) {
		int8_t out;

		(*k)->add(&l, one, codes, 1, &out);
		if (out)
			fail_msg("%s: %d * %a + %a is not %a", (*k)->name, b, scale, fixed, want);
	}
	return (float)sum != want;
}

/* Products of 25 bits are ties between two binary32, but for a constant far below them. */
static void test_add_rounds_once(void **state)
{
	struct tb_rng rng = { 8 };
	unsigned int told_apart = 0;

	(void)state;
	assert_true(check_fma(97, ldexpf(172961, 24), ldexpf(1, -80))); /* 97 * 172961 = 2^24 + 1 */
	assert_true(check_fma(-97, ldexpf(172961, 24), ldexpf(-1, -149)));
	for (int round = 0; round < 300000; round++) {
		const int b = tb_range(&rng, -64, 63) * 2 + 1, e = tb_range(&rng, 7, 90);
		const int bits = tb_range(&rng, 17, 24), sign = tb_range(&rng, 0, 1) ? 1 : -1;
		const float scale = (float)(tb_random(&rng) >> (32 - bits) | 1);
		const float fixed = (float)(sign * tb_range(&rng, 1, 0xffffff));

		told_apart += check_fma(b, ldexpf(scale, e),
					ldexpf(fixed, tb_range(&rng, -149, 100)));
	}
	print_message("%u sums where two roundings would have differed\n", told_apart);
	assert_true(told_apart > 1000);
}

static struct fluidnpu_hw_layer random_pool(struct tb_rng *rng, bool wild)
{
	struct fluidnpu_hw_layer l = { 0 };

	l.kernel_h = tb_range(rng, 1, 4);
	l.kernel_w = tb_range(rng, 1, 4);
	l.stride_h = tb_range(rng, 1, 3);
	l.stride_w = tb_range(rng, 1, 3);
	l.pad_t = tb_range(rng, 0, l.kernel_h - 1);
	l.pad_b = tb_range(rng, 0, l.kernel_h - 1);
	l.pad_l = tb_range(rng, 0, l.kernel_w - 1);
	l.pad_r = tb_range(rng, 0, l.kernel_w - 1);
	l.in_h = tb_range(rng, l.kernel_h, 9);
	l.in_w = tb_range(rng, l.kernel_w, 9);
	l.in_c = l.out_c = tb_range(rng, 1, 40);
	l.out_h = (l.in_h + l.pad_t + l.pad_b - l.kernel_h) / l.stride_h + 1;
	l.out_w = (l.in_w + l.pad_l + l.pad_r - l.kernel_w) / l.stride_w + 1;
	l.flags = (tb_range(rng, 0, 1) ? FLUIDNPU_LAYER_POOL_COUNT_PAD : 0) |
		  (tb_range(rng, 0, 1) ? FLUIDNPU_LAYER_UNSIGNED : 0);
	l.zp_in = tb_range(rng, -128, 127);
	l.zp_out = tb_range(rng, -128, 127);
	l.clamp_min = tb_range(rng, -128, 0);
	l.clamp_max = tb_range(rng, 0, 127);
	l.scale_in = fnpu_float_bits(some_scale(rng, wild) / 10.0f);
	l.scale_in2 = tb_range(rng, 0, 1) ? fnpu_float_bits(some_scale(rng, wild)) : 0;
	return l;
}

static void test_pools(void **state)
{
	struct tb_rng rng = { 6 };

	(void)state;
	for (int round = 0; round < 1500; round++) {
		const struct fluidnpu_hw_layer l = random_pool(&rng, round % 5 == 0);
		const size_t in_n = (size_t)l.in_h * l.in_w * l.in_c;
		const size_t positions = (size_t)l.out_h * l.out_w, out_n = positions * l.out_c;
		const size_t cut = positions / 3;
		int8_t *in = get(in_n, 1, true);
		int8_t *want = get(out_n, 1, false), *out = get(out_n, 1, false);

		tb_codes(&rng, in, in_n, round % 7 == 0);
		plain->avgpool(&l, in, 0, positions, want);
		FOR_KERNELS(k) {
			(*k)->avgpool(&l, in, 0, cut, out);
			(*k)->avgpool(&l, in, cut, positions - cut, out + cut * l.out_c);
			assert_memory_equal(out, want, out_n);
		}
		plain->maxpool(&l, in, 0, positions, want);
		FOR_KERNELS(k) {
			(*k)->maxpool(&l, in, 0, cut, out);
			(*k)->maxpool(&l, in, cut, positions - cut, out + cut * l.out_c);
			assert_memory_equal(out, want, out_n);
		}
		free(in);
		free(want);
		free(out);
	}
}

/* --- all together ------------------------------------------------------------------ */

/* With scales of any kind: NaN, infinities, denormal numbers. */
static void test_convolutions(void **state)
{
	static const struct fluidnpu_hw_policy pass = { 5, 2, 3, 2 };
	struct tb *tb = conv_bench_tb(NULL);
	struct tb_rng rng = { 7 };

	(void)state;
	for (unsigned int round = 0; round < 50; round++) {
		const struct fluidnpu_hw_layer l = conv_random(&rng, round % CONV_KINDS, false);
		struct conv_bench b;

		conv_bench_init(&b, tb, &l, &rng, round % 3 == 0, true);
		for (const struct fnpu_kernels *const *k = fnpu_kernels_all(); *k; k++) {
			const char *wrong;

			assert_int_equal(conv_bench_run(&b, *k, &pass, 1), FLUIDNPU_OK);
			wrong = conv_bench_check(&b);
			if (wrong)
				fail_msg("%s: %s", (*k)->name, wrong);
		}
		conv_bench_free(&b);
	}
	tb_free(tb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_widen),
		cmocka_unit_test(test_block),
		cmocka_unit_test(test_depthwise),
		cmocka_unit_test(test_requantize),
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_add_rounds_once),
		cmocka_unit_test(test_pools),
		cmocka_unit_test(test_convolutions),
	};

	print_message("kernels:");
	for (const struct fnpu_kernels *const *k = fnpu_kernels_all(); *k; k++)
		print_message(" %s%s", (*k)->name, k[1] ? "," : "\n");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
