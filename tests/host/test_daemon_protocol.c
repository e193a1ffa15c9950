// SPDX-License-Identifier: MIT
/* fluidnpud without the daemon: which messages may be, quotas, turns, and what metrics look like. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "admission.h"
#include "metrics.h"
#include "protocol.h"

#define INPUT_BYTES	100u
#define EXITS		3u

static struct fnpu_error error;

/* ---- messages ---- */

static struct fnpud_peer peer_in(enum fnpud_state state)
{
	return (struct fnpud_peer){
		.state = state,
		.computes = true,
		.input_bytes = INPUT_BYTES,
		.num_exits = EXITS,
		.buffer_bytes = { [1] = state == FNPUD_IS_OPEN ? 1024 : 0 },
	};
}

static void expect(const struct fnpud_peer *peer, const void *message, size_t bytes,
		   unsigned int fds, int ret, const char *hint)
{
	error.text[0] = '\0';
	assert_int_equal(fnpud_check(peer, message, bytes, fds, &error), ret);
	if (!strstr(error.text, hint))
		fail_msg("\"%s\" does not say \"%s\"", error.text, hint);
}

static const struct fnpud_hello good_hello = {
	.header = { FNPUD_HELLO, sizeof(good_hello) },
	.magic = FNPUD_MAGIC,
	.version = FNPUD_VERSION,
};
static const struct fnpud_open good_open = { .header = { FNPUD_OPEN, sizeof(good_open) } };
static const struct fnpud_buffer good_buffer = {
	.header = { FNPUD_BUFFER, sizeof(good_buffer) },
	.bytes = 1024,
	.buffer = FNPUD_MAX_BUFFERS - 1,
};
static const struct fnpud_release good_release = {
	.header = { FNPUD_RELEASE, sizeof(good_release) },
};

/** struct submit - a SUBMIT of two: struct fnpud_submit, with its array as one of known size */
struct submit {
	struct {
		struct fnpud_header header;
		uint32_t count;
		uint32_t reserved;
	} m;
	struct fnpud_sample samples[2];
};

static struct submit good_submit(void)
{
	return (struct submit){
		.m = { .header = { FNPUD_SUBMIT, sizeof(struct submit) }, .count = 2 },
		.samples = {
			{ .format = FNPU_INPUT_U8_NHWC, .buffer = 1 },
			{ .offset = 128, .format = FNPU_INPUT_F32_NCHW, .priority = FNPU_MAX_PRIORITY,
			  .buffer = 1 },
		},
	};
}

static void each_message_has_its_time(void **state)
{
	const struct submit submit = good_submit();
	const struct fnpud_header counters = { FNPUD_COUNTERS, sizeof(counters) };
	const struct fnpud_header stats = { FNPUD_STATS, sizeof(stats) };
	const struct {
		const void *message;
		size_t bytes;
		unsigned int fds;
		bool good[FNPUD_IS_OPEN + 1];
	} cases[] = {
		{ &good_hello, sizeof(good_hello), 0, { true, false, false } },
		{ &good_open, sizeof(good_open), 0, { false, true, false } },
		{ &good_buffer, sizeof(good_buffer), 1, { false, false, true } },
		{ &good_release, sizeof(good_release), 0, { false, false, true } },
		{ &submit, sizeof(submit), 0, { false, false, true } },
		{ &counters, sizeof(counters), 0, { false, true, true } },
		{ &stats, sizeof(stats), 0, { false, false, true } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (int s = FNPUD_NEW; s <= FNPUD_IS_OPEN; s++) {
			const struct fnpud_peer peer = peer_in(s);
			int ret = fnpud_check(&peer, cases[i].message, cases[i].bytes, cases[i].fds,
					      &error);

			if (ret != (cases[i].good[s] ? 0 : -EPROTO))
				fail_msg("message %zu in state %d: %d, \"%s\"", i, s, ret, error.text);
		}
	}
}

static void sizes_are_exact(void **state)
{
	const struct fnpud_peer fresh = peer_in(FNPUD_NEW), ready = peer_in(FNPUD_IS_OPEN);
	struct fnpud_hello hello = good_hello;
	struct submit submit = good_submit();

	(void)state;
	expect(&fresh, &hello, 0, 0, -EPROTO, "0 bytes");
	expect(&fresh, &hello, sizeof(hello.header) - 1, 0, -EPROTO, "7 bytes");
	expect(&fresh, &hello, sizeof(hello) - 1, 0, -EPROTO, "does not say so");
	hello.header.bytes = sizeof(hello.header);
	expect(&fresh, &hello, sizeof(hello.header), 0, -EPROTO, "no HELLO");
	submit.m.count = 1;
	expect(&ready, &submit, sizeof(submit), 0, -EPROTO, "does not hold 1 samples");
	submit.m.count = 3;
	expect(&ready, &submit, sizeof(submit), 0, -EPROTO, "does not hold 3 samples");
	/* a count whose samples, in 32 bits, are as many bytes as two */
	submit.m.count = 2 + UINT32_MAX / 8;
	expect(&ready, &submit, sizeof(submit), 0, -EPROTO, "does not hold");
	submit.m.count = 0;
	submit.m.header.bytes = sizeof(submit.m);
	expect(&ready, &submit, sizeof(submit.m), 0, -EPROTO, "does not hold 0 samples");
}

static void types_that_do_not_exist_are_named(void **state)
{
	const struct fnpud_peer peer = peer_in(FNPUD_GREETED);
	const uint32_t types[] = { FNPUD_NONE, FNPUD_NUM_REQUESTS, FNPUD_RESULTS, UINT32_MAX };

	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		const struct fnpud_header h = { types[i], sizeof(h) };

		expect(&peer, &h, sizeof(h), 0, -EPROTO, "does not exist");
	}
}

static void another_version_is_told_what_to_do(void **state)
{
	const struct fnpud_peer peer = peer_in(FNPUD_NEW);
	struct fnpud_hello hello = good_hello;

	(void)state;
	hello.version++;
	expect(&peer, &hello, sizeof(hello), 0, -EPROTONOSUPPORT, "of one release");
	hello.magic++;
	expect(&peer, &hello, sizeof(hello), 0, -EPROTO, "HELLO");
}

static void descriptors_come_with_a_buffer_only(void **state)
{
	const struct fnpud_peer fresh = peer_in(FNPUD_NEW), open = peer_in(FNPUD_IS_OPEN);

	(void)state;
	expect(&fresh, &good_hello, sizeof(good_hello), 1, -EPROTO, "1 file descriptors");
	expect(&open, &good_buffer, sizeof(good_buffer), 0, -EPROTO, "0 file descriptors");
	expect(&open, &good_buffer, sizeof(good_buffer), 2, -EPROTO, "2 file descriptors");
}

static void values_that_cannot_be_are_named(void **state)
{
	const struct fnpud_peer greeted = peer_in(FNPUD_GREETED), open = peer_in(FNPUD_IS_OPEN);
	struct fnpud_open m = good_open;
	struct fnpud_buffer b = good_buffer;
	struct fnpud_release r = good_release;

	(void)state;
	m.flags = 1u << 31;
	expect(&greeted, &m, sizeof(m), 0, -EPROTO, "flags");
	m = good_open;
	m.queue_bound = FNPUD_MAX_QUEUE + 1;
	expect(&greeted, &m, sizeof(m), 0, -EPROTO, "too long");
	b.bytes = 0;
	expect(&open, &b, sizeof(b), 1, -EPROTO, "makes no sense");
	b.bytes = UINT64_MAX;
	expect(&open, &b, sizeof(b), 1, -EPROTO, "makes no sense");
	b = good_buffer;
	b.buffer = FNPUD_MAX_BUFFERS;
	expect(&open, &b, sizeof(b), 1, -EPROTO, "number 64");
	r.buffer = UINT32_MAX;
	expect(&open, &r, sizeof(r), 0, -EPROTO, "number 4294967295");
}

static void expect_sample(const struct fnpud_peer *peer, const struct fnpud_sample *sample, int ret,
			  const char *hint)
{
	struct submit submit = good_submit();

	submit.samples[1] = *sample;
	expect(peer, &submit, sizeof(submit), 0, ret, hint);
}

static void samples_lie_in_their_buffer(void **state)
{
	struct fnpud_peer peer = peer_in(FNPUD_IS_OPEN);
	struct fnpud_sample s = { .format = FNPU_INPUT_U8_NHWC, .buffer = 1 };

	(void)state;
	peer.buffer_bytes[1] = 1024 + INPUT_BYTES;
	s.offset = 1024;
	expect_sample(&peer, &s, 0, "");
	peer.buffer_bytes[1]--;
	expect_sample(&peer, &s, -EPROTO, "0x400");
	s.offset = 32;
	expect_sample(&peer, &s, -EPROTO, "0x20");
	s.offset = UINT64_MAX - 63;	/* with its bytes, it is small again */
	expect_sample(&peer, &s, -EPROTO, "no sample");
	s.offset = FNPUD_NO_INPUT;
	expect_sample(&peer, &s, -EPROTO, "no sample");
	s = (struct fnpud_sample){ .format = FNPU_INPUT_U8_NHWC, .buffer = 2 };
	expect_sample(&peer, &s, -EPROTO, "of a buffer of 0 bytes");
	s.buffer = FNPUD_MAX_BUFFERS;
	expect_sample(&peer, &s, -EPROTO, "number 64");
	s = (struct fnpud_sample){ .format = FNPU_INPUT_F32_NCHW, .buffer = 1 };
	peer.buffer_bytes[1] = sizeof(float) * INPUT_BYTES - 1;
	expect_sample(&peer, &s, -EPROTO, "no sample of 400 bytes");
}

static void samples_have_fields_that_exist(void **state)
{
	struct fnpud_peer peer = peer_in(FNPUD_IS_OPEN);

	(void)state;
	expect_sample(&peer, &(struct fnpud_sample){ .format = 99 }, -EPROTO, "format 99");
	expect_sample(&peer, &(struct fnpud_sample){ .priority = FNPU_MAX_PRIORITY + 1 }, -EPROTO,
		      "priority 8");
	expect_sample(&peer, &(struct fnpud_sample){ .flags = 1u << 9 }, -EPROTO, "flags 0x200");
	/* where the NPU computes, it is not asked */
	expect_sample(&peer, &(struct fnpud_sample){ .exit_index = EXITS, .buffer = 1 }, 0, "");
	peer.computes = false;
	expect_sample(&peer, &(struct fnpud_sample){ .exit_index = EXITS }, -EPROTO, "exit 3");
	expect_sample(&peer, &(struct fnpud_sample){ .offset = FNPUD_NO_INPUT }, 0, "");
}

/* ---- quotas ---- */

static void quotas_are_kept_to_the_last_byte(void **state)
{
	const struct fnpud_quota limit = { .connections = 2, .samples = 10, .buffers = 1,
					   .bytes = 100 };
	const struct fnpud_quota all = limit;
	struct fnpud_quota used = { 0 };

	(void)state;
	assert_int_equal(fnpud_reserve(&used, &limit, &all, &error), 0);
	assert_int_equal(fnpud_reserve(&used, &limit, &(struct fnpud_quota){ .connections = 1 }, &error),
			 -EDQUOT);
	assert_non_null(strstr(error.text, "--client-connections"));
	assert_int_equal(fnpud_reserve(&used, &limit, &(struct fnpud_quota){ .samples = 1 }, &error),
			 -EDQUOT);
	assert_non_null(strstr(error.text, "10 of 10 are taken"));
	assert_non_null(strstr(error.text, "--client-samples"));
	assert_int_equal(fnpud_reserve(&used, &limit, &(struct fnpud_quota){ .buffers = 1 }, &error),
			 -EDQUOT);
	assert_non_null(strstr(error.text, "--client-buffers"));
	assert_int_equal(fnpud_reserve(&used, &limit, &(struct fnpud_quota){ .bytes = 1 }, &error),
			 -EDQUOT);
	assert_non_null(strstr(error.text, "--client-memory-mib"));
	assert_int_equal(fnpud_reserve(&used, &limit,
				       &(struct fnpud_quota){ .bytes = UINT64_MAX }, &error), -EDQUOT);
	assert_memory_equal(&used, &all, sizeof(used));
	fnpud_release(&used, &all);
	assert_int_equal(fnpud_reserve(&used, &limit, &all, &error), 0);
}

/* ---- turns ---- */

#define ITEMS	64

static struct fnpud_turns turns;
static struct fnpud_flow flows[3];
static struct fnpud_item items[3][ITEMS];

static void start(uint32_t weight0, uint32_t weight1, uint32_t weight2)
{
	fnpud_turns_init(&turns);
	fnpud_flow_init(&flows[0], weight0);
	fnpud_flow_init(&flows[1], weight1);
	fnpud_flow_init(&flows[2], weight2);
}

static void push(int flow, int from, int to)
{
	for (int i = from; i < to; i++)
		fnpud_push(&turns, &flows[flow], &items[flow][i], 0, 0);
}

/* Which flow is served next. */
static int serve(void)
{
	struct fnpud_item *item = fnpud_next(&turns);
	int flow;

	assert_non_null(item);
	flow = (int)(item->flow - flows);
	fnpud_take(&turns, item);
	assert_null(item->flow);
	return flow;
}

static void expect_order(const char *order)
{
	for (; *order; order++)
		assert_int_equal(serve(), *order - '0');
}

static void equal_clients_alternate(void **state)
{
	(void)state;
	start(1, 1, 1);
	push(0, 0, ITEMS);
	push(1, 0, 3);
	push(2, 0, 2);
	expect_order("012012010000");
}

static void weights_are_shares(void **state)
{
	(void)state;
	start(3, 1, 2);
	push(0, 0, ITEMS);
	push(1, 0, ITEMS);
	push(2, 0, ITEMS);
	expect_order("000122000122000122");
}

static void a_newcomer_waits_for_one_round(void **state)
{
	(void)state;
	start(2, 1, 1);
	push(0, 0, ITEMS);
	expect_order("000");
	push(1, 0, 1);
	expect_order("010");
}

static void who_had_nothing_has_saved_nothing(void **state)
{
	(void)state;
	start(1, 4, 1);
	push(0, 0, ITEMS);
	push(1, 0, 1);
	expect_order("0100000");
	push(1, 1, 10);
	expect_order("0111101111010");
}

static void priorities_work_within_a_client(void **state)
{
	(void)state;
	start(1, 1, 1);
	fnpud_push(&turns, &flows[0], &items[0][0], 7, FNPU_REQUEST_BEST_EFFORT);
	fnpud_push(&turns, &flows[0], &items[0][1], 0, 0);
	fnpud_push(&turns, &flows[0], &items[0][2], 7, 0);
	fnpud_push(&turns, &flows[0], &items[0][3], 7, 0);
	fnpud_push(&turns, &flows[1], &items[1][0], 0, 0);
	assert_ptr_equal(fnpud_next(&turns), &items[0][2]);
	expect_order("01");
	assert_ptr_equal(fnpud_next(&turns), &items[0][3]);
	expect_order("0");
	assert_ptr_equal(fnpud_next(&turns), &items[0][1]);
	expect_order("0");
	assert_ptr_equal(fnpud_next(&turns), &items[0][0]);
	expect_order("0");
	assert_null(fnpud_next(&turns));
}

static void what_is_removed_is_never_served(void **state)
{
	(void)state;
	start(1, 1, 1);
	push(0, 0, 2);
	push(1, 0, 2);
	fnpud_remove(&turns, &items[0][0]);
	fnpud_remove(&turns, &items[0][1]);
	assert_int_equal(turns.count, 2);
	expect_order("11");
	assert_null(fnpud_next(&turns));
	push(0, 0, 1);
	expect_order("0");
}

/* ---- metrics ---- */

static char *print(const struct fnpud_metrics *m, const struct fnpud_model_metrics *model)
{
	char *text;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	assert_non_null(out);
	fnpud_metrics_print(out, m, &model, 1);
	fclose(out);
	return text;
}

static void expect_line(const char *text, const char *line)
{
	if (!strstr(text, line))
		fail_msg("there is no \"%s\" in:\n%s", line, text);
}

static void histograms_add_up(void **state)
{
	static const struct fnpud_metrics none;
	struct fnpud_model_metrics m = { .name = "a\"b\\c\nd", .num_exits = 2 };
	char *text;

	(void)state;
	fnpud_histogram_add(&m.queue, 0);
	fnpud_histogram_add(&m.queue, 10e-6);
	fnpud_histogram_add(&m.queue, 20e-6);
	fnpud_histogram_add(&m.queue, 11);
	m.exits[1] = 7;
	m.stats.batches[3] = 5;
	m.failures[FNPUD_FAILED_DEADLINE] = 9;
	text = print(&none, &m);
	expect_line(text, "queue_duration_seconds_bucket{model=\"a\\\"b\\\\c\\nd\",le=\"1e-05\"} 2\n");
	expect_line(text, "le=\"2.5e-05\"} 3\n");
	expect_line(text, "le=\"10\"} 3\n");
	expect_line(text, "le=\"+Inf\"} 4\n");
	expect_line(text, "queue_duration_seconds_count{model=\"a\\\"b\\\\c\\nd\"} 4\n");
	expect_line(text, "queue_duration_seconds_sum{model=\"a\\\"b\\\\c\\nd\"} 11.00003\n");
	expect_line(text, "exit=\"1\"} 7\n");
	expect_line(text, "size=\"4\"} 5\n");
	expect_line(text, "reason=\"deadline\"} 9\n");
	assert_null(strstr(text, "exit=\"2\""));
	free(text);
}

static void users_beyond_the_last_are_others(void **state)
{
	struct fnpud_metrics *m = calloc(1, sizeof(*m));
	const struct fnpud_model_metrics model = { .name = "m" };
	char *text;

	(void)state;
	assert_non_null(m);
	for (uid_t uid = 0; uid < 2 * FNPUD_MAX_USERS; uid++)
		fnpud_metrics_user(m, uid)->success++;
	fnpud_metrics_user(m, 5)->success++;
	text = print(m, &model);
	expect_line(text, "uid=\"5\",outcome=\"success\"} 2\n");
	expect_line(text, "uid=\"other\",outcome=\"success\"} 64\n");
	assert_null(strstr(text, "uid=\"64\""));
	free(text);
	free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_message_has_its_time),
		cmocka_unit_test(sizes_are_exact),
		cmocka_unit_test(types_that_do_not_exist_are_named),
		cmocka_unit_test(another_version_is_told_what_to_do),
		cmocka_unit_test(descriptors_come_with_a_buffer_only),
		cmocka_unit_test(values_that_cannot_be_are_named),
		cmocka_unit_test(samples_lie_in_their_buffer),
		cmocka_unit_test(samples_have_fields_that_exist),
		cmocka_unit_test(quotas_are_kept_to_the_last_byte),
		cmocka_unit_test(equal_clients_alternate),
		cmocka_unit_test(weights_are_shares),
		cmocka_unit_test(a_newcomer_waits_for_one_round),
		cmocka_unit_test(who_had_nothing_has_saved_nothing),
		cmocka_unit_test(priorities_work_within_a_client),
		cmocka_unit_test(what_is_removed_is_never_served),
		cmocka_unit_test(histograms_add_up),
		cmocka_unit_test(users_beyond_the_last_are_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
