// SPDX-License-Identifier: MIT
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "progress.h"

#define REDRAW_NS	INT64_C(100000000)
#define NS_PER_S	INT64_C(1000000000)

int64_t host_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

void progress_start(struct progress *p, const char *mode, const char *what, uint64_t total)
{
	*p = (struct progress){
		.enabled = strcmp(mode, "never") != 0,
		.terminal = isatty(STDERR_FILENO),
		.what = what,
		.total = total,
		.started_ns = host_ns(),
	};
}

static void draw(struct progress *p, uint64_t done, int64_t now)
{
	double seconds = (double)(now - p->started_ns) / NS_PER_S;
	double rate = seconds > 0 ? (double)done / seconds : 0;

	fprintf(stderr, "%s%" PRIu64 " of %" PRIu64 " %s, %3" PRIu64 " %%, %.0f per second%s",
		p->terminal ? "\r" : "", done, p->total, p->what, done * 100 / p->total, rate,
		p->terminal ? "  " : "\n");
	p->drawn_ns = now;
	p->shown = done;
}

void progress_update(struct progress *p, uint64_t done)
{
	bool last = done == p->total;
	int64_t now;

	if (!p->enabled || done == p->shown)
		return;
	if (!p->terminal) {
		if (last || done / ((p->total + 9) / 10) != p->shown / ((p->total + 9) / 10))
			draw(p, done, host_ns());
		return;
	}
	now = host_ns();
	if (last || now - p->drawn_ns >= REDRAW_NS)
		draw(p, done, now);
}

void progress_end(struct progress *p)
{
	if (p->enabled && p->terminal && p->shown)
		fputc('\n', stderr);
	p->enabled = false;
}
