/* SPDX-License-Identifier: MIT */
/*
 * Exit profiles: where samples leave.
 *
 *	easy, mid, hard		shares of runtime.md, for networks with four exits
 *	0.5,0.3,0.2		other shares, one per exit
 *	FILE			a network's own samples, measured by exit-profile
 *
 * A sample has one difficulty for all exits: it leaves at the first exit whose cumulative
 * share reaches that, so what is hard at one exit is hard at the next. Difficulties are
 * uniform over all samples; with a correlation those of one stream resemble each other
 * (Gaussian copula: the correlation is the share of the variance that the stream decides).
 *
 * A measured profile draws a sample's exit and, at every exit, whether its class was right.
 */
#ifndef SIM_EXITS_H
#define SIM_EXITS_H

#include <stdint.h>

#include "fluidnpu.h"
#include "rng.h"
#include "workload.h"

/**
 * struct measured_sample - of a profile file
 * @exit: where it leaves
 * @right: bit e: exit e has its class right
 */
struct measured_sample {
	uint8_t exit;
	uint8_t right;
};

/**
 * struct exit_profile
 * @share: of the samples, per exit
 * @samples: of a measured profile, in order of their exits; otherwise NULL
 */
struct exit_profile {
	uint32_t num_exits;
	double share[FLUIDNPU_MAX_EXITS];
	struct measured_sample *samples;
	uint32_t num_samples;
};

/**
 * exits_open() - the profile @text of a network with @num_exits exits
 * Returns 0 or a negative errno with a sentence in @error. exits_close() it after success.
 */
int exits_open(struct exit_profile *p, const char *text, uint32_t num_exits,
	       struct fnpu_error *error);
void exits_close(struct exit_profile *p);

/**
 * exits_misjudged() - @p's shares as a scheduler is told them that knows them badly
 * @error: 0: as they are; 1: those of the reverse profile (what is easy is held to be hard)
 */
void exits_misjudged(const struct exit_profile *p, double error, double *share);

/** struct exit_source - draws samples: per seed always the same ones */
struct exit_source {
	const struct exit_profile *profile;
	struct rng rng;
	double correlation;
	double stream_mean[WORKLOAD_MAX_STREAMS];
};

/** exit_source_open() - @correlation: 0..1 */
void exit_source_open(struct exit_source *s, const struct exit_profile *profile,
		      double correlation, uint64_t seed);

/** exit_source_next() - the next sample, of @stream; right is 0 without measurements */
struct measured_sample exit_source_next(struct exit_source *s, uint32_t stream);

#endif /* SIM_EXITS_H */
