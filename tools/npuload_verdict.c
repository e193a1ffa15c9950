// SPDX-License-Identifier: MIT
/*
 * Is a run valid? After MLPerf LoadGen, whose criterion for stopping early this is:
 *
 *	enough		a run says something about a percentile P only with so many queries that,
 *			were the true share of slow ones 1 - P, all of them would be fast with
 *			a probability below 1 %: 44 for p90, 459 for p99
 *	bound		P % are within the bound with a confidence of 99 %: had 1 - P of all been
 *			slower, so few as were seen, or fewer, would have a probability below
 *			1 %. What was dropped, rejected or failed counts as slow
 *	stable		the later half of the queries has P % within the bound by itself: a queue
 *			that grows is not taken for one that is still short
 *
 * A run that was interrupted, or in which requests failed, is not valid. Without a bound the
 * percentile is the scenario's; offline has none.
 */
#include <stdio.h>
#include <stdlib.h>

#include "npuload.h"

#define DOUBT	0.01	/* 1 - confidence */

static double judged_percent(const struct load_options *o)
{
	if (o->bound_ms > 0)
		return o->bound_percent;
	if (o->scenario == LOAD_OFFLINE)
		return 0;
	return o->scenario == LOAD_SINGLE_STREAM ? 90 : 99;
}

static uint32_t queries_needed(double percent)
{
	return percent > 0 ? (uint32_t)ceil(log(DOUBT) / log(percent / 100)) : 1;
}

/* Probability that of @num at most @slow are slow, when a share @p of all is. */
static double binomial_below(uint32_t num, uint32_t slow, double p)
{
	double sum = 0;

	for (uint32_t k = 0; k <= slow; k++)
		sum += exp(lgamma(num + 1.0) - lgamma(k + 1.0) - lgamma(num - k + 1.0) +
			   k * log(p) + (num - k) * log1p(-p));
	return sum;
}

static uint32_t count_slow(const double *latencies, uint32_t num, double bound_us)
{
	uint32_t slow = 0;

	for (uint32_t i = 0; i < num; i++)
		slow += latencies[i] > bound_us;
	return slow;
}

static void judge_bound(const struct load_options *o, struct load_verdict *v,
			const double *latencies, uint32_t num)
{
	const double bound_us = o->bound_ms * 1e3, share = 1 - o->bound_percent / 100;
	const uint32_t slow = count_slow(latencies, num, bound_us);
	const uint32_t half = num / 2;
	const uint32_t late_slow = count_slow(latencies + half, num - half, bound_us);

	if (binomial_below(num, slow, share) > DOUBT)
		snprintf(v->reason, sizeof(v->reason),
			 "%u of %u above %g ms: that p%g is within it is not sure", slow, num,
			 o->bound_ms, o->bound_percent);
	else if (late_slow > share * (num - half))
		snprintf(v->reason, sizeof(v->reason),
			 "not stable: %u of the last %u above %g ms", late_slow, num - half,
			 o->bound_ms);
}

void load_judge(const struct load *l, struct load_run *run, const double *latencies, uint32_t num)
{
	const struct load_options *o = l->options;
	const double percent = judged_percent(o);
	const uint32_t needed = queries_needed(percent);
	struct load_verdict *v = &run->verdict;

	v->reason[0] = '\0';
	if (run->interrupted)
		snprintf(v->reason, sizeof(v->reason), "interrupted");
	else if (run->figures.failed > 0)
		snprintf(v->reason, sizeof(v->reason), "%.0f requests failed", run->figures.failed);
	else if (num < needed)
		snprintf(v->reason, sizeof(v->reason), "%u queries are too few: p%g needs %u", num,
			 percent, needed);
	else if (o->bound_ms > 0)
		judge_bound(o, v, latencies, num);
	v->valid = !v->reason[0];
}
