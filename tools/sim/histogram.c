// SPDX-License-Identifier: MIT
#include <math.h>

#include "histogram.h"

/* Values below 2^(BITS + 1) have a bucket each; above, BITS bits behind the leading one count. */
static uint32_t bucket_of(uint64_t value)
{
	uint32_t shift;

	if (value < 2ull << HISTOGRAM_BITS)
		return (uint32_t)value;
	shift = 63 - (uint32_t)__builtin_clzll(value) - HISTOGRAM_BITS;
	return (shift << HISTOGRAM_BITS) + (uint32_t)(value >> shift);
}

static uint64_t upper_end(uint32_t bucket)
{
	uint32_t shift = bucket >> HISTOGRAM_BITS;

	if (shift < 2)
		return bucket;
	shift--;
	return (((uint64_t)bucket - (shift << HISTOGRAM_BITS) + 1) << shift) - 1;
}

void histogram_add(struct histogram *h, uint64_t value)
{
	h->buckets[bucket_of(value)]++;
	h->count++;
	h->sum += (double)value;
	if (value > h->max)
		h->max = value;
}

double histogram_mean(const struct histogram *h)
{
	return h->count ? h->sum / (double)h->count : 0;
}

uint64_t histogram_percentile(const struct histogram *h, double percent)
{
	const double rank = ceil(percent / 100 * (double)h->count);
	uint64_t seen = 0, value;

	for (uint32_t i = 0; h->count && i < HISTOGRAM_BUCKETS; i++) {
		seen += h->buckets[i];
		if (h->buckets[i] && (double)seen >= rank) {
			value = upper_end(i);
			return value < h->max ? value : h->max;
		}
	}
	return 0;
}
