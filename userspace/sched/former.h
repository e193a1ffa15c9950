/* SPDX-License-Identifier: MIT */
/*
 * Batch formation: who could run together. Waiting samples are kept in groups by (model, next
 * layer); only samples of one group can form a batch. Which group, when, and how many is the
 * policy's business.
 *
 * In its group a sample has its place by class (priority, best effort last), then by the
 * policy's order: arrival or deadline. A group is a treap, a search tree that is also a heap by
 * a random priority (Seidel and Aragon 1996); its first and last node are known. So taking the
 * first sample and adding one behind the last take O(1) on average, all else O(log n); the
 * "random" numbers are a hash of the sample's number of arrival, so that every run is the same.
 *
 * Groups that hold samples are in a list, in no particular order.
 */
#ifndef FNPU_FORMER_H
#define FNPU_FORMER_H

#include <stdbool.h>
#include <stdint.h>

#define FORMER_NONE	UINT32_MAX

enum former_order {
	ORDER_ARRIVAL,
	ORDER_DEADLINE,
};

/** struct former_node - a waiting sample; @key, then @number, is its place */
struct former_node {
	uint64_t key;
	uint64_t number;
	uint32_t group;
	uint32_t parent, left, right;
};	/* two to a cache line: with many samples, each visit is a miss */

struct former_group {
	uint32_t root;
	uint32_t first, last;
	uint32_t count;
	uint32_t prev, next;	/* groups that hold samples */
};

/**
 * struct former - all waiting samples
 * @nodes: by sample number
 * @active: first group that holds samples
 * @steps: nodes looked at so far: what grows with the number of waiting samples, if anything
 */
struct former {
	struct former_node *nodes;
	struct former_group *groups;
	uint32_t active;
	uint32_t count;
	uint64_t steps;
};

/** former_init() - 0 or -ENOMEM; former_destroy() it in both cases */
int former_init(struct former *f, uint32_t max_samples, uint32_t num_groups);
void former_destroy(struct former *f);

/** former_add() - @sample, which does not wait, joins @group; @number is like no other's */
void former_add(struct former *f, uint32_t group, uint32_t sample, uint64_t key, uint64_t number);

/** former_remove() - @sample does not wait any more */
void former_remove(struct former *f, uint32_t sample);

/** former_next() - the one behind @sample in its group, or FORMER_NONE */
uint32_t former_next(struct former *f, uint32_t sample);

/** former_oldest() - the group whose first sample is before all others', or FORMER_NONE */
uint32_t former_oldest(const struct former *f);

#define FORMER_CLASS_SHIFT	60u
#define FORMER_MAX_VALUE	((UINT64_C(1) << FORMER_CLASS_SHIFT) - 1)

/** former_key() - @class: 0 goes first; then by @value, where larger ones are FORMER_MAX_VALUE */
static inline uint64_t former_key(uint32_t class, uint64_t value)
{
	return (uint64_t)class << FORMER_CLASS_SHIFT |
	       (value < FORMER_MAX_VALUE ? value : FORMER_MAX_VALUE);
}

#endif /* FNPU_FORMER_H */
