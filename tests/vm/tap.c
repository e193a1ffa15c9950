// SPDX-License-Identifier: MIT
#include "tap.h"

#include <signal.h>
#include <stdarg.h>
#include <unistd.h>

int tap_failures;
unsigned int tap_index;
const char *tap_skip_reason;

#define MAX_AT_END 4

static const char *current_test;
static int (*at_end[MAX_AT_END])(void);
static unsigned int num_at_end;

void tap_fail(const char *file, int line, const char *format, ...)
{
	va_list args;

	tap_failures++;
	printf("# %s:%d: ", file, line);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

void tap_at_end(int (*run)(void))
{
	for (unsigned int i = 0; i < num_at_end; i++) {
		if (at_end[i] == run)
			return;
	}
	if (num_at_end < MAX_AT_END)
		at_end[num_at_end++] = run;
	else
		tap_fail(__FILE__, __LINE__, "too much to clean up");
}

static int clean_up(void)
{
	int ret = 0;

	while (num_at_end) {
		int error = at_end[--num_at_end]();

		ret = ret ? ret : error;
	}
	return ret;
}

static void deadline_passed(int sig)
{
	static const char text[] = "\nBail out! a test did not end: ";

	(void)sig;
	if (write(STDOUT_FILENO, text, sizeof(text) - 1) < 0 ||
	    write(STDOUT_FILENO, current_test, strlen(current_test)) < 0 ||
	    write(STDOUT_FILENO, "\n", 1) < 0)
		_exit(2);
	clean_up();
	_exit(1);
}

int tap_run(const struct tap_test *tests, unsigned int count)
{
	int failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGALRM, deadline_passed);
	printf("1..%u\n", count);
	for (unsigned int i = 0; i < count; i++) {
		tap_failures = 0;
		tap_index = i;
		tap_skip_reason = NULL;
		current_test = tests[i].name;
		alarm(TAP_DEADLINE_S);
		tests[i].run();
		EXPECT_OK(clean_up());
		alarm(0);
		if (tap_failures) {
			printf("not ok %u - %s\n", i + 1, tests[i].name);
			failed++;
		} else {
			printf("ok %u - %s%s%s\n", i + 1, tests[i].name,
			       tap_skip_reason ? " # SKIP " : "",
			       tap_skip_reason ? tap_skip_reason : "");
		}
	}
	return failed ? 1 : 0;
}
