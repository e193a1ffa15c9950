// SPDX-License-Identifier: MIT
/* The NPU to compile for, by the names of its device properties. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "geometry.h"
#include "program.h"

static uint32_t *find_field(struct fnpu_config *config, const char *name, size_t len)
{
	const struct fnpu_geometry_field *f;

	if (len == strlen("clock_hz") && !strncmp(name, "clock_hz", len))
		return &config->clock_hz;
	for (f = fnpu_geometry_fields; f->name; f++)
		if (strlen(f->name) == len && !strncmp(name, f->name, len))
			return fnpu_geometry_value(&config->geometry, f);
	return NULL;
}

bool npucc_geometry_set(struct fnpu_config *config, const char *text, struct npucc_error *error)
{
	const char *reason;

	while (*text) {
		size_t len = strcspn(text, "=,");
		unsigned long long value;
		uint32_t *field;
		char *end;

		field = find_field(config, text, len);
		if (!field)
			return npucc_fail(error, "geometry: unknown property '%.*s'", (int)len, text);
		if (text[len] != '=' || text[len + 1] < '0' || text[len + 1] > '9')
			return npucc_fail(error, "geometry: '%.*s' needs a number: %.*s=N",
					  (int)len, text, (int)len, text);
		errno = 0;
		value = strtoull(text + len + 1, &end, 10);
		if (errno || value > UINT32_MAX || (*end && *end != ','))
			return npucc_fail(error, "geometry: value of '%.*s' is no number up to %u",
					  (int)len, text, UINT32_MAX);
		*field = (uint32_t)value;
		text = *end ? end + 1 : end;
	}
	reason = fnpu_config_check(config);
	return !reason || npucc_fail(error, "geometry: %s", reason);
}
