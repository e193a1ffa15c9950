// SPDX-License-Identifier: MIT
/* A compilation under test (see npucc_fixture.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fnpu_cost.h"
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

/* Does @l, or a sibling of it, write byte @b of its output @t? */
static bool writes(const struct npucc_layer *l, const struct npucc_tensor *t, uint64_t b)
{
	unsigned int channel = (unsigned int)(b % t->c);

	return l->op != FLUIDNPU_LAYER_CONCAT ||
	       (channel >= l->out_channel && channel < l->out_channel + l->in[0]->c);
}

static unsigned int writer_position(const struct npucc_tensor *t, uint64_t b)
{
	const struct npucc_layer *l = t->producer;

	while (!writes(l, t, b))
		l = l->sibling;
	return l->position;
}

/* Input @k of layer @i must still be what its producers wrote. */
static void check_input(const struct npucc_program *p, const uint16_t *owner, unsigned int i,
			unsigned int k)
{
	const struct npucc_tensor *t = p->net->layers[i]->in[k];
	uint32_t off = k ? p->layers[i].in2_off : p->layers[i].in_off;
	uint64_t b;

	if (!t->producer) {
		assert_int_equal(off, FLUIDNPU_TENSOR_INPUT);
		return;
	}
	assert_int_equal(off % 64, 0);
	assert_true(off + npucc_tensor_bytes(t) <= p->net->state_bytes);
	for (b = 0; b < npucc_tensor_bytes(t); b++)
		assert_int_equal(owner[off + b], writer_position(t, b) + 1);
}

/* Runs group @first .. @first + @count - 1 on @owner, which tells who wrote each byte. */
static void replay_group(const struct npucc_program *p, uint16_t *owner, unsigned int first,
			 unsigned int count)
{
	unsigned int i, k;
	uint64_t b;

	for (i = first; i < first + count; i++) {
		const struct npucc_layer *l = p->net->layers[i];
		uint32_t off = p->layers[i].out_off;

		for (k = 0; k < l->num_inputs; k++)
			check_input(p, owner, i, k);
		if (!l->out)
			continue;
		assert_true(off + npucc_tensor_bytes(l->out) <= p->net->state_bytes);
		/* only an Add may write over what it reads */
		for (k = 0; k < l->num_inputs; k++)
			assert_true(!l->in[k]->producer || l->op == FLUIDNPU_LAYER_ADD ||
				    off >= l->in[k]->offset + npucc_tensor_bytes(l->in[k]) ||
				    l->in[k]->offset >= off + npucc_tensor_bytes(l->out));
		for (b = 0; b < npucc_tensor_bytes(l->out); b++)
			if (writes(l, l->out, b))
				owner[off + b] = (uint16_t)(i + 1);
	}
}

void fx_check_liveness(const struct npucc_program *p)
{
	uint16_t *owner = calloc(p->net->state_bytes, sizeof(*owner));	/* layer + 1 */
	unsigned int i, n, count;

	for (i = 0; i < p->net->num_layers; i += count) {
		count = fnpu_group_size(&p->layers[i], p->net->num_layers - i);
		replay_group(p, owner, i, count);
		replay_group(p, owner, i, count);
	}
	free(owner);
	for (i = 0; i < p->net->num_layers; i++) {
		uint64_t least = 0;

		/* the sum of the live tensors but for one that an Add writes over */
		for (n = 0; n < p->net->num_layers; n++) {
			const struct npucc_tensor *t = p->net->layers[n]->out;

			if (t && t->first == n && n <= i && i <= t->last &&
			    !(n == i && p->layers[n].op == FLUIDNPU_LAYER_ADD))
				least += npucc_tensor_bytes(t);
		}
		assert_true(p->layers[i].live_bytes >= least);
		assert_true(p->layers[i].live_bytes <= p->net->state_bytes);
	}
}

int fx_find_layer(const struct npucc_program *p, const char *name)
{
	unsigned int i;

	for (i = 0; i < p->net->num_layers; i++)
		if (!strcmp(p->net->layers[i]->name, name))
			return (int)i;
	fail_msg("no layer '%s'", name);
	return -1;
}

const struct fluidnpu_hw_layer *fx_layer(const struct npucc_program *p, const char *name)
{
	return &p->layers[fx_find_layer(p, name)];
}

int8_t fx_table_at(const struct npucc_program *p, const struct fluidnpu_hw_layer *l, int code)
{
	return ((const int8_t *)(p->image + l->table_off))[code + 128];
}

float fx_float(uint32_t bits)
{
	float f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

void fx_compile_bytes(struct fx *f, const uint8_t *data, size_t bytes)
{
	struct npucc_arena arena = { NULL };
	struct npucc_error error = { "" };
	uint8_t *copy = malloc(bytes + !bytes);

	memcpy(copy, data, bytes);
	if (!npucc_compile(&arena, copy, bytes, &f->options, &error))
		assert_int_not_equal(error.text[0], '\0');
	free(copy);
	npucc_arena_free(&arena);
}

void fx_compile_mutated(struct fx *f, unsigned int rounds)
{
	unsigned int seed = 7, round, i;
	size_t bytes;
	uint8_t *data = om_pack(&f->m, &bytes);
	uint8_t *copy = npucc_alloc(&f->arena, bytes, 1);

	for (round = 0; round < rounds; round++) {
		memcpy(copy, data, bytes);
		for (i = 0; i <= round % 4; i++) {
			seed = seed * 1103515245 + 12345;
			copy[(seed >> 8) % bytes] ^= (uint8_t)(1u << (seed >> 4) % 8);
		}
		fx_compile_bytes(f, copy, bytes);
	}
}
