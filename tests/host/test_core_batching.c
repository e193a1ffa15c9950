// SPDX-License-Identifier: MIT
/*
 * Fluid batching: samples that join a batch under way, catch up and merge with it, jobs that
 * are cut at a layer and go on in other company. Whatever happens to a sample, what it
 * yields must be what it yields alone; who runs with whom, and when, must be what the
 * interface says; and no completion may get lost.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core_host.h"

#define LOGITS_BYTES 20 /* of tb_net_two_exits(), and at most of the random networks */

/* --- what a sample yields when nothing disturbs it ------------------------------------ */

struct outcome {
	struct fluidnpu_hw_cqe exit;
	int8_t logits[LOGITS_BYTES];
};

static void forget_results(const struct tb_program *p, struct tb_job *job)
{
	for (unsigned int i = 0; i < job->sqe.num_samples; i++) {
		memset(job->states[i], 0, p->header.state_bytes);
		memset(job->logits[i], 0, p->header.logits_bytes);
	}
}

/* Runs each sample of @job alone, through the last queue, and leaves the job as it was. */
static void run_alone(struct tb *tb, const struct tb_program *p, struct tb_job *job,
		      struct outcome *outcomes)
{
	const unsigned int n = job->sqe.num_samples, seen = tb->num_cqes;
	struct fluidnpu_hw_sqe sqe = job->sqe;

	sqe.num_samples = 1;
	sqe.flags = 0;
	sqe.opcode = FLUIDNPU_OP_RUN;
	for (unsigned int i = 0; i < n; i++) {
		sqe.cookie = UINT64_MAX - i;
		sqe.samples_addr = job->sqe.samples_addr + i * sizeof(job->samples[0]);
		tb_submit(tb, 3, &sqe);
		tb_run(tb);
		assert_int_equal(tb_status(tb, sqe.cookie), FLUIDNPU_OK);
		outcomes[i].exit = *tb_exit_cqe(tb, sqe.cookie, 0);
		memcpy(outcomes[i].logits, job->logits[i], p->header.logits_bytes);
		tb->num_cqes = seen;
	}
	forget_results(p, job);
}

static void check_outcome(const struct tb_program *p, const struct fluidnpu_hw_cqe *got,
			  const int8_t *logits, const struct outcome *want)
{
	assert_non_null(got);
	assert_int_equal(got->exit_index, want->exit.exit_index);
	assert_int_equal(got->class_index, want->exit.class_index);
	assert_int_equal(got->confidence, want->exit.confidence);
	assert_int_equal(got->entropy, want->exit.entropy);
	assert_int_equal(got->margin, want->exit.margin);
	assert_int_equal(got->layer, want->exit.layer);
	assert_memory_equal(logits, want->logits, p->header.logits_bytes);
}

static void check_job(struct tb *tb, const struct tb_program *p, const struct tb_job *job,
		      const struct outcome *want)
{
	assert_int_equal(tb_status(tb, job->sqe.cookie), FLUIDNPU_OK);
	for (unsigned int i = 0; i < job->sqe.num_samples; i++)
		check_outcome(p, tb_exit_cqe(tb, job->sqe.cookie, i), job->logits[i], &want[i]);
}

static unsigned int count_cqes(const struct tb *tb, unsigned int type, uint64_t cookie)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < tb->num_cqes; i++)
		n += tb->cqes[i].type == type && tb->cqes[i].cookie == cookie;
	return n;
}

/* --- a bench: one network, two jobs that meet ------------------------------------------ */

/* A device with all queues; priority 0, and 9 for queue 1. */
static struct tb *bench(const struct fnpu_config *config, struct tb_program *p)
{
	struct tb *tb = tb_ready(config, TB_INLINE);

	tb_program_load(tb, p, TB_AS);
	for (unsigned int q = 0; q < 4; q++)
		tb_queue_enable(tb, q, 64, q == 1 ? 9 : 0);
	return tb;
}

static void steps(struct tb *tb, unsigned int n)
{
	while (n--)
		assert_true(tb_step(tb));
}

static struct fnpu_config with_depth(uint32_t depth)
{
	struct fnpu_config config;

	fnpu_config_default(&config);
	config.geometry.stack_depth = depth;
	return config;
}

static struct fnpu_config trace_driven(uint32_t depth)
{
	struct fnpu_config config = with_depth(depth);

	config.functional = false;
	return config;
}

/* DRAM cycles of @n samples' state at a layer that needs @live_bytes each. */
static uint64_t moved(unsigned int n, uint32_t live_bytes)
{
	return ((uint64_t)n * live_bytes * 1024 + 16383) / 16384;
}

/* A threshold that about half of the samples reach at head @layer. */
static void set_threshold(struct tb *tb, struct tb_program *p, struct tb_job *job,
			  unsigned int layer)
{
	const unsigned int seen = tb->num_cqes;
	struct fluidnpu_hw_sqe sqe = job->sqe;
	uint32_t sorted[FLUIDNPU_MAX_BATCH];
	unsigned int n = 0;

	sqe.flags = FLUIDNPU_SQE_NO_EXIT;
	tb_submit(tb, 3, &sqe);
	tb_run(tb);
	for (unsigned int i = seen; i < tb->num_cqes; i++) {
		const struct fluidnpu_hw_cqe *cqe = &tb->cqes[i];
		unsigned int j = n;

		if (cqe->type == FLUIDNPU_CQE_JOB || cqe->layer != layer)
			continue;
		/* the bits of positive floats are in their order */
		for (; j && sorted[j - 1] > cqe->confidence; j--)
			sorted[j] = sorted[j - 1];
		sorted[j] = cqe->confidence;
		n++;
	}
	assert_int_equal(n, sqe.num_samples);
	p->layers[layer].threshold = sorted[n / 2];
	tb->num_cqes = seen;
	tb_program_update(tb, p);
	forget_results(p, job);
}

/* Two to four blocks of a convolution and an addition; at most one exit before the last. */
static void random_net(struct tb_program *p, struct tb_rng *rng)
{
	const unsigned int blocks = tb_range(rng, 2, 4), c = 4 * tb_range(rng, 1, 3);
	const uint32_t map = 36 * c;
	unsigned int exits = 0;

	tb_program_init(p, tb_random(rng));
	tb_conv(p, FLUIDNPU_TENSOR_INPUT, 0, 6, 6, 3, c, 3, 1, 1);
	for (unsigned int i = 0; i < blocks; i++) {
		const unsigned int kernel = tb_range(rng, 0, 1) ? 3 : 1;
		const bool last = i == blocks - 1;

		tb_conv(p, 0, map, 6, 6, c, c, kernel, 1, kernel / 2);
		tb_add(p, 0, map, 0, 6, 6, c)->flags =
			tb_range(rng, 0, 2) ? FLUIDNPU_LAYER_FUSED : 0;
		if (last || (exits < 1 && tb_range(rng, 0, 1))) {
			tb_pool(p, FLUIDNPU_LAYER_AVGPOOL, 0, 2 * map, 6, 6, c, 6);
			tb_conv(p, 2 * map, 2 * map + 16, 1, 1, c, 10, 1, 1, 0);
			tb_exit(p, 2 * map + 16, 10, exits++, 2.0f)->flags = FLUIDNPU_LAYER_FUSED;
		}
	}
}

/* --- inject, catch up, merge ----------------------------------------------------------- */

/* @b_incr samples join @b_old ones of a random network after @groups groups. */
static void inject_into_random_net(uint64_t seed)
{
	struct outcome want_old[FLUIDNPU_MAX_BATCH], want_new[FLUIDNPU_MAX_BATCH];
	struct tb_rng rng = { seed };
	unsigned int b_old = tb_range(&rng, 1, 16), b_incr = tb_range(&rng, 1, 16);
	unsigned int starts[TB_MAX_LAYERS], groups;
	struct tb_job old, new;
	struct tb_program p;
	struct tb *tb;

	random_net(&p, &rng);
	groups = tb_range(&rng, 0, tb_groups(&p, starts) - 1);
	tb = bench(NULL, &p);
	tb_job_make(tb, &old, &p, TB_AS, b_old, 1);
	tb_job_make(tb, &new, &p, TB_AS, b_incr, 2);
	for (unsigned int l = 0; l + 1 < p.header.num_layers; l++)
		if (p.layers[l].op == FLUIDNPU_LAYER_EXIT)
			set_threshold(tb, &p, &old, l);
	run_alone(tb, &p, &old, want_old);
	run_alone(tb, &p, &new, want_new);

	tb_submit(tb, 0, &old.sqe);
	while (groups-- && tb_step(tb)) /* all may have left before */
		;
	new.sqe.opcode = FLUIDNPU_OP_INJECT;
	tb_submit(tb, 0, &new.sqe);
	tb_run(tb);
	check_job(tb, &p, &old, want_old);
	check_job(tb, &p, &new, want_new);
	assert_int_equal(tb->num_cqes, b_old + b_incr + 2);
	assert_int_equal(tb_queue_status(tb, 0), FLUIDNPU_QSTATUS_ENABLED);
	tb_program_free(&p);
	tb_free(tb);
}

static void test_injected_samples_yield_what_they_yield_alone(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 120; seed++)
		inject_into_random_net(seed);
}

/*
 * The time of each step, by the formulas: the old batch up to the boundary, its state to DRAM,
 * the new one up to there, the state back, then both as one.
 */
static void test_injected_batch_catches_up_and_merges_at_the_modelled_time(void **state)
{
	const unsigned int b_old = 5, b_incr = 3, groups = 3; /* the boundary at layer 4 */
	struct tb_program p;
	struct tb_job old, new;
	uint64_t boundary, merged;
	struct tb *tb;

	(void)state;
	tb_net_two_exits(&p, 31, 2.0f);
	for (unsigned int l = 0; l < 11; l++)
		p.layers[l].live_bytes = 1000 + 100 * l;
	tb = bench(NULL, &p);
	tb_job_make(tb, &old, &p, TB_AS, b_old, 1);
	tb_job_make(tb, &new, &p, TB_AS, b_incr, 2);
	tb_submit(tb, 0, &old.sqe);
	steps(tb, groups - 1);
	tb->now += 1;
	new.sqe.opcode = FLUIDNPU_OP_INJECT;
	tb_submit(tb, 0, &new.sqe); /* while the group before the boundary runs */
	assert_int_equal(tb_read(tb, FLUIDNPU_REG_QUEUE(0) + FLUIDNPU_QREG_HEAD), 1);
	tb_run(tb);

	boundary = tb_span(tb, &p, 0, 4, b_old);
	merged = boundary + moved(b_old, p.layers[3].live_bytes) + tb_span(tb, &p, 0, 4, b_incr) +
		 moved(b_old, p.layers[3].live_bytes) + tb_span(tb, &p, 4, 11, b_old + b_incr);
	assert_true(tb_job_cqe(tb, 2)->started == boundary);
	assert_true(tb_job_cqe(tb, 1)->time == merged && tb_job_cqe(tb, 2)->time == merged);
	for (unsigned int i = 0; i < b_old; i++)
		assert_int_equal(tb_exit_cqe(tb, 1, i)->live_batch, b_old + b_incr);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_INJECTS), 1);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_MERGES), 1);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_PREEMPTIONS), 1);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_SAMPLES), b_old + b_incr);
	/* the first group of each waits for what is moved, and is busy with that */
	assert_true(tb_counter(tb, FLUIDNPU_CNT_BUSY_CYCLES) == merged);
	assert_true(tb_counter(tb, FLUIDNPU_CNT_BATCH + b_incr - 1) ==
		    moved(b_old, p.layers[3].live_bytes) + tb_span(tb, &p, 0, 4, b_incr));
	tb_program_free(&p);
	tb_free(tb);
}

static void test_inject_at_the_running_layer_joins_at_once(void **state)
{
	struct outcome want_old[2], want_new[3];
	struct tb_program p;
	struct tb_job old, new;
	uint64_t start;
	struct tb *tb;

	(void)state;
	tb_net_two_exits(&p, 32, 2.0f);
	tb = bench(NULL, &p);
	tb_job_make(tb, &old, &p, TB_AS, 2, 1);
	tb_job_make(tb, &new, &p, TB_AS, 3, 2);
	run_alone(tb, &p, &old, want_old);
	run_alone(tb, &p, &new, want_new);
	start = tb->now;
	new.sqe.opcode = FLUIDNPU_OP_INJECT;
	tb_push(tb, 0, &old.sqe);
	tb_push(tb, 0, &new.sqe); /* both wait for the same boundary */
	tb_doorbell(tb, 0);
	tb_run(tb);
	check_job(tb, &p, &old, want_old);
	check_job(tb, &p, &new, want_new);
	assert_true(tb_job_cqe(tb, 1)->time == start + tb_span(tb, &p, 0, 11, 5));
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_INJECTS), 1);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_MERGES), 0);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_PREEMPTIONS), 0);
	tb_program_free(&p);
	tb_free(tb);
}

static void test_inject_at_the_running_layer_that_does_not_fit_is_cut(void **state)
{
	struct tb_program p;
	struct tb_job old, new;
	struct tb *tb;

	(void)state;
	tb_net_two_exits(&p, 44, 2.0f);
	tb = bench(NULL, &p);
	tb_job_make(tb, &old, &p, TB_AS, 12, 1);
	tb_job_make(tb, &new, &p, TB_AS, 7, 2);
	new.sqe.opcode = FLUIDNPU_OP_INJECT;
	tb_push(tb, 0, &old.sqe);
	tb_push(tb, 0, &new.sqe);
	tb_doorbell(tb, 0);
	tb_run(tb);
	assert_true(tb_job_cqe(tb, 1)->time == tb_span(tb, &p, 0, 11, 16));
	assert_true(tb_job_cqe(tb, 2)->time ==
		    tb_span(tb, &p, 0, 11, 16) + tb_span(tb, &p, 0, 11, 3));
	for (unsigned int i = 0; i < 7; i++)
		assert_int_equal(tb_exit_cqe(tb, 2, i)->live_batch, i < 4 ? 16 : 3);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_PREEMPTIONS), 0);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_MERGES), 0);
	tb_program_free(&p);
	tb_free(tb);
}

static void test_inject_from_a_later_layer_waits_for_the_batch(void **state)
{
	struct outcome want_old[4], want_new[2];
	struct tb_program p;
	struct tb_job old, new;
	struct tb *tb;
	uint64_t start;

	(void)state;
	tb_net_two_exits(&p, 33, 2.0f);
	tb = bench(NULL, &p);
	tb_job_make(tb, &old, &p, TB_AS, 4, 1);
	tb_job_make(tb, &new, &p, TB_AS, 2, 2);
	run_alone(tb, &p, &old, want_old);
	run_alone(tb, &p, &new, want_new);
	for (unsigned int i = 0; i < 2; i++) {
		struct ref_head heads[FLUIDNPU_MAX_EXITS];

		ref_run(&p, 0, 6, new.inputs[i], new.states[i], new.logits[i], heads);
		new.samples[i].start_layer = 6;
	}
	start = tb->now;
	new.sqe.opcode = FLUIDNPU_OP_INJECT;
	tb_submit(tb, 0, &old.sqe);
	tb_submit(tb, 0, &new.sqe);
	tb_run(tb);
	check_job(tb, &p, &old, want_old);
	check_job(tb, &p, &new, want_new);
	assert_true(tb_job_cqe(tb, 2)->started == start + tb_span(tb, &p, 0, 6, 4));
	assert_int_equal(tb_exit_cqe(tb, 1, 0)->live_batch, 6);
	tb_program_free(&p);
	tb_free(tb);
}

/* 12 + 8 samples: all that were preempted and 4 others go on, then the last 4. */
static void test_capped_merge_leaves_the_rest_on_the_stack(void **state)
{
	struct outcome want_old[12], want_new[8];
	struct tb_program p;
	struct tb_job old, new;
	struct tb *tb;

	(void)state;
	tb_net_two_exits(&p, 34, 2.0f);
	tb = bench(NULL, &p);
	tb_job_make(tb, &old, &p, TB_AS, 12, 1);
	tb_job_make(tb, &new, &p, TB_AS, 8, 2);
	run_alone(tb, &p, &old, want_old);
	run_alone(tb, &p, &new, want_new);
	tb_submit(tb, 0, &old.sqe);
	steps(tb, 3);
	new.sqe.opcode = FLUIDNPU_OP_INJECT;
	tb_submit(tb, 0, &new.sqe);
	tb_run(tb);
	check_job(tb, &p, &old, want_old);
	check_job(tb, &p, &new, want_new);
	for (unsigned int i = 0; i < 12; i++)
		assert_int_equal(tb_exit_cqe(tb, 1, i)->live_batch, 16);
	for (unsigned int i = 0; i < 8; i++)
		assert_int_equal(tb_exit_cqe(tb, 2, i)->live_batch, i < 4 ? 16 : 4);
	assert_true(tb_job_cqe(tb, 1)->time < tb_job_cqe(tb, 2)->time);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_MERGES), 1);
	tb_program_free(&p);
	tb_free(tb);
}

/*
 * Three batches at one layer: 12 + 8 samples have just become 16 and 4, when two more are
 * injected. They catch up with a full batch, wait for it to end, and join the 4.
 */
static void test_batch_that_comes_back_to_the_top_merges(void **state)
{
	struct fnpu_config config = with_depth(2);
	struct tb_program p;
	struct tb_job jobs[3];
	struct tb *tb;

	(void)state;
	tb_net_two_exits(&p, 45, 2.0f);
	tb = bench(&config, &p);
	for (unsigned int i = 0; i < 3; i++) {
		tb_job_make(tb, &jobs[i], &p, TB_AS, i == 0 ? 12 : i == 1 ? 8 : 2, i);
		jobs[i].sqe.opcode = FLUIDNPU_OP_INJECT;
	}
	tb_submit(tb, 0, &jobs[0].sqe);
	tb_submit(tb, 0, &jobs[1].sqe); /* taken at layer 1 */
	steps(tb, 1);
	tb_submit(tb, 0, &jobs[2].sqe); /* and so is this, when both are there */
	tb_run(tb);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_MERGES), 2);
	for (unsigned int i = 0; i < 8; i++)
		assert_int_equal(tb_exit_cqe(tb, 1, i)->live_batch, i < 4 ? 16 : 6);
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(tb_exit_cqe(tb, 2, i)->live_batch, 6);
	tb_program_free(&p);
	tb_free(tb);
}

/* The same, but the 12 are called back at that boundary: all who are left become one. */
static void test_three_batches_at_a_layer_become_one(void **state)
{
	struct fluidnpu_hw_sqe yield = tb_yield(9, 0);
	struct fnpu_config config = with_depth(2);
	struct tb_program p;
	struct tb_job jobs[3];
	struct tb *tb;

	(void)state;
	tb_net_two_exits(&p, 46, 2.0f);
	tb = bench(&config, &p);
	for (unsigned int i = 0; i < 3; i++) {
		tb_job_make(tb, &jobs[i], &p, TB_AS, i == 0 ? 12 : i == 1 ? 8 : 2, i);
		jobs[i].sqe.opcode = FLUIDNPU_OP_INJECT;
	}
	tb_submit(tb, 0, &jobs[0].sqe);
	tb_submit(tb, 0, &jobs[1].sqe);
	steps(tb, 1);
	tb_submit(tb, 0, &yield);
	tb_submit(tb, 0, &jobs[2].sqe);
	tb_run(tb);
	assert_int_equal(count_cqes(tb, FLUIDNPU_CQE_YIELD, 0), 12);
	for (unsigned int i = 0; i < 8; i++)
		assert_int_equal(tb_exit_cqe(tb, 1, i)->live_batch, 10);
	assert_int_equal(tb_exit_cqe(tb, 2, 1)->live_batch, 10);
	tb_program_free(&p);
	tb_free(tb);
}

static void test_full_batch_is_passed_by_nobody(void **state)
{
	struct tb_program p;
	struct tb_job old, new;
	struct tb *tb;

	(void)state;
	tb_net_two_exits(&p, 35, 2.0f);
	tb = bench(NULL, &p);
	tb_job_make(tb, &old, &p, TB_AS, 16, 1);
	tb_job_make(tb, &new, &p, TB_AS, 2, 2);
	tb_submit(tb, 0, &old.sqe);
	steps(tb, 2);
	new.sqe.opcode = FLUIDNPU_OP_INJECT;
	tb_submit(tb, 0, &new.sqe);
	tb_run(tb);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_MERGES), 0);
	assert_int_equal(tb_exit_cqe(tb, 1, 0)->live_batch, 16);
	assert_int_equal(tb_exit_cqe(tb, 2, 0)->live_batch, 2);
	assert_true(tb_job_cqe(tb, 1)->time < tb_job_cqe(tb, 2)->time);
	tb_program_free(&p);
	tb_free(tb);
}

/* What was preempted has left at an exit before anybody reaches it: both just finish. */
static void test_catching_up_with_fewer_after_exits(void **state)
{
	struct fnpu_config config = trace_driven(1);
	struct tb_program p;
	struct tb_job old, new;
	struct tb *tb;

	(void)state;
	tb_net_two_exits(&p, 36, 0.0f);
	tb = bench(&config, &p);
	tb_job_make(tb, &old, &p, TB_AS, 3, 1);
	tb_job_make(tb, &new, &p, TB_AS, 6, 2);
	for (unsigned int i = 0; i < 3; i++)
		old.samples[i].exit_index = 1;
	for (unsigned int i = 0; i < 6; i++)
		new.samples[i].exit_index = i % 2;
	tb_submit(tb, 0, &old.sqe);
	steps(tb, 5); /* stands at layer 8, behind exit 0 */
	new.sqe.opcode = FLUIDNPU_OP_INJECT;
	tb_submit(tb, 0, &new.sqe);
	tb_run(tb);
	for (unsigned int i = 0; i < 6; i++)
		assert_int_equal(tb_exit_cqe(tb, 2, i)->live_batch, 6);
	assert_int_equal(tb_exit_cqe(tb, 1, 0)->live_batch, 6); /* 3 and the 3 that are left */
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_MERGES), 1);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_EXITS), 3);

	for (unsigned int i = 0; i < 6; i++) /* and nobody is left to merge */
		new.samples[i].exit_index = 0;
	old.sqe.cookie = 3;
	new.sqe.cookie = 4;
	tb_submit(tb, 0, &old.sqe);
	steps(tb, 5);
	tb_submit(tb, 0, &new.sqe);
	tb_run(tb);
	assert_int_equal(tb_exit_cqe(tb, 3, 0)->live_batch, 3);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_MERGES), 1);
	assert_true(tb_job_cqe(tb, 4)->time < tb_job_cqe(tb, 3)->time);
	tb_program_free(&p);
	tb_free(tb);
}

/* A stack of four: each batch is preempted by the next, a boundary earlier each time. */
static void test_injects_nest_up_to_the_depth_of_the_stack(void **state)
{
	struct fnpu_config config = with_depth(3);
	struct outcome want[5][3];
	struct tb_program p;
	struct tb_job jobs[5];
	struct tb *tb;

	(void)state;
	tb_net_two_exits(&p, 37, 2.0f);
	tb = bench(&config, &p);
	for (unsigned int i = 0; i < 5; i++) {
		tb_job_make(tb, &jobs[i], &p, TB_AS, 3, i);
		run_alone(tb, &p, &jobs[i], want[i]);
		jobs[i].sqe.opcode = FLUIDNPU_OP_INJECT;
	}
	tb_submit(tb, 0, &jobs[0].sqe); /* a RUN, as there is nothing to join */
	steps(tb, 5);
	for (unsigned int i = 1; i < 4; i++) {
		tb_submit(tb, 0, &jobs[i].sqe); /* taken when the group in between has ended */
		steps(tb, 5 - i);
	}
	tb_submit(tb, 0, &jobs[4].sqe);
	assert_int_equal(tb_read(tb, FLUIDNPU_REG_QUEUE(0) + FLUIDNPU_QREG_HEAD), 4);
	tb_run(tb);
	for (unsigned int i = 0; i < 5; i++)
		check_job(tb, &p, &jobs[i], want[i]);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_INJECTS), 4);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_MERGES), 4);
	assert_int_equal(tb_exit_cqe(tb, 0, 0)->live_batch, 15);
	tb_program_free(&p);
	tb_free(tb);
}

static void test_inject_waits_while_the_stack_is_full(void **state)
{
	struct tb_program p;
	struct tb_job jobs[3];
	uint64_t merged;
	struct tb *tb;

	(void)state;
	tb_net_two_exits(&p, 38, 2.0f);
	tb = bench(NULL, &p); /* depth 1 */
	for (unsigned int i = 0; i < 3; i++) {
		tb_job_make(tb, &jobs[i], &p, TB_AS, 2, i);
		jobs[i].sqe.opcode = FLUIDNPU_OP_INJECT;
	}
	tb_submit(tb, 0, &jobs[0].sqe);
	steps(tb, 2);
	tb_submit(tb, 0, &jobs[1].sqe);
	steps(tb, 2); /* it is at its second group */
	tb_submit(tb, 0, &jobs[2].sqe);
	steps(tb, 1);
	assert_int_equal(tb_read(tb, FLUIDNPU_REG_QUEUE(0) + FLUIDNPU_QREG_HEAD), 2);
	tb_run(tb);
	merged = tb_job_cqe(tb, 2)->started; /* when the first two had become one */
	assert_true(merged > tb_job_cqe(tb, 1)->started + tb_span(tb, &p, 0, 4, 2));
	assert_int_equal(tb_exit_cqe(tb, 0, 0)->live_batch, 6);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_MERGES), 2);
	tb_program_free(&p);
	tb_free(tb);
}

static void test_without_a_stack_an_inject_is_a_run(void **state)
{
	struct fnpu_config config = with_depth(0);
	struct tb_program p;
	struct tb_job jobs[2];
	struct tb *tb;

	(void)state;
	tb_net_two_exits(&p, 39, 2.0f);
	tb = bench(&config, &p);
	for (unsigned int i = 0; i < 2; i++) {
		tb_job_make(tb, &jobs[i], &p, TB_AS, 2, i);
		jobs[i].sqe.opcode = FLUIDNPU_OP_INJECT;
		tb_push(tb, 0, &jobs[i].sqe);
	}
	tb_doorbell(tb, 0);
	tb_run(tb);
	assert_true(tb_job_cqe(tb, 0)->time == tb_span(tb, &p, 0, 11, 2));
	assert_true(tb_job_cqe(tb, 1)->time == 2 * tb_span(tb, &p, 0, 11, 2));
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_INJECTS), 0);
	tb_program_free(&p);
	tb_free(tb);
}

static void test_inject_of_another_program_runs_later_and_so_does_what_is_behind(void **state)
{
	struct tb_program p, other;
	struct tb_job first, second, third;
	uint64_t end;
	struct tb *tb;

	(void)state;
	tb_net_two_exits(&p, 40, 2.0f);
	tb_net_two(&other, 41);
	tb = bench(NULL, &p);
	tb_program_load(tb, &other, TB_AS);
	tb_job_make(tb, &first, &p, TB_AS, 2, 1);
	tb_job_make(tb, &second, &other, TB_AS, 2, 2);
	tb_job_make(tb, &third, &p, TB_AS, 2, 3);
	second.sqe.opcode = FLUIDNPU_OP_INJECT;
	third.sqe.opcode = FLUIDNPU_OP_INJECT;
	tb_submit(tb, 0, &first.sqe);
	steps(tb, 1);
	tb_submit(tb, 0, &second.sqe);
	tb_submit(tb, 0, &third.sqe);
	tb_run(tb);
	end = tb_job_cqe(tb, 1)->time;
	assert_true(end == tb_span(tb, &p, 0, 11, 2));
	assert_true(tb_job_cqe(tb, 2)->time == end + tb_span(tb, &other, 0, 2, 2));
	assert_true(tb_job_cqe(tb, 3)->time ==
		    end + tb_span(tb, &other, 0, 2, 2) + tb_span(tb, &p, 0, 11, 2));
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_INJECTS), 0);
	tb_program_free(&p);
	tb_program_free(&other);
	tb_free(tb);
}

/* Flags are a job's, also when its samples are in a batch with others. */
static void test_no_exit_holds_for_one_job_of_a_merged_batch(void **state)
{
	struct tb_program p;
	struct tb_job old, new;
	struct tb *tb;

	(void)state;
	tb_net_two_exits(&p, 42, 0.0f); /* everybody reaches it */
	tb = bench(NULL, &p);
	tb_job_make(tb, &old, &p, TB_AS, 2, 1);
	tb_job_make(tb, &new, &p, TB_AS, 3, 2);
	old.sqe.flags = FLUIDNPU_SQE_NO_EXIT;
	new.sqe.opcode = FLUIDNPU_OP_INJECT;
	tb_submit(tb, 0, &old.sqe);
	steps(tb, 2);
	tb_submit(tb, 0, &new.sqe);
	tb_run(tb);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_MERGES), 1);
	assert_int_equal(count_cqes(tb, FLUIDNPU_CQE_HEAD, 1), 2);
	assert_int_equal(count_cqes(tb, FLUIDNPU_CQE_HEAD, 2), 0);
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(tb_exit_cqe(tb, 1, i)->exit_index, 1);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(tb_exit_cqe(tb, 2, i)->exit_index, 0);
	tb_program_free(&p);
	tb_free(tb);
}

/* --- yield ----------------------------------------------------------------------------- */

/* The YIELD completion of a job's sample. */
static const struct fluidnpu_hw_cqe *yield_cqe(const struct tb *tb, uint64_t cookie,
					       unsigned int sample)
{
	for (unsigned int i = 0; i < tb->num_cqes; i++)
		if (tb->cqes[i].type == FLUIDNPU_CQE_YIELD && tb->cqes[i].cookie == cookie &&
		    tb->cqes[i].sample == sample)
			return &tb->cqes[i];
	return NULL;
}

/*
 * Samples of @job that were handed back, in random order; the others must have left at an
 * exit, as they do alone. Returns how many were handed back.
 */
static unsigned int shuffle_yielded(struct tb *tb, const struct tb_program *p,
				    const struct tb_job *job, const struct outcome *want,
				    struct tb_rng *rng, unsigned int *order)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < job->sqe.num_samples; i++) {
		const struct fluidnpu_hw_cqe *left = tb_exit_cqe(tb, job->sqe.cookie, i);
		unsigned int at;

		if (!yield_cqe(tb, job->sqe.cookie, i)) {
			check_outcome(p, left, job->logits[i], &want[i]);
			continue;
		}
		assert_null(left);
		at = tb_range(rng, 0, n);
		memmove(&order[at + 1], &order[at], (n - at) * sizeof(order[0]));
		order[at] = i;
		n++;
	}
	return n;
}

/*
 * The samples of @job are cut after @groups groups and one more, by a YIELD or because they are to
 * stop at layer @stop, and dealt out to jobs, which run them on.
 */
static void cut_and_regroup(struct tb *tb, struct tb_program *p, struct tb_job *job,
			    const struct outcome *want, unsigned int groups, uint32_t stop,
			    struct tb_rng *rng)
{
	unsigned int order[FLUIDNPU_MAX_BATCH], of_job[FLUIDNPU_MAX_BATCH], left, done = 0;
	struct fluidnpu_hw_sqe yield = tb_yield(50, job->sqe.cookie), sqe = job->sqe;
	uint64_t parts = tb_alloc(tb, sqe.num_samples * sizeof(job->samples[0]), 64);
	struct fluidnpu_hw_sample *to =
		tb_ptr(tb, parts, sqe.num_samples * sizeof(job->samples[0]));
	uint64_t cookies[FLUIDNPU_MAX_BATCH], cookie = 100;

	tb->num_cqes = 0;
	job->sqe.stop_layer = stop;
	tb_submit(tb, 0, &job->sqe);
	steps(tb, groups);
	if (!stop)
		tb_submit(tb, 0, &yield); /* at the end of the group that runs */
	steps(tb, 1);
	tb_drain(tb, TB_MAX_CQES);
	if (!stop)
		assert_int_equal(tb_status(tb, 50), FLUIDNPU_OK);
	assert_int_equal(tb_status(tb, job->sqe.cookie), FLUIDNPU_OK);
	assert_int_equal(tb_queue_status(tb, 0), FLUIDNPU_QSTATUS_ENABLED);

	left = shuffle_yielded(tb, p, job, want, rng, order);
	assert_int_equal(tb_job_cqe(tb, job->sqe.cookie)->live_batch, left);
	while (done < left) {
		sqe.opcode = tb_range(rng, FLUIDNPU_OP_RUN, FLUIDNPU_OP_INJECT);
		sqe.cookie = cookie++;
		sqe.num_samples = tb_range(rng, 1, left - done);
		sqe.samples_addr = parts + done * sizeof(*to);
		for (unsigned int i = 0; i < sqe.num_samples; i++, done++) {
			to[done] = job->samples[order[done]];
			to[done].start_layer =
				yield_cqe(tb, job->sqe.cookie, order[done])->layer;
			cookies[done] = sqe.cookie;
			of_job[done] = i;
		}
		tb_push(tb, 0, &sqe);
	}
	tb_doorbell(tb, 0);
	tb_run(tb);
	for (unsigned int i = 0; i < left; i++) {
		assert_int_equal(tb_status(tb, cookies[i]), FLUIDNPU_OK);
		check_outcome(p, tb_exit_cqe(tb, cookies[i], of_job[i]), job->logits[order[i]],
			      &want[order[i]]);
	}
	job->sqe.stop_layer = 0;
	forget_results(p, job);
}

static void test_yielded_samples_go_on_in_any_company(void **state)
{
	struct tb_rng rng = { 51 };
	unsigned int starts[TB_MAX_LAYERS];

	(void)state;
	for (unsigned int round = 0; round < 12; round++) {
		struct outcome want[6];
		struct tb_program p;
		struct tb_job job;
		struct tb *tb;

		random_net(&p, &rng);
		tb = bench(NULL, &p);
		tb_job_make(tb, &job, &p, TB_AS, 6, 1);
		for (unsigned int l = 0; l + 1 < p.header.num_layers; l++)
			if (p.layers[l].op == FLUIDNPU_LAYER_EXIT)
				set_threshold(tb, &p, &job, l);
		run_alone(tb, &p, &job, want);
		for (unsigned int g = 0; g < tb_groups(&p, starts) - 1; g++) {
			cut_and_regroup(tb, &p, &job, want, g, 0, &rng);
			cut_and_regroup(tb, &p, &job, want, g, starts[g + 1], &rng);
			/* the first boundary behind it */
			cut_and_regroup(tb, &p, &job, want, g, starts[g] + 1, &rng);
		}
		tb_program_free(&p);
		tb_free(tb);
	}
}

static void test_yield_names_the_layer_and_writes_the_state_back(void **state)
{
	struct tb_program p;
	struct tb_job job;
	struct fluidnpu_hw_sqe yield = tb_yield(9, 1);
	uint64_t when, written;
	struct tb *tb;

	(void)state;
	tb_net_two_exits(&p, 52, 2.0f);
	for (unsigned int l = 0; l < 11; l++)
		p.layers[l].live_bytes = 2000;
	tb = bench(NULL, &p);
	tb_job_make(tb, &job, &p, TB_AS, 4, 1);
	tb_submit(tb, 0, &job.sqe);
	steps(tb, 1);
	tb_submit(tb, 0, &yield);
	job.sqe.cookie = 2;
	tb_submit(tb, 0, &job.sqe);
	steps(tb, 1);
	tb_drain(tb, TB_MAX_CQES);
	when = tb_span(tb, &p, 0, 3, 4);
	assert_int_equal(count_cqes(tb, FLUIDNPU_CQE_YIELD, 1), 4);
	for (unsigned int i = 0; i < 4; i++) {
		assert_int_equal(yield_cqe(tb, 1, i)->layer, 3);
		assert_true(yield_cqe(tb, 1, i)->time == when);
	}
	assert_int_equal(tb_job_cqe(tb, 1)->layer, 3);
	assert_int_equal(tb_job_cqe(tb, 1)->live_batch, 4);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_YIELDS), 4);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_JOBS), 2); /* and the YIELD */
	written = tb_counter(tb, FLUIDNPU_CNT_DRAM_WRITE_BYTES);
	assert_int_equal(written, 4 * 2000);

	tb_run(tb); /* the next one waits for the DRAM */
	assert_true(tb_job_cqe(tb, 2)->started == when);
	assert_true(tb_job_cqe(tb, 2)->time ==
		    when + 4 * moved(1, 2000) + tb_span(tb, &p, 0, 11, 4));
	tb_program_free(&p);
	tb_free(tb);
}

/* As by a YIELD that comes in time. A stop is a job's: who it has merged with goes on. */
static void test_a_job_stops_at_its_layer_and_others_go_on(void **state)
{
	struct outcome want[2];
	struct tb_program p;
	struct tb_job old, new;
	uint64_t merged, stopped;
	struct tb *tb;

	(void)state;
	tb_net_two_exits(&p, 53, 2.0f);
	for (unsigned int l = 0; l < 11; l++)
		p.layers[l].live_bytes = 2000;
	tb = bench(NULL, &p);
	tb_job_make(tb, &old, &p, TB_AS, 2, 1);
	tb_job_make(tb, &new, &p, TB_AS, 4, 2);
	run_alone(tb, &p, &old, want);
	tb->num_cqes = 0;
	stopped = tb->now;
	new.sqe.opcode = FLUIDNPU_OP_INJECT;
	new.sqe.stop_layer = 8;
	tb_submit(tb, 0, &old.sqe);
	steps(tb, 1);
	tb_submit(tb, 0, &new.sqe); /* they meet at layer 3 */
	tb_run(tb);
	merged = stopped + tb_span(tb, &p, 0, 3, 2) + moved(2, 2000) + tb_span(tb, &p, 0, 3, 4) +
		 moved(2, 2000);
	stopped = merged + tb_span(tb, &p, 3, 8, 6);
	for (unsigned int i = 0; i < 4; i++) {
		assert_int_equal(yield_cqe(tb, 2, i)->layer, 8);
		assert_true(yield_cqe(tb, 2, i)->time == stopped);
	}
	assert_true(tb_job_cqe(tb, 2)->time == stopped);
	assert_int_equal(tb_job_cqe(tb, 2)->layer, 8);
	assert_int_equal(tb_job_cqe(tb, 2)->live_batch, 4);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_YIELDS), 4);
	/* the DRAM takes what was on chip, and the others wait for that */
	assert_true(tb_job_cqe(tb, 1)->time ==
		    stopped + 4 * moved(1, 2000) + tb_span(tb, &p, 8, 11, 2));
	check_job(tb, &p, &old, want);
	assert_int_equal(tb_exit_cqe(tb, 1, 0)->live_batch, 2);
	tb_program_free(&p);
	tb_free(tb);
}

/* Behind the last layer there is nothing to stop; at or before the first one, the first group. */
static void test_stops_out_of_the_way(void **state)
{
	struct tb_program p;
	struct tb_job job;
	struct tb *tb;

	(void)state;
	tb_net_two_exits(&p, 54, 2.0f);
	tb = bench(NULL, &p);
	tb_job_make(tb, &job, &p, TB_AS, 3, 1);
	for (unsigned int i = 0; i < 2; i++) {
		job.sqe.stop_layer = i ? UINT32_MAX : 11;
		job.sqe.cookie = 1 + i;
		tb_submit(tb, 0, &job.sqe);
		tb_run(tb);
		assert_int_equal(count_cqes(tb, FLUIDNPU_CQE_EXIT, 1 + i), 3);
		assert_int_equal(tb_job_cqe(tb, 1 + i)->live_batch, 0);
	}
	job.sqe.stop_layer = 2;
	job.sqe.cookie = 3;
	for (unsigned int i = 0; i < 3; i++)
		job.samples[i].start_layer = 6;
	tb_submit(tb, 0, &job.sqe);
	tb_run(tb);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(yield_cqe(tb, 3, i)->layer, 8);
	tb_program_free(&p);
	tb_free(tb);
}

/*
 * Two INJECTs are taken at one boundary. The second, from an earlier layer, runs first; the
 * first one starts when that has caught up with it, if it gets that far.
 */
static void test_job_starts_with_its_first_group(void **state)
{
	const struct fnpu_config config = with_depth(4);

	(void)state;
	for (unsigned int handed_back = 0; handed_back < 2; handed_back++) {
		struct fluidnpu_hw_sqe yield = tb_yield(9, 2);
		struct tb_job old, first, second;
		uint64_t boundary, caught_up;
		struct tb_program p;
		struct tb *tb;

		tb_net_two_exits(&p, 31, 2.0f);
		for (unsigned int l = 0; l < 11; l++)
			p.layers[l].live_bytes = 3000;
		tb = bench(&config, &p);
		tb_job_make(tb, &old, &p, TB_AS, 2, 1);
		tb_job_make(tb, &first, &p, TB_AS, 2, 2);
		tb_job_make(tb, &second, &p, TB_AS, 2, 3);
		for (unsigned int i = 0; i < 2; i++)
			first.samples[i].start_layer = 1;
		first.sqe.opcode = FLUIDNPU_OP_INJECT;
		second.sqe.opcode = FLUIDNPU_OP_INJECT;
		tb_submit(tb, 0, &old.sqe);
		steps(tb, 2);
		tb_submit(tb, 0, &first.sqe);
		tb_submit(tb, 0, &second.sqe);
		steps(tb, 1);
		if (handed_back)
			tb_submit(tb, 0, &yield);
		tb_run(tb);

		boundary = tb_span(tb, &p, 0, 4, 2);
		caught_up = boundary + moved(2, 3000) + tb_span(tb, &p, 0, 1, 2);
		assert_true(tb_job_cqe(tb, 1)->started == 0);
		assert_true(tb_job_cqe(tb, 3)->started == boundary);
		assert_true(tb_job_cqe(tb, 2)->started == caught_up);
		if (handed_back) { /* it has not run, and says so */
			assert_true(tb_job_cqe(tb, 2)->time == caught_up);
			assert_int_equal(tb_job_cqe(tb, 2)->live_batch, 2);
			for (unsigned int i = 0; i < 2; i++) {
				assert_true(yield_cqe(tb, 2, i)->started == caught_up);
				assert_int_equal(yield_cqe(tb, 2, i)->live_batch, 0);
			}
		} else {
			assert_true(tb_exit_cqe(tb, 2, 0)->started == caught_up);
			assert_int_equal(tb_job_cqe(tb, 2)->live_batch, 0);
		}
		tb_program_free(&p);
		tb_free(tb);
	}
}

static void test_yield_of_what_is_not_in_flight_does_nothing(void **state)
{
	struct fluidnpu_hw_sqe yield = tb_yield(9, 1);
	struct tb_program p;
	struct tb_job job;
	struct tb *tb;

	(void)state;
	tb_net_two_exits(&p, 53, 2.0f);
	tb = bench(NULL, &p);
	tb_job_make(tb, &job, &p, TB_AS, 2, 1);
	tb_submit(tb, 0, &yield); /* not yet */
	tb_submit(tb, 0, &job.sqe);
	tb_run(tb);
	yield.cookie = 10;
	tb_submit(tb, 0, &yield); /* not any more */
	job.sqe.cookie = 2;
	yield.cookie = 11;
	tb_submit(tb, 0, &job.sqe);
	tb_submit(tb, 0, &yield); /* another one is */
	tb_run(tb);
	for (unsigned int i = 9; i <= 11; i++)
		assert_int_equal(tb_status(tb, i), FLUIDNPU_OK);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_YIELDS), 0);
	for (unsigned int i = 1; i <= 2; i++)
		assert_int_equal(count_cqes(tb, FLUIDNPU_CQE_EXIT, i), 2);
	tb_program_free(&p);
	tb_free(tb);
}

/* Of a stack of two, the one below, the one on top, or one of a merged batch is handed back. */
static void test_yield_takes_samples_from_anywhere_on_the_stack(void **state)
{
	struct outcome want[2][3];
	struct tb_program p;
	struct tb_job jobs[2];
	struct tb *tb;

	(void)state;
	tb_net_two_exits(&p, 54, 2.0f);
	tb = bench(NULL, &p);
	for (unsigned int i = 0; i < 2; i++) {
		tb_job_make(tb, &jobs[i], &p, TB_AS, 3, i);
		run_alone(tb, &p, &jobs[i], want[i]);
	}
	jobs[1].sqe.opcode = FLUIDNPU_OP_INJECT;
	for (unsigned int round = 0; round < 4; round++) {
		const unsigned int target = round % 2, merged = round / 2;
		struct fluidnpu_hw_sqe yield = tb_yield(9, target);

		tb->num_cqes = 0;
		tb_submit(tb, 0, &jobs[0].sqe);
		steps(tb, 3);
		tb_submit(tb, 0, &jobs[1].sqe);
		steps(tb, merged ? 5 : 2); /* the other meets it at layer 6 */
		tb_submit(tb, 0, &yield);
		tb_run(tb);
		assert_int_equal(count_cqes(tb, FLUIDNPU_CQE_YIELD, target), 3);
		assert_int_equal(count_cqes(tb, FLUIDNPU_CQE_EXIT, target), 0);
		for (unsigned int i = 0; i < 3; i++)
			assert_int_equal(yield_cqe(tb, target, i)->layer,
					 merged ? 8 : target ? 3 : 6);
		check_job(tb, &p, &jobs[!target], want[!target]);
		assert_int_equal(tb_exit_cqe(tb, !target, 0)->live_batch, 3);
	}
	tb_program_free(&p);
	tb_free(tb);
}

/* --- priorities ------------------------------------------------------------------------ */

static void test_preempted_queue_yields_at_the_next_boundary_of_the_other(void **state)
{
	struct fluidnpu_hw_sqe yield = tb_yield(9, 1);
	struct tb_program p;
	struct tb_job low, high;
	uint64_t second;
	struct tb *tb;

	(void)state;
	tb_net_two_exits(&p, 61, 2.0f);
	tb = bench(NULL, &p);
	tb_job_make(tb, &low, &p, TB_AS, 4, 1);
	tb_job_make(tb, &high, &p, TB_AS, 2, 2);
	tb_submit(tb, 0, &low.sqe);
	tb_submit(tb, 1, &high.sqe);
	steps(tb, 1); /* the first group of the urgent one runs */
	tb_submit(tb, 0, &yield);
	second = fnpu_dev_deadline(tb->dev);
	tb_run(tb);
	assert_true(yield_cqe(tb, 1, 0)->time == second);
	assert_int_equal(yield_cqe(tb, 1, 0)->layer, 1);
	assert_int_equal(tb_status(tb, 1), FLUIDNPU_OK);
	assert_true(tb_job_cqe(tb, 2)->time > second);
	tb_program_free(&p);
	tb_free(tb);
}

/* The default NPU has 2 MiB of SRAM: that many samples fit together, in one pass. */
static void split_in_passes_of_8(struct tb_program *p, uint32_t live_bytes)
{
	for (unsigned int l = 0; l < p->header.num_layers; l++) {
		p->layers[l].live_bytes = live_bytes;
		for (unsigned int n = 1; n <= FLUIDNPU_MAX_BATCH; n++) {
			const uint8_t first = n < 8 ? n : 8;

			p->policies[l][n - 1] = (struct fluidnpu_hw_policy){ first, first, 1, 1 };
		}
	}
}

/* What a pass has resident by its price is resident for a switch, too. */
static void test_each_pass_of_a_batch_is_moved_or_not(void **state)
{
	static const struct {
		unsigned int batch;
		uint32_t live_bytes;
		unsigned int resident;
	} cases[] = {
		{ 16, 200000, 16 },	/* 8 and 8, both fit */
		{ 10, 300000, 2 },	/* 8 do not fit, the 2 behind them do */
		{ 8, 300000, 0 },
		{ 7, 200000, 7 },
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const unsigned int b = cases[i].batch;
		const uint64_t away = moved(cases[i].resident, cases[i].live_bytes);
		struct tb_job low, high, late;
		uint64_t boundary, end;
		struct tb_program p;
		struct tb *tb;

		tb_net_two_exits(&p, 31, 2.0f);
		split_in_passes_of_8(&p, cases[i].live_bytes);
		tb = bench(NULL, &p);
		tb_job_make(tb, &low, &p, TB_AS, b, 1);
		tb_job_make(tb, &high, &p, TB_AS, 1, 2);
		tb_submit(tb, 0, &low.sqe);
		steps(tb, 1);
		tb_submit(tb, 1, &high.sqe);
		tb_run(tb);
		boundary = tb_span(tb, &p, 0, 3, b);
		end = boundary + away + tb_span(tb, &p, 0, 11, 1) + away + tb_span(tb, &p, 3, 11, b);
		assert_true(tb_job_cqe(tb, 2)->started == boundary);
		assert_true(tb_job_cqe(tb, 1)->time == end);

		/* samples that come with their activations bring those that will be resident */
		tb_job_make(tb, &late, &p, TB_AS, b, 3);
		for (unsigned int s = 0; s < b; s++)
			late.samples[s].start_layer = 3;
		tb_submit(tb, 0, &late.sqe);
		tb_run(tb);
		assert_true(tb_job_cqe(tb, 3)->time == end + away + tb_span(tb, &p, 3, 11, b));
		tb_program_free(&p);
		tb_free(tb);
	}
}

static void test_preempted_queue_keeps_its_stack(void **state)
{
	struct outcome want[3][4];
	struct tb_program p;
	struct tb_job jobs[3];
	uint64_t first, second;
	struct tb *tb;

	(void)state;
	tb_net_two_exits(&p, 62, 2.0f);
	for (unsigned int l = 0; l < 11; l++)
		p.layers[l].live_bytes = 3000;
	tb = bench(NULL, &p);
	for (unsigned int i = 0; i < 3; i++) {
		tb_job_make(tb, &jobs[i], &p, TB_AS, 4, i);
		run_alone(tb, &p, &jobs[i], want[i]);
	}
	first = tb->now;
	jobs[1].sqe.opcode = FLUIDNPU_OP_INJECT;
	tb_submit(tb, 2, &jobs[0].sqe);
	steps(tb, 3);
	tb_submit(tb, 2, &jobs[1].sqe);
	steps(tb, 2);
	tb_submit(tb, 1, &jobs[2].sqe);
	tb_run(tb);
	for (unsigned int i = 0; i < 3; i++)
		check_job(tb, &p, &jobs[i], want[i]);
	/* job 0 to layer 6, job 1 to 3, job 2, job 1 to 6, both; four moves out and back */
	second = first + tb_span(tb, &p, 0, 6, 4) + moved(4, 3000) + tb_span(tb, &p, 0, 3, 4) +
		 moved(4, 3000);
	assert_true(tb_job_cqe(tb, 2)->time == second + tb_span(tb, &p, 0, 11, 4));
	assert_true(tb_job_cqe(tb, 1)->time ==
		    second + tb_span(tb, &p, 0, 11, 4) + moved(4, 3000) +
			    tb_span(tb, &p, 3, 6, 4) + moved(4, 3000) + tb_span(tb, &p, 6, 11, 8));
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_PREEMPTIONS), 2);
	assert_int_equal(tb_queue_counter(tb, 2, FLUIDNPU_CNT_PREEMPTIONS), 2);
	assert_int_equal(tb_queue_counter(tb, 1, FLUIDNPU_CNT_PREEMPTIONS), 0);
	tb_program_free(&p);
	tb_free(tb);
}

/*
 * At the boundary where two batches become one another queue is more urgent: of the merged
 * batch only what had caught up is still on chip.
 */
static void test_merged_batch_is_preempted_before_it_runs(void **state)
{
	struct tb_program p;
	struct tb_job jobs[3];
	uint64_t meet, written;
	struct tb *tb;

	(void)state;
	tb_net_two_exits(&p, 63, 2.0f);
	for (unsigned int l = 0; l < 11; l++)
		p.layers[l].live_bytes = 3000;
	tb = bench(NULL, &p);
	for (unsigned int i = 0; i < 3; i++)
		tb_job_make(tb, &jobs[i], &p, TB_AS, 2 + i, i);
	jobs[1].sqe.opcode = FLUIDNPU_OP_INJECT;
	tb_submit(tb, 2, &jobs[0].sqe);
	steps(tb, 1);
	tb_submit(tb, 2, &jobs[1].sqe); /* from layer 3 */
	steps(tb, 2);
	written = tb_counter(tb, FLUIDNPU_CNT_DRAM_WRITE_BYTES);
	tb_submit(tb, 1, &jobs[2].sqe); /* while the last group before it runs */
	steps(tb, 1);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_MERGES), 1);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_DRAM_WRITE_BYTES) - written, 3 * 3000);
	meet = tb_span(tb, &p, 0, 3, 2) + moved(2, 3000) + tb_span(tb, &p, 0, 3, 3);
	assert_true(tb_job_cqe(tb, 2) == NULL);
	tb_run(tb);
	assert_true(tb_job_cqe(tb, 2)->started == meet);
	assert_true(tb_job_cqe(tb, 2)->time == meet + moved(3, 3000) + tb_span(tb, &p, 0, 11, 4));
	assert_true(tb_job_cqe(tb, 0)->time ==
		    tb_job_cqe(tb, 2)->time + moved(5, 3000) + tb_span(tb, &p, 3, 11, 5));
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_PREEMPTIONS), 2);
	tb_program_free(&p);
	tb_free(tb);
}

/* --- errors, aborts -------------------------------------------------------------------- */

/* Job 0 stands at layer 6, job 1 has been injected; its states, or logits, are not mapped. */
static struct tb *stack_of_two(struct tb_program *p, struct tb_job *jobs, bool bad_state)
{
	struct tb *tb;

	tb_net_two_exits(p, 71, 2.0f);
	tb = bench(NULL, p);
	for (unsigned int i = 0; i < 2; i++)
		tb_job_make(tb, &jobs[i], p, TB_AS, 3, i);
	jobs[1].sqe.opcode = FLUIDNPU_OP_INJECT;
	if (bad_state)
		jobs[1].samples[1].state_iova = 0x5000;
	tb_submit(tb, 0, &jobs[0].sqe);
	steps(tb, 3);
	tb_submit(tb, 0, &jobs[1].sqe);
	steps(tb, 1);
	return tb;
}

static void test_fault_while_catching_up_spares_the_preempted(void **state)
{
	struct outcome got[3], want[3];
	struct tb_program p;
	struct tb_job jobs[2];
	struct tb *tb = stack_of_two(&p, jobs, true);

	(void)state;
	tb_run(tb);
	assert_int_equal(tb_status(tb, 1), FLUIDNPU_ERR_MMU_FAULT);
	assert_int_equal(tb_job_cqe(tb, 1)->fault_iova_lo, 0x5000);
	assert_int_equal(tb_job_cqe(tb, 1)->live_batch, 3);
	assert_int_equal(tb_job_cqe(tb, 1)->layer, 0);
	assert_int_equal(tb_status(tb, 0), -1);
	assert_int_equal(tb_queue_status(tb, 0), FLUIDNPU_QSTATUS_ENABLED |
							 FLUIDNPU_QSTATUS_RUNNING |
							 FLUIDNPU_QSTATUS_HALTED);
	tb_queue_control(tb, 0, FLUIDNPU_QCTRL_RESUME);
	tb_run(tb);
	assert_int_equal(tb_status(tb, 0), FLUIDNPU_OK);
	for (unsigned int i = 0; i < 3; i++) {
		got[i].exit = *tb_exit_cqe(tb, 0, i);
		memcpy(got[i].logits, jobs[0].logits[i], LOGITS_BYTES);
	}
	run_alone(tb, &p, &jobs[0], want);
	for (unsigned int i = 0; i < 3; i++)
		check_outcome(&p, &got[i].exit, got[i].logits, &want[i]);
	tb_program_free(&p);
	tb_free(tb);
}

static void test_fault_of_a_merged_batch_ends_all_its_jobs(void **state)
{
	struct tb_program p;
	struct tb_job jobs[2];
	struct tb *tb = stack_of_two(&p, jobs, false);
	uint64_t logits = jobs[1].samples[1].logits_iova;

	(void)state;
	steps(tb, 4); /* together beyond layer 6 */
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_MERGES), 1);
	*tb_pte(tb, TB_AS, logits) = 0;
	tb_as_command(tb, TB_AS, FLUIDNPU_AS_CMD_FLUSH);
	tb_run(tb);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(tb_status(tb, i), FLUIDNPU_ERR_MMU_FAULT);
		assert_int_equal(tb_job_cqe(tb, i)->live_batch, 3);
		assert_int_equal(count_cqes(tb, FLUIDNPU_CQE_EXIT, i), 0);
	}
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_JOB_ERRORS), 2);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_MMU_FAULTS), 1);
	assert_int_equal(tb_queue_status(tb, 0),
			 FLUIDNPU_QSTATUS_ENABLED | FLUIDNPU_QSTATUS_HALTED);
	tb_program_free(&p);
	tb_free(tb);
}

/* A job in two batches, after a capped merge: its samples vanish from both. */
static void test_fault_takes_a_job_out_of_the_whole_stack(void **state)
{
	struct tb_program p;
	struct tb_job jobs[2];
	struct tb *tb;

	(void)state;
	tb_net_two_exits(&p, 72, 2.0f);
	tb = bench(NULL, &p);
	tb_job_make(tb, &jobs[0], &p, TB_AS, 12, 0);
	tb_job_make(tb, &jobs[1], &p, TB_AS, 8, 1);
	jobs[1].sqe.opcode = FLUIDNPU_OP_INJECT;
	tb_submit(tb, 0, &jobs[0].sqe);
	steps(tb, 2);
	tb_submit(tb, 0, &jobs[1].sqe);
	steps(tb, 5);
	*tb_pte(tb, TB_AS, jobs[0].samples[7].logits_iova) = 0;
	tb_as_command(tb, TB_AS, FLUIDNPU_AS_CMD_FLUSH);
	tb_run(tb);
	assert_int_equal(tb_status(tb, 0), FLUIDNPU_ERR_MMU_FAULT);
	assert_int_equal(tb_status(tb, 1), FLUIDNPU_ERR_MMU_FAULT);
	assert_int_equal(tb_job_cqe(tb, 1)->live_batch, 8);
	assert_int_equal(tb_queue_status(tb, 0),
			 FLUIDNPU_QSTATUS_ENABLED | FLUIDNPU_QSTATUS_HALTED);
	tb_queue_control(tb, 0, FLUIDNPU_QCTRL_RESUME);
	tb_run(tb);
	assert_int_equal(tb->num_cqes, 2);
	tb_program_free(&p);
	tb_free(tb);
}

static void test_bad_inject_ends_alone_and_the_batch_goes_on_after_resume(void **state)
{
	struct tb_program p;
	struct tb_job jobs[2];
	struct tb *tb;

	(void)state;
	tb_net_two_exits(&p, 73, 2.0f);
	tb = bench(NULL, &p);
	for (unsigned int kind = 0; kind < 5; kind++) {
		static const int want[] = { FLUIDNPU_ERR_SQE, FLUIDNPU_ERR_DMA, FLUIDNPU_ERR_SQE,
					    FLUIDNPU_ERR_SQE, FLUIDNPU_ERR_PROGRAM };
		uint64_t boundary = tb->now;

		tb->num_cqes = 0;
		tb_job_make(tb, &jobs[0], &p, TB_AS, 3, 0);
		tb_job_make(tb, &jobs[1], &p, TB_AS, 3, 1);
		jobs[1].sqe.opcode = FLUIDNPU_OP_INJECT;
		tb_submit(tb, 0, &jobs[0].sqe);
		if (kind == 0)
			jobs[1].sqe.reserved[0] = 1;
		else if (kind == 1)
			jobs[1].sqe.samples_addr = 0;
		else if (kind == 2)
			jobs[1].samples[2].reserved[3] = 1;
		else if (kind == 3)
			jobs[1].sqe.num_samples = 17;
		else
			p.header.num_exits = 3;
		tb_program_update(tb, &p);
		tb_submit(tb, 0, &jobs[1].sqe);
		tb_run(tb);
		boundary += tb_span(tb, &p, 0, 1, 3);
		assert_int_equal(tb_status(tb, 1), want[kind]);
		assert_true(tb_job_cqe(tb, 1)->time == boundary);
		assert_int_equal(tb_status(tb, 0), -1);
		p.header.num_exits = 2;
		tb_program_update(tb, &p);
		tb->now += 1000;
		tb_queue_control(tb, 0, FLUIDNPU_QCTRL_RESUME);
		tb_run(tb);
		assert_int_equal(tb_status(tb, 0), FLUIDNPU_OK);
		assert_int_equal(tb->num_cqes, 5);
		assert_true(tb_job_cqe(tb, 0)->time ==
			    boundary + 1000 + tb_span(tb, &p, 1, 11, 3));
	}
	tb_program_free(&p);
	tb_free(tb);
}

static void test_bad_yield_is_an_error(void **state)
{
	struct fluidnpu_hw_sqe good = tb_yield(1, 0), bad;
	struct tb_program p;
	struct tb *tb;

	(void)state;
	tb_net_two(&p, 74);
	tb = bench(NULL, &p);
	for (unsigned int field = 0; field < 8; field++) {
		bad = good;
		tb->num_cqes = 0;
		switch (field) {
		case 0:
			bad.flags = FLUIDNPU_SQE_NO_EXIT;
			break;
		case 1:
			bad.as_id = 1;
			break;
		case 2:
			bad.num_samples = 1;
			break;
		case 3:
			bad.program_iova = 64;
			break;
		case 4:
			bad.program_bytes = 64;
			break;
		case 5:
			bad.samples_addr = 64;
			break;
		case 6:
			bad.reserved[1] = 1;
			break;
		case 7:
			bad.stop_layer = 1;
			break;
		}
		tb_submit(tb, 0, &bad);
		tb_drain(tb, 10);
		assert_int_equal(tb_status(tb, 1), FLUIDNPU_ERR_SQE);
		tb_queue_control(tb, 0, FLUIDNPU_QCTRL_RESUME);
	}
	tb_program_free(&p);
	tb_free(tb);
}

static void test_abort_ends_every_job_of_the_stack(void **state)
{
	struct tb_program p;
	struct tb_job jobs[2];
	struct tb *tb = stack_of_two(&p, jobs, false);
	uint64_t when;

	(void)state;
	jobs[0].sqe.cookie = 5;
	tb_submit(tb, 0, &jobs[0].sqe); /* waits */
	when = tb->now += 3;
	tb_queue_control(tb, 0, FLUIDNPU_QCTRL_ABORT);
	tb_drain(tb, 10);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(tb_status(tb, i), FLUIDNPU_ERR_ABORTED);
		assert_true(tb_job_cqe(tb, i)->time == when);
		assert_int_equal(tb_job_cqe(tb, i)->live_batch, 3);
		assert_int_equal(tb_job_cqe(tb, i)->layer, i ? 0 : 6);
	}
	tb_run(tb);
	assert_int_equal(tb_status(tb, 5), FLUIDNPU_OK);
	assert_true(tb_job_cqe(tb, 5)->started == when);
	assert_int_equal(tb->num_cqes, 2 + 4);
	tb_program_free(&p);
	tb_free(tb);
}

static void test_disable_forgets_the_stack(void **state)
{
	struct tb_program p;
	struct tb_job jobs[2];
	struct tb *tb = stack_of_two(&p, jobs, false);

	(void)state;
	tb_queue_control(tb, 0, FLUIDNPU_QCTRL_DISABLE);
	tb_run(tb);
	assert_int_equal(tb->num_cqes, 0);
	assert_int_equal(tb_queue_status(tb, 0), 0);
	tb_queue_enable(tb, 0, 16, 0);
	tb_submit(tb, 0, &jobs[1].sqe); /* nothing to join */
	tb_run(tb);
	assert_int_equal(tb_status(tb, 1), FLUIDNPU_OK);
	assert_int_equal(tb->num_cqes, 4);
	tb_program_free(&p);
	tb_free(tb);
}

/* Who aborts does not want the results; who changes an address space does. */
static void test_only_abort_and_the_like_cancel_the_work(void **state)
{
	struct tb *tb = tb_ready(NULL, TB_DEFERRED);
	struct tb_program p;
	struct tb_job job;

	(void)state;
	tb_net_two_exits(&p, 75, 2.0f);
	tb_program_load(tb, &p, TB_AS);
	tb_queue_enable(tb, 0, 16, 0);
	tb_job_make(tb, &job, &p, TB_AS, 2, 1);
	tb_submit(tb, 0, &job.sqe);
	tb_as_command(tb, TB_AS, FLUIDNPU_AS_CMD_FLUSH);
	assert_int_equal(tb->works_done, 1);
	assert_false(tb->dev->s.work.cancel);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_LATE_EVENTS), 0);
	steps(tb, 2);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_LATE_EVENTS), 1); /* the second one was */
	tb_queue_control(tb, 0, FLUIDNPU_QCTRL_ABORT);
	assert_true(tb->dev->s.work.cancel);
	assert_int_equal(tb->works_done, 3);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_LATE_EVENTS), 1);
	tb_program_free(&p);
	tb_free(tb);
}

/* --- room in the completion ring --------------------------------------------------------- */

/* Makes the device believe that the driver has left it room for @room completions. */
static void leave_room(struct tb *tb, unsigned int room)
{
	const struct fnpu_cq *cq = &tb->dev->s.cq;

	tb_write(tb, FLUIDNPU_REG_DOORBELL_CQ, (cq->tail + 1 + room) % cq->entries);
}

static unsigned int posted_since(const struct tb *tb, uint32_t tail)
{
	return (tb->dev->s.cq.tail + tb->dev->s.cq.entries - tail) % tb->dev->s.cq.entries;
}

/*
 * 8 + 8 samples of two jobs stand before the exit where all leave, a third job waits; one of the
 * first two is called back, or is not, and everything is aborted in the end, or is not.
 * With room for @room completions no more than those may come, and all of them in the end.
 */
static void squeeze(unsigned int room, bool yield, bool abort)
{
	struct fluidnpu_hw_sqe back = tb_yield(9, 1);
	struct tb_program p;
	struct tb_job jobs[4];
	struct tb *tb;
	uint32_t tail;

	tb_net_two_exits(&p, 91, 0.0f);
	tb = tb_new(NULL, TB_INLINE);
	tb_as_enable(tb, TB_AS);
	tb_cq_enable(tb, 64);
	tb_program_load(tb, &p, TB_AS);
	for (unsigned int q = 0; q < 2; q++)
		tb_queue_enable(tb, q, 16, q);
	for (unsigned int i = 0; i < 4; i++)
		tb_job_make(tb, &jobs[i], &p, TB_AS, 8, i);
	jobs[1].sqe.opcode = FLUIDNPU_OP_INJECT;
	tb_submit(tb, 0, &jobs[0].sqe);
	tb_submit(tb, 0, &jobs[1].sqe);
	steps(tb, 3); /* merged at layer 1; the group before that of the exit runs */
	tb_submit(tb, 1, &jobs[3].sqe); /* more urgent */
	if (yield)
		tb_submit(tb, 0, &back);
	tb_submit(tb, 0, &jobs[2].sqe);
	tail = tb->dev->s.cq.tail;
	leave_room(tb, room);
	for (unsigned int i = 0; i < 3 && tb_step(tb); i++)
		assert_true(posted_since(tb, tail) <= room);
	if (abort) {
		tb_queue_control(tb, 0, FLUIDNPU_QCTRL_ABORT);
		tb_queue_control(tb, 1, FLUIDNPU_QCTRL_ABORT);
		assert_true(posted_since(tb, tail) <= room);
	}
	while (tb_step(tb))
		assert_true(posted_since(tb, tail) <= room);
	assert_true(posted_since(tb, tail) <= room);

	tb_write(tb, FLUIDNPU_REG_DOORBELL_CQ, tb->cq_head); /* the truth */
	tb_run(tb);
	for (unsigned int i = 0; i < 4; i++) {
		assert_int_equal(count_cqes(tb, FLUIDNPU_CQE_JOB, i), 1);
		if (tb_status(tb, i) == FLUIDNPU_OK)
			assert_int_equal(count_cqes(tb, FLUIDNPU_CQE_EXIT, i) +
						 count_cqes(tb, FLUIDNPU_CQE_YIELD, i), 8);
	}
	if (yield)
		assert_int_equal(count_cqes(tb, FLUIDNPU_CQE_JOB, 9), 1);
	tb_program_free(&p);
	tb_free(tb);
}

/* The most that an entry can cause: 16 samples, the job that they were of, and the YIELD. */
static void test_yield_of_a_whole_batch_waits_for_room(void **state)
{
	struct fluidnpu_hw_sqe back = tb_yield(9, 1);
	struct tb_program p;
	struct tb_job job;
	struct tb *tb;

	(void)state;
	tb_net_two_exits(&p, 92, 2.0f);
	tb = bench(NULL, &p);
	tb_job_make(tb, &job, &p, TB_AS, 16, 1);
	tb_submit(tb, 0, &job.sqe);
	tb_submit(tb, 0, &back);
	leave_room(tb, 17);
	steps(tb, 2);
	assert_int_equal(tb->dev->s.cq.tail, 0);
	leave_room(tb, 18);
	steps(tb, 1);
	assert_int_equal(tb->dev->s.cq.tail, 18);
	tb_drain(tb, 18);
	assert_int_equal(count_cqes(tb, FLUIDNPU_CQE_YIELD, 1), 16);
	assert_int_equal(tb_status(tb, 1), FLUIDNPU_OK);
	assert_int_equal(tb_status(tb, 9), FLUIDNPU_OK);
	tb_program_free(&p);
	tb_free(tb);
}

/* The most that a group can cause: 16 heads, 16 samples that stop behind it, and their job. */
static void test_heads_and_stops_at_one_boundary_wait_for_room(void **state)
{
	struct tb_program p;
	struct tb_job job;
	struct tb *tb;

	(void)state;
	tb_net_two_exits(&p, 93, 0.0f);
	tb = bench(NULL, &p);
	tb_job_make(tb, &job, &p, TB_AS, 16, 1);
	job.sqe.flags = FLUIDNPU_SQE_NO_EXIT;
	job.sqe.stop_layer = 6;
	tb_submit(tb, 0, &job.sqe);
	leave_room(tb, 32);
	tb_run(tb);
	assert_int_equal(tb->dev->s.cq.tail, 0);
	leave_room(tb, 33);
	tb_run(tb);
	assert_int_equal(tb->dev->s.cq.tail, 33);
	assert_int_equal(count_cqes(tb, FLUIDNPU_CQE_HEAD, 1), 16);
	assert_int_equal(count_cqes(tb, FLUIDNPU_CQE_YIELD, 1), 16);
	assert_int_equal(tb_status(tb, 1), FLUIDNPU_OK);
	tb_program_free(&p);
	tb_free(tb);
}

static void test_no_completion_is_lost_when_the_ring_is_nearly_full(void **state)
{
	(void)state;
	for (unsigned int room = 0; room <= 40; room++)
		for (unsigned int kind = 0; kind < 4; kind++)
			squeeze(room, kind & 1, kind & 2);
}

/* --- counters -------------------------------------------------------------------------- */

static void check_counters_add_up(struct tb *tb)
{
	for (unsigned int c = 0; c < FLUIDNPU_CNT_NUM; c++) {
		uint64_t sum = 0;

		if (c == FLUIDNPU_CNT_IDLE_CYCLES || c == FLUIDNPU_CNT_INTERRUPTS ||
		    c == FLUIDNPU_CNT_LATE_EVENTS)
			continue;
		for (unsigned int q = 0; q < 4; q++)
			sum += tb_queue_counter(tb, q, c);
		assert_true(sum == tb_counter(tb, c));
	}
}

static void test_idle_cycles_are_those_without_work(void **state)
{
	struct tb_program p;
	struct tb_job job;
	uint64_t busy;
	struct tb *tb;

	(void)state;
	tb_net_two_exits(&p, 81, 2.0f);
	tb = bench(NULL, &p);
	tb_job_make(tb, &job, &p, TB_AS, 3, 1);
	busy = tb_span(tb, &p, 0, 11, 3);
	tb->now = 500;
	tb_submit(tb, 0, &job.sqe);
	tb->now = 700;
	job.sqe.cookie = 2;
	tb_submit(tb, 2, &job.sqe); /* waits for the other */
	tb_run(tb);
	tb->now += 300;
	assert_true(tb_counter(tb, FLUIDNPU_CNT_IDLE_CYCLES) == 500 + 300);
	assert_true(tb_queue_counter(tb, 0, FLUIDNPU_CNT_IDLE_CYCLES) == 500 + busy + 300);
	assert_true(tb_queue_counter(tb, 2, FLUIDNPU_CNT_IDLE_CYCLES) == 700 + 300);
	assert_true(tb_queue_counter(tb, 1, FLUIDNPU_CNT_IDLE_CYCLES) == tb->now);
	assert_true(tb_counter(tb, FLUIDNPU_CNT_BUSY_CYCLES) == 2 * busy);
	check_counters_add_up(tb);
	tb_program_free(&p);
	tb_free(tb);
}

static void check_all_time_is_counted(struct tb *tb)
{
	uint64_t per_batch = 0;

	for (unsigned int b = 0; b < FLUIDNPU_MAX_BATCH; b++)
		per_batch += tb_counter(tb, FLUIDNPU_CNT_BATCH + b);
	assert_true(per_batch == tb_counter(tb, FLUIDNPU_CNT_BUSY_CYCLES));
	assert_true(tb_counter(tb, FLUIDNPU_CNT_BUSY_CYCLES) +
		    tb_counter(tb, FLUIDNPU_CNT_IDLE_CYCLES) == tb->now);
	check_counters_add_up(tb);
}

/* The group that runs is cut when it has taken @cycles; returns the stalls that has counted. */
static uint64_t cut_after(struct tb *tb, uint64_t cycles)
{
	const uint64_t busy = tb_counter(tb, FLUIDNPU_CNT_BUSY_CYCLES);
	const uint64_t stall = tb_counter(tb, FLUIDNPU_CNT_STALL_CYCLES);

	tb->now += cycles;
	tb_queue_control(tb, 0, FLUIDNPU_QCTRL_ABORT);
	tb_drain(tb, TB_MAX_CQES);
	assert_true(tb_counter(tb, FLUIDNPU_CNT_BUSY_CYCLES) == busy + cycles);
	check_all_time_is_counted(tb);
	return tb_counter(tb, FLUIDNPU_CNT_STALL_CYCLES) - stall;
}

/* Whatever the NPU does, it is busy or idle: moving activations, or with a group in vain. */
static void test_every_cycle_is_busy_or_idle(void **state)
{
	struct fluidnpu_hw_sqe yield = tb_yield(9, 3);
	uint64_t busy, stall, macs, away;
	struct fnpu_faults faults;
	struct tb_job job, high;
	struct tb_program p;
	struct tb *tb;

	(void)state;
	tb_net_two_exits(&p, 31, 2.0f);
	for (unsigned int l = 0; l < 11; l++)
		p.layers[l].live_bytes = 100000;
	tb = bench(NULL, &p);
	tb_job_make(tb, &job, &p, TB_AS, 8, 1);
	tb_job_make(tb, &high, &p, TB_AS, 1, 2);
	away = moved(8, 100000);

	tb_submit(tb, 0, &job.sqe); /* undisturbed, to know the stalls of its own */
	tb_run(tb);
	tb_submit(tb, 1, &high.sqe);
	tb_run(tb);
	stall = tb_counter(tb, FLUIDNPU_CNT_STALL_CYCLES);
	check_all_time_is_counted(tb);

	tb_submit(tb, 0, &job.sqe); /* preempted */
	steps(tb, 1);
	tb_submit(tb, 1, &high.sqe);
	tb_run(tb);
	assert_true(tb_counter(tb, FLUIDNPU_CNT_STALL_CYCLES) == 2 * stall + 2 * away);
	check_all_time_is_counted(tb);

	job.sqe.cookie = 3; /* handed back; the next one waits for its write-back */
	tb_submit(tb, 0, &job.sqe);
	steps(tb, 1);
	tb_submit(tb, 0, &yield);
	job.sqe.cookie = 4;
	tb_submit(tb, 0, &job.sqe);
	tb_run(tb);
	assert_int_equal(count_cqes(tb, FLUIDNPU_CQE_YIELD, 3), 8);
	check_all_time_is_counted(tb);

	busy = tb_counter(tb, FLUIDNPU_CNT_BUSY_CYCLES);
	macs = tb_counter(tb, FLUIDNPU_CNT_USEFUL_MACS);
	job.sqe.cookie = 5; /* faults at its first write, which the model takes no time for */
	job.samples[0].state_iova = 0x5000;
	tb_submit(tb, 0, &job.sqe);
	tb_run(tb);
	assert_int_equal(tb_status(tb, 5), FLUIDNPU_ERR_MMU_FAULT);
	assert_true(tb_counter(tb, FLUIDNPU_CNT_BUSY_CYCLES) == busy + tb_span(tb, &p, 0, 1, 8));
	assert_true(tb_counter(tb, FLUIDNPU_CNT_USEFUL_MACS) == macs);
	check_all_time_is_counted(tb);
	tb_queue_control(tb, 0, FLUIDNPU_QCTRL_RESUME);

	tb_job_make(tb, &job, &p, TB_AS, 8, 6); /* aborted while it runs */
	tb->now += 500;
	tb_submit(tb, 0, &job.sqe);
	assert_true(cut_after(tb, 100) == 0);
	for (unsigned int i = 0; i < 8; i++) /* while its activations come */
		job.samples[i].start_layer = 3;
	tb_submit(tb, 0, &job.sqe);
	assert_true(cut_after(tb, 100) == 100);
	tb_submit(tb, 0, &job.sqe); /* and behind that, in a group that hangs */
	fnpu_faults_default(&faults);
	faults.hang_layer = 4;
	fnpu_dev_set_faults(tb->dev, &faults);
	tb_run(tb);
	assert_true(cut_after(tb, 1000000) == 0);
	tb_program_free(&p);
	tb_free(tb);
}

static void test_queue_counters_are_what_its_jobs_caused(void **state)
{
	struct tb_program p;
	struct tb_job job;
	struct tb *tb;

	(void)state;
	tb_net_two_exits(&p, 82, 2.0f);
	tb = bench(NULL, &p);
	for (unsigned int q = 0; q < 3; q++) {
		tb_job_make(tb, &job, &p, TB_AS, 2 + q, q);
		tb_submit(tb, q, &job.sqe);
		tb_run(tb);
	}
	for (unsigned int q = 0; q < 3; q++) {
		assert_int_equal(tb_queue_counter(tb, q, FLUIDNPU_CNT_JOBS), 1);
		assert_int_equal(tb_queue_counter(tb, q, FLUIDNPU_CNT_SAMPLES), 2 + q);
		assert_int_equal(tb_queue_counter(tb, q, FLUIDNPU_CNT_EXITS + 1), 2 + q);
		assert_true(tb_queue_counter(tb, q, FLUIDNPU_CNT_BUSY_CYCLES) ==
			    tb_span(tb, &p, 0, 11, 2 + q));
		assert_int_equal(tb_queue_counter(tb, q, FLUIDNPU_CNT_INTERRUPTS), 0);
	}
	assert_int_equal(tb_queue_counter(tb, 3, FLUIDNPU_CNT_JOBS), 0);
	check_counters_add_up(tb);
	/* each weight byte is used once per sample; they are read once per pass */
	assert_true(tb_counter(tb, FLUIDNPU_CNT_WEIGHT_USED_BYTES) ==
		    (2 + 3 + 4) * (216 + 576 + 80 + 1152 + 160));
	assert_true(tb_counter(tb, FLUIDNPU_CNT_WEIGHT_BYTES) <
		    tb_counter(tb, FLUIDNPU_CNT_WEIGHT_USED_BYTES));
	tb_program_free(&p);
	tb_free(tb);
}

static void test_counters_stop_at_their_end(void **state)
{
	struct fnpu_config config;
	struct tb_program p;
	struct tb_job job;
	struct tb *tb;

	(void)state;
	fnpu_config_default(&config);
	config.functional = false;
	config.geometry.tile_rows = 65536;
	config.geometry.tile_cols = 65536;
	config.geometry.tile_depth = 65536;
	config.geometry.layer_overhead_cycles = UINT32_MAX;
	tb_net_two(&p, 83);
	tb = bench(&config, &p);
	tb_job_make(tb, &job, &p, TB_AS, 1, 1);
	tb_submit(tb, 0, &job.sqe);
	tb_run(tb);
	assert_int_equal(tb_status(tb, 1), FLUIDNPU_OK);
	/* 2 * 2^32 cycles or more, of 2^32 multipliers each */
	assert_true(tb_counter(tb, FLUIDNPU_CNT_OFFERED_MACS) == UINT64_MAX);
	assert_true(tb_queue_counter(tb, 0, FLUIDNPU_CNT_OFFERED_MACS) == UINT64_MAX);
	tb_program_free(&p);
	tb_free(tb);
}

/* --- everything at once ---------------------------------------------------------------- */

#define WORLD_SAMPLES 32
#define WORLD_ENTRIES 4096

/* A sample, and where it is now. */
struct traveller {
	struct fluidnpu_hw_sample hw;
	int8_t *state, *logits;
	struct outcome want;
	enum { IDLE, AWAY, ARRIVED } where;
	uint32_t layer; /* IDLE: where it goes on */
	uint64_t trip; /* AWAY: on which */
};

/* An entry that was submitted. */
struct trip {
	bool ended;
	unsigned int queue, num, left; /* of its members, who have been seen leaving */
	unsigned int members[FLUIDNPU_MAX_BATCH];
};

struct world {
	struct tb *tb;
	struct tb_program p;
	struct tb_rng rng;
	struct tb_job jobs[WORLD_SAMPLES / 8];
	struct traveller travellers[WORLD_SAMPLES];
	struct trip trips[WORLD_ENTRIES];
	unsigned int num_trips, open; /* entries so far; those that have not ended */
	unsigned int exits, yields;
	uint64_t table; /* sample tables, one per entry of all rings */
};

static struct world *world_new(uint64_t seed, uint32_t depth, enum tb_worker worker)
{
	struct world *w = calloc(1, sizeof(*w));
	struct fnpu_config config = with_depth(depth);

	assert_non_null(w);
	w->rng.state = seed;
	random_net(&w->p, &w->rng);
	w->tb = tb_new(&config, worker);
	tb_as_enable(w->tb, TB_AS);
	tb_cq_enable(w->tb, 64); /* the smallest */
	tb_program_load(w->tb, &w->p, TB_AS);
	for (unsigned int q = 0; q < 4; q++)
		tb_queue_enable(w->tb, q, 64, tb_range(&w->rng, 0, 2));
	w->table = tb_alloc(w->tb, WORLD_ENTRIES * 4 * sizeof(struct fluidnpu_hw_sample), 64);
	for (unsigned int i = 0; i < WORLD_SAMPLES; i++) {
		struct tb_job *job = &w->jobs[i / 8];
		struct outcome want[8];

		if (i % 8 == 0) {
			tb_job_make(w->tb, job, &w->p, TB_AS, 8, i);
			for (unsigned int l = 0; !i && l + 1 < w->p.header.num_layers; l++)
				if (w->p.layers[l].op == FLUIDNPU_LAYER_EXIT)
					set_threshold(w->tb, &w->p, job, l);
			run_alone(w->tb, &w->p, job, want);
			for (unsigned int j = 0; j < 8; j++)
				w->travellers[i + j].want = want[j];
		}
		w->travellers[i].hw = job->samples[i % 8];
		w->travellers[i].state = job->states[i % 8];
		w->travellers[i].logits = job->logits[i % 8];
	}
	return w;
}

static void world_free(struct world *w)
{
	tb_program_free(&w->p);
	tb_free(w->tb);
	free(w);
}

static struct trip *new_trip(struct world *w, unsigned int queue, struct fluidnpu_hw_sqe *sqe)
{
	struct trip *t = &w->trips[w->num_trips];

	assert_true(w->num_trips < WORLD_ENTRIES);
	t->queue = queue;
	sqe->cookie = w->num_trips++;
	w->open++;
	return t;
}

/* Sends up to four idle samples that are at the same layer. */
static void send(struct world *w)
{
	unsigned int first = tb_range(&w->rng, 0, WORLD_SAMPLES - 1);
	unsigned int wanted = tb_range(&w->rng, 1, 4), queue = tb_range(&w->rng, 0, 3);
	uint64_t table = w->table + w->num_trips * 4 * sizeof(struct fluidnpu_hw_sample);
	struct fluidnpu_hw_sample *to = tb_ptr(w->tb, table, 4 * sizeof(*to));
	struct fluidnpu_hw_sqe sqe = w->jobs[0].sqe;
	struct trip *t;

	if (w->travellers[first].where != IDLE)
		return;
	t = new_trip(w, queue, &sqe);
	for (unsigned int i = first; i < WORLD_SAMPLES && t->num < wanted; i++) {
		struct traveller *v = &w->travellers[i];

		if (v->where != IDLE || v->layer != w->travellers[first].layer)
			continue;
		v->where = AWAY;
		v->trip = sqe.cookie;
		to[t->num] = v->hw;
		to[t->num].start_layer = v->layer;
		t->members[t->num++] = i;
	}
	sqe.opcode = tb_range(&w->rng, 0, 3) ? FLUIDNPU_OP_INJECT : FLUIDNPU_OP_RUN;
	if (!tb_range(&w->rng, 0, 3))
		sqe.stop_layer = tb_range(&w->rng, 1, w->p.header.num_layers);
	sqe.num_samples = t->num;
	sqe.samples_addr = table;
	tb_submit(w->tb, queue, &sqe);
}

/* Asks for any entry so far back, in flight or not; on its own queue. */
static void call_back(struct world *w)
{
	struct fluidnpu_hw_sqe sqe;
	unsigned int target;

	if (!w->num_trips)
		return;
	target = w->num_trips - 1 - tb_range(&w->rng, 0, w->num_trips < 8 ? w->num_trips - 1 : 7);
	sqe = tb_yield(0, target);
	new_trip(w, w->trips[target].queue, &sqe);
	tb_submit(w->tb, w->trips[target].queue, &sqe);
}

static void see_exit(struct world *w, const struct fluidnpu_hw_cqe *cqe)
{
	struct traveller *v = &w->travellers[w->trips[cqe->cookie].members[cqe->sample]];

	assert_true(v->where == AWAY && v->trip == cqe->cookie);
	check_outcome(&w->p, cqe, v->logits, &v->want);
	v->where = ARRIVED;
	w->trips[cqe->cookie].left++;
	w->exits++;
}

static void see_yield(struct world *w, const struct fluidnpu_hw_cqe *cqe)
{
	struct traveller *v = &w->travellers[w->trips[cqe->cookie].members[cqe->sample]];

	assert_true(v->where == AWAY && v->trip == cqe->cookie);
	v->where = IDLE;
	v->layer = cqe->layer;
	w->trips[cqe->cookie].left++;
	w->yields++;
}

static void see_end(struct world *w, const struct fluidnpu_hw_cqe *cqe)
{
	struct trip *t = &w->trips[cqe->cookie];

	t->ended = true;
	w->open--;
	if (cqe->status == FLUIDNPU_OK) {
		assert_int_equal(t->left, t->num);
		return;
	}
	assert_int_equal(cqe->status, FLUIDNPU_ERR_ABORTED);
	assert_true(!cqe->live_batch || cqe->live_batch == t->num - t->left);
	for (unsigned int i = 0; i < t->num; i++) {
		struct traveller *v = &w->travellers[t->members[i]];

		/* nobody knows how far those came that had not left: they start again */
		if (v->where == AWAY && v->trip == cqe->cookie) {
			v->where = IDLE;
			v->layer = 0;
		}
	}
}

static void look(struct world *w, unsigned int max)
{
	struct tb *tb = w->tb;

	tb->num_cqes = 0;
	tb_drain(tb, max);
	for (unsigned int i = 0; i < tb->num_cqes; i++) {
		const struct fluidnpu_hw_cqe *cqe = &tb->cqes[i];

		assert_true(cqe->cookie < w->num_trips);
		assert_int_equal(cqe->queue, w->trips[cqe->cookie].queue);
		assert_false(w->trips[cqe->cookie].ended);
		if (cqe->type == FLUIDNPU_CQE_EXIT)
			see_exit(w, cqe);
		else if (cqe->type == FLUIDNPU_CQE_YIELD)
			see_yield(w, cqe);
		else
			see_end(w, cqe);
	}
}

/* Who has arrived sets out again, but not when the world is to end. */
static void set_out_again(struct world *w)
{
	for (unsigned int i = 0; i < WORLD_SAMPLES; i++) {
		struct traveller *v = &w->travellers[i];

		if (v->where != ARRIVED)
			continue;
		v->where = IDLE;
		v->layer = 0;
		memset(v->logits, 0, w->p.header.logits_bytes);
	}
}

static void act(struct world *w)
{
	struct tb *tb = w->tb;
	const unsigned int dice = tb_range(&w->rng, 0, 99), queue = tb_range(&w->rng, 0, 3);

	if (dice < 35) {
		if (w->open < 40)
			send(w);
	} else if (dice < 42) {
		if (w->open < 40)
			call_back(w);
	} else if (dice < 44) {
		tb_queue_control(tb, queue, FLUIDNPU_QCTRL_ABORT);
	} else if (dice < 46) {
		tb_write(tb, FLUIDNPU_REG_QUEUE(queue) + FLUIDNPU_QREG_PRIORITY,
			 tb_range(&w->rng, 0, 2));
	} else if (dice < 50) {
		tb->now += tb_range(&w->rng, 0, 300);
		fnpu_dev_advance(tb->dev, tb->now);
	} else if (dice < 65) {
		look(w, tb_range(&w->rng, 1, 30));
	} else if (dice < 70) {
		set_out_again(w);
	} else {
		tb_step(tb);
	}
}

static void live(uint64_t seed, uint32_t depth, enum tb_worker worker)
{
	struct world *w = world_new(seed, depth, worker);
	uint64_t jobs = tb_counter(w->tb, FLUIDNPU_CNT_JOBS), exits = 0;
	uint64_t exits_before = tb_counter(w->tb, FLUIDNPU_CNT_EXITS) +
				tb_counter(w->tb, FLUIDNPU_CNT_EXITS + 1);

	for (unsigned int i = 0; i < 600; i++)
		act(w);
	/* in the end everybody arrives */
	for (unsigned int left = 1, i = 0; left || w->open; i++) {
		assert_true(i < 100000);
		if (w->open < 40)
			send(w);
		look(w, 7);
		tb_step(w->tb);
		left = 0;
		for (unsigned int j = 0; j < WORLD_SAMPLES; j++)
			left += w->travellers[j].where != ARRIVED;
	}
	assert_false(tb_step(w->tb));
	assert_true(tb_counter(w->tb, FLUIDNPU_CNT_JOBS) - jobs == w->num_trips);
	assert_true(tb_counter(w->tb, FLUIDNPU_CNT_YIELDS) == w->yields);
	for (unsigned int i = 0; i < FLUIDNPU_MAX_EXITS; i++)
		exits += tb_counter(w->tb, FLUIDNPU_CNT_EXITS + i);
	assert_true(exits - exits_before == w->exits);
	check_counters_add_up(w->tb);
	for (unsigned int q = 0; q < 4; q++)
		assert_int_equal(tb_queue_status(w->tb, q), FLUIDNPU_QSTATUS_ENABLED);
	assert_int_equal(w->tb->bus_errors, 0);
	world_free(w);
}

static void test_no_sample_is_lost_or_doubled_whatever_happens(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 30; seed++)
		live(seed, seed % 4, TB_INLINE);
}

static void test_the_same_with_a_worker_thread(void **state)
{
	(void)state;
	for (uint64_t seed = 101; seed <= 106; seed++)
		live(seed, 2, TB_THREAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_injected_samples_yield_what_they_yield_alone),
		cmocka_unit_test(test_injected_batch_catches_up_and_merges_at_the_modelled_time),
		cmocka_unit_test(test_inject_at_the_running_layer_joins_at_once),
		cmocka_unit_test(test_inject_at_the_running_layer_that_does_not_fit_is_cut),
		cmocka_unit_test(test_inject_from_a_later_layer_waits_for_the_batch),
		cmocka_unit_test(test_capped_merge_leaves_the_rest_on_the_stack),
		cmocka_unit_test(test_batch_that_comes_back_to_the_top_merges),
		cmocka_unit_test(test_three_batches_at_a_layer_become_one),
		cmocka_unit_test(test_full_batch_is_passed_by_nobody),
		cmocka_unit_test(test_catching_up_with_fewer_after_exits),
		cmocka_unit_test(test_injects_nest_up_to_the_depth_of_the_stack),
		cmocka_unit_test(test_inject_waits_while_the_stack_is_full),
		cmocka_unit_test(test_without_a_stack_an_inject_is_a_run),
		cmocka_unit_test(
			test_inject_of_another_program_runs_later_and_so_does_what_is_behind),
		cmocka_unit_test(test_no_exit_holds_for_one_job_of_a_merged_batch),
		cmocka_unit_test(test_yielded_samples_go_on_in_any_company),
		cmocka_unit_test(test_yield_names_the_layer_and_writes_the_state_back),
		cmocka_unit_test(test_a_job_stops_at_its_layer_and_others_go_on),
		cmocka_unit_test(test_stops_out_of_the_way),
		cmocka_unit_test(test_job_starts_with_its_first_group),
		cmocka_unit_test(test_yield_of_what_is_not_in_flight_does_nothing),
		cmocka_unit_test(test_yield_takes_samples_from_anywhere_on_the_stack),
		cmocka_unit_test(test_preempted_queue_yields_at_the_next_boundary_of_the_other),
		cmocka_unit_test(test_each_pass_of_a_batch_is_moved_or_not),
		cmocka_unit_test(test_preempted_queue_keeps_its_stack),
		cmocka_unit_test(test_merged_batch_is_preempted_before_it_runs),
		cmocka_unit_test(test_fault_while_catching_up_spares_the_preempted),
		cmocka_unit_test(test_fault_of_a_merged_batch_ends_all_its_jobs),
		cmocka_unit_test(test_fault_takes_a_job_out_of_the_whole_stack),
		cmocka_unit_test(test_bad_inject_ends_alone_and_the_batch_goes_on_after_resume),
		cmocka_unit_test(test_bad_yield_is_an_error),
		cmocka_unit_test(test_abort_ends_every_job_of_the_stack),
		cmocka_unit_test(test_disable_forgets_the_stack),
		cmocka_unit_test(test_only_abort_and_the_like_cancel_the_work),
		cmocka_unit_test(test_yield_of_a_whole_batch_waits_for_room),
		cmocka_unit_test(test_heads_and_stops_at_one_boundary_wait_for_room),
		cmocka_unit_test(test_no_completion_is_lost_when_the_ring_is_nearly_full),
		cmocka_unit_test(test_idle_cycles_are_those_without_work),
		cmocka_unit_test(test_every_cycle_is_busy_or_idle),
		cmocka_unit_test(test_queue_counters_are_what_its_jobs_caused),
		cmocka_unit_test(test_counters_stop_at_their_end),
		cmocka_unit_test(test_no_sample_is_lost_or_doubled_whatever_happens),
		cmocka_unit_test(test_the_same_with_a_worker_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
