// SPDX-License-Identifier: MIT
/* The checks of what a client says. They see bytes and a state, and change nothing. */
#include <errno.h>

#include "error.h"
#include "protocol.h"

/**
 * struct rule - of a type of request
 * @least, @most: states in which it may come
 * @bytes: of it; SUBMIT: of its fixed part
 */
static const struct rule {
	enum fnpud_state least;
	enum fnpud_state most;
	size_t bytes;
	const char *name;
} rules[FNPUD_NUM_REQUESTS] = {
	[FNPUD_HELLO] = { FNPUD_NEW, FNPUD_NEW, sizeof(struct fnpud_hello), "HELLO" },
	[FNPUD_OPEN] = { FNPUD_GREETED, FNPUD_GREETED, sizeof(struct fnpud_open), "OPEN" },
	[FNPUD_BUFFER] = { FNPUD_IS_OPEN, FNPUD_IS_OPEN, sizeof(struct fnpud_buffer), "BUFFER" },
	[FNPUD_SUBMIT] = { FNPUD_IS_OPEN, FNPUD_IS_OPEN, sizeof(struct fnpud_submit), "SUBMIT" },
	[FNPUD_COUNTERS] = { FNPUD_GREETED, FNPUD_IS_OPEN, sizeof(struct fnpud_header), "COUNTERS" },
	[FNPUD_STATS] = { FNPUD_IS_OPEN, FNPUD_IS_OPEN, sizeof(struct fnpud_header), "STATS" },
	[FNPUD_CANCEL] = { FNPUD_IS_OPEN, FNPUD_IS_OPEN, sizeof(struct fnpud_cancel), "CANCEL" },
	[FNPUD_RELEASE] = { FNPUD_IS_OPEN, FNPUD_IS_OPEN, sizeof(struct fnpud_release), "RELEASE" },
};

static int check_hello(const struct fnpud_hello *m, struct fnpu_error *error)
{
	if (m->magic != FNPUD_MAGIC)
		return fnpu_fail(error, -EPROTO, "the HELLO is not fluidnpud's");
	if (m->version != FNPUD_VERSION)
		return fnpu_fail(error, -EPROTONOSUPPORT,
				 "the client speaks version %u of the protocol, fluidnpud version %u: install library and daemon of one release",
				 m->version, FNPUD_VERSION);
	return 0;
}

static int check_open(const struct fnpud_open *m, struct fnpu_error *error)
{
	if (m->flags & ~(FNPU_SESSION_LOGITS | FNPU_SESSION_NO_EXIT) || m->reserved)
		return fnpu_fail(error, -EPROTO, "session flags %#x do not exist", m->flags);
	if (m->queue_bound > FNPUD_MAX_QUEUE)
		return fnpu_fail(error, -EPROTO, "a queue of %u samples is too long: at most %u",
				 m->queue_bound, FNPUD_MAX_QUEUE);
	return 0;
}

static int check_buffer_number(uint32_t buffer, uint32_t reserved, struct fnpu_error *error)
{
	if (buffer >= FNPUD_MAX_BUFFERS || reserved)
		return fnpu_fail(error, -EPROTO, "buffer number %u does not exist: there are %u",
				 buffer, FNPUD_MAX_BUFFERS);
	return 0;
}

static int check_release(const struct fnpud_release *m, struct fnpu_error *error)
{
	return check_buffer_number(m->buffer, m->reserved, error);
}

static int check_buffer(const struct fnpud_buffer *m, struct fnpu_error *error)
{
	if (!m->bytes || m->bytes > FNPUD_MAX_BUFFER_BYTES)
		return fnpu_fail(error, -EPROTO, "a buffer of %llu bytes makes no sense",
				 (unsigned long long)m->bytes);
	return check_buffer_number(m->buffer, m->reserved, error);
}

static int check_input(const struct fnpud_peer *peer, const struct fnpud_sample *s,
		       struct fnpu_error *error)
{
	const uint64_t bytes = fnpud_input_bytes(s->format, peer->input_bytes);
	uint64_t room;
	int ret;

	if (!bytes)
		return fnpu_fail(error, -EPROTO, "input format %u does not exist", s->format);
	if (s->offset == FNPUD_NO_INPUT && !peer->computes)
		return 0;
	ret = check_buffer_number(s->buffer, s->reserved, error);
	if (ret)
		return ret;
	room = peer->buffer_bytes[s->buffer];
	if (s->offset % FNPUD_INPUT_ALIGN || bytes > room || s->offset > room - bytes)
		return fnpu_fail(error, -EPROTO,
				 "no sample of %llu bytes is at %#llx of a buffer of %llu bytes",
				 (unsigned long long)bytes, (unsigned long long)s->offset,
				 (unsigned long long)room);
	return 0;
}

static int check_sample(const struct fnpud_peer *peer, const struct fnpud_sample *s,
			struct fnpu_error *error)
{
	if (s->priority > FNPU_MAX_PRIORITY ||
	    s->flags & ~(FNPU_REQUEST_BEST_EFFORT | FNPU_REQUEST_REJECT_LATE))
		return fnpu_fail(error, -EPROTO, "priority %u or flags %#x do not exist",
				 s->priority, s->flags);
	if (!peer->computes && s->exit_index >= peer->num_exits)
		return fnpu_fail(error, -EPROTO, "exit %u does not exist, the model has %u",
				 s->exit_index, peer->num_exits);
	return check_input(peer, s, error);
}

static int check_submit(const struct fnpud_peer *peer, const struct fnpud_submit *m, size_t bytes,
			struct fnpu_error *error)
{
	int ret = 0;

	if (!m->count || m->reserved || (bytes - sizeof(*m)) / sizeof(m->samples[0]) != m->count ||
	    (bytes - sizeof(*m)) % sizeof(m->samples[0]))
		return fnpu_fail(error, -EPROTO, "a SUBMIT of %zu bytes does not hold %u samples",
				 bytes, m->count);
	for (uint32_t i = 0; !ret && i < m->count; i++)
		ret = check_sample(peer, &m->samples[i], error);
	return ret;
}

static int check_frame(const struct fnpud_peer *peer, const struct fnpud_header *h, size_t bytes,
		       unsigned int fds, struct fnpu_error *error)
{
	const struct rule *rule;

	if (bytes < sizeof(*h) || h->bytes != bytes)
		return fnpu_fail(error, -EPROTO, "a message of %zu bytes does not say so", bytes);
	if (h->type == FNPUD_NONE || h->type >= FNPUD_NUM_REQUESTS)
		return fnpu_fail(error, -EPROTO, "a request of type %u does not exist", h->type);
	rule = &rules[h->type];
	if (peer->state < rule->least || peer->state > rule->most)
		return fnpu_fail(error, -EPROTO, "%s may not come now", rule->name);
	if (h->type == FNPUD_SUBMIT ? bytes < rule->bytes : bytes != rule->bytes)
		return fnpu_fail(error, -EPROTO, "a message of %zu bytes is no %s", bytes, rule->name);
	if (fds != (h->type == FNPUD_BUFFER))
		return fnpu_fail(error, -EPROTO, "%s comes with %u file descriptors", rule->name, fds);
	return 0;
}

int fnpud_check(const struct fnpud_peer *peer, const void *data, size_t bytes, unsigned int fds,
		struct fnpu_error *error)
{
	const struct fnpud_header *h = data;
	int ret = check_frame(peer, h, bytes, fds, error);

	if (ret)
		return ret;
	switch (h->type) {
	case FNPUD_HELLO:
		return check_hello(data, error);
	case FNPUD_OPEN:
		return check_open(data, error);
	case FNPUD_BUFFER:
		return check_buffer(data, error);
	case FNPUD_RELEASE:
		return check_release(data, error);
	case FNPUD_SUBMIT:
		return check_submit(peer, data, bytes, error);
	default:
		return 0;
	}
}

uint64_t fnpud_input_bytes(uint32_t format, uint32_t input_bytes)
{
	switch (format) {
	case FNPU_INPUT_F32_NCHW:
		return (uint64_t)input_bytes * sizeof(float);
	case FNPU_INPUT_U8_NHWC:
	case FNPU_INPUT_I8_NHWC:
		return input_bytes;
	default:
		return 0;
	}
}

uint64_t fnpud_record_bytes(uint32_t flags, uint32_t num_exits, uint32_t logits_bytes)
{
	uint64_t bytes = sizeof(struct fnpud_result);

	if (flags & FNPU_SESSION_NO_EXIT)
		bytes += num_exits * sizeof(struct fnpud_head);
	if (flags & FNPU_SESSION_LOGITS)
		bytes += (logits_bytes + UINT64_C(7)) & ~UINT64_C(7);
	return bytes;
}
