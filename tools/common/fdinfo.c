// SPDX-License-Identifier: MIT
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fdinfo.h"

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
static int add(struct npu_clients *list, const struct npu_client *client)
{
	struct npu_client *items;

	for (size_t i = 0; i < list->count; i++)
		if (list->items[i].client_id == client->client_id)
			return 0;
	items = realloc(list->items, (list->count + 1) * sizeof(*items));
	if (!items)
		return -ENOMEM;
	list->items = items;
	items[list->count++] = *client;
	return 0;
}

/* Of all files of a process only those are read that are the NPU: one system call for each other. */
static int scan_files(struct npu_clients *list, uint32_t pid, DIR *dir, dev_t npu)
{
	struct dirent *entry;
	struct stat st;
	int ret = 0;

	while (!ret && (entry = readdir(dir))) {
		struct npu_client client = { .pid = pid };
		char path[64 + sizeof(entry->d_name)];

		if (!isdigit((unsigned char)entry->d_name[0]) ||
		    fstatat(dirfd(dir), entry->d_name, &st, 0) || !S_ISCHR(st.st_mode) ||
		    st.st_rdev != npu)
			continue;
		snprintf(path, sizeof(path), "/proc/%u/fdinfo/%s", pid, entry->d_name);
		if (!read_fdinfo(path, &client))
			continue;
		read_name(pid, client.name, sizeof(client.name));
		ret = add(list, &client);
	}
	return ret;
}

static int scan_process(struct npu_clients *list, uint32_t pid, dev_t npu)
{
	char path[64];
	DIR *dir;
	int ret;

	snprintf(path, sizeof(path), "/proc/%u/fd", pid);
	dir = opendir(path);
	if (!dir) {
		list->partial |= errno == EACCES;
		return 0;	/* another user's, or gone */
	}
	ret = scan_files(list, pid, dir, npu);
	closedir(dir);
	return ret;
}

int npu_clients_read(struct npu_clients *clients, dev_t npu)
{
	struct dirent *entry;
	DIR *proc = opendir("/proc");
	int ret = 0;

	*clients = (struct npu_clients){ 0 };
	if (!proc)
		return -errno;
	while (!ret && (entry = readdir(proc))) {
		uint32_t pid = (uint32_t)strtoul(entry->d_name, NULL, 10);

		if (pid && pid != (uint32_t)getpid())
			ret = scan_process(clients, pid, npu);
	}
	closedir(proc);
	if (ret)
		npu_clients_free(clients);
	return ret;
}

void npu_clients_free(struct npu_clients *clients)
{
	free(clients->items);
	*clients = (struct npu_clients){ 0 };
}
