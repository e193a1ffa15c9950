// SPDX-License-Identifier: MIT
/*
 * The honest client of fuzz_uapi: it runs beside the others, and counts. Each job that the
 * driver has accepted ends with exactly one JOB event, and each command with exactly one
 * completion, whatever the others do to the device.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "checker.h"

#define BATCH 8
#define ENTRIES 512

struct checker {
	struct rng rng;
	int fd;
	struct ctx ctx;
	struct net net;
	struct io_uring ring;
	struct job jobs[BATCH];
	struct drm_fluidnpu_uring_submit commands[BATCH];
	unsigned int count;
	unsigned int ended_well;	/* of the commands: their events must be there */
	uint64_t first;		/* user_data of the batch: first..first + count - 1 */
};

static bool checker_open(struct checker *c)
{
	c->fd = open(npu_path(), O_RDWR | O_CLOEXEC);
	if (c->fd < 0)
		return false;
	if (ctx_create(c->fd, DRM_FLUIDNPU_PRIORITY_NORMAL, ENTRIES, &c->ctx))
		goto err_close;
	if (net_create(c->fd, 2, &c->net))
		goto err_ctx;
	if (io_uring_queue_init(2 * BATCH, &c->ring, IORING_SETUP_SQE128))
		goto err_net;
	return true;

err_net:
	net_destroy(&c->net);
err_ctx:
	ctx_destroy(&c->ctx);
err_close:
	close(c->fd);
	return false;
}

static void checker_close(struct checker *c)
{
	io_uring_queue_exit(&c->ring);
	net_destroy(&c->net);
	ctx_destroy(&c->ctx);
	close(c->fd);
}

static void fill_batch(struct checker *c)
{
	c->first += BATCH;
	c->count = 1 + rng_below(&c->rng, BATCH);
	for (unsigned int i = 0; i < c->count; i++) {
		struct job *job = &c->jobs[i];

		job_init(job, &c->net, 1 + rng_below(&c->rng, 4), c->first + i);
		if (rng_chance(&c->rng, 10))
			job->samples[0].input_iova = 4096;	/* ends with EIO */
	}
}

/* How many of the batch's first jobs the driver has taken; a negative errno if none. */
static int send_by_ioctl(struct checker *c)
{
	struct drm_fluidnpu_job args[BATCH];
	int ret;

	for (unsigned int i = 0; i < c->count; i++)
		args[i] = c->jobs[i].args;
	ret = submit(&c->ctx, args, c->count, NULL, 0);
	return ret ? ret : (int)c->count;
}

static int finding(const char *what, uint64_t user_data, int seen)
{
	printf("FINDING: %s: job %llu, %d\n", what, (unsigned long long)user_data, seen);
	return -EPROTO;
}

/* Commands with the same meaning; those that are refused complete with a job's errno, too. */
static int send_by_ring(struct checker *c)
{
	unsigned int seen[BATCH] = { 0 };

	c->ended_well = 0;
	for (unsigned int i = 0; i < c->count; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&c->ring);

		if (!sqe)
			return finding("the submission ring is full", c->first, 0);
		c->commands[i] = (struct drm_fluidnpu_uring_submit){
			.ctx_id = c->ctx.id, .job = c->jobs[i].args,
		};
		memset(sqe, 0, 128);
		sqe->opcode = IORING_OP_URING_CMD;
		sqe->fd = c->fd;
		sqe->cmd_op = FLUIDNPU_URING_SUBMIT;
		sqe->user_data = i;
		memcpy(sqe->cmd, &c->commands[i], sizeof(c->commands[i]));
	}
	if (io_uring_submit(&c->ring) != (int)c->count)
		return finding("io_uring_submit took less", c->first, 0);
	for (unsigned int i = 0; i < c->count; i++) {
		struct io_uring_cqe *cqe;
		int ret;

		do {
			ret = io_uring_wait_cqe(&c->ring, &cqe);
		} while (ret == -EINTR);
		if (ret || cqe->user_data >= c->count || seen[cqe->user_data]++)
			return finding("a completion came twice", cqe->user_data, ret);
		c->ended_well += !cqe->res;
		io_uring_cqe_seen(&c->ring, cqe);
	}
	/* With a job's EIO or a refusal's; the events tell which it was. */
	return (int)c->count;
}

/* Takes the JOB events of @sent jobs; by ring some of them may have been refused. */
static int check_events(struct checker *c, unsigned int sent, bool all)
{
	struct drm_fluidnpu_event event;
	unsigned int seen[BATCH] = { 0 }, ended_well = 0;

	while (sent--) {
		if (!all && !ctx_pending(&c->ctx))
			break;
		if (!ctx_job_event(&c->ctx, &event))
			return finding("the event did not come", c->first, sent);
		ended_well += !event.error;
		if (event.user_data < c->first || event.user_data >= c->first + c->count ||
		    seen[event.user_data - c->first]++)
			return finding("an event is wrong or came twice", event.user_data,
				       event.error);
		fuzz_stats->checked_jobs++;
		fuzz_stats->checked_errors[-event.error < MAX_ERRNO ? -event.error : 0]++;
	}
	if (ctx_pending(&c->ctx))
		return finding("more events than jobs", c->first, ctx_pending(&c->ctx));
	if (!all && ended_well != c->ended_well)
		return finding("events and completions differ", c->first, ended_well);
	return 0;
}

static int check_batch(struct checker *c)
{
	bool by_ring = rng_chance(&c->rng, 50);
	int sent;

	fill_batch(c);
	sent = by_ring ? send_by_ring(c) : send_by_ioctl(c);
	if (sent < 0)
		return sent;
	return check_events(c, sent, !by_ring);
}

int checker_run(uint64_t seed, struct progress *progress, const bool *stop)
{
	struct checker c = { .rng.state = seed };
	int ret = 0;

	while (!__atomic_load_n(stop, __ATOMIC_RELAXED)) {
		progress->busy = true;
		progress->step++;
		if (!checker_open(&c)) {
			usleep(10000); /* no device, no address space or no memory just now */
			continue;
		}
		ret = 0;
		for (unsigned int i = 0; i < 200 && !ret; i++) {
			progress->step++;
			ret = check_batch(&c);
			if (__atomic_load_n(stop, __ATOMIC_RELAXED))
				break;
		}
		checker_close(&c);
		if (ret == -EPROTO)
			return 1;
	}
	progress->busy = false;
	return 0;
}
