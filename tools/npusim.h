/* SPDX-License-Identifier: MIT */
/* What the files of npusim share: what it was asked for, and how it tells what it found. */
#ifndef NPUSIM_H
#define NPUSIM_H

#include "sim/sweep.h"

#define MAX_VALUES	64u

/** struct values - several values of an option: a sweep */
struct values {
	double v[MAX_VALUES];
	uint32_t num;
};

/**
 * struct npusim_options - the command line
 * @base: what all points have in common
 * @policies, @workloads, @npus ...: what is swept; each has at least one value
 * @seeds: runs per point
 * @goodput: find the highest load at which so many requests are on time; 0: do not
 */
struct npusim_options {
	struct sim_options base;
	const char *policies[MAX_VALUES];
	uint32_t num_policies;
	struct workload_options workloads[MAX_VALUES];
	const char *workload_names[MAX_VALUES];
	uint32_t num_workloads;
	enum npu_kind npus[NPU_KINDS];
	uint32_t num_npus;
	struct values loads;
	struct values slos;
	struct values max_batches;
	uint32_t seeds;
	uint32_t jobs;
	double goodput;
	const char *json;
	const char *timeline;
	const char *requests;
	const char *journal;
	const char *progress;
	bool quiet;
};

/**
 * struct npusim_point - what a line of the output is about
 * @results: [seeds]
 */
struct npusim_point {
	struct sim_options options;
	const char *workload;
	const struct sim_result *results;
	uint32_t seeds;
};

/** npusim_parse() - the command line; ends the process with a message if it is wrong */
void npusim_parse(struct npusim_options *o, int argc, char **argv);

/** npusim_print() - for people: one point in full, several as a table */
void npusim_print(const struct npusim_point *points, size_t num);

/** npusim_json() - the same as JSON in @path; 0, or -1 after a message */
int npusim_json(const struct npusim_point *points, size_t num, const char *path);

/**
 * npusim_observed() - run one point and write its requests (CSV) and timeline, where a path says so
 * Returns 0, or -1 after a message.
 */
int npusim_observed(const struct sim_options *o, const char *requests, const char *timeline,
		    struct sim_result *result);

#endif /* NPUSIM_H */
