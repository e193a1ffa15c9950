// SPDX-License-Identifier: MIT
#define _GNU_SOURCE	/* F_GET_SEALS */
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <limits.h>
#include <linux/magic.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "buffer.h"
#include "error.h"
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

int fnpud_memory_map(struct fnpud_memory *m, int fd, uint64_t bytes, struct fnpu_error *error)
{
	const bool dmabuf = is_dmabuf(fd);
	int copy = -1;
	void *map;
	int ret;

	ret = dmabuf ? 0 : check_memfd(fd, error);
	if (!ret)
		ret = check_size(fd, dmabuf, bytes, error);
	if (ret)
		return ret;
	map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return fnpu_fail(error, -errno, "the buffer cannot be mapped: %s", strerror(errno));
	if (dmabuf) {
		copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (copy < 0) {
			ret = fnpu_fail(error, -errno, "no descriptor for the dma-buf: %s",
					strerror(errno));
			munmap(map, bytes);
			return ret;
		}
	}
	*m = (struct fnpud_memory){ .map = map, .bytes = bytes, .dmabuf_fd = copy };
	return 0;
}

void fnpud_memory_unmap(struct fnpud_memory *m)
{
	if (!m->map)
		return;
	if (m->dmabuf_fd >= 0)
		close(m->dmabuf_fd);
	munmap((void *)m->map, m->bytes);
	m->map = NULL;
}

static int sync_dmabuf(const struct fnpud_memory *m, uint64_t flags)
{
	const struct dma_buf_sync sync = { .flags = flags | DMA_BUF_SYNC_READ };
	int ret;

	if (!m->map || m->dmabuf_fd < 0)
		return 0;
	do {
		ret = ioctl(m->dmabuf_fd, DMA_BUF_IOCTL_SYNC, &sync);
	} while (ret && (errno == EINTR || errno == EAGAIN));
	return ret ? -errno : 0;
}

/* Announcing a read waits for whoever writes the buffer, and one client's camera is no reason to. */
static bool is_written(const struct fnpud_memory *m)
{
	struct pollfd p = { .fd = m->dmabuf_fd, .events = POLLIN };

	return poll(&p, 1, 0) <= 0;
}

int fnpud_memory_begin(const struct fnpud_memory *m)
{
	if (m->map && m->dmabuf_fd >= 0 && is_written(m))
		return -EBUSY;
	return sync_dmabuf(m, DMA_BUF_SYNC_START);
}

void fnpud_memory_end(const struct fnpud_memory *m)
{
	sync_dmabuf(m, DMA_BUF_SYNC_END);
}
