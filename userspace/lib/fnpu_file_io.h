/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing .fnpu files (the format is fnpu_file.h).
 *
 * A loaded file is immutable. Loading checks everything that can be checked
 * without a device: header, checksum, section table, and that the program's
 * tables lie inside the program; what the layers compute is the device's to
 * check. Every failure has a message that says what is wrong and in which file.
 */
#ifndef FNPU_FILE_IO_H
#define FNPU_FILE_IO_H

#include <stddef.h>
#include <stdint.h>

#include "fnpu_file.h"

#define FNPU_FILE_ALIGN_BYTES	64u
#define FNPU_FILE_ERROR_BYTES	512u	/* room for every message of this file */

struct fnpu_file;

/**
 * struct fnpu_file_part - one section to be written
 * @type: enum fnpu_file_section_type
 * @data: its contents; borrowed for the call
 * @bytes: of @data, more than 0
 */
struct fnpu_file_part {
	uint32_t type;
	const void *data;
	size_t bytes;
};

/**
 * fnpu_file_open() - read and check the file at @path
 * @file: set on success; the caller frees it with fnpu_file_free()
 * @error: gets a message on failure, at most @error_bytes with the terminator
 *
 * Returns 0 or -ENOENT, -EACCES ... from the file system, -EFBIG, -ENOMEM,
 * -EINVAL for a file that is not a valid .fnpu.
 */
int fnpu_file_open(const char *path, struct fnpu_file **file, char *error, size_t error_bytes);

/** fnpu_file_parse() - as fnpu_file_open(), from memory; @data is copied */
int fnpu_file_parse(const void *data, size_t bytes, struct fnpu_file **file,
		    char *error, size_t error_bytes);

/** fnpu_file_free() - NULL is fine */
void fnpu_file_free(struct fnpu_file *file);

/**
 * fnpu_file_section() - contents of the section of @type
 * @bytes: set to its size
 *
 * Never NULL for the types of enum fnpu_file_section_type: a file without one of
 * them does not load. 64-byte aligned; valid until fnpu_file_free().
 */
const void *fnpu_file_section(const struct fnpu_file *file, uint32_t type, size_t *bytes);

/** fnpu_file_head() - of the file: by its size and checksum two files are the same */
const struct fnpu_file_header *fnpu_file_head(const struct fnpu_file *file);

/** fnpu_file_program() - header of the program section */
const struct fluidnpu_hw_program *fnpu_file_program(const struct fnpu_file *file);

/** fnpu_file_layers() - the program's num_layers descriptors */
const struct fluidnpu_hw_layer *fnpu_file_layers(const struct fnpu_file *file);

/** fnpu_file_control() - the program's control block, [num_layers][max_batch] */
const struct fluidnpu_hw_policy *fnpu_file_control(const struct fnpu_file *file);

/** fnpu_file_cost() - T(layer, b) in cycles, [num_layers][max_batch], b - 1 */
const uint32_t *fnpu_file_cost(const struct fnpu_file *file);

/**
 * fnpu_file_build() - the bytes of a file with @num sections
 * @data: set to memory that the caller free()s
 *
 * Returns 0, -EINVAL (an empty part), -EFBIG or -ENOMEM.
 */
int fnpu_file_build(const struct fnpu_file_part *parts, unsigned int num,
		    void **data, size_t *bytes, char *error, size_t error_bytes);

/**
 * fnpu_file_write() - write a file so that @path holds either all of it or
 * what was there before (a temporary file beside it, fsync, rename)
 */
int fnpu_file_write(const char *path, const struct fnpu_file_part *parts, unsigned int num,
		    char *error, size_t error_bytes);

#endif /* FNPU_FILE_IO_H */
