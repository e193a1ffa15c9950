// SPDX-License-Identifier: MIT
/*
 * The matrix kernel for AVX-512 VNNI. vpdpwssd is vpmaddwd and vpaddd in one, on twice
 * the width: a panel's sixteen columns are one register. It takes the same int16 panels as
 * the other kernels; vpdpbusd on bytes would do twice as much again, but only for
 * unsigned activations and symmetric weights, and with corrections for both.
 */
#include "kernels.h"

#if defined(__AVX512VNNI__) && defined(__AVX512BW__)
#include <immintrin.h>
#include <string.h>

static inline __m512i broadcast_pair(const int16_t *at)
{
	int32_t pair;

	memcpy(&pair, at, sizeof(pair));
	return _mm512_set1_epi32(pair);
}

static inline __attribute__((always_inline)) void
block(const int16_t *a, size_t stride, const int16_t *b, unsigned int pairs,
      int32_t *const acc[FNPU_BLOCK_ROWS], const unsigned int rows, __mmask16 cols)
{
	__m512i sum[FNPU_BLOCK_ROWS];

#pragma GCC unroll 6
	for (unsigned int r = 0; r < rows; r++)
		sum[r] = _mm512_maskz_loadu_epi32(cols, acc[r]);

	for (unsigned int p = 0; p < pairs; p++, a += 2, b += FNPU_PANEL_COLS * 2) {
		const __m512i weights = _mm512_maskz_loadu_epi32(cols, b);

#pragma GCC unroll 6
		for (unsigned int r = 0; r < rows; r++)
			sum[r] = _mm512_dpwssd_epi32(sum[r], broadcast_pair(a + r * stride),
						     weights);
	}

#pragma GCC unroll 6
	for (unsigned int r = 0; r < rows; r++)
		_mm512_mask_storeu_epi32(acc[r], cols, sum[r]);
}

void fnpu_block_avx512vnni(const int16_t *a, size_t stride, const int16_t *b, unsigned int pairs,
			   unsigned int rows, unsigned int cols,
			   int32_t *const acc[FNPU_BLOCK_ROWS])
{
	const __mmask16 mask = cols == FNPU_PANEL_COLS ? 0xffff : 0x00ff;

	switch (rows) {
	case 1:
		block(a, stride, b, pairs, acc, 1, mask);
		break;
	case 2:
		block(a, stride, b, pairs, acc, 2, mask);
		break;
	case 3:
		block(a, stride, b, pairs, acc, 3, mask);
		break;
	case 4:
		block(a, stride, b, pairs, acc, 4, mask);
		break;
	case 5:
		block(a, stride, b, pairs, acc, 5, mask);
		break;
	case 6:
		block(a, stride, b, pairs, acc, 6, mask);
		break;
	}
}
#endif
