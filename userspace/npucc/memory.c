// SPDX-License-Identifier: MIT
/*
 * Where each tensor lies in a sample's state.
 *
 * A tensor occupies its bytes from the layer that writes it to the last that reads it;
 * tensors whose lifetimes do not meet may share bytes. Between any two layers
 * the state therefore holds all that later layers need, which is what makes a
 * sample resumable from every boundary.
 *
 * Placement is greedy by size: the largest tensor first, each as low as it
 * fits. That is within a few per cent of optimal for networks, whose peak is
 * set by a few large tensors.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"

static uint64_t aligned_bytes(const struct npucc_tensor *t)
{
	return (npucc_tensor_bytes(t) + NPUCC_ALIGN_BYTES - 1) & ~(uint64_t)(NPUCC_ALIGN_BYTES - 1);
}

static int larger_first(const void *a, const void *b)
{
	const struct npucc_tensor *x = *(struct npucc_tensor *const *)a;
	const struct npucc_tensor *y = *(struct npucc_tensor *const *)b;

	if (npucc_tensor_bytes(x) != npucc_tensor_bytes(y))
		return npucc_tensor_bytes(x) > npucc_tensor_bytes(y) ? -1 : 1;
	return x->first < y->first ? -1 : x->first > y->first;
}

static bool lifetimes_meet(const struct npucc_tensor *a, const struct npucc_tensor *b)
{
	return a->first <= b->last && b->first <= a->last;
}

/* @placed is sorted by offset; returns the end of @t's place. */
static uint64_t place(struct npucc_tensor *t, struct npucc_tensor **placed, unsigned int num)
{
	uint64_t at = 0;
	unsigned int i;

	for (i = 0; i < num; i++) {
		const struct npucc_tensor *p = placed[i];

		if (!lifetimes_meet(t, p))
			continue;
		if (at + aligned_bytes(t) <= p->offset)
			break;
		if (at < p->offset + aligned_bytes(p))
			at = p->offset + aligned_bytes(p);
	}
	t->offset = (uint32_t)at;
	for (i = num; i && placed[i - 1]->offset > at; i--)
		placed[i] = placed[i - 1];
	placed[i] = t;
	return at + aligned_bytes(t);
}

static void set_live_bytes(struct npucc_network *net)
{
	unsigned int i, p;

	for (i = 0; i < net->num_layers; i++) {
		const struct npucc_tensor *t = net->layers[i]->out;

		for (p = t ? t->first : 1; t && p <= t->last; p++)
			net->layers[p]->live_bytes += (uint32_t)aligned_bytes(t);
	}
}

bool npucc_plan_memory(struct npucc_arena *arena, struct npucc_network *net,
		       struct npucc_error *error)
{
	struct npucc_tensor **all = npucc_alloc(arena, net->num_layers, sizeof(*all));
	struct npucc_tensor **placed = npucc_alloc(arena, net->num_layers, sizeof(*placed));
	unsigned int num = 0, i;
	uint64_t end, top = 0;

	for (i = 0; i < net->num_layers; i++)
		if (net->layers[i]->out)
			all[num++] = net->layers[i]->out;
	qsort(all, num, sizeof(*all), larger_first);
	for (i = 0; i < num; i++) {
		end = place(all[i], placed, i);
		if (end > INT32_MAX)
			return npucc_fail(error, "activations of one sample need %" PRIu64 " bytes or more, at most %d are possible",
					  end, INT32_MAX);
		if (end > top)
			top = end;
	}
	net->state_bytes = (uint32_t)top;
	set_live_bytes(net);
	return true;
}
