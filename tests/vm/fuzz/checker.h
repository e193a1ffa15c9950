/* SPDX-License-Identifier: MIT */
#ifndef FNPU_TESTS_CHECKER_H
#define FNPU_TESTS_CHECKER_H

#include "fuzz.h"

/* Runs jobs and counts what comes back until @stop; 1 if something came back wrong. */
int checker_run(uint64_t seed, struct progress *progress, const bool *stop);

#endif
