/* SPDX-License-Identifier: MIT */
/* What the files of nputrace share: the kernel's side of a recording. */
#ifndef NPUTRACE_H
#define NPUTRACE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct fnpu_error;

/**
 * struct kernel_trace - the driver's tracepoints, recorded into an instance of tracefs of our own
 * @instance: its directory, "" if there is none
 * @pipe: its trace_pipe, or -1
 * @lines: what came out of it so far, a temporary file
 */
struct kernel_trace {
	char instance[256];
	int pipe;
	FILE *lines;
};

/**
 * kernel_trace_start() - from now on the tracepoints are recorded
 * @buffer_kb: per processor
 * Errors: -EACCES, -ENOENT the driver is not loaded, or there is no tracefs, others of its files
 */
int kernel_trace_start(struct kernel_trace *k, uint32_t buffer_kb, struct fnpu_error *error);

/** kernel_trace_drain() - take what is there; 0 or a negative errno */
int kernel_trace_drain(struct kernel_trace *k);

/** kernel_trace_stop() - no more; returns how many events were lost because nobody took them in time */
uint64_t kernel_trace_stop(struct kernel_trace *k);

/** kernel_trace_free() - the instance goes; fine after a failed start, too */
void kernel_trace_free(struct kernel_trace *k);

/**
 * struct clock_map - what time it was on the device
 * @host_ns, @device_us: the same moment
 */
struct clock_map {
	double host_ns;
	double device_us;
};

/**
 * kernel_trace_write() - the recorded events in the Trace Event format, each as ",\n{...}"
 * @clock_hz: of the device
 * @map: from the library, or NULL: it is made of the events that have both times
 * Returns how many events it wrote, or a negative errno.
 */
int64_t kernel_trace_write(struct kernel_trace *k, uint32_t clock_hz, const struct clock_map *map,
			   FILE *out);

#endif /* NPUTRACE_H */
