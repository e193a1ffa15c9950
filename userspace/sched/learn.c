// SPDX-License-Identifier: MIT
#include "learn.h"

#define PRIOR_SAMPLES	100.0f
#define LIMIT_SAMPLES	4000.0f
#define LEAST_SHARE	1e-3f	/* an exit that nobody took yet is not impossible */

static void update(struct learn *l)
{
	float reach = 0;

	for (uint32_t e = l->num_exits; e--;) {
		reach += l->count[e];
		l->share[e] = reach > 0 ? l->count[e] / reach : 1;
		if (l->share[e] < LEAST_SHARE)
			l->share[e] = LEAST_SHARE;
	}
	l->share[l->num_exits - 1] = 1;
	l->total = reach;
}

void learn_init(struct learn *l, uint32_t num_exits, const double *shares)
{
	const float even = 1.0f / (float)num_exits;

	*l = (struct learn){ .num_exits = num_exits };
	for (uint32_t e = 0; e < num_exits; e++)
		l->count[e] = PRIOR_SAMPLES * (shares ? (float)shares[e] : even);
	update(l);
}

void learn_exit(struct learn *l, uint32_t exit)
{
	l->count[exit]++;
	if (l->total >= LIMIT_SAMPLES)
		for (uint32_t e = 0; e < l->num_exits; e++)
			l->count[e] /= 2;
	update(l);
}
