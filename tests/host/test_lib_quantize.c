// SPDX-License-Identifier: MIT
/* Input quantization against ONNX QuantizeLinear as the C library can do it. */
#include <fenv.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "quantize.h"

static int8_t reference(float x, float scale, int32_t zero_point)
{
	double q = (double)rintf(x / scale) + zero_point;

	return (int8_t)(q < -128 ? -128 : q > 127 ? 127 : q);
}

static void halves_round_to_even(void **state)
{
	static const float in[] = { 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f, 126.5f };
	static const int8_t out[] = { 0, 2, 2, 0, -2, -2, 126 };

	(void)state;
	for (size_t i = 0; i < sizeof(out); i++)
		assert_int_equal(fnpu_quantize(in[i], 1, 0), out[i]);
}

static void values_out_of_range_saturate(void **state)
{
	(void)state;
	assert_int_equal(fnpu_quantize(1e30f, 1, -128), 127);
	assert_int_equal(fnpu_quantize(-1e30f, 1, 127), -128);
	assert_int_equal(fnpu_quantize(INFINITY, 0.5f, 0), 127);
	assert_int_equal(fnpu_quantize(-INFINITY, 0.5f, 0), -128);
	assert_int_equal(fnpu_quantize(NAN, 0.5f, 100), -128);
}

static void random_values_equal_the_reference(void **state)
{
	static const float scales[] = { 1, 0.1f, 0.0039215686f, 3.7f, 1e-20f, 1e20f };
	uint32_t bits = 1;

	(void)state;
	for (int i = 0; i < 3000000; i++) {
		float scale = scales[i % 6];
		int32_t zero_point = (int32_t)(bits >> 24) - 128;
		float x;

		bits = bits * 1664525u + 1013904223u;
		if (i & 1) {
			memcpy(&x, &bits, sizeof(x));
		} else {
			x = (float)((int32_t)bits >> 16) / 128 * scale;
		}
		if (isnan(x))
			continue;
		if (fnpu_quantize(x, scale, zero_point) != reference(x, scale, zero_point))
			fail_msg("x %a scale %a zero point %d: %d, not %d", (double)x,
				 (double)scale, zero_point, fnpu_quantize(x, scale, zero_point),
				 reference(x, scale, zero_point));
	}
}

static void channels_move_to_the_end(void **state)
{
	const float in[2 * 3] = { 1, 2, 3, 10, 20, 30 };
	const int8_t expected[] = { 1, 10, 2, 20, 3, 30 };
	int8_t out[6];

	(void)state;
	fnpu_quantize_nchw(in, 2, 3, 1, 0, out);
	assert_memory_equal(out, expected, sizeof(out));
}

static void expect_byte_map(float byte_scale, float offset, float scale, int32_t zero_point,
			    bool flips)
{
	struct fnpu_byte_map map;
	uint8_t in[259];
	int8_t out[260];

	fnpu_byte_map_init(&map, byte_scale, offset, scale, zero_point);
	assert_int_equal(map.flips, flips);
	for (int i = 0; i < 259; i++)
		in[i] = (uint8_t)(i * 7);
	for (size_t count = 0; count <= sizeof(in); count++) {
		out[count] = 99;
		fnpu_quantize_bytes(&map, in, count, out);
		assert_int_equal(out[count], 99);
		for (size_t i = 0; i < count; i++)
			assert_int_equal(out[i], reference((float)in[i] * byte_scale + offset, scale,
							   zero_point));
	}
}

static void image_bytes_equal_scaling_and_quantizing(void **state)
{
	(void)state;
	expect_byte_map(1 / 255.0f, -0.25f, 0.0078f, 3, false);
	expect_byte_map(1 / 255.0f, 0, 1 / 255.0f, -128, true);
	expect_byte_map(1 / 255.0f, 0, 1 / 255.0f, -127, false);
}

static void rounding_mode_of_the_host_is_the_default(void **state)
{
	(void)state;
	assert_int_equal(fegetround(), FE_TONEAREST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rounding_mode_of_the_host_is_the_default),
		cmocka_unit_test(halves_round_to_even),
		cmocka_unit_test(values_out_of_range_saturate),
		cmocka_unit_test(random_values_equal_the_reference),
		cmocka_unit_test(channels_move_to_the_end),
		cmocka_unit_test(image_bytes_equal_scaling_and_quantizing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
