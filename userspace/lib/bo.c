// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>

#include "backend.h"
#include "error.h"

int fnpu_bo_alloc(struct fnpu_device *device, size_t bytes,
		  struct fnpu_bo **out, struct fnpu_error *error)
{
	struct fnpu_bo *bo;
	int ret;

	if (!bytes || bytes > SIZE_MAX - FLUIDNPU_PAGE_BYTES)
		return fnpu_fail(error, -EINVAL, "a buffer of %zu bytes makes no sense", bytes);
	bo = calloc(1, sizeof(*bo));
	if (!bo)
		return fnpu_fail(error, -ENOMEM, "out of memory");
	bo->device = device;
	bo->bytes = (bytes + FLUIDNPU_PAGE_BYTES - 1) & ~(size_t)(FLUIDNPU_PAGE_BYTES - 1);
	ret = device->ops->bo_create(bo, error);
	if (ret) {
		free(bo);
		return ret;
	}
	*out = bo;
	return 0;
}

int fnpu_bo_import(struct fnpu_device *device, int fd, struct fnpu_bo **out,
		   struct fnpu_error *error)
{
	struct fnpu_bo *bo;
	int ret;

	fnpu_error_clear(error);
	if (!device->ops->bo_import)
		return fnpu_fail(error, -EOPNOTSUPP,
				 "this device takes no buffers of others: sessions take inputs without them");
	bo = calloc(1, sizeof(*bo));
	if (!bo)
		return fnpu_fail(error, -ENOMEM, "out of memory");
	bo->device = device;
	ret = device->ops->bo_import(bo, fd, error);
	if (ret) {
		free(bo);
		return ret;
	}
	*out = bo;
	return 0;
}

int fnpu_bo_export(const struct fnpu_bo *bo)
{
	return bo->device->ops->bo_export ? bo->device->ops->bo_export(bo) : -EOPNOTSUPP;
}

void fnpu_bo_free(struct fnpu_bo *bo)
{
	if (!bo)
		return;
	bo->device->ops->bo_destroy(bo);
	free(bo);
}

void *fnpu_bo_map(const struct fnpu_bo *bo)
{
	return bo->map;
}

uint64_t fnpu_bo_iova(const struct fnpu_bo *bo)
{
	return bo->iova;
}

size_t fnpu_bo_bytes(const struct fnpu_bo *bo)
{
	return bo->bytes;
}
