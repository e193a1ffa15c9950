/* SPDX-License-Identifier: MIT */
/*
 * The quantized network between ONNX and the device: int8 tensors and the
 * layers that compute them. Lowering fills it in, scheduling orders it, the memory
 * planner gives the tensors their place in a sample's state.
 *
 * All numbers are the device's: channels last, int8 (uint8 codes of ONNX are
 * shifted by 128), zero points and clamps on that scale.
 */
#ifndef NPUCC_NETWORK_H
#define NPUCC_NETWORK_H

#include "fluidnpu_hw.h"
#include "util.h"

struct npucc_layer;

/**
 * struct npucc_tensor - activations of one sample
 * @scale, @zero_point: real value = (code - zero_point) * scale
 * @is_unsigned: ONNX has uint8 codes here: these plus 128
 * @quantized: these three are known
 * @producer: NULL for the network's input; of a concatenation the first layer that
 *	writes into it, the others are its siblings
 * @first, @last: positions in the schedule where it is first written and last read
 * @offset: in the state
 */
struct npucc_tensor {
	const char *name;
	unsigned int h, w, c;
	bool quantized;
	float scale;
	int zero_point;
	bool is_unsigned;
	struct npucc_layer *producer;
	unsigned int first, last;
	uint32_t offset;
};

/**
 * struct npucc_window - how a convolution or pooling walks over its input
 */
struct npucc_window {
	unsigned int kernel_h, kernel_w;
	unsigned int stride_h, stride_w;
	unsigned int pad_t, pad_l, pad_b, pad_r;
	unsigned int dilation_h, dilation_w;
};

/**
 * struct npucc_layer - one device layer
 * @op: enum fluidnpu_layer_op
 * @window: CONV and pools
 * @weights: CONV: [out_c][kernel_h][kernel_w][in_c / groups]
 * @bias: CONV: [out_c]
 * @weight_scale: CONV: [out_c], of the weights
 * @scale: CONV: [out_c], of the accumulators, s_x * s_w / s_y
 * @scale_in: per input; see struct fluidnpu_hw_layer
 * @weight_zp: CONV: [out_c], zero points of asymmetric weights, or NULL
 * @table, @out_channel: CONCAT; see struct fluidnpu_hw_layer
 * @sibling: CONCAT: the next layer that writes into the same output, or NULL
 * @add_fixed: ADD; see struct fluidnpu_hw_layer
 * @real_min, @real_max: clamp before the output's quantization is known
 * @macs: multiplications of one sample
 * @depth: longest path from the input, in layers
 * @exit_index: EXIT
 * @scheduled, @position: place in the schedule
 * @fused: runs with the layer before it
 * @live_bytes: state in use while it runs
 */
struct npucc_layer {
	enum fluidnpu_layer_op op;
	const char *name;
	unsigned int num_inputs;
	struct npucc_tensor *in[2];
	struct npucc_tensor *out;
	struct npucc_window window;
	unsigned int groups;
	bool count_pad;
	int8_t *weights;
	int32_t *bias;
	float *weight_scale;
	float *scale;
	float scale_in[2];
	int8_t *weight_zp;
	int8_t *table;
	unsigned int out_channel;
	struct npucc_layer *sibling;
	float add_fixed;
	float real_min, real_max;
	int clamp_min, clamp_max;
	uint64_t macs;
	unsigned int depth;
	unsigned int exit_index;
	bool scheduled;
	unsigned int position;
	bool fused;
	uint32_t live_bytes;
};

/**
 * struct npucc_exit - an exit head
 * @name: of the ONNX output
 * @logits: the int8 logits
 * @logits_off: where they go in the sample's logits buffer
 * @total_macs: all that a sample has run when it leaves here
 */
struct npucc_exit {
	const char *name;
	struct npucc_tensor *logits;
	struct npucc_layer *layer;
	float threshold;
	uint32_t logits_off;
	uint64_t total_macs;
};

/**
 * struct npucc_network - a whole network
 * @layers: in order of creation; scheduling replaces it by the order of execution
 */
struct npucc_network {
	const char *input_name;
	struct npucc_tensor *input;
	unsigned int num_layers;
	struct npucc_layer **layers;
	unsigned int num_exits;
	struct npucc_exit exits[FLUIDNPU_MAX_EXITS];
	enum fluidnpu_exit_criterion criterion;
	uint32_t logits_bytes;
	uint32_t state_bytes;
};

static inline uint64_t npucc_tensor_bytes(const struct npucc_tensor *t)
{
	return (uint64_t)t->h * t->w * t->c;
}

/**
 * npucc_order_exits() - number the exits by depth, whatever order the model lists them in
 *
 * The device numbers them as samples meet them. A head hangs the deeper the more layers it
 * shares with others; the last two share the same, and there the one that needs
 * more work of its own is deeper.
 */
void npucc_order_exits(struct npucc_arena *arena, struct npucc_network *net);

#endif /* NPUCC_NETWORK_H */
