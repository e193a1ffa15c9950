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
	struct npucc_arena *arena;
	struct npucc_network *net;
	struct npucc_layer **order;
	unsigned int num;
};

static void set_depths(struct npucc_network *net)
{
	unsigned int i, k;

	for (i = 0; i < net->num_layers; i++) {
		struct npucc_layer *l = net->layers[i];

		for (k = 0; k < l->num_inputs; k++)
			if (l->in[k]->producer && l->in[k]->producer->depth >= l->depth)
				l->depth = l->in[k]->producer->depth + 1;
	}
}

/* Recursion is as deep as the network, at most FLUIDNPU_MAX_LAYERS. */
static void visit(struct scheduler *s, struct npucc_layer *l)
{
	unsigned int first = 0, i;

	if (!l || l->scheduled)
		return;
	l->scheduled = true;
	if (l->num_inputs == 2 && l->in[1]->producer &&
	    (!l->in[0]->producer || l->in[1]->producer->depth > l->in[0]->producer->depth))
		first = 1;
	for (i = 0; i < l->num_inputs; i++)
		visit(s, l->in[first ^ i]->producer);
	l->position = s->num;
	s->order[s->num++] = l;
}

static void mark_needed(const struct npucc_layer *l, unsigned int num, uint8_t *needed_by,
			struct npucc_layer *const *layers, unsigned int exit)
{
	unsigned int i, k;

	/* layers are in topological order, so one sweep backwards finds all ancestors */
	for (i = num; i--;) {
		if (layers[i] == l)
			needed_by[i] |= (uint8_t)(1u << exit);
		if (!(needed_by[i] & (1u << exit)))
			continue;
		for (k = 0; k < layers[i]->num_inputs; k++)
			if (layers[i]->in[k]->producer)
				needed_by[layers[i]->in[k]->producer->position] |=
					(uint8_t)(1u << exit);
	}
}

/*
 * Exits must be listed in order of depth, because the device numbers them as samples meet
 * them. A head hangs the deeper the more layers it shares with others; the last two
 * share the same, and there the one that needs more work of its own is deeper.
 */
static bool check_exit_order(struct scheduler *s, struct npucc_error *error)
{
	struct npucc_network *net = s->net;
	uint8_t *needed_by = npucc_alloc(s->arena, net->num_layers, 1);
	unsigned int shared[FLUIDNPU_MAX_EXITS] = { 0 }, i, e;
	uint64_t own[FLUIDNPU_MAX_EXITS] = { 0 };

	for (i = 0; i < net->num_layers; i++)
		net->layers[i]->position = i;
	for (e = 0; e < net->num_exits; e++)
		mark_needed(net->exits[e].layer, net->num_layers, needed_by, net->layers, e);
	for (i = 0; i < net->num_layers; i++) {
		for (e = 0; e < net->num_exits; e++) {
			if (needed_by[i] == 1u << e)
				own[e] += net->layers[i]->macs;
			else if (needed_by[i] & (1u << e))
				shared[e]++;
		}
	}
	for (e = 1; e < net->num_exits; e++)
		if (shared[e - 1] > shared[e] ||
		    (shared[e - 1] == shared[e] && own[e - 1] > own[e]))
			return npucc_fail(error, "exit '%s' lies deeper than exit '%s' but comes before it; list the outputs in order of depth",
					  net->exits[e - 1].name, net->exits[e].name);
	return true;
}

static void set_lifetimes(struct npucc_network *net)
{
	unsigned int i, k;

	for (i = 0; i < net->num_layers; i++) {
		struct npucc_layer *l = net->layers[i];

		if (l->out)
			l->out->first = l->out->last = i;
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

bool npucc_schedule(struct npucc_arena *arena, struct npucc_network *net,
		    struct npucc_error *error)
{
	struct scheduler s = { .arena = arena, .net = net };
	unsigned int e;

	set_depths(net);
	if (!check_exit_order(&s, error))
		return false;
	s.order = npucc_alloc(arena, net->num_layers, sizeof(*s.order));
	for (e = 0; e < net->num_exits; e++)
		visit(&s, net->exits[e].layer);
	net->layers = s.order;
	net->num_layers = s.num;
	set_lifetimes(net);
	fuse(net);
	set_exit_macs(net);
	return true;
}
