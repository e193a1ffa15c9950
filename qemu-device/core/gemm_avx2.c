// SPDX-License-Identifier: MIT
/*
 * The kernels of gemm.h for AVX2. vpmaddwd multiplies int16 pairs and adds each pair
 * in int32, which is exact; conversions and products round as the plain C does.
 */
#include "gemm.h"

#ifdef __AVX2__
#include <immintrin.h>
#include <string.h>

#define STEP(r) do {							\
		int32_t pair;						\
		__m256i va;						\
		memcpy(&pair, a + (size_t)(r) * depth_pad + d, 4);	\
		va = _mm256_set1_epi32(pair);				\
		s##r##0 = _mm256_add_epi32(s##r##0, _mm256_madd_epi16(va, b0)); \
		s##r##1 = _mm256_add_epi32(s##r##1, _mm256_madd_epi16(va, b1)); \
	} while (0)

#define STORE(r) do {							\
		_mm256_storeu_si256((__m256i *)&acc[r][0], s##r##0);	\
		_mm256_storeu_si256((__m256i *)&acc[r][8], s##r##1);	\
	} while (0)

static void block_avx2(const int16_t *a, const int16_t *b, unsigned int depth_pad,
		       int32_t acc[FNPU_GEMM_ROWS][FNPU_GEMM_COLS])
{
	__m256i s00 = _mm256_setzero_si256(), s01 = s00, s10 = s00, s11 = s00;
	__m256i s20 = s00, s21 = s00, s30 = s00, s31 = s00;
	__m256i s40 = s00, s41 = s00, s50 = s00, s51 = s00;

	for (unsigned int d = 0; d < depth_pad; d += 2) {
		const int16_t *pair_b = b + (size_t)d * FNPU_GEMM_COLS;
		__m256i b0 = _mm256_loadu_si256((const __m256i *)pair_b);
		__m256i b1 = _mm256_loadu_si256((const __m256i *)(pair_b + 16));

		STEP(0);
		STEP(1);
		STEP(2);
		STEP(3);
		STEP(4);
		STEP(5);
	}
	STORE(0);
	STORE(1);
	STORE(2);
	STORE(3);
	STORE(4);
	STORE(5);
}

static void requantize_avx2(const struct fluidnpu_hw_layer *l, const int32_t *acc,
			    const int32_t *bias, const float *scale, unsigned int n, int8_t *out)
{
	const __m256 lo = _mm256_set1_ps(-1024.0f), hi = _mm256_set1_ps(1024.0f);
	unsigned int i = 0;

	for (; i + 8 <= n; i += 8) {
		__m256i sum = _mm256_add_epi32(_mm256_loadu_si256((const __m256i *)(acc + i)),
					       _mm256_loadu_si256((const __m256i *)(bias + i)));
		__m256 v = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_loadu_ps(scale + i));
		__m256i q;

		/* a NaN gives the second operand, as in fnpu_requantize() */
		v = _mm256_min_ps(_mm256_max_ps(v, lo), hi);
		q = _mm256_add_epi32(_mm256_cvtps_epi32(v), _mm256_set1_epi32(l->zp_out));
		q = _mm256_max_epi32(q, _mm256_set1_epi32(l->clamp_min));
		q = _mm256_min_epi32(q, _mm256_set1_epi32(l->clamp_max));
		q = _mm256_packs_epi32(q, q);
		q = _mm256_packs_epi16(q, q);
		memcpy(out + i, &(int){ _mm_cvtsi128_si32(_mm256_castsi256_si128(q)) }, 4);
		memcpy(out + i + 4, &(int){ _mm_cvtsi128_si32(_mm256_extracti128_si256(q, 1)) }, 4);
	}
	if (i < n)
		fnpu_gemm_plain.requantize(l, acc + i, bias + i, scale + i, n - i, out + i);
}

const struct fnpu_gemm_kernels fnpu_gemm_avx2 = {
	.name = "AVX2",
	.block = block_avx2,
	.requantize = requantize_avx2,
};
#endif
