// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../common/progress.h"
#include "engine.h"
#include "error.h"
#include "fnpu_sched.h"
#include "oracle_run.h"
#include "sim.h"
#include "tables.h"

#define NO_SLOT		UINT32_MAX
#define NO_BATCH	UINT32_MAX
#define RING_ENTRIES	64u	/* INJECT and YIELD that wait */
#define MAX_DECISIONS	1000u	/* at a moment, beside what waits */
#define INTERRUPTED_NS	1000000	/* a call that takes so long had to leave its core to others */
#define MAX_BATCHES	1u	/* in flight: the NPU runs one at a time */

/**
 * struct slot - a request in the system; its number is the scheduler's sample number
 * @started: when it first had the NPU; 0: not yet
 * @next_free: list of free slots
 */
struct slot {
	struct request request;
	uint64_t started;
	uint32_t preempted;
	uint32_t next_free;
};

/** struct entry - of the NPU's ring: INJECT of @num samples; 0: YIELD */
struct entry {
	uint32_t num;
	struct engine_member members[NPU_MAX_BATCH];
};

/** struct sim - a simulation in progress; @served: requests that left, warm-up included */
struct sim {
	const struct sim_options *options;
	const struct sim_observer *observer;
	struct sim_setup setup;
	struct source source;
	struct request next_request;
	bool more_requests;
	struct fnpu_sched *sched;
	struct engine engine;
	struct tally *tally;
	struct slot *slots;
	uint32_t free_slot;
	uint64_t served;
	uint64_t end;
	uint64_t decisions;
	uint64_t calls;		/* for decisions, also in vain */
	int64_t decision_ns;	/* of the host, in all of them */
	uint64_t timer;		/* the scheduler's */
	uint32_t batch;		/* in flight, or NO_BATCH */
	struct entry ring[RING_ENTRIES];
	uint32_t head, num_entries;
	int failed;
};

/* ---- slots ---- */

static int make_slots(struct sim *s)
{
	const uint32_t num = s->options->queue + ENGINE_MAX_SAMPLES;

	s->slots = calloc(num, sizeof(*s->slots));
	if (!s->slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < num; i++)
		s->slots[i].next_free = i + 1 < num ? i + 1 : NO_SLOT;
	return 0;
}

static void free_slot(struct sim *s, uint32_t id)
{
	s->slots[id].next_free = s->free_slot;
	s->free_slot = id;
}

/* The scheduler has to agree with what happens: otherwise one of both has a bug. */
static void expect(struct sim *s, int ret)
{
	if (ret && !s->failed)
		s->failed = ret;
}

/* ---- what becomes of requests ---- */

static void end_request(struct sim *s, const struct slot *slot, enum outcome outcome, uint64_t now,
			uint8_t exit)
{
	const struct sim_model *m = &s->setup.models[slot->request.model];

	tally_request(s->tally, &slot->request, outcome, now, exit, m->profile->samples);
	if (now > s->end)
		s->end = now;
	if (s->observer && s->observer->request)
		s->observer->request(s->observer->user, &slot->request, outcome, slot->started,
				     now, slot->preempted, exit);
}

static void on_left(void *user, uint64_t now, uint32_t id, uint8_t exit)
{
	struct sim *s = user;
	const struct slot *slot = &s->slots[id];

	end_request(s, slot, now <= slot->request.deadline ? OUTCOME_ON_TIME : OUTCOME_LATE, now,
		    exit);
	s->served++;
	expect(s, fnpu_sched_exit(s->sched, now, id, exit));
	free_slot(s, id);
}

static void on_handed_back(void *user, uint64_t now, uint32_t id, uint32_t group)
{
	struct sim *s = user;

	s->slots[id].preempted++;
	expect(s, fnpu_sched_handed_back(s->sched, now, id, group));
}

static void on_segment(void *user, const struct engine_batch *batch, uint64_t begin, uint64_t run,
		       uint64_t end, uint32_t end_group)
{
	struct sim *s = user;
	uint64_t ids[NPU_MAX_BATCH];

	for (uint32_t i = 0; i < batch->num; i++) {
		struct slot *slot = &s->slots[batch->members[i].id];

		ids[i] = slot->request.number;
		if (!slot->started)
			slot->started = begin;
	}
	if (s->observer && s->observer->segment)
		s->observer->segment(s->observer->user, s->engine.network, batch, ids, begin, run,
				     end, end_group);
}

static const struct engine_ops ops = {
	.left = on_left,
	.handed_back = on_handed_back,
	.segment = on_segment,
};

/* ---- events ---- */

static void arrive(struct sim *s, uint64_t now)
{
	const uint32_t id = s->free_slot;
	const struct request *r = &s->next_request;
	struct slot *slot = &s->slots[id];
	int ret;

	s->free_slot = slot->next_free;
	*slot = (struct slot){ .request = *r };
	ret = fnpu_sched_arrival(s->sched, now, id, &(struct fnpu_sched_request){
		.deadline = r->deadline,
		.model = r->model,
		.flags = (r->best_effort ? FNPU_SCHED_BEST_EFFORT : 0) |
			 (r->reject_late ? FNPU_SCHED_REJECT_LATE : 0),
	});
	if (ret) {
		end_request(s, slot, OUTCOME_REJECTED, now, 0);
		free_slot(s, id);
	}
	if (ret != -EAGAIN)
		expect(s, ret);
	s->more_requests = source_next(&s->source, &s->next_request);
}

/* The decision's samples as the engine takes them; a limit makes them leave early. */
static void make_members(const struct sim *s, const struct fnpu_sched_decision *d,
			 struct engine_member *members)
{
	for (uint32_t i = 0; i < d->count; i++) {
		const uint8_t exit = s->slots[d->samples[i]].request.exit;

		members[i] = (struct engine_member){
			.id = d->samples[i],
			.exit = d->exit_limit < exit ? (uint8_t)d->exit_limit : exit,
		};
	}
}

/*
 * As on the device's ring, entries are taken in order: an INJECT waits until it fits, or until
 * nothing is left that it could join, and what is behind it waits, too.
 */
static void take_entries(struct sim *s, uint64_t now)
{
	while (s->num_entries) {
		const struct entry *head = &s->ring[s->head % RING_ENTRIES];

		if (!head->num)
			engine_yield(&s->engine, now);
		else if (engine_idle(&s->engine))
			engine_start(&s->engine, s->engine.network, 0, head->members, head->num,
				     s->engine.stop);
		else if (!engine_inject(&s->engine, now, head->members, head->num))
			return;
		s->head++;
		s->num_entries--;
	}
}

/* @num: samples of an INJECT, or 0: YIELD */
static void submit(struct sim *s, uint64_t now, const struct engine_member *members, uint32_t num)
{
	struct entry *entry = &s->ring[(s->head + s->num_entries) % RING_ENTRIES];

	if (s->num_entries == RING_ENTRIES) {
		expect(s, -ENOSPC);
		return;
	}
	memcpy(entry->members, members, num * sizeof(*members));
	entry->num = num;
	s->num_entries++;
	take_entries(s, now);
}

static void carry_out(struct sim *s, uint64_t now, const struct fnpu_sched_decision *d)
{
	struct engine_member members[NPU_MAX_BATCH];

	switch (d->kind) {
	case FNPU_SCHED_START:
		if (!engine_idle(&s->engine)) {
			expect(s, -EBUSY);
			break;
		}
		make_members(s, d, members);
		s->batch = d->batch;
		engine_start(&s->engine, s->setup.models[d->model].network, d->layer, members,
			     d->count, d->stop_layer);
		break;
	case FNPU_SCHED_INJECT:
		make_members(s, d, members);
		submit(s, now, members, d->count);
		break;
	case FNPU_SCHED_YIELD:
		submit(s, now, members, 0);
		break;
	case FNPU_SCHED_DROP:
		end_request(s, &s->slots[d->samples[0]], OUTCOME_DROPPED, now, 0);
		free_slot(s, d->samples[0]);
		break;
	}
}

/* The batch in flight is over as soon as the engine has nothing of it left. */
static void end_batch(struct sim *s, uint64_t now)
{
	if (s->batch == NO_BATCH || !engine_idle(&s->engine))
		return;
	expect(s, fnpu_sched_batch_end(s->sched, now, s->batch));
	s->batch = NO_BATCH;
}

static bool next_decision(struct sim *s, uint64_t now, struct fnpu_sched_decision *d)
{
	const int64_t started = host_ns();
	const bool any = fnpu_sched_decide(s->sched, now, d);
	const int64_t took = host_ns() - started;

	s->decisions += any;
	if (took < INTERRUPTED_NS) {
		s->decision_ns += took;
		s->calls++;
	}
	return any;
}

static void decide(struct sim *s, uint64_t now)
{
	/* what waits can be dropped, and a batch started and stopped, but not for ever */
	uint64_t left = 2 * (uint64_t)s->options->queue + MAX_DECISIONS;
	struct fnpu_sched_decision d;

	while (!s->failed && next_decision(s, now, &d)) {
		carry_out(s, now, &d);
		end_batch(s, now);	/* a YIELD at a boundary */
		if (!left--)
			expect(s, -ELOOP);
	}
	s->timer = fnpu_sched_timer(s->sched);
	if (s->timer <= now)
		expect(s, -ETIME);
}

static uint64_t next_event(const struct sim *s)
{
	uint64_t next = engine_next(&s->engine);

	if (s->more_requests && s->next_request.arrival < next)
		next = s->next_request.arrival;
	return s->timer < next ? s->timer : next;
}

static void run(struct sim *s)
{
	uint64_t now;

	s->more_requests = source_next(&s->source, &s->next_request);
	while (!s->failed && (now = next_event(s)) != ENGINE_NEVER) {
		if (engine_next(&s->engine) == now) {
			engine_advance(&s->engine, now);
			take_entries(s, now);
			end_batch(s, now);
		}
		while (s->more_requests && s->next_request.arrival <= now)
			arrive(s, now);
		decide(s, now);
		engine_run(&s->engine, now);
	}
}

/* ---- setting up ---- */

/* ---- the scheduler ---- */

static int new_sched(struct sim *s, struct fnpu_sched_model *models, struct tables *tables,
		     struct fnpu_error *error)
{
	const struct fnpu_sched_config config = {
		.policy = s->options->policy,
		.models = models,
		.num_models = s->setup.num_models,
		.max_samples = s->options->queue + ENGINE_MAX_SAMPLES,
		.queue_bound = s->options->queue,
		.max_batches = MAX_BATCHES,
		.stack_depth = s->setup.models[0].network->config.geometry.stack_depth,
		.can_limit_exits = true,
	};

	for (uint32_t i = 0; i < s->setup.num_models; i++) {
		if (tables_open(&tables[i], &s->setup.models[i], s->options->max_batch,
				s->options->exit_error))
			return fnpu_fail(error, -ENOMEM, "out of memory");
		models[i] = tables[i].model;
	}
	return fnpu_sched_new(&config, &s->sched, error);
}

static int open_sched(struct sim *s, struct fnpu_error *error)
{
	struct fnpu_sched_model models[SIM_MAX_MODELS];
	struct tables tables[SIM_MAX_MODELS] = { 0 };
	int ret = new_sched(s, models, tables, error);

	for (uint32_t i = 0; i < SIM_MAX_MODELS; i++)
		tables_close(&tables[i]);
	return ret;
}

static int run_policy(struct sim *s, struct sim_result *result, struct fnpu_error *error)
{
	int64_t started;
	int ret = make_slots(s);

	if (ret)
		return fnpu_fail(error, ret, "no memory for a queue of %u requests",
				 s->options->queue);
	ret = open_sched(s, error);
	if (ret)
		return ret;
	engine_init(&s->engine, &ops, s);
	s->batch = NO_BATCH;
	s->timer = FNPU_SCHED_NEVER;
	started = host_ns();
	run(s);
	if (s->failed)
		return fnpu_fail(error, -EPROTO,
				 "the policy %s and the NPU disagree (%s at request %llu): a bug, please report it",
				 s->options->policy, strerror(-s->failed),
				 (unsigned long long)s->source.next);
	if (fnpu_sched_waiting(s->sched))
		return fnpu_fail(error, -EPROTO,
				 "the policy %s has left %u requests waiting for ever: a bug, please report it",
				 s->options->policy, fnpu_sched_waiting(s->sched));
	tally_result(s->tally, &s->setup, &s->engine.counters, s->served, s->end, result);
	result->host_s = (double)(host_ns() - started) / 1e9;
	result->decisions = (double)s->decisions;
	result->calls = (double)s->calls;
	result->decision_ns = s->calls ? (double)s->decision_ns / (double)s->calls : 0;
	result->requests_per_s = (double)s->source.total / result->host_s;
	return 0;
}

int sim_run(struct sim_cache *cache, const struct sim_options *o,
	    const struct sim_observer *observer, struct sim_result *result,
	    struct fnpu_error *error)
{
	struct sim s = { .options = o, .observer = observer };
	int ret = sim_prepare(cache, o, &s.setup, error);

	if (ret)
		return ret;
	ret = source_open(&s.source, &s.setup, o, error);
	if (ret)
		return ret;
	s.tally = calloc(1, sizeof(*s.tally));
	if (!s.tally) {
		ret = fnpu_fail(error, -ENOMEM, "out of memory");
	} else {
		s.tally->warmup = o->warmup;
		if (!strcmp(o->policy, SIM_ORACLE))
			ret = oracle_run(&s.source, result, error);
		else
			ret = run_policy(&s, result, error);
	}
	fnpu_sched_free(s.sched);
	free(s.slots);
	free(s.tally);
	source_close(&s.source);
	return ret;
}

int sim_check(struct sim_cache *cache, const struct sim_options *o, struct fnpu_error *error)
{
	struct sim s = { .options = o };
	int ret = sim_prepare(cache, o, &s.setup, error);

	if (!ret)
		ret = source_open(&s.source, &s.setup, o, error);
	if (ret)
		return ret;
	source_close(&s.source);
	if (strcmp(o->policy, SIM_ORACLE))
		ret = open_sched(&s, error);
	fnpu_sched_free(s.sched);
	return ret;
}
