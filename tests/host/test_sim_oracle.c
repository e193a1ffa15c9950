// SPDX-License-Identifier: MIT
/*
 * The oracle's bounds against exhaustive search on small cases, and against schedules that
 * exist.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../tools/sim/oracle.h"
#include "../../tools/sim/rng.h"

#define MAX_REQUESTS	10
#define MAX_GROUPS	4

/* A network with an exit behind each group; @cycles(group, batch) of a group. */
static struct npu_network make_network(uint32_t groups, uint32_t max_batch,
				       uint64_t (*cycles)(uint32_t group, uint32_t batch))
{
	struct npu_network n = {
		.num_groups = groups, .num_exits = groups, .max_batch = max_batch,
	};

	for (uint32_t b = 1; b <= max_batch; b++) {
		n.cycles[b - 1] = calloc(groups + 1, sizeof(*n.cycles[0]));
		assert_non_null(n.cycles[b - 1]);
		for (uint32_t g = 0; g < groups; g++)
			n.cycles[b - 1][g + 1] = n.cycles[b - 1][g] + cycles(g, b);
	}
	for (uint32_t g = 0; g < groups; g++)
		n.exit_group[g] = g;
	return n;
}

/* Batching gains nothing: the NPU is a machine for one sample at a time. */
static uint64_t linear(uint32_t group, uint32_t batch)
{
	return (10 + 5 * group) * (uint64_t)batch;
}

/* Batching gains: half of a group's time is shared. */
static uint64_t shared(uint32_t group, uint32_t batch)
{
	return (10 + 4 * group) * (1 + (uint64_t)batch);
}

/* Requests at random times, deadlines in the same order. */
static uint32_t draw_requests(struct rng *rng, struct oracle_request *r, uint32_t groups,
			      uint64_t slo)
{
	const uint32_t num = 1 + rng_below(rng, MAX_REQUESTS);
	uint64_t now = 0;

	for (uint32_t i = 0; i < num; i++) {
		now += rng_below(rng, 30);
		r[i] = (struct oracle_request){
			.arrival = now, .deadline = now + slo, .exit = (uint8_t)rng_below(rng, groups),
		};
	}
	return num;
}

/* Are all of @set on time, one after the other in the order of their deadlines? */
static bool feasible(const struct npu_network *n, const struct oracle_request *r, uint32_t num,
		     uint32_t set)
{
	uint64_t now = 0;

	for (uint32_t i = 0; i < num; i++) {
		if (!(set >> i & 1))
			continue;
		if (now < r[i].arrival)
			now = r[i].arrival;
		now += n->cycles[0][r[i].exit + 1];
		if (now > r[i].deadline)
			return false;
	}
	return true;
}

static uint32_t most_on_time(const struct npu_network *n, const struct oracle_request *r,
			     uint32_t num)
{
	uint32_t most = 0;

	for (uint32_t set = 0; set < 1u << num; set++)
		if ((uint32_t)__builtin_popcount(set) > most && feasible(n, r, num, set))
			most = (uint32_t)__builtin_popcount(set);
	return most;
}

static uint32_t count(const bool *flags, uint32_t num)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < num; i++)
		n += flags[i];
	return n;
}

static void without_batching_the_bound_is_exact(void **state)
{
	struct npu_network n = make_network(MAX_GROUPS, 4, linear);
	struct oracle_request r[MAX_REQUESTS];
	bool on_time[MAX_REQUESTS];
	struct rng rng;
	uint32_t late = 0;

	(void)state;
	rng_seed(&rng, 1, 0);
	for (int i = 0; i < 3000; i++) {
		const uint32_t num = draw_requests(&rng, r, MAX_GROUPS, 40 + rng_below(&rng, 120));

		assert_int_equal(oracle_on_time(&n, 4, r, num, on_time), 0);
		assert_int_equal(count(on_time, num), most_on_time(&n, r, num));
		late += num - count(on_time, num);
	}
	assert_true(late > 1000);	/* there was something to choose */
	npu_close(&n);
}

/*
 * A schedule that exists: whoever waits runs together through one group at a time, the batch
 * that is furthest first. It must never be better than the bound.
 */
struct greedy {
	uint32_t on_time;
	double mean;
};

static struct greedy serve_greedily(const struct npu_network *n, const struct oracle_request *r,
				    uint32_t num, uint32_t max_batch)
{
	uint32_t at[MAX_REQUESTS] = { 0 }, left = num;
	struct greedy g = { 0 };
	uint64_t now = 0;

	while (left) {
		uint32_t batch[MAX_REQUESTS], size = 0, group = 0;
		bool any = false;

		for (uint32_t i = 0; i < num; i++)
			if (at[i] <= r[i].exit && r[i].arrival <= now && (!any || at[i] > group)) {
				group = at[i];
				any = true;
			}
		if (!any) {
			now++;
			continue;
		}
		for (uint32_t i = 0; i < num && size < max_batch; i++)
			if (at[i] == group && at[i] <= r[i].exit && r[i].arrival <= now)
				batch[size++] = i;
		now += npu_span(n, size, group, group + 1);
		for (uint32_t i = 0; i < size; i++) {
			const uint32_t k = batch[i];

			if (at[k]++ < r[k].exit)
				continue;
			left--;
			g.on_time += now <= r[k].deadline;
			g.mean += (double)(now - r[k].arrival) / num;
		}
	}
	return g;
}

static void no_schedule_with_batches_beats_the_bounds(void **state)
{
	struct npu_network n = make_network(MAX_GROUPS, 4, shared);
	struct oracle_request r[MAX_REQUESTS];
	bool on_time[MAX_REQUESTS];
	struct rng rng;
	uint32_t met = 0;

	(void)state;
	rng_seed(&rng, 2, 0);
	for (int i = 0; i < 3000; i++) {
		const uint32_t num = draw_requests(&rng, r, MAX_GROUPS, 60 + rng_below(&rng, 200));
		const struct greedy g = serve_greedily(&n, r, num, 4);
		double mean;

		assert_int_equal(oracle_on_time(&n, 4, r, num, on_time), 0);
		assert_int_equal(oracle_mean(&n, 4, r, num, &mean), 0);
		assert_true(count(on_time, num) >= g.on_time);
		assert_true(mean <= g.mean + 1e-9);
		met += count(on_time, num) == g.on_time;
	}
	assert_true(met > 300);		/* and it is not just far away */
	npu_close(&n);
}

/* Shortest remaining work first, in steps of one cycle. */
static double srpt_mean(const struct npu_network *n, const struct oracle_request *r, uint32_t num)
{
	uint64_t work[MAX_REQUESTS], now = 0;
	uint32_t left = num;
	double sum = 0;

	for (uint32_t i = 0; i < num; i++)
		work[i] = n->cycles[0][r[i].exit + 1];
	for (; left; now++) {
		uint32_t best = num;

		for (uint32_t i = 0; i < num; i++)
			if (work[i] && r[i].arrival <= now && (best == num || work[i] < work[best]))
				best = i;
		if (best < num && !--work[best]) {
			sum += (double)(now + 1 - r[best].arrival);
			left--;
		}
	}
	return sum / num;
}

static void without_batching_the_mean_is_that_of_srpt(void **state)
{
	struct npu_network n = make_network(MAX_GROUPS, 4, linear);
	struct oracle_request r[MAX_REQUESTS];
	struct rng rng;

	(void)state;
	rng_seed(&rng, 3, 0);
	for (int i = 0; i < 2000; i++) {
		const uint32_t num = draw_requests(&rng, r, MAX_GROUPS, 100);
		double mean;

		assert_int_equal(oracle_mean(&n, 4, r, num, &mean), 0);
		assert_true(mean > srpt_mean(&n, r, num) - 1e-6);
		assert_true(mean < srpt_mean(&n, r, num) + 1e-6);
	}
	npu_close(&n);
}

/* Two that come together can share; one that comes when the other must be gone cannot. */
static void company_is_only_whom_a_request_can_meet(void **state)
{
	struct npu_network n = make_network(1, 2, shared);	/* alone 20, a pair 30 */
	const struct oracle_request together[] = { { 0, 30, 0 }, { 0, 30, 0 } };
	const struct oracle_request apart[] = { { 0, 20, 0 }, { 1, 36, 0 } };
	bool on_time[2];

	(void)state;
	assert_int_equal(oracle_on_time(&n, 2, together, 2, on_time), 0);
	assert_int_equal(count(on_time, 2), 2);
	/* sharing would need 30 cycles in all, alone they need 40: 36 are too few for both */
	assert_int_equal(oracle_on_time(&n, 2, apart, 2, on_time), 0);
	assert_int_equal(count(on_time, 2), 1);
	npu_close(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_batching_the_bound_is_exact),
		cmocka_unit_test(no_schedule_with_batches_beats_the_bounds),
		cmocka_unit_test(without_batching_the_mean_is_that_of_srpt),
		cmocka_unit_test(company_is_only_whom_a_request_can_meet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
