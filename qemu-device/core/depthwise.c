// SPDX-License-Identifier: MIT
/*
 * Depthwise convolution: each channel has a window of its own, so there is no sum over
 * channels to gather rows for; instead, channels lie side by side in memory and the
 * window's taps come one after another.
 */
#include "kernels.h"

void fnpu_depthwise_plain(const int8_t *const *taps, unsigned int pairs, int zero,
			  const int16_t *w, size_t stride, unsigned int n, int32_t *acc)
{
	for (unsigned int t = 0; t < 2 * pairs; t++) {
		const int16_t *weights = w + t / 2 * stride * 2 + t % 2;

		for (unsigned int c = 0; c < n; c++)
			acc[c] = (int32_t)((uint32_t)acc[c] +
					   (uint32_t)((taps[t][c] - zero) * weights[2 * c]));
	}
}
