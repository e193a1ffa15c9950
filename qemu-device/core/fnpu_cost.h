/* SPDX-License-Identifier: MIT */
/*
 * The time model: what a layer costs on a given NPU under a given batch
 * layout. The device uses it to know when a layer ends, the compiler to find the
 * control block and the cost table, tools to report utilisation.
 *
 * Layers run in groups: a matrix layer (CONV) and the vector layers fused with
 * it (FLUIDNPU_LAYER_FUSED), or one vector layer alone. A group is what has a
 * boundary: policies, preemption and next_layer always name its first layer.
 */
#ifndef FNPU_COST_H
#define FNPU_COST_H

#include <stdbool.h>
#include <stdint.h>

#include "fluidnpu_hw.h"

/**
 * struct fnpu_cost - of one group, for the n samples of one pass or summed over passes
 * @cycles: device time
 * @compute_cycles: of the matrix engine, row tiles padded
 * @vector_cycles: of the vector unit, hidden under the matrix engine
 * @dram_cycles: of the DRAM, hidden likewise
 * @stall_cycles: what of @dram_cycles sticks out from under both
 * @useful_macs: multiplications the layer needs
 * @weight_bytes: read from DRAM
 * @weight_used_bytes: what reading them anew for each sample would have been
 * @act_read_bytes, @act_write_bytes: activations from and to DRAM
 */
struct fnpu_cost {
	uint64_t cycles;
	uint64_t compute_cycles;
	uint64_t vector_cycles;
	uint64_t dram_cycles;
	uint64_t stall_cycles;
	uint64_t useful_macs;
	uint64_t weight_bytes;
	uint64_t weight_used_bytes;
	uint64_t act_read_bytes;
	uint64_t act_write_bytes;
};

/** fnpu_mul() - a product that saturates: what it multiplies may be a guest's invention */
static inline uint64_t fnpu_mul(uint64_t a, uint64_t b)
{
	uint64_t r;

	return __builtin_mul_overflow(a, b, &r) ? UINT64_MAX : r;
}

/** fnpu_group_size() - layers in the group that starts at @layers[0]; 1..@left */
unsigned int fnpu_group_size(const struct fluidnpu_hw_layer *layers, unsigned int left);

/** fnpu_policy_valid() - can this NPU lay out a pass of @p->n out of @b samples this way? */
bool fnpu_policy_valid(const struct fluidnpu_hw_geometry *g,
		       const struct fluidnpu_hw_policy *p, unsigned int b);

/**
 * fnpu_cost_pass() - cost of @p->n samples of the group of @count layers
 * under policy @p, added to @sum
 *
 * With b_p = min(B_P, n) and b_r = ceil(n / b_p) (what a policy has to spare is not used):
 *
 *	n_R = ceil(b_r * R / (T_R/k))   n_P = ceil(P / (k * T_P))   n_C = ceil(C / (T_C/k))
 *	compute = n_R * n_C * n_P * b_p * T_R/k		row tiles are padded
 *	weights = P * C bytes, once if they fit the weight SRAM, otherwise for each row tile
 *	activations = inputs and outputs, unless the n samples' live state stays in the SRAM
 *	cycles = max(compute, vector, (weights + activations) / DRAM rate) + layer overhead
 *
 * A grouped convolution has n_C column tiles for each group. A depthwise one has a PE for each
 * channel: C is all channels, P the window of one, which seldom fills even one PE, so
 * that chaining them gains nothing.
 *
 * Samples of a batch that are not in this pass do not count against its activation SRAM. So
 * a pass costs the same in every batch, and T(b) <= T(i) + T(b - i) holds.
 *
 * Whether activations stay in the SRAM is decided for each layer and pass alone, not along the
 * network: where a layer whose state fits follows one that spilled, or the reverse, the
 * first of them pays for its own traffic, and the bytes that the change of place would
 * take in between are not modelled.
 */
void fnpu_cost_pass(const struct fluidnpu_hw_geometry *g,
		    const struct fluidnpu_hw_layer *layers, unsigned int count,
		    const struct fluidnpu_hw_policy *p, struct fnpu_cost *sum);

/**
 * fnpu_split_batch() - the passes in which a live batch of @b samples runs, as control-
 * block row @row (entry b - 1 is for batch b) says: the first @passes[0].n samples,
 * then the next @passes[1].n, ...
 * @passes: room for @b
 * Returns their number, or 0 when an entry that is used is not valid on this NPU.
 */
unsigned int fnpu_split_batch(const struct fluidnpu_hw_geometry *g,
			      const struct fluidnpu_hw_policy *row, unsigned int b,
			      struct fluidnpu_hw_policy *passes);

/**
 * fnpu_cost_batch() - cost of a live batch of @b samples, split into passes
 * as control-block row @row (entry b - 1 is for batch b) says
 * Returns false when an entry that is used is not valid on this NPU.
 */
bool fnpu_cost_batch(const struct fluidnpu_hw_geometry *g,
		     const struct fluidnpu_hw_layer *layers, unsigned int count,
		     const struct fluidnpu_hw_policy *row, unsigned int b,
		     struct fnpu_cost *sum);

/**
 * fnpu_sram_share() - bytes of sample @member of a batch that are in the activation SRAM while a
 * group runs, and behind it: all, if those of its pass fit together, or nothing
 * @live_bytes: of the group's first layer
 * @passes: of the batch, as fnpu_split_batch() leaves them
 */
uint32_t fnpu_sram_share(const struct fluidnpu_hw_geometry *g, uint32_t live_bytes,
			 const struct fluidnpu_hw_policy *passes, unsigned int member);

/** fnpu_dram_cycles() - what the DRAM takes to move @bytes */
uint64_t fnpu_dram_cycles(const struct fluidnpu_hw_geometry *g, uint64_t bytes);

#endif /* FNPU_COST_H */
