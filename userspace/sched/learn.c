// SPDX-License-Identifier: MIT
#include "learn.h"

#define PRIOR		100.0f
#define STREAM_PRIOR	20.0f
#define LIMIT		4000.0f	/* at which counts are halved */
#define STREAM_LIMIT	400.0f
#define LEAST		1e-3f	/* of a share: an exit that nobody took yet is not impossible */

static void update(struct exit_counts *c, uint32_t num_exits)
{
	float behind = 0;

	for (uint32_t e = num_exits; e--;) {
		behind += c->count[e];
		c->share[e] = behind > 0 ? c->count[e] / behind : 1;
		if (c->share[e] < LEAST)
			c->share[e] = LEAST;
	}
	c->share[num_exits - 1] = 1;
	c->total = behind;
}

void learn_init(struct learn *l, uint32_t num_exits, const double *shares)
{
	*l = (struct learn){ .num_exits = num_exits };
	for (uint32_t e = 0; e < num_exits; e++)
		l->all.count[e] = PRIOR * (shares ? (float)shares[e] : 1.0f / (float)num_exits);
	update(&l->all, num_exits);
}

static void count(struct exit_counts *c, uint32_t num_exits, uint32_t exit, float limit)
{
	c->count[exit]++;
	if (c->total + 1 > limit)
		for (uint32_t e = 0; e < num_exits; e++)
			c->count[e] /= 2;
	update(c, num_exits);
}

void learn_exit(struct learn *l, uint32_t stream, uint32_t exit)
{
	struct exit_counts *s = &l->streams[stream % LEARN_STREAMS];

	if (!(s->total > 0))
		for (uint32_t e = 0; e < l->num_exits; e++)
			s->count[e] = l->all.count[e] * STREAM_PRIOR / l->all.total;
	count(s, l->num_exits, exit, STREAM_LIMIT);
	count(&l->all, l->num_exits, exit, LIMIT);
}
