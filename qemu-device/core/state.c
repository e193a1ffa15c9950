// SPDX-License-Identifier: MIT
/*
 * Snapshots: the device's state as bytes, and back.
 *
 * An image is a header that says whose state it is, followed by struct fnpu_state as it is in
 * memory: there are no pointers in it, and byte order and layout are those of every host
 * that this builds for. What is not in it is either the host's (the configuration, compared)
 * or can be had again (translations in the TLB, the worker's scratch memory).
 *
 * A group in mid-run is saved after the worker has computed it: what the group wrote is in
 * guest memory, what its exit head found is in the state, and its end is a time. So the
 * device that loads it has nothing to compute again; it waits for that time.
 *
 * An image may be damaged or made by an attacker. Everything that the core later uses as an
 * index, a count, a switch or a time is checked before the device runs on with it; what
 * is only data (addresses, cookies, counters) can be anything, as a guest could have
 * made it so.
 */
#include <string.h>

#include "fnpu_internal.h"

#define STATE_MAGIC	0x53504e46	/* "FNPS" */
#define STATE_VERSION	3

/* A clock that is further has been running for 180 years; sums of times must not overflow. */
#define MAX_TIME	(1ull << 62)

struct header {
	uint32_t magic;
	uint32_t version;
	uint64_t bytes;		/* of struct fnpu_state: another layout is another version */
	struct fluidnpu_hw_geometry geometry;
	uint32_t clock_hz;
	uint32_t functional;
	struct fnpu_faults faults;
};

size_t fnpu_dev_state_bytes(void)
{
	return sizeof(struct header) + sizeof(struct fnpu_state);
}

/* Of a device whose worker does nothing. */
static struct header make_header(const struct fnpu_dev *dev)
{
	struct header h;

	memset(&h, 0, sizeof(h));	/* its padding, too: it leaves this process */
	h.magic = STATE_MAGIC;
	h.version = STATE_VERSION;
	h.bytes = sizeof(struct fnpu_state);
	h.geometry = dev->config.geometry;
	h.clock_hz = dev->config.clock_hz;
	h.functional = dev->config.functional;
	h.faults = dev->faults;
	return h;
}

void fnpu_dev_save(struct fnpu_dev *dev, void *state)
{
	struct header h;

	fnpu_engine_quiesce(dev);
	h = make_header(dev);
	memcpy(state, &h, sizeof(h));
	memcpy((char *)state + sizeof(h), &dev->s, sizeof(dev->s));
}

/* Bytes of an image may be no bool: looked at before anybody takes them for one. */
static bool is_bool(const bool *b)
{
	unsigned char byte;

	memcpy(&byte, b, sizeof(byte));
	return byte <= 1;
}

static bool time_valid(const struct fnpu_state *s, uint64_t event)
{
	return event == FNPU_NEVER || (event >= s->time && event < MAX_TIME);
}

/* What batch.c keeps true of one batch of the stack; adds its samples to those of their jobs. */
static bool batch_valid(const struct fnpu_queue *q, const struct fnpu_batch *b,
			unsigned int live[FNPU_MAX_JOBS])
{
	if (!is_bool(&b->on_chip) || b->next_layer >= q->program.num_layers || !b->num ||
	    b->num > q->program.max_batch)
		return false;
	for (unsigned int i = 0; i < b->num; i++) {
		const struct fnpu_member *m = &b->members[i];

		if (!is_bool(&m->evicted) || m->job >= FNPU_MAX_JOBS ||
		    m->index >= FLUIDNPU_MAX_BATCH)
			return false;
		live[m->job]++;
	}
	return true;
}

/* No job without a sample on the stack, or the reverse; those aborted have left it. */
static bool jobs_valid(const struct fnpu_queue *q, const unsigned int live[FNPU_MAX_JOBS])
{
	for (unsigned int i = 0; i < FNPU_MAX_JOBS; i++) {
		const struct fnpu_job *job = &q->jobs[i];

		if (!is_bool(&job->used))
			return false;
		if (!q->ending && (job->used != (live[i] > 0) || (live[i] && live[i] != job->live)))
			return false;
	}
	return true;
}

static bool stack_valid(const struct fnpu_dev *dev, const struct fnpu_queue *q)
{
	const struct fluidnpu_hw_geometry *g = &dev->config.geometry;
	unsigned int live[FNPU_MAX_JOBS] = { 0 };

	if (q->num_batches &&
	    (!q->enabled || q->ending || q->num_batches > g->stack_depth + 1 ||
	     q->as_id >= g->num_as || fnpu_program_check(&q->program, g, q->program_bytes)))
		return false;
	for (unsigned int i = 0; i < q->num_batches; i++)
		if (!batch_valid(q, &q->batches[i], live))
			return false;
	return jobs_valid(q, live);
}

static bool queue_valid(const struct fnpu_dev *dev, const struct fnpu_queue *q)
{
	if (!is_bool(&q->enabled) || !is_bool(&q->halted) || !is_bool(&q->ending))
		return false;
	if (q->entries ? !fnpu_ring_size_ok(q->entries) || q->head >= q->entries ||
			 q->tail >= q->entries : q->enabled)
		return false;
	return stack_valid(dev, q);
}

static bool cq_valid(const struct fnpu_state *s)
{
	const struct fnpu_cq *cq = &s->cq;

	if (cq->entries && (!fnpu_ring_size_ok(cq->entries) || cq->head >= cq->entries ||
			    cq->tail >= cq->entries))
		return false;
	return cq->phase <= 1 && time_valid(s, cq->irq_deadline);
}

/* The layers in the worker's hands are those that the batch stands at. */
static bool layers_valid(const struct fluidnpu_hw_program *p, const struct fnpu_batch *b,
			 const struct fnpu_work *w)
{
	if (!w->num_layers || w->num_layers > FLUIDNPU_MAX_GROUP ||
	    w->num_layers > p->num_layers - b->next_layer)
		return false;
	for (unsigned int i = 0; i < w->num_layers; i++)
		if (!fnpu_layer_valid(p, &w->layers[i]))
			return false;
	if (!fnpu_group_affordable(w->layers, w->num_layers))
		return false;
	/* nothing comes behind the last head */
	return b->next_layer + w->num_layers < p->num_layers ||
	       w->layers[w->num_layers - 1].op == FLUIDNPU_LAYER_EXIT;
}

/* The passes in the worker's hands are those of the batch, every one of its samples in one. */
static bool passes_valid(const struct fnpu_batch *b, const struct fnpu_work *w)
{
	unsigned int n = 0;

	if (!w->num_passes || w->num_passes > b->num)
		return false;
	for (unsigned int i = 0; i < w->num_passes; i++)
		n += w->passes[i].n;
	return n == b->num;
}

/* The group that runs, and the queue that it belongs to. */
static bool group_valid(struct fnpu_dev *dev)
{
	struct fnpu_state *s = &dev->s;
	struct fnpu_queue *q;

	if (!is_bool(&s->work.cancel) || !is_bool(&s->work.fault.write) ||
	    !time_valid(s, s->group_end) || s->write_back_end >= MAX_TIME)
		return false;
	if (s->running < 0)
		return s->running == -1 && s->group_end == FNPU_NEVER;
	if (s->running >= (int)dev->config.geometry.num_queues || !s->cq.entries)
		return false;
	if (s->group_begin > s->time || s->switch_end < s->group_begin)
		return false;
	q = &s->queues[s->running];
	return q->num_batches && layers_valid(&q->program, fnpu_batch_running(q), &s->work) &&
	       passes_valid(fnpu_batch_running(q), &s->work);
}

static const char *check_state(struct fnpu_dev *dev)
{
	const struct fnpu_state *s = &dev->s;

	if (!is_bool(&s->enabled) || !is_bool(&s->fatal) || s->time >= MAX_TIME)
		return "the state of the device is damaged";
	if (s->as_select >= dev->config.geometry.num_as)
		return "the state selects an address space that there is not";
	for (unsigned int i = 0; i < FLUIDNPU_MAX_AS; i++)
		if (!is_bool(&s->as[i].enabled))
			return "the state of an address space is damaged";
	for (unsigned int i = 0; i < FLUIDNPU_MAX_QUEUES; i++)
		if (!queue_valid(dev, &s->queues[i]))
			return "the state of a queue is damaged";
	if (!cq_valid(s))
		return "the state of the completion ring is damaged";
	if (!group_valid(dev))
		return "the state of the running layers is damaged";
	return NULL;
}

static const char *check_header(const struct fnpu_dev *dev, const struct header *h)
{
	if (h->magic != STATE_MAGIC)
		return "this is not the state of a FluidNPU";
	if (h->version != STATE_VERSION || h->bytes != sizeof(struct fnpu_state))
		return "the state is of another version of the device";
	if (memcmp(&h->geometry, &dev->config.geometry, sizeof(h->geometry)) ||
	    h->clock_hz != dev->config.clock_hz || h->functional != dev->config.functional)
		return "the state is of a device with another configuration";
	return fnpu_faults_check(&h->faults);
}

const char *fnpu_dev_load(struct fnpu_dev *dev, const void *state, size_t bytes)
{
	const uint64_t time = dev->s.time;
	const char *reason;
	struct header h;

	fnpu_dev_reset(dev);
	if (bytes != fnpu_dev_state_bytes())
		return "the state is of another version of the device";
	memcpy(&h, state, sizeof(h));
	reason = check_header(dev, &h);
	if (reason)
		return reason;
	memcpy(&dev->s, (const char *)state + sizeof(h), sizeof(dev->s));
	reason = check_state(dev);
	if (reason) {
		dev->s.time = time;
		fnpu_dev_reset(dev);
		return reason;
	}
	fnpu_dev_set_faults(dev, &h.faults);
	return NULL;
}
