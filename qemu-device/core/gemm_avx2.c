// SPDX-License-Identifier: MIT
/*
 * The matrix kernels for AVX2. vpmaddwd multiplies int16 pairs and adds the two
 * products in int32, which is exact; conversions and products round as in plain C.
 */
#include "kernels.h"

#ifdef __AVX2__
#include <string.h>

#include "avx2.h"

void fnpu_widen_avx2(const int8_t *from, size_t n, int zero, int16_t *to)
{
	const __m256i z = _mm256_set1_epi16((int16_t)zero);

	for (size_t i = 0; i < n; i += 16) {
		__m128i codes = _mm_loadu_si128((const __m128i *)(from + i));

		_mm256_storeu_si256((__m256i *)(to + i),
				    _mm256_sub_epi16(_mm256_cvtepi8_epi16(codes), z));
	}
}

/* Two neighbouring int16, in all lanes. */
static inline __m256i broadcast_pair(const int16_t *at)
{
	int32_t pair;

	memcpy(&pair, at, sizeof(pair));
	return _mm256_set1_epi32(pair);
}

/*
 * With @rows and @halves constant, all sums stay in registers: 6 x 2 of them, two of
 * weights and one of activations are 15 of the 16.
 */
static inline __attribute__((always_inline)) void
block(const int16_t *a, size_t stride, const int16_t *b, unsigned int pairs,
      int32_t *const acc[FNPU_BLOCK_ROWS], const unsigned int rows, const unsigned int halves)
{
	__m256i sum[FNPU_BLOCK_ROWS][2];

#pragma GCC unroll 6
	for (unsigned int r = 0; r < rows; r++)
#pragma GCC unroll 2
		for (unsigned int h = 0; h < halves; h++)
			sum[r][h] = _mm256_loadu_si256((const __m256i *)(acc[r] + 8 * h));

	for (unsigned int p = 0; p < pairs; p++, a += 2, b += FNPU_PANEL_COLS * 2) {
		__m256i weights[2];

#pragma GCC unroll 2
		for (unsigned int h = 0; h < halves; h++)
			weights[h] = _mm256_loadu_si256((const __m256i *)(b + 16 * h));
#pragma GCC unroll 6
		for (unsigned int r = 0; r < rows; r++) {
			__m256i pair = broadcast_pair(a + r * stride);

#pragma GCC unroll 2
			for (unsigned int h = 0; h < halves; h++)
				sum[r][h] = _mm256_add_epi32(sum[r][h],
							     _mm256_madd_epi16(pair, weights[h]));
		}
	}

#pragma GCC unroll 6
	for (unsigned int r = 0; r < rows; r++)
#pragma GCC unroll 2
		for (unsigned int h = 0; h < halves; h++)
			_mm256_storeu_si256((__m256i *)(acc[r] + 8 * h), sum[r][h]);
}

void fnpu_block_avx2(const int16_t *a, size_t stride, const int16_t *b, unsigned int pairs,
		     unsigned int rows, unsigned int cols, int32_t *const acc[FNPU_BLOCK_ROWS])
{
#define CASE(n)								\
	case n:								\
		if (cols == FNPU_PANEL_COLS)				\
			block(a, stride, b, pairs, acc, n, 2);		\
		else							\
			block(a, stride, b, pairs, acc, n, 1);		\
		break

	switch (rows) {
	CASE(1);
	CASE(2);
	CASE(3);
	CASE(4);
	CASE(5);
	CASE(6);
	}
#undef CASE
}

void fnpu_requantize_avx2(const struct fluidnpu_hw_layer *l, const int32_t *acc,
			  const float *scale, unsigned int n, int8_t *out)
{
	const struct avx2_clamp clamp = avx2_clamp(l->zp_out, l->clamp_min, l->clamp_max);
	unsigned int i = 0;

	for (; i + 8 <= n; i += 8) {
		__m256i sum = _mm256_loadu_si256((const __m256i *)(acc + i));
		__m256 v = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_loadu_ps(scale + i));

		_mm_storel_epi64((__m128i *)(out + i), avx2_requantize(v, &clamp));
	}
	if (i < n)
		fnpu_requantize_plain(l, acc + i, scale + i, n - i, out + i);
}
#endif
