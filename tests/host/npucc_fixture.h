/* SPDX-License-Identifier: MIT */
/* A compilation under test: model builder, options and where errors go. */
#ifndef NPUCC_FIXTURE_H
#define NPUCC_FIXTURE_H

#include "onnx_model.h"
#include "program.h"

struct fx {
	struct npucc_arena arena;
	struct npucc_error error;
	struct npucc_options options;
	struct om m;
};

int fx_set_up(void **state);
int fx_tear_down(void **state);

#define TEST(name) cmocka_unit_test_setup_teardown(name, fx_set_up, fx_tear_down)

/** fx_compile() - the program of f->m; the test fails when there is none */
struct npucc_program *fx_compile(struct fx *f);

/** fx_expect_error() - f->m must not compile, with a message that contains @message */
void fx_expect_error(struct fx *f, const char *message);

/** fx_build_three_exits() - stages with residual blocks, three exits: a real network in small */
void fx_build_three_exits(struct fx *f);

/** fx_build_good() - in -> conv -> head "out"; a model to break */
void fx_build_good(struct fx *f);

/** fx_node_of() - the node that computes @output */
Onnx__NodeProto *fx_node_of(struct fx *f, const char *output);

Onnx__TensorProto *fx_tensor_of(struct fx *f, const char *name);

/**
 * fx_check_liveness() - replays the program: each layer may only read what an earlier one wrote
 * and nothing has overwritten since. Each group runs twice: it may not destroy what it
 * reads, so that it can run again after it was cut short.
 */
void fx_check_liveness(const struct npucc_program *p);

/** fx_find_layer(), fx_layer() - position and descriptor of the layer @name, which must exist */
int fx_find_layer(const struct npucc_program *p, const char *name);
const struct fluidnpu_hw_layer *fx_layer(const struct npucc_program *p, const char *name);

/** fx_table_at() - what the table of the CONCAT layer @l makes of @code */
int8_t fx_table_at(const struct npucc_program *p, const struct fluidnpu_hw_layer *l, int code);

/**
 * fx_compile_bytes() - compiles a copy in its own block, so that ASan sees every read beyond
 * it; what does not compile must have a message
 */
void fx_compile_bytes(struct fx *f, const uint8_t *data, size_t bytes);

/** fx_compile_mutated() - f->m with up to four bits flipped, @rounds times */
void fx_compile_mutated(struct fx *f, unsigned int rounds);

/** fx_float() - the binary32 whose bits are @bits */
float fx_float(uint32_t bits);

#endif /* NPUCC_FIXTURE_H */
