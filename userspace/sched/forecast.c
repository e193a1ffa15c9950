// SPDX-License-Identifier: MIT
#include "forecast.h"
#include "outlook.h"

static void forecast_batch(struct forecast *f, const struct costs *c, const struct learn *l,
			   uint32_t stage, uint32_t batch)
{
	uint32_t at = stage ? costs_exit_boundary(c, stage - 1) : 0;
	double live = batch, cycles = 0, staying = 0;

	for (uint32_t e = stage; e < c->num_exits; e++) {
		const uint32_t end = costs_exit_boundary(c, e);
		const double others = (batch - 1) * live / batch;

		cycles += outlook_cycles(c, live, at, end);
		staying += outlook_cycles(c, 1 + others, at, end);
		live *= 1 - (double)l->share[e];
		at = end;
		f->cycles[stage][batch - 1][e] = (float)cycles;
		f->staying[stage][batch - 1][e] = (float)staying;
		f->leave[stage][e] = (float)(1 - live / batch);
	}
}

void forecast_make(struct forecast *f, const struct costs *c, const struct learn *l)
{
	for (uint32_t stage = 0; stage < c->num_exits; stage++)
		for (uint32_t batch = 1; batch <= c->max_batch; batch++)
			forecast_batch(f, c, l, stage, batch);
	f->batch_work = f->cycles[0][c->max_batch - 1][c->num_exits - 1] / (float)c->max_batch;
	f->batch_gain = f->cycles[0][0][c->num_exits - 1] / f->batch_work;
}
