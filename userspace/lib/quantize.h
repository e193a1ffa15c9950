/* SPDX-License-Identifier: MIT */
/*
 * Inputs to the NPU's int8: ONNX QuantizeLinear,
 * q = clamp(round_half_even(x / scale) + zero_point), in binary32.
 */
#ifndef FNPU_QUANTIZE_H
#define FNPU_QUANTIZE_H

#include <stddef.h>
#include <stdint.h>

/** fnpu_quantize() - one number; NaN becomes -128 */
int8_t fnpu_quantize(float x, float scale, int32_t zero_point);

/**
 * fnpu_quantize_nchw() - an image
 * @in: float[channels][height][width], @pixels = height * width
 * @out: int8_t[height][width][channels]
 */
void fnpu_quantize_nchw(const float *in, uint32_t channels, size_t pixels,
			float scale, int32_t zero_point, int8_t *out);

/** fnpu_quantize_table() - what each byte b of an image becomes: b * byte_scale + byte_offset, quantized */
void fnpu_quantize_table(float byte_scale, float byte_offset, float scale, int32_t zero_point,
			 int8_t table[256]);

#endif /* FNPU_QUANTIZE_H */
