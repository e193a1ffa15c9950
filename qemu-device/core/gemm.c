// SPDX-License-Identifier: MIT
/*
 * Convolution: packing, gathering of rows, and the plain C kernels that define the
 * result. See gemm.h for the layout of the panels.
 */
#include <string.h>

#include "gemm.h"

/* Depth of one convolution group, and padded so that pairs and rows stay aligned. */
static unsigned int depth_of(const struct fluidnpu_hw_layer *l)
{
	return (unsigned int)l->kernel_h * l->kernel_w * (l->in_c / l->groups);
}

static unsigned int round_up(unsigned int v, unsigned int to)
{
	return (v + to - 1) / to * to;
}

static unsigned int depth_pad_of(const struct fluidnpu_hw_layer *l)
{
	return round_up(depth_of(l), 2);
}

bool fnpu_conv_pack(struct fnpu_scratch *x, const struct fluidnpu_hw_layer *l)
{
	const unsigned int depth = depth_of(l), depth_pad = depth_pad_of(l);
	const unsigned int channels = l->out_c / l->groups;
	const unsigned int padded = round_up(channels, FNPU_GEMM_COLS);
	const size_t group_size = (size_t)padded * depth_pad;
	int16_t *packed = fnpu_buffer_get(&x->packed, group_size * l->groups * sizeof(*packed));
	const int8_t *weights = x->weights.data, *zp = x->weight_zp.data;

	if (!packed)
		return false;
	memset(packed, 0, group_size * l->groups * sizeof(*packed));
	for (unsigned int o = 0; o < l->out_c; o++) {
		unsigned int c = o % channels;
		int16_t *block = packed + o / channels * group_size +
				 (size_t)(c / FNPU_GEMM_COLS) * FNPU_GEMM_COLS * depth_pad +
				 c % FNPU_GEMM_COLS * 2;

		for (unsigned int d = 0; d < depth; d++)
			block[(size_t)(d / 2) * FNPU_GEMM_COLS * 2 + d % 2] =
				weights[(size_t)o * depth + d] - (l->weight_zp_off ? zp[o] : 0);
	}
	return true;
}

/* The input less its zero point, as int16, in a frame of zeros where padding is. */
static const int16_t *pad_input(struct fnpu_scratch *x, const struct fluidnpu_hw_layer *l,
				const int8_t *in)
{
	const size_t row = (size_t)(l->in_w + l->pad_l + l->pad_r) * l->in_c;
	const size_t rows = l->in_h + l->pad_t + l->pad_b;
	const size_t line = (size_t)l->in_w * l->in_c;
	int16_t *padded = fnpu_buffer_get(&x->padded, row * rows * sizeof(*padded));
	const int16_t zero = l->zp_in;

	if (!padded)
		return NULL;
	if (row != line || rows != l->in_h)
		memset(padded, 0, row * rows * sizeof(*padded));
	for (unsigned int y = 0; y < l->in_h; y++) {
		int16_t *to = padded + (y + l->pad_t) * row + (size_t)l->pad_l * l->in_c;
		const int8_t *from = in + y * line;

		for (size_t i = 0; i < line; i++)
			to[i] = from[i] - zero;
	}
	return padded;
}

/* One GEMM row: the window of output position @pos, for channel group @group. */
static void gather_row(const struct fluidnpu_hw_layer *l, const int16_t *padded,
		       unsigned int pos, unsigned int group, int16_t *row)
{
	const unsigned int in_c = l->in_c / l->groups;
	const size_t width = (size_t)(l->in_w + l->pad_l + l->pad_r) * l->in_c;
	const int16_t *window = padded + (size_t)(pos / l->out_w) * l->stride_h * width +
				(size_t)(pos % l->out_w) * l->stride_w * l->in_c +
				(size_t)group * in_c;

	for (unsigned int kh = 0; kh < l->kernel_h; kh++) {
		const int16_t *from = window + (size_t)kh * l->dilation_h * width;

		if (l->groups == 1 && l->dilation_w == 1) {
			memcpy(row, from, (size_t)l->kernel_w * in_c * sizeof(*row));
			row += (size_t)l->kernel_w * in_c;
			continue;
		}
		for (unsigned int kw = 0; kw < l->kernel_w; kw++) {
			memcpy(row, from + (size_t)kw * l->dilation_w * l->in_c,
			       in_c * sizeof(*row));
			row += in_c;
		}
	}
}

bool fnpu_conv_run(struct fnpu_scratch *x, const struct fnpu_gemm_kernels *k,
		   const struct fluidnpu_hw_layer *l, const int8_t *in, int8_t *out)
{
	const unsigned int depth_pad = depth_pad_of(l), positions = l->out_h * l->out_w;
	const unsigned int channels = l->out_c / l->groups;
	const size_t block_size = (size_t)FNPU_GEMM_COLS * depth_pad;
	const size_t group_size = round_up(channels, FNPU_GEMM_COLS) / FNPU_GEMM_COLS * block_size;
	const int16_t *packed = x->packed.data, *padded = pad_input(x, l, in);
	const int32_t *bias = x->bias.data;
	const float *scale = x->scale.data;
	int32_t acc[FNPU_GEMM_ROWS][FNPU_GEMM_COLS];
	int16_t *rows = fnpu_buffer_get(&x->rows, FNPU_GEMM_ROWS * (size_t)depth_pad * sizeof(*rows));

	if (!padded || !rows)
		return false;
	memset(rows, 0, FNPU_GEMM_ROWS * (size_t)depth_pad * sizeof(*rows));

	for (unsigned int g = 0; g < l->groups; g++) {
		for (unsigned int pos = 0; pos < positions; pos += FNPU_GEMM_ROWS) {
			unsigned int n = positions - pos < FNPU_GEMM_ROWS ? positions - pos :
									    FNPU_GEMM_ROWS;

			for (unsigned int r = 0; r < n; r++)
				gather_row(l, padded, pos + r, g, rows + (size_t)r * depth_pad);
			for (unsigned int c = 0; c < channels; c += FNPU_GEMM_COLS) {
				unsigned int o = g * channels + c;
				unsigned int m = channels - c < FNPU_GEMM_COLS ? channels - c :
										 FNPU_GEMM_COLS;

				k->block(rows, packed + g * group_size +
					 c / FNPU_GEMM_COLS * block_size, depth_pad, acc);
				for (unsigned int r = 0; r < n; r++)
					k->requantize(l, acc[r], bias + o, scale + o, m,
						      out + (size_t)(pos + r) * l->out_c + o);
			}
		}
	}
	return true;
}

static void block_plain(const int16_t *a, const int16_t *b, unsigned int depth_pad,
			int32_t acc[FNPU_GEMM_ROWS][FNPU_GEMM_COLS])
{
	for (unsigned int r = 0; r < FNPU_GEMM_ROWS; r++) {
		const int16_t *row = a + (size_t)r * depth_pad;
		uint32_t sum[FNPU_GEMM_COLS] = { 0 };

		for (unsigned int d = 0; d < depth_pad; d += 2) {
			const int16_t *pair = b + (size_t)d * FNPU_GEMM_COLS;

			for (unsigned int c = 0; c < FNPU_GEMM_COLS; c++)
				sum[c] += (uint32_t)(row[d] * pair[2 * c] +
						     row[d + 1] * pair[2 * c + 1]);
		}
		memcpy(acc[r], sum, sizeof(sum));
	}
}

static void requantize_plain(const struct fluidnpu_hw_layer *l, const int32_t *acc,
			     const int32_t *bias, const float *scale, unsigned int n, int8_t *out)
{
	for (unsigned int i = 0; i < n; i++) {
		int32_t sum = (int32_t)((uint32_t)acc[i] + (uint32_t)bias[i]);

		out[i] = fnpu_requantize((float)sum * scale[i], l->zp_out, l->clamp_min,
					 l->clamp_max);
	}
}

const struct fnpu_gemm_kernels fnpu_gemm_plain = {
	.name = "plain C",
	.block = block_plain,
	.requantize = requantize_plain,
};

const struct fnpu_gemm_kernels *fnpu_gemm_select(void)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx2"))
		return &fnpu_gemm_avx2;
#endif
	return &fnpu_gemm_plain;
}
