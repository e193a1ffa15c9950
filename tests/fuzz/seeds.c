// SPDX-License-Identifier: MIT
/*
 * seeds - writes the inputs that a corpus starts from, made by the tests' own builders.
 *
 * usage: seeds core|daemon|file|onnx DIRECTORY
 *
 * fuzz_core needs none: what it interprets starts with a device that is set up. Nor does
 * fuzz_daemon, whose mutator knows messages.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "fuzz.h"
#include "lib_model.h"
#include "npucc_fixture.h"

static char path[4096];

static const char *in_directory(const char *directory, const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static void write_files(const char *directory)
{
	const struct lib_model good = LIB_MODEL_DEFAULT;
	const struct lib_model stacked = { .stack = 8, .break_layer = -1 };
	const struct lib_model broken = { .stack = 1, .break_layer = 2 };

	lib_model_write(&good, in_directory(directory, "good.fnpu"));
	lib_model_write(&stacked, in_directory(directory, "stacked.fnpu"));
	lib_model_write(&broken, in_directory(directory, "broken.fnpu"));
}

static void write_onnx(struct om *m, const char *directory, const char *name)
{
	size_t bytes;
	void *data = om_pack(m, &bytes);
	FILE *file = fopen(in_directory(directory, name), "wb");

	if (!file || fwrite(data, bytes, 1, file) != 1 || fclose(file))
		abort();
}

/* Every operator in QDQ form, each with the attributes that matter. */
static void build_operators(struct om *m)
{
	const int64_t two[] = { 2, 2 };
	Onnx__NodeProto *n;

	om_init(m, m->arena, 4, 6, 6);
	om_quantize_u8(m, "in", "x", 0.05f, 7);
	n = om_conv(m, "wide", "in", 4, 2, 3, 1, 2, 4);
	om_attr_int(m, n, "group", 2);
	om_attr_ints(m, n, "dilations", 2, two);
	n = om_conv(m, "depthwise", "wide", 4, 1, 3, 1, 1, -3);
	om_attr_int(m, n, "group", 4);
	n = om_node(m, "MaxPool", "depthwise", "max.f");
	om_attr_ints(m, n, "kernel_shape", 2, two);
	om_attr_ints(m, n, "strides", 2, two);
	om_quantize(m, "max", "max.f", 0.1f, -3);
	om_head(m, "early", "max", 4, 3);
	n = om_node(m, "AveragePool", "depthwise", "avg.f");
	om_attr_ints(m, n, "kernel_shape", 2, two);
	om_attr_ints(m, n, "strides", 2, two);
	om_attr_int(m, n, "count_include_pad", 1);
	om_quantize(m, "avg", "avg.f", 0.08f, 2);
	n = om_node(m, "Concat", "max,avg", "both.f");
	om_attr_int(m, n, "axis", 1);
	om_quantize(m, "both", "both.f", 0.1f, 1);
	om_conv(m, "last", "both", 8, 8, 1, 1, 0, 0);
	om_node(m, "Add", "last,both", "sum.f");
	om_node(m, "Relu", "sum.f", "relu.f");
	om_quantize(m, "relu", "relu.f", 0.2f, -128);
	om_head(m, "late", "relu", 8, 3);
	om_meta(m, "fluidnpu.exit.thresholds", "0.5");
	om_meta(m, "fluidnpu.exit.criterion", "entropy");
	om_meta(m, "fluidnpu.labels", "a,b,c");
}

/* Stages with a residual block, three exits, and a network input that two layers read. */
static void build_three_exits(struct om *m)
{
	om_init(m, m->arena, 2, 4, 4);
	om_quantize(m, "in", "x", 0.02f, -3);
	om_conv(m, "stem", "in", 4, 2, 3, 1, 1, -128);
	om_conv(m, "skip", "in", 4, 2, 1, 1, 0, 5);
	om_node(m, "Add", "stem,skip", "sum1.f");
	om_quantize(m, "sum1", "sum1.f", 0.15f, -7);
	om_head(m, "exit0", "sum1", 4, 3);
	om_conv(m, "b1", "sum1", 4, 4, 3, 2, 1, -128);
	om_head(m, "exit1", "b1", 4, 3);
	om_conv(m, "c1", "b1", 8, 4, 3, 1, 1, -128);
	om_head(m, "exit2", "c1", 8, 3);
	om_meta(m, "fluidnpu.exit.thresholds", "0.8,0.6");
}

static void write_models(const char *directory)
{
	struct fx f = { 0 };

	f.m.arena = &f.arena;
	fx_build_good(&f);
	write_onnx(&f.m, directory, "good.onnx");
	build_three_exits(&f.m);
	write_onnx(&f.m, directory, "three_exits.onnx");
	f.m.arena = &f.arena;
	build_operators(&f.m);
	write_onnx(&f.m, directory, "operators.onnx");
	npucc_arena_free(&f.arena);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "file"))
		write_files(argv[2]);
	else if (argc == 3 && !strcmp(argv[1], "onnx"))
		write_models(argv[2]);
	else if (argc != 3 || (strcmp(argv[1], "core") && strcmp(argv[1], "daemon")))
		return 2;
	return 0;
}
