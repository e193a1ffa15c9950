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

#endif /* NPUCC_FIXTURE_H */
