// SPDX-License-Identifier: MIT
#include "tally.h"

static const char *const names[] = {
	[OUTCOME_ON_TIME] = "on time",
	[OUTCOME_LATE] = "late",
	[OUTCOME_DROPPED] = "dropped",
	[OUTCOME_REJECTED] = "rejected",
};

const char *outcome_name(enum outcome outcome)
{
	return names[outcome];
}

void tally_request(struct tally *t, const struct request *r, enum outcome outcome, uint64_t now,
		   uint8_t exit, bool judged)
{
	const uint64_t latency = now - r->arrival;

	if (r->number < t->warmup)
		return;
	if (r->number == t->warmup)
		t->first = r->arrival;
	if (now > t->last)
		t->last = now;
	t->outcomes[outcome]++;
	if (outcome > OUTCOME_LATE)
		return;
	if (outcome == OUTCOME_ON_TIME)
		t->on_time_cycles += (double)latency;
	histogram_add(&t->latency, latency);
	t->exits[exit]++;
	t->early += exit < r->exit;
	if (judged) {
		t->judged++;
		t->correct += r->right >> exit & 1;
	}
}

static double ratio(double a, double b)
{
	return b > 0 ? a / b : 0;
}

static void set_latency(const struct tally *t, double us, struct sim_result *r)
{
	const struct histogram *h = &t->latency;

	r->mean_us = histogram_mean(h) * us;
	r->p50_us = (double)histogram_percentile(h, 50) * us;
	r->p95_us = (double)histogram_percentile(h, 95) * us;
	r->p99_us = (double)histogram_percentile(h, 99) * us;
	r->max_us = (double)h->max * us;
	r->on_time_mean_us = ratio(t->on_time_cycles, (double)t->outcomes[OUTCOME_ON_TIME]) * us;
}

/* Of the whole run: the warm-up is a part of the NPU's work like any other. */
static void set_npu(const struct sim_setup *setup, const struct engine_counters *c,
		    uint64_t served, uint64_t end, struct sim_result *r)
{
	const double busy = (double)c->busy_cycles;
	double samples = 0;

	for (uint32_t b = 0; b < NPU_MAX_BATCH; b++)
		samples += (b + 1) * (double)c->batch_cycles[b];
	r->busy = ratio(busy, (double)end);
	r->utilisation = ratio((double)c->useful_macs,
			       busy * (double)setup->models[0].network->macs_per_cycle);
	r->switching = ratio((double)c->switch_cycles, busy);
	r->mean_batch = ratio(samples, busy);
	r->cycles_per_request = ratio(busy, (double)served);
	r->dram_bytes_per_request = ratio((double)c->dram_bytes, (double)served);
	r->preemptions = ratio((double)c->preemptions, (double)served);
	r->merges = ratio((double)c->merges, (double)served);
	r->yields = ratio((double)c->yields, (double)served);
}

void tally_result(const struct tally *t, const struct sim_setup *setup,
		  const struct engine_counters *counters, uint64_t served, uint64_t end,
		  struct sim_result *r)
{
	const double seconds = (double)(t->last - t->first) / setup->clock_hz;

	*r = (struct sim_result){
		.on_time = (double)t->outcomes[OUTCOME_ON_TIME],
		.late = (double)t->outcomes[OUTCOME_LATE],
		.dropped = (double)t->outcomes[OUTCOME_DROPPED],
		.rejected = (double)t->outcomes[OUTCOME_REJECTED],
		.rate_hz = setup->rate_hz,
		.load = setup->rate_hz / setup->capacity_hz,
		.time_s = seconds,
		.accuracy = t->judged ? (double)t->correct / (double)t->judged : -1,
	};
	r->completed = r->on_time + r->late;
	r->requests = r->completed + r->dropped + r->rejected;
	r->violations = 1 - ratio(r->on_time, r->requests);
	r->throughput_hz = ratio(r->completed, seconds);
	r->goodput_hz = ratio(r->on_time, seconds);
	r->early = ratio((double)t->early, r->completed);
	for (uint32_t e = 0; e < FLUIDNPU_MAX_EXITS; e++)
		r->exits[e] = ratio((double)t->exits[e], r->completed);
	set_latency(t, 1e6 / setup->clock_hz, r);
	set_npu(setup, counters, served, end, r);
}
