// SPDX-License-Identifier: MIT
/*
 * Buffers of fluidnpud's clients: memory that the NPU reads where they have it. The daemon runs on the
 * emulated NPU, or on that of the back end that FNPU_TEST_BACKEND names: the same tests run in the VM, where
 * the kernel's dma-bufs are.
 */
#define _GNU_SOURCE	/* F_SEAL_SHRINK */
#include <errno.h>
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon_peer.h"
#include "lib_rig.h"
#include "vgem.h"

#define PAGE		4096u
#define MORE_THAN_ALL	(3 * FNPUD_MAX_BUFFERS)
#define MANY		1000	/* messages that no socket holds */
#define MOST_BUFFERS	64	/* of the process, fluidnpud --client-buffers */

/** struct rig - a daemon, and the library's device in it */
struct rig {
	struct lib_rig lib;
	char socket[256];
	pid_t daemon;
};

static char daemon_path[4096];

static int setup(void **state)
{
	static struct rig rig;
	const struct lib_model tiny = LIB_MODEL_DEFAULT;
	char path[256];

	memset(&rig, 0, sizeof(rig));
	strncpy(path, lib_temp_path("tiny.fnpu"), sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	strncpy(rig.socket, lib_temp_path("buffers.sock"), sizeof(rig.socket) - 1);
	lib_model_write(&tiny, path);
	rig.daemon = daemon_start((const char *const[]){
		daemon_path, "--backend", lib_rig_backend(), "--model", path, "--socket", rig.socket,
		"--client-memory-mib", "2", "--client-buffers", "64", NULL });
	if (fnpu_device_open("daemon", rig.socket, &rig.lib.device, &rig.lib.error) ||
	    fnpu_model_load(path, &rig.lib.model, &rig.lib.error)) {
		print_error("%s\n", rig.lib.error.text);
		return -1;
	}
	*state = &rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	fnpu_model_free(rig->lib.model);
	fnpu_device_close(rig->lib.device);
	kill(rig->daemon, SIGCONT);
	return daemon_stop(rig->daemon);
}

static struct fnpu_bo *new_bo(struct rig *rig, size_t bytes)
{
	struct fnpu_bo *bo;

	if (fnpu_bo_alloc(rig->lib.device, bytes, &bo, &rig->lib.error))
		fail_msg("%s", rig->lib.error.text);
	return bo;
}

/* The class is 1 for an odd @n. */
static void fill(const struct fnpu_bo *bo, uint64_t offset, uint64_t n)
{
	memcpy((int8_t *)fnpu_bo_map(bo) + offset, n % 2 ? lib_rig_sure : lib_rig_unsure,
	       LIB_MODEL_INPUTS);
}

static int submit(struct fnpu_session *s, const struct fnpu_bo *bo, uint64_t offset, uint64_t n)
{
	return fnpu_session_submit(s, &(struct fnpu_request){
		.user_data = n,
		.input_bytes = LIB_MODEL_INPUTS,
		.format = FNPU_INPUT_I8_NHWC,
		.bo = bo,
		.bo_offset = offset,
	});
}

/* All results of @s, @count of them, are those of fill(). */
static void expect(struct rig *rig, struct fnpu_session *s, int count)
{
	assert_int_equal(lib_rig_collect(&rig->lib, s), count);
	for (int i = 0; i < count; i++) {
		const struct fnpu_result *r = &rig->lib.results[i];

		assert_int_equal(r->status, 0);
		assert_int_equal(r->head.class_index, r->user_data % 2 ? 1 : 3);
	}
}

static void samples_lie_anywhere_in_a_buffer(void **state)
{
	struct rig *rig = *state;
	struct fnpu_session *s = lib_rig_open(&rig->lib, NULL);
	struct fnpu_bo *bo = new_bo(rig, 2 * PAGE);

	assert_int_equal(fnpu_bo_bytes(bo), 2 * PAGE);
	assert_int_equal(fnpu_bo_iova(bo), 0);
	for (uint64_t n = 0; n < 16; n++) {
		fill(bo, n * 512, n);
		assert_int_equal(submit(s, bo, n * 512, n), 0);
		/* and others, which are copied */
		assert_int_equal(lib_rig_submit(s, n, n % 2 ? lib_rig_sure : lib_rig_unsure), 0);
	}
	expect(rig, s, 32);
	assert_int_equal(submit(s, bo, 8, 0), -EINVAL);
	assert_non_null(strstr(fnpu_session_error(s), "multiples of 64"));
	assert_int_equal(submit(s, bo, 2 * PAGE, 0), -EINVAL);
	fnpu_session_close(s);
	fnpu_bo_free(bo);
}

/* More than a session has numbers for, one after the other, and all of them again. */
static void numbers_are_used_again(void **state)
{
	struct rig *rig = *state;
	struct fnpu_session *s = lib_rig_open(&rig->lib, NULL);
	struct fnpu_bo *bos[MORE_THAN_ALL];

	for (uint64_t n = 0; n < MORE_THAN_ALL; n++) {
		bos[n] = new_bo(rig, PAGE);
		fill(bos[n], 0, n);
	}
	for (int round = 0; round < 2; round++) {
		for (uint64_t n = 0; n < MORE_THAN_ALL; n++) {
			assert_int_equal(submit(s, bos[n], 0, n), 0);
			if (n % 5 == 4)
				expect(rig, s, 5);
		}
		expect(rig, s, MORE_THAN_ALL % 5);
	}
	for (uint64_t n = 0; n < MORE_THAN_ALL; n++)
		fnpu_bo_free(bos[n]);
	fnpu_session_close(s);
}

static void buffers_with_samples_keep_their_numbers(void **state)
{
	const struct fnpu_session_options options = { .queue_bound = 2 * FNPUD_MAX_BUFFERS };
	struct rig *rig = *state;
	struct fnpu_session *s = lib_rig_open(&rig->lib, &options);
	struct fnpu_bo *bos[FNPUD_MAX_BUFFERS];
	const int most = FNPUD_MAX_BUFFERS - 1;

	for (int n = 0; n <= most; n++) {
		bos[n] = new_bo(rig, PAGE);
		fill(bos[n], 0, (uint64_t)n);
	}
	/* nothing is sent before a flush */
	for (int n = 0; n < most; n++)
		assert_int_equal(submit(s, bos[n], 0, (uint64_t)n), 0);
	assert_int_equal(submit(s, bos[most], 0, (uint64_t)most), -EAGAIN);
	assert_non_null(strstr(fnpu_session_error(s), "fetch results"));
	expect(rig, s, most);
	assert_int_equal(submit(s, bos[most], 0, (uint64_t)most), 0);
	expect(rig, s, 1);
	for (int n = 0; n <= most; n++)
		fnpu_bo_free(bos[n]);
	fnpu_session_close(s);
}

/* Five times the quota in all, and never more than half of it at a time. */
static void what_is_freed_is_released(void **state)
{
	struct rig *rig = *state;
	struct fnpu_session *s = lib_rig_open(&rig->lib, NULL);

	for (uint64_t n = 0; n < 20; n++) {
		struct fnpu_bo *bo = new_bo(rig, 512 << 10);

		fill(bo, 64 * n, n);
		if (submit(s, bo, 64 * n, n))
			fail_msg("buffer %d: %s", (int)n, fnpu_session_error(s));
		if (n % 3)	/* otherwise while its sample runs */
			expect(rig, s, 1);
		fnpu_bo_free(bo);
		if (n % 3 == 0)
			expect(rig, s, 1);
	}
	fnpu_session_close(s);
}

/* Three that are not within the quota together, in turn: those without samples make room. */
static void idle_buffers_make_room(void **state)
{
	struct rig *rig = *state;
	struct fnpu_session *s = lib_rig_open(&rig->lib, NULL);
	struct fnpu_bo *bos[3];

	for (uint64_t n = 0; n < 3; n++) {
		bos[n] = new_bo(rig, 800 << 10);
		fill(bos[n], 0, n);
	}
	for (uint64_t n = 0; n < 9; n++) {
		if (submit(s, bos[n % 3], 0, n % 3))
			fail_msg("use %d: %s", (int)n, fnpu_session_error(s));
		expect(rig, s, 1);
	}
	for (int n = 0; n < 3; n++)
		fnpu_bo_free(bos[n]);
	fnpu_session_close(s);
}

static void refuse(struct rig *rig, struct fnpu_session *s, struct fnpu_bo *bo, int ret,
		   const char *hint)
{
	assert_int_equal(submit(s, bo, 0, 0), ret);
	if (!strstr(fnpu_session_error(s), hint))
		fail_msg("\"%s\" does not say \"%s\"", fnpu_session_error(s), hint);
	fnpu_bo_free(bo);
	assert_int_equal(lib_rig_submit(s, 7, lib_rig_sure), 0);
	expect(rig, s, 1);
}

static struct fnpu_bo *import(struct rig *rig, int fd)
{
	struct fnpu_bo *bo;

	assert_true(fd >= 0);
	if (fnpu_bo_import(rig->lib.device, fd, &bo, &rig->lib.error))
		fail_msg("%s", rig->lib.error.text);
	close(fd);
	return bo;
}

static void what_the_daemon_refuses_leaves_the_session_as_it_is(void **state)
{
	struct rig *rig = *state;
	struct fnpu_session *s = lib_rig_open(&rig->lib, NULL);

	refuse(rig, s, new_bo(rig, 4 << 20), -EDQUOT, "--client-memory-mib");
	refuse(rig, s, import(rig, peer_memfd(PAGE, 0)), -EINVAL, "F_SEAL_SHRINK");
	refuse(rig, s, import(rig, open(lib_temp_path("tiny.fnpu"), O_RDONLY)), -EINVAL,
	       "memfd");
	fnpu_session_close(s);
}

/* The results that come with the answer about a buffer are told of, also when that is no. */
static void refusal_does_not_hide_results(void **state)
{
	struct rig *rig = *state;
	struct fnpu_session *s = lib_rig_open(&rig->lib, NULL);
	struct fnpu_bo *bo = import(rig, peer_memfd(PAGE, 0));
	struct pollfd p = { .fd = fnpu_session_fd(s), .events = POLLIN };

	assert_int_equal(lib_rig_submit(s, 1, lib_rig_sure), 0);
	assert_int_equal(fnpu_session_flush(s), 0);
	assert_int_equal(poll(&p, 1, -1), 1);
	assert_int_equal(submit(s, bo, 0, 0), -EINVAL);
	assert_int_equal(poll(&p, 1, 0), 1);
	expect(rig, s, 1);
	fnpu_bo_free(bo);
	fnpu_session_close(s);
}

/* A daemon that does not read for a while is told later. */
static void full_socket_is_not_the_end(void **state)
{
	const struct fnpu_session_options options = { .queue_bound = MANY };
	struct rig *rig = *state;
	struct fnpu_session *s = lib_rig_open(&rig->lib, &options);
	struct fnpu_bo *bo = new_bo(rig, PAGE);
	int n, total = 0;

	fill(bo, 0, 1);
	assert_int_equal(kill(rig->daemon, SIGSTOP), 0);
	for (uint64_t i = 0; i < MANY - 1; i++) {
		assert_int_equal(lib_rig_submit(s, i, lib_rig_sure), 0);
		assert_int_equal(fnpu_session_flush(s), 0);
	}
	assert_int_equal(submit(s, bo, 0, 1), -EAGAIN);
	assert_non_null(strstr(fnpu_session_error(s), "has not read yet"));
	assert_int_equal(kill(rig->daemon, SIGCONT), 0);
	while ((n = fnpu_session_wait(s, rig->lib.results, LIB_RIG_RESULTS, -1)) > 0)
		total += n;
	assert_int_equal(n, 0);
	assert_int_equal(total, MANY - 1);
	assert_int_equal(submit(s, bo, 0, 1), 0);
	expect(rig, s, 1);
	fnpu_bo_free(bo);
	fnpu_session_close(s);
}

/* In the VM as a dma-buf, too. */
static void memory_of_others_is_read(void **state)
{
	struct rig *rig = *state;
	struct fnpu_session *s = lib_rig_open(&rig->lib, NULL);
	struct udmabuf_create create = { .size = PAGE };
	int fd = peer_memfd(PAGE, F_SEAL_SHRINK), device = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	struct fnpu_bo *bo;

	assert_int_equal(pwrite(fd, lib_rig_sure, LIB_MODEL_INPUTS, 128), LIB_MODEL_INPUTS);
	if (!strcmp(lib_rig_backend(), "kmd")) {
		create.memfd = (uint32_t)fd;
		assert_true(device >= 0);
		bo = import(rig, ioctl(device, UDMABUF_CREATE, &create));
		assert_int_equal(submit(s, bo, 128, 1), 0);
		expect(rig, s, 1);
		fnpu_bo_free(bo);
	}
	close(device);
	bo = import(rig, fd);
	fd = fnpu_bo_export(bo);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, lib_rig_sure, LIB_MODEL_INPUTS, 256), LIB_MODEL_INPUTS);
	close(fd);
	assert_int_equal(submit(s, bo, 128, 1), 0);
	assert_int_equal(submit(s, bo, 256, 3), 0);
	expect(rig, s, 2);
	fnpu_session_close(s);
	fnpu_bo_free(bo);
}

static struct fnpu_result result_of(struct rig *rig, struct fnpu_session *s, const struct fnpu_bo *bo,
				    uint64_t n)
{
	assert_int_equal(submit(s, bo, 0, n), 0);
	assert_int_equal(lib_rig_collect(&rig->lib, s), 1);
	return rig->lib.results[0];
}

/* The NPU of all does not wait for a device of one; its own jobs are nothing to wait for. */
static void what_another_device_writes_is_not_waited_for(void **state)
{
	struct rig *rig = *state;
	struct fnpu_session *s;
	struct fnpu_result r;
	struct fnpu_bo *bo;
	struct vgem vgem;

	if (strcmp(lib_rig_backend(), "kmd"))
		return;		/* only a kernel has other devices */
	assert_true(vgem_open(&vgem));
	s = lib_rig_open(&rig->lib, NULL);
	bo = import(rig, vgem_export(&vgem));
	memcpy(vgem.map, lib_rig_sure, LIB_MODEL_INPUTS);
	for (uint64_t n = 0; n < 40; n++)
		assert_int_equal(submit(s, bo, 0, 2 * n + 1), 0);
	expect(rig, s, 40);
	assert_int_equal(vgem_block(&vgem), 0);
	r = result_of(rig, s, bo, 1);
	assert_int_equal(r.status, -EBUSY);
	assert_non_null(strstr(r.reason, "still being written"));
	assert_int_equal(vgem_release(&vgem), 0);
	assert_int_equal(result_of(rig, s, bo, 1).status, 0);
	fnpu_bo_free(bo);
	fnpu_session_close(s);
	vgem_close(&vgem);
}

/* ---- those that say what they like ---- */

/* A buffer that is taken away under its samples: both ways, while the daemon can serve none of them. */
static void buffers_stay_while_they_have_samples(void **state)
{
	struct rig *rig = *state;
	const struct fnpud_release release = { .header = { FNPUD_RELEASE, sizeof(release) } };
	const struct fnpud_buffer again = {
		.header = { FNPUD_BUFFER, sizeof(again) }, .bytes = PAGE,
	};
	const int fd = peer_memfd(PAGE, F_SEAL_SHRINK);
	const int conn = peer_session(rig->socket, rig->lib.model, 4, fd, PAGE);

	assert_int_equal(kill(rig->daemon, SIGSTOP), 0);
	assert_int_equal(peer_submit(conn, 0, 1, 0), 0);
	assert_int_equal(peer_send(conn, &again, sizeof(again), &fd, 1), 0);
	assert_int_equal(peer_send(conn, &release, sizeof(release), NULL, 0), 0);
	assert_int_equal(kill(rig->daemon, SIGCONT), 0);
	assert_true(peer_is_refused(conn, -EBUSY, "buffer 0 has samples"));
	close(conn);
	close(fd);
}

static void send_buffer(int conn, uint32_t number, int fd, uint64_t bytes)
{
	const struct fnpud_buffer m = {
		.header = { FNPUD_BUFFER, sizeof(m) }, .bytes = bytes, .buffer = number,
	};

	assert_int_equal(peer_send(conn, &m, sizeof(m), &fd, 1), 0);
}

static void expect_buffered(int conn)
{
	static uint64_t message[FNPUD_MESSAGE_BYTES / sizeof(uint64_t)];
	const struct fnpud_header *header = (const void *)message;

	assert_true(peer_receive(conn, message) > 0);
	assert_int_equal(header->type, FNPUD_BUFFERED);
}

/* Small ones are within the memory's quota, but the daemon has a descriptor and a map for each. */
static void number_of_buffers_is_bounded(void **state)
{
	struct rig *rig = *state;
	const int fd = peer_memfd(PAGE, F_SEAL_SHRINK);
	const int first = peer_session(rig->socket, rig->lib.model, 4, fd, 1);
	const int second = peer_session(rig->socket, rig->lib.model, 4, fd, 1);

	for (uint32_t n = 1; n < MOST_BUFFERS - 1; n++) {
		send_buffer(first, n, fd, 1);
		expect_buffered(first);
	}
	send_buffer(second, 1, fd, 1);
	assert_true(peer_is_refused(second, -EDQUOT, "--client-buffers"));
	/* in the place of another one, there is room */
	send_buffer(first, 1, fd, 1);
	expect_buffered(first);
	close(first);
	close(second);
	close(fd);
}

/* A page of something huge is a page. */
static void no_more_is_taken_than_is_charged(void **state)
{
	struct rig *rig = *state;
	const int fd = peer_memfd(UINT64_C(1) << 36, F_SEAL_SHRINK | F_SEAL_GROW);
	const long before = daemon_rss_kib(rig->daemon);
	const int conn = peer_session(rig->socket, rig->lib.model, 4, fd, PAGE);

	assert_true(daemon_rss_kib(rig->daemon) < before + 1024);
	close(conn);
	close(fd);
}

/* A file that is named like a dma-buf can be made shorter, which would be the daemon's end. */
static void name_makes_no_dmabuf(void **state)
{
	static const char name[] = "/dmabuf:fluidnpu-test";
	struct rig *rig = *state;
	const int fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int conn, sealed;

	if (fd < 0)
		return;		/* who is not root cannot do it so simply */
	unlink(name);
	assert_int_equal(ftruncate(fd, PAGE), 0);
	sealed = peer_memfd(PAGE, F_SEAL_SHRINK);
	conn = peer_session(rig->socket, rig->lib.model, 4, sealed, PAGE);
	send_buffer(conn, 1, fd, PAGE);
	assert_true(peer_is_refused(conn, -EINVAL, "memfd"));
	close(conn);
	close(sealed);
	close(fd);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(samples_lie_anywhere_in_a_buffer),
		TEST(numbers_are_used_again),
		TEST(buffers_with_samples_keep_their_numbers),
		TEST(what_is_freed_is_released),
		TEST(idle_buffers_make_room),
		TEST(refusal_does_not_hide_results),
		TEST(what_the_daemon_refuses_leaves_the_session_as_it_is),
		TEST(full_socket_is_not_the_end),
		TEST(memory_of_others_is_read),
		TEST(what_another_device_writes_is_not_waited_for),
		TEST(buffers_stay_while_they_have_samples),
		TEST(number_of_buffers_is_bounded),
		TEST(no_more_is_taken_than_is_charged),
		TEST(name_makes_no_dmabuf),
	};

	(void)argc;
	snprintf(daemon_path, sizeof(daemon_path), "%.*s/../../bin/fluidnpud",
		 (int)(strrchr(argv[0], '/') - argv[0]), argv[0]);
	if (access(daemon_path, X_OK))
		strcpy(daemon_path, "/bin/fluidnpud");
	return cmocka_run_group_tests_name("daemon_buffers", tests, NULL, NULL);
}
