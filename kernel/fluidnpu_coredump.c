// SPDX-License-Identifier: GPL-2.0
/*
 * FluidNPU accel driver: what was going on when something went wrong.
 *
 * Before a reset because of a hang or a fatal error the state of device and driver is
 * copied into a snapshot. A work makes text of it and gives it to devcoredump, where user
 * space finds it as /sys/class/devcoredump/devcd<n>/data; that keeps one dump per device
 * until it is read or five minutes old.
 *
 * The snapshot is allocated with the device. A timeout is handled while others wait for
 * the fences of the jobs, freeing memory among them: it must not wait for memory itself.
 *
 * The text: lines of "name: value" and, indented below a line, what belongs to it.
 * Numbers are hexadecimal if they begin with 0x. Addresses of a job are iovas of its
 * address space, the others are bus addresses.
 *
 *	reason, time		why; CLOCK_BOOTTIME in ns
 *	device			version, features, status; device time in cycles
 *	completion ring		what the driver has read, the last entries before that and
 *				the first after it
 *	queue			registers; the driver's view of its ring
 *	job			one that the device has, with its ring entry and samples;
 *				the oldest ones of each queue
 */
#include <linux/devcoredump.h>
#include <linux/mm.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#include <drm/drm_drv.h>
#include <drm/drm_managed.h>
#include <drm/drm_print.h>

#include "fluidnpu_coredump.h"
#include "fluidnpu_ctx.h"
#include "fluidnpu_device.h"
#include "fluidnpu_job.h"
#include "fluidnpu_mmu.h"

/* Completions in a dump. The last of them is the one that the driver waits for. */
#define FLUIDNPU_DUMP_CQES	16

/* Jobs in a dump, the oldest ones of each queue. */
#define FLUIDNPU_DUMP_JOBS	8

/* More than the longest text. */
#define FLUIDNPU_DUMP_BYTES	SZ_128K

/**
 * struct fluidnpu_dump_job - a job that the device has
 * @queue: its queue
 * @slot: its sample table
 * @guilty: the dump was made because of it
 * @pid: of the client
 * @comm: of the client
 * @root: of its address space
 * @user_data: of the job
 * @sqe: ring entry
 * @samples: sample table, @sqe.num_samples of them
 */
struct fluidnpu_dump_job {
	u32 queue;
	u32 slot;
	bool guilty;
	pid_t pid;
	char comm[TASK_COMM_LEN];
	dma_addr_t root;
	u64 user_data;
	struct fluidnpu_hw_sqe sqe;
	struct fluidnpu_hw_sample samples[FLUIDNPU_MAX_BATCH];
};

/**
 * struct fluidnpu_dump_queue - a queue
 * @status: FLUIDNPU_QREG_STATUS
 * @hw_head: FLUIDNPU_QREG_HEAD
 * @first: serial number of the ring's entry 0
 * @head: of the oldest entry that the device may not have taken
 * @tail: of the next entry
 */
struct fluidnpu_dump_queue {
	u32 status;
	u32 hw_head;
	u64 first;
	u64 head;
	u64 tail;
};

/**
 * struct fluidnpu_coredump - a snapshot
 * @fdev: the device
 * @work: makes text of it
 * @busy: it waits for @work, which pins the device; protected by hw_lock
 * @reason: why it was made
 * @boottime_ns: when
 * @time: device time
 * @status: FLUIDNPU_REG_STATUS
 * @queues: queues
 * @cq_head: next completion that the driver reads
 * @cq_acked: what the device knows of that
 * @cqes: completions @cq_head - FLUIDNPU_DUMP_CQES + 1 to @cq_head
 * @num_jobs: entries of @jobs
 * @jobs: those that the device has
 */
struct fluidnpu_coredump {
	struct fluidnpu_device *fdev;
	struct work_struct work;
	bool busy;
	const char *reason;
	u64 boottime_ns;
	u64 time;
	u32 status;
	struct fluidnpu_dump_queue queues[FLUIDNPU_NUM_PRIORITIES];
	u32 cq_head;
	u32 cq_acked;
	struct fluidnpu_hw_cqe cqes[FLUIDNPU_DUMP_CQES];
	u32 num_jobs;
	struct fluidnpu_dump_job jobs[FLUIDNPU_NUM_PRIORITIES * FLUIDNPU_DUMP_JOBS];
};

static void fluidnpu_coredump_print_job(struct drm_printer *p, const struct fluidnpu_dump_job *job)
{
	const struct fluidnpu_hw_sqe *sqe = &job->sqe;
	u32 i;

	drm_printf(p, "job: queue %u slot %u%s\n", job->queue, job->slot,
		   job->guilty ? " guilty" : "");
	drm_printf(p, "\tclient: %s[%d]\n", job->comm, job->pid);
	drm_printf(p, "\tuser_data: 0x%llx\n", job->user_data);
	drm_printf(p, "\tcookie: 0x%llx\n", sqe->cookie);
	drm_printf(p, "\topcode: %u flags 0x%x\n", sqe->opcode, sqe->flags);
	drm_printf(p, "\taddress space: %u root 0x%llx\n", sqe->as_id, (u64)job->root);
	drm_printf(p, "\tprogram: 0x%llx bytes %u\n", sqe->program_iova, sqe->program_bytes);
	drm_printf(p, "\tstop_layer: %u\n", sqe->stop_layer);
	drm_printf(p, "\tsamples: %u table 0x%llx\n", sqe->num_samples, sqe->samples_addr);
	for (i = 0; i < sqe->num_samples; i++) {
		const struct fluidnpu_hw_sample *sample = &job->samples[i];

		drm_printf(p, "\t\tinput 0x%llx state 0x%llx logits 0x%llx layer %u\n",
			   sample->input_iova, sample->state_iova, sample->logits_iova,
			   sample->start_layer);
	}
}

static void fluidnpu_coredump_print(struct drm_printer *p, const struct fluidnpu_coredump *dump)
{
	struct fluidnpu_device *fdev = dump->fdev;
	u32 i;

	drm_printf(p, "reason: %s\n", dump->reason);
	drm_printf(p, "time: %llu\n", dump->boottime_ns);
	drm_printf(p, "device: version 0x%x features 0x%x status 0x%x time %llu\n",
		   fdev->hw_version, fdev->features, dump->status, dump->time);

	drm_printf(p, "completion ring: head %u acked %u\n", dump->cq_head, dump->cq_acked);
	for (i = 0; i < FLUIDNPU_DUMP_CQES; i++) {
		const struct fluidnpu_hw_cqe *cqe = &dump->cqes[i];

		drm_printf(p, "\t%u: cookie 0x%llx type %u status %u sample %u layer %u time %llu phase %u\n",
			   dump->cq_head + 1 + i - FLUIDNPU_DUMP_CQES, cqe->cookie, cqe->type,
			   cqe->status, cqe->sample, cqe->layer, cqe->time, cqe->phase);
	}

	for (i = 0; i < fdev->num_queues; i++) {
		const struct fluidnpu_dump_queue *queue = &dump->queues[i];

		drm_printf(p, "queue: %u status 0x%x fetched %u first %llu head %llu tail %llu\n",
			   i, queue->status, queue->hw_head, queue->first, queue->head,
			   queue->tail);
	}
	for (i = 0; i < dump->num_jobs; i++)
		fluidnpu_coredump_print_job(p, &dump->jobs[i]);
}

static void fluidnpu_coredump_work(struct work_struct *work)
{
	struct fluidnpu_coredump *dump = container_of(work, struct fluidnpu_coredump, work);
	struct drm_print_iterator iter = { .remain = FLUIDNPU_DUMP_BYTES };
	struct drm_printer p = drm_coredump_printer(&iter);
	struct fluidnpu_device *fdev = dump->fdev;
	unsigned long flags;
	int idx;

	iter.data = vmalloc(FLUIDNPU_DUMP_BYTES);
	if (iter.data)
		fluidnpu_coredump_print(&p, dump);

	spin_lock_irqsave(&fdev->hw_lock, flags);
	dump->busy = false;
	spin_unlock_irqrestore(&fdev->hw_lock, flags);

	if (iter.data && drm_dev_enter(&fdev->drm, &idx)) {
		/* Takes the text over. */
		dev_coredumpv(fdev->drm.dev, iter.data, FLUIDNPU_DUMP_BYTES - iter.remain,
			      GFP_KERNEL);
		drm_dev_exit(idx);
	} else {
		vfree(iter.data);
	}
	fluidnpu_device_put_user(fdev);
}

static void fluidnpu_coredump_copy_job(struct fluidnpu_coredump *dump,
				       const struct fluidnpu_queue *queue,
				       const struct fluidnpu_job *job,
				       const struct fluidnpu_job *guilty)
{
	const struct fluidnpu_file *ffile = job->ctx->ffile;
	struct fluidnpu_dump_job *to = &dump->jobs[dump->num_jobs++];
	u32 table = job->slot * queue->fdev->geometry.max_batch;

	to->queue = queue->index;
	to->slot = job->slot;
	to->guilty = job == guilty;
	to->pid = ffile->pid;
	strscpy(to->comm, ffile->comm);
	to->root = fluidnpu_vm_root(job->ctx->vm);
	to->user_data = job->user_data;
	to->sqe = *fluidnpu_queue_entry(queue, job);
	/* It is what the ring says, too, but memory that the device can write may lie. */
	to->sqe.num_samples = job->num_running;
	memcpy(to->samples, &queue->tables[table], job->num_running * sizeof(*to->samples));
}

static void fluidnpu_coredump_copy_queue(struct fluidnpu_coredump *dump,
					 struct fluidnpu_queue *queue,
					 const struct fluidnpu_job *guilty)
{
	u32 reg = FLUIDNPU_REG_QUEUE(queue->index);
	const struct fluidnpu_job *job;
	u32 count = 0;

	dump->queues[queue->index] = (struct fluidnpu_dump_queue) {
		.status = fluidnpu_read(queue->fdev, reg + FLUIDNPU_QREG_STATUS),
		.hw_head = fluidnpu_read(queue->fdev, reg + FLUIDNPU_QREG_HEAD),
		.first = queue->first,
		.head = queue->head,
		.tail = queue->tail,
	};
	list_for_each_entry(job, &queue->jobs, node) {
		if (job->slot != FLUIDNPU_NO_SLOT && count++ < FLUIDNPU_DUMP_JOBS)
			fluidnpu_coredump_copy_job(dump, queue, job, guilty);
	}
}

/**
 * fluidnpu_coredump_take - take a snapshot for user space
 * @fdev: the device, its registers can be used; hw_lock is held
 * @reason: a string that stays
 * @guilty: job that is at fault, or NULL
 *
 * If the one before has not been written yet nothing is done: it tells where it began.
 */
void fluidnpu_coredump_take(struct fluidnpu_device *fdev, const char *reason,
			    const struct fluidnpu_job *guilty)
{
	struct fluidnpu_coredump *dump = fdev->coredump;
	struct fluidnpu_cq *cq = &fdev->cq;
	u32 i;

	lockdep_assert_held(&fdev->hw_lock);

	if (dump->busy)
		return;
	dump->busy = true;
	dump->reason = reason;
	dump->boottime_ns = ktime_get_boottime_ns();
	dump->time = fluidnpu_read64(fdev, FLUIDNPU_REG_TIME_LO);
	dump->status = fluidnpu_read(fdev, FLUIDNPU_REG_STATUS);

	dump->cq_head = cq->head;
	dump->cq_acked = cq->acked;
	for (i = 0; i < FLUIDNPU_DUMP_CQES; i++) {
		u32 entry = cq->head + 1 + i - FLUIDNPU_DUMP_CQES;

		dump->cqes[i] = cq->ring[entry % FLUIDNPU_CQ_ENTRIES];
	}

	dump->num_jobs = 0;
	for (i = 0; i < fdev->num_queues; i++)
		fluidnpu_coredump_copy_queue(dump, &fdev->queues[i], guilty);

	fluidnpu_device_get_user(fdev);
	queue_work(fluidnpu_wq, &dump->work);
}

static void fluidnpu_coredump_free(struct drm_device *drm, void *dump)
{
	kvfree(dump);
}

/**
 * fluidnpu_coredump_init - allocate the snapshot
 * @fdev: the device
 *
 * Return: 0 or -ENOMEM.
 */
int fluidnpu_coredump_init(struct fluidnpu_device *fdev)
{
	struct fluidnpu_coredump *dump = kvzalloc(sizeof(*dump), GFP_KERNEL);

	if (!dump)
		return -ENOMEM;
	dump->fdev = fdev;
	INIT_WORK(&dump->work, fluidnpu_coredump_work);
	fdev->coredump = dump;
	return drmm_add_action_or_reset(&fdev->drm, fluidnpu_coredump_free, dump);
}
