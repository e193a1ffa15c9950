// SPDX-License-Identifier: MIT
/*
 * Layers: what a valid descriptor is, and the functional execution of a group.
 *
 * A sample's activations live in its state buffer in guest memory between layers, so
 * that a job can be cut and resumed anywhere; a layer reads its inputs from there,
 * computes in scratch memory and writes its output back. A descriptor was
 * copied and validated before it gets here; weights and activations are just numbers.
 */
#include <stdlib.h>
#include <string.h>

#include "fnpu_internal.h"
#include "kernels.h"
#include "pe_array.h"

/* elements of a vector layer, or one of its windows, between two looks at work->cancel */
#define SLICE (1u << 16)

void *fnpu_buffer_get(struct fnpu_buffer *buffer, size_t bytes)
{
	/* for what kernels touch beyond the end: FNPU_OVERRUN elements of at most 4 bytes */
	const size_t slack = 64;

	if (bytes + slack > buffer->bytes) {
		free(buffer->data);
		buffer->data = calloc(1, bytes + slack);
		buffer->bytes = buffer->data ? bytes + slack : 0;
	}
	return buffer->data;
}

/* It is made of buffers and nothing else. */
void fnpu_scratch_free(struct fnpu_scratch *scratch)
{
	struct fnpu_buffer *buffers = (struct fnpu_buffer *)scratch;

	for (size_t i = 0; i < sizeof(*scratch) / sizeof(*buffers); i++)
		free(buffers[i].data);
	memset(scratch, 0, sizeof(*scratch));
}

static uint64_t in_bytes(const struct fluidnpu_hw_layer *l)
{
	return (uint64_t)l->in_h * l->in_w * l->in_c;
}

static uint64_t out_bytes(const struct fluidnpu_hw_layer *l)
{
	return (uint64_t)l->out_h * l->out_w * l->out_c;
}

static bool input_fits(const struct fluidnpu_hw_program *p, uint32_t off, uint64_t bytes)
{
	if (off == FLUIDNPU_TENSOR_INPUT)
		return bytes <= p->input_bytes;
	return off + bytes <= p->state_bytes;
}

static bool program_fits(const struct fluidnpu_hw_program *p, uint32_t off, uint64_t bytes)
{
	return off + bytes <= p->total_bytes;
}

static bool finite_positive(uint32_t bits)
{
	return bits && bits < 0x7f800000u;
}

/* Output extent of a window of @span elements that moves by @stride over in + padding. */
static bool window_fits(unsigned int in, unsigned int pad, unsigned int span, unsigned int stride,
			unsigned int out)
{
	return stride && span && in + pad >= span && (in + pad - span) / stride + 1 == out;
}

static bool windows_valid(const struct fluidnpu_hw_layer *l, unsigned int dilation_h,
			  unsigned int dilation_w)
{
	if (!l->kernel_h || !l->kernel_w || !dilation_h || !dilation_w)
		return false;
	return window_fits(l->in_h, l->pad_t + l->pad_b, (l->kernel_h - 1) * dilation_h + 1,
			   l->stride_h, l->out_h) &&
	       window_fits(l->in_w, l->pad_l + l->pad_r, (l->kernel_w - 1) * dilation_w + 1,
			   l->stride_w, l->out_w);
}

/*
 * The host's work and memory for a layer are bounded, too: as the kernels pad it, for a
 * program need not hold all the weights that it names, pages can be mapped many times.
 */
static uint64_t padded_weights(const struct fluidnpu_hw_layer *l)
{
	return fnpu_round_up(fnpu_depth(l), 2) * l->groups *
	       fnpu_round_up(l->out_c / l->groups, FNPU_PANEL_COLS);
}

static bool conv_valid(const struct fluidnpu_hw_program *p, const struct fluidnpu_hw_layer *l)
{
	uint64_t padded = (uint64_t)(l->in_h + l->pad_t + l->pad_b) *
			  (l->in_w + l->pad_l + l->pad_r) * l->in_c;

	if (!l->groups || l->in_c % l->groups || l->out_c % l->groups)
		return false;
	if (!windows_valid(l, l->dilation_h, l->dilation_w) || padded > FLUIDNPU_MAX_TENSOR_BYTES)
		return false;
	if (fnpu_depth(l) > FNPU_MAX_DEPTH || padded_weights(l) > FLUIDNPU_MAX_WEIGHT_BYTES)
		return false;
	if (l->weight_zp_off && !program_fits(p, l->weight_zp_off, l->out_c))
		return false;
	return program_fits(p, l->weights_off, (uint64_t)fnpu_depth(l) * l->out_c) &&
	       program_fits(p, l->bias_off, 4ull * l->out_c) &&
	       program_fits(p, l->scale_off, 4ull * l->out_c);
}

static bool pool_valid(const struct fluidnpu_hw_layer *l)
{
	if (l->in_c != l->out_c || !windows_valid(l, 1, 1))
		return false;
	/* a window never lies in the padding alone */
	return l->pad_t < l->kernel_h && l->pad_b < l->kernel_h &&
	       l->pad_l < l->kernel_w && l->pad_r < l->kernel_w;
}

static bool concat_valid(const struct fluidnpu_hw_program *p, const struct fluidnpu_hw_layer *l)
{
	return l->in_h == l->out_h && l->in_w == l->out_w &&
	       l->out_channel + l->in_c <= l->out_c &&
	       program_fits(p, l->table_off, FLUIDNPU_TABLE_BYTES);
}

static bool exit_valid(const struct fluidnpu_hw_program *p, const struct fluidnpu_hw_layer *l)
{
	if (l->in_h != 1 || l->in_w != 1 || l->in_c > FLUIDNPU_MAX_CLASSES)
		return false;
	if (l->exit_index >= p->num_exits || l->exit_criterion > FLUIDNPU_EXIT_MARGIN)
		return false;
	return finite_positive(l->scale_in) && (uint64_t)l->logits_off + l->in_c <= p->logits_bytes;
}

static bool reserved_clear(const struct fluidnpu_hw_layer *l)
{
	static const uint8_t zero[sizeof(l->reserved)];

	return !(l->flags & ~(FLUIDNPU_LAYER_FUSED | FLUIDNPU_LAYER_POOL_COUNT_PAD |
			      FLUIDNPU_LAYER_UNSIGNED)) &&
	       !l->reserved1 && !memcmp(l->reserved0, zero, sizeof(l->reserved0)) &&
	       !memcmp(l->reserved, zero, sizeof(l->reserved));
}

/* Without the host's work for it. */
static bool shape_valid(const struct fluidnpu_hw_program *p, const struct fluidnpu_hw_layer *l)
{
	if (!reserved_clear(l))
		return false;
	if (!in_bytes(l) || in_bytes(l) > FLUIDNPU_MAX_TENSOR_BYTES ||
	    !input_fits(p, l->in_off, in_bytes(l)) || l->clamp_min > l->clamp_max)
		return false;
	if (l->op != FLUIDNPU_LAYER_EXIT &&
	    (!out_bytes(l) || out_bytes(l) > FLUIDNPU_MAX_TENSOR_BYTES ||
	     l->out_off + out_bytes(l) > p->state_bytes))
		return false;

	switch (l->op) {
	case FLUIDNPU_LAYER_CONV:
		return conv_valid(p, l);
	case FLUIDNPU_LAYER_ADD:
		return in_bytes(l) == out_bytes(l) && input_fits(p, l->in2_off, in_bytes(l));
	case FLUIDNPU_LAYER_AVGPOOL:
	case FLUIDNPU_LAYER_MAXPOOL:
		return pool_valid(l);
	case FLUIDNPU_LAYER_EXIT:
		return exit_valid(p, l);
	case FLUIDNPU_LAYER_CONCAT:
		return concat_valid(p, l);
	default:
		return false;
	}
}

static uint64_t vector_work(const struct fluidnpu_hw_layer *l)
{
	const bool pool = l->op == FLUIDNPU_LAYER_AVGPOOL || l->op == FLUIDNPU_LAYER_MAXPOOL;

	if (l->op == FLUIDNPU_LAYER_EXIT)
		return l->in_c;
	return out_bytes(l) * (pool ? l->kernel_h * l->kernel_w : 1);
}

/**
 * fnpu_group_affordable() - is the host's work for a group bounded as it should be?
 * @layers: shapes are valid
 *
 * Work of a group that nobody wants any more ends soon (fnpu_work_cancelled()); but whoever
 * wants to see what it wrote waits for all of it.
 */
bool fnpu_group_affordable(const struct fluidnpu_hw_layer *layers, unsigned int count)
{
	uint64_t multiplications = 0, elements = 0;

	for (unsigned int i = 0; i < count; i++) {
		const struct fluidnpu_hw_layer *l = &layers[i];

		if (l->op == FLUIDNPU_LAYER_CONV)
			multiplications += padded_weights(l) * l->out_h * l->out_w;
		else
			elements += vector_work(l);
	}
	return multiplications <= FNPU_MAX_LAYER_WORK && elements <= FNPU_MAX_VECTOR_WORK;
}

/** fnpu_layer_valid() - can @l run without leaving the program, the state or the host's means? */
bool fnpu_layer_valid(const struct fluidnpu_hw_program *p, const struct fluidnpu_hw_layer *l)
{
	return shape_valid(p, l) && fnpu_group_affordable(l, 1);
}

/** fnpu_out_of_memory() - says so in @work; false */
bool fnpu_out_of_memory(struct fnpu_work *work)
{
	work->fault = (struct fnpu_fault){ .status = FLUIDNPU_ERR_MEMORY };
	return false;
}

static bool read_tensor(struct fnpu_dev *dev, struct fnpu_work *w,
			const struct fluidnpu_hw_sample *s, uint32_t off,
			struct fnpu_buffer *buffer, size_t bytes)
{
	void *data = fnpu_buffer_get(buffer, bytes);

	if (!data)
		return fnpu_out_of_memory(w);
	return fnpu_vm_read(dev, w->as_id, fnpu_tensor_iova(s, off), data, bytes, &w->fault);
}

static bool run_exit(struct fnpu_dev *dev, struct fnpu_work *w, const struct fluidnpu_hw_layer *l,
		     unsigned int sample)
{
	const struct fluidnpu_hw_sample *s = &w->samples[sample];
	const int8_t *logits = dev->scratch.in.data;

	fnpu_vector_exit_head(l, logits, &w->heads[sample]);
	if (!s->logits_iova)
		return true;
	return fnpu_vm_write(dev, w->as_id, s->logits_iova + l->logits_off, logits, l->in_c,
			     &w->fault);
}

/* Some output positions. @in2: the other input of an ADD, the table of a CONCAT. */
static void run_slice(const struct fnpu_kernels *k, const struct fluidnpu_hw_layer *l,
		      const int8_t *in, const int8_t *in2, size_t first, size_t n, int8_t *out)
{
	out += first * l->out_c;
	switch (l->op) {
	case FLUIDNPU_LAYER_ADD:
		k->add(l, in + first * l->out_c, in2 + first * l->out_c, n * l->out_c, out);
		break;
	case FLUIDNPU_LAYER_AVGPOOL:
		k->avgpool(l, in, first, n, out);
		break;
	case FLUIDNPU_LAYER_MAXPOOL:
		k->maxpool(l, in, first, n, out);
		break;
	case FLUIDNPU_LAYER_CONCAT:
		fnpu_vector_concat(l, in2, in + first * l->in_c, n, out);
		break;
	}
}

/* A layer slice by slice, as long as somebody wants it. */
static bool run_slices(struct fnpu_dev *dev, const struct fnpu_work *w,
		       const struct fluidnpu_hw_layer *l, const int8_t *in2)
{
	const struct fnpu_scratch *x = &dev->scratch;
	const size_t positions = (size_t)l->out_h * l->out_w;
	const size_t step = 1 + SLICE / (vector_work(l) / positions);

	for (size_t first = 0; first < positions; first += step) {
		const size_t left = positions - first;

		if (fnpu_work_cancelled(w))
			return false;
		run_slice(dev->kernels, l, x->in.data, in2, first, step < left ? step : left,
			  x->out.data);
	}
	return true;
}

/* The input through the table, into its channels of the output, whose others stay. */
static bool run_concat(struct fnpu_dev *dev, struct fnpu_work *w,
		       const struct fluidnpu_hw_layer *l, unsigned int sample)
{
	uint64_t iova = w->samples[sample].state_iova + l->out_off;
	struct fnpu_scratch *x = &dev->scratch;
	int8_t *out = fnpu_buffer_get(&x->out, out_bytes(l));
	int8_t table[FLUIDNPU_TABLE_BYTES];

	if (!out)
		return fnpu_out_of_memory(w);
	if (!fnpu_vm_read(dev, w->as_id, w->program_iova + l->table_off, table, sizeof(table),
			  &w->fault) ||
	    !fnpu_vm_read(dev, w->as_id, iova, out, out_bytes(l), &w->fault))
		return false;
	return run_slices(dev, w, l, table) &&
	       fnpu_vm_write(dev, w->as_id, iova, out, out_bytes(l), &w->fault);
}

/* A layer of the vector unit for one sample. */
static bool run_sample(struct fnpu_dev *dev, struct fnpu_work *w, const struct fluidnpu_hw_layer *l,
		       unsigned int sample)
{
	const struct fluidnpu_hw_sample *s = &w->samples[sample];
	struct fnpu_scratch *x = &dev->scratch;
	int8_t *out;

	if (!read_tensor(dev, w, s, l->in_off, &x->in, in_bytes(l)))
		return false;
	if (l->op == FLUIDNPU_LAYER_EXIT)
		return run_exit(dev, w, l, sample);
	if (l->op == FLUIDNPU_LAYER_CONCAT)
		return run_concat(dev, w, l, sample);

	out = fnpu_buffer_get(&x->out, out_bytes(l));
	if (!out)
		return fnpu_out_of_memory(w);
	if (l->op == FLUIDNPU_LAYER_ADD &&
	    !read_tensor(dev, w, s, l->in2_off, &x->in2, in_bytes(l)))
		return false;
	return run_slices(dev, w, l, x->in2.data) &&
	       fnpu_vm_write(dev, w->as_id, s->state_iova + l->out_off, out, out_bytes(l),
			     &w->fault);
}

static bool run_vector_layer(struct fnpu_dev *dev, struct fnpu_work *w,
			     const struct fluidnpu_hw_layer *l)
{
	for (unsigned int s = 0; s < w->num_samples; s++)
		if (fnpu_work_cancelled(w) || !run_sample(dev, w, l, s))
			return false;
	return true;
}

/** fnpu_work_run() - run a group for all its samples; what went wrong is in @w->fault */
void fnpu_work_run(struct fnpu_dev *dev, struct fnpu_work *w)
{
	for (unsigned int i = 0; i < w->num_layers; i++) {
		const struct fluidnpu_hw_layer *l = &w->layers[i];
		bool ok = l->op == FLUIDNPU_LAYER_CONV ? fnpu_pe_array_run(dev, w, l) :
							 run_vector_layer(dev, w, l);

		if (!ok)
			return;
	}
}
