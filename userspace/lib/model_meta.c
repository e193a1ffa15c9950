// SPDX-License-Identifier: MIT
/*
 * The META section of a .fnpu: JSON with what people and the library want to know
 * about a network and the NPU does not. The checksum says that nothing broke on
 * the way, not that the writer was right: every field is checked for type and
 * range and against the program, so that nothing after this has to.
 */
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "error.h"
#include "geometry.h"
#include "model.h"

#define MAX_EXACT_INTEGER	9007199254740992.0	/* 2^53 */

/** struct reader - @where names the object for messages; @error stays at the first failure */
struct reader {
	const cJSON *object;
	const char *where;
	struct fnpu_error *error;
	int status;
};

static const cJSON *get(struct reader *r, const char *key, bool right_type(const cJSON *),
			const char *type)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(r->object, key);

	if (r->status)
		return NULL;
	if (item && right_type(item))
		return item;
	r->status = fnpu_fail(r->error, -EBADMSG, "its metadata are not sound: %s.%s is %s",
			      r->where, key, item ? type : "missing");
	return NULL;
}

static bool is_number(const cJSON *item)
{
	return cJSON_IsNumber(item) && isfinite(item->valuedouble);
}

static bool is_string(const cJSON *item)
{
	return cJSON_IsString(item);
}

static bool is_array(const cJSON *item)
{
	return cJSON_IsArray(item);
}

static bool is_object(const cJSON *item)
{
	return cJSON_IsObject(item);
}

static double get_integer(struct reader *r, const char *key, double min, double max)
{
	const cJSON *item = get(r, key, is_number, "not a number");
	double v = item ? item->valuedouble : 0;

	if (item && (v < min || v > max || v != floor(v)))
		r->status = fnpu_fail(r->error, -EBADMSG,
				      "its metadata are not sound: %s.%s is %g, which is not an integer from %g to %g",
				      r->where, key, v, min, max);
	return r->status ? 0 : v;
}

static float get_float(struct reader *r, const char *key)
{
	const cJSON *item = get(r, key, is_number, "not a number");
	double v = item ? item->valuedouble : 0;

	if (item && fabs(v) > FLT_MAX)
		r->status = fnpu_fail(r->error, -EBADMSG,
				      "its metadata are not sound: %s.%s is no binary32",
				      r->where, key);
	return r->status ? 0 : (float)v;
}

static float get_scale(struct reader *r, const char *key)
{
	float v = get_float(r, key);

	if (!r->status && !(v > 0))
		r->status = fnpu_fail(r->error, -EBADMSG,
				      "its metadata are not sound: %s.%s is not positive",
				      r->where, key);
	return v;
}

static char *copy_string(struct reader *r, const cJSON *item)
{
	char *s = item ? strdup(item->valuestring) : NULL;

	if (item && !s)
		r->status = fnpu_fail(r->error, -ENOMEM, "out of memory");
	return s;
}

static char *get_string(struct reader *r, const char *key)
{
	return copy_string(r, get(r, key, is_string, "not a string"));
}

static struct reader enter(struct reader *r, const char *key, const char *where)
{
	return (struct reader){
		.object = get(r, key, is_object, "not an object"),
		.where = where,
		.error = r->error,
		.status = r->status,
	};
}

static int read_input(struct reader *top, struct fnpu_model_info *info)
{
	struct reader r = enter(top, "input", "input");
	const cJSON *shape = get(&r, "shape", is_array, "not an array");
	uint32_t *const dims[3] = { &info->channels, &info->height, &info->width };
	uint64_t elements = 1;

	for (int i = 0; shape && i < 3; i++) {
		const cJSON *d = cJSON_GetArrayItem(shape, i);

		if (cJSON_GetArraySize(shape) != 3 || !d || !is_number(d) || d->valuedouble < 1 ||
		    d->valuedouble > UINT16_MAX || d->valuedouble != floor(d->valuedouble))
			return fnpu_fail(r.error, -EBADMSG,
					 "its metadata are not sound: input.shape is not [channels, height, width]");
		*dims[i] = (uint32_t)d->valuedouble;
		elements *= *dims[i];
	}
	info->input_scale = get_scale(&r, "scale");
	info->input_zero_point = (int32_t)get_integer(&r, "zero_point", INT8_MIN, INT8_MAX);
	info->byte_scale = get_float(&r, "byte_scale");
	info->byte_offset = get_float(&r, "byte_offset");
	if (!r.status && elements != info->input_bytes)
		return fnpu_fail(r.error, -EBADMSG,
				 "its metadata are not sound: input.shape has %llu elements, the program takes %u",
				 (unsigned long long)elements, info->input_bytes);
	return r.status;
}

static bool known_criterion(const char *s)
{
	return !strcmp(s, "confidence") || !strcmp(s, "entropy") || !strcmp(s, "margin");
}

/* Is @exit the head number @index of the program? */
static bool exit_matches(const struct fnpu_model *model, const struct fnpu_exit_info *exit,
			 uint32_t index)
{
	const struct fluidnpu_hw_layer *l = &fnpu_file_layers(model->file)[exit->layer];

	return l->op == FLUIDNPU_LAYER_EXIT && l->exit_index == index &&
	       l->in_c == exit->classes && l->logits_off == exit->logits_off;
}

static int read_exit(struct reader *top, const cJSON *object, const struct fnpu_model *model,
		     uint32_t index)
{
	struct reader r = { object, "exits[]", top->error, top->status };
	const struct fnpu_model_info *info = &model->info;
	struct fnpu_exit_info *exit = &model->exits[index];

	exit->name = get_string(&r, "name");
	exit->classes = (uint32_t)get_integer(&r, "classes", 1, FLUIDNPU_MAX_CLASSES);
	exit->scale = get_scale(&r, "scale");
	exit->zero_point = (int32_t)get_integer(&r, "zero_point", INT8_MIN, INT8_MAX);
	exit->logits_off = (uint32_t)get_integer(&r, "logits_off", 0, info->logits_bytes);
	exit->layer = (uint32_t)get_integer(&r, "layer", 0, info->num_layers - 1);
	exit->criterion = get_string(&r, "criterion");
	exit->threshold = get_float(&r, "threshold");
	exit->macs = (uint64_t)get_integer(&r, "macs", 0, MAX_EXACT_INTEGER);
	if (r.status)
		return r.status;
	if (exit->classes > info->logits_bytes - exit->logits_off)
		return fnpu_fail(r.error, -EBADMSG,
				 "its metadata are not sound: logits of exit %s are not inside a sample's logits",
				 exit->name);
	if (!known_criterion(exit->criterion))
		return fnpu_fail(r.error, -EBADMSG,
				 "its metadata are not sound: exit %s has the unknown criterion %s",
				 exit->name, exit->criterion);
	if (!exit_matches(model, exit, index))
		return fnpu_fail(r.error, -EBADMSG,
				 "its metadata are not sound: exit %s is not what layer %u of the program is",
				 exit->name, exit->layer);
	return 0;
}

static int read_exits(struct reader *top, struct fnpu_model *model)
{
	struct fnpu_model_info *info = &model->info;
	const cJSON *exits = get(top, "exits", is_array, "not an array");
	const cJSON *item;
	uint32_t i = 0;
	int ret;

	if (!exits)
		return top->status;
	if ((uint32_t)cJSON_GetArraySize(exits) != info->num_exits)
		return fnpu_fail(top->error, -EBADMSG,
				 "its metadata are not sound: %d exits, the program has %u",
				 cJSON_GetArraySize(exits), info->num_exits);
	model->exits = calloc(info->num_exits, sizeof(*model->exits));
	if (!model->exits)
		return fnpu_fail(top->error, -ENOMEM, "out of memory");
	info->exits = model->exits;
	cJSON_ArrayForEach(item, exits) {
		ret = read_exit(top, item, model, i++);
		if (ret)
			return ret;
	}
	return 0;
}

static int read_labels(struct reader *top, struct fnpu_model *model)
{
	const cJSON *labels = get(top, "labels", is_array, "not an array");
	const cJSON *item;

	if (!labels)
		return top->status;
	if (cJSON_GetArraySize(labels) > (int)FLUIDNPU_MAX_CLASSES)
		return fnpu_fail(top->error, -EBADMSG, "its metadata are not sound: too many labels");
	model->labels = calloc((size_t)cJSON_GetArraySize(labels) + 1, sizeof(*model->labels));
	if (!model->labels)
		return fnpu_fail(top->error, -ENOMEM, "out of memory");
	model->info.labels = (const char *const *)model->labels;
	cJSON_ArrayForEach(item, labels) {
		if (!is_string(item))
			return fnpu_fail(top->error, -EBADMSG,
					 "its metadata are not sound: labels[%u] is not a string",
					 model->info.num_labels);
		model->labels[model->info.num_labels] = copy_string(top, item);
		if (top->status)
			return top->status;
		model->info.num_labels++;
	}
	return 0;
}

static int read_geometry(struct reader *top, struct fluidnpu_hw_geometry *g)
{
	struct reader r = enter(top, "geometry", "geometry");
	const struct fnpu_geometry_field *f;

	for (f = fnpu_geometry_fields; f->name; f++)
		*fnpu_geometry_value(g, f) = (uint32_t)get_integer(&r, f->name, 0, UINT32_MAX);
	return r.status;
}

static int read_meta(struct fnpu_model *model, const cJSON *root, struct fnpu_error *error)
{
	struct reader top = { .object = root, .where = "top level", .error = error };
	int ret;

	model->info.name = get_string(&top, "name");
	model->info.producer = get_string(&top, "producer");
	model->info.clock_hz = (uint32_t)get_integer(&top, "clock_hz", 1, UINT32_MAX);
	if (top.status)
		return top.status;
	ret = read_input(&top, &model->info);
	if (!ret)
		ret = read_exits(&top, model);
	if (!ret)
		ret = read_labels(&top, model);
	if (!ret)
		ret = read_geometry(&top, &model->info.geometry);
	return ret;
}

int fnpu_model_parse_meta(struct fnpu_model *model, const char *json, size_t bytes,
			  struct fnpu_error *error)
{
	cJSON *root = cJSON_ParseWithLength(json, bytes);
	int ret;

	if (!cJSON_IsObject(root))
		ret = fnpu_fail(error, -EBADMSG, "its metadata are not JSON");
	else
		ret = read_meta(model, root, error);
	cJSON_Delete(root);
	return ret;
}
