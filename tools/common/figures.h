/* SPDX-License-Identifier: MIT */
/* Figures that more than one tool shows: the counters' names in JSON, bytes for people. */
#ifndef FNPU_FIGURES_H
#define FNPU_FIGURES_H

#include <cjson/cJSON.h>

#include "fluidnpu.h"

#define FIGURE_BYTES	16	/* room for a figure with its unit */

/**
 * figure_bytes() - "12.3 MiB"
 * @text: buffer, which it returns
 */
const char *figure_bytes(double bytes, char text[FIGURE_BYTES]);

/**
 * figures_add_counters() - a member per counter of the NPU's work
 * @before: NULL, or counters that are subtracted
 *
 * Interrupts and late events, which depend on the host, are not among them.
 */
void figures_add_counters(cJSON *object, const struct fnpu_counters *counters,
			  const struct fnpu_counters *before);

/** figures_add_series() - array @name of counters @first to @first + @count - 1, likewise */
void figures_add_series(cJSON *object, const char *name, const struct fnpu_counters *counters,
			const struct fnpu_counters *before, unsigned int first,
			unsigned int count);

#endif /* FNPU_FIGURES_H */
