// SPDX-License-Identifier: MIT
/* The META section (its contents are described in fnpu_file.h). */
#include <cjson/cJSON.h>
#include <string.h>

#include "fluidnpu.h"
#include "geometry.h"
#include "program.h"

#define BYTE_SCALE	(1.0 / 255.0)	/* of images without metadata: 0..255 becomes 0..1 */
#define BYTE_OFFSET	0.0

const char *npucc_op_name(unsigned int op)
{
	static const char *const names[] = {
		[FLUIDNPU_LAYER_CONV] = "conv", [FLUIDNPU_LAYER_ADD] = "add",
		[FLUIDNPU_LAYER_AVGPOOL] = "avgpool", [FLUIDNPU_LAYER_MAXPOOL] = "maxpool",
		[FLUIDNPU_LAYER_EXIT] = "exit",
		[FLUIDNPU_LAYER_CONCAT] = "concat",
	};

	return names[op];
}

static bool metadata_number(const struct npucc_graph *graph, const char *key, double *value,
			    struct npucc_error *error)
{
	const char *text = npucc_metadata(graph, key);
	unsigned int count;
	float check[FLUIDNPU_MAX_EXITS];

	if (!text)
		return true;
	if (!npucc_parse_floats(text, check, &count, key, error))
		return false;
	if (count != 1)
		return npucc_fail(error, "metadata %s is '%.100s', must be one number", key, text);
	*value = (double)check[0];
	return true;
}

static bool add_input(cJSON *meta, const struct npucc_program *p, const struct npucc_graph *graph,
		      struct npucc_error *error)
{
	const struct npucc_tensor *t = p->net->input;
	const int shape[3] = { (int)t->c, (int)t->h, (int)t->w };
	double byte_scale = BYTE_SCALE, byte_offset = BYTE_OFFSET;
	cJSON *input = cJSON_AddObjectToObject(meta, "input");

	if (!metadata_number(graph, "fluidnpu.input.byte_scale", &byte_scale, error) ||
	    !metadata_number(graph, "fluidnpu.input.byte_offset", &byte_offset, error))
		return false;
	cJSON_AddStringToObject(input, "name", p->net->input_name);
	cJSON_AddItemToObject(input, "shape", cJSON_CreateIntArray(shape, 3));
	cJSON_AddNumberToObject(input, "scale", (double)t->scale);
	cJSON_AddNumberToObject(input, "zero_point", t->zero_point);
	cJSON_AddNumberToObject(input, "byte_scale", byte_scale);
	cJSON_AddNumberToObject(input, "byte_offset", byte_offset);
	return true;
}

static void add_exits(cJSON *meta, const struct npucc_network *net)
{
	cJSON *exits = cJSON_AddArrayToObject(meta, "exits");
	unsigned int i;

	for (i = 0; i < net->num_exits; i++) {
		const struct npucc_exit *e = &net->exits[i];
		cJSON *item = cJSON_CreateObject();

		cJSON_AddStringToObject(item, "name", e->name);
		cJSON_AddNumberToObject(item, "classes", e->logits->c);
		cJSON_AddNumberToObject(item, "scale", (double)e->logits->scale);
		cJSON_AddNumberToObject(item, "zero_point", e->logits->zero_point);
		cJSON_AddNumberToObject(item, "logits_off", e->logits_off);
		cJSON_AddNumberToObject(item, "layer", e->layer->position);
		cJSON_AddStringToObject(item, "criterion", npucc_criterion_name(net->criterion));
		cJSON_AddNumberToObject(item, "threshold", (double)e->threshold);
		cJSON_AddNumberToObject(item, "macs", (double)e->total_macs);
		cJSON_AddItemToArray(exits, item);
	}
}

/* Names separated by commas. Returns their number. */
static unsigned int split_labels(struct npucc_arena *arena, cJSON *labels, const char *text)
{
	unsigned int num = 0;

	for (;;) {
		size_t len = strcspn(text, ",");

		cJSON_AddItemToArray(labels,
				     cJSON_CreateString(npucc_printf(arena, "%.*s", (int)len, text)));
		num++;
		if (!text[len])
			return num;
		text += len + 1;
	}
}

/* A JSON array of names. Returns their number, 0 when it is something else. */
static unsigned int copy_labels(cJSON *labels, const char *text)
{
	cJSON *names = cJSON_ParseWithOpts(text, NULL, true);
	const cJSON *name;
	unsigned int num = 0;

	cJSON_ArrayForEach(name, names) {
		if (!cJSON_IsString(name)) {
			num = 0;
			break;
		}
		cJSON_AddItemToArray(labels, cJSON_CreateString(name->valuestring));
		num++;
	}
	cJSON_Delete(names);
	return num;
}

/*
 * Metadata fluidnpu.labels: names separated by commas or, where a name has a comma, a JSON
 * array of strings.
 */
static bool add_labels(struct npucc_arena *arena, cJSON *meta, const struct npucc_network *net,
		       const struct npucc_graph *graph, struct npucc_error *error)
{
	const char *text = npucc_metadata(graph, "fluidnpu.labels");
	cJSON *labels = cJSON_AddArrayToObject(meta, "labels");
	unsigned int num, i;

	if (!text)
		return true;
	num = *text == '[' ? copy_labels(labels, text) : split_labels(arena, labels, text);
	if (!num)
		return npucc_fail(error, "metadata fluidnpu.labels starts with '[', but is no JSON array of strings");
	for (i = 0; i < net->num_exits; i++)
		if (net->exits[i].logits->c != num)
			return npucc_fail(error, "metadata fluidnpu.labels has %u names, exit '%s' has %u classes",
					  num, net->exits[i].name, net->exits[i].logits->c);
	return true;
}

static void add_layers(cJSON *meta, const struct npucc_network *net)
{
	cJSON *layers = cJSON_AddArrayToObject(meta, "layers");
	unsigned int i;

	for (i = 0; i < net->num_layers; i++) {
		cJSON *item = cJSON_CreateObject();

		cJSON_AddStringToObject(item, "name", net->layers[i]->name);
		cJSON_AddStringToObject(item, "op", npucc_op_name(net->layers[i]->op));
		cJSON_AddNumberToObject(item, "macs", (double)net->layers[i]->macs);
		cJSON_AddItemToArray(layers, item);
	}
}

void npucc_add_geometry(cJSON *to, const struct fnpu_config *config)
{
	cJSON *geometry = cJSON_AddObjectToObject(to, "geometry");
	struct fluidnpu_hw_geometry g = config->geometry;
	const struct fnpu_geometry_field *f;

	for (f = fnpu_geometry_fields; f->name; f++)
		cJSON_AddNumberToObject(geometry, f->name, *fnpu_geometry_value(&g, f));
	cJSON_AddNumberToObject(to, "clock_hz", config->clock_hz);
}

bool npucc_meta(struct npucc_arena *arena, struct npucc_program *program,
		const struct npucc_graph *graph, struct npucc_error *error)
{
	cJSON *meta = cJSON_CreateObject();
	char *text = NULL;
	bool ok;

	cJSON_AddStringToObject(meta, "name", program->name);
	cJSON_AddStringToObject(meta, "producer", npucc_printf(arena, "npucc %s", fnpu_version()));
	if (program->accuracy_budget)
		cJSON_AddNumberToObject(meta, "accuracy_budget", *program->accuracy_budget);
	ok = add_input(meta, program, graph, error);
	if (ok) {
		add_exits(meta, program->net);
		ok = add_labels(arena, meta, program->net, graph, error);
	}
	if (ok) {
		add_layers(meta, program->net);
		npucc_add_geometry(meta, &program->config);
		text = cJSON_PrintUnformatted(meta);
		ok = text || npucc_fail(error, "out of memory");
	}
	if (ok)
		program->meta = npucc_printf(arena, "%s", text);
	cJSON_free(text);
	cJSON_Delete(meta);
	return ok;
}
