/* SPDX-License-Identifier: MIT */
/*
 * Batch formation: who could run together. Waiting samples are kept in groups
 * by (model, next layer), each in arrival order; only samples of one group can form a
 * batch. Which group, when, and how many is the policy's business.
 *
 * All operations are O(1); a sample is in its group's list and in the list of all.
 */
#ifndef FNPU_FORMER_H
#define FNPU_FORMER_H

#include <stdint.h>

#define FORMER_NONE	UINT32_MAX

struct former_node {
	uint32_t group;
	uint32_t group_next;
	uint32_t prev, next;
};

struct former_group {
	uint32_t head, tail;
	uint32_t count;
};

/** struct former - @nodes by sample number; @head, @tail of all waiting samples, oldest first */
struct former {
	struct former_node *nodes;
	struct former_group *groups;
	uint32_t head, tail;
	uint32_t count;
};

/** former_init() - 0 or -ENOMEM; former_destroy() it in both cases */
int former_init(struct former *f, uint32_t max_samples, uint32_t num_groups);
void former_destroy(struct former *f);

/** former_add() - @sample, which does not wait, joins @group as its youngest */
void former_add(struct former *f, uint32_t group, uint32_t sample);

/** former_oldest() - group of the sample that has waited longest, or FORMER_NONE */
uint32_t former_oldest(const struct former *f);

/** former_take() - the oldest samples of @group, at most @max; returns how many */
uint32_t former_take(struct former *f, uint32_t group, uint32_t max, uint32_t *samples);

#endif /* FNPU_FORMER_H */
