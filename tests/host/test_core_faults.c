// SPDX-License-Identifier: MIT
/*
 * Faults on purpose: each shows as what a driver would see of a broken device, once or as
 * often as it was told, and what it does not concern goes on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core_host.h"

/* A device with two queues of one priority and a network of 7 groups. */
static struct tb *make(const struct fnpu_config *config, struct tb_program *p,
		       enum tb_worker worker)
{
	struct tb *tb = tb_ready(config, worker);

	tb_net_two_exits(p, 5, 2.0f);	/* nobody leaves early */
	tb_program_load(tb, p, TB_AS);
	tb_queue_enable(tb, 0, 16, 0);
	tb_queue_enable(tb, 1, 16, 0);
	return tb;
}

static void destroy(struct tb *tb, struct tb_program *p)
{
	tb_program_free(p);
	tb_free(tb);
}

static void submit(struct tb *tb, const struct tb_program *p, unsigned int queue, uint64_t cookie)
{
	struct tb_job job;

	tb_job_make(tb, &job, p, TB_AS, 3, cookie);
	tb_submit(tb, queue, &job.sqe);
}

static struct fnpu_faults get(const struct tb *tb)
{
	struct fnpu_faults faults;

	fnpu_dev_faults(tb->dev, &faults);
	return faults;
}

static void set(struct tb *tb, const struct fnpu_faults *faults)
{
	assert_null(fnpu_faults_check(faults));
	fnpu_dev_set_faults(tb->dev, faults);
}

static struct fnpu_faults none(void)
{
	struct fnpu_faults faults;

	fnpu_faults_default(&faults);
	return faults;
}

static void test_a_device_is_healthy_at_first(void **state)
{
	struct tb *tb = tb_new(NULL, TB_INLINE);
	const struct fnpu_faults wanted = {
		.hang_layer = FNPU_NO_LAYER,
		.dram_percent = 100,
	};
	struct fnpu_faults seen = get(tb);

	(void)state;
	assert_memory_equal(&seen, &wanted, sizeof(seen));
	tb_free(tb);
}

static void test_dram_faster_than_it_is_made_is_refused(void **state)
{
	struct fnpu_faults faults = none();

	(void)state;
	faults.dram_percent = 99;
	assert_non_null(strstr(fnpu_faults_check(&faults), "dram_percent"));
	faults.dram_percent = 0;
	assert_non_null(fnpu_faults_check(&faults));
	faults.dram_percent = 100001;
	assert_non_null(fnpu_faults_check(&faults));
}

static void test_faults_survive_a_reset(void **state)
{
	struct tb *tb = tb_new(NULL, TB_INLINE);
	struct fnpu_faults faults = none();

	(void)state;
	faults.lose_interrupts = 5;
	faults.dma_errors = 7;
	set(tb, &faults);
	tb_write(tb, FLUIDNPU_REG_CTRL, FLUIDNPU_CTRL_RESET);
	assert_int_equal(get(tb).lose_interrupts, 5);
	assert_int_equal(get(tb).dma_errors, 7);
	tb_free(tb);
}

/* --- hang ------------------------------------------------------------------------- */

/* Runs into the hang at layer 6, which is in the fifth group; queue 1 has a job waiting. */
static struct tb *hung(struct tb_program *p)
{
	struct tb *tb = make(NULL, p, TB_INLINE);
	struct fnpu_faults faults = none();

	faults.hang_layer = 6;
	set(tb, &faults);
	submit(tb, p, 0, 1);
	submit(tb, p, 1, 2);
	tb_run(tb);
	return tb;
}

static void test_a_hang_stops_the_device_at_its_layer(void **state)
{
	struct tb_program p;
	struct tb *tb = hung(&p);
	uint64_t layers = tb_counter(tb, FLUIDNPU_CNT_LAYERS);

	(void)state;
	assert_int_equal(layers, 6);	/* 0 to 5 */
	assert_int_equal(tb->num_cqes, 0);
	assert_true(tb_queue_status(tb, 0) & FLUIDNPU_QSTATUS_RUNNING);
	tb->now += 1000000000;
	assert_true(tb_read64(tb, FLUIDNPU_REG_TIME_LO) == tb->now);	/* the clock runs on */
	assert_true(fnpu_dev_deadline(tb->dev) == FNPU_NEVER);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_LAYERS), layers);
	destroy(tb, &p);
}

static void test_a_hang_in_a_fused_layer_hangs_its_group(void **state)
{
	struct fnpu_faults faults = none();
	struct tb_program p;
	struct tb *tb = make(NULL, &p, TB_INLINE);

	(void)state;
	faults.hang_layer = 7;	/* fused with 6 */
	set(tb, &faults);
	submit(tb, &p, 0, 1);
	tb_run(tb);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_LAYERS), 6);
	assert_int_equal(tb_status(tb, 1), -1);
	destroy(tb, &p);
}

static void test_abort_ends_a_hang_and_others_go_on(void **state)
{
	struct fnpu_faults faults = none();
	struct tb_program p;
	struct tb *tb = hung(&p);

	(void)state;
	set(tb, &faults);	/* cured, but what hangs hangs */
	tb_run(tb);
	assert_int_equal(tb_status(tb, 1), -1);
	tb_queue_control(tb, 0, FLUIDNPU_QCTRL_ABORT);
	tb_run(tb);
	assert_int_equal(tb_status(tb, 1), FLUIDNPU_ERR_ABORTED);
	assert_int_equal(tb_status(tb, 2), FLUIDNPU_OK);
	submit(tb, &p, 0, 3);
	tb_run(tb);
	assert_int_equal(tb_status(tb, 3), FLUIDNPU_OK);
	destroy(tb, &p);
}

static void test_disabling_the_queue_ends_a_hang(void **state)
{
	struct tb_program p;
	struct tb *tb = hung(&p);
	struct fnpu_faults faults = none();

	(void)state;
	set(tb, &faults);
	tb_queue_control(tb, 0, FLUIDNPU_QCTRL_DISABLE);
	assert_false(tb_queue_status(tb, 0) & FLUIDNPU_QSTATUS_RUNNING);
	tb_run(tb);
	assert_int_equal(tb_status(tb, 1), -1);
	assert_int_equal(tb_status(tb, 2), FLUIDNPU_OK);
	destroy(tb, &p);
}

static void test_reset_ends_a_hang(void **state)
{
	struct tb_program p;
	struct tb *tb = hung(&p);

	(void)state;
	tb_write(tb, FLUIDNPU_REG_CTRL, FLUIDNPU_CTRL_RESET);
	assert_int_equal(tb_queue_status(tb, 0), 0);
	assert_true(tb->dev->s.running < 0);
	destroy(tb, &p);
}

/* --- interrupts ------------------------------------------------------------------- */

static void test_lost_interrupts_lose_nothing_else(void **state)
{
	struct fnpu_faults faults = none();
	struct tb_program p;
	struct tb *tb = make(NULL, &p, TB_INLINE);

	(void)state;
	faults.lose_interrupts = 2;
	set(tb, &faults);
	for (unsigned int i = 1; i <= 3; i++) {
		struct fluidnpu_hw_sqe sqe = tb_nop(i);

		tb_submit(tb, 0, &sqe);
		assert_int_equal(tb->interrupts[FLUIDNPU_VECTOR_CQ], i == 3);
		tb_drain(tb, TB_MAX_CQES);
		assert_int_equal(tb_status(tb, i), FLUIDNPU_OK);
		assert_int_equal(get(tb).lose_interrupts, i < 2 ? 2 - i : 0);
	}
	/* the device has sent them */
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_INTERRUPTS), 3);
	destroy(tb, &p);
}

/* --- descriptors ------------------------------------------------------------------ */

static void test_a_corrupted_descriptor_fails_its_job_only(void **state)
{
	struct fnpu_faults faults = none();
	struct tb_program p;
	struct tb *tb = make(NULL, &p, TB_INLINE);

	(void)state;
	faults.corrupt_descriptors = 1;
	set(tb, &faults);
	submit(tb, &p, 0, 1);
	submit(tb, &p, 0, 2);
	submit(tb, &p, 1, 3);
	tb_run(tb);
	assert_int_equal(tb_status(tb, 1), FLUIDNPU_ERR_LAYER);
	assert_int_equal(tb_job_cqe(tb, 1)->layer, 0);
	assert_int_equal(tb_status(tb, 2), -1);	/* the queue waits for RESUME */
	assert_int_equal(tb_status(tb, 3), FLUIDNPU_OK);
	assert_int_equal(get(tb).corrupt_descriptors, 0);
	tb_queue_control(tb, 0, FLUIDNPU_QCTRL_RESUME);
	tb_run(tb);
	assert_int_equal(tb_status(tb, 2), FLUIDNPU_OK);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_JOB_ERRORS), 1);
	destroy(tb, &p);
}

/* Whichever descriptor it is: the first of a group, one that is fused, or the one behind. */
static void test_every_descriptor_can_be_the_corrupted_one(void **state)
{
	struct fnpu_faults faults = none();
	struct tb_program p;
	struct tb *tb = make(NULL, &p, TB_INLINE);
	uint64_t cookie = 1;
	unsigned int groups;

	(void)state;
	faults.corrupt_descriptors = 1;
	for (groups = 0; groups < 7; groups++) {
		submit(tb, &p, 0, cookie);
		for (unsigned int i = 0; i < groups; i++)
			assert_true(tb_step(tb));
		set(tb, &faults);
		tb_run(tb);
		/* the last group has been read: then it is the next job's */
		if (groups == 6) {
			assert_int_equal(tb_status(tb, cookie), FLUIDNPU_OK);
			submit(tb, &p, 0, ++cookie);
			tb_run(tb);
		}
		assert_int_equal(tb_status(tb, cookie), FLUIDNPU_ERR_LAYER);
		assert_int_equal(get(tb).corrupt_descriptors, 0);
		tb_queue_control(tb, 0, FLUIDNPU_QCTRL_RESUME);
		cookie++;
	}
	destroy(tb, &p);
}

/* --- DMA -------------------------------------------------------------------------- */

static void test_an_unreachable_ring_is_fatal(void **state)
{
	struct fnpu_faults faults = none();
	struct tb_program p;
	struct tb *tb = make(NULL, &p, TB_INLINE);

	(void)state;
	faults.dma_errors = 1;
	set(tb, &faults);
	submit(tb, &p, 0, 1);
	tb_run(tb);
	assert_int_equal(tb_status(tb, 1), -1);
	assert_true(tb_read(tb, FLUIDNPU_REG_STATUS) & FLUIDNPU_STATUS_FATAL);
	assert_int_equal(tb->interrupts[FLUIDNPU_VECTOR_ERROR], 1);
	assert_int_equal(get(tb).dma_errors, 0);
	destroy(tb, &p);
}

static void test_a_dma_error_in_mid_job_fails_the_job(void **state)
{
	struct fnpu_faults faults = none();
	struct tb_program p;
	struct tb *tb = make(NULL, &p, TB_INLINE);

	(void)state;
	submit(tb, &p, 0, 1);
	faults.dma_errors = 1;
	set(tb, &faults);	/* strikes when the second group is fetched */
	submit(tb, &p, 1, 2);
	tb_run(tb);
	assert_int_equal(tb_status(tb, 1), FLUIDNPU_ERR_DMA);
	assert_int_equal(tb_job_cqe(tb, 1)->layer, 1);
	assert_true(tb_job_cqe(tb, 1)->fault_iova_hi == p.iova >> 32);
	assert_int_equal(tb_status(tb, 2), FLUIDNPU_OK);
	assert_false(tb_read(tb, FLUIDNPU_REG_STATUS) & FLUIDNPU_STATUS_FATAL);
	destroy(tb, &p);
}

/*
 * Any number of errors at any time, to the worker's accesses, too: jobs end or the device
 * is fatal; after a reset all is well.
 */
static void errors_at(unsigned int step, unsigned int errors, enum tb_worker worker,
		      unsigned int seen[FLUIDNPU_ERR_MEMORY + 1])
{
	struct fnpu_faults faults = none();
	struct tb_program p;
	struct tb *tb = make(NULL, &p, worker);

	submit(tb, &p, 0, 1);
	submit(tb, &p, 1, 2);
	for (unsigned int i = 0; i < step; i++)
		tb_step(tb);
	faults.dma_errors = errors;
	set(tb, &faults);
	tb_run(tb);
	if (tb_read(tb, FLUIDNPU_REG_STATUS) & FLUIDNPU_STATUS_FATAL) {
		seen[FLUIDNPU_OK]++;
	} else {
		for (unsigned int i = 1; i <= 2; i++) {
			int status = tb_status(tb, i);

			assert_true(status == FLUIDNPU_OK || status == FLUIDNPU_ERR_DMA);
			seen[status]++;
		}
	}
	faults.dma_errors = 0;
	set(tb, &faults);
	tb_write(tb, FLUIDNPU_REG_CTRL, FLUIDNPU_CTRL_RESET);
	tb_as_enable(tb, TB_AS);
	tb_cq_enable(tb, 256);
	tb_queue_enable(tb, 0, 16, 0);
	tb_map(tb, TB_AS, p.addr, p.header.total_bytes, false);
	submit(tb, &p, 0, 3);
	tb_run(tb);
	assert_int_equal(tb_status(tb, 3), FLUIDNPU_OK);
	assert_int_equal(tb->bus_errors, 0);
	destroy(tb, &p);
}

static void test_dma_errors_at_any_time_are_survived(void **state)
{
	unsigned int seen[FLUIDNPU_ERR_MEMORY + 1] = { 0 };

	(void)state;
	for (unsigned int step = 0; step < 15; step++)
		for (unsigned int errors = 1; errors < 40; errors += 3) {
			errors_at(step, errors, TB_INLINE, seen);
			errors_at(step, errors, TB_DEFERRED, seen);
		}
	assert_true(seen[FLUIDNPU_OK] && seen[FLUIDNPU_ERR_DMA]);
}

/* Reading, changing one value and writing is how a host sets a single fault. */
static void test_setting_one_fault_brings_no_other_back(void **state)
{
	struct fnpu_faults faults;
	struct tb_program p;
	struct tb *tb = make(NULL, &p, TB_DEFERRED);

	(void)state;
	submit(tb, &p, 0, 1);
	assert_true(tb->works_started > tb->works_done);
	tb->dev->faults.dma_errors = 1;	/* set() would have the worker finish first */
	faults = get(tb);
	assert_int_equal(faults.dma_errors, 0);	/* the worker has run into it */
	faults.lose_interrupts = 1;
	set(tb, &faults);
	assert_int_equal(get(tb).dma_errors, 0);
	assert_int_equal(get(tb).lose_interrupts, 1);
	tb_run(tb);
	assert_int_equal(tb_status(tb, 1), FLUIDNPU_ERR_DMA);
	assert_false(tb_read(tb, FLUIDNPU_REG_STATUS) & FLUIDNPU_STATUS_FATAL);
	destroy(tb, &p);
}

/* --- slow DRAM -------------------------------------------------------------------- */

static void test_slow_dram_takes_its_time_and_changes_no_number(void **state)
{
	struct fnpu_config narrow;
	struct tb_program p[3];
	struct tb *tb[3];
	struct fnpu_faults faults = none();

	(void)state;
	fnpu_config_default(&narrow);
	narrow.geometry.dram_bytes_per_kcycle /= 64;
	tb[0] = make(NULL, &p[0], TB_INLINE);
	tb[1] = make(NULL, &p[1], TB_INLINE);
	tb[2] = make(&narrow, &p[2], TB_INLINE);
	faults.dram_percent = 6400;
	set(tb[1], &faults);
	for (unsigned int i = 0; i < 3; i++) {
		submit(tb[i], &p[i], 0, 1);
		tb_run(tb[i]);
		assert_int_equal(tb_status(tb[i], 1), FLUIDNPU_OK);
	}
	/* as long as one that is made with so little bandwidth, and longer than a healthy one */
	assert_true(tb_job_cqe(tb[1], 1)->time == tb_job_cqe(tb[2], 1)->time);
	assert_true(tb_job_cqe(tb[1], 1)->time > tb_job_cqe(tb[0], 1)->time);
	assert_true(tb_counter(tb[1], FLUIDNPU_CNT_STALL_CYCLES) >
		    tb_counter(tb[0], FLUIDNPU_CNT_STALL_CYCLES));
	assert_true(tb_counter(tb[1], FLUIDNPU_CNT_DRAM_READ_BYTES) ==
		    tb_counter(tb[0], FLUIDNPU_CNT_DRAM_READ_BYTES));
	/* the driver is told nothing */
	assert_int_equal(tb_read(tb[1], FLUIDNPU_REG_GEOMETRY +
				 offsetof(struct fluidnpu_hw_geometry, dram_bytes_per_kcycle)),
			 tb[0]->config.geometry.dram_bytes_per_kcycle);
	for (unsigned int i = 0; i < tb[0]->num_cqes; i++) {
		assert_int_equal(tb[0]->cqes[i].class_index, tb[1]->cqes[i].class_index);
		assert_int_equal(tb[0]->cqes[i].confidence, tb[1]->cqes[i].confidence);
	}
	for (unsigned int i = 0; i < 3; i++)
		destroy(tb[i], &p[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_device_is_healthy_at_first),
		cmocka_unit_test(test_dram_faster_than_it_is_made_is_refused),
		cmocka_unit_test(test_faults_survive_a_reset),
		cmocka_unit_test(test_a_hang_stops_the_device_at_its_layer),
		cmocka_unit_test(test_a_hang_in_a_fused_layer_hangs_its_group),
		cmocka_unit_test(test_abort_ends_a_hang_and_others_go_on),
		cmocka_unit_test(test_disabling_the_queue_ends_a_hang),
		cmocka_unit_test(test_reset_ends_a_hang),
		cmocka_unit_test(test_lost_interrupts_lose_nothing_else),
		cmocka_unit_test(test_a_corrupted_descriptor_fails_its_job_only),
		cmocka_unit_test(test_every_descriptor_can_be_the_corrupted_one),
		cmocka_unit_test(test_an_unreachable_ring_is_fatal),
		cmocka_unit_test(test_a_dma_error_in_mid_job_fails_the_job),
		cmocka_unit_test(test_dma_errors_at_any_time_are_survived),
		cmocka_unit_test(test_setting_one_fault_brings_no_other_back),
		cmocka_unit_test(test_slow_dram_takes_its_time_and_changes_no_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
