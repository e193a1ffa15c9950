// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../common/progress.h"
#include "error.h"
#include "sweep.h"

/** struct named - a point by its key, to find those that are the same */
struct named {
	char *key;
	size_t index;
};

/**
 * struct state - of a sweep
 * @skip: known already, or the same as another; @same: that one
 */
struct state {
	const struct sweep *sweep;
	const struct sim_options *points;
	struct sim_result *results;
	bool *skip;
	size_t *same;
	size_t num, finished;
	struct progress progress;
	struct fnpu_error journal_error;
};

static int by_key(const void *a, const void *b)
{
	const struct named *x = a, *y = b;
	const int order = strcmp(x->key, y->key);

	return order ? order : (x->index > y->index) - (x->index < y->index);
}

/* Points that are the same run once: the first of them does. */
static int find_same(struct state *s)
{
	struct named *names = calloc(s->num ? s->num : 1, sizeof(*names));
	char key[SIM_KEY_BYTES];
	int ret = names ? 0 : -ENOMEM;

	for (size_t i = 0; !ret && i < s->num; i++) {
		sim_options_key(&s->points[i], key);
		names[i] = (struct named){ strdup(key), i };
		if (!names[i].key)
			ret = -ENOMEM;
	}
	if (!ret) {
		qsort(names, s->num, sizeof(*names), by_key);
		for (size_t i = 0; i < s->num; i++) {
			const bool again = i && !strcmp(names[i].key, names[i - 1].key);

			s->same[names[i].index] = again ? s->same[names[i - 1].index] :
							  names[i].index;
			s->skip[names[i].index] = again;
		}
	}
	for (size_t i = 0; names && i < s->num; i++)
		free(names[i].key);
	free(names);
	return ret;
}

static void take_known(struct state *s)
{
	for (size_t i = 0; i < s->num; i++) {
		const struct sim_result *known = s->skip[i] || !s->sweep->journal ? NULL :
						 journal_find(s->sweep->journal, &s->points[i]);

		if (!known)
			continue;
		s->results[i] = *known;
		s->skip[i] = true;
	}
}

static void on_done(void *user, size_t index, const struct sim_result *result)
{
	struct state *s = user;

	s->results[index] = *result;
	if (s->sweep->journal && !s->journal_error.text[0])
		journal_add(s->sweep->journal, &s->points[index], result, &s->journal_error);
	progress_update(&s->progress, ++s->finished);
}

static int run(struct state *s, struct fnpu_error *error)
{
	const struct pool pool = {
		.points = s->points, .skip = s->skip, .num = s->num,
		.workers = s->sweep->workers, .done = on_done, .user = s,
	};
	size_t left = 0;
	int ret = find_same(s);

	if (ret)
		return fnpu_fail(error, ret, "no memory for %zu simulations", s->num);
	take_known(s);
	for (size_t i = 0; i < s->num; i++)
		left += !s->skip[i];
	if (!left)
		return 0;
	progress_start(&s->progress, s->sweep->progress, s->sweep->what, left);
	ret = pool_run(&pool, error);
	progress_end(&s->progress);
	if (!ret && s->journal_error.text[0])
		ret = fnpu_fail(error, -EIO, "%s", s->journal_error.text);
	return ret;
}

int sweep_run(const struct sweep *sweep, const struct sim_options *points, size_t num,
	      struct sim_result *results, struct fnpu_error *error)
{
	struct state s = {
		.sweep = sweep, .points = points, .results = results, .num = num,
		.skip = calloc(num ? num : 1, sizeof(*s.skip)),
		.same = calloc(num ? num : 1, sizeof(*s.same)),
	};
	int ret = s.skip && s.same ? run(&s, error) :
		  fnpu_fail(error, -ENOMEM, "no memory for %zu simulations", num);

	for (size_t i = 0; !ret && i < num; i++)
		results[i] = results[s.same[i]];
	free(s.skip);
	free(s.same);
	return ret;
}
