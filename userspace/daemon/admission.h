/* SPDX-License-Identifier: MIT */
/*
 * Who may have how much, and whose sample is next. No I/O and no clock: all this is arithmetic over
 * lists, which tests and the fuzzer call as the daemon does.
 *
 * Quotas are reserved when something is opened, for as long as it is: a client that has a session
 * can always fill its queue, and one that wants more is refused with a reason.
 *
 * Samples wait in a flow per client and session of the NPU. Flows take turns by deficit round
 * robin (Shreedhar and Varghese, 1995) with a cost of one per sample: in each round a flow
 * may send as many samples as its weight says. Priorities work within a flow: nobody gets more by
 * calling all of his samples important.
 */
#ifndef FNPUD_ADMISSION_H
#define FNPUD_ADMISSION_H

#include <sys/queue.h>

#include "fluidnpu.h"

#define FNPUD_LEVELS	(FNPU_MAX_PRIORITY + 2)	/* best effort is below all priorities */

/** struct fnpud_quota - @connections, @samples, @buffers and @bytes of memory that a client may have or has */
struct fnpud_quota {
	uint32_t connections;
	uint32_t samples;
	uint32_t buffers;
	uint64_t bytes;
};

/**
 * fnpud_reserve() - take @more, if with it @used stays within @limit
 * @error: a sentence on failure, which names what there is and the option that changes it
 * Returns 0 or -EDQUOT.
 */
int fnpud_reserve(struct fnpud_quota *used, const struct fnpud_quota *limit,
		  const struct fnpud_quota *more, struct fnpu_error *error);

/** fnpud_release() - give back what was reserved */
void fnpud_release(struct fnpud_quota *used, const struct fnpud_quota *less);

struct fnpud_flow;

/** struct fnpud_item - a sample that waits, part of something larger; @flow: NULL when it does not */
struct fnpud_item {
	TAILQ_ENTRY(fnpud_item) link;
	struct fnpud_flow *flow;
	uint32_t level;
};

TAILQ_HEAD(fnpud_items, fnpud_item);

/**
 * struct fnpud_flow - samples of one client
 * @weight: samples that it may send in a round, at least 1
 * @deficit: of these, not yet sent in this round
 * @count: samples that wait; @levels: these, by priority, in the order of their arrival
 */
struct fnpud_flow {
	TAILQ_ENTRY(fnpud_flow) link;
	uint32_t weight;
	uint32_t deficit;
	uint32_t count;
	struct fnpud_items levels[FNPUD_LEVELS];
};

/** struct fnpud_turns - flows that have samples, the one whose turn it is first */
struct fnpud_turns {
	TAILQ_HEAD(fnpud_flows, fnpud_flow) flows;
	uint32_t count;
};

void fnpud_turns_init(struct fnpud_turns *turns);
void fnpud_flow_init(struct fnpud_flow *flow, uint32_t weight);

/**
 * fnpud_push() - @item waits in @flow
 * @priority, @flags: of its struct fnpu_request
 */
void fnpud_push(struct fnpud_turns *turns, struct fnpud_flow *flow, struct fnpud_item *item,
		uint32_t priority, uint32_t flags);

/** fnpud_next() - whose turn it is, or NULL; it goes on waiting */
struct fnpud_item *fnpud_next(struct fnpud_turns *turns);

/** fnpud_take() - what fnpud_next() said has been sent: it waits no longer, and its flow has paid */
void fnpud_take(struct fnpud_turns *turns, struct fnpud_item *item);

/** fnpud_remove() - @item waits no longer, for another reason */
void fnpud_remove(struct fnpud_turns *turns, struct fnpud_item *item);

#endif /* FNPUD_ADMISSION_H */
