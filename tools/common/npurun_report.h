/* SPDX-License-Identifier: MIT */
/*
 * What npurun finds out and how it tells. "device" is what the NPU computed, modelled
 * or counted: the same for every run of the same command under a virtual clock. "host"
 * is the rest.
 */
#ifndef NPURUN_REPORT_H
#define NPURUN_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "fluidnpu.h"

/** struct exit_tally - of an exit head: samples that left (with all exits: were judged) there */
struct exit_tally {
	uint64_t samples;
	uint64_t correct;
};

/**
 * struct report - one run
 * @model, @device: borrowed
 * @has_labels: accuracies mean something
 * @all_exits: every sample ran to the last exit; tallies are of judging, not leaving
 * @samples: classified; @errors: failed
 * @correct: of @samples, by the exit that each left at
 * @latency: cycles from the job's arrival at the device to the sample's exit; [@samples], sorted by
 *	report_finish()
 * @first_queued, @last_exit: device times
 * @before, @after: counters around the run
 */
struct report {
	const struct fnpu_model_info *model;
	const struct fnpu_device_info *device;
	bool has_labels;
	bool all_exits;
	uint64_t samples;
	uint64_t errors;
	uint64_t correct;
	struct exit_tally exits[FLUIDNPU_MAX_EXITS];
	uint64_t *latency;
	uint64_t first_queued;
	uint64_t last_exit;
	struct fnpu_counters before;
	struct fnpu_counters after;
	struct fnpu_session_stats stats;

	const char *model_path;
	const char *policy;
	const char *submission;
	double wall_seconds;
};

/** report_finish() - sort what the printers need sorted */
void report_finish(struct report *r);

/** report_print() - the table, on stdout */
void report_print(const struct report *r);

/** report_json() - write it to @path; 0, or -1 with a message */
int report_json(const struct report *r, const char *path);

#endif /* NPURUN_REPORT_H */
