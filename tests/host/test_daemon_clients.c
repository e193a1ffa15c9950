// SPDX-License-Identifier: MIT
/*
 * fluidnpud with clients that use the library, and with such that say what they like. The daemon
 * runs on the emulated NPU; it is the one that was built with this test.
 */
#define _GNU_SOURCE	/* F_SEAL_SHRINK */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon_peer.h"
#include "lib_model.h"
#include "model.h"

#define MAX_ARGS	24
#define BUFFER_BYTES	4096
#define MAX_RESULTS	64

static char daemon_path[4096];
static char socket_path[256];
static char model_path[256];
static struct fnpu_model *model;
static struct fnpu_error error;
static pid_t daemon_pid;
static uint64_t message[FNPUD_MESSAGE_BYTES / sizeof(uint64_t)];
static const struct fnpud_header *const header = (const void *)message;

static int8_t sure[LIB_MODEL_INPUTS] = { 0, 100, 0, 0 };	/* exit 0, class 1 */
static int8_t unsure[LIB_MODEL_INPUTS] = { 1, 0, 0, 0 };	/* exit 1, class 3 */

/* ---- set up ---- */

/* fluidnpud with more options, up to a NULL. */
static void start(const char *option, ...)
{
	const char *argv[MAX_ARGS] = { daemon_path, "--backend", "emu", "--model", model_path,
				       "--socket", socket_path };
	int argc = 7;
	va_list args;

	va_start(args, option);
	for (; option && argc < MAX_ARGS - 1; option = va_arg(args, const char *))
		argv[argc++] = option;
	va_end(args);
	daemon_pid = daemon_start(argv);
}

static void stop(void)
{
	const pid_t pid = daemon_pid;

	daemon_pid = 0;
	assert_int_equal(daemon_stop(pid), 0);
}

static int teardown(void **state)
{
	(void)state;
	if (daemon_pid) {	/* a test has failed */
		kill(daemon_pid, SIGKILL);
		waitpid(daemon_pid, NULL, 0);
		daemon_pid = 0;
	}
	return 0;
}

static struct fnpu_device *open_device(void)
{
	struct fnpu_device *device;

	if (fnpu_device_open("daemon", socket_path, &device, &error))
		fail_msg("%s", error.text);
	return device;
}

static struct fnpu_session *open_session(struct fnpu_device *device,
					 const struct fnpu_session_options *o)
{
	struct fnpu_session *s;

	if (fnpu_session_open(device, model, o, &s, &error))
		fail_msg("%s", error.text);
	return s;
}

static int submit(struct fnpu_session *s, uint64_t user_data, const int8_t *input)
{
	const struct fnpu_request r = {
		.user_data = user_data,
		.input = input,
		.input_bytes = LIB_MODEL_INPUTS,
		.format = FNPU_INPUT_I8_NHWC,
	};

	return fnpu_session_submit(s, &r);
}

static int peer(uint32_t bound)
{
	const int fd = peer_memfd(BUFFER_BYTES, F_SEAL_SHRINK);
	const int conn = peer_session(socket_path, model, bound, fd, BUFFER_BYTES);

	close(fd);
	return conn;
}

/* Results of @conn until there are @count; each of @first.. has come once. */
static void expect_results(int conn, uint64_t first, uint32_t count)
{
	const struct fnpud_results *m = (const struct fnpud_results *)message;
	const struct fnpud_result *r = (const struct fnpud_result *)(m + 1);
	bool *seen = calloc(count, sizeof(*seen));
	uint32_t got = 0;

	assert_non_null(seen);
	while (got < count) {
		assert_true(peer_receive(conn, message) > 0);
		assert_int_equal(m->header.type, FNPUD_RESULTS);
		for (uint32_t i = 0; i < m->count; i++, got++) {
			assert_int_equal(r[i].status, 0);
			assert_in_range(r[i].user_data, first, first + count - 1);
			assert_false(seen[r[i].user_data - first]);
			seen[r[i].user_data - first] = true;
		}
	}
	free(seen);
}

static void expect_hung_up(int conn)
{
	assert_int_equal(peer_receive(conn, message), 0);
	close(conn);
}

/* The daemon serves, whatever else has happened. */
static void expect_alive(void)
{
	int conn = peer(4);

	assert_int_equal(peer_submit(conn, 0, 4, 0), 0);
	expect_results(conn, 0, 4);
	close(conn);
}

/* ---- the library's sessions ---- */

static void session_gives_the_results_of_the_npu(void **state)
{
	struct fnpu_session_options options = { .flags = FNPU_SESSION_LOGITS | FNPU_SESSION_NO_EXIT };
	struct fnpu_session *s;
	struct fnpu_device *device;
	struct fnpu_result r;

	(void)state;
	start(NULL);
	device = open_device();
	s = open_session(device, NULL);
	assert_string_equal(fnpu_session_submission(s), "daemon");
	assert_int_equal(submit(s, 7, sure), 0);
	assert_int_equal(fnpu_session_pending(s), 1);
	assert_int_equal(fnpu_session_wait(s, &r, 1, -1), 1);
	assert_int_equal(r.user_data, 7);
	assert_int_equal(r.status, 0);
	assert_int_equal(r.exit_index, 0);
	assert_int_equal(r.head.class_index, 1);
	assert_null(r.heads);
	assert_null(r.logits);
	assert_int_equal(fnpu_session_wait(s, &r, 1, -1), 0);
	fnpu_session_close(s);

	s = open_session(device, &options);
	assert_int_equal(submit(s, 8, sure), 0);
	assert_int_equal(fnpu_session_drain(s, -1), 0);
	assert_int_equal(fnpu_session_poll(s, &r, 1), 1);
	assert_int_equal(r.exit_index, 1);
	assert_int_equal(r.heads[0].class_index, 1);
	assert_int_equal(r.heads[1].class_index, 2);
	assert_int_equal(r.logits[fnpu_model_info(model)->exits[0].logits_off + 1], 100);
	fnpu_session_close(s);
	fnpu_device_close(device);
	stop();
}

static void queue_is_bounded_and_counted(void **state)
{
	const struct fnpu_session_options options = { .queue_bound = 3 };
	struct fnpu_result results[MAX_RESULTS];
	struct fnpu_session_stats stats;
	struct fnpu_device *device;
	struct fnpu_session *s;
	int n = 0;

	(void)state;
	start(NULL);
	device = open_device();
	s = open_session(device, &options);
	for (int i = 0; i < 3; i++)
		assert_int_equal(submit(s, (uint64_t)i, unsure), 0);
	assert_int_equal(submit(s, 3, unsure), -EAGAIN);
	while (n < 3)
		n += fnpu_session_wait(s, results, MAX_RESULTS, -1);
	assert_int_equal(submit(s, 3, unsure), -EAGAIN);	/* the last ones are still the caller's */
	assert_int_equal(fnpu_session_poll(s, results, MAX_RESULTS), 0);
	assert_int_equal(submit(s, 3, unsure), 0);
	assert_int_equal(fnpu_session_wait(s, results, MAX_RESULTS, -1), 1);
	fnpu_session_stats(s, &stats);
	assert_int_equal(stats.submitted, 4);
	assert_int_equal(stats.rejected, 2);
	assert_int_equal(stats.completed, 4);
	assert_int_equal(stats.job_samples, 4);
	fnpu_session_close(s);
	fnpu_device_close(device);
	stop();
}

static void descriptor_tells_when_to_poll(void **state)
{
	struct fnpu_result results[MAX_RESULTS];
	struct fnpu_device *device;
	struct fnpu_session *s;
	struct pollfd p;
	int n = 0;

	(void)state;
	start(NULL);
	device = open_device();
	s = open_session(device, NULL);
	p = (struct pollfd){ fnpu_session_fd(s), POLLIN, 0 };
	assert_int_equal(poll(&p, 1, 0), 0);
	for (int i = 0; i < 20; i++)
		assert_int_equal(submit(s, (uint64_t)i, i % 2 ? sure : unsure), 0);
	while (n < 20) {
		int got;

		assert_int_equal(poll(&p, 1, -1), 1);
		got = fnpu_session_poll(s, results, 3);
		assert_true(got >= 0);
		n += got;
	}
	assert_int_equal(poll(&p, 1, 0), 0);
	fnpu_session_close(s);
	fnpu_device_close(device);
	stop();
}

/* A signal takes its time. */
static void pause_daemon(void)
{
	assert_int_equal(kill(daemon_pid, SIGSTOP), 0);
	assert_int_equal(waitpid(daemon_pid, NULL, WUNTRACED), daemon_pid);
}

static void clients_share_batches(void **state)
{
	struct fnpu_session *s[2];
	struct fnpu_device *device;
	struct fnpu_result r[2];

	(void)state;
	start("--policy", "static:size=4,delay=1000", NULL);
	device = open_device();
	for (int i = 0; i < 2; i++) {
		s[i] = open_session(device, NULL);
		assert_int_equal(submit(s[i], 0, sure), 0);
		assert_int_equal(submit(s[i], 1, unsure), 0);
	}
	pause_daemon();		/* both are there when it looks */
	assert_int_equal(fnpu_session_flush(s[0]), 0);
	assert_int_equal(fnpu_session_flush(s[1]), 0);
	assert_int_equal(kill(daemon_pid, SIGCONT), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(fnpu_session_drain(s[i], -1), 0);
		assert_int_equal(fnpu_session_poll(s[i], r, 2), 2);
		assert_int_equal(r[0].batch, 4);
		assert_int_equal(r[1].batch, 4);
		fnpu_session_close(s[i]);
	}
	fnpu_device_close(device);
	stop();
}

static void statistics_do_not_swallow_results(void **state)
{
	const struct fnpu_session_options options = { .slo_ns = 1 };
	struct fnpu_session_stats stats;
	struct fnpu_device *device;
	struct fnpu_session *s;
	struct fnpu_result r;
	struct pollfd p;

	(void)state;
	start(NULL);
	device = open_device();
	s = open_session(device, &options);
	p = (struct pollfd){ .fd = fnpu_session_fd(s), .events = POLLIN };
	assert_int_equal(submit(s, 1, unsure), 0);
	assert_int_equal(fnpu_session_flush(s), 0);
	assert_int_equal(poll(&p, 1, -1), 1);
	fnpu_session_stats(s, &stats);		/* the result is taken in with the answer */
	assert_int_equal(poll(&p, 1, 0), 1);
	assert_int_equal(fnpu_session_poll(s, &r, 1), 1);
	fnpu_session_stats(s, &stats);
	assert_int_equal(stats.completed, 1);
	assert_int_equal(stats.late, 1);
	assert_int_equal(stats.exits[1], 1);
	fnpu_session_close(s);
	fnpu_device_close(device);
	stop();
}

static void cancelled_samples_come_back(void **state)
{
	struct fnpu_result results[MAX_RESULTS];
	struct fnpu_device *device;
	struct fnpu_session *s;
	int n = 0;

	(void)state;
	start(NULL);
	device = open_device();
	s = open_session(device, NULL);
	assert_int_equal(submit(s, 1, unsure), 0);
	assert_int_equal(fnpu_session_cancel(s, 1), 1);		/* it had not been sent */
	assert_int_equal(fnpu_session_cancel(s, 1), -ENOENT);
	pause_daemon();
	for (uint64_t i = 2; i < 6; i++)
		assert_int_equal(submit(s, i, unsure), 0);
	assert_int_equal(fnpu_session_flush(s), 0);
	assert_int_equal(fnpu_session_cancel(s, 3), -EINPROGRESS);
	assert_int_equal(fnpu_session_cancel(s, 5), -EINPROGRESS);
	assert_int_equal(kill(daemon_pid, SIGCONT), 0);
	assert_int_equal(fnpu_session_drain(s, -1), 0);
	n = fnpu_session_poll(s, results, MAX_RESULTS);
	assert_int_equal(n, 5);
	for (int i = 0; i < n; i++)
		assert_int_equal(results[i].status, results[i].user_data % 2 ? -ECANCELED : 0);
	assert_int_equal(fnpu_session_cancel(s, 3), -ENOENT);
	fnpu_session_close(s);
	fnpu_device_close(device);
	stop();
}

static void what_the_daemon_cannot_do_it_says(void **state)
{
	struct fnpu_counters counters;
	struct fnpu_device *device;
	struct fnpu_bo *bo;

	(void)state;
	assert_int_equal(fnpu_device_open("daemon", socket_path, &device, &error), -ENOENT);
	assert_non_null(strstr(error.text, "systemctl start fluidnpud.socket"));
	start(NULL);
	device = open_device();
	assert_int_equal(fnpu_bo_import(device, -1, &bo, &error), -EINVAL);
	assert_non_null(strstr(error.text, "neither a dma-buf nor a memfd"));
	assert_int_equal(fnpu_device_counters(device, &counters), 0);
	fnpu_device_close(device);
	stop();
}

static void a_model_that_is_not_served_is_refused(void **state)
{
	const struct lib_model other = { .meta = NULL, .stack = 2, .break_layer = -1 };
	const char *path = lib_temp_path("other.fnpu");
	struct fnpu_device *device;
	struct fnpu_model *another;
	struct fnpu_session *s;

	(void)state;
	lib_model_write(&other, path);
	assert_int_equal(fnpu_model_load(path, &another, &error), 0);
	start(NULL);
	device = open_device();
	assert_int_equal(fnpu_session_open(device, another, NULL, &s, &error), -ENOENT);
	assert_non_null(strstr(error.text, "--model"));
	assert_non_null(strstr(error.text, fnpu_model_info(model)->name));
	fnpu_model_free(another);
	fnpu_device_close(device);
	stop();
}

/* ---- the end of the daemon ---- */

static void a_daemon_that_is_told_to_end_finishes_what_it_has(void **state)
{
	const struct fnpud_results *m = (const void *)message;
	const struct fnpud_error *e = (const void *)message;
	const uint32_t count = 500;
	bool told = false;
	uint32_t got;
	int conn, status;

	(void)state;
	start(NULL);
	conn = peer(count);
	pause_daemon();
	assert_int_equal(peer_submit(conn, 0, count, 0), 0);
	assert_int_equal(kill(daemon_pid, SIGCONT), 0);
	/* a result at least: it has got the samples */
	assert_true(peer_receive(conn, message) > 0);
	assert_int_equal(header->type, FNPUD_RESULTS);
	got = m->count;
	assert_int_equal(kill(daemon_pid, SIGTERM), 0);
	while (peer_receive(conn, message) > 0) {
		if (header->type == FNPUD_ERROR)
			told = e->error == -ESHUTDOWN;
		else
			got += m->count;
	}
	assert_true(told);
	assert_int_equal(got, count);
	close(conn);
	assert_int_equal(waitpid(daemon_pid, &status, 0), daemon_pid);
	daemon_pid = 0;
	assert_int_equal(status, 0);
	assert_int_equal(access(socket_path, F_OK), -1);
}

static void a_daemon_that_dies_leaves_nobody_waiting(void **state)
{
	struct fnpu_result results[MAX_RESULTS];
	struct fnpu_device *device;
	struct fnpu_session *s;

	(void)state;
	start(NULL);
	device = open_device();
	s = open_session(device, NULL);
	pause_daemon();
	for (int i = 0; i < 10; i++)
		assert_int_equal(submit(s, (uint64_t)i, sure), 0);
	assert_int_equal(fnpu_session_flush(s), 0);
	assert_int_equal(submit(s, 10, sure), 0);	/* this one is not even sent */
	assert_int_equal(kill(daemon_pid, SIGKILL), 0);
	assert_int_equal(waitpid(daemon_pid, NULL, 0), daemon_pid);
	daemon_pid = 0;
	assert_int_equal(fnpu_session_wait(s, results, MAX_RESULTS, -1), 11);
	for (int i = 0; i < 11; i++) {
		assert_int_equal(results[i].status, -ENODEV);
		assert_non_null(strstr(results[i].reason, "fluidnpud is gone"));
	}
	assert_int_equal(fnpu_session_wait(s, results, MAX_RESULTS, -1), -ENODEV);
	assert_int_equal(submit(s, 11, sure), -ENODEV);
	assert_non_null(strstr(fnpu_session_error(s), "open the device and the session again"));
	fnpu_session_close(s);
	fnpu_device_close(device);
}

static void a_new_daemon_takes_the_place_of_a_dead_one(void **state)
{
	(void)state;
	start(NULL);
	assert_int_equal(kill(daemon_pid, SIGKILL), 0);
	assert_int_equal(waitpid(daemon_pid, NULL, 0), daemon_pid);
	assert_int_equal(access(socket_path, F_OK), 0);
	start(NULL);
	expect_alive();
	stop();
}

/* ---- permission and quotas ---- */

static void socket_is_for_its_user_and_group(void **state)
{
	struct stat st;

	(void)state;
	start(NULL);
	assert_int_equal(stat(socket_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	stop();
}

static void who_is_not_allowed_is_told(void **state)
{
	struct fnpu_device *device;

	(void)state;
	start("--allow", "54321", "--allow", "@54321", NULL);
	assert_int_equal(fnpu_device_open("daemon", socket_path, &device, &error), -EACCES);
	assert_non_null(strstr(error.text, "--allow"));
	stop();
}

static void quota_of_samples_is_the_clients(void **state)
{
	const struct fnpu_session_options six = { .queue_bound = 6 }, five = { .queue_bound = 5 };
	struct fnpu_session *a, *b;
	struct fnpu_device *device;

	(void)state;
	start("--client-samples", "10", NULL);
	device = open_device();
	a = open_session(device, &six);
	assert_int_equal(fnpu_session_open(device, model, &five, &b, &error), -EDQUOT);
	assert_non_null(strstr(error.text, "6 of 10 are taken"));
	b = open_session(device, NULL);	/* who does not say gets what is left */
	assert_int_equal(submit(a, 0, sure), 0);
	assert_int_equal(fnpu_session_drain(a, -1), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(submit(b, 0, sure), 0);
	assert_int_equal(submit(b, 0, sure), -EAGAIN);
	fnpu_session_close(b);
	fnpu_session_close(a);
	fnpu_device_close(device);
	stop();
}

static void quotas_of_connections_and_memory_are_told(void **state)
{
	const struct fnpu_session_options many = { .queue_bound = 60000 };
	struct fnpu_device *device, *another;
	struct fnpu_session *s;

	(void)state;
	start("--client-connections", "2", "--client-samples", "65536", "--client-memory-mib", "1", NULL);
	device = open_device();
	assert_int_equal(fnpu_session_open(device, model, &many, &s, &error), -EDQUOT);
	assert_non_null(strstr(error.text, "--client-memory-mib"));
	s = open_session(device, NULL);
	assert_int_equal(fnpu_device_open("daemon", socket_path, &another, &error), -EDQUOT);
	assert_non_null(strstr(error.text, "--client-connections"));
	fnpu_session_close(s);
	fnpu_device_close(device);
	stop();
}

static void more_processes_than_allowed_are_turned_away(void **state)
{
	struct fnpu_device *device;
	int status;
	pid_t pid;

	(void)state;
	start("--max-clients", "1", NULL);
	device = open_device();
	pid = fork();
	if (!pid) {
		struct fnpu_device *another;

		_exit(fnpu_device_open("daemon", socket_path, &another, &error) == -EUSERS &&
		      strstr(error.text, "--max-clients") ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	fnpu_device_close(device);
	stop();
}

static void samples_over_the_quota_are_refused_and_the_others_served(void **state)
{
	int conn, other;

	(void)state;
	start(NULL);
	other = peer(4);
	conn = peer(4);
	pause_daemon();
	assert_int_equal(peer_submit(other, 100, 4, 0), 0);
	assert_int_equal(peer_submit(conn, 0, 10, 0), 0);
	assert_int_equal(kill(daemon_pid, SIGCONT), 0);
	assert_true(peer_is_refused(conn, -EDQUOT, "6 samples are over the session's quota of 4"));
	expect_results(conn, 0, 4);
	expect_results(other, 100, 4);
	close(conn);
	close(other);
	stop();
}

static void what_a_dead_client_had_is_free_again(void **state)
{
	int conn, other;

	(void)state;
	start("--client-samples", "64", NULL);
	other = peer_connect(socket_path);	/* the client lives on */
	peer_hello(other);
	for (int i = 0; i < 100; i++) {
		conn = peer(64);	/* all of it */
		assert_int_equal(peer_submit(conn, 0, 64, 0), 0);
		close(conn);
	}
	expect_alive();
	close(other);
	stop();
}

/* ---- malformed messages ---- */

static void expect_doomed(int conn, const char *hint)
{
	assert_true(peer_is_refused(conn, -EPROTO, hint));
	expect_hung_up(conn);
}

static void a_malformed_message_ends_its_client_only(void **state)
{
	const struct fnpud_header h = { 77, sizeof(h) };
	int bystander, conn;

	(void)state;
	start(NULL);
	bystander = peer(4);
	conn = peer_connect(socket_path);
	assert_int_equal(peer_send(conn, &h, sizeof(h), NULL, 0), 0);
	expect_doomed(conn, "type 77");
	conn = peer(4);
	assert_int_equal(peer_submit(conn, 0, 1, BUFFER_BYTES), 0);
	expect_doomed(conn, "no sample of 4 bytes is at 0x1000");
	assert_int_equal(peer_submit(bystander, 0, 4, 0), 0);
	expect_results(bystander, 0, 4);
	close(bystander);
	stop();
}

static void messages_too_long_or_with_many_descriptors_are_refused(void **state)
{
	static const char zeros[FNPUD_MESSAGE_BYTES + 1];
	const struct fnpud_header h = { FNPUD_COUNTERS, sizeof(h) };
	int fds[16], conn;

	(void)state;
	start(NULL);
	conn = peer_connect(socket_path);
	assert_int_equal(peer_send(conn, zeros, sizeof(zeros), NULL, 0), 0);
	expect_doomed(conn, "longer");
	for (int i = 0; i < 16; i++)
		fds[i] = STDERR_FILENO;
	conn = peer_connect(socket_path);
	peer_hello(conn);
	assert_int_equal(peer_send(conn, &h, sizeof(h), fds, 16), 0);
	expect_doomed(conn, "more descriptors");
	expect_alive();
	stop();
}

/* Sends @fd as a buffer of @bytes; the daemon refuses it with @hint. */
static void expect_no_buffer(int fd, uint64_t bytes, int ret, const char *hint)
{
	const struct fnpud_buffer m = {
		.header = { FNPUD_BUFFER, sizeof(m) },
		.bytes = bytes,
	};
	int conn = peer_connect(socket_path);

	peer_hello(conn);
	peer_open(conn, model, 4);
	assert_true(peer_receive(conn, message) > 0);
	assert_int_equal(header->type, FNPUD_OPENED);
	assert_int_equal(peer_send(conn, &m, sizeof(m), &fd, 1), 0);
	assert_true(peer_is_refused(conn, ret, hint));
	close(conn);
	close(fd);
}

static void buffers_must_not_shrink(void **state)
{
	int pipe_fds[2];

	(void)state;
	start("--client-memory-mib", "1", NULL);
	expect_no_buffer(peer_memfd(BUFFER_BYTES, 0), BUFFER_BYTES, -EINVAL, "F_SEAL_SHRINK");
	expect_no_buffer(peer_memfd(BUFFER_BYTES - 1, F_SEAL_SHRINK), BUFFER_BYTES, -EINVAL, "has 4095");
	expect_no_buffer(open(model_path, O_RDONLY), BUFFER_BYTES, -EINVAL, "neither a memfd nor");
	expect_no_buffer(open("/dev/zero", O_RDONLY), BUFFER_BYTES, -EINVAL, "neither a memfd nor");
	assert_int_equal(pipe(pipe_fds), 0);
	close(pipe_fds[1]);
	expect_no_buffer(pipe_fds[0], BUFFER_BYTES, -EINVAL, "neither a memfd nor");
	expect_no_buffer(peer_memfd(2 << 20, F_SEAL_SHRINK), 2 << 20, -EDQUOT, "--client-memory-mib");
	expect_alive();
	stop();
}

static const struct fnpud_header good_counters = { FNPUD_COUNTERS, sizeof(good_counters) };

static unsigned int count_descriptors(pid_t pid)
{
	unsigned int num = 0;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	assert_non_null(dir);
	while (readdir(dir))
		num++;
	closedir(dir);
	return num;
}

static void descriptors_that_nobody_asked_for_are_closed(void **state)
{
	const int fds[2] = { peer_memfd(64, 0), open("/dev/zero", O_RDONLY) };
	unsigned int before;

	(void)state;
	start(NULL);
	expect_alive();
	before = count_descriptors(daemon_pid);
	for (int i = 0; i < 200; i++) {
		int conn = peer_connect(socket_path);

		/* with a message of no bytes, or with one that takes none */
		peer_send(conn, &good_counters, i % 2 ? sizeof(good_counters) : 0, fds, 2);
		close(conn);
	}
	expect_alive();
	/* connections that are just being closed */
	for (int i = 0; i < 1000 && count_descriptors(daemon_pid) > before + 8; i++)
		poll(NULL, 0, 10);
	assert_true(count_descriptors(daemon_pid) <= before + 8);
	close(fds[0]);
	close(fds[1]);
	stop();
}

/* ---- fairness ---- */

static void a_reader_that_sleeps_stops_nobody(void **state)
{
	const uint32_t count = 8192, at_once = 1024;	/* their results do not fit into a socket */
	int slow, conn;

	(void)state;
	start("--client-samples", "16384", NULL);
	slow = peer(count);
	conn = peer(at_once);
	for (uint32_t i = 0; i < count; i += at_once) {
		assert_int_equal(peer_submit(slow, i, at_once, 0), 0);
		assert_int_equal(peer_submit(conn, i, at_once, 0), 0);
		expect_results(conn, i, at_once);
	}
	expect_results(slow, 0, count);
	assert_int_equal(peer_submit(slow, 0, at_once, 0), 0);
	expect_results(slow, 0, at_once);
	close(slow);
	close(conn);
	stop();
}

/* The latest device time of @count results of @conn; @until: how many are not later than that. */
static uint64_t last_time(int conn, uint32_t count, uint64_t until, uint32_t *num)
{
	const struct fnpud_results *m = (const struct fnpud_results *)message;
	const struct fnpud_result *r = (const struct fnpud_result *)(m + 1);
	uint64_t last = 0;

	for (uint32_t got = 0; got < count; got += m->count) {
		assert_true(peer_receive(conn, message) > 0);
		for (uint32_t i = 0; i < m->count; i++) {
			last = r[i].head.time > last ? r[i].head.time : last;
			*num += r[i].head.time <= until;
		}
	}
	return last;
}

/*
 * Another process, which is another client: fills a queue of @count when it reads something, and
 * writes how many of its results came until the time that it reads then.
 */
static pid_t start_hog(uint32_t count, const int *in, const int *out)
{
	uint32_t num = 0;
	uint64_t until;
	int conn;
	pid_t pid = fork();

	if (pid)
		return pid;
	conn = peer(count);
	if (write(out[1], &num, sizeof(num)) != sizeof(num) || read(in[0], &until, 8) != 8 ||
	    peer_submit(conn, 0, count, 0) || write(out[1], &num, sizeof(num)) != sizeof(num) ||
	    read(in[0], &until, 8) != 8)
		_exit(1);
	last_time(conn, count, until, &num);
	_exit(write(out[1], &num, sizeof(num)) != sizeof(num));
}

static void a_long_queue_of_another_client_is_no_reason_to_wait(void **state)
{
	const uint32_t count = 1024, few = 16, most = 64;
	uint64_t time = 0;
	int in[2], out[2], status, conn;
	uint32_t num;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	start(NULL);
	pid = start_hog(count, in, out);
	assert_int_equal(read(out[0], &num, sizeof(num)), sizeof(num));
	conn = peer(few);
	pause_daemon();
	assert_int_equal(write(in[1], &time, sizeof(time)), sizeof(time));
	assert_int_equal(read(out[0], &num, sizeof(num)), sizeof(num));
	assert_int_equal(peer_submit(conn, 0, few, 0), 0);
	assert_int_equal(kill(daemon_pid, SIGCONT), 0);
	time = last_time(conn, few, 0, &num);
	assert_int_equal(write(in[1], &time, sizeof(time)), sizeof(time));
	assert_int_equal(read(out[0], &num, sizeof(num)), sizeof(num));
	print_message("%u of %u samples of the other client ended before the last of these %u\n", num,
		      count, few);
	assert_in_range(num, few / 2, most);	/* they take turns, whoever was seen first */
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	for (int i = 0; i < 2; i++) {
		close(in[i]);
		close(out[i]);
	}
	close(conn);
	stop();
}

int main(int argc, char **argv)
{
	const struct lib_model tiny = LIB_MODEL_DEFAULT;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(session_gives_the_results_of_the_npu, teardown),
		cmocka_unit_test_teardown(queue_is_bounded_and_counted, teardown),
		cmocka_unit_test_teardown(descriptor_tells_when_to_poll, teardown),
		cmocka_unit_test_teardown(clients_share_batches, teardown),
		cmocka_unit_test_teardown(cancelled_samples_come_back, teardown),
		cmocka_unit_test_teardown(what_the_daemon_cannot_do_it_says, teardown),
		cmocka_unit_test_teardown(a_model_that_is_not_served_is_refused, teardown),
		cmocka_unit_test_teardown(a_daemon_that_is_told_to_end_finishes_what_it_has, teardown),
		cmocka_unit_test_teardown(a_daemon_that_dies_leaves_nobody_waiting, teardown),
		cmocka_unit_test_teardown(a_new_daemon_takes_the_place_of_a_dead_one, teardown),
		cmocka_unit_test_teardown(socket_is_for_its_user_and_group, teardown),
		cmocka_unit_test_teardown(who_is_not_allowed_is_told, teardown),
		cmocka_unit_test_teardown(quota_of_samples_is_the_clients, teardown),
		cmocka_unit_test_teardown(quotas_of_connections_and_memory_are_told, teardown),
		cmocka_unit_test_teardown(more_processes_than_allowed_are_turned_away, teardown),
		cmocka_unit_test_teardown(samples_over_the_quota_are_refused_and_the_others_served,
					  teardown),
		cmocka_unit_test_teardown(what_a_dead_client_had_is_free_again, teardown),
		cmocka_unit_test_teardown(a_malformed_message_ends_its_client_only, teardown),
		cmocka_unit_test_teardown(messages_too_long_or_with_many_descriptors_are_refused,
					  teardown),
		cmocka_unit_test_teardown(buffers_must_not_shrink, teardown),
		cmocka_unit_test_teardown(descriptors_that_nobody_asked_for_are_closed, teardown),
		cmocka_unit_test_teardown(statistics_do_not_swallow_results, teardown),
		cmocka_unit_test_teardown(a_reader_that_sleeps_stops_nobody, teardown),
		cmocka_unit_test_teardown(a_long_queue_of_another_client_is_no_reason_to_wait, teardown),
	};
	int ret;

	(void)argc;
	snprintf(daemon_path, sizeof(daemon_path), "%.*s/../../bin/fluidnpud",
		 (int)(strrchr(argv[0], '/') - argv[0]), argv[0]);
	strncpy(socket_path, lib_temp_path("fluidnpud.sock"), sizeof(socket_path) - 1);
	strncpy(model_path, lib_temp_path("tiny.fnpu"), sizeof(model_path) - 1);
	lib_model_write(&tiny, model_path);
	if (fnpu_model_load(model_path, &model, &error)) {
		fprintf(stderr, "%s\n", error.text);
		return 1;
	}
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	fnpu_model_free(model);
	return ret;
}
