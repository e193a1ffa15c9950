/* SPDX-License-Identifier: MIT */
/* Parameters on the command line: "name=value,name=value" behind the colon of "what:...". */
#ifndef SIM_PARAMS_H
#define SIM_PARAMS_H

#include <stdbool.h>

#include "fluidnpu.h"

/** struct param - a number by its name; an array of them ends with a NULL name */
struct param {
	const char *name;
	double *value;
	double min, max;
};

/** parse_double() - is @text a finite decimal number, and nothing else? */
bool parse_double(const char *text, double *value);

/**
 * params_parse() - set what @text names; NULL or "" sets nothing
 * @what: whose parameters they are, for messages
 * Returns 0, or -EINVAL with a sentence in @error.
 */
int params_parse(const char *what, const char *text, const struct param *params,
		 struct fnpu_error *error);

#endif /* SIM_PARAMS_H */
