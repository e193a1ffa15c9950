// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "fnpu_cost.h"
#include "model.h"
#include "npu.h"
#include "program.h"

static const char *const kind_names[NPU_KINDS] = {
	[NPU_CONVENTIONAL] = "conventional",
	[NPU_BATCHING] = "batching",
	[NPU_STACKING] = "stacking",
	[NPU_FLUID] = "fluid",
};

const char *npu_kind_name(enum npu_kind kind)
{
	return kind_names[kind];
}

int npu_kind_parse(const char *name)
{
	for (int i = 0; i < NPU_KINDS; i++)
		if (!strcmp(kind_names[i], name))
			return i;
	return -1;
}

/* ---- control block ---- */

/* Whole batches along the rows, with the stacking factor up to @max_stack that suits best. */
static void whole_rows(const struct fluidnpu_hw_geometry *g, const struct fluidnpu_hw_layer *layers,
		       unsigned int count, unsigned int max_batch, unsigned int max_stack,
		       struct fluidnpu_hw_policy *row)
{
	for (unsigned int b = 1; b <= max_batch; b++) {
		uint64_t best = UINT64_MAX;

		for (unsigned int k = 1; k <= max_stack; k *= 2) {
			const struct fluidnpu_hw_policy p = {
				.n = (uint8_t)b, .b_r = (uint8_t)b, .b_p = 1, .k = (uint8_t)k,
			};
			struct fnpu_cost cost = { 0 };

			fnpu_cost_pass(g, layers, count, &p, &cost);
			if (cost.cycles >= best)
				continue;
			best = cost.cycles;
			row[b - 1] = p;
		}
	}
}

static void control_row(const struct npu_network *n, const struct fluidnpu_hw_layer *layers,
			unsigned int count, struct fluidnpu_hw_policy *row)
{
	struct fluidnpu_hw_geometry g = n->config.geometry;
	uint64_t cycles[NPU_MAX_BATCH];

	switch (n->kind) {
	case NPU_CONVENTIONAL:
	case NPU_STACKING:
		whole_rows(&g, layers, count, n->max_batch,
			   n->kind == NPU_STACKING ? g.max_stack : 1, row);
		break;
	default:
		if (n->kind == NPU_BATCHING)
			g.max_stack = 1;
		npucc_control_row(&g, layers, count, n->max_batch, row, cycles);
	}
}

/* ---- tables ---- */

/* What is in the activation SRAM behind the group. */
static void find_resident(const struct npu_network *n, const struct fluidnpu_hw_layer *first,
			  const struct fluidnpu_hw_policy *row, unsigned int b, uint32_t *resident)
{
	const struct fluidnpu_hw_geometry *g = &n->config.geometry;
	struct fluidnpu_hw_policy passes[NPU_MAX_BATCH];

	if (!fnpu_split_batch(g, row, b, passes))
		return;
	for (unsigned int i = 0; i < b; i++)
		resident[i] = fnpu_sram_share(g, first->live_bytes, passes, i);
}

static void price_group(struct npu_network *n, uint32_t index,
			const struct fluidnpu_hw_layer *layers, unsigned int count)
{
	struct npu_group *group = &n->groups[index];
	const struct fluidnpu_hw_layer *last = &layers[count - 1];
	struct fluidnpu_hw_policy row[NPU_MAX_BATCH];

	group->exit = last->op == FLUIDNPU_LAYER_EXIT ? last->exit_index : -1;
	if (group->exit >= 0)
		n->exit_group[group->exit] = index;
	control_row(n, layers, count, row);
	for (unsigned int b = 1; b <= n->max_batch; b++) {
		struct fnpu_cost c = { 0 };

		fnpu_cost_batch(&n->config.geometry, layers, count, row, b, &c);
		n->cycles[b - 1][index + 1] = n->cycles[b - 1][index] + c.cycles;
		n->useful_macs[b - 1][index + 1] = n->useful_macs[b - 1][index] + c.useful_macs;
		n->dram_bytes[b - 1][index + 1] = n->dram_bytes[b - 1][index] + c.weight_bytes +
						  c.act_read_bytes + c.act_write_bytes;
		find_resident(n, layers, row, b, group->resident[b - 1]);
	}
}

static int allocate(struct npu_network *n, const struct fluidnpu_hw_layer *layers, uint32_t num)
{
	for (uint32_t i = 0; i < num; i += fnpu_group_size(&layers[i], num - i))
		n->num_groups++;
	n->groups = calloc(n->num_groups, sizeof(*n->groups));
	if (!n->groups)
		return -ENOMEM;
	for (uint32_t b = 0; b < n->max_batch; b++) {
		n->cycles[b] = calloc(n->num_groups + 1, sizeof(*n->cycles[b]));
		n->useful_macs[b] = calloc(n->num_groups + 1, sizeof(*n->useful_macs[b]));
		n->dram_bytes[b] = calloc(n->num_groups + 1, sizeof(*n->dram_bytes[b]));
		if (!n->cycles[b] || !n->useful_macs[b] || !n->dram_bytes[b])
			return -ENOMEM;
	}
	return 0;
}

int npu_price(struct npu_network *n, const struct fluidnpu_hw_layer *layers, uint32_t num,
	      struct fnpu_error *error)
{
	const struct fluidnpu_hw_geometry *g = &n->config.geometry;
	uint32_t index = 0, count;

	if (n->max_batch > g->max_batch)
		n->max_batch = g->max_batch;
	n->macs_per_cycle = (uint64_t)g->tile_depth * g->tile_cols;
	if (allocate(n, layers, num)) {
		npu_close(n);
		return fnpu_fail(error, -ENOMEM, "no memory for the costs of a network");
	}
	for (uint32_t i = 0; i < num; i += count, index++) {
		count = fnpu_group_size(&layers[i], num - i);
		n->groups[index].first_layer = i;
		price_group(n, index, &layers[i], count);
	}
	return 0;
}

static void set_compiled_for(const struct fnpu_model *model, struct fnpu_config *config)
{
	*config = (struct fnpu_config){
		.geometry = fnpu_model_info(model)->geometry,
		.clock_hz = fnpu_model_info(model)->clock_hz,
	};
}

int npu_compiled_for(const char *path, struct fnpu_config *config, struct fnpu_error *error)
{
	struct fnpu_model *model;
	int ret = fnpu_model_load(path, &model, error);

	if (ret)
		return ret;
	set_compiled_for(model, config);
	fnpu_model_free(model);
	return 0;
}

int npu_open(struct npu_network *n, const char *path, const struct fnpu_config *config,
	     enum npu_kind kind, struct fnpu_error *error)
{
	const struct fnpu_model_info *info;
	struct fnpu_model *model;
	int ret = fnpu_model_load(path, &model, error);

	if (ret)
		return ret;
	info = fnpu_model_info(model);
	*n = (struct npu_network){
		.kind = kind, .max_batch = info->max_batch, .num_exits = info->num_exits,
	};
	snprintf(n->name, sizeof(n->name), "%s", info->name);
	if (config)
		n->config = *config;
	else
		set_compiled_for(model, &n->config);
	ret = npu_price(n, fnpu_file_layers(model->file), info->num_layers, error);
	fnpu_model_free(model);
	return ret;
}

void npu_close(struct npu_network *n)
{
	for (uint32_t b = 0; b < NPU_MAX_BATCH; b++) {
		free(n->cycles[b]);
		free(n->useful_macs[b]);
		free(n->dram_bytes[b]);
	}
	free(n->groups);
	*n = (struct npu_network){ 0 };
}

double npu_expected_cycles(const struct npu_network *n, const double *share)
{
	double cycles = 0;

	for (uint32_t e = 0; e < n->num_exits; e++)
		cycles += share[e] * (double)n->cycles[0][n->exit_group[e] + 1];
	return cycles;
}
