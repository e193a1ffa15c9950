/* SPDX-License-Identifier: MIT */
/* Models that were loaded are run as an application would run them, on the emulator. */
#ifndef FUZZ_SAMPLES_H
#define FUZZ_SAMPLES_H

#include <stdbool.h>

#include "fluidnpu.h"

/** samples_affordable() - would running @model need little memory? */
bool samples_affordable(const struct fnpu_model *model);

/**
 * samples_run() - the same input several times, as one batch, through @model
 *
 * The device is a new one, so that an input does the same whatever ran before it. Every
 * sample must come back; with what result is returned: NULL when all of them did
 * and have the same result, or what was wrong.
 */
const char *samples_run(const struct fnpu_model *model);

#endif /* FUZZ_SAMPLES_H */
