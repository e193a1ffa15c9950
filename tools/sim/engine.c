// SPDX-License-Identifier: MIT
#include <string.h>

#include "fnpu_cost.h"
#include "engine.h"

void engine_init(struct engine *e, const struct engine_ops *ops, void *user)
{
	memset(e, 0, sizeof(*e));
	e->ops = ops;
	e->user = user;
	e->stop = UINT32_MAX;
}

bool engine_idle(const struct engine *e)
{
	return !e->num;
}

static struct engine_batch *top_of(struct engine *e)
{
	return &e->stack[e->num - 1];
}

/* ---- merging (the device's batch.c) ---- */

/* The top meets the batch below; true when they are one, otherwise a full one is on top. */
static bool merge(struct engine *e)
{
	struct engine_batch *top = top_of(e), *below = top - 1, rest;
	uint32_t moved = e->network->max_batch - below->num;

	if (moved > top->num)
		moved = top->num;
	memcpy(&below->members[below->num], top->members, moved * sizeof(top->members[0]));
	below->num += moved;
	if (moved)
		below->on_chip |= top->on_chip;
	if (moved == top->num) {
		e->num--;
		return true;
	}
	rest = *top;
	rest.num -= moved;
	memmove(rest.members, &rest.members[moved], rest.num * sizeof(rest.members[0]));
	*top = *below;
	*below = rest;
	return false;
}

static void catch_up(struct engine *e)
{
	while (e->num > 1) {
		const struct engine_batch *top = top_of(e), *below = top - 1;

		if (top->group != below->group)
			return;
		if (below->num < e->network->max_batch)
			e->counters.merges++;
		if (!merge(e))
			return;
	}
}

static void push(struct engine *e, const struct engine_batch *b)
{
	struct engine_batch *running = e->num ? top_of(e) : NULL;
	const bool same = running && running->group == b->group;

	if (same && running->num + b->num <= e->network->max_batch) {
		memcpy(&running->members[running->num], b->members,
		       b->num * sizeof(b->members[0]));
		running->num += b->num;
		return;
	}
	e->stack[e->num++] = *b;
	if (same)
		merge(e);
}

/* ---- state on chip (the device's group.c) ---- */

static uint64_t put_aside(struct engine *e, struct engine_batch *b)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < b->num; i++) {
		if (!b->members[i].evicted)
			bytes += b->members[i].resident;
		b->members[i].evicted = true;
	}
	b->on_chip = false;
	e->counters.preemptions++;
	e->counters.dram_bytes += bytes;
	return fnpu_dram_cycles(&e->network->config.geometry, bytes);
}

static uint64_t bring_back(struct engine *e, struct engine_batch *b)
{
	const uint32_t *resident = e->network->groups[b->group].resident[b->num - 1];
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < b->num; i++) {
		struct engine_member *m = &b->members[i];

		if (!m->evicted)
			continue;
		bytes += m->start == b->group ? resident[i] : m->resident;
		m->evicted = false;
	}
	b->on_chip = true;
	e->counters.dram_bytes += bytes;
	return fnpu_dram_cycles(&e->network->config.geometry, bytes);
}

static uint64_t switch_state(struct engine *e)
{
	uint64_t cycles = 0;

	for (uint32_t i = 0; i + 1 < e->num; i++)
		if (e->stack[i].on_chip)
			cycles += put_aside(e, &e->stack[i]);
	return cycles + bring_back(e, top_of(e));
}

/* @b leaves the NPU in the middle of the network. */
static void hand_back(struct engine *e, uint64_t now, const struct engine_batch *b)
{
	for (uint32_t i = 0; i < b->num; i++) {
		const struct engine_member *m = &b->members[i];

		if (!m->evicted) {
			if (e->write_back_end < now)
				e->write_back_end = now;
			e->write_back_end += fnpu_dram_cycles(&e->network->config.geometry, m->resident);
			e->counters.dram_bytes += m->resident;
		}
		e->ops->handed_back(e->user, now, m->id, b->group);
	}
	e->counters.yields += b->num;
}

static void hand_back_all(struct engine *e, uint64_t now)
{
	for (uint32_t i = 0; i < e->num; i++)
		hand_back(e, now, &e->stack[i]);
	e->num = 0;
}

/* ---- segments ---- */

/* The first boundary behind the top's at which anything can happen. */
static uint32_t find_end(struct engine *e)
{
	const struct engine_batch *b = top_of(e);
	uint32_t end = e->network->num_groups;

	for (uint32_t i = 0; i < b->num; i++) {
		const uint32_t leaves = e->network->exit_group[b->members[i].exit] + 1;

		if (leaves < end)
			end = leaves;
	}
	if (e->num > 1 && b[-1].group > b->group && b[-1].group < end)
		end = b[-1].group;
	if (e->stop > b->group && e->stop < end)
		end = e->stop;
	return end;
}

void engine_run(struct engine *e, uint64_t now)
{
	if (e->running || !e->num)
		return;
	e->running = true;
	e->begin = now;
	e->run = now < e->write_back_end ? e->write_back_end : now;
	e->run += switch_state(e);
	e->end_group = find_end(e);
	e->end = e->run + npu_span(e->network, top_of(e)->num, top_of(e)->group, e->end_group);
	e->counters.segments++;
}

/* Ends the running segment at the first boundary from @now on. */
static void cut(struct engine *e, uint64_t now)
{
	const struct engine_batch *b = top_of(e);
	const uint64_t *cycles = e->network->cycles[b->num - 1];
	const uint64_t done = now > e->run ? now - e->run : 0;
	uint32_t low = b->group + 1, high = e->end_group;

	while (low < high) {
		const uint32_t middle = (low + high) / 2;

		if (cycles[middle] - cycles[b->group] >= done)
			high = middle;
		else
			low = middle + 1;
	}
	e->end_group = low;
	e->end = e->run + npu_span(e->network, b->num, b->group, low);
}

static void count_segment(struct engine *e)
{
	const struct engine_batch *b = top_of(e);
	const struct npu_network *n = e->network;
	struct engine_counters *c = &e->counters;

	c->busy_cycles += e->end - e->begin;
	c->switch_cycles += e->run - e->begin;
	c->batch_cycles[b->num - 1] += e->end - e->begin;
	c->useful_macs += n->useful_macs[b->num - 1][e->end_group] -
			  n->useful_macs[b->num - 1][b->group];
	c->dram_bytes += n->dram_bytes[b->num - 1][e->end_group] -
			 n->dram_bytes[b->num - 1][b->group];
	if (e->ops->segment)
		e->ops->segment(e->user, b, e->begin, e->run, e->end, e->end_group);
}

static void take_exits(struct engine *e, uint64_t now)
{
	struct engine_batch *b = top_of(e);
	const int exit = e->network->groups[b->group - 1].exit;
	uint32_t stay = 0;

	for (uint32_t i = 0; i < b->num; i++) {
		const struct engine_member m = b->members[i];

		if (m.exit <= exit)
			e->ops->left(e->user, now, m.id, (uint8_t)exit);
		else
			b->members[stay++] = m;
	}
	b->num = stay;
}

/* The segment is over: its results take effect. */
static void finish(struct engine *e, uint64_t now)
{
	struct engine_batch *b = top_of(e);
	const uint32_t *resident = e->network->groups[e->end_group - 1].resident[b->num - 1];

	count_segment(e);
	e->running = false;
	b->group = e->end_group;
	for (uint32_t i = 0; i < b->num; i++)
		b->members[i].resident = resident[i];
	if (e->network->groups[b->group - 1].exit >= 0)
		take_exits(e, now);
	if (b->num && b->group == e->stop) {
		hand_back(e, now, b);
		b->num = 0;
	}
	if (!b->num)
		e->num--;
	if (e->num)
		catch_up(e);
}

/* What software asked for, at a boundary, in its order: nothing is injected behind a YIELD. */
static void take_requests(struct engine *e, uint64_t now)
{
	if (e->inject.num)
		push(e, &e->inject);
	e->inject.num = 0;
	if (e->yield)
		hand_back_all(e, now);
	e->yield = false;
}

/* ---- requests ---- */

static void set_batch(struct engine_batch *b, uint32_t group, const struct engine_member *members,
		      uint32_t num)
{
	b->group = group;
	b->num = num;
	b->on_chip = false;
	for (uint32_t i = 0; i < num; i++) {
		b->members[i] = members[i];
		b->members[i].start = group;
		b->members[i].evicted = group;	/* what it has is in memory */
		b->members[i].resident = 0;
	}
}

void engine_start(struct engine *e, const struct npu_network *network, uint32_t group,
		  const struct engine_member *members, uint32_t num, uint32_t stop)
{
	e->network = network;
	e->stop = stop;
	set_batch(&e->stack[0], group, members, num);
	e->num = 1;
}

void engine_yield(struct engine *e, uint64_t now)
{
	if (!e->num)
		return;
	e->yield = true;
	if (e->running)
		cut(e, now);
	else
		take_requests(e, now);
}

bool engine_inject(struct engine *e, uint64_t now, const struct engine_member *members,
		   uint32_t num)
{
	const uint32_t depth = e->network->config.geometry.stack_depth;

	if (!e->num || e->inject.num || e->yield || e->num > depth)
		return false;
	set_batch(&e->inject, 0, members, num);
	e->counters.injects++;
	if (e->running)
		cut(e, now);
	else
		take_requests(e, now);
	return true;
}

uint64_t engine_next(const struct engine *e)
{
	return e->running ? e->end : ENGINE_NEVER;
}

void engine_advance(struct engine *e, uint64_t now)
{
	finish(e, now);
	take_requests(e, now);
}
