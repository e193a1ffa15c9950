/* SPDX-License-Identifier: MIT */
/* What the AVX2 kernels share: fnpu_requantize() for eight numbers. */
#ifndef FNPU_AVX2_H
#define FNPU_AVX2_H

#include <immintrin.h>

struct avx2_clamp {
	__m256i zero_point, lo, hi;
};

static inline struct avx2_clamp avx2_clamp(int zero_point, int lo, int hi)
{
	return (struct avx2_clamp){
		.zero_point = _mm256_set1_epi32(zero_point),
		.lo = _mm256_set1_epi32(lo),
		.hi = _mm256_set1_epi32(hi),
	};
}

/** avx2_requantize() - the codes of eight numbers, in the lower half */
static inline __m128i avx2_requantize(__m256 v, const struct avx2_clamp *clamp)
{
	__m256i q;
	__m128i half;

	/* a NaN gives the second operand, as in fnpu_requantize() */
	v = _mm256_max_ps(v, _mm256_set1_ps(-1024.0f));
	v = _mm256_min_ps(v, _mm256_set1_ps(1024.0f));
	q = _mm256_add_epi32(_mm256_cvtps_epi32(v), clamp->zero_point);
	q = _mm256_min_epi32(_mm256_max_epi32(q, clamp->lo), clamp->hi);
	half = _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
	return _mm_packs_epi16(half, half);
}

#endif /* FNPU_AVX2_H */
