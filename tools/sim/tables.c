// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fnpu_cost.h"
#include "tables.h"

/* Cycles in which what @batch samples have on chip at @boundary goes to DRAM, one by one. */
static uint64_t switch_cycles(const struct npu_network *n, uint32_t batch, uint32_t boundary)
{
	uint64_t cycles = 0;

	for (uint32_t i = 0; boundary && i < batch; i++)
		cycles += fnpu_dram_cycles(&n->config.geometry, n->groups[boundary - 1].resident[batch - 1][i]);
	return cycles;
}

int tables_open(struct tables *t, const struct sim_model *m, uint32_t max_batch, double exit_error)
{
	const struct npu_network *n = m->network;
	const uint32_t batches = max_batch && max_batch < n->max_batch ? max_batch : n->max_batch;
	const uint32_t entries = n->num_groups + 1;

	*t = (struct tables){
		.cycles = calloc((size_t)batches * entries, sizeof(*t->cycles)),
		.switch_cycles = calloc((size_t)batches * entries, sizeof(*t->switch_cycles)),
	};
	if (!t->cycles || !t->switch_cycles)
		return -ENOMEM;
	for (uint32_t b = 1; b <= batches; b++) {
		memcpy(&t->cycles[(b - 1) * entries], n->cycles[b - 1],
		       entries * sizeof(*t->cycles));
		for (uint32_t l = 0; l < entries; l++)
			t->switch_cycles[(b - 1) * entries + l] = switch_cycles(n, b, l);
	}
	exits_misjudged(m->profile, exit_error, t->shares);
	t->model = (struct fnpu_sched_model){
		.num_layers = n->num_groups,
		.max_batch = batches,
		.cycles = t->cycles,
		.switch_cycles = t->switch_cycles,
		.num_exits = n->num_exits,
		.exit_layers = n->exit_group,
		.exit_shares = t->shares,
	};
	return 0;
}

void tables_close(struct tables *t)
{
	free(t->switch_cycles);
	free(t->cycles);
}
