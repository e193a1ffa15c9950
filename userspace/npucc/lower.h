/* SPDX-License-Identifier: MIT */
/*
 * Lowering: ONNX nodes to integer layers.
 *
 * A quantized model has one of two forms. In QDQ form each operator computes in float between
 * a DequantizeLinear and a QuantizeLinear; in QOperator form (QLinearConv, QGemm ...) it
 * reads and writes codes and has the quantization parameters among its inputs. Both may
 * stand in one model. Lowering walks the nodes in topological order and keeps for each
 * value what it stands for:
 *
 *	FLOAT_INPUT	the graph's input, before anything
 *	CODES		int8 or uint8 codes: a QuantizeLinear's or a QLinear operator's output
 *	REAL		codes seen as real numbers: a DequantizeLinear's output
 *	REAL_CONST	the same for weights and biases
 *	PENDING		the result of a layer whose output quantization is not
 *			known yet: what stands between an operator and its
 *			QuantizeLinear. Relu and Clip there narrow the layer's clamp.
 *
 * A QuantizeLinear turns PENDING into CODES and thereby completes the layer; a QLinear operator
 * is both at once. Any other sequence (an operator on floats, a float result that is read
 * twice) is refused with a message, so nothing is ever computed differently from the model.
 *
 * What can be computed without an activation is folded: the output value of such a
 * node gets a constant, as if it were an initializer.
 */
#ifndef NPUCC_LOWER_H
#define NPUCC_LOWER_H

#include "graph.h"
#include "network.h"

#define NPUCC_UINT8_SHIFT	128	/* a uint8 code minus this is the device's int8 code */

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

/**
 * struct npucc_quantization - parameters of an activation, see struct npucc_tensor
 */
struct npucc_quantization {
	float scale;
	int zero_point;
	bool is_unsigned;
};

/**
 * struct npucc_lowering - the state of a lowering
 * @code_bytes: all that npucc_alloc_codes() gave
 */
struct npucc_lowering {
	struct npucc_arena *arena;
	struct npucc_error *error;
	struct npucc_graph *graph;
	struct npucc_network *net;
	uint64_t code_bytes;
};

/** npucc_lower() - the network of @graph, layers in topological order; NULL with a message */
struct npucc_network *npucc_lower(struct npucc_arena *arena, struct npucc_graph *graph,
				  struct npucc_error *error);

/* Between the files of lowering. */

typedef bool npucc_lower_fn(struct npucc_lowering *l, const struct npucc_node *node);

npucc_lower_fn npucc_lower_quantize, npucc_lower_dequantize;		/* lower_qdq.c */
npucc_lower_fn npucc_lower_conv, npucc_lower_gemm, npucc_lower_matmul;	/* lower_matrix.c */
npucc_lower_fn npucc_lower_qlinear_conv, npucc_lower_qgemm, npucc_lower_qlinear_matmul;
npucc_lower_fn npucc_lower_add, npucc_lower_relu, npucc_lower_clip;	/* lower_vector.c */
npucc_lower_fn npucc_lower_qlinear_add;
npucc_lower_fn npucc_lower_concat, npucc_lower_qlinear_concat;		/* lower_concat.c */
npucc_lower_fn npucc_lower_flatten, npucc_lower_reshape;		/* lower_shape.c */
npucc_lower_fn npucc_lower_identity, npucc_lower_squeeze, npucc_lower_shape;
npucc_lower_fn npucc_lower_gather, npucc_lower_unsqueeze, npucc_lower_cast;
npucc_lower_fn npucc_lower_max_pool, npucc_lower_global_max_pool;	/* lower_pool.c */
npucc_lower_fn npucc_lower_average_pool, npucc_lower_qlinear_average_pool;
npucc_lower_fn npucc_lower_global_average_pool, npucc_lower_qlinear_global_average_pool;
npucc_lower_fn npucc_lower_reduce_mean;

/**
 * npucc_alloc_codes() - room for @count codes that are made from a constant; NULL with a message
 * when they come to more than NPUCC_MAX_MODEL_BYTES with all before: as many nodes may read one
 * constant, the size of the model is no bound
 */
int8_t *npucc_alloc_codes(struct npucc_lowering *l, const struct npucc_node *node, size_t count);

/**
 * npucc_read_axes() - the two axes of a Squeeze or ReduceMean: an attribute or, in later opsets,
 * input 1
 * @axes: stays as it is when the node has none
 */
bool npucc_read_axes(struct npucc_lowering *l, const struct npucc_node *node, int64_t axes[2]);

/** npucc_inputs() - does @node have @min to @max inputs, the first @min present, and one output? */
bool npucc_inputs(struct npucc_lowering *l, const struct npucc_node *node,
		  unsigned int min, unsigned int max);

/** npucc_operand_real() - input @index as a REAL operand, or NULL with a message */
struct npucc_operand *npucc_operand_real(struct npucc_lowering *l, const struct npucc_node *node,
					 unsigned int index);

/**
 * npucc_operand_codes() - input @index of a QLinear operator as a CODES operand whose
 * quantization is what the inputs @index + 1 and @index + 2 say; NULL with a message
 */
struct npucc_operand *npucc_operand_codes(struct npucc_lowering *l, const struct npucc_node *node,
					  unsigned int index);

/**
 * npucc_operand_pending() - input @index if it is PENDING and read by @node alone, or NULL;
 * may leave a message
 */
struct npucc_operand *npucc_operand_pending(struct npucc_lowering *l,
					    const struct npucc_node *node, unsigned int index);

/** npucc_is_codes() - is input @index CODES? For operators that take codes as well as numbers */
bool npucc_is_codes(const struct npucc_node *node, unsigned int index);

/** npucc_is_constant() - is @v a constant, quantized or not? */
bool npucc_is_constant(const struct npucc_value *v);

/** npucc_set_operand() - give the node's output its meaning */
struct npucc_operand *npucc_set_operand(struct npucc_lowering *l, const struct npucc_node *node,
					enum npucc_operand_kind kind);

/** npucc_fold() - make the node's output a constant of @rank and @dims; its data follow */
struct npucc_const *npucc_fold(struct npucc_lowering *l, const struct npucc_node *node, int type,
			       unsigned int rank, const int64_t *dims);

/**
 * npucc_new_layer() - a layer of @node with a not yet quantized output of h x w x c,
 * which becomes the node's PENDING operand; NULL with a message when a limit
 * of the device is exceeded
 */
struct npucc_layer *npucc_new_layer(struct npucc_lowering *l, const struct npucc_node *node,
				    enum fluidnpu_layer_op op, struct npucc_tensor *in,
				    unsigned int h, unsigned int w, unsigned int c);

/**
 * npucc_add_writer() - another CONCAT layer behind @last, reading @in, with the same output;
 * NULL with a message
 */
struct npucc_layer *npucc_add_writer(struct npucc_lowering *l, struct npucc_layer *last,
				     struct npucc_tensor *in);

/**
 * npucc_requantize() - a layer that changes the quantization of @in, as the PENDING operand
 * of @node; NULL with a message
 */
struct npucc_layer *npucc_requantize(struct npucc_lowering *l, const struct npucc_node *node,
				     struct npucc_tensor *in);

/** npucc_fold_concat() - a Concat whose first input is a constant: of shapes (lower_shape.c) */
bool npucc_fold_concat(struct npucc_lowering *l, const struct npucc_node *node);

/**
 * npucc_read_window() - attributes kernel_shape, strides, pads, dilations, auto_pad,
 * ceil_mode of a Conv or pool over @in
 * @w: kernel_h and kernel_w are set on input (0: the attribute is required)
 * @out_h, @out_w: size of the output
 */
bool npucc_read_window(struct npucc_lowering *l, const struct npucc_node *node,
		       const struct npucc_tensor *in, struct npucc_window *w,
		       unsigned int *out_h, unsigned int *out_w);

/**
 * npucc_read_quantization() - of an activation: inputs @index and @index + 1, scale and
 * zero point
 * @default_type: of the codes when there is no zero point
 */
bool npucc_read_quantization(struct npucc_lowering *l, const struct npucc_node *node,
			     unsigned int index, int default_type, struct npucc_quantization *q);

/**
 * npucc_read_const() - codes, scale and zero point of a constant, inputs @index .. @index + 2,
 * as @o, a REAL_CONST
 */
bool npucc_read_const(struct npucc_lowering *l, const struct npucc_node *node, unsigned int index,
		      int64_t axis, struct npucc_operand *o);

/** npucc_quantization_of() - of @t, which is quantized */
struct npucc_quantization npucc_quantization_of(const struct npucc_tensor *t);

/**
 * npucc_complete() - the node's PENDING result gets the quantization @q and becomes
 * CODES
 */
bool npucc_complete(struct npucc_lowering *l, const struct npucc_node *node,
		    const struct npucc_quantization *q);

/** npucc_complete_qlinear() - the same with scale and zero point at inputs @index and @index + 1 */
bool npucc_complete_qlinear(struct npucc_lowering *l, const struct npucc_node *node,
			    unsigned int index);

/** npucc_attach_bias() - give a CONV its bias from @value, a constant float or int32 vector */
bool npucc_attach_bias(struct npucc_lowering *l, const struct npucc_node *node,
		       struct npucc_layer *layer, const struct npucc_value *value);

/** npucc_finish_layer() - scales and clamps, once the output's quantization is known (scale.c) */
bool npucc_finish_layer(struct npucc_lowering *l, const struct npucc_node *node,
			struct npucc_layer *layer);

#endif /* NPUCC_LOWER_H */
