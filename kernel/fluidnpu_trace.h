/* SPDX-License-Identifier: GPL-2.0 */
/*
 * FluidNPU accel driver: tracepoints, events/fluidnpu in tracefs.
 *
 * The way of a job: fluidnpu_job_submit (accepted), fluidnpu_job_run (in the device's ring),
 * fluidnpu_job_sample (one per completion of a sample), fluidnpu_job_end. A client's job is
 * known by pid, ctx and user_data, the device's run of it by its cookie. Times are device cycles.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM fluidnpu

#if !defined(_FLUIDNPU_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _FLUIDNPU_TRACE_H

#include <linux/tracepoint.h>

#include <fluidnpu_drm.h>

#include "fluidnpu_ctx.h"
#include "fluidnpu_device.h"
#include "fluidnpu_job.h"
#include "fluidnpu_mmu.h"

/* The cookie is 0 until the job gets to the device. */
DECLARE_EVENT_CLASS(fluidnpu_job,
		    TP_PROTO(struct fluidnpu_job *job),
		    TP_ARGS(job),
		    TP_STRUCT__entry(__field(int, npu)
				     __field(pid_t, pid)
				     __field(u32, ctx)
				     __field(u32, queue)
				     __field(u64, user_data)
				     __field(u64, cookie)
				     __field(u32, flags)
				     __field(u32, samples)
				     __field(u32, start_layer)),
		    TP_fast_assign(__entry->npu = job->ctx->ffile->fdev->index;
				   __entry->pid = job->ctx->ffile->pid;
				   __entry->ctx = job->ctx->id;
				   __entry->queue = job->ctx->queue->index;
				   __entry->user_data = job->user_data;
				   __entry->cookie = job->cookie;
				   __entry->flags = job->flags;
				   __entry->samples = job->num_samples;
				   __entry->start_layer = job->num_samples ?
							  job->samples[0].args.start_layer : 0;),
		    TP_printk("npu=%d client=%d ctx=%u queue=%u user_data=%#llx cookie=%#llx flags=%#x samples=%u start_layer=%u",
			      __entry->npu, __entry->pid, __entry->ctx, __entry->queue,
			      __entry->user_data, __entry->cookie,
			      __entry->flags, __entry->samples, __entry->start_layer)
);

/* Accepted from user space. */
DEFINE_EVENT(fluidnpu_job, fluidnpu_job_submit,
	     TP_PROTO(struct fluidnpu_job *job), TP_ARGS(job));

/* Put into the ring; again after a reset. */
DEFINE_EVENT(fluidnpu_job, fluidnpu_job_run,
	     TP_PROTO(struct fluidnpu_job *job), TP_ARGS(job));

/* The device is asked to hand the samples back. */
DEFINE_EVENT(fluidnpu_job, fluidnpu_job_yield,
	     TP_PROTO(struct fluidnpu_job *job), TP_ARGS(job));

#define fluidnpu_trace_cqe_type(type) \
	__print_symbolic(type, \
			 { FLUIDNPU_CQE_EXIT, "exit" }, \
			 { FLUIDNPU_CQE_HEAD, "head" }, \
			 { FLUIDNPU_CQE_YIELD, "yield" })

/* A sample has left, passed a head or was handed back; @user_data is the sample's. */
TRACE_EVENT(fluidnpu_job_sample,
	    TP_PROTO(struct fluidnpu_job *job, const struct fluidnpu_hw_cqe *cqe),
	    TP_ARGS(job, cqe),
	    TP_STRUCT__entry(__field(int, npu)
			     __field(pid_t, pid)
			     __field(u32, ctx)
			     __field(u32, queue)
			     __field(u64, user_data)
			     __field(u64, cookie)
			     __field(u64, time)
			     __field(u8, type)
			     __field(u8, sample)
			     __field(u8, exit_index)
			     __field(u8, live_batch)
			     __field(u16, class_index)
			     __field(u16, layer)),
	    TP_fast_assign(__entry->npu = job->ctx->ffile->fdev->index;
			   __entry->pid = job->ctx->ffile->pid;
			   __entry->ctx = job->ctx->id;
			   __entry->queue = job->ctx->queue->index;
			   __entry->user_data = job->user_data;
			   __entry->cookie = job->cookie;
			   __entry->user_data = job->samples[cqe->sample].args.user_data;
			   __entry->time = cqe->time;
			   __entry->type = cqe->type;
			   __entry->sample = cqe->sample;
			   __entry->exit_index = cqe->exit_index;
			   __entry->live_batch = cqe->live_batch;
			   __entry->class_index = cqe->class_index;
			   __entry->layer = cqe->layer;),
	    TP_printk("npu=%d client=%d ctx=%u queue=%u user_data=%#llx cookie=%#llx %s sample=%u layer=%u exit=%u class=%u live_batch=%u time=%llu",
		      __entry->npu, __entry->pid, __entry->ctx, __entry->queue,
		      __entry->user_data, __entry->cookie,
		      fluidnpu_trace_cqe_type(__entry->type), __entry->sample,
		      __entry->layer, __entry->exit_index, __entry->class_index,
		      __entry->live_batch, __entry->time)
);

/* The times are 0 if the device did not end it. */
TRACE_EVENT(fluidnpu_job_end,
	    TP_PROTO(struct fluidnpu_job *job, int error, const struct fluidnpu_hw_cqe *cqe),
	    TP_ARGS(job, error, cqe),
	    TP_STRUCT__entry(__field(int, npu)
			     __field(pid_t, pid)
			     __field(u32, ctx)
			     __field(u32, queue)
			     __field(u64, user_data)
			     __field(u64, cookie)
			     __field(int, error)
			     __field(u32, layer)
			     __field(u32, live_batch)
			     __field(u64, queued)
			     __field(u64, started)
			     __field(u64, time)),
	    TP_fast_assign(__entry->npu = job->ctx->ffile->fdev->index;
			   __entry->pid = job->ctx->ffile->pid;
			   __entry->ctx = job->ctx->id;
			   __entry->queue = job->ctx->queue->index;
			   __entry->user_data = job->user_data;
			   __entry->cookie = job->cookie;
			   __entry->error = error;
			   __entry->layer = cqe ? cqe->layer : 0;
			   __entry->live_batch = cqe ? cqe->live_batch : 0;
			   __entry->queued = cqe ? cqe->queued : 0;
			   __entry->started = cqe ? cqe->started : 0;
			   __entry->time = cqe ? cqe->time : 0;),
	    TP_printk("npu=%d client=%d ctx=%u queue=%u user_data=%#llx cookie=%#llx error=%d layer=%u live_batch=%u queued=%llu started=%llu time=%llu",
		      __entry->npu, __entry->pid, __entry->ctx, __entry->queue,
		      __entry->user_data, __entry->cookie,
		      __entry->error, __entry->layer, __entry->live_batch,
		      __entry->queued, __entry->started, __entry->time)
);

/* The jobs in flight are run again, but for the one that is to blame (0: none). */
TRACE_EVENT(fluidnpu_queue_restart,
	    TP_PROTO(struct fluidnpu_queue *queue, u32 jobs, struct fluidnpu_job *guilty),
	    TP_ARGS(queue, jobs, guilty),
	    TP_STRUCT__entry(__field(int, npu)
			     __field(u32, queue)
			     __field(u32, jobs)
			     __field(u64, guilty)),
	    TP_fast_assign(__entry->npu = queue->fdev->index;
			   __entry->queue = queue->index;
			   __entry->jobs = jobs;
			   __entry->guilty = guilty ? guilty->cookie : 0;),
	    TP_printk("npu=%d queue=%u jobs=%u guilty=%#llx", __entry->npu, __entry->queue,
		      __entry->jobs, __entry->guilty)
);

/* The device has been reset, by whomever; @off: 0, or why it does not run. */
TRACE_EVENT(fluidnpu_device_reset,
	    TP_PROTO(struct fluidnpu_device *fdev, u32 off),
	    TP_ARGS(fdev, off),
	    TP_STRUCT__entry(__field(int, npu)
			     __field(u32, off)),
	    TP_fast_assign(__entry->npu = fdev->index;
			   __entry->off = off;),
	    TP_printk("npu=%d off=%#x", __entry->npu, __entry->off)
);

/* The device has stopped because of something it cannot go on from. */
TRACE_EVENT(fluidnpu_device_fatal,
	    TP_PROTO(struct fluidnpu_device *fdev, u32 status),
	    TP_ARGS(fdev, status),
	    TP_STRUCT__entry(__field(int, npu)
			     __field(u32, status)),
	    TP_fast_assign(__entry->npu = fdev->index;
			   __entry->status = status;),
	    TP_printk("npu=%d status=%#x", __entry->npu, __entry->status)
);

#define fluidnpu_trace_as_command(command) \
	__print_symbolic(command, \
			 { FLUIDNPU_AS_CMD_ENABLE, "enable" }, \
			 { FLUIDNPU_AS_CMD_DISABLE, "disable" }, \
			 { FLUIDNPU_AS_CMD_FLUSH, "flush" })

/* The device is told of an address space. */
TRACE_EVENT(fluidnpu_as_command,
	    TP_PROTO(struct fluidnpu_vm *vm, u32 command),
	    TP_ARGS(vm, command),
	    TP_STRUCT__entry(__field(int, npu)
			     __field(u32, as)
			     __field(u32, command)),
	    TP_fast_assign(__entry->npu = vm->fdev->index;
			   __entry->as = vm->as_id;
			   __entry->command = command;),
	    TP_printk("npu=%d as=%u %s", __entry->npu, __entry->as,
		      fluidnpu_trace_as_command(__entry->command))
);

DECLARE_EVENT_CLASS(fluidnpu_range,
		    TP_PROTO(struct fluidnpu_vm *vm, u64 iova, u64 bytes),
		    TP_ARGS(vm, iova, bytes),
		    TP_STRUCT__entry(__field(int, npu)
				     __field(u32, as)
				     __field(u64, iova)
				     __field(u64, bytes)),
		    TP_fast_assign(__entry->npu = vm->fdev->index;
				   __entry->as = vm->as_id;
				   __entry->iova = iova;
				   __entry->bytes = bytes;),
		    TP_printk("npu=%d as=%u iova=%#llx bytes=%llu", __entry->npu, __entry->as,
			      __entry->iova, __entry->bytes)
);

/* A buffer got an address, or is about to lose it. */
DEFINE_EVENT(fluidnpu_range, fluidnpu_as_map,
	     TP_PROTO(struct fluidnpu_vm *vm, u64 iova, u64 bytes), TP_ARGS(vm, iova, bytes));
DEFINE_EVENT(fluidnpu_range, fluidnpu_as_unmap,
	     TP_PROTO(struct fluidnpu_vm *vm, u64 iova, u64 bytes), TP_ARGS(vm, iova, bytes));

/* The completion interrupt found so many entries in the ring. */
TRACE_EVENT(fluidnpu_irq,
	    TP_PROTO(struct fluidnpu_device *fdev, u32 completions),
	    TP_ARGS(fdev, completions),
	    TP_STRUCT__entry(__field(int, npu)
			     __field(u32, completions)),
	    TP_fast_assign(__entry->npu = fdev->index;
			   __entry->completions = completions;),
	    TP_printk("npu=%d completions=%u", __entry->npu, __entry->completions)
);

/* The device goes to sleep or has been woken up. */
TRACE_EVENT(fluidnpu_pm,
	    TP_PROTO(struct fluidnpu_device *fdev, bool awake),
	    TP_ARGS(fdev, awake),
	    TP_STRUCT__entry(__field(int, npu)
			     __field(bool, awake)),
	    TP_fast_assign(__entry->npu = fdev->index;
			   __entry->awake = awake;),
	    TP_printk("npu=%d %s", __entry->npu, __entry->awake ? "resume" : "suspend")
);

#endif

/* Found through -I, wherever the driver is built. */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE fluidnpu_trace
#include <trace/define_trace.h>
