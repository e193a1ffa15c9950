// SPDX-License-Identifier: MIT
/* The scheduling core: what each policy starts when, and what never happens under any. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fnpu_sched.h"

#define SAMPLES	64

static const struct fnpu_sched_model two_models[] = {
	{ .num_layers = 10, .max_batch = 4 },
	{ .num_layers = 3, .max_batch = 16 },
};

static struct fnpu_sched *make(const char *policy, uint32_t max_batches)
{
	struct fnpu_sched *s = NULL;

	assert_int_equal(fnpu_sched_new(&(struct fnpu_sched_config){
		.policy = policy,
		.models = two_models,
		.num_models = 2,
		.max_samples = SAMPLES,
		.queue_bound = 40,
		.max_batches = max_batches,
	}, &s), 0);
	return s;
}

static void adaptive_takes_what_waits_and_never_more_than_fits(void **state)
{
	struct fnpu_sched *s = make("adaptive", 2);
	struct fnpu_sched_start start;

	(void)state;
	assert_false(fnpu_sched_decide(s, 0, &start));
	for (uint32_t i = 0; i < 6; i++)
		assert_int_equal(fnpu_sched_arrival(s, 0, i, 0), 0);
	assert_true(fnpu_sched_decide(s, 0, &start));
	assert_int_equal(start.count, 4);
	assert_int_equal(start.model, 0);
	assert_int_equal(start.layer, 0);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(start.samples[i], i);
	assert_true(fnpu_sched_decide(s, 0, &start));
	assert_int_equal(start.count, 2);
	assert_int_equal(fnpu_sched_waiting(s), 0);
	fnpu_sched_free(s);
}

static void nothing_starts_while_all_batches_are_in_flight(void **state)
{
	struct fnpu_sched *s = make("adaptive", 1);
	struct fnpu_sched_start start, next;

	(void)state;
	assert_int_equal(fnpu_sched_arrival(s, 0, 0, 0), 0);
	assert_true(fnpu_sched_decide(s, 0, &start));
	assert_int_equal(fnpu_sched_arrival(s, 1, 1, 0), 0);
	assert_false(fnpu_sched_decide(s, 1, &next));
	assert_int_equal(fnpu_sched_exit(s, 2, 0), 0);
	assert_false(fnpu_sched_decide(s, 2, &next));
	assert_int_equal(fnpu_sched_batch_end(s, 3, start.batch), 0);
	assert_true(fnpu_sched_decide(s, 3, &next));
	assert_int_equal(next.samples[0], 1);
	fnpu_sched_free(s);
}

static void models_never_share_a_batch_and_the_oldest_goes_first(void **state)
{
	static const uint32_t models[] = { 1, 0, 1, 1, 0 };
	struct fnpu_sched *s = make("adaptive", 4);
	struct fnpu_sched_start start;

	(void)state;
	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(fnpu_sched_arrival(s, i, i, models[i]), 0);
	assert_true(fnpu_sched_decide(s, 9, &start));
	assert_int_equal(start.model, 1);
	assert_int_equal(start.count, 3);
	assert_int_equal(start.samples[2], 3);
	assert_true(fnpu_sched_decide(s, 9, &start));
	assert_int_equal(start.model, 0);
	assert_int_equal(start.count, 2);
	assert_int_equal(start.samples[1], 4);
	assert_false(fnpu_sched_decide(s, 9, &start));
	fnpu_sched_free(s);
}

static void serial_starts_single_samples_in_arrival_order(void **state)
{
	struct fnpu_sched *s = make("serial", 8);
	struct fnpu_sched_start start;

	(void)state;
	for (uint32_t i = 0; i < 6; i++)
		assert_int_equal(fnpu_sched_arrival(s, 0, i, i & 1), 0);
	for (uint32_t i = 0; i < 6; i++) {
		assert_true(fnpu_sched_decide(s, 0, &start));
		assert_int_equal(start.count, 1);
		assert_int_equal(start.samples[0], i);
		assert_int_equal(start.model, i & 1);
	}
	fnpu_sched_free(s);
}

static void full_queue_refuses_with_eagain(void **state)
{
	struct fnpu_sched *s = make(NULL, 1);

	(void)state;
	for (uint32_t i = 0; i < 40; i++)
		assert_int_equal(fnpu_sched_arrival(s, 0, i, 0), 0);
	assert_int_equal(fnpu_sched_arrival(s, 0, 40, 0), -EAGAIN);
	fnpu_sched_free(s);
}

static void impossible_events_are_refused(void **state)
{
	struct fnpu_sched *s = make(NULL, 1);

	(void)state;
	assert_int_equal(fnpu_sched_arrival(s, 0, SAMPLES, 0), -EINVAL);
	assert_int_equal(fnpu_sched_arrival(s, 0, 0, 2), -EINVAL);
	assert_int_equal(fnpu_sched_exit(s, 0, 0), -EINVAL);
	assert_int_equal(fnpu_sched_exit(s, 0, SAMPLES), -EINVAL);
	assert_int_equal(fnpu_sched_batch_end(s, 0, 0), -EINVAL);
	assert_int_equal(fnpu_sched_batch_end(s, 0, 9), -EINVAL);
	assert_int_equal(fnpu_sched_arrival(s, 0, 0, 0), 0);
	assert_int_equal(fnpu_sched_arrival(s, 0, 0, 0), -EINVAL);
	assert_int_equal(fnpu_sched_exit(s, 0, 0), -EINVAL);
	fnpu_sched_free(s);
}

static void sample_that_left_may_return_before_its_batch_ends(void **state)
{
	struct fnpu_sched *s = make("adaptive", 2);
	struct fnpu_sched_start first, second;

	(void)state;
	assert_int_equal(fnpu_sched_arrival(s, 0, 0, 0), 0);
	assert_int_equal(fnpu_sched_arrival(s, 0, 1, 0), 0);
	assert_true(fnpu_sched_decide(s, 0, &first));
	assert_int_equal(fnpu_sched_exit(s, 1, 0), 0);
	assert_int_equal(fnpu_sched_arrival(s, 2, 0, 0), 0);
	assert_true(fnpu_sched_decide(s, 2, &second));
	assert_int_equal(fnpu_sched_batch_end(s, 3, first.batch), 0);
	/* sample 1 is idle with its batch; sample 0 still runs, in its second one */
	assert_int_equal(fnpu_sched_exit(s, 4, 1), -EINVAL);
	assert_int_equal(fnpu_sched_exit(s, 4, 0), 0);
	fnpu_sched_free(s);
}

static void bad_configurations_are_refused(void **state)
{
	static const struct fnpu_sched_model no_layers = { 0, 1 }, huge_batch = { 1, 17 };
	const struct fnpu_sched_config good = {
		.models = two_models, .num_models = 2, .max_samples = 1, .queue_bound = 1,
		.max_batches = 1,
	};
	struct fnpu_sched_config bad[7];
	struct fnpu_sched *s = NULL;

	(void)state;
	for (size_t i = 0; i < 7; i++)
		bad[i] = good;
	bad[0].models = NULL;
	bad[1].num_models = 0;
	bad[2].max_samples = 0;
	bad[3].queue_bound = 0;
	bad[4].max_batches = 0;
	bad[5].models = &no_layers;
	bad[5].num_models = 1;
	bad[6].models = &huge_batch;
	bad[6].num_models = 1;
	for (size_t i = 0; i < 7; i++)
		assert_int_equal(fnpu_sched_new(&bad[i], &s), -EINVAL);
	bad[0] = good;
	bad[0].policy = "magic";
	assert_int_equal(fnpu_sched_new(&bad[0], &s), -ENOENT);
	assert_null(s);
}

/* ---- random traces ---- */

enum trace_state { IDLE, WAITING, RUNNING };

struct trace {
	struct fnpu_sched *s;
	uint32_t seed;
	enum trace_state state[SAMPLES];
	uint32_t model[SAMPLES];
	uint32_t batch[SAMPLES];
	int in_flight[4];
	uint64_t digest;
};

static uint32_t rnd(struct trace *t, uint32_t below)
{
	t->seed = t->seed * 1664525u + 1013904223u;
	return (t->seed >> 8) % below;
}

static void take_decisions(struct trace *t, uint64_t now)
{
	struct fnpu_sched_start start;

	while (fnpu_sched_decide(t->s, now, &start)) {
		assert_true(start.count >= 1);
		assert_true(start.count <= two_models[start.model].max_batch);
		assert_true(start.batch < 4);
		assert_false(t->in_flight[start.batch]);
		t->in_flight[start.batch] = 1;
		for (uint32_t i = 0; i < start.count; i++) {
			uint32_t sample = start.samples[i];

			assert_int_equal(t->state[sample], WAITING);
			assert_int_equal(t->model[sample], start.model);
			t->state[sample] = RUNNING;
			t->batch[sample] = start.batch;
			t->digest = t->digest * 31 + sample + 1;
		}
		t->digest = t->digest * 31 + start.batch;
	}
	/* work conservation: nobody waits while a batch could start */
	if (fnpu_sched_waiting(t->s))
		for (int b = 0; b < 4; b++)
			assert_true(t->in_flight[b]);
}

static void random_event(struct trace *t, uint64_t now)
{
	uint32_t sample = rnd(t, SAMPLES), batch = rnd(t, 4);

	if (t->state[sample] == IDLE) {
		uint32_t model = rnd(t, 2);

		if (!fnpu_sched_arrival(t->s, now, sample, model)) {
			t->state[sample] = WAITING;
			t->model[sample] = model;
		}
	} else if (t->state[sample] == RUNNING && rnd(t, 2)) {
		assert_int_equal(fnpu_sched_exit(t->s, now, sample), 0);
		t->state[sample] = IDLE;
	} else if (t->in_flight[batch] && !rnd(t, 4)) {
		assert_int_equal(fnpu_sched_batch_end(t->s, now, batch), 0);
		t->in_flight[batch] = 0;
		for (uint32_t i = 0; i < SAMPLES; i++)
			if (t->state[i] == RUNNING && t->batch[i] == batch)
				t->state[i] = IDLE;
	}
}

static uint64_t run_trace(const char *policy, uint32_t seed)
{
	struct trace t = { .s = make(policy, 4), .seed = seed };

	for (uint64_t now = 0; now < 20000; now++) {
		uint32_t waiting = 0;

		random_event(&t, now);
		if (!rnd(&t, 3))
			take_decisions(&t, now);
		for (uint32_t i = 0; i < SAMPLES; i++)
			waiting += t.state[i] == WAITING;
		assert_int_equal(waiting, fnpu_sched_waiting(t.s));
	}
	fnpu_sched_free(t.s);
	return t.digest;
}

static void random_traces_lose_and_duplicate_no_sample(void **state)
{
	const char *name;

	(void)state;
	for (uint32_t i = 0; (name = fnpu_sched_policy_name(i)); i++)
		for (uint32_t seed = 1; seed <= 10; seed++)
			run_trace(name, seed);
}

static void same_events_give_the_same_decisions(void **state)
{
	const char *name;

	(void)state;
	for (uint32_t i = 0; (name = fnpu_sched_policy_name(i)); i++)
		assert_true(run_trace(name, 7) == run_trace(name, 7));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(adaptive_takes_what_waits_and_never_more_than_fits),
		cmocka_unit_test(nothing_starts_while_all_batches_are_in_flight),
		cmocka_unit_test(models_never_share_a_batch_and_the_oldest_goes_first),
		cmocka_unit_test(serial_starts_single_samples_in_arrival_order),
		cmocka_unit_test(full_queue_refuses_with_eagain),
		cmocka_unit_test(impossible_events_are_refused),
		cmocka_unit_test(sample_that_left_may_return_before_its_batch_ends),
		cmocka_unit_test(bad_configurations_are_refused),
		cmocka_unit_test(random_traces_lose_and_duplicate_no_sample),
		cmocka_unit_test(same_events_give_the_same_decisions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
