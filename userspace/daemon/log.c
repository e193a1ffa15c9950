// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include "common/cli.h"
#include "common/progress.h"
#include "log.h"

#define LINE_BYTES	1024
#define LINES		20u			/* at most, in each */
#define INTERVAL_NS	INT64_C(10000000000)

static int64_t interval_start;
static unsigned int lines;
static unsigned int suppressed;

void fnpud_complain(const char *format, ...)
{
	const int64_t now = host_ns();
	char line[LINE_BYTES];
	va_list args;

	if (!lines || now - interval_start > INTERVAL_NS) {
		if (suppressed)
			cli_error("%u more messages about clients are not shown", suppressed);
		interval_start = now;
		lines = 0;
		suppressed = 0;
	}
	if (lines++ >= LINES) {
		suppressed++;
		return;
	}
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	cli_error("%s", line);
}
