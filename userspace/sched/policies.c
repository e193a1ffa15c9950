// SPDX-License-Identifier: MIT
/* The list of policies, and their parameters by name. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "policy.h"

static const struct fnpu_policy *const policies[] = {
	&fnpu_policy_adaptive,	/* the default */
	&fnpu_policy_serial,
	&fnpu_policy_static,
	&fnpu_policy_lazy,
	&fnpu_policy_cellular,
	&fnpu_policy_clockwork,
	&fnpu_policy_symphony,
	&fnpu_policy_edge,
	&fnpu_policy_drex,
	&fnpu_policy_fluid,
	&fnpu_policy_fluid_plus,
};

#define NUM_POLICIES	(sizeof(policies) / sizeof(policies[0]))

const struct fnpu_sched_policy_info *fnpu_sched_policy_info(uint32_t index)
{
	return index < NUM_POLICIES ? &policies[index]->info : NULL;
}

/* "a, b or c" of what @name gives for 0, 1, ... */
static void list(char *text, size_t bytes, uint32_t num,
		 const char *(*name)(const void *, uint32_t), const void *of)
{
	size_t used = 0;

	text[0] = '\0';
	for (uint32_t i = 0; i < num && used < bytes; i++)
		used += (size_t)snprintf(text + used, bytes - used, "%s%s",
					 !i ? "" : i + 1 < num ? ", " : " or ", name(of, i));
}

static const char *policy_name(const void *of, uint32_t i)
{
	(void)of;
	return policies[i]->info.name;
}

static const char *param_name(const void *of, uint32_t i)
{
	return ((const struct fnpu_sched_policy_info *)of)->params[i].name;
}

static const char *choice_name(const void *of, uint32_t i)
{
	return ((const struct fnpu_sched_param *)of)->choices[i];
}

static int set_choice(const struct fnpu_sched_param *p, const char *value, double *param,
		      struct fnpu_error *error)
{
	const uint32_t num = (uint32_t)p->max + 1;
	char names[128];

	for (uint32_t i = 0; i < num; i++) {
		if (!strcmp(p->choices[i], value)) {
			*param = i;
			return 0;
		}
	}
	list(names, sizeof(names), num, choice_name, p);
	return fnpu_fail(error, -EINVAL, "%s is %s, not \"%.50s\"", p->name, names, value);
}

static int set_number(const struct fnpu_sched_param *p, const char *value, double *param,
		      struct fnpu_error *error)
{
	char *end;
	const double number = strtod(value, &end);

	if (end == value || *end || !(number >= p->min && number <= p->max))
		return fnpu_fail(error, -EINVAL, "%s is a number from %g to %g, not \"%.50s\"", p->name,
				 p->min, p->max, value);
	*param = number;
	return 0;
}

static int set_param(const struct fnpu_sched_policy_info *info, char *text, double *params,
		     struct fnpu_error *error)
{
	char *value = strchr(text, '=');
	char names[256];

	if (!value)
		return fnpu_fail(error, -EINVAL,
				 "policy %s: \"%.50s\" is no parameter=value", info->name, text);
	*value++ = '\0';
	for (uint32_t i = 0; i < info->num_params; i++) {
		const struct fnpu_sched_param *p = &info->params[i];

		if (!strcmp(p->name, text))
			return p->choices ? set_choice(p, value, &params[i], error) :
					    set_number(p, value, &params[i], error);
	}
	if (!info->num_params)
		return fnpu_fail(error, -EINVAL, "policy %s has no parameters, so no \"%.50s\"",
				 info->name, text);
	list(names, sizeof(names), info->num_params, param_name, info);
	return fnpu_fail(error, -EINVAL, "policy %s has no parameter \"%.50s\": there is %s",
			 info->name, text, names);
}

static int set_params(const struct fnpu_sched_policy_info *info, const char *text, double *params,
		      struct fnpu_error *error)
{
	char copy[256], *save, *one;
	int ret = 0;

	for (uint32_t i = 0; i < info->num_params; i++)
		params[i] = info->params[i].initial;
	if (!text)
		return 0;
	if (!*text || strlen(text) >= sizeof(copy))
		return fnpu_fail(error, -EINVAL, "policy %s: the parameters behind ':' are %s",
				 info->name, *text ? "too long" : "missing");
	strcpy(copy, text);
	for (one = strtok_r(copy, ",", &save); one && !ret; one = strtok_r(NULL, ",", &save))
		ret = set_param(info, one, params, error);
	return ret;
}

const struct fnpu_policy *policy_find(const char *text, double *params, int *err,
				      struct fnpu_error *error)
{
	const char *name = text ? text : policies[0]->info.name;
	const char *colon = strchr(name, ':');
	const size_t length = colon ? (size_t)(colon - name) : strlen(name);
	char names[256];

	for (size_t i = 0; i < NUM_POLICIES; i++) {
		const struct fnpu_sched_policy_info *info = &policies[i]->info;

		if (strlen(info->name) != length || strncmp(info->name, name, length))
			continue;
		*err = set_params(info, colon ? colon + 1 : NULL, params, error);
		return *err ? NULL : policies[i];
	}
	list(names, sizeof(names), NUM_POLICIES, policy_name, NULL);
	*err = fnpu_fail(error, -ENOENT, "there is no policy \"%.*s\": use %s",
			 length > 50 ? 50 : (int)length, name, names);
	return NULL;
}
