// SPDX-License-Identifier: MIT
/*
 * One test per invalid field of every struct of fluidnpu_drm.h, ioctls and io_uring commands
 * alike: the errno that the header documents, and nothing has changed.
 *
 * A frame holds valid arguments of all calls; a case changes one field of it. What the job
 * and its arrays hold is tried through each way in. Before and after the call the world is
 * compared: counters of the device and the client, the bytes of the buffers and of the event
 * ring, the syncobjs, the memory. A valid job must then run in the same context.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* strerrorname_np */
#endif

#include <fcntl.h>
#include <liburing.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "field_cases.h"
#include "npu.h"
#include "tap.h"

#define NUM_SAMPLES 2

#define USER_UID 1000
#define RENDER_GID 105

#define PAGE_BYTES 4096
#define UNMAPPED_IOVA (1ull << 30)

static struct {
	int fd;
	struct ctx ctx;
	struct net net;
	struct bo scratch, small;
	struct io_uring ring, ring128;
	uint32_t values[NUM_DYNAMIC];	/* handles and ids that are not valid here */
	uint32_t signalled, signal_me;	/* syncobjs to wait for, to signal */
	uint8_t *page;			/* the page after it cannot be read */
} rig;

/* What must not change. */
struct world {
	struct drm_fluidnpu_counters counters;
	struct drm_fluidnpu_perf perf;
	struct drm_fluidnpu_event_ring ring;
	uint64_t hash;
	char fdinfo[4096];
};

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t size)
{
	const uint64_t *word = bytes;

	for (size_t i = 0; i < size / sizeof(*word); i++)
		hash = (hash ^ word[i]) * 0x100000001b3ull;
	return hash;
}

/* IDLE_CYCLES and INTERRUPTS go on by themselves, LATE_EVENTS is the host's. */
static bool counter_is_of_jobs(unsigned int i)
{
	return i != FLUIDNPU_CNT_IDLE_CYCLES && i != FLUIDNPU_CNT_INTERRUPTS &&
	       i != FLUIDNPU_CNT_LATE_EVENTS;
}

static bool look_at_world(struct world *world)
{
	const size_t sample_bytes = net_input(&rig.net, NUM_SAMPLES) - net_input(&rig.net, 0);
	char path[64];

	memset(world, 0, sizeof(*world));
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", rig.fd);
	if (npu_counters(rig.fd, &world->counters) ||
	    npu_ioctl(rig.fd, DRM_IOCTL_FLUIDNPU_PERF, &world->perf) ||
	    read_file(path, world->fdinfo, sizeof(world->fdinfo)))
		return false;
	world->counters.time = 0;
	world->perf.time = 0;
	for (unsigned int i = 0; i < FLUIDNPU_CNT_NUM; i++) {
		if (!counter_is_of_jobs(i))
			world->counters.values[i] = 0;
	}
	world->ring = *ctx_ring(&rig.ctx);
	world->hash = hash_bytes(0, rig.net.program.map, rig.net.program_bytes);
	world->hash = hash_bytes(world->hash, rig.net.data.map, sample_bytes);
	world->hash = hash_bytes(world->hash, rig.ctx.ring.map, rig.ctx.ring.size);
	world->hash = hash_bytes(world->hash, rig.scratch.map, rig.scratch.size);
	return true;
}

static void expect_same_world(const struct world *a, const struct world *b)
{
	EXPECT(!memcmp(&a->counters, &b->counters, sizeof(a->counters)), "the device's counters");
	EXPECT(!memcmp(&a->perf, &b->perf, sizeof(a->perf)), "what the client has used");
	EXPECT_EQ(b->ring.producer, a->ring.producer);
	EXPECT_EQ(b->ring.consumer, a->ring.consumer);
	EXPECT(a->hash == b->hash, "bytes of buffers");
	EXPECT(!strcmp(a->fdinfo, b->fdinfo), "fdinfo was %s and is %s", a->fdinfo, b->fdinfo);
	EXPECT_OK(bo_wait(&rig.net.data, 0));
	EXPECT_ERRNO(syncobj_wait(rig.fd, rig.signal_me, 0, 0), EINVAL); /* no fence in it */
}

static void fill_jobs(struct frame *frame)
{
	struct job job;

	for (unsigned int i = 0; i < 2; i++) {
		job_init(&job, &rig.net, NUM_SAMPLES, 100 * i);
		frame->jobs[i].known = job.args;
		frame->jobs[i].known.samples = (struct drm_fluidnpu_array){
			sizeof(frame->samples[0]), NUM_SAMPLES, (uintptr_t)frame->samples,
		};
		frame->jobs[i].known.bos = (struct drm_fluidnpu_array){
			sizeof(frame->bos[0]), 2, (uintptr_t)frame->bos,
		};
		frame->samples[i].known = job.samples[i];
		frame->bos[i].known = job.handles[i];
	}
}

static void fill_frame(struct frame *frame, enum call_index call)
{
	memset(frame, 0, sizeof(*frame));
	fill_jobs(frame);
	if (call == SUBMIT_NOP)
		frame->jobs[0].known = (struct drm_fluidnpu_job){
			.flags = DRM_FLUIDNPU_JOB_NOP, .bos = frame->jobs[0].known.bos,
		};
	frame->syncs[0].known = (struct drm_fluidnpu_sync){ .handle = rig.signalled };
	frame->syncs[1].known = (struct drm_fluidnpu_sync){
		.handle = rig.signal_me, .flags = DRM_FLUIDNPU_SYNC_SIGNAL,
	};
	frame->submit = (struct drm_fluidnpu_submit){
		.ctx_id = rig.ctx.id,
		.jobs = { sizeof(frame->jobs[0]), 2, (uintptr_t)frame->jobs },
		.syncs = { sizeof(frame->syncs[0]), 2, (uintptr_t)frame->syncs },
	};
	frame->uring_submit.known.ctx_id = rig.ctx.id;
	frame->uring_ptr = (struct drm_fluidnpu_uring_ptr){
		.pointer = (uintptr_t)&frame->uring_submit, .size = sizeof(frame->uring_submit),
	};
	frame->dev_query = (struct drm_fluidnpu_dev_query){
		.size = sizeof(frame->info), .pointer = (uintptr_t)&frame->info,
	};
	frame->bo_create.size = 4096;
	frame->bo_info.handle = rig.scratch.handle;
	frame->bo_wait.handle = rig.scratch.handle;
	frame->ctx_create = (struct drm_fluidnpu_ctx_create){
		.priority = DRM_FLUIDNPU_PRIORITY_NORMAL,
		.event_handle = rig.scratch.handle, .event_entries = RING_ENTRIES,
	};
	frame->ctx_destroy.ctx_id = rig.ctx.id;
	frame->yield.ctx_id = rig.ctx.id;
	frame->events = (struct drm_fluidnpu_events){ .ctx_id = rig.ctx.id, .eventfd = -1 };
	frame->perf.ctx_id = rig.ctx.id;
	frame->uring_wait = (struct drm_fluidnpu_uring_wait){
		.ctx_id = rig.ctx.id, .count = 1, .producer = ctx_ring(&rig.ctx)->producer - 1,
	};
}

static int run_flagged_command(struct io_uring *ring, uint32_t op, uint32_t flags,
			       const void *args, size_t size)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;
	int ret;

	if (!sqe)
		return -EBUSY;
	memset(sqe, 0, ring == &rig.ring128 ? 2 * sizeof(*sqe) : sizeof(*sqe));
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = rig.fd;
	sqe->cmd_op = op;
	sqe->uring_cmd_flags = flags;
	memcpy(sqe->cmd, args, size);
	io_uring_submit(ring);
	do {
		ret = io_uring_wait_cqe(ring, &cqe);
	} while (ret == -EINTR);
	if (ret)
		return ret;
	ret = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return ret;
}

static int run_command(struct io_uring *ring, uint32_t op, const void *args, size_t size)
{
	return run_flagged_command(ring, op, 0, args, size);
}

/* As a user without capabilities, with the file that root has opened. */
static int run_as_user(unsigned long request, void *args)
{
	int status = 0;
	pid_t child = fork();

	if (!child) {
		if (setgid(RENDER_GID) || setuid(USER_UID))
			_exit(255);
		_exit(-npu_ioctl(rig.fd, request, args));
	}
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

static int run_call(const struct call *call, struct frame *frame)
{
	void *args = (uint8_t *)frame + call->offset;

	frame->uring_submit.known.job = frame->jobs[0].known;
	switch (call->way) {
	case WAY_IOCTL:
		return npu_ioctl(rig.fd, call->request, args);
	case WAY_IOCTL_AS_USER:
		return run_as_user(call->request, args);
	case WAY_RING:
		return run_command(&rig.ring, call->request, args, call->size);
	case WAY_RING128:
		return run_command(&rig.ring128, call->request, args, call->size);
	}
	return -ENOSYS;
}

/* A SUBMIT of the untouched frame; both of its jobs end well. */
static void expect_usable(void)
{
	struct drm_fluidnpu_event event;
	struct frame frame;

	fill_frame(&frame, SUBMIT);
	frame.submit.syncs.count = 0;
	EXPECT_OK(npu_ioctl(rig.fd, DRM_IOCTL_FLUIDNPU_SUBMIT, &frame.submit));
	for (unsigned int i = 0; i < 2; i++) {
		REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
		EXPECT_EQ(event.user_data, 100 * i);
		EXPECT_EQ(event.error, 0);
	}
	EXPECT_EQ(ctx_pending(&rig.ctx), 0);
	EXPECT_OK(bo_wait(&rig.net.data, npu_in_seconds(60)));
}

/* The first element of a user array, moved to where the second cannot be read. */
static uint64_t half_mapped(const struct frame *frame, const struct field_case *c)
{
	const struct drm_fluidnpu_array *array =
		(const void *)((const uint8_t *)frame + c->offset -
			       offsetof(struct drm_fluidnpu_array, array));
	uint8_t *to = rig.page + PAGE_BYTES - array->stride;

	memcpy(to, (const void *)(uintptr_t)array->array, array->stride);
	return (uintptr_t)to;
}

static void set_field(struct frame *frame, const struct field_case *c)
{
	uint64_t value = c->value;

	if (value == HALF_MAPPED)
		value = half_mapped(frame, c);
	else if (value >= DYNAMIC && value < DYNAMIC + NUM_DYNAMIC)
		value = rig.values[value - DYNAMIC];
	memcpy((uint8_t *)frame + c->offset, &value, c->size);
}

static void a_bad_field_is_refused(void)
{
	const struct field_case *c = &field_cases[tap_index];
	const struct call *call = &calls[c->call];
	struct frame frame, sent;
	struct world before, after;
	int ret;

	fill_frame(&frame, c->call);
	set_field(&frame, c);
	memcpy(&sent, &frame, sizeof(sent));
	sent.uring_submit.known.job = frame.jobs[0].known;
	REQUIRE(look_at_world(&before), "cannot read counters or fdinfo");

	ret = run_call(call, &frame);
	EXPECT(ret == -c->error, "%d (%s)", ret, strerror(ret < 0 ? -ret : 0));

	REQUIRE(look_at_world(&after), "cannot read counters or fdinfo");
	expect_same_world(&before, &after);
	/* DEV_QUERY tells the size also with an error. */
	if (c->call != DEV_QUERY)
		EXPECT(!memcmp(&frame, &sent, sizeof(sent)), "arguments were written");
	expect_usable();
}

/*
 * The unchanged frame of each call is taken: it is the field that a case is refused for. But
 * for YIELD and CANCEL, which need a job that runs.
 */
static void the_unchanged_frame_is_taken(enum call_index index, unsigned int num_jobs)
{
	struct drm_fluidnpu_event event;
	struct frame frame;

	fill_frame(&frame, index);
	if (num_jobs == 2)
		frame.syncs[1].known.handle = rig.signalled;
	EXPECT_OK(run_call(&calls[index], &frame));
	if (frame.bo_create.handle)
		bo_close_handle(&(struct bo){ .fd = rig.fd, .handle = frame.bo_create.handle });
	if (frame.ctx_create.ctx_id)
		npu_ioctl(rig.fd, DRM_IOCTL_FLUIDNPU_CTX_DESTROY,
			  &(struct drm_fluidnpu_ctx_destroy){ frame.ctx_create.ctx_id, 0 });
	while (num_jobs--) {
		REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
		EXPECT_EQ(event.error, 0);
	}
}

static void valid_arguments_are_taken(void)
{
	the_unchanged_frame_is_taken(DEV_QUERY, 0);
	the_unchanged_frame_is_taken(BO_CREATE, 0);
	the_unchanged_frame_is_taken(BO_INFO, 0);
	the_unchanged_frame_is_taken(BO_WAIT, 0);
	the_unchanged_frame_is_taken(CTX_CREATE, 0);
	the_unchanged_frame_is_taken(CTX_CREATE_AS_USER, 0);
	the_unchanged_frame_is_taken(SUBMIT, 2);
	the_unchanged_frame_is_taken(SUBMIT_NOP, 2);
	the_unchanged_frame_is_taken(INJECT, 2);
	the_unchanged_frame_is_taken(EVENTS, 0);
	the_unchanged_frame_is_taken(PERF, 0);
	the_unchanged_frame_is_taken(URING_SUBMIT, 1);
	the_unchanged_frame_is_taken(URING_SUBMIT_PTR, 1);
	the_unchanged_frame_is_taken(URING_INJECT, 1);
	the_unchanged_frame_is_taken(URING_INJECT_PTR, 1);
	the_unchanged_frame_is_taken(URING_WAIT, 0);
}

/* What only the device can find: the job is accepted and ends with EIO. */
static void expect_job_fails(size_t offset, uint64_t value, size_t size)
{
	struct drm_fluidnpu_event event;
	struct frame frame;

	fill_frame(&frame, SUBMIT);
	frame.submit.syncs.count = 0;
	frame.submit.jobs.count = 1;
	memcpy((uint8_t *)&frame + offset, &value, size);
	EXPECT_OK(npu_ioctl(rig.fd, DRM_IOCTL_FLUIDNPU_SUBMIT, &frame.submit));
	REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
	EXPECT_EQ(event.error, -EIO);
	expect_usable();
}

#define EXPECT_JOB_FAILS(member, value)                                                            \
	expect_job_fails(offsetof(struct frame, member), value,                                    \
			 sizeof(((struct frame *)0)->member))

static void addresses_that_are_not_mapped_end_the_job(void)
{
	EXPECT_JOB_FAILS(jobs[0].known.program_iova, UNMAPPED_IOVA);
	EXPECT_JOB_FAILS(jobs[0].known.program_bytes, sizeof(struct fluidnpu_hw_program));
	EXPECT_JOB_FAILS(samples[0].known.input_iova, 0);
	EXPECT_JOB_FAILS(samples[1].known.input_iova, KERNEL_POINTER);
	EXPECT_JOB_FAILS(samples[0].known.state_iova, UNMAPPED_IOVA);
	EXPECT_JOB_FAILS(samples[1].known.state_iova, UINT64_MAX);
	EXPECT_JOB_FAILS(samples[0].known.logits_iova, UNMAPPED_IOVA);
	EXPECT_JOB_FAILS(samples[1].known.logits_iova, 1ull << FLUIDNPU_VA_BITS);
}

static void a_start_behind_the_last_layer_ends_the_job(void)
{
	struct drm_fluidnpu_event event;
	struct frame frame;

	fill_frame(&frame, SUBMIT);
	frame.samples[0].known.start_layer = FLUIDNPU_MAX_LAYERS - 1;
	frame.samples[1].known.start_layer = FLUIDNPU_MAX_LAYERS - 1;
	frame.submit.syncs.count = 0;
	frame.submit.jobs.count = 1;
	EXPECT_OK(npu_ioctl(rig.fd, DRM_IOCTL_FLUIDNPU_SUBMIT, &frame.submit));
	REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
	EXPECT_EQ(event.error, -EIO);
	expect_usable();
}

static void inject_takes_no_nop(void)
{
	struct frame frame;

	fill_frame(&frame, SUBMIT_NOP);
	EXPECT_ERRNO(run_call(&calls[INJECT], &frame), EINVAL);
	expect_usable();
}

/* The DRM core's: a driver's number without an ioctl is EINVAL, not ENOTTY. */
static void unknown_ioctls_are_refused(void)
{
	uint8_t args[4096] = { 0 };

	for (unsigned int nr = DRM_COMMAND_BASE + DRM_FLUIDNPU_PERF + 1; nr < DRM_COMMAND_END; nr++)
		EXPECT_ERRNO(npu_ioctl(rig.fd, DRM_IOWR(nr, uint8_t[64]), args), EINVAL);
	EXPECT_ERRNO(npu_ioctl(rig.fd, DRM_IOWR(0xff, uint8_t[64]), args), EINVAL);
	expect_usable();
}

static void every_ioctl_refuses_a_bad_argument_pointer(void)
{
	static const uint64_t pointers[] = { 0, UNMAPPED_POINTER, KERNEL_POINTER, LAST_POINTER };

	for (unsigned int i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (calls[i].way != WAY_IOCTL)
			continue;
		for (unsigned int k = 0; k < sizeof(pointers) / sizeof(pointers[0]); k++) {
			int ret = npu_ioctl(rig.fd, calls[i].request,
					    (void *)(uintptr_t)pointers[k]);

			EXPECT(ret == -EFAULT, "%s at %#llx: %d", calls[i].name,
			       (unsigned long long)pointers[k], ret);
		}
	}
	expect_usable();
}

#define RESIZED(request, bytes)                                                                    \
	_IOC(_IOC_DIR(request), _IOC_TYPE(request), _IOC_NR(request), bytes)

/* The DRM core's: what an older program does not pass is 0, and is not written either. */
static void a_shorter_ioctl_is_extended_with_zeroes(void)
{
	struct drm_fluidnpu_bo_create args = { .size = 4096, .flags = 2, .handle = 77 };
	struct frame frame;

	fill_frame(&frame, SUBMIT);
	EXPECT_OK(npu_ioctl(rig.fd, RESIZED(DRM_IOCTL_FLUIDNPU_BO_CREATE, 8), &args));
	EXPECT_EQ(args.flags, 2);
	EXPECT_EQ(args.handle, 77);
	/* without event_entries, without a handle, without anything */
	EXPECT_ERRNO(npu_ioctl(rig.fd, RESIZED(DRM_IOCTL_FLUIDNPU_CTX_CREATE, 12),
			       &frame.ctx_create), EINVAL);
	EXPECT_ERRNO(npu_ioctl(rig.fd, RESIZED(DRM_IOCTL_FLUIDNPU_BO_INFO, 0), &frame.bo_info),
		     ENOENT);
	EXPECT_ERRNO(npu_ioctl(rig.fd, RESIZED(DRM_IOCTL_FLUIDNPU_SUBMIT, 8), &frame.submit),
		     EINVAL);
	EXPECT_ERRNO(npu_ioctl(rig.fd, _IO(DRM_IOCTL_BASE, _IOC_NR(DRM_IOCTL_FLUIDNPU_BO_CREATE)),
			       &args), EINVAL);
	expect_usable();
}

/* The DRM core's: it cuts off what a newer program passes. */
static void a_longer_ioctl_is_cut_off(void)
{
	struct {
		struct drm_fluidnpu_bo_info info;
		uint8_t later[32];
	} args = { .info.handle = rig.scratch.handle };

	memset(args.later, 0x5a, sizeof(args.later));
	EXPECT_OK(npu_ioctl(rig.fd, RESIZED(DRM_IOCTL_FLUIDNPU_BO_INFO, sizeof(args)), &args));
	EXPECT_EQ(args.info.size, rig.scratch.size);
	expect_usable();
}

static void bad_ring_commands_are_refused(void)
{
	struct frame frame;

	fill_frame(&frame, SUBMIT);
	frame.uring_submit.known.job = frame.jobs[0].known;
	/* an inline command in a ring whose entries have no room for it */
	EXPECT_ERRNO(run_command(&rig.ring, FLUIDNPU_URING_SUBMIT, &frame.uring_submit, 16), EINVAL);
	EXPECT_ERRNO(run_command(&rig.ring, 0, &frame.uring_ptr, 16), ENOTTY);
	EXPECT_ERRNO(run_command(&rig.ring, 0x1234, &frame.uring_ptr, 16), ENOTTY);
	EXPECT_ERRNO(run_command(&rig.ring, _IOW('F', 0x7f, struct drm_fluidnpu_uring_ptr),
				 &frame.uring_ptr, 16), ENOTTY);
	EXPECT_ERRNO(run_flagged_command(&rig.ring, FLUIDNPU_URING_SUBMIT_PTR,
					 IORING_URING_CMD_FIXED, &frame.uring_ptr, 16), EFAULT);
	expect_usable();
}

static uint32_t destroyed_ctx(void)
{
	struct ctx ctx;

	if (ctx_create(rig.fd, DRM_FLUIDNPU_PRIORITY_NORMAL, 32, &ctx))
		return 0;
	ctx_destroy(&ctx);
	return ctx.id;
}

static bool make_syncobjs(void)
{
	uint32_t *destroyed = &rig.values[DYN_DESTROYED_SYNCOBJ];

	if (syncobj_create(rig.fd, &rig.signalled) || syncobj_signal(rig.fd, rig.signalled) ||
	    syncobj_create(rig.fd, &rig.signal_me) ||
	    syncobj_create(rig.fd, &rig.values[DYN_EMPTY_SYNCOBJ]) ||
	    syncobj_create(rig.fd, destroyed))
		return false;
	syncobj_destroy(rig.fd, *destroyed);
	return true;
}

static bool make_handles(void)
{
	struct bo bo;
	void *foreign;
	int dmabuf = foreign_dmabuf(DRM_FLUIDNPU_EVENT_RING_BYTES(RING_ENTRIES) + PAGE_BYTES - 64,
				    &foreign);

	if (bo_create(rig.fd, DRM_FLUIDNPU_EVENT_RING_BYTES(RING_ENTRIES), &rig.scratch) ||
	    bo_create(rig.fd, PAGE_BYTES, &rig.small) || bo_create(rig.fd, PAGE_BYTES, &bo) ||
	    prime_import(rig.fd, dmabuf, &rig.values[DYN_IMPORTED_BO]))
		return false;
	rig.values[DYN_SMALL_BO] = rig.small.handle;
	rig.values[DYN_CLOSED_HANDLE] = bo.handle;
	rig.values[DYN_DESTROYED_CTX] = destroyed_ctx();
	rig.values[DYN_NOT_AN_EVENTFD] = rig.fd;
	bo_destroy(&bo);
	return rig.values[DYN_DESTROYED_CTX];
}

static bool set_up(void)
{
	rig.fd = npu_open();
	rig.page = mmap(NULL, 2 * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);
	return rig.page != MAP_FAILED && !mprotect(rig.page + PAGE_BYTES, PAGE_BYTES, PROT_NONE) &&
	       !ctx_create(rig.fd, DRM_FLUIDNPU_PRIORITY_NORMAL, RING_ENTRIES, &rig.ctx) &&
	       !net_create(rig.fd, 0, &rig.net) && make_syncobjs() && make_handles() &&
	       !io_uring_queue_init(4, &rig.ring, 0) &&
	       !io_uring_queue_init(4, &rig.ring128, IORING_SETUP_SQE128);
}

static const struct tap_test whole_tests[] = {
	{ "valid arguments are taken by every call", valid_arguments_are_taken },
	{ "addresses that are not mapped end the job with EIO",
	  addresses_that_are_not_mapped_end_the_job },
	{ "a start behind the last layer ends the job with EIO",
	  a_start_behind_the_last_layer_ends_the_job },
	{ "INJECT takes no NOP", inject_takes_no_nop },
	{ "an unknown ioctl is refused", unknown_ioctls_are_refused },
	{ "every ioctl refuses a bad argument pointer",
	  every_ioctl_refuses_a_bad_argument_pointer },
	{ "a shorter ioctl is extended with zeroes", a_shorter_ioctl_is_extended_with_zeroes },
	{ "a longer ioctl is cut off", a_longer_ioctl_is_cut_off },
	{ "bad ring commands are refused", bad_ring_commands_are_refused },
};

#define NUM_WHOLE_TESTS (sizeof(whole_tests) / sizeof(whole_tests[0]))

int main(void)
{
	static struct tap_test tests[NUM_FIELD_CASES + NUM_WHOLE_TESTS];
	static char names[NUM_FIELD_CASES][160];

	if (!set_up()) {
		printf("Bail out! set-up failed\n");
		return 1;
	}
	for (unsigned int i = 0; i < NUM_FIELD_CASES; i++) {
		const struct field_case *c = &field_cases[i];

		snprintf(names[i], sizeof(names[i]), "%s refuses %s = %s with %s",
			 calls[c->call].name, c->field, c->what, strerrorname_np(c->error));
		tests[i] = (struct tap_test){ names[i], a_bad_field_is_refused };
	}
	memcpy(tests + NUM_FIELD_CASES, whole_tests, sizeof(whole_tests));
	return tap_run(tests, NUM_FIELD_CASES + NUM_WHOLE_TESTS);
}
