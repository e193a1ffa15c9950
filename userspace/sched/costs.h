/* SPDX-License-Identifier: MIT */
/* What running a network costs: the scheduler's own copy of its tables, and sums over them. */
#ifndef FNPU_SCHED_COSTS_H
#define FNPU_SCHED_COSTS_H

#include "fnpu_sched.h"

/**
 * struct costs - of a network
 * @cycles, @switch_cycles: as in struct fnpu_sched_model
 * @next_exit: first exit at or behind layer l; num_layers entries
 */
struct costs {
	uint32_t num_layers;
	uint32_t max_batch;
	uint32_t num_exits;
	uint32_t exit_layers[FNPU_SCHED_MAX_EXITS];
	uint64_t *cycles;
	uint64_t *switch_cycles;
	uint8_t *next_exit;
};

/** costs_init() - copy @model, which is valid; 0 or -ENOMEM; costs_destroy() in both cases */
int costs_init(struct costs *c, const struct fnpu_sched_model *model);
void costs_destroy(struct costs *c);

/** costs_row() - prefix sums for @batch samples */
static inline const uint64_t *costs_row(const struct costs *c, uint32_t batch)
{
	return &c->cycles[(batch - 1) * (c->num_layers + 1)];
}

/** costs_span() - cycles from boundary @from to boundary @to for @batch samples */
static inline uint64_t costs_span(const struct costs *c, uint32_t batch, uint32_t from, uint32_t to)
{
	const uint64_t *row = costs_row(c, batch);

	return row[to] - row[from];
}

/** costs_rest() - cycles from boundary @from to the end for @batch samples */
static inline uint64_t costs_rest(const struct costs *c, uint32_t batch, uint32_t from)
{
	return costs_span(c, batch, from, c->num_layers);
}

/** costs_switch() - cycles to write back @batch samples' activations at boundary @layer */
static inline uint64_t costs_switch(const struct costs *c, uint32_t batch, uint32_t layer)
{
	return c->switch_cycles[(batch - 1) * (c->num_layers + 1) + layer];
}

/** costs_exit_boundary() - the boundary behind exit head @exit */
static inline uint32_t costs_exit_boundary(const struct costs *c, uint32_t exit)
{
	return c->exit_layers[exit] + 1;
}

/** costs_to_exit() - cycles from boundary @from to the next exit for @batch samples */
static inline uint64_t costs_to_exit(const struct costs *c, uint32_t batch, uint32_t from)
{
	return costs_span(c, batch, from, costs_exit_boundary(c, c->next_exit[from]));
}

/** costs_boundary() - the first behind @from that @batch samples reach after @cycles or later */
uint32_t costs_boundary(const struct costs *c, uint32_t batch, uint32_t from, uint64_t cycles);

#endif /* FNPU_SCHED_COSTS_H */
