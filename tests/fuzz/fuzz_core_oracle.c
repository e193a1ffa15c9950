// SPDX-License-Identifier: MIT
/*
 * What the device may tell its driver, whatever a guest does to it.
 *
 * Outside of its worker the device writes nothing but completions, each at the place of
 * the ring where the next one belongs, with the right phase. Each is about an entry that
 * the device has read from the ring it names. A job ends once; after that nothing is
 * heard of it; a sample leaves or is handed back once, and when a job ends well all of
 * its samples have. Memory that changes while the device reads it makes all this no less true.
 */
#include <string.h>

#include "fuzz_core.h"

void oracle_cq(struct oracle *o, uint64_t base, uint32_t entries)
{
	o->base = base;
	o->entries = entries;
	o->tail = 0;
	o->phase = 1;
	o->half = false;
	o->honest = true;
}

void oracle_reset(struct oracle *o, const struct fnpu_dev *dev)
{
	o->dev = dev;
	o->blind = false;
	o->num = 0;
	for (unsigned int i = 0; i < FLUIDNPU_MAX_QUEUES; i++)
		o->last_slot[i] = -1;
	oracle_cq(o, 0, 0);
}

void oracle_forget(struct oracle *o, unsigned int queue)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < o->num; i++)
		if (o->list[i].queue != queue)
			o->list[n++] = o->list[i];
	o->num = n;
	o->last_slot[queue] = -1;
}

/* Makes room: entries that have ended are of interest only if somebody names them again. */
static void drop_ended(struct oracle *o)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < o->num; i++)
		if (!o->list[i].ended)
			o->list[n++] = o->list[i];
	o->num = n;
	if (n == MAX_ENTRIES)
		o->blind = true;
}

static struct ring_entry *last_of(struct oracle *o, unsigned int queue)
{
	for (unsigned int i = o->num; i--;)
		if (o->list[i].queue == queue)
			return &o->list[i];
	return NULL;
}

static void entry_read(struct oracle *o, unsigned int queue, uint32_t slot,
		       const struct fluidnpu_hw_sqe *sqe)
{
	struct ring_entry *e = last_of(o, queue);

	if (!e || o->last_slot[queue] != (int)slot) {
		if (o->num == MAX_ENTRIES)
			drop_ended(o);
		if (o->blind)
			return;
		e = &o->list[o->num++];
		*e = (struct ring_entry){ .queue = queue };
		o->last_slot[queue] = (int)slot;
	}
	if (e->num_versions && !memcmp(&e->versions[e->num_versions - 1], sqe, sizeof(*sqe)))
		return;
	if (e->num_versions == MAX_VERSIONS)
		o->blind = true;
	else
		e->versions[e->num_versions++] = *sqe;
}

void oracle_read(struct oracle *o, uint64_t addr, const void *data, size_t bytes)
{
	if (bytes != sizeof(struct fluidnpu_hw_sqe))
		return;
	for (unsigned int i = 0; i < o->dev->config.geometry.num_queues; i++) {
		const struct fnpu_queue *q = &o->dev->s.queues[i];

		if (q->enabled && addr == q->base + (uint64_t)q->head * bytes)
			entry_read(o, i, q->head, data);
	}
}

static bool has_cookie(const struct ring_entry *e, uint64_t cookie)
{
	for (unsigned int i = 0; i < e->num_versions; i++)
		if (e->versions[i].cookie == cookie)
			return true;
	return false;
}

/* Its entry, if it can be only one; @num: how many that have not ended it can be. */
static struct ring_entry *find(struct oracle *o, const struct fluidnpu_hw_cqe *cqe,
			       unsigned int *num)
{
	struct ring_entry *found = NULL;

	*num = 0;
	for (unsigned int i = 0; i < o->num; i++) {
		struct ring_entry *e = &o->list[i];

		if (e->queue != cqe->queue || e->ended || !has_cookie(e, cqe->cookie))
			continue;
		found = e;
		++*num;
	}
	return found;
}

static uint32_t most_samples(const struct ring_entry *e)
{
	uint32_t n = 0;

	for (unsigned int i = 0; i < e->num_versions; i++)
		if (e->versions[i].num_samples > n)
			n = e->versions[i].num_samples;
	return n;
}

static void check_sample(struct ring_entry *e, const struct fluidnpu_hw_cqe *cqe)
{
	fuzz_check(cqe->status == FLUIDNPU_OK);
	fuzz_check(cqe->sample < FLUIDNPU_MAX_BATCH && cqe->sample < most_samples(e));
	fuzz_check(!(e->gone & 1u << cqe->sample));
	if (cqe->type != FLUIDNPU_CQE_HEAD)
		e->gone |= 1u << cqe->sample;
}

static void check_end(struct ring_entry *e, const struct fluidnpu_hw_cqe *cqe)
{
	const struct fluidnpu_hw_sqe *sqe = &e->versions[0];

	fuzz_check(cqe->status <= FLUIDNPU_ERR_MEMORY);
	e->ended = true;
	if (cqe->status == FLUIDNPU_OK && e->num_versions == 1 &&
	    (sqe->opcode == FLUIDNPU_OP_RUN || sqe->opcode == FLUIDNPU_OP_INJECT))
		fuzz_check(e->gone == (1u << sqe->num_samples) - 1);
}

static void check_completion(struct oracle *o, const struct fluidnpu_hw_cqe *cqe)
{
	unsigned int num;
	struct ring_entry *e;

	fuzz_check(cqe->type >= FLUIDNPU_CQE_EXIT && cqe->type <= FLUIDNPU_CQE_YIELD);
	fuzz_check(cqe->queue < o->dev->config.geometry.num_queues);
	fuzz_check(cqe->time >= o->time);
	fuzz_check(!cqe->reserved && !cqe->reserved1);
	if (o->blind)
		return;
	fuzz_check(cqe->queued <= cqe->started && cqe->started <= cqe->time);
	e = find(o, cqe, &num);
	fuzz_check(num > 0);
	if (num > 1)	/* a guest that gives two jobs the same cookie cannot tell either */
		o->blind = true;
	else if (cqe->type == FLUIDNPU_CQE_JOB)
		check_end(e, cqe);
	else
		check_sample(e, cqe);
}

/* Body first, then the phase, which makes it valid. */
void oracle_write(struct oracle *o, uint64_t addr, const void *data, size_t bytes)
{
	const size_t body = offsetof(struct fluidnpu_hw_cqe, phase);
	const uint64_t place = o->base + (uint64_t)o->tail * sizeof(o->cqe);

	fuzz_check(o->entries);
	/* one that was lost must be the last one: the ring would show a job without it */
	fuzz_check(!o->dev->s.fatal);
	if (bytes == body) {
		fuzz_check(!o->half && addr == place);
		memcpy(&o->cqe, data, bytes);
		o->half = true;
		return;
	}
	fuzz_check(o->half && addr == place + body && bytes == sizeof(o->cqe.phase));
	memcpy(&o->cqe.phase, data, bytes);
	o->half = false;
	fuzz_check(o->cqe.phase == o->phase);
	check_completion(o, &o->cqe);
	o->tail = (o->tail + 1) % o->entries;
	fuzz_check(o->tail != o->dev->s.cq.head || !o->honest);
	if (!o->tail)
		o->phase ^= 1;
}

void oracle_check(struct oracle *o, uint64_t now)
{
	const struct fnpu_dev *dev = o->dev;

	/* a ring that cannot be written to is the end */
	fuzz_check(!o->half || dev->s.fatal);
	fuzz_check(dev->s.time >= o->time && dev->s.time <= now);
	o->time = dev->s.time;
	fuzz_check(dev->s.running < 0 || dev->s.queues[dev->s.running].num_batches);
}

/* An engine that can go on goes on. */
void oracle_check_rest(const struct oracle *o)
{
	const struct fnpu_state *s = &o->dev->s;

	if (!s->enabled || s->fatal || s->running >= 0 ||
	    fnpu_cq_room(&s->cq) < 2 * FLUIDNPU_MAX_BATCH)
		return;
	for (unsigned int i = 0; i < o->dev->config.geometry.num_queues; i++) {
		const enum fnpu_queue_state state = fnpu_queue_state(&s->queues[i]);

		fuzz_check(state != FNPU_QUEUE_WAITING && state != FNPU_QUEUE_ACTIVE &&
			   state != FNPU_QUEUE_ENDING);
	}
}
