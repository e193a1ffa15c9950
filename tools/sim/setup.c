// SPDX-License-Identifier: MIT
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "geometry.h"
#include "setup.h"

#define MAX_RATE_HZ	1e9	/* of requests: one per nanosecond */

void sim_options_default(struct sim_options *o)
{
	struct fnpu_error error;

	memset(o, 0, sizeof(*o));
	workload_parse("poisson", &o->workload, &error);
	o->npu = NPU_FLUID;
	strcpy(o->policy, "adaptive");
	o->load = 0.8;
	o->slo = 3;
	o->queue = 4096;
	o->requests = 20000;
	o->warmup = 1000;
	o->seed = 1;
}

/* ---- the cache: lists, the newest first; there are few different ones ---- */

struct cached_network {
	struct cached_network *next;
	char path[SIM_TEXT_BYTES];
	char device[SIM_TEXT_BYTES];
	enum npu_kind kind;
	struct npu_network network;
};

struct cached_profile {
	struct cached_profile *next;
	char text[SIM_TEXT_BYTES];
	uint32_t num_exits;
	struct exit_profile profile;
};

struct sim_cache {
	struct cached_network *networks;
	struct cached_profile *profiles;
};

struct sim_cache *sim_cache_new(void)
{
	return calloc(1, sizeof(struct sim_cache));
}

void sim_cache_free(struct sim_cache *cache)
{
	if (!cache)
		return;
	while (cache->networks) {
		struct cached_network *n = cache->networks;

		cache->networks = n->next;
		npu_close(&n->network);
		free(n);
	}
	while (cache->profiles) {
		struct cached_profile *p = cache->profiles;

		cache->profiles = p->next;
		exits_close(&p->profile);
		free(p);
	}
	free(cache);
}

static int open_network(struct cached_network *c, struct fnpu_error *error)
{
	struct fnpu_config config;
	int ret = npu_compiled_for(c->path, &config, error);

	if (!ret)
		ret = fnpu_config_set(&config, c->device, error);
	return ret ? ret : npu_open(&c->network, c->path, &config, c->kind, error);
}

static int get_network(struct sim_cache *cache, const char *path, const char *device,
		       enum npu_kind kind, const struct npu_network **network,
		       struct fnpu_error *error)
{
	struct cached_network *c;
	int ret;

	for (c = cache->networks; c; c = c->next) {
		if (c->kind == kind && !strcmp(c->path, path) && !strcmp(c->device, device)) {
			*network = &c->network;
			return 0;
		}
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		return fnpu_fail(error, -ENOMEM, "out of memory");
	strcpy(c->path, path);
	strcpy(c->device, device);
	c->kind = kind;
	ret = open_network(c, error);
	if (ret) {
		free(c);
		return ret;
	}
	c->next = cache->networks;
	cache->networks = c;
	*network = &c->network;
	return 0;
}

static int get_profile(struct sim_cache *cache, const char *text, uint32_t num_exits,
		       const struct exit_profile **profile, struct fnpu_error *error)
{
	struct cached_profile *c;
	int ret;

	for (c = cache->profiles; c; c = c->next) {
		if (c->num_exits == num_exits && !strcmp(c->text, text)) {
			*profile = &c->profile;
			return 0;
		}
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		return fnpu_fail(error, -ENOMEM, "out of memory");
	strcpy(c->text, text);
	c->num_exits = num_exits;
	ret = exits_open(&c->profile, text, num_exits, error);
	if (ret) {
		free(c);
		return ret;
	}
	c->next = cache->profiles;
	cache->profiles = c;
	*profile = &c->profile;
	return 0;
}

/* ---- preparing ---- */

static int check(const struct sim_options *o, struct fnpu_error *error)
{
	if (!o->num_models)
		return fnpu_fail(error, -EINVAL, "no network to serve");
	if (!(o->load >= 0) || !isfinite(o->load) || o->load > 1000)
		return fnpu_fail(error, -EINVAL, "a load is a number from 0 to 1000, not %g", o->load);
	if (!(o->rate_hz >= 0) || o->rate_hz > MAX_RATE_HZ)
		return fnpu_fail(error, -EINVAL, "a rate is from 0 to %g requests per second, not %g",
				 MAX_RATE_HZ, o->rate_hz);
	if (!(o->load > 0) && !(o->rate_hz > 0) && o->workload.kind != WORKLOAD_FILE)
		return fnpu_fail(error, -EINVAL, "no load: give one above 0, or a rate");
	if (!(o->slo > 0) || !isfinite(o->slo) || o->slo > 1e6)
		return fnpu_fail(error, -EINVAL,
				 "an SLO is above 0 and at most 1e6 times the time of one sample, not %g",
				 o->slo);
	if (!o->requests)
		return fnpu_fail(error, -EINVAL, "no request to serve");
	return 0;
}

/* The reference: the conventional NPU's expected time and full-depth time of a sample. */
static int prepare_model(struct sim_cache *cache, const struct sim_options *o,
			 const struct sim_model_options *m, struct sim_model *model,
			 double *expected_cycles, struct fnpu_error *error)
{
	const struct npu_network *reference;
	int ret = get_network(cache, m->path, o->device, NPU_CONVENTIONAL, &reference, error);

	if (!ret)
		ret = get_network(cache, m->path, o->device, o->npu, &model->network, error);
	if (!ret)
		ret = get_profile(cache, m->exits, reference->num_exits, &model->profile, error);
	if (ret)
		return ret;
	*expected_cycles = npu_expected_cycles(reference, model->profile->share);
	model->slo_cycles = (uint64_t)llround(o->slo *
					      (double)npu_span(reference, 1, 0,
							       reference->num_groups));
	return 0;
}

int sim_prepare(struct sim_cache *cache, const struct sim_options *o, struct sim_setup *setup,
		struct fnpu_error *error)
{
	double shares = 0, cycles = 0;
	int ret = check(o, error);

	if (ret)
		return ret;
	*setup = (struct sim_setup){ .num_models = o->num_models };
	for (uint32_t i = 0; i < o->num_models; i++)
		shares += o->models[i].share;
	for (uint32_t i = 0; i < o->num_models; i++) {
		struct sim_model *m = &setup->models[i];
		double expected;

		ret = prepare_model(cache, o, &o->models[i], m, &expected, error);
		if (ret)
			return ret;
		m->share = o->models[i].share / shares;
		cycles += m->share * expected;
		if (m->network->config.clock_hz != setup->models[0].network->config.clock_hz)
			return fnpu_fail(error, -EINVAL,
					 "%s and %s are compiled for NPUs of different clocks: give clock_hz=N as a property of the NPU",
					 m->network->name, setup->models[0].network->name);
	}
	setup->clock_hz = setup->models[0].network->config.clock_hz;
	setup->capacity_hz = setup->clock_hz / cycles;
	setup->rate_hz = o->load > 0 ? o->load * setup->capacity_hz : o->rate_hz;
	return 0;
}
