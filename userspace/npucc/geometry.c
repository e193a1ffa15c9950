// SPDX-License-Identifier: MIT
/* The NPU to compile for. */
#include "geometry.h"
#include "program.h"

bool npucc_geometry_set(struct fnpu_config *config, const char *text, struct npucc_error *error)
{
	struct fnpu_error reason;

	return !fnpu_config_set(config, text, &reason) ||
	       npucc_fail(error, "geometry: %s", reason.text);
}
