/* SPDX-License-Identifier: MIT */
/*
 * The journal of a sweep: a line of JSON per finished point, so that what was interrupted can
 * go on. A point is known by a key that says everything that its result depends on; results of
 * another build of the simulator are not taken over.
 */
#ifndef SIM_JOURNAL_H
#define SIM_JOURNAL_H

#include <stddef.h>
#include <stdio.h>

#include "sim.h"

struct journal_entry {
	char *key;
	struct sim_result result;
};

/** struct journal - @entries: of the file when it was opened, by key */
struct journal {
	char path[SIM_TEXT_BYTES];
	FILE *file;
	struct journal_entry *entries;
	size_t num;
};

/**
 * journal_open() - read the journal @path, if there is one, and be ready to add to it
 * What is no line of a journal (it was cut off while it was written) ends the reading, and is
 * overwritten. Returns 0 or a negative errno with a sentence in @error.
 */
int journal_open(struct journal *j, const char *path, struct fnpu_error *error);

/** journal_find() - the result of @o, or NULL */
const struct sim_result *journal_find(const struct journal *j, const struct sim_options *o);

/** journal_add() - append the result of @o; 0, or -EIO with a sentence in @error */
int journal_add(struct journal *j, const struct sim_options *o, const struct sim_result *result,
		struct fnpu_error *error);

/** journal_close() - the file stays */
void journal_close(struct journal *j);

/** sim_options_key() - all of @o as a line of text; @key: room for SIM_KEY_BYTES */
#define SIM_KEY_BYTES	8192u
void sim_options_key(const struct sim_options *o, char *key);

#endif /* SIM_JOURNAL_H */
