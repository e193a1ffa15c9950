// SPDX-License-Identifier: MIT
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conv_bench.h"

#define GUARD_BYTES 64
#define GUARD 0x5a

/* Up to @more than what the window needs at least. */
static unsigned int random_extent(struct tb_rng *rng, int least, int more)
{
	if (least < 1)
		least = 1;
	return tb_range(rng, least, least + more);
}

static void random_window(struct tb_rng *rng, struct fluidnpu_hw_layer *l, int extent)
{
	const int pad = extent < 5 ? 1 : 4;
	unsigned int span_h, span_w;

	l->kernel_h = tb_range(rng, 1, extent < 5 ? extent : 5);
	l->kernel_w = tb_range(rng, 1, extent < 5 ? extent : 5);
	l->stride_h = tb_range(rng, 1, 3);
	l->stride_w = tb_range(rng, 1, 3);
	l->dilation_h = tb_range(rng, 0, 2) ? 1 : tb_range(rng, 2, 3);
	l->dilation_w = tb_range(rng, 0, 2) ? 1 : tb_range(rng, 2, 3);
	l->pad_t = tb_range(rng, 0, pad); /* each its own; more than the kernel at times */
	l->pad_b = tb_range(rng, 0, pad);
	l->pad_l = tb_range(rng, 0, pad);
	l->pad_r = tb_range(rng, 0, pad);
	span_h = (l->kernel_h - 1) * l->dilation_h + 1;
	span_w = (l->kernel_w - 1) * l->dilation_w + 1;
	l->in_h = random_extent(rng, (int)span_h - l->pad_t - l->pad_b, extent);
	l->in_w = random_extent(rng, (int)span_w - l->pad_l - l->pad_r, extent);
	l->out_h = (l->in_h + l->pad_t + l->pad_b - span_h) / l->stride_h + 1;
	l->out_w = (l->in_w + l->pad_l + l->pad_r - span_w) / l->stride_w + 1;
}

struct fluidnpu_hw_layer conv_random(struct tb_rng *rng, enum conv_kind kind, bool small)
{
	const bool many = tb_range(rng, 0, 3) == 0;
	struct fluidnpu_hw_layer l = { .op = FLUIDNPU_LAYER_CONV, .groups = 1 };
	unsigned int in_group = tb_range(rng, 1, small ? 4 : 19);
	unsigned int out_group = tb_range(rng, 1, small ? 12 : 35);

	switch (kind) {
	case CONV_GROUPED:
		l.groups = tb_range(rng, 2, 5);
		break;
	case CONV_DEPTHWISE:
		l.groups = tb_range(rng, 2, 37);
		in_group = 1;
		out_group = tb_range(rng, 1, 4) == 1 ? 2 : 1;
		break;
	case CONV_ONE_OUTPUT:
		l.groups = tb_range(rng, 1, 11);
		out_group = 1;
		break;
	case CONV_FULLY_CONNECTED:
		in_group = tb_range(rng, 1, many ? 1500 : 100);
		break;
	default:
		break;
	}
	l.in_c = l.groups * in_group;
	l.out_c = l.groups * out_group;
	if (kind == CONV_FULLY_CONNECTED) {
		l.kernel_h = l.kernel_w = l.stride_h = l.stride_w = 1;
		l.dilation_h = l.dilation_w = 1;
		l.in_h = l.in_w = l.out_h = l.out_w = 1;
	} else {
		random_window(rng, &l, small ? 4 : 11);
	}
	l.zp_in = tb_range(rng, -128, 127);
	l.zp_out = tb_range(rng, -128, 127);
	l.clamp_min = many ? tb_range(rng, -128, 0) : -128;
	l.clamp_max = many ? tb_range(rng, 1, 127) : 127;
	l.weight_zp_off = tb_range(rng, 0, 1); /* an offset later, if any */
	return l;
}

/* --- the reference ----------------------------------------------------------------- */

/* One output's sum, by the definition: what is in the padding counts as the zero point. */
static int64_t naive_sum(const struct fluidnpu_hw_layer *l, const int8_t *in, const int8_t *weights,
			 int weight_zp, int oy, int ox, int o)
{
	const int in_group = l->in_c / l->groups, group = o / (l->out_c / l->groups);
	int64_t sum = 0;

	for (int ky = 0; ky < l->kernel_h; ky++) {
		for (int kx = 0; kx < l->kernel_w; kx++) {
			const int y = oy * l->stride_h - l->pad_t + ky * l->dilation_h;
			const int x = ox * l->stride_w - l->pad_l + kx * l->dilation_w;

			if (y < 0 || y >= l->in_h || x < 0 || x >= l->in_w)
				continue;
			for (int i = 0; i < in_group; i++) {
				const int c = group * in_group + i;
				const int w = weights[((o * l->kernel_h + ky) * l->kernel_w + kx) *
						      in_group + i];

				sum += (in[(y * l->in_w + x) * l->in_c + c] - l->zp_in) *
				       (w - weight_zp);
			}
		}
	}
	return sum;
}

static void naive_conv(const struct fluidnpu_hw_layer *l, const int8_t *in, const int8_t *weights,
		       const int8_t *weight_zp, const int32_t *bias, const float *scale, int8_t *out)
{
	for (int oy = 0; oy < l->out_h; oy++) {
		for (int ox = 0; ox < l->out_w; ox++) {
			for (int o = 0; o < l->out_c; o++) {
				const int64_t sum = bias[o] +
					naive_sum(l, in, weights, weight_zp ? weight_zp[o] : 0, oy,
						  ox, o);
				/* one operation each, rounded to binary32 */
				volatile float acc = (float)(int32_t)sum;
				volatile float v = acc * scale[o];

				*out++ = ref_requantize(v, l->zp_out, l->clamp_min, l->clamp_max);
			}
		}
	}
}

/* --- the bench --------------------------------------------------------------------- */

struct tb *conv_bench_tb(const struct fnpu_config *config)
{
	struct tb *tb = tb_new(config, TB_INLINE);

	tb_as_enable(tb, TB_AS);
	tb_map(tb, TB_AS, TB_BUS_BASE, TB_BUS_BYTES, true);
	return tb;
}

static void make_scales(struct tb_rng *rng, const struct fluidnpu_hw_layer *l, unsigned int depth,
			bool extreme, bool wild, float *scale)
{
	/* so that outputs spread over the codes */
	const float spread = sqrtf((float)depth) * (extreme || l->weight_zp_off ? 90.0f : 40.0f);

	for (unsigned int o = 0; o < l->out_c; o++)
		scale[o] = wild ? fnpu_float(tb_random(rng)) :
				  (float)tb_range(rng, 1, 1000) / 500.0f / spread;
}

void conv_bench_init(struct conv_bench *b, struct tb *tb, const struct fluidnpu_hw_layer *l,
		     struct tb_rng *rng, bool extreme, bool wild)
{
	const unsigned int depth = l->kernel_h * l->kernel_w * (l->in_c / l->groups);
	const size_t weights = (size_t)depth * l->out_c;
	const size_t in_bytes = (size_t)l->in_h * l->in_w * l->in_c;
	const size_t bytes = 12 + 8 * (size_t)l->out_c + weights + l->out_c;
	uint64_t addr;
	int8_t *program, *zp;
	int32_t *bias;
	float *scale;

	*b = (struct conv_bench){ .tb = tb, .l = *l, .mark = tb->next };
	b->out_bytes = (size_t)l->out_h * l->out_w * l->out_c;
	addr = tb_alloc(tb, bytes, FLUIDNPU_PAGE_BYTES);
	program = tb_ptr(tb, addr, bytes);
	b->program_iova = addr + TB_IOVA_OFFSET;
	b->l.bias_off = 12;
	b->l.scale_off = b->l.bias_off + 4 * l->out_c;
	b->l.weights_off = b->l.scale_off + 4 * l->out_c;
	b->l.weight_zp_off = l->weight_zp_off ? b->l.weights_off + weights : 0;
	b->l.out_off = GUARD_BYTES;
	b->l.in_off = FLUIDNPU_TENSOR_INPUT;
	bias = (int32_t *)(program + b->l.bias_off);
	scale = (float *)(program + b->l.scale_off);
	zp = b->l.weight_zp_off ? program + b->l.weight_zp_off : NULL;

	tb_codes(rng, program + b->l.weights_off, weights, extreme);
	for (unsigned int o = 0; o < l->out_c; o++)
		bias[o] = tb_range(rng, -5000, 5000);
	make_scales(rng, &b->l, depth, extreme, wild, scale);
	if (zp)
		tb_codes(rng, zp, l->out_c, extreme);

	for (unsigned int i = 0; i < FLUIDNPU_MAX_BATCH; i++) {
		const uint64_t in = tb_alloc(tb, in_bytes, 1);
		const uint64_t state = tb_alloc(tb, b->out_bytes + 2 * GUARD_BYTES, 1);

		tb_codes(rng, tb_ptr(tb, in, in_bytes), in_bytes, extreme);
		b->state[i] = tb_ptr(tb, state, b->out_bytes + 2 * GUARD_BYTES);
		b->samples[i].input_iova = in + TB_IOVA_OFFSET;
		b->samples[i].state_iova = state + TB_IOVA_OFFSET;
		b->want[i] = malloc(b->out_bytes);
		assert(b->want[i]);
		naive_conv(&b->l, tb_ptr(tb, in, in_bytes), program + b->l.weights_off, zp, bias,
			   scale, b->want[i]);
	}
}

void conv_bench_free(struct conv_bench *b)
{
	for (unsigned int i = 0; i < FLUIDNPU_MAX_BATCH; i++)
		free(b->want[i]);
	b->tb->next = b->mark;
}

int conv_bench_run(struct conv_bench *b, const struct fnpu_kernels *kernels,
		   const struct fluidnpu_hw_policy *passes, unsigned int num_passes)
{
	struct fnpu_work *w = &b->work;

	*w = (struct fnpu_work){
		.as_id = TB_AS,
		.program_iova = b->program_iova,
		.layers = { b->l },
		.num_layers = 1,
		.num_passes = num_passes,
	};
	memcpy(w->samples, b->samples, sizeof(w->samples));
	memcpy(w->passes, passes, num_passes * sizeof(*passes));
	for (unsigned int i = 0; i < num_passes; i++)
		w->num_samples += passes[i].n;
	for (unsigned int i = 0; i < FLUIDNPU_MAX_BATCH; i++)
		memset(b->state[i], GUARD, b->out_bytes + 2 * GUARD_BYTES);
	b->tb->dev->kernels = kernels;
	fnpu_work_run(b->tb->dev, w);
	return w->fault.status;
}

static bool untouched(const int8_t *from, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (from[i] != GUARD)
			return false;
	return true;
}

const char *conv_bench_check(const struct conv_bench *b)
{
	static char text[400];
	const struct fluidnpu_hw_layer *l = &b->l;
	int at = snprintf(text, sizeof(text), "in %ux%ux%u out %ux%ux%u kernel %ux%u groups %u, "
			  "passes", l->in_h, l->in_w, l->in_c, l->out_h, l->out_w, l->out_c,
			  l->kernel_h, l->kernel_w, l->groups);

	for (unsigned int i = 0; i < b->work.num_passes && at < 200; i++) {
		const struct fluidnpu_hw_policy *p = &b->work.passes[i];

		at += snprintf(text + at, sizeof(text) - at, " %u:<%u, %u, %u>", p->n, p->b_r,
			       p->b_p, p->k);
	}
	for (unsigned int i = 0; i < FLUIDNPU_MAX_BATCH; i++) {
		const int8_t *out = b->state[i] + GUARD_BYTES;
		const bool ran = i < b->work.num_samples;

		if (!untouched(b->state[i], GUARD_BYTES) ||
		    !untouched(out + b->out_bytes, GUARD_BYTES) ||
		    (!ran && !untouched(out, b->out_bytes))) {
			snprintf(text + at, sizeof(text) - at, ": sample %u: wrote elsewhere", i);
			return text;
		}
		for (size_t j = 0; ran && j < b->out_bytes; j++) {
			if (out[j] == b->want[i][j])
				continue;
			snprintf(text + at, sizeof(text) - at,
				 ": sample %u: output %zu is %d instead of %d", i, j, out[j],
				 b->want[i][j]);
			return text;
		}
	}
	return NULL;
}
