// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>

#include "admission.h"
#include "error.h"

/* ---- quotas ---- */

int fnpud_reserve(struct fnpud_quota *used, const struct fnpud_quota *limit,
		  const struct fnpud_quota *more, struct fnpu_error *error)
{
	if (more->connections > limit->connections - used->connections)
		return fnpu_fail(error, -EDQUOT,
				 "this client has all of its %u connections: close some, or see fluidnpud --client-connections",
				 limit->connections);
	if (more->samples > limit->samples - used->samples)
		return fnpu_fail(error, -EDQUOT,
				 "a queue of %u samples is more than this client's quota: %u of %u are taken by its sessions; ask for a shorter one, or see fluidnpud --client-samples",
				 more->samples, used->samples, limit->samples);
	if (more->buffers > limit->buffers - used->buffers)
		return fnpu_fail(error, -EDQUOT,
				 "this client has all of its %u buffers: free some, or see fluidnpud --client-buffers",
				 limit->buffers);
	if (more->bytes > limit->bytes - used->bytes)
		return fnpu_fail(error, -EDQUOT,
				 "%" PRIu64 " bytes are more than this client's quota: %" PRIu64 " of %" PRIu64 " are taken; ask for shorter queues, or see fluidnpud --client-memory-mib",
				 more->bytes, used->bytes, limit->bytes);
	used->connections += more->connections;
	used->samples += more->samples;
	used->buffers += more->buffers;
	used->bytes += more->bytes;
	return 0;
}

void fnpud_release(struct fnpud_quota *used, const struct fnpud_quota *less)
{
	used->connections -= less->connections;
	used->samples -= less->samples;
	used->buffers -= less->buffers;
	used->bytes -= less->bytes;
}

/* ---- turns ---- */

void fnpud_turns_init(struct fnpud_turns *turns)
{
	TAILQ_INIT(&turns->flows);
	turns->count = 0;
}

void fnpud_flow_init(struct fnpud_flow *flow, uint32_t weight)
{
	flow->weight = weight;
	flow->deficit = 0;
	flow->count = 0;
	for (uint32_t i = 0; i < FNPUD_LEVELS; i++)
		TAILQ_INIT(&flow->levels[i]);
}

void fnpud_push(struct fnpud_turns *turns, struct fnpud_flow *flow, struct fnpud_item *item,
		uint32_t priority, uint32_t flags)
{
	item->flow = flow;
	item->level = flags & FNPU_REQUEST_BEST_EFFORT ? 0 : priority + 1;
	TAILQ_INSERT_TAIL(&flow->levels[item->level], item, link);
	if (!flow->count++) {
		flow->deficit = flow->weight;
		TAILQ_INSERT_TAIL(&turns->flows, flow, link);
	}
	turns->count++;
}

struct fnpud_item *fnpud_next(struct fnpud_turns *turns)
{
	const struct fnpud_flow *flow = TAILQ_FIRST(&turns->flows);

	for (uint32_t i = FNPUD_LEVELS; flow && i-- > 0;)
		if (!TAILQ_EMPTY(&flow->levels[i]))
			return TAILQ_FIRST(&flow->levels[i]);
	return NULL;
}

void fnpud_remove(struct fnpud_turns *turns, struct fnpud_item *item)
{
	struct fnpud_flow *flow = item->flow;

	TAILQ_REMOVE(&flow->levels[item->level], item, link);
	item->flow = NULL;
	if (!--flow->count)
		TAILQ_REMOVE(&turns->flows, flow, link);
	turns->count--;
}

void fnpud_take(struct fnpud_turns *turns, struct fnpud_item *item)
{
	struct fnpud_flow *flow = item->flow;

	fnpud_remove(turns, item);
	if (!flow->count || --flow->deficit)
		return;
	flow->deficit = flow->weight;
	TAILQ_REMOVE(&turns->flows, flow, link);
	TAILQ_INSERT_TAIL(&turns->flows, flow, link);
}
