// SPDX-License-Identifier: MIT
/*
 * fuzz_uapi - random but meaningful calls of the driver by many processes, as root and as a
 * user, while an honest client counts that no job is lost.
 *
 * usage: fuzz_uapi [--seconds N] [--seed S] [--root-ops] [--record FILE] [--verbose]
 *        fuzz_uapi --seed S --steps N [--user] [--verbose]
 *        fuzz_uapi --replay FILE [--verbose]
 *
 *   --seconds N    a campaign of so long (default 60): workers come and go, each with a
 *                  seed of its own, which the kernel's log gets with its steps
 *   --seed S       of the campaign, or with --steps of one worker
 *   --steps N      one worker with one thread does N steps: what the log of a crash names
 *   --user         that worker is not root
 *   --root-ops     also reset and unbind the device, and let it sleep
 *   --record FILE  a line per worker that has ended: seed, user (0 or 1), steps
 *   --replay FILE  such lines again, one after the other
 *   --verbose      prints every step
 *
 * Findings, each of which ends it with status 1: a call or a process that does not end
 * within a time, a job of the honest client that ends never or twice, a file, buffer or
 * address space that is left when all processes are gone, a healthy client that does not
 * get its result. What the kernel reports (KASAN, lockdep) is for its reader: vm-run.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* strerrorname_np */
#endif

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <glob.h>
#include <grp.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz/checker.h"
#include "fuzz/fuzz.h"
#include "param.h"

#define USER_UID 1000
#define RENDER_GID 105

#define NUM_WORKERS 3
#define MAX_STEPS 1000
#define LOG_STEPS 256
#define PATIENCE_S 180		/* an emulated guest on a busy host, with KASAN */
#define JOB_TIMEOUT_MS "300"
#define SLOW_LAYERS 2
#define MAX_PROBED 80		/* more than address spaces */

const struct fuzz_op fuzz_ops[] = {
	{ "client_open", 6, op_client_open },
	{ "client_close", 1, op_client_close },
	{ "query", 3, op_query },
	{ "bo_create", 5, op_bo_create },
	{ "bo_info", 2, op_bo_info },
	{ "bo_wait", 4, op_bo_wait },
	{ "bo_close", 4, op_bo_close },
	{ "map", 3, op_map },
	{ "unmap", 2, op_unmap },
	{ "export", 3, op_export },
	{ "import", 3, op_import },
	{ "udmabuf", 1, op_udmabuf },
	{ "dmabuf_use", 3, op_dmabuf_use },
	{ "file_close", 3, op_file_close },
	{ "ctx_create", 6, op_ctx_create },
	{ "ctx_destroy", 2, op_ctx_destroy },
	{ "submit", 25, op_submit },
	{ "yield", 4, op_yield },
	{ "events", 2, op_events },
	{ "perf", 2, op_perf },
	{ "sync_create", 3, op_sync_create },
	{ "sync_destroy", 2, op_sync_destroy },
	{ "sync_use", 5, op_sync_use },
	{ "sync_share", 3, op_sync_share },
	{ "garbage_ioctl", 5, op_garbage_ioctl },
	{ "poll", 3, op_poll },
	{ "consume", 10, op_consume },
	{ "scribble", 5, op_scribble },
	{ "fork", 1, op_fork },
	{ "send_file", 1, op_send_file },
	{ "read_files", 2, op_read_files },
	{ "signal", 2, op_signal },
	{ "ring_create", 4, op_ring_create },
	{ "ring_exit", 1, op_ring_exit },
	{ "ring_submit", 20, op_ring_submit },
	{ "ring_reap", 8, op_ring_reap },
	{ "ring_register", 2, op_ring_register },
};
const unsigned int fuzz_num_ops = sizeof(fuzz_ops) / sizeof(fuzz_ops[0]);

struct worker {
	pid_t pid;		/* 0: free */
	uint64_t seed;
	bool user;
	unsigned int threads;
	uint64_t steps;
	uint64_t kill_at_step;	/* 0: it ends by itself */
	uint64_t seen_steps;	/* for the watchdog: steps of all threads, and since when */
	int64_t seen_ns;
};

/* Shared with the workers; the last one is the checker. */
struct shared {
	struct stats stats;
	struct progress progress[NUM_WORKERS + 1][MAX_THREADS];
	bool stop;
};

static struct shared *shared;
static struct worker workers[NUM_WORKERS + 1];
static int kmsg = -1;
static FILE *record;
static bool root_ops;

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
	char line[256];
	int used = snprintf(line, sizeof(line), "fuzz_uapi: ");
	va_list args;

	va_start(args, format);
	vsnprintf(line + used, sizeof(line) - used, format, args);
	va_end(args);
	/* not dprintf(), which wants to seek */
	if (write(kmsg, line, strlen(line)) < 0)
		printf("%s\n", line);
}

/* --- a worker ------------------------------------------------------------------------ */

/* What a worker needs to do anything of use comes first. */
static const char *const first_ops[] = { "client_open", "ctx_create", "ring_create" };

static unsigned int choose_op(struct fuzz *f, uint64_t step)
{
	uint32_t total = 0, at;
	unsigned int op = 0;

	if (step < sizeof(first_ops) / sizeof(first_ops[0])) {
		while (strcmp(fuzz_ops[op].name, first_ops[step]))
			op++;
		return op;
	}
	if (world_client(f) < 0 && rng_chance(&f->rng, 50))
		return 0; /* client_open */
	for (unsigned int i = 0; i < fuzz_num_ops; i++)
		total += fuzz_ops[i].weight;
	at = rng_below(&f->rng, total);
	while (at >= fuzz_ops[op].weight)
		at -= fuzz_ops[op++].weight;
	return op;
}

static void fuzz_step(struct fuzz *f, uint64_t seed, uint64_t step)
{
	unsigned int op;

	f->rng.state = seed ^ (step + 1) * 0xd1342543de82ef95ull;
	op = choose_op(f, step);
	f->progress->op = op;
	__atomic_store_n(&f->progress->step, step + 1, __ATOMIC_RELEASE);
	if (fuzz_verbose)
		printf("%#" PRIx64 " %" PRIu64 " %s\n", seed, step, fuzz_ops[op].name);
	fuzz_ops[op].run(f);
	__atomic_add_fetch(&fuzz_stats->ops[op], 1, __ATOMIC_RELAXED);
}

struct thread {
	struct world *world;
	const struct worker *worker;
	unsigned int index;
	struct progress *progress;
};

static void *run_thread(void *arg)
{
	struct thread *thread = arg;
	const struct worker *worker = thread->worker;
	/* Threads of a worker differ, the first one is like one alone. */
	uint64_t seed = worker->seed + thread->index * 0x632be59bd9b4e019ull;
	struct fuzz f = {
		.world = thread->world, .progress = thread->progress,
		.args = calloc(1, sizeof(*f.args)),
	};

	f.progress->busy = true;
	for (uint64_t step = 0; step < worker->steps; step++) {
		if (!thread->index && step % LOG_STEPS == 0)
			say("seed %#" PRIx64 " step %" PRIu64, seed, step);
		fuzz_step(&f, seed, step);
	}
	f.progress->busy = false;
	free(f.args);
	return NULL;
}

static void become_user(void)
{
	if (setgroups(0, NULL) || setgid(RENDER_GID) || setuid(USER_UID)) {
		printf("cannot become a user: %s\n", strerror(errno));
		_exit(2);
	}
}

static void nothing(int sig)
{
	(void)sig;
}

static void worker_main(const struct worker *worker, struct progress *progress)
{
	static struct world world;
	struct sigaction interrupt = { .sa_handler = nothing };
	struct thread threads[MAX_THREADS];
	pthread_t ids[MAX_THREADS];
	struct fuzz f = { .world = &world, .progress = progress };

	sigaction(SIGALRM, &interrupt, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (worker->user)
		become_user();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	world_init(&world);
	for (unsigned int i = 0; i < worker->threads; i++) {
		threads[i] = (struct thread){ &world, worker, i, &progress[i] };
		if (i)
			pthread_create(&ids[i], NULL, run_thread, &threads[i]);
	}
	run_thread(&threads[0]);
	/* A third each: in order, with threads still at it, and by a signal. */
	f.rng.state = worker->seed;
	switch (rng_below(&f.rng, 3)) {
	case 0:
		for (unsigned int i = 1; i < worker->threads; i++)
			pthread_join(ids[i], NULL);
		world_close_in_any_order(&f);
		break;
	case 1:
		raise(SIGKILL);
	}
	fflush(stdout);
	_exit(0);
}

/* --- the campaign -------------------------------------------------------------------- */

static void fork_worker(struct worker *worker, struct progress *progress)
{
	memset(progress, 0, MAX_THREADS * sizeof(*progress));
	worker->seen_steps = 0;
	worker->seen_ns = npu_now_ns();
	fflush(NULL);
	worker->pid = fork();
	if (worker->pid)
		return;
	worker_main(worker, progress);
}

static void start_worker(struct worker *worker, unsigned int index, struct rng *rng)
{
	worker->seed = rng_next(rng);
	worker->user = index > 0;
	worker->threads = 1 + rng_below(rng, MAX_THREADS);
	worker->steps = 100 + rng_below(rng, MAX_STEPS);
	worker->kill_at_step = rng_chance(rng, 30) ? 1 + rng_below(rng, worker->steps) : 0;
	say("worker seed %#" PRIx64 " user %d threads %u steps %" PRIu64, worker->seed,
	    worker->user, worker->threads, worker->steps);
	fuzz_stats->workers++;
	fork_worker(worker, shared->progress[index]);
}

static uint64_t steps_of(unsigned int index)
{
	uint64_t steps = 0;

	for (unsigned int i = 0; i < MAX_THREADS; i++)
		steps += __atomic_load_n(&shared->progress[index][i].step, __ATOMIC_ACQUIRE);
	return steps;
}

/* What the worker's threads wait for, in the kernel. */
static void show_threads(pid_t pid)
{
	char path[64], text[4096];
	struct dirent *entry;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tasks = opendir(path);
	while (tasks && (entry = readdir(tasks))) {
		int tid = atoi(entry->d_name);

		snprintf(path, sizeof(path), "/proc/%d/syscall", tid);
		if (tid && !read_file(path, text, sizeof(text)))
			printf("thread %d: system call %s", tid, text);
		snprintf(path, sizeof(path), "/proc/%d/stack", tid);
		if (tid && !read_file(path, text, sizeof(text)))
			printf("%s", text);
	}
	if (tasks)
		closedir(tasks);
}

static void tell_hang(const struct worker *worker, unsigned int index)
{
	printf("FINDING: worker %#" PRIx64 " (pid %d) does not go on:", worker->seed, worker->pid);
	for (unsigned int i = 0; i < MAX_THREADS; i++) {
		const struct progress *progress = &shared->progress[index][i];

		if (progress->busy)
			printf(" step %" PRIu64 " %s", progress->step - 1,
			       fuzz_ops[progress->op].name);
	}
	printf("\n");
	show_threads(worker->pid);
	/* Who waits, and what the CPUs are doing. */
	write_file("/proc/sysrq-trigger", "w");
	write_file("/proc/sysrq-trigger", "l");
	say("hang of seed %#" PRIx64, worker->seed);
}

/* Whether it is gone. Sets *@bad when it has made no step, or not died, for too long. */
static bool look_after(struct worker *worker, unsigned int index, bool *bad)
{
	uint64_t steps = steps_of(index);
	int status;

	if (waitpid(worker->pid, &status, WNOHANG) == worker->pid) {
		if (index == NUM_WORKERS && !(WIFEXITED(status) && !WEXITSTATUS(status)) &&
		    !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)) {
			printf("FINDING: the honest client ended with %#x\n", status);
			*bad = true;
		}
		if (record && index < NUM_WORKERS)
			fprintf(record, "%#" PRIx64 " %d %" PRIu64 "\n", worker->seed, worker->user,
				shared->progress[index][0].step);
		worker->pid = 0;
		return true;
	}
	if (worker->kill_at_step && shared->progress[index][0].step >= worker->kill_at_step) {
		kill(worker->pid, SIGKILL);
		worker->kill_at_step = 0;
		fuzz_stats->killed++;
	}
	if (steps != worker->seen_steps) {
		worker->seen_steps = steps;
		worker->seen_ns = npu_now_ns();
	} else if (npu_now_ns() - worker->seen_ns > PATIENCE_S * 1000000000ll) {
		tell_hang(worker, index);
		*bad = true;
	}
	return false;
}

static void device_write(const char *bus_file, const char *device_file, const char *text)
{
	static char device[32];
	char path[128];
	glob_t found;

	/* found while it is bound, known ever after */
	if (!device[0] && !glob("/sys/bus/pci/drivers/fluidnpu/0000:*", 0, NULL, &found)) {
		snprintf(device, sizeof(device), "%s", strrchr(found.gl_pathv[0], '/') + 1);
		globfree(&found);
	}
	if (bus_file)
		snprintf(path, sizeof(path), "/sys/bus/pci/drivers/fluidnpu/%s", bus_file);
	else
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", device, device_file);
	fuzz_note(write_file(path, text ? text : device) ? -1 : 0);
}

static void do_root_op(struct rng *rng)
{
	uint32_t which = rng_below(rng, 12);

	say("root op %u", which);
	switch (which) {
	case 0:
		device_write("unbind", NULL, NULL);
		usleep(rng_below(rng, 100000));
		device_write("bind", NULL, NULL);
		break;
	case 1:
	case 2:
	case 3:
		device_write(NULL, "reset", "1");
		break;
	case 4:
		write_file(JOB_TIMEOUT_PARAM, "50");
		break;
	case 5:
		write_file(JOB_TIMEOUT_PARAM, JOB_TIMEOUT_MS);
		break;
	case 6:
		device_write(NULL, "power/autosuspend_delay_ms", "1");
		break;
	case 7:
		device_write(NULL, "power/autosuspend_delay_ms", "100");
		break;
	case 8:
		device_write(NULL, "power/control", "on");
		break;
	default:
		device_write(NULL, "power/control", "auto");
	}
}

static void start_checker(struct rng *rng)
{
	struct worker *worker = &workers[NUM_WORKERS];
	uint64_t seed = rng_next(rng);

	memset(shared->progress[NUM_WORKERS], 0, sizeof(shared->progress[NUM_WORKERS]));
	worker->seed = seed;
	worker->seen_ns = npu_now_ns();
	fflush(NULL);
	worker->pid = fork();
	if (worker->pid)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	seed = checker_run(seed, shared->progress[NUM_WORKERS], &shared->stop);
	fflush(stdout);
	_exit(seed);
}

/* Ends all workers; false if one does not end. */
static bool stop_all(void)
{
	bool left, bad = false;

	shared->stop = true;
	for (unsigned int i = 0; i < NUM_WORKERS; i++) {
		workers[i].seen_ns = npu_now_ns();
		if (workers[i].pid)
			kill(workers[i].pid, SIGKILL);
	}
	do {
		left = false;
		for (unsigned int i = 0; i <= NUM_WORKERS; i++) {
			if (workers[i].pid && !look_after(&workers[i], i, &bad))
				left = true;
		}
		usleep(10000);
	} while (left && !bad);
	return !bad;
}

static bool campaign(uint64_t seed, unsigned int seconds)
{
	int64_t end = npu_in_seconds(seconds), next_root_op = 0;
	struct rng rng = { seed };
	bool bad = false;

	start_checker(&rng);
	while (npu_now_ns() < end && !bad) {
		for (unsigned int i = 0; i < NUM_WORKERS && !bad; i++) {
			if (!workers[i].pid || look_after(&workers[i], i, &bad))
				start_worker(&workers[i], i, &rng);
		}
		if (!bad && look_after(&workers[NUM_WORKERS], NUM_WORKERS, &bad))
			bad = true;
		if (root_ops && npu_now_ns() > next_root_op) {
			do_root_op(&rng);
			next_root_op = npu_now_ns() + rng_below(&rng, 3000) * 1000000ll;
		}
		usleep(5000);
	}
	return stop_all() && !bad;
}

static bool run_alone(uint64_t seed, uint64_t steps, bool user)
{
	struct worker *worker = &workers[0];
	bool bad = false;

	*worker = (struct worker){ .seed = seed, .user = user, .threads = 1, .steps = steps };
	fuzz_stats->workers++;
	fork_worker(worker, shared->progress[0]);
	while (!bad && !look_after(worker, 0, &bad))
		usleep(1000);
	return !bad;
}

static bool replay(const char *path)
{
	FILE *file = fopen(path, "re");
	uint64_t seed, steps;
	bool good = true;
	int user;

	if (!file) {
		printf("cannot open %s: %s\n", path, strerror(errno));
		return false;
	}
	while (good && fscanf(file, "%" SCNx64 " %d %" SCNu64, &seed, &user, &steps) == 3)
		good = run_alone(seed, steps, user);
	fclose(file);
	return good;
}

/* --- afterwards ---------------------------------------------------------------------- */

static int references(void)
{
	char text[32] = "-1";

	read_file("/sys/module/fluidnpu/refcnt", text, sizeof(text));
	return atoi(text);
}

/* Files close late, from kernel threads: waits until all that held the module are gone. */
static bool nothing_is_left(int before)
{
	int64_t end = npu_in_seconds(60);

	while (references() > before && npu_now_ns() < end)
		usleep(10000);
	if (references() > before)
		printf("FINDING: %d references of the module, %d before\n", references(), before);
	return references() <= before;
}

static bool healthy_client_works(void)
{
	struct drm_fluidnpu_event event;
	struct drm_fluidnpu_info info = { 0 };
	int fd = npu_open(), ret;
	struct ctx ctx;
	struct net net;
	struct job job;
	bool good;

	npu_info(fd, &info);
	ret = ctx_create(fd, DRM_FLUIDNPU_PRIORITY_NORMAL, 64, &ctx);
	if (!ret)
		ret = net_create(fd, 2, &net);
	if (ret) {
		printf("FINDING: a healthy client gets %s\n", strerror(-ret));
		close(fd);
		return false;
	}
	net_set_input(&net, 0, 3, 100);
	job_init(&job, &net, 1, 0);
	ret = submit_one(&ctx, &job);
	good = !ret && ctx_event(&ctx, &event) && event.type == DRM_FLUIDNPU_EVENT_EXIT &&
	       (event.class_index == 3 || !(info.features & FLUIDNPU_FEATURE_FUNCTIONAL)) &&
	       ctx_event(&ctx, &event) && !event.error;
	if (!good)
		printf("FINDING: a healthy client's job fails (%d)\n", ret);
	net_destroy(&net);
	ctx_destroy(&ctx);
	close(fd);
	return good;
}

/* How many clients can have an address space at a time. */
static unsigned int free_address_spaces(void)
{
	struct drm_fluidnpu_bo_create args = { .size = 4096 };
	int fds[MAX_PROBED];
	unsigned int n = 0, count = 0;

	while (n < MAX_PROBED) {
		fds[n] = npu_open();
		args.size = 4096;
		if (npu_ioctl(fds[n++], DRM_IOCTL_FLUIDNPU_BO_CREATE, &args))
			break;
		count++;
	}
	while (n--)
		close(fds[n]);
	return count;
}

static bool address_spaces_are_free(unsigned int before)
{
	unsigned int now = free_address_spaces();

	if (now < before)
		printf("FINDING: %u address spaces are free, %u before\n", now, before);
	return now >= before;
}

static void summary(int64_t started)
{
	const struct stats *s = fuzz_stats;
	uint64_t total = 0, calls = 0;

	for (unsigned int i = 0; i < fuzz_num_ops; i++) {
		printf("%s%s %" PRIu64, i ? ", " : "ops: ", fuzz_ops[i].name, s->ops[i]);
		total += s->ops[i];
	}
	printf("\ncalls: ");
	for (int i = 0; i < MAX_ERRNO; i++) {
		calls += s->errors[i];
		if (s->errors[i])
			printf("%s%s %" PRIu64, i ? ", " : "", i ? strerrorname_np(i) : "OK",
			       s->errors[i]);
	}
	printf("\nchecked jobs:");
	for (int i = 0; i < MAX_ERRNO; i++) {
		if (s->checked_errors[i])
			printf(" %s %" PRIu64, i ? strerrorname_np(i) : "OK", s->checked_errors[i]);
	}
	printf("\n%" PRIu64 " ops, %" PRIu64 " calls, %" PRIu64 " jobs by ioctl, %" PRIu64
	       " completions, %" PRIu64 " checked jobs, %" PRIu64 " workers (%" PRIu64
	       " killed), %.0f s\n", total, calls, s->jobs_accepted, s->cqes, s->checked_jobs,
	       s->workers, s->killed, (npu_now_ns() - started) / 1e9);
}

/* --- start --------------------------------------------------------------------------- */

static void prepare(void)
{
	int fd = npu_open();

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (shared == MAP_FAILED || net_create(fd, SLOW_LAYERS, &fuzz_template)) {
		printf("set-up failed\n");
		exit(2);
	}
	fuzz_stats = &shared->stats;
	/* The bytes stay, the client goes: it would count as a leak. */
	fuzz_template.program.map = memcpy(malloc(fuzz_template.program.size),
					   fuzz_template.program.map, fuzz_template.program.size);
	munmap(fuzz_template.data.map, fuzz_template.data.size);
	close(fd);
	write_file("/proc/sys/kernel/printk_devkmsg", "on");
	kmsg = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	fuzz_udmabuf = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	setvbuf(stdout, NULL, _IOLBF, 0);
}

struct options {
	uint64_t seed, steps;
	unsigned int seconds;
	bool user;
	const char *replay, *record;
};

static void parse(int argc, char **argv, struct options *o)
{
	static const struct option names[] = {
		{ "seconds", 1, NULL, 't' }, { "seed", 1, NULL, 's' }, { "steps", 1, NULL, 'n' },
		{ "user", 0, NULL, 'u' }, { "root-ops", 0, NULL, 'o' }, { "record", 1, NULL, 'w' },
		{ "replay", 1, NULL, 'r' }, { "verbose", 0, NULL, 'v' }, { 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 't':
			o->seconds = strtoul(optarg, NULL, 0);
			break;
		case 's':
			o->seed = strtoull(optarg, NULL, 0);
			break;
		case 'n':
			o->steps = strtoull(optarg, NULL, 0);
			break;
		case 'u':
			o->user = true;
			break;
		case 'o':
			root_ops = true;
			break;
		case 'w':
			o->record = optarg;
			break;
		case 'r':
			o->replay = optarg;
			break;
		case 'v':
			fuzz_verbose = true;
			break;
		default:
			exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	struct options o = { .seconds = 60, .seed = (uint64_t)npu_now_ns() };
	int64_t started = npu_now_ns();
	char job_timeout[32];
	unsigned int spaces;
	int before;
	bool good;

	parse(argc, argv, &o);
	printf("seed %#" PRIx64 "\n", o.seed);
	prepare();
	spaces = free_address_spaces();
	before = references();
	if (o.record)
		record = fopen(o.record, "we");
	read_file(JOB_TIMEOUT_PARAM, job_timeout, sizeof(job_timeout));
	write_file(JOB_TIMEOUT_PARAM, JOB_TIMEOUT_MS);

	if (o.replay)
		good = replay(o.replay);
	else if (o.steps)
		good = run_alone(o.seed, o.steps, o.user);
	else
		good = campaign(o.seed, o.seconds);

	if (root_ops) {
		device_write("bind", NULL, NULL);
		device_write(NULL, "power/control", "auto");
		device_write(NULL, "power/autosuspend_delay_ms", "100");
	}
	write_file(JOB_TIMEOUT_PARAM, job_timeout);
	good = good && nothing_is_left(before) && healthy_client_works() &&
	       address_spaces_are_free(spaces);
	if (record)
		fclose(record);
	summary(started);
	return good ? 0 : 1;
}
