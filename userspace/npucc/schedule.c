// SPDX-License-Identifier: MIT
/*
 * Order of execution.
 *
 * Exits are taken in order; for each, what it needs and has not run yet is appended
 * depth first. So a head runs right behind the stage it hangs on, and an easy sample
 * leaves before anything deeper is computed. Of a layer's inputs the deeper one comes
 * first: the long branch of a residual block runs while the short one's result
 * is not yet there to occupy memory.
 */
#include "program.h"

struct scheduler {
	struct npucc_layer **order;
	unsigned int num;
};

/* Of all layers that write @t; 0 for the network's input. */
static unsigned int depth_of(const struct npucc_tensor *t)
{
	const struct npucc_layer *l;
	unsigned int depth = 0;

	for (l = t->producer; l; l = l->sibling)
		if (l->depth >= depth)
			depth = l->depth + 1;
	return depth;
}

static void set_depths(struct npucc_network *net)
{
	unsigned int i, k;

	for (i = 0; i < net->num_layers; i++) {
		struct npucc_layer *l = net->layers[i];

		for (k = 0; k < l->num_inputs; k++)
			if (depth_of(l->in[k]) > l->depth)
				l->depth = depth_of(l->in[k]);
	}
}

/* Recursion is as deep as the network, at most FLUIDNPU_MAX_LAYERS. */
static void visit(struct scheduler *s, struct npucc_layer *l)
{
	unsigned int first = 0, i;
	struct npucc_layer *p;

	if (l->scheduled)
		return;
	l->scheduled = true;
	if (l->num_inputs == 2 && depth_of(l->in[1]) > depth_of(l->in[0]))
		first = 1;
	for (i = 0; i < l->num_inputs; i++)
		for (p = l->in[first ^ i]->producer; p; p = p->sibling)
			visit(s, p);
	l->position = s->num;
	s->order[s->num++] = l;
}

/* Sets bit @exit for all that @head needs. */
static void mark_needed(const struct npucc_network *net, const struct npucc_layer *head,
			uint8_t *needed_by, unsigned int exit)
{
	const uint8_t bit = (uint8_t)(1u << exit);
	const struct npucc_layer *p;
	unsigned int i, k;

	needed_by[head->position] |= bit;
	/* layers are in topological order, so one sweep backwards finds all ancestors */
	for (i = net->num_layers; i--;) {
		const struct npucc_layer *l = net->layers[i];

		for (k = 0; (needed_by[i] & bit) && k < l->num_inputs; k++)
			for (p = l->in[k]->producer; p; p = p->sibling)
				needed_by[p->position] |= bit;
	}
}

/* What an exit runs together with others, and alone. */
struct exit_depth {
	unsigned int shared_layers;
	uint64_t own_macs;
};

static bool is_deeper(const struct exit_depth *a, const struct exit_depth *b)
{
	if (a->shared_layers != b->shared_layers)
		return a->shared_layers > b->shared_layers;
	return a->own_macs > b->own_macs;
}

void npucc_order_exits(struct npucc_arena *arena, struct npucc_network *net)
{
	uint8_t *needed_by = npucc_alloc(arena, net->num_layers, 1);
	struct exit_depth depth[FLUIDNPU_MAX_EXITS] = { { 0 } };
	unsigned int i, e;

	for (i = 0; i < net->num_layers; i++)
		net->layers[i]->position = i;
	for (e = 0; e < net->num_exits; e++)
		mark_needed(net, net->exits[e].layer, needed_by, e);
	for (i = 0; i < net->num_layers; i++) {
		for (e = 0; e < net->num_exits; e++) {
			if (needed_by[i] == 1u << e)
				depth[e].own_macs += net->layers[i]->macs;
			else if (needed_by[i] & (1u << e))
				depth[e].shared_layers++;
		}
	}
	/* by insertion: exits of equal depth stay as the model lists them */
	for (i = 1; i < net->num_exits; i++) {
		const struct npucc_exit exit = net->exits[i];
		const struct exit_depth own = depth[i];

		for (e = i; e && is_deeper(&depth[e - 1], &own); e--) {
			net->exits[e] = net->exits[e - 1];
			depth[e] = depth[e - 1];
		}
		net->exits[e] = exit;
		depth[e] = own;
	}
	for (e = 0; e < net->num_exits; e++) {
		net->exits[e].layer->exit_index = e;
		net->exits[e].logits_off = net->logits_bytes;
		net->logits_bytes += net->exits[e].logits->c;
	}
}

static void set_lifetimes(struct npucc_network *net)
{
	unsigned int i, k;

	for (i = net->num_layers; i--;)
		if (net->layers[i]->out)
			net->layers[i]->out->first = i;
	for (i = 0; i < net->num_layers; i++) {
		struct npucc_layer *l = net->layers[i];

		if (l->out)
			l->out->last = i;
		for (k = 0; k < l->num_inputs; k++)
			l->in[k]->last = i;
	}
}

/*
 * A vector layer runs with the layer before it when that hands over its result to it
 * alone: then nothing else needs a boundary, or the result in memory, between them.
 */
static void fuse(struct npucc_network *net)
{
	unsigned int i, size = 0;

	for (i = 0; i < net->num_layers; i++) {
		struct npucc_layer *l = net->layers[i];
		const struct npucc_tensor *prev = i ? net->layers[i - 1]->out : NULL;

		if (l->op == FLUIDNPU_LAYER_CONV) {
			size = 1;
		} else if (size && size < FLUIDNPU_MAX_GROUP && prev && prev->last == i &&
			   (l->in[0] == prev || (l->num_inputs == 2 && l->in[1] == prev))) {
			l->fused = true;
			size++;
		} else {
			size = 0;
		}
	}
}

static void set_exit_macs(struct npucc_network *net)
{
	uint64_t macs = 0;
	unsigned int i;

	for (i = 0; i < net->num_layers; i++) {
		struct npucc_layer *l = net->layers[i];

		macs += l->macs;
		if (l->op == FLUIDNPU_LAYER_EXIT)
			net->exits[l->exit_index].total_macs = macs;
	}
}

void npucc_schedule(struct npucc_arena *arena, struct npucc_network *net)
{
	struct scheduler s = { npucc_alloc(arena, net->num_layers, sizeof(*s.order)), 0 };
	unsigned int e;

	set_depths(net);
	for (e = 0; e < net->num_exits; e++)
		visit(&s, net->exits[e].layer);
	net->layers = s.order;
	net->num_layers = s.num;
	set_lifetimes(net);
	fuse(net);
	set_exit_macs(net);
}
