/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line for whoever waits at a terminal: what for, and how long already.
 * Scripts, and whoever has sent stderr to a file, see nothing of it.  And lines
 * that all see.
 */
#include "dynfs.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static bool patience_shown;

void patience_show(const char *fmt, ...)
{
	va_list ap;

	if (!isatty(STDERR_FILENO))
		return;
	(void)fputs("\rdynfs: ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputs("\033[K", stderr);
	(void)fflush(stderr);
	patience_shown = true;
}

void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)fprintf(stderr, "%s: ", program);
	(void)vfprintf(stderr, fmt, ap);
	(void)fputc('\n', stderr);
	va_end(ap);
}

void patience_over(void)
{
	if (patience_shown)
		(void)fputs("\r\033[K", stderr);
	patience_shown = false;
}

void patience_print(void *ctx, json_t *progress)
{
	const char *text = json_string_value(json_object_get(progress, "text"));

	(void)ctx;
	if (text)
		patience_show("%s", text);
}
