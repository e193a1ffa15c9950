// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "costs.h"

int costs_init(struct costs *c, const struct fnpu_sched_model *m)
{
	const size_t entries = (size_t)m->max_batch * (m->num_layers + 1);
	uint32_t exit = 0;

	c->num_layers = m->num_layers;
	c->max_batch = m->max_batch;
	c->num_exits = m->num_exits;
	memcpy(c->exit_layers, m->exit_layers, m->num_exits * sizeof(c->exit_layers[0]));
	c->cycles = calloc(entries, sizeof(*c->cycles));
	c->switch_cycles = calloc(entries, sizeof(*c->switch_cycles));
	c->next_exit = calloc(m->num_layers, sizeof(*c->next_exit));
	if (!c->cycles || !c->switch_cycles || !c->next_exit)
		return -ENOMEM;
	memcpy(c->cycles, m->cycles, entries * sizeof(*c->cycles));
	if (m->switch_cycles)
		memcpy(c->switch_cycles, m->switch_cycles, entries * sizeof(*c->switch_cycles));
	for (uint32_t l = 0; l < m->num_layers; l++) {
		c->next_exit[l] = (uint8_t)exit;
		if (l == m->exit_layers[exit])
			exit++;
	}
	return 0;
}

void costs_destroy(struct costs *c)
{
	free(c->next_exit);
	free(c->switch_cycles);
	free(c->cycles);
}

uint32_t costs_boundary(const struct costs *c, uint32_t batch, uint32_t from, uint64_t cycles)
{
	const uint64_t *row = costs_row(c, batch);
	uint32_t low = from + 1, high = c->num_layers;

	while (low < high) {
		const uint32_t middle = (low + high) / 2;

		if (row[middle] - row[from] >= cycles)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}
