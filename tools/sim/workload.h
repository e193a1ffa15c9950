/* SPDX-License-Identifier: MIT */
/*
 * Workloads: when requests arrive. All are seeded, endless, and give the rate that they are
 * asked for.
 *
 *	poisson		independent arrivals
 *	bursty		two-state Markov-modulated Poisson process: a burst has factor times the
 *			mean rate and lasts burst_s on average, the quiet time between two
 *			has 1/factor of it and lasts factor * burst_s: on average the mean rate
 *	cameras		cameras that send a frame per period each, at phases of their own; a
 *			frame is early or late by up to jitter periods (uniform)
 *	a file		recorded intervals: a line has the microseconds since the previous request
 *			and, if it likes, the exit of the request; "#" begins a comment. The file
 *			starts over at its end.
 *
 * A request belongs to a stream: its camera; otherwise one of @streams at random.
 */
#ifndef SIM_WORKLOAD_H
#define SIM_WORKLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "fluidnpu.h"
#include "rng.h"

#define WORKLOAD_MAX_STREAMS	4096u
#define WORKLOAD_NO_EXIT	0xffu
#define WORKLOAD_TEXT_BYTES	512u

enum workload_kind {
	WORKLOAD_POISSON,
	WORKLOAD_BURSTY,
	WORKLOAD_CAMERAS,
	WORKLOAD_FILE,
};

/**
 * struct workload_options - a workload as named on the command line
 * @factor, @burst_s: bursty
 * @jitter: cameras, in periods
 * @streams: cameras, or streams that requests are dealt to
 * @path: FILE
 */
struct workload_options {
	enum workload_kind kind;
	double factor;
	double burst_s;
	double jitter;
	uint32_t streams;
	char path[WORKLOAD_TEXT_BYTES];
};

/**
 * workload_parse() - "poisson", "bursty:factor=2.5,burst=0.2", "cameras:n=16,jitter=0.1", or
 * a file name; poisson and bursty take streams=N, too
 * Returns 0, or -EINVAL with a sentence in @error.
 */
int workload_parse(const char *text, struct workload_options *options, struct fnpu_error *error);

struct workload_interval {
	double seconds;
	uint8_t exit;
};

struct workload_camera {
	double frame;	/* when its frame is due */
	double next;	/* when it comes */
};

/**
 * struct workload - a source of arrivals
 * @mean_s: interval between requests
 * @now: of the last arrival, seconds
 * @burst, @state_end: bursty
 * @cameras: heap, the earliest on top; @order: whose entry that is
 * @intervals: of the file, scaled to @mean_s
 */
struct workload {
	struct workload_options options;
	struct rng rng;
	double mean_s;
	double now;
	bool burst;
	double state_end;
	struct workload_camera *cameras;
	uint32_t *order;
	struct workload_interval *intervals;
	uint32_t num_intervals;
	uint32_t next_interval;
};

/** struct arrival - @exit: WORKLOAD_NO_EXIT unless the file says it */
struct arrival {
	double seconds;
	uint32_t stream;
	uint8_t exit;
};

/**
 * workload_open() - start the workload
 * @rate_hz: requests per second; 0: as the file has them (only for a file)
 * Returns 0 or a negative errno with a sentence in @error. workload_close() it after success.
 */
int workload_open(struct workload *w, const struct workload_options *options, double rate_hz,
		  uint64_t seed, struct fnpu_error *error);

/** workload_next() - the next arrival; times do not decrease */
struct arrival workload_next(struct workload *w);

void workload_close(struct workload *w);

/**
 * workload_read_file() - the intervals of a file, unscaled
 * @intervals: out; free() it
 * Refuses what is empty, no number, negative (time would run backwards) or longer than an hour.
 */
int workload_read_file(const char *path, struct workload_interval **intervals, uint32_t *count,
		       struct fnpu_error *error);

#endif /* SIM_WORKLOAD_H */
