/* SPDX-License-Identifier: MIT */
/*
 * The inner loops of the functional engine, once per instruction set: small leaf
 * functions behind one table that is chosen at run time. The plain C ones define the
 * result; the others give the same bits (tests/host/test_core_kernels.c).
 *
 * Multiplications are of int16 pairs: activations less their zero point and weights less
 * theirs lie in -255..255, so that a product and the sum of two fit int32 with ease, and
 * sums of those wrap modulo 2^32 in every kernel. As that addition is
 * associative, no kernel has to keep an order.
 *
 *	gemm.c, depthwise.c, vector.c				plain C
 *	gemm_avx2.c, depthwise_avx2.c, vector_avx2.c		AVX2, FMA
 *	gemm_avx512vnni.c					AVX-512 VNNI
 */
#ifndef FNPU_KERNELS_H
#define FNPU_KERNELS_H

#include "fnpu_internal.h"

#define FNPU_BLOCK_ROWS 6	/* activation rows that a kernel multiplies at once */
#define FNPU_PANEL_COLS 16	/* output channels of a panel of packed weights */
#define FNPU_OVERRUN 15	/* elements that a kernel may touch beyond what it was given */

/**
 * struct fnpu_kernels - one instruction set's kernels
 * @name: for reports
 * @widen: to[i] = from[i] - @zero for @n codes; may read and write FNPU_OVERRUN beyond
 * @block: acc[r][c] += sum over d of a[r][d] * b[d][c], for 1..FNPU_BLOCK_ROWS rows of
 *	2 * @pairs numbers, @stride apart, and @cols = 8 or 16 columns; b is a panel,
 *	[pairs][FNPU_PANEL_COLS][2], or the right half of one
 * @depthwise: acc[c] += sum over t of (taps[t][c] - zero) * w[t][c] for 2 * @pairs taps and
 *	@n channels; w is [pairs][stride][2]; may read FNPU_OVERRUN beyond each tap's
 * @requantize: out[i] = clamp(round_half_even(acc[i] * scale[i]) + zp_out) for @n channels,
 *	and not a byte more; what it means exactly is fnpu_requantize()
 * @add, @avgpool, @maxpool: part of a layer for one sample (vector.c): @n outputs; those of
 *	@n output positions from @first on, of all of the input. May read FNPU_OVERRUN beyond
 */
struct fnpu_kernels {
	const char *name;
	void (*widen)(const int8_t *from, size_t n, int zero, int16_t *to);
	void (*block)(const int16_t *a, size_t stride, const int16_t *b, unsigned int pairs,
		      unsigned int rows, unsigned int cols, int32_t *const acc[FNPU_BLOCK_ROWS]);
	void (*depthwise)(const int8_t *const *taps, unsigned int pairs, int zero,
			  const int16_t *w, size_t stride, unsigned int n, int32_t *acc);
	void (*requantize)(const struct fluidnpu_hw_layer *l, const int32_t *acc,
			   const float *scale, unsigned int n, int8_t *out);
	void (*add)(const struct fluidnpu_hw_layer *l, const int8_t *a, const int8_t *b,
		    size_t n, int8_t *out);
	void (*avgpool)(const struct fluidnpu_hw_layer *l, const int8_t *in, size_t first,
			size_t n, int8_t *out);
	void (*maxpool)(const struct fluidnpu_hw_layer *l, const int8_t *in, size_t first,
			size_t n, int8_t *out);
};

extern const struct fnpu_kernels fnpu_kernels_plain;
extern const struct fnpu_kernels fnpu_kernels_avx2;
extern const struct fnpu_kernels fnpu_kernels_avx512vnni;

/**
 * fnpu_kernels_all() - what this processor runs, the fastest first, NULL at the end
 */
const struct fnpu_kernels *const *fnpu_kernels_all(void);

/* what the tables are made of */
void fnpu_widen_plain(const int8_t *from, size_t n, int zero, int16_t *to);
void fnpu_block_plain(const int16_t *a, size_t stride, const int16_t *b, unsigned int pairs,
		      unsigned int rows, unsigned int cols, int32_t *const acc[FNPU_BLOCK_ROWS]);
void fnpu_requantize_plain(const struct fluidnpu_hw_layer *l, const int32_t *acc,
			   const float *scale, unsigned int n, int8_t *out);
void fnpu_depthwise_plain(const int8_t *const *taps, unsigned int pairs, int zero,
			  const int16_t *w, size_t stride, unsigned int n, int32_t *acc);

void fnpu_widen_avx2(const int8_t *from, size_t n, int zero, int16_t *to);
void fnpu_block_avx2(const int16_t *a, size_t stride, const int16_t *b, unsigned int pairs,
		     unsigned int rows, unsigned int cols, int32_t *const acc[FNPU_BLOCK_ROWS]);
void fnpu_requantize_avx2(const struct fluidnpu_hw_layer *l, const int32_t *acc,
			  const float *scale, unsigned int n, int8_t *out);
void fnpu_depthwise_avx2(const int8_t *const *taps, unsigned int pairs, int zero,
			 const int16_t *w, size_t stride, unsigned int n, int32_t *acc);
void fnpu_add_avx2(const struct fluidnpu_hw_layer *l, const int8_t *a, const int8_t *b,
		   size_t n, int8_t *out);
void fnpu_avgpool_avx2(const struct fluidnpu_hw_layer *l, const int8_t *in, size_t first,
		       size_t n, int8_t *out);
void fnpu_maxpool_avx2(const struct fluidnpu_hw_layer *l, const int8_t *in, size_t first,
		       size_t n, int8_t *out);

void fnpu_block_avx512vnni(const int16_t *a, size_t stride, const int16_t *b, unsigned int pairs,
			   unsigned int rows, unsigned int cols,
			   int32_t *const acc[FNPU_BLOCK_ROWS]);

#endif /* FNPU_KERNELS_H */
