// SPDX-License-Identifier: MIT
#include <stdio.h>

#include "figures.h"

const char *figure_bytes(double bytes, char text[FIGURE_BYTES])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	unsigned int unit = 0;

	for (; bytes >= 1024 && unit < sizeof(units) / sizeof(units[0]) - 1; unit++)
		bytes /= 1024;
	snprintf(text, FIGURE_BYTES, "%.*f %s", unit ? 1 : 0, bytes, units[unit]);
	return text;
}

static double value(const struct fnpu_counters *counters, const struct fnpu_counters *before,
		    unsigned int counter)
{
	return (double)(counters->values[counter] - (before ? before->values[counter] : 0));
}

void figures_add_counters(cJSON *object, const struct fnpu_counters *counters,
			  const struct fnpu_counters *before)
{
	static const struct {
		const char *name;
		unsigned int counter;
	} shown[] = {
		{ "busy_cycles", FLUIDNPU_CNT_BUSY_CYCLES },
		{ "stall_cycles", FLUIDNPU_CNT_STALL_CYCLES },
		{ "useful_macs", FLUIDNPU_CNT_USEFUL_MACS },
		{ "offered_macs", FLUIDNPU_CNT_OFFERED_MACS },
		{ "dram_read_bytes", FLUIDNPU_CNT_DRAM_READ_BYTES },
		{ "dram_write_bytes", FLUIDNPU_CNT_DRAM_WRITE_BYTES },
		{ "weight_bytes", FLUIDNPU_CNT_WEIGHT_BYTES },
		{ "jobs", FLUIDNPU_CNT_JOBS },
		{ "job_errors", FLUIDNPU_CNT_JOB_ERRORS },
		{ "samples", FLUIDNPU_CNT_SAMPLES },
		{ "layers", FLUIDNPU_CNT_LAYERS },
		{ "preemptions", FLUIDNPU_CNT_PREEMPTIONS },
		{ "injects", FLUIDNPU_CNT_INJECTS },
		{ "merges", FLUIDNPU_CNT_MERGES },
		{ "yields", FLUIDNPU_CNT_YIELDS },
		{ "weight_used_bytes", FLUIDNPU_CNT_WEIGHT_USED_BYTES },
		{ "mmu_faults", FLUIDNPU_CNT_MMU_FAULTS },
	};

	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
		cJSON_AddNumberToObject(object, shown[i].name,
					value(counters, before, shown[i].counter));
}

void figures_add_series(cJSON *object, const char *name, const struct fnpu_counters *counters,
			const struct fnpu_counters *before, unsigned int first,
			unsigned int count)
{
	cJSON *array = cJSON_AddArrayToObject(object, name);

	for (unsigned int i = 0; i < count; i++)
		cJSON_AddItemToArray(array,
				     cJSON_CreateNumber(value(counters, before, first + i)));
}
