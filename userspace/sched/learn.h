/* SPDX-License-Identifier: MIT */
/*
 * Where samples leave, as learnt: per network, and per stream of samples that resemble each
 * other. A sample that left at exit e had the choice at the exits 0..e, so counts per exit give the
 * share that leaves at e of those that get there. Counts begin with what is known beforehand,
 * worth PRIOR samples, and are halved at a limit, so that what was is forgotten.
 *
 * A stream begins as its network, worth STREAM_PRIOR samples. Streams share a table of
 * fixed size by their number modulo its size: those that share a place are one stream here.
 */
#ifndef FNPU_SCHED_LEARN_H
#define FNPU_SCHED_LEARN_H

#include "fnpu_sched.h"

#define LEARN_STREAMS	64u

/** struct exit_counts - samples that left at each exit; @share: at e, of those that get there */
struct exit_counts {
	float count[FNPU_SCHED_MAX_EXITS];
	float share[FNPU_SCHED_MAX_EXITS];
	float total;
};

/** struct learn - of a network; a stream of total 0 has not been seen */
struct learn {
	uint32_t num_exits;
	struct exit_counts all;
	struct exit_counts streams[LEARN_STREAMS];
};

/** learn_init() - @shares: NULL: nothing is known */
void learn_init(struct learn *l, uint32_t num_exits, const double *shares);

/** learn_exit() - a sample of @stream left at @exit by its own choice */
void learn_exit(struct learn *l, uint32_t stream, uint32_t exit);

/** learn_share() - what share of @stream's samples that reach @exit leaves there */
static inline float learn_share(const struct learn *l, uint32_t stream, uint32_t exit)
{
	const struct exit_counts *c = &l->streams[stream % LEARN_STREAMS];

	return c->total > 0 ? c->share[exit] : l->all.share[exit];
}

#endif /* FNPU_SCHED_LEARN_H */
