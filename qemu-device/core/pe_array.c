// SPDX-License-Identifier: MIT
/*
 * The PE array: a convolution as the matrix engine runs it.
 *
 * The layer is the GEMM of R x P activations per sample (R output positions, P products
 * each) with P x C weights. T_C processing elements, each a row of T_P multipliers with
 * an adder tree, hold a tile of weights; rows of activations stream through. With a
 * stacking factor k, k neighbouring PEs feed one accumulator: the engine is then k * T_P
 * deep and T_C / k wide, and tiles have T_R / k rows.
 *
 * The n samples of a pass <B_R, B_P, k> form b_p = min(B_P, n) groups of b_r = ceil(n / b_p);
 * the last groups may have fewer. The rows of a group's samples are stacked along R, so
 * that a row tile holds the end of one sample and the beginning of the next, and the groups
 * share each tile of weights, one after another, while it is loaded:
 *
 *	       stacked rows                 accumulator buffer, k = 2
 *	  group 0      group 1          |<--------- T_C --------->|
 *	+----------+ +----------+       +------------+------------+ ---
 *	| sample 0 | | sample 2 |       |  group 0   |  group 1   |  |
 *	|..........| |..........|       | T_R/k rows | T_R/k rows |  |
 *	| tile 0   | | tile 0   |       | T_C/k cols | T_C/k cols | T_R
 *	|----------| |----------|       +------------+------------+  |
 *	| sample 1 | | sample 3 |       |  group 2   |  group 3   |  |
 *	|  ...     | |  ...     |       +------------+------------+ ---
 *	                                  ... A such tiles in all
 *
 * A group's accumulators are 1 / k^2 of a tile of T_R x T_C; that is where stacking leaves
 * room for more groups: B_P <= A * k^2.
 *
 *	for each row tile r					n_R
 *	    for each column tile c				n_C
 *		accumulators = bias
 *		for each depth fold p				n_P
 *		    load the weight tile (p, c)
 *		    for each group					b_p
 *			for each row of tile r of the group		T_R / k
 *			    accumulators += row (p) * weight tile
 *		requantize the accumulators, write them to the samples
 *
 * What a host does otherwise, and why the numbers are the same: int32 sums wrap modulo
 * 2^32 and are associative, so the depth is cut to suit the host's caches instead of the
 * multipliers (SLICE), and the groups' rows, which lie one behind the other in the panel of
 * gathered rows, are multiplied FNPU_BLOCK_ROWS at a time across the groups' borders.
 * Everything that depends on the layout stays: which sample and position a row is, which
 * accumulators it adds to, and which channels a column tile has.
 *
 * Memory: beside the layer's weights (FLUIDNPU_MAX_WEIGHT_BYTES, and as int16 panels) the
 * inputs of a pass, at most 16 * FLUIDNPU_MAX_TENSOR_BYTES, and for each row of a tile
 * FNPU_MAX_DEPTH int16 and out_c outputs; tiles are as large as the NPU's, not the guest's.
 */
#include <string.h>

#include "kernels.h"
#include "pe_array.h"

#define SLICE 512	/* depth that is multiplied at once: 16 KiB of a panel */

/** struct fnpu_tile_row - a row of the current row tile: whose it is, and where it adds up */
struct fnpu_tile_row {
	unsigned int sample;	/* of the pass */
	unsigned int position;	/* y * out_w + x of the output */
	int32_t *acc;
};

/** struct pe_array - a layer and one pass of it */
struct pe_array {
	struct fnpu_dev *dev;
	struct fnpu_work *w;
	const struct fluidnpu_hw_layer *l;
	const struct fnpu_kernels *kernels;
	struct fnpu_panels weights;

	/* the layout */
	const struct fluidnpu_hw_sample *samples;
	unsigned int n, b_p, b_r, k;
	unsigned int tile_rows, tile_cols;	/* T_R / k, T_C / k */
	unsigned int positions;			/* R */

	/* the current row tile */
	struct fnpu_tile_row *rows;
	unsigned int num_rows;
	int16_t *panel;			/* [num_rows][stride]: the rows, gathered */
	size_t stride;
	unsigned int gathered;		/* the convolution group in @panel */
	const int8_t **taps;		/* depthwise: of one row */
	int8_t *out;			/* [num_rows][out_c] */

	const int8_t *in;		/* [n][in_bytes] */
	size_t in_bytes;
	int8_t *zeros;			/* zp_in for each input channel: padding */
	int32_t *acc;			/* the accumulator buffer, [A * T_R][T_C] */
};

static unsigned int min(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

/* --- the layout -------------------------------------------------------------------- */

/* The accumulators of a row of @group: see the picture above. */
static int32_t *accumulators(const struct pe_array *a, unsigned int group, unsigned int row)
{
	const struct fluidnpu_hw_geometry *g = &a->dev->config.geometry;
	const unsigned int tile = group / (a->k * a->k), part = group % (a->k * a->k);
	const size_t y = (size_t)tile * g->tile_rows + part / a->k * a->tile_rows + row;

	return a->acc + y * g->tile_cols + part % a->k * a->tile_cols;
}

/* Samples of @group; the last groups may have fewer than the others, or none. */
static unsigned int group_samples(const struct pe_array *a, unsigned int group)
{
	const unsigned int first = group * a->b_r;

	return first < a->n ? min(a->b_r, a->n - first) : 0;
}

/* Lists the rows of row tile @tile: those of group 0, then those of group 1, ... */
static void list_rows(struct pe_array *a, unsigned int tile)
{
	const uint64_t start = (uint64_t)tile * a->tile_rows;

	a->num_rows = 0;
	for (unsigned int group = 0; group < a->b_p; group++) {
		const uint64_t stacked = (uint64_t)group_samples(a, group) * a->positions;

		for (unsigned int i = 0; i < a->tile_rows && start + i < stacked; i++)
			a->rows[a->num_rows++] = (struct fnpu_tile_row){
				.sample = group * a->b_r + (start + i) / a->positions,
				.position = (start + i) % a->positions,
				.acc = accumulators(a, group, i),
			};
	}
}

/* --- activations ------------------------------------------------------------------- */

/* A line of a window, from column @x of the input on: int16, zero in the padding. */
static void gather_line(const struct pe_array *a, const int8_t *line, int x, unsigned int channels,
			int16_t *to)
{
	const struct fluidnpu_hw_layer *l = a->l;

	for (unsigned int kx = 0; kx < l->kernel_w; kx++, x += l->dilation_w, to += channels) {
		if (x < 0 || x >= l->in_w)
			memset(to, 0, channels * sizeof(*to));
		else
			a->kernels->widen(line + (size_t)x * l->in_c, channels, l->zp_in, to);
	}
}

/* The same where the taps are neighbours in memory. */
static void gather_solid_line(const struct pe_array *a, const int8_t *line, int x, int16_t *to)
{
	const struct fluidnpu_hw_layer *l = a->l;
	const int end = x + l->kernel_w;
	const int from = x < 0 ? 0 : x, until = end > l->in_w ? l->in_w : end;

	if (from >= until) {
		memset(to, 0, (size_t)l->kernel_w * l->in_c * sizeof(*to));
		return;
	}
	memset(to, 0, (size_t)(from - x) * l->in_c * sizeof(*to));
	a->kernels->widen(line + (size_t)from * l->in_c, (size_t)(until - from) * l->in_c, l->zp_in,
			  to + (size_t)(from - x) * l->in_c);
	memset(to + (size_t)(until - x) * l->in_c, 0,
	       (size_t)(end - until) * l->in_c * sizeof(*to));
}

/* A GEMM row of convolution group @group: the window of an output position. */
static void gather_row(const struct pe_array *a, const struct fnpu_tile_row *row,
		       unsigned int group, int16_t *to)
{
	const struct fluidnpu_hw_layer *l = a->l;
	const unsigned int channels = l->in_c / l->groups;
	const bool solid = l->groups == 1 && l->dilation_w == 1;
	const int8_t *in = a->in + row->sample * a->in_bytes + (size_t)group * channels;
	const int x = (int)(row->position % l->out_w * l->stride_w) - l->pad_l;
	int y = (int)(row->position / l->out_w * l->stride_h) - l->pad_t;

	for (unsigned int ky = 0; ky < l->kernel_h; ky++, y += l->dilation_h) {
		if (y < 0 || y >= l->in_h)
			memset(to, 0, (size_t)l->kernel_w * channels * sizeof(*to));
		else if (solid)
			gather_solid_line(a, in + (size_t)y * l->in_w * l->in_c, x, to);
		else
			gather_line(a, in + (size_t)y * l->in_w * l->in_c, x, channels, to);
		to += (size_t)l->kernel_w * channels;
	}
}

/*
 * All rows of the tile, once for all its column tiles. A row's overrun (FNPU_OVERRUN) goes
 * where the next row is written afterwards.
 */
static void gather(struct pe_array *a, unsigned int group)
{
	if (a->gathered == group)
		return;
	for (unsigned int i = 0; i < a->num_rows; i++)
		gather_row(a, &a->rows[i], group, a->panel + i * a->stride);
	a->gathered = group;
}

/* --- multiplication ---------------------------------------------------------------- */

/** struct block - some columns of a panel at a slice of the depth, and where they add up */
struct block {
	const int16_t *panel;	/* at the slice */
	unsigned int depth;	/* where the slice starts */
	unsigned int pairs;	/* its length */
	unsigned int off, n;	/* columns of the panel */
	unsigned int col;	/* of the accumulators */
};

/* Rows @i.. times the block's columns, straight into the accumulators. */
static void block_in_place(const struct pe_array *a, const struct block *b, unsigned int i,
			   unsigned int rows, unsigned int width)
{
	int32_t *acc[FNPU_BLOCK_ROWS];

	for (unsigned int r = 0; r < rows; r++)
		acc[r] = a->rows[i + r].acc + b->col;
	a->kernels->block(a->panel + i * a->stride + b->depth, a->stride, b->panel + b->off * 2,
			  b->pairs, rows, width, acc);
}

/* The same where a kernel's columns are not the block's. */
static void block_aside(const struct pe_array *a, const struct block *b, unsigned int i,
			unsigned int rows)
{
	int32_t aside[FNPU_BLOCK_ROWS][FNPU_PANEL_COLS] = { 0 };
	int32_t *acc[FNPU_BLOCK_ROWS];

	for (unsigned int r = 0; r < rows; r++)
		acc[r] = aside[r];
	a->kernels->block(a->panel + i * a->stride + b->depth, a->stride, b->panel, b->pairs, rows,
			  FNPU_PANEL_COLS, acc);
	for (unsigned int r = 0; r < rows; r++) {
		int32_t *to = a->rows[i + r].acc + b->col;

		for (unsigned int c = 0; c < b->n; c++)
			to[c] = (int32_t)((uint32_t)to[c] + (uint32_t)aside[r][b->off + c]);
	}
}

/* All rows. A kernel adds 8 or 16 columns, which must not be more than the tile has left. */
static void multiply_block(const struct pe_array *a, const struct block *b)
{
	const unsigned int width = b->n > 8 ? 16 : 8;
	const bool in_place = b->off % 8 == 0 && b->off + width <= FNPU_PANEL_COLS &&
			      b->col + width <= a->tile_cols;

	for (unsigned int i = 0; i < a->num_rows; i += FNPU_BLOCK_ROWS) {
		const unsigned int rows = min(FNPU_BLOCK_ROWS, a->num_rows - i);

		if (in_place)
			block_in_place(a, b, i, rows, width);
		else
			block_aside(a, b, i, rows);
	}
}

/* All rows times channels @c.. of convolution group @group, to columns @col.. */
static bool multiply(struct pe_array *a, unsigned int group, unsigned int c, unsigned int n,
		     unsigned int col)
{
	const int16_t *packed = (const int16_t *)a->dev->scratch.packed.data +
				group * a->weights.group;

	gather(a, group);
	for (unsigned int p = 0; p < a->weights.pairs; p += SLICE / 2) {
		struct block b = {
			.depth = 2 * p,
			.pairs = min(SLICE / 2, a->weights.pairs - p),
		};

		if (fnpu_work_cancelled(a->w))
			return false;
		for (unsigned int done = 0; done < n; done += b.n) {
			b.panel = packed + (c + done) / FNPU_PANEL_COLS * a->weights.panel +
				  (size_t)p * 2 * FNPU_PANEL_COLS;
			b.off = (c + done) % FNPU_PANEL_COLS;
			b.n = min(n - done, FNPU_PANEL_COLS - b.off);
			b.col = col + done;
			multiply_block(a, &b);
		}
	}
	return true;
}

/* Where the taps of a row's window lie, from channel @c on; what is padding is in @zeros. */
static void list_taps(const struct pe_array *a, const struct fnpu_tile_row *row, unsigned int c)
{
	const struct fluidnpu_hw_layer *l = a->l;
	const int8_t *in = a->in + row->sample * a->in_bytes + c, *zeros = a->zeros + c;
	const int left = (int)(row->position % l->out_w * l->stride_w) - l->pad_l;
	int y = (int)(row->position / l->out_w * l->stride_h) - l->pad_t;
	const int8_t **tap = a->taps;

	for (unsigned int ky = 0; ky < l->kernel_h; ky++, y += l->dilation_h) {
		int x = left;

		for (unsigned int kx = 0; kx < l->kernel_w; kx++, x += l->dilation_w)
			*tap++ = y < 0 || y >= l->in_h || x < 0 || x >= l->in_w ? zeros :
				 in + ((size_t)y * l->in_w + x) * l->in_c;
	}
	*tap = zeros;	/* of the last pair, if their number is odd */
}

static void multiply_depthwise(const struct pe_array *a, unsigned int c, unsigned int n)
{
	const int16_t *packed = a->dev->scratch.packed.data;

	for (unsigned int i = 0; i < a->num_rows; i++) {
		list_taps(a, &a->rows[i], c);
		a->kernels->depthwise(a->taps, a->weights.pairs, a->l->zp_in, packed + 2 * (size_t)c,
				      a->weights.cols, n, a->rows[i].acc);
	}
}

/* --- the loop nest ----------------------------------------------------------------- */

/* Output channels @o.. in one column tile. */
static bool run_column_tile(struct pe_array *a, unsigned int o, unsigned int n)
{
	const struct fnpu_scratch *x = &a->dev->scratch;
	const unsigned int channels = a->l->out_c / a->l->groups;
	const float *scale = x->scale.data;
	const int32_t *bias = x->bias.data;

	if (fnpu_work_cancelled(a->w))
		return false;
	for (unsigned int i = 0; i < a->num_rows; i++)
		memcpy(a->rows[i].acc, bias + o, n * sizeof(*bias));

	if (fnpu_is_depthwise(a->l)) {
		multiply_depthwise(a, o, n);
	} else {
		for (unsigned int done = 0, take; done < n; done += take) {
			const unsigned int c = (o + done) % channels;

			take = min(n - done, channels - c);
			if (!multiply(a, (o + done) / channels, c, take, done))
				return false;
		}
	}

	for (unsigned int i = 0; i < a->num_rows; i++)
		a->kernels->requantize(a->l, a->rows[i].acc, scale + o, n,
				       a->out + (size_t)i * a->l->out_c + o);
	return true;
}

/* Writes the outputs of the row tile to their samples, neighbouring rows at once. */
static bool store_rows(const struct pe_array *a)
{
	const struct fnpu_work *w = a->w;

	for (unsigned int i = 0, count; i < a->num_rows; i += count) {
		const struct fnpu_tile_row *row = &a->rows[i];
		const uint64_t offset = (uint64_t)row->position * a->l->out_c;

		for (count = 1; i + count < a->num_rows && row[count].sample == row->sample; count++)
			;
		if (!fnpu_vm_write(a->dev, w->as_id,
				   a->samples[row->sample].state_iova + a->l->out_off + offset,
				   a->out + (size_t)i * a->l->out_c, (size_t)count * a->l->out_c,
				   &a->w->fault))
			return false;
	}
	return true;
}

/*
 * Column tiles stay within a convolution group, but where a group has one output channel:
 * then every PE works for a group of its own.
 */
static bool run_row_tile(struct pe_array *a, unsigned int tile)
{
	const unsigned int out_c = a->l->out_c;
	const unsigned int span = a->l->groups == out_c ? out_c : out_c / a->l->groups;

	list_rows(a, tile);
	a->gathered = a->l->groups;	/* none */
	for (unsigned int first = 0; first < out_c; first += span)
		for (unsigned int c = 0; c < span; c += a->tile_cols)
			if (!run_column_tile(a, first + c, min(a->tile_cols, span - c)))
				return false;
	return store_rows(a);
}

/* --- a pass ------------------------------------------------------------------------ */

static bool read_inputs(struct pe_array *a)
{
	const struct fluidnpu_hw_layer *l = a->l;
	int8_t *in = fnpu_buffer_get(&a->dev->scratch.in, a->n * a->in_bytes);

	if (!in)
		return fnpu_out_of_memory(a->w);
	for (unsigned int i = 0; i < a->n; i++)
		if (!fnpu_vm_read(a->dev, a->w->as_id, fnpu_tensor_iova(&a->samples[i], l->in_off),
				  in + i * a->in_bytes, a->in_bytes, &a->w->fault))
			return false;
	a->in = in;
	return true;
}

/* Rows that start at an odd number of cache lines never crowd into the same few cache sets. */
static size_t row_stride(unsigned int depth)
{
	const size_t line = 64 / sizeof(int16_t);

	return ((depth + line - 1) / line | 1) * line;
}

static bool get_memory(struct pe_array *a)
{
	const struct fluidnpu_hw_geometry *g = &a->dev->config.geometry;
	const size_t acc_tiles = (a->b_p + a->k * a->k - 1) / (a->k * a->k);
	const uint64_t stacked = (uint64_t)a->b_r * a->positions;
	const size_t rows = a->b_p * (stacked < a->tile_rows ? stacked : a->tile_rows);
	struct fnpu_scratch *x = &a->dev->scratch;

	a->stride = row_stride(fnpu_depth(a->l));
	a->rows = fnpu_buffer_get(&x->rows, rows * sizeof(*a->rows));
	a->acc = fnpu_buffer_get(&x->acc, acc_tiles * g->tile_rows * g->tile_cols *
					  sizeof(*a->acc));
	a->out = fnpu_buffer_get(&x->out, rows * a->l->out_c);
	if (fnpu_is_depthwise(a->l)) {
		/* list_taps() writes one more behind the window's */
		a->taps = fnpu_buffer_get(&x->taps, (fnpu_depth(a->l) + 1) * sizeof(*a->taps));
		a->zeros = fnpu_buffer_get(&x->zeros, a->l->in_c);
		if (a->zeros)
			memset(a->zeros, a->l->zp_in, a->l->in_c);
	} else {
		a->panel = fnpu_buffer_get(&x->panel, rows * a->stride * sizeof(*a->panel));
	}
	return a->rows && a->acc && a->out && (a->panel || (a->taps && a->zeros));
}

static bool run_pass(struct fnpu_dev *dev, struct fnpu_work *w, const struct fluidnpu_hw_layer *l,
		     const struct fluidnpu_hw_policy *p, const struct fluidnpu_hw_sample *samples)
{
	const unsigned int b_p = min(p->b_p, p->n);
	struct pe_array a = {
		.dev = dev,
		.w = w,
		.l = l,
		.kernels = dev->kernels,
		.weights = fnpu_panels(l),
		.samples = samples,
		.n = p->n,
		.b_p = b_p,
		.b_r = (p->n + b_p - 1) / b_p,
		.k = p->k,
		.tile_rows = dev->config.geometry.tile_rows / p->k,
		.tile_cols = dev->config.geometry.tile_cols / p->k,
		.positions = (unsigned int)l->out_h * l->out_w,
		.in_bytes = (size_t)l->in_h * l->in_w * l->in_c,
	};

	if (!get_memory(&a))
		return fnpu_out_of_memory(w);
	if (!read_inputs(&a))
		return false;
	for (unsigned int tile = 0; (uint64_t)tile * a.tile_rows < (uint64_t)a.b_r * a.positions; tile++)
		if (!run_row_tile(&a, tile))
			return false;
	return true;
}

bool fnpu_pe_array_run(struct fnpu_dev *dev, struct fnpu_work *w, const struct fluidnpu_hw_layer *l)
{
	const struct fluidnpu_hw_sample *samples = w->samples;

	if (!fnpu_weights_load(dev, w, l))
		return false;
	for (unsigned int i = 0; i < w->num_passes; samples += w->passes[i++].n)
		if (!run_pass(dev, w, l, &w->passes[i], samples))
			return false;
	return true;
}
