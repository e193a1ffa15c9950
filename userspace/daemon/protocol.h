/* SPDX-License-Identifier: MIT */
/*
 * What fluidnpud and libfluidnpu say to each other, over a Unix socket of type SOCK_SEQPACKET: a
 * message is a packet, its parts are those below, in the byte order of the machine.
 *
 *	client					daemon
 *	HELLO		the version spoken	DEVICE	the NPU
 *	OPEN		a model, a queue	OPENED	what was granted
 *	BUFFER + fd	where inputs lie	BUFFERED
 *	RELEASE		no inputs lie there any more
 *	SUBMIT		samples			RESULTS	one per sample, in the order of the exits
 *	CANCEL		a sample		its result comes as it would, perhaps -ECANCELED
 *	COUNTERS				COUNTED
 *	STATS					STATED
 *						ERROR	instead of an answer, or without a question
 *
 * A connection has one session: HELLO and OPEN come once each, in this order, before all else; a
 * connection that only asks for counters needs no session. Each request but SUBMIT, RELEASE and
 * CANCEL is answered once, in order. RESULTS may come in between.
 *
 * A sample's input lies in one of the session's buffers (a memfd that cannot shrink, or a dma-buf)
 * and stays unchanged until its result has come. In FNPU_INPUT_I8_NHWC the NPU reads it there,
 * where it can; otherwise the daemon reads it once. A BUFFER may take the place of another one, all
 * of whose samples have their results. At most fnpud_opened.queue_bound samples may be without a
 * result.
 *
 * A message that breaks these rules gets an ERROR and ends the connection. A BUFFER that cannot be
 * used gets an ERROR in place of its answer, and there is none of its number. And when the daemon stops, there is an ERROR
 * -ESHUTDOWN, then the results of the samples that it has got, then the end.
 */
#ifndef FNPUD_PROTOCOL_H
#define FNPUD_PROTOCOL_H

#include <stdbool.h>

#include "fluidnpu.h"

#define FNPUD_SOCKET_PATH	"/run/fluidnpud.sock"
#define FNPUD_MAGIC		0x46445550u
#define FNPUD_VERSION		2u
#define FNPUD_MESSAGE_BYTES	65536u		/* of the longest message */
#define FNPUD_INPUT_ALIGN	64u		/* of a sample in its buffer */
#define FNPUD_MAX_QUEUE		65536u		/* samples of a session */
#define FNPUD_MAX_BUFFERS	64u		/* of a session */
#define FNPUD_MAX_BUFFER_BYTES	(1ull << 36)
#define FNPUD_TEXT_BYTES	FNPU_ERROR_BYTES

enum fnpud_type {
	FNPUD_NONE,
	FNPUD_HELLO,
	FNPUD_OPEN,
	FNPUD_BUFFER,
	FNPUD_SUBMIT,
	FNPUD_COUNTERS,
	FNPUD_STATS,
	FNPUD_CANCEL,
	FNPUD_RELEASE,
	FNPUD_NUM_REQUESTS,
	FNPUD_DEVICE = 64,
	FNPUD_OPENED,
	FNPUD_BUFFERED,
	FNPUD_RESULTS,
	FNPUD_COUNTED,
	FNPUD_STATED,
	FNPUD_ERROR,
};

/** struct fnpud_header - how a message begins; @bytes: of all of it */
struct fnpud_header {
	uint32_t type;
	uint32_t bytes;
};

struct fnpud_hello {
	struct fnpud_header header;
	uint32_t magic;
	uint32_t version;
};

/** struct fnpud_device - as struct fnpu_device_info */
struct fnpud_device {
	struct fnpud_header header;
	char driver[64];
	uint32_t hw_version;
	uint32_t features;
	uint32_t clock_hz;
	uint32_t reserved;
	struct fluidnpu_hw_geometry geometry;
};

/**
 * struct fnpud_open - a session
 * @crc32, @file_bytes: of the .fnpu file, as its header has them: both sides mean the same network
 * @flags: FNPU_SESSION_*
 * @slo_ns: as in struct fnpu_session_options
 * @queue_bound: samples without a result, at most FNPUD_MAX_QUEUE; 0: the daemon's choice
 */
struct fnpud_open {
	struct fnpud_header header;
	uint32_t crc32;
	uint32_t flags;
	uint64_t file_bytes;
	uint64_t slo_ns;
	uint32_t queue_bound;
	uint32_t reserved;
};

/**
 * struct fnpud_opened - what was granted
 * @record_bytes: from one result to the next in a RESULTS
 */
struct fnpud_opened {
	struct fnpud_header header;
	uint32_t queue_bound;
	uint32_t max_batch;
	uint32_t record_bytes;
	uint32_t reserved;
};

/**
 * struct fnpud_buffer - the buffer whose descriptor comes with the message
 * @bytes: of it
 * @buffer: its number from now on, below FNPUD_MAX_BUFFERS
 */
struct fnpud_buffer {
	struct fnpud_header header;
	uint64_t bytes;
	uint32_t buffer;
	uint32_t reserved;
};

/** struct fnpud_release - @buffer: which is none any more; all of its samples have their results */
struct fnpud_release {
	struct fnpud_header header;
	uint32_t buffer;
	uint32_t reserved;
};

#define FNPUD_NO_INPUT	UINT64_MAX	/* fnpud_sample.offset, for an NPU that only models time */

/**
 * struct fnpud_sample - as struct fnpu_request
 * @offset: of the input in buffer number @buffer, a multiple of FNPUD_INPUT_ALIGN
 */
struct fnpud_sample {
	uint64_t user_data;
	uint64_t offset;
	uint64_t slo_ns;
	uint32_t format;
	uint32_t exit_index;
	uint32_t priority;
	uint32_t flags;
	uint32_t buffer;
	uint32_t reserved;
};

struct fnpud_submit {
	struct fnpud_header header;
	uint32_t count;
	uint32_t reserved;
	struct fnpud_sample samples[];
};

/**
 * struct fnpud_cancel - a sample is not wanted any more
 * @user_data: as in its SUBMIT; if there is none any more, nothing happens
 */
struct fnpud_cancel {
	struct fnpud_header header;
	uint64_t user_data;
};

/** struct fnpud_head - as struct fnpu_head */
struct fnpud_head {
	uint32_t class_index;
	uint32_t live_batch;
	float confidence;
	float entropy;
	float margin;
	uint32_t reserved;
	uint64_t time;
};

/**
 * struct fnpud_result - as struct fnpu_result
 *
 * Behind it: with FNPU_SESSION_NO_EXIT a struct fnpud_head per exit of the model, with
 * FNPU_SESSION_LOGITS the model's logits_bytes of logits.
 */
struct fnpud_result {
	uint64_t user_data;
	int32_t status;
	uint32_t exit_index;
	struct fnpud_head head;
	uint64_t arrived;
	uint64_t queued;
	uint64_t started;
	uint32_t batch;
	uint32_t preempted;
};

/** struct fnpud_results - @count records follow, fnpud_opened.record_bytes each */
struct fnpud_results {
	struct fnpud_header header;
	uint32_t count;
	uint32_t reserved;
};

/** struct fnpud_counted - as struct fnpu_counters */
struct fnpud_counted {
	struct fnpud_header header;
	uint64_t time;
	uint64_t values[FLUIDNPU_CNT_NUM];
};

/** struct fnpud_stated - jobs of the session that the clients share, since it was opened */
struct fnpud_stated {
	struct fnpud_header header;
	uint64_t jobs;
	uint64_t job_samples;
	uint64_t batches[FLUIDNPU_MAX_BATCH];
};

/**
 * struct fnpud_error - why a request was refused or the connection ends
 * @request: its type, or FNPUD_NONE
 * @error: negative errno
 * @text: a sentence, terminated
 */
struct fnpud_error {
	struct fnpud_header header;
	uint32_t request;
	int32_t error;
	char text[FNPUD_TEXT_BYTES];
};

/** enum fnpud_state - how far a connection has come */
enum fnpud_state {
	FNPUD_NEW,
	FNPUD_GREETED,
	FNPUD_IS_OPEN,
};

/**
 * struct fnpud_peer - what the messages of a connection are checked against
 * @computes: the NPU looks at inputs
 * @input_bytes, @num_exits: of the session's model
 * @buffer_bytes: of its buffers, 0: there is none of this number
 */
struct fnpud_peer {
	enum fnpud_state state;
	bool computes;
	uint32_t input_bytes;
	uint32_t num_exits;
	uint64_t buffer_bytes[FNPUD_MAX_BUFFERS];
};

/**
 * fnpud_check() - may a client in this state say this?
 * @data: @bytes of a message as received, aligned for any of the structures above
 * @fds: descriptors that came with it
 * @error: a sentence on failure
 *
 * Returns 0: the message is as long as its type says and its fields have values that exist;
 * otherwise -EPROTO, or -EPROTONOSUPPORT for another version.
 */
int fnpud_check(const struct fnpud_peer *peer, const void *data, size_t bytes, unsigned int fds,
		struct fnpu_error *error);

/** fnpud_input_bytes() - of a sample in @format with @input_bytes of int8; 0: no such format */
uint64_t fnpud_input_bytes(uint32_t format, uint32_t input_bytes);

/**
 * fnpud_record_bytes() - of a result
 * @flags: FNPU_SESSION_*
 */
uint64_t fnpud_record_bytes(uint32_t flags, uint32_t num_exits, uint32_t logits_bytes);

#endif /* FNPUD_PROTOCOL_H */
