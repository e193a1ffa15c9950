// SPDX-License-Identifier: GPL-2.0
/*
 * FluidNPU accel driver: the tracepoints themselves.
 */

/* sparse sees only what the macros make of the header. */
#ifndef __CHECKER__
#define CREATE_TRACE_POINTS
#include "fluidnpu_trace.h"
#endif
