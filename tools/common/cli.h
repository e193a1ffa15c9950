/* SPDX-License-Identifier: MIT */
/* Messages of the command-line tools: one line each, "tool: what is wrong and what to do". */
#ifndef FNPU_CLI_H
#define FNPU_CLI_H

#include <stdint.h>

#define EXIT_USAGE	2

/** cli_name - the tool's name, set first thing in main() */
extern const char *cli_name;

/** cli_draw() - a line on the terminal in the place of the one that cli_draw() left there */
void cli_draw(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** cli_end_line() - what cli_draw() has drawn stays; all messages do this before they begin */
void cli_end_line(void);

/** cli_error() - "name: message" on stderr; returns -1, so that callers can pass failure on */
int cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** cli_usage_error() - as cli_error(), with a hint at --help; ends with EXIT_USAGE */
void cli_usage_error(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/**
 * cli_number() - the decimal integer @text, min..max
 * @option: its name, for the usage error that anything else ends in
 */
uint64_t cli_number(const char *option, const char *text, uint64_t min, uint64_t max);

/** cli_one_of() - @value, which is one of @names (the last is NULL), or a usage error */
const char *cli_one_of(const char *option, const char *value, const char *const *names);

/** cli_print_and_exit() - @text is all that was asked for, as after --help */
void cli_print_and_exit(const char *text) __attribute__((noreturn));

/** cli_finish_stdout() - flush stdout; 0, or -1 with a message when not all could be written */
int cli_finish_stdout(void);

#endif /* FNPU_CLI_H */
