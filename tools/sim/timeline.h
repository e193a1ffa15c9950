/* SPDX-License-Identifier: MIT */
/*
 * A simulation as a timeline in the Trace Event format, which Perfetto and chrome://tracing
 * open: a track for the NPU (which layers ran, for how many samples, where activations were
 * moved) and a track per request (queued, each time it
 * ran, how it ended).
 */
#ifndef SIM_TIMELINE_H
#define SIM_TIMELINE_H

#include "sim.h"

/** struct timeline - @failed: something could not be written */
struct timeline {
	FILE *file;
	const char *path;
	double us_per_cycle;
	bool any;
	bool failed;
};

/** timeline_open() - 0, or a negative errno with a sentence in @error */
int timeline_open(struct timeline *t, const char *path, uint32_t clock_hz,
		  struct fnpu_error *error);

/** timeline_request(), timeline_segment() - for struct sim_observer, whose user is @timeline */
void timeline_request(struct timeline *t, const struct request *r, enum outcome outcome,
		      uint64_t started, uint64_t now, uint32_t preempted, uint8_t exit);
void timeline_segment(struct timeline *t, const struct npu_network *network,
		      const struct engine_batch *batch, const uint64_t *ids, uint64_t begin,
		      uint64_t run, uint64_t end, uint32_t end_group);

/** timeline_close() - 0, or -EIO with a sentence in @error */
int timeline_close(struct timeline *t, struct fnpu_error *error);

#endif /* SIM_TIMELINE_H */
