/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * FluidNPU: the device as its driver sees it.
 *
 * Registers, ring entries, page-table entries and the in-memory form of a
 * program. This file is the one place where an offset, a size or an opcode of
 * the hardware stands; the kernel driver, the device model, the in-process
 * emulator and the compiler include it.
 *
 * Everything is little-endian and naturally aligned. Reserved fields are zero
 * and checked. Floating-point fields hold the bits of an IEEE 754 binary32.
 *
 * How the pieces work together:
 *
 *	driver                         device
 *	writes sqe at ring[tail]
 *	writes DOORBELL(q) = tail  ->  fetches sqe, its sample table and, through
 *	                               the address space as_id, the program
 *	                               runs it layer by layer
 *	                           <-  CQE_EXIT per sample that leaves
 *	                           <-  CQE_JOB when the job has ended
 *	drains the completion ring <-  MSI-X
 *	writes DOORBELL_CQ = head
 */
#ifndef _UAPI_FLUIDNPU_HW_H
#define _UAPI_FLUIDNPU_HW_H

#include <linux/types.h>

#if defined(__cplusplus) && !defined(_Static_assert)
#define _Static_assert static_assert
#endif

/* PCI identity. The class is "processing accelerator". */
#define FLUIDNPU_PCI_VENDOR_ID		0x1234
#define FLUIDNPU_PCI_DEVICE_ID		0xf1d0
#define FLUIDNPU_PCI_CLASS		0x1200
#define FLUIDNPU_BAR_REGS		0	/* 64-bit memory BAR */
#define FLUIDNPU_BAR_REGS_BYTES		0x4000
#define FLUIDNPU_BAR_MSIX		2
#define FLUIDNPU_VECTOR_CQ		0	/* completion ring has new entries */
#define FLUIDNPU_VECTOR_ERROR		1	/* STATUS has FLUIDNPU_STATUS_FATAL */
#define FLUIDNPU_NUM_VECTORS		2

#define FLUIDNPU_MAGIC			0x55504e46	/* "FNPU" */
#define FLUIDNPU_HW_VERSION_MAJOR	1
#define FLUIDNPU_HW_VERSION_MINOR	1

/* Architectural limits; a device may have less and says so in its registers. */
#define FLUIDNPU_MAX_QUEUES		8
#define FLUIDNPU_MAX_AS			64
#define FLUIDNPU_MAX_BATCH		16	/* samples in one live batch */
#define FLUIDNPU_MAX_STACK_DEPTH	8	/* preempted batches of one queue */
#define FLUIDNPU_MAX_EXITS		8
#define FLUIDNPU_MAX_LAYERS		1024
#define FLUIDNPU_MAX_RING_ENTRIES	4096
#define FLUIDNPU_MAX_CLASSES		4096
#define FLUIDNPU_MAX_GROUP		8	/* layers that may be fused */
#define FLUIDNPU_MAX_TENSOR_BYTES	(1u << 26)	/* of one sample, padded */
#define FLUIDNPU_MAX_WEIGHT_BYTES	(1u << 28)	/* of one layer, padded */
#define FLUIDNPU_TABLE_BYTES		256	/* of a CONCAT: a result for each code */

/*
 * Registers in BAR 0: 32 bits wide, 32-bit access only. Of the 64-bit ones a
 * read of LO latches HI; a write takes effect with the register named beside it.
 */
#define FLUIDNPU_REG_MAGIC		0x0000	/* RO FLUIDNPU_MAGIC */
#define FLUIDNPU_REG_VERSION		0x0004	/* RO major << 16 | minor */
#define FLUIDNPU_REG_CTRL		0x0008	/* RW FLUIDNPU_CTRL_* */
#define FLUIDNPU_REG_STATUS		0x000c	/* RO FLUIDNPU_STATUS_* */
#define FLUIDNPU_REG_CLOCK_HZ		0x0010	/* RO device clock */
#define FLUIDNPU_REG_FEATURES		0x0014	/* RO FLUIDNPU_FEATURE_* */
#define FLUIDNPU_REG_TIME_LO		0x0018	/* RO device time, cycles */
#define FLUIDNPU_REG_TIME_HI		0x001c
#define FLUIDNPU_REG_GEOMETRY		0x0040	/* RO struct fluidnpu_hw_geometry */

#define FLUIDNPU_REG_AS_SELECT		0x0100	/* RW address space that AS_CMD acts on */
#define FLUIDNPU_REG_AS_ROOT_LO		0x0104	/* RW root table, bus address */
#define FLUIDNPU_REG_AS_ROOT_HI		0x0108
#define FLUIDNPU_REG_AS_CMD		0x010c	/* WO FLUIDNPU_AS_CMD_*, done when the write is */

#define FLUIDNPU_REG_CQ_BASE_LO		0x0140	/* RW completion ring, bus address */
#define FLUIDNPU_REG_CQ_BASE_HI		0x0144
#define FLUIDNPU_REG_CQ_ENTRIES		0x0148	/* RW power of two, 64..4096; latches the base */
#define FLUIDNPU_REG_CQ_COALESCE_COUNT	0x014c	/* RW interrupt after so many entries (0, 1: each) */
#define FLUIDNPU_REG_CQ_COALESCE_CYCLES	0x0150	/* RW ... or so long after the first; 0: at once,
						 * whatever COALESCE_COUNT says */

/* Registers of queue q. */
#define FLUIDNPU_REG_QUEUE(q)		(0x0200 + (q) * 0x40)
#define FLUIDNPU_QREG_BASE_LO		0x00	/* RW submission ring, bus address */
#define FLUIDNPU_QREG_BASE_HI		0x04
#define FLUIDNPU_QREG_ENTRIES		0x08	/* RW power of two */
#define FLUIDNPU_QREG_PRIORITY		0x0c	/* RW higher preempts lower at a layer boundary */
#define FLUIDNPU_QREG_CTRL		0x10	/* WO FLUIDNPU_QCTRL_* */
#define FLUIDNPU_QREG_STATUS		0x14	/* RO FLUIDNPU_QSTATUS_* */
#define FLUIDNPU_QREG_HEAD		0x18	/* RO next entry to fetch; stays as it is when the
						 * queue is disabled */

#define FLUIDNPU_REG_DOORBELL(q)	(0x1000 + (q) * 4)	/* WO new tail of queue q */
#define FLUIDNPU_REG_DOORBELL_CQ	0x1100	/* WO new head of the completion ring */

#define FLUIDNPU_REG_COUNTERS		0x2000	/* RO 64-bit, FLUIDNPU_CNT_*: all queues together */
#define FLUIDNPU_REG_QUEUE_COUNTERS(q)	(0x2200 + (q) * 0x200)	/* RO the share of queue q */

#define FLUIDNPU_CTRL_ENABLE		(1u << 0)	/* take entries and run layers; cleared, the layer
						 * that runs ends and nothing else begins */
#define FLUIDNPU_CTRL_RESET		(1u << 1)	/* all state to power-on, done when the write is */

#define FLUIDNPU_STATUS_READY		(1u << 0)
#define FLUIDNPU_STATUS_FATAL		(1u << 1)	/* ring memory unreachable; reset needed */

#define FLUIDNPU_FEATURE_FUNCTIONAL	(1u << 0)	/* computes; otherwise only models time */

#define FLUIDNPU_AS_CMD_ENABLE		1	/* bind AS_ROOT to AS_SELECT and flush */
#define FLUIDNPU_AS_CMD_DISABLE		2	/* every access faults from now on */
#define FLUIDNPU_AS_CMD_FLUSH		3	/* forget cached translations */

#define FLUIDNPU_QCTRL_ENABLE		(1u << 0)	/* latch base and entries, head = tail = 0 */
#define FLUIDNPU_QCTRL_DISABLE		(1u << 1)	/* abort what it holds without completions */
#define FLUIDNPU_QCTRL_RESUME		(1u << 2)	/* leave the halted state */
#define FLUIDNPU_QCTRL_ABORT		(1u << 3)	/* end all jobs in flight, or if there is none
						 * the next entry: FLUIDNPU_ERR_ABORTED */

#define FLUIDNPU_QSTATUS_ENABLED	(1u << 0)
#define FLUIDNPU_QSTATUS_RUNNING	(1u << 1)	/* a job of this queue has started */
#define FLUIDNPU_QSTATUS_HALTED		(1u << 2)	/* a job failed; waits for RESUME */

/**
 * struct fluidnpu_hw_geometry - what the NPU is built of (block at REG_GEOMETRY)
 * @tile_rows: T_R, activation rows of a tile
 * @tile_depth: T_P, multipliers per PE (the GEMM's inner dimension)
 * @tile_cols: T_C, number of PEs (output channels of a tile)
 * @acc_tiles: A, accumulator buffer in tiles of T_R x T_C int32
 * @max_stack: largest stacking factor k, a power of two; 1: PEs do not stack
 * @max_batch: largest live batch
 * @act_sram_bytes: activation SRAM
 * @weight_sram_bytes: weight SRAM
 * @dram_bytes_per_kcycle: DRAM bandwidth, bytes per 1,024 cycles
 * @vector_lanes: elements that the vector unit handles per cycle
 * @layer_overhead_cycles: fixed cost of a layer
 * @num_queues: submission queues
 * @num_as: address spaces
 * @stack_depth: preempted batches that a queue can hold beside the running one (the
 *	Fluid Batching Engine's stack of B_old, l_old); 0: no INJECT
 */
struct fluidnpu_hw_geometry {
	__u32 tile_rows;
	__u32 tile_depth;
	__u32 tile_cols;
	__u32 acc_tiles;
	__u32 max_stack;
	__u32 max_batch;
	__u32 act_sram_bytes;
	__u32 weight_sram_bytes;
	__u32 dram_bytes_per_kcycle;
	__u32 vector_lanes;
	__u32 layer_overhead_cycles;
	__u32 num_queues;
	__u32 num_as;
	__u32 stack_depth;
	__u32 reserved[2];
};

/*
 * Counters, 64 bits each at REG_COUNTERS + 8 * index, in cycles, bytes or
 * events since reset. They only grow. A queue has the same ones at
 * REG_QUEUE_COUNTERS: what its own jobs caused. INTERRUPTS and LATE_EVENTS belong to
 * no queue and are 0 there.
 *
 * Every cycle with work is BUSY, but those in which that work had to wait for
 * something else than the NPU: room in the completion ring, RESUME, CTRL.ENABLE. Cycles in
 * which activations go to or come from DRAM before a group (a batch was put aside,
 * samples were handed back or go on) are BUSY and STALL of the queue whose group waits
 * for that. A group that faults or is aborted has used its cycles, and nothing else of
 * it is counted.
 */
enum fluidnpu_counter {
	FLUIDNPU_CNT_BUSY_CYCLES,	/* a group of layers had the NPU */
	FLUIDNPU_CNT_STALL_CYCLES,	/* of these: waiting for DRAM */
	FLUIDNPU_CNT_USEFUL_MACS,	/* multiplications that the networks need */
	FLUIDNPU_CNT_OFFERED_MACS,	/* what the PE array could have done while busy */
	FLUIDNPU_CNT_DRAM_READ_BYTES,
	FLUIDNPU_CNT_DRAM_WRITE_BYTES,
	FLUIDNPU_CNT_WEIGHT_BYTES,	/* part of the reads */
	FLUIDNPU_CNT_JOBS,		/* ended, whatever their status */
	FLUIDNPU_CNT_JOB_ERRORS,
	FLUIDNPU_CNT_SAMPLES,		/* started */
	FLUIDNPU_CNT_LAYERS,		/* executed, one per live batch */
	FLUIDNPU_CNT_PREEMPTIONS,	/* batches put aside: for a higher priority, an INJECT, or
					 * because the batch that they met got full */
	FLUIDNPU_CNT_MMU_FAULTS,
	FLUIDNPU_CNT_INTERRUPTS,
	FLUIDNPU_CNT_LATE_EVENTS,	/* host was slower than the model: time dilated. Depends on
					 * the host's speed, also where time is icount's */
	FLUIDNPU_CNT_IDLE_CYCLES,	/* no job in flight or queued */
	FLUIDNPU_CNT_EXITS,		/* per exit head */
	FLUIDNPU_CNT_BATCH = FLUIDNPU_CNT_EXITS + FLUIDNPU_MAX_EXITS,
					/* BUSY_CYCLES per live batch size - 1 */
	FLUIDNPU_CNT_INJECTS = FLUIDNPU_CNT_BATCH + FLUIDNPU_MAX_BATCH,
					/* INJECTs that joined a running batch */
	FLUIDNPU_CNT_MERGES,		/* batches that caught up and became one, or filled it */
	FLUIDNPU_CNT_YIELDS,		/* samples handed back */
	FLUIDNPU_CNT_WEIGHT_USED_BYTES,	/* weights that samples were multiplied with: over
					 * WEIGHT_BYTES it is the reuse of each byte read */
	FLUIDNPU_CNT_NUM,
};

/*
 * Page tables: three levels of 512 entries, 4 KiB pages, 39-bit addresses.
 * The same entry format at each level; the permission is that of the leaf.
 */
#define FLUIDNPU_PAGE_SHIFT		12
#define FLUIDNPU_PAGE_BYTES		(1u << FLUIDNPU_PAGE_SHIFT)
#define FLUIDNPU_PT_LEVELS		3
#define FLUIDNPU_PT_BITS		9	/* address bits resolved per level */
#define FLUIDNPU_PT_ENTRIES		(1u << FLUIDNPU_PT_BITS)
#define FLUIDNPU_VA_BITS		(FLUIDNPU_PAGE_SHIFT + FLUIDNPU_PT_LEVELS * FLUIDNPU_PT_BITS)
#define FLUIDNPU_PTE_VALID		(1ull << 0)
#define FLUIDNPU_PTE_WRITE		(1ull << 1)	/* leaf: the device may write */
#define FLUIDNPU_PTE_ADDR		0x000ffffffffff000ull

/* Submission queue entry. */
#define FLUIDNPU_OP_NOP			0	/* completes at once */
#define FLUIDNPU_OP_RUN			1	/* run a batch through a program */
#define FLUIDNPU_OP_INJECT		2	/* RUN, but join the batch that runs */
#define FLUIDNPU_OP_YIELD		3	/* end a job at this layer boundary, hand its samples back */

#define FLUIDNPU_SQE_NO_EXIT		(1u << 0)	/* heads report, no sample leaves before the last */

/**
 * struct fluidnpu_hw_sqe - one job
 * @opcode: FLUIDNPU_OP_*
 * @flags: FLUIDNPU_SQE_*
 * @as_id: address space of every iova of the job
 * @num_samples: entries of the sample table, 1..max_batch (NOP, YIELD: 0)
 * @cookie: returned in every completion of the job
 * @program_iova: struct fluidnpu_hw_program, 64-byte aligned
 * @program_bytes: how much may be read there
 * @stop_layer: RUN, INJECT: samples that get so far are handed back; 0: none
 * @samples_addr: bus address of the sample table (not an iova)
 * @target: YIELD: cookie of the job that is to end; the fields of a program are 0
 *
 * A queue takes its entries in order. NOP and RUN wait until no job of the queue
 * is in flight; INJECT and YIELD are taken at the next layer boundary of the running one:
 *
 * INJECT of the same program in the same address space, from a layer that the running
 * batch has passed or stands at: the running batch is pushed onto the queue's stack, the
 * new samples run from their start layer until they reach the layer it stopped at, and
 * there both become one batch, up to max_batch samples, those that were preempted
 * first. An INJECT that does not fit (another program, a later layer, a full stack) waits,
 * and so does what is behind it; when no job is in flight it is a RUN. One that is not valid
 * ends alone, with an error that halts the queue; what is in flight goes on after RESUME.
 *
 * YIELD: if job @target is in flight on this queue, it ends here, with a CQE_YIELD
 * for each sample that has not left. Otherwise nothing happens: the job has ended before.
 *
 * A stop that is known beforehand needs no YIELD: at the first boundary at @stop_layer or
 * behind it, the job's samples that stand there and have not left get their CQE_YIELD. Others that
 * they have merged with go on. A @stop_layer that the samples start at or behind takes effect
 * after their first group, one behind the last layer never.
 */
struct fluidnpu_hw_sqe {
	__u8  opcode;
	__u8  flags;
	__u16 as_id;
	__u32 num_samples;
	__u64 cookie;
	__u64 program_iova;
	__u32 program_bytes;
	__u32 stop_layer;
	__u64 samples_addr;
	__u64 target;
	__u64 reserved[2];
};

/**
 * struct fluidnpu_hw_sample - one sample of a job
 * @input_iova: int8 tensor, height x width x channels, input_bytes of the program
 * @state_iova: activations, state_bytes of the program; what a sample is between layers
 * @logits_iova: 0, or logits_bytes of the program: int8 logits of the exits passed
 * @start_layer: first layer to run; all samples of a job have the same
 * @exit_index: without FLUIDNPU_FEATURE_FUNCTIONAL: the exit where it leaves
 */
struct fluidnpu_hw_sample {
	__u64 input_iova;
	__u64 state_iova;
	__u64 logits_iova;
	__u32 start_layer;
	__u32 exit_index;
	__u64 reserved[4];
};

/* Completion ring entry. */
#define FLUIDNPU_CQE_EXIT		1	/* a sample left at an exit head */
#define FLUIDNPU_CQE_JOB		2	/* a job ended */
#define FLUIDNPU_CQE_HEAD		3	/* a head reported (FLUIDNPU_SQE_NO_EXIT), the sample runs on */
#define FLUIDNPU_CQE_YIELD		4	/* a sample was handed back; @layer is its next one */

enum fluidnpu_hw_status {
	FLUIDNPU_OK = 0,
	FLUIDNPU_ERR_MMU_FAULT = 1,	/* fault_iova, fault_write */
	FLUIDNPU_ERR_DMA = 2,		/* bus error on a ring, table or page */
	FLUIDNPU_ERR_OPCODE = 3,
	FLUIDNPU_ERR_SQE = 4,		/* a field of the sqe or sample table is out of range */
	FLUIDNPU_ERR_PROGRAM = 5,	/* program header is not one this device runs */
	FLUIDNPU_ERR_LAYER = 6,		/* descriptor of @layer is not valid */
	FLUIDNPU_ERR_POLICY = 7,	/* control-block entry used at @layer is not valid */
	FLUIDNPU_ERR_ABORTED = 8,	/* FLUIDNPU_QCTRL_ABORT */
	FLUIDNPU_ERR_MEMORY = 9,	/* the device has no memory of its own left for @layer */
};

/**
 * struct fluidnpu_hw_cqe - one completion
 * @cookie: of the job
 * @time: device time of the event, cycles
 * @queued: device time when the job's doorbell arrived
 * @started: device time when its first group of layers got the NPU, the moving of
 *	activations before it included; of a job that ends before that: @time
 * @type: FLUIDNPU_CQE_*
 * @status: enum fluidnpu_hw_status
 * @queue: that the job came from
 * @sample: index in the job's sample table (EXIT, HEAD, YIELD)
 * @class_index: top-1 class (EXIT, HEAD)
 * @exit_index: of the head (EXIT, HEAD)
 * @live_batch: samples that ran this layer (EXIT, HEAD); samples of the job that have not left
 *	(JOB); 0 (YIELD)
 * @confidence: softmax probability of the top-1 class, binary32 (EXIT, HEAD)
 * @entropy: of the softmax in nats, binary32 (EXIT, HEAD)
 * @margin: top-1 minus top-2 probability, binary32 (EXIT, HEAD)
 * @fault_iova: address that faulted (JOB with ERR_MMU_FAULT or ERR_DMA); a bus address if the
 *	sample table could not be read, an iova otherwise
 * @fault_write: 1 when the access was a write
 * @layer: layer at which the event happened (EXIT, HEAD: the head; otherwise the next to run)
 * @phase: 1 on the first pass over the ring, then 0, then 1 ...
 */
struct fluidnpu_hw_cqe {
	__u64 cookie;
	__u64 time;
	__u64 queued;
	__u64 started;
	__u8  type;
	__u8  status;
	__u8  queue;
	__u8  sample;
	__u16 class_index;
	__u8  exit_index;
	__u8  live_batch;
	union {
		struct {
			__u32 confidence;
			__u32 entropy;
			__u32 margin;
		};
		struct {
			__u32 fault_iova_lo;
			__u32 fault_iova_hi;
			__u32 fault_write;
		};
	};
	__u16 layer;
	__u16 reserved;
	__u32 reserved1;
	__u32 phase;
};

/*
 * A program in memory: header, layer descriptors, control block, weights.
 * All offsets are bytes from the start of the header.
 */
#define FLUIDNPU_PROGRAM_MAGIC		0x47504e46	/* "FNPG" */
#define FLUIDNPU_PROGRAM_VERSION	1

/**
 * struct fluidnpu_hw_program - header
 * @magic: FLUIDNPU_PROGRAM_MAGIC
 * @version: FLUIDNPU_PROGRAM_VERSION
 * @total_bytes: of the whole program
 * @num_layers: descriptors at @layers_off, 1..FLUIDNPU_MAX_LAYERS
 * @layers_off: struct fluidnpu_hw_layer[num_layers]
 * @control_off: struct fluidnpu_hw_policy[num_layers][max_batch]
 * @max_batch: batch sizes in the control block
 * @num_exits: exit heads; the last layer is the last exit
 * @input_bytes: of one sample's input tensor
 * @state_bytes: of one sample's activations
 * @logits_bytes: int8 logits of all exits of one sample
 */
struct fluidnpu_hw_program {
	__u32 magic;
	__u32 version;
	__u32 total_bytes;
	__u32 num_layers;
	__u32 layers_off;
	__u32 control_off;
	__u32 max_batch;
	__u32 num_exits;
	__u32 input_bytes;
	__u32 state_bytes;
	__u32 logits_bytes;
	__u32 reserved[5];
};

/**
 * struct fluidnpu_hw_policy - control-block entry of (layer, live batch b)
 * @n: samples of the first pass, 1..b; the other b - n are looked up again
 * @b_r: B_R, samples stacked along the rows
 * @b_p: B_P, groups that share a loaded weight tile; b_p <= A * k^2, b_r * b_p >= n
 * @k: stacking factor, a power of two up to max_stack
 */
struct fluidnpu_hw_policy {
	__u8 n;
	__u8 b_r;
	__u8 b_p;
	__u8 k;
};

/* Layer operations. Tensors are int8, height x width x channels, per sample. */
enum fluidnpu_layer_op {
	FLUIDNPU_LAYER_CONV = 1,	/* grouped/depthwise too; fully connected: 1x1 on 1x1 */
	FLUIDNPU_LAYER_ADD = 2,
	FLUIDNPU_LAYER_AVGPOOL = 3,	/* global: window = input */
	FLUIDNPU_LAYER_MAXPOOL = 4,
	FLUIDNPU_LAYER_EXIT = 5,	/* exit head: softmax statistics over the logits */
	FLUIDNPU_LAYER_CONCAT = 6,	/* one input of a concatenation: through a table into some channels */
};

#define FLUIDNPU_LAYER_FUSED		(1u << 0)	/* runs with the layer before it: no boundary between */
#define FLUIDNPU_LAYER_POOL_COUNT_PAD	(1u << 1)	/* average counts padding */
#define FLUIDNPU_LAYER_UNSIGNED		(1u << 2)	/* ADD, AVGPOOL: computes on codes + 128, the result less 128 */

#define FLUIDNPU_TENSOR_INPUT		0xffffffffu	/* the sample's input instead of its state */

enum fluidnpu_exit_criterion {
	FLUIDNPU_EXIT_CONFIDENCE = 0,	/* leave if confidence >= threshold */
	FLUIDNPU_EXIT_ENTROPY = 1,	/* leave if entropy <= threshold */
	FLUIDNPU_EXIT_MARGIN = 2,	/* leave if margin >= threshold */
};

/**
 * struct fluidnpu_hw_layer - layer descriptor
 * @op: enum fluidnpu_layer_op
 * @flags: FLUIDNPU_LAYER_*
 * @exit_index: EXIT: 0..num_exits-1, growing with depth
 * @exit_criterion: EXIT: enum fluidnpu_exit_criterion
 * @in_off: input tensor, offset in the state or FLUIDNPU_TENSOR_INPUT
 * @in2_off: ADD: second input
 * @out_off: output tensor, offset in the state (EXIT: none, 0)
 * @in_h, @in_w, @in_c, @out_h, @out_w, @out_c: shapes (EXIT: 1 x 1 x classes in)
 * @kernel_h, @kernel_w, @stride_h, @stride_w: CONV and pools
 * @pad_t, @pad_l, @pad_b, @pad_r: CONV and pools; padding holds zp_in, for MAXPOOL
 *	less than any value
 * @dilation_h, @dilation_w: CONV
 * @groups: CONV: divides in_c and out_c
 * @weights_off: CONV: int8 [out_c][kernel_h][kernel_w][in_c / groups]
 * @bias_off: CONV: int32 [out_c]
 * @scale_off: CONV: binary32 [out_c], s_x * s_w / s_y
 * @live_bytes: state that must be kept while this layer runs; decides whether
 *	activations stay in the activation SRAM
 * @zp_in, @zp_in2, @zp_out: zero points
 * @clamp_min, @clamp_max: of the output (ReLU, ReLU6 fold in here)
 * @scale_in: ADD: s_a / s_y; AVGPOOL: s_x / (s_y * window), or s_x with @scale_in2; EXIT:
 *	scale of a logit
 * @scale_in2: ADD: s_b / s_y; AVGPOOL: 0: the codes are summed; otherwise s_y: the real
 *	numbers are, row by row in binary32, and the output is
 *	round(sum / count / s_y + zp_out)
 * @add_fixed: ADD: z_y - fma(z_a, scale_in, scale_in2 * z_b), so that the output is
 *	round(fma(a, scale_in, fma(b, scale_in2, add_fixed))) of the codes a and b;
 *	zp_in, zp_in2 and zp_out are not used again
 * @threshold: EXIT
 * @logits_off: EXIT: where this head's logits go in the sample's logits buffer
 * @out_channel: CONCAT: the input's channels become @out_channel.. of the out_c ones of
 *	the output; in_h and in_w equal out_h and out_w
 * @table_off: CONCAT: int8 [256], the result for code c at c + 128
 * @weight_zp_off: CONV: 0: weights are symmetric; otherwise int8 [out_c], zero points
 *	of the weights
 *
 * Scales, add_fixed and threshold hold the bits of a binary32.
 */
struct fluidnpu_hw_layer {
	__u8  op;
	__u8  flags;
	__u8  exit_index;
	__u8  exit_criterion;
	__u32 in_off;
	__u32 in2_off;
	__u32 out_off;
	__u16 in_h, in_w, in_c;
	__u16 out_h, out_w, out_c;
	__u8  kernel_h, kernel_w;
	__u8  stride_h, stride_w;
	__u8  pad_t, pad_l, pad_b, pad_r;
	__u8  dilation_h, dilation_w;
	__u16 groups;
	__u32 weights_off;
	__u32 bias_off;
	__u32 scale_off;
	__u32 live_bytes;
	__s8  zp_in, zp_in2, zp_out;
	__s8  clamp_min, clamp_max;
	__u8  reserved0[3];
	__u32 scale_in;
	__u32 scale_in2;
	__u32 threshold;
	__u32 logits_off;
	__u32 add_fixed;
	__u16 out_channel;
	__u16 reserved1;
	__u32 table_off;
	__u32 weight_zp_off;
	__u8  reserved[32];
};

/* The layout, to the byte: a change here is a change of the interface. */
#define FLUIDNPU_AT(type, member, offset) \
	_Static_assert(__builtin_offsetof(struct type, member) == (offset), #type "." #member)
#define FLUIDNPU_SIZE(type, bytes) \
	_Static_assert(sizeof(struct type) == (bytes), #type)

FLUIDNPU_AT(fluidnpu_hw_geometry, tile_rows, 0);
FLUIDNPU_AT(fluidnpu_hw_geometry, tile_depth, 4);
FLUIDNPU_AT(fluidnpu_hw_geometry, tile_cols, 8);
FLUIDNPU_AT(fluidnpu_hw_geometry, acc_tiles, 12);
FLUIDNPU_AT(fluidnpu_hw_geometry, max_stack, 16);
FLUIDNPU_AT(fluidnpu_hw_geometry, max_batch, 20);
FLUIDNPU_AT(fluidnpu_hw_geometry, act_sram_bytes, 24);
FLUIDNPU_AT(fluidnpu_hw_geometry, weight_sram_bytes, 28);
FLUIDNPU_AT(fluidnpu_hw_geometry, dram_bytes_per_kcycle, 32);
FLUIDNPU_AT(fluidnpu_hw_geometry, vector_lanes, 36);
FLUIDNPU_AT(fluidnpu_hw_geometry, layer_overhead_cycles, 40);
FLUIDNPU_AT(fluidnpu_hw_geometry, num_queues, 44);
FLUIDNPU_AT(fluidnpu_hw_geometry, num_as, 48);
FLUIDNPU_AT(fluidnpu_hw_geometry, stack_depth, 52);
FLUIDNPU_AT(fluidnpu_hw_geometry, reserved, 56);
FLUIDNPU_SIZE(fluidnpu_hw_geometry, 64);

FLUIDNPU_AT(fluidnpu_hw_sqe, opcode, 0);
FLUIDNPU_AT(fluidnpu_hw_sqe, flags, 1);
FLUIDNPU_AT(fluidnpu_hw_sqe, as_id, 2);
FLUIDNPU_AT(fluidnpu_hw_sqe, num_samples, 4);
FLUIDNPU_AT(fluidnpu_hw_sqe, cookie, 8);
FLUIDNPU_AT(fluidnpu_hw_sqe, program_iova, 16);
FLUIDNPU_AT(fluidnpu_hw_sqe, program_bytes, 24);
FLUIDNPU_AT(fluidnpu_hw_sqe, stop_layer, 28);
FLUIDNPU_AT(fluidnpu_hw_sqe, samples_addr, 32);
FLUIDNPU_AT(fluidnpu_hw_sqe, target, 40);
FLUIDNPU_AT(fluidnpu_hw_sqe, reserved, 48);
FLUIDNPU_SIZE(fluidnpu_hw_sqe, 64);

FLUIDNPU_AT(fluidnpu_hw_sample, input_iova, 0);
FLUIDNPU_AT(fluidnpu_hw_sample, state_iova, 8);
FLUIDNPU_AT(fluidnpu_hw_sample, logits_iova, 16);
FLUIDNPU_AT(fluidnpu_hw_sample, start_layer, 24);
FLUIDNPU_AT(fluidnpu_hw_sample, exit_index, 28);
FLUIDNPU_AT(fluidnpu_hw_sample, reserved, 32);
FLUIDNPU_SIZE(fluidnpu_hw_sample, 64);

FLUIDNPU_AT(fluidnpu_hw_cqe, cookie, 0);
FLUIDNPU_AT(fluidnpu_hw_cqe, time, 8);
FLUIDNPU_AT(fluidnpu_hw_cqe, queued, 16);
FLUIDNPU_AT(fluidnpu_hw_cqe, started, 24);
FLUIDNPU_AT(fluidnpu_hw_cqe, type, 32);
FLUIDNPU_AT(fluidnpu_hw_cqe, status, 33);
FLUIDNPU_AT(fluidnpu_hw_cqe, queue, 34);
FLUIDNPU_AT(fluidnpu_hw_cqe, sample, 35);
FLUIDNPU_AT(fluidnpu_hw_cqe, class_index, 36);
FLUIDNPU_AT(fluidnpu_hw_cqe, exit_index, 38);
FLUIDNPU_AT(fluidnpu_hw_cqe, live_batch, 39);
FLUIDNPU_AT(fluidnpu_hw_cqe, confidence, 40);
FLUIDNPU_AT(fluidnpu_hw_cqe, entropy, 44);
FLUIDNPU_AT(fluidnpu_hw_cqe, margin, 48);
FLUIDNPU_AT(fluidnpu_hw_cqe, fault_iova_lo, 40);
FLUIDNPU_AT(fluidnpu_hw_cqe, fault_iova_hi, 44);
FLUIDNPU_AT(fluidnpu_hw_cqe, fault_write, 48);
FLUIDNPU_AT(fluidnpu_hw_cqe, layer, 52);
FLUIDNPU_AT(fluidnpu_hw_cqe, reserved, 54);
FLUIDNPU_AT(fluidnpu_hw_cqe, reserved1, 56);
FLUIDNPU_AT(fluidnpu_hw_cqe, phase, 60);
FLUIDNPU_SIZE(fluidnpu_hw_cqe, 64);

FLUIDNPU_AT(fluidnpu_hw_program, magic, 0);
FLUIDNPU_AT(fluidnpu_hw_program, version, 4);
FLUIDNPU_AT(fluidnpu_hw_program, total_bytes, 8);
FLUIDNPU_AT(fluidnpu_hw_program, num_layers, 12);
FLUIDNPU_AT(fluidnpu_hw_program, layers_off, 16);
FLUIDNPU_AT(fluidnpu_hw_program, control_off, 20);
FLUIDNPU_AT(fluidnpu_hw_program, max_batch, 24);
FLUIDNPU_AT(fluidnpu_hw_program, num_exits, 28);
FLUIDNPU_AT(fluidnpu_hw_program, input_bytes, 32);
FLUIDNPU_AT(fluidnpu_hw_program, state_bytes, 36);
FLUIDNPU_AT(fluidnpu_hw_program, logits_bytes, 40);
FLUIDNPU_AT(fluidnpu_hw_program, reserved, 44);
FLUIDNPU_SIZE(fluidnpu_hw_program, 64);

FLUIDNPU_AT(fluidnpu_hw_policy, n, 0);
FLUIDNPU_AT(fluidnpu_hw_policy, b_r, 1);
FLUIDNPU_AT(fluidnpu_hw_policy, b_p, 2);
FLUIDNPU_AT(fluidnpu_hw_policy, k, 3);
FLUIDNPU_SIZE(fluidnpu_hw_policy, 4);

FLUIDNPU_AT(fluidnpu_hw_layer, op, 0);
FLUIDNPU_AT(fluidnpu_hw_layer, flags, 1);
FLUIDNPU_AT(fluidnpu_hw_layer, exit_index, 2);
FLUIDNPU_AT(fluidnpu_hw_layer, exit_criterion, 3);
FLUIDNPU_AT(fluidnpu_hw_layer, in_off, 4);
FLUIDNPU_AT(fluidnpu_hw_layer, in2_off, 8);
FLUIDNPU_AT(fluidnpu_hw_layer, out_off, 12);
FLUIDNPU_AT(fluidnpu_hw_layer, in_h, 16);
FLUIDNPU_AT(fluidnpu_hw_layer, in_w, 18);
FLUIDNPU_AT(fluidnpu_hw_layer, in_c, 20);
FLUIDNPU_AT(fluidnpu_hw_layer, out_h, 22);
FLUIDNPU_AT(fluidnpu_hw_layer, out_w, 24);
FLUIDNPU_AT(fluidnpu_hw_layer, out_c, 26);
FLUIDNPU_AT(fluidnpu_hw_layer, kernel_h, 28);
FLUIDNPU_AT(fluidnpu_hw_layer, kernel_w, 29);
FLUIDNPU_AT(fluidnpu_hw_layer, stride_h, 30);
FLUIDNPU_AT(fluidnpu_hw_layer, stride_w, 31);
FLUIDNPU_AT(fluidnpu_hw_layer, pad_t, 32);
FLUIDNPU_AT(fluidnpu_hw_layer, pad_l, 33);
FLUIDNPU_AT(fluidnpu_hw_layer, pad_b, 34);
FLUIDNPU_AT(fluidnpu_hw_layer, pad_r, 35);
FLUIDNPU_AT(fluidnpu_hw_layer, dilation_h, 36);
FLUIDNPU_AT(fluidnpu_hw_layer, dilation_w, 37);
FLUIDNPU_AT(fluidnpu_hw_layer, groups, 38);
FLUIDNPU_AT(fluidnpu_hw_layer, weights_off, 40);
FLUIDNPU_AT(fluidnpu_hw_layer, bias_off, 44);
FLUIDNPU_AT(fluidnpu_hw_layer, scale_off, 48);
FLUIDNPU_AT(fluidnpu_hw_layer, live_bytes, 52);
FLUIDNPU_AT(fluidnpu_hw_layer, zp_in, 56);
FLUIDNPU_AT(fluidnpu_hw_layer, zp_in2, 57);
FLUIDNPU_AT(fluidnpu_hw_layer, zp_out, 58);
FLUIDNPU_AT(fluidnpu_hw_layer, clamp_min, 59);
FLUIDNPU_AT(fluidnpu_hw_layer, clamp_max, 60);
FLUIDNPU_AT(fluidnpu_hw_layer, reserved0, 61);
FLUIDNPU_AT(fluidnpu_hw_layer, scale_in, 64);
FLUIDNPU_AT(fluidnpu_hw_layer, scale_in2, 68);
FLUIDNPU_AT(fluidnpu_hw_layer, threshold, 72);
FLUIDNPU_AT(fluidnpu_hw_layer, logits_off, 76);
FLUIDNPU_AT(fluidnpu_hw_layer, add_fixed, 80);
FLUIDNPU_AT(fluidnpu_hw_layer, out_channel, 84);
FLUIDNPU_AT(fluidnpu_hw_layer, reserved1, 86);
FLUIDNPU_AT(fluidnpu_hw_layer, table_off, 88);
FLUIDNPU_AT(fluidnpu_hw_layer, weight_zp_off, 92);
FLUIDNPU_AT(fluidnpu_hw_layer, reserved, 96);
FLUIDNPU_SIZE(fluidnpu_hw_layer, 128);

#undef FLUIDNPU_AT
#undef FLUIDNPU_SIZE

#endif /* _UAPI_FLUIDNPU_HW_H */
