// SPDX-License-Identifier: MIT
/*
 * The highest rate that is valid: a bisection of LOW, LOW + STEP, ... HIGH. It keeps a rate that
 * is and one that is not, and ends when they are neighbours. So what it finds is valid, and one
 * step above is not, which is all that can be said where validity has no single limit.
 */
#include "npuload.h"

/** struct search - @runs: the probes; @num: of them */
struct search {
	struct load *load;
	struct load_run *runs;
	uint32_t num;
	uint32_t best;
};

/* Is step @i valid? 1, 0, or -1 after a message or an interruption. */
static int probe(struct search *s, uint32_t i)
{
	const struct load_range *r = &s->load->options->search;
	const struct load_point point = { .rate_hz = r->from + i * r->step };
	struct load_run *run = &s->runs[s->num];

	if (load_at(s->load, &point, run))
		return -1;
	if (!s->load->options->quiet)
		load_print_row(run);
	s->num++;
	if (run->verdict.valid)
		s->best = s->num - 1;
	return run->verdict.valid;
}

static int bisect(struct search *s, uint32_t last)
{
	uint32_t good = 0, bad = last;
	int valid = probe(s, 0);

	if (valid <= 0 || load_interrupted)
		return valid < 0 ? -1 : 0;
	valid = probe(s, last);
	if (valid)
		return valid < 0 ? -1 : 0;
	while (bad - good > 1 && !load_interrupted) {
		const uint32_t middle = good + (bad - good) / 2;

		valid = probe(s, middle);
		if (valid < 0)
			return -1;
		if (valid)
			good = middle;
		else
			bad = middle;
	}
	return 0;
}

int load_search(struct load *l, struct load_run *runs, uint32_t *num, uint32_t *best)
{
	struct search s = { .load = l, .runs = runs, .best = UINT32_MAX };
	const int ret = bisect(&s, load_range_points(&l->options->search) - 1);

	*num = s.num;
	*best = s.best;
	return ret;
}
