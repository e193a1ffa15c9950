/* SPDX-License-Identifier: MIT */
/*
 * What the files of npuload share:
 *
 *	npuload.c		main: sets up, goes through the rates
 *	npuload_options.c	the command line
 *	npuload_source.c	which requests come when, and their inputs
 *	npuload_run.c		serves them
 *	npuload_figures.c	what that says: latencies, deadlines, use of the NPU
 *	npuload_verdict.c	whether a run is valid, and whether it meets a bound
 *	npuload_search.c	the highest rate that does
 *	npuload_requests.c	files of requests
 *	npuload_report.c	for people; npuload_json.c, npuload_csv.c: for programs
 *	npuload_compare.c	two reports side by side
 */
#ifndef NPULOAD_H
#define NPULOAD_H

#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "fluidnpu.h"
#include "sim/setup.h"

#define LOAD_MAX_POINTS		256u
#define LOAD_MAX_REQUESTS	(1u << 24)
#define LOAD_NO_DEADLINE	UINT64_MAX
#define LOAD_REASON_BYTES	128

/* ---- what is asked for ---- */

enum load_scenario {
	LOAD_SINGLE_STREAM,
	LOAD_MULTI_STREAM,
	LOAD_SERVER,
	LOAD_OFFLINE,
	LOAD_BURSTY,
	LOAD_CAMERAS,
	LOAD_INTERVALS,
	LOAD_TRACE,
	LOAD_SCENARIOS,
};

/** load_scenario_names - as on the command line */
extern const char *const load_scenario_names[LOAD_SCENARIOS];

/** struct load_range - @from, @from + @step, ... up to @to; @from == 0: not given */
struct load_range {
	double from, to, step;
};

/**
 * struct load_options - the command line
 * @workload: arrivals of SERVER, BURSTY, CAMERAS, INTERVALS
 * @fps: frames per second of a camera; 0: by @rate or @load
 * @busy_factor, @busy_s: of the cameras' busy scenes; a factor of 1: none
 * @streams: samples of a query of MULTI_STREAM
 * @rate: requests per second; @load: of the serial capacity of the conventional NPU
 * @shares: that the policy is told; @num_shares of them
 * @slo_ms, @slo_factor: deadline, or 0; the factor is as npusim's
 * @count: requests that are measured (samples, not queries); 0: until @duration_s of device time is
 *	over
 * @warmup: requests before them
 * @bound_percent, @bound_ms: so many percent are to be that fast; 0: no bound
 * @search: rates among which to look for the highest that meets it
 */
struct load_options {
	const char *model;
	const char *backend;
	const char *device;
	const char *submission;
	const char *policy;
	uint32_t batch;
	uint32_t queue;
	uint32_t depth;

	enum load_scenario scenario;
	struct workload_options workload;
	double fps;
	double busy_factor;
	double busy_s;
	uint32_t streams;
	const char *trace;
	struct load_range rate;
	struct load_range load;

	const char *images;
	const char *labels;
	const char *exits;
	double correlation;
	double shares[FLUIDNPU_MAX_EXITS];
	uint32_t num_shares;
	double slo_ms;
	double slo_factor;
	double best_effort;
	double reject_late;

	uint64_t count;
	uint64_t warmup;
	double duration_s;
	uint64_t seed;

	double bound_percent;
	double bound_ms;
	struct load_range search;

	const char *json;
	const char *csv;
	const char *requests;
	const char *save_trace;
	const char *save_intervals;
	const char *compare[2];
	bool quiet;
};

/** load_parse() - the command line; ends the process with a message if it is wrong */
void load_parse(struct load_options *o, int argc, char **argv);

/** load_range_points() - how many values @r has */
uint32_t load_range_points(const struct load_range *r);

/* ---- requests ---- */

enum load_outcome {
	LOAD_ON_TIME,
	LOAD_LATE,
	LOAD_DROPPED,
	LOAD_REJECTED,
	LOAD_FAILED,
	LOAD_OUTCOMES,
	LOAD_UNSERVED = LOAD_OUTCOMES,	/* not, or not yet */
};

/**
 * struct load_request - a request, and what became of it; times in cycles since the start
 * @number: in order of arrival, or in the trace
 * @stream: its camera, or the like
 * @exit: where it is to leave on an NPU that computes nothing; @left_at: where it did
 * @right: bit e: exit e is known to have its class right
 * @flags: FNPU_REQUEST_*
 * @deadline: or LOAD_NO_DEADLINE
 * @submitted: when the session got it; @seen: when the application had its result
 * @start: of its first layer; @end: when it left
 * @preempted: how often it was stopped
 */
struct load_request {
	uint64_t number;
	uint64_t arrival;
	uint64_t deadline;
	uint64_t submitted;
	uint64_t start;
	uint64_t end;
	uint64_t seen;
	uint32_t stream;
	uint32_t flags;
	uint32_t left_at;
	uint32_t preempted;
	uint32_t exit;
	uint8_t right;
	bool correct;
	enum load_outcome outcome;
};

/**
 * load_read_trace() - the requests of a file
 * @cycles_per_us: of its times
 * @requests: out, @num of them, in the order of their arrival, whatever the file's is; free() it
 * Errors: those of open(2), -EINVAL a line that is not understood, -ENOMEM.
 */
int load_read_trace(const char *path, double cycles_per_us, struct load_request **requests,
		    uint32_t *num, struct fnpu_error *error);

/** load_write_requests() - a line of CSV per request that ended: npusim's columns and more */
int load_write_requests(const char *path, const struct load_request *requests, uint32_t num,
			double cycles_per_us, struct fnpu_error *error);

/** load_write_intervals() - arrivals and exits as npusim --workload FILE takes them */
int load_write_intervals(const char *path, const struct load_request *requests, uint32_t num,
			 double cycles_per_us, struct fnpu_error *error);

/**
 * struct load_inputs - what is classified: request N has sample N % @count
 * @bytes: @count samples of @sample_bytes; NULL: none
 * @labels: of the samples, or NULL
 */
struct load_inputs {
	uint8_t *bytes;
	uint64_t count;
	size_t sample_bytes;
	enum fnpu_input_format format;
	uint8_t *labels;
};

/**
 * struct load - everything
 * @computes: the NPU looks at inputs
 * @cycles_per_us: of all times that are shown; a trace has those of the NPU that its model is
 *	compiled for
 * @setup: of the simulator, for capacity, exits and deadlines; not for a trace
 * @requests: of the run; @num of them
 * @latencies: room for @num
 */
struct load {
	const struct load_options *options;
	struct fnpu_device *device;
	const struct fnpu_device_info *npu;
	struct fnpu_model *model;
	const struct fnpu_model_info *info;
	bool computes;
	double cycles_per_us;
	struct load_inputs inputs;
	struct sim_cache *cache;
	struct sim_options sim;
	struct sim_setup setup;
	struct load_request *requests;
	double *latencies;
	uint32_t num;
};

/** struct load_point - at which a run is: @rate_hz, or @load, or neither if there is no rate */
struct load_point {
	double rate_hz;
	double load;
};

/** load_source_open() - read the files that requests are made of; 0, or -1 after a message */
int load_source_open(struct load *l);

/** load_source_check() - are they for this NPU? 0, or -1 after a message */
int load_source_check(struct load *l);

/** load_source_fill() - the requests of @point, in l->requests; 0, or -1 after a message */
int load_source_fill(struct load *l, const struct load_point *point);

void load_source_close(struct load *l);

/** load_is_open_loop() - do requests come by themselves, whatever became of the others? */
bool load_is_open_loop(enum load_scenario scenario);

/** load_has_rate() - can it be told at which rate? */
bool load_has_rate(enum load_scenario scenario);

/* ---- runs ---- */

/**
 * struct load_figures - of the requests behind the warm-up; NAN: not known, or meaningless
 * @requests: that ended; @completed: served to an exit; @on_time: of these, by the deadline
 * @late ... @failed: likewise, see enum load_outcome
 * @slo_satisfaction: share of the requests that were on time
 * @mean_us ... @max_us: of a query, from its scheduled arrival until its (last) sample left
 * @seen_mean_us, @seen_p99_us: until the application had the result
 * @submit_delay_us: mean time from a request's arrival until the session had it; not where it
 *	arrives when it is sent
 * @seen_after_us: mean time from when a sample left until the application had the result
 * @rate_hz, @load: offered; @fps: per camera
 * @throughput_hz: completed; @goodput_hz: on time
 * @busy: share of the time that the NPU had work
 * @utilisation: useful of the offered multiplications while busy
 * @mean_batch: that runs together, while busy; @job_batch: per job
 * @accuracy: of the completed
 * @preemptions, @merges, @yields: per completed request
 * @dram_bytes: read and written, likewise
 * @time_s: device time from the first arrival to the last end
 * @exits: share of the completed per exit
 * @wall_s, @user_s, @system_s: of the host, for the whole run
 * @cpu_us, @syscalls: likewise, per request that was completed; the latter NaN where the kernel does not
 *	let us count them
 */
struct load_figures {
	double requests, completed, on_time, late, dropped, rejected, failed;
	double slo_satisfaction;
	double mean_us, p50_us, p90_us, p95_us, p99_us, p999_us, max_us;
	double seen_mean_us, seen_p99_us, submit_delay_us, seen_after_us;
	double rate_hz, load, fps, throughput_hz, goodput_hz;
	double busy, utilisation, mean_batch, job_batch;
	double accuracy, preemptions, merges, yields, dram_bytes;
	double time_s;
	double exits[FLUIDNPU_MAX_EXITS];
	double wall_s, user_s, system_s, cpu_us, syscalls;
};

/**
 * struct load_field - a number of struct load_figures
 * @scale, @digits, @unit, @note: for people; the note says more about what it is
 * @host: it is the host's, which differs from run to run
 */
struct load_field {
	const char *name;
	const char *label;
	size_t offset;
	double scale;
	int digits;
	const char *unit;
	const char *note;
	bool host;
};

/** load_fields - all but exits; ends with a NULL name */
extern const struct load_field load_fields[];

/** load_field_value() - of @f */
double load_field_value(const struct load_figures *f, const struct load_field *field);

/** struct load_verdict - @reason: "" when it is valid */
struct load_verdict {
	bool valid;
	char reason[LOAD_REASON_BYTES];
};

/**
 * struct load_run - a run and what was found
 * @stats: of the session; @submission: how jobs got to the device
 * @before, @after: the NPU's counters
 * @interrupted: by a signal: not all requests were served
 */
struct load_run {
	struct load_figures figures;
	struct load_verdict verdict;
	struct fnpu_session_stats stats;
	const char *submission;
	struct fnpu_counters before, after;
	bool interrupted;
};

/** load_interrupted - by SIGINT or SIGTERM */
extern volatile sig_atomic_t load_interrupted;

/** load_catch_signals() - from now on they set load_interrupted */
void load_catch_signals(void);

/** load_serve() - the requests of @l; 0, or -1 after a message */
int load_serve(struct load *l, struct load_run *run);

/** load_measure() - figures and verdict of what load_serve() has left */
void load_measure(struct load *l, struct load_run *run);

/** load_query_size() - samples of a query, which ends with the last of them */
uint32_t load_query_size(const struct load_options *o);

/** load_percentile() - nearest rank among @num sorted values; NAN of none */
double load_percentile(const double *sorted, uint32_t num, double percent);

/**
 * load_judge() - is the run valid?
 * @latencies: us of the queries behind the warm-up in the order of their arrival; INFINITY: lost
 */
void load_judge(const struct load *l, struct load_run *run, const double *latencies, uint32_t num);

/** load_at() - fill, serve and measure at @point; 0, or -1 after a message */
int load_at(struct load *l, const struct load_point *point, struct load_run *run);

/**
 * load_search() - the highest rate of the options' search that is valid
 * @runs: out, the probes, room for LOAD_MAX_POINTS; @num: of them
 * @best: out, index in @runs, or UINT32_MAX: none is
 * Returns 0, or -1 after a message.
 */
int load_search(struct load *l, struct load_run *runs, uint32_t *num, uint32_t *best);

/* ---- telling ---- */

/** load_print_head() - of a table with a line per run; load_print_row() is such a line */
void load_print_head(const struct load *l);
void load_print_row(const struct load_run *run);

/** load_print_run() - in full */
void load_print_run(const struct load *l, const struct load_run *run);

/** load_print_best() - what a search has found; @best: as of load_search() */
void load_print_best(const struct load *l, const struct load_run *runs, uint32_t best);

/** load_json() - all runs, to options' json; 0, or -1 after a message */
int load_json(const struct load *l, const struct load_run *runs, uint32_t num, uint32_t best);

/** load_csv() - a line per run, to options' csv; 0, or -1 after a message */
int load_csv(const struct load *l, const struct load_run *runs, uint32_t num);

/** load_compare() - print the JSON reports @a and @b side by side; 0, or -1 after a message */
int load_compare(const char *a, const char *b);

#endif /* NPULOAD_H */
