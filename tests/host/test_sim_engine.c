// SPDX-License-Identifier: MIT
/*
 * The simulator's engine against the device: random sequences of RUN, INJECT and YIELD at
 * random times, with and without a layer to stop at, go to both, the NPU core in time-only mode and tools/sim/engine.c. Every sample
 * must leave, or be handed back, at the same cycle and the same layer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../tools/sim/engine.h"
#include "core_host.h"
#include "program.h"

#define NUM_STAGES	3
#define NUM_GROUPS	9
#define MAX_EVENTS	16384
#define EPISODES	60	/* of one device: from idle to idle */

/** struct event - what happened to a sample */
struct event {
	uint64_t time;
	uint32_t job, sample;
	bool left;	/* at exit @where; otherwise handed back before layer @where */
	uint32_t where;
};

struct log {
	struct event events[MAX_EVENTS];
	unsigned int num;
};

/** struct bench - device and engine; @jobs: of the device, index is the cookie */
struct bench {
	struct tb *tb;
	struct tb_program program;
	unsigned int starts[TB_MAX_LAYERS];
	struct npu_network network;
	struct engine engine;
	struct tb_rng rng;
	struct log device, engine_log;
	unsigned int num_jobs, first_in_flight;
	uint64_t next_cookie;
	uint32_t stop;	/* group of the episode, or UINT32_MAX */
};

/* ---- the network ---- */

/* Each stage is two convolutions and a head; what a sample has alive differs by layer. */
static void make_program(struct bench *b)
{
	struct tb_program *p = &b->program;

	tb_program_init(p, 7);
	for (unsigned int stage = 0; stage < NUM_STAGES; stage++) {
		const uint32_t in = stage ? 0 : FLUIDNPU_TENSOR_INPUT;

		tb_conv(p, in, 4096, 8, 8, stage ? 32 : 4, 32, 3, 1, 1)->live_bytes = 30000 + 9000 * stage;
		tb_conv(p, 4096, 0, 8, 8, 32, 32, 3, 1, 1)->live_bytes = 17003 - 4000 * stage;
		tb_conv(p, 0, 8192, 8, 8, 32, 10, 8, 1, 0)->live_bytes = 2500 + 21001 * stage;
		tb_exit(p, 8192, 10, stage, 0.5f)->flags = FLUIDNPU_LAYER_FUSED;
	}
	assert_int_equal(tb_groups(p, b->starts), NUM_GROUPS);
	for (unsigned int g = 0; g < NUM_GROUPS; g++) {
		uint64_t cycles[FLUIDNPU_MAX_BATCH];
		const unsigned int l = b->starts[g];

		npucc_control_row(&b->tb->config.geometry, &p->layers[l],
				  fnpu_group_size(&p->layers[l], p->header.num_layers - l),
				  p->header.max_batch, p->policies[l], cycles);
	}
	tb_program_load(b->tb, p, TB_AS);
}

/* ---- what both say ---- */

static void note(struct log *log, struct event e)
{
	assert_true(log->num < MAX_EVENTS);
	log->events[log->num++] = e;
}

/* An id of the engine is the job's cookie and the sample's index. */
static void on_left(void *user, uint64_t now, uint32_t id, uint8_t exit)
{
	struct bench *b = user;

	note(&b->engine_log, (struct event){ now, id / 16, id % 16, true, exit });
}

static void on_handed_back(void *user, uint64_t now, uint32_t id, uint32_t group)
{
	struct bench *b = user;

	note(&b->engine_log, (struct event){ now, id / 16, id % 16, false, b->starts[group] });
}

static const struct engine_ops ops = { .left = on_left, .handed_back = on_handed_back };

static void take_completions(struct bench *b)
{
	tb_drain(b->tb, TB_MAX_CQES);
	for (unsigned int i = 0; i < b->tb->num_cqes; i++) {
		const struct fluidnpu_hw_cqe *c = &b->tb->cqes[i];

		if (c->type == FLUIDNPU_CQE_EXIT)
			note(&b->device, (struct event){ c->time, (uint32_t)c->cookie, c->sample,
							 true, c->exit_index });
		else if (c->type == FLUIDNPU_CQE_YIELD)
			note(&b->device, (struct event){ c->time, (uint32_t)c->cookie, c->sample,
							 false, c->layer });
		else
			assert_int_equal(c->status, FLUIDNPU_OK);
	}
	b->tb->num_cqes = 0;
}

static int in_order(const void *a, const void *b)
{
	const struct event *x = a, *y = b;

	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	return x->job != y->job ? (int)x->job - (int)y->job : (int)x->sample - (int)y->sample;
}

static void compare_logs(struct bench *b)
{
	struct log *d = &b->device, *e = &b->engine_log;

	qsort(d->events, d->num, sizeof(d->events[0]), in_order);
	qsort(e->events, e->num, sizeof(e->events[0]), in_order);
	for (unsigned int i = 0; i < d->num && i < e->num; i++) {
		const struct event *x = &d->events[i], *y = &e->events[i];

		if (in_order(x, y) || x->left != y->left || x->where != y->where)
			fail_msg("event %u: device: job %u sample %u %s %u at %llu, engine: job %u sample %u %s %u at %llu",
				 i, x->job, x->sample, x->left ? "exit" : "back at", x->where,
				 (unsigned long long)x->time, y->job, y->sample,
				 y->left ? "exit" : "back at", y->where,
				 (unsigned long long)y->time);
	}
	assert_int_equal(d->num, e->num);
}

/* ---- what both do ---- */

static void advance_to(struct bench *b, uint64_t time)
{
	while (engine_next(&b->engine) <= time) {
		const uint64_t now = engine_next(&b->engine);

		engine_advance(&b->engine, now);
		engine_run(&b->engine, now);
	}
	b->tb->now = time;
	fnpu_dev_advance(b->tb->dev, time);
	take_completions(b);
}

static void submit_samples(struct bench *b, uint8_t opcode, unsigned int group, unsigned int num,
			   struct engine_member *members)
{
	const unsigned int first_exit = group / (NUM_GROUPS / NUM_STAGES);
	const uint64_t table = tb_alloc(b->tb, num * sizeof(struct fluidnpu_hw_sample), 64);
	struct fluidnpu_hw_sample *samples = tb_ptr(b->tb, table, num * sizeof(*samples));
	const struct fluidnpu_hw_sqe sqe = {
		.opcode = opcode,
		.as_id = TB_AS,
		.num_samples = num,
		.cookie = b->next_cookie,
		.program_iova = b->program.iova,
		.program_bytes = b->program.header.total_bytes,
		.stop_layer = b->stop == UINT32_MAX ? 0 : b->starts[b->stop],
		.samples_addr = table,
	};

	/* without memory for its tensors: an NPU that only models time touches none */
	for (unsigned int i = 0; i < num; i++) {
		const unsigned int exit = tb_range(&b->rng, first_exit, NUM_STAGES - 1);

		samples[i] = (struct fluidnpu_hw_sample){
			.start_layer = b->starts[group], .exit_index = exit,
		};
		members[i] = (struct engine_member){
			.id = (uint32_t)b->next_cookie * 16 + i, .exit = (uint8_t)exit,
		};
	}
	b->next_cookie++;
	tb_submit(b->tb, 0, &sqe);
}

static void run(struct bench *b)
{
	const unsigned int group = tb_range(&b->rng, 0, 1) ? 0 : tb_range(&b->rng, 0, NUM_GROUPS - 1);
	struct engine_member members[FLUIDNPU_MAX_BATCH];
	const unsigned int num = tb_range(&b->rng, 1, FLUIDNPU_MAX_BATCH);

	b->first_in_flight = (unsigned int)b->next_cookie;
	b->stop = UINT32_MAX;
	if (group + 1 < NUM_GROUPS && tb_range(&b->rng, 0, 1))
		b->stop = tb_range(&b->rng, group + 1, NUM_GROUPS - 1);
	submit_samples(b, FLUIDNPU_OP_RUN, group, num, members);
	engine_start(&b->engine, &b->network, group, members, num, b->stop);
	engine_run(&b->engine, b->tb->now);
}

static void inject(struct bench *b)
{
	struct engine_member members[FLUIDNPU_MAX_BATCH];
	const unsigned int num = tb_range(&b->rng, 1, FLUIDNPU_MAX_BATCH);

	if (b->engine.yield || b->engine.inject.num ||
	    b->engine.num > b->tb->config.geometry.stack_depth)
		return;
	submit_samples(b, FLUIDNPU_OP_INJECT, 0, num, members);
	assert_true(engine_inject(&b->engine, b->tb->now, members, num));
}

static void yield(struct bench *b)
{
	struct fluidnpu_hw_sqe sqe;

	if (b->engine.yield)
		return;
	for (uint64_t job = b->first_in_flight; job < b->next_cookie; job++) {
		sqe = tb_yield(0x100000 + job, job);
		tb_push(b->tb, 0, &sqe);
	}
	tb_doorbell(b->tb, 0);
	engine_yield(&b->engine, b->tb->now);
}

/* From idle to idle: a batch, and what comes into its way. */
static void episode(struct bench *b)
{
	run(b);
	while (!engine_idle(&b->engine)) {
		const uint64_t time = b->tb->now + (uint64_t)tb_range(&b->rng, 1, 60000);

		if (engine_next(&b->engine) <= time && tb_range(&b->rng, 0, 2)) {
			advance_to(b, engine_next(&b->engine));
			continue;
		}
		/* an entry that comes at a boundary finds the next group started */
		advance_to(b, time);
		if (engine_idle(&b->engine) || b->engine.begin == time)
			continue;
		if (tb_range(&b->rng, 0, 3))
			inject(b);
		else
			yield(b);
	}
	take_completions(b);
}

static void check_device(uint32_t stack_depth, uint32_t act_sram_bytes, uint64_t seed)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct fnpu_config config;
	struct fnpu_error error;

	assert_non_null(b);
	fnpu_config_default(&config);
	config.functional = false;
	config.geometry.stack_depth = stack_depth;
	config.geometry.act_sram_bytes = act_sram_bytes;
	b->tb = tb_ready(&config, TB_INLINE);
	tb_queue_enable(b->tb, 0, 64, 0);
	make_program(b);
	b->rng.state = seed;
	b->next_cookie = 1;
	b->network = (struct npu_network){
		.config = config, .kind = NPU_FLUID, .max_batch = FLUIDNPU_MAX_BATCH,
		.num_exits = NUM_STAGES,
	};
	assert_int_equal(npu_price(&b->network, b->program.layers, b->program.header.num_layers,
				   &error), 0);
	engine_init(&b->engine, &ops, b);
	for (unsigned int i = 0; i < EPISODES; i++)
		episode(b);
	compare_logs(b);
	assert_int_equal(b->engine.counters.preemptions,
			 tb_counter(b->tb, FLUIDNPU_CNT_PREEMPTIONS));
	/* while the device hands back one job after the other, the rest of a deep stack may meet */
	if (stack_depth == 1)
		assert_int_equal(b->engine.counters.merges, tb_counter(b->tb, FLUIDNPU_CNT_MERGES));
	assert_int_equal(b->engine.counters.busy_cycles,
			 tb_counter(b->tb, FLUIDNPU_CNT_BUSY_CYCLES));
	assert_int_equal(b->engine.counters.useful_macs,
			 tb_counter(b->tb, FLUIDNPU_CNT_USEFUL_MACS));
	assert_int_equal(b->engine.counters.dram_bytes,
			 tb_counter(b->tb, FLUIDNPU_CNT_DRAM_READ_BYTES) +
			 tb_counter(b->tb, FLUIDNPU_CNT_DRAM_WRITE_BYTES));
	assert_true(b->engine.counters.merges > 4);
	assert_true(b->engine.counters.yields > 20);
	npu_close(&b->network);
	tb_program_free(&b->program);
	tb_free(b->tb);
	free(b);
}

static void the_papers_stack_is_simulated_to_the_cycle(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 8; seed++)
		check_device(1, 2 << 20, seed);
}

static void deeper_stacks_are_simulated_to_the_cycle(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 8; seed++)
		check_device(3, 2 << 20, seed);
}

static void spilled_activations_are_simulated_to_the_cycle(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 8; seed++)
		check_device(2, 200000, seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_papers_stack_is_simulated_to_the_cycle),
		cmocka_unit_test(deeper_stacks_are_simulated_to_the_cycle),
		cmocka_unit_test(spilled_activations_are_simulated_to_the_cycle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
