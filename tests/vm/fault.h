/* SPDX-License-Identifier: MIT */
/*
 * fault.h - calls whose n-th allocation fails, for n = 1, 2, ... until none is left to fail.
 *
 * The kernel does it (fail-nth, failslab): see Documentation/fault-injection. It has to be one
 * made for that: CONFIG_FAILSLAB, CONFIG_FAIL_PAGE_ALLOC, CONFIG_FAULT_INJECTION_USERCOPY and
 * CONFIG_FAULT_INJECTION_DEBUG_FS.
 */
#ifndef FNPU_TESTS_FAULT_H
#define FNPU_TESTS_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "npu.h"

/* Where a call may find no memory. */
enum fault_scope {
	FAULT_SLAB,	/* small objects, but not those that trees are made of */
	FAULT_ANY,	/* all objects, and pages */
};

/* Returns NULL, or why it cannot be done. */
const char *fault_set_up(enum fault_scope scope);

/* A call that shall either succeed or change nothing. */
struct fault_call {
	const char *name;
	/*
	 * The client that makes it. With .anew there is a new one for each n: a call that only
	 * allocates the first time.
	 */
	bool (*up)(void);
	void (*down)(void);
	bool anew;
	/* What the call needs, if it is not there already: it may have been taken by a call. */
	bool (*prepare)(void);
	/* The call. 0 or -errno; *@result is a number that is the same whenever it succeeds. */
	int (*run)(uint64_t *result);
	/* What it did is undone, at once. */
	void (*undo)(void);
	/* What it may return instead of ENOMEM: each needs a reason. */
	int other_errno;
	/* It returns something: if that cannot be copied to the user, it has been done already. */
	bool returns;
	/*
	 * It makes a dma-buf, and returns its descriptor: the DRM core leaves that open when it cannot
	 * be copied, and the dma-buf with the buffer, which counts as shared.
	 */
	bool shares;
	/* Whose numbers are compared; @ctx may be NULL, its ring has FAULT_ENTRIES. */
	const int *fd;
	struct ctx *ctx;
};

#define FAULT_ENTRIES 32

/* The test: all of that. */
void fault_test(const struct fault_call *call);

#endif
