/* SPDX-License-Identifier: MIT */
/* The matrix engine: weights.c and pe_array.c. */
#ifndef FNPU_PE_ARRAY_H
#define FNPU_PE_ARRAY_H

#include "fnpu_internal.h"

/** fnpu_depth() - P, the products that one output sums up */
static inline unsigned int fnpu_depth(const struct fluidnpu_hw_layer *l)
{
	return (unsigned int)l->kernel_h * l->kernel_w * (l->in_c / l->groups);
}

/** fnpu_is_depthwise() - one input and one output channel in each convolution group? */
static inline bool fnpu_is_depthwise(const struct fluidnpu_hw_layer *l)
{
	return l->groups == l->out_c && l->groups == l->in_c;
}

static inline uint64_t fnpu_round_up(uint64_t v, uint64_t to)
{
	return (v + to - 1) / to * to;
}

/**
 * struct fnpu_panels - how the packed weights lie in scratch.packed (weights.c)
 * @pairs: of depth; an odd depth has a zero behind it
 * @channels: output channels of a convolution group (a depthwise layer's are one group)
 * @cols: channels of a panel
 * @panel: int16 from one panel to the next
 * @group: int16 from one convolution group to the next
 */
struct fnpu_panels {
	unsigned int pairs;
	unsigned int channels;
	unsigned int cols;
	size_t panel, group;
};

struct fnpu_panels fnpu_panels(const struct fluidnpu_hw_layer *l);

/** fnpu_weights_load() - reads and packs the weights of @l; false: w->fault says why not */
bool fnpu_weights_load(struct fnpu_dev *dev, struct fnpu_work *w,
		       const struct fluidnpu_hw_layer *l);

/**
 * fnpu_pe_array_run() - the convolution @l for the live batch, as its passes lay it out
 *
 * Returns false when it cannot go on: w->fault says why, or, with FLUIDNPU_OK there, it was
 * cancelled.
 */
bool fnpu_pe_array_run(struct fnpu_dev *dev, struct fnpu_work *w,
		       const struct fluidnpu_hw_layer *l);

#endif /* FNPU_PE_ARRAY_H */
