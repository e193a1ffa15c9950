// SPDX-License-Identifier: MIT
/*
 * The public functions of a session: they call what its back end has for them. What all sessions
 * have alike is answered here.
 */
#include "session.h"

#define DISPATCH_RESULTS	64

int fnpu_session_open(struct fnpu_device *device, const struct fnpu_model *model,
		      const struct fnpu_session_options *options,
		      struct fnpu_session **session, struct fnpu_error *error)
{
	static const struct fnpu_session_options defaults;

	if (!options)
		options = &defaults;
	if (device->ops->session_open)
		return device->ops->session_open(device, model, options, session, error);
	return fnpu_local_open(device, model, options, session, error);
}

void fnpu_session_close(struct fnpu_session *s)
{
	if (s)
		s->ops->close(s);
}

int fnpu_session_submit(struct fnpu_session *s, const struct fnpu_request *request)
{
	return s->ops->submit(s, request);
}

int fnpu_session_flush(struct fnpu_session *s)
{
	return s->ops->flush(s);
}

int fnpu_session_poll(struct fnpu_session *s, struct fnpu_result *results, uint32_t max)
{
	return s->ops->poll(s, results, max);
}

int fnpu_session_wait(struct fnpu_session *s, struct fnpu_result *results, uint32_t max,
		      int64_t timeout_ns)
{
	return s->ops->wait(s, results, max, timeout_ns);
}

int fnpu_session_wait_until(struct fnpu_session *s, struct fnpu_result *results, uint32_t max,
			    uint64_t time)
{
	return s->ops->wait_until(s, results, max, time);
}

int fnpu_session_dispatch(struct fnpu_session *s, int64_t timeout_ns, fnpu_result_fn fn,
			  void *opaque)
{
	struct fnpu_result results[DISPATCH_RESULTS];
	int ret = s->ops->wait(s, results, DISPATCH_RESULTS, timeout_ns);

	for (int i = 0; i < ret; i++)
		fn(&results[i], opaque);
	return ret;
}

int fnpu_session_cancel(struct fnpu_session *s, uint64_t user_data)
{
	return s->ops->cancel(s, user_data);
}

uint64_t fnpu_session_time(struct fnpu_session *s)
{
	return s->ops->time(s);
}

int fnpu_session_drain(struct fnpu_session *s, int64_t timeout_ns)
{
	return s->ops->drain(s, timeout_ns);
}

uint32_t fnpu_session_pending(const struct fnpu_session *s)
{
	return s->ops->pending(s);
}

int fnpu_session_fd(struct fnpu_session *s)
{
	return s->ops->fd(s);
}

void fnpu_session_stats(const struct fnpu_session *s, struct fnpu_session_stats *stats)
{
	s->ops->stats(s, stats);
}

const char *fnpu_session_submission(const struct fnpu_session *s)
{
	return s->ops->submission(s);
}

uint32_t fnpu_session_max_batch(const struct fnpu_session *s)
{
	return s->max_batch;
}

const char *fnpu_session_error(const struct fnpu_session *s)
{
	return s->error.text;
}
