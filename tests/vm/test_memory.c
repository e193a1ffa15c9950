// SPDX-License-Identifier: MIT
/* Buffers: what the device may do where, what faults tell, and how much there may be. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "npu.h"
#include "param.h"
#include "rig.h"
#include "tap.h"

#define MIB			(1ull << 20)

static void limits(const char *client_mib, const char *total_mib)
{
	EXPECT_OK(param_set(CLIENT_LIMIT_PARAM, client_mib));
	EXPECT_OK(param_set(TOTAL_LIMIT_PARAM, total_mib));
}

static uint32_t bo_flags(int fd, uint32_t handle)
{
	struct drm_fluidnpu_bo_info info = { .handle = handle };

	EXPECT_OK(npu_ioctl(fd, DRM_IOCTL_FLUIDNPU_BO_INFO, &info));
	return info.flags;
}

/* --- what the device may do ---------------------------------------------------- */

static void a_read_only_bo_can_be_program_and_input(void)
{
	struct bo program, input;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 0), "");
	REQUIRE(!bo_create_flags(rig.fd, 1 << 20, DRM_FLUIDNPU_BO_READONLY, &program) &&
		!bo_create_flags(rig.fd, 1 << 20, DRM_FLUIDNPU_BO_READONLY, &input), "bo_create");
	memcpy(program.map, rig.net.program.map, rig.net.program_bytes);
	((int8_t *)input.map)[3] = 100;
	job_init(&job, &rig.net, 1, 0);
	job.args.program_iova = program.iova;
	job.samples[0].input_iova = input.iova;
	EXPECT_OK(rig_run(&rig, &job));
	EXPECT_EQ(net_logits(&rig.net, 0)[3], 100);
	bo_destroy(&program);
	bo_destroy(&input);
	rig_down(&rig);
}

static void a_job_cannot_write_a_read_only_bo(void)
{
	struct rig rig;
	struct bo bo;
	struct job job;

	REQUIRE(rig_up(&rig, 0), "");
	REQUIRE(!bo_create_flags(rig.fd, 1 << 20, DRM_FLUIDNPU_BO_READONLY, &bo), "bo_create");
	memset(bo.map, 0x5a, bo.size);
	job_init(&job, &rig.net, 1, 0);
	job.samples[0].logits_iova = bo.iova + 64;
	EXPECT_ERRNO(rig_run(&rig, &job), EIO);
	for (size_t i = 0; i < bo.size; i++)
		REQUIRE(((uint8_t *)bo.map)[i] == 0x5a, "byte %zu is %#x", i,
			((uint8_t *)bo.map)[i]);

	/* The context goes on. */
	job_init(&job, &rig.net, 1, 0);
	EXPECT_OK(rig_run(&rig, &job));
	bo_destroy(&bo);
	rig_down(&rig);
}

static void bo_info_tells_that_a_bo_is_read_only(void)
{
	int fd = npu_open();
	struct bo rw, ro;

	REQUIRE(!bo_create(fd, 4096, &rw), "bo_create");
	REQUIRE(!bo_create_flags(fd, 4096, DRM_FLUIDNPU_BO_READONLY, &ro), "bo_create");
	EXPECT_EQ(bo_flags(fd, rw.handle), 0);
	EXPECT_EQ(bo_flags(fd, ro.handle), DRM_FLUIDNPU_BO_READONLY);
	bo_destroy(&rw);
	bo_destroy(&ro);
	close(fd);
}

static void a_read_only_bo_is_so_for_those_it_is_shared_with(void)
{
	struct drm_fluidnpu_bo_info info = { 0 };
	int owner = npu_open(), dmabuf;
	struct rig rig;
	struct job job;
	struct bo bo;

	REQUIRE(rig_up(&rig, 0), "");
	REQUIRE(!bo_create_flags(owner, 1 << 20, DRM_FLUIDNPU_BO_READONLY, &bo), "bo_create");
	EXPECT_OK(prime_export(owner, bo.handle, &dmabuf));
	EXPECT_OK(prime_import(rig.fd, dmabuf, &info.handle));
	EXPECT_OK(npu_ioctl(rig.fd, DRM_IOCTL_FLUIDNPU_BO_INFO, &info));
	EXPECT_EQ(info.flags, DRM_FLUIDNPU_BO_READONLY);
	job_init(&job, &rig.net, 1, 0);
	job.samples[0].logits_iova = info.iova;
	EXPECT_ERRNO(rig_run(&rig, &job), EIO);
	EXPECT_EQ(*(uint64_t *)bo.map, 0);
	close(dmabuf);
	bo_destroy(&bo);
	close(owner);
	rig_down(&rig);
}

static void an_event_ring_can_be_read_only(void)
{
	struct drm_fluidnpu_ctx_create args = { .event_entries = 64 };
	struct ctx ctx;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 0), "");
	ctx = rig.ctx;
	REQUIRE(!bo_create_flags(rig.fd, DRM_FLUIDNPU_EVENT_RING_BYTES(64),
				 DRM_FLUIDNPU_BO_READONLY, &rig.ctx.ring), "bo_create");
	args.event_handle = rig.ctx.ring.handle;
	REQUIRE(!npu_ioctl(rig.fd, DRM_IOCTL_FLUIDNPU_CTX_CREATE, &args), "ctx_create");
	rig.ctx.id = args.ctx_id;
	job_init(&job, &rig.net, 1, 0);
	EXPECT_OK(rig_run(&rig, &job));

	/* The kernel writes there, the device does not. */
	job.samples[0].logits_iova = rig.ctx.ring.iova;
	EXPECT_ERRNO(rig_run(&rig, &job), EIO);
	ctx_destroy(&ctx);
	rig_down(&rig);
}

/* --- what faults tell ---------------------------------------------------------- */

/*
 * Runs a job that faults until the kernel's log holds @text with the client's name and
 * pid before it: the reports are rate-limited.
 */
static void expect_report(struct rig *rig, const struct job *job, const char *text)
{
	char line[1024], client[64];
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	bool found = false;

	snprintf(client, sizeof(client), "test_memory[%d]: ", getpid());
	REQUIRE(log >= 0 && lseek(log, 0, SEEK_END) >= 0, "/dev/kmsg: %s", strerror(errno));
	while (!found) {
		ssize_t n;

		REQUIRE(rig_run(rig, job) == -EIO, "the job did not fail");
		while (!found && (n = read(log, line, sizeof(line) - 1)) > 0) {
			const char *at;

			line[n] = '\0';
			at = strstr(line, client);
			found = at && strstr(at, text);
		}
	}
	close(log);
}

static void expect_fault(struct rig *rig, const struct job *job, const char *access, uint64_t iova,
			 const char *why)
{
	char text[128];

	snprintf(text, sizeof(text), "fault %s iova 0x%llx, %s\n", access, (unsigned long long)iova,
		 why);
	expect_report(rig, job, text);
}

static void a_write_to_read_only_memory_is_reported(void)
{
	struct rig rig;
	struct job job;
	struct bo bo;

	REQUIRE(rig_up(&rig, 0), "");
	REQUIRE(!bo_create_flags(rig.fd, 4096, DRM_FLUIDNPU_BO_READONLY, &bo), "bo_create");
	job_init(&job, &rig.net, 1, 0);
	job.samples[0].logits_iova = bo.iova + 128;
	expect_fault(&rig, &job, "writing", bo.iova + 128, "read-only");
	bo_destroy(&bo);
	rig_down(&rig);
}

static void an_access_behind_a_bo_is_reported(void)
{
	struct rig rig;
	struct job job;
	struct bo bo;

	REQUIRE(rig_up(&rig, 0), "");
	REQUIRE(!bo_create(rig.fd, 4096, &bo), "bo_create");
	job_init(&job, &rig.net, 1, 0);
	job.samples[0].logits_iova = bo.iova + bo.size;
	expect_fault(&rig, &job, "writing", bo.iova + bo.size,
		     "in the guard page behind a buffer");
	job_init(&job, &rig.net, 1, 0);
	job.samples[0].input_iova = bo.iova + bo.size;
	expect_fault(&rig, &job, "reading", bo.iova + bo.size,
		     "in the guard page behind a buffer");
	bo_destroy(&bo);
	rig_down(&rig);
}

static void an_access_across_the_end_of_a_bo_faults_behind_it(void)
{
	struct rig rig;
	struct job job;
	struct bo bo;

	REQUIRE(rig_up(&rig, 0), "");
	REQUIRE(!bo_create(rig.fd, 4096, &bo), "bo_create");
	job_init(&job, &rig.net, 1, 0);
	job.samples[0].logits_iova = bo.iova + bo.size - 2;
	expect_fault(&rig, &job, "writing", bo.iova + bo.size,
		     "in the guard page behind a buffer");
	bo_destroy(&bo);
	rig_down(&rig);
}

static void an_access_to_address_0_is_reported(void)
{
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 0), "");
	job_init(&job, &rig.net, 1, 0);
	job.samples[0].input_iova = 0;
	expect_fault(&rig, &job, "reading", 0, "not mapped");
	rig_down(&rig);
}

static void an_access_far_away_is_reported(void)
{
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 0), "");
	job_init(&job, &rig.net, 1, 0);
	job.samples[0].input_iova = (1ull << FLUIDNPU_VA_BITS) - 65536;
	expect_fault(&rig, &job, "reading", job.samples[0].input_iova, "not mapped");
	job.samples[0].input_iova = 1ull << FLUIDNPU_VA_BITS;
	expect_fault(&rig, &job, "reading", job.samples[0].input_iova, "beyond the address space");
	rig_down(&rig);
}

/* --- translations -------------------------------------------------------------- */

static void an_address_that_is_used_again_shows_the_new_bo(void)
{
	uint64_t iova = 0;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 0), "");
	for (unsigned int i = 0; i < 32; i++) {
		const unsigned int hot = i % NET_CLASSES;
		struct bo bo;

		REQUIRE(!bo_create(rig.fd, 1 << 16, &bo), "bo_create");
		if (!i)
			iova = bo.iova;
		EXPECT(bo.iova == iova, "round %u: %#llx, not %#llx", i,
		       (unsigned long long)bo.iova, (unsigned long long)iova);
		((int8_t *)bo.map)[hot] = 100;
		job_init(&job, &rig.net, 1, 0);
		job.args.bos.count = 0;	/* nothing but the handle keeps it mapped */
		job.samples[0].input_iova = bo.iova;
		EXPECT_OK(rig_run(&rig, &job));
		EXPECT(net_logits(&rig.net, 0)[hot] == 100, "round %u: %d", i,
		       net_logits(&rig.net, 0)[hot]);
		bo_destroy(&bo);
	}
	rig_down(&rig);
}

static void a_closed_bo_faults_although_its_address_was_cached(void)
{
	struct rig rig;
	struct job job;
	struct bo bo;

	REQUIRE(rig_up(&rig, 0), "");
	for (unsigned int i = 0; i < 32; i++) {
		REQUIRE(!bo_create(rig.fd, 1 << 16, &bo), "bo_create");
		job_init(&job, &rig.net, 1, 0);
		job.args.bos.count = 0;
		job.samples[0].input_iova = bo.iova;
		EXPECT_OK(rig_run(&rig, &job));
		EXPECT_OK(bo_close_handle(&bo));
		EXPECT_ERRNO(rig_run(&rig, &job), EIO);
		bo_destroy(&bo);
	}
	rig_down(&rig);
}

static void a_bo_without_handle_stays_mapped_until_its_last_job_has_ended(void)
{
	struct drm_fluidnpu_event event;
	struct rig rig;
	struct job job;
	struct bo bo;

	REQUIRE(rig_up(&rig, 10), "");
	REQUIRE(!bo_create(rig.fd, 1 << 20, &bo), "bo_create");
	((int8_t *)bo.map)[2] = 100;
	job_init(&job, &rig.net, 1, 0);
	job.handles[1] = bo.handle;
	job.samples[0].input_iova = bo.iova;
	for (unsigned int i = 0; i < 3; i++) {
		job.args.user_data = i;
		EXPECT_OK(submit_one(&rig.ctx, &job));
	}
	EXPECT_OK(bo_close_handle(&bo));
	for (unsigned int i = 0; i < 3; i++) {
		REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
		EXPECT_EQ(event.error, 0);
	}
	/* What the last job held goes soon after its event. */
	job.args.bos.count = 0;
	job.samples[0].start_layer = 10;
	while (!rig_run(&rig, &job))
		;
	bo_destroy(&bo);
	rig_down(&rig);
}

/* --- how much ------------------------------------------------------------------ */

static void a_client_cannot_create_more_than_its_limit(void)
{
	int fd = npu_open(), other = npu_open();
	struct bo a, b;

	limits("8", "0");
	EXPECT_ERRNO(bo_create(fd, 16 * MIB, &a), ENOMEM);
	EXPECT_ERRNO(bo_create(fd, 8 * MIB, &a), ENOMEM);	/* it needs tables, too */
	EXPECT_OK(bo_create(fd, 5 * MIB, &a));
	EXPECT_ERRNO(bo_create(fd, 5 * MIB, &b), ENOMEM);
	EXPECT_OK(bo_create(other, 5 * MIB, &b));	/* not its limit */
	bo_destroy(&b);
	EXPECT_OK(bo_create(fd, 2 * MIB, &b));
	bo_destroy(&a);
	EXPECT_OK(bo_create(fd, 5 * MIB, &a));
	bo_destroy(&a);
	bo_destroy(&b);
	limits("0", "0");
	EXPECT_OK(bo_create(fd, 16 * MIB, &a));
	bo_destroy(&a);
	close(other);
	close(fd);
}

static void failed_creations_leave_nothing_charged(void)
{
	int fd = npu_open();
	struct bo bo;

	limits("8", "0");
	for (unsigned int i = 0; i < 100; i++)
		EXPECT_ERRNO(bo_create(fd, 8 * MIB, &bo), ENOMEM);
	EXPECT_OK(bo_create(fd, 7 * MIB, &bo));
	bo_destroy(&bo);
	close(fd);
}

static void all_clients_together_have_a_limit(void)
{
	int first = npu_open(), second = npu_open();
	struct bo a, b;

	limits("0", "32");
	EXPECT_OK(bo_create(first, 16 * MIB, &a));
	EXPECT_ERRNO(bo_create(second, 20 * MIB, &b), ENOMEM);
	EXPECT_OK(bo_create(second, 8 * MIB, &b));
	bo_destroy(&b);
	bo_destroy(&a);
	EXPECT_OK(bo_create(second, 20 * MIB, &b));
	bo_destroy(&b);
	close(first);
	close(second);
}

static void a_killed_client_gives_everything_back(void)
{
	int pipefd[2], fd, status;
	struct bo bo;
	pid_t child;
	char byte;

	limits("0", "32");
	REQUIRE(!pipe(pipefd), "pipe");
	child = fork();
	if (!child) {
		fd = npu_open();
		byte = bo_create(fd, 20 * MIB, &bo) ? 'n' : 'y';
		if (write(pipefd[1], &byte, 1) == 1)
			pause();
		_exit(1);
	}
	REQUIRE(read(pipefd[0], &byte, 1) == 1 && byte == 'y', "the child could not create it");
	fd = npu_open();
	EXPECT_ERRNO(bo_create(fd, 20 * MIB, &bo), ENOMEM);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	EXPECT_OK(bo_create(fd, 20 * MIB, &bo));
	bo_destroy(&bo);
	close(fd);
	close(pipefd[0]);
	close(pipefd[1]);
}

static void a_shared_bo_stays_charged_to_its_creator(void)
{
	int creator = npu_open(), user = npu_open(), dmabuf;
	struct bo bo, second, shared = { .fd = user };

	limits("8", "0");
	REQUIRE(!bo_create(creator, 6 * MIB, &bo), "bo_create");
	EXPECT_OK(prime_export(creator, bo.handle, &dmabuf));
	EXPECT_OK(prime_import(user, dmabuf, &shared.handle));
	close(dmabuf);
	bo_destroy(&bo);
	EXPECT_ERRNO(bo_create(creator, 6 * MIB, &bo), ENOMEM);
	EXPECT_OK(bo_create(user, 6 * MIB, &second));	/* it costs the user next to nothing */
	bo_destroy(&second);
	EXPECT_OK(bo_close_handle(&shared));
	EXPECT_OK(bo_create(creator, 6 * MIB, &bo));
	bo_destroy(&bo);
	close(creator);
	close(user);
}

static void a_shared_bo_outlives_its_creator_and_so_does_the_charge(void)
{
	int creator = npu_open(), user = npu_open(), dmabuf;
	struct bo bo, second, shared = { .fd = user };

	limits("0", "32");
	REQUIRE(!bo_create(creator, 20 * MIB, &bo), "bo_create");
	memset(bo.map, 0x77, bo.size);
	munmap(bo.map, bo.size);
	EXPECT_OK(prime_export(creator, bo.handle, &dmabuf));
	EXPECT_OK(prime_import(user, dmabuf, &shared.handle));
	close(creator);
	EXPECT_ERRNO(bo_create(user, 20 * MIB, &second), ENOMEM);
	bo.map = mmap(NULL, bo.size, PROT_READ, MAP_SHARED, dmabuf, 0);
	REQUIRE(bo.map != MAP_FAILED, "mmap: %s", strerror(errno));
	EXPECT_EQ(((uint8_t *)bo.map)[bo.size - 1], 0x77);
	close(dmabuf);
	EXPECT_OK(bo_close_handle(&shared));
	EXPECT_ERRNO(bo_create(user, 20 * MIB, &second), ENOMEM);	/* still mapped */
	munmap(bo.map, bo.size);
	EXPECT_OK(bo_create(user, 20 * MIB, &second));
	bo_destroy(&second);
	close(user);
}

static void small_bos_count_for_what_the_kernel_keeps_of_them(void)
{
	struct drm_fluidnpu_bo_create args;
	int fd = npu_open(), ret;
	unsigned int n = 0;

	limits("1", "0");
	do {
		args = (struct drm_fluidnpu_bo_create){ .size = 1 };
		ret = npu_ioctl(fd, DRM_IOCTL_FLUIDNPU_BO_CREATE, &args);
	} while (!ret && ++n < 1000);
	EXPECT_ERRNO(ret, ENOMEM);
	EXPECT(n > 100 && n < 128, "%u buffers of 4 KiB", n);
	close(fd);
}

static void imported_buffers_count_for_what_the_kernel_keeps_of_them(void)
{
	int fd = npu_open(), ret;
	unsigned int n = 0;
	uint32_t handle;

	limits("1", "0");
	do {
		void *map;
		int dmabuf = foreign_dmabuf(4096, &map);

		REQUIRE(dmabuf >= 0, "udmabuf");
		munmap(map, 4096);
		ret = prime_import(fd, dmabuf, &handle);
		close(dmabuf);
	} while (!ret && ++n < 1000);
	EXPECT_ERRNO(ret, ENOMEM);
	EXPECT(n > 200 && n < 256, "%u imports", n);
	close(fd);
}

/* Instead of being killed for what does not fit, it is told. */
static int create_in_cgroup(const char *procs)
{
	char pid[16];
	struct bo bo;
	int fd, ret;

	snprintf(pid, sizeof(pid), "%d", getpid());
	ret = write_file(procs, pid);
	if (ret)
		return 1;
	fd = npu_open();
	if (bo_create(fd, 4 * MIB, &bo))
		return 2;
	bo_destroy(&bo);
	return bo_create(fd, 64 * MIB, &bo) == -ENOMEM ? 0 : 3;
}

static void pages_are_charged_to_the_memory_cgroup_of_the_caller(void)
{
	const char *const root = "/tmp/cgroup", *const group = "/tmp/cgroup/npu";
	int status = -1;
	pid_t child;

	mkdir(root, 0755);
	if (mount("cgroup2", root, "cgroup2", 0, NULL))
		SKIP("no cgroups");
	if (write_file("/tmp/cgroup/cgroup.subtree_control", "+memory")) {
		umount(root);
		SKIP("no memory cgroups");
	}
	REQUIRE(!mkdir(group, 0755), "mkdir: %s", strerror(errno));
	EXPECT_OK(write_file("/tmp/cgroup/npu/memory.max", "33554432"));
	child = fork();
	if (!child)
		_exit(create_in_cgroup("/tmp/cgroup/npu/cgroup.procs"));
	waitpid(child, &status, 0);
	EXPECT_EQ(status, 0);
	EXPECT(!rmdir(group), "%s", strerror(errno));
	umount(root);
}

static const struct tap_test tests[] = {
	{ "a read-only BO can be program and input", a_read_only_bo_can_be_program_and_input },
	{ "a job cannot write a read-only BO", a_job_cannot_write_a_read_only_bo },
	{ "BO_INFO tells that a BO is read-only", bo_info_tells_that_a_bo_is_read_only },
	{ "a read-only BO is so for those it is shared with",
	  a_read_only_bo_is_so_for_those_it_is_shared_with },
	{ "an event ring can be read-only", an_event_ring_can_be_read_only },
	{ "a write to read-only memory is reported", a_write_to_read_only_memory_is_reported },
	{ "an access behind a BO is reported", an_access_behind_a_bo_is_reported },
	{ "an access across the end of a BO faults behind it",
	  an_access_across_the_end_of_a_bo_faults_behind_it },
	{ "an access to address 0 is reported", an_access_to_address_0_is_reported },
	{ "an access far away is reported", an_access_far_away_is_reported },
	{ "an address that is used again shows the new BO",
	  an_address_that_is_used_again_shows_the_new_bo },
	{ "a closed BO faults although its address was cached",
	  a_closed_bo_faults_although_its_address_was_cached },
	{ "a BO without handle stays mapped until its last job has ended",
	  a_bo_without_handle_stays_mapped_until_its_last_job_has_ended },
	{ "a client cannot create more than its limit",
	  a_client_cannot_create_more_than_its_limit },
	{ "failed creations leave nothing charged", failed_creations_leave_nothing_charged },
	{ "all clients together have a limit", all_clients_together_have_a_limit },
	{ "a killed client gives everything back", a_killed_client_gives_everything_back },
	{ "a shared BO stays charged to its creator", a_shared_bo_stays_charged_to_its_creator },
	{ "a shared BO outlives its creator, and so does the charge",
	  a_shared_bo_outlives_its_creator_and_so_does_the_charge },
	{ "small BOs count for what the kernel keeps of them",
	  small_bos_count_for_what_the_kernel_keeps_of_them },
	{ "imported buffers count for what the kernel keeps of them",
	  imported_buffers_count_for_what_the_kernel_keeps_of_them },
	{ "pages are charged to the memory cgroup of the caller",
	  pages_are_charged_to_the_memory_cgroup_of_the_caller },
};

TAP_MAIN(tests)
