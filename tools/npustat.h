/* SPDX-License-Identifier: MIT */
/*
 * npustat, in parts: readings of an NPU (npustat_read.c), what happened between two of them
 * (npustat_rates.c), and what shows them: text, JSON, the exposition format of
 * Prometheus, and a screen (npustat_screen.c) that goes on (npustat_watch.c).
 */
#ifndef NPUSTAT_H
#define NPUSTAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/fdinfo.h"
#include "fluidnpu.h"

#define NPUSTAT_PATH_BYTES	64
#define NPUSTAT_MAX_NPUS	64

/* ---- facts -------------------------------------------------------------- */

/** enum npustat_unit - of a counter */
enum npustat_unit { NPUSTAT_COUNT, NPUSTAT_BYTES, NPUSTAT_CYCLES };

/**
 * struct npustat_fact - a counter as people and Prometheus know it
 * @counter: enum fluidnpu_counter
 * @unit: of it
 * @label: in text and on the screen; NULL: both show it in some other form
 * @metric: name for Prometheus without prefix; cycles are seconds there
 * @help: one sentence
 */
struct npustat_fact {
	unsigned int counter;
	enum npustat_unit unit;
	const char *label;
	const char *metric;
	const char *help;
};

/** npustat_facts - all counters but the histograms; ends with a NULL metric */
extern const struct npustat_fact npustat_facts[];

/* ---- readings ----------------------------------------------------------- */

/**
 * struct npustat_list - the NPUs that the kernel driver has here
 * @paths: of their device files, by the driver's numbers
 */
struct npustat_list {
	size_t count;
	char paths[NPUSTAT_MAX_NPUS][NPUSTAT_PATH_BYTES];
};

/** npustat_list_read() - looks in sysfs, which needs no permission; none is no error */
void npustat_list_read(struct npustat_list *list);

/** npustat_default_path() - the NPU when none was asked for, as for fnpu_device_open() */
const char *npustat_default_path(const char *backend, const struct npustat_list *list);

/**
 * struct npustat_npu - an NPU that is open
 * @info: facts about @device
 * @number: of its device file; 0: emulated
 * @power_fd: the PM core's word for its state; -1: none
 * @queues_path: the driver's file in debugfs, which only root may read; "": none
 */
struct npustat_npu {
	struct fnpu_device *device;
	const struct fnpu_device_info *info;
	dev_t number;
	int power_fd;
	char queues_path[NPUSTAT_PATH_BYTES];
};

/** npustat_open() - as fnpu_device_open(); npustat_close() it */
int npustat_open(struct npustat_npu *npu, const char *backend, const char *path,
		 struct fnpu_error *error);

/** npustat_close() - one that is closed already is fine */
void npustat_close(struct npustat_npu *npu);

/**
 * struct npustat_reading - an NPU at a time
 * @info: valid until the NPU is closed
 * @taken_ns: when, of CLOCK_MONOTONIC
 * @counters: of the device
 * @power: "active", "suspended", ...; "": unknown
 * @clients: of the NPU
 * @num_queues: of @queue_jobs; 0: only root may know them
 * @queue_jobs: jobs that the device has, by queue
 */
struct npustat_reading {
	const struct fnpu_device_info *info;
	uint64_t taken_ns;
	struct fnpu_counters counters;
	char power[16];
	struct npu_clients clients;
	size_t num_queues;
	uint32_t queue_jobs[FLUIDNPU_MAX_QUEUES];
};

/**
 * npustat_read() - take a reading
 * @reading: out; npustat_reading_free() it
 * @error: filled on failure
 * Returns 0 or a negative errno; -ENODEV: the device is gone.
 */
int npustat_read(const struct npustat_npu *npu, struct npustat_reading *reading,
		 struct fnpu_error *error);

/** npustat_reading_free() - one of zeroes is fine */
void npustat_reading_free(struct npustat_reading *reading);

/**
 * struct npustat_resets - of an NPU since somebody has listened
 * @count: because of errors; several that come at once count as one
 * @dead: the last one did not help
 */
struct npustat_resets {
	uint64_t count;
	bool dead;
};

/** npustat_uevents_open() - a socket that polls readable when the kernel tells of a device; -1: none */
int npustat_uevents_open(void);

/** npustat_uevents_read() - take what it told, and count resets of NPU @number */
void npustat_uevents_read(int fd, dev_t number, struct npustat_resets *resets);

/* ---- figures ------------------------------------------------------------ */

/** npustat_ratio() - a / b, 0 when b is */
double npustat_ratio(double a, double b);

/** npustat_sum() - of @count values */
uint64_t npustat_sum(const uint64_t *values, size_t count);

/** npustat_busy() - share of the device's time so far in which it worked, 0..1 */
double npustat_busy(const struct npustat_reading *r);

/** npustat_utilisation() - useful over offered multiplications so far, 0..1 */
double npustat_utilisation(const struct npustat_reading *r);

/** npustat_dram_bandwidth() - bytes per second that the DRAM gives at most */
double npustat_dram_bandwidth(const struct fnpu_device_info *info);

/**
 * struct npustat_client_rate - a client in an interval
 * @client: in the later reading
 * @busy: share of the interval
 */
struct npustat_client_rate {
	const struct npu_client *client;
	double busy;
};

/**
 * struct npustat_rates - what happened between two readings; shares are 0..1
 * @busy: share of the interval in which the NPU worked
 * @utilisation: of the PEs while busy
 * @stalled: share of the busy time that waited for DRAM
 * @dram: share of the DRAM's bandwidth
 * @live_batch: mean while busy; 0: was idle
 * @per_second: of each counter
 * @batch: share of the busy time, by live batch size - 1
 * @exits: share of the samples that left, by exit
 * @num_clients, @clients: in the order that was asked for
 */
struct npustat_rates {
	double busy;
	double utilisation;
	double stalled;
	double dram;
	double live_batch;
	double per_second[FLUIDNPU_CNT_NUM];
	double batch[FLUIDNPU_MAX_BATCH];
	double exits[FLUIDNPU_MAX_EXITS];
	size_t num_clients;
	struct npustat_client_rate *clients;
};

/** enum npustat_sort - what clients are sorted by: the most first, processes by number */
enum npustat_sort { NPUSTAT_BY_BUSY, NPUSTAT_BY_MEMORY, NPUSTAT_BY_PID, NPUSTAT_NUM_SORTS };

/**
 * npustat_rates() - compare two readings of one NPU
 * @rates: out; npustat_rates_free() them; valid as long as @now
 * Returns 0 or -ENOMEM.
 */
int npustat_rates(struct npustat_rates *rates, const struct npustat_reading *before,
		  const struct npustat_reading *now, enum npustat_sort sort);

/** npustat_rates_free() - those of zeroes are fine */
void npustat_rates_free(struct npustat_rates *rates);

/* ---- what shows them ---------------------------------------------------- */

/** npustat_text() - a reading for people; @list: NPUs to choose from */
void npustat_text(const struct npustat_reading *r, const struct npustat_list *list);

/** npustat_json() - a reading for programs; 0, or -1 with a message */
int npustat_json(const struct npustat_reading *r, const struct npustat_list *list);

/** npustat_prometheus() - readings of several NPUs in the text exposition format 0.0.4 */
void npustat_prometheus(const struct npustat_reading *readings, size_t count);

#define NPUSTAT_HISTORY		1024	/* intervals; more than a screen has columns */

/**
 * struct npustat_view - what the screen shows
 * @path: of the device file
 * @index, @num_npus: which of how many NPUs it is, from 1; @num_npus 0: emulated or unknown
 * @reading: NULL: there is no NPU, @message says why
 * @rates: NULL: not known yet
 * @message: "", or a sentence
 * @resets: NULL: nobody tells of them
 * @interval_s: between readings, seconds
 * @sort: of the clients
 * @paused, @help: what it shows in place of new figures, or of figures
 * @history: busy shares of the last intervals, a ring
 * @num_history: intervals so far; the newest is at (@num_history - 1) % NPUSTAT_HISTORY
 */
struct npustat_view {
	const char *path;
	size_t index;
	size_t num_npus;
	const struct npustat_reading *reading;
	const struct npustat_rates *rates;
	const char *message;
	const struct npustat_resets *resets;
	double interval_s;
	enum npustat_sort sort;
	bool paused;
	bool help;
	float history[NPUSTAT_HISTORY];
	size_t num_history;
};

/**
 * npustat_screen_start() - take the terminal over
 * Returns 0, or -1 with a message. Standard input and output must be a terminal.
 */
int npustat_screen_start(void);

/** npustat_screen_end() - give the terminal back as it was */
void npustat_screen_end(void);

/** npustat_screen_resize() - the terminal has another size */
void npustat_screen_resize(void);

/** npustat_screen_key() - a key that was pressed, or -1 */
int npustat_screen_key(void);

/** npustat_screen_draw() - as much of it as there is room for */
void npustat_screen_draw(const struct npustat_view *view);

/**
 * struct npustat_watch - what --watch is asked to do
 * @backend, @path: as npustat_open()
 * @interval_s: seconds between readings, NPUSTAT_MIN_INTERVAL_S..NPUSTAT_MAX_INTERVAL_S
 * @count: screens after which it ends; 0: never
 */
struct npustat_watch {
	const char *backend;
	const char *path;
	double interval_s;
	uint64_t count;
};

#define NPUSTAT_MIN_INTERVAL_S	0.1
#define NPUSTAT_MAX_INTERVAL_S	3600.0

/** npustat_watch() - until somebody ends it; 0, or -1 with a message */
int npustat_watch(const struct npustat_watch *options);

#endif /* NPUSTAT_H */
