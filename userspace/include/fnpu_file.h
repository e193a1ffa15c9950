/* SPDX-License-Identifier: MIT */
/*
 * The .fnpu file: a compiled model. npucc writes it, libfluidnpu reads it.
 *
 *	struct fnpu_file_header
 *	struct fnpu_file_section[num_sections]
 *	sections, each 64-byte aligned, zero-padded between
 *
 * All little-endian. The CRC-32 (zlib's) covers everything behind the header.
 * Readers refuse what they do not know: another version, unknown section types,
 * offsets out of the file, overlap, a wrong checksum.
 */
#ifndef FNPU_FILE_H
#define FNPU_FILE_H

#include <stdint.h>

#include "fluidnpu_hw.h"

#define FNPU_FILE_MAGIC		"FLUIDNPU"	/* 8 bytes, no terminator in the file */
#define FNPU_FILE_VERSION	1u
#define FNPU_FILE_MAX_BYTES	(1ull << 30)

struct fnpu_file_header {
	char     magic[8];
	uint32_t version;
	uint32_t num_sections;
	uint64_t file_bytes;
	uint32_t crc32;
	uint32_t reserved;
};

enum fnpu_file_section_type {
	/*
	 * JSON text, no terminator:
	 * { "name": "fmnist-resnet3", "producer": "npucc 1.0.0",
	 *   "accuracy_budget": 0.5 (if the thresholds were chosen by one),
	 *   "input": { "name", "shape": [C, H, W], "scale", "zero_point",
	 *              "byte_scale", "byte_offset" },
	 *   "exits": [ { "name", "classes", "scale", "zero_point", "logits_off",
	 *                "layer", "criterion", "threshold", "macs" } ... ],
	 *   "labels": [ "T-shirt/top", ... ],
	 *   "layers": [ { "name", "op", "macs" } ... ],
	 *   "geometry": { every field of struct fluidnpu_hw_geometry by its name },
	 *   "clock_hz": 800000000 }
	 * A float input x becomes the int8 clamp(round_half_even(x / scale) + zero_point);
	 * a byte b of an image file becomes the float b * byte_scale + byte_offset.
	 * "macs" of an exit counts everything a sample has run when it leaves there.
	 */
	FNPU_SECTION_META = 1,
	/* struct fluidnpu_hw_program and all it refers to: loaded into a BO as it is */
	FNPU_SECTION_PROGRAM = 2,
	/* uint32_t cycles[num_layers][max_batch]: T(layer, b); 0 for fused layers */
	FNPU_SECTION_COST = 3,
};

struct fnpu_file_section {
	uint32_t type;
	uint32_t reserved;
	uint64_t offset;
	uint64_t bytes;
};

_Static_assert(sizeof(struct fnpu_file_header) == 32, "file header");
_Static_assert(sizeof(struct fnpu_file_section) == 24, "file section");

#endif /* FNPU_FILE_H */
