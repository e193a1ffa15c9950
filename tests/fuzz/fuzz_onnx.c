// SPDX-License-Identifier: MIT
/*
 * The compiler under fire: any bytes as an ONNX model.
 *
 * A model that does not compile must be refused with a message. One that compiles is held
 * to what the compiler promises: it can be reported, the loader takes the file, the device
 * takes every layer and every layout of it, and a batch of equal samples comes back with equal
 * results.
 *
 * How inputs are made is in fuzz_onnx_mutate.c.
 */
#include <string.h>
#include <unistd.h>

#include "fluidnpu.h"
#include "fuzz.h"
#include "program.h"
#include "report.h"
#include "samples.h"

static struct fnpu_device *device;
static FILE *null;
static char file_path[64];

static void remove_file(void)
{
	unlink(file_path);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	if (fnpu_device_open("emu", NULL, &device, NULL))
		abort();
	null = fopen("/dev/null", "w");
	if (!null)
		abort();
	snprintf(file_path, sizeof(file_path), "/dev/shm/fuzz-onnx-%ld.fnpu", (long)getpid());
	atexit(remove_file);
	return 0;
}

static uint64_t round_up(uint64_t v, uint64_t to)
{
	return (v + to - 1) / to * to;
}

/* Multiplications or elements of a layer for one sample, padded generously. */
static uint64_t layer_work(const struct fluidnpu_hw_layer *l)
{
	const uint64_t window = (uint64_t)l->kernel_h * l->kernel_w;
	const uint64_t outputs = (uint64_t)l->out_h * l->out_w;

	if (l->op != FLUIDNPU_LAYER_CONV)
		return outputs * l->out_c * window;
	return outputs * round_up(l->out_c / l->groups, 32) * l->groups *
	       round_up(window * (l->in_c / l->groups), 32);
}

/* Does the fuzzers' device, which refuses much work, take it, and does it not take long? */
static bool little_work(const struct npucc_program *p)
{
	uint64_t work = 0;

	for (unsigned int i = 0; i < p->net->num_layers; i++)
		work += layer_work(&p->layers[i]);
	return work <= FNPU_MAX_LAYER_WORK;
}

static void print(struct npucc_arena *arena, const struct npucc_program *program)
{
	const struct npucc_report *report = npucc_report(arena, program);

	fuzz_check(npucc_report_text(report, null));
	fuzz_check(npucc_report_json(report, null));
	fuzz_check(npucc_report_roofline(report, null));
}

static void use(const struct npucc_program *program)
{
	struct fnpu_error error = { "" };
	struct npucc_error save_error = { "" };
	struct fnpu_model *model;
	const char *wrong;

	if (!npucc_save(program, file_path, &save_error)) {
		fprintf(stderr, "%s\n", save_error.text);
		abort();
	}
	if (fnpu_model_load(file_path, &model, &error) ||
	    fnpu_model_check(model, device, &error)) {
		fprintf(stderr, "what was compiled does not load: %s\n", error.text);
		abort();
	}
	if (samples_affordable(model) && little_work(program)) {
		wrong = samples_run(model);
		if (wrong) {
			fprintf(stderr, "what was compiled does not run: %s\n", wrong);
			abort();
		}
	}
	fnpu_model_free(model);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct npucc_options options = { 0 };
	struct npucc_arena arena = { NULL };
	struct npucc_error error = { "" };
	struct npucc_program *program;

	fnpu_config_default(&options.config);
	/* the search for layouts takes most of the time; it need not be complete each time */
	if (size % 8)
		options.config.geometry.max_batch = 3;
	program = npucc_compile(&arena, data, size, &options, &error);
	fuzz_check(!program == !!error.text[0]);
	if (program) {
		use(program);
		print(&arena, program);
	}
	npucc_arena_free(&arena);
	return 0;
}
