// SPDX-License-Identifier: MIT
/*
 * Pooling, and the window geometry that it shares with convolution. Pools exist as
 * operators on numbers, on codes and in QLinear form.
 */
#include <string.h>

#include "lower.h"

/* One dimension of a window, as the attributes give it. */
struct axis {
	int64_t in, kernel, stride, dilation, pad_begin, pad_end;
	int64_t out;
};

static bool read_attrs(struct npucc_lowering *l, const struct npucc_node *node,
		       struct npucc_window *w, struct axis axis[2], char *auto_pad, size_t size)
{
	int64_t kernel[2] = { w->kernel_h, w->kernel_w }, stride[2] = { 1, 1 };
	int64_t dilation[2] = { 1, 1 }, pads[4] = { 0 };
	bool found, has_pads;
	unsigned int i;

	if (!npucc_attr_ints(node, "kernel_shape", kernel, 2, &found, l->error))
		return false;
	if (!found && !w->kernel_h)
		return npucc_fail_node(l->error, node, "attribute 'kernel_shape' is missing");
	if (w->kernel_h && (kernel[0] != w->kernel_h || kernel[1] != w->kernel_w))
		return npucc_fail_node(l->error, node, "kernel_shape is not that of the weights");
	if (!npucc_attr_ints(node, "strides", stride, 2, &found, l->error) ||
	    !npucc_attr_ints(node, "dilations", dilation, 2, &found, l->error) ||
	    !npucc_attr_ints(node, "pads", pads, 4, &has_pads, l->error) ||
	    !npucc_attr_string(node, "auto_pad", auto_pad, size, l->error))
		return false;
	if (has_pads && strcmp(auto_pad, "NOTSET"))
		return npucc_fail_node(l->error, node, "has both pads and auto_pad");
	for (i = 0; i < 2; i++) {
		axis[i].kernel = kernel[i];
		axis[i].stride = stride[i];
		axis[i].dilation = dilation[i];
		axis[i].pad_begin = pads[i];
		axis[i].pad_end = pads[i + 2];
		if (kernel[i] < 1 || stride[i] < 1 || dilation[i] < 1 || pads[i] < 0 ||
		    pads[i + 2] < 0 || kernel[i] > UINT8_MAX || stride[i] > UINT8_MAX ||
		    dilation[i] > UINT8_MAX || pads[i] > UINT8_MAX || pads[i + 2] > UINT8_MAX)
			return npucc_fail_node(l->error, node, "kernel, stride, dilation or padding out of range: the device handles up to %d",
					       UINT8_MAX);
	}
	return true;
}

/* Padding by auto_pad and the output's size. */
static bool solve_axis(struct npucc_lowering *l, const struct npucc_node *node, struct axis *a,
		       const char *auto_pad, bool ceil_mode)
{
	int64_t span = (a->kernel - 1) * a->dilation + 1, total;

	if (!strncmp(auto_pad, "SAME_", 5)) {
		a->out = (a->in + a->stride - 1) / a->stride;
		total = (a->out - 1) * a->stride + span - a->in;
		total = total > 0 ? total : 0;
		a->pad_begin = strcmp(auto_pad, "SAME_LOWER") ? total / 2 : (total + 1) / 2;
		a->pad_end = total - a->pad_begin;
	} else if (strcmp(auto_pad, "NOTSET") && strcmp(auto_pad, "VALID")) {
		return npucc_fail_node(l->error, node, "auto_pad '%s' is not supported", auto_pad);
	}
	total = a->in + a->pad_begin + a->pad_end;
	if (total < span)
		return npucc_fail_node(l->error, node, "a window of %lld does not fit an input of %lld with padding",
				       (long long)span, (long long)total);
	/* what ceil_mode adds is a last window that begins inside the input */
	if (ceil_mode && (total - span) % a->stride) {
		int64_t more = a->stride - (total - span) % a->stride;

		if (total + more - span < a->in + a->pad_begin) {
			a->pad_end += more;
			total += more;
		}
	}
	a->out = (total - span) / a->stride + 1;
	if (a->pad_begin > UINT8_MAX || a->pad_end > UINT8_MAX)
		return npucc_fail_node(l->error, node, "padding of %lld and %lld: the device handles up to %d",
				       (long long)a->pad_begin, (long long)a->pad_end, UINT8_MAX);
	return true;
}

bool npucc_read_window(struct npucc_lowering *l, const struct npucc_node *node,
		       const struct npucc_tensor *in, struct npucc_window *w,
		       unsigned int *out_h, unsigned int *out_w)
{
	struct axis axis[2] = { { .in = in->h }, { .in = in->w } };
	char auto_pad[16] = "NOTSET";
	int64_t ceil_mode = 0;

	if (!read_attrs(l, node, w, axis, auto_pad, sizeof(auto_pad)) ||
	    !npucc_attr_int(node, "ceil_mode", &ceil_mode, l->error) ||
	    !solve_axis(l, node, &axis[0], auto_pad, ceil_mode) ||
	    !solve_axis(l, node, &axis[1], auto_pad, ceil_mode))
		return false;
	*w = (struct npucc_window){
		.kernel_h = (unsigned int)axis[0].kernel, .kernel_w = (unsigned int)axis[1].kernel,
		.stride_h = (unsigned int)axis[0].stride, .stride_w = (unsigned int)axis[1].stride,
		.pad_t = (unsigned int)axis[0].pad_begin, .pad_l = (unsigned int)axis[1].pad_begin,
		.pad_b = (unsigned int)axis[0].pad_end, .pad_r = (unsigned int)axis[1].pad_end,
		.dilation_h = (unsigned int)axis[0].dilation,
		.dilation_w = (unsigned int)axis[1].dilation,
	};
	*out_h = (unsigned int)axis[0].out;
	*out_w = (unsigned int)axis[1].out;
	return true;
}

/* A pooling of @x with the window that the attributes give. */
static struct npucc_layer *lower_pool(struct npucc_lowering *l, const struct npucc_node *node,
				      enum fluidnpu_layer_op op, const struct npucc_operand *x)
{
	struct npucc_window w = { 0 };
	struct npucc_layer *layer;
	unsigned int out_h, out_w;

	if (x->flat) {
		npucc_fail_node(l->error, node, "its input has rank 2; only [N, C, H, W] is supported");
		return NULL;
	}
	if (!npucc_read_window(l, node, x->tensor, &w, &out_h, &out_w))
		return NULL;
	if (w.dilation_h != 1 || w.dilation_w != 1) {
		npucc_fail_node(l->error, node, "dilations are not supported for pooling");
		return NULL;
	}
	if (w.pad_t >= w.kernel_h || w.pad_b >= w.kernel_h || w.pad_l >= w.kernel_w ||
	    w.pad_r >= w.kernel_w) {
		npucc_fail_node(l->error, node, "padding must be smaller than the kernel");
		return NULL;
	}
	layer = npucc_new_layer(l, node, op, x->tensor, out_h, out_w, x->tensor->c);
	if (layer)
		layer->window = w;
	return layer;
}

/* A pooling of all of @x: one pixel remains. */
static struct npucc_layer *lower_global_pool(struct npucc_lowering *l,
					     const struct npucc_node *node,
					     enum fluidnpu_layer_op op,
					     const struct npucc_operand *x)
{
	struct npucc_layer *layer;

	if (x->flat || x->tensor->h > UINT8_MAX || x->tensor->w > UINT8_MAX) {
		npucc_fail_node(l->error, node, "pools %u x %u, supported is [N, C, H, W] up to %d x %d",
				x->tensor->h, x->tensor->w, UINT8_MAX, UINT8_MAX);
		return NULL;
	}
	layer = npucc_new_layer(l, node, op, x->tensor, 1, 1, x->tensor->c);
	if (!layer)
		return NULL;
	layer->window.kernel_h = x->tensor->h;
	layer->window.kernel_w = x->tensor->w;
	return layer;
}

typedef struct npucc_layer *pool_fn(struct npucc_lowering *l, const struct npucc_node *node,
				    enum fluidnpu_layer_op op, const struct npucc_operand *x);

/* The largest code is that of the largest number, so codes may be pooled directly. */
static bool lower_maximum(struct npucc_lowering *l, const struct npucc_node *node, pool_fn *pool)
{
	const bool codes = npucc_is_codes(node, 0);
	const struct npucc_operand *x = codes ? node->inputs[0]->operand :
						npucc_operand_real(l, node, 0);
	struct npucc_quantization q;

	if (!x || !pool(l, node, FLUIDNPU_LAYER_MAXPOOL, x))
		return false;
	if (!codes)
		return true;
	q = npucc_quantization_of(x->tensor);
	return npucc_complete(l, node, &q);
}

bool npucc_lower_max_pool(struct npucc_lowering *l, const struct npucc_node *node)
{
	static const char *const known[] = {
		"auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "storage_order",
		"strides", NULL
	};

	return npucc_inputs(l, node, 1, 1) && npucc_attrs_known(node, known, l->error) &&
	       lower_maximum(l, node, lower_pool);
}

bool npucc_lower_global_max_pool(struct npucc_lowering *l, const struct npucc_node *node)
{
	static const char *const known[] = { NULL };

	return npucc_inputs(l, node, 1, 1) && npucc_attrs_known(node, known, l->error) &&
	       lower_maximum(l, node, lower_global_pool);
}

/*
 * What ceil_mode and padding add to a window is not counted, or with count_include_pad all of
 * the kernel is, even where it lies beyond the padding: so does QLinearAveragePool.
 */
static bool lower_average(struct npucc_lowering *l, const struct npucc_node *node,
			  const struct npucc_operand *x)
{
	int64_t count_pad = 0, last = 0;
	struct npucc_layer *layer;

	if (!npucc_attr_int(node, "count_include_pad", &count_pad, l->error) ||
	    !npucc_attr_int(node, "channels_last", &last, l->error))
		return false;
	if (last)
		return npucc_fail_node(l->error, node, "channels_last is not supported, only [N, C, H, W]");
	layer = lower_pool(l, node, FLUIDNPU_LAYER_AVGPOOL, x);
	if (!layer)
		return false;
	layer->count_pad = count_pad != 0;
	return true;
}

bool npucc_lower_average_pool(struct npucc_lowering *l, const struct npucc_node *node)
{
	static const char *const known[] = {
		"auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads",
		"strides", NULL
	};
	const struct npucc_operand *x;

	if (!npucc_inputs(l, node, 1, 1) || !npucc_attrs_known(node, known, l->error))
		return false;
	x = npucc_operand_real(l, node, 0);
	return x && lower_average(l, node, x);
}

bool npucc_lower_qlinear_average_pool(struct npucc_lowering *l, const struct npucc_node *node)
{
	static const char *const known[] = {
		"auto_pad", "ceil_mode", "channels_last", "count_include_pad", "kernel_shape",
		"pads", "strides", NULL
	};
	const struct npucc_operand *x;

	if (!npucc_inputs(l, node, 4, 5) || !npucc_attrs_known(node, known, l->error))
		return false;
	x = npucc_operand_codes(l, node, 0);
	return x && lower_average(l, node, x) && npucc_complete_qlinear(l, node, 3);
}

bool npucc_lower_global_average_pool(struct npucc_lowering *l, const struct npucc_node *node)
{
	static const char *const known[] = { NULL };
	const struct npucc_operand *x;

	if (!npucc_inputs(l, node, 1, 1) || !npucc_attrs_known(node, known, l->error))
		return false;
	x = npucc_operand_real(l, node, 0);
	return x && lower_global_pool(l, node, FLUIDNPU_LAYER_AVGPOOL, x);
}

bool npucc_lower_qlinear_global_average_pool(struct npucc_lowering *l,
					     const struct npucc_node *node)
{
	static const char *const known[] = { "channels_last", NULL };
	const struct npucc_operand *x;
	int64_t last = 0;

	if (!npucc_inputs(l, node, 4, 5) || !npucc_attrs_known(node, known, l->error) ||
	    !npucc_attr_int(node, "channels_last", &last, l->error))
		return false;
	if (last)
		return npucc_fail_node(l->error, node, "channels_last is not supported, only [N, C, H, W]");
	x = npucc_operand_codes(l, node, 0);
	return x && lower_global_pool(l, node, FLUIDNPU_LAYER_AVGPOOL, x) &&
	       npucc_complete_qlinear(l, node, 3);
}

/* The mean over H and W is a global average. Its axes are an input since opset 18. */
bool npucc_lower_reduce_mean(struct npucc_lowering *l, const struct npucc_node *node)
{
	static const char *const known[] = { "axes", "keepdims", "noop_with_empty_axes", NULL };
	int64_t axes[2] = { 0 }, keep = 1;
	const struct npucc_operand *x;

	if (!npucc_inputs(l, node, 1, 2) || !npucc_attrs_known(node, known, l->error) ||
	    !npucc_read_axes(l, node, axes) ||
	    !npucc_attr_int(node, "keepdims", &keep, l->error))
		return false;
	if ((axes[0] != 2 && axes[0] != -2) || (axes[1] != 3 && axes[1] != -1))
		return npucc_fail_node(l->error, node, "only the mean over axes 2 and 3, all pixels of a channel, is supported");
	x = npucc_operand_real(l, node, 0);
	if (!x || !lower_global_pool(l, node, FLUIDNPU_LAYER_AVGPOOL, x))
		return false;
	node->outputs[0]->operand->flat = !keep;
	return true;
}
