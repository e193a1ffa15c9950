// SPDX-License-Identifier: MIT
/*
 * storm - eight clients at work while things go wrong around them, for tests/e2e/vm_survival.sh.
 *
 *	storm kills N		N clients are killed (SIGKILL) at random points
 *	storm hangs N		N jobs hang in the device (it has fault-hang-layer=4)
 *	storm jobs N		nothing goes wrong in here: N jobs per client
 *	storm removals N	the device goes away and comes back N times, see below
 *
 * The clients submit and inject jobs by ioctl or io_uring, take samples back by YIELD and
 * go on with them. Each checks that every job of its ends exactly once, that each sample of a
 * job that succeeds leaves exactly once and with the right class, and that no error comes
 * that is not true: clients that have done nothing lose nothing. Prints "storm: ..." and
 * ends with 0 if all of that was so.
 *
 * For removals the slot of the device is powered off from in here when
 * "storm: removal K" has been printed; the host plugs another one in.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <glob.h>
#include <liburing.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "npu.h"
#include "param.h"
#include "tap.h"

#define CLIENTS		8
#define DEPTH		4	/* jobs in flight per client */
#define MAX_SAMPLES	4	/* per job: each job in flight has buffers of its own */
#define STRIDE		32	/* user_data from one job to the next: room for its samples */
#define HANG_LAYER	4	/* the device hangs here; the clients' own network is shorter */
#define HANG_TIMEOUT_MS	"200"

/* What the processes share. */
static struct {
	unsigned int stop;
	unsigned int jobs, errors, opens, hangs, yields;
	unsigned int violations;
	char first[256];
} *shared;

#define ADD(field)	__atomic_add_fetch(&shared->field, 1, __ATOMIC_SEQ_CST)
#define GET(field)	__atomic_load_n(&shared->field, __ATOMIC_SEQ_CST)

static bool may_vanish;	/* the device; otherwise no job may fail */

static __attribute__((format(printf, 1, 2))) void violation(const char *format, ...)
{
	va_list ap;

	if (ADD(violations) > 1)
		return;
	va_start(ap, format);
	vsnprintf(shared->first, sizeof(shared->first), format, ap);
	va_end(ap);
}

static uint32_t rnd_state;

static uint32_t rnd(uint32_t below)
{
	rnd_state ^= rnd_state << 13;
	rnd_state ^= rnd_state >> 17;
	rnd_state ^= rnd_state << 5;
	return rnd_state % below;
}

/* ---- a client ---- */

struct flight {
	bool used;
	bool completed;		/* its io_uring command */
	bool ended;		/* its JOB event has come */
	int error, result;	/* what these said */
	unsigned int num_samples;
	uint64_t base;		/* user_data */
	uint32_t left;		/* samples, a bit mask */
	uint32_t yielded;	/* handed back by this run of the job, likewise */
	unsigned int layers[MAX_SAMPLES];	/* where they go on */
	struct job job;		/* a command that goes to a worker reads it later */
};

struct client {
	int fd;
	bool uring;
	struct io_uring ring;
	struct ctx ctx;
	struct net net;
	uint64_t next;		/* user_data */
	struct flight flights[DEPTH];
	unsigned int in_flight;
};

static void wait_for_device(void)
{
	int notify = inotify_init1(IN_CLOEXEC);

	inotify_add_watch(notify, "/dev", IN_CREATE | IN_ATTRIB | IN_MOVED_TO);
	while (!GET(stop) && access(npu_path(), R_OK | W_OK)) {
		struct pollfd pfd = { .fd = notify, .events = POLLIN };
		char text[4096];

		/* The link can come back between access() and poll(). */
		if (poll(&pfd, 1, 200) > 0 && read(notify, text, sizeof(text)) < 0)
			break;
	}
	close(notify);
}

/* Returns 0 or -errno; with a device that vanishes -ENODEV and its relatives are no news. */
static int client_open(struct client *c)
{
	struct io_uring_params params = { .flags = IORING_SETUP_SQE128 | IORING_SETUP_CQE32 };
	const bool uring = c->uring;
	int ret;

	*c = (struct client){ .uring = uring, .next = STRIDE };
	c->fd = open(npu_path(), O_RDWR | O_CLOEXEC);
	if (c->fd < 0)
		return -errno;
	ADD(opens);
	ret = ctx_create(c->fd, rnd(4), 512, &c->ctx);
	if (!ret)
		ret = net_create(c->fd, 0, &c->net);
	if (!ret && uring)
		ret = io_uring_queue_init_params(2 * DEPTH, &c->ring, &params);
	if (ret)
		close(c->fd);
	return ret;
}

static void client_close(struct client *c)
{
	if (rnd(2) && c->uring)
		io_uring_queue_exit(&c->ring);
	else if (c->uring)
		close(c->ring.ring_fd);	/* behind the library's back, like a process that dies */
	ctx_destroy(&c->ctx);
	net_destroy(&c->net);
	close(c->fd);
}

static int send_job(struct client *c, struct flight *f)
{
	struct drm_fluidnpu_uring_submit cmd = { .ctx_id = c->ctx.id, .job = f->job.args };
	struct drm_fluidnpu_submit args = {
		.ctx_id = c->ctx.id,
		.jobs = { sizeof(f->job.args), 1, (uintptr_t)&f->job.args },
	};
	const bool inject = rnd(2);
	struct io_uring_sqe *sqe;
	int ret;

	f->completed = !c->uring;
	f->ended = false;
	if (!c->uring)
		return npu_ioctl(c->fd, inject ? DRM_IOCTL_FLUIDNPU_INJECT :
				 DRM_IOCTL_FLUIDNPU_SUBMIT, &args);

	sqe = io_uring_get_sqe(&c->ring);
	if (!sqe)
		return -EBUSY;
	memset(sqe, 0, 2 * sizeof(*sqe));
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = c->fd;
	sqe->cmd_op = inject ? FLUIDNPU_URING_INJECT : FLUIDNPU_URING_SUBMIT;
	sqe->user_data = (uintptr_t)f;
	if (!rnd(4))
		sqe->flags = IOSQE_ASYNC;
	memcpy(sqe->cmd, &cmd, sizeof(cmd));
	do {
		ret = io_uring_submit(&c->ring);
	} while (ret == -EINTR);
	return ret < 0 ? ret : 0;
}

/* A job over the buffers that belong to @f. */
static void fill_job(struct client *c, struct flight *f)
{
	const uint64_t offset = net_input(&c->net, MAX_SAMPLES * (f - c->flights)) -
				net_input(&c->net, 0);

	job_init(&f->job, &c->net, f->num_samples, f->base);
	for (unsigned int i = 0; i < f->num_samples; i++) {
		f->job.samples[i].input_iova += offset;
		f->job.samples[i].state_iova += offset;
		f->job.samples[i].logits_iova += offset;
	}
}

static int client_submit(struct client *c)
{
	struct flight *f = c->flights;
	int ret;

	while (f->used)
		f++;
	*f = (struct flight){
		.used = true,
		.num_samples = 1 + rnd(MAX_SAMPLES),
		.base = c->next,
	};
	c->next += STRIDE;
	fill_job(c, f);
	ret = send_job(c, f);
	if (ret)
		f->used = false;
	else
		c->in_flight++;
	return ret;
}

/* Asks for the samples of any job back; that it has ended by now is no news. */
static void client_yield(struct client *c)
{
	struct drm_fluidnpu_yield args = {
		.ctx_id = c->ctx.id,
		.user_data = c->flights[rnd(DEPTH)].base,
	};
	int ret = npu_ioctl(c->fd, DRM_IOCTL_FLUIDNPU_YIELD, &args);

	if (ret && ret != -ENOENT && !may_vanish)
		violation("yield: %d", ret);
}

/* The samples that were handed back go on, those of one layer in one job. */
static int client_resume(struct client *c, struct flight *f)
{
	unsigned int n = 0, layer = 0;

	fill_job(c, f);
	for (unsigned int i = 0; i < f->num_samples; i++) {
		struct drm_fluidnpu_sample *sample = &f->job.samples[i];

		if (!(f->yielded & 1u << i) || (n && f->layers[i] != layer))
			continue;
		layer = f->layers[i];
		sample->start_layer = layer;
		f->job.samples[n++] = *sample;
		f->yielded &= ~(1u << i);
		ADD(yields);
	}
	f->job.args.samples.count = n;
	return send_job(c, f);
}

static bool may_fail(int error)
{
	return may_vanish && (error == -ENODEV || error == -EIO || error == -ECANCELED);
}

/* If both the event and, for io_uring, the command have come. */
static void finish(struct client *c, struct flight *f)
{
	int ret;

	if (!f->ended || !f->completed)
		return;
	if (c->uring && f->result != f->error)
		violation("job %llu: event %d, command %d", (unsigned long long)f->base, f->error,
			  f->result);
	if (f->error && !may_fail(f->error))
		violation("job %llu ended with %d", (unsigned long long)f->base, f->error);
	if (!f->error && f->yielded) {
		ret = client_resume(c, f);
		if (!ret)
			return;
		f->error = ret;
		if (!may_fail(ret))
			violation("job %llu cannot go on: %d", (unsigned long long)f->base, ret);
	}
	if (!f->error && f->left != (1u << f->num_samples) - 1)
		violation("job %llu: samples that left: %#x of %u", (unsigned long long)f->base,
			  f->left, f->num_samples);
	if (f->error)
		ADD(errors);
	else
		ADD(jobs);
	f->used = false;
	c->in_flight--;
}

static void handle_event(struct client *c, const struct drm_fluidnpu_event *event)
{
	const uint64_t base = event->user_data / STRIDE * STRIDE;
	struct flight *f = NULL;
	uint32_t sample = event->user_data % STRIDE - 1;

	for (unsigned int i = 0; i < DEPTH; i++) {
		if (c->flights[i].used && c->flights[i].base == base && !c->flights[i].ended)
			f = &c->flights[i];
	}
	if (!f) {
		violation("event of type %u for job %llu, which is none", event->type,
			  (unsigned long long)base);
		return;
	}
	if (event->type == DRM_FLUIDNPU_EVENT_JOB) {
		f->ended = true;
		f->error = event->error;
		finish(c, f);
		return;
	}
	if (event->type == DRM_FLUIDNPU_EVENT_YIELD && sample < f->num_samples &&
	    !((f->left | f->yielded) & 1u << sample)) {
		f->yielded |= 1u << sample;
		f->layers[sample] = event->layer;
		return;
	}
	if (event->type != DRM_FLUIDNPU_EVENT_EXIT || sample >= f->num_samples ||
	    f->left & 1u << sample || event->class_index != sample % NET_INPUTS % NET_CLASSES)
		violation("job %llu: event type %u, sample %u, class %u", (unsigned long long)base,
			  event->type, sample, event->class_index);
	else
		f->left |= 1u << sample;
}

static void drain_events(struct client *c)
{
	struct drm_fluidnpu_event event;

	while (ctx_pending(&c->ctx) && ctx_event(&c->ctx, &event))
		handle_event(c, &event);
}

static void handle_commands(struct client *c)
{
	struct io_uring_cqe *cqe;

	while (c->uring && !io_uring_peek_cqe(&c->ring, &cqe)) {
		struct flight *f = io_uring_cqe_get_data(cqe);

		if (!f->used || f->completed) {
			violation("a command completed twice");
		} else {
			f->completed = true;
			f->result = cqe->res;
			/* A job's event comes before its command completes; one refused has none. */
			if (cqe->res && !f->ended)
				drain_events(c);
			if (cqe->res && f->used && !f->ended) {
				f->ended = true;
				f->error = cqe->res;
			}
			if (f->used)
				finish(c, f);
		}
		io_uring_cqe_seen(&c->ring, cqe);
	}
}

static void client_wait(struct client *c)
{
	struct pollfd pfd[2] = {
		{ .fd = c->fd, .events = POLLIN },
		{ .fd = c->uring ? c->ring.ring_fd : -1, .events = POLLIN },
	};

	drain_events(c);
	handle_commands(c);
	if (c->in_flight && !ctx_pending(&c->ctx))
		poll(pfd, 2, 1000);
}

/* Works until it is told to stop, its jobs are done or, with a device that vanishes, for ever. */
static void client_run(bool uring, unsigned int jobs)
{
	struct client c = { .uring = uring };

	while (!GET(stop)) {
		int ret = client_open(&c);

		if (ret) {
			if (!may_vanish)
				violation("cannot start: %d", ret);
			wait_for_device();
			continue;
		}
		while (!ret && !GET(stop) && jobs) {
			while (!ret && c.in_flight < DEPTH && jobs && rnd(8)) {
				ret = client_submit(&c);
				jobs--;
			}
			if (!rnd(3))
				client_yield(&c);
			client_wait(&c);
		}
		if (ret && !may_fail(ret))
			violation("submission: %d", ret);
		while (c.in_flight)
			client_wait(&c);
		client_close(&c);
		if (!jobs)
			break;
		if (ret)
			wait_for_device();
	}
}

static pid_t start(void (*run)(bool uring, unsigned int jobs), bool uring, unsigned int jobs)
{
	uint32_t seed = rnd(UINT32_MAX) | 1;
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	rnd_state = seed;
	run(uring, jobs);
	_exit(0);
}

static pid_t clients[CLIENTS];

static void start_clients(unsigned int jobs)
{
	for (unsigned int i = 0; i < CLIENTS; i++)
		clients[i] = start(client_run, i & 1, jobs);
}

static void end_clients(void)
{
	for (unsigned int i = 0; i < CLIENTS; i++) {
		int status = 0;

		waitpid(clients[i], &status, 0);
		if (status)
			violation("a client ended with status %#x", status);
	}
}

/* Nothing else tells when the others have had their share of the device. */
static void wait_for_jobs(unsigned int more)
{
	unsigned int until = GET(jobs) + more;

	while ((int)(GET(jobs) - until) < 0 && !GET(violations))
		usleep(1000);
}

/* ---- what goes wrong ---- */

/* A random moment of its life is what this is about. */
static void killed(unsigned int number)
{
	for (unsigned int i = 0; i < number && !GET(violations); i++) {
		pid_t victim = start(client_run, rnd(2), UINT32_MAX);

		usleep(rnd(i % 4 ? 5000 : 50000));
		kill(victim, SIGKILL);
		waitpid(victim, NULL, 0);
	}
}

/* The job hangs; the context is banned after some of them, then the file. */
static void hang_once(struct client *c)
{
	struct drm_fluidnpu_event event = { 0 };
	struct job job;
	int ret;

	job_init(&job, &c->net, 1, 0);
	job.args.flags = DRM_FLUIDNPU_JOB_NO_EXIT;
	ret = submit_one(&c->ctx, &job);
	if (ret || !ctx_job_event(&c->ctx, &event)) {
		violation("a job that is to hang: submission %d", ret);
		return;
	}
	if (event.error != -ETIME)
		violation("a job that hangs ended with %d", event.error);
	ADD(hangs);
}

static void hung(unsigned int number)
{
	while (GET(hangs) < number && !GET(violations)) {
		struct client c = { 0 };
		int ret;

		c.fd = npu_open();
		ret = ctx_create(c.fd, rnd(4), 64, &c.ctx);
		if (!ret)
			ret = net_create(c.fd, HANG_LAYER - 2, &c.net);
		if (ret) {
			violation("cannot start the client that hangs: %d", ret);
			break;
		}
		for (unsigned int i = 0; i < 3 && GET(hangs) < number; i++) {
			wait_for_jobs(CLIENTS);
			hang_once(&c);
		}
		ctx_destroy(&c.ctx);
		net_destroy(&c.net);
		close(c.fd);
	}
}

/* Switches the slot that the device is in off. */
static int power_off(void)
{
	glob_t slots;
	int ret = -ENODEV;

	if (glob("/sys/bus/pci/slots/*/address", 0, NULL, &slots))
		return -ENODEV;
	for (size_t i = 0; i < slots.gl_pathc; i++) {
		char path[256], address[32];

		if (read_file(slots.gl_pathv[i], address, sizeof(address)))
			continue;
		address[strcspn(address, "\n")] = '\0';
		snprintf(path, sizeof(path), "/sys/bus/pci/drivers/fluidnpu/%s.0", address);
		if (access(path, F_OK))
			continue;
		snprintf(path, sizeof(path), "%.*s/power",
			 (int)(strrchr(slots.gl_pathv[i], '/') - slots.gl_pathv[i]),
			 slots.gl_pathv[i]);
		ret = write_file(path, "0");
	}
	globfree(&slots);
	return ret;
}

static void removed(unsigned int number)
{
	for (unsigned int i = 1; i <= number && !GET(violations); i++) {
		unsigned int errors;
		int ret;

		wait_for_jobs(5 * CLIENTS);
		errors = GET(errors);
		printf("storm: removal %u\n", i);
		fflush(stdout);
		/* Sooner or later after the device has stopped answering. */
		while (GET(errors) == errors && !GET(violations))
			usleep(1000);
		usleep(rnd(100000));
		ret = power_off();
		if (ret)
			violation("cannot power the slot off: %d", ret);
		printf("storm: removed %u\n", i);
		fflush(stdout);
		wait_for_device();
	}
}

static void works_at_the_end(void)
{
	__atomic_store_n(&shared->stop, 0, __ATOMIC_SEQ_CST);
	may_vanish = false;
	client_run(false, 20);
	client_run(true, 20);
}

int main(int argc, char **argv)
{
	const char *mode = argc == 3 ? argv[1] : "";
	unsigned int number = argc == 3 ? (unsigned int)strtoul(argv[2], NULL, 10) : 0;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	rnd_state = 2463534242u;
	may_vanish = !strcmp(mode, "removals");

	if (!strcmp(mode, "jobs")) {
		start_clients(number);
	} else if (!strcmp(mode, "kills")) {
		start_clients(UINT32_MAX);
		killed(number);
	} else if (!strcmp(mode, "hangs")) {
		param_set(JOB_TIMEOUT_PARAM, HANG_TIMEOUT_MS);
		start_clients(UINT32_MAX);
		hung(number);
	} else if (may_vanish) {
		start_clients(UINT32_MAX);
		removed(number);
	} else {
		fprintf(stderr, "usage: storm kills|hangs|jobs|removals N\n");
		return 2;
	}
	if (strcmp(mode, "jobs"))
		__atomic_store_n(&shared->stop, 1, __ATOMIC_SEQ_CST);
	end_clients();
	params_restore();
	if (!shared->violations)
		works_at_the_end();

	printf("storm: %s: %u jobs done, %u ended with an error, %u hangs, %u samples yielded, %u opens, %u violations%s%s\n",
	       mode, shared->jobs, shared->errors, shared->hangs, shared->yields, shared->opens,
	       shared->violations, shared->violations ? ": " : "", shared->first);
	return shared->violations != 0;
}
