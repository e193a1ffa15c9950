// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fault.h"
#include "tap.h"

#define DEBUGFS		"/sys/kernel/debug/"
#define FAIL_NTH	"/proc/thread-self/fail-nth"
#define MANY		1000000		/* faults that may strike */
#define MAX_N		3000		/* more allocations than any call makes */

/* Each has a folder in debugfs. */
enum fault { FAULT_SLABS, FAULT_PAGES, FAULT_COPIES, NUM_FAULTS, NO_FAULT = NUM_FAULTS };
static const char *const fault_names[NUM_FAULTS] = {
	"failslab", "fail_page_alloc", "fail_usercopy",
};

/* The kernel's own means to find bugs: without these objects they switch themselves off. */
static const char *const spared[] = { "kmemleak_object", "debug_objects_cache", NULL };
/* DMA_API_DEBUG, too, and it has no cache of its own. */
static const char *const spared_trees[] = { "radix_tree_node", NULL };

static int fail_nth = -1;

static int set(const char *folder, const char *file, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), DEBUGFS "%s/%s", folder, file);
	return write_file(path, value);
}

static int times(enum fault fault)
{
	char path[128], text[32] = "";

	snprintf(path, sizeof(path), DEBUGFS "%s/times", fault_names[fault]);
	if (read_file(path, text, sizeof(text)))
		return -1;
	return atoi(text);
}

static bool is_in(const char *const *names, const char *name)
{
	while (*names && strcmp(*names, name))
		names++;
	return *names;
}

/* Which caches may run out of objects. */
static bool choose_caches(enum fault_scope scope)
{
	unsigned int chosen = 0;
	glob_t files;

	if (glob("/sys/kernel/slab/*/failslab", 0, NULL, &files))
		return false;
	for (size_t i = 0; i < files.gl_pathc; i++) {
		char name[64] = "";
		bool fails;

		sscanf(files.gl_pathv[i], "/sys/kernel/slab/%63[^/]", name);
		fails = !is_in(spared, name) &&
			(scope == FAULT_ANY || !is_in(spared_trees, name));
		chosen += !write_file(files.gl_pathv[i], fails ? "1" : "0") && fails;
	}
	globfree(&files);
	return chosen;
}

const char *fault_set_up(enum fault_scope scope)
{
	static char reason[128];

	for (unsigned int i = 0; i < NUM_FAULTS; i++) {
		if (set(fault_names[i], "verbose", "0") || times(i) < 0) {
			snprintf(reason, sizeof(reason), "the kernel has no %s", fault_names[i]);
			return reason;
		}
	}
	if (fail_nth < 0)
		fail_nth = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	if (fail_nth < 0)
		return "the kernel has no " FAIL_NTH;
	/* Those that may wait, too, which are nearly all. */
	if (set("failslab", "ignore-gfp-wait", "N") || set("failslab", "cache-filter", "Y") ||
	    set("fail_page_alloc", "ignore-gfp-wait", "N") ||
	    set("fail_page_alloc", "ignore-gfp-highmem", "N") ||
	    set("fail_page_alloc", "min-order", scope == FAULT_ANY ? "0" : "100"))
		return "failslab cannot be set up";
	return choose_caches(scope) ? NULL : "no cache can be made to fail";
}

static bool arm(unsigned int n)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%u", n);

	for (unsigned int i = 0; i < NUM_FAULTS; i++)
		set(fault_names[i], "times", "1000000");
	return pwrite(fail_nth, text, length, 0) == length;
}

/* Which fault has struck since arm()? */
static enum fault disarm(void)
{
	char text[16] = "";
	ssize_t ret = pread(fail_nth, text, sizeof(text) - 1, 0);

	/* If it can be read only now that reading has failed, it is 0 since then. */
	if (ret < 0 || atoi(text)) {
		if (pwrite(fail_nth, "0", 1, 0) != 1 && pwrite(fail_nth, "0", 1, 0) != 1)
			tap_fail(__FILE__, __LINE__, "cannot disarm: %s", strerror(errno));
		return NO_FAULT;
	}
	for (unsigned int i = 0; i < NUM_FAULTS; i++) {
		if (times(i) != MANY)
			return i;
	}
	tap_fail(__FILE__, __LINE__, "a fault struck, nobody knows which");
	return NO_FAULT;
}

/* ---- what a client can see of itself ---- */

struct state {
	struct drm_fluidnpu_info info;
	struct drm_fluidnpu_perf file, ctx;
	char fdinfo[2048];
};

static void take_perf(int fd, uint32_t ctx_id, struct drm_fluidnpu_perf *perf)
{
	*perf = (struct drm_fluidnpu_perf){ .ctx_id = ctx_id };
	EXPECT_OK(npu_ioctl(fd, DRM_IOCTL_FLUIDNPU_PERF, perf));
	perf->time = 0;
}

/* A line of @text does not count. Behind its end there are zeros, before and after. */
static void drop_line(char *text, const char *key)
{
	char *line = strstr(text, key);
	char *next = line ? strchr(line, '\n') : NULL;
	size_t left;

	if (!next)
		return;
	left = strlen(next);
	memmove(line, next, left);
	memset(line + left, 0, (size_t)(next - line));
}

static void state_take(const struct fault_call *call, struct state *state)
{
	char path[64];

	memset(state, 0, sizeof(*state));
	EXPECT_OK(npu_info(*call->fd, &state->info));
	take_perf(*call->fd, 0, &state->file);
	if (call->ctx)
		take_perf(*call->fd, call->ctx->id, &state->ctx);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", *call->fd);
	EXPECT_OK(read_file(path, state->fdinfo, sizeof(state->fdinfo)));
	if (call->shares)
		drop_line(state->fdinfo, "drm-shared-memory:");
}

static bool state_is_same(const struct state *a, const struct state *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static void state_differs(const struct state *before, const struct state *after)
{
	tap_fail(__FILE__, __LINE__, "jobs %llu, now %llu; memory %llu, now %llu; fdinfo:\n%s---\n%s",
		 (unsigned long long)before->file.jobs, (unsigned long long)after->file.jobs,
		 (unsigned long long)before->file.memory_bytes,
		 (unsigned long long)after->file.memory_bytes, before->fdinfo, after->fdinfo);
}

/* All entries of the event ring can be had. */
static void expect_free_ring(struct ctx *ctx)
{
	struct drm_fluidnpu_job jobs[FAULT_ENTRIES] = { 0 };
	struct drm_fluidnpu_event event;

	for (unsigned int i = 0; i < FAULT_ENTRIES; i++)
		jobs[i].flags = DRM_FLUIDNPU_JOB_NOP;
	REQUIRE(!submit(ctx, jobs, FAULT_ENTRIES, NULL, 0), "reserved entries are left");
	for (unsigned int i = 0; i < FAULT_ENTRIES; i++)
		REQUIRE(ctx_job_event(ctx, &event) && !event.error, "event %u", i);
}

/* ---- the test ---- */

struct tally {
	unsigned int refused, other, without, copies;
};

static bool is_allowed(const struct fault_call *call, enum fault fault, int error)
{
	return error == (fault == FAULT_COPIES ? -EFAULT : -ENOMEM) ||
	       (call->other_errno && error == -call->other_errno);
}

/* The call has failed: nothing is left of it, and it succeeds once there is memory. */
static void after_failure(const struct fault_call *call, enum fault fault, int error,
			  const struct state *before, uint64_t wanted)
{
	struct state after;
	uint64_t result = 0;

	EXPECT(is_allowed(call, fault, error), "%s: it returned %d (%s)", fault_names[fault],
	       error, strerror(-error));
	if (fault == FAULT_COPIES && call->returns) {
		if (call->shares)
			close((int)wanted);	/* where it came to be open */
		call->down();	/* If it has done something, nobody can name it. */
		REQUIRE(call->up(), "");
	} else {
		state_take(call, &after);
		if (!state_is_same(before, &after))
			state_differs(before, &after);
	}
	if (call->ctx)
		expect_free_ring(call->ctx);
	REQUIRE(!call->prepare || call->prepare(), "");
	EXPECT_OK(call->run(&result));
	EXPECT_EQ(result, wanted);
}

/* The @n-th allocation fails, if there are so many; returns false if not. */
static bool fail_nth_time(const struct fault_call *call, unsigned int n, uint64_t wanted,
			  struct tally *tally)
{
	struct state before;
	uint64_t result = 0;
	enum fault fault;
	int ret;

	if (call->prepare && !call->prepare())
		return false;
	state_take(call, &before);
	if (!arm(n)) {
		tap_fail(__FILE__, __LINE__, "cannot arm: %s", strerror(errno));
		return false;
	}
	ret = call->run(&result);
	fault = disarm();

	if (fault == NO_FAULT)
		EXPECT_OK(ret);
	else if (ret)
		after_failure(call, fault, ret, &before, wanted);
	if (!ret)
		EXPECT_EQ(result, wanted);
	if (call->undo)
		call->undo();

	tally->refused += ret == -ENOMEM;
	tally->copies += ret == -EFAULT;
	tally->other += ret && ret != -ENOMEM && ret != -EFAULT;
	tally->without += fault != NO_FAULT && !ret;
	return fault != NO_FAULT;
}

/* The kernel's log tells where. */
static void once_more(const struct fault_call *call, unsigned int n, uint64_t wanted)
{
	struct tally tally = { 0 };

	printf("# n = %u, see the kernel's log\n", n);
	for (unsigned int i = 0; i < NUM_FAULTS; i++)
		set(fault_names[i], "verbose", "2");
	fail_nth_time(call, n, wanted, &tally);
	for (unsigned int i = 0; i < NUM_FAULTS; i++)
		set(fault_names[i], "verbose", "0");
}

void fault_test(const struct fault_call *call)
{
	struct tally tally = { 0 };
	uint64_t wanted = 0;
	unsigned int n = 0;
	bool more = true;

	REQUIRE(call->up(), "");
	REQUIRE(!call->prepare || call->prepare(), "");
	REQUIRE(!call->run(&wanted), "the call fails by itself");
	if (call->undo)
		call->undo();
	while (more && !tap_failures && n < MAX_N) {
		if (call->anew) {
			call->down();
			REQUIRE(call->up(), "");
		}
		more = fail_nth_time(call, ++n, wanted, &tally);
	}
	if (tap_failures && n)
		once_more(call, n, wanted);
	EXPECT(n < MAX_N, "it has no end");
	EXPECT(tally.refused || tally.without || tally.copies, "no fault struck");
	printf("# ENOMEM %u times, EFAULT %u times, another error %u times, did without %u times\n",
	       tally.refused, tally.copies, tally.other, tally.without);
	call->down();
}
