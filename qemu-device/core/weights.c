// SPDX-License-Identifier: MIT
/*
 * Weights on their way to the PEs: read from the program once per layer, and packed once
 * for all rows of all samples.
 *
 * A panel holds FNPU_PANEL_COLS output channels of one convolution group, as int16 less
 * their zero points, in the order in which the kernels read them, zeros beyond the last
 * channel and the last depth:
 *
 *	[pairs of depth][FNPU_PANEL_COLS][2]
 *
 * A depthwise layer is packed across its groups, as one panel of all channels.
 */
#include <string.h>

#include "kernels.h"
#include "pe_array.h"

struct fnpu_panels fnpu_panels(const struct fluidnpu_hw_layer *l)
{
	const bool depthwise = fnpu_is_depthwise(l);
	struct fnpu_panels p = {
		.pairs = (fnpu_depth(l) + 1) / 2,
		.channels = depthwise ? l->out_c : l->out_c / l->groups,
	};
	const unsigned int padded = fnpu_round_up(p.channels, FNPU_PANEL_COLS);

	p.cols = depthwise ? padded : FNPU_PANEL_COLS;
	p.panel = (size_t)p.pairs * 2 * p.cols;
	p.group = (size_t)p.pairs * 2 * padded;
	return p;
}

/* One channel; its pairs lie @step int16 apart. */
static void pack_channel(const int8_t *weights, unsigned int depth, int zero, size_t step,
			 int16_t *to)
{
	unsigned int d = 0;

	for (; d + 1 < depth; d += 2, to += step) {
		to[0] = weights[d] - zero;
		to[1] = weights[d + 1] - zero;
	}
	if (d < depth) {
		to[0] = weights[d] - zero;
		to[1] = 0;
	}
}

static bool pack(struct fnpu_scratch *x, const struct fluidnpu_hw_layer *l)
{
	const struct fnpu_panels p = fnpu_panels(l);
	const unsigned int depth = fnpu_depth(l);
	const int8_t *weights = x->weights.data, *zp = l->weight_zp_off ? x->weight_zp.data : NULL;
	int16_t *packed = fnpu_buffer_get(&x->packed, p.group * (l->out_c / p.channels) *
						      sizeof(*packed));

	if (!packed)
		return false;
	for (unsigned int o = 0; o < l->out_c; o++) {
		const unsigned int c = o % p.channels;
		int16_t *panel = packed + o / p.channels * p.group + c / p.cols * p.panel;

		if (c % p.cols == 0 && p.channels - c < p.cols)
			memset(panel, 0, p.panel * sizeof(*panel));
		pack_channel(weights + (size_t)o * depth, depth, zp ? zp[o] : 0, 2 * p.cols,
			     panel + c % p.cols * 2);
	}
	return true;
}

static bool read_program(struct fnpu_dev *dev, struct fnpu_work *w, uint32_t off,
			 struct fnpu_buffer *buffer, size_t bytes)
{
	void *data = fnpu_buffer_get(buffer, bytes);

	if (!data)
		return fnpu_out_of_memory(w);
	return fnpu_vm_read(dev, w->as_id, w->program_iova + off, data, bytes, &w->fault);
}

bool fnpu_weights_load(struct fnpu_dev *dev, struct fnpu_work *w, const struct fluidnpu_hw_layer *l)
{
	struct fnpu_scratch *x = &dev->scratch;

	if (!read_program(dev, w, l->weights_off, &x->weights, (size_t)fnpu_depth(l) * l->out_c) ||
	    !read_program(dev, w, l->bias_off, &x->bias, 4ull * l->out_c) ||
	    !read_program(dev, w, l->scale_off, &x->scale, 4ull * l->out_c))
		return false;
	if (l->weight_zp_off && !read_program(dev, w, l->weight_zp_off, &x->weight_zp, l->out_c))
		return false;
	return pack(x, l) || fnpu_out_of_memory(w);
}
