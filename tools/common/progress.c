// SPDX-License-Identifier: MIT
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "progress.h"

#define REDRAW_NS	INT64_C(100000000)
#define NS_PER_S	INT64_C(1000000000)

int64_t host_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* Can stderr draw a line again over itself? Serial consoles and logs of CI cannot. */
static bool can_redraw(void)
{
	const char *term = getenv("TERM");

	return isatty(STDERR_FILENO) && term && *term && strcmp(term, "dumb");
}

void progress_start(struct progress *p, bool enabled, const char *what, uint64_t total)
{
	*p = (struct progress){
		.enabled = enabled,
		.redraw = can_redraw(),
		.what = what,
		.total = total,
		.started_ns = host_ns(),
	};
}

static void show(struct progress *p, uint64_t done, int64_t now)
{
	double seconds = (double)(now - p->started_ns) / NS_PER_S;
	double rate = seconds > 0 ? (double)done / seconds : 0;

	cli_draw("%" PRIu64 " of %" PRIu64 " %s, %3" PRIu64 " %%, %.0f per second", done, p->total,
		 p->what, done * 100 / p->total, rate);
	if (!p->redraw)
		cli_end_line();
	p->drawn_ns = now;
	p->shown = done;
}

void progress_update(struct progress *p, uint64_t done)
{
	const uint64_t tenth = (p->total + 9) / 10;
	const int64_t now = host_ns();

	if (!p->enabled || done == p->shown)
		return;
	if (done == p->total ||
	    (p->redraw ? now - p->drawn_ns >= REDRAW_NS : done / tenth != p->shown / tenth))
		show(p, done, now);
}

void progress_end(struct progress *p)
{
	cli_end_line();
	p->enabled = false;
}
