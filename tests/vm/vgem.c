// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xf86drm.h>

#include "tap.h"
#include "vgem.h"

/* Of the kernel's uapi/drm/vgem_drm.h, which no package of Debian's has. */
struct vgem_fence_attach {
	uint32_t handle;
	uint32_t flags;
	uint32_t out_fence;
	uint32_t pad;
};

struct vgem_fence_signal {
	uint32_t fence;
	uint32_t flags;
};

#define VGEM_FENCE_WRITE	1u
#define IOCTL_VGEM_FENCE_ATTACH	DRM_IOWR(DRM_COMMAND_BASE + 1, struct vgem_fence_attach)
#define IOCTL_VGEM_FENCE_SIGNAL	DRM_IOW(DRM_COMMAND_BASE + 2, struct vgem_fence_signal)

static int drm_ioctl(int fd, unsigned long request, void *arg)
{
	return drmIoctl(fd, request, arg) ? -errno : 0;
}

/* The node of a DRM driver; -1 if there is none. */
static int open_drm(const char *driver)
{
	glob_t nodes;
	int fd = -1;

	if (glob("/dev/dri/card*", 0, NULL, &nodes))
		return -1;
	for (size_t i = 0; i < nodes.gl_pathc && fd < 0; i++) {
		char name[32] = "";
		struct drm_version version = { .name_len = sizeof(name) - 1, .name = name };

		fd = open(nodes.gl_pathv[i], O_RDWR | O_CLOEXEC);
		if (fd >= 0 &&
		    (drm_ioctl(fd, DRM_IOCTL_VERSION, &version) || strcmp(name, driver))) {
			close(fd);
			fd = -1;
		}
	}
	globfree(&nodes);
	return fd;
}

static int8_t *map_buffer(int fd, uint32_t handle)
{
	struct drm_mode_map_dumb args = { .handle = handle };
	void *map = MAP_FAILED;

	if (!drm_ioctl(fd, DRM_IOCTL_MODE_MAP_DUMB, &args))
		map = mmap(NULL, VGEM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			   (off_t)args.offset);
	return map == MAP_FAILED ? NULL : map;
}

bool vgem_open(struct vgem *vgem)
{
	struct drm_mode_create_dumb args = {
		.width = VGEM_BYTES / 4096, .height = 1024, .bpp = 32,
	};

	if (system("modprobe vgem 2>/dev/null && udevadm settle"))
		return false;
	vgem->fd = open_drm("vgem");
	if (vgem->fd < 0)
		return false;
	EXPECT_OK(drm_ioctl(vgem->fd, DRM_IOCTL_MODE_CREATE_DUMB, &args));
	EXPECT_EQ(args.size, VGEM_BYTES);
	vgem->handle = args.handle;
	vgem->map = map_buffer(vgem->fd, vgem->handle);
	EXPECT(vgem->map, "cannot map it");
	return vgem->map;
}

void vgem_close(struct vgem *vgem)
{
	munmap(vgem->map, VGEM_BYTES);
	close(vgem->fd);
	unload_module("vgem");
}

int vgem_export(const struct vgem *vgem)
{
	int dmabuf;

	EXPECT_OK(drmPrimeHandleToFD(vgem->fd, vgem->handle, DRM_CLOEXEC | DRM_RDWR, &dmabuf));
	return dmabuf;
}

int vgem_block(struct vgem *vgem)
{
	struct vgem_fence_attach args = { .handle = vgem->handle, .flags = VGEM_FENCE_WRITE };
	int ret = drm_ioctl(vgem->fd, IOCTL_VGEM_FENCE_ATTACH, &args);

	vgem->fence = args.out_fence;
	return ret;
}

int vgem_release(struct vgem *vgem)
{
	struct vgem_fence_signal args = { .fence = vgem->fence };

	return drm_ioctl(vgem->fd, IOCTL_VGEM_FENCE_SIGNAL, &args);
}

void unload_module(const char *module)
{
	char command[128];

	snprintf(command, sizeof(command), "until rmmod %s 2>/dev/null; do :; done", module);
	EXPECT_EQ(system(command), 0);
}
