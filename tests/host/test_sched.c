// SPDX-License-Identifier: MIT
/* The scheduling core itself: what it refuses, whom it puts first and drops, what it learns. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fluidnpu.h"
#include "sched_rig.h"

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

static const uint64_t cycles[] = { 0, 10, 20, 0, 12, 24 };
static const uint32_t exits[] = { 0, 1 };
static const struct fnpu_sched_model model = {
	.num_layers = 2, .max_batch = 2, .cycles = cycles, .num_exits = 2, .exit_layers = exits,
};

static const struct fnpu_sched_config good = {
	.models = &model, .num_models = 1, .max_samples = 4, .queue_bound = 3, .max_batches = 1,
	.stack_depth = 1, .can_limit_exits = true,
};

/* As the rig has it: two layers with an exit behind each, 10 cycles for one sample, 12 for two. */
static const struct rig_model net = {
	.layers = 2, .max_batch = 2, .num_exits = 2, .exits = { 0, 1 }, .first = 10, .more = 2,
};

static struct fnpu_sched *make(const char *policy)
{
	struct fnpu_sched_config config = good;
	struct fnpu_sched *s = NULL;
	struct fnpu_error error;

	config.policy = policy;
	if (fnpu_sched_new(&config, &s, &error))
		fail_msg("%s", error.text);
	return s;
}

static int arrive(struct fnpu_sched *s, uint64_t now, uint32_t sample, uint32_t flags,
		  uint64_t deadline)
{
	return fnpu_sched_arrival(s, now, sample, &(struct fnpu_sched_request){
		.deadline = deadline, .flags = flags });
}

static void refused(const struct fnpu_sched_config *config, int err, const char *word)
{
	struct fnpu_sched *s = NULL;
	struct fnpu_error error = { "" };

	assert_int_equal(fnpu_sched_new(config, &s, &error), err);
	assert_null(s);
	if (!strstr(error.text, word))
		fail_msg("\"%s\" does not name \"%s\"", error.text, word);
}

static void wrong_tables_are_refused_with_a_reason(void **state)
{
	static const uint64_t falling[] = { 0, 20, 10, 0, 20, 30 };
	static const uint32_t backwards[] = { 1, 0 }, short_of_end[] = { 0 };
	static const double negative[] = { -1, 2 };
	static const struct {
		struct fnpu_sched_model model;
		const char *word;
	} bad[] = {
		{ { 0, 2, cycles, NULL, 2, exits, NULL }, "0 layers" },
		{ { 2, 17, cycles, NULL, 2, exits, NULL }, "batch of 17" },
		{ { 2, 2, cycles, NULL, 0, exits, NULL }, "0 exits" },
		{ { 2, 2, NULL, NULL, 2, exits, NULL }, "costs" },
		{ { 2, 2, falling, NULL, 2, exits, NULL }, "prefix" },
		{ { 2, 2, cycles, NULL, 2, backwards, NULL }, "ascend" },
		{ { 2, 2, cycles, NULL, 1, short_of_end, NULL }, "last" },
		{ { 2, 2, cycles, NULL, 2, exits, negative }, "share" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct fnpu_sched_config config = good;

		config.models = &bad[i].model;
		refused(&config, -EINVAL, bad[i].word);
	}
}

static void wrong_numbers_are_refused_with_a_reason(void **state)
{
	struct fnpu_sched_config config = good;

	(void)state;
	config.num_models = 0;
	refused(&config, -EINVAL, "models");
	config = good;
	config.max_samples = 0;
	refused(&config, -EINVAL, "sample");
	config = good;
	config.queue_bound = 0;
	refused(&config, -EINVAL, "waiting");
}

static void policies_and_parameters_are_known_by_name(void **state)
{
	static const struct {
		const char *policy;
		int err;
		const char *word;
	} bad[] = {
		{ "magic", -ENOENT, "adaptive" },
		{ "fluidity", -ENOENT, "fluidity" },
		{ "", -ENOENT, "use" },
		{ "serial:", -EINVAL, "missing" },
		{ "serial:speed=9", -EINVAL, "no parameters" },
		{ "static:speed=9", -EINVAL, "delay" },
		{ "static:size", -EINVAL, "parameter=value" },
		{ "static:size=many", -EINVAL, "0 to 16" },
		{ "static:size=17", -EINVAL, "17" },
		{ "static:delay=-1", -EINVAL, "delay" },
		{ "static:delay=nan", -EINVAL, "nan" },
		{ "fluid+:objective=fun", -EINVAL, "latency" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct fnpu_sched_config config = good;

		config.policy = bad[i].policy;
		refused(&config, bad[i].err, bad[i].word);
	}
	fnpu_sched_free(make("static:size=2,delay=3.5"));
	fnpu_sched_free(make("fluid+:objective=latency"));
	fnpu_sched_free(make(NULL));
}

static void what_the_user_cannot_do_is_refused(void **state)
{
	struct fnpu_sched_config config = good;

	(void)state;
	config.stack_depth = 0;
	config.policy = "fluid";
	refused(&config, -ENOTSUP, "injects");
	config = good;
	config.can_limit_exits = false;
	config.policy = "edge";
	refused(&config, -ENOTSUP, "exits");
}

static void wrong_events_are_refused(void **state)
{
	struct fnpu_sched *s = make("serial");
	struct fnpu_sched_decision d;

	(void)state;
	assert_int_equal(arrive(s, 0, 4, 0, 9), -EINVAL);
	assert_int_equal(arrive(s, 0, 0, 1u << 5, 9), -EINVAL);
	assert_int_equal(fnpu_sched_arrival(s, 0, 0, &(struct fnpu_sched_request){ .model = 1 }),
			 -EINVAL);
	assert_int_equal(fnpu_sched_arrival(s, 0, 0, &(struct fnpu_sched_request){ .priority = 8 }),
			 -EINVAL);
	assert_int_equal(arrive(s, 0, 0, 0, 9), 0);
	assert_int_equal(arrive(s, 0, 0, 0, 9), -EINVAL);
	assert_int_equal(fnpu_sched_exit(s, 0, 0, 0), -EINVAL);
	assert_int_equal(fnpu_sched_handed_back(s, 0, 0, 1), -EINVAL);
	assert_int_equal(fnpu_sched_batch_end(s, 0, 0), -EINVAL);
	assert_int_equal(fnpu_sched_batch_end(s, 0, 9), -EINVAL);
	assert_true(fnpu_sched_decide(s, 0, &d));
	assert_int_equal(fnpu_sched_exit(s, 1, 0, 2), -EINVAL);
	assert_int_equal(fnpu_sched_handed_back(s, 1, 0, 2), -EINVAL);
	assert_int_equal(fnpu_sched_cancel(s, 1, 3), -EINVAL);
	assert_int_equal(fnpu_sched_exit(s, 10, 0, 0), 0);
	assert_int_equal(fnpu_sched_exit(s, 10, 0, 0), -EINVAL);
	assert_int_equal(fnpu_sched_batch_end(s, 10, d.batch), 0);
	fnpu_sched_free(s);
}

static void a_full_queue_refuses_arrivals(void **state)
{
	struct fnpu_sched *s = make("serial");

	(void)state;
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(arrive(s, 0, i, 0, FNPU_SCHED_NEVER), 0);
	assert_int_equal(arrive(s, 0, 3, 0, FNPU_SCHED_NEVER), -EAGAIN);
	assert_int_equal(fnpu_sched_waiting(s), 3);
	fnpu_sched_free(s);
}

static void samples_of_a_failed_batch_are_idle(void **state)
{
	struct fnpu_sched *s = make("adaptive");
	struct fnpu_sched_decision d;

	(void)state;
	assert_int_equal(arrive(s, 0, 0, 0, FNPU_SCHED_NEVER), 0);
	assert_int_equal(arrive(s, 0, 1, 0, FNPU_SCHED_NEVER), 0);
	assert_true(fnpu_sched_decide(s, 0, &d));
	assert_int_equal(d.count, 2);
	assert_int_equal(fnpu_sched_batch_end(s, 5, d.batch), 0);
	assert_int_equal(arrive(s, 5, 0, 0, FNPU_SCHED_NEVER), 0);
	assert_int_equal(arrive(s, 5, 1, 0, FNPU_SCHED_NEVER), 0);
	fnpu_sched_free(s);
}

static void several_batches_may_be_in_flight_where_nothing_preempts(void **state)
{
	struct fnpu_sched_config config = good;
	struct fnpu_sched_decision a, b, none;
	struct fnpu_sched *s = NULL;

	(void)state;
	config.max_batches = 2;
	config.policy = "serial";
	assert_int_equal(fnpu_sched_new(&config, &s, NULL), 0);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(arrive(s, 0, i, 0, FNPU_SCHED_NEVER), 0);
	assert_true(fnpu_sched_decide(s, 0, &a));
	assert_true(fnpu_sched_decide(s, 0, &b));
	assert_int_not_equal(a.batch, b.batch);
	assert_false(fnpu_sched_decide(s, 0, &none));
	assert_int_equal(fnpu_sched_exit(s, 10, a.samples[0], 0), 0);
	assert_int_equal(fnpu_sched_batch_end(s, 10, a.batch), 0);
	assert_true(fnpu_sched_decide(s, 10, &none));
	assert_int_equal(none.batch, a.batch);
	assert_int_equal(none.samples[0], 2);
	fnpu_sched_free(s);
}

/* The NPU says that a sample has left before it says that its batch is over; others come in between. */
static void batch_that_all_have_left_takes_no_others(void **state)
{
	const struct fnpu_sched_policy_info *info;

	(void)state;
	for (uint32_t p = 0; (info = fnpu_sched_policy_info(p)); p++) {
		struct fnpu_sched *s = make(info->name);
		struct fnpu_sched_decision d, none;

		assert_int_equal(arrive(s, 0, 0, 0, FNPU_SCHED_NEVER), 0);
		if (!fnpu_sched_decide(s, 0, &d))	/* it waits for more */
			assert_true(fnpu_sched_decide(s, fnpu_sched_timer(s), &d));
		assert_int_equal(d.kind, FNPU_SCHED_START);
		assert_int_equal(fnpu_sched_exit(s, 1000, 0, 0), 0);
		assert_int_equal(arrive(s, 1003, 1, 0, FNPU_SCHED_NEVER), 0);
		if (fnpu_sched_decide(s, 1003, &none))
			fail_msg("%s: %s", info->name, none.why);
		assert_int_equal(fnpu_sched_batch_end(s, 1005, d.batch), 0);
		if (!fnpu_sched_decide(s, 1005, &d))
			assert_true(fnpu_sched_decide(s, fnpu_sched_timer(s), &d));
		assert_int_equal(d.kind, FNPU_SCHED_START);
		assert_int_equal(d.samples[0], 1);
		fnpu_sched_free(s);
	}
}

static void priorities_go_first_and_best_effort_last(void **state)
{
	static const struct rig_arrival arrivals[] = {
		{ .at = 0 }, { .at = 1, .flags = FNPU_SCHED_BEST_EFFORT, .priority = 7 },
		{ .at = 2 }, { .at = 3, .priority = 2 },
	};

	(void)state;
	rig_expect("serial", &net, 1, arrivals, COUNT(arrivals),
		   "0 start a at 0\n10 a exits at 0\n"
		   "10 start d at 0\n20 d exits at 0\n"
		   "20 start c at 0\n30 c exits at 0\n"
		   "30 start b at 0\n40 b exits at 0\n");
}

static void a_request_that_asks_for_it_is_dropped_once_it_must_be_late(void **state)
{
	/* c could still make its deadline at 10, at the first exit: 20. b cannot. d did not ask. */
	static const struct rig_arrival arrivals[] = {
		{ .at = 0 }, { .at = 1, .deadline = 19, .flags = FNPU_SCHED_REJECT_LATE },
		{ .at = 2, .deadline = 20, .flags = FNPU_SCHED_REJECT_LATE },
		{ .at = 3, .deadline = 5 },
	};

	(void)state;
	rig_expect("serial", &net, 1, arrivals, COUNT(arrivals),
		   "0 start a at 0\n10 a exits at 0\n"
		   "10 drop b late\n"
		   "10 start c at 0\n20 c exits at 0\n"
		   "20 start d at 0\n30 d exits at 0\n");
}

static void cancelled_samples_are_gone(void **state)
{
	/* b waits, and is gone at once. a runs on and leaves as if nothing had been. */
	static const struct rig_arrival arrivals[] = {
		{ .at = 0, .cancel = 4 }, { .at = 1, .cancel = 5 }, { .at = 2 },
	};

	(void)state;
	rig_expect("serial", &net, 1, arrivals, COUNT(arrivals),
		   "0 start a at 0\n10 a exits at 0\n10 start c at 0\n20 c exits at 0\n");
}

static void one_cancelled_while_it_runs_is_dropped_when_it_is_handed_back(void **state)
{
	static const struct rig_arrival arrivals[] = {
		{ .at = 0, .exit = 1, .cancel = 4 }, { .at = 5 },
	};

	(void)state;
	rig_expect("cellular", &net, 1, arrivals, COUNT(arrivals),
		   "0 start a at 0\n10 a back at 1\n10 drop a cancelled\n"
		   "10 start b at 0\n20 b exits at 0\n");
}

static void exit_shares_are_learnt(void **state)
{
	static struct rig_arrival arrivals[2000];
	struct rig *r = rig_open("serial", &net, 1, RIG_MAX_SAMPLES);

	(void)state;
	assert_true(fnpu_sched_exit_share(r->sched, 0, 0) > 0.49);
	assert_true(fnpu_sched_exit_share(r->sched, 0, 0) < 0.51);
	for (uint32_t i = 0; i < COUNT(arrivals); i++)
		arrivals[i] = (struct rig_arrival){ .at = 30 * i, .exit = i % 10 == 0 };
	rig_run(r, arrivals, COUNT(arrivals));
	assert_true(fnpu_sched_exit_share(r->sched, 0, 0) > 0.86);
	assert_true(fnpu_sched_exit_share(r->sched, 0, 0) < 0.92);
	assert_true(fnpu_sched_exit_share(r->sched, 0, 1) > 0.99);
	rig_close(r);
}

static void exits_that_a_limit_forced_teach_nothing(void **state)
{
	static struct rig_arrival arrivals[500];
	struct rig *r = rig_open("edge", &net, 1, RIG_MAX_SAMPLES);

	(void)state;
	for (uint32_t i = 0; i < COUNT(arrivals); i++)
		arrivals[i] = (struct rig_arrival){ .at = 30 * i, .exit = 1, .deadline = 30 * i + 15 };
	rig_run(r, arrivals, COUNT(arrivals));
	assert_int_equal(r->samples[400].exit, 0);
	assert_true(fnpu_sched_exit_share(r->sched, 0, 0) < 0.51);
	rig_close(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_tables_are_refused_with_a_reason),
		cmocka_unit_test(wrong_numbers_are_refused_with_a_reason),
		cmocka_unit_test(policies_and_parameters_are_known_by_name),
		cmocka_unit_test(what_the_user_cannot_do_is_refused),
		cmocka_unit_test(wrong_events_are_refused),
		cmocka_unit_test(a_full_queue_refuses_arrivals),
		cmocka_unit_test(samples_of_a_failed_batch_are_idle),
		cmocka_unit_test(several_batches_may_be_in_flight_where_nothing_preempts),
		cmocka_unit_test(batch_that_all_have_left_takes_no_others),
		cmocka_unit_test(priorities_go_first_and_best_effort_last),
		cmocka_unit_test(a_request_that_asks_for_it_is_dropped_once_it_must_be_late),
		cmocka_unit_test(cancelled_samples_are_gone),
		cmocka_unit_test(one_cancelled_while_it_runs_is_dropped_when_it_is_handed_back),
		cmocka_unit_test(exit_shares_are_learnt),
		cmocka_unit_test(exits_that_a_limit_forced_teach_nothing),
	};

	return cmocka_run_group_tests_name("sched", tests, NULL, NULL);
}
