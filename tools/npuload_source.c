// SPDX-License-Identifier: MIT
/*
 * Which requests come when: npusim's generators, so that the same options are the same requests
 * there and here, to the cycle. Only busy scenes are new: the cameras' time is stretched
 * and compressed by a two-state process like that of bursty arrivals, for all cameras at once.
 * Everything is made before the first request is sent.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cli.h"
#include "common/input.h"
#include "npuload.h"
#include "sim/source.h"

#define RNG_SCENE		5	/* stream of the generator, beside those of the simulator */
#define MAX_CLOSED_REQUESTS	(1u << 20)	/* that --duration alone can send one after the other */

bool load_is_open_loop(enum load_scenario scenario)
{
	return load_has_rate(scenario) || scenario == LOAD_TRACE;
}

bool load_has_rate(enum load_scenario scenario)
{
	return scenario == LOAD_SERVER || scenario == LOAD_BURSTY || scenario == LOAD_CAMERAS ||
	       scenario == LOAD_INTERVALS;
}

/* ---- busy scenes ---- */

/**
 * struct scene - what the cameras see; seconds
 * @begin, @end: of the state that it is in
 * @frame_begin, @frame_end: the same in the cameras' time, in which they send frames at a
 *	constant rate
 */
struct scene {
	struct rng rng;
	double factor;
	double busy_s;
	bool busy;
	double begin, end;
	double frame_begin, frame_end;
};

static double scene_speed(const struct scene *s)
{
	return s->busy ? s->factor : 1 / s->factor;
}

static void enter_state(struct scene *s, bool busy)
{
	double mean_s = s->busy_s;

	s->busy = busy;
	if (!busy)
		mean_s *= s->factor;
	s->begin = s->end;
	s->frame_begin = s->frame_end;
	s->end += rng_exponential(&s->rng, mean_s);
	s->frame_end += (s->end - s->begin) * scene_speed(s);
}

static void open_scene(struct scene *s, const struct load_options *o)
{
	*s = (struct scene){ .factor = o->busy_factor, .busy_s = o->busy_s };
	rng_seed(&s->rng, o->seed, RNG_SCENE);
	/* the share of busy scenes is 1 / (1 + factor) */
	enter_state(s, rng_uniform(&s->rng) * (1 + s->factor) < 1);
}

/* When a frame comes; those of the cameras' time @frame do not decrease. */
static double scene_time(struct scene *s, double frame)
{
	while (frame >= s->frame_end)
		enter_state(s, !s->busy);
	return s->begin + (frame - s->frame_begin) / scene_speed(s);
}

/* ---- requests ---- */

/** struct stream - of requests, as the options say; @slo_cycles: 0: the simulator's deadline */
struct stream {
	const struct load *load;
	struct source source;
	struct scene scene;
	uint64_t slo_cycles;
	uint64_t first;		/* arrival of the first behind the warm-up */
};

static int open_stream(struct stream *s, struct load *l)
{
	const struct load_options *o = l->options;
	struct fnpu_error error;

	s->load = l;
	s->slo_cycles = (uint64_t)llround(o->slo_ms * 1e3 * l->cycles_per_us);
	s->first = 0;
	open_scene(&s->scene, o);
	if (source_open(&s->source, &l->setup, &l->sim, &error))
		return cli_error("%s", error.text);
	return 0;
}

static uint64_t deadline_of(const struct stream *s, const struct request *r, uint64_t arrival)
{
	const struct load_options *o = s->load->options;

	if (o->slo_factor > 0)
		return arrival + (r->deadline - r->arrival);
	return o->slo_ms > 0 ? arrival + s->slo_cycles : LOAD_NO_DEADLINE;
}

static bool next_request(struct stream *s, struct load_request *out)
{
	const struct load_options *o = s->load->options;
	const double clock_hz = s->load->setup.clock_hz;
	struct request r;

	if (!source_next(&s->source, &r))
		return false;
	if (!load_is_open_loop(o->scenario)) {
		r.deadline -= r.arrival;
		r.arrival = 0;
	}
	*out = (struct load_request){
		.number = r.number,
		.stream = r.stream,
		.arrival = r.arrival,
		.exit = r.exit,
		.right = r.right,
		.flags = (r.best_effort ? FNPU_REQUEST_BEST_EFFORT : 0) |
			 (r.reject_late ? FNPU_REQUEST_REJECT_LATE : 0),
		.outcome = LOAD_UNSERVED,
	};
	if (o->busy_factor > 1)
		out->arrival = (uint64_t)(scene_time(&s->scene, (double)r.arrival / clock_hz) *
					  clock_hz);
	out->deadline = deadline_of(s, &r, out->arrival);
	if (r.number == o->warmup)
		s->first = out->arrival;
	return !load_is_open_loop(o->scenario) || !o->duration_s || r.number < o->warmup ||
	       (double)(out->arrival - s->first) <= o->duration_s * clock_hz;
}

/* How many there are, and, with @requests, which. */
static int64_t run_stream(struct load *l, struct load_request *requests)
{
	struct stream *s = malloc(sizeof(*s));
	struct load_request r;
	int64_t num = 0;

	if (!s)
		return cli_error("out of memory");
	if (open_stream(s, l)) {
		free(s);
		return -1;
	}
	while (next_request(s, &r)) {
		if (requests)
			requests[num] = r;
		num++;
	}
	source_close(&s->source);
	free(s);
	return num;
}

static int make_room(struct load *l, uint32_t num)
{
	free(l->requests);
	free(l->latencies);
	l->num = num;
	l->requests = calloc(num, sizeof(*l->requests));
	l->latencies = calloc(num, sizeof(*l->latencies));
	return l->requests && l->latencies ? 0 : cli_error("no memory for %u requests", num);
}

static int read_trace(struct load *l)
{
	struct fnpu_error error;

	if (load_read_trace(l->options->trace, l->cycles_per_us, &l->requests, &l->num, &error))
		return cli_error("%s", error.text);
	l->latencies = calloc(l->num, sizeof(*l->latencies));
	return l->latencies ? 0 : cli_error("no memory for %u requests", l->num);
}

static int check_trace(const struct load *l)
{
	if (l->options->warmup >= l->num)
		return cli_error("%s has %u requests: none is left behind a warm-up of %" PRIu64,
				 l->options->trace, l->num, l->options->warmup);
	for (uint32_t i = 0; !l->computes && i < l->num; i++)
		if (l->requests[i].exit >= l->info->num_exits)
			return cli_error("%s: request %" PRIu64 " leaves at exit %u, and model %s has %u",
					 l->options->trace, l->requests[i].number,
					 l->requests[i].exit, l->info->name, l->info->num_exits);
	return 0;
}

int load_source_fill(struct load *l, const struct load_point *point)
{
	const bool rate = load_has_rate(l->options->scenario);
	struct fnpu_error error;
	int64_t num;

	if (l->options->scenario == LOAD_TRACE)
		return 0;
	l->sim.load = rate ? point->load : 0;
	l->sim.rate_hz = rate ? point->rate_hz : 1;
	if (sim_prepare(l->cache, &l->sim, &l->setup, &error))
		return cli_error("%s", error.text);
	num = run_stream(l, NULL);
	if (num < 0)
		return -1;
	if (make_room(l, (uint32_t)num))
		return -1;
	return run_stream(l, l->requests) == num ? 0 : -1;
}

/* ---- inputs ---- */

static int read_images(struct load *l, const struct input *in)
{
	struct load_inputs *inputs = &l->inputs;
	struct fnpu_error error;

	inputs->count = in->count;
	inputs->sample_bytes = in->sample_bytes;
	inputs->format = in->format;
	inputs->bytes = malloc(in->count * in->sample_bytes);
	if (!inputs->bytes)
		return cli_error("no memory for the %" PRIu64 " samples of %s", in->count, in->path);
	for (uint64_t i = 0; i < in->count; i++)
		if (input_read(in, i, inputs->bytes + i * in->sample_bytes, &error))
			return cli_error("%s", error.text);
	return 0;
}

static int open_images(struct load *l)
{
	struct fnpu_error error;
	struct input in;
	int ret;

	if (input_open(&in, l->options->images, &error))
		return cli_error("%s", error.text);
	if (input_check_shape(&in, l->info, &error))
		ret = cli_error("%s", error.text);
	else
		ret = read_images(l, &in);
	input_close(&in);
	return ret;
}

static int open_labels(struct load *l)
{
	const char *path = l->options->labels;
	struct fnpu_error error = { "" };
	uint64_t count;

	if (labels_open(path, &l->inputs.labels, &count, &error))
		return cli_error("%s", error.text);
	if (count != l->inputs.count)
		return cli_error("%s has %" PRIu64 " labels for %" PRIu64 " samples: they do not belong together",
				 path, count, l->inputs.count);
	return 0;
}

static int check_inputs(const struct load *l)
{
	const struct load_options *o = l->options;

	if (l->computes && !o->images && o->trace)
		return cli_error("this NPU computes, and a trace has no inputs: give --images, or use an NPU with functional=off");
	if (l->computes && !o->images)
		return cli_error("this NPU computes: what is it to classify? Give --images, or use an NPU with functional=off");
	if (!l->computes && o->images)
		return cli_error("this NPU only models time (functional=off) and looks at no images: leave out --images");
	return 0;
}

/* ---- open and close ---- */

/* What an NPU that computes does with samples is not known before. */
static void equal_shares(const struct load *l, char text[SIM_TEXT_BYTES])
{
	int len = 0;

	for (uint32_t e = 0; e < l->info->num_exits && len < (int)SIM_TEXT_BYTES; e++)
		len += snprintf(text + len, SIM_TEXT_BYTES - (size_t)len, "%s%.9g", e ? "," : "",
				1.0 / l->info->num_exits);
}

static int open_sim(struct load *l)
{
	const struct load_options *o = l->options;
	struct sim_options *s = &l->sim;

	if (o->load.from > 0 && l->computes && !o->exits)
		return cli_error("--load needs to know where samples leave: give --exits, or --rate instead");
	l->cache = sim_cache_new();
	if (!l->cache)
		return cli_error("out of memory");
	sim_options_default(s);
	s->num_models = 1;
	s->models[0].share = 1;
	strcpy(s->models[0].path, o->model);
	if (o->exits)
		strcpy(s->models[0].exits, o->exits);
	else if (l->computes)
		equal_shares(l, s->models[0].exits);
	else
		strcpy(s->models[0].exits, "mid");
	snprintf(s->device, sizeof(s->device), "clock_hz=%u", l->npu->clock_hz);
	s->npu = NPU_CONVENTIONAL;
	if (load_has_rate(o->scenario))
		s->workload = o->workload;
	s->slo = o->slo_factor > 0 ? o->slo_factor : 1;
	s->correlation = o->correlation;
	s->best_effort = o->best_effort;
	s->reject_late = o->reject_late;
	s->warmup = o->warmup;
	s->requests = o->count ? o->count :
		      load_is_open_loop(o->scenario) ? LOAD_MAX_REQUESTS : MAX_CLOSED_REQUESTS;
	s->seed = o->seed;
	return 0;
}

int load_source_open(struct load *l)
{
	const struct load_options *o = l->options;

	if (o->num_shares && o->num_shares != l->info->num_exits)
		return cli_error("--exit-shares has %u numbers, and model %s %u exits",
				 o->num_shares, l->info->name, l->info->num_exits);
	if ((o->trace && read_trace(l)) || (o->images && open_images(l)) ||
	    (o->labels && open_labels(l)))
		return -1;
	return 0;
}

int load_source_check(struct load *l)
{
	if (check_inputs(l))
		return -1;
	return l->options->trace ? check_trace(l) : open_sim(l);
}

void load_source_close(struct load *l)
{
	sim_cache_free(l->cache);
	free(l->requests);
	free(l->latencies);
	free(l->inputs.bytes);
	free(l->inputs.labels);
}
