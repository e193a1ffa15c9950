// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "npy_out.h"

#define HEADER_BYTES	128	/* a multiple of 64, as numpy has it */
#define PREFIX_BYTES	10

static int pwrite_all(int fd, const void *data, size_t bytes, uint64_t offset)
{
	const uint8_t *from = data;

	while (bytes) {
		ssize_t n = pwrite(fd, from, bytes, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		from += n;
		bytes -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

static int write_failed(const struct npy_out *out, int err, struct fnpu_error *error)
{
	return fnpu_fail(error, err, "cannot write %s: %s", out->path, strerror(-err));
}

int npy_out_open(struct npy_out *out, const char *path, uint64_t rows, uint32_t columns,
		 struct fnpu_error *error)
{
	char header[HEADER_BYTES];
	int text, ret;

	out->columns = columns;
	out->path = strdup(path);
	if (!out->path)
		return fnpu_fail(error, -ENOMEM, "out of memory");
	out->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (out->fd < 0)
		return write_failed(out, -errno, error);

	memset(header, ' ', sizeof(header));
	memcpy(header, "\x93NUMPY\x01\x00", 8);
	header[8] = HEADER_BYTES - PREFIX_BYTES;
	header[9] = 0;
	text = snprintf(header + PREFIX_BYTES, sizeof(header) - PREFIX_BYTES,
			"{'descr': '<f4', 'fortran_order': False, 'shape': (%" PRIu64 ", %" PRIu32 "), }",
			rows, columns);
	header[PREFIX_BYTES + text] = ' ';	/* was the terminator */
	header[HEADER_BYTES - 1] = '\n';
	ret = pwrite_all(out->fd, header, sizeof(header), 0);
	return ret ? write_failed(out, ret, error) : 0;
}

int npy_out_row(struct npy_out *out, uint64_t row, const float *values, struct fnpu_error *error)
{
	size_t bytes = out->columns * sizeof(*values);
	int ret = pwrite_all(out->fd, values, bytes, HEADER_BYTES + row * bytes);

	return ret ? write_failed(out, ret, error) : 0;
}

int npy_out_close(struct npy_out *out, struct fnpu_error *error)
{
	int ret = 0;

	if (out->fd >= 0 && close(out->fd))
		ret = write_failed(out, -errno, error);
	out->fd = -1;
	free(out->path);
	out->path = NULL;
	return ret;
}
