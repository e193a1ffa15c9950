// SPDX-License-Identifier: MIT
/*
 * When a sample may leave: criterion and thresholds of the exit heads.
 *
 * They are part of the model, not of the compiler: somebody calibrated them on data.
 * So there is no default for an early exit; the last one lets everything leave.
 *
 * A model may have thresholds for several accuracy budgets: percentage points that it
 * may lose against running every sample to the last exit. Metadata
 * fluidnpu.exit.budgets is a JSON object of them, e.g. {"0":[0.97,0.9],"1":[0.8,0.5]}.
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"

static const char *const criterion_names[] = {
	[FLUIDNPU_EXIT_CONFIDENCE] = "confidence",
	[FLUIDNPU_EXIT_ENTROPY] = "entropy",
	[FLUIDNPU_EXIT_MARGIN] = "margin",
};

#define NUM_CRITERIA (sizeof(criterion_names) / sizeof(criterion_names[0]))

const char *npucc_criterion_name(enum fluidnpu_exit_criterion criterion)
{
	return criterion_names[criterion];
}

bool npucc_parse_floats(const char *text, float *values, unsigned int *count,
			const char *what, struct npucc_error *error)
{
	char *end;

	for (*count = 0; *count < FLUIDNPU_MAX_EXITS; text = end + 1) {
		errno = 0;
		values[*count] = strtof(text, &end);
		if (end == text || !isfinite(values[*count]) || (*end && *end != ','))
			return npucc_fail(error, "%s: '%.100s' does not start with a finite number",
					  what, text);
		++*count;
		if (!*end)
			return true;
	}
	return npucc_fail(error, "%s: more than %d numbers", what, FLUIDNPU_MAX_EXITS);
}

bool npucc_parse_budget(const char *text, double *budget)
{
	char *end;

	*budget = strtod(text, &end);
	return end != text && !*end && *budget >= 0 && *budget <= 100;
}

static bool read_criterion(struct npucc_network *net, const struct npucc_graph *graph,
			   struct npucc_error *error)
{
	const char *text = npucc_metadata(graph, "fluidnpu.exit.criterion");
	unsigned int i;

	for (i = 0; text && i < NUM_CRITERIA; i++)
		if (!strcmp(text, criterion_names[i]))
			break;
	if (i == NUM_CRITERIA)
		return npucc_fail(error, "metadata fluidnpu.exit.criterion is '%.100s', must be confidence, entropy or margin",
				  text);
	net->criterion = text ? (enum fluidnpu_exit_criterion)i : FLUIDNPU_EXIT_CONFIDENCE;
	return true;
}

/* The budget that @item is named after, in percentage points. */
static bool read_budget_name(const cJSON *item, double *budget, struct npucc_error *error)
{
	return npucc_parse_budget(item->string, budget) ||
	       npucc_fail(error, "metadata fluidnpu.exit.budgets: '%.100s' is no percentage",
			  item->string);
}

/* No threshold is negative: at 0 everything leaves already, or, for the entropy, nothing. */
static bool read_budget(const cJSON *item, unsigned int num_exits, float *values,
			unsigned int *count, struct npucc_error *error)
{
	const cJSON *value;

	*count = 0;
	if (!cJSON_IsArray(item) || (cJSON_GetArraySize(item) != (int)num_exits &&
				     cJSON_GetArraySize(item) + 1 != (int)num_exits))
		return npucc_fail(error, "metadata fluidnpu.exit.budgets: '%.100s' is no array of %u thresholds, one per exit but the last",
				  item->string, num_exits - 1);
	cJSON_ArrayForEach(value, item) {
		if (!cJSON_IsNumber(value) || !(value->valuedouble >= 0) ||
		    value->valuedouble > (double)FLT_MAX)
			return npucc_fail(error, "metadata fluidnpu.exit.budgets: threshold %u of '%.100s' is no finite number from 0 on",
					  *count, item->string);
		values[(*count)++] = (float)value->valuedouble;
	}
	return true;
}

/* Checks all budgets and takes the one that is @wanted; @found: there is such a one. */
static bool choose_budget(const cJSON *budgets, unsigned int num_exits, const double *wanted,
			  float *values, unsigned int *num, bool *found,
			  struct npucc_error *error)
{
	float read[FLUIDNPU_MAX_EXITS];
	double budget, other;
	const cJSON *item, *before;
	unsigned int count;

	*found = false;
	cJSON_ArrayForEach(item, budgets) {
		if (!read_budget_name(item, &budget, error) ||
		    !read_budget(item, num_exits, read, &count, error))
			return false;
		for (before = budgets->child; before != item; before = before->next)
			if (npucc_parse_budget(before->string, &other) && other == budget)
				return npucc_fail(error, "metadata fluidnpu.exit.budgets has %g twice",
						  budget);
		if (wanted && *wanted == budget) {
			memcpy(values, read, count * sizeof(*values));
			*num = count;
			*found = true;
		}
	}
	return true;
}

/* Says which budgets there are. */
static bool fail_budget(double wanted, const cJSON *budgets, struct npucc_error *error)
{
	char known[256] = "none (metadata fluidnpu.exit.budgets)";
	const cJSON *item;
	size_t len = 0;

	cJSON_ArrayForEach(item, budgets) {
		len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s", len ? ", " : "",
					item->string);
		if (len >= sizeof(known))
			break;
	}
	return npucc_fail(error, "no thresholds for an accuracy budget of %g percentage points; the model has them for %s",
			  wanted, known);
}

/* Metadata fluidnpu.exit.budgets; *num stays when @wanted is NULL. */
static bool read_budgets(const struct npucc_graph *graph, unsigned int num_exits,
			 const double *wanted, float *values, unsigned int *num,
			 struct npucc_error *error)
{
	const char *text = npucc_metadata(graph, "fluidnpu.exit.budgets");
	cJSON *budgets = text ? cJSON_ParseWithOpts(text, NULL, true) : NULL;
	bool found = false, ok;

	if (text && !cJSON_IsObject(budgets))
		ok = npucc_fail(error, "metadata fluidnpu.exit.budgets is no JSON object");
	else
		ok = choose_budget(budgets, num_exits, wanted, values, num, &found, error);
	if (ok && wanted && !found)
		ok = fail_budget(*wanted, budgets, error);
	cJSON_Delete(budgets);
	return ok;
}

/* Those of the command line, else those of the budget, else the model's default. */
static bool read_thresholds(const struct npucc_network *net, const struct npucc_graph *graph,
			    const struct npucc_options *options, float *values, unsigned int *num,
			    struct npucc_error *error)
{
	const char *text = npucc_metadata(graph, "fluidnpu.exit.thresholds");

	*num = 0;
	if (!read_budgets(graph, net->num_exits, options->accuracy_budget, values, num, error))
		return false;
	if (options->num_thresholds) {
		*num = options->num_thresholds;
		memcpy(values, options->thresholds, sizeof(options->thresholds));
	}
	if (*num || !text)
		return true;
	return npucc_parse_floats(text, values, num, "metadata fluidnpu.exit.thresholds", error);
}

bool npucc_read_exits(struct npucc_network *net, const struct npucc_graph *graph,
		      const struct npucc_options *options, struct npucc_error *error)
{
	float values[FLUIDNPU_MAX_EXITS];
	unsigned int num, i;

	if (!read_criterion(net, graph, error) ||
	    !read_thresholds(net, graph, options, values, &num, error))
		return false;
	if (num != net->num_exits && num + 1 != net->num_exits)
		return npucc_fail(error, "%u thresholds for %u exits; give one per exit but the last with --thresholds or metadata fluidnpu.exit.thresholds",
				  num, net->num_exits);
	for (i = 0; i < num; i++)
		net->exits[i].threshold = values[i];
	if (num < net->num_exits)
		net->exits[num].threshold =
			net->criterion == FLUIDNPU_EXIT_ENTROPY ? FLT_MAX : 0.0f;
	return true;
}
