// SPDX-License-Identifier: MIT
/*
 * A small trace per policy, worked by hand from the rule at the top of its file: the schedule
 * that it must produce, step by step. See sched_rig.h for the toy NPU and the notation.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sched_rig.h"

/*
 * Four layers with exits behind the second and the last. A layer takes 10 cycles for one sample,
 * 12 for two, 14 for three, 16 for four: 40, 48, 56, 64 for all of it.
 */
static const struct rig_model net = {
	.layers = 4, .max_batch = 4, .num_exits = 2, .exits = { 1, 3 }, .first = 10, .more = 2,
	.shares = { 0.5, 0.5 },
};

/* Twice as slow; together with the first one for policies that choose between networks. */
static const struct rig_model nets[] = {
	{ .layers = 4, .max_batch = 4, .num_exits = 2, .exits = { 1, 3 }, .first = 10, .more = 2 },
	{ .layers = 4, .max_batch = 4, .num_exits = 2, .exits = { 1, 3 }, .first = 20, .more = 4 },
};

/* With its first exit behind the first layer; batches cost little: 10, 11, 12, 13 a layer. */
static const struct rig_model early_net = {
	.layers = 4, .max_batch = 4, .num_exits = 2, .exits = { 0, 3 }, .first = 10, .more = 1,
	.shares = { 0.5, 0.5 },
};

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

#define EXPECT(policy, arrivals, lines) \
	rig_expect(policy, &net, 1, arrivals, COUNT(arrivals), lines)

static void serial_serves_one_after_the_other(void **state)
{
	static const struct rig_arrival arrivals[] = {
		{ .at = 0, .exit = 1 }, { .at = 5, .exit = 0 }, { .at = 6, .exit = 1 },
	};

	(void)state;
	EXPECT("serial", arrivals,
	       "0 start a at 0\n"
	       "40 a exits at 1\n"
	       "40 start b at 0\n"
	       "60 b exits at 0\n"
	       "60 start c at 0\n"
	       "100 c exits at 1\n");
}

static void adaptive_takes_what_is_there(void **state)
{
	static const struct rig_arrival arrivals[] = {
		{ .at = 0, .exit = 1 }, { .at = 1, .exit = 0 }, { .at = 2, .exit = 1 },
		{ .at = 3, .exit = 0 }, { .at = 4, .exit = 0 }, { .at = 5, .exit = 0 },
	};

	(void)state;
	/* b..e fill a batch; b, d and e leave it behind the second layer, c runs on alone. */
	EXPECT("adaptive", arrivals,
	       "0 start a at 0\n"
	       "40 a exits at 1\n"
	       "40 start bcde at 0\n"
	       "72 b exits at 0\n"
	       "72 d exits at 0\n"
	       "72 e exits at 0\n"
	       "92 c exits at 1\n"
	       "92 start f at 0\n"
	       "112 f exits at 0\n");
}

static void static_waits_for_its_size_or_its_delay(void **state)
{
	static const struct rig_arrival arrivals[] = {
		{ .at = 0, .exit = 0 }, { .at = 10, .exit = 0 }, { .at = 100, .exit = 0 },
		{ .at = 105, .exit = 0 }, { .at = 107, .exit = 0 }, { .at = 110, .exit = 1 },
	};

	(void)state;
	/* A delay of half a sample's 40 cycles. a and b wait until 20; c, d and e are three at 107. */
	EXPECT("static:size=3,delay=0.5", arrivals,
	       "20 start ab at 0\n"
	       "44 a exits at 0\n"
	       "44 b exits at 0\n"
	       "107 start cde at 0\n"
	       "135 c exits at 0\n"
	       "135 d exits at 0\n"
	       "135 e exits at 0\n"
	       "135 start f at 0\n"
	       "175 f exits at 1\n");
}

static void lazy_pushes_while_slack_lasts_and_merges(void **state)
{
	/*
	 * b comes when a is in its first layer; its slack is 200 - 5 - 80 and a's as large, so it is
	 * injected, and meets a at layer 1. Its first layer done at 20, both go on: 12 a layer.
	 * At 25 c would need 25 + 120 <= 100: no. d comes later still. When all is done, c is
	 * 200 - 56 from its deadline, and d's is even later: both are admitted.
	 */
	static const struct rig_arrival arrivals[] = {
		{ .at = 0, .exit = 1, .deadline = 100 }, { .at = 5, .exit = 1, .deadline = 205 },
		{ .at = 25, .exit = 0, .deadline = 200 }, { .at = 30, .exit = 1, .deadline = 230 },
	};

	(void)state;
	EXPECT("lazy", arrivals,
	       "0 start a at 0\n"
	       "5 inject b\n"
	       "56 a exits at 1\n"
	       "56 b exits at 1\n"
	       "56 start cd at 0\n"
	       "80 c exits at 0\n"
	       "100 d exits at 1\n");
}

static void lazy_stops_the_batch_for_a_second_push_and_admits_all_once_one_is_late(void **state)
{
	/*
	 * a is late even alone, so everything is admitted. b is injected at the boundary of 10, and
	 * runs layer 0 until 20. At 15 it has not met a, so for c all stop: a at layer 1,
	 * b at layer 1, where c meets them at 30 after its own layer 0.
	 */
	static const struct rig_arrival arrivals[] = {
		{ .at = 0, .exit = 1, .deadline = 30 }, { .at = 5, .exit = 1, .deadline = 500 },
		{ .at = 15, .exit = 1, .deadline = 500 },
	};

	(void)state;
	EXPECT("lazy", arrivals,
	       "0 start a at 0\n"
	       "5 inject b\n"
	       "15 yield\n"
	       "20 ab back at 1\n"
	       "20 start c at 0\n"
	       "30 c back at 1\n"
	       "30 start abc at 1\n"
	       "72 a exits at 1\n"
	       "72 b exits at 1\n"
	       "72 c exits at 1\n");
}

static void cellular_runs_a_stage_at_a_time_full_ones_first(void **state)
{
	/* At 20 the second stage is the deeper one; at 64 four wait for the first stage. */
	static const struct rig_arrival arrivals[] = {
		{ .at = 0, .exit = 1 }, { .at = 10, .exit = 1 }, { .at = 22, .exit = 1 },
		{ .at = 23, .exit = 0 }, { .at = 50, .exit = 0 }, { .at = 51, .exit = 0 },
		{ .at = 52, .exit = 0 },
	};

	(void)state;
	EXPECT("cellular", arrivals,
	       "0 start a at 0\n"
	       "20 a back at 2\n"
	       "20 start a at 2\n"
	       "40 a exits at 1\n"
	       "40 start bcd at 0\n"
	       "68 d exits at 0\n"
	       "68 bc back at 2\n"
	       "68 start bc at 2\n"
	       "92 b exits at 1\n"
	       "92 c exits at 1\n"
	       "92 start efg at 0\n"
	       "120 e exits at 0\n"
	       "120 f exits at 0\n"
	       "120 g exits at 0\n");
}

static void cellular_prefers_a_full_batch_to_a_deeper_stage(void **state)
{
	static const struct rig_arrival arrivals[] = {
		{ .at = 0, .exit = 1 }, { .at = 10, .exit = 0 }, { .at = 11, .exit = 0 },
		{ .at = 12, .exit = 0 }, { .at = 13, .exit = 0 },
	};

	(void)state;
	EXPECT("cellular", arrivals,
	       "0 start a at 0\n"
	       "20 a back at 2\n"
	       "20 start bcde at 0\n"
	       "52 b exits at 0\n"
	       "52 c exits at 0\n"
	       "52 d exits at 0\n"
	       "52 e exits at 0\n"
	       "52 start a at 2\n"
	       "72 a exits at 1\n");
}

static void clockwork_drops_the_hopeless_and_sizes_batches_by_the_most_urgent(void **state)
{
	/*
	 * At 40: b needs 40 until 75, which cannot be: dropped. c bears 40 + 48 <= 90, that is two,
	 * and not 56. By deadlines d goes with it. e is left, 88 + 40 <= 140.
	 */
	static const struct rig_arrival arrivals[] = {
		{ .at = 0, .exit = 1, .deadline = 50 }, { .at = 1, .exit = 0, .deadline = 75 },
		{ .at = 2, .exit = 1, .deadline = 90 }, { .at = 3, .exit = 1, .deadline = 130 },
		{ .at = 4, .exit = 0, .deadline = 140 },
	};

	(void)state;
	EXPECT("clockwork", arrivals,
	       "0 start a at 0\n"
	       "40 a exits at 1\n"
	       "40 drop b hopeless\n"
	       "40 start cd at 0\n"
	       "88 c exits at 1\n"
	       "88 d exits at 1\n"
	       "88 start e at 0\n"
	       "108 e exits at 0\n");
}

static void clockwork_serves_the_network_that_has_to_start_first(void **state)
{
	/* At 40: b must start until 200 - 40 = 160, c, of the slow network, until 220 - 80 = 140. */
	static const struct rig_arrival arrivals[] = {
		{ .at = 0, .exit = 1, .deadline = 100 },
		{ .at = 1, .exit = 0, .deadline = 200 },
		{ .at = 2, .exit = 0, .deadline = 220, .model = 1 },
	};

	(void)state;
	rig_expect("clockwork", nets, 2, arrivals, COUNT(arrivals),
		   "0 start a at 0\n"
		   "40 a exits at 1\n"
		   "40 start c at 0\n"
		   "80 c exits at 0\n"
		   "80 start b at 0\n"
		   "100 b exits at 0\n");
}

static void symphony_waits_as_long_as_the_oldest_may(void **state)
{
	/*
	 * a alone may wait for a second until 100 - 48 = 52; b comes before, so both may wait for a
	 * third until 100 - 56 = 44. c..f are full at 103. g: nobody comes until 300 - 48.
	 */
	static const struct rig_arrival arrivals[] = {
		{ .at = 0, .exit = 0, .deadline = 100 }, { .at = 30, .exit = 0, .deadline = 130 },
		{ .at = 100, .exit = 0, .deadline = 300 }, { .at = 101, .exit = 0, .deadline = 300 },
		{ .at = 102, .exit = 0, .deadline = 300 }, { .at = 103, .exit = 0, .deadline = 300 },
		{ .at = 104, .exit = 1, .deadline = 300 },
	};

	(void)state;
	EXPECT("symphony", arrivals,
	       "44 start ab at 0\n"
	       "68 a exits at 0\n"
	       "68 b exits at 0\n"
	       "103 start cdef at 0\n"
	       "135 c exits at 0\n"
	       "135 d exits at 0\n"
	       "135 e exits at 0\n"
	       "135 f exits at 0\n"
	       "252 start g at 0\n"
	       "292 g exits at 1\n");
}

static void edge_ends_samples_where_the_oldest_is_in_time(void **state)
{
	/* At 40 b and c need 48 to the end, until 70; at the first exit 24. d has time again. */
	static const struct rig_arrival arrivals[] = {
		{ .at = 0, .exit = 1, .deadline = 60 }, { .at = 1, .exit = 1, .deadline = 70 },
		{ .at = 2, .exit = 1, .deadline = 200 }, { .at = 50, .exit = 1, .deadline = 200 },
	};

	(void)state;
	EXPECT("edge", arrivals,
	       "0 start a at 0\n"
	       "40 a exits at 1\n"
	       "40 start bc at 0\n"
	       "64 b exits at 0\n"
	       "64 c exits at 0\n"
	       "64 start d at 0\n"
	       "104 d exits at 1\n");
}

static void edge_serves_the_network_that_leaves_less_behind(void **state)
{
	/*
	 * At 40: if b goes first (40 more), c will have waited 78 of its SLO of 100: 0.78. If c goes
	 * first (80 more), b will have waited 119 of 400: 0.30. So c.
	 */
	static const struct rig_arrival arrivals[] = {
		{ .at = 0, .exit = 1, .deadline = 100 },
		{ .at = 1, .exit = 1, .deadline = 401 },
		{ .at = 2, .exit = 1, .deadline = 130, .model = 1 },
	};

	(void)state;
	rig_expect("edge", nets, 2, arrivals, COUNT(arrivals),
		   "0 start a at 0\n"
		   "40 a exits at 1\n"
		   "40 start c at 0\n"
		   "120 c exits at 1\n"
		   "120 start b at 0\n"
		   "160 b exits at 1\n");
}

static void drex_buffers_what_is_left_behind_an_exit(void **state)
{
	/*
	 * Putting aside costs nothing on this NPU, so each exit of anybody pays. b is put into the
	 * buffer at 24, as c and d are new; c joins it at 48, nothing new comes, so both are flushed.
	 */
	static const struct rig_arrival arrivals[] = {
		{ .at = 0, .exit = 0 }, { .at = 0, .exit = 1 }, { .at = 5, .exit = 1 },
		{ .at = 6, .exit = 0 },
	};

	(void)state;
	EXPECT("drex:age=10", arrivals,
	       "0 start ab at 0\n"
	       "24 a exits at 0\n"
	       "24 yield\n"
	       "24 b back at 2\n"
	       "24 start cd at 0\n"
	       "48 d exits at 0\n"
	       "48 yield\n"
	       "48 c back at 2\n"
	       "48 start bc at 2\n"
	       "72 b exits at 1\n"
	       "72 c exits at 1\n");
}

static void drex_flushes_what_has_waited_long_enough(void **state)
{
	/* At 24 b has just come to the buffer. At 48 it has waited half a sample's time, 20. */
	static const struct rig_arrival arrivals[] = {
		{ .at = 0, .exit = 0 }, { .at = 0, .exit = 1 }, { .at = 5, .exit = 0 },
		{ .at = 6, .exit = 0 }, { .at = 30, .exit = 0 },
	};

	(void)state;
	EXPECT("drex:age=0.5", arrivals,
	       "0 start ab at 0\n"
	       "24 a exits at 0\n"
	       "24 yield\n"
	       "24 b back at 2\n"
	       "24 start cd at 0\n"
	       "48 c exits at 0\n"
	       "48 d exits at 0\n"
	       "48 start b at 2\n"
	       "68 b exits at 1\n"
	       "68 start e at 0\n"
	       "88 e exits at 0\n");
}

static void fluid_plus_takes_a_batch_that_some_may_be_late_in(void **state)
{
	/*
	 * As before, but c and d are due at 93: b, c and d at once lose nobody but b, and b only
	 * if it stays. Batches of this network are worth it: three take 56, one alone takes 40.
	 */
	static const struct rig_arrival arrivals[] = {
		{ .at = 0, .exit = 1, .deadline = 60 }, { .at = 16, .exit = 1, .deadline = 82 },
		{ .at = 17, .exit = 1, .deadline = 93 }, { .at = 18, .exit = 0, .deadline = 93 },
	};

	(void)state;
	EXPECT("fluid+", arrivals,
	       "0 start a at 0\n"
	       "40 a exits at 1\n"
	       "40 start bcd at 0\n"
	       "68 d exits at 0\n"
	       "92 b exits at 1\n"
	       "92 c exits at 1\n");
}

static void fluid_fills_the_holes_that_exits_leave(void **state)
{
	/*
	 * At 12 a leaves, b and c are at layer 1, d and e wait. With both injected it is 12 + 11 + 3 * 13
	 * = 62 at worst, b's deadline. Waiting would cost 2 * 33 for the old, 2 * 33 and then 11
	 * and 41 for the new: 184. Injecting: 11 for the one that leaves, 3 * (11 + 36): 152.
	 * f finds nobody exit before the end.
	 */
	static const struct rig_arrival arrivals[] = {
		{ .at = 0, .exit = 0, .deadline = 90 }, { .at = 0, .exit = 1, .deadline = 62 },
		{ .at = 0, .exit = 1, .deadline = 90 }, { .at = 5, .exit = 1, .deadline = 200 },
		{ .at = 6, .exit = 0, .deadline = 200 }, { .at = 30, .exit = 0, .deadline = 200 },
	};

	(void)state;
	rig_expect("fluid", &early_net, 1, arrivals, COUNT(arrivals),
		   "0 start abc at 0\n"
		   "12 a exits at 0\n"
		   "12 inject de\n"
		   "23 e exits at 0\n"
		   "59 b exits at 1\n"
		   "59 c exits at 1\n"
		   "59 d exits at 1\n"
		   "59 start f at 0\n"
		   "69 f exits at 0\n");
}

static void fluid_injects_no_more_than_the_deadlines_of_the_saved_allow(void **state)
{
	/* As before, but 62 would be too late for b: with d alone it is 12 + 10 + 3 * 12 = 58. */
	static const struct rig_arrival arrivals[] = {
		{ .at = 0, .exit = 0, .deadline = 90 }, { .at = 0, .exit = 1, .deadline = 61 },
		{ .at = 0, .exit = 1, .deadline = 90 }, { .at = 5, .exit = 1, .deadline = 200 },
		{ .at = 6, .exit = 0, .deadline = 200 },
	};

	(void)state;
	rig_expect("fluid", &early_net, 1, arrivals, COUNT(arrivals),
		   "0 start abc at 0\n"
		   "12 a exits at 0\n"
		   "12 inject d\n"
		   "58 b exits at 1\n"
		   "58 c exits at 1\n"
		   "58 d exits at 1\n"
		   "58 start e at 0\n"
		   "68 e exits at 0\n");
}

static void fluid_plus_stops_a_deep_batch_for_what_is_sooner_done(void **state)
{
	/*
	 * Of ten samples nine leave behind the first of six layers. At 10 a has not left: five layers
	 * and 50 cycles to go, an index of 1/50. b, c and d have one of 0.9 / 10 each, for batches
	 * gain nothing here. So a is stopped, and goes on when none of them is left, in the order of
	 * their deadlines. A look is taken half way through the last layer before an exit, as if
	 * nobody left there: at 5, 15 and 25. The last two times nobody is left to be handed back.
	 */
	static const struct rig_model steep = {
		.layers = 6, .max_batch = 4, .num_exits = 2, .exits = { 0, 5 }, .first = 10,
		.more = 10, .shares = { 0.9, 0.1 },
	};
	static const struct rig_arrival arrivals[] = {
		{ .at = 0, .exit = 1, .deadline = 900 }, { .at = 2, .exit = 0, .deadline = 500 },
		{ .at = 3, .exit = 0, .deadline = 400 }, { .at = 4, .exit = 0, .deadline = 600 },
	};

	(void)state;
	rig_expect("fluid+:objective=latency", &steep, 1, arrivals, COUNT(arrivals),
		   "0 start a at 0\n"
		   "5 yield\n"
		   "10 a back at 1\n"
		   "10 start c at 0\n"
		   "15 yield\n"
		   "20 c exits at 0\n"
		   "20 start b at 0\n"
		   "25 yield\n"
		   "30 b exits at 0\n"
		   "30 start d at 0\n"
		   "40 d exits at 0\n"
		   "40 start a at 1\n"
		   "90 a exits at 1\n");
}

static void fluid_plus_serves_the_hopeless_last_and_alone(void **state)
{
	/*
	 * At 40 b, due at 60, needs 20 to the next exit and half of 20 behind it: hopeless. c and
	 * d can bear a batch of two, 48 until 90. Then b runs, until e comes: it stops at the next
	 * layer, and goes on when e has left.
	 */
	static const struct rig_arrival arrivals[] = {
		{ .at = 0, .exit = 1, .deadline = 100 }, { .at = 1, .exit = 1, .deadline = 60 },
		{ .at = 2, .exit = 1, .deadline = 90 }, { .at = 3, .exit = 1, .deadline = 100 },
		{ .at = 93, .exit = 0, .deadline = 200 },
	};

	(void)state;
	EXPECT("fluid+", arrivals,
	       "0 start a at 0\n"
	       "40 a exits at 1\n"
	       "40 start cd at 0\n"
	       "88 c exits at 1\n"
	       "88 d exits at 1\n"
	       "88 start b at 0\n"
	       "93 yield\n"
	       "98 b back at 1\n"
	       "98 start e at 0\n"
	       "118 e exits at 0\n"
	       "118 start b at 1\n"
	       "148 b exits at 1\n");
}

static void fluid_plus_gives_one_up_to_save_two(void **state)
{
	/*
	 * At 40 b alone could make it until 82, but c and d, due at 90, would then be too late: after
	 * the 30 that b can be expected to take, and 40 of their own. All three at once: who stays
	 * has to expect 52 (28, then 24 with the one that stays as well), so each would be late half of
	 * the times. Without b both make it: 88.
	 * (Before 15 they could have had a stopped at its exit.)
	 */
	static const struct rig_arrival arrivals[] = {
		{ .at = 0, .exit = 1, .deadline = 60 }, { .at = 16, .exit = 1, .deadline = 82 },
		{ .at = 17, .exit = 1, .deadline = 90 }, { .at = 18, .exit = 1, .deadline = 90 },
	};

	(void)state;
	EXPECT("fluid+", arrivals,
	       "0 start a at 0\n"
	       "40 a exits at 1\n"
	       "40 start cd at 0\n"
	       "88 c exits at 1\n"
	       "88 d exits at 1\n"
	       "88 start b at 0\n"
	       "128 b exits at 1\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(serial_serves_one_after_the_other),
		cmocka_unit_test(adaptive_takes_what_is_there),
		cmocka_unit_test(static_waits_for_its_size_or_its_delay),
		cmocka_unit_test(lazy_pushes_while_slack_lasts_and_merges),
		cmocka_unit_test(lazy_stops_the_batch_for_a_second_push_and_admits_all_once_one_is_late),
		cmocka_unit_test(cellular_runs_a_stage_at_a_time_full_ones_first),
		cmocka_unit_test(cellular_prefers_a_full_batch_to_a_deeper_stage),
		cmocka_unit_test(clockwork_drops_the_hopeless_and_sizes_batches_by_the_most_urgent),
		cmocka_unit_test(clockwork_serves_the_network_that_has_to_start_first),
		cmocka_unit_test(symphony_waits_as_long_as_the_oldest_may),
		cmocka_unit_test(edge_ends_samples_where_the_oldest_is_in_time),
		cmocka_unit_test(edge_serves_the_network_that_leaves_less_behind),
		cmocka_unit_test(drex_buffers_what_is_left_behind_an_exit),
		cmocka_unit_test(drex_flushes_what_has_waited_long_enough),
		cmocka_unit_test(fluid_injects_no_more_than_the_deadlines_of_the_saved_allow),
		cmocka_unit_test(fluid_plus_stops_a_deep_batch_for_what_is_sooner_done),
		cmocka_unit_test(fluid_plus_serves_the_hopeless_last_and_alone),
		cmocka_unit_test(fluid_plus_gives_one_up_to_save_two),
		cmocka_unit_test(fluid_plus_takes_a_batch_that_some_may_be_late_in),
		cmocka_unit_test(fluid_fills_the_holes_that_exits_leave),
	};

	return cmocka_run_group_tests_name("sched_examples", tests, NULL, NULL);
}
