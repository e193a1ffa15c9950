// SPDX-License-Identifier: MIT
/*
 * The moving part of a session: events of the device go to the scheduler and
 * become results; decisions of the scheduler become jobs. Everything happens
 * in the caller's thread, inside flush, poll, wait and drain.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "session.h"
#include "trace.h"

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
const char *fnpu_session_reason(const struct fnpu_session *s, int status)
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
		return "it was cancelled";
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

void fnpu_session_count(struct fnpu_session *s, const struct fnpu_result *result)
{
	if (result->status) {
		s->stats.failed++;
		s->stats.expired += result->status == -ETIMEDOUT;
		s->stats.cancelled += result->status == -ECANCELED;
		return;
	}
	s->stats.completed++;
	s->stats.exits[result->exit_index]++;
}

static void finish_sample(struct fnpu_session *s, uint32_t index, int status)
{
	struct slot *slot = &s->slots[index];

	slot->result.status = status;
	slot->result.reason = fnpu_session_reason(s, status);
	fnpu_trace_result(s, index);
	slot->state = SLOT_DONE;
	index_push(&s->done, index);
	s->stats.late += !status && slot->result.head.time > slot->deadline;
	fnpu_session_count(s, &slot->result);
}

static struct fnpu_head *slot_heads(struct fnpu_session *s, uint32_t index)
{
	return s->heads ? &s->heads[(size_t)index * s->info->num_exits] : NULL;
}

/* A sample was handed back. */
static void yield_event(struct fnpu_session *s, uint32_t index, const struct drm_fluidnpu_event *e)
{
	struct slot *slot = &s->slots[index];

	if (!s->preempts || e->layer >= s->info->num_layers)
		return;
	slot->state = SLOT_WAITING;
	slot->result.preempted++;
	s->stats.preemptions++;
	s->running--;
	s->waiting++;
	fnpu_trace_back(s, index, e->layer);
	fnpu_sched_handed_back(s->sched, s->device_time, index, s->layer_groups[e->layer]);
}

/* A sample passed a head (HEAD), left there (EXIT), or was handed back (YIELD). */
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
	if (e->type == DRM_FLUIDNPU_EVENT_YIELD) {
		yield_event(s, index, e);
		return;
	}
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

/* To the scheduler a sample whose job failed is one that was handed back, and cancelled. */
static void fail_sample(struct fnpu_session *s, uint32_t index, int error)
{
	s->running--;
	fnpu_sched_handed_back(s->sched, s->device_time, index, 0);
	fnpu_sched_cancel(s->sched, s->device_time, index);
	finish_sample(s, index, error);
}

/* A job is over: what has not left by now has failed. */
static void end_job(struct fnpu_session *s, uint32_t number, int error)
{
	struct job *job = &s->jobs[number];

	for (uint32_t i = 0; i < job->count; i++) {
		struct slot *slot = &s->slots[job->slots[i]];

		if (slot->state == SLOT_RUNNING && slot->job == number)
			fail_sample(s, job->slots[i], error ? error : -EPROTO);
	}
	if (error)
		fnpu_fail(&s->error, error, "a job of %u samples failed: %s", job->count,
			  fnpu_session_reason(s, error));
	job->busy = false;
	if (!--s->batches[job->batch].jobs)
		fnpu_sched_batch_end(s->sched, s->device_time, job->batch);
}

static void job_event(struct fnpu_session *s, const struct drm_fluidnpu_event *e)
{
	uint32_t number = (uint32_t)e->user_data;

	if (number >= s->num_jobs || !s->jobs[number].busy ||
	    s->jobs[number].generation != e->user_data >> 32)
		return;
	fnpu_trace_job(s, number, e);
	end_job(s, number, e->error > 0 ? -EPROTO : e->error);
}

/* The device is lost: everything in the session fails, nothing more gets in. */
void fnpu_session_break(struct fnpu_session *s, int error)
{
	if (s->broken)
		return;
	s->broken = error;
	for (uint32_t i = 0; i < s->num_jobs; i++)
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
			fnpu_session_break(s, ret);
			return;
		}
		fnpu_session_hear(s, event.time);
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

static uint32_t free_job(const struct fnpu_session *s)
{
	uint32_t number = 0;

	while (s->jobs[number].busy)
		number++;
	return number;
}

static void fill_sample(struct fnpu_session *s, uint32_t number, uint32_t i, uint32_t index,
			uint32_t layer)
{
	struct job *job = &s->jobs[number];
	struct slot *slot = &s->slots[index];
	size_t state = s->preempts ? index : (size_t)number * s->max_batch + i;

	slot->state = SLOT_RUNNING;
	slot->job = number;
	job->slots[i] = index;
	job->samples[i] = (struct drm_fluidnpu_sample){
		.user_data = tag(slot->generation, index),
		.input_iova = slot->input_iova,
		.state_iova = iova_of(s, BUFFER_STATES, state * s->state_stride),
		.logits_iova = iova_of(s, BUFFER_LOGITS, index * s->logits_stride),
		.start_layer = s->group_layers[layer],
		.exit_index = slot->exit_index,
	};
}

/* The buffers of @job: the session's, and those that inputs are in, each once. */
static struct drm_fluidnpu_array job_bos(const struct fnpu_session *s, struct job *job)
{
	const uint32_t *handles = s->bo_handles;
	uint32_t num = s->num_bos;

	for (uint32_t i = 0; i < job->count; i++) {
		const struct fnpu_bo *bo = s->slots[job->slots[i]].bo;
		uint32_t known = 0;

		if (!bo)
			continue;
		if (handles != job->bo_handles)
			handles = memcpy(job->bo_handles, s->bo_handles, sizeof(s->bo_handles));
		while (known < num && handles[known] != bo->handle)
			known++;
		if (known == num)
			job->bo_handles[num++] = bo->handle;
	}
	return (struct drm_fluidnpu_array){
		.stride = sizeof(*handles),
		.count = num,
		.array = (uintptr_t)handles,
	};
}

/* START and INJECT. */
static void fill_job(struct fnpu_session *s, const struct fnpu_sched_decision *d,
		     struct drm_fluidnpu_job *out)
{
	const uint32_t number = free_job(s);
	struct job *job = &s->jobs[number];

	job->busy = true;
	job->batch = d->batch;
	job->generation++;
	job->count = d->count;
	s->batches[d->batch].jobs++;
	for (uint32_t i = 0; i < d->count; i++)
		fill_sample(s, number, i, d->samples[i], d->layer);
	s->waiting -= d->count;
	s->running += d->count;
	s->stats.jobs++;
	s->stats.job_samples += d->count;
	s->stats.batches[d->count - 1]++;
	*out = (struct drm_fluidnpu_job){
		.program_iova = iova_of(s, BUFFER_PROGRAM, 0),
		.program_bytes = s->info->program_bytes,
		.flags = s->flags & FNPU_SESSION_NO_EXIT ? DRM_FLUIDNPU_JOB_NO_EXIT : 0,
		.samples = {
			.stride = sizeof(job->samples[0]),
			.count = d->count,
			.array = (uintptr_t)job->samples,
		},
		.bos = job_bos(s, job),
		.user_data = tag(job->generation, number),
		.stop_layer = s->batches[d->batch].stop_layer,
	};
}

/* What was decided to start, in one call to the back end. */
static void submit_jobs(struct fnpu_session *s)
{
	const uint32_t count = s->num_batch_jobs;
	int ret;

	s->num_batch_jobs = 0;
	if (!count)
		return;
	ret = s->device->ops->submit(s->ctx, s->batch_jobs, count, &s->error);
	for (uint32_t i = 0; ret && i < count; i++)
		end_job(s, (uint32_t)s->batch_jobs[i].user_data, ret);
}

static void start(struct fnpu_session *s, const struct fnpu_sched_decision *d)
{
	s->batches[d->batch].stop_layer =
		d->stop_layer < s->num_groups ? s->group_layers[d->stop_layer] : 0;
	fill_job(s, d, &s->batch_jobs[s->num_batch_jobs++]);
}

static void inject(struct fnpu_session *s, const struct fnpu_sched_decision *d)
{
	struct drm_fluidnpu_job job;
	int ret;

	s->stats.injected += d->count;
	submit_jobs(s);
	fill_job(s, d, &job);
	ret = s->device->ops->inject(s->ctx, &job, &s->error);
	if (ret)
		end_job(s, (uint32_t)job.user_data, ret);
}

/* Whatever of batch @number is in flight is to come back. */
static void yield_batch(struct fnpu_session *s, uint32_t number)
{
	submit_jobs(s);
	for (uint32_t i = 0; i < s->num_jobs && !s->broken; i++) {
		const struct job *job = &s->jobs[i];
		int ret = 0;

		if (job->busy && job->batch == number)
			ret = s->device->ops->yield(s->ctx, tag(job->generation, i));
		if (ret)
			fnpu_session_break(s, ret);
	}
}

static void drop_sample(struct fnpu_session *s, const struct fnpu_sched_decision *d)
{
	s->waiting--;
	finish_sample(s, d->samples[0],
		      d->reason == FNPU_SCHED_CANCELLED ? -ECANCELED : -ETIMEDOUT);
}

bool fnpu_session_cancel_slot(struct fnpu_session *s, uint32_t index)
{
	if (fnpu_sched_cancel(s->sched, fnpu_session_now(s), index))
		return false;
	s->waiting--;
	finish_sample(s, index, -ECANCELED);
	return true;
}

static void carry_out(struct fnpu_session *s, const struct fnpu_sched_decision *d)
{
	fnpu_trace_decision(s, d);
	switch (d->kind) {
	case FNPU_SCHED_START:
		start(s, d);
		break;
	case FNPU_SCHED_INJECT:
		inject(s, d);
		break;
	case FNPU_SCHED_YIELD:
		yield_batch(s, d->batch);
		break;
	case FNPU_SCHED_DROP:
		drop_sample(s, d);
		break;
	}
}

static void run_decisions(struct fnpu_session *s)
{
	const uint64_t now = fnpu_session_now(s);
	struct fnpu_sched_decision d;

	s->unseen = false;
	while (!s->broken && fnpu_sched_decide(s->sched, now, &d))
		carry_out(s, &d);
	submit_jobs(s);
	s->after = "the time that the policy set";
}

void fnpu_session_advance(struct fnpu_session *s)
{
	take_events(s);
	run_decisions(s);
}
