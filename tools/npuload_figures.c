// SPDX-License-Identifier: MIT
/* What a run says: the table of figures, and where they come from. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "npuload.h"

#define US_PER_S	1000000.0

#define FIELD(name, label, scale, digits, unit, note) \
	{ #name, label, offsetof(struct load_figures, name), scale, digits, unit, note, false }
#define HOST(name, label, scale, digits, unit) \
	{ #name, label, offsetof(struct load_figures, name), scale, digits, unit, "", true }

const struct load_field load_fields[] = {
	FIELD(requests, "requests", 1, 0, "", ""),
	FIELD(completed, "completed", 1, 0, "", ""),
	FIELD(on_time, "on time", 1, 0, "", ""),
	FIELD(late, "late", 1, 0, "", ""),
	FIELD(dropped, "dropped", 1, 0, "", ""),
	FIELD(rejected, "rejected", 1, 0, "", ""),
	FIELD(failed, "failed", 1, 0, "", ""),
	FIELD(slo_satisfaction, "SLO satisfaction", 100, 3, "%", ""),
	FIELD(accuracy, "accuracy", 100, 2, "%", ""),
	FIELD(mean_us, "latency, mean", 1, 3, "us", "of device time"),
	FIELD(p50_us, "latency, p50", 1, 3, "us", ""),
	FIELD(p90_us, "latency, p90", 1, 3, "us", ""),
	FIELD(p95_us, "latency, p95", 1, 3, "us", ""),
	FIELD(p99_us, "latency, p99", 1, 3, "us", ""),
	FIELD(p999_us, "latency, p99.9", 1, 3, "us", ""),
	FIELD(max_us, "latency, max", 1, 3, "us", ""),
	FIELD(seen_mean_us, "application, mean", 1, 3, "us", "until it had the result"),
	FIELD(seen_p99_us, "application, p99", 1, 3, "us", ""),
	FIELD(submit_delay_us, "submitted after", 1, 3, "us", "(mean)"),
	FIELD(seen_after_us, "seen after", 1, 3, "us", "(mean)"),
	FIELD(rate_hz, "rate", 1, 1, "requests/s", ""),
	FIELD(load, "load", 1, 3, "", "of the conventional NPU, serial"),
	FIELD(fps, "a camera", 1, 2, "frames/s", ""),
	FIELD(throughput_hz, "throughput", 1, 1, "requests/s", ""),
	FIELD(goodput_hz, "goodput", 1, 1, "requests/s", "on time"),
	FIELD(busy, "NPU busy", 100, 2, "%", ""),
	FIELD(utilisation, "PE utilisation, busy", 100, 2, "%", ""),
	FIELD(mean_batch, "batch, mean", 1, 2, "samples", "while busy"),
	FIELD(job_batch, "job, mean", 1, 2, "samples", ""),
	FIELD(preemptions, "preemptions", 1, 3, "/request", ""),
	FIELD(merges, "merges", 1, 3, "/request", ""),
	FIELD(yields, "yields", 1, 3, "/request", ""),
	FIELD(dram_bytes, "DRAM", 1.0 / 1024, 1, "KiB", "per request"),
	FIELD(time_s, "device time", 1, 4, "s", ""),
	HOST(wall_s, "host time", 1, 2, "s"),
	HOST(user_s, "  of the CPU, user", 1, 2, "s"),
	HOST(system_s, "  of the CPU, system", 1, 2, "s"),
	HOST(cpu_us, "  of the CPU", 1, 2, "us per request"),
	HOST(syscalls, "system calls", 1, 3, "/request"),
	{ NULL, NULL, 0, 0, 0, NULL, NULL, false },
};

double load_field_value(const struct load_figures *f, const struct load_field *field)
{
	double v;

	memcpy(&v, (const char *)f + field->offset, sizeof(v));
	return v;
}

static double ratio(double a, double b)
{
	return b > 0 ? a / b : 0;
}

/* As ratio(), where there is nothing to tell without @b. */
static double share(double a, double b)
{
	return b > 0 ? a / b : NAN;
}

/* ---- latencies ---- */

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double load_percentile(const double *sorted, uint32_t num, double percent)
{
	const double rank = ceil(percent / 100 * num - 1e-9);

	if (!num)
		return NAN;
	return sorted[rank > 1 ? (uint32_t)rank - 1 : 0];
}

uint32_t load_query_size(const struct load_options *o)
{
	return o->scenario == LOAD_MULTI_STREAM ? o->streams : 1;
}

static bool is_served(const struct load_request *r)
{
	return r->outcome <= LOAD_LATE;
}

/* Of the query of @num samples at @r: the latest end counts; INFINITY: one was lost. */
static double query_us(const struct load *l, const struct load_request *r, uint32_t num, bool seen)
{
	uint64_t last = 0;

	for (uint32_t i = 0; i < num; i++) {
		const uint64_t end = seen ? r[i].seen : r[i].end;

		if (!is_served(&r[i]))
			return INFINITY;
		if (end - r[i].arrival > last)
			last = end - r[i].arrival;
	}
	return (double)last / l->cycles_per_us;
}

/* Latencies of the queries behind the warm-up that are over, in l->latencies. */
static uint32_t collect(struct load *l, bool seen)
{
	const uint32_t size = load_query_size(l->options);
	uint32_t num = 0;

	for (uint32_t i = (uint32_t)l->options->warmup; i < l->num; i += size) {
		const uint32_t members = l->num - i < size ? l->num - i : size;
		bool over = true;

		for (uint32_t k = 0; k < members; k++)
			over &= l->requests[i + k].outcome != LOAD_UNSERVED;
		if (over)
			l->latencies[num++] = query_us(l, &l->requests[i], members, seen);
	}
	return num;
}

/* Leaves those of queries that lost nothing, sorted. */
static uint32_t sort_served(double *latencies, uint32_t num)
{
	qsort(latencies, num, sizeof(*latencies), by_value);
	while (num && isinf(latencies[num - 1]))
		num--;
	return num;
}

static double mean(const double *values, uint32_t num)
{
	double sum = 0;

	for (uint32_t i = 0; i < num; i++)
		sum += values[i];
	return num ? sum / num : NAN;
}

static void set_latencies(struct load *l, struct load_run *run)
{
	struct load_figures *f = &run->figures;
	uint32_t num = collect(l, true);

	num = sort_served(l->latencies, num);
	f->seen_mean_us = mean(l->latencies, num);
	f->seen_p99_us = load_percentile(l->latencies, num, 99);

	num = collect(l, false);
	load_judge(l, run, l->latencies, num);
	num = sort_served(l->latencies, num);
	f->mean_us = mean(l->latencies, num);
	f->p50_us = load_percentile(l->latencies, num, 50);
	f->p90_us = load_percentile(l->latencies, num, 90);
	f->p95_us = load_percentile(l->latencies, num, 95);
	f->p99_us = load_percentile(l->latencies, num, 99);
	f->p999_us = load_percentile(l->latencies, num, 99.9);
	f->max_us = load_percentile(l->latencies, num, 100);
}

/* ---- requests ---- */

/** struct counts - of the requests behind the warm-up */
struct counts {
	double outcomes[LOAD_OUTCOMES];
	double exits[FLUIDNPU_MAX_EXITS];
	double correct;
	double submit_delay, seen_after;	/* cycles, sums */
	double sent;
	uint64_t first, last;
	bool has_deadlines;
};

static void count(struct counts *c, const struct load_request *r)
{
	if (r->outcome == LOAD_UNSERVED)
		return;
	c->outcomes[r->outcome]++;
	c->has_deadlines |= r->deadline != LOAD_NO_DEADLINE;
	if (r->arrival < c->first)
		c->first = r->arrival;
	if (r->end > c->last)
		c->last = r->end;
	if (r->outcome != LOAD_REJECTED) {
		c->submit_delay += (double)r->submitted - (double)r->arrival;
		c->sent++;
	}
	if (!is_served(r))
		return;
	c->exits[r->left_at]++;
	c->correct += r->correct;
	c->seen_after += (double)r->seen - (double)r->end;
}

static struct counts count_all(const struct load *l)
{
	struct counts c = { .first = UINT64_MAX };

	for (uint32_t i = (uint32_t)l->options->warmup; i < l->num; i++)
		count(&c, &l->requests[i]);
	if (c.first == UINT64_MAX)
		c.first = 0;
	return c;
}

static bool knows_accuracy(const struct load *l)
{
	if (l->computes || l->options->scenario == LOAD_TRACE)
		return l->inputs.labels;
	return l->setup.models[0].profile->samples;
}

static void set_requests(const struct load *l, struct load_figures *f)
{
	const struct counts c = count_all(l);

	f->on_time = c.outcomes[LOAD_ON_TIME];
	f->late = c.outcomes[LOAD_LATE];
	f->dropped = c.outcomes[LOAD_DROPPED];
	f->rejected = c.outcomes[LOAD_REJECTED];
	f->failed = c.outcomes[LOAD_FAILED];
	f->completed = f->on_time + f->late;
	f->requests = f->completed + f->dropped + f->rejected + f->failed;
	f->slo_satisfaction = c.has_deadlines ? share(f->on_time, f->requests) : NAN;
	f->accuracy = knows_accuracy(l) ? share(c.correct, f->completed) : NAN;
	f->submit_delay_us = load_is_open_loop(l->options->scenario) ?
			     ratio(c.submit_delay / l->cycles_per_us, c.sent) : NAN;
	f->seen_after_us = ratio(c.seen_after / l->cycles_per_us, f->completed);
	for (uint32_t e = 0; e < FLUIDNPU_MAX_EXITS; e++)
		f->exits[e] = ratio(c.exits[e], f->completed);
	f->time_s = (double)(c.last - c.first) / l->cycles_per_us / US_PER_S;
	f->throughput_hz = ratio(f->completed, f->time_s);
	f->goodput_hz = c.has_deadlines ? ratio(f->on_time, f->time_s) : NAN;
}

static void set_rate(const struct load *l, struct load_figures *f)
{
	const struct load_options *o = l->options;

	f->rate_hz = NAN;
	f->load = NAN;
	f->fps = NAN;
	if (!load_has_rate(o->scenario) || !(l->setup.rate_hz > 0))
		return;
	f->rate_hz = l->setup.rate_hz;
	if (!l->computes || o->exits)
		f->load = f->rate_hz / l->setup.capacity_hz;
	if (o->scenario == LOAD_CAMERAS)
		f->fps = f->rate_hz / o->workload.streams;
}

/* ---- the NPU: of the whole run, as the warm-up is a part of its work like any other ---- */

static double delta(const struct load_run *run, unsigned int counter)
{
	return (double)(run->after.values[counter] - run->before.values[counter]);
}

static void set_npu(const struct load *l, struct load_run *run)
{
	struct load_figures *f = &run->figures;
	const double busy = delta(run, FLUIDNPU_CNT_BUSY_CYCLES);
	const double served = (double)run->stats.completed;
	double samples = 0, cycles = 0;
	uint64_t end = 0;

	for (unsigned int b = 0; b < FLUIDNPU_MAX_BATCH; b++) {
		cycles += delta(run, FLUIDNPU_CNT_BATCH + b);
		samples += (b + 1) * delta(run, FLUIDNPU_CNT_BATCH + b);
	}
	for (uint32_t i = 0; i < l->num; i++)
		if (l->requests[i].outcome != LOAD_UNSERVED && l->requests[i].end > end)
			end = l->requests[i].end;
	f->busy = ratio(busy, (double)end);
	f->utilisation = ratio(delta(run, FLUIDNPU_CNT_USEFUL_MACS),
			       delta(run, FLUIDNPU_CNT_OFFERED_MACS));
	f->mean_batch = ratio(samples, cycles);
	f->job_batch = ratio((double)run->stats.job_samples, (double)run->stats.jobs);
	f->preemptions = ratio(delta(run, FLUIDNPU_CNT_PREEMPTIONS), served);
	f->merges = ratio(delta(run, FLUIDNPU_CNT_MERGES), served);
	f->yields = ratio(delta(run, FLUIDNPU_CNT_YIELDS), served);
	f->dram_bytes = ratio(delta(run, FLUIDNPU_CNT_DRAM_READ_BYTES) +
			      delta(run, FLUIDNPU_CNT_DRAM_WRITE_BYTES), served);
}

void load_measure(struct load *l, struct load_run *run)
{
	set_requests(l, &run->figures);
	set_rate(l, &run->figures);
	set_npu(l, run);
	set_latencies(l, run);
}
