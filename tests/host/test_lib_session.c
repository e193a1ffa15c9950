// SPDX-License-Identifier: MIT
/* Sessions on the emulated NPU: results, order, limits, failures, time. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fluidnpu.h"
#include "lib_model.h"
#include "session.h"

#define MAX_RESULTS 256

struct fixture {
	struct fnpu_device *device;
	struct fnpu_model *model;
	struct fnpu_error error;
	struct fnpu_result results[MAX_RESULTS];
};

static int8_t sure[LIB_MODEL_INPUTS] = { 0, 100, 0, 0 };	/* exit 0, class 1 */
static int8_t unsure[LIB_MODEL_INPUTS] = { 1, 0, 0, 0 };	/* exit 1, class 3 */

static int setup_model(void **state, const struct lib_model *model)
{
	static struct fixture f;
	const char *path = lib_temp_path("tiny.fnpu");

	memset(&f, 0, sizeof(f));
	lib_model_write(model, path);
	if (fnpu_device_open("emu", NULL, &f.device, &f.error) ||
	    fnpu_model_load(path, &f.model, &f.error)) {
		print_error("%s\n", f.error.text);
		return -1;
	}
	*state = &f;
	return 0;
}

static int setup(void **state)
{
	struct lib_model model = LIB_MODEL_DEFAULT;

	return setup_model(state, &model);
}

static int setup_broken(void **state)
{
	struct lib_model model = LIB_MODEL_DEFAULT;

	model.break_layer = 2;	/* behind exit 0 */
	return setup_model(state, &model);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fnpu_model_free(f->model);
	fnpu_device_close(f->device);
	return 0;
}

static struct fnpu_session *open_session(struct fixture *f, const struct fnpu_session_options *o)
{
	struct fnpu_session *s = NULL;

	if (fnpu_session_open(f->device, f->model, o, &s, &f->error))
		fail_msg("%s", f->error.text);
	return s;
}

static int submit(struct fnpu_session *s, uint64_t user_data, const int8_t *input)
{
	return fnpu_session_submit(s, &(struct fnpu_request){
		.user_data = user_data,
		.input = input,
		.input_bytes = LIB_MODEL_INPUTS,
		.format = FNPU_INPUT_I8_NHWC,
	});
}

/* Waits until nothing is pending; results in their order. */
static int collect(struct fixture *f, struct fnpu_session *s)
{
	int total = 0, n;

	while ((n = fnpu_session_wait(s, f->results + total, MAX_RESULTS - (uint32_t)total, -1)) > 0)
		total += n;
	assert_int_equal(n, 0);
	return total;
}

static void confident_sample_leaves_at_the_first_exit(void **state)
{
	struct fixture *f = *state;
	struct fnpu_session *s = open_session(f, NULL);
	const struct fnpu_result *r = f->results;

	assert_int_equal(submit(s, 77, sure), 0);
	assert_int_equal(collect(f, s), 1);
	assert_int_equal(r->user_data, 77);
	assert_int_equal(r->status, 0);
	assert_null(r->reason);
	assert_int_equal(r->exit_index, 0);
	assert_int_equal(r->head.class_index, 1);
	assert_true(r->head.confidence > 0.999f && r->head.confidence <= 1);
	assert_int_equal(r->batch, 1);
	assert_true(r->arrived <= r->queued && r->queued <= r->started);
	assert_true(r->started < r->head.time);
	assert_null(r->logits);
	assert_null(r->heads);
	fnpu_session_close(s);
}

static void unsure_sample_goes_on_to_the_last_exit(void **state)
{
	struct fixture *f = *state;
	struct fnpu_session *s = open_session(f, NULL);

	assert_int_equal(submit(s, 1, unsure), 0);
	assert_int_equal(collect(f, s), 1);
	assert_int_equal(f->results[0].exit_index, 1);
	assert_int_equal(f->results[0].head.class_index, 3);
	fnpu_session_close(s);
}

static void early_exits_come_before_the_rest_of_their_batch(void **state)
{
	struct fixture *f = *state;
	struct fnpu_session *s = open_session(f, NULL);

	assert_int_equal(submit(s, 0, unsure), 0);
	assert_int_equal(submit(s, 1, sure), 0);
	assert_int_equal(collect(f, s), 2);
	assert_int_equal(f->results[0].user_data, 1);
	assert_int_equal(f->results[1].user_data, 0);
	assert_int_equal(f->results[0].batch, 2);
	assert_int_equal(f->results[0].head.live_batch, 2);
	assert_int_equal(f->results[1].head.live_batch, 1);
	assert_true(f->results[0].head.time < f->results[1].head.time);
	fnpu_session_close(s);
}

static void logits_of_passed_exits_are_the_networks(void **state)
{
	struct fixture *f = *state;
	struct fnpu_session *s = open_session(f, &(struct fnpu_session_options){
		.flags = FNPU_SESSION_LOGITS });
	const int8_t input[LIB_MODEL_INPUTS] = { 4, 3, 2, 1 };
	const int8_t expected[] = { 4, 3, 2, 1, 1, 2, 3, 4 };

	assert_int_equal(submit(s, 0, input), 0);
	assert_int_equal(fnpu_session_wait(s, f->results, MAX_RESULTS, -1), 1);
	assert_non_null(f->results[0].logits);
	assert_memory_equal(f->results[0].logits, expected, sizeof(expected));
	fnpu_session_close(s);
}

static void no_exit_reports_every_head(void **state)
{
	struct fixture *f = *state;
	struct fnpu_session *s = open_session(f, &(struct fnpu_session_options){
		.flags = FNPU_SESSION_NO_EXIT });
	const struct fnpu_result *r = f->results;

	for (int i = 0; i < 20; i++)
		assert_int_equal(submit(s, (uint64_t)i, sure), 0);
	assert_int_equal(fnpu_session_wait(s, f->results, 1, -1), 1);
	assert_int_equal(r->exit_index, 1);
	assert_int_equal(r->heads[0].class_index, 1);
	assert_int_equal(r->heads[1].class_index, 2);
	assert_true(r->heads[0].time < r->heads[1].time);
	assert_int_equal(collect(f, s), 19);
	fnpu_session_close(s);
}

static void floats_bytes_and_int8_give_the_same(void **state)
{
	struct fixture *f = *state;
	struct fnpu_session *s = open_session(f, NULL);
	const float floats[LIB_MODEL_INPUTS] = { 0.2f, 100.4f, -0.3f, 0.5f };
	const uint8_t bytes[LIB_MODEL_INPUTS] = { 0, 100, 0, 0 };

	assert_int_equal(submit(s, 0, sure), 0);
	assert_int_equal(fnpu_session_submit(s, &(struct fnpu_request){
		.input = floats, .input_bytes = sizeof(floats),
		.format = FNPU_INPUT_F32_NCHW }), 0);
	assert_int_equal(fnpu_session_submit(s, &(struct fnpu_request){
		.input = bytes, .input_bytes = sizeof(bytes), .format = FNPU_INPUT_U8_NHWC }), 0);
	assert_int_equal(collect(f, s), 3);
	for (int i = 0; i < 3; i++)
		assert_memory_equal(&f->results[i].head, &f->results[0].head,
				    sizeof(f->results[0].head));
	fnpu_session_close(s);
}

static void full_queue_says_eagain_and_takes_more_later(void **state)
{
	struct fixture *f = *state;
	struct fnpu_session *s = open_session(f, &(struct fnpu_session_options){
		.queue_bound = 5 });
	struct fnpu_session_stats stats;

	for (int i = 0; i < 5; i++)
		assert_int_equal(submit(s, (uint64_t)i, sure), 0);
	assert_int_equal(submit(s, 5, sure), -EAGAIN);
	assert_int_equal(fnpu_session_pending(s), 5);
	assert_int_equal(fnpu_session_flush(s), 0);
	assert_int_equal(submit(s, 5, sure), 0);
	assert_int_equal(collect(f, s), 6);
	fnpu_session_stats(s, &stats);
	assert_int_equal(stats.submitted, 6);
	assert_int_equal(stats.rejected, 1);
	assert_int_equal(stats.completed, 6);
	fnpu_session_close(s);
}

static void unfetched_results_hold_submission_back_but_lose_nothing(void **state)
{
	struct fixture *f = *state;
	struct fnpu_session *s = open_session(f, &(struct fnpu_session_options){
		.queue_bound = 4, .max_batch = 2, .depth = 1 });
	int taken = 0;

	while (!submit(s, (uint64_t)taken, sure)) {
		taken++;
		assert_int_equal(fnpu_session_drain(s, -1), 0);
	}
	assert_true(taken >= 4);
	assert_int_equal(collect(f, s), taken);
	assert_int_equal(submit(s, 0, sure), 0);
	fnpu_session_close(s);
}

static void adaptive_batches_what_waits_up_to_the_limit(void **state)
{
	struct fixture *f = *state;
	struct fnpu_session *s = open_session(f, &(struct fnpu_session_options){
		.max_batch = 8, .queue_bound = 64 });
	struct fnpu_session_stats stats;

	for (int i = 0; i < 19; i++)
		assert_int_equal(submit(s, (uint64_t)i, sure), 0);
	assert_int_equal(collect(f, s), 19);
	fnpu_session_stats(s, &stats);
	assert_int_equal(stats.jobs, 3);
	assert_int_equal(stats.job_samples, 19);
	assert_int_equal(stats.batches[7], 2);
	assert_int_equal(stats.batches[2], 1);
	fnpu_session_close(s);
}

static void serial_runs_one_at_a_time_in_order(void **state)
{
	struct fixture *f = *state;
	struct fnpu_session *s = open_session(f, &(struct fnpu_session_options){
		.policy = "serial" });

	for (int i = 0; i < 10; i++)
		assert_int_equal(submit(s, (uint64_t)i, i % 3 ? sure : unsure), 0);
	assert_int_equal(collect(f, s), 10);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(f->results[i].user_data, i);
		assert_int_equal(f->results[i].batch, 1);
	}
	fnpu_session_close(s);
}

/* Every policy that a session takes; edge makes samples leave, which a device cannot. */
static const char *const policies[] = {
	"adaptive", "serial", "static", "static:size=4,delay=20", "lazy", "cellular", "clockwork",
	"symphony", "drex", "fluid", "fluid+", "fluid+:objective=latency,margin=0",
};

static void every_policy_serves_all_with_the_right_results(void **state)
{
	struct fixture *f = *state;

	for (size_t p = 0; p < sizeof(policies) / sizeof(policies[0]); p++) {
		struct fnpu_session *s = open_session(f, &(struct fnpu_session_options){
			.policy = policies[p], .max_batch = 4, .queue_bound = 64,
			.slo_ns = 1000000000 });
		int got = 0, n;

		for (int i = 0; i < 60; i++) {
			assert_int_equal(submit(s, (uint64_t)i, i % 3 ? sure : unsure), 0);
			if (i % 7)
				continue;
			n = fnpu_session_poll(s, f->results + got, MAX_RESULTS - (uint32_t)got);
			assert_true(n >= 0);
			got += n;
		}
		while ((n = fnpu_session_wait(s, f->results + got, MAX_RESULTS - (uint32_t)got, -1)) > 0)
			got += n;
		assert_int_equal(n, 0);
		assert_int_equal(got, 60);
		for (int i = 0; i < got; i++) {
			const struct fnpu_result *r = &f->results[i];

			assert_int_equal(r->status, 0);
			assert_int_equal(r->exit_index, r->user_data % 3 ? 0 : 1);
			assert_int_equal(r->head.class_index, r->user_data % 3 ? 1 : 3);
		}
		fnpu_session_close(s);
	}
}

static void cellular_puts_back_what_goes_on_and_says_so(void **state)
{
	struct fixture *f = *state;
	struct fnpu_session *s = open_session(f, &(struct fnpu_session_options){
		.policy = "cellular" });

	assert_int_equal(submit(s, 0, unsure), 0);
	assert_int_equal(submit(s, 1, sure), 0);
	assert_int_equal(collect(f, s), 2);
	assert_int_equal(f->results[0].user_data, 1);
	assert_int_equal(f->results[0].preempted, 0);
	assert_int_equal(f->results[1].user_data, 0);
	assert_int_equal(f->results[1].preempted, 1);
	assert_int_equal(f->results[1].exit_index, 1);
	assert_int_equal(f->results[1].batch, 1);
	fnpu_session_close(s);
}

static void static_waits_in_device_time(void **state)
{
	struct fixture *f = *state;
	struct fnpu_session *s = open_session(f, &(struct fnpu_session_options){
		.policy = "static:size=4,delay=100" });
	uint64_t alone = 0;

	for (uint32_t l = 0; l < fnpu_model_info(f->model)->num_layers; l++)
		alone += fnpu_model_cost(f->model, l, 1);
	assert_int_equal(submit(s, 0, sure), 0);
	assert_int_equal(collect(f, s), 1);
	assert_true(f->results[0].started - f->results[0].arrived >= 100 * alone);
	assert_true(f->results[0].started - f->results[0].arrived < 101 * alone);
	for (int i = 0; i < 4; i++)
		assert_int_equal(submit(s, 0, sure), 0);
	assert_int_equal(collect(f, s), 4);
	assert_true(f->results[0].started - f->results[0].arrived < alone);
	fnpu_session_close(s);
}

static void waiting_until_a_time_takes_results_or_lets_it_come(void **state)
{
	struct fixture *f = *state;
	struct fnpu_session *s = open_session(f, NULL);
	const uint64_t start = fnpu_session_time(s);
	uint64_t left;

	/* without samples time passes, and never back */
	assert_int_equal(fnpu_session_wait_until(s, f->results, 1, start + 1000), -ETIMEDOUT);
	assert_int_equal(fnpu_session_time(s), start + 1000);
	assert_int_equal(fnpu_session_wait_until(s, f->results, 1, start), -ETIMEDOUT);
	assert_int_equal(fnpu_session_time(s), start + 1000);

	/* what takes longer is not there yet */
	assert_int_equal(submit(s, 1, unsure), 0);
	assert_int_equal(fnpu_session_wait_until(s, f->results, 1, start + 1001), -ETIMEDOUT);
	assert_int_equal(fnpu_session_time(s), start + 1001);
	assert_int_equal(fnpu_session_pending(s), 1);

	/* a result ends the wait when it comes */
	assert_int_equal(fnpu_session_wait_until(s, f->results, 1, start + 1000000000), 1);
	left = f->results[0].head.time;
	assert_int_equal(f->results[0].arrived, start + 1000);
	assert_true(left > start + 1001);
	assert_int_equal(fnpu_session_time(s), left);
	assert_int_equal(fnpu_session_wait_until(s, f->results, 1, left + 5000), -ETIMEDOUT);
	assert_int_equal(fnpu_session_time(s), left + 5000);
	fnpu_session_close(s);
}

static void waiting_until_a_time_starts_what_the_policy_delays(void **state)
{
	struct fixture *f = *state;
	struct fnpu_session *s = open_session(f, &(struct fnpu_session_options){
		.policy = "static:size=4,delay=100" });
	uint64_t time = fnpu_session_time(s);

	assert_int_equal(submit(s, 0, sure), 0);
	assert_int_equal(fnpu_session_wait_until(s, f->results, 1, time + 1), -ETIMEDOUT);
	assert_int_equal(fnpu_session_wait_until(s, f->results, 1, UINT64_MAX), 1);
	assert_true(f->results[0].started > time + 1);
	fnpu_session_close(s);
}

/* The driver's event ring may show that a sample has left before it shows that its job is over. */
static const struct fnpu_backend_ops *true_ops;
static uint32_t hidden_events;

static int wait_that_shows_them(struct fnpu_context *ctx, int64_t timeout_ns, uint64_t until)
{
	if (!hidden_events)
		return true_ops->wait(ctx, timeout_ns, until);
	ctx->ring->producer += hidden_events;
	hidden_events = 0;
	return 0;
}

static void waiting_goes_on_while_the_end_of_a_job_is_not_there(void **state)
{
	struct fixture *f = *state;
	struct fnpu_session *s = open_session(f, &(struct fnpu_session_options){ .depth = 1 });
	struct fnpu_backend_ops ops = *f->device->ops;

	true_ops = f->device->ops;
	ops.wait = wait_that_shows_them;
	f->device->ops = &ops;
	assert_int_equal(submit(s, 1, sure), 0);
	assert_int_equal(fnpu_session_flush(s), 0);
	while (s->ctx->ring->producer - s->ctx->consumer < 2)
		assert_int_equal(true_ops->wait(s->ctx, -1, FNPU_SCHED_NEVER), 0);
	hidden_events = 1;
	s->ctx->ring->producer -= hidden_events;
	assert_int_equal(fnpu_session_wait(s, f->results, 1, -1), 1);
	assert_int_equal(submit(s, 2, sure), 0);
	assert_int_equal(fnpu_session_wait(s, f->results, 1, -1), 1);
	assert_int_equal(f->results[0].user_data, 2);
	f->device->ops = true_ops;
	fnpu_session_close(s);
}

static void deadlines_and_priorities_reach_the_scheduler(void **state)
{
	struct fixture *f = *state;
	struct fnpu_session *s = open_session(f, &(struct fnpu_session_options){
		.policy = "serial", .depth = 1 });
	struct fnpu_request r = { .user_data = 1, .input = unsure, .input_bytes = LIB_MODEL_INPUTS,
				  .format = FNPU_INPUT_I8_NHWC };

	assert_int_equal(fnpu_session_submit(s, &r), 0);
	assert_int_equal(fnpu_session_flush(s), 0);
	r.user_data = 2;
	assert_int_equal(fnpu_session_submit(s, &r), 0);
	r.user_data = 3;
	r.slo_ns = 1;
	r.flags = FNPU_REQUEST_REJECT_LATE;
	assert_int_equal(fnpu_session_submit(s, &r), 0);
	r.user_data = 4;
	r.slo_ns = 0;
	r.flags = 0;
	r.priority = FNPU_MAX_PRIORITY;
	assert_int_equal(fnpu_session_submit(s, &r), 0);
	assert_int_equal(collect(f, s), 4);
	assert_int_equal(f->results[0].user_data, 3);
	assert_int_equal(f->results[0].status, -ETIMEDOUT);
	assert_non_null(f->results[0].reason);
	assert_int_equal(f->results[1].user_data, 1);
	assert_int_equal(f->results[2].user_data, 4);
	assert_int_equal(f->results[3].user_data, 2);
	r.priority++;
	assert_int_equal(fnpu_session_submit(s, &r), -EINVAL);
	fnpu_session_close(s);
}

static void failed_job_fails_exactly_its_unfinished_samples(void **state)
{
	struct fixture *f = *state;
	struct fnpu_session *s = open_session(f, NULL);

	assert_int_equal(submit(s, 0, sure), 0);
	assert_int_equal(submit(s, 1, unsure), 0);
	assert_int_equal(submit(s, 2, sure), 0);
	assert_int_equal(collect(f, s), 3);
	assert_int_equal(f->results[0].status, 0);
	assert_int_equal(f->results[1].status, 0);
	assert_int_equal(f->results[2].user_data, 1);
	assert_int_equal(f->results[2].status, -EIO);
	assert_non_null(f->results[2].reason);
	assert_string_not_equal(fnpu_session_error(s), "");

	/* the session goes on */
	assert_int_equal(submit(s, 3, sure), 0);
	assert_int_equal(collect(f, s), 1);
	assert_int_equal(f->results[0].status, 0);
	fnpu_session_close(s);
}

static void close_with_jobs_in_flight_leaves_the_device_usable(void **state)
{
	struct fixture *f = *state;
	struct fnpu_session *s = open_session(f, NULL);

	for (int i = 0; i < 40; i++)
		assert_int_equal(submit(s, 0, unsure), 0);
	assert_int_equal(fnpu_session_flush(s), 0);
	fnpu_session_close(s);

	s = open_session(f, NULL);
	assert_int_equal(submit(s, 9, sure), 0);
	assert_int_equal(collect(f, s), 1);
	assert_int_equal(f->results[0].user_data, 9);
	fnpu_session_close(s);
}

static void two_sessions_share_a_device(void **state)
{
	struct fixture *f = *state;
	struct fnpu_session *a = open_session(f, NULL);
	struct fnpu_session *b = open_session(f, NULL);

	for (int i = 0; i < 8; i++) {
		assert_int_equal(submit(a, 100 + (uint64_t)i, sure), 0);
		assert_int_equal(submit(b, 200 + (uint64_t)i, unsure), 0);
	}
	assert_int_equal(fnpu_session_flush(a), 0);
	assert_int_equal(collect(f, b), 8);
	for (int i = 0; i < 8; i++)
		assert_int_equal(f->results[i].user_data, 200 + i);
	assert_int_equal(collect(f, a), 8);
	for (int i = 0; i < 8; i++)
		assert_int_equal(f->results[i].user_data, 100 + i);
	fnpu_session_close(a);
	fnpu_session_close(b);
}

/* Not with cmocka's assertions, which are for the main thread. */
static void *serve_in_thread(void *arg)
{
	struct fixture *f = arg;
	struct fnpu_session *s;
	struct fnpu_error error;
	struct fnpu_result results[8];
	int good = 0;

	for (int round = 0; round < 20; round++) {
		int taken = 0, n = 1;

		if (fnpu_session_open(f->device, f->model, NULL, &s, &error))
			return NULL;
		for (int i = 0; i < 40; i++)
			submit(s, (uint64_t)i, i % 3 ? sure : unsure);
		while (taken < 30 && (n = fnpu_session_wait(s, results, 8, -1)) > 0)
			for (int i = 0; i < n; i++, taken++)
				good += !results[i].status && results[i].head.class_index ==
					(results[i].user_data % 3 ? 1 : 3);
		fnpu_session_close(s);	/* with some in flight */
	}
	return (void *)(intptr_t)good;
}

static void sessions_in_several_threads_share_a_device(void **state)
{
	pthread_t threads[4];
	void *good;

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, serve_in_thread, *state), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], &good), 0);
		assert_true((intptr_t)good >= 20 * 30);
	}
}

static void run_mixture(struct fixture *f, uint64_t *times)
{
	struct fnpu_session *s;
	int n;

	fnpu_device_close(f->device);
	assert_int_equal(fnpu_device_open("emu", NULL, &f->device, &f->error), 0);
	s = open_session(f, NULL);
	for (int i = 0; i < 60; i++)
		assert_int_equal(submit(s, (uint64_t)i, i % 7 ? sure : unsure), 0);
	n = collect(f, s);
	assert_int_equal(n, 60);
	for (int i = 0; i < n; i++)
		times[f->results[i].user_data] = f->results[i].head.time;
	fnpu_session_close(s);
}

static void device_times_repeat_from_run_to_run(void **state)
{
	uint64_t first[60], second[60];

	run_mixture(*state, first);
	run_mixture(*state, second);
	assert_memory_equal(first, second, sizeof(first));
}

static int readable(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, 0) == 1;
}

static void descriptor_is_readable_while_there_is_something_to_do(void **state)
{
	struct fixture *f = *state;
	struct fnpu_session *s = open_session(f, NULL);
	int fd = fnpu_session_fd(s);
	int taken = 0;

	assert_true(fd >= 0);
	assert_false(readable(fd));
	for (int i = 0; i < 5; i++)
		assert_int_equal(submit(s, 0, i & 1 ? sure : unsure), 0);
	while (readable(fd)) {
		int n = fnpu_session_poll(s, f->results, 2);

		assert_true(n >= 0);
		taken += n;
	}
	assert_int_equal(taken, 5);
	assert_int_equal(fnpu_session_fd(s), fd);
	fnpu_session_close(s);
}

static void wait_without_samples_returns_at_once(void **state)
{
	struct fixture *f = *state;
	struct fnpu_session *s = open_session(f, NULL);

	assert_int_equal(fnpu_session_wait(s, f->results, 1, -1), 0);
	assert_int_equal(fnpu_session_poll(s, f->results, 1), 0);
	assert_int_equal(fnpu_session_drain(s, -1), 0);
	fnpu_session_close(s);
}

static void wrong_input_is_refused_with_a_message(void **state)
{
	struct fixture *f = *state;
	struct fnpu_session *s = open_session(f, NULL);
	struct fnpu_request r = { .input = sure, .input_bytes = 3, .format = FNPU_INPUT_I8_NHWC };

	assert_int_equal(fnpu_session_submit(s, &r), -EINVAL);
	assert_non_null(strstr(fnpu_session_error(s), "takes 4"));
	r.input_bytes = LIB_MODEL_INPUTS;
	r.format = (enum fnpu_input_format)9;
	assert_int_equal(fnpu_session_submit(s, &r), -EINVAL);
	assert_int_equal(fnpu_session_pending(s), 0);
	fnpu_session_close(s);
}

static void wrong_options_are_refused_with_a_message(void **state)
{
	static const struct fnpu_session_options bad[] = {
		{ .policy = "magic" },
		{ .policy = "edge" },
		{ .policy = "static:size=99" },
		{ .submission = "pigeon" },
		{ .depth = 65 },
		{ .queue_bound = UINT32_MAX },
		{ .flags = 1u << 31 },
	};
	struct fixture *f = *state;
	struct fnpu_session *s = NULL;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		f->error.text[0] = '\0';
		assert_int_equal(fnpu_session_open(f->device, f->model, &bad[i], &s, &f->error),
				 -EINVAL);
		assert_string_not_equal(f->error.text, "");
		assert_null(s);
	}
}

static void counters_tell_of_the_work(void **state)
{
	struct fixture *f = *state;
	struct fnpu_session *s = open_session(f, NULL);
	struct fnpu_counters before, after;

	assert_int_equal(fnpu_device_counters(f->device, &before), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(submit(s, 0, i ? sure : unsure), 0);
	assert_int_equal(collect(f, s), 3);
	assert_int_equal(fnpu_device_counters(f->device, &after), 0);
	assert_true(after.time > before.time);
	assert_int_equal(after.values[FLUIDNPU_CNT_JOBS] - before.values[FLUIDNPU_CNT_JOBS], 1);
	assert_int_equal(after.values[FLUIDNPU_CNT_SAMPLES] - before.values[FLUIDNPU_CNT_SAMPLES], 3);
	assert_int_equal(after.values[FLUIDNPU_CNT_EXITS], 2);
	assert_int_equal(after.values[FLUIDNPU_CNT_EXITS + 1], 1);
	fnpu_session_close(s);
}

/* Events that make no sense: a sample that is not there, one of a former life, a foreign exit. */
static void foreign_events_are_ignored(void **state)
{
	struct fixture *f = *state;
	struct fnpu_session *s = open_session(f, NULL);
	struct drm_fluidnpu_event_ring *ring = s->ctx->ring;
	const struct drm_fluidnpu_event odd[] = {
		{ .type = DRM_FLUIDNPU_EVENT_EXIT, .user_data = UINT32_MAX },
		{ .type = DRM_FLUIDNPU_EVENT_EXIT, .user_data = 5ull << 32 },
		{ .type = DRM_FLUIDNPU_EVENT_EXIT, .user_data = 1ull << 32, .exit_index = 200 },
		{ .type = DRM_FLUIDNPU_EVENT_JOB, .user_data = UINT64_MAX },
		{ .type = DRM_FLUIDNPU_EVENT_JOB, .user_data = 7ull << 32, .error = -EIO },
		{ .type = 200 },
	};

	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		s->ctx->events[ring->producer++ & (s->ctx->entries - 1)] = odd[i];
	assert_int_equal(submit(s, 1, sure), 0);
	assert_int_equal(collect(f, s), 1);
	assert_int_equal(f->results[0].status, 0);
	fnpu_session_close(s);
}

static void impossible_event_count_breaks_the_session_not_the_process(void **state)
{
	struct fixture *f = *state;
	struct fnpu_session *s = open_session(f, NULL);

	assert_int_equal(submit(s, 1, sure), 0);
	s->ctx->ring->producer += 100000;
	assert_int_equal(fnpu_session_wait(s, f->results, MAX_RESULTS, -1), 1);
	assert_int_equal(f->results[0].status, -EPROTO);
	assert_int_equal(fnpu_session_wait(s, f->results, MAX_RESULTS, -1), -EPROTO);
	assert_int_equal(submit(s, 1, sure), -EPROTO);
	fnpu_session_close(s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(confident_sample_leaves_at_the_first_exit),
		TEST(unsure_sample_goes_on_to_the_last_exit),
		TEST(early_exits_come_before_the_rest_of_their_batch),
		TEST(logits_of_passed_exits_are_the_networks),
		TEST(no_exit_reports_every_head),
		TEST(floats_bytes_and_int8_give_the_same),
		TEST(full_queue_says_eagain_and_takes_more_later),
		TEST(unfetched_results_hold_submission_back_but_lose_nothing),
		TEST(adaptive_batches_what_waits_up_to_the_limit),
		TEST(serial_runs_one_at_a_time_in_order),
		TEST(every_policy_serves_all_with_the_right_results),
		TEST(cellular_puts_back_what_goes_on_and_says_so),
		TEST(static_waits_in_device_time),
		TEST(waiting_until_a_time_takes_results_or_lets_it_come),
		TEST(waiting_until_a_time_starts_what_the_policy_delays),
		TEST(waiting_goes_on_while_the_end_of_a_job_is_not_there),
		TEST(deadlines_and_priorities_reach_the_scheduler),
		cmocka_unit_test_setup_teardown(failed_job_fails_exactly_its_unfinished_samples,
						setup_broken, teardown),
		TEST(close_with_jobs_in_flight_leaves_the_device_usable),
		TEST(two_sessions_share_a_device),
		TEST(sessions_in_several_threads_share_a_device),
		TEST(device_times_repeat_from_run_to_run),
		TEST(descriptor_is_readable_while_there_is_something_to_do),
		TEST(wait_without_samples_returns_at_once),
		TEST(wrong_input_is_refused_with_a_message),
		TEST(wrong_options_are_refused_with_a_message),
		TEST(counters_tell_of_the_work),
		TEST(foreign_events_are_ignored),
		TEST(impossible_event_count_breaks_the_session_not_the_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
