/* SPDX-License-Identifier: MIT */
/*
 * npucc --report: what a program costs, layer by layer. The figures are gathered
 * once; text, JSON and roofline are three ways to write them.
 *
 *	report.c	the figures, and the table for people
 *	report_json.c	all of them, for programs
 *	report_roofline.c	intensity against performance, as a picture
 */
#ifndef NPUCC_REPORT_H
#define NPUCC_REPORT_H

#include <stdio.h>

#include "fnpu_cost.h"
#include "program.h"

/**
 * struct npucc_group - layers that run together: the unit that has a policy and a cost
 * @first, @count: its layers
 * @row: control-block row, entry b - 1 for a live batch of b
 * @cost: likewise
 */
struct npucc_group {
	unsigned int first, count;
	const struct fluidnpu_hw_policy *row;
	struct fnpu_cost cost[FLUIDNPU_MAX_BATCH];
};

/**
 * struct npucc_report - the figures
 * @exit_cycles: per exit, of a batch of which nobody leaves before; entry b - 1 for b
 */
struct npucc_report {
	const struct npucc_program *program;
	unsigned int num_groups;
	struct npucc_group *groups;
	uint64_t exit_cycles[FLUIDNPU_MAX_EXITS][FLUIDNPU_MAX_BATCH];
};

/** npucc_report() - gather the figures; in @arena, refers to @program */
struct npucc_report *npucc_report(struct npucc_arena *arena, const struct npucc_program *program);

/*
 * Writers. False: out of memory; errors of the stream are the caller's to look for.
 */

/** npucc_report_text() - tables of at most 160 columns */
bool npucc_report_text(const struct npucc_report *report, FILE *out);

/** npucc_report_json() - everything, for every live batch size */
bool npucc_report_json(const struct npucc_report *report, FILE *out);

/** npucc_report_roofline() - an SVG: MACs per DRAM byte against MACs per cycle */
bool npucc_report_roofline(const struct npucc_report *report, FILE *out);

/* What the writers share. */

/** npucc_peak_macs() - per cycle, of the whole PE array */
double npucc_peak_macs(const struct npucc_report *report);

/** npucc_utilisation() - share of the multiplications that the PE array could have done */
double npucc_utilisation(const struct npucc_report *report, uint64_t macs, uint64_t cycles);

/** npucc_dram_bytes() - what a group moves to and from DRAM */
uint64_t npucc_dram_bytes(const struct fnpu_cost *cost);

/** npucc_bound() - "compute", "memory" or "vector": which of the three takes longest */
const char *npucc_bound(const struct fnpu_cost *cost);

#endif /* NPUCC_REPORT_H */
