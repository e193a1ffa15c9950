/* SPDX-License-Identifier: MIT */
/*
 * A network small enough to know its results by heart: 4 inputs, 4 classes, 2 exits.
 * Exit 0 says the input as it is, exit 1 says it backwards; a logit is worth 0.1
 * per step. So { 100, 0, 0, 0 } is sure to be class 0 and leaves at exit 0, and
 * { 1, 0, 0, 0 } leaves at exit 1 as class 3.
 */
#ifndef TEST_LIB_MODEL_H
#define TEST_LIB_MODEL_H

#include <stdint.h>

#define LIB_MODEL_INPUTS	4
#define LIB_MODEL_CLASSES	4
#define LIB_MODEL_EXITS		2
#define LIB_MODEL_BATCH		16

/**
 * struct lib_model - what tests vary
 * @meta: JSON instead of the right one, or NULL
 * @stack: factor k of every layout
 * @break_layer: layer whose descriptor the device will refuse, or -1
 */
struct lib_model {
	const char *meta;
	uint8_t stack;
	int break_layer;
};

#define LIB_MODEL_DEFAULT { .stack = 1, .break_layer = -1 }

/** lib_model_meta - the right META section; a printf-like format without arguments */
extern const char lib_model_meta[];

/** lib_model_write() - write the network to @path; fails the test when it cannot */
void lib_model_write(const struct lib_model *model, const char *path);

/** lib_temp_path() - "DIR/@name" in a directory of this process, which goes at its end */
const char *lib_temp_path(const char *name);

#endif /* TEST_LIB_MODEL_H */
