/* SPDX-License-Identifier: MIT */
/*
 * Progress on stderr: one line that is redrawn where a terminal can do that, otherwise
 * (a file, a pipe, TERM=dumb) a plain line about every tenth of the way.
 */
#ifndef FNPU_PROGRESS_H
#define FNPU_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool enabled;
	bool redraw;
	const char *what;
	uint64_t total;
	uint64_t shown;
	int64_t started_ns;
	int64_t drawn_ns;
};

/**
 * progress_start() - begin with 0 of @total
 * @enabled: otherwise this and the rest do nothing
 * @what: plural noun of what is counted
 */
void progress_start(struct progress *p, bool enabled, const char *what, uint64_t total);

/** progress_update() - @done are done; draws when there is reason to */
void progress_update(struct progress *p, uint64_t done);

/** progress_end() - leave the terminal's line */
void progress_end(struct progress *p);

/** host_ns() - CLOCK_MONOTONIC */
int64_t host_ns(void);

#endif /* FNPU_PROGRESS_H */
