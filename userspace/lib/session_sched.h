/* SPDX-License-Identifier: MIT */
/* A session's scheduler: made from the model's cost table and the device's geometry. */
#ifndef FNPU_SESSION_SCHED_H
#define FNPU_SESSION_SCHED_H

#include "session.h"

/**
 * fnpu_session_open_sched() - s->sched, s->preempts, s->group_layers, s->layer_groups, s->depth
 * @s: with its device, model, flags, max_batch, depth and num_slots
 * @o: the options; @queue_bound: its, or the default
 * Returns 0 or a negative errno with a sentence in @error. What was made until then is freed by
 * fnpu_local_close().
 */
int fnpu_session_open_sched(struct fnpu_session *s, const struct fnpu_session_options *o,
			    uint32_t queue_bound, struct fnpu_error *error);

#endif /* FNPU_SESSION_SCHED_H */
