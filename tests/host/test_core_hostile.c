// SPDX-License-Identifier: MIT
/*
 * A driver that does everything wrong. Whatever it writes, the device answers with the
 * documented status or, when it cannot even do that, with STATUS_FATAL; it never reads or
 * writes where no page table leads, and a reset makes it new.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core_host.h"

/* A device with the network of eleven layers, ready to be abused. */
struct bench {
	struct tb *tb;
	struct tb_program p;
	struct tb_job job; /* correct, three samples */
	uint64_t next_cookie;
	struct fluidnpu_hw_program header; /* as it was made */
	struct fluidnpu_hw_layer layers[TB_MAX_LAYERS];
	struct fluidnpu_hw_policy policies[TB_MAX_LAYERS][FLUIDNPU_MAX_BATCH];
	struct fluidnpu_hw_sqe sqe;
	struct fluidnpu_hw_sample samples[3];
	uint64_t *ptes[4]; /* of the program and the samples' states */
};

static int bench_new(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct fnpu_config config;

	assert_non_null(b);
	fnpu_config_default(&config);
	config.geometry.stack_depth = 2;
	b->tb = tb_new(&config, TB_INLINE);
	tb_as_enable(b->tb, TB_AS);
	tb_cq_enable(b->tb, 64);
	tb_queue_enable(b->tb, 0, 16, 0);
	tb_queue_enable(b->tb, 1, 16, 0);
	tb_net_two_exits(&b->p, 1, 2.0f);
	tb_program_load(b->tb, &b->p, TB_AS);
	tb_job_make(b->tb, &b->job, &b->p, TB_AS, 3, 0);
	b->next_cookie = 1;
	b->header = b->p.header;
	memcpy(b->layers, b->p.layers, sizeof(b->layers));
	memcpy(b->policies, b->p.policies, sizeof(b->policies));
	b->sqe = b->job.sqe;
	memcpy(b->samples, b->job.samples, sizeof(b->samples));
	*state = b;
	return 0;
}

static int bench_free(void **state)
{
	struct bench *b = *state;

	tb_free(b->tb);
	tb_program_free(&b->p);
	free(b);
	return 0;
}

/* Everything as it was made. */
static void restore(struct bench *b)
{
	b->p.header = b->header;
	memcpy(b->p.layers, b->layers, sizeof(b->layers));
	memcpy(b->p.policies, b->policies, sizeof(b->policies));
	tb_program_update(b->tb, &b->p);
	b->job.sqe = b->sqe;
	memcpy(b->job.samples, b->samples, sizeof(b->samples));
}

/* Submits the job as it is now; returns its status, -1 if it does not end. */
static int run(struct bench *b, unsigned int q)
{
	b->job.sqe.cookie = b->next_cookie++;
	b->tb->num_cqes = 0;
	tb_submit(b->tb, q, &b->job.sqe);
	tb_run(b->tb);
	return tb_status(b->tb, b->job.sqe.cookie);
}

/*
 * The job as it is now, with a correct NOP behind it, must end with @status, and the
 * NOP must wait until the queue is resumed.
 */
static void expect(struct bench *b, int status, const char *what)
{
	struct fluidnpu_hw_sqe nop = tb_nop(0);
	struct tb *tb = b->tb;
	int got;

	tb_program_update(tb, &b->p);
	b->job.sqe.cookie = b->next_cookie++;
	nop.cookie = b->next_cookie++;
	tb->num_cqes = 0;
	tb_push(tb, 0, &b->job.sqe);
	tb_push(tb, 0, &nop);
	tb_doorbell(tb, 0);
	tb_run(tb);
	got = tb_status(tb, b->job.sqe.cookie);
	if (got != status)
		fail_msg("%s: status %d instead of %d", what, got, status);
	assert_int_equal(tb_read(tb, FLUIDNPU_REG_STATUS), FLUIDNPU_STATUS_READY);
	if (status != FLUIDNPU_OK) {
		assert_int_equal(tb_queue_status(tb, 0),
				 FLUIDNPU_QSTATUS_ENABLED | FLUIDNPU_QSTATUS_HALTED);
		assert_int_equal(tb_status(tb, nop.cookie), -1);
		tb_queue_control(tb, 0, FLUIDNPU_QCTRL_RESUME);
		tb_run(tb);
	}
	assert_int_equal(tb_queue_status(tb, 0), FLUIDNPU_QSTATUS_ENABLED);
	assert_int_equal(tb_status(tb, nop.cookie), FLUIDNPU_OK);
}

/* Sets @member to @value, expects @status, and puts everything back. */
#define TRY(status, member, value)                       \
	do {                                             \
		__typeof__(member) *member_ = &(member); \
		*member_ = (value);                      \
		expect(b, status, #member " = " #value); \
		restore(b);                              \
	} while (0)

/* --- submission queue entries and sample tables ------------------------------------- */

static void test_correct_job_runs(void **state)
{
	struct bench *b = *state;

	expect(b, FLUIDNPU_OK, "nothing changed");
}

static void test_sqe_fields_out_of_range(void **state)
{
	struct bench *b = *state;

	for (unsigned int op = FLUIDNPU_OP_YIELD + 1; op < 256; op++)
		TRY(FLUIDNPU_ERR_OPCODE, b->job.sqe.opcode, op);
	for (unsigned int bit = 1; bit < 8; bit++)
		TRY(FLUIDNPU_ERR_SQE, b->job.sqe.flags, 1 << bit);
	TRY(FLUIDNPU_ERR_SQE, b->job.sqe.as_id, FLUIDNPU_MAX_AS);
	TRY(FLUIDNPU_ERR_SQE, b->job.sqe.as_id, 65535);
	TRY(FLUIDNPU_ERR_SQE, b->job.sqe.num_samples, 0);
	TRY(FLUIDNPU_ERR_SQE, b->job.sqe.num_samples, FLUIDNPU_MAX_BATCH + 1);
	TRY(FLUIDNPU_ERR_SQE, b->job.sqe.num_samples, UINT32_MAX);
	for (unsigned int i = 0; i < 2; i++)
		TRY(FLUIDNPU_ERR_SQE, b->job.sqe.reserved[i], 1ull << 63);
	TRY(FLUIDNPU_ERR_SQE, b->job.sqe.target, 1);
	TRY(FLUIDNPU_ERR_SQE, b->job.sqe.program_iova, b->sqe.program_iova + 32);
	TRY(FLUIDNPU_ERR_DMA, b->job.sqe.samples_addr, 0);
	TRY(FLUIDNPU_ERR_DMA, b->job.sqe.samples_addr, UINT64_MAX - 63);
	TRY(FLUIDNPU_ERR_DMA, b->job.sqe.samples_addr, TB_BUS_BASE + TB_BUS_BYTES - 64);
	TRY(FLUIDNPU_ERR_PROGRAM, b->job.sqe.program_bytes, b->header.total_bytes - 1);
	TRY(FLUIDNPU_ERR_PROGRAM, b->job.sqe.program_bytes, 0);
	TRY(FLUIDNPU_OK, b->job.sqe.program_bytes, UINT32_MAX);
}

static void test_nop_with_more_than_nothing(void **state)
{
	struct bench *b = *state;

	b->job.sqe.opcode = FLUIDNPU_OP_NOP;
	expect(b, FLUIDNPU_ERR_SQE, "NOP with samples");
	b->job.sqe.num_samples = 0;
	b->job.sqe.stop_layer = 1;
	expect(b, FLUIDNPU_ERR_SQE, "NOP with a layer to stop at");
	b->job.sqe.stop_layer = 0;
	expect(b, FLUIDNPU_OK, "NOP");
}

static void test_sample_fields_out_of_range(void **state)
{
	struct bench *b = *state;

	for (unsigned int i = 0; i < 3; i++) {
		TRY(FLUIDNPU_ERR_SQE, b->job.samples[i].start_layer, 11);
		TRY(FLUIDNPU_ERR_SQE, b->job.samples[i].start_layer, UINT32_MAX);
		TRY(FLUIDNPU_ERR_SQE, b->job.samples[i].start_layer, 3); /* not the others' */
		for (unsigned int j = 0; j < 4; j++)
			TRY(FLUIDNPU_ERR_SQE, b->job.samples[i].reserved[j], 1);
	}
	for (unsigned int i = 0; i < 3; i++)
		b->job.samples[i].start_layer = 11;
	expect(b, FLUIDNPU_ERR_SQE, "all start beyond the last layer");
	restore(b);
	for (unsigned int i = 0; i < 3; i++)
		b->job.samples[i].start_layer = 2;
	expect(b, FLUIDNPU_ERR_LAYER, "start inside a group");
}

/* --- programs -------------------------------------------------------------------- */

static void test_header_fields_out_of_range(void **state)
{
	struct bench *b = *state;

	TRY(FLUIDNPU_ERR_PROGRAM, b->p.header.magic, 0);
	TRY(FLUIDNPU_ERR_PROGRAM, b->p.header.version, 0);
	TRY(FLUIDNPU_ERR_PROGRAM, b->p.header.version, 2);
	TRY(FLUIDNPU_ERR_PROGRAM, b->p.header.total_bytes, b->header.total_bytes + 1);
	TRY(FLUIDNPU_ERR_PROGRAM, b->p.header.total_bytes, 0);
	TRY(FLUIDNPU_ERR_PROGRAM, b->p.header.num_layers, 0);
	TRY(FLUIDNPU_ERR_PROGRAM, b->p.header.num_layers, FLUIDNPU_MAX_LAYERS + 1);
	TRY(FLUIDNPU_ERR_PROGRAM, b->p.header.num_layers, UINT32_MAX);
	TRY(FLUIDNPU_ERR_PROGRAM, b->p.header.num_exits, 0);
	TRY(FLUIDNPU_ERR_PROGRAM, b->p.header.num_exits, FLUIDNPU_MAX_EXITS + 1);
	TRY(FLUIDNPU_ERR_PROGRAM, b->p.header.max_batch, 0);
	TRY(FLUIDNPU_ERR_PROGRAM, b->p.header.max_batch, FLUIDNPU_MAX_BATCH + 1);
	TRY(FLUIDNPU_ERR_PROGRAM, b->p.header.max_batch, UINT32_MAX);
	TRY(FLUIDNPU_ERR_SQE, b->p.header.max_batch, 2); /* three samples */
	for (unsigned int i = 0; i < 5; i++)
		TRY(FLUIDNPU_ERR_PROGRAM, b->p.header.reserved[i], 1);
}

/* tb_program_update() needs offsets it knows, so these go to memory directly. */
static void test_header_offsets_out_of_range(void **state)
{
	struct bench *b = *state;
	struct fluidnpu_hw_program *h = tb_ptr(b->tb, b->p.addr, sizeof(*h));
	const uint32_t total = b->header.total_bytes;
	const uint32_t bad_layers[] = { total, total - 11 * 128 + 1, UINT32_MAX, UINT32_MAX - 127 };
	const uint32_t bad_control[] = { total, total - 11 * 64 + 1, UINT32_MAX, UINT32_MAX - 63 };

	for (unsigned int i = 0; i < 4; i++) {
		h->layers_off = bad_layers[i];
		assert_int_equal(run(b, 0), FLUIDNPU_ERR_PROGRAM);
		tb_queue_control(b->tb, 0, FLUIDNPU_QCTRL_RESUME);
		restore(b);
		h->control_off = bad_control[i];
		assert_int_equal(run(b, 0), FLUIDNPU_ERR_PROGRAM);
		tb_queue_control(b->tb, 0, FLUIDNPU_QCTRL_RESUME);
		restore(b);
	}
	assert_int_equal(run(b, 0), FLUIDNPU_OK);
}

static void test_any_layer_fields_out_of_range(void **state)
{
	struct bench *b = *state;
	const uint32_t state_bytes = b->header.state_bytes;

	for (unsigned int op = 0; op < 256; op++)
		if (op < 1 || op > 6)
			TRY(FLUIDNPU_ERR_LAYER, b->p.layers[0].op, op);
	TRY(FLUIDNPU_ERR_LAYER, b->p.layers[0].flags, FLUIDNPU_LAYER_FUSED); /* with what? */
	for (unsigned int bit = 3; bit < 8; bit++)
		TRY(FLUIDNPU_ERR_LAYER, b->p.layers[3].flags, 1 << bit);
	for (unsigned int i = 0; i < 3; i++)
		TRY(FLUIDNPU_ERR_LAYER, b->p.layers[1].reserved0[i], 1);
	for (unsigned int i = 0; i < sizeof(b->p.layers[1].reserved); i++)
		TRY(FLUIDNPU_ERR_LAYER, b->p.layers[1].reserved[i], 1);
	b->p.layers[1].clamp_min = 1;
	TRY(FLUIDNPU_ERR_LAYER, b->p.layers[1].clamp_max, 0);

	/* 8 x 8 x 8 in layers 1 and 2, 8 x 8 x 3 of input */
	TRY(FLUIDNPU_OK, b->p.layers[1].in_off, state_bytes - 512);
	TRY(FLUIDNPU_ERR_LAYER, b->p.layers[1].in_off, state_bytes - 511);
	TRY(FLUIDNPU_ERR_LAYER, b->p.layers[1].in_off, UINT32_MAX - 1);
	TRY(FLUIDNPU_ERR_LAYER, b->p.layers[1].in_off, FLUIDNPU_TENSOR_INPUT); /* too small */
	TRY(FLUIDNPU_OK, b->p.layers[1].out_off, state_bytes - 512);
	TRY(FLUIDNPU_ERR_LAYER, b->p.layers[1].out_off, state_bytes - 511);
	TRY(FLUIDNPU_ERR_LAYER, b->p.layers[1].out_off, FLUIDNPU_TENSOR_INPUT);
	TRY(FLUIDNPU_ERR_LAYER, b->p.layers[2].in2_off, state_bytes - 511);
	TRY(FLUIDNPU_ERR_LAYER, b->p.layers[2].in2_off, FLUIDNPU_TENSOR_INPUT);
	TRY(FLUIDNPU_ERR_LAYER, b->p.header.state_bytes, 1023);
	TRY(FLUIDNPU_ERR_LAYER, b->p.header.input_bytes, 191);
}

static void test_shape_fields_out_of_range(void **state)
{
	static const unsigned int layers[] = { 0, 1, 2, 3, 6, 7 }; /* conv, add, pools */
	struct bench *b = *state;

	for (unsigned int i = 0; i < 6; i++) {
		struct fluidnpu_hw_layer *l = &b->p.layers[layers[i]];

		TRY(FLUIDNPU_ERR_LAYER, l->in_h, 0);
		TRY(FLUIDNPU_ERR_LAYER, l->in_w, 0);
		TRY(FLUIDNPU_ERR_LAYER, l->in_c, 0);
		TRY(FLUIDNPU_ERR_LAYER, l->out_h, 0);
		TRY(FLUIDNPU_ERR_LAYER, l->out_w, 0);
		TRY(FLUIDNPU_ERR_LAYER, l->out_c, 0);
		TRY(FLUIDNPU_ERR_LAYER, l->in_h, 65535);
		TRY(FLUIDNPU_ERR_LAYER, l->in_w, 65535);
		TRY(FLUIDNPU_ERR_LAYER, l->in_c, 65535);
		TRY(FLUIDNPU_ERR_LAYER, l->out_h, 65535);
		TRY(FLUIDNPU_ERR_LAYER, l->out_w, 65535);
		TRY(FLUIDNPU_ERR_LAYER, l->out_c, 65535);
		TRY(FLUIDNPU_ERR_LAYER, l->out_h, l->out_h + 1);
		TRY(FLUIDNPU_ERR_LAYER, l->out_w, l->out_w + 1);
	}
	/* 65535^2 * 65535 elements: products must not wrap */
	b->p.layers[3].in_h = b->p.layers[3].in_w = 65535;
	b->p.layers[3].in_c = b->p.layers[3].out_c = 65535;
	expect(b, FLUIDNPU_ERR_LAYER, "the largest tensor there is");
	restore(b);
	memset(&b->p.layers[3].in_off, 0xff, 48);
	expect(b, FLUIDNPU_ERR_LAYER, "all ones");
}

static void test_window_fields_out_of_range(void **state)
{
	static const unsigned int layers[] = { 0, 1, 3, 6, 7 };
	struct bench *b = *state;

	for (unsigned int i = 0; i < 5; i++) {
		struct fluidnpu_hw_layer *l = &b->p.layers[layers[i]];

		TRY(FLUIDNPU_ERR_LAYER, l->kernel_h, 0);
		TRY(FLUIDNPU_ERR_LAYER, l->kernel_w, 0);
		TRY(FLUIDNPU_ERR_LAYER, l->kernel_h, 255);
		TRY(FLUIDNPU_ERR_LAYER, l->kernel_w, 255);
		TRY(FLUIDNPU_ERR_LAYER, l->stride_h, 0);
		TRY(FLUIDNPU_ERR_LAYER, l->stride_w, 0);
		TRY(FLUIDNPU_ERR_LAYER, l->pad_t, 255);
		TRY(FLUIDNPU_ERR_LAYER, l->pad_l, 255);
		TRY(FLUIDNPU_ERR_LAYER, l->pad_b, 255);
		TRY(FLUIDNPU_ERR_LAYER, l->pad_r, 255);
	}
	TRY(FLUIDNPU_ERR_LAYER, b->p.layers[0].dilation_h, 0);
	TRY(FLUIDNPU_ERR_LAYER, b->p.layers[0].dilation_w, 0);
	TRY(FLUIDNPU_ERR_LAYER, b->p.layers[0].dilation_h, 255);
	TRY(FLUIDNPU_ERR_LAYER, b->p.layers[0].groups, 0);
	TRY(FLUIDNPU_ERR_LAYER, b->p.layers[0].groups, 2); /* does not divide 3 */
	TRY(FLUIDNPU_ERR_LAYER, b->p.layers[0].groups, 65535);
	TRY(FLUIDNPU_ERR_LAYER, b->p.layers[3].out_c, 4); /* pools keep channels */
}

/* Such a window has no element to average. */
static void test_pool_window_in_the_padding_alone(void **state)
{
	struct bench *b = *state;
	struct fluidnpu_hw_program roomy = { .state_bytes = UINT32_MAX };

	for (unsigned int side = 0; side < 4; side++) {
		struct fluidnpu_hw_layer l = b->layers[7]; /* 4 x 4, windows of 2 x 2 */
		uint8_t *pad = (uint8_t *[]){ &l.pad_t, &l.pad_b, &l.pad_l, &l.pad_r }[side];

		*pad = 1;
		assert_true(fnpu_layer_valid(&roomy, &l)); /* the last row is left out */
		*pad = 2;
		*(side < 2 ? &l.out_h : &l.out_w) = 3;
		assert_false(fnpu_layer_valid(&roomy, &l));
	}
}

static void test_program_offsets_out_of_range(void **state)
{
	struct bench *b = *state;
	const uint32_t total = b->header.total_bytes;

	TRY(FLUIDNPU_OK, b->p.layers[1].weights_off, total - 576);
	TRY(FLUIDNPU_ERR_LAYER, b->p.layers[1].weights_off, total - 575);
	TRY(FLUIDNPU_ERR_LAYER, b->p.layers[1].weights_off, UINT32_MAX);
	TRY(FLUIDNPU_ERR_LAYER, b->p.layers[1].bias_off, total - 31);
	TRY(FLUIDNPU_ERR_LAYER, b->p.layers[1].scale_off, total - 31);
	TRY(FLUIDNPU_OK, b->p.layers[1].scale_off, 1); /* numbers are just numbers */
}

static void test_exit_fields_out_of_range(void **state)
{
	struct bench *b = *state;
	struct fluidnpu_hw_layer *l = &b->p.layers[5];

	TRY(FLUIDNPU_ERR_LAYER, l->exit_index, 2);
	TRY(FLUIDNPU_ERR_LAYER, l->exit_index, 255);
	TRY(FLUIDNPU_ERR_LAYER, l->exit_criterion, 3);
	TRY(FLUIDNPU_ERR_LAYER, l->exit_criterion, 255);
	TRY(FLUIDNPU_ERR_LAYER, l->in_h, 2);
	TRY(FLUIDNPU_ERR_LAYER, l->in_w, 2);
	TRY(FLUIDNPU_ERR_LAYER, l->in_c, 21); /* beyond logits_bytes */
	TRY(FLUIDNPU_ERR_LAYER, l->logits_off, 11);
	TRY(FLUIDNPU_ERR_LAYER, l->logits_off, UINT32_MAX);
	TRY(FLUIDNPU_ERR_LAYER, b->p.header.logits_bytes, 9);
	TRY(FLUIDNPU_ERR_LAYER, l->scale_in, 0);
	TRY(FLUIDNPU_ERR_LAYER, l->scale_in, 0x7f800000); /* infinity */
	TRY(FLUIDNPU_ERR_LAYER, l->scale_in, 0x7fc00000); /* NaN */
	TRY(FLUIDNPU_ERR_LAYER, l->scale_in, 0xbf800000); /* -1 */
	TRY(FLUIDNPU_OK, l->threshold, 0x7fc00000); /* nobody reaches a NaN */
	b->p.header.state_bytes = b->p.header.logits_bytes = 8192;
	TRY(FLUIDNPU_ERR_LAYER, l->in_c, FLUIDNPU_MAX_CLASSES + 1);
}

static void test_network_must_end_with_an_exit(void **state)
{
	struct bench *b = *state;

	TRY(FLUIDNPU_ERR_LAYER, b->p.header.num_layers, 10);
	b->p.layers[6].flags = FLUIDNPU_LAYER_FUSED; /* behind the head in layer 5 */
	expect(b, FLUIDNPU_ERR_LAYER, "a layer fused with a head");
}

static void test_two_matrix_layers_are_not_fused(void **state)
{
	struct bench *b = *state;

	TRY(FLUIDNPU_ERR_LAYER, b->p.layers[1].flags, FLUIDNPU_LAYER_FUSED);
	TRY(FLUIDNPU_ERR_LAYER, b->p.layers[9].flags, FLUIDNPU_LAYER_FUSED);
}

static void test_exit_indices_grow_with_depth(void **state)
{
	struct bench *b = *state;

	TRY(FLUIDNPU_ERR_LAYER, b->p.layers[10].exit_index, 0);
	TRY(FLUIDNPU_ERR_LAYER, b->p.layers[5].exit_index, 1); /* then 1 again */
}

static void test_group_longer_than_the_device_fuses(void **state)
{
	struct bench *b = *state;

	for (unsigned int i = 1; i < 11; i++) {
		b->p.layers[i] = b->layers[2];
		b->p.layers[i].flags = FLUIDNPU_LAYER_FUSED;
	}
	expect(b, FLUIDNPU_ERR_LAYER, "eleven fused layers");
}

/* What would keep the host busy or eat its memory is refused; mapping cannot make up for it. */
static void test_immense_layers_are_refused(void **state)
{
	struct bench *b = *state;
	struct fluidnpu_hw_program roomy = {
		.total_bytes = UINT32_MAX,
		.input_bytes = UINT32_MAX,
		.state_bytes = UINT32_MAX,
	};
	struct fluidnpu_hw_layer l = b->layers[0];

	l.in_h = l.in_w = l.out_h = l.out_w = 1; /* 2^32 weights */
	l.pad_t = l.pad_l = l.pad_b = l.pad_r = 0;
	l.kernel_h = l.kernel_w = 1;
	l.in_c = l.out_c = 65535;
	assert_false(fnpu_layer_valid(&roomy, &l));
	l.in_c = 25088; /* VGG-16's largest is fine */
	l.out_c = 4096;
	assert_true(fnpu_layer_valid(&roomy, &l));

	l = b->layers[0]; /* 2^46 multiplications */
	l.in_h = l.out_h = l.in_w = l.out_w = 2048;
	l.in_c = l.out_c = 16;
	l.kernel_h = l.kernel_w = 255;
	l.pad_t = l.pad_l = l.pad_b = l.pad_r = 127;
	assert_false(fnpu_layer_valid(&roomy, &l));

	l = b->layers[0]; /* depthwise, padded to 16 channels each */
	l.in_h = l.out_h = l.in_w = l.out_w = 32;
	l.in_c = l.out_c = l.groups = 65535;
	assert_false(fnpu_layer_valid(&roomy, &l));
	l.in_h = l.out_h = l.in_w = l.out_w = 16;
	assert_true(fnpu_layer_valid(&roomy, &l));

	l = b->layers[0]; /* 64 KiB, padded to 17 GiB of int16 */
	l.in_h = l.in_w = l.kernel_h = l.kernel_w = 1;
	l.in_c = 65535;
	l.pad_t = l.pad_b = l.pad_l = l.pad_r = l.stride_h = l.stride_w = 255;
	l.out_h = l.out_w = 3;
	assert_false(fnpu_layer_valid(&roomy, &l));
	l.in_c = 256;
	assert_true(fnpu_layer_valid(&roomy, &l));

	l = b->layers[3]; /* 2^28 outputs of 65,025 inputs each */
	l.in_h = l.in_w = 4096;
	l.out_h = l.out_w = 4096 - 254;
	l.kernel_h = l.kernel_w = 255;
	l.stride_h = l.stride_w = 1;
	l.in_c = l.out_c = 16;
	assert_false(fnpu_layer_valid(&roomy, &l));
}

/* Two layers that the device runs one after the other, but not fused. */
static void test_immense_groups_are_refused(void **state)
{
	struct bench *b = *state;
	struct fluidnpu_hw_layer *l = b->p.layers;

	b->p.header.state_bytes = 1 << 20; /* none of them computes: the state is not all there */
	l[0].op = FLUIDNPU_LAYER_MAXPOOL; /* 275 million elements of windows */
	l[0].in_off = l[0].out_off = 0;
	l[0].in_h = l[0].in_w = 319;
	l[0].out_h = l[0].out_w = 65;
	l[0].in_c = l[0].out_c = 1;
	l[0].kernel_h = l[0].kernel_w = 255;
	l[0].pad_t = l[0].pad_l = l[0].pad_b = l[0].pad_r = 0;
	l[1] = l[0];
	expect(b, FLUIDNPU_ERR_MMU_FAULT, "an immense layer");
	l[1].flags = FLUIDNPU_LAYER_FUSED;
	expect(b, FLUIDNPU_ERR_LAYER, "an immense group");
}

static void test_policies_out_of_range(void **state)
{
	struct bench *b = *state;

	TRY(FLUIDNPU_ERR_POLICY, b->p.policies[0][2].n, 0);
	TRY(FLUIDNPU_ERR_POLICY, b->p.policies[0][2].n, 4);
	TRY(FLUIDNPU_ERR_POLICY, b->p.policies[0][2].b_r, 0);
	TRY(FLUIDNPU_ERR_POLICY, b->p.policies[0][2].b_r, 2);
	TRY(FLUIDNPU_ERR_POLICY, b->p.policies[0][2].b_p, 0);
	TRY(FLUIDNPU_ERR_POLICY, b->p.policies[0][2].b_p, 2);
	TRY(FLUIDNPU_ERR_POLICY, b->p.policies[0][2].k, 0);
	TRY(FLUIDNPU_ERR_POLICY, b->p.policies[0][2].k, 3);
	TRY(FLUIDNPU_ERR_POLICY, b->p.policies[0][2].k, 16);
	TRY(FLUIDNPU_OK, b->p.policies[0][3].n, 0); /* not used */
	TRY(FLUIDNPU_OK, b->p.policies[2][2].n, 0); /* of a fused layer: not used */
	b->p.policies[0][2].n = 1; /* a pass of 1, then the bad entry of 2 */
	TRY(FLUIDNPU_ERR_POLICY, b->p.policies[0][1].k, 0);
}

static void test_error_names_the_layer(void **state)
{
	struct bench *b = *state;
	struct tb *tb = b->tb;

	b->p.layers[6].op = 0;
	tb_program_update(tb, &b->p);
	assert_int_equal(run(b, 1), FLUIDNPU_ERR_LAYER);
	assert_int_equal(tb_job_cqe(tb, b->job.sqe.cookie)->layer, 6);
	assert_int_equal(tb_job_cqe(tb, b->job.sqe.cookie)->live_batch, 3);
	assert_int_equal(tb_job_cqe(tb, b->job.sqe.cookie)->queue, 1);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_JOB_ERRORS), 1);
	/* the other queue goes on */
	restore(b);
	assert_int_equal(run(b, 0), FLUIDNPU_OK);
}

/* Descriptors are read when their group starts: a change in between is seen, and checked. */
static void test_program_that_changes_while_it_runs(void **state)
{
	struct bench *b = *state;
	struct tb *tb = b->tb;

	b->job.sqe.cookie = 77;
	tb_submit(tb, 0, &b->job.sqe);
	tb_step(tb);
	b->p.layers[3].in_off = UINT32_MAX - 5;
	b->p.header.num_layers = UINT32_MAX; /* read once: not seen any more */
	memcpy(tb_ptr(tb, b->p.addr, 64), &b->p.header, 64);
	memcpy(tb_ptr(tb, b->p.addr + b->header.layers_off + 3 * 128, 128), &b->p.layers[3], 128);
	tb_run(tb);
	assert_int_equal(tb_status(tb, 77), FLUIDNPU_ERR_LAYER);
	assert_int_equal(tb_job_cqe(tb, 77)->layer, 3);
}

/* --- the MMU --------------------------------------------------------------------- */

static uint64_t fault_iova(const struct fluidnpu_hw_cqe *cqe)
{
	return (uint64_t)cqe->fault_iova_hi << 32 | cqe->fault_iova_lo;
}

/* The job must fault at @iova; queue 0 is resumed. */
static void expect_fault(struct bench *b, int status, uint64_t iova, bool write)
{
	uint64_t faults = tb_counter(b->tb, FLUIDNPU_CNT_MMU_FAULTS);
	const struct fluidnpu_hw_cqe *cqe;

	assert_int_equal(run(b, 0), status);
	cqe = tb_job_cqe(b->tb, b->job.sqe.cookie);
	assert_true(fault_iova(cqe) == iova);
	assert_int_equal(cqe->fault_write, write);
	assert_int_equal(tb_counter(b->tb, FLUIDNPU_CNT_MMU_FAULTS),
			 faults + (status == FLUIDNPU_ERR_MMU_FAULT));
	tb_queue_control(b->tb, 0, FLUIDNPU_QCTRL_RESUME);
}

static void test_unmapped_addresses_fault(void **state)
{
	struct bench *b = *state;

	b->job.sqe.program_iova = 0;
	expect_fault(b, FLUIDNPU_ERR_MMU_FAULT, 0, false);
	restore(b);
	b->job.samples[1].input_iova = 0x7000000123ull;
	expect_fault(b, FLUIDNPU_ERR_MMU_FAULT, 0x7000000123ull, false);
	restore(b);
	b->job.samples[2].state_iova = 0x1000;
	expect_fault(b, FLUIDNPU_ERR_MMU_FAULT, 0x1000, true);
	restore(b);
	b->job.samples[0].logits_iova = 0x2000;
	expect_fault(b, FLUIDNPU_ERR_MMU_FAULT, 0x2000, true);
	restore(b);
	assert_int_equal(run(b, 0), FLUIDNPU_OK);
}

static void test_addresses_beyond_39_bits_fault(void **state)
{
	struct bench *b = *state;

	/* the same low 39 bits as memory that is mapped */
	b->job.samples[0].input_iova += 1ull << 39;
	expect_fault(b, FLUIDNPU_ERR_MMU_FAULT, b->job.samples[0].input_iova, false);
	restore(b);
	b->job.sqe.program_iova += 1ull << 63;
	expect_fault(b, FLUIDNPU_ERR_MMU_FAULT, b->job.sqe.program_iova, false);
	restore(b);
	b->job.samples[0].state_iova = UINT64_MAX - 100; /* wraps */
	expect_fault(b, FLUIDNPU_ERR_MMU_FAULT, UINT64_MAX - 100, true);
	restore(b);
	b->job.samples[0].logits_iova = UINT64_MAX;
	expect_fault(b, FLUIDNPU_ERR_MMU_FAULT, UINT64_MAX, true);
}

static void test_last_page_of_the_address_space_works(void **state)
{
	struct bench *b = *state;
	const uint64_t last = (1ull << 39) - 4096;
	uint64_t addr = tb_alloc(b->tb, 4096, 4096);

	*tb_pte(b->tb, TB_AS, last) = addr | FLUIDNPU_PTE_VALID;
	b->job.samples[0].input_iova = last + 4096 - 192; /* to the last byte */
	assert_int_equal(run(b, 0), FLUIDNPU_OK);
	b->job.samples[0].input_iova++; /* and over it */
	expect_fault(b, FLUIDNPU_ERR_MMU_FAULT, 1ull << 39, false);
}

static void test_read_only_pages_are_not_written(void **state)
{
	struct bench *b = *state;
	uint64_t *pte = tb_pte(b->tb, TB_AS, b->samples[1].state_iova);

	*pte &= ~FLUIDNPU_PTE_WRITE;
	memset(b->job.states[1], 0x33, b->header.state_bytes);
	expect_fault(b, FLUIDNPU_ERR_MMU_FAULT, b->samples[1].state_iova, true);
	for (unsigned int i = 0; i < b->header.state_bytes; i++)
		assert_int_equal(b->job.states[1][i], 0x33);
	/* the same from the TLB, with the read that loaded it before */
	b->job.samples[1].input_iova = b->samples[1].state_iova;
	expect_fault(b, FLUIDNPU_ERR_MMU_FAULT, b->samples[1].state_iova, true);
}

static void test_disabled_address_space_faults(void **state)
{
	struct bench *b = *state;

	assert_int_equal(run(b, 0), FLUIDNPU_OK);
	tb_as_command(b->tb, TB_AS, FLUIDNPU_AS_CMD_DISABLE); /* cached translations, too */
	expect_fault(b, FLUIDNPU_ERR_MMU_FAULT, b->sqe.program_iova, false);
	b->job.sqe.as_id = TB_AS + 1; /* never enabled */
	expect_fault(b, FLUIDNPU_ERR_MMU_FAULT, b->sqe.program_iova, false);
}

static void test_disable_in_mid_job_faults_at_the_next_access(void **state)
{
	struct bench *b = *state;

	b->job.sqe.cookie = 5;
	tb_submit(b->tb, 0, &b->job.sqe);
	tb_step(b->tb);
	tb_as_command(b->tb, TB_AS, FLUIDNPU_AS_CMD_DISABLE);
	tb_run(b->tb);
	assert_int_equal(tb_status(b->tb, 5), FLUIDNPU_ERR_MMU_FAULT);
	assert_int_equal(tb_job_cqe(b->tb, 5)->layer, 3); /* {1, 2} had been read */
}

/* When AS_CMD returns, the driver may free what was mapped. */
static void test_as_command_waits_for_accesses_under_way(void **state)
{
	struct bench *b = *state;
	struct tb *tb = b->tb;

	tb->worker = TB_DEFERRED; /* computes when it is waited for, not before */
	b->job.sqe.cookie = 6;
	for (uint32_t command = FLUIDNPU_AS_CMD_ENABLE; command <= FLUIDNPU_AS_CMD_FLUSH;
	     command++) {
		tb_submit(tb, 0, &b->job.sqe);
		assert_int_equal(tb->works_done, tb->works_started - 1);
		tb_as_command(tb, TB_AS, command);
		assert_int_equal(tb->works_done, tb->works_started);
		if (command == FLUIDNPU_AS_CMD_DISABLE)
			tb_as_command(tb, TB_AS, FLUIDNPU_AS_CMD_ENABLE);
		tb->num_cqes = 0;
		tb_run(tb);
		assert_int_equal(tb_status(tb, 6), FLUIDNPU_OK);
	}
}

static void test_tables_outside_of_memory_are_bus_errors(void **state)
{
	struct bench *b = *state;
	uint64_t *root = tb_ptr(b->tb, b->tb->roots[TB_AS], 4096);
	uint64_t *leaf = tb_pte(b->tb, TB_AS, b->samples[0].input_iova);
	uint64_t entry, good_leaf = *leaf;
	unsigned int index = b->samples[0].input_iova >> 30 & 511;

	*leaf = 0x000f00000000000ull | FLUIDNPU_PTE_VALID; /* a page */
	expect_fault(b, FLUIDNPU_ERR_DMA, b->samples[0].input_iova, false);
	*leaf = good_leaf;
	tb_as_command(b->tb, TB_AS, FLUIDNPU_AS_CMD_FLUSH);

	entry = root[index]; /* a table */
	root[index] = 0x7ffffffff000ull | FLUIDNPU_PTE_VALID;
	expect_fault(b, FLUIDNPU_ERR_DMA, b->sqe.program_iova, false);
	root[index] = entry;
	assert_int_equal(run(b, 0), FLUIDNPU_OK);

	tb_write(b->tb, FLUIDNPU_REG_AS_ROOT_LO, 0xfffff000); /* the root */
	tb_write(b->tb, FLUIDNPU_REG_AS_ROOT_HI, 0xffffffff);
	tb_as_command(b->tb, TB_AS, FLUIDNPU_AS_CMD_ENABLE);
	expect_fault(b, FLUIDNPU_ERR_DMA, b->sqe.program_iova, false);
}

static void test_table_that_points_to_itself_ends(void **state)
{
	struct bench *b = *state;
	uint64_t root = b->tb->roots[TB_AS];
	uint64_t *entries = tb_ptr(b->tb, root, 4096);

	for (unsigned int i = 0; i < 512; i++)
		entries[i] = root | FLUIDNPU_PTE_VALID | FLUIDNPU_PTE_WRITE;
	/* all addresses are now the root table, so it is read as a program */
	assert_int_equal(run(b, 0), FLUIDNPU_ERR_PROGRAM);
	assert_int_equal(tb_read(b->tb, FLUIDNPU_REG_STATUS), FLUIDNPU_STATUS_READY);
}

static void test_tlb_is_stale_until_flushed(void **state)
{
	struct bench *b = *state;
	struct ref_head heads[FLUIDNPU_MAX_EXITS];
	int8_t *fresh, state_buffer[4096], logits[20];
	uint64_t addr = tb_alloc(b->tb, 4096, 4096);
	uint64_t *pte = tb_pte(b->tb, TB_AS, b->samples[0].input_iova);
	struct tb_rng rng = { 31 };

	assert_int_equal(run(b, 0), FLUIDNPU_OK);
	fresh = tb_ptr(b->tb, addr, 4096);
	tb_codes(&rng, fresh, 192, false);
	*pte = addr | FLUIDNPU_PTE_VALID;

	/* no flush: still the old page */
	assert_int_equal(run(b, 0), FLUIDNPU_OK);
	ref_run(&b->p, 0, 11, b->job.inputs[0], state_buffer, logits, heads);
	assert_memory_equal(b->job.logits[0], logits, 20);

	/* flush of another address space: nothing changes */
	tb_as_command(b->tb, TB_AS + 1, FLUIDNPU_AS_CMD_FLUSH);
	assert_int_equal(run(b, 0), FLUIDNPU_OK);
	assert_memory_equal(b->job.logits[0], logits, 20);

	tb_as_command(b->tb, TB_AS, FLUIDNPU_AS_CMD_FLUSH);
	assert_int_equal(run(b, 0), FLUIDNPU_OK);
	ref_run(&b->p, 0, 11, fresh, state_buffer, logits, heads);
	assert_memory_equal(b->job.logits[0], logits, 20);

	*pte = 0; /* and unmapping is seen after a flush as well */
	assert_int_equal(run(b, 0), FLUIDNPU_OK);
	tb_as_command(b->tb, TB_AS, FLUIDNPU_AS_CMD_FLUSH);
	expect_fault(b, FLUIDNPU_ERR_MMU_FAULT, b->samples[0].input_iova, false);
}

/* The same iova in two address spaces is two places. */
static void test_address_spaces_are_separate(void **state)
{
	struct bench *b = *state;
	struct tb *tb = b->tb;
	struct ref_head heads[FLUIDNPU_MAX_EXITS];
	int8_t state_buffer[4096], logits[2][20], *other_input;
	uint64_t input;

	tb_as_enable(tb, TB_AS + 1);
	tb_map(tb, TB_AS + 1, b->p.addr, b->header.total_bytes, false);
	for (unsigned int i = 0; i < 3; i++) {
		tb_map(tb, TB_AS + 1, b->samples[i].state_iova - TB_IOVA_OFFSET, 4096, true);
		tb_map(tb, TB_AS + 1, b->samples[i].logits_iova - TB_IOVA_OFFSET, 4096, true);
		tb_map(tb, TB_AS + 1, b->samples[i].input_iova - TB_IOVA_OFFSET, 4096, false);
	}
	input = tb_alloc(tb, 4096, 4096);
	other_input = tb_ptr(tb, input, 4096);
	memset(other_input, 55, 192);
	*tb_pte(tb, TB_AS + 1, b->samples[0].input_iova) = input | FLUIDNPU_PTE_VALID;

	ref_run(&b->p, 0, 11, b->job.inputs[0], state_buffer, logits[0], heads);
	ref_run(&b->p, 0, 11, other_input, state_buffer, logits[1], heads);
	assert_memory_not_equal(logits[0], logits[1], 20);
	for (unsigned int i = 0; i < 6; i++) {
		b->job.sqe.as_id = TB_AS + i % 2;
		assert_int_equal(run(b, 0), FLUIDNPU_OK);
		assert_memory_equal(b->job.logits[0], logits[i % 2], 20);
	}
	b->job.sqe.as_id = TB_AS + 1;
	*tb_pte(tb, TB_AS + 1, b->samples[2].state_iova) = 0;
	tb_as_command(tb, TB_AS + 1, FLUIDNPU_AS_CMD_FLUSH);
	expect_fault(b, FLUIDNPU_ERR_MMU_FAULT, b->samples[2].state_iova, true);
	b->job.sqe.as_id = TB_AS;
	assert_int_equal(run(b, 0), FLUIDNPU_OK);
}

/* Every tensor across a page boundary, onto pages in any order. */
static void test_accesses_across_pages(void **state)
{
	struct bench *b = *state;
	struct tb *tb = b->tb;
	uint64_t pages = tb_alloc(tb, 8 * 4096, 4096), iova = 0x2000000000ull;
	struct ref_head heads[FLUIDNPU_MAX_EXITS];
	int8_t state_buffer[4096], logits[20];
	uint8_t *first, *second;

	for (unsigned int i = 0; i < 8; i++) /* neighbours in iova are not on the bus */
		*tb_pte(tb, TB_AS, iova + i * 4096) = (pages + (i * 3 % 8) * 4096) |
						      FLUIDNPU_PTE_VALID | FLUIDNPU_PTE_WRITE;
	b->job.samples[0].input_iova = iova + 4096 - 100;
	b->job.samples[0].state_iova = iova + 3 * 4096 - 777;
	b->job.samples[0].logits_iova = iova + 6 * 4096 - 3;
	memcpy(tb_ptr(tb, pages + 4096 - 100, 100), b->job.inputs[0], 100);
	memcpy(tb_ptr(tb, pages + 3 * 4096, 92), b->job.inputs[0] + 100, 92);
	assert_int_equal(run(b, 0), FLUIDNPU_OK);

	ref_run(&b->p, 0, 11, b->job.inputs[0], state_buffer, logits, heads);
	first = tb_ptr(tb, pages + (5 * 3 % 8) * 4096 + 4093, 3);
	second = tb_ptr(tb, pages + (6 * 3 % 8) * 4096, 17);
	assert_memory_equal(first, logits, 3);
	assert_memory_equal(second, logits + 3, 17);

	*tb_pte(tb, TB_AS, iova + 4096) = 0; /* the second half of the input */
	tb_as_command(tb, TB_AS, FLUIDNPU_AS_CMD_FLUSH);
	expect_fault(b, FLUIDNPU_ERR_MMU_FAULT, iova + 4096, false);
}

/* More pages than the TLB has entries, so that entries are replaced all the time. */
static void test_many_pages_alias_in_the_tlb(void **state)
{
	struct bench *b = *state;
	struct tb *tb = b->tb;
	struct ref_head heads[FLUIDNPU_MAX_EXITS];
	int8_t state_buffer[4096], logits[20];

	for (unsigned int i = 0; i < 3; i++) {
		uint64_t input = b->samples[i].input_iova, moved;

		/* 256 pages apart: the same TLB entry for all inputs */
		moved = 0x3000000000ull + i * (256ull << 12);
		*tb_pte(tb, TB_AS, moved) = *tb_pte(tb, TB_AS, input);
		b->job.samples[i].input_iova = moved;
	}
	for (unsigned int round = 0; round < 3; round++) {
		assert_int_equal(run(b, 0), FLUIDNPU_OK);
		for (unsigned int i = 0; i < 3; i++) {
			ref_run(&b->p, 0, 11, b->job.inputs[i], state_buffer, logits, heads);
			assert_memory_equal(b->job.logits[i], logits, 20);
		}
	}
}

static void test_fault_halts_only_its_queue(void **state)
{
	struct bench *b = *state;

	b->job.samples[0].state_iova = 0;
	assert_int_equal(run(b, 0), FLUIDNPU_ERR_MMU_FAULT);
	restore(b);
	assert_int_equal(run(b, 0), -1); /* waits */
	assert_int_equal(run(b, 1), FLUIDNPU_OK);
	b->tb->num_cqes = 0;
	tb_queue_control(b->tb, 0, FLUIDNPU_QCTRL_RESUME);
	tb_run(b->tb);
	assert_int_equal(tb_status(b->tb, b->next_cookie - 2), FLUIDNPU_OK);
}

static void test_samples_that_share_their_memory_do_no_harm(void **state)
{
	struct bench *b = *state;

	b->job.samples[1].state_iova = b->job.samples[0].state_iova;
	b->job.samples[2].logits_iova = b->job.samples[0].state_iova;
	b->job.samples[2].input_iova = b->job.samples[0].state_iova;
	assert_int_equal(run(b, 0), FLUIDNPU_OK);
}

/* --- rings ----------------------------------------------------------------------- */

/* Fatal once, with the error vector; a reset clears it and the device is as new. */
static void expect_fatal(struct bench *b)
{
	struct fluidnpu_hw_sqe nop = tb_nop(4242);
	struct tb *tb = b->tb;

	assert_int_equal(tb_read(tb, FLUIDNPU_REG_STATUS),
			 FLUIDNPU_STATUS_READY | FLUIDNPU_STATUS_FATAL);
	assert_int_equal(tb->interrupts[FLUIDNPU_VECTOR_ERROR], 1);
	tb_write(tb, FLUIDNPU_REG_CTRL, FLUIDNPU_CTRL_RESET);
	assert_int_equal(tb_read(tb, FLUIDNPU_REG_STATUS), FLUIDNPU_STATUS_READY);
	tb_cq_enable(tb, 64);
	tb_queue_enable(tb, 0, 16, 0);
	tb->num_cqes = 0;
	tb_submit(tb, 0, &nop);
	tb_run(tb);
	assert_int_equal(tb_status(tb, 4242), FLUIDNPU_OK);
	assert_int_equal(tb->interrupts[FLUIDNPU_VECTOR_ERROR], 1);
}

static void test_submission_ring_that_is_nowhere_is_fatal(void **state)
{
	struct bench *b = *state;

	tb_write(b->tb, FLUIDNPU_REG_QUEUE(0) + FLUIDNPU_QREG_BASE_HI, 0xdead);
	tb_queue_control(b->tb, 0, FLUIDNPU_QCTRL_ENABLE);
	assert_int_equal(tb_read(b->tb, FLUIDNPU_REG_STATUS), FLUIDNPU_STATUS_READY);
	tb_write(b->tb, FLUIDNPU_REG_DOORBELL(0), 1);
	expect_fatal(b);
}

static void test_completion_ring_that_is_nowhere_is_fatal(void **state)
{
	struct bench *b = *state;

	tb_write(b->tb, FLUIDNPU_REG_CQ_BASE_HI, 0xffffffff);
	tb_write(b->tb, FLUIDNPU_REG_CQ_ENTRIES, 64);
	tb_submit(b->tb, 0, &b->job.sqe);
	while (tb_step(b->tb))
		;
	expect_fatal(b);
}

static void test_fatal_device_starts_nothing(void **state)
{
	struct bench *b = *state;

	tb_write(b->tb, FLUIDNPU_REG_DOORBELL_CQ, 64);
	assert_int_equal(run(b, 0), -1);
	assert_int_equal(run(b, 1), -1);
	tb_queue_control(b->tb, 0, FLUIDNPU_QCTRL_ABORT);
	expect_fatal(b);
}

static void test_running_job_survives_fatal(void **state)
{
	struct bench *b = *state;

	tb_submit(b->tb, 0, &b->job.sqe);
	tb_step(b->tb);
	tb_write(b->tb, FLUIDNPU_REG_DOORBELL(1), 16);
	while (tb_step(b->tb)) /* its group ends, the next does not start */
		;
	expect_fatal(b);
}

static void test_doorbells_out_of_range_are_fatal(void **state)
{
	static const uint32_t regs[] = {
		FLUIDNPU_REG_DOORBELL(0),
		FLUIDNPU_REG_DOORBELL(1),
		FLUIDNPU_REG_DOORBELL_CQ,
	};
	static const uint32_t values[] = { 64, 65, 4096, 0x80000000, UINT32_MAX };

	for (unsigned int i = 0; i < 3 * 5; i++) {
		struct bench *b = *state;

		tb_write(b->tb, regs[i % 3], values[i / 3]);
		expect_fatal(b);
		bench_free(state);
		bench_new(state);
	}
}

static void test_bad_ring_sizes_are_fatal(void **state)
{
	static const uint32_t bad[] = { 0, 1, 3, 100, 8192, 0x80000000, UINT32_MAX };

	for (unsigned int i = 0; i < 14; i++) {
		struct bench *b = *state;

		if (i % 2) {
			tb_write(b->tb, FLUIDNPU_REG_QUEUE(0) + FLUIDNPU_QREG_ENTRIES, bad[i / 2]);
			tb_queue_control(b->tb, 0, FLUIDNPU_QCTRL_ENABLE);
			assert_int_equal(tb_queue_status(b->tb, 0), 0);
		} else {
			tb_write(b->tb, FLUIDNPU_REG_CQ_ENTRIES, bad[i / 2]);
		}
		expect_fatal(b);
		bench_free(state);
		bench_new(state);
	}
}

static void test_completion_ring_too_small_for_a_batch_is_fatal(void **state)
{
	struct bench *b = *state;

	tb_write(b->tb, FLUIDNPU_REG_CQ_ENTRIES, 32);
	expect_fatal(b);
}

static void test_doorbell_of_a_disabled_queue_is_ignored(void **state)
{
	struct bench *b = *state;

	tb_write(b->tb, FLUIDNPU_REG_DOORBELL(2), UINT32_MAX);
	tb_write(b->tb, FLUIDNPU_REG_DOORBELL(7), UINT32_MAX); /* there is none */
	assert_int_equal(tb_read(b->tb, FLUIDNPU_REG_STATUS), FLUIDNPU_STATUS_READY);
	assert_int_equal(run(b, 0), FLUIDNPU_OK);
}

static void test_sqe_garbage_in_a_whole_ring_ends(void **state)
{
	struct bench *b = *state;

	memset(tb_ptr(b->tb, b->tb->rings[0].base, 16 * 64), 0xff, 16 * 64);
	tb_write(b->tb, FLUIDNPU_REG_DOORBELL(0), 15);
	for (unsigned int i = 0; i < 15; i++) {
		assert_int_equal(tb_drain(b->tb, 100), 1);
		assert_int_equal(b->tb->cqes[i].status, FLUIDNPU_ERR_OPCODE);
		assert_true(b->tb->cqes[i].cookie == UINT64_MAX);
		tb_queue_control(b->tb, 0, FLUIDNPU_QCTRL_RESUME);
	}
	assert_int_equal(tb_drain(b->tb, 100), 0);
}

/* --- anything at all ------------------------------------------------------------- */

#define GARBAGE_ROUNDS 10000

/* A value that tends to be interesting. */
static uint64_t odd_value(struct bench *b, struct tb_rng *rng)
{
	static const uint64_t values[] = {
		0,
		1,
		2,
		3,
		7,
		8,
		15,
		16,
		17,
		63,
		64,
		127,
		128,
		255,
		256,
		0xfff,
		0x1000,
		0x7fff,
		0x8000,
		0xffff,
		0x10000,
		0x7fffffff,
		0x80000000,
		0xffffffff,
		0x100000000ull,
		0x7fffffffffull,
		0x8000000000ull,
		UINT64_MAX,
		UINT64_MAX - 63,
		TB_BUS_BASE,
		TB_BUS_BASE + TB_BUS_BYTES - 1,
	};

	switch (tb_range(rng, 0, 4)) {
	case 0:
		return tb_random(rng);
	case 1:
		return TB_BUS_BASE + tb_random(rng) % (b->tb->next - TB_BUS_BASE);
	case 2:
		return TB_IOVA_OFFSET + TB_BUS_BASE +
		       (tb_random(rng) % (b->tb->next - TB_BUS_BASE) & ~63u);
	default:
		return values[tb_random(rng) % (sizeof(values) / sizeof(values[0]))];
	}
}

/* Overwrites 1, 2, 4 or 8 bytes, aligned, somewhere in @bytes at @to. */
static void scribble(struct bench *b, struct tb_rng *rng, void *to, size_t bytes)
{
	size_t size = (size_t)1 << tb_range(rng, 0, 3);
	uint64_t v = odd_value(b, rng);

	if (size > bytes)
		size = 1;
	memcpy((uint8_t *)to + tb_random(rng) % (bytes / size) * size, &v, size);
}

static void garbage_register(struct bench *b, struct tb_rng *rng)
{
	static const uint32_t regs[] = {
		FLUIDNPU_REG_AS_SELECT,		FLUIDNPU_REG_AS_CMD,
		FLUIDNPU_REG_AS_ROOT_LO,	FLUIDNPU_REG_CQ_ENTRIES,
		FLUIDNPU_REG_CQ_COALESCE_COUNT, FLUIDNPU_REG_CQ_COALESCE_CYCLES,
		FLUIDNPU_REG_DOORBELL_CQ,	FLUIDNPU_REG_CTRL,
	};
	unsigned int q = tb_range(rng, 0, FLUIDNPU_MAX_QUEUES - 1);
	uint32_t reg, value = (uint32_t)odd_value(b, rng);

	switch (tb_range(rng, 0, 9)) {
	case 0:
		reg = tb_random(rng) % FLUIDNPU_BAR_REGS_BYTES & ~3u;
		break;
	case 1:
		reg = tb_random(rng); /* beyond the BAR, not aligned */
		break;
	case 2:
	case 3:
		reg = FLUIDNPU_REG_QUEUE(q) + FLUIDNPU_QREG_CTRL;
		value = tb_random(rng) & 15;
		break;
	case 4:
	case 5:
		reg = FLUIDNPU_REG_DOORBELL(q % 4);
		value = tb_range(rng, 0, 15);
		break;
	case 6:
		reg = FLUIDNPU_REG_QUEUE(q) + 4 * tb_range(rng, 0, 6);
		value = value % 20;
		break;
	default:
		reg = regs[tb_random(rng) % (sizeof(regs) / sizeof(regs[0]))];
		if (tb_range(rng, 0, 1))
			value %= 64;
	}
	tb_write(b->tb, reg, value);
	tb_read(b->tb, reg);
	tb_read(b->tb, tb_random(rng) % FLUIDNPU_BAR_REGS_BYTES);
}

/* A driver starts all over; the memory stays as garbled as it is when @memory is false. */
static void start_over(struct bench *b, bool memory)
{
	struct tb *tb = b->tb;

	tb_write(tb, FLUIDNPU_REG_CTRL, FLUIDNPU_CTRL_RESET);
	assert_int_equal(tb_read(tb, FLUIDNPU_REG_STATUS), FLUIDNPU_STATUS_READY);
	assert_true(fnpu_dev_deadline(tb->dev) == FNPU_NEVER);
	if (memory) {
		memset(tb->memory, 0, TB_BUS_BYTES);
		tb->next = TB_BUS_BASE;
		memset(tb->roots, 0, sizeof(tb->roots));
		tb_as_enable(tb, TB_AS);
		tb_cq_enable(tb, 64);
		for (unsigned int q = 0; q < 4; q++)
			tb_queue_enable(tb, q, 16, q % 3);
		b->p.header = b->header;
		memcpy(b->p.layers, b->layers, sizeof(b->layers));
		memcpy(b->p.policies, b->policies, sizeof(b->policies));
		tb_program_load(tb, &b->p, TB_AS);
		tb_job_make(tb, &b->job, &b->p, TB_AS, 3, 0);
		b->sqe = b->job.sqe;
		memcpy(b->samples, b->job.samples, sizeof(b->samples));
		b->ptes[3] = tb_pte(tb, TB_AS, b->p.iova);
		for (unsigned int i = 0; i < 3; i++)
			b->ptes[i] = tb_pte(tb, TB_AS, b->samples[i].state_iova);
	}
}

static void garbage_round(struct bench *b, struct tb_rng *rng)
{
	struct tb *tb = b->tb;
	unsigned int q = tb_range(rng, 0, 2) ? 0 : tb_range(rng, 1, 3);

	switch (tb_range(rng, 0, 9)) {
	case 0: /* layers, header, control block */
		scribble(b, rng, tb_ptr(tb, b->p.addr, b->header.control_off + 11 * 64),
			 b->header.control_off + 11 * 64);
		break;
	case 1: /* the sample table */
		scribble(b, rng, b->job.samples, sizeof(b->samples));
		break;
	case 2: /* a page-table entry */
		*b->ptes[tb_range(rng, 0, 3)] ^= 1ull << tb_range(rng, 0, 51);
		break;
	case 3: /* anywhere: rings, tables, tensors */
		scribble(b, rng, tb->memory, tb->next - TB_BUS_BASE);
		break;
	case 4:
		garbage_register(b, rng);
		break;
	default: /* a job, more or less correct, or the end of one */
		b->job.sqe = b->sqe;
		b->job.sqe.flags = tb_range(rng, 0, 1);
		b->job.sqe.num_samples = tb_range(rng, 1, 3);
		b->job.sqe.opcode = tb_range(rng, FLUIDNPU_OP_RUN, FLUIDNPU_OP_INJECT);
		if (!tb_range(rng, 0, 5))
			b->job.sqe = tb_yield(0, tb_range(rng, 0, 7));
		b->job.sqe.cookie = tb_range(rng, 0, 7);
		if (!tb_range(rng, 0, 3))
			scribble(b, rng, &b->job.sqe, sizeof(b->job.sqe));
		tb_submit(tb, q, &b->job.sqe);
		break;
	}
	for (int steps = tb_range(rng, 0, 3); steps && tb_step(tb); steps--)
		;
	if (tb_range(rng, 0, 1)) {
		tb->num_cqes = 0;
		tb_drain(tb, 100);
	}
	if (tb_range(rng, 0, 2) == 0)
		tb_queue_control(tb, q, FLUIDNPU_QCTRL_RESUME);
}

/* Whatever a guest did, the state is one that the device itself could go on from. */
static void check_state_is_sound(struct bench *b)
{
	const size_t bytes = fnpu_dev_state_bytes();
	void *image = malloc(bytes);

	assert_non_null(image);
	fnpu_dev_save(b->tb->dev, image);
	assert_null(fnpu_dev_load(b->tb->dev, image, bytes));
	free(image);
}

static void garbage(struct bench *b, uint64_t seed)
{
	unsigned int jobs = 0, errors = 0, fatal = 0, injects = 0, yields = 0;
	struct tb_rng rng = { seed };

	start_over(b, true);
	for (unsigned int i = 0; i < GARBAGE_ROUNDS; i++) {
		bool dead;

		garbage_round(b, &rng);
		if (i % 32 == 0)
			check_state_is_sound(b);
		dead = tb_read(b->tb, FLUIDNPU_REG_STATUS) & FLUIDNPU_STATUS_FATAL;
		if (!dead && tb_range(&rng, 0, 60))
			continue;
		fatal += dead;
		jobs += tb_counter(b->tb, FLUIDNPU_CNT_JOBS);
		errors += tb_counter(b->tb, FLUIDNPU_CNT_JOB_ERRORS);
		injects += tb_counter(b->tb, FLUIDNPU_CNT_INJECTS);
		yields += tb_counter(b->tb, FLUIDNPU_CNT_YIELDS);
		start_over(b, true);
	}
	print_message("seed %llu: %u jobs, %u errors, %u injects, %u yields, %u times fatal\n",
		      (unsigned long long)seed, jobs, errors, injects, yields, fatal);
	/* it did try */
	assert_true(jobs - errors > 500 && errors > 500 && fatal > 20);
	assert_true(injects > 50 && yields > 5);

	/* and after all that it works */
	start_over(b, true);
	assert_int_equal(run(b, 0), FLUIDNPU_OK);
	for (unsigned int i = 0; i < 3; i++) {
		struct ref_head heads[FLUIDNPU_MAX_EXITS];
		int8_t state_buffer[4096], logits[20];

		ref_run(&b->p, 0, 11, b->job.inputs[i], state_buffer, logits, heads);
		assert_memory_equal(b->job.logits[i], logits, 20);
	}
}

static void test_garbage_never_breaks_the_device(void **state)
{
	garbage(*state, 1);
	garbage(*state, 2);
}

static void test_garbage_with_a_late_worker(void **state)
{
	struct bench *b = *state;

	b->tb->worker = TB_DEFERRED;
	garbage(b, 3);
}

/* Random bytes as the whole program, header fields aside so that they are looked at. */
static void test_random_programs_never_break_the_device(void **state)
{
	struct bench *b = *state;
	unsigned int statuses[16] = { 0 };
	struct tb_rng rng = { 9 };

	start_over(b, true);
	for (unsigned int i = 0; i < GARBAGE_ROUNDS; i++) {
		unsigned int layer = tb_range(&rng, 0, 10), changes = tb_range(&rng, 1, 3);
		int status;

		b->p.header = b->header;
		memcpy(b->p.layers, b->layers, sizeof(b->layers));
		memcpy(b->p.policies, b->policies, sizeof(b->policies));
		while (changes--) {
			if (tb_range(&rng, 0, 9))
				scribble(b, &rng, &b->p.layers[layer], 84);
			else
				scribble(b, &rng, b->p.policies[layer], 12);
		}
		tb_program_update(b->tb, &b->p);
		status = run(b, 0);
		assert_in_range(status, 0, FLUIDNPU_ERR_ABORTED);
		statuses[status]++;
		tb_queue_control(b->tb, 0, FLUIDNPU_QCTRL_RESUME);
	}
	print_message("succeeded %u, MMU %u, DMA %u, layer %u, policy %u\n", statuses[FLUIDNPU_OK],
		      statuses[FLUIDNPU_ERR_MMU_FAULT], statuses[FLUIDNPU_ERR_DMA],
		      statuses[FLUIDNPU_ERR_LAYER], statuses[FLUIDNPU_ERR_POLICY]);
	assert_true(statuses[FLUIDNPU_OK] > 500 && statuses[FLUIDNPU_ERR_LAYER] > 500);
	assert_true(statuses[FLUIDNPU_ERR_POLICY] > 50);
	start_over(b, false);
}

#define BENCH_TEST(f) cmocka_unit_test_setup_teardown(f, bench_new, bench_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH_TEST(test_correct_job_runs),
		BENCH_TEST(test_sqe_fields_out_of_range),
		BENCH_TEST(test_nop_with_more_than_nothing),
		BENCH_TEST(test_sample_fields_out_of_range),
		BENCH_TEST(test_header_fields_out_of_range),
		BENCH_TEST(test_header_offsets_out_of_range),
		BENCH_TEST(test_any_layer_fields_out_of_range),
		BENCH_TEST(test_shape_fields_out_of_range),
		BENCH_TEST(test_window_fields_out_of_range),
		BENCH_TEST(test_pool_window_in_the_padding_alone),
		BENCH_TEST(test_program_offsets_out_of_range),
		BENCH_TEST(test_exit_fields_out_of_range),
		BENCH_TEST(test_network_must_end_with_an_exit),
		BENCH_TEST(test_two_matrix_layers_are_not_fused),
		BENCH_TEST(test_exit_indices_grow_with_depth),
		BENCH_TEST(test_group_longer_than_the_device_fuses),
		BENCH_TEST(test_immense_layers_are_refused),
		BENCH_TEST(test_immense_groups_are_refused),
		BENCH_TEST(test_policies_out_of_range),
		BENCH_TEST(test_error_names_the_layer),
		BENCH_TEST(test_program_that_changes_while_it_runs),
		BENCH_TEST(test_unmapped_addresses_fault),
		BENCH_TEST(test_addresses_beyond_39_bits_fault),
		BENCH_TEST(test_last_page_of_the_address_space_works),
		BENCH_TEST(test_read_only_pages_are_not_written),
		BENCH_TEST(test_disabled_address_space_faults),
		BENCH_TEST(test_disable_in_mid_job_faults_at_the_next_access),
		BENCH_TEST(test_as_command_waits_for_accesses_under_way),
		BENCH_TEST(test_tables_outside_of_memory_are_bus_errors),
		BENCH_TEST(test_table_that_points_to_itself_ends),
		BENCH_TEST(test_tlb_is_stale_until_flushed),
		BENCH_TEST(test_address_spaces_are_separate),
		BENCH_TEST(test_accesses_across_pages),
		BENCH_TEST(test_many_pages_alias_in_the_tlb),
		BENCH_TEST(test_fault_halts_only_its_queue),
		BENCH_TEST(test_samples_that_share_their_memory_do_no_harm),
		BENCH_TEST(test_submission_ring_that_is_nowhere_is_fatal),
		BENCH_TEST(test_completion_ring_that_is_nowhere_is_fatal),
		BENCH_TEST(test_fatal_device_starts_nothing),
		BENCH_TEST(test_running_job_survives_fatal),
		BENCH_TEST(test_doorbells_out_of_range_are_fatal),
		BENCH_TEST(test_bad_ring_sizes_are_fatal),
		BENCH_TEST(test_completion_ring_too_small_for_a_batch_is_fatal),
		BENCH_TEST(test_doorbell_of_a_disabled_queue_is_ignored),
		BENCH_TEST(test_sqe_garbage_in_a_whole_ring_ends),
		BENCH_TEST(test_garbage_never_breaks_the_device),
		BENCH_TEST(test_garbage_with_a_late_worker),
		BENCH_TEST(test_random_programs_never_break_the_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
