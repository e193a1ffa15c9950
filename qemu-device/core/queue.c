// SPDX-License-Identifier: MIT
/*
 * Rings. Submission rings are the driver's to fill and the device's to read;
 * the completion ring is the other way round, with a phase bit that tells new
 * entries from old. A full completion ring holds the engine back
 * (fnpu_cq_room()), so no completion is ever dropped.
 */
#include <stddef.h>

#include "fnpu_internal.h"

bool fnpu_ring_size_ok(uint32_t entries)
{
	return entries >= 2 && entries <= FLUIDNPU_MAX_RING_ENTRIES && !(entries & (entries - 1));
}

/* The one way to raise an interrupt. */
void fnpu_interrupt(struct fnpu_dev *dev, unsigned int vector)
{
	if (!fnpu_fault_strikes(&dev->faults.lose_interrupts))
		dev->ops->interrupt(dev->host, vector);
}

/* Where the queue is in the table of engine.c. */
enum fnpu_queue_state fnpu_queue_state(const struct fnpu_queue *q)
{
	if (!q->enabled)
		return FNPU_QUEUE_OFF;
	if (q->ending)
		return FNPU_QUEUE_ENDING;
	if (q->halted)
		return FNPU_QUEUE_HALTED;
	if (q->num_batches)
		return FNPU_QUEUE_ACTIVE;
	return q->head == q->tail ? FNPU_QUEUE_EMPTY : FNPU_QUEUE_WAITING;
}

bool fnpu_queue_enable(struct fnpu_dev *dev, unsigned int index)
{
	struct fnpu_queue *q = &dev->s.queues[index];

	if (!fnpu_ring_size_ok(q->entries_reg))
		return false;
	q->base = (uint64_t)q->base_hi << 32 | q->base_lo;
	q->entries = q->entries_reg;
	q->head = 0;
	q->tail = 0;
	q->enabled = true;
	return true;
}

void fnpu_queue_doorbell(struct fnpu_dev *dev, unsigned int index, uint32_t tail)
{
	struct fnpu_queue *q = &dev->s.queues[index];

	if (!q->enabled)
		return;
	if (tail >= q->entries) {
		fnpu_dev_fatal(dev);
		return;
	}
	for (; q->tail != tail; q->tail = (q->tail + 1) % q->entries)
		q->queued_time[q->tail] = dev->s.time;
}

/* Reads the entry at the head, which stays there. */
bool fnpu_queue_peek(struct fnpu_dev *dev, unsigned int index, struct fluidnpu_hw_sqe *sqe)
{
	const struct fnpu_queue *q = &dev->s.queues[index];

	if (!fnpu_dma_read(dev, q->base + (uint64_t)q->head * sizeof(*sqe), sqe,
				sizeof(*sqe))) {
		fnpu_dev_fatal(dev);
		return false;
	}
	return true;
}

/* Takes the entry at the head off the ring; returns when its doorbell came. */
uint64_t fnpu_queue_pop(struct fnpu_queue *q)
{
	uint64_t queued_time = q->queued_time[q->head];

	q->head = (q->head + 1) % q->entries;
	return queued_time;
}

bool fnpu_cq_enable(struct fnpu_dev *dev, uint32_t entries)
{
	struct fnpu_cq *cq = &dev->s.cq;

	/* Must hold all that one step of the engine can cause, or nothing would ever start. */
	if (!fnpu_ring_size_ok(entries) || entries < 2 * (FLUIDNPU_MAX_BATCH + 1))
		return false;
	cq->base = (uint64_t)cq->base_hi << 32 | cq->base_lo;
	cq->entries = entries;
	cq->head = 0;
	cq->tail = 0;
	cq->phase = 1;
	cq->pending = 0;
	cq->irq_deadline = FNPU_NEVER;
	return true;
}

unsigned int fnpu_cq_room(const struct fnpu_cq *cq)
{
	if (!cq->entries)
		return 0;
	return (cq->head + cq->entries - cq->tail - 1) % cq->entries;
}

/*
 * Writes one completion; the caller has made sure of room. The phase goes last, so that
 * a driver that sees it sees all of the entry.
 */
void fnpu_cq_post(struct fnpu_dev *dev, struct fluidnpu_hw_cqe *cqe)
{
	struct fnpu_cq *cq = &dev->s.cq;
	uint64_t addr = cq->base + (uint64_t)cq->tail * sizeof(*cqe);
	const size_t body = offsetof(struct fluidnpu_hw_cqe, phase);

	if (dev->s.fatal)	/* behind one that is lost nobody shall find others */
		return;
	cqe->phase = cq->phase;
	if (!fnpu_dma_write(dev, addr, cqe, body) ||
	    !fnpu_dma_write(dev, addr + body, &cqe->phase, sizeof(cqe->phase))) {
		fnpu_dev_fatal(dev);
		return;
	}
	cq->tail = (cq->tail + 1) % cq->entries;
	if (!cq->tail)
		cq->phase ^= 1;
	if (!cq->pending++ && cq->coalesce_cycles)
		cq->irq_deadline = dev->s.time + cq->coalesce_cycles;
}

static void raise_cq(struct fnpu_dev *dev)
{
	dev->s.cq.pending = 0;
	dev->s.cq.irq_deadline = FNPU_NEVER;
	dev->s.counters[FLUIDNPU_CNT_INTERRUPTS]++;
	fnpu_interrupt(dev, FLUIDNPU_VECTOR_CQ);
}

/* After posting: one interrupt for all of it, unless coalescing says to wait for more. */
void fnpu_cq_interrupt(struct fnpu_dev *dev)
{
	struct fnpu_cq *cq = &dev->s.cq;

	if (!cq->pending)
		return;
	if (!cq->coalesce_cycles || cq->pending >= cq->coalesce_count)
		raise_cq(dev);
}

/* The coalescing time has passed? */
void fnpu_cq_advance(struct fnpu_dev *dev)
{
	if (dev->s.cq.irq_deadline <= dev->s.time)
		raise_cq(dev);
}
