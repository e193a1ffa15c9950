/* SPDX-License-Identifier: MIT */
/*
 * Between the engine and the execution of layers: what a group of layers needs to run,
 * and what comes back. All of it belongs to the worker while it runs.
 */
#ifndef FNPU_EXEC_H
#define FNPU_EXEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fluidnpu_hw.h"

#define FNPU_MAX_DEPTH		(1u << 18)	/* products that one output sums up */

/* for one sample, of a layer and of all layers of a group; fuzzers make both small */
#ifndef FNPU_MAX_LAYER_WORK
#define FNPU_MAX_LAYER_WORK	(1ull << 33)	/* multiplications */
#endif
#ifndef FNPU_MAX_VECTOR_WORK
#define FNPU_MAX_VECTOR_WORK	(1ull << 29)	/* elements of the vector unit, of windows in pools */
#endif

struct fnpu_dev;
struct fnpu_kernels;

/** struct fnpu_fault - why an access or a layer failed; status FLUIDNPU_OK: it did not */
struct fnpu_fault {
	uint8_t status;		/* enum fluidnpu_hw_status */
	bool write;
	uint64_t iova;
};

/** struct fnpu_head_result - what an exit head found for one sample */
struct fnpu_head_result {
	uint16_t class_index;
	float confidence;
	float entropy;		/* nats */
	float margin;
};

/**
 * struct fnpu_work - one group of layers for the worker, copied when it starts
 * @layers: validated (fnpu_layer_valid(), fnpu_group_affordable())
 * @samples: the live batch
 * @passes: how it is laid out: the first passes[0].n samples together, then the next
 *	passes[1].n, ...; all valid on this NPU, their n add up to @num_samples
 * @cancel: set (atomically, by another thread) when nobody wants the results any more
 * @heads: out, per sample: what the group's exit head found
 * @fault: out
 */
struct fnpu_work {
	uint16_t as_id;
	uint64_t program_iova;
	struct fluidnpu_hw_layer layers[FLUIDNPU_MAX_GROUP];
	unsigned int num_layers;
	struct fluidnpu_hw_sample samples[FLUIDNPU_MAX_BATCH];
	unsigned int num_samples;
	struct fluidnpu_hw_policy passes[FLUIDNPU_MAX_BATCH];
	unsigned int num_passes;
	bool cancel;
	struct fnpu_head_result heads[FLUIDNPU_MAX_BATCH];
	struct fnpu_fault fault;
};

/** struct fnpu_buffer - scratch memory that grows and stays */
struct fnpu_buffer {
	void *data;
	size_t bytes;
};

/**
 * struct fnpu_scratch - the worker's
 *
 * Taken when it is first needed, and bounded whatever descriptors say: 1 GiB of inputs
 * (FLUIDNPU_MAX_BATCH * FLUIDNPU_MAX_TENSOR_BYTES), 3/4 GiB of weights
 * (FLUIDNPU_MAX_WEIGHT_BYTES, and packed), and per row of a tile FNPU_MAX_DEPTH int16 and its
 * outputs: 1/4 GiB on the default NPU. What malloc() does not give ends the job with
 * FLUIDNPU_ERR_MEMORY.
 */
struct fnpu_scratch {
	struct fnpu_buffer in, in2;		/* int8 tensors: of a pass, of one sample */
	struct fnpu_buffer out;			/* int8: of a row tile, of one sample */
	struct fnpu_buffer weights;		/* as in the program */
	struct fnpu_buffer bias, scale, weight_zp;
	struct fnpu_buffer packed;		/* int16 panels of weights (weights.c) */
	struct fnpu_buffer rows, panel, acc;	/* of a row tile (pe_array.c) */
	struct fnpu_buffer taps, zeros;		/* of a depthwise one */
};

/* layer.c */
bool fnpu_layer_valid(const struct fluidnpu_hw_program *program,
		      const struct fluidnpu_hw_layer *layer);
bool fnpu_group_affordable(const struct fluidnpu_hw_layer *layers, unsigned int count);
void fnpu_work_run(struct fnpu_dev *dev, struct fnpu_work *work);
bool fnpu_out_of_memory(struct fnpu_work *work);
void *fnpu_buffer_get(struct fnpu_buffer *buffer, size_t bytes);
void fnpu_scratch_free(struct fnpu_scratch *scratch);

/** fnpu_work_cancelled() - does nobody want the results any more? */
static inline bool fnpu_work_cancelled(const struct fnpu_work *w)
{
	return __atomic_load_n(&w->cancel, __ATOMIC_RELAXED);
}

/** fnpu_tensor_iova() - where the sample's tensor at @off is */
static inline uint64_t fnpu_tensor_iova(const struct fluidnpu_hw_sample *s, uint32_t off)
{
	return off == FLUIDNPU_TENSOR_INPUT ? s->input_iova : s->state_iova + off;
}

/* vector.c: parts of layers, see struct fnpu_kernels */
void fnpu_vector_add(const struct fluidnpu_hw_layer *l, const int8_t *a, const int8_t *b,
		     size_t n, int8_t *out);
/* two arithmetics: on codes and, with scale_in2, on real numbers (struct fluidnpu_hw_layer) */
void fnpu_vector_avgpool(const struct fluidnpu_hw_layer *l, const int8_t *in, size_t first,
			 size_t n, int8_t *out);
void fnpu_vector_maxpool(const struct fluidnpu_hw_layer *l, const int8_t *in, size_t first,
			 size_t n, int8_t *out);
void fnpu_vector_concat(const struct fluidnpu_hw_layer *l, const int8_t *table,
			const int8_t *in, size_t n, int8_t *out);
void fnpu_vector_exit_head(const struct fluidnpu_hw_layer *l, const int8_t *logits,
			   struct fnpu_head_result *result);

/** struct fnpu_window - the part of a pooling window that lies in the input, ends excluded */
struct fnpu_window {
	unsigned int y0, y1, x0, x1;
};

/** fnpu_window_at() - of the output position @i, counted row by row */
static inline struct fnpu_window fnpu_window_at(const struct fluidnpu_hw_layer *l, size_t i)
{
	int y = (int)(i / l->out_w * l->stride_h) - l->pad_t;
	int x = (int)(i % l->out_w * l->stride_w) - l->pad_l;
	int y1 = y + l->kernel_h, x1 = x + l->kernel_w;

	return (struct fnpu_window){
		.y0 = y < 0 ? 0 : y,
		.y1 = y1 > l->in_h ? l->in_h : y1,
		.x0 = x < 0 ? 0 : x,
		.x1 = x1 > l->in_w ? l->in_w : x1,
	};
}

/** fnpu_float() - the binary32 whose bits are @bits */
static inline float fnpu_float(uint32_t bits)
{
	union { uint32_t u; float f; } v = { .u = bits };

	return v.f;
}

static inline uint32_t fnpu_float_bits(float f)
{
	union { float f; uint32_t u; } v = { .f = f };

	return v.u;
}

/**
 * fnpu_requantize() - clamp(round_half_even(v) + zero_point) as int8
 *
 * Clamped first, so that the sum with 1.5 * 2^23 rounds to nearest even in the
 * last place of a binary32, on every host; a NaN becomes the lower bound.
 */
static inline int8_t fnpu_requantize(float v, int zero_point, int lo, int hi)
{
	const float magic = 12582912.0f;
	int q;

	v = v > -1024.0f ? v : -1024.0f;
	v = v < 1024.0f ? v : 1024.0f;
	q = (int)((v + magic) - magic) + zero_point;
	return (int8_t)(q < lo ? lo : q > hi ? hi : q);
}

#endif /* FNPU_EXEC_H */
