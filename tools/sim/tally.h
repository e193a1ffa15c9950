/* SPDX-License-Identifier: MIT */
/* What became of the requests, and the figures that a result has of it. */
#ifndef SIM_TALLY_H
#define SIM_TALLY_H

#include "engine.h"
#include "histogram.h"
#include "result.h"
#include "source.h"

/** enum outcome - of a request */
enum outcome {
	OUTCOME_ON_TIME,
	OUTCOME_LATE,
	OUTCOME_DROPPED,	/* by the policy */
	OUTCOME_REJECTED,	/* the queue was full */
};

/** outcome_name() - "on time", ... */
const char *outcome_name(enum outcome outcome);

/**
 * struct tally - of the requests behind the warm-up
 * @correct: of those with a measured class, which @judged counts
 * @first, @last: first arrival and last end of the measured requests
 */
struct tally {
	uint64_t warmup;
	uint64_t outcomes[OUTCOME_REJECTED + 1];
	uint64_t exits[FLUIDNPU_MAX_EXITS];
	uint64_t early;
	uint64_t judged, correct;
	double on_time_cycles;
	uint64_t first, last;
	struct histogram latency;
};

/**
 * tally_request() - @r has ended at @now
 * @exit: where it left, when it was served
 * @judged: is it known whether its class is right?
 */
void tally_request(struct tally *t, const struct request *r, enum outcome outcome, uint64_t now,
		   uint8_t exit, bool judged);

/** tally_result() - the figures; @counters: of the engine, over the whole run */
void tally_result(const struct tally *t, const struct sim_setup *setup,
		  const struct engine_counters *counters, uint64_t served, uint64_t end,
		  struct sim_result *r);

#endif /* SIM_TALLY_H */
