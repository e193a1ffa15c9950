// SPDX-License-Identifier: MIT
/*
 * NumPy's .npy, versions 1 and 2 (numpy.lib.format): "\x93NUMPY", major, minor,
 * header length (16 or 32 bits), then a Python dict as text,
 * {'descr': '<f4', 'fortran_order': False, 'shape': (N, C, H, W), },
 * then the array. Parsed strictly: exactly these three keys.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "input.h"

#define PREFIX_BYTES		8u
#define MAX_HEADER_BYTES	65536u
#define MAX_DIMS		8u
#define DESCR_BYTES		16u

struct npy {
	const char *at;		/* what is left of the header's text */
	char descr[DESCR_BYTES];
	bool fortran;
	uint64_t dims[MAX_DIMS];
	uint32_t num_dims;
};

static void skip_space(struct npy *n)
{
	while (*n->at == ' ' || *n->at == '\n' || *n->at == '\t')
		n->at++;
}

static bool accept(struct npy *n, const char *token)
{
	size_t length = strlen(token);

	skip_space(n);
	if (strncmp(n->at, token, length))
		return false;
	n->at += length;
	return true;
}

static bool parse_quoted(struct npy *n, char *to, size_t room)
{
	char quote;
	size_t i = 0;

	skip_space(n);
	quote = *n->at;
	if (quote != '\'' && quote != '"')
		return false;
	for (n->at++; *n->at && *n->at != quote; n->at++) {
		if (i + 1 >= room)
			return false;
		to[i++] = *n->at;
	}
	to[i] = '\0';
	return accept(n, quote == '"' ? "\"" : "'");
}

static bool parse_dim(struct npy *n, uint64_t *dim)
{
	skip_space(n);
	if (!isdigit((unsigned char)*n->at))
		return false;
	for (*dim = 0; isdigit((unsigned char)*n->at); n->at++) {
		if (*dim > (UINT64_MAX - 9) / 10)
			return false;
		*dim = *dim * 10 + (uint64_t)(*n->at - '0');
	}
	return true;
}

static bool parse_shape(struct npy *n)
{
	if (!accept(n, "("))
		return false;
	while (!accept(n, ")")) {
		if (n->num_dims == MAX_DIMS || !parse_dim(n, &n->dims[n->num_dims++]))
			return false;
		if (!accept(n, ",") && !accept(n, ")"))
			return false;
		if (n->at[-1] == ')')
			return true;
	}
	return true;
}

static bool parse_bool(struct npy *n, bool *value)
{
	*value = accept(n, "True");
	return *value || accept(n, "False");
}

static bool parse_dict(struct npy *n)
{
	unsigned int seen = 0;

	if (!accept(n, "{"))
		return false;
	while (!accept(n, "}")) {
		char key[DESCR_BYTES];
		unsigned int bit;
		bool ok;

		if (!parse_quoted(n, key, sizeof(key)) || !accept(n, ":"))
			return false;
		if (!strcmp(key, "descr")) {
			bit = 1;
			ok = parse_quoted(n, n->descr, sizeof(n->descr));
		} else if (!strcmp(key, "fortran_order")) {
			bit = 2;
			ok = parse_bool(n, &n->fortran);
		} else if (!strcmp(key, "shape")) {
			bit = 4;
			ok = parse_shape(n);
		} else {
			return false;
		}
		if (!ok || (seen & bit))
			return false;
		seen |= bit;
		if (!accept(n, ",")) {
			if (!accept(n, "}"))
				return false;
			break;
		}
	}
	skip_space(n);
	return seen == 7 && !*n->at;
}

static int check_array(const struct input *in, const struct npy *n, struct fnpu_error *error)
{
	if (strcmp(n->descr, "<f4"))
		return fnpu_fail(error, -EINVAL,
				 "%s has elements of type '%s', needed is '<f4': save it with astype('<f4')",
				 in->path, n->descr);
	if (n->fortran)
		return fnpu_fail(error, -EINVAL,
				 "%s is in Fortran order: save numpy.ascontiguousarray() of it", in->path);
	if (n->num_dims != 4)
		return fnpu_fail(error, -EINVAL,
				 "%s has %u dimensions, needed are 4: [samples, channels, height, width]",
				 in->path, n->num_dims);
	if (!n->dims[0])
		return fnpu_fail(error, -EINVAL, "%s is empty: it has 0 samples", in->path);
	for (int i = 1; i < 4; i++)
		if (!n->dims[i] || n->dims[i] > UINT16_MAX)
			return fnpu_fail(error, -EINVAL,
					 "%s has a dimension of %llu: images have 1 to 65535", in->path,
					 (unsigned long long)n->dims[i]);
	return 0;
}

static int check_size(const struct input *in, struct fnpu_error *error)
{
	struct stat st;
	uint64_t have;

	if (fstat(in->fd, &st))
		return fnpu_fail(error, -errno, "cannot read %s: %s", in->path, strerror(errno));
	have = (uint64_t)st.st_size - in->data_off;
	if (in->count > have / in->sample_bytes || in->count * in->sample_bytes != have)
		return fnpu_fail(error, -EBADMSG,
				 "%s is %s: %llu samples of %zu bytes are promised, %llu bytes follow the header",
				 in->path,
				 in->count > have / in->sample_bytes ? "truncated" : "too long",
				 (unsigned long long)in->count, in->sample_bytes,
				 (unsigned long long)have);
	return 0;
}

/* Reads the text between prefix and array; sets data_off. The caller frees it. */
static int read_text(struct input *in, char **text, struct fnpu_error *error)
{
	uint8_t prefix[PREFIX_BYTES], length[4] = { 0 };
	unsigned int length_bytes;
	uint32_t bytes;

	if (read(in->fd, prefix, sizeof(prefix)) != sizeof(prefix))
		goto truncated;
	if (prefix[6] != 1 && prefix[6] != 2)
		return fnpu_fail(error, -EINVAL, "%s is .npy version %u, supported are 1 and 2",
				 in->path, prefix[6]);
	length_bytes = prefix[6] == 1 ? 2 : 4;
	if (read(in->fd, length, length_bytes) != (ssize_t)length_bytes)
		goto truncated;
	bytes = length[0] | length[1] << 8 | length[2] << 16 | (uint32_t)length[3] << 24;
	if (bytes > MAX_HEADER_BYTES)
		return fnpu_fail(error, -EBADMSG, "%s has a header of %u bytes, which cannot be",
				 in->path, bytes);
	*text = calloc(1, bytes + 1);
	if (!*text)
		return fnpu_fail(error, -ENOMEM, "out of memory");
	if (read(in->fd, *text, bytes) != (ssize_t)bytes)
		goto truncated;
	in->data_off = PREFIX_BYTES + length_bytes + bytes;
	return 0;

truncated:
	return fnpu_fail(error, -EBADMSG, "%s is truncated: its header ends too early", in->path);
}

static int open_array(struct input *in, struct fnpu_error *error)
{
	struct npy n = { 0 };
	char *text = NULL;
	int ret = read_text(in, &text, error);

	n.at = text;
	if (!ret && !parse_dict(&n))
		ret = fnpu_fail(error, -EBADMSG, "%s has a header that is not .npy's", in->path);
	free(text);
	if (!ret)
		ret = check_array(in, &n, error);
	if (ret)
		return ret;
	in->count = n.dims[0];
	in->channels = (uint32_t)n.dims[1];
	in->height = (uint32_t)n.dims[2];
	in->width = (uint32_t)n.dims[3];
	in->format = FNPU_INPUT_F32_NCHW;
	in->sample_bytes = n.dims[1] * n.dims[2] * n.dims[3] * sizeof(float);
	return check_size(in, error);
}

int input_open_npy(struct input *in, struct fnpu_error *error)
{
	int ret;

	in->fd = open(in->path, O_RDONLY | O_CLOEXEC);
	if (in->fd < 0)
		return fnpu_fail(error, -errno, "cannot open %s: %s", in->path, strerror(errno));
	ret = open_array(in, error);
	if (ret)
		input_close(in);
	return ret;
}
