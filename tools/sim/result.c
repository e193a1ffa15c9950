// SPDX-License-Identifier: MIT
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "result.h"

#define FIELD(name)	{ #name, offsetof(struct sim_result, name), 0 }
#define HOST(name)	{ #name, offsetof(struct sim_result, name), 1 }

const struct result_field result_fields[] = {
	FIELD(requests), FIELD(completed), FIELD(on_time), FIELD(late), FIELD(dropped),
	FIELD(rejected), FIELD(violations), FIELD(mean_us), FIELD(p50_us), FIELD(p95_us),
	FIELD(p99_us), FIELD(max_us), FIELD(on_time_mean_us), FIELD(load), FIELD(rate_hz),
	FIELD(throughput_hz), FIELD(goodput_hz), FIELD(busy), FIELD(utilisation),
	FIELD(switching), FIELD(mean_batch), FIELD(cycles_per_request),
	FIELD(dram_bytes_per_request), FIELD(preemptions), FIELD(merges), FIELD(yields),
	FIELD(accuracy), FIELD(early), FIELD(time_s), FIELD(decisions),
	HOST(calls), HOST(decision_ns), HOST(host_s), HOST(requests_per_s),
	{ NULL, 0, 0 },
};

/* All digits: cJSON's own printing may change the last bit. */
static cJSON *exact_number(double v)
{
	char text[32];

	snprintf(text, sizeof(text), "%.17g", v);
	return cJSON_CreateRaw(text);
}

void result_add_json(cJSON *object, const struct sim_result *r, unsigned int num_exits)
{
	cJSON *exits = cJSON_CreateArray();
	const struct result_field *f;

	for (f = result_fields; f->name; f++)
		cJSON_AddItemToObject(object, f->name,
				      exact_number(result_get(r, f->offset)));
	for (unsigned int e = 0; e < num_exits; e++)
		cJSON_AddItemToArray(exits, exact_number(r->exits[e]));
	cJSON_AddItemToObject(object, "exits", exits);
}

int result_from_json(const cJSON *object, struct sim_result *r)
{
	const cJSON *exits = cJSON_GetObjectItemCaseSensitive(object, "exits");
	const struct result_field *f;

	memset(r, 0, sizeof(*r));
	for (f = result_fields; f->name; f++) {
		const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, f->name);

		if (!cJSON_IsNumber(item))
			return -1;
		result_set(r, f->offset, item->valuedouble);
	}
	for (int i = 0; i < cJSON_GetArraySize(exits) && i < FLUIDNPU_MAX_EXITS; i++)
		r->exits[i] = cJSON_GetArrayItem(exits, i)->valuedouble;
	return 0;
}

/* Student's t, two-sided 95 %, by degrees of freedom; beyond the table the normal's. */
static double t_95(unsigned int freedom)
{
	static const double t[] = {
		0, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
		2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
	};

	return freedom < sizeof(t) / sizeof(t[0]) ? t[freedom] : 1.96;
}

struct estimate estimate_of(const double *values, unsigned int n)
{
	struct estimate e = { 0 };
	double square = 0;

	for (unsigned int i = 0; i < n; i++)
		e.mean += values[i] / n;
	for (unsigned int i = 0; i < n; i++)
		square += (values[i] - e.mean) * (values[i] - e.mean);
	if (n > 1)
		e.half = t_95(n - 1) * sqrt(square / (n - 1) / n);
	return e;
}
