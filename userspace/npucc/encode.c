// SPDX-License-Identifier: MIT
/*
 * The program image: header, descriptors, control block, weights (see
 * struct fluidnpu_hw_program). Everything is laid out first, then written.
 */
#include <inttypes.h>
#include <string.h>

#include "exec.h"
#include "fnpu_cost.h"
#include "program.h"

#define MAX_PROGRAM_BYTES	(1u << 30)

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the image is written in host byte order, which must be little-endian"
#endif

struct layout {
	uint64_t end;
};

/* Room for @bytes; returns its offset. */
static uint32_t reserve(struct layout *layout, uint64_t bytes)
{
	uint64_t off = layout->end;

	layout->end += (bytes + NPUCC_ALIGN_BYTES - 1) & ~(uint64_t)(NPUCC_ALIGN_BYTES - 1);
	return (uint32_t)off;
}

static uint32_t float_bits(float f)
{
	uint32_t bits;

	memcpy(&bits, &f, sizeof(bits));
	return bits;
}

static uint64_t weight_bytes(const struct npucc_layer *l)
{
	return (uint64_t)l->out->c * l->window.kernel_h * l->window.kernel_w *
	       (l->in[0]->c / l->groups);
}

static uint32_t tensor_offset(const struct npucc_tensor *t)
{
	return t->producer ? t->offset : FLUIDNPU_TENSOR_INPUT;
}

static void encode_window(const struct npucc_layer *l, struct fluidnpu_hw_layer *d)
{
	const struct npucc_window *w = &l->window;

	d->kernel_h = (uint8_t)w->kernel_h;
	d->kernel_w = (uint8_t)w->kernel_w;
	d->stride_h = (uint8_t)w->stride_h;
	d->stride_w = (uint8_t)w->stride_w;
	d->pad_t = (uint8_t)w->pad_t;
	d->pad_l = (uint8_t)w->pad_l;
	d->pad_b = (uint8_t)w->pad_b;
	d->pad_r = (uint8_t)w->pad_r;
}

static void encode_exit(const struct npucc_network *net, const struct npucc_layer *l,
			struct fluidnpu_hw_layer *d)
{
	const struct npucc_exit *e = &net->exits[l->exit_index];

	d->exit_index = (uint8_t)l->exit_index;
	d->exit_criterion = (uint8_t)net->criterion;
	d->threshold = float_bits(e->threshold);
	d->logits_off = e->logits_off;
}

static void encode_output(const struct npucc_layer *l, struct fluidnpu_hw_layer *d)
{
	d->out_off = l->out->offset;
	d->out_h = (uint16_t)l->out->h;
	d->out_w = (uint16_t)l->out->w;
	d->out_c = (uint16_t)l->out->c;
	d->zp_out = (int8_t)l->out->zero_point;
	d->clamp_min = (int8_t)l->clamp_min;
	d->clamp_max = (int8_t)l->clamp_max;
}

/* Does it make a difference for the layer that ONNX has uint8 here? */
static bool is_unsigned(const struct npucc_layer *l)
{
	return (l->op == FLUIDNPU_LAYER_ADD || l->op == FLUIDNPU_LAYER_AVGPOOL) &&
	       l->out->is_unsigned;
}

static void encode_layer(const struct npucc_network *net, const struct npucc_layer *l,
			 struct fluidnpu_hw_layer *d, struct layout *layout)
{
	d->op = (uint8_t)l->op;
	d->flags = (uint8_t)((l->fused ? FLUIDNPU_LAYER_FUSED : 0) |
			     (l->count_pad ? FLUIDNPU_LAYER_POOL_COUNT_PAD : 0) |
			     (is_unsigned(l) ? FLUIDNPU_LAYER_UNSIGNED : 0));
	d->live_bytes = l->live_bytes;
	d->in_off = tensor_offset(l->in[0]);
	d->in_h = (uint16_t)l->in[0]->h;
	d->in_w = (uint16_t)l->in[0]->w;
	d->in_c = (uint16_t)l->in[0]->c;
	d->zp_in = (int8_t)l->in[0]->zero_point;
	if (l->out)
		encode_output(l, d);

	switch (l->op) {
	case FLUIDNPU_LAYER_CONV:
		encode_window(l, d);
		d->dilation_h = (uint8_t)l->window.dilation_h;
		d->dilation_w = (uint8_t)l->window.dilation_w;
		d->groups = (uint16_t)l->groups;
		d->weights_off = reserve(layout, weight_bytes(l));
		d->bias_off = reserve(layout, l->out->c * sizeof(*l->bias));
		d->scale_off = reserve(layout, l->out->c * sizeof(*l->scale));
		if (l->weight_zp)
			d->weight_zp_off = reserve(layout, l->out->c);
		break;
	case FLUIDNPU_LAYER_ADD:
		d->in2_off = tensor_offset(l->in[1]);
		d->zp_in2 = (int8_t)l->in[1]->zero_point;
		d->scale_in = float_bits(l->scale_in[0]);
		d->scale_in2 = float_bits(l->scale_in[1]);
		d->add_fixed = float_bits(l->add_fixed);
		break;
	case FLUIDNPU_LAYER_AVGPOOL:
	case FLUIDNPU_LAYER_MAXPOOL:
		encode_window(l, d);
		d->scale_in = float_bits(l->scale_in[0]);
		d->scale_in2 = float_bits(l->scale_in[1]);
		break;
	case FLUIDNPU_LAYER_CONCAT:
		d->out_channel = (uint16_t)l->out_channel;
		d->table_off = reserve(layout, FLUIDNPU_TABLE_BYTES);
		break;
	case FLUIDNPU_LAYER_EXIT:
		d->scale_in = float_bits(l->scale_in[0]);
		encode_exit(net, l, d);
		break;
	}
}

static void write_weights(const struct npucc_network *net, uint8_t *image,
			  const struct fluidnpu_hw_layer *layers)
{
	unsigned int i;

	for (i = 0; i < net->num_layers; i++) {
		const struct npucc_layer *l = net->layers[i];

		if (l->table)
			memcpy(image + layers[i].table_off, l->table, FLUIDNPU_TABLE_BYTES);
		if (l->op != FLUIDNPU_LAYER_CONV)
			continue;
		if (l->weight_zp)
			memcpy(image + layers[i].weight_zp_off, l->weight_zp, l->out->c);
		memcpy(image + layers[i].weights_off, l->weights, weight_bytes(l));
		memcpy(image + layers[i].bias_off, l->bias, l->out->c * sizeof(*l->bias));
		memcpy(image + layers[i].scale_off, l->scale, l->out->c * sizeof(*l->scale));
	}
}

/* Asked of the device's own checks, so that the two never differ. */
static bool check_layers(const struct npucc_network *net, const struct fluidnpu_hw_program *h,
			 const struct fluidnpu_hw_layer *layers, struct npucc_error *error)
{
	unsigned int i;

	for (i = 0; i < net->num_layers; i++)
		if (!fnpu_layer_valid(h, &layers[i]))
			return npucc_fail(error, "node '%s': larger than the device runs: up to %u products per output, %u bytes of weights, %u bytes of padded input, %llu multiplications and %llu elements of the vector unit",
					  net->layers[i]->name, FNPU_MAX_DEPTH,
					  FLUIDNPU_MAX_WEIGHT_BYTES, FLUIDNPU_MAX_TENSOR_BYTES,
					  FNPU_MAX_LAYER_WORK, FNPU_MAX_VECTOR_WORK);
	return true;
}

static bool check_groups(const struct npucc_network *net, const struct fluidnpu_hw_layer *layers,
			 struct npucc_error *error)
{
	unsigned int i, count;

	for (i = 0; i < net->num_layers; i += count) {
		count = fnpu_group_size(&layers[i], net->num_layers - i);
		if (!fnpu_group_affordable(&layers[i], count))
			return npucc_fail(error, "nodes '%s' to '%s', fused: more than the device runs at once: up to %llu multiplications and %llu elements of the vector unit",
					  net->layers[i]->name, net->layers[i + count - 1]->name,
					  FNPU_MAX_LAYER_WORK, FNPU_MAX_VECTOR_WORK);
	}
	return true;
}

bool npucc_encode(struct npucc_arena *arena, struct npucc_program *program,
		  struct npucc_error *error)
{
	const struct npucc_network *net = program->net;
	struct fluidnpu_hw_program h = {
		.magic = FLUIDNPU_PROGRAM_MAGIC,
		.version = FLUIDNPU_PROGRAM_VERSION,
		.num_layers = net->num_layers,
		.max_batch = program->max_batch,
		.num_exits = net->num_exits,
		.input_bytes = (uint32_t)npucc_tensor_bytes(net->input),
		.state_bytes = net->state_bytes,
		.logits_bytes = net->logits_bytes,
	};
	struct layout layout = { sizeof(h) };
	struct fluidnpu_hw_layer *layers;
	unsigned int i;

	h.layers_off = reserve(&layout, net->num_layers * sizeof(*layers));
	h.control_off = reserve(&layout, (uint64_t)net->num_layers * h.max_batch *
				sizeof(struct fluidnpu_hw_policy));
	layers = npucc_alloc(arena, net->num_layers, sizeof(*layers));
	for (i = 0; i < net->num_layers; i++)
		encode_layer(net, net->layers[i], &layers[i], &layout);
	if (layout.end > MAX_PROGRAM_BYTES)
		return npucc_fail(error, "the program has %" PRIu64 " bytes, at most %u are possible",
				  layout.end, MAX_PROGRAM_BYTES);
	h.total_bytes = (uint32_t)layout.end;
	if (!check_layers(net, &h, layers, error) || !check_groups(net, layers, error))
		return false;

	program->image_bytes = h.total_bytes;
	program->image = npucc_alloc(arena, h.total_bytes, 1);
	memcpy(program->image, &h, sizeof(h));
	program->layers = (void *)(program->image + h.layers_off);
	memcpy(program->layers, layers, net->num_layers * sizeof(*layers));
	program->control = (void *)(program->image + h.control_off);
	write_weights(net, program->image, layers);
	return true;
}
