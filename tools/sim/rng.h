/* SPDX-License-Identifier: MIT */
/*
 * Random numbers that are the same on every host: xoshiro256** (Blackman and Vigna, 2018),
 * seeded by splitmix64. A simulation has one generator per purpose, so that for one
 * seed all policies see the same arrivals and the same exits, whatever else they draw.
 */
#ifndef SIM_RNG_H
#define SIM_RNG_H

#include <stdint.h>

struct rng {
	uint64_t s[4];
};

/** rng_seed() - @stream: generators of one seed and other streams are independent */
void rng_seed(struct rng *r, uint64_t seed, uint64_t stream);

/** rng_next() - 64 random bits */
uint64_t rng_next(struct rng *r);

/** rng_uniform() - in [0, 1) */
double rng_uniform(struct rng *r);

/** rng_below() - 0..@n - 1; @n is not 0 */
uint32_t rng_below(struct rng *r, uint32_t n);

/** rng_exponential() - with mean @mean */
double rng_exponential(struct rng *r, double mean);

/** rng_normal() - mean 0, variance 1 */
double rng_normal(struct rng *r);

#endif /* SIM_RNG_H */
