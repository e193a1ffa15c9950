// SPDX-License-Identifier: GPL-2.0
/*
 * FluidNPU accel driver: event rings.
 *
 * The ring is memory of the user, who may scribble over it while the kernel
 * writes. Therefore the kernel keeps its own producer index, masks every index
 * and reads one shared field only, the consumer index, which decides nothing
 * but how many entries the user gives up.
 *
 * Entries are reserved before a job is accepted, so an event can always be
 * written at once, in the interrupt that it came with.
 */
#include <linux/eventfd.h>
#include <linux/iosys-map.h>
#include <linux/poll.h>
#include <linux/string.h>

#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_gem.h>
#include <drm/drm_print.h>

#include "fluidnpu_compat.h"
#include "fluidnpu_ctx.h"
#include "fluidnpu_event.h"
#include "fluidnpu_uring.h"
#include "fluidnpu_validate.h"

/**
 * fluidnpu_event_ring_init - start an empty ring
 * @ring: to be filled in
 * @obj: buffer object of at least DRM_FLUIDNPU_EVENT_RING_BYTES(@entries), not imported
 * @entries: power of two
 * @waiters: wait queue that outlives the ring
 *
 * Return: 0 or a negative errno.
 */
int fluidnpu_event_ring_init(struct fluidnpu_event_ring *ring, struct drm_gem_object *obj,
			     u32 entries, wait_queue_head_t *waiters)
{
	struct iosys_map map;
	int ret;

	ret = drm_gem_vmap(obj, &map);
	if (ret)
		return ret;

	drm_gem_object_get(obj);
	ring->obj = obj;
	ring->shared = map.vaddr;
	ring->events = map.vaddr + sizeof(*ring->shared);
	ring->entries = entries;
	ring->waiters = waiters;
	spin_lock_init(&ring->lock);
	INIT_LIST_HEAD(&ring->waits);

	memset(map.vaddr, 0, DRM_FLUIDNPU_EVENT_RING_BYTES(entries));
	ring->shared->entries = entries;
	return 0;
}

/**
 * fluidnpu_event_ring_fini - let go of the buffer object
 * @ring: no job uses it any more
 */
void fluidnpu_event_ring_fini(struct fluidnpu_event_ring *ring)
{
	struct iosys_map map = IOSYS_MAP_INIT_VADDR(ring->shared);

	drm_gem_vunmap(ring->obj, &map);
	drm_gem_object_put(ring->obj);
}

/* Take a wait off its list, for whoever is going to complete it. */
static void fluidnpu_event_wait_end(struct fluidnpu_event_ring *ring,
				    struct fluidnpu_event_wait *wait, int result)
{
	list_del_init(&wait->node);
	ring->num_waits--;
	wait->result = result;
	wait->producer = ring->producer;
}

/* Nothing else can come: for the lack of jobs, if the device is gone. */
static bool fluidnpu_event_ring_is_dead(struct fluidnpu_event_ring *ring)
{
	return !ring->reserved && drm_dev_is_unplugged(ring->obj->dev);
}

/* Something has changed: complete the waits that are over. */
static void fluidnpu_event_check_waits(struct fluidnpu_event_ring *ring)
{
	struct fluidnpu_event_wait *wait, *next;
	bool dead;

	lockdep_assert_held(&ring->lock);

	if (list_empty(&ring->waits))
		return;
	dead = fluidnpu_event_ring_is_dead(ring);

	list_for_each_entry_safe(wait, next, &ring->waits, node) {
		/* At most the entries of a ring ahead, so never half of all numbers. */
		bool over = (s32)(ring->producer - wait->target) >= 0;

		if (!over && !dead)
			continue;
		fluidnpu_event_wait_end(ring, wait, over ? 0 : -ENODEV);
		fluidnpu_uring_wait_done(wait);
	}
}

/**
 * fluidnpu_event_ring_unplug - tell those who wait in vain that the device is gone
 * @ring: event ring
 */
void fluidnpu_event_ring_unplug(struct fluidnpu_event_ring *ring)
{
	unsigned long flags;

	spin_lock_irqsave(&ring->lock, flags);
	fluidnpu_event_check_waits(ring);
	spin_unlock_irqrestore(&ring->lock, flags);
}

/**
 * fluidnpu_event_ring_close - write no further events
 * @ring: stays valid for the jobs that hold reservations
 */
void fluidnpu_event_ring_close(struct fluidnpu_event_ring *ring)
{
	struct fluidnpu_event_wait *wait, *next;
	struct eventfd_ctx *eventfd;
	unsigned long flags;

	spin_lock_irqsave(&ring->lock, flags);
	ring->closed = true;
	eventfd = ring->eventfd;
	ring->eventfd = NULL;
	list_for_each_entry_safe(wait, next, &ring->waits, node) {
		fluidnpu_event_wait_end(ring, wait, -ENOENT);
		fluidnpu_uring_wait_done(wait);
	}
	spin_unlock_irqrestore(&ring->lock, flags);

	if (eventfd)
		eventfd_ctx_put(eventfd);
}

/**
 * fluidnpu_event_ring_poll - what can be said of a ring to those who wait for it
 * @ring: event ring
 * @readable: set to true if the user has not consumed all events, as far as it says
 * @expects: set to true if a job that has been accepted has not ended
 */
void fluidnpu_event_ring_poll(struct fluidnpu_event_ring *ring, bool *readable, bool *expects)
{
	unsigned long flags;

	spin_lock_irqsave(&ring->lock, flags);
	if (ring->producer != READ_ONCE(ring->shared->consumer))
		*readable = true;
	if (ring->reserved)
		*expects = true;
	spin_unlock_irqrestore(&ring->lock, flags);
}

/**
 * fluidnpu_event_reserve - promise entries to a job
 * @ring: event ring
 * @count: events that the job can cause at most
 *
 * Return: 0, or -ENOBUFS when the user has to consume events first.
 */
int fluidnpu_event_reserve(struct fluidnpu_event_ring *ring, u32 count)
{
	unsigned long flags;
	u32 used;
	int ret = 0;

	spin_lock_irqsave(&ring->lock, flags);
	/* Pairs with the user's release: what it consumed may be overwritten. */
	used = ring->producer - smp_load_acquire(&ring->shared->consumer);
	if (used > ring->entries)
		used = ring->entries;	/* nonsense from the user */
	if (count > ring->entries - used ||
	    ring->reserved > ring->entries - used - count)
		ret = -ENOBUFS;
	else
		ring->reserved += count;
	spin_unlock_irqrestore(&ring->lock, flags);

	return ret;
}

/* @event: to be written first, into a reserved entry; or NULL. */
static void fluidnpu_event_use(struct fluidnpu_event_ring *ring, u32 count,
			       const struct drm_fluidnpu_event *event)
{
	unsigned long flags;
	__poll_t wake = 0;

	spin_lock_irqsave(&ring->lock, flags);
	ring->reserved -= count;
	if (!ring->closed) {
		if (event) {
			ring->events[ring->producer & (ring->entries - 1)] = *event;
			ring->producer++;
			/* Pairs with the user's acquire: the entry first, then the index. */
			smp_store_release(&ring->shared->producer, ring->producer);
			if (ring->eventfd)
				eventfd_signal(ring->eventfd);
			wake |= EPOLLIN | EPOLLRDNORM;
		}
		/* Once the device is gone poll() has waited for this alone. */
		if (!ring->reserved)
			wake |= EPOLLERR | EPOLLHUP;
		if (wake)
			fluidnpu_event_check_waits(ring);
	}
	spin_unlock_irqrestore(&ring->lock, flags);

	/* The barrier in it pairs with the one of poll_wait(): seen there, or woken here. */
	if (wake && wq_has_sleeper(ring->waiters))
		wake_up_poll(ring->waiters, wake);
}

/**
 * fluidnpu_event_unreserve - give back entries that a job did not need
 * @ring: event ring
 * @count: entries
 */
void fluidnpu_event_unreserve(struct fluidnpu_event_ring *ring, u32 count)
{
	fluidnpu_event_use(ring, count, NULL);
}

/**
 * fluidnpu_event_post - write an event
 * @ring: event ring
 * @event: copied
 * @count: reserved entries that go with it, at least one: more if it is a job's last
 */
void fluidnpu_event_post(struct fluidnpu_event_ring *ring, const struct drm_fluidnpu_event *event,
			 u32 count)
{
	fluidnpu_event_use(ring, count, event);
}

/**
 * fluidnpu_event_wait_init - before fluidnpu_event_wait_add() and _remove()
 * @wait: to be filled in
 * @target: value of the producer index to wait for
 * @user_data: for fluidnpu_event_cancel_waits()
 */
void fluidnpu_event_wait_init(struct fluidnpu_event_wait *wait, u32 target, u32 user_data)
{
	INIT_LIST_HEAD(&wait->node);
	wait->target = target;
	wait->user_data = user_data;
}

/**
 * fluidnpu_event_wait_add - wait for events
 * @ring: event ring
 * @wait: initialised
 * @count: how many events @wait is about, up to its target
 *
 * Return: true if fluidnpu_uring_wait_done() will be, or has been, called, unless somebody
 * removes @wait; false if it is over at once and has its result.
 */
bool fluidnpu_event_wait_add(struct fluidnpu_event_ring *ring, struct fluidnpu_event_wait *wait,
			     u32 count)
{
	unsigned long flags;
	int result = 1;

	spin_lock_irqsave(&ring->lock, flags);
	if (ring->closed)
		result = -ENOENT;
	else if (ring->producer - (wait->target - count) >= count)
		result = 0; /* They are there, or the user has made up an index. */
	else if (fluidnpu_event_ring_is_dead(ring))
		result = -ENODEV;
	else if (ring->num_waits == FLUIDNPU_MAX_EVENT_WAITS)
		result = -ENOBUFS;

	if (result > 0) {
		list_add_tail(&wait->node, &ring->waits);
		ring->num_waits++;
	} else {
		wait->result = result;
		wait->producer = ring->producer;
	}
	spin_unlock_irqrestore(&ring->lock, flags);

	return result > 0;
}

/**
 * fluidnpu_event_wait_remove - stop waiting
 * @ring: event ring
 * @wait: initialised
 * @result: for @wait
 *
 * Return: whether it was on the list, and is the caller's to complete.
 */
bool fluidnpu_event_wait_remove(struct fluidnpu_event_ring *ring, struct fluidnpu_event_wait *wait,
				int result)
{
	unsigned long flags;
	bool waits;

	spin_lock_irqsave(&ring->lock, flags);
	waits = !list_empty(&wait->node);
	if (waits)
		fluidnpu_event_wait_end(ring, wait, result);
	spin_unlock_irqrestore(&ring->lock, flags);

	return waits;
}

/**
 * fluidnpu_event_cancel_waits - complete waits with -ECANCELED
 * @ring: event ring
 * @user_data: of those to cancel
 *
 * Return: how many.
 */
u32 fluidnpu_event_cancel_waits(struct fluidnpu_event_ring *ring, u64 user_data)
{
	struct fluidnpu_event_wait *wait, *next;
	unsigned long flags;
	u32 count = 0;

	spin_lock_irqsave(&ring->lock, flags);
	list_for_each_entry_safe(wait, next, &ring->waits, node) {
		if (wait->user_data != user_data)
			continue;
		fluidnpu_event_wait_end(ring, wait, -ECANCELED);
		fluidnpu_uring_wait_done(wait);
		count++;
	}
	spin_unlock_irqrestore(&ring->lock, flags);

	return count;
}

/**
 * fluidnpu_ioctl_events - EVENTS
 * @drm: device
 * @data: struct drm_fluidnpu_events
 * @file: client
 *
 * Return: 0 or a negative errno.
 */
int fluidnpu_ioctl_events(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_fluidnpu_events *args = data;
	struct eventfd_ctx *eventfd = NULL;
	struct fluidnpu_event_ring *ring;
	struct fluidnpu_ctx *ctx;
	unsigned long flags;
	int ret;

	ret = fluidnpu_check_events(drm, args);
	if (ret)
		return ret;

	if (args->eventfd != -1) {
		eventfd = eventfd_ctx_fdget(args->eventfd);
		if (IS_ERR(eventfd)) {
			drm_dbg(drm, "events.eventfd %d is not an eventfd\n", args->eventfd);
			return -EBADF;
		}
	}

	ctx = fluidnpu_ctx_lookup(file->driver_priv, args->ctx_id);
	if (!ctx) {
		ret = -ENOENT;
		goto out_put_eventfd;
	}
	ring = &ctx->events;

	spin_lock_irqsave(&ring->lock, flags);
	if (ring->closed)
		ret = -ENOENT;
	else
		swap(ring->eventfd, eventfd);
	spin_unlock_irqrestore(&ring->lock, flags);
	fluidnpu_ctx_put(ctx);

out_put_eventfd:
	if (ret)
		drm_dbg(drm, "events.ctx_id: no context %u\n", args->ctx_id);
	/* The new one, or the one before. */
	if (eventfd)
		eventfd_ctx_put(eventfd);
	return ret;
}
