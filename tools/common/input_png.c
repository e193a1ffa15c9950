// SPDX-License-Identifier: MIT
/*
 * PNG: the bytes of the file as they are, without gamma or colour correction, as
 * networks were trained on such. Palettes become RGB, fewer than 8 bits of gray
 * become 8. libpng reports errors by longjmp(): what must survive it is in struct png.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "error.h"
#include "input.h"

#define MAX_SIDE	16384u

struct png {
	png_structp png;
	png_infop info;
	FILE *file;
	png_bytep *rows;
	char message[128];
};

static void on_error(png_structp png, png_const_charp message)
{
	struct png *p = png_get_error_ptr(png);

	snprintf(p->message, sizeof(p->message), "%s", message);
	longjmp(png_jmpbuf(png), 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
	(void)png;
	(void)message;
}

/* Everything in here may longjmp() out. */
static int read_image(struct png *p, struct input *in, struct fnpu_error *error)
{
	size_t row_bytes;
	int colour;

	png_init_io(p->png, p->file);
	png_set_user_limits(p->png, MAX_SIDE, MAX_SIDE);
	png_read_info(p->png, p->info);
	colour = png_get_color_type(p->png, p->info);
	if (png_get_bit_depth(p->png, p->info) == 16)
		return fnpu_fail(error, -EINVAL, "%s has 16 bits per channel: save it with 8",
				 in->path);
	if ((colour & PNG_COLOR_MASK_ALPHA) || png_get_valid(p->png, p->info, PNG_INFO_tRNS))
		return fnpu_fail(error, -EINVAL, "%s is transparent: save it without alpha", in->path);
	if (colour == PNG_COLOR_TYPE_PALETTE)
		png_set_palette_to_rgb(p->png);
	if (colour == PNG_COLOR_TYPE_GRAY)
		png_set_expand_gray_1_2_4_to_8(p->png);
	png_set_interlace_handling(p->png);
	png_read_update_info(p->png, p->info);

	in->height = png_get_image_height(p->png, p->info);
	in->width = png_get_image_width(p->png, p->info);
	in->channels = png_get_channels(p->png, p->info);
	row_bytes = png_get_rowbytes(p->png, p->info);
	in->sample_bytes = row_bytes * in->height;
	in->bytes = malloc(in->sample_bytes);
	p->rows = calloc(in->height, sizeof(*p->rows));
	if (!in->bytes || !p->rows)
		return fnpu_fail(error, -ENOMEM, "no memory for %s", in->path);
	for (uint32_t y = 0; y < in->height; y++)
		p->rows[y] = in->bytes + y * row_bytes;
	png_read_image(p->png, p->rows);
	png_read_end(p->png, NULL);
	return 0;
}

static int decode(struct png *p, struct input *in, struct fnpu_error *error)
{
	if (setjmp(png_jmpbuf(p->png)))
		return fnpu_fail(error, -EBADMSG, "%s is not a sound PNG file: %s", in->path,
				 p->message);
	return read_image(p, in, error);
}

int input_open_png(struct input *in, struct fnpu_error *error)
{
	struct png p = { 0 };
	int ret;

	p.file = fopen(in->path, "rbe");
	if (!p.file)
		return fnpu_fail(error, -errno, "cannot open %s: %s", in->path, strerror(errno));
	p.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &p, on_error, on_warning);
	p.info = p.png ? png_create_info_struct(p.png) : NULL;
	if (p.info)
		ret = decode(&p, in, error);
	else
		ret = fnpu_fail(error, -ENOMEM, "out of memory");
	png_destroy_read_struct(&p.png, &p.info, NULL);
	free(p.rows);
	fclose(p.file);
	if (ret) {
		input_close(in);
		return ret;
	}
	in->count = 1;
	in->format = FNPU_INPUT_U8_NHWC;
	in->one_image = 1;
	return 0;
}
