/* SPDX-License-Identifier: MIT */
/*
 * The ONNX model as a graph: nodes in topological order, values between
 * them, constants with their data in host form. Knows ONNX's container
 * (protobuf, initializers, attributes, metadata) and nothing of operators.
 *
 * What stands in here has been checked: every input of a node exists and is
 * produced before it, every constant has exactly the data that its shape asks for.
 */
#ifndef NPUCC_GRAPH_H
#define NPUCC_GRAPH_H

#include "onnx/onnx.pb-c.h"
#include "util.h"

#define NPUCC_MAX_RANK		8
#define NPUCC_MAX_MODEL_BYTES	(1ull << 30)
#define NPUCC_MAX_NODES		65536

/**
 * struct npucc_const - a tensor whose contents are known
 * @type: ONNX__TENSOR_PROTO__DATA_TYPE__*
 * @count: elements, the product of @dims
 * @f32, @i8, @u8, @i32, @i64: the data, in the pointer of its type; other types
 *	have none and can only be reported
 */
struct npucc_const {
	int type;
	unsigned int rank;
	int64_t dims[NPUCC_MAX_RANK];
	size_t count;
	const float *f32;
	const int8_t *i8;
	const uint8_t *u8;
	const int32_t *i32;
	const int64_t *i64;
};

struct npucc_node;
struct npucc_operand;

/**
 * struct npucc_value - an edge of the graph
 * @producer: NULL for constants and graph inputs
 * @constant: NULL for everything computed
 * @num_uses: node inputs and graph outputs that read it
 * @operand: what lowering knows about it (lower.h)
 */
struct npucc_value {
	const char *name;
	struct npucc_node *producer;
	const struct npucc_const *constant;
	bool is_input;
	unsigned int num_uses;
	struct npucc_node **users;
	unsigned int num_users;
	struct npucc_operand *operand;
};

/**
 * struct npucc_node - an operator
 * @name: for messages; never empty
 * @inputs: NULL where an optional input is left out
 */
struct npucc_node {
	const char *name;
	const char *op;
	const Onnx__NodeProto *proto;
	unsigned int num_inputs;
	struct npucc_value **inputs;
	unsigned int num_outputs;
	struct npucc_value **outputs;
	unsigned int waiting;	/* inputs not yet produced, while sorting */
};

/**
 * struct npucc_graph - a model
 * @nodes: in topological order
 * @input: the one graph input
 * @input_shape: of one sample: dims behind the batch dimension
 */
struct npucc_graph {
	const Onnx__ModelProto *proto;
	const char *name;
	unsigned int num_nodes;
	struct npucc_node **nodes;
	struct npucc_value *input;
	unsigned int input_rank;	/* of one sample, without the batch */
	int64_t input_shape[NPUCC_MAX_RANK];
	unsigned int num_outputs;
	struct npucc_value **outputs;
};

/** npucc_onnx_parse() - unpack @bytes of protobuf into the arena; NULL with a message when they are no ONNX model */
const Onnx__ModelProto *npucc_onnx_parse(struct npucc_arena *arena, const void *data, size_t bytes,
					 struct npucc_error *error);

/** npucc_graph_build() - the graph of @model, which it refers to; NULL with a message */
struct npucc_graph *npucc_graph_build(struct npucc_arena *arena, const Onnx__ModelProto *model,
				      struct npucc_error *error);

/** npucc_const_import() - check and convert @tensor; @what names it in messages */
struct npucc_const *npucc_const_import(struct npucc_arena *arena, const Onnx__TensorProto *tensor,
				       const char *what, struct npucc_error *error);

/** npucc_type_name() - "int8" for ONNX__TENSOR_PROTO__DATA_TYPE__INT8, and so on */
const char *npucc_type_name(int type);

/** npucc_metadata() - value of the model's metadata_props entry @key, or NULL */
const char *npucc_metadata(const struct npucc_graph *graph, const char *key);

/*
 * Attributes. A missing one leaves the default in place; one of the wrong
 * type is an error. npucc_attrs_known() refuses attributes that the caller
 * does not name: they might change what the operator means.
 */
bool npucc_attrs_known(const struct npucc_node *node, const char *const *names,
		       struct npucc_error *error);
bool npucc_attr_int(const struct npucc_node *node, const char *name, int64_t *value,
		    struct npucc_error *error);
bool npucc_attr_float(const struct npucc_node *node, const char *name, float *value,
		      struct npucc_error *error);
/* exactly @count values; @found tells whether the attribute is there */
bool npucc_attr_ints(const struct npucc_node *node, const char *name, int64_t *values,
		     unsigned int count, bool *found, struct npucc_error *error);
/* @value: a bounded copy, terminated */
bool npucc_attr_string(const struct npucc_node *node, const char *name, char *value, size_t size,
		       struct npucc_error *error);

/** npucc_fail_node() - "node 'x' (Conv): ..." */
__attribute__((format(printf, 3, 4)))
bool npucc_fail_node(struct npucc_error *error, const struct npucc_node *node,
		     const char *fmt, ...);

#endif /* NPUCC_GRAPH_H */
