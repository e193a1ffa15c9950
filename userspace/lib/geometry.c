// SPDX-License-Identifier: MIT
#include "geometry.h"

#define FIELD(name) { #name, offsetof(struct fluidnpu_hw_geometry, name) }

const struct fnpu_geometry_field fnpu_geometry_fields[] = {
	FIELD(tile_rows), FIELD(tile_depth), FIELD(tile_cols), FIELD(acc_tiles),
	FIELD(max_stack), FIELD(max_batch), FIELD(act_sram_bytes), FIELD(weight_sram_bytes),
	FIELD(dram_bytes_per_kcycle), FIELD(vector_lanes), FIELD(layer_overhead_cycles),
	FIELD(num_queues), FIELD(num_as), FIELD(stack_depth),
	{ NULL, 0 },
};
