// SPDX-License-Identifier: MIT
/*
 * The depthwise kernel for AVX2: two taps of eight channels become eight int16 pairs,
 * for vpmaddwd.
 */
#include "kernels.h"

#ifdef __AVX2__
#include <string.h>

#include "avx2.h"

static inline __m256i taps_of_eight(const int8_t *const *taps, unsigned int pairs, __m256i zero,
				    const int16_t *w, size_t stride, unsigned int c)
{
	__m256i sum = _mm256_setzero_si256();

	for (unsigned int p = 0; p < pairs; p++, taps += 2, w += stride * 2) {
		__m128i even = _mm_loadl_epi64((const __m128i *)(taps[0] + c));
		__m128i odd = _mm_loadl_epi64((const __m128i *)(taps[1] + c));
		__m256i x = _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(even, odd));
		__m256i weights = _mm256_loadu_si256((const __m256i *)(w + 2 * (size_t)c));

		sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_sub_epi16(x, zero), weights));
	}
	return sum;
}

void fnpu_depthwise_avx2(const int8_t *const *taps, unsigned int pairs, int zero,
			 const int16_t *w, size_t stride, unsigned int n, int32_t *acc)
{
	const __m256i z = _mm256_set1_epi16((int16_t)zero);
	unsigned int c = 0;

	for (; c + 8 <= n; c += 8) {
		__m256i sum = taps_of_eight(taps, pairs, z, w, stride, c);
		__m256i *to = (__m256i *)(acc + c);

		_mm256_storeu_si256(to, _mm256_add_epi32(_mm256_loadu_si256(to), sum));
	}
	if (c < n) {
		int32_t sum[8];

		_mm256_storeu_si256((__m256i *)sum, taps_of_eight(taps, pairs, z, w, stride, c));
		for (unsigned int i = 0; c + i < n; i++)
			acc[c + i] = (int32_t)((uint32_t)acc[c + i] + (uint32_t)sum[i]);
	}
}
#endif
