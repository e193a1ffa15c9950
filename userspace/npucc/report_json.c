// SPDX-License-Identifier: MIT
/*
 * The report for programs:
 *
 * { "name", "geometry": {...}, "clock_hz", "max_batch",
 *   "program_bytes", "state_bytes",
 *   "layers": [ { "index", "name", "op", "group": index of the group's first layer,
 *                 "in": [[H, W, C] ...], "out": [H, W, C] or null, "macs",
 *                 "window": { "kernel", "stride", "pads", "dilation" }, "groups" } ... ],
 *   "groups": [ { "layer", "num_layers",
 *                 "batches": [ { "batch", "policy": { "n", "b_r", "b_p", "k" },
 *                   "cycles", "compute_cycles", "vector_cycles", "dram_cycles",
 *                   "stall_cycles", "macs", "utilisation", "bound", "dram_bytes",
 *                   "weight_bytes", "act_read_bytes", "act_write_bytes",
 *                   "macs_per_dram_byte", "macs_per_cycle" } ... ] } ... ],
 *   "exits": [ { "index", "name", "layer", "threshold", "criterion", "macs",
 *                "batches": [ { "batch", "cycles", "us", "utilisation" } ... ] } ... ] }
 *
 * "window" and "groups" where an operation has them; pads are top, left, bottom,
 * right. Cycles of an exit are those of a batch of which no sample leaves before.
 */
#include <cjson/cJSON.h>

#include "report.h"

static cJSON *shape(const struct npucc_tensor *t)
{
	const int dims[3] = { (int)t->h, (int)t->w, (int)t->c };

	return cJSON_CreateIntArray(dims, 3);
}

static void add_ints(cJSON *to, const char *key, const unsigned int *values, unsigned int count)
{
	cJSON *array = cJSON_AddArrayToObject(to, key);

	for (unsigned int i = 0; i < count; i++)
		cJSON_AddItemToArray(array, cJSON_CreateNumber(values[i]));
}

static void add_window(cJSON *to, const struct npucc_layer *l)
{
	const struct npucc_window *w = &l->window;
	const unsigned int pads[4] = { w->pad_t, w->pad_l, w->pad_b, w->pad_r };
	cJSON *window;

	if (l->op != FLUIDNPU_LAYER_CONV && l->op != FLUIDNPU_LAYER_AVGPOOL &&
	    l->op != FLUIDNPU_LAYER_MAXPOOL)
		return;
	window = cJSON_AddObjectToObject(to, "window");
	add_ints(window, "kernel", (const unsigned int[]){ w->kernel_h, w->kernel_w }, 2);
	add_ints(window, "stride", (const unsigned int[]){ w->stride_h, w->stride_w }, 2);
	add_ints(window, "pads", pads, 4);
	if (l->op != FLUIDNPU_LAYER_CONV)
		return;
	add_ints(window, "dilation", (const unsigned int[]){ w->dilation_h, w->dilation_w }, 2);
	cJSON_AddNumberToObject(to, "groups", l->groups);
}

static void add_layer(cJSON *layers, const struct npucc_layer *l, unsigned int group_first)
{
	cJSON *item = cJSON_CreateObject(), *in;

	cJSON_AddItemToArray(layers, item);
	cJSON_AddNumberToObject(item, "index", l->position);
	cJSON_AddStringToObject(item, "name", l->name);
	cJSON_AddStringToObject(item, "op", npucc_op_name(l->op));
	cJSON_AddNumberToObject(item, "group", group_first);
	in = cJSON_AddArrayToObject(item, "in");
	for (unsigned int i = 0; i < l->num_inputs; i++)
		cJSON_AddItemToArray(in, shape(l->in[i]));
	cJSON_AddItemToObject(item, "out", l->out ? shape(l->out) : cJSON_CreateNull());
	cJSON_AddNumberToObject(item, "macs", (double)l->macs);
	add_window(item, l);
}

static void add_policy(cJSON *to, const struct fluidnpu_hw_policy *p)
{
	cJSON *policy = cJSON_AddObjectToObject(to, "policy");

	cJSON_AddNumberToObject(policy, "n", p->n);
	cJSON_AddNumberToObject(policy, "b_r", p->b_r);
	cJSON_AddNumberToObject(policy, "b_p", p->b_p);
	cJSON_AddNumberToObject(policy, "k", p->k);
}

static void add_cost(cJSON *to, const struct npucc_report *r, const struct fnpu_cost *c)
{
	uint64_t bytes = npucc_dram_bytes(c);

	cJSON_AddNumberToObject(to, "cycles", (double)c->cycles);
	cJSON_AddNumberToObject(to, "compute_cycles", (double)c->compute_cycles);
	cJSON_AddNumberToObject(to, "vector_cycles", (double)c->vector_cycles);
	cJSON_AddNumberToObject(to, "dram_cycles", (double)c->dram_cycles);
	cJSON_AddNumberToObject(to, "stall_cycles", (double)c->stall_cycles);
	cJSON_AddNumberToObject(to, "macs", (double)c->useful_macs);
	cJSON_AddNumberToObject(to, "utilisation",
				npucc_utilisation(r, c->useful_macs, c->cycles));
	cJSON_AddStringToObject(to, "bound", npucc_bound(c));
	cJSON_AddNumberToObject(to, "dram_bytes", (double)bytes);
	cJSON_AddNumberToObject(to, "weight_bytes", (double)c->weight_bytes);
	cJSON_AddNumberToObject(to, "act_read_bytes", (double)c->act_read_bytes);
	cJSON_AddNumberToObject(to, "act_write_bytes", (double)c->act_write_bytes);
	/* what moves nothing has no intensity */
	if (bytes)
		cJSON_AddNumberToObject(to, "macs_per_dram_byte",
					(double)c->useful_macs / (double)bytes);
	cJSON_AddNumberToObject(to, "macs_per_cycle", (double)c->useful_macs / (double)c->cycles);
}

static void add_groups(cJSON *root, const struct npucc_report *r)
{
	cJSON *layers = cJSON_AddArrayToObject(root, "layers");
	cJSON *groups = cJSON_AddArrayToObject(root, "groups");

	for (unsigned int i = 0; i < r->num_groups; i++) {
		const struct npucc_group *group = &r->groups[i];
		cJSON *item = cJSON_CreateObject(), *batches;

		for (unsigned int l = group->first; l < group->first + group->count; l++)
			add_layer(layers, r->program->net->layers[l], group->first);
		cJSON_AddItemToArray(groups, item);
		cJSON_AddNumberToObject(item, "layer", group->first);
		cJSON_AddNumberToObject(item, "num_layers", group->count);
		batches = cJSON_AddArrayToObject(item, "batches");
		for (unsigned int b = 1; b <= r->program->max_batch; b++) {
			cJSON *batch = cJSON_CreateObject();

			cJSON_AddItemToArray(batches, batch);
			cJSON_AddNumberToObject(batch, "batch", b);
			add_policy(batch, &group->row[b - 1]);
			add_cost(batch, r, &group->cost[b - 1]);
		}
	}
}

static void add_exit_batches(cJSON *to, const struct npucc_report *r, unsigned int e)
{
	const struct npucc_program *p = r->program;
	cJSON *batches = cJSON_AddArrayToObject(to, "batches");

	for (unsigned int b = 1; b <= p->max_batch; b++) {
		uint64_t cycles = r->exit_cycles[e][b - 1];
		cJSON *batch = cJSON_CreateObject();

		cJSON_AddItemToArray(batches, batch);
		cJSON_AddNumberToObject(batch, "batch", b);
		cJSON_AddNumberToObject(batch, "cycles", (double)cycles);
		cJSON_AddNumberToObject(batch, "us", 1e6 * (double)cycles / p->config.clock_hz);
		cJSON_AddNumberToObject(batch, "utilisation",
					npucc_utilisation(r, b * p->net->exits[e].total_macs,
							  cycles));
	}
}

static void add_exits(cJSON *root, const struct npucc_report *r)
{
	const struct npucc_network *net = r->program->net;
	cJSON *exits = cJSON_AddArrayToObject(root, "exits");

	for (unsigned int e = 0; e < net->num_exits; e++) {
		cJSON *item = cJSON_CreateObject();

		cJSON_AddItemToArray(exits, item);
		cJSON_AddNumberToObject(item, "index", e);
		cJSON_AddStringToObject(item, "name", net->exits[e].name);
		cJSON_AddNumberToObject(item, "layer", net->exits[e].layer->position);
		cJSON_AddNumberToObject(item, "threshold", (double)net->exits[e].threshold);
		cJSON_AddStringToObject(item, "criterion", npucc_criterion_name(net->criterion));
		cJSON_AddNumberToObject(item, "macs", (double)net->exits[e].total_macs);
		add_exit_batches(item, r, e);
	}
}

bool npucc_report_json(const struct npucc_report *r, FILE *out)
{
	const struct npucc_program *p = r->program;
	cJSON *root = cJSON_CreateObject();
	char *text;

	cJSON_AddStringToObject(root, "name", p->name);
	npucc_add_geometry(root, &p->config);
	cJSON_AddNumberToObject(root, "max_batch", p->max_batch);
	cJSON_AddNumberToObject(root, "program_bytes", (double)p->image_bytes);
	cJSON_AddNumberToObject(root, "state_bytes", p->net->state_bytes);
	add_groups(root, r);
	add_exits(root, r);
	text = cJSON_Print(root);
	cJSON_Delete(root);
	if (!text)
		return false;
	fputs(text, out);
	fputc('\n', out);
	cJSON_free(text);
	return true;
}
