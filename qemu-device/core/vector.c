// SPDX-License-Identifier: MIT
/*
 * The vector unit: residual add, pooling, and exit heads. All floating point is
 * binary32 without contraction and without libm, so that every host, compiler and
 * optimisation level gives the same bits.
 */
#include <string.h>

#include "fnpu_internal.h"

/*
 * fmaf() of a code. The product is exact in binary64, but the sum may round, and rounding
 * once more to binary32 could then take a tie that is none. So it is rounded to odd: what
 * is not exact gets an odd last bit, which no tie has (Boldo and Melquiond).
 */
static float fma_code(int q, float r, float c)
{
	const double product = (double)q * (double)r;
	union { double d; uint64_t u; } sum = { product + (double)c };
	const double part = sum.d - product;
	/* what the sum lacks, exactly (Knuth's TwoSum); a NaN where it is not finite */
	const double error = (product - (sum.d - part)) + ((double)c - part);
	const bool outwards = (error > 0.0) == (sum.d > 0.0);

	/* one step towards the error: the bits grow with the magnitude */
	if ((error > 0.0 || error < 0.0) && !(sum.u & 1))
		sum.u += outwards ? 1 : -1;
	return (float)sum.d;
}

/*
 * Residual add on codes, as ONNX Runtime's QLinearAdd computes it: zero points are
 * folded into one constant (add_fixed), b goes first (tools/models/ARITHMETIC.md).
 */
void fnpu_vector_add(const struct fluidnpu_hw_layer *l, const int8_t *a, const int8_t *b,
		     size_t n, int8_t *out)
{
	const float scale_a = fnpu_float(l->scale_in), scale_b = fnpu_float(l->scale_in2);
	const float fixed = fnpu_float(l->add_fixed);
	const int shift = l->flags & FLUIDNPU_LAYER_UNSIGNED ? 128 : 0;

	for (size_t i = 0; i < n; i++) {
		float v = fma_code(a[i] + shift, scale_a, fma_code(b[i] + shift, scale_b, fixed));

		out[i] = fnpu_requantize(v, -shift, l->clamp_min, l->clamp_max);
	}
}

/* The sum of integers, then one multiplication: what QLinearGlobalAveragePool does. */
static void average_codes(const struct fluidnpu_hw_layer *l, const struct fnpu_window *w,
			  const int8_t *in, int8_t *out)
{
	const unsigned int full = l->kernel_h * l->kernel_w;
	const unsigned int count = (w->y1 - w->y0) * (w->x1 - w->x0);
	float scale = fnpu_float(l->scale_in);

	if (count != full && !(l->flags & FLUIDNPU_LAYER_POOL_COUNT_PAD))
		scale = scale * (float)full / (float)count;
	for (unsigned int c = 0; c < l->out_c; c++) {
		int32_t sum = 0;

		for (unsigned int y = w->y0; y < w->y1; y++)
			for (unsigned int x = w->x0; x < w->x1; x++)
				sum += in[((size_t)y * l->in_w + x) * l->in_c + c] - l->zp_in;
		out[c] = fnpu_requantize((float)sum * scale, l->zp_out, l->clamp_min,
					 l->clamp_max);
	}
}

/*
 * The sum of real numbers, row by row, each step rounded, and the zero point added
 * before the last rounding: what QLinearAveragePool does.
 */
static void average_reals(const struct fluidnpu_hw_layer *l, const struct fnpu_window *w,
			  const int8_t *in, int8_t *out)
{
	const bool all = l->flags & FLUIDNPU_LAYER_POOL_COUNT_PAD;
	const float scale = fnpu_float(l->scale_in), scale_out = fnpu_float(l->scale_in2);
	const float count = (float)(all ? l->kernel_h * l->kernel_w :
				    (w->y1 - w->y0) * (w->x1 - w->x0));
	const int shift = l->flags & FLUIDNPU_LAYER_UNSIGNED ? 128 : 0;
	const float zero = (float)(l->zp_out + shift);

	for (unsigned int c = 0; c < l->out_c; c++) {
		float sum = 0.0f;

		for (unsigned int y = w->y0; y < w->y1; y++)
			for (unsigned int x = w->x0; x < w->x1; x++)
				sum += (float)(in[((size_t)y * l->in_w + x) * l->in_c + c] -
					       l->zp_in) * scale;
		out[c] = fnpu_requantize(sum / count / scale_out + zero, -shift, l->clamp_min,
					 l->clamp_max);
	}
}

void fnpu_vector_avgpool(const struct fluidnpu_hw_layer *l, const int8_t *in, size_t first,
			 size_t n, int8_t *out)
{
	for (size_t i = first; i < first + n; i++, out += l->out_c) {
		const struct fnpu_window w = fnpu_window_at(l, i);

		if (l->scale_in2)
			average_reals(l, &w, in, out);
		else
			average_codes(l, &w, in, out);
	}
}

void fnpu_vector_maxpool(const struct fluidnpu_hw_layer *l, const int8_t *in, size_t first,
			 size_t n, int8_t *out)
{
	for (size_t i = first; i < first + n; i++) {
		const struct fnpu_window w = fnpu_window_at(l, i);

		for (unsigned int c = 0; c < l->out_c; c++) {
			int8_t best = -128;

			for (unsigned int y = w.y0; y < w.y1; y++) {
				for (unsigned int x = w.x0; x < w.x1; x++) {
					int8_t v = in[((size_t)y * l->in_w + x) * l->in_c + c];

					best = v > best ? v : best;
				}
			}
			best = best < l->clamp_min ? l->clamp_min : best;
			*out++ = best > l->clamp_max ? l->clamp_max : best;
		}
	}
}

/* @n pixels of one input of a concatenation: see FLUIDNPU_LAYER_CONCAT. */
void fnpu_vector_concat(const struct fluidnpu_hw_layer *l, const int8_t *table,
			const int8_t *in, size_t n, int8_t *out)
{
	out += l->out_channel;
	for (size_t i = 0; i < n; i++, out += l->out_c)
		for (unsigned int c = 0; c < l->in_c; c++)
			out[c] = table[*in++ + 128];
}

/*
 * exp(x) for x <= 0, relative error below 2^-22: x = n ln 2 + r with |r| <= ln 2 / 2,
 * ln 2 in two parts so that r is exact enough, and the Taylor polynomial of e^r.
 * Below -87 the result is 0: such a class has no share in the softmax.
 */
static float exp_negative(float x)
{
	const float magic = 12582912.0f;
	float n, r, p;

	if (!(x > -87.0f))
		return 0.0f;
	n = (x * 1.44269504f + magic) - magic;
	r = x - n * 0.693359375f;
	r = r - n * -2.12194440e-4f;
	p = 1.0f / 5040.0f;
	p = p * r + 1.0f / 720.0f;
	p = p * r + 1.0f / 120.0f;
	p = p * r + 1.0f / 24.0f;
	p = p * r + 1.0f / 6.0f;
	p = p * r + 0.5f;
	p = p * r + 1.0f;
	p = p * r + 1.0f;
	return p * fnpu_float((uint32_t)((int)n + 127) << 23);
}

/*
 * ln(x) for finite x >= 1: x = 2^e m with m in [sqrt(1/2), sqrt(2)), and
 * ln m = 2 artanh((m - 1) / (m + 1)) by its series.
 */
static float log_positive(float x)
{
	uint32_t bits = fnpu_float_bits(x);
	int e = (int)(bits >> 23) - 127;
	float m = fnpu_float((bits & 0x007fffffu) | 0x3f800000u), t, t2, p;

	if (m > 1.41421356f) {
		m = m * 0.5f;
		e++;
	}
	t = (m - 1.0f) / (m + 1.0f);
	t2 = t * t;
	p = 1.0f / 9.0f;
	p = p * t2 + 1.0f / 7.0f;
	p = p * t2 + 1.0f / 5.0f;
	p = p * t2 + 1.0f / 3.0f;
	p = p * t2 + 1.0f;
	return 2.0f * t * p + (float)e * 0.693147181f;
}

/*
 * Softmax statistics of one sample's logits. With e_i = exp(v_i - v_max) and S = sum e_i:
 * confidence = 1 / S, margin = (1 - e_second) / S, entropy = ln S - sum e_i (v_i - v_max) / S.
 * Of equal logits the first is the top-1 class.
 */
void fnpu_vector_exit_head(const struct fluidnpu_hw_layer *l, const int8_t *logits,
			   struct fnpu_head_result *result)
{
	const float scale = fnpu_float(l->scale_in);
	float sum = 0.0f, weighted = 0.0f, second = 0.0f;
	unsigned int top = 0;

	for (unsigned int i = 1; i < l->in_c; i++)
		if (logits[i] > logits[top])
			top = i;
	for (unsigned int i = 0; i < l->in_c; i++) {
		float d = (float)(logits[i] - logits[top]) * scale;
		float e = exp_negative(d);

		sum = sum + e;
		if (e > 0.0f)
			weighted = weighted + e * d;
		if (i != top && e > second)
			second = e;
	}
	result->class_index = top;
	result->confidence = 1.0f / sum;
	result->margin = (1.0f - second) / sum;
	result->entropy = log_positive(sum) - weighted / sum;
}
