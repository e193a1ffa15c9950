// SPDX-License-Identifier: MIT
#define _GNU_SOURCE	/* F_GET_SEALS */
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/sync_file.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "buffer.h"
#include "error.h"
#include "fluidnpu_drm.h"
#include "fluidnpu_hw.h"
#include "log.h"

#define MAX_FENCES	64	/* of one buffer that are looked at */

/* ---- descriptors of others ---- */

/*
 * What the kernel itself says of it tells. Its name, "/dmabuf:", can be that of any file of the client's, and to
 * ask its file system is to wait for whoever that is (FUSE).
 */
static bool is_dmabuf(int fd)
{
	char path[40], line[256];
	bool found = false;
	FILE *info;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = fopen(path, "re");
	while (info && !found && fgets(line, sizeof(line), info))
		found = !strncmp(line, "exp_name:", strlen("exp_name:"));
	if (info)
		fclose(info);
	return found;
}

static bool is_memfd(int fd)
{
	return fcntl(fd, F_GET_SEALS) >= 0;
}

static void *close_slowly(void *fd)
{
	close((int)(intptr_t)fd);
	return NULL;
}

void fnpud_close(int fd)
{
	pthread_attr_t attr;
	pthread_t thread;

	if (is_memfd(fd) || is_dmabuf(fd)) {
		close(fd);
		return;
	}
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, (size_t)PTHREAD_STACK_MIN + 16384);
	if (pthread_create(&thread, &attr, close_slowly, (void *)(intptr_t)fd))
		fnpud_complain("a descriptor of a client stays open: no thread to close it in");
	pthread_attr_destroy(&attr);
}

/* ---- buffers ---- */

static int check_memfd(int fd, struct fnpu_error *error)
{
	const int seals = fcntl(fd, F_GET_SEALS);
	struct statfs fs;

	if (seals < 0)
		return fnpu_fail(error, -EINVAL,
				 "the buffer is neither a memfd nor a dma-buf: use memfd_create() with MFD_ALLOW_SEALING");
	if (!(seals & F_SEAL_SHRINK))
		return fnpu_fail(error, -EINVAL,
				 "the memfd can shrink: seal it with F_SEAL_SHRINK before it is sent");
	/* those can lose pages in spite of the seal */
	if (fstatfs(fd, &fs) || fs.f_type == HUGETLBFS_MAGIC)
		return fnpu_fail(error, -EINVAL,
				 "a memfd of huge pages cannot be used: leave out MFD_HUGETLB");
	return 0;
}

/* Not by lseek(), which waits for whoever reads or writes there. */
static int get_size(int fd, uint64_t *bytes, struct fnpu_error *error)
{
	struct stat st;

	if (fstat(fd, &st))
		return fnpu_fail(error, -errno, "the buffer's size cannot be told: %s",
				 strerror(errno));
	*bytes = (uint64_t)st.st_size;
	return 0;
}

static uint64_t whole_pages(uint64_t bytes)
{
	return (bytes + FLUIDNPU_PAGE_BYTES - 1) & ~(uint64_t)(FLUIDNPU_PAGE_BYTES - 1);
}

/* What is imported is all of it, and must not be more than the client has been charged for. */
static void import(struct fnpud_memory *m, struct fnpu_device *device, int fd, bool dmabuf,
		   uint64_t size)
{
	if (!dmabuf && !(fcntl(fd, F_GET_SEALS) & F_SEAL_GROW))
		return;
	if (whole_pages(size) != whole_pages(m->bytes) || fnpu_bo_import(device, fd, &m->bo, NULL))
		return;
	if (fnpu_bo_bytes(m->bo) >= m->bytes)
		return;
	fnpu_bo_free(m->bo);
	m->bo = NULL;
}

static int map(struct fnpud_memory *m, int fd, struct fnpu_error *error)
{
	void *at = m->bo ? fnpu_bo_map(m->bo) : mmap(NULL, m->bytes, PROT_READ, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		return fnpu_fail(error, -errno, "the buffer cannot be mapped: %s", strerror(errno));
	m->map = at;
	return 0;
}

static int memory_open(struct fnpud_memory *m, struct fnpu_device *device, int fd,
		       struct fnpu_error *error)
{
	const bool dmabuf = is_dmabuf(fd);
	uint64_t size = 0;
	int ret = dmabuf ? 0 : check_memfd(fd, error);

	if (!ret)
		ret = get_size(fd, &size, error);
	if (ret)
		return ret;
	if (size < m->bytes)
		return fnpu_fail(error, -EINVAL, "the %s has %llu bytes, not %llu",
				 dmabuf ? "dma-buf" : "memfd", (unsigned long long)size,
				 (unsigned long long)m->bytes);
	import(m, device, fd, dmabuf, size);
	ret = map(m, fd, error);
	if (ret || !dmabuf)
		return ret;
	m->dmabuf_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (m->dmabuf_fd < 0)
		return fnpu_fail(error, -errno, "no descriptor for the dma-buf: %s", strerror(errno));
	return 0;
}

int fnpud_memory_new(struct fnpu_device *device, int fd, uint64_t bytes, struct fnpud_memory **out,
		     struct fnpu_error *error)
{
	struct fnpud_memory *m = calloc(1, sizeof(*m));
	int ret;

	if (!m)
		return fnpu_fail(error, -ENOMEM, "fluidnpud is out of memory");
	m->users = 1;
	m->bytes = bytes;
	m->dmabuf_fd = -1;
	ret = memory_open(m, device, fd, error);
	if (ret)
		fnpud_memory_put(m);
	else
		*out = m;
	return ret;
}

struct fnpud_memory *fnpud_memory_get(struct fnpud_memory *m)
{
	if (m)
		m->users++;
	return m;
}

void fnpud_memory_put(struct fnpud_memory *m)
{
	if (!m || --m->users)
		return;
	if (m->dmabuf_fd >= 0)
		close(m->dmabuf_fd);
	if (m->map && !m->bo)
		munmap((void *)m->map, m->bytes);
	fnpu_bo_free(m->bo);
	free(m);
}

static int sync_dmabuf(const struct fnpud_memory *m, uint64_t flags)
{
	const struct dma_buf_sync sync = { .flags = flags | DMA_BUF_SYNC_READ };
	int ret;

	if (m->dmabuf_fd < 0)
		return 0;
	do {
		ret = ioctl(m->dmabuf_fd, DMA_BUF_IOCTL_SYNC, &sync);
	} while (ret && (errno == EINTR || errno == EAGAIN));
	return ret ? -errno : 0;
}

static bool is_written(const struct fnpud_memory *m)
{
	struct pollfd p = { .fd = m->dmabuf_fd, .events = POLLIN };

	return m->dmabuf_fd >= 0 && poll(&p, 1, 0) <= 0;
}

/* Whether all in @sync_file that has not happened yet is the NPU's. */
static bool is_npus(int sync_file)
{
	struct sync_fence_info fences[MAX_FENCES] = { 0 };
	struct sync_file_info info = {
		.num_fences = MAX_FENCES, .sync_fence_info = (uintptr_t)fences,
	};

	/* more than those fit are not told of: an error */
	if (ioctl(sync_file, SYNC_IOC_FILE_INFO, &info))
		return false;
	for (uint32_t i = 0; i < info.num_fences; i++)
		if (!fences[i].status && strcmp(fences[i].driver_name, FLUIDNPU_DRIVER_NAME))
			return false;
	return true;
}

/* One client's camera is no reason for all others to wait, be it the daemon that would or the NPU. */
int fnpud_memory_ready(const struct fnpud_memory *m)
{
	struct dma_buf_export_sync_file export = { .flags = DMA_BUF_SYNC_READ };
	bool busy;

	if (!is_written(m))
		return 0;
	if (ioctl(m->dmabuf_fd, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &export))
		return -EBUSY;
	busy = !is_npus(export.fd);
	close(export.fd);
	return busy ? -EBUSY : 0;
}

int fnpud_memory_begin(const struct fnpud_memory *m)
{
	return is_written(m) ? -EBUSY : sync_dmabuf(m, DMA_BUF_SYNC_START);
}

void fnpud_memory_end(const struct fnpud_memory *m)
{
	sync_dmabuf(m, DMA_BUF_SYNC_END);
}
