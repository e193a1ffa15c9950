// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "input.h"

#define MAGIC_BYTES	8

/* The first bytes of @path, zeroes where it is shorter. */
static int read_magic(const char *path, uint8_t magic[MAGIC_BYTES], struct fnpu_error *error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	ssize_t n = -1;
	int ret = 0;

	memset(magic, 0, MAGIC_BYTES);
	if (fd < 0)
		return fnpu_fail(error, -errno, "cannot open %s: %s", path, strerror(errno));
	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		ret = fnpu_fail(error, -EINVAL, "%s is not a regular file", path);
	else
		n = read(fd, magic, MAGIC_BYTES);
	if (!ret && n < 0)
		ret = fnpu_fail(error, -errno, "cannot read %s: %s", path, strerror(errno));
	close(fd);
	return ret;
}

int input_open(struct input *in, const char *path, struct fnpu_error *error)
{
	static const uint8_t png[] = { 0x89, 'P', 'N', 'G' };
	static const uint8_t npy[] = { 0x93, 'N', 'U', 'M', 'P', 'Y' };
	static const uint8_t gzip[] = { 0x1f, 0x8b };
	static const uint8_t idx[] = { 0, 0, 8 };
	uint8_t magic[MAGIC_BYTES];
	int ret;

	*in = (struct input){ .path = path, .fd = -1 };
	ret = read_magic(path, magic, error);
	if (ret)
		return ret;
	if (!memcmp(magic, png, sizeof(png)))
		return input_open_png(in, error);
	if (!memcmp(magic, npy, sizeof(npy)))
		return input_open_npy(in, error);
	if (!memcmp(magic, gzip, sizeof(gzip)) || !memcmp(magic, idx, sizeof(idx)))
		return input_open_idx(in, error);
	return fnpu_fail(error, -EINVAL,
			 "%s is no input: it is neither IDX (also .gz) nor .npy nor PNG", path);
}

static int pread_all(int fd, uint8_t *to, size_t bytes, uint64_t offset)
{
	while (bytes) {
		ssize_t n = pread(fd, to, bytes, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -ENODATA;
		to += n;
		bytes -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

int input_read(const struct input *in, uint64_t index, void *to, struct fnpu_error *error)
{
	int ret;

	if (in->bytes) {
		memcpy(to, in->bytes + index * in->sample_bytes, in->sample_bytes);
		return 0;
	}
	ret = pread_all(in->fd, to, in->sample_bytes, in->data_off + index * in->sample_bytes);
	if (ret)
		return fnpu_fail(error, ret, "cannot read sample %llu of %s: %s",
				 (unsigned long long)index, in->path, strerror(-ret));
	return 0;
}

void input_close(struct input *in)
{
	free(in->bytes);
	if (in->fd >= 0)
		close(in->fd);
	in->bytes = NULL;
	in->fd = -1;
}

int input_check_shape(const struct input *in, const struct fnpu_model_info *model,
		      struct fnpu_error *error)
{
	if (in->channels == model->channels && in->height == model->height &&
	    in->width == model->width)
		return 0;
	return fnpu_fail(error, -EINVAL,
			 "%s has samples of %u x %u x %u (channels x height x width), model %s takes %u x %u x %u",
			 in->path, in->channels, in->height, in->width, model->name,
			 model->channels, model->height, model->width);
}
