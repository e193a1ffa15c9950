/* SPDX-License-Identifier: MIT */
/*
 * Traces: where the samples of a run leave, for NPUs that only model time. A text file
 * with one exit index per sample, in order, separated by white space.
 */
#ifndef FNPU_TRACE_H
#define FNPU_TRACE_H

#include "fluidnpu.h"

#define TRACE_MAX_BYTES	(64 << 20)	/* a trace is shorter: over 30 million samples fit */

/**
 * trace_open() - read and check the trace @path of a network with @num_exits exits
 * @exits: out; free() it
 * @count: out: samples
 *
 * Returns 0 or a negative errno with a message that names the file.
 */
int trace_open(const char *path, uint32_t num_exits, uint8_t **exits, uint64_t *count,
	       struct fnpu_error *error);

#endif /* FNPU_TRACE_H */
