/* SPDX-License-Identifier: MIT */
/*
 * A camera loop without copies: a V4L2 device writes frames into its buffers, the NPU reads them there
 * (dma-buf), and a buffer goes back to the camera when its result has come.
 *
 *	camera MODEL.fnpu [/dev/videoN [FRAMES [BACKEND]]]
 *
 * With back end "daemon", it is fluidnpud whose NPU does so.
 *
 * The camera must be able to scale to the model's input, in grey (models of one channel). To try it
 * without one: modprobe vivid n_devs=1 node_types=0x1 num_inputs=1 input_types=3
 */
#include <errno.h>
#include <fcntl.h>
#include <fluidnpu.h>
#include <linux/dma-buf.h>
#include <linux/videodev2.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BUFFERS	4u

struct buffer {
	int dmabuf;
	struct fnpu_bo *bo;
};

struct app {
	int video;
	struct buffer buffers[BUFFERS];
	int8_t code_of_byte[256];
	struct fnpu_session *session;
	const struct fnpu_model_info *model;
	unsigned int frames, results;
};

static int fail(const char *what)
{
	fprintf(stderr, "camera: %s: %s\n", what, strerror(errno));
	return -1;
}

/* ---- the camera ---- */

static int open_camera(struct app *app, const char *path)
{
	struct v4l2_format format = {
		.type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
		.fmt.pix = {
			.width = app->model->width, .height = app->model->height,
			.pixelformat = V4L2_PIX_FMT_GREY, .field = V4L2_FIELD_NONE,
		},
	};

	app->video = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (app->video < 0)
		return fail(path);
	if (ioctl(app->video, VIDIOC_S_FMT, &format))
		return fail("VIDIOC_S_FMT");
	if (format.fmt.pix.pixelformat == V4L2_PIX_FMT_GREY &&
	    format.fmt.pix.width == app->model->width &&
	    format.fmt.pix.height == app->model->height &&
	    format.fmt.pix.bytesperline == app->model->width)
		return 0;
	fprintf(stderr, "camera: %s cannot scale to %u x %u in grey: it offers %u x %u\n", path,
		app->model->width, app->model->height, format.fmt.pix.width,
		format.fmt.pix.height);
	return -1;
}

static int queue_buffer(const struct app *app, unsigned int index)
{
	struct v4l2_buffer buffer = {
		.type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = V4L2_MEMORY_MMAP, .index = index,
	};

	return ioctl(app->video, VIDIOC_QBUF, &buffer) ? fail("VIDIOC_QBUF") : 0;
}

/* The camera's buffers, for the NPU as well. */
static int share_buffers(struct app *app, struct fnpu_device *device)
{
	struct v4l2_requestbuffers request = {
		.count = BUFFERS, .type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = V4L2_MEMORY_MMAP,
	};
	struct fnpu_error error;

	if (ioctl(app->video, VIDIOC_REQBUFS, &request) || request.count < BUFFERS)
		return fail("VIDIOC_REQBUFS");
	for (unsigned int i = 0; i < BUFFERS; i++) {
		struct v4l2_exportbuffer export = {
			.type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .index = i, .flags = O_RDWR | O_CLOEXEC,
		};

		if (ioctl(app->video, VIDIOC_EXPBUF, &export))
			return fail("VIDIOC_EXPBUF");
		app->buffers[i].dmabuf = export.fd;
		if (fnpu_bo_import(device, export.fd, &app->buffers[i].bo, &error)) {
			fprintf(stderr, "camera: %s\n", error.text);
			return -1;
		}
		if (queue_buffer(app, i))
			return -1;
	}
	return 0;
}

static int start_camera(const struct app *app)
{
	const int type = V4L2_BUF_TYPE_VIDEO_CAPTURE;

	return ioctl(app->video, VIDIOC_STREAMON, &type) ? fail("VIDIOC_STREAMON") : 0;
}

/* ---- frames ---- */

/* What a byte of an image is to the network; see struct fnpu_model_info. */
static void make_codes(struct app *app)
{
	for (int byte = 0; byte < 256; byte++) {
		const float x = (float)byte * app->model->byte_scale + app->model->byte_offset;
		const float q = rintf(x / app->model->input_scale) +
				(float)app->model->input_zero_point;

		app->code_of_byte[byte] = (int8_t)(q < -128 ? -128 : q > 127 ? 127 : q);
	}
}

static int sync_cpu(const struct buffer *buffer, uint64_t flags)
{
	struct dma_buf_sync sync = { .flags = flags | DMA_BUF_SYNC_RW };

	return ioctl(buffer->dmabuf, DMA_BUF_IOCTL_SYNC, &sync) ? fail("DMA_BUF_IOCTL_SYNC") : 0;
}

/* Cameras tell bytes from 0, the NPU takes signed ones: they are changed where they are. */
static int convert(const struct app *app, const struct buffer *buffer)
{
	unsigned char *pixels = fnpu_bo_map(buffer->bo);

	if (!pixels) {
		fprintf(stderr, "camera: the CPU cannot see the camera's buffers\n");
		return -1;
	}
	if (sync_cpu(buffer, DMA_BUF_SYNC_START))
		return -1;
	for (uint32_t i = 0; i < app->model->input_bytes; i++)
		pixels[i] = (unsigned char)app->code_of_byte[pixels[i]];
	return sync_cpu(buffer, DMA_BUF_SYNC_END);
}

static int take_frame(struct app *app)
{
	struct v4l2_buffer frame = {
		.type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = V4L2_MEMORY_MMAP,
	};
	struct fnpu_request request = { .format = FNPU_INPUT_I8_NHWC };

	if (ioctl(app->video, VIDIOC_DQBUF, &frame))
		return errno == EAGAIN ? 0 : fail("VIDIOC_DQBUF");
	if (convert(app, &app->buffers[frame.index]))
		return -1;
	request.user_data = frame.index;
	request.bo = app->buffers[frame.index].bo;
	request.input_bytes = app->model->input_bytes;
	if (fnpu_session_submit(app->session, &request) || fnpu_session_flush(app->session)) {
		fprintf(stderr, "camera: %s\n", fnpu_session_error(app->session));
		return -1;
	}
	app->frames++;
	return 0;
}

static int take_results(struct app *app)
{
	struct fnpu_result results[BUFFERS];
	const int n = fnpu_session_poll(app->session, results, BUFFERS);

	for (int i = 0; i < n; i++) {
		const struct fnpu_result *r = &results[i];

		if (r->status)
			printf("frame %u: %s\n", app->results, r->reason);
		else
			printf("frame %u: %s (%.1f %%), left at exit %u\n", app->results,
			       r->head.class_index < app->model->num_labels ?
			       app->model->labels[r->head.class_index] : "?",
			       100 * (double)r->head.confidence, r->exit_index);
		app->results++;
		if (queue_buffer(app, (unsigned int)r->user_data))
			return -1;
	}
	if (n < 0)
		fprintf(stderr, "camera: %s\n", fnpu_session_error(app->session));
	return n < 0 ? -1 : 0;
}

static int run(struct app *app, unsigned int frames)
{
	struct pollfd fds[] = {
		{ .fd = app->video, .events = POLLIN },
		{ .fd = fnpu_session_fd(app->session), .events = POLLIN },
	};

	while (app->results < frames) {
		if (poll(fds, 2, 5000) <= 0 && errno != EINTR)
			return fail("no frame for five seconds");
		if (fds[0].revents && app->frames < frames && take_frame(app))
			return -1;
		if (take_results(app))
			return -1;
		if (app->frames == frames)
			fds[0].fd = -1;		/* no more: only results */
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct app app = { .video = -1 };
	struct fnpu_device *device;
	struct fnpu_model *model;
	struct fnpu_error error;
	int ret;

	if (argc < 2) {
		fprintf(stderr, "usage: camera MODEL.fnpu [/dev/videoN [FRAMES [BACKEND]]]\n");
		return 2;
	}
	if (fnpu_model_load(argv[1], &model, &error) ||
	    fnpu_device_open(argc > 4 ? argv[4] : NULL, NULL, &device, &error) ||
	    fnpu_session_open(device, model, NULL, &app.session, &error)) {
		fprintf(stderr, "camera: %s\n", error.text);
		return 1;
	}
	app.model = fnpu_model_info(model);
	make_codes(&app);
	ret = open_camera(&app, argc > 2 ? argv[2] : "/dev/video0");
	if (!ret)
		ret = share_buffers(&app, device);
	if (!ret)
		ret = start_camera(&app);
	if (!ret)
		ret = run(&app, argc > 3 ? (unsigned int)atoi(argv[3]) : 30);
	/* the NPU is done with a buffer before it goes */
	fnpu_session_close(app.session);
	for (unsigned int i = 0; i < BUFFERS; i++) {
		fnpu_bo_free(app.buffers[i].bo);
		if (app.buffers[i].bo)
			close(app.buffers[i].dmabuf);
	}
	if (app.video >= 0)
		close(app.video);
	fnpu_device_close(device);
	fnpu_model_free(model);
	return ret ? 1 : 0;
}
