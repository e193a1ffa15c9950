// SPDX-License-Identifier: MIT
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "params.h"

#define NUMBER_BYTES	32	/* longer than any number that means something */

bool parse_double(const char *text, double *value)
{
	char *end;

	if (!*text || strspn(text, "0123456789+-.eE") != strlen(text))
		return false;
	*value = strtod(text, &end);
	return !*end && isfinite(*value);
}

static const struct param *find(const struct param *params, const char *name, size_t len)
{
	for (; params->name; params++)
		if (strlen(params->name) == len && !strncmp(params->name, name, len))
			return params;
	return NULL;
}

static int unknown(const char *what, const char *name, size_t len, const struct param *params,
		   struct fnpu_error *error)
{
	char names[256] = "";

	for (; params->name; params++) {
		strncat(names, names[0] ? ", " : "", sizeof(names) - strlen(names) - 1);
		strncat(names, params->name, sizeof(names) - strlen(names) - 1);
	}
	return fnpu_fail(error, -EINVAL, "%s has no parameter '%.*s': it has %s", what, (int)len,
			 name, names[0] ? names : "none");
}

int params_parse(const char *what, const char *text, const struct param *params,
		 struct fnpu_error *error)
{
	char number[NUMBER_BYTES];

	while (text && *text) {
		const size_t len = strcspn(text, ",");
		const size_t name_len = strcspn(text, "=,");
		const struct param *p = find(params, text, name_len);
		const size_t value_len = name_len < len ? len - name_len - 1 : 0;
		double value;

		if (!p)
			return unknown(what, text, name_len, params, error);
		if (value_len < sizeof(number)) {
			memcpy(number, text + name_len + 1, value_len);
			number[value_len] = '\0';
		}
		if (!value_len || value_len >= sizeof(number) || !parse_double(number, &value) ||
		    value < p->min || value > p->max)
			return fnpu_fail(error, -EINVAL,
					 "%s: '%.*s' is not %s=N with a number from %g to %g",
					 what, (int)len, text, p->name, p->min, p->max);
		*p->value = value;
		text += len + (text[len] == ',');
	}
	return 0;
}
