// SPDX-License-Identifier: MIT
/*
 * The device and the module go away, with everything open, mapped and in flight. At the
 * end of each test device and module are back. Needs root.
 */
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "npu.h"
#include "pcidev.h"
#include "rig.h"
#include "tap.h"
#include "vgem.h"

static void remove_while_idle_and_open(void)
{
	struct drm_fluidnpu_info info;
	int fd = npu_open();

	pci_remove();
	EXPECT_ERRNO(npu_info(fd, &info), ENODEV);
	pci_bring_back();
	EXPECT_ERRNO(npu_info(fd, &info), ENODEV);
	close(fd);
	works_again();
}

static void jobs_in_flight_end_with_enodev(void)
{
	struct drm_fluidnpu_sync sync = { .flags = DRM_FLUIDNPU_SYNC_SIGNAL };
	struct drm_fluidnpu_event event;
	struct pollfd pfd = { .events = POLLIN };
	struct drm_fluidnpu_job args[20];
	struct ctx ctx;
	struct net net;
	struct job job;
	int fd = npu_open();

	REQUIRE(!ctx_create(fd, DRM_FLUIDNPU_PRIORITY_NORMAL, 64, &ctx), "ctx_create");
	REQUIRE(!net_create(fd, 100, &net), "net_create");
	REQUIRE(!syncobj_create(fd, &sync.handle), "syncobj");
	job_init(&job, &net, 1, 0);
	for (unsigned int i = 0; i < 20; i++)
		args[i] = job.args;
	EXPECT_OK(submit(&ctx, args, 20, &sync, 1));
	pci_remove();

	for (unsigned int i = 0; i < 20; i++) {
		EXPECT(ctx_job_event(&ctx, &event), "no event %u", i);
		EXPECT_EQ(event.error, -ENODEV);
	}
	EXPECT_EQ(ctx_pending(&ctx), 0);
	pfd.fd = fd;
	EXPECT_EQ(poll(&pfd, 1, -1), 1);
	EXPECT(pfd.revents & POLLHUP, "%#x", pfd.revents);
	/* Mappings are the user's memory still. */
	((volatile int8_t *)net.data.map)[0] = 42;
	EXPECT_EQ(((volatile int8_t *)net.data.map)[0], 42);
	EXPECT_ERRNO(submit_one(&ctx, &job), ENODEV);

	pci_bring_back();
	ctx_destroy(&ctx);
	net_destroy(&net);
	close(fd);
	works_again();
}

/* Everything that a client can have, all at once. */
static void everything_open_survives_an_unbind_under_load(void)
{
	struct drm_fluidnpu_sync sync = { .flags = DRM_FLUIDNPU_SYNC_SIGNAL };
	struct drm_fluidnpu_event event;
	struct drm_fluidnpu_job args[20];
	struct rig rigs[4];
	int dmabuf, foreign;
	uint32_t handle;
	struct job job;
	void *mapped;

	foreign = foreign_dmabuf(65536, &mapped);
	REQUIRE(foreign >= 0, "no udmabuf");
	for (unsigned int i = 0; i < 4; i++) {
		REQUIRE(rig_up(&rigs[i], 50), "set-up");
		EXPECT_OK(prime_import(rigs[i].fd, foreign, &handle));
		REQUIRE(!syncobj_create(rigs[i].fd, &sync.handle), "syncobj");
		job_init(&job, &rigs[i].net, 2, 0);
		for (unsigned int k = 0; k < 20; k++)
			args[k] = job.args;
		EXPECT_OK(submit(&rigs[i].ctx, args, 20, &sync, 1));
	}
	REQUIRE(!prime_export(rigs[0].fd, rigs[0].net.data.handle, &dmabuf), "export");
	pci_rebind();
	works_again();
	for (unsigned int i = 0; i < 4; i++) {
		for (unsigned int k = 0; k < 20; k++) {
			REQUIRE(ctx_job_event(&rigs[i].ctx, &event), "no event %u", k);
			EXPECT(!event.error || event.error == -ENODEV, "error %d", event.error);
		}
		EXPECT_EQ(ctx_pending(&rigs[i].ctx), 0);
		EXPECT_ERRNO(submit_one(&rigs[i].ctx, &job), ENODEV);
		EXPECT_EQ(syncobj_wait(rigs[i].fd, sync.handle, 0, 0), -ENODEV);
		rig_down(&rigs[i]);
	}
	close(dmabuf);
	close(foreign);
	munmap(mapped, 65536);
	works_again();
}

static void *poll_forever(void *arg)
{
	struct pollfd pfd = { .fd = *(int *)arg, .events = POLLIN };
	long result;

	result = poll(&pfd, 1, -1) == 1 ? pfd.revents : -1;
	return (void *)result;
}

static void poll_wakes_up_at_removal(void)
{
	void *revents = NULL;
	pthread_t thread;
	int fd = npu_open();

	REQUIRE(!pthread_create(&thread, NULL, poll_forever, &fd), "pthread_create");
	pci_remove();
	pthread_join(thread, &revents);
	EXPECT((long)revents & POLLHUP, "%#lx", (long)revents);
	close(fd);
	pci_bring_back();
	works_again();
}

/* ---- a job that outlives the device: what it waits for is another driver's ---- */

struct outliver {
	struct vgem vgem;
	struct rig rig;
	struct poller {
		pthread_t thread;
		int fd;
		pid_t tid;	/* 0: not yet */
		short revents;
	} poller;
};

/* Waits for nothing but the end. */
static void *poll_for_the_end(void *arg)
{
	struct poller *poller = arg;
	struct pollfd pfd = { .fd = poller->fd };

	__atomic_store_n(&poller->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	poller->revents = poll(&pfd, 1, -1) == 1 ? pfd.revents : 0;
	return NULL;
}

/* Nothing tells when a thread has fallen asleep. */
static void wait_until_it_sleeps(const struct poller *poller)
{
	char path[64], text[512], *state;
	pid_t tid;

	do {
		tid = __atomic_load_n(&poller->tid, __ATOMIC_ACQUIRE);
		snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
		state = tid && !read_file(path, text, sizeof(text)) ? strrchr(text, ')') : NULL;
	} while (!state || strncmp(state, ") S", 3));
}

static bool outliver_up(struct outliver *o)
{
	uint32_t handle;
	struct job job;
	int dmabuf;

	if (!rig_up(&o->rig, 0))
		return false;
	dmabuf = vgem_export(&o->vgem);
	EXPECT_OK(prime_import(o->rig.fd, dmabuf, &handle));
	close(dmabuf);
	EXPECT_OK(vgem_block(&o->vgem));
	job_init(&job, &o->rig.net, 1, 7);
	job.handles[1] = handle;
	EXPECT_OK(submit_one(&o->rig.ctx, &job));
	pci_remove();
	return !tap_failures;
}

static void outliver_down(struct outliver *o)
{
	rig_down(&o->rig);
	pci_bring_back();
	works_again();
	vgem_close(&o->vgem);
}

static void poll_wakes_up_when_the_last_job_ends_after_removal(void)
{
	struct drm_fluidnpu_event event;
	struct outliver o = { 0 };
	struct pollfd pfd;

	if (!vgem_open(&o.vgem))
		SKIP("no vgem");
	REQUIRE(outliver_up(&o), "");
	pfd = (struct pollfd){ .fd = o.poller.fd = o.rig.fd };
	EXPECT_EQ(poll(&pfd, 1, 0), 0);	/* there is an event to come */
	REQUIRE(!pthread_create(&o.poller.thread, NULL, poll_for_the_end, &o.poller), "");
	wait_until_it_sleeps(&o.poller);
	EXPECT_EQ(ctx_pending(&o.rig.ctx), 0);
	EXPECT_OK(vgem_release(&o.vgem));
	pthread_join(o.poller.thread, NULL);
	EXPECT_EQ(o.poller.revents, POLLHUP | POLLERR);
	REQUIRE(ctx_job_event(&o.rig.ctx, &event), "no event");
	EXPECT_EQ(event.user_data, 7);
	EXPECT_EQ(event.error, -ENODEV);
	EXPECT_EQ(ctx_pending(&o.rig.ctx), 0);
	outliver_down(&o);
}

/* Which nobody can destroy: ioctls end at the DRM core. Its file can be closed. */
static void a_context_that_outlives_the_device_ends_with_its_file(void)
{
	struct drm_fluidnpu_ctx_destroy destroy = { 0 };
	struct outliver o = { 0 };

	if (!vgem_open(&o.vgem))
		SKIP("no vgem");
	REQUIRE(outliver_up(&o), "");
	destroy.ctx_id = o.rig.ctx.id;
	EXPECT_ERRNO(npu_ioctl(o.rig.fd, DRM_IOCTL_FLUIDNPU_CTX_DESTROY, &destroy), ENODEV);
	rig_down(&o.rig);
	pci_bring_back();
	works_again();
	EXPECT_OK(vgem_release(&o.vgem));
	vgem_close(&o.vgem);
	REQUIRE(!module_unload(), "cannot unload: %s", strerror(errno));
	module_load();
	works_again();
}

static void commands_in_flight_end_with_enodev(void)
{
	struct drm_fluidnpu_uring_submit args;
	struct io_uring ring;
	struct ctx ctx;
	struct net net;
	struct job job;
	int fd = npu_open();

	REQUIRE(!ctx_create(fd, DRM_FLUIDNPU_PRIORITY_NORMAL, 64, &ctx), "ctx_create");
	REQUIRE(!net_create(fd, 100, &net), "net_create");
	REQUIRE(!io_uring_queue_init(32, &ring, IORING_SETUP_SQE128), "ring");
	job_init(&job, &net, 1, 0);
	args = (struct drm_fluidnpu_uring_submit){ .ctx_id = ctx.id, .job = job.args };
	for (unsigned int i = 0; i < 20; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

		REQUIRE(sqe, "ring is full");
		memset(sqe, 0, sizeof(*sqe));
		sqe->opcode = IORING_OP_URING_CMD;
		sqe->fd = fd;
		sqe->cmd_op = FLUIDNPU_URING_SUBMIT;
		memcpy(sqe->cmd, &args, sizeof(args));
	}
	EXPECT_EQ(io_uring_submit(&ring), 20);
	pci_remove();
	for (unsigned int i = 0; i < 20; i++) {
		struct io_uring_cqe *cqe;

		REQUIRE(!io_uring_wait_cqe(&ring, &cqe), "no cqe %u", i);
		EXPECT_EQ(cqe->res, -ENODEV);
		io_uring_cqe_seen(&ring, cqe);
	}
	/* The file goes first, the ring later. */
	close(fd);
	pci_bring_back();
	io_uring_queue_exit(&ring);
	munmap(ctx.ring.map, ctx.ring.size);
	munmap(net.data.map, net.data.size);
	munmap(net.program.map, net.program.size);
	works_again();
}

/* A function-level reset, as root can do it at any time. */
static void jobs_survive_a_reset(void)
{
	struct drm_fluidnpu_event event;
	struct drm_fluidnpu_job args[20];
	struct job first, rest;
	struct ctx ctx;
	struct net net;
	int fd = npu_open();

	REQUIRE(!ctx_create(fd, DRM_FLUIDNPU_PRIORITY_NORMAL, 256, &ctx), "ctx_create");
	REQUIRE(!net_create(fd, 30, &net), "net_create");
	job_init(&first, &net, 2, 0);
	job_init(&rest, &net, 2, 0);
	rest.samples[0].start_layer = 28;
	rest.samples[1].start_layer = 28;
	for (unsigned int i = 0; i < 20; i++) {
		args[i] = i ? rest.args : first.args;
		args[i].user_data = i * 10;
	}
	EXPECT_OK(submit(&ctx, args, 20, NULL, 0));
	EXPECT_OK(pci_write("reset", "1"));
	for (unsigned int i = 0; i < 20; i++) {
		for (unsigned int n = 0; n < 2; n++) {
			REQUIRE(ctx_event(&ctx, &event), "no event");
			EXPECT_EQ(event.type, DRM_FLUIDNPU_EVENT_EXIT);
			EXPECT_EQ(event.class_index, n);
		}
		REQUIRE(ctx_event(&ctx, &event), "no event");
		EXPECT_EQ(event.type, DRM_FLUIDNPU_EVENT_JOB);
		EXPECT_EQ(event.user_data, i * 10);
		EXPECT_EQ(event.error, 0);
	}
	EXPECT_EQ(ctx_pending(&ctx), 0);
	ctx_destroy(&ctx);
	net_destroy(&net);
	close(fd);
	works_again();
}

static void a_started_job_in_mid_network_is_lost_in_a_reset(void)
{
	struct drm_fluidnpu_counters before, now;
	struct drm_fluidnpu_event event;
	struct ctx ctx;
	struct net net;
	struct job job;
	int fd = npu_open();

	REQUIRE(!ctx_create(fd, DRM_FLUIDNPU_PRIORITY_NORMAL, 64, &ctx), "ctx_create");
	REQUIRE(!net_create(fd, 200, &net), "net_create");
	job_init(&job, &net, 1, 0);
	job.samples[0].start_layer = 1;
	REQUIRE(!npu_counters(fd, &before), "query failed");
	EXPECT_OK(submit_one(&ctx, &job));
	do {
		REQUIRE(!npu_counters(fd, &now), "query failed");
	} while (now.values[FLUIDNPU_CNT_LAYERS] == before.values[FLUIDNPU_CNT_LAYERS]);
	EXPECT_OK(pci_write("reset", "1"));
	REQUIRE(ctx_job_event(&ctx, &event), "no event");
	EXPECT_EQ(event.error, -EIO);
	ctx_destroy(&ctx);
	net_destroy(&net);
	close(fd);
	works_again();
}

static void a_dma_buf_outlives_the_device(void)
{
	int fd = npu_open(), dmabuf;
	uint32_t *mapped;
	struct bo bo;

	REQUIRE(!bo_create(fd, 4096, &bo), "bo_create");
	*(uint32_t *)bo.map = 0xfeedf00d;
	REQUIRE(!prime_export(fd, bo.handle, &dmabuf), "export");
	pci_remove();
	bo_destroy(&bo);
	close(fd);
	mapped = mmap(NULL, 4096, PROT_READ, MAP_SHARED, dmabuf, 0);
	REQUIRE(mapped != MAP_FAILED, "mmap: %s", strerror(errno));
	EXPECT_EQ(*mapped, 0xfeedf00d);
	munmap(mapped, 4096);
	close(dmabuf);
	pci_bring_back();
	works_again();
}

static void an_import_outlives_the_device(void)
{
	int fd = npu_open(), dmabuf;
	uint32_t handle;
	void *mapped;

	dmabuf = foreign_dmabuf(65536, &mapped);
	REQUIRE(dmabuf >= 0, "no udmabuf");
	REQUIRE(!prime_import(fd, dmabuf, &handle), "import");
	close(dmabuf);
	pci_remove();
	*(uint32_t *)mapped = 1;
	munmap(mapped, 65536);
	close(fd);
	pci_bring_back();
	works_again();
}

static void a_fence_outlives_the_device(void)
{
	struct drm_fluidnpu_sync sync = { .flags = DRM_FLUIDNPU_SYNC_SIGNAL };
	struct drm_syncobj_handle export = {
		.flags = DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE,
	};
	struct pollfd pfd = { .events = POLLIN };
	struct ctx ctx;
	struct net net;
	struct job job;
	int fd = npu_open();

	REQUIRE(!ctx_create(fd, DRM_FLUIDNPU_PRIORITY_NORMAL, 64, &ctx), "ctx_create");
	REQUIRE(!net_create(fd, 100, &net), "net_create");
	REQUIRE(!syncobj_create(fd, &sync.handle), "syncobj");
	job_init(&job, &net, 1, 0);
	EXPECT_OK(submit(&ctx, &job.args, 1, &sync, 1));
	export.handle = sync.handle;
	EXPECT_OK(npu_ioctl(fd, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &export));
	pci_remove();
	ctx_destroy(&ctx);
	net_destroy(&net);
	close(fd);
	pfd.fd = export.fd;
	EXPECT_EQ(poll(&pfd, 1, -1), 1);
	pci_bring_back();
	EXPECT_EQ(syscall(SYS_delete_module, "fluidnpu", O_NONBLOCK), -1);
	EXPECT(errno == EAGAIN || errno == EBUSY || errno == EWOULDBLOCK, "%s", strerror(errno));
	close(export.fd);
	works_again();
}

static void the_module_stays_while_files_are_open(void)
{
	int fd = npu_open();

	EXPECT_EQ(syscall(SYS_delete_module, "fluidnpu", O_NONBLOCK), -1);
	EXPECT(errno == EAGAIN || errno == EBUSY, "%s", strerror(errno));
	close(fd);
	works_again();
}

static void the_module_unloads_after_use_and_comes_back(void)
{
	works_again();
	for (unsigned int i = 0; i < 3; i++) {
		REQUIRE(!module_unload(), "cannot unload: %s", strerror(errno));
		EXPECT(access(npu_path(), F_OK), "%s is still there", npu_path());
		module_load();
		works_again();
	}
}

static void the_module_unloads_after_a_killed_client(void)
{
	struct ctx ctx;
	struct net net;
	struct job job;
	int status;
	pid_t child = fork();

	if (!child) {
		int fd = npu_open();

		if (ctx_create(fd, DRM_FLUIDNPU_PRIORITY_NORMAL, 64, &ctx) ||
		    net_create(fd, 20, &net))
			_exit(1);
		job_init(&job, &net, 1, 0);
		for (unsigned int i = 0; i < 16; i++)
			submit_one(&ctx, &job);
		raise(SIGKILL);
	}
	waitpid(child, &status, 0);
	EXPECT(WIFSIGNALED(status), "status %#x", status);
	REQUIRE(!module_unload(), "cannot unload: %s", strerror(errno));
	module_load();
	works_again();
}

static const struct tap_test tests[] = {
	{ "the device can be removed while a file is open", remove_while_idle_and_open },
	{ "jobs in flight end with ENODEV at removal", jobs_in_flight_end_with_enodev },
	{ "everything open, mapped and in flight survives an unbind",
	  everything_open_survives_an_unbind_under_load },
	{ "poll() wakes up at removal", poll_wakes_up_at_removal },
	{ "poll() wakes up when the last job ends after removal",
	  poll_wakes_up_when_the_last_job_ends_after_removal },
	{ "a context that outlives the device ends with its file",
	  a_context_that_outlives_the_device_ends_with_its_file },
	{ "io_uring commands in flight end with ENODEV at removal",
	  commands_in_flight_end_with_enodev },
	{ "jobs survive a function-level reset", jobs_survive_a_reset },
	{ "a started job in mid-network is lost in a reset, with EIO",
	  a_started_job_in_mid_network_is_lost_in_a_reset },
	{ "a dma-buf outlives the device", a_dma_buf_outlives_the_device },
	{ "an imported dma-buf outlives the device", an_import_outlives_the_device },
	{ "a fence outlives the device and holds the module", a_fence_outlives_the_device },
	{ "the module stays while files are open", the_module_stays_while_files_are_open },
	{ "the module unloads after use and comes back",
	  the_module_unloads_after_use_and_comes_back },
	{ "the module unloads after a killed client", the_module_unloads_after_a_killed_client },
};

int main(void)
{
	if (!pci_find()) {
		printf("Bail out! cannot find the device in sysfs\n");
		return 1;
	}
	return tap_run(tests, sizeof(tests) / sizeof(tests[0]));
}
