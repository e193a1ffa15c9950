// SPDX-License-Identifier: MIT
/*
 * Each io_uring command of the driver while the kernel runs out of memory at each point of it, as
 * test_failslab does it with calls. Each is the first one of its ring, which has no request to
 * reuse. The client stays.
 */
#include <liburing.h>
#include <unistd.h>

#include "blocker.h"
#include "fault.h"
#include "pcidev.h"
#include "rig.h"
#include "tap.h"

#define RING_ENTRIES	4
#define USER_DATA	100	/* of jobs and of WAITs */

static struct rig rig = { .fd = -1 };
static struct io_uring ring;
static struct blocker blocker;
static struct job job;
static struct drm_fluidnpu_uring_submit args;	/* of commands by pointer */
static bool waiting;				/* a WAIT is in flight */

static bool up(void)
{
	int ret = 0;

	if (rig.fd < 0) {
		rig.fd = npu_open();
		ret = ctx_create(rig.fd, DRM_FLUIDNPU_PRIORITY_NORMAL, FAULT_ENTRIES, &rig.ctx);
		if (!ret)
			ret = net_create(rig.fd, 0, &rig.net);
	}
	if (!ret)
		ret = io_uring_queue_init(RING_ENTRIES, &ring, IORING_SETUP_SQE128);
	if (ret)
		tap_fail(__FILE__, __LINE__, "set-up failed: %s", strerror(-ret));
	job_init(&job, &rig.net, 2, USER_DATA);
	args = (struct drm_fluidnpu_uring_submit){ .ctx_id = rig.ctx.id, .job = job.args };
	return !ret;
}

static void down(void)
{
	io_uring_queue_exit(&ring);
	waiting = false;
}

/* A command that could not be sent is still there. */
static bool queue(uint32_t op, const void *cmd, size_t size)
{
	struct io_uring_sqe *sqe;

	if (io_uring_sq_ready(&ring))
		return true;
	sqe = io_uring_get_sqe(&ring);
	if (!sqe)
		return false;
	memset(sqe, 0, 2 * sizeof(*sqe));
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = rig.fd;
	sqe->cmd_op = op;
	memcpy(sqe->cmd, cmd, size);
	return true;
}

static int take_result(void)
{
	struct io_uring_cqe *cqe;
	int ret;

	ret = io_uring_wait_cqe(&ring, &cqe);
	if (ret)
		return ret;
	ret = cqe->res;
	io_uring_cqe_seen(&ring, cqe);
	return ret;
}

/* A negative result is an error, another one what the command returns. */
static int send_and_wait(uint64_t *result)
{
	int ret = io_uring_submit(&ring);

	if (ret < 0)
		return ret;
	ret = take_result();
	*result = ret < 0 ? 0 : ret;
	return ret < 0 ? ret : 0;
}

/* ---- SUBMIT and INJECT ---- */

static bool queue_inline(uint32_t op)
{
	return queue(op, &args, sizeof(args));
}

static bool queue_by_pointer(uint32_t op)
{
	const struct drm_fluidnpu_uring_ptr ptr = {
		.pointer = (uintptr_t)&args, .size = sizeof(args),
	};

	return queue(op, &ptr, sizeof(ptr));
}

static bool queue_submit(void)
{
	return queue_inline(FLUIDNPU_URING_SUBMIT);
}

static bool queue_submit_ptr(void)
{
	return queue_by_pointer(FLUIDNPU_URING_SUBMIT_PTR);
}

static bool queue_inject(void)
{
	return queue_inline(FLUIDNPU_URING_INJECT);
}

static bool queue_inject_ptr(void)
{
	return queue_by_pointer(FLUIDNPU_URING_INJECT_PTR);
}

static void take_events(void)
{
	struct drm_fluidnpu_event event;

	REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
	EXPECT_EQ(event.error, 0);
	EXPECT_EQ(event.user_data, USER_DATA);
	EXPECT_EQ(ctx_pending(&rig.ctx), 0);
	EXPECT_OK(bo_wait(&rig.net.data, npu_in_seconds(60)));
}

/* ---- YIELD ---- */

/* The device has a job, and something better to do. */
static bool up_held(void)
{
	return blocker_up(&blocker, DRM_FLUIDNPU_PRIORITY_REALTIME) && up() &&
	       !submit_one(&rig.ctx, &job);
}

static void down_held(void)
{
	blocker_down(&blocker);
	take_events();
	down();
}

static bool queue_yield(void)
{
	const struct drm_fluidnpu_yield cmd = { .ctx_id = rig.ctx.id, .user_data = USER_DATA };

	return queue(FLUIDNPU_URING_YIELD, &cmd, sizeof(cmd));
}

/* ---- WAIT and CANCEL ---- */

static bool queue_wait(void)
{
	const struct drm_fluidnpu_uring_wait cmd = {
		.ctx_id = rig.ctx.id, .count = 1, .user_data_lo = USER_DATA,
		.producer = ctx_ring(&rig.ctx)->producer,
	};

	return queue(FLUIDNPU_URING_WAIT, &cmd, sizeof(cmd));
}

/* It has not failed if it waits. */
static int send_wait(uint64_t *result)
{
	struct io_uring_cqe *cqe;
	int ret = io_uring_submit(&ring);

	*result = 0;
	if (ret < 0)
		return ret;
	waiting = io_uring_peek_cqe(&ring, &cqe);
	return waiting ? 0 : take_result();
}

static bool queue_cancel(void)
{
	const struct drm_fluidnpu_yield cmd = { .ctx_id = rig.ctx.id, .user_data = USER_DATA };
	uint64_t result;

	if (!waiting && (!queue_wait() || send_wait(&result)))
		return false;
	return queue(FLUIDNPU_URING_CANCEL, &cmd, sizeof(cmd));
}

/* Two commands end, in any order. */
static int send_cancel(uint64_t *result)
{
	int ret = io_uring_submit(&ring), first;

	if (ret < 0)
		return ret;
	first = take_result();
	if (first != -ECANCELED && first != 1)
		return first;
	ret = take_result();
	waiting = false;
	*result = first == 1 ? ret + ECANCELED : ret - 1;
	return 0;
}

static void cancel(void)
{
	uint64_t result;

	REQUIRE(queue_cancel(), "");
	EXPECT_OK(send_cancel(&result));
	EXPECT_EQ(result, 0);
}

/* ---- all of them ---- */

/* EAGAIN: io_uring says so when it gets no request. */
#define COMMAND(queue_, send_)                                                                     \
	.up = up, .down = down, .anew = true, .fd = &rig.fd, .ctx = &rig.ctx,                      \
	.prepare = queue_, .run = send_, .other_errno = EAGAIN

static const struct fault_call calls[] = {
	{ "SUBMIT", COMMAND(queue_submit, send_and_wait), .undo = take_events },
	{ "SUBMIT_PTR", COMMAND(queue_submit_ptr, send_and_wait), .undo = take_events },
	{ "INJECT", COMMAND(queue_inject, send_and_wait), .undo = take_events },
	{ "INJECT_PTR", COMMAND(queue_inject_ptr, send_and_wait), .undo = take_events },
	{ "WAIT", COMMAND(queue_wait, send_wait), .undo = cancel },
	{ "CANCEL", COMMAND(queue_cancel, send_cancel) },
	/* Its job holds entries of the event ring. */
	{ "YIELD", .up = up_held, .down = down_held, .anew = true, .fd = &rig.fd,
	  .prepare = queue_yield, .run = send_and_wait, .other_errno = EAGAIN },
};

#define NUM_CALLS	(sizeof(calls) / sizeof(calls[0]))

static void a_command_changes_nothing(void)
{
	const char *reason = fault_set_up(tap_index < NUM_CALLS ? FAULT_SLAB : FAULT_ANY);

	if (reason)
		SKIP(reason);
	fault_test(&calls[tap_index % NUM_CALLS]);
}

static void jobs_run(void)
{
	if (rig.fd >= 0)
		rig_down(&rig);
	works_again();
}

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
		tests[i] = (struct tap_test){ names[i], a_command_changes_nothing };
	}
	tests[2 * NUM_CALLS] = (struct tap_test){ "jobs run after all that", jobs_run };
	tests[2 * NUM_CALLS + 1] = (struct tap_test){ "the module unloads after all that",
						      the_module_unloads };
	return tap_run(tests, 2 * NUM_CALLS + 2);
}
