/* SPDX-License-Identifier: MIT */
/* Writing a float32 .npy of shape [rows, columns], row by row in any order. */
#ifndef FNPU_NPY_OUT_H
#define FNPU_NPY_OUT_H

#include <stddef.h>
#include <stdint.h>

#include "fluidnpu.h"

/** struct npy_out - @fd is -1 when it is not open */
struct npy_out {
	char *path;
	int fd;
	uint32_t columns;
};

/** npy_out_open() - create @path with its header. 0 or a negative errno. */
int npy_out_open(struct npy_out *out, const char *path, uint64_t rows, uint32_t columns,
		 struct fnpu_error *error);

/** npy_out_row() - write @values, out->columns of them, as row @row */
int npy_out_row(struct npy_out *out, uint64_t row, const float *values, struct fnpu_error *error);

/** npy_out_close() - 0, or what went wrong with writes so far; harmless when it is not open */
int npy_out_close(struct npy_out *out, struct fnpu_error *error);

#endif /* FNPU_NPY_OUT_H */
