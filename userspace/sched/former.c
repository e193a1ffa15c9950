// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>

#include "former.h"

int former_init(struct former *f, uint32_t max_samples, uint32_t num_groups)
{
	f->nodes = calloc(max_samples, sizeof(*f->nodes));
	f->groups = calloc(num_groups, sizeof(*f->groups));
	if (!f->nodes || !f->groups)
		return -ENOMEM;
	for (uint32_t i = 0; i < num_groups; i++)
		f->groups[i].head = FORMER_NONE;
	f->head = FORMER_NONE;
	f->tail = FORMER_NONE;
	f->count = 0;
	return 0;
}

void former_destroy(struct former *f)
{
	free(f->nodes);
	free(f->groups);
}

void former_add(struct former *f, uint32_t group, uint32_t sample)
{
	struct former_node *n = &f->nodes[sample];
	struct former_group *g = &f->groups[group];

	n->group = group;
	n->group_next = FORMER_NONE;
	if (g->head == FORMER_NONE)
		g->head = sample;
	else
		f->nodes[g->tail].group_next = sample;
	g->tail = sample;
	g->count++;

	n->next = FORMER_NONE;
	n->prev = f->tail;
	if (f->tail == FORMER_NONE)
		f->head = sample;
	else
		f->nodes[f->tail].next = sample;
	f->tail = sample;
	f->count++;
}

uint32_t former_oldest(const struct former *f)
{
	return f->head == FORMER_NONE ? FORMER_NONE : f->nodes[f->head].group;
}

static void unlink_from_all(struct former *f, const struct former_node *n)
{
	if (n->prev == FORMER_NONE)
		f->head = n->next;
	else
		f->nodes[n->prev].next = n->next;
	if (n->next == FORMER_NONE)
		f->tail = n->prev;
	else
		f->nodes[n->next].prev = n->prev;
	f->count--;
}

uint32_t former_take(struct former *f, uint32_t group, uint32_t max, uint32_t *samples)
{
	struct former_group *g = &f->groups[group];
	uint32_t taken;

	for (taken = 0; taken < max && g->head != FORMER_NONE; taken++) {
		const struct former_node *n = &f->nodes[g->head];

		samples[taken] = g->head;
		unlink_from_all(f, n);
		g->head = n->group_next;
	}
	g->count -= taken;
	return taken;
}
