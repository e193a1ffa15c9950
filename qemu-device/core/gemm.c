// SPDX-License-Identifier: MIT
/*
 * The matrix kernels in plain C: what the others have to equal (kernels.h).
 */
#include "kernels.h"

void fnpu_widen_plain(const int8_t *from, size_t n, int zero, int16_t *to)
{
	for (size_t i = 0; i < n; i++)
		to[i] = from[i] - zero;
}

void fnpu_block_plain(const int16_t *a, size_t stride, const int16_t *b, unsigned int pairs,
		      unsigned int rows, unsigned int cols, int32_t *const acc[FNPU_BLOCK_ROWS])
{
	for (unsigned int r = 0; r < rows; r++, a += stride) {
		uint32_t sum[FNPU_PANEL_COLS] = { 0 };

		for (unsigned int p = 0; p < pairs; p++) {
			const int16_t *pair = b + (size_t)p * FNPU_PANEL_COLS * 2;

			for (unsigned int c = 0; c < cols; c++)
				sum[c] += (uint32_t)(a[2 * p] * pair[2 * c] +
						     a[2 * p + 1] * pair[2 * c + 1]);
		}
		for (unsigned int c = 0; c < cols; c++)
			acc[r][c] = (int32_t)((uint32_t)acc[r][c] + sum[c]);
	}
}

void fnpu_requantize_plain(const struct fluidnpu_hw_layer *l, const int32_t *acc,
			   const float *scale, unsigned int n, int8_t *out)
{
	for (unsigned int i = 0; i < n; i++)
		out[i] = fnpu_requantize((float)acc[i] * scale[i], l->zp_out, l->clamp_min,
					 l->clamp_max);
}
