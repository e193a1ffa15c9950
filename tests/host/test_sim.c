// SPDX-License-Identifier: MIT
/*
 * Whole simulations of a small network, with every policy that the core has: all requests have
 * one outcome, times make sense, the NPU is never in two places, and runs repeat themselves.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../tools/sim/engine.h"
#include "../../tools/sim/goodput.h"
#include "fnpu_sched.h"
#include "lib_model.h"

#define REQUESTS	3000u

static struct fnpu_error error;
static struct sim_cache *cache;

static struct sim_options default_options(void)
{
	const struct lib_model model = LIB_MODEL_DEFAULT;
	const char *path = lib_temp_path("sim.fnpu");
	struct sim_options o;

	if (access(path, R_OK))
		lib_model_write(&model, path);
	sim_options_default(&o);
	o.num_models = 1;
	o.models[0].share = 1;
	strcpy(o.models[0].path, path);
	strcpy(o.models[0].exits, "0.6,0.4");
	o.requests = REQUESTS - 100;
	o.warmup = 100;
	o.load = 0.9;
	return o;
}

static struct sim_result run(const struct sim_options *o, const struct sim_observer *observer)
{
	struct sim_result r;

	if (sim_run(cache, o, observer, &r, &error))
		fail_msg("%s: %s", o->policy, error.text);
	return r;
}

static const char *policy_name(uint32_t i)
{
	const struct fnpu_sched_policy_info *info = fnpu_sched_policy_info(i);

	return info ? info->name : NULL;
}

static void set_policy(struct sim_options *o, const char *policy)
{
	snprintf(o->policy, sizeof(o->policy), "%s", policy);
}

/* ---- every request, every segment ---- */

/** struct watch - what an observer has seen */
struct watch {
	uint32_t seen[REQUESTS];
	uint64_t ran_until;	/* the NPU */
	uint64_t hash;
	uint32_t served;
};

static void mix(struct watch *w, uint64_t v)
{
	w->hash = (w->hash ^ v) * 0x100000001b3ull;
}

static void on_request(void *user, const struct request *r, enum outcome outcome,
		       uint64_t started, uint64_t now, uint32_t preempted, uint8_t exit)
{
	struct watch *w = user;

	assert_true(r->number < REQUESTS);
	w->seen[r->number]++;
	assert_true(now >= r->arrival);
	mix(w, now);
	mix(w, (uint64_t)outcome << 32 | preempted << 8 | exit);
	if (outcome > OUTCOME_LATE)
		return;
	w->served++;
	assert_true(started >= r->arrival && started < now);
	assert_true(exit <= r->exit);
	assert_int_equal(outcome == OUTCOME_ON_TIME, now <= r->deadline);
}

static void on_segment(void *user, const struct npu_network *network,
		       const struct engine_batch *batch, const uint64_t *ids, uint64_t begin,
		       uint64_t ran, uint64_t end, uint32_t end_group)
{
	struct watch *w = user;

	assert_true(begin >= w->ran_until);
	assert_true(ran >= begin && end > ran);
	assert_true(batch->num >= 1 && batch->num <= network->max_batch);
	assert_true(end_group > batch->group && end_group <= network->num_groups);
	assert_int_equal(end - ran, npu_span(network, batch->num, batch->group, end_group));
	for (uint32_t i = 0; i < batch->num; i++)
		for (uint32_t j = 0; j < i; j++)
			assert_true(ids[i] != ids[j]);
	w->ran_until = end;
}

static struct watch watch(const struct sim_options *o)
{
	struct watch w = { .hash = 1 };
	const struct sim_observer observer = { &w, on_request, on_segment };

	run(o, &observer);
	for (uint32_t i = 0; i < REQUESTS; i++)
		if (w.seen[i] != 1)
			fail_msg("%s: request %u has %u outcomes", o->policy, i, w.seen[i]);
	return w;
}

static void every_request_has_one_outcome(void **state)
{
	struct sim_options o = default_options();
	const char *policy;

	(void)state;
	o.queue = 64;
	for (uint32_t i = 0; (policy = policy_name(i)); i++) {
		set_policy(&o, policy);
		for (uint64_t seed = 1; seed <= 4; seed++) {
			struct fnpu_error ignored;

			o.seed = seed;
			workload_parse(seed % 2 ? "poisson" : "bursty:burst=0.001", &o.workload,
				       &ignored);
			o.load = 0.4 * (double)seed;
			watch(&o);
		}
	}
}

static void a_seed_repeats_itself_and_another_one_does_not(void **state)
{
	struct sim_options o = default_options();
	const char *policy;

	(void)state;
	for (uint32_t i = 0; (policy = policy_name(i)); i++) {
		uint64_t first;

		set_policy(&o, policy);
		o.seed = 1;
		first = watch(&o).hash;
		assert_true(watch(&o).hash == first);
		o.seed = 2;
		assert_true(watch(&o).hash != first);
	}
}

static void policies_see_the_same_requests(void **state)
{
	struct sim_options o = default_options();
	struct sim_result serial, adaptive;

	(void)state;
	o.load = 0.01;	/* nobody waits, so that all see the same latencies */
	set_policy(&o, "serial");
	serial = run(&o, NULL);
	set_policy(&o, "adaptive");
	adaptive = run(&o, NULL);
	assert_true(fabs(serial.mean_us / adaptive.mean_us - 1) < 0.01);
	assert_true(serial.exits[0] == adaptive.exits[0]);
}

/* ---- figures ---- */

static void a_sample_alone_takes_the_sum_of_its_layers(void **state)
{
	struct sim_options o = default_options();
	struct npu_network n;
	struct sim_result r;

	(void)state;
	strcpy(o.models[0].exits, "0,1");
	set_policy(&o, "serial");
	o.load = 0.001;
	o.npu = NPU_CONVENTIONAL;
	r = run(&o, NULL);
	assert_int_equal(npu_open(&n, o.models[0].path, NULL, NPU_CONVENTIONAL, &error), 0);
	assert_true(fabs(r.p50_us - (double)npu_span(&n, 1, 0, n.num_groups) * 1e6 /
			 n.config.clock_hz) < 1e-3);
	assert_true(r.cycles_per_request == (double)npu_span(&n, 1, 0, n.num_groups));
	assert_true(r.mean_batch == 1);
	npu_close(&n);
}

static void load_one_keeps_the_conventional_npu_just_busy(void **state)
{
	struct sim_options o = default_options();
	struct sim_result r;

	(void)state;
	set_policy(&o, "serial");
	o.npu = NPU_CONVENTIONAL;
	o.load = 0.5;
	o.requests = 100000;
	r = run(&o, NULL);
	assert_true(fabs(r.busy - 0.5) < 0.01);
	assert_true(fabs(r.load - 0.5) < 1e-9);
	assert_true(fabs(r.throughput_hz / r.rate_hz - 1) < 0.02);
}

static void a_full_queue_rejects(void **state)
{
	struct sim_options o = default_options();
	struct sim_result r;

	(void)state;
	set_policy(&o, "serial");
	o.load = 50;
	o.queue = 5;
	r = run(&o, NULL);
	assert_true(r.rejected > r.requests / 2);
	assert_true(r.completed + r.rejected == r.requests);
	assert_true(r.violations >= r.rejected / r.requests);
	assert_true(r.max_us * r.throughput_hz / 1e6 < 8);	/* nobody waits behind more than 5 */
}

static void nothing_beats_the_oracle(void **state)
{
	static const double loads[] = { 0.3, 0.8, 1.2, 2 };
	struct sim_options o = default_options();
	const char *policy;

	(void)state;
	for (size_t l = 0; l < sizeof(loads) / sizeof(loads[0]); l++) {
		struct sim_result bound, r;

		o.load = loads[l];
		set_policy(&o, SIM_ORACLE);
		bound = run(&o, NULL);
		for (uint32_t i = 0; (policy = policy_name(i)); i++) {
			set_policy(&o, policy);
			r = run(&o, NULL);
			if (r.early > 0)
				continue;
			if (r.violations < bound.violations)
				fail_msg("%s at load %g: %g violations, bound %g", policy, o.load,
					 r.violations, bound.violations);
			if (r.completed == r.requests && r.mean_us < bound.mean_us)
				fail_msg("%s at load %g: mean %g us, bound %g us", policy, o.load,
					 r.mean_us, bound.mean_us);
		}
	}
}

/* ---- sweeps ---- */

static void goodput_is_where_the_share_is_just_met(void **state)
{
	struct sim_options o[2] = { default_options(), default_options() };
	const struct sweep sweep = { .workers = 1, .what = "simulations" };
	struct sim_result results[2], above;

	(void)state;
	for (int i = 0; i < 2; i++) {
		set_policy(&o[i], "serial");
		o[i].npu = NPU_CONVENTIONAL;
		o[i].seed = (uint64_t)i + 1;
	}
	assert_int_equal(goodput_search(&sweep, o, 1, 2, 0.95, results, &error), 0);
	assert_true(results[0].on_time + results[1].on_time >=
		    0.95 * (results[0].requests + results[1].requests));
	o[0].load = o[1].load = results[0].load * 1.1;
	above = run(&o[0], NULL);
	above.on_time += run(&o[1], NULL).on_time;
	if (above.on_time >= 0.95 * 2 * above.requests)
		fail_msg("goodput at load %g, but at %g %g of %g are on time", results[0].load,
			 o[0].load, above.on_time, 2 * above.requests);
}

static void a_sweep_takes_known_points_from_its_journal(void **state)
{
	struct sim_options o[3] = { default_options(), default_options(), default_options() };
	const char *path = lib_temp_path("journal");
	struct sim_result first[3], second[3];
	struct journal journal;
	struct sweep sweep = { .workers = 2, .what = "simulations", .journal = &journal };

	(void)state;
	o[1].load = 0.5;	/* the third is the first once more */
	assert_int_equal(journal_open(&journal, path, &error), 0);
	assert_int_equal(sweep_run(&sweep, o, 3, first, &error), 0);
	journal_close(&journal);
	assert_memory_equal(&first[0], &first[2], sizeof(first[0]));
	assert_true(first[0].mean_us != first[1].mean_us);

	assert_int_equal(journal_open(&journal, path, &error), 0);
	assert_int_equal(journal.num, 2);
	/* host times are measured: had they run again, they would differ */
	assert_int_equal(sweep_run(&sweep, o, 3, second, &error), 0);
	assert_memory_equal(first, second, sizeof(first));
	o[1].seed = 99;
	assert_null(journal_find(&journal, &o[1]));
	journal_close(&journal);
}

static void a_point_that_fails_ends_the_sweep_with_its_reason(void **state)
{
	struct sim_options o[2] = { default_options(), default_options() };
	const struct sweep sweep = { .workers = 2, .what = "simulations" };
	struct sim_result results[2];

	(void)state;
	set_policy(&o[1], "nonsense");
	assert_int_equal(sweep_run(&sweep, o, 2, results, &error), -ENOENT);
	assert_non_null(strstr(error.text, "nonsense"));
}

static int setup(void **state)
{
	(void)state;
	cache = sim_cache_new();
	return !cache;
}

static int teardown(void **state)
{
	(void)state;
	sim_cache_free(cache);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_request_has_one_outcome),
		cmocka_unit_test(a_seed_repeats_itself_and_another_one_does_not),
		cmocka_unit_test(policies_see_the_same_requests),
		cmocka_unit_test(a_sample_alone_takes_the_sum_of_its_layers),
		cmocka_unit_test(load_one_keeps_the_conventional_npu_just_busy),
		cmocka_unit_test(a_full_queue_rejects),
		cmocka_unit_test(nothing_beats_the_oracle),
		cmocka_unit_test(goodput_is_where_the_share_is_just_met),
		cmocka_unit_test(a_sweep_takes_known_points_from_its_journal),
		cmocka_unit_test(a_point_that_fails_ends_the_sweep_with_its_reason),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
