/* SPDX-License-Identifier: MIT */
/*
 * What the fuzzers share: libFuzzer's entry points, and what a mutator needs.
 *
 * A fuzzer is fuzz_NAME.c with what belongs to it, fuzz_NAME_*.c. tests/fuzz/run runs one.
 * Its corpus is corpus/NAME; inputs that once failed are regressions/NAME.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "core_host.h"	/* struct tb_rng */

/* libFuzzer calls these; the prototypes are its own. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size,
				 uint8_t *out, size_t max_size, unsigned int seed);

/* ... and this is its mutation of bytes, for the parts of an input that have no structure. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/** fuzz_check() - what must hold whatever the input is */
#define fuzz_check(condition)                                                             \
	do {                                                                              \
		if (!(condition)) {                                                       \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, \
				#condition);                                              \
			abort();                                                          \
		}                                                                         \
	} while (0)

/** fuzz_number() - a value where things tend to break: near 0, powers of two, the top */
static inline uint64_t fuzz_number(struct tb_rng *rng)
{
	uint64_t near = 1ull << tb_range(rng, 0, 63);

	switch (tb_random(rng) % 4) {
	case 0:
		return tb_random(rng) % 17;
	case 1:
		return near + (uint64_t)tb_range(rng, -2, 2);
	case 2:
		return -(uint64_t)tb_range(rng, 0, 16);
	default:
		return (uint64_t)tb_random(rng) << 32 | tb_random(rng);
	}
}

#endif /* FUZZ_H */
