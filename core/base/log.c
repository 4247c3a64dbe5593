/* SPDX-License-Identifier: Apache-2.0 */
/* One process, one sink: both are set before threads start and only read
 * after, but atomically, so that a test may swap them. */
#include <base/log.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static _Atomic(log_sink) log_out;
static atomic_int log_most = DYNFS_INFO;

static const char *const log_words[] = {
	[DYNFS_ERR] = "error",
	[DYNFS_WARN] = "warning",
	[DYNFS_INFO] = "info",
	[DYNFS_DEBUG] = "debug",
};

void log_set(log_sink sink, int level)
{
	atomic_store(&log_most, level);
	atomic_store(&log_out, sink);
}

int log_level(void)
{
	return atomic_load(&log_most);
}

int log_level_parse(const char *word)
{
	for (int i = DYNFS_ERR; i <= DYNFS_DEBUG; ++i)
		if (!strcmp(word, log_words[i]))
			return i;
	return -EINVAL;
}

const char *log_level_word(int level)
{
	if (level < DYNFS_ERR || level > DYNFS_DEBUG)
		return "unknown";
	return log_words[level];
}

/* A line stays a line: what a user named may hold control characters. */
static void log_clean(char *text)
{
	for (; *text; ++text)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

void log_line_va(int level, const char *area, const char *fmt, va_list ap)
{
	log_sink sink = atomic_load(&log_out);
	char text[1024];

	if (!sink || level > atomic_load(&log_most))
		return;
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	log_clean(text);
	sink(level, area, text);
}

void log_line(int level, const char *area, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line_va(level, area, fmt, ap);
	va_end(ap);
}
