/* SPDX-License-Identifier: MIT */
/*
 * Inputs to the NPU's int8: ONNX QuantizeLinear,
 * q = clamp(round_half_even(x / scale) + zero_point), in binary32.
 */
#ifndef FNPU_QUANTIZE_H
#define FNPU_QUANTIZE_H

#include <stdbool.h>
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

/**
 * struct fnpu_byte_map - what each byte of an image becomes
 * @flips: all of @table is b - 128, as it is when bytes are the network's own scale: then
 *	flipping the top bit, 16 bytes at a time, does the same
 */
struct fnpu_byte_map {
	int8_t table[256];
	bool flips;
};

/** fnpu_byte_map_init() - for x = b * byte_scale + byte_offset, quantized */
void fnpu_byte_map_init(struct fnpu_byte_map *map, float byte_scale, float byte_offset,
			float scale, int32_t zero_point);

/** fnpu_quantize_bytes() - @count bytes of an image, in their order */
void fnpu_quantize_bytes(const struct fnpu_byte_map *map, const uint8_t *in, size_t count,
			 int8_t *out);

#endif /* FNPU_QUANTIZE_H */
