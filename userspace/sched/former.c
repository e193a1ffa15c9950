// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>

#include "former.h"
#include "memory.h"

int former_init(struct former *f, uint32_t max_samples, uint32_t num_groups)
{
	f->nodes = sched_calloc(max_samples, sizeof(*f->nodes));
	f->groups = calloc(num_groups, sizeof(*f->groups));
	if (!f->nodes || !f->groups)
		return -ENOMEM;
	for (uint32_t i = 0; i < num_groups; i++)
		f->groups[i] = (struct former_group){
			.root = FORMER_NONE, .first = FORMER_NONE, .last = FORMER_NONE,
		};
	f->active = FORMER_NONE;
	f->count = 0;
	f->steps = 0;
	return 0;
}

void former_destroy(struct former *f)
{
	free(f->nodes);
	free(f->groups);
}

/* ---- groups that hold samples ---- */

static void activate(struct former *f, uint32_t group)
{
	struct former_group *g = &f->groups[group];

	g->prev = FORMER_NONE;
	g->next = f->active;
	if (g->next != FORMER_NONE)
		f->groups[g->next].prev = group;
	f->active = group;
}

static void deactivate(struct former *f, uint32_t group)
{
	struct former_group *g = &f->groups[group];

	if (g->prev == FORMER_NONE)
		f->active = g->next;
	else
		f->groups[g->prev].next = g->next;
	if (g->next != FORMER_NONE)
		f->groups[g->next].prev = g->prev;
}

/* ---- the tree ---- */

/* A node's place in the heap, by Fibonacci hashing (Knuth, volume 3, 6.4): 2^64 / golden ratio. */
static uint32_t heap_of(const struct former_node *n)
{
	return (uint32_t)((n->number + 1) * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

static bool before(const struct former_node *a, const struct former_node *b)
{
	return a->key != b->key ? a->key < b->key : a->number < b->number;
}

static void replace_child(struct former *f, uint32_t parent, uint32_t old, uint32_t new)
{
	if (parent == FORMER_NONE)
		f->groups[f->nodes[old].group].root = new;
	else if (f->nodes[parent].left == old)
		f->nodes[parent].left = new;
	else
		f->nodes[parent].right = new;
	if (new != FORMER_NONE)
		f->nodes[new].parent = parent;
}

/* @node changes places with its parent; the order stays. */
static void rotate_up(struct former *f, uint32_t node)
{
	struct former_node *n = &f->nodes[node];
	const uint32_t parent = n->parent;
	struct former_node *p = &f->nodes[parent];
	uint32_t moved;

	f->steps++;
	replace_child(f, p->parent, parent, node);
	if (p->left == node) {
		moved = n->right;
		p->left = moved;
		n->right = parent;
	} else {
		moved = n->left;
		p->right = moved;
		n->left = parent;
	}
	if (moved != FORMER_NONE)
		f->nodes[moved].parent = parent;
	p->parent = node;
}

/* Hangs @node, a leaf, where its key belongs. */
static void attach(struct former *f, struct former_group *g, uint32_t node)
{
	struct former_node *n = &f->nodes[node];
	uint32_t at = g->root;

	if (at == FORMER_NONE) {
		g->root = node;
		g->first = node;
		g->last = node;
		return;
	}
	if (before(&f->nodes[g->last], n)) {
		at = g->last;
		g->last = node;
	} else if (before(n, &f->nodes[g->first])) {
		at = g->first;
		g->first = node;
	}
	for (;;) {
		uint32_t *side = before(n, &f->nodes[at]) ? &f->nodes[at].left : &f->nodes[at].right;

		f->steps++;
		if (*side == FORMER_NONE) {
			*side = node;
			n->parent = at;
			return;
		}
		at = *side;
	}
}

void former_add(struct former *f, uint32_t group, uint32_t sample, uint64_t key, uint64_t number)
{
	struct former_group *g = &f->groups[group];
	struct former_node *n = &f->nodes[sample];

	*n = (struct former_node){
		.key = key,
		.number = number,
		.group = group,
		.parent = FORMER_NONE, .left = FORMER_NONE, .right = FORMER_NONE,
	};
	attach(f, g, sample);
	while (n->parent != FORMER_NONE && heap_of(&f->nodes[n->parent]) < heap_of(n))
		rotate_up(f, sample);
	if (!g->count++)
		activate(f, group);
	f->count++;
}

uint32_t former_next(struct former *f, uint32_t sample)
{
	uint32_t at = f->nodes[sample].right;

	if (at != FORMER_NONE) {
		while (f->nodes[at].left != FORMER_NONE) {
			at = f->nodes[at].left;
			f->steps++;
		}
		return at;
	}
	at = f->nodes[sample].parent;
	while (at != FORMER_NONE && f->nodes[at].right == sample) {
		sample = at;
		at = f->nodes[at].parent;
		f->steps++;
	}
	return at;
}

static uint32_t former_prev(struct former *f, uint32_t sample)
{
	uint32_t at = f->nodes[sample].left;

	if (at != FORMER_NONE) {
		while (f->nodes[at].right != FORMER_NONE) {
			at = f->nodes[at].right;
			f->steps++;
		}
		return at;
	}
	at = f->nodes[sample].parent;
	while (at != FORMER_NONE && f->nodes[at].left == sample) {
		sample = at;
		at = f->nodes[at].parent;
		f->steps++;
	}
	return at;
}

void former_remove(struct former *f, uint32_t sample)
{
	const struct former_node *n = &f->nodes[sample];
	struct former_group *g = &f->groups[n->group];

	if (g->first == sample)
		g->first = former_next(f, sample);
	if (g->last == sample)
		g->last = former_prev(f, sample);
	while (n->left != FORMER_NONE && n->right != FORMER_NONE)
		rotate_up(f, heap_of(&f->nodes[n->left]) > heap_of(&f->nodes[n->right]) ?
			     n->left : n->right);
	replace_child(f, n->parent, sample, n->left != FORMER_NONE ? n->left : n->right);
	if (!--g->count)
		deactivate(f, n->group);
	f->count--;
}

uint32_t former_oldest(const struct former *f)
{
	uint32_t oldest = FORMER_NONE;

	for (uint32_t g = f->active; g != FORMER_NONE; g = f->groups[g].next)
		if (oldest == FORMER_NONE || before(&f->nodes[f->groups[g].first],
						    &f->nodes[f->groups[oldest].first]))
			oldest = g;
	return oldest;
}
