// SPDX-License-Identifier: MIT
#include "outlook.h"

double outlook_cycles(const struct costs *c, double live, uint32_t from, uint32_t to)
{
	const uint32_t low = (uint32_t)live;
	const double part = live - low;
	double cycles = 0;

	if (low)
		cycles = (double)costs_span(c, low, from, to) * (1 - part);
	if (part > 0 && low < c->max_batch)
		cycles += (double)costs_span(c, low + 1, from, to) * part;
	return cycles;
}

struct outlook outlook_of(const struct costs *c, const struct learn *l, double live, uint32_t from,
			  uint32_t to)
{
	struct outlook o = { .live = live };

	while (from < to) {
		const uint32_t exit = c->next_exit[from], boundary = costs_exit_boundary(c, exit);
		double leave;

		if (boundary > to) {
			o.cycles += outlook_cycles(c, o.live, from, to);
			break;
		}
		o.cycles += outlook_cycles(c, o.live, from, boundary);
		leave = o.live * (double)l->share[exit];
		o.flow += leave * o.cycles;
		o.live -= leave;
		from = boundary;
	}
	return o;
}
