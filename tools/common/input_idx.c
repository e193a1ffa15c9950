// SPDX-License-Identifier: MIT
/*
 * IDX, the format of the MNIST family (http://yann.lecun.com/exdb/mnist):
 * 0, 0, type (8: uint8), number of dimensions, the dimensions as big-endian
 * uint32, then the data. Plain or gzipped: zlib reads both.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "error.h"
#include "input.h"

#define MAX_DIMS	3u
#define MAX_BYTES	(UINT64_C(4) << 30)
#define CHUNK_BYTES	(1u << 30)	/* gzread() counts in unsigned int */

struct idx {
	gzFile gz;
	const char *path;
	struct fnpu_error *error;
};

static int broken(const struct idx *idx)
{
	int err;
	const char *text = gzerror(idx->gz, &err);

	if (err == Z_ERRNO)
		return fnpu_fail(idx->error, -EIO, "cannot read %s: %s", idx->path, strerror(errno));
	if (err == Z_DATA_ERROR)
		return fnpu_fail(idx->error, -EBADMSG, "%s is corrupted (%s): get it again",
				 idx->path, text);
	return fnpu_fail(idx->error, -EBADMSG, "%s is truncated: get it again", idx->path);
}

static int read_exactly(const struct idx *idx, uint8_t *to, uint64_t bytes)
{
	while (bytes) {
		unsigned int chunk = bytes < CHUNK_BYTES ? (unsigned int)bytes : CHUNK_BYTES;
		int n = gzread(idx->gz, to, chunk);

		if (n <= 0 || (unsigned int)n < chunk)
			return broken(idx);
		to += n;
		bytes -= (unsigned int)n;
	}
	return 0;
}

/* Also makes zlib compare the checksum at the end of a gzip file. */
static int expect_end(const struct idx *idx)
{
	uint8_t byte;
	int n = gzread(idx->gz, &byte, 1);
	int err;

	gzerror(idx->gz, &err);		/* a missing end gives no byte, but an error */
	if (n < 0 || err != Z_OK)
		return broken(idx);
	if (n)
		return fnpu_fail(idx->error, -EBADMSG, "%s has more data than its header says",
				 idx->path);
	return 0;
}

static int read_header(const struct idx *idx, uint32_t num_dims, uint32_t dims[MAX_DIMS])
{
	static const char *const what[] = { "", "labels", "", "images" };
	uint8_t head[4], dim[4];
	int ret = read_exactly(idx, head, sizeof(head));

	if (ret)
		return ret;
	if (head[0] || head[1] || head[2] != 8)
		return fnpu_fail(idx->error, -EINVAL, "%s is not an IDX file of bytes", idx->path);
	if (head[3] != num_dims)
		return fnpu_fail(idx->error, -EINVAL,
				 "%s is an IDX file of %u dimensions%s%s, %s have %u", idx->path, head[3],
				 head[3] == 1 ? ", perhaps the labels" : "",
				 head[3] == 3 ? ", perhaps the images" : "",
				 what[num_dims], num_dims);
	for (uint32_t i = 0; i < num_dims; i++) {
		ret = read_exactly(idx, dim, sizeof(dim));
		if (ret)
			return ret;
		dims[i] = (uint32_t)dim[0] << 24 | dim[1] << 16 | dim[2] << 8 | dim[3];
	}
	return 0;
}

static int read_data(const struct idx *idx, uint32_t num_dims, const uint32_t dims[MAX_DIMS],
		     uint8_t **data)
{
	const uint64_t count = dims[0];
	uint64_t item = 1;
	int ret;

	for (uint32_t i = 1; i < num_dims; i++)
		item *= dims[i];	/* at most two factors of 32 bits */
	if (!count || !item)
		return fnpu_fail(idx->error, -EINVAL, "%s is empty: its header says 0 samples",
				 idx->path);
	if (count > MAX_BYTES / item)
		return fnpu_fail(idx->error, -EFBIG, "%s is too big: more than 4 GiB", idx->path);
	*data = malloc(count * item);
	if (!*data)
		return fnpu_fail(idx->error, -ENOMEM, "no memory for %s", idx->path);
	ret = read_exactly(idx, *data, count * item);
	if (!ret)
		ret = expect_end(idx);
	if (ret) {
		free(*data);
		*data = NULL;
	}
	return ret;
}

static int idx_read(const char *path, uint32_t num_dims, uint32_t dims[MAX_DIMS], uint8_t **data,
		    struct fnpu_error *error)
{
	struct idx idx = { gzopen(path, "rb"), path, error };
	int ret;

	if (!idx.gz)
		return fnpu_fail(error, -errno, "cannot open %s: %s", path, strerror(errno));
	ret = read_header(&idx, num_dims, dims);
	if (!ret)
		ret = read_data(&idx, num_dims, dims, data);
	gzclose_r(idx.gz);
	return ret;
}

int input_open_idx(struct input *in, struct fnpu_error *error)
{
	uint32_t dims[MAX_DIMS];
	int ret = idx_read(in->path, 3, dims, &in->bytes, error);

	if (ret)
		return ret;
	in->count = dims[0];
	in->channels = 1;
	in->height = dims[1];
	in->width = dims[2];
	in->format = FNPU_INPUT_U8_NHWC;
	in->sample_bytes = (size_t)dims[1] * dims[2];
	return 0;
}

int labels_open(const char *path, uint8_t **labels, uint64_t *count, struct fnpu_error *error)
{
	uint32_t dims[MAX_DIMS];
	int ret = idx_read(path, 1, dims, labels, error);

	if (!ret)
		*count = dims[0];
	return ret;
}
