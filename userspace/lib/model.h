/* SPDX-License-Identifier: MIT */
#ifndef FNPU_MODEL_H
#define FNPU_MODEL_H

#include "fluidnpu.h"
#include "fnpu_file_io.h"

/**
 * struct fnpu_model - a loaded .fnpu
 * @file: program and cost table
 * @info: what fnpu_model_info() shows; its strings and arrays are the model's
 * @exits, @labels: behind info.exits and info.labels
 */
struct fnpu_model {
	struct fnpu_file *file;
	struct fnpu_model_info info;
	struct fnpu_exit_info *exits;
	char **labels;
};

/**
 * fnpu_model_parse_meta() - fill model->info from the META section
 * @model: with its file, whose program has been checked; what META says must agree with it
 * Returns 0, -EBADMSG or -ENOMEM. What was allocated until then is freed by fnpu_model_free().
 */
int fnpu_model_parse_meta(struct fnpu_model *model, const char *json, size_t bytes,
			  struct fnpu_error *error);

#endif /* FNPU_MODEL_H */
