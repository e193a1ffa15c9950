// SPDX-License-Identifier: MIT
/* A compilation under test (see npucc_fixture.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "npucc_fixture.h"

int fx_set_up(void **state)
{
	struct fx *f = calloc(1, sizeof(*f));

	fnpu_config_default(&f->options.config);
	*state = f;
	return 0;
}

int fx_tear_down(void **state)
{
	struct fx *f = *state;

	npucc_arena_free(&f->arena);
	free(f);
	return 0;
}

static struct npucc_program *try_compile(struct fx *f)
{
	size_t bytes;
	void *data = om_pack(&f->m, &bytes);

	f->error.text[0] = '\0';
	return npucc_compile(&f->arena, data, bytes, &f->options, &f->error);
}

struct npucc_program *fx_compile(struct fx *f)
{
	struct npucc_program *p = try_compile(f);

	if (!p)
		fail_msg("does not compile: %s", f->error.text);
	return p;
}

void fx_expect_error(struct fx *f, const char *message)
{
	if (try_compile(f))
		fail_msg("compiles, wanted the error '%s'", message);
	if (!strstr(f->error.text, message))
		fail_msg("error is '%s', wanted '%s'", f->error.text, message);
}

void fx_build_three_exits(struct fx *f)
{
	struct om *m = &f->m;

	om_init(m, &f->arena, 3, 16, 16);
	om_quantize(m, "in", "x", 0.02f, -3);
	om_conv(m, "stem", "in", 8, 3, 3, 1, 1, -128);
	om_conv(m, "a1", "stem", 8, 8, 3, 1, 1, -128);
	om_conv(m, "a2", "a1", 8, 8, 3, 1, 1, 5);
	om_node(m, "Add", "stem,a2", "sum1.f");
	om_quantize(m, "sum1", "sum1.f", 0.15f, -7);
	om_head(m, "exit0", "sum1", 8, 10);
	om_conv(m, "b1", "sum1", 16, 8, 3, 2, 1, -128);
	om_conv(m, "b2", "b1", 16, 16, 3, 1, 1, 4);
	om_conv(m, "bp", "sum1", 16, 8, 1, 2, 0, 6);
	om_node(m, "Add", "b2,bp", "sum2.f");
	om_quantize(m, "sum2", "sum2.f", 0.2f, 9);
	om_head(m, "exit1", "sum2", 16, 10);
	om_conv(m, "c1", "sum2", 32, 16, 3, 1, 1, -128);
	om_head(m, "exit2", "c1", 32, 10);
	om_meta(m, "fluidnpu.exit.thresholds", "0.8,0.6");
}

void fx_build_good(struct fx *f)
{
	om_init(&f->m, &f->arena, 4, 6, 6);
	om_quantize(&f->m, "in", "x", 0.1f, 0);
	om_conv(&f->m, "conv", "in", 4, 4, 3, 1, 1, 0);
	om_head(&f->m, "out", "conv", 4, 2);
}

Onnx__NodeProto *fx_node_of(struct fx *f, const char *output)
{
	unsigned int i;

	for (i = 0; i < f->m.graph.n_node; i++)
		if (!strcmp(f->m.nodes[i]->output[0], output))
			return f->m.nodes[i];
	fail_msg("no node computes '%s'", output);
	return NULL;
}

Onnx__TensorProto *fx_tensor_of(struct fx *f, const char *name)
{
	unsigned int i;

	for (i = 0; i < f->m.graph.n_initializer; i++)
		if (!strcmp(f->m.tensors[i]->name, name))
			return f->m.tensors[i];
	fail_msg("no initializer '%s'", name);
	return NULL;
}
