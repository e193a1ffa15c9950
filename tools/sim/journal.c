// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "error.h"
#include "journal.h"

/* ---- keys ---- */

static uint32_t file_crc(const char *path)
{
	FILE *file = fopen(path, "re");
	uLong crc = crc32(0, NULL, 0);
	unsigned char buffer[65536];
	size_t n;

	while (file && (n = fread(buffer, 1, sizeof(buffer), file)))
		crc = crc32(crc, buffer, (uInt)n);
	if (file)
		fclose(file);
	return (uint32_t)crc;
}

/* A file by name, size and time of its last change: a network that was built again is another. */
static int add_file(char *key, int len, const char *what, const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return snprintf(key + len, SIM_KEY_BYTES - (size_t)len, "%s %s; ", what, path);
	return snprintf(key + len, SIM_KEY_BYTES - (size_t)len, "%s %s %lld %lld.%09ld; ", what, path,
			(long long)st.st_size, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

void sim_options_key(const struct sim_options *o, char *key)
{
	const struct workload_options *w = &o->workload;
	int len = 0;

	for (uint32_t i = 0; i < o->num_models; i++) {
		len += add_file(key, len, "model", o->models[i].path);
		len += add_file(key, len, "exits", o->models[i].exits);
		len += snprintf(key + len, SIM_KEY_BYTES - (size_t)len, "share %.17g; ",
				o->models[i].share);
	}
	len += add_file(key, len, "file", w->path);
	snprintf(key + len, SIM_KEY_BYTES - (size_t)len,
		 "npu %s %s; policy %s max-batch %u queue %u; workload %d %.17g %.17g %.17g %u; load %.17g rate %.17g slo %.17g; exit-error %.17g correlation %.17g; best-effort %.17g reject-late %.17g; requests %" PRIu64 " warmup %" PRIu64 " seed %" PRIu64,
		 npu_kind_name(o->npu), o->device, o->policy, o->max_batch, o->queue,
		 (int)w->kind, w->factor, w->burst_s, w->jitter, w->streams, o->load, o->rate_hz, o->slo, o->exit_error, o->correlation, o->best_effort,
		 o->reject_late, o->requests, o->warmup, o->seed);
}

/* ---- reading ---- */

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct journal_entry *)a)->key,
		      ((const struct journal_entry *)b)->key);
}

/* Is it the first line of a journal of this build? */
static bool is_head(const cJSON *line, const char *build)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(line, "build");

	return cJSON_IsString(item) && !strcmp(item->valuestring, build);
}

static int add_entry(struct journal *j, const cJSON *line)
{
	const cJSON *key = cJSON_GetObjectItemCaseSensitive(line, "key");
	struct journal_entry entry, *more;

	if (!cJSON_IsString(key) || result_from_json(line, &entry.result))
		return -EINVAL;
	if (!(j->num & (j->num - 1))) {
		more = realloc(j->entries, (j->num ? 2 * j->num : 1) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		j->entries = more;
	}
	entry.key = strdup(key->valuestring);
	if (!entry.key)
		return -ENOMEM;
	j->entries[j->num++] = entry;
	return 0;
}

/* Reads whole lines of this build; returns where they end. */
static long read_lines(struct journal *j, FILE *file, const char *build)
{
	char *line = NULL;
	size_t room = 0;
	long end = 0;
	bool head = true;
	ssize_t len;

	while ((len = getline(&line, &room, file)) > 0 && line[len - 1] == '\n') {
		cJSON *json = cJSON_Parse(line);
		const bool ok = json && (head ? is_head(json, build) : !add_entry(j, json));

		cJSON_Delete(json);
		if (!ok)
			break;
		head = false;
		end = ftell(file);
	}
	free(line);
	return end;
}

int journal_open(struct journal *j, const char *path, struct fnpu_error *error)
{
	char build[16];
	long end;

	*j = (struct journal){ 0 };
	if (snprintf(j->path, sizeof(j->path), "%s", path) >= (int)sizeof(j->path))
		return fnpu_fail(error, -EINVAL, "the path %.100s... is too long", path);
	snprintf(build, sizeof(build), "%08x", file_crc("/proc/self/exe"));
	j->file = fopen(path, "a+e");
	if (!j->file)
		return fnpu_fail(error, -errno, "cannot open the journal %s: %s", path,
				 strerror(errno));
	rewind(j->file);
	end = read_lines(j, j->file, build);
	if (ftruncate(fileno(j->file), end))
		return fnpu_fail(error, -errno, "cannot write the journal %s: %s", path,
				 strerror(errno));
	if (!end)
		fprintf(j->file, "{\"build\":\"%s\"}\n", build);
	if (j->num)
		qsort(j->entries, j->num, sizeof(*j->entries), by_key);
	return 0;
}

const struct sim_result *journal_find(const struct journal *j, const struct sim_options *o)
{
	char key[SIM_KEY_BYTES];
	const struct journal_entry wanted = { .key = key }, *found;

	if (!j->num)
		return NULL;
	sim_options_key(o, key);
	found = bsearch(&wanted, j->entries, j->num, sizeof(wanted), by_key);
	return found ? &found->result : NULL;
}

int journal_add(struct journal *j, const struct sim_options *o, const struct sim_result *result,
		struct fnpu_error *error)
{
	cJSON *line = cJSON_CreateObject();
	char key[SIM_KEY_BYTES], *text;
	bool ok;

	sim_options_key(o, key);
	cJSON_AddStringToObject(line, "key", key);
	result_add_json(line, result, FLUIDNPU_MAX_EXITS);
	text = cJSON_PrintUnformatted(line);
	ok = text && fprintf(j->file, "%s\n", text) > 0 && !fflush(j->file);
	cJSON_free(text);
	cJSON_Delete(line);
	return ok ? 0 : fnpu_fail(error, -EIO, "cannot write the journal %s", j->path);
}

void journal_close(struct journal *j)
{
	if (j->file)
		fclose(j->file);
	for (size_t i = 0; i < j->num; i++)
		free(j->entries[i].key);
	free(j->entries);
	*j = (struct journal){ 0 };
}
