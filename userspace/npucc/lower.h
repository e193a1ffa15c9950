/* SPDX-License-Identifier: MIT */
/*
 * Lowering: ONNX QDQ nodes to integer layers.
 *
 * In QDQ form each operator computes in float between a DequantizeLinear and a
 * QuantizeLinear. Lowering walks the nodes in topological order and keeps for each
 * value what it stands for:
 *
 *	FLOAT_INPUT	the graph's input, before anything
 *	CODES		int8 codes: a QuantizeLinear's output
 *	REAL		codes seen as real numbers: a DequantizeLinear's output
 *	REAL_CONST	the same for weights and biases
 *	PENDING		the result of a layer whose output quantization is not
 *			known yet: what stands between an operator and its
 *			QuantizeLinear. Relu and Clip there narrow the layer's clamp.
 *
 * A QuantizeLinear turns PENDING into CODES and thereby completes the layer. Any other
 * sequence (an operator on floats, a float result that is read twice) is
 * refused with a message, so nothing is ever computed differently from the model.
 */
#ifndef NPUCC_LOWER_H
#define NPUCC_LOWER_H

#include "graph.h"
#include "network.h"

enum npucc_operand_kind {
	OPERAND_FLOAT_INPUT = 1,
	OPERAND_CODES,
	OPERAND_REAL,
	OPERAND_REAL_CONST,
	OPERAND_PENDING,
};

/**
 * struct npucc_operand - what a value of the graph stands for
 * @tensor: CODES and REAL: the codes; PENDING: the layer's output
 * @layer: PENDING
 * @flat: seen as [N, C*H*W] instead of [N, C, H, W]
 * @codes, @scale, @zero_point, @axis: REAL_CONST; @zero_point may be NULL
 */
struct npucc_operand {
	enum npucc_operand_kind kind;
	struct npucc_tensor *tensor;
	struct npucc_layer *layer;
	bool flat;
	const struct npucc_const *codes, *scale, *zero_point;
	int64_t axis;
};

struct npucc_lowering {
	struct npucc_arena *arena;
	struct npucc_error *error;
	struct npucc_graph *graph;
	struct npucc_network *net;
};

/** npucc_lower() - the network of @graph, layers in topological order; NULL with a message */
struct npucc_network *npucc_lower(struct npucc_arena *arena, struct npucc_graph *graph,
				  struct npucc_error *error);

/* Between the files of lowering. */

typedef bool npucc_lower_fn(struct npucc_lowering *l, const struct npucc_node *node);

npucc_lower_fn npucc_lower_quantize, npucc_lower_dequantize;		/* lower_qdq.c */
npucc_lower_fn npucc_lower_conv, npucc_lower_gemm, npucc_lower_matmul;	/* lower_matrix.c */
npucc_lower_fn npucc_lower_add, npucc_lower_relu, npucc_lower_clip;	/* lower_vector.c */
npucc_lower_fn npucc_lower_flatten, npucc_lower_reshape, npucc_lower_identity;
npucc_lower_fn npucc_lower_max_pool, npucc_lower_average_pool;		/* lower_pool.c */
npucc_lower_fn npucc_lower_global_average_pool;

/** npucc_inputs() - does @node have @min to @max inputs, the first @min present, and one output? */
bool npucc_inputs(struct npucc_lowering *l, const struct npucc_node *node,
		  unsigned int min, unsigned int max);

/** npucc_operand_real() - input @index as a REAL operand, or NULL with a message */
struct npucc_operand *npucc_operand_real(struct npucc_lowering *l, const struct npucc_node *node,
					 unsigned int index);

/** npucc_operand_pending() - input @index if it is PENDING and read by @node alone, or NULL; may leave a message */
struct npucc_operand *npucc_operand_pending(struct npucc_lowering *l,
					    const struct npucc_node *node, unsigned int index);

/** npucc_set_operand() - give the node's output its meaning */
struct npucc_operand *npucc_set_operand(struct npucc_lowering *l, const struct npucc_node *node,
					enum npucc_operand_kind kind);

/**
 * npucc_new_layer() - a layer of @node with a not yet quantized output of h x w x c,
 * which becomes the node's PENDING operand; NULL with a message when a limit
 * of the device is exceeded
 */
struct npucc_layer *npucc_new_layer(struct npucc_lowering *l, const struct npucc_node *node,
				    enum fluidnpu_layer_op op, struct npucc_tensor *in,
				    unsigned int h, unsigned int w, unsigned int c);

/**
 * npucc_read_window() - attributes kernel_shape, strides, pads, dilations, auto_pad,
 * ceil_mode of a Conv or pool over @in
 * @w: kernel_h and kernel_w are set on input (0: the attribute is required)
 * @out_h, @out_w: size of the output
 */
bool npucc_read_window(struct npucc_lowering *l, const struct npucc_node *node,
		       const struct npucc_tensor *in, struct npucc_window *w,
		       unsigned int *out_h, unsigned int *out_w);

/** npucc_read_quantization() - scale and zero point of a Q or DQ node, as int8 */
bool npucc_read_quantization(struct npucc_lowering *l, const struct npucc_node *node,
			     float *scale, int *zero_point);

/** npucc_attach_bias() - give a CONV its bias from @value, a constant float or int32 vector */
bool npucc_attach_bias(struct npucc_lowering *l, const struct npucc_node *node,
		       struct npucc_layer *layer, const struct npucc_value *value);

/** npucc_finish_layer() - scales and clamps, once the output's quantization is known (scale.c) */
bool npucc_finish_layer(struct npucc_lowering *l, const struct npucc_node *node,
			struct npucc_layer *layer);

#endif /* NPUCC_LOWER_H */
