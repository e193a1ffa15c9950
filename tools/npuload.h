/* SPDX-License-Identifier: MIT */
/* The requests of npuload: read from a trace, written as npusim writes them. */
#ifndef NPULOAD_H
#define NPULOAD_H

#include <stdint.h>

struct fnpu_error;

enum load_outcome {
	LOAD_ON_TIME,
	LOAD_LATE,
	LOAD_DROPPED,
	LOAD_REJECTED,
	LOAD_OUTCOMES,
};

/**
 * struct load_request - a request, and what became of it
 * @number: in the trace
 * @exit: where it is to leave; @left_at: where it did
 * @arrival, @start, @end: cycles since the start of the trace
 * @deadline_us: in the time of the trace
 * @preempted: how often it was stopped
 */
struct load_request {
	uint64_t number;
	uint32_t exit;
	uint64_t arrival;
	double deadline_us;
	uint64_t start;
	uint64_t end;
	uint32_t left_at;
	uint32_t preempted;
	enum load_outcome outcome;
};

/**
 * load_read_trace() - the requests of a file
 * @requests: out, @num of them, in the order of their arrival, whatever the file's is; free() it
 * Errors: those of open(2), -EINVAL a line that is not understood, -ENOMEM.
 */
int load_read_trace(const char *path, struct load_request **requests, uint32_t *num,
		    struct fnpu_error *error);

/** load_write_requests() - a line of CSV per request */
int load_write_requests(const char *path, const struct load_request *requests, uint32_t num,
			double cycles_per_us, struct fnpu_error *error);

/** load_print_summary() - how many, how fast */
void load_print_summary(const struct load_request *requests, uint32_t num, double cycles_per_us);

#endif /* NPULOAD_H */
