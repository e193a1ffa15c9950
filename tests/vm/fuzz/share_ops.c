// SPDX-License-Identifier: MIT
/* Operations of fuzz_uapi: dma-bufs, syncobjs, and the files that they become. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memfd_create */
#endif

#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/udmabuf.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"

/* Linux 6.6; libdrm's header is older. */
struct syncobj_eventfd {
	uint32_t handle, flags;
	uint64_t point;
	int32_t fd;
	uint32_t pad;
};
#define SYNCOBJ_EVENTFD DRM_IOWR(0xcf, struct syncobj_eventfd)

void op_export(struct fuzz *f)
{
	struct fuzz_bo *bo = world_bo(f, -1);
	struct drm_prime_handle args = {
		.handle = bo ? bo->handle : 0,
		.flags = DRM_CLOEXEC | (rng_chance(&f->rng, 70) ? DRM_RDWR : 0),
	};
	int client = bo ? bo->client : -1;

	/* also what jobs use all the time */
	if (client >= 0 && rng_chance(&f->rng, 20))
		args.handle = f->world->clients[client].net.data.handle;
	if (rng_chance(&f->rng, 5))
		fuzz_mutate(f, &args, sizeof(args));
	if (!fuzz_ioctl(world_fd(f, client), DRM_IOCTL_PRIME_HANDLE_TO_FD, &args))
		world_keep_file(f, args.fd);
}

void op_import(struct fuzz *f)
{
	int client = world_client(f), fd = world_fd(f, client);
	int *file = world_file(f);
	struct drm_prime_handle args = { .fd = file ? *file : -1 };
	struct drm_fluidnpu_bo_info info = { 0 };

	if (fuzz_ioctl(fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &args))
		return;
	info.handle = args.handle;
	fuzz_ioctl(fd, DRM_IOCTL_FLUIDNPU_BO_INFO, &info);
	for (unsigned int i = 0; i < MAX_BOS; i++) {
		struct fuzz_bo *bo = &f->world->bos[i];

		if (bo->used)
			continue;
		*bo = (struct fuzz_bo){ .used = true, .client = client, .handle = args.handle,
					.size = info.size, .iova = info.iova };
		return;
	}
}

void op_udmabuf(struct fuzz *f)
{
	struct udmabuf_create args = { .size = 4096ull << rng_below(&f->rng, 6) };
	int fd;

	args.memfd = memfd_create("fuzz", MFD_ALLOW_SEALING);
	if ((int)args.memfd < 0)
		return;
	if (!ftruncate(args.memfd, args.size) &&
	    !fcntl(args.memfd, F_ADD_SEALS, F_SEAL_SHRINK)) {
		fd = ioctl(fuzz_udmabuf, UDMABUF_CREATE, &args);
		fuzz_note(fd);
		world_keep_file(f, fd);
	}
	close(args.memfd);
}

static void touch(void *map)
{
	((volatile uint8_t *)map)[0]++;
}

void op_dmabuf_use(struct fuzz *f)
{
	int *file = world_file(f);
	struct dma_buf_sync sync = { .flags = rng_below(&f->rng, 8) };
	struct dma_buf_export_sync_file export = { .flags = rng_below(&f->rng, 4), .fd = -1 };
	struct pollfd pfd = { .events = POLLIN | POLLOUT };
	void *map;

	if (!file)
		return;
	switch (rng_below(&f->rng, 6)) {
	case 0:
		fuzz_ioctl(*file, DMA_BUF_IOCTL_SYNC, &sync);
		break;
	case 1:
		if (!fuzz_ioctl(*file, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &export))
			world_keep_file(f, export.fd);
		break;
	case 2:
		pfd.fd = *file;
		fuzz_note(poll(&pfd, 1, rng_below(&f->rng, 2)));
		break;
	case 3:
		fuzz_note(lseek(*file, 0, SEEK_END));
		break;
	case 4:
		world_keep_file(f, dup(*file));
		break;
	default:
		map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, *file, 0);
		fuzz_note(map == MAP_FAILED ? -1 : 0);
		if (map == MAP_FAILED)
			break;
		fuzz_try(touch, map);
		munmap(map, 4096);
	}
}

void op_file_close(struct fuzz *f)
{
	int *file = world_file(f), fd;

	if (!file)
		return;
	fd = __atomic_exchange_n(file, -1, __ATOMIC_ACQ_REL);
	if (fd >= 0)
		fuzz_note(close(fd));
}

void op_sync_create(struct fuzz *f)
{
	int client = world_client(f);
	struct drm_syncobj_create args = { .flags = rng_below(&f->rng, 2) };

	if (fuzz_ioctl(world_fd(f, client), DRM_IOCTL_SYNCOBJ_CREATE, &args))
		return;
	for (unsigned int i = 0; i < MAX_SYNCOBJS; i++) {
		struct fuzz_syncobj *sync = &f->world->syncobjs[i];

		if (sync->used)
			continue;
		*sync = (struct fuzz_syncobj){ true, client, args.handle };
		return;
	}
	syncobj_destroy(world_fd(f, client), args.handle);
}

void op_sync_destroy(struct fuzz *f)
{
	struct fuzz_syncobj *sync = world_syncobj(f, -1);
	struct drm_syncobj_destroy args = { .handle = sync ? sync->handle : 0 };

	if (!sync)
		return;
	sync->used = false;
	fuzz_ioctl(world_fd(f, sync->client), DRM_IOCTL_SYNCOBJ_DESTROY, &args);
}

static void sync_wait(struct fuzz *f, int fd, uint32_t *handle, uint64_t *point)
{
	struct drm_syncobj_timeline_wait args = {
		.handles = (uintptr_t)handle, .points = (uintptr_t)point, .count_handles = 1,
		.timeout_nsec = npu_now_ns() + rng_below(&f->rng, 2000000),
		.flags = rng_below(&f->rng, 8),
	};

	fuzz_ioctl(fd, DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT, &args);
}

static void sync_eventfd(struct fuzz *f, int fd, uint32_t handle, uint64_t point)
{
	struct syncobj_eventfd args = { .handle = handle, .point = point };
	int *file = world_file(f);

	args.fd = file ? *file : -1;
	args.flags = rng_below(&f->rng, 8);
	fuzz_ioctl(fd, SYNCOBJ_EVENTFD, &args);
}

void op_sync_use(struct fuzz *f)
{
	struct fuzz_syncobj *sync = world_syncobj(f, -1), *other;
	uint64_t point = rng_below(&f->rng, 8);
	struct drm_syncobj_array array = { .count_handles = 1 };
	struct drm_syncobj_timeline_array points = { .count_handles = 1 };
	struct drm_syncobj_transfer transfer = { .src_point = point };
	uint32_t handle;
	int fd;

	if (!sync)
		return;
	fd = world_fd(f, sync->client);
	handle = sync->handle;
	array.handles = (uintptr_t)&handle;
	points.handles = (uintptr_t)&handle;
	points.points = (uintptr_t)&point;
	switch (rng_below(&f->rng, 7)) {
	case 0:
		fuzz_ioctl(fd, DRM_IOCTL_SYNCOBJ_RESET, &array);
		break;
	case 1:
		fuzz_ioctl(fd, DRM_IOCTL_SYNCOBJ_SIGNAL, &array);
		break;
	case 2:
		fuzz_ioctl(fd, DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL, &points);
		break;
	case 3:
		fuzz_ioctl(fd, DRM_IOCTL_SYNCOBJ_QUERY, &points);
		break;
	case 4:
		other = world_syncobj(f, sync->client);
		transfer.src_handle = handle;
		transfer.dst_handle = other ? other->handle : 0;
		transfer.dst_point = rng_below(&f->rng, 8);
		fuzz_ioctl(fd, DRM_IOCTL_SYNCOBJ_TRANSFER, &transfer);
		break;
	case 5:
		sync_eventfd(f, fd, handle, point);
		break;
	default:
		sync_wait(f, fd, &handle, &point);
	}
}

void op_sync_share(struct fuzz *f)
{
	struct fuzz_syncobj *sync = world_syncobj(f, -1);
	int *file = world_file(f);
	struct drm_syncobj_handle args = {
		.handle = sync ? sync->handle : 0, .flags = rng_below(&f->rng, 2), .fd = -1,
	};
	int fd = world_fd(f, sync ? sync->client : -1);

	if (rng_chance(&f->rng, 30)) {
		world_keep_file(f, eventfd(0, EFD_NONBLOCK));
	} else if (rng_chance(&f->rng, 50)) {
		if (!fuzz_ioctl(fd, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &args))
			world_keep_file(f, args.fd);
	} else {
		args.fd = file ? *file : -1;
		if (!fuzz_ioctl(fd, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &args) && !args.flags)
			syncobj_destroy(fd, args.handle);
	}
}

/* A file in flight in a socket that nobody reads. */
void op_send_file(struct fuzz *f)
{
	int pair[2], fd = world_fd(f, world_client(f));
	int *file = world_file(f);
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec data = { "x", 1 };
	struct msghdr message = {
		.msg_iov = &data, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};

	if (file && rng_chance(&f->rng, 50))
		fd = *file;
	if (fd < 0 || socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair))
		return;
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	fuzz_note(sendmsg(pair[0], &message, MSG_DONTWAIT));
	close(pair[0]);
	if (!rng_chance(&f->rng, 50) || !world_keep_file(f, pair[1]))
		close(pair[1]);
}
