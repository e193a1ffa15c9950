// SPDX-License-Identifier: MIT
/*
 * soak - eight processes with eight sessions each on one fluidnpud, for some simulated time, while
 * some of them are killed, others are stopped and read nothing, and one talks nonsense.
 *
 * usage: soak DAEMON MODEL.fnpu [--device PROPERTIES] [--seconds S] [--seed N]
 *
 * DAEMON is run with back end emu, on an NPU with these properties, until S seconds of device time
 * have passed. What must hold, in TAP:
 *
 *	every sample has one result, and no other comes: in every session that was not killed
 *	results are, bit for bit, what an NPU of one's own says
 *	the daemon stays up, ends with status 0, and its memory is within 1 MiB of what it was
 *
 * Which clients are hit, and when, follows the seed and the number of results that have come; no
 * clock is asked but the NPU's.
 */
#define _GNU_SOURCE	/* F_SEAL_SHRINK */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon_peer.h"
#include "model.h"

#define CLIENTS		8
#define STREAMS		8
#define QUEUE		16u	/* samples of a stream without a result */
#define INPUTS		64	/* different ones */
#define RESULTS		16
#define ACTION_EVERY	400	/* results between two misfortunes */
#define LOOK_MS		5	/* between looks at how far it is */
#define RSS_SLACK_KIB	1024
#define MAX_EXITS	FLUIDNPU_MAX_EXITS

/** struct shared - what the processes tell each other; @wrong: results that are not as they must be */
struct shared {
	uint64_t submitted;
	uint64_t received;
	uint64_t wrong;
	uint64_t vandal_messages;
};

/** struct soak - all that a process knows before it is one */
struct soak {
	const char *socket;
	const char *model_path;
	struct fnpu_model *model;
	const struct fnpu_model_info *info;
	bool computes;
	unsigned char *inputs;
	struct fnpu_result expected[INPUTS];
	struct shared *shared;
};

/** struct stream - @seen: results of the last samples, by their number modulo its size */
struct stream {
	struct fnpu_session *session;
	uint64_t submitted;
	uint64_t received;
	bool waits[2 * QUEUE];
	uint32_t kinds[2 * QUEUE];
};

static int num_tests, num_failed;

static void test(bool good, const char *what)
{
	printf("%sok %d - %s\n", good ? "" : "not ", ++num_tests, what);
	num_failed += !good;
	fflush(stdout);
}

static void die(const char *what)
{
	fprintf(stderr, "soak: %s\n", what);
	exit(1);
}

static uint32_t random_below(uint32_t *state, uint32_t limit)
{
	*state = *state * 1664525u + 1013904223u;
	return (uint32_t)(((uint64_t)(*state >> 8) * limit) >> 24);
}

static void add(uint64_t *counter, uint64_t n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

static uint64_t get(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* ---- what an NPU of one's own says ---- */

static void make_request(const struct soak *s, uint32_t kind, struct fnpu_request *r)
{
	r->exit_index = kind % s->info->num_exits;
	r->format = FNPU_INPUT_U8_NHWC;
	if (!s->computes)
		return;
	r->input = s->inputs + (size_t)kind * s->info->input_bytes;
	r->input_bytes = s->info->input_bytes;
}

static void find_expected(struct soak *s, const char *properties)
{
	struct fnpu_device *device;
	struct fnpu_session *session;
	struct fnpu_result r;
	struct fnpu_error error;

	if (fnpu_device_open("emu", properties, &device, &error) ||
	    fnpu_session_open(device, s->model, NULL, &session, &error))
		die(error.text);
	s->computes = fnpu_device_info(device)->features & FLUIDNPU_FEATURE_FUNCTIONAL;
	for (uint32_t kind = 0; kind < INPUTS; kind++) {
		struct fnpu_request request = { .user_data = kind };

		make_request(s, kind, &request);
		if (fnpu_session_submit(session, &request) ||
		    fnpu_session_wait(session, &r, 1, -1) != 1 || r.status)
			die(fnpu_session_error(session));
		s->expected[kind] = r;
	}
	fnpu_session_close(session);
	fnpu_device_close(device);
}

static bool is_expected(const struct soak *s, uint32_t kind, const struct fnpu_result *r)
{
	const struct fnpu_result *e = &s->expected[kind];

	return !r->status && r->exit_index == e->exit_index &&
	       r->head.class_index == e->head.class_index &&
	       !memcmp(&r->head.confidence, &e->head.confidence, sizeof(float)) &&
	       !memcmp(&r->head.entropy, &e->head.entropy, sizeof(float)) &&
	       !memcmp(&r->head.margin, &e->head.margin, sizeof(float));
}

/* ---- a client ---- */

/* Whether this process is to end: @stop is a signalfd, for a handler would be missed by a poll() to come. */
static bool is_stopping(int stop)
{
	struct pollfd p = { stop, POLLIN, 0 };

	return poll(&p, 1, 0) == 1;
}

static bool take(const struct soak *s, struct stream *stream, const struct fnpu_result *r)
{
	const uint32_t i = (uint32_t)(r->user_data % (2 * QUEUE));

	if (r->user_data >= stream->submitted || !stream->waits[i]) {
		fprintf(stderr, "soak: a result twice, or of nobody: %" PRIu64 "\n", r->user_data);
		return false;
	}
	stream->waits[i] = false;
	stream->received++;
	if (is_expected(s, stream->kinds[i], r))
		return true;
	fprintf(stderr, "soak: input %u: status %d, exit %u, class %u\n", stream->kinds[i], r->status,
		r->exit_index, r->head.class_index);
	return false;
}

static int collect(const struct soak *s, struct stream *stream)
{
	struct fnpu_result results[RESULTS];
	int n = fnpu_session_poll(stream->session, results, RESULTS);

	for (int i = 0; i < n; i++)
		if (!take(s, stream, &results[i]))
			add(&s->shared->wrong, 1);
	if (n > 0)
		add(&s->shared->received, (uint64_t)n);
	return n;
}

static int feed(const struct soak *s, struct stream *stream, uint32_t *seed)
{
	uint32_t count = random_below(seed, QUEUE) + 1;

	while (count--) {
		const uint32_t i = (uint32_t)(stream->submitted % (2 * QUEUE));
		struct fnpu_request r = { .user_data = stream->submitted };
		int ret;

		if (stream->waits[i])
			break;	/* an old one is still out */
		stream->kinds[i] = random_below(seed, INPUTS);
		r.priority = random_below(seed, FNPU_MAX_PRIORITY + 1);
		make_request(s, stream->kinds[i], &r);
		ret = fnpu_session_submit(stream->session, &r);
		if (ret == -EAGAIN)
			break;
		if (ret)
			return ret;
		stream->waits[i] = true;
		stream->submitted++;
		add(&s->shared->submitted, 1);
	}
	return fnpu_session_flush(stream->session);
}

/* 0, or the session's failure: until all that was submitted has come back. */
static int run_streams(const struct soak *s, struct stream *streams, uint32_t seed, int stop)
{
	struct pollfd fds[STREAMS + 1];
	bool busy = true;

	for (int i = 0; i < STREAMS; i++)
		fds[i] = (struct pollfd){ fnpu_session_fd(streams[i].session), POLLIN, 0 };
	while (busy) {
		const bool stopping = is_stopping(stop);

		busy = !stopping;
		/* an entry below 0 is none: it has been heard */
		fds[STREAMS] = (struct pollfd){ stopping ? -1 : stop, POLLIN, 0 };
		for (int i = 0; i < STREAMS; i++) {
			int n = collect(s, &streams[i]);

			if (n >= 0 && !stopping)
				n = feed(s, &streams[i], &seed);
			if (n < 0) {
				fprintf(stderr, "soak: %s\n", fnpu_session_error(streams[i].session));
				return n;
			}
			busy = busy || fnpu_session_pending(streams[i].session);
		}
		if (busy)
			poll(fds, STREAMS + 1, -1);
	}
	return 0;
}

static int client(const struct soak *s, uint32_t seed, int stop)
{
	static struct stream streams[STREAMS];
	const struct fnpu_session_options options = { .queue_bound = QUEUE };
	struct fnpu_device *device;
	struct fnpu_error error;
	int ret;

	if (fnpu_device_open("daemon", s->socket, &device, &error))
		die(error.text);
	for (int i = 0; i < STREAMS; i++)
		if (fnpu_session_open(device, s->model, &options, &streams[i].session, &error))
			die(error.text);
	ret = run_streams(s, streams, seed, stop);
	for (int i = 0; i < STREAMS; i++) {
		if (streams[i].received != streams[i].submitted)
			ret = -1;
		fnpu_session_close(streams[i].session);
	}
	fnpu_device_close(device);
	return ret ? 1 : 0;
}

/* ---- a client that talks nonsense ---- */

static size_t random_bytes(unsigned char *to, uint32_t *seed)
{
	const size_t bytes = random_below(seed, 512) + 1;

	for (size_t i = 0; i < bytes; i++)
		to[i] = (unsigned char)random_below(seed, 256);
	return bytes;
}

/* Headers that are right, so that what follows is looked at. */
static void fix_header(unsigned char *message, size_t *bytes, uint32_t *seed)
{
	static const uint32_t sizes[] = {
		[FNPUD_HELLO] = sizeof(struct fnpud_hello),
		[FNPUD_OPEN] = sizeof(struct fnpud_open),
		[FNPUD_BUFFER] = sizeof(struct fnpud_buffer),
		[FNPUD_SUBMIT] = sizeof(struct fnpud_submit) + sizeof(struct fnpud_sample),
		[FNPUD_COUNTERS] = sizeof(struct fnpud_header),
		[FNPUD_STATS] = sizeof(struct fnpud_header),
		[FNPUD_CANCEL] = sizeof(struct fnpud_cancel),
		[FNPUD_RELEASE] = sizeof(struct fnpud_release),
	};
	struct fnpud_header h;

	h.type = random_below(seed, FNPUD_NUM_REQUESTS - 1) + 1;
	h.bytes = sizes[h.type];
	*bytes = h.bytes;
	memcpy(message, &h, sizeof(h));
}

static void vandal_talk(const struct soak *s, int conn, int memfd, uint32_t *seed)
{
	unsigned char message[1024];
	size_t bytes = random_bytes(message, seed);
	const int fds[2] = { memfd, memfd };

	if (random_below(seed, 4))
		fix_header(message, &bytes, seed);
	peer_send(conn, message, bytes, fds, random_below(seed, 3));
	peer_submit(conn, 0, random_below(seed, 64) + 1, (uint64_t)random_below(seed, 8) * 64);
	add(&s->shared->vandal_messages, 2);
}

static int vandal_connect(const struct soak *s, int memfd, uint32_t *seed)
{
	int conn;

	if (random_below(seed, 2))
		return peer_session(s->socket, s->model, QUEUE, memfd, s->info->input_bytes);
	conn = peer_connect(s->socket);
	if (conn >= 0 && random_below(seed, 2))
		peer_hello(conn);
	return conn;
}

static int vandal(const struct soak *s, uint32_t seed, int stop)
{
	const int memfd = peer_memfd(s->info->input_bytes, F_SEAL_SHRINK);

	while (!is_stopping(stop)) {
		const uint64_t received = get(&s->shared->received);
		int conn = vandal_connect(s, memfd, &seed);

		if (conn < 0)
			return 1;
		vandal_talk(s, conn, memfd, &seed);
		close(conn);
		/* not faster than the others: this is about what is said, not how often */
		while (!is_stopping(stop) && get(&s->shared->received) < received + 50)
			poll(NULL, 0, 1);
	}
	return 0;
}

/* ---- all of them ---- */

static pid_t spawn(const struct soak *s, int (*run)(const struct soak *, uint32_t, int),
		   uint32_t seed)
{
	sigset_t term;
	pid_t pid;

	/* a signal to end shall not come before somebody listens */
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	pid = fork();
	if (pid < 0)
		die("cannot fork");
	if (!pid) {
		const int stop = signalfd(-1, &term, SFD_CLOEXEC);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(stop < 0 ? 1 : run(s, seed, stop));
	}
	sigprocmask(SIG_UNBLOCK, &term, NULL);
	return pid;
}

/* Clients and the vandal end in good order? */
static bool end_all(const pid_t *pids, int num)
{
	bool good = true;

	for (int i = 0; i < num; i++) {
		int status;

		kill(pids[i], SIGCONT);
		kill(pids[i], SIGTERM);
		if (waitpid(pids[i], &status, 0) != pids[i] || status) {
			fprintf(stderr, "soak: client %d ended with status %#x\n", i, status);
			good = false;
		}
	}
	return good;
}

/**
 * struct misfortune - what has been done to clients
 * @stopped: which does not run at the moment, or -1
 * @next: number of results at which it goes on
 */
struct misfortune {
	uint32_t seed;
	int stopped;
	uint64_t next;
	unsigned int kills;
	unsigned int stops;
};

static void strike(const struct soak *s, struct misfortune *m, pid_t *pids)
{
	const int victim = (int)random_below(&m->seed, CLIENTS);

	if (m->stopped >= 0) {
		kill(pids[m->stopped], SIGCONT);
		m->stopped = -1;
	} else if (random_below(&m->seed, 2)) {
		kill(pids[victim], SIGSTOP);
		m->stopped = victim;
		m->stops++;
	} else {
		kill(pids[victim], SIGKILL);
		waitpid(pids[victim], NULL, 0);
		pids[victim] = spawn(s, client, random_below(&m->seed, 1u << 24));
		m->kills++;
	}
}

/* Until the NPU has been at it for @seconds; with @m, clients suffer. */
static bool run(const struct soak *s, struct fnpu_device *device, double seconds,
		struct misfortune *m)
{
	pid_t pids[CLIENTS + 1];
	struct fnpu_counters now;
	double end;

	if (fnpu_device_counters(device, &now))
		return false;
	end = (double)now.time / fnpu_device_info(device)->clock_hz + seconds;
	for (int i = 0; i < CLIENTS; i++)
		pids[i] = spawn(s, client, (uint32_t)i);
	pids[CLIENTS] = spawn(s, vandal, 1);
	while (!fnpu_device_counters(device, &now) &&
	       (double)now.time / fnpu_device_info(device)->clock_hz < end) {
		if (m && get(&s->shared->received) >= m->next) {
			strike(s, m, pids);
			m->next = get(&s->shared->received) + ACTION_EVERY;
		}
		poll(NULL, 0, LOOK_MS);
	}
	return end_all(pids, CLIENTS + 1);
}

/* Of the daemon, once it has seen the ends of all clients: it answers behind what came before. */
static long settled_rss_kib(struct fnpu_device *device, pid_t daemon)
{
	struct fnpu_counters counters;

	for (int i = 0; i < CLIENTS; i++)
		if (fnpu_device_counters(device, &counters))
			die("the daemon does not answer");
	return daemon_rss_kib(daemon);
}

static void soak(struct soak *s, pid_t daemon, double seconds, uint32_t seed)
{
	struct misfortune m = { .seed = seed, .stopped = -1 };
	struct fnpu_device *device;
	struct fnpu_error error;
	long before, after;

	if (fnpu_device_open("daemon", s->socket, &device, &error))
		die(error.text);
	test(run(s, device, seconds / 10, NULL), "clients that are left alone get all of their results");
	/* memory is compared when all kinds of it have been seen once */
	test(run(s, device, seconds / 10, &m), "clients beside others that are not left alone do, too");
	before = settled_rss_kib(device, daemon);
	test(run(s, device, seconds, &m),
	     "the same for longer");
	after = settled_rss_kib(device, daemon);
	printf("# %g simulated seconds, %" PRIu64 " samples, %" PRIu64 " results, %u kills, %u stops, %" PRIu64 " odd messages\n",
	       seconds * 1.2, s->shared->submitted, s->shared->received, m.kills, m.stops,
	       s->shared->vandal_messages);
	printf("# resident memory of the daemon: %ld KiB, then %ld KiB\n", before, after);
	test(m.kills && m.stops, "clients were killed and stopped");
	test(!s->shared->wrong, "no result came twice, and all are the NPU's, bit for bit");
	test(labs(after - before) <= RSS_SLACK_KIB, "the daemon's memory is within 1 MiB");
	fnpu_device_close(device);
}

static void fill_inputs(struct soak *s, uint32_t seed)
{
	const size_t bytes = (size_t)INPUTS * s->info->input_bytes;

	s->inputs = malloc(bytes);
	if (!s->inputs)
		die("out of memory");
	for (size_t i = 0; i < bytes; i++)
		s->inputs[i] = (unsigned char)random_below(&seed, 256);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "device", required_argument, NULL, 'd' },
		{ "seconds", required_argument, NULL, 's' },
		{ "seed", required_argument, NULL, 'r' },
		{ NULL, 0, NULL, 0 },
	};
	const char *properties = "";
	double seconds = 1;
	uint32_t seed = 1;
	struct soak s = { 0 };
	struct fnpu_error error;
	char path[64];
	pid_t daemon;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'd')
			properties = optarg;
		else if (option == 's')
			seconds = atof(optarg);
		else if (option == 'r')
			seed = (uint32_t)atol(optarg);
		else
			return 2;
	}
	if (optind + 2 != argc)
		return 2;
	snprintf(path, sizeof(path), "/tmp/fluidnpud-soak-%d.sock", getpid());
	s.socket = path;
	if (fnpu_model_load(argv[optind + 1], &s.model, &error))
		die(error.text);
	s.info = fnpu_model_info(s.model);
	s.shared = mmap(NULL, sizeof(*s.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	if (s.shared == MAP_FAILED)
		die("out of memory");
	fill_inputs(&s, seed);
	find_expected(&s, properties);
	daemon = daemon_start((const char *const[]){ argv[optind], "--backend", "emu", "--device",
						     properties, "--model", argv[optind + 1],
						     "--socket", path, NULL });
	soak(&s, daemon, seconds, seed);
	test(!daemon_stop(daemon), "the daemon was up until it was told to end");
	printf("1..%d\n", num_tests);
	free(s.inputs);
	fnpu_model_free(s.model);
	return num_failed ? 1 : 0;
}
