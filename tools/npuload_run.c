// SPDX-License-Identifier: MIT
/*
 * Serving requests. One thread does all: it submits what is due, and waits for results until the
 * next is.
 *
 * Time is the device's. Under emu it is virtual and passes while this thread waits, so a run is the
 * same every time, and as fast as the host computes. Under kmd it passes by itself; a request's
 * latency begins when it was to come, however late this thread was to send it.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "common/cli.h"
#include "common/progress.h"
#include "common/syscalls.h"
#include "npuload.h"

#define RESULTS_AT_ONCE	64
#define NS_PER_S	1000000000.0
#define US_PER_S	1000000.0
#define CLOCK_PERIOD_NS	INT64_C(100000000)
#define MAX_REASONS	5	/* failed requests that are told one by one */

volatile sig_atomic_t load_interrupted;

/**
 * struct serving - a run in progress
 * @start: device time, from which the requests' times count
 * @read_ns: host time at which the device's clock was read last; not for emu, where the host's
 *	does not matter
 * @read_time: what it said
 * @num: requests that are to be sent: fewer than the load's when its duration is over
 * @next: to submit next; @ended: come back, or refused
 */
struct serving {
	struct load *load;
	struct fnpu_session *session;
	bool is_virtual;
	double clock_hz;
	uint64_t start;
	int64_t read_ns;
	uint64_t read_time;
	uint32_t num;
	uint32_t next;
	uint32_t ended;
	uint32_t failed;
};

static void on_signal(int number)
{
	(void)number;
	load_interrupted = 1;
}

void load_catch_signals(void)
{
	const struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

/* ---- time ---- */

/* Now, in cycles since the start. */
static uint64_t since_start(const struct serving *s)
{
	if (s->is_virtual)
		return fnpu_session_time(s->session) - s->start;
	return s->read_time - s->start +
	       (uint64_t)((double)(host_ns() - s->read_ns) * s->clock_hz / NS_PER_S);
}

/* Of a device that has just done something: one that sleeps does not tell what time it is. */
static int read_clocks(struct serving *s, struct fnpu_counters *counters)
{
	const int64_t before = host_ns();
	int ret = fnpu_device_counters(s->load->device, counters);

	if (ret)
		return cli_error("cannot read the device's clock: %s", strerror(-ret));
	s->read_ns = before + (host_ns() - before) / 2;
	s->read_time = counters->time;
	return 0;
}

/* There was a result. The host's clock and the device's do not run at quite the same speed. */
static int keep_clock(struct serving *s)
{
	struct fnpu_counters counters;

	if (s->is_virtual || host_ns() - s->read_ns < CLOCK_PERIOD_NS)
		return 0;
	return read_clocks(s, &counters);
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* ---- submitting ---- */

/* From now to the deadline of @r, rounded so that the session makes these cycles of it again. */
static uint64_t slo_ns(const struct serving *s, const struct load_request *r)
{
	const uint64_t deadline = s->start + r->deadline, now = fnpu_session_time(s->session);

	if (r->deadline == LOAD_NO_DEADLINE)
		return 0;
	if (deadline <= now)
		return 1;
	return (uint64_t)ceil((double)(deadline - now) * NS_PER_S / s->clock_hz);
}

/* 0, -EAGAIN, or -1 after a message. */
static int submit(struct serving *s)
{
	const struct load_inputs *inputs = &s->load->inputs;
	struct load_request *r = &s->load->requests[s->next];
	const struct fnpu_request request = {
		.user_data = s->next,
		.input = inputs->bytes ? inputs->bytes + r->number % inputs->count *
							 inputs->sample_bytes : NULL,
		.input_bytes = inputs->sample_bytes,
		.format = inputs->format,
		.exit_index = s->load->computes ? 0 : r->exit,
		.slo_ns = slo_ns(s, r),
		.flags = r->flags,
	};
	int ret;

	r->submitted = since_start(s);
	ret = fnpu_session_submit(s->session, &request);
	if (ret && ret != -EAGAIN)
		return cli_error("request %" PRIu64 ": %s", r->number, fnpu_session_error(s->session));
	if (!ret)
		s->next++;
	return ret;
}

static void reject(struct serving *s)
{
	struct load_request *r = &s->load->requests[s->next++];

	r->outcome = LOAD_REJECTED;
	r->end = r->arrival;
	r->seen = r->arrival;
	s->ended++;
}

/* What has come by now. */
static int submit_arrivals(struct serving *s)
{
	const uint64_t now = fnpu_session_time(s->session);	/* may be before the start yet */
	int ret = 0;

	while (ret >= 0 && s->next < s->num &&
	       s->start + s->load->requests[s->next].arrival <= now) {
		ret = submit(s);
		if (ret == -EAGAIN) {
			reject(s);
			ret = 0;
		}
	}
	return ret;
}

/* A duration begins behind the warm-up. */
static bool is_over(const struct serving *s, uint64_t now)
{
	const struct load_options *o = s->load->options;

	return o->duration_s > 0 && s->next > o->warmup &&
	       (double)(now - s->load->requests[o->warmup].arrival) > o->duration_s * s->clock_hz;
}

/* The next query, once the last one is over. */
static int submit_query(struct serving *s)
{
	const struct load_options *o = s->load->options;
	const uint32_t first = s->next, size = load_query_size(o);
	const uint64_t now = since_start(s);
	int ret = 0;

	if (s->ended < s->next)
		return 0;
	if (is_over(s, now)) {
		s->num = s->next;
		return 0;
	}
	while (!ret && s->next < s->num && s->next < first + size) {
		struct load_request *r = &s->load->requests[s->next];

		r->arrival = now;
		if (r->deadline != LOAD_NO_DEADLINE)
			r->deadline += now;
		ret = submit(s);
	}
	return ret;
}

/* All, as far as the queue takes them. */
static int submit_all(struct serving *s)
{
	int ret = 0;

	while (!ret && s->next < s->num)
		ret = submit(s);
	return ret == -EAGAIN ? 0 : ret;
}

/* They go to the device with the wait that follows, in one system call. */
static int submit_due(struct serving *s)
{
	if (load_is_open_loop(s->load->options->scenario))
		return submit_arrivals(s);
	if (s->load->options->scenario == LOAD_OFFLINE)
		return submit_all(s);
	return submit_query(s);
}

/* ---- results ---- */

static void tell_failure(struct serving *s, const struct load_request *r, const char *reason)
{
	if (++s->failed > MAX_REASONS)
		return;
	cli_error("request %" PRIu64 " failed: %s", r->number, reason);
	if (s->failed == MAX_REASONS)
		cli_error("further failures are only counted");
}

static bool is_correct(const struct load *l, const struct load_request *r, uint32_t class_index)
{
	if (l->inputs.labels)
		return l->inputs.labels[r->number % l->inputs.count] == class_index;
	return r->right >> r->left_at & 1;
}

static void take(struct serving *s, const struct fnpu_result *result)
{
	struct load_request *r = &s->load->requests[result->user_data];

	s->ended++;
	r->seen = since_start(s);
	r->preempted = result->preempted;
	r->end = r->seen;
	if (result->status == -ETIMEDOUT) {
		r->outcome = LOAD_DROPPED;
	} else if (result->status) {
		r->outcome = LOAD_FAILED;
		tell_failure(s, r, result->reason);
	} else {
		r->start = result->started - s->start;
		/* the host's clock, which said that it had come, may have been a little ahead */
		r->end = later(result->head.time - s->start, r->arrival);
		r->left_at = result->exit_index;
		r->outcome = r->end <= r->deadline ? LOAD_ON_TIME : LOAD_LATE;
		r->correct = is_correct(s->load, r, result->head.class_index);
	}
	r->seen = later(r->seen, r->end);
}

static int wait_for_results(struct serving *s)
{
	struct fnpu_result results[RESULTS_AT_ONCE];
	int ret;

	if (load_is_open_loop(s->load->options->scenario) && s->next < s->num)
		ret = fnpu_session_wait_until(s->session, results, RESULTS_AT_ONCE,
					      s->start + s->load->requests[s->next].arrival);
	else
		ret = fnpu_session_wait(s->session, results, RESULTS_AT_ONCE, -1);
	for (int i = 0; i < ret; i++)
		take(s, &results[i]);
	if (!ret)
		return cli_error("policy %s keeps %u requests waiting for others, which do not come",
				 s->load->options->policy, s->next - s->ended);
	if (ret < 0 && ret != -ETIMEDOUT && ret != -EINTR)
		return cli_error("%s", fnpu_session_error(s->session));
	return ret > 0 ? keep_clock(s) : 0;
}

static int serve(struct serving *s)
{
	int ret = 0;

	while (!ret && !load_interrupted && s->ended < s->num) {
		ret = submit_due(s);
		if (!ret && s->ended < s->num)
			ret = wait_for_results(s);
	}
	return ret;
}

/* ---- a run ---- */

/* What a policy is told of the exits; NULL: nothing is known. */
static const double *exit_shares(const struct load *l)
{
	const struct load_options *o = l->options;

	if (o->num_shares)
		return o->shares;
	if (o->scenario == LOAD_TRACE || (l->computes && !o->exits))
		return NULL;
	return l->setup.models[0].profile->share;
}

static int open_session(struct serving *s)
{
	const struct load_options *o = s->load->options;
	const struct fnpu_session_options options = {
		.policy = o->policy,
		.submission = o->submission,
		.max_batch = o->batch,
		.queue_bound = o->queue,
		.depth = o->depth,
		.exit_shares = exit_shares(s->load),
	};
	struct fnpu_error error;

	if (fnpu_session_open(s->load->device, s->load->model, &options, &s->session, &error))
		return cli_error("%s", error.text);
	return 0;
}

static double seconds(struct timeval after, struct timeval before)
{
	return (double)(after.tv_sec - before.tv_sec) +
	       (double)(after.tv_usec - before.tv_usec) / US_PER_S;
}

/* What the requests cost this process, each of them. */
static void tell_costs(struct load_run *run, int64_t calls)
{
	const double completed = (double)run->stats.completed;

	run->figures.cpu_us = NAN;
	run->figures.syscalls = NAN;
	if (completed < 1)
		return;
	run->figures.cpu_us = (run->figures.user_s + run->figures.system_s) * US_PER_S / completed;
	if (calls >= 0)
		run->figures.syscalls = (double)calls / completed;
}

static int run_session(struct serving *s, struct load_run *run)
{
	struct rusage before, after;
	int64_t started_ns, calls;
	int counter, ret;

	getrusage(RUSAGE_SELF, &before);
	started_ns = host_ns();
	if (read_clocks(s, &run->before))
		return -1;
	s->start = s->is_virtual ? fnpu_session_time(s->session) : s->read_time;
	counter = syscalls_open();
	ret = serve(s);
	calls = syscalls_read(counter);
	syscalls_close(counter);
	if (ret)
		return -1;
	run->figures.wall_s = (double)(host_ns() - started_ns) / NS_PER_S;
	getrusage(RUSAGE_SELF, &after);
	run->figures.user_s = seconds(after.ru_utime, before.ru_utime);
	run->figures.system_s = seconds(after.ru_stime, before.ru_stime);
	ret = fnpu_device_counters(s->load->device, &run->after);
	if (ret)
		return cli_error("cannot read the NPU's counters: %s", strerror(-ret));
	fnpu_session_stats(s->session, &run->stats);
	tell_costs(run, calls);
	run->submission = fnpu_session_submission(s->session);
	run->interrupted = s->ended < s->num;
	return 0;
}

int load_serve(struct load *l, struct load_run *run)
{
	struct serving s = {
		.load = l,
		.is_virtual = !strcmp(l->npu->backend, "emu"),
		.clock_hz = l->npu->clock_hz,
		.num = l->num,
	};
	int ret = open_session(&s);

	if (ret)
		return ret;
	/* A request's time is its time, not up to 50 us later. */
	prctl(PR_SET_TIMERSLACK, 1);
	ret = run_session(&s, run);
	fnpu_session_close(s.session);
	return ret;
}
