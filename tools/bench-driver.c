// SPDX-License-Identifier: MIT
/*
 * bench-driver - what a job costs the CPU, by every way into the driver.
 *
 * Runs in the guest, with one CPU and -icount shift=0: there one instruction is
 * one nanosecond, so the clock counts what the CPU executes, kernel, interrupts and all.
 * What it counts beside that is idle time, which the kernel's own books hold to the
 * nanosecond (/proc/timer_list). Both ends of a measurement are in a sleep, so that
 * work that the kernel puts off is paid for by the operations that caused it.
 *
 * Operations of known cost come first, to see that the method is right: a system call that
 * does nothing, and a sleep, most of which is idle. IORING_OP_NOP and reads of a null
 * block device say what io_uring and a driver cost at least; they and the NPU's jobs go
 * through the same loop.
 *
 * Then the delay of completions: how much later than the device's time of a job's end a client
 * sees it, alone and when many jobs are under way, whose interrupts are coalesced.
 *
 * usage: bench-driver [--only TEXT] [--operations N] [--json FILE]
 *
 * Ends with status 3 if a target is missed.
 */
#define _GNU_SOURCE /* O_DIRECT */
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../tests/vm/npu.h"

#define OPERATIONS 4096 /* of each kind, unless told otherwise */
#define WARM_UP 512
#define MAX_DEPTH 64
#define BLOCK_BYTES 4096
#define EVENT_ENTRIES 1024
#define NULL_BLK "/dev/nullb0"

#define TUNED (IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER)

static void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
static void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("bench-driver: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

static void must(int ret, const char *what)
{
	if (ret < 0)
		die("%s: %s", what, strerror(-ret));
}

/* --- counting -------------------------------------------------------------------- */

struct count {
	int64_t ns;		/* CLOCK_MONOTONIC */
	int64_t idle_ns;
	int64_t interrupts;	/* of the NPU */
};

/* All of a file of /proc, which is small. */
static const char *slurp(const char *path)
{
	static char text[65536];
	size_t bytes = 0;
	ssize_t ret;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die("cannot open %s", path);
	while ((ret = read(fd, text + bytes, sizeof(text) - 1 - bytes)) > 0)
		bytes += (size_t)ret;
	text[bytes] = '\0';
	close(fd);
	return text;
}

static int64_t number_after(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	if (!at)
		die("no %s in /proc/timer_list", name);
	return strtoll(at + strlen(name) + strspn(at + strlen(name), " :"), NULL, 10);
}

static int64_t idle_ns(void)
{
	const char *text = slurp("/proc/timer_list");

	return number_after(text, ".idle_sleeptime") + number_after(text, ".iowait_sleeptime");
}

static int64_t npu_interrupts(void)
{
	const char *at = strstr(slurp("/proc/interrupts"), "fluidnpu-completion");

	if (!at)
		return 0;
	while (at[-1] != '\n')
		at--;
	return strtoll(strchr(at, ':') + 1, NULL, 10);
}

static void settle(void)
{
	struct timespec time = { .tv_nsec = 20000000 };

	nanosleep(&time, NULL);
}

static struct count count_start(void)
{
	struct count count;

	settle();
	count.interrupts = npu_interrupts();
	count.idle_ns = idle_ns();
	count.ns = npu_now_ns();
	return count;
}

static struct count count_since(const struct count *start)
{
	struct count count;

	settle();
	count.ns = npu_now_ns() - start->ns;
	count.idle_ns = idle_ns() - start->idle_ns;
	count.interrupts = npu_interrupts() - start->interrupts;
	return count;
}

/* --- what is measured -------------------------------------------------------------- */

enum work { WORK_NONE, WORK_NOP, WORK_READ, WORK_READ_FIXED, WORK_NULL_JOB, WORK_LAYER_JOB };

struct bench {
	const char *name;
	uint64_t (*run)(struct bench *bench, uint32_t operations); /* returns system calls */
	enum work work;
	unsigned int ring_flags;
	uint32_t depth;
	double instructions;
	double syscalls;
	double interrupts;
	bool measured;
};

/* What the operations work on. */
static struct {
	int npu;
	int disk;
	struct ctx ctx;
	struct net net;
	struct job layer_job;
	struct drm_fluidnpu_job null_job;
	uint32_t syncobj;
	uint8_t *buffers; /* MAX_DEPTH * BLOCK_BYTES */
} world;

static const struct drm_fluidnpu_job *job_of(enum work work)
{
	return work == WORK_NULL_JOB ? &world.null_job : &world.layer_job.args;
}

static void drop_events(void)
{
	struct drm_fluidnpu_event_ring *ring = ctx_ring(&world.ctx);

	__atomic_store_n(&ring->consumer, __atomic_load_n(&ring->producer, __ATOMIC_ACQUIRE),
			 __ATOMIC_RELEASE);
}

static uint64_t run_getppid(struct bench *bench, uint32_t operations)
{
	(void)bench;
	for (uint32_t i = 0; i < operations; i++)
		syscall(SYS_getppid);
	return operations;
}

static uint64_t run_sleep(struct bench *bench, uint32_t operations)
{
	struct timespec time = { .tv_nsec = 1000000 };

	(void)bench;
	for (uint32_t i = 0; i < operations; i++)
		nanosleep(&time, NULL);
	return operations;
}

static uint64_t run_read(struct bench *bench, uint32_t operations)
{
	(void)bench;
	for (uint32_t i = 0; i < operations; i++) {
		if (pread(world.disk, world.buffers, BLOCK_BYTES, 0) != BLOCK_BYTES)
			die("read of " NULL_BLK " failed");
	}
	return operations;
}

static uint64_t run_ioctl_syncobj(struct bench *bench, uint32_t operations)
{
	struct drm_fluidnpu_sync sync = {
		.handle = world.syncobj, .flags = DRM_FLUIDNPU_SYNC_SIGNAL,
	};

	for (uint32_t i = 0; i < operations; i++) {
		must(submit(&world.ctx, job_of(bench->work), 1, &sync, 1), "SUBMIT");
		must(syncobj_wait(world.npu, world.syncobj, 0, INT64_MAX), "SYNCOBJ_WAIT");
		drop_events();
	}
	return 2ull * operations;
}

static uint64_t run_ioctl_poll(struct bench *bench, uint32_t operations)
{
	const struct drm_fluidnpu_event *events = (const void *)(ctx_ring(&world.ctx) + 1);
	struct drm_fluidnpu_event_ring *ring = ctx_ring(&world.ctx);
	uint64_t syscalls = 0;

	for (uint32_t i = 0; i < operations; i++) {
		bool ended = false;

		must(submit(&world.ctx, job_of(bench->work), 1, NULL, 0), "SUBMIT");
		syscalls++;
		while (!ended) {
			struct pollfd pfd = { .fd = world.npu, .events = POLLIN };

			if (!ctx_pending(&world.ctx)) {
				syscalls++;
				if (poll(&pfd, 1, -1) < 0)
					die("poll failed");
				continue;
			}
			ended = events[ring->consumer & (ring->entries - 1)].type ==
				DRM_FLUIDNPU_EVENT_JOB;
			__atomic_store_n(&ring->consumer, ring->consumer + 1, __ATOMIC_RELEASE);
		}
	}
	return syscalls;
}

/* --- io_uring ------------------------------------------------------------------------ */

static void ring_open(const struct bench *bench, struct io_uring *ring)
{
	const bool npu = bench->work == WORK_NULL_JOB || bench->work == WORK_LAYER_JOB;
	struct io_uring_params params = {
		.flags = bench->ring_flags | (npu ? IORING_SETUP_SQE128 : 0),
	};
	struct iovec buffers = { world.buffers, MAX_DEPTH * BLOCK_BYTES };
	int fd = npu ? world.npu : world.disk;

	must(io_uring_queue_init_params(MAX_DEPTH, ring, &params), "io_uring_setup");
	must(io_uring_register_files(ring, &fd, 1), "registering a file");
	must(io_uring_register_buffers(ring, &buffers, 1), "registering a buffer");
}

static void fill_sqe(const struct bench *bench, struct io_uring_sqe *sqe, uint32_t slot)
{
	uint8_t *buffer = world.buffers + (size_t)slot * BLOCK_BYTES;
	struct drm_fluidnpu_uring_submit *args;

	switch (bench->work) {
	case WORK_READ:
		io_uring_prep_read(sqe, 0, buffer, BLOCK_BYTES, (uint64_t)slot * BLOCK_BYTES);
		break;
	case WORK_READ_FIXED:
		io_uring_prep_read_fixed(sqe, 0, buffer, BLOCK_BYTES,
					 (uint64_t)slot * BLOCK_BYTES, 0);
		break;
	case WORK_NULL_JOB:
	case WORK_LAYER_JOB:
		io_uring_prep_nop(sqe);
		sqe->opcode = IORING_OP_URING_CMD;
		sqe->fd = 0;
		sqe->cmd_op = FLUIDNPU_URING_SUBMIT;
		args = (void *)sqe->cmd;
		*args = (struct drm_fluidnpu_uring_submit){
			.ctx_id = world.ctx.id, .job = *job_of(bench->work),
		};
		break;
	default:
		io_uring_prep_nop(sqe);
		return;
	}
	sqe->flags = IOSQE_FIXED_FILE;
}

/* Takes what has completed; returns how many. */
static uint32_t reap(const struct bench *bench, struct io_uring *ring)
{
	const int expected = bench->work == WORK_READ || bench->work == WORK_READ_FIXED ?
		BLOCK_BYTES : 0;
	struct io_uring_cqe *cqe;
	unsigned int head;
	uint32_t seen = 0;

	io_uring_for_each_cqe(ring, head, cqe) {
		if (cqe->res != expected)
			die("%s, depth %u: an operation completed with %d", bench->name,
			    bench->depth, cqe->res);
		seen++;
	}
	io_uring_cq_advance(ring, seen);
	return seen;
}

/* Keeps the queue between half full and full, with one system call for both. */
static uint64_t run_ring(struct bench *bench, uint32_t operations)
{
	uint32_t submitted = 0, done = 0;
	const bool npu = bench->work == WORK_NULL_JOB || bench->work == WORK_LAYER_JOB;
	uint64_t syscalls = 0;
	struct io_uring ring;

	ring_open(bench, &ring);
	while (done < operations) {
		uint32_t wait;

		while (submitted < operations && submitted - done < bench->depth) {
			fill_sqe(bench, io_uring_get_sqe(&ring), submitted % bench->depth);
			submitted++;
		}
		wait = submitted - done;
		if (wait > (bench->depth + 1) / 2)
			wait = (bench->depth + 1) / 2;
		must(io_uring_submit_and_wait(&ring, wait), "io_uring_enter");
		syscalls++;
		done += reap(bench, &ring);
		if (npu)
			drop_events();
	}
	io_uring_queue_exit(&ring);
	return syscalls;
}

/* --- the list ---------------------------------------------------------------------- */

#define ONE(name_, run_, work_) { .name = (name_), .run = (run_), .work = (work_), .depth = 1 }
#define RING(name_, work_, flags_, depth_)                                                         \
	{ .name = (name_), .run = run_ring, .work = (work_), .ring_flags = (flags_),               \
	  .depth = (depth_) }
#define AT_DEPTHS(name, work, flags)                                                               \
	RING(name, work, flags, 1), RING(name, work, flags, 8), RING(name, work, flags, 64)

#define NAME_NULL_BLK "null_blk read"
#define NAME_NULL_JOB "NPU null job"
#define NAME_LAYER_JOB "NPU one-layer job"

static struct bench benches[] = {
	ONE("getppid", run_getppid, WORK_NONE),
	ONE("sleep of 1 ms", run_sleep, WORK_NONE),
	AT_DEPTHS("IORING_OP_NOP", WORK_NOP, TUNED),
	AT_DEPTHS(NAME_NULL_BLK, WORK_READ, TUNED),
	AT_DEPTHS("null_blk read, fixed", WORK_READ_FIXED, TUNED),
	AT_DEPTHS(NAME_NULL_JOB, WORK_NULL_JOB, TUNED),
	AT_DEPTHS(NAME_LAYER_JOB, WORK_LAYER_JOB, TUNED),
	AT_DEPTHS("null_blk read, plain ring", WORK_READ, 0),
	AT_DEPTHS("NPU null job, plain ring", WORK_NULL_JOB, 0),
	AT_DEPTHS("NPU one-layer job, plain ring", WORK_LAYER_JOB, 0),
	ONE("null_blk pread", run_read, WORK_NONE),
	ONE("null job, ioctl, syncobj wait", run_ioctl_syncobj, WORK_NULL_JOB),
	ONE("one-layer job, ioctl, syncobj wait", run_ioctl_syncobj, WORK_LAYER_JOB),
	ONE("null job, ioctl, poll", run_ioctl_poll, WORK_NULL_JOB),
	ONE("one-layer job, ioctl, poll", run_ioctl_poll, WORK_LAYER_JOB),
};

#define NUM_BENCHES (sizeof(benches) / sizeof(benches[0]))

static const struct bench *find(const char *name, uint32_t depth)
{
	for (size_t i = 0; i < NUM_BENCHES; i++) {
		if (!strcmp(benches[i].name, name) && benches[i].depth == depth)
			return &benches[i];
	}
	die("no measurement '%s' at depth %u", name, depth);
}

static void measure(struct bench *bench, uint32_t operations)
{
	struct count start, count;
	uint64_t syscalls;

	bench->run(bench, WARM_UP);
	start = count_start();
	syscalls = bench->run(bench, operations);
	count = count_since(&start);

	bench->instructions = (double)(count.ns - count.idle_ns) / operations;
	bench->syscalls = (double)syscalls / operations;
	bench->interrupts = (double)count.interrupts / operations;
	bench->measured = true;
}

static void print_table(void)
{
	printf("%-36s %5s %12s %9s %10s %9s\n", "operation", "depth", "instructions", "syscalls",
	       "interrupts", "null_blk");
	for (size_t i = 0; i < NUM_BENCHES; i++) {
		const struct bench *bench = &benches[i];
		const struct bench *disk = find(NAME_NULL_BLK, bench->depth);

		if (!bench->measured)
			continue;
		printf("%-36s %5u %12.0f %9.3f %10.3f", bench->name, bench->depth,
		       bench->instructions, bench->syscalls, bench->interrupts);
		if (bench->work >= WORK_NULL_JOB && disk->measured)
			printf(" %8.2fx", bench->instructions / disk->instructions);
		putchar('\n');
	}
}

/* --- latency ------------------------------------------------------------------------- */

#define SLOW_JOBS 40 /* at once, of about 5 ms each: many, but their ends are far apart */

/* From a job's end, by the device's clock, to when a client that waits for it sees it. */
struct delay {
	double mean_ns;
	double max_ns;
};

static struct {
	bool measured;
	uint32_t interval_ns;
	struct delay alone;	/* one job at a time */
	struct delay among;	/* SLOW_JOBS */
} latency;

/* CLOCK_MONOTONIC less the device's clock, to within the half of a query, in ns. */
static int64_t clock_offset(double cycle_ns)
{
	struct drm_fluidnpu_counters counters;
	int64_t before = npu_now_ns();

	must(npu_counters(world.npu, &counters), "DEV_QUERY");
	return (before + npu_now_ns()) / 2 - (int64_t)((double)counters.time * cycle_ns);
}

static struct delay measure_delay(const struct job *job, uint32_t rounds, uint32_t jobs,
				  double cycle_ns)
{
	struct drm_fluidnpu_job all[SLOW_JOBS];
	struct delay delay = { 0 };

	for (uint32_t i = 0; i < jobs; i++)
		all[i] = job->args;
	drop_events();
	for (uint32_t round = 0; round < rounds; round++) {
		int64_t offset = clock_offset(cycle_ns);

		must(submit(&world.ctx, all, jobs, NULL, 0), "SUBMIT");
		for (uint32_t i = 0; i < jobs; i++) {
			struct drm_fluidnpu_event event;
			double ns;

			if (!ctx_job_event(&world.ctx, &event) || event.error)
				die("a job failed");
			ns = (double)(npu_now_ns() - offset) - (double)event.time * cycle_ns;
			delay.mean_ns += ns / rounds / jobs;
			if (ns > delay.max_ns)
				delay.max_ns = ns;
		}
		settle();
	}
	return delay;
}

static void measure_latency(void)
{
	struct drm_fluidnpu_info info;
	struct net slow;
	struct job job;

	must(npu_info(world.npu, &info), "DEV_QUERY");
	must(net_create(world.npu, 1, &slow), "the slow network");
	job_init(&job, &slow, 1, 1);
	latency.interval_ns = info.coalesce_ns;
	latency.alone = measure_delay(&job, 8, 1, 1e9 / info.clock_hz);
	latency.among = measure_delay(&job, 1, SLOW_JOBS, 1e9 / info.clock_hz);
	latency.measured = true;
	net_destroy(&slow);
}

static void print_latency(void)
{
	printf("\n%-36s %10s %10s\n", "end of a job to when it is seen, us", "mean", "longest");
	printf("%-36s %10.1f %10.1f\n", "one job at a time", latency.alone.mean_ns / 1e3,
	       latency.alone.max_ns / 1e3);
	printf("%-36s %10.1f %10.1f  (coalescing interval %.0f us)\n", "many jobs at a time",
	       latency.among.mean_ns / 1e3, latency.among.max_ns / 1e3,
	       latency.interval_ns / 1e3);
}

/* --- targets --------------------------------------------------------------------------- */

struct target {
	const char *text;
	double limit;
	double value;
};

static struct target targets[] = {
	{ .text = "null jobs, depth 64: system calls per job", .limit = 0.1 },
	{ .text = "null jobs, depth 64: instructions over null_blk's", .limit = 2.0 },
	{ .text = "null jobs, depth 64: interrupts per job", .limit = 0.1 },
	{ .text = "one-layer jobs, depth 64: system calls per job", .limit = 0.1 },
	{ .text = "one-layer jobs, depth 64: instructions over null_blk's", .limit = 2.0 },
	{ .text = "one-layer jobs, depth 64: interrupts per job", .limit = 0.1 },
	{ .text = "delay by coalescing, in intervals, longest", .limit = 1.0 },
	{ .text = "one job at a time: delay until it is seen, in intervals", .limit = 0.5 },
};

#define NUM_TARGETS (sizeof(targets) / sizeof(targets[0]))

#define STATUS_MISSED 3

/* Returns how many targets are missed. */
static unsigned int judge(void)
{
	const struct bench *disk = find(NAME_NULL_BLK, 64);
	static const char *const names[] = { NAME_NULL_JOB, NAME_LAYER_JOB };
	unsigned int missed = 0;

	for (uint32_t i = 0; i < 2; i++) {
		const struct bench *job = find(names[i], 64);

		targets[3 * i].value = job->syscalls;
		targets[3 * i + 1].value = job->instructions / disk->instructions;
		targets[3 * i + 2].value = job->interrupts;
	}
	targets[6].value = (latency.among.max_ns - latency.alone.max_ns) / latency.interval_ns;
	targets[7].value = latency.alone.max_ns / latency.interval_ns;

	printf("\n%-58s %7s %7s\n", "target", "limit", "seen");
	for (size_t i = 0; i < NUM_TARGETS; i++) {
		bool met = targets[i].value <= targets[i].limit;

		printf("%-58s %7.2f %7.3f  %s\n", targets[i].text, targets[i].limit,
		       targets[i].value, met ? "met" : "MISSED");
		missed += !met;
	}
	return missed;
}

static void write_json(const char *path)
{
	const char *comma = "";
	FILE *f = fopen(path, "w");

	if (!f)
		die("cannot write %s", path);
	fprintf(f, "{ \"operations\": [");
	for (size_t i = 0; i < NUM_BENCHES; i++) {
		const struct bench *bench = &benches[i];

		if (!bench->measured)
			continue;
		fprintf(f, "%s\n\t{ \"name\": \"%s\", \"depth\": %u, \"instructions\": %.1f, "
			"\"syscalls\": %.4f, \"interrupts\": %.4f }", comma, bench->name,
			bench->depth, bench->instructions, bench->syscalls, bench->interrupts);
		comma = ",";
	}
	fprintf(f, "\n]");
	if (latency.measured) {
		fprintf(f, ",\n\"coalescing_ns\": %u, \"delay_ns\": { \"alone\": %.0f, "
			"\"alone_longest\": %.0f, \"among_many\": %.0f, "
			"\"among_many_longest\": %.0f },\n\"targets\": [", latency.interval_ns,
			latency.alone.mean_ns, latency.alone.max_ns, latency.among.mean_ns,
			latency.among.max_ns);
		for (size_t i = 0; i < NUM_TARGETS; i++)
			fprintf(f, "%s\n\t{ \"text\": \"%s\", \"limit\": %.2f, \"value\": %.4f }",
				i ? "," : "", targets[i].text, targets[i].limit, targets[i].value);
		fprintf(f, "\n]");
	}
	fprintf(f, " }\n");
	if (fclose(f))
		die("cannot write %s", path);
}

static void set_up(void)
{
	world.npu = npu_open();
	world.disk = open(NULL_BLK, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (world.disk < 0)
		die("cannot open " NULL_BLK " (modprobe null_blk)");
	must(ctx_create(world.npu, DRM_FLUIDNPU_PRIORITY_NORMAL, EVENT_ENTRIES, &world.ctx),
	     "CTX_CREATE");
	must(net_create(world.npu, 0, &world.net), "the network");
	must(syncobj_create(world.npu, &world.syncobj), "SYNCOBJ_CREATE");
	job_init(&world.layer_job, &world.net, 1, 1);
	world.null_job.flags = DRM_FLUIDNPU_JOB_NOP;
	world.buffers = mmap(NULL, MAX_DEPTH * BLOCK_BYTES, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (world.buffers == MAP_FAILED)
		die("out of memory");
}

static unsigned int measure_all(const char *only, uint32_t operations)
{
	for (size_t i = 0; i < NUM_BENCHES; i++) {
		char name[128];

		snprintf(name, sizeof(name), "%s, depth %u", benches[i].name, benches[i].depth);
		if (!only || strstr(name, only))
			measure(&benches[i], operations);
	}
	print_table();
	if (only)
		return 0;
	measure_latency();
	print_latency();
	return judge();
}

int main(int argc, char **argv)
{
	uint32_t operations = OPERATIONS;
	const char *only = NULL, *json = NULL;
	unsigned int missed;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--only") && i + 1 < argc)
			only = argv[++i];
		else if (!strcmp(argv[i], "--operations") && i + 1 < argc)
			operations = (uint32_t)strtoul(argv[++i], NULL, 0);
		else if (!strcmp(argv[i], "--json") && i + 1 < argc)
			json = argv[++i];
		else
			die("usage: bench-driver [--only TEXT] [--operations N] [--json FILE]");
	}
	if (!operations)
		die("--operations wants a number");
	set_up();
	missed = measure_all(only, operations);
	if (json)
		write_json(json);
	return missed ? STATUS_MISSED : 0;
}
