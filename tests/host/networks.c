// SPDX-License-Identifier: MIT
#include <string.h>

#include "networks.h"

#define CLASSES 1000

/* Activations between layers. */
struct tensor {
	unsigned int size, channels; /* size x size x channels */
	uint32_t off;
};

static uint32_t bytes_of(struct tensor t)
{
	return t.size * t.size * t.channels;
}

static struct tensor input(struct network *n)
{
	memset(n, 0, sizeof(*n));
	return (struct tensor){ 224, 3, FLUIDNPU_TENSOR_INPUT };
}

static struct fluidnpu_hw_layer *last(struct network *n)
{
	return &n->layers[n->num_layers - 1];
}

/* A layer from @in to size x size x channels; its live state is both and what is kept. */
static struct tensor layer(struct network *n, unsigned int op, struct tensor in, unsigned int size,
			   unsigned int channels, unsigned int kernel)
{
	struct tensor out = { size, channels, n->next_off };

	n->next_off += bytes_of(out);
	n->layers[n->num_layers++] = (struct fluidnpu_hw_layer){
		.op = op,
		.in_off = in.off,
		.out_off = out.off,
		.in_h = in.size,
		.in_w = in.size,
		.in_c = in.channels,
		.out_h = size,
		.out_w = size,
		.out_c = channels,
		.kernel_h = kernel,
		.kernel_w = kernel,
		.groups = 1,
		.live_bytes = (in.off == FLUIDNPU_TENSOR_INPUT ? 0 : bytes_of(in)) +
			      bytes_of(out) + n->kept_bytes,
	};
	return out;
}

static struct tensor conv(struct network *n, struct tensor in, unsigned int channels,
			  unsigned int kernel, unsigned int stride)
{
	return layer(n, FLUIDNPU_LAYER_CONV, in, (in.size - 1) / stride + 1, channels, kernel);
}

static struct tensor depthwise(struct network *n, struct tensor in, unsigned int stride)
{
	struct tensor out = conv(n, in, in.channels, 3, stride);

	last(n)->groups = in.channels;
	return out;
}

/* The residual add: fused with the layer before it, which made @a, and written over that. */
static struct tensor add(struct network *n, struct tensor a, struct tensor b)
{
	layer(n, FLUIDNPU_LAYER_ADD, a, a.size, a.channels, 1);
	last(n)->flags = FLUIDNPU_LAYER_FUSED;
	last(n)->in2_off = b.off;
	last(n)->out_off = a.off;
	last(n)->live_bytes = bytes_of(a) + bytes_of(b);
	return a;
}

/*
 * GlobalAveragePool, Gemm and the exit itself. What an early head reads has to stay, so only
 * the last average is fused with the layer that makes its input.
 */
static void head(struct network *n, struct tensor in, bool early)
{
	struct tensor averages = layer(n, FLUIDNPU_LAYER_AVGPOOL, in, 1, in.channels, in.size);

	last(n)->flags = early ? 0 : FLUIDNPU_LAYER_FUSED;
	n->kept_bytes = early ? bytes_of(in) : 0;
	layer(n, FLUIDNPU_LAYER_EXIT, conv(n, averages, CLASSES, 1, 1), 0, 0, 0);
	last(n)->flags = FLUIDNPU_LAYER_FUSED;
	n->kept_bytes = 0;
}

static struct tensor resnet_block(struct network *n, struct tensor x, unsigned int width,
				  unsigned int stride, bool project)
{
	struct tensor y, shortcut = x;

	y = conv(n, x, width, 1, 1);
	n->kept_bytes = bytes_of(x);
	y = conv(n, y, width, 3, stride);
	y = conv(n, y, 4 * width, 1, 1);
	if (project) {
		n->kept_bytes = bytes_of(y);
		shortcut = y;
		y = conv(n, x, 4 * width, 1, stride);
	}
	y = add(n, y, shortcut);
	n->kept_bytes = 0;
	return y;
}

void network_resnet50(struct network *n, bool early_exits)
{
	static const unsigned int blocks[] = { 3, 4, 6, 3 };
	struct tensor x = conv(n, input(n), 64, 7, 2);

	x = layer(n, FLUIDNPU_LAYER_MAXPOOL, x, 56, 64, 3);
	last(n)->flags = FLUIDNPU_LAYER_FUSED;
	for (unsigned int stage = 0; stage < 4; stage++) {
		for (unsigned int b = 0; b < blocks[stage]; b++)
			x = resnet_block(n, x, 64u << stage, stage && !b ? 2 : 1, !b);
		if (early_exits || stage == 3)
			head(n, x, stage < 3);
	}
}

static struct tensor inverted_residual(struct network *n, struct tensor x, unsigned int expand,
				       unsigned int channels, unsigned int stride, bool residual)
{
	struct tensor y = x;

	if (expand > 1)
		y = conv(n, y, expand * x.channels, 1, 1);
	n->kept_bytes = residual ? bytes_of(x) : 0;
	y = depthwise(n, y, stride);
	y = conv(n, y, channels, 1, 1);
	if (residual)
		y = add(n, y, x);
	n->kept_bytes = 0;
	return y;
}

void network_mobilenetv2(struct network *n, bool early_exits)
{
	static const struct {
		unsigned int expand, channels, repeat, stride;
	} stages[] = {
		{ 1, 16, 1, 1 }, { 6, 24, 2, 2 }, { 6, 32, 3, 2 }, { 6, 64, 4, 2 },
		{ 6, 96, 3, 1 }, { 6, 160, 3, 2 }, { 6, 320, 1, 1 },
	};
	unsigned int block = 0;
	struct tensor x = conv(n, input(n), 32, 3, 2);

	for (unsigned int s = 0; s < sizeof(stages) / sizeof(stages[0]); s++) {
		for (unsigned int i = 0; i < stages[s].repeat; i++) {
			x = inverted_residual(n, x, stages[s].expand, stages[s].channels,
					      i ? 1 : stages[s].stride, i > 0);
			block++;
			if (early_exits && (block == 3 || block == 10 || block == 14))
				head(n, x, true);
		}
	}
	head(n, conv(n, x, 1280, 1, 1), false);
}
