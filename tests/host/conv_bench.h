/* SPDX-License-Identifier: MIT */
/*
 * Convolutions of any shape on an NPU of any geometry, with the live batch laid out in any
 * way, beside a naive reference: one sample, six loops, sums in int64.
 */
#ifndef CONV_BENCH_H
#define CONV_BENCH_H

#include "core_host.h"
#include "kernels.h"

/** enum conv_kind - what is special about a random convolution */
enum conv_kind {
	CONV_PLAIN,
	CONV_GROUPED,
	CONV_DEPTHWISE,		/* one input channel per group, one or two output channels */
	CONV_FULLY_CONNECTED,
	CONV_ONE_OUTPUT,	/* several input channels per group, one output channel */
	CONV_KINDS,
};

/**
 * conv_random() - a seeded shape: kernels, strides, dilations, paddings, zero points
 * @small: of at most some thousand multiplications
 */
struct fluidnpu_hw_layer conv_random(struct tb_rng *rng, enum conv_kind kind, bool small);

/** conv_bench_tb() - a device with all of the bus memory mapped; free it with tb_free() */
struct tb *conv_bench_tb(const struct fnpu_config *config);

/** struct conv_bench - a convolution with FLUIDNPU_MAX_BATCH samples in bus memory */
struct conv_bench {
	struct tb *tb;
	struct fluidnpu_hw_layer l;
	uint64_t program_iova;
	struct fluidnpu_hw_sample samples[FLUIDNPU_MAX_BATCH];
	int8_t *state[FLUIDNPU_MAX_BATCH];	/* guard, output, guard */
	int8_t *want[FLUIDNPU_MAX_BATCH];	/* the reference's outputs */
	size_t out_bytes;
	struct fnpu_work work;
	uint64_t mark;				/* bus memory in use before */
};

/**
 * conv_bench_init() - @l with random numbers on @tb, of conv_bench_tb()
 * @extreme: codes are -128 and 127 only
 * @wild: scales are any binary32, NaN and infinity too
 */
void conv_bench_init(struct conv_bench *b, struct tb *tb, const struct fluidnpu_hw_layer *l,
		     struct tb_rng *rng, bool extreme, bool wild);
void conv_bench_free(struct conv_bench *b);

/** conv_bench_run() - the first samples, as @passes lay them out; status of the work */
int conv_bench_run(struct conv_bench *b, const struct fnpu_kernels *kernels,
		   const struct fluidnpu_hw_policy *passes, unsigned int num_passes);

/**
 * conv_bench_check() - did the last run write the reference's outputs and nothing else?
 * Returns NULL, or what is wrong.
 */
const char *conv_bench_check(const struct conv_bench *b);

#endif /* CONV_BENCH_H */
