// SPDX-License-Identifier: MIT
#define _GNU_SOURCE	/* F_GET_SEALS */
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/udmabuf.h>
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
#include "fluidnpu_hw.h"
#include "log.h"

/* ---- descriptors of others ---- */

/* Its name tells: to ask its file system is to wait for whoever that is (FUSE). */
static bool is_dmabuf(int fd)
{
	static const char name[] = "/dmabuf:";
	char link[32], target[sizeof(name)];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, target, sizeof(target));
	return n >= (ssize_t)sizeof(name) - 1 && !memcmp(target, name, sizeof(name) - 1);
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

static int check_size(int fd, bool dmabuf, uint64_t bytes, struct fnpu_error *error)
{
	const off_t end = lseek(fd, 0, SEEK_END);

	if (end < 0)
		return fnpu_fail(error, -EINVAL, "the buffer's size cannot be told: %s",
				 strerror(errno));
	if ((uint64_t)end < bytes)
		return fnpu_fail(error, -EINVAL, "the %s has %lld bytes, not %llu",
				 dmabuf ? "dma-buf" : "memfd", (long long)end,
				 (unsigned long long)bytes);
	return 0;
}

/* A memfd as a dma-buf, or -1. Its pages stay in memory as long as that. */
static int make_dmabuf(int memfd, size_t bytes)
{
	const struct udmabuf_create create = {
		.memfd = (uint32_t)memfd, .flags = UDMABUF_FLAGS_CLOEXEC, .size = bytes,
	};
	int device = open("/dev/udmabuf", O_RDWR | O_CLOEXEC), fd;

	if (device < 0)
		return -1;
	fd = ioctl(device, UDMABUF_CREATE, &create);
	close(device);
	return fd;
}

/* NULL: the NPU cannot read it where it is. */
static struct fnpu_bo *import(struct fnpu_device *device, int fd, bool dmabuf)
{
	const off_t end = lseek(fd, 0, SEEK_END);
	struct fnpu_bo *bo = NULL;
	int made;

	if (!fnpu_bo_import(device, fd, &bo, NULL) || dmabuf)
		return bo;
	made = make_dmabuf(fd, (size_t)end & ~(size_t)(FLUIDNPU_PAGE_BYTES - 1));
	if (made < 0)
		return NULL;
	fnpu_bo_import(device, made, &bo, NULL);
	close(made);
	return bo;
}

/* So that a sample that lies in what the NPU does not see is copied: a last page that is not whole. */
static struct fnpu_bo *import_all(struct fnpu_device *device, int fd, bool dmabuf, uint64_t bytes)
{
	struct fnpu_bo *bo = import(device, fd, dmabuf);

	if (bo && fnpu_bo_bytes(bo) >= bytes)
		return bo;
	fnpu_bo_free(bo);
	return NULL;
}

static int memory_open(struct fnpud_memory *m, struct fnpu_device *device, int fd, uint64_t bytes,
		       struct fnpu_error *error)
{
	const bool dmabuf = is_dmabuf(fd);
	void *map;
	int ret = dmabuf ? 0 : check_memfd(fd, error);

	if (!ret)
		ret = check_size(fd, dmabuf, bytes, error);
	if (ret)
		return ret;
	m->bytes = bytes;
	m->bo = import_all(device, fd, dmabuf, bytes);
	map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
	if (map != MAP_FAILED)
		m->map = map;
	else if (!m->bo)
		return fnpu_fail(error, -errno, "the buffer cannot be mapped: %s", strerror(errno));
	if (!dmabuf)
		return 0;
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
	m->dmabuf_fd = -1;
	ret = memory_open(m, device, fd, bytes, error);
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
	if (m->map)
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

/* One client's camera is no reason for all others to wait, be it the daemon that would or the NPU. */
int fnpud_memory_ready(const struct fnpud_memory *m)
{
	struct pollfd p = { .fd = m->dmabuf_fd, .events = POLLIN };

	return m->dmabuf_fd >= 0 && poll(&p, 1, 0) <= 0 ? -EBUSY : 0;
}

int fnpud_memory_begin(const struct fnpud_memory *m)
{
	return sync_dmabuf(m, DMA_BUF_SYNC_START);
}

void fnpud_memory_end(const struct fnpud_memory *m)
{
	sync_dmabuf(m, DMA_BUF_SYNC_END);
}
