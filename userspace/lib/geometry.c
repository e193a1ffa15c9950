// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "geometry.h"

#define FIELD(name) { #name, offsetof(struct fluidnpu_hw_geometry, name) }

const struct fnpu_geometry_field fnpu_geometry_fields[] = {
	FIELD(tile_rows), FIELD(tile_depth), FIELD(tile_cols), FIELD(acc_tiles),
	FIELD(max_stack), FIELD(max_batch), FIELD(act_sram_bytes), FIELD(weight_sram_bytes),
	FIELD(dram_bytes_per_kcycle), FIELD(vector_lanes), FIELD(layer_overhead_cycles),
	FIELD(num_queues), FIELD(num_as), FIELD(stack_depth),
	{ NULL, 0 },
};

static bool is_word(const char *text, size_t len, const char *word)
{
	return strlen(word) == len && !strncmp(text, word, len);
}

static uint32_t *find_number(struct fnpu_config *config, const char *name, size_t len)
{
	const struct fnpu_geometry_field *f;

	if (is_word(name, len, "clock_hz"))
		return &config->clock_hz;
	for (f = fnpu_geometry_fields; f->name; f++)
		if (is_word(name, len, f->name))
			return fnpu_geometry_value(&config->geometry, f);
	return NULL;
}

static int set_number(uint32_t *number, const char *name, size_t len, const char *value,
		      size_t value_len, struct fnpu_error *error)
{
	unsigned long long n;
	char *end;

	if (!value_len || *value < '0' || *value > '9')
		return fnpu_fail(error, -EINVAL, "'%.*s' needs a number: %.*s=N", (int)len, name,
				 (int)len, name);
	errno = 0;
	n = strtoull(value, &end, 10);
	if (errno || n > UINT32_MAX || end != value + value_len)
		return fnpu_fail(error, -EINVAL, "value of '%.*s' is no number up to %u",
				 (int)len, name, UINT32_MAX);
	*number = (uint32_t)n;
	return 0;
}

/* One property, "name=value" of @len bytes. */
static int set_property(struct fnpu_config *config, const char *text, size_t len,
			struct fnpu_error *error)
{
	size_t name_len = strcspn(text, "=,");
	const char *value = text + name_len + (text[name_len] == '=');
	size_t value_len = (size_t)(text + len - value);
	uint32_t *number = find_number(config, text, name_len);

	if (number)
		return set_number(number, text, name_len, value, value_len, error);
	if (!is_word(text, name_len, "functional"))
		return fnpu_fail(error, -EINVAL, "unknown property '%.*s'", (int)name_len, text);
	config->functional = is_word(value, value_len, "on");
	if (!config->functional && !is_word(value, value_len, "off"))
		return fnpu_fail(error, -EINVAL, "'functional' must be on or off");
	return 0;
}

int fnpu_config_set(struct fnpu_config *config, const char *text, struct fnpu_error *error)
{
	const char *reason;

	while (*text) {
		size_t len = strcspn(text, ",");
		int ret = set_property(config, text, len, error);

		if (ret)
			return ret;
		text += len + (text[len] == ',');
	}
	reason = fnpu_config_check(config);
	return reason ? fnpu_fail(error, -EINVAL, "%s", reason) : 0;
}
