// SPDX-License-Identifier: MIT
/* What the tools draw on stderr while they work: on terminals of both kinds and in a pipe. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../tools/common/cli.h"
#include "../../tools/common/progress.h"

static char text[4096];

static void run_to(uint64_t end, bool enabled)
{
	struct progress p;

	progress_start(&p, enabled, "samples", 1000);
	for (uint64_t done = 0; done <= end; done += 4)
		progress_update(&p, done);
	if (end < 1000)
		cli_error("broken");
	progress_end(&p);
}

static void read_all(int fd)
{
	size_t length = 0;
	ssize_t n;

	while ((n = read(fd, text + length, sizeof(text) - 1 - length)) > 0)
		length += (size_t)n;
	text[length] = '\0';
}

/* Runs to @end with stderr being @fd; @text is what came out of @other, its other side. */
static void capture(int fd, int other, uint64_t end, bool enabled)
{
	int saved = dup(STDERR_FILENO);

	assert_true(fd >= 0 && other >= 0 && saved >= 0);
	fflush(stderr);
	assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	run_to(end, enabled);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	if (fcntl(other, F_SETFL, O_NONBLOCK))
		fail_msg("%s", strerror(errno));
	read_all(other);
	close(fd);
	close(other);
}

static void capture_terminal(const char *term, uint64_t end)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY);

	assert_int_equal(grantpt(master), 0);
	assert_int_equal(unlockpt(master), 0);
	setenv("TERM", term, 1);
	capture(open(ptsname(master), O_RDWR | O_NOCTTY), master, end, true);
}

static void capture_pipe(uint64_t end, bool enabled)
{
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	capture(fds[1], fds[0], end, enabled);
}

/* Line ends count; those of a terminal are "\r\n". */
static void expect_plain_tenths(const char *line_end)
{
	const char *at = text;

	for (int tenth = 1; tenth <= 10; tenth++) {
		char start[64];

		snprintf(start, sizeof(start), "%d of 1000 samples, %3d %%, ", 100 * tenth,
			 10 * tenth);
		if (strncmp(at, start, strlen(start)))
			fail_msg("line %d should start with \"%s\": \"%s\"", tenth, start, at);
		at += strcspn(at, "\r\n");
		assert_memory_equal(at, line_end, strlen(line_end));
		at += strlen(line_end);
	}
	assert_string_equal(at, "");
}

static void pipe_gets_a_line_per_tenth(void **state)
{
	(void)state;
	setenv("TERM", "xterm", 1);
	capture_pipe(1000, true);
	expect_plain_tenths("\n");
}

static void dumb_terminal_gets_a_line_per_tenth(void **state)
{
	(void)state;
	capture_terminal("dumb", 1000);
	expect_plain_tenths("\r\n");
	capture_terminal("", 1000);
	expect_plain_tenths("\r\n");
}

static void terminal_gets_one_line_redrawn(void **state)
{
	const char *end;

	(void)state;
	capture_terminal("xterm", 1000);
	end = strstr(text, "1000 of 1000 samples, 100 %");
	assert_non_null(end);
	assert_true(end > text && end[-1] == '\r');
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void message_does_not_run_into_the_line(void **state)
{
	(void)state;
	cli_name = "tool";
	capture_terminal("xterm", 500);
	if (!strstr(text, "\r\ntool: broken\r\n"))
		fail_msg("\"%s\"", text);
	assert_string_equal(strstr(text, "tool:"), "tool: broken\r\n");
}

static void without_progress_there_is_nothing(void **state)
{
	(void)state;
	capture_pipe(1000, false);
	assert_string_equal(text, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pipe_gets_a_line_per_tenth),
		cmocka_unit_test(dumb_terminal_gets_a_line_per_tenth),
		cmocka_unit_test(terminal_gets_one_line_redrawn),
		cmocka_unit_test(message_does_not_run_into_the_line),
		cmocka_unit_test(without_progress_there_is_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
