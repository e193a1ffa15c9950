// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fluidnpu.h"
#include "policy.h"
#include "sched_rig.h"

#define NEVER	UINT64_MAX

static void __attribute__((format(printf, 2, 3))) note(struct rig *r, const char *format, ...)
{
	va_list args;

	if (!r->log)
		return;
	va_start(args, format);
	r->log_used += (uint32_t)vsnprintf(r->log + r->log_used, r->log_bytes - r->log_used, format,
					   args);
	va_end(args);
	assert_true(r->log_used < r->log_bytes);
}

static char letter(uint32_t id)
{
	return (char)('a' + id % 26);
}

uint64_t rig_span(const struct rig_model *m, uint32_t batch, uint32_t from, uint32_t to)
{
	return (to - from) * (m->first + m->more * (batch - 1));
}

/* ---- opening ---- */

static uint64_t *cycles_of(const struct rig_model *m)
{
	uint64_t *cycles = calloc((size_t)m->max_batch * (m->layers + 1), sizeof(*cycles));

	assert_non_null(cycles);
	for (uint32_t b = 1; b <= m->max_batch; b++)
		for (uint32_t l = 0; l <= m->layers; l++)
			cycles[(b - 1) * (m->layers + 1) + l] = rig_span(m, b, 0, l);
	return cycles;
}

static const struct fnpu_sched_policy_info *info_of(const struct rig *r)
{
	return fnpu_sched_info(r->sched);
}

struct rig *rig_open(const char *policy, const struct rig_model *models, uint32_t num_models,
		     uint32_t bound)
{
	struct fnpu_sched_model sched_models[RIG_MAX_MODELS] = { 0 };
	struct rig *r = calloc(1, sizeof(*r));
	struct fnpu_error error;

	assert_non_null(r);
	for (uint32_t i = 0; i < num_models; i++)
		sched_models[i] = (struct fnpu_sched_model){
			.num_layers = models[i].layers,
			.max_batch = models[i].max_batch,
			.cycles = cycles_of(&models[i]),
			.num_exits = models[i].num_exits,
			.exit_layers = models[i].exits,
			.exit_shares = models[i].shares[0] > 0 ? models[i].shares : NULL,
		};
	if (fnpu_sched_new(&(struct fnpu_sched_config){
		.policy = policy,
		.models = sched_models,
		.num_models = num_models,
		.max_samples = RIG_MAX_SAMPLES,
		.queue_bound = bound,
		.max_batches = 1,
		.stack_depth = 1,
		.can_limit_exits = true,
	}, &r->sched, &error))
		fail_msg("%s", error.text);
	for (uint32_t i = 0; i < num_models; i++)
		free((void *)sched_models[i].cycles);
	r->models = models;
	r->num_models = num_models;
	return r;
}

void rig_close(struct rig *r)
{
	fnpu_sched_free(r->sched);
	free(r->log);
	free(r);
}

/* ---- samples ---- */

static void end_sample(struct rig *r, uint64_t now, uint32_t id, enum rig_outcome outcome)
{
	assert_int_equal(r->samples[id].outcome, RIG_NOT_YET);
	r->waiting -= !r->samples[id].running;
	r->samples[id].outcome = outcome;
	r->samples[id].running = false;
	r->samples[id].end = now;
}

static void arrive(struct rig *r, uint64_t now)
{
	const uint32_t id = r->arrived++, running = r->parts ? r->stack[0].count : 0;
	const struct rig_arrival *a = &r->samples[id].request;
	const int ret = fnpu_sched_arrival(r->sched, now, id, &(struct fnpu_sched_request){
		.deadline = a->deadline ? a->deadline : FNPU_SCHED_NEVER,
		.model = a->model,
		.priority = a->priority,
		.flags = a->flags,
	});

	r->samples[id].ahead = r->waiting++ + running;
	if (ret)
		end_sample(r, now, id, RIG_REFUSED);
}

static void cancel(struct rig *r, uint64_t now)
{
	for (uint32_t i = 0; r->cancels && i < r->arrived; i++) {
		struct rig_sample *s = &r->samples[i];

		if (!now || s->request.cancel != now || s->outcome != RIG_NOT_YET)
			continue;
		if (fnpu_sched_cancel(r->sched, now, i)) {
			assert_true(s->running);
			continue;
		}
		assert_false(s->running);
		end_sample(r, now, i, RIG_CANCELLED);
	}
}

/* ---- the NPU ---- */

static struct rig_part *top(struct rig *r)
{
	return &r->stack[r->parts - 1];
}

static void part_done(struct rig *r, uint64_t now)
{
	if (r->parts)
		return;
	assert_int_equal(fnpu_sched_batch_end(r->sched, now, r->batch), 0);
	r->batch = UINT32_MAX;
}

static void leave(struct rig *r, uint64_t now, struct rig_part *p, uint32_t exit)
{
	uint32_t stay = 0;

	for (uint32_t i = 0; i < p->count; i++) {
		const uint32_t id = p->samples[i];
		struct rig_sample *s = &r->samples[id];

		if (s->request.exit > exit && r->exit_limit > exit &&
		    exit + 1 < r->models[r->model].num_exits) {
			p->samples[stay++] = id;
			continue;
		}
		s->exit = exit;
		end_sample(r, now, id, RIG_LEFT);
		note(r, "%llu %c exits at %u\n", (unsigned long long)now, letter(id), exit);
		assert_int_equal(fnpu_sched_exit(r->sched, now, id, exit), 0);
	}
	p->count = stay;
}

static void hand_back(struct rig *r, uint64_t now, struct rig_part *p)
{
	if (p->count)
		note(r, "%llu ", (unsigned long long)now);
	for (uint32_t i = 0; i < p->count; i++) {
		const uint32_t id = p->samples[i];

		r->samples[id].running = false;
		r->waiting++;
		r->samples[id].layer = p->layer;
		r->samples[id].stops++;
		note(r, "%c", letter(id));
		assert_int_equal(fnpu_sched_handed_back(r->sched, now, id, p->layer), 0);
	}
	if (p->count)
		note(r, " back at %u\n", p->layer);
	p->count = 0;
}

/* The top meets what is below it. A merge conserves all samples of both. */
static void merge(struct rig *r)
{
	struct rig_part *t = top(r), *below = t - 1;

	if (r->parts < 2 || t->layer != below->layer)
		return;
	assert_true(t->count + below->count <= r->models[r->model].max_batch);
	memcpy(&below->samples[below->count], t->samples, t->count * sizeof(t->samples[0]));
	below->count += t->count;
	r->parts--;
}

static void take_requests(struct rig *r, uint64_t now)
{
	if (r->yield) {
		while (r->parts)
			hand_back(r, now, &r->stack[--r->parts]);
		r->yield = false;
	}
	if (r->inject.count) {
		r->stack[r->parts++] = r->inject;
		r->inject.count = 0;
		merge(r);
	}
	part_done(r, now);
}

static void finish_layer(struct rig *r, uint64_t now)
{
	const struct rig_model *m = &r->models[r->model];
	struct rig_part *p = top(r);

	r->running = false;
	p->layer++;
	for (uint32_t e = 0; e < m->num_exits; e++)
		if (p->layer == m->exits[e] + 1)
			leave(r, now, p, e);
	if (p->count && p->layer == r->stop_layer)
		hand_back(r, now, p);
	if (!p->count)
		r->parts--;
	else
		merge(r);
	take_requests(r, now);
}

static void run_layer(struct rig *r, uint64_t now)
{
	if (r->running || !r->parts)
		return;
	r->running = true;
	r->end = now + rig_span(&r->models[r->model], top(r)->count, top(r)->layer,
				top(r)->layer + 1);
}

/* ---- decisions ---- */

/* All of a batch: they wait, at the same layer of the same network. */
static void take(struct rig *r, uint64_t now, const struct fnpu_sched_decision *d,
		 struct rig_part *p)
{
	assert_true(d->count >= 1 && d->count <= r->models[d->model].max_batch);
	p->layer = d->layer;
	p->count = d->count;
	for (uint32_t i = 0; i < d->count; i++) {
		struct rig_sample *s = &r->samples[d->samples[i]];

		assert_true(d->samples[i] < r->arrived);
		assert_int_equal(s->outcome, RIG_NOT_YET);
		assert_false(s->running);
		assert_int_equal(s->request.model, d->model);
		assert_int_equal(s->layer, d->layer);
		s->running = true;
		r->waiting--;
		if (!s->started)
			s->started = now;
		p->samples[i] = d->samples[i];
		note(r, "%c", letter(d->samples[i]));
	}
}

static void start(struct rig *r, uint64_t now, const struct fnpu_sched_decision *d)
{
	assert_int_equal(r->parts, 0);
	assert_true(d->stop_layer > d->layer);
	r->batch = d->batch;
	r->model = d->model;
	r->stop_layer = d->stop_layer;
	r->exit_limit = d->exit_limit;
	note(r, "%llu start ", (unsigned long long)now);
	take(r, now, d, &r->stack[r->parts++]);
	note(r, " at %u\n", d->layer);
}

static void inject(struct rig *r, uint64_t now, const struct fnpu_sched_decision *d)
{
	uint32_t live = d->count;

	assert_int_equal(r->parts, 1);	/* a single level */
	assert_int_equal(d->batch, r->batch);
	assert_int_equal(d->model, r->model);
	assert_int_equal(d->layer, 0);
	assert_int_equal(r->inject.count, 0);
	live += r->stack[0].count;
	assert_true(live <= r->models[r->model].max_batch);
	note(r, "%llu inject ", (unsigned long long)now);
	take(r, now, d, &r->inject);
	note(r, "\n");
	if (!r->running)
		take_requests(r, now);
}

static void drop(struct rig *r, uint64_t now, const struct fnpu_sched_decision *d)
{
	static const char *const reasons[FNPU_SCHED_REASONS] = { "late", "hopeless", "cancelled" };
	struct rig_sample *s = &r->samples[d->samples[0]];

	assert_int_equal(d->count, 1);
	assert_false(s->running);
	assert_true(info_of(r)->drops || s->request.flags & FNPU_SCHED_REJECT_LATE ||
		    s->request.cancel);
	note(r, "%llu drop %c %s\n", (unsigned long long)now, letter(d->samples[0]),
	     reasons[d->reason]);
	end_sample(r, now, d->samples[0],
		   d->reason == FNPU_SCHED_CANCELLED ? RIG_CANCELLED : RIG_DROPPED);
}

static void carry_out(struct rig *r, uint64_t now, const struct fnpu_sched_decision *d)
{
	switch (d->kind) {
	case FNPU_SCHED_START:
		start(r, now, d);
		break;
	case FNPU_SCHED_INJECT:
		inject(r, now, d);
		break;
	case FNPU_SCHED_YIELD:
		assert_int_equal(d->batch, r->batch);
		assert_true(r->parts);
		note(r, "%llu yield\n", (unsigned long long)now);
		r->yield = true;
		if (!r->running)
			take_requests(r, now);
		break;
	case FNPU_SCHED_DROP:
		drop(r, now, d);
		break;
	}
}

static bool next_decision(struct rig *r, uint64_t now, struct fnpu_sched_decision *d)
{
	const uint64_t before = r->sched->former.steps;
	const bool any = fnpu_sched_decide(r->sched, now, d);

	r->decision_steps += r->sched->former.steps - before;
	r->decisions += any;
	if (any)
		r->decision_samples += d->count;
	return any;
}

static void decide(struct rig *r, uint64_t now)
{
	struct fnpu_sched_decision d;

	while (next_decision(r, now, &d))
		carry_out(r, now, &d);
	assert_true(fnpu_sched_timer(r->sched) > now);
	assert_int_equal(fnpu_sched_waiting(r->sched), r->waiting);
	if (!r->parts && r->waiting && info_of(r)->work_conserving)
		fail_msg("%s idles at %llu while %u samples wait", info_of(r)->name,
			 (unsigned long long)now, r->waiting);
	/* One that waits for ever would not be noticed otherwise. */
	if (!r->parts && r->waiting && r->arrived == r->num_samples)
		assert_true(fnpu_sched_timer(r->sched) != NEVER);
}

static uint64_t next_event(const struct rig *r, uint64_t now)
{
	uint64_t next = r->running ? r->end : NEVER;

	if (r->arrived < r->num_samples && r->samples[r->arrived].request.at < next)
		next = r->samples[r->arrived].request.at;
	if (fnpu_sched_timer(r->sched) < next)
		next = fnpu_sched_timer(r->sched);
	for (uint32_t i = 0; r->cancels && i < r->arrived; i++)
		if (r->samples[i].request.cancel > now && r->samples[i].request.cancel < next)
			next = r->samples[i].request.cancel;
	return next;
}

void rig_run(struct rig *r, const struct rig_arrival *arrivals, uint32_t num)
{
	uint64_t now = 0;

	assert_true(num <= RIG_MAX_SAMPLES);
	for (uint32_t i = 0; i < num; i++) {
		r->samples[i] = (struct rig_sample){ .request = arrivals[i] };
		r->cancels |= arrivals[i].cancel != 0;
	}
	r->num_samples = num;
	r->arrived = 0;
	for (now = next_event(r, 0); now != NEVER; now = next_event(r, now)) {
		if (r->running && r->end == now)
			finish_layer(r, now);
		while (r->arrived < num && arrivals[r->arrived].at == now)
			arrive(r, now);
		cancel(r, now);
		decide(r, now);
		run_layer(r, now);
	}
	for (uint32_t i = 0; i < num; i++)
		if (r->samples[i].outcome == RIG_NOT_YET)
			fail_msg("sample %u was lost under %s", i, info_of(r)->name);
	assert_int_equal(fnpu_sched_waiting(r->sched), 0);
}

void rig_expect(const char *policy, const struct rig_model *models, uint32_t num_models,
		const struct rig_arrival *arrivals, uint32_t num, const char *lines)
{
	struct rig *r = rig_open(policy, models, num_models, RIG_MAX_SAMPLES);

	r->log_bytes = 1u << 16;
	r->log = calloc(1, r->log_bytes);
	assert_non_null(r->log);
	rig_run(r, arrivals, num);
	if (strcmp(r->log, lines))
		fail_msg("%s did:\n%sand should do:\n%s", policy, r->log, lines);
	rig_close(r);
}
