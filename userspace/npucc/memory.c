// SPDX-License-Identifier: MIT
/*
 * Where each tensor lies in a sample's state.
 *
 * A tensor occupies its bytes from the layer that writes it to the last that reads it;
 * tensors whose lifetimes do not meet may share bytes. Between any two groups
 * the state therefore holds all that later layers need, which is what makes a
 * sample resumable from every boundary. What a group reads stays until the group's
 * end, so that one that was cut short by an abort or a reset can run again.
 *
 * An Add writes over the result of the layer that it is fused with: it works element
 * by element, and nobody else reads that. In a residual network this takes a third
 * off the peak. (Not over a concatenation, parts of which earlier groups have written: those
 * would be lost if the group ran again.)
 *
 * Placement is greedy by size: the largest tensor first, each as low as it
 * fits. That is within a few per cent of optimal for networks, whose peak is
 * set by a few large tensors.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"

/* Bytes of the state that one tensor occupies, or several that Adds hand on in place. */
struct place {
	uint64_t bytes;
	unsigned int first, last;	/* positions in the schedule */
	uint64_t offset;
};

static uint64_t aligned_bytes(const struct npucc_tensor *t)
{
	return (npucc_tensor_bytes(t) + NPUCC_ALIGN_BYTES - 1) & ~(uint64_t)(NPUCC_ALIGN_BYTES - 1);
}

static int larger_first(const void *a, const void *b)
{
	const struct place *x = *(struct place *const *)a;
	const struct place *y = *(struct place *const *)b;

	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return x->first < y->first ? -1 : x->first > y->first;
}

static unsigned int group_first(const struct npucc_network *net, unsigned int i)
{
	while (net->layers[i]->fused)
		i--;
	return i;
}

static unsigned int group_last(const struct npucc_network *net, unsigned int i)
{
	while (i + 1 < net->num_layers && net->layers[i + 1]->fused)
		i++;
	return i;
}

/* Until when @t must stay as it is. */
static unsigned int needed_until(const struct npucc_network *net, const struct npucc_tensor *t)
{
	if (t->first >= group_first(net, t->last))
		return t->last;
	return group_last(net, t->last);
}

/*
 * The place of each layer's output, at its position in @of; new ones are listed in
 * @list. Returns their number.
 */
static unsigned int assign_places(struct npucc_arena *arena, const struct npucc_network *net,
				  struct place **of, struct place **list)
{
	unsigned int num = 0, i;

	for (i = 0; i < net->num_layers; i++) {
		const struct npucc_layer *l = net->layers[i];

		if (!l->out)
			continue;
		if (l->op == FLUIDNPU_LAYER_ADD && l->fused &&
		    net->layers[i - 1]->op != FLUIDNPU_LAYER_CONCAT) {
			of[i] = of[i - 1];
		} else if (l->out->first < i) {
			of[i] = of[l->out->first];
		} else {
			of[i] = list[num++] = npucc_alloc(arena, 1, sizeof(**list));
			of[i]->bytes = aligned_bytes(l->out);
			of[i]->first = i;
		}
		of[i]->last = needed_until(net, l->out);
	}
	return num;
}

static bool lifetimes_meet(const struct place *a, const struct place *b)
{
	return a->first <= b->last && b->first <= a->last;
}

/* Finds the lowest room for @p beside the @num in @placed, which is sorted by offset. */
static void settle(struct place *p, struct place **placed, unsigned int num)
{
	unsigned int i;

	for (i = 0; i < num; i++) {
		const struct place *other = placed[i];

		if (!lifetimes_meet(p, other))
			continue;
		if (p->offset + p->bytes <= other->offset)
			break;
		if (p->offset < other->offset + other->bytes)
			p->offset = other->offset + other->bytes;
	}
	for (i = num; i && placed[i - 1]->offset > p->offset; i--)
		placed[i] = placed[i - 1];
	placed[i] = p;
}

bool npucc_plan_memory(struct npucc_arena *arena, struct npucc_network *net,
		       struct npucc_error *error)
{
	struct place **of = npucc_alloc(arena, net->num_layers, sizeof(*of));
	struct place **list = npucc_alloc(arena, net->num_layers, sizeof(*list));
	struct place **placed = npucc_alloc(arena, net->num_layers, sizeof(*placed));
	unsigned int num = assign_places(arena, net, of, list), i, p;
	uint64_t top = 0;

	qsort(list, num, sizeof(*list), larger_first);
	for (i = 0; i < num; i++) {
		settle(list[i], placed, i);
		if (list[i]->offset + list[i]->bytes > top)
			top = list[i]->offset + list[i]->bytes;
	}
	if (top > INT32_MAX)
		return npucc_fail(error, "activations of one sample need %" PRIu64 " bytes, at most %d are possible",
				  top, INT32_MAX);
	net->state_bytes = (uint32_t)top;
	for (i = 0; i < net->num_layers; i++)
		if (net->layers[i]->out)
			net->layers[i]->out->offset = (uint32_t)of[i]->offset;
	for (i = 0; i < num; i++)
		for (p = list[i]->first; p <= list[i]->last; p++)
			net->layers[p]->live_bytes += (uint32_t)list[i]->bytes;
	return true;
}
