// SPDX-License-Identifier: MIT
/*
 * Isolation: what a client can guess of another, it can neither read nor change.
 *
 * Each test has a victim with everything a client can have, and runs an attack
 * twice in a process of its own, as root and as an ordinary user. The attacker is told all
 * numbers of the victim, so it need not guess. Afterwards every byte of the victim
 * is as before, and its next job succeeds.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "npu.h"
#include "rig.h"
#include "tap.h"

#define GROUP_RENDER	105
#define USER		1000

#define SECRET_BYTES	(8u << 20)
#define SECRET		0xa5
#define GUESSES		100	/* how far ids and handles are tried */

struct victim {
	struct rig rig;
	struct bo secret;
	uint32_t syncobj;	/* without a fence */
};

/* The victim's buffers and what was in them. */
struct snapshot {
	const struct bo *bos[4];
	void *copies[4];
};

static void snapshot_take(struct snapshot *snapshot, const struct victim *victim)
{
	*snapshot = (struct snapshot){
		.bos = { &victim->secret, &victim->rig.net.data, &victim->rig.net.program,
			 &victim->rig.ctx.ring },
	};
	for (unsigned int i = 0; i < 4; i++) {
		const struct bo *bo = snapshot->bos[i];

		snapshot->copies[i] = malloc(bo->size);
		memcpy(snapshot->copies[i], bo->map, bo->size);
	}
}

static void snapshot_check(struct snapshot *snapshot)
{
	for (unsigned int i = 0; i < 4; i++) {
		const struct bo *bo = snapshot->bos[i];

		EXPECT(!memcmp(snapshot->copies[i], bo->map, bo->size), "buffer %u", i);
		free(snapshot->copies[i]);
	}
}

static bool victim_up(struct victim *victim)
{
	if (!rig_up(&victim->rig, 0))
		return false;
	if (bo_create(victim->rig.fd, SECRET_BYTES, &victim->secret) ||
	    syncobj_create(victim->rig.fd, &victim->syncobj)) {
		tap_fail(__FILE__, __LINE__, "set-up failed");
		return false;
	}
	memset(victim->secret.map, SECRET, SECRET_BYTES);
	return true;
}

static void victim_down(struct victim *victim)
{
	syncobj_destroy(victim->rig.fd, victim->syncobj);
	bo_destroy(&victim->secret);
	rig_down(&victim->rig);
}

typedef void (*attack_fn)(const struct victim *victim);

static void attack_as(const struct victim *victim, attack_fn attack, uid_t uid)
{
	pid_t child = fork();
	int status = -1;

	if (!child) {
		tap_failures = 0;
		if (uid && (setgid(GROUP_RENDER) || setuid(uid)))
			_exit(2);
		attack(victim);
		fflush(stdout);
		_exit(tap_failures ? 1 : 0);
	}
	waitpid(child, &status, 0);
	EXPECT(!status, "status %#x of the attacker, user %u", status, uid);
}

static void attack_twice(attack_fn attack)
{
	static const uid_t uids[] = { 0, USER };

	for (unsigned int i = 0; i < 2; i++) {
		struct snapshot snapshot;
		struct victim victim;
		struct job job;

		REQUIRE(victim_up(&victim), "");
		snapshot_take(&snapshot, &victim);
		attack_as(&victim, attack, uids[i]);
		snapshot_check(&snapshot);
		job_init(&job, &victim.rig.net, 2, 0);
		EXPECT_OK(rig_run(&victim.rig, &job));
		EXPECT_EQ(net_logits(&victim.rig.net, 1)[1], 100);
		EXPECT_ERRNO(syncobj_wait(victim.rig.fd, victim.syncobj, 0, 0), EINVAL);
		victim_down(&victim);
	}
}

/* --- addresses ----------------------------------------------------------------- */

static void use_addresses(const struct victim *victim)
{
	const uint64_t theirs = victim->secret.iova + SECRET_BYTES / 2;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 0), "");
	REQUIRE(theirs > rig.net.data.iova + rig.net.data.size, "it is mapped here, too");
	job_init(&job, &rig.net, 1, 0);
	job.samples[0].input_iova = theirs;
	EXPECT_ERRNO(rig_run(&rig, &job), EIO);
	job_init(&job, &rig.net, 1, 0);
	job.samples[0].logits_iova = theirs;
	EXPECT_ERRNO(rig_run(&rig, &job), EIO);
	job_init(&job, &rig.net, 1, 0);
	job.args.program_iova = theirs;
	EXPECT_ERRNO(rig_run(&rig, &job), EIO);
	/* Activations move there only if the samples do. */
	job_init(&job, &rig.net, 1, 0);
	job.samples[0].state_iova = theirs;
	rig_run(&rig, &job);
	rig_down(&rig);
}

static void addresses_of_another_fault(void)
{
	attack_twice(use_addresses);
}

/* Both have a network at the same addresses. */
static void use_the_same_addresses(const struct victim *victim)
{
	const struct net *theirs = &victim->rig.net;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 0), "");
	EXPECT_EQ(rig.net.data.iova, theirs->data.iova);
	EXPECT_EQ(rig.net.program.iova, theirs->program.iova);
	for (unsigned int i = 0; i < NET_MAX_SAMPLES; i++)
		net_set_input(&rig.net, i, (i + 1) % NET_INPUTS, 90);
	job_init(&job, theirs, NET_MAX_SAMPLES, 0);
	job.handles[0] = rig.net.program.handle;
	job.handles[1] = rig.net.data.handle;
	EXPECT_OK(rig_run(&rig, &job));
	for (unsigned int i = 0; i < NET_MAX_SAMPLES; i++) {
		const unsigned int class = (i + 1) % NET_CLASSES;

		EXPECT_EQ(net_logits(&rig.net, i)[class], 90);
	}
	rig_down(&rig);
}

static void the_same_addresses_are_ones_own_memory(void)
{
	attack_twice(use_the_same_addresses);
}

static struct fluidnpu_hw_layer *net_layer(const struct net *net, unsigned int i)
{
	struct fluidnpu_hw_program *header = net->program.map;

	return (struct fluidnpu_hw_layer *)((uint8_t *)header + header->layers_off) + i;
}

/* Offsets in a program are 32 bits wide and lead anywhere if its sizes are lies. */
static void use_a_program(const struct victim *victim)
{
	const uint64_t theirs = victim->secret.iova + SECRET_BYTES / 2;
	struct fluidnpu_hw_program *header, good_header;
	struct fluidnpu_hw_layer good[2];
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 0), "");
	header = rig.net.program.map;
	good_header = *header;
	good[0] = *net_layer(&rig.net, 0);
	good[1] = *net_layer(&rig.net, 1);
	job_init(&job, &rig.net, 1, 0);

	net_layer(&rig.net, 0)->weights_off = (uint32_t)(theirs - rig.net.program.iova);
	EXPECT_ERRNO(rig_run(&rig, &job), EIO);
	header->total_bytes = 1u << 30;
	job.args.program_bytes = 1u << 30;
	EXPECT_ERRNO(rig_run(&rig, &job), EIO);
	*header = good_header;
	job.args.program_bytes = rig.net.program_bytes;

	*net_layer(&rig.net, 0) = good[0];
	net_layer(&rig.net, 0)->in_off = (uint32_t)(theirs - job.samples[0].state_iova) & ~63u;
	header->state_bytes = 1u << 30;
	EXPECT_ERRNO(rig_run(&rig, &job), EIO);
	*header = good_header;

	*net_layer(&rig.net, 0) = good[0];
	net_layer(&rig.net, 1)->logits_off = (uint32_t)(theirs - job.samples[0].logits_iova);
	header->logits_bytes = 1u << 30;
	EXPECT_ERRNO(rig_run(&rig, &job), EIO);
	*header = good_header;

	*net_layer(&rig.net, 1) = good[1];
	EXPECT_OK(rig_run(&rig, &job));
	rig_down(&rig);
}

static void a_program_does_not_reach_another(void)
{
	attack_twice(use_a_program);
}

/* What the device reads by bus address: sample tables, rings, page tables, all memory. */
static void use_bus_addresses(const struct victim *victim)
{
	const uint64_t own_end = 16u << 20;
	uint64_t address;
	struct rig rig;
	struct job job;

	(void)victim;
	REQUIRE(rig_up(&rig, 0), "");
	REQUIRE(rig.net.data.iova + rig.net.data.size < own_end, "");
	job_init(&job, &rig.net, 1, 0);
	job.samples[0].logits_iova = 0xfee00000;	/* interrupts */
	EXPECT_ERRNO(rig_run(&rig, &job), EIO);
	for (address = own_end; address < 1u << 30; address += own_end) {
		job.samples[0].logits_iova = address;
		EXPECT_ERRNO(rig_run(&rig, &job), EIO);
	}
	for (address = 1u << 30; address < 1ull << FLUIDNPU_VA_BITS; address += 16ull << 30) {
		job.samples[0].logits_iova = address;
		EXPECT_ERRNO(rig_run(&rig, &job), EIO);
	}
	rig_down(&rig);
}

static void bus_addresses_lead_nowhere(void)
{
	attack_twice(use_bus_addresses);
}

static void use_what_a_closed_client_left(const struct victim *victim)
{
	struct rig rig;
	struct job job;
	struct bo bo;

	/* The second one gets the address space of the first one. */
	for (unsigned int i = 0; i < 4; i++) {
		REQUIRE(rig_up(&rig, 0), "");
		REQUIRE(!bo_create(rig.fd, 1 << 20, &bo), "bo_create");
		job_init(&job, &rig.net, 1, 0);
		job.samples[0].input_iova = bo.iova;
		EXPECT_OK(rig_run(&rig, &job));
		bo_destroy(&bo);
		rig_down(&rig);

		REQUIRE(rig_up(&rig, 0), "");
		job_init(&job, &rig.net, 1, 0);
		job.samples[0].input_iova = victim->secret.iova;
		EXPECT_ERRNO(rig_run(&rig, &job), EIO);
		rig_down(&rig);
	}
}

static void an_address_space_that_is_used_again_is_empty(void)
{
	attack_twice(use_what_a_closed_client_left);
}

/* --- memory -------------------------------------------------------------------- */

static uint64_t mmap_offset(const struct bo *bo)
{
	struct drm_fluidnpu_bo_info info = { .handle = bo->handle };

	EXPECT_OK(npu_ioctl(bo->fd, DRM_IOCTL_FLUIDNPU_BO_INFO, &info));
	return info.mmap_offset;
}

static int try_mmap(int fd, uint64_t offset, uint64_t size, int prot)
{
	void *map = mmap(NULL, size, prot, MAP_SHARED, fd, (off_t)offset);

	if (map == MAP_FAILED)
		return -errno;
	munmap(map, size);
	return 0;
}

static void use_mmap_offsets(const struct victim *victim)
{
	const struct bo *bos[] = { &victim->secret, &victim->rig.ctx.ring, &victim->rig.net.data,
				   &victim->rig.net.program };
	struct rig rig;
	int fd = npu_open();

	for (unsigned int i = 0; i < 4; i++) {
		const uint64_t offset = mmap_offset(bos[i]);

		EXPECT_ERRNO(try_mmap(fd, offset, bos[i]->size, PROT_READ), EACCES);
		EXPECT_ERRNO(try_mmap(fd, offset, bos[i]->size, PROT_READ | PROT_WRITE), EACCES);
		EXPECT_ERRNO(try_mmap(fd, offset, 4096, PROT_READ), EACCES);
		EXPECT_ERRNO(try_mmap(fd, offset + 4096, 4096, PROT_READ), EINVAL);
	}
	close(fd);

	/* Nor across the end of what one may map. */
	REQUIRE(rig_up(&rig, 0), "");
	EXPECT_OK(try_mmap(rig.fd, mmap_offset(&rig.net.data), rig.net.data.size, PROT_READ));
	EXPECT_ERRNO(try_mmap(rig.fd, mmap_offset(&rig.net.data), rig.net.data.size + 4096,
			      PROT_READ), EINVAL);
	EXPECT_ERRNO(try_mmap(rig.fd, mmap_offset(&victim->secret), SECRET_BYTES, PROT_READ),
		     EACCES);
	rig_down(&rig);
}

static void mmap_offsets_of_another_are_refused(void)
{
	attack_twice(use_mmap_offsets);
}

static void look_for_the_secret(const struct victim *victim)
{
	int fd = npu_open();
	struct bo bo;

	(void)victim;
	REQUIRE(!bo_create(fd, 4 * SECRET_BYTES, &bo), "bo_create");
	for (size_t i = 0; i < bo.size / sizeof(uint64_t); i++)
		REQUIRE(!((uint64_t *)bo.map)[i], "%#llx at %zu",
			(unsigned long long)((uint64_t *)bo.map)[i], i * sizeof(uint64_t));
	bo_destroy(&bo);
	close(fd);
}

static void memory_of_a_freed_bo_is_not_seen_again(void)
{
	struct victim victim;

	REQUIRE(victim_up(&victim), "");
	victim_down(&victim);	/* its pages are the first to be used again */
	attack_as(&victim, look_for_the_secret, USER);
	attack_twice(look_for_the_secret);
}

static void scribble_over_the_own_ring(const struct victim *victim)
{
	struct drm_fluidnpu_event_ring *ring;
	struct rig rig;
	struct job job;

	(void)victim;
	REQUIRE(rig_up(&rig, 0), "");
	ring = ctx_ring(&rig.ctx);
	job_init(&job, &rig.net, 8, 0);
	for (unsigned int i = 0; i < 100; i++) {
		ring->entries = 0xffffffff;
		ring->producer = 0x01000000 * i;
		ring->consumer = ring->producer - 1;
		submit_one(&rig.ctx, &job);
		EXPECT_OK(bo_wait(&rig.net.data, npu_in_seconds(60)));
	}
	rig_down(&rig);
}

static void a_scribbled_event_ring_leads_nowhere(void)
{
	attack_twice(scribble_over_the_own_ring);
}

/* --- numbers ------------------------------------------------------------------- */

static void use_handles(const struct victim *victim)
{
	const int flink = geteuid() ? EACCES : ENOENT;
	int fd = npu_open();
	struct rig rig;
	struct job job;

	for (uint32_t handle = 0; handle < GUESSES && !tap_failures; handle++) {
		struct drm_fluidnpu_bo_info info = { .handle = handle };
		struct drm_fluidnpu_ctx_create ctx = { .event_handle = handle, .event_entries = 32 };
		struct drm_gem_flink name = { .handle = handle };
		struct drm_gem_open opened = { .name = handle };
		struct bo bo = { .fd = fd, .handle = handle };
		int dmabuf;

		EXPECT_ERRNO(npu_ioctl(fd, DRM_IOCTL_FLUIDNPU_BO_INFO, &info), ENOENT);
		EXPECT_ERRNO(bo_wait(&bo, 0), ENOENT);
		EXPECT_ERRNO(npu_ioctl(fd, DRM_IOCTL_FLUIDNPU_CTX_CREATE, &ctx), ENOENT);
		EXPECT_ERRNO(prime_export(fd, handle, &dmabuf), ENOENT);
		EXPECT_ERRNO(npu_ioctl(fd, DRM_IOCTL_GEM_FLINK, &name), flink);
		EXPECT_ERRNO(npu_ioctl(fd, DRM_IOCTL_GEM_OPEN, &opened), flink);
		EXPECT_ERRNO(bo_close_handle(&bo), EINVAL);
	}
	close(fd);

	REQUIRE(rig_up(&rig, 0), "");
	job_init(&job, &rig.net, 1, 0);
	job.handles[0] = victim->secret.handle;
	EXPECT_ERRNO(submit_one(&rig.ctx, &job), ENOENT);
	rig_down(&rig);
}

static void handles_of_another_are_unknown(void)
{
	attack_twice(use_handles);
}

static void try_context(int fd, uint32_t id, const struct job *job)
{
	struct drm_fluidnpu_submit jobs = {
		.ctx_id = id, .jobs = { sizeof(job->args), 1, (uintptr_t)&job->args },
	};
	struct drm_fluidnpu_yield yield = { .ctx_id = id, .user_data = job->args.user_data };
	struct drm_fluidnpu_events events = { .ctx_id = id, .eventfd = -1 };
	struct drm_fluidnpu_ctx_destroy destroy = { .ctx_id = id };
	struct drm_fluidnpu_perf perf = { .ctx_id = id };

	EXPECT_ERRNO(npu_ioctl(fd, DRM_IOCTL_FLUIDNPU_SUBMIT, &jobs), ENOENT);
	EXPECT_ERRNO(npu_ioctl(fd, DRM_IOCTL_FLUIDNPU_INJECT, &jobs), ENOENT);
	EXPECT_ERRNO(npu_ioctl(fd, DRM_IOCTL_FLUIDNPU_YIELD, &yield), ENOENT);
	EXPECT_ERRNO(npu_ioctl(fd, DRM_IOCTL_FLUIDNPU_EVENTS, &events), ENOENT);
	EXPECT_ERRNO(npu_ioctl(fd, DRM_IOCTL_FLUIDNPU_CTX_DESTROY, &destroy), ENOENT);
	if (id)	/* 0 is the file itself */
		EXPECT_ERRNO(npu_ioctl(fd, DRM_IOCTL_FLUIDNPU_PERF, &perf), ENOENT);
}

static void use_context_ids(const struct victim *victim)
{
	struct ctx own;
	struct job job;
	int fd = npu_open();

	job_init(&job, &victim->rig.net, 1, 0);
	job.args.bos.count = 0;
	for (uint32_t id = 0; id < GUESSES && !tap_failures; id++)
		try_context(fd, id, &job);
	EXPECT_OK(ctx_create(fd, DRM_FLUIDNPU_PRIORITY_NORMAL, 32, &own));
	EXPECT_EQ(own.id, victim->rig.ctx.id);
	ctx_destroy(&own);
	try_context(fd, victim->rig.ctx.id, &job);
	close(fd);
}

static void contexts_of_another_are_unknown(void)
{
	attack_twice(use_context_ids);
}

static void use_syncobjs(const struct victim *victim)
{
	struct drm_fluidnpu_sync sync = { .flags = DRM_FLUIDNPU_SYNC_SIGNAL };
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 0), "");
	job_init(&job, &rig.net, 1, 0);
	for (uint32_t handle = 0; handle < GUESSES && !tap_failures; handle++) {
		struct drm_syncobj_handle export = { .handle = handle };
		struct drm_syncobj_destroy destroy = { .handle = handle };

		EXPECT_ERRNO(syncobj_signal(rig.fd, handle), ENOENT);
		EXPECT_ERRNO(syncobj_wait(rig.fd, handle, 0, 0), ENOENT);
		EXPECT_ERRNO(npu_ioctl(rig.fd, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &export), EINVAL);
		EXPECT_ERRNO(npu_ioctl(rig.fd, DRM_IOCTL_SYNCOBJ_DESTROY, &destroy), EINVAL);
		sync.handle = handle;
		EXPECT_ERRNO(submit(&rig.ctx, &job.args, 1, &sync, 1), ENOENT);
	}
	EXPECT(victim->syncobj < GUESSES, "handle %u", victim->syncobj);
	rig_down(&rig);
}

static void syncobjs_of_another_are_unknown(void)
{
	attack_twice(use_syncobjs);
}

/* The attacker's context has the same id, its job the same user_data. */
static void yield_the_job(const struct victim *victim)
{
	struct drm_fluidnpu_yield yield = { .ctx_id = victim->rig.ctx.id, .user_data = 77 };
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 0), "");
	EXPECT_EQ(rig.ctx.id, victim->rig.ctx.id);
	EXPECT_ERRNO(npu_ioctl(rig.fd, DRM_IOCTL_FLUIDNPU_YIELD, &yield), ENOENT);
	job_init(&job, &rig.net, 1, 77);
	EXPECT_OK(submit_one(&rig.ctx, &job));
	npu_ioctl(rig.fd, DRM_IOCTL_FLUIDNPU_YIELD, &yield);	/* its own, if it is in time */
	EXPECT_OK(bo_wait(&rig.net.data, npu_in_seconds(60)));
	rig_down(&rig);
}

static void jobs_of_another_are_not_yielded(void)
{
	static const uid_t uids[] = { 0, USER };
	struct drm_fluidnpu_event event;
	struct victim victim;
	struct job job;

	for (unsigned int i = 0; i < 2; i++) {
		REQUIRE(rig_up(&victim.rig, 40), "");
		job_init(&job, &victim.rig.net, 1, 77);
		EXPECT_OK(submit_one(&victim.rig.ctx, &job));
		attack_as(&victim, yield_the_job, uids[i]);
		REQUIRE(ctx_event(&victim.rig.ctx, &event), "no event");
		EXPECT_EQ(event.type, DRM_FLUIDNPU_EVENT_EXIT);
		REQUIRE(ctx_event(&victim.rig.ctx, &event), "no event");
		EXPECT_EQ(event.type, DRM_FLUIDNPU_EVENT_JOB);
		EXPECT_EQ(event.error, 0);
		rig_down(&victim.rig);
	}
}

/* The kernel would write there for whoever has it only to read. */
static void a_buffer_lent_for_reading_is_no_event_ring(void)
{
	struct drm_fluidnpu_ctx_create args = { .event_entries = 32 };
	struct drm_prime_handle lend = { .flags = DRM_CLOEXEC };
	struct drm_fluidnpu_bo_info info = { 0 };
	int owner = npu_open(), borrower = npu_open();
	struct bo bo;

	REQUIRE(!bo_create(owner, DRM_FLUIDNPU_EVENT_RING_BYTES(32), &bo), "no BO");
	memset(bo.map, 0x5a, bo.size);
	lend.handle = bo.handle;
	EXPECT_OK(npu_ioctl(owner, DRM_IOCTL_PRIME_HANDLE_TO_FD, &lend));
	EXPECT_OK(prime_import(borrower, lend.fd, &args.event_handle));
	EXPECT_ERRNO(npu_ioctl(borrower, DRM_IOCTL_FLUIDNPU_CTX_CREATE, &args), EACCES);
	info.handle = args.event_handle;
	EXPECT_OK(npu_ioctl(borrower, DRM_IOCTL_FLUIDNPU_BO_INFO, &info));
	EXPECT(mmap(NULL, bo.size, PROT_READ | PROT_WRITE, MAP_SHARED, borrower,
		    (off_t)info.mmap_offset) == MAP_FAILED && errno == EACCES, "%s", strerror(errno));
	for (size_t i = 0; i < bo.size; i++)
		REQUIRE(((uint8_t *)bo.map)[i] == 0x5a, "byte %zu was written", i);
	close(lend.fd);
	close(borrower);
	bo_destroy(&bo);
	close(owner);
}

static const struct tap_test tests[] = {
	{ "addresses of another client fault", addresses_of_another_fault },
	{ "the same addresses are one's own memory", the_same_addresses_are_ones_own_memory },
	{ "a program does not reach another client", a_program_does_not_reach_another },
	{ "bus addresses lead nowhere", bus_addresses_lead_nowhere },
	{ "an address space that is used again is empty",
	  an_address_space_that_is_used_again_is_empty },
	{ "mmap offsets of another client are refused", mmap_offsets_of_another_are_refused },
	{ "memory of a freed BO is not seen again", memory_of_a_freed_bo_is_not_seen_again },
	{ "a scribbled event ring leads nowhere", a_scribbled_event_ring_leads_nowhere },
	{ "handles of another client are unknown", handles_of_another_are_unknown },
	{ "contexts of another client are unknown", contexts_of_another_are_unknown },
	{ "syncobjs of another client are unknown", syncobjs_of_another_are_unknown },
	{ "jobs of another client are not yielded", jobs_of_another_are_not_yielded },
	{ "a buffer lent for reading is no event ring",
	  a_buffer_lent_for_reading_is_no_event_ring },
};

TAP_MAIN(tests)
