// SPDX-License-Identifier: MIT
/*
 * What holds under every policy, with random traces. The toy NPU of sched_rig.h checks at each step
 * that no sample is lost or doubled, that a batch has one network, one layer and no more samples
 * than allowed, that merges conserve samples, and that a policy that says so never idles.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sched_rig.h"

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))
#define TRACES		40u
#define SAMPLES		300u

static const char *const policies[] = {
	"serial", "adaptive", "static", "static:size=3,delay=2", "lazy", "cellular", "clockwork",
	"symphony", "edge", "drex", "drex:age=0", "fluid", "fluid+", "fluid+:depth=0,age=30",
	"fluid+:objective=latency", "fluid+:objective=latency,hold=50,margin=0,backlog=0",
};

static const struct rig_model nets[] = {
	{ .layers = 9, .max_batch = 6, .num_exits = 3, .exits = { 1, 4, 8 }, .first = 10, .more = 3 },
	{ .layers = 5, .max_batch = 3, .num_exits = 2, .exits = { 2, 4 }, .first = 17, .more = 11,
	  .shares = { 0.6, 0.4 } },
	{ .layers = 1, .max_batch = 16, .num_exits = 1, .exits = { 0 }, .first = 30, .more = 0 },
};

/* xorshift64* (Vigna 2016) */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(0x2545f4914f6cdd1d);
}

static uint32_t below(uint64_t *state, uint32_t n)
{
	return (uint32_t)(next_random(state) >> 33) % n;
}

/* Arrivals in bursts and lulls, every sort of request; the rate is drawn per trace. */
static void draw(struct rig_arrival *arrivals, uint32_t num, uint32_t num_models, uint64_t seed)
{
	uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1, now = 0;
	const uint32_t gap = 5 + below(&state, 120);

	for (uint32_t i = 0; i < num; i++) {
		struct rig_arrival *a = &arrivals[i];
		const uint32_t model = below(&state, num_models);

		now += below(&state, 4) ? below(&state, gap) : 0;
		if (!below(&state, 60))
			now += 1500;
		*a = (struct rig_arrival){
			.at = now,
			.model = model,
			.exit = below(&state, nets[model].num_exits),
			.priority = below(&state, 8) ? 0 : below(&state, 3),
		};
		if (below(&state, 6))
			a->deadline = now + 40 + below(&state, 700);
		if (!below(&state, 8))
			a->flags |= FNPU_SCHED_REJECT_LATE;
		if (!below(&state, 8))
			a->flags |= FNPU_SCHED_BEST_EFFORT;
		if (!below(&state, 12))
			a->cancel = now + 1 + below(&state, 300);
	}
}

static void keep_log(struct rig *r)
{
	r->log_bytes = 1u << 20;
	r->log = calloc(1, r->log_bytes);
	assert_non_null(r->log);
}

/* A sample that left did so where it wanted to, in no less time than its layers take. */
static void check_outcomes(const struct rig *r)
{
	const struct fnpu_sched_policy_info *info = fnpu_sched_info(r->sched);

	for (uint32_t i = 0; i < r->num_samples; i++) {
		const struct rig_sample *s = &r->samples[i];
		const struct rig_model *m = &r->models[s->request.model];

		if (s->outcome != RIG_LEFT)
			continue;
		if (info->limits_exits)
			assert_true(s->exit <= s->request.exit);
		else
			assert_int_equal(s->exit, s->request.exit);
		assert_true(s->end - s->request.at >= rig_span(m, 1, 0, m->exits[s->exit] + 1));
		assert_true(info->preempts || !s->stops);
	}
}

static void random_traces_break_nothing(void **state)
{
	static struct rig_arrival arrivals[SAMPLES];

	(void)state;
	for (size_t p = 0; p < COUNT(policies); p++) {
		for (uint32_t seed = 1; seed <= TRACES; seed++) {
			const uint32_t models = 1 + seed % COUNT(nets);
			struct rig *r = rig_open(policies[p], nets, models, 1000);

			draw(arrivals, SAMPLES, models, seed);
			rig_run(r, arrivals, SAMPLES);
			check_outcomes(r);
			rig_close(r);
		}
	}
}

static void a_short_queue_refuses_and_loses_none(void **state)
{
	static struct rig_arrival arrivals[SAMPLES];

	(void)state;
	for (size_t p = 0; p < COUNT(policies); p++) {
		uint32_t refused = 0;

		for (uint32_t seed = 1; seed <= TRACES; seed++) {
			struct rig *r = rig_open(policies[p], nets, COUNT(nets), 7);

			draw(arrivals, SAMPLES, COUNT(nets), seed);
			rig_run(r, arrivals, SAMPLES);
			for (uint32_t i = 0; i < SAMPLES; i++)
				refused += r->samples[i].outcome == RIG_REFUSED;
			rig_close(r);
		}
		assert_true(refused > 0);
	}
}

static void the_same_trace_gives_the_same_decisions(void **state)
{
	static struct rig_arrival arrivals[SAMPLES];

	(void)state;
	for (size_t p = 0; p < COUNT(policies); p++) {
		for (uint32_t seed = 1; seed <= 5; seed++) {
			struct rig *a = rig_open(policies[p], nets, COUNT(nets), 50);
			struct rig *b = rig_open(policies[p], nets, COUNT(nets), 50);

			draw(arrivals, SAMPLES, COUNT(nets), seed);
			keep_log(a);
			keep_log(b);
			rig_run(a, arrivals, SAMPLES);
			rig_run(b, arrivals, SAMPLES);
			assert_true(a->log_used > 1000);
			assert_string_equal(a->log, b->log);
			rig_close(a);
			rig_close(b);
		}
	}
}

static void a_sample_alone_takes_the_sum_of_its_layers(void **state)
{
	(void)state;
	for (size_t p = 0; p < COUNT(policies); p++) {
		for (uint32_t exit = 0; exit < nets[0].num_exits; exit++) {
			const struct rig_arrival arrival = { .at = 1000, .exit = exit, .deadline = 3000 };
			struct rig *r = rig_open(policies[p], nets, 1, 10);
			const struct rig_sample *s = &r->samples[0];

			rig_run(r, &arrival, 1);
			assert_int_equal(s->outcome, RIG_LEFT);
			assert_int_equal(s->end - s->started,
					 rig_span(&nets[0], 1, 0, nets[0].exits[exit] + 1));
			if (fnpu_sched_info(r->sched)->work_conserving)
				assert_int_equal(s->started, 1000);
			rig_close(r);
		}
	}
}

/*
 * One deep sample, and a stream of shallow ones that would keep the NPU busy for ever, and together
 * fill batches at the first stage. Returns how long the deep one was there.
 */
static uint64_t overload(const char *policy, uint64_t deadline, bool *starved)
{
	static const struct rig_model net = {
		.layers = 6, .max_batch = 4, .num_exits = 2, .exits = { 1, 5 }, .first = 10,
		.more = 8, .shares = { 0.9, 0.1 },
	};
	static struct rig_arrival arrivals[2000];
	struct rig *r = rig_open(policy, &net, 1, RIG_MAX_SAMPLES);
	uint64_t time;

	for (uint32_t i = 0; i < COUNT(arrivals); i++)
		arrivals[i] = (struct rig_arrival){
			.at = i * 4, .exit = !i, .deadline = i * 4 + deadline,
		};
	rig_run(r, arrivals, COUNT(arrivals));
	time = r->samples[0].end;
	*starved = r->samples[0].end > arrivals[COUNT(arrivals) - 1].at;
	rig_close(r);
	return time;
}

/*
 * How long the deep sample may be there at most. cellular makes no promise, as published: full
 * batches go first. Nor does lazy: what is pushed may leave before it meets what it was pushed on.
 */
static void nobody_starves_unless_the_policy_says_so(void **state)
{
	/* static: its delay of half of 60. fluid+: its age, in times of 60, and two batches. */
	static const struct {
		const char *policy;
		uint64_t bound;
	} promises[] = {
		{ "serial", 60 }, { "adaptive", 60 }, { "static", 30 + 6 * 18 }, { "edge", 60 },
		{ "drex", 60 + 60 + 4 * 34 }, { "fluid", 60 + 4 * 68 },
		{ "fluid+:age=20", 21 * 60 + 2 * 136 },
		{ "fluid+:objective=latency,age=20", 21 * 60 + 2 * 136 },
		{ "cellular", 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(promises); i++) {
		bool starved;
		const uint64_t time = overload(promises[i].policy, 50, &starved);

		if (promises[i].bound ? time > promises[i].bound : !starved)
			fail_msg("%s: the deep sample was there for %llu cycles", promises[i].policy,
				 (unsigned long long)time);
	}
}

static void who_drops_by_deadlines_keeps_none_beyond_them(void **state)
{
	static const char *const droppers[] = { "clockwork", "symphony" };
	static struct rig_arrival arrivals[SAMPLES];

	(void)state;
	for (size_t p = 0; p < COUNT(droppers); p++) {
		for (uint32_t seed = 1; seed <= TRACES; seed++) {
			struct rig *r = rig_open(droppers[p], nets, COUNT(nets), 1000);

			draw(arrivals, SAMPLES, COUNT(nets), seed);
			for (uint32_t i = 0; i < SAMPLES; i++) {
				arrivals[i].deadline = arrivals[i].at + 300;
				arrivals[i].flags = 0;
				arrivals[i].priority = 0;
			}
			rig_run(r, arrivals, SAMPLES);
			for (uint32_t i = 0; i < SAMPLES; i++)
				if (r->samples[i].outcome == RIG_LEFT)
					assert_true(r->samples[i].end <= arrivals[i].deadline);
			rig_close(r);
		}
	}
}

/* The more ahead, the later; but no more of them than were there and a batch that ran. */
static void first_come_first_served_waits_for_no_more_than_was_ahead(void **state)
{
	static const char *const fair[] = { "serial", "adaptive" };
	static struct rig_arrival arrivals[SAMPLES];

	(void)state;
	for (size_t p = 0; p < COUNT(fair); p++) {
		for (uint32_t seed = 1; seed <= TRACES; seed++) {
			struct rig *r = rig_open(fair[p], nets, 1, 1000);

			draw(arrivals, SAMPLES, 1, seed);
			for (uint32_t i = 0; i < SAMPLES; i++) {
				arrivals[i].flags = 0;
				arrivals[i].priority = 0;
			}
			rig_run(r, arrivals, SAMPLES);
			for (uint32_t i = 0; i < SAMPLES; i++)
				assert_true(r->samples[i].end - arrivals[i].at <=
					    (r->samples[i].ahead + nets[0].max_batch) *
					    rig_span(&nets[0], 1, 0, nets[0].layers));
			rig_close(r);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_traces_break_nothing),
		cmocka_unit_test(a_short_queue_refuses_and_loses_none),
		cmocka_unit_test(the_same_trace_gives_the_same_decisions),
		cmocka_unit_test(a_sample_alone_takes_the_sum_of_its_layers),
		cmocka_unit_test(nobody_starves_unless_the_policy_says_so),
		cmocka_unit_test(who_drops_by_deadlines_keeps_none_beyond_them),
		cmocka_unit_test(first_come_first_served_waits_for_no_more_than_was_ahead),
	};

	return cmocka_run_group_tests_name("sched_properties", tests, NULL, NULL);
}
