// SPDX-License-Identifier: MIT
/* Recording of the driver's tracepoints: an instance of tracefs, emptied while the command runs. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "nputrace.h"

#define TRACEFS		"/sys/kernel/tracing"
#define PATH_BYTES	384
#define CHUNK		65536

static int write_file(const struct kernel_trace *k, const char *name, const char *value,
		      struct fnpu_error *error)
{
	char path[PATH_BYTES];
	int fd, ret = 0;

	snprintf(path, sizeof(path), "%s/%s", k->instance, name);
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		ret = fnpu_fail(error, -errno, "cannot write \"%s\" to %s: %s", value, path,
				strerror(errno));
	if (fd >= 0)
		close(fd);
	return ret;
}

static int make_instance(struct kernel_trace *k, struct fnpu_error *error)
{
	if (access(TRACEFS "/events", X_OK))
		return fnpu_fail(error, -errno, "the kernel's tracepoints in " TRACEFS " are not there for this user: %s",
				 strerror(errno));
	if (access(TRACEFS "/events/fluidnpu", F_OK))
		return fnpu_fail(error, -ENOENT, "the kernel has no tracepoints of fluidnpu: its driver is not loaded");
	snprintf(k->instance, sizeof(k->instance), TRACEFS "/instances/nputrace-%d", getpid());
	if (mkdir(k->instance, 0700)) {
		k->instance[0] = 0;
		return fnpu_fail(error, -errno, "cannot make an instance in " TRACEFS ": %s",
				 strerror(errno));
	}
	return 0;
}

int kernel_trace_start(struct kernel_trace *k, uint32_t buffer_kb, struct fnpu_error *error)
{
	char path[PATH_BYTES], size[16];
	int ret;

	*k = (struct kernel_trace){ .pipe = -1 };
	ret = make_instance(k, error);
	if (ret)
		return ret;
	snprintf(size, sizeof(size), "%u", buffer_kb);
	snprintf(path, sizeof(path), "%s/trace_pipe", k->instance);
	k->lines = tmpfile();
	k->pipe = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (k->pipe < 0 || !k->lines)
		return fnpu_fail(error, -errno, "cannot read %s: %s", path, strerror(errno));
	ret = write_file(k, "trace_clock", "mono", error);
	if (!ret)
		ret = write_file(k, "buffer_size_kb", size, error);
	if (!ret)
		ret = write_file(k, "events/fluidnpu/enable", "1", error);
	return ret;
}

int kernel_trace_drain(struct kernel_trace *k)
{
	static char chunk[CHUNK];
	ssize_t n;

	while ((n = read(k->pipe, chunk, sizeof(chunk))) > 0)
		if (fwrite(chunk, 1, (size_t)n, k->lines) != (size_t)n)
			return -EIO;
	return n < 0 && errno != EAGAIN && errno != EINTR ? -errno : 0;
}

/* Of all processors. */
static uint64_t count_lost(const struct kernel_trace *k)
{
	char pattern[PATH_BYTES], line[128];
	uint64_t lost = 0, overrun;
	glob_t files;

	snprintf(pattern, sizeof(pattern), "%s/per_cpu/cpu*/stats", k->instance);
	if (glob(pattern, 0, NULL, &files))
		return 0;
	for (size_t i = 0; i < files.gl_pathc; i++) {
		FILE *file = fopen(files.gl_pathv[i], "re");

		while (file && fgets(line, sizeof(line), file))
			if (sscanf(line, "overrun: %" SCNu64, &overrun) == 1)
				lost += overrun;
		if (file)
			fclose(file);
	}
	globfree(&files);
	return lost;
}

uint64_t kernel_trace_stop(struct kernel_trace *k)
{
	write_file(k, "events/fluidnpu/enable", "0", NULL);
	kernel_trace_drain(k);
	return count_lost(k);
}

void kernel_trace_free(struct kernel_trace *k)
{
	if (k->pipe >= 0)
		close(k->pipe);
	if (k->lines)
		fclose(k->lines);
	if (k->instance[0])
		rmdir(k->instance);
}
