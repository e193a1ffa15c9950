/* SPDX-License-Identifier: GPL-2.0 */
/*
 * FluidNPU accel driver: event rings.
 */
#ifndef _FLUIDNPU_EVENT_H
#define _FLUIDNPU_EVENT_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include <fluidnpu_drm.h>

struct drm_device;
struct drm_file;
struct drm_gem_object;
struct eventfd_ctx;

/* WAITs of a context at a time: each event looks at all of them, in an interrupt. */
#define FLUIDNPU_MAX_EVENT_WAITS	256

/**
 * struct fluidnpu_event_wait - somebody waits for events
 * @node: in fluidnpu_event_ring.waits; empty before and after
 * @target: value of the producer index to wait for
 * @user_data: to find it by
 * @result: afterwards: 0 or a negative errno
 * @producer: afterwards: the index then
 *
 * Protected by the ring's lock until it is off the list.
 */
struct fluidnpu_event_wait {
	struct list_head node;
	union {
		struct {
			u32 target;
			u32 user_data;
		};
		struct {
			int result;
			u32 producer;
		};
	};
};

/**
 * struct fluidnpu_event_ring - events of a context, in a user's buffer object
 * @obj: the buffer object, kept mapped in the kernel
 * @shared: its start; user space can write anything there at any time
 * @events: the entries behind it
 * @entries: power of two
 * @waiters: woken after an event
 * @lock: protects the rest; taken in interrupts
 * @producer: events written; the copy in @shared is only told, never read back
 * @reserved: entries promised to jobs and not yet used
 * @eventfd: counts the events, or NULL
 * @waits: struct fluidnpu_event_wait, those that are not over
 * @num_waits: of them
 * @closed: the user's context is gone, drop events
 */
struct fluidnpu_event_ring {
	struct drm_gem_object *obj;
	struct drm_fluidnpu_event_ring *shared;
	struct drm_fluidnpu_event *events;
	u32 entries;
	wait_queue_head_t *waiters;
	spinlock_t lock; /* see above */
	u32 producer;
	u32 reserved;
	struct eventfd_ctx *eventfd;
	struct list_head waits;
	u32 num_waits;
	bool closed;
};

int fluidnpu_event_ring_init(struct fluidnpu_event_ring *ring, struct drm_gem_object *obj,
			     u32 entries, wait_queue_head_t *waiters);
void fluidnpu_event_ring_fini(struct fluidnpu_event_ring *ring);
void fluidnpu_event_ring_close(struct fluidnpu_event_ring *ring);
void fluidnpu_event_ring_poll(struct fluidnpu_event_ring *ring, bool *readable, bool *expects);
int fluidnpu_event_reserve(struct fluidnpu_event_ring *ring, u32 count);
void fluidnpu_event_unreserve(struct fluidnpu_event_ring *ring, u32 count);
void fluidnpu_event_post(struct fluidnpu_event_ring *ring, const struct drm_fluidnpu_event *event,
			 u32 count);

void fluidnpu_event_wait_init(struct fluidnpu_event_wait *wait, u32 target, u32 user_data);
bool fluidnpu_event_wait_add(struct fluidnpu_event_ring *ring, struct fluidnpu_event_wait *wait,
			     u32 count);
bool fluidnpu_event_wait_remove(struct fluidnpu_event_ring *ring, struct fluidnpu_event_wait *wait,
				int result);
u32 fluidnpu_event_cancel_waits(struct fluidnpu_event_ring *ring, u64 user_data);
void fluidnpu_event_ring_unplug(struct fluidnpu_event_ring *ring);

int fluidnpu_ioctl_events(struct drm_device *drm, void *data, struct drm_file *file);

#endif
