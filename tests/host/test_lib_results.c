// SPDX-License-Identifier: MIT
/* Results by callback, samples that are cancelled, and what a session counts. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "allocations.h"
#include "lib_rig.h"

/* ---- callbacks ---- */

/** struct taker - of results; @more: samples that it still submits, one per result */
struct taker {
	struct fnpu_session *session;
	int seen;
	int more;
	uint64_t sum;
};

static void take(const struct fnpu_result *result, void *opaque)
{
	struct taker *t = opaque;

	assert_int_equal(result->status, 0);
	t->seen++;
	t->sum += result->user_data;
	if (t->more && t->more--)
		assert_int_equal(lib_rig_submit(t->session, 1000, lib_rig_sure), 0);
}

static void callback_gets_every_result_once_and_may_submit(void **state)
{
	struct lib_rig *rig = *state;
	struct taker t = { .session = lib_rig_open(rig, NULL), .more = 25 };
	int total = 0, n;

	for (uint64_t i = 1; i <= 10; i++)
		assert_int_equal(lib_rig_submit(t.session, i, i % 2 ? lib_rig_sure :
						lib_rig_unsure), 0);
	while ((n = fnpu_session_dispatch(t.session, -1, take, &t)) > 0)
		total += n;
	assert_int_equal(n, 0);
	assert_int_equal(total, 35);
	assert_int_equal(t.seen, 35);
	assert_int_equal(t.sum, 55 + 25 * 1000);
	fnpu_session_close(t.session);
}

static void take_logits(const struct fnpu_result *result, void *opaque)
{
	int *right = opaque;

	/* exit 0 says the input as it is */
	*right += !memcmp(result->logits, result->user_data ? lib_rig_sure : lib_rig_unsure,
			  LIB_MODEL_CLASSES);
}

static void logits_hold_during_the_callback(void **state)
{
	struct lib_rig *rig = *state;
	struct fnpu_session *s = lib_rig_open(rig, &(struct fnpu_session_options){
		.flags = FNPU_SESSION_LOGITS });
	int right = 0;

	for (uint64_t i = 0; i < 8; i++)
		assert_int_equal(lib_rig_submit(s, i % 2, i % 2 ? lib_rig_sure : lib_rig_unsure), 0);
	while (fnpu_session_dispatch(s, -1, take_logits, &right) > 0)
		;
	assert_int_equal(right, 8);
	fnpu_session_close(s);
}

/* ---- cancel ---- */

static void waiting_sample_is_cancelled_at_once(void **state)
{
	struct lib_rig *rig = *state;
	struct fnpu_session *s = lib_rig_open(rig, NULL);

	assert_int_equal(lib_rig_submit(s, 1, lib_rig_sure), 0);
	assert_int_equal(lib_rig_submit(s, 2, lib_rig_sure), 0);
	assert_int_equal(fnpu_session_cancel(s, 1), 1);
	assert_int_equal(fnpu_session_cancel(s, 1), -ENOENT);
	assert_int_equal(fnpu_session_cancel(s, 3), -ENOENT);
	assert_int_equal(fnpu_session_pending(s), 2);
	assert_int_equal(lib_rig_collect(rig, s), 2);
	assert_int_equal(rig->results[0].user_data, 1);
	assert_int_equal(rig->results[0].status, -ECANCELED);
	assert_non_null(strstr(rig->results[0].reason, "cancelled"));
	assert_int_equal(rig->results[1].user_data, 2);
	assert_int_equal(rig->results[1].status, 0);
	assert_int_equal(fnpu_session_cancel(s, 2), -ENOENT);
	fnpu_session_close(s);
}

static void all_samples_of_a_stream_are_cancelled(void **state)
{
	struct lib_rig *rig = *state;
	struct fnpu_session *s = lib_rig_open(rig, NULL);

	for (int i = 0; i < 9; i++)
		assert_int_equal(lib_rig_submit(s, (uint64_t)i % 3, lib_rig_sure), 0);
	assert_int_equal(fnpu_session_cancel(s, 2), 3);
	assert_int_equal(lib_rig_collect(rig, s), 9);
	for (int i = 0; i < 9; i++)
		assert_int_equal(rig->results[i].status,
				 rig->results[i].user_data == 2 ? -ECANCELED : 0);
	fnpu_session_close(s);
}

static void running_sample_leaves_as_it_would(void **state)
{
	struct lib_rig *rig = *state;
	struct fnpu_session *s = lib_rig_open(rig, NULL);

	assert_int_equal(lib_rig_submit(s, 1, lib_rig_unsure), 0);
	assert_int_equal(fnpu_session_flush(s), 0);
	assert_int_equal(fnpu_session_cancel(s, 1), -EINPROGRESS);
	assert_int_equal(lib_rig_collect(rig, s), 1);
	assert_int_equal(rig->results[0].status, 0);
	assert_int_equal(rig->results[0].exit_index, 1);
	fnpu_session_close(s);
}

static void running_sample_is_cancelled_when_its_batch_is_stopped(void **state)
{
	struct lib_rig *rig = *state;
	struct fnpu_session *s = lib_rig_open(rig, &(struct fnpu_session_options){
		.policy = "cellular" });

	/* cellular runs a stage at a time: behind exit 0 the unsure one is back in the queue */
	assert_int_equal(lib_rig_submit(s, 1, lib_rig_unsure), 0);
	assert_int_equal(lib_rig_submit(s, 2, lib_rig_unsure), 0);
	assert_int_equal(fnpu_session_flush(s), 0);
	assert_int_equal(fnpu_session_cancel(s, 1), -EINPROGRESS);
	assert_int_equal(lib_rig_collect(rig, s), 2);
	assert_int_equal(rig->results[0].user_data, 1);
	assert_int_equal(rig->results[0].status, -ECANCELED);
	assert_int_equal(rig->results[1].user_data, 2);
	assert_int_equal(rig->results[1].status, 0);
	fnpu_session_close(s);
}

static void cancelled_samples_make_room(void **state)
{
	struct lib_rig *rig = *state;
	struct fnpu_session *s = lib_rig_open(rig, &(struct fnpu_session_options){
		.queue_bound = 4 });

	for (int round = 0; round < 100; round++) {
		int in = 0;

		while (!lib_rig_submit(s, 1, lib_rig_sure))
			in++;
		assert_int_equal(in, 4);
		assert_int_equal(fnpu_session_cancel(s, 1), 4);
		assert_int_equal(fnpu_session_poll(s, rig->results, LIB_RIG_RESULTS), 4);
		assert_int_equal(fnpu_session_poll(s, rig->results, LIB_RIG_RESULTS), 0);
	}
	fnpu_session_close(s);
}

/* ---- counts ---- */

static void statistics_tell_what_became_of_all(void **state)
{
	struct lib_rig *rig = *state;
	struct fnpu_session *s = lib_rig_open(rig, &(struct fnpu_session_options){
		.policy = "cellular", .queue_bound = 8 });
	struct fnpu_session_stats stats;
	const struct fnpu_request late = {
		.input = lib_rig_unsure, .input_bytes = LIB_MODEL_INPUTS,
		.format = FNPU_INPUT_I8_NHWC, .slo_ns = 1,
	};
	struct fnpu_request rejected = late;

	rejected.flags = FNPU_REQUEST_REJECT_LATE;
	for (int i = 0; i < 3; i++)
		assert_int_equal(lib_rig_submit(s, 1, lib_rig_sure), 0);
	assert_int_equal(lib_rig_submit(s, 2, lib_rig_unsure), 0);
	assert_int_equal(lib_rig_submit(s, 3, lib_rig_unsure), 0);
	assert_int_equal(fnpu_session_submit(s, &late), 0);
	assert_int_equal(fnpu_session_submit(s, &rejected), 0);
	assert_int_equal(fnpu_session_cancel(s, 3), 1);
	assert_int_equal(lib_rig_submit(s, 4, lib_rig_sure), 0);
	assert_int_equal(lib_rig_submit(s, 4, lib_rig_sure), 0);
	assert_int_equal(lib_rig_submit(s, 4, lib_rig_sure), -EAGAIN);
	assert_int_equal(lib_rig_collect(rig, s), 9);
	fnpu_session_stats(s, &stats);
	assert_int_equal(stats.submitted, 9);
	assert_int_equal(stats.rejected, 1);
	assert_int_equal(stats.completed, 7);
	assert_int_equal(stats.failed, 2);
	assert_int_equal(stats.expired, 1);
	assert_int_equal(stats.cancelled, 1);
	assert_int_equal(stats.late, 1);
	assert_int_equal(stats.exits[0], 5);
	assert_int_equal(stats.exits[1], 2);
	assert_int_equal(stats.preemptions, 2);
	assert_int_equal(stats.injected, 0);
	assert_int_equal(stats.job_samples, 7 + 2);
	fnpu_session_close(s);
}

/* ---- memory ---- */

static void ignore(const struct fnpu_result *result, void *opaque)
{
	(void)result;
	(void)opaque;
}

static void serve_many(struct fnpu_session *s)
{
	for (uint64_t i = 0; i < 2000; i++) {
		while (lib_rig_submit(s, i, i % 3 ? lib_rig_sure : lib_rig_unsure) == -EAGAIN)
			fnpu_session_dispatch(s, -1, ignore, NULL);
		if (i % 7 == 0)
			fnpu_session_cancel(s, i);
	}
	while (fnpu_session_dispatch(s, -1, ignore, NULL) > 0)
		;
}

static void samples_take_no_memory(void **state)
{
	static const char *const policies[] = { "adaptive", "lazy", "cellular", "fluid", "fluid+" };

	if (!allocations_counted())
		skip();
	for (size_t p = 0; p < sizeof(policies) / sizeof(policies[0]); p++) {
		struct fnpu_session *s = lib_rig_open(*state, &(struct fnpu_session_options){
			.policy = policies[p], .slo_ns = 100000 });
		uint64_t before;

		assert_true(fnpu_session_fd(s) >= 0);
		serve_many(s);	/* the emulated NPU takes what it computes with the first time */
		before = allocations();
		serve_many(s);
		if (allocations() != before)
			fail_msg("with %s, 2000 samples took memory %d times", policies[p],
				 (int)(allocations() - before));
		fnpu_session_close(s);
	}
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, lib_rig_setup, lib_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(callback_gets_every_result_once_and_may_submit),
		TEST(logits_hold_during_the_callback),
		TEST(waiting_sample_is_cancelled_at_once),
		TEST(all_samples_of_a_stream_are_cancelled),
		TEST(running_sample_leaves_as_it_would),
		TEST(running_sample_is_cancelled_when_its_batch_is_stopped),
		TEST(cancelled_samples_make_room),
		TEST(statistics_tell_what_became_of_all),
		TEST(samples_take_no_memory),
	};

	return cmocka_run_group_tests_name("lib_results", tests, NULL, NULL);
}
