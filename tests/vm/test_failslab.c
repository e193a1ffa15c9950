// SPDX-License-Identifier: MIT
/*
 * Each call of the driver while the kernel runs out of memory at each point of it: it
 * returns ENOMEM and has changed nothing, or it does without. Needs a kernel that can inject such
 * faults (the debug kernel).
 *
 * test_failslab_uring does the same with io_uring commands.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "blocker.h"
#include "fault.h"
#include "pair.h"
#include "pcidev.h"
#include "rig.h"
#include "tap.h"

#define MIB		(1u << 20)
#define MANY_JOBS	6
#define MANY_SYNCS	4

/* The client, and whatever its call needs or makes. */
static struct rig rig;
static struct bo bo;
static off_t mmap_offset;
static struct ctx ctx;
static int file = -1;
static void *foreign;
static uint32_t syncobj, timeline, awaited, shared;
static struct blocker blocker;
static struct job job;

static bool up(void)
{
	int ret;

	bo = (struct bo){ 0 };
	ctx = (struct ctx){ 0 };
	rig.fd = npu_open();
	ret = ctx_create(rig.fd, DRM_FLUIDNPU_PRIORITY_NORMAL, FAULT_ENTRIES, &rig.ctx);
	if (!ret)
		ret = net_create(rig.fd, 0, &rig.net);
	if (!ret)
		ret = syncobj_create(rig.fd, &syncobj);
	if (!ret)
		ret = syncobj_create(rig.fd, &timeline);
	if (ret)
		tap_fail(__FILE__, __LINE__, "set-up failed: %s", strerror(-ret));
	job_init(&job, &rig.net, 2, 100);
	return !ret;
}

static void down(void)
{
	rig_down(&rig);
}

/* ---- calls that ask ---- */

static int query(uint32_t type, uint32_t size)
{
	static uint64_t buffer[1024];
	struct drm_fluidnpu_dev_query args = {
		.type = type, .size = size, .pointer = (uintptr_t)buffer,
	};

	return npu_ioctl(rig.fd, DRM_IOCTL_FLUIDNPU_DEV_QUERY, &args);
}

static int run_query_info(uint64_t *result)
{
	(void)result;
	return query(DRM_FLUIDNPU_QUERY_INFO, sizeof(struct drm_fluidnpu_info));
}

static int run_query_counters(uint64_t *result)
{
	(void)result;
	return query(DRM_FLUIDNPU_QUERY_COUNTERS, sizeof(struct drm_fluidnpu_counters));
}

static int run_query_queues(uint64_t *result)
{
	(void)result;
	return query(DRM_FLUIDNPU_QUERY_QUEUES, 4 * sizeof(struct drm_fluidnpu_queue_info));
}

static int run_query_queue_counters(uint64_t *result)
{
	(void)result;
	return query(DRM_FLUIDNPU_QUERY_QUEUE_COUNTERS, 4 * sizeof(struct drm_fluidnpu_counters));
}

static int run_bo_info(uint64_t *result)
{
	struct drm_fluidnpu_bo_info args = { .handle = rig.net.data.handle };
	int ret = npu_ioctl(rig.fd, DRM_IOCTL_FLUIDNPU_BO_INFO, &args);

	*result = args.iova;
	return ret;
}

static int run_bo_wait(uint64_t *result)
{
	(void)result;
	return bo_wait(&rig.net.data, 0);
}

static int run_perf(uint64_t *result)
{
	struct drm_fluidnpu_perf args = { .ctx_id = rig.ctx.id };

	(void)result;
	return npu_ioctl(rig.fd, DRM_IOCTL_FLUIDNPU_PERF, &args);
}

/* ---- files and buffers ---- */

static int run_open(uint64_t *result)
{
	file = open(npu_path(), O_RDWR | O_CLOEXEC);
	*result = file;
	return file < 0 ? -errno : 0;
}

static void close_file(void)
{
	close(file);
}

static int create(uint64_t size, uint32_t flags, uint64_t *result)
{
	struct drm_fluidnpu_bo_create args = { .size = size, .flags = flags };
	int ret = npu_ioctl(rig.fd, DRM_IOCTL_FLUIDNPU_BO_CREATE, &args);

	bo = (struct bo){ .fd = rig.fd, .handle = args.handle, .size = args.size };
	*result = args.iova + args.handle;
	return ret;
}

static int run_bo_create(uint64_t *result)
{
	return create(16384, DRM_FLUIDNPU_BO_READONLY, result);
}

static void close_bo(void)
{
	EXPECT_OK(bo_close_handle(&bo));
}

/* A file without anything: its address space is made by the call. */
static bool up_empty(void)
{
	rig = (struct rig){ .fd = npu_open() };
	return true;
}

static void down_empty(void)
{
	close(rig.fd);
}

/* Two pages before the end of what its first page table covers: the next BO needs another one. */
static bool up_nearly_full(void)
{
	uint64_t iova;

	return up_empty() && !create(MIB - 3 * 4096, 0, &iova);
}

static bool need_bo(void)
{
	uint64_t iova;

	if (bo.handle)
		return true;
	EXPECT_OK(create(16384, 0, &iova));
	return bo.handle;
}

static int run_gem_close(uint64_t *result)
{
	struct drm_gem_close args = { .handle = bo.handle };
	int ret = npu_ioctl(rig.fd, DRM_IOCTL_GEM_CLOSE, &args);

	(void)result;
	if (!ret)
		bo.handle = 0;
	return ret;
}

static bool up_with_bo(void)
{
	struct drm_fluidnpu_bo_info info = { 0 };

	if (!up())
		return false;
	EXPECT_OK(bo_create(rig.fd, 4 * MIB, &bo));
	info.handle = bo.handle;
	EXPECT_OK(npu_ioctl(rig.fd, DRM_IOCTL_FLUIDNPU_BO_INFO, &info));
	mmap_offset = (off_t)info.mmap_offset;
	return !tap_failures;
}

static void down_with_bo(void)
{
	bo_destroy(&bo);
	down();
}

static bool unmapped(void)
{
	if (bo.map)
		munmap(bo.map, bo.size);
	bo.map = NULL;
	return true;
}

static int run_mmap(uint64_t *result)
{
	*result = 0;
	bo.map = mmap(NULL, bo.size, PROT_READ | PROT_WRITE, MAP_SHARED, rig.fd, mmap_offset);
	if (bo.map != MAP_FAILED)
		return 0;
	bo.map = NULL;
	return -errno;
}

static void unmap(void)
{
	unmapped();
}

/* Nothing of it has been touched: page tables are missing. */
static bool newly_mapped(void)
{
	uint64_t result;

	return unmapped() && !run_mmap(&result);
}

/* A fault for which there is no memory is repeated by the CPU. */
static int run_page_fault(uint64_t *result)
{
	*result = ((volatile uint8_t *)bo.map)[2 * MIB];
	return 0;
}

/* ---- dma-bufs ---- */

/* A dma-buf is made once for a buffer. */
static int run_export(uint64_t *result)
{
	int ret = prime_export(rig.fd, bo.handle, &file);

	*result = file;
	return ret;
}

static void close_export(void)
{
	close(file);
	close_bo();
}

/* Of another client. */
static bool up_with_dmabuf(void)
{
	struct rig other;

	if (!up() || !rig_up(&other, 0))
		return false;
	EXPECT_OK(prime_export(other.fd, other.net.program.handle, &file));
	rig_down(&other);
	return file >= 0;
}

static bool up_with_foreign_dmabuf(void)
{
	file = foreign_dmabuf(65536, &foreign);
	return up() && file >= 0;
}

static void down_with_dmabuf(void)
{
	close(file);
	if (foreign)
		munmap(foreign, 65536);
	foreign = NULL;
	down();
}

static int run_import(uint64_t *result)
{
	int ret;

	bo = (struct bo){ .fd = rig.fd };
	ret = prime_import(rig.fd, file, &bo.handle);
	*result = bo.handle;
	return ret;
}

/* ---- contexts ---- */

static bool up_with_ring(void)
{
	return up() && !bo_create(rig.fd, DRM_FLUIDNPU_EVENT_RING_BYTES(256), &bo);
}

static int run_ctx_create(uint64_t *result)
{
	struct drm_fluidnpu_ctx_create args = {
		.priority = DRM_FLUIDNPU_PRIORITY_LOW, .event_handle = bo.handle,
		.event_entries = 256,
	};
	int ret = npu_ioctl(rig.fd, DRM_IOCTL_FLUIDNPU_CTX_CREATE, &args);

	ctx.id = args.ctx_id;
	*result = args.ctx_id;
	return ret;
}

static int run_ctx_destroy(uint64_t *result)
{
	struct drm_fluidnpu_ctx_destroy args = { .ctx_id = ctx.id };
	int ret = npu_ioctl(rig.fd, DRM_IOCTL_FLUIDNPU_CTX_DESTROY, &args);

	*result = 0;
	if (!ret)
		ctx.id = 0;
	return ret;
}

static void destroy_ctx(void)
{
	uint64_t result;

	EXPECT_OK(run_ctx_destroy(&result));
}

static bool need_ctx(void)
{
	uint64_t result;

	return ctx.id || !run_ctx_create(&result);
}

static bool need_eventfd(void)
{
	if (file < 0)
		file = eventfd(0, EFD_CLOEXEC);
	return file >= 0;
}

static int run_events(uint64_t *result)
{
	struct drm_fluidnpu_events args = { .ctx_id = rig.ctx.id, .eventfd = file };

	(void)result;
	return npu_ioctl(rig.fd, DRM_IOCTL_FLUIDNPU_EVENTS, &args);
}

static void close_eventfd(void)
{
	close(file);
	file = -1;
}

/* ---- jobs that need not wait ---- */

static int send(unsigned long request, uint32_t num_jobs, const struct drm_fluidnpu_sync *syncs,
		uint32_t num_syncs)
{
	struct drm_fluidnpu_job jobs[MANY_JOBS];
	struct drm_fluidnpu_submit args = {
		.ctx_id = rig.ctx.id,
		.jobs = { sizeof(jobs[0]), num_jobs, (uintptr_t)jobs },
		.syncs = { sizeof(syncs[0]), num_syncs, (uintptr_t)syncs },
	};

	for (uint32_t i = 0; i < num_jobs; i++) {
		jobs[i] = job.args;
		jobs[i].user_data += 10 * i;
	}
	return npu_ioctl(rig.fd, request, &args);
}

static void wait_for_jobs(unsigned int num_jobs)
{
	struct drm_fluidnpu_event event;

	for (unsigned int i = 0; i < num_jobs; i++) {
		REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
		EXPECT_EQ(event.error, 0);
		EXPECT_EQ(event.user_data, 100 + 10 * i);
	}
	EXPECT_EQ(ctx_pending(&rig.ctx), 0);
	EXPECT_OK(bo_wait(&rig.net.data, npu_in_seconds(60)));
}

static void wait_for_job(void)
{
	wait_for_jobs(1);
}

static void wait_for_many_jobs(void)
{
	wait_for_jobs(MANY_JOBS);
}

static int run_submit(uint64_t *result)
{
	(void)result;
	return send(DRM_IOCTL_FLUIDNPU_SUBMIT, 1, NULL, 0);
}

static int run_submit_one_bo(uint64_t *result)
{
	struct job one = job;

	(void)result;
	one.args.bos.count = 1;
	one.args.bos.array = (uintptr_t)&rig.net.data.handle;
	return submit_one(&rig.ctx, &one);
}

static int run_submit_many(uint64_t *result)
{
	(void)result;
	return send(DRM_IOCTL_FLUIDNPU_SUBMIT, MANY_JOBS, NULL, 0);
}

static int run_inject(uint64_t *result)
{
	(void)result;
	return send(DRM_IOCTL_FLUIDNPU_INJECT, 1, NULL, 0);
}

static int run_inject_many(uint64_t *result)
{
	(void)result;
	return send(DRM_IOCTL_FLUIDNPU_INJECT, MANY_JOBS, NULL, 0);
}

/* A point is taken only once: the timeline moves on. */
static int run_submit_signals(uint64_t *result)
{
	static uint64_t point;
	const struct drm_fluidnpu_sync syncs[MANY_SYNCS] = {
		{ syncobj, DRM_FLUIDNPU_SYNC_SIGNAL, 0 },
		{ timeline, DRM_FLUIDNPU_SYNC_SIGNAL, point + 1 },
		{ timeline, DRM_FLUIDNPU_SYNC_SIGNAL, point + 2 },
		{ syncobj, DRM_FLUIDNPU_SYNC_SIGNAL, 0 },
	};

	(void)result;
	point += 2;
	return send(DRM_IOCTL_FLUIDNPU_SUBMIT, 1, syncs, MANY_SYNCS);
}

/* ---- jobs that have to wait for others ---- */

/* Its job is in another queue of the device: the scheduler has to wait for it. */
static bool up_blocked(void)
{
	if (!blocker_up(&blocker, DRM_FLUIDNPU_PRIORITY_LOW) || !up())
		return false;
	awaited = blocker_syncobj(&blocker, rig.fd);
	EXPECT_OK(prime_import(rig.fd, blocker.dmabuf, &shared));
	return !tap_failures;
}

static void down_blocked(void)
{
	blocker_release(&blocker);
	blocker_down(&blocker);
	down();
}

/* What it has sent waits; the context goes on without a name. */
static void renew_ctx(void)
{
	pass_by(rig.fd, DRM_FLUIDNPU_PRIORITY_NORMAL);
	EXPECT_EQ(ctx_pending(&rig.ctx), 0);
	ctx_destroy(&rig.ctx);
	EXPECT_OK(ctx_create(rig.fd, DRM_FLUIDNPU_PRIORITY_NORMAL, FAULT_ENTRIES, &rig.ctx));
}

static int run_submit_waits(uint64_t *result)
{
	const struct drm_fluidnpu_sync syncs[] = {
		{ awaited, DRM_FLUIDNPU_SYNC_WAIT, 0 },
		{ timeline, DRM_FLUIDNPU_SYNC_SIGNAL, 7 },
	};

	(void)result;
	return send(DRM_IOCTL_FLUIDNPU_SUBMIT, 1, syncs, 2);
}

/* Instead of a syncobj. */
static void name_shared_bo(void)
{
	static uint32_t handles[3];

	handles[0] = rig.net.program.handle;
	handles[1] = rig.net.data.handle;
	handles[2] = shared;
	job.args.bos.array = (uintptr_t)handles;
	job.args.bos.count = 3;
}

static int run_submit_shared(uint64_t *result)
{
	(void)result;
	name_shared_bo();
	return send(DRM_IOCTL_FLUIDNPU_SUBMIT, 1, NULL, 0);
}

static int run_submit_shared_many(uint64_t *result)
{
	const struct drm_fluidnpu_sync syncs[] = {
		{ awaited, DRM_FLUIDNPU_SYNC_WAIT, 0 },
		{ syncobj, DRM_FLUIDNPU_SYNC_SIGNAL, 0 },
	};

	(void)result;
	name_shared_bo();
	return send(DRM_IOCTL_FLUIDNPU_SUBMIT, MANY_JOBS, syncs, 2);
}

static int run_inject_shared(uint64_t *result)
{
	(void)result;
	name_shared_bo();
	return send(DRM_IOCTL_FLUIDNPU_INJECT, 1, NULL, 0);
}

/* The device has a job, and something better to do. */
static bool up_held(void)
{
	uint64_t result;

	return blocker_up(&blocker, DRM_FLUIDNPU_PRIORITY_REALTIME) && up() &&
	       !run_submit(&result);
}

static int run_yield(uint64_t *result)
{
	struct drm_fluidnpu_yield args = { .ctx_id = rig.ctx.id, .user_data = 100 };
	int ret = npu_ioctl(rig.fd, DRM_IOCTL_FLUIDNPU_YIELD, &args);

	(void)result;
	return ret;
}

/* The job ends before its file does. */
static void down_held(void)
{
	blocker_down(&blocker);
	down();
}

/* ---- all of them ---- */

#define CLIENT(up_, down_)	.up = up_, .down = down_, .fd = &rig.fd, .ctx = &rig.ctx
#define SIMPLE			CLIENT(up, down)
#define BLOCKED			CLIENT(up_blocked, down_blocked), .undo = renew_ctx

static const struct fault_call calls[] = {
	{ "DEV_QUERY of facts", SIMPLE, .run = run_query_info },
	{ "DEV_QUERY of counters", SIMPLE, .run = run_query_counters },
	{ "DEV_QUERY of queues", SIMPLE, .run = run_query_queues },
	{ "DEV_QUERY of queues' counters", SIMPLE, .run = run_query_queue_counters },
	{ "BO_INFO", SIMPLE, .run = run_bo_info },
	{ "BO_WAIT", SIMPLE, .run = run_bo_wait },
	{ "PERF", SIMPLE, .run = run_perf },
	{ "open()", SIMPLE, .run = run_open, .undo = close_file },
	/* ENOSPC: shmem says so when it gets no inode. */
	{ "BO_CREATE", SIMPLE, .run = run_bo_create, .undo = close_bo, .returns = true,
	  .other_errno = ENOSPC },
	{ "the first BO_CREATE", .up = up_empty, .down = down_empty, .anew = true, .fd = &rig.fd,
	  .run = run_bo_create, .undo = close_bo, .returns = true, .other_errno = ENOSPC },
	{ "BO_CREATE across page tables", .up = up_nearly_full, .down = down_empty, .anew = true,
	  .fd = &rig.fd, .run = run_bo_create, .undo = close_bo, .returns = true,
	  .other_errno = ENOSPC },
	{ "GEM_CLOSE", SIMPLE, .prepare = need_bo, .run = run_gem_close },
	{ "mmap()", CLIENT(up_with_bo, down_with_bo), .prepare = unmapped, .run = run_mmap,
	  .undo = unmap },
	{ "a page fault", CLIENT(up_with_bo, down_with_bo), .prepare = newly_mapped,
	  .run = run_page_fault },
	{ "PRIME_HANDLE_TO_FD", SIMPLE, .prepare = need_bo, .run = run_export,
	  .undo = close_export, .returns = true, .shares = true },
	{ "PRIME_FD_TO_HANDLE of another client's", CLIENT(up_with_dmabuf, down_with_dmabuf),
	  .run = run_import, .undo = close_bo, .returns = true },
	{ "PRIME_FD_TO_HANDLE of udmabuf's", CLIENT(up_with_foreign_dmabuf, down_with_dmabuf),
	  .run = run_import, .undo = close_bo, .returns = true },
	{ "CTX_CREATE", CLIENT(up_with_ring, down_with_bo), .run = run_ctx_create,
	  .undo = destroy_ctx, .returns = true },
	{ "CTX_DESTROY", CLIENT(up_with_ring, down_with_bo), .prepare = need_ctx,
	  .run = run_ctx_destroy },
	{ "EVENTS", SIMPLE, .prepare = need_eventfd, .run = run_events, .undo = close_eventfd },
	{ "SUBMIT", SIMPLE, .run = run_submit, .undo = wait_for_job },
	{ "SUBMIT with one BO", SIMPLE, .run = run_submit_one_bo, .undo = wait_for_job },
	{ "SUBMIT of many jobs", SIMPLE, .run = run_submit_many, .undo = wait_for_many_jobs },
	{ "SUBMIT that signals", SIMPLE, .run = run_submit_signals, .undo = wait_for_job },
	{ "INJECT", SIMPLE, .run = run_inject, .undo = wait_for_job },
	{ "INJECT of many jobs", SIMPLE, .run = run_inject_many, .undo = wait_for_many_jobs },
	{ "SUBMIT that waits for a syncobj", BLOCKED, .run = run_submit_waits },
	{ "SUBMIT that waits for a shared BO", BLOCKED, .run = run_submit_shared },
	{ "SUBMIT of many jobs that wait", BLOCKED, .run = run_submit_shared_many },
	{ "INJECT that waits for a shared BO", BLOCKED, .run = run_inject_shared },
	/* Its job holds entries of the event ring. */
	{ "YIELD", .up = up_held, .down = down_held, .fd = &rig.fd, .anew = true,
	  .run = run_yield },
};

#define NUM_CALLS	(sizeof(calls) / sizeof(calls[0]))

static void a_call_changes_nothing(void)
{
	const char *reason = fault_set_up(tap_index < NUM_CALLS ? FAULT_SLAB : FAULT_ANY);

	if (reason)
		SKIP(reason);
	file = -1;
	fault_test(&calls[tap_index % NUM_CALLS]);
}

static void jobs_run(void)
{
	works_again();
}

/* What was left would have kept it; and what is not given back is reported when it goes. */
static void the_module_unloads(void)
{
	REQUIRE(!module_unload(), "cannot unload: %s", strerror(errno));
	module_load();
	works_again();
}

int main(void)
{
	static struct tap_test tests[2 * NUM_CALLS + 2];
	static char names[2 * NUM_CALLS][128];

	if (!pci_find()) {
		printf("Bail out! cannot find the device in sysfs\n");
		return 1;
	}
	for (unsigned int i = 0; i < 2 * NUM_CALLS; i++) {
		snprintf(names[i], sizeof(names[i]), "%s without memory for %s changes nothing",
			 calls[i % NUM_CALLS].name, i < NUM_CALLS ? "an object" : "anything");
		tests[i] = (struct tap_test){ names[i], a_call_changes_nothing };
	}
	tests[2 * NUM_CALLS] = (struct tap_test){ "jobs run after all that", jobs_run };
	tests[2 * NUM_CALLS + 1] = (struct tap_test){ "the module unloads after all that",
						      the_module_unloads };
	return tap_run(tests, 2 * NUM_CALLS + 2);
}
