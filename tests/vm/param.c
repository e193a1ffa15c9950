// SPDX-License-Identifier: MIT
#include <string.h>

#include "npu.h"
#include "param.h"
#include "tap.h"

#define MAX_SAVED 4

/* What was there before. */
static struct saved {
	const char *path;
	char text[32];
} saved[MAX_SAVED];
static unsigned int num_saved;

static int save(const char *path)
{
	struct saved *s = &saved[num_saved];
	int ret;

	for (unsigned int i = 0; i < num_saved; i++) {
		if (!strcmp(saved[i].path, path))
			return 0;
	}
	if (num_saved == MAX_SAVED)
		return -ENOSPC;
	ret = read_file(path, s->text, sizeof(s->text));
	if (ret)
		return ret;
	s->path = path;
	num_saved++;
	tap_at_end(params_restore);
	return 0;
}

int param_set(const char *path, const char *text)
{
	int ret = save(path);

	return ret ? ret : write_file(path, text);
}

/* Also called by the signal that ends a test: only what may be called there. */
int params_restore(void)
{
	int ret = 0;

	while (num_saved) {
		const struct saved *s = &saved[--num_saved];
		int error = write_file(s->path, s->text);

		ret = ret ? ret : error;
	}
	return ret;
}
