// SPDX-License-Identifier: MIT
#define _GNU_SOURCE	/* pipe2(), CPU_COUNT() */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "error.h"
#include "pool.h"

#define MAX_WORKERS	64u
#define NOTHING		SIZE_MAX

/** struct answer - of a worker; small enough that pipes take it whole */
struct answer {
	size_t index;
	int ret;
	struct sim_result result;
	char error[512];
};

/** struct worker - @to, @from: pipes; @index: what it works on */
struct worker {
	pid_t pid;
	int to, from;
	size_t index;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int signal)
{
	interrupted = signal;
}

unsigned int pool_workers(void)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof(set), &set) ? 1 : CPU_COUNT(&set);

	return n < 1 ? 1 : (unsigned int)n;
}

/* ---- the worker's side ---- */

static void work(const struct pool *pool, int in, int out)
{
	struct sim_cache *cache = sim_cache_new();
	struct answer a;

	memset(&a, 0, sizeof(a));
	while (read(in, &a.index, sizeof(a.index)) == sizeof(a.index)) {
		struct fnpu_error error = { "" };

		a.ret = cache ? sim_run(cache, &pool->points[a.index], NULL, &a.result, &error) :
				fnpu_fail(&error, -ENOMEM, "out of memory");
		memcpy(a.error, error.text, sizeof(a.error));
		if (write(out, &a, sizeof(a)) != sizeof(a))
			break;
	}
	sim_cache_free(cache);
}

static int start_worker(const struct pool *pool, struct worker *w, struct worker *others,
			unsigned int num_others)
{
	const pid_t parent = getpid();
	int to[2], from[2];

	if (pipe2(to, O_CLOEXEC))
		return -errno;
	if (pipe2(from, O_CLOEXEC)) {
		close(to[0]);
		close(to[1]);
		return -ENFILE;
	}
	w->pid = fork();
	if (!w->pid) {
		signal(SIGINT, SIG_IGN);	/* a terminal sends it to all; the parent decides */
		signal(SIGTERM, SIG_DFL);
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() != parent)
			_exit(1);
		for (unsigned int i = 0; i < num_others; i++) {
			close(others[i].to);
			close(others[i].from);
		}
		close(to[1]);
		close(from[0]);
		work(pool, to[0], from[1]);
		_exit(0);
	}
	close(to[0]);
	close(from[1]);
	w->to = to[1];
	w->from = from[0];
	w->index = NOTHING;
	return w->pid < 0 ? -EAGAIN : 0;
}

/* ---- the parent's side ---- */

struct state {
	const struct pool *pool;
	struct worker workers[MAX_WORKERS];
	unsigned int num;
	unsigned int busy;
	size_t next;
	int ret;
};

static void give_work(struct state *s, struct worker *w)
{
	const struct pool *p = s->pool;

	while (s->next < p->num && p->skip && p->skip[s->next])
		s->next++;
	if (s->ret || interrupted || s->next == p->num)
		return;
	w->index = s->next++;
	if (write(w->to, &w->index, sizeof(w->index)) == sizeof(w->index))
		s->busy++;
	/* otherwise it is dead, and its end of the other pipe will tell */
}

static void take_answer(struct state *s, struct worker *w, struct fnpu_error *error)
{
	struct answer a;

	s->busy--;
	if (read(w->from, &a, sizeof(a)) != sizeof(a)) {
		if (!s->ret)
			s->ret = fnpu_fail(error, -ECHILD,
					   "a worker died at point %zu; it may have been killed for lack of memory",
					   w->index);
		close(w->from);
		w->from = -1;
		return;
	}
	w->index = NOTHING;
	if (a.ret && !s->ret)
		s->ret = fnpu_fail(error, a.ret, "%s", a.error);
	if (!a.ret)
		s->pool->done(s->pool->user, a.index, &a.result);
	give_work(s, w);
}

static void serve(struct state *s, struct fnpu_error *error)
{
	struct pollfd fds[MAX_WORKERS];

	for (unsigned int i = 0; i < s->num; i++)
		give_work(s, &s->workers[i]);
	while (s->busy && !interrupted) {
		for (unsigned int i = 0; i < s->num; i++)
			fds[i] = (struct pollfd){
				.fd = s->workers[i].index == NOTHING ? -1 : s->workers[i].from,
				.events = POLLIN,
			};
		if (poll(fds, s->num, -1) < 0)
			continue;	/* a signal */
		for (unsigned int i = 0; i < s->num; i++)
			if (fds[i].revents)
				take_answer(s, &s->workers[i], error);
	}
}

static void stop_workers(struct state *s)
{
	for (unsigned int i = 0; i < s->num; i++) {
		struct worker *w = &s->workers[i];

		if (w->index != NOTHING)
			kill(w->pid, SIGTERM);
		close(w->to);
		if (w->from >= 0)
			close(w->from);
		waitpid(w->pid, NULL, 0);
	}
}

int pool_run(const struct pool *pool, struct fnpu_error *error)
{
	const struct sigaction action = { .sa_handler = on_signal };
	struct state s = { .pool = pool };
	struct sigaction old_int, old_term, old_pipe;
	const unsigned int workers = pool->workers < MAX_WORKERS ? pool->workers : MAX_WORKERS;

	interrupted = 0;
	sigaction(SIGINT, &action, &old_int);
	sigaction(SIGTERM, &action, &old_term);
	sigaction(SIGPIPE, &(struct sigaction){ .sa_handler = SIG_IGN }, &old_pipe);
	while (s.num < workers && s.num < pool->num && !s.ret) {
		s.ret = start_worker(pool, &s.workers[s.num], s.workers, s.num);
		if (!s.ret)
			s.num++;
	}
	if (s.ret && s.num)
		s.ret = 0;	/* fewer will do */
	if (s.ret)
		fnpu_fail(error, s.ret, "cannot start a worker: %s", strerror(-s.ret));
	serve(&s, error);
	stop_workers(&s);
	sigaction(SIGINT, &old_int, NULL);
	sigaction(SIGTERM, &old_term, NULL);
	sigaction(SIGPIPE, &old_pipe, NULL);
	return interrupted ? -EINTR : s.ret;
}
