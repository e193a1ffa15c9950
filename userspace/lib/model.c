// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "fnpu_cost.h"
#include "model.h"

static int read_model(struct fnpu_model *model, struct fnpu_error *error)
{
	const struct fluidnpu_hw_program *p = fnpu_file_program(model->file);
	struct fnpu_model_info *info = &model->info;
	const char *meta;
	size_t bytes;

	info->input_bytes = p->input_bytes;
	info->state_bytes = p->state_bytes;
	info->logits_bytes = p->logits_bytes;
	info->program_bytes = p->total_bytes;
	info->num_layers = p->num_layers;
	info->max_batch = p->max_batch;
	info->num_exits = p->num_exits;
	meta = fnpu_file_section(model->file, FNPU_SECTION_META, &bytes);
	return fnpu_model_parse_meta(model, meta, bytes, error);
}

int fnpu_model_load(const char *path, struct fnpu_model **out, struct fnpu_error *error)
{
	struct fnpu_error text = { "" };
	struct fnpu_model *model;
	int ret;

	fnpu_error_clear(error);
	model = calloc(1, sizeof(*model));
	if (!model)
		return fnpu_fail(error, -ENOMEM, "out of memory");
	ret = fnpu_file_open(path, &model->file, text.text, sizeof(text.text));
	if (ret) {
		ret = ret == -EINVAL ? -EBADMSG : ret;
		fnpu_fail(error, ret, "cannot load the model %.400s%s", text.text,
			  ret == -ENOENT ? ": npucc makes one from ONNX" :
			  ret == -EBADMSG ? ": compile it again with npucc" : "");
		goto err;
	}
	ret = read_model(model, &text);
	if (ret) {
		fnpu_fail(error, ret, "cannot load the model %.200s: %.200s: compile it again with npucc",
			  path, text.text);
		goto err;
	}
	*out = model;
	return 0;

err:
	fnpu_model_free(model);
	return ret;
}

void fnpu_model_free(struct fnpu_model *model)
{
	if (!model)
		return;
	for (uint32_t i = 0; model->exits && i < model->info.num_exits; i++) {
		free((char *)model->exits[i].name);
		free((char *)model->exits[i].criterion);
	}
	for (uint32_t i = 0; i < model->info.num_labels; i++)
		free(model->labels[i]);
	free(model->labels);
	free(model->exits);
	free((char *)model->info.name);
	free((char *)model->info.producer);
	fnpu_file_free(model->file);
	free(model);
}

const struct fnpu_model_info *fnpu_model_info(const struct fnpu_model *model)
{
	return &model->info;
}

uint32_t fnpu_model_cost(const struct fnpu_model *model, uint32_t layer, uint32_t batch)
{
	const struct fnpu_model_info *info = &model->info;

	if (layer >= info->num_layers || !batch || batch > info->max_batch)
		return 0;
	return fnpu_file_cost(model->file)[layer * info->max_batch + batch - 1];
}

/* Every layout of the control block must be one that the device can run. */
static int check_control(const struct fnpu_model *model, const struct fluidnpu_hw_geometry *g,
			 struct fnpu_error *error)
{
	const struct fnpu_model_info *info = &model->info;
	const struct fluidnpu_hw_layer *layers = fnpu_file_layers(model->file);
	const struct fluidnpu_hw_policy *control = fnpu_file_control(model->file);

	for (uint32_t l = 0; l < info->num_layers; l++) {
		for (uint32_t b = 1; b <= info->max_batch; b++) {
			const struct fluidnpu_hw_policy *p = &control[l * info->max_batch + b - 1];

			if (layers[l].flags & FLUIDNPU_LAYER_FUSED)
				break;	/* its row is never read */
			if (p->k > g->max_stack)
				return fnpu_fail(error, -EINVAL,
						 "model %s stacks %u PEs, this NPU can stack %u: compile it for this NPU with npucc",
						 info->name, p->k, g->max_stack);
			if (!fnpu_policy_valid(g, p, b))
				return fnpu_fail(error, -EINVAL,
						 "model %s lays out layer %u for a batch of %u as this NPU cannot: compile it for this NPU with npucc",
						 info->name, l, b);
		}
	}
	return 0;
}

/* Does the time model see both as the same NPU? */
static bool same_npu(const struct fluidnpu_hw_geometry *a, const struct fluidnpu_hw_geometry *b)
{
	return a->tile_rows == b->tile_rows && a->tile_depth == b->tile_depth &&
	       a->tile_cols == b->tile_cols && a->acc_tiles == b->acc_tiles &&
	       a->max_stack == b->max_stack && a->act_sram_bytes == b->act_sram_bytes &&
	       a->weight_sram_bytes == b->weight_sram_bytes &&
	       a->dram_bytes_per_kcycle == b->dram_bytes_per_kcycle &&
	       a->vector_lanes == b->vector_lanes &&
	       a->layer_overhead_cycles == b->layer_overhead_cycles;
}

int fnpu_model_check(const struct fnpu_model *model, const struct fnpu_device *device,
		     struct fnpu_error *error)
{
	const struct fluidnpu_hw_geometry *g = &fnpu_device_info(device)->geometry;
	const struct fnpu_model_info *info = &model->info;
	int ret;

	fnpu_error_clear(error);
	if (info->max_batch > g->max_batch)
		return fnpu_fail(error, -EINVAL,
				 "model %s is compiled for batches of up to %u, this NPU takes %u: compile it for this NPU with npucc",
				 info->name, info->max_batch, g->max_batch);
	ret = check_control(model, g, error);
	if (ret)
		return ret;
	if (!same_npu(g, &info->geometry))
		fnpu_fail(error, 0,
			  "model %s was compiled for an NPU of another geometry: its results hold, its layouts and cost table are not the best for this one; npucc can compile it again",
			  info->name);
	return 0;
}
