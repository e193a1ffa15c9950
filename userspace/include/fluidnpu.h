/* SPDX-License-Identifier: MIT */
/*
 * libfluidnpu: run early-exit networks on the FluidNPU.
 *
 *	fnpu_device_open()	/dev/fluidnpu, the same NPU emulated in-process, or a daemon's
 *	fnpu_model_load()	a compiled network (.fnpu, made by npucc)
 *	fnpu_session_open()	a scheduler with a bounded queue between both
 *	fnpu_session_submit()	a sample (one input) into the queue
 *	fnpu_session_wait()	results: class, confidence, exit, device times
 *
 * A session gathers queued samples into batches and keeps a few jobs in flight
 * on the NPU. Each sample leaves at the first exit head whose confidence
 * suffices, so results come in the order of the exits, not of submission;
 * user_data tells which is which.
 *
 * Back ends: "kmd" is the kernel driver; "emu" runs the NPU's model in the
 * calling thread, for machines without the device. Results and device times of a
 * job are the same, bit for bit. Under emu device time is virtual: it passes
 * only while somebody polls or waits, as fast as the host computes. "daemon" is fluidnpud,
 * where the sessions of several processes share one scheduler and its batches.
 *
 * Errors: functions return 0 (or a count) or a negative errno. What creates an
 * object also fills a struct fnpu_error with one sentence that says what to do
 * (a NULL pointer is fine); after that the object's own _error() has the
 * text of its last failure.
 *
 * Threads: there is no global state. One device may serve sessions in several
 * threads; one session, like any other object, is for one thread at a time.
 * Close in reverse order: sessions and buffers before their device and model.
 */
#ifndef FLUIDNPU_H
#define FLUIDNPU_H

#include <stddef.h>
#include <stdint.h>

#include "fluidnpu_hw.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FNPU_ERROR_BYTES	512

/** struct fnpu_error - where functions that create an object say why they failed */
struct fnpu_error {
	char text[FNPU_ERROR_BYTES];
};

struct fnpu_device;
struct fnpu_bo;
struct fnpu_model;
struct fnpu_session;
struct fnpu_trace;

/** fnpu_version() - of the library, "major.minor.patch" */
const char *fnpu_version(void);

/* ---- device ------------------------------------------------------------- */

#define FNPU_DEVICE_PATH	"/dev/fluidnpu"

/**
 * struct fnpu_device_info - facts about an open device, which do not change
 * @backend: "kmd", "emu" or "daemon"
 * @path: of the device file; emu: the properties that it was opened with, or ""; daemon: of its
 *	socket
 * @driver: name and version, as "fluidnpu 1.0.0"
 * @hw_version: major << 16 | minor of the register interface
 * @features: FLUIDNPU_FEATURE_*
 * @clock_hz: cycles of device time per second
 * @geometry: what the NPU is built of
 */
struct fnpu_device_info {
	const char *backend;
	const char *path;
	char driver[64];
	uint32_t hw_version;
	uint32_t features;
	uint32_t clock_hz;
	struct fluidnpu_hw_geometry geometry;
};

/**
 * struct fnpu_counters - a reading of the device's counters
 * @time: device time of the reading, cycles
 * @values: since reset, indexed by enum fluidnpu_counter
 */
struct fnpu_counters {
	uint64_t time;
	uint64_t values[FLUIDNPU_CNT_NUM];
};

/**
 * fnpu_device_open() - open an NPU
 * @backend: "kmd", "emu" or "daemon"; NULL is "kmd"
 * @path: kmd: the device file, NULL is FNPU_DEVICE_PATH; emu: in what the NPU differs from the
 *	default one, as "functional=off,max_stack=1": fields of struct fluidnpu_hw_geometry,
 *	clock_hz, and functional=off, which computes nothing and only models time; NULL: nothing;
 *	daemon: its socket, NULL is /run/fluidnpud.sock
 * @device: out; fnpu_device_close() it
 * @error: filled on failure; may be NULL
 *
 * Errors: -ENOENT no such device, -EACCES no permission, -ENODEV no FluidNPU behind
 * @path, -EPROTONOSUPPORT driver or daemon of another ABI, -EINVAL no such back end or
 * property, -EUSERS and -EDQUOT the daemon has, or has for this process, no more room, -ENOMEM.
 */
int fnpu_device_open(const char *backend, const char *path,
		     struct fnpu_device **device, struct fnpu_error *error);

/** fnpu_device_close() - NULL is fine */
void fnpu_device_close(struct fnpu_device *device);

/** fnpu_device_info() - valid until the device is closed. Any thread. */
const struct fnpu_device_info *fnpu_device_info(const struct fnpu_device *device);

/** fnpu_device_counters() - read the counters. Any thread. */
int fnpu_device_counters(struct fnpu_device *device, struct fnpu_counters *counters);

/* ---- buffers ------------------------------------------------------------ */

/**
 * fnpu_bo_alloc() - zeroed memory that the CPU and the NPU share
 * @bytes: not 0; rounded up to pages
 * @bo: out; fnpu_bo_free() it
 *
 * Any thread. Errors: -EINVAL, -ENOMEM, -ENOSPC no address space left, -ENODEV,
 * -EMFILE with a daemon, where it is a memfd or a dma-buf.
 */
int fnpu_bo_alloc(struct fnpu_device *device, size_t bytes,
		  struct fnpu_bo **bo, struct fnpu_error *error);

/**
 * fnpu_bo_import() - memory of another device or process, for the NPU to read inputs from
 * @fd: kmd: a dma-buf, as of a camera (VIDIOC_EXPBUF); emu: anything that mmap(2) takes for as
 *	many bytes as its size, as a memfd; daemon: a dma-buf, or a memfd with F_SEAL_SHRINK. It stays
 *	the caller's, who may close it at once
 * @bo: out; fnpu_bo_free() it. fnpu_bo_map() is NULL if its exporter does not let the CPU see it;
 *	who uses that map brackets it by DMA_BUF_IOCTL_SYNC
 *
 * Any thread. A dma-buf that is being written by its device: the NPU waits for the fences in it. A
 * daemon does not, for the sake of others: a sample that is submitted meanwhile fails with -EBUSY.
 * Errors: -EINVAL @fd is no such thing, -ENOSPC no address space left, -ENOMEM, -ENODEV, and what
 * its exporter says. What a daemon says of it, a session's first fnpu_session_submit() returns.
 */
int fnpu_bo_import(struct fnpu_device *device, int fd, struct fnpu_bo **bo,
		   struct fnpu_error *error);

/**
 * fnpu_bo_export() - as a dma-buf, for another device to write to
 * Returns a file descriptor, which is the caller's, or a negative errno: -EOPNOTSUPP on emu,
 * -EMFILE, -ENOMEM. Any thread. With a daemon it is the memfd or dma-buf that the buffer is.
 */
int fnpu_bo_export(const struct fnpu_bo *bo);

/** fnpu_bo_free() - jobs that use it keep it alive until they end; NULL is fine. Any thread. */
void fnpu_bo_free(struct fnpu_bo *bo);

/** fnpu_bo_map() - where the CPU sees it, page-aligned, until it is freed, or NULL */
void *fnpu_bo_map(const struct fnpu_bo *bo);

/** fnpu_bo_iova() - where the NPU sees it, for the device it was made for; 0 with a daemon */
uint64_t fnpu_bo_iova(const struct fnpu_bo *bo);

/** fnpu_bo_bytes() - size, whole pages but for imports of a daemon's */
size_t fnpu_bo_bytes(const struct fnpu_bo *bo);

/* ---- model -------------------------------------------------------------- */

/**
 * struct fnpu_exit_info - one exit head
 * @name: of the network's output
 * @classes: logits
 * @scale, @zero_point: logit = (int8 - zero_point) * scale
 * @logits_off: of its int8 logits in a sample's logits
 * @layer: that it is
 * @criterion: "confidence", "entropy" or "margin"
 * @threshold: at which a sample leaves here
 * @macs: multiplications of a sample that leaves here
 */
struct fnpu_exit_info {
	const char *name;
	uint32_t classes;
	float scale;
	int32_t zero_point;
	uint32_t logits_off;
	uint32_t layer;
	const char *criterion;
	float threshold;
	uint64_t macs;
};

/**
 * struct fnpu_model_info - what the file tells about a network
 * @name, @producer: of the model
 * @channels, @height, @width: of the input
 * @input_scale, @input_zero_point: int8 = clamp(round_half_even(x / scale) + zero_point),
 *	in binary32 (ONNX QuantizeLinear)
 * @byte_scale, @byte_offset: x = byte * byte_scale + byte_offset for image files
 * @input_bytes, @state_bytes, @logits_bytes: int8 buffers of one sample on the NPU
 * @program_bytes: of the program
 * @num_layers: of the program, fused ones counted
 * @max_batch: largest live batch of the control block
 * @num_exits, @exits: heads, shallow to deep
 * @num_labels, @labels: names of the classes; num_labels may be 0
 * @geometry, @clock_hz: of the NPU that it was compiled for
 */
struct fnpu_model_info {
	const char *name;
	const char *producer;
	uint32_t channels;
	uint32_t height;
	uint32_t width;
	float input_scale;
	int32_t input_zero_point;
	float byte_scale;
	float byte_offset;
	uint32_t input_bytes;
	uint32_t state_bytes;
	uint32_t logits_bytes;
	uint32_t program_bytes;
	uint32_t num_layers;
	uint32_t max_batch;
	uint32_t num_exits;
	const struct fnpu_exit_info *exits;
	uint32_t num_labels;
	const char *const *labels;
	struct fluidnpu_hw_geometry geometry;
	uint32_t clock_hz;
};

/**
 * fnpu_model_load() - read and check a .fnpu file
 * @path: file
 * @model: out; fnpu_model_free() it. Read-only from then on: any thread may use it.
 *
 * Errors: those of open(2) and read(2), -EBADMSG no sound .fnpu file (the text
 * says where it breaks), -EFBIG, -ENOMEM.
 */
int fnpu_model_load(const char *path, struct fnpu_model **model, struct fnpu_error *error);

/** fnpu_model_free() - NULL is fine */
void fnpu_model_free(struct fnpu_model *model);

/** fnpu_model_info() - valid until the model is freed */
const struct fnpu_model_info *fnpu_model_info(const struct fnpu_model *model);

/**
 * fnpu_model_cost() - T(layer, batch): cycles of device time, from the file's cost table
 * @layer: 0..num_layers - 1; a fused layer costs 0
 * @batch: 1..max_batch
 * Returns 0 when out of range.
 */
uint32_t fnpu_model_cost(const struct fnpu_model *model, uint32_t layer, uint32_t batch);

/**
 * fnpu_model_check() - can @device run it?
 *
 * 0: yes, though its cost table may be off when it was compiled for another NPU; @error then
 * holds a warning, otherwise "". -EINVAL: no, e.g. it stacks more PEs than the device
 * can; @error says what to do.
 */
int fnpu_model_check(const struct fnpu_model *model, const struct fnpu_device *device,
		     struct fnpu_error *error);

/* ---- recording ---------------------------------------------------------- */

/**
 * fnpu_trace_open() - record what sessions do into a file
 * @path: written anew, in the Trace Event format (JSON): open it in Perfetto
 * @trace: out; give it to sessions (struct fnpu_session_options), fnpu_trace_close() it after them
 *
 * What the scheduler decided, when and why; the jobs of the device; the life of each sample. Times
 * are device time. Sessions of several threads may share one. Without it, the environment variable
 * FLUIDNPU_TRACE=PREFIX makes each session record into a file of its own, PREFIX.PID.XXXXXX; the
 * tool nputrace puts those together with the kernel's tracepoints.
 * Errors: those of open(2), -ENOMEM.
 */
int fnpu_trace_open(const char *path, struct fnpu_trace **trace, struct fnpu_error *error);

/** fnpu_trace_close() - 0, or why the file is not complete, as -ENOSPC; NULL is fine */
int fnpu_trace_close(struct fnpu_trace *trace, struct fnpu_error *error);

/* ---- session ------------------------------------------------------------ */

#define FNPU_SESSION_LOGITS	(1u << 0)	/* results carry logits */
#define FNPU_SESSION_NO_EXIT	(1u << 1)	/* every sample runs to the last exit; results carry all heads */

/**
 * struct fnpu_session_options - all zero is a good default
 * @policy: scheduling policy, as "name" or "name:parameter=value,...": adaptive (NULL), serial,
 *	static, lazy, cellular, clockwork, symphony, drex, fluid or fluid+ (npusim --list-policies
 *	tells what they do). Those that stop batches have one job in flight, whatever @depth says,
 *	and take memory for the state of all samples
 * @submission: "uring", "ioctl", or NULL: io_uring where it is allowed, otherwise ioctl.
 *	emu has neither and takes any
 * @max_batch: samples per job; 0, or more than device and model can: what they can
 * @queue_bound: samples that may wait; 0: four full batches
 * @depth: jobs in flight; 0: 2, which hides the host's work behind the NPU's
 * @flags: FNPU_SESSION_*
 * @slo_ns: deadline of a sample that has none of its own, in device time after its submission;
 *	0: none
 * @exit_shares: of all samples, that leave at each exit (fnpu_model_info.num_exits of them), as far
 *	as known beforehand: policies that look ahead begin with them, and learn. NULL: they begin
 *	with equal ones. Copied
 * @trace: record what the session does (fnpu_trace_open()), or NULL: only if the environment says so.
 *	Must outlive the session
 *
 * With a daemon, @policy, @submission, @max_batch, @depth, @exit_shares and @trace are its own, and what
 * stands here is not looked at; @queue_bound counts towards the process' quota there.
 */
struct fnpu_session_options {
	const char *policy;
	const char *submission;
	uint32_t max_batch;
	uint32_t queue_bound;
	uint32_t depth;
	uint32_t flags;
	uint64_t slo_ns;
	const double *exit_shares;
	struct fnpu_trace *trace;
};

#define FNPU_REQUEST_BEST_EFFORT	(1u << 0)	/* after all others, whatever its deadline */
#define FNPU_REQUEST_REJECT_LATE	(1u << 1)	/* fail with -ETIMEDOUT once it must be late */
#define FNPU_MAX_PRIORITY		7u

/** enum fnpu_input_format - how a sample's input lies in memory */
enum fnpu_input_format {
	FNPU_INPUT_F32_NCHW,	/* float[channels][height][width], quantized by the library */
	FNPU_INPUT_U8_NHWC,	/* uint8_t[height][width][channels], an image's bytes */
	FNPU_INPUT_I8_NHWC,	/* int8_t[height][width][channels], as the NPU takes it */
};

/**
 * struct fnpu_request - a sample to classify
 * @user_data: returned in its result
 * @input: copied before fnpu_session_submit() returns
 * @input_bytes: exactly what @format and the model's shape say
 * @format: of @input, or of what is in @bo
 * @bo: instead of @input: a buffer of the session's device (fnpu_bo_alloc(), fnpu_bo_import())
 *	that the NPU reads itself, without a copy. It takes FNPU_INPUT_I8_NHWC only. The bytes
 *	and the buffer must stay until the result is there; NULL: @input
 * @bo_offset: of the sample in @bo, bytes; with a daemon a multiple of 64
 * @exit_index: where it leaves on an NPU without FLUIDNPU_FEATURE_FUNCTIONAL, which looks at no
 *	input: @input may be NULL there; otherwise ignored
 * @slo_ns: deadline, in device time after its submission; 0: the session's
 * @priority: 0..FNPU_MAX_PRIORITY; a higher one goes first
 * @flags: FNPU_REQUEST_*
 */
struct fnpu_request {
	uint64_t user_data;
	const void *input;
	size_t input_bytes;
	enum fnpu_input_format format;
	uint32_t exit_index;
	uint64_t slo_ns;
	uint32_t priority;
	uint32_t flags;
	const struct fnpu_bo *bo;
	uint64_t bo_offset;
};

/**
 * struct fnpu_head - what one exit head said
 * @class_index: top-1 class
 * @live_batch: samples that ran together there
 * @confidence: softmax probability of the top-1 class
 * @entropy: of the softmax, nats
 * @margin: top-1 minus top-2 probability
 * @time: device time, cycles
 */
struct fnpu_head {
	uint32_t class_index;
	uint32_t live_batch;
	float confidence;
	float entropy;
	float margin;
	uint64_t time;
};

/**
 * struct fnpu_result - one sample's end
 * @user_data: of the request
 * @status: 0, or a negative errno: the fields below @reason are then 0
 * @reason: NULL, or a static sentence about @status
 * @exit_index: where it left
 * @head: what that exit's head said; head.time is when it left
 * @heads: FNPU_SESSION_NO_EXIT: of exits 0..exit_index; otherwise NULL
 * @logits: FNPU_SESSION_LOGITS: int8 logits, those of exits 0..exit_index are
 *	valid (fnpu_exit_info.logits_off); otherwise NULL
 * @arrived: device time when it was submitted; the kernel driver does not tell it without
 *	a system call: there it is @queued
 * @queued: device time when its job reached the device
 * @started: device time when its job's first layer started
 * @batch: samples of its job
 * @preempted: how often it was stopped and put back into the queue; the three above are then of
 *	its last job
 *
 * Device times are cycles of fnpu_device_info.clock_hz. @heads and @logits are valid
 * until the session's next poll, wait, drain or close.
 */
struct fnpu_result {
	uint64_t user_data;
	int status;
	const char *reason;
	uint32_t exit_index;
	struct fnpu_head head;
	const struct fnpu_head *heads;
	const int8_t *logits;
	uint64_t arrived;
	uint64_t queued;
	uint64_t started;
	uint32_t batch;
	uint32_t preempted;
};

/**
 * struct fnpu_session_stats - since the session was opened
 * @submitted: samples taken
 * @rejected: samples refused with -EAGAIN
 * @completed: results of status 0
 * @failed: results of another status; among them
 * @expired: given up for their deadlines, -ETIMEDOUT
 * @cancelled: by fnpu_session_cancel(), -ECANCELED
 * @late: completed, and after their deadlines
 * @preemptions: how often a sample was stopped and put back into the queue
 * @injected: samples that joined a batch that ran already
 * @exits: completed samples that left at each exit
 * @jobs: batches sent to the device
 * @job_samples: samples in them; divided by @jobs the mean batch
 * @batches: jobs of [i + 1] samples
 *
 * The last three are, with a daemon, of all clients that share this model's session.
 */
struct fnpu_session_stats {
	uint64_t submitted;
	uint64_t rejected;
	uint64_t completed;
	uint64_t failed;
	uint64_t expired;
	uint64_t cancelled;
	uint64_t late;
	uint64_t preemptions;
	uint64_t injected;
	uint64_t exits[FLUIDNPU_MAX_EXITS];
	uint64_t jobs;
	uint64_t job_samples;
	uint64_t batches[FLUIDNPU_MAX_BATCH];
};

/**
 * fnpu_session_open() - upload a model and set up its queue
 * @device, @model: must outlive the session
 * @options: NULL for defaults
 * @session: out; fnpu_session_close() it
 * @error: filled on failure; may be NULL
 *
 * All memory is taken here; submitting and polling allocate nothing.
 * Errors: -EINVAL an option or a model that this device cannot run, -ENOMEM, -EPERM or
 * -ENOSYS when "uring" was asked for and the kernel refuses it, -ENODEV. Of a daemon: -ENOENT it
 * does not serve this model, -EDQUOT this process has all that it may.
 */
int fnpu_session_open(struct fnpu_device *device, const struct fnpu_model *model,
		      const struct fnpu_session_options *options,
		      struct fnpu_session **session, struct fnpu_error *error);

/** fnpu_session_close() - results not fetched are lost, jobs in flight end unheard; NULL is fine */
void fnpu_session_close(struct fnpu_session *session);

/**
 * fnpu_session_submit() - queue a sample
 *
 * Quantizes (or copies) the input; no system call. Queued samples go to the device
 * at the next fnpu_session_flush(), _poll(), _wait() or _drain(), so that many share
 * a batch and a system call.
 * A daemon is told of a buffer when a session first uses it: then this waits for its answer. It knows
 * 63 of a session at a time, those that were used last.
 * Errors: -EAGAIN the queue is full, or 63 buffers have samples in them: fetch results first; -EINVAL
 * wrong size or format, or the daemon cannot use the buffer; -EDQUOT the process has all that it may
 * there; what broke the session (see fnpu_session_wait() and fnpu_session_error()).
 */
int fnpu_session_submit(struct fnpu_session *session, const struct fnpu_request *request);

/** fnpu_session_flush() - let the scheduler start what it can. 0 or a negative errno. */
int fnpu_session_flush(struct fnpu_session *session);

/**
 * fnpu_session_poll() - take results that are there
 * @results: array of @max
 * Returns the number taken, 0 when there are none, or a negative errno. Under emu device time
 * moves to the next event when there is no result yet.
 */
int fnpu_session_poll(struct fnpu_session *session, struct fnpu_result *results, uint32_t max);

/**
 * fnpu_session_wait() - take results, waiting for the first
 * @timeout_ns: at most so long (host time); negative: no limit; emu does not
 *	sleep and has no need of it
 * Returns the number taken; 0 when the session holds no sample; -ETIMEDOUT; -EINTR;
 * -EIO, -ENODEV or -EPROTO once the device died or talks nonsense: before that, every
 * sample in the session has got its result, with this status.
 */
int fnpu_session_wait(struct fnpu_session *session, struct fnpu_result *results,
		      uint32_t max, int64_t timeout_ns);

/**
 * fnpu_session_time() - device time now, in cycles
 * emu: virtual time. kmd: extrapolated by the host's clock from the last event that the session
 * has seen, without a system call of the driver's; it never goes back.
 */
uint64_t fnpu_session_time(struct fnpu_session *session);

/**
 * fnpu_session_wait_until() - take results, waiting for the first until device time @time at most
 * @time: cycles, see fnpu_session_time()
 * As fnpu_session_wait(), but a session without samples waits, too: kmd sleeps, emu moves virtual
 * time to @time. Returns the number taken, or -ETIMEDOUT once @time has come; never 0.
 */
int fnpu_session_wait_until(struct fnpu_session *session, struct fnpu_result *results,
			    uint32_t max, uint64_t time);

/**
 * fnpu_session_drain() - run until every submitted sample has its result
 * The results stay in the session until they are polled. Returns 0, -ETIMEDOUT or
 * as fnpu_session_wait().
 */
int fnpu_session_drain(struct fnpu_session *session, int64_t timeout_ns);

/**
 * fnpu_session_cancel() - samples with this @user_data are not wanted any more
 *
 * Those that wait get a result of status -ECANCELED now. Those that run go on to their exit, and
 * have an ordinary result, unless the policy stops their batch before. A daemon is asked to do the
 * same with those that it has got, and the results come later.
 * Returns how many got their result by this; -EINPROGRESS: none, all of them run; -ENOENT: there
 * is no such sample, or it has its result already. It looks at all samples in the session.
 */
int fnpu_session_cancel(struct fnpu_session *session, uint64_t user_data);

/**
 * typedef fnpu_result_fn - takes a result, as fnpu_session_dispatch() was told
 * @result: valid until it returns
 * @opaque: the caller's
 * It may submit and cancel samples of the session, and nothing else of it.
 */
typedef void (*fnpu_result_fn)(const struct fnpu_result *result, void *opaque);

/**
 * fnpu_session_dispatch() - results by callback: fnpu_session_wait() with a call of @fn for each
 * @timeout_ns: as fnpu_session_wait()
 * Returns how many, at most 64; otherwise as fnpu_session_wait().
 */
int fnpu_session_dispatch(struct fnpu_session *session, int64_t timeout_ns, fnpu_result_fn fn,
			  void *opaque);

/** fnpu_session_pending() - samples submitted whose results have not been taken */
uint32_t fnpu_session_pending(const struct fnpu_session *session);

/**
 * fnpu_session_fd() - file descriptor for poll(2), epoll or io_uring
 * Readable: call fnpu_session_poll(). The session owns it. Negative errno on failure.
 * Where jobs go by ioctl, the events of one session wake all sessions of its device: fetch
 * the results of each, or the others find no rest. With io_uring, a poll(2) may end
 * with EINTR though there was no signal.
 */
int fnpu_session_fd(struct fnpu_session *session);

/**
 * fnpu_session_stats() - counts so far
 * With a daemon, those of jobs are of all its clients since this session was opened, @injected is 0, and
 * the call asks the daemon and waits for its answer, at most ten seconds.
 */
void fnpu_session_stats(const struct fnpu_session *session, struct fnpu_session_stats *stats);

/** fnpu_session_submission() - "uring", "ioctl", "emu" or "daemon": how jobs get to the device */
const char *fnpu_session_submission(const struct fnpu_session *session);

/** fnpu_session_max_batch() - samples per job at most, after all limits */
uint32_t fnpu_session_max_batch(const struct fnpu_session *session);

/** fnpu_session_error() - text of the last failure, "" if none */
const char *fnpu_session_error(const struct fnpu_session *session);

#ifdef __cplusplus
}
#endif

#endif /* FLUIDNPU_H */
