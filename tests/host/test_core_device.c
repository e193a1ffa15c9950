// SPDX-License-Identifier: MIT
/*
 * The device as a driver sees it: registers, rings, completions and interrupts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core_host.h"

/* --- registers ------------------------------------------------------------------- */

static void test_identity_registers(void **state)
{
	struct tb *tb = tb_new(NULL, TB_INLINE);

	(void)state;
	assert_int_equal(tb_read(tb, FLUIDNPU_REG_MAGIC), FLUIDNPU_MAGIC);
	assert_int_equal(tb_read(tb, FLUIDNPU_REG_VERSION), (FLUIDNPU_HW_VERSION_MAJOR << 16 | FLUIDNPU_HW_VERSION_MINOR));
	assert_int_equal(tb_read(tb, FLUIDNPU_REG_CLOCK_HZ), 800000000);
	assert_int_equal(tb_read(tb, FLUIDNPU_REG_FEATURES), FLUIDNPU_FEATURE_FUNCTIONAL);
	assert_int_equal(tb_read(tb, FLUIDNPU_REG_STATUS), FLUIDNPU_STATUS_READY);
	assert_int_equal(tb_read(tb, FLUIDNPU_REG_CTRL), 0);
	tb_free(tb);
}

static void test_geometry_block_is_the_configuration(void **state)
{
	struct fnpu_config config;
	struct tb *tb;

	(void)state;
	fnpu_config_default(&config);
	config.geometry.tile_rows = 64;
	config.geometry.num_queues = 2;
	tb = tb_new(&config, TB_INLINE);
	for (unsigned int i = 0; i < sizeof(config.geometry) / 4; i++)
		assert_int_equal(tb_read(tb, FLUIDNPU_REG_GEOMETRY + 4 * i),
				 ((uint32_t *)&config.geometry)[i]);
	tb_free(tb);
}

static void test_unknown_registers_read_0_and_ignore_writes(void **state)
{
	struct tb *tb = tb_new(NULL, TB_INLINE);

	(void)state;
	for (uint32_t reg = 0x2000 + 8 * FLUIDNPU_CNT_NUM; reg < FLUIDNPU_BAR_REGS_BYTES;
	     reg += 4) {
		tb_write(tb, reg, UINT32_MAX);
		assert_int_equal(tb_read(tb, reg), 0);
	}
	/* a queue that this device lacks; what is only written */
	tb_write(tb, FLUIDNPU_REG_QUEUE(4) + FLUIDNPU_QREG_PRIORITY, 7);
	assert_int_equal(tb_read(tb, FLUIDNPU_REG_QUEUE(4) + FLUIDNPU_QREG_PRIORITY), 0);
	assert_int_equal(tb_read(tb, FLUIDNPU_REG_AS_CMD), 0);
	assert_int_equal(tb_read(tb, FLUIDNPU_REG_DOORBELL(0)), 0);
	tb_write(tb, FLUIDNPU_REG_MAGIC, 0);
	assert_int_equal(tb_read(tb, FLUIDNPU_REG_MAGIC), FLUIDNPU_MAGIC);
	tb_free(tb);
}

static void test_rw_registers_read_back(void **state)
{
	static const uint32_t regs[] = {
		FLUIDNPU_REG_AS_ROOT_LO,
		FLUIDNPU_REG_AS_ROOT_HI,
		FLUIDNPU_REG_CQ_BASE_LO,
		FLUIDNPU_REG_CQ_BASE_HI,
		FLUIDNPU_REG_CQ_COALESCE_COUNT,
		FLUIDNPU_REG_CQ_COALESCE_CYCLES,
		FLUIDNPU_REG_QUEUE(3) + FLUIDNPU_QREG_BASE_LO,
		FLUIDNPU_REG_QUEUE(3) + FLUIDNPU_QREG_BASE_HI,
		FLUIDNPU_REG_QUEUE(3) + FLUIDNPU_QREG_ENTRIES,
		FLUIDNPU_REG_QUEUE(3) + FLUIDNPU_QREG_PRIORITY,
	};
	struct tb *tb = tb_new(NULL, TB_INLINE);

	(void)state;
	for (size_t i = 0; i < sizeof(regs) / sizeof(regs[0]); i++) {
		tb_write(tb, regs[i], 0xa5000000u + regs[i]);
		assert_int_equal(tb_read(tb, regs[i]), 0xa5000000u + regs[i]);
	}
	tb_write(tb, FLUIDNPU_REG_AS_SELECT, 63);
	tb_write(tb, FLUIDNPU_REG_AS_SELECT, 64); /* there is none */
	assert_int_equal(tb_read(tb, FLUIDNPU_REG_AS_SELECT), 63);
	tb_free(tb);
}

static void test_reading_lo_latches_hi(void **state)
{
	struct tb *tb = tb_new(NULL, TB_INLINE);

	(void)state;
	tb->now = 0x1ffffffffull;
	assert_int_equal(tb_read(tb, FLUIDNPU_REG_TIME_LO), 0xffffffff);
	tb->now += 5; /* carries into HI between the two reads */
	assert_int_equal(tb_read(tb, FLUIDNPU_REG_TIME_HI), 1);
	assert_int_equal(tb_read(tb, FLUIDNPU_REG_TIME_LO), 4);
	assert_int_equal(tb_read(tb, FLUIDNPU_REG_TIME_HI), 2);
	tb_free(tb);
}

static void test_reset_is_power_on(void **state)
{
	struct tb *tb = tb_ready(NULL, TB_INLINE);
	struct tb_program p;
	struct tb_job job;

	(void)state;
	tb_net_two(&p, 1);
	tb_program_load(tb, &p, TB_AS);
	tb_queue_enable(tb, 1, 16, 5);
	tb_job_make(tb, &job, &p, TB_AS, 2, 1);
	tb_submit(tb, 1, &job.sqe);
	tb_submit(tb, 1, &job.sqe);
	tb_step(tb);
	tb_write(tb, FLUIDNPU_REG_CTRL, FLUIDNPU_CTRL_RESET); /* in the middle of a job */

	assert_true(fnpu_dev_deadline(tb->dev) == FNPU_NEVER);
	for (uint32_t reg = FLUIDNPU_REG_AS_SELECT; reg < FLUIDNPU_BAR_REGS_BYTES; reg += 4)
		assert_int_equal(tb_read(tb, reg), 0);
	assert_int_equal(tb_read(tb, FLUIDNPU_REG_CTRL), 0);
	assert_int_equal(tb_read(tb, FLUIDNPU_REG_STATUS), FLUIDNPU_STATUS_READY);

	/* and it works again */
	tb_as_enable(tb, TB_AS);
	tb_cq_enable(tb, 64);
	tb_queue_enable(tb, 1, 16, 5);
	tb->num_cqes = 0;
	tb_job_make(tb, &job, &p, TB_AS, 1, 9);
	tb_submit(tb, 1, &job.sqe);
	tb_run(tb);
	assert_int_equal(tb_status(tb, 9), FLUIDNPU_ERR_MMU_FAULT); /* the new table is empty */
	tb_map(tb, TB_AS, p.addr, p.header.total_bytes, false);
	tb_as_command(tb, TB_AS, FLUIDNPU_AS_CMD_FLUSH);
	tb_queue_control(tb, 1, FLUIDNPU_QCTRL_RESUME);
	tb_job_make(tb, &job, &p, TB_AS, 1, 10);
	tb_submit(tb, 1, &job.sqe);
	tb_run(tb);
	assert_int_equal(tb_status(tb, 10), FLUIDNPU_OK);
	tb_program_free(&p);
	tb_free(tb);
}

/* --- rings ----------------------------------------------------------------------- */

static void test_nop_completes_at_once(void **state)
{
	struct tb *tb = tb_ready(NULL, TB_INLINE);
	struct fluidnpu_hw_sqe sqe = tb_nop(0x1122334455667788ull);
	const struct fluidnpu_hw_cqe *cqe;

	(void)state;
	tb_queue_enable(tb, 2, 8, 0);
	tb->now = 12345;
	tb_submit(tb, 2, &sqe);
	assert_int_equal(tb_drain(tb, 10), 1);
	cqe = &tb->cqes[0];
	assert_true(cqe->cookie == 0x1122334455667788ull);
	assert_int_equal(cqe->type, FLUIDNPU_CQE_JOB);
	assert_int_equal(cqe->status, FLUIDNPU_OK);
	assert_int_equal(cqe->queue, 2);
	assert_true(cqe->time == 12345 && cqe->queued == 12345 && cqe->started == 12345);
	assert_int_equal(tb->interrupts[FLUIDNPU_VECTOR_CQ], 1);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_JOBS), 1);
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_BUSY_CYCLES), 0);
	tb_free(tb);
}

static void test_nothing_starts_before_enable(void **state)
{
	struct tb *tb = tb_ready(NULL, TB_INLINE);
	struct fluidnpu_hw_sqe sqe = tb_nop(1);

	(void)state;
	tb_queue_enable(tb, 0, 8, 0);
	tb_write(tb, FLUIDNPU_REG_CTRL, 0);
	tb->now = 100;
	tb_submit(tb, 0, &sqe);
	assert_int_equal(tb_drain(tb, 10), 0);
	tb->now = 150;
	tb_write(tb, FLUIDNPU_REG_CTRL, FLUIDNPU_CTRL_ENABLE);
	assert_int_equal(tb_drain(tb, 10), 1);
	assert_true(tb->cqes[0].queued == 100 && tb->cqes[0].started == 150);
	tb_free(tb);
}

static void test_rings_wrap_over_many_laps(void **state)
{
	struct tb *tb = tb_new(NULL, TB_INLINE);
	uint64_t submitted = 0, seen = 0;
	struct tb_rng rng = { 21 };

	(void)state;
	tb_cq_enable(tb, 64);
	tb_queue_enable(tb, 0, 8, 0);
	for (int round = 0; round < 2000; round++) {
		unsigned int n = tb_range(&rng, 1, 7);

		for (unsigned int i = 0; i < n; i++) {
			struct fluidnpu_hw_sqe sqe = tb_nop(submitted++);

			tb_push(tb, 0, &sqe);
		}
		tb_doorbell(tb, 0);
		assert_int_equal(tb_read(tb, FLUIDNPU_REG_QUEUE(0) + FLUIDNPU_QREG_HEAD),
				 tb->rings[0].tail);
		tb->num_cqes = 0;
		assert_int_equal(tb_drain(tb, 100), n);
		for (unsigned int i = 0; i < n; i++)
			assert_true(tb->cqes[i].cookie == seen++);
	}
	assert_true(submitted > 100 * 64);
	tb_free(tb);
}

static void test_full_completion_ring_holds_back_and_loses_nothing(void **state)
{
	struct tb *tb = tb_new(NULL, TB_INLINE);
	unsigned int waiting;

	(void)state;
	tb_cq_enable(tb, 64);
	tb_queue_enable(tb, 0, 256, 0);
	for (unsigned int i = 0; i < 200; i++) {
		struct fluidnpu_hw_sqe sqe = tb_nop(i);

		tb_submit(tb, 0, &sqe);
	}
	/* it keeps room for a whole batch and stops */
	waiting = tb_read(tb, FLUIDNPU_REG_QUEUE(0) + FLUIDNPU_QREG_HEAD);
	assert_in_range(waiting, 40, 63);
	assert_int_equal(tb_read(tb, FLUIDNPU_REG_STATUS), FLUIDNPU_STATUS_READY);
	for (unsigned int i = 0; i < 200; i++) { /* one at a time */
		assert_int_equal(tb_drain(tb, 1), 1);
		assert_int_equal(tb->cqes[i].cookie, i);
	}
	assert_int_equal(tb_drain(tb, 1), 0);
	tb_free(tb);
}

static void test_batch_waits_for_room_and_loses_nothing(void **state)
{
	struct tb *tb = tb_new(NULL, TB_INLINE);
	struct tb_program p;
	struct tb_job job;

	(void)state;
	tb_as_enable(tb, TB_AS);
	tb_cq_enable(tb, 64);
	tb_queue_enable(tb, 0, 64, 0);
	tb_net_two(&p, 3);
	tb_program_load(tb, &p, TB_AS);
	tb_job_make(tb, &job, &p, TB_AS, 16, 0);
	for (unsigned int i = 0; i < 20; i++) {
		job.sqe.cookie = i;
		tb_submit(tb, 0, &job.sqe);
	}
	while (tb_step(tb))
		;
	/* two jobs of 17 completions fit, a third would need room for 17 of 29, then 12 are left */
	assert_int_equal(tb_read(tb, FLUIDNPU_REG_QUEUE(0) + FLUIDNPU_QREG_HEAD), 3);
	while (tb_drain(tb, 5))
		while (tb_step(tb))
			;
	assert_int_equal(tb->num_cqes, 20 * 17);
	for (unsigned int i = 0; i < 20; i++) {
		assert_int_equal(tb_status(tb, i), FLUIDNPU_OK);
		for (unsigned int s = 0; s < 16; s++)
			assert_non_null(tb_exit_cqe(tb, i, s));
	}
	tb_program_free(&p);
	tb_free(tb);
}

/* --- interrupts ------------------------------------------------------------------ */

static void test_coalescing_by_count(void **state)
{
	struct tb *tb = tb_ready(NULL, TB_INLINE);

	(void)state;
	tb_queue_enable(tb, 0, 64, 0);
	tb_write(tb, FLUIDNPU_REG_CQ_COALESCE_COUNT, 4);
	tb_write(tb, FLUIDNPU_REG_CQ_COALESCE_CYCLES, 1000);
	for (unsigned int i = 1; i <= 11; i++) {
		struct fluidnpu_hw_sqe sqe = tb_nop(i);

		tb->now += 10;
		tb_submit(tb, 0, &sqe);
		assert_int_equal(tb->interrupts[FLUIDNPU_VECTOR_CQ], i / 4);
	}
	assert_int_equal(tb_counter(tb, FLUIDNPU_CNT_INTERRUPTS), 2);
	tb_free(tb);
}

/* Without a time after which they are raised all the same, interrupts do not wait for a count. */
static void test_coalescing_needs_a_time(void **state)
{
	struct tb *tb = tb_ready(NULL, TB_INLINE);

	(void)state;
	tb_queue_enable(tb, 0, 64, 0);
	tb_write(tb, FLUIDNPU_REG_CQ_COALESCE_COUNT, 4);
	for (unsigned int i = 1; i <= 3; i++) {
		struct fluidnpu_hw_sqe sqe = tb_nop(i);

		tb_submit(tb, 0, &sqe);
		assert_int_equal(tb->interrupts[FLUIDNPU_VECTOR_CQ], i);
	}
	tb_free(tb);
}

static void test_coalescing_by_time(void **state)
{
	struct tb *tb = tb_ready(NULL, TB_INLINE);
	struct fluidnpu_hw_sqe sqe = tb_nop(1);

	(void)state;
	tb_queue_enable(tb, 0, 64, 0);
	tb_write(tb, FLUIDNPU_REG_CQ_COALESCE_COUNT, 100);
	tb_write(tb, FLUIDNPU_REG_CQ_COALESCE_CYCLES, 1000);
	tb->now = 500;
	tb_submit(tb, 0, &sqe);
	tb->now = 900;
	tb_submit(tb, 0, &sqe); /* the first one's time counts */
	assert_int_equal(tb->interrupts[FLUIDNPU_VECTOR_CQ], 0);
	assert_true(fnpu_dev_deadline(tb->dev) == 1500);
	fnpu_dev_advance(tb->dev, 1499);
	assert_int_equal(tb->interrupts[FLUIDNPU_VECTOR_CQ], 0);
	fnpu_dev_advance(tb->dev, 1500);
	assert_int_equal(tb->interrupts[FLUIDNPU_VECTOR_CQ], 1);
	assert_true(fnpu_dev_deadline(tb->dev) == FNPU_NEVER);
	tb_free(tb);
}

static void test_interrupts_without_coalescing(void **state)
{
	struct tb *tb = tb_ready(NULL, TB_INLINE);

	(void)state;
	tb_queue_enable(tb, 0, 64, 0);
	for (unsigned int count = 0; count < 2; count++) { /* 0 and 1: each */
		tb_write(tb, FLUIDNPU_REG_CQ_COALESCE_COUNT, count);
		tb_write(tb, FLUIDNPU_REG_CQ_COALESCE_CYCLES, 1000);
		for (unsigned int i = 0; i < 5; i++) {
			struct fluidnpu_hw_sqe sqe = tb_nop(i);

			tb->interrupts[FLUIDNPU_VECTOR_CQ] = 0;
			tb_submit(tb, 0, &sqe);
			assert_int_equal(tb->interrupts[FLUIDNPU_VECTOR_CQ], 1);
		}
	}
	tb_free(tb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_identity_registers),
		cmocka_unit_test(test_geometry_block_is_the_configuration),
		cmocka_unit_test(test_unknown_registers_read_0_and_ignore_writes),
		cmocka_unit_test(test_rw_registers_read_back),
		cmocka_unit_test(test_reading_lo_latches_hi),
		cmocka_unit_test(test_reset_is_power_on),
		cmocka_unit_test(test_nop_completes_at_once),
		cmocka_unit_test(test_nothing_starts_before_enable),
		cmocka_unit_test(test_rings_wrap_over_many_laps),
		cmocka_unit_test(test_full_completion_ring_holds_back_and_loses_nothing),
		cmocka_unit_test(test_batch_waits_for_room_and_loses_nothing),
		cmocka_unit_test(test_coalescing_by_count),
		cmocka_unit_test(test_coalescing_needs_a_time),
		cmocka_unit_test(test_coalescing_by_time),
		cmocka_unit_test(test_interrupts_without_coalescing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
