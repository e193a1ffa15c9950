// SPDX-License-Identifier: MIT
/* A line of CSV per run. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/cli.h"
#include "npuload.h"

static void put_names(FILE *file)
{
	for (const struct load_field *field = load_fields; field->name; field++)
		fprintf(file, "%s,", field->name);
	fprintf(file, "valid,reason\n");
}

/* What is not known is empty. */
static void put_run(FILE *file, const struct load_run *run)
{
	for (const struct load_field *field = load_fields; field->name; field++) {
		const double v = load_field_value(&run->figures, field);

		if (isnan(v))
			fputc(',', file);
		else
			fprintf(file, "%.10g,", v);
	}
	fprintf(file, "%d,\"%s\"\n", run->verdict.valid, run->verdict.reason);
}

int load_csv(const struct load *l, const struct load_run *runs, uint32_t num)
{
	const char *path = l->options->csv;
	FILE *file = fopen(path, "we");
	bool failed;

	if (!file)
		return cli_error("cannot write %s: %s", path, strerror(errno));
	put_names(file);
	for (uint32_t i = 0; i < num; i++)
		put_run(file, &runs[i]);
	failed = ferror(file);
	if (fclose(file) || failed)
		return cli_error("cannot write all of %s", path);
	return 0;
}
