// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <stdio.h>

#include "error.h"

int fnpu_fail(struct fnpu_error *error, int err, const char *format, ...)
{
	va_list args;

	if (error) {
		va_start(args, format);
		vsnprintf(error->text, sizeof(error->text), format, args);
		va_end(args);
	}
	return err;
}

void fnpu_error_clear(struct fnpu_error *error)
{
	if (error)
		error->text[0] = '\0';
}
