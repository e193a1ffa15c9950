// SPDX-License-Identifier: MIT
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "oracle.h"

#define MAX_STAGES	FLUIDNPU_MAX_EXITS
#define NUM_PRICES	20	/* of a request's own time: 0, then 2^-9 to 1 by steps of sqrt(2) */

/**
 * struct stage - the groups between two exits
 * @from, @to: cycles at which a sample that is alone enters and leaves it
 * @last: cycles of its last group, alone
 * @charge: per price of time, least charge for it, that price times its own time included, when
 *	at most b samples run together, entry b - 1
 */
struct stage {
	double from, to, last;
	double charge[NUM_PRICES][NPU_MAX_BATCH];
};

/* Samples run no faster in company: guard against tables where a larger batch is faster. */
static double least_cycles(const struct npu_network *n, uint32_t g, uint32_t b, uint32_t max_batch)
{
	double least = (double)npu_span(n, b, g, g + 1);

	for (uint32_t more = b + 1; more <= max_batch; more++)
		if ((double)npu_span(n, more, g, g + 1) < least)
			least = (double)npu_span(n, more, g, g + 1);
	return least;
}

static double price_of(uint32_t index)
{
	return index ? pow(2, (index - 1) * 0.5 - 9) : 0;
}

static void add_group(struct stage *s, const struct npu_network *n, uint32_t g, uint32_t max_batch)
{
	for (uint32_t p = 0; p < NUM_PRICES; p++) {
		double best = INFINITY;

		for (uint32_t b = 1; b <= max_batch; b++) {
			const double cycles = least_cycles(n, g, b, max_batch);
			const double charge = cycles / b + price_of(p) * cycles;

			if (charge < best)
				best = charge;
			s->charge[p][b - 1] += best;
		}
	}
}

static void make_stages(const struct npu_network *n, uint32_t max_batch, struct stage *stages)
{
	double at = 0;
	uint32_t g = 0;

	for (uint32_t e = 0; e < n->num_exits; e++) {
		struct stage *s = &stages[e];

		*s = (struct stage){ .from = at };
		for (; g <= n->exit_group[e]; g++) {
			s->last = least_cycles(n, g, 1, max_batch);
			at += s->last;
			add_group(s, n, g, max_batch);
		}
		s->to = at;
	}
}

/* ---- who could be on time, and in what company ---- */

/** struct window - when a group of a stage can start with a request that is on time */
struct window {
	double low, high;
	uint32_t index;
};

static int by_low(const void *a, const void *b)
{
	const struct window *x = a, *y = b;

	return (x->low > y->low) - (x->low < y->low);
}

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Windows that are open at the low end of each; @highs is sorted in place. */
static void count_open(const struct window *w, uint32_t num, double *highs, uint32_t *open)
{
	uint32_t closed = 0;

	for (uint32_t i = 0; i < num; i++)
		highs[i] = w[i].high;
	qsort(highs, num, sizeof(*highs), by_value);
	for (uint32_t i = 0; i < num; i++) {
		while (closed < num && highs[closed] < w[i].low)
			closed++;
		open[i] = i + 1 - closed;
	}
	/* of windows with one low end the first has to know of the others */
	for (uint32_t i = num; i-- > 1;)
		if (w[i - 1].low >= w[i].low && open[i - 1] < open[i])
			open[i - 1] = open[i];
}

/* How many can be together in a stage, at most: @company, by request. @open: at the low ends. */
static void find_company(const struct window *w, uint32_t num, const uint32_t *open,
			 uint32_t max_batch, uint8_t *company)
{
	for (uint32_t i = 0; i < num; i++) {
		uint32_t most = open[i];

		for (uint32_t k = i + 1; k < num && w[k].low <= w[i].high && most < max_batch; k++)
			if (open[k] > most)
				most = open[k];
		company[w[i].index] = (uint8_t)(most < max_batch ? most : max_batch);
	}
}

/*
 * The least charge with which @r can be on time: for any price of its own time, of which it has no
 * more than until its deadline.
 */
static double least_charge(const struct npu_network *n, const struct stage *stages,
			   const struct oracle_request *r, const uint8_t *company, uint32_t num)
{
	double most = 0;

	for (uint32_t p = 0; p < NUM_PRICES; p++) {
		double charge = -price_of(p) * (double)(r->deadline - r->arrival);

		for (uint32_t e = 0; e < n->num_exits && e <= r->exit; e++)
			charge += stages[e].charge[p][company[e * num] - 1];
		if (charge > most)
			most = charge;
	}
	return most;
}

/* @company: of @num requests per stage; 0: it does not get there on time */
static int charge(const struct npu_network *n, const struct stage *stages, uint32_t max_batch,
		  const struct oracle_request *r, uint32_t num, const bool *possible, double *work)
{
	struct window *windows = calloc(num, sizeof(*windows));
	double *highs = calloc(num, sizeof(*highs));
	uint32_t *open = calloc(num, sizeof(*open));
	uint8_t *company = calloc((size_t)num * MAX_STAGES, 1);
	int ret = windows && highs && open && company ? 0 : -ENOMEM;

	for (uint32_t e = 0; !ret && e < n->num_exits; e++) {
		uint32_t count = 0;

		for (uint32_t i = 0; i < num; i++)
			if (possible[i] && r[i].exit >= e)
				windows[count++] = (struct window){
					.low = (double)r[i].arrival + stages[e].from,
					.high = (double)r[i].deadline - stages[e].last -
						(stages[r[i].exit].to - stages[e].to),
					.index = i,
				};
		qsort(windows, count, sizeof(*windows), by_low);
		count_open(windows, count, highs, open);
		find_company(windows, count, open, max_batch, &company[(size_t)e * num]);
	}
	for (uint32_t i = 0; !ret && i < num; i++)
		if (possible[i])
			work[i] = least_charge(n, stages, &r[i], &company[i], num);
	free(windows);
	free(highs);
	free(open);
	free(company);
	return ret;
}

/* ---- the largest set on time ---- */

/** struct job - @start: in the sequence of those that are kept */
struct job {
	double release, deadline, work, start;
	uint32_t index;
};

static int by_deadline(const void *a, const void *b)
{
	const struct job *x = a, *y = b;

	if (x->deadline != y->deadline)
		return x->deadline < y->deadline ? -1 : 1;
	return (x->release > y->release) - (x->release < y->release);
}

/* Starts of the jobs from @from on, until one does not move. */
static void resequence(struct job *kept, uint32_t from, uint32_t num)
{
	for (uint32_t i = from; i < num; i++) {
		const double end = i ? kept[i - 1].start + kept[i - 1].work : 0;
		const double start = end > kept[i].release ? end : kept[i].release;

		if (i > from && start == kept[i].start)
			return;
		kept[i].start = start;
	}
}

/* The last of @num is late: which one shall go, so that the rest ends earliest? */
static uint32_t find_victim(const struct job *kept, uint32_t num)
{
	const struct job *last = &kept[num - 1];
	const double end = num > 1 ? kept[num - 2].start + kept[num - 2].work : 0;
	double best = last->start + last->work - end;	/* what going itself gains */
	double slack = last->start - last->release;	/* what the ones behind can move up */
	uint32_t victim = num - 1;

	for (uint32_t i = num - 1; i-- && slack > best;) {
		const double gain = kept[i].work < slack ? kept[i].work : slack;

		if (gain > best) {
			best = gain;
			victim = i;
		}
		if (kept[i].start - kept[i].release < slack)
			slack = kept[i].start - kept[i].release;
	}
	return victim;
}

static uint32_t keep_most(struct job *jobs, uint32_t num, struct job *kept)
{
	uint32_t count = 0, victim;

	for (uint32_t i = 0; i < num; i++) {
		kept[count++] = jobs[i];
		resequence(kept, count - 1, count);
		if (kept[count - 1].start + kept[count - 1].work <= kept[count - 1].deadline)
			continue;
		victim = find_victim(kept, count);
		count--;
		memmove(&kept[victim], &kept[victim + 1], (count - victim) * sizeof(*kept));
		resequence(kept, victim, count);
	}
	return count;
}

int oracle_on_time(const struct npu_network *n, uint32_t max_batch,
		   const struct oracle_request *r, uint32_t num, bool *on_time)
{
	struct job *jobs = calloc(num, sizeof(*jobs)), *kept = calloc(num, sizeof(*kept));
	double *work = calloc(num, sizeof(*work)), release = INFINITY;
	struct stage stages[MAX_STAGES];
	int ret = jobs && kept && work ? 0 : -ENOMEM;
	uint32_t count = 0;

	make_stages(n, max_batch, stages);
	for (uint32_t i = 0; i < num; i++)
		on_time[i] = (double)r[i].arrival + stages[r[i].exit].to <= (double)r[i].deadline;
	if (!ret)
		ret = charge(n, stages, max_batch, r, num, on_time, work);
	for (uint32_t i = 0; !ret && i < num; i++)
		if (on_time[i])
			jobs[count++] = (struct job){
				.release = (double)r[i].arrival, .deadline = (double)r[i].deadline,
				.work = work[i], .index = i,
			};
	if (!ret) {
		qsort(jobs, count, sizeof(*jobs), by_deadline);
		for (uint32_t i = count; i--;) {
			if (jobs[i].release < release)
				release = jobs[i].release;
			jobs[i].release = release;
		}
		count = keep_most(jobs, count, kept);
		memset(on_time, 0, num * sizeof(*on_time));
		for (uint32_t i = 0; i < count; i++)
			on_time[kept[i].index] = true;
	}
	free(jobs);
	free(kept);
	free(work);
	return ret;
}

/* ---- mean latency: shortest remaining work first ---- */

static void sift_down(double *heap, uint32_t num)
{
	for (uint32_t i = 0;;) {
		uint32_t least = i;

		for (uint32_t child = 2 * i + 1; child < num && child <= 2 * i + 2; child++)
			if (heap[child] < heap[least])
				least = child;
		if (least == i)
			return;
		const double v = heap[i];

		heap[i] = heap[least];
		heap[least] = v;
		i = least;
	}
}

static void heap_push(double *heap, uint32_t num, double value)
{
	uint32_t i = num;

	for (; i && heap[(i - 1) / 2] > value; i = (i - 1) / 2)
		heap[i] = heap[(i - 1) / 2];
	heap[i] = value;
}

static void heap_pop(double *heap, uint32_t *num)
{
	heap[0] = heap[--*num];
	sift_down(heap, *num);
}

/* Works from @now until @until or until nothing is left; returns the sum of completion times. */
static double work_until(double *heap, uint32_t *num, double now, double until)
{
	double sum = 0;

	while (*num && now + heap[0] <= until) {
		now += heap[0];
		sum += now;
		heap_pop(heap, num);
	}
	if (*num)
		heap[0] -= until - now;	/* stays the least */
	return sum;
}

int oracle_mean(const struct npu_network *n, uint32_t max_batch,
		const struct oracle_request *r, uint32_t num, double *mean)
{
	double *heap = calloc(num ? num : 1, sizeof(*heap));
	double work[MAX_STAGES], alone = 0, sum = 0, total = 0;
	struct stage stages[MAX_STAGES];
	uint32_t waiting = 0;

	if (!heap)
		return -ENOMEM;
	make_stages(n, max_batch, stages);
	for (uint32_t e = 0; e < n->num_exits; e++)
		work[e] = total += stages[e].charge[0][max_batch - 1];
	for (uint32_t i = 0; i < num; i++) {
		const double until = i + 1 < num ? (double)r[i + 1].arrival : INFINITY;

		heap_push(heap, waiting++, work[r[i].exit]);
		sum += work_until(heap, &waiting, (double)r[i].arrival, until) -
		       (double)r[i].arrival;
		alone += stages[r[i].exit].to;
	}
	free(heap);
	*mean = num ? (sum > alone ? sum : alone) / num : 0;
	return 0;
}
