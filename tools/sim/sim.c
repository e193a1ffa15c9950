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

#define NO_SLOT		UINT32_MAX
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
	uint32_t batch;		/* in flight */
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
	fnpu_sched_exit(s->sched, now, id);
	free_slot(s, id);
}

static void on_handed_back(void *user, uint64_t now, uint32_t id, uint32_t group)
{
	struct sim *s = user;

	(void)now;
	(void)group;
	s->slots[id].preempted++;
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
	struct slot *slot = &s->slots[id];

	s->free_slot = slot->next_free;
	*slot = (struct slot){ .request = s->next_request };
	if (fnpu_sched_arrival(s->sched, now, id, slot->request.model)) {
		end_request(s, slot, OUTCOME_REJECTED, now, 0);
		free_slot(s, id);
	}
	s->more_requests = source_next(&s->source, &s->next_request);
}

static void start_batch(struct sim *s, const struct fnpu_sched_start *d)
{
	struct engine_member members[NPU_MAX_BATCH];

	for (uint32_t i = 0; i < d->count; i++)
		members[i] = (struct engine_member){
			.id = d->samples[i],
			.exit = s->slots[d->samples[i]].request.exit,
		};
	s->batch = d->batch;
	engine_start(&s->engine, s->setup.models[d->model].network, d->layer, members, d->count,
		     UINT32_MAX);
}

static void decide(struct sim *s, uint64_t now)
{
	struct fnpu_sched_start d;

	while (fnpu_sched_decide(s->sched, now, &d)) {
		s->decisions++;
		start_batch(s, &d);
	}
}

static uint64_t next_event(const struct sim *s)
{
	uint64_t next = engine_next(&s->engine);

	if (s->more_requests && s->next_request.arrival < next)
		next = s->next_request.arrival;
	return next;
}

static void run(struct sim *s)
{
	uint64_t now;

	s->more_requests = source_next(&s->source, &s->next_request);
	while ((now = next_event(s)) != ENGINE_NEVER) {
		if (engine_next(&s->engine) == now) {
			engine_advance(&s->engine, now);
			if (engine_idle(&s->engine))
				fnpu_sched_batch_end(s->sched, now, s->batch);
		}
		while (s->more_requests && s->next_request.arrival == now)
			arrive(s, now);
		decide(s, now);
		engine_run(&s->engine, now);
	}
}

/* ---- setting up ---- */

static int open_sched(struct sim *s, struct fnpu_error *error)
{
	struct fnpu_sched_model models[SIM_MAX_MODELS];
	const struct fnpu_sched_config config = {
		.policy = s->options->policy,
		.models = models,
		.num_models = s->setup.num_models,
		.max_samples = s->options->queue + ENGINE_MAX_SAMPLES,
		.queue_bound = s->options->queue,
		.max_batches = MAX_BATCHES,
	};
	int ret;

	for (uint32_t i = 0; i < s->setup.num_models; i++) {
		const struct npu_network *n = s->setup.models[i].network;
		const uint32_t cap = s->options->max_batch;

		models[i] = (struct fnpu_sched_model){
			.num_layers = n->num_groups,
			.max_batch = cap && cap < n->max_batch ? cap : n->max_batch,
		};
	}
	ret = fnpu_sched_new(&config, &s->sched);
	if (ret == -ENOENT)
		return fnpu_fail(error, ret, "no policy '%.100s'", s->options->policy);
	return ret ? fnpu_fail(error, ret, "cannot make the scheduler: %s", strerror(-ret)) : 0;
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
	started = host_ns();
	run(s);
	tally_result(s->tally, &s->setup, &s->engine.counters, s->served, s->end, result);
	result->host_s = (double)(host_ns() - started) / 1e9;
	result->decisions = (double)s->decisions;
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
