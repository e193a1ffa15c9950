// SPDX-License-Identifier: MIT
/*
 * The moving part of a session: events of the device go to the scheduler and
 * become results; decisions of the scheduler become jobs. Everything happens
 * in the caller's thread, inside flush, poll, wait and drain.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "error.h"
#include "session.h"

static uint64_t tag(uint32_t generation, uint32_t index)
{
	return (uint64_t)generation << 32 | index;
}

static float float_of_bits(uint32_t bits)
{
	float f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

/* Static, so that a result can point at it. */
static const char *reason_of(const struct fnpu_session *s, int status)
{
	switch (status) {
	case 0:
		return NULL;
	case -EIO:
		return s->device->ops->job_failed;
	case -ETIME:
		return "its job took too long and was ended";
	case -ENODEV:
		return "the device is gone";
	case -ECANCELED:
		return "its job was cancelled";
	case -ETIMEDOUT:
		return "it could not meet its deadline";
	case -EPROTO:
		return "the device ended its job without a result for it";
	case -ENOBUFS:
		return "the event ring is full";
	default:
		return strerror(-status);	/* the driver refused the job */
	}
}

/* ---- events to results ---- */

static void finish_sample(struct fnpu_session *s, uint32_t index, int status)
{
	struct slot *slot = &s->slots[index];

	slot->state = SLOT_DONE;
	slot->result.status = status;
	slot->result.reason = reason_of(s, status);
	index_push(&s->done, index);
	if (status)
		s->stats.failed++;
	else
		s->stats.completed++;
}

static struct fnpu_head *slot_heads(struct fnpu_session *s, uint32_t index)
{
	return s->heads ? &s->heads[(size_t)index * s->info->num_exits] : NULL;
}

/* A sample passed a head (HEAD) or left there (EXIT). */
static void sample_event(struct fnpu_session *s, const struct drm_fluidnpu_event *e)
{
	uint32_t index = (uint32_t)e->user_data;
	struct fnpu_head *heads;
	struct fnpu_head head;
	struct slot *slot;

	if (index >= s->num_slots || e->exit_index >= s->info->num_exits)
		return;
	slot = &s->slots[index];
	if (slot->state != SLOT_RUNNING || slot->generation != e->user_data >> 32)
		return;
	head = (struct fnpu_head){
		.class_index = e->class_index,
		.live_batch = e->live_batch,
		.confidence = float_of_bits(e->confidence),
		.entropy = float_of_bits(e->entropy),
		.margin = float_of_bits(e->margin),
		.time = e->time,
	};
	heads = slot_heads(s, index);
	if (heads)
		heads[e->exit_index] = head;
	if (e->type != DRM_FLUIDNPU_EVENT_EXIT)
		return;

	slot->result.exit_index = e->exit_index;
	slot->result.head = head;
	slot->result.heads = heads;
	slot->result.queued = e->queued;
	slot->result.started = e->started;
	slot->result.batch = s->jobs[slot->job].count;
	if (!s->device->ops->now)
		slot->result.arrived = e->queued;
	if (s->logits_stride)
		slot->result.logits = (const int8_t *)fnpu_bo_map(s->bos[BUFFER_LOGITS]) +
				      index * s->logits_stride;
	s->running--;
	fnpu_sched_exit(s->sched, s->device_time, index,
			s->flags & FNPU_SESSION_NO_EXIT ? 0 : e->exit_index);
	finish_sample(s, index, 0);
}

/* A job is over: what has not left by now has failed. */
static void end_job(struct fnpu_session *s, uint32_t number, int error)
{
	struct job *job = &s->jobs[number];

	for (uint32_t i = 0; i < job->count; i++) {
		struct slot *slot = &s->slots[job->slots[i]];

		if (slot->state != SLOT_RUNNING || slot->job != number)
			continue;
		s->running--;
		finish_sample(s, job->slots[i], error ? error : -EPROTO);
	}
	if (error)
		fnpu_fail(&s->error, error, "a job of %u samples failed: %s", job->count,
			  reason_of(s, error));
	job->busy = false;
	fnpu_sched_batch_end(s->sched, s->device_time, number);
}

static void job_event(struct fnpu_session *s, const struct drm_fluidnpu_event *e)
{
	uint32_t number = (uint32_t)e->user_data;

	if (number >= s->depth || !s->jobs[number].busy ||
	    s->jobs[number].generation != e->user_data >> 32)
		return;
	end_job(s, number, e->error > 0 ? -EPROTO : e->error);
}

/* The device is lost: everything in the session fails, nothing more gets in. */
static void break_session(struct fnpu_session *s, int error)
{
	if (s->broken)
		return;
	s->broken = error;
	for (uint32_t i = 0; i < s->depth; i++)
		if (s->jobs[i].busy)
			end_job(s, i, error);
	for (uint32_t i = 0; i < s->num_slots; i++)
		if (s->slots[i].state == SLOT_WAITING)
			finish_sample(s, i, error);
	s->waiting = 0;
	fnpu_fail(&s->error, error, "the session is broken: %s", strerror(-error));
}

static void take_events(struct fnpu_session *s)
{
	struct drm_fluidnpu_event event;
	int ret;

	while (!s->broken && (ret = s->device->ops->next_event(s->ctx, &event))) {
		if (ret < 0) {
			break_session(s, ret);
			return;
		}
		if (event.time > s->device_time)
			s->device_time = event.time;
		if (event.type == DRM_FLUIDNPU_EVENT_JOB)
			job_event(s, &event);
		else
			sample_event(s, &event);
	}
}

/* ---- decisions to jobs ---- */

static uint64_t iova_of(const struct fnpu_session *s, enum session_buffer which, size_t offset)
{
	return s->bos[which] ? fnpu_bo_iova(s->bos[which]) + offset : 0;
}

static void fill_job(struct fnpu_session *s, const struct fnpu_sched_decision *start,
		     struct drm_fluidnpu_job *out)
{
	struct job *job = &s->jobs[start->batch];

	job->busy = true;
	job->generation++;
	job->count = start->count;
	for (uint32_t i = 0; i < start->count; i++) {
		uint32_t index = start->samples[i];
		struct slot *slot = &s->slots[index];
		size_t state = (size_t)start->batch * s->max_batch + i;

		slot->state = SLOT_RUNNING;
		slot->job = start->batch;
		job->slots[i] = index;
		job->samples[i] = (struct drm_fluidnpu_sample){
			.user_data = tag(slot->generation, index),
			.input_iova = iova_of(s, BUFFER_INPUTS, index * s->input_stride),
			.state_iova = iova_of(s, BUFFER_STATES, state * s->state_stride),
			.logits_iova = iova_of(s, BUFFER_LOGITS, index * s->logits_stride),
			.start_layer = s->group_layers[start->layer],
			.exit_index = slot->exit_index,
		};
	}
	s->waiting -= start->count;
	s->running += start->count;
	s->stats.jobs++;
	s->stats.job_samples += start->count;
	s->stats.batches[start->count - 1]++;
	*out = (struct drm_fluidnpu_job){
		.program_iova = iova_of(s, BUFFER_PROGRAM, 0),
		.program_bytes = s->info->program_bytes,
		.flags = s->flags & FNPU_SESSION_NO_EXIT ? DRM_FLUIDNPU_JOB_NO_EXIT : 0,
		.samples = {
			.stride = sizeof(job->samples[0]),
			.count = start->count,
			.array = (uintptr_t)job->samples,
		},
		.bos = {
			.stride = sizeof(s->bo_handles[0]),
			.count = s->num_bos,
			.array = (uintptr_t)s->bo_handles,
		},
		.user_data = tag(job->generation, start->batch),
	};
}

static void drop_sample(struct fnpu_session *s, uint32_t index)
{
	s->waiting--;
	finish_sample(s, index, -ETIMEDOUT);
}

/* Starts what the scheduler wants started, in one call to the back end. */
static void run_decisions(struct fnpu_session *s)
{
	struct fnpu_sched_decision d;
	uint32_t count = 0;
	int ret;

	s->unseen = false;
	while (!s->broken && fnpu_sched_decide(s->sched, s->device_time, &d)) {
		if (d.kind == FNPU_SCHED_START)
			fill_job(s, &d, &s->batch_jobs[count++]);
		else
			drop_sample(s, d.samples[0]);
	}
	if (!count)
		return;
	ret = s->device->ops->submit(s->ctx, s->batch_jobs, count, &s->error);
	for (uint32_t i = 0; ret && i < count; i++)
		end_job(s, (uint32_t)s->batch_jobs[i].user_data, ret);
}

static void advance(struct fnpu_session *s)
{
	take_events(s);
	run_decisions(s);
}

static void kick(struct fnpu_session *s)
{
	int ret = s->device->ops->kick ? s->device->ops->kick(s->ctx) : 0;

	if (ret)
		break_session(s, ret);
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

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

/* Until there may be an event, at most until @deadline (host time, ns; negative: never). */
static int wait_for_events(struct fnpu_session *s, int64_t deadline)
{
	int64_t timeout = -1;
	int ret;

	if (deadline >= 0) {
		timeout = deadline - now_ns();
		if (timeout < 0)
			timeout = 0;
	}
	ret = s->device->ops->wait(s->ctx, timeout);
	if (ret == -ETIMEDOUT || ret == -EINTR)
		return ret;
	if (ret)
		break_session(s, ret);
	return 0;
}

static int64_t deadline_of(int64_t timeout_ns)
{
	int64_t now;

	if (timeout_ns < 0)
		return -1;
	now = now_ns();
	return timeout_ns > INT64_MAX - now ? INT64_MAX : now + timeout_ns;
}

int fnpu_session_flush(struct fnpu_session *s)
{
	advance(s);
	kick(s);
	fnpu_session_update_fd(s);
	return s->broken;
}

int fnpu_session_poll(struct fnpu_session *s, struct fnpu_result *results, uint32_t max)
{
	int count;

	release_taken(s);
	advance(s);
	if (!s->done.count && s->running && s->device->ops->fd(s->ctx) < 0) {
		wait_for_events(s, 0);
		advance(s);
	}
	kick(s);
	count = take_results(s, results, max);
	fnpu_session_update_fd(s);
	return count || !s->broken ? count : s->broken;
}

int fnpu_session_wait(struct fnpu_session *s, struct fnpu_result *results, uint32_t max,
		      int64_t timeout_ns)
{
	int64_t deadline = deadline_of(timeout_ns);
	int ret = 0;

	release_taken(s);
	advance(s);
	while (!ret && !s->done.count && s->running) {
		ret = wait_for_events(s, deadline);
		advance(s);
	}
	kick(s);
	if (s->done.count)
		ret = take_results(s, results, max);
	fnpu_session_update_fd(s);
	return ret || !s->broken ? ret : s->broken;
}

int fnpu_session_drain(struct fnpu_session *s, int64_t timeout_ns)
{
	int64_t deadline = deadline_of(timeout_ns);
	int ret = 0;

	release_taken(s);
	advance(s);
	while (!ret && (s->running || s->waiting)) {
		if (s->running)
			ret = wait_for_events(s, deadline);
		advance(s);
	}
	kick(s);
	fnpu_session_update_fd(s);
	return ret ? ret : s->broken;
}
