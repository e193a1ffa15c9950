// SPDX-License-Identifier: MIT
/*
 * The Fluid Batching Engine: jobs through the device, early exits, preemption, aborts, and
 * the exact device time at which each takes effect.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core_host.h"

static float to_float(uint32_t u)
{
	float f;

	memcpy(&f, &u, sizeof(f));
	return f;
}

static uint32_t to_bits(float f)
{
	uint32_t u;

	memcpy(&u, &f, sizeof(u));
	return u;
}

/* Runs the oracle on sample @i of a job from its input. */
static void expect_sample(const struct tb_program *p, const struct tb_job *job, unsigned int i,
			  struct ref_head heads[FLUIDNPU_MAX_EXITS], int8_t *logits)
{
	int8_t *state = calloc(1, p->header.state_bytes);

	assert_non_null(state);
	ref_run(p, 0, p->header.num_layers, job->inputs[i], state, logits, heads);
	free(state);
}

static void check_head(const struct fluidnpu_hw_cqe *cqe, const struct ref_head *want)
{
	assert_int_equal(cqe->class_index, want->class_index);
	assert_true(fabs(to_float(cqe->confidence) - want->confidence) < 1e-6);
	assert_true(fabs(to_float(cqe->entropy) - want->entropy) < 1e-6);
	assert_true(fabs(to_float(cqe->margin) - want->margin) < 1e-6);
}

/* --- jobs ------------------------------------------------------------------------ */

static void test_two_layers_end_to_end_at_the_modelled_time(void **state)
{
	struct tb *tb = tb_ready(NULL, TB_INLINE);
	const struct fluidnpu_hw_cqe *exit, *end;
	struct ref_head heads[FLUIDNPU_MAX_EXITS];
	struct tb_program p;
	struct tb_job job;
	int8_t logits[5];
	uint64_t cycles;

	(void)state;
	tb_net_two(&p, 1);
	tb_program_load(tb, &p, TB_AS);
	tb_queue_enable(tb, 0, 16, 0);
	tb_job_make(tb, &job, &p, TB_AS, 1, 7);
	tb->now = 1000;
	tb_submit(tb, 0, &job.sqe);
	assert_int_equal(tb_queue_status(tb, 0),
			 FLUIDNPU_QSTATUS_ENABLED | FLUIDNPU_QSTATUS_RUNNING);
	tb->now = 1100;
	job.sqe.cookie = 8;
	tb_submit(tb, 0, &job.sqe);

	/*
	 * By hand: conv R = 1, P = 108, C = 5: 7 depth folds of 128 cycles, 540 + 108 bytes take
	 * 41; exit: 5 elements in 1 cycle, 5 bytes in 1; 256 cycles of overhead each.
	 */
	cycles = 7 * 128 + 256 + 1 + 256;
	assert_true(cycles == tb_span(tb, &p, 0, 2, 1));
	tb_run(tb);

	expect_sample(&p, &job, 0, heads, logits);
	assert_int_equal(tb->num_cqes, 4);
	exit = tb_exit_cqe(tb, 7, 0);
	end = tb_job_cqe(tb, 7);
	assert_true(exit && end);
	check_head(exit, &heads[0]);
	assert_memory_equal(job.logits[0], logits, 5);
	assert_int_equal(exit->exit_index, 0);
	assert_int_equal(exit->live_batch, 1);
	assert_int_equal(exit->layer, 1);
	assert_true(exit->time == 1000 + cycles && end->time == 1000 + cycles);
	assert_true(exit->queued == 1000 && exit->started == 1000);
	assert_true(end->queued == 1000 && end->started == 1000);
	assert_int_equal(end->status, FLUIDNPU_OK);

	end = tb_job_cqe(tb, 8); /* waited for the first */
	assert_non_null(end);
	assert_true(end->queued == 1100);
	assert_true(end->started == 1000 + cycles);
	assert_true(end->time == 1000 + 2 * cycles);
	assert_int_equal(tb_queue_status(tb, 0), FLUIDNPU_QSTATUS_ENABLED);
	tb_program_free(&p);
	tb_free(tb);
}

/* A batch through all operations; @worker must not matter. */
static void run_batches(enum tb_worker worker)
{
	struct tb *tb = tb_ready(NULL, worker);
	struct tb_program p;

	tb_net_two_exits(&p, 5, 2.0f); /* nobody leaves early */
	tb_program_load(tb, &p, TB_AS);
	tb_queue_enable(tb, 0, 16, 0);
	for (unsigned int n = 1; n <= 16; n += 3) {
		uint64_t start = tb->now;
		struct tb_job job;

		tb_job_make(tb, &job, &p, TB_AS, n, n);
		tb_submit(tb, 0, &job.sqe);
		tb_run(tb);
		assert_int_equal(tb_status(tb, n), FLUIDNPU_OK);
		assert_true(tb_job_cqe(tb, n)->time == start + tb_span(tb, &p, 0, 11, n));
		assert_int_equal(tb_job_cqe(tb, n)->layer, 11);
		for (unsigned int i = 0; i < n; i++) {
			const struct fluidnpu_hw_cqe *cqe = tb_exit_cqe(tb, n, i);
			struct ref_head heads[FLUIDNPU_MAX_EXITS];
			int8_t logits[20];

			expect_sample(&p, &job, i, heads, logits);
			assert_memory_equal(job.logits[i], logits, 20);
			assert_non_null(cqe);
			assert_int_equal(cqe->exit_index, 1);
			assert_int_equal(cqe->live_batch, n);
			check_head(cqe, &heads[1]);
		}
	}
	if (worker == TB_INLINE)
		assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_LATE_EVENTS), 0);
	if (worker == TB_DEFERRED)
		assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_LATE_EVENTS), 6 * 7);
	tb_program_free(&p);
	tb_free(tb);
}

static void test_batches_equal_the_oracle(void **state)
{
	(void)state;
	run_batches(TB_INLINE);
}

static void test_device_clock_stands_still_for_a_worker_that_nobody_waits_for(void **state)
{
	struct tb *tb = tb_ready(NULL, TB_HELD);
	const uint64_t start = 1000;
	struct tb_program p;
	struct tb_job job;
	uint64_t group_end;

	(void)state;
	tb_net_two_exits(&p, 5, 2.0f);
	tb_program_load(tb, &p, TB_AS);
	tb_queue_enable(tb, 0, 16, 0);
	tb_job_make(tb, &job, &p, TB_AS, 4, 1);
	tb->now = start;
	tb_submit(tb, 0, &job.sqe);
	group_end = fnpu_dev_deadline(tb->dev);
	assert_true(group_end > start && group_end != FNPU_NEVER);

	tb->now = start + 10000000; /* long after the whole job's modelled end */
	assert_true(tb_read64(tb, FLUIDNPU_REG_TIME_LO) == group_end);
	assert_true(fnpu_dev_deadline(tb->dev) == FNPU_NEVER);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_LATE_EVENTS), 1);

	for (unsigned int i = 0; i < 7; i++) {
		tb_drain(tb, TB_MAX_CQES);
		assert_null(tb_job_cqe(tb, 1));
		tb_finish_work(tb);
	}
	tb_drain(tb, TB_MAX_CQES);
	assert_int_equal(tb_status(tb, 1), FLUIDNPU_OK);
	assert_true(tb_job_cqe(tb, 1)->time == start + tb_span(tb, &p, 0, 11, 4));
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_LATE_EVENTS), 7);
	assert_true(tb_read64(tb, FLUIDNPU_REG_TIME_LO) == tb->now);
	tb_program_free(&p);
	tb_free(tb);
}

static void test_late_worker_changes_neither_results_nor_times(void **state)
{
	(void)state;
	run_batches(TB_DEFERRED);
}

static void test_worker_thread_changes_neither_results_nor_times(void **state)
{
	(void)state;
	run_batches(TB_THREAD);
}

/* A threshold that about half of the samples of the job reach at exit 0. */
static float median(const struct tb_program *p, const struct tb_job *job, unsigned int n,
		    unsigned int criterion, bool *early)
{
	double values[FLUIDNPU_MAX_BATCH] = { 0 }, sorted[FLUIDNPU_MAX_BATCH] = { 0 };
	float threshold;

	for (unsigned int i = 0; i < n; i++) {
		struct ref_head heads[FLUIDNPU_MAX_EXITS];
		int8_t logits[20];

		expect_sample(p, job, i, heads, logits);
		values[i] = criterion == FLUIDNPU_EXIT_CONFIDENCE ? heads[0].confidence
			    : criterion == FLUIDNPU_EXIT_ENTROPY  ? heads[0].entropy
								  : heads[0].margin;
		sorted[i] = values[i];
		for (unsigned int j = i; j && sorted[j] < sorted[j - 1]; j--) {
			double t = sorted[j];

			sorted[j] = sorted[j - 1];
			sorted[j - 1] = t;
		}
	}
	threshold = (float)((sorted[n / 2 - 1] + sorted[n / 2]) / 2);
	for (unsigned int i = 0; i < n; i++)
		early[i] = criterion == FLUIDNPU_EXIT_ENTROPY ? values[i] <= threshold
							      : values[i] >= threshold;
	return threshold;
}

static void early_exits(unsigned int criterion)
{
	const unsigned int n = 12;
	struct tb *tb = tb_ready(NULL, TB_INLINE);
	unsigned int left = 0;
	struct tb_program p;
	struct tb_job job;
	uint64_t at_exit;
	bool early[FLUIDNPU_MAX_BATCH];

	tb_net_two_exits(&p, 6, 0.0f);
	tb_program_load(tb, &p, TB_AS);
	tb_queue_enable(tb, 0, 16, 0);
	tb_job_make(tb, &job, &p, TB_AS, n, 1);
	p.layers[5].threshold = to_bits(median(&p, &job, n, criterion, early));
	p.layers[5].exit_criterion = criterion;
	tb_program_update(tb, &p);

	tb_submit(tb, 0, &job.sqe);
	tb_run(tb);
	at_exit = tb_span(tb, &p, 0, 6, n);
	for (unsigned int i = 0; i < n; i++) {
		const struct fluidnpu_hw_cqe *cqe = tb_exit_cqe(tb, 1, i);

		assert_non_null(cqe);
		assert_int_equal(cqe->exit_index, !early[i]);
		if (early[i])
			assert_true(cqe->time == at_exit);
		else
			left++;
		assert_int_equal(cqe->live_batch, early[i] ? n : n / 2);
	}
	assert_int_equal(left, n / 2);
	/* the others go on as a smaller batch, at its cost */
	assert_true(tb_job_cqe(tb, 1)->time == at_exit + tb_span(tb, &p, 6, 11, left));
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_EXITS), n - left);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_EXITS + 1), left);
	assert_true(tb_counter(tb, FLUIDNPU_CNT_BATCH + n - 1) == at_exit);
	assert_true(tb_counter(tb, FLUIDNPU_CNT_BATCH + left - 1) == tb_span(tb, &p, 6, 11, left));
	tb_program_free(&p);
	tb_free(tb);
}

static void test_confident_samples_leave_and_the_batch_shrinks(void **state)
{
	(void)state;
	early_exits(FLUIDNPU_EXIT_CONFIDENCE);
}

static void test_low_entropy_samples_leave(void **state)
{
	(void)state;
	early_exits(FLUIDNPU_EXIT_ENTROPY);
}

static void test_large_margin_samples_leave(void **state)
{
	(void)state;
	early_exits(FLUIDNPU_EXIT_MARGIN);
}

static void test_batch_that_leaves_together_ends_the_job(void **state)
{
	struct tb *tb = tb_ready(NULL, TB_INLINE);
	struct tb_program p;
	struct tb_job job;

	(void)state;
	tb_net_two_exits(&p, 6, 0.0f); /* everybody reaches it */
	tb_program_load(tb, &p, TB_AS);
	tb_queue_enable(tb, 0, 16, 0);
	tb_job_make(tb, &job, &p, TB_AS, 5, 1);
	tb_submit(tb, 0, &job.sqe);
	tb_run(tb);
	assert_int_equal(tb->num_cqes, 6);
	assert_true(tb_job_cqe(tb, 1)->time == tb_span(tb, &p, 0, 6, 5));
	assert_int_equal(tb_job_cqe(tb, 1)->layer, 6);
	tb_program_free(&p);
	tb_free(tb);
}

static void test_no_exit_heads_report_and_samples_run_on(void **state)
{
	struct tb *tb = tb_ready(NULL, TB_INLINE);
	struct ref_head heads[FLUIDNPU_MAX_EXITS];
	unsigned int reports = 0;
	struct tb_program p;
	struct tb_job job;
	int8_t logits[20];

	(void)state;
	tb_net_two_exits(&p, 7, 0.0f);
	tb_program_load(tb, &p, TB_AS);
	tb_queue_enable(tb, 0, 16, 0);
	tb_job_make(tb, &job, &p, TB_AS, 4, 1);
	job.sqe.flags = FLUIDNPU_SQE_NO_EXIT;
	tb_submit(tb, 0, &job.sqe);
	tb_run(tb);
	for (unsigned int i = 0; i < tb->num_cqes; i++) {
		const struct fluidnpu_hw_cqe *cqe = &tb->cqes[i];

		if (cqe->type == FLUIDNPU_CQE_JOB)
			continue;
		expect_sample(&p, &job, cqe->sample, heads, logits);
		assert_int_equal(cqe->exit_index, cqe->type == FLUIDNPU_CQE_EXIT);
		check_head(cqe, &heads[cqe->exit_index]);
		assert_memory_equal(job.logits[cqe->sample], logits, 20);
		reports += cqe->type == FLUIDNPU_CQE_HEAD;
	}
	assert_int_equal(reports, 4);
	assert_int_equal(tb->num_cqes, 9);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_EXITS), 0);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_EXITS + 1), 4);
	assert_true(tb_job_cqe(tb, 1)->time == tb_span(tb, &p, 0, 11, 4));
	tb_program_free(&p);
	tb_free(tb);
}

static void test_logits_are_optional(void **state)
{
	struct tb *tb = tb_ready(NULL, TB_INLINE);
	struct ref_head heads[FLUIDNPU_MAX_EXITS];
	struct tb_program p;
	struct tb_job job;
	int8_t logits[5], untouched[5] = { 0 };

	(void)state;
	tb_net_two(&p, 8);
	tb_program_load(tb, &p, TB_AS);
	tb_queue_enable(tb, 0, 16, 0);
	tb_job_make(tb, &job, &p, TB_AS, 2, 1);
	job.samples[1].logits_iova = 0;
	tb_submit(tb, 0, &job.sqe);
	tb_run(tb);
	expect_sample(&p, &job, 0, heads, logits);
	assert_memory_equal(job.logits[0], logits, 5);
	assert_memory_equal(job.logits[1], untouched, 5);
	expect_sample(&p, &job, 1, heads, logits);
	check_head(tb_exit_cqe(tb, 1, 1), &heads[0]);
	tb_program_free(&p);
	tb_free(tb);
}

/* Samples that the oracle, or another job, took to a layer go on from there. */
static void test_starting_in_the_middle_equals_running_through(void **state)
{
	struct tb *tb = tb_ready(NULL, TB_INLINE);
	unsigned int starts[TB_MAX_LAYERS], n;
	struct tb_program p;

	(void)state;
	tb_net_two_exits(&p, 9, 2.0f);
	tb_program_load(tb, &p, TB_AS);
	tb_queue_enable(tb, 0, 16, 0);
	n = tb_groups(&p, starts);
	assert_int_equal(n, 7);
	for (unsigned int g = 0; g < n; g++) {
		uint64_t start = tb->now, load = 0;
		struct tb_job job;

		tb_job_make(tb, &job, &p, TB_AS, 3, g);
		for (unsigned int i = 0; i < 3; i++) {
			struct ref_head heads[FLUIDNPU_MAX_EXITS];

			job.samples[i].start_layer = starts[g];
			ref_run(&p, 0, starts[g], job.inputs[i], job.states[i], job.logits[i],
				heads);
		}
		tb_submit(tb, 0, &job.sqe);
		tb_run(tb);
		assert_int_equal(tb_status(tb, g), FLUIDNPU_OK);
		if (g) /* what the layers before left is in DRAM */
			load = (3 * p.layers[starts[g]].live_bytes * 1024 + 16383) / 16384;
		assert_true(tb_job_cqe(tb, g)->time ==
			    start + load + tb_span(tb, &p, starts[g], 11, 3));
		for (unsigned int i = 0; i < 3; i++) {
			struct ref_head heads[FLUIDNPU_MAX_EXITS];
			int8_t logits[20];

			expect_sample(&p, &job, i, heads, logits);
			check_head(tb_exit_cqe(tb, g, i), &heads[1]);
			assert_memory_equal(job.logits[i], logits, 20);
		}
	}
	tb_program_free(&p);
	tb_free(tb);
}

/* --- priorities ------------------------------------------------------------------ */

static void test_higher_priority_preempts_at_a_group_boundary(void **state)
{
	struct tb *tb = tb_ready(NULL, TB_INLINE);
	struct tb_job low, high;
	struct tb_program p;
	uint64_t first, moved, resident;

	(void)state;
	tb_net_two_exits(&p, 10, 2.0f);
	for (unsigned int l = 0; l < 11; l++)
		p.layers[l].live_bytes = 1000 + l;
	tb_program_load(tb, &p, TB_AS);
	tb_queue_enable(tb, 0, 16, 1);
	tb_queue_enable(tb, 1, 16, 9);
	tb_job_make(tb, &low, &p, TB_AS, 6, 100);
	tb_job_make(tb, &high, &p, TB_AS, 2, 200);
	tb_submit(tb, 0, &low.sqe);
	tb_step(tb); /* group 0 has ended, {1, 2} runs */
	tb->now += 1;
	tb_submit(tb, 1, &high.sqe); /* in its middle */
	tb_run(tb);

	first = tb_span(tb, &p, 0, 3, 6);
	resident = 6 * p.layers[1].live_bytes;
	moved = (resident * 1024 + 16383) / 16384; /* cycles, each way */
	assert_true(tb_job_cqe(tb, 200)->started == first);
	assert_true(tb_job_cqe(tb, 200)->time == first + moved + tb_span(tb, &p, 0, 11, 2));
	assert_true(tb_job_cqe(tb, 100)->time ==
		    first + 2 * moved + tb_span(tb, &p, 0, 11, 2) + tb_span(tb, &p, 3, 11, 6));
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_PREEMPTIONS), 1);

	/* both moves are in the DRAM counters, on top of the layers' own traffic */
	{
		unsigned int starts[TB_MAX_LAYERS], n = tb_groups(&p, starts);
		uint64_t read = resident, written = resident;

		for (unsigned int i = 0; i < n; i++) {
			for (unsigned int b = 2; b <= 6; b += 4) {
				struct fnpu_cost c = tb_group_cost(tb, &p, starts[i], b);

				read += c.weight_bytes + c.act_read_bytes;
				written += c.act_write_bytes;
			}
		}
		assert_true(tb_counter(tb, FLUIDNPU_CNT_DRAM_READ_BYTES) == read);
		assert_true(tb_counter(tb, FLUIDNPU_CNT_DRAM_WRITE_BYTES) == written);
	}
	for (unsigned int i = 0; i < 6; i++) { /* its numbers are those of an undisturbed run */
		struct ref_head heads[FLUIDNPU_MAX_EXITS];
		int8_t logits[20];

		expect_sample(&p, &low, i, heads, logits);
		check_head(tb_exit_cqe(tb, 100, i), &heads[1]);
		assert_memory_equal(low.logits[i], logits, 20);
	}
	tb_program_free(&p);
	tb_free(tb);
}

static void test_preemption_moves_nothing_that_had_spilled_already(void **state)
{
	struct tb *tb = tb_ready(NULL, TB_INLINE);
	struct tb_job low, high;
	struct tb_program p;

	(void)state;
	tb_net_two_exits(&p, 10, 2.0f);
	for (unsigned int l = 0; l < 11; l++)
		p.layers[l].live_bytes = 1 << 20; /* three do not fit, one does */
	tb_program_load(tb, &p, TB_AS);
	tb_queue_enable(tb, 0, 16, 1);
	tb_queue_enable(tb, 1, 16, 9);
	tb_job_make(tb, &low, &p, TB_AS, 3, 100);
	tb_job_make(tb, &high, &p, TB_AS, 1, 200);
	tb_submit(tb, 0, &low.sqe);
	tb_step(tb);
	tb_submit(tb, 1, &high.sqe);
	tb_run(tb);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_PREEMPTIONS), 1);
	assert_true(tb_job_cqe(tb, 100)->time == tb_span(tb, &p, 0, 11, 3) + tb_span(tb, &p, 0, 11, 1));
	tb_program_free(&p);
	tb_free(tb);
}

static void test_equal_priority_does_not_preempt(void **state)
{
	struct tb *tb = tb_ready(NULL, TB_INLINE);
	struct tb_program p;
	struct tb_job job;

	(void)state;
	tb_net_two_exits(&p, 11, 2.0f);
	tb_program_load(tb, &p, TB_AS);
	for (unsigned int q = 0; q < 3; q++)
		tb_queue_enable(tb, q, 16, 4);
	tb_job_make(tb, &job, &p, TB_AS, 2, 1);
	tb_submit(tb, 1, &job.sqe);
	tb_step(tb);
	job.sqe.cookie = 0;
	tb_submit(tb, 0, &job.sqe);
	job.sqe.cookie = 2;
	tb_submit(tb, 2, &job.sqe);
	tb_run(tb);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_PREEMPTIONS), 0);
	assert_true(tb_job_cqe(tb, 1)->time == tb_span(tb, &p, 0, 11, 2));
	assert_true(tb_job_cqe(tb, 0)->time == 2 * tb_span(tb, &p, 0, 11, 2));
	assert_true(tb_job_cqe(tb, 2)->time == 3 * tb_span(tb, &p, 0, 11, 2));
	tb_program_free(&p);
	tb_free(tb);
}

static void test_preemptions_nest(void **state)
{
	struct tb *tb = tb_ready(NULL, TB_INLINE);
	struct tb_program p;
	struct tb_job jobs[4];

	(void)state;
	tb_net_two_exits(&p, 12, 2.0f);
	tb_program_load(tb, &p, TB_AS);
	for (unsigned int q = 0; q < 4; q++) {
		tb_queue_enable(tb, q, 16, q);
		tb_job_make(tb, &jobs[q], &p, TB_AS, 2, q);
	}
	for (unsigned int q = 0; q < 4; q++) {
		tb_submit(tb, q, &jobs[q].sqe);
		tb_step(tb);
	}
	tb_run(tb);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_PREEMPTIONS), 3);
	for (unsigned int q = 0; q < 4; q++) {
		assert_int_equal(tb_status(tb, q), FLUIDNPU_OK);
		if (q) /* the most urgent one ended first */
			assert_true(tb_job_cqe(tb, q)->time < tb_job_cqe(tb, q - 1)->time);
		for (unsigned int i = 0; i < 2; i++) {
			struct ref_head heads[FLUIDNPU_MAX_EXITS];
			int8_t logits[20];

			expect_sample(&p, &jobs[q], i, heads, logits);
			assert_memory_equal(jobs[q].logits[i], logits, 20);
		}
	}
	tb_program_free(&p);
	tb_free(tb);
}

/* --- counters, functional=off ---------------------------------------------------- */

static void test_counters_are_sums_of_the_cost_model(void **state)
{
	struct tb *tb = tb_ready(NULL, TB_INLINE);
	unsigned int starts[TB_MAX_LAYERS], n;
	struct fnpu_cost sum = { 0 };
	struct tb_program p;
	struct tb_job job;

	(void)state;
	tb_net_two_exits(&p, 13, 2.0f);
	tb_program_load(tb, &p, TB_AS);
	tb_queue_enable(tb, 0, 16, 0);
	tb_job_make(tb, &job, &p, TB_AS, 9, 1);
	tb_submit(tb, 0, &job.sqe);
	tb_run(tb);
	n = tb_groups(&p, starts);
	for (unsigned int i = 0; i < n; i++) {
		struct fnpu_cost c = tb_group_cost(tb, &p, starts[i], 9);

		sum.cycles += c.cycles;
		sum.stall_cycles += c.stall_cycles;
		sum.useful_macs += c.useful_macs;
		sum.weight_bytes += c.weight_bytes;
		sum.act_read_bytes += c.act_read_bytes;
		sum.act_write_bytes += c.act_write_bytes;
	}
	assert_true(tb_counter(tb, FLUIDNPU_CNT_BUSY_CYCLES) == sum.cycles);
	assert_true(tb_counter(tb, FLUIDNPU_CNT_BATCH + 8) == sum.cycles);
	assert_true(tb_counter(tb, FLUIDNPU_CNT_STALL_CYCLES) == sum.stall_cycles);
	assert_true(tb_counter(tb, FLUIDNPU_CNT_USEFUL_MACS) == sum.useful_macs);
	/* 3x3x3x8 at 64 + 3x3x8x8 at 64 + 8x10 + 3x3x8x16 at 16 + 16x10, nine times */
	assert_true(sum.useful_macs == 9 * (216 * 64 + 576 * 64 + 80 + 1152 * 16 + 160));
	assert_true(tb_counter(tb, FLUIDNPU_CNT_OFFERED_MACS) == sum.cycles * 16 * 64);
	assert_true(tb_counter(tb, FLUIDNPU_CNT_WEIGHT_BYTES) == sum.weight_bytes);
	assert_true(tb_counter(tb, FLUIDNPU_CNT_DRAM_READ_BYTES) ==
		    sum.weight_bytes + sum.act_read_bytes);
	assert_true(tb_counter(tb, FLUIDNPU_CNT_DRAM_WRITE_BYTES) == sum.act_write_bytes);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_JOBS), 1);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_JOB_ERRORS), 0);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_SAMPLES), 9);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_LAYERS), 11);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_MMU_FAULTS), 0);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_PREEMPTIONS), 0);
	tb_program_free(&p);
	tb_free(tb);
}

static void test_without_functional_the_sample_table_says_who_leaves(void **state)
{
	struct fnpu_config config;
	struct tb_program p;
	struct tb_job job;
	struct tb *tb;

	(void)state;
	fnpu_config_default(&config);
	config.functional = false;
	tb = tb_ready(&config, TB_INLINE);
	assert_int_equal(tb_read(tb, FLUIDNPU_REG_FEATURES), 0);
	tb_net_two_exits(&p, 14, 0.0f);
	tb_program_load(tb, &p, TB_AS);
	tb_queue_enable(tb, 0, 16, 0);
	tb_job_make(tb, &job, &p, TB_AS, 5, 1);
	for (unsigned int i = 0; i < 5; i++) {
		job.samples[i].exit_index = i % 2;
		job.samples[i].input_iova = 0; /* nothing is computed, nothing is touched */
		job.samples[i].state_iova = 0;
	}
	job.samples[3].exit_index = 77; /* beyond the last: leaves at the last */
	tb_submit(tb, 0, &job.sqe);
	tb_run(tb);
	assert_int_equal(tb_status(tb, 1), FLUIDNPU_OK);
	for (unsigned int i = 0; i < 5; i++)
		assert_int_equal(tb_exit_cqe(tb, 1, i)->exit_index, i % 2);
	assert_true(tb_job_cqe(tb, 1)->time == tb_span(tb, &p, 0, 6, 5) + tb_span(tb, &p, 6, 11, 2));
	assert_int_equal(tb->works_started, 0);
	tb_program_free(&p);
	tb_free(tb);
}

/* --- abort, disable -------------------------------------------------------------- */

static struct tb *three_jobs(struct tb_program *p, struct tb_job *job)
{
	struct tb *tb = tb_ready(NULL, TB_INLINE);

	tb_net_two_exits(p, 15, 2.0f);
	tb_program_load(tb, p, TB_AS);
	tb_queue_enable(tb, 0, 16, 0);
	tb_job_make(tb, job, p, TB_AS, 4, 0);
	for (unsigned int i = 1; i <= 3; i++) {
		job->sqe.cookie = i;
		tb_submit(tb, 0, &job->sqe);
	}
	return tb;
}

static void test_abort_ends_the_running_job_and_the_next_starts(void **state)
{
	struct tb_program p;
	struct tb_job job;
	struct tb *tb = three_jobs(&p, &job);
	uint64_t when;

	(void)state;
	tb_step(tb);
	when = tb->now += 7; /* inside a group */
	tb_queue_control(tb, 0, FLUIDNPU_QCTRL_ABORT);
	tb_drain(tb, 100);
	assert_int_equal(tb_status(tb, 1), FLUIDNPU_ERR_ABORTED);
	assert_true(tb_job_cqe(tb, 1)->time == when);
	assert_int_equal(tb_job_cqe(tb, 1)->live_batch, 4);
	assert_int_equal(tb_job_cqe(tb, 1)->layer, 1);
	assert_int_equal(tb_queue_status(tb, 0),
			 FLUIDNPU_QSTATUS_ENABLED | FLUIDNPU_QSTATUS_RUNNING);
	tb_run(tb);
	assert_int_equal(tb_status(tb, 2), FLUIDNPU_OK);
	assert_true(tb_job_cqe(tb, 2)->started == when);
	assert_true(tb_job_cqe(tb, 2)->time == when + tb_span(tb, &p, 0, 11, 4));
	assert_int_equal(tb_status(tb, 3), FLUIDNPU_OK);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_JOBS), 3);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_JOB_ERRORS), 1);
	tb_program_free(&p);
	tb_free(tb);
}

static void test_abort_of_a_preempted_job(void **state)
{
	struct tb_program p;
	struct tb_job job;
	struct tb *tb = three_jobs(&p, &job);
	uint64_t boundary, when;

	(void)state;
	tb_queue_enable(tb, 1, 16, 1);
	job.sqe.cookie = 50;
	tb_submit(tb, 1, &job.sqe);
	tb_step(tb);
	boundary = tb->now;
	when = tb->now += 3;
	tb_queue_control(tb, 0, FLUIDNPU_QCTRL_ABORT);
	tb_drain(tb, 100);
	assert_int_equal(tb_status(tb, 1), FLUIDNPU_ERR_ABORTED);
	assert_true(tb_job_cqe(tb, 1)->time == when);
	tb_run(tb);
	assert_true(tb_job_cqe(tb, 50)->time > boundary + tb_span(tb, &p, 0, 11, 4)); /* eviction */
	assert_int_equal(tb_status(tb, 50), FLUIDNPU_OK);
	assert_int_equal(tb_status(tb, 2), FLUIDNPU_OK);
	tb_program_free(&p);
	tb_free(tb);
}

static void test_abort_takes_a_waiting_job_if_none_runs(void **state)
{
	struct tb *tb = tb_ready(NULL, TB_INLINE);

	(void)state;
	tb_queue_enable(tb, 0, 16, 0);
	tb_queue_control(tb, 0, FLUIDNPU_QCTRL_ABORT); /* nothing there */
	assert_int_equal(tb_drain(tb, 10), 0);
	tb_write(tb, FLUIDNPU_REG_CTRL, 0);
	for (unsigned int i = 1; i <= 3; i++) {
		struct fluidnpu_hw_sqe sqe = tb_nop(i);

		tb_submit(tb, 0, &sqe);
	}
	tb_queue_control(tb, 0, FLUIDNPU_QCTRL_ABORT);
	tb_queue_control(tb, 0, FLUIDNPU_QCTRL_ABORT);
	assert_int_equal(tb_drain(tb, 10), 2);
	assert_int_equal(tb_status(tb, 1), FLUIDNPU_ERR_ABORTED);
	assert_int_equal(tb_status(tb, 2), FLUIDNPU_ERR_ABORTED);
	tb_write(tb, FLUIDNPU_REG_CTRL, FLUIDNPU_CTRL_ENABLE);
	tb_drain(tb, 10);
	assert_int_equal(tb_status(tb, 3), FLUIDNPU_OK);
	tb_free(tb);
}

static void test_abort_leaves_a_halted_queue_halted(void **state)
{
	struct tb *tb = tb_ready(NULL, TB_INLINE);
	struct fluidnpu_hw_sqe bad = { .opcode = 99, .cookie = 1 };

	(void)state;
	tb_queue_enable(tb, 0, 16, 0);
	tb_submit(tb, 0, &bad);
	for (unsigned int i = 2; i <= 3; i++) {
		struct fluidnpu_hw_sqe sqe = tb_nop(i);

		tb_submit(tb, 0, &sqe);
	}
	tb_queue_control(tb, 0, FLUIDNPU_QCTRL_ABORT);
	tb_drain(tb, 10);
	assert_int_equal(tb_status(tb, 1), FLUIDNPU_ERR_OPCODE);
	assert_int_equal(tb_status(tb, 2), FLUIDNPU_ERR_ABORTED);
	assert_int_equal(tb_status(tb, 3), -1);
	assert_int_equal(tb_queue_status(tb, 0),
			 FLUIDNPU_QSTATUS_ENABLED | FLUIDNPU_QSTATUS_HALTED);
	tb_queue_control(tb, 0, FLUIDNPU_QCTRL_RESUME);
	tb_drain(tb, 10);
	assert_int_equal(tb_status(tb, 3), FLUIDNPU_OK);
	tb_free(tb);
}

static void test_disable_ends_the_halted_state(void **state)
{
	struct tb *tb = tb_ready(NULL, TB_INLINE);
	struct fluidnpu_hw_sqe bad = { .opcode = 99, .cookie = 1 };

	(void)state;
	tb_queue_enable(tb, 0, 16, 0);
	tb_submit(tb, 0, &bad);
	assert_int_equal(tb_queue_status(tb, 0),
			 FLUIDNPU_QSTATUS_ENABLED | FLUIDNPU_QSTATUS_HALTED);
	tb_queue_control(tb, 0, FLUIDNPU_QCTRL_DISABLE);
	assert_int_equal(tb_queue_status(tb, 0), 0);
	tb_free(tb);
}

static void test_abort_with_a_full_completion_ring_waits_for_room(void **state)
{
	struct tb *tb = tb_new(NULL, TB_INLINE);

	(void)state;
	tb_cq_enable(tb, 64);
	tb_queue_enable(tb, 0, 256, 0);
	for (unsigned int i = 0; i < 200; i++) {
		struct fluidnpu_hw_sqe sqe = tb_nop(i);

		tb_submit(tb, 0, &sqe);
	}
	for (unsigned int i = 0; i < 100; i++) /* many more than there is room for */
		tb_queue_control(tb, 0, FLUIDNPU_QCTRL_ABORT);
	while (tb_drain(tb, 3))
		;
	assert_int_equal(tb->num_cqes, 200);
	for (unsigned int i = 0; i < 200; i++)
		assert_int_equal(tb->cqes[i].cookie, i);
	assert_true(tb_counter(tb, FLUIDNPU_CNT_JOB_ERRORS) >= 1);
	tb_free(tb);
}

static void test_abort_without_a_completion_ring_waits_for_one(void **state)
{
	struct tb *tb = tb_new(NULL, TB_INLINE);
	struct fluidnpu_hw_sqe sqe = tb_nop(5);

	(void)state;
	tb_queue_enable(tb, 0, 16, 0);
	tb_submit(tb, 0, &sqe);
	tb_queue_control(tb, 0, FLUIDNPU_QCTRL_ABORT);
	tb_queue_control(tb, 0, FLUIDNPU_QCTRL_ABORT);
	assert_int_equal(tb->bus_errors, 0);
	tb_cq_enable(tb, 64);
	tb_drain(tb, 10);
	assert_int_equal(tb_status(tb, 5), FLUIDNPU_ERR_ABORTED);
	tb_free(tb);
}

/* A group that runs has its room; an abort elsewhere must not take it. */
static void test_abort_leaves_the_running_group_its_room(void **state)
{
	struct tb *tb = tb_new(NULL, TB_INLINE);
	struct tb_program p;
	struct tb_job job;

	(void)state;
	tb_as_enable(tb, TB_AS);
	tb_cq_enable(tb, 64);
	tb_queue_enable(tb, 0, 256, 0);
	tb_queue_enable(tb, 1, 256, 0);
	tb_net_two(&p, 16);
	tb_program_load(tb, &p, TB_AS);
	tb_job_make(tb, &job, &p, TB_AS, 16, 500);
	for (unsigned int i = 0; i < 45; i++) { /* leaves room for 18 */
		struct fluidnpu_hw_sqe sqe = tb_nop(i);

		tb_submit(tb, 0, &sqe);
	}
	tb_submit(tb, 0, &job.sqe);
	tb_step(tb); /* its last group runs */
	for (unsigned int i = 100; i < 110; i++) {
		struct fluidnpu_hw_sqe sqe = tb_nop(i);

		tb_submit(tb, 1, &sqe);
		tb_queue_control(tb, 1, FLUIDNPU_QCTRL_ABORT);
	}
	while (tb_step(tb))
		;
	while (tb_drain(tb, 1))
		while (tb_step(tb))
			;
	assert_int_equal(tb->num_cqes, 45 + 17 + 10);
	assert_int_equal(tb_status(tb, 500), FLUIDNPU_OK);
	for (unsigned int i = 0; i < 16; i++)
		assert_non_null(tb_exit_cqe(tb, 500, i));
	for (unsigned int i = 100; i < 110; i++)
		assert_true(tb_status(tb, i) >= 0);
	tb_program_free(&p);
	tb_free(tb);
}

static void test_disable_drops_everything_silently(void **state)
{
	struct tb_program p;
	struct tb_job job;
	struct tb *tb = three_jobs(&p, &job);

	(void)state;
	tb_step(tb);
	tb_queue_control(tb, 0, FLUIDNPU_QCTRL_DISABLE);
	tb_run(tb);
	assert_int_equal(tb->num_cqes, 0);
	assert_int_equal(tb_queue_status(tb, 0), 0);
	tb_doorbell(tb, 0); /* ignored */
	assert_int_equal(tb_read(tb, FLUIDNPU_REG_STATUS), FLUIDNPU_STATUS_READY);

	tb_queue_enable(tb, 0, 16, 0); /* empty again */
	assert_int_equal(tb_read(tb, FLUIDNPU_REG_QUEUE(0) + FLUIDNPU_QREG_HEAD), 0);
	job.sqe.cookie = 9;
	tb_submit(tb, 0, &job.sqe);
	tb_run(tb);
	assert_int_equal(tb_status(tb, 9), FLUIDNPU_OK);
	assert_int_equal(tb->num_cqes, 5);
	tb_program_free(&p);
	tb_free(tb);
}

/* --- a late host ----------------------------------------------------------------- */

static void test_events_keep_their_modelled_times_when_the_host_is_late(void **state)
{
	uint64_t times[2][64];

	(void)state;
	for (unsigned int late = 0; late < 2; late++) {
		struct tb_program p;
		struct tb_job job;
		struct tb *tb = three_jobs(&p, &job);

		if (late) { /* one call long after everything */
			fnpu_dev_advance(tb->dev, 1ull << 40);
			tb->now = 1ull << 40;
			tb_drain(tb, 100);
		} else {
			tb_run(tb);
		}
		assert_int_equal(tb->num_cqes, 15);
		for (unsigned int i = 0; i < 15; i++) {
			times[late][i] = tb->cqes[i].time;
			if (i)
				assert_true(times[late][i] >= times[late][i - 1]);
		}
		assert_true(times[late][14] == 3 * tb_span(tb, &p, 0, 11, 4));
		assert_true(tb_read64(tb, FLUIDNPU_REG_TIME_LO) == tb->now);
		tb_program_free(&p);
		tb_free(tb);
	}
	assert_memory_equal(times[0], times[1], 15 * sizeof(times[0][0]));
}

/* A host that is far behind gets the processor back in between, and loses no time by it. */
static void test_one_call_does_so_many_events(void **state)
{
	enum { JOBS = 1000, GROUPS = 7, FAR = 1 << 30 };
	struct fnpu_config config;
	struct tb_program p;
	struct tb_job job;
	uint64_t span;
	struct tb *tb;

	(void)state;
	fnpu_config_default(&config);
	config.functional = false;
	tb = tb_ready(&config, TB_INLINE);
	tb_cq_enable(tb, 4096);
	tb_net_two_exits(&p, 14, 2.0f);
	tb_program_load(tb, &p, TB_AS);
	tb_queue_enable(tb, 0, 1024, 0);
	tb_job_make(tb, &job, &p, TB_AS, 1, 0);
	job.samples[0].exit_index = 1;
	for (job.sqe.cookie = 0; job.sqe.cookie < JOBS; job.sqe.cookie++)
		tb_push(tb, 0, &job.sqe);
	tb_doorbell(tb, 0);
	span = tb_span(tb, &p, 0, 11, 1);

	fnpu_dev_advance(tb->dev, FAR);
	assert_in_range(tb->dev->s.time, FNPU_MAX_EVENTS / GROUPS * span,
			(FNPU_MAX_EVENTS / GROUPS + 1) * span);
	assert_true(fnpu_dev_deadline(tb->dev) > tb->dev->s.time);
	assert_true(fnpu_dev_deadline(tb->dev) <= FAR);
	fnpu_dev_advance(tb->dev, FAR);
	assert_true(fnpu_dev_deadline(tb->dev) == FNPU_NEVER);
	tb->now = FAR;
	assert_true(tb_read64(tb, FLUIDNPU_REG_TIME_LO) == FAR);
	assert_true(tb_counter(tb, FLUIDNPU_CNT_LATE_EVENTS) == 1);
	assert_int_equal(tb_drain(tb, TB_MAX_CQES), 2 * JOBS);
	for (unsigned int i = 0; i < JOBS; i++)
		assert_true(tb_job_cqe(tb, i)->time == (i + 1) * span);
	tb_program_free(&p);
	tb_free(tb);
}

static void test_late_host_sees_interrupt_and_group_in_order(void **state)
{
	struct tb_program p;
	struct tb_job job;
	struct tb *tb = tb_ready(NULL, TB_INLINE);
	struct fluidnpu_hw_sqe sqe = tb_nop(1);

	(void)state;
	tb_net_two(&p, 17);
	tb_program_load(tb, &p, TB_AS);
	tb_queue_enable(tb, 0, 16, 0);
	tb_write(tb, FLUIDNPU_REG_CQ_COALESCE_COUNT, 100);
	tb_write(tb, FLUIDNPU_REG_CQ_COALESCE_CYCLES, 50);
	tb_submit(tb, 0, &sqe); /* completes at 0, interrupt at 50 */
	tb_job_make(tb, &job, &p, TB_AS, 1, 2);
	tb_submit(tb, 0, &job.sqe); /* ends at 1409, interrupt at 1459 */
	fnpu_dev_advance(tb->dev, 1409);
	assert_int_equal(tb->interrupts[FLUIDNPU_VECTOR_CQ], 1);
	assert_true(tb->interrupt_time == 50);
	fnpu_dev_advance(tb->dev, 100000);
	assert_int_equal(tb->interrupts[FLUIDNPU_VECTOR_CQ], 2);
	assert_true(tb->interrupt_time == 1459);
	tb_program_free(&p);
	tb_free(tb);
}

static void test_register_access_does_what_is_due_first(void **state)
{
	struct tb_program p;
	struct tb_job job;
	struct tb *tb = three_jobs(&p, &job);

	(void)state;
	tb->now = tb_span(tb, &p, 0, 11, 4) + 1; /* the timer has not fired */
	tb_queue_control(tb, 0, FLUIDNPU_QCTRL_ABORT);
	tb_drain(tb, 100);
	assert_int_equal(tb_status(tb, 1), FLUIDNPU_OK);
	assert_int_equal(tb_status(tb, 2), FLUIDNPU_ERR_ABORTED);
	tb_program_free(&p);
	tb_free(tb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_layers_end_to_end_at_the_modelled_time),
		cmocka_unit_test(test_batches_equal_the_oracle),
		cmocka_unit_test(test_late_worker_changes_neither_results_nor_times),
		cmocka_unit_test(
			test_device_clock_stands_still_for_a_worker_that_nobody_waits_for),
		cmocka_unit_test(test_worker_thread_changes_neither_results_nor_times),
		cmocka_unit_test(test_confident_samples_leave_and_the_batch_shrinks),
		cmocka_unit_test(test_low_entropy_samples_leave),
		cmocka_unit_test(test_large_margin_samples_leave),
		cmocka_unit_test(test_batch_that_leaves_together_ends_the_job),
		cmocka_unit_test(test_no_exit_heads_report_and_samples_run_on),
		cmocka_unit_test(test_logits_are_optional),
		cmocka_unit_test(test_starting_in_the_middle_equals_running_through),
		cmocka_unit_test(test_higher_priority_preempts_at_a_group_boundary),
		cmocka_unit_test(test_preemption_moves_nothing_that_had_spilled_already),
		cmocka_unit_test(test_equal_priority_does_not_preempt),
		cmocka_unit_test(test_preemptions_nest),
		cmocka_unit_test(test_counters_are_sums_of_the_cost_model),
		cmocka_unit_test(test_without_functional_the_sample_table_says_who_leaves),
		cmocka_unit_test(test_abort_ends_the_running_job_and_the_next_starts),
		cmocka_unit_test(test_abort_of_a_preempted_job),
		cmocka_unit_test(test_abort_takes_a_waiting_job_if_none_runs),
		cmocka_unit_test(test_abort_leaves_a_halted_queue_halted),
		cmocka_unit_test(test_disable_ends_the_halted_state),
		cmocka_unit_test(test_abort_with_a_full_completion_ring_waits_for_room),
		cmocka_unit_test(test_abort_without_a_completion_ring_waits_for_one),
		cmocka_unit_test(test_abort_leaves_the_running_group_its_room),
		cmocka_unit_test(test_disable_drops_everything_silently),
		cmocka_unit_test(test_events_keep_their_modelled_times_when_the_host_is_late),
		cmocka_unit_test(test_one_call_does_so_many_events),
		cmocka_unit_test(test_late_host_sees_interrupt_and_group_in_order),
		cmocka_unit_test(test_register_access_does_what_is_due_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
