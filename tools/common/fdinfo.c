// SPDX-License-Identifier: MIT
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fdinfo.h"

struct list {
	struct npu_client *items;
	size_t count;
	size_t room;
};

/* "1024 KiB" and the like; without a unit bytes. */
static uint64_t parse_memory(const char *text)
{
	char *end;
	uint64_t v = strtoull(text, &end, 10);

	if (strstr(end, "KiB"))
		return v << 10;
	if (strstr(end, "MiB"))
		return v << 20;
	return v;
}

static const char *value_of(const char *line, const char *key)
{
	size_t length = strlen(key);

	if (strncmp(line, key, length) || line[length] != ':')
		return NULL;
	line += length + 1;
	while (isspace((unsigned char)*line))
		line++;
	return line;
}

/* True when the file is one of an NPU's. */
static bool read_fdinfo(const char *path, struct npu_client *client)
{
	FILE *file = fopen(path, "re");
	char line[256];
	bool npu = false;

	if (!file)
		return false;
	while (fgets(line, sizeof(line), file)) {
		const char *value;

		if ((value = value_of(line, "drm-driver")))
			npu = !strncmp(value, "fluidnpu", strlen("fluidnpu"));
		else if ((value = value_of(line, "drm-client-id")))
			client->client_id = strtoull(value, NULL, 10);
		else if ((value = value_of(line, "drm-engine-npu")))
			client->busy_ns = strtoull(value, NULL, 10);
		else if (!strncmp(line, "drm-total-", strlen("drm-total-")) &&
			 (value = strchr(line, ':')))
			client->memory_bytes += parse_memory(value + 1);
	}
	fclose(file);
	return npu;
}

/* A process names itself: nothing of that must command a terminal or break JSON. */
static void read_name(uint32_t pid, char *name, size_t room)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%u/comm", pid);
	file = fopen(path, "re");
	if (!file || !fgets(name, (int)room, file))
		name[0] = '\0';
	name[strcspn(name, "\n")] = '\0';
	for (; *name; name++)
		if (*name < ' ' || *name > '~')
			*name = '?';
	if (file)
		fclose(file);
}

/* A client that is known (the descriptor was duplicated or inherited) counts once. */
static int add(struct list *list, const struct npu_client *client)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->items[i].client_id == client->client_id)
			return 0;
	if (list->count == list->room) {
		size_t room = list->room ? 2 * list->room : 16;
		struct npu_client *items = realloc(list->items, room * sizeof(*items));

		if (!items)
			return -ENOMEM;
		list->items = items;
		list->room = room;
	}
	list->items[list->count++] = *client;
	return 0;
}

static int scan_process(struct list *list, uint32_t pid)
{
	char path[64];
	struct dirent *entry;
	DIR *dir;
	int ret = 0;

	snprintf(path, sizeof(path), "/proc/%u/fdinfo", pid);
	dir = opendir(path);
	if (!dir)
		return 0;	/* another user's, or gone */
	while (!ret && (entry = readdir(dir))) {
		struct npu_client client = { .pid = pid };
		char file[64 + sizeof(entry->d_name)];

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
		if (!read_fdinfo(file, &client))
			continue;
		read_name(pid, client.name, sizeof(client.name));
		ret = add(list, &client);
	}
	closedir(dir);
	return ret;
}

int npu_clients(struct npu_client **clients)
{
	struct list list = { 0 };
	struct dirent *entry;
	DIR *proc = opendir("/proc");
	int ret = 0;

	if (!proc)
		return -errno;
	while (!ret && (entry = readdir(proc)))
		if (isdigit((unsigned char)entry->d_name[0]))
			ret = scan_process(&list, (uint32_t)strtoul(entry->d_name, NULL, 10));
	closedir(proc);
	if (ret) {
		free(list.items);
		return ret;
	}
	*clients = list.items;
	return (int)list.count;
}
