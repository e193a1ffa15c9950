// SPDX-License-Identifier: MIT
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

const char *cli_name = "fluidnpu";

static int drawn;	/* characters of cli_draw()'s line */

void cli_draw(const char *format, ...)
{
	int before = drawn;
	va_list args;

	if (drawn)
		fputc('\r', stderr);
	va_start(args, format);
	drawn = vfprintf(stderr, format, args);
	va_end(args);
	if (drawn < before)
		fprintf(stderr, "%*s", before - drawn, "");
}

void cli_end_line(void)
{
	if (drawn)
		fputc('\n', stderr);
	drawn = 0;
}

static void message(const char *format, va_list args)
{
	fflush(stdout);
	cli_end_line();
	fprintf(stderr, "%s: ", cli_name);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
}

int cli_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	message(format, args);
	va_end(args);
	return -1;
}

void cli_usage_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	message(format, args);
	va_end(args);
	fprintf(stderr, "Try \"%s --help\".\n", cli_name);
	exit(EXIT_USAGE);
}

uint64_t cli_number(const char *option, const char *text, uint64_t min, uint64_t max)
{
	char *end;
	uint64_t v;

	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno || *end || !isdigit((unsigned char)*text) || v < min || v > max)
		cli_usage_error("--%s takes a number from %" PRIu64 " to %" PRIu64 ", not \"%s\"",
				option, min, max, text);
	return v;
}

const char *cli_one_of(const char *option, const char *value, const char *const *names)
{
	for (size_t i = 0; names[i]; i++)
		if (!strcmp(names[i], value))
			return value;
	cli_usage_error("--%s does not know \"%s\"", option, value);
}

void cli_print_and_exit(const char *text)
{
	fputs(text, stdout);
	exit(cli_finish_stdout() ? EXIT_FAILURE : EXIT_SUCCESS);
}

int cli_finish_stdout(void)
{
	if (!fflush(stdout) && !ferror(stdout))
		return 0;
	return cli_error("cannot write to standard output: %s", strerror(errno));
}
