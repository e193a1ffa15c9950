// SPDX-License-Identifier: MIT
/*
 * The layers of the vector unit for AVX2, eight or more channels at a time: the same
 * operations in the same order for each of them as in vector.c, hence the same bits.
 */
#include "kernels.h"

#ifdef __AVX2__
#include "avx2.h"

static inline __m256i eight_codes(const int8_t *at)
{
	return _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)at));
}

/* Writes @n of eight codes. */
static inline void store_codes(int8_t *to, __m128i codes, size_t n)
{
	int8_t all[16];

	if (n >= 8) {
		_mm_storel_epi64((__m128i *)to, codes);
		return;
	}
	_mm_storeu_si128((__m128i *)all, codes);
	for (size_t i = 0; i < n; i++)
		to[i] = all[i];
}

/* --- add --------------------------------------------------------------------------- */

void fnpu_add_avx2(const struct fluidnpu_hw_layer *l, const int8_t *a, const int8_t *b,
		   size_t n, int8_t *out)
{
	const int shift = l->flags & FLUIDNPU_LAYER_UNSIGNED ? 128 : 0;
	const struct avx2_clamp clamp = avx2_clamp(-shift, l->clamp_min, l->clamp_max);
	const __m256i offset = _mm256_set1_epi32(shift);
	const __m256 scale_a = _mm256_set1_ps(fnpu_float(l->scale_in));
	const __m256 scale_b = _mm256_set1_ps(fnpu_float(l->scale_in2));
	const __m256 fixed = _mm256_set1_ps(fnpu_float(l->add_fixed));

	for (size_t i = 0; i < n; i += 8) {
		__m256i va = _mm256_add_epi32(eight_codes(a + i), offset);
		__m256i vb = _mm256_add_epi32(eight_codes(b + i), offset);
		__m256 v = _mm256_fmadd_ps(_mm256_cvtepi32_ps(vb), scale_b, fixed);

		v = _mm256_fmadd_ps(_mm256_cvtepi32_ps(va), scale_a, v);
		store_codes(out + i, avx2_requantize(v, &clamp), n - i);
	}
}

/* --- pools ------------------------------------------------------------------------- */

static inline const int8_t *pixel(const struct fluidnpu_hw_layer *l, const int8_t *in,
				  unsigned int y, unsigned int x)
{
	return in + ((size_t)y * l->in_w + x) * l->in_c;
}

/* Eight channels of a window on codes: their sum, then one multiplication. */
static inline __m256 average_codes(const struct fluidnpu_hw_layer *l,
				   const struct fnpu_window *w, const int8_t *in, __m256 scale)
{
	const __m256i zero = _mm256_set1_epi32(l->zp_in);
	__m256i sum = _mm256_setzero_si256();

	for (unsigned int y = w->y0; y < w->y1; y++)
		for (unsigned int x = w->x0; x < w->x1; x++)
			sum = _mm256_add_epi32(sum, _mm256_sub_epi32(
							    eight_codes(pixel(l, in, y, x)), zero));
	return _mm256_mul_ps(_mm256_cvtepi32_ps(sum), scale);
}

/* Eight channels of a window on real numbers, each step rounded. */
static inline __m256 average_reals(const struct fluidnpu_hw_layer *l,
				   const struct fnpu_window *w, const int8_t *in, __m256 scale)
{
	const __m256i zero = _mm256_set1_epi32(l->zp_in);
	__m256 sum = _mm256_setzero_ps();

	for (unsigned int y = w->y0; y < w->y1; y++) {
		for (unsigned int x = w->x0; x < w->x1; x++) {
			__m256i code = _mm256_sub_epi32(eight_codes(pixel(l, in, y, x)), zero);

			sum = _mm256_add_ps(sum, _mm256_mul_ps(_mm256_cvtepi32_ps(code), scale));
		}
	}
	return sum;
}

static void average_window(const struct fluidnpu_hw_layer *l, const struct fnpu_window *w,
			   const int8_t *in, int8_t *out)
{
	const unsigned int full = l->kernel_h * l->kernel_w;
	const unsigned int inside = (w->y1 - w->y0) * (w->x1 - w->x0);
	const unsigned int count = l->flags & FLUIDNPU_LAYER_POOL_COUNT_PAD ? full : inside;
	const int shift = l->scale_in2 && (l->flags & FLUIDNPU_LAYER_UNSIGNED) ? 128 : 0;
	const struct avx2_clamp clamp = avx2_clamp(l->scale_in2 ? -shift : l->zp_out,
						   l->clamp_min, l->clamp_max);
	const __m256 divisor = _mm256_set1_ps((float)count);
	const __m256 scale_out = _mm256_set1_ps(fnpu_float(l->scale_in2));
	const __m256 zero = _mm256_set1_ps((float)(l->zp_out + shift));
	float scale = fnpu_float(l->scale_in);

	if (!l->scale_in2 && count != full)
		scale = scale * (float)full / (float)count;
	for (unsigned int c = 0; c < l->out_c; c += 8) {
		__m256 v;

		if (l->scale_in2) {
			v = average_reals(l, w, in + c, _mm256_set1_ps(scale));
			v = _mm256_div_ps(_mm256_div_ps(v, divisor), scale_out);
			v = _mm256_add_ps(v, zero);
		} else {
			v = average_codes(l, w, in + c, _mm256_set1_ps(scale));
		}
		store_codes(out + c, avx2_requantize(v, &clamp), l->out_c - c);
	}
}

void fnpu_avgpool_avx2(const struct fluidnpu_hw_layer *l, const int8_t *in, size_t first,
		       size_t n, int8_t *out)
{
	for (size_t i = first; i < first + n; i++, out += l->out_c) {
		const struct fnpu_window w = fnpu_window_at(l, i);

		average_window(l, &w, in, out);
	}
}

/* The largest of @n <= 16 channels of a window. */
static void maximum(const struct fluidnpu_hw_layer *l, const struct fnpu_window *w,
		    const int8_t *in, unsigned int n, int8_t *out)
{
	__m128i best = _mm_set1_epi8(-128);

	for (unsigned int y = w->y0; y < w->y1; y++)
		for (unsigned int x = w->x0; x < w->x1; x++)
			best = _mm_max_epi8(best, _mm_loadu_si128(
							  (const __m128i *)pixel(l, in, y, x)));
	best = _mm_max_epi8(best, _mm_set1_epi8(l->clamp_min));
	best = _mm_min_epi8(best, _mm_set1_epi8(l->clamp_max));
	if (n >= 16) {
		_mm_storeu_si128((__m128i *)out, best);
		return;
	}
	store_codes(out, best, n);
	if (n > 8)
		store_codes(out + 8, _mm_srli_si128(best, 8), n - 8);
}

void fnpu_maxpool_avx2(const struct fluidnpu_hw_layer *l, const int8_t *in, size_t first,
		       size_t n, int8_t *out)
{
	for (size_t i = first; i < first + n; i++, out += l->out_c) {
		const struct fnpu_window w = fnpu_window_at(l, i);

		for (unsigned int c = 0; c < l->out_c; c += 16)
			maximum(l, &w, in + c, l->out_c - c, out + c);
	}
}
#endif
