// SPDX-License-Identifier: MIT
/*
 * Time in a session, and the calls that wait for results.
 *
 * Policies count in device time. Events tell it; in between it is guessed from the host's clock, or,
 * on emu, known. When a policy's timer comes, that is as good as an event. Everything happens in
 * the caller's thread.
 */
#include <errno.h>
#include <time.h>

#include "session.h"

#define NS_PER_S	INT64_C(1000000000)
#define JOB_END_NS	INT64_C(100000000)	/* its event follows that of its last sample */

/* ---- time ---- */

int64_t fnpu_session_host_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

void fnpu_session_hear(struct fnpu_session *s, uint64_t time)
{
	if (time <= s->heard_time)
		return;
	s->heard_time = time;
	s->heard = fnpu_session_host_ns();
	if (time > s->device_time)
		s->device_time = time;
}

uint64_t fnpu_session_now(struct fnpu_session *s)
{
	const double clock_hz = fnpu_device_info(s->device)->clock_hz;
	uint64_t now;

	if (s->device->ops->now)
		now = s->device->ops->now(s->ctx);
	else
		now = s->heard_time + (uint64_t)((double)(fnpu_session_host_ns() - s->heard) *
						 clock_hz / (double)NS_PER_S);
	if (now > s->device_time)
		s->device_time = now;
	return s->device_time;
}

int64_t fnpu_session_host_until(struct fnpu_session *s, uint64_t time)
{
	const double clock_hz = fnpu_device_info(s->device)->clock_hz;
	const uint64_t now = fnpu_session_now(s);
	double ns;

	if (time <= now)
		return 0;
	ns = (double)(time - now) * (double)NS_PER_S / clock_hz + 1;
	return ns < (double)(INT64_MAX / 2) ? (int64_t)ns : INT64_MAX / 2;
}

uint64_t fnpu_local_time(struct fnpu_session *s)
{
	return fnpu_session_now(s);
}

/* ---- waiting ---- */

int64_t fnpu_session_deadline(int64_t timeout_ns)
{
	int64_t now;

	if (timeout_ns < 0)
		return -1;
	now = fnpu_session_host_ns();
	return timeout_ns > INT64_MAX - now ? INT64_MAX : now + timeout_ns;
}

/*
 * Until there may be an event, the policy's next time or @limit (both device time) has come, at
 * most until @deadline (host time, ns; negative: never).
 */
static int wait_for_events(struct fnpu_session *s, int64_t deadline, uint64_t limit)
{
	const uint64_t timer = fnpu_sched_timer(s->sched);
	const uint64_t until = timer < limit ? timer : limit;
	int64_t timeout = -1;
	bool mine = false;
	int ret;

	if (deadline >= 0) {
		timeout = deadline - fnpu_session_host_ns();
		if (timeout < 0)
			timeout = 0;
	}
	if (until != FNPU_SCHED_NEVER && !s->device->ops->now) {
		const int64_t ns = fnpu_session_host_until(s, until);

		mine = timeout < 0 || ns < timeout;
		if (mine)
			timeout = ns;
	}
	ret = s->device->ops->wait(s->ctx, timeout, until);
	if (ret == -ETIMEDOUT && mine)
		return 0;
	if (ret == -ETIMEDOUT || ret == -EINTR)
		return ret;
	if (ret)
		fnpu_session_break(s, ret);
	return 0;
}

/* All samples of a job may have left before its own event is there. */
static bool has_jobs(const struct fnpu_session *s)
{
	uint32_t jobs = 0;

	for (uint32_t i = 0; i < s->depth; i++)
		jobs += s->batches[i].jobs;
	return jobs;
}

/* Does waiting make sense? */
static bool is_moving(const struct fnpu_session *s)
{
	return s->running || (s->waiting && (has_jobs(s) ||
					     fnpu_sched_timer(s->sched) != FNPU_SCHED_NEVER));
}

static bool is_busy(const struct fnpu_session *s)
{
	for (uint32_t i = 0; i < s->num_jobs; i++)
		if (s->jobs[i].busy)
			return true;
	return false;
}

void fnpu_session_see_ends(struct fnpu_session *s)
{
	const int64_t deadline = fnpu_session_deadline(JOB_END_NS);
	int ret = 0;

	while (!ret && !s->broken && !s->running && !s->waiting && is_busy(s)) {
		ret = wait_for_events(s, deadline, fnpu_sched_timer(s->sched));
		fnpu_session_advance(s);
	}
}

static void kick(struct fnpu_session *s)
{
	int ret = s->device->ops->kick ? s->device->ops->kick(s->ctx) : 0;

	if (ret)
		fnpu_session_break(s, ret);
}

/* ---- the calls ---- */

static void release_taken(struct fnpu_session *s)
{
	while (s->taken.count) {
		uint32_t index = index_pop(&s->taken);

		s->slots[index].state = SLOT_FREE;
		index_push(&s->free_slots, index);
	}
}

static int take_results(struct fnpu_session *s, struct fnpu_result *results, uint32_t max)
{
	uint32_t count;

	for (count = 0; count < max && s->done.count; count++) {
		uint32_t index = index_pop(&s->done);

		results[count] = s->slots[index].result;
		s->slots[index].state = SLOT_TAKEN;
		index_push(&s->taken, index);
	}
	return (int)count;
}

int fnpu_local_flush(struct fnpu_session *s)
{
	fnpu_session_advance(s);
	kick(s);
	fnpu_session_update_fd(s);
	return s->broken;
}

int fnpu_local_poll(struct fnpu_session *s, struct fnpu_result *results, uint32_t max)
{
	int count;

	release_taken(s);
	fnpu_session_advance(s);
	if (!s->done.count && is_moving(s) && s->device->ops->fd(s->ctx) < 0) {
		wait_for_events(s, 0, FNPU_SCHED_NEVER);
		fnpu_session_advance(s);
	}
	kick(s);
	count = take_results(s, results, max);
	fnpu_session_update_fd(s);
	return count || !s->broken ? count : s->broken;
}

/* Results go before @ret, why the wait is over, and that before what broke the session. */
static int end_wait(struct fnpu_session *s, struct fnpu_result *results, uint32_t max, int ret)
{
	kick(s);
	if (s->done.count)
		ret = take_results(s, results, max);
	fnpu_session_update_fd(s);
	return ret || !s->broken ? ret : s->broken;
}

int fnpu_local_wait(struct fnpu_session *s, struct fnpu_result *results, uint32_t max,
		    int64_t timeout_ns)
{
	int64_t deadline = fnpu_session_deadline(timeout_ns);
	int ret = 0;

	release_taken(s);
	fnpu_session_advance(s);
	while (!ret && !s->done.count && is_moving(s)) {
		ret = wait_for_events(s, deadline, FNPU_SCHED_NEVER);
		fnpu_session_advance(s);
	}
	return end_wait(s, results, max, ret);
}

int fnpu_local_wait_until(struct fnpu_session *s, struct fnpu_result *results, uint32_t max,
			  uint64_t time)
{
	/* to a back end "never" is no time that it can move to */
	const uint64_t limit = time < FNPU_SCHED_NEVER ? time : FNPU_SCHED_NEVER - 1;
	int ret = 0;

	release_taken(s);
	fnpu_session_advance(s);
	while (!ret && !s->done.count && !s->broken) {
		ret = fnpu_session_now(s) < limit ? wait_for_events(s, -1, limit) : -ETIMEDOUT;
		fnpu_session_advance(s);
	}
	return end_wait(s, results, max, ret);
}

int fnpu_local_drain(struct fnpu_session *s, int64_t timeout_ns)
{
	int64_t deadline = fnpu_session_deadline(timeout_ns);
	int ret = 0;

	release_taken(s);
	fnpu_session_advance(s);
	while (!ret && (s->running || s->waiting)) {
		if (is_moving(s))
			ret = wait_for_events(s, deadline, FNPU_SCHED_NEVER);
		fnpu_session_advance(s);
	}
	kick(s);
	fnpu_session_update_fd(s);
	return ret ? ret : s->broken;
}
