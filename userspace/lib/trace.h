/* SPDX-License-Identifier: MIT */
/*
 * What a session does, as a timeline in the Trace Event format (Perfetto, chrome://tracing):
 *
 *	decisions	what the scheduler decided, when, why, and after what
 *	batches		the jobs of the device, from their first layer to their end
 *	samples		each on a track of its own: waiting, running, and how it left
 *
 * All times are device time. Every function does nothing when the session is not recorded, so
 * callers need not ask.
 */
#ifndef FNPU_TRACE_H
#define FNPU_TRACE_H

#include "session.h"

/** fnpu_trace_attach() - what @s does goes to @trace; both stay */
void fnpu_trace_attach(struct fnpu_trace *trace, struct fnpu_session *s);

/**
 * fnpu_trace_of_environment() - the recording that the environment asks for: $FLUIDNPU_TRACE names
 * the beginning of its path
 * @trace: out: NULL if it does not; otherwise fnpu_trace_close() it
 */
int fnpu_trace_of_environment(struct fnpu_trace **trace, struct fnpu_error *error);

void fnpu_trace_arrival(struct fnpu_session *s, uint32_t slot);
void fnpu_trace_decision(struct fnpu_session *s, const struct fnpu_sched_decision *d);

/** fnpu_trace_back() - the sample was handed back before @layer */
void fnpu_trace_back(struct fnpu_session *s, uint32_t slot, uint32_t layer);

/** fnpu_trace_result() - the sample has its result; before its state changes to DONE */
void fnpu_trace_result(struct fnpu_session *s, uint32_t slot);

/** fnpu_trace_job() - the job ended with @event */
void fnpu_trace_job(struct fnpu_session *s, uint32_t job, const struct drm_fluidnpu_event *event);

#endif /* FNPU_TRACE_H */
