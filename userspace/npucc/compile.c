// SPDX-License-Identifier: MIT
/* The pipeline, from ONNX to .fnpu. */
#include <string.h>

#include "fnpu_file_io.h"
#include "lower.h"
#include "program.h"

struct npucc_program *npucc_compile(struct npucc_arena *arena, const void *onnx, size_t bytes,
				    const struct npucc_options *options,
				    struct npucc_error *error)
{
	const Onnx__ModelProto *model = npucc_onnx_parse(arena, onnx, bytes, error);
	struct npucc_graph *graph = model ? npucc_graph_build(arena, model, error) : NULL;
	struct npucc_network *net = graph ? npucc_lower(arena, graph, error) : NULL;
	struct npucc_program *program;

	if (!net)
		return NULL;
	program = npucc_alloc(arena, 1, sizeof(*program));
	program->name = options->name ? options->name : graph->name;
	program->net = net;
	program->config = options->config;
	program->accuracy_budget = options->accuracy_budget;
	program->conventional = options->conventional;
	program->max_batch = options->config.geometry.max_batch;
	if (!npucc_read_exits(net, graph, options, error))
		return NULL;
	npucc_schedule(arena, net);
	if (!npucc_plan_memory(arena, net, error) ||
	    !npucc_encode(arena, program, error) ||
	    !npucc_control(arena, program, error) ||
	    !npucc_meta(arena, program, graph, error))
		return NULL;
	return program;
}

bool npucc_save(const struct npucc_program *program, const char *path, struct npucc_error *error)
{
	const struct fnpu_file_part parts[] = {
		{ FNPU_SECTION_META, program->meta, strlen(program->meta) },
		{ FNPU_SECTION_PROGRAM, program->image, program->image_bytes },
		{ FNPU_SECTION_COST, program->cost, (size_t)program->net->num_layers *
		  program->max_batch * sizeof(*program->cost) },
	};
	char text[FNPU_FILE_ERROR_BYTES];

	if (fnpu_file_write(path, parts, sizeof(parts) / sizeof(parts[0]), text, sizeof(text)))
		return npucc_fail(error, "%s", text);
	return true;
}
