// SPDX-License-Identifier: MIT
/*
 * When a sample may leave: criterion and thresholds of the exit heads.
 *
 * They are part of the model, not of the compiler: somebody calibrated them on data.
 * So there is no default for an early exit; the last one lets everything leave.
 */
#include <errno.h>
#include <float.h>
#include <math.h>
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

bool npucc_read_exits(struct npucc_network *net, const struct npucc_graph *graph,
		      const struct npucc_options *options, struct npucc_error *error)
{
	const char *text = npucc_metadata(graph, "fluidnpu.exit.thresholds");
	float values[FLUIDNPU_MAX_EXITS];
	unsigned int num = options->num_thresholds, i;

	if (!read_criterion(net, graph, error))
		return false;
	if (num)
		memcpy(values, options->thresholds, sizeof(values));
	else if (text && !npucc_parse_floats(text, values, &num, "metadata fluidnpu.exit.thresholds",
					     error))
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
