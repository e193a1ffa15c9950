// SPDX-License-Identifier: GPL-2.0
/*
 * FluidNPU accel driver: io_uring commands.
 *
 * Two commands stay in flight. SUBMIT and INJECT belong to a job and complete when
 * its fence signals. WAIT belongs to an event ring and completes when the
 * ring has got so far. Their state is in the job and in the command itself: nothing
 * is allocated for them.
 *
 * Three sides can want to complete a command: what it waits for, in an interrupt;
 * io_uring's cancellation, when the ring goes or the task calls exec; and CANCEL, on any
 * ring. Whoever takes it off its list, under the list's lock, has it for itself. The
 * others must not touch the command, which may be gone. A cancelled command's job
 * runs on.
 */
#include <linux/io_uring/cmd.h>
#include <linux/uaccess.h>

#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_print.h>

#include "fluidnpu_compat.h"
#include "fluidnpu_ctx.h"
#include "fluidnpu_device.h"
#include "fluidnpu_event.h"
#include "fluidnpu_job.h"
#include "fluidnpu_submit.h"
#include "fluidnpu_uring.h"
#include "fluidnpu_validate.h"

/* Beyond what a uring_ptr's target can have grown to. */
#define FLUIDNPU_MAX_URING_BYTES	1024

/* Commands that CANCEL looks at with interrupts off. */
#define FLUIDNPU_CANCEL_BATCH		64

/**
 * struct fluidnpu_uring_job_pdu - state of SUBMIT and INJECT
 * @uring: of the job, as long as nobody has taken the command off its list; protected
 *	by fluidnpu_file.uring_lock
 * @end_time: big_cqe[0]
 * @result: res of the CQE
 */
struct fluidnpu_uring_job_pdu {
	struct fluidnpu_uring *uring;
	u64 end_time;
	int result;
};

/**
 * struct fluidnpu_uring_wait_pdu - state of WAIT
 * @wait: in the event ring's list, and then the result
 * @ctx: context, with a reference
 */
struct fluidnpu_uring_wait_pdu {
	struct fluidnpu_event_wait wait;
	struct fluidnpu_ctx *ctx;
};

static struct fluidnpu_uring_job_pdu *fluidnpu_job_pdu(struct io_uring_cmd *cmd)
{
	return io_uring_cmd_to_pdu(cmd, struct fluidnpu_uring_job_pdu);
}

static struct fluidnpu_uring_wait_pdu *fluidnpu_wait_pdu(struct io_uring_cmd *cmd)
{
	return io_uring_cmd_to_pdu(cmd, struct fluidnpu_uring_wait_pdu);
}

/* The command pins the file. */
static struct fluidnpu_file *fluidnpu_uring_file(struct io_uring_cmd *cmd)
{
	struct drm_file *file = cmd->file->private_data;

	return file->driver_priv;
}

static void fluidnpu_uring_attach(struct fluidnpu_job *job, struct io_uring_cmd *cmd)
{
	struct fluidnpu_file *ffile = job->ctx->ffile;
	struct fluidnpu_uring *uring = &job->uring;
	unsigned long flags;

	spin_lock_irqsave(&ffile->uring_lock, flags);
	uring->cmd = cmd;
	fluidnpu_job_pdu(cmd)->uring = uring;
	list_add_tail(&uring->node, &job->ctx->uring_jobs);
	spin_unlock_irqrestore(&ffile->uring_lock, flags);
}

/*
 * Take the command from its job, in order to complete it. With uring_lock. Returns NULL
 * if somebody else has done so.
 */
static struct io_uring_cmd *fluidnpu_uring_take(struct fluidnpu_uring *uring)
{
	struct io_uring_cmd *cmd = uring->cmd;

	if (cmd) {
		WRITE_ONCE(uring->cmd, NULL);
		fluidnpu_job_pdu(cmd)->uring = NULL;
		list_del(&uring->node);
	}
	return cmd;
}

/**
 * fluidnpu_uring_detach - take the command from its job, in order to complete it
 * @job: from fluidnpu_uring_attach() on until it is released
 *
 * Return: the command, or NULL if there is none or somebody else has taken it.
 */
struct io_uring_cmd *fluidnpu_uring_detach(struct fluidnpu_job *job)
{
	struct fluidnpu_file *ffile = job->ctx->ffile;
	struct io_uring_cmd *cmd;
	unsigned long flags;

	/* It is set before the job is committed, and only cleared after that. */
	if (!READ_ONCE(job->uring.cmd))
		return NULL;
	spin_lock_irqsave(&ffile->uring_lock, flags);
	cmd = fluidnpu_uring_take(&job->uring);
	spin_unlock_irqrestore(&ffile->uring_lock, flags);

	return cmd;
}

static void fluidnpu_uring_job_work(struct io_tw_req tw_req, io_tw_token_t tw)
{
	struct io_uring_cmd *cmd = io_uring_cmd_from_tw(tw_req);
	struct fluidnpu_uring_job_pdu *pdu = fluidnpu_job_pdu(cmd);

	atomic_dec(&fluidnpu_uring_file(cmd)->fdev->cq.unseen);
	io_uring_cmd_done32(cmd, pdu->result, pdu->end_time, IO_URING_CMD_TASK_WORK_ISSUE_FLAGS);
}

/**
 * fluidnpu_uring_end_job - complete a command that has been taken from its job
 * @cmd: command
 * @result: how the job has ended
 * @end_time: when, device time
 *
 * In any context. Lazily: it is one CQE, and whoever waits for many need not wake up for each.
 */
void fluidnpu_uring_end_job(struct io_uring_cmd *cmd, int result, u64 end_time)
{
	struct fluidnpu_uring_job_pdu *pdu = fluidnpu_job_pdu(cmd);

	pdu->result = result;
	pdu->end_time = end_time;
	atomic_inc(&fluidnpu_uring_file(cmd)->fdev->cq.unseen);
	io_uring_cmd_do_in_task_lazy(cmd, fluidnpu_uring_job_work);
}

static void fluidnpu_uring_wait_end(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct fluidnpu_uring_wait_pdu *pdu = fluidnpu_wait_pdu(cmd);
	struct fluidnpu_ctx *ctx = pdu->ctx;

	io_uring_cmd_done32(cmd, pdu->wait.result, pdu->wait.producer, issue_flags);
	fluidnpu_ctx_put(ctx);
}

static void fluidnpu_uring_wait_work(struct io_tw_req tw_req, io_tw_token_t tw)
{
	fluidnpu_uring_wait_end(io_uring_cmd_from_tw(tw_req), IO_URING_CMD_TASK_WORK_ISSUE_FLAGS);
}

/**
 * fluidnpu_uring_wait_done - complete a WAIT
 * @wait: off its ring's list, with the result; not to be touched afterwards
 *
 * In any context, with the ring's lock held.
 */
void fluidnpu_uring_wait_done(struct fluidnpu_event_wait *wait)
{
	void *pdu = container_of(wait, struct fluidnpu_uring_wait_pdu, wait);

	io_uring_cmd_do_in_task_lazy(container_of(pdu, struct io_uring_cmd, pdu),
				     fluidnpu_uring_wait_work);
}

/*
 * The ring goes, or the task calls exec. Comes again and again until the command is gone, so
 * it does not matter if it is too early, or too late and the command only waits for its
 * task work.
 */
static void fluidnpu_uring_cancel_wait(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct fluidnpu_uring_wait_pdu *pdu = fluidnpu_wait_pdu(cmd);

	if (fluidnpu_event_wait_remove(&pdu->ctx->events, &pdu->wait, -ECANCELED))
		fluidnpu_uring_wait_end(cmd, issue_flags);
}

static void fluidnpu_uring_cancel_job(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct fluidnpu_file *ffile = fluidnpu_uring_file(cmd);
	struct fluidnpu_uring *uring;
	unsigned long flags;

	spin_lock_irqsave(&ffile->uring_lock, flags);
	uring = fluidnpu_job_pdu(cmd)->uring;
	if (uring)
		fluidnpu_uring_take(uring);
	spin_unlock_irqrestore(&ffile->uring_lock, flags);

	if (uring)
		io_uring_cmd_done(cmd, -ECANCELED, issue_flags);
}

/* The command area is the user's memory: each word is read exactly once. */
static void fluidnpu_uring_read_sqe(struct io_uring_cmd *cmd, void *dst, size_t size)
{
	const u64 *from = (const u64 *)cmd->sqe->cmd;
	u64 *to = dst;
	size_t i;

	for (i = 0; i < size / sizeof(u64); i++)
		to[i] = READ_ONCE(from[i]);
}

static int fluidnpu_uring_read_ptr(struct drm_device *drm, struct io_uring_cmd *cmd,
				   struct drm_fluidnpu_uring_submit *args)
{
	struct drm_fluidnpu_uring_ptr ptr;
	int ret;

	fluidnpu_uring_read_sqe(cmd, &ptr, sizeof(ptr));
	if (ptr.pad || ptr.size < sizeof(*args)) {
		drm_dbg(drm, "uring_ptr: pad %#x is not 0 or size %u is too small\n", ptr.pad,
			ptr.size);
		return -EINVAL;
	}
	if (ptr.size > FLUIDNPU_MAX_URING_BYTES) {
		drm_dbg(drm, "uring_ptr.size %u is too large\n", ptr.size);
		return -E2BIG;
	}
	ret = copy_struct_from_user(args, sizeof(*args), u64_to_user_ptr(ptr.pointer), ptr.size);
	if (ret)
		drm_dbg(drm, "uring_ptr.pointer: cannot be copied: %d\n", ret);
	return ret;
}

static int fluidnpu_uring_read_inline(struct drm_device *drm, struct io_uring_cmd *cmd,
				      unsigned int issue_flags,
				      struct drm_fluidnpu_uring_submit *args)
{
	if (!(issue_flags & IO_URING_F_SQE128)) {
		drm_dbg(drm, "io_uring command %#x needs a ring with IORING_SETUP_SQE128\n",
			cmd->cmd_op);
		return -EINVAL;
	}
	fluidnpu_uring_read_sqe(cmd, args, sizeof(*args));
	return 0;
}

static int fluidnpu_uring_submit(struct drm_file *file, struct io_uring_cmd *cmd,
				 unsigned int issue_flags, bool by_pointer, bool inject)
{
	struct drm_device *drm = file->minor->dev;
	struct drm_fluidnpu_uring_submit args;
	struct fluidnpu_submit submit;
	int ret;

	/* What is in flight ends by itself, but nothing new begins. */
	if (drm_dev_is_unplugged(drm))
		return -ENODEV;

	ret = by_pointer ? fluidnpu_uring_read_ptr(drm, cmd, &args) :
			   fluidnpu_uring_read_inline(drm, cmd, issue_flags, &args);
	if (ret)
		return ret;
	ret = fluidnpu_check_uring_submit(drm, &args);
	if (ret)
		return ret;

	ret = fluidnpu_submit_prepare_one(&submit, file, args.ctx_id, &args.job, inject);
	if (ret)
		return ret;

	/*
	 * From here on the command must be completed with io_uring_cmd_done(), and
	 * once it is attached, others may do so at any moment. Marking takes the
	 * ring's lock, under which others take reservation locks: it has to come
	 * before them.
	 */
	fluidnpu_job_pdu(cmd)->uring = NULL;
	io_uring_cmd_mark_cancelable(cmd, issue_flags);
	fluidnpu_uring_attach(submit.only, cmd);

	/* Not interruptible: io_uring's own task work counts as a signal. */
	ret = fluidnpu_submit_lock(&submit, false);
	if (!ret)
		fluidnpu_submit_commit(&submit);
	else if (!fluidnpu_uring_detach(submit.only))
		ret = 0; /* Cancelled. */
	/* Finishing can take the ring's lock, too: it has to come after the unlocking. */
	fluidnpu_submit_fini(&submit);
	if (ret)
		io_uring_cmd_done(cmd, ret, issue_flags);

	return -EIOCBQUEUED;
}

static int fluidnpu_uring_wait(struct drm_file *file, struct io_uring_cmd *cmd,
			       unsigned int issue_flags)
{
	struct fluidnpu_uring_wait_pdu *pdu = fluidnpu_wait_pdu(cmd);
	struct drm_device *drm = file->minor->dev;
	struct drm_fluidnpu_uring_wait args;
	struct fluidnpu_ctx *ctx;

	fluidnpu_uring_read_sqe(cmd, &args, sizeof(args));
	ctx = fluidnpu_ctx_lookup(file->driver_priv, args.ctx_id);
	if (!ctx) {
		drm_dbg(drm, "uring_wait.ctx_id: no context %u\n", args.ctx_id);
		return -ENOENT;
	}
	if (!args.count || args.count > ctx->events.entries) {
		drm_dbg(drm, "uring_wait.count %u is not in 1..%u\n", args.count,
			ctx->events.entries);
		fluidnpu_ctx_put(ctx);
		return -EINVAL;
	}

	/* As in fluidnpu_uring_submit(). */
	pdu->ctx = ctx;
	fluidnpu_event_wait_init(&pdu->wait, args.producer + args.count, args.user_data_lo);
	io_uring_cmd_mark_cancelable(cmd, issue_flags);
	if (!fluidnpu_event_wait_add(&ctx->events, &pdu->wait, args.count))
		fluidnpu_uring_wait_end(cmd, issue_flags);

	return -EIOCBQUEUED;
}

static int fluidnpu_uring_yield(struct drm_file *file, struct io_uring_cmd *cmd)
{
	struct drm_fluidnpu_yield args;

	if (drm_dev_is_unplugged(file->minor->dev))
		return -ENODEV;
	fluidnpu_uring_read_sqe(cmd, &args, sizeof(args));
	return fluidnpu_yield(file, &args);
}

/*
 * There can be tens of thousands: interrupts get a chance after each few. What has been
 * looked at goes back to the context's list; what ends meanwhile leaves the other one.
 */
static u32 fluidnpu_uring_cancel_jobs(struct fluidnpu_ctx *ctx, u64 user_data)
{
	spinlock_t *lock = &ctx->ffile->uring_lock;
	u32 count = 0, looked_at = 0;
	LIST_HEAD(rest);

	/* No other CANCEL shall miss what is on our list. */
	mutex_lock(&ctx->lock);
	spin_lock_irq(lock);
	list_splice_init(&ctx->uring_jobs, &rest);
	while (!list_empty(&rest)) {
		struct fluidnpu_uring *uring = list_first_entry(&rest, struct fluidnpu_uring, node);

		list_move_tail(&uring->node, &ctx->uring_jobs);
		if (container_of(uring, struct fluidnpu_job, uring)->user_data == user_data) {
			fluidnpu_uring_end_job(fluidnpu_uring_take(uring), -ECANCELED, 0);
			count++;
		}
		if (!(++looked_at % FLUIDNPU_CANCEL_BATCH)) {
			spin_unlock_irq(lock);
			cond_resched();
			spin_lock_irq(lock);
		}
	}
	spin_unlock_irq(lock);
	mutex_unlock(&ctx->lock);

	return count;
}

static int fluidnpu_uring_cancel(struct drm_file *file, struct io_uring_cmd *cmd)
{
	struct drm_device *drm = file->minor->dev;
	struct drm_fluidnpu_yield args;
	struct fluidnpu_ctx *ctx;
	u32 count;
	int ret;

	fluidnpu_uring_read_sqe(cmd, &args, sizeof(args));
	ret = fluidnpu_check_yield(drm, &args);
	if (ret)
		return ret;
	ctx = fluidnpu_ctx_lookup(file->driver_priv, args.ctx_id);
	if (!ctx) {
		drm_dbg(drm, "uring_cancel.ctx_id: no context %u\n", args.ctx_id);
		return -ENOENT;
	}
	count = fluidnpu_uring_cancel_jobs(ctx, args.user_data) +
		fluidnpu_event_cancel_waits(&ctx->events, args.user_data);
	fluidnpu_ctx_put(ctx);

	return count ?: -ENOENT;
}

static void fluidnpu_uring_cancel_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	if (cmd->cmd_op == FLUIDNPU_URING_WAIT)
		fluidnpu_uring_cancel_wait(cmd, issue_flags);
	else
		fluidnpu_uring_cancel_job(cmd, issue_flags);
}

/**
 * fluidnpu_uring_cmd - &file_operations.uring_cmd
 * @cmd: command
 * @issue_flags: IO_URING_F_*
 *
 * Like drm_ioctl(), it is not inside of drm_dev_enter(): copying from user memory
 * can take as long as its owner likes, and unplug would wait for it.
 *
 * Return: -EIOCBQUEUED or what the command completes with.
 */
int fluidnpu_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct drm_file *file = cmd->file->private_data;

	if (issue_flags & IO_URING_F_CANCEL) {
		fluidnpu_uring_cancel_cmd(cmd, issue_flags);
		return 0;
	}
	/* Not reached on kernels without uring_cmd_iopoll, which refuse it themselves. */
	if (issue_flags & IO_URING_F_IOPOLL)
		return -EOPNOTSUPP;
	if (cmd->flags & IORING_URING_CMD_FIXED) {
		drm_dbg(file->minor->dev, "no command uses registered buffers\n");
		return -EINVAL;
	}

	switch (cmd->cmd_op) {
	case FLUIDNPU_URING_SUBMIT:
		return fluidnpu_uring_submit(file, cmd, issue_flags, false, false);
	case FLUIDNPU_URING_SUBMIT_PTR:
		return fluidnpu_uring_submit(file, cmd, issue_flags, true, false);
	case FLUIDNPU_URING_INJECT:
		return fluidnpu_uring_submit(file, cmd, issue_flags, false, true);
	case FLUIDNPU_URING_INJECT_PTR:
		return fluidnpu_uring_submit(file, cmd, issue_flags, true, true);
	case FLUIDNPU_URING_YIELD:
		return fluidnpu_uring_yield(file, cmd);
	case FLUIDNPU_URING_WAIT:
		return fluidnpu_uring_wait(file, cmd, issue_flags);
	case FLUIDNPU_URING_CANCEL:
		return fluidnpu_uring_cancel(file, cmd);
	default:
		drm_dbg(file->minor->dev, "no io_uring command %#x\n", cmd->cmd_op);
		return -ENOTTY;
	}
}
