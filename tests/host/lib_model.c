// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fnpu_file_io.h"
#include "lib_model.h"

const char lib_model_meta[] =
	"{\"name\":\"tiny\",\"producer\":\"test\","
	"\"input\":{\"name\":\"x\",\"shape\":[4,1,1],\"scale\":1,\"zero_point\":0,"
	"\"byte_scale\":1,\"byte_offset\":0},"
	"\"exits\":["
	"{\"name\":\"early\",\"classes\":4,\"scale\":0.1,\"zero_point\":0,\"logits_off\":0,"
	"\"layer\":1,\"criterion\":\"confidence\",\"threshold\":0.8,\"macs\":16},"
	"{\"name\":\"late\",\"classes\":4,\"scale\":0.1,\"zero_point\":0,\"logits_off\":4,"
	"\"layer\":3,\"criterion\":\"confidence\",\"threshold\":0,\"macs\":32}],"
	"\"labels\":[\"a\",\"b\",\"c\",\"d\"],\"layers\":[],"
	"\"geometry\":{\"tile_rows\":128,\"tile_depth\":16,\"tile_cols\":64,\"acc_tiles\":1,"
	"\"max_stack\":8,\"max_batch\":16,\"act_sram_bytes\":2097152,"
	"\"weight_sram_bytes\":262144,\"dram_bytes_per_kcycle\":16384,\"vector_lanes\":64,"
	"\"layer_overhead_cycles\":256,\"num_queues\":4,\"num_as\":64,\"stack_depth\":1},"
	"\"clock_hz\":800000000}";

#define LAYERS	4

struct image {
	struct fluidnpu_hw_program program;
	struct fluidnpu_hw_layer layers[LAYERS];
	struct fluidnpu_hw_policy control[LAYERS][LIB_MODEL_BATCH];
	int8_t weights[LIB_MODEL_EXITS][LIB_MODEL_CLASSES][LIB_MODEL_INPUTS];
	int32_t bias[LIB_MODEL_CLASSES];
	float scale[LIB_MODEL_CLASSES];
};

static uint32_t bits(float f)
{
	uint32_t u;

	memcpy(&u, &f, sizeof(u));
	return u;
}

static void fill_exit(struct image *im, int exit, float threshold)
{
	struct fluidnpu_hw_layer *conv = &im->layers[2 * exit];
	const uint32_t out = (uint32_t)exit * LIB_MODEL_CLASSES;

	*conv = (struct fluidnpu_hw_layer){
		.op = FLUIDNPU_LAYER_CONV,
		.in_off = FLUIDNPU_TENSOR_INPUT,
		.out_off = out,
		.in_h = 1, .in_w = 1, .in_c = LIB_MODEL_INPUTS,
		.out_h = 1, .out_w = 1, .out_c = LIB_MODEL_CLASSES,
		.kernel_h = 1, .kernel_w = 1, .stride_h = 1, .stride_w = 1,
		.dilation_h = 1, .dilation_w = 1, .groups = 1,
		.weights_off = (uint32_t)(offsetof(struct image, weights) +
					  (size_t)exit * sizeof(im->weights[0])),
		.bias_off = offsetof(struct image, bias),
		.scale_off = offsetof(struct image, scale),
		.live_bytes = 8,
		.clamp_min = -128, .clamp_max = 127,
	};
	im->layers[2 * exit + 1] = (struct fluidnpu_hw_layer){
		.op = FLUIDNPU_LAYER_EXIT,
		.exit_index = (uint8_t)exit,
		.exit_criterion = FLUIDNPU_EXIT_CONFIDENCE,
		.in_off = out,
		.in_h = 1, .in_w = 1, .in_c = LIB_MODEL_CLASSES,
		.live_bytes = 8,
		.scale_in = bits(0.1f),
		.threshold = bits(threshold),
		.logits_off = out,
	};
	for (int c = 0; c < LIB_MODEL_CLASSES; c++)
		im->weights[exit][c][exit ? LIB_MODEL_INPUTS - 1 - c : c] = 1;
}

static void fill_image(struct image *im, const struct lib_model *model)
{
	im->program = (struct fluidnpu_hw_program){
		.magic = FLUIDNPU_PROGRAM_MAGIC,
		.version = FLUIDNPU_PROGRAM_VERSION,
		.total_bytes = sizeof(*im),
		.num_layers = LAYERS,
		.layers_off = offsetof(struct image, layers),
		.control_off = offsetof(struct image, control),
		.max_batch = LIB_MODEL_BATCH,
		.num_exits = LIB_MODEL_EXITS,
		.input_bytes = LIB_MODEL_INPUTS,
		.state_bytes = 2 * LIB_MODEL_CLASSES,
		.logits_bytes = LIB_MODEL_EXITS * LIB_MODEL_CLASSES,
	};
	fill_exit(im, 0, 0.8f);
	fill_exit(im, 1, 0);
	for (int c = 0; c < LIB_MODEL_CLASSES; c++)
		im->scale[c] = 1;
	for (int l = 0; l < LAYERS; l++)
		for (int b = 1; b <= LIB_MODEL_BATCH; b++)
			im->control[l][b - 1] = (struct fluidnpu_hw_policy){
				.n = (uint8_t)b, .b_r = (uint8_t)b, .b_p = 1, .k = model->stack,
			};
	if (model->break_layer >= 0)
		im->layers[model->break_layer].op = 99;
}

void lib_model_write(const struct lib_model *model, const char *path)
{
	const char *meta = model->meta ? model->meta : lib_model_meta;
	static struct image im;
	uint32_t cost[LAYERS][LIB_MODEL_BATCH];
	const struct fnpu_file_part parts[] = {
		{ FNPU_SECTION_META, meta, strlen(meta) },
		{ FNPU_SECTION_PROGRAM, &im, sizeof(im) },
		{ FNPU_SECTION_COST, cost, sizeof(cost) },
	};
	char error[FNPU_FILE_ERROR_BYTES] = "";

	memset(&im, 0, sizeof(im));
	fill_image(&im, model);
	for (int l = 0; l < LAYERS; l++)
		for (int b = 0; b < LIB_MODEL_BATCH; b++)
			cost[l][b] = (uint32_t)(1000 * l + b + 1);
	if (fnpu_file_write(path, parts, 3, error, sizeof(error)))
		fail_msg("%s", error);
}

static char temp_dir[64];

static void remove_temp_dir(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", temp_dir);
	if (system(command))
		fprintf(stderr, "cannot remove %s\n", temp_dir);
}

const char *lib_temp_path(const char *name)
{
	static char path[256];

	if (!temp_dir[0]) {
		snprintf(temp_dir, sizeof(temp_dir), "/tmp/fnpu-test-XXXXXX");
		if (!mkdtemp(temp_dir))
			fail_msg("no temporary directory");
		atexit(remove_temp_dir);
	}
	snprintf(path, sizeof(path), "%s/%s", temp_dir, name);
	return path;
}
