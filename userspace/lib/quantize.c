// SPDX-License-Identifier: MIT
#include <string.h>

#include "quantize.h"

/*
 * The sum with 1.5 * 2^23 leaves no bits for a fraction, so the addition itself
 * rounds half to even, with no library call. It holds up to 2^22: hence the clamp, far
 * outside of int8 with any zero point. A NaN fails the first comparison.
 */
int8_t fnpu_quantize(float x, float scale, int32_t zero_point)
{
	const float magic = 12582912.0f;
	float v = x / scale;
	int32_t q;

	v = v > -1024.0f ? v : -1024.0f;
	v = v < 1024.0f ? v : 1024.0f;
	q = (int32_t)((v + magic) - magic) + zero_point;
	return (int8_t)(q < INT8_MIN ? INT8_MIN : q > INT8_MAX ? INT8_MAX : q);
}

void fnpu_quantize_nchw(const float *in, uint32_t channels, size_t pixels,
			float scale, int32_t zero_point, int8_t *out)
{
	for (uint32_t c = 0; c < channels; c++)
		for (size_t i = 0; i < pixels; i++)
			out[i * channels + c] = fnpu_quantize(in[c * pixels + i], scale, zero_point);
}

void fnpu_byte_map_init(struct fnpu_byte_map *map, float byte_scale, float byte_offset,
			float scale, int32_t zero_point)
{
	map->flips = true;
	for (int b = 0; b < 256; b++) {
		map->table[b] = fnpu_quantize((float)b * byte_scale + byte_offset, scale,
					      zero_point);
		map->flips = map->flips && map->table[b] == b - 128;
	}
}

typedef uint64_t words __attribute__((vector_size(16)));	/* a vector of any x86-64 or Arm */

static size_t flip_words(const uint8_t *in, size_t count, int8_t *out)
{
	size_t i;

	for (i = 0; count - i >= sizeof(words); i += sizeof(words)) {
		words w;

		memcpy(&w, in + i, sizeof(w));
		w ^= UINT64_C(0x8080808080808080);
		memcpy(out + i, &w, sizeof(w));
	}
	return i;
}

void fnpu_quantize_bytes(const struct fnpu_byte_map *map, const uint8_t *in, size_t count,
			 int8_t *out)
{
	size_t i = map->flips ? flip_words(in, count, out) : 0;

	for (; i < count; i++)
		out[i] = map->table[in[i]];
}
