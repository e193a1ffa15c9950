// SPDX-License-Identifier: MIT
/* npustat: a reading for programs. */
#include <stdio.h>
#include <stdlib.h>

#include "common/cli.h"
#include "common/figures.h"
#include "geometry.h"
#include "npustat.h"

static void add_npu(cJSON *root, const struct npustat_reading *r, const struct npustat_list *list)
{
	struct fluidnpu_hw_geometry geometry = r->info->geometry;
	cJSON *npus, *object;

	cJSON_AddStringToObject(root, "backend", r->info->backend);
	cJSON_AddStringToObject(root, "device_file", r->info->path);
	npus = cJSON_AddArrayToObject(root, "device_files");
	for (size_t i = 0; i < list->count; i++)
		cJSON_AddItemToArray(npus, cJSON_CreateString(list->paths[i]));
	cJSON_AddStringToObject(root, "driver", r->info->driver);
	cJSON_AddNumberToObject(root, "hw_version", r->info->hw_version);
	cJSON_AddBoolToObject(root, "functional",
			      r->info->features & FLUIDNPU_FEATURE_FUNCTIONAL);
	cJSON_AddNumberToObject(root, "clock_hz", r->info->clock_hz);
	if (r->power[0])
		cJSON_AddStringToObject(root, "power", r->power);
	object = cJSON_AddObjectToObject(root, "geometry");
	for (const struct fnpu_geometry_field *f = fnpu_geometry_fields; f->name; f++)
		cJSON_AddNumberToObject(object, f->name, *fnpu_geometry_value(&geometry, f));
}

static void add_activity(cJSON *root, const struct npustat_reading *r)
{
	const uint64_t *values = r->counters.values;
	cJSON *object;

	cJSON_AddNumberToObject(root, "device_cycles", (double)r->counters.time);
	cJSON_AddNumberToObject(root, "busy", npustat_busy(r));
	cJSON_AddNumberToObject(root, "pe_utilisation", npustat_utilisation(r));
	object = cJSON_AddObjectToObject(root, "counters");
	figures_add_counters(object, &r->counters, NULL);
	cJSON_AddNumberToObject(object, "idle_cycles", (double)values[FLUIDNPU_CNT_IDLE_CYCLES]);
	cJSON_AddNumberToObject(object, "interrupts", (double)values[FLUIDNPU_CNT_INTERRUPTS]);
	cJSON_AddNumberToObject(object, "late_events", (double)values[FLUIDNPU_CNT_LATE_EVENTS]);
	figures_add_series(root, "exits", &r->counters, NULL, FLUIDNPU_CNT_EXITS,
			   FLUIDNPU_MAX_EXITS);
	figures_add_series(root, "live_batch_cycles", &r->counters, NULL, FLUIDNPU_CNT_BATCH,
			   r->info->geometry.max_batch);
}

/* What is for root only is there when it is known. */
static void add_queues(cJSON *root, const struct npustat_reading *r)
{
	cJSON *array;

	if (!r->num_queues)
		return;
	array = cJSON_AddArrayToObject(root, "queue_jobs");
	for (size_t i = 0; i < r->num_queues; i++)
		cJSON_AddItemToArray(array, cJSON_CreateNumber(r->queue_jobs[i]));
}

static void add_clients(cJSON *root, const struct npustat_reading *r)
{
	cJSON *array = cJSON_AddArrayToObject(root, "clients");

	for (size_t i = 0; i < r->clients.count; i++) {
		const struct npu_client *c = &r->clients.items[i];
		cJSON *client = cJSON_CreateObject();

		cJSON_AddNumberToObject(client, "pid", c->pid);
		cJSON_AddStringToObject(client, "process", c->name);
		cJSON_AddNumberToObject(client, "client_id", (double)c->client_id);
		cJSON_AddNumberToObject(client, "busy_ns", (double)c->busy_ns);
		cJSON_AddNumberToObject(client, "memory_bytes", (double)c->memory_bytes);
		cJSON_AddItemToArray(array, client);
	}
	cJSON_AddBoolToObject(root, "clients_partial", r->clients.partial);
}

int npustat_json(const struct npustat_reading *r, const struct npustat_list *list)
{
	cJSON *root = cJSON_CreateObject();
	char *text;

	add_npu(root, r, list);
	add_activity(root, r);
	add_queues(root, r);
	add_clients(root, r);
	text = cJSON_Print(root);
	cJSON_Delete(root);
	if (!text)
		return cli_error("out of memory");
	puts(text);
	free(text);
	return 0;
}
