// SPDX-License-Identifier: GPL-2.0
/*
 * FluidNPU accel driver: io_uring commands.
 *
 * A command is a job: it completes when the job's finished fence signals. Two
 * sides can want to complete it, the fence (from an interrupt) and io_uring's
 * cancellation (when the ring or the task goes); struct fluidnpu_uring decides
 * between them with one atomic exchange. The loser never touches the command,
 * which may be gone. A cancelled command's job runs on.
 */
#include <linux/atomic.h>
#include <linux/io_uring/cmd.h>
#include <linux/kref.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_print.h>

#include "fluidnpu_fence.h"
#include "fluidnpu_job.h"
#include "fluidnpu_uring.h"

/* Beyond what a uring_ptr's target can have grown to. */
#define FLUIDNPU_MAX_URING_BYTES	1024

/**
 * struct fluidnpu_uring - a command in flight
 * @ref: of the command (its pdu) and of the fence callback
 * @cmd: only for whoever has set @claimed
 * @claimed: somebody completes the command
 * @cb: on the job's finished fence
 * @result: of the job
 * @end_time: device time
 */
struct fluidnpu_uring {
	struct kref ref;
	struct io_uring_cmd *cmd;
	atomic_t claimed;
	struct dma_fence_cb cb;
	int result;
	u64 end_time;
};

struct fluidnpu_uring_pdu {
	struct fluidnpu_uring *uring;
};

static void fluidnpu_uring_release(struct kref *ref)
{
	kfree(container_of(ref, struct fluidnpu_uring, ref));
}

static void fluidnpu_uring_put(struct fluidnpu_uring *uring)
{
	kref_put(&uring->ref, fluidnpu_uring_release);
}

static bool fluidnpu_uring_claim(struct fluidnpu_uring *uring)
{
	return !atomic_xchg(&uring->claimed, 1);
}

/* Complete a command that has been claimed; drops the command's reference. */
static void fluidnpu_uring_finish(struct fluidnpu_uring *uring, int result, u64 end_time,
				  unsigned int issue_flags)
{
	io_uring_cmd_done(uring->cmd, result, end_time, issue_flags);
	fluidnpu_uring_put(uring);
}

static void fluidnpu_uring_task_work(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct fluidnpu_uring *uring = io_uring_cmd_to_pdu(cmd, struct fluidnpu_uring_pdu)->uring;

	fluidnpu_uring_finish(uring, uring->result, uring->end_time, issue_flags);
}

/* The job has ended: in an interrupt, with the fence's lock held. */
static void fluidnpu_uring_job_done(struct dma_fence *finished, struct dma_fence_cb *cb)
{
	struct fluidnpu_uring *uring = container_of(cb, struct fluidnpu_uring, cb);

	if (fluidnpu_uring_claim(uring)) {
		uring->result = finished->error;
		uring->end_time = fluidnpu_fence_end_time(finished);
		io_uring_cmd_do_in_task_lazy(uring->cmd, fluidnpu_uring_task_work);
	}
	fluidnpu_uring_put(uring);
}

static void fluidnpu_uring_cancel(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct fluidnpu_uring *uring = io_uring_cmd_to_pdu(cmd, struct fluidnpu_uring_pdu)->uring;

	/* Comes again until the command is gone. */
	if (fluidnpu_uring_claim(uring))
		fluidnpu_uring_finish(uring, -ECANCELED, 0, issue_flags);
}

/* The command area is the user's memory: each word is read exactly once. */
static void fluidnpu_uring_read_sqe(void *dst, const void *src, size_t size)
{
	const u64 *from = src;
	u64 *to = dst;
	size_t i;

	for (i = 0; i < size / sizeof(u64); i++)
		to[i] = READ_ONCE(from[i]);
}

static int fluidnpu_uring_get_args(struct drm_device *drm, struct io_uring_cmd *cmd,
				   unsigned int issue_flags,
				   struct drm_fluidnpu_uring_submit *args)
{
	const void *area = io_uring_sqe_cmd(cmd->sqe);
	struct drm_fluidnpu_uring_ptr ptr;

	switch (cmd->cmd_op) {
	case FLUIDNPU_URING_SUBMIT:
		if (!(issue_flags & IO_URING_F_SQE128)) {
			drm_dbg(drm, "URING_SUBMIT needs a ring with IORING_SETUP_SQE128\n");
			return -EINVAL;
		}
		fluidnpu_uring_read_sqe(args, area, sizeof(*args));
		return 0;
	case FLUIDNPU_URING_SUBMIT_PTR:
		fluidnpu_uring_read_sqe(&ptr, area, sizeof(ptr));
		if (ptr.pad || ptr.size < sizeof(*args)) {
			drm_dbg(drm, "uring_ptr: pad %#x is not 0 or size %u is too small\n",
				ptr.pad, ptr.size);
			return -EINVAL;
		}
		if (ptr.size > FLUIDNPU_MAX_URING_BYTES) {
			drm_dbg(drm, "uring_ptr: size %u is too large\n", ptr.size);
			return -E2BIG;
		}
		return copy_struct_from_user(args, sizeof(*args), u64_to_user_ptr(ptr.pointer),
					     ptr.size);
	default:
		drm_dbg(drm, "no io_uring command %#x\n", cmd->cmd_op);
		return -ENOTTY;
	}
}

static int fluidnpu_uring_submit(struct drm_file *file, struct io_uring_cmd *cmd,
				 unsigned int issue_flags)
{
	struct drm_device *drm = file->minor->dev;
	struct drm_fluidnpu_uring_submit args;
	struct fluidnpu_submit *submit;
	struct fluidnpu_uring *uring;
	int ret;

	ret = fluidnpu_uring_get_args(drm, cmd, issue_flags, &args);
	if (ret)
		return ret;
	if (args.flags || args.reserved) {
		drm_dbg(drm, "uring_submit: flags %#x or reserved %#llx is not 0\n", args.flags,
			args.reserved);
		return -EINVAL;
	}

	uring = kzalloc(sizeof(*uring), GFP_KERNEL);
	if (!uring)
		return -ENOMEM;
	kref_init(&uring->ref);
	uring->cmd = cmd;

	submit = fluidnpu_submit_prepare_one(file, args.ctx_id, &args.job, false);
	if (IS_ERR(submit)) {
		fluidnpu_uring_put(uring);
		return PTR_ERR(submit);
	}

	/*
	 * From here on the command can be cancelled, on a worker at any moment,
	 * and must be completed with io_uring_cmd_done(). Marking takes the
	 * ring's lock, under which others take reservation locks: it has to come
	 * before them.
	 */
	io_uring_cmd_to_pdu(cmd, struct fluidnpu_uring_pdu)->uring = uring;
	kref_get(&uring->ref);
	io_uring_cmd_mark_cancelable(cmd, issue_flags);

	/* Not interruptible: io_uring's own task work counts as a signal. */
	ret = fluidnpu_submit_lock(submit, false);
	if (!ret) /* The callback takes over this function's reference. */
		fluidnpu_submit_commit(submit, &uring->cb, fluidnpu_uring_job_done);
	/* Finishing can take the ring's lock, too: it has to come after the unlocking. */
	fluidnpu_submit_free(submit);
	if (ret) {
		if (fluidnpu_uring_claim(uring))
			fluidnpu_uring_finish(uring, ret, 0, issue_flags);
		fluidnpu_uring_put(uring);
	}

	return -EIOCBQUEUED;
}

/**
 * fluidnpu_uring_cmd - &file_operations.uring_cmd
 * @cmd: command
 * @issue_flags: IO_URING_F_*
 *
 * Return: -EIOCBQUEUED or what the command completes with.
 */
int fluidnpu_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct drm_file *file = cmd->file->private_data;

	if (issue_flags & IO_URING_F_CANCEL) {
		fluidnpu_uring_cancel(cmd, issue_flags);
		return 0;
	}
	/* Not reached on kernels without uring_cmd_iopoll, which refuse it themselves. */
	if (issue_flags & IO_URING_F_IOPOLL)
		return -EOPNOTSUPP;
	if (cmd->flags & IORING_URING_CMD_FIXED)
		return -EINVAL;

	/*
	 * Like drm_ioctl(), not drm_dev_enter(): copying from user memory can take as
	 * long as its owner likes, and unplug would wait for it.
	 */
	if (drm_dev_is_unplugged(file->minor->dev))
		return -ENODEV;
	return fluidnpu_uring_submit(file, cmd, issue_flags);
}
