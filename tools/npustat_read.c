// SPDX-License-Identifier: MIT
/*
 * npustat: the NPUs that there are, and readings of one. A reading takes an ioctl for the
 * counters, a pread of its power state, a look at who has its device file open, and where that
 * is allowed the depth of its queues, from debugfs.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "error.h"
#include "fluidnpu_drm.h"
#include "npustat.h"

#define SYSFS_DEVICES	"/sys/class/accel/"
#define DEBUGFS_DEVICES	"/sys/kernel/debug/accel/"

/* ---- which there are ---- */

/* What a symbolic link of sysfs points to, without its folders; false: there is none. */
static bool read_link(const char *path, char name[NAME_MAX + 1])
{
	char target[PATH_MAX];
	const ssize_t length = readlink(path, target, sizeof(target) - 1);
	const char *slash;

	if (length < 0)
		return false;
	target[length] = '\0';
	slash = strrchr(target, '/');
	snprintf(name, NAME_MAX + 1, "%.*s", NAME_MAX, slash ? slash + 1 : target);
	return true;
}

static bool is_ours(const char *sysfs)
{
	char path[PATH_MAX], driver[NAME_MAX + 1];

	snprintf(path, sizeof(path), "%s/device/driver", sysfs);
	return read_link(path, driver) && !strcmp(driver, FLUIDNPU_DRIVER_NAME);
}

/* The driver's number of it, which /dev/fluidnpuN has from the udev rule; -1: it is gone. */
static int npu_index(const char *sysfs)
{
	char path[PATH_MAX];
	int index = -1;
	FILE *file;

	snprintf(path, sizeof(path), "%s/device/npu_index", sysfs);
	file = fopen(path, "re");
	if (!file)
		return -1;
	if (fscanf(file, "%d", &index) != 1)
		index = -1;
	fclose(file);
	return index;
}

static void add_npu(struct npustat_list *list, int numbers[NPUSTAT_MAX_NPUS], const char *sysfs)
{
	const int number = npu_index(sysfs);
	char path[NPUSTAT_PATH_BYTES];
	size_t at = list->count;

	if (number < 0 || list->count == NPUSTAT_MAX_NPUS)
		return;
	snprintf(path, sizeof(path), FNPU_DEVICE_PATH "%d", number);
	if (access(path, F_OK))	/* no udev rule */
		snprintf(path, sizeof(path), "/dev/accel/%.32s", sysfs + strlen(SYSFS_DEVICES));
	for (; at && numbers[at - 1] > number; at--) {
		numbers[at] = numbers[at - 1];
		memcpy(list->paths[at], list->paths[at - 1], NPUSTAT_PATH_BYTES);
	}
	numbers[at] = number;
	memcpy(list->paths[at], path, NPUSTAT_PATH_BYTES);
	list->count++;
}

void npustat_list_read(struct npustat_list *list)
{
	int numbers[NPUSTAT_MAX_NPUS];
	glob_t found;

	list->count = 0;
	if (glob(SYSFS_DEVICES "accel*", 0, NULL, &found))
		return;
	for (size_t i = 0; i < found.gl_pathc; i++)
		if (is_ours(found.gl_pathv[i]))
			add_npu(list, numbers, found.gl_pathv[i]);
	globfree(&found);
}

const char *npustat_default_path(const char *backend, const struct npustat_list *list)
{
	if (strcmp(backend, "kmd") || !list->count || !access(FNPU_DEVICE_PATH, F_OK))
		return NULL;
	return list->paths[0];
}

/* ---- one of them ---- */

/* The emulated one has no device file, and is nobody else's. */
static void find_in_sysfs(struct npustat_npu *npu)
{
	char path[PATH_MAX], name[NAME_MAX + 1];
	struct stat st;

	if (!npu->info->path[0] || stat(npu->info->path, &st))
		return;
	npu->number = st.st_rdev;
	snprintf(path, sizeof(path), "/sys/dev/char/%u:%u/device/power/runtime_status",
		 major(npu->number), minor(npu->number));
	npu->power_fd = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/sys/dev/char/%u:%u/device", major(npu->number),
		 minor(npu->number));
	if (read_link(path, name))
		snprintf(npu->queues_path, sizeof(npu->queues_path), DEBUGFS_DEVICES "%.24s/queues",
			 name);
}

int npustat_open(struct npustat_npu *npu, const char *backend, const char *path,
		 struct fnpu_error *error)
{
	int ret;

	*npu = (struct npustat_npu){ .power_fd = -1 };
	ret = fnpu_device_open(backend, path, &npu->device, error);
	if (ret)
		return ret;
	npu->info = fnpu_device_info(npu->device);
	if (!strcmp(npu->info->backend, "kmd"))
		find_in_sysfs(npu);
	return 0;
}

void npustat_close(struct npustat_npu *npu)
{
	if (!npu->device)
		return;
	if (npu->power_fd >= 0)
		close(npu->power_fd);
	fnpu_device_close(npu->device);
	*npu = (struct npustat_npu){ .power_fd = -1 };
}

/* ---- a reading ---- */

static void read_power(int fd, char *power, size_t room)
{
	ssize_t length = fd < 0 ? 0 : pread(fd, power, room - 1, 0);

	power[length < 0 ? 0 : length] = '\0';
	power[strcspn(power, "\n")] = '\0';
}

/* The driver's file "queues": a line for a queue, then indented ones for the jobs that it has. */
static void read_queues(const char *path, struct npustat_reading *r)
{
	FILE *file = fopen(path, "re");
	char line[256];

	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		if (!strncmp(line, "queue ", strlen("queue "))) {
			if (r->num_queues == FLUIDNPU_MAX_QUEUES)
				break;
			r->queue_jobs[r->num_queues++] = 0;
		} else if (line[0] == ' ' && r->num_queues && !strstr(line, " ended\n")) {
			r->queue_jobs[r->num_queues - 1]++;
		}
	}
	fclose(file);
}

int npustat_read(const struct npustat_npu *npu, struct npustat_reading *r,
		 struct fnpu_error *error)
{
	struct timespec now;
	int ret;

	*r = (struct npustat_reading){ .info = npu->info };
	ret = fnpu_device_counters(npu->device, &r->counters);
	if (ret == -ENODEV)
		return fnpu_fail(error, ret, "%s is gone: it was unplugged, or its driver unbound",
				 npu->info->path);
	if (ret)
		return fnpu_fail(error, ret, "cannot read the NPU's counters: %s", strerror(-ret));
	clock_gettime(CLOCK_MONOTONIC, &now);
	r->taken_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	read_power(npu->power_fd, r->power, sizeof(r->power));
	if (!npu->number)
		return 0;
	read_queues(npu->queues_path, r);
	ret = npu_clients_read(&r->clients, npu->number);
	if (ret)
		return fnpu_fail(error, ret, "cannot look for clients in /proc: %s", strerror(-ret));
	return 0;
}

void npustat_reading_free(struct npustat_reading *r)
{
	npu_clients_free(&r->clients);
	*r = (struct npustat_reading){ 0 };
}
