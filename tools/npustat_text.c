// SPDX-License-Identifier: MIT
/* npustat: a reading for people. */
#include <inttypes.h>
#include <stdio.h>

#include "common/figures.h"
#include "npustat.h"

#define LABEL_WIDTH	20
#define FIGURE_WIDTH	12
#define BAR_WIDTH	40

/* Cycles as a time, as "12.345 ms". */
static const char *time_text(const struct npustat_reading *r, uint64_t cycles,
			     char text[FIGURE_BYTES])
{
	const double seconds = (double)cycles / r->info->clock_hz;

	if (seconds >= 1)
		snprintf(text, FIGURE_BYTES, "%.3f s", seconds);
	else if (seconds >= 1e-3)
		snprintf(text, FIGURE_BYTES, "%.3f ms", seconds * 1e3);
	else
		snprintf(text, FIGURE_BYTES, "%.3f us", seconds * 1e6);
	return text;
}

static void print_npu(const struct npustat_reading *r, const struct npustat_list *list)
{
	const struct fluidnpu_hw_geometry *g = &r->info->geometry;
	char act[FIGURE_BYTES], weights[FIGURE_BYTES];

	printf("FluidNPU %s\n", r->info->path[0] ? r->info->path : "emulated in this process");
	printf("  %-*s %s, hardware interface %u.%u%s\n", LABEL_WIDTH, "driver", r->info->driver,
	       r->info->hw_version >> 16, r->info->hw_version & 0xffff,
	       r->info->features & FLUIDNPU_FEATURE_FUNCTIONAL ? "" : ", models time only");
	printf("  %-*s %g MHz%s%s\n", LABEL_WIDTH, "clock", r->info->clock_hz / 1e6,
	       r->power[0] ? ", " : "", r->power);
	printf("  %-*s tile of %u x %u x %u, stacking up to %u, %u accumulator tile%s\n", LABEL_WIDTH,
	       "PE array", g->tile_rows, g->tile_depth, g->tile_cols, g->max_stack, g->acc_tiles,
	       g->acc_tiles == 1 ? "" : "s");
	printf("  %-*s SRAM %s for activations, %s for weights; DRAM %.1f GB/s\n", LABEL_WIDTH,
	       "memory", figure_bytes(g->act_sram_bytes, act),
	       figure_bytes(g->weight_sram_bytes, weights), npustat_dram_bandwidth(r->info) / 1e9);
	printf("  %-*s batches of %u, %u queues, %u address spaces\n", LABEL_WIDTH, "limits",
	       g->max_batch, g->num_queues, g->num_as);
	if (list->count > 1) {
		printf("  %-*s", LABEL_WIDTH, "NPUs here");
		for (size_t i = 0; i < list->count; i++)
			printf(" %s", list->paths[i]);
		printf(" (--device)\n");
	}
}

static void print_share(const char *label, double share, const char *note)
{
	printf("  %-*s %*.2f %%%s\n", LABEL_WIDTH, label, FIGURE_WIDTH - 2, 100 * share, note);
}

static void print_fact(const struct npustat_reading *r, const struct npustat_fact *fact)
{
	const uint64_t value = r->counters.values[fact->counter];
	char text[FIGURE_BYTES];

	if (fact->unit == NPUSTAT_BYTES)
		printf("  %-*s %*s\n", LABEL_WIDTH, fact->label, FIGURE_WIDTH,
		       figure_bytes((double)value, text));
	else
		printf("  %-*s %*" PRIu64 "\n", LABEL_WIDTH, fact->label, FIGURE_WIDTH, value);
}

static void print_queues(const struct npustat_reading *r)
{
	if (!r->num_queues)
		return;
	printf("  %-*s ", LABEL_WIDTH, "jobs by queue, now");
	for (size_t i = 0; i < r->num_queues; i++)
		printf(" %" PRIu32, r->queue_jobs[i]);
	putchar('\n');
}

static void print_activity(const struct npustat_reading *r)
{
	const uint64_t *c = r->counters.values;
	char text[FIGURE_BYTES];

	printf("\nso far, %s of device time\n", time_text(r, r->counters.time, text));
	print_share("busy", npustat_busy(r), "");
	printf("  %-*s %*s\n", LABEL_WIDTH, "  that is", FIGURE_WIDTH,
	       time_text(r, c[FLUIDNPU_CNT_BUSY_CYCLES], text));
	print_share("  waiting for DRAM", npustat_ratio((double)c[FLUIDNPU_CNT_STALL_CYCLES],
							(double)c[FLUIDNPU_CNT_BUSY_CYCLES]),
		    " of that");
	print_share("PE utilisation", npustat_utilisation(r), " while busy");
	print_share("idle", npustat_ratio((double)c[FLUIDNPU_CNT_IDLE_CYCLES],
					  (double)r->counters.time), "");
	for (const struct npustat_fact *f = npustat_facts; f->metric; f++)
		if (f->label)
			print_fact(r, f);
	printf("  %-*s %*.2f times\n", LABEL_WIDTH, "each weight used", FIGURE_WIDTH - 6,
	       npustat_ratio((double)c[FLUIDNPU_CNT_WEIGHT_USED_BYTES],
			     (double)c[FLUIDNPU_CNT_WEIGHT_BYTES]));
	print_queues(r);
}

static void print_bar(double share)
{
	static const char bar[BAR_WIDTH + 1] = "########################################";

	printf("  %5.1f %%  %.*s\n", 100 * share, (int)(share * BAR_WIDTH + 0.5), bar);
}

/* Only what there was: most sizes and heads are never used. */
static void print_histograms(const struct npustat_reading *r)
{
	const uint64_t *batch = &r->counters.values[FLUIDNPU_CNT_BATCH];
	const uint64_t *exits = &r->counters.values[FLUIDNPU_CNT_EXITS];
	const double busy = (double)npustat_sum(batch, FLUIDNPU_MAX_BATCH);
	const double left = (double)npustat_sum(exits, FLUIDNPU_MAX_EXITS);
	char text[FIGURE_BYTES];

	if (busy > 0)
		printf("\n%-*s   %*s    share\n", LABEL_WIDTH, "live batch", FIGURE_WIDTH, "busy");
	for (unsigned int b = 0; b < FLUIDNPU_MAX_BATCH; b++) {
		if (!batch[b])
			continue;
		printf("  %-*u %*s", LABEL_WIDTH, b + 1, FIGURE_WIDTH, time_text(r, batch[b], text));
		print_bar(npustat_ratio((double)batch[b], busy));
	}
	if (left > 0)
		printf("\n%-*s   %*s    share\n", LABEL_WIDTH, "left at exit", FIGURE_WIDTH, "samples");
	for (unsigned int e = 0; e < FLUIDNPU_MAX_EXITS; e++) {
		if (!exits[e])
			continue;
		printf("  %-*u %*" PRIu64, LABEL_WIDTH, e, FIGURE_WIDTH, exits[e]);
		print_bar(npustat_ratio((double)exits[e], left));
	}
}

static void print_clients(const struct npustat_reading *r)
{
	char text[FIGURE_BYTES];

	if (!r->info->path[0])
		return;
	if (r->clients.count)
		printf("\n%8s  %-20s %8s %14s %*s\n", "pid", "process", "client", "busy",
		       FIGURE_WIDTH, "memory");
	else
		printf("\nno clients%s\n",
		       r->clients.partial ? " among the processes that you may see" : "");
	for (size_t i = 0; i < r->clients.count; i++) {
		const struct npu_client *c = &r->clients.items[i];

		printf("%8u  %-20s %8" PRIu64 " %11.3f ms %*s\n", c->pid, c->name, c->client_id,
		       (double)c->busy_ns / 1e6, FIGURE_WIDTH, figure_bytes((double)c->memory_bytes, text));
	}
	if (r->clients.partial)
		printf("Processes of other users, and the queues, are shown to root only.\n");
}

void npustat_text(const struct npustat_reading *r, const struct npustat_list *list)
{
	print_npu(r, list);
	print_activity(r);
	print_histograms(r);
	print_clients(r);
}
