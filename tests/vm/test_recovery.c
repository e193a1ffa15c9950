// SPDX-License-Identifier: MIT
/*
 * What user space is told when a job hangs: a dump and a uevent. Needs root. A job that
 * hangs is one that takes longer than the time that jobs have.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "npu.h"
#include "param.h"
#include "rig.h"
#include "tap.h"

#define DEVCOREDUMP "/sys/class/devcoredump"
#define MARK 0xfeedc0ffee5eedull

/* The kernel's uevents from now on. */
static int uevents_open(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address))) {
		tap_fail(__FILE__, __LINE__, "no uevents: %s", strerror(errno));
		return -1;
	}
	return fd;
}

static bool has_line(const char *message, ssize_t length, const char *line)
{
	for (const char *p = message; p < message + length; p += strlen(p) + 1) {
		if (!strcmp(p, line))
			return true;
	}
	return false;
}

/* Waits for an event with both lines. */
static void uevents_wait(int fd, const char *line, const char *other)
{
	char message[4096];
	ssize_t length;

	do {
		length = recv(fd, message, sizeof(message) - 1, 0);
		REQUIRE(length > 0, "recv: %s", strerror(errno));
		message[length] = 0;
	} while (!has_line(message, length, line) || !has_line(message, length, other));
}

/* Path of a dump's data; false: there is none. */
static bool find_dump(char *path, size_t size)
{
	DIR *dir = opendir(DEVCOREDUMP);
	struct dirent *entry;
	bool found = false;

	while (dir && !found && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || !strcmp(entry->d_name, "disabled"))
			continue;
		snprintf(path, size, DEVCOREDUMP "/%s/data", entry->d_name);
		found = true;
	}
	if (dir)
		closedir(dir);
	return found;
}

static void discard_dumps(void)
{
	char path[512];

	while (find_dump(path, sizeof(path))) {
		write_file(path, "1");
		poll(NULL, 0, 1);
	}
}

static char *read_dump(void)
{
	size_t size = 256 * 1024, length = 0;
	char path[512], *text;
	ssize_t n;
	int fd;

	if (!find_dump(path, sizeof(path)))
		return NULL;
	fd = open(path, O_RDONLY);
	text = calloc(1, size);
	while (text && (n = read(fd, text + length, size - 1 - length)) > 0)
		length += n;
	close(fd);
	return text;
}

/* Runs a job that takes too long, with @with_others jobs behind it. */
static void hang(struct rig *rig, unsigned int with_others)
{
	struct drm_fluidnpu_event event;
	struct job job;

	EXPECT_OK(param_set(JOB_TIMEOUT_PARAM, "100"));
	job_init(&job, &rig->net, 2, 0);
	job.args.user_data = MARK;
	EXPECT_OK(submit_one(&rig->ctx, &job));
	job.samples[0].start_layer = job.samples[1].start_layer = rig->net.slow_layers;
	for (unsigned int i = 1; i <= with_others; i++) {
		job.args.user_data = MARK + i;
		EXPECT_OK(submit_one(&rig->ctx, &job));
	}
	REQUIRE(ctx_job_event(&rig->ctx, &event), "no event");
	EXPECT_EQ(event.user_data, (long long)MARK);
	EXPECT_EQ(event.error, -ETIME);
	for (unsigned int i = 1; i <= with_others; i++) {
		REQUIRE(ctx_job_event(&rig->ctx, &event), "no event");
		EXPECT_EQ(event.user_data, (long long)MARK + i);
		EXPECT_EQ(event.error, 0);
	}
	EXPECT_OK(params_restore());
}

static void expect_in(const char *text, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void expect_in(const char *text, const char *format, ...)
{
	char wanted[256];
	va_list args;

	va_start(args, format);
	vsnprintf(wanted, sizeof(wanted), format, args);
	va_end(args);
	EXPECT(strstr(text, wanted), "no '%s' in the dump", wanted);
}

static void a_hang_leaves_a_dump(void)
{
	int events = uevents_open();
	struct rig rig;
	char *text;

	discard_dumps();
	REQUIRE(rig_up(&rig, 300), "set-up");
	hang(&rig, 2);
	uevents_wait(events, "ACTION=add", "SUBSYSTEM=devcoredump");
	text = read_dump();
	REQUIRE(text, "no dump");
	expect_in(text, "reason: job timed out\n");
	expect_in(text, "job: queue 1 slot 0 guilty\n\tclient: test_recovery[%d]\n", getpid());
	expect_in(text, "\tuser_data: 0x%llx\n", (unsigned long long)MARK);
	expect_in(text, "\tprogram: 0x%llx bytes %u\n",
		  (unsigned long long)rig.net.program.iova, rig.net.program_bytes);
	expect_in(text, "\tsamples: 2 ");
	expect_in(text, "\tuser_data: 0x%llx\n", (unsigned long long)MARK + 2);
	if (tap_failures)
		printf("%s", text);
	free(text);
	discard_dumps();
	rig_down(&rig);
	close(events);
}

static void a_dump_stays_until_it_is_read(void)
{
	int events = uevents_open();
	struct rig rig;
	char *first, *second;

	discard_dumps();
	REQUIRE(rig_up(&rig, 300), "set-up");
	hang(&rig, 0);
	uevents_wait(events, "ACTION=add", "SUBSYSTEM=devcoredump");
	first = read_dump();
	hang(&rig, 0);
	second = read_dump();
	REQUIRE(first && second, "no dump");
	EXPECT(!strcmp(first, second), "the dump has changed");
	free(first);
	free(second);
	discard_dumps();
	rig_down(&rig);
	close(events);
}

static void a_uevent_tells_of_a_reset(void)
{
	int events = uevents_open();
	struct rig rig;

	REQUIRE(rig_up(&rig, 300), "set-up");
	hang(&rig, 0);
	uevents_wait(events, "SUBSYSTEM=accel", "WEDGED=none");
	rig_down(&rig);
	close(events);
	discard_dumps();
}

static const struct tap_test tests[] = {
	{ "a hang leaves a dump that names the client and its jobs", a_hang_leaves_a_dump },
	{ "a dump stays until it is read", a_dump_stays_until_it_is_read },
	{ "a uevent tells of a reset", a_uevent_tells_of_a_reset },
};

TAP_MAIN(tests)
