// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "params.h"
#include "workload.h"

#define RNG_ARRIVALS		1	/* stream of the generator */
#define DEFAULT_STREAMS		16

static const char *const names[] = {
	[WORKLOAD_POISSON] = "poisson",
	[WORKLOAD_BURSTY] = "bursty",
	[WORKLOAD_CAMERAS] = "cameras",
};

/* ---- options ---- */

static int parse_named(enum workload_kind kind, const char *text, struct workload_options *o,
		       struct fnpu_error *error)
{
	double streams = o->streams;
	const struct param streams_param = { "streams", &streams, 1, WORKLOAD_MAX_STREAMS };
	const struct param poisson[] = { streams_param, { 0 } };
	const struct param bursty[] = {
		{ "factor", &o->factor, 1, 100 }, { "burst", &o->burst_s, 1e-6, 3600 },
		streams_param, { 0 },
	};
	const struct param cameras[] = {
		{ "n", &streams, 1, WORKLOAD_MAX_STREAMS }, { "jitter", &o->jitter, 0, 10 }, { 0 },
	};
	int ret = params_parse(names[kind], text, kind == WORKLOAD_POISSON ? poisson :
			       kind == WORKLOAD_BURSTY ? bursty : cameras, error);

	o->kind = kind;
	o->streams = (uint32_t)streams;
	if (!ret && streams != o->streams)
		ret = fnpu_fail(error, -EINVAL, "%s: the number of streams is a whole one, not %g",
				names[kind], streams);
	return ret;
}

int workload_parse(const char *text, struct workload_options *o, struct fnpu_error *error)
{
	const size_t len = strcspn(text, ":");

	*o = (struct workload_options){
		.factor = 2.5, .burst_s = 0.2, .jitter = 0.1, .streams = DEFAULT_STREAMS,
	};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i]) == len && !strncmp(text, names[i], len))
			return parse_named((enum workload_kind)i, text[len] ? text + len + 1 : NULL,
					   o, error);
	if (!strpbrk(text, "./"))
		return fnpu_fail(error, -EINVAL,
				 "no workload '%.100s': it is poisson, bursty, cameras, or a file (with a '/' or '.' in its name)",
				 text);
	o->kind = WORKLOAD_FILE;
	if (strlen(text) >= sizeof(o->path))
		return fnpu_fail(error, -EINVAL, "the path %.100s... is too long", text);
	strcpy(o->path, text);
	return 0;
}

/* ---- cameras: a heap of the next frame of each ---- */

static bool earlier(const struct workload *w, uint32_t a, uint32_t b)
{
	return w->cameras[w->order[a]].next < w->cameras[w->order[b]].next;
}

static void swap(struct workload *w, uint32_t a, uint32_t b)
{
	const uint32_t camera = w->order[a];

	w->order[a] = w->order[b];
	w->order[b] = camera;
}

static void sift_down(struct workload *w, uint32_t i)
{
	const uint32_t n = w->options.streams;

	for (;;) {
		uint32_t least = i, child = 2 * i + 1;

		if (child < n && earlier(w, child, least))
			least = child;
		if (child + 1 < n && earlier(w, child + 1, least))
			least = child + 1;
		if (least == i)
			return;
		swap(w, i, least);
		i = least;
	}
}

static double camera_period(const struct workload *w)
{
	return w->mean_s * w->options.streams;
}

static void set_frame(struct workload *w, struct workload_camera *c, double due)
{
	const double offset = (2 * rng_uniform(&w->rng) - 1) * w->options.jitter * camera_period(w);

	c->frame = due;
	c->next = due + offset > 0 ? due + offset : 0;
}

static int open_cameras(struct workload *w, struct fnpu_error *error)
{
	const uint32_t n = w->options.streams;

	w->cameras = calloc(n, sizeof(*w->cameras));
	w->order = calloc(n, sizeof(*w->order));
	if (!w->cameras || !w->order)
		return fnpu_fail(error, -ENOMEM, "no memory for %u cameras", n);
	for (uint32_t i = 0; i < n; i++) {
		set_frame(w, &w->cameras[i], rng_uniform(&w->rng) * camera_period(w));
		w->order[i] = i;
	}
	for (uint32_t i = n / 2; i--;)
		sift_down(w, i);
	return 0;
}

/* With a large jitter a frame may overtake the camera's previous one: then it comes with it. */
static struct arrival next_frame(struct workload *w)
{
	const uint32_t camera = w->order[0];
	struct workload_camera *c = &w->cameras[camera];

	if (c->next > w->now)
		w->now = c->next;
	set_frame(w, c, c->frame + camera_period(w));
	sift_down(w, 0);
	return (struct arrival){ w->now, camera, WORKLOAD_NO_EXIT };
}

/* ---- Poisson, bursty ---- */

static double mean_state_s(const struct workload *w)
{
	return w->options.burst_s * (w->burst ? 1 : w->options.factor);
}

static void open_bursty(struct workload *w)
{
	/* the stationary share of bursts is 1 / (1 + factor) */
	w->burst = rng_uniform(&w->rng) * (1 + w->options.factor) < 1;
	w->state_end = rng_exponential(&w->rng, mean_state_s(w));
}

/* A Poisson process has no memory: at the end of a state the wait starts anew. */
static double next_bursty(struct workload *w)
{
	for (;;) {
		const double rate = w->burst ? w->options.factor : 1 / w->options.factor;
		const double at = w->now + rng_exponential(&w->rng, w->mean_s / rate);

		if (at < w->state_end)
			return at;
		w->now = w->state_end;
		w->burst = !w->burst;
		w->state_end += rng_exponential(&w->rng, mean_state_s(w));
	}
}

/* ---- a workload ---- */

static int open_intervals(struct workload *w, double rate_hz, struct fnpu_error *error)
{
	double sum = 0;
	int ret = workload_read_file(w->options.path, &w->intervals, &w->num_intervals, error);

	if (ret)
		return ret;
	for (uint32_t i = 0; i < w->num_intervals; i++)
		sum += w->intervals[i].seconds;
	if (!(sum > 0))
		return fnpu_fail(error, -EINVAL, "%s: all requests come at once: it has no rate",
				 w->options.path);
	if (rate_hz > 0) {
		const double scale = w->num_intervals / (rate_hz * sum);

		for (uint32_t i = 0; i < w->num_intervals; i++)
			w->intervals[i].seconds *= scale;
		sum *= scale;
	}
	w->mean_s = sum / w->num_intervals;
	return 0;
}

int workload_open(struct workload *w, const struct workload_options *options, double rate_hz,
		  uint64_t seed, struct fnpu_error *error)
{
	int ret = 0;

	*w = (struct workload){ .options = *options };
	rng_seed(&w->rng, seed, RNG_ARRIVALS);
	if (options->kind != WORKLOAD_FILE) {
		if (!(rate_hz > 0))
			return fnpu_fail(error, -EINVAL, "a workload needs a rate above 0");
		w->mean_s = 1 / rate_hz;
	}
	if (options->kind == WORKLOAD_BURSTY)
		open_bursty(w);
	else if (options->kind == WORKLOAD_CAMERAS)
		ret = open_cameras(w, error);
	else if (options->kind == WORKLOAD_FILE)
		ret = open_intervals(w, rate_hz, error);
	if (ret)
		workload_close(w);
	return ret;
}

struct arrival workload_next(struct workload *w)
{
	struct arrival a = { .exit = WORKLOAD_NO_EXIT };

	switch (w->options.kind) {
	case WORKLOAD_CAMERAS:
		return next_frame(w);
	case WORKLOAD_FILE:
		w->now += w->intervals[w->next_interval].seconds;
		a.exit = w->intervals[w->next_interval].exit;
		w->next_interval = (w->next_interval + 1) % w->num_intervals;
		break;
	case WORKLOAD_BURSTY:
		w->now = next_bursty(w);
		break;
	case WORKLOAD_POISSON:
		w->now += rng_exponential(&w->rng, w->mean_s);
		break;
	}
	a.seconds = w->now;
	a.stream = rng_below(&w->rng, w->options.streams);
	return a;
}

void workload_close(struct workload *w)
{
	free(w->cameras);
	free(w->order);
	free(w->intervals);
	w->cameras = NULL;
	w->order = NULL;
	w->intervals = NULL;
}
