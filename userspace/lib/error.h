/* SPDX-License-Identifier: MIT */
#ifndef FNPU_ERROR_H
#define FNPU_ERROR_H

#include "fluidnpu.h"

/**
 * fnpu_fail() - note why something failed
 * @error: may be NULL
 * @err: negative errno
 * @format: one sentence, no newline, that says what to do where that is known
 * Returns @err.
 */
int fnpu_fail(struct fnpu_error *error, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/** fnpu_error_clear() - "" */
void fnpu_error_clear(struct fnpu_error *error);

#endif /* FNPU_ERROR_H */
