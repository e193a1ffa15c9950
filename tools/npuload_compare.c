// SPDX-License-Identifier: MIT
/* Two JSON reports of npuload, of one run each, side by side. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "common/cli.h"
#include "npuload.h"

#define MAX_BYTES	(64u << 20)
#define COLUMN		22
#define TEXT_BYTES	256

/** struct side - a report; @path: of its file; @device, @run: in @root */
struct side {
	const char *path;
	cJSON *root;
	const cJSON *device;
	const cJSON *run;
};

/* The text of @path, free() it; NULL after a message. */
static char *read_text(const char *path)
{
	FILE *file = fopen(path, "re");
	char *text = NULL;
	size_t room = 0;
	ssize_t bytes;

	if (!file) {
		cli_error("cannot open %s: %s", path, strerror(errno));
		return NULL;
	}
	bytes = getdelim(&text, &room, '\0', file);
	if (bytes < 0 || (size_t)bytes > MAX_BYTES) {
		cli_error("%s is empty, or no report of npuload", path);
		free(text);
		text = NULL;
	}
	fclose(file);
	return text;
}

static int open_side(struct side *s, const char *path)
{
	char *text = read_text(path);
	const cJSON *runs;

	if (!text)
		return -1;
	s->path = path;
	s->root = cJSON_Parse(text);
	free(text);
	s->device = cJSON_GetObjectItemCaseSensitive(s->root, "device");
	runs = cJSON_GetObjectItemCaseSensitive(s->device, "runs");
	if (!cJSON_IsArray(runs) || !cJSON_GetArraySize(runs))
		return cli_error("%s is no report of npuload (--json FILE writes one)", path);
	if (cJSON_GetArraySize(runs) > 1)
		return cli_error("%s has %d runs: --compare takes reports of one rate", path,
				 cJSON_GetArraySize(runs));
	s->run = cJSON_GetArrayItem(runs, 0);
	return 0;
}

static double value(const struct side *s, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(s->run, name);

	return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

static const char *text_of(const struct side *s, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(s->device, name);

	return cJSON_IsString(item) ? item->valuestring : "-";
}

static void print_texts(const char *label, const char *a, const char *b)
{
	printf("%-22s %*.*s %*.*s\n", label, COLUMN, COLUMN, a, COLUMN, COLUMN, b);
}

/* Of the file, without folder and suffix. */
static const char *base_name(const char *path, char name[TEXT_BYTES])
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;

	snprintf(name, TEXT_BYTES, "%.*s", (int)strcspn(base, "."), base);
	return name;
}

static void print_head(const struct side *a, const struct side *b)
{
	static const char *const names[] = { "policy", "model", "scenario", NULL };
	char files[2][TEXT_BYTES];

	print_texts("", base_name(a->path, files[0]), base_name(b->path, files[1]));
	for (int i = 0; names[i]; i++)
		print_texts(names[i], text_of(a, names[i]), text_of(b, names[i]));
}

static void print_number(const struct load_field *field, double v)
{
	char text[TEXT_BYTES];

	if (isnan(v)) {
		printf(" %*s", COLUMN, "-");
		return;
	}
	snprintf(text, sizeof(text), "%.*f%s%s", field->digits, v * field->scale,
		 field->unit[0] ? " " : "", field->unit);
	printf(" %*s", COLUMN, text);
}

static void print_line(const struct load_field *field, double a, double b)
{
	printf("%-22s", field->label);
	print_number(field, a);
	print_number(field, b);
	if (a > 0 && b > 0)
		printf(" %9.3gx\n", b / a);
	else
		printf(" %10s\n", "-");
}

static void print_sides(const struct side *a, const struct side *b)
{
	static const char *const shown[] = {
		"requests", "rate_hz", "fps", "accuracy", "mean_us", "p50_us", "p99_us", "max_us",
		"slo_satisfaction", "late", "dropped", "rejected", "failed", "throughput_hz",
		"goodput_hz", "busy", "utilisation", "mean_batch", "preemptions", "dram_bytes", NULL,
	};

	print_head(a, b);
	for (int i = 0; shown[i]; i++) {
		const struct load_field *field = load_fields;
		const double x = value(a, shown[i]), y = value(b, shown[i]);

		while (strcmp(field->name, shown[i]))
			field++;
		if (!isnan(x) || !isnan(y))
			print_line(field, x, y);
	}
}

int load_compare(const char *a, const char *b)
{
	struct side sides[2] = { { 0 }, { 0 } };
	int ret = open_side(&sides[0], a);

	if (!ret)
		ret = open_side(&sides[1], b);
	if (!ret) {
		print_sides(&sides[0], &sides[1]);
		ret = cli_finish_stdout();
	}
	cJSON_Delete(sides[0].root);
	cJSON_Delete(sides[1].root);
	return ret;
}
