/* SPDX-License-Identifier: MIT */
/* How often the C library is asked for memory, in all threads, since the program began. */
#ifndef TEST_ALLOCATIONS_H
#define TEST_ALLOCATIONS_H

#include <stdbool.h>
#include <stdint.h>

uint64_t allocations(void);

/** allocations_counted() - false where a sanitizer has a malloc() of its own */
bool allocations_counted(void);

#endif /* TEST_ALLOCATIONS_H */
