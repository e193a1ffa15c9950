// SPDX-License-Identifier: MIT
/* Buffers of the kernel driver: its own, and those of other devices (dma-buf). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <xf86drm.h>

#include "error.h"
#include "kmd.h"

static struct kmd_device *kmd_of(const struct fnpu_bo *bo)
{
	return bo->device->priv;
}

/* ---- handles ---- */

static int grow_handles(struct kmd_device *kmd, uint32_t handle)
{
	const uint32_t num = handle < 16 ? 32 : 2 * handle;
	uint32_t *users;

	if (handle < kmd->num_handles)
		return 0;
	users = realloc(kmd->handle_users, num * sizeof(*users));
	if (!users)
		return -ENOMEM;
	memset(users + kmd->num_handles, 0, (num - kmd->num_handles) * sizeof(*users));
	kmd->handle_users = users;
	kmd->num_handles = num;
	return 0;
}

static void gem_close(struct kmd_device *kmd, uint32_t handle)
{
	struct drm_gem_close args = { .handle = handle };

	drmIoctl(kmd->fd, DRM_IOCTL_GEM_CLOSE, &args);
}

/* Called with the lock, so that nobody closes @handle between the ioctl that gave it and this. */
static int get_handle(struct kmd_device *kmd, uint32_t handle)
{
	int ret = grow_handles(kmd, handle);

	if (!ret)
		kmd->handle_users[handle]++;
	else
		gem_close(kmd, handle);
	return ret;
}

static void put_handle(struct kmd_device *kmd, uint32_t handle)
{
	pthread_mutex_lock(&kmd->lock);
	if (!--kmd->handle_users[handle])
		gem_close(kmd, handle);
	pthread_mutex_unlock(&kmd->lock);
}

/* ---- the driver's own ---- */

static int create(struct kmd_device *kmd, struct drm_fluidnpu_bo_create *args)
{
	int ret;

	pthread_mutex_lock(&kmd->lock);
	ret = drmIoctl(kmd->fd, DRM_IOCTL_FLUIDNPU_BO_CREATE, args) ? -errno : 0;
	if (!ret)
		ret = get_handle(kmd, args->handle);
	pthread_mutex_unlock(&kmd->lock);
	return ret;
}

int kmd_bo_create(struct fnpu_bo *bo, struct fnpu_error *error)
{
	struct drm_fluidnpu_bo_create args = { .size = bo->bytes };
	struct kmd_device *kmd = kmd_of(bo);
	int ret = create(kmd, &args);
	void *map;

	if (ret)
		return fnpu_fail(error, ret, "no buffer of %zu bytes: %s", bo->bytes,
				 strerror(-ret));
	map = mmap(NULL, args.size, PROT_READ | PROT_WRITE, MAP_SHARED, kmd->fd,
		   (off_t)args.mmap_offset);
	if (map == MAP_FAILED) {
		ret = -errno;
		put_handle(kmd, args.handle);
		return fnpu_fail(error, ret, "cannot map a buffer of %zu bytes: %s", bo->bytes,
				 strerror(-ret));
	}
	bo->bytes = args.size;
	bo->handle = args.handle;
	bo->iova = args.iova;
	bo->map = map;
	return 0;
}

/* ---- dma-bufs ---- */

static int import(struct kmd_device *kmd, int fd, struct drm_fluidnpu_bo_info *info,
		  struct fnpu_error *error)
{
	int ret;

	pthread_mutex_lock(&kmd->lock);
	ret = drmPrimeFDToHandle(kmd->fd, fd, &info->handle) ? -errno : 0;
	if (!ret)
		ret = get_handle(kmd, info->handle);
	pthread_mutex_unlock(&kmd->lock);
	if (ret)
		return fnpu_fail(error, ret, "the NPU cannot use this dma-buf: %s",
				 ret == -EINVAL || ret == -ENOTTY ? "it is none" : strerror(-ret));
	if (drmIoctl(kmd->fd, DRM_IOCTL_FLUIDNPU_BO_INFO, info)) {
		ret = -errno;
		put_handle(kmd, info->handle);
		return fnpu_fail(error, ret, "the NPU does not tell about this dma-buf: %s",
				 strerror(-ret));
	}
	return 0;
}

/* As much as its exporter allows: NULL is fine, the NPU needs no map of the CPU's. */
static void *map_dmabuf(int fd, size_t bytes)
{
	void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
	return map == MAP_FAILED ? NULL : map;
}

int kmd_bo_import(struct fnpu_bo *bo, int fd, struct fnpu_error *error)
{
	struct drm_fluidnpu_bo_info info = { 0 };
	int ret = import(kmd_of(bo), fd, &info, error);

	if (ret)
		return ret;
	bo->bytes = info.size;
	bo->handle = info.handle;
	bo->iova = info.iova;
	bo->map = map_dmabuf(fd, bo->bytes);
	return 0;
}

int kmd_bo_export(const struct fnpu_bo *bo)
{
	int fd;

	return drmPrimeHandleToFD(kmd_of(bo)->fd, bo->handle, DRM_CLOEXEC | DRM_RDWR, &fd) ?
	       -errno : fd;
}

void kmd_bo_destroy(struct fnpu_bo *bo)
{
	if (bo->map)
		munmap(bo->map, bo->bytes);
	put_handle(kmd_of(bo), bo->handle);
}
