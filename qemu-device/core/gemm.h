/* SPDX-License-Identifier: MIT */
/*
 * int8 convolution as a GEMM on int16 panels: activations less their zero point and
 * weights both fit int16, and products of int16 pairs summed in int32 are exact, so
 * every kernel gives the same bits. Sums wrap modulo 2^32.
 *
 * Packed weights: per convolution group, per block of FNPU_GEMM_COLS output channels,
 * [depth_pad / 2][FNPU_GEMM_COLS][2]: a pair of depth positions for each channel,
 * zeros beyond the real depth and channels.
 */
#ifndef FNPU_GEMM_H
#define FNPU_GEMM_H

#include "fnpu_internal.h"

#define FNPU_GEMM_ROWS 6	/* activation rows that a kernel handles together */
#define FNPU_GEMM_COLS 16	/* output channels that a kernel handles together */

/**
 * struct fnpu_gemm_kernels - one instruction set's kernels
 * @name: for reports
 * @block: acc[r][c] = sum over d of a[r][d] * b[d][c] for FNPU_GEMM_ROWS rows and
 *	FNPU_GEMM_COLS columns. @a rows are @depth_pad apart, @b is one packed block
 * @requantize: out[i] = clamp(round_half_even((acc[i] + bias[i]) * scale[i]) + zp) for
 *	@n channels; what it means exactly is fnpu_requantize()
 */
struct fnpu_gemm_kernels {
	const char *name;
	void (*block)(const int16_t *a, const int16_t *b, unsigned int depth_pad,
		      int32_t acc[FNPU_GEMM_ROWS][FNPU_GEMM_COLS]);
	void (*requantize)(const struct fluidnpu_hw_layer *l, const int32_t *acc,
			   const int32_t *bias, const float *scale, unsigned int n, int8_t *out);
};

extern const struct fnpu_gemm_kernels fnpu_gemm_plain;
extern const struct fnpu_gemm_kernels fnpu_gemm_avx2;

/** fnpu_gemm_select() - the fastest kernels that this processor runs */
const struct fnpu_gemm_kernels *fnpu_gemm_select(void);

/** fnpu_conv_pack() - packs x->weights for @l into x->packed; false: out of memory */
bool fnpu_conv_pack(struct fnpu_scratch *x, const struct fluidnpu_hw_layer *l);

/**
 * fnpu_conv_run() - the convolution @l for one sample, with weights packed before
 * @in: int8 [in_h][in_w][in_c]
 * @out: int8 [out_h][out_w][out_c]
 * Returns false when out of memory.
 */
bool fnpu_conv_run(struct fnpu_scratch *x, const struct fnpu_gemm_kernels *k,
		   const struct fluidnpu_hw_layer *l, const int8_t *in, int8_t *out);

#endif /* FNPU_GEMM_H */
