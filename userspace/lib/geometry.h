/* SPDX-License-Identifier: MIT */
#ifndef FNPU_GEOMETRY_H
#define FNPU_GEOMETRY_H

#include <stddef.h>
#include <stdint.h>

#include "fluidnpu.h"
#include "fnpu_core.h"

/** struct fnpu_geometry_field - a field of struct fluidnpu_hw_geometry, by its name */
struct fnpu_geometry_field {
	const char *name;
	size_t offset;
};

/** fnpu_geometry_fields - all but reserved ones; ends with a NULL name */
extern const struct fnpu_geometry_field fnpu_geometry_fields[];

/** fnpu_geometry_value() - where the field of @g is */
static inline uint32_t *fnpu_geometry_value(struct fluidnpu_hw_geometry *g,
					    const struct fnpu_geometry_field *field)
{
	return (uint32_t *)((char *)g + field->offset);
}

/**
 * fnpu_config_set() - change an NPU by the names of its device properties, and check the result
 * @text: "max_stack=1,clock_hz=1000000000,functional=off": numbers of the geometry, the
 *	clock, and whether it computes; "" changes nothing
 *
 * Returns 0, or -EINVAL with a sentence in @error.
 */
int fnpu_config_set(struct fnpu_config *config, const char *text, struct fnpu_error *error);

#endif /* FNPU_GEOMETRY_H */
