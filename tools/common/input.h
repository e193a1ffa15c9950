/* SPDX-License-Identifier: MIT */
/*
 * Inputs of the tools: files with one or more samples. What a file is, is
 * found out by its first bytes:
 *
 *	IDX, also gzipped	uint8 [N][height][width], one channel (MNIST and its kin)
 *	.npy			float32 [N][channels][height][width], C order
 *	PNG			8 bits, gray or RGB: one sample
 *
 * Everything in a file is checked when it is opened; all failures have a message in
 * struct fnpu_error that names the file.
 */
#ifndef FNPU_INPUT_H
#define FNPU_INPUT_H

#include "fluidnpu.h"

/**
 * struct input - an open file of samples
 * @path: as given; borrowed
 * @count: samples
 * @channels, @height, @width: of each
 * @format: how input_read() gives them
 * @sample_bytes: of one
 * @one_image: the file is an image, not a data set
 * @bytes: IDX, PNG: all samples
 * @fd, @data_off: .npy: where the samples start
 */
struct input {
	const char *path;
	uint64_t count;
	uint32_t channels;
	uint32_t height;
	uint32_t width;
	enum fnpu_input_format format;
	size_t sample_bytes;
	int one_image;
	uint8_t *bytes;
	int fd;
	uint64_t data_off;
};

/** input_open() - open @path; 0 or a negative errno. input_close() it after success. */
int input_open(struct input *in, const char *path, struct fnpu_error *error);

/** input_read() - copy sample @index, in->sample_bytes of it, to @to; 0 or a negative errno */
int input_read(const struct input *in, uint64_t index, void *to, struct fnpu_error *error);

void input_close(struct input *in);

/** input_check_shape() - 0, or -EINVAL when samples are not what @model takes */
int input_check_shape(const struct input *in, const struct fnpu_model_info *model,
		      struct fnpu_error *error);

/**
 * labels_open() - read an IDX(.gz) file of uint8 labels
 * @labels: out; free() it
 * @count: out
 */
int labels_open(const char *path, uint8_t **labels, uint64_t *count, struct fnpu_error *error);

/* One reader per format, for input_open(). */
int input_open_idx(struct input *in, struct fnpu_error *error);
int input_open_npy(struct input *in, struct fnpu_error *error);
int input_open_png(struct input *in, struct fnpu_error *error);

#endif /* FNPU_INPUT_H */
