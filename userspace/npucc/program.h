/* SPDX-License-Identifier: MIT */
/*
 * From a network to a program: the back half of the compiler.
 *
 *	schedule.c	order of execution, exit heads as early as possible, fusing
 *	memory.c	each tensor's place in a sample's state
 *	encode.c	layer descriptors and the program image
 *	control.c	control block and cost table
 *	meta.c		the JSON that describes the model to applications
 *	report.h	what it costs, for people and programs
 */
#ifndef NPUCC_PROGRAM_H
#define NPUCC_PROGRAM_H

#include "fnpu_core.h"
#include "graph.h"
#include "network.h"

struct cJSON;

#define NPUCC_ALIGN_BYTES	64u	/* of tensors in the state and tables in the program */

/**
 * struct npucc_options - what the user chooses
 * @name: of the model; NULL: the graph's
 * @config: NPU to compile for
 * @accuracy_budget: percentage points that exiting early may cost, one of those that
 *	the model has thresholds for (metadata fluidnpu.exit.budgets); NULL: not asked for
 * @conventional: lay out batches as an NPU does that knows nothing of exits: whole, along
 *	the rows, no PEs chained
 * @num_thresholds: 0: the model's own, for @accuracy_budget or, without one, by default
 *	(metadata fluidnpu.exit.thresholds)
 */
struct npucc_options {
	const char *name;
	struct fnpu_config config;
	const double *accuracy_budget;
	bool conventional;
	unsigned int num_thresholds;
	float thresholds[FLUIDNPU_MAX_EXITS];
};

/**
 * struct npucc_program - a compiled model
 * @accuracy_budget: that its thresholds were chosen by, or NULL
 * @conventional: as in struct npucc_options
 * @control: [net->num_layers][max_batch], zero in the rows of fused layers
 * @cost: T(layer, b) in cycles, likewise
 * @image: struct fluidnpu_hw_program and all it refers to
 * @layers: the descriptors inside @image
 * @meta: JSON text
 */
struct npucc_program {
	const char *name;
	struct npucc_network *net;
	struct fnpu_config config;
	const double *accuracy_budget;
	bool conventional;
	unsigned int max_batch;
	struct fluidnpu_hw_policy *control;
	uint32_t *cost;
	uint8_t *image;
	size_t image_bytes;
	struct fluidnpu_hw_layer *layers;
	const char *meta;
};

/**
 * npucc_compile() - the whole way from the bytes of an ONNX file
 *
 * Everything returned lives in @arena. NULL with a message in @error when the model
 * cannot be compiled.
 */
struct npucc_program *npucc_compile(struct npucc_arena *arena, const void *onnx, size_t bytes,
				    const struct npucc_options *options,
				    struct npucc_error *error);

/** npucc_save() - write @program as the .fnpu file @path */
bool npucc_save(const struct npucc_program *program, const char *path, struct npucc_error *error);

/* The steps of npucc_compile(), in this order. */

/** npucc_read_exits() - thresholds and criterion, from @options or the model's metadata */
bool npucc_read_exits(struct npucc_network *net, const struct npucc_graph *graph,
		      const struct npucc_options *options, struct npucc_error *error);

/**
 * npucc_schedule() - bring net->layers into the order of execution
 *
 * Layers that no exit needs are dropped. Every exit head runs as soon as what it needs
 * has run, before anything that only later exits need.
 */
void npucc_schedule(struct npucc_arena *arena, struct npucc_network *net);

/** npucc_plan_memory() - offsets in the state, live_bytes of each layer */
bool npucc_plan_memory(struct npucc_arena *arena, struct npucc_network *net,
		       struct npucc_error *error);

/** npucc_encode() - image and descriptors; the control block in it is filled in by npucc_control() */
bool npucc_encode(struct npucc_arena *arena, struct npucc_program *program,
		  struct npucc_error *error);

/** npucc_control() - find the best layout for every group and live batch, or set the conventional one */
bool npucc_control(struct npucc_arena *arena, struct npucc_program *program,
		   struct npucc_error *error);

/**
 * npucc_control_row() - best layouts of one group for live batches 1..@max_batch
 * @row: one policy per batch, entry b - 1 for b
 * @cycles: T(b) likewise
 */
void npucc_control_row(const struct fluidnpu_hw_geometry *g,
		       const struct fluidnpu_hw_layer *layers, unsigned int count,
		       unsigned int max_batch, struct fluidnpu_hw_policy *row, uint64_t *cycles);

/** npucc_meta() - the text of the META section */
bool npucc_meta(struct npucc_arena *arena, struct npucc_program *program,
		const struct npucc_graph *graph, struct npucc_error *error);

/* Names, shared by META, report and command line. */

/** npucc_geometry_set() - apply "tile_rows=64,clock_hz=1000000000" to @config and check the result */
bool npucc_geometry_set(struct fnpu_config *config, const char *text, struct npucc_error *error);

/** npucc_add_geometry() - the NPU as JSON: "geometry" and "clock_hz" of the object @to */
void npucc_add_geometry(struct cJSON *to, const struct fnpu_config *config);

/** npucc_parse_floats() - "a,b,c" to at most FLUIDNPU_MAX_EXITS finite numbers */
bool npucc_parse_floats(const char *text, float *values, unsigned int *count,
			const char *what, struct npucc_error *error);

/** npucc_parse_budget() - an accuracy budget, 0..100 percentage points; false: it is none */
bool npucc_parse_budget(const char *text, double *budget);

const char *npucc_op_name(unsigned int op);
const char *npucc_criterion_name(enum fluidnpu_exit_criterion criterion);

#endif /* NPUCC_PROGRAM_H */
