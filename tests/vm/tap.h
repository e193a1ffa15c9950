/* SPDX-License-Identifier: MIT */
/*
 * tap.h - a test program is a list of functions, each one behaviour; tap_run() calls them
 * in order and prints TAP. In a test, EXPECT() and its relatives note a failure, say
 * what they saw, and go on; REQUIRE() leaves the test. Nothing sleeps: a test that
 * waits for something that does not come ends the program by an alarm.
 */
#ifndef FNPU_TESTS_TAP_H
#define FNPU_TESTS_TAP_H

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define TAP_DEADLINE_S 120 /* per test, wall clock in an emulated guest */

struct tap_test {
	const char *name; /* the behaviour, as a sentence */
	void (*run)(void);
};

extern int tap_failures; /* of the test that runs */
extern unsigned int tap_index; /* of the test that runs: for tests that share a function */
extern const char *tap_skip_reason;

int tap_run(const struct tap_test *tests, unsigned int count);
/*
 * Calls @run once when the test that runs has ended, also by its alarm: nothing but what a signal
 * handler may call. What it returns is 0 or the reason, -errno, that the test has failed.
 */
void tap_at_end(int (*run)(void));
void tap_fail(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#define TAP_MAIN(tests)                                                                            \
	int main(void)                                                                             \
	{                                                                                          \
		return tap_run(tests, sizeof(tests) / sizeof((tests)[0]));                         \
	}

/* The condition holds; the rest is a printf of what was seen. */
#define EXPECT(condition, ...)                                                                     \
	do {                                                                                       \
		if (!(condition))                                                                  \
			tap_fail(__FILE__, __LINE__, "not " #condition ": " __VA_ARGS__);          \
	} while (0)

#define REQUIRE(condition, ...)                                                                    \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			tap_fail(__FILE__, __LINE__, "not " #condition ": " __VA_ARGS__);          \
			return;                                                                    \
		}                                                                                  \
	} while (0)

/* Two integers are equal. */
#define EXPECT_EQ(seen, wanted)                                                                    \
	do {                                                                                       \
		long long seen_ = (seen), wanted_ = (wanted);                                      \
		if (seen_ != wanted_)                                                              \
			tap_fail(__FILE__, __LINE__, #seen " is %lld, not " #wanted " = %lld",     \
				 seen_, wanted_);                                                  \
	} while (0)

/* A call that returns 0 or -errno did that. */
#define EXPECT_ERRNO(call, wanted)                                                                 \
	do {                                                                                       \
		int seen_ = (call), wanted_ = (wanted);                                            \
		if (seen_ != -wanted_)                                                             \
			tap_fail(__FILE__, __LINE__, #call " is %d (%s), not -" #wanted, seen_,    \
				 strerror(seen_ < 0 ? -seen_ : 0));                                \
	} while (0)

#define EXPECT_OK(call) EXPECT_ERRNO(call, 0)

#define SKIP(reason)                                                                               \
	do {                                                                                       \
		tap_skip_reason = (reason);                                                        \
		return;                                                                            \
	} while (0)

#endif
