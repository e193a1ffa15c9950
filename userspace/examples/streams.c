/* SPDX-License-Identifier: MIT */
/*
 * Many streams with deadlines: eight cameras share one NPU, and each frame is worth something only
 * for two milliseconds. The scheduler batches frames of all streams together, and stops a batch
 * where that saves a deadline.
 *
 *	streams MODEL.fnpu [kmd|emu] < IMAGES
 *
 * IMAGES are raw bytes, as for `first`; the streams show them in turn. Stream 0 is the one that
 * matters most; frames that cannot be in time any more are dropped at once.
 */
#include <errno.h>
#include <fluidnpu.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STREAMS		8u
#define FRAMES		50u		/* of each stream */
#define FRAME_US	500.0		/* from one to the next */
#define DEADLINE_NS	2000000u

struct stream {
	unsigned int in_time, late, dropped, refused;
	double latency_us;	/* of those that were served, added up */
};

struct app {
	struct fnpu_session *session;
	const struct fnpu_model_info *model;
	double clock_hz;
	unsigned char *images;
	size_t num_images;
	struct stream streams[STREAMS];
};

/* Called for every result; user_data says whose it is. */
static void take(const struct fnpu_result *r, void *opaque)
{
	struct app *app = opaque;
	struct stream *s = &app->streams[r->user_data % STREAMS];
	double us;

	if (r->status) {	/* -ETIMEDOUT: dropped for its deadline; others say why */
		s->dropped++;
		if (r->status != -ETIMEDOUT)
			fprintf(stderr, "streams: %s\n", r->reason);
		return;
	}
	us = (double)(r->head.time - r->arrived) / app->clock_hz * 1e6;
	s->latency_us += us;
	if (us * 1e3 <= DEADLINE_NS)
		s->in_time++;
	else
		s->late++;
}

static int submit(struct app *app, unsigned int stream, unsigned int frame)
{
	const size_t bytes = app->model->input_bytes;
	const struct fnpu_request request = {
		.user_data = (uint64_t)frame * STREAMS + stream,
		.input = app->images + (frame * STREAMS + stream) % app->num_images * bytes,
		.input_bytes = bytes,
		.format = FNPU_INPUT_U8_NHWC,
		.slo_ns = DEADLINE_NS,
		.priority = stream ? 0 : FNPU_MAX_PRIORITY,
		.flags = FNPU_REQUEST_REJECT_LATE,
	};
	int ret = fnpu_session_submit(app->session, &request);

	if (ret != -EAGAIN)
		return ret;
	app->streams[stream].refused++;		/* the queue is full: this frame is lost */
	return 0;
}

/* Results until device time @time. */
static int serve_until(struct app *app, uint64_t time)
{
	struct fnpu_result results[16];
	int n;

	while ((n = fnpu_session_wait_until(app->session, results, 16, time)) > 0)
		for (int i = 0; i < n; i++)
			take(&results[i], app);
	return n == -ETIMEDOUT || n == -EINTR ? 0 : n;
}

static int run(struct app *app)
{
	const uint64_t start = fnpu_session_time(app->session);
	int ret = 0;

	for (unsigned int frame = 0; frame < FRAMES && !ret; frame++) {
		for (unsigned int stream = 0; stream < STREAMS && !ret; stream++)
			ret = submit(app, stream, frame);
		if (!ret)
			ret = serve_until(app, start + (uint64_t)((frame + 1) * FRAME_US *
								  app->clock_hz / 1e6));
	}
	while (!ret && fnpu_session_pending(app->session))
		ret = fnpu_session_dispatch(app->session, -1, take, app) < 0 ? -EIO : 0;
	return ret;
}

static void report(const struct app *app)
{
	printf("stream  in time  late  dropped  refused  mean latency\n");
	for (unsigned int i = 0; i < STREAMS; i++) {
		const struct stream *s = &app->streams[i];
		const unsigned int served = s->in_time + s->late;

		printf("%6u  %7u  %4u  %7u  %7u  %9.1f us\n", i, s->in_time, s->late, s->dropped,
		       s->refused, served ? s->latency_us / served : 0);
	}
}

static int read_images(struct app *app)
{
	const size_t bytes = app->model->input_bytes, most = 1000;

	app->images = malloc(most * bytes);
	if (app->images)
		app->num_images = fread(app->images, bytes, most, stdin);
	return app->num_images ? 0 : -1;
}

int main(int argc, char **argv)
{
	const struct fnpu_session_options options = { .policy = "fluid+", .queue_bound = 256 };
	struct app app = { 0 };
	struct fnpu_device *device;
	struct fnpu_model *model;
	struct fnpu_error error;
	int ret;

	if (argc < 2) {
		fprintf(stderr, "usage: streams MODEL.fnpu [kmd|emu] < IMAGES\n");
		return 2;
	}
	if (fnpu_model_load(argv[1], &model, &error) ||
	    fnpu_device_open(argc > 2 ? argv[2] : NULL, NULL, &device, &error) ||
	    fnpu_session_open(device, model, &options, &app.session, &error)) {
		fprintf(stderr, "streams: %s\n", error.text);
		return 1;
	}
	app.model = fnpu_model_info(model);
	app.clock_hz = fnpu_device_info(device)->clock_hz;
	if (read_images(&app)) {
		fprintf(stderr, "streams: no image of %u bytes on the standard input\n",
			app.model->input_bytes);
		return 1;
	}
	ret = run(&app);
	if (ret)
		fprintf(stderr, "streams: %s\n", fnpu_session_error(app.session));
	else
		report(&app);
	fnpu_session_close(app.session);
	fnpu_device_close(device);
	fnpu_model_free(model);
	free(app.images);
	return ret != 0;
}
