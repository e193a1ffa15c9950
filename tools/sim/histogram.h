/* SPDX-License-Identifier: MIT */
/*
 * Histogram of latencies with a bounded relative error, after HdrHistogram: the values of each
 * power of two share 2^HISTOGRAM_BITS buckets of equal width. Percentiles are within
 * 1 / 2^HISTOGRAM_BITS of the true value, whatever its size, and memory does not grow with the
 * number of values.
 */
#ifndef SIM_HISTOGRAM_H
#define SIM_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BITS		11u
#define HISTOGRAM_BUCKETS	((65u - HISTOGRAM_BITS) << HISTOGRAM_BITS)

struct histogram {
	uint64_t count;
	uint64_t max;
	double sum;
	uint32_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t value);

/** histogram_mean() - exact; 0 without values */
double histogram_mean(const struct histogram *h);

/**
 * histogram_percentile() - nearest rank: the smallest value that @percent % of all do not
 * exceed, as the upper end of its bucket, at most the maximum; 0 without values
 */
uint64_t histogram_percentile(const struct histogram *h, double percent);

#endif /* SIM_HISTOGRAM_H */
