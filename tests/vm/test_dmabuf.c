// SPDX-License-Identifier: MIT
/*
 * Buffers of others without copies: dma-bufs of a camera (vivid), of another DRM driver
 * (vgem) and of another client, in both directions, and the fences in them.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/sync_file.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "npu.h"
#include "rig.h"
#include "tap.h"
#include "vgem.h"

#define BUFFER_BYTES (1u << 20)

static int call(int fd, unsigned long request, void *arg)
{
	return ioctl(fd, request, arg) < 0 ? -errno : 0;
}

static struct drm_fluidnpu_bo_info bo_info(int fd, uint32_t handle)
{
	struct drm_fluidnpu_bo_info info = { .handle = handle };

	EXPECT_OK(npu_ioctl(fd, DRM_IOCTL_FLUIDNPU_BO_INFO, &info));
	return info;
}

static void close_handle(int fd, uint32_t handle)
{
	struct drm_gem_close args = { .handle = handle };

	EXPECT_OK(npu_ioctl(fd, DRM_IOCTL_GEM_CLOSE, &args));
}

static int export_flags(int fd, uint32_t handle, uint32_t flags)
{
	struct drm_prime_handle args = { .handle = handle, .flags = flags };

	EXPECT_OK(npu_ioctl(fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &args));
	return args.fd;
}

/* What the net makes of an input, computed here. */
static void expect_logits(const struct rig *rig, unsigned int sample, const int8_t *input)
{
	for (unsigned int class = 0; class < NET_CLASSES; class++) {
		int sum = input[class] + input[class + NET_CLASSES];
		int8_t wanted = sum < -128 ? -128 : sum > 127 ? 127 : (int8_t)sum;
		int8_t seen = net_logits(&rig->net, sample)[class];

		EXPECT(seen == wanted, "sample %u, class %u: %d, not %d", sample, class, seen,
		       wanted);
	}
}

/* --- between clients of this driver ---------------------------------------------- */

static void a_dmabuf_without_the_right_to_write_is_read_only_for_others(void)
{
	struct drm_fluidnpu_bo_info info;
	struct rig owner, user;
	uint32_t handle;
	struct bo bo;
	struct job job;
	void *map;
	int dmabuf;

	REQUIRE(rig_up(&owner, 0) && rig_up(&user, 0), "");
	REQUIRE(!bo_create(owner.fd, BUFFER_BYTES, &bo), "bo_create");
	((int8_t *)bo.map)[1] = 100;
	dmabuf = export_flags(owner.fd, bo.handle, DRM_CLOEXEC);
	EXPECT_OK(prime_import(user.fd, dmabuf, &handle));
	info = bo_info(user.fd, handle);
	EXPECT_EQ(info.flags, DRM_FLUIDNPU_BO_READONLY);
	EXPECT_EQ(bo_info(owner.fd, bo.handle).flags, 0);

	job_init(&job, &user.net, 1, 0);
	job.samples[0].input_iova = info.iova;
	EXPECT_OK(rig_run(&user, &job));
	EXPECT_EQ(net_logits(&user.net, 0)[1], 100);
	job.samples[0].logits_iova = info.iova;
	EXPECT_ERRNO(rig_run(&user, &job), EIO);
	EXPECT_EQ(((int8_t *)bo.map)[1], 100);
	job_init(&job, &owner.net, 1, 0);
	job.samples[0].logits_iova = bo.iova;
	EXPECT_OK(rig_run(&owner, &job));

	/* Nor can the other client's CPU write, whichever file it maps. */
	EXPECT(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf, 0) == MAP_FAILED &&
	       errno == EACCES, "%s", strerror(errno));
	EXPECT(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, user.fd,
		    (off_t)info.mmap_offset) == MAP_FAILED && errno == EACCES, "%s",
	       strerror(errno));
	map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, user.fd, (off_t)info.mmap_offset);
	REQUIRE(map != MAP_FAILED, "%s", strerror(errno));
	EXPECT_EQ(*(int8_t *)map, 100);	/* the owner's logits */
	EXPECT(mprotect(map, 4096, PROT_READ | PROT_WRITE) < 0 && errno == EACCES, "%s",
	       strerror(errno));
	munmap(map, 4096);
	close(dmabuf);
	bo_destroy(&bo);
	rig_down(&user);
	rig_down(&owner);
}

static void what_lies_behind_a_shared_bo_is_not_shared(void)
{
	struct drm_fluidnpu_bo_info info;
	struct rig owner, user;
	struct bo bo, next;
	uint32_t handle;
	struct job job;
	int dmabuf;

	REQUIRE(rig_up(&owner, 0) && rig_up(&user, 0), "");
	REQUIRE(!bo_create(owner.fd, BUFFER_BYTES, &bo), "bo_create");
	REQUIRE(!bo_create(owner.fd, BUFFER_BYTES, &next), "bo_create");
	EXPECT_OK(prime_export(owner.fd, bo.handle, &dmabuf));
	EXPECT_OK(prime_import(user.fd, dmabuf, &handle));
	info = bo_info(user.fd, handle);
	for (uint64_t at = info.size; at < 3 * BUFFER_BYTES; at += 4096) {
		job_init(&job, &user.net, 1, 0);
		job.samples[0].logits_iova = info.iova + at;
		REQUIRE(rig_run(&user, &job) == -EIO, "no fault at %#llx",
			(unsigned long long)at);
	}
	close(dmabuf);
	bo_destroy(&next);
	bo_destroy(&bo);
	rig_down(&user);
	rig_down(&owner);
}

/* One client's logits are the other one's input; nothing but the buffer orders them. */
static void jobs_of_two_clients_on_a_shared_bo_run_in_order(void)
{
	struct drm_fluidnpu_bo_info info;
	struct drm_fluidnpu_event event;
	struct rig writer, reader;
	struct job first, second;
	struct ctx high;
	uint32_t handle;
	struct bo bo;
	int dmabuf;

	REQUIRE(rig_up(&writer, 20) && rig_up(&reader, 0), "");
	REQUIRE(!bo_create(writer.fd, BUFFER_BYTES, &bo), "bo_create");
	EXPECT_OK(prime_export(writer.fd, bo.handle, &dmabuf));
	EXPECT_OK(prime_import(reader.fd, dmabuf, &handle));
	info = bo_info(reader.fd, handle);

	net_set_input(&writer.net, 0, 2, 100);
	job_init(&first, &writer.net, 1, 0);
	first.samples[0].logits_iova = bo.iova;
	first.handles[1] = bo.handle;
	EXPECT_OK(submit_one(&writer.ctx, &first));

	job_init(&second, &reader.net, 1, 0);
	second.samples[0].input_iova = info.iova;
	second.handles[1] = handle;
	/* In another queue of the device; within one they are in order anyway. */
	REQUIRE(!ctx_create(reader.fd, DRM_FLUIDNPU_PRIORITY_HIGH, 32, &high), "ctx_create");
	EXPECT_OK(submit_one(&high, &second));
	REQUIRE(ctx_job_event(&high, &event), "no event");
	EXPECT_EQ(event.error, 0);
	EXPECT_EQ(net_logits(&reader.net, 0)[2], 100);
	EXPECT_EQ(ctx_pending(&writer.ctx), 2);
	ctx_destroy(&high);
	close(dmabuf);
	bo_destroy(&bo);
	rig_down(&reader);
	rig_down(&writer);
}

static void those_who_may_only_read_a_shared_bo_wait_for_writers_alone(void)
{
	struct drm_fluidnpu_event slow_read, read, write;
	struct ctx high_reader, high_writer;
	struct rig owner, reader;
	uint32_t handle;
	struct job job;
	struct bo bo;
	int dmabuf;

	REQUIRE(rig_up(&owner, 0) && rig_up(&reader, 20), "");
	REQUIRE(!ctx_create(owner.fd, DRM_FLUIDNPU_PRIORITY_HIGH, 32, &high_writer) &&
		!ctx_create(reader.fd, DRM_FLUIDNPU_PRIORITY_REALTIME, 32, &high_reader), "");
	REQUIRE(!bo_create(owner.fd, BUFFER_BYTES, &bo), "bo_create");
	dmabuf = export_flags(owner.fd, bo.handle, DRM_CLOEXEC);
	EXPECT_OK(prime_import(reader.fd, dmabuf, &handle));

	job_init(&job, &reader.net, 1, 0);
	job.samples[0].input_iova = bo_info(reader.fd, handle).iova;
	job.handles[1] = handle;
	EXPECT_OK(submit_one(&reader.ctx, &job));
	job.samples[0].start_layer = 20;	/* skips the slow layers */
	EXPECT_OK(submit_one(&high_reader, &job));
	job_init(&job, &owner.net, 1, 0);
	job.samples[0].logits_iova = bo.iova;
	job.handles[1] = bo.handle;
	EXPECT_OK(submit_one(&high_writer, &job));

	REQUIRE(ctx_job_event(&reader.ctx, &slow_read), "no event");
	REQUIRE(ctx_job_event(&high_reader, &read), "no event");
	REQUIRE(ctx_job_event(&high_writer, &write), "no event");
	EXPECT(read.time < slow_read.time, "read at %llu, after %llu",
	       (unsigned long long)read.time, (unsigned long long)slow_read.time);
	EXPECT(write.queued >= slow_read.time, "written at %llu, before %llu",
	       (unsigned long long)write.queued, (unsigned long long)slow_read.time);
	ctx_destroy(&high_writer);
	ctx_destroy(&high_reader);
	close(dmabuf);
	bo_destroy(&bo);
	rig_down(&reader);
	rig_down(&owner);
}

/* --- fences ---------------------------------------------------------------------- */

static bool fd_is_ready(int fd, short events, int timeout_ms)
{
	struct pollfd pfd = { .fd = fd, .events = events };

	return poll(&pfd, 1, timeout_ms) == 1 && pfd.revents & events;
}

static int export_sync_file(int dmabuf, uint32_t flags)
{
	struct dma_buf_export_sync_file args = { .flags = flags, .fd = -1 };

	EXPECT_OK(call(dmabuf, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &args));
	return args.fd;
}

static void a_sync_file_of_a_dmabuf_is_signalled_by_the_job(void)
{
	struct sync_file_info info = { 0 };
	int dmabuf, sync_file;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 40), "");
	EXPECT_OK(prime_export(rig.fd, rig.net.data.handle, &dmabuf));
	EXPECT(fd_is_ready(dmabuf, POLLIN, 0) && fd_is_ready(dmabuf, POLLOUT, 0), "busy");
	job_init(&job, &rig.net, 1, 0);
	EXPECT_OK(submit_one(&rig.ctx, &job));
	sync_file = export_sync_file(dmabuf, DMA_BUF_SYNC_READ);
	EXPECT(!fd_is_ready(sync_file, POLLIN, 0), "signalled");
	EXPECT(!fd_is_ready(dmabuf, POLLIN, 0) && !fd_is_ready(dmabuf, POLLOUT, 0), "idle");
	EXPECT_EQ(ctx_pending(&rig.ctx), 0);

	EXPECT(fd_is_ready(sync_file, POLLIN, 60000), "not signalled");
	EXPECT_EQ(ctx_pending(&rig.ctx), 2);
	/* Its waiters are woken one after another. */
	EXPECT(fd_is_ready(dmabuf, POLLIN, 60000) && fd_is_ready(dmabuf, POLLOUT, 60000), "busy");
	EXPECT_OK(call(sync_file, SYNC_IOC_FILE_INFO, &info));
	EXPECT_EQ(info.status, 1);
	close(sync_file);
	close(dmabuf);
	rig_down(&rig);
}

static void a_sync_file_of_a_job_that_failed_tells_so(void)
{
	struct sync_file_info info = { 0 };
	int dmabuf, sync_file;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 10), "");
	EXPECT_OK(prime_export(rig.fd, rig.net.data.handle, &dmabuf));
	job_init(&job, &rig.net, 1, 0);
	job.samples[0].logits_iova = 0x1000;
	EXPECT_OK(submit_one(&rig.ctx, &job));
	sync_file = export_sync_file(dmabuf, DMA_BUF_SYNC_WRITE);
	EXPECT(fd_is_ready(sync_file, POLLIN, 60000), "not signalled");
	EXPECT_OK(call(sync_file, SYNC_IOC_FILE_INFO, &info));
	EXPECT_EQ(info.status, -EIO);
	close(sync_file);
	close(dmabuf);
	rig_down(&rig);
}

static void a_job_waits_for_a_sync_file_put_into_its_buffer(void)
{
	struct dma_buf_import_sync_file import = { .flags = DMA_BUF_SYNC_WRITE };
	struct drm_fluidnpu_event slow, fast;
	int slow_dmabuf, dmabuf;
	struct rig rig, other;
	struct ctx high;
	struct job job;

	REQUIRE(rig_up(&rig, 20) && rig_up(&other, 0), "");
	EXPECT_OK(prime_export(rig.fd, rig.net.data.handle, &slow_dmabuf));
	EXPECT_OK(prime_export(other.fd, other.net.data.handle, &dmabuf));
	job_init(&job, &rig.net, 1, 0);
	EXPECT_OK(submit_one(&rig.ctx, &job));
	import.fd = export_sync_file(slow_dmabuf, DMA_BUF_SYNC_READ);
	EXPECT_OK(call(dmabuf, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &import));

	/* In another queue of the device; within one they are in order anyway. */
	REQUIRE(!ctx_create(other.fd, DRM_FLUIDNPU_PRIORITY_HIGH, 32, &high), "ctx_create");
	job_init(&job, &other.net, 1, 0);
	EXPECT_OK(submit_one(&high, &job));
	REQUIRE(ctx_job_event(&high, &fast), "no event");
	REQUIRE(ctx_pending(&rig.ctx) == 2, "it did not wait");
	REQUIRE(ctx_job_event(&rig.ctx, &slow), "no event");
	EXPECT(fast.queued >= slow.time, "queued at %llu, before %llu",
	       (unsigned long long)fast.queued, (unsigned long long)slow.time);
	ctx_destroy(&high);
	close(import.fd);
	close(dmabuf);
	close(slow_dmabuf);
	rig_down(&other);
	rig_down(&rig);
}

/* --- vgem ------------------------------------------------------------------------ */

static void a_vgem_buffer_is_input_and_output_without_a_copy(void)
{
	struct drm_fluidnpu_bo_info info;
	uint32_t handle;
	struct vgem vgem;
	struct rig rig;
	struct job job;
	int dmabuf;

	if (!vgem_open(&vgem))
		SKIP("no vgem");
	REQUIRE(rig_up(&rig, 0), "");
	dmabuf = vgem_export(&vgem);
	EXPECT_OK(prime_import(rig.fd, dmabuf, &handle));
	close(dmabuf);
	info = bo_info(rig.fd, handle);
	EXPECT_EQ(info.size, VGEM_BYTES);
	EXPECT_EQ(info.flags, 0);
	EXPECT_EQ(info.mmap_offset, 0);

	job_init(&job, &rig.net, 1, 0);
	job.handles[1] = handle;
	job.samples[0].input_iova = info.iova;
	job.samples[0].logits_iova = info.iova + VGEM_BYTES - NET_LOGITS;
	for (unsigned int i = 0; i < NET_CLASSES; i++) {
		const int8_t *logits = vgem.map + VGEM_BYTES - NET_LOGITS;

		memset(vgem.map, 0, NET_INPUTS);
		vgem.map[i] = 80;
		EXPECT_OK(rig_run(&rig, &job));
		EXPECT(logits[i] == 80, "round %u: %d", i, logits[i]);
	}
	close_handle(rig.fd, handle);
	rig_down(&rig);
	vgem_close(&vgem);
}

static void a_bo_lives_on_in_another_driver(void)
{
	struct vgem vgem;
	uint32_t handle;
	struct rig rig;
	struct job job;
	int dmabuf;
	int8_t *map;
	size_t at;

	if (!vgem_open(&vgem))
		SKIP("no vgem");
	REQUIRE(rig_up(&rig, 0), "");
	EXPECT_OK(prime_export(rig.fd, rig.net.data.handle, &dmabuf));
	EXPECT_OK(prime_import(vgem.fd, dmabuf, &handle));
	close(dmabuf);
	net_set_input(&rig.net, 0, 3, 70);
	job_init(&job, &rig.net, 1, 0);
	EXPECT_OK(rig_run(&rig, &job));
	at = net_logits(&rig.net, 0) - net_input(&rig.net, 0);
	rig_down(&rig);

	dmabuf = export_flags(vgem.fd, handle, DRM_CLOEXEC);
	map = mmap(NULL, at + NET_LOGITS, PROT_READ, MAP_SHARED, dmabuf, 0);
	if (map != MAP_FAILED) {
		EXPECT_EQ(map[at + 3], 70);
		munmap(map, at + NET_LOGITS);
	} else {
		EXPECT(false, "mmap: %s", strerror(errno));
	}
	close(dmabuf);
	vgem_close(&vgem);
}

static void a_job_waits_for_a_fence_of_another_driver(void)
{
	struct drm_fluidnpu_event event;
	struct ctx second;
	struct vgem vgem;
	uint32_t handle;
	struct rig rig;
	struct job job;
	int dmabuf;

	if (!vgem_open(&vgem))
		SKIP("no vgem");
	REQUIRE(rig_up(&rig, 0), "");
	dmabuf = vgem_export(&vgem);
	EXPECT_OK(prime_import(rig.fd, dmabuf, &handle));
	EXPECT_OK(vgem_block(&vgem));
	job_init(&job, &rig.net, 1, 5);
	job.handles[1] = handle;
	job.samples[0].input_iova = bo_info(rig.fd, handle).iova;
	EXPECT_OK(submit_one(&rig.ctx, &job));
	/* One that need not wait runs past it. */
	EXPECT_OK(ctx_create(rig.fd, DRM_FLUIDNPU_PRIORITY_NORMAL, 32, &second));
	job_init(&job, &rig.net, 1, 6);
	EXPECT_OK(submit_one(&second, &job));
	EXPECT(ctx_job_event(&second, &event), "no event");
	EXPECT_EQ(ctx_pending(&rig.ctx), 0);
	ctx_destroy(&second);
	vgem.map[2] = 100;	/* the other driver has not finished before this */
	EXPECT_OK(vgem_release(&vgem));
	REQUIRE(ctx_event(&rig.ctx, &event), "no event");
	EXPECT_EQ(event.class_index, 2);
	REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
	EXPECT_EQ(event.error, 0);
	close(dmabuf);
	close_handle(rig.fd, handle);
	rig_down(&rig);
	vgem_close(&vgem);
}

/* --- vivid: a camera --------------------------------------------------------------- */

#define CAMERA_BUFFERS	4
#define CAMERA_SAMPLES	8

struct camera {
	int fd;
	uint32_t bytes;	/* of a buffer */
	int8_t *maps[CAMERA_BUFFERS];
};

static bool camera_open(struct camera *camera)
{
	struct v4l2_capability caps;
	struct v4l2_format format = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE };

	if (system("modprobe vivid n_devs=1 node_types=0x1 num_inputs=1 input_types=0 "
		   "2>/dev/null && udevadm settle"))
		return false;
	camera->fd = open("/dev/video0", O_RDWR | O_CLOEXEC);
	if (camera->fd < 0 || call(camera->fd, VIDIOC_QUERYCAP, &caps) ||
	    strcmp((const char *)caps.driver, "vivid"))
		return false;
	EXPECT_OK(call(camera->fd, VIDIOC_G_FMT, &format));
	format.fmt.pix.width = 320;
	format.fmt.pix.height = 180;
	format.fmt.pix.pixelformat = V4L2_PIX_FMT_YUYV;
	format.fmt.pix.field = V4L2_FIELD_ANY;
	EXPECT_OK(call(camera->fd, VIDIOC_S_FMT, &format));
	camera->bytes = format.fmt.pix.sizeimage;
	return true;
}

/* All buffers mapped and handed to the camera, which starts. */
static void camera_start(struct camera *camera)
{
	struct v4l2_requestbuffers request = {
		.count = CAMERA_BUFFERS, .type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
		.memory = V4L2_MEMORY_MMAP,
	};
	int type = V4L2_BUF_TYPE_VIDEO_CAPTURE;

	EXPECT_OK(call(camera->fd, VIDIOC_REQBUFS, &request));
	EXPECT_EQ(request.count, CAMERA_BUFFERS);
	for (uint32_t i = 0; i < CAMERA_BUFFERS; i++) {
		struct v4l2_buffer buffer = {
			.index = i, .type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
			.memory = V4L2_MEMORY_MMAP,
		};

		EXPECT_OK(call(camera->fd, VIDIOC_QUERYBUF, &buffer));
		camera->maps[i] = mmap(NULL, buffer.length, PROT_READ, MAP_SHARED, camera->fd,
				       buffer.m.offset);
		EXPECT(camera->maps[i] != MAP_FAILED, "%s", strerror(errno));
		EXPECT_OK(call(camera->fd, VIDIOC_QBUF, &buffer));
	}
	EXPECT_OK(call(camera->fd, VIDIOC_STREAMON, &type));
}

static void camera_close(struct camera *camera)
{
	int type = V4L2_BUF_TYPE_VIDEO_CAPTURE;

	EXPECT_OK(call(camera->fd, VIDIOC_STREAMOFF, &type));
	for (uint32_t i = 0; i < CAMERA_BUFFERS; i++)
		munmap(camera->maps[i], camera->bytes);
	close(camera->fd);
	unload_module("vivid");
}

static uint32_t camera_import(const struct camera *camera, int npu, uint32_t index, uint32_t flags)
{
	struct v4l2_exportbuffer export = {
		.type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .index = index, .flags = O_CLOEXEC | flags,
	};
	uint32_t handle = 0;

	EXPECT_OK(call(camera->fd, VIDIOC_EXPBUF, &export));
	EXPECT_OK(prime_import(npu, export.fd, &handle));
	close(export.fd);
	return handle;
}

static void camera_round(const struct camera *camera, struct rig *rig, const uint32_t *handles)
{
	struct v4l2_buffer buffer = {
		.type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = V4L2_MEMORY_MMAP,
	};
	const uint32_t step = camera->bytes / 2 / CAMERA_SAMPLES & ~63u;
	struct job job;

	EXPECT_OK(call(camera->fd, VIDIOC_DQBUF, &buffer));
	REQUIRE(buffer.index < CAMERA_BUFFERS, "%u", buffer.index);
	job_init(&job, &rig->net, CAMERA_SAMPLES, 0);
	job.args.flags = DRM_FLUIDNPU_JOB_NO_EXIT;
	job.handles[1] = handles[buffer.index];
	for (unsigned int i = 0; i < CAMERA_SAMPLES; i++)
		job.samples[i].input_iova = bo_info(rig->fd, handles[buffer.index]).iova +
					    i * step;
	EXPECT_OK(rig_run(rig, &job));
	for (unsigned int i = 0; i < CAMERA_SAMPLES; i++)
		expect_logits(rig, i, camera->maps[buffer.index] + i * step);
	EXPECT_OK(call(camera->fd, VIDIOC_QBUF, &buffer));
}

static void frames_of_a_camera_are_inputs_without_a_copy(void)
{
	uint32_t handles[CAMERA_BUFFERS];
	struct camera camera;
	struct rig rig;
	struct job job;

	if (!camera_open(&camera))
		SKIP("no vivid");
	REQUIRE(rig_up(&rig, 0), "");
	camera_start(&camera);
	for (uint32_t i = 0; i < CAMERA_BUFFERS; i++) {
		handles[i] = camera_import(&camera, rig.fd, i, O_RDONLY);
		EXPECT_EQ(bo_info(rig.fd, handles[i]).flags, DRM_FLUIDNPU_BO_READONLY);
	}
	for (unsigned int i = 0; i < 2 * CAMERA_BUFFERS && !tap_failures; i++)
		camera_round(&camera, &rig, handles);

	/* They were exported without O_RDWR: the NPU does not write there. */
	job_init(&job, &rig.net, 1, 0);
	job.samples[0].logits_iova = bo_info(rig.fd, handles[0]).iova;
	EXPECT_ERRNO(rig_run(&rig, &job), EIO);
	for (uint32_t i = 0; i < CAMERA_BUFFERS; i++)
		close_handle(rig.fd, handles[i]);
	rig_down(&rig);
	camera_close(&camera);
}

static void the_npu_can_write_into_a_camera_buffer_exported_for_it(void)
{
	struct camera camera;
	uint32_t handle;
	struct rig rig;
	struct job job;

	if (!camera_open(&camera))
		SKIP("no vivid");
	REQUIRE(rig_up(&rig, 0), "");
	camera_start(&camera);
	handle = camera_import(&camera, rig.fd, 0, O_RDWR);
	EXPECT_EQ(bo_info(rig.fd, handle).flags, 0);
	job_init(&job, &rig.net, 1, 0);
	job.handles[1] = handle;
	job.samples[0].logits_iova = bo_info(rig.fd, handle).iova;
	EXPECT_OK(rig_run(&rig, &job));
	close_handle(rig.fd, handle);
	rig_down(&rig);
	camera_close(&camera);
}

static const struct tap_test tests[] = {
	{ "a dma-buf without the right to write is read-only for others",
	  a_dmabuf_without_the_right_to_write_is_read_only_for_others },
	{ "what lies behind a shared BO is not shared", what_lies_behind_a_shared_bo_is_not_shared },
	{ "jobs of two clients on a shared BO run in order",
	  jobs_of_two_clients_on_a_shared_bo_run_in_order },
	{ "those who may only read a shared BO wait for writers alone",
	  those_who_may_only_read_a_shared_bo_wait_for_writers_alone },
	{ "a sync file of a dma-buf is signalled by the job",
	  a_sync_file_of_a_dmabuf_is_signalled_by_the_job },
	{ "a sync file of a job that failed tells so", a_sync_file_of_a_job_that_failed_tells_so },
	{ "a job waits for a sync file put into its buffer",
	  a_job_waits_for_a_sync_file_put_into_its_buffer },
	{ "a vgem buffer is input and output without a copy",
	  a_vgem_buffer_is_input_and_output_without_a_copy },
	{ "a BO lives on in another driver", a_bo_lives_on_in_another_driver },
	{ "a job waits for a fence of another driver", a_job_waits_for_a_fence_of_another_driver },
	{ "frames of a camera are inputs without a copy",
	  frames_of_a_camera_are_inputs_without_a_copy },
	{ "the NPU can write into a camera buffer exported for it",
	  the_npu_can_write_into_a_camera_buffer_exported_for_it },
};

TAP_MAIN(tests)
